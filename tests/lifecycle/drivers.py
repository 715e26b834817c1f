"""The third driver of the procedures: it records every effect, and can interrupt a procedure at any effect.

It carries out the journal's effects on a real journal. What goes over the network goes to a
`Service`: here the one that responds by a script; worlds.py has those that are explored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol, TypeVar, cast

from lifecycle import AdapterError, CommandEvent, Lifecycle, LifecycleError
from lifecycle.effects import (
    Accepted,
    Claim,
    Create,
    Denied,
    Effect,
    FindCommand,
    Lost,
    Missing,
    NotSent,
    Progress,
    Read,
    ReadProof,
    RecordIntent,
    RecordOutcome,
    Refused,
    ReportProgress,
    Response,
    Send,
    Steps,
    Throttled,
    Wait,
    WaitReason,
    apply_journal_effect,
)
from lifecycle.journal import CommandEntry, CommandRecord, Report, ReportEntry, TaskJournal, TaskRecord
from lifecycle.memory import MemoryJournal, MemoryTaskJournal

R = TypeVar("R")
Declared = Lifecycle[str, str]
Log = MemoryTaskJournal[str, str]
Request = Create | Send[Any] | Read

TASK = "task-1"
UNKNOWN_WORD = "zombie"


def clock() -> Iterator[datetime]:
    """Yield moments, each a second after the last."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second) for second in count())


class Mishap(AdapterError):
    """The error of an adapter, as the core sees it: nothing but an error."""


REFUSED = Refused(Mishap("400 Agent session already stopped"))
DENIED = Denied(Mishap("403 not your task"))
RENEWABLE = Denied(Mishap("401 the key has expired"), is_renewable=True)
MISSING = Missing(Mishap("404 Task not found"))
THROTTLED = Throttled(Mishap("429 slow down"), retry_after_s=7.0)
NOT_SENT = NotSent(Mishap("connection refused"))
LOST = Lost(Mishap("500 Internal Server Error"))
FAILURES: tuple[Response, ...] = (REFUSED, DENIED, MISSING, THROTTLED, NOT_SENT, LOST)

# --- the driver -----------------------------------------------------------------------------------


class Service(Protocol):
    """The other side of the network, and the number of retries on this side."""

    def answer(self, request: Request) -> Response:
        """Respond to a request."""
        ...

    def proves(self) -> bool:
        """Return whether the further read proves the command."""
        ...

    def waits(self, wait: Wait) -> bool:
        """Return whether there is time to continue."""
        ...


@dataclass(eq=False)
class Driver:
    """Carries effects out, and keeps each with its result in `trace`."""

    log: TaskJournal[str, str]
    service: Service
    trace: list[tuple[Effect, Any]] = field(default_factory=list[tuple[Effect, Any]])
    told: list[Progress[Any]] = field(default_factory=list[Progress[Any]])

    def run(self, steps: Steps[R], result: Any = None) -> R:
        """Carry the procedure out and return its result; raises what it raises.

        Args:
            result: of the effect that the procedure waits for, if it was begun before.
        """
        while True:
            try:
                effect = steps.send(result)
            except StopIteration as stop:
                value: R = stop.value
                return value
            result = self.perform(effect)

    def ending(self, steps: Steps[R], result: Any = None) -> R | LifecycleError:
        """Run it like `run`, but return the error that it raises."""
        try:
            return self.run(steps, result)
        except LifecycleError as error:
            return error

    def perform(self, effect: Effect) -> Any:
        """Carry one effect out and return its result."""
        result = self._result(effect)
        self.trace.append((effect, result))
        return result

    def _result(self, effect: Effect) -> Any:
        match effect:
            case Create() | Send() | Read():
                return self.service.answer(effect)
            case ReadProof():
                return self.service.proves()
            case Wait():
                return self.service.waits(effect)
            case ReportProgress(progress):
                return self.told.append(progress)
            case _:
                return apply_journal_effect(effect, self.log)

    def sends(self) -> list[Response]:
        """The responses to all commands sent, oldest first."""
        return [result for effect, result in self.trace if isinstance(effect, Send)]

    def waits(self) -> list[Wait]:
        """All pauses, oldest first."""
        return [effect for effect, _ in self.trace if isinstance(effect, Wait)]

    def story(self) -> str:
        """The effects by name, an outcome by its event."""
        return " ".join(
            effect.event if isinstance(effect, RecordOutcome) else type(effect).__name__ for effect, _ in self.trace
        )


