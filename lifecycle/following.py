"""Pure procedures that read a task's status, once or until the task is settled or final.

They yield effects (effects.py), as the procedure of a command does.
"""

from __future__ import annotations

from typing import Any, Final, Generic, Literal, get_args

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
from lifecycle.lifecycle import Lifecycle
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


UNKNOWN: Final = object()
"""The mark of a response that shows none."""

_FIRST_VERSION = 1  # of a record that has nothing but its first report


class WorkTracker(Generic[S, E]):
    """Tracks whether a task has begun the work that it was given.

    Until then a settled state (`idle`) may still be the state before that work, and does not end a wait. In a new task
    a reopenable or an interrupted state does: there has been work before it. So does a settled state from which only a
    command leads to work: the work that the task was created with would begin by itself.
    Work has begun when a state is observed that is neither settled nor initial, or when the mark has changed: the
    output, or what else changes with the work. After a command it has also begun when another state is observed than
    the one before it; the initial state counts after a command that leads to it (a re-run).

    The first mark observed does not count as changed, because it may be that of earlier work. So a change shows only if
    the task was read just before the command: see `needs_read`.
    """

    def __init__(self, lifecycle: Lifecycle[S, E]) -> None:
        self._lifecycle = lifecycle
        self._has_begun = True
        self._begins_at_initial = self._is_new = False
        self._mark: Any = UNKNOWN
        self._was_created_without_work = False
        self._source: S | None = None

    def mark_given(self, command: E | None = None, source: S | None = None) -> None:
        """Record that the task was given work just now, by a command, or by its create if that is None.

        `source` is the state before the command, None if that is not known.
        """
        self._has_begun, self._is_new, self._source = False, command is None, source
        lifecycle = self._lifecycle
        self._begins_at_initial = command is not None and lifecycle.initial in lifecycle.targets(command)

    def observe(self, state: S | None, mark: Any = UNKNOWN) -> None:
        """Record the state and the mark of a response. A mark of None is a task without output, so far.

        Give no mark of a command's response, nor of any other that may leave out what a read of the status has.
        """
        works = (
            state is not None
            and not self._lifecycle.is_settled(state)
            and (state != self._lifecycle.initial or self._begins_at_initial)
        )
        has_left = None not in (state, self._source) and state != self._source
        is_known = mark is not UNKNOWN and mark is not None
        changed = is_known and self._mark is not UNKNOWN and self._mark != mark
        self._has_begun = self._has_begun or works or has_left or changed
        if is_known or self._mark is UNKNOWN:
            self._mark = mark

    def observe_create(self, state: S | None, mark: Any) -> None:
        """Record the state and the mark of the response to the task's create."""
        self.observe(state, mark)
        over, interrupted = self._lifecycle.is_over, self._lifecycle.is_interrupted
        had_work = self._is_new or state is None or over(state) or interrupted(state)
        self._was_created_without_work = mark is not UNKNOWN and not had_work

    def needs_read(self, command: E, record: TaskRecord[S, E]) -> bool:
        """Return whether the task must be read before the command, so that a wait after it can see a change.

        It must if the command starts work. What was read earlier may be older than the effect of a command that another
        handle sent. A task that was created here without work, and of which nothing else is recorded, has no output.
        """
        is_untouched = self._was_created_without_work and record.version == _FIRST_VERSION
        return not is_untouched and self._lifecycle.starts_work(command)

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
