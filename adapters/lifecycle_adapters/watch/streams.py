"""The streams of watched tasks: each event that reports a status is a report, as a webhook's would be.

Some services have a stream of each task, others one of all tasks.

A stream may be late, doubled, out of order, cut, silent, endless or wrong, so its task is still read. Its reports are
recorded and judged like those of a webhook, with one exception: a report that the task is settled is not recorded, and
the task is read instead, because only a read ends a watch. The task is also read if the time of a report does not show
whether it is new. A stream is closed after an event that cannot be used, or after a silence as long as a request may
take. A stream that ended is opened again after growing pauses, and its task is read meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lifecycle.errors import LifecycleError
from lifecycle.journal import Report
from lifecycle_adapters.http import AsyncClient, ClientUnusable, ResponseError
from lifecycle_adapters.procedures.timing import CLOCK, retry_pause_s
from lifecycle_adapters.watch.recorder import PendingReport
from lifecycle_adapters.watch.throttle import Throttle, pause_asked_s
from lifecycle_adapters.watch.watched_task import WatchedTask
from lifecycle_adapters.webhooks import BadBody, parse

_log = logging.getLogger("lifecycle_adapters.watch")

MOST = 64
"""The most streams at a time: each holds one of the client's connections, of which reads need some, too."""
_FIRST_PAUSE_S = 0.5
_SHOWN = 10  # the most tasks of a stream that a log names
_STEADY_S = 10.0  # a stream that was open for so long is opened again after a short pause


@dataclass(eq=False, slots=True)
class _Stream:
    """One stream and the watched tasks that it is about, by their ids; over when it has none."""

    tasks: dict[str, WatchedTask] = field(default_factory=dict[str, WatchedTask])


class Streams:
    """Follows up to `limit` streams at a time; the others wait for their turn.

    Args:
        client: the client whose service has streams.
        limit: the most streams at a time.
        longest_s: the longest pause before a stream is opened again.
        throttle: the rate limit, which the request for a stream counts for, too.
        put: called with each report of a state that is not settled.
        read: called with the tasks of each stream that ended, or began with an event that reports no status, and with
            the task that one reports to be settled: they are to be read.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        limit: int,
        longest_s: float,
        throttle: Throttle,
        put: Callable[[PendingReport], Awaitable[None]],
        read: Callable[[WatchedTask], None],
    ) -> None:
        self._client = client
        self._limit = limit
        self._longest_s = longest_s
        self._throttle = throttle
        self._put = put
        self._read_task = read
        self._streams: dict[WatchedTask, _Stream] = {}
        self._waiting: deque[_Stream] = deque()
        self._followed: dict[_Stream, asyncio.Task[None]] = {}
        binding = client.binding.stream
        self._of_all = _Stream() if binding is not None and binding.is_of_all_tasks else None
        self._is_open = False

    def open(self) -> None:
        """Begin to follow."""
        self._is_open = True
        self._fill()

    def add(self, watched: WatchedTask) -> None:
        """Follow the stream of a task, once there is room."""
        if self._limit:
            stream = self._streams[watched] = self._of_all or _Stream()
            is_new = not stream.tasks and stream not in self._followed
            stream.tasks[watched.task_id] = watched
            if is_new:
                self._waiting.append(stream)
                self._fill()

    def drop(self, watched: WatchedTask) -> None:
        """Stop following a task that was dropped, and the stream that was about no other task."""
        stream = self._streams.pop(watched, None)
        if stream is not None and stream.tasks.get(watched.task_id) is watched:
            del stream.tasks[watched.task_id]
            following = None if stream.tasks else self._followed.get(stream)
            if following is not None:
                following.cancel()

    def close(self) -> list[asyncio.Task[None]]:
        """Stop following all streams, and return the work that still ends."""
        self._is_open = False
        for each in self._followed.values():
            each.cancel()
        return list(self._followed.values())

    def _fill(self) -> None:
        while self._is_open and self._waiting and len(self._followed) < self._limit:
            stream = self._waiting.popleft()
            if stream.tasks and stream not in self._followed:
                self._followed[stream] = following = asyncio.create_task(self._follow(stream))
                following.add_done_callback(partial(self._leave, stream))

    def _leave(self, stream: _Stream, following: asyncio.Task[None]) -> None:
        del self._followed[stream]
        if stream.tasks and following.cancelled():  # tasks were added while it ended
            self._waiting.append(stream)
        error = None if following.cancelled() else following.exception()
        if error is not None:
            _log.error("following a stream failed; the task is read without it", exc_info=error)
        self._fill()

    async def _follow(self, stream: _Stream) -> None:
        """Open a stream again and again, until its tasks are dropped, which cancels this."""
        attempt = 0
        while stream.tasks:
            await self._throttle.acquire()
            began_s, asked_s = _now_s(), 0.0
            try:
                await self._read(stream)
            except ClientUnusable:
                return  # the next read of a task ends the watching
            except Exception as error:  # noqa: BLE001 (whatever a transport raises; reads go on without the stream)
                _log_end(stream, error)
                asked_s = pause_asked_s(error.retry_after_s if isinstance(error, ResponseError) else None)
            for watched in [*stream.tasks.values()]:
                self._read_task(watched)
            attempt = 1 if _now_s() - began_s >= _STEADY_S else attempt + 1
            pause_s = retry_pause_s(attempt, first_s=_FIRST_PAUSE_S, longest_s=self._longest_s)
            await asyncio.sleep(max(pause_s, asked_s))

    async def _read(self, stream: _Stream) -> None:
        """Pass on the reports of a stream until it ends. Raises HttpError, BadBody and whatever a transport raises."""
        binding, lifecycle = self._client.binding.stream, self._client.lifecycle
        assert binding is not None, "the watcher has checked it"
        task_id = None if stream is self._of_all else next(iter(stream.tasks))
        last: object = None
        is_first = True
        async with aclosing(self._client.stream(task_id)) as events:
            async for data in events:
                update = parse(data, binding).update
                was_first, is_first = is_first, False
                if update is None and was_first:  # the stream is open: what changed before will be in no event
                    for each in [*stream.tasks.values()]:
                        self._read_task(each)
                if update is None or update == last:
                    continue
                watched = stream.tasks.get(update.task_id)
                if watched is None:
                    if task_id is not None:
                        raise BadBody("the event is about another task")
                    continue
                last, now = update, CLOCK.now()
                state = lifecycle.state_of(update.status, channel=binding.channel)
                if state is not None and lifecycle.is_settled(state):
                    self._read_task(watched)
                    continue
                as_of = min(update.at or now, now)  # a time in the future means that the clocks differ
                await self._put(PendingReport(watched, Report(update.status, as_of, binding.channel)))


def _log_end(stream: _Stream, error: Exception) -> None:
    is_ours = isinstance(error, LifecycleError)  # the text of any other error may hold a part of the stream
    facts: dict[str, Any] = {
        "tasks": [*stream.tasks][:_SHOWN],
        "error": str(error) if is_ours else type(error).__name__,
    }
    _log.info("a stream was broken off", extra=facts)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
