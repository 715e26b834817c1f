"""The correct result of checking a log, in plain Python: one task after another, each judged by `Lifecycle.check`.

Every engine is compared with it. It is written for plainness alone: it holds all in memory, sorts whole
lists, and shares nothing with the engines but the types of their results.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

from lifecycle import Channel, Finding, FindingCode, Lifecycle, Severity
from lifecycle.conformance import Mode
from lifecycle_adapters.logs.places import file_and_row
from lifecycle_adapters.logs.report import ObservedTransition, TimeInState
from lifecycle_adapters.logs.result import CheckedLog

Declared = Lifecycle[str, str]

PARTS = (
    "rows", "tasks", "first_at", "last_at", "findings", "bad_rows", "bad_tasks", "observed_transitions",
    "times_in_state", "last_states",
    "uncovered_transitions", "unknown_statuses", "ties", "worst",
)  # fmt: skip
"""The part of a report that depends on the log alone, and not on the engine or the log's format."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One readable row, as `records` has it (see queries.py)."""

    task: str
    at_us: int
    sequence: int
    place: int
    status: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for a log: the listed findings in the order of places, and the report's parts by name.

    A finding is (task, at, file's number and row, code, severity, previous, status, possible, message).
    """

    findings: list[tuple[Any, ...]]
    report: dict[str, Any]


def outcome(log: CheckedLog, files: Sequence[str]) -> Outcome:
    """The result of an engine; `files` are the names of the log's files, in their order."""
    findings = [
        (each.task, each.at, (files.index(each.file), each.row), each.code, each.severity, each.previous, each.status,
         each.possible, each.message)
        for each in log.findings()
    ]  # fmt: skip
    return Outcome(findings, {part: _comparable(getattr(log.report, part)) for part in PARTS})


def expected(
    lifecycle: Declared,
    rows: Iterable[LogRow],
    *,
    mode: Mode = "exact",
    channel: str = Channel.API,
    notes: bool = False,
    timed: bool = True,
) -> Outcome:
    """The result that every engine must return; `timed` says whether the log has times."""
    histories = [_History(lifecycle, each, mode, channel) for each in _by_task(rows)]
    remarks = sorted((remark for each in histories for remark in each.remarks), key=lambda remark: remark[0].place)
    listed = [
        (row.task, _moment(row.at_us) if timed else None, file_and_row(row.place), finding.code, finding.severity,
         finding.previous, finding.status, finding.possible, finding.message)
        for row, finding in remarks
        if notes or finding.severity is Severity.ERROR
    ]  # fmt: skip
    bad = [(row, finding) for row, finding in remarks if finding.severity is Severity.ERROR]
    times = [row.at_us for each in histories for row in each.rows]
    report = {
        "rows": len(times),
        "tasks": len(histories),
        "first_at": _moment(min(times)) if timed else None,
        "last_at": _moment(max(times)) if timed else None,
        "findings": _counted((finding.code for _, finding in remarks), FindingCode),
        "bad_rows": len(bad),
        "bad_tasks": len({row.task for row, _ in bad}),
        "observed_transitions": _edges(lifecycle, histories, {row.place for row, _ in bad}),
        "times_in_state": _dwell(lifecycle, histories) if timed else (),
        "last_states": _counted((each.known[-1][1] for each in histories if each.known), _states(lifecycle)),
        "uncovered_transitions": _unseen(lifecycle, histories),
        "unknown_statuses": dict(_most(find.status for _, find in bad if find.code is FindingCode.UNKNOWN_STATUS)),
        "ties": sum(each.ties for each in histories) if timed else 0,
        "worst": tuple(_most(row.task for row, _ in bad)),
    }
    return Outcome(listed, {part: _comparable(report[part]) for part in PARTS})


class _History:
    """One task: its rows in order, what `check` reports, and those rows whose status is known, with their states."""

    def __init__(self, lifecycle: Declared, rows: Iterable[LogRow], mode: Mode, channel: str) -> None:
        self.rows = sorted(rows, key=lambda row: (row.at_us, row.sequence, row.place))
        statuses = [row.status for row in self.rows]
        self.remarks: list[tuple[LogRow, Finding[str]]] = [
            (self.rows[finding.index], finding) for finding in lifecycle.check(statuses, mode=mode, channel=channel)
        ]
        translated = ((row, lifecycle.state_of(row.status, channel=channel)) for row in self.rows)
        self.known = [(row, str(state)) for row, state in translated if state is not None]

    @property
    def ways(self) -> Iterator[tuple[str | None, str, LogRow]]:
        """From which state to which its rows went, None before the first, and the row that went there."""
        befores: list[str | None] = [None, *(state for _, state in self.known)]
        yield from ((before, state, row) for before, (row, state) in zip(befores, self.known, strict=False))

    @property
    def visits(self) -> Iterator[tuple[str, int]]:
        """Each state that was left, and the microseconds from the first row in it to the first row after it."""
        runs = [(state, next(rows)[0]) for state, rows in groupby(self.known, key=lambda pair: pair[1])]
        yield from ((state, after.at_us - first.at_us) for (state, first), (_, after) in pairwise(runs))

    @property
    def ties(self) -> int:
        """The number of rows of known status that follow the row before only by their place."""
        keys = [(row.at_us, row.sequence) for row, _ in self.known]
        return sum(one == other for one, other in pairwise(keys))


def _by_task(rows: Iterable[LogRow]) -> list[list[LogRow]]:
    tasks: defaultdict[str, list[LogRow]] = defaultdict(list)
    for row in rows:
        tasks[row.task].append(row)
    return [*tasks.values()]


def _edges(lifecycle: Declared, histories: Iterable[_History], bad: set[int]) -> tuple[ObservedTransition, ...]:
    places: defaultdict[tuple[str | None, str], list[int]] = defaultdict(list)
    for each in histories:
        for before, state, row in each.ways:
            if before != state:
                places[before, state].append(row.place)
    declared = dict.fromkeys([(None, str(lifecycle.initial)), *((str(s), str(t)) for s, _, t in _table(lifecycle))])
    others = sorted(places.keys() - declared.keys(), key=lambda way: (-len(places[way]), str(way[0]), way[1]))
    return tuple(
        ObservedTransition(
            source,
            target,
            tuple(event for one, event, other in _table(lifecycle) if (one, other) == (source, target)),
            count=len(places[source, target]),
            illegal=len(bad.intersection(places[source, target])),
            example=min(places[source, target]),
        )
        for source, target in [*declared, *others]
        if places[source, target]
    )


def _dwell(lifecycle: Declared, histories: Iterable[_History]) -> tuple[TimeInState, ...]:
    visits: defaultdict[str, list[int]] = defaultdict(list)
    for each in histories:
        for state, stayed_us in each.visits:
            visits[state].append(stayed_us)
    return tuple(
        TimeInState(
            state,
            len(visits[state]),
            mean_s=sum(visits[state]) / len(visits[state]) / 1e6,
            p50_s=_percentile_us(visits[state], 50) / 1e6,
            p95_s=_percentile_us(visits[state], 95) / 1e6,
            p99_s=_percentile_us(visits[state], 99) / 1e6,
            longest_s=max(visits[state]) / 1e6,
        )
        for state in _states(lifecycle)
        if visits[state]
    )


def _percentile_us(visits: list[int], percent: int) -> int:
    """By the nearest rank, and then the first three digits of it: rounding down keeps the order."""
    digits = str(sorted(visits)[math.ceil(len(visits) * percent / 100) - 1])
    return int(digits[:3].ljust(len(digits), "0"))


def _unseen(lifecycle: Declared, histories: Iterable[_History]) -> tuple[tuple[str, str, str], ...]:
    seen = {(before, state) for each in histories for before, state, _ in each.ways}
    return tuple(row for row in _table(lifecycle) if (row[0], row[2]) not in seen)


def _table(lifecycle: Declared) -> list[tuple[str, str, str]]:
    return [(str(row.source), str(row.event), str(row.target)) for row in lifecycle.transitions]


def _states(lifecycle: Declared) -> list[str]:
    return [str(state.name) for state in lifecycle.states]


def _counted(names: Iterable[str], order: Iterable[str]) -> dict[str, int]:
    counts = Counter(names)
    return {name: counts[name] for name in order if counts[name]}


def _most(names: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0]))[:20]


def _moment(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def _comparable(part: Any) -> Any:
    return [*part.items()] if isinstance(part, dict) else part  # a mapping's order is a part of the answer
