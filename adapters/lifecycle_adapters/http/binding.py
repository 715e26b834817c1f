"""How lifecycles are spoken over HTTP: a command becomes one request, an answer a status or a refusal.

Pure: nothing here sends anything, so the tables serve any HTTP client. This file holds the shapes
and the two translations; v1.py to v4.py hold the tables; client.py sends.

    request = V2.command_request(V2Event.STOP, task_id)
    response = my_client.request(request.method, base_url + request.path, params=request.query,
                                 json=request.body, headers=V2.headers(api_key))
    answer = V2.parse_response(V2.call(V2Event.STOP), request, status_code=response.status_code,
                            headers=response.headers, content=response.content, as_of=started_at)

Source of the rules about status codes: "One command, as a pure protocol" in lifecycle/command.py.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Generic, cast
from urllib.parse import quote
from uuid import UUID

from lifecycle.effects import Accepted, Denied, Lost, Missing, Refused, Response, Throttled
from lifecycle.errors import UnknownName, nearest
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, S
from lifecycle_adapters.argument_checks import require_lifecycle
from lifecycle_adapters.http.arguments import server
from lifecycle_adapters.http.field_types import SEVERAL, Expected, require_types
from lifecycle_adapters.http.http_errors import (
    FieldError,
    Forbidden,
    InvalidResponse,
    NotFound,
    RateLimited,
    Redirected,
    RequestRejected,
    ResponseError,
    ServerError,
    Unauthorized,
)
from lifecycle_adapters.http.misspelt_options import option_meant

_ID = "{id}"
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
# Headers by which HTTP describes or routes the message, or that concern one connection alone (RFC 9110, 7.6.1 and
# 11.7): clients and proxies act on them, or take them out.
# fmt: off
_NOT_FOR_KEYS = frozenset({
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})
# fmt: on
_PLACEHOLDER = re.compile(r"\{\w*\}")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_UUID = re.compile(
    r"[0-9A-Fa-f]{8}(-?)(?:[0-9A-Fa-f]{4}\1){3}[0-9A-Fa-f]{12}"
)  # the class accepts much more than these
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_ID = 32_768  # characters, percent-encoded; httpx2 refuses URLs of more than 65,536


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send except for the key. `path` is percent-encoded and starts with the base path.

    `task_id` is the task that it names, None if it names none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, Any] | None = None
    task_id: str | None = field(default=None, compare=False)  # the path, the query or the body says it, too


@dataclass(frozen=True, slots=True)
class Authentication:
    """Where the key goes: `header: prefix + key`.

    Raises:
        TypeError: a field is no text.
        ValueError: no request can have such a header, or it is one of HTTP itself, such as Content-Length.
    """

    header: str
    prefix: str = ""

    def __post_init__(self) -> None:
        require_types(self, "authentication", _FIELDS[Authentication])
        if not _HEADER_NAME.fullmatch(self.header):
            raise ValueError(f"authentication: {self.header!r} cannot be a header's name: give one like 'X-API-Key'")
        if self.header.casefold() in _NOT_FOR_KEYS:
            what = "is for HTTP itself, and no key can be sent in it"
            raise ValueError(f"authentication: the header {self.header!r} {what}: give one like 'X-API-Key'")
        if not (self.prefix.isascii() and self.prefix.isprintable()) or self.prefix.startswith(" "):
            raise ValueError(f"authentication: no header can carry the prefix {self.prefix!r}: give one like 'Bearer '")

    def headers(self, api_key: str) -> dict[str, str]:
        """Return the header that carries the key."""
        return {self.header: f"{self.prefix}{api_key}"}


@dataclass(frozen=True, slots=True)
class KeyVariable:
    """The environment variable that holds a service's key, and the server, such as "https://host", that it is for.

    Raises:
        TypeError: a field is no text.
        ValueError: no environment variable can have that name, or the server is no URL that a binding can have.
    """

    name: str
    server: str

    def __post_init__(self) -> None:
        require_types(self, "key variable", _FIELDS[KeyVariable])
        if not (self.name and self.name.isprintable() and {"=", " "}.isdisjoint(self.name)):
            what = f"must be the name of an environment variable, such as 'PRINTER_KEY', not {self.name!r}"
            raise ValueError(f"key variable: `name` {what}")
        server(self.server, "", name="key variable: `server`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a service, as a template in which `{id}` stands for the task's id.

    `required_fields` names the body fields that the caller must give. `optional_fields` names those that are like an
    option of the client, such as `key` or `label`; undeclared, such a field is taken for a misspelt option.
    `status_field` is the field of the response that holds the status, "" if the whole response is the status, None
    if it carries none. Dots make it a path: "status.state" is the field `state` of the object in the field `status`.
    `repeats_id` is False if the field in which other responses of the service carry the task's id holds the id
    of something else in this call's: a response about another task is invalid.

    Raises:
        TypeError: a field is of another type: query and body are mappings of text, names stand in a tuple.
        ValueError: the method is none of GET, POST, PUT, PATCH and DELETE; the path does not begin with a slash, has
            an empty or a dot segment, or has a query of its own; there is another placeholder than `{id}`; fields are
            taken without a body, or one has no name; `status_field` is no field or path; or no request can carry a
            text, as a control character in the path.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, str] | None = None
    required_fields: tuple[str, ...] = ()
    optional_fields: tuple[str, ...] = ()
    status_field: str | None = None
    repeats_id: bool = True

    def __post_init__(self) -> None:
        where = f"call {_shown(self.method)} {_shown(self.path)}"
        require_types(self, where, _FIELDS[Call])
        if wrong := next(self._mistakes(), None):
            raise ValueError(f"{where}: {wrong}")

    def _mistakes(self) -> Iterator[str]:
        if self.method not in _METHODS:
            yield f"the method must be one of {', '.join(_METHODS)}"
        if not self.path.startswith("/") or not set("?# ").isdisjoint(self.path):
            yield "the path must begin with '/' and have no '?', '#' or space; a query is given as `query`"
        if not self.path.isprintable():
            yield f"the path must be printable, without control characters, not {self.path!r}"
        if _is_changed_when_sent(self.path):
            yield "the path must have no '//', '/./' or '/../': an HTTP client would send another path"
        for template in self._templates():
            if strange := set(_PLACEHOLDER.findall(template)) - {_ID}:
                yield f"unknown placeholder {min(strange)!r}: the only one is {_ID!r}"
        for name, names in (("required_fields", self.required_fields), ("optional_fields", self.optional_fields)):
            if "" in names:
                yield f"`{name}` has an empty name"
            if names and self.body is None:
                yield f"`{name}` names fields of a body, and there is none: give body={{}}"
        yield from _unsendable("`query`", self.query, self.query.values())
        yield from _unsendable("`body`", (), (*(self.body or {}), *(self.body or {}).values()))
        yield from _wrong_path("status_field", self.status_field, may_be_whole=True)

    def _templates(self) -> tuple[str, ...]:
        return (self.path, *self.query.values(), *(self.body or {}).values())

    def request(self, base_path: str, *, task_id: str = "", fields: Mapping[str, Any] | None = None) -> Request:
        """Fill the template in.

        Args:
            base_path: what stands before every path of the service.
            task_id: the id for `{id}`; any text that a service may use as an id.
            fields: further fields of the JSON body.
        Raises:
            ValueError: the call names a task, and no request can carry this id.
            TypeError: a field is missing that the call takes, or given that it sets itself, or is no
                JSON, or is probably a misspelt option of the client; or fields are given to a call without a body.
        """
        fields = fields or {}
        self._require_fields(fields)
        quoted, names_a_task = _quoted(task_id), self.names_a_task()
        if quoted is None and names_a_task:
            raise ValueError(f"{task_id[:80]!r} is no task id")
        body = None if self.body is None else {**_filled(self.body, task_id), **fields}
        path = base_path + self.path.replace(_ID, quoted or "")
        return Request(self.method, path, _filled(self.query, task_id), body, task_id if names_a_task else None)

    def names_a_task(self) -> bool:
        """Whether the path, the query or the body says which task it is about."""
        return any(_ID in template for template in self._templates())

    def _require_fields(self, fields: Mapping[str, Any]) -> None:
        if not fields and not self.required_fields:
            return
        call = f"{self.method} {self.path}"
        if missing := [name for name in self.required_fields if name not in fields]:
            raise TypeError(f"{call} needs {', '.join(missing)}")
        if fields and self.body is None:
            raise TypeError(f"{call} takes no fields, but got {', '.join(fields)}")
        # What makes the call this command of this task is not the caller's to change.
        if own := [name for name in fields if name in (self.body or {})]:
            raise TypeError(f"{call} sets {', '.join(own)} itself")
        for name in fields:
            if name not in (*self.required_fields, *self.optional_fields) and (option := option_meant(name)):
                what = f"{name!r} is no option and would be sent as a field; did you mean {option!r}?"
                raise TypeError(f"{call}: {what} (If not, name the field in the call's `optional_fields`.)")
        try:
            json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"{call}: the fields are no JSON: {error}") from None


def _is_changed_when_sent(path: str) -> bool:
    """Whether it has an empty or a dot segment, which HTTP clients and servers take out."""
    inner, last = path.split("/")[1:-1], path.rpartition("/")[2]
    return "" in inner or not {".", ".."}.isdisjoint([*inner, last])


def _unsendable(where: str, names: Iterable[str], values: Iterable[str]) -> Iterator[str]:
    """Yield what no request can carry: a name that is empty or not printable, a value that is no Unicode text."""
    for name in names:
        if not (name and name.isprintable()):
            yield f"{where} must name its parameters by printable text, such as 'task_id', not {name!r}"
    for value in values:
        if _SURROGATE.search(value):
            yield f"{where} must be text that UTF-8 can encode, not {value!r}"


def _shown(part: Any) -> str:
    """A part of a call as a message can show it: nothing in it can break a line or steer a terminal."""
    return part if isinstance(part, str) and part.isprintable() else f"{part!r:.80}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCall:
    """The call that lists tasks, and how its pages are turned.

    `items_field` is the field of the response that holds the tasks, "" if the whole response is their list.
    `page_parameter` is the query parameter that names a page: its number, counted from 1, or where `next_field`
    names a field of the response, what that field of the page before holds. Both fields can be paths, as "page.next".

    Raises:
        TypeError: a field is of another type.
        ValueError: `page_parameter` is empty or not printable.
    """

    call: Call
    items_field: str
    page_parameter: str
    next_field: str | None = None

    def __post_init__(self) -> None:
        require_types(self, "list call", _FIELDS[ListCall])
        if not (self.page_parameter and self.page_parameter.isprintable()):
            what = f"must be printable text such as 'page', not {self.page_parameter!r}"
            raise ValueError(f"list call: `page_parameter` {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Where to read whether a command took effect that its task's own state does not prove.

    The command is proved when `event` would be redundant for the companion task of the lifecycle
    that `binding` speaks, whose id stands at `id_field`, which can be a path, in the details of the task.

    Raises:
        TypeError: a field is of another type.
    """

    binding: HttpBinding[Any, Any]
    id_field: str
    event: str

    def __post_init__(self) -> None:
        require_types(self, "proof", _FIELDS[Proof])


