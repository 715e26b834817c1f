"""The streams of watched tasks: each event that reports a status is a report, as a webhook's would be.

A stream may be late, doubled, out of order, cut, silent, endless or wrong, so its task is read all the same. What it
reports is recorded and judged like a webhook's, unless it is that the task is settled: that is not recorded, and the
task is read instead, because only a read ends a watch. A report that time cannot place leads to a read, too. An event
that cannot be used ends its stream, and so does a silence for as long as a request may take. A stream that ended is
opened again after growing pauses, and its task is read meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from lifecycle.errors import LifecycleError
from lifecycle.journal import Report
from lifecycle_adapters.http import AsyncClient, ClientUnusable, ResponseError
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.procedures.timing import CLOCK, retry_pause_s
from lifecycle_adapters.watch.recorder import PendingReport
from lifecycle_adapters.watch.throttle import Throttle, pause_asked_s
from lifecycle_adapters.watch.watched_task import WatchedTask
from lifecycle_adapters.webhooks import BadBody, parse

_log = logging.getLogger("lifecycle_adapters.watch")

MOST = 64
"""The most streams at a time: each holds one of the client's connections, of which reads need some, too."""
_FIRST_PAUSE_S = 0.5
_STEADY_S = 10.0  # a stream that was open for so long is opened again after a short pause


class Streams:
    """Follows the streams of up to `limit` tasks at a time; the others wait for their turn.

    Args:
        client: the client whose service has streams.
        limit: the most streams at a time.
        longest_s: the longest pause before a stream is opened again.
        throttle: the rate limit, which the request for a stream counts for, too.
        put: called with each report of a state that is not settled.
        read: called with the task of each stream that ended, or reports that the task is settled: it is to be read.
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
        self._waiting: deque[WatchedTask] = deque()
        self._followed: dict[WatchedTask, asyncio.Task[None]] = {}
        self._is_open = False

    def open(self) -> None:
        """Begin to follow."""
        self._is_open = True
        self._fill()

    def add(self, watched: WatchedTask) -> None:
        """Follow the stream of a task, once there is room."""
        if self._limit:
            self._waiting.append(watched)
            self._fill()

    def drop(self, watched: WatchedTask) -> None:
        """Stop following the stream of a task that was dropped."""
        following = self._followed.get(watched)
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
            watched = self._waiting.popleft()
            if not watched.is_dropped:
                self._followed[watched] = following = asyncio.create_task(self._follow(watched))
                following.add_done_callback(partial(self._leave, watched))

    def _leave(self, watched: WatchedTask, following: asyncio.Task[None]) -> None:
        del self._followed[watched]
        error = None if following.cancelled() else following.exception()
        if error is not None:
            _log.error("following a stream failed; the task is read without it", exc_info=error)
        self._fill()

    async def _follow(self, watched: WatchedTask) -> None:
        """Open the stream of a task again and again, until the task is dropped, which cancels this."""
        stream = self._client.binding.stream
        assert stream is not None, "the watcher has checked it"
        attempt = 0
        while not watched.is_dropped:
            await self._throttle.acquire()
            began_s, asked_s = _now_s(), 0.0
            try:
                await self._read(watched, stream)
            except ClientUnusable:
                return  # the next read of a task ends the watching
            except Exception as error:  # noqa: BLE001 (whatever a transport raises; reads go on without the stream)
                _log_end(watched, error)
                asked_s = pause_asked_s(error.retry_after_s if isinstance(error, ResponseError) else None)
            self._read_task(watched)
            attempt = 1 if _now_s() - began_s >= _STEADY_S else attempt + 1
            pause_s = retry_pause_s(attempt, first_s=_FIRST_PAUSE_S, longest_s=self._longest_s)
            await asyncio.sleep(max(pause_s, asked_s))

    async def _read(self, watched: WatchedTask, stream: StreamBinding) -> None:
        """Pass on the reports of a stream until it ends. Raises HttpError, BadBody and whatever a transport raises."""
        lifecycle = self._client.lifecycle
        last: object = None
        async with aclosing(self._client.stream(watched.task_id)) as events:
            async for data in events:
                update = parse(data, stream).update
                if update is None or update == last:
                    continue
                if update.task_id != watched.task_id:
                    raise BadBody("the event is about another task")
                last, now = update, CLOCK.now()
                state = lifecycle.state_of(update.status, channel=stream.channel)
                if state is not None and lifecycle.is_settled(state):
                    self._read_task(watched)
                    continue
                as_of = min(update.at or now, now)  # a time in the future means that the clocks differ
                await self._put(PendingReport(watched, Report(update.status, as_of, stream.channel)))


def _log_end(watched: WatchedTask, error: Exception) -> None:
    is_ours = isinstance(error, LifecycleError)  # the text of any other error may hold a part of the stream
    facts: dict[str, Any] = {"task_id": watched.task_id, "error": str(error) if is_ours else type(error).__name__}
    _log.info("a stream was broken off", extra=facts)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
