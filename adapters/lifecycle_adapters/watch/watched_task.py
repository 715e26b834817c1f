"""The watched tasks: their records, the changes that reports cause, and the schedule of reads. No I/O.

There may be ten thousand of them at a time: they are small, and none has a coroutine or a timer of its own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from lifecycle.conformance import ObservationKind
from lifecycle.journal import ReportEntry, TaskJournal, TaskRecord
from lifecycle.lifecycle import Lifecycle
from lifecycle.reducers import apply_report, leads_on
from lifecycle_adapters.watch.events import RECORD, Change
from lifecycle_adapters.watch.policies import Policy

Deviation = tuple[Any, ...]

_UNKNOWN_KEPT = 16  # unknown statuses of a task that are remembered; one that recurs later is emitted again
_DEVIATIONS = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT, ObservationKind.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Failing:
    """A policy's failures in a row: the kind of the last, their number, and when to retry (the loop's clock)."""

    kind: tuple[Any, ...]
    times: int
    again_s: float


@dataclass(slots=True, eq=False)
class WatchedTask:
    """One watched task.

    `record` is the record after the events emitted so far, None before the first read. `due_s` is when the task is
    to be read next, infinite while a read is under way; `again` requests another read directly after this one. After
    `failures` failed reads in a row it is not read before `read_after_s`; `responded_s` is when a read last
    succeeded. `is_missing` is True if the service did not find it at the last read. All times are those of the loop's
    clock. `has_unreadable_cost` is True if the last cost that the service reported was not a number.
    """

    task_id: str
    journal: TaskJournal[Any, Any]
    record: TaskRecord[Any, Any] | None = None
    added_at: datetime | None = None
    due_s: float = float("inf")
    interval_s: float = 0.0
    is_busy: bool = False
    is_dropped: bool = False
    again: bool = False
    failures: int = 0
    is_missing: bool = False
    read_after_s: float = float("-inf")
    responded_s: float = float("-inf")
    is_reported_unreadable: bool = False
    last_deviation: Deviation | None = None
    last_not_applied: Deviation | None = None  # a journal's change feed may repeat it after the read that it led to
    unknown_statuses: tuple[int, ...] = ()
    cost_usd: Decimal | None = None
    has_unreadable_cost: bool = False
    cost_due_s: float = float("-inf")
    # The policies in this state: the one whose command is to be sent now, those not evaluated again, those that fail.
    pending_policy: Policy | None = None
    settled: frozenset[str] = frozenset()
    failing: dict[str, Failing] = field(default_factory=dict[str, Failing])


def learn(lifecycle: Lifecycle[Any, Any], watched: WatchedTask, entry: ReportEntry[Any, Any]) -> Change | None:
    """Apply a recorded report to the task; return the change that it is, None if it is nothing new.

    It is compared with the events emitted before: if another worker has recorded the new state already, the
    report is a repeat to the journal, and still a change here.
    """
    before = watched.record or TaskRecord()
    watched.record = apply_report(before, entry)
    has_changed = watched.record.state != before.state
    if has_changed:
        watched.settled, watched.failing, watched.last_deviation = frozenset(), {}, None
    if has_changed and lifecycle.state_of(entry.report.status, channel=entry.report.channel) is None:
        return _from_record(
            lifecycle, watched, before.state, as_of=entry.report.as_of
        )  # a later report says again that the status is unknown
    if not (_is_new_deviation(watched, entry) or has_changed):
        return None
    return Change(
        task_id=watched.task_id,
        lifecycle=lifecycle.name,
        before=before.state,
        state=watched.record.state,
        status=entry.report.status,
        kind=_kind(lifecycle, before.state, entry),
        as_of=entry.report.as_of,
        channel=entry.report.channel,
        late=entry.late,
        unconfirmed=entry.unconfirmed,
        is_over=is_over(lifecycle, watched),
    )


def is_behind(watched: WatchedTask, entry: ReportEntry[Any, Any]) -> bool:
    """Return whether a late report is the first one here: the journal then has a state that is not known here."""
    state = None if watched.record is None else watched.record.state
    return state is None and (entry.late or entry.unconfirmed)


def is_news(lifecycle: Lifecycle[Any, Any], watched: WatchedTask, entry: ReportEntry[Any, Any]) -> bool:
    """Return whether a report that another process recorded is newer than the last one believed here.

    Its time says so. The clock of this process may be ahead of the other's, so a report is also newer if it leads on
    from the state known here to one that the task cannot have been in before.
    """
    record, observation = watched.record, entry.observation
    if record is None or record.as_of is None or entry.report.as_of > record.as_of:
        return True
    return observation is not None and observation.known == record.state and leads_on(lifecycle, observation)


def over_already(lifecycle: Lifecycle[Any, Any], watched: WatchedTask) -> Change:
    """Return the change for a task that was already over in the journal."""
    assert watched.record is not None
    assert watched.record.as_of is not None
    return _from_record(lifecycle, watched, watched.record.state, as_of=watched.record.as_of)


def _from_record(lifecycle: Lifecycle[Any, Any], watched: WatchedTask, before: Any, *, as_of: datetime) -> Change:
    """Return the change to a state that was recorded elsewhere, by another worker or a command."""
    record = watched.record
    assert record is not None
    return Change(
        task_id=watched.task_id,
        lifecycle=lifecycle.name,
        before=before,
        state=record.state,
        status=str(record.state),
        kind=None if before is None else lifecycle.observe(before, str(record.state)).kind,
        as_of=as_of,
        channel=RECORD,
        is_over=is_over(lifecycle, watched),
    )


def is_over(lifecycle: Lifecycle[Any, Any], watched: WatchedTask) -> bool:
    """Return whether the task is over: its state is final or reopenable, and no later report contradicts that."""
    state = None if watched.record is None else watched.record.current
    return state is not None and lifecycle.is_over(state)


def is_certain(entry: ReportEntry[Any, Any]) -> bool:
    """Return whether a pushed report can be believed, or ignored as late, without a read of the task."""
    kind = None if entry.observation is None else entry.observation.kind
    doubtful = kind in (ObservationKind.CONFLICT, ObservationKind.UNKNOWN) or entry.state is None
    return not (entry.unconfirmed or doubtful)


def _is_new_deviation(watched: WatchedTask, entry: ReportEntry[Any, Any]) -> bool:
    """Return whether the report deviates from the record and was not emitted just before, as a poll may repeat it."""
    report = entry.report
    kind = None if entry.observation is None else entry.observation.kind
    if kind is ObservationKind.UNKNOWN or entry.state is None:
        status = hash(report.status)  # a service can invent any number of statuses, and long ones
        others = tuple(each for each in watched.unknown_statuses if each != status)
        is_new = len(others) == len(watched.unknown_statuses)
        watched.unknown_statuses = (*others, status)[-_UNKNOWN_KEPT:]
        return is_new
    if kind is ObservationKind.SAME:  # late or not: two readers of one task often overtake each other
        return False
    if entry.late or entry.unconfirmed:
        not_applied: Deviation = (kind, report.status, report.as_of)
        is_new = not_applied != watched.last_not_applied
        watched.last_not_applied = not_applied
        return is_new
    if kind not in _DEVIATIONS:
        return False
    deviation: Deviation = (kind, report.status)
    is_new = deviation != watched.last_deviation
    watched.last_deviation = deviation
    return is_new


def _kind(lifecycle: Lifecycle[Any, Any], before: Any, entry: ReportEntry[Any, Any]) -> ObservationKind | None:
    if entry.state is None:
        return ObservationKind.UNKNOWN
    if before is None:
        return None
    kind = None if entry.observation is None else entry.observation.kind
    if kind is None or kind is ObservationKind.SAME:  # another worker recorded the new state
        return lifecycle.observe(before, str(entry.state)).kind
    return kind


class Schedule:
    """The times at which tasks are due, as a heap. A task that is put in again is due at the new time only."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, WatchedTask]] = []
        self._numbers = count()
        self._sooner = asyncio.Event()

    def __len__(self) -> int:
        """Return the number of entries in the heap, outdated ones included."""
        return len(self._heap)

    def put(self, watched: WatchedTask, due_s: float) -> None:
        """Make a task due at this time of the loop's clock; never if it is infinite."""
        watched.due_s = due_s
        if due_s == float("inf"):
            return
        heapq.heappush(self._heap, (due_s, next(self._numbers), watched))
        if self._heap[0][2] is watched:
            self._sooner.set()

    def first(self) -> WatchedTask | None:
        """Return the task that is due first, None if none is scheduled."""
        self._drop_outdated()
        return self._heap[0][2] if self._heap else None

    def pop(self) -> WatchedTask | None:
        """Remove and return the task that is due first, None if none is due now."""
        self._drop_outdated()
        if not self._heap or self._heap[0][0] > _now_s():
            return None
        watched = heapq.heappop(self._heap)[2]
        watched.due_s = float("inf")
        return watched

    async def until_due(self) -> None:
        """Return when a task is due."""
        while (wait_s := self._wait_s()) > 0:
            self._sooner.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._sooner.wait()

    def keep(self, alive: Collection[WatchedTask]) -> None:
        """Rebuild the heap from the tasks in `alive` if outdated entries are the majority."""
        if len(self._heap) > 2 * len(alive) + 64:
            self._heap = [(each.due_s, next(self._numbers), each) for each in alive if each.due_s < float("inf")]
            heapq.heapify(self._heap)

    def _wait_s(self) -> float:
        self._drop_outdated()
        return self._heap[0][0] - _now_s() if self._heap else float("inf")

    def _drop_outdated(self) -> None:
        while self._heap and self._heap[0][0] != self._heap[0][2].due_s:
            heapq.heappop(self._heap)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
