"""Mermaid flowcharts as pictures: where Markdown is read without this site they are drawn, here by Graphviz.

Mermaid itself is a script of several megabytes. What it has beyond the following is refused:

    flowchart TD
        one[("a text")] -->|"a label"| two
"""

from __future__ import annotations

import re

from from_code.markdown import html
from from_code.pictures import figure
from lifecycle.diagram import Colour
from lifecycle_adapters.render import dot_to_svg

_NODE = r"(\w+)(?:\[[\[(]?\"?([^\]\")]+)\"?[\])]?\])?"
_EDGE = re.compile(rf"{_NODE} -->(?:\|\"?([^|\"]*)\"?\|)? {_NODE}")
_DIRECTIONS = {"TD": "TB", "TB": "TB", "LR": "LR"}


def flowchart(source: str) -> str:
    """Return the picture of a flowchart. A line that is not understood is a ValueError, which ends the build."""
    first, *lines = (line.strip() for line in source.strip().splitlines())
    direction = _DIRECTIONS[first.removeprefix("flowchart ")]
    labels: dict[str, str] = {}
    edges: list[str] = []
    for line in filter(None, lines):
        edge = _EDGE.fullmatch(line)
        if edge is None:
            raise ValueError(f"this line of a flowchart is not understood: {line}")
        one, its_label, label, other, others_label = edge.groups(default="")
        for name, text in ((one, its_label), (other, others_label)):
            labels[name] = text or labels.get(name, name)
        edges.append(f'  {one} -> {other} [label=" {label} "]\n')
    nodes = "".join(f'  {name} [label="{text}"]\n' for name, text in labels.items())
    dot = (
        f'digraph {{\n  graph [rankdir={direction}, bgcolor="{Colour.PAPER}", nodesep=0.4]\n'
        f'  node [shape=box, style="rounded,filled", color="{Colour.BORDER}", fillcolor="{Colour.FILL}",'
        f' fontcolor="{Colour.INK}", fontname="Helvetica", fontsize=13]\n'
        f'  edge [color="{Colour.BORDER}", fontcolor="{Colour.INK}", fontname="Helvetica", fontsize=11]\n'
        f"{nodes}{''.join(edges)}}}\n"
    )
    return html(figure(dot_to_svg(dot, title="flowchart", dark={}), f"Flowchart: {', '.join(labels.values())}"))
