"""Mutants of the procedure and of the journal: each reintroduces one fault that the exploration must find.

The first six are the faults for which it was made. A mutant changes one decision and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from lifecycle.catalog import CommandEvent, CommandState
from lifecycle.command import CommandProcedure, CommandResult, _Execution  # pyright: ignore[reportPrivateUsage]
from lifecycle.effects import Load, Lost, Missing, RecordOutcome, Refused, Release, Steps
from lifecycle.errors import CommandUncertain, LifecycleError
from lifecycle.journal import NO_CONTEXT, CommandOutcome, CommandRecord, RequestContext, TaskRecord
from lifecycle.memory import MemoryTaskJournal
from lifecycle.proof import CommandProof
from tests.lifecycle.drivers import TASK, Declared
from tests.proofs.exploration.journals import Joined, Shared, join_memory
from tests.proofs.exploration.oracle import Violation
from tests.proofs.exploration.subject import ABANDON, RECOVER, Commands, Program, Subject

Execution = _Execution[str, str]


@dataclass(frozen=True, kw_only=True)
class _Commanding(CommandProcedure[str, str]):
    """The project's procedure, with another class for one command."""

    execution: type[Execution]

    def execute(
        self, command: str, fields: Mapping[str, Any] | None = None, context: RequestContext = NO_CONTEXT
    ) -> Steps[CommandResult[str, str]]:
        return self.execution(self, command, fields or {}, context).run()

    def recover(self, *, dead: frozenset[str] = frozenset()) -> Steps[CommandResult[str, str] | None]:
        record: TaskRecord[str, str] = yield Load()
        opened = record.open_command
        if opened is None:
            return None
        execution = self.execution(self, opened.command, opened.fields, opened.context, dead)
        return (yield from execution.resume(record, opened))

    def abandon(self, reason: str) -> Steps[CommandRecord[str, str] | None]:
        record: TaskRecord[str, str] = yield Load()
        opened = record.open_command
        if opened is None:
            return None
        execution = self.execution(self, opened.command, opened.fields, opened.context)
        return (yield from execution.abandon(record, opened, reason))


# --- the six faults -------------------------------------------------------------------------------------


class _Misled(Execution):
    """The execution of a command with another idea of what proves it."""

    believes: type[CommandProof[str, str]]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.proof = self.believes(**vars(self.proof))


class EveryEndComesFirst(_Misled):
    """1. A final state counts as proof that the command did not take effect before."""

    class believes(CommandProof[str, str]):  # noqa: N801
        """An end elsewhere is never the end of a task on which the command took effect."""

        def may_have_led_to(self, state: str) -> bool:  # noqa: ARG002 (whatever it is)
            return False


class PastTheTargetIsDone(_Misled):
    """2. A state past the target proves the command, also if the task can be there without it."""

    class believes(CommandProof[str, str]):  # noqa: N801
        """Whatever remote events lead to from the target is the target."""

        def is_target(self, state: str, source: str | None) -> bool:
            if super().is_target(state, source) or source is None or state == source:
                return super().is_target(state, source)
            target = self.lifecycle.target(source, self.command)
            return target is not None and state in self.lifecycle.reachable_by_remote(target)


class RefusalSpeaksForAll(Execution):
    """3. The refusal of a retry counts as a refusal of the first attempt too."""

    def _after_refusal(self, refused: Refused | Missing) -> Steps[CommandResult[str, str]]:
        self.opened.may_have_arrived = False
        return (yield from super()._after_refusal(refused))


class EverythingIsSentAgain(Execution):
    """4. A command is sent again after a lost response, although the service may have begun its next work by then."""

    def _prepare_retry(self, state: str | None, why: str, lost: Lost | None) -> Steps[None]:
        self.event = replace(self.event, idempotent=True)
        return super()._prepare_retry(state, why, lost)


class LoserKeepsItsResult(Execution):
    """5. A worker that was too late to record an outcome returns its own one."""

    def _record(self, event: CommandEvent, why: str) -> Steps[None]:
        outcome: CommandOutcome[str, str] = yield RecordOutcome(self.opened.id, event, why, self.opened.claim)
        self.record = outcome.task


class StopAbandonsWhatIsClaimed(Execution):
    """5. A stop abandons an uncertain command that a living worker has claimed."""

    def _abandon_or_wait(self, other: CommandRecord[str, str]) -> Steps[None]:
        if self.lifecycle.is_terminating(self.command) and other.state is CommandState.UNCERTAIN:
            outcome: CommandOutcome[str, str] = yield RecordOutcome(
                other.id, CommandEvent.ABANDON, "abandoned", other.claim
            )
            self.record = outcome.task
        else:
            yield from super()._abandon_or_wait(other)


class _UnfencedLog(MemoryTaskJournal[str, str]):
    """6. A task's journal accepts every write of a worker, under any claim."""

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:  # noqa: ARG002 (that is the fault)
        return super().add_attempt(command_id, number=number, claim=self.load_command(command_id).claim)

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[str, str]:  # noqa: ARG002
        return super().add_outcome(command_id, event, why=why, claim=self.load_command(command_id).claim)


