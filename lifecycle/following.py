"""Reading a task's status, and following it until it rests, as generators that touch nothing.

They yield effects (effects.py) like a command does.
"""

from __future__ import annotations

from typing import Any, Generic, Literal

from lifecycle.effects import (
    Failure,
    Load,
    Progress,
    RecordReport,
    ReportProgress,
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
    """Read the task's status once, record it, and return the state then known.

    Raises (when driven):
        UnknownStatus: the lifecycle does not know the status; it is recorded.
        The adapter's error: it cannot be read.
    """
    status, record = yield from _poll()
    reported = lifecycle.require_state_of(status)
    return reported if record.current is None else record.current


Until = Literal["settled", "final"]

_NOT_SEEN = object()


class WorkTracker(Generic[S, E]):
    """Whether a task that was given work has been seen to begin it.

    Until then a settled state (`idle`) may still be the one of before, and must not be taken for
    the end. The work is seen to begin by a state that is neither settled nor initial, or by an
    output that has changed. The first output seen has not changed: it may be that of earlier work.
    """

    def __init__(self, lifecycle: Lifecycle[S, E]) -> None:
        self._lifecycle = lifecycle
        self._has_begun = True
        self._output: Any = _NOT_SEEN

    def starts_work(self, command: E) -> bool:
        """Whether the command takes a settled task to work (a dispatch). Raises UnknownName."""
        self._lifecycle.event(command)
        settled = self._lifecycle.is_settled
        rows = (row for row in self._lifecycle.transitions if row.event == command)
        return any(settled(row.source) and not settled(row.target) for row in rows)

    def mark_given(self) -> None:
        """Note that work was given just now."""
        self._has_begun = False

    def observe(self, state: S | None, output: Any) -> None:
        """Note what an answer said."""
        works = state is not None and state != self._lifecycle.initial and not self._lifecycle.is_settled(state)
        changed = output is not None and self._output not in (_NOT_SEEN, output)
        self._has_begun = self._has_begun or works or changed
        if output is not None or self._output is _NOT_SEEN:
            self._output = output

    def is_done(self, state: S, until: Until) -> bool:
        """Whether `state` ends a wait."""
        if self._lifecycle.is_final(state):
            return True
        return until == "settled" and self._has_begun and self._lifecycle.is_settled(state)


def follow(
    lifecycle: Lifecycle[S, E], task: str, work: WorkTracker[S, E], *, until: Until, stop_at_unknown: bool
) -> Steps[S]:
    """Poll the task until it is settled or final, and return the state.

    Raises (when driven):
        WaitTimedOut: the driver's time is spent.
        UnknownStatus: the service reports a status that the lifecycle does not know, and
            `stop_at_unknown`.
        The adapter's error: the status cannot be read.
    """
    if until not in ("settled", "final"):
        raise ValueError(f"until must be 'settled' or 'final', not {until!r}")
    record: TaskRecord[S, E] = yield Load()
    if record.current is not None and lifecycle.is_final(record.current):
        return record.current
    poll = 0
    while True:
        poll += 1
        status, record = yield from _poll()
        reported = lifecycle.state_of(status) if not stop_at_unknown else lifecycle.require_state_of(status)
        state = record.current
        yield ReportProgress(Progress(state, status, poll))
        # A word that nobody knows says nothing of rest, even where the state last known is a restful one;
        # only what is final stays so.
        if state is not None and work.is_done(state, until if reported is not None else "final"):
            return state
        if not (yield Wait(WaitReason.POLL, poll)):
            last = None if state is None else str(state)
            raise WaitTimedOut(lifecycle=lifecycle.name, task=task, until=until, state=last)


def _poll() -> Steps[tuple[str, TaskRecord[Any, Any]]]:
    answer = yield from read_with_retries()
    if isinstance(answer, Failure):
        raise answer.error
    record: TaskRecord[Any, Any] = yield RecordReport(Report(str(answer.status), answer.as_of))
    return str(answer.status), record
