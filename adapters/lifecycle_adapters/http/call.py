"""The calls of a service as templates: of one task, or of its list. Pure: binding.py reads their responses."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, cast, get_args
from uuid import uuid4

from pydantic import BeforeValidator, Field, JsonValue, Strict

from lifecycle.declaration import Flag, Path, StrictText
from lifecycle_adapters.argument_checks import WrongType, require, require_json
from lifecycle_adapters.http.authentication import HEADER_NAME, is_header_value, wrong_headers
from lifecycle_adapters.http.declared import (
    TEXTS,
    Declared,
    FieldPath,
    Mistake,
    OptionalPath,
    Texts,
    wrong_path,
)
from lifecycle_adapters.http.header_values import encoded
from lifecycle_adapters.http.misspelt_options import option_meant
from lifecycle_adapters.http.requests import (
    ETAG,
    ID,
    ID_WITH_SLASHES,
    IDEMPOTENCY_KEY,
    PLACEHOLDER,
    REQUEST_ID,
    Request,
    filled,
    filled_text,
    is_changed_when_sent,
    is_parameter,
    misspelt_placeholders,
    parameters_of,
    quoted_id,
    rpc_method_in,
    texts_in,
    unsendable,
)
from lifecycle_adapters.http.responses import value_at

CALL = "a Call, such as Call(method='GET', path='/tasks/{id}')"
_READS = ("GET", "POST")  # some services have POST only: JSON-RPC, GraphQL
_IDS = (ID, ID_WITH_SLASHES)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PLACEHOLDERS = {
    "path": _IDS,
    "query": (ID,),
    "headers": (ID, REQUEST_ID, IDEMPOTENCY_KEY, ETAG),
    "body": (ID, REQUEST_ID, IDEMPOTENCY_KEY, ETAG),
}
Code = Annotated[int, Strict()]
_Names = Annotated[tuple[StrictText, ...], Field(description="several names, in a tuple such as ('task',)")]


def by_number(codes: Any) -> Any:
    """Return a mapping whose keys are the numbers that JSON writes as text. Raises ValueError if one occurs twice."""
    if not isinstance(codes, Mapping):
        return codes
    items: list[tuple[Any, Any]] = list(cast("Any", codes).items())
    given = [int(code) if _is_code(code) else code for code, _ in items]
    if twice := [code for code in given if given.count(code) > 1]:
        raise ValueError(f"has the code {twice[0]} twice")
    return {code: status for code, (_, status) in zip(given, items, strict=True)}


def _is_code(key: Any) -> bool:
    return isinstance(key, str) and re.fullmatch("0|-?[1-9][0-9]{0,9}", key) is not None


def wrong_read(where: Path, call: Call) -> Iterator[Mistake]:
    """Yield the mistakes in a call that reads: it must be repeatable, and takes no fields of the caller."""
    if call.method not in _READS:
        yield (
            (*where, "method"),
            f"must be one of {', '.join(_READS)}, because reads are repeated, not {call.method}",
        )
    for name in ("required_fields", "field_headers"):
        if getattr(call, name):
            yield (*where, name), "must be empty: a read takes no fields"
    if call.has_idempotency_key():
        yield where, f"must be without {IDEMPOTENCY_KEY!r}: a journal records no intent for a read"
    yield from wrong_etag(where, call)


def wrong_etag(where: Path, call: Call) -> Iterator[Mistake]:
    """Yield the mistakes in a call that is not a command: only a command can have an etag, from the read before it."""
    if call.has_etag():
        yield where, f"must be without {ETAG!r}: only a command names the version of its task that was read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Declared):
    """One call of a service, as a template.

    These placeholders are filled in:

    - `{id}`, in every part, is the task's id. In a path it is quoted; `{+id}` there keeps the slashes of an id such as
      "operations/7" and quotes everything else.
    - `{request_id}`, in headers and the body, is a new id in each request.
    - `{idempotency_key}`, in headers and the body, is a UUID that is equal in all requests for one recorded command or
      create, also if another worker sends them after a crash. It is derived from the journal's idempotency key, or
      from a new one if the caller gives none. A create that has it is sent again if its response is lost. So is a
      command, also one that is not idempotent, while the task's state still accepts it. The service must carry out all
      requests with that UUID once, for as long as the command may be open.
    - `{etag}`, in the headers and the body of a command, is the version of the task that was read just before, as in
      {"If-Match": "{etag}"}; the binding says where responses have it. If the task has changed since, the service
      refuses the command, for example with 412.
    - Others in the path, as in "/repos/{owner}/{repo}/runs/{id}", are parameters of the binding, or fields of the
      caller (`path_fields`).

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE.
        path: the path after the binding's `base_path`.
        query: the query, as texts.
        body: the JSON that is sent; None for no body.
        headers: headers of this call alone.
        field_headers: the headers that repeat fields of the caller, which the body has, too, and the paths of those
            fields, as in {"Mcp-Name": "name", "Mcp-Param-Region": "arguments.region"}. A header is left out if its
            field is missing or null; the field must otherwise be text, an integer or a boolean (`true`, `false`).
        encodes_headers: True if a text that no header can carry unchanged, such as one that is not ASCII, is sent as
            `=?base64?TEXT?=`, the Base64 of its UTF-8, as MCP does. Otherwise such a text is refused.
        fields_path: where in the body the caller's fields stand, such as "params" of JSON-RPC; if it is None, they are
            fields of the body itself.
        path_fields: fields that the caller must give, whose texts are parts of the path of a further call, as `name` in
            "/tasks/{id}/files/{name}".
        required_fields: the fields that the caller must give.
        optional_fields: fields whose names are like an option of the client, such as `key` or `label`. A field of such
            a name that is not declared is refused as a misspelt option.
        status_field: where the response has the status: a field or a path such as "status.state", "" if the whole
            response is the status, None if it has none.
        may_report: the states that the service may report after an accepted command, instead of the one to which its
            row leads: GitHub accepts the cancel of a run that may still end as `completed`. They prove the command
            if a usable response to it arrived; if the response was lost, the task may have reached them by itself.
        repeats_id: False if this call's response has the id of something else where other responses have the task's
            id. Otherwise a response about another task is invalid.
        statuses: the statuses that status codes mean by themselves, for any body: {404: "deleted"} if a deleted task
            is not found. The details of a task need those of its status call, too. That of 404 counts only if the task
            is known to have existed, from a report, its create or a command; otherwise a 404 is `NotFound`.
        busy: the codes of 400 to 599 that mean that nothing happened and that the same request may succeed later; it
            is then sent again, as after a 429.
        task_if: what a create's response has, by paths, if the service made a task, such as {"resultType": "task"}. A
            response with another text there, and without a task's id, is a `NoTaskMade`.
        no_task_field: the field that a response has, instead of a task's id, if it is about no task, such as "message".
            The create then made no task, which is a `NoTaskMade`; after a command the task is read.
        id_field: where this call's response has the task's id, if not at the binding's `id_field`.
        id_header: the header of a create's response whose URL ends with the new task's id, if the body lacks it. The
            response may then also lack the status, and the body. If there are several such headers, none counts.

    Raises:
        DefinitionError: the call is not sound. It has all findings: a field has a wrong type; the method is another
            one; the path does not begin with a slash, has an empty or a dot segment, or a query of its own; a
            placeholder is unknown or misspelt, such as `{idempotency-key}` or `{{id}}`; fields are declared without a
            body, or one has no name; a path to a field is malformed; a header is one of HTTP itself; or no request can
            carry a text, such as a control character in the path.
    """

    method: Annotated[StrictText, Field(description="text such as 'GET'")]
    path: Annotated[StrictText, Field(description="text such as '/tasks/{id}'")]
    query: Annotated[Texts, Field(description=TEXTS)] = field(default_factory=dict[str, str])
    body: Annotated[
        Mapping[StrictText, JsonValue] | None,
        Field(description="a mapping of text to JSON, such as {'action': 'stop'}, or None"),
    ] = None
    headers: Annotated[
        Texts, Field(description="a mapping of text to text, such as {'Idempotency-Key': '{idempotency_key}'}")
    ] = field(default_factory=dict[str, str])
    field_headers: Annotated[Texts, Field(description="a mapping of headers to paths, such as {'X-Name': 'name'}")] = (
        field(default_factory=dict[str, str])
    )
    encodes_headers: Annotated[Flag, Field(description="True or False")] = False
    fields_path: OptionalPath = None
    path_fields: _Names = ()
    required_fields: _Names = ()
    optional_fields: _Names = ()
    status_field: OptionalPath = None
    may_report: Annotated[
        tuple[StrictText, ...], Field(description="several states, in a tuple such as ('completed',)")
    ] = ()
    repeats_id: Annotated[Flag, Field(description="True or False")] = True
    statuses: Annotated[
        Mapping[Code, StrictText],
        BeforeValidator(by_number),
        Field(description="a mapping of status codes to statuses, such as {404: 'deleted'}"),
    ] = field(default_factory=dict[int, str])
    busy: Annotated[tuple[Code, ...], Field(description="several status codes, in a tuple such as (409,)")] = ()
    task_if: Annotated[Texts, Field(description="a mapping of paths to text, such as {'resultType': 'task'}")] = field(
        default_factory=dict[str, str]
    )
    no_task_field: OptionalPath = None
    id_field: OptionalPath = None
    id_header: Annotated[StrictText | None, Field(description="the name of a header, such as 'Location', or None")] = (
        None
    )

    def __post_init__(self) -> None:
        self._examine("call", f"{self.method} {self.path}")

    def _mistakes(self) -> Iterator[Mistake]:
        if self.method not in _METHODS:
            yield ("method",), f"must be one of {', '.join(_METHODS)}"
        if not self.path.startswith("/") or not set("?# ").isdisjoint(self.path):
            yield ("path",), "must begin with '/' and have no '?', '#' or space; a query is given as `query`"
        if not self.path.isprintable():
            yield ("path",), f"must be printable, without control characters, not {self.path!r}"
        if not set("{}").isdisjoint(PLACEHOLDER.sub("", self.path)):
            yield ("path",), f"has a single brace; a placeholder is written like {ID}, not {self.path!r}"
        if is_changed_when_sent(self.path):
            yield ("path",), "must have no '//', '/./' or '/../': an HTTP client would send another path"
        yield from self._wrong_placeholders()
        if strange := [each for each in self.path_fields if each not in parameters_of(self.path)]:
            yield ("path_fields",), f"names {strange[0]!r}, and the path has no '{{{strange[0]}}}'"
        if self.keeps_slashes() and ID in self.path:
            yield ("path",), f"has {ID!r} and {ID_WITH_SLASHES!r}: use one of them"
        yield from self._wrong_headers()
        for message in unsendable(self.query, self.query.values()):
            yield ("query",), message
        try:
            json.dumps(self.body, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            yield ("body",), f"must be JSON that UTF-8 can encode: {error}"
        yield from wrong_path(("status_field",), self.status_field, may_be_whole=True)
        yield from wrong_path(("fields_path",), self.fields_path)
        yield from wrong_path(("id_field",), self.id_field)
        yield from wrong_path(("no_task_field",), self.no_task_field)
        for each in self.task_if:
            yield from wrong_path(("task_if", each), each)
        yield from self._wrong_fields()
        yield from self._wrong_codes()
        if self.id_header is not None and not HEADER_NAME.fullmatch(self.id_header):
            yield ("id_header",), f"{self.id_header!r} cannot be a header's name: give one like 'Location'"

    def _wrong_placeholders(self) -> Iterator[Mistake]:
        for path, template in _texts(self):
            allowed = _PLACEHOLDERS[str(path[0])]
            use = f"use {' or '.join(map(repr, allowed))}"
            strange = set(PLACEHOLDER.findall(template)).difference(allowed)
            if path == ("path",):  # the others may be parameters, which the binding knows
                strange = {each for each in strange if not is_parameter(each[1:-1])}
            if strange:
                yield path, f"unknown placeholder {min(strange)!r}: {use}"
            elif path != ("path",):
                for wrong, meant in misspelt_placeholders(template, may_be_any_text=path[0] == "body"):
                    hint = f"did you mean {meant!r}?" if meant in allowed else use
                    yield path, f"unknown placeholder {wrong!r:.80}: {hint}"

    def _wrong_headers(self) -> Iterator[Mistake]:
        yield from wrong_headers(("headers",), self.headers, has_body=self.body is not None)
        yield from wrong_headers(("field_headers",), dict.fromkeys(self.field_headers, ""))
        for header, path in self.field_headers.items():
            yield from wrong_path(("field_headers", header), path)
        if both := {*map(str.casefold, self.headers)}.intersection(map(str.casefold, self.field_headers)):
            yield ("field_headers",), f"has {min(both)!r}, which `headers` has, too"

    def _wrong_fields(self) -> Iterator[Mistake]:
        if self.fields_path is not None and not _has_room_at(self.body or {}, self.fields_path):
            yield ("fields_path",), f"the body has a value that is not an object at {self.fields_path!r}"
            return
        in_headers = tuple(path.partition(".")[0] for path in self.field_headers.values())
        for name, names in (
            ("required_fields", self.required_fields),
            ("optional_fields", self.optional_fields),
            ("field_headers", in_headers),
        ):
            if "" in names:
                yield (name,), "has an empty name"
            if strange := [each for each in names if not each.isprintable()]:
                yield (name,), f"names {strange[0]!r}, which is not printable"
            if names and self.body is None:
                yield (name,), "names fields of a body, and there is none: give body={}"
            if own := [each for each in names if each in self.own_fields()]:
                yield (name,), f"names {own[0]!r}, which the call sets itself in `body`"

    def _wrong_codes(self) -> Iterator[Mistake]:
        for name, codes in (("statuses", self.statuses), ("busy", self.busy)):
            for code in codes:
                if not 200 <= code <= 599:
                    yield (name,), f"{code} is not a status code of a response"
        if both := [code for code in self.busy if code in self.statuses or code < 400]:
            yield ("busy",), f"{both[0]} already means a status, or success"

    @property
    def rpc_method(self) -> str | None:
        """Return the method of JSON-RPC that it calls, None if it calls none."""
        return rpc_method_in(self.body)

    @property
    def name(self) -> str:
        """Return what messages call it: its method of JSON-RPC, otherwise its HTTP method and path."""
        return self.rpc_method or f"{self.method} {self.path}"

    def __hash__(self) -> int:
        return hash((self.method, self.path))

    def request(
        self,
        base_path: str,
        *,
        task_id: str = "",
        fields: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        etag: str | None = None,
        options: Collection[str] = (),
    ) -> Request:
        """Fill the template in.

        Args:
            base_path: the prefix of every path of the service.
            task_id: the id for `{id}`; any text that a service may use as an id.
            fields: further fields of the JSON body.
            idempotency_key: the text for `{idempotency_key}`; a new UUID if omitted.
            etag: the text for `{etag}`.
            options: the options that the client has beside the fields. One of them is proposed for a field with a name
                like it.
        Raises:
            ValueError: the call names a task, and no request, or no header with the id, can carry this id; or a
                parameter of the path has no value, or no path can carry a field that stands in it; or the call has
                `{etag}`, and `etag` is None.
            TypeError: an argument has another type; a required field or one of the path is missing, the call sets a
                field itself, a field is not JSON or is probably a misspelt option of the client; or the call has no
                body, and a field is given.
        """
        require(task_id, str, "task_id must be text")
        require(fields, Mapping | None, "fields must be a mapping, such as {'task': 'Buy milk'}")
        require(idempotency_key, str | None, "idempotency_key must be text")
        require(etag, str | None, "etag must be text")
        fields = dict(fields or {})
        in_path = self._path_values(fields)
        self._require_fields(fields, options)
        placeholders, keeps_slashes = _placeholders(self), self.keeps_slashes()
        names_a_task = not placeholders.isdisjoint(_IDS)
        quoted = quoted_id(task_id, keeps_slashes=keeps_slashes)
        if quoted is None and names_a_task:
            why = ", which must have no empty, '.' or '..' segment" if keeps_slashes else ""
            raise ValueError(f"{task_id[:80]!r} is not a task id{why}")
        path = base_path + (filled_text(self.path, in_path) if in_path else self.path)
        if missing := parameters_of(path):
            raise ValueError(f"{self.method} {path} needs {', '.join(missing)}: fill the binding `with_parameters`")
        path = path.replace(ID_WITH_SLASHES if keeps_slashes else ID, quoted or "")
        if etag is None and ETAG in placeholders:
            raise ValueError(f"{self.rpc_method or f'{self.method} {path}'} needs the etag of a read of its task")
        values = {ID: task_id, ETAG: etag or ""}
        if IDEMPOTENCY_KEY in placeholders:
            values[IDEMPOTENCY_KEY] = idempotency_key or str(uuid4())
        if REQUEST_ID in placeholders:
            values[REQUEST_ID] = str(uuid4())
        query = {name: filled_text(value, values) for name, value in self.query.items()}
        headers = {name: filled_text(value, values) for name, value in self.headers.items()}
        headers |= self._fields_in_headers(fields)
        if self.encodes_headers:
            headers = {name: encoded(value) for name, value in headers.items()}
        if unfit := [name for name, value in headers.items() if not is_header_value(value)]:
            raise ValueError(f"the header {unfit[0]} cannot carry {headers[unfit[0]]!r:.80}")
        body = self._body(values, fields)
        return Request(self.method, path, query, body, headers, task_id if names_a_task else None)

    def _path_values(self, fields: dict[str, Any]) -> dict[str, str]:
        """Remove the fields that stand in the path, and return them quoted, by their placeholders."""
        values: dict[str, str] = {}
        for name in self.path_fields:
            if name not in fields:
                raise TypeError(f"{self.name} needs {name}")
            given = fields.pop(name)
            require(given, str, f"{name} must be text")
            quoted = quoted_id(given)
            if quoted is None:
                raise ValueError(f"{self.name}: no path can carry {given!r:.80} as {name}")
            values[f"{{{name}}}"] = quoted
        return values

    def _fields_in_headers(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Return the headers that repeat fields, without those whose fields are missing or null."""
        repeated: dict[str, str] = {}
        for header, path in self.field_headers.items():
            match value_at(fields, path):
                case None:
                    continue
                case bool() as flag:
                    repeated[header] = str(flag).lower()
                case (str() | int()) as plain:
                    repeated[header] = str(plain)
                case _:
                    raise TypeError(f"{path} must be text, an integer or a boolean, because {header} repeats it")
        return repeated

    def _body(self, values: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, Any] | None:
        if self.body is None:
            return None
        body: Any = filled({**self.body}, values)
        place: dict[str, Any] = body
        for name in self.fields_path.split(".") if self.fields_path else ():
            place = place.setdefault(name, {})
        place.update(fields)
        return cast("dict[str, Any]", body)

    def has_request_id(self) -> bool:
        """Return whether a header or the body has an id that is new in each request."""
        return REQUEST_ID in _placeholders(self)

    def names_a_task(self) -> bool:
        """Return whether the path, the query, a header or the body has the task's id."""
        return not _placeholders(self).isdisjoint(_IDS)

    def keeps_slashes(self) -> bool:
        """Return whether the path keeps the slashes of the task's id."""
        return ID_WITH_SLASHES in self.path

    def has_idempotency_key(self) -> bool:
        """Return whether a header or the body has a UUID that is equal in all requests for one intent."""
        return IDEMPOTENCY_KEY in _placeholders(self)

    def has_etag(self) -> bool:
        """Return whether a header or the body names the version of the task that was read last."""
        return ETAG in _placeholders(self)

    def own_fields(self) -> Collection[str]:
        """Return the names of the fields that the call sets itself, beside the caller's."""
        place: Any = (self.body or {}) if self.fields_path is None else value_at(self.body or {}, self.fields_path)
        return cast("dict[str, Any]", place or {}).keys()

    def _require_fields(self, fields: Mapping[str, Any], options: Collection[str]) -> None:
        if not fields and not self.required_fields:
            return
        if missing := [name for name in self.required_fields if name not in fields]:
            raise WrongType(f"{self.name} needs {', '.join(missing)}", "fields")
        if fields and self.body is None:
            raise WrongType(f"{self.name} takes no fields, but got {', '.join(fields)}", "fields")
        # The caller must not change the fields that make the call this command of this task.
        if own := [name for name in fields if name in self.own_fields()]:
            raise WrongType(f"{self.name} sets {', '.join(own)} itself", "fields")
        for name in fields:
            if name not in (*self.required_fields, *self.optional_fields) and (option := option_meant(name)):
                what, argument = f"{name!r} is not an option of this call, and would be sent as a field.", "fields"
                if option in options and option != name:
                    what = f"{name!r} is not an option and would be sent as a field; did you mean {option!r}?"
                    argument = option
                raise WrongType(
                    f"{self.name}: {what} (If it is a field, name it in the call's `optional_fields`.)", argument
                )
        require_json(fields, _check_json, f"{self.name}: ")


