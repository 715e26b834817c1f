"""Findings about the values in a declaration, made from pydantic's errors, with their places in a document.

They are the same for every kind of declaration; validation.py has the findings about lifecycles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from lifecycle.declaration import Declaration, Path
from lifecycle.documents import NAMELESS, Document
from lifecycle.errors import DefinitionError, DefinitionFinding, nearest, shortened
from lifecycle.table import quoted
from lifecycle.validation import limited, path_text

T = TypeVar("T")

OPENAPI = "openapi_document"
"""The code of the finding that an OpenAPI document was given instead of a declaration."""

_SCHEMA_KEY = "$schema"  # the key by which editors find the schema of a file


def made_from(document: Document, make: Callable[[Any], T], *, kind: str) -> T:
    """Call `make` with the value of a document, and return its result.

    Raises:
        DefinitionError: `make` raises it, or a key is written twice; its findings have their lines in the document.
            If it is an OpenAPI document, or declares a service instead of a lifecycle or a lifecycle instead of a
            service, that is the one finding.
    """
    value: Any = document.value
    if isinstance(value, dict):
        if (finding := _of_another_kind(cast("dict[str, Any]", value), kind)) is not None:
            raise DefinitionError(name_in(value, document.source), [finding], kind=kind)
        value = {key: item for key, item in cast("dict[str, Any]", value).items() if key != _SCHEMA_KEY}
    findings = [
        DefinitionFinding(
            "duplicate_key", path_text(path), "is written twice; the first one would be ignored", path, line
        )
        for path, line in document.repeated
    ]
    try:
        made = make(value)
    except DefinitionError as error:
        findings += (_located(finding, document) for finding in error.findings)
    else:
        if not findings:
            return made
    raise DefinitionError(name_in(value, document.source), limited(findings), kind=kind)


def _of_another_kind(value: Mapping[str, Any], kind: str) -> DefinitionFinding | None:
    """Return the finding that a document is of another kind than it should be; None if it is not."""
    if "openapi" in value or "swagger" in value:
        what = "is an OpenAPI document, not a declaration; `lifecycle import` drafts a service file from one"
        return DefinitionFinding(OPENAPI, "document", what)
    has_service, has_states = "lifecycle" in value, "states" in value
    if kind == "lifecycle" and has_service and not has_states:
        what = "declares a service; `HttpBinding.from_file` reads it, and its `lifecycle` is the lifecycle in it"
    elif kind == "binding" and has_states and not has_service:
        what = "declares a lifecycle; a service has one in its field `lifecycle`, beside its calls"
    else:
        return None
    return DefinitionFinding("bad_value", "document", what)


def _located(finding: DefinitionFinding, document: Document) -> DefinitionFinding:
    message = finding.message
    if message.startswith(_NO_TEXT) and (bare := document.bare(finding.path)) is not None:
        message += f": to YAML a bare {shortened(bare)[1:-1]} is not text; write it in quotes"
    return replace(finding, message=message, line=document.line_of(finding.path))


def name_in(data: Any, otherwise: str = NAMELESS) -> str:
    """Return the name in a declaration, `otherwise` if it has none."""
    name = cast("dict[str, Any]", data).get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else otherwise


def bad_value(error: Mapping[str, Any], declared: Any) -> DefinitionFinding:
    """Return the finding for one of pydantic's errors about a value that should be `declared`, a class."""
    kind, path = error["type"], error["loc"]
    should = _SHOULD.get(kind) or error["msg"].removeprefix("Input ")
    message = _PLAINER.get(kind) or f"{should}, not {_given(error['input'])}"
    if kind == "value_error":
        reason = error["ctx"]["error"]
        message = _NOT_ENCODABLE if isinstance(reason, UnicodeError) else str(reason)
    if message == _NO_FIELD and (meant := nearest(path[-1], _fields_at(path[:-1], declared))) is not None:
        message += f"; did you mean {quoted(meant)}?"
    return DefinitionFinding("bad_value", path_text(path), message, path)


def _fields_at(path: Path, declared: Any) -> set[str]:
    """Return the names of the fields of the part at a path in a declared class."""
    parts = set(_parts_in(declared))
    for name in path:
        inner = {each for part in parts for each in _parts_in(_fields_of(part).get(str(name)))}
        parts = inner or parts  # a key of a mapping and an index of a list lead to what is in it
    return {name for part in parts for name in _fields_of(part)}


def _fields_of(part: Any) -> dict[str, Any]:
    """Return the fields of a class, each with its type."""
    if not is_dataclass(part):
        return {name: each.annotation for name, each in part.model_fields.items()}
    hints = get_type_hints(part, include_extras=True)
    return {each.name: hints[each.name] for each in fields(part) if each.init}


def _parts_in(hint: Any) -> Iterator[Any]:
    """Yield the classes with fields that a type consists of."""
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Declaration)):
        yield kind
    for each in get_args(hint):
        yield from _parts_in(each)


def _given(value: Any) -> str:
    # Only short values are shown: a few lines of YAML can expand to gigabytes.
    return shortened(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


_NO_TEXT = "should be a valid string"
_NO_FIELD = "there is no such field"
_SHOULD = {
    "bool_type": "should be true or false",
    "callable_type": "should be a function, such as 'module:function'",
    "model_type": "should be a mapping of its fields",
    "invalid-json-value": "should be a value of JSON",
}
_NOT_ENCODABLE = "contains half of a surrogate pair, which cannot be written"
_PLAINER = {
    "missing": "is missing",
    "extra_forbidden": _NO_FIELD,
    "unexpected_keyword_argument": _NO_FIELD,
    "tuple_type": "should be a list",
}


def for_editors(schema: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Return a JSON Schema of declarations in which a file may name its schema by `$schema`."""
    own = {_SCHEMA_KEY: {"type": "string", "title": "The schema that an editor checks by"}}
    properties = {**schema["properties"], **own}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {_SCHEMA_KEY: dialect, **schema, "title": title, "properties": properties}
