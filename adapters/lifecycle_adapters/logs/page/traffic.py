"""A lifecycle's picture with the traffic of a log: how often each way was gone, how much of it was illegal.

Lines are as wide as the order of magnitude of their count, so that one row shows beside a hundred million, and
coloured by how much of it is findings; label and line style say the same without colours. The model and the
states' looks are those of lifecycle/diagram.py; the blue and the vermilion are again of Okabe and Ito, the steps
between them get darker on white and less bright on black.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from lifecycle import Lifecycle
from lifecycle.diagram import Colour, DotLine, to_dot_with
from lifecycle_adapters.logs.report import LogReport, ObservedTransition
from lifecycle_adapters.logs.units import count, duration
from lifecycle_adapters.render import dot_to_svg


@dataclass(frozen=True, slots=True)
class Shade:
    """How illegal a way is: up to and with which share, its colours, and the words of a legend."""

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
"""Ways that no transition declares are drawn up to this number, the most frequent first."""

_WIDEST, _THINNEST = 7.0, 1.4  # points
_SMALLEST_SCALE = 1_000  # rows: a log of some dozens has no motorways
_LONGEST_NAME = 40  # characters on a line


def shade(edge: ObservedTransition) -> Shade:
    """Return the shade of a way."""
    return next(each for each in SHADES if edge.illegal_share <= each.most)


def is_undeclared(edge: ObservedTransition) -> bool:
    """Tell whether no transition leads this way; a start is declared where it is no finding."""
    return not edge.events and (edge.source is not None or edge.illegal > 0)


def drawn(report: LogReport) -> tuple[ObservedTransition, ...]:
    """Return the ways that the picture shows: all declared ones, the most frequent of the others."""
    undeclared = [edge for edge in report.edges if is_undeclared(edge)]
    left_out = {*sorted(undeclared, key=lambda edge: -edge.count)[MOST_UNDECLARED:]}
    return tuple(edge for edge in report.edges if edge not in left_out)


def traffic_svg(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    """Return the picture as an SVG document that follows the reader's light or dark background.

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
    """Put the labels of lines last, which is in front of all lines, and upper words in front of lower ones.

    So the bright edge that a page gives them crosses out lines, and no underscore.
    """
    labels: list[str] = []

    def take(group: re.Match[str]) -> str:
        labels.extend(re.findall(r"<text .*?</text>\n", group[0]))
        return re.sub(r"<text .*?</text>\n", "", group[0])

    lines = re.sub(r'<g id="edge\d+" class="edge">.*?</g>', take, svg, flags=re.DOTALL)
    graph, end = lines.rsplit("</g>", 1)
    return f'{graph}<g class="labels">\n{"".join(reversed(labels))}</g>\n</g>{end}'


def traffic_dot(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    """Return the picture in DOT."""
    return to_dot_with(lifecycle.diagram(), tuple(_lines(report, lifecycle)), labels=dict(_labels(report, lifecycle)))


def _lines(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[DotLine]:
    """The declared ways in declared order, gone or not, then the others."""
    ways: dict[tuple[str | None, str], list[str]] = {(None, str(lifecycle.initial)): []}
    for row in lifecycle.transitions:
        ways.setdefault((str(row.source), str(row.target)), []).append(str(row.event))
    edges = {(edge.source, edge.target): edge for edge in drawn(report)}
    unseen = {(source, target) for source, _, target in report.uncovered_transitions}
    busiest = max([_SMALLEST_SCALE, *(edge.count for edge in edges.values())])
    for way, events in ways.items():
        if (edge := edges.pop(way, None)) is not None:
            yield DotLine(*way, _gone(edge, busiest))
        else:
            yield DotLine(*way, _not_gone(events, "never seen" if way in unseen or way[0] is None else ""))
    order = _from_left_to_right(lifecycle)
    for (source, target), edge in edges.items():
        look = _gone(edge, busiest)
        if source is not None and order.index(source) > order.index(target):
            # Laid out the other way round, lest what is forbidden decides which state stands left.
            yield DotLine(target, source, f"{look}, dir=back")
        else:
            yield DotLine(source, target, look)


def _from_left_to_right(lifecycle: Lifecycle[Any, Any]) -> list[str]:
    """The states by how many transitions they are from the initial one, final ones last."""
    far = {state.name: len(lifecycle.path(lifecycle.initial, state.name) or ()) for state in lifecycle.states}
    states = sorted(lifecycle.states, key=lambda state: (state.final, far[state.name]))
    return [str(state.name) for state in states]


def _gone(edge: ObservedTransition, busiest: int) -> str:
    width = _THINNEST + (_WIDEST - _THINNEST) * math.log10(1 + edge.count) / math.log10(1 + busiest)
    colour = shade(edge).light
    illegal = f'<font color="{ILLEGAL_TEXT_COLOUR}"><b>{count(edge.illegal)} illegal</b></font>'
    words = [*map(_name, edge.events)]
    if edge.illegal < edge.count:
        words.append(f"<b>{count(edge.count)}</b>")
    if edge.illegal:
        words.append(illegal)
    style = ", style=dashed" if is_undeclared(edge) else ", weight=2"
    return (
        f'label={_stacked(words, width)}, color="{colour}", fontcolor="{Colour.INK}", '
        f"penwidth={width:.1f}, arrowsize={0.55 + width / 18:.2f}{style}"
    )


def _not_gone(events: list[str], told: str) -> str:
    words = [*map(_name, events), *([f"<i>{told}</i>"] if told else [])]
    return (
        f'label={_stacked(words, 1)}, color="{Colour.REMOTE}", fontcolor="{Colour.REMOTE}", '
        "penwidth=1, arrowsize=0.6, style=dashed"
    )


def _stacked(words: list[str], width: float) -> str:
    """A label of some rows, as far off its line as that is wide."""
    if not words:
        return '""'
    around = f'<table border="0" cellspacing="0" cellpadding="{1 + round(width / 2)}">'
    return f"<{around}<tr><td>{_rows(words)}</td></tr></table>>"


def _rows(words: list[str]) -> str:
    """Words below each other, a point more apart than lines would be, for the sake of underscores."""
    rows = "".join(f"<tr><td>{each}</td></tr>" for each in words)
    return f'<table border="0" cellspacing="1" cellpadding="0">{rows}</table>'


def _labels(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[tuple[str, str]]:
    """What each state shows: its name, how long tasks stayed in it, how many were last seen there."""
    dwell = {each.state: each for each in report.dwell}
    for state in lifecycle.states:
        name = str(state.name)
        notes: list[str] = []
        if (stay := dwell.get(name)) is not None:
            notes += [f"p50 {duration(stay.p50_s)}", f"p95 {duration(stay.p95_s)}"]
        if last := report.endings.get(name):
            notes.append(f"{count(last)} ended" if state.final else f"{count(last)} still here")
        small = [f'<font point-size="10.5" color="{Colour.BORDER}">{note}</font>' for note in notes]
        yield name, f"<{_rows([_name(name), *small])}>"


def _name(text: str) -> str:
    cut = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
    return escape(cut).replace("\\", r"\\")  # in a label \N is the name of the node
