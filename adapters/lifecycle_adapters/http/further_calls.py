"""Procedures of the calls that have no part in a lifecycle: further calls, the events of a task, and its session.

They record nothing, because a journal holds only what leads from one state to another. A driver carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from lifecycle.effects import (
    Accepted,
    Effect,
    Lost,
    Missing,
    NotSent,
    ProcedureRun,
    Read,
    Steps,
    Throttled,
    Wait,
    WaitReason,
)
from lifecycle.errors import UnknownName
from lifecycle.following import Until, require_until
from lifecycle_adapters.http.binding import HttpBinding, SessionCalls
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.creates import CreateProcedures
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.http_errors import InvalidResponse, MessageNotRun
from lifecycle_adapters.http.misspelt_options import require_no_misspelt
from lifecycle_adapters.http.paginator import Paginator, QueryValue
from lifecycle_adapters.http.task_procedures import TaskProcedures
from lifecycle_adapters.procedures.governed_task import TaskResult
from lifecycle_adapters.procedures.interpreter import Actions, Procedure, Sleep, interpret, read
from lifecycle_adapters.procedures.timing import Pacer, Timing

_IDEMPOTENT = ("GET", "PUT", "DELETE")  # sent twice they have the effect of one (RFC 9110, 9.2.2)


def further_call(
    binding: HttpBinding[Any, Any], call: Call, about: str, fields: Mapping[str, Any], timing: Timing
) -> Procedure[Any]:
    """Send one call about a task or a session, and return the JSON of its response, {} if it has none.

    It is sent again as long as it is known to have done nothing, or if sending it twice equals sending it once.

    Raises at once TypeError and ValueError as `Call.request`, when driven HttpError.
    """
    request = call.request(binding.base_path, task_id=about, fields=fields)

    def perform(_: Effect, pacer: Pacer) -> Actions[Any]:
        return (yield from read(HttpCall(binding, call, request, timeout_s=pacer.request_s()), pacer))

    return Procedure(interpret(ProcedureRun(_carried_out(call.method), None), perform, Pacer(timing)))


def _carried_out(method: str) -> Steps[Any]:
    attempt, may_be_done = 0, False
    while True:
        response = yield Read()
        if isinstance(response, Accepted):
            return response.document
        if isinstance(response, Missing) and may_be_done and method == "DELETE":
            return {}
        may_be_done = may_be_done or isinstance(response, Lost)
        is_repeated = isinstance(response, Throttled | NotSent) or (may_be_done and method in _IDEMPOTENT)
        attempt += 1
        if not is_repeated or not (yield Wait(WaitReason.RETRY, attempt, response.retry_after_s)):
            raise response.error


def named_call(calls: Mapping[str, Call], name: str, where: str) -> Call:
    """Return a further call by its name. Raises UnknownName."""
    try:
        return calls[name]
    except (KeyError, TypeError):  # the latter of what is unhashable
        raise UnknownName("call", name, known=calls, where=where) from None


class Events:
    """What a task has done, to be read page by page until `is_done`; with `follow`, until the task is settled, too.

    Raises:
        TypeError: a value of the query is not a `QueryValue`, or a parameter is probably a misspelt `follow`.
        ValueError: the service has no list of events, or no request can carry the query; or `follow` is given for a
            list whose pages do not begin after an id.
    """

    def __init__(
        self, task: TaskProcedures[Any, Any], query: Mapping[str, QueryValue], *, base_url: str, follow: bool
    ) -> None:
        listing = task.binding.events
        if listing is None:
            raise ValueError(f"{task.binding.name} has no list of events: its binding declares no `events`")
        if follow and listing.pages != "last_ids":
            raise ValueError(f"{task.binding.name}: events can be followed only if their pages begin after an id")
        require_no_misspelt(query, "follow", "events", declared=listing.call.optional_fields)
        self._pages = Paginator(
            task.binding, task.lifecycle, query, base_url=base_url, events=listing, task_id=task.task_id
        )
        self._task = task
        self._follow = follow
        self._was_settled = not follow
        self._begins = follow
        self.is_done = False

    def read(self) -> Procedure[list[Mapping[str, Any]]]:
        """Read the next page, and return its events, without those whose ids were on an earlier page."""
        return Procedure(self._read())

    def _read(self) -> Actions[list[Mapping[str, Any]]]:
        if self._pages.is_done:
            yield Sleep(self._task.timing.poll_s)
            self._pages.go_on()
            self._begins = True
        if self._begins:  # before the pages are read: what it does until it is settled is on them
            state = yield from self._task.status().actions
            self._was_settled, self._begins = self._task.lifecycle.is_settled(state), False
        listed = yield from self._pages.read_events(self._task.timing).actions
        self.is_done = self._pages.is_done and self._was_settled
        return listed


@dataclass(eq=False, kw_only=True)
class SessionProcedures:
    """The procedures about one session without a lifecycle. Raises ValueError if no request can carry its id.

    `open_task` returns the procedures about one of its tasks, `open_messages` those that create messages in it.
    """

    binding: HttpBinding[Any, Any]
    session_calls: SessionCalls
    timing: Timing
    session_id: str
    open_task: Callable[[str], TaskProcedures[Any, Any]]
    open_messages: Callable[[HttpBinding[Any, Any]], CreateProcedures]
    _queued: dict[str, TaskProcedures[Any, Any]] = field(default_factory=dict[str, Any], init=False)
    _listed: dict[str, TaskProcedures[Any, Any]] = field(default_factory=dict[str, Any], init=False)  # by others
    _open: WeakValueDictionary[str, TaskProcedures[Any, Any]] = field(
        default_factory=WeakValueDictionary[str, Any], init=False
    )
    _messages: CreateProcedures | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.session_calls.details.request(self.binding.base_path, task_id=self.session_id)

    def call(self, name: str, fields: Mapping[str, Any]) -> Procedure[Any]:
        """Send a further call. Raises UnknownName and TypeError at once."""
        found = named_call(self.session_calls.further_calls, name, f"{self.binding.name} session")
        return further_call(self.binding, found, self.session_id, fields, self.timing)

    def details(self) -> Procedure[Any]:
        """Read what the service reports of the session."""
        return further_call(self.binding, self.session_calls.details, self.session_id, {}, self.timing)

    def latest(self) -> Procedure[TaskProcedures[Any, Any]]:
        """Read which task is the session's latest."""
        return Procedure(self._latest())

    def messages(self) -> CreateProcedures:
        """Return the procedures that create messages in this session. Raises TypeError if it has no queue."""
        if self._messages is None:
            if self.session_calls.messages is None:
                raise TypeError(f"{self.binding.name}: its sessions have no queue")
            declared = self.session_calls.messages
            self._messages = self.open_messages(declared.with_parameters({declared.parameters[0]: self.session_id}))
        return self._messages

    def message(self, message_id: str) -> TaskProcedures[Any, Any]:
        """Return the procedures about a message."""
        return self._shared(self.messages().open_task(message_id))

    def _shared(self, message: TaskProcedures[Any, Any]) -> TaskProcedures[Any, Any]:
        """Return the procedures of all handles on a message, which know what was sent by any of them."""
        return self._open.setdefault(message.task_id, message)

    def queue(self, creating: Procedure[TaskProcedures[Any, Any]]) -> Procedure[TaskProcedures[Any, Any]]:
        """Create a message, and remember it for `wait`."""

        def remembered() -> Actions[TaskProcedures[Any, Any]]:
            message = yield from creating.actions
            return self._queued.setdefault(message.task_id, self._shared(message))

        return Procedure(remembered(), creating.context)

    def waiting(self) -> Paginator:
        """Return the pages of the messages that wait."""
        messages = self.messages()
        return Paginator(messages.binding, messages.lifecycle, {}, base_url=messages.base_url)

    def wait(self, until: Until, timeout_s: float | None) -> Procedure[TaskResult[Any]]:
        """Follow the messages that wait, then the latest task, until there is no later one.

        Raises ValueError at once unless `until` is "settled" or "final".
        """
        require_until(until)
        return Procedure(self._wait(until, Pacer(self.timing, deadline_s=timeout_s)))

    def _latest(self) -> Actions[TaskProcedures[Any, Any]]:
        document = yield from self.details().actions
        task_id = self.binding.id_in(document, self.session_calls.latest_field)
        if task_id is None:
            request = self.session_calls.details.request(self.binding.base_path, task_id=self.session_id)
            what = f"the session names no task at {self.session_calls.latest_field!r}"
            raise InvalidResponse(what, **request.names)
        return self.open_task(task_id)

    def _wait(self, until: Until, pacer: Pacer) -> Actions[TaskResult[Any]]:
        result: TaskResult[Any] | None = None
        followed = ""
        while True:
            yield from self._follow_messages(pacer)
            latest = yield from self._latest()
            if result is not None and latest.task_id == followed:
                return result
            waiting = latest.wait(until, pacer.left_s(), stop_at_unknown=True)
            result, followed = (yield from waiting.actions), latest.task_id

    def _follow_messages(self, pacer: Pacer) -> Actions[None]:
        if self.session_calls.messages is None:
            return
        pages = self.waiting() if self.messages().binding.listing is not None else None
        while pages is not None and not pages.is_done:
            for each in (yield from pages.read(self.timing).actions):
                self._listed.setdefault(each.id, self.message(each.id))
        for message_id, message in [*{**self._listed, **self._queued}.items()]:
            ended = yield from message.wait("final", pacer.left_s(), stop_at_unknown=True).actions
            self._listed.pop(message_id, None)
            is_own = self._queued.pop(message_id, None) is not None
            if is_own and ended.state != self.session_calls.task_state and not message.has_sent_to(ended.state):
                raise MessageNotRun(lifecycle=message.lifecycle.name, message=message_id, state=str(ended.state))
