"""MCP servers that speak the extension `io.modelcontextprotocol/tasks`, over Streamable HTTP. Tables only.

Source: ext-tasks, specification/draft/tasks.md of 2026-08-21 (SEP-2663, Final), and MCP specification, revision
2026-07-28: Streamable HTTP ("Request Metadata"), Versioning, Overview ("_meta", "Error Codes").

`base_url` is the URL of the server's MCP endpoint. There is no handshake and no session: every request says the
protocol's version and that its client has the extension. A create calls a tool, and takes what `tools/call` does. The
server decides whether it makes a task; if it does the work at once instead, or needs input before, the create raises
`NoTaskMade` with the response. A tool whose arguments its server wants in headers, too (`x-mcp-header`), needs a
create with these headers: its server refuses this one.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from lifecycle.catalog import MCP_EXTENSION as TASK
from lifecycle.catalog import MCPEvent, MCPState
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.services.json_rpc import ERROR_CODES, JSON_RPC, rpc

_VERSION = "2026-07-28"
_META: JsonValue = {
    "io.modelcontextprotocol/protocolVersion": _VERSION,
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}


def _call(method: str, name: str, params: dict[str, JsonValue], **settings: Any) -> Call:
    """Return the call of a method, with the headers that repeat the method and a name in its parameters."""
    return rpc(method, {"_meta": _META, **params}, headers={"Mcp-Method": method, "Mcp-Name": name}, **settings)


# fmt: off
_TASK: dict[str, JsonValue] = {"taskId": "{id}"}
_GET = _call("tasks/get", "{id}", _TASK, status_field="status")

MCP_EXTENSION: HttpBinding[MCPState, MCPEvent] = HttpBinding(
    name="mcp-extension",
    lifecycle=TASK,
    base_url="http://localhost:8000/mcp",
    base_path="",
    authentication=None,
    headers={"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": _VERSION},
    create=_call(
        "tools/call", "{name}", {}, required_fields=("name",), status_field="status", task_if={"resultType": "task"},
    ),
    status=_GET,
    details=_GET,
    commands={
        MCPEvent.CANCEL: _call("tasks/cancel", "{id}", _TASK),
        MCPEvent.ANSWER: _call("tasks/update", "{id}", _TASK, required_fields=("inputResponses",)),
    },
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
