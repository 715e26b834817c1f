"""Thousands of simulated schedules, each from its seed, and deliberate faults that the simulation must find.

A failure names its seed: `python -m tests.simulation SEED` prints that schedule step by step.
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
from lifecycle.effects import Effect, FindCommand, Load, RecordAttempt, RecordIntent, RecordOutcome, Steps
from lifecycle.journal import NO_CONTEXT, CommandOutcome, CommandRecord, RequestContext, Server, TaskRecord
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.journal import SqlJournal
from tests.lifecycle.drivers import Declared, Driver
from tests.simulation.invariants import CommandInvariant, InvariantViolated
from tests.simulation.scheduler import Parts, Simulation
from tests.simulation.storage import Memory, Sql

ROOT = Path(__file__).parents[2]
AT_A_TIME = 250
ORDINARY = range(0, 250, AT_A_TIME)
MANY_MORE = range(250, 33_000, AT_A_TIME)


def simulate(seed: int, parts: Parts) -> None:
    try:
        Simulation(seed, parts).run()
    except BaseException as error:
        error.add_note(f"python -m tests.simulation {seed}")
        raise


# --- every invariant holds ----------------------------------------------------------------------------


@pytest.mark.parametrize("first", [*ORDINARY, *(pytest.param(first, marks=pytest.mark.heavy) for first in MANY_MORE)])
def test_every_invariant_holds(first: int) -> None:
    for seed in range(first, first + AT_A_TIME):
        simulate(seed, Parts())


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 400), marks=pytest.mark.heavy)], ids=len)
def test_every_invariant_holds_on_sqlite(tmp_path: Path, seeds: range) -> None:
    simulate_in_a_database(f"sqlite:///{tmp_path / 'journal.db'}", seeds)


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 200), marks=pytest.mark.heavy)], ids=len)
def test_every_invariant_holds_on_postgresql(postgres_url: str, seeds: range) -> None:
    simulate_in_a_database(postgres_url, seeds)


def simulate_in_a_database(url: str, seeds: range) -> None:
    for seed in seeds:
        simulate(seed, Parts(keep=partial(Sql, url=url)))

    with SqlJournal(url) as journal:
        assert list(journal.check()) == []


def test_a_seed_determines_a_schedule_that_can_be_printed() -> None:
    steps: list[str] = []
    Simulation(7, Parts(), steps.append).run()

    printed = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "7"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert printed.stdout.splitlines() == steps
    assert len(steps) > 50


# --- every invariant can be violated ------------------------------------------------------------------


class Unrecorded(CommandProcedure[str, str]):
    """A procedure that sends without recording the attempt."""

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


class Outdated(CommandProcedure[str, str]):
    """A procedure that returns the state in which it found the task."""

    def execute(
        self, command: str, fields: Mapping[str, Any] | None = None, context: RequestContext = NO_CONTEXT
    ) -> Steps[CommandResult[str, str]]:
        found: TaskRecord[str, str] = yield Load()
        result = yield from super().execute(command, fields, context)
        return result if found.current is None else replace(result, state=found.current)


class Guessing(Driver):
    """A driver that records a lost response as success."""

    def perform(self, effect: Effect) -> Any:
        match effect:
            case RecordOutcome(event=CommandEvent.LOSE):
                return super().perform(replace(effect, event=CommandEvent.CONFIRM))
            case _:
                return super().perform(effect)


class Keyless(Driver):
    """A driver that drops the idempotency key of a command."""

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
    """A journal that lets every worker claim and attempt every command."""

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[str, str] | None:
        lease = self.load_command(command_id).lease
        return super().claim(command_id, dead=[*dead, lease.worker] if lease else dead)

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:  # noqa: ARG002
        now = self.load_command(command_id)
        return super().add_attempt(command_id, number=now.attempts + 1, claim=now.claim)


class Unfenced(Log):
    """A journal that accepts every write as if it used the last claim."""

    def release(self, command_id: str, *, claim: int) -> None:  # noqa: ARG002
        super().release(command_id, claim=self.load_command(command_id).claim)

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:  # noqa: ARG002
        return super().add_attempt(command_id, number=number, claim=self.load_command(command_id).claim)

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[str, str]:  # noqa: ARG002
        return super().add_outcome(command_id, event, why=why, claim=self.load_command(command_id).claim)


class Grasping(Log):
    """A journal that releases no claim."""

    def release(self, command_id: str, *, claim: int) -> None:
        pass


class Blind(Log):
    """A journal that opens a command although the task has changed since it was read."""

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
    """A journal that opens a command although another is open."""

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
    """A journal that acknowledges an outcome without recording it."""

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[str, str]:  # noqa: ARG002
        now = self.load_command(command_id)
        return CommandOutcome(self.load(), replace(now, state=COMMAND.target(now.state, event) or now.state))


class Deaf(Driver):
    """A driver that returns its own outcome although another worker has claimed the command."""

    def perform(self, effect: Effect) -> Any:
        result = super().perform(effect)
        match effect:
            case RecordOutcome():
                state = COMMAND.target(CommandState.RECORDED, effect.event) or result.command.state
                return CommandOutcome(result.task, replace(result.command, claim=effect.claim, state=state))
            case _:
                return result


class Overlooking(MemoryJournal):
    """A journal that reports no command as open."""

    def open_tasks(self, lifecycle: Declared, *, server: Server | None = None) -> list[str]:  # noqa: ARG002
        return []


def kept_in(log_type: type[Log]) -> Parts:
    """Return the parts of a simulation whose workers use such task journals."""

    class Journal(MemoryJournal):
        def task(self, lifecycle: Any, task_id: str, *, server: Server | None = None) -> Any:
            return log_type(**vars(super().task(lifecycle, task_id, server=server)))

    return Parts(keep=partial(Memory, journal_type=Journal))


class Lenient:
    """A lifecycle that declares every command idempotent, which no sound one does."""

    def __init__(self, lifecycle: Declared) -> None:
        self._lifecycle = lifecycle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lifecycle, name)

    def event(self, name: str) -> Event[str]:
        return replace(self._lifecycle.event(name), idempotent=True)


def resending(*, lifecycle: Declared, **settings: Any) -> CommandProcedure[str, str]:
    """Return a procedure that retries every command."""
    return CommandProcedure(lifecycle=cast("Declared", Lenient(lifecycle)), **settings)


class Fault(NamedTuple):
    """Faulty parts, and the invariant that they violate."""

    parts: Parts
    violates: CommandInvariant


FAULTS = {
    "sends unrecorded": Fault(Parts(procedure=Unrecorded), CommandInvariant.ATTEMPTED),
    "records a lost response as success": Fault(Parts(driver=Guessing), CommandInvariant.TRUE),
    "forgets keys": Fault(Parts(driver=Keyless), CommandInvariant.KEYED),
    "ignores leases and attempts": Fault(kept_in(Careless), CommandInvariant.RELEASED),
    "writes under an earlier claim": Fault(kept_in(Unfenced), CommandInvariant.FENCED),
    "keeps every claim": Fault(kept_in(Grasping), CommandInvariant.RELEASED),
    "ignores the version": Fault(kept_in(Blind), CommandInvariant.LEGAL),
    "opens two at a time": Fault(kept_in(Crowding), CommandInvariant.ALONE),
    "forgets outcomes": Fault(kept_in(Forgetful), CommandInvariant.KEPT),
    "ignores another worker's outcome": Fault(Parts(driver=Deaf), CommandInvariant.RETURNED),
    "returns an old state": Fault(Parts(procedure=Outdated), CommandInvariant.NAMED),
    "reports no open command": Fault(Parts(keep=partial(Memory, journal_type=Overlooking)), CommandInvariant.SETTLED),
    "sends a dispatch twice": Fault(Parts(procedure=resending), CommandInvariant.ONCE),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=tuple(FAULTS))
def test_every_fault_is_found(fault: Fault) -> None:
    found: set[CommandInvariant] = set()
    for seed in range(AT_A_TIME * 4):
        try:
            simulate(seed, fault.parts)
        except InvariantViolated as error:
            found.add(error.invariant)
        if fault.violates in found:
            return
    pytest.fail(f"found {found or 'nothing'}")


def test_every_invariant_can_be_violated() -> None:
    assert {fault.violates for fault in FAULTS.values()} == set(CommandInvariant)
