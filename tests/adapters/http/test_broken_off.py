"""Commands that are broken off: cancelled, interrupted, or left behind by a fork. Nothing stays claimed.

Each test uses a durable journal, and a second worker that continues at once.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from lifecycle import V1_FULL, CreateUncertain, Lifecycle, V1Event, V1State
from lifecycle.journal import CommandRecord, CreateRecord, Journal, Report, Server, TaskJournal
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import AsyncClient, Call, Client, ListCall, Recovered
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.objects import ObjectClient
from lifecycle_adapters.services.v1 import V1
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES, Serve
from tests.adapters.http.scripted import Reply, ScriptedServer
from tests.adapters.http.test_answers import V1Service
from tests.adapters.http.test_errors import everything_said_by

R = TypeVar("R")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqlJournal]:
    with SqlJournal(path, worker="first") as journal:
        yield journal


def claimed_by(journal: SqlJournal) -> list[str | None]:
    return [each.claimed_by for each in journal.tasks().tasks]


def second_worker_stops(path: Path, server: ScriptedServer) -> None:
    """Another worker recovers what is left open, and stops the task."""
    http = httpx2.Client(verify=NO_CERTIFICATES)
    with http, SqlJournal(path, worker="second") as journal:
        assert claimed_by(journal) in ([], [None])
        with Client("v1", api_key=KEY, base_url=server.base_url, timing=QUICK, journal=journal, http=http) as client:
            assert all(each.is_settled for each in client.recover())
            assert client.task("t").stop().state == "stopped"


# --- cancellation -------------------------------------------------------------------------------


@types.coroutine
def cancelling(work: Coroutine[Any, Any, R], at: set[int]) -> Generator[Any, Any, R]:
    """Await the work, and cancel the task at these of its awaits, counted from 1."""
    result, error, awaits = None, None, 0
    while True:
        try:
            awaited = work.send(result) if error is None else work.throw(error)
        except StopIteration as stop:
            value: R = stop.value
            return value
        awaits += 1
        task = asyncio.current_task()
        assert task is not None
        if awaits in at:
            task.cancel()
        try:
            result, error = (yield awaited), None
        except BaseException as raised:  # noqa: BLE001 (it is thrown into the work)
            error = raised


async def with_client(server: ScriptedServer, journal: SqlJournal, work: Callable[[AsyncClient], Any]) -> Any:
    async with (
        httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
        AsyncClient("v1", api_key=KEY, base_url=server.base_url, timing=QUICK, journal=journal, http=http) as client,
    ):
        return await work(client)


def commanded(client: AsyncClient) -> Coroutine[Any, Any, Any]:
    return client.task("t").pause()


def recovered(client: AsyncClient) -> Coroutine[Any, Any, Any]:
    return client.task("t").recover()


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(0, id="once"),
        pytest.param(1, id="twice", marks=pytest.mark.heavy),
        pytest.param(2, id="later", marks=pytest.mark.heavy),
    ],
)
@pytest.mark.parametrize("work", [commanded, recovered])
def test_cancellation_at_any_await_leaves_nothing_claimed(
    serve: Serve, tmp_path: Path, work: Callable[[AsyncClient], Coroutine[Any, Any, Any]], again: int
) -> None:
    number, was_cancelled = 0, True
    while was_cancelled:
        number += 1
        path = tmp_path / f"{number}.db"
        server = serve(V1Service(plan=[(Reply(status=500), False)] if work is recovered else []))
        with SqlJournal(path, worker="first") as journal:
            if work is recovered:
                leave_open(server, journal)

            async def cancelled(client: AsyncClient, number: int = number) -> bool:
                try:
                    await cancelling(work(client), {number, number + again})
                except asyncio.CancelledError:
                    return True
                return False

            was_cancelled = asyncio.run(with_client(server, journal, cancelled))
            second_worker_stops(path, server)
    assert number > 5


def leave_open(server: ScriptedServer, journal: SqlJournal) -> None:
    """Break a command off that was sent."""

    async def cancelled(client: AsyncClient) -> None:
        command = asyncio.create_task(client.task("t").pause())
        while not server.commands:  # noqa: ASYNC110 (what is waited for happens in the server's thread)
            await asyncio.sleep(0.001)
        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command

    asyncio.run(with_client(server, journal, cancelled))


@pytest.mark.parametrize("locked_s", [0.4, 2.6], ids=["waited for", "not waited for"])
def test_command_recorded_after_the_cancellation_is_released(
    serve: Serve, path: Path, journal: SqlJournal, locked_s: float
) -> None:
    """Another process has the write lock, so that the intent is recorded after its caller has gone."""
    server = serve(V1Service())

    async def cancelled(client: AsyncClient) -> None:
        task = client.task("t")
        await task.status()
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        unlock = threading.Timer(locked_s, lambda: other.execute("ROLLBACK"))
        unlock.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task.pause(), 0.1)
        await asyncio.to_thread(unlock.join)
        other.close()

    asyncio.run(with_client(server, journal, cancelled))
    assert server.commands == []
    second_worker_stops(path, server)


def test_a_loop_that_is_closed_in_the_middle_leaves_nothing_claimed(
    serve: Serve, path: Path, journal: SqlJournal
) -> None:
    async def hang(request: httpx2.Request) -> httpx2.Response:
        if request.method != "GET":
            await asyncio.get_running_loop().create_future()
        return httpx2.Response(200, json="running")

    server = serve(V1Service())
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(hang), verify=NO_CERTIFICATES)
    client = AsyncClient("v1", api_key=KEY, base_url=server.base_url, timing=QUICK, journal=journal, http=http)
    loop = asyncio.new_event_loop()
    command: asyncio.Task[Any] | None = loop.create_task(client.task("t").pause())
    while claimed_by(journal) != ["first"]:
        loop.run_until_complete(asyncio.sleep(0.05))
    loop.run_until_complete(asyncio.sleep(0.1))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert command is not None
    command._log_destroy_pending = False  # type: ignore[attr-defined]
    del command
    gc.collect()
    second_worker_stops(path, server)


def test_command_is_released_after_the_executor_shut_down(serve: Serve, path: Path, journal: SqlJournal) -> None:
    server = serve(V1Service(plan=[(Reply(delay_s=0.5), False)]))

    async def cancelled(client: AsyncClient) -> None:
        command = asyncio.create_task(client.task("t").pause())
        while not server.commands:  # noqa: ASYNC110 (what is waited for happens in the server's thread)
            await asyncio.sleep(0.001)
        await asyncio.get_running_loop().shutdown_default_executor()
        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command

    asyncio.run(with_client(server, journal, cancelled))
    second_worker_stops(path, server)


def test_a_callback_that_raises_leaves_nothing_claimed(serve: Serve, path: Path, journal: SqlJournal) -> None:
    server = serve(V1Service(plan=[(Reply(status=500), False)]))
    leave_open(server, journal)

    def fail(_: object) -> None:
        raise KeyError("a bug of the caller's")

    async def waited(client: AsyncClient) -> None:
        with pytest.raises(KeyError):
            await client.task("t").wait(on_progress=fail)

    asyncio.run(with_client(server, journal, waited))
    second_worker_stops(path, server)


# --- Ctrl-C -------------------------------------------------------------------------------------


class InterruptingLog:
    """A task's journal. Before or after one of its writes somebody presses Ctrl-C."""

    def __init__(self, log: TaskJournal[Any, Any], asked: str, *, before: bool) -> None:
        self._log = log
        self._asked = asked
        self._before = before

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._log, name)
        if name != self._asked:
            return value

        def ask(*given: Any, **named: Any) -> Any:
            self._asked = ""
            if self._before:
                press()
            answer = value(*given, **named)
            press()
            return answer

        return ask


