"""What a task does by itself, when nobody interferes: the remote events that it takes, in order.

Wishes only. Whether and when one happens is asked of the lifecycle (world.py): an event that the
state refuses waits for its turn (a paused task does not finish), one that the lifecycle does not
declare never comes (`V1` has fewer than `V1_FULL`). To make a single task behave otherwise, say so in its text:

    Buy milk [remote: start, fail]
"""

from __future__ import annotations

import re
from typing import Any

from lifecycle.catalog import V1Event, V2Event, V2SessionEvent, V3Event, V4Event
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.task_store import require_remote

# fmt: off
V1_TASK            = (V1Event.START, V1Event.FINISH)
V2_TASK            = (V2Event.START, V2Event.FINISH)
V2_SESSION         = ()
V2_SESSION_CLOSING = (V2SessionEvent.CLOSE,)  # not kept alive: after its last task
V3_EMPTY           = (V3Event.READY,)
V3_TASK            = (V3Event.START, V3Event.CLOSE)
V3_TASK_KEPT       = (V3Event.START, V3Event.COMPLETE)
V4_RUN             = (V4Event.DISPATCH, V4Event.START, V4Event.COMPLETE)
# fmt: on

_DIRECTIVE = re.compile(r"\[remote:([\w\s,]*)\]")


def parse_script(text: str, lifecycle: Lifecycle[Any, Any]) -> tuple[str, ...] | None:
    """Return the course that a task's text asks for by `[remote: event, ...]`, or None if it asks for none.

    Raises:
        UnknownName: the lifecycle does not declare an event.
        ValueError: an event is a command.
    """
    directive = _DIRECTIVE.search(text)
    if directive is None:
        return None
    events = tuple(word for word in re.split(r"[\s,]+", directive[1]) if word)
    for event in events:
        require_remote(lifecycle, event)
    return events
