"""An OpenAPI document: its references, and its operations by method and path. Every part has its place.

Pure: loading.py reads documents. `referencing` resolves the references, which are JSON pointers (RFC 6901) into the
same document. Sources: the OpenAPI specifications 3.0.3 and 3.1.0, "Server Object", "Paths Object", "Reference Object".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from lifecycle.errors import MissingExtra, nearest, shortened
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.drift.drift_errors import UnusableDocument

try:
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012
except ImportError:
    raise MissingExtra("drift", needed_by="comparing with an OpenAPI document") from None

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_MOST_SHOWN = 80  # characters of foreign text in a message
_LONGEST_PLACE = 240  # characters


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a document. `place` is its JSON pointer, such as "#/paths/~1tasks/get"."""

    document: OpenApiDocument
    value: Any
    place: str

    def unusable(self, problem: str) -> UnusableDocument:
        """Return the error that this part is malformed."""
        place = self.place
        if len(place) > _LONGEST_PLACE:
            place = f"{place[: _LONGEST_PLACE // 2]}...{place[-_LONGEST_PLACE // 2 :]}"
        return UnusableDocument(f"{self.document.source}{place}: {problem}")

    def children(self) -> dict[str, Part]:
        """Return the parts of an object. Raises UnusableDocument if it is not an object."""
        found = json_object(self.value)
        if found is None:
            raise self.unusable(f"must be an object, not {_described(self.value)}")
        return {str(key): self._part(key, each) for key, each in found.items()}

    def elements(self) -> list[Part]:
        """Return the parts of a list. Raises UnusableDocument if it is not a list."""
        value: Any = self.value
        if not isinstance(value, list):
            raise self.unusable(f"must be a list, not {_described(value)}")
        return [self._part(index, each) for index, each in enumerate(cast("Any", value))]

    def child(self, key: str) -> Part | None:
        """Return one part of an object, None if it is absent. Raises UnusableDocument if it is not an object."""
        return self.children().get(key)

    def children_of(self, key: str) -> dict[str, Part]:
        """Return the parts of an object in this one, none if absent. Raises UnusableDocument for another value."""
        found = self.child(key)
        return {} if found is None else found.children()

    def elements_of(self, key: str) -> list[Part]:
        """Return the parts of a list in this object, none if absent. Raises UnusableDocument for another value."""
        found = self.child(key)
        return [] if found is None else found.elements()

    def text(self, key: str) -> str:
        """Return the text of one part of an object. Raises UnusableDocument if it is absent or not text."""
        found = self.child(key)
        if found is None or not isinstance(found.value, str):
            raise self.unusable(f"must have {key!r}, a text")
        return found.value

    def is_true(self, key: str) -> bool:
        """Return whether one part of an object is true. Raises UnusableDocument if it is not an object."""
        found = self.child(key)
        return found is not None and found.value is True

    def reference(self) -> str | None:
        """Return the `$ref` of an object, None if it has none. Raises UnusableDocument if it is not text."""
        found = (json_object(self.value) or {}).get("$ref")
        if found is not None and not isinstance(found, str):
            raise self.unusable(f"'$ref' must be a text, not {_described(found)}")
        return found

    def followed(self) -> Part:
        """Return the part to which a chain of references leads; this part if it is not a reference.

        Raises:
            UnusableDocument: the reference leads to nothing, outside of the document, or back to itself.
        """
        part, seen = self, set[str]()
        while (reference := part.reference()) is not None:
            if reference in seen:
                raise self.unusable(f"the reference {reference[:_MOST_SHOWN]!r} leads to itself")
            seen.add(reference)
            part = part.document.referred(reference, part)
        return part

    def _part(self, key: Any, value: Any) -> Part:
        return Part(self.document, value, f"{self.place}/{_escaped(str(key))}")


@dataclass(frozen=True, slots=True, eq=False)
class DocumentedOperation:
    """One method of one path. `path` includes the path of the server; `parameters` are by place and name."""

    part: Part
    method: str
    path: str
    parameters: Mapping[tuple[str, str], Part]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, eq=False)
class PathItem:
    """One path of the document. `paths` are its paths including those of the document's servers.

    If the document names no server, the first is the path as it is, the second follows the binding's base path.
    """

    part: Part
    template: str
    paths: tuple[str, ...]

    def operation(self, method: str, path: str) -> DocumentedOperation | None:
        """Return the operation of a method, None if the path has no such method."""
        part = self.part.child(method.lower())
        if part is None:
            return None
        parameters: dict[tuple[str, str], Part] = {}
        for each in (*self.part.elements_of("parameters"), *part.elements_of("parameters")):
            parameter = each.followed()
            parameters[parameter.text("in"), parameter.text("name")] = parameter
        return DocumentedOperation(part, method, path, parameters)


