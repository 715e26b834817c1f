"""The procedures about the tasks of a user's object: their effects become calls of its functions.

procedures/governed_task.py and procedures/governed_creates.py compose them from those of the core. A driver carries
them out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.create import CreateProcedure
from lifecycle.effects import Accepted, Create, Effect, Lost, Read, Response, Send
from lifecycle.journal import NO_CONTEXT, RequestContext
from lifecycle.table import E, S
from lifecycle_adapters.argument_checks import require_json
from lifecycle_adapters.objects.object_service import ObjectService
from lifecycle_adapters.procedures.governed_creates import GovernedCreates
from lifecycle_adapters.procedures.governed_task import GovernedTask, TaskResult
from lifecycle_adapters.procedures.interpreter import Actions, Procedure, ServiceCall, in_journal
from lifecycle_adapters.procedures.timing import Pacer


@dataclass(frozen=True, slots=True)
class ObjectCall(ServiceCall):
    """Call a user's function, whose name is "read", "send" or "create"; the result is the response that it means.

    It may take `timeout_s`, if it can be interrupted.
    """

    name: str
    function: Callable[[], Any]


@dataclass(eq=False, kw_only=True)
class ObjectTaskProcedures(GovernedTask[S, E]):
    """The procedures about one task of a user's object."""

    service: ObjectService

    def command(
        self, command: E, fields: Mapping[str, Any], context: RequestContext = NO_CONTEXT, *, in_flight_s: float = 0.0
    ) -> Procedure[CommandResult[S, E]]:
        """Send a command. Raises UnknownName and TypeError at once, before anything is recorded."""
        self._require_command(command)
        steps = self._commands.execute(command, _as_recorded(fields), context)
        return self._command_procedure(command, steps, in_flight_s, self.perform)

    def observe_creation(self, response: Accepted, fields: Mapping[str, Any]) -> None:
        """Note that the task has work, if its create had fields; record nothing."""
        if fields:
            self.work.mark_given()
        self.work.observe_create(self._state_in(response), response.output)

    def perform(self, effect: Effect, pacer: Pacer) -> Actions[Any]:
        """Carry out one effect on this task."""
        match effect:
            case Send(command, fields, source=source):
                function = partial(self.service.send, self.task_id, command, **fields)
                response: Response = yield ObjectCall("send", function, timeout_s=pacer.request_s())
                if isinstance(response, Accepted | Lost) and self.lifecycle.starts_work(command):
                    self.work.mark_given(command, source)
                if isinstance(response, Accepted):
                    self.work.observe(self._state_in(response))
            case Read():
                response = yield ObjectCall(
                    "read", partial(self.service.read, self.task_id), timeout_s=pacer.request_s()
                )
                if isinstance(response, Accepted):
                    self.work.observe(self._state_in(response), response.output)
            case _:
                return (yield from in_journal(effect, self.journal))
        return response

    def _make_commands(self) -> CommandProcedure[S, E]:
        return CommandProcedure(lifecycle=self.lifecycle, task=self.task_id, needs_read=self.work.needs_read)

    def _result(self, state: S, read: Accepted) -> TaskResult[S]:
        return TaskResult(state, read.output, None, dict(read.document))


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCreates(GovernedCreates[ObjectTaskProcedures[Any, Any]]):
    """The procedures about the creates of a user's object."""

    service: ObjectService

    def _checked(self, fields: Mapping[str, Any], context: RequestContext) -> RequestContext:
        if self.service.create is None:
            raise TypeError("nothing can be created: the client was given no `create`")
        _as_recorded(fields)
        return context

    def _send(self, effect: Create, pacer: Pacer) -> Actions[Response]:
        assert self.service.create is not None
        function = partial(self.service.create, **effect.fields)
        response: Response = yield ObjectCall("create", function, timeout_s=pacer.request_s())
        return response

    @property
    def _core(self) -> CreateProcedure:
        return CreateProcedure(lifecycle=self.lifecycle.name, id_of=lambda response: response.document["id"])


def _as_recorded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields as a journal returns them, so that a recovery sends the same.

    Raises TypeError, with the field's name, if one is not JSON.
    """
    given = dict(fields)
    require_json(given, partial(json.dumps, allow_nan=False))
    recorded: dict[str, Any] = json.loads(json.dumps(given))
    return recorded
