"""The report of a log: counts, observed transitions, times in states; plain data, added up from results of queries.

Nothing here runs a query or prints. rules.py decides which rows are findings, and of which kind.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lifecycle import FindingCode, Severity
from lifecycle_adapters.logs.columns import RejectReason, TimeForm
from lifecycle_adapters.logs.rules import START, DirectlyFollows, Rules
from lifecycle_adapters.logs.units import iso

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ObservedTransition:
    """The number of times that a row of one state was directly followed by a row of another, in one task.

    `source` is None for a task's first row. `events` are those that lead from the one to the other in one transition;
    none if there is no such transition. `illegal` counts the rows that are errors. `example` is the place of one
    row of the target.
    """

    source: str | None
    target: str
    events: tuple[str, ...]
    count: int
    illegal: int
    example: int

    @property
    def illegal_share(self) -> float:
        """The share of rows that are errors, 0.0 to 1.0."""
        return self.illegal / self.count


@dataclass(frozen=True, slots=True)
class TimeInState:
    """The times that tasks stayed in a state before they left it, in seconds; visits that have not ended are left out.

    The mean and the longest are exact to the microsecond, percentiles (nearest rank) to three digits,
    rounded down.
    """

    state: str
    count: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class LogReport:
    """All counts of one log, in the lifecycle's declared order if that has one, otherwise the most frequent first.

    Attributes:
        lifecycle, mode, channel, engine: what the log was checked against, how, and by which database.
        files: how many files were read; 0 if the log is not a file.
        rows: how many rows the log has, including those that could not be read.
        unreadable: how many rows could not be read, by reason.
        broken: files that could not be read to their end, and why.
        tasks: how many ids there are.
        first_at, last_at: the times of the first and the last row; None without times.
        time_forms: how the times were written, and in how many rows.
        findings: how many rows are which kind of finding, notes included.
        bad_rows: how many rows make their history bad: those whose finding is an error.
        bad_tasks: how many tasks have such rows.
        observed_transitions: from which state to which tasks went, and how often.
        times_in_state: for each state that was left; empty without times.
        last_states: in which state tasks were last seen, and how many.
        uncovered_transitions: the declared transitions that no two rows of a task show, as (source, event, target).
        unknown_statuses: the most frequent statuses that the lifecycle does not know.
        ties: how many rows have the same time (and sequence) as the row before them in their task, so that only
            their place in the log orders them; rows of unknown status are left out.
        worst: the tasks with the most bad rows.
    """

    lifecycle: str
    mode: str
    channel: str
    engine: str
    files: int
    rows: int
    unreadable: Mapping[str, int]
    broken: Mapping[str, str]
    tasks: int
    first_at: datetime | None
    last_at: datetime | None
    time_forms: Mapping[str, int]
    findings: Mapping[FindingCode, int]
    bad_rows: int
    bad_tasks: int
    observed_transitions: tuple[ObservedTransition, ...]
    times_in_state: tuple[TimeInState, ...]
    last_states: Mapping[str, int]
    uncovered_transitions: tuple[tuple[str, str, str], ...]
    unknown_statuses: Mapping[str, int]
    ties: int
    worst: tuple[tuple[str, int], ...]

    @property
    def is_clean(self) -> bool:
        """Return whether no row makes its history bad."""
        return self.bad_rows == 0

    def in_another_case(self, statuses: Iterable[str]) -> dict[str, str]:
        """Return, by each unknown status that differs from one of these in letter case only, that one."""
        declared = {status.lower(): str(status) for status in statuses}
        unknown = ((each, declared.get(each.lower())) for each in self.unknown_statuses)
        return {each: status for each, status in unknown if status is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON document; times are ISO 8601 in UTC."""
        document = asdict(self)
        for name in ("first_at", "last_at"):
            document[name] = None if document[name] is None else iso(document[name])
        document["worst"] = [{"task": task, "bad_rows": count} for task, count in self.worst]
        document["uncovered_transitions"] = [
            {"source": source, "event": event, "target": target} for source, event, target in self.uncovered_transitions
        ]
        return document


class Totals:
    """The rows of `queries.totals_summed`, added up: how many rows there are, and of which kind.

    Attributes:
        readable: how many rows could be read.
        unknown: how many of them have an unknown status.
        unreadable, forms: as `unreadable` and `time_forms` of a report.
        first_us, last_us: the times of the first and the last row that could be read.
    """

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        faults: Counter[str] = Counter()
        forms: Counter[str] = Counter()
        moments: list[int] = []
        self.unknown = 0
        for fault, form, count, known, first_us, last_us in rows:
            if fault is not None:
                faults[str(fault)] += int(count)
                continue
            forms[str(form)] += int(count)
            self.unknown += int(count) - int(known)
            moments += int(first_us), int(last_us)
        self.readable = forms.total()
        self.unreadable = {str(fault): faults[fault] for fault in RejectReason if faults[fault]}
        self.forms = {str(form): forms[form] for form in TimeForm if forms[form]}
        self.first_us, self.last_us = min(moments, default=0), max(moments, default=0)

    @property
    def rows(self) -> int:
        """The number of the log's rows."""
        return self.readable + sum(self.unreadable.values())


