"""What must hold of a command, judged by what the service really did and when.

The oracle shares no code with the procedure and asks it nothing. It keeps `Facts` of each command while
the exploration goes on, and returns a `Finding` for each thing that is wrong (a violation) or that no
client can know (an unknowable, which is counted and listed).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from lifecycle import (
    CommandAbandoned,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    Event,
    IllegalTransition,
    TaskEndedFirst,
    UnknownStatus,
)
from lifecycle.command import CommandResult
from tests.lifecycle.drivers import Declared, Mishap

# --- what is found ----------------------------------------------------------------------------------


class Violation(StrEnum):
    """What must never happen."""

    DONE_UNPROVED = "a command that did nothing is recorded as done"
    REFUSED_BUT_APPLIED = "a command that took effect is recorded as refused"
    ENDED_FIRST_BUT_APPLIED = "a command that took effect is recorded as ended first"
    ENDED_NOT_OVER = "a task that is not over is recorded as ended"
    MOOT_WITHOUT_REQUEST = "a command of which no request can have arrived is recorded as moot"
    ABANDONED_BUT_APPLIED = "a command that took effect is recorded as abandoned by its own procedure"
    ABANDONED_IN_HAND = "a command that a living worker has claimed is abandoned by another"
    APPLIED_TWICE = "a command that is not idempotent is applied twice"
    REPEATED_AFTER_MOVES = "a command is applied again after the task moved on by itself, to its next work"
    RESULT_DISAGREES = "what a worker returns or raises disagrees with what is recorded"
    WRITTEN_WITHOUT_CLAIM = "a worker writes of a command that another worker has claimed since"
    TWO_OPEN = "two commands of one task are open"
    SECOND_OUTCOME = "an outcome is recorded over another one"
    SENT_UNRECORDED = "a request is sent without a recorded attempt of its own"
    LEFT_CLAIMED = "a worker ends and a command stays claimed by it"
    LEFT_OPEN = "a recovery with a healthy service leaves open what can be known"
    REDUNDANT_UNPROVED = "a command is taken for redundant although its target was not reached"
    UNEXPECTED_ERROR = "the procedure raises what it does not document"


class Unknowable(StrEnum):
    """What no client can know; it is counted, and not hidden."""

    LATE = "a request arrives after its outcome was recorded, and is applied"
    COPY = "the network doubles a request, and the service applies both copies"
    COPY_REFUSED = "the network doubles a request, and the client hears the refusal of the copy that did nothing"
    UNDONE = "somebody outside of the journal undoes a command between two of its requests, and the second undoes that"
    IGNORED = "the service answers 2xx to a command that only its response proves, and does nothing"
    SETTLED_MEANWHILE = "another worker settles a command between this worker's last look and its return"
    OPEN = "a command stays open: whether its request arrived is not known, and it must not be sent again"
    SLEPT = "a worker sleeps between its recorded attempt and its request, and another claims the command meanwhile"


Finding = tuple[Violation | Unknowable, str]

# --- what is known of a command ------------------------------------------------------------------------

FINAL_OUTCOMES = frozenset({"done", "refused", "ended_first", "moot", "abandoned"})


class Attempt(NamedTuple):
    """One attempt. `fate` is made, sent, no (the worker heard that it did nothing) or yes (a 2xx)."""

    worker: int
    fate: str


class Facts(NamedTuple):
    """What really happened to one command.

    `was_at_target` says that the task was at the command's target since the read that is behind the
    last report recorded before its intent. `was_undone` says that another command was applied since
    this one was. `was_taken` says that the holder's lease lapsed while it lived.
    """

    command: str
    holder: int | None
    was_at_target: bool
    applied: int = 0
    attempts: tuple[Attempt, ...] = ()
    was_accepted: bool = False  # a 2xx that carried no final state
    heard_refused_copy: bool = False
    was_undone: bool = False
    was_taken: bool = False


class Ending(NamedTuple):
    """How a worker ends, with what is recorded at that moment.

    `value` is what it returns or raises, `outcome` the recorded state of its command (None if it has
    none), `attempts` the recorded ones. `was_taken` says that the command's lease lapsed while its holder
    lived, `is_any_open` that any command of the task is open, `was_at_target` that the task was at the
    command's target since the read behind the last report.
    """

    value: Any
    command: str
    outcome: str | None
    attempts: int
    was_taken: bool
    is_any_open: bool
    was_at_target: bool
    is_recovery: bool


class Oracle:
    """Judges one task's commands.

    Args:
        lifecycle: of the task.
        with_companion: the commands that only a read of the companion proves.
    """

    def __init__(self, lifecycle: Declared, with_companion: frozenset[str]) -> None:
        self._lifecycle = lifecycle
        self._with_companion = with_companion
        self._events = {command: lifecycle.event(command) for command in lifecycle.commands}
        self._targets = {
            command: frozenset(row.target for row in lifecycle.transitions if row.event == command)
            for command in lifecycle.commands
        }

    def is_target(self, command: str, state: str) -> bool:
        """Whether the command leads to that state."""
        return state in self._targets[command]

    # --- requests ------------------------------------------------------------------------------

    def judge_effect(self, facts: Facts, *, is_copy: bool, outcome: str) -> Iterator[Finding]:
        """Judge that the service applies a request of this command, of which `facts` were true before."""
        event = self._event(facts)
        if facts.applied:
            if is_copy:
                yield Unknowable.COPY, facts.command
            elif not event.idempotent:
                yield Violation.APPLIED_TWICE, facts.command
            elif not facts.was_undone:
                yield Violation.REPEATED_AFTER_MOVES, facts.command
            else:
                yield Unknowable.UNDONE, facts.command
        elif outcome in FINAL_OUTCOMES:
            yield Unknowable.LATE, f"{facts.command}, recorded as {outcome}"

    # --- outcomes -------------------------------------------------------------------------------

    def judge_outcome(
        self,
        facts: Facts,
        outcome: str,
        *,
        by: int,
        is_own: bool,
        state: str,
        is_companion_over: bool,
        is_accepted: bool,
    ) -> Iterator[Finding]:
        """Judge a final outcome at the moment it is recorded.

        Args:
            facts: of the command.
            outcome: the command's final state.
            by: the worker that records it.
            is_own: whether it is that worker's own command.
            state: the task's real state.
            is_companion_over: whether the companion is really over.
            is_accepted: whether the service has accepted a request of it and will apply it.
        """
        has_effect = facts.applied > 0
        match outcome:
            case "done":
                yield from self._judge_done(facts, is_companion_over=is_companion_over, is_accepted=is_accepted)
            case "refused" if has_effect:
                yield _but_applied(facts, Violation.REFUSED_BUT_APPLIED)
            case "ended_first" | "moot" if not self._lifecycle.is_final(state):
                yield Violation.ENDED_NOT_OVER, f"{facts.command}, {outcome} in {state!s}"
            case "ended_first" if has_effect:
                yield _but_applied(facts, Violation.ENDED_FIRST_BUT_APPLIED)
            case "moot" if all(each == Attempt(by, "no") for each in facts.attempts):
                yield Violation.MOOT_WITHOUT_REQUEST, facts.command
            case "abandoned" if is_own and has_effect:
                yield _but_applied(facts, Violation.ABANDONED_BUT_APPLIED)
            case _:
                pass

    def _judge_done(self, facts: Facts, *, is_companion_over: bool, is_accepted: bool) -> Iterator[Finding]:
        event = self._event(facts)
        happened = facts.applied > 0 or facts.was_at_target
        if facts.command in self._with_companion:
            if not (is_companion_over and happened):
                yield Violation.DONE_UNPROVED, facts.command
        elif event.proved_by_state:
            if not happened:
                yield Violation.DONE_UNPROVED, facts.command
        elif not facts.was_accepted:
            yield Violation.DONE_UNPROVED, facts.command
        elif not facts.applied and not is_accepted:
            yield Unknowable.IGNORED, facts.command

    # --- endings ---------------------------------------------------------------------------------

    def judge_opening(self, states: list[str], command: str) -> Iterator[Finding]:
        """Judge that a command was opened. `states` are those of all the task's commands."""
        if sum(state not in FINAL_OUTCOMES for state in states) > 1:
            yield Violation.TWO_OPEN, command

    def judge_ending(self, ending: Ending) -> Iterator[Finding]:
        """Judge what a worker returns or raises, at that moment."""
        told = f"{type(ending.value).__name__} of {ending.command}, recorded as {ending.outcome}"
        if ending.outcome not in FINAL_OUTCOMES and isinstance(ending.value, CommandUncertain | CommandInFlight):
            agrees = ending.is_any_open
        elif isinstance(ending.value, CommandUncertain) and ending.was_taken:
            agrees = True
            yield Unknowable.SETTLED_MEANWHILE, told
        elif ending.outcome is None:
            agrees = _agrees_with_nothing(ending)
            if agrees and isinstance(ending.value, CommandResult) and not ending.was_at_target:
                yield Violation.REDUNDANT_UNPROVED, ending.command
        else:
            agrees = _agrees_with_outcome(ending)
        if not agrees:
            yield Violation.RESULT_DISAGREES, told

    def judge_rest(self, facts: Facts, *, state: str, is_companion_over: bool) -> Iterator[Finding]:
        """Judge a command that is open although a recovery with a healthy service has ended."""
        event = self._event(facts)
        can_be_known = (
            not facts.attempts
            or (event.idempotent and self._lifecycle.target(state, facts.command) is not None)
            or (event.proved_by_state and self.is_target(facts.command, state))
            or (self._lifecycle.is_final(state) and (not self.is_target(facts.command, state) or is_companion_over))
        )
        yield (Violation.LEFT_OPEN if can_be_known else Unknowable.OPEN), f"{facts.command} in {state!s}"

    def _event(self, facts: Facts) -> Event[str]:
        return self._events[facts.command]


def _but_applied(facts: Facts, violation: Violation) -> Finding:
    return (Unknowable.COPY_REFUSED if facts.heard_refused_copy else violation), facts.command


def _agrees_with_nothing(ending: Ending) -> bool:
    """Whether a worker may end like that that has recorded no command."""
    match ending.value:
        case None:
            return ending.is_recovery
        case CommandResult(sent=bool() as sent):
            return not sent
        case _:
            return isinstance(ending.value, IllegalTransition | UnknownStatus | Mishap)


def _agrees_with_outcome(ending: Ending) -> bool:
    """Whether a worker may end like that whose command is recorded like that."""
    was_sent = ending.attempts > 0
    match ending.outcome, ending.value:
        case "done", CommandResult(sent=bool() as sent):
            return sent == was_sent
        case "ended_first", TaskEndedFirst(took_effect=False):
            return True
        case "moot", TaskEndedFirst(took_effect=None):
            return True
        case "refused", CommandRefused() | Mishap():
            return True
        case "abandoned", CommandAbandoned() | IllegalTransition() | Mishap():
            return True
        case "recorded", UnknownStatus() | Mishap():  # it was never sent, and can be resumed
            return not was_sent
        case _:
            return False
