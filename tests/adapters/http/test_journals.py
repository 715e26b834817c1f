"""Clients and their journal: what is recorded with a command, what is recovered, and who waits for a disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx2
import pytest

from lifecycle import (
    AdapterError,
    CommandEvent,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    IllegalTransition,
    KeyReused,
    Lifecycle,
    TaskEndedFirst,
    get,
)
from lifecycle.catalog import V1
from lifecycle.journal import (
    CommandEntry,
    CommandRecord,
    Creates,
    Delivery,
    Report,
    ReportEntry,
    RequestContext,
    Server,
    TaskJournal,
    TaskReport,
)
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle.table import E, S
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client, Recovered
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.procedures.command_methods import CommandMethods
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES, Connect, Serve
from tests.adapters.http.scripted import Reply, Seen, by_path
from tests.adapters.http.test_answers import V1Service
from tests.lifecycle.drivers import Declared, clock

TIMES = clock()


def left_open(
    journal: MemoryJournal,
    lifecycle: Declared,
    task: str,
    state: str,
    command: str,
    *,
    attempts: int = 1,
    claimed: bool = False,
) -> MemoryTaskJournal[str, str]:
    """Let a worker die that had sent a command; its claim has ended, unless `claimed`."""
    log = journal.task(lifecycle, task)
    log.add_report(Report(state, next(TIMES)))
    fields = {"task": "buy milk"} if command == "dispatch" else {}
    opened = log.add_intent(command, source=state, version=log.load().version, fields=fields)
    assert isinstance(opened, CommandRecord)
    for number in range(1, attempts + 1):
        log.add_attempt(opened.id, number=number, claim=1)
    if not claimed:
        log.release(opened.id, claim=1)
    return log


# --- a final state that the service contradicts -------------------------------------------------


def test_contradicted_final_state_is_the_reported_one_for_every_reader(
    connect: Connect, serve: Serve, tmp_path: Path
) -> None:
    words = iter(["stopped", "running", "stopped"])
    with SqlJournal(tmp_path / "journal.db") as journal:
        client = connect("v1", serve(lambda _: Reply(body=next(words))).base_url, journal=journal)
        task = client.task("t")
        assert (task.status(), task.known_state(), task.allowed()) == ("stopped", "stopped", ())

        assert (task.status(), task.known_state(), task.allowed()) == ("running", "running", ("pause", "stop"))
        [row] = journal.tasks().tasks
        assert (row.state, row.doubt) == ("stopped", "running"), "the journal keeps both"

        assert (task.status(), task.known_state(), task.allowed()) == ("stopped", "stopped", ())
        [row] = journal.tasks().tasks
        assert (row.state, row.doubt) == ("stopped", None)


# --- why, and under which key -------------------------------------------------------------------


def test_key_reason_and_origin_of_a_command_are_recorded(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal()
    task = connect("v1", serve(V1Service()).base_url, journal=journal).task("t")
    log = journal.task(get("v1-full"), "t")

    task.pause(idempotency_key="key-7", reason="too dear")
    task.send("resume", idempotency_key="key-8", reason="paid", origin="policy")
    task.stop()

    opened = [entry.record for entry in log.entries if isinstance(entry, CommandEntry) and entry.why == "intended"]
    assert [command.context for command in opened] == [
        RequestContext("key-7", "caller", "too dear"),
        RequestContext("key-8", "policy", "paid"),
        RequestContext(),
    ]


class Given(CommandMethods[str, dict[str, Any]]):
    """Returns what it is given."""

    def send(
        self,
        command: str,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> dict[str, Any]:
        waits_s = wait_for_in_flight_s
        return {
            "command": command,
            "key": idempotency_key,
            "reason": reason,
            "origin": origin,
            "waits_s": waits_s,
            **fields,
        }


@pytest.mark.parametrize(
    "command", [name for name in vars(CommandMethods) if not name.startswith("_") and name != "send"]
)
def test_every_command_takes_a_key_and_a_reason(command: str) -> None:
    given_with: dict[str, dict[str, Any]] = {"dispatch": {"task": "buy milk"}, "answer": {"parts": []}}
    fields = given_with.get(command, {})

    given = getattr(Given(), command)(**fields, idempotency_key="key-7", reason="too dear", wait_for_in_flight_s=2.0)

    context = {"key": "key-7", "reason": "too dear", "origin": "caller"}
    assert given == {"command": command, **context, "waits_s": 2.0, **fields}


def test_one_key_is_one_call_also_of_another_client(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal()
    server = serve(V1Service())
    task, other = (connect("v1", server.base_url, journal=journal).task("t") for _ in range(2))

    first = task.pause(idempotency_key="key-7")
    task.resume()
    again = other.pause(idempotency_key="key-7")

    assert (first.state, again.state, again.sent) == ("paused", "running", True)
    assert [call.split("?")[0] for call in server.commands] == ["PUT /api/v1/pause-task", "PUT /api/v1/resume-task"]
    with pytest.raises(KeyReused):
        task.stop(idempotency_key="key-7")


def test_fields_under_a_key_are_stored_as_json_round_trips_them(connect: Connect, emulator: Emulator) -> None:
    """Otherwise a durable journal would find other fields when the same command is given again."""
    session = connect("v3", emulator.base_url, journal=MemoryJournal()).create(keepAlive=True)
    emulator.fire(session.id, "ready")

    session.dispatch("buy milk", idempotency_key="key-7", keepAlive=True, secrets=("a", "b"))

    kept = session.journal.find_command("key-7")
    assert kept is not None
    assert kept.fields["secrets"] == ["a", "b"]
    with pytest.raises(TypeError, match="JSON"):
        session.dispatch("buy milk", idempotency_key="key-8", when=object())


# --- what a crash has left open -----------------------------------------------------------------


def test_every_open_command_is_recovered_once(connect: Connect, emulator: Emulator) -> None:
    journal = MemoryJournal()
    client = connect("v1", emulator.base_url, journal=journal)
    tasks = [client.create(f"buy {number} bottles of milk") for number in range(3)]
    for task in tasks:
        emulator.fire(task.id, "start")
    logs = [left_open(journal, get("v1-full"), task.id, "running", "pause") for task in tasks]
    emulator.fire(tasks[2].id, "finish")

    recovered = client.recover()

    assert {each.task_id for each in recovered} == {task.id for task in tasks}
    assert all((each.lifecycle, each.command) == ("v1-full", "pause") for each in recovered)
    assert all(each.is_settled for each in recovered)
    assert [each.result and each.result.state for each in by_id(recovered, tasks)] == ["paused", "paused", None]
    assert isinstance(by_id(recovered, tasks)[2].error, TaskEndedFirst)
    assert [log.load().open_command for log in logs] == [None] * 3
    assert client.recover() == []


def by_id(recovered: Iterable[Recovered], tasks: Sequence[Any]) -> list[Recovered]:
    found = {each.task_id: each for each in recovered}
    return [found[task.id] for task in tasks]


def test_sessions_are_recovered_with_the_tasks_that_run_in_them(connect: Connect, emulator: Emulator) -> None:
    journal = MemoryJournal()
    client = connect("v2", emulator.base_url, journal=journal)
    session_id: str = client.create("buy milk").details()["sessionId"]
    log = left_open(journal, get("v2-session"), session_id, "active", "stop")

    [recovered] = client.recover()

    assert (recovered.lifecycle, recovered.task_id) == ("v2-session", session_id)
    assert log.load().state == "stopped"


def test_a_client_recovers_the_tasks_of_its_lifecycle_only(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal()
    log = left_open(journal, get("v1"), "t", "running", "pause")
    server = serve(V1Service(state="paused"))

    assert connect("v1", server.base_url, journal=journal).recover() == []
    [recovered] = connect("v1", server.base_url, journal=journal, lifecycle=V1).recover()

    assert (recovered.lifecycle, log.load().state) == ("v1", "paused")


REFUSED = Reply(status=400, body={"detail": "no"})


def says(status: str) -> Reply:
    return Reply(body={"id": "s", "status": status})


STATUS, SEND = "GET /api/v3/sessions/s", "POST /api/v3/sessions"


class Left(NamedTuple):
    """A command that was left open, the service's present status, and the outcome of its recovery."""

    command: str
    attempts: int
    replies: dict[str, Reply]
    error: type[Exception]
    is_settled: bool