@dataclass(frozen=True, eq=False)
class OpenApiDocument:
    """A document of OpenAPI 3.0 or 3.1, as parsed JSON.

    Args:
        contents: the parsed JSON value.
        source: its file or URL, for messages.
    Raises:
        UnusableDocument: it is not an OpenAPI document of these versions, or has no paths.
        TypeError: `source` is not text.
    """

    contents: Any
    source: str = "?"
    _resolver: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        require(self.source, str, "source must be text: a file or a URL")
        contents = json_object(self.contents) or {}
        version = contents.get("openapi")
        if not isinstance(version, str):
            what = "Swagger 2.0, which must be converted" if "swagger" in contents else "not an OpenAPI document"
            raise UnusableDocument(f"{self.source}: is {what}: 'openapi' must name version 3.0 or 3.1")
        if not re.match(r"3\.[01]\.", version):
            raise UnusableDocument(f"{self.source}: is OpenAPI {version[:_MOST_SHOWN]}, not 3.0 or 3.1")
        registry: Any = cast("Any", Registry)().with_resource("", DRAFT202012.create_resource(contents))
        object.__setattr__(self, "_resolver", registry.resolver())
        if self.root.child("paths") is None:
            raise self.root.unusable("has no 'paths'")

    @property
    def root(self) -> Part:
        """Return the whole document as a part."""
        return Part(self, self.contents, "#")

    @property
    def title(self) -> str:
        """Return the document's title and version, "" if it has none."""
        info = json_object(self.contents.get("info")) or {}
        return " ".join(each for each in (info.get("title"), info.get("version")) if isinstance(each, str))

    @property
    def refers_with_siblings(self) -> bool:
        """Return whether keys beside a `$ref` count, as they do since OpenAPI 3.1."""
        return not str(self.contents["openapi"]).startswith("3.0.")

    def referred(self, reference: str, by: Part) -> Part:
        """Return the part to which a reference leads.

        Raises:
            UnusableDocument: it leads to nothing, or outside of the document; the message names `by`, its place.
            TypeError: `reference` is not text, or `by` is not a Part.
        """
        require(reference, str, "reference must be text such as '#/components/schemas/Task'")
        require(by, Part, "by must be the Part that has the reference")
        shown = reference[:_MOST_SHOWN]
        if not reference.startswith("#"):
            raise by.unusable(f"refers to {shown!r}, outside of the document; bundle it into one document first")
        try:
            found = self._resolver.lookup(reference).contents
        except (Unresolvable, LookupError, ValueError, TypeError):
            raise by.unusable(f"refers to {shown!r}, which is not in the document") from None
        return Part(self, found, unquote(reference))

    def schema(self, name: str) -> Part:
        """Return the schema at a JSON pointer, which begins with #, or of this name among the components.

        Raises:
            UnusableDocument: there is none.
            TypeError: `name` is not text.
        """
        require(name, str, "the name of a schema must be text such as 'TaskStatus'")
        if not name.startswith("#"):
            components = self.root.child("components")
            known = [] if components is None else [*components.children_of("schemas")]
            if name not in known:
                close = nearest(name, known)
                hint = "" if close is None else f"; did you mean {shortened(close)}?"
                raise self.root.unusable(f"has no schema {shortened(name)}{hint}")
            name = f"#/components/schemas/{name.replace('~', '~0').replace('/', '~1')}"
        return self.referred(name, self.root)

    def path_items(self, base_path: str) -> Iterator[PathItem]:
        """Yield every path. `base_path` is the binding's: documents that name no server may omit it."""
        for template, part in self.root.children_of("paths").items():
            if template.startswith("/"):  # others are extensions, such as x-groups
                item = part.followed()
                servers = item.elements_of("servers") or self.root.elements_of("servers")
                bases = [_base_path(each) for each in servers] or ["", base_path]
                yield PathItem(item, template, tuple(dict.fromkeys(base + template for base in bases)))


def _base_path(server: Part) -> str:
    """Return the path of a server's URL, with the defaults of its variables."""
    url = server.text("url")
    for name, variable in server.children_of("variables").items():
        url = url.replace(f"{{{name}}}", variable.text("default"))
    try:
        path = urlsplit(url).path.strip("/")
    except ValueError:
        raise server.unusable(f"its URL is malformed: {url[:_MOST_SHOWN]!r}") from None
    return f"/{path}" if path else ""


def likeness(path: str, documented: str) -> int | None:
    """Return how many segments of a path equal those of a documented one, None if the paths do not match.

    The names of placeholders do not matter. A documented placeholder also matches a literal segment.
    """
    mine, theirs = (_PLACEHOLDER.sub("{}", each).split("/") for each in (path, documented))
    if len(mine) != len(theirs) or any(b not in (a, "{}") for a, b in zip(mine, theirs, strict=True)):
        return None
    return sum(a == b for a, b in zip(mine, theirs, strict=True))


def json_object(value: Any) -> dict[str, Any] | None:
    """Return the value if it is a JSON object, otherwise None."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _described(value: object) -> str:
    """Return the JSON type of a value; never the value, which can be huge."""
    return "null" if value is None else _TYPES.get(type(value), "a value of another type")


_TYPES: dict[type, str] = {
    dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number",
}  # fmt: skip


def shown_value(value: Any) -> str:
    """Return a value for messages, cut to at most 80 characters: a text in quotes, any other as JSON."""
    return shortened(value) if isinstance(value, str) else f"{json.dumps(value, default=str):.80}"
