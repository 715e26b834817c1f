"""Conformance of reported statuses: one report against a known state, one history against the table.

`observe` judges a live report, which may be late, by reachability alone. `check` judges a
recorded history, whose order is trusted. Every engine that checks logs follows the rules in the
docstring of `check`, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Generic, Literal

from lifecycle.errors import UnknownName, UnknownStatus, shortened
from lifecycle.graph import PAIRS_KEPT, Graph
from lifecycle.table import E, S, TransitionSystem, quoted, require_iterable


class Channel(StrEnum):
    """The channel of a status. A lifecycle's aliases may name further channels."""

    API = "api"
    WEBHOOK = "webhook"
    STREAM = "stream"


class ObservationKind(StrEnum):
    """The relation of a reported status to the known state."""

    SAME = "same"  # nothing new
    STEP = "step"  # one transition leads there
    JUMP = "jump"  # reachable in several: polling missed states
    STALE = "stale"  # not reachable, but the known state is reachable from it: a late report
    CONFLICT = "conflict"  # neither: both cannot be true
    UNKNOWN = "unknown"  # not a status of this channel: the API has grown


@dataclass(frozen=True, slots=True)
class Observation(Generic[S, E]):
    """The result of `observe`.

    `status` is the foreign text, `reported` the state that it stands for (None if unknown) and
    `state` the state to keep: the reported one after a step or a jump, otherwise the known one.
    `events` are, for a step, the events each of which could explain it, in declared order;
    `path` is a shortest path of events for a step or a jump, otherwise empty.
    """

    kind: ObservationKind
    known: S
    status: str
    reported: S | None
    state: S
    events: tuple[E, ...]
    path: tuple[E, ...]
    reason: str


class Severity(StrEnum):
    """The severity of a finding: an error makes its history bad, a note does not."""

    ERROR = "error"
    NOTE = "note"


class FindingCode(StrEnum):
    """The codes of findings; they are stable, because files and tables of findings contain them."""

    UNKNOWN_STATUS = "unknown_status"  # the lifecycle does not declare it; the row is left out
    WRONG_START = "wrong_start"  # in exact mode, the first row is not the initial state
    DUPLICATE = "duplicate"  # equal to the row before
    AFTER_FINAL = "after_final"  # another status after a final state
    GAP = "gap"  # reachable from the row before, but only in several transitions
    OUT_OF_ORDER = "out_of_order"  # not reachable from the row before, which is reachable from it
    IMPOSSIBLE = "impossible"  # neither is reachable from the other


@dataclass(frozen=True, slots=True)
class Deviation(Generic[S]):
    """The verdict of `check`'s rules on one row; `possible` are the states that could have followed directly."""

    code: FindingCode
    severity: Severity
    possible: tuple[S, ...]


@dataclass(frozen=True, slots=True)
class Finding(Generic[S]):
    """One deviation from the lifecycle in a history.

    `index` is the row, 0..n-1, in the statuses as given; `previous` the state of the row before
    it whose status was known (None at the first), `possible` the states that could have followed directly.
    """

    index: int
    code: FindingCode
    severity: Severity
    previous: S | None
    status: str
    possible: tuple[S, ...]
    message: str


Mode = Literal["exact", "sampled"]


