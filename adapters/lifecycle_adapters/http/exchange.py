"""From effects to exchanges: what both clients do alike, with no I/O but a journal's that is at hand.

A procedure of the core yields effects. A `TaskProcedures` reduces them to the few things that need a
client: an exchange over HTTP, a pause, telling the user, a word with a journal that is not at hand,
and a span around them. Everything else is decided here (the pace in timing.py), once, for the
synchronous and the asynchronous client. driver.py does the few things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Generic, TypeVar

from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import (
    Accepted,
    Claim,
    CreateEffect,
    Effect,
    Failure,
    JournalEffect,
    Load,
    Lost,
    Read,
    ReadProof,
    RecordIntent,
    RecordReport,
    ReportProgress,
    Response,
    Send,
    Steps,
    Wait,
    apply_journal_effect,
    read_with_retries,
    releasing,
)
from lifecycle.errors import AdapterError, LifecycleError, WaitTimedOut
from lifecycle.following import Until, WorkTracker, follow, read_state
from lifecycle.journal import NO_CONTEXT, Creates, Report, RequestContext, TaskJournal
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, Origin, S, VerdictKind
from lifecycle_adapters import telemetry
from lifecycle_adapters.http.binding import Call, HttpBinding, Request, id_in, value_at
from lifecycle_adapters.http.http_errors import DetailsTimedOut, HttpError, RateLimited, ResponseError, ServerError
from lifecycle_adapters.http.timing import Pacer, Timing

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class HttpCall:
    """Send the request, return what `binding.parse_response` makes of the answer.

    `timeout_s` is how long it may take as a whole, None for the client's request timeout.
    """

    binding: HttpBinding[Any, Any]
    call: Call
    request: Request
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class JournalCall:
    """Carry out an effect on a part of a journal, and return its result.

    Of a part that is at hand only what claims something is one: a driver sees to it that nothing interrupts that
    before the procedure knows its claim.
    """

    effect: JournalEffect | CreateEffect
    journal: TaskJournal[Any, Any] | Creates


@dataclass(frozen=True, slots=True)
class EnterContext:
    """Do all that follows inside of this context, whatever comes of it, and leave it at the end."""

    context: AbstractContextManager[None]


Action = HttpCall | Sleep | ReportProgress[Any] | JournalCall | EnterContext
Actions = Generator[Action, Any, R]


@dataclass(frozen=True, slots=True)
class TaskResult(Generic[S]):
    """How a task came to rest. `output` and `cost_usd` are None where the service tells neither."""

    state: S
    output: Any
    cost_usd: Decimal | None
    details: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A command that was left open, and its outcome: `error` if it did not simply succeed.

    `is_settled` is whether it has an outcome now. If another worker has claimed it, `error` is a
    `CommandInFlight` that names the worker and the end of its claim. `command` is None if the task's
    record cannot be read; `error` is then an `UnreadableRecord`.
    """

    lifecycle: str
    task_id: str
    command: str | None
    result: CommandResult[Any, Any] | None
    error: Exception | None = None
    is_settled: bool = True


