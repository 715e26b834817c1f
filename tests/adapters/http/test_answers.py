"""Every response leads to a documented error or a documented retry, over a real connection, with both clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from lifecycle import (
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    CreateUncertain,
    IllegalTransition,
    TaskEndedFirst,
    UnknownName,
    UnknownStatus,
    get,
)
from lifecycle.catalog import V1
from lifecycle.journal import CommandEntry, Report, TaskJournal
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import (
    FieldError,
    Forbidden,
    HttpError,
    InvalidResponse,
    NoResponse,
    NotConnected,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    Unauthorized,
)
from tests.adapters.http.both import QUICK
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen, by_path, in_turn, refused_port
from tests.lifecycle.drivers import clock

IMPATIENT = replace(QUICK, request_timeout_s=0.4)
OUT_OF_TIME = 1.5  # seconds; longer than IMPATIENT waits


@dataclass
class V1Service:
    """One v1 task. Each planned command gets its response, and takes effect or does not; later ones succeed."""

    state: str = "running"
    plan: list[tuple[Reply, bool]] = field(default_factory=list[tuple[Reply, bool]])

    def __call__(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(body=self.state)
        reply, happens = self.plan.pop(0) if self.plan else (Reply(), True)
        if happens:
            command = seen.path.removeprefix("/api/v1/").removesuffix("-task")
            self.state = get("v1-full").step(self.state, command)
        return reply


def lives(journal: TaskJournal[Any, Any]) -> list[tuple[str, int, str]]:
    """Each recorded command as (command, attempts, state), oldest first."""
    entries = cast("MemoryTaskJournal[str, str]", journal).entries
    last = {entry.record.id: entry.record for entry in entries if isinstance(entry, CommandEntry)}
    return [(record.command, record.attempts, record.state) for record in last.values()]


STOP = "PUT /api/v1/stop-task?task_id=t"
PAUSE = "PUT /api/v1/pause-task?task_id=t"

NO_USE = {
    "408": Reply(status=408),
    "500": Reply(status=500, body={"detail": "Internal Server Error"}),
    "502 html": Reply(status=502, body=b"<html>Bad gateway</html>"),
    "503 nothing": Reply(status=503, body=b""),
    "504": Reply(status=504),
    "999": Reply(status=999),
    "html": Reply(body=b"<!doctype html><title>Sign in to the network</title>"),
    "truncated": Reply(body=b'{"status": "sto'),
    "not unicode": Reply(body=b'"\xff\xfe"'),
    "deep": Reply(body=b"[" * 100_000),
    "not compressed": Reply(body=b"abc", headers={"Content-Encoding": "gzip"}),
    "no http": Reply(raw=b"\x00\x01 nonsense\r\n\r\n"),
    "cut short": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"),
    "no length": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    "endless header": Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000),
    "reset": Reply(drops=True),
    "hung up": Reply(raw=b""),
}
no_use = pytest.mark.parametrize("reply", NO_USE.values(), ids=NO_USE)

# --- commands whose response is unusable --------------------------------------------------------


@no_use
def test_command_without_effect_is_sent_again(connect: Connect, serve: Serve, reply: Reply) -> None:
    server = serve(V1Service(plan=[(reply, False)]))
    task = connect("v1", server.base_url).task("t")
    result = task.stop()
    assert (result.command, result.state, result.sent) == ("stop", "stopped", True)
    assert server.commands == [STOP, STOP]
    assert lives(task.journal) == [("stop", 2, "done")]


@no_use
def test_command_that_took_effect_is_not_sent_again(connect: Connect, serve: Serve, reply: Reply) -> None:
    server = serve(V1Service(plan=[(reply, True)]))
    task = connect("v1", server.base_url).task("t")
    assert task.pause().state == "paused"
    assert server.commands == [PAUSE]
    assert lives(task.journal) == [("pause", 1, "done")]


@pytest.mark.parametrize("happens", [False, True])
def test_a_response_that_takes_too_long_is_settled_by_a_read(connect: Connect, serve: Serve, happens: bool) -> None:
    server = serve(V1Service(plan=[(Reply(delay_s=OUT_OF_TIME), happens)]))
    task = connect("v1", server.base_url, timing=IMPATIENT).task("t")
    assert task.stop().state == "stopped"
    assert server.commands == [STOP] * (1 if happens else 2)


def test_a_request_that_arrives_late_finds_its_work_done(connect: Connect, emulator: Emulator) -> None:
    task = connect("v1", emulator.base_url, timing=IMPATIENT).create("buy milk")
    emulator.fire(task.id, "start")
    emulator.fault("delay", seconds=OUT_OF_TIME, command="pause")
    assert task.pause().state == "paused"
    assert lives(task.journal) == [("pause", 2, "done")]
    time.sleep(OUT_OF_TIME)
    late, repeated = [call for call in emulator.calls() if call.command]
    assert (late.applied, repeated.applied) == (False, True)
    assert task.status() == "paused"


def test_uncertain_command_stays_open_until_the_service_responds(connect: Connect, serve: Serve) -> None:
    service = V1Service(plan=[(Reply(status=500), False)] * (QUICK.attempts + 1))
    server = serve(service)
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(CommandUncertain, match="whether 'pause' took effect is not known") as raised:
        task.pause()
    assert isinstance(raised.value.__cause__, ServerError)
    assert (raised.value.task, raised.value.command, raised.value.state) == ("t", "pause", "running")
    assert len(server.commands) == QUICK.attempts + 1
    assert lives(task.journal) == [("pause", QUICK.attempts + 1, "uncertain")]
    with pytest.raises(CommandInFlight):
        task.pause()
    recovered = task.recover()
    assert recovered is not None
    assert (recovered.command, recovered.state) == ("pause", "paused")
    assert lives(task.journal) == [("pause", QUICK.attempts + 2, "done")]
    assert task.recover() is None


def test_stop_abandons_an_uncertain_command(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(status=500), False)] * (QUICK.attempts + 1)))
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(CommandUncertain):
        task.pause()
    assert task.stop().state == "stopped"
    assert [state for *_, state in lives(task.journal)] == ["abandoned", "done"]


def test_lost_dispatch_is_never_sent_again(connect: Connect, serve: Serve) -> None:
    idle = Reply(body={"id": "s", "status": "idle"})
    server = serve(by_path({"POST /api/v3/sessions": Reply(drops=True), "GET /api/v3/sessions/s": idle}))
    task = connect("v3", server.base_url).task("s")
    with pytest.raises(CommandUncertain, match="sending it twice is not the same as once"):
        task.dispatch("buy milk")
    assert server.commands == ["POST /api/v3/sessions"]
    with pytest.raises(CommandUncertain):
        task.recover()
    assert server.commands == ["POST /api/v3/sessions"]


def test_task_at_another_final_state_raises_task_ended_first(connect: Connect, serve: Serve) -> None:
    service = V1Service(plan=[(Reply(status=500), False)])
    server = serve(service)
    task = connect("v1", server.base_url).task("t")
    task.status()
    service.state = "finished"
    with pytest.raises(TaskEndedFirst, match="it was 'finished' before 'stop' took effect"):
        task.stop()
    assert server.commands == [STOP]
    assert lives(task.journal) == [("stop", 1, "ended_first")]


# --- commands that are refused ------------------------------------------------------------------

FIELDS = [
    {"loc": ["query", "task_id"], "msg": "field required", "type": "value_error.missing"},
    {"loc": ["path", "task_id"], "msg": "Input should be a valid UUID", "type": "uuid_parsing", "input": "t"},
]


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (Reply(status=400, body={"detail": "Agent session already stopped"}), "Agent session already stopped"),
        (Reply(status=409, body=b"Conflict"), "Conflict"),
        (Reply(status=414, body=b""), "no details given"),
        (Reply(status=422, body={"detail": FIELDS}), "query.task_id: field required; path.task_id: Input should be"),
        (Reply(status=308, headers={"Location": "/elsewhere"}, body=b""), "redirected to /elsewhere"),
        (Reply(status=307, headers={"Location": "http://[nonsense"}, body=b""), "redirected to http://[nonsense"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else "",
)
def test_a_refusal_is_reported_and_recorded(connect: Connect, serve: Serve, reply: Reply, detail: str) -> None:
    server = serve(V1Service(plan=[(reply, False)]))
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(CommandRefused) as raised:
        task.stop()
    assert detail in raised.value.detail
    cause = raised.value.__cause__
    assert isinstance(cause, RequestRejected)
    assert cause.status_code == reply.status
    assert server.calls == ["GET /api/v1/task/t/status", STOP, "GET /api/v1/task/t/status"]
    assert lives(task.journal) == [("stop", 1, "refused")]


def test_a_refusal_names_all_fields(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(status=422, body={"detail": FIELDS}), False)]))
    with pytest.raises(CommandRefused) as raised:
        connect("v1", server.base_url).task("t").stop()
    cause = raised.value.__cause__
    assert isinstance(cause, RequestRejected)
    assert cause.fields == (
        FieldError("query.task_id", "field required", "value_error.missing"),
        FieldError("path.task_id", "Input should be a valid UUID", "uuid_parsing"),
    )


def test_refusal_by_a_task_at_the_target_is_success(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(status=400, body={"detail": "Agent session already stopped"}), True)]))
    task = connect("v1", server.base_url).task("t")
    assert task.stop().state == "stopped"
    assert lives(task.journal) == [("stop", 1, "done")]


@pytest.mark.parametrize(("status", "error"), [(401, Unauthorized), (403, Forbidden)])
def test_401_and_403_are_raised_without_a_read(
    connect: Connect, serve: Serve, status: int, error: type[HttpError]
) -> None:
    server = serve(V1Service(plan=[(Reply(status=status, body={"detail": "no"}), False)]))
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(error, match=rf"^PUT /api/v1/stop-task: HTTP {status}: no$"):
        task.stop()
    assert server.calls == ["GET /api/v1/task/t/status", STOP]
    assert lives(task.journal) == [("stop", 1, "refused")]


@pytest.mark.parametrize("is_found", [True, False])
def test_a_command_that_is_not_found_is_refused_or_the_task_is(connect: Connect, serve: Serve, is_found: bool) -> None:
    """The status shows whether the task exists: a 404 may be about the command alone."""
    gone = Reply(status=404, body={"detail": "Task not found"})
    status = Reply(body="running") if is_found else gone
    replies = {"PUT /api/v1/stop-task": gone, "GET /api/v1/task/t/status": status}
    journal = MemoryJournal()
    log = journal.task(get("v1-full"), "t")
    log.add_report(Report("running", next(clock())))
    task = connect("v1", serve(by_path(replies)).base_url, journal=journal).task("t")

    with pytest.raises(CommandRefused if is_found else NotFound, match="Task not found"):
        task.stop()

    assert lives(task.journal) == [("stop", 1, "refused")]


# --- too many requests --------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"Retry-After": "0"}, {}, {"Retry-After": "soon"}])
def test_429_is_waited_out(connect: Connect, serve: Serve, headers: dict[str, str]) -> None:
    server = serve(V1Service(plan=[(Reply(status=429, headers=headers), False)] * 2))
    task = connect("v1", server.base_url).task("t")
    assert task.stop().state == "stopped"
    assert server.commands == [STOP] * 3
    assert lives(task.journal) == [("stop", 3, "done")]


def test_429_ends_when_the_attempts_are_spent(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(status=429, body={"detail": "slow down"}), False)] * 9))
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(RateLimited, match="HTTP 429: slow down") as raised:
        task.stop()
    assert raised.value.retry_after_s is None
    assert len(server.commands) == QUICK.attempts + 1
    assert lives(task.journal) == [("stop", QUICK.attempts + 1, "refused")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3600"},
        {"Retry-After": "Fri, 02 Jan 2026 04:04:05 GMT", "Date": "Fri, 02 Jan 2026 03:04:05 GMT"},
    ],
    ids=["seconds", "date"],
)
def test_429_with_a_pause_beyond_the_budget_raises_rate_limited(
    connect: Connect, serve: Serve, headers: dict[str, str]
) -> None:
    server = serve(V1Service(plan=[(Reply(status=429, headers=headers), False)]))
    with pytest.raises(RateLimited) as raised:
        connect("v1", server.base_url).task("t").stop()
    assert raised.value.retry_after_s == pytest.approx(3600, abs=2)
    assert server.commands == [STOP]


def test_retry_after_is_waited_for(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(status=429, headers={"Retry-After": "0.3"}), False)]))
    task = connect("v1", server.base_url).task("t")
    task.status()
    begun_s = time.monotonic()
    task.stop()
    assert 0.3 <= time.monotonic() - begun_s < 2.0
    assert server.commands == [STOP] * 2


def test_any_failure_of_a_read_may_ask_for_a_pause(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(Reply(status=503, headers={"Retry-After": "0.3"}), Reply(body="running")))
    begun_s = time.monotonic()
    assert connect("v1", server.base_url).task("t").status() == "running"
    assert time.monotonic() - begun_s >= 0.3


def test_a_pause_that_is_longer_than_the_budget_ends_the_retries(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(status=503, headers={"Retry-After": "60"}))
    with pytest.raises(ServerError) as info:
        connect("v1", server.base_url).task("t").status()
    assert info.value.retry_after_s == 60.0
    assert len(server.seen) == 1


def test_a_response_about_another_task_is_not_recorded(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(says("other", "stopped"), says("s", "running")))
    task = connect("v3", server.base_url).task("s")
    assert task.status() == "running"
    assert len(server.seen) == 2
    assert [entry.report.status for entry in cast("Any", task.journal).entries] == ["running"]


def test_a_response_about_another_task_is_settled_by_a_read(connect: Connect, serve: Serve) -> None:
    idle, other, running = says("s", "idle"), says("other", "stopped"), says("s", "stopped")
    server = serve(by_path({"GET /api/v3/sessions/s": [idle, running], "POST /api/v3/sessions/s/stop": other}))
    assert connect("v3", server.base_url).task("s").stop().state == "stopped"
    assert len(server.seen) == 3


def says(task_id: str, status: str) -> Reply:
    return Reply(body={"id": task_id, "status": status})


# --- no connection ------------------------------------------------------------------------------


def test_a_service_that_is_not_there_is_not_connected(connect: Connect) -> None:
    client = connect("v1", refused_port())
    task = client.task("t")
    for ask in (task.stop, task.status, task.wait, lambda: client.create("x"), lambda: [*client.list()]):
        with pytest.raises(NotConnected):
            ask()


def test_a_command_that_was_never_sent_is_abandoned(connect: Connect) -> None:
    with ScriptedServer(V1Service()).running() as server:
        task = connect("v1", server.base_url).task("t")
        assert task.status() == "running"
    with pytest.raises(NotConnected):
        task.pause()
    assert lives(task.journal) == [("pause", QUICK.attempts + 1, "abandoned")]
    assert task.recover() is None


def test_https_to_a_server_that_speaks_http_is_not_connected(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service())
    with pytest.raises(NotConnected, match="SSL"):
        connect("v1", server.base_url.replace("http:", "https:")).task("t").status()
    assert server.seen == []


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service())
    task = connect("v1", server.base_url).task("t")
    task.status()
    server.hang_up()
    assert task.pause().state == "paused"
    server.hang_up()
    assert task.resume().state == "running"
    assert lives(task.journal) == [("pause", 1, "done"), ("resume", 1, "done")]


# --- reads --------------------------------------------------------------------------------------

READS: dict[str, Callable[[Any], Any]] = {
    "status": lambda client: client.task("t").status(),
    "details": lambda client: client.task("t").details(),
    "allowed": lambda client: client.task("t").allowed(),
    "wait": lambda client: client.task("t").wait(timeout_s=60),
    "list": lambda client: list(client.list()),
    "pause": lambda client: client.task("t").pause(),
}


@no_use
def test_read_without_a_usable_response_raises_a_documented_error(connect: Connect, serve: Serve, reply: Reply) -> None:
    server = serve(lambda _: reply)
    client = connect("v1", server.base_url)
    for ask in READS.values():
        server.seen.clear()
        with pytest.raises((ServerError, InvalidResponse, NoResponse)):
            ask(client)
        assert server.commands == []
        assert len(server.seen) == QUICK.attempts + 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (400, RequestRejected),
        (422, RequestRejected),
        (301, RequestRejected),
    ],
)
def test_a_read_that_is_refused_is_not_repeated(
    connect: Connect, serve: Serve, status: int, error: type[HttpError]
) -> None:
    server = serve(lambda _: Reply(status=status, body={"detail": "no"}))
    client = connect("v1", server.base_url)
    for name, ask in READS.items():
        server.seen.clear()
        with pytest.raises(HttpError, match=f"HTTP {status}: no") as info:
            ask(client)
        assert type(info.value) is (RequestRejected if (name, status) == ("list", 404) else error)
        assert len(server.seen) == 1


@pytest.mark.parametrize("reply", [Reply(status=429), Reply(status=500), Reply(drops=True), Reply(body=b"<html>")])
def test_read_is_repeated_after_a_temporary_failure(connect: Connect, serve: Serve, reply: Reply) -> None:
    def script(seen: Seen) -> Reply:
        if len(server.seen) == 1:
            return reply
        if seen.path.endswith("/status"):
            return Reply(body="paused" if ask is READS["pause"] else "stopped")
        return Reply(body={"id": "t", "status": "stopped", "tasks": [{"id": "t", "status": "stopped"}]})

    server = serve(script)
    client = connect("v1", server.base_url)
    for ask in READS.values():
        server.seen.clear()
        ask(client)
        assert server.calls[0] == server.calls[1]


ODD = {
    "null": b"null",
    "number": b"5",
    "list": b"[]",
    "nothing": b"",
    "object": b"{}",
    "huge number": b"9" * 9_000,
    "list of numbers": b'{"tasks": [1, 2], "status": 7}',
    "word for a list": b'{"tasks": "abc", "status": null}',
    "object for a list": b'{"tasks": {"id": "t"}, "status": []}',
    "task without id": b'{"tasks": [{"status": "running"}]}',
    "task with a bad id": b'{"tasks": [{"id": ".."}]}',
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_json_of_another_shape_is_an_invalid_response(connect: Connect, serve: Serve, content: bytes) -> None:
    server = serve(lambda _: Reply(body=content))
    client = connect("v1", server.base_url)
    for ask in READS.values():
        with pytest.raises(InvalidResponse):
            ask(client)


# --- a status that is not declared --------------------------------------------------------------


def test_an_unknown_status_is_raised_and_nothing_is_sent(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(state="hibernating"))
    task = connect("v1", server.base_url).task("t")
    for ask in (task.status, task.pause, task.allowed):
        with pytest.raises(UnknownStatus, match="'hibernating' is not a status") as raised:
            ask()
        assert raised.value.status == "hibernating"
    assert server.commands == []
    assert task.known_state() is None


def test_an_unknown_status_after_a_command_proves_nothing(connect: Connect, serve: Serve) -> None:
    service = V1Service(plan=[(Reply(), False)])

    def script(seen: Seen) -> Reply:
        reply = service(seen)
        service.state = "hibernating" if seen.method == "PUT" else service.state
        return reply

    server = serve(script)
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(CommandUncertain, match="could not be read in time: v1-full: 'hibernating' is not a status"):
        task.pause()
    assert server.commands == [PAUSE]
    assert lives(task.journal) == [("pause", 1, "uncertain")]


@pytest.mark.parametrize("code", [300, 301, 302, 303, 304])
def test_a_create_that_is_redirected_to_what_it_made_is_uncertain(connect: Connect, serve: Serve, code: int) -> None:
    server = serve(in_turn(Reply(status=code, headers={"Location": "/api/v1/task/made-1"}, body=b"")))

    with pytest.raises(CreateUncertain, match=f"HTTP {code}: redirected to /api/v1/task/made-1"):
        connect("v1", server.base_url).create("buy milk", idempotency_key="order-5")


def test_create_with_a_499_response_is_uncertain(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(Reply(status=499, body=b"")))
    with pytest.raises(CreateUncertain, match="HTTP 499"):
        connect("v1", server.base_url).create("buy milk", idempotency_key="order-5")


@pytest.mark.parametrize("code", [307, 308])
def test_redirected_create_is_rejected(connect: Connect, serve: Serve, code: int) -> None:
    server = serve(in_turn(Reply(status=code, headers={"Location": "https://elsewhere.invalid/"}, body=b"")))
    with pytest.raises(RequestRejected, match=r"redirected to https://elsewhere\.invalid/"):
        connect("v1", server.base_url).create("buy milk", idempotency_key="order-5")


def test_a_status_of_the_full_lifecycle_is_foreign_to_the_base(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(state="finished"))
    with pytest.raises(UnknownStatus, match="v1-full"):
        connect("v1", server.base_url, lifecycle=V1).task("t").status()
    assert connect("v1", server.base_url).task("t").status() == "finished"


# --- creating -----------------------------------------------------------------------------------


@no_use
def test_create_whose_response_is_lost_is_uncertain_and_sent_once(connect: Connect, serve: Serve, reply: Reply) -> None:
    server = serve(lambda _: reply)
    with pytest.raises(CreateUncertain, match="v1-full: whether a task was created is not known") as raised:
        connect("v1", server.base_url).create("buy milk")
    assert isinstance(raised.value.__cause__, HttpError)
    assert server.calls == ["POST /api/v1/run-task"]


@pytest.mark.parametrize("task_id", ["", ".", "..", "\ud800", "x" * 100_000, None, True, 1.5, ["t"], {"id": "t"}])
def test_a_create_that_gives_no_usable_id_is_uncertain(connect: Connect, serve: Serve, task_id: object) -> None:
    server = serve(lambda _: Reply(body={"id": task_id}))
    with pytest.raises(CreateUncertain, match="no id at 'id'"):
        connect("v1", server.base_url).create("buy milk")
    assert server.calls == ["POST /api/v1/run-task"]


def test_a_create_that_is_throttled_is_sent_again(connect: Connect, serve: Serve) -> None:
    server = serve(by_path({"POST /api/v1/run-task": [Reply(status=429), Reply(status=429), Reply(body={"id": "t"})]}))
    task = connect("v1", server.base_url).create("buy milk", llm_model="o3")
    assert (task.id, task.known_state()) == ("t", None)
    assert [seen.json for seen in server.seen] == [{"task": "buy milk", "llm_model": "o3"}] * 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=400, body={"detail": "no"}), RequestRejected),
        (Reply(status=401), Unauthorized),
        (Reply(status=403), Forbidden),
        (Reply(status=404), RequestRejected),
        (Reply(status=422, body={"detail": FIELDS}), RequestRejected),
        (Reply(status=307), RequestRejected),
        (Reply(status=429, headers={"Retry-After": "900"}), RateLimited),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else "",
)
def test_a_create_that_is_refused_is_not_repeated(
    connect: Connect, serve: Serve, reply: Reply, error: type[HttpError]
) -> None:
    server = serve(lambda _: reply)
    with pytest.raises(HttpError) as info:
        connect("v1", server.base_url).create("buy milk")
    assert type(info.value) is error
    assert any("the base URL may be wrong" in note for note in getattr(info.value, "__notes__", ())) == (
        reply.status == 404
    )
    assert server.calls == ["POST /api/v1/run-task"]


# --- proof by a further read --------------------------------------------------------------------


def _v2(session: Reply, *, companion: object) -> Callable[[Seen], Reply]:
    def script(seen: Seen) -> Reply:
        if seen.path.startswith("/api/v2/sessions/"):
            return session
        status = "stopped" if "PATCH" in (each.method for each in server_seen) else "started"
        server_seen.append(seen)
        body = {"id": "t", "status": "stopped" if seen.method == "PATCH" else status, "sessionId": companion}
        return Reply(body=body)

    server_seen: list[Seen] = []
    return script


def test_stop_task_and_session_is_proved_by_the_session(connect: Connect, serve: Serve) -> None:
    server = serve(_v2(Reply(body={"id": "s/1", "status": "stopped"}), companion="s/1"))
    result = connect("v2", server.base_url).task("t").stop_task_and_session()
    assert (result.state, result.sent) == ("stopped", True)
    assert server.calls[-1] == "GET /api/v2/sessions/s%2F1"


@pytest.mark.parametrize(
    ("session", "companion"),
    [
        (Reply(body={"id": "s", "status": "active"}), "s"),
        (Reply(body={"id": "s", "status": "dormant"}), "s"),
        (Reply(status=404), "s"),
        (Reply(status=500), "s"),
        (Reply(body=b"<html>"), "s"),
        (Reply(body={"id": "s", "status": "stopped"}), None),
        (Reply(body={"id": "s", "status": "stopped"}), ""),
        (Reply(body={"id": "s", "status": "stopped"}), ".."),
        (Reply(body={"id": "s", "status": "stopped"}), "\ud800"),
        (Reply(body={"id": "s", "status": "stopped"}), ["s"]),
    ],
)
def test_without_the_sessions_proof_it_stays_uncertain(
    connect: Connect, serve: Serve, session: Reply, companion: object
) -> None:
    server = serve(_v2(session, companion=companion))
    task = connect("v2", server.base_url).task("t")
    with pytest.raises(CommandUncertain):
        task.stop_task_and_session()
    assert lives(task.journal) == [("stop_task_and_session", 1, "uncertain")]


# --- what never leaves --------------------------------------------------------------------------


def test_an_illegal_command_is_refused_here(connect: Connect, serve: Serve) -> None:
    service = V1Service(state="created")
    server = serve(service)
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(IllegalTransition) as raised:
        task.pause()
    assert (raised.value.lifecycle, raised.value.state, raised.value.event) == ("v1-full", "created", "pause")
    assert raised.value.allowed == ("stop",)
    service.state = "finished"
    with pytest.raises(IllegalTransition, match="'finished' is final"):
        task.pause()
    reads = len(server.seen)
    with pytest.raises(IllegalTransition, match="'finished' is final"):
        task.stop()
    assert server.commands == []
    assert len(server.seen) == reads, "what is final needs no further read"
    assert lives(task.journal) == []


def test_a_redundant_command_returns_and_is_not_sent(connect: Connect, serve: Serve) -> None:
    service = V1Service(state="paused")
    server = serve(service)
    task = connect("v1", server.base_url).task("t")
    for command, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        service.state = state
        task.status()
        result = task.send(command)
        assert (result.command, result.state, result.sent) == (command, state, False)
    assert server.commands == []
    assert lives(task.journal) == []


@pytest.mark.parametrize("misuse", ["stpo", "start", "stop_task", ""])
def test_command_of_another_service_is_refused_at_once(connect: Connect, serve: Serve, misuse: str) -> None:
    server = serve(V1Service())
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(UnknownName) as info:
        task.send(misuse)
    assert info.value.known == ("pause", "resume", "stop")
    assert server.seen == []
    assert lives(task.journal) == []
