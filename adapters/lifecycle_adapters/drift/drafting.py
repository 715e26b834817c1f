"""The draft of a service file from an OpenAPI document: what it says of a task's calls, and `TODO` for the rest.

A document lists statuses and calls, but not what leads from one status to another. So the draft is not a service
yet: each `TODO` stands where it is refused, so that findings name what is left to fill in. All calls are recognised
from the one that reads a task:

1. It reads one thing, named by the last placeholder of its path, and its response has a field of the status schema.
   If no such path ends with the placeholder, one literal segment may follow it, such as `/status`.
2. POST on the path without that placeholder creates, GET lists; GET with `/status` after it reads the status alone.
3. Every other method on its path, also with one literal segment or a verb such as `:cancel` after it, may be a command.
   If its body has a field with listed values, each value is one.

A slash at the end of a path is kept in the draft, and otherwise makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, product
from typing import Any
from urllib.parse import urlsplit

from lifecycle.documents import require_yaml
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.drift.document import DocumentedOperation, OpenApiDocument, Part, PathItem, json_object
from lifecycle_adapters.drift.drift_errors import UnusableDocument
from lifecycle_adapters.drift.located import json_schema
from lifecycle_adapters.drift.response_differences import response_schemas
from lifecycle_adapters.drift.schemas import Schemas, Values, listed

_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_PAGES = (  # the parameter of a page, and what it is
    (re.compile(r"page(_?(number|no|index))?", re.IGNORECASE), "numbers"),
    (re.compile(r"(page_?)?(cursor|token)", re.IGNORECASE), "cursors"),
    (re.compile(r"offset|skip", re.IGNORECASE), "offsets"),
    (re.compile(r"after|starting_after", re.IGNORECASE), "last_ids"),
)
_MOST_LEVELS = 4  # of fields in fields
_MOST_FIELDS = 1_000  # of one level
_NEXT = re.compile(r"next.*|.*cursor", re.IGNORECASE)
_IS_OF_ONE = re.compile("(/[^/{}]+)?/?")  # what follows the placeholder of the thing that a call is about


def service_draft(document: OpenApiDocument, status_schema: str) -> str:
    """Return the YAML of a service file to finish by hand: every `TODO` in it is to be replaced or removed.

    If a status has that name, the placeholder is `TODO_2`; the first line names it.

    Args:
        document: what the service documents.
        status_schema: the schema that lists the statuses, as a JSON pointer or by its name, such as
            "#/components/schemas/TaskStatus" or "TaskStatus".
    Raises:
        UnusableDocument: there is no such schema, it lists no texts, or no call reads a task with such a status; or a
            part of the document is malformed.
        MissingExtra: the extra `yaml` is not installed.
        TypeError: an argument has a wrong type.
    """
    require(document, OpenApiDocument, "document must be an OpenApiDocument, such as load('openapi.json')")
    require(status_schema, str, "status_schema must be text such as 'TaskStatus'")
    return "\n".join(_Draft(document, document.schema(status_schema)).lines()) + "\n"


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """The call that reads a task: its operation, the template of a task's path, and the path of the status's field."""

    operation: DocumentedOperation
    template: str
    status_field: str

    @property
    def of_all(self) -> str:
        """The template of the path of all tasks."""
        return self.template.rpartition("/")[0]


class _Draft:
    """One draft. Every method can raise UnusableDocument."""

    def __init__(self, document: OpenApiDocument, schema: Part) -> None:
        self._document, self._pointer = document, schema.place
        self._schemas = Schemas()
        _, values = self._schemas.listed_in(schema)
        self._statuses: Values = tuple(each for each in values if isinstance(each[0], str))
        if not self._statuses:
            raise schema.unusable("the schema of the status must list texts")
        names = {status for status, _ in self._statuses}
        self._todo = next(each for each in chain(["TODO"], map("TODO_{}".format, count(2))) if each not in names)
        self._items = {each.template.rstrip("/"): each for each in document.path_items("")}
        self._server = self._first_server()
        self._read = self._found_read()

    # --- what the document has ---

    def _first_server(self) -> str:
        """Return the URL of the first server, with the defaults of its variables; "" if there is none.

        It may be a path alone.
        """
        for server in self._document.root.elements_of("servers"):
            url = server.text("url").rstrip("/")
            for name, variable in server.children_of("variables").items():
                url = url.replace(f"{{{name}}}", variable.text("default"))
            if "{" not in url:
                return url
        return ""

    def _operations(self, method: str) -> Iterator[DocumentedOperation]:
        for item in self._items.values():
            operation = item.operation(method, item.template)
            if operation is not None:
                yield operation

    def _operation(self, method: str, template: str) -> DocumentedOperation | None:
        item: PathItem | None = self._items.get(template)
        return None if item is None else item.operation(method, item.template)

    def _found_read(self) -> _Read:
        found: list[tuple[tuple[bool, bool, int, int], _Read]] = []
        for operation in self._operations("GET"):
            head, brace, rest = operation.path.rpartition("}")
            status_field = self._status_field(operation) if brace and _IS_OF_ONE.fullmatch(rest) else None
            if status_field is not None:
                # Two things may list equal values. If the schema is a part of one of them, that one is meant.
                is_another = not any(place in self._places(operation, status_field) for _, place in self._statuses)
                rank = is_another, rest not in ("", "/"), status_field.count("."), operation.path.count("{")
                found.append((rank, _Read(operation, head + brace, status_field)))
        if not found:
            where = f"in its response, {_MOST_LEVELS} levels deep or less"
            problem = f"no GET of one thing, such as /tasks/{{id}}, has a field of {self._pointer} {where}"
            raise UnusableDocument(f"{self._document.source}: {problem}")
        return min(found, key=lambda each: each[0])[1]

    def _places(self, operation: DocumentedOperation, field: str) -> list[str]:
        found = (self._schemas.at([schema], field.split("."))[0] for schema in response_schemas(operation))
        return [place for alternatives in found for _, place in listed(alternatives) or ()]

    def _status_field(self, operation: DocumentedOperation | None) -> str | None:
        """Return the path of the first field with the values of the status in a response."""
        for schema in [] if operation is None else response_schemas(operation):
            for path, parts in self._all_fields([schema]):
                values = listed(self._schemas.alternatives(parts)) or ()
                if {value for value, _ in values if isinstance(value, str)} == {value for value, _ in self._statuses}:
                    return path
        return None

    def _all_fields(self, schemas: Sequence[Part]) -> Iterator[tuple[str, tuple[Part, ...]]]:
        """Yield the fields of objects, and of the objects in them, the outer ones first, with their paths."""
        level: list[tuple[str, Sequence[Part]]] = [("", schemas)]
        for _ in range(_MOST_LEVELS):  # a schema may contain itself
            level = [(f"{path}{name}.", more) for path, parts in level for name, more in self._fields(parts).items()]
            level = level[:_MOST_FIELDS]
            yield from ((path[:-1], tuple(parts)) for path, parts in level)

    def _fields(self, schemas: Sequence[Part]) -> dict[str, tuple[Part, ...]]:
        found = self._schemas.alternatives(schemas)
        # No path leads to a field whose name has a dot.
        return {name: parts for each in found for name, parts in each.fields.items() if name and "." not in name}

    # --- what is written ---

    def lines(self) -> Iterator[str]:
        """Yield the lines of the draft."""
        title = self._document.title or self._document.source
        yield f"# A draft of {_comment(title)}: replace or remove every {self._todo}."
        yield ""
        parts = urlsplit(self._server)
        yield f"name: {_flow(_slug(title) or 'service')}"
        if parts.netloc:
            host = parts.netloc.rpartition("@")[2]  # without a user and a password
            yield f"base_url: {_flow(f'{parts.scheme}://{host}')}"
        else:
            yield f"base_url: {self._todo}  # such as https://host: the document names no server"
        yield f"base_path: {_flow(parts.path)}"
        yield from self._authentication()
        yield from self._parameters()
        yield ""
        yield from self._create()
        yield from self._reads()
        yield from self._listing()
        commands = dict(self._commands())
        yield "commands:" if commands else "commands: {}"
        if commands:
            yield "  # Remove those that are not commands of a task, with their events and transitions."
        for name, call in commands.items():
            yield f"  {_flow(name)}: {_flow(call)}"
        yield ""
        yield from self._lifecycle(title, list(commands))

    def _authentication(self) -> Iterator[str]:
        components = self._document.root.child("components")
        schemes = {} if components is None else components.children_of("securitySchemes")
        for scheme in (each.followed() for each in schemes.values()):
            described = json_object(scheme.value) or {}
            if described.get("type") == "apiKey" and described.get("in") == "header":
                yield f"authentication: {_flow({'header': scheme.text('name')})}"
                return
            if described.get("type") == "http" and str(described.get("scheme")).lower() == "bearer":
                yield f"authentication: {_flow({'header': 'Authorization', 'prefix': 'Bearer '})}"
                return
        yield f"authentication: {self._todo}  # such as {{header: X-Key}}, or null if the service asks for no key"

    def _parameters(self) -> Iterator[str]:
        names: list[str] = re.findall(r"\{([^{}]*)\}", self._read.of_all)
        if names:
            yield f"parameters: {_flow(names)}"

    def _create(self) -> Iterator[str]:
        operation = self._operation("POST", self._read.of_all)
        id_field = self._id_field(self._read.operation)
        unknown = f"  # {self._todo}: the field that holds a task's id, with dots, such as job.id"  # null is refused
        yield f"id_field: {_flow(id_field)}" + ("" if id_field else unknown)
        if operation is None:
            yield f"create: {self._todo}  # the call that creates a task"
            return
        call: dict[str, Any] = {"method": "POST", "path": operation.path}
        fields, required = self._body(operation)
        if fields is not None:
            call |= {"body": {}, "required_fields": required} if required else {"body": {}}
        new_id, status_field = self._id_field(operation), self._status_field(operation)
        call |= {"id_field": new_id} if new_id not in (None, id_field) else {}
        call |= {"status_field": status_field} if status_field else {}
        task_field = "task" if "task" in (fields or ()) else required[0] if len(required) == 1 else None
        why = "" if task_field else "  # or the field that says what to do, if there is one"
        yield f"task_field: {_flow(task_field)}{why}"
        yield f"create: {_flow(call)}"

    def _body(self, operation: DocumentedOperation) -> tuple[dict[str, tuple[Part, ...]] | None, list[str]]:
        """Return the fields of an operation's body, None if it takes none, and those that are required."""
        part = operation.part.child("requestBody")
        schema = None if part is None else json_schema(part.followed())
        if schema is None:
            return None, []
        required = [set(each.required) for each in self._schemas.alternatives([schema])]
        fields = self._fields([schema])
        return fields, [name for name in fields if required and all(name in each for each in required)]

    def _id_field(self, operation: DocumentedOperation) -> str | None:
        placeholder = self._read.template.rpartition("{")[2].rstrip("}")
        camel = re.sub(r"[_-](\w)", lambda match: match[1].upper(), placeholder)
        status_field = self._status_field(operation)
        around = "" if status_field is None else status_field.rpartition(".")[0]
        for schema in response_schemas(operation):
            fields = {path for path, _ in self._all_fields([schema])}
            # Beside the status: what is around that may be another thing, with an id of its own.
            for path in (f"{around}.{name}".lstrip(".") for name in ("id", placeholder, camel)):
                if path in fields:
                    return path
            for name in ("id", placeholder, camel):
                if name in fields:
                    return name
        return None

    def _reads(self) -> Iterator[str]:
        path = _with_id(self._read.operation.path)
        details = {"method": "GET", "path": path, "status_field": self._read.status_field}
        operation = self._operation("GET", f"{self._read.template}/status")
        status_field = self._status_field(operation)
        status = details
        if operation is not None and status_field is not None:
            status = {"method": "GET", "path": _with_id(operation.path), "status_field": status_field}
        yield f"status: {_flow(status)}"
        yield f"details: {_flow(details)}"

    def _listing(self) -> Iterator[str]:
        operation = self._operation("GET", self._read.of_all)
        items_field = None if operation is None else self._items_field(operation)
        if operation is None or items_field is None:
            return
        call = {"method": "GET", "path": operation.path}
        pages = self._pages(operation)
        listing: dict[str, Any] = {"call": call, "items_field": items_field, **(pages or {"pages": self._todo})}
        why = "" if pages else "  # how it names its next page, such as numbers; one if there is one page"
        yield f"listing: {_flow(listing)}{why}"

    def _items_field(self, operation: DocumentedOperation) -> str | None:
        for schema in response_schemas(operation):
            whole = self._schemas.alternatives([schema])
            if any(each.items for each in whole):
                return ""
            for name, parts in self._fields([schema]).items():
                if any(each.items for each in self._schemas.alternatives(parts)):
                    return name
        return None

    def _pages(self, operation: DocumentedOperation) -> dict[str, str]:
        """Return the fields of a listing that say how it names its next page, none if that is not known."""
        names = [name for place, name in operation.parameters if place == "query"]
        fields = [name for schema in response_schemas(operation) for name in self._fields([schema])]
        following = next((name for name in fields if _NEXT.fullmatch(name)), None)
        for (pattern, pages), name in product(_PAGES, names):
            if pattern.fullmatch(name) and (pages != "cursors" or following is not None):
                kind = {} if pages == "numbers" else {"pages": pages}
                more = {"next_field": following} if pages == "cursors" and following is not None else {}
                return {**kind, "page_parameter": name, **more}
        return {}

    def _commands(self) -> Iterator[tuple[str, dict[str, Any]]]:
        taken: dict[str, int] = {}
        for template, method in product(self._items, _WRITES):
            rest = template.removeprefix(self._read.template)
            operation = self._operation(method, template)
            if (
                not template.startswith(self._read.template)
                or operation is None
                or not re.fullmatch(r"([/:][^/{}]+)?", rest)
            ):
                continue
            for name, body in self._variants(operation, _snake(rest) or _NAMES[method]):
                taken[name] = taken.get(name, 0) + 1
                call: dict[str, Any] = {"method": method, "path": _with_id(operation.path)}
                call |= {} if body is None else {"body": body}
                status_field = self._status_field(operation)
                call |= {"status_field": status_field} if status_field else {}
                yield name if taken[name] == 1 else f"{name}_{method.lower()}", call

    def _variants(self, operation: DocumentedOperation, name: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Yield the commands that an operation may be, each with its body: one for each listed value of a field."""
        fields, required = self._body(operation)
        prefix = "" if name in _NAMES.values() else f"{name}_"
        for field, parts in (fields or {}).items():
            values = [value for value, _ in listed(self._schemas.alternatives(parts)) or () if isinstance(value, str)]
            if values:
                if field not in required:
                    yield name, {}
                yield from ((f"{prefix}{_snake(value)}", {field: value}) for value in values)
                return
        yield name, None if fields is None else {}

    def _lifecycle(self, title: str, commands: Sequence[str]) -> Iterator[str]:
        todo = self._todo
        schema = re.match(r"#/components/schemas/([^/]+)", self._pointer)
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", schema[1]) if schema else ""
        yield "lifecycle:"
        yield f"  name: {_flow(re.sub('-?(status|state)$', '', _slug(words)) or 'task')}"
        yield f"  citation: {_flow(f'{title}: {self._pointer}')}"
        yield "  states:"
        yield "    # Add `initial: true` to one state, and `final: true` to those in which a task is over."
        yield from (f"    - {{name: {_flow(status)}}}" for status, _ in self._statuses)
        yield "  events:" if commands else "  events: []"
        yield from (f"    - {{name: {_flow(command)}, origin: caller}}" for command in commands)
        yield "    # Add what the service does by itself, such as {name: start, origin: remote}."
        yield "  transitions:"
        yield '    # Say where each event leads. A source is a state, several ([a, b]), or "*": all not over.'
        yield from (f'    - {{source: "*", event: {_flow(command)}, target: {todo}}}' for command in commands)
        yield f"    - {{source: {todo}, event: {todo}, target: {todo}}}"


_NAMES = {"POST": "post", "PUT": "replace", "PATCH": "update", "DELETE": "delete"}
"""What a method does with a task, if its path says no more."""


def _with_id(template: str) -> str:
    """Return the path of a task's call: its last placeholder names the task."""
    head, _, tail = template.rpartition("{")
    return f"{head}{{id}}{tail.partition('}')[2]}"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    yaml = require_yaml()
    return str(yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=10**9)).strip()[1:-1]


def _comment(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)[:200]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80]


def _snake(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:80]
