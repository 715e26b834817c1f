"""Clients that keep a durable journal: what is recorded of a task, and what the next process does with it."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier as ProcessBarrier
from threading import Barrier
from time import monotonic
from typing import Any

import httpx2
import pytest

from lifecycle import CommandInFlight, CommandUncertain, CreateUncertain, RecordMissing, UnreadableCreate, get
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client, RecoveredCreate
from lifecycle_adapters.journal import RecordedCommand, RecordedCreate, RecordedReport, SqlJournal
from tests.adapters.http.both import KEY, QUICK, AnyClient, BlockingClient
from tests.adapters.http.conftest import NO_CERTIFICATES
from tests.adapters.journal.acting import START, knowing, opened

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])

OpenReal = Callable[..., SqlJournal]


@pytest.fixture
def open_real(journal_url: str) -> Iterator[OpenReal]:
    """Open journals on the emulator's clock."""
    with ExitStack() as journals:

        def open_real(**settings: Any) -> SqlJournal:
            return journals.enter_context(SqlJournal(journal_url, **settings))

        yield open_real


def connected(emulator: Emulator, journal: SqlJournal, api: str = "v1") -> Client:
    return Client(api, api_key=KEY, base_url=emulator.base_url, timing=QUICK, journal=journal)


def read_out(journal: SqlJournal, task_id: str) -> list[str]:
    """Return a task's history, with a short text for each entry."""
    lines: list[str] = []
    for entry in journal.history(task_id):
        match entry:
            case RecordedCreate():
                lines.append(f"create {entry.attempts}: {entry.why}")
            case RecordedReport():
                lines.append(f"{entry.status}: {entry.kind or 'first'}{f' x{entry.times}' if entry.times != 1 else ''}")
            case RecordedCommand():
                lines.append(f"{entry.command} {entry.state} {entry.attempts}: {entry.event or entry.why}")
            case _:
                raise AssertionError(entry)
    return lines


# --- a life ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_complete_history_can_be_read_afterwards(emulator: Emulator, open_real: OpenReal, kind: str) -> None:
    journal = open_real(worker="one")
    settings: dict[str, Any] = {"api_key": KEY, "base_url": emulator.base_url, "timing": QUICK, "journal": journal}
    begun_at = datetime.now(UTC)

    with ExitStack() as clients:
        client: AnyClient = (
            clients.enter_context(Client("v1", **settings))
            if kind == "sync"
            else clients.enter_context(BlockingClient("v1", http_settings={"verify": NO_CERTIFICATES}, **settings))
        )
        task = client.create("buy milk")
        task.status()
        task.status()
        emulator.fire(task.id, "start")
        task.status()
        task.pause(reason="lunch")
        task.stop(idempotency_key="key-7")
        task.stop(idempotency_key="key-7")

    assert read_out(journal, task.id) == [
        "create 1: created",
        "created: first x2",
        "running: step",
        "pause recorded 0: intended",
        "pause recorded 1: sent",
        "paused: step",
        "pause done 1: confirm",
        "stop recorded 0: intended",
        "stop recorded 1: sent",
        "stopped: step",
        "stop done 1: confirm",
    ]
    history = journal.history(task.id)
    assert [entry.reason for entry in history if isinstance(entry, RecordedCommand)] == ["lunch"] * 3 + [""] * 3
    assert {entry.worker for entry in history} == {"one"}
    times = [begun_at, *(entry.at for entry in history), datetime.now(UTC)]
    assert times == sorted(times)
    assert list(journal.check()) == []


def test_another_process_continues_where_the_first_has_ended(emulator: Emulator, open_real: OpenReal) -> None:
    with open_real() as journal, connected(emulator, journal) as client:
        task_id = client.create("buy milk").id
        emulator.fire(task_id, "start")
        client.task(task_id).pause()

    with open_real() as journal, connected(emulator, journal) as client:
        task = client.task(task_id)
        assert task.known_state() == "paused"
        assert task.allowed() == ("resume", "stop")
        task.resume()

    assert [call.command for call in emulator.calls() if call.command] == ["pause", "resume"]


