"""Handshakes: made once before the first request, and again if the service asks for it; nothing is done twice."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from lifecycle import DefinitionError
from lifecycle.effects import Accepted, NotSent, Response
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Call, Client, Handshake, HandshakeFailed, HttpBinding, NoResponse
from lifecycle_adapters.http.handshakes import Handshakes
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.procedures.interpreter import Procedure
from lifecycle_adapters.procedures.running import run_procedure
from lifecycle_adapters.services import service
from tests.adapters.http.both import QUICK
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

MCP: HttpBinding[Any, Any] = service("mcp")
OPEN: dict[str, Any] = {"api_key": None}
MADE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}},
    "serverInfo": {"name": "scripted", "version": "1"},
}


class Server:
    """A server whose sessions have numbers; the requests of all sessions but the latest get a 404."""

    def __init__(self) -> None:
        self.latest = 0
        self.made: Any = MADE
        self.carried_out: list[str] = []
        self.confirm = Reply(status=202, body=b"")

    def __call__(self, seen: Seen) -> Reply:
        method = seen.json["method"]
        if method == "initialize":
            self.latest += 1
            return self.respond(seen, self.made, {"Mcp-Session-Id": str(self.latest)})
        if seen.headers.get("mcp-session-id") != str(self.latest):
            return Reply(
                status=404, body={"jsonrpc": "2.0", "id": "server-error", "error": {"message": "Session not found"}}
            )
        if method == "notifications/initialized":
            return self.confirm
        self.carried_out.append(method)
        task = {"taskId": "t7", "status": "cancelled" if "tasks/cancel" in self.carried_out else "working"}
        return self.respond(seen, {"task": task} if method == "tools/call" else task, {})

    def respond(self, seen: Seen, result: Any, headers: dict[str, str]) -> Reply:
        return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": result}, headers=headers)


def methods(seen: list[Seen]) -> list[str]:
    return [each.json["method"] for each in seen]


def test_handshake_is_made_once_before_the_first_request(connect: Connect, serve: Serve) -> None:
    server = serve(Server())
    client = connect(MCP, server.base_url, **OPEN)
    client.create(name="add").status()

    assert methods(server.seen) == ["initialize", "notifications/initialized", "tools/call", "tasks/get"]
    assert [seen.headers.get("mcp-session-id") for seen in server.seen] == [None, "1", "1", "1"]
    assert {seen.headers["mcp-protocol-version"] for seen in server.seen} == {"2025-11-25"}
    assert {seen.headers["accept"] for seen in server.seen} == {"application/json, text/event-stream"}


def test_expired_session_is_renewed_without_repeating_calls(connect: Connect, serve: Serve) -> None:
    script = Server()
    server = serve(script)
    client = connect(MCP, server.base_url, **OPEN)
    task = client.create(name="add")
    script.latest += 1  # the server has ended the session
    assert task.cancel().state == "cancelled"
    script.latest += 1
    client.create(name="add")

    assert script.carried_out == ["tools/call", "tasks/cancel", "tasks/get", "tools/call"]


def test_stream_asks_for_a_new_handshake_once_in_a_minute() -> None:
    now_s = [0.0]
    handshakes = Handshakes(lambda: now_s[0])
    assert MCP.handshake is not None
    assert MCP.stream is not None
    begin, call = MCP.handshake.begin, MCP.stream.call
    request = call.request(MCP.base_path)
    ended = NotSent(HandshakeFailed("the service requires a new handshake", **request.names))
    made_s: list[float] = []

    def send(sent: HttpCall) -> Response:
        if sent.call is begin:
            made_s.append(now_s[0])
        return Accepted(None, datetime.now(UTC), f"session-{len(made_s)}", {})

    for now_s[0] in (0.0, 30.0, 59.0, 60.0, 90.0, 120.0):
        ready = run_procedure(Procedure(handshakes.before(HttpCall(MCP, call, request))), send, None)
        assert isinstance(ready, HttpCall)
        handshakes.observe(ready, ended, is_stream=True)

    assert made_s == [0.0, 30.0, 90.0]


def test_service_without_a_header_needs_none(connect: Connect, serve: Serve) -> None:
    def respond(seen: Seen) -> Reply:
        result = MADE if seen.json["method"] == "initialize" else {"taskId": "t7", "status": "working"}
        return Reply(body={"jsonrpc": "2.0", "id": seen.json.get("id"), "result": result})

    server = serve(respond)
    assert connect(MCP, server.base_url, **OPEN).task("t7").status() == "working"
    assert not any("mcp-session-id" in seen.headers for seen in server.seen)


LACKING: list[dict[str, Any]] = [
    {**MADE, "protocolVersion": "2025-06-18"},
    {**MADE, "capabilities": {"tools": {}}},
    {**MADE, "capabilities": {"tasks": {"cancel": {}, "requests": {}}}},
    {**MADE, "capabilities": {"tasks": {"cancel": True, "requests": {"tools": {"call": {}}}}}},
]


@pytest.mark.parametrize("made", LACKING)
def test_service_that_does_not_offer_what_is_needed_gets_no_request(
    connect: Connect, serve: Serve, made: dict[str, Any]
) -> None:
    script = Server()
    script.made = made
    server = serve(script)
    with pytest.raises(HandshakeFailed, match=r"^initialize: the service offers .*, and .* is needed$") as failed:
        connect(MCP, server.base_url, **OPEN).create(name="add")
    offered, _, needed = str(failed.value).partition(", and ")
    assert json.dumps(made["protocolVersion"]) in offered
    assert json.dumps(made["capabilities"]) in offered
    assert '"protocolVersion": "2025-11-25"' in needed
    assert '"tasks": {"cancel": {}' in needed
    assert methods(server.seen) == ["initialize"]


@pytest.mark.parametrize(
    ("expected", "offered", "is_met"),
    [(1, 1.0, True), (1.0, 1, True), (1, True, False), (False, 0, False), (1, "1", False)],
)
def test_equal_numbers_are_the_same_version(expected: Any, offered: Any, is_met: bool) -> None:
    begin = Call(method="POST", path="/", body={})
    handshake = Handshake(begin=begin, expected={"version": expected}, header="Session")
    assert handshake.is_met_by({"version": offered, "more": None}) is is_met


def test_refused_handshake_is_not_repeated(connect: Connect, serve: Serve) -> None:
    # the example of MCP, Lifecycle, "Error Handling"
    data = {"supported": ["2024-11-05"], "requested": "1.0.0"}
    error = {"code": -32602, "message": "Unsupported protocol version", "data": data}
    server = serve(lambda _: Reply(status=400, body={"jsonrpc": "2.0", "id": 1, "error": error}))
    said = r'initialize: error -32602: Unsupported protocol version \({"supported": \["2024-11-05"\], "requested"'
    with pytest.raises(HandshakeFailed, match=f"^tools/call: the service refuses the handshake: {said}"):
        connect(MCP, server.base_url, **OPEN).create(name="add")
    assert methods(server.seen) == ["initialize"]


def test_lost_handshake_is_repeated_before_the_request_is_sent(connect: Connect, serve: Serve) -> None:
    script = Server()
    replies = iter([Reply(drops=True), Reply(status=503)])

    def respond(seen: Seen) -> Reply:
        return next(replies, None) or script(seen)

    server = serve(respond)
    connect(MCP, server.base_url, **OPEN).create(name="add")
    assert methods(server.seen) == ["initialize"] * 3 + ["notifications/initialized", "tools/call"]


def test_handshake_that_is_never_confirmed_is_made_again(connect: Connect, serve: Serve) -> None:
    script = Server()
    script.confirm = Reply(drops=True)
    server = serve(script)
    client = connect(MCP, server.base_url, **OPEN)
    with pytest.raises(NoResponse):
        client.create(name="add")
    assert script.carried_out == []
    script.confirm = Reply(status=202, body=b"")
    client.create(name="add")
    assert script.carried_out == ["tools/call"]


def test_procedures_side_by_side_share_one_handshake() -> None:
    async def use(emulator: Emulator) -> None:
        async with AsyncClient("mcp", base_url=emulator.base_url, timing=QUICK) as client:
            made = await asyncio.gather(*(client.create(name="add") for _ in range(20)))
            assert len({task.id for task in made}) == 20

    with Emulator("mcp", manual=True) as emulator:
        asyncio.run(use(emulator))
        assert [call.call for call in emulator.calls()].count("handshake") == 1


@pytest.mark.parametrize(("headers", "code"), [({}, 400), ({"Mcp-Session-Id": "another"}, 404)])
def test_emulator_requires_the_header(headers: dict[str, str], code: int) -> None:
    with Emulator("mcp", manual=True) as emulator, Client("mcp", base_url=emulator.base_url) as client:
        body = MCP.status.request("", task_id=client.create(name="add").id).body
        assert httpx2.post(emulator.base_url, json=body, headers=headers).status_code == code


@pytest.mark.parametrize("session", ["", "two words", "caf\u00e9", "tab\there"])
def test_session_that_is_not_visible_ascii_is_an_error(connect: Connect, serve: Serve, session: str) -> None:
    """Session Management: "The session ID MUST only contain visible ASCII characters (ranging from 0x21 to 0x7E)"."""
    script = Server()
    server = serve(lambda seen: replace(script(seen), headers={"Mcp-Session-Id": session}))
    with pytest.raises(HandshakeFailed, match="header Mcp-Session-Id must be visible ASCII, 0x21 to 0x7E"):
        connect(MCP, server.base_url, **OPEN).create(name="add")
    assert methods(server.seen) == ["initialize"]


INITIALIZE = MCP.handshake
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"begin": MCP.status}, "begin: must be about no task"),
    ({"confirm": MCP.create}, "confirm: must be about no task"),
    (
        {"begin": Call(method="POST", path="/", body={}, required_fields=("name",))},
        "begin: must take nothing of the caller's",
    ),
    ({"header": "no header"}, "header: 'no header' cannot be a header's name"),
    ({"ended_code": 200}, "ended_code: 200 refuses no request"),
]


@pytest.mark.parametrize(("changes", "said"), MISTAKES)
def test_invalid_handshake_is_a_finding(changes: dict[str, Any], said: str) -> None:
    assert isinstance(INITIALIZE, Handshake)
    with pytest.raises(DefinitionError, match=said):
        replace(INITIALIZE, **changes)


def test_not_found_code_cannot_end_a_handshake() -> None:
    with pytest.raises(DefinitionError, match=r"handshake\.ended_code: 404 also says that there is no such task"):
        replace(MCP, envelope=None)


def test_handshake_header_conflicts_with_another_header() -> None:
    with pytest.raises(DefinitionError, match="'mcp-session-id' is the header of the handshake"):
        replace(MCP, headers={"mcp-session-id": "1"})
