"""One command, from its intent to its outcome, as a generator that touches nothing.

Executing a command safely is the hard part: the request may be lost, the answer may be lost, the
service may answer 500 and do it anyway, the process may die between two lines, another worker may
act on the same task. So the procedure is pure: it yields effects (effects.py) and is resumed with
their results. It never touches a socket, a file or a clock, and a test can put every failure at
every effect.

The steps of a command, numbered as in the code:

1. Know the state: what the journal knows, else one read.
2. Judge. A refusal or a redundancy that rests on a remembered state that is not final is confirmed
   by one read. Illegal raises, redundant returns; neither sends.
3. Record the intent, only if the task has not changed since it was read.
4. Send, each attempt recorded before it, so that of several workers one alone makes it, and only
   while the state last recorded accepts it; where that has changed, go on at 7.
5. A usable answer: done when proved, by the state, or where that proves nothing by the read that
   the service's table names, or by the answer itself. The task at another final state ended first.
   Neither: read again until the driver's time is up, then the command is uncertain.
6. A refusal: read the status. At the target, and proved by it, is success. Else the refusal is told.
7. No usable answer: uncertain until a read proves the effect, the end, or that nothing happened.
   Only then, and only where twice is the same as once, it is sent again.
8. After a crash, an open command is taken up at 7, by one worker alone.

A command that is given under a key is executed once: given again, it is answered with what came of
the first. Even where it is redundant it is recorded, so that its key keeps its answer.

Nothing is ever recorded as done or failed by guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn

from lifecycle.catalog import CommandEvent, CommandState
from lifecycle.definition import Lifecycle
from lifecycle.effects import (
    Accepted,
    Answer,
    Claim,
    Denied,
    Failure,
    FindCommand,
    Load,
    Lost,
    NotSent,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Refused,
    Release,
    Send,
    Steps,
    Throttled,
    Wait,
    WaitReason,
    error_of,
    read_patiently,
    retry_after_s,
)
from lifecycle.errors import (
    CommandAbandoned,
    CommandFacts,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    KeyReused,
    LifecycleError,
    TaskEndedFirst,
    UnknownName,
)
from lifecycle.journal import UNSTATED, CommandRecord, Purpose, Report, TaskRecord
from lifecycle.table import E, Origin, S, Verdict, VerdictKind, quoted


@dataclass(frozen=True, slots=True)
class CommandResult(Generic[S, E]):
    """A command that succeeded. `state` is the task's state after it.

    `sent` is False where it was redundant, or where a recovery found it needless before it was sent;
    for one that was given again under its key, it tells of the first.
    """

    command: E
    state: S
    sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanding(Generic[S, E]):
    """The procedure of one task's commands. `proved_by_read` are those that only a further read proves."""

    lifecycle: Lifecycle[S, E]
    task: str
    proved_by_read: frozenset[E] = field(default_factory=frozenset[E])

    def execute(
        self, command: E, fields: Mapping[str, Any] | None = None, purpose: Purpose = UNSTATED
    ) -> Steps[CommandResult[S, E]]:
        """Give the command, with these fields, as described at the top of this file.

        Raises (at once):
            UnknownName: the lifecycle does not declare it, or as an event that is not ours to send.
        Raises (when driven):
            IllegalTransition: the state refuses it; nothing was sent.
            UnknownStatus: the service reports a status that the lifecycle does not know; nothing was sent.
            CommandInFlight: another command of this task has no outcome yet; nothing was sent.
            CommandRefused, CommandUncertain, TaskEndedFirst: as they say.
            CommandAbandoned, KeyReused: as they say, of what was given under this key before.
            The adapter's error: for 401, 403 and 404, and for a service that was never reached.
        """
        return _Execution(self, command, fields or {}, purpose).run()

    def recover(self) -> Steps[CommandResult[S, E] | None]:
        """Settle the command that a crash, or an earlier uncertainty, left open; None where there is none.

        It is meant for a command whose worker is gone; one that a living worker holds is in flight.
        Where the journal is mistaken and that worker lives after all, each attempt is still made by
        one of the two alone.

        Raises (when driven): as `execute`.
        """
        record: TaskRecord[S, E] = yield Load()
        opened = record.open_command
        if opened is None:
            return None
        return (yield from _Execution(self, opened.command, opened.fields, opened.purpose).take_up(record, opened))


