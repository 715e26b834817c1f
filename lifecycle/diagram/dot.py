"""Pictures in DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lifecycle.diagram.model import (
    Colour,
    Diagram,
    Line,
    Mark,
    Node,
    ids_of,
    joined,
    lines_of,
    marked,
    paint,
    require_diagram,
)
from lifecycle.table import Origin

# These distances were found by trial: with them no label of the catalog touches a line, which a test checks.
_HEAD = f"""\
    graph [rankdir=LR, nodesep=0.2, ranksep=1.0, pad=0.25, bgcolor="{Colour.PAPER}",
           labelloc=b, fontname="Helvetica", fontsize=11, fontcolor="{Colour.BORDER}"]
    node  [shape=box, style="rounded,filled", margin="0.2,0.1", penwidth=1.4, fontname="Helvetica", fontsize=14,
           fontcolor="{Colour.INK}"]
    edge  [penwidth=1.4, arrowsize=0.8, fontname="Helvetica", fontsize=12]
    initial [shape=circle, width=0.14, label="", color="{Colour.INK}", fillcolor="{Colour.INK}"]"""
_MARKS: dict[Mark, str] = {
    Mark.INITIAL: "",  # has an arrow from the node `initial`
    Mark.SETTLED: ', style="rounded,filled,dotted", penwidth=2',
    Mark.REOPENABLE: ', style="rounded,filled,dashed"',
    Mark.FINAL: ", peripheries=2",
    Mark.CURRENT: ", penwidth=4",
}
_COLOURS = {Origin.CALLER: Colour.CALLER, Origin.REMOTE: Colour.REMOTE}
_ORIGINS: dict[Origin, str] = {
    Origin.CALLER: f'color="{Colour.CALLER}", fontcolor="{Colour.CALLER}", penwidth=2.2',
    Origin.REMOTE: f'color="{Colour.REMOTE}", fontcolor="{Colour.REMOTE}", style=dashed',
}


def _sample(look: str, *, inside: str = "") -> str:
    """Return a small shape for the legend: a table, since HTML-like labels have no other shape."""
    table = 'fixedsize="true" cellborder="0" cellpadding="0"'
    return f"<table {table} {look}><tr><td {inside}></td></tr></table>"


_SAMPLES: dict[Origin | Mark, str] = {
    Origin.CALLER: _sample(f'width="30" height="4" border="2" cellspacing="0" sides="b" color="{Colour.CALLER}"'),
    Origin.REMOTE: _sample(
        f'width="30" height="4" border="2" cellspacing="0" sides="b" style="dashed" color="{Colour.REMOTE}"'
    ),
    Mark.INITIAL: f'<font point-size="24" color="{Colour.INK}">&#8226;</font>',
    Mark.SETTLED: _sample(
        f'width="30" height="16" border="2" style="rounded,dotted" color="{Colour.SETTLED_BORDER}"'
        f' bgcolor="{Colour.SETTLED_FILL}"'
    ),
    Mark.REOPENABLE: _sample(
        f'width="30" height="16" style="rounded,dashed" color="{Colour.SETTLED_BORDER}" bgcolor="{Colour.FINAL_FILL}"'
    ),
    Mark.FINAL: _sample(
        f'width="30" height="16" style="rounded" color="{Colour.BORDER}"',
        inside=f'width="24" height="10" border="1" style="rounded" bgcolor="{Colour.FINAL_FILL}"',
    ),
    Mark.CURRENT: _sample(
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
    require_diagram(picture)
    lines = (
        *(f'    initial -> {state} [color="{Colour.INK}"]' for state in marked(picture, Mark.INITIAL)),
        *_lines(lines_of(picture)),
        _last_column(picture),
    )
    return _dot(picture, {}, lines, ("    label=<", *_legend(picture), "    >"))


def to_dot_with(picture: Diagram, lines: Sequence[DotLine], *, labels: Mapping[str, str]) -> str:
    """Return the states in DOT with the caller's lines instead of the table's rows, and without a legend.

    Args:
        picture: the diagram whose states are drawn.
        lines: the lines, in the order in which they are laid out.
        labels: labels of states that differ from their names, as DOT values, already quoted.
    """
    ids: dict[str | None, str] = {None: "initial"}
    ids.update(ids_of(picture))
    drawn = [f"    {ids[line.source]} -> {ids[line.target]} [{line.look}]" for line in lines]
    final = {node.name for node in picture.nodes if Mark.FINAL in node.marks}
    if not any({line.source, line.target} <= final for line in lines):  # within one column, labels lie on each other
        drawn.append(_last_column(picture))
    return _dot(picture, labels, drawn, ())


def _dot(picture: Diagram, labels: Mapping[str, str], lines: Iterable[str], legend: Iterable[str]) -> str:
    ids = ids_of(picture)
    return joined(
        (
            f"digraph {_quoted(picture.name)} {{",
            _HEAD,
            *(f"    {ids[node.name]} [{_node(node, labels)}]" for node in picture.nodes),
            *lines,
            *legend,
            "}",
        )
    )


def _last_column(picture: Diagram) -> str:
    return f"    {{rank=max; {'; '.join(marked(picture, Mark.FINAL))}}}"


def _node(node: Node, labels: Mapping[str, str]) -> str:
    fill, border = paint(node)
    marks = "".join(_MARKS[mark] for mark in node.marks)
    label = labels.get(node.name) or _quoted(node.name)
    return f'label={label}, color="{border}", fillcolor="{fill}"{marks}'


def _lines(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the lines. Those that differ in their source alone meet in a dot and go on as one, if they are many."""
    alike: dict[tuple[str, Origin, tuple[str, ...]], list[str]] = {}
    for line in lines:
        alike.setdefault((line.target, line.origin, line.events), []).append(line.source)
    meeting = [key for key, sources in alike.items() if len(sources) >= _FEWEST_THAT_MEET]
    if meeting:
        yield "    graph [nodesep=0.4]"  # lines without a label are laid out closely
    for line in lines:
        key = (line.target, line.origin, line.events)
        look = _ORIGINS[line.origin]
        label = "\n".join(f" {event} " for event in line.events)  # the spaces keep the text from touching the line
        last = f"-> {line.target} [label={_quoted(label)}, {look}]"
        if key not in meeting:
            yield f"    {line.source} {last}"
        elif line.source == alike[key][0]:
            point, colour = f"m{meeting.index(key)}", _COLOURS[line.origin]
            yield f'    {point} [shape=circle, width=0.09, label="", color="{colour}", fillcolor="{colour}"]'
            yield from (f"    {source} -> {point} [{look}, arrowhead=none]" for source in alike[key])
            yield f"    {point} {last}"


_FEWEST_THAT_MEET = 4


def _legend(picture: Diagram) -> Iterator[str]:
    """Yield the lines of an HTML-like label: up to three entries in one row, more in two."""
    entries = list(picture.legend.items())
    columns = len(entries) if len(entries) <= 3 else -(-len(entries) // 2)
    yield '        <table border="0" cellborder="0" cellspacing="6">'
    for start in range(0, len(entries), columns):
        yield "        <tr>"
        yield from (_entry(kind, meaning) for kind, meaning in entries[start : start + columns])
        yield "        </tr>"
    yield "        </table>"


def _entry(kind: Origin | Mark, meaning: str) -> str:
    cells = (
        f'<td align="left"><font color="{Colour.INK}">{_roomy(kind)}</font></td><td align="left">{_roomy(meaning)}</td>'
    )
    return f"            <td>{_SAMPLES[kind]}</td>{cells}"


def _roomy(text: str) -> str:
    """Return the text of a cell with room after it: a viewer without Helvetica takes a wider font."""
    return text + "&#160;" * (1 + len(text) // 5)


def _quoted(text: str) -> str:
    # Labels may also contain HTML entities, so that an ampersand is escaped.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;").replace("\n", "\\n")
    return f'"{escaped}"'
