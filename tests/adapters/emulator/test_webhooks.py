"""The emulator's webhooks, received by an HTTP server of the standard library."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from lifecycle import DefinitionError, MemoryJournal
from lifecycle_adapters.emulator import Emulator, Webhook
from lifecycle_adapters.http import BROWSER_USE, Client
from lifecycle_adapters.services.browser_use import (
    RUN_WEBHOOKS,
    SESSION_UPDATE,
    SESSION_WEBHOOKS,
    STATUS_UPDATE,
    TASK_WEBHOOKS,
)
from lifecycle_adapters.webhooks import Webhooks, parse, sign, verify
from tests.adapters.emulator.requests import BY_NAME, bring_to, command, connect, create, settled, state, until

SECRET = "a secret of webhooks"
NOT_LATE = ["doubled", "out_of_order", "lost", "cut"]
V1, V2, V3, V4 = (BY_NAME[name] for name in ("v1", "v2", "v3", "v4"))


class Sink:
    """A server that verifies and keeps the messages; it returns each status of `responses` in turn, then 200."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.sent_at: list[datetime] = []
        self.responses: list[int] = []
        self.released = threading.Event()
        self.released.set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert sink.released.wait(30)
                sent_at = verify(body, dict(self.headers), BROWSER_USE, secret=SECRET, now=datetime.now(UTC))
                assert sent_at is not None
                sink.sent_at.append(sent_at)
                sink.bodies.append(json.loads(body))
                self.send_response(sink.responses.pop(0) if sink.responses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def statuses(self, task_id: str) -> list[str]:
        payloads = [each["payload"] for each in self.bodies]
        return [each["status"] for each in payloads if task_id in (each.get("task_id"), each.get("session_id"))]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def sink() -> Iterator[Sink]:
    running = Sink()
    yield running
    running.close()


def test_the_ping_is_sent_first_and_every_change_after_it(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)

    task_id = bring_to(emulator, http, V1, ("start", "pause", "resume", "finish"))

    sent = settled(emulator)
    assert {"type": "test", "payload": {"test": "ok"}}.items() <= sink.bodies[0].items()
    assert sink.statuses(task_id) == ["initializing", "started", "paused", "started", "finished"]
    assert [(each.api, each.task, each.status) for each in sent[:2]] == [
        (None, None, None),
        ("v1", task_id, "initializing"),
    ]
    assert [each.body for each in sent] == sink.bodies
    assert {tuple(attempt.status_code for attempt in each.attempts) for each in sent} == {(200,)}


def test_a_message_has_the_time_of_the_change_and_of_the_sending(
    emulator: Emulator, http: httpx2.Client, sink: Sink
) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)

    task_id = bring_to(emulator, http, V1, ("start",))

    settled(emulator)
    (transition,) = emulator.task(task_id).transitions
    update = parse(json.dumps(sink.bodies[-1]).encode(), TASK_WEBHOOKS).update
    assert update is not None
    assert update.at == transition.at
    assert abs(sink.sent_at[-1] - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("api", "events", "words"),
    [
        ("v2", ("start", "finish"), ["started", "finished"]),
        ("v2", ("start", "stop_task_and_session"), ["started", "stopped"]),  # the session sends nothing
        ("v3", ("start", "complete", "dispatch", "stop"), ["running", "idle", "running", "stopped"]),
    ],
)
def test_each_version_sends_its_own_statuses(
    *, emulator: Emulator, http: httpx2.Client, sink: Sink, api: str, events: tuple[str, ...], words: list[str]
) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)

    task_id = bring_to(emulator, http, BY_NAME[api], events)

    assert len(settled(emulator)) == 1 + len(words)
    assert sink.statuses(task_id) == words


def test_a_message_names_the_session_and_the_metadata(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)

    v2 = create(http, V2, task="Buy milk", metadata={"for": "Ärger"})
    v1 = create(http, V1, task="Buy milk", metadata={"for": "you"})
    for task_id, event in ((v2, "start"), (v1, "start")):
        emulator.fire(task_id, event)

    settled(emulator)
    payloads = {each["payload"]["task_id"]: each["payload"] for each in sink.bodies[1:]}
    assert payloads[v2] | {"status": ""} == {
        "task_id": v2, "session_id": emulator.task(v2).session, "status": "", "metadata": {"for": "Ärger"},
    }  # fmt: skip
    assert (payloads[v1]["session_id"], payloads[v1]["metadata"]) == (v1, {"for": "you"})


