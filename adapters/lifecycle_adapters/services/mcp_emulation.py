"""The emulation of an MCP server beyond its binding: data and pure functions.

Every name is one of a tool, and a tool runs as a task only.
Source: MCP specification, revision 2025-11-25: Overview ("Messages"), Transports ("Sending Messages to the Server"),
Tasks ("Protocol Messages", "Error Handling", "Tool-Level Negotiation"), Tools ("Listing Tools"), Ping. What is no
message has the status code 400, as in the official SDK (assumed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import Any

from lifecycle.catalog import MCPState
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.profile import Operation, Outcome, OwnCall, Profile, Refusal, Tasks
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services.json_rpc import error_of, rpc

_RELATED = "io.modelcontextprotocol/related-task"
_POLL_MS = 500
_VERSION = "2025-11-25"
_PAGE = 20
_error = error_of({400: -32700, 404: -32602, 405: -32601, 409: -32600, 422: -32602})


def _task(task: EmulatedTask, clock: EmulatedClock) -> dict[str, Any]:
    return {
        "taskId": task.id,
        "status": str(task.state),
        "createdAt": moment(clock.at(task.created_s)),
        "lastUpdatedAt": moment(clock.at(task.state_since_s)),
        "ttl": None,  # tasks are kept for ever, whatever was asked for
        "pollInterval": _POLL_MS,
    }


def _notification(task: EmulatedTask, _: str, clock: EmulatedClock) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": _task(task, clock)}


def _in_a_response(task: EmulatedTask, clock: EmulatedClock) -> dict[str, Any]:
    return {"task": _task(task, clock)}


def _result(task: EmulatedTask, _tasks: Tasks, _clock: EmulatedClock, **_others: Any) -> Outcome | Refusal:
    """Return what the tool returned; a call that would have to wait for it is refused (assumed)."""
    if not task.is_over:
        return Refusal(200, _error(f"the task is {task.state}; the emulator does not wait for its result", 500))
    if task.state == MCPState.CANCELLED:
        return Refusal(200, _error("the request was cancelled", 500))
    content = [{"type": "text", "text": "Done" if task.state == MCPState.COMPLETED else "Failed"}]
    is_error = task.state == MCPState.FAILED
    return Outcome({"content": content, "isError": is_error, "_meta": {_RELATED: {"taskId": task.id}}})


def _refused(_lifecycle: Lifecycle[Any, Any], task: EmulatedTask, command: str) -> Refusal:
    """Refuse also a second cancel: "Receivers MUST reject [...] tasks already in a terminal status" with -32602."""
    return Refusal(200, _error(f"Cannot {command} task: already in terminal status '{task.state}'", 422))


def _listed(
    tasks: Sequence[EmulatedTask], clock: EmulatedClock, *, cursor: str | None = None, **_others: Any
) -> dict[str, Any]:
    """Return a page of tasks, newest first; `cursor` is the id of the last task before it."""
    rest = list(dropwhile(lambda task: cursor not in (None, task.id), tasks))
    if cursor is not None and not rest:
        raise ValueError(f"no page begins after the cursor {cursor!r}")
    shown = (rest if cursor is None else rest[1:])[:_PAGE]
    page: dict[str, Any] = {"tasks": [_task(task, clock) for task in shown]}
    return page if not shown or shown[-1] is rest[-1] else {**page, "nextCursor": shown[-1].id}


def _unsupported(headers: Mapping[str, str], body: Any) -> Refusal | None:
    """Refuse another version with 400, and a tool call without a task.

    Tasks: "Servers MUST return a `-32601` [...] error" if a tool requires one.
    """
    if (version := headers.get("MCP-Protocol-Version", _VERSION)) != _VERSION:
        return Refusal(400, _error(f"Unsupported protocol version {version!r:.80}: use {_VERSION}", 409))
    match body:
        case {"method": "tools/call", "params": {**params}} if "task" not in params:
            return Refusal(200, _error("this tool runs as a task only", 405))
        case _:
            return None


def _pong(_tasks: Tasks, _clock: EmulatedClock, **_others: Any) -> Outcome:
    return Outcome({})


TOOLS = Operation(name="list_tools", about="Return a page of tools.")


def tools(*, cursor: str | None = None, **more: Any) -> list[dict[str, Any]]:
    """Return the only page of tools, which has one; `more` are further fields of it. Raises ValueError for a cursor."""
    if cursor is not None:
        raise ValueError(f"no page begins after the cursor {cursor!r}")
    about = "Works as a task, as a tool of any other name does."
    return [{"name": "work", "description": about, "inputSchema": {"type": "object"}, **more}]


def _tools(_tasks: Tasks, _clock: EmulatedClock, *, cursor: str | None = None, **_others: Any) -> Outcome:
    return Outcome({"tools": tools(cursor=cursor, execution={"taskSupport": "required"})})


PROFILE = Profile(
    not_found="Failed to retrieve task: Task not found",
    handshake={
        "capabilities": {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}, "tools": {}},
        "serverInfo": {"name": "emulator", "version": "1"},
    },
    operations={"create": Operation(name="call", about="Call a method.")},
    own_calls=(
        OwnCall(call=rpc("ping", {}), operation=Operation(name="ping", about="Do nothing."), respond=_pong),
        OwnCall(call=rpc("tools/list", {}), operation=TOOLS, respond=_tools),
    ),
    unsupported=_unsupported,
    webhook=_notification,
    further={"result": _result},
    created=_in_a_response,
    status=_task,
    details=_task,
    listed=_listed,
    refused=_refused,
    error=_error,
    error_codes={400: 400, 409: 400},
    omits_unread=True,
)
