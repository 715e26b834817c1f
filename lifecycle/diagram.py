"""Pictures of a lifecycle as text: Mermaid, DOT, PlantUML and Markdown tables, from one model.

`Lifecycle.diagram` returns a `Diagram`, plain data whose edges are exactly the table's rows;
each renderer is a function of that model. Code that runs a program or writes a file (SVG, PNG)
belongs in an adapter.

Every mark and origin has a shape, a line style or a word, and also a colour, so that a picture
without colours loses nothing. The colours are the blue, green and orange that Okabe and Ito chose
because colour-blind people can distinguish them ("Color Universal Design", 2008), and greys. Rows
of one origin between the same two states share one line.

Names and meanings are foreign text to all these languages. States are therefore called s0, s1, ...
in the output; their names occur in labels only, escaped by the language's own rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lifecycle.declaration import Declaration, State
from lifecycle.errors import shortened
from lifecycle.table import E, Origin, S

__all__ = [
    "RENDERERS",
    "Colour",
    "Diagram",
    "Edge",
    "Format",
    "Mark",
    "Node",
    "to_dot",
    "to_markdown",
    "to_mermaid",
    "to_mermaid_state",
    "to_plantuml",
]


class Format(StrEnum):
    """The text formats of pictures; `RENDERERS` has a function for each."""

    MERMAID = "mermaid"
    MERMAID_STATE = "mermaid-state"
    DOT = "dot"
    PLANTUML = "plantuml"
    MARKDOWN = "markdown"


class Mark(StrEnum):
    """A property of a state that a picture shows."""

    INITIAL = "initial"
    SETTLED = "settled"  # also interrupted; and neither reopenable nor final: those are settled, too
    REOPENABLE = "reopenable"
    FINAL = "final"
    CURRENT = "current"


class Colour(StrEnum):
    """Every colour of a picture, as on a light background."""

    PAPER = "#ffffff"
    INK = "#1f2328"
    BORDER = "#57606a"
    FILL = "#f6f8fa"
    SETTLED_BORDER = "#009e73"
    SETTLED_FILL = "#d9f2e9"
    FINAL_FILL = "#e1e4e8"
    CURRENT_BORDER = "#e69f00"
    CURRENT_FILL = "#ffefc9"
    CALLER = "#0072b2"
    REMOTE = "#6e7781"


@dataclass(frozen=True, slots=True)
class Node:
    """A state; its marks are in the order of `Mark`."""

    name: str
    meaning: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A row of the table, with the origin and the meaning of its event."""

    source: str
    event: str
    target: str
    origin: Origin
    meaning: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """A lifecycle as nodes and edges, both in declared order."""

    name: str
    citation: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def legend(self) -> dict[Origin | Mark, str]:
        """Return the meaning of each origin and mark that occurs here, in the order in which to list them."""
        present = {edge.origin for edge in self.edges} | {mark for node in self.nodes for mark in node.marks}
        return {kind: meaning for kind, meaning in _LEGEND.items() if kind in present}


_LEGEND: dict[Origin | Mark, str] = {
    Origin.CALLER: "a command we may send",
    Origin.REMOTE: "the service does it by itself",
    Mark.INITIAL: "every task begins here",
    Mark.SETTLED: "no work is being done",
    Mark.REOPENABLE: "over, until a command begins it again",
    Mark.FINAL: "nothing follows",
    Mark.CURRENT: "the task is here",
}


def diagram_of(declaration: Declaration[S, E], current: S | None = None) -> Diagram:
    """Return the model of a sound declaration's picture, the state `current` marked if given."""
    events = {event.name: event for event in declaration.events}
    return Diagram(
        name=declaration.name,
        citation=declaration.citation,
        nodes=tuple(Node(str(state.name), state.meaning, _marks(state, current)) for state in declaration.states),
        edges=tuple(
            Edge(str(row.source), str(row.event), str(row.target), events[row.event].origin, events[row.event].meaning)
            for row in declaration.rows
        ),
    )


