"""What a watcher knows of each task, what it learns from a report, and when each is due. No I/O.

Ten thousand of these are held at a time: they are small, and none has a coroutine or a timer of its own.
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
from lifecycle.journal import Report, ReportEntry, TaskJournal, TaskRecord, apply_report
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.watch.events import RECORD, Change
from lifecycle_adapters.watch.policies import Policy

Remark = tuple[Any, ...]

_WORDS = 16  # unknown statuses of a task that are remembered; one that comes again later is emitted again
_REMARKABLE = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT, ObservationKind.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Failing:
    """A policy's failures in a row: of which kind the last was, how many, and when to ask again (loop's clock)."""

    kind: tuple[Any, ...]
    times: int
    again_s: float


@dataclass(slots=True, eq=False)
class WatchedTask:
    """One task.

    `record` is what was told of it, None before its first look. `due_s` is when it is to be looked at
    next, infinite while that is under way; `again` asks for another look at once after this one. After
    `failures` reads in a row it is not read before `read_after_s`; `responded_s` is when a read last succeeded.
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
    read_after_s: float = float("-inf")
    responded_s: float = float("-inf")
    is_told_unreadable: bool = False
    remarked: Remark | None = None
    unknown_statuses: tuple[int, ...] = ()
    cost_usd: Decimal | None = None
    cost_due_s: float = float("-inf")
    # Of policies, in this state: the one to be carried out now, those that are not asked again, those that fail.
    pending_policy: Policy | None = None
    settled: frozenset[str] = frozenset()
    failing: dict[str, Failing] = field(default_factory=dict[str, Failing])


def learn(lifecycle: Lifecycle[Any, Any], watched: WatchedTask, entry: ReportEntry[Any, Any]) -> Change | None:
    """Take over a recorded report; return the change that it is, None where it tells nothing new.

    What is new is judged against what was told of this task before: another worker may have recorded
    the move already, and the report is then the same to the journal and a change to us.
    """
    before = watched.record or TaskRecord()
    watched.record = apply_report(before, entry)
    moved = watched.record.state != before.state
    if moved:
        watched.settled, watched.failing, watched.remarked = frozenset(), {}, None
    if not (_remark(watched, entry) or moved):
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
        is_final=is_over(lifecycle, watched),
    )


def is_behind(watched: WatchedTask, entry: ReportEntry[Any, Any]) -> bool:
    """Return whether a late report is the first that we see: the journal knows a state that we do not."""
    state = None if watched.record is None else watched.record.state
    return state is None and (entry.late or entry.unconfirmed)


def is_news(watched: WatchedTask, report: Report) -> bool:
    """Whether a report that another recorded is younger than the last that was told as believed.

    It is not where it arrives here after one that was recorded later; what it says was then told.
    """
    known_at = None if watched.record is None else watched.record.as_of
    return known_at is None or report.as_of > known_at


def over_already(lifecycle: Lifecycle[Any, Any], watched: WatchedTask) -> Change:
    """Return the change that tells of a task of which the journal knew that it is over."""
    record = watched.record
    assert record is not None
    assert record.as_of is not None
    return Change(
        task_id=watched.task_id,
        lifecycle=lifecycle.name,
        before=record.state,
        state=record.state,
        status=str(record.state),
        kind=ObservationKind.SAME,
        as_of=record.as_of,
        channel=RECORD,
        is_final=True,
    )


def is_over(lifecycle: Lifecycle[Any, Any], watched: WatchedTask) -> bool:
    """Whether the state last told is final."""
    state = None if watched.record is None else watched.record.state
    return state is not None and lifecycle.is_final(state)


def is_certain(entry: ReportEntry[Any, Any]) -> bool:
    """Whether a pushed report needs no look at the task to be believed, or to be left aside as late."""
    kind = None if entry.observation is None else entry.observation.kind
    doubtful = kind in (ObservationKind.CONFLICT, ObservationKind.UNKNOWN) or entry.state is None
    return not (entry.unconfirmed or doubtful)


def _remark(watched: WatchedTask, entry: ReportEntry[Any, Any]) -> bool:
    """Whether the report is remarkable, and was not just told: a poll would repeat it for ever."""
    report = entry.report
    kind = None if entry.observation is None else entry.observation.kind
    if kind is ObservationKind.UNKNOWN or entry.state is None:
        word = hash(report.status)  # a service can make up words without end, and long ones
        others = tuple(each for each in watched.unknown_statuses if each != word)
        is_new = len(others) == len(watched.unknown_statuses)
        watched.unknown_statuses = (*others, word)[-_WORDS:]
        return is_new
    if kind is ObservationKind.SAME:  # late or not: two readers of one task overtake each other all the time
        return False
    if entry.late or entry.unconfirmed:
        remark: Remark = (kind, report.status, report.as_of)
    elif kind in _REMARKABLE:
        remark = (kind, report.status)
    else:
        return False
    is_new = remark != watched.remarked
    watched.remarked = remark
    return is_new


def _kind(lifecycle: Lifecycle[Any, Any], before: Any, entry: ReportEntry[Any, Any]) -> ObservationKind | None:
    if entry.state is None:
        return ObservationKind.UNKNOWN
    if before is None:
        return None
    kind = None if entry.observation is None else entry.observation.kind
    if kind is None or kind is ObservationKind.SAME:  # the journal knew it from somebody else
        return lifecycle.observe(before, str(entry.state)).kind
    return kind


class Schedule:
    """When each task is due: a heap of times. A task that is put in again is due at the new time alone."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, WatchedTask]] = []
        self._numbers = count()
        self._sooner = asyncio.Event()

    def __len__(self) -> int:
        """Return how many entries are held, those that are put off included."""
        return len(self._heap)

    def put(self, watched: WatchedTask, due_s: float) -> None:
        """Let a task be due at this time of the loop's clock, never if it is infinite."""
        watched.due_s = due_s
        if due_s == float("inf"):
            return
        heapq.heappush(self._heap, (due_s, next(self._numbers), watched))
        if self._heap[0][2] is watched:
            self._sooner.set()

    def first(self) -> WatchedTask | None:
        """Return the task that is due first, None if none is due at any time."""
        self._forget_the_past()
        return self._heap[0][2] if self._heap else None

    def pop(self) -> WatchedTask | None:
        """Take out the task that is due first, None where none is due."""
        self._forget_the_past()
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
        """Forget what is no longer due where that is more than is."""
        if len(self._heap) > 2 * len(alive) + 64:
            self._heap = [(each.due_s, next(self._numbers), each) for each in alive if each.due_s < float("inf")]
            heapq.heapify(self._heap)

    def _wait_s(self) -> float:
        self._forget_the_past()
        return self._heap[0][0] - _now_s() if self._heap else float("inf")

    def _forget_the_past(self) -> None:
        while self._heap and self._heap[0][0] != self._heap[0][2].due_s:
            heapq.heappop(self._heap)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
