"""Pictures in PlantUML: a state diagram."""

from __future__ import annotations

import re

from lifecycle.diagram.model import (
    Colour,
    Diagram,
    Mark,
    Node,
    ids_of,
    joined,
    legend_in_words,
    lines_of,
    marked,
    paint,
    require_diagram,
)
from lifecycle.table import Origin

_HEAD = f"""\
@startuml
left to right direction
hide empty description
skinparam BackgroundColor {Colour.PAPER}
skinparam ArrowColor {Colour.REMOTE}
skinparam StateFontColor {Colour.INK}"""
_ARROWS = {Origin.CALLER: f"-[{Colour.CALLER},bold]->", Origin.REMOTE: f"-[{Colour.REMOTE},dashed]->"}
_LOOKS: dict[Origin | Mark, str] = {
    Origin.CALLER: "thick line",
    Origin.REMOTE: "dashed line",
    Mark.INITIAL: "arrow from the dot",
    Mark.SETTLED: "dotted border",
    Mark.REOPENABLE: "dashed border",
    Mark.FINAL: "arrow to the ring",
    Mark.CURRENT: "bold name",
}
_BORDERS = {Mark.SETTLED: "[dotted]", Mark.REOPENABLE: "[dashed]"}


def to_plantuml(picture: Diagram) -> str:
    """Return the picture as a PlantUML state diagram.

    Raises TypeError if it is not a Diagram.
    """
    require_diagram(picture)
    ids = ids_of(picture)
    return joined(
        (
            _HEAD,
            *(f"state {_label(node)} as {ids[node.name]} {_colours(node)}" for node in picture.nodes),
            *(f"[*] --> {state}" for state in marked(picture, Mark.INITIAL)),
            *(
                f"{line.source} {_ARROWS[line.origin]} {line.target} : "
                + "\\n".join(_escaped(event) for event in line.events)
                for line in lines_of(picture)
            ),
            *(f"{state} --> [*]" for state in marked(picture, Mark.FINAL)),
            "legend",
            *legend_in_words(picture, _LOOKS),
            "endlegend",
            "@enduml",
        )
    )


def _label(node: Node) -> str:
    bold = "**" if Mark.CURRENT in node.marks else ""
    return f'"{bold}{_escaped(node.name)}{bold}"'


def _colours(node: Node) -> str:
    fill, border = paint(node)
    line = "".join(look for mark, look in _BORDERS.items() if mark in node.marks)
    return f"{fill} ##{line}{border.removeprefix('#')}"


def _escaped(text: str) -> str:
    return re.sub(r"[^\w ]|__", lambda match: "".join(f"<U+{ord(each):04X}>" for each in match[0]), text)
