"""Lifecycles over HTTP: a command becomes one request, a response becomes a status or a refusal.

Pure: nothing here sends anything, so a binding serves any HTTP client. services/ declares the built-in bindings,
client.py sends.

    request = V2.command_request(V2Event.STOP, task_id)
    response = my_client.request(request.method, base_url + request.path, params=request.query, json=request.body,
                                 headers={**V2.request_headers(api_key), **request.headers})
    outcome = V2.parse_response(V2.call(V2Event.STOP), request, status_code=response.status_code,
                                headers=response.headers, content=response.content, as_of=started_at)

Source of the rules about status codes: the numbered steps in lifecycle/command.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, Generic, cast

from pydantic import BeforeValidator, Field, TypeAdapter, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from lifecycle.declaration import Name, Path, StrictText
from lifecycle.documents import Document, read_json, read_yaml
from lifecycle.effects import Response
from lifecycle.errors import UnknownName
from lifecycle.findings import for_editors, made_from
from lifecycle.lifecycle import Lifecycle, read_file
from lifecycle.scope import base_name, scoped
from lifecycle.table import E, S
from lifecycle_adapters.argument_checks import require, require_lifecycle
from lifecycle_adapters.http.arguments import server
from lifecycle_adapters.http.authentication import Authentication, KeyVariable
from lifecycle_adapters.http.binding_mistakes import mistakes_in, wrong_further_calls
from lifecycle_adapters.http.call import CALL, Call, Code, ListCall, by_number, wrong_read
from lifecycle_adapters.http.declared import (
    Declared,
    FieldPath,
    Mistake,
    OptionalPath,
    Texts,
    examine,
    imported,
    parse,
    wrong_path,
)
from lifecycle_adapters.http.requests import Request, filled_text, parameters_of, quoted_id
from lifecycle_adapters.http.response_meaning import meaning_of
from lifecycle_adapters.http.responses import id_in, placed, value_at
from lifecycle_adapters.http.retired import Retired
from lifecycle_adapters.http.webhook_binding import WebhookBinding


def _keep_lifecycle(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    return cast("Any", value) if isinstance(value, Lifecycle) else parse(value)  # parsed, it would become another one


def _unfit(value: str | None) -> bool:
    return value is not None and quoted_id(value) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof(Declared):
    """The proof of a command that its task's own state does not prove: the state of a companion, such as a session.

    `binding` is the companion's binding. The field `id_field` of the task's details, which can be a path, holds the
    companion's id. The command is proved once the command `event` of the companion would be redundant.

    Raises:
        DefinitionError: a field has a wrong type, `id_field` is not a path, or `event` is not a command of the binding.
    """

    binding: Annotated[HttpBinding[Any, Any], Field(description="the HttpBinding of the companion task")]
    id_field: FieldPath
    event: Annotated[StrictText, Field(description="the name of a command, as text such as 'stop'")]

    def __post_init__(self) -> None:
        examine(self, "proof", str(self.event), self._mistakes)

    def _mistakes(self) -> Iterator[Mistake]:
        yield from wrong_path(("id_field",), self.id_field)
        if self.event not in self.binding.commands:
            yield ("event",), f"{self.event!r} is no command of {self.binding.name!r}"


_FURTHER = "a mapping of names to Calls, {'delete': Call(...)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCalls(Declared):
    """The sessions that tasks run in, one after another, if a session has no lifecycle of its own.

    In its calls `{id}` stands for the session's id. `details` reads a session, and `latest_field` is where its response
    has the id of the latest task. `messages` is the binding of the messages that wait in a session to become its next
    task, None if there is no queue; the session's id is its one parameter. `further_calls` are calls about a session by
    their names, such as one that deletes it.

    Raises:
        DefinitionError: a field is of another type; a call names no session, or says where a status is; or the messages
            have another number of parameters than one.
    """

    details: Annotated[Call, Field(description=CALL)]
    latest_field: FieldPath
    messages: Annotated[HttpBinding[Any, Any] | None, Field(description="the HttpBinding of the messages, or None")] = (
        None
    )
    further_calls: Annotated[Mapping[StrictText, Call], Field(description=_FURTHER)] = field(
        default_factory=dict[str, Call]
    )

    def __post_init__(self) -> None:
        examine(self, "session_calls", self.latest_field, self._mistakes)

    def _mistakes(self) -> Iterator[Mistake]:
        yield from wrong_read(("details",), self.details)
        yield from wrong_path(("latest_field",), self.latest_field)
        yield from wrong_further_calls({"details": self.details})
        yield from wrong_further_calls(self.further_calls)
        if self.messages is not None and len(self.messages.parameters) != 1:
            yield ("messages", "parameters"), "must be one, which stands for the session's id"


def binding_in(document: Document) -> HttpBinding[str, str]:
    """Return the binding that a document declares. Raises DefinitionError, whose findings have their lines."""
    return made_from(document, lambda value: parse(HttpBinding[str, str], value, "binding"), kind="binding")


@dataclass(frozen=True, kw_only=True)
class HttpBinding(Declared, Generic[S, E]):
    """One service's calls, with the lifecycle of its tasks.

    `listing` is None if the service has no list of tasks; an uncertain create then has no candidates. `session` is the
    binding of the sessions that tasks run in, if those have a lifecycle of their own, otherwise `session_calls`
    declares them; `session_field` is where the details of a task, and perhaps other responses, have its session's id.
    `events` is the list of what a task has done, whose call names the task. `further_calls` are calls about a task that
    have no part in its lifecycle, by their names, such as one that deletes a task that is over.
    `output_field` and `cost_field` are fields of the details, None if the service reports neither. A 429 whose detail
    contains one of `limits_tasks` (compared without case) limits how many tasks or sessions there are at a time, not
    the rate of calls.
    `changed_field` is a field of the reads that changes whenever the status is set, such as "status.timestamp"; None if
    there is none. A wait after a command passes over the state before it until work is seen, or this field changes
    (without it, the output).
    `created_field` is the field of a listed task that says when it was created (ISO 8601; UTC if it names no zone),
    `task_field` the field of a create that says what to do, which a listed task repeats; None if there is none, and
    then a create takes no task.
    Dots make each of these fields, and `id_field`, a path: "status.state" is the field `state` of the object in the
    field `status`.
    `state_of` is a function that is given what is at a status field ("" for the whole document) and returns the status,
    if no field holds it: for GitHub's `status` and `conclusion`, or Google's `done` and `error`. In a file it is
    `module:function`, which is imported, and found where `PYTHONPATH` says. A response from which it raises, or returns
    no text, is invalid. It is called for each read, also in an event loop: it should be quick, and wait for nothing.
    `error_field` is the field of a 2xx response that holds an error, as "error" of JSON-RPC; null, false, 0, "", {} and
    [] are none. An error is a refusal, unless `error_codes` has the number in its field `code`. They say which status
    code means the same: with {-32001: 404, -32603: 500} the task was not found, and nobody knows what a request did.
    Nobody knows either what a create did whose response has an error and the id of a task.
    `etag_field` or `etag_header` says where the response of the status call names the version of the task: a field such
    as "metadata.resourceVersion", or a header such as "ETag". Calls of commands have it as `{etag}`.
    `headers` are sent with every request, such as the version of the API.
    `parameters` are the names of what stands in the base path or the paths of calls, as {owner} in "/repos/{owner}",
    and is the same for all requests of a client, which fills it in (`with_parameters`). `scope` are the texts that were
    filled in; the lifecycle's name has them.
    `webhooks` says how the service signs its webhooks, and where they say what; None if it sends none.
    `authentication` is None if the service asks for no key. `key_variable` is where its key is found if the caller
    gives none; with None the caller must.
    `servers` are further servers of the service, by names such as "eu", which a client accepts as its `base_url`.
    `retired` says since when the service is retired: a client of the real one then warns.

    Raises:
        DefinitionError: a field is of another type; the name is empty; there is not one call for each command; a call
            about one task does not name it (`{id}`), or one about none names one; or the status is nowhere in the
            responses, or the base URL, the base path or a field's path is malformed, or a proof is of no command; or
            its sessions are at another server. A base URL is http or https, without user, password, query and fragment.
    """

    name: Annotated[StrictText, Field(description="text such as 'printer'")]
    lifecycle: Annotated[
        Lifecycle[S, E], WrapValidator(_keep_lifecycle), Field(description="a Lifecycle, such as lifecycle.get('v1')")
    ]
    base_url: Annotated[StrictText, Field(description="text such as 'https://host'")]
    base_path: Annotated[StrictText, Field(description="text such as '/api/v1', or '' for none")]
    authentication: Annotated[
        Authentication | None,
        Field(description="an Authentication, such as Authentication('X-API-Key'), or None"),
    ]
    create: Annotated[Call, Field(description=CALL)]
    status: Annotated[Call, Field(description=CALL)]
    details: Annotated[Call, Field(description=CALL)]
    commands: Annotated[
        Mapping[Name[E], Call], Field(description="a mapping of each command to a Call, {'stop': Call(...)}")
    ]
    listing: Annotated[
        ListCall | None,
        Field(
            description="a ListCall, such as ListCall(call=..., items_field='tasks', page_parameter='page'), or None"
        ),
    ] = None
    proofs: Annotated[
        Mapping[Name[E], Proof], Field(description="a mapping of commands to Proofs, {'stop': Proof(...)}")
    ] = field(default_factory=dict[E, Proof])
    session: Annotated[HttpBinding[Any, Any] | None, Field(description="the HttpBinding of the sessions, or None")] = (
        None
    )
    session_field: OptionalPath = None
    session_calls: Annotated[
        SessionCalls | None, Field(description="a SessionCalls, such as SessionCalls(details=..., ...), or None")
    ] = None
    events: Annotated[ListCall | None, Field(description="a ListCall whose call names the task, or None")] = None
    further_calls: Annotated[Mapping[StrictText, Call], Field(description=_FURTHER)] = field(
        default_factory=dict[str, Call]
    )
    id_field: FieldPath = "id"
    output_field: OptionalPath = None
    cost_field: OptionalPath = None
    error_field: OptionalPath = None
    error_codes: Annotated[
        Mapping[Code, Code],
        BeforeValidator(by_number),
        Field(description="a mapping of codes of errors to status codes, such as {-32001: 404}"),
    ] = field(default_factory=dict[int, int])
    etag_field: OptionalPath = None
    etag_header: Annotated[StrictText | None, Field(description="the name of a header, such as 'ETag', or None")] = None
    limits_tasks: Annotated[
        tuple[StrictText, ...], Field(description="several texts, in a tuple such as ('too many sessions',)")
    ] = ()
    created_field: OptionalPath = None
    changed_field: OptionalPath = None
    task_field: OptionalPath = "task"
    state_of: Annotated[
        Callable[[Any], Any] | None,
        BeforeValidator(imported),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        Field(description="a function, or its place as text such as 'mine.printer:status_of', or None"),
    ] = None
    headers: Annotated[Texts, Field(description="a mapping of text to text, such as {'Accept-Version': '2'}")] = field(
        default_factory=dict[str, str]
    )
    parameters: Annotated[
        tuple[StrictText, ...], Field(description="several names, in a tuple such as ('owner', 'repo')")
    ] = ()
    scope: Annotated[
        tuple[StrictText, ...], Field(description="several texts, in a tuple such as ('acme', 'web')")
    ] = ()
    webhooks: Annotated[
        WebhookBinding | None,
        Field(description="a WebhookBinding, such as WebhookBinding(signature=GITHUB, ...), or None"),
    ] = None
    key_variable: Annotated[
        KeyVariable | None,
        Field(description="a KeyVariable, such as KeyVariable('PRINTER_KEY', 'https://host'), or None"),
    ] = None

    servers: Annotated[Texts, Field(description="a mapping of names to URLs, such as {'eu': 'https://eu.host'}")] = (
        field(default_factory=dict[str, str])
    )
    retired: Annotated[
        Retired | None, Field(description="a Retired, such as Retired('2026-08', instead='v4'), or None")
    ] = None

    def __post_init__(self) -> None:
        examine(self, "binding", str(self.name), lambda: mistakes_in(self))

    def calls(self) -> dict[Path, Call]:
        """Return every call, with its path in this binding."""
        commands: dict[Path, Call] = {("commands", str(name)): call for name, call in self.commands.items()}
        reads: dict[Path, Call] = {("status",): self.status, ("details",): self.details}
        lists = {"listing": self.listing, "events": self.events}
        listed: dict[Path, Call] = {(name, "call"): each.call for name, each in lists.items() if each is not None}
        further: dict[Path, Call] = {("further_calls", name): call for name, call in self.further_calls.items()}
        return {("create",): self.create, **listed, **reads, **commands, **further}

    def __hash__(self) -> int:
        return hash((self.name, self.base_url, self.lifecycle))

    @classmethod
    def from_json(cls, text: str | bytes) -> HttpBinding[str, str]:
        """Read a binding, its lifecycle in it, from JSON: objects with the names of the fields.

        Raises:
            DefinitionError: the text is not JSON, or what it declares is not sound.
            TypeError: `text` is neither a text nor bytes.
        """
        return binding_in(read_json(text))

    @classmethod
    def from_yaml(cls, text: str | bytes) -> HttpBinding[str, str]:
        """Read a binding, its lifecycle in it, from YAML.

        Raises:
            DefinitionError: the text is not YAML, or what it declares is not sound.
            TypeError: `text` is neither a text nor bytes.
            MissingExtra: the extra `yaml` is not installed.
        """
        return binding_in(read_yaml(text))

    @classmethod
    def from_file(cls, path: str | FilePath) -> HttpBinding[str, str]:
        """Read a binding, its lifecycle in it, from a file: YAML if its name ends in .yaml or .yml, otherwise JSON.

        Raises:
            DefinitionError: the file is not JSON or YAML, or what it declares is not sound.
            MissingExtra: the file is YAML, and the extra `yaml` is not installed.
            OSError: the file cannot be read, or is a device.
        """
        return binding_in(read_file(path))

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """Return a JSON Schema of bindings, for editors to complete and check JSON and YAML files."""
        schema = TypeAdapter(HttpBinding[str, str]).json_schema()
        for part in (schema, *schema["$defs"].values()):
            part["description"], _, _ = part.get("description", "").partition("\n\nRaises:")  # only Python raises
        return for_editors(schema, "HttpBinding")

    def retirement(self, base_url: str) -> str | None:
        """Return a sentence that says that the service is retired; None if it is not, or the URL is another server's.

        Raises TypeError if the URL is not text.
        """
        require(base_url, str, "base_url must be text such as 'https://host'")
        if self.retired is None or base_url != server(self.base_url, self.base_path):
            return None
        return f"{self.name!r} is {self.retired}"

    def with_parameters(self, given: Mapping[str, str]) -> HttpBinding[S, E]:
        """Return a binding with these texts, percent-encoded, in its paths; this binding if it has no parameters.

        The lifecycle's name gets them, too, as `run[acme/web]`, so that a journal keeps apart the tasks of two
        repositories. The bindings of sessions and proofs get them likewise.

        Args:
            given: a text for each parameter, also of the sessions and proofs.
        Raises:
            ValueError: parameters are missing or unknown, or no path can carry the text of one; it names them all.
            TypeError: `given` is not a mapping of texts.
        """
        require(given, Mapping, "parameters must be a mapping, such as {'owner': 'acme'}")
        for name, value in given.items():
            require(value, str, f"the parameter {name!r} must be text")
        names = self._all_parameters()
        wrong = [f"{name!r} is missing" for name in names if name not in given]
        wrong += [f"{name!r} is unknown" for name in given if name not in names]
        wrong += [f"no path can carry {given[name]!r:.80} as {name!r}" for name in names if _unfit(given.get(name))]
        if wrong:
            known = f"its parameters are {', '.join(map(repr, names))}" if names else "it has no parameters"
            raise ValueError(f"{self.name}: {'; '.join(wrong)}; {known}")
        return self._filled(given)

    def _all_parameters(self) -> tuple[str, ...]:
        inner = [proof.binding for proof in self.proofs.values()]
        bindings: list[HttpBinding[Any, Any]] = [*inner, *([] if self.session is None else [self.session])]
        more = [name for each in bindings for name in each._all_parameters()]
        return tuple(dict.fromkeys([*self.parameters, *more]))

    def _filled(self, given: Mapping[str, str]) -> HttpBinding[S, E]:
        if not self._all_parameters():
            return self
        values = {f"{{{name}}}": str(quoted_id(given[name])) for name in self.parameters}
        scope = (*self.scope, *(given[name] for name in self.parameters))

        def fill(call: Call) -> Call:
            return replace(call, path=filled_text(call.path, values)) if parameters_of(call.path) else call

        proofs = {name: replace(proof, binding=proof.binding._filled(given)) for name, proof in self.proofs.items()}
        return replace(
            self,
            lifecycle=scoped(self.lifecycle, scope) if scope else self.lifecycle,
            scope=scope,
            base_path=filled_text(self.base_path, values),
            create=fill(self.create),
            status=fill(self.status),
            details=fill(self.details),
            listing=None if self.listing is None else replace(self.listing, call=fill(self.listing.call)),
            events=None if self.events is None else replace(self.events, call=fill(self.events.call)),
            further_calls={name: fill(call) for name, call in self.further_calls.items()},
            commands={name: fill(call) for name, call in self.commands.items()},
            proofs=proofs,
            session=None if self.session is None else self.session._filled(given),
            parameters=(),
        )

    def in_scope(self, lifecycle: Lifecycle[Any, Any]) -> Lifecycle[Any, Any]:
        """Return a lifecycle with the binding's parameters in its name, as a journal uses it; unchanged if it has them.

        Raises:
            TypeError: it is not a lifecycle.
            ValueError: its name has the parameters of another scope.
        """
        require_lifecycle(lifecycle)
        if not self.scope:
            return lifecycle
        named = scoped(lifecycle, self.scope)
        is_of_another = named is not lifecycle and base_name(lifecycle.name) != lifecycle.name
        if is_of_another and lifecycle.name != base_name(self.lifecycle.name):
            raise ValueError(f"the lifecycle {lifecycle.name!r} is of another scope than {self.lifecycle.name!r}")
        return named

    def create_fields(self, task: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a create: `fields`, and `task` (the work, as text) in the field `task_field`.

        Raises:
            TypeError: an argument has a wrong type; or there is a task, and the service's creates take none, or the
                fields already have it.
        """
        require(task, str | None, "task must be text")
        require(fields, Mapping, "fields must be a mapping, such as {'task': 'Buy milk'}")
        if task is None:
            return dict(fields)
        if self.task_field is None:
            raise TypeError(f"{self.name}: a create takes no task, only fields: its binding has no `task_field`")
        nested = placed({}, self.task_field, task)
        if given := nested.keys() & fields.keys():
            raise TypeError(f"{self.name}: the task is given as the field {min(given)!r}, too")
        return {**nested, **fields}

    def create_request(self, fields: Mapping[str, Any], *, idempotency_key: str | None = None) -> Request:
        """Return the request that creates a task with these fields.

        Args:
            fields: the fields of the body, see `create_fields`.
            idempotency_key: the text for `{idempotency_key}`; a new UUID if omitted.
        Raises:
            TypeError: an argument has a wrong type; a required field is missing, the create sets a field itself, a
                field is not JSON or is probably a misspelt option of the client; the create has no body, and there is a
                field; or a field belongs to a command that shares the create's path.
            ValueError: a parameter of the path has no value.
        """
        require(fields, Mapping, "fields must be a mapping, such as {'task': 'Buy milk'}")
        for command, call in self.commands.items():
            its_own = set(call.own_fields()).intersection(fields)
            if its_own and (call.method, call.path) == (self.create.method, self.create.path):
                raise TypeError(f"{self.name}: with {', '.join(its_own)} it is {command!s}, a command of that task")
        return self.create.request(self.base_path, fields=fields, idempotency_key=idempotency_key)

    def command_request(
        self,
        command: E,
        task_id: str,
        fields: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Request:
        """Return the request of a command.

        Args:
            command: the command.
            task_id: the task's id.
            fields: the caller's fields of the body.
            idempotency_key: the text for `{idempotency_key}`; a new UUID if omitted.
            etag: the text for `{etag}`, which names the version of the task.
        Raises:
            UnknownName: the service has no such command.
            ValueError: no request can carry this id; a parameter of the path has no value; or the command needs an
                etag, and there is none.
            TypeError: an argument has a wrong type; a required field is missing, the call sets a field itself, a field
                is not JSON or is probably a misspelt option of the client; or the call has no body, and there is a
                field.
        """
        call = self.call(command)
        return call.request(self.base_path, task_id=task_id, fields=fields, idempotency_key=idempotency_key, etag=etag)

    def governed_by(self, lifecycle: Lifecycle[Any, Any] | None) -> Lifecycle[Any, Any]:
        """Return the lifecycle that governs the tasks: `lifecycle`, or the service's own if that is None.

        Raises:
            TypeError: `lifecycle` is not a lifecycle.
            ValueError: it has a command for which the service has no call.
        """
        if lifecycle is None:
            return self.lifecycle
        require_lifecycle(lifecycle)
        if unknown := [str(command) for command in lifecycle.commands if command not in self.commands]:
            what = f"{self.name!r} has no call for {', '.join(map(repr, unknown))}"
            raise ValueError(f"the lifecycle {lifecycle.name!r} is not one of {self.name!r}: {what}")
        return lifecycle

    def call(self, command: E) -> Call:
        """Return the call of a command.

        Raises:
            UnknownName: the service has no such command.
            TypeError: the command is not text.
        """
        require(command, str, "command must be the name of a command")
        try:
            return self.commands[command]
        except KeyError:
            raise UnknownName("command", command, known=self.commands, where=self.name) from None

    def request_headers(self, api_key: str) -> dict[str, str]:
        """Return the headers of every request: those of the binding, and the one that carries the key.

        Raises TypeError if the key is not text.
        """
        require(api_key, str, "api_key must be text")
        key = {} if self.authentication is None else self.authentication.headers(api_key)
        return {**self.headers, **key}

    def status_at(self, document: Any, status_field: str | None) -> Any:
        """Return the status in a document: the field's value, or the result of `state_of` for it; None for no field.

        Raises every error of `state_of`.
        """
        found = value_at(document, status_field)
        return found if self.state_of is None or status_field is None else self.state_of(found)

    def id_in(self, document: Any, path: str | None = None) -> str | None:
        """Return the task's id at a path (default: `id_field`); None if there is no id that the calls can carry."""
        return id_in(document, path or self.id_field, keeps_slashes=self.ids_have_slashes)

    @property
    def ids_have_slashes(self) -> bool:
        """Whether ids have slashes that the paths of calls keep."""
        return any(call.keeps_slashes() for call in self.calls().values())

    def parse_response(
        self,
        call: Call,
        request: Request,
        *,
        status_code: int,
        headers: Mapping[str, str],
        content: bytes,
        as_of: datetime,
    ) -> Response:
        """Return the meaning of an HTTP response.

        It is Lost if the response is not JSON, has a key twice in one object, or lacks a field that it must have.

        Args:
            call: the call.
            request: its request, for messages.
            headers: the response's headers, looked up by lower-case names.
            content: the response's body.
            as_of: when the request was started, in UTC.
        """
        return meaning_of(self, call, request, status_code=status_code, headers=headers, content=content, as_of=as_of)
