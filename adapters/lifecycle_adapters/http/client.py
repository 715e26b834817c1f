"""The clients and the handles that users hold.

What a handle does is decided in exchange.py and carried out by driver.py; here are the names,
signatures and promises.
"""

from __future__ import annotations

import asyncio
import builtins
import copy
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, Generic, Literal, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import SecretStr

from lifecycle.command import CommandResult
from lifecycle.effects import Response
from lifecycle.errors import AdapterError, LifecycleError, MissingExtra
from lifecycle.following import Until
from lifecycle.journal import Journal, RequestContext, TaskJournal
from lifecycle.lifecycle import Lifecycle
from lifecycle.memory import MemoryJournal
from lifecycle_adapters import telemetry
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.creates import Creator, RecoveredCreate
from lifecycle_adapters.http.driver import AsyncDriver, Driver, OnProgress, RateLimiter
from lifecycle_adapters.http.exchange import HttpCall, Recovered, TaskProcedures, TaskResult
from lifecycle_adapters.http.keys import sealed, usable_key
from lifecycle_adapters.http.paginator import Paginator, TaskSummary
from lifecycle_adapters.http.services import service
from lifecycle_adapters.http.timing import Timing

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

R = TypeVar("R")
OnUnknown = Literal["raise", "continue"]

# --- the commands by name -----------------------------------------------------------------------