def press() -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


class InterruptingJournal:
    def __init__(self, journal: SqlJournal, asked: str, *, before: bool) -> None:
        self._journal = journal
        self._settings: dict[str, Any] = {"asked": asked, "before": before}

    def task(self, lifecycle: Lifecycle[Any, Any], task_id: str, *, server: Server | None = None) -> Any:
        return InterruptingLog(self._journal.task(lifecycle, task_id, server=server), **self._settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def stops(client: Client) -> None:
    client.task("t").stop()


def recovers(client: Client) -> list[Recovered]:
    return client.recover()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "interrupted",
    [
        *((name, stops) for name in ("load", "add_report", "add_intent", "add_attempt", "add_outcome")),
        *((name, recovers) for name in ("claim", "add_report", "add_outcome")),
    ],
    ids=lambda interrupted: f"{interrupted[1].__name__} at {interrupted[0]}",
)
def test_interruption_in_a_journal_call_leaves_nothing_claimed(
    serve: Serve, path: Path, journal: SqlJournal, interrupted: tuple[str, Callable[[Client], object]], before: bool
) -> None:
    asked, work = interrupted
    server = serve(V1Service(plan=[(Reply(status=500), False)] if work is recovers else []))
    if work is recovers:
        leave_open(server, journal)
    interrupting: Any = InterruptingJournal(journal, asked, before=before)
    with httpx2.Client(verify=NO_CERTIFICATES) as http:
        settings: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url, "timing": QUICK, "http": http}
        with pytest.raises(KeyboardInterrupt), Client("v1", **settings, journal=interrupting) as client:
            work(client)
    second_worker_stops(path, server)


