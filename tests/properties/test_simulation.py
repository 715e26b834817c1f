"""Thousands of schedules, each from its seed; and that what breaks a promise is found, by deliberate faults.

A failure names its seed: `python -m tests.simulation SEED` tells that schedule step by step.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from lifecycle import COMMAND, CommandEvent, CommandState, Event
from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import Effect, FindCommand, RecordAttempt, RecordIntent, RecordOutcome, Steps
from lifecycle.journal import NO_CONTEXT, CommandOutcome, CommandRecord, RequestContext, TaskRecord
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.journal import SqlJournal
from tests.lifecycle.drivers import Declared, Driver
from tests.simulation.promises import Broken, Promise
from tests.simulation.scheduler import Parts, Simulation
from tests.simulation.storage import Memory, Sql

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


class Unrecorded(CommandProcedure[str, str]):
    """Sends without recording the attempt."""

    def execute(
        self, command: str, fields: Mapping[str, Any] | None = None, context: RequestContext = NO_CONTEXT
    ) -> Steps[CommandResult[str, str]]:
        steps, result = super().execute(command, fields, context), None
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
            case RecordOutcome(event=CommandEvent.LOSE):
                return super().perform(replace(effect, event=CommandEvent.CONFIRM))
            case _:
                return super().perform(effect)


class Keyless(Driver):
    """Forgets under which key a command was given."""

    def perform(self, effect: Effect) -> Any:
        match effect:
            case FindCommand():
                return None
            case RecordIntent():
                return super().perform(replace(effect, context=RequestContext()))
            case _:
                return super().perform(effect)


Log = MemoryTaskJournal[str, str]


class Careless(Log):
    """Lets every worker claim and attempt everything."""

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[str, str] | None:
        hold = self.load_command(command_id).hold
        return super().claim(command_id, dead=[*dead, hold.worker] if hold else dead)

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:  # noqa: ARG002
        now = self.load_command(command_id)
        return super().add_attempt(command_id, number=now.attempts + 1, claim=now.claim)


class Unfenced(Log):
    """Takes every write for one under the last claim."""

    def release(self, command_id: str, *, claim: int) -> None:  # noqa: ARG002
        super().release(command_id, claim=self.load_command(command_id).claim)

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:  # noqa: ARG002
        return super().add_attempt(command_id, number=number, claim=self.load_command(command_id).claim)

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[str, str]:  # noqa: ARG002
        return super().add_outcome(command_id, event, why=why, claim=self.load_command(command_id).claim)


class Grasping(Log):
    """Keeps every claim."""

    def release(self, command_id: str, *, claim: int) -> None:
        pass


class Blind(Log):
    """Opens a command though the task has changed since it was read."""

    def add_intent(
        self,
        command: str,
        *,
        source: str | None,
        version: int,  # noqa: ARG002
        fields: Mapping[str, Any],
        context: RequestContext = NO_CONTEXT,
    ) -> CommandRecord[str, str] | TaskRecord[str, str]:
        now = self.load().version
        return super().add_intent(command, source=source, version=now, fields=fields, context=context)


class Crowding(Log):
    """Opens a command beside another that is open."""

    def add_intent(
        self,
        command: str,
        *,
        source: str | None,
        version: int,
        fields: Mapping[str, Any],
        context: RequestContext = NO_CONTEXT,
    ) -> CommandRecord[str, str] | TaskRecord[str, str]:
        self._kept.record = replace(self.load(), open_command=None)
        return super().add_intent(command, source=source, version=version, fields=fields, context=context)


class Forgetful(Log):
    """Says that an outcome is recorded, and does not record it."""

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[str, str]:  # noqa: ARG002
        now = self.load_command(command_id)
        return CommandOutcome(self.load(), replace(now, state=COMMAND.target(now.state, event) or now.state))


class Deaf(Driver):
    """Takes every outcome for its own: does not hear that another has claimed the command."""

    def perform(self, effect: Effect) -> Any:
        result = super().perform(effect)
        match effect:
            case RecordOutcome():
                state = COMMAND.target(CommandState.RECORDED, effect.event) or result.command.state
                return CommandOutcome(result.task, replace(result.command, claim=effect.claim, state=state))
            case _:
                return result


class Overlooking(MemoryJournal):
    """Reports no command as open."""

    def open_tasks(self, lifecycle: Declared) -> list[str]:  # noqa: ARG002
        return []


def kept_in(log_type: type[Log]) -> Parts:
    """A simulation whose workers have such logs."""

    class Journal(MemoryJournal):
        def task(self, lifecycle: Any, task_id: str) -> Any:
            return log_type(**vars(super().task(lifecycle, task_id)))

    return Parts(keep=partial(Memory, journal_type=Journal))


class Lenient:
    """A lifecycle that takes every command for idempotent, which no sound one does."""

    def __init__(self, lifecycle: Declared) -> None:
        self._lifecycle = lifecycle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lifecycle, name)

    def event(self, name: str) -> Event[str]:
        return replace(self._lifecycle.event(name), idempotent=True)


def resending(*, lifecycle: Declared, **settings: Any) -> CommandProcedure[str, str]:
    """The procedure that sends everything again."""
    return CommandProcedure(lifecycle=cast("Declared", Lenient(lifecycle)), **settings)


class Fault(NamedTuple):
    """What is wrong, and which promise it breaks."""

    parts: Parts
    breaks: Promise


FAULTS = {
    "sends unrecorded": Fault(Parts(procedure=Unrecorded), Promise.ATTEMPTED),
    "takes silence for success": Fault(Parts(driver=Guessing), Promise.TRUE),
    "forgets keys": Fault(Parts(driver=Keyless), Promise.KEYED),
    "ignores leases and attempts": Fault(kept_in(Careless), Promise.RELEASED),
    "writes under a claim of before": Fault(kept_in(Unfenced), Promise.FENCED),
    "keeps every claim": Fault(kept_in(Grasping), Promise.RELEASED),
    "ignores the version": Fault(kept_in(Blind), Promise.LEGAL),
    "opens two at a time": Fault(kept_in(Crowding), Promise.ALONE),
    "forgets outcomes": Fault(kept_in(Forgetful), Promise.KEPT),
    "does not hear that it came second": Fault(Parts(driver=Deaf), Promise.TOLD),
    "overlooks what is open": Fault(Parts(keep=partial(Memory, journal_type=Overlooking)), Promise.SETTLED),
    "sends a dispatch twice": Fault(Parts(procedure=resending), Promise.ONCE),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=tuple(FAULTS))
def test_what_is_wrong_is_found(fault: Fault) -> None:
    found: set[Promise] = set()
    for seed in range(AT_A_TIME * 4):
        try:
            simulate(seed, fault.parts)
        except Broken as broken:
            found.add(broken.promise)
        if fault.breaks in found:
            return
    pytest.fail(f"found {found or 'nothing'}")


def test_every_promise_can_be_broken() -> None:
    assert {fault.breaks for fault in FAULTS.values()} == set(Promise)
