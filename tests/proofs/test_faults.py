"""Real failures of the environment: clear errors, and after the repair nothing is lost or done twice.

The disk is full; the database is locked, restarts, is killed, is unavailable for a minute; clocks jump; the network
drops and delays responses, and delivers requests twice. The client drives the emulator over real HTTP; in the end the
journal agrees with the emulator's call log, call by call.
"""

from __future__ import annotations

import os
import random
import resource
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Self

import httpx2
import psycopg
import pytest

from lifecycle import V1_FULL, CommandInFlight, CommandUncertain, LifecycleError, V1State, V3State
from lifecycle.journal import CommandRecord, Report, TaskReport
from lifecycle_adapters.emulator import Emulator, FaultKind
from lifecycle_adapters.http import Client, Task
from lifecycle_adapters.journal import JournalUnavailable, RecordedCommand, SqlJournal
from lifecycle_adapters.journal.database import TransactionMode
from tests.adapters.journal.acting import knowing
from tests.conftest import StartPostgres
from tests.proofs.agreement import Recorded, all_tasks, disagreements
from tests.proofs.witness import IMPATIENT, PROCESSES, Witness, clients
from tests.support.postgres import PostgresServer

LEASE_S = 1.0

Worker = tuple[Witness, dict[str, Client]]


@contextmanager
def working(url: str, base_url: str, name: str = "worker") -> Generator[Worker]:
    with Witness(url, worker=name, lease_s=LEASE_S) as journal, clients(journal, base_url) as by_api:
        yield journal, by_api


def begun(client: Client) -> Task:
    """Return a running task that runs until it is stopped."""
    task = client.create("Work [remote: start]")
    while task.status() != V1State.RUNNING:
        time.sleep(0.01)
    return task


def toggle(task: Task) -> None:
    (task.resume if task.known_state() == V1State.PAUSED else task.pause)()


def agreed(url: str, emulator: Emulator) -> Recorded:
    """Let another worker recover, and return the record, which must agree with the service's calls."""
    with working(url, emulator.base_url, "the last") as (journal, by_api):
        for client in by_api.values():
            client.recover()
        for task in emulator.tasks("v1"):
            assert by_api["v1"].task(task.id).status() == emulator.task(task.id).state
        recorded = Recorded(journal)
    assert list(disagreements(recorded, emulator.calls())) == []
    return recorded


# --- the disk fills -------------------------------------------------------------------------------

BATCH = 100


def endure_a_full_disk(
    url: str, base_url: str, *, limit: Callable[[Witness], None], free: Callable[[Witness], None]
) -> None:
    """Record until the disk is full, then fail to continue, then continue once there is room."""
    with working(url, base_url) as (journal, by_api):
        task = begun(by_api["v1"])
        toggle(task)

        limit(journal)
        with pytest.raises(JournalUnavailable):
            fill(journal)
        assert (len(list(all_tasks(journal))) - 1) % BATCH == 0  # no batch is stored in part
        for _ in range(5):
            with suppress(JournalUnavailable, CommandUncertain, CommandInFlight):
                toggle(task)

        free(journal)
        time.sleep(LEASE_S)
        by_api["v1"].recover()
        before = task.known_state()
        toggle(task)
        assert task.known_state() != before


def fill(journal: Witness) -> None:
    """Record many reports in atomic batches."""
    for number in range(1000):
        now = datetime.now(UTC)
        ids = (f"{number}-{each}-{'x' * 500}" for each in range(BATCH))
        journal.add_reports([TaskReport(V1_FULL, task_id, Report("running", now)) for task_id in ids])


def set_most_pages(journal: Witness, *, more: int) -> None:
    with journal.database.transaction(TransactionMode.READ) as connection:
        pages: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")


def test_a_database_at_its_size_limit_is_unavailable_until_it_may_grow(tmp_path: Path, emulator: Emulator) -> None:
    path = str(tmp_path / "journal.db")

    endure_a_full_disk(
        path,
        emulator.base_url,
        limit=lambda journal: set_most_pages(journal, more=100),
        free=lambda journal: set_most_pages(journal, more=10_000),
    )

    assert agreed(path, emulator).open_commands() == []


