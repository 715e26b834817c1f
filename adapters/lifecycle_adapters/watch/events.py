"""The events of a watcher, and the queue in which they wait for their reader.

Changes of tasks, commands of policies, tasks that cannot be read or are overdue, policies that fail, and outages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lifecycle.conformance import ObservationKind

RECORD = "record"
"""The `channel` of a change that comes from the journal's record of the task instead of a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A task has changed its state, or a report deviates from it.

    `before` and `state` are the known states before and after the report (None if not known yet). If they are
    equal the state has not changed, and `kind`, `late` or `unconfirmed` show the deviation. `kind` is
    None for the first report. `status` is the status that was reported, `as_of` its time (UTC). If `is_over`, the
    state is final or reopenable, and the task is not watched any longer.
    """

    task_id: str
    lifecycle: str
    before: str | None
    state: str | None
    status: str
    kind: ObservationKind | None
    as_of: datetime
    channel: str
    late: bool = False
    unconfirmed: bool = False
    is_over: bool = False

    @property
    def is_unknown(self) -> bool:
        """Return whether the status is one that the lifecycle does not declare."""
        return self.kind is ObservationKind.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAction:
    """A policy's command, and its outcome.

    `state` is the task's state after it. `sent` is False if the command was needless, or if its error does not say
    that it was sent. `error` is set if it did not succeed; `is_settled` is then True if the task is over or its
    state refuses the command. Otherwise the command is sent again, with growing pauses; the event is emitted for
    the first failure, for one of another kind, and for the 8th, 64th, 512th ... failure in a row.
    """

    task_id: str
    lifecycle: str
    policy: str
    command: str
    reason: str
    state: str | None
    sent: bool
    is_settled: bool = True
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFailed:
    """A task's status cannot be read or recorded; emitted once until it can be.

    `is_gone` is True if the service has no such task, or no longer has it: it is not watched any longer.
    `is_refused` is True if the service refuses the read with a 4xx that no other read is expected to change, such as
    400 or 422 for a malformed id. The task is still watched, in case the refusal ends; it is read every `longest_s`.
    """

    task_id: str
    lifecycle: str
    error: Exception
    is_gone: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A task has been in `state` since `since` (UTC), longer than the policy expects; emitted once per stay.

    `state` is None if the task's status could never be read.
    """

    task_id: str
    lifecycle: str
    policy: str
    state: str | None
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFailed:
    """A policy raised an error about a task. It is evaluated again, with growing pauses; the others continue.

    Emitted for the first error, for one of another kind, and for the 8th, 64th, 512th ... error in a row. Also emitted
    for each policy that needs the cost of a task if the service reports a cost that is not a number: once until it
    reports a number. Meanwhile the policy is evaluated with the last known cost.
    """

    task_id: str
    lifecycle: str
    policy: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """No task can be read: the service does not respond, fails, or refuses the key (401).

    Emitted when that is certain, and again with `ended_at` at the first other response. It is certain once the reads of
    five tasks (of all, at least two, if fewer are watched) and five further reads have failed. Each of those begins at
    most a second, or `Pace.longest_s` if that is shorter, after the one before has failed.
    `began_at` (UTC) is the time of the first read that failed, `error` is the last error.
    """

    lifecycle: str
    began_at: datetime
    error: Exception
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JournalOutage:
    """The journal cannot be written; emitted when a write fails, and again with `ended_at` when one succeeds.

    Until then no task is read and no policy is enforced, because neither a report nor a command could be recorded.
    `began_at` (UTC) is the time of the first write that failed, `error` is its error.
    """

    lifecycle: str
    began_at: datetime
    error: Exception
    ended_at: datetime | None = None


Event = Change | PolicyAction | ReadFailed | Overdue | PolicyFailed | Outage | JournalOutage


class EventQueue:
    """A queue of at most `room` events; `put` waits while it is full.

    Args:
        room: how many events it can contain.
        is_over: returns whether no event will follow; code that changes its result must call `wake`.
    """

    def __init__(self, *, room: int, is_over: Callable[[], bool]) -> None:
        self._room = room
        self._is_over = is_over
        self._events: deque[Event] = deque()
        self._is_closed = False
        self._failure: BaseException | None = None
        self._changed = asyncio.Event()

    async def put(self, event: Event) -> None:
        """Add an event when there is room; at once if the queue is closed, so that closing never waits for a reader."""
        while len(self._events) >= self._room and not self._is_closed:
            await self._next_change()
        self._events.append(event)
        self.wake()

    async def take(self) -> Event | None:
        """Return the next event, None after the last. Raises the error with which the watcher failed."""
        while not self._events:
            if self._failure is not None:
                raise self._failure
            if self._is_closed or self._is_over():
                return None
            await self._next_change()
        event = self._events.popleft()
        self.wake()
        return event

    def close(self, failure: BaseException | None = None) -> None:
        """End all waits; `take` then raises `failure`, or returns None after the last event."""
        self._is_closed = True
        self._failure = self._failure or failure
        self.wake()

    def wake(self) -> None:
        """Make every waiting `put` and `take` check again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _next_change(self) -> None:
        await self._changed.wait()
