"""Pure procedures that read a task's status, once or until the task is settled or final.

They yield effects (effects.py), as the procedure of a command does.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, get_args

from lifecycle.effects import (
    Failure,
    Load,
    Missing,
    Progress,
    RecordReport,
    ReportProgress,
    Response,
    Steps,
    Wait,
    WaitReason,
    read_with_retries,
)
from lifecycle.errors import WaitTimedOut
from lifecycle.journal import Report, TaskRecord
from lifecycle.lifecycle import Lifecycle, Transition
from lifecycle.table import E, S


def read_state(lifecycle: Lifecycle[S, E]) -> Steps[S]:
    """Read the task's status once, record it, and return the state that is known after it (`TaskRecord.current`).

    If the record has a final state and the service now reports another one, the reported one is returned; the record
    keeps the final state, as doubtful, until a read confirms one of them. If a report is late, or cannot follow a
    state that is not final, the state known before is returned.

    Raises when driven:
        UnknownStatus: the lifecycle does not declare the status; it is recorded nevertheless.
        The adapter's error: the status cannot be read.
    """
    status, record = yield from _record((yield from read_with_retries()))
    reported = lifecycle.require_state_of(status)
    return reported if record.current is None else record.current


Until = Literal["settled", "final"]


def require_until(until: object) -> None:
    """Raise ValueError unless it is a value of `Until`."""
    if until not in get_args(Until):
        raise ValueError(f"until must be 'settled' or 'final', not {until!r}")


_NOT_SEEN = object()


class WorkTracker(Generic[S, E]):
    """Tracks whether a task has begun the work that it was given.

    Until then a settled state (`idle`) may still be the state before that work, and does not end a wait. In a new task
    a reopenable or an interrupted state does: there has been work before it. So does a settled state from which only a
    command leads to work: the work that the task was created with would begin by itself.
    Work has begun when a state is observed that is neither settled nor initial, or when the output has
    changed; after a command also when another state is observed than the one before it. The initial state counts after
    a command that leads to it (a re-run). The first output observed does not
    count as changed: it may be that of earlier work.
    """

    def __init__(self, lifecycle: Lifecycle[S, E]) -> None:
        self._lifecycle = lifecycle
        self._has_begun = True
        self._begins_at_initial = self._is_new = False
        self._output: Any = _NOT_SEEN
        self._source: S | None = None

    def starts_work(self, command: E) -> bool:
        """Return whether the command leads from a settled state to one that is not (a dispatch).

        Raises UnknownName if it is not declared.
        """
        self._lifecycle.event(command)
        settled = self._lifecycle.is_settled
        return any(settled(row.source) and not settled(row.target) for row in self._rows(command))

    def mark_given(self, command: E | None = None, source: S | None = None) -> None:
        """Record that the task was given work just now, by a command, or by its create if that is None.

        `source` is the state before the command, None if that is not known.
        """
        self._has_begun, self._is_new, self._source = False, command is None, source
        initial = self._lifecycle.initial
        self._begins_at_initial = command is not None and any(row.target == initial for row in self._rows(command))

    def _rows(self, command: E) -> list[Transition[S, E]]:
        return [row for row in self._lifecycle.transitions if row.event == command]

    def observe(self, state: S | None, output: Any) -> None:
        """Record the state and the output of a response, or what else changes with the work; None if it has none."""
        works = (
            state is not None
            and not self._lifecycle.is_settled(state)
            and (state != self._lifecycle.initial or self._begins_at_initial)
        )
        has_left = None not in (state, self._source) and state != self._source
        changed = output is not None and self._output not in (_NOT_SEEN, output)
        self._has_begun = self._has_begun or works or has_left or changed
        if output is not None or self._output is _NOT_SEEN:
            self._output = output

    def is_done(self, state: S, until: Until) -> bool:
        """Return whether `state` ends a wait."""
        if self._lifecycle.is_over(state):
            return self._has_begun or self._is_new or self._lifecycle.is_final(state)
        if until == "final" or not self._lifecycle.is_settled(state):
            return False
        return self._has_begun or (self._is_new and not self._may_begin_in(state))

    def _may_begin_in(self, state: S) -> bool:
        """Return whether remote events alone lead from a settled state to work."""
        lifecycle = self._lifecycle
        return not lifecycle.is_interrupted(state) and any(
            not lifecycle.is_settled(each) and each != lifecycle.initial
            for each in lifecycle.reachable_by_remote(state)
        )


def follow(
    lifecycle: Lifecycle[S, E], task: str, work: WorkTracker[S, E], *, until: Until, stop_at_unknown: bool
) -> Steps[S]:
    """Poll the task until it is settled, or until it is over ("final"), and return the state.

    If its state was known before, one response that the service does not find it does not end the wait, but two in a
    row do.

    Raises when driven:
        WaitTimedOut: the driver's time is spent.
        UnknownStatus: the service reports a status that the lifecycle does not declare, and
            `stop_at_unknown` is set.
        The adapter's error: the status cannot be read.
        ValueError: `until` is neither "settled" nor "final".
    """
    require_until(until)
    record: TaskRecord[S, E] = yield Load()
    if record.current is not None and lifecycle.is_final(record.current):
        return record.current
    poll, was_missing = 0, False
    while True:
        poll += 1
        response = yield from read_with_retries()
        may_be_found = record.current is not None and not was_missing
        if isinstance(response, Missing) and may_be_found and (yield Wait(WaitReason.POLL, poll)):
            was_missing = True
            continue
        was_missing = False
        status, record = yield from _record(response)
        reported = lifecycle.state_of(status) if not stop_at_unknown else lifecycle.require_state_of(status)
        state = record.current
        yield ReportProgress(Progress(state, status, poll))
        # An unknown status cannot end a wait, even if the last known state was settled; a final state stays final.
        if state is not None and (work.is_done(state, until) if reported is not None else lifecycle.is_final(state)):
            return state
        if not (yield Wait(WaitReason.POLL, poll)):
            last = None if state is None else str(state)
            raise WaitTimedOut(lifecycle=lifecycle.name, task=task, until=until, state=last)


def _record(response: Response) -> Steps[tuple[str, TaskRecord[Any, Any]]]:
    if isinstance(response, Failure):
        raise response.error
    record: TaskRecord[Any, Any] = yield RecordReport(Report(str(response.status), response.as_of))
    return str(response.status), record
