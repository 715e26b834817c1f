"""MCP tasks: our client and emulator, the official client, and a server made with the official SDK."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lifecycle import CreateUncertain, IllegalTransition, MemoryJournal, TaskEndedFirst
from lifecycle.catalog import MCPState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import (
    AsyncClient,
    Client,
    HandshakeFailed,
    NoTaskMade,
    NotFound,
    RequestRejected,
    ServerError,
    Timing,
)
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.services import service
from lifecycle_adapters.watch import Change, Event, Pace, Watcher
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.adapters.watch.worlds import unlimited, until
from tests.support.sdk_servers import sdk_server

QUICK = Timing(poll_s=0.02, settle_timeout_s=0.3)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("mcp", manual=True) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client[Any, Any]]:
    with Client("mcp", base_url=emulator.base_url, timing=QUICK) as client:
        yield client


def test_tool_runs_as_a_task_and_its_result_is_read(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(name="add", arguments={"a": 1})
    emulator.fire(task.id, "ask")
    assert task.wait("settled").state == MCPState.INPUT_REQUIRED
    with pytest.raises(ServerError, match="does not wait"):
        task.call("result")
    emulator.fire(task.id, "work")
    emulator.fire(task.id, "complete")
    assert task.wait("final").state == MCPState.COMPLETED
    assert task.call("result")["content"] == [{"type": "text", "text": "Done"}]
    with pytest.raises(IllegalTransition, match="'completed' is final"):
        task.cancel()
    sent = next(call.body for call in emulator.calls() if call.call == "create")
    assert sent["params"] == {"task": {}, "name": "add", "arguments": {"a": 1}}


def test_cancel_whose_response_is_lost_is_settled_by_a_read(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(name="add")
    emulator.fault("drop_after", command="cancel")
    assert task.cancel().state == MCPState.CANCELLED
    assert [call.command for call in emulator.calls()].count("cancel") == 1


def test_create_whose_response_is_lost_is_uncertain(emulator: Emulator, client: Client[Any, Any]) -> None:
    emulator.fault("drop_after", call="create")
    with pytest.raises(CreateUncertain):
        client.create(name="add")
    assert len(emulator.tasks()) == 1


def test_pages_follow_the_cursor(client: Client[Any, Any]) -> None:
    made = [client.create(name="add").id for _ in range(45)]
    assert [task.id for task in client.list()] == made[::-1]


def test_unknown_task_is_not_found(client: Client[Any, Any]) -> None:
    with pytest.raises(NotFound, match="Task not found"):
        client.task("nobody").status()


def test_cancel_of_a_task_that_ended_meanwhile_is_no_success(emulator: Emulator, client: Client[Any, Any]) -> None:
    """The server rejects it by the code that an unknown task has, too; a read tells which."""
    task = client.create(name="add")
    emulator.fire(task.id, "complete")
    with pytest.raises(TaskEndedFirst, match="it was 'completed' before 'cancel' took effect"):
        task.cancel()


def test_emulator_responds_to_a_ping_lists_its_tools_and_refuses_them_without_a_task(
    emulator: Emulator, client: Client[Any, Any]
) -> None:
    """Ping: "MUST respond promptly with an empty response"; Tasks: -32601 if a tool requires a task."""
    client.create(name="work")
    session = {"Mcp-Session-Id": emulator.calls()[-1].headers["mcp-session-id"]}

    def result_of(method: str, **params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params else {})}
        return httpx2.post(emulator.base_url, json=body, headers=session).json()

    assert result_of("ping") == {"jsonrpc": "2.0", "id": 1, "result": {}}
    (tool,) = result_of("tools/list")["result"]["tools"]
    assert (tool["inputSchema"], tool["execution"]) == ({"type": "object"}, {"taskSupport": "required"})
    assert result_of("tools/list", cursor="nowhere")["error"]["code"] == -32602
    assert result_of("tools/call", name="work")["error"]["code"] == -32601


# --- a server without tasks ---------------------------------------------------------------------------

RESULTS: list[dict[str, Any]] = [
    {"content": [{"type": "text", "text": "22 degrees"}]},
    {"content": [{"type": "text", "text": "no such city"}], "isError": True},
    {"content": []},
]


def scripted(reply: Mapping[str, Any], *, status: int = 200) -> ScriptedServer:
    """Return a server that makes the handshake, and sends this result or error for every other request."""

    def serve(seen: Seen) -> Reply:
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": seen.json.get("id")}
        if seen.json["method"] == "initialize":
            offered: dict[str, Any] = {"tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}}
            return Reply(body={**body, "result": {"protocolVersion": "2025-11-25", "capabilities": offered}})
        if "id" not in seen.json:
            return Reply(status=202, body=b"")
        return Reply(status=status, body={**body, **reply})

    return ScriptedServer(serve)


@pytest.mark.parametrize("result", RESULTS)
def test_result_of_a_tool_that_ran_without_a_task_is_not_lost(result: dict[str, Any]) -> None:
    """Tasks, "Task Support and Handling": receivers that do not support tasks process the request and ignore `task`."""
    journal = MemoryJournal()
    with (
        scripted({"result": result}).running() as server,
        Client("mcp", base_url=server.base_url, journal=journal) as client,
    ):
        for _ in range(2):  # the key is free again
            with pytest.raises(NoTaskMade) as info:
                client.create(name="get_weather", idempotency_key="weather")
            assert info.value.response == result
        assert client.recover() == []


def test_tool_that_runs_as_no_task_may_be_refused() -> None:
    """Tasks, "Tool-Level Negotiation": "Servers SHOULD return a `-32601` (Method not found) error"."""
    error = {"code": -32601, "message": "the tool has no tasks"}
    with (
        scripted({"error": error}).running() as server,
        Client("mcp", base_url=server.base_url, timing=QUICK) as client,
        pytest.raises(RequestRejected, match="the tool has no tasks"),
    ):
        client.create(name="w")


@pytest.mark.parametrize("api", ["mcp", "mcp-extension"])
@pytest.mark.parametrize("status", [200, 400])
def test_request_that_names_no_task_is_refused_by_the_code_of_an_unknown_task(api: str, status: int) -> None:
    """Tools, "Error Handling": an unknown tool has the code -32602, and so has an invalid cursor."""
    error = {"code": -32602, "message": "Unknown tool: w"}
    with (
        scripted({"error": error}, status=status).running() as server,
        Client(api, base_url=server.base_url, timing=QUICK) as client,
    ):
        with pytest.raises(RequestRejected, match="Unknown tool: w"):
            client.create(name="w")
        if api == "mcp":
            with pytest.raises(RequestRejected):
                next(iter(client.list()))


# --- notifications ------------------------------------------------------------------------------------

RARE = Pace(working_s=60, resting_s=60, longest_s=60)


def opened(emulator: Emulator) -> int:
    return [(call.call, call.status_code) for call in emulator.calls()].count(("stream", 200))


async def watched_until_over(emulator: Emulator, *, pace: Pace = RARE, fault: str | None = None) -> list[Event]:
    """Watch two tasks of one session, while a third one changes, too; return the events."""
    async with (
        AsyncClient("mcp", base_url=emulator.base_url, timing=QUICK) as client,
        Watcher(client, pace=pace, throttle=unlimited(), streams=1) as watcher,
    ):
        first, second, other = [await client.create(name="add") for _ in range(3)]
        watcher.add(first.id, second.id)
        await until(lambda: opened(emulator) == 1)
        if fault is not None:
            delay = {"seconds": 0.1} if fault == "late" else {}
            emulator.webhook_fault(fault, channel="stream", task=first.id, **delay)
        for task, event in ((other, "ask"), (first, "ask"), (second, "fail"), (first, "work"), (first, "complete")):
            emulator.fire(task.id, event)
        return [each async for each in watcher.changes()]


def ends(events: list[Event]) -> list[tuple[str, str]]:
    return sorted((str(each.state), each.channel) for each in events if isinstance(each, Change) and each.is_over)


def test_one_stream_of_a_session_reports_all_its_tasks(emulator: Emulator) -> None:
    events = asyncio.run(watched_until_over(emulator))
    assert ends(events) == [("completed", "api"), ("failed", "api")]  # read at once: no poll is due for a minute
    assert opened(emulator) == 1


@pytest.mark.parametrize("fault", ["late", "doubled", "out_of_order", "lost", "cut"])
def test_no_disturbed_notification_changes_the_outcome(emulator: Emulator, fault: str) -> None:
    events = asyncio.run(watched_until_over(emulator, pace=replace(RARE, longest_s=0.5), fault=fault))
    assert [state for state, _ in ends(events)] == ["completed", "failed"]


def test_stream_is_opened_in_a_session_of_its_client(emulator: Emulator) -> None:
    """The handshake comes before a stream, too, and is made again if the session has ended."""

    async def use() -> bytes:
        async with AsyncClient("mcp", base_url=emulator.base_url, timing=QUICK) as client:
            with pytest.raises(HandshakeFailed, match="requires a new handshake"):
                await anext(client.stream())
            async with aclosing(client.stream()) as events:
                first = asyncio.ensure_future(anext(events))
                await until(lambda: opened(emulator) == 1)
                emulator.fire((await client.create(name="add")).id, "complete")
                return await first

    emulator.fault("status", call="stream", status_code=404)

    assert json.loads(asyncio.run(use()))["params"]["status"] == MCPState.COMPLETED
    assert [call.call for call in emulator.calls()].count("handshake") == 2


def test_service_without_a_stream_keeps_its_session(emulator: Emulator) -> None:
    """Its 404 looks like that of a session that has ended, and the stream is tried again and again."""

    async def use() -> None:
        async with AsyncClient("mcp", base_url=emulator.base_url, timing=QUICK) as client:
            task = await client.create(name="add")
            for _ in range(5):
                with pytest.raises(HandshakeFailed, match="requires a new handshake"):
                    await anext(client.stream())
                assert await task.status() == "working"

    emulator.fault("status", call="stream", status_code=404, times=5)
    asyncio.run(use())

    assert [call.call for call in emulator.calls()].count("handshake") == 2


@pytest.mark.parametrize(("api", "task_id", "expected"), [("mcp", "t7", "leave out"), ("a2a", None, "give")])
def test_stream_names_its_task_only_if_it_is_of_one(api: str, task_id: str | None, expected: str) -> None:
    async def use() -> None:
        async with AsyncClient(api, base_url="http://127.0.0.1:9") as client:
            await anext(client.stream(task_id))

    with pytest.raises(TypeError, match=f"{expected} the id"):
        asyncio.run(use())


# --- the official SDK ---------------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:The experimental tasks API:DeprecationWarning")
def test_official_client_runs_every_call_about_tasks(emulator: Emulator) -> None:
    http: Any = import_module("mcp.client.streamable_http")
    sessions: Any = import_module("mcp.client.session")
    types: Any = import_module("mcp.types")
    errors: Any = import_module("mcp.shared.exceptions")

    noted: list[Any] = []

    async def note(message: Any) -> None:
        assert isinstance(message, types.ServerNotification), "anything else would be an error of the transport"
        noted.append(message)

    async def use() -> None:
        async with (
            http.streamable_http_client(emulator.base_url) as (read, write, _),
            sessions.ClientSession(read, write, message_handler=note) as session,
        ):
            made = await session.initialize()
            await until(lambda: opened(emulator) == 1)
            assert made.capabilities.tasks.requests.tools.call is not None
            tasks = session.experimental
            created = (await tasks.call_tool_as_task("add", {"a": 1})).task
            assert created.status == "working"
            emulator.fire(created.taskId, "ask")
            assert (await tasks.get_task(created.taskId)).status == "input_required"
            emulator.fire(created.taskId, "complete")
            assert [each.status async for each in tasks.poll_task(created.taskId)] == ["completed"]
            result = await tasks.get_task_result(created.taskId, types.CallToolResult)
            assert [part.text for part in result.content] == ["Done"]
            other = (await tasks.call_tool_as_task("add")).task
            assert (await tasks.cancel_task(other.taskId)).status == "cancelled"
            await session.send_ping()
            tools = [(tool.name, tool.execution.taskSupport) for tool in (await session.list_tools()).tools]
            assert tools == [("work", "required")]
            for refused in (tasks.cancel_task(other.taskId), tasks.get_task("nobody"), tasks.list_tasks("nowhere")):
                with pytest.raises(errors.McpError) as info:
                    await refused
                assert info.value.error.code == -32602
            assert [task.taskId for task in (await tasks.list_tasks()).tasks] == [other.taskId, created.taskId]
            await until(lambda: len(noted) == 3)
            assert [str(each.root.params.status) for each in noted] == ["input_required", "completed", "cancelled"]
            assert noted[0].root.params.createdAt == created.createdAt

    asyncio.run(use())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with sdk_server("tests.support.mcp_server") as base_url:
        yield f"{base_url}/mcp"


@pytest.mark.heavy
def test_official_server_is_governed(server: str, tmp_path: Path) -> None:
    with (
        SqlJournal(tmp_path / "tasks.db") as journal,
        Client("mcp", base_url=server, timing=Timing(poll_s=0.05), journal=journal) as client,
    ):
        done = client.create(name="quick")
        assert done.wait("final").state == MCPState.COMPLETED
        assert [part["text"] for part in done.call("result")["content"]] == ["done"]

        asked = client.create(name="ask")
        assert asked.wait("settled").state == MCPState.INPUT_REQUIRED
        client.create(name="say")
        assert asked.wait("final").state == MCPState.COMPLETED

        long = client.create(name="long")
        assert long.cancel().state == MCPState.CANCELLED
        assert not long.cancel().sent

        assert {task.id for task in client.list()} >= {done.id, asked.id, long.id}
        with pytest.raises(NotFound):
            client.task("nobody").status()
        with pytest.raises(NoTaskMade) as info:
            client.create(name="now")
        assert [part["text"] for part in info.value.response["content"]] == ["done"]


@pytest.mark.heavy
def test_task_of_an_official_server_is_not_found_once_its_time_to_live_is_over(server: str) -> None:
    mcp = service("mcp")
    body: dict[str, Any] = {**(mcp.create.body or {}), "params": {"task": {"ttl": 300}}}
    brief = replace(mcp, create=replace(mcp.create, body=body))
    with Client(brief, base_url=server, timing=QUICK) as client:
        task = client.create(name="quick")
        assert task.details()["ttl"] == 300
        time.sleep(0.5)
        with pytest.raises(NotFound):
            task.status()


@pytest.mark.heavy
def test_tasks_of_an_official_server_are_watched(server: str) -> None:
    async def watch() -> list[str]:
        async with AsyncClient("mcp", base_url=server, timing=QUICK) as client:
            made = [await client.create(name=name) for name in ("quick", "long")]
            async with Watcher(client, pace=Pace(working_s=0.05)) as watcher:
                watcher.add(*(task.id for task in made))
                await made[-1].cancel()
                async for _ in watcher.changes():
                    pass
            return [await task.status() for task in made]

    assert asyncio.run(watch()) == [MCPState.COMPLETED, MCPState.CANCELLED]


@pytest.mark.heavy
def test_notifications_of_an_official_server_are_followed(server: str) -> None:
    async def work() -> list[Event]:
        listening = asyncio.Event()

        async def note(response: httpx2.Response) -> None:
            if response.request.method == "GET":
                listening.set()

        async with (
            httpx2.AsyncClient(event_hooks={"response": [note]}) as http,
            AsyncClient("mcp", base_url=server, timing=QUICK, http=http) as client,
            Watcher(client, pace=RARE, streams=1) as watcher,
        ):
            task = await client.create(name="slow")
            watcher.add(task.id)
            await listening.wait()
            await client.create(name="go")
            return [each async for each in watcher.changes()]

    assert ends(asyncio.run(work())) == [("completed", "api")]