def _marks(state: State[S], current: S | None) -> tuple[Mark, ...]:
    marked = {
        Mark.INITIAL: state.initial,
        Mark.SETTLED: (state.settled or state.interrupted) and not (state.reopenable or state.final),
        Mark.REOPENABLE: state.reopenable,
        Mark.FINAL: state.final,
        Mark.CURRENT: state.name == current,
    }
    return tuple(mark for mark in Mark if marked[mark])


# --- shared by the renderers -------------------------------------------------------------------


def _require_diagram(given: object) -> None:
    if not isinstance(given, Diagram):
        what = f"{shortened(given)} ({type(given).__name__})"
        raise TypeError(f"a picture is drawn from a Diagram, not from {what}; give lifecycle.diagram()")


@dataclass(frozen=True, slots=True)
class _Line:
    """All edges of one origin between two states; `source` and `target` are their ids in the output."""

    source: str
    target: str
    origin: Origin
    events: tuple[str, ...]


def _lines(picture: Diagram) -> list[_Line]:
    ids = _ids(picture)
    events: dict[tuple[str, str, Origin], list[str]] = {}
    for edge in picture.edges:
        events.setdefault((ids[edge.source], ids[edge.target], edge.origin), []).append(edge.event)
    return [_Line(source, target, origin, tuple(names)) for (source, target, origin), names in events.items()]


def _ids(picture: Diagram) -> dict[str, str]:
    return {node.name: f"s{index}" for index, node in enumerate(picture.nodes)}


def _marked(picture: Diagram, mark: Mark) -> list[str]:
    """Return the ids of the states that have a mark."""
    ids = _ids(picture)
    return [ids[node.name] for node in picture.nodes if mark in node.marks]


def _paint(node: Node) -> tuple[Colour, Colour]:
    """Return the fill and the border of a node: those of its last mark that has colours."""
    return next((_PAINT[mark] for mark in reversed(node.marks) if mark in _PAINT), (Colour.FILL, Colour.BORDER))


_PAINT: dict[Mark, tuple[Colour, Colour]] = {
    Mark.SETTLED: (Colour.SETTLED_FILL, Colour.SETTLED_BORDER),
    Mark.REOPENABLE: (Colour.FINAL_FILL, Colour.SETTLED_BORDER),
    Mark.FINAL: (Colour.FINAL_FILL, Colour.BORDER),
    Mark.CURRENT: (Colour.CURRENT_FILL, Colour.CURRENT_BORDER),
}


def _legend_in_words(picture: Diagram, looks: Mapping[Origin | Mark, str]) -> list[str]:
    return [f"{looks[kind]} = {kind}, {meaning}" for kind, meaning in picture.legend.items()]


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


# --- Mermaid -----------------------------------------------------------------------------------

# A flowchart, because state diagrams have one line style only. Monotone curves pass through their own
# labels; with the other curves a label can lie on its neighbour's line.
_MERMAID_HEAD = """\
---
config:
  flowchart:
    curve: monotoneY
    wrappingWidth: 400
---
flowchart TB"""
_MERMAID_ARROWS = {Origin.CALLER: "==>", Origin.REMOTE: "-.->"}
_MERMAID_LOOKS: dict[Origin | Mark, str] = {
    Origin.CALLER: "thick line",
    Origin.REMOTE: "dotted line",
    Mark.INITIAL: "dot",
    Mark.SETTLED: "dotted border",
    Mark.REOPENABLE: "dashed border",
    Mark.FINAL: "double sides",
    Mark.CURRENT: "thick border",
}
_MERMAID_MARKS = f"""\
    classDef settled color:{Colour.INK},fill:{Colour.SETTLED_FILL},stroke:{Colour.SETTLED_BORDER},stroke-dasharray:2 3
    classDef reopenable color:{Colour.INK},fill:{Colour.FINAL_FILL},stroke:{Colour.SETTLED_BORDER},stroke-dasharray:6 4
    classDef final color:{Colour.INK},fill:{Colour.FINAL_FILL}
    classDef current color:{Colour.INK},fill:{Colour.CURRENT_FILL},stroke:{Colour.CURRENT_BORDER},stroke-width:4px"""
