"""The part of both clients that needs no I/O: their settings, and the procedures made of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from lifecycle.effects import Response
from lifecycle.errors import nearest, not_made
from lifecycle.journal import Journal, Server
from lifecycle.lifecycle import Lifecycle
from lifecycle.process_bound import ProcessBound
from lifecycle.scope import base_name, scope_in
from lifecycle_adapters.argument_checks import TaskId, WrongValue, id_text, require, require_boolean
from lifecycle_adapters.http.base_url import server
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.creates import CreateProcedures
from lifecycle_adapters.http.further_calls import SessionProcedures
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.keys import Key, KeySource, usable_key
from lifecycle_adapters.http.redaction import Redactor
from lifecycle_adapters.http.retired import RetiredServiceWarning
from lifecycle_adapters.http.task_procedures import TaskProcedures
from lifecycle_adapters.procedures.arguments import usable_journal
from lifecycle_adapters.procedures.interpreter import Procedure, read
from lifecycle_adapters.procedures.timing import Timing
from lifecycle_adapters.services.registry import governing, service

# With defaults, so that a plain `Client` in an annotation is a client of any service.
S = TypeVar("S", bound=str, default=Any)
E = TypeVar("E", bound=str, default=Any)


class ConfiguredClient(ProcessBound, Generic[S, E]):
    """The part of both clients that needs no I/O: the settings, and the procedures made of them."""

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
        self._lifecycle: Lifecycle[S, E] = self._binding.in_scope(governing(self._binding, lifecycle))
        self._timing = Timing() if timing is None else timing
        require(self._timing, Timing, "timing must be a Timing(...)")
        self._journal = usable_journal(journal)
        self._redactor = Redactor()
        require(base_url, str | None, "base_url must be text such as 'https://host'")
        self._base_url = _url_of_server(self.binding, base_url)
        messages = None if self.binding.session_calls is None else self.binding.session_calls.messages
        more = [each.lifecycle for each in (self.binding.session, messages) if each is not None]
        self._server = Server(self.base_url, tuple(base_name(each.name) for each in (self.lifecycle, *more)))
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

    @property
    def server(self) -> Server:
        """The server in a journal, with the lifecycles of the tasks, the sessions and the messages, which it has."""
        return self._server

    def _driven_by(self, driver: Any) -> Self:
        """Return a client with the same settings and another driver."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), _driver=driver)
        return other

    def _connection(self, api_key: Key | None) -> dict[str, Any]:
        key = usable_key(self.binding, self.base_url, api_key)
        if not isinstance(key, KeySource):
            self._redactor.add(key)
        return {"base_url": self.base_url, "api_key": key, "timing": self.timing}

    def _id(self, task_id: TaskId) -> str:
        """Return an id of the caller's as text. Raises TypeError; ValueError if it contains the API key."""
        text = id_text(task_id)
        if self._redactor.text(text) != text:  # messages and the journal would show it
            raise ValueError("a task's id must not contain the client's API key")
        return text

    def _open(self, binding: HttpBinding[Any, Any], task_id: TaskId) -> TaskProcedures[Any, Any]:
        return self._procedures(binding, self._id(task_id))

    def _procedures(self, binding: HttpBinding[Any, Any], task_id: str) -> TaskProcedures[Any, Any]:
        lifecycle = self.lifecycle if binding is self.binding else binding.lifecycle
        return TaskProcedures(
            binding=binding,
            lifecycle=lifecycle,
            timing=self.timing,
            task_id=task_id,
            journal=self.journal.task(lifecycle, task_id, server=self.server),
            open_session=self._session if self._has_sessions else None,
        )

    @property
    def _has_sessions(self) -> bool:
        return self.binding.session is not None or self.binding.session_calls is not None

    def _reading(self, task_id: TaskId, *, details: bool) -> Procedure[Response]:
        task_id = self._id(task_id)
        require_boolean(details, "details")
        call = self.binding.details if details else self.binding.status
        return Procedure(read(HttpCall(self.binding, call, call.request(self.binding.base_path, task_id=task_id))))

    def _session(self, session_id: TaskId) -> TaskProcedures[Any, Any] | SessionProcedures:
        if self.binding.session is not None:
            return self._open(self.binding.session, session_id)
        if self.binding.session_calls is None:
            raise TypeError(f"{self.binding.name} has no sessions beside its tasks")
        return SessionProcedures(
            binding=self.binding,
            session_calls=self.binding.session_calls,
            timing=self.timing,
            session_id=self._id(session_id),
            open_task=partial(self._procedures, self.binding),
            open_messages=lambda binding: self._creates_of(binding, binding.lifecycle),
        )

    def _create_procedures(self) -> list[CreateProcedures]:
        """The creates of the tasks, of the sessions they run in, and of open messages to sessions. It may block."""
        return [self._creates_of(binding, lifecycle) for binding, lifecycle in self._lifecycles()]

    def _creates_of(self, binding: HttpBinding[Any, Any], lifecycle: Lifecycle[Any, Any]) -> CreateProcedures:
        return CreateProcedures(
            binding=binding,
            lifecycle=lifecycle,
            timing=self.timing,
            base_url=self.base_url,
            creates=self.journal.creates(lifecycle, server=self.server),
            open_task=partial(self._open, binding),
        )

    def _open_commands(self) -> list[TaskProcedures[Any, Any]]:
        """The tasks, the sessions they run in, and the messages to sessions that have an open command."""
        return [
            self._procedures(binding, task_id)
            for binding, lifecycle in self._lifecycles()
            for task_id in self.journal.open_tasks(lifecycle, server=self.server)
        ]

    def _add_server(self) -> None:
        """Record in the journal that the client's URL is a further one of its server. It may block."""
        self.journal.add_server(self.server)

    def _lifecycles(self) -> list[tuple[HttpBinding[Any, Any], Lifecycle[Any, Any]]]:
        session = self.binding.session
        sessions = [] if session is None else [(session, session.lifecycle)]
        return [(self.binding, self.lifecycle), *sessions, *self._open_messages()]

    def _open_messages(self) -> list[tuple[HttpBinding[Any, Any], Lifecycle[Any, Any]]]:
        """The messages to each session of which the journal has something open; one binding for each session."""
        messages = None if self.binding.session_calls is None else self.binding.session_calls.messages
        if messages is None:
            return []
        names = [each for each in self.journal.open_lifecycles() if base_name(each) == messages.lifecycle.name]
        (parameter,) = messages.parameters
        scopes = [scope for each in names if (scope := scope_in(each)) is not None and len(scope) == 1]
        filled = [messages.with_parameters({parameter: session_id}) for (session_id,) in scopes]
        return [(each, each.lifecycle) for each in filled]

    @property
    def lifecycles(self) -> tuple[Lifecycle[Any, Any], ...]:
        """The lifecycles of the tasks, of the sessions they run in, and of messages of which the journal has some open.

        If the service has messages, the journal is read, which may block.
        """
        return tuple(lifecycle for _, lifecycle in self._lifecycles())


def _url_of_server(binding: HttpBinding[Any, Any], base_url: str | None) -> str:
    """Return the URL of the server that a client is given by its name or URL, the service's own if by neither."""
    if base_url is None:
        return server(binding.base_url, binding.base_path)
    try:
        return server(binding.servers.get(base_url, base_url), binding.base_path)
    except WrongValue as error:
        if not binding.servers or "/" in base_url:
            raise
        close = nearest(base_url, binding.servers)  # what is like no name is not repeated: it may be a key
        meant = "" if close is None else f"; did you mean {close!r}?"
        names = ", ".join(map(repr, binding.servers))
        raise WrongValue(
            f"{error}; or it is the name of a server of {binding.name}: {names}{meant}", "base_url"
        ) from None