# --- a record that is deleted or damaged ------------------------------------------------------------


class Forgetful(httpx2.BaseTransport):
    """A transport that deletes the task's record while a command is under way."""

    def __init__(self, journal: SqlJournal) -> None:
        self.journal, self.inner = journal, httpx2.HTTPTransport(verify=NO_CERTIFICATES)

    def close(self) -> None:
        self.inner.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self.inner.handle_request(request)
        if request.method == "PUT":
            assert self.journal.forget(request.url.params["task_id"]) == 1
        return response


def test_a_command_whose_record_is_deleted_meanwhile_is_not_reported_as_unsent(
    emulator: Emulator, open_real: OpenReal
) -> None:
    with open_real() as journal, connected(emulator, journal) as client:
        task_id = client.create("buy milk").id
        emulator.fire(task_id, "start")
    with open_real() as journal, httpx2.Client(transport=Forgetful(journal)) as http:
        client = Client("v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK, journal=journal, http=http)
        with pytest.raises(RecordMissing, match="read the task's status to learn whether it took effect") as info:
            client.task(task_id).pause()
        assert info.value.task == task_id
        assert client.task(task_id).status() == "paused"
        assert list(journal.check()) == []


DAMAGES = [
    "state = 'zzz'",
    "claimed_at = 9e18",
    "recorded_at = -9e18",
    "fields = '[1]'",
    "fields = 'null'",
    "fields = '{not json'",
    "labels = '\"order\"'",
    "labels = '{\"order\": 5}'",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_create_that_cannot_be_read_is_reported_and_the_others_are_settled(
    emulator: Emulator, open_real: OpenReal, damage: str
) -> None:
    with open_real(worker="one") as journal, connected(emulator, journal) as client:
        if "not json" in damage and journal.database.dialect.name != "sqlite":
            pytest.skip("the column's type forbids it")
        for number in (1, 2):
            emulator.fault("drop_after", method="POST")
            with pytest.raises(CreateUncertain):
                client.create("buy milk", idempotency_key=f"key-{number}")
        with journal.database.transaction() as connection:
            connection.exec_driver_sql(f"UPDATE lifecycle_creates SET {damage} WHERE idempotency_key = 'key-1'")

        broken, sound = client.recover()
        assert isinstance(broken.error, UnreadableCreate)
        assert (broken.command, broken.is_settled, broken.error.create_id) == ("create", False, "1")
        assert isinstance(sound, RecoveredCreate)
        assert len(sound.candidates) == 2
        with pytest.raises(UnreadableCreate):
            client.create("buy milk", idempotency_key="key-1")


def test_a_create_whose_task_was_lost_from_its_record_is_unreadable(emulator: Emulator, open_real: OpenReal) -> None:
    with open_real(worker="one") as journal, connected(emulator, journal) as client:
        client.create("buy milk", idempotency_key="key-1")
        with journal.database.transaction() as connection:
            connection.exec_driver_sql("UPDATE lifecycle_creates SET task_id = ''")

        with pytest.raises(UnreadableCreate, match="it is 'done' with the task ''"):
            client.create("buy milk", idempotency_key="key-1")


# --- keys ------------------------------------------------------------------------------------------


def give(url: str, base_url: str, task_id: str, together: ProcessBarrier, answers: Any) -> None:
    """In a process of its own: dispatch the same work under the same key."""
    with SqlJournal(url) as journal, Client("v3", api_key=KEY, base_url=base_url, journal=journal) as client:
        session = client.task(task_id)
        together.wait(timeout=60)
        try:
            answers.put(session.dispatch("buy milk", idempotency_key="key-7").state)
        except CommandInFlight:
            answers.put("in flight")


def test_one_key_is_one_call_of_all_processes(emulator: Emulator, open_real: OpenReal, journal_url: str) -> None:
    with connected(emulator, open_real(), "v3") as client:
        task_id = client.create().id
        emulator.fire(task_id, "ready")
        client.task(task_id).status()
    together, answers = PROCESSES.Barrier(2), PROCESSES.Queue()
    arguments = (journal_url, emulator.base_url, task_id, together, answers)
    processes = [PROCESSES.Process(target=give, args=arguments) for _ in range(2)]

    for each in processes:
        each.start()
    for each in processes:
        each.join(timeout=60)

    said = sorted(str(answers.get(timeout=60)) for _ in processes)
    assert said in (["running", "running"], ["in flight", "running"])
    assert [each.exitcode for each in processes] == [0, 0]
    assert [call.command for call in emulator.calls() if call.command] == ["dispatch"]
    with connected(emulator, open_real(), "v3") as client:
        assert client.task(task_id).dispatch("buy milk", idempotency_key="key-7").sent


# --- recovery --------------------------------------------------------------------------------------


def left_open(emulator: Emulator, journal: SqlJournal, count: int) -> list[str]:
    """The ids of tasks whose stop was recorded by a worker that has died before it was sent."""
    with connected(emulator, journal) as client:
        names = [client.create("buy milk").id for _ in range(count)]
    for name in names:
        log = knowing(journal, "created", task=name)
        log.add_attempt(opened(log, "stop").id, number=1, claim=1)
    return names


def test_concurrent_recoveries_settle_each_command_once(emulator: Emulator, open_real: OpenReal) -> None:
    names = left_open(emulator, open_real(worker="dead", clock=lambda: START), 8)
    barrier = Barrier(2)

    def recover(worker: str) -> list[str]:
        with connected(emulator, open_real(worker=worker)) as client:
            barrier.wait()
            found = client.recover()
        left = [each for each in found if not each.is_settled]  # the other has claimed it
        assert all(isinstance(each.error, CommandInFlight) for each in left)
        return [each.task_id for each in found if each.is_settled and each.error is None]

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(recover, ("one", "two"))

    assert {*one, *other} == {*names}  # both may report one that was open when they began
    assert [emulator.task(name).state for name in names] == ["stopped"] * 8
    assert sorted(str(call.task) for call in emulator.calls() if call.command == "stop") == sorted(names)
    journal = open_real()
    assert journal.open_tasks(get("v1-full")) == []
    assert list(journal.check()) == []


def test_uncertain_command_is_recovered_by_the_next_process(emulator: Emulator, open_real: OpenReal) -> None:
    with connected(emulator, open_real()) as client:
        task = client.create("buy milk")
        task.status()
        emulator.fault("status", status_code=500, times=100)
        with pytest.raises(CommandUncertain):
            task.stop()
    emulator.clear_faults()

    with connected(emulator, open_real()) as client:
        [found] = client.recover()

    assert (found.task_id, found.command, found.error) == (task.id, "stop", None)
    assert emulator.task(task.id).state == "stopped"
    assert list(open_real().check()) == []


# --- asyncio ---------------------------------------------------------------------------------------


def test_an_event_loop_continues_while_the_database_is_locked(emulator: Emulator, open_real: OpenReal) -> None:
    journal, other = open_real(), open_real()

    async def longest_pause_s(task: asyncio.Task[Any]) -> float:
        longest_s, last_s = 0.0, monotonic()
        while not task.done():
            await asyncio.sleep(0.005)
            longest_s, last_s = max(longest_s, monotonic() - last_s), monotonic()
        return longest_s

    async def stop_while_locked() -> float:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient(
                "v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK, journal=journal, http=http
            ) as client,
        ):
            task = await client.create("buy milk")
            await task.status()
            with other.database.transaction() as connection:
                connection.exec_driver_sql("UPDATE lifecycle_tasks SET version = version")
                stopping = asyncio.ensure_future(task.stop())
                longest_s = await longest_pause_s(asyncio.ensure_future(asyncio.sleep(1)))
                assert not stopping.done()
            assert (await stopping).state == "stopped"
            return longest_s

    assert asyncio.run(stop_while_locked()) < 0.9