def join_unfenced(lifecycle: Declared, workers: tuple[str, ...], clock: Callable[[], datetime]) -> Shared:
    """Return a journal in memory that lets a worker write whose claim another one has taken."""
    logs, entries = join_memory(lifecycle, workers, clock)
    for log in logs.values():
        log.__class__ = _UnfencedLog
    return Shared(logs, entries)


# --- further ones, for rules that the six do not break ------------------------------------------------------


class NeverReleases(Execution):
    """A worker that ends without an outcome keeps its claim."""

    def _uncertain(self, why: str, cause: LifecycleError | None) -> Steps[Any]:
        yield from self._lose(why)
        raise CommandUncertain(why, **self._facts()) from cause


class SendsUnrecorded(Execution):
    """An attempt is sent and not recorded."""

    def _attempt(self) -> Steps[bool]:
        self.opened.attempts += 1
        return True
        yield  # a generator, like the real one


class NeverLooksAgain(Execution):
    """A recovery records that the outcome is unknown, and does nothing else."""

    def _read_and_send(self) -> Steps[CommandResult[str, str]]:
        yield from self._lose("not looked at")
        yield Release(self.opened.id, self.opened.claim)
        raise CommandUncertain("not looked at", **self._facts())


class AbandonsWhatIsClaimed(Execution):
    """A caller abandons a command that a living worker has claimed."""

    def _abandon(self, other: CommandRecord[str, str], why: str) -> Steps[CommandRecord[str, str] | None]:
        outcome: CommandOutcome[str, str] = yield RecordOutcome(other.id, CommandEvent.ABANDON, why, other.claim)
        self.record = outcome.task
        return outcome.command


class NotSentIsMoot(Execution):
    """A task's end is moot although no request has left."""

    def _end(self, state: str) -> Steps[Any]:
        self.opened.may_have_arrived = True
        return super()._end(state)


# --- the broken rules -------------------------------------------------------------------------------------


class Mutant(NamedTuple):
    """A mutant, a scenario that reveals it, and the rule that it breaks."""

    name: str
    lifecycle: str
    first: Program
    second: Program | None
    breaks: Violation
    commanding: Commands | None = None
    join: Joined = join_memory
    total: int = 2

    def subject(self, lifecycle: Declared) -> Subject:
        """Return the mutant instead of the project's own part."""
        if self.commanding is None:
            return Subject(lifecycle, join=self.join)
        return Subject(lifecycle, commanding=self.commanding, join=self.join)


def _of(
    execution: type[Execution],
    lifecycle: str,
    command: str,
    second: Program | None,
    breaks: Violation,
    *,
    total: int = 2,
) -> Mutant:
    def commanding(declared: Declared, proved_by_read: frozenset[str]) -> CommandProcedure[str, str]:
        return _Commanding(lifecycle=declared, task=TASK, proved_by_read=proved_by_read, execution=execution)

    return Mutant(execution.__name__, lifecycle, Program(command), second, breaks, commanding, total=total)


MUTANTS = (
    _of(EveryEndComesFirst, "v3-full", "dispatch", None, Violation.ENDED_FIRST_BUT_APPLIED),
    _of(EveryEndComesFirst, "v1-full", "pause", None, Violation.ENDED_FIRST_BUT_APPLIED),
    _of(PastTheTargetIsDone, "v3-full", "stop_task", None, Violation.DONE_UNPROVED),
    _of(PastTheTargetIsDone, "v1-full", "pause", None, Violation.DONE_UNPROVED),
    _of(RefusalSpeaksForAll, "v1-full", "pause", None, Violation.REFUSED_BUT_APPLIED),
    _of(EverythingIsSentAgain, "v3-full", "stop_task", None, Violation.APPLIED_TWICE),
    _of(EverythingIsSentAgain, "v3-full", "dispatch", None, Violation.APPLIED_TWICE),
    _of(LoserKeepsItsResult, "v1-full", "pause", RECOVER, Violation.RESULT_DISAGREES, total=1),
    _of(StopAbandonsWhatIsClaimed, "v1-full", "pause", Program("stop"), Violation.ABANDONED_IN_HAND, total=1),
    _of(StopAbandonsWhatIsClaimed, "v1-full", "pause", Program("stop"), Violation.RESULT_DISAGREES, total=1),
    Mutant("unfenced", "v3-full", Program("dispatch"), RECOVER, Violation.WRITTEN_WITHOUT_CLAIM, join=join_unfenced),
    Mutant("unfenced", "v3-full", Program("dispatch"), RECOVER, Violation.WRITTEN_WITHOUT_CLAIM, join=join_unfenced),
    Mutant("unfenced", "v3-full", Program("dispatch"), RECOVER, Violation.ABANDONED_BUT_APPLIED, join=join_unfenced),
    _of(NeverReleases, "v2-session", "stop", None, Violation.LEFT_CLAIMED),
    _of(SendsUnrecorded, "v2-session", "stop", None, Violation.SENT_UNRECORDED),
    _of(NeverLooksAgain, "v2-session", "stop", None, Violation.LEFT_OPEN),
    _of(AbandonsWhatIsClaimed, "v1-full", "pause", ABANDON, Violation.ABANDONED_IN_HAND, total=1),
    _of(NotSentIsMoot, "v3-full", "dispatch", None, Violation.MOOT_WITHOUT_REQUEST),
)
