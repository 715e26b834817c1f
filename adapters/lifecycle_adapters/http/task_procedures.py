"""Procedures about one task: commands, reads, waits and recovery. A driver carries them out.

They are composed of the core's procedures (lifecycle/command.py, lifecycle/following.py). This module turns their
effects into requests of the service's binding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import (
    Accepted,
    Effect,
    Failure,
    Load,
    Lost,
    Missing,
    ProcedureRun,
    Read,
    ReadProof,
    RecordReport,
    Refused,
    Response,
    Send,
    Steps,
    Wait,
    WaitReason,
    read_with_retries,
)
from lifecycle.errors import AdapterError, LifecycleError, UnknownName, WaitTimedOut
from lifecycle.following import Until, WorkTracker, follow, read_state
from lifecycle.journal import NO_CONTEXT, CommandRecord, Report, RequestContext, TaskJournal
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, Origin, S, VerdictKind
from lifecycle_adapters import telemetry
from lifecycle_adapters.http.arguments import with_a_key
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.http_errors import (
    DetailsTimedOut,
    HttpError,
    InvalidResponse,
    RateLimited,
    ResponseError,
    ServerError,
)
from lifecycle_adapters.http.interpreter import Actions, HttpCall, Procedure, in_journal, interpret, read
from lifecycle_adapters.http.requests import Request, idempotency_key
from lifecycle_adapters.http.responses import value_at
from lifecycle_adapters.http.timing import Pacer, Timing

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class TaskResult(Generic[S]):
    """The end of a wait. `output` and `cost_usd` are None if the service reports neither."""

    state: S
    output: Any
    cost_usd: Decimal | None
    details: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A command that was left open, and its outcome: `error` if it did not simply succeed.

    `is_settled` is whether it has an outcome now. If another worker has claimed it, `error` is a
    `CommandInFlight` that names the worker and the end of its claim. `command` is None if the task's
    record cannot be read; `error` is then an `UnreadableRecord`. If the record of a create cannot be read, `task_id` is
    empty, `command` is "create", and `error` an `UnreadableCreate`.
    """

    lifecycle: str
    task_id: str
    command: str | None
    result: CommandResult[Any, Any] | None
    error: Exception | None = None
    is_settled: bool = True


