"""One command's whole life in a test: who worked on it, what was seen, and what must hold of it.

Three kinds of claim are kept apart: what holds of any course of effects (`check`, `check_ending`),
what the service's own words allow to be said (`check_evidence`), and what is true of the world
behind them (`check_truth`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

import pytest

from lifecycle import (
    CATALOG,
    COMMAND,
    CommandRefused,
    CommandState,
    CommandUncertain,
    Event,
    IllegalTransition,
    LifecycleError,
    TaskEndedFirst,
    UnknownStatus,
    VerdictKind,
)
from lifecycle.command import Commanding, CommandResult
from lifecycle.effects import (
    Accepted,
    Answer,
    Denied,
    Effect,
    NotSent,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    Refused,
    Send,
    Steps,
    Throttled,
)
from lifecycle.journal import CommandEntry, CommandRecord, TaskRecord
from tests.lifecycle.drivers import (
    LOST,
    TASK,
    Declared,
    Driver,
    Killed,
    Log,
    Mishap,
    Service,
    clock,
    journal_knowing,
    last_command,
    lives,
    run_up_to,
)
from tests.lifecycle.worlds import Choices, World
from tests.oracles import distances, names, remote_moves

FULL = [each for each in CATALOG.values() if each.name != COMMAND.name and each.extended_by is None]
PROVED_BY_READ = frozenset({"stop_task_and_session"})

Ending = CommandResult[str, str] | LifecycleError | None
Death = Callable[[Steps[Any]], None]


@dataclass(frozen=True, repr=False)
class Given:
    """One command of a task whose journal knows `known`."""

    lifecycle: Declared
    command: str
    known: str | None
    proved_by_read: frozenset[str] = PROVED_BY_READ

    def __repr__(self) -> str:
        return f"Given({self.lifecycle.name!r}, {str(self.command)!r}, known {self.known and str(self.known)!r})"

    @property
    def event(self) -> Event[str]:
        return self.lifecycle.event(self.command)

    def commanding(self) -> Commanding[str, str]:
        return Commanding(lifecycle=self.lifecycle, task=TASK, proved_by_read=self.proved_by_read)

    def execute(self) -> Steps[CommandResult[str, str]]:
        return self.commanding().execute(self.command)

    def journal(self) -> Log:
        return journal_knowing(self.lifecycle, self.known, times=clock())

    def world(self, choices: Choices) -> World:
        """A world in which the task has gone on since it was known, by itself or by others."""
        states = [state.name for state in self.lifecycle.states]
        if self.known is not None:
            possible = self.lifecycle.reachable(self.known)
            states = [self.known, *(state for state in states if state in possible and state != self.known)]
        return World(self.lifecycle, choices, choices.pick(states), self.proved_by_read)


def every_command(lifecycle: Declared) -> list[Given]:
    """Each command with each state that a journal may know, or none."""
    states = [None, *(state.name for state in lifecycle.states)]
    return [Given(lifecycle, command, known) for command in lifecycle.commands for known in states]


# --- how a worker dies ------------------------------------------------------------------------------


def close(steps: Steps[Any]) -> None:
    """The procedure is dropped."""
    steps.close()


def throw(steps: Steps[Any]) -> None:
    """Its driver throws into it."""
    with pytest.raises(Killed):
        steps.throw(Killed())


def is_true(record: CommandRecord[str, str], world: World, answers: Sequence[Answer]) -> bool:
    """Whether the outcome of a command, if it has one, is what happened; `answers` are those to its sends."""
    match record.state:
        case CommandState.DONE if record.command in world.proved_by_read:
            return world.partner_is_over
        case CommandState.DONE if not world.lifecycle.event(record.command).proved_by_state:
            return bool(answers) and isinstance(answers[-1], Accepted)
        case CommandState.DONE if world.lifecycle.ends(record.command):
            return world.lifecycle.judge(world.state, record.command).kind is VerdictKind.REDUNDANT
        case CommandState.ENDED_FIRST:
            return world.lifecycle.is_final(world.state)
        case _:
            return True


# --- a life -----------------------------------------------------------------------------------------


def cannot_have_arrived(answer: Answer) -> bool:
    return isinstance(answer, NotSent | Throttled)


@dataclass
class Lived:
    """Everything that was done for one command, by one worker after another."""

    given: Given
    log: Log
    trace: list[tuple[Effect, Any]] = field(default_factory=list[tuple[Effect, Any]])
    ending: Ending = None

    def go(self, service: Service, steps: Steps[Any]) -> Ending:
        """Let a worker carry the procedure out; check everything that must hold after it."""
        driver = Driver(self.log, service)
        self.ending = driver.ending(steps)
        self.trace += driver.trace
        self.check()
        self.check_ending(driver.sends())
        self.check_evidence()
        return self.ending

    def die(self, service: Service, steps: Steps[Any], place: int, death: Death) -> bool:
        """Let a worker die when its effect number `place` took place; False where it ended before."""
        driver = Driver(self.log, service)
        died = run_up_to(driver, steps, place)
        death(steps)
        with pytest.raises(StopIteration):
            next(steps)
        if died and isinstance(driver.trace[-1][0], Send):  # the answer died with the worker
            driver.trace[-1] = (driver.trace[-1][0], LOST)
        self.trace += driver.trace
        self.check()
        return died

    def results(self, kind: type[Effect]) -> list[Any]:
        """What came of all effects of that kind, oldest first."""
        return [result for effect, result in self.trace if isinstance(effect, kind)]

    def check(self) -> None:
        """What holds at every moment."""
        self.check_sends()
        self.check_journal()
        self.check_memory()

    def check_sends(self) -> None:
        """Nothing is sent unrecorded, or against what was last known, or twice where that is not once."""
        known: TaskRecord[str, str] = TaskRecord()
        before: tuple[Effect, Any] | None = None
        for step in self.trace:
            effect, result = step
            known = cast("TaskRecord[str, str]", result) if isinstance(result, TaskRecord) else known
            if isinstance(effect, Send):
                assert before is not None
                assert isinstance(before[0], RecordAttempt)
                assert before[1] is True
                assert known.state is not None
                assert self.given.lifecycle.target(known.state, self.given.command) is not None
            before = step
        if not self.given.event.repeatable:
            assert all(map(cannot_have_arrived, self.results(Send)[:-1]))

    def check_journal(self) -> None:
        """At most one command is open at any time, and every life is lawful."""
        opened: set[str] = set()
        for entry in self.log.entries:
            if isinstance(entry, CommandEntry):
                (opened.discard if COMMAND.is_final(entry.record.state) else opened.add)(entry.record.id)
                assert len(opened) <= 1
        now = self.log.load().open_command
        assert opened == ({now.id} if now else set())
        for life in lives(self.log).values():
            COMMAND.replay(life)

    def check_memory(self) -> None:
        """No intent and no attempt that was acknowledged is forgotten, and none is there that was not."""
        record = last_command(self.log)
        intents = [each.id for each in self.results(RecordIntent) if isinstance(each, CommandRecord)]
        assert intents == ([record.id] if record else [])
        assert self.results(RecordAttempt) == [True] * (record.attempts if record else 0)

    def check_ending(self, sent: list[Answer]) -> None:
        """What the worker that has sent this returned or raised is what the journal says."""
        record, told = last_command(self.log), self.log.load().state
        state = record.state if record else None
        match self.ending:
            case CommandResult(sent=True):
                assert record
                assert record.attempts > 0
                assert state is CommandState.DONE
            case CommandResult(sent=False):
                assert not sent
                assert state in (None, CommandState.DONE)
                assert record or (told and self.judged(told) is VerdictKind.REDUNDANT)
            case IllegalTransition():
                assert not sent
                assert state in (None, CommandState.ABANDONED)
                assert told
                assert self.judged(told) is not VerdictKind.APPLIED
            case UnknownStatus():
                assert not sent
                assert state is None
            case CommandRefused():
                assert isinstance(sent[-1], Refused)
                assert state is CommandState.REFUSED
            case TaskEndedFirst():
                assert state is CommandState.ENDED_FIRST
            case CommandUncertain():
                assert state is CommandState.UNCERTAIN
                assert self.log.load().open_command == record
            case Mishap() if sent:
                assert all(map(cannot_have_arrived, self.results(Send)[:-1]))
                assert isinstance(sent[-1], NotSent | Throttled | Denied)
                assert state is (CommandState.ABANDONED if isinstance(sent[-1], NotSent) else CommandState.REFUSED)
            case Mishap():
                assert state is None
            case None:
                assert self.log.load().open_command is None
            case _:
                raise AssertionError(f"unexpected: {self.ending!r}")

    def check_evidence(self) -> None:
        """The service's own words prove what is said, and do not prove more than is said."""
        record, told = last_command(self.log), self.log.load().state
        if record is None or told is None:
            return
        is_at_target = told == self.target()
        match record.state:
            case CommandState.DONE:
                self.check_proof(told)
            case CommandState.ENDED_FIRST:
                assert self.given.lifecycle.is_final(told)
                assert not is_at_target
            case CommandState.UNCERTAIN if self.has_read_last():
                assert not (is_at_target and self.given.event.proved_by_state)
                assert is_at_target or not self.given.lifecycle.is_final(told)
            case CommandState.REFUSED if self.has_read_last():
                assert not (is_at_target and self.given.event.proved_by_state)
            case _:
                pass

    def check_proof(self, told: str) -> None:
        away = distances(names(self.given.lifecycle)[0], remote_moves(self.given.lifecycle))
        is_at_target_or_past_it = away[self.target(), told] < inf
        if self.given.command in self.given.proved_by_read:
            assert self.results(ReadProof)[-1] is True
            assert is_at_target_or_past_it
        elif self.given.event.proved_by_state:
            assert is_at_target_or_past_it
        else:
            assert isinstance(self.results(Send)[-1], Accepted)

    def check_truth(self, world: World) -> None:
        """What the journal says of the command is true of the world."""
        record = last_command(self.log)
        happened = world.took_effect(self.given.command)
        match record.state if record else None:
            case None:
                assert not world.arrivals
            case CommandState.DONE:
                assert record
                self.check_effect(record.source, world)
            case CommandState.ENDED_FIRST:
                assert self.given.lifecycle.is_final(world.state)
                assert world.state != self.target()
            case CommandState.ABANDONED:
                assert not happened
            case CommandState.REFUSED if happened:
                # A refusal is believed: also of what the network has doubled, or what was sent again.
                *earlier, last = self.results(Send)
                assert isinstance(last, Refused)
                assert world.has_refused_what_was_done or not all(map(cannot_have_arrived, earlier))
            case _:
                pass

    def check_effect(self, source: str, world: World) -> None:
        if self.given.command in self.given.proved_by_read:
            assert world.partner_is_over
        elif self.given.event.proved_by_state:
            told = self.log.load().state
            was_accepted = any(isinstance(answer, Accepted) for answer in self.results(Send))
            others_acted = world.began not in self.given.lifecycle.reachable_by_remote(source)
            assert (
                world.took_effect(self.given.command)
                or told == self.target()
                or (was_accepted and told != source)
                or others_acted
            )

    def check_settled(self, world: World) -> None:
        """Once the service answers, one recovery has settled everything that can be known."""
        opened = self.log.load().open_command
        if opened is not None:
            assert opened.attempts > 0
            may_run_already = not self.given.event.repeatable
            lacks_proof = self.given.command in self.given.proved_by_read and not world.partner_is_over
            assert may_run_already or lacks_proof
            assert isinstance(self.ending, CommandUncertain)

    def target(self) -> str:
        """Where the command leads from where it was last sent, or intended."""
        record, known = last_command(self.log), None
        assert record
        source = record.source
        for effect, result in self.trace:
            known = cast("TaskRecord[str, str]", result).state if isinstance(result, TaskRecord) else known
            source = known if known and isinstance(effect, Send) else source
        return self.given.lifecycle.step(source, self.given.command)

    def has_read_last(self) -> bool:
        """Whether the last read said something that the lifecycle knows."""
        reads = self.results(Read)
        status = reads[-1].status if reads and isinstance(reads[-1], Accepted) else None
        return status is not None and self.given.lifecycle.state_of(status) is not None

    def judged(self, state: str) -> VerdictKind:
        return self.given.lifecycle.judge(state, self.given.command).kind
