"""The program of a worker that will be killed: it recovers, repeats unanswered requests, and sends commands.

It keeps a diary outside its journal: each intended call, and its result. One line is one write, so that each line is
either complete or missing.
"""

from __future__ import annotations

import json
import os
import random
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, TypeVar

from lifecycle import (
    CommandAbandoned,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    CreateUncertain,
    IllegalTransition,
    TaskEndedFirst,
)
from lifecycle_adapters.http import Client, HttpError
from lifecycle_adapters.journal import JournalUnavailable
from tests.proofs.agreement import API_OF, LIFECYCLES, all_tasks
from tests.proofs.witness import APIS, IMPATIENT, Witness, clients

R = TypeVar("R")

WORKER = "the mortal"
CREATE = "create"
NO = (HttpError, IllegalTransition, CommandInFlight, CommandUncertain, CommandRefused, CommandAbandoned, TaskEndedFirst)
ALIVE_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that the worker intends: a command or a create. `number` identifies it in the diary."""

    number: int
    api: str
    command: str
    task: str | None
    key: str | None
    fields: Mapping[str, Any]

    @property
    def reason(self) -> str:
        return f"intent {self.number}"


@dataclass(slots=True)
class Diary:
    """The entries of successive workers. `outcomes` holds the outcome of each intent that has one."""

    path: Path
    intents: dict[int, Intent] = field(default_factory=dict[int, Intent])
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    crashes: list[str] = field(default_factory=list[str])

    def read(self) -> Diary:
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            match json.loads(line):
                case {"intent": intent}:
                    self.intents[intent["number"]] = Intent(**intent)
                case {"crash": crash}:
                    self.crashes.append(crash)
                case outcome:
                    self.outcomes[outcome["number"]] = outcome
        return self

    def unanswered(self) -> list[Intent]:
        """Return the calls that may be repeated safely, because they have an idempotency key."""
        answered = {
            (self.intents[number].task, self.intents[number].key)
            for number, outcome in self.outcomes.items()
            if outcome["outcome"] != JournalUnavailable.__name__
        }
        return [each for each in self.intents.values() if each.key and (each.task, each.key) not in answered]

    @contextmanager
    def open(self) -> Generator[Pen]:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            yield Pen(file)
        finally:
            os.close(file)


@dataclass(frozen=True, slots=True)
class Pen:
    """Return a function that writes into a diary."""

    file: int

    def write(self, **line: Any) -> None:
        os.write(self.file, f"{json.dumps(line)}\n".encode())


def live(url: str, base_url: str, diary: Path, seed: int, is_born: Event) -> None:
    """Work until killed."""
    is_born.set()
    known = Diary(diary).read()
    with known.open() as pen:
        try:
            _work(url, base_url, known, pen, random.Random(seed))
        except BaseException:
            pen.write(crash=traceback.format_exc())
            raise


def _work(url: str, base_url: str, known: Diary, pen: Pen, rng: random.Random) -> None:
    with (
        _patiently(lambda: Witness(url, worker=WORKER)) as journal,
        clients(journal, base_url, timing=IMPATIENT) as by_api,
    ):
        for client in by_api.values():
            _patiently(client.recover)
        for number in count(len(known.intents)):
            intent = _next_intent(known, journal, rng, number)
            pen.write(intent=asdict(intent))
            outcome = _execute(by_api[intent.api], intent)
            pen.write(number=number, **outcome)
            known.intents[number], known.outcomes[number] = intent, outcome


def _patiently(ask: Callable[[], R]) -> R:
    """Retry until the database is available."""
    while True:
        try:
            return ask()
        except JournalUnavailable:
            time.sleep(0.02)


def _next_intent(known: Diary, journal: Witness, rng: random.Random, number: int) -> Intent:
    unanswered = known.unanswered()
    if unanswered and rng.random() < 0.5:
        return replace(unanswered[-1], number=number)
    rows = _patiently(lambda: [*all_tasks(journal)])
    alive = [row for row in rows if row.state is None or not LIFECYCLES[row.lifecycle].is_final(row.state)]
    if len(alive) < ALIVE_AT_A_TIME or rng.random() < 0.05:
        return _creation(rng, number)
    row = rng.choice(alive)
    command = rng.choice(LIFECYCLES[row.lifecycle].commands)
    key = f"key {number}" if rng.random() < 0.5 else None
    fields = {"task": f"Work {number}", "keepAlive": True} if command == "dispatch" else {}
    return Intent(number, API_OF[row.lifecycle], command, row.task_id, key, fields)


def _creation(rng: random.Random, number: int) -> Intent:
    """Return the fields of a task that does not end by itself, so that every ended task was stopped by a command."""
    api = rng.choice(APIS)
    fields = {"keepAlive": True} if api == "v3" else {"task": f"Work {number} [remote: start]"}
    return Intent(number, api, CREATE, None, None, fields)


def _execute(client: Client, intent: Intent) -> dict[str, Any]:
    """Return the outcome of a call: its result, or the name of its error."""
    try:
        if intent.task is None:
            return {"outcome": CREATE, "task": client.create(**intent.fields).id}
        result = client.task(intent.task).send(
            intent.command, idempotency_key=intent.key, reason=intent.reason, **intent.fields
        )
    except (*NO, CreateUncertain, JournalUnavailable) as error:  # any other exception is a failure
        return {"outcome": type(error).__name__}
    return {"outcome": type(result).__name__, "sent": result.sent}