class _Execution(Generic[S, E]):
    """One command on its way. The numbers are the steps at the top of this file."""

    def __init__(self, procedure: Commanding[S, E], command: E, fields: Mapping[str, Any], purpose: Purpose) -> None:
        self.lifecycle = procedure.lifecycle
        self.task = procedure.task
        self.command = command
        self.fields = fields
        self.purpose = purpose
        self.event = self.lifecycle.event(command)
        if self.event.origin is not Origin.CALLER:
            raise UnknownName("command", command, known=self.lifecycle.commands, where=self.lifecycle.name)
        self.proved_by_read = command in procedure.proved_by_read
        self.record: TaskRecord[S, E] = TaskRecord()
        self.retries = 0

    def run(self) -> Steps[CommandResult[S, E]]:
        self.record = yield Load()
        while True:
            earlier = yield from self._find_earlier()
            if earlier is not None:
                return (yield from self._answer_again(earlier))
            verdict = yield from self._judge()
            is_redundant = verdict.kind is not VerdictKind.APPLIED
            if is_redundant and self.purpose.key is None:
                return CommandResult(self.command, verdict.state, sent=False)
            # 3
            opened: CommandRecord[S, E] | TaskRecord[S, E]
            opened = yield RecordIntent(self.command, verdict.state, self.record.version, self.fields, self.purpose)
            if isinstance(opened, CommandRecord):
                self._open(opened)
                return (yield from (self._confirm() if is_redundant else self._send()))
            self.record = opened
            other = opened.open_command
            if other is not None and (self.purpose.key is None or other.purpose.key != self.purpose.key):
                yield from self._make_way(other)

    def take_up(self, record: TaskRecord[S, E], opened: CommandRecord[S, E]) -> Steps[CommandResult[S, E]]:
        # 8
        self.record = record
        claimed: CommandRecord[S, E] | None = yield Claim(opened.id)
        if claimed is None:
            raise CommandInFlight(opened.command, **self._facts())
        self._open(claimed)
        result = yield from self._after_silence(None)
        return result or (yield from self._send())

    def _find_earlier(self) -> Steps[CommandRecord[S, E] | None]:
        return None if self.purpose.key is None else (yield FindCommand(self.purpose.key))

    def _answer_again(self, earlier: CommandRecord[S, E]) -> Steps[CommandResult[S, E]]:
        """What came of the command that was given under this key; it is taken up where nothing has yet."""
        self.record = yield Load()  # the task may have been seen for the first time since the last
        if (earlier.command, dict(earlier.fields)) != (self.command, dict(self.fields)):
            raise KeyReused(str(earlier.purpose.key), earlier.command, **self._facts())
        match earlier.state:
            case CommandState.DONE:
                return CommandResult(self.command, self._state(), sent=earlier.attempts > 0)
            case CommandState.REFUSED:
                raise CommandRefused(earlier.why, **self._facts())
            case CommandState.ENDED_FIRST:
                raise TaskEndedFirst(**self._facts())
            case CommandState.ABANDONED:
                raise CommandAbandoned(earlier.why, **self._facts())
            case _:  # it is open
                return (yield from self.take_up(self.record, earlier))

    def _open(self, opened: CommandRecord[S, E]) -> None:
        self.opened = opened
        self.source = opened.source
        self.is_lost = opened.state is CommandState.UNCERTAIN
        self.attempts = opened.attempts
        self.may_have_arrived = opened.attempts > 0

    def _judge(self) -> Steps[Verdict[S, E]]:
        # 1 and 2: redundant and applied are returned, the rest raises.
        confirmed = self.record.state is None
        if confirmed:
            yield from self._read_first()
        verdict = self.lifecycle.judge(self._state(), self.command)
        if verdict.kind is not VerdictKind.APPLIED and not confirmed and not self.lifecycle.is_final(verdict.state):
            yield from self._read_first()
            verdict = self.lifecycle.judge(self._state(), self.command)
        if verdict.kind in (VerdictKind.ILLEGAL, VerdictKind.ENDED):
            self.lifecycle.step(verdict.state, self.command)
        return verdict

    def _read_first(self) -> Steps[None]:
        answer = yield from read_patiently()
        if isinstance(answer, Failure):
            raise answer.error
        yield from self._report(answer)
        self.lifecycle.require_state_of(str(answer.status))

    def _make_way(self, other: CommandRecord[S, E]) -> Steps[None]:
        if other.state is not CommandState.UNCERTAIN or not self.lifecycle.ends(self.command):
            raise CommandInFlight(other.command, **self._facts())
        self.record = yield RecordOutcome(other.id, CommandEvent.ABANDON, f"given up for {quoted(self.command)}")

    def _send(self) -> Steps[CommandResult[S, E]]:
        # 4
        while True:
            if not (yield from self._attempt()):
                result = yield from self._after_silence(None)
                if result is not None:
                    return result
                continue
            answer: Answer = yield Send(self.command, self.fields)
            match answer:
                case Accepted():
                    return (yield from self._after_acceptance(answer))
                case Refused():
                    return (yield from self._after_refusal(answer))
                case Denied():
                    yield from self._did_not_happen(CommandEvent.REFUSE, answer.error)
                case Throttled() if not (yield from self._may_retry(answer)):
                    yield from self._did_not_happen(CommandEvent.REFUSE, answer.error)
                case NotSent() if not (yield from self._may_retry(answer)):
                    yield from self._did_not_happen(CommandEvent.ABANDON, answer.error)
                case Lost():
                    self.may_have_arrived = True
                    result = yield from self._after_silence(answer.error)
                    if result is not None:
                        return result
                case _:
                    pass  # throttled or not sent, and time is left: send again

    def _attempt(self) -> Steps[bool]:
        """Whether it may be sent now; False where the task has moved, and is to be looked at again."""
        if (yield RecordAttempt(self.opened.id, self.attempts + 1)):
            self.attempts += 1
            return True
        self.record = yield Load()
        opened = self.record.open_command
        if opened is None or (opened.id, opened.attempts) != (self.opened.id, self.attempts):
            # A stop has given it up, or a recovery has taken it: it is no longer ours to send.
            raise CommandUncertain("another worker has taken over", **self._facts())
        return False

    def _after_acceptance(self, accepted: Accepted) -> Steps[CommandResult[S, E]]:
        # 5
        if not self.event.proved_by_state and not self.proved_by_read:
            yield from self._report(accepted)
            return (yield from self._confirm())
        answer: Answer = accepted if accepted.status is not None else (yield Read())
        result = yield from self._conclude((yield from self._report(answer)), accepted=True)
        return result or (yield from self._settle(answer, accepted=True))

    def _settle(self, answer: Answer, *, accepted: bool) -> Steps[CommandResult[S, E]]:
        attempt = 0
        while True:
            attempt += 1
            if not (yield Wait(WaitReason.SETTLE, attempt, retry_after_s(answer))):
                missing = "the service accepted it and did not act" if accepted else "its proof did not come"
                yield from self._uncertain(f"{missing} in time", error_of(answer))
            answer = yield Read()
            result = yield from self._conclude((yield from self._report(answer)), accepted=accepted)
            if result is not None:
                return result

    def _after_refusal(self, refused: Refused) -> Steps[CommandResult[S, E]]:
        # 6
        state = yield from self._report((yield from read_patiently()))
        if state is None and self.may_have_arrived:
            yield from self._uncertain("a repetition was refused and the status cannot be read", refused.error)
        if state is not None and (yield from self._is_proved_despite_refusal(state)):
            return (yield from self._confirm())
        yield RecordOutcome(self.opened.id, CommandEvent.REFUSE, str(refused.error))
        raise CommandRefused(str(refused.error), **self._facts()) from refused.error

    def _is_proved_despite_refusal(self, state: S) -> Steps[bool]:
        if self.may_have_arrived:  # an earlier attempt may have done what this one was refused for
            return (yield from self._is_proved(state, accepted=False))
        return self.event.proved_by_state and state == self._target()

    def _after_silence(self, cause: LifecycleError | None) -> Steps[CommandResult[S, E] | None]:
        # 7: the result, or None to send again
        why = "no usable answer came" if cause is None else str(cause)
        if self.may_have_arrived:
            yield from self._lose(why)
        answer = yield from read_patiently()
        state = yield from self._report(answer)
        result = yield from self._conclude(state, accepted=False)
        if result is not None:
            return result
        if state is None:
            yield from self._uncertain(f"{why}, and the status cannot be read", error_of(answer) or cause)
        elif self.may_have_arrived and self.lifecycle.is_final(state):  # at the target, its proof still missing
            return (yield from self._settle(answer, accepted=False))
        else:
            yield from self._prepare_repetition(state, why, cause)
        return None

    def _prepare_repetition(self, state: S, why: str, cause: LifecycleError | None) -> Steps[None]:
        is_legal = self.lifecycle.target(state, self.command) is not None
        if not self.may_have_arrived:
            if not is_legal:
                yield RecordOutcome(self.opened.id, CommandEvent.ABANDON, f"never sent, and now {quoted(state)}")
            self.lifecycle.step(state, self.command)
            self.source = state
            return
        if not self.event.repeatable:
            yield from self._uncertain(f"{why}, and sending it twice is not the same as once", cause)
        if not is_legal:
            yield from self._uncertain(f"{why}, and the task has moved to {quoted(state)}", cause)
        self.retries += 1
        if not (yield Wait(WaitReason.RETRY, self.retries)):
            yield from self._uncertain(why, cause)
        self.source = state

    def _conclude(self, state: S | None, *, accepted: bool) -> Steps[CommandResult[S, E] | None]:
        """The result where it is proved, TaskEndedFirst where the task is over elsewhere, else None."""
        if state is None:
            return None
        if (yield from self._is_proved(state, accepted=accepted)):
            return (yield from self._confirm())
        if self.lifecycle.is_final(state) and state != self._target():
            yield RecordOutcome(self.opened.id, CommandEvent.END, f"the task is {quoted(state)}")
            raise TaskEndedFirst(**self._facts())
        return None

    def _is_proved(self, state: S, *, accepted: bool) -> Steps[bool]:
        """Whether `state` proves the command: it is the target, or past it by remote events alone."""
        if state != self._target() and not self._is_past_target(state, accepted=accepted):
            return False
        return self.event.proved_by_state or (self.proved_by_read and bool((yield ReadProof(self.command))))

    def _is_past_target(self, state: S, *, accepted: bool) -> bool:
        """Whether `state` lies past the target, and the task cannot have come there without the command.

        After a 2xx it may have done so only while it has not moved; after silence, wherever the
        service alone could have brought it; and in any way where the command was never sent.
        """
        if not accepted and not self.may_have_arrived:
            return False
        without = {self.source} if accepted else self.lifecycle.reachable_by_remote(self.source)
        return state in self.lifecycle.reachable_by_remote(self._target()) and state not in without

    def _report(self, answer: Answer) -> Steps[S | None]:
        """Record what an answer reports; the state then known, None where the answer says nothing usable."""
        if not isinstance(answer, Accepted) or answer.status is None:
            return None
        self.record = yield RecordReport(Report(answer.status, answer.as_of))
        return None if self.lifecycle.state_of(answer.status) is None else self.record.state

    def _confirm(self) -> Steps[CommandResult[S, E]]:
        self.record = yield RecordOutcome(self.opened.id, CommandEvent.CONFIRM, f"the task is {quoted(self._state())}")
        return CommandResult(self.command, self._state(), sent=self.attempts > 0)

    def _may_retry(self, answer: Throttled | NotSent) -> Steps[bool]:
        self.retries += 1
        return bool((yield Wait(WaitReason.RETRY, self.retries, retry_after_s(answer))))

    def _did_not_happen(self, event: CommandEvent, error: LifecycleError) -> Steps[NoReturn]:
        if self.may_have_arrived:  # this attempt did not; an earlier one may have
            yield from self._uncertain(str(error), error)
        yield RecordOutcome(self.opened.id, event, str(error))
        raise error

    def _uncertain(self, why: str, cause: LifecycleError | None) -> Steps[NoReturn]:
        yield from self._lose(why)
        yield Release(self.opened.id)
        raise CommandUncertain(why, **self._facts()) from cause

    def _lose(self, why: str) -> Steps[None]:
        if not self.is_lost:
            self.is_lost = True
            self.record = yield RecordOutcome(self.opened.id, CommandEvent.LOSE, why)

    def _target(self) -> S:
        # What was redundant when it was recorded has its target where the task was.
        return self.lifecycle.target(self.source, self.command) or self.source

    def _state(self) -> S:
        assert self.record.state is not None  # steps 1 and 2 come before everything else
        return self.record.state

    def _facts(self) -> CommandFacts:
        return {
            "lifecycle": self.lifecycle.name,
            "task": self.task,
            "command": str(self.command),
            "state": str(self._state()),
        }
