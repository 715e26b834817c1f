"""A lifecycle's diagram with the traffic of a log: how often each transition was observed, and how often illegally.

An edge is as wide as the order of magnitude of its count, so that one row is visible beside a hundred million, and
coloured by its share of findings; label and line style show the same without colours. The model and the style of states
are those of lifecycle/diagram; the blue and the vermilion are again those of Okabe and Ito, the steps between them
get darker on white and less bright on black.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from lifecycle import Lifecycle
from lifecycle.diagram import Colour
from lifecycle.diagram.dot import DotLine, to_dot_with
from lifecycle_adapters.logs.report import LogReport, ObservedTransition
from lifecycle_adapters.logs.units import count, duration
from lifecycle_adapters.render import dot_to_svg


@dataclass(frozen=True, slots=True)
class Shade:
    """A shade for edges up to this share of findings: its colours, and its text in the legend."""

    most: float
    light: str
    dark: str
    meaning: str


SHADES = (
    Shade(0.0, Colour.CALLER, "#56b4e9", "nothing illegal"),
    Shade(0.01, "#b87d00", "#f2c14e", "up to 1 % illegal"),
    Shade(0.5, "#d55e00", "#f28b3c", "up to half illegal"),
    Shade(1.0, "#a12c00", "#ff6b57", "more than half illegal"),
)

ILLEGAL_TEXT_COLOUR = SHADES[-1].light
"""The one shade that is legible in small letters."""

MOST_UNDECLARED = 30
"""The most undeclared edges to draw, the most frequent first."""

_WIDEST, _THINNEST = 7.0, 1.4  # points
_SMALLEST_SCALE = 1_000  # rows: a log of some dozens has no wide edges
_LONGEST_NAME = 40  # characters on a line


def shade(edge: ObservedTransition) -> Shade:
    """Return the shade of an edge."""
    return next(each for each in SHADES if edge.illegal_share <= each.most)


def is_undeclared(edge: ObservedTransition) -> bool:
    """Return whether the lifecycle declares no transition for this edge; a start is declared unless it is a finding."""
    return not edge.events and (edge.source is not None or edge.illegal > 0)


def drawn(report: LogReport) -> tuple[ObservedTransition, ...]:
    """Return the edges of the diagram: all declared ones, and the most frequent of the others."""
    undeclared = [edge for edge in report.observed_transitions if is_undeclared(edge)]
    left_out = {*sorted(undeclared, key=lambda edge: -edge.count)[MOST_UNDECLARED:]}
    return tuple(edge for edge in report.observed_transitions if edge not in left_out)


def traffic_svg(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    """Return the diagram as an SVG document that follows the reader's light or dark background.

    Raises:
        MissingExtra: neither graphviz-pure nor `dot` is installed.
        RenderError: the program failed or took longer than 30 seconds.
    """
    svg = dot_to_svg(
        traffic_dot(report, lifecycle),
        title=f"{lifecycle.name} with its traffic",
        dark={each.light: each.dark for each in SHADES[1:]},
    )
    return _labels_on_top(svg)


def _labels_on_top(svg: str) -> str:
    """Draw the labels last, the upper ones in front of the lower ones.

    Their light outline then covers edges, but not the underscores of the label above.
    """
    labels: list[str] = []

    def take(group: re.Match[str]) -> str:
        labels.extend(re.findall(r"<text .*?</text>\n", group[0]))
        return re.sub(r"<text .*?</text>\n", "", group[0])

    lines = re.sub(r'<g id="edge\d+" class="edge">.*?</g>', take, svg, flags=re.DOTALL)
    graph, end = lines.rsplit("</g>", 1)
    return f'{graph}<g class="labels">\n{"".join(reversed(labels))}</g>\n</g>{end}'


def traffic_dot(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    """Return the diagram in DOT."""
    return to_dot_with(lifecycle.diagram(), tuple(_lines(report, lifecycle)), labels=dict(_labels(report, lifecycle)))


def _lines(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[DotLine]:
    """Yield the declared edges in declared order, observed or not, then the others."""
    declared: dict[tuple[str | None, str], list[str]] = {(None, str(lifecycle.initial)): []}
    for row in lifecycle.transitions:
        declared.setdefault((str(row.source), str(row.target)), []).append(str(row.event))
    observed_transitions = {(edge.source, edge.target): edge for edge in drawn(report)}
    unseen = {(source, target) for source, _, target in report.uncovered_transitions}
    busiest = max([_SMALLEST_SCALE, *(edge.count for edge in observed_transitions.values())])
    for ends, events in declared.items():
        if (edge := observed_transitions.pop(ends, None)) is not None:
            yield DotLine(*ends, _observed(edge, busiest))
        else:
            yield DotLine(*ends, _unobserved(events, "never seen" if ends in unseen or ends[0] is None else ""))
    order = _from_left_to_right(lifecycle)
    for (source, target), edge in observed_transitions.items():
        look = _observed(edge, busiest)
        if source is not None and order.index(source) > order.index(target):
            # The layout gets it reversed, so that an illegal edge does not decide which state is on the left.
            yield DotLine(target, source, f"{look}, dir=back")
        else:
            yield DotLine(source, target, look)


def _from_left_to_right(lifecycle: Lifecycle[Any, Any]) -> list[str]:
    """Return the states by their distance from the initial one, final ones last."""
    far = {state.name: len(lifecycle.path(lifecycle.initial, state.name) or ()) for state in lifecycle.states}
    states = sorted(lifecycle.states, key=lambda state: (state.final, far[state.name]))
    return [str(state.name) for state in states]


def _observed(edge: ObservedTransition, busiest: int) -> str:
    width = _THINNEST + (_WIDEST - _THINNEST) * math.log10(1 + edge.count) / math.log10(1 + busiest)
    colour = shade(edge).light
    illegal = f'<font color="{ILLEGAL_TEXT_COLOUR}"><b>{count(edge.illegal)} illegal</b></font>'
    texts = [*map(_name, edge.events)]
    if edge.illegal < edge.count:
        texts.append(f"<b>{count(edge.count)}</b>")
    if edge.illegal:
        texts.append(illegal)
    style = ", style=dashed" if is_undeclared(edge) else ", weight=2"
    return (
        f'label={_stacked(texts, width)}, color="{colour}", fontcolor="{Colour.INK}", '
        f"penwidth={width:.1f}, arrowsize={0.55 + width / 18:.2f}{style}"
    )


def _unobserved(events: list[str], note: str) -> str:
    texts = [*map(_name, events), *([f"<i>{note}</i>"] if note else [])]
    return (
        f'label={_stacked(texts, 1)}, color="{Colour.REMOTE}", fontcolor="{Colour.REMOTE}", '
        "penwidth=1, arrowsize=0.6, style=dashed"
    )


def _stacked(texts: list[str], width: float) -> str:
    """Return a label of several rows, as far from its edge as the edge is wide."""
    if not texts:
        return '""'
    around = f'<table border="0" cellspacing="0" cellpadding="{1 + round(width / 2)}">'
    return f"<{around}<tr><td>{_rows(texts)}</td></tr></table>>"


def _rows(texts: list[str]) -> str:
    """Return texts below each other, a point further apart than lines, because of underscores."""
    rows = "".join(f"<tr><td>{each}</td></tr>" for each in texts)
    return f'<table border="0" cellspacing="1" cellpadding="0">{rows}</table>'


def _labels(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield the label of each state: its name, how long tasks stayed in it, how many were last seen there."""
    dwell = {each.state: each for each in report.times_in_state}
    for state in lifecycle.states:
        name = str(state.name)
        notes: list[str] = []
        if (stay := dwell.get(name)) is not None:
            notes += [f"p50 {duration(stay.p50_s)}", f"p95 {duration(stay.p95_s)}"]
        if last := report.last_states.get(name):
            notes.append(f"{count(last)} ended" if state.final else f"{count(last)} still here")
        small = [f'<font point-size="10.5" color="{Colour.BORDER}">{note}</font>' for note in notes]
        yield name, f"<{_rows([_name(name), *small])}>"


def _name(text: str) -> str:
    cut = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
    return escape(cut).replace("\\", r"\\")  # in a label \N is the name of the node