@pytest.mark.parametrize(
    "left",
    [
        Left("dispatch", 1, {STATUS: says("idle")}, CommandUncertain, False),
        Left("dispatch", 0, {STATUS: says("running")}, IllegalTransition, True),
        Left("dispatch", 0, {STATUS: says("idle"), SEND: REFUSED}, CommandRefused, True),
        Left("stop", 1, {STATUS: Reply(status=500)}, CommandUncertain, False),
    ],
)
def test_unsettled_recovery_is_reported_and_not_raised(connect: Connect, serve: Serve, left: Left) -> None:
    journal = MemoryJournal()
    log = left_open(journal, get("v3-full"), "s", "idle", left.command, attempts=left.attempts)

    [recovered] = connect("v3", serve(by_path(left.replies)).base_url, journal=journal).recover()

    assert isinstance(recovered.error, left.error)
    assert recovered.result is None
    assert recovered.is_settled is left.is_settled is (log.load().open_command is None)


def test_command_claimed_by_a_living_worker_is_reported_and_not_resumed(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal(worker="one", lease_s=60)
    log = left_open(journal, get("v1-full"), "t", "running", "pause", claimed=True)
    server = serve(V1Service())
    client = connect("v1", server.base_url, journal=journal.join("two"))

    [reported] = client.recover()

    opened = log.load().open_command
    assert opened is not None
    assert isinstance(reported.error, CommandInFlight)
    assert (reported.is_settled, reported.error.claimed_by, reported.error.until) == (False, *(opened.lease or ()))
    with pytest.raises(CommandInFlight, match="worker 'one' has claimed it until "):
        client.task("t").recover()
    assert server.seen == []


def test_command_claimed_by_a_dead_worker_is_settled_at_once(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal(worker="one")
    left_open(journal, get("v1-full"), "t", "running", "pause", claimed=True)
    client = connect("v1", serve(V1Service(state="paused")).base_url, journal=journal.join("two"))

    [recovered] = client.recover(dead=["one"])

    assert (recovered.is_settled, recovered.result and recovered.result.state) == (True, "paused")
    with pytest.raises(TypeError, match="not one name"):
        client.recover(dead="one")


@pytest.mark.parametrize("waits", [True, False])
def test_a_recovery_can_wait_until_a_claim_ends(connect: Connect, serve: Serve, waits: bool) -> None:
    journal = MemoryJournal(worker="one", lease_s=0.3)
    left_open(journal, get("v1-full"), "t", "running", "pause", claimed=True)
    client = connect("v1", serve(V1Service(state="paused")).base_url, journal=journal.join("two"))

    [recovered] = client.recover(wait=waits)

    assert recovered.is_settled is waits


def test_a_command_can_wait_for_the_one_in_flight(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal(worker="one")
    log = left_open(journal, get("v1-full"), "t", "running", "pause", claimed=True)
    server = serve(V1Service(state="paused"))
    task = connect("v1", server.base_url, journal=journal.join("two")).task("t")
    with pytest.raises(CommandInFlight):
        task.resume()

    ending = threading.Timer(0.2, lambda: log.add_outcome("1", CommandEvent.CONFIRM, why="it is paused", claim=1))
    ending.start()
    assert task.resume(wait_for_in_flight_s=20).state == "running"
    ending.join()


class AsItWas(MemoryJournal):
    """A journal whose list of tasks with an open command is older than its records."""

    def open_tasks(self, lifecycle: Declared, *, server: Server | None = None) -> list[str]:  # noqa: ARG002 (whatever is open now)
        return ["t"]


def test_a_command_that_was_settled_meanwhile_is_not_reported(connect: Connect, serve: Serve) -> None:
    assert connect("v1", serve(V1Service()).base_url, journal=AsItWas()).recover() == []


# --- journals that are waited for ---------------------------------------------------------------


class JournalGone(AdapterError):
    """A disk that is full."""


@dataclass
class Disk:
    """A journal that records its calls, each with whether an event loop had to wait. Calls in `fails_at` fail."""

    asked: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    released: list[str] = field(default_factory=list[str])
    fails_at: set[str] = field(default_factory=set[str])

    def wait(self, asked: str, *given: Any) -> None:
        self.asked.append((asked, _in_a_loop()))
        if asked == "release":
            self.released.append(*given)
        if asked in self.fails_at:
            raise JournalGone("the disk is full")


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class SlowLog:
    """A part of a journal in memory, which must be waited for like one on a disk."""

    blocking = True

    def __init__(self, log: Any, disk: Disk) -> None:
        self._log = log
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        def ask(*given: Any, **named: Any) -> Any:
            self._disk.wait(name, *given)
            return getattr(self._log, name)(*given, **named)

        return ask


class SlowJournal:
    """A journal of such logs, which are never forgotten."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.memory = MemoryJournal()
        self._held: list[MemoryTaskJournal[Any, Any]] = []

    def task(self, lifecycle: Lifecycle[S, E], task_id: str, *, server: Server | None = None) -> TaskJournal[S, E]:
        log = self.memory.task(lifecycle, task_id, server=server)
        self._held.append(log)
        slow: Any = SlowLog(log, self.disk)
        return cast("TaskJournal[S, E]", slow)

    def creates(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> Creates:
        slow: Any = SlowLog(self.memory.creates(lifecycle, server=server), self.disk)
        return cast("Creates", slow)

    def open_tasks(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> list[str]:
        self.disk.wait("open_tasks")
        return self.memory.open_tasks(lifecycle, server=server)

    def add_server(self, server: Server) -> None:
        self.disk.wait("add_server")
        self.memory.add_server(server)

    def open_lifecycles(self) -> list[str]:
        self.disk.wait("open_lifecycles")
        return self.memory.open_lifecycles()

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        return self.memory.add_reports(reports)

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportEntry[Any, Any]] | None:
        return self.memory.receive(delivery, reports)


@pytest.fixture
def slow() -> SlowJournal:
    return SlowJournal(Disk())


def test_no_event_loop_waits_for_a_journal(emulator: Emulator, slow: SlowJournal) -> None:
    async def everything() -> None:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient("v3", api_key=KEY, base_url=emulator.base_url, timing=QUICK, journal=slow, http=http) as client,
        ):
            session = await client.create()
            await asyncio.to_thread(emulator.fire, session.id, "ready")
            await session.wait()
            await session.allowed()
            await session.details()
            await asyncio.to_thread(emulator.fault, "drop_after", command="dispatch")
            with pytest.raises(CommandUncertain):
                await session.dispatch("buy milk", idempotency_key="key-7")
            with pytest.raises(CommandUncertain):
                await session.recover()
            await client.recover()
            await session.stop()
            await client.task(session.id).status()

    asyncio.run(everything())
    asked = {name for name, _ in slow.disk.asked}
    assert asked == {
        *("load", "add_report", "add_intent", "find_command", "claim", "release", "add_attempt", "add_outcome"),
        *("open_tasks", "add", "unfinished"),
    }
    assert [name for name, in_a_loop in slow.disk.asked if in_a_loop] == []


@pytest.mark.parametrize("fails_at", [{"add_attempt"}, {"add_attempt", "release"}], ids=len)
def test_a_lost_journal_is_reported_and_the_command_released(
    connect: Connect, serve: Serve, slow: SlowJournal, fails_at: set[str]
) -> None:
    server = serve(V1Service())
    slow.disk.fails_at = fails_at
    task = connect("v1", server.base_url, journal=slow).task("t")

    with pytest.raises(JournalGone):
        task.pause()

    assert server.commands == []
    assert slow.disk.released == ["1"]


def test_lost_journal_ends_a_recovery(connect: Connect, serve: Serve, slow: SlowJournal) -> None:
    client = connect("v1", serve(V1Service()).base_url, journal=slow)
    log = left_open(slow.memory, get("v1-full"), "t", "running", "pause")
    slow.disk.fails_at = {"add_report"}

    with pytest.raises(JournalGone):
        client.recover()

    assert log.load().open_command is not None


@pytest.mark.parametrize("api", ["v3", "v4"])
def test_lost_journal_error_names_the_new_task(
    connect: Connect, emulator: Emulator, slow: SlowJournal, api: str
) -> None:
    slow.disk.fails_at = {"add_outcome"}

    with pytest.raises(JournalGone) as info:
        connect(api, emulator.base_url, journal=slow).create("buy milk")

    [created] = connect(api, emulator.base_url).list()
    assert info.value.__notes__ == [f"The task {created.id} was created."]


# --- procedures that are broken off -------------------------------------------------------------


def interrupted(seen: httpx2.Request) -> httpx2.Response:
    """A service whose caller loses patience."""
    if seen.method == "GET":
        return httpx2.Response(200, json="running")
    raise KeyboardInterrupt


def test_a_command_that_is_interrupted_is_released(slow: SlowJournal) -> None:
    with (
        httpx2.Client(transport=httpx2.MockTransport(interrupted), verify=NO_CERTIFICATES) as http,
        Client("v1", api_key=KEY, journal=slow, http=http) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.task("t").pause()

    assert slow.disk.released == ["1"]


def test_a_command_that_is_cancelled_is_released_without_the_event_loop(serve: Serve, slow: SlowJournal) -> None:
    server = serve(V1Service(plan=[(Reply(delay_s=0.3), True)]))

    async def everything() -> None:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient("v1", api_key=KEY, base_url=server.base_url, journal=slow, http=http) as client,
        ):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.15):
                    await client.task("t").pause()

    asyncio.run(everything())
    assert len(server.commands) == 1
    assert slow.disk.released == ["1"]
    assert [name for name, in_a_loop in slow.disk.asked if in_a_loop] == []


class Never:
    """Waits for something that does not come."""

    def __await__(self) -> Generator[None]:
        while True:
            yield


def test_a_coroutine_that_is_closed_releases_its_command_at_once() -> None:
    """Nothing can be awaited then."""
    journal = MemoryJournal()
    log = journal.task(get("v1-full"), "t")

    async def answer(seen: httpx2.Request) -> httpx2.Response:
        if seen.method != "GET":
            await Never()
        return httpx2.Response(200, json="running")

    async def everything() -> None:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), verify=NO_CERTIFICATES)
        command = AsyncClient("v1", api_key=KEY, journal=journal, http=http).task("t").pause()
        command.send(None)
        command.close()

    asyncio.run(everything())
    opened = log.load().open_command
    assert opened is not None
    assert opened.lease is None


def test_an_interrupted_worker_releases_only_its_own_claims(serve: Serve, slow: SlowJournal) -> None:
    """Both belong to one process, and to a journal they are one worker."""

    def script(seen: Seen) -> Reply:
        return Reply(body="running", delay_s=0.5)

    server = serve(script)
    log = left_open(slow.memory, get("v1-full"), "t", "created", "stop", claimed=True)
    settings: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url, "journal": slow}

    async def everything() -> None:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient("v1", **settings, http=http) as client,
        ):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.task("t").pause()

    asyncio.run(everything())
    assert len(server.seen) == 1
    assert log.load().open_command is not None
    assert slow.disk.released == []