class ModelService:
    """One v1 task in this process. `at_command` is called before each command takes effect."""

    def __init__(self, at_command: Callable[[], None] = lambda: None) -> None:
        self.status = "running"
        self._at_command = at_command

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=self.status)
        self._at_command()
        if request.method == "POST":
            return httpx2.Response(200, json={"id": "t"})
        self.status = {"pause": "paused", "resume": "running", "stop": "stopped"}[request.url.path.split("/")[-1][:-5]]
        return httpx2.Response(200, json={})


class Interruptions:
    """Raises KeyboardInterrupt at the n-th place where CPython looks for signals.

    These are the beginnings of functions and the returns from functions in C (and of loops, which call something).
    """

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, _: types.FrameType, event: str, __: object) -> None:
        if event in ("call", "c_return"):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def begin(self) -> None:
        sys.setprofile(self)

    def begin_interrupted(self) -> None:
        self.begin()
        raise KeyboardInterrupt


def pauses(client: Client) -> None:
    client.task("t").pause()


def creates(client: Client) -> None:
    client.create("buy milk")


def was_interrupted(
    journal: MemoryJournal | SqlJournal, service: ModelService, work: Callable[[Client], object], at: int
) -> bool:
    """Do it with an interruption at that place; return False if it has fewer."""
    before = sys.getprofile()
    interruptions = Interruptions(at)
    with model_client(journal, service) as client:
        try:
            interruptions.begin()
            work(client)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(before)
    return interruptions.left <= 0


@contextmanager
def model_client(journal: MemoryJournal | SqlJournal, service: ModelService) -> Generator[Client]:
    with httpx2.Client(transport=httpx2.MockTransport(service), verify=NO_CERTIFICATES) as http:
        yield Client("v1", api_key=KEY, base_url="http://service.example", timing=QUICK, journal=journal, http=http)


def require_unclaimed(journal: MemoryJournal | SqlJournal, service: ModelService) -> None:
    """Nothing is claimed, and another worker stops the task."""
    creates = journal.creates(V1_FULL).unfinished()
    assert [each for each in creates if not isinstance(each, CreateRecord) or each.lease is not None] == []
    opened = journal.task(V1_FULL, "t").load().open_command
    assert opened is None or opened.lease is None
    second = journal.join("second") if isinstance(journal, MemoryJournal) else journal
    with model_client(second, service) as client:
        client.task("t").recover()
        assert client.task("t").stop().state == "stopped"


