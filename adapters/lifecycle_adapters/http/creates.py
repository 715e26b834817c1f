"""The procedures about the creates of an HTTP service: their effects become requests of the service's binding.

governed_creates.py composes the procedures from those of the core. This module decides which of the service's tasks an
uncertain create may have made.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from lifecycle.create import CreateProcedure
from lifecycle.effects import (
    Accepted,
    Create,
    ExcludeTasks,
    Lost,
    Response,
)
from lifecycle.errors import CreateUncertain, shortened
from lifecycle.journal import CreateRecord, RequestContext, name_fault
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.http_errors import HttpError, InvalidResponse
from lifecycle_adapters.http.paginator import Paginator
from lifecycle_adapters.http.requests import idempotency_key
from lifecycle_adapters.http.responses import value_at
from lifecycle_adapters.http.task_procedures import TaskProcedures
from lifecycle_adapters.procedures.arguments import with_a_key
from lifecycle_adapters.procedures.governed_creates import GovernedCreates, RecoveredCreate
from lifecycle_adapters.procedures.interpreter import Actions, in_journal
from lifecycle_adapters.procedures.task_summary import TaskSummary
from lifecycle_adapters.procedures.timing import Pacer

R = TypeVar("R")

_MOST_PAGES = 1000  # of a service's list; a recovery reads at most these, and stops when the retry budget is spent

CLOCKS_DIFFER = timedelta(minutes=1)
"""The most by which a service's clock may be late: a task that seems older than its create may still be its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProcedures(GovernedCreates[TaskProcedures[Any, Any]]):
    """The procedures about the creates of one lifecycle. `open_task` returns those about a task."""

    binding: HttpBinding[Any, Any]
    base_url: str

    def _checked(self, fields: Mapping[str, Any], context: RequestContext) -> RequestContext:
        self.binding.create_request(fields)
        return with_a_key(context) if self.binding.create.has_idempotency_key() else context

    def _send(self, effect: Create, pacer: Pacer) -> Actions[Response]:
        key = idempotency_key(self.lifecycle.name, effect.intent)
        request = self.binding.create_request(effect.fields, idempotency_key=key)
        response: Response = yield HttpCall(self.binding, self.binding.create, request, timeout_s=pacer.request_s())
        fault = self._id_fault(response) if isinstance(response, Accepted) else None
        if fault is not None:
            return Lost(InvalidResponse(fault, **request.names))
        return response

    @property
    def _core(self) -> CreateProcedure:
        return CreateProcedure(
            lifecycle=self.lifecycle.name,
            id_of=lambda response: str(self._id_of(response)),
            is_idempotent=self.binding.create.has_idempotency_key(),
        )

    def _with_candidates(self, records: list[CreateRecord]) -> Actions[list[RecoveredCreate]]:
        recovered = [self._recovered(each) for each in records]
        if self.binding.listing is None:
            return self._without_candidates(records)
        if not any(isinstance(each.error, CreateUncertain) for each in recovered):
            return recovered
        listed, why = yield from self._listed()
        found: list[RecoveredCreate] = []
        for each, outcome in zip(records, recovered, strict=True):
            candidates = (yield from self._candidates(each, listed)) if outcome.error is not None else ()
            found.append(self._recovered(each, why, candidates))
        return found

    def _id_of(self, response: Accepted) -> str | None:
        return self.binding.id_in(response.document)

    def _id_fault(self, response: Accepted) -> str | None:
        """Return the reason why the response to a create has no usable id; None if it has one."""
        task_id, found = self._id_of(response), value_at(response.document, self.binding.id_field)
        if task_id is not None:
            fault = name_fault("task id", task_id)
            return None if fault is None else f"{fault}: it is {shortened(task_id)}"
        header = self.binding.create.id_header
        where = f"no id at {self.binding.id_field!r}" + ("" if header is None else f", and none in its header {header}")
        return where if found is None else f"{where} that a request can carry, but {shortened(found)}"

    # --- what a create may have made ---

    def _listed(self) -> Actions[tuple[list[TaskSummary], str]]:
        """Return the tasks of the service's list, and the reason if they are not all: a list may be long or endless."""
        pages = Paginator(self.binding, self.lifecycle, {}, base_url=self.base_url)
        listed, number = list[TaskSummary](), 0
        end_s = time.monotonic() + self.timing.retry_budget_s
        while not pages.is_done:
            if number == _MOST_PAGES or time.monotonic() >= end_s:
                return listed, f"; the service's list has no end within {number} pages: the task may be further on"
            try:
                listed += yield from pages.read(self.timing).actions
            except HttpError as error:
                to_its_end = " to its end" if number else ""
                return listed, f"; the service's list cannot be read{to_its_end}: {error}"
            number += 1
        return listed, ""

    def _candidates(self, record: CreateRecord, listed: list[TaskSummary]) -> Actions[tuple[TaskSummary, ...]]:
        alike = [each for each in listed if self._may_have_made(record, each)]
        effect = ExcludeTasks(record.id, tuple(each.id for each in alike))
        excluded = yield from in_journal(effect, self.creates)
        return tuple(each for each in alike if each.id not in excluded)

    def _may_have_made(self, record: CreateRecord, listed: TaskSummary) -> bool:
        created = value_at(listed.document, self.binding.created_field)
        created_at = _moment(created)
        if created_at is not None and created_at < record.recorded_at - CLOCKS_DIFFER - _span(created):
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


def _span(text: str) -> timedelta:
    """Return how long after its first second a time may be that is written like this, such as a day for a date."""
    time = _TIME.search(text)
    if time is None:
        return timedelta(weeks=1) if _WEEK.fullmatch(text) else timedelta(days=1)
    return timedelta() if time["second"] else timedelta(minutes=1) if time["minute"] else timedelta(hours=1)


_TIME = re.compile(r"[^\dW-]\d\d(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d))?)?")
_WEEK = re.compile(r"\d{4}-?W\d\d")
