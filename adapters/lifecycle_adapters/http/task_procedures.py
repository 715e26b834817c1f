"""The procedures about one task of an HTTP service: their effects become requests of the service's binding.

governed_task.py composes the procedures from those of the core. A driver carries them out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property, partial
from typing import Any

from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import (
    Accepted,
    Effect,
    Lost,
    Missing,
    Read,
    ReadProof,
    Refused,
    Response,
    Send,
    Steps,
)
from lifecycle.following import UNKNOWN
from lifecycle.journal import NO_CONTEXT, RequestContext
from lifecycle.table import E, S, VerdictKind
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.http_errors import InvalidResponse
from lifecycle_adapters.http.misspelt_options import OF_COMMANDS
from lifecycle_adapters.http.requests import Request, idempotency_key
from lifecycle_adapters.http.responses import NotANumber, value_at
from lifecycle_adapters.procedures.arguments import with_a_key
from lifecycle_adapters.procedures.governed_task import GovernedTask, TaskResult
from lifecycle_adapters.procedures.interpreter import Actions, Procedure, in_journal, read
from lifecycle_adapters.procedures.timing import Pacer


@dataclass(eq=False, kw_only=True)
class TaskProcedures(GovernedTask[S, E]):
    """The procedures about one task. Raises ValueError if no request can carry its id.

    `open_session` returns the procedures about a session, None if tasks run in none.
    """

    binding: HttpBinding[S, E]
    open_session: Callable[[str], Any] | None = None
    # To be repeated, unless each request has an id of its own. It is not in the repr, which an error report shows if no
    # request can carry the id, and this is not set.
    _status_request: Request = field(init=False, repr=False)
    _companions: dict[str, str] = field(default_factory=dict[str, str], init=False)
    _session_id: str | None = field(default=None, init=False)
    _last_sent: E | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._status_request = self._request(self.binding.status)

    def command(
        self, command: E, fields: Mapping[str, Any], context: RequestContext = NO_CONTEXT, *, in_flight_s: float = 0.0
    ) -> Procedure[CommandResult[S, E]]:
        """Send a command. Raises UnknownName and TypeError at once, before anything is recorded."""
        self._require_command(command)
        # Check the rest of the request now; only the etag is not known yet.
        call = self.binding.call(command)
        request: Request | None = call.request(
            self.binding.base_path, task_id=self.task_id, fields=fields, etag="any", options=OF_COMMANDS
        )
        if call.has_etag():
            request = None  # it is made when the task was read
        if call.has_idempotency_key():
            context, request = with_a_key(context), None  # it is made when the intent is recorded
        if call.has_request_id():
            request = None  # another attempt is another request
        if context.idempotency_key is not None:  # the key's recorded fields, to compare with, are JSON
            fields = json.loads(json.dumps(fields))
        steps = self._commands.execute(command, fields, context)
        perform = partial(self.perform, command_request=request)
        return self._command_procedure(command, steps, in_flight_s, perform)

    def session(self) -> Procedure[Any]:
        """Return the procedures about the session that the task runs in; its details are read if no response named it.

        Raises TypeError at once if tasks run in no session, or no response names it.
        """
        if self.open_session is None or self.binding.session_field is None:
            raise TypeError(f"{self.binding.name} has no sessions beside its tasks")
        return self._procedure(self._find_session(self.open_session), Pacer(self.timing))

    def has_sent_to(self, state: S) -> bool:
        """Return whether the last command that was sent by these procedures leads to this state."""
        return self._last_sent is not None and state in self.lifecycle.targets(self._last_sent)

    def observe_creation(self, response: Accepted, fields: Mapping[str, Any]) -> None:
        """Note from the create's response whether the task has work, and the ids of its companions; record nothing."""
        if value_at(dict(fields), self.binding.task_field):
            self.work.mark_given()
        self._note_companions(response)
        self.work.observe_create(self._state_in(response), self._mark_in(response))

    # --- composed procedures ---

    def _make_commands(self) -> CommandProcedure[S, E]:
        proved_by_read = frozenset(self.binding.proofs)
        return CommandProcedure(
            lifecycle=self.lifecycle,
            task=self.task_id,
            proved_by_read=proved_by_read,
            may_report=self._may_report,
            with_etag=frozenset(name for name, call in self.binding.commands.items() if call.has_etag()),
            with_key=frozenset(name for name, call in self.binding.commands.items() if call.has_idempotency_key()),
            needs_read=self.work.needs_read,
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

    def _find_session(self, open_session: Callable[[str], Any]) -> Steps[Any]:
        if self._session_id is None:
            yield from self._read_details()
        if self._session_id is None:
            request = self._request(self.binding.details)
            what = f"the task names no session at {self.binding.session_field!r}"
            raise InvalidResponse(what, **request.names)
        return open_session(self._session_id)

    # --- carrying them out ---

    def _result(self, state: S, read: Accepted) -> TaskResult[S]:
        output = value_at(read.document, self.binding.output_field)
        return TaskResult(state, output, cost_usd(read.document, self.binding.cost_field), dict(read.document))

    def perform(self, effect: Effect, pacer: Pacer, command_request: Request | None = None) -> Actions[Any]:
        """Carry out one effect on this task; `command_request` is the request of a `Send`, None to build it."""
        match effect:
            case Send():
                return self._send(effect, pacer, command_request)
            case Read(details):
                return self._read(pacer, details=details)
            case ReadProof(command):
                return self._read_proof(command, pacer)
            case _:
                return in_journal(effect, self.journal)

    def _send(self, effect: Send[E], pacer: Pacer, request: Request | None) -> Actions[Response]:
        command, call = effect.command, self.binding.call(effect.command)
        if effect.etag is None and call.has_etag():
            return self._without_etag()
        request = request or self._command_request(command, effect.fields, effect.intent, effect.etag)
        response: Response = yield self._call(call, request, pacer)
        self._last_sent = command
        if isinstance(response, Accepted | Lost) and self.lifecycle.starts_work(command):
            self.work.mark_given(command, effect.source)
        if isinstance(response, Accepted):
            self._note_companions(response)
            self.work.observe(self._state_in(response))
        return response

    def _read(self, pacer: Pacer, *, details: bool) -> Actions[Response]:
        call = self.binding.details if details else self.binding.status
        request = self._request(call) if details or call.has_request_id() else self._status_request
        response = yield from read(self._call(call, request, pacer), pacer)
        if isinstance(response, Accepted):
            self._note_companions(response)
            self.work.observe(self._state_in(response), UNKNOWN if details else self._mark_in(response))
        return response

    def _command_request(self, command: E, fields: Mapping[str, Any], intent: str, etag: str | None) -> Request:
        key = idempotency_key(self.lifecycle.name, self.task_id, intent)
        return self.binding.command_request(command, self.task_id, fields, idempotency_key=key, etag=etag)

    def _without_etag(self) -> Refused:
        """Return the failure of a command that was not sent because no response had the etag that it needs."""
        read, place = self._status_request, self.binding.etag_field or self.binding.etag_header
        what = f"the response has no etag at {place!r} that a request can carry; the command was not sent"
        return Refused(InvalidResponse(what, **read.names))

    def _request(self, call: Call) -> Request:
        return call.request(self.binding.base_path, task_id=self.task_id)

    def _call(self, call: Call, request: Request, pacer: Pacer) -> HttpCall:
        return HttpCall(self.binding, call, request, timeout_s=pacer.request_s())

    def _mark_in(self, response: Accepted) -> Any:
        """Return what changes with the work; a response without the field shows nothing, one without output none."""
        if self.binding.changed_field is None:
            return response.output
        found = value_at(response.document, self.binding.changed_field)
        return UNKNOWN if found is None else found

    def _note_companions(self, response: Accepted) -> None:
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
        response = yield from read(HttpCall(binding, binding.status, request, timeout_s=pacer.request_s()), pacer)
        if isinstance(response, Missing) and response.gone is not None:  # the task's own response named its session
            response = response.gone
        if not isinstance(response, Accepted) or response.status is None:
            return False
        state = binding.lifecycle.state_of(response.status)
        return state is not None and binding.lifecycle.judge(state, proof.event).kind is VerdictKind.REDUNDANT


def cost_usd(document: Any, cost_field: str | None) -> Decimal | None:
    """Return the cost in a response's field of that name; None if there is no number in it."""
    with suppress(NotANumber):
        return reported_cost_usd(document, cost_field)
    return None


def reported_cost_usd(document: Any, cost_field: str | None) -> Decimal | None:
    """Return the cost in a response's field of that name; None if it is missing or null.

    Raises NotANumber if there is another value: then a limit of the cost cannot be enforced.
    """
    cost = value_at(document, cost_field)
    if cost is None:
        return None
    text = "" if isinstance(cost, bool) else str(cost)
    number = Decimal("nan")
    if text.isascii() and "_" not in text:  # Decimal reads "1_0" as 10, and the digits of other scripts
        with suppress(InvalidOperation):
            number = Decimal(text)
    if not number.is_finite():
        raise NotANumber(f"the cost at {cost_field!r} is not a number")
    return number
