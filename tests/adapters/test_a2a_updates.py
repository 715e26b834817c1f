"""What A2A agents push: notifications to a webhook, which are a faster channel for what a read shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from lifecycle import MemoryJournal
from lifecycle.catalog import A2AState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import A2A_TOKEN, AsyncClient, Client, NotFound, StatusUpdate, Timing, TokenScheme
from lifecycle_adapters.http import BEARER as BEARER_SCHEME
from lifecycle_adapters.services import service
from lifecycle_adapters.watch import Change, Event, Pace, Watcher
from lifecycle_adapters.webhooks import BadBody, DeliveryOutcome, Webhooks, parse
from tests.adapters.emulator.requests import settled, until
from tests.support.sdk_servers import sdk_server
from tests.support.serving import served

PARTS = [{"text": "Book a flight"}]
QUICK = Timing(poll_s=0.02, settle_timeout_s=0.3)
TOKEN = "secure-client-token-for-task-aaa"
BEARER = {"scheme": "Bearer", "credentials": TOKEN}

# --- what an update reports ---------------------------------------------------------------------------

STATUS = {"state": "TASK_STATE_COMPLETED", "timestamp": "2024-03-15T18:30:00Z"}
AT = datetime(2024, 3, 15, 18, 30, tzinfo=UTC)


def parsed(document: dict[str, Any]) -> StatusUpdate | None:
    webhooks = service("a2a").webhooks
    assert webhooks is not None
    return parse(json.dumps(document).encode(), webhooks).update


@pytest.mark.parametrize(
    "document",
    [
        {"statusUpdate": {"taskId": "t7", "contextId": "c", "status": STATUS}},  # 6.6
        {"task": {"id": "t7", "contextId": "c", "status": STATUS, "artifacts": []}},
    ],
)
def test_task_and_status_update_report_a_status(document: dict[str, Any]) -> None:
    assert parsed(document) == StatusUpdate("t7", "TASK_STATE_COMPLETED", AT)


@pytest.mark.parametrize("kind", ["message", "artifactUpdate"])
def test_message_and_artifact_report_no_status(kind: str) -> None:
    assert parsed({kind: {"taskId": "t7", "status": STATUS}}) is None


@pytest.mark.parametrize(
    "update",
    [
        None,
        {},
        {"taskId": "t7"},
        {"status": STATUS},
        {"taskId": 7, "status": STATUS},
        {"taskId": "t7", "status": {"state": 3}},
    ],
)
def test_update_without_task_or_status_is_refused(update: Any) -> None:
    with pytest.raises(BadBody):
        parsed({"statusUpdate": update})


@pytest.mark.parametrize("time", ['"yesterday"', '"0000-00-00"', "1710527400", "1e400"])
def test_update_with_another_time_is_refused_because_of_it(time: str) -> None:
    webhooks = service("a2a").webhooks
    assert webhooks is not None
    body = f'{{"statusUpdate": {{"taskId": "t7", "status": {{"state": "x", "timestamp": {time}}}}}}}'
    with pytest.raises(BadBody, match=r"^'status.timestamp' is not a date and time$"):
        parse(body.encode(), webhooks)


# --- push notifications -------------------------------------------------------------------------------


class Receiver:
    """An application that passes deliveries to the current test's `Webhooks`, because a server starts slowly."""

    def __init__(self) -> None:
        self.webhooks: Webhooks | None = None
        self.reported: list[tuple[str, str]] = []

    def begin(self, binding: Any = "a2a", journal: MemoryJournal | None = None) -> MemoryJournal:
        """Receive with a new journal, and forget what was reported."""
        journal = MemoryJournal() if journal is None else journal
        reported: list[tuple[str, str]] = []
        self.reported = reported
        self.webhooks = Webhooks(
            binding,
            secret=TOKEN,
            journal=journal,
            on_report=lambda task_id, entry: reported.append((task_id, str(entry.report.status))),
        )
        return journal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.webhooks is None:
            self.begin()
        assert self.webhooks is not None
        await self.webhooks(scope, receive, send)


@pytest.fixture(scope="module")
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(scope="module")
def url(receiver: Receiver) -> Iterator[str]:
    with served(receiver) as url:
        yield url


