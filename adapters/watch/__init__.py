"""Following many tasks at once: what happens to them, as it happens, and policies that end them.

    async with Watcher(client, policies=[StopAfter(3600)]) as watcher:
        watcher.add(*task_ids)
        async for event in watcher.changes():
            print(event)

watcher.py is the heart; it takes a client, with its key and journal, and makes none. Needs the extra `watch`.
"""

from __future__ import annotations

from lifecycle.errors import MissingExtra

try:
    import aiolimiter as _aiolimiter
except ImportError:
    raise MissingExtra("watch", needed_by="adapters.watch") from None

from adapters.watch.events import RECORD, Acted, Change, Event, Outage, Overdue, PolicyFailed, Unreadable
from adapters.watch.pace import Pace
from adapters.watch.policies import AlertPolicy, Facts, OverdueAfter, Policy, StopAfter, StopAtCost, StopPausedAfter
from adapters.watch.throttle import Throttle
from adapters.watch.watcher import Watcher, watch

__all__ = [
    "RECORD",
    "Acted",
    "AlertPolicy",
    "Change",
    "Event",
    "Facts",
    "Outage",
    "Overdue",
    "OverdueAfter",
    "Pace",
    "Policy",
    "PolicyFailed",
    "StopAfter",
    "StopAtCost",
    "StopPausedAfter",
    "Throttle",
    "Unreadable",
    "Watcher",
    "watch",
]

del _aiolimiter
