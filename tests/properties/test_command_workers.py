"""Several workers with their own handles on one task and one journal, with their effects in any order.

Workers give commands, die, and resume what others left open, once their leases have lapsed also what
the living have claimed; the task changes meanwhile, and requests meet every fate. Two workers are
interleaved exhaustively up to a few surprises (a change of turns is one, a lease that lapses another),
three by Hypothesis, which prints a failure as a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lifecycle import CATALOG, COMMAND, Origin
from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import Claim, RecordAttempt, RecordIntent, Response, Send
from lifecycle.journal import NO_CONTEXT, CommandEntry, CommandRecord, RequestContext
from lifecycle.memory import MemoryJournal
from tests.lifecycle.drivers import TASK, Declared, Driver, Worker, clock, lives
from tests.lifecycle.worlds import Choices, World, explore
from tests.properties.lived import FULL, PROVED_BY_READ, agrees_with, cannot_have_arrived, is_true, may_be_sent

LEASE_S = 60.0


class Given(NamedTuple):
    """A command of a caller; with its key it may be sent again."""

    command: str
    fields: Mapping[str, Any]
    context: RequestContext = NO_CONTEXT


class Crew:
    """Workers on one task, with checks of their effects."""

    def __init__(
        self, lifecycle: Declared, state: str, *, size: int, choices: Choices, has_others: bool = False
    ) -> None:
        self.now = next(clock())
        self.journal = MemoryJournal(worker="nobody", lease_s=LEASE_S, clock=lambda: self.now)
        self.lifecycle = lifecycle
        self.world = World(lifecycle, choices, state, PROVED_BY_READ, has_others)
        self.log = self.journal.task(lifecycle, TASK)
        self.names = 0
        self.workers = [self.worker() for _ in range(size)]
        self.given: list[Given] = []
        self.dead: set[str] = set()
        self.responses: dict[int, list[Response]] = {}
        self.since: dict[str, int] = {}
        self.hear()

    def worker(self) -> Worker:
        """Return a worker with a new name."""
        self.names += 1
        journal = self.journal.join(f"worker-{self.names}")
        return Worker(Driver(journal.task(self.lifecycle, TASK), self.world), name=f"worker-{self.names}")

    def hear(self) -> None:
        """Deliver a webhook with the task's status."""
        self.log.add_report(self.world.report())

    def lapse(self) -> None:
        """Advance the time until every lease that is not extended has ended."""
        self.now += timedelta(seconds=LEASE_S + 1)

    def give(self, worker: Worker, command: str, *, with_key: bool = False) -> None:
        number = len(self.given) + 1
        self.given.append(
            Given(command, {"number": number}, RequestContext(f"key-{number}") if with_key else NO_CONTEXT)
        )
        worker.begin(self._commanding().execute(*self.given[-1]))

    def give_again(self, worker: Worker, given: Given) -> None:
        worker.begin(self._commanding().execute(*given))

    def recover(self, worker: Worker) -> None:
        worker.begin(self._commanding().recover(dead=frozenset(self.dead)))

    def advance(self, worker: Worker) -> None:
        """Perform the worker's next effect, if there is one."""
        if worker.steps is None:
            return
        effect, known = worker.effect, self.log.load()
        if isinstance(effect, Send):
            self.check_send(worker, effect)
        ending = worker.advance()
        result = worker.driver.trace[-1][1]
        match effect:
            case Send():
                self.responses.setdefault(effect.fields["number"], []).append(result)
            case RecordIntent() if isinstance(result, CommandRecord):
                self.since[result.id] = self.world.since(known.as_of)
            case Claim() if isinstance(result, CommandRecord):
                self.check_claim(known.open_command)
            case _:
                pass
        if worker not in self.busy():
            self.check_ending(worker, ending)

    def die(self, worker: Worker) -> None:
        """Kill a process and start another in its place."""
        worker.die()
        self.dead.add(worker.name)
        self.workers[self.workers.index(worker)] = self.worker()

    def busy(self) -> list[Worker]:
        return [each for each in self.workers if each.steps is not None]

    def idle(self) -> list[Worker]:
        return [each for each in self.workers if each.steps is None]

    def check_send(self, worker: Worker, effect: Send[Any]) -> None:
        """Require that each send was recorded and allowed, and was repeated only if that is safe."""
        before, result = worker.driver.trace[-1]
        assert isinstance(before, RecordAttempt)
        assert result is True
        assert may_be_sent(self.lifecycle, effect.command, worker.known.current)
        if not self.lifecycle.event(effect.command).idempotent:
            assert all(map(cannot_have_arrived, self.responses.get(effect.fields["number"], [])))

    def check_claim(self, before: CommandRecord[str, str] | None) -> None:
        """Require that no claim is taken while its lease lasts."""
        lease = before.lease if before else None
        assert lease is None or lease.worker in self.dead or (lease.until is not None and lease.until < self.now)

    def check_ending(self, worker: Worker, ending: object) -> None:
        """Require that a worker's result agrees with the journal, that it keeps no claim, and that endings are true."""
        if isinstance(ending, CommandResult):
            result = cast("CommandResult[str, str]", ending)
            assert not self.lifecycle.is_terminating(result.command) or self.world.state == result.state
            ending = result
        if worker.command_id is not None:
            record = self.log.load_command(worker.command_id)
            assert agrees_with(ending, record, worker.driver.trace)
        opened = self.log.load().open_command
        assert opened is None or opened.lease is None or opened.lease.worker != worker.name

    def check_journal(self) -> None:
        """Require at most one open command at any time, only legal command states, and true outcomes."""
        opened: set[str] = set()
        records: dict[str, CommandRecord[str, str]] = {}
        for entry in self.log.entries:
            if isinstance(entry, CommandEntry):
                records[entry.record.id] = entry.record
                (opened.discard if COMMAND.is_final(entry.record.state) else opened.add)(entry.record.id)
                assert len(opened) <= 1
        for life in lives(self.log).values():
            COMMAND.replay(life)
        for record in records.values():
            assert is_true(record, self.world, self.since[record.id], self.responses.get(record.fields["number"], []))
        keys = [
            record.context.idempotency_key for record in records.values() if record.context.idempotency_key is not None
        ]
        assert len(keys) == len(set(keys))

    def _commanding(self) -> CommandProcedure[str, str]:
        return CommandProcedure(lifecycle=self.lifecycle, task=TASK, proved_by_read=PROVED_BY_READ)