class Conformance(Graph[S, E]):
    """A graph that also judges what a service reported."""

    __slots__ = ("_kept_comparison", "_statuses")

    _kept_comparison: Callable[[S, S], Any]
    _statuses: dict[str, dict[str, S]]  # channel -> status -> state

    def __init__(
        self,
        name: str,
        extended_by: str | None,
        rows: TransitionSystem[S, E],
        statuses: dict[str, dict[str, S]],
    ) -> None:
        super().__init__(name, extended_by, rows)
        self._fill(_statuses=statuses, _kept_comparison=lru_cache(PAIRS_KEPT)(self._compared))

    def statuses(self, *, channel: str = Channel.API) -> Mapping[str, S]:
        """Return every status of a channel with the state that it stands for: the states first, then the aliases.

        Raises:
            UnknownName: `channel` is not a `Channel`, and no alias names it.
        """
        return MappingProxyType(self._vocabulary(channel))

    def state_of(self, status: str, *, channel: str = Channel.API) -> S | None:
        """Return the state that `status` stands for in `channel`, or None if it stands for no state.

        Raises:
            UnknownName: `channel` is not a `Channel`, and no alias names it.
        """
        statuses = self._vocabulary(channel)
        try:
            return statuses.get(status)
        except TypeError:  # unhashable, as a list in a log's JSON, and so no status
            return None

    def _vocabulary(self, channel: str) -> dict[str, S]:
        try:
            return self._statuses[channel]
        except (KeyError, TypeError):
            raise UnknownName("channel", channel, known=self._statuses, where=self.name) from None

    def require_state_of(self, status: str, *, channel: str = Channel.API) -> S:
        """Return the state that `status` stands for in `channel`; raise if it stands for no state.

        Raises:
            UnknownStatus: the channel has no such status.
            UnknownName: `channel` is not a `Channel`, and no alias names it.
        """
        state = self.state_of(status, channel=channel)
        if state is None:
            reason = self._unknown_reason(status, channel)
            raise UnknownStatus(reason, lifecycle=self.name, status=status, known=self._system.states)
        return state

    def observe(self, known: S, status: str, *, channel: str = Channel.API) -> Observation[S, E]:
        """Judge a live report against the known state. It may be late, so no report raises an error.

        Args:
            known: the state known so far.
            status: the status that the service reported.
            channel: the channel whose status it is.
        Raises:
            UnknownName: `known` or `channel` is not declared. (An undeclared `status` gives the kind `UNKNOWN`.)
        """
        known = self._require_state(known)
        reported = self.state_of(status, channel=channel)
        if reported is None:
            reason = self._unknown_reason(status, channel)
            return Observation(ObservationKind.UNKNOWN, known, status, None, known, (), (), reason)
        kind, state, events, path, reason = self._kept_comparison(known, reported)
        return Observation(kind, known, status, reported, state, events, path, reason)

    def _compared(self, known: S, reported: S) -> tuple[ObservationKind, S, tuple[E, ...], tuple[E, ...], str]:
        """Return the kind, state, events, path and reason of an observation of two declared states."""
        kind = self._relation(known, reported)
        events: tuple[E, ...] = ()
        path: tuple[E, ...] = ()
        state = known
        if kind in (ObservationKind.STEP, ObservationKind.JUMP):
            state = reported
            path = self._path(known, reported)
        if kind is ObservationKind.STEP:
            events = tuple(
                event for event in self._allowed[known] if self._system.transitions[known, event] == reported
            )
        return kind, state, events, path, _REASONS[kind].format(known=known, status=reported)

    def relation(self, known: S, reported: S | None) -> ObservationKind:
        """Return the relation of a reported state to the known one: the kind that `observe` returns.

        Args:
            known: the state known so far.
            reported: the state that was reported; None for a status that stands for no state.
        Raises:
            UnknownName: a state that is not declared.
        """
        self._require_state(known)
        if reported is not None:
            self._require_state(reported)
        return self._relation(known, reported)

    def check(
        self, statuses: Iterable[str], *, mode: Mode = "exact", channel: str = Channel.API
    ) -> tuple[Finding[S], ...]:
        """Judge one task's recorded history and return its findings, in the order of its rows.

        1. A row whose status the lifecycle does not declare is `unknown_status`, and is then left out.
        2. In exact mode the first remaining row is `wrong_start` unless it is the initial state.
        3. Every other row is judged against the row before it, and against whether any earlier
           row was final. Equal to the row before: `duplicate`. Otherwise, after a final state:
           `after_final`. Otherwise one transition is fine; several are
           `gap`; stale is `out_of_order`; the rest is `impossible`.

        Duplicates, and gaps in sampled mode, are notes, which do not make a history bad.

        Args:
            statuses: n statuses of `channel`, oldest first.
            mode: "exact" if every change was recorded, "sampled" if the task was polled.
            channel: the channel whose statuses they are.
        Raises:
            UnknownName: `channel` is not declared.
            ValueError: `mode` is neither "exact" nor "sampled".
            TypeError: `statuses` is one text, or cannot be iterated.
        """
        require_mode(mode)
        self._vocabulary(channel)  # raises also if there is no status
        findings: list[Finding[S]] = []
        previous: S | None = None
        ended = False
        for index, status in enumerate(require_iterable(statuses, "statuses")):
            state = self.state_of(status, channel=channel)
            code = self._code(previous, state, ended=ended, mode=mode)
            if code is not None:
                deviation = self._check_step(code, previous, ended=ended, mode=mode)
                message = self.describe_deviation(deviation, previous, status)
                findings.append(Finding(index, code, deviation.severity, previous, status, deviation.possible, message))
            if state is not None:
                previous = state
                ended = ended or state in self._system.final
        return tuple(findings)

    def check_step(
        self, previous: S | None, state: S | None, *, ended: bool = False, mode: Mode = "exact"
    ) -> Deviation[S] | None:
        """Return the deviation that `check` finds in one row of a history, or None if the row conforms.

        With this, code that has a history in another form (a table of pairs and how often each was
        seen) judges it by the same rules as `check`.

        Args:
            previous: the state of the row before, unknown statuses left out; None at the first.
            state: the state that the row's status stands for; None if the channel has no such status.
            ended: whether any row before `previous` was final.
            mode: "exact" if every change was recorded, "sampled" if the task was polled.
        Raises:
            UnknownName: `previous` or `state` is not declared.
            ValueError: `mode` is neither "exact" nor "sampled".
            TypeError: `ended` is not True or False.
        """
        require_mode(mode)
        if not _is_a(bool, ended):
            raise TypeError(f"ended must be True or False, not {shortened(ended)}")
        for each in (previous, state):
            if each is not None:
                self._require_state(each)
        ended = ended or previous in self._system.final
        code = self._code(previous, state, ended=ended, mode=mode)
        return None if code is None else self._check_step(code, previous, ended=ended, mode=mode)

    def _check_step(self, code: FindingCode, previous: S | None, *, ended: bool, mode: Mode) -> Deviation[S]:
        harmless = code is FindingCode.DUPLICATE or (code is FindingCode.GAP and mode == "sampled")
        severity = Severity.NOTE if harmless else Severity.ERROR
        return Deviation(code, severity, self._possible(previous, ended=ended, mode=mode))

    def _code(self, previous: S | None, state: S | None, *, ended: bool, mode: Mode) -> FindingCode | None:
        if state is None:
            return FindingCode.UNKNOWN_STATUS
        if previous is None:
            return FindingCode.WRONG_START if mode == "exact" and state != self._system.initial else None
        if state == previous:
            return FindingCode.DUPLICATE
        if ended:
            return FindingCode.AFTER_FINAL
        return _DEVIATIONS[self._relation(previous, state)]

    def describe_deviation(self, deviation: Deviation[S], previous: S | None, status: str) -> str:
        """Return the message of a deviation: the status, the state before it, the code, and the possible states.

        Args:
            deviation: the deviation, as `check_step` returns it.
            previous: the state of the row before, unknown statuses left out; None at the first.
            status: the status that was reported, declared or not.
        Raises:
            UnknownName: `previous` is not declared.
            TypeError: `deviation` is not a Deviation.
        """
        if not _is_a(Deviation, deviation):
            raise TypeError(f"deviation must be one that check_step returns, not {shortened(deviation)}")
        if previous is not None:
            self._require_state(previous)
        after = "at the start" if previous is None else f"after {quoted(previous)}"
        is_unknown = deviation.code is FindingCode.UNKNOWN_STATUS
        declared_by = self._declared_by(status, self._system.states) if is_unknown else None
        hint = f" ({quoted(declared_by)} declares it)" if declared_by else ""
        could = ", ".join(deviation.possible) or "nothing, the task had ended"
        return f"{shortened(status)} {after}: {deviation.code}{hint}; possible: {could}"

    def _possible(self, previous: S | None, *, ended: bool, mode: Mode) -> tuple[S, ...]:
        if ended:
            return ()
        if previous is None:
            return (self._system.initial,) if mode == "exact" else self._system.states
        return tuple(self._next[previous])

    def _relation(self, known: S, reported: S | None) -> ObservationKind:
        if reported is None:
            return ObservationKind.UNKNOWN
        if known == reported:
            return ObservationKind.SAME
        if reported in self._next[known]:
            return ObservationKind.STEP
        after, bit = self._closure.after, self._closure.bit
        if after[known] & bit[reported]:
            return ObservationKind.JUMP
        return ObservationKind.STALE if after[reported] & bit[known] else ObservationKind.CONFLICT

    def _unknown_reason(self, status: str, channel: str) -> str:
        declared_by = self._declared_by(status, self._system.states)
        hint = (
            f"; {quoted(declared_by)} declares it" if declared_by else f" (known: {', '.join(self._statuses[channel])})"
        )
        return f"{shortened(status)} is not a status of channel {quoted(channel)}{hint}"


def require_mode(mode: object) -> None:
    """Raise ValueError unless it is a mode of `check`."""
    if mode not in ("exact", "sampled"):
        raise ValueError(f"mode must be 'exact' or 'sampled', not {mode!r}")


_REASONS = {
    ObservationKind.SAME: "still '{known}'",
    ObservationKind.STEP: "one transition leads from '{known}' to '{status}'",
    ObservationKind.JUMP: "'{status}' is reachable from '{known}' in several transitions; some were missed",
    ObservationKind.STALE: "'{status}' comes before '{known}': a late report",
    ObservationKind.CONFLICT: "'{status}' and '{known}' cannot both be true",
}
_DEVIATIONS = {
    ObservationKind.STEP: None,
    ObservationKind.JUMP: FindingCode.GAP,
    ObservationKind.STALE: FindingCode.OUT_OF_ORDER,
    ObservationKind.CONFLICT: FindingCode.IMPOSSIBLE,
}


def _is_a(kind: type, given: Any) -> bool:
    """Return whether an argument has its declared type, which callers without a type checker may not know."""
    return isinstance(given, kind)
