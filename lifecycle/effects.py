"""What the procedures ask to be done, and what can come of it: effects and answers, as data.

A procedure (command.py, following.py) is a generator that yields effects and is resumed with
their results; a driver elsewhere carries them out. No procedure belongs here.

    effect              result
    Load                TaskRecord
    Track               None
    RecordReport        TaskRecord
    RecordIntent        CommandRecord, or TaskRecord where the task has changed, a command is open, or the key used
    FindCommand         CommandRecord, or None where none was given under that key
    Claim               CommandRecord, or None where it has ended or a living worker holds it
    Release             None
    RecordAttempt       bool: False where it is no longer this worker's to send, or the task refuses it by now
    RecordOutcome       TaskRecord
    Send, Create, Read  Answer: Accepted | Refused | Denied | Throttled | NotSent | Lost
    ReadProof           bool
    Wait                bool: True to go on, False when the driver's time or attempts are spent
    Tell                None
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from lifecycle.catalog import CommandEvent
from lifecycle.errors import IllegalTransition, LifecycleError
from lifecycle.journal import UNSTATED, Purpose, Report, TaskLog
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
    """An answer that is of no use, with the error that says so."""

    error: LifecycleError


class Refused(Failure):
    """The service understood and said no (a 4xx that is none of the others)."""


class Denied(Failure):
    """We may not ask, or there is no such task (401, 403, 404): nothing more is known."""


@dataclass(frozen=True, slots=True)
class Throttled(Failure):
    """Too many requests (429): nothing happened. `retry_after_s` is the pause asked for, if any."""

    retry_after_s: float | None = None


class NotSent(Failure):
    """No connection was made: nothing happened."""


class Lost(Failure):
    """Sent, and no usable answer came (time-out, connection lost, 408, 5xx, not JSON)."""


Answer = Accepted | Refused | Denied | Throttled | NotSent | Lost

# --- effects: what is to be done ----------------------------------------------------------------


class WaitReason(StrEnum):
    """What a pause is for; the driver has a pace and a limit for each."""

    RETRY = "retry"  # a request is to be sent again
    SETTLE = "settle"  # the service accepted and has not moved yet
    POLL = "poll"  # a task is being followed


@dataclass(frozen=True, slots=True)
class Load:
    """Read the task's record."""


@dataclass(frozen=True, slots=True)
class Track:
    """Record that there is such a task."""


@dataclass(frozen=True, slots=True)
class RecordReport:
    """Record what the service reported."""

    report: Report


@dataclass(frozen=True, slots=True)
class RecordIntent(Generic[S, E]):
    """Open a command, only if the task is still at `version`. `fields` are what it is sent with."""

    command: E
    source: S
    version: int
    fields: Mapping[str, Any]
    purpose: Purpose = UNSTATED


@dataclass(frozen=True, slots=True)
class FindCommand:
    """Look for the command that was given under that key."""

    key: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Take an open command up, to be held by this worker alone."""

    command_id: str


@dataclass(frozen=True, slots=True)
class Release:
    """Let an open command be taken up by anybody."""

    command_id: str


@dataclass(frozen=True, slots=True)
class RecordAttempt:
    """Record that the open command is about to be sent for the `number`-th time, counted from 1."""

    command_id: str
    number: int


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Move the open command by an event of its life."""

    command_id: str
    event: CommandEvent
    why: str


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
    """Pause. `attempt` counts from 1 in each series; `retry_after_s` is what the service asked for."""

    reason: WaitReason
    attempt: int
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Progress(Generic[S]):
    """What a follower saw: the word reported, the state it leaves the task in, the n-th poll."""

    state: S | None
    status: str
    poll: int


@dataclass(frozen=True, slots=True)
class Tell(Generic[S]):
    """Tell the user how far a wait has come."""

    progress: Progress[S]


JournalEffect = (
    Load | Track | RecordReport | RecordIntent[Any, Any] | FindCommand | Claim | Release | RecordAttempt | RecordOutcome
)
Effect = JournalEffect | Create | Send[Any] | Read | ReadProof[Any] | Wait | Tell[Any]

R = TypeVar("R")
Steps = Generator[Effect, Any, R]


def carry_out(effect: Effect, log: TaskLog[Any, Any]) -> Any:
    """Carry out one of the journal's effects on a task's log, and return its result.

    Raises:
        TypeError: the effect is not the journal's.
    """
    match effect:
        case Load():
            return log.load()
        case Track():
            return log.track()
        case RecordReport(report):
            return log.add_report(report)
        case RecordIntent(command, source, version, fields, purpose):
            return log.add_intent(command, source=source, version=version, fields=fields, purpose=purpose)
        case FindCommand(key):
            return log.find_command(key)
        case Claim(command_id):
            return log.claim(command_id)
        case Release(command_id):
            return log.release(command_id)
        case RecordAttempt(command_id, number):
            return log.add_attempt(command_id, number=number)
        case RecordOutcome(command_id, event, why):
            try:
                return log.add_outcome(command_id, event, why=why)
            except IllegalTransition:  # another worker was first, and a command has one outcome
                return log.load()
        case _:
            raise TypeError(f"no journal can carry out {effect}")


# --- what all procedures do -------------------------------------------------------------------


def read_patiently() -> Steps[Accepted | Refused | Denied | Throttled | NotSent | Lost]:
    """Read the status, again where that may help; the last answer where it did not."""
    attempt = 0
    while True:
        answer: Answer = yield Read()
        if isinstance(answer, Accepted | Refused | Denied):
            return answer
        attempt += 1
        if not (yield Wait(WaitReason.RETRY, attempt, retry_after_s(answer))):
            return answer


def retry_after_s(answer: Answer) -> float | None:
    """The pause that an answer asks for, if it asks for one."""
    return answer.retry_after_s if isinstance(answer, Throttled) else None


def error_of(answer: Answer) -> LifecycleError | None:
    """The error that an answer is, if it is one."""
    return answer.error if isinstance(answer, Failure) else None
