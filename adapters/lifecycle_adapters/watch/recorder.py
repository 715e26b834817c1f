"""What was seen goes to the journal in batches, and is learned only after it is recorded.

A journal that cannot be written is waited for: what was seen is kept, nobody is asked anew (the room
is bounded, and who brings more waits), and it is tried again until it works. A batch that fails for any
other reason than an AdapterError holds a report that cannot be recorded: then each is recorded alone, and
those that fail are rejected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from lifecycle.errors import AdapterError
from lifecycle.journal import Journal, Report, ReportEntry, TaskReport
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.http.timing import retry_pause_s
from lifecycle_adapters.watch.watched_task import WatchedTask

_log = logging.getLogger("lifecycle_adapters.watch")

R = TypeVar("R")

ROOM = 500
"""How many reports are kept, and written at once, at most."""
_LINGER_S = 0.05  # what a batch waits for company, where each costs a disk or a network
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class PendingReport:
    """A report to be recorded; or, with `entry`, one that was recorded by whoever received it, and as what."""

    watched: WatchedTask
    report: Report
    entry: ReportEntry[Any, Any] | None = None


Outcome = ReportEntry[Any, Any] | Exception
Learn = Callable[[PendingReport, ReportEntry[Any, Any]], Awaitable[None]]
Reject = Callable[[PendingReport, Exception], Awaitable[None]]


class Recorder:
    """Records what is seen, in order, and has it learned.

    Args:
        learn: called with each report once it is recorded.
        reject: called with each report that cannot be recorded, and the error.
    """

    def __init__(self, journal: Journal, lifecycle: Lifecycle[Any, Any], learn: Learn, reject: Reject) -> None:
        self._journal = journal
        self._lifecycle = lifecycle
        self._learn = learn
        self._reject = reject
        self._inbox: list[PendingReport] = []
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()
        self._waiting_calls = 0
        self._is_closing = False
        self._is_ending = False

    @property
    def unrecorded(self) -> int:
        """How many reports are not recorded yet."""
        return sum(each.entry is None for each in self._inbox)

    async def put(self, seen: PendingReport) -> None:
        """Bring a report, when there is room and the journal can be written."""
        while (self._waiting_calls or len(self._inbox) >= ROOM) and not self._is_closing:
            self._left.clear()
            await self._left.wait()
        self._take_in(seen)

    def offer(self, seen: PendingReport) -> bool:
        """Bring a report that was recorded elsewhere; whether there was room for it."""
        if len(self._inbox) >= ROOM:
            return False
        self._take_in(seen)
        return True

    async def run(self) -> None:
        """Record and have learned until `end`, and then what is left."""
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
            for seen, outcome in zip(batch, outcomes, strict=True):
                await (self._reject(seen, outcome) if isinstance(outcome, Exception) else self._learn(seen, outcome))

    def close(self) -> None:
        """Let nobody wait for room any more: what comes now is the last that was seen."""
        self._is_closing = True
        self._left.set()

    def end(self) -> None:
        """Let `run` return when everything is recorded."""
        self._is_ending = True
        self._arrived.set()

    async def retry_until_available(self, call: Callable[[], R], *, blocking: bool) -> R:
        """Ask the journal something, again and again until it can answer."""
        try:
            return await _asked(call, blocking=blocking)
        except AdapterError as error:
            with self._waiting(error):
                return await _asked_again(call, blocking=blocking)

    @contextmanager
    def _waiting(self, error: AdapterError) -> Generator[None]:
        """While anything waits for the journal nothing new is taken in; said once, however many wait."""
        if not self._waiting_calls:
            _log.warning("the journal cannot be used; watching pauses", extra={"error": str(error)})
        self._waiting_calls += 1
        try:
            yield
        finally:
            self._waiting_calls -= 1
            if not self._waiting_calls:
                self._left.set()
                _log.info("the journal is waited for no longer", extra={"unrecorded": self.unrecorded})

    async def _record(self, batch: Sequence[PendingReport]) -> list[Outcome]:
        """Record what is not recorded yet; for each the entry, or the error why it cannot be recorded."""
        new = [TaskReport(self._lifecycle, each.watched.task_id, each.report) for each in batch if each.entry is None]
        blocking = any(each.watched.journal.blocking for each in batch)
        made = iter(await self._add(new, blocking=blocking) if new else [])
        return [each.entry or next(made) for each in batch]

    async def _add(self, new: Sequence[TaskReport], *, blocking: bool) -> list[Outcome]:
        try:
            return list(await self.retry_until_available(lambda: self._journal.add_reports(new), blocking=blocking))
        except Exception as error:  # noqa: BLE001 (whatever it is, one of them is to blame)
            if len(new) == 1:
                return [error]
        return [outcome for each in new for outcome in await self._add([each], blocking=blocking)]

    async def _linger(self) -> None:
        """Let a batch grow, where writing one costs more than waiting."""
        if self._is_ending or not any(each.watched.journal.blocking for each in self._inbox):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while len(self._inbox) < ROOM and not self._is_ending:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _take_in(self, seen: PendingReport) -> None:
        self._inbox.append(seen)
        self._arrived.set()


async def _asked(call: Callable[[], R], *, blocking: bool) -> R:
    return await asyncio.to_thread(call) if blocking else call()


async def _asked_again(call: Callable[[], R], *, blocking: bool) -> R:
    attempt = 0
    while True:
        attempt += 1
        await asyncio.sleep(retry_pause_s(attempt, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S))
        with suppress(AdapterError):
            return await _asked(call, blocking=blocking)
