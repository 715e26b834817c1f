"""The files that declare a lifecycle or a service, from their JSON Schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from from_code.markdown import code, html, prose, table
from lifecycle import Lifecycle
from lifecycle_adapters.http import HttpBinding

SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "lifecycle": Lifecycle.json_schema,
    "binding": HttpBinding.json_schema,
}
"""By the name of the file at the site's root, `schemas/<name>.json`."""


def schema(name: str) -> str:
    """Return the parts of a schema as tables, the whole first, and a link to the schema itself."""
    whole = SCHEMAS[name]()
    link = f'<p><a href="../schemas/{name}.json" download>The JSON Schema of this file</a></p>'
    parts = "".join(_part(name, title, part) for title, part in _parts(whole).items())
    return f"{html(link)}{_fields(name, whole)}{parts}"


def _parts(whole: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the definitions by their titles: pydantic defines a generic class once for each of its arguments."""
    found: dict[str, dict[str, Any]] = {}
    for key, part in sorted(whole["$defs"].items(), key=lambda each: "_Any" in each[0]):
        found.setdefault(_title(key), part)
    return dict(sorted(found.items()))


def _title(key: str) -> str:
    return re.sub(r"_.*", "", key)


def _part(name: str, title: str, part: Mapping[str, Any]) -> str:
    if "properties" not in part and "enum" not in part:
        return ""
    text = "".join(f"{prose(each)}\n\n" for each in part.get("description", "").split("\n\n"))
    values = f"One of {', '.join(code(each) for each in part['enum'])}.\n\n" if "enum" in part else ""
    return f"({_target(name, title)})=\n## {title}\n\n{text}{values}{_fields(name, part)}"


def _target(name: str, title: str) -> str:
    return f"{name}-file-{title.lower()}"


def _fields(name: str, part: Mapping[str, Any]) -> str:
    rows = [*_rows(name, part)]
    has_meanings = any(row[-1] for row in rows)
    columns = ("field", "type", "default", "meaning")[: 4 if has_meanings else 3]
    return table(columns, (row[: len(columns)] for row in rows)) if rows else ""


def _rows(name: str, part: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for field, about in part.get("properties", {}).items():
        default = "required" if field in part.get("required", ()) else ""
        if "default" in about:
            default = code(json.dumps(about["default"]))
        meaning = about.get("description", about.get("title", "") if field == "$schema" else "")
        yield code(field), _type(name, about), default, prose(meaning)


def _type(name: str, about: Mapping[str, Any]) -> str:
    """Return the type of a field in words, with links to the parts."""
    if "$ref" in about:
        title = _title(about["$ref"].rpartition("/")[2])
        return "any JSON" if title == "JsonValue" else f"[{title}](#{_target(name, title)})"
    if "anyOf" in about:
        return " or ".join(dict.fromkeys(_type(name, each) for each in about["anyOf"]))
    if "const" in about:
        return code(json.dumps(about["const"]))
    if "enum" in about:
        return " or ".join(code(each) for each in about["enum"])
    if about.get("type") == "array":
        return f"list of {_type(name, about.get('items', {}))}"
    if about.get("type") == "object":
        values: Any = about.get("additionalProperties")
        return "mapping" if isinstance(values, bool | None) else f"mapping of text to {_type(name, values)}"
    kind = str(about.get("type", "any JSON"))
    return {"string": "text", "null": "nothing"}.get(kind, kind)
