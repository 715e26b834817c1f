"""The procedures about the creates of one lifecycle, whatever carries out its calls: create, recover, adopt, abandon.

They are composed of the core's (lifecycle/create.py). A subclass turns a create into an action of its driver: an HTTP
request in creates.py.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lifecycle.create import CreateProcedure
from lifecycle.effects import (
    Create,
    CreateEffect,
    Effect,
    ProcedureRun,
    RecordCreateOutcome,
    Response,
    Steps,
    UnfinishedCreates,
)
from lifecycle.errors import (
    CreateInFlight,
    CreateUncertain,
    LifecycleError,
    UnreadableCreate,
    UnreadableRecord,
    plain_id,
    shortened,
)
from lifecycle.journal import CreateRecord, Creates, RequestContext
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.procedures.governed_task import GovernedTask, Recovered
from lifecycle_adapters.procedures.interpreter import Actions, Procedure, in_journal, interpret
from lifecycle_adapters.procedures.task_summary import TaskSummary
from lifecycle_adapters.procedures.timing import Pacer, Timing

R = TypeVar("R")
T = TypeVar("T", bound=GovernedTask[Any, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredCreate(Recovered):
    """A create that was found without an outcome. `command` is "create", `task_id` is empty.

    `create` is its present record. `candidates` are the listed tasks that it may have made: neither
    another create of the journal made them, nor is their text another one, nor are they more than a minute older than
    it. None of them is chosen: `adopt_create` or `abandon_create` settles it. `error` is None if it is known to have
    made none.
    """

    create: CreateRecord
    candidates: tuple[TaskSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernedCreates(ABC, Generic[T]):
    """The procedures about the creates of one lifecycle. `open_task` returns those about a task."""

    lifecycle: Lifecycle[Any, Any]
    timing: Timing
    creates: Creates
    open_task: Callable[[str], T]

    @abstractmethod
    def _checked(self, fields: Mapping[str, Any], context: RequestContext) -> RequestContext:
        """Check the fields, and return the context with an idempotency key if the call needs one."""

    @abstractmethod
    def _send(self, effect: Create, pacer: Pacer) -> Actions[Response]:
        """Send the create. An Accepted response has an id that a journal can record."""

    @property
    @abstractmethod
    def _core(self) -> CreateProcedure:
        """The core's procedures of these creates."""

    def create(self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext) -> Procedure[T]:
        """Create a task. Raises TypeError at once, before anything is recorded."""
        context = self._checked(fields, context)
        _require_labels(labels)
        if context.idempotency_key is not None:  # the key's recorded fields, to compare with, are JSON
            fields = json.loads(json.dumps(fields))
        made: dict[str, T | None] = {}

        def perform(effect: Effect, pacer: Pacer) -> Actions[Any]:
            match effect:
                case Create():
                    return (yield from self._send(effect, pacer))
                case RecordCreateOutcome(task=task) if task is not None:
                    # Keep a handle from here on, because the journal in memory forgets a task without a handle.
                    made[task.task_id] = None  # known from here on, also if the journal refuses the task
                    made[task.task_id] = self.open_task(task.task_id)
                case _:
                    pass
            return (yield from in_journal(effect, self.creates))

        steps = self._create(fields, labels, context, made)
        return Procedure(self._interpret(steps, perform), _noting_the_id(made))

    def recover(self, dead: frozenset[str] = frozenset()) -> Procedure[list[Recovered]]:
        """Settle the creates that were never sent, and find for the others the tasks that they may have made."""
        return Procedure(self._recover(dead))

    def adopt(self, create_id: str, task_id: str) -> Procedure[T]:
        """Record that a create made this task, which is read first."""
        task = self.open_task(task_id)

        def perform(effect: Effect, pacer: Pacer) -> Actions[Any]:
            if isinstance(effect, CreateEffect):
                return in_journal(effect, self.creates)
            return task.perform(effect, pacer)

        return Procedure(self._interpret(self._adopt(create_id, task), perform))

    def abandon(self, create_id: str, reason: str) -> Procedure[CreateRecord]:
        """Record that a create made no task."""
        return Procedure(self._interpret(self._core.abandon(create_id, reason), self._in_journal))

    # --- composed procedures ---

    def _create(
        self,
        fields: Mapping[str, Any],
        labels: Mapping[str, str],
        context: RequestContext,
        made: Mapping[str, T | None],
    ) -> Steps[T]:
        result = yield from self._core.execute(fields, labels=labels, context=context)
        task = made.get(result.task_id) or self._open_recorded(result.task_id)
        if result.response is not None:
            task.observe_creation(result.response, fields)
        return task

    def _open_recorded(self, task_id: str) -> T:
        """Open the task that the journal has of a create. Raises UnreadableRecord if no request can carry its id."""
        try:
            return self.open_task(task_id)
        except ValueError as error:
            raise UnreadableRecord(str(error), lifecycle=self.lifecycle.name, task=task_id) from error

    def _adopt(self, create_id: str, task: T) -> Steps[T]:
        yield from self._core.adopt(create_id, task.task_id)
        return task

    def _recover(self, dead: frozenset[str]) -> Actions[list[Recovered]]:
        unreadable, records = list[Recovered](), list[CreateRecord]()
        for unfinished in (yield from in_journal(UnfinishedCreates(), self.creates)):
            if isinstance(unfinished, UnreadableCreate):
                unreadable.append(self._unreadable(unfinished))
                continue
            record = yield from self._interpret(self._core.recover(unfinished, dead=dead), self._in_journal)
            if record is not None:
                records.append(record)
        return [*unreadable, *(yield from self._with_candidates(records))]

    def _with_candidates(self, records: list[CreateRecord]) -> Actions[list[RecoveredCreate]]:
        """Return the results of a recovery, with the tasks that each create may have made."""
        return self._without_candidates(records)
        yield  # it is a generator, as those that read a list

    def _without_candidates(self, records: list[CreateRecord]) -> list[RecoveredCreate]:
        return [self._recovered(each, "; the service has no list of tasks") for each in records]

    # --- carrying them out ---

    def _interpret(self, steps: Steps[R], perform: Callable[[Effect, Pacer], Actions[Any]]) -> Actions[R]:
        return interpret(ProcedureRun(steps, self.creates), perform, Pacer(self.timing))

    def _in_journal(self, effect: Effect, _: Pacer) -> Actions[Any]:
        return in_journal(effect, self.creates)

    def _recovered(
        self, record: CreateRecord, why: str = "", candidates: tuple[TaskSummary, ...] = ()
    ) -> RecoveredCreate:
        error: LifecycleError | None = None
        facts = {"lifecycle": self.lifecycle.name, "create_id": record.id}
        if record.lease is not None:
            error = CreateInFlight(**facts, lease=record.lease)
        elif record.is_open:
            error = CreateUncertain(record.why + why, **facts)
        return RecoveredCreate(
            lifecycle=self.lifecycle.name,
            task_id="",
            command="create",
            result=None,
            error=error,
            is_settled=not record.is_open,
            create=record,
            candidates=candidates,
        )

    def _unreadable(self, error: UnreadableCreate) -> Recovered:
        return Recovered(self.lifecycle.name, "", "create", None, error, is_settled=False)


def _require_labels(labels: Any) -> None:
    given: Any = labels
    if not isinstance(labels, Mapping) or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise TypeError(f"labels are texts by their names, such as {{'order': '5'}}, not {shortened(given)}")


@contextmanager
def _noting_the_id(made: Mapping[str, Any]) -> Generator[None]:
    """Note the new task's id on an error: if the journal fails just after the create, only the error has it."""
    try:
        yield
    except Exception as error:
        for task_id in made:
            error.add_note(f"The task {plain_id(task_id)} was created.")
        raise
