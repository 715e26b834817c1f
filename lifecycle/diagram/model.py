"""The model of a picture, and what its renderers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from lifecycle.declaration import Declaration, State
from lifecycle.errors import shortened
from lifecycle.table import E, Origin, S


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
    has = {
        Mark.INITIAL: state.initial,
        Mark.SETTLED: (state.settled or state.interrupted) and not (state.reopenable or state.final),
        Mark.REOPENABLE: state.reopenable,
        Mark.FINAL: state.final,
        Mark.CURRENT: state.name == current,
    }
    return tuple(mark for mark in Mark if has[mark])


# --- shared by the renderers -------------------------------------------------------------------


def require_diagram(given: object) -> None:
    """Raise TypeError unless it is a Diagram."""
    if not isinstance(given, Diagram):
        what = f"{shortened(given)} ({type(given).__name__})"
        raise TypeError(f"a picture is drawn from a Diagram, not from {what}; give lifecycle.diagram()")


@dataclass(frozen=True, slots=True)
class Line:
    """All edges of one origin between two states; `source` and `target` are their ids in the output."""

    source: str
    target: str
    origin: Origin
    events: tuple[str, ...]


def lines_of(picture: Diagram) -> list[Line]:
    """Return the lines, in the order of their first edges."""
    ids = ids_of(picture)
    events: dict[tuple[str, str, Origin], list[str]] = {}
    for edge in picture.edges:
        events.setdefault((ids[edge.source], ids[edge.target], edge.origin), []).append(edge.event)
    return [Line(source, target, origin, tuple(names)) for (source, target, origin), names in events.items()]


def ids_of(picture: Diagram) -> dict[str, str]:
    """Return the ids of the states in the output, by their names."""
    return {node.name: f"s{index}" for index, node in enumerate(picture.nodes)}


def marked(picture: Diagram, mark: Mark) -> list[str]:
    """Return the ids of the states that have a mark."""
    ids = ids_of(picture)
    return [ids[node.name] for node in picture.nodes if mark in node.marks]


def paint(node: Node) -> tuple[Colour, Colour]:
    """Return the fill and the border of a node: those of its last mark that has colours."""
    return next((_PAINT[mark] for mark in reversed(node.marks) if mark in _PAINT), (Colour.FILL, Colour.BORDER))


_PAINT: dict[Mark, tuple[Colour, Colour]] = {
    Mark.SETTLED: (Colour.SETTLED_FILL, Colour.SETTLED_BORDER),
    Mark.REOPENABLE: (Colour.FINAL_FILL, Colour.SETTLED_BORDER),
    Mark.FINAL: (Colour.FINAL_FILL, Colour.BORDER),
    Mark.CURRENT: (Colour.CURRENT_FILL, Colour.CURRENT_BORDER),
}


def legend_in_words(picture: Diagram, looks: Mapping[Origin | Mark, str]) -> list[str]:
    """Return the entries of the legend as sentences; `looks` has the words for what a renderer draws."""
    return [f"{looks[kind]} = {kind}, {meaning}" for kind, meaning in picture.legend.items()]


def joined(lines: Iterable[str]) -> str:
    """Return the lines as one text that ends with a line end."""
    return "\n".join(lines) + "\n"