@dataclass(eq=False, kw_only=True)
class TaskProcedures(Generic[S, E]):
    """The procedures about one task. Raises ValueError if no request can carry its id.

    `open_session` returns the procedures about a session, None if tasks run in none.
    """

    binding: HttpBinding[S, E]
    lifecycle: Lifecycle[S, E]
    timing: Timing
    task_id: str
    journal: TaskJournal[S, E]
    open_session: Callable[[str], Any] | None = None
    work: WorkTracker[S, E] = field(init=False)
    _status_request: Request = field(init=False)  # to be repeated, unless each request has an id of its own
    _companions: dict[str, str] = field(default_factory=dict[str, str], init=False)
    _session_id: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._status_request = self._request(self.binding.status)
        self.work = WorkTracker(self.lifecycle)

    def command(
        self, command: E, fields: Mapping[str, Any], context: RequestContext = NO_CONTEXT, *, in_flight_s: float = 0.0
    ) -> Procedure[CommandResult[S, E]]:
        """Send a command. Raises UnknownName and TypeError at once, before anything is recorded."""
        self._require_command(command)
        # Check the rest of the request now; only the etag is not known yet.
        request: Request | None = self.binding.command_request(command, self.task_id, fields, etag="any")
        if self.binding.call(command).has_etag():
            request = None  # it is made when the task was read
        if self.binding.call(command).has_idempotency_key():
            context, request = with_a_key(context), None  # it is made when the intent is recorded
        if self.binding.call(command).has_request_id():
            request = None  # another attempt is another request
        if context.idempotency_key is not None:  # the key's recorded fields, to compare with, are JSON
            fields = json.loads(json.dumps(fields))
        steps = self._commands().execute(command, fields, context)
        pacer = Pacer(self.timing, in_flight_s=in_flight_s)
        span = self._span("lifecycle.command", _result_itself, command)
        return self._procedure(steps, pacer, span, command_request=request)

    def recover(
        self, *, dead: frozenset[str] = frozenset(), in_flight_s: float = 0.0
    ) -> Procedure[CommandResult[S, E] | None]:
        """Settle the command that was left open."""
        pacer = Pacer(self.timing, in_flight_s=in_flight_s)
        return self._procedure(
            self._commands().recover(dead=dead), pacer, self._span("lifecycle.recover", _result_itself)
        )

    def abandon(self, reason: str) -> Procedure[CommandRecord[S, E] | None]:
        """Record the command that was left open as abandoned."""
        return self._procedure(self._commands().abandon(reason), Pacer(self.timing))

    def settle(self, *, dead: frozenset[str], in_flight_s: float) -> Procedure[Recovered | None]:
        """Settle the command that was left open, with errors as data; None if there is none."""
        pacer = Pacer(self.timing, in_flight_s=in_flight_s)
        return self._procedure(self._settle(dead), pacer, self._span("lifecycle.recover", _outcome_of_recovered))

    def broken_off(self, error: Exception) -> Recovered:
        """Return the result of a `settle` that this error interrupted."""
        return Recovered(self.lifecycle.name, self.task_id, None, None, error, is_settled=False)

    def status(self) -> Procedure[S]:
        """Read the status once."""
        return self._procedure(read_state(self.lifecycle), Pacer(self.timing))

    def allowed(self) -> Procedure[tuple[E, ...]]:
        """List the commands that the known state accepts; the state is read if none is known."""
        return self._procedure(self._allowed(), Pacer(self.timing))

    def details(self) -> Procedure[dict[str, Any]]:
        """Read everything that the service reports of the task."""
        return self._procedure(self._read_details(), Pacer(self.timing))

    def session(self) -> Procedure[Any]:
        """Return the procedures about the session that the task runs in; its details are read if no response named it.

        Raises TypeError at once if tasks run in no session, or no response names it.
        """
        if self.open_session is None or self.binding.session_field is None:
            raise TypeError(f"{self.binding.name} has no sessions beside its tasks")
        return self._procedure(self._find_session(self.open_session), Pacer(self.timing))

    def wait(self, until: Until, timeout_s: float | None, *, stop_at_unknown: bool) -> Procedure[TaskResult[S]]:
        """Follow the task until it is at rest, then read its details; all within `timeout_s` and half a second."""
        pacer = Pacer(self.timing, deadline_s=timeout_s)
        steps = self._wait(until, pacer, stop_at_unknown=stop_at_unknown)
        return self._procedure(steps, pacer, self._span("lifecycle.wait", _state_of_result))

    def observe_creation(self, response: Accepted, fields: Mapping[str, Any]) -> None:
        """Note from the create's response whether the task has work, and the ids of its companions; record nothing."""
        if value_at(dict(fields), self.binding.task_field):
            self.work.mark_given()
        self._observe(response)

    # --- composed procedures ---

    def _require_command(self, command: E) -> None:
        """Raise UnknownName, which lists the commands only, unless the lifecycle declares the event."""
        try:
            self.lifecycle.event(command)
        except UnknownName as error:
            known, declared_by = self.lifecycle.commands, error.declared_by
            raise UnknownName("command", command, known=known, where=error.where, declared_by=declared_by) from None

    def _commands(self) -> CommandProcedure[S, E]:
        proved_by_read = frozenset(self.binding.proofs)
        return CommandProcedure(
            lifecycle=self.lifecycle,
            task=self.task_id,
            proved_by_read=proved_by_read,
            may_report=self._may_report,
            with_etag=frozenset(name for name, call in self.binding.commands.items() if call.has_etag()),
            with_key=frozenset(name for name, call in self.binding.commands.items() if call.has_idempotency_key()),
        )

    @cached_property
    def _may_report(self) -> Mapping[E, frozenset[S]]:
        """Return the states that each command's call may report, as far as the lifecycle declares them."""
        states = {str(each.name): each.name for each in self.lifecycle.states}
        calls = {command: call for command, call in self.binding.commands.items() if call.may_report}
        return {
            command: frozenset(states[name] for name in call.may_report if name in states)
            for command, call in calls.items()
        }

    def _settle(self, dead: frozenset[str]) -> Steps[Recovered | None]:
        opened = (yield Load()).open_command
        if opened is None:
            return None
        found = partial(Recovered, self.lifecycle.name, self.task_id, str(opened.command))
        try:
            result = yield from self._commands().recover(dead=dead)
        except LifecycleError as error:
            if isinstance(error, AdapterError) and not isinstance(error, HttpError):
                raise  # the journal's, without which no task can be recovered
            left = (yield Load()).open_command
            return found(None, error, is_settled=left is None or left.id != opened.id)
        except Exception as error:  # noqa: BLE001 (a callback of the journal in memory raised it)
            return self.broken_off(error)
        return None if result is None else found(result)

    def _allowed(self) -> Steps[tuple[E, ...]]:
        state = (yield Load()).current or (yield from read_state(self.lifecycle))
        return self.lifecycle.allowed(state, origin=Origin.CALLER)

    def _read_details(self, *, is_known: bool = False) -> Steps[dict[str, Any]]:
        response = yield from read_with_retries(details=True)
        if is_known and isinstance(response, Missing) and (yield Wait(WaitReason.POLL, 1)):
            response = yield from read_with_retries(details=True)  # one 404 does not make a known task unknown
        if isinstance(response, Failure):
            raise response.error
        yield RecordReport(Report(str(response.status), response.as_of))
        return dict(response.document)

    def _find_session(self, open_session: Callable[[str], Any]) -> Steps[Any]:
        if self._session_id is None:
            yield from self._read_details()
        if self._session_id is None:
            request = self._request(self.binding.details)
            what = f"the task names no session at {self.binding.session_field!r}"
            raise InvalidResponse(what, method=request.method, path=request.path)
        return open_session(self._session_id)

    def _wait(self, until: Until, pacer: Pacer, *, stop_at_unknown: bool) -> Steps[TaskResult[S]]:
        facts = {"lifecycle": self.lifecycle.name, "task": self.task_id, "until": until}
        try:
            state = yield from follow(
                self.lifecycle, self.task_id, self.work, until=until, stop_at_unknown=stop_at_unknown
            )
        except HttpError as error:
            if not pacer.is_late or not _may_pass(error):
                raise
            known = (yield Load()).current
            raise WaitTimedOut(**facts, state=None if known is None else str(known), why=str(error)) from error
        pacer.restart()
        try:
            details = yield from self._read_details(is_known=True)
        except HttpError as error:
            if not pacer.is_late or not _may_pass(error):
                error.state = str(state)
                error.add_note(f"The task is {state!s}; only its details could not be read.")
                raise
            raise DetailsTimedOut(**facts, state=str(state), why=str(error)) from error
        output = value_at(details, self.binding.output_field)
        return TaskResult(state, output, cost_usd(details, self.binding.cost_field), details)

    # --- carrying them out ---

    def _span(
        self, name: str, outcome_of: Callable[[Any], object], command: E | None = None
    ) -> telemetry.ProcedureSpan | None:
        if not telemetry.is_recording():
            return None
        return telemetry.ProcedureSpan(
            name, self.lifecycle.name, self.task_id, None if command is None else str(command), outcome_of=outcome_of
        )

    def _procedure(
        self,
        steps: Steps[R],
        pacer: Pacer,
        span: telemetry.ProcedureSpan | None = None,
        *,
        command_request: Request | None = None,
    ) -> Procedure[R]:
        run = ProcedureRun(steps, self.journal, () if span is None else (span,))
        actions = interpret(run, partial(self.perform, command_request=command_request), pacer)
        return Procedure(actions) if span is None else Procedure(actions, span.as_current_span())

    def perform(self, effect: Effect, pacer: Pacer, command_request: Request | None = None) -> Actions[Any]:
        """Carry out one effect on this task; `command_request` is the request of a `Send`, None to build it."""
        match effect:
            case Send(command, etag=None) if self.binding.call(command).has_etag():
                response: Response = self._without_etag()
            case Send(command, fields, intent, etag, source):
                request = command_request or self._command_request(command, fields, intent, etag)
                response = yield self._call(self.binding.call(command), request, pacer)
                if isinstance(response, Accepted | Lost) and self.work.starts_work(command):
                    self.work.mark_given(command, source)
            case Read(details):
                call = self.binding.details if details else self.binding.status
                request = self._request(call) if details or call.has_request_id() else self._status_request
                response = yield from read(self._call(call, request, pacer), pacer)
            case ReadProof(command):
                return (yield from self._read_proof(command, pacer))
            case _:
                return (yield from in_journal(effect, self.journal))
        self._observe(response)
        return response

    def _command_request(self, command: E, fields: Mapping[str, Any], intent: str, etag: str | None) -> Request:
        key = idempotency_key(self.lifecycle.name, self.task_id, intent)
        return self.binding.command_request(command, self.task_id, fields, idempotency_key=key, etag=etag)

    def _without_etag(self) -> Refused:
        """Return the failure of a command that was not sent because no response had the etag that it needs."""
        read, place = self._status_request, self.binding.etag_field or self.binding.etag_header
        what = f"the response has no etag at {place!r} that a request can carry; the command was not sent"
        return Refused(InvalidResponse(what, method=read.method, path=read.path))

    def _request(self, call: Call) -> Request:
        return call.request(self.binding.base_path, task_id=self.task_id)

    def _call(self, call: Call, request: Request, pacer: Pacer) -> HttpCall:
        return HttpCall(self.binding, call, request, pacer.request_s())

    def _observe(self, response: Response) -> None:
        if not isinstance(response, Accepted):
            return
        state = None if response.status is None else self.lifecycle.state_of(response.status)
        changed_field = self.binding.changed_field
        changing = response.output if changed_field is None else value_at(response.document, changed_field)
        self.work.observe(state, changing)
        if self.binding.session_field is not None:
            self._session_id = self.binding.id_in(response.document, self.binding.session_field) or self._session_id
        for proof in self.binding.proofs.values():
            companion = proof.binding.id_in(response.document, proof.id_field)
            if companion is not None:
                self._companions[proof.id_field] = companion

    def _read_proof(self, command: E, pacer: Pacer) -> Actions[bool]:
        proof = self.binding.proofs[command]
        if proof.id_field not in self._companions:
            yield from self.perform(Read(details=True), pacer)
        companion = self._companions.get(proof.id_field)
        if companion is None:
            return False
        binding = proof.binding
        request = binding.status.request(binding.base_path, task_id=companion)
        response = yield from read(HttpCall(binding, binding.status, request, pacer.request_s()), pacer)
        if isinstance(response, Missing) and response.gone is not None:  # the task's own response named its session
            response = response.gone
        if not isinstance(response, Accepted) or response.status is None:
            return False
        state = binding.lifecycle.state_of(response.status)
        return state is not None and binding.lifecycle.judge(state, proof.event).kind is VerdictKind.REDUNDANT


def _result_itself(result: CommandResult[Any, Any] | None) -> object:
    return result


def _outcome_of_recovered(recovered: Recovered | None) -> object:
    return None if recovered is None else recovered.error or recovered.result


def _state_of_result(result: TaskResult[Any]) -> object:
    return result.state


def _may_pass(error: HttpError) -> bool:
    """Return whether the next read may succeed: the error is not a refusal."""
    return isinstance(error, RateLimited | ServerError) or not isinstance(error, ResponseError)


def cost_usd(document: Any, cost_field: str | None) -> Decimal | None:
    """Return the cost in a response's field of that name; None if there is no number in it."""
    cost = value_at(document, cost_field)
    try:
        number = None if cost is None else Decimal(str(cost))
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None