_MERMAID_STYLES = f"""\
    classDef default fill:{Colour.FILL},stroke:{Colour.BORDER},color:{Colour.INK}
{_MERMAID_MARKS}
    classDef dot fill:{Colour.REMOTE},stroke:{Colour.REMOTE}
    classDef legend fill:none,stroke:none,color:{Colour.REMOTE},text-align:left
    class initial dot
    class legend legend"""


def to_mermaid(picture: Diagram) -> str:
    """Return the picture as a Mermaid flowchart, which GitHub draws in a `mermaid` block or a .mmd file.

    Raises TypeError if it is not a Diagram.
    """
    _require_diagram(picture)
    ids = _ids(picture)
    lines = _lines(picture)
    callers = [str(index) for index, line in enumerate(lines) if line.origin is Origin.CALLER]
    return _text(
        (
            _MERMAID_HEAD,
            *(f"    {ids[node.name]}{_mermaid_shape(node)}" for node in picture.nodes),
            *(
                f"    {line.source} {_MERMAID_ARROWS[line.origin]}|{_mermaid_label(line)}| {line.target}"
                for line in lines
            ),
            *(f'    initial((" ")) --> {state}' for state in _marked(picture, Mark.INITIAL)),
            f'    legend["{"<br>".join(_legend_in_words(picture, _MERMAID_LOOKS))}"]',
            _MERMAID_STYLES,
            *_mermaid_classes(picture),
            *([f"    linkStyle {','.join(callers)} stroke:{Colour.CALLER}"] if callers else []),
        )
    )


def _mermaid_shape(node: Node) -> str:
    label = f'"{_mermaid_escaped(node.name)}"'
    return f"[[{label}]]" if Mark.FINAL in node.marks else f"({label})"


def _mermaid_label(line: _Line) -> str:
    return f'"{"<br>".join(_mermaid_escaped(event) for event in line.events)}"'


def _mermaid_classes(picture: Diagram) -> Iterator[str]:
    for mark in (Mark.SETTLED, Mark.REOPENABLE, Mark.FINAL, Mark.CURRENT):
        if states := _marked(picture, mark):
            yield f"    class {','.join(states)} {mark}"


def _mermaid_escaped(text: str) -> str:
    return re.sub(r"[^\w ]", lambda match: f"#{ord(match[0])};", text)


_MERMAID_STATE_LOOKS: dict[Origin | Mark, str] = {
    Origin.CALLER: "label with (caller)",
    Origin.REMOTE: "label with (remote)",
    Mark.INITIAL: "arrow from the dot",
    Mark.SETTLED: "dotted border",
    Mark.REOPENABLE: "dashed border",
    Mark.FINAL: "arrow to the ring",
    Mark.CURRENT: "thick border",
}


def to_mermaid_state(picture: Diagram) -> str:
    """Return the picture as a Mermaid `stateDiagram-v2`. It has one style of line, so labels contain the origin.

    Raises TypeError if it is not a Diagram.
    """
    _require_diagram(picture)
    ids = _ids(picture)
    return _text(
        (
            "stateDiagram-v2",
            *(f'    state "{_mermaid_escaped(node.name)}" as {ids[node.name]}' for node in picture.nodes),
            *(f"    [*] --> {state}" for state in _marked(picture, Mark.INITIAL)),
            *(
                f"    {line.source} --> {line.target} : "
                + "<br>".join(f"{_mermaid_escaped(event)} ({line.origin})" for event in line.events)
                for line in _lines(picture)
            ),
            *(f"    {state} --> [*]" for state in _marked(picture, Mark.FINAL)),
            "    note right of s0",
            *(f"        {line}" for line in _legend_in_words(picture, _MERMAID_STATE_LOOKS)),
            "    end note",
            _MERMAID_MARKS,
            *_mermaid_classes(picture),
        )
    )


# --- DOT ---------------------------------------------------------------------------------------

# These distances were found by trial: with them no label of the catalog touches a line, which a test checks.
_DOT_HEAD = f"""\
    graph [rankdir=LR, nodesep=0.2, ranksep=1.0, pad=0.25, bgcolor="{Colour.PAPER}",
           labelloc=b, fontname="Helvetica", fontsize=11, fontcolor="{Colour.BORDER}"]
    node  [shape=box, style="rounded,filled", margin="0.2,0.1", penwidth=1.4, fontname="Helvetica", fontsize=14,
           fontcolor="{Colour.INK}"]
    edge  [penwidth=1.4, arrowsize=0.8, fontname="Helvetica", fontsize=12]
    initial [shape=circle, width=0.14, label="", color="{Colour.INK}", fillcolor="{Colour.INK}"]"""
