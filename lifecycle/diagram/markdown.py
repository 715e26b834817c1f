"""Lifecycles as Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lifecycle.diagram.model import (
    Diagram,
    Node,
    joined,
    require_diagram,
)


def to_markdown(picture: Diagram) -> str:
    """Return the lifecycle as Markdown: a table of its states, one of its rows, and the legend.

    Raises TypeError if it is not a Diagram.
    """
    require_diagram(picture)
    return joined(
        (
            f"# {markdown_escaped(picture.name)}",
            "",
            markdown_escaped(picture.citation),
            "",
            *_table(("state", "marks", "meaning"), (_state(node) for node in picture.nodes)),
            "",
            *_table(
                ("source", "event", "origin", "target", "meaning"),
                ((edge.source, edge.event, edge.origin, edge.target, edge.meaning) for edge in picture.edges),
            ),
            "",
            *(f"- **{kind}**: {meaning}" for kind, meaning in picture.legend.items()),
        )
    )


def _state(node: Node) -> tuple[str, str, str]:
    return node.name, ", ".join(node.marks), node.meaning


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
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
