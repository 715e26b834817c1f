"""The handles on tasks, with which users send commands, read and wait.

This module has the names and signatures; task_procedures.py has the procedures, driver.py carries them out.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterator, Mapping
from typing import Any, Generic, overload

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
from lifecycle.command import CommandResult
from lifecycle.errors import not_made
from lifecycle.following import Until
from lifecycle.journal import CommandRecord, TaskJournal
from lifecycle.lifecycle import Lifecycle
from lifecycle.process_bound import ProcessBound
from lifecycle_adapters.argument_checks import TaskId, id_text, require, require_callback
from lifecycle_adapters.http.arguments import (
    OnUnknown,
    longest_wait_s,
    raises_on_unknown,
    request_context,
    seconds,
    worker_names,
)
from lifecycle_adapters.http.command_methods import CommandMethods
from lifecycle_adapters.http.driver import AsyncDriver, Driver
from lifecycle_adapters.http.further_calls import Events, SessionProcedures, further_call, named_call
from lifecycle_adapters.http.interpreter import Procedure
from lifecycle_adapters.http.paginator import Paginator, QueryValue, TaskSummary
from lifecycle_adapters.http.running import OnProgress
from lifecycle_adapters.http.task_procedures import TaskProcedures, TaskResult
from lifecycle_adapters.http.twins import twin_of

# With defaults, so that a plain `Task` in an annotation is a task of any service.
S = TypeVar("S", bound=str, default=Any)
E = TypeVar("E", bound=str, default=Any)


class _Handle(ProcessBound, Generic[S, E]):
    """The part of both kinds of handle that needs no I/O."""

    _instead = "pass its `id`, and open a handle there by `client.task(id)`"

    def __init__(self, procedures: TaskProcedures[S, E]) -> None:
        self._procedures = procedures

    @property
    def id(self) -> str:
        """The task's id."""
        return self._procedures.task_id

    @property
    def lifecycle(self) -> Lifecycle[S, E]:
        """The lifecycle that governs the task."""
        return self._procedures.lifecycle

    def __repr__(self) -> str:
        if "_procedures" not in vars(self):
            return not_made(self)
        return f"<{type(self).__name__} {self.lifecycle.name} {self.id!r}>"

    def _further(self, name: str, fields: Mapping[str, Any]) -> Procedure[Any]:
        of = self._procedures
        call = named_call(of.binding.further_calls, name, of.binding.name)
        return further_call(of.binding, call, of.task_id, fields, of.timing)