@dataclass(eq=False, kw_only=True)
class TaskProcedures(Generic[S, E]):
    """One task's side of the talk with its service."""

    binding: HttpBinding[S, E]
    lifecycle: Lifecycle[S, E]
    timing: Timing
    task_id: str
    journal: TaskJournal[S, E]
    work: WorkTracker[S, E] = field(init=False)
    _companions: dict[str, str] = field(default_factory=dict[str, str], init=False)

    def __post_init__(self) -> None:
        self.work = WorkTracker(self.lifecycle)

    def command(
        self, command: E, fields: Mapping[str, Any], context: RequestContext = NO_CONTEXT, *, in_flight_s: float = 0.0
    ) -> Actions[CommandResult[S, E]]:
        """Give a command. Raises UnknownName and TypeError at once, before anything is recorded."""
        self.lifecycle.event(command)
        self.binding.command_request(command, self.task_id, fields)
        if context.idempotency_key is not None:  # given again it is compared with what a journal kept, which is JSON
            fields = json.loads(json.dumps(fields))
        steps = releasing(self._commanding().execute(command, fields, context), self.journal)
        return self._in_a_span("lifecycle.command", steps, command, pacer=self._pacer(in_flight_s))

    def recover(
        self, *, dead: frozenset[str] = frozenset(), in_flight_s: float = 0.0
    ) -> Actions[CommandResult[S, E] | None]:
        """Settle the command that was left open."""
        steps = releasing(self._commanding().recover(dead=dead), self.journal)
        return self._in_a_span("lifecycle.recover", steps, pacer=self._pacer(in_flight_s))

    def settle(self, *, dead: frozenset[str], in_flight_s: float) -> Actions[Recovered | None]:
        """Settle the command that was left open, with errors as data; None if there is none."""
        opened = (yield from self._note(Load())).open_command
        if opened is None:
            return None
        found = partial(Recovered, self.lifecycle.name, self.task_id, str(opened.command))
        try:
            result = yield from self.recover(dead=dead, in_flight_s=in_flight_s)
        except LifecycleError as error:
            if isinstance(error, AdapterError) and not isinstance(error, HttpError):
                raise  # the journal's, which no task can do without
            left = (yield from self._note(Load())).open_command
            return found(None, error, is_settled=left is None or left.id != opened.id)
        except Exception as error:  # noqa: BLE001 (a journal's callback's; a time limit is raised in a driver)
            return self.broken_off(error)
        return None if result is None else found(result)

    def _pacer(self, in_flight_s: float) -> Pacer:
        return Pacer(self.timing, in_flight_s=in_flight_s)

    def broken_off(self, error: Exception) -> Recovered:
        """Return what `settle` would, had it not been broken off by this error."""
        return Recovered(self.lifecycle.name, self.task_id, None, None, error, is_settled=False)

    def status(self) -> Actions[S]:
        """Read the status once."""
        return self._carry_out(read_state(self.lifecycle))

    def allowed(self) -> Actions[tuple[E, ...]]:
        """The commands that the known state accepts; it is read where none is known."""
        state = (yield from self._note(Load())).current
        return self.lifecycle.allowed(state or (yield from self.status()), origin=Origin.CALLER)

    def details(self, pacer: Pacer | None = None) -> Actions[dict[str, Any]]:
        """Read everything that the service tells of the task."""
        answer = yield from self._carry_out(read_with_retries(), read=self.binding.details, pacer=pacer)
        if isinstance(answer, Failure):
            raise answer.error
        yield from self._note(RecordReport(Report(str(answer.status), answer.as_of)))
        return dict(answer.document)

    def wait(self, until: Until, timeout_s: float | None, *, stop_at_unknown: bool) -> Actions[TaskResult[S]]:
        """Follow the task until it rests, then read what came of it; all within `timeout_s` and half a second."""
        following = follow(self.lifecycle, self.task_id, self.work, until=until, stop_at_unknown=stop_at_unknown)
        pacer = Pacer(self.timing, deadline_s=timeout_s)
        facts = {"lifecycle": self.lifecycle.name, "task": self.task_id, "until": until}
        try:
            state = yield from self._in_a_span("lifecycle.wait", following, pacer=pacer)
        except HttpError as error:
            if not pacer.is_late or not _may_pass(error):
                raise
            known = (yield from self._note(Load())).current
            raise WaitTimedOut(**facts, state=None if known is None else str(known)) from error
        try:
            details = yield from self.details(pacer.anew())
        except HttpError as error:
            if not pacer.is_late or not _may_pass(error):
                error.add_note(f"The task is {state!s}; only its details could not be read.")
                raise
            raise DetailsTimedOut(**facts, state=str(state)) from error
        output = None if self.binding.output_field is None else details.get(self.binding.output_field)
        return TaskResult(state, output, cost_usd(details, self.binding.cost_field), details)

    def see_creation(self, answer: Accepted, fields: Mapping[str, Any]) -> None:
        """Take over what the response to the create says: work given, companions. Its status is recorded already."""
        if fields.get("task"):
            self.work.mark_given()
        self._see(answer)

    def _commanding(self) -> CommandProcedure[S, E]:
        proved_by_read = frozenset(self.binding.proofs)
        return CommandProcedure(lifecycle=self.lifecycle, task=self.task_id, proved_by_read=proved_by_read)

    def _in_a_span(
        self, name: str, steps: Steps[R], command: E | None = None, *, pacer: Pacer | None = None
    ) -> Actions[R]:
        """As `_carry_out`, with a span of that name around it and all that follows."""
        if not telemetry.is_recording():
            return (yield from self._carry_out(steps, pacer=pacer))
        course = telemetry.ProcedureSpan(
            name, self.lifecycle.name, self.task_id, None if command is None else str(command)
        )
        yield EnterContext(course.as_current_span())
        return (yield from self._carry_out(course.follow(steps), pacer=pacer))

    def _carry_out(self, steps: Steps[R], *, read: Call | None = None, pacer: Pacer | None = None) -> Actions[R]:
        """Carry a procedure out, yielding only what needs a client, and return its result.

        Args:
            steps: the procedure.
            read: the call that its reads make; the one for the status if omitted.
            pacer: decides how long all may take; one without a deadline if omitted.
        """
        return drive(steps, partial(self._perform, read=read or self.binding.status), pacer or Pacer(self.timing))

    def perform(self, effect: Effect) -> Actions[Any]:
        """Carry out one effect on this task."""
        return self._perform(effect, read=self.binding.status)

    def _perform(self, effect: Effect, *, read: Call) -> Actions[Any]:
        match effect:
            case Send(command, fields):
                gives_work = self.work.starts_work(command)
                return (yield from self._exchange(self.binding.call(command), fields, gives_work=gives_work))
            case Read():
                return (yield from self._exchange(read))
            case ReadProof(command):
                return (yield from self._read_proof(command))
            case _:
                return (yield from self._note(effect))

    def _note(self, effect: Any) -> Actions[Any]:
        if self.journal.blocking or type(effect) in (RecordIntent, Claim):
            return (yield JournalCall(effect, self.journal))
        return apply_journal_effect(effect, self.journal)

    def _exchange(
        self, call: Call, fields: Mapping[str, Any] | None = None, *, gives_work: bool = False
    ) -> Actions[Response]:
        request = call.request(self.binding.base_path, task_id=self.task_id, fields=fields)
        answer: Response = yield HttpCall(self.binding, call, request)
        if gives_work and isinstance(answer, Accepted | Lost):
            self.work.mark_given()
        if isinstance(answer, Accepted):
            self._see(answer)
        return answer

    def _see(self, answer: Accepted) -> None:
        state = None if answer.status is None else self.lifecycle.state_of(answer.status)
        self.work.observe(state, answer.output)
        for proof in self.binding.proofs.values():
            companion = id_in(answer.document, proof.id_field)
            if companion is not None:
                self._companions[proof.id_field] = companion

    def _read_proof(self, command: E) -> Actions[bool]:
        proof = self.binding.proofs[command]
        if proof.id_field not in self._companions:
            yield from self._exchange(self.binding.details)
        companion = self._companions.get(proof.id_field)
        if companion is None:
            return False
        binding = proof.binding
        answer: Response = yield HttpCall(
            binding, binding.status, binding.status.request(binding.base_path, task_id=companion)
        )
        if not isinstance(answer, Accepted) or answer.status is None:
            return False
        state = binding.lifecycle.state_of(answer.status)
        return state is not None and binding.lifecycle.judge(state, proof.event).kind is VerdictKind.REDUNDANT


