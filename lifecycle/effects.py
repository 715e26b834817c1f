"""What the procedures ask to be done, and what can come of it: effects and answers, as data.

A procedure (command.py, following.py) is a generator that yields effects and is resumed with
their results; a driver elsewhere carries them out. No procedure belongs here.

    effect              result
    Load                TaskRecord
    Track               None
    RecordReport        TaskRecord
    RecordIntent        CommandRecord, or TaskRecord where the task has changed, a command is open, or the key used
    FindCommand         CommandRecord, or None if none was given under that key
    LoadCommand         CommandRecord: as it is now, open or ended
    Claim               CommandRecord, or None if it has ended or a living worker holds it
    Release             None
    RecordAttempt       bool: False if the claim is no longer this worker's, or the task refuses the command by now
    RecordOutcome       Outcome: what is recorded now, whoever recorded it
    RecordCreate        CreateRecord, or None if its key is taken
    LoadCreate          CreateRecord
    FindCreate          CreateRecord, or None if there is none under that key
    FindMaker           str: the id of the create that made the task; None if none of this journal did
    UnfinishedCreates   list of CreateRecord
    ClaimCreate         CreateRecord, or None if it has ended or a living worker holds it
    ReleaseCreate       None
    RecordCreateAttempt bool: False if the claim is no longer this worker's
    RecordCreateOutcome CreateRecord: what is recorded now, whoever recorded it
    ExcludeTasks        set of those task ids that the create cannot have made
    Send, Create, Read  Answer: Accepted | Refused | Denied | Missing | Throttled | NotSent | Lost
    ReadProof           bool
    Wait                bool: True to go on, False when the driver's time or attempts are spent
    Tell                None
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

from lifecycle.catalog import CommandEvent
from lifecycle.errors import LifecycleError
from lifecycle.journal import (
    NO_CONTEXT,
    CommandRecord,
    CreatedTask,
    Creates,
    Report,
    RequestContext,
    TaskJournal,
    TaskRecord,
)
from lifecycle.table import E, S

# --- answers: what came of a request ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """A usable answer. `status` is the word it carries, None where it carries none.

    `as_of` is when its request started, in UTC; `output` what the task has produced so far, None
    where the answer does not tell; `document` the whole answer.
    """

    status: str | None
    as_of: datetime
    output: Any = None
    document: Any = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is of no use, with the error that says so.

    `retry_after_s` is the pause that the service asked for, in seconds; None if it asked for none.
    """

    error: LifecycleError
    retry_after_s: float | None = None


class Refused(Failure):
    """The service understood and said no (a 4xx that is none of the others)."""


class Denied(Failure):
    """We may not ask (401, 403): nothing happened, and nothing more is known."""


class Missing(Failure):
    """There is no such task, or not yet (404)."""


@dataclass(frozen=True, slots=True)
class Throttled(Failure):
    """Too many requests, or too many tasks at a time (429): nothing happened.

    `limits_rate` is False if it is about the number of tasks: it then says nothing of other calls.
    """

    limits_rate: bool = True


class NotSent(Failure):
    """No connection was made: nothing happened."""


class Lost(Failure):
    """Sent, and no usable answer came (time-out, connection lost, 408, 5xx, not JSON)."""


Response = Accepted | Refused | Denied | Missing | Throttled | NotSent | Lost

# --- effects: what is to be done ----------------------------------------------------------------


class WaitReason(StrEnum):
    """What a pause is for; the driver has a pace and a limit for each."""

    RETRY = "retry"  # a request is to be sent again
    SETTLE = "settle"  # the service accepted and has not moved yet
    POLL = "poll"  # a task is being followed
    APPEAR = "appear"  # a task was created just now, and the service does not find it yet
    IN_FLIGHT = "in_flight"  # another worker has not settled its command yet


@dataclass(frozen=True, slots=True)
class Load:
    """Read the task's record."""


@dataclass(frozen=True, slots=True)
class Track:
    """Record that there is such a task; with `created`, that it was created just now."""

    created: bool = False


@dataclass(frozen=True, slots=True)
class RecordReport:
    """Record what the service reported."""

    report: Report


@dataclass(frozen=True, slots=True)
class RecordIntent(Generic[S, E]):
    """Open a command, only if the task is still at `version`. `fields` are what it is sent with.

    `source` is None for a stop of a task whose status cannot be read.
    """

    command: E
    source: S | None
    version: int
    fields: Mapping[str, Any]
    context: RequestContext = NO_CONTEXT


@dataclass(frozen=True, slots=True)
class FindCommand:
    """Look for the command that was given under that key."""

    idempotency_key: str


@dataclass(frozen=True, slots=True)
class LoadCommand:
    """Read one command of the task."""

    command_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim an open command for this worker alone. The workers named in `dead` hold nothing."""

    command_id: str
    dead: frozenset[str] = frozenset()


# What is written of a command names the claim that it is written under: it changes nothing once another worker
# has claimed the command.


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
    """Move the open command by an event of its lifecycle."""

    command_id: str
    event: CommandEvent
    why: str
    claim: int


@dataclass(frozen=True, slots=True)
class Send(Generic[E]):
    """Send the command's request with these fields."""

    command: E
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Create:
    """Send the request that creates a task with these fields."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """Read the task's status."""


