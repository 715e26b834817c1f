"""Scripts: the remote events that an emulated task takes by itself, in order.

task_store.py takes an event of a script only when the lifecycle allows it: an event that the state refuses waits (a
paused task does not finish), and one that the lifecycle does not declare never happens (`V1` has fewer than
`V1_FULL`). A task's text can replace its script:

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
    """Return the script that a task's text names by `[remote: event, ...]`, or None if it names none.

    Raises:
        UnknownName: the lifecycle does not declare an event.
        ValueError: an event is a command.
    """
    directive = _DIRECTIVE.search(text)
    if directive is None:
        return None
    events = tuple(event for event in re.split(r"[\s,]+", directive[1]) if event)
    for event in events:
        require_remote(lifecycle, event)
    return events