@pytest.fixture(scope="module")
def _running() -> Iterator[Emulator]:
    with Emulator("a2a", manual=True) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client[Any, Any]]:
    with Client("a2a", base_url=emulator.base_url, timing=QUICK) as client:
        yield client


def test_configured_notifications_report_each_change(
    emulator: Emulator, client: Client[Any, Any], receiver: Receiver, url: str
) -> None:
    journal = receiver.begin()
    task = client.create(parts=PARTS)

    task.call("create_push_config", url=url, authentication=BEARER)
    for event in ("work", "complete"):
        emulator.fire(task.id, event)
    settled(emulator)

    assert receiver.reported == [(task.id, "TASK_STATE_WORKING"), (task.id, "TASK_STATE_COMPLETED")]
    assert journal.task(service("a2a").lifecycle, task.id).load().state == A2AState.COMPLETED


def test_token_of_a_configuration_is_verified_as_well(
    emulator: Emulator, client: Client[Any, Any], receiver: Receiver, url: str
) -> None:
    a2a = service("a2a")
    assert a2a.webhooks is not None
    receiver.begin(replace(a2a, webhooks=replace(a2a.webhooks, signature=A2A_TOKEN)))
    genuine, forged = client.create(parts=PARTS), client.create(parts=PARTS)

    genuine.call("create_push_config", url=url, token=TOKEN)
    forged.call("create_push_config", url=url, token=TOKEN[:-1], authentication=BEARER)
    for task in (genuine, forged):
        emulator.fire(task.id, "complete")
    codes = {each.task: each.attempts[0].status_code for each in settled(emulator)}

    assert receiver.reported == [(genuine.id, "TASK_STATE_COMPLETED")]
    assert codes == {genuine.id: 200, forged.id: 401}


def test_configuration_is_found_listed_and_deleted_by_its_id(
    emulator: Emulator, client: Client[Any, Any], receiver: Receiver, url: str
) -> None:
    receiver.begin()
    task = client.create(parts=PARTS)
    made = task.call("create_push_config", url=url, id="a/b", authentication=BEARER)
    other = task.call("create_push_config", url=f"{url}/other", authentication=BEARER)

    assert made == {"id": "a/b", "taskId": task.id, "url": f"{url}/", "authentication": BEARER}
    assert task.call("get_push_config", config_id="a/b") == made
    assert task.call("list_push_configs") == {"configs": [made, other]}
    emulator.fire(task.id, "work")
    assert len(settled(emulator)) == 2

    for _ in range(2):
        assert task.call("delete_push_config", config_id=other["id"]) == {}
    task.call("delete_push_config", config_id="a/b")
    with pytest.raises(NotFound):
        task.call("get_push_config", config_id="a/b")
    emulator.fire(task.id, "complete")
    assert len(settled(emulator)) == 2


def test_field_of_a_path_must_be_given_and_fit_into_it(client: Client[Any, Any]) -> None:
    task = client.create(parts=PARTS)
    with pytest.raises(TypeError, match=r"pushNotificationConfigs/\{config_id\} needs config_id"):
        task.call("get_push_config")
    with pytest.raises(ValueError, match=r"no path can carry '\.\.' as config_id"):
        task.call("delete_push_config", config_id="..")


def test_message_can_bring_its_configuration(emulator: Emulator, receiver: Receiver, url: str) -> None:
    """As the specification shows it (6.6)."""
    receiver.begin()
    message = {"role": "ROLE_USER", "parts": PARTS, "messageId": "6dbc13b5"}
    config = {"url": url, "authentication": BEARER}
    body = {
        "message": message,
        "configuration": {"returnImmediately": True, "taskPushNotificationConfig": config},
    }
    task = httpx2.post(f"{emulator.base_url}/message:send", json=body, headers={"A2A-Version": "1.0"}).json()["task"]

    emulator.fire(task["id"], "complete")
    (sent,) = settled(emulator)

    assert receiver.reported == [(task["id"], "TASK_STATE_COMPLETED")]
    assert sent.body["statusUpdate"]["contextId"] == task["contextId"]


