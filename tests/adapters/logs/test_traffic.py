"""The diagram with traffic: every transition is drawn, and its line and label show its count and its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from lifecycle import V1_FULL, V3_FULL, Event, Lifecycle, Origin, State, Transition
from lifecycle.diagram import Colour
from lifecycle_adapters.logs.page.traffic import (
    ILLEGAL_TEXT_COLOUR,
    MOST_UNDECLARED,
    SHADES,
    drawn,
    shade,
    traffic_dot,
    traffic_svg,
)
from lifecycle_adapters.logs.report import ObservedTransition, TimeInState
from lifecycle_adapters.render import DARK
from tests.adapters.logs.reports import DIRTY, report_of
from tests.support.contrast import contrast

Declared = Lifecycle[str, str]
SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Line:
    """A line of the picture, from the state where it begins to the state where its arrow is."""

    source: str
    target: str
    words: tuple[str, ...]
    look: str

    def value(self, name: str) -> str:
        found = re.search(rf'\b{name}="?([^",]+)', self.look)
        assert found, (name, self.look)
        return found[1]


def lines(dot: str) -> dict[tuple[str, str], Line]:
    states = re.findall(r"^    (s\d+) \[label=(<.*>), color", dot, re.MULTILINE)
    names = {"initial": "start"} | {node: text_of(label)[0] for node, label in states}
    found: list[Line] = []
    pattern = re.compile(r'^    (\w+) -> (\w+) \[label=(<.*>|""), (color.*)\]$', re.MULTILINE)
    for one, other, label, look in pattern.findall(dot):
        ends = (other, one) if "dir=back" in look else (one, other)
        found.append(Line(names[ends[0]], names[ends[1]], text_of(label), look))
    assert len(found) == dot.count(" -> ")
    return {(line.source, line.target): line for line in found}


def text_of(label: str) -> tuple[str, ...]:
    """The lines of a label, which is between quotation marks or angle brackets."""
    texts = (unescape(re.sub(r"<.*?>", "", part)) for part in label[1:-1].split("</tr>"))
    return tuple(filter(None, texts))


def edge(source: str | None, target: str, count: int, illegal: int = 0, *events: str) -> ObservedTransition:
    return ObservedTransition(source, target, events, count, illegal, 1)


# --- every transition has a line ---------------------------------------------------------------


def test_every_declared_transition_is_drawn_observed_or_not(declared: Declared) -> None:
    picture = lines(traffic_dot(report_of(declared), declared))

    ways = {(str(row.source), str(row.target)) for row in declared.transitions}
    assert picture.keys() == ways | {("start", str(declared.initial))}
    for row in declared.transitions:
        assert {str(row.event), "never seen"} <= {*picture[str(row.source), str(row.target)].words}


def test_every_observed_transition_is_drawn_with_its_events_and_counts() -> None:
    picture = lines(traffic_dot(DIRTY, V1_FULL))

    for way in DIRTY.observed_transitions:
        words = picture[way.source or "start", way.target].words
        assert {*way.events} <= {*words}
        if way.illegal:
            assert words[-1] == f"{way.illegal:,} illegal"
        if way.illegal < way.count:
            assert f"{way.count:,}" in words
    assert picture["start", "paused"].words == ("17 illegal",)


def test_the_svg_shows_them_all() -> None:
    root = ET.fromstring(traffic_svg(DIRTY, V1_FULL))

    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edge"]
    assert len(groups) == len(lines(traffic_dot(DIRTY, V1_FULL)))
    (labels,) = (group for group in root.iter(f"{SVG}g") if group.get("class") == "labels")
    words = ["".join(text.itertext()).replace("\xa0", " ").strip() for text in labels]
    for way in DIRTY.observed_transitions:
        told = f"{way.count:,}" if way.illegal < way.count else f"{way.illegal:,} illegal"
        assert told in words
    assert not [text for group in groups for text in group.iter(f"{SVG}text")]  # none lies behind a line


def test_rows_of_several_events_between_two_states_share_a_line() -> None:
    log = report_of(V3_FULL, observed_transitions=(edge("running", "idle", 7, 0, "complete", "stop_task"),))

    assert lines(traffic_dot(log, V3_FULL))["running", "idle"].words == ("complete", "stop_task", "7")


def test_most_frequent_undeclared_transitions_are_drawn() -> None:
    states = [State(name=f"s{number}", initial=number == 0, final=number == 11) for number in range(12)]
    row = [Transition(source=f"s{number}", event="go", target=f"s{number + 1}") for number in range(11)]
    long: Declared = Lifecycle(
        name="long", citation="", states=tuple(states), events=(Event(name="go", origin=Origin.REMOTE),),
        transitions=tuple(row),
    )  # fmt: skip
    undeclared = [
        edge(f"s{one}", f"s{other}", 10 * one + other + 1, 1) for one in range(11) for other in range(12)
        if other not in (one, one + 1)
    ]  # fmt: skip
    log = report_of(long, observed_transitions=(edge("s0", "s1", 5, 0, "go"), *undeclared))

    shown = drawn(log)

    assert len(undeclared) > MOST_UNDECLARED == len(shown) - 1
    assert {(each.source, each.target) for each in shown} <= lines(traffic_dot(log, long)).keys()
    left_out = {*undeclared} - {*shown}
    assert max(each.count for each in left_out) < min(each.count for each in shown[1:])


# --- what a line says --------------------------------------------------------------------------


def test_more_rows_make_a_wider_line() -> None:
    counts = {("created", "running"): 1, ("running", "paused"): 1_000, ("paused", "running"): 100_000_000}
    log = report_of(V1_FULL, observed_transitions=tuple(edge(*way, number, 0, "x") for way, number in counts.items()))
    picture = lines(traffic_dot(log, V1_FULL))

    widths = [float(picture[way].value("penwidth")) for way in counts]

    assert [*pairwise([1, *widths, 8])] == sorted(pairwise([1, *widths, 8]))
    assert all(later - earlier > 1 for earlier, later in pairwise(widths))


@pytest.mark.parametrize(("illegal", "place"), [(0, 0), (1, 1), (10, 1), (11, 2), (500, 2), (501, 3), (1_000, 3)])
def test_the_share_of_illegal_rows_decides_the_colour(illegal: int, place: int) -> None:
    way = edge("running", "paused", 1_000, illegal, "pause")
    picture = lines(traffic_dot(report_of(V1_FULL, observed_transitions=(way,)), V1_FULL))

    assert shade(way) is SHADES[place]
    assert picture["running", "paused"].value("color") == SHADES[place].light


def test_line_styles_tell_what_is_declared_without_colour() -> None:
    log = report_of(
        V1_FULL, observed_transitions=(edge("created", "running", 9, 0, "start"), edge("created", "paused", 9, 9))
    )
    picture = lines(traffic_dot(log, V1_FULL))

    assert "style" not in picture["created", "running"].look
    assert picture["created", "paused"].value("style") == "dashed"
    unseen = picture["running", "paused"]
    assert (unseen.value("style"), unseen.value("color"), unseen.value("penwidth")) == ("dashed", Colour.REMOTE, "1")


def test_allowed_late_start_is_drawn_like_the_initial_one() -> None:
    """As in a polled log, where nothing says where a task began."""
    log = report_of(V1_FULL, observed_transitions=(edge(None, "paused", 9),), mode="sampled")

    line = lines(traffic_dot(log, V1_FULL))["start", "paused"]

    assert "style" not in line.look
    assert line.words == ("9",)


def test_illegal_transitions_do_not_change_the_direction_of_the_picture() -> None:
    backwards = report_of(V1_FULL, observed_transitions=(edge("failed", "created", 9, 9),))

    assert " dir=back" in lines(traffic_dot(backwards, V1_FULL))["failed", "created"].look


def test_final_states_are_in_the_last_column_unless_a_transition_joins_two_of_them() -> None:
    assert "rank=max" in traffic_dot(
        report_of(V1_FULL, observed_transitions=(edge("failed", "created", 9, 9),)), V1_FULL
    )
    assert "rank=max" not in traffic_dot(
        report_of(V1_FULL, observed_transitions=(edge("failed", "stopped", 9, 9),)), V1_FULL
    )


def test_states_show_how_long_tasks_stayed_and_how_many_are_there() -> None:
    stay = TimeInState("running", 10, 1.0, 61.0, 7_260.0, 1.0, 1.0)
    dot = traffic_dot(report_of(V1_FULL, times_in_state=(stay,), last_states={"running": 1_234, "failed": 56}), V1_FULL)

    labels = [text_of(label) for label in re.findall(r"^    s\d+ \[label=(<.*>), color", dot, re.MULTILINE)]
    assert ("running", "p50 1 min 1 s", "p95 2 h 1 min", "1,234 still here") in labels
    assert ("failed", "56 ended") in labels
    assert ("paused",) in labels


@pytest.mark.parametrize("name", ["<script>", "&lt;", 'a"b', "a\\N\\E\\G\\\\", "]]>", "--", "x" * 100, "日本語"])
def test_hostile_names_are_shown_as_they_are(name: str) -> None:
    hostile: Declared = Lifecycle(
        name=name, citation="", states=(State(name=name, initial=True), State(name="end", final=True)),
        events=(Event(name=f"{name[:99]}!", origin=Origin.CALLER),),
        transitions=(Transition(source=name, event=f"{name[:99]}!", target="end"),),
    )  # fmt: skip

    root = ET.fromstring(traffic_svg(report_of(hostile), hostile))

    words = ["".join(text.itertext()).replace("\xa0", " ").strip() for text in root.iter(f"{SVG}text")]
    wanted = [name, f"{name}!"] if len(name) < 40 else [f"{name[:39]}…"]
    assert {*wanted} <= {*words}
    assert [title.text for title in root.iter(f"{SVG}title")] == [f"{name} with its traffic"]


# --- colours -----------------------------------------------------------------------------------


def test_every_colour_has_a_dark_form() -> None:
    svg = traffic_svg(DIRTY, V1_FULL)

    painted = {element.get(part) for element in ET.fromstring(svg).iter() for part in ("fill", "stroke")}
    dark = {*map(str, DARK), *(each.light for each in SHADES)}
    assert painted - {None, "none", "black"} <= dark
    assert {*(each.light for each in SHADES)} <= painted  # the example has them all
    assert all(f'[stroke="{each}"]' in svg for each in dark)


@pytest.mark.parametrize("is_dark", [False, True])
def test_lines_and_words_are_legible(is_dark: bool) -> None:
    paper = DARK[Colour.PAPER] if is_dark else Colour.PAPER
    dark = {str(Colour.CALLER): DARK[Colour.CALLER]} | {each.light: each.dark for each in SHADES}

    assert all(contrast(dark[each.light] if is_dark else each.light, paper) >= 3 for each in SHADES)  # WCAG 2.2, 1.4.11
    assert contrast(dark[ILLEGAL_TEXT_COLOUR] if is_dark else ILLEGAL_TEXT_COLOUR, paper) >= 4.5  # 1.4.3
    assert dark[Colour.CALLER] == SHADES[0].dark == DARK[Colour.CALLER]
