"""Contention: eight processes send conflicting commands to the same few tasks, over one journal.

The record is linearizable, which linear.py checks from each process's results and their times. The service received no
command that was not recorded, and none twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier

import pytest
from sqlalchemy import event

from lifecycle import V1_FULL, KeyReused
from lifecycle.journal import Report, TaskReport
from lifecycle_adapters.emulator import Emulator, FaultKind
from lifecycle_adapters.http import Client
from lifecycle_adapters.journal.transactions import enter_reports
from tests.proofs.agreement import Recorded, disagreements
from tests.proofs.life import NO
from tests.proofs.linear import disorder
from tests.proofs.witness import PROCESSES, Operation, Witness, clients

WORKERS = 8
TASKS_AT_A_TIME = 2


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one process: `commands` commands on these tasks, on a few of them at a time."""

    worker: str
    url: str
    base_url: str
    tasks: Sequence[str]
    commands: int
    seed: int


def contend(work: Work) -> list[Operation]:
    """Send commands at the same time as all other processes, and return the operations with their results."""
    rng = random.Random(work.seed)
    with Witness(work.url, worker=work.worker) as journal, clients(journal, work.base_url) as by_api:
        _together.wait()
        for number in range(work.commands):
            first = number * (len(work.tasks) - TASKS_AT_A_TIME + 1) // work.commands
            _give_one(by_api["v1"], rng.choice(work.tasks[first : first + TASKS_AT_A_TIME]), rng)
        return journal.operations


def _give_one(client: Client, task: str, rng: random.Random) -> None:
    [command] = rng.choices(["pause", "resume", "stop"], [20, 20, 1])
    key = rng.choice([None, f"{command} {rng.randrange(4)}", f"any {rng.randrange(4)}"])
    with suppress(*NO, KeyReused):  # most are refused or in conflict; any other exception is a failure
        if rng.random() < 0.1:
            client.task(task).recover()
        else:
            client.task(task).send(command, idempotency_key=key, reason=f"{rng.random()}")


def _meet(together: Barrier) -> None:
    global _together  # noqa: PLW0603
    _together = together


_together: Barrier


@dataclass
class Contest:
    """One journal and one service for all processes."""

    url: str
    emulator: Emulator
    rng: random.Random

    def run(self, *, tasks: int, commands: int) -> None:
        """Let all processes contend, and check the record that they leave."""
        Witness(self.url, worker="the first").close()
        ids = self._create(tasks)
        self._arm_faults(commands)
        operations = self._contend(ids, commands)
        self.emulator.clear_faults()

        with Witness(self.url, worker="the last") as journal:
            self.settle(journal)
            recorded = Recorded(journal)
            histories = {task: journal.history(task, V1_FULL.name) for task in ids}
            operations += journal.operations
        assert list(disagreements(recorded, self.emulator.calls())) == []
        assert recorded.open_commands() == []
        self.histories = histories
        self.operations = {task: [each for each in operations if each.task == task] for task in ids}
        for task in ids:
            found = disorder(V1_FULL, histories[task], self.operations[task])
            assert found is None, found

    def settle(self, journal: Witness) -> None:
        with clients(journal, self.emulator.base_url) as by_api:
            assert all(each.is_settled for each in by_api["v1"].recover())

    def _create(self, tasks: int) -> list[str]:
        with Client("v1", base_url=self.emulator.base_url, api_key="any") as client:
            ids = [client.create("Work [remote: start]").id for _ in range(tasks)]
        self.emulator.advance(1.0)
        return ids

    def _arm_faults(self, count: int) -> None:
        for _ in range(count):
            kind = self.rng.choice([FaultKind.FAIL_AFTER, FaultKind.DROP_AFTER, FaultKind.DROP_BEFORE])
            self.emulator.fault(kind, command=self.rng.choice(["pause", "resume"]))

    def _contend(self, tasks: Sequence[str], commands: int) -> list[Operation]:
        base_url = self.emulator.base_url
        works = [
            Work(f"worker {number}", self.url, base_url, tasks, commands, self.rng.randrange(2**32))
            for number in range(WORKERS)
        ]
        together = PROCESSES.Barrier(WORKERS, timeout=60.0)
        with ProcessPoolExecutor(WORKERS, PROCESSES, initializer=_meet, initargs=(together,)) as pool:
            return [operation for operations in pool.map(contend, works) for operation in operations]


@pytest.fixture
def contest(url: str, emulator: Emulator, seed: int) -> Contest:
    return Contest(url, emulator, random.Random(seed))


def test_journal_of_eight_processes_is_linearizable(contest: Contest) -> None:
    contest.run(tasks=2, commands=10)


@pytest.mark.heavy
@pytest.mark.parametrize("contest_of_ten", range(5))
def test_long_journal_of_eight_processes_is_linearizable(contest: Contest, contest_of_ten: int) -> None:
    contest.run(tasks=12, commands=80)


def test_a_worker_that_waited_for_a_lock_uses_the_time_after_the_wait(url: str) -> None:
    times = [BEGUN_AT]
    task = (V1_FULL, "task-1")
    with (
        Witness(url, worker="first", clock=lambda: times[-1]) as first,
        Witness(url, worker="second", clock=lambda: times[-1]) as second,
        ThreadPoolExecutor() as pool,
    ):
        first.declared.ensure([V1_FULL])
        with first.database.transaction() as connection:
            enter_reports(connection, first.writer(), [TaskReport(*task, Report("running", BEGUN_AT))])
            waiting = pool.submit(second.task(*task).add_report, Report("paused", BEGUN_AT + timedelta(seconds=1)))
            time.sleep(0.3)  # long enough that it waits; if it does not yet, the test proves less
            times.append(BEGUN_AT + timedelta(seconds=2))
            enter_reports(connection, first.writer(), [TaskReport(*task, Report("running", times[-1]))])

        record = waiting.result()

    assert (record.state, record.as_of) == ("running", times[-1])


def test_a_task_that_another_worker_inserts_is_locked_before_it_is_changed(postgres_url: str) -> None:
    task = (V1_FULL, "task-1")
    with Witness(postgres_url, worker="first") as first, Witness(postgres_url, worker="second") as second:
        # After the second's attempt to lock the task, which is not there yet, and after the statement that follows.
        meanwhile = [Report("stopped", BEGUN_AT), Report("running", BEGUN_AT)]

        def after_statement(*_: object) -> None:
            if meanwhile:
                first.task(*task).add_report(meanwhile.pop())

        second.declared.ensure([V1_FULL])
        with second.database.transaction() as connection:
            event.listen(connection, "after_cursor_execute", after_statement)
            enter_reports(connection, second.writer(), [TaskReport(*task, Report("paused", BEGUN_AT))])

        assert list(second.check()) == []
        assert second.task(*task).load().state == "stopped"


BEGUN_AT = datetime(2026, 1, 1, tzinfo=UTC)