class Commands(ABC, Generic[R]):
    """Every command of the catalog as a method, so that completion and type checkers see it.

    Each is `send` of its name, and raises what `send` raises; UnknownName where the task's service
    has no such command.
    """

    @abstractmethod
    def send(
        self,
        command: str,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> R:
        """Give a command; `fields` go into the body of its request."""

    def pause(self, *, idempotency_key: str | None = None, reason: str = "", wait_for_in_flight_s: float = 0.0) -> R:
        """Halt a running task (v1)."""
        return self.send(
            "pause", idempotency_key=idempotency_key, reason=reason, wait_for_in_flight_s=wait_for_in_flight_s
        )

    def resume(self, *, idempotency_key: str | None = None, reason: str = "", wait_for_in_flight_s: float = 0.0) -> R:
        """Continue a paused task (v1)."""
        return self.send(
            "resume", idempotency_key=idempotency_key, reason=reason, wait_for_in_flight_s=wait_for_in_flight_s
        )

    def stop(self, *, idempotency_key: str | None = None, reason: str = "", wait_for_in_flight_s: float = 0.0) -> R:
        """End a task or session for good (v1, v2, v3)."""
        return self.send(
            "stop", idempotency_key=idempotency_key, reason=reason, wait_for_in_flight_s=wait_for_in_flight_s
        )

    def stop_task_and_session(
        self, *, idempotency_key: str | None = None, reason: str = "", wait_for_in_flight_s: float = 0.0
    ) -> R:
        """End a task and the session it runs in (v2)."""
        return self.send(
            "stop_task_and_session",
            idempotency_key=idempotency_key,
            reason=reason,
            wait_for_in_flight_s=wait_for_in_flight_s,
        )

    def dispatch(
        self,
        task: str,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> R:
        """Give an idle session a task (v3)."""
        return self.send(
            "dispatch",
            idempotency_key=idempotency_key,
            reason=reason,
            wait_for_in_flight_s=wait_for_in_flight_s,
            task=task,
            **fields,
        )

    def stop_task(
        self, *, idempotency_key: str | None = None, reason: str = "", wait_for_in_flight_s: float = 0.0
    ) -> R:
        """End the task and keep the session (v3)."""
        return self.send(
            "stop_task", idempotency_key=idempotency_key, reason=reason, wait_for_in_flight_s=wait_for_in_flight_s
        )

    def cancel(self, *, idempotency_key: str | None = None, reason: str = "", wait_for_in_flight_s: float = 0.0) -> R:
        """End a run for good (v4)."""
        return self.send(
            "cancel", idempotency_key=idempotency_key, reason=reason, wait_for_in_flight_s=wait_for_in_flight_s
        )


class _Handle:
    """What a handle tells without asking the service."""

    def __init__(self, conversation: TaskProcedures[Any, Any]) -> None:
        self._conversation = conversation

    @property
    def id(self) -> str:
        """The task's id."""
        return self._conversation.task_id

    @property
    def lifecycle(self) -> Lifecycle[str, str]:
        """The lifecycle that governs the task."""
        return self._conversation.lifecycle

    @property
    def state(self) -> str | None:
        """The state last known, None before anything was reported. A look-up in the journal, also for `AsyncTask`."""
        state: str | None = self._conversation.journal.load().current
        return state

    @property
    def journal(self) -> TaskJournal[str, str]:
        """The task's part of the journal."""
        return self._conversation.journal

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.lifecycle.name} {self.id!r} {self.state or 'not yet read'}>"


# --- what both clients are ----------------------------------------------------------------------


class _Configured:
    """A client's settings, and what it does without sending."""

    def __init__(
        self,
        api: str | HttpBinding[Any, Any],
        *,
        base_url: str | None,
        lifecycle: Lifecycle[Any, Any] | None,
        timing: Timing | None,
        journal: Journal | None,
    ) -> None:
        self.binding: HttpBinding[Any, Any] = service(api) if isinstance(api, str) else api
        _require(self.binding, HttpBinding, "the service must be a name, such as 'v2', or an HttpBinding")
        self.lifecycle = self.binding.governed_by(lifecycle)
        self.timing = Timing() if timing is None else timing
        _require(self.timing, Timing, "timing must be a Timing(...)")
        recorder: Any = journal
        if recorder is not None and not isinstance(recorder, Journal):
            raise TypeError(
                f"journal must be a journal, such as SqlJournal({str(journal)!r}), not {type(journal).__name__}"
            )
        self.journal = journal or MemoryJournal(on_report=telemetry.count_report)
        _require(base_url, str | None, "base_url must be text such as 'https://host'")
        self.base_url = _server(base_url or self.binding.base_url, self.binding.base_path)

    def __repr__(self) -> str:
        if "base_url" not in vars(self):  # its constructor raised, and an error report shows it
            return f"<{type(self).__name__} that was not made>"
        name = f"{self.binding.name!r}, base_url={self.base_url!r}, lifecycle={self.lifecycle.name!r}"
        return f"{type(self).__name__}({name})"

    def _connection(self, api_key: SecretStr | None) -> dict[str, Any]:
        key = usable_key(self.binding, self.base_url, api_key)
        return {"base_url": self.base_url, "api_key": key, "timing": self.timing}

    def _conversation(self, binding: HttpBinding[Any, Any], task_id: TaskId) -> TaskProcedures[Any, Any]:
        task_id = id_text(task_id)
        binding.status.request(binding.base_path, task_id=task_id)  # an id that cannot stand in a path is refused here
        lifecycle = self.lifecycle if binding is self.binding else binding.lifecycle
        log = self.journal.task(lifecycle, task_id)
        return TaskProcedures(binding=binding, lifecycle=lifecycle, timing=self.timing, task_id=task_id, journal=log)

    def _reading(self, task_id: TaskId, *, details: bool) -> HttpCall:
        task_id = id_text(task_id)
        call = self.binding.details if details else self.binding.status
        return HttpCall(self.binding, call, call.request(self.binding.base_path, task_id=task_id))

    def _session(self, session_id: TaskId) -> TaskProcedures[Any, Any]:
        if self.binding.session is None:
            raise TypeError(f"{self.binding.name} has no sessions beside its tasks")
        return self._conversation(self.binding.session, session_id)

    def _creators(self) -> list[Creator]:
        """The creates of the tasks, and of the sessions they run in."""
        return [
            Creator(
                binding=binding,
                lifecycle=lifecycle,
                timing=self.timing,
                creates=self.journal.creates(lifecycle),
                open_task=partial(self._conversation, binding),
            )
            for binding, lifecycle in self._lifecycles()
        ]

    def _open_commands(self) -> list[TaskProcedures[Any, Any]]:
        """The tasks, and the sessions they run in, that have an open command."""
        return [
            self._conversation(binding, task_id)
            for binding, lifecycle in self._lifecycles()
            for task_id in self.journal.open_tasks(lifecycle)
        ]

    def _lifecycles(self) -> list[tuple[HttpBinding[Any, Any], Lifecycle[Any, Any]]]:
        session = self.binding.session
        sessions = [] if session is None else [(session, session.lifecycle)]
        return [(self.binding, self.lifecycle), *sessions]

    @property
    def lifecycles(self) -> tuple[Lifecycle[Any, Any], ...]:
        """Those of the tasks and, where there are any, of the sessions they run in."""
        return tuple(lifecycle for _, lifecycle in self._lifecycles())


def _require(given: Any, kind: Any, wanted: str) -> None:
    """Raise TypeError, which says what is wanted, unless it is of that kind."""
    if not isinstance(given, kind):
        text = f"the class {given.__name__}" if isinstance(given, type) else f"{given!r:.80} ({type(given).__name__})"
        raise TypeError(f"{wanted}, not {text}")


def _context(idempotency_key: str | None, origin: str, reason: str) -> RequestContext:
    """What a call records beside its request. Raises TypeError: it is no text; ValueError: the key is empty."""
    _require(idempotency_key, str | None, "idempotency_key must be text")
    _require(origin, str, "origin must be text")
    _require(reason, str, "reason must be text")
    if idempotency_key == "":
        raise ValueError("idempotency_key must not be empty: give each intention a text of its own, or None for no key")
    return RequestContext(idempotency_key, origin, reason)


def _seconds(given: float | None, name: str) -> float | None:
    """A duration that a caller gives. Raises TypeError: it is no number; ValueError: it is NaN or negative."""
    _require(given, float | int | None, f"{name} must be a number of seconds")
    if given is not None and not given >= 0:
        raise ValueError(f"{name} must be a number of seconds, 0 or more, not {given!r}")
    return given


TaskId = str | int | UUID


def id_text(task_id: object) -> str:
    """An id as a service writes it. Raises TypeError."""
    if isinstance(task_id, str):
        return task_id
    if isinstance(task_id, int | UUID) and not isinstance(task_id, bool):
        return str(task_id)
    raise TypeError(f"a task's id is a text, an integer or a UUID, not {type(task_id).__name__}")


def _server(base_url: str, base_path: str) -> str:
    parts = urlsplit(base_url)
    is_server = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and " " not in base_url
    if not is_server or parts.query or parts.fragment:
        raise ValueError(f"base_url must be like 'https://host', not {base_url!r}")
    if parts.username is not None:
        raise ValueError("base_url must hold no user and no password: it is shown in messages")
    # Other clients want the path in the base URL; both ways must lead to the same calls.
    return base_url.rstrip("/").removesuffix(base_path)


# --- the synchronous client ---------------------------------------------------------------------


class Task(_Handle, Commands[CommandResult[str, str]]):
    """A handle on one remote task; made by `Client`. Safe to share between threads."""

    def __init__(self, driver: Driver, conversation: TaskProcedures[Any, Any]) -> None:
        super().__init__(conversation)
        self._driver = driver

    def send(
        self,
        command: str,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> CommandResult[str, str]:
        """Give a command and return when it is proved to have taken effect, or needed not be sent.

        Args:
            command: the command's name.
            key: of all that is given to this task under one key one command is executed, also across
                processes and restarts where the journal is durable; given again, it is answered with
                what came of the first.
            reason: why, for the record.
            origin: what gives it, for the record.
            wait_for_in_flight_s: seconds to wait for a command of this task that another worker has not settled yet.
            fields: further fields for the body of its request.
        Raises:
            IllegalTransition: the state refuses it; no command was sent.
            UnknownName: the lifecycle declares no such command; nothing was sent.
            TypeError, ValueError: an argument is not what it must be, or a field is missing that the command takes,
                or it takes none; nothing was sent.
            UnknownStatus: the service reports a status that the lifecycle does not know; no command was sent. (A stop
                that every state accepts needs no status.)
            CommandInFlight: another command has no outcome yet; no command was sent. `.holder` names the worker that
                has claimed it, `.until` is when its claim ends.
            CommandRefused: the service said no.
            CommandUncertain: nobody knows; `recover` settles it once the service answers.
            TaskEndedFirst: the task is over; `.took_effect` is False if the command did not take effect before,
                and None if nobody can know.
            CommandAbandoned: what was given under this key was abandoned.
            KeyReused: the key was given to another command.
            AdapterError: the journal cannot be written; `recover` settles what was sent.
            HttpError: 401, 403, 404, 429 for too long, or the service was never reached.
            ClientUnusable: the client is closed, or its httpx2 client is another process's; nothing was recorded.
        """
        context = _context(idempotency_key, origin, reason)
        in_flight_s = _seconds(wait_for_in_flight_s, "wait_for_in_flight_s") or 0.0
        return self._driver.run(self._conversation.command(command, fields, context, in_flight_s=in_flight_s))

    def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> CommandResult[str, str] | None:
        """Settle the command that an uncertainty left open; return None if there is none.

        Args:
            wait: wait for another worker that has claimed it, until that settles it or its claim ends.
            dead: names of workers that are known to be gone: what they have claimed is settled at once.
        Raises:
            CommandInFlight: another worker has claimed it, and `wait` is False.
            The errors of `send`.
        """
        return self._driver.run(self._conversation.recover(dead=_names(dead), in_flight_s=_longest_s(wait)))

    def status(self) -> str:
        """Read the status once and return the state then known.

        Raises:
            UnknownStatus: the lifecycle does not know the status.
            HttpError: it cannot be read.
        """
        state: str = self._driver.run(self._conversation.status())
        return state

    def allowed(self) -> tuple[str, ...]:
        """Return the commands that the known state accepts, in declared order; read first if none is known."""
        return self._driver.run(self._conversation.allowed())

    def details(self) -> dict[str, Any]:
        """Return everything that the service tells of the task. Raises HttpError."""
        return self._driver.run(self._conversation.details())

    def wait(
        self,
        until: Until = "settled",
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> TaskResult[str]:
        """Poll until the task is settled (no work is being done) or final (it is over).

        Args:
            until: "settled" or "final".
            timeout_s: seconds to wait, whatever a request takes; a last one may take half a second more. None for as
                long as it takes.
            on_progress: called after every poll.
            on_unknown: what to do at a status that the lifecycle does not know.
        Raises:
            WaitTimedOut: the time is up.
            DetailsTimedOut: the time is up, and the task has come to rest in `.state`; a WaitTimedOut.
            UnknownStatus: the service reports a status that the lifecycle does not know.
            HttpError: the status cannot be read.
            TypeError, ValueError: `timeout_s` is no number of seconds, or is negative; nothing was sent.
        """
        actions = self._conversation.wait(until, _seconds(timeout_s, "timeout_s"), stop_at_unknown=_stops(on_unknown))
        return self._driver.run(actions, on_progress)


class Client(_Configured):
    """A synchronous client of one service. Safe to share between threads, and with the children of a fork.

    An httpx2 client that it was given is not shared with them: there it raises ClientUnusable.

    Args:
        api: the service's name ("v1" to "v4", "v2-session", or a registered one) or its binding.
        api_key: the key; if omitted, the one in the environment variable that the service names
            (BROWSER_USE_API_KEY for the built-in ones). That one is sent to no other
            server than the service's own and this machine.
        base_url: the server, such as "http://127.0.0.1:8000"; the real service if omitted.
        lifecycle: what governs the tasks; the service's own if omitted. It may have fewer commands, not others. The
            journal records under its name.
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
            given to a service that takes none; or a key or URL cannot be used; or the lifecycle has a command for
            which the service has no call.
    """

    def __init__(
        self,
        api: str | HttpBinding[Any, Any],
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        lifecycle: Lifecycle[Any, Any] | None = None,
        timing: Timing | None = None,
        journal: Journal | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        given = sealed(api_key)
        del api_key  # an error report may show the variables of each frame
        super().__init__(api, base_url=base_url, lifecycle=lifecycle, timing=timing, journal=journal)
        _require(http, httpx2.Client | None, "http must be an httpx2.Client")
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
    ) -> Task:
        """Create a task (a session without work, where `task` is omitted and the service allows it).

        The intent is recorded before the request is sent; so a crash leaves a create that `recover` reports.

        Args:
            task: what to do.
            key: idempotency key. Given again, it returns the task that was created first, with no request,
                also across processes and restarts if the journal is durable. A create that is known to have
                made no task frees its key.
            labels: texts by their names, for the record; they are never sent.
            reason: why, for the record.
            origin: what gives it, for the record.
            fields: further fields of the request, as the service names them.
        Raises:
            CreateUncertain: the response was lost, now or when the key was given first; a task may exist.
            CreateInFlight: another worker is creating the task under this key.
            CreateKeyReused: the key was given to a create with other fields; nothing was sent.
            TypeError, ValueError: an argument is not what it must be; nothing was sent.
            AdapterError: the journal cannot be written.
            HttpError: the service refused, or was never reached; no task was created.
        """
        body = fields if task is None else {"task": task, **fields}
        creating = self._creators()[0].create(
            body, labels=labels or {}, context=_context(idempotency_key, origin, reason)
        )
        return Task(self._driver, self._driver.run(creating))

    def adopt_create(self, create_id: str, task_id: TaskId) -> Task:
        """Record that an uncertain create made this task, which is read first, and return a handle on the task.

        Args:
            create_id: the create, as `recover` and `CreateUncertain` name it.
            task_id: one of the candidates that `recover` reports, or another task.
        Raises:
            CreateInFlight: a living worker holds the create.
            ValueError: there is no such create, or it has ended; or another create made the task.
            HttpError: the task cannot be read; nothing was recorded of the create.
        """
        return Task(self._driver, self._driver.run(self._creators()[0].adopt(create_id, id_text(task_id))))

    def abandon_create(self, create_id: str, *, reason: str = "") -> None:
        """Record that an uncertain create made no task: its key is free again.

        Raises:
            CreateInFlight: a living worker holds the create.
            ValueError: there is no such create, or it has ended.
            TypeError: the reason is no text.
        """
        _require(reason, str, "reason must be text")
        self._driver.run(self._creators()[0].abandon(create_id, reason))

    def task(self, task_id: TaskId) -> Task:
        """Return a handle on an existing task; nothing is sent.

        Raises:
            ValueError: no request can carry this id.
            TypeError: it is no text, integer or UUID.
        """
        return Task(self._driver, self._conversation(self.binding, task_id))

    def session(self, session_id: TaskId) -> Task:
        """Return a handle on the session that a task runs in (v2). Raises TypeError where there are none."""
        return Task(self._driver, self._session(session_id))

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
            outcome, with the tasks that it may have made.
        Raises:
            AdapterError: the journal cannot be read or written.
        """
        given: dict[str, Any] = {"dead": _names(dead), "in_flight_s": _longest_s(wait)}
        commands = [found for each in self._open_commands() if (found := self._settled(each, given)) is not None]
        creates = (self._driver.run(creator.recover(given["dead"])) for creator in self._creators())
        return [*commands, *chain.from_iterable(creates)]

    def _settled(self, conversation: TaskProcedures[Any, Any], given: dict[str, Any]) -> Recovered | None:
        try:
            return self._driver.run(conversation.settle(**given))
        except AdapterError:  # the journal's, which no task can do without
            raise
        except LifecycleError as error:  # one task's trouble is reported, and the others recovered
            return conversation.broken_off(error)

    def list(self, **query: str) -> Iterator[TaskSummary]:
        """Yield the service's tasks, page after page.

        Args:
            query: filters and the size of a page, as the service names them; or the page to begin with.
        Raises:
            ValueError: at once: no request can carry the query, or the page to begin with is no number.
            HttpError: a page cannot be read, or a hundred in a row are empty and yet not the last.
        """
        return self._listed(Paginator(self.binding, self.lifecycle, query))

    def _listed(self, pages: Paginator) -> Iterator[TaskSummary]:
        while not pages.is_done:
            yield from self._driver.run(pages.read(self.timing))

    def read(self, task_id: TaskId, *, details: bool = False) -> Response:
        """Read the task's status (or its details) in one request, and return the answer as it came.

        For those who keep a pace of their own: nothing is repeated, raised or recorded.
        """
        return self._driver.exchange(self._reading(task_id, details=details))

    def limited_by(self, gate: RateLimiter) -> Self:
        """Return this client with every request passing the gate; closing it closes nothing."""
        gated = copy.copy(self)
        gated._driver = self._driver.limited_by(gate)
        return gated

    def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- the asynchronous client --------------------------------------------------------------------


class AsyncTask(_Handle, Commands[Coroutine[Any, Any, CommandResult[str, str]]]):
    """As `Task`, to be awaited; made by `AsyncClient`."""

    def __init__(self, driver: AsyncDriver, conversation: TaskProcedures[Any, Any]) -> None:
        super().__init__(conversation)
        self._driver = driver

    def send(
        self,
        command: str,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> Coroutine[Any, Any, CommandResult[str, str]]:
        """As `Task.send`; UnknownName, TypeError and ValueError come at once, the rest when awaited."""
        context = _context(idempotency_key, origin, reason)
        in_flight_s = _seconds(wait_for_in_flight_s, "wait_for_in_flight_s") or 0.0
        return self._driver.run(self._conversation.command(command, fields, context, in_flight_s=in_flight_s))

    async def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> CommandResult[str, str] | None:
        """As `Task.recover`."""
        return await self._driver.run(self._conversation.recover(dead=_names(dead), in_flight_s=_longest_s(wait)))

    async def status(self) -> str:
        """As `Task.status`."""
        return await self._driver.run(self._conversation.status())

    async def allowed(self) -> tuple[str, ...]:
        """As `Task.allowed`."""
        return await self._driver.run(self._conversation.allowed())

    async def details(self) -> dict[str, Any]:
        """As `Task.details`."""
        return await self._driver.run(self._conversation.details())

    async def wait(
        self,
        until: Until = "settled",
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> TaskResult[str]:
        """As `Task.wait`; what `on_progress` returns is awaited where it can be."""
        actions = self._conversation.wait(until, _seconds(timeout_s, "timeout_s"), stop_at_unknown=_stops(on_unknown))
        return await self._driver.run(actions, on_progress)


class AsyncClient(_Configured):
    """As `Client`, for asyncio. `http` is an `httpx2.AsyncClient`.

    It may be used in any number of event loops, and closes its connections when one ends; with an `http` in the
    event loop in which that was first used, and raises ClientUnusable in others.
    """

    def __init__(
        self,
        api: str | HttpBinding[Any, Any],
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        lifecycle: Lifecycle[Any, Any] | None = None,
        timing: Timing | None = None,
        journal: Journal | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        given = sealed(api_key)
        del api_key
        super().__init__(api, base_url=base_url, lifecycle=lifecycle, timing=timing, journal=journal)
        _require(http, httpx2.AsyncClient | None, "http must be an httpx2.AsyncClient")
        self._driver = AsyncDriver(**self._connection(given), http=http)

    async def create(
        self,
        task: str | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> AsyncTask:
        """As `Client.create`."""
        body = fields if task is None else {"task": task, **fields}
        creating = self._creators()[0].create(
            body, labels=labels or {}, context=_context(idempotency_key, origin, reason)
        )
        return AsyncTask(self._driver, await self._driver.run(creating))

    async def adopt_create(self, create_id: str, task_id: TaskId) -> AsyncTask:
        """As `Client.adopt_create`."""
        return AsyncTask(self._driver, await self._driver.run(self._creators()[0].adopt(create_id, id_text(task_id))))

    async def abandon_create(self, create_id: str, *, reason: str = "") -> None:
        """As `Client.abandon_create`."""
        _require(reason, str, "reason must be text")
        await self._driver.run(self._creators()[0].abandon(create_id, reason))

    def task(self, task_id: TaskId) -> AsyncTask:
        """As `Client.task`."""
        return AsyncTask(self._driver, self._conversation(self.binding, task_id))

    def session(self, session_id: TaskId) -> AsyncTask:
        """As `Client.session`."""
        return AsyncTask(self._driver, self._session(session_id))

    async def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> builtins.list[Recovered]:
        """As `Client.recover`, several at a time."""
        given: dict[str, Any] = {"dead": _names(dead), "in_flight_s": _longest_s(wait)}
        at_a_time = asyncio.Semaphore(_RECOVERED_AT_A_TIME)

        async def settle(conversation: TaskProcedures[Any, Any]) -> Recovered | None:
            async with at_a_time:
                try:
                    return await self._driver.run(conversation.settle(**given))
                except AdapterError:  # the journal's, which no task can do without
                    raise
                except LifecycleError as error:  # one task's trouble is reported, and the others recovered
                    return conversation.broken_off(error)

        left_open = await asyncio.to_thread(self._open_commands)
        found = await asyncio.gather(*map(settle, left_open), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):  # only now: by then nothing is under way any more
                raise each
        commands = [each for each in found if isinstance(each, Recovered)]
        creates = [await self._driver.run(creator.recover(given["dead"])) for creator in self._creators()]
        return [*commands, *chain.from_iterable(creates)]

    def list(self, **query: str) -> AsyncGenerator[TaskSummary]:
        """As `Client.list`."""
        return self._listed(Paginator(self.binding, self.lifecycle, query))

    async def _listed(self, pages: Paginator) -> AsyncGenerator[TaskSummary]:
        while not pages.is_done:
            for listed in await self._driver.run(pages.read(self.timing)):
                yield listed

    async def read(self, task_id: TaskId, *, details: bool = False) -> Response:
        """As `Client.read`."""
        return await self._driver.exchange(self._reading(task_id, details=details))

    def limited_by(self, gate: RateLimiter) -> Self:
        """As `Client.limited_by`."""
        gated = copy.copy(self)
        gated._driver = self._driver.limited_by(gate)
        return gated

    async def close(self) -> None:
        """As `Client.close`."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


_RECOVERED_AT_A_TIME = 8


def _names(dead: Collection[str]) -> frozenset[str]:
    if isinstance(dead, str):
        raise TypeError(f"dead is a collection of names, such as {{{dead!r}}}, not one name")
    return frozenset(dead)


def _longest_s(wait: bool) -> float:
    """How long another worker's command is waited for: not at all, or as long as it takes."""
    return float("inf") if wait else 0.0


def _stops(on_unknown: OnUnknown) -> bool:
    if on_unknown not in ("raise", "continue"):
        raise ValueError(f"on_unknown must be 'raise' or 'continue', not {on_unknown!r}")
    return on_unknown == "raise"
