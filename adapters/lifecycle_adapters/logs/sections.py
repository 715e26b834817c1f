"""A report as sections of tables, described once, for the terminal and for the HTML page.

The contents and the order of the tables belong here; colours, widths and markup do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, TypeAlias, cast

from lifecycle import FindingCode, Lifecycle
from lifecycle.conformance import Mode
from lifecycle_adapters.logs.report import LogReport, ObservedTransition, TimeInState
from lifecycle_adapters.logs.rules import START, Rules
from lifecycle_adapters.logs.units import count, duration, share

_MOST_ON_SCREEN = 10

_MEANINGS = {
    FindingCode.UNKNOWN_STATUS: "A status that the channel does not know. The row is left out of its task's history.",
    FindingCode.WRONG_START: "The first row of a task is not the initial state.",
    FindingCode.DUPLICATE: "The state of the row before is repeated.",
    FindingCode.AFTER_FINAL: "Something was reported after a final state.",
    FindingCode.GAP: "Only several transitions lead from the state before to this one: rows between them are missing.",
    FindingCode.OUT_OF_ORDER: "Transitions lead only from this state to the one before: a late row.",
    FindingCode.IMPOSSIBLE: "No transitions lead from the state before to this one, or back: both cannot be true.",
}


class CellKind(Enum):
    """The kind of a cell's text."""

    PLAIN = auto()  # our own text, and numbers
    SPAN = auto()  # a time span, whose smaller unit may be on a line of its own
    BAD = auto()  # a number that should be 0
    ABSENT = auto()  # our own text in place of something that does not exist
    NAME = auto()  # foreign: an id, a status, a state or an event
    FILE = auto()  # foreign: the name of a file
    REASON = auto()  # foreign: why a file could not be read


class Cell(NamedTuple):
    """A cell: its texts (several only if they are names), their kind, and a note to show if there is space."""

    texts: tuple[str, ...]
    kind: CellKind = CellKind.PLAIN
    note: str = ""


Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its titles.

    Attributes:
        title: the heading of the section.
        lead: the title of the first column if there is no heading.
        caption: one sentence about its contents.
        texts, numbers: the titles of its columns, first those of texts.
        rows: one cell for each column.
        most_on_screen: the most rows on a screen; None for all.
    """

    title: str
    lead: str
    caption: str
    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: tuple[Row, ...]
    most_on_screen: int | None = None


@dataclass(frozen=True, slots=True)
class Sections:
    """All sections of a report, in their order. Sections without rows are not shown."""

    findings: Section
    transitions: Section
    times_in_state: Section
    last_states: Section
    uncovered: Section
    worst: Section
    unknown: Section
    unreadable: Section
    broken: Section

    def __iter__(self) -> Iterator[Section]:
        """Yield the sections in their order."""
        return (getattr(self, name) for name in self.__slots__)


def sections_of(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Sections:
    """Return the sections of a report about a log that was checked against this lifecycle."""
    return Sections(
        findings=Section(
            "Findings by kind", "finding", "An error makes its task's history bad, a note does not",
            ("Kind", "Severity"), ("Rows", "Share"), tuple(_findings(report, lifecycle)),
        ),
        transitions=Section(
            "Observed transitions", "from",
            "How often tasks went from one state to another, from one row to the next; the declared transitions first",
            ("From", "To", "By"), ("Rows", "Illegal", "Share"),
            tuple(_transition(each, lifecycle) for each in report.observed_transitions),
        ),
        times_in_state=Section(
            "Time in state", "time in",
            "How long tasks stayed in a state before they left it; visits that have not ended are left out",
            ("State",), ("Visits", "Mean", "p50", "p95", "p99", "Longest"),
            tuple(map(_time_in_state, report.times_in_state)),
        ),
        last_states=Section(
            "Last states", "last seen in", "The state in which tasks were last seen",
            ("State", "Which is"), ("Tasks", "Share"), tuple(_last_states(report, lifecycle)),
        ),
        uncovered=Section(
            "Coverage", "never seen from", "Declared, never seen", ("From", "To", "By"), (),
            tuple((_name(source), _name(to), _name(event)) for source, event, to in report.uncovered_transitions),
        ),
        worst=Section(
            "Worst tasks", "tasks with the most errors", "The tasks with the most errors", ("Task",), ("Errors",),
            tuple((_name(task), _count(number)) for task, number in report.worst), _MOST_ON_SCREEN,
        ),
        unknown=Section(
            "Unknown statuses", "unknown status", "The most frequent statuses that the channel does not know",
            ("Status",), ("Rows",),
            tuple((_name(status), _count(number)) for status, number in report.unknown_statuses.items()),
        ),
        unreadable=Section(
            "Not read", "unreadable because", "Rows that could not be read; they were not judged",
            ("Reason",), ("Rows",), tuple((_plain(why), _count(number)) for why, number in report.unreadable.items()),
        ),
        broken=Section(
            "Not read", "not read to its end", "Files that could not be read to their end; what was read counts",
            ("File", "Because"), (),
            tuple((Cell((file,), CellKind.FILE), Cell((why,), CellKind.REASON)) for file, why in report.broken.items()),
        ),
    )  # fmt: skip


def _findings(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[Row]:
    rules = Rules(lifecycle, mode=cast("Mode", report.mode), channel=report.channel)
    severities = {deviation.code: deviation.severity for deviation in rules.deviations.values()}
    severities[FindingCode.UNKNOWN_STATUS] = rules.deviation_of_unknown(START, ended=False).severity
    for code, number in report.findings.items():
        named = Cell((str(code),), note=_MEANINGS[code])
        yield named, _plain(str(severities[code])), _count(number), _plain(share(number, report.rows))


def _transition(observed: ObservedTransition, lifecycle: Lifecycle[Any, Any]) -> Row:
    source = Cell(("the start",), CellKind.ABSENT) if observed.source is None else _name(observed.source)
    events = Cell(observed.events, CellKind.NAME)
    if observed.source is not None and not observed.events:
        is_gap = lifecycle.path(observed.source, observed.target) is not None
        events = Cell(("several transitions" if is_gap else "no transition",), CellKind.ABSENT)
    kind = CellKind.BAD if observed.illegal else CellKind.PLAIN
    illegal = Cell((count(observed.illegal),), kind), Cell((share(observed.illegal, observed.count),), kind)
    return source, _name(observed.target), events, _count(observed.count), *illegal


def _time_in_state(time: TimeInState) -> Row:
    spans = (time.mean_s, time.p50_s, time.p95_s, time.p99_s, time.longest_s)
    return _name(time.state), _count(time.count), *(Cell((duration(span),), CellKind.SPAN) for span in spans)


def _last_states(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[Row]:
    for state, number in report.last_states.items():
        yield _name(state), _plain(_rest(lifecycle, state)), _count(number), _plain(share(number, report.tasks))


def _rest(lifecycle: Lifecycle[Any, Any], state: str) -> str:
    if lifecycle.is_over(state):
        return "final" if lifecycle.is_final(state) else "reopenable"
    return "settled" if lifecycle.is_settled(state) else "not over"


def _name(text: str) -> Cell:
    return Cell((text,), CellKind.NAME)


def _plain(text: str) -> Cell:
    return Cell((text,))


def _count(number: int) -> Cell:
    return Cell((count(number),))
