"""The life of a worker that will be killed: it recovers, repeats what it was not answered, and gives commands.

It keeps a diary outside its journal: what it is about to ask for, and what it was told. A line is
one write, so that each is there as a whole or not at all.
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
class Wish:
    """Something that the worker asks for: a command, or a task. `number` is its name in the diary."""

    number: int
    api: str
    command: str
    task: str | None
    key: str | None
    fields: Mapping[str, Any]

    @property
    def reason(self) -> str:
        return f"wish {self.number}"


@dataclass(slots=True)
class Diary:
    """What one worker after another wrote. `told` has, for each wish that was answered, what was said."""

    path: Path
    wishes: dict[int, Wish] = field(default_factory=dict[int, Wish])
    told: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    crashes: list[str] = field(default_factory=list[str])

    def read(self) -> Diary:
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            match json.loads(line):
                case {"wish": wish}:
                    self.wishes[wish["number"]] = Wish(**wish)
                case {"crash": crash}:
                    self.crashes.append(crash)
                case said:
                    self.told[said["number"]] = said
        return self

    def unanswered(self) -> list[Wish]:
        """What may be asked again without harm: it has a key."""
        answered = {
            (self.wishes[number].task, self.wishes[number].key)
            for number, said in self.told.items()
            if said["said"] != JournalUnavailable.__name__
        }
        return [each for each in self.wishes.values() if each.key and (each.task, each.key) not in answered]

    @contextmanager
    def open(self) -> Generator[Pen]:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            yield Pen(file)
        finally:
            os.close(file)


@dataclass(frozen=True, slots=True)
class Pen:
    """What writes into a diary."""

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
        for number in count(len(known.wishes)):
            wish = _next_wish(known, journal, rng, number)
            pen.write(wish=asdict(wish))
            said = _ask(by_api[wish.api], wish)
            pen.write(number=number, **said)
            known.wishes[number], known.told[number] = wish, said


def _patiently(ask: Callable[[], R]) -> R:
    """Ask until the database is there."""
    while True:
        try:
            return ask()
        except JournalUnavailable:
            time.sleep(0.02)


def _next_wish(known: Diary, journal: Witness, rng: random.Random, number: int) -> Wish:
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
    return Wish(number, API_OF[row.lifecycle], command, row.task_id, key, fields)


def _creation(rng: random.Random, number: int) -> Wish:
    """A task that does not end by itself; so whatever ended was stopped by a command."""
    api = rng.choice(APIS)
    fields = {"keepAlive": True} if api == "v3" else {"task": f"Work {number} [remote: start]"}
    return Wish(number, api, CREATE, None, None, fields)


def _ask(client: Client, wish: Wish) -> dict[str, Any]:
    """What came of a wish: what the call returned, or the name of its error."""
    try:
        if wish.task is None:
            return {"said": CREATE, "task": client.create(**wish.fields).id}
        result = client.task(wish.task).send(wish.command, idempotency_key=wish.key, reason=wish.reason, **wish.fields)
    except (*NO, CreateUncertain, JournalUnavailable) as error:  # anything else is a failure
        return {"said": type(error).__name__}
    return {"said": type(result).__name__, "sent": result.sent}
