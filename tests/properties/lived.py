"""One command's whole life in a test: its workers, their effects, and the checks of these.

There are three kinds of checks: of any sequence of effects (`check`, `check_ending`), of the conclusions that the
service's responses allow (`check_evidence`), and of the true state behind them (`is_true`). The last one shares no
assumption with the procedure: it uses the requests that reached the task, and the task's true states.
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
    CommandAbandoned,
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
from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import (
    Accepted,
    Denied,
    Effect,
    LoadCommand,
    Missing,
    NotSent,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    Refused,
    Response,
    Send,
    Steps,
    Throttled,
)
from lifecycle.journal import CommandEntry, CommandRecord, TaskRecord
from lifecycle.memory import MemoryJournal
from tests.lifecycle.drivers import (
    LOST,
    TASK,
    Declared,
    Driver,
    Killed,
    Mishap,
    Service,
    clock,
    journal_knowing,
    last_command,
    lives,
    run_up_to,
)
from tests.lifecycle.worlds import Choices, World
from tests.support.oracles import distances, moves_of, names, remote_moves

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

    def commanding(self) -> CommandProcedure[str, str]:
        return CommandProcedure(lifecycle=self.lifecycle, task=TASK, proved_by_read=self.proved_by_read)

    def execute(self) -> Steps[CommandResult[str, str]]:
        return self.commanding().execute(self.command)

    def world(self, choices: Choices, *, has_others: bool = False) -> World:
        """Return a world whose task may have changed since its known state, by itself or by other actors."""
        states = [state.name for state in self.lifecycle.states]
        if self.known is not None:
            possible = self.lifecycle.reachable(self.known)
            states = [self.known, *(state for state in states if state in possible and state != self.known)]
        state = choices.pick(states)
        began = self.known or state
        world = World(self.lifecycle, choices, began, self.proved_by_read, has_others)
        for event in self.lifecycle.path(began, state) or ():
            world.move(event)
        return world


def every_command(lifecycle: Declared) -> list[Given]:
    """Return each command with each state that a journal may know, and with none."""
    states = [None, *(state.name for state in lifecycle.states)]
    return [Given(lifecycle, command, known) for command in lifecycle.commands for known in states]


# --- deaths of a worker -----------------------------------------------------------------------------


def close(steps: Steps[Any]) -> None:
    """Drop the procedure."""
    steps.close()


def throw(steps: Steps[Any]) -> None:
    """Raise an error of the driver in the procedure."""
    with pytest.raises(Killed):
        steps.throw(Killed())


# --- true outcomes and returned outcomes --------------------------------------------------------------


def is_true(record: CommandRecord[str, str], world: World, since: int, responses: Sequence[Response]) -> bool:
    """Return whether the outcome of a command, if it has one, is true.

    Nothing that the procedure believes is asked, but what the requests did in the world and where the
    task was, from `since` on: the place in its past of the last report that was believed before the
    intent. `responses` are those to the command's sends.
    """
    lifecycle, command = world.lifecycle, record.command
    took_effect = world.applied(command, record.fields)
    is_over = lifecycle.is_final(world.state)
    match record.state:
        case CommandState.DONE if not (lifecycle.event(command).proved_by_state or command in world.proved_by_read):
            return bool(responses) and isinstance(responses[-1], Accepted)
        case CommandState.DONE:
            lacks_proof = command in world.proved_by_read and not world.partner_is_over
            return (took_effect or world.went_through(targets(lifecycle, command), since)) and not lacks_proof
        case CommandState.ENDED_FIRST:
            return is_over and not (took_effect and record.fields not in world.refused_though_done)
        case CommandState.MOOT:
            return is_over and record.attempts > 0
        case CommandState.REFUSED:
            # A doubled request may have been both applied and refused; no client can know.
            is_refused = bool(responses) or world.state in refusing_for_good(lifecycle, command)
            return is_refused and not (took_effect and record.fields not in world.refused_though_done)
        case _:
            return True


def agrees_with(ending: object, record: CommandRecord[str, str], trace: Sequence[tuple[Effect, Any]]) -> bool:
    """Return whether a worker's result or error agrees with the command's present record in the journal.

    A worker that releases an uncertain command cannot know its later outcome, but must read the command after its
    last read of the service.
    """
    match ending:
        case CommandResult():
            return record.state is CommandState.DONE and ending.sent == (record.attempts > 0)
        case TaskEndedFirst(took_effect=False):
            return record.state is CommandState.ENDED_FIRST
        case TaskEndedFirst():
            return record.state is CommandState.MOOT
        case CommandRefused():
            return record.state is CommandState.REFUSED
        case CommandAbandoned():
            return record.state is CommandState.ABANDONED
        case CommandUncertain():
            seen: CommandRecord[str, str] | None = None
            for effect, result in trace:
                match effect:
                    case Send() | Read() | ReadProof():
                        seen = None
                    case RecordOutcome():
                        seen = result.command
                    case LoadCommand():
                        seen = result
                    case _:
                        pass
            return seen is not None and not COMMAND.is_final(seen.state)
        case _:
            return True


def refusing_for_good(lifecycle: Declared, command: str) -> set[str]:
    """Return the states after which the command can take no effect, and before which it had none."""
    moves, (states, _) = moves_of(lifecycle), names(lifecycle)
    away = distances(states, moves)
    sources = {source for source, event in moves if event == command}
    return {
        state
        for state in states
        if all(away[state, source] == inf for source in sources)
        and all(away[target, state] == inf for target in targets(lifecycle, command))
    }


def targets(lifecycle: Declared, command: str) -> frozenset[str]:
    """Return the command's targets from all states."""
    return frozenset(row.target for row in lifecycle.transitions if row.event == command)


