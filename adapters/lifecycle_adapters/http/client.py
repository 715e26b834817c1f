"""The clients: they create, list and recover tasks, and return handles on them (task_handles.py).

configured_client.py has the part of both that needs no I/O. task_procedures.py and creates.py decide what they do,
driver.py carries it out.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Literal, Self, TypedDict, Unpack, overload

from typing_extensions import TypeVar

from lifecycle.catalog import (
    A2AEvent,
    A2AState,
    MCPEvent,
    MCPState,
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
from lifecycle.errors import MissingExtra, described
from lifecycle.journal import Journal
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.argument_checks import TaskId, id_text, require
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.configured_client import ConfiguredClient
from lifecycle_adapters.http.driver import AsyncDriver, Driver, RateLimiter
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.keys import AsyncKeyFunction, KeyFunction, sealed
from lifecycle_adapters.http.paginator import Paginator, QueryValue
from lifecycle_adapters.http.task_handles import (
    AsyncSession,
    AsyncTask,
    Session,
    Task,
    async_session_handle,
    session_handle,
)
from lifecycle_adapters.procedures.arguments import (
    request_context,
)
from lifecycle_adapters.procedures.recovery_methods import AsyncRecoveryMethods, RecoveryMethods
from lifecycle_adapters.procedures.running import uninterrupted
from lifecycle_adapters.procedures.task_summary import TaskSummary
from lifecycle_adapters.procedures.timing import Timing
from lifecycle_adapters.procedures.twins import twin_of

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


# --- the synchronous client ---------------------------------------------------------------------


class Client(ConfiguredClient[S, E], RecoveryMethods[Driver, Task[S, E]]):
    """A synchronous client of one service. Threads can share it, and so can the children of a fork.

    With an `http` of the caller's, it raises ClientUnusable in the children of a fork.

    Args:
        api: the service's name ("v1" to "v4", "v2-session", "v4-message", "a2a", "a2a-jsonrpc", "mcp",
            "mcp-extension", or a registered one) or its binding.
        api_key: the key, or a function that returns it. If omitted, it is the one in the environment variable that the
            service names (BROWSER_USE_API_KEY for the built-in ones), which is sent only to the service's own server
            and to this machine.
            A function is called before each request, in the thread that sends it; its time counts as the request's.
            After a 401 the request is sent once more, with the key that the function then returns. A function that
            requires an argument gets the refused key, to replace it if it still keeps that one, and otherwise None; an
            argument with a default is not passed. An exception of the function becomes a KeyUnavailable without the
            exception's text, which may hold the key; after an OSError, such as a time-out, the function is called again
            under the limits of a retry.
        base_url: the server, such as "http://127.0.0.1:8000", or the name of one that the binding has, such as "eu" for
            v4, which needs an `api_key` of its own; the real service if omitted, which warns (RetiredServiceWarning) if
            its binding says that it is retired.
        parameters: the texts for the parameters of the service's paths, such as {"owner": "acme", "repo": "web"}; the
            binding lists their names. The lifecycle's name gets them, as `run[acme/web]`, so that a journal keeps apart
            tasks of the same id in two repositories.
        lifecycle: the lifecycle that governs the tasks; the service's own if omitted. It may lack commands of the
            service, but may have no others. The journal records the tasks under its name: clients that share a journal
            must use one lifecycle, because commands and idempotency keys belong to it. They must also be of one server,
            because another may give its tasks the same ids: the methods of a client of another one raise OtherServer
            (`add_server`).
        timing: the limits of requests, retries and waits.
        journal: the journal that records the tasks; if omitted, one in memory, which forgets what was reported of a
            task once it has neither a handle nor an open command. It keeps which tasks its creates made, and all that
            had an idempotency key.
        http: an httpx2 client to send with; the caller closes it. If its transport or its hooks raise a built-in
            exception, or one of the libraries below httpx2, the request has failed; any other exception, such as the
            time limit of a job queue, ends the method and reaches the caller.
    Raises:
        UnknownName: there is no such service.
        TypeError: an argument has a wrong type: a synchronous client sends with an `httpx2.Client`, an asynchronous one
            with an `httpx2.AsyncClient`.
        ValueError: there is no key, or the one in the environment is for another server than `base_url`; a key is
            passed for a service that takes none; a key or URL cannot be used; parameters are missing or unknown, or no
            path can carry one; or the lifecycle has a command for which the service has no call, or belongs to another
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
        self: Client[A2AState, A2AEvent], api: Literal["a2a", "a2a-jsonrpc"], **settings: Unpack[_ClientSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: Client[MCPState, MCPEvent], api: Literal["mcp", "mcp-extension"], **settings: Unpack[_ClientSettings]
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
            raise TypeError("a Client calls api_key and needs its result: pass a plain function, or use an AsyncClient")
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

        The intent is recorded before the request is sent, so that `recover` reports the create after a crash.

        Args:
            task: the work to do, as text; it is sent in the field that the binding names as `task_field`.
            idempotency_key: a second call with this key returns the task of the first one and sends nothing, also
                across processes and restarts if the journal is durable. The key is free again once a create is known to
                have made no task. The fields must equal those of the first call; labels, reason and origin may differ,
                and those of the first call stay recorded.
            labels: texts by their names; they are recorded in the journal, and never sent.
            reason: why it is created; it is recorded in the journal.
            origin: who or what creates it; it is recorded in the journal.
            fields: further fields of the request, as the service names them.
        Raises:
            CreateUncertain: the response was lost, in this call or in an earlier one with the key; a task may exist.
            CreateInFlight: another worker is creating the task under this key.
            CreateKeyReused: a create with other fields has this key; nothing was sent.
            CreateContradicted: the service made `.task_id`, but before the response arrived the create was abandoned,
                or another task was recorded for it.
            TypeError, ValueError: an argument has a wrong type or value; nothing was sent.
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be read or written.
            HttpError: the service refused, or was never reached; no task was created.
            ClientUnusable: the client is closed, or its httpx2 client belongs to another process; nothing was recorded.
        """
        body = self.binding.create_fields(task, fields)
        creating = self._create_procedures()[0].create(
            body, labels={} if labels is None else labels, context=request_context(idempotency_key, origin, reason)
        )
        return self._handle(self._driver.run(creating))

    def _handle(self, task: Any) -> Task[S, E]:
        return Task(self._driver, task)

    def task(self, task_id: TaskId) -> Task[S, E]:
        """Return a handle on an existing task; nothing is sent.

        Raises:
            ValueError: no request can carry this id, or it contains the client's API key.
            TypeError: it is not text, an integer or a UUID.
        """
        return self._handle(self._open(self.binding, task_id))

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
            ValueError: no request can carry this id, or it contains the client's API key.
        """
        return session_handle(self._driver, self._session(session_id))

    def list(self, **query: QueryValue) -> Iterator[TaskSummary]:
        """Yield the service's tasks, page after page.

        Args:
            query: filters, the size of a page and the first page to read, as the service names them. Each is a text, an
                integer, a boolean (sent as true or false), a UUID, or a list of these, which is sent as several
                parameters of one name.
        Raises at once:
            TypeError: a value of the query has another type.
            ValueError: the service has no list, no request can carry the query, or the first page is not a number.
        Raises while pages are read:
            HttpError: a page cannot be read; or the list is incomplete: a page says that there is more and names no
                new page, or a hundred pages in a row have no new task, or one page is repeated five times, and the
                service says that there is another one.
        """
        return self._listed(Paginator(self.binding, self.lifecycle, query, base_url=self.base_url))

    def _listed(self, pages: Paginator) -> Iterator[TaskSummary]:
        while not pages.is_done:
            yield from self._driver.run(pages.read(self.timing))

    def read(self, task_id: TaskId, *, details: bool = False) -> Response:
        """Read the task's status (or its details) in one request, and return the response as a value.

        It is for callers that pace their own requests. Nothing is recorded or repeated, except once after a 401 if
        `api_key` is a function, and a failed request is a value (such as `Lost`), not an exception.

        Raises:
            ValueError: no request can carry this id, or it contains the client's API key.
            TypeError: the id is not text, an integer or a UUID.
            ClientUnusable: the client is closed, or its httpx2 client belongs to another process.
        """
        return self._driver.run(self._reading(task_id, details=details))

    def add_server(self) -> None:
        """Record that this client's `base_url` is a further URL of the server that has the journal's tasks.

        A journal has the tasks of a service at one server, the one of its first record. Call this once if that server
        has moved, or has several URLs, and never for a server with tasks of its own: it may give them the same ids, and
        commands would be settled at the wrong one.

        Raises AdapterError if the journal cannot be read or written.
        """
        uninterrupted(self._add_server)

    def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- the asynchronous client --------------------------------------------------------------------


class AsyncClient(ConfiguredClient[S, E], AsyncRecoveryMethods[AsyncDriver, AsyncTask[S, E]]):
    """An asynchronous client of one service, for asyncio.

    It can be used in any number of event loops, and closes its connections when a loop ends. With an `http` of the
    caller's, it can be used only in the event loop that first used it, and raises ClientUnusable in others. `recover`
    settles eight commands at a time.

    Its arguments, and the errors for them, are those of `Client`, with two differences: `http` is an
    `httpx2.AsyncClient`, and an `api_key` can also be a coroutine function, which is called in the event loop and
    cancelled when the request's time is up.
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
        self: AsyncClient[A2AState, A2AEvent],
        api: Literal["a2a", "a2a-jsonrpc"],
        **settings: Unpack[_AsyncClientSettings],
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[MCPState, MCPEvent],
        api: Literal["mcp", "mcp-extension"],
        **settings: Unpack[_AsyncClientSettings],
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
        return self._handle(await self._driver.run(creating))

    def _handle(self, task: Any) -> AsyncTask[S, E]:
        return AsyncTask(self._driver, task)

    @twin_of(Client.task)
    def task(self, task_id: TaskId) -> AsyncTask[S, E]:
        """Return a handle on an existing task; nothing is sent."""
        return self._handle(self._open(self.binding, task_id))

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
        """Read the task's status (or its details) in one request, and return the response as a value."""
        return await self._driver.run(self._reading(task_id, details=details))

    async def stream(self, task_id: TaskId | None = None) -> AsyncGenerator[bytes]:
        """Open the stream of a task, and yield the data of its events until the service ends it.

        The id is omitted if one stream has the events of all tasks, as that of `mcp`.

        It is for callers that interpret and record the events: a `Watcher` does so. An event may be as large as a
        response, and the stream silent for as long as a request may take. Close it with `contextlib.aclosing`.

        Raises:
            ValueError: the service has no streams, or no request can carry this id.
            TypeError: the id is not text, an integer or a UUID, or is missing, or is given for a stream of all tasks.
            HttpError: the stream was refused or broken off, or the response is not a stream.
            ClientUnusable: the client is closed, or its httpx2 client belongs to another process or loop.
        """
        if self.binding.stream is None:
            raise ValueError(f"{self.binding.name} has no streams: its binding declares no `stream`")
        call = self.binding.stream.call
        if self.binding.stream.is_of_all_tasks is (task_id is not None):
            has = "one stream of all tasks: leave out" if task_id is not None else "a stream of each task: give"
            raise TypeError(f"{self.binding.name} has {has} the id")
        request = call.request(self.binding.base_path, task_id="" if task_id is None else id_text(task_id))
        async with aclosing(self._driver.events(HttpCall(self.binding, call, request))) as events:
            async for data in events:
                yield data

    def limited_by(self, limiter: RateLimiter) -> Self:
        """Return a client that waits for the limiter before each request. It shares the connections and closes none.

        Raises TypeError if the limiter lacks the methods of a `RateLimiter`.
        """
        if not all(callable(getattr(limiter, name, None)) for name in ("acquire", "observe")):
            raise TypeError(f"limiter must have the methods acquire and observe, unlike {described(limiter)}")
        return self._driven_by(self._driver.limited_by(limiter))

    @twin_of(Client.add_server)
    async def add_server(self) -> None:
        """Record that this client's `base_url` is a further URL of the server that has the journal's tasks."""
        await asyncio.to_thread(self._add_server)

    @twin_of(Client.close)
    async def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
