"""A2A over HTTP and JSON: our client and emulator, the official client, and an agent made with the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lifecycle import CommandUncertain, CreateUncertain, IllegalTransition, TaskEndedFirst
from lifecycle.catalog import A2AState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client, NoTaskMade, NotFound, RequestRejected, Timing
from lifecycle_adapters.journal import SqlJournal
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.support.a2a_kit_agent import card, emulated
from tests.support.sdk_servers import sdk_server

PARTS = [{"text": "Book a flight"}]
QUICK = Timing(poll_s=0.02, settle_timeout_s=0.3)
VERSION = {"A2A-Version": "1.0"}


# The test runs over HTTP and JSON, and over JSON-RPC.
ON_BOTH = pytest.mark.parametrize("api", ["a2a", "a2a-jsonrpc"])


@pytest.fixture
def api() -> str:
    return "a2a"


@pytest.fixture
def emulator(api: str) -> Iterator[Emulator]:
    with Emulator(api, manual=True) as emulator:
        yield emulator


@pytest.fixture
def client(api: str, emulator: Emulator) -> Iterator[Client[Any, Any]]:
    with Client(api, base_url=emulator.base_url, timing=QUICK) as client:
        yield client


def test_agent_asks_and_gets_its_answer(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(parts=PARTS)
    emulator.fire(task.id, "ask")
    assert task.wait("settled").state == A2AState.INPUT_REQUIRED

    assert task.answer([{"text": "Lisbon"}]).state == A2AState.WORKING

    emulator.fire(task.id, "complete")
    assert task.wait("settled").output == [{"artifactId": "result", "parts": [{"text": "Done"}]}]
    with pytest.raises(IllegalTransition, match="'TASK_STATE_COMPLETED' is final"):
        task.answer(PARTS)


@ON_BOTH
def test_emulated_agent_refuses_parts_other_than_a_list(emulator: Emulator, client: Client[Any, Any]) -> None:
    with pytest.raises(RequestRejected, match=r"message\.parts: Input should be a valid list"):
        client.create(parts="Book a flight")

    assert emulator.tasks() == []


def test_question_right_after_an_answer_ends_the_wait(emulator: Emulator, client: Client[Any, Any]) -> None:
    """Nobody sees the work in between; the time of the status tells this question from the one before."""
    task = client.create(parts=PARTS)
    emulator.fire(task.id, "ask")
    task.wait("settled")
    task.answer(PARTS)

    emulator.fire(task.id, "ask")

    assert task.wait("settled", timeout_s=20).state == A2AState.INPUT_REQUIRED


def test_message_names_its_task_and_never_repeats_an_id(emulator: Emulator, client: Client[Any, Any]) -> None:
    task = client.create(parts=PARTS, contextId="trip")
    emulator.fire(task.id, "ask_auth")
    task.answer(PARTS)

    first, second = (call.body["message"] for call in emulator.calls() if call.path == "/message:send")
    assert "taskId" not in first
    assert (first["contextId"], second["taskId"]) == ("trip", task.id)
    assert first["messageId"] != second["messageId"]


@ON_BOTH
def test_lost_answer_stays_uncertain_and_is_never_sent_again(emulator: Emulator, client: Client[Any, Any]) -> None:
    """Agents need not know a message by its id, and the task may have gone on without it."""
    task = client.create(parts=PARTS)
    emulator.fire(task.id, "ask")
    emulator.fault("drop_after", command="answer")

    with pytest.raises(CommandUncertain):
        task.answer(PARTS)

    assert [call.command for call in emulator.calls()].count("answer") == 1


@pytest.mark.parametrize("state", ["COMPLETED", "WORKING"])
def test_response_about_another_task_changes_nothing(state: str) -> None:
    def agent(seen: Seen) -> Reply:
        if seen.method == "POST":
            return Reply(body={"task": {"id": "another", "status": {"state": f"TASK_STATE_{state}"}}})
        return Reply(body={"id": "t7", "status": {"state": "TASK_STATE_INPUT_REQUIRED"}})

    with (
        ScriptedServer(agent).running() as server,
        Client("a2a", base_url=server.base_url, timing=QUICK) as client,
    ):
        task = client.task("t7")
        with pytest.raises(CommandUncertain, match="the response is about another task, 'another'"):
            task.answer(PARTS)

        assert task.known_state() == A2AState.INPUT_REQUIRED


@ON_BOTH
@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELED", "REJECTED"])
def test_answer_is_done_if_the_agent_finishes_before_it_responds(api: str, end: str) -> None:
    states = ["INPUT_REQUIRED", end]

    def agent(seen: Seen) -> Reply:
        document: dict[str, Any] = seen.json or {}
        message = (document.get("params") or document).get("message")
        shown = {"id": "t7", "status": {"state": f"TASK_STATE_{states[message is not None]}"}}
        result = shown if message is None else {"task": shown}
        is_rpc = "jsonrpc" in document
        return Reply(body={"jsonrpc": "2.0", "id": document["id"], "result": result} if is_rpc else result)

    with ScriptedServer(agent).running() as server, Client(api, base_url=server.base_url, timing=QUICK) as client:
        result = client.task("t7").answer(PARTS)

    assert (result.state, result.sent) == (f"TASK_STATE_{end}", True)


@ON_BOTH
def test_agent_may_reply_with_a_message(api: str) -> None:
    """a2a.proto, SendMessageResponse: the payload is a task, or "A message from the agent."."""
    reply = {"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "42 EUR"}]}}
    states = iter(["INPUT_REQUIRED", "WORKING"])

    def agent(seen: Seen) -> Reply:
        document: dict[str, Any] = seen.json or {}
        is_message = "message" in (document.get("params") or document)
        shown = reply if is_message else {"id": "t7", "status": {"state": f"TASK_STATE_{next(states)}"}}
        is_rpc = "jsonrpc" in document
        return Reply(body={"jsonrpc": "2.0", "id": document["id"], "result": shown} if is_rpc else shown)

    with ScriptedServer(agent).running() as server, Client(api, base_url=server.base_url, timing=QUICK) as client:
        with pytest.raises(NoTaskMade) as info:
            client.create(parts=PARTS, idempotency_key="q1")
        assert info.value.response == reply
        assert client.recover() == []
        assert client.task("t7").answer(PARTS).state == A2AState.WORKING


@pytest.mark.parametrize("body", [{}, {"message": None}, {"message": {}, "task": {"id": "t1"}}])
def test_create_response_without_a_task_or_message_is_uncertain(body: dict[str, Any]) -> None:
    with (
        ScriptedServer(lambda _: Reply(body=body)).running() as server,
        Client("a2a", base_url=server.base_url, timing=QUICK) as client,
        pytest.raises(CreateUncertain),
    ):
        client.create(parts=PARTS)


def test_pages_hold_what_the_filters_leave(emulator: Emulator, client: Client[Any, Any]) -> None:
    made = [client.create(parts=PARTS, contextId="odd" if number % 2 else "even") for number in range(5)]
    emulator.fire(made[1].id, "complete")

    assert [task.id for task in client.list(contextId="odd", pageSize=1)] == [made[1].id, made[3].id]
    assert [task.id for task in client.list(status="TASK_STATE_COMPLETED")] == [made[1].id]
    page = httpx2.get(f"{emulator.base_url}/tasks", params={"pageSize": 5}, headers=VERSION).json()
    assert (page["nextPageToken"], page["totalSize"]) == ("", 5)


def test_acknowledged_cancel_without_effect_is_no_success() -> None:
    """ "Success is not guaranteed": an agent may acknowledge a cancel, and complete the task."""
    states = iter(["WORKING", "WORKING", *["COMPLETED"] * 9])

    def agent(seen: Seen) -> Reply:
        return Reply(body={"id": "t7", "status": {"state": f"TASK_STATE_{next(states)}"}})

    with (
        ScriptedServer(agent).running() as server,
        Client("a2a", base_url=server.base_url, timing=QUICK) as client,
        pytest.raises(TaskEndedFirst, match="it was 'TASK_STATE_COMPLETED' before 'cancel' took effect"),
    ):
        client.task("t7").cancel()

    assert [call for call in server.calls if call.startswith("POST")] == ["POST /tasks/t7:cancel"]


MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "Book a flight"}]}


def test_message_waits_until_its_task_rests_unless_it_says_otherwise() -> None:
    """3.2.2: "Operations are blocking by default"."""
    with Emulator("a2a", pace_s=0.1) as emulator:
        url = f"{emulator.base_url}/message:send"
        states = [
            httpx2.post(url, json={"message": MESSAGE, **more}, headers=VERSION).json()["task"]["status"]["state"]
            for more in ({}, {"configuration": {"returnImmediately": True}})
        ]
    assert states == ["TASK_STATE_COMPLETED", "TASK_STATE_SUBMITTED"]


def test_disconnected_caller_does_not_block_the_emulator(emulator: Emulator) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{emulator.base_url}/message:send", json={"message": MESSAGE}, headers=VERSION, timeout=0.2)
    (task,) = emulator.tasks()
    assert task.state == A2AState.SUBMITTED


@pytest.mark.parametrize("headers", [{}, {"A2A-Version": ""}, {"A2A-Version": "0.3"}])
def test_other_version_is_refused(emulator: Emulator, headers: dict[str, str]) -> None:
    """3.6.2: "Agents MUST interpret empty value as 0.3 version"."""
    for path in ("/tasks", "/tasks/t7"):
        response = httpx2.get(f"{emulator.base_url}{path}", headers=headers)
        assert response.status_code == 400
        assert [each["reason"] for each in response.json()["error"]["details"]] == ["VERSION_NOT_SUPPORTED"]


def test_emulator_does_what_the_conformance_kit_asks_for() -> None:
    """The kit itself is in no package registry (CONTRIBUTING.md)."""
    asked = {"tck-artifact-data": "data", "tck-complete-task": "text", "tck-message-response": None}
    with emulated() as urls:
        interfaces = card(urls)["supportedInterfaces"]
        assert [each["protocolBinding"] for each in interfaces] == ["HTTP+JSON", "JSONRPC"]
        http, rpc = (each["url"] for each in interfaces)
        for start, kind in asked.items():
            message = {"message": {**MESSAGE, "messageId": f"{start}-1"}}
            body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": message}
            sent = httpx2.post(f"{http}/message:send", json=message, headers=VERSION).json()
            called = httpx2.post(rpc, json=body, headers=VERSION).json()["result"]
            for made in sent, called:
                assert ("message" in made) is (kind is None)
                if kind is not None:
                    assert [*made["task"]["artifacts"][0]["parts"][0]] == [kind]


# --- the official SDK ---------------------------------------------------------------------------------


class Official:
    """The official SDK: its types, its errors, and a client of the emulator."""

    def __init__(self, api: str, emulator: Emulator, *, streaming: bool = False) -> None:
        protocol = {"a2a": "HTTP+JSON", "a2a-jsonrpc": "JSONRPC"}[api]
        self.types: Any = import_module("a2a.types.a2a_pb2")
        self.errors: Any = import_module("a2a.utils.errors")
        sdk: Any = import_module("a2a.client")
        url = emulator.base_url
        card = self.types.AgentCard(
            name="agent",
            version="1",
            supported_interfaces=[
                self.types.AgentInterface(url=url, protocol_binding=protocol, protocol_version="1.0")
            ],
            capabilities=self.types.AgentCapabilities(streaming=True, push_notifications=True),
        )
        config = sdk.ClientConfig(streaming=streaming, polling=not streaming, supported_protocol_bindings=[protocol])
        self.client: Any = sdk.ClientFactory(config).create(card)

    def send(self, text: str, **more: Any) -> Any:
        """Send a message, and return what the client yields."""
        types = self.types
        said = types.Message(message_id=text, role=types.ROLE_USER, parts=[types.Part(text=text)], **more)
        settings = types.SendMessageConfiguration(return_immediately=True)
        return self.client.send_message(types.SendMessageRequest(message=said, configuration=settings))


@pytest.mark.heavy
@ON_BOTH
def test_official_client_runs_every_call_about_tasks(api: str, emulator: Emulator) -> None:
    async def use() -> None:
        official = Official(api, emulator)
        a2a, errors, client = official.types, official.errors, official.client
        (created,) = [each.task async for each in official.send("Book a flight")]
        assert created.status.state == a2a.TASK_STATE_SUBMITTED
        emulator.fire(created.id, "ask")
        (answered,) = [each.task async for each in official.send("Lisbon", task_id=created.id)]
        assert (answered.id, answered.status.state) == (created.id, a2a.TASK_STATE_WORKING)
        read = await client.get_task(a2a.GetTaskRequest(id=created.id))
        assert read.context_id == created.context_id
        listed = await client.list_tasks(a2a.ListTasksRequest(status=a2a.TASK_STATE_WORKING, page_size=5))
        assert [task.id for task in listed.tasks] == [created.id]
        canceled = await client.cancel_task(a2a.CancelTaskRequest(id=created.id))
        assert canceled.status.state == a2a.TASK_STATE_CANCELED
        with pytest.raises(errors.TaskNotCancelableError):
            await client.cancel_task(a2a.CancelTaskRequest(id=created.id))
        with pytest.raises(errors.TaskNotFoundError):
            await client.get_task(a2a.GetTaskRequest(id="nobody"))
        with pytest.raises(errors.UnsupportedOperationError):
            await official.send("more", task_id=created.id).__anext__()
        await client.close()

    asyncio.run(use())


@pytest.mark.heavy
def test_official_client_configures_push_notifications(api: str, emulator: Emulator) -> None:
    async def use() -> None:
        official = Official(api, emulator)
        a2a, client = official.types, official.client
        (created,) = [each.task async for each in official.send("Book a flight")]
        config = a2a.TaskPushNotificationConfig(id="c", task_id=created.id, url="http://127.0.0.1:9/hook")
        config.authentication.CopyFrom(a2a.AuthenticationInfo(scheme="Bearer", credentials="secret"))
        assert await client.create_task_push_notification_config(config) == config
        named = {"task_id": created.id, "id": "c"}
        got = await client.get_task_push_notification_config(a2a.GetTaskPushNotificationConfigRequest(**named))
        assert got == config
        of_task = a2a.ListTaskPushNotificationConfigsRequest(task_id=created.id)
        assert [*(await client.list_task_push_notification_configs(of_task)).configs] == [config]
        await client.delete_task_push_notification_config(a2a.DeleteTaskPushNotificationConfigRequest(**named))
        assert not (await client.list_task_push_notification_configs(of_task)).configs
        await client.close()

    asyncio.run(use())


@pytest.mark.heavy
@ON_BOTH
def test_official_client_follows_streams(api: str, emulator: Emulator) -> None:
    async def use() -> None:
        official = Official(api, emulator, streaming=True)
        a2a, errors, client = official.types, official.errors, official.client

        updates = official.send("Book a flight")
        task_id = (await anext(updates)).task.id
        emulator.fire(task_id, "ask")
        assert [each.status_update.status.state async for each in updates] == [a2a.TASK_STATE_INPUT_REQUIRED]

        updates = official.send("Lisbon", task_id=task_id)
        assert (await anext(updates)).task.status.state == a2a.TASK_STATE_WORKING
        further = client.subscribe(a2a.SubscribeToTaskRequest(id=task_id))
        assert (await anext(further)).task.status.state == a2a.TASK_STATE_WORKING
        emulator.fire(task_id, "complete")
        for each in (updates, further):  # "MUST be broadcast to all active streams"
            assert [update.status_update.status.state async for update in each] == [a2a.TASK_STATE_COMPLETED]

        for refused in (
            official.send("more", task_id=task_id),
            client.subscribe(a2a.SubscribeToTaskRequest(id=task_id)),
        ):
            with pytest.raises(errors.UnsupportedOperationError):
                await anext(refused)
        await client.close()

    asyncio.run(use())


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    """The base URL of an agent made with the official SDK."""
    with sdk_server("tests.support.a2a_agent") as base_url:
        yield base_url


@pytest.mark.heavy
@ON_BOTH
def test_official_agent_is_governed(api: str, agent: str, tmp_path: Path) -> None:
    base_url = {"a2a": agent, "a2a-jsonrpc": f"{agent}/rpc"}[api]
    with (
        SqlJournal(tmp_path / "tasks.db") as journal,
        Client(api, base_url=base_url, timing=Timing(poll_s=0.05), journal=journal) as client,
    ):
        done = client.create(parts=[{"text": "Book a flight"}]).wait("final")
        assert done.state == A2AState.COMPLETED
        assert [part["text"] for each in done.output for part in each["parts"]] == ["done"]

        asked = client.create(parts=[{"text": "ask"}])
        assert asked.wait("settled").state == A2AState.INPUT_REQUIRED
        asked.answer([{"text": "Lisbon"}])
        assert asked.wait("final").state == A2AState.COMPLETED

        long = client.create(parts=[{"text": "long"}])
        assert long.cancel().state == A2AState.CANCELED
        assert not long.cancel().sent
        with pytest.raises(IllegalTransition):
            long.answer(PARTS)
        deaf = client.create(parts=[{"text": "deaf"}])
        with pytest.raises(TaskEndedFirst):
            deaf.cancel()

        assert {task.id for task in client.list(pageSize=2)} >= {asked.id, long.id}
        with pytest.raises(NotFound):
            client.task("nobody").status()
