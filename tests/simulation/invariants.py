"""The invariants of every schedule, and the witness that checks them.

A `Witness` receives every effect on one task, before and after it happens, and reads the storage itself: the results
that workers received, the stored records, and the calls that the service received must agree.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from lifecycle import COMMAND, CommandEvent, CommandState, VerdictKind
from lifecycle.command import CommandResult
from lifecycle.effects import (
    Accepted,
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
from tests.properties.lived import agrees_with, cannot_have_arrived, is_true, may_be_sent
from tests.simulation.storage import Commands, Storage


class CommandInvariant(StrEnum):
    """The invariants of commands under any schedule."""

    LEGAL = "no command is sent that the last recorded state refuses"
    KEYED = "one idempotency key leads to one recorded command"
    ONCE = "a command that is not idempotent is sent again only if the first request did certainly not arrive"
    ATTEMPTED = "every call that the service received has a recorded attempt"
    KEPT = "no acknowledged record is lost"
    SETTLED = "every command ends settled or is reported open, and recovery settles it once the service responds"
    ALONE = "at most one command of a task is in flight"
    TRUE = "no outcome is recorded by guess"
    RETURNED = "the outcome that a worker returns or raises is the recorded one"
    NAMED = "the state that a worker returns is one that the task had since its last request, unless it says so"
    FENCED = "no write succeeds under a claim after a newer claim"
    RELEASED = "no finished worker keeps a claim, and no claim is taken from a worker that may be alive"


class InvariantViolated(AssertionError):
    """An invariant does not hold in a schedule."""

    def __init__(self, invariant: CommandInvariant, what: object) -> None:
        self.invariant = invariant
        super().__init__(f"{invariant}: {what}")


def require(holds: bool, invariant: CommandInvariant, what: object) -> None:
    if not holds:
        raise InvariantViolated(invariant, what)


@dataclass(eq=False)
class Witness:
    """The checker of one task. `responses` holds the result of each send, by the number of its command."""

    lifecycle: Declared
    task_id: str
    world: World
    storage: Storage
    responses: dict[int, list[Response]] = field(default_factory=dict[int, list[Response]])
    _opened: Commands = field(default_factory=dict[str, CommandRecord[str, str]])
    _attempts: dict[str, int] = field(default_factory=dict[str, int])
    _ended: dict[str, CommandState] = field(default_factory=dict[str, CommandState])
    _since: dict[str, int] = field(default_factory=dict[str, int])
    _reports: int = 0
    _before: TaskRecord[str, str] = field(default_factory=lambda: TaskRecord())  # noqa: PLW0108
    _written: CommandRecord[str, str] | None = None

    # --- observed effects ---

    def before(self, effect: Effect, known: TaskRecord[str, str]) -> None:
        """Note an effect before it happens; `known` is the worker's record of the task."""
        match effect:
            case RecordIntent():
                self._before = self.record()
            case RecordAttempt(command_id) | RecordOutcome(command_id) | Release(command_id) | Claim(command_id):
                self._before, self._written = self.record(), self.log().load_command(command_id)
            case Send(command, fields):
                self._check_send(str(command), fields["number"], known)
            case _:
                pass

    def after(self, effect: Effect, result: Any) -> None:
        """Check an effect after it happened, with the result of the storage or the service."""
        match effect:
            case RecordIntent(command) if isinstance(result, CommandRecord):
                self._check_intent(str(command), cast("CommandRecord[str, str]", result))
            case RecordAttempt(command_id, number, claim):
                self._check_write(command_id, claim)
                if result:
                    self._check_attempt(command_id)
                    self._attempts[command_id] = number
            case RecordOutcome(command_id, event, claim=claim):
                if self._check_write(command_id, claim):
                    self._check_outcome(command_id, event)
            case Release(command_id, claim):
                self._check_write(command_id, claim)
            case RecordReport():
                self._reports += 1
            case _:
                pass

    def received_response(self, number: int, response: Response) -> None:
        """Note that a running worker received the response to the last send of the command."""
        self.responses[number][-1] = response

    def _check_intent(self, command: str, opened: CommandRecord[str, str]) -> None:
        state = self._before.current
        verdict = None if state is None else self.lifecycle.judge(state, command).kind
        is_needless = verdict is VerdictKind.REDUNDANT and opened.context.idempotency_key is not None
        is_legal = is_needless or may_be_sent(self.lifecycle, command, state)
        require(is_legal, CommandInvariant.LEGAL, f"{command} intended in {state}")
        self._opened[opened.id] = opened
        self._since[opened.id] = self.world.since(self._before.as_of)

    def _check_attempt(self, command_id: str) -> None:
        command, state = self.commands()[command_id].command, self._before.current
        require(may_be_sent(self.lifecycle, command, state), CommandInvariant.LEGAL, f"{command} attempted in {state}")

    def _check_send(self, command: str, number: int, known: TaskRecord[str, str]) -> None:
        is_legal = may_be_sent(self.lifecycle, command, known.current)
        require(is_legal, CommandInvariant.LEGAL, f"{command} sent in {known.current}")
        earlier = self.responses.setdefault(number, [])
        may_repeat = self.lifecycle.event(command).idempotent or all(map(cannot_have_arrived, earlier))
        require(
            may_repeat, CommandInvariant.ONCE, f"{command} {number} after {[type(each).__name__ for each in earlier]}"
        )
        earlier.append(LOST)  # until a worker receives another response
        recorded = sum(each.attempts for each in self.commands().values() if each.fields["number"] == number)
        require(
            recorded >= len(earlier),
            CommandInvariant.ATTEMPTED,
            f"{command} {number}: {len(earlier)} sent, {recorded} recorded",
        )

    def _check_write(self, command_id: str, claim: int) -> bool:
        """Return whether the write used the last claim; require that any other write changed nothing."""
        assert self._written is not None
        now = self.log().load_command(command_id)
        is_fenced = claim == self._written.claim or now == self._written
        require(is_fenced, CommandInvariant.FENCED, f"under claim {claim}: {self._written} became {now}")
        return claim == self._written.claim

    def check_claim(self, result: object, now: datetime, dead: Collection[str]) -> None:
        """Check the result of a claim; the workers named in `dead` have died."""
        lease = None if self._written is None else self._written.lease
        is_free = lease is None or lease.worker in dead or (lease.until is not None and lease.until < now)
        require(result is None or is_free, CommandInvariant.RELEASED, f"{self._written} was claimed by another")

    def check_ending(self, worker: Worker, ending: object, held: tuple[str, int] | None) -> None:
        """Check the result or the error of a procedure; `held` is the claimed command and its claim."""
        opened = self.record().open_command
        is_held = opened is not None and opened.lease is not None and (opened.id, opened.claim) == held
        require(not is_held, CommandInvariant.RELEASED, f"{worker.name} is done, and {opened}")
        if worker.command_id is not None:
            record = self.log().load_command(worker.command_id)
            require(
                agrees_with(ending, record, worker.driver.trace), CommandInvariant.RETURNED, f"{ending!r}, and {record}"
            )
        if isinstance(ending, CommandResult) and not ending.is_last_known:
            answers = [(effect, each) for effect, each in worker.driver.trace if isinstance(each, Accepted)]
            named = [(effect, each) for effect, each in answers if each.status and self._knows(each.status)]
            since = self._since_request(*named[-1]) if named else 0
            state = cast("CommandResult[str, str]", ending).state
            is_new = self.world.went_through(frozenset({state}), since)
            require(is_new, CommandInvariant.NAMED, f"{ending!r} after {named[-1:]}")

    def _knows(self, status: str) -> bool:
        return self.lifecycle.state_of(status) is not None

    def _since_request(self, effect: Effect, answer: Accepted) -> int:
        """Return the place at which the task was when a command had arrived, or when a read began."""
        return self.world.since_answer(answer) if isinstance(effect, Send) else self.world.since(answer.as_of)

    def _check_outcome(self, command_id: str, event: CommandEvent) -> None:
        now = self.commands()[command_id]
        has_moved = now.state is not COMMAND.initial if event is CommandEvent.LOSE else COMMAND.is_final(now.state)
        require(has_moved, CommandInvariant.KEPT, f"{event} of {now}")

    # --- stored records ---

    def log(self) -> TaskJournal[str, str]:
        return self.storage.log(self.lifecycle, self.task_id)

    def record(self) -> TaskRecord[str, str]:
        return self.log().load()

    def commands(self) -> Commands:
        return self.storage.commands(self.lifecycle, self.task_id)

    def check(self) -> None:
        """Check the invariants that hold at any time."""
        commands = self.commands()
        opened = self.record().open_command
        in_flight = [_life(each) for each in commands.values() if not COMMAND.is_final(each.state)]
        reported = [_life(opened)] if opened is not None else []
        require(len(in_flight) <= 1, CommandInvariant.ALONE, in_flight)
        require(in_flight == reported, CommandInvariant.SETTLED, f"{in_flight} in flight, {reported} reported")
        # A command that is repeated with its key has its number again.
        numbers = [each.fields["number"] for each in commands.values()]
        require(len(numbers) == len(set(numbers)), CommandInvariant.KEYED, [*commands.values()])
        self._check_memory(commands)
        for each in commands.values():
            responses = self.responses.get(each.fields["number"], [])
            require(is_true(each, self.world, self._since.get(each.id, 0), responses), CommandInvariant.TRUE, each)

    def _check_memory(self, commands: Commands) -> None:
        for command_id, intended in self._opened.items():
            now = commands.get(command_id)
            is_kept = now is not None and _intent(now) == _intent(intended)
            require(is_kept, CommandInvariant.KEPT, f"intended {intended}, kept {now}")
        for command_id, number in self._attempts.items():
            require(
                commands[command_id].attempts >= number,
                CommandInvariant.KEPT,
                f"attempt {number}: {commands[command_id]}",
            )
        for command_id, state in self._ended.items():
            require(commands[command_id].state is state, CommandInvariant.KEPT, f"was {state}: {commands[command_id]}")
        self._ended |= {each.id: each.state for each in commands.values() if COMMAND.is_final(each.state)}

    def check_at_rest(self, journal: Journal) -> None:
        """Check the invariants that hold after a recovery with a responding service."""
        self.check()
        kept = self.storage.reports(self.lifecycle, self.task_id)
        require(kept >= self._reports, CommandInvariant.KEPT, f"{self._reports} reports, {kept} kept")
        opened = self.record().open_command
        require(
            (self.task_id in journal.open_tasks(self.lifecycle)) is (opened is not None),
            CommandInvariant.SETTLED,
            f"{opened} is not reported",
        )
        if opened is not None:
            # Two kinds of command may stay open: one that may run already and must not be repeated, and one whose proof
            # cannot be read.
            may_run_already = opened.attempts > 0 and not self.lifecycle.event(opened.command).idempotent
            lacks_proof = opened.command in self.world.proved_by_read and not self.world.partner_is_over
            require(may_run_already or lacks_proof, CommandInvariant.SETTLED, opened)


def _intent(command: CommandRecord[str, str]) -> tuple[object, ...]:
    return command.command, command.source, command.fields, command.context


def _life(command: CommandRecord[str, str]) -> tuple[str, CommandState, int]:
    return command.id, command.state, command.attempts
