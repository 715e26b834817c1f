"""What the emulated services of JSON-RPC respond to messages that are no call of theirs.

Sources: JSON-RPC 2.0, 4 (request object), 4.1 (notification) and 5.1 (error object); MCP 2025-11-25 and 2026-07-28,
"Messages" and "Sending Messages": one message in each request, whose id is a text or an integer and never null; an
error in a message whose id cannot be read has no id (JSON-RPC: null).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from lifecycle_adapters.emulator import Emulator

META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "mcp": ("tasks/list", {}),
    "mcp-extension": ("tools/list", {"_meta": META}),
    "a2a-jsonrpc": ("ListTasks", {}),
}
HEADERS = {"mcp-extension": {"MCP-Protocol-Version": "2026-07-28"}, "a2a-jsonrpc": {"A2A-Version": "1.0"}}
UNREAD: Any = object()
"""The id of a message that has none, or one that is neither a text nor an integer."""


class Server:
    """One emulated service, and a client that has begun its session."""

    def __init__(self, emulator: Emulator, api: str) -> None:
        self.emulator = emulator
        self.api = api
        method, params = METHODS[api]
        self.request: dict[str, Any] = {"jsonrpc": "2.0", "id": 3, "method": method, "params": params}
        self.headers = dict(HEADERS.get(api, {}))
        if api == "mcp":
            params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
            begun = self.post({**self.request, "method": "initialize", "params": params})
            self.headers["Mcp-Session-Id"] = begun.headers["Mcp-Session-Id"]

    def post(self, message: Any) -> httpx2.Response:
        headers = {**self.headers, "Content-Type": "application/json"}
        if isinstance(message, bytes):
            return httpx2.post(self.emulator.base_url, content=message, headers=headers)
        match message:
            case {"method": str() as method}:
                headers["Mcp-Method"] = method
            case _:
                pass
        return httpx2.post(self.emulator.base_url, json=message, headers=headers)

    def assert_refused(self, message: Any, code: int, shown_id: Any, status: int) -> None:
        response = self.post(message)
        document = response.json()
        assert (response.status_code, document["jsonrpc"], document["error"]["code"]) == (status, "2.0", code), message
        if shown_id is not UNREAD:
            assert document["id"] == shown_id
        elif self.api == "a2a-jsonrpc":
            assert document["id"] is None
        else:
            assert "id" not in document


@pytest.fixture(params=METHODS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Emulator(request.param, manual=True) as emulator:
        yield Server(emulator, request.param)


def test_message_that_is_no_request_is_refused_with_32600(server: Server) -> None:
    good = server.request
    status = 200 if server.api == "a2a-jsonrpc" else 400
    no_ids: list[Any] = [{}, [], None, True, 1.5]
    for request_id in no_ids:
        server.assert_refused({**good, "id": request_id}, -32600, UNREAD, status)
        server.assert_refused({**good, "id": request_id, "method": "nothing"}, -32600, UNREAD, status)
    for wrong in ({"jsonrpc": "1.0"}, {"jsonrpc": 2.0}, {"method": 1}, {"method": None}, {"params": "bar"}):
        server.assert_refused({**good, **wrong}, -32600, 3, status)
    for name in ("jsonrpc", "method"):
        server.assert_refused({key: value for key, value in good.items() if key != name}, -32600, 3, status)
    for batch in ([], [1], [good], [good, good], 5, "a"):
        server.assert_refused(batch, -32600, UNREAD, status)
    server.assert_refused({"jsonrpc": "2.0", "id": 3, "result": {}}, -32600, 3, status)  # nothing was asked
    server.assert_refused(b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700, UNREAD, status)


def test_text_or_integer_is_an_id(server: Server) -> None:
    for request_id in ("", "a", 0, -1, 2**70):
        document = server.post({**server.request, "id": request_id}).json()
        assert (document["id"], "result" in document) == (request_id, True)


def test_unknown_method_is_refused_with_32601(server: Server) -> None:
    status = 404 if server.api == "mcp-extension" else 200
    server.assert_refused({**server.request, "method": "foobar"}, -32601, 3, status)


def test_notification_has_no_response_and_no_effect(server: Server) -> None:
    """Also one of a method that makes or commands tasks, or of none: "the Server MUST NOT reply"."""
    create = {"mcp": "tools/call", "mcp-extension": "tools/call", "a2a-jsonrpc": "SendMessage"}[server.api]
    params = {"name": "add", "task": {}, "message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "a"}]}}
    for method in ("notifications/cancelled", "foobar", create):
        response = server.post({"jsonrpc": "2.0", "method": method, "params": params})
        assert (response.status_code, response.content) == (202, b"")
    assert server.emulator.tasks() == []


def test_method_with_a_stream_and_wrong_parameters_is_no_unknown_method() -> None:
    with Emulator("a2a-jsonrpc", manual=True) as emulator:
        server = Server(emulator, "a2a-jsonrpc")
        server.assert_refused({**server.request, "method": "SendStreamingMessage", "params": {}}, -32602, 3, 200)


def test_notification_outside_a_session_is_refused() -> None:
    with Emulator("mcp", manual=True) as emulator:
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert httpx2.post(emulator.base_url, json=message).status_code == 400


def test_mcp_server_refuses_another_version_with_400() -> None:
    """Transports, "Protocol Version Header": "it MUST respond with `400 Bad Request`"."""
    with Emulator("mcp", manual=True) as emulator:
        server = Server(emulator, "mcp")
        server.headers["MCP-Protocol-Version"] = "1900-01-01"
        server.assert_refused(server.request, -32600, 3, 400)
        server.headers["MCP-Protocol-Version"] = "2025-11-25"
        assert server.post(server.request).json()["result"] == {"tasks": []}
