"""MCP's extension for tasks: our client and emulator, and servers that do what its specification allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from lifecycle import CommandUncertain, DefinitionError, IllegalTransition, MemoryJournal, TaskEndedFirst
from lifecycle.catalog import MCPState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client, NoTaskMade, NotFound, RequestRejected, Timing
from lifecycle_adapters.services import service
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen

QUICK = Timing(poll_s=0.02, settle_timeout_s=0.2)
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}
ANSWERED = {"name-1": {"action": "accept", "content": {"name": "Luca"}}}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("mcp-extension", manual=True) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client[Any, Any]]:
    with Client("mcp-extension", base_url=emulator.base_url, timing=QUICK) as client:
        yield client


def test_tool_asks_gets_its_answer_and_leaves_its_result(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(name="hello", arguments={})
    emulator.fire(task.id, "ask")
    asked = task.wait("settled")
    assert asked.state == MCPState.INPUT_REQUIRED
    assert task.details()["inputRequests"].keys() == ANSWERED.keys()
    assert task.send("answer", inputResponses=ANSWERED).state == MCPState.WORKING
    emulator.fire(task.id, "complete")
    assert task.wait("final").output == {"content": [{"type": "text", "text": "Done"}], "isError": False}
    with pytest.raises(IllegalTransition, match="'completed' is final"):
        task.send("answer", inputResponses=ANSWERED)


def test_every_request_names_its_method_its_subject_and_the_extension(
    emulator: Emulator, client: Client[Any, Any]
) -> None:
    """Streamable HTTP of 2026-07-28, "Standard Request Headers", and of the extension, "Routing Headers"."""
    task = client.create(name="hello")
    task.cancel()
    for call in emulator.calls():
        method, params = call.body["method"], call.body["params"]
        assert params["_meta"] == META
        assert call.headers["mcp-protocol-version"] == "2026-07-28"
        assert (call.headers["mcp-method"], call.headers["mcp-name"]) == (method, params.get("name", task.id))
    assert [call.body["method"] for call in emulator.calls()] == ["tools/call", "tasks/cancel", "tasks/get"]


def test_lost_answer_stays_uncertain_and_is_never_sent_again(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(name="hello")
    emulator.fire(task.id, "ask")
    emulator.fault("drop_after", command="answer")
    with pytest.raises(CommandUncertain):
        task.send("answer", inputResponses=ANSWERED)
    assert [call.command for call in emulator.calls()].count("answer") == 1


def test_unknown_task_is_not_found(client: Client[Any, Any]) -> None:
    with pytest.raises(NotFound, match="Task not found"):
        client.task("nobody").status()


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [("wetter\n", ValueError, "the header Mcp-Name cannot carry"), (7, TypeError, "name must be text")],
)
def test_name_that_no_header_carries_is_refused(
    client: Client[Any, Any], name: Any, error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        client.create(name=name)


# --- servers that do what the specification allows ------------------------------------------------------

Connect = Callable[[Callable[[Seen], Reply]], Client[Any, Any]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(script: Callable[[Seen], Reply]) -> Client[Any, Any]:
            server = stack.enter_context(ScriptedServer(script).running())
            journal = MemoryJournal()
            client = Client("mcp-extension", base_url=server.base_url, timing=QUICK, journal=journal)
            return stack.enter_context(client)

        yield connect


def result(seen: Seen, **fields: Any) -> Reply:
    return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": {"resultType": "complete", **fields}})


@pytest.mark.parametrize(
    ("end", "error"),
    [("completed", TaskEndedFirst), ("working", CommandUncertain), ("input_required", CommandUncertain)],
)
def test_acknowledged_cancel_proves_nothing(connect: Connect, end: str, error: type[Exception]) -> None:
    """ "Eventual transition to `cancelled` is not guaranteed." """
    acknowledged: list[str] = []

    def serve(seen: Seen) -> Reply:
        if seen.json["method"] == "tasks/cancel":
            acknowledged.append(seen.json["params"]["taskId"])
            return result(seen)
        return result(seen, taskId="t7", status=end if acknowledged else "working")

    with pytest.raises(error):
        connect(serve).task("t7").cancel()
    assert acknowledged[0] == "t7"


def test_cancel_that_takes_effect_later_is_waited_for(connect: Connect) -> None:
    states = iter(["working", "working", "working"])

    def serve(seen: Seen) -> Reply:
        if seen.json["method"] == "tasks/cancel":
            return result(seen)
        return result(seen, taskId="t7", status=next(states, "cancelled"))

    assert connect(serve).task("t7").cancel().state == MCPState.CANCELLED


@pytest.mark.parametrize("kind", [{}, {"resultType": "complete"}, {"resultType": "input_required"}])
def test_create_without_a_task_has_the_response_and_leaves_nothing_open(connect: Connect, kind: dict[str, str]) -> None:
    """The server decides: "MUST be prepared to handle either `CallToolResult` or `CreateTaskResult`"."""
    content = [{"type": "text", "text": "22 degrees"}]

    def serve(seen: Seen) -> Reply:
        return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": {**kind, "content": content}})

    client = connect(serve)
    with pytest.raises(NoTaskMade, match="the service made no task") as info:
        client.create(name="get_weather")
    assert info.value.response == {**kind, "content": content}
    assert client.recover() == []


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(404, -32601, RequestRejected), (400, -32020, RequestRejected), (400, -32602, NotFound), (404, 7, NotFound)],
)
def test_code_of_an_error_says_more_than_that_of_http(
    connect: Connect, status: int, code: int, expected: type[Exception]
) -> None:
    """ "If the server does not implement the requested RPC method, it MUST respond with `404 Not Found`"."""

    def serve(seen: Seen) -> Reply:
        error = {"code": code, "message": "no"}
        return Reply(status=status, body={"jsonrpc": "2.0", "id": seen.json["id"], "error": error})

    with pytest.raises(expected) as info:
        connect(serve).task("t7").status()
    assert type(info.value) is expected


@pytest.mark.parametrize("content", [b"not found", b'{"a": 1, "a": 2}', b"[]"])
def test_error_without_a_code_means_what_http_says(connect: Connect, content: bytes) -> None:
    with pytest.raises(NotFound):
        connect(lambda _: Reply(status=404, body=content)).task("t7").status()


def test_only_a_create_makes_a_task() -> None:
    extension = service("mcp-extension")
    with pytest.raises(DefinitionError, match=r"details.task_if: must be empty: only a create makes a task"):
        replace(extension, details=replace(extension.details, task_if={"resultType": "task"}))
    with pytest.raises(DefinitionError, match=r"details.no_task_field: must be left out: only a create or a command"):
        replace(extension, details=replace(extension.details, no_task_field="message"))
    with pytest.raises(DefinitionError, match=r"task_if.a..b: must be a field or a path"):
        replace(extension.create, task_if={"a..b": "task"})