def test_a_v3_session_sends_the_update_of_a_session(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    """Webhooks (September 2026): `session.status.update` with `{session_id, status, output?, metadata?}`."""
    emulator.set_webhook(sink.url, secret=SECRET)
    session_id = bring_to(emulator, http, V3, ("start", "complete"))

    settled(emulator)
    assert {each["type"] for each in sink.bodies[1:]} == {"session.status.update"}
    assert [each["payload"] for each in sink.bodies[1:]] == [
        {"session_id": session_id, "status": "running"},
        {"session_id": session_id, "status": "idle", "output": "Done: Buy milk (task 1 of this session)"},
    ]


def test_a_v4_run_sends_the_update_of_its_session(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    """Webhooks (September 2026), as above; SessionInfo: the session's status is that of its "most recent run"."""
    emulator.set_webhook(sink.url, secret=SECRET)
    run_id = bring_to(emulator, http, V4, ("dispatch", "start", "complete"))

    settled(emulator)
    session_id = http.get(f"/api/v4/runs/{run_id}").json()["sessionId"]
    assert {each["type"] for each in sink.bodies[1:]} == {"session.status.update"}
    assert [each["payload"] for each in sink.bodies[1:]] == [
        {"session_id": session_id, "status": "dispatching"},
        {"session_id": session_id, "status": "running"},
        {"session_id": session_id, "status": "completed", "output": "Done: Buy milk"},
    ]


@pytest.mark.parametrize("kind", [STATUS_UPDATE, SESSION_UPDATE])
def test_both_kinds_of_event_report_the_status_of_a_v3_session(kind: str) -> None:
    document = {"type": kind, "timestamp": "2026-09-30T10:00:00Z", "payload": {"session_id": "s", "status": "idle"}}
    update = parse(json.dumps(document).encode(), SESSION_WEBHOOKS).update
    assert update is not None
    assert (update.task_id, update.status) == ("s", "idle")


def test_session_update_is_not_recorded_as_a_report_of_a_v4_run() -> None:
    payload = {"session_id": "s", "status": "running"}
    document = {"type": SESSION_UPDATE, "timestamp": "2026-09-30T10:00:00Z", "payload": payload}
    event = parse(json.dumps(document).encode(), RUN_WEBHOOKS)
    assert (event.update, event.session_id) == (None, "s")
    assert parse(json.dumps({**document, "type": "another.kind"}).encode(), RUN_WEBHOOKS).session_id is None


def test_a_late_update_of_a_session_is_not_taken_for_its_next_run(emulator: Emulator, sink: Sink) -> None:
    journal = MemoryJournal()
    with Client("v4", api_key="any", base_url=emulator.base_url, journal=journal) as client:

        def read_latest(session_id: str) -> None:
            read.append((latest := client.session(session_id).latest()).id)
            latest.status()

        read: list[str] = []
        webhooks = Webhooks("v4", secret=SECRET, journal=journal, on_session=read_latest)
        emulator.set_webhook(sink.url, secret=SECRET)
        first = client.create("buy milk")
        for event in ("dispatch", "start", "complete"):
            emulator.fire(first.id, event)
        second = client.create("buy bread", sessionId=first.session().id)
        emulator.fire(second.id, "dispatch")
        settled(emulator)

        for body in reversed(sink.bodies[1:]):  # the last one to arrive says that the session is dispatching
            content = json.dumps(body).encode()
            received = webhooks.receive(content, sign(content, BROWSER_USE, secret=SECRET, sent_at=datetime.now(UTC)))
            assert (received.outcome, received.task_id) == ("noted", None)
        logs = [journal.task(client.lifecycle, each.id).load() for each in (first, second)]

    assert read == [second.id] * 4
    assert [log.current for log in logs] == ["queued", "dispatching"]  # of the first run, only its create is known


def test_a_binding_says_which_deliveries_name_only_a_session() -> None:
    for fields, match in (
        ({"session_field": "session"}, "session_kinds: must be given, since there is `session_field`"),
        ({"session_kinds": ("s",)}, "session_field: must be given, since there is `session_kinds`"),
        ({"session_field": "session", "session_kinds": (STATUS_UPDATE,)}, "session_kinds: .* is one of `kinds`, too"),
        ({"session_field": "session", "session_kinds": ("s",), "kinds": ()}, "kinds: must be given"),
        ({"kind_field": None, "kinds": (), "session_field": "s", "session_kinds": ("s",)}, "`session_kinds`"),
    ):
        with pytest.raises(DefinitionError, match=match):
            replace(TASK_WEBHOOKS, **fields)
    with pytest.raises(ValueError, match="'v2' has no deliveries that name only a session"):
        Webhooks("v2", secret=SECRET, journal=MemoryJournal(), on_session=print)


def test_no_message_is_sent_without_a_webhook(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    create(http, V1)
    assert emulator.webhooks() == []

    emulator.set_webhook(sink.url, secret=SECRET)
    settled(emulator)
    emulator.clear_webhook()
    create(http, V1)

    assert len(emulator.webhooks()) == len(sink.bodies) == 1  # the ping


def test_the_service_does_not_wait_for_the_receiver(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    sink.released.clear()
    emulator.set_webhook(sink.url, secret=SECRET)

    task_id = bring_to(emulator, http, V1, ("start", "finish"))

    assert state(http, V1, task_id) == "finished"
    assert sink.bodies == []
    sink.released.set()
    settled(emulator)
    assert sink.statuses(task_id) == ["initializing", "started", "finished"]


def test_a_scripted_transition_is_sent_without_any_read(sink: Sink) -> None:
    with Emulator(pace_s=0.02) as emulator, connect(emulator) as http:
        emulator.set_webhook(sink.url, secret=SECRET)
        task_id = create(http, V1)

        until(lambda: sink.statuses(task_id) == ["initializing", "started", "finished"])


def test_transitions_due_while_the_clock_is_advanced_are_sent(sink: Sink) -> None:
    with Emulator(pace_s=1000) as emulator, connect(emulator) as http:
        task_id = create(http, V2)  # before a webhook is set
        emulator.set_webhook(sink.url, secret=SECRET)

        emulator.advance(1000)
        until(lambda: sink.statuses(task_id) == ["started"])
        emulator.advance(999.95)
        until(lambda: sink.statuses(task_id) == ["started", "finished"])


def test_a_message_is_sent_again_until_it_is_accepted(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    sink.responses = [200, 500, 302, 204]  # the first is for the ping
    emulator.set_webhook(sink.url, secret=SECRET, retry_after_s=(0, 0.01, 0, 0))
    until(lambda: len(sink.bodies) == 1)

    task_id = create(http, V1)

    sent = settled(emulator)[-1]
    assert [attempt.status_code for attempt in sent.attempts] == [500, 302, 204]
    assert sink.statuses(task_id) == ["initializing"] * 3


def test_after_the_last_retry_the_next_message_is_sent(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    sink.responses = [200, 500, 500]
    emulator.set_webhook(sink.url, secret=SECRET, retry_after_s=[0])
    until(lambda: len(sink.bodies) == 1)

    task_id = bring_to(emulator, http, V1, ("start",))

    assert [[attempt.status_code for attempt in each.attempts] for each in settled(emulator)] == [
        [200], [500, 500], [200],
    ]  # fmt: skip
    assert sink.statuses(task_id) == ["initializing", "initializing", "started"]


def test_a_refused_connection_is_recorded(emulator: Emulator, sink: Sink) -> None:
    sink.close()

    emulator.set_webhook(sink.url, secret=SECRET, retry_after_s=[0])

    (ping,) = settled(emulator)
    assert [(each.status_code, each.error) for each in ping.attempts] == [(None, "ConnectError")] * 2


ODD_RESPONSES = {
    "a redirect": b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "a redirect to no URL": b"HTTP/1.1 302 X\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    "a redirect to a bad host": b"HTTP/1.1 302 X\r\nLocation: http://\xff..\xff/\r\nContent-Length: 0\r\n\r\n",
    "no gzip": b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "endless": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + b"FFFF\r\n%s\r\n" % (b"x" * 0xFFFF) * 100,
    "no http": b"nonsense\r\n\r\n",
}


@pytest.mark.parametrize("response", ODD_RESPONSES.values(), ids=ODD_RESPONSES)
def test_any_response_of_a_receiver_is_recorded_as_an_attempt(emulator: Emulator, response: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                with suppress(OSError):  # the test closed the socket, or the sender disconnected
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(response)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        emulator.set_webhook(f"http://127.0.0.1:{server.getsockname()[1]}/", secret=SECRET, retry_after_s=[0])
        (ping,) = settled(emulator)
    for attempt in ping.attempts:
        assert (attempt.status_code is None) is (attempt.error is not None)
    is_taken = ping.attempts[0].status_code == 200
    assert len(ping.attempts) == (1 if is_taken else 2)


def test_a_url_that_cannot_be_requested_is_recorded_as_an_attempt(emulator: Emulator) -> None:
    emulator.set_webhook("http://a..b/", secret=SECRET, retry_after_s=[0])

    (ping,) = settled(emulator)
    assert all(attempt.error for attempt in ping.attempts)


def test_a_lost_message_is_not_sent(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)
    emulator.webhook_fault("lost", status="started")

    task_id = bring_to(emulator, http, V1, ("start", "finish"))

    sent = settled(emulator)
    assert sink.statuses(task_id) == ["initializing", "finished"]
    assert [(each.fault, len(each.attempts)) for each in sent] == [(None, 1), (None, 1), ("lost", 0), (None, 1)]


def test_a_doubled_message_is_sent_twice(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)
    other, task_id = create(http, V1), create(http, V1)
    emulator.webhook_fault("doubled", task=task_id, times=2)

    for event in ("start", "finish"):
        for each in (other, task_id):
            emulator.fire(each, event)

    settled(emulator)
    assert sink.statuses(task_id) == ["initializing", "started", "started", "finished", "finished"]
    assert sink.statuses(other) == ["initializing", "started", "finished"]


def test_a_late_message_arrives_after_later_ones_with_its_original_time(
    emulator: Emulator, http: httpx2.Client, sink: Sink
) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)
    emulator.webhook_fault("late", status="started", seconds=0.5)

    task_id = bring_to(emulator, http, V1, ("start", "finish"))

    settled(emulator)
    assert sink.statuses(task_id) == ["initializing", "finished", "started"]
    at = [each["timestamp"] for each in sink.bodies[1:]]
    assert at[2] < at[1]


def test_out_of_order_swaps_two_messages(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)
    emulator.webhook_fault("out_of_order", times=2)

    task_id = bring_to(emulator, http, V1, ("start", "pause", "resume"))

    sent = settled(emulator)
    assert sink.statuses(task_id) == ["started", "initializing", "started", "paused"]
    assert [each.fault for each in sent] == [None, "out_of_order", None, "out_of_order", None]
    command(http, V1, "stop", task_id)
    settled(emulator)
    assert sink.statuses(task_id)[4:] == ["stopped"]


def test_control_calls_set_webhooks_and_faults(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    assert http.get("/_emulator/webhook").json() is None

    given = http.put("/_emulator/webhook", json={"url": sink.url, "secret": SECRET, "retry_after_s": [0]})
    armed = http.post("/_emulator/webhook/faults", json={"kind": "doubled", "status": "initializing"})
    task_id = create(http, V1)
    settled(emulator)

    assert (given.status_code, armed.status_code) == (200, 201)
    shown = {"url": sink.url, "retry_after_s": [0.0]}
    assert given.json() == http.get("/_emulator/webhook").json() == shown
    assert http.get("/_emulator/webhook/faults").json() == []
    sent = http.get("/_emulator/webhook/messages").json()
    assert [(each["task"], each["fault"], len(each["attempts"])) for each in sent] == [
        (None, None, 1),
        (task_id, "doubled", 2),
    ]
    http.post("/_emulator/webhook/faults", json={"kind": "lost"})
    assert http.delete("/_emulator/webhook/faults").status_code == 204
    assert http.get("/_emulator/webhook/faults").json() == []
    assert http.delete("/_emulator/webhook").status_code == 204
    assert http.get("/_emulator/webhook").json() is None


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "file:///etc/passwd", "secret": SECRET},
        {"url": "http://127.0.0.1/", "secret": ""},
        {"url": "http://127.0.0.1/"},
        {"url": "http://127.0.0.1/", "secret": SECRET, "retry_after_s": [-1]},
    ],
)
def test_an_invalid_webhook_is_refused(emulator: Emulator, http: httpx2.Client, bad: dict[str, Any]) -> None:
    response = http.put("/_emulator/webhook", json=bad)

    assert response.status_code == 422
    assert emulator.webhooks() == []


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("late", {}, "a fault of the kind late needs seconds, more than 0"),
        ("late", {"seconds": 0}, "a fault of the kind late needs seconds, more than 0"),
        *((kind, {"seconds": 1}, f"a fault of the kind {kind} does not use seconds") for kind in NOT_LATE),
        ("cut", {}, "only a stream can be cut, and the emulator has none with this api and channel"),  # v1 to v4
    ],
)
def test_webhook_fault_without_effect_is_refused(
    emulator: Emulator, http: httpx2.Client, kind: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        emulator.webhook_fault(kind, **fields)
    response = http.post("/_emulator/webhook/faults", json={"kind": kind, **fields})
    assert (response.status_code, response.json()["detail"][0]["msg"]) == (422, message)
    assert emulator.webhook_faults() == []


def test_only_the_channel_of_a_stream_can_be_cut() -> None:
    with Emulator("a2a", manual=True) as emulator:
        for fields in ({}, {"channel": "stream"}, {"api": "a2a"}):
            emulator.webhook_fault("cut", **fields)
        with pytest.raises(ValueError, match="only a stream can be cut"):
            emulator.webhook_fault("cut", channel="webhook")


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("doubeld", {}, "unknown kind of fault 'doubeld'; did you mean 'doubled'?"),
        ("lost", {"status": "startd"}, "unknown status 'startd'; did you mean 'started'?"),
        ("lost", {"api": "v2", "status": "initializing"}, "emulator, v2: unknown status 'initializing'"),
    ],
)
def test_an_unknown_name_in_a_webhook_fault_is_refused_with_a_suggestion(
    emulator: Emulator, http: httpx2.Client, kind: str, fields: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        emulator.webhook_fault(kind, **fields)
    assert http.post("/_emulator/webhook/faults", json={"kind": kind, **fields}).status_code == 422
    assert http.get("/_emulator/webhook/faults").json() == []


@pytest.mark.parametrize("secret", [SECRET.encode(), [SECRET], {"a": SECRET}], ids=lambda value: type(value).__name__)
def test_an_invalid_secret_is_not_shown(emulator: Emulator, secret: Any) -> None:
    with pytest.raises(ValueError, match="retry_after_s") as refused:
        emulator.set_webhook("http://localhost", secret=secret, retry_after_s=["x"])
    assert SECRET not in str(refused.value)


def test_the_secret_is_not_shown(emulator: Emulator, http: httpx2.Client, sink: Sink) -> None:
    emulator.set_webhook(sink.url, secret=SECRET)
    create(http, V1)
    settled(emulator)

    for path in ("/_emulator/webhook", "/_emulator/webhook/messages", "/_emulator/calls"):
        assert SECRET not in http.get(path).text
    assert SECRET not in repr(Webhook.model_validate({"url": sink.url, "secret": SECRET}))


def test_reset_removes_messages_and_faults_and_restores_the_first_webhook(sink: Sink) -> None:
    webhook = Webhook.model_validate({"url": sink.url, "secret": SECRET})
    with Emulator(manual=True, webhook=webhook) as emulator, connect(emulator) as http:
        assert len(settled(emulator)) == 1
        emulator.webhook_fault("out_of_order")
        held = create(http, V1)
        emulator.clear_webhook()

        emulator.reset()

        assert emulator.webhooks() == []
        task_id = create(http, V1)
        settled(emulator)
        assert (sink.statuses(held), sink.statuses(task_id)) == ([], ["initializing"])


def test_stop_does_not_wait_for_messages_and_a_restart_sends_again(sink: Sink) -> None:
    emulator = Emulator(manual=True)
    begun_s = time.monotonic()
    with emulator, connect(emulator) as http:
        emulator.set_webhook(sink.url, secret=SECRET)
        settled(emulator)
        emulator.webhook_fault("late", seconds=600)
        sink.released.clear()
        late = create(http, V1)
        hanging = create(http, V1)
    assert time.monotonic() - begun_s < 10
    sink.released.set()

    with emulator:
        emulator.fire(late, "start")
        until(lambda: sink.statuses(late) == ["started"])
        cancelled = {each.task for each in emulator.webhooks() if not each.is_over}
    assert cancelled == {late, hanging}


@pytest.mark.parametrize("user", ["u:pw", "u", ":pw"])
def test_a_webhooks_url_with_a_user_or_a_password_is_refused(emulator: Emulator, user: str) -> None:
    with pytest.raises(ValueError, match=r"url: .*must hold no user and no password") as refused:
        emulator.set_webhook(f"http://{user}@127.0.0.1:9/", secret=SECRET)

    assert "pw" not in str(refused.value)
    assert emulator.webhook() is None
