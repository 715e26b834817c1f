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
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, Generic, cast

from pydantic import BeforeValidator, Field, TypeAdapter, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from lifecycle.declaration import Name, Path, StrictText
from lifecycle.documents import Document, read_json, read_yaml
from lifecycle.effects import Response
from lifecycle.errors import DefinitionError, DefinitionFinding, UnknownName
from lifecycle.findings import for_editors, made_from
from lifecycle.journal import check_time
from lifecycle.lifecycle import Lifecycle, read_file
from lifecycle.scope import base_name, scoped
from lifecycle.table import E, S
from lifecycle_adapters.argument_checks import WrongType, header_pairs, require, require_lifecycle
from lifecycle_adapters.http.authentication import Authentication, KeyVariable
from lifecycle_adapters.http.base_url import server
from lifecycle_adapters.http.binding_mistakes import calls_of, mistakes_in, wrong_further_calls
from lifecycle_adapters.http.call import CALL, Call, Code, ListCall, by_number, wrong_read
from lifecycle_adapters.http.declared import (
    Declared,
    FieldPath,
    Mistake,
    OfGeneric,
    OptionalPath,
    Texts,
    imported,
    parse,
    wrong_path,
)
from lifecycle_adapters.http.envelope import Envelope
from lifecycle_adapters.http.handshake import Handshake
from lifecycle_adapters.http.misspelt_options import OF_COMMANDS, OF_CREATES
from lifecycle_adapters.http.parameters import with_parameters
from lifecycle_adapters.http.requests import Request
from lifecycle_adapters.http.response_meaning import meaning_of
from lifecycle_adapters.http.responses import id_in, placed, value_at
from lifecycle_adapters.http.retired import Retired
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.http.webhook_binding import WebhookBinding