def endure_small_files(url: str, base_url: str) -> None:
    """Simulate a full disk by a process limit on the size of files. (Python ignores SIGXFSZ.)"""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = 1_000_000
    endure_a_full_disk(
        url,
        base_url,
        limit=lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (size, most)),
        free=lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )


def test_files_at_their_size_limit_are_unavailable_until_they_may_grow(tmp_path: Path, emulator: Emulator) -> None:
    path = str(tmp_path / "journal.db")
    process = PROCESSES.Process(target=endure_small_files, args=(path, emulator.base_url))

    process.start()
    process.join()

    assert process.exitcode == 0
    assert agreed(path, emulator).open_commands() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 2 MB, if the tests may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_journal_on_a_full_disk_can_be_read(small_disk: Path) -> None:
    path, other = small_disk / "journal.db", small_disk / "of somebody else"
    with SqlJournal(path) as journal:
        knowing(journal, "created")
    with suppress(OSError), other.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert os.statvfs(small_disk).f_bavail == 0

    with SqlJournal(path, read_only=True) as journal:
        assert [each.state for each in journal.tasks().tasks] == ["created"]
        assert list(journal.check()) == []
    assert {each.name for each in small_disk.iterdir()} == {path.name, other.name}


def test_a_full_disk_is_unavailable_until_it_has_room(small_disk: Path, emulator: Emulator) -> None:
    path, other = str(small_disk / "journal.db"), small_disk / "of somebody else"

    def take_most_room(_: Witness) -> None:
        room = os.statvfs(small_disk)
        other.write_bytes(bytes(room.f_bavail * room.f_bsize - 200_000))

    endure_a_full_disk(path, emulator.base_url, limit=take_most_room, free=lambda _: other.unlink())

    assert agreed(path, emulator).open_commands() == []


# --- the database is locked -----------------------------------------------------------------------


def lock(url: str, seconds: float, is_locked: Event) -> None:
    """Lock the database for a while."""
    if url.startswith("postgresql"):
        with psycopg.connect(url.replace("+psycopg", "")) as postgres:
            postgres.execute("LOCK TABLE lifecycle_tasks IN ACCESS EXCLUSIVE MODE")
            is_locked.set()
            time.sleep(seconds)
    else:
        sqlite = sqlite3.connect(url, isolation_level=None)
        sqlite.execute("BEGIN IMMEDIATE")
        is_locked.set()
        time.sleep(seconds)
        sqlite.close()


@contextmanager
def locked(url: str, seconds: float) -> Generator[None]:
    """Another process has locked the database."""
    is_locked = PROCESSES.Event()
    process = PROCESSES.Process(target=lock, args=(url, seconds, is_locked))
    process.start()
    try:
        assert is_locked.wait(60)
        yield
    finally:
        process.kill()
        process.join()


def test_a_lock_is_waited_for(url: str) -> None:
    with Witness(url, worker="worker") as journal:
        log = journal.task(V1_FULL, "task-1")
        with locked(url, 0.5):
            begun_s = time.monotonic()
            log.add_report(Report("running", datetime.now(UTC)))
            waited_s = time.monotonic() - begun_s
        state = log.load().state

    assert waited_s > 0.3
    assert state == V1State.RUNNING


@pytest.mark.heavy
def test_a_lock_that_is_not_released_is_a_clear_error(url: str, emulator: Emulator) -> None:
    with working(url, emulator.base_url) as (_, by_api):
        task = begun(by_api["v1"])
        with locked(url, 300), pytest.raises(JournalUnavailable, match="lock"):
            task.pause()
        task.pause()

    assert agreed(url, emulator).open_commands() == []


# --- PostgreSQL stops and restarts ----------------------------------------------------------------


