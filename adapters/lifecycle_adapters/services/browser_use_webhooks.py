"""The webhooks that the emulator sends for Browser Use Cloud, beyond the fields that the bindings read.

Sources: Browser Use Cloud, "Webhooks" (2026-03-16, September 2026); assumptions.py lists what they do not describe.
"""

from __future__ import annotations

from typing import Any

from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services.browser_use import SESSION_UPDATE, STATUS_UPDATE


def status_update(task: EmulatedTask, status: str, clock: EmulatedClock) -> dict[str, Any]:
    """Return the document of a task's change."""
    payload = {
        "task_id": task.id,
        "session_id": task.parent.id if task.parent is not None else str(task.given.get("session_id") or task.id),
        "status": status,
        "metadata": task.given.get("metadata", {}),
    }
    return {"type": STATUS_UPDATE, "timestamp": moment(clock.at(task.state_since_s)), "payload": payload}


def session_update(
    session_id: str, status: str, at: str, *, output: str | None, metadata: Any = None
) -> dict[str, Any]:
    """Return the document of a session's change; the output and the metadata only if there are any."""
    optional = {"output": output, "metadata": metadata}
    payload = {"session_id": session_id, "status": status, **{name: each for name, each in optional.items() if each}}
    return {"type": SESSION_UPDATE, "timestamp": at, "payload": payload}


def ping(at: str) -> dict[str, Any]:
    """Return the document of the test that is sent when a webhook is set up."""
    return {"type": "test", "timestamp": at, "payload": {"test": "ok"}}
