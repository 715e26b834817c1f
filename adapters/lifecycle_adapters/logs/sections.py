"""A report as sections of tables, described once and shown by the terminal and by the HTML page.

What a table says and in which order stands here; colours, widths and markup are those of who shows it.
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
    FindingCode.UNKNOWN_STATUS: "A word that the channel does not know. The row is left out of its task's history.",
    FindingCode.WRONG_START: "The first row of a task is not the initial state.",
    FindingCode.DUPLICATE: "The state of the row before, once more.",
    FindingCode.AFTER_FINAL: "Something was reported after a final state.",
    FindingCode.GAP: "Only several transitions lead from the state before to this one: rows between them are missing.",
    FindingCode.OUT_OF_ORDER: "Nothing leads from the state before to this one, but the other way round: a late row.",
    FindingCode.IMPOSSIBLE: "Nothing leads from the state before to this one, nor back: both cannot be true.",
}


class Kind(Enum):
    """What the text of a cell is."""

    PLAIN = auto()  # words of ours and numbers
    SPAN = auto()  # a time span, of which the smaller unit may stand on a line of its own
    BAD = auto()  # a number that should be 0
    ABSENT = auto()  # words of ours in the place of something that is not there
    WORD = auto()  # foreign: an id, a status, a state or an event
    FILE = auto()  # foreign: the name of a file
    REASON = auto()  # foreign: why a file could not be read


class Cell(NamedTuple):
    """A cell: its texts, of which only words may be several, what they are, and a note for which there may be room."""

    texts: tuple[str, ...]
    kind: Kind = Kind.PLAIN
    note: str = ""


Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its titles.

    Attributes:
        title: what stands above it.
        lead: what the first column is called where nothing stands above.
        caption: what it shows, in a sentence.
        texts, numbers: the titles of its columns, first those of texts.
        rows: one cell for each column.
        most_on_screen: how many rows are enough for a screen; None for all.
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
    """All sections of a report, in their order. Those without rows have nothing to show."""

    findings: Section
    ways: Section
    dwell: Section
    endings: Section
    uncovered: Section
    worst: Section
    unknown: Section
    unreadable: Section
    broken: Section

    def __iter__(self) -> Iterator[Section]:
        """Yield them in their order."""
        return (getattr(self, name) for name in self.__slots__)


def sections_of(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Sections:
    """Return the sections of a report about a log that was checked against this lifecycle."""
    return Sections(
        findings=Section(
            "Findings by kind", "finding", "A finding makes its task's history bad, an information does not",
            ("Kind", "Severity"), ("Rows", "Share"), tuple(_findings(report, lifecycle)),
        ),
        ways=Section(
            "Ways", "from",
            "How often tasks went from one state to another, from one row to the next; declared ways first",
            ("From", "To", "By"), ("Rows", "Illegal", "Share"), tuple(map(_way, report.edges)),
        ),
        dwell=Section(
            "Dwell times", "stayed in",
            "How long tasks stayed in a state before they left it; visits that have not ended are not in it",
            ("State",), ("Visits", "Mean", "p50", "p95", "p99", "Longest"), tuple(map(_stay, report.dwell)),
        ),
        endings=Section(
            "Endings", "last seen in", "The state in which tasks were last seen",
            ("State", "Which is"), ("Tasks", "Share"), tuple(_endings(report, lifecycle)),
        ),
        uncovered=Section(
            "Coverage", "never seen from", "Declared, never seen", ("From", "To", "By"), (),
            tuple((_word(source), _word(to), _word(event)) for source, event, to in report.uncovered_transitions),
        ),
        worst=Section(
            "Worst tasks", "tasks with the most findings", "The tasks with the most bad rows", ("Task",), ("Bad rows",),
            tuple((_word(task), _count(number)) for task, number in report.worst), _MOST_ON_SCREEN,
        ),
        unknown=Section(
            "Unknown statuses", "unknown status", "The most frequent words that the channel does not know",
            ("Status",), ("Rows",),
            tuple((_word(status), _count(number)) for status, number in report.unknown_statuses.items()),
        ),
        unreadable=Section(
            "Not read", "unreadable because", "Rows that could not be read; they were not judged",
            ("Reason",), ("Rows",), tuple((_plain(why), _count(number)) for why, number in report.unreadable.items()),
        ),
        broken=Section(
            "Not read", "not read to its end", "Files that could not be read to their end; what was read counts",
            ("File", "Because"), (),
            tuple((Cell((file,), Kind.FILE), Cell((why,), Kind.REASON)) for file, why in report.broken.items()),
        ),
    )  # fmt: skip


def _findings(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[Row]:
    rules = Rules(lifecycle, mode=cast("Mode", report.mode), channel=report.channel)
    severities = {remark.code: remark.severity for remark in rules.remarks.values()}
    severities[FindingCode.UNKNOWN_STATUS] = rules.remark_on_unknown(START, ended=False).severity
    for code, number in report.findings.items():
        named = Cell((str(code),), note=_MEANINGS[code])
        yield named, _plain(str(severities[code])), _count(number), _plain(share(number, report.rows))


def _way(edge: ObservedTransition) -> Row:
    source = Cell(("the start",), Kind.ABSENT) if edge.source is None else _word(edge.source)
    events = Cell(edge.events, Kind.WORD)
    if edge.source is not None and not edge.events:
        events = Cell(("no transition",), Kind.ABSENT)
    kind = Kind.BAD if edge.illegal else Kind.PLAIN
    illegal = Cell((count(edge.illegal),), kind), Cell((share(edge.illegal, edge.count),), kind)
    return source, _word(edge.target), events, _count(edge.count), *illegal


def _stay(stay: TimeInState) -> Row:
    spans = (stay.mean_s, stay.p50_s, stay.p95_s, stay.p99_s, stay.longest_s)
    return _word(stay.state), _count(stay.count), *(Cell((duration(span),), Kind.SPAN) for span in spans)


def _endings(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> Iterator[Row]:
    for state, number in report.endings.items():
        rest = "final" if lifecycle.is_final(state) else "settled" if lifecycle.is_settled(state) else "not over"
        yield _word(state), _plain(rest), _count(number), _plain(share(number, report.tasks))


def _word(text: str) -> Cell:
    return Cell((text,), Kind.WORD)


def _plain(text: str) -> Cell:
    return Cell((text,))


def _count(number: int) -> Cell:
    return Cell((count(number),))