def _has_room_at(body: Any, path: str) -> bool:
    """Return whether each value of `body` on a path is an object; those that are missing will be made."""
    if not isinstance(body, dict):
        return False
    name, _, rest = path.partition(".")
    fields = cast("dict[str, Any]", body)
    return name not in fields or _has_room_at(fields[name], rest) if path else True


def _texts(call: Call) -> Iterator[tuple[Path, str]]:
    body: JsonValue = {**(call.body or {})}
    return texts_in({"path": call.path, "query": {**call.query}, "headers": {**call.headers}, "body": body})


@lru_cache(maxsize=1024)  # a command asks for them a dozen times
def _placeholders(call: Call) -> frozenset[str]:
    return frozenset(found for _, text in _texts(call) for found in PLACEHOLDER.findall(text))


def _check_json(value: Any) -> None:
    """Raise TypeError, ValueError or RecursionError unless a value is JSON that a request can carry."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text cannot be encoded in UTF-8") from None
    _require_text_keys(value)


def _require_text_keys(value: Any) -> None:
    """Raise TypeError if a mapping in a value has a key that is not text: Python would write 1 and "1" alike."""
    if isinstance(value, Mapping):
        for key, item in cast("Any", value).items():
            require(key, str, "a key must be text")
            _require_text_keys(item)
    elif isinstance(value, list | tuple):
        for item in cast("Any", value):
            _require_text_keys(item)


Pages = Literal["numbers", "offsets", "cursors", "last_ids", "urls", "one"]
"""How a list names its next page: by its number, the number of tasks before it, a cursor or a URL in the response, or
the id of the last task; or there is one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCall(Declared):
    """The call that lists tasks, or the events of a task, and how its next pages are requested.

    `items_field` is the field of the response that holds the tasks, "" if the whole response is their list. `id_field`
    is the field of each that holds its id: if it is None, that of a task is at the binding's `id_field`, and an event
    has none. "last_ids" needs the ids of events; with other `pages` they serve to leave out what an earlier page had.
    If the call has a body, the parameters of the list are the caller's fields in it, otherwise those of the query.
    `page_parameter` is the parameter that names a page: its number, counted from 1, or with other `pages` the
    number of tasks before it ("offsets"), the value of `next_field` on the page before ("cursors"), or the id of the
    last task or event there ("last_ids"). With "urls", `next_field` holds the URL of the next page, whose query is
    used; the URL must be one of the same call. With "one" there is one page. `more_field` is the field that holds
    `false` on the last page, if there is such a field. All fields can be paths, as "page.next".

    Raises:
        DefinitionError: a field is of another type, is missing, or has no meaning with these `pages`; the call has a
            `status_field` or an `id_field`, or is not a read; a field is not a path, or `page_parameter` is empty or
            not printable.
    """

    call: Annotated[Call, Field(description=CALL)]
    items_field: FieldPath
    pages: Annotated[Pages, Field(description=f"one of {', '.join(map(repr, get_args(Pages)))}")] = "numbers"
    page_parameter: Annotated[
        StrictText | None, Field(description="the name of a parameter, as text such as 'page', or None")
    ] = None
    next_field: OptionalPath = None
    more_field: OptionalPath = None
    id_field: OptionalPath = None

    def __post_init__(self) -> None:
        self._examine("list call", str(getattr(self.call, "path", self.call)))

    def _mistakes(self) -> Iterator[Mistake]:
        needed = {"page_parameter": self.pages not in ("urls", "one"), "next_field": self.pages in ("cursors", "urls")}
        for name, is_needed in needed.items():
            if is_needed is (getattr(self, name) is None):
                yield (name,), f"must {'be given' if is_needed else 'be left out'} if `pages` is {self.pages!r}"
        if self.page_parameter is not None and not (self.page_parameter and self.page_parameter.isprintable()):
            yield ("page_parameter",), f"must be printable text such as 'page', not {self.page_parameter!r}"
        if self.more_field is not None and not self.items_field:
            yield ("more_field",), "must be left out: the whole response is the list"
        part, taken = ("query", self.call.query) if self.call.body is None else ("body", self.call.own_fields())
        if self.page_parameter in taken:
            yield ("call", part), f"sets {self.page_parameter!r}, which names the page: leave it out"
        if self.pages == "urls" and self.call.body is not None:
            yield ("pages",), "must be others than 'urls': a URL has no body, and this call has one"
        if self.call.status_field is not None:
            yield ("call", "status_field"), "a list has no status of its own: leave it out"
        if self.call.id_field is not None:
            yield ("call", "id_field"), "a list has no id of its own: give the list's `id_field`, beside the call"
        yield from wrong_read(("call",), self.call)
        yield from wrong_path(("items_field",), self.items_field, may_be_whole=True)
        yield from wrong_path(("next_field",), self.next_field)
        yield from wrong_path(("more_field",), self.more_field)
        yield from wrong_path(("id_field",), self.id_field)
