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

from collections.abc import Callable, Mapping
from enum import StrEnum

from lifecycle.diagram.dot import to_dot
from lifecycle.diagram.markdown import to_markdown
from lifecycle.diagram.mermaid import to_mermaid, to_mermaid_state
from lifecycle.diagram.model import Colour, Diagram, Edge, Mark, Node
from lifecycle.diagram.plantuml import to_plantuml

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


RENDERERS: Mapping[Format, Callable[[Diagram], str]] = {
    Format.MERMAID: to_mermaid,
    Format.MERMAID_STATE: to_mermaid_state,
    Format.DOT: to_dot,
    Format.PLANTUML: to_plantuml,
    Format.MARKDOWN: to_markdown,
}
