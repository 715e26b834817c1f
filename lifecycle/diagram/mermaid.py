"""Pictures in Mermaid: a flowchart, or a state diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lifecycle.diagram.model import (
    Colour,
    Diagram,
    Line,
    Mark,
    Node,
    ids_of,
    joined,
    legend_in_words,
    lines_of,
    marked,
    require_diagram,
)
from lifecycle.table import Origin

# A flowchart, because state diagrams have one line style only. Monotone curves pass through their own
# labels; with the other curves a label can lie on its neighbour's line.
_HEAD = """\
---
config:
  flowchart:
    curve: monotoneY
    wrappingWidth: 400
---
flowchart TB"""
_ARROWS = {Origin.CALLER: "==>", Origin.REMOTE: "-.->"}
_LOOKS: dict[Origin | Mark, str] = {
    Origin.CALLER: "thick line",
    Origin.REMOTE: "dotted line",
    Mark.INITIAL: "dot",
    Mark.SETTLED: "dotted border",
    Mark.REOPENABLE: "dashed border",
    Mark.FINAL: "double sides",
    Mark.CURRENT: "thick border",
}
_MARKS = f"""\
    classDef settled color:{Colour.INK},fill:{Colour.SETTLED_FILL},stroke:{Colour.SETTLED_BORDER},stroke-dasharray:2 3
    classDef reopenable color:{Colour.INK},fill:{Colour.FINAL_FILL},stroke:{Colour.SETTLED_BORDER},stroke-dasharray:6 4
    classDef final color:{Colour.INK},fill:{Colour.FINAL_FILL}
    classDef current color:{Colour.INK},fill:{Colour.CURRENT_FILL},stroke:{Colour.CURRENT_BORDER},stroke-width:4px"""
_STYLES = f"""\
    classDef default fill:{Colour.FILL},stroke:{Colour.BORDER},color:{Colour.INK}
{_MARKS}
    classDef dot fill:{Colour.REMOTE},stroke:{Colour.REMOTE}
    classDef legend fill:none,stroke:none,color:{Colour.REMOTE},text-align:left
    class initial dot
    class legend legend"""


def to_mermaid(picture: Diagram) -> str:
    """Return the picture as a Mermaid flowchart, which GitHub draws in a `mermaid` block or a .mmd file.

    Raises TypeError if it is not a Diagram.
    """
    require_diagram(picture)
    ids = ids_of(picture)
    lines = lines_of(picture)
    callers = [str(index) for index, line in enumerate(lines) if line.origin is Origin.CALLER]
    return joined(
        (
            _HEAD,
            *(f"    {ids[node.name]}{_shape(node)}" for node in picture.nodes),
            *(f"    {line.source} {_ARROWS[line.origin]}|{_label(line)}| {line.target}" for line in lines),
            *(f'    initial((" ")) --> {state}' for state in marked(picture, Mark.INITIAL)),
            f'    legend["{"<br>".join(legend_in_words(picture, _LOOKS))}"]',
            _STYLES,
            *_classes(picture),
            *([f"    linkStyle {','.join(callers)} stroke:{Colour.CALLER}"] if callers else []),
        )
    )


def _shape(node: Node) -> str:
    label = f'"{_escaped(node.name)}"'
    return f"[[{label}]]" if Mark.FINAL in node.marks else f"({label})"


def _label(line: Line) -> str:
    return f'"{"<br>".join(_escaped(event) for event in line.events)}"'


def _classes(picture: Diagram) -> Iterator[str]:
    for mark in (Mark.SETTLED, Mark.REOPENABLE, Mark.FINAL, Mark.CURRENT):
        if states := marked(picture, mark):
            yield f"    class {','.join(states)} {mark}"


def _escaped(text: str) -> str:
    return re.sub(r"[^\w ]", lambda match: f"#{ord(match[0])};", text)


_STATE_LOOKS: dict[Origin | Mark, str] = {
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
    require_diagram(picture)
    ids = ids_of(picture)
    return joined(
        (
            "stateDiagram-v2",
            *(f'    state "{_escaped(node.name)}" as {ids[node.name]}' for node in picture.nodes),
            *(f"    [*] --> {state}" for state in marked(picture, Mark.INITIAL)),
            *(
                f"    {line.source} --> {line.target} : "
                + "<br>".join(f"{_escaped(event)} ({line.origin})" for event in line.events)
                for line in lines_of(picture)
            ),
            *(f"    {state} --> [*]" for state in marked(picture, Mark.FINAL)),
            "    note right of s0",
            *(f"        {line}" for line in legend_in_words(picture, _STATE_LOOKS)),
            "    end note",
            _MARKS,
            *_classes(picture),
        )
    )
