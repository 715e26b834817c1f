"""The emulation of an MCP server with the extension `io.modelcontextprotocol/tasks`: data and pure functions.

Every name is one of a tool, and every call of one makes a task.
Source: ext-tasks, specification/draft/tasks.md of 2026-08-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle.catalog import MCPEvent, MCPState
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.profile import Operation, Profile, Refusal
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services.json_rpc import error_of

_POLL_MS = 500
_DONE = {"content": [{"type": "text", "text": "Done"}], "isError": False}
_FAILED = {"code": -32603, "message": "the tool failed"}
_SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
_ASKED = {"mode": "form", "message": "Please enter your name.", "requestedSchema": _SCHEMA}
_error = error_of({400: -32700, 404: -32602, 405: -32601, 409: -32600, 422: -32602})


def _task(task: EmulatedTask, clock: EmulatedClock, *, kind: str = "complete") -> dict[str, Any]:
    return {
        "resultType": kind,
        "taskId": task.id,
        "status": str(task.state),
        "createdAt": moment(clock.at(task.created_s)),
        "lastUpdatedAt": moment(clock.at(task.state_since_s)),
        "ttlMs": None,
        "pollIntervalMs": _POLL_MS,
    }


def _created(task: EmulatedTask, clock: EmulatedClock) -> dict[str, Any]:
    return _task(task, clock, kind="task")


def _details(task: EmulatedTask, clock: EmulatedClock) -> dict[str, Any]:
    """Return a task with what its status demands: its result, its error, or its questions."""
    # A key is never used again: each question has that of the transition which asked it.
    asked = {f"name-{len(task.transitions)}": {"method": "elicitation/create", "params": _ASKED}}
    more: Mapping[str, Any] = {
        MCPState.COMPLETED: {"result": _DONE},
        MCPState.FAILED: {"error": _FAILED},
        MCPState.INPUT_REQUIRED: {"inputRequests": asked},
    }
    return {**_task(task, clock), **more.get(task.state, {})}


def _acknowledged(_task: EmulatedTask, _clock: EmulatedClock) -> dict[str, Any]:
    return {"resultType": "complete"}


def _refused(_lifecycle: Lifecycle[Any, Any], _task: EmulatedTask, _command: str) -> Refusal | None:
    """Acknowledge also what has no effect: a cancel is "only obligated to acknowledge", a late answer is ignored."""
    return None


PROFILE = Profile(
    not_found="Failed to retrieve task: Task not found",
    operations={"create": Operation(name="call", about="Call a method that concerns tasks.")},
    created=_created,
    status=_details,
    details=_details,
    commanded={str(MCPEvent.CANCEL): _acknowledged, str(MCPEvent.ANSWER): _acknowledged},
    refused=_refused,
    error=_error,
)
