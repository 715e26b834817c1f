"""The handles on the tasks and sessions of an HTTP service.

They add to those of governed_handles.py what only a binding declares: further calls, events, sessions.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, overload

from typing_extensions import TypeVar

from lifecycle.catalog import (
    V2Event,
    V2SessionEvent,
    V2SessionState,
    V2State,
    V4Event,
    V4MessageEvent,
    V4MessageState,
    V4State,
)
from lifecycle.errors import not_made
from lifecycle.following import Until
from lifecycle.journal import RequestContext
from lifecycle.process_bound import ProcessBound
from lifecycle_adapters.argument_checks import TaskId, id_text, require, require_boolean
from lifecycle_adapters.http.driver import AsyncDriver, Driver
from lifecycle_adapters.http.further_calls import Events, SessionProcedures, further_call, named_call
from lifecycle_adapters.http.misspelt_options import require_no_misspelt
from lifecycle_adapters.http.paginator import Paginator, QueryValue
from lifecycle_adapters.http.task_procedures import TaskProcedures
from lifecycle_adapters.procedures.arguments import (
    request_context,
    seconds,
)
from lifecycle_adapters.procedures.governed_handles import AsyncTaskHandle, TaskHandle
from lifecycle_adapters.procedures.governed_task import TaskResult
from lifecycle_adapters.procedures.interpreter import Procedure
from lifecycle_adapters.procedures.task_summary import TaskSummary
from lifecycle_adapters.procedures.twins import twin_of

# With defaults, so that a plain `Task` in an annotation is a task of any service.
S = TypeVar("S", bound=str, default=Any)
E = TypeVar("E", bound=str, default=Any)


def _further(of: TaskProcedures[Any, Any], name: str, fields: Mapping[str, Any]) -> Procedure[Any]:
    call = named_call(of.binding.further_calls, name, of.binding.name)
    return further_call(of.binding, call, of.task_id, fields, of.timing)


class Task(TaskHandle[S, E]):
    """A handle on one remote task, which a `Client` returns. Threads can share it."""

    def __init__(self, driver: Driver, procedures: TaskProcedures[S, E]) -> None:
        super().__init__(driver, procedures)
        self._http = driver
        self._bound = procedures

    def call(self, name: str, /, **fields: Any) -> Any:
        """Send a call that has no part in the lifecycle, such as "delete", and return the JSON of its response.

        Nothing is recorded. It is sent again if it is known to have done nothing, and a GET, PUT or DELETE also if its
        response was lost; a 404 after a lost response to a DELETE is its success.

        Args:
            name: one of the binding's `further_calls`.
            fields: fields of its body.
        Raises:
            UnknownName: the binding has no such call.
            TypeError: the fields are not JSON, or one is missing, or the call takes none.
            HttpError: the service refused it, or its response was lost.
        """
        return self._http.run(_further(self._bound, name, fields))

    def events(self, *, follow: bool = False, **query: QueryValue) -> Iterator[Mapping[str, Any]]:
        """Yield what the task has done, as the service reports it, oldest first: v4's run events, v3's messages.

        They are not the events of its lifecycle. If the binding says where they have their ids (`id_field` of its
        `events`), an event that is on two pages is left out the second time.

        Args:
            follow: continue until the task is settled, and yield what is reported until then.
            query: parameters of the list, such as the id after which to begin.
        Raises:
            TypeError: at once: a parameter is not a text, integer, boolean or UUID, or is probably a misspelt `follow`.
            ValueError: at once: the service has no list of events, or none that can be followed, or no request can
                carry the query.
            HttpError: a page, or with `follow` the status, cannot be read, or the list is incomplete, as for
                `Client.list`.
            UnknownStatus: with `follow`, the service reports a status that the lifecycle does not know.
        """
        require(follow, bool, "follow must be True or False")
        return self._events(Events(self._bound, query, base_url=self._http.base_url, follow=follow))

    def _events(self, events: Events) -> Iterator[Mapping[str, Any]]:
        while not events.is_done:
            yield from self._http.run(events.read())

    @overload
    def session(self: Task[V2State, V2Event]) -> Task[V2SessionState, V2SessionEvent]: ...

    @overload
    def session(self: Task[V4State, V4Event]) -> Session: ...

    @overload
    def session(self) -> Any: ...

    def session(self) -> Any:
        """Return a handle on the session that the task runs in (v2, v4).

        The details of the task are read if no response has named the session yet. The handle is a Task if sessions have
        a lifecycle of their own, as v2's, otherwise a Session.

        Raises:
            TypeError: tasks of the service run in no session.
            HttpError: the details cannot be read, or name none.
        """
        return session_handle(self._http, self._http.run(self._bound.session()))


class AsyncTask(AsyncTaskHandle[S, E]):
    """A handle on one remote task, which an `AsyncClient` returns.

    Every method that may wait for the service or a disk is to be awaited. `send` and the commands' methods raise
    UnknownName, TypeError and ValueError at once, and their other errors when they are awaited.

    The task's part of the journal, whose methods may block, is `client.journal.task(task.lifecycle, task.id)`.
    """

    def __init__(self, driver: AsyncDriver, procedures: TaskProcedures[S, E]) -> None:
        super().__init__(driver, procedures)
        self._http = driver
        self._bound = procedures

    @twin_of(Task.call)
    async def call(self, name: str, /, **fields: Any) -> Any:
        """Send a call that has no part in the lifecycle, such as "delete", and return the JSON of its response."""
        return await self._http.run(_further(self._bound, name, fields))

    @twin_of(Task.events)
    def events(self, *, follow: bool = False, **query: QueryValue) -> AsyncGenerator[Mapping[str, Any]]:
        """Yield what the task has done, as the service reports it, oldest first: v4's run events, v3's messages."""
        require(follow, bool, "follow must be True or False")
        return self._events(Events(self._bound, query, base_url=self._http.base_url, follow=follow))

    async def _events(self, events: Events) -> AsyncGenerator[Mapping[str, Any]]:
        while not events.is_done:
            for event in await self._http.run(events.read()):
                yield event

    @overload
    async def session(self: AsyncTask[V2State, V2Event]) -> AsyncTask[V2SessionState, V2SessionEvent]: ...

    @overload
    async def session(self: AsyncTask[V4State, V4Event]) -> AsyncSession: ...

    @overload
    async def session(self) -> Any: ...

    @twin_of(Task.session)
    async def session(self) -> Any:
        """Return a handle on the session that the task runs in (v2, v4)."""
        return async_session_handle(self._http, await self._http.run(self._bound.session()))


# --- sessions without a lifecycle ---------------------------------------------------------------


class _SessionHandle(ProcessBound):
    """The part of both kinds of session handle that needs no I/O."""

    _instead = "pass its `id`, and open a handle there by `client.session(id)`"

    def __init__(self, procedures: SessionProcedures) -> None:
        self._procedures = procedures

    @property
    def id(self) -> str:
        """The session's id."""
        return self._procedures.session_id

    def __repr__(self) -> str:
        if "_procedures" not in vars(self):
            return not_made(self)
        return f"<{type(self).__name__} {self._procedures.binding.name} {self.id!r}>"

    def _queueing(
        self,
        text: str,
        interrupt: bool | None,
        labels: Mapping[str, str] | None,
        context: RequestContext,
        fields: Mapping[str, Any],
    ) -> Procedure[TaskProcedures[Any, Any]]:
        require(text, str, "the argument text, the message, must be text")
        messages = self._procedures.messages()
        create = messages.binding.create
        require_no_misspelt(fields, "interrupt", "queue", declared=(*create.required_fields, *create.optional_fields))
        if interrupt is not None:
            require_boolean(interrupt, "interrupt")
            fields = {**fields, "interrupt": interrupt}
        body = messages.binding.create_fields(text, fields)
        return self._procedures.queue(messages.create(body, labels={} if labels is None else labels, context=context))


