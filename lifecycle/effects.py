"""Effects that procedures yield, and the results with which they are resumed, as plain data.

A procedure (command.py, create.py, following.py) is a generator; a driver elsewhere carries its
effects out. No procedure belongs here.

    effect              result
    Load                TaskRecord
    Track               None
    RecordReport        TaskRecord
    RecordIntent        CommandRecord, or TaskRecord if the task has changed, a command is open, or the key is used
    FindCommand         CommandRecord, or None if there is none under that key
    LoadCommand         CommandRecord: the present record, open or ended
    Claim               CommandRecord, or None if it has ended or a living worker has claimed it
    Release             None
    RecordAttempt       bool: False if another worker has claimed it since, or the task now refuses the command
    RecordOutcome       CommandOutcome: the present record, also if another worker wrote it
    RecordCreate        CreateRecord, or None if its key is taken
    LoadCreate          CreateRecord
    FindCreate          CreateRecord, or None if there is none under that key
    FindMaker           str: the id of the create that made the task; None if no create of this journal did
    UnfinishedCreates   list of CreateRecord
    ClaimCreate         CreateRecord, or None if it has ended or a living worker has claimed it
    ReleaseCreate       None
    RecordCreateAttempt bool: False if another worker has claimed it since
    RecordCreateOutcome CreateRecord: the present record, also if another worker wrote it
    ExcludeTasks        set of those task ids that the create cannot have made
    Send, Create, Read  Response: Accepted | Refused | Denied | Missing | Throttled | NotSent | Lost
    ReadProof           bool
    Wait                bool: True to continue, False if the driver's time or attempts are spent
    ReportProgress      None
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, cast

from lifecycle.catalog import COMMAND, CommandEvent
from lifecycle.errors import LifecycleError
from lifecycle.journal import (
    NO_CONTEXT,
    Claimant,
    CommandRecord,
    CreatedTask,
    CreateRecord,
    Creates,
    Report,
    RequestContext,
    TaskJournal,
    TaskRecord,
)
from lifecycle.table import E, S

# --- responses to a request ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """A usable response. `status` is the status that it carries, None if it carries none.

    `as_of` is when its request started, in UTC; `output` is the task's output so far, None if the response has none;
    `document` is the whole response. `etag` names the version of the task that
    was read (RFC 9110, 8.8.3), None if the response names none.
    """

    status: str | None
    as_of: datetime
    output: Any = None
    document: Any = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An unusable response, with its error.

    `retry_after_s` is the pause that the service asked for, in seconds; None if it asked for none.
    """

    error: LifecycleError
    retry_after_s: float | None = None


class Refused(Failure):
    """The service refused the request (a 4xx that is none of the other failures)."""


@dataclass(frozen=True, slots=True)
class Denied(Failure):
    """The credentials do not allow the request (401, 403): nothing happened, and the task's state stays unknown.

    `is_renewable` is True if the next request may have other credentials, with which it may succeed.
    """

    is_renewable: bool = False


@dataclass(frozen=True, slots=True)
class Missing(Failure):
    """The service does not find the task (404): it does not exist, or was created just now.

    `gone` is the response to use instead if the task existed before: it has the status of a deleted task. None if the
    service has no such status.
    """

    gone: Accepted | None = None


@dataclass(frozen=True, slots=True)
class Throttled(Failure):
    """Too many requests, or too many tasks at a time (429): nothing happened.

    `limits_rate` is False if the limit is on the number of tasks: other calls are then not limited.
    """

    limits_rate: bool = True


class NotSent(Failure):
    """No connection was made: nothing happened."""


class Lost(Failure):
    """The request was sent, and no usable response arrived (time-out, connection lost, 408, 5xx, not JSON)."""


Response = Accepted | Refused | Denied | Missing | Throttled | NotSent | Lost

# --- effects ------------------------------------------------------------------------------------


class WaitReason(StrEnum):
    """The reason for a pause; the driver has an interval and a limit for each."""

    RETRY = "retry"  # a request is to be sent again
    SETTLE = "settle"  # the service accepted the command, and its effect does not show yet
    POLL = "poll"  # a task is being followed
    APPEAR = "appear"  # a task was created just now, and the service does not find it yet
    IN_FLIGHT = "in_flight"  # another worker has not settled its command yet


@dataclass(frozen=True, slots=True)
class Load:
    """Read the task's record."""


@dataclass(frozen=True, slots=True)
class Track:
    """Record that the task exists; with `created`, that it was created just now."""

    created: bool = False


@dataclass(frozen=True, slots=True)
class RecordReport:
    """Record a report of the service."""

    report: Report


