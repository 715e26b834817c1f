"""Is the service down, or are these tasks' reads failing? Judged from the last reads of distinct tasks.

Reads of five distinct tasks that fail without one that succeeds are a suspicion: reads stop, and one task
after the other is read as a probe. Five probes that fail too are an outage, the first response ends it. So tasks
that fail by themselves, however many, stop nobody's reads for longer than a probe takes. No I/O.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from lifecycle_adapters.http.timing import retry_pause_s
from lifecycle_adapters.watch.events import Outage
from lifecycle_adapters.watch.watched_task import WatchedTask

_SUSPICIOUS = 5  # distinct tasks; all if fewer are watched, but at least two: one task's trouble is its own
_CERTAIN = 5  # probes
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 20.0  # also the longest that a few tasks which do answer stay unread


class OutageDetector:
    """What the reads of one watcher say about its service."""

    def __init__(self, lifecycle: str, clock: Callable[[], datetime]) -> None:
        self._lifecycle = lifecycle
        self._clock = clock
        self._failing: set[str] = set()
        self._began_at: datetime | None = None
        self._probes = 0
        self._outage: Outage | None = None
        self.suspected = asyncio.Event()
        """Set while only probes are read."""

    def fail(self, watched: WatchedTask, error: Exception, *, of: int, is_probe: bool) -> Outage | None:
        """Take note of a read without response, of one of so many tasks. Return the outage that this makes certain."""
        self._began_at = self._began_at or self._clock()
        if not self.suspected.is_set():
            self._failing.add(watched.task_id)
            if len(self._failing) >= max(min(_SUSPICIOUS, of), 2):
                self.suspected.set()
            return None
        self._probes += is_probe
        is_new = self._outage is None and self._probes >= _CERTAIN
        if is_new or self._outage is not None:
            self._outage = Outage(lifecycle=self._lifecycle, began_at=self._began_at, error=error)
        return self._outage if is_new else None

    def respond(self) -> Outage | None:
        """Take note of a response. Return the outage that it ends."""
        ended = self._outage and replace(self._outage, ended_at=self._clock())
        self._failing.clear()
        self._began_at, self._probes, self._outage = None, 0, None
        self.suspected.clear()
        return ended

    def pause_s(self) -> float:
        """Return the pause before the next probe."""
        return retry_pause_s(
            self._probes + 1, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S, shortest_s=_FIRST_PAUSE_S / 2
        )


def next_probe(tasks: Iterable[WatchedTask]) -> WatchedTask | None:
    """Return the task to probe with: the fewest failures in a row, then the latest response, then by chance."""
    free = (each for each in tasks if not each.is_busy)
    return min(free, key=lambda each: (each.failures, -each.responded_s, random.random()), default=None)  # noqa: S311