# --- two workers, few surprises, all of them ----------------------------------------------------------


def interleaved(name: str, state: str, commands: tuple[str, str | None], choices: Choices) -> Crew:
    """Let one worker send a command and the other a second one, or recover if that is None."""
    crew = Crew(CATALOG[name], state, size=2, choices=choices)
    first, second = commands
    crew.give(crew.workers[0], first)
    if second is None:
        crew.recover(crew.workers[1])
    else:
        crew.give(crew.workers[1], second)
    turn = crew.workers[0]
    while busy := sorted(crew.busy(), key=lambda worker: worker is not turn):
        may_lapse = crew.log.load().open_command is not None and len(busy) > 1
        turn, lapses = choices.pick(list(product(busy, (False, True) if may_lapse else (False,))))
        if lapses:
            crew.lapse()
        crew.advance(turn)
        crew.check_journal()
    return crew


def pairs(lifecycle: Declared, state: str) -> list[tuple[str, str | None]]:
    legal = lifecycle.allowed(state, origin=Origin.CALLER)
    return list(product(legal, (*lifecycle.commands, None)))


@pytest.mark.parametrize("lifecycle", FULL, ids=lambda each: each.name)
def test_two_workers_in_every_order(lifecycle: Declared) -> None:
    for state in lifecycle.states:
        for commands in pairs(lifecycle, state.name):
            explore(partial(interleaved, lifecycle.name, state.name, commands), surprises=1)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "state", "commands"),
    [
        ("v1-full", "running", ("pause", "stop")),
        ("v1-full", "paused", ("stop", "stop")),
        ("v3-full", "idle", ("dispatch", "dispatch")),
        ("v3-full", "idle", ("dispatch", None)),
    ],
)
def test_two_workers_and_more_faults(name: str, state: str, commands: tuple[str, str | None]) -> None:
    explore(partial(interleaved, name, state, commands), surprises=2)