@dataclass(frozen=True, slots=True)
class RecordIntent(Generic[S, E]):
    """Open a command, only if the task is still at `version`. `fields` are the fields of its request.

    `source` is None for a stop of a task whose status cannot be read.
    """

    command: E
    source: S | None
    version: int
    fields: Mapping[str, Any]
    context: RequestContext = NO_CONTEXT


@dataclass(frozen=True, slots=True)
class FindCommand:
    """Find the command that has this idempotency key."""

    idempotency_key: str


@dataclass(frozen=True, slots=True)
class LoadCommand:
    """Read one command of the task."""

    command_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim an open command for this worker alone. Claims of the workers named in `dead` do not count."""

    command_id: str
    dead: frozenset[str] = frozenset()


# Every write about a command names the claim under which it is made: it changes nothing once another worker has
# claimed the command.


@dataclass(frozen=True, slots=True)
class Release:
    """End this claim of an open command, so that any worker can claim it."""

    command_id: str
    claim: int


@dataclass(frozen=True, slots=True)
class RecordAttempt:
    """Record that the open command is about to be sent for the `number`-th time, counted from 1."""

    command_id: str
    number: int
    claim: int


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Apply an event of its lifecycle to the open command."""

    command_id: str
    event: CommandEvent
    why: str
    claim: int


@dataclass(frozen=True, slots=True)
class Send(Generic[E]):
    """Send the command's request with these fields. `intent` is the same whenever this recorded command is sent.

    `etag` is from the procedure's last response that had one, None if none had. `source` is the state in which the
    command was judged, None if it was not known.
    """

    command: E
    fields: Mapping[str, Any]
    intent: str = ""
    etag: str | None = None
    source: Any = None


@dataclass(frozen=True, slots=True)
class Create:
    """Send the request that creates a task with these fields. `intent` is the same whenever this create is sent."""

    fields: Mapping[str, Any]
    intent: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """Read the task's status; with `details`, the whole document that the service has of the task."""

    details: bool = False


@dataclass(frozen=True, slots=True)
class ReadProof(Generic[E]):
    """Read whether a command took effect that the task's own state does not prove."""

    command: E


@dataclass(frozen=True, slots=True)
class Wait:
    """Pause. `attempt` counts from 1 in each series; `retry_after_s` is the pause that the service asked for, if any.

    `since` is when the task was created, if the reason is `appear`.
    """

    reason: WaitReason
    attempt: int
    retry_after_s: float | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress(Generic[S]):
    """One poll of a task: the reported status, the known state after it, and the poll's number, from 1."""

    state: S | None
    status: str
    poll: int


@dataclass(frozen=True, slots=True)
class ReportProgress(Generic[S]):
    """Report the progress of a wait to the user."""

    progress: Progress[S]


# --- effects on a journal's creates ---------------------------------------------------------------

# Every write about a create names the claim under which it is made, as for a command.


@dataclass(frozen=True, slots=True)
class RecordCreate:
    """Record the intent to create a task with these fields."""

    fields: Mapping[str, Any]
    labels: Mapping[str, str]
    context: RequestContext = NO_CONTEXT


@dataclass(frozen=True, slots=True)
class LoadCreate:
    """Read one create."""

    create_id: str


@dataclass(frozen=True, slots=True)
class FindCreate:
    """Find the create under this idempotency key that made a task or may have made one."""

    idempotency_key: str


@dataclass(frozen=True, slots=True)
class FindMaker:
    """Find the create that made the task."""

    task_id: str


@dataclass(frozen=True, slots=True)
class UnfinishedCreates:
    """Read the creates without an outcome."""


@dataclass(frozen=True, slots=True)
class ClaimCreate:
    """Claim an open create for this worker alone. Claims of the workers named in `dead` do not count."""

    create_id: str
    dead: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ReleaseCreate:
    """End this claim of an open create, so that any worker can claim it."""

    create_id: str
    claim: int


@dataclass(frozen=True, slots=True)
class RecordCreateAttempt:
    """Record that the create is about to be sent for the `number`-th time, counted from 1."""

    create_id: str
    number: int
    claim: int


@dataclass(frozen=True, slots=True)
class RecordCreateOutcome:
    """Apply an event of the lifecycle `command` to the create, and record its task, if it made one."""

    create_id: str
    event: CommandEvent
    why: str
    claim: int
    task: CreatedTask | None = None


@dataclass(frozen=True, slots=True)
class ExcludeTasks:
    """Find the tasks that this create cannot have made."""

    create_id: str
    task_ids: tuple[str, ...]