@dataclass(frozen=True, slots=True)
class ReadProof(Generic[E]):
    """Read whether the command took effect where the task's own state does not tell."""

    command: E


@dataclass(frozen=True, slots=True)
class Wait:
    """Pause. `attempt` counts from 1 in each series; `retry_after_s` is what the service asked for.

    `since` is when the task was created, if the pause is for it to appear.
    """

    reason: WaitReason
    attempt: int
    retry_after_s: float | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress(Generic[S]):
    """What a follower saw: the word reported, the state it leaves the task in, the n-th poll."""

    state: S | None
    status: str
    poll: int


@dataclass(frozen=True, slots=True)
class ReportProgress(Generic[S]):
    """Tell the user how far a wait has come."""

    progress: Progress[S]


# --- effects on a journal's creates ---------------------------------------------------------------

# What is written of a create names the claim that it is written under, as it does of a command.


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
    """Look for the create under that key that made a task or may have made one."""

    idempotency_key: str


@dataclass(frozen=True, slots=True)
class FindMaker:
    """Look for the create that made the task."""

    task_id: str


@dataclass(frozen=True, slots=True)
class UnfinishedCreates:
    """Read the creates without an outcome."""


@dataclass(frozen=True, slots=True)
class ClaimCreate:
    """Claim an open create for this worker alone. The workers named in `dead` hold nothing."""

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
    """Move the create by an event of the lifecycle `command`, and make its task known, if it has one."""

    create_id: str
    event: CommandEvent
    why: str
    claim: int
    task: CreatedTask | None = None


@dataclass(frozen=True, slots=True)
class ExcludeTasks:
    """Find out which of the tasks this create cannot have made."""

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
    """Carry out one of the journal's effects on the part that it is about, and return its result.

    Raises:
        TypeError: the effect is not the journal's.
    """
    if isinstance(effect, CreateEffect):
        return apply_create_effect(effect, cast("Creates", part))
    log = cast("TaskJournal[Any, Any]", part)
    match effect:
        case Load():
            return log.load()
        case Track(created):
            return log.track(created=created)
        case RecordReport(report):
            return log.add_report(report)
        case RecordIntent(command, source, version, fields, context):
            return log.add_intent(command, source=source, version=version, fields=fields, context=context)
        case FindCommand(key):
            return log.find_command(key)
        case LoadCommand(command_id):
            return log.load_command(command_id)
        case Claim(command_id, dead):
            return log.claim(command_id, dead=dead)
        case Release(command_id, claim):
            return log.release(command_id, claim=claim)
        case RecordAttempt(command_id, number, claim):
            return log.add_attempt(command_id, number=number, claim=claim)
        case RecordOutcome(command_id, event, why, claim):
            return log.add_outcome(command_id, event, why=why, claim=claim)
        case _:
            raise TypeError(f"no journal can carry out {effect}")


def releasing(steps: Steps[R], log: TaskJournal[Any, Any]) -> Steps[R]:
    """Carry a procedure on; if it is broken off, by whatever, release the command that it has claimed.

    A driver wraps every procedure of commands in this, and closes it if an effect fails: a procedure that is
    closed can yield no effect any more, so that this releases on the log itself.
    """
    result: Any = None
    claimed: CommandRecord[Any, Any] | None = None
    try:
        with closing(steps):
            while True:
                effect = steps.send(result)
                result = yield effect
                if isinstance(effect, RecordIntent | Claim) and isinstance(result, CommandRecord):
                    claimed = result  # pyright: ignore[reportUnknownVariableType]
    except StopIteration as stop:
        value: R = stop.value
        return value
    except LifecycleError:  # the procedure's own: it has recorded an outcome, or released the command
        raise
    except BaseException:  # it is closed, or interrupted in its own lines
        if claimed is not None:
            with suppress(Exception):  # a journal that is gone lets the lease lapse
                log.release(claimed.id, claim=claimed.claim)
        raise


def apply_create_effect(effect: CreateEffect, creates: Creates) -> Any:
    """Carry out one of the effects on a journal's creates, and return its result."""
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


# --- what all procedures do -------------------------------------------------------------------


def read_with_retries() -> Steps[Response]:
    """Read the status, and read again while that may help; return the last answer.

    A task that was created just now may not be found yet: the journal says when that was.
    """
    attempt = 0
    while True:
        answer: Response = yield Read()
        reason, since = WaitReason.RETRY, None
        match answer:
            case Accepted() | Refused() | Denied():
                return answer
            case Missing():
                record: TaskRecord[Any, Any] = yield Load()
                reason, since = WaitReason.APPEAR, record.created_at
                if since is None:
                    return answer
            case _:
                pass
        attempt += 1
        if not (yield Wait(reason, attempt, answer.retry_after_s, since)):
            return answer


def retry_after_s(answer: Response | None) -> float | None:
    """Return the pause that an answer asks for, in seconds; None if it asks for none."""
    return answer.retry_after_s if isinstance(answer, Failure) else None


def error_of(answer: Response | None) -> LifecycleError | None:
    """Return the error that an answer is, if it is one."""
    return answer.error if isinstance(answer, Failure) else None