# --- a life -----------------------------------------------------------------------------------------


def cannot_have_arrived(response: Response) -> bool:
    return isinstance(response, NotSent | Throttled) or (isinstance(response, Denied) and response.is_renewable)


def did_not_arrive(response: Response) -> bool:
    """Return whether a response proves that this request had no effect."""
    return isinstance(response, NotSent | Throttled | Refused | Denied | Missing)


@dataclass
class Lived:
    """All effects of successive workers for one command."""

    given: Given
    world: World | None = None
    trace: list[tuple[Effect, Any]] = field(default_factory=list[tuple[Effect, Any]])
    ending: Ending = None
    dead: set[str] = field(default_factory=set[str])
    since: int = 0

    def __post_init__(self) -> None:
        self.worker = "worker-1"
        self.journal = MemoryJournal(worker=self.worker)
        self.log = journal_knowing(self.given.lifecycle, self.given.known, times=clock(), journal=self.journal)

    def go(self, service: Service, steps: Steps[Any]) -> Ending:
        """Let a worker run the procedure, and check the result."""
        driver = Driver(self.log, service)
        self.ending = driver.ending(steps)
        self._keep(driver)
        self.check()
        self.check_ending(driver.sends())
        self.check_evidence()
        return self.ending

    def die(self, service: Service, steps: Steps[Any], place: int, death: Death) -> bool:
        """Let a worker die after its effect number `place`; return False if it ended before."""
        driver = Driver(self.log, service)
        died = run_up_to(driver, steps, place)
        death(steps)
        with pytest.raises(StopIteration):
            next(steps)
        if died and isinstance(driver.trace[-1][0], Send):  # the response was lost with the worker
            driver.trace[-1] = (driver.trace[-1][0], LOST)
        self._keep(driver)
        self.check()
        if died:
            self.dead.add(self.worker)
            self.worker = f"worker-{len(self.dead) + 1}"
            self.log = self.journal.join(self.worker).task(self.given.lifecycle, TASK)
        return died

    def recover(self) -> Steps[Any]:
        """Return the recovery of a worker that knows the dead ones."""
        return self.given.commanding().recover(dead=frozenset(self.dead))

    def _keep(self, driver: Driver) -> None:
        """Keep a worker's effects, and the task's position at the time of its knowledge when it opened the command."""
        known: TaskRecord[str, str] = TaskRecord()
        for effect, result in driver.trace:
            if isinstance(result, TaskRecord):
                known = cast("TaskRecord[str, str]", result)
            is_opened = isinstance(effect, RecordIntent) and isinstance(result, CommandRecord)
            if is_opened and self.world is not None:
                self.since = self.world.since(known.as_of)
        self.trace += driver.trace

    def results(self, kind: type[Effect]) -> list[Any]:
        """Return the results of all effects of this kind, oldest first."""
        return [result for effect, result in self.trace if isinstance(effect, kind)]

    def check(self) -> None:
        """Check the invariants that hold at any time."""
        self.check_sends()
        self.check_journal()
        self.check_memory()
        self.check_truth()

    def check_sends(self) -> None:
        """Require that each send was recorded and allowed, and was repeated only if that is safe."""
        known: TaskRecord[str, str] = TaskRecord()
        before: tuple[Effect, Any] | None = None
        for step in self.trace:
            effect, result = step
            known = cast("TaskRecord[str, str]", result) if isinstance(result, TaskRecord) else known
            if isinstance(effect, Send):
                assert before is not None
                assert isinstance(before[0], RecordAttempt)
                assert before[1] is True
                assert may_be_sent(self.given.lifecycle, self.given.command, known.current)
            before = step
        if not self.given.event.idempotent:
            assert all(map(cannot_have_arrived, self.results(Send)[:-1]))

    def check_journal(self) -> None:
        """Require at most one open command at any time, only legal command states, and no lost claim."""
        opened: set[str] = set()
        claims: dict[str, int] = {}
        for entry in self.log.entries:
            if isinstance(entry, CommandEntry):
                (opened.discard if COMMAND.is_final(entry.record.state) else opened.add)(entry.record.id)
                assert len(opened) <= 1
                assert entry.record.claim >= claims.get(entry.record.id, 1)
                claims[entry.record.id] = entry.record.claim
        now = self.log.load().open_command
        assert opened == ({now.id} if now else set())
        for life in lives(self.log).values():
            COMMAND.replay(life)

    def check_memory(self) -> None:
        """Require that the journal holds exactly the acknowledged intents and attempts."""
        record = last_command(self.log)
        intents = [each.id for each in self.results(RecordIntent) if isinstance(each, CommandRecord)]
        assert intents == ([record.id] if record else [])
        assert self.results(RecordAttempt) == [True] * (record.attempts if record else 0)

    def check_truth(self) -> None:
        """Require that the command's record is true in the world, if there is one."""
        record, world = last_command(self.log), self.world
        if world is None:
            return
        if record is None:
            assert not world.arrivals
            return
        assert is_true(record, world, self.since, self.results(Send))
        if record.state is CommandState.ABANDONED:  # no stop abandons a command here, so it was never sent
            assert not world.applied(record.command, record.fields)
        if record.state is CommandState.MOOT:  # a provable lack of effect is recorded as such
            away = distances(names(world.lifecycle)[0], moves_of(world.lifecycle))
            assert min(away[target, world.state] for target in targets(world.lifecycle, record.command)) < inf
            assert self.dead or not all(map(did_not_arrive, self.results(Send)))

    def check_ending(self, sent: list[Response]) -> None:
        """Require that the result or error of the worker with these sends agrees with the journal."""
        record, known = last_command(self.log), self.log.load().current
        state = record.state if record else None
        assert record is None or agrees_with(self.ending, record, self.trace)
        opened = self.log.load().open_command
        assert opened is None or opened.lease is None, "a procedure that has ended holds nothing"
        match self.ending:
            case CommandResult(sent=True):
                assert record
                assert record.attempts > 0
            case CommandResult(sent=False):
                assert not sent
                assert record or (known and self.judged(known) is VerdictKind.REDUNDANT)
            case IllegalTransition():
                assert not sent
                assert state in (None, CommandState.ABANDONED)
                assert known
                assert self.judged(known) is not VerdictKind.APPLIED
            case UnknownStatus():
                assert not sent
                assert record is None or self.was_never_sent(record)
            case CommandRefused():
                # Without a response the request was interrupted: only the task's state can say that it was refused.
                was_refused = bool(sent) and isinstance(sent[-1], Refused | Missing)
                assert was_refused or known in refusing_for_good(self.given.lifecycle, self.given.command)
            case TaskEndedFirst():
                assert known
                assert self.given.lifecycle.is_final(known)
            case CommandUncertain():
                assert state is CommandState.UNCERTAIN
                assert opened == record
            case Mishap() if sent:
                assert all(map(cannot_have_arrived, self.results(Send)[:-1]))
                assert did_not_arrive(sent[-1])
                assert state is (CommandState.ABANDONED if isinstance(sent[-1], NotSent) else CommandState.REFUSED)
            case Mishap():
                assert record is None or self.was_never_sent(record)
            case None:
                assert opened is None
            case _:
                raise AssertionError(f"unexpected: {self.ending!r}")

    def was_never_sent(self, record: CommandRecord[str, str]) -> bool:
        return record.attempts == 0 and not COMMAND.is_final(record.state)

    def check_evidence(self) -> None:
        """Require that the service's responses prove the recorded outcome, and nothing beyond it."""
        record, known = last_command(self.log), self.log.load().current
        if record is None or known is None:
            return
        is_at_target = known in self.targets()
        is_over = self.given.lifecycle.is_final(known)
        match record.state:
            case CommandState.DONE:
                self.check_proof(record, known)
            case CommandState.ENDED_FIRST:
                assert not is_at_target
            case CommandState.MOOT:
                assert record.attempts > 0
                assert not (is_at_target and self.given.event.proved_by_state)
            case CommandState.UNCERTAIN if self.has_read_last():
                assert not (is_at_target and self.given.event.proved_by_state)
                assert is_at_target or not is_over
            case CommandState.REFUSED if self.has_read_last():
                assert not (is_at_target and self.given.event.proved_by_state)
                assert is_at_target or not is_over
            case _:
                pass

    def check_proof(self, record: CommandRecord[str, str], known: str) -> None:
        """Require the proof of a done command: its target, a state that only it leads to, a read, or its response."""
        states, moves = names(self.given.lifecycle)[0], moves_of(self.given.lifecycle)
        away = distances(states, remote_moves(self.given.lifecycle))
        without = distances(states, {row: to for row, to in moves.items() if row[1] != self.given.command})
        is_past = min(away[target, known] for target in self.targets()) < inf
        source = self.source()
        is_only_way = source is not None and without[source, known] == inf
        is_proved = known in self.targets() or (record.attempts > 0 and is_past and is_only_way)
        if self.given.command in self.given.proved_by_read:
            assert self.results(ReadProof)[-1] is True
            assert is_proved
        elif self.given.event.proved_by_state:
            assert is_proved
        else:
            assert isinstance(self.results(Send)[-1], Accepted)

    def check_settled(self) -> None:
        """Require that one recovery with a responding service settles everything that can be known."""
        opened, world = self.log.load().open_command, self.world
        if opened is not None and world is not None:
            assert opened.attempts > 0
            may_run_already = not self.given.event.idempotent
            lacks_proof = self.given.command in self.given.proved_by_read and not world.partner_is_over
            assert may_run_already or lacks_proof
            assert isinstance(self.ending, CommandUncertain)

    def source(self) -> str | None:
        """Return the known state at the command's last send, or at its intent; None if it was not known."""
        record, known = last_command(self.log), None
        assert record
        source = record.source
        for effect, result in self.trace:
            known = cast("TaskRecord[str, str]", result).current if isinstance(result, TaskRecord) else known
            source = known if isinstance(effect, Send) else source
        return source

    def targets(self) -> frozenset[str]:
        """Return the command's target from that state; its targets from all states if that is not known."""
        record, source = last_command(self.log), self.source()
        assert record
        if source is None:
            return targets(self.given.lifecycle, record.command)
        return frozenset({self.given.lifecycle.target(source, record.command) or source})  # redundant: it is there

    def has_read_last(self) -> bool:
        """Return whether the last read returned a status that the lifecycle knows."""
        reads = self.results(Read)
        status = reads[-1].status if reads and isinstance(reads[-1], Accepted) else None
        return status is not None and self.given.lifecycle.state_of(status) is not None

    def judged(self, state: str) -> VerdictKind:
        return self.given.lifecycle.judge(state, self.given.command).kind


def may_be_sent(lifecycle: Declared, command: str, state: str | None) -> bool:
    """Return whether the command may be sent to a task in this state; None is a state that could not be read."""
    if state is not None:
        return lifecycle.target(state, command) is not None
    accepting = {row.source for row in lifecycle.transitions if row.event == command}
    return accepting == {each.name for each in lifecycle.states if not each.final}
