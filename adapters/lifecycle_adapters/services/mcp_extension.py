"""MCP servers that speak the extension `io.modelcontextprotocol/tasks`, over Streamable HTTP. Tables only.

Source: ext-tasks, specification/draft/tasks.md of 2026-08-21 (SEP-2663, Final), and MCP specification, revision
2026-07-28: Streamable HTTP ("Request Metadata"), Subscriptions, Versioning, Overview ("_meta", "Error Codes").

`base_url` is the URL of the server's MCP endpoint. There is no handshake and no session: every request names the
protocol's version, and says that its client has the extension. A create calls a tool, and takes the fields of
`tools/call`. The server decides whether it makes a task; if it does the work at once, or needs input first, the create
raises `NoTaskMade` with the response. If the server also requires some arguments of a tool in headers (`x-mcp-header`),
it refuses this create: declare another one with these arguments as `field_headers` (`argument_headers`). Each task has
a stream of its own.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from lifecycle.catalog import MCP_EXTENSION as TASK
from lifecycle.catalog import MCPEvent, MCPState
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.services.json_rpc import ERROR_CODES, JSON_RPC, rpc
from lifecycle_adapters.services.mcp_updates import update_in_message

_VERSION = "2026-07-28"
_META: JsonValue = {
    "io.modelcontextprotocol/protocolVersion": _VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "task-lifecycle", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}


def _call(method: str, params: dict[str, JsonValue], headers: dict[str, str], **settings: Any) -> Call:
    """Return the call of a method; its headers repeat the method and, by `headers`, a name in the parameters."""
    mirrored = {"Mcp-Method": method, **headers}
    return rpc(method, {"_meta": _META, **params}, headers=mirrored, encodes_headers=True, **settings)


def _about_task(method: str, **settings: Any) -> Call:
    return _call(method, {"taskId": "{id}"}, {"Mcp-Name": "{id}"}, **settings)


# fmt: off
_GET = _about_task("tasks/get", status_field="status")

MCP_EXTENSION: HttpBinding[MCPState, MCPEvent] = HttpBinding(
    name="mcp-extension",
    lifecycle=TASK,
    base_url="http://localhost:8000/mcp",
    base_path="",
    authentication=None,
    headers={"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": _VERSION},
    create=_call(
        "tools/call", {}, {}, field_headers={"Mcp-Name": "name"}, required_fields=("name",), status_field="status",
        task_if={"resultType": "task"}, no_task_field="content",  # of a result that does not say its type
    ),
    status=_GET,
    details=_GET,
    commands={
        MCPEvent.CANCEL: _about_task("tasks/cancel"),
        MCPEvent.ANSWER: _about_task("tasks/update", required_fields=("inputResponses",)),
    },
    stream=StreamBinding(
        call=_call("subscriptions/listen", {"notifications": {"taskIds": ["{id}"]}}, {}),
        update_of=update_in_message,
    ),
    id_field="taskId",
    output_field="result",
    created_field="createdAt",
    changed_field="lastUpdatedAt",
    task_field=None,
    envelope=JSON_RPC,
    error_field="error",
    error_codes={
        **ERROR_CODES,
        -32602: 404,  # an unknown task, and any other invalid parameter: a read tells which
        -32020: 400,  # HeaderMismatch
        -32021: 400,  # MissingRequiredClientCapability
        -32022: 400,  # UnsupportedProtocolVersion
    },
)
# fmt: on
