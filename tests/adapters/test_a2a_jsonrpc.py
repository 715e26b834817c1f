"""What is particular to A2A over JSON-RPC; test_a2a.py has what is the same over both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from lifecycle import IllegalTransition, MemoryJournal, TaskEndedFirst
from lifecycle.catalog import A2AState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client, HttpError, NotFound, Timing
from lifecycle_adapters.services import service
from lifecycle_adapters.watch import Change, Event, Pace, Watcher
from lifecycle_adapters.webhooks import BadBody, DeliveryOutcome, Received, Webhooks, parse
from tests.adapters.emulator.requests import settled
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.adapters.watch.worlds import until
from tests.support.sdk_servers import sdk_server

PARTS = [{"text": "Book a flight"}]
VERSION = {"A2A-Version": "1.0"}
QUICK = Timing(poll_s=0.02, settle_timeout_s=0.3)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("a2a-jsonrpc", manual=True) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client[Any, Any]]:
    with Client("a2a-jsonrpc", base_url=emulator.base_url, timing=QUICK) as client:
        yield client


def test_agent_asks_gets_its_answer_and_is_done(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(parts=PARTS, contextId="trip")
    emulator.fire(task.id, "ask")
    assert task.wait("settled").state == A2AState.INPUT_REQUIRED
    assert task.answer([{"text": "Lisbon"}]).state == A2AState.WORKING
    emulator.fire(task.id, "complete")
    assert task.wait("settled").output == [{"artifactId": "result", "parts": [{"text": "Done"}]}]
    with pytest.raises(IllegalTransition, match="'TASK_STATE_COMPLETED' is final"):
        task.answer(PARTS)

    bodies = [call.body for call in emulator.calls()]
    assert len({body["id"] for body in bodies}) == len(bodies), "each request has an id of its own"
    assert {call.path for call in emulator.calls()} == {"/"}
    first, second = (body["params"]["message"] for body in bodies if body["method"] == "SendMessage")
    assert (first["contextId"], second["taskId"]) == ("trip", task.id)
    assert first["messageId"] != second["messageId"]


def test_repeated_cancel_is_another_request(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(parts=PARTS)
    emulator.fault("drop_before", command="cancel")
    assert task.cancel().state == A2AState.CANCELED
    ids = [call.body["id"] for call in emulator.calls() if call.command == "cancel"]
    assert len(set(ids)) == len(ids) == 2


def test_pages_are_named_in_the_body(emulator: Emulator, client: Client[Any, Any]) -> None:
    made = [client.create(parts=PARTS, contextId="odd" if number % 2 else "even") for number in range(5)]
    emulator.fire(made[1].id, "complete")
    assert [task.id for task in client.list(contextId="odd", pageSize=1)] == [made[1].id, made[3].id]
    assert [task.id for task in client.list(status="TASK_STATE_COMPLETED")] == [made[1].id]
    listed = [call.body["params"] for call in emulator.calls() if call.call == "list"]
    assert listed[:2] == [
        {"contextId": "odd", "pageSize": 1},
        {"contextId": "odd", "pageSize": 1, "pageToken": made[1].id},
    ]


def test_read_is_lost_and_repeated(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(parts=PARTS)
    emulator.fault("drop_before", call="status")
    assert task.status() == A2AState.SUBMITTED
    assert [call.call for call in emulator.calls()] == ["create", "status", "status"]


def test_acknowledged_cancel_without_effect_is_no_success() -> None:
    states = iter(["WORKING", "WORKING", *["COMPLETED"] * 9])

    def agent(seen: Seen) -> Reply:
        task = {"id": "t7", "status": {"state": f"TASK_STATE_{next(states)}"}}
        return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": task})

    with (
        ScriptedServer(agent).running() as server,
        Client("a2a-jsonrpc", base_url=server.base_url, timing=QUICK) as client,
        pytest.raises(TaskEndedFirst, match="it was 'TASK_STATE_COMPLETED' before 'cancel' took effect"),
    ):
        client.task("t7").cancel()
    assert [seen.json["method"] for seen in server.seen].count("CancelTask") == 1


# --- what an agent pushes -----------------------------------------------------------------------------

CREDENTIALS = {"scheme": "Bearer", "credentials": "a token of my own"}


def test_task_is_followed_in_its_stream(emulator: Emulator) -> None:
    async def work() -> list[Event]:
        rarely = Pace(working_s=60, resting_s=60, longest_s=60)
        async with (
            AsyncClient("a2a-jsonrpc", base_url=emulator.base_url) as client,
            Watcher(client, pace=rarely, streams=1) as watcher,
        ):
            task = await client.create(parts=PARTS)
            watcher.add(task.id)
            await until(lambda: "stream" in [call.call for call in emulator.calls()])
            for event in ("work", "complete"):
                emulator.fire(task.id, event)
            return [each async for each in watcher.changes()]

    *_, last = asyncio.run(work())

    assert isinstance(last, Change)
    assert (last.state, last.channel) == (A2AState.COMPLETED, "api")  # read at once: a poll would come a minute later


def test_each_event_of_a_stream_responds_to_its_request(emulator: Emulator) -> None:
    """9.4.2: each event is a JSON-RPC response, also of a message that is sent in order to make a task."""
    message = {"messageId": "m", "role": "ROLE_USER", "parts": PARTS}
    settings = {"returnImmediately": True}
    body = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "SendStreamingMessage",
        "params": {"message": message, "configuration": settings},
    }

    with httpx2.stream("POST", emulator.base_url, json=body, headers=VERSION) as response:
        lines = (line.removeprefix("data: ") for line in response.iter_lines() if line)
        first = json.loads(next(lines))
        task_id = first["result"]["task"]["id"]
        emulator.fire(task_id, "complete")
        second = json.loads(next(lines))
        assert list(lines) == []

    assert {(each["jsonrpc"], each["id"]) for each in (first, second)} == {("2.0", 7)}
    assert second["result"]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    body["params"] = {"message": {**message, "taskId": task_id}, "configuration": settings}
    refused = httpx2.post(emulator.base_url, json=body, headers=VERSION)
    assert refused.json()["error"]["code"] == -32004


def test_error_in_a_stream_reports_no_status() -> None:
    stream = service("a2a-jsonrpc").stream
    assert stream is not None
    with pytest.raises(BadBody, match="`update_of` raised KeyError"):
        parse(b'{"jsonrpc": "2.0", "id": "1", "error": {"code": -32603, "message": "oh"}}', stream)


def test_notification_is_that_of_every_transport(emulator: Emulator, client: Client[Any, Any]) -> None:
    """4.3.3: the payload is a Stream Response, and no JSON-RPC."""
    received: list[tuple[Seen, Received]] = []
    webhooks = Webhooks("a2a-jsonrpc", secret=CREDENTIALS["credentials"], journal=MemoryJournal())

    def receive(seen: Seen) -> Reply:
        received.append((seen, webhooks.receive(seen.body, seen.headers)))
        return Reply()

    with ScriptedServer(receive).running() as receiver:
        task = client.create(parts=PARTS)
        task.call("create_push_config", url=receiver.base_url, authentication=CREDENTIALS, id="mine")
        emulator.fire(task.id, "complete")
        settled(emulator)

    ((seen, outcome),) = received
    assert seen.json.keys() == {"statusUpdate"}
    assert (outcome.outcome, outcome.task_id) == (DeliveryOutcome.RECORDED, task.id)
    assert outcome.event is not None
    assert outcome.event.update is not None
    assert outcome.event.update.status == A2AState.COMPLETED


def test_configuration_is_found_listed_and_deleted_by_its_id(client: Client[Any, Any]) -> None:
    task = client.create(parts=PARTS)
    made = task.call("create_push_config", url="http://127.0.0.1:9/", authentication=CREDENTIALS)
    assert task.call("get_push_config", id=made["id"]) == made
    assert task.call("list_push_configs") == {"configs": [made]}
    assert task.call("delete_push_config", id=made["id"]) == {}
    with pytest.raises(NotFound, match="configuration does not exist"):
        task.call("get_push_config", id=made["id"])
    with pytest.raises(HttpError, match="url"):
        task.call("create_push_config", url="nowhere")


# 5.4 and 9.5 of the specification: what an agent returns in a 200
ERRORS: list[tuple[bytes, Any, int]] = [
    (b"no JSON", None, -32700),
    (b"[]", None, -32600),
    (b'{"jsonrpc": "2.0", "id": 3, "method": "Nothing", "params": {}}', 3, -32601),
    (b'{"jsonrpc": "2.0", "id": 3, "method": "GetTask", "params": {}}', 3, -32602),
    (b'{"jsonrpc": "2.0", "id": 3, "method": "ListTasks", "params": {"pageSize": 0}}', 3, -32602),
    (
        (
            b'{"jsonrpc": "2.0", "id": 3, "method": "SendMessage", "params": {"message": {"messageId": "m", "parts": []'
            b', "role": "ROLE_USER"}, "configuration": {"returnImmediately": true, "taskPushNotificationConfig": {}}}}'
        ),
        3,
        -32602,
    ),
    (b'{"jsonrpc": "2.0", "id": "x", "method": "GetTask", "params": {"id": "nobody"}}', "x", -32001),
]


@pytest.mark.parametrize(("content", "request_id", "code"), ERRORS)
def test_emulator_responds_with_the_codes_of_json_rpc(
    emulator: Emulator, content: bytes, request_id: Any, code: int
) -> None:
    response = httpx2.post(emulator.base_url, content=content, headers={**VERSION, "Content-Type": "application/json"})
    document = response.json()
    assert (response.status_code, document["jsonrpc"], document["id"]) == (200, "2.0", request_id)
    assert document["error"]["code"] == code
    reasons = [each["reason"] for each in document["error"].get("data", ())]
    assert reasons == (["TASK_NOT_FOUND"] if code == -32001 else [])


def test_other_version_is_refused(emulator: Emulator) -> None:
    body = {"jsonrpc": "2.0", "id": 3, "method": "GetTask", "params": {"id": "t7"}}
    error = httpx2.post(emulator.base_url, json=body, headers={"A2A-Version": "0.3"}).json()["error"]
    assert (error["code"], error["data"][0]["reason"]) == (-32009, "VERSION_NOT_SUPPORTED")


def test_message_waits_until_its_task_rests() -> None:
    message = {"messageId": "m", "role": "ROLE_USER", "parts": PARTS}
    body = {"jsonrpc": "2.0", "id": 7, "method": "SendMessage", "params": {"message": message}}
    with Emulator("a2a-jsonrpc", pace_s=0.05) as emulator:
        document = httpx2.post(emulator.base_url, json=body, headers=VERSION).json()
    assert (document["id"], document["result"]["task"]["status"]["state"]) == (7, "TASK_STATE_COMPLETED")


# --- the official SDK ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    with sdk_server("tests.support.a2a_agent") as base_url:
        yield f"{base_url}/rpc"


@pytest.mark.heavy
def test_tasks_of_an_official_agent_are_watched(agent: str) -> None:
    """Each task is followed to its end, and so is one that is canceled meanwhile."""

    async def watch() -> list[A2AState]:
        async with AsyncClient("a2a-jsonrpc", base_url=agent, timing=QUICK) as client:
            made = [await client.create(parts=[{"text": text}]) for text in ("a", "b", "long")]
            async with Watcher(client, pace=Pace(working_s=0.05)) as watcher:
                watcher.add(*(task.id for task in made))
                await made[-1].cancel()
                async for _ in watcher.changes():
                    pass
            return [await task.status() for task in made]

    assert asyncio.run(watch()) == [A2AState.COMPLETED, A2AState.COMPLETED, A2AState.CANCELED]
