"""Processes that run DBOS: the data that they store, and what they recover after a real kill."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS, DBOSPortableJSONSerializer

from lifecycle_adapters.dbos import RecoveryNotConfigured, Supervision, serving
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient
from lifecycle_adapters.journal import RecordedCommand, SqlJournal
from tests.adapters.test_dbos import (
    KEY,
    OFTEN,
    QUICK,
    TIME_LIMIT_S,
    calls_of,
    config_of,
    eventually,
    lives,
    result_of,
    running_task,
    supervision_of,
)
from tests.support.pages import examples

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(manual=True) as emulator:
        yield emulator


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/dbos.sqlite"


# --- one process ------------------------------------------------------------------------------------


def test_serving_works_inside_an_event_loop(emulator: Emulator, url: str) -> None:
    task_id = running_task(emulator)
    supervision = supervision_of(emulator)

    async def main() -> str:
        with serving(config_of(url), supervision):
            handle = await asyncio.to_thread(supervision.follow, task_id)
            emulator.fire(task_id, "finish")
            return await asyncio.to_thread(result_of, handle)

    assert asyncio.run(main()) == "finished"


def test_the_stored_data_is_plain_and_holds_no_key(emulator: Emulator, tmp_path: Path) -> None:
    task_id = running_task(emulator)
    supervision = supervision_of(emulator)
    config = config_of(f"sqlite:///{tmp_path}/dbos.sqlite")
    config["serializer"] = DBOSPortableJSONSerializer()

    with serving(config, supervision):
        handle = supervision.follow(task_id)
        supervision.send(task_id, "pause", reason="lunch")
        supervision.send(task_id, "stop")
        result_of(handle)
        stored = b"".join(each.read_bytes() for each in tmp_path.iterdir())

    assert b"lunch" in stored
    assert KEY.encode() not in stored


# --- death and recovery -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Worker:
    """A process that follows a task, and stops it at once if `stops` is true; it can be killed at any time.

    `writer` is its name in the journal, if that is another one.
    """

    base_url: str
    url: str
    task_id: str
    journal: str
    name: str = "worker-1"
    writer: str = ""
    version: str = "1"
    stops: bool = False

    def supervision(self, journal: SqlJournal) -> Supervision:
        client = AsyncClient("v1", api_key=KEY, base_url=self.base_url, timing=QUICK, journal=journal)
        return Supervision(client, name="mortal", limits=OFTEN)

    def run(self) -> None:
        with SqlJournal(self.journal, worker=self.writer or self.name, lease_s=2.0) as journal:
            supervision = self.supervision(journal)
            with serving(config_of(self.url, worker=self.name, version=self.version), supervision):
                handle = supervision.follow(self.task_id)
                if self.stops:
                    supervision.send(self.task_id, "stop", idempotency_key="enough")
                result_of(handle)

    @contextmanager
    def running(self) -> Generator[BaseProcess]:
        process = multiprocessing.get_context("spawn").Process(target=self.run)
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()


def kill_in_the_middle_of_a_stop(worker: Worker, emulator: Emulator) -> None:
    with replace(worker, stops=True).running() as process:
        eventually(lambda: calls_of(emulator, worker.task_id, "stop"))
        process.kill()
        process.join()


def end(worker: Worker) -> None:
    with worker.running() as process:
        process.join(TIME_LIMIT_S)
        assert process.exitcode == 0


@pytest.fixture
def worker(emulator: Emulator, url: str, tmp_path: Path) -> Worker:
    return Worker(emulator.base_url, url, running_task(emulator), str(tmp_path / "journal.db"))


HAPPENED = pytest.param("delay_after", 1, id="it happened")
DID_NOT = pytest.param("delay", 2, id="it did not happen")


def recovers(worker: Worker, emulator: Emulator, fault: str, sent: int) -> None:
    emulator.fault(fault, command="stop", task=worker.task_id, seconds=600)
    kill_in_the_middle_of_a_stop(worker, emulator)

    end(worker)

    assert emulator.task(worker.task_id).state == "stopped"
    assert [each.applied for each in calls_of(emulator, worker.task_id, "stop")].count(True) == 1
    with SqlJournal(worker.journal) as journal:
        [*_, last] = [each for each in journal.history(worker.task_id) if isinstance(each, RecordedCommand)]
        assert (last.idempotency_key, last.state) == ("enough", "done")
        assert last.attempts == sent == len(calls_of(emulator, worker.task_id, "stop"))
        assert list(journal.check()) == []


@pytest.mark.heavy
@pytest.mark.parametrize(("fault", "sent"), [HAPPENED, DID_NOT])
def test_a_worker_killed_in_the_middle_of_a_stop_is_recovered_by_its_successor(
    worker: Worker, emulator: Emulator, fault: str, sent: int
) -> None:
    recovers(worker, emulator, fault, sent)


@pytest.mark.heavy
@pytest.mark.parametrize(("fault", "sent"), [HAPPENED, DID_NOT])
def test_worker_killed_during_a_stop_is_recovered_on_postgresql(
    worker: Worker, emulator: Emulator, postgres_url: str, fault: str, sent: int
) -> None:
    recovers(replace(worker, url=postgres_url, journal=postgres_url), emulator, fault, sent)


@pytest.mark.heavy
def test_a_worker_with_another_name_waits_for_the_lease(worker: Worker, emulator: Emulator) -> None:
    emulator.fault("delay", command="stop", task=worker.task_id, seconds=600)
    kill_in_the_middle_of_a_stop(worker, emulator)

    end(replace(worker, writer="worker-2"))

    with SqlJournal(worker.journal) as journal:
        assert lives(journal, worker.task_id)[-1] == "done"
    assert emulator.task(worker.task_id).state == "stopped"
    assert len(calls_of(emulator, worker.task_id, "stop")) == 2


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "version"), [("worker-2", "1"), ("worker-1", "2")], ids=["name", "version"])
def test_work_of_another_name_or_version_is_not_recovered(
    worker: Worker, emulator: Emulator, name: str, version: str
) -> None:
    emulator.fault("delay_after", command="stop", task=worker.task_id, seconds=600)
    kill_in_the_middle_of_a_stop(worker, emulator)
    another_task = running_task(emulator)
    emulator.fire(another_task, "finish")

    end(replace(worker, task_id=another_task, name=name, version=version))  # it is running and follows tasks

    with SqlJournal(worker.journal) as journal:
        assert lives(journal, worker.task_id)[-1] == "recorded"
    end(worker)
    with SqlJournal(worker.journal) as journal:
        assert lives(journal, worker.task_id)[-1] == "done"


@pytest.mark.heavy
def test_the_documented_program_runs_unchanged_and_can_be_restarted(emulator: Emulator, tmp_path: Path) -> None:
    [program] = [each.text for each in examples("docs/how-to/dbos.md") if each.language == "python"]
    (tmp_path / "supervise.py").write_text(program, encoding="utf-8")
    task_id = running_task(emulator)
    environment = {
        "WORKER": "worker-0", "BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url,
        "PATH": os.defpath, "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [sys.executable, "supervise.py", task_id]

    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as first:
        eventually(lambda: calls_of(emulator, task_id, "status"))
        first.kill()
    emulator.fire(task_id, "finish")
    second = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=TIME_LIMIT_S
    )

    assert second.stdout == f"v1:{task_id} finished\n"
    assert KEY not in second.stderr


@pytest.mark.parametrize("missing", ["executor_id", "application_version"])
def test_a_configuration_without_both_pins_is_refused(url: str, missing: str) -> None:
    config: Any = config_of(url)
    del config[missing]

    with pytest.raises(RecoveryNotConfigured, match=f"must set {missing}"), serving(config):
        pytest.fail("it was served")


def test_a_dbos_with_another_configuration_is_refused_and_not_changed(url: str) -> None:
    config = config_of(url)
    DBOS(config={**config, "executor_id": "local"})
    try:
        with pytest.raises(RecoveryNotConfigured, match="another configuration"), serving(config):
            pytest.fail("it was served")

        assert DBOS.executor_id == "local"
    finally:
        DBOS.destroy()


def test_a_supervision_can_be_served_only_once(emulator: Emulator, url: str) -> None:
    supervision = supervision_of(emulator)
    with serving(config_of(url), supervision):
        pass

    with pytest.raises(ValueError, match="was served before"), serving(config_of(url), supervision):
        pytest.fail("it was served")
