"""What a log says as a whole: counts, ways, dwell times, endings; plain data, folded from an engine's answers.

Nothing here asks an engine or prints. Which rows are findings, and of what kind, is the rules' (rules.py).
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
    """How often tasks went from one state to another, from one row of the log to the next.

    `source` is None for a task's first row. `events` are the declared ones that lead there directly,
    none where only several do or nothing does. `illegal` counts those rows that are findings. `example`
    is the place of one row that ends there.
    """

    source: str | None
    target: str
    events: tuple[str, ...]
    count: int
    illegal: int
    example: int

    @property
    def illegal_share(self) -> float:
        """How much of it is findings, 0.0 to 1.0."""
        return self.illegal / self.count


@dataclass(frozen=True, slots=True)
class TimeInState:
    """How long tasks stayed in a state before they left it, in seconds; visits that have not ended are not in it.

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
    """All counts of one log. What has an order is in the lifecycle's declared order, else the most frequent first.

    Attributes:
        lifecycle, mode, channel, engine: what was asked, and of whom.
        files: how many files were read, 0 where the log is none.
        rows: how many rows the log has, those that could not be read among them.
        unreadable: how many could not, by reason.
        broken: files that could not be read to their end, and why.
        tasks: how many ids there are.
        first_at, last_at: the times of the first and the last row; None without times.
        time_forms: how the times were written, and in how many rows: what was recognised, or named by an option.
        findings: how many rows are which kind of finding, information included.
        bad_rows: how many of them make their history bad.
        bad_tasks: how many tasks have such rows.
        edges: see Edge.
        dwell: for each state that was left; empty without times.
        endings: how many tasks were last seen in which state.
        uncovered_transitions: the declared transitions that no two rows of a task show, as (source, event, target).
        unknown_statuses: the most frequent words that the lifecycle does not know.
        ties: how many rows have the very time (and sequence) of the row before them in their task, so that
            only their place in the log orders them; rows of unknown status left out.
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
    edges: tuple[ObservedTransition, ...]
    dwell: tuple[TimeInState, ...]
    endings: Mapping[str, int]
    uncovered_transitions: tuple[tuple[str, str, str], ...]
    unknown_statuses: Mapping[str, int]
    ties: int
    worst: tuple[tuple[str, int], ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing in it makes a history bad."""
        return self.bad_rows == 0

    def in_another_case(self, statuses: Iterable[str]) -> dict[str, str]:
        """Return each unknown status that is one of these in another letter case, with that one."""
        declared = {status.lower(): str(status) for status in statuses}
        unknown = ((each, declared.get(each.lower())) for each in self.unknown_statuses)
        return {each: status for each, status in unknown if status is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document; times are ISO 8601 in UTC."""
        document = asdict(self)
        for name in ("first_at", "last_at"):
            document[name] = None if document[name] is None else iso(document[name])
        document["worst"] = [{"task": task, "bad_rows": count} for task, count in self.worst]
        document["uncovered_transitions"] = [
            {"source": source, "event": event, "target": target} for source, event, target in self.uncovered_transitions
        ]
        return document


class Totals:
    """The answer to `questions.totals`, added up: how many rows there are, and of what kind.

    Attributes:
        readable: how many rows could be read.
        unknown: how many of them have a status that is not known.
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
        """How many rows the log has."""
        return self.readable + sum(self.unreadable.values())


class Tally:
    """The sums of an engine's answers, from which the parts of a report are read."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._moves: Counter[DirectlyFollows] = Counter()
        self._examples: dict[DirectlyFollows, int] = {}
        self._dwell: defaultdict[str, Counter[int]] = defaultdict(Counter)  # state -> three digits -> visits
        self._total_us: Counter[str] = Counter()
        self._longest_us: Counter[str] = Counter()
        self.ties = 0

    def add_moves(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take the answer to `questions.moves_summed`."""
        for previous, word, ended, dwell_us, tied, count, beyond_us, longest_us, example in rows:
            move = DirectlyFollows(int(previous), int(word), bool(ended))
            self._moves[move] += int(count)
            self._examples[move] = min(int(example), self._examples.get(move, int(example)))
            self.ties += int(count) * int(tied)
            state = self._rules.state_before(move)
            if state is not None and state != self._rules.states[move.word]:
                self._total_us[state] += int(dwell_us) * int(count) + int(beyond_us)
                self._dwell[state][int(dwell_us)] += int(count)
                self._longest_us[state] = max(self._longest_us[state], int(longest_us))

    def correct_visits(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take the answer to `questions.visits_corrected`."""
        for previous, counted_us, right_us, count, counted_beyond_us, beyond_us, longest_us in rows:
            state = self._rules.states[int(previous)]
            self._total_us[state] += (int(right_us) - int(counted_us)) * int(count)
            self._total_us[state] += int(beyond_us) - int(counted_beyond_us)
            self._dwell[state][int(counted_us)] -= int(count)
            self._dwell[state][int(right_us)] += int(count)
            self._longest_us[state] = max(self._longest_us[state], int(longest_us))

    @property
    def has_repeats(self) -> bool:
        """Whether some row repeats the state before it, so that visits must be corrected."""
        return any(move in self._moves for move in self._rules.repeats())

    @property
    def tasks(self) -> int:
        """How many tasks have a row whose status is known."""
        return sum(count for move, count in self._moves.items() if move.previous == START)

    @property
    def bad_rows(self) -> int:
        """How many rows make their history bad, those of unknown status left out."""
        return sum(count for move, count in self._moves.items() if self._is_bad(move))

    def findings(self, *, unknown: int) -> dict[FindingCode, int]:
        """Return how many rows are which kind of finding; there are `unknown` of unknown status."""
        found = Counter({FindingCode.UNKNOWN_STATUS: unknown})
        for move, count in self._moves.items():
            if (remark := self._rules.remarks.get(move)) is not None:
                found[remark.code] += count
        return {code: found[code] for code in FindingCode if found[code]}

    def edges(self) -> tuple[ObservedTransition, ...]:
        """Return every way that was gone, the declared ones first."""
        counts: Counter[tuple[str | None, str]] = Counter()
        illegal: Counter[tuple[str | None, str]] = Counter()
        examples: dict[tuple[str | None, str], int] = {}
        for move, count in self._moves.items():
            way = self._rules.state_before(move), self._rules.states[move.word]
            if way[0] == way[1]:
                continue
            counts[way] += count
            illegal[way] += count * self._is_bad(move)
            examples[way] = min(self._examples[move], examples.get(way, self._examples[move]))
        events: defaultdict[tuple[str | None, str], list[str]] = defaultdict(list)
        for row in self._rules.lifecycle.transitions:
            events[str(row.source), str(row.target)].append(str(row.event))
        declared = [(None, str(self._rules.lifecycle.initial)), *events]
        undeclared = sorted(counts.keys() - {*declared}, key=lambda way: (-counts[way], str(way[0]), way[1]))
        return tuple(
            ObservedTransition(*way, tuple(events[way]), counts[way], illegal[way], examples[way])
            for way in [*declared, *undeclared]
            if counts[way]
        )

    def dwell(self) -> tuple[TimeInState, ...]:
        """Return how long tasks stayed in each state that was left."""
        order = (str(state.name) for state in self._rules.lifecycle.states)
        return tuple(self._dwell_in(state) for state in order if self._dwell[state].total() > 0)

    def _dwell_in(self, state: str) -> TimeInState:
        visits = sorted((us, count) for us, count in self._dwell[state].items() if count)
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

    def endings(self) -> dict[str, int]:
        """Return how many tasks were last seen in which state: its rows less those that another one follows."""
        last: Counter[str] = Counter()
        for move, count in self._moves.items():
            last[self._rules.states[move.word]] += count
            if (before := self._rules.state_before(move)) is not None:
                last[before] -= count
        order = [str(state.name) for state in self._rules.lifecycle.states]
        return {state: last[state] for state in order if last[state]}

    def unseen(self) -> tuple[tuple[str, str, str], ...]:
        """Return the declared transitions between whose states no task was seen to go."""
        seen = {(self._rules.state_before(move), self._rules.states[move.word]) for move in self._moves}
        rows = ((str(row.source), str(row.event), str(row.target)) for row in self._rules.lifecycle.transitions)
        return tuple(row for row in rows if (row[0], row[2]) not in seen)

    def _is_bad(self, move: DirectlyFollows) -> bool:
        remark = self._rules.remarks.get(move)
        return remark is not None and remark.severity is Severity.FINDING


def moment(at_us: int) -> datetime:
    """Return the moment that is so many microseconds after the start of 1970; years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=at_us)


def _nearest_rank(visits: Sequence[tuple[int, int]], rank: int) -> int:
    seen = 0
    for us, count in visits:
        seen += count
        if seen >= rank:
            return us
    raise AssertionError("no visit has this rank")
