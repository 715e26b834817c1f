"""The oracle: it judges a command by what the service really did and when.

The oracle shares no code with the procedure and does not call it. It keeps the `Facts` of each command during the
exploration, and returns a `Finding` for each event that is wrong (a violation) or that no client can know (an
unknowable, which is counted and listed).
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
from lifecycle.journal import CommandRecord
from tests.lifecycle.drivers import Declared, Mishap

# --- findings ---------------------------------------------------------------------------------------


class Violation(StrEnum):
    """Events that must never happen."""

    DONE_UNPROVED = "a command that did nothing is recorded as done"
    REFUSED_BUT_APPLIED = "a command that took effect is recorded as refused"
    ENDED_FIRST_BUT_APPLIED = "a command that took effect is recorded as ended first"
    ENDED_NOT_OVER = "a task that is not over is recorded as ended"
    MOOT_WITHOUT_REQUEST = "a command is recorded as moot although none of its requests can have arrived"
    ABANDONED_BUT_APPLIED = "a command that took effect is recorded as abandoned by its own procedure"
    ABANDONED_IN_HAND = "a worker abandons a command that another living worker has claimed"
    APPLIED_TWICE = "a command that is not idempotent is applied twice"
    REPEATED_AFTER_MOVES = "a command is applied again after remote events led the task to its next work"
    RESULT_DISAGREES = "a worker's result or error disagrees with the record"
    WRITTEN_WITHOUT_CLAIM = "a worker writes to a command that another worker has claimed meanwhile"
    TWO_OPEN = "two commands of one task are open"
    SECOND_OUTCOME = "a second outcome of a command is recorded"
    SENT_UNRECORDED = "a request is sent without a recorded attempt of its own"
    LEFT_CLAIMED = "a worker ends and a command stays claimed by it"
    LEFT_OPEN = "a recovery with a healthy service leaves a command open whose outcome can be known"
    REDUNDANT_UNPROVED = "a command counts as redundant although its target was not reached"
    UNEXPECTED_ERROR = "the procedure raises an undocumented error"


class Unknowable(StrEnum):
    """Facts that no client can know; each is counted and reported."""

    LATE = "a request arrives after its outcome was recorded, and is applied"
    COPY = "the network doubles a request, and the service applies both copies"
    COPY_REFUSED = "the network doubles a request, and the client receives the refusal of the copy that had no effect"
    UNDONE = (
        "an actor outside the journal undoes a command between two of its requests, and the second applies it again"
    )
    IGNORED = "the service returns 2xx to a command that only its response proves, and does nothing"
    SETTLED_MEANWHILE = "another worker settles a command between this worker's last read and its return"
    OPEN = "a command stays open: its request may have arrived, and it must not be sent again"
    SLEPT = "a worker sleeps between its recorded attempt and its request, and another claims the command meanwhile"


Finding = tuple[Violation | Unknowable, str]

# --- facts of a command -----------------------------------------------------------------------------

FINAL_OUTCOMES = frozenset({"done", "refused", "ended_first", "moot", "abandoned"})


class Attempt(NamedTuple):
    """One attempt. `fate` is made, sent, no (a response said that it had no effect) or yes (a 2xx)."""

    worker: int
    fate: str


class Facts(NamedTuple):
    """The true facts of one command.

    `was_at_target`: the task was at the command's target at some time since the read that led to the last report before
    its intent. `was_undone`: another command was applied after this one. `was_taken`: the claimant's lease lapsed while
    the claimant was alive.
    """

    command: str
    claimed_by: int | None
    was_at_target: bool
    applied: int = 0
    attempts: tuple[Attempt, ...] = ()
    was_accepted: bool = False  # a 2xx that carried no final state
    heard_refused_copy: bool = False
    was_undone: bool = False
    was_taken: bool = False


class Ending(NamedTuple):
    """The end of a worker, with the records at that time.

    `value` is its result or error, `outcome` the recorded state of its command (None without a command), `attempts` the
    number of recorded attempts. `was_taken`: the command's lease lapsed while its claimant was alive. `is_any_open`:
    any command of the task is open. `was_at_target`: the task was at the command's target at some time since the read
    that led to the last report.
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
    """The judge of one task's commands.

    Args:
        lifecycle: the task's lifecycle.
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
        """Return whether the command leads to this state."""
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
        """Judge a final outcome at the time at which it is recorded.

        Args:
            facts: the command's facts.
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
        text = f"{type(ending.value).__name__} of {ending.command}, recorded as {ending.outcome}"
        if ending.outcome not in FINAL_OUTCOMES and isinstance(ending.value, CommandUncertain | CommandInFlight):
            agrees = ending.is_any_open
        elif isinstance(ending.value, CommandUncertain) and ending.was_taken:
            agrees = True
            yield Unknowable.SETTLED_MEANWHILE, text
        elif ending.outcome is None:
            agrees = _agrees_with_nothing(ending)
            if agrees and isinstance(ending.value, CommandResult) and not ending.was_at_target:
                yield Violation.REDUNDANT_UNPROVED, ending.command
        else:
            agrees = _agrees_with_outcome(ending)
        if not agrees:
            yield Violation.RESULT_DISAGREES, text

    def judge_abandoning(self, ending: Any) -> Iterator[Finding]:
        """Judge what a worker returns or raises that abandons the open command: its record, if it has abandoned it."""
        match ending:
            case None | CommandInFlight() | CommandRecord(state="abandoned"):
                pass
            case _:
                yield Violation.RESULT_DISAGREES, f"{type(ending).__name__} of abandoning a command"

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
    """Return whether a worker without a recorded command may end like this."""
    match ending.value:
        case None:
            return ending.is_recovery
        case CommandResult(sent=bool() as sent):
            return not sent
        case _:
            return isinstance(ending.value, IllegalTransition | UnknownStatus | Mishap)


def _agrees_with_outcome(ending: Ending) -> bool:
    """Return whether a worker may end like this, given its command's record."""
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