class Session(_SessionHandle):
    """A handle on a session that has no lifecycle of its own, such as v4's; made by `Client` and `Task`.

    A session is one task after another: its status is its latest task's. Safe to share between threads.
    """

    def __init__(self, driver: Driver, procedures: SessionProcedures) -> None:
        super().__init__(procedures)
        self._driver = driver

    def details(self) -> dict[str, Any]:
        """Return what the service reports of the session. Raises HttpError."""
        return self._driver.run(self._procedures.details())

    def latest(self) -> Task[Any, Any]:
        """Read the session, and return a handle on its latest task. Raises HttpError."""
        return Task(self._driver, self._driver.run(self._procedures.latest()))

    def queue(
        self,
        text: str,
        *,
        interrupt: bool | None = None,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> Task[V4MessageState, V4MessageEvent]:
        """Queue a message that becomes the session's next task, and return a handle on the message.

        It is a create, which leaves its record in the journal, under the messages' lifecycle and this session's id. The
        client's `recover` reports it if it is uncertain.

        Args:
            text: what to do.
            interrupt: whether the message cancels the session's active task, as v4 offers; it is sent as a field of the
                request, unless it is None.
            idempotency_key: given again, it returns the message that was created first, with no request.
            labels: texts by their names; they are recorded in the journal, and never sent.
            reason: why it is queued; it is recorded in the journal.
            origin: who or what queues it; it is recorded in the journal.
            fields: further fields of the request.
        Raises:
            TypeError: the session has no queue, or an argument is not what it must be; nothing was sent.
            CreateUncertain: the response was lost, in this call or in an earlier one with the key; a message may exist.
            CreateInFlight: another worker is queueing the message under this key.
            CreateKeyReused: a message with other fields has this key; nothing was sent.
            CreateContradicted: the service made `.task_id`, but before the response arrived the create was abandoned,
                or another message was recorded for it.
            ValueError: a field has a value that no request can carry; nothing was sent.
            OtherServer: the journal has the tasks of this lifecycle at another server than the client's.
            AdapterError: the journal cannot be read or written.
            HttpError: the service refused, or was never reached; no message was queued.
            ClientUnusable: the client is closed, or its httpx2 client belongs to another process; nothing was recorded.
        """
        context = request_context(idempotency_key, origin, reason)
        return Task(self._driver, self._driver.run(self._queueing(text, interrupt, labels, context, fields)))

    def message(self, message_id: TaskId) -> Task[V4MessageState, V4MessageEvent]:
        """Return a handle on a message of the session's queue; nothing is sent.

        Raises TypeError if the session has no queue, or the id is not text, an integer or a UUID.
        """
        return Task(self._driver, self._procedures.message(id_text(message_id)))

    def messages(self) -> Iterator[TaskSummary]:
        """Yield the messages that wait, as the service lists them.

        Raises:
            TypeError: at once: the session has no queue.
            ValueError: at once: the service has no list of them.
            HttpError: the list cannot be read.
        """
        return self._listed(self._procedures.waiting())

    def _listed(self, pages: Paginator) -> Iterator[TaskSummary]:
        while not pages.is_done:
            yield from self._driver.run(pages.read(self._procedures.timing))

    def wait(self, until: Until = "settled", *, timeout_s: float | None = None) -> TaskResult[Any]:
        """Poll until no message waits and the latest task is settled or final, and return that task's result.

        A message of this handle is followed until it is a task. One of another program that is claimed just before
        may be missed. After an error a second call continues with what is left.

        Args:
            until: "settled" or "final", as for `Task.wait`.
            timeout_s: seconds to wait; None for as long as it takes.
        Raises:
            MessageNotRun: a message of this handle became no task: it failed, or another caller cancelled it or
                put another one in its place.
            WaitTimedOut: the time is up; `.why` is the error of the last read, if that failed.
            UnknownStatus: the service reports a status that the lifecycle of the task or the message does not know.
            HttpError: a status, the session or its list of messages cannot be read.
            TypeError, ValueError: `timeout_s` is not a number of seconds, or is negative; or `until` has another value.
                Nothing was sent.
        """
        return self._driver.run(self._procedures.wait(until, seconds(timeout_s, "timeout_s")))

    def call(self, name: str, /, **fields: Any) -> Any:
        """Send a further call about the session, such as "delete", and return the JSON of its response.

        It is sent again if it is known to have done nothing, and a GET, PUT or DELETE also if its response was lost; a
        404 after a lost response to a DELETE is its success.

        Args:
            name: one of the `further_calls` about a session.
            fields: fields of its body.
        Raises:
            UnknownName: the binding has no such call.
            TypeError: the fields are not JSON, or one is missing, or the call takes none.
            HttpError: the service refused it, or its response was lost.
        """
        return self._driver.run(self._procedures.call(name, fields))


class AsyncSession(_SessionHandle):
    """A handle on a session that has no lifecycle of its own, for asyncio; made by `AsyncClient` and `AsyncTask`."""

    def __init__(self, driver: AsyncDriver, procedures: SessionProcedures) -> None:
        super().__init__(procedures)
        self._driver = driver

    @twin_of(Session.details)
    async def details(self) -> dict[str, Any]:
        """Return what the service reports of the session. Raises HttpError."""
        return await self._driver.run(self._procedures.details())

    @twin_of(Session.latest)
    async def latest(self) -> AsyncTask[Any, Any]:
        """Read the session, and return a handle on its latest task. Raises HttpError."""
        return AsyncTask(self._driver, await self._driver.run(self._procedures.latest()))

    @twin_of(Session.queue)
    async def queue(
        self,
        text: str,
        *,
        interrupt: bool | None = None,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> AsyncTask[V4MessageState, V4MessageEvent]:
        """Queue a message that becomes the session's next task, and return a handle on the message."""
        context = request_context(idempotency_key, origin, reason)
        return AsyncTask(self._driver, await self._driver.run(self._queueing(text, interrupt, labels, context, fields)))

    @twin_of(Session.message)
    def message(self, message_id: TaskId) -> AsyncTask[V4MessageState, V4MessageEvent]:
        """Return a handle on a message of the session's queue; nothing is sent."""
        return AsyncTask(self._driver, self._procedures.message(id_text(message_id)))

    @twin_of(Session.messages)
    def messages(self) -> AsyncGenerator[TaskSummary]:
        """Yield the messages that wait, as the service lists them."""
        return self._listed(self._procedures.waiting())

    async def _listed(self, pages: Paginator) -> AsyncGenerator[TaskSummary]:
        while not pages.is_done:
            for listed in await self._driver.run(pages.read(self._procedures.timing)):
                yield listed

    @twin_of(Session.wait)
    async def wait(self, until: Until = "settled", *, timeout_s: float | None = None) -> TaskResult[Any]:
        """Poll until no message waits and the latest task is settled or final, and return that task's result."""
        return await self._driver.run(self._procedures.wait(until, seconds(timeout_s, "timeout_s")))

    @twin_of(Session.call)
    async def call(self, name: str, /, **fields: Any) -> Any:
        """Send a further call about the session, such as "delete", and return the JSON of its response."""
        return await self._driver.run(self._procedures.call(name, fields))


def session_handle(driver: Driver, procedures: TaskProcedures[Any, Any] | SessionProcedures) -> Any:
    """Return a handle on a session: a Task if it has a lifecycle of its own, otherwise a Session."""
    return Session(driver, procedures) if isinstance(procedures, SessionProcedures) else Task(driver, procedures)


def async_session_handle(driver: AsyncDriver, procedures: TaskProcedures[Any, Any] | SessionProcedures) -> Any:
    """Return a handle on a session: an AsyncTask if it has a lifecycle of its own, otherwise an AsyncSession."""
    if isinstance(procedures, SessionProcedures):
        return AsyncSession(driver, procedures)
    return AsyncTask(driver, procedures)