@dataclass(frozen=True, kw_only=True)
class HttpBinding(Generic[S, E]):
    """One service's calls, with the lifecycle of its tasks.

    `session` speaks of the sessions that tasks run in, where those have a life of their own. `output_field` and
    `cost_field` are fields of the details, None where the service tells neither. A 429 whose detail contains one of
    `limits_tasks` (compared without case) limits how many tasks or sessions there are at a time, not the rate of calls.
    `created_field` is the field of a listed task that says when it was created (ISO 8601; UTC if it names no zone),
    `task_field` the field of a create that says what to do, which a listed task repeats; None if there is none.
    Dots make each of these fields, and `id_field`, a path: "status.state" is the field `state` of the object in the
    field `status`.
    `authentication` is None if the service asks for no key. `key_variable` is where its key is found if the caller
    gives none; with None the caller must.

    Raises:
        TypeError: a field is of another type: a key's header is an `Authentication`, names stand in a tuple.
        ValueError: the name is empty; there is not one call for each command; a call about one task does not name it
            (`{id}`), or one about none names one; or the status is nowhere in the responses, or the base URL, the base
            path, a field's path or a proof is malformed; or its sessions are at another server. A base URL is http or
            https, without user, password, query and fragment.
    """

    name: str
    lifecycle: Lifecycle[S, E]
    base_url: str
    base_path: str
    authentication: Authentication | None
    create: Call
    status: Call
    details: Call
    listing: ListCall
    commands: Mapping[E, Call]
    proofs: Mapping[E, Proof] = field(default_factory=dict[E, Proof])
    session: HttpBinding[Any, Any] | None = None
    id_field: str = "id"
    output_field: str | None = None
    cost_field: str | None = None
    limits_tasks: tuple[str, ...] = ()
    created_field: str | None = None
    task_field: str | None = "task"
    key_variable: KeyVariable | None = None

    def __post_init__(self) -> None:
        where = f"binding {self.name!r:.80}"
        require_types(self, where, _FIELDS[HttpBinding])
        if wrong := next(self._mistakes(), None):
            raise ValueError(f"{where}: {wrong}")

    def _wrong_commands(self) -> Iterator[str]:
        known, given = [str(each) for each in self.lifecycle.commands], [str(each) for each in self.commands]
        for name in given:
            if name not in known:
                hint = "" if (meant := nearest(name, known)) is None else f"; did you mean {meant!r}?"
                yield f"`commands` has {name!r}, which is no command of {self.lifecycle.name!r}{hint}"
        if missing := [name for name in known if name not in given]:
            yield f"`commands` has no call for {', '.join(map(repr, missing))}"

    def _mistakes(self) -> Iterator[str]:
        yield from self._wrong_texts()
        yield from self._wrong_commands()
        if self.status.status_field is None or not self.details.status_field:
            yield "where do the status and the details carry the status?"
        if self.session is not None and self.session.base_url != self.base_url:
            servers = f"its session is at {self.session.base_url}, and it is at {self.base_url}"
            yield f"{servers}: one client asks one server, so give both its base_url"
        yield from self._wrong_paths()
        calls = {
            "status": self.status,
            "details": self.details,
            **{str(name): at for name, at in self.commands.items()},
        }
        for name, call in calls.items():
            if not call.names_a_task():  # it would be sent to all tasks at once
                yield f"{name!r} is {call.method} {call.path}, which does not name its task: where does {_ID!r} stand?"
        if self.listing.call.status_field is not None:
            yield "a list has no status of its own: its call has no `status_field`"
        for name, call in {"create": self.create, "listing": self.listing.call}.items():
            if call.names_a_task():
                yield f"{name!r} is {call.method} {call.path}, which names a task, and there is none"
        for command, proof in self.proofs.items():
            if command not in self.commands:
                yield f"a proof of {str(command)!r}, which is no command"
            elif proof.event not in proof.binding.commands:
                yield f"the proof of {str(command)!r} is {proof.event!r}, which is no command of {proof.binding.name!r}"

    def _wrong_texts(self) -> Iterator[str]:
        if not self.name:
            yield "`name` must not be empty: give one such as 'printer'"
        if "" in self.limits_tasks:
            yield "`limits_tasks` has an empty text, which every response contains"
        if _is_changed_when_sent(self.base_path):
            yield f"base_path must have no '//', '/./' or '/../', not {self.base_path!r}"
        if not (self.base_path.isprintable() and set("?# {}").isdisjoint(self.base_path)):
            yield f"base_path must be printable, without '?', '#', space and braces, not {self.base_path!r}"
        try:
            server(self.base_url, self.base_path)
        except ValueError as error:
            yield str(error)
        if self.base_path and (not self.base_path.startswith("/") or self.base_path.endswith("/")):
            yield f"base_path must be empty, or begin with '/' and not end with it, not {self.base_path!r}"

    def _wrong_paths(self) -> Iterator[str]:
        yield from _wrong_path("listing.items_field", self.listing.items_field, may_be_whole=True)
        paths = {
            "id_field": self.id_field,
            "listing.next_field": self.listing.next_field,
            "output_field": self.output_field,
            "cost_field": self.cost_field,
            "created_field": self.created_field,
            "task_field": self.task_field,
        }
        for name, path in paths.items():
            yield from _wrong_path(name, path)
        for command, proof in self.proofs.items():
            yield from _wrong_path(f"proofs[{str(command)!r}].id_field", proof.id_field)

    def create_request(self, fields: Mapping[str, Any]) -> Request:
        """Return the request that creates a task with these fields.

        Raises:
            TypeError: as `Call.request`, or the fields make it a command, which is given to a task.
        """
        for command, call in self.commands.items():
            its_own = set(call.body or {}).intersection(fields)
            if its_own and (call.method, call.path) == (self.create.method, self.create.path):
                raise TypeError(f"{self.name}: with {', '.join(its_own)} it is {command!s}, a command of that task")
        return self.create.request(self.base_path, fields=fields)

    def command_request(self, command: E, task_id: str, fields: Mapping[str, Any] | None = None) -> Request:
        """Return the one request that a command is.

        Raises:
            UnknownName: the service has no such command.
            TypeError, ValueError: as `Call.request`.
        """
        return self.call(command).request(self.base_path, task_id=task_id, fields=fields)

    def governed_by(self, lifecycle: Lifecycle[Any, Any] | None) -> Lifecycle[Any, Any]:
        """Return the lifecycle to go by: the one given, or the service's own for None.

        Raises:
            TypeError: it is no lifecycle.
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
        """Return the call that a command is. Raises UnknownName."""
        try:
            return self.commands[command]
        except KeyError:
            raise UnknownName("command", command, known=self.commands, where=self.name) from None

    def headers(self, api_key: str) -> dict[str, str]:
        """Return the headers that authenticate a request; none if the service asks for no key."""
        return {} if self.authentication is None else self.authentication.headers(api_key)

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
        """Say what an HTTP answer means.

        One that is no JSON, has a key twice in one object, or lacks what it must carry, is lost.

        Args:
            call: the call that was made.
            request: what was sent, for messages.
            headers: the answer's, looked up by lower-case names.
            content: the answer's body.
            as_of: when the request was started, in UTC.
        """
        if not 200 <= status_code < 300:
            error = _error(request, status_code, headers, content, as_of)
            return _failure(error, limits_rate=not self._limits_tasks(error))
        try:
            # v1 documents an empty body where its example shows `{}`.
            document: Any = _parsed(content) if content or call.status_field is not None else {}
        except _DuplicateKey as error:
            what = f"the response has the key {error.key[:80]!r} twice in one object"
            return Lost(InvalidResponse(what, method=request.method, path=request.path))
        except (ValueError, RecursionError):
            kind = headers.get("content-type", "")
            if call.status_field is not None or request.method == "GET" or not _is_plain_text(content, kind):
                what = "the answer is not JSON" + (
                    f" but {_one_line(kind)}; is a proxy in between?" if "html" in kind else ""
                )
                return Lost(InvalidResponse(what, method=request.method, path=request.path))
            document = {}  # nothing is read from it: a text such as "OK" says no more than its 2xx
        other = None if request.task_id is None or not call.repeats_id else id_in(document, self.id_field)
        if other is not None and not _is_same_id(other, request.task_id or ""):
            what = f"the response is about another task, {other[:80]!r}"
            return Lost(InvalidResponse(what, method=request.method, path=request.path))
        status = value_at(document, call.status_field)
        if call.status_field is not None and not isinstance(status, str):
            where = call.status_field or "the answer"
            return Lost(InvalidResponse(f"no status at {where!r}", method=request.method, path=request.path))
        return Accepted(status, as_of, value_at(document, self.output_field), document)

    def _limits_tasks(self, error: ResponseError) -> bool:
        detail = error.detail.casefold()
        return any(part.casefold() in detail for part in self.limits_tasks)


# --- the types of what is declared --------------------------------------------------------------

_FIELD = Expected(str, "a field or a path, as text such as 'status.state'")
_FIELD_OR_NONE = Expected(str | None, "a field or a path, as text such as 'status.state', or None")
_TEXTS = "a mapping of text to text, such as {'action': 'stop'}"
_CALL = "a Call, such as Call(method='GET', path='/tasks/{id}')"
_LIST_CALL = "a ListCall, such as ListCall(call=..., items_field='tasks', page_parameter='page')"
_AUTHENTICATION = "an Authentication, such as Authentication('X-API-Key'), or None"
_KEY_VARIABLE = "a KeyVariable, such as KeyVariable('PRINTER_KEY', 'https://host'), or None"
_NAMES = Expected(SEVERAL, "several names, in a tuple such as ('task',)", each=str)

# fmt: off
_FIELDS: dict[type, dict[str, Expected]] = {
    Authentication: {
        "header": Expected(str, "the name of a header, as text such as 'X-API-Key'"),
        "prefix": Expected(str, "text such as 'Bearer '"),
    },
    KeyVariable: {
        "name":   Expected(str, "the name of an environment variable, as text such as 'PRINTER_KEY'"),
        "server": Expected(str, "text such as 'https://host'"),
    },
    Call: {
        "method":          Expected(str, "text such as 'GET'"),
        "path":            Expected(str, "text such as '/tasks/{id}'"),
        "query":           Expected(Mapping, _TEXTS, each=str),
        "body":            Expected(Mapping | None, f"{_TEXTS}, or None", each=str),
        "required_fields": _NAMES,
        "optional_fields": _NAMES,
        "status_field":    _FIELD_OR_NONE,
        "repeats_id":      Expected(bool, "True or False"),
    },
    ListCall: {
        "call":           Expected(Call, _CALL),
        "items_field":    _FIELD,
        "page_parameter": Expected(str, "the name of a query parameter, as text such as 'page'"),
        "next_field":     _FIELD_OR_NONE,
    },
    Proof: {
        "binding":  Expected(HttpBinding, "the HttpBinding of the companion task"),
        "id_field": _FIELD,
        "event":    Expected(str, "the name of a command, as text such as 'stop'"),
    },
    HttpBinding: {
        "name":           Expected(str, "text such as 'printer'"),
        "lifecycle":      Expected(Lifecycle, "a Lifecycle, such as lifecycle.get('v1')"),
        "base_url":       Expected(str, "text such as 'https://host'"),
        "base_path":      Expected(str, "text such as '/api/v1', or '' for none"),
        "authentication": Expected(Authentication | None, _AUTHENTICATION),
        "create":         Expected(Call, _CALL),
        "status":         Expected(Call, _CALL),
        "details":        Expected(Call, _CALL),
        "listing":        Expected(ListCall, _LIST_CALL),
        "commands":       Expected(Mapping, "a mapping of each command to a Call, {'stop': Call(...)}", each=Call),
        "proofs":         Expected(Mapping, "a mapping of commands to Proofs, {'stop': Proof(...)}", each=Proof),
        "session":        Expected(HttpBinding | None, "the HttpBinding of the sessions, or None"),
        "id_field":       _FIELD,
        "output_field":   _FIELD_OR_NONE,
        "cost_field":     _FIELD_OR_NONE,
        "limits_tasks":   Expected(SEVERAL, "several texts, in a tuple such as ('too many sessions',)", each=str),
        "created_field":  _FIELD_OR_NONE,
        "task_field":     _FIELD_OR_NONE,
        "key_variable":   Expected(KeyVariable | None, _KEY_VARIABLE),
    },
}
# fmt: on


# --- what a response contains -------------------------------------------------------------------


def _is_plain_text(content: bytes, kind: str) -> bool:
    """Return whether a body is a text such as "OK", and not JSON that is damaged or a page of a proxy."""
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        return False
    return not ("json" in kind or "html" in kind or text.startswith(("{", "[", '"', "<")))


class _DuplicateKey(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _parsed(content: bytes) -> Any:
    """Parse JSON. Raises ValueError or RecursionError; _DuplicateKey if one of two values must be the wrong one."""
    return _DECODER.decode(content.decode(json.detect_encoding(content), "surrogatepass"))  # as `json.loads` does


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _DuplicateKey(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)  # it takes 1.4 to 1.7 times as long as one without the hook


def _is_same_id(one: str, other: str) -> bool:
    """Return whether two ids are equal, or are one UUID: services accept it in capitals, and without its hyphens."""
    if one == other:
        return True
    return bool(_UUID.fullmatch(one) and _UUID.fullmatch(other)) and UUID(one) == UUID(other)


def _wrong_path(name: str, path: str | None, *, may_be_whole: bool = False) -> Iterator[str]:
    """Yield what is wrong with the path of a field; None names no field."""
    if path is None or (may_be_whole and path == ""):
        return
    if "" in path.split("."):
        yield f"`{name}` must be a field or a path such as 'status.state', without an empty part, not {path!r}"


def value_at(document: Any, path: str | None) -> Any:
    """Return what is at a path such as "status.state", the whole document for "", None if nothing is there."""
    if path is None:
        return None
    found: Any = document
    for name in path.split(".") if path else ():
        if not isinstance(found, dict):
            return None
        found = cast("dict[str, Any]", found).get(name)
    return found


def id_in(document: Any, path: str) -> str | None:
    """Return the id at a path (a number as text), None if there is none that can be sent."""
    found = value_at(document, path)
    text = str(found) if type(found) is int else found
    return text if isinstance(text, str) and _quoted(text) is not None else None


# --- answers that are no ------------------------------------------------------------------------

# Redirects by which a service may say "it is done, look there" (RFC 9110, 15.4); only 303 must mean that, but web
# frameworks answer a form with 302. A 307 or 308 means that the request is to be sent elsewhere: nothing is done.
_MAY_BE_DONE = frozenset({300, 301, 302, 303, 304})

_ERRORS: dict[int, type[ResponseError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: ServerError,
    429: RateLimited,
    499: ServerError,  # of a proxy: its caller went away while the service may have worked
}
_LONGEST_DETAIL = 500  # characters of foreign text in a message


def _error(
    request: Request, status_code: int, headers: Mapping[str, str], content: bytes, as_of: datetime
) -> ResponseError:
    kind = _ERRORS.get(status_code) or (ServerError if status_code >= 500 else RequestRejected)
    if status_code in _MAY_BE_DONE and request.method != "GET":
        kind = Redirected
    detail, fields = _detail(content, headers)
    error = kind(method=request.method, path=request.path, status_code=status_code, detail=detail, fields=fields)
    error.retry_after_s = retry_after_s(headers, as_of=as_of)
    return error


def _failure(error: ResponseError, *, limits_rate: bool) -> Response:
    match error:
        case Unauthorized() | Forbidden():
            return Denied(error, error.retry_after_s)
        case NotFound():
            return Missing(error, error.retry_after_s)
        case RateLimited():
            return Throttled(error, error.retry_after_s, limits_rate)
        case ServerError() | Redirected():
            return Lost(error, error.retry_after_s)
        case _:
            return Refused(error, error.retry_after_s)


def _detail(content: bytes, headers: Mapping[str, str]) -> tuple[str, tuple[FieldError, ...]]:
    """What an error answer says: one line of text, and the fields it names (v1's and the later shape alike)."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    found: Any = value_at(document, "detail") or value_at(document, "message") or value_at(document, "error")
    match found:
        case [*items]:
            fields = tuple(_field_error(each) for each in items)
            return _one_line("; ".join(map(str, fields))), fields
        case None:
            location = headers.get("location")
            text = f"redirected to {location}" if location else content.decode("utf-8", "replace")
        case _:
            text = str(found)
    return _one_line(text) or "no details given", ()


def _one_line(text: str) -> str:
    """Foreign text as it may stand in a message: nothing in it can break a log's line or steer a terminal."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 2 * _LONGEST_DETAIL])
    return " ".join(printable.split())[:_LONGEST_DETAIL]


def _field_error(item: Any) -> FieldError:
    match value_at(item, "loc"):
        case [*parts]:
            where = ".".join(map(str, parts))
        case _:
            where = "?"
    return FieldError(where, str(value_at(item, "msg") or item), str(value_at(item, "type") or "?"))


def retry_after_s(headers: Mapping[str, str], *, as_of: datetime) -> float | None:
    """Return the pause that `retry-after` asks for, in seconds, from 0 to a day; None if it asks for none.

    A date is counted from the response's own `date`, so that the two clocks need not agree; from `as_of`, when
    the request was started, if it has none.
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value) if value.isascii() else math.nan
    except ValueError:
        until_at = _date(value)
        if until_at is None:
            return None
        seconds = (until_at - (_date(headers.get("date", "")) or as_of)).total_seconds()
    # No service means more than a day; 1e300 is a number that no clock can wait for.
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S) if math.isfinite(seconds) else None


_LONGEST_RETRY_AFTER_S = 86_400.0


def _date(text: str) -> datetime | None:
    """An aware date of HTTP, None if it is none."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if date.tzinfo is None else date


def _filled(template: Mapping[str, str], task_id: str) -> dict[str, str]:
    return {name: value.replace(_ID, task_id) for name, value in template.items()}


@lru_cache(maxsize=1024)
def _quoted(task_id: str) -> str | None:
    """An id as it stands in a path, None where it cannot."""
    # An HTTP client removes dot segments: the id ".." would name another call altogether.
    if task_id in ("", ".", ".."):
        return None
    try:
        quoted = quote(task_id, safe="")
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return quoted if len(quoted) <= _LONGEST_ID else None