def _keep_lifecycle(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, Lifecycle):
        return cast("Any", value)  # parsed, it would become another one
    return Lifecycle.from_declaration(cast("dict[str, Any]", value)) if isinstance(value, dict) else read(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof(Declared):
    """The proof of a command that its task's own state does not prove: the state of a companion, such as a session.

    Attributes:
        binding: the companion's binding.
        id_field: where the task's details have the companion's id.
        event: a command of the companion. The task's command is proved once this one would be redundant.

    Raises:
        DefinitionError: a field has a wrong type, `id_field` is not a path, or `event` is not a command of the binding.
    """

    binding: Annotated[HttpBinding[Any, Any], OfGeneric, Field(description="the HttpBinding of the companion task")]
    id_field: FieldPath
    event: Annotated[StrictText, Field(description="the name of a command, as text such as 'stop'")]

    def __post_init__(self) -> None:
        self._examine("proof", str(self.event))

    def _mistakes(self) -> Iterator[Mistake]:
        yield from wrong_path(("id_field",), self.id_field)
        if self.event not in self.binding.commands:
            yield ("event",), f"{self.event!r} is not a command of {self.binding.name!r}"


_FURTHER = "a mapping of names to Calls, {'delete': Call(...)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCalls(Declared):
    """The sessions that tasks run in, one after another, if a session has no lifecycle of its own.

    In its calls `{id}` stands for the session's id.

    Attributes:
        details: the call that reads a session.
        latest_field: where its response has the id of the latest task.
        messages: the binding of the messages that wait in a session to become its next task; its one parameter is the
            session's id. None if there is no queue.
        task_state: the final state of a message that became a task, such as "consumed"; None if there is no queue.
        further_calls: calls about a session by their names, such as one that deletes it.

    Raises:
        DefinitionError: a field has a wrong type; a call names no session, or says where a status is; or the messages
            do not have exactly one parameter, or `task_state` is not one of their final states.
    """

    details: Annotated[Call, Field(description=CALL)]
    latest_field: FieldPath
    messages: Annotated[
        Annotated[HttpBinding[Any, Any], OfGeneric] | None,
        Field(description="the HttpBinding of the messages, or None"),
    ] = None
    task_state: Annotated[StrictText | None, Field(description="a state's name as text, or None")] = None
    further_calls: Annotated[Mapping[StrictText, Call], Field(description=_FURTHER)] = field(
        default_factory=dict[str, Call]
    )

    def __post_init__(self) -> None:
        self._examine("session_calls", self.latest_field)

    def _mistakes(self) -> Iterator[Mistake]:
        yield from wrong_read(("details",), self.details)
        yield from wrong_path(("latest_field",), self.latest_field)
        yield from wrong_further_calls({"details": self.details})
        yield from wrong_further_calls(self.further_calls)
        if self.messages is not None and len(self.messages.parameters) != 1:
            yield ("messages", "parameters"), "must be one, which stands for the session's id"
        ends = [] if self.messages is None else [str(each) for each in self.messages.lifecycle.final_states]
        if ends and self.task_state not in ends:
            yield ("task_state",), f"must be a final state of the messages ({', '.join(ends)}), not {self.task_state!r}"


def binding_in(document: Document) -> HttpBinding[str, str]:
    """Return the binding that a document declares. Raises DefinitionError, whose findings have their lines."""

    def made(value: Any) -> HttpBinding[str, str]:
        binding = parse(HttpBinding[str, str], value, "binding")
        if binding.scope:
            what = "must be left out: it has the texts for the `parameters`, which a client fills in"
            raise DefinitionError(
                binding.name, [DefinitionFinding("bad_value", "scope", what, ("scope",))], kind="binding"
            )
        return binding

    return made_from(document, made, kind="binding")


@dataclass(frozen=True, kw_only=True)
class HttpBinding(Declared, Generic[S, E]):
    """One service's calls, with the lifecycle of its tasks.

    A field of a response or a request is named by its path: "status.state" is the field `state` of the object in the
    field `status`.

    Attributes:
        name: the service's name, such as "printer".
        lifecycle: the lifecycle of its tasks.
        base_url: the server: http or https, without user, password, query and fragment.
        base_path: what every path begins with, such as "/api/v1"; "" for nothing.
        authentication: how the key is sent; None if the service asks for no key.
        create: the call that creates a task.
        status: the call that reads a task's status; it may be the same as `details`.
        details: the call that reads a whole task.
        commands: the call of each command.
        listing: the list of tasks; None if there is none, and then an uncertain create has no candidates.
        proofs: what proves those commands that the task's own state does not prove.
        session: the binding of the sessions that tasks run in, if sessions have a lifecycle of their own.
        session_field: where the details of a task, and perhaps other responses, have its session's id.
        session_calls: the calls about sessions that have no lifecycle of their own.
        events: the list of what a task has done, oldest first; its call names the task. Its `id_field` is where an
            event has its id; if it is None, events have none.
        further_calls: calls about a task that have no part in its lifecycle, by their names, such as one that deletes
            a task that is over.
        id_field: where a task has its id.
        output_field, cost_field: where the details have the task's output and its cost; None if they have none.
        envelope: the object around each result, as JSON-RPC has; the paths of all other fields but `error_field` begin
            in the result. None if there is none.
        handshake: the calls that come before a client's first request; None if there are none.
        error_field: where a 2xx response has an error, such as "error" of JSON-RPC: an object, whose field `code` is
            its code; a number, which is its code itself; or another value. But null, false, 0, "", {} and [] are no
            errors. An error is a refusal unless its code says otherwise (`error_codes`); a list of errors is one if all
            are. If the response to a create has an error and the id of a task, nobody knows what the create did.
        error_codes: the status codes for which the codes of errors stand, as in {-32001: 404, -32603: 500}: the first
            error means that there is no such task (or refuses a request that names no task, such as a create), the
            second that the request may have had an effect. A text or a float that equals the number counts as the
            number. The request may also have had an effect if the number is not among them and stands for a failing
            server: 408, 499, 500 to 599, or one that JSON-RPC reserves (-32768 to -32000) except the four that say that
            nothing was done (-32700 and -32600 to -32602). So it may if the service has `error_codes`, and an error has
            no code, has one that is not an integer, or is a number that is not among them.
        etag_field, etag_header: where the response of the status call names the version of the task: a field such as
            "metadata.resourceVersion", or a header such as "ETag". The calls of commands have it as `{etag}`.
        limits_tasks: texts of which one is in the detail of a 429, in any letter case, if it limits how many tasks or
            sessions there are at a time and not how many requests.
        created_field: where a listed task says when it was created (ISO 8601; UTC if it names no zone). A task that is
            more than a minute older than an uncertain create is not its own; the minute is for clocks that differ. A
            text without a time, such as "2026-11-30", stands for the whole day, one without minutes for the whole hour.
        changed_field: a field of the reads that changes whenever the status is set, such as "status.timestamp". A wait
            after a command ignores the state before the command until work is seen or this field changes; if it is
            None, until work is seen or the output changes. A time in whole seconds may stay equal if the work is
            shorter; the wait then goes on.
        task_field: the field of a create that says what to do, and that a listed task repeats. If it is None, a create
            takes no task, only fields.
        state_of: a function that returns the status if no field holds it, such as for Google's `done` and `error`. It
            is given what stands at the status field, which is the whole document for "". In a file it is
            `module:function`, imported from where `PYTHONPATH` says. If it raises, or returns no text, the response is
            invalid; a client removes the API key from what it raises or returns. It is called for each read, also in an
            event loop, so it must be quick and wait for nothing.
        headers: headers that are sent with every request, such as the version of the API.
        parameters: the names of the placeholders in paths that are the same for all requests of a client, such as
            "owner" for "/repos/{owner}". `with_parameters` fills them in.
        scope: the texts that were filled in. The lifecycle's name has them, too.
        webhooks: how the service signs its webhooks, and where their bodies have the task and its status; None if it
            sends none.
        stream: the call that opens the stream of a task's updates, and where its events have the task and its status;
            None if there is none.
        key_variable: the environment variable of the service's key; if it is None, the caller must give the key.
        servers: further servers by their names, such as "eu", which a client accepts as its `base_url`.
        retired: since when the service is retired; a client of the real service then warns.

    Raises:
        DefinitionError: the binding is not sound. It has all findings: a field has a wrong type or a wrong form; a
            command has no call, or there is a call or a proof for another one; a call about one task does not name it
            (`{id}`), or a create or a list names one; no response has the status; two fields contradict each other; or
            sessions or messages are at another server.
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
    session: Annotated[
        Annotated[HttpBinding[Any, Any], OfGeneric] | None,
        Field(description="the HttpBinding of the sessions, or None"),
    ] = None
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
    envelope: Annotated[
        Envelope | None, Field(description="an Envelope, such as Envelope(result_field='result'), or None")
    ] = None
    handshake: Annotated[
        Handshake | None, Field(description="a Handshake, such as Handshake(begin=..., header='Session'), or None")
    ] = None
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
    stream: Annotated[
        StreamBinding | None, Field(description="a StreamBinding, such as StreamBinding(call=..., ...), or None")
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
        self._examine("binding", str(self.name))

    def calls(self) -> dict[Path, Call]:
        """Return every call, with its path in this binding."""
        return calls_of(self)

    def _mistakes(self) -> Iterator[Mistake]:
        return mistakes_in(self)

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

        Raises TypeError if the URL is not text, ValueError if it is not that of a server.
        """
        asked = server(base_url, self.base_path)
        own = {server(each, self.base_path) for each in (self.base_url, *self.servers.values())}
        if self.retired is None or asked not in own:
            return None
        return f"{self.name!r} has been {self.retired}"

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
        return with_parameters(self, given)

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
            raise WrongType(f"{self.name}: the task is given as the field {min(given)!r}, too", "fields")
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
                what = f"{self.name}: with {', '.join(its_own)} it is {command!s}, a command of that task"
                raise WrongType(what, "fields")
        return self.create.request(self.base_path, fields=fields, idempotency_key=idempotency_key, options=OF_CREATES)

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
        return call.request(
            self.base_path,
            task_id=task_id,
            fields=fields,
            idempotency_key=idempotency_key,
            etag=etag,
            options=OF_COMMANDS,
        )

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
            raise ValueError(f"the lifecycle {lifecycle.name!r} does not fit {self.name!r}: {what}")
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

        Raises TypeError if the key is not text, ValueError if it is empty or no header can carry it. A service that
        takes no key ignores it.
        """
        key = {} if self.authentication is None else self.authentication.headers(api_key)
        return {**self.headers, **key}

    def status_at(self, document: Any, status_field: str | None) -> Any:
        """Return the status in a document: the field's value, or the result of `state_of` for it; None for no field.

        Raises every error of `state_of`, and TypeError if `status_field` is neither text nor None.
        """
        require(status_field, str | None, "status_field must be text such as 'status.state'")
        found = value_at(document, status_field)
        return found if self.state_of is None or status_field is None else self.state_of(found)

    def id_in(self, document: Any, path: str | None = None) -> str | None:
        """Return the task's id at a path (default: `id_field`); None if there is no id that the calls can carry.

        Raises TypeError if the path is neither text nor None.
        """
        require(path, str | None, "path must be text such as 'data.id'")
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
            headers: the response's headers, with names in any case, in an object of any class with `items`.
            content: the response's body.
            as_of: when the request was started, in UTC.
        Raises:
            TypeError: an argument has a wrong type.
            ValueError: `as_of` has no time zone, or is not in the years 1 to 9999 in UTC.
        """
        require(call, Call, "call must be a Call, such as binding.status")
        require(request, Request, "request must be a Request, such as binding.command_request('stop', 'id')")
        require(status_code, int, "status_code must be a number such as 200")
        by_name: dict[str, str] = {}
        for name, value in header_pairs(headers):
            by_name[name.lower()] = f"{by_name[name.lower()]}, {value}" if name.lower() in by_name else value
        require(content, bytes, "content must be bytes")
        check_time("as_of", as_of)
        return meaning_of(self, call, request, status_code=status_code, headers=by_name, content=content, as_of=as_of)
