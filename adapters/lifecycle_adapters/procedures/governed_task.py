"""The procedures about one task, whatever carries out its calls: commands, reads, waits and recovery.

They are composed of the core's procedures (lifecycle/command.py, lifecycle/following.py). A subclass turns the effects
that are calls of the service into actions of its driver: HTTP requests in task_procedures.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from lifecycle.catalog import CATALOG
from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import (
    Accepted,
    Effect,
    Failure,
    Load,
    Missing,
    ProcedureRun,
    RecordReport,
    Steps,
    Wait,
    WaitReason,
    read_with_retries,
)
from lifecycle.errors import AdapterError, LifecycleError, UnknownName, WaitTimedOut
from lifecycle.following import Until, WorkTracker, follow, read_state
from lifecycle.journal import NO_CONTEXT, CommandRecord, Report, RequestContext, TaskJournal, TaskRecord
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, Origin, S
from lifecycle_adapters import telemetry
from lifecycle_adapters.procedures.call_errors import CallError, DetailsTimedOut
from lifecycle_adapters.procedures.interpreter import Actions, Procedure, interpret
from lifecycle_adapters.procedures.signal_errors import is_of_a_signal
from lifecycle_adapters.procedures.timing import Pacer, Timing

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class TaskResult(Generic[S]):
    """The end of a wait. `output` and `cost_usd` are None if the details of the task, `details`, have neither.

    `cost_usd` is also None if the cost there is not a number.
    So `output` is None for `mcp`: its result is read by a further call, `task.call("result")`.
    """

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
class GovernedTask(ABC, Generic[S, E]):
    """The procedures about one task."""

    lifecycle: Lifecycle[S, E]
    timing: Timing
    task_id: str
    journal: TaskJournal[S, E]
    work: WorkTracker[S, E] = field(init=False)

    def __post_init__(self) -> None:
        self.work = WorkTracker(self.lifecycle)

    @abstractmethod
    def command(
        self, command: E, fields: Mapping[str, Any], context: RequestContext = NO_CONTEXT, *, in_flight_s: float = 0.0
    ) -> Procedure[CommandResult[S, E]]:
        """Send a command. Raises UnknownName and TypeError at once, before anything is recorded."""

    @abstractmethod
    def observe_creation(self, response: Accepted, fields: Mapping[str, Any]) -> None:
        """Note from the create's response whether the task has work; record nothing."""

    @abstractmethod
    def perform(self, effect: Effect, pacer: Pacer) -> Actions[Any]:
        """Carry out one effect on this task."""

    def _state_in(self, response: Accepted) -> S | None:
        return None if response.status is None else self.lifecycle.state_of(response.status)

    @abstractmethod
    def _make_commands(self) -> CommandProcedure[S, E]:
        """Return the core's procedures of this task's commands."""

    @abstractmethod
    def _result(self, state: S, read: Accepted) -> TaskResult[S]:
        """Return the result of a wait that ended in this state, given the details that were read then."""

    def recover(
        self, *, dead: frozenset[str] = frozenset(), in_flight_s: float = 0.0
    ) -> Procedure[CommandResult[S, E] | None]:
        """Settle the command that was left open."""
        pacer = Pacer(self.timing, in_flight_s=in_flight_s)
        return self._procedure(
            self._commands.recover(dead=dead), pacer, self._span("lifecycle.recover", _result_itself)
        )

    def abandon(self, reason: str) -> Procedure[CommandRecord[S, E] | None]:
        """Record the command that was left open as abandoned."""
        return self._procedure(self._commands.abandon(reason), Pacer(self.timing))

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
        return self._procedure(self._details(), Pacer(self.timing))

    def wait(self, until: Until, timeout_s: float | None, *, stop_at_unknown: bool) -> Procedure[TaskResult[S]]:
        """Follow the task until it is at rest, then read its details; all within `timeout_s` and half a second."""
        pacer = Pacer(self.timing, deadline_s=timeout_s)
        steps = self._wait(until, pacer, stop_at_unknown=stop_at_unknown)
        return self._procedure(steps, pacer, self._span("lifecycle.wait", _state_of_result))

    # --- composed procedures ---

    @cached_property
    def _commands(self) -> CommandProcedure[S, E]:
        return self._make_commands()

    def _require_command(self, command: E) -> None:
        """Raise UnknownName unless the lifecycle declares the command, with the extension that does."""
        governs = self.lifecycle
        if command not in governs.commands:
            extension = CATALOG.get(governs.extended_by or "")
            declared_by = extension.name if extension is not None and command in extension.commands else None
            raise UnknownName("command", command, known=governs.commands, where=governs.name, declared_by=declared_by)

    def _settle(self, dead: frozenset[str]) -> Steps[Recovered | None]:
        opened = (yield Load()).open_command
        if opened is None:
            return None
        found = partial(Recovered, self.lifecycle.name, self.task_id, str(opened.command))
        try:
            result = yield from self._commands.recover(dead=dead)
        except LifecycleError as error:
            if isinstance(error, AdapterError) and not isinstance(error, CallError):
                raise  # the journal's, without which no task can be recovered
            left = (yield Load()).open_command
            return found(None, error, is_settled=left is None or left.id != opened.id)
        except Exception as error:
            if is_of_a_signal(error):
                raise  # the time limit of a job queue, which ends the recovery of all tasks
            # A callback of the journal in memory raised it.
            return self.broken_off(error)
        return None if result is None else found(result)

    def _allowed(self) -> Steps[tuple[E, ...]]:
        state = (yield Load()).current or (yield from read_state(self.lifecycle))
        return self.lifecycle.allowed(state, origin=Origin.CALLER)

    def _read_details(self, *, is_known: bool = False) -> Steps[tuple[Accepted, TaskRecord[S, E]]]:
        """Read and record the details, and return them with the task's record after that."""
        response = yield from read_with_retries(details=True)
        if is_known and isinstance(response, Missing) and (yield Wait(WaitReason.POLL, 1)):
            response = yield from read_with_retries(details=True)  # one 404 does not make a known task unknown
        if isinstance(response, Failure):
            raise response.error
        record: TaskRecord[S, E] = yield RecordReport(Report(str(response.status), response.as_of))
        return response, record

    def _details(self) -> Steps[dict[str, Any]]:
        read, _ = yield from self._read_details()
        return dict(read.document)

    def _wait(
        self, until: Until, pacer: Pacer, *, stop_at_unknown: bool, may_doubt: bool = True
    ) -> Steps[TaskResult[S]]:
        facts = {"lifecycle": self.lifecycle.name, "task": self.task_id, "until": until}
        try:
            state = yield from follow(
                self.lifecycle, self.task_id, self.work, until=until, stop_at_unknown=stop_at_unknown
            )
        except CallError as error:
            if not pacer.is_late or not error.may_pass:
                raise
            known = (yield Load()).current
            raise WaitTimedOut(**facts, state=None if known is None else str(known), why=str(error)) from error
        pacer.restart()
        try:
            read, record = yield from self._read_details(is_known=True)
        except CallError as error:
            if not pacer.is_late or not error.may_pass:
                error.state = str(state)
                error.add_note(f"The task is {state!s}; only its details could not be read.")
                raise
            raise DetailsTimedOut(**facts, state=str(state), why=str(error)) from error
        if record.doubt is not None and may_doubt:  # the details contradict the state that ended the wait: read again
            return (yield from self._wait(until, pacer, stop_at_unknown=stop_at_unknown, may_doubt=False))
        return self._result(state, read)

    # --- carrying them out ---

    def _command_procedure(
        self,
        command: E,
        steps: Steps[CommandResult[S, E]],
        in_flight_s: float,
        perform: Callable[[Effect, Pacer], Actions[Any]],
    ) -> Procedure[CommandResult[S, E]]:
        pacer = Pacer(self.timing, in_flight_s=in_flight_s)
        return self._procedure(steps, pacer, self._span("lifecycle.command", _result_itself, command), perform=perform)

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
        perform: Callable[[Effect, Pacer], Actions[Any]] | None = None,
    ) -> Procedure[R]:
        run = ProcedureRun(steps, self.journal, () if span is None else (span,))
        actions = interpret(run, perform or self.perform, pacer)
        return Procedure(actions) if span is None else Procedure(actions, span.as_current_span())


def _result_itself(result: CommandResult[Any, Any] | None) -> object:
    return result


def _outcome_of_recovered(recovered: Recovered | None) -> object:
    return None if recovered is None else recovered.error or recovered.result


def _state_of_result(result: TaskResult[Any]) -> object:
    return result.state
