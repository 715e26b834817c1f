"""Several workers with handles of their own on one task and one journal, their effects in any order.

Workers give commands, die, and take up what others left open, even from the living; the task moves
meanwhile, and requests meet every fate. Two workers are interleaved exhaustively up to a few
surprises (a change of turns is one), three by Hypothesis, which prints a failure as a program.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lifecycle import CATALOG, COMMAND, Origin
from lifecycle.command import Commanding, CommandResult
from lifecycle.effects import Answer, RecordAttempt, Send
from lifecycle.journal import CommandEntry, CommandRecord, Report
from lifecycle.memory import MemoryJournal
from tests.lifecycle.drivers import TASK, Declared, Driver, Worker, lives
from tests.lifecycle.worlds import Choices, World, explore
from tests.properties.lived import FULL, PROVED_BY_READ, cannot_have_arrived, is_true


class Crew:
    """Workers on one task, and what must hold of all they do."""

    def __init__(self, lifecycle: Declared, state: str, *, size: int, choices: Choices) -> None:
        journal = MemoryJournal()
        self.lifecycle = lifecycle
        self.world = World(lifecycle, choices, state, PROVED_BY_READ)
        self.log = journal.task(lifecycle, TASK)
        self.workers = [Worker(Driver(journal.task(lifecycle, TASK), self.world)) for _ in range(size)]
        self.given = 0
        self.answers: dict[int, list[Answer]] = {}
        self.hear()

    def hear(self) -> None:
        """A webhook tells how the task is."""
        self.log.add_report(Report(self.world.state, next(self.world.clock)))

    def give(self, worker: Worker, command: str) -> None:
        self.given += 1
        worker.begin(self._commanding().execute(command, {"number": self.given}))

    def recover(self, worker: Worker) -> None:
        worker.begin(self._commanding().recover())

    def advance(self, worker: Worker) -> None:
        """Carry out one effect of that worker, if it has any."""
        if worker.steps is None:
            return
        effect = worker.effect
        if isinstance(effect, Send):
            self.check_send(worker, effect)
        ending = worker.advance()
        if isinstance(effect, Send):
            self.answers.setdefault(effect.fields["number"], []).append(worker.driver.trace[-1][1])
        if isinstance(ending, CommandResult) and self.lifecycle.ends(cast("CommandResult[str, str]", ending).command):
            assert self.world.state == cast("CommandResult[str, str]", ending).state

    def busy(self) -> list[Worker]:
        return [each for each in self.workers if each.steps is not None]

    def idle(self) -> list[Worker]:
        return [each for each in self.workers if each.steps is None]

    def check_send(self, worker: Worker, effect: Send[Any]) -> None:
        """Nothing is sent unrecorded, or against what the worker last knew, or twice where that is not once."""
        before, result = worker.driver.trace[-1]
        assert isinstance(before, RecordAttempt)
        assert result is True
        assert worker.known.state is not None
        assert self.lifecycle.target(worker.known.state, effect.command) is not None
        if not self.lifecycle.event(effect.command).repeatable:
            assert all(map(cannot_have_arrived, self.answers.get(effect.fields["number"], [])))

    def check_journal(self) -> None:
        """At most one command is open at any time, every life is lawful, and outcomes are true."""
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
            assert is_true(record, self.world, self.answers.get(record.fields["number"], []))

    def _commanding(self) -> Commanding[str, str]:
        return Commanding(lifecycle=self.lifecycle, task=TASK, proved_by_read=PROVED_BY_READ)


# --- two workers, few surprises, all of them ----------------------------------------------------------


def interleaved(name: str, state: str, commands: tuple[str, str | None], choices: Choices) -> Crew:
    """Let one worker give a command, and the other another, or recover where it is None."""
    crew = Crew(CATALOG[name], state, size=2, choices=choices)
    first, second = commands
    crew.give(crew.workers[0], first)
    if second is None:
        crew.recover(crew.workers[1])
    else:
        crew.give(crew.workers[1], second)
    turn = crew.workers[0]
    while busy := sorted(crew.busy(), key=lambda worker: worker is not turn):
        turn = choices.pick(busy)
        crew.advance(turn)
        crew.check_journal()
    return crew


def pairs(lifecycle: Declared, state: str) -> list[tuple[str, str | None]]:
    legal = lifecycle.allowed(state, origin=Origin.CALLER)
    return list(product(legal, (*lifecycle.commands, None)))


@pytest.mark.parametrize("lifecycle", FULL, ids=lambda each: each.name)
def test_two_workers(lifecycle: Declared) -> None:
    for state in lifecycle.states:
        for commands in pairs(lifecycle, state.name):
            explore(partial(interleaved, lifecycle.name, state.name, commands), surprises=1)


@pytest.mark.parametrize(
    ("name", "state", "commands"),
    [
        ("v1-full", "running", ("pause", "stop")),
        ("v1-full", "paused", ("stop", "stop")),
        ("v3-full", "idle", ("dispatch", "dispatch")),
        ("v3-full", "idle", ("dispatch", None)),
    ],
)
def test_two_workers_and_more_surprises(name: str, state: str, commands: tuple[str, str | None]) -> None:
    explore(partial(interleaved, name, state, commands), surprises=2)


@pytest.mark.heavy
@pytest.mark.parametrize("lifecycle", FULL, ids=lambda each: each.name)
def test_any_two_workers_and_more_surprises(lifecycle: Declared) -> None:
    for state in lifecycle.states:
        for commands in pairs(lifecycle, state.name):
            explore(partial(interleaved, lifecycle.name, state.name, commands), surprises=2)


# --- three workers, many surprises, some of them ------------------------------------------------------

LUCK = st.lists(st.integers(0, 13), max_size=4)


class Crews(RuleBasedStateMachine):
    """One crew after another: a task that is over teaches nothing more."""

    @initialize(lifecycle=st.sampled_from(FULL))
    def meet(self, lifecycle: Declared) -> None:
        state = next(row.source for row in lifecycle.transitions if row.event == lifecycle.commands[0])
        self.crew = Crew(lifecycle, state, size=3, choices=Choices())

    @precondition(lambda self: self.crew.lifecycle.is_final(self.crew.world.state))
    @rule(lifecycle=st.sampled_from(FULL))
    def meet_another(self, lifecycle: Declared) -> None:
        self.meet(lifecycle)

    @precondition(lambda self: self.crew.idle())
    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        lifecycle = self.crew.lifecycle
        legal = lifecycle.allowed(self.crew.world.state, origin=Origin.CALLER)
        command = data.draw(st.sampled_from([*legal * 3, *lifecycle.commands]), label="command")
        self.crew.give(self.draw(data, self.crew.idle()), command)

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
        self.draw(data, self.crew.busy()).die()

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