@pytest.mark.heavy
@pytest.mark.parametrize("lifecycle", FULL, ids=lambda each: each.name)
def test_any_two_workers_and_more_faults(lifecycle: Declared) -> None:
    for state in lifecycle.states:
        for commands in pairs(lifecycle, state.name):
            explore(partial(interleaved, lifecycle.name, state.name, commands), surprises=2)


# --- three workers, many surprises, some of them ------------------------------------------------------

LUCK = st.lists(st.integers(0, 14), max_size=4)


class Crews(RuleBasedStateMachine):
    """A sequence of crews, because a task that is over exercises nothing more."""

    @initialize(lifecycle=st.sampled_from(FULL), has_others=st.booleans())
    def meet(self, lifecycle: Declared, has_others: bool) -> None:
        state = next(row.source for row in lifecycle.transitions if row.event == lifecycle.commands[0])
        self.crew = Crew(lifecycle, state, size=3, choices=Choices(), has_others=has_others)

    @precondition(lambda self: self.crew.lifecycle.is_final(self.crew.world.state))
    @rule(lifecycle=st.sampled_from(FULL), has_others=st.booleans())
    def meet_another(self, lifecycle: Declared, has_others: bool) -> None:
        self.meet(lifecycle, has_others)

    @precondition(lambda self: self.crew.idle())
    @rule(data=st.data(), with_key=st.booleans())
    def give(self, data: st.DataObject, with_key: bool) -> None:
        lifecycle = self.crew.lifecycle
        legal = lifecycle.allowed(self.crew.world.state, origin=Origin.CALLER)
        command = data.draw(st.sampled_from([*legal * 3, *lifecycle.commands]), label="command")
        self.crew.give(self.draw(data, self.crew.idle()), command, with_key=with_key)

    @precondition(lambda self: self.crew.idle() and any(each.context.idempotency_key for each in self.crew.given))
    @rule(data=st.data())
    def give_again(self, data: st.DataObject) -> None:
        given = [each for each in self.crew.given if each.context.idempotency_key is not None]
        self.crew.give_again(self.draw(data, self.crew.idle()), data.draw(st.sampled_from(given), label="given"))

    @rule()
    def lapse(self) -> None:
        self.crew.lapse()

    @precondition(lambda self: self.crew.idle() and self.crew.log.load().open_command)
    @rule(data=st.data())
    def recover(self, data: st.DataObject) -> None:
        self.crew.recover(self.draw(data, self.crew.idle()))

    @precondition(lambda self: self.crew.busy())
    @rule(data=st.data(), effects=st.integers(1, 8), luck=LUCK)
    def advance(self, data: st.DataObject, effects: int, luck: list[int]) -> None:
        self.crew.world.choices = Choices(luck)
        worker = self.draw(data, self.crew.busy())
        for _ in range(effects):
            self.crew.advance(worker)

    @precondition(lambda self: self.crew.busy())
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.crew.die(self.draw(data, self.crew.busy()))

    @rule(luck=LUCK)
    def go_on(self, luck: list[int]) -> None:
        self.crew.world.choices = Choices(luck)
        self.crew.world.go_on()

    @rule()
    def hear(self) -> None:
        self.crew.hear()

    @invariant()
    def holds(self) -> None:
        self.crew.check_journal()

    def draw(self, data: st.DataObject, workers: list[Worker]) -> Worker:
        numbers = [self.crew.workers.index(each) for each in workers]
        return self.crew.workers[data.draw(st.sampled_from(numbers), label="worker")]


TestCrews = Crews.TestCase
TestCrews.settings = settings(stateful_step_count=40)