CreateEffect = (
    RecordCreate
    | LoadCreate
    | FindCreate
    | FindMaker
    | UnfinishedCreates
    | ClaimCreate
    | ReleaseCreate
    | RecordCreateAttempt
    | RecordCreateOutcome
    | ExcludeTasks
)

JournalEffect = (
    Load
    | Track
    | RecordReport
    | RecordIntent[Any, Any]
    | FindCommand
    | LoadCommand
    | Claim
    | Release
    | RecordAttempt
    | RecordOutcome
)
Effect = JournalEffect | CreateEffect | Create | Send[Any] | Read | ReadProof[Any] | Wait | ReportProgress[Any]

R = TypeVar("R")
Steps = Generator[Effect, Any, R]


def apply_journal_effect(effect: Effect, part: TaskJournal[Any, Any] | Creates) -> Any:
    """Apply an effect to its part of a journal, and return the effect's result.

    Raises:
        TypeError: the effect is not one on a journal.
        Every error of the journal's method.
    """
    journal = cast("TaskJournal[Any, Any]", part)
    match effect:
        case Load():  # first those of every command
            return journal.load()
        case RecordReport(report):
            return journal.add_report(report)
        case RecordIntent(command, source, version, fields, context):
            return journal.add_intent(command, source=source, version=version, fields=fields, context=context)
        case RecordAttempt(command_id, number, claim):
            return journal.add_attempt(command_id, number=number, claim=claim)
        case RecordOutcome(command_id, event, why, claim):
            return journal.add_outcome(command_id, event, why=why, claim=claim)
        case Track(created):
            return journal.track(created=created)
        case FindCommand(key):
            return journal.find_command(key)
        case LoadCommand(command_id):
            return journal.load_command(command_id)
        case Claim(command_id, dead):
            return journal.claim(command_id, dead=dead)
        case Release(command_id, claim):
            return journal.release(command_id, claim=claim)
        case _ if isinstance(effect, CreateEffect):
            return apply_create_effect(effect, cast("Creates", part))
        case _:
            raise TypeError(f"no journal can carry out {effect}")


def apply_create_effect(effect: CreateEffect, creates: Creates) -> Any:
    """Apply an effect to a journal's creates, and return the effect's result."""
    match effect:
        case RecordCreate(fields, labels, context):
            return creates.add(fields, labels=labels, context=context)
        case LoadCreate(create_id):
            return creates.load(create_id)
        case FindCreate(key):
            return creates.find(key)
        case FindMaker(task_id):
            return creates.find_maker(task_id)
        case UnfinishedCreates():
            return creates.unfinished()
        case ClaimCreate(create_id, dead):
            return creates.claim(create_id, dead=dead)
        case ReleaseCreate(create_id, claim):
            return creates.release(create_id, claim=claim)
        case RecordCreateAttempt(create_id, number, claim):
            return creates.add_attempt(create_id, number=number, claim=claim)
        case RecordCreateOutcome(create_id, event, why, claim, task):
            return creates.add_outcome(create_id, event, why=why, claim=claim, task=task)
        case _:
            return creates.excluded(effect.create_id, effect.task_ids)


# --- the run of a procedure ---------------------------------------------------------------------


class Observer(Protocol):
    """An observer of a procedure's run. It must change nothing and raise nothing."""

    def observe(self, effect: Effect) -> None:
        """Observe an effect that was carried out."""

    def succeed(self, result: Any) -> None:
        """Observe the procedure's own result."""


_Claimed = CommandRecord[Any, Any] | CreateRecord