_DOT_MARKS: dict[Mark, str] = {
    Mark.INITIAL: "",  # has an arrow from the node `initial`
    Mark.SETTLED: ', style="rounded,filled,dotted", penwidth=2',
    Mark.REOPENABLE: ', style="rounded,filled,dashed"',
    Mark.FINAL: ", peripheries=2",
    Mark.CURRENT: ", penwidth=4",
}
_COLOURS = {Origin.CALLER: Colour.CALLER, Origin.REMOTE: Colour.REMOTE}
_DOT_ORIGINS: dict[Origin, str] = {
    Origin.CALLER: f'color="{Colour.CALLER}", fontcolor="{Colour.CALLER}", penwidth=2.2',
    Origin.REMOTE: f'color="{Colour.REMOTE}", fontcolor="{Colour.REMOTE}", style=dashed',
}


def _dot_sample(look: str, *, inside: str = "") -> str:
    """Return a small shape for the legend: a table, since HTML-like labels have no other shape."""
    table = 'fixedsize="true" cellborder="0" cellpadding="0"'
    return f"<table {table} {look}><tr><td {inside}></td></tr></table>"


_DOT_SAMPLES: dict[Origin | Mark, str] = {
    Origin.CALLER: _dot_sample(f'width="30" height="4" border="2" cellspacing="0" sides="b" color="{Colour.CALLER}"'),
    Origin.REMOTE: _dot_sample(
        f'width="30" height="4" border="2" cellspacing="0" sides="b" style="dashed" color="{Colour.REMOTE}"'
    ),
    Mark.INITIAL: f'<font point-size="24" color="{Colour.INK}">&#8226;</font>',
    Mark.SETTLED: _dot_sample(
        f'width="30" height="16" border="2" style="rounded,dotted" color="{Colour.SETTLED_BORDER}"'
        f' bgcolor="{Colour.SETTLED_FILL}"'
    ),
    Mark.REOPENABLE: _dot_sample(
        f'width="30" height="16" style="rounded,dashed" color="{Colour.SETTLED_BORDER}" bgcolor="{Colour.FINAL_FILL}"'
    ),
    Mark.FINAL: _dot_sample(
        f'width="30" height="16" style="rounded" color="{Colour.BORDER}"',
        inside=f'width="24" height="10" border="1" style="rounded" bgcolor="{Colour.FINAL_FILL}"',
    ),
    Mark.CURRENT: _dot_sample(
        f'width="30" height="16" border="3" style="rounded" color="{Colour.CURRENT_BORDER}"'
        f' bgcolor="{Colour.CURRENT_FILL}"'
    ),
}


@dataclass(frozen=True, slots=True)
class DotLine:
    """A caller's own line in DOT: between two states by name, or from the start (None); `look` is DOT attributes."""

    source: str | None
    target: str
    look: str


def to_dot(picture: Diagram) -> str:
    """Return the picture in DOT, the language of Graphviz. Final states are in the last column.

    Raises TypeError if it is not a Diagram.
    """
    _require_diagram(picture)
    lines = (
        *(f'    initial -> {state} [color="{Colour.INK}"]' for state in _marked(picture, Mark.INITIAL)),
        *_dot_lines(_lines(picture)),
        _dot_last_column(picture),
    )
    return _dot(picture, {}, lines, ("    label=<", *_dot_legend(picture), "    >"))


def to_dot_with(picture: Diagram, lines: Sequence[DotLine], *, labels: Mapping[str, str]) -> str:
    """Return the states in DOT with the caller's lines instead of the table's rows, and without a legend.

    Args:
        picture: the diagram whose states are drawn.
        lines: the lines, in the order in which they are laid out.
        labels: labels of states that differ from their names, as DOT values, already quoted.
    """
    ids: dict[str | None, str] = {None: "initial"}
    ids.update(_ids(picture))
    drawn = [f"    {ids[line.source]} -> {ids[line.target]} [{line.look}]" for line in lines]
    final = {node.name for node in picture.nodes if Mark.FINAL in node.marks}
    if not any({line.source, line.target} <= final for line in lines):  # within one column, labels lie on each other
        drawn.append(_dot_last_column(picture))
    return _dot(picture, labels, drawn, ())