def drive(steps: Steps[R], perform: Callable[[Effect], Actions[Any]], pacer: Pacer) -> Actions[R]:
    """Carry a procedure out: pauses and tellings as the pacer and the client do them, the rest by `perform`."""
    result: Any = None
    with closing(steps):
        while True:
            try:
                effect = steps.send(result)
            except StopIteration as stop:
                value: R = stop.value
                return value
            match effect:
                case Wait():
                    result = yield from _wait(pacer, effect)
                case ReportProgress():
                    result = yield effect
                case _:
                    result = yield from _within(perform(effect), pacer)


def _within(actions: Actions[R], pacer: Pacer) -> Actions[R]:
    """Pass the actions on, each request with the time that is left for it."""
    result: Any = None
    with closing(actions):
        while True:
            try:
                action = actions.send(result)
            except StopIteration as stop:
                value: R = stop.value
                return value
            if isinstance(action, HttpCall):
                action = replace(action, timeout_s=pacer.request_s())
            result = yield action


def _wait(pacer: Pacer, wait: Wait) -> Actions[bool]:
    pause_s = pacer.pause_s(wait)
    if pause_s is None:
        return False
    yield Sleep(pause_s)
    return True


def _may_pass(error: HttpError) -> bool:
    """Whether the next read may be answered all the same: it is no refusal."""
    return isinstance(error, RateLimited | ServerError) or not isinstance(error, ResponseError)


def cost_usd(document: Any, cost_field: str | None) -> Decimal | None:
    """Return the cost that a response tells in the field of that name; None if it tells none that is a number."""
    cost = value_at(document, cost_field)
    try:
        number = None if cost is None else Decimal(str(cost))
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None