class ProcedureRun(Generic[R]):
    """One run of a procedure: it returns the effects one by one, and at its end releases the claims that it still has.

    A driver resumes it with the result of each effect, and closes it if an effect fails or is cancelled:

        with closing(ProcedureRun(steps, journal)) as run:
            effect = run.resume()
            while effect is not None:
                effect = run.resume(carry_out(effect))
        return run.result

    Args:
        steps: the procedure.
        journal: the part of a journal in which the procedure claims commands or creates; None if it claims nothing. A
            driver applies the claiming effects to `run.journal`: a journal in memory then knows the claim even if the
            effect's result gets lost.
        observers: called after every effect that was carried out, and with the result.
    """

    result: R
    journal: TaskJournal[Any, Any] | Creates | None
    """The part of the journal through which the procedure's claims are made."""

    def __init__(
        self, steps: Steps[R], journal: TaskJournal[Any, Any] | Creates | None, observers: Sequence[Observer] = ()
    ) -> None:
        self._steps = steps
        self.journal = journal.for_procedure() if isinstance(journal, Claimant) else journal
        self._observers = observers
        self._effect: Effect | None = None
        self._claimed: _Claimed | None = None

    def resume(self, result: Any = None) -> Effect | None:
        """Send the result of the last effect to the procedure, and return its next effect; None if it has ended.

        Then `result` is set. Raises every error of the procedure.
        """
        if self._effect is not None:
            self._claimed = _claimed_after(self._effect, result, self._claimed)
            for each in self._observers:
                each.observe(self._effect)
        return self._step(self._steps.send, result)

    def throw(self, error: Exception) -> Effect | None:
        """Raise the error of the last effect in the procedure, and return its next effect; None if it has ended."""
        return self._step(self._steps.throw, error)

    def _step(self, step: Callable[[Any], Effect], given: Any) -> Effect | None:
        try:
            self._effect = step(given)
        except StopIteration as stop:
            self.result = stop.value
        except BaseException:
            self.close()
            raise
        else:
            return self._effect
        for each in self._observers:
            each.succeed(self.result)
        return None

    def close(self) -> None:
        """End the procedure at once, and release its claims. It can be called again, with no effect."""
        self._steps.close()
        with suppress(Exception):  # if the journal is gone, the lease expires instead
            if isinstance(self.journal, Claimant):
                self.journal.release_claim()
            if self._claimed is not None and self.journal is not None:
                self.journal.release(self._claimed.id, claim=self._claimed.claim)
        self._claimed = None  # not earlier: if this was interrupted, a second call releases it


def _claimed_after(effect: Effect, result: Any, claimed: _Claimed | None) -> _Claimed | None:
    """Return the record that a procedure has claimed after an effect, given the one that it had claimed before."""
    match effect:
        case RecordIntent() | Claim():
            return result if isinstance(result, CommandRecord) else claimed  # pyright: ignore[reportUnknownVariableType]
        case RecordCreate() | ClaimCreate():
            return result if isinstance(result, CreateRecord) else claimed
        case RecordOutcome():
            return None if _is_lost(claimed, result.command) else claimed
        case LoadCommand() | RecordCreateOutcome():
            return None if _is_lost(claimed, result) else claimed
        case Release() | ReleaseCreate():
            return None
        case _:
            return claimed


def _is_lost(claimed: _Claimed | None, now: CommandRecord[Any, Any] | CreateRecord) -> bool:
    """Return whether the present record of the claimed command or create has ended, or has another claim."""
    return claimed is not None and claimed.id == now.id and (COMMAND.is_final(now.state) or claimed.claim != now.claim)


# --- shared by all procedures -----------------------------------------------------------------


def read_with_retries(*, details: bool = False) -> Steps[Response]:
    """Read the status (or the details), again after a failure that may pass, and return the last response.

    A 404 may pass if the task was created just now; the journal has the time of its creation. If it does not pass, or
    if the service had the task before, the response is the one of a task that is gone.
    """
    attempt = 0
    while True:
        response: Response = yield Read(details)
        reason, since = WaitReason.RETRY, None
        match response:
            case Accepted() | Refused() | Denied():
                return response
            case Missing():
                record: TaskRecord[Any, Any] = yield Load()
                if response.gone is not None and record.was_seen:
                    return response.gone
                reason, since = WaitReason.APPEAR, record.created_at
                if since is None:
                    return response
            case _:
                pass
        attempt += 1
        if not (yield Wait(reason, attempt, response.retry_after_s, since)):
            return response if not isinstance(response, Missing) else response.gone or response


def if_gone(response: Response, *, is_known: bool = False) -> Steps[Response]:
    """Return `response`, or the one of a task that is gone, if it is a 404 and the task is known to have existed.

    It is known from the journal, or by `is_known`.
    """
    if not isinstance(response, Missing) or response.gone is None:
        return response
    record: TaskRecord[Any, Any] = yield Load()
    return response.gone if is_known or record.was_seen else response


def intent_of(record_id: str, context: RequestContext) -> str:
    """Return the `intent` of a recorded command or create: its id and its idempotency key.

    Two journals may have records with the same id; different keys tell them apart.
    """
    return f"{record_id} {context.idempotency_key or ''}"


def retry_after_s(response: Response | None) -> float | None:
    """Return the pause that a response asks for, in seconds; None if it asks for none."""
    return response.retry_after_s if isinstance(response, Failure) else None


def error_of(response: Response | None) -> LifecycleError | None:
    """Return the error of an unusable response; None if the response is usable or missing."""
    return response.error if isinstance(response, Failure) else None