def left_open(journal: MemoryJournal | SqlJournal, service: ModelService) -> None:
    task = journal.task(V1_FULL, "t")
    opened = task.add_intent(V1Event.PAUSE, source=None, version=0, fields={})
    assert isinstance(opened, CommandRecord)
    task.release(opened.id, claim=opened.claim)


def interrupted_at_every(step: int, work: Callable[[Client], object]) -> int:
    places = 1
    while True:
        service, journal = ModelService(), MemoryJournal()
        if work is recovers:
            left_open(journal, service)
        if not was_interrupted(journal, service, work, places):
            return places
        require_unclaimed(journal, service)
        places += step


def interrupted_in_sqlite_at_every(step: int, work: Callable[[Client], object], path: Path) -> int:
    """The file is unlocked at once, without the garbage collection that would close forgotten cursors."""
    places, was_there = 1, True
    while was_there:
        file, service = path.with_name(f"{places}.db"), ModelService()
        with SqlJournal(file, worker="first") as journal:
            if work is recovers:
                left_open(journal, service)
            with without_garbage_collection(), closing(sqlite3.connect(file, timeout=0)) as other:
                was_there = was_interrupted(journal, service, work, places)
                other.execute("BEGIN IMMEDIATE")
            require_unclaimed(journal, service)
        places += step
    return places