class Commanding:
    """Sends commands in a thread, with any outcome, while it is entered."""

    def __init__(self, url: str, base_url: str, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._place = (url, base_url)
        self._rng = random.Random(seed)
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._pool = opened.enter_context(ThreadPoolExecutor(1))
            opened.callback(self._is_over.set)
            _, by_api = opened.enter_context(working(*self._place))
            tasks = [begun(by_api["v1"]) for _ in range(4)]
            self._sending = self._pool.submit(self._send, tasks)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        wait([self._sending])
        self._opened.close()

    def wait_for_success(self) -> None:
        """Return once commands succeed again: at once, except for commands that wait for a lease."""
        before, end_s = self.outcomes["done"], time.monotonic() + 60
        while self.outcomes["done"] == before:
            if self._sending.done():
                self._sending.result()  # raises what ended it
            assert time.monotonic() < end_s, self.outcomes
            time.sleep(0.01)

    def _send(self, tasks: Sequence[Task]) -> None:
        while not self._is_over.wait(0.002):
            self.outcomes[self._send_one(self._rng.choice(tasks))] += 1

    def _send_one(self, task: Task) -> str:
        try:
            toggle(task)
        except CommandInFlight:
            with suppress(LifecycleError):
                task.recover()
            return "in flight"
        except LifecycleError as error:
            return type(error).__name__
        return "done"


OUTAGES: dict[str, Callable[[PostgresServer], None]] = {
    "stopped in good order": lambda server: server.stop("fast"),
    "stopped at once": lambda server: server.stop("immediate"),
    "killed": lambda server: server.kill(),
}


def go_and_come_back(
    server: PostgresServer, emulator: Emulator, outages: Iterable[str], *, gone_s: float, seed: int
) -> None:
    """Send commands while the server stops and restarts; require that the record is true in the end."""
    url = server.create_database()
    with Commanding(url, emulator.base_url, seed) as commanding:
        commanding.wait_for_success()
        for outage in outages:
            OUTAGES[outage](server)
            time.sleep(gone_s)
            server.start()
            commanding.wait_for_success()
    time.sleep(LEASE_S)

    assert agreed(url, emulator).open_commands() == []
    assert commanding.outcomes.keys() <= {"done", "in flight", "JournalUnavailable", "CommandUncertain"}
    assert commanding.outcomes["JournalUnavailable"]


@pytest.mark.heavy
def test_journal_is_correct_after_the_database_restarts(
    start_postgres: StartPostgres, emulator: Emulator, seed: int
) -> None:
    go_and_come_back(start_postgres(), emulator, OUTAGES, gone_s=0.3, seed=seed)


@pytest.mark.heavy
def test_journal_is_correct_after_a_minute_of_database_outage(
    start_postgres: StartPostgres, emulator: Emulator, seed: int
) -> None:
    go_and_come_back(start_postgres(), emulator, ["killed"], gone_s=60, seed=seed)


# --- clocks jump ----------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def an_hour_ahead() -> datetime:
    return now() + HOUR


def dispatch_an_hour_ahead(url: str, base_url: str, clock: Callable[[], datetime]) -> None:
    """Dispatch work as a process does whose wall clock is an hour ahead; `clock` is that of its journal."""
    wall_s = time.time
    with pytest.MonkeyPatch.context() as patch, Witness(url, worker="worker", clock=clock) as journal:
        patch.setattr(time, "time", lambda: wall_s() + HOUR.total_seconds())
        with clients(journal, base_url) as by_api:
            session = by_api["v3"].create(keepAlive=True)
            session.wait()
            session.dispatch("Work", keepAlive=True)


@pytest.mark.parametrize("clock", [an_hour_ahead, now], ids=["of journal and client", "of the client"])
def test_a_report_after_a_clock_was_set_back_is_applied(
    url: str, emulator: Emulator, clock: Callable[[], datetime]
) -> None:
    # Another process: a client's clock does not run backwards as long as its process lives.
    process = PROCESSES.Process(target=dispatch_an_hour_ahead, args=(url, emulator.base_url, clock))
    process.start()
    process.join()
    assert process.exitcode == 0
    [ahead] = emulator.tasks("v3")
    emulator.advance(1)  # the task completes

    with working(url, emulator.base_url) as (_, by_api):
        session = by_api["v3"].task(ahead.id)
        assert session.status() == V3State.IDLE
        session.dispatch("More work", keepAlive=True)
        session.stop()

    assert agreed(url, emulator).open_commands() == []
    assert emulator.task(ahead.id).state == V3State.STOPPED


def test_a_claim_from_the_future_can_be_taken_by_any_worker(url: str, emulator: Emulator) -> None:
    with Witness(url, worker="gone", clock=an_hour_ahead) as journal, clients(journal, emulator.base_url) as by_api:
        task = begun(by_api["v1"])
        opened = task.journal.add_intent("pause", source="running", version=task.journal.load().version, fields={})
        assert isinstance(opened, CommandRecord)
        task.journal.add_attempt(opened.id, number=1, claim=1)

    with Witness(url, worker="other") as journal, clients(journal, emulator.base_url) as by_api:
        [recovered] = by_api["v1"].recover()

    assert recovered.is_settled
    assert emulator.task(task.id).state == V1State.PAUSED
    assert agreed(url, emulator).open_commands() == []


def test_command_is_not_doubled_after_a_clock_jump(url: str, emulator: Emulator) -> None:
    with working(url, emulator.base_url) as (_, alive), ThreadPoolExecutor() as pool:
        session = alive["v3"].create(keepAlive=True)
        session.wait()
        emulator.fault(FaultKind.DELAY, command="dispatch", seconds=1.0)
        dispatching = pool.submit(session.dispatch, "Work", keepAlive=True)
        while not any(call.command == "dispatch" for call in emulator.calls()):
            time.sleep(0.001)
        with Witness(url, worker="jumped", clock=an_hour_ahead) as journal, clients(journal, emulator.base_url) as late:
            [taken_up] = late["v3"].recover()
        result = dispatching.result()

    # The outcome was unknown and nothing was sent, unless the other worker had already recorded its proof.
    assert taken_up.error is None or isinstance(taken_up.error, CommandUncertain)
    assert result.sent
    assert agreed(url, emulator).open_commands() == []
    assert len([call for call in emulator.calls() if call.command == "dispatch"]) == 1


# --- the network fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FaultKind.DROP_AFTER, FaultKind.DROP_BEFORE, FaultKind.FAIL_AFTER])
def test_commands_without_responses_are_settled_once_the_network_works(
    url: str, emulator: Emulator, kind: FaultKind
) -> None:
    with working(url, emulator.base_url) as (_, by_api):
        task, session = begun(by_api["v1"]), by_api["v3"].create(keepAlive=True)
        session.wait()
        emulator.fault(kind, times=1000)
        with pytest.raises(CommandUncertain):
            task.pause()
        emulator.clear_faults()
        emulator.fault(kind, times=1000, method="POST")  # a dispatch is preceded by a read
        with pytest.raises(CommandUncertain):
            session.dispatch("Work", keepAlive=True)

    [left_open] = agreed_after(emulator, url)
    assert (left_open.command, left_open.state, left_open.attempts) == ("dispatch", "uncertain", 1)
    assert emulator.task(task.id).state == V1State.PAUSED


def agreed_after(emulator: Emulator, url: str) -> list[RecordedCommand]:
    """Return the commands that are still open once the network works again."""
    emulator.clear_faults()
    return agreed(url, emulator).open_commands()


def test_commands_that_arrive_late_cause_only_recorded_changes(url: str, emulator: Emulator) -> None:
    with Witness(url, worker="worker") as journal:
        with clients(journal, emulator.base_url) as by_api:
            task_id = begun(by_api["v1"]).id
        emulator.fault(FaultKind.DELAY, command="pause", seconds=0.5)  # longer than the client waits
        with clients(journal, emulator.base_url, timing=IMPATIENT) as by_api, suppress(CommandUncertain):
            by_api["v1"].task(task_id).pause()
    while any(call.status_code is None for call in emulator.calls()):
        time.sleep(0.01)

    assert agreed_after(emulator, url) == []
    assert emulator.task(task_id).state == V1State.PAUSED


class Doubling(httpx2.HTTPTransport):
    """A network that delivers every command twice, and only the second response."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "GET":
            super().handle_request(request).read()
        return super().handle_request(request)


def test_commands_that_arrive_twice_are_applied_once(url: str, emulator: Emulator) -> None:
    with Witness(url, worker="worker") as journal:
        with clients(journal, emulator.base_url) as by_api:
            task_id = begun(by_api["v1"]).id
        with clients(journal, emulator.base_url, transport=Doubling()) as by_api:
            task = by_api["v1"].task(task_id)
            for give in (task.pause, task.resume, task.stop):
                assert give().sent
        recorded = Recorded(journal)

    assert [(each.command, each.state) for each in recorded.commands.values()] == [
        ("pause", "done"), ("resume", "done"), ("stop", "done")
    ]  # fmt: skip
    assert recorded.damages == []
    assert len([call for call in emulator.calls() if call.command]) == 6
