"""The emulation of an MCP server with the extension `io.modelcontextprotocol/tasks`: data and pure functions.

Every name is one of a tool, and every call of one makes a task.
Source: ext-tasks, specification/draft/tasks.md of 2026-08-21; MCP specification, revision 2026-07-28: Streamable HTTP
("Server Validation"), Subscriptions, Versioning, Overview ("_meta"), Discovery, Tools ("Listing Tools"), Caching.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lifecycle.catalog import MCPEvent, MCPState
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.profile import Operation, Outcome, OwnCall, Profile, Refusal, Subscription, Tasks
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.http.header_values import decoded
from lifecycle_adapters.services.json_rpc import error_of, rpc
from lifecycle_adapters.services.mcp_emulation import TOOLS, tools

_VERSION = "2026-07-28"
_OF_META = "io.modelcontextprotocol/"
_NEEDED: Mapping[str, Any] = {"extensions": {f"{_OF_META}tasks": {}}}
_NAMES = {"tools/call": "name", "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
_LISTEN = "subscriptions/listen"
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


# --- requests ---


def _unsupported(headers: Mapping[str, str], body: Any) -> Refusal | None:
    """Refuse a request whose `_meta` is incomplete, whose headers differ from it, or that lacks what the call needs."""
    method, meta = _at(body, "method"), _at(body, "params", "_meta")
    own = {name: _at(meta, _OF_META + name) for name in ("protocolVersion", "clientCapabilities")}
    if missing := [name for name, value in own.items() if value is None]:
        return _refusal(-32602, f"_meta lacks {_OF_META}{missing[0]}")
    mirrored = {"MCP-Protocol-Version": own["protocolVersion"], "Mcp-Method": method}
    if method in _NAMES:
        mirrored["Mcp-Name"] = _at(body, "params", _NAMES[method])
    for name, value in mirrored.items():
        given = headers.get(name)
        text = decoded(given) if given is not None and name == "Mcp-Name" else given
        if given is None or text != value:
            what = "is missing" if given is None else f"value {given!r} does not match body value {value!r}"
            return _refusal(-32020, f"Header mismatch: {name} header {what}")
    if own["protocolVersion"] != _VERSION:
        versions = {"supported": [_VERSION], "requested": own["protocolVersion"]}
        return _refusal(-32022, "Unsupported protocol version", versions)
    needs_extension = method in _NAMES or (method == _LISTEN and _task_ids(body))
    if needs_extension and _at(own["clientCapabilities"], "extensions", f"{_OF_META}tasks") is None:
        return _refusal(-32021, "Missing required client capability", {"requiredCapabilities": _NEEDED})
    return None


def _at(document: Any, *names: str) -> Any:
    """Return the value at a path of names, which may contain dots; None if there is none."""
    for name in names:
        document = cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None
    return document


def _refusal(code: int, text: str, data: Any = None) -> Refusal:
    error = {"code": code, "message": text}
    return Refusal(400, {"error": error if data is None else {**error, "data": data}})


# --- what a server says of itself ---

_FOR_AN_HOUR: Mapping[str, Any] = {"resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public"}
_DISCOVER = Operation(name="discover", about="Return the versions and the capabilities of the server.")


def _discovered(_tasks: Tasks, _clock: EmulatedClock, **_others: Any) -> Outcome:
    server = {f"{_OF_META}serverInfo": {"name": "emulator", "version": "1"}}
    capabilities: dict[str, Any] = {"tools": {}, **_NEEDED}
    return Outcome({**_FOR_AN_HOUR, "supportedVersions": [_VERSION], "capabilities": capabilities, "_meta": server})


def _tools(_tasks: Tasks, _clock: EmulatedClock, *, cursor: str | None = None, **_others: Any) -> Outcome:
    return Outcome({**_FOR_AN_HOUR, "tools": tools(cursor=cursor)})


# --- subscriptions ---


def _task_ids(body: Any) -> list[str]:
    match _at(body, "params", "notifications", "taskIds"):
        case [*ids]:
            return [each for each in ids if isinstance(each, str)]
        case _:
            return []


def _acknowledged_subscription(tasks: Sequence[EmulatedTask]) -> dict[str, Any]:
    """Acknowledge the tasks that exist: "the subset the server agreed to honor"."""
    notifications = {"taskIds": [task.id for task in tasks]} if tasks else {}
    return {"method": "notifications/subscriptions/acknowledged", "params": {"notifications": notifications}}


def _notification(task: EmulatedTask, _: str, clock: EmulatedClock) -> dict[str, Any]:
    shown = _details(task, clock)
    del shown["resultType"]  # it is not a result
    return {"method": "notifications/tasks", "params": shown}


def _message(document: Any, body: Any) -> dict[str, Any]:
    """Return a message of a subscription, which carries the id of the request that opened it."""
    meta = {f"{_OF_META}subscriptionId": body["id"]}
    if "method" in document:
        return {"jsonrpc": "2.0", **document, "params": {**document["params"], "_meta": meta}}
    return {"jsonrpc": "2.0", "id": body["id"], "result": {**document, "_meta": meta}}


PROFILE = Profile(
    not_found="Failed to retrieve task: Task not found",
    operations={"create": Operation(name="call", about="Call a method.")},
    own_calls=(
        OwnCall(call=rpc("server/discover", {}), operation=_DISCOVER, respond=_discovered),
        OwnCall(call=rpc("tools/list", {}), operation=TOOLS, respond=_tools),
    ),
    created=_created,
    status=_details,
    details=_details,
    commanded={str(MCPEvent.CANCEL): _acknowledged, str(MCPEvent.ANSWER): _acknowledged},
    refused=_refused,
    error=_error,
    error_codes={400: 400, 404: 400, 405: 404, 409: 400, 422: 400},
    omits_unread=True,
    optional=("params._meta", "params.notifications"),
    unsupported=_unsupported,
    webhook=_notification,
    subscription=Subscription(
        task_ids=_task_ids, begin=_acknowledged_subscription, end={"resultType": "complete"}, event=_message
    ),
)
