"""What a watcher emits, and the box in which events wait for their reader.

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
"""The `channel` of a change that no report told, but the journal's record of the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A task has moved, or something remarkable was reported of it.

    `before` and `state` are what was known before and after (None for nothing yet); where they are
    equal the task has not moved, and `kind`, `late` or `unconfirmed` say what is remarkable. `kind` is
    None for the first report. `status` is the word that was reported, `as_of` its time (UTC).
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
    is_final: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether the lifecycle does not know the status."""
        return self.kind is ObservationKind.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAction:
    """A policy's command, and what came of it.

    `state` is the one it left the task in. `sent` is False where it was needless. With `error` it did
    not simply succeed. `is_settled` is then True if the task is over or its state refuses the command.
    Otherwise the command is given again, with growing pauses; the event is emitted the first time, if another
    kind of error follows, and at the 8th, 64th, 512th ... failure in a row.
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

    `is_gone`: there is no such task (any more).
    """

    task_id: str
    lifecycle: str
    error: Exception
    is_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A task has been in `state` since `since` (UTC), longer than the policy expects; emitted once per stay."""

    task_id: str
    lifecycle: str
    policy: str
    state: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFailed:
    """A policy raised an error about a task. It is asked again, with growing pauses; the others go on.

    Emitted the first time, if another kind of error follows, and at the 8th, 64th, 512th ... error in a row.
    """

    task_id: str
    lifecycle: str
    policy: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The service answers no reads; emitted when that is certain, and again with `ended_at` when it answers.

    `began_at` (UTC) is the time of the first read that failed, `error` is the last error.
    """

    lifecycle: str
    began_at: datetime
    error: Exception
    ended_at: datetime | None = None


Event = Change | PolicyAction | ReadFailed | Overdue | PolicyFailed | Outage


class EventQueue:
    """Where events wait for their reader, at most `room` of them; who brings more waits.

    Args:
        is_over: whether nothing more will come; whoever changes its answer calls `wake`.
    """

    def __init__(self, *, room: int, is_over: Callable[[], bool]) -> None:
        self._room = room
        self._is_over = is_over
        self._events: deque[Event] = deque()
        self._is_closed = False
        self._failure: BaseException | None = None
        self._changed = asyncio.Event()

    async def put(self, event: Event) -> None:
        """Bring an event, when there is room; at once where the box is closed, so that no end waits for a reader."""
        while len(self._events) >= self._room and not self._is_closed:
            await self._next_change()
        self._events.append(event)
        self.wake()

    async def take(self) -> Event | None:
        """Return the next event, None after the last. Raises what the watcher failed with."""
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
        """Let nobody wait any more."""
        self._is_closed = True
        self._failure = self._failure or failure
        self.wake()

    def wake(self) -> None:
        """Let those who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _next_change(self) -> None:
        await self._changed.wait()