def _dot(picture: Diagram, labels: Mapping[str, str], lines: Iterable[str], legend: Iterable[str]) -> str:
    ids = _ids(picture)
    return _text(
        (
            f"digraph {_dot_quoted(picture.name)} {{",
            _DOT_HEAD,
            *(f"    {ids[node.name]} [{_dot_node(node, labels)}]" for node in picture.nodes),
            *lines,
            *legend,
            "}",
        )
    )


def _dot_last_column(picture: Diagram) -> str:
    return f"    {{rank=max; {'; '.join(_marked(picture, Mark.FINAL))}}}"


def _dot_node(node: Node, labels: Mapping[str, str]) -> str:
    fill, border = _paint(node)
    marks = "".join(_DOT_MARKS[mark] for mark in node.marks)
    label = labels.get(node.name) or _dot_quoted(node.name)
    return f'label={label}, color="{border}", fillcolor="{fill}"{marks}'


def _dot_lines(lines: Sequence[_Line]) -> Iterator[str]:
    """Yield the lines. Those that differ in their source alone meet in a dot and go on as one, if they are many."""
    alike: dict[tuple[str, Origin, tuple[str, ...]], list[str]] = {}
    for line in lines:
        alike.setdefault((line.target, line.origin, line.events), []).append(line.source)
    meeting = [key for key, sources in alike.items() if len(sources) >= _FEWEST_THAT_MEET]
    if meeting:
        yield "    graph [nodesep=0.4]"  # lines without a label are laid out closely
    for line in lines:
        key = (line.target, line.origin, line.events)
        look = _DOT_ORIGINS[line.origin]
        label = "\n".join(f" {event} " for event in line.events)  # the spaces keep the text from touching the line
        last = f"-> {line.target} [label={_dot_quoted(label)}, {look}]"
        if key not in meeting:
            yield f"    {line.source} {last}"
        elif line.source == alike[key][0]:
            point, colour = f"m{meeting.index(key)}", _COLOURS[line.origin]
            yield f'    {point} [shape=circle, width=0.09, label="", color="{colour}", fillcolor="{colour}"]'
            yield from (f"    {source} -> {point} [{look}, arrowhead=none]" for source in alike[key])
            yield f"    {point} {last}"


_FEWEST_THAT_MEET = 4


