"""Detection of outages: a service that is down or refuses the key, unlike tasks whose own reads fail. No I/O.

If the reads of five distinct tasks fail without one that succeeds, an outage is suspected: reads stop, and one task
after the other is read as a probe, at most a second after the last. If five probes fail too, it is an outage, which the
first response ends; its probes become rarer, but not rarer than a task may be read. So tasks that fail by themselves,
however many, stop the reads of others for no longer than a probe takes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from lifecycle_adapters.procedures.timing import retry_pause_s
from lifecycle_adapters.watch.events import Outage
from lifecycle_adapters.watch.watched_task import WatchedTask

_SUSPICIOUS = 5  # distinct tasks; all if fewer are watched, but at least two: one failing task is not an outage
_CERTAIN = 5  # probes
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 20.0  # also the longest time for which tasks that could be read stay unread


class OutageDetector:
    """Detects outages of a service from the reads of one watcher; `longest_s` is the longest interval of its pace."""

    def __init__(self, lifecycle: str, clock: Callable[[], datetime], *, longest_s: float) -> None:
        self._lifecycle = lifecycle
        self._clock = clock
        self._first_s, self._longest_s = min(_FIRST_PAUSE_S, longest_s), min(_LONGEST_PAUSE_S, longest_s)
        self._failing: set[str] = set()
        self._began_at: datetime | None = None
        self._probes = 0
        self._outage: Outage | None = None
        self.suspected = asyncio.Event()
        """Set while only probes are read."""

    def fail(self, watched: WatchedTask, error: Exception, *, of: int, is_probe: bool) -> Outage | None:
        """Record a failed read of one of `of` tasks; return the outage if this read makes it certain."""
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
        """Record a response; return the outage that it ends, if any."""
        ended = self._outage and replace(self._outage, ended_at=self._clock())
        self._failing.clear()
        self._began_at, self._probes, self._outage = None, 0, None
        self.suspected.clear()
        return ended

    def pause_s(self) -> float:
        """Return the pause before the next probe; it grows once the outage is certain."""
        certain = max(self._probes - _CERTAIN + 1, 0)
        return retry_pause_s(
            certain + 1, first_s=self._first_s, longest_s=self._longest_s, shortest_s=self._first_s / 2
        )


def next_probe(tasks: Iterable[WatchedTask]) -> WatchedTask | None:
    """Return the task to probe: the one with the fewest failures in a row, then the latest response, then at random."""
    free = (each for each in tasks if not each.is_busy)
    return min(free, key=lambda each: (each.failures, -each.responded_s, random.random()), default=None)  # noqa: S311
