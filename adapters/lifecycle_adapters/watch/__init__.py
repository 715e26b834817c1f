"""Watching many tasks at once: events as they happen, and policies that end tasks.

    async with Watcher(client, policies=[StopAfter(3600)]) as watcher:
        watcher.add(*task_ids)
        async for event in watcher.changes():
            print(event)

watcher.py contains `Watcher`, which uses the caller's client with its key and journal. Needs the extra `watch`.
"""

from __future__ import annotations

from lifecycle.errors import MissingExtra

try:
    import aiolimiter as _aiolimiter
except ImportError:
    raise MissingExtra("watch", needed_by="lifecycle_adapters.watch") from None

from lifecycle_adapters.watch.events import (
    RECORD,
    Change,
    Event,
    JournalOutage,
    Outage,
    Overdue,
    PolicyAction,
    PolicyFailed,
    ReadFailed,
)
from lifecycle_adapters.watch.pace import Pace
from lifecycle_adapters.watch.policies import (
    AlertPolicy,
    Facts,
    OverdueAfter,
    Policy,
    StopAfter,
    StopAtCost,
    StopPausedAfter,
)
from lifecycle_adapters.watch.throttle import Throttle
from lifecycle_adapters.watch.watcher import Watcher, watch

__all__ = [
    "RECORD",
    "AlertPolicy",
    "Change",
    "Event",
    "Facts",
    "JournalOutage",
    "Outage",
    "Overdue",
    "OverdueAfter",
    "Pace",
    "Policy",
    "PolicyAction",
    "PolicyFailed",
    "ReadFailed",
    "StopAfter",
    "StopAtCost",
    "StopPausedAfter",
    "Throttle",
    "Watcher",
    "watch",
]

del _aiolimiter