class Tally:
    """The sums of `pair_counts`, from which a report is made."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._pairs: Counter[DirectlyFollows] = Counter()
        self._examples: dict[DirectlyFollows, int] = {}
        self._times: defaultdict[str, Counter[int]] = defaultdict(Counter)  # state -> three digits -> visits
        self._total_us: Counter[str] = Counter()
        self._longest_us: Counter[str] = Counter()
        self.ties = 0

    def add_pairs(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add the rows of `queries.pair_counts_summed`."""
        for previous, code, ended, since_us, tied, count, beyond_us, longest_us, example in rows:
            pair = DirectlyFollows(int(previous), int(code), bool(ended))
            self._pairs[pair] += int(count)
            self._examples[pair] = min(int(example), self._examples.get(pair, int(example)))
            self.ties += int(count) * int(tied)
            state = self._rules.state_of(pair.previous)
            if state is not None and state != self._rules.states[pair.code]:
                self._total_us[state] += int(since_us) * int(count) + int(beyond_us)
                self._times[state][int(since_us)] += int(count)
                self._longest_us[state] = max(self._longest_us[state], int(longest_us))

    def correct_visits(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add the rows of `queries.visits_corrected`."""
        for previous, counted_us, right_us, count, counted_beyond_us, beyond_us, longest_us in rows:
            state = self._rules.states[int(previous)]
            self._total_us[state] += (int(right_us) - int(counted_us)) * int(count)
            self._total_us[state] += int(beyond_us) - int(counted_beyond_us)
            self._times[state][int(counted_us)] -= int(count)
            self._times[state][int(right_us)] += int(count)
            self._longest_us[state] = max(self._longest_us[state], int(longest_us))

    @property
    def has_repeats(self) -> bool:
        """Return whether some row repeats the state before it, so that visits must be corrected."""
        return any(pair in self._pairs for pair in self._rules.repeats())

    @property
    def tasks(self) -> int:
        """The number of tasks with a row whose status is known."""
        return sum(count for pair, count in self._pairs.items() if pair.previous == START)

    @property
    def bad_rows(self) -> int:
        """The number of rows that make their history bad; rows of unknown status are left out."""
        return sum(count for pair, count in self._pairs.items() if self._is_bad(pair))

    def findings(self, *, unknown: int) -> dict[FindingCode, int]:
        """Return how many rows are findings of each kind; `unknown` rows have an unknown status."""
        found = Counter({FindingCode.UNKNOWN_STATUS: unknown})
        for pair, count in self._pairs.items():
            if (deviation := self._rules.deviations.get(pair)) is not None:
                found[deviation.code] += count
        return {code: found[code] for code in FindingCode if found[code]}

    def observed_transitions(self) -> tuple[ObservedTransition, ...]:
        """Return every observed transition, the declared ones first."""
        counts: Counter[tuple[str | None, str]] = Counter()
        illegal: Counter[tuple[str | None, str]] = Counter()
        examples: dict[tuple[str | None, str], int] = {}
        for pair, count in self._pairs.items():
            ends = self._rules.state_of(pair.previous), self._rules.states[pair.code]
            if ends[0] == ends[1]:
                continue
            counts[ends] += count
            illegal[ends] += count * self._is_bad(pair)
            examples[ends] = min(self._examples[pair], examples.get(ends, self._examples[pair]))
        events: defaultdict[tuple[str | None, str], list[str]] = defaultdict(list)
        for row in self._rules.lifecycle.transitions:
            events[str(row.source), str(row.target)].append(str(row.event))
        declared = [(None, str(self._rules.lifecycle.initial)), *events]
        undeclared = sorted(counts.keys() - {*declared}, key=lambda ends: (-counts[ends], str(ends[0]), ends[1]))
        return tuple(
            ObservedTransition(*ends, tuple(events[ends]), counts[ends], illegal[ends], examples[ends])
            for ends in [*declared, *undeclared]
            if counts[ends]
        )

    def times_in_state(self) -> tuple[TimeInState, ...]:
        """Return how long tasks stayed in each state that was left."""
        order = (str(state.name) for state in self._rules.lifecycle.states)
        return tuple(self._time_in(state) for state in order if self._times[state].total() > 0)

    def _time_in(self, state: str) -> TimeInState:
        visits = sorted((us, count) for us, count in self._times[state].items() if count)
        total = sum(count for _, count in visits)
        p50_us, p95_us, p99_us = (_nearest_rank(visits, math.ceil(total * percent / 100)) for percent in (50, 95, 99))
        return TimeInState(
            state,
            total,
            mean_s=self._total_us[state] / total / 1e6,
            p50_s=p50_us / 1e6,
            p95_s=p95_us / 1e6,
            p99_s=p99_us / 1e6,
            longest_s=self._longest_us[state] / 1e6,
        )

    def last_states(self) -> dict[str, int]:
        """Return how many tasks were last seen in each state: its rows less those that another row follows."""
        last: Counter[str] = Counter()
        for pair, count in self._pairs.items():
            last[self._rules.states[pair.code]] += count
            if (before := self._rules.state_of(pair.previous)) is not None:
                last[before] -= count
        order = [str(state.name) for state in self._rules.lifecycle.states]
        return {state: last[state] for state in order if last[state]}

    def uncovered_transitions(self) -> tuple[tuple[str, str, str], ...]:
        """Return the declared transitions that no two rows of a task show."""
        seen = {(self._rules.state_of(pair.previous), self._rules.states[pair.code]) for pair in self._pairs}
        rows = ((str(row.source), str(row.event), str(row.target)) for row in self._rules.lifecycle.transitions)
        return tuple(row for row in rows if (row[0], row[2]) not in seen)

    def _is_bad(self, pair: DirectlyFollows) -> bool:
        deviation = self._rules.deviations.get(pair)
        return deviation is not None and deviation.severity is Severity.ERROR


def moment(at_us: int) -> datetime:
    """Return the time this many microseconds after the start of 1970; years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=at_us)


def _nearest_rank(visits: Sequence[tuple[int, int]], rank: int) -> int:
    seen = 0
    for us, count in visits:
        seen += count
        if seen >= rank:
            return us
    raise AssertionError("no visit has this rank")