@contextmanager
def without_garbage_collection() -> Generator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def quiet_finalizers(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption in a finalizer is shown and lost."""

    def ignore(_: object) -> None:
        pass

    monkeypatch.setattr(sys, "unraisablehook", ignore)


@pytest.mark.usefixtures("quiet_finalizers")
def test_interruption_at_sampled_places_with_a_memory_journal_leaves_nothing_claimed() -> None:
    assert interrupted_at_every(53, pauses) > 500


@pytest.mark.heavy
@pytest.mark.usefixtures("quiet_finalizers")
@pytest.mark.parametrize("work", [pauses, creates, recovers])
def test_interruption_at_every_place_with_a_memory_journal_leaves_nothing_claimed(
    work: Callable[[Client], object],
) -> None:
    assert interrupted_at_every(1, work) > 500


@pytest.mark.usefixtures("quiet_finalizers")
def test_interruption_at_sampled_places_with_sqlite_leaves_nothing_claimed_or_locked(path: Path) -> None:
    assert interrupted_in_sqlite_at_every(251, pauses, path) > 500


@pytest.mark.heavy
@pytest.mark.usefixtures("quiet_finalizers")
@pytest.mark.parametrize("work", [pauses, creates, recovers])
def test_interruption_at_many_places_with_sqlite_leaves_nothing_claimed_or_locked(
    work: Callable[[Client], object], path: Path
) -> None:
    assert interrupted_in_sqlite_at_every(7, work, path) > 500


@pytest.mark.heavy
@pytest.mark.usefixtures("quiet_finalizers")
@pytest.mark.parametrize("work", [pauses, creates])
def test_second_interruption_at_every_place_leaves_nothing_claimed(
    work: Callable[[Client], object],
) -> None:
    places, is_last = 0, False
    while not is_last:
        places += 1
        again = Interruptions(places)
        service, journal, before = ModelService(again.begin_interrupted), MemoryJournal(), sys.getprofile()
        with model_client(journal, service) as client:
            try:
                work(client)
            except KeyboardInterrupt:
                pass
            finally:
                sys.setprofile(before)
        is_last = again.left > 0
        require_unclaimed(journal, ModelService())
    assert places > 50


# --- time limits --------------------------------------------------------------------------------


class SoftTimeLimit(Exception):
    """An exception that a job queue's signal handler raises at any moment, as Celery's and RQ's do."""


Limited = Callable[[Callable[[], object]], None]


@pytest.fixture
def limited() -> Iterator[Limited]:
    """Do something that a time limit ends in the middle."""

    def end(*_: object) -> None:
        raise SoftTimeLimit

    def do(work: Callable[[], object]) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(SoftTimeLimit) as info:
            work()
        assert KEY not in everything_said_by(info.value)

    before = signal.signal(signal.SIGALRM, end)
    yield do
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


needs_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")


@needs_timers
def test_soft_time_limit_in_a_command_reaches_the_caller(
    serve: Serve, path: Path, journal: SqlJournal, limited: Limited
) -> None:
    server = serve(V1Service(plan=[(Reply(delay_s=1.0), False)]))
    with connected(server, journal) as client:
        limited(client.task("t").stop)
    assert server.commands == ["PUT /api/v1/stop-task?task_id=t"]
    second_worker_stops(path, server)


class SlowCreates:
    """The creates of a journal, whose `add` ends long after it has claimed the create."""

    def __init__(self, creates: Any) -> None:
        self._creates = creates

    def add(self, *args: Any, **kwargs: Any) -> Any:
        added = self._creates.add(*args, **kwargs)
        time.sleep(1.0)
        return added

    def __getattr__(self, name: str) -> Any:
        return getattr(self._creates, name)


class SlowToCreate:
    def __init__(self, journal: SqlJournal) -> None:
        self._journal = journal

    def creates(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> Any:
        return SlowCreates(self._journal.creates(lifecycle, server=server))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


@needs_timers
def test_a_soft_time_limit_while_a_create_is_claimed_leaves_it_to_others(
    serve: Serve, path: Path, journal: SqlJournal, limited: Limited
) -> None:
    server = serve(lambda _: Reply(body={"id": "t"}))
    slow: Any = SlowToCreate(journal)
    with connected(server, slow) as client:
        limited(lambda: client.create("buy milk"))
    assert server.seen == []
    [left] = journal.creates(V1_FULL).unfinished()
    assert isinstance(left, CreateRecord)
    assert (left.attempts, left.lease) == (0, None)


@needs_timers
def test_soft_time_limit_in_a_read_or_recovery_reaches_the_caller(
    serve: Serve, path: Path, journal: SqlJournal, limited: Limited
) -> None:
    slow = serve(lambda _: Reply(body="running", delay_s=1.0))
    server = serve(V1Service(plan=[(Reply(status=500), False)]))
    leave_open(server, journal)
    with connected(slow, journal) as client:
        client.add_server()
        for work in (client.task("t").status, client.recover):
            slow.seen.clear()
            limited(work)
            assert len(slow.seen) == 1
    second_worker_stops(path, server)


class Handler:
    """Handlers of a signal, of every kind that a job queue may have; each raises."""

    def __call__(self, *_: object) -> None:
        raise SoftTimeLimit

    def method(self, *_: object) -> None:
        _raise()


def handle(*_: object) -> None:
    raise SoftTimeLimit


def _raise() -> None:
    raise SoftTimeLimit


HANDLERS: dict[str, Callable[..., None]] = {
    "a function": handle,
    "an object": Handler(),
    "a method, through a function": Handler().method,
    "a partial": partial(handle, "further"),
}


def leave_open_in(journal: MemoryJournal, task: str) -> Any:
    log = journal.task(V1_FULL, task)
    log.add_report(Report("running", datetime.now(UTC)))
    opened = log.add_intent(V1Event.PAUSE, source=V1State.RUNNING, version=log.load().version, fields={})
    assert isinstance(opened, CommandRecord)
    assert log.add_attempt(opened.id, number=1, claim=1)
    log.release(opened.id, claim=1)
    return log


@needs_timers
@pytest.mark.parametrize("kind", HANDLERS)
def test_a_soft_time_limit_in_a_callback_of_a_recovery_reaches_the_caller(serve: Serve, kind: str) -> None:
    """Also there, where an error of the callback itself would be reported as that of one task."""
    is_armed = False

    def interrupt(*_: object) -> None:
        if is_armed:
            signal.raise_signal(signal.SIGALRM)

    journal = MemoryJournal(on_report=interrupt)
    held = [leave_open_in(journal, task) for task in ("a", "b")]
    server = serve(lambda _: Reply(body="paused"))
    before = signal.signal(signal.SIGALRM, HANDLERS[kind])
    try:
        with connected(server, journal) as client:
            is_armed = True
            with pytest.raises(SoftTimeLimit):
                client.recover()
            is_armed = False
            assert len(server.seen) == 1, "no other task is recovered after the limit"
            assert [each.is_settled for each in client.recover()] == [True, True]
    finally:
        signal.signal(signal.SIGALRM, before)
    del held


@needs_timers
def test_a_soft_time_limit_in_a_create_leaves_it_uncertain(
    serve: Serve, path: Path, journal: SqlJournal, limited: Limited
) -> None:
    server = serve(lambda seen: Reply(body={"id": "t"} if seen.method == "POST" else {"tasks": []}, delay_s=1.0))
    with connected(server, journal) as client:
        limited(lambda: client.create("buy milk"))
    assert len(server.seen) == 1
    with SqlJournal(path, worker="second") as other, connected(server, other) as client:
        (create,) = client.recover()
    assert isinstance(create.error, CreateUncertain)


@contextmanager
def connected(server: ScriptedServer, journal: Journal) -> Generator[Client]:
    with httpx2.Client(verify=NO_CERTIFICATES) as http:
        yield Client("v1", api_key=KEY, base_url=server.base_url, timing=QUICK, journal=journal, http=http)


@needs_timers
def test_soft_time_limit_while_connecting_reaches_the_caller(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any, **__: Any) -> None:
        time.sleep(1.0)

    monkeypatch.setattr(socket, "create_connection", connect)
    with Client("v1", api_key=KEY, base_url="http://127.0.0.1:9", timing=QUICK) as client:
        limited(client.task("t").status)


def slowly(result: str) -> Callable[..., str]:
    """A function of a user that a time limit interrupts."""

    def function(*_: object, **__: object) -> str:
        time.sleep(1.0)
        return result

    return function


def is_running(_: object) -> str:
    return "running"


WITH_STATE_OF = replace(
    V1,
    state_of=slowly("running"),
    listing=ListCall(call=Call(method="GET", path="/tasks"), items_field="tasks", pages="one"),
)
FUNCTIONS: dict[str, Callable[[Callable[..., Client]], Callable[[], object]]] = {
    "state_of of a task": lambda connect: connect(WITH_STATE_OF).task("t").status,
    "state_of of a listed task": lambda connect: lambda: [*connect(WITH_STATE_OF).list()],
    "the key": lambda connect: connect("v1", api_key=slowly(KEY)).task("t").status,
    "a read of an object": lambda _: ObjectClient(V1_FULL, read=slowly("running"), send=print).task("t").status,
    "a command to an object": lambda _: ObjectClient(V1_FULL, read=is_running, send=slowly("")).task("t").pause,
}


@needs_timers
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_soft_time_limit_in_a_function_of_the_users_reaches_the_caller(
    serve: Serve, limited: Limited, function: Callable[[Callable[..., Client]], Callable[[], object]]
) -> None:
    server = serve(lambda _: Reply(body={"tasks": [{"id": "t"}]}))
    with httpx2.Client(verify=NO_CERTIFICATES) as http:
        settings: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url, "timing": QUICK, "http": http}

        def connect(api: Any, **more: Any) -> Client:
            return Client(api, **{**settings, **more})

        limited(function(connect))


@needs_timers
def test_soft_time_limit_in_an_event_loop_reaches_the_caller(
    serve: Serve, journal: SqlJournal, limited: Limited
) -> None:
    """The limit is raised in the middle of whatever the loop does, here in a transport of the caller's."""

    def slow(_: httpx2.Request) -> httpx2.Response:
        time.sleep(1.0)
        return httpx2.Response(200, json="running")

    async def work() -> None:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(slow), verify=NO_CERTIFICATES)
        async with http, AsyncClient("v1", api_key=KEY, timing=QUICK, journal=journal, http=http) as client:
            await client.task("t").stop()

    limited(lambda: asyncio.run(work()))
    assert claimed_by(journal) in ([], [None])