@dataclass(eq=False)
class Worker:
    """A handle, and the procedure that it is in the middle of: `effect` is what that waits for.

    `command_id` is the command that the procedure works on, once it has opened, claimed or found one.
    """

    driver: Driver
    steps: Steps[Any] | None = None
    effect: Effect | None = None
    command_id: str | None = None
    name: str = ""
    known: TaskRecord[str, str] = field(default_factory=lambda: TaskRecord())  # noqa: PLW0108

    def begin(self, steps: Steps[Any]) -> None:
        self.steps, self.effect, self.command_id = steps, next(steps), None

    def advance(self) -> object:
        """Perform one effect; return the procedure's result or error if it ends, otherwise None."""
        assert self.effect is not None
        return self.tell(self.driver.perform(self.effect))

    def tell(self, result: Any) -> object:
        """Send the procedure the result of its effect; return its own result or error if it ends, otherwise None."""
        assert self.steps is not None
        self.known = cast("TaskRecord[str, str]", result) if isinstance(result, TaskRecord) else self.known
        match self.effect:
            case RecordIntent() | Claim() | FindCommand() if isinstance(result, CommandRecord):
                self.command_id = result.id
            case RecordOutcome(event=CommandEvent.ABANDON):
                self.command_id = None  # it may have been another's
            case _:
                pass
        try:
            self.effect = self.steps.send(result)
        except StopIteration as stop:
            self.steps = None
            return stop.value
        except LifecycleError as error:  # anything else is a failure
            self.steps = None
            return error
        return None

    def die(self) -> None:
        """Be gone between two effects, with no time left to release anything."""
        assert self.steps is not None
        self.steps.close()
        self.steps, self.known = None, TaskRecord()


class Killed(BaseException):
    """The error that a dying process raises in its procedures."""


def run_up_to(driver: Driver, steps: Steps[Any], place: int) -> bool:
    """Run the procedure up to its effect number `place`, 0..n-1; return False if it ends before.

    That effect takes place, and its result is left to be delivered, or not. (Death before an effect
    is the same for the world as death after the one before it.)
    """
    result: Any = None
    for _ in range(place + 1):
        try:
            effect = steps.send(result)
        except (StopIteration, LifecycleError):
            return False
        result = driver.perform(effect)
    return True


# --- a service with scripted responses ---------------------------------------------------------------


@dataclass(eq=False)
class Scripted:
    """Returns the given responses, each once and in order; a status or None stands for a 2xx with it.

    A command in flight is waited for once for each of `meanwhile`, which is what happens then.
    """

    sends: list[Response | str | None] = field(default_factory=list[Response | str | None])
    reads: list[Response | str | None] = field(default_factory=list[Response | str | None])
    creates: list[Response | str | None] = field(default_factory=list[Response | str | None])
    proofs: list[bool] = field(default_factory=list[bool])
    meanwhile: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    patience: int = 10
    clock: Iterator[datetime] = field(default_factory=clock)

    def answer(self, request: Request) -> Response:
        match request:
            case Create():
                return self._answer(self.creates)
            case Send():
                return self._answer(self.sends)
            case Read():
                return self._answer(self.reads)

    def proves(self) -> bool:
        return self.proofs.pop(0)

    def waits(self, wait: Wait) -> bool:
        if wait.reason is not WaitReason.IN_FLIGHT:
            return wait.attempt <= self.patience
        if not self.meanwhile:
            return False
        self.meanwhile.pop(0)()
        return True

    def is_spent(self) -> bool:
        """True if every response was used."""
        return not (self.sends or self.reads or self.creates or self.proofs or self.meanwhile)

    def _answer(self, answers: list[Response | str | None]) -> Response:
        answer = answers.pop(0)
        at = next(self.clock)
        if answer is None or isinstance(answer, str):
            return Accepted(answer, at)
        return replace(answer, as_of=at) if isinstance(answer, Accepted) else answer


# --- journals ---------------------------------------------------------------------------------------


def journal_knowing(
    lifecycle: Declared, state: str | None, *, times: Iterator[datetime], journal: MemoryJournal | None = None
) -> Log:
    """Return the journal of a task that was reported in that state, or never."""
    log = (journal or MemoryJournal()).task(lifecycle, TASK)
    if state is not None:
        log.add_report(Report(state, next(times)))
    return log


def reports(log: Log) -> list[ReportEntry[str, str]]:
    """The recorded reports, oldest first."""
    return [entry for entry in log.entries if isinstance(entry, ReportEntry)]


def lives(log: Log) -> dict[str, list[CommandEvent]]:
    """Every command's id with the events of its life, oldest first."""
    found: dict[str, list[CommandEvent]] = {}
    for entry in log.entries:
        if isinstance(entry, CommandEntry):
            found.setdefault(entry.record.id, []).extend([entry.event] if entry.event else [])
    return found


def last_command(log: Log) -> CommandRecord[str, str] | None:
    """The command opened last, as it is now."""
    entries = (entry for entry in reversed(log.entries) if isinstance(entry, CommandEntry))
    return next((log.load_command(entry.record.id) for entry in entries), None)
