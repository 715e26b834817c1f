"""Thousands of schedules, each from its seed; and that what breaks a promise is found, by deliberate faults.

A failure names its seed: `python -m tests.simulation SEED` tells that schedule step by step.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.journal import SqlJournal
from lifecycle import CommandEvent, Lifecycle
from lifecycle.command import Commanding, CommandResult
from lifecycle.effects import Effect, FindCommand, RecordAttempt, RecordIntent, RecordOutcome, Steps
from lifecycle.journal import UNSTATED, CommandRecord, Purpose, TaskRecord
from tests.lifecycle.drivers import Declared, Driver
from tests.simulation.promises import Broken, Promise
from tests.simulation.scheduler import Parts, Simulation
from tests.simulation.storage import Leased, LeasedJournal, LeasedLog, Sql

ROOT = Path(__file__).parents[2]
AT_A_TIME = 250
ORDINARY = range(0, 3_000, AT_A_TIME)
MANY_MORE = range(3_000, 33_000, AT_A_TIME)


def simulate(seed: int, parts: Parts) -> None:
    try:
        Simulation(seed, parts).run()
    except BaseException as error:
        error.add_note(f"python -m tests.simulation {seed}")
        raise


# --- every promise is kept ----------------------------------------------------------------------------


@pytest.mark.parametrize("first", [*ORDINARY, *(pytest.param(first, marks=pytest.mark.heavy) for first in MANY_MORE)])
def test_every_promise_is_kept(first: int) -> None:
    for seed in range(first, first + AT_A_TIME):
        simulate(seed, Parts())


@pytest.mark.parametrize("seeds", [range(10), pytest.param(range(10, 400), marks=pytest.mark.heavy)], ids=len)
def test_every_promise_is_kept_by_sqlite(tmp_path: Path, seeds: range) -> None:
    simulate_in_a_database(f"sqlite:///{tmp_path / 'journal.db'}", seeds)


@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 200), marks=pytest.mark.heavy)], ids=len)
def test_every_promise_is_kept_by_postgresql(postgres_url: str, seeds: range) -> None:
    simulate_in_a_database(postgres_url, seeds)


def simulate_in_a_database(url: str, seeds: range) -> None:
    for seed in seeds:
        simulate(seed, Parts(keep=partial(Sql, url=url)))

    with SqlJournal(url) as journal:
        assert list(journal.check()) == []


def test_a_seed_is_a_schedule_that_can_be_told() -> None:
    tale: list[str] = []
    Simulation(7, Parts(), tale.append).run()

    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "7"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert told.stdout.splitlines() == tale
    assert len(tale) > 50


# --- and can be broken --------------------------------------------------------------------------------


class Unrecorded(Commanding[str, str]):
    """Sends without recording the attempt."""

    def execute(
        self, command: str, fields: Mapping[str, Any] | None = None, purpose: Purpose = UNSTATED
    ) -> Steps[CommandResult[str, str]]:
        steps, result = super().execute(command, fields, purpose), None
        while True:
            try:
                effect = steps.send(result)
            except StopIteration as stop:
                value: CommandResult[str, str] = stop.value
                return value
            result = True if isinstance(effect, RecordAttempt) else (yield effect)


class Guessing(Driver):
    """Takes silence for success."""

    def perform(self, effect: Effect) -> Any:
        match effect:
            case RecordOutcome(command_id, CommandEvent.LOSE, why):
                return super().perform(RecordOutcome(command_id, CommandEvent.CONFIRM, why))
            case _:
                return super().perform(effect)


class Keyless(Driver):
    """Forgets under which key a command was given."""

    def perform(self, effect: Effect) -> Any:
        match effect:
            case FindCommand():
                return None
            case RecordIntent():
                return super().perform(replace(effect, purpose=Purpose()))
            case _:
                return super().perform(effect)


class Careless(LeasedLog):
    """Lets every worker claim and attempt everything."""

    def claim(self, command_id: str) -> CommandRecord[str, str] | None:
        return self.memory.claim(command_id)

    def add_attempt(self, command_id: str, *, number: int) -> bool:  # noqa: ARG002
        opened = self.load().open_command
        return opened is not None and self.memory.add_attempt(command_id, number=opened.attempts + 1)


class Blind(LeasedLog):
    """Opens a command though the task has changed since it was read."""

    def add_intent(
        self,
        command: str,
        *,
        source: str,
        version: int,  # noqa: ARG002
        fields: Mapping[str, Any],
        purpose: Purpose = UNSTATED,
    ) -> CommandRecord[str, str] | TaskRecord[str, str]:
        now = self.load().version
        return super().add_intent(command, source=source, version=now, fields=fields, purpose=purpose)


class Crowding(LeasedLog):
    """Opens a command beside another that is open."""

    def add_intent(
        self, command: str, *, source: str, version: int, fields: Mapping[str, Any], purpose: Purpose = UNSTATED
    ) -> CommandRecord[str, str] | TaskRecord[str, str]:
        vars(self.memory)["_record"] = replace(self.load(), open_command=None)
        return super().add_intent(command, source=source, version=version, fields=fields, purpose=purpose)


class Forgetful(LeasedLog):
    """Says that an outcome is recorded, and does not record it."""

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str) -> TaskRecord[str, str]:  # noqa: ARG002
        return self.load()


class Overlooking(LeasedJournal):
    """Reports no command as open."""

    def open_tasks(self, lifecycle: Declared) -> list[str]:  # noqa: ARG002
        return []


def resending(*, lifecycle: Declared, **settings: Any) -> Commanding[str, str]:
    """The procedure of a declaration that takes every command for repeatable."""
    parts = {name: getattr(lifecycle, name) for name in Lifecycle.model_fields}
    parts["events"] = [replace(event, repeatable=True) for event in lifecycle.events]
    return Commanding(lifecycle=Lifecycle(**parts), **settings)


class Fault(NamedTuple):
    """What is wrong, and which promise it breaks."""

    parts: Parts
    breaks: Promise


FAULTS = {
    "sends unrecorded": Fault(Parts(procedure=Unrecorded), Promise.ATTEMPTED),
    "takes silence for success": Fault(Parts(driver=Guessing), Promise.TRUE),
    "forgets keys": Fault(Parts(driver=Keyless), Promise.KEYED),
    "ignores leases and attempts": Fault(Parts(keep=partial(Leased, log_type=Careless)), Promise.ONCE),
    "ignores the version": Fault(Parts(keep=partial(Leased, log_type=Blind)), Promise.LEGAL),
    "opens two at a time": Fault(Parts(keep=partial(Leased, log_type=Crowding)), Promise.ALONE),
    "forgets outcomes": Fault(Parts(keep=partial(Leased, log_type=Forgetful)), Promise.KEPT),
    "overlooks what is open": Fault(Parts(keep=partial(Leased, view_type=Overlooking)), Promise.SETTLED),
    "sends a dispatch twice": Fault(Parts(procedure=resending), Promise.ONCE),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=tuple(FAULTS))
def test_what_is_wrong_is_found(fault: Fault) -> None:
    found: set[Promise] = set()
    for seed in range(AT_A_TIME):
        try:
            simulate(seed, fault.parts)
        except Broken as broken:
            found.add(broken.promise)
        if fault.breaks in found:
            return
    pytest.fail(f"found {found or 'nothing'}")


def test_every_promise_can_be_broken() -> None:
    assert {fault.breaks for fault in FAULTS.values()} == set(Promise)
