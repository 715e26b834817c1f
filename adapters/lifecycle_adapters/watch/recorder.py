"""Recording of reports in the journal, in batches; a report is applied to its task only after it is recorded.

While the journal cannot be written, the reports are kept, no further tasks are read (the queue is bounded, and `put`
waits for room), and the write is retried until it succeeds. If a batch fails with any error but an AdapterError, it
contains a report that cannot be recorded: then each report is recorded alone, and those that fail are rejected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from lifecycle.conformance import Channel
from lifecycle.errors import AdapterError, OtherServer
from lifecycle.journal import Journal, Report, ReportEntry, Server, TaskReport
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.procedures.timing import retry_pause_s
from lifecycle_adapters.watch.events import JournalOutage
from lifecycle_adapters.watch.watched_task import WatchedTask

_log = logging.getLogger("lifecycle_adapters.watch")

R = TypeVar("R")

ROOM = 500
"""The most reports that are kept, and that are written in one batch."""
_LINGER_S = 0.05  # the wait of a batch for further reports, if each write needs a disk or a network
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class PendingReport:
    """A report to be recorded; or, with `entry`, a report that another process has recorded as that entry."""

    watched: WatchedTask
    report: Report
    entry: ReportEntry[Any, Any] | None = None

    @property
    def is_foreign(self) -> bool:
        """Return whether it is not the response to a read of ours: another process recorded it, or it was pushed."""
        return self.entry is not None or self.report.channel != Channel.API


Outcome = ReportEntry[Any, Any] | Exception
Learn = Callable[[PendingReport, ReportEntry[Any, Any]], Awaitable[None]]
Reject = Callable[[PendingReport, Exception], Awaitable[None]]
Emit = Callable[[JournalOutage], Awaitable[None]]


class Recorder:
    """Records reports in order, and passes them on.

    Args:
        journal: the journal in which they are recorded.
        lifecycle: the lifecycle of the tasks.
        server: the server that has the tasks.
        learn: called with each report once it is recorded.
        reject: called with each report that cannot be recorded, and the error.
        emit: called when the journal cannot be written, and when it can be written again.
        clock: returns the time, aware and in UTC.
    """

    def __init__(
        self,
        journal: Journal,
        lifecycle: Lifecycle[Any, Any],
        *,
        server: Server,
        learn: Learn,
        reject: Reject,
        emit: Emit,
        clock: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._lifecycle = lifecycle
        self._server = server
        self._learn = learn
        self._reject = reject
        self._emit = emit
        self._clock = clock
        self._inbox: list[PendingReport] = []
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()
        self._waiting_calls = 0
        self._outage: JournalOutage | None = None
        self._is_closing = False
        self._is_ending = False

    @property
    def unrecorded(self) -> int:
        """Return the number of reports that are not recorded yet."""
        return sum(each.entry is None for each in self._inbox)

    async def put(self, pending: PendingReport) -> None:
        """Add a report, when there is room and the journal can be written."""
        while (self._waiting_calls or len(self._inbox) >= ROOM) and not self._is_closing:
            self._left.clear()
            await self._left.wait()
        self._append(pending)

    def offer(self, pending: PendingReport) -> bool:
        """Add a report that another process has recorded; return False if there is no room for it."""
        if len(self._inbox) >= ROOM:
            return False
        self._append(pending)
        return True

    async def run(self) -> None:
        """Record reports and pass them on until `end` is called and none is left."""
        while True:
            while not self._inbox and not self._is_ending:
                self._arrived.clear()
                await self._arrived.wait()
            if not self._inbox:
                return
            await self._linger()
            batch = self._inbox[:ROOM]
            outcomes = await self._record(batch)
            del self._inbox[: len(batch)]
            self._left.set()
            for pending, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    await self._reject(pending, outcome)
                else:
                    await self._learn(pending, outcome)

    def close(self) -> None:
        """Stop waiting for room in `put`: the watcher is closing, and few reports follow."""
        self._is_closing = True
        self._left.set()

    def end(self) -> None:
        """Make `run` return when everything is recorded."""
        self._is_ending = True
        self._arrived.set()

    async def retry_until_available(self, call: Callable[[], R], *, blocking: bool) -> R:
        """Call the journal, retry with pauses while it raises an AdapterError, and return the result."""
        try:
            return await _called(call, blocking=blocking)
        except AdapterError as error:
            async with self._waiting(error):
                return await _retried(call, blocking=blocking)

    @asynccontextmanager
    async def _waiting(self, error: AdapterError) -> AsyncGenerator[None]:
        """Block `put` while any call waits for the journal; report it once, however many calls wait."""
        outage = JournalOutage(self._lifecycle.name, self._clock(), error)
        is_first = not self._waiting_calls
        self._waiting_calls += 1
        try:
            if is_first:
                _log.warning("the journal cannot be used; watching pauses", extra={"error": str(error)})
                self._outage = outage
                await self._emit(outage)
            yield
        finally:
            self._waiting_calls -= 1
            if not self._waiting_calls:
                self._left.set()
                _log.info("the wait for the journal has ended", extra={"unrecorded": self.unrecorded})
        if (
            not self._waiting_calls
        ):  # otherwise another call still waits, or an error or a cancellation has ended this one
            await self._emit(replace(self._outage or outage, ended_at=self._clock()))

    async def _record(self, batch: Sequence[PendingReport]) -> list[Outcome]:
        """Record the reports that are not recorded yet; return each report's entry, or the error of its recording."""
        new = [
            TaskReport(self._lifecycle, each.watched.task_id, each.report, self._server)
            for each in batch
            if each.entry is None
        ]
        blocking = any(each.watched.journal.blocking for each in batch)
        made = iter(await self._add(new, blocking=blocking) if new else [])
        return [each.entry or next(made) for each in batch]

    async def _add(self, new: Sequence[TaskReport], *, blocking: bool) -> list[Outcome]:
        try:
            return list(await self.retry_until_available(lambda: self._journal.add_reports(new), blocking=blocking))
        except OtherServer:
            raise
        except Exception as error:  # noqa: BLE001 (any other error is caused by one of the reports)
            if len(new) == 1:
                return [error]
        return [outcome for each in new for outcome in await self._add([each], blocking=blocking)]

    async def _linger(self) -> None:
        """Wait for further reports if a write costs more than the wait."""
        if self._is_ending or not any(each.watched.journal.blocking for each in self._inbox):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while len(self._inbox) < ROOM and not self._is_ending:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _append(self, pending: PendingReport) -> None:
        self._inbox.append(pending)
        self._arrived.set()


async def _called(call: Callable[[], R], *, blocking: bool) -> R:
    return await asyncio.to_thread(call) if blocking else call()


async def _retried(call: Callable[[], R], *, blocking: bool) -> R:
    attempt = 0
    while True:
        attempt += 1
        await asyncio.sleep(retry_pause_s(attempt, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S))
        with suppress(AdapterError):
            return await _called(call, blocking=blocking)