# --- forks --------------------------------------------------------------------------------------

# In a process of its own, because that of the tests has threads by now.
HALF_RUN = """
import os, sys
import httpx2
from lifecycle_adapters.http import Client
from lifecycle_adapters.journal import SqlJournal

def answer(request):
    if request.method == "GET":
        return httpx2.Response(200, json="running" if not forked else "paused")
    child = os.fork()
    if not child:
        print(journal.worker != worker, flush=True)
        sys.exit(7)
    forked.append(os.waitpid(child, 0)[1])
    with SqlJournal(sys.argv[1], worker="another") as other:
        print([each.claimed_by == worker for each in other.tasks().tasks], flush=True)
    return httpx2.Response(200, json={})

forked = []
journal = SqlJournal(sys.argv[1], worker=sys.argv[2] or None)
worker = journal.worker
http = httpx2.Client(transport=httpx2.MockTransport(answer))
result = Client("v1", api_key="a-key", base_url="http://service.example", journal=journal, http=http).task("t").pause()
print(result.state, os.waitstatus_to_exitcode(forked[0]), flush=True)
journal.close()
"""


@pytest.mark.skipif(not hasattr(sys, "getwindowsversion") and sys.platform == "win32", reason="Windows has no forks")
@pytest.mark.parametrize("worker", ["", pytest.param("mine", marks=pytest.mark.heavy)])
def test_the_child_of_a_fork_releases_nothing_of_its_parents(path: Path, worker: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HALF_RUN, str(path), worker],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True\n[True]\npaused 7\n", "")