class Task(_Handle[S, E], CommandMethods[E, CommandResult[S, E]]):
    """A handle on one remote task, which a `Client` returns. Threads can share it."""

    def __init__(self, driver: Driver, procedures: TaskProcedures[S, E]) -> None:
        super().__init__(procedures)
        self._driver = driver

    @property
    def journal(self) -> TaskJournal[S, E]:
        """The task's part of the journal."""
        return self._procedures.journal

    def known_state(self) -> S | None:
        """Return the last known state from the journal; None if no status was reported yet. Nothing is sent.

        If the last report contradicts a final state, that report's state is returned.

        Raises:
            AdapterError: the journal cannot be read.
        """
        return self._procedures.journal.load().current

    def send(
        self,
        command: E,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> CommandResult[S, E]:
        """Send a command, and return once it is proved to have taken effect or need not be sent.

        Args:
            command: the command: a member of the service's events, or its name.
            idempotency_key: a command of this task with this key is sent at most once, also across processes and
                restarts if the journal is durable. Given again, the key returns the first outcome.
            reason: why it is sent; it is recorded in the journal.
            origin: who or what sends it; it is recorded in the journal.
            wait_for_in_flight_s: seconds to wait for a command of this task that another worker has not settled yet.
            fields: further fields for the body of its request, such as `task` of a dispatch.
        Raises:
            IllegalTransition: the state refuses it; no command was sent.
            UnknownName: the lifecycle declares no such command; nothing was sent.
            TypeError, ValueError: an argument has a wrong type or value, a required field is missing, or the command
                takes no fields; nothing was sent.
            UnknownStatus: the service reports a status that the lifecycle does not know; no command was sent. (A stop
                that every state accepts needs no status.)
            CommandInFlight: another command has no outcome yet; no command was sent. `.claimed_by` names the worker
                that has claimed it, `.until` is when its claim ends.
            CommandRefused: the service refused it, or the task's state does for good.
            CommandUncertain: its outcome is unknown; `recover` settles it once the service responds.
            TaskEndedFirst: the task is over; `.took_effect` is False if the command did not take effect before,
                and None if that cannot be known.
            CommandAbandoned: the command that was given under this key was abandoned.
            KeyReused: the key was given to another command.
            AdapterError: the journal cannot be written; `recover` settles what was sent.
            HttpError: the service responded 401, 403, or 404 (the task does not exist), or 429 until the time for
                retries was up; or the service was never reached.
            ClientUnusable: the client is closed, or its httpx2 client belongs to another process; nothing was recorded.
        """
        context = request_context(idempotency_key, origin, reason)
        in_flight_s = seconds(wait_for_in_flight_s, "wait_for_in_flight_s") or 0.0
        return self._driver.run(self._procedures.command(command, fields, context, in_flight_s=in_flight_s))

    def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> CommandResult[S, E] | None:
        """Settle the command that an uncertainty left open; return None if there is none.

        Args:
            wait: wait for another worker that has claimed it, until that settles it or its claim ends.
            dead: names of workers that are known to be dead: the commands that they have claimed are settled at once.
        Raises:
            CommandInFlight: another worker has claimed it, and `wait` is False.
            TypeError: `dead` is not a collection of texts.
            IllegalTransition, UnknownStatus, CommandRefused, CommandUncertain, TaskEndedFirst, CommandAbandoned,
                AdapterError, HttpError, ClientUnusable: under the same conditions as for `send`.
        """
        return self._driver.run(self._procedures.recover(dead=worker_names(dead), in_flight_s=longest_wait_s(wait)))

    def abandon_command(self, *, reason: str = "") -> CommandRecord[S, E] | None:
        """Record the command that was left open as abandoned, and return its record; None if there is none.

        Nothing is sent or read, and whether the command took effect stays unknown. `recover` no longer resumes it, and
        the task's next command is sent as usual. If its request is still in transit, it may take effect even later.
        Call `recover` first, which returns the outcome if the service shows one.

        Args:
            reason: why it is abandoned; it is recorded in the journal.
        Raises:
            CommandInFlight: a living worker has claimed it; nothing was recorded.
            TypeError: the reason is not text.
            AdapterError: the journal cannot be written.
        """
        require(reason, str, "reason must be text")
        return self._driver.run(self._procedures.abandon(reason))

    def status(self) -> S:
        """Read the status once, record it, and return the known state.

        If the status contradicts the known state, the known state is returned. If that state is final, the reported one
        is returned, also by `known_state` and `allowed`; the journal keeps the final state, and the report as a doubt,
        until a read confirms one of them.

        Raises:
            UnknownStatus: the lifecycle does not know the status.
            HttpError: the status cannot be read.
            AdapterError: the journal cannot be read or written.
        """
        return self._driver.run(self._procedures.status())

    def allowed(self) -> tuple[E, ...]:
        """Return the commands that the known state accepts, in declared order; read first if no state is known.

        Raises:
            UnknownStatus, HttpError, AdapterError: under the same conditions as for `status`.
        """
        return self._driver.run(self._procedures.allowed())

    def details(self) -> dict[str, Any]:
        """Read and return the task's details, the whole document of the service.

        Raises HttpError if they cannot be read.
        """
        return self._driver.run(self._procedures.details())

    def call(self, name: str, /, **fields: Any) -> Any:
        """Send a call that has no part in the lifecycle, such as "delete", and return the JSON of its response.

        Nothing is recorded. It is sent again if it is known to have done nothing, and a GET, PUT or DELETE also if its
        response was lost; a 404 after a lost response to a DELETE is its success.

        Args:
            name: one of the binding's `further_calls`.
            fields: fields of its body.
        Raises:
            UnknownName: the binding has no such call.
            TypeError: the fields are no JSON, or one is missing, or the call takes none.
            HttpError: the service refused it, or its response was lost.
        """
        return self._driver.run(self._further(name, fields))

    def events(self, *, follow: bool = False, **query: QueryValue) -> Iterator[Mapping[str, Any]]:
        """Yield what the task has done, as the service reports it, oldest first: v4's run events, v3's messages.

        They are not the events of its lifecycle.

        Args:
            follow: go on until the task is settled, and yield what is reported until then.
            query: parameters of the list, such as the id behind which to begin.
        Raises:
            TypeError: at once: a parameter is no text, integer, boolean or UUID.
            ValueError: at once: the service has no list of events, or none that can be followed, or no request can
                carry the query.
            HttpError: a page, or with `follow` the status, cannot be read.
            UnknownStatus: with `follow`, the service reports a status that the lifecycle does not know.
        """
        require(follow, bool, "follow must be True or False")
        return self._events(Events(self._procedures, query, base_url=self._driver.base_url, follow=follow))

    def _events(self, events: Events) -> Iterator[Mapping[str, Any]]:
        while not events.is_done:
            yield from self._driver.run(events.read())

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
        return session_handle(self._driver, self._driver.run(self._procedures.session()))

    def wait(
        self,
        until: Until = "settled",
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> TaskResult[S]:
        """Poll until the task is settled (no work is being done) or final (it is over).

        Args:
            until: "settled" or "final". A reopenable state ends either wait.
            timeout_s: seconds to wait, including requests; a last one may take half a second more. None: no limit.
                `on_progress` is not interrupted.
            on_progress: called after every poll; an AsyncTask awaits its result if it is awaitable.
            on_unknown: "raise" UnknownStatus at a status that the lifecycle does not know, or "continue" to poll.
        Raises:
            WaitTimedOut: the time is up; `.why` is the error of the last read, if that failed.
            DetailsTimedOut (a WaitTimedOut): the time is up before the details of a task that has settled, in
                `.state`, were read.
            UnknownStatus: the service reports a status that the lifecycle does not know.
            HttpError: the status cannot be read; NotFound only if the service does not find the task twice in a row, or
                its state was not known before.
            TypeError, ValueError: `timeout_s` is not a number of seconds, or is negative; or `on_progress` cannot be
                called, or is a coroutine function given to a Task; or `until` or `on_unknown` has another value.
                Nothing was sent.
        """
        require_callback(on_progress, "on_progress", "the progress of a wait")
        if inspect.iscoroutinefunction(on_progress):
            raise TypeError(
                "on_progress of a Task is called, and not awaited: give a function, or wait with an AsyncTask"
            )
        waiting = self._procedures.wait(
            until, seconds(timeout_s, "timeout_s"), stop_at_unknown=raises_on_unknown(on_unknown)
        )
        return self._driver.run(waiting, on_progress)


class AsyncTask(_Handle[S, E], CommandMethods[E, Coroutine[Any, Any, CommandResult[S, E]]]):
    """A handle on one remote task, which an `AsyncClient` returns.

    Every method that may wait for the service or a disk is to be awaited. `send` and the commands' methods raise
    UnknownName, TypeError and ValueError at once, and their other errors when they are awaited.

    The task's part of the journal, whose methods may block, is `client.journal.task(task.lifecycle, task.id)`.
    """

    def __init__(self, driver: AsyncDriver, procedures: TaskProcedures[S, E]) -> None:
        super().__init__(procedures)
        self._driver = driver

    async def known_state(self) -> S | None:
        """Return the last known state from the journal; None if no status was reported yet. Nothing is sent.

        If the last report contradicts a final state, that report's state is returned.

        Raises:
            AdapterError: the journal cannot be read.
        """
        journal = self._procedures.journal
        return (await asyncio.to_thread(journal.load) if journal.blocking else journal.load()).current

    @twin_of(Task.send)
    def send(
        self,
        command: E,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> Coroutine[Any, Any, CommandResult[S, E]]:
        """Send a command, and return once it is proved to have taken effect or need not be sent."""
        context = request_context(idempotency_key, origin, reason)
        in_flight_s = seconds(wait_for_in_flight_s, "wait_for_in_flight_s") or 0.0
        return self._driver.run(self._procedures.command(command, fields, context, in_flight_s=in_flight_s))

    @twin_of(Task.recover)
    async def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> CommandResult[S, E] | None:
        """Settle the command that an uncertainty left open; return None if there is none."""
        return await self._driver.run(
            self._procedures.recover(dead=worker_names(dead), in_flight_s=longest_wait_s(wait))
        )

    @twin_of(Task.abandon_command)
    async def abandon_command(self, *, reason: str = "") -> CommandRecord[S, E] | None:
        """Record the command that was left open as abandoned, and return its record; None if there is none."""
        require(reason, str, "reason must be text")
        return await self._driver.run(self._procedures.abandon(reason))

    @twin_of(Task.status)
    async def status(self) -> S:
        """Read the status once, record it, and return the known state."""
        return await self._driver.run(self._procedures.status())

    @twin_of(Task.allowed)
    async def allowed(self) -> tuple[E, ...]:
        """Return the commands that the known state accepts, in declared order; read first if no state is known."""
        return await self._driver.run(self._procedures.allowed())

    @twin_of(Task.details)
    async def details(self) -> dict[str, Any]:
        """Read and return the task's details, the whole document of the service."""
        return await self._driver.run(self._procedures.details())

    @twin_of(Task.call)
    async def call(self, name: str, /, **fields: Any) -> Any:
        """Send a call that has no part in the lifecycle, such as "delete", and return the JSON of its response."""
        return await self._driver.run(self._further(name, fields))

    @twin_of(Task.events)
    def events(self, *, follow: bool = False, **query: QueryValue) -> AsyncGenerator[Mapping[str, Any]]:
        """Yield what the task has done, as the service reports it, oldest first: v4's run events, v3's messages."""
        require(follow, bool, "follow must be True or False")
        return self._events(Events(self._procedures, query, base_url=self._driver.base_url, follow=follow))

    async def _events(self, events: Events) -> AsyncGenerator[Mapping[str, Any]]:
        while not events.is_done:
            for event in await self._driver.run(events.read()):
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
        return async_session_handle(self._driver, await self._driver.run(self._procedures.session()))

    @twin_of(Task.wait)
    async def wait(
        self,
        until: Until = "settled",
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> TaskResult[S]:
        """Poll until the task is settled (no work is being done) or final (it is over)."""
        require_callback(on_progress, "on_progress", "the progress of a wait")
        waiting = self._procedures.wait(
            until, seconds(timeout_s, "timeout_s"), stop_at_unknown=raises_on_unknown(on_unknown)
        )
        return await self._driver.run(waiting, on_progress)


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
        self, text: str | None, idempotency_key: str | None, reason: str, fields: Mapping[str, Any]
    ) -> Procedure[TaskProcedures[Any, Any]]:
        messages = self._procedures.messages()
        body = messages.binding.create_fields(text, fields)
        context = request_context(idempotency_key, "caller", reason)
        return self._procedures.queue(messages.create(body, labels={}, context=context))


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
        self, text: str, *, idempotency_key: str | None = None, reason: str = "", **fields: Any
    ) -> Task[V4MessageState, V4MessageEvent]:
        """Queue a message that becomes the session's next task, and return a handle on the message.

        It is a create, which leaves its record in the journal, under the messages' lifecycle and this session's id.

        Args:
            text: what to do.
            idempotency_key: given again, it returns the message that was created first, with no request.
            reason: why, for the record.
            fields: further fields of the request, such as `interrupt=True`, which cancels the active task of v4.
        Raises:
            TypeError: the session has no queue, or an argument is not what it must be; nothing was sent.
            CreateError, HttpError, AdapterError: as `Client.create`.
        """
        return Task(self._driver, self._driver.run(self._queueing(text, idempotency_key, reason, fields)))

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
        may be missed.

        Args:
            until: "settled" or "final", as for `Task.wait`.
            timeout_s: seconds to wait; None for as long as it takes.
        Raises:
            WaitTimedOut, UnknownStatus, HttpError, TypeError, ValueError: as `Task.wait`.
        """
        return self._driver.run(self._procedures.wait(until, seconds(timeout_s, "timeout_s")))

    def call(self, name: str, /, **fields: Any) -> Any:
        """Send a further call about the session, such as "delete", and return the JSON of its response.

        It is sent and repeated as `Task.call`, and raises the same.
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
        self, text: str, *, idempotency_key: str | None = None, reason: str = "", **fields: Any
    ) -> AsyncTask[V4MessageState, V4MessageEvent]:
        """Queue a message that becomes the session's next task, and return a handle on the message."""
        return AsyncTask(self._driver, await self._driver.run(self._queueing(text, idempotency_key, reason, fields)))

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
