"""The clients: they create, list and recover tasks, and return handles on them (task_handles.py).

task_procedures.py and creates.py decide what they do, driver.py carries it out.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import warnings
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, Generic, Literal, Self, TypedDict, Unpack, overload

from typing_extensions import TypeVar

from lifecycle.catalog import (
    A2AEvent,
    A2AState,
    V1Event,
    V1State,
    V2Event,
    V2In2025Event,
    V2In2025State,
    V2SessionEvent,
    V2SessionState,
    V2State,
    V3Event,
    V3State,
    V4Event,
    V4MessageEvent,
    V4MessageState,
    V4State,
)
from lifecycle.effects import Response
from lifecycle.errors import AdapterError, LifecycleError, MissingExtra, not_made
from lifecycle.journal import Journal
from lifecycle.lifecycle import Lifecycle
from lifecycle.memory import MemoryJournal
from lifecycle.process_bound import ProcessBound
from lifecycle_adapters import telemetry
from lifecycle_adapters.argument_checks import TaskId, id_text, require
from lifecycle_adapters.http.arguments import (
    create_name,
    longest_wait_s,
    request_context,
    server,
    worker_names,
)
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.creates import CreateProcedures, RecoveredCreate
from lifecycle_adapters.http.driver import AsyncDriver, Driver, RateLimiter
from lifecycle_adapters.http.further_calls import SessionProcedures
from lifecycle_adapters.http.interpreter import HttpCall, Procedure, read
from lifecycle_adapters.http.keys import AsyncKeyFunction, Key, KeyFunction, sealed, usable_key
from lifecycle_adapters.http.paginator import Paginator, QueryValue, TaskSummary
from lifecycle_adapters.http.retired import RetiredServiceWarning
from lifecycle_adapters.http.task_handles import (
    AsyncSession,
    AsyncTask,
    Session,
    Task,
    async_session_handle,
    session_handle,
)
from lifecycle_adapters.http.task_procedures import Recovered, TaskProcedures
from lifecycle_adapters.http.timing import Timing
from lifecycle_adapters.http.twins import twin_of
from lifecycle_adapters.services.registry import service

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

# With defaults, so that a plain `Client` in an annotation is a client of any service.
S = TypeVar("S", bound=str, default=Any)
E = TypeVar("E", bound=str, default=Any)


class _Settings(TypedDict, total=False):
    base_url: str | None
    parameters: Mapping[str, str] | None
    lifecycle: Lifecycle[Any, Any] | None
    timing: Timing | None
    journal: Journal | None


class _ClientSettings(_Settings, total=False):
    api_key: str | KeyFunction | None
    http: httpx2.Client | None


class _AsyncClientSettings(_Settings, total=False):
    api_key: str | AsyncKeyFunction | None
    http: httpx2.AsyncClient | None


# --- what both clients are ----------------------------------------------------------------------


class _Configured(ProcessBound, Generic[S, E]):
    """A client's settings, and what it does without sending."""

    _instead = "make another client where it is needed"

    def __init__(
        self,
        api: str | HttpBinding[S, E],
        *,
        base_url: str | None,
        parameters: Mapping[str, str] | None,
        lifecycle: Lifecycle[Any, Any] | None,
        timing: Timing | None,
        journal: Journal | None,
    ) -> None:
        declared: HttpBinding[S, E] = service(api) if isinstance(api, str) else api
        require(declared, HttpBinding, "the service must be a name, such as 'v2', or an HttpBinding")
        given: Mapping[str, str] = {} if parameters is None else parameters
        self._binding = declared.with_parameters(given)
        self._lifecycle: Lifecycle[S, E] = self._binding.in_scope(self._binding.governed_by(lifecycle))
        self._timing = Timing() if timing is None else timing
        require(self._timing, Timing, "timing must be a Timing(...)")
        recorder: Any = journal
        if recorder is not None and not isinstance(recorder, Journal):
            raise TypeError(
                f"journal must be a journal, such as SqlJournal({str(journal)!r}), not {type(journal).__name__}"
            )
        self._journal: Journal = journal or MemoryJournal(on_report=telemetry.count_report)
        require(base_url, str | None, "base_url must be text such as 'https://host'")
        url = self.binding.base_url if base_url is None else self.binding.servers.get(base_url, base_url)
        self._base_url = server(url, self.binding.base_path)
        if (notice := self.binding.retirement(self.base_url)) is not None:
            warnings.warn(notice, RetiredServiceWarning, stacklevel=3)  # at the caller of the client's constructor

    def __repr__(self) -> str:
        if "_base_url" not in vars(self):
            return not_made(self)
        name = f"{self.binding.name!r}, base_url={self.base_url!r}, lifecycle={self.lifecycle.name!r}"
        return f"{type(self).__name__}({name})"

    @property
    def binding(self) -> HttpBinding[S, E]:
        """The service's binding, with the parameters of the paths filled in."""
        return self._binding

    @property
    def lifecycle(self) -> Lifecycle[S, E]:
        """The lifecycle that governs the tasks."""
        return self._lifecycle

    @property
    def timing(self) -> Timing:
        """The limits of requests, retries and waits."""
        return self._timing

    @property
    def journal(self) -> Journal:
        """The journal that records the tasks."""
        return self._journal

    @property
    def base_url(self) -> str:
        """The URL of the server, to which the binding's paths are appended."""
        return self._base_url

    def _driven_by(self, driver: Any) -> Self:
        """Return a client with the same settings and another driver."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), _driver=driver)
        return other

    def _connection(self, api_key: Key | None) -> dict[str, Any]:
        key = usable_key(self.binding, self.base_url, api_key)
        return {"base_url": self.base_url, "api_key": key, "timing": self.timing}

    def _procedures(self, binding: HttpBinding[Any, Any], task_id: TaskId) -> TaskProcedures[Any, Any]:
        lifecycle = self.lifecycle if binding is self.binding else binding.lifecycle
        task_id = id_text(task_id)
        return TaskProcedures(
            binding=binding,
            lifecycle=lifecycle,
            timing=self.timing,
            task_id=task_id,
            journal=self.journal.task(lifecycle, task_id),
            open_session=self._session if self._has_sessions else None,
        )

    @property
    def _has_sessions(self) -> bool:
        return self.binding.session is not None or self.binding.session_calls is not None

    def _reading(self, task_id: TaskId, *, details: bool) -> Procedure[Response]:
        task_id = id_text(task_id)
        call = self.binding.details if details else self.binding.status
        return Procedure(read(HttpCall(self.binding, call, call.request(self.binding.base_path, task_id=task_id))))

    def _session(self, session_id: TaskId) -> TaskProcedures[Any, Any] | SessionProcedures:
        if self.binding.session is not None:
            return self._procedures(self.binding.session, session_id)
        if self.binding.session_calls is None:
            raise TypeError(f"{self.binding.name} has no sessions beside its tasks")
        return SessionProcedures(
            binding=self.binding,
            session_calls=self.binding.session_calls,
            timing=self.timing,
            session_id=id_text(session_id),
            open_task=partial(self._procedures, self.binding),
            open_messages=lambda binding: self._creates_of(binding, binding.lifecycle),
        )

    def _create_procedures(self) -> list[CreateProcedures]:
        """The creates of the tasks, and of the sessions they run in."""
        return [self._creates_of(binding, lifecycle) for binding, lifecycle in self._lifecycles()]

    def _creates_of(self, binding: HttpBinding[Any, Any], lifecycle: Lifecycle[Any, Any]) -> CreateProcedures:
        return CreateProcedures(
            binding=binding,
            lifecycle=lifecycle,
            timing=self.timing,
            base_url=self.base_url,
            creates=self.journal.creates(lifecycle),
            open_task=partial(self._procedures, binding),
        )

    def _open_commands(self) -> list[TaskProcedures[Any, Any]]:
        """The tasks, and the sessions they run in, that have an open command."""
        return [
            self._procedures(binding, task_id)
            for binding, lifecycle in self._lifecycles()
            for task_id in self.journal.open_tasks(lifecycle)
        ]

    def _lifecycles(self) -> list[tuple[HttpBinding[Any, Any], Lifecycle[Any, Any]]]:
        session = self.binding.session
        sessions = [] if session is None else [(session, session.lifecycle)]
        return [(self.binding, self.lifecycle), *sessions]

    @property
    def lifecycles(self) -> tuple[Lifecycle[Any, Any], ...]:
        """The lifecycles of the tasks and, if there are sessions, of the sessions they run in."""
        return tuple(lifecycle for _, lifecycle in self._lifecycles())


# --- the synchronous client ---------------------------------------------------------------------


class Client(_Configured[S, E]):
    """A synchronous client of one service. Safe to share between threads, and with the children of a fork.

    An httpx2 client that it was given is not shared with them: there it raises ClientUnusable.

    Args:
        api: the service's name ("v1" to "v4", "v2-session", "v4-message", "a2a", or a registered one) or its binding.
        api_key: the key; if omitted, the one in the environment variable that the service names
            (BROWSER_USE_API_KEY for the built-in ones). That one is sent to no other
            server than the service's own and this machine. It can be a function that returns the key: it is called
            before each request, in the thread that sends it, and its time counts as the request's. After a 401 the
            request is sent once more, with what the function returns then: a function that needs an argument is given
            the refused key, to replace it if it is still the one that it keeps, and None otherwise. A function whose
            argument has a default is called without it. What it raises is a KeyUnavailable without its text, which may
            hold the key; after an OSError, such as a time-out, it is called again like a request that is sent again.
        base_url: the server, such as "http://127.0.0.1:8000", or the name of one that the binding has, such as "eu" for
            v4, which needs an `api_key` of its own; the real service if omitted, which warns (RetiredServiceWarning) if
            its binding says that it is retired.
        parameters: what the paths of the service name beside the task, such as {"owner": "acme", "repo": "web"}; the
            binding lists them. The lifecycle's name has them, as `run[acme/web]`, so that a journal keeps apart tasks
            of the same id in two repositories.
        lifecycle: what governs the tasks; the service's own if omitted. It may have fewer commands, not others. The
            journal records under its name: clients that share one must go by the same, as commands and idempotency keys
            are those of one lifecycle.
        timing: how patient to be.
        journal: where to record; in memory if omitted.
        http: an httpx2 client to send with, which stays the caller's to close. What its transport or its hooks raise
            is a failed request if its class is built in or of the libraries below httpx2; other exceptions, such as
            the time limit of a job queue, break off what is done and reach the caller.
    Raises:
        UnknownName: there is no such service.
        TypeError: an argument is not what it must be: a synchronous client sends with an `httpx2.Client`, an
            asynchronous one with an `httpx2.AsyncClient`.
        ValueError: there is no key, or the one in the environment is for another server than `base_url`; a key is
            given to a service that takes none; or a key or URL cannot be used; or parameters are missing, unknown or
            cannot stand in a path; or the lifecycle has a command for which the service has no call, or is of another
            scope than the parameters.
    """

    @overload
    def __init__(self: Client[V1State, V1Event], api: Literal["v1"], **settings: Unpack[_ClientSettings]) -> None: ...

    @overload
    def __init__(self: Client[V2State, V2Event], api: Literal["v2"], **settings: Unpack[_ClientSettings]) -> None: ...

    @overload
    def __init__(
        self: Client[V2SessionState, V2SessionEvent], api: Literal["v2-session"], **settings: Unpack[_ClientSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: Client[V2In2025State, V2In2025Event], api: Literal["v2-2025"], **settings: Unpack[_ClientSettings]
    ) -> None: ...

    @overload
    def __init__(self: Client[V3State, V3Event], api: Literal["v3"], **settings: Unpack[_ClientSettings]) -> None: ...

    @overload
    def __init__(self: Client[V4State, V4Event], api: Literal["v4"], **settings: Unpack[_ClientSettings]) -> None: ...

    @overload
    def __init__(
        self: Client[V4MessageState, V4MessageEvent], api: Literal["v4-message"], **settings: Unpack[_ClientSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: Client[A2AState, A2AEvent], api: Literal["a2a"], **settings: Unpack[_ClientSettings]
    ) -> None: ...

    @overload
    def __init__(self, api: HttpBinding[S, E], **settings: Unpack[_ClientSettings]) -> None: ...

    @overload
    def __init__(self: Client[str, str], api: str, **settings: Unpack[_ClientSettings]) -> None: ...

    def __init__(
        self,
        api: str | HttpBinding[Any, Any],
        *,
        api_key: str | KeyFunction | None = None,
        base_url: str | None = None,
        parameters: Mapping[str, str] | None = None,
        lifecycle: Lifecycle[Any, Any] | None = None,
        timing: Timing | None = None,
        journal: Journal | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        given = sealed(api_key)
        if inspect.iscoroutinefunction(api_key):
            raise TypeError("a Client calls api_key and needs its result: give a plain function, or use an AsyncClient")
        del api_key  # an error report may show the variables of each frame
        super().__init__(
            api, base_url=base_url, parameters=parameters, lifecycle=lifecycle, timing=timing, journal=journal
        )
        require(http, httpx2.Client | None, "http must be an httpx2.Client")
        self._driver = Driver(**self._connection(given), http=http)

    def create(
        self,
        task: str | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> Task[S, E]:
        """Create a task (a session without work, if `task` is omitted and the service allows it).

        The intent is recorded before the request is sent; so a crash leaves a create that `recover` reports.

        Args:
            task: what to do; it is sent in the field that the binding names as `task_field`.
            idempotency_key: given again, it returns the task that was created first, with no request, also across
                processes and restarts if the journal is durable. A create that is known to have made no task frees it.
                The fields must be the same as first; labels, reason and origin may differ, and those of the first
                call stay recorded.
            labels: texts by their names, for the record; they are never sent.
            reason: why, for the record.
            origin: what gives it, for the record.
            fields: further fields of the request, as the service names them.
        Raises:
            CreateUncertain: the response was lost, now or when the key was given first; a task may exist.
            CreateInFlight: another worker is creating the task under this key.
            CreateKeyReused: the key was given to a create with other fields; nothing was sent.
            CreateContradicted: the service made `.task_id`, but the create was abandoned, or given another task, before
                the response arrived.
            TypeError, ValueError: an argument is not what it must be; nothing was sent.
            AdapterError: the journal cannot be written.
            HttpError: the service refused, or was never reached; no task was created.
        """
        body = self.binding.create_fields(task, fields)
        creating = self._create_procedures()[0].create(
            body, labels={} if labels is None else labels, context=request_context(idempotency_key, origin, reason)
        )
        return Task(self._driver, self._driver.run(creating))

    def adopt_create(self, create_id: str, task_id: TaskId) -> Task[S, E]:
        """Record that an uncertain create made this task, which is read first, and return a handle on the task.

        Args:
            create_id: the create, as `recover` and `CreateUncertain` name it.
            task_id: one of the candidates that `recover` reports, or another task.
        Raises:
            CreateInFlight: a living worker has claimed the create.
            ValueError: there is no such create, or it has ended; or another create made the task.
            TypeError: the create's id is not text, or the task's is not text, an integer or a UUID.
            HttpError: the task cannot be read; nothing was recorded of the create.
        """
        return Task(
            self._driver, self._driver.run(self._create_procedures()[0].adopt(create_name(create_id), id_text(task_id)))
        )

    def abandon_create(self, create_id: str, *, reason: str = "") -> None:
        """Record that an uncertain create made no task: its key is free again.

        Raises:
            CreateInFlight: a living worker has claimed the create.
            ValueError: there is no such create, or it has ended.
            TypeError: the id or the reason is not text.
        """
        create_id = create_name(create_id)
        require(reason, str, "reason must be text")
        self._driver.run(self._create_procedures()[0].abandon(create_id, reason))

    def task(self, task_id: TaskId) -> Task[S, E]:
        """Return a handle on an existing task; nothing is sent.

        Raises:
            ValueError: no request can carry this id.
            TypeError: it is not text, an integer or a UUID.
        """
        return Task(self._driver, self._procedures(self.binding, task_id))

    @overload
    def session(self: Client[V2State, V2Event], session_id: TaskId) -> Task[V2SessionState, V2SessionEvent]: ...

    @overload
    def session(self: Client[V4State, V4Event], session_id: TaskId) -> Session: ...

    @overload
    def session(self, session_id: TaskId) -> Any: ...

    def session(self, session_id: TaskId) -> Any:
        """Return a handle on a session that tasks run in (v2, v4); nothing is sent.

        It is a Task if sessions have a lifecycle of their own, as v2's, otherwise a Session.

        Raises:
            TypeError: there are no sessions, or the id is not text, an integer or a UUID.
            ValueError: no request can carry this id.
        """
        return session_handle(self._driver, self._session(session_id))

    def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> builtins.list[Recovered | RecoveredCreate]:
        """Settle every command of the journal that a crash or an uncertainty left open, and report the creates.

        Safe to run at any time and from many workers at once: a command that a living worker has claimed
        is left to it, and of several that recover one alone resumes it.

        Args:
            wait: wait for commands that other workers have claimed, until those settle them or their claims end.
            dead: names of workers that are known to be gone: what they have claimed is settled at once.
        Returns:
            Each open command with its outcome; with a `CommandInFlight` as its error if another worker has claimed it,
            and with whatever else broke its recovery off. Then a `RecoveredCreate` for each create without an
            outcome, with the tasks that it may have made; or a `Recovered` with an `UnreadableCreate` as its error.
        Raises:
            AdapterError: the journal cannot be read or written.
            TypeError: `dead` is no collection of texts, or `wait` no boolean.
        """
        given: dict[str, Any] = {"dead": worker_names(dead), "in_flight_s": longest_wait_s(wait)}
        commands = [found for each in self._open_commands() if (found := self._settled(each, given)) is not None]
        creates = (self._driver.run(creating.recover(given["dead"])) for creating in self._create_procedures())
        return [*commands, *chain.from_iterable(creates)]

    def _settled(self, procedures: TaskProcedures[Any, Any], given: dict[str, Any]) -> Recovered | None:
        try:
            return self._driver.run(procedures.settle(**given))
        except AdapterError:  # the journal's, which no task can do without
            raise
        except LifecycleError as error:  # one task's trouble is reported, and the others recovered
            return procedures.broken_off(error)

    def list(self, **query: QueryValue) -> Iterator[TaskSummary]:
        """Yield the service's tasks, page after page.

        Args:
            query: filters and the size of a page, as the service names them; or the page to begin with. Each is a
                text, an integer, a boolean (sent as true or false), a UUID, or a list of these, which is sent as
                several parameters of one name.
        Raises:
            TypeError: at once: a filter is anything else.
            ValueError: at once: the service has no list, no request can carry the query, or the page to begin with is
                no number.
            HttpError: a page cannot be read, or a hundred in a row are empty and yet not the last.
        """
        return self._listed(Paginator(self.binding, self.lifecycle, query, base_url=self.base_url))

    def _listed(self, pages: Paginator) -> Iterator[TaskSummary]:
        while not pages.is_done:
            yield from self._driver.run(pages.read(self.timing))

    def read(self, task_id: TaskId, *, details: bool = False) -> Response:
        """Read the task's status (or its details) in one request, and return the response as it came.

        For those who keep a pace of their own: nothing is repeated, raised or recorded.
        """
        return self._driver.run(self._reading(task_id, details=details))

    def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- the asynchronous client --------------------------------------------------------------------


class AsyncClient(_Configured[S, E]):
    """An asynchronous client of one service, for asyncio. `http` is an `httpx2.AsyncClient`.

    It may be used in any number of event loops, and closes its connections when one ends; with an `http` in the
    event loop in which that was first used, and raises ClientUnusable in others. A function that is given as `api_key`
    may be a coroutine function; it is called in the event loop, and cancelled when the request's time is up. `recover`
    settles eight commands at a time.
    """

    @overload
    def __init__(
        self: AsyncClient[V1State, V1Event], api: Literal["v1"], **settings: Unpack[_AsyncClientSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[V2State, V2Event], api: Literal["v2"], **settings: Unpack[_AsyncClientSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[V2SessionState, V2SessionEvent],
        api: Literal["v2-session"],
        **settings: Unpack[_AsyncClientSettings],
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[V2In2025State, V2In2025Event],
        api: Literal["v2-2025"],
        **settings: Unpack[_AsyncClientSettings],
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[V3State, V3Event], api: Literal["v3"], **settings: Unpack[_AsyncClientSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[V4State, V4Event], api: Literal["v4"], **settings: Unpack[_AsyncClientSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[V4MessageState, V4MessageEvent],
        api: Literal["v4-message"],
        **settings: Unpack[_AsyncClientSettings],
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[A2AState, A2AEvent], api: Literal["a2a"], **settings: Unpack[_AsyncClientSettings]
    ) -> None: ...

    @overload
    def __init__(self, api: HttpBinding[S, E], **settings: Unpack[_AsyncClientSettings]) -> None: ...

    @overload
    def __init__(self: AsyncClient[str, str], api: str, **settings: Unpack[_AsyncClientSettings]) -> None: ...

    def __init__(
        self,
        api: str | HttpBinding[Any, Any],
        *,
        api_key: str | AsyncKeyFunction | None = None,
        base_url: str | None = None,
        parameters: Mapping[str, str] | None = None,
        lifecycle: Lifecycle[Any, Any] | None = None,
        timing: Timing | None = None,
        journal: Journal | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        given = sealed(api_key)
        del api_key
        super().__init__(
            api, base_url=base_url, parameters=parameters, lifecycle=lifecycle, timing=timing, journal=journal
        )
        require(http, httpx2.AsyncClient | None, "http must be an httpx2.AsyncClient")
        self._driver = AsyncDriver(**self._connection(given), http=http)

    @twin_of(Client.create)
    async def create(
        self,
        task: str | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> AsyncTask[S, E]:
        """Create a task (a session without work, if `task` is omitted and the service allows it)."""
        body = self.binding.create_fields(task, fields)
        creating = self._create_procedures()[0].create(
            body, labels={} if labels is None else labels, context=request_context(idempotency_key, origin, reason)
        )
        return AsyncTask(self._driver, await self._driver.run(creating))

    @twin_of(Client.adopt_create)
    async def adopt_create(self, create_id: str, task_id: TaskId) -> AsyncTask[S, E]:
        """Record that an uncertain create made this task, which is read first, and return a handle on the task."""
        return AsyncTask(
            self._driver,
            await self._driver.run(self._create_procedures()[0].adopt(create_name(create_id), id_text(task_id))),
        )

    @twin_of(Client.abandon_create)
    async def abandon_create(self, create_id: str, *, reason: str = "") -> None:
        """Record that an uncertain create made no task: its key is free again."""
        create_id = create_name(create_id)
        require(reason, str, "reason must be text")
        await self._driver.run(self._create_procedures()[0].abandon(create_id, reason))

    @twin_of(Client.task)
    def task(self, task_id: TaskId) -> AsyncTask[S, E]:
        """Return a handle on an existing task; nothing is sent."""
        return AsyncTask(self._driver, self._procedures(self.binding, task_id))

    @overload
    def session(
        self: AsyncClient[V2State, V2Event], session_id: TaskId
    ) -> AsyncTask[V2SessionState, V2SessionEvent]: ...

    @overload
    def session(self: AsyncClient[V4State, V4Event], session_id: TaskId) -> AsyncSession: ...

    @overload
    def session(self, session_id: TaskId) -> Any: ...

    @twin_of(Client.session)
    def session(self, session_id: TaskId) -> Any:
        """Return a handle on a session that tasks run in (v2, v4); nothing is sent."""
        return async_session_handle(self._driver, self._session(session_id))

    @twin_of(Client.recover)
    async def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> builtins.list[Recovered]:
        """Settle every command of the journal that a crash or an uncertainty left open, and report the creates."""
        given: dict[str, Any] = {"dead": worker_names(dead), "in_flight_s": longest_wait_s(wait)}
        at_a_time = asyncio.Semaphore(_RECOVERED_AT_A_TIME)

        async def settle(procedures: TaskProcedures[Any, Any]) -> Recovered | None:
            async with at_a_time:
                try:
                    return await self._driver.run(procedures.settle(**given))
                except AdapterError:  # the journal's, which no task can do without
                    raise
                except LifecycleError as error:  # one task's trouble is reported, and the others recovered
                    return procedures.broken_off(error)

        left_open = await asyncio.to_thread(self._open_commands)
        found = await asyncio.gather(*map(settle, left_open), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):  # only now: by then nothing is under way any more
                raise each
        commands = [each for each in found if isinstance(each, Recovered)]
        creates = [await self._driver.run(creating.recover(given["dead"])) for creating in self._create_procedures()]
        return [*commands, *chain.from_iterable(creates)]

    @twin_of(Client.list)
    def list(self, **query: QueryValue) -> AsyncGenerator[TaskSummary]:
        """Yield the service's tasks, page after page."""
        return self._listed(Paginator(self.binding, self.lifecycle, query, base_url=self.base_url))

    async def _listed(self, pages: Paginator) -> AsyncGenerator[TaskSummary]:
        while not pages.is_done:
            for listed in await self._driver.run(pages.read(self.timing)):
                yield listed

    @twin_of(Client.read)
    async def read(self, task_id: TaskId, *, details: bool = False) -> Response:
        """Read the task's status (or its details) in one request, and return the response as it came."""
        return await self._driver.run(self._reading(task_id, details=details))

    def limited_by(self, limiter: RateLimiter) -> Self:
        """Return this client with every request passing the limiter; closing it closes nothing."""
        return self._driven_by(self._driver.limited_by(limiter))

    @twin_of(Client.close)
    async def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


_RECOVERED_AT_A_TIME = 8