SHARED = """
import asyncio, os, sys
from lifecycle_adapters.http import AsyncClient, Client

def ask(who):
    async def everything():
        await asyncio.gather(*(asynchronous.task(f"{who}-{number}").details() for number in range(10)))

    for number in range(30):
        client.task(f"{who}-{number}").details()
    asyncio.run(everything())

client = Client("v3", api_key="a-key", base_url=sys.argv[1])
asynchronous = AsyncClient("v3", api_key="a-key", base_url=sys.argv[1])
ask("before")
first = os.fork()
second = os.fork()
ask(f"{os.getpid()}")
client.close()
asyncio.run(asynchronous.close())
if second:
    assert os.waitpid(second, 0)[1] == 0
if first and second:
    assert os.waitpid(first, 0)[1] == 0
    print("right")
"""


@pytest.mark.heavy
def test_the_child_of_a_fork_shares_no_connection(serve: Serve) -> None:
    """Each response carries the id that was asked for: one that another process reads would be invalid."""

    def script(seen: Any) -> Reply:
        return Reply(body={"id": seen.path.rpartition("/")[2], "status": "running"})

    server = serve(script)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHARED, server.base_url],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("right\n", "")


REFUSED = """
import os, sys
import httpx2
from lifecycle_adapters.http import Client, ClientUnusable
from lifecycle_adapters.journal import SqlJournal

journal = SqlJournal(sys.argv[1])
answer = httpx2.MockTransport(lambda request: httpx2.Response(200, json="running"))
settings = {"api_key": "a-key", "base_url": "http://service.example", "journal": journal}
used, unused = (Client("v1", **settings, http=httpx2.Client(transport=answer)) for _ in range(2))
used.task("t").status()
child = os.fork()
if not child:
    try:
        used.task("u").stop()
    except ClientUnusable as error:
        print(error, flush=True)
    print(unused.task("t").status(), [each.task_id for each in journal.tasks().tasks], flush=True)
    os._exit(0)
os.waitpid(child, 0)
journal.close()
"""


@pytest.mark.heavy
def test_the_callers_own_client_is_refused_in_the_child_of_a_fork(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REFUSED, str(path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "the httpx2 client that it was given has connections of the parent process; make one after the fork",
        "running ['t']",
    ]
