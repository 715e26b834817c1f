"""What must hold of every schedule, each promise under its name.

A `Witness` sees every effect on one task, before and after it takes place, and looks into the
storage by itself: what a worker was told, what is kept, and what the service saw must agree.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from lifecycle import COMMAND, CommandEvent, CommandState, VerdictKind
from lifecycle.effects import (
    Claim,
    Effect,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Release,
    Response,
    Send,
)
from lifecycle.journal import CommandRecord, Journal, TaskJournal, TaskRecord
from tests.lifecycle.drivers import LOST, Declared, Worker
from tests.lifecycle.worlds import World
from tests.properties.lived import cannot_have_arrived, is_told, is_true, may_be_sent
from tests.simulation.storage import Commands, Storage


class Promise(StrEnum):
    """What is promised of commands, whatever happens."""

    LEGAL = "no command is sent that the state last recorded forbids"
    KEYED = "one key gives one recorded command"
    ONCE = "what is not idempotent is sent twice only where the first is known not to have arrived"
    ATTEMPTED = "every call that the service saw has a recorded attempt"
    KEPT = "nothing acknowledged is forgotten"
    SETTLED = "every command ends settled or is reported open, and recovery settles it once the service answers"
    ALONE = "at most one command of a task is in flight"
    TRUE = "no outcome is recorded by guess"
    TOLD = "what a worker is told of a command is what is recorded of it"
    FENCED = "nothing is written of a command under a claim that another has followed"
    RELEASED = "no command is claimed by a worker that no longer works on it, or taken from one that may be alive"


class Broken(AssertionError):
    """A promise that was not kept."""

    def __init__(self, promise: Promise, what: object) -> None:
        self.promise = promise
        super().__init__(f"{promise}: {what}")


def require(holds: bool, promise: Promise, what: object) -> None:
    if not holds:
        raise Broken(promise, what)


@dataclass(eq=False)
class Witness:
    """Watches one task. `answers` holds what came of each send, by the number of its command."""

    lifecycle: Declared
    task_id: str
    world: World
    storage: Storage
    answers: dict[int, list[Response]] = field(default_factory=dict[int, list[Response]])
    _opened: Commands = field(default_factory=dict[str, CommandRecord[str, str]])
    _attempts: dict[str, int] = field(default_factory=dict[str, int])
    _ended: dict[str, CommandState] = field(default_factory=dict[str, CommandState])
    _since: dict[str, int] = field(default_factory=dict[str, int])
    _reports: int = 0
    _before: TaskRecord[str, str] = field(default_factory=lambda: TaskRecord())  # noqa: PLW0108
    _written: CommandRecord[str, str] | None = None

    # --- what is seen ---

    def before(self, effect: Effect, known: TaskRecord[str, str]) -> None:
        """An effect is about to take place, of a worker that knows this."""
        match effect:
            case RecordIntent():
                self._before = self.record()
            case RecordAttempt(command_id) | RecordOutcome(command_id) | Release(command_id) | Claim(command_id):
                self._before, self._written = self.record(), self.log().load_command(command_id)
            case Send(command, fields):
                self._see_send(str(command), fields["number"], known)
            case _:
                pass

    def after(self, effect: Effect, result: Any) -> None:
        """The effect took place, and the storage or the service has said so."""
        match effect:
            case RecordIntent(command) if isinstance(result, CommandRecord):
                self._see_intent(str(command), cast("CommandRecord[str, str]", result))
            case RecordAttempt(command_id, number, claim):
                self._see_write(command_id, claim)
                if result:
                    self._see_attempt(command_id)
                    self._attempts[command_id] = number
            case RecordOutcome(command_id, event, claim=claim):
                if self._see_write(command_id, claim):
                    self._see_outcome(command_id, event)
            case Release(command_id, claim):
                self._see_write(command_id, claim)
            case RecordReport():
                self._reports += 1
            case _:
                pass

    def answered(self, number: int, answer: Response) -> None:
        """A worker that lives was told what came of the last send of that command."""
        self.answers[number][-1] = answer

    def _see_intent(self, command: str, opened: CommandRecord[str, str]) -> None:
        state = self._before.current
        verdict = None if state is None else self.lifecycle.judge(state, command).kind
        is_needless = verdict is VerdictKind.REDUNDANT and opened.context.idempotency_key is not None
        is_legal = is_needless or may_be_sent(self.lifecycle, command, state)
        require(is_legal, Promise.LEGAL, f"{command} intended in {state}")
        self._opened[opened.id] = opened
        self._since[opened.id] = self.world.since(self._before.as_of)

    def _see_attempt(self, command_id: str) -> None:
        command, state = self.commands()[command_id].command, self._before.current
        require(may_be_sent(self.lifecycle, command, state), Promise.LEGAL, f"{command} attempted in {state}")

    def _see_send(self, command: str, number: int, known: TaskRecord[str, str]) -> None:
        is_legal = may_be_sent(self.lifecycle, command, known.current)
        require(is_legal, Promise.LEGAL, f"{command} sent in {known.current}")
        earlier = self.answers.setdefault(number, [])
        may_repeat = self.lifecycle.event(command).idempotent or all(map(cannot_have_arrived, earlier))
        require(may_repeat, Promise.ONCE, f"{command} {number} after {[type(each).__name__ for each in earlier]}")
        earlier.append(LOST)  # until somebody hears another answer
        recorded = sum(each.attempts for each in self.commands().values() if each.fields["number"] == number)
        require(
            recorded >= len(earlier), Promise.ATTEMPTED, f"{command} {number}: {len(earlier)} sent, {recorded} recorded"
        )

    def _see_write(self, command_id: str, claim: int) -> bool:
        """Whether the write was made under the last claim; if it was not, it has changed nothing."""
        assert self._written is not None
        now = self.log().load_command(command_id)
        is_fenced = claim == self._written.claim or now == self._written
        require(is_fenced, Promise.FENCED, f"under claim {claim}: {self._written} became {now}")
        return claim == self._written.claim

    def see_claim(self, result: object, now: datetime, dead: Collection[str]) -> None:
        """A claim of a command has succeeded or not; the workers named in `dead` are gone."""
        hold = None if self._written is None else self._written.hold
        is_free = hold is None or hold.worker in dead or (hold.until is not None and hold.until < now)
        require(result is None or is_free, Promise.RELEASED, f"{self._written} was claimed by another")

    def see_ending(self, worker: Worker, ending: object, held: tuple[str, int] | None) -> None:
        """A procedure has returned or raised that; `held` is the command that it was told to have claimed."""
        opened = self.record().open_command
        is_held = opened is not None and opened.hold is not None and (opened.id, opened.claim) == held
        require(not is_held, Promise.RELEASED, f"{worker.name} is done, and {opened}")
        if worker.command_id is not None:
            record = self.log().load_command(worker.command_id)
            require(is_told(ending, record, worker.driver.trace), Promise.TOLD, f"{ending!r}, and {record}")

    def _see_outcome(self, command_id: str, event: CommandEvent) -> None:
        now = self.commands()[command_id]
        has_moved = now.state is not COMMAND.initial if event is CommandEvent.LOSE else COMMAND.is_final(now.state)
        require(has_moved, Promise.KEPT, f"{event} of {now}")

    # --- what is kept ---

    def log(self) -> TaskJournal[str, str]:
        return self.storage.log(self.lifecycle, self.task_id)

    def record(self) -> TaskRecord[str, str]:
        return self.log().load()

    def commands(self) -> Commands:
        return self.storage.commands(self.lifecycle, self.task_id)

    def check(self) -> None:
        """What must hold at any time."""
        commands = self.commands()
        opened = self.record().open_command
        in_flight = [_life(each) for each in commands.values() if not COMMAND.is_final(each.state)]
        reported = [_life(opened)] if opened is not None else []
        require(len(in_flight) <= 1, Promise.ALONE, in_flight)
        require(in_flight == reported, Promise.SETTLED, f"{in_flight} in flight, {reported} reported")
        # What is given again under its key has its number again.
        numbers = [each.fields["number"] for each in commands.values()]
        require(len(numbers) == len(set(numbers)), Promise.KEYED, [*commands.values()])
        self._check_memory(commands)
        for each in commands.values():
            answers = self.answers.get(each.fields["number"], [])
            require(is_true(each, self.world, self._since.get(each.id, 0), answers), Promise.TRUE, each)

    def _check_memory(self, commands: Commands) -> None:
        for command_id, intended in self._opened.items():
            now = commands.get(command_id)
            is_kept = now is not None and _intent(now) == _intent(intended)
            require(is_kept, Promise.KEPT, f"intended {intended}, kept {now}")
        for command_id, number in self._attempts.items():
            require(commands[command_id].attempts >= number, Promise.KEPT, f"attempt {number}: {commands[command_id]}")
        for command_id, state in self._ended.items():
            require(commands[command_id].state is state, Promise.KEPT, f"was {state}: {commands[command_id]}")
        self._ended |= {each.id: each.state for each in commands.values() if COMMAND.is_final(each.state)}

    def check_at_rest(self, journal: Journal) -> None:
        """What must hold when the service has answered a recovery."""
        self.check()
        kept = self.storage.reports(self.lifecycle, self.task_id)
        require(kept >= self._reports, Promise.KEPT, f"{self._reports} reports, {kept} kept")
        opened = self.record().open_command
        require(
            (self.task_id in journal.open_tasks(self.lifecycle)) is (opened is not None),
            Promise.SETTLED,
            f"{opened} is not reported",
        )
        if opened is not None:
            # DESIGN.md, step 7: what may run already, and what cannot be proved.
            may_run_already = opened.attempts > 0 and not self.lifecycle.event(opened.command).idempotent
            lacks_proof = opened.command in self.world.proved_by_read and not self.world.partner_is_over
            require(may_run_already or lacks_proof, Promise.SETTLED, opened)


def _intent(command: CommandRecord[str, str]) -> tuple[object, ...]:
    return command.command, command.source, command.fields, command.context


def _life(command: CommandRecord[str, str]) -> tuple[str, CommandState, int]:
    return command.id, command.state, command.attempts
