"""Real death: a worker is killed at random times, and its journal still agrees with the service's calls.

The worker (life.py) is a process that drives the emulator over real HTTP, while responses fail, are lost and are late.
It dies by SIGKILL; its successor has the same name and resumes its commands at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lifecycle.errors import CommandUncertain
from lifecycle_adapters.emulator import Emulator, FaultKind
from lifecycle_adapters.http import Client, RecoveredCreate
from tests.conftest import StartPostgres
from tests.proofs.agreement import API_OF, LIFECYCLES, Recorded, disagreements
from tests.proofs.life import CREATE, WORKER, Diary, live
from tests.proofs.witness import PROCESSES, Witness, clients

LONGEST_LIFE_S = 0.8
LONGEST_DELAY_S = 0.4  # some are longer than the client waits
LIVES = 10

# The meaning of a worker's result for its command.
STATES = {
    "CommandResult": {"done"},
    "CommandRefused": {"refused"},
    "TaskEndedFirst": {"ended_first"},
    "CommandUncertain": {"recorded", "uncertain", "done", "refused", "ended_first", "abandoned"},
}


@dataclass
class Story:
    """A sequence of workers on one journal and one service."""

    url: str
    emulator: Emulator
    diary: Path
    rng: random.Random
    lives: int = field(default=0, init=False)

    def live_and_die(self, during: Callable[[], object] = lambda: None) -> None:
        """Run a worker for a while, kill it, and check the record that it leaves."""
        self.lives += 1
        self._arm_faults()
        seed = self.rng.randrange(2**32)
        is_born = PROCESSES.Event()
        worker = PROCESSES.Process(target=live, args=(self.url, self.emulator.base_url, self.diary, seed, is_born))
        worker.start()
        assert is_born.wait(60), "the worker was not born"
        time.sleep(self.rng.uniform(0, LONGEST_LIFE_S))
        during()
        worker.kill()
        worker.join()
        worker.close()
        self.emulator.clear_faults()
        self._find_nothing(self._wrong())

    def recover(self) -> None:
        """Let a successor recover; require that only commands with an unknowable outcome stay open."""
        self._wait_for_delayed_calls()
        with Witness(self.url, worker=WORKER) as journal, clients(journal, self.emulator.base_url) as by_api:
            for client in by_api.values():
                # Only a person can decide which task a create made; test_death_of_a_create.py covers that.
                recovered = [each for each in client.recover() if not isinstance(each, RecoveredCreate)]
                errors = [each.error for each in recovered if isinstance(each.error, CommandUncertain)]
                assert len(errors) == len([each for each in recovered if not each.is_settled])
            recorded = Recorded(journal)
            self._find_nothing(self._left_open(recorded))
            self._find_nothing(self._states_differ(recorded, by_api))
        self._find_nothing(self._wrong())

    def _arm_faults(self) -> None:
        for _ in range(self.rng.randrange(6)):
            kind = self.rng.choice(list(FaultKind))
            method = self.rng.choice(["GET", "POST", "PUT", "PATCH"])
            status_code = self.rng.choice([500, 503, 429]) if kind is FaultKind.STATUS else None
            is_delay = kind in (FaultKind.DELAY, FaultKind.DELAY_AFTER)
            seconds = self.rng.uniform(0.001, LONGEST_DELAY_S) if is_delay else 0.0
            self.emulator.fault(kind, method=method, status_code=status_code, seconds=seconds)

    def _wait_for_delayed_calls(self) -> None:
        """Wait until the service has handled the delayed calls."""
        while any(call.fault in (FaultKind.DELAY, FaultKind.DELAY_AFTER) and call.status_code is None
                  for call in self.emulator.calls()):  # fmt: skip
            time.sleep(0.01)

    def _wrong(self) -> Iterator[str]:
        calls = self.emulator.calls()
        with Witness(self.url, worker="the reader") as journal:
            recorded = Recorded(journal)
        yield from disagreements(recorded, calls)
        yield from self._forgotten(recorded)

    def _forgotten(self, recorded: Recorded) -> Iterator[str]:
        """Return the worker's results that the journal does not hold."""
        diary = Diary(self.diary).read()
        yield from diary.crashes
        known = {row.task_id for row in recorded.tasks}
        by_name = {(each.task_id, each.idempotency_key or each.reason): each for each in recorded.commands.values()}
        for number, entry in diary.outcomes.items():
            intent, outcome = diary.intents[number], entry["outcome"]
            if outcome == CREATE and entry["task"] not in known:
                yield f"{intent} made {entry['task']}, which is not known"
            is_recorded = outcome in STATES and (intent.key is not None or entry.get("sent", True))
            if is_recorded and intent.task is not None:
                command = by_name.get((intent.task, intent.key or intent.reason))
                if command is None or command.state not in STATES[outcome]:
                    yield f"{intent} returned {entry}; recorded is {command}"

    def _left_open(self, recorded: Recorded) -> Iterator[str]:
        for command in recorded.open_commands():
            event = LIFECYCLES[command.lifecycle].event(command.command)
            if event.idempotent or command.state != "uncertain":
                yield f"recovery left open: {command}"

    def _states_differ(self, recorded: Recorded, by_api: dict[str, Client]) -> Iterator[str]:
        for row in recorded.tasks:
            is_over = row.state is not None and LIFECYCLES[row.lifecycle].is_final(row.state)
            state = row.state if is_over else by_api[API_OF[row.lifecycle]].task(row.task_id).status()
            if state != self.emulator.task(row.task_id).state:
                yield f"{row.task_id} is {self.emulator.task(row.task_id).state}, recorded is {state}"

    def _find_nothing(self, findings: Iterator[str]) -> None:
        found = list(findings)
        assert not found, f"after {self.lives} lives:\n" + "\n".join(found)


@pytest.fixture
def story(url: str, emulator: Emulator, tmp_path: Path, seed: int) -> Story:
    return Story(url, emulator, tmp_path / "diary", random.Random(seed))


def kill_often(story: Story, lives: int, during: Callable[[], object] = lambda: None) -> None:
    for _ in range(lives):
        story.live_and_die(during)
        if story.rng.random() < 0.5:  # otherwise the next worker recovers, and may die in the middle
            story.recover()
    story.recover()


def test_journal_of_a_killed_worker_is_correct(story: Story) -> None:
    kill_often(story, 3)


@pytest.mark.heavy
@pytest.mark.parametrize("story_of_ten", range(10))
def test_journal_of_a_hundred_killed_workers_is_correct(story: Story, story_of_ten: int) -> None:
    kill_often(story, LIVES)


@pytest.mark.heavy
def test_journal_is_correct_if_the_database_is_killed_too(
    start_postgres: StartPostgres, emulator: Emulator, tmp_path: Path, seed: int
) -> None:
    server = start_postgres()
    story = Story(server.create_database(), emulator, tmp_path / "diary", random.Random(seed))

    def crash() -> None:
        server.kill()
        time.sleep(story.rng.uniform(0, 0.2))
        server.start()
        time.sleep(story.rng.uniform(0, LONGEST_LIFE_S))

    kill_often(story, LIVES, during=crash)