@pytest.mark.parametrize(
    ("fault", "reported"),
    [
        ("lost", ["COMPLETED"]),
        ("doubled", ["WORKING", "COMPLETED"]),
        ("out_of_order", ["COMPLETED", "WORKING"]),
        ("late", ["COMPLETED", "WORKING"]),
    ],
)
def test_no_disturbed_notification_changes_the_outcome(
    emulator: Emulator, client: Client[Any, Any], receiver: Receiver, url: str, *, fault: str, reported: list[str]
) -> None:
    journal = receiver.begin()
    task = client.create(parts=PARTS)
    task.call("create_push_config", url=url, authentication=BEARER)
    delay = {"seconds": 0.2} if fault == "late" else {}
    emulator.webhook_fault(fault, task=task.id, **delay)

    for event in ("work", "complete"):
        emulator.fire(task.id, event)
    settled(emulator)

    assert [status.removeprefix("TASK_STATE_") for _, status in receiver.reported] == reported
    assert journal.task(service("a2a").lifecycle, task.id).load().state == A2AState.COMPLETED


def test_replay_is_recognised_by_its_body() -> None:
    journal = MemoryJournal()
    webhooks = Webhooks("a2a", secret=TOKEN, journal=journal)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    deliver: Callable[[str], DeliveryOutcome] = lambda at: (  # noqa: E731
        webhooks.receive(
            json.dumps({"statusUpdate": {"taskId": "t7", "status": {**STATUS, "timestamp": at}}}).encode(), headers
        ).outcome
    )

    outcomes = [deliver(at) for at in ("2024-03-15T18:30:00Z", "2024-03-15T18:30:00Z", "2024-03-15T18:30:01Z")]

    assert outcomes == [DeliveryOutcome.RECORDED, DeliveryOutcome.REPLAYED, DeliveryOutcome.RECORDED]


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    """The base URL of an agent made with the official SDK."""
    with sdk_server("tests.support.a2a_agent") as base_url:
        yield base_url


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("api", "path", "scheme"),
    [("a2a", "", BEARER_SCHEME), ("a2a", "", A2A_TOKEN), ("a2a-jsonrpc", "/rpc", BEARER_SCHEME)],
    ids=["authorization", "token", "json-rpc"],
)
def test_notifications_of_an_official_agent_are_received(
    agent: str, receiver: Receiver, url: str, *, api: str, path: str, scheme: TokenScheme
) -> None:
    """The official SDK can send the token as well as the credentials."""
    a2a = service(api)
    assert a2a.webhooks is not None
    receiver.begin(replace(a2a, webhooks=replace(a2a.webhooks, signature=scheme)))
    with Client(api, base_url=agent + path, timing=QUICK) as client:
        task = client.create(parts=[{"text": "long"}])
        task.call("create_push_config", url=url, token=TOKEN, authentication=BEARER)

        task.cancel()

        until(lambda: bool(receiver.reported))
        assert receiver.reported[-1] == (task.id, "TASK_STATE_CANCELED")


@pytest.mark.heavy
@pytest.mark.parametrize(("api", "path"), [("a2a", ""), ("a2a-jsonrpc", "/rpc")])
def test_stream_of_an_official_agent_is_followed(agent: str, api: str, path: str) -> None:
    async def work() -> list[Event]:
        opened = asyncio.Event()

        async def note(response: httpx2.Response) -> None:
            if "event-stream" in response.headers["content-type"]:
                opened.set()

        rarely = Pace(working_s=60, resting_s=60, longest_s=60)
        async with (
            httpx2.AsyncClient(event_hooks={"response": [note]}) as http,
            AsyncClient(api, base_url=agent + path, http=http) as client,
            Watcher(client, pace=rarely, streams=1) as watcher,
        ):
            task = await client.create(parts=[{"text": "long"}])
            watcher.add(task.id)
            await opened.wait()
            # as another program would: the watcher does not see its response
            await http.post(f"{agent}/tasks/{task.id}:cancel", json={}, headers={"A2A-Version": "1.0"})
            return [each async for each in watcher.changes()]

    *_, last = asyncio.run(work())

    assert isinstance(last, Change)
    assert (last.state, last.channel) == (A2AState.CANCELED, "api")  # read at once: a poll would come a minute later
