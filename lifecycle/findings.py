"""Findings about the values in a declaration, made from pydantic's errors, with their places in a document.

They are the same for every kind of declaration; validation.py has the findings about lifecycles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from lifecycle.documents import NAMELESS, Document
from lifecycle.errors import DefinitionError, DefinitionFinding, shortened
from lifecycle.validation import limited, path_text

T = TypeVar("T")

_SCHEMA_KEY = "$schema"  # the key by which editors find the schema of a file


def made_from(document: Document, make: Callable[[Any], T], *, kind: str) -> T:
    """Call `make` with the value of a document, and return its result.

    Raises:
        DefinitionError: `make` raises it, or a key is written twice; its findings have their lines in the document.
    """
    value: Any = document.value
    if isinstance(value, dict):
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


def _located(finding: DefinitionFinding, document: Document) -> DefinitionFinding:
    message = finding.message
    if message.startswith(_NO_TEXT) and (bare := document.bare(finding.path)) is not None:
        message += f": to YAML a bare {shortened(bare)[1:-1]} is not text; write it in quotes"
    return replace(finding, message=message, line=document.line_of(finding.path))


def name_in(data: Any, otherwise: str = NAMELESS) -> str:
    """Return the name in a declaration, `otherwise` if it has none."""
    name = cast("dict[str, Any]", data).get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else otherwise


def bad_value(error: Mapping[str, Any]) -> DefinitionFinding:
    """Return the finding for one of pydantic's errors."""
    kind = error["type"]
    should = _SHOULD.get(kind) or error["msg"].removeprefix("Input ")
    message = _PLAINER.get(kind) or f"{should}, not {_given(error['input'])}"
    if kind == "value_error":
        reason = error["ctx"]["error"]
        message = _NOT_ENCODABLE if isinstance(reason, UnicodeError) else str(reason)
    return DefinitionFinding("bad_value", path_text(error["loc"]), message, error["loc"])


def _given(value: Any) -> str:
    # Only short values are shown: a few lines of YAML can expand to gigabytes.
    return shortened(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


_NO_TEXT = "should be a valid string"
_SHOULD = {
    "bool_type": "should be true or false",
    "model_type": "should be a mapping of its fields",
    "invalid-json-value": "should be a value of JSON",
}
_NOT_ENCODABLE = "contains half of a surrogate pair, which cannot be written"
_PLAINER = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "unexpected_keyword_argument": "there is no such field",
    "tuple_type": "should be a list",
}


def for_editors(schema: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Return a JSON Schema of declarations in which a file may name its schema by `$schema`."""
    own = {_SCHEMA_KEY: {"type": "string", "title": "The schema that an editor checks by"}}
    properties = {**schema["properties"], **own}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {_SCHEMA_KEY: dialect, **schema, "title": title, "properties": properties}
