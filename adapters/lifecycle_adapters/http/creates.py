"""Creating a service's tasks, and what recovery does about creates that have no outcome; as exchange.py, with no I/O.

What a create is, from its intent to its outcome, is decided by lifecycle/create.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from lifecycle.create import CreateProcedure, CreateResult
from lifecycle.effects import (
    Accepted,
    ClaimCreate,
    Create,
    CreateEffect,
    Effect,
    ExcludeTasks,
    Lost,
    RecordCreate,
    RecordCreateOutcome,
    ReleaseCreate,
    Response,
    Steps,
    UnfinishedCreates,
    apply_journal_effect,
)
from lifecycle.errors import CreateInFlight, CreateUncertain, LifecycleError
from lifecycle.journal import CreateRecord, Creates, RequestContext
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.http.binding import HttpBinding, id_in, value_at
from lifecycle_adapters.http.exchange import (
    Actions,
    EnterContext,
    HttpCall,
    JournalCall,
    Recovered,
    TaskProcedures,
    drive,
)
from lifecycle_adapters.http.http_errors import HttpError, InvalidResponse
from lifecycle_adapters.http.paginator import Paginator, TaskSummary
from lifecycle_adapters.http.timing import Pacer, Timing

R = TypeVar("R")

_MOST_PAGES = 1000  # of a service's list; a recovery reads no more, and none after the retry budget

CLOCKS_DIFFER = timedelta(minutes=1)
"""How far a service's clock may be behind the journal's: a task that seems older than its create may be its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredCreate(Recovered):
    """A create that was found without an outcome. `command` is "create", `task_id` is empty.

    `create` is what is recorded of it now. `candidates` are the listed tasks that it may have made: neither
    another create of the journal made them, nor do they differ from it in time or text. None of them is
    chosen: `adopt_create` or `abandon_create` settles it. `error` is None if it is known to have made none.
    """

    create: CreateRecord
    candidates: tuple[TaskSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Creator:
    """One service's side of the creates of one lifecycle. `open_task` begins the talk about a task."""

    binding: HttpBinding[Any, Any]
    lifecycle: Lifecycle[Any, Any]
    timing: Timing
    creates: Creates
    open_task: Callable[[str], TaskProcedures[Any, Any]]

    def create(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext
    ) -> Actions[TaskProcedures[Any, Any]]:
        """Create a task. Raises TypeError at once, before anything is recorded."""
        request = self.binding.create_request(fields)
        _require_labels(labels)
        if context.idempotency_key is not None:  # given again it is compared with what a journal kept, which is JSON
            fields = json.loads(json.dumps(fields))
        made: dict[str, TaskProcedures[Any, Any]] = {}

        def perform(effect: Effect) -> Actions[Any]:
            match effect:
                case Create():
                    answer: Response = yield HttpCall(self.binding, self.binding.create, request)
                    if isinstance(answer, Accepted) and self._id_of(answer) is None:
                        what = f"no id at {self.binding.id_field!r}"
                        return Lost(InvalidResponse(what, method=request.method, path=request.path))
                    return answer
                case RecordCreateOutcome(task=task) if task is not None:
                    # Its log is held from here on, for the journal in memory forgets a task that nobody holds.
                    made[task.task_id] = self.open_task(task.task_id)
                    yield EnterContext(_telling_of(task.task_id))
                case _:
                    pass
            return (yield from self._note(effect))

        steps = self._procedure.execute(fields, labels=labels, context=context)
        return self._created(drive(self._holding(steps), perform, Pacer(self.timing)), made, fields)

    def recover(self, dead: frozenset[str] = frozenset()) -> Actions[list[RecoveredCreate]]:
        """Settle the creates that were never sent, and find for the others the tasks that they may have made."""
        recovered: list[RecoveredCreate] = []
        for unfinished in (yield from self._note(UnfinishedCreates())):
            steps = self._holding(self._procedure.recover(unfinished, dead=dead))
            record = yield from drive(steps, self._note, Pacer(self.timing))
            if record is not None:
                recovered.append(self._recovered(record))
        if not any(isinstance(each.error, CreateUncertain) for each in recovered):
            return recovered
        try:
            listed, why = yield from self._listed()
        except HttpError as error:
            return [self._recovered(each.create, f"; the service's list cannot be read: {error}") for each in recovered]
        found: list[RecoveredCreate] = []
        for each in recovered:
            candidates = (yield from self._candidates(each.create, listed)) if each.error is not None else ()
            found.append(self._recovered(each.create, why, candidates))
        return found

    def adopt(self, create_id: str, task_id: str) -> Actions[TaskProcedures[Any, Any]]:
        """Record that a create made this task, which is read first."""
        conversation = self.open_task(task_id)

        def perform(effect: Effect) -> Actions[Any]:
            if isinstance(effect, CreateEffect):
                return (yield from self._note(effect))
            return (yield from conversation.perform(effect))

        steps = self._holding(self._procedure.adopt(create_id, task_id))
        yield from drive(steps, perform, Pacer(self.timing))
        return conversation

    def abandon(self, create_id: str, reason: str) -> Actions[CreateRecord]:
        """Record that a create made no task."""
        return drive(self._holding(self._procedure.abandon(create_id, reason)), self._note, Pacer(self.timing))

    @property
    def _procedure(self) -> CreateProcedure:
        return CreateProcedure(lifecycle=self.lifecycle.name, id_of=lambda answer: str(self._id_of(answer)))

    def _id_of(self, answer: Accepted) -> str | None:
        return id_in(answer.document, self.binding.id_field)

    def _created(
        self, creating: Actions[CreateResult], made: Mapping[str, TaskProcedures[Any, Any]], fields: Mapping[str, Any]
    ) -> Actions[TaskProcedures[Any, Any]]:
        result = yield from creating
        conversation = made.get(result.task_id) or self.open_task(result.task_id)
        if result.response is not None:
            conversation.see_creation(result.response, fields)
        return conversation

    def _note(self, effect: Any) -> Actions[Any]:
        if self.creates.blocking or type(effect) in (RecordCreate, ClaimCreate):
            return (yield JournalCall(effect, self.creates))
        return apply_journal_effect(effect, self.creates)

    def _holding(self, steps: Steps[R]) -> Steps[R]:
        """Release the create if the procedure is broken off, so that any worker can recover it at once."""
        result: Any = None
        held: CreateRecord | None = None
        try:
            with closing(steps):
                while True:
                    try:
                        effect = steps.send(result)
                    except StopIteration as stop:
                        value: R = stop.value
                        return value
                    result = yield effect
                    held = _still_held(held, effect, result)
        finally:
            if held is not None:
                with suppress(Exception):  # a journal that is gone lets the lease lapse
                    self.creates.release(held.id, claim=held.claim)

    # --- what a create may have made ---

    def _recovered(
        self, record: CreateRecord, why: str = "", candidates: tuple[TaskSummary, ...] = ()
    ) -> RecoveredCreate:
        error: LifecycleError | None = None
        facts = {"lifecycle": self.lifecycle.name, "create_id": record.id}
        if record.hold is not None:
            error = CreateInFlight(**facts, hold=record.hold)
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

    def _listed(self) -> Actions[tuple[list[TaskSummary], str]]:
        """The tasks of the service's list, and why they are not all: a list may be long, or have no end."""
        pages, listed, number = Paginator(self.binding, self.lifecycle, {}), list[TaskSummary](), 0
        end_s = time.monotonic() + self.timing.retry_budget_s
        while not pages.is_done:
            if number == _MOST_PAGES or time.monotonic() >= end_s:
                return listed, f"; the service's list has no end within {number} pages: the task may be further on"
            listed += yield from pages.read(self.timing)
            number += 1
        return listed, ""

    def _candidates(self, record: CreateRecord, listed: list[TaskSummary]) -> Actions[tuple[TaskSummary, ...]]:
        alike = [each for each in listed if self._may_have_made(record, each)]
        excluded = yield from self._note(ExcludeTasks(record.id, tuple(each.id for each in alike)))
        return tuple(each for each in alike if each.id not in excluded)

    def _may_have_made(self, record: CreateRecord, listed: TaskSummary) -> bool:
        created_at = _moment(value_at(listed.document, self.binding.created_field))
        if created_at is not None and created_at < record.recorded_at - CLOCKS_DIFFER:
            return False
        asked, told = (value_at(each, self.binding.task_field) for each in (dict(record.fields), listed.document))
        return not (isinstance(asked, str) and isinstance(told, str)) or asked.strip() == told.strip()


def _still_held(held: CreateRecord | None, effect: Effect, result: Any) -> CreateRecord | None:
    """The create that a procedure holds after an effect, if it holds one."""
    match effect:
        case RecordCreate() | ClaimCreate():
            claimed: CreateRecord | None = result
            return claimed
        case ReleaseCreate():
            return None
        case RecordCreateOutcome():
            return held if result.is_open else None
        case _:
            return held


def _moment(text: Any) -> datetime | None:
    """The time that a document says, None if it says none that can be read."""
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
def _telling_of(task_id: str) -> Generator[None]:
    """Where the journal fails just after a create, the id must not be lost with it."""
    try:
        yield
    except LifecycleError as error:
        error.add_note(f"The task {task_id} was created.")
        raise
