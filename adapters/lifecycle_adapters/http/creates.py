"""Procedures about the creates of one lifecycle: create, recover, adopt, abandon. A driver carries them out.

They are composed of the core's (lifecycle/create.py). This module decides which of the service's tasks an uncertain
create may have made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from lifecycle.create import CreateProcedure
from lifecycle.effects import (
    Accepted,
    Create,
    CreateEffect,
    Effect,
    ExcludeTasks,
    Lost,
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
    shortened,
)
from lifecycle.journal import CreateRecord, Creates, RequestContext, name_fault
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.http.arguments import with_a_key
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.http_errors import HttpError, InvalidResponse
from lifecycle_adapters.http.interpreter import Actions, HttpCall, Procedure, in_journal, interpret
from lifecycle_adapters.http.paginator import Paginator, TaskSummary
from lifecycle_adapters.http.requests import idempotency_key
from lifecycle_adapters.http.responses import value_at
from lifecycle_adapters.http.task_procedures import Recovered, TaskProcedures
from lifecycle_adapters.http.timing import Pacer, Timing

R = TypeVar("R")

_MOST_PAGES = 1000  # of a service's list; a recovery reads at most these, and stops when the retry budget is spent

CLOCKS_DIFFER = timedelta(minutes=1)
"""The most by which a service's clock may be late: a task that seems older than its create may still be its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredCreate(Recovered):
    """A create that was found without an outcome. `command` is "create", `task_id` is empty.

    `create` is its present record. `candidates` are the listed tasks that it may have made: neither
    another create of the journal made them, nor do they differ from it in time or text. None of them is
    chosen: `adopt_create` or `abandon_create` settles it. `error` is None if it is known to have made none.
    """

    create: CreateRecord
    candidates: tuple[TaskSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProcedures:
    """The procedures about the creates of one lifecycle. `open_task` returns those about a task."""

    binding: HttpBinding[Any, Any]
    lifecycle: Lifecycle[Any, Any]
    timing: Timing
    base_url: str
    creates: Creates
    open_task: Callable[[str], TaskProcedures[Any, Any]]

    def create(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext
    ) -> Procedure[TaskProcedures[Any, Any]]:
        """Create a task. Raises TypeError at once, before anything is recorded."""
        self.binding.create_request(fields)
        if self.binding.create.has_idempotency_key():
            context = with_a_key(context)
        _require_labels(labels)
        if context.idempotency_key is not None:  # the key's recorded fields, to compare with, are JSON
            fields = json.loads(json.dumps(fields))
        made: dict[str, TaskProcedures[Any, Any] | None] = {}

        def perform(effect: Effect, pacer: Pacer) -> Actions[Any]:
            match effect:
                case Create(sent, intent):
                    key = idempotency_key(self.lifecycle.name, intent)
                    request = self.binding.create_request(sent, idempotency_key=key)
                    call = HttpCall(self.binding, self.binding.create, request, pacer.request_s())
                    response: Response = yield call
                    fault = self._id_fault(response) if isinstance(response, Accepted) else None
                    if fault is not None:
                        return Lost(InvalidResponse(fault, method=request.method, path=request.path))
                    return response
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

    def adopt(self, create_id: str, task_id: str) -> Procedure[TaskProcedures[Any, Any]]:
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

    @property
    def _core(self) -> CreateProcedure:
        return CreateProcedure(
            lifecycle=self.lifecycle.name,
            id_of=lambda response: str(self._id_of(response)),
            is_idempotent=self.binding.create.has_idempotency_key(),
        )

    def _create(
        self,
        fields: Mapping[str, Any],
        labels: Mapping[str, str],
        context: RequestContext,
        made: Mapping[str, TaskProcedures[Any, Any] | None],
    ) -> Steps[TaskProcedures[Any, Any]]:
        result = yield from self._core.execute(fields, labels=labels, context=context)
        task = made.get(result.task_id) or self._open_recorded(result.task_id)
        if result.response is not None:
            task.observe_creation(result.response, fields)
        return task

    def _open_recorded(self, task_id: str) -> TaskProcedures[Any, Any]:
        """Open the task that the journal has of a create. Raises UnreadableRecord if no request can carry its id."""
        try:
            return self.open_task(task_id)
        except ValueError as error:
            raise UnreadableRecord(str(error), lifecycle=self.lifecycle.name, task=task_id) from error

    def _adopt(self, create_id: str, task: TaskProcedures[Any, Any]) -> Steps[TaskProcedures[Any, Any]]:
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
        recovered = [self._recovered(each) for each in records]
        if not any(isinstance(each.error, CreateUncertain) for each in recovered):
            return recovered
        if self.binding.listing is None:
            return [self._recovered(each, "; the service has no list of tasks") for each in records]
        try:
            listed, why = yield from self._listed()
        except HttpError as error:
            return [self._recovered(each, f"; the service's list cannot be read: {error}") for each in records]
        found: list[RecoveredCreate] = []
        for each, outcome in zip(records, recovered, strict=True):
            candidates = (yield from self._candidates(each, listed)) if outcome.error is not None else ()
            found.append(self._recovered(each, why, candidates))
        return found

    # --- carrying them out ---

    def _interpret(self, steps: Steps[R], perform: Callable[[Effect, Pacer], Actions[Any]]) -> Actions[R]:
        return interpret(ProcedureRun(steps, self.creates), perform, Pacer(self.timing))

    def _in_journal(self, effect: Effect, _: Pacer) -> Actions[Any]:
        return in_journal(effect, self.creates)

    def _id_of(self, response: Accepted) -> str | None:
        return self.binding.id_in(response.document)

    def _id_fault(self, response: Accepted) -> str | None:
        """Return the reason why the response to a create has no usable id; None if it has one."""
        task_id, found = self._id_of(response), value_at(response.document, self.binding.id_field)
        if task_id is not None:
            fault = name_fault("task id", task_id)
            return None if fault is None else f"{fault}: it is {shortened(task_id)}"
        where = f"no id at {self.binding.id_field!r}"
        return where if found is None else f"{where} that a request can carry, but {shortened(found)}"

    # --- what a create may have made ---

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

    def _listed(self) -> Actions[tuple[list[TaskSummary], str]]:
        """Return the tasks of the service's list, and the reason if they are not all: a list may be long or endless."""
        pages = Paginator(self.binding, self.lifecycle, {}, base_url=self.base_url)
        listed, number = list[TaskSummary](), 0
        end_s = time.monotonic() + self.timing.retry_budget_s
        while not pages.is_done:
            if number == _MOST_PAGES or time.monotonic() >= end_s:
                return listed, f"; the service's list has no end within {number} pages: the task may be further on"
            listed += yield from pages.read(self.timing).actions
            number += 1
        return listed, ""

    def _candidates(self, record: CreateRecord, listed: list[TaskSummary]) -> Actions[tuple[TaskSummary, ...]]:
        alike = [each for each in listed if self._may_have_made(record, each)]
        effect = ExcludeTasks(record.id, tuple(each.id for each in alike))
        excluded = yield from in_journal(effect, self.creates)
        return tuple(each for each in alike if each.id not in excluded)

    def _may_have_made(self, record: CreateRecord, listed: TaskSummary) -> bool:
        created_at = _moment(value_at(listed.document, self.binding.created_field))
        if created_at is not None and created_at < record.recorded_at - CLOCKS_DIFFER:
            return False
        sent, listed_as = (value_at(each, self.binding.task_field) for each in (dict(record.fields), listed.document))
        return not (isinstance(sent, str) and isinstance(listed_as, str)) or sent.strip() == listed_as.strip()


def _moment(text: Any) -> datetime | None:
    """Return the time in a document, None if it has no readable one."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    except (TypeError, ValueError):
        return None


def _require_labels(labels: Any) -> None:
    given: Any = labels
    if not isinstance(labels, Mapping) or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise TypeError(f"labels are texts by their names, such as {{'order': '5'}}, not {labels!r:.80}")


@contextmanager
def _noting_the_id(made: Mapping[str, Any]) -> Generator[None]:
    """Note the new task's id on an error: if the journal fails just after the create, only the error has it."""
    try:
        yield
    except Exception as error:
        for task_id in made:
            error.add_note(f"The task {task_id} was created.")
        raise
