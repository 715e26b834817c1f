"""MCP's extension for tasks: our client and emulator, and servers that do what its specification allows."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lifecycle import (
    CommandUncertain,
    CreateUncertain,
    DefinitionError,
    IllegalTransition,
    MemoryJournal,
    TaskEndedFirst,
)
from lifecycle.catalog import MCPState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client, NoTaskMade, NotFound, RequestRejected, Timing
from lifecycle_adapters.services import argument_headers, service
from lifecycle_adapters.watch import Change, Event, Pace, Watcher
from lifecycle_adapters.webhooks import BadBody, parse
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.adapters.watch.worlds import unlimited, until
from tests.support.sdk_servers import MCP_SDK_2, installed, sdk_server, seen_by_mcp_sdk_2

QUICK = Timing(poll_s=0.02, settle_timeout_s=0.2)
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "task-lifecycle", "version": "1"},
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


# --- headers --------------------------------------------------------------------------------------------

# The examples of Streamable HTTP of 2026-07-28, "Value Encoding", and its rules for integers, booleans and null.
ENCODED: list[tuple[Any, str | None]] = [
    ("us-west1", "us-west1"),
    ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
    (" padded ", "=?base64?IHBhZGRlZCA=?="),
    ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
    ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    (-7, "-7"),
    (True, "true"),
    (None, None),
]


@pytest.mark.parametrize(("value", "header"), ENCODED, ids=[str(number) for number in range(len(ENCODED))])
def test_argument_is_repeated_in_a_header(emulator: Emulator, value: Any, header: str | None) -> None:
    extension = service("mcp-extension")
    headers = {**extension.create.field_headers, "Mcp-Param-Region": "arguments.where.region"}
    of_regions = replace(extension, create=replace(extension.create, field_headers=headers))
    with Client(of_regions, base_url=emulator.base_url) as client:
        client.create(name="query", arguments={"where": {"region": value}})
    (call,) = emulator.calls()
    assert call.headers.get("mcp-param-region") == header
    assert call.body["params"]["arguments"] == {"where": {"region": value}}


def test_argument_that_no_header_may_repeat_is_refused_before_the_request(emulator: Emulator) -> None:
    extension = service("mcp-extension")
    headers = {**extension.create.field_headers, "Mcp-Param-Share": "arguments.share"}
    create = replace(extension.create, field_headers=headers)
    with Client(replace(extension, create=create), base_url=emulator.base_url) as client:
        client.create(name="query")
        with pytest.raises(TypeError, match=r"arguments\.share must be text, an integer or a boolean"):
            client.create(name="query", arguments={"share": 0.5})
    assert len(emulator.calls()) == 1


def test_names_that_are_not_plain_are_encoded(connect: Connect) -> None:
    seen: list[str] = []

    def serve(request: Seen) -> Reply:
        seen.append(request.headers["mcp-name"])
        return result(request, resultType="task", taskId="Aufgabe 世", status="working")

    task = connect(serve).create(name="Wetter in Köln")
    task.status()
    assert seen == ["=?base64?V2V0dGVyIGluIEvDtmxu?=", "=?base64?QXVmZ2FiZSDkuJY=?="]


def test_emulator_knows_an_encoded_name(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(name="Wetter in Köln")
    headers = of_call("tasks/get", "=?base64?" + b64encode(task.id.encode()).decode() + "?=")
    assert post(emulator, get(task.id), headers).json()["result"]["taskId"] == task.id
    assert [call.call for call in emulator.calls()] == ["create", "status"]


def of_call(method: str, name: str | None = None) -> dict[str, str]:
    named = {} if name is None else {"Mcp-Name": name}
    accepted = {"Accept": "application/json, text/event-stream"}
    return {**accepted, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, **named}


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 5, "method": method, "params": {"_meta": META, **params}}


def get(task_id: str, **changed: Any) -> dict[str, Any]:
    body = rpc("tasks/get", taskId=task_id)
    return {**body, "params": {**body["params"], "_meta": {**META, **changed}}}


def post(emulator: Emulator, body: dict[str, Any], headers: dict[str, str]) -> httpx2.Response:
    return httpx2.post(emulator.base_url, json=body, headers=headers)


VERSION, CAPABILITIES = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"
OLD = {**of_call("tasks/get", "t7"), "MCP-Protocol-Version": "1900-01-01"}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], int, int, str]] = {
    "no version": (get("t7"), {"Mcp-Method": "tasks/get", "Mcp-Name": "t7"}, 400, -32020, "MCP-Protocol-Version"),
    "another version": (get("t7"), OLD, 400, -32020, "MCP-Protocol-Version"),
    "an unknown version": (get("t7", **{VERSION: "1900-01-01"}), OLD, 400, -32022, "Unsupported"),
    "another method": (get("t7"), of_call("tasks/cancel", "t7"), 400, -32020, "Mcp-Method"),
    "another case": (get("t7"), of_call("Tasks/Get", "t7"), 400, -32020, "Mcp-Method"),
    "no name": (get("t7"), of_call("tasks/get"), 400, -32020, "Mcp-Name header is missing"),
    "another name": (get("t7"), of_call("tasks/get", "t8"), 400, -32020, "'t8' does not match body value 't7'"),
    "another tool": (rpc("tools/call", name="add"), of_call("tools/call", "sub"), 400, -32020, "Mcp-Name"),
    "wrongly encoded": (get("t7"), of_call("tasks/get", "=?base64?t7?="), 400, -32020, "Mcp-Name"),
    "no Unicode": (get("t7"), of_call("tasks/get", "=?base64?/w==?="), 400, -32020, "Mcp-Name"),
    "no meta": (
        {"jsonrpc": "2.0", "id": 5, "method": "tasks/get", "params": {"taskId": "t7"}},
        of_call("tasks/get", "t7"), 400, -32602, VERSION,
    ),
    "no capabilities": (get("t7", **{CAPABILITIES: None}), of_call("tasks/get", "t7"), 400, -32602, CAPABILITIES),
    "no extension": (get("t7", **{CAPABILITIES: {}}), of_call("tasks/get", "t7"), 400, -32021, "capability"),
    "unknown task": (get("t7"), of_call("tasks/get", "t7"), 400, -32602, "Task not found"),
    "unknown method": (rpc("tasks/list"), of_call("tasks/list"), 404, -32601, "no call"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_emulator_refuses_what_the_specification_refuses(emulator: Emulator, case: str) -> None:
    """ "Server Validation", "Protocol Version Header", Overview ("_meta"), and of the extension, "Protocol Errors"."""
    body, headers, status, code, text = REFUSED[case]
    response = post(emulator, body, headers)
    document = response.json()
    assert (response.status_code, document["error"]["code"], document["id"]) == (status, code, 5)
    assert text in document["error"]["message"]
    needed: dict[str, Any] = {"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
    versions = {"supported": ["2026-07-28"], "requested": "1900-01-01"}
    assert document["error"].get("data") == {-32021: needed, -32022: versions}.get(code)


def result_of(emulator: Emulator, method: str, **params: Any) -> Any:
    return post(emulator, rpc(method, **params), of_call(method)).json()["result"]


def test_emulator_says_what_it_supports_and_which_tools_it_has(emulator: Emulator) -> None:
    """ "Servers MUST implement" `server/discover`; those with tools "MUST respond to `tools/list` requests"."""
    discovered = result_of(emulator, "server/discover")
    assert discovered["supportedVersions"] == ["2026-07-28"]
    assert discovered["capabilities"] == {"tools": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}
    listed = result_of(emulator, "tools/list")
    assert [(tool["name"], tool["inputSchema"]) for tool in listed["tools"]] == [("work", {"type": "object"})]
    for cacheable in (discovered, listed):
        assert (cacheable["resultType"], cacheable["cacheScope"], cacheable["ttlMs"] >= 0) == (
            "complete",
            "public",
            True,
        )
    refused = post(emulator, rpc("tools/list", cursor="nowhere"), of_call("tools/list")).json()
    assert refused["error"]["code"] == -32602


# --- subscriptions --------------------------------------------------------------------------------------

RARE = Pace(working_s=60, resting_s=60, longest_s=60)


def listened(emulator: Emulator, ids: list[str], *events: tuple[str, str], meta: Any = META) -> list[dict[str, Any]]:
    """Subscribe to tasks, fire events once the subscription is acknowledged; return the messages until its end."""
    params = {"_meta": meta, "notifications": {"taskIds": ids}}
    body = {"jsonrpc": "2.0", "id": "listen-1", "method": "subscriptions/listen", "params": params}
    headers = of_call("subscriptions/listen")
    messages: list[dict[str, Any]] = []
    with httpx2.stream("POST", emulator.base_url, json=body, headers=headers) as response:
        if response.headers["content-type"] != "text/event-stream; charset=utf-8":
            return [json.loads(response.read())]
        for line in response.iter_lines():
            if line:
                messages.append(json.loads(line.removeprefix("data: ")))
            if len(messages) == 1 and line:
                for task_id, event in events:
                    emulator.fire(task_id, event)
    return messages


def test_subscription_is_acknowledged_reports_its_tasks_and_ends_with_them(
    emulator: Emulator, client: Client[Any, Any]
) -> None:
    first, second, other = [client.create(name="add").id for _ in range(3)]
    fired = [(other, "ask"), (first, "ask"), (second, "fail"), (first, "complete")]
    acknowledged, *notified, ended = listened(emulator, [first, second, "nobody"], *fired)
    meta = {"io.modelcontextprotocol/subscriptionId": "listen-1"}
    assert acknowledged == {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {"notifications": {"taskIds": [first, second]}, "_meta": meta},
    }
    assert {(each["jsonrpc"], each["method"]) for each in notified} == {("2.0", "notifications/tasks")}
    params = [each["params"] for each in notified]
    assert sorted((each["taskId"], each["status"]) for each in params) == sorted(
        [(first, "input_required"), (second, "failed"), (first, "completed")]
    )
    for each in params:
        assert each["_meta"] == meta
        shown = {"input_required": "inputRequests", "failed": "error", "completed": "result"}[each["status"]]
        assert shown in each
        assert "resultType" not in each
    assert ended == {"jsonrpc": "2.0", "id": "listen-1", "result": {"resultType": "complete", "_meta": meta}}


def test_subscription_without_active_tasks_is_acknowledged_and_ended(
    emulator: Emulator, client: Client[Any, Any]
) -> None:
    over = client.create(name="add")
    over.cancel()
    for ids, agreed in (["nobody"], {}), ([over.id], {"taskIds": [over.id]}):
        acknowledged, ended = listened(emulator, ids)
        assert acknowledged["params"]["notifications"] == agreed
        assert ended["result"]["resultType"] == "complete"


def test_subscription_without_the_extension_is_refused(emulator: Emulator) -> None:
    (refused,) = listened(emulator, ["t7"], meta={**META, CAPABILITIES: {}})
    assert (refused["error"]["code"], refused["id"]) == (-32021, "listen-1")


@pytest.mark.parametrize(
    "message",
    [
        {"id": "1", "error": {"code": -32601, "message": "no subscriptions"}},
        {"method": "notifications/subscriptions/acknowledged", "params": {"notifications": {}}},
    ],
)
def test_subscription_that_reports_no_task_is_broken_off(message: dict[str, Any]) -> None:
    """ "The server includes the list of task IDs it has agreed to send task status notifications for, if any"."""
    stream = service("mcp-extension").stream
    assert stream is not None
    with pytest.raises(BadBody):
        parse(json.dumps({"jsonrpc": "2.0", **message}).encode(), stream)


def opened(emulator: Emulator) -> int:
    return [(call.call, call.status_code) for call in emulator.calls()].count(("stream", 200))


async def watched_until_over(emulator: Emulator, *, pace: Pace = RARE, fault: str | None = None) -> list[Event]:
    """Watch two tasks with a subscription to each, and return the events."""
    async with (
        AsyncClient("mcp-extension", base_url=emulator.base_url, timing=QUICK) as client,
        Watcher(client, pace=pace, throttle=unlimited(), streams=2) as watcher,
    ):
        first, second = [await client.create(name="add") for _ in range(2)]
        watcher.add(first.id, second.id)
        await until(lambda: opened(emulator) == 2)
        if fault is not None:
            delay = {"seconds": 0.1} if fault == "late" else {}
            emulator.webhook_fault(fault, channel="stream", task=first.id, **delay)
        for task, event in ((first, "ask"), (second, "fail"), (first, "work"), (first, "complete")):
            emulator.fire(task.id, event)
        return [each async for each in watcher.changes()]


def ends(events: list[Event]) -> list[tuple[str, str]]:
    return sorted((str(each.state), each.channel) for each in events if isinstance(each, Change) and each.is_over)


def test_subscriptions_report_the_ends_of_tasks(emulator: Emulator) -> None:
    events = asyncio.run(watched_until_over(emulator))
    assert ends(events) == [("completed", "api"), ("failed", "api")]  # read at once: no poll is due for a minute


@pytest.mark.parametrize("fault", ["late", "doubled", "out_of_order", "lost", "cut"])
def test_no_disturbed_notification_changes_the_outcome(emulator: Emulator, fault: str) -> None:
    events = asyncio.run(watched_until_over(emulator, pace=replace(RARE, longest_s=0.5), fault=fault))
    assert [state for state, _ in ends(events)] == ["completed", "failed"]


def test_change_before_the_subscription_is_read_once_that_is_open(emulator: Emulator) -> None:
    async def work() -> Any:
        async with (
            AsyncClient("mcp-extension", base_url=emulator.base_url, timing=QUICK) as client,
            Watcher(client, pace=RARE, throttle=unlimited(), streams=1) as watcher,
        ):
            task = await client.create(name="add")
            emulator.fault("delay", call="stream", seconds=0.3)
            watcher.add(task.id)
            seen = {("status", 200), ("stream", None)}
            await until(lambda: seen <= {(call.call, call.status_code) for call in emulator.calls()})
            emulator.fire(task.id, "ask")
            return await anext(watcher.changes())

    assert asyncio.run(work()).state == MCPState.INPUT_REQUIRED


# --- the official SDK ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("sdk"), *MCP_SDK_2)


@pytest.fixture(scope="module")
def server(sdk: Path) -> Iterator[str]:
    with sdk_server("tests.support.mcp_extension_server", packages=sdk) as base_url:
        yield f"{base_url}/mcp"


@pytest.mark.heavy
def test_client_of_the_official_sdk_finds_the_extension_and_runs_its_tools(sdk: Path, emulator: Emulator) -> None:
    assert seen_by_mcp_sdk_2(sdk, "mcp-extension", emulator.base_url) == {
        "version": "2026-07-28",
        "extensions": {"io.modelcontextprotocol/tasks": {}},
        "tools": ["work"],
        "statuses": ["input_required", "working", "completed"],
        "result": ["Done"],
        "cancelled": "cancelled",
        "unknown task": -32602,
    }


@pytest.mark.heavy
def test_client_of_the_official_sdk_falls_back_to_a_handshake(sdk: Path) -> None:
    """It has no tasks of revision 2025-11-25, whose servers refuse a call of a tool that requires one without it."""
    with Emulator("mcp", manual=True) as emulator:
        seen = seen_by_mcp_sdk_2(sdk, "mcp", emulator.base_url)
    assert seen == {"version": "2025-11-25", "tools": {"work": "required"}, "call without a task": -32601}


@pytest.mark.heavy
def test_server_of_the_official_sdk_is_governed(server: str) -> None:
    extension = service("mcp-extension")
    listed = httpx2.post(server, json=rpc("tools/list"), headers=of_call("tools/list")).json()["result"]["tools"]
    tool = next(each for each in listed if each["name"] == "façade")
    headers = {**extension.create.field_headers, **argument_headers(tool)}
    of_regions = replace(extension, create=replace(extension.create, field_headers=headers))
    with Client(of_regions, base_url=server, timing=Timing(poll_s=0.05)) as client:
        done = client.create(name="façade", arguments={"region": "Zürich"}).wait("final")
        assert done.output["content"] == [{"type": "text", "text": "done"}]

        asked = client.create(name="ask")
        assert asked.wait("settled").state == MCPState.INPUT_REQUIRED
        assert asked.send("answer", inputResponses={"why": {"action": "decline"}}).state == MCPState.WORKING
        assert asked.cancel().state == MCPState.CANCELLED
        with pytest.raises(NotFound, match="Task not found"):
            client.task("nobody").status()
    with (
        Client("mcp-extension", base_url=server) as client,
        pytest.raises(RequestRejected, match=r"-32020: Mcp-Param-Region header is missing"),
    ):
        client.create(name="façade", arguments={"region": "Zürich"})


@pytest.mark.heavy
def test_subscriptions_to_a_server_of_the_official_sdk_are_followed(server: str) -> None:
    async def work() -> list[Event]:
        async with AsyncClient("mcp-extension", base_url=server, timing=QUICK) as client:
            made = [await client.create(name=name) for name in ("façade", "long")]
            async with Watcher(client, pace=RARE, throttle=unlimited(), streams=2) as watcher:
                watcher.add(*(task.id for task in made))
                events: list[Event] = []
                async for event in watcher.changes():
                    events.append(event)
                    if len(ends(events)) == 1:
                        await made[1].cancel()
                return events

    assert ends(asyncio.run(work())) == [("cancelled", "api"), ("completed", "api")]


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


TASK: dict[str, Any] = {"taskId": "t1", "status": "working", "createdAt": "2026-11-21T00:00:00Z", "ttlMs": None}


@pytest.mark.parametrize("given", [None, "oops", [1], {}, {"resultType": 1}, {"task": TASK}], ids=repr)
def test_create_response_without_a_task_or_a_result_is_uncertain(connect: Connect, given: object) -> None:
    client = connect(lambda seen: Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": given}))

    with pytest.raises(CreateUncertain):
        client.create(name="get_weather", idempotency_key="k")
    with pytest.raises(CreateUncertain):
        client.create(name="get_weather", idempotency_key="k")


@pytest.mark.parametrize("kind", [{}, {"resultType": "Task"}, {"resultType": None}], ids=repr)
def test_create_response_with_a_task_makes_that_task(connect: Connect, kind: dict[str, Any]) -> None:
    client = connect(lambda seen: Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": {**kind, **TASK}}))

    assert client.create(name="get_weather").id == "t1"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(404, -32601, RequestRejected), (400, -32020, RequestRejected), (400, -32602, NotFound), (404, 7, NotFound)],
)
def test_json_rpc_error_code_outranks_the_http_status(
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
def test_error_without_a_code_is_mapped_by_the_http_status(connect: Connect, content: bytes) -> None:
    with pytest.raises(NotFound):
        connect(lambda _: Reply(status=404, body=content)).task("t7").status()


def test_task_if_is_refused_outside_of_a_create() -> None:
    extension = service("mcp-extension")
    with pytest.raises(DefinitionError, match=r"details.task_if: must be empty: only a create makes a task"):
        replace(extension, details=replace(extension.details, task_if={"resultType": "task"}))
    with pytest.raises(DefinitionError, match=r"details.no_task_field: must be left out: only a create or a command"):
        replace(extension, details=replace(extension.details, no_task_field="message"))
    with pytest.raises(DefinitionError, match=r"details.field_headers: must be empty: a read takes no fields"):
        replace(extension, details=replace(extension.details, field_headers={"X-Name": "name"}))
    with pytest.raises(DefinitionError, match=r"task_if.a..b: must be a field or a path"):
        replace(extension.create, task_if={"a..b": "task"})
