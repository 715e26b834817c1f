"""MCP servers whose requests can be tasks, over Streamable HTTP. Tables only.

Source: MCP specification, revision 2025-11-25: Transports ("Streamable HTTP"; "Listening for Messages from the
Server"), Lifecycle ("Initialization"), Tasks ("Task Status Notification").

`base_url` is the URL of the server's MCP endpoint, such as "https://host/mcp". A create calls a tool, and takes the
fields of `tools/call`: `client.create(name="get_weather", arguments={"city": "Lisbon"})`. The call "result" returns
what the tool returned; it waits until the task is over. A server may ignore the request to make a task, and return the
tool's result at once: the create then raises `NoTaskMade` with that result. A server may notify a session of the
changes of its tasks, in the one stream of that session. It sends its questions (`input_required`) to an MCP client that
can answer them; this client cannot.
"""

from __future__ import annotations

from lifecycle.catalog import MCP as TASK
from lifecycle.catalog import MCPEvent, MCPState
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.http.handshake import Handshake
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.services.json_rpc import ERROR_CODES, JSON_RPC, rpc

_VERSION = "2025-11-25"
_CLIENT = {"name": "task-lifecycle", "version": "1"}

# fmt: off
_GET = rpc("tasks/get", {"taskId": "{id}"}, status_field="status")

MCP: HttpBinding[MCPState, MCPEvent] = HttpBinding(
    name="mcp",
    lifecycle=TASK,
    base_url="http://localhost:8000/mcp",
    base_path="",
    authentication=None,
    headers={"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": _VERSION},
    handshake=Handshake(
        begin=rpc("initialize", {"protocolVersion": _VERSION, "capabilities": {}, "clientInfo": {**_CLIENT}}),
        expected={
            "protocolVersion": _VERSION,
            "capabilities": {"tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}},
        },
        confirm=Call(method="POST", path="/", body={"jsonrpc": "2.0", "method": "notifications/initialized"}),
        header="Mcp-Session-Id",
    ),
    create=rpc(
        "tools/call", {"task": {}}, required_fields=("name",), status_field="task.status", id_field="task.taskId",
        no_task_field="content",  # of the tool's result, which is the response if the server ignores `task`
    ),
    status=_GET,
    details=_GET,
    listing=ListCall(
        call=rpc("tasks/list", {}),
        items_field="tasks",
        pages="cursors",
        page_parameter="cursor",
        next_field="nextCursor",
    ),
    # Only a read proves a cancel: a server can respond with a state that it does not keep.
    commands={MCPEvent.CANCEL: rpc("tasks/cancel", {"taskId": "{id}"})},
    stream=StreamBinding(
        call=Call(method="GET", path="/"),
        kind_field="method",
        kinds=("notifications/tasks/status",),
        task_field="params.taskId",
        status_field="params.status",
        time_field="params.lastUpdatedAt",
    ),
    further_calls={"result": rpc("tasks/result", {"taskId": "{id}"})},
    id_field="taskId",
    created_field="createdAt",
    changed_field="lastUpdatedAt",
    task_field=None,
    envelope=JSON_RPC,
    error_field="error",
    # An unknown task is an invalid parameter, too, and so is the cancel of a task that is over: a read tells which.
    # The Python SDK 1.30 sends 0 if the server fails, where the specification requires -32603.
    error_codes={**ERROR_CODES, -32602: 404, 0: 500},
)
# fmt: on