def _dot_legend(picture: Diagram) -> Iterator[str]:
    """Yield the lines of an HTML-like label: up to three entries in one row, more in two."""
    entries = list(picture.legend.items())
    columns = len(entries) if len(entries) <= 3 else -(-len(entries) // 2)
    yield '        <table border="0" cellborder="0" cellspacing="6">'
    for start in range(0, len(entries), columns):
        yield "        <tr>"
        yield from (_dot_entry(kind, meaning) for kind, meaning in entries[start : start + columns])
        yield "        </tr>"
    yield "        </table>"


def _dot_entry(kind: Origin | Mark, meaning: str) -> str:
    cells = (
        f'<td align="left"><font color="{Colour.INK}">{_roomy(kind)}</font></td><td align="left">{_roomy(meaning)}</td>'
    )
    return f"            <td>{_DOT_SAMPLES[kind]}</td>{cells}"


def _roomy(text: str) -> str:
    """Return the text of a cell with room after it: a viewer without Helvetica takes a wider font."""
    return text + "&#160;" * (1 + len(text) // 5)


def _dot_quoted(text: str) -> str:
    # Labels may also contain HTML entities, so that an ampersand is escaped.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;").replace("\n", "\\n")
    return f'"{escaped}"'


# --- PlantUML ----------------------------------------------------------------------------------

_PLANTUML_HEAD = f"""\
@startuml
left to right direction
hide empty description
skinparam BackgroundColor {Colour.PAPER}
skinparam ArrowColor {Colour.REMOTE}
skinparam StateFontColor {Colour.INK}"""
_PLANTUML_ARROWS = {Origin.CALLER: f"-[{Colour.CALLER},bold]->", Origin.REMOTE: f"-[{Colour.REMOTE},dashed]->"}
_PLANTUML_LOOKS: dict[Origin | Mark, str] = {
    Origin.CALLER: "thick line",
    Origin.REMOTE: "dashed line",
    Mark.INITIAL: "arrow from the dot",
    Mark.SETTLED: "dotted border",
    Mark.REOPENABLE: "dashed border",
    Mark.FINAL: "arrow to the ring",
    Mark.CURRENT: "bold name",
}
_PLANTUML_BORDERS = {Mark.SETTLED: "[dotted]", Mark.REOPENABLE: "[dashed]"}


def to_plantuml(picture: Diagram) -> str:
    """Return the picture as a PlantUML state diagram.

    Raises TypeError if it is not a Diagram.
    """
    _require_diagram(picture)
    ids = _ids(picture)
    return _text(
        (
            _PLANTUML_HEAD,
            *(f"state {_plantuml_label(node)} as {ids[node.name]} {_plantuml_colours(node)}" for node in picture.nodes),
            *(f"[*] --> {state}" for state in _marked(picture, Mark.INITIAL)),
            *(
                f"{line.source} {_PLANTUML_ARROWS[line.origin]} {line.target} : "
                + "\\n".join(_plantuml_escaped(event) for event in line.events)
                for line in _lines(picture)
            ),
            *(f"{state} --> [*]" for state in _marked(picture, Mark.FINAL)),
            "legend",
            *_legend_in_words(picture, _PLANTUML_LOOKS),
            "endlegend",
            "@enduml",
        )
    )


def _plantuml_label(node: Node) -> str:
    bold = "**" if Mark.CURRENT in node.marks else ""
    return f'"{bold}{_plantuml_escaped(node.name)}{bold}"'


def _plantuml_colours(node: Node) -> str:
    fill, border = _paint(node)
    line = "".join(look for mark, look in _PLANTUML_BORDERS.items() if mark in node.marks)
    return f"{fill} ##{line}{border.removeprefix('#')}"


def _plantuml_escaped(text: str) -> str:
    return re.sub(r"[^\w ]|__", lambda match: "".join(f"<U+{ord(each):04X}>" for each in match[0]), text)


# --- Markdown ----------------------------------------------------------------------------------


def to_markdown(picture: Diagram) -> str:
    """Return the lifecycle as Markdown: a table of its states, one of its rows, and the legend.

    Raises TypeError if it is not a Diagram.
    """
    _require_diagram(picture)
    return _text(
        (
            f"# {markdown_escaped(picture.name)}",
            "",
            markdown_escaped(picture.citation),
            "",
            *_markdown_table(("state", "marks", "meaning"), (_markdown_state(node) for node in picture.nodes)),
            "",
            *_markdown_table(
                ("source", "event", "origin", "target", "meaning"),
                ((edge.source, edge.event, edge.origin, edge.target, edge.meaning) for edge in picture.edges),
            ),
            "",
            *(f"- **{kind}**: {meaning}" for kind, meaning in picture.legend.items()),
        )
    )


def _markdown_state(node: Node) -> tuple[str, str, str]:
    return node.name, ", ".join(node.marks), node.meaning


def _markdown_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(markdown_escaped(cell) for cell in row)} |"


def markdown_escaped(text: str) -> str:
    """Return a text as one line in which nothing is markup."""
    # Meanings, unlike names, may contain line breaks and control characters.
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    # An underscore within a word is harmless, and most names have one.
    escaped = re.sub(r"[\\`*{}\[\]<>&|#~$!]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
    return escaped.replace("@", "&#64;")  # on GitHub it would send a mail to whom it names


RENDERERS: Mapping[Format, Callable[[Diagram], str]] = {
    Format.MERMAID: to_mermaid,
    Format.MERMAID_STATE: to_mermaid_state,
    Format.DOT: to_dot,
    Format.PLANTUML: to_plantuml,
    Format.MARKDOWN: to_markdown,
}
