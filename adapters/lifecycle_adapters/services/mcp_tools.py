"""The headers that repeat arguments of an MCP tool, by its definition. Pure.

Source: MCP specification, revision 2026-07-28: Tools ("x-mcp-header"), Streamable HTTP ("Custom Headers from Tool
Parameters").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.http.authentication import HEADER_NAME

_MARK = "x-mcp-header"
_PRIMITIVE = ("string", "integer", "boolean")
_DATA = ("const", "default", "enum", "examples")  # keywords whose values are not schemas


def argument_headers(tool: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that repeat arguments of a tool, with the paths of these, for the `field_headers` of a create.

    Args:
        tool: the definition of the tool, as `tools/list` returns it.
    Raises:
        ValueError: an `x-mcp-header` breaks a rule of the specification, which forbids clients such a tool; the name of
            a marked argument contains a dot, so that no path can name it; or the schema is nested too deeply to be
            read, or contains itself.
        TypeError: the definition is not a mapping, or has no `inputSchema` that is one.
    """
    require(tool, Mapping, "a definition of a tool must be a mapping")
    require(tool.get("inputSchema"), Mapping, "a tool must have an inputSchema that is a mapping")
    headers: dict[str, str] = {}
    try:
        marked = list(_marked(tool["inputSchema"], ()))
    except RecursionError:
        raise ValueError("the inputSchema is nested too deeply to be read, or contains itself") from None
    for path, schema in marked:
        name, kind = schema[_MARK], schema.get("type")
        if not path:
            raise ValueError(f"{_MARK} {shortened(name)} must mark a property that `properties` alone lead to")
        where = ".".join(path)
        if kind not in _PRIMITIVE:
            raise ValueError(f"{where}: only a {', '.join(_PRIMITIVE)} can be in a header, not {shortened(kind)}")
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{where}: {_MARK} must be a part of a header's name, not {shortened(name)}")
        header = f"Mcp-Param-{name}"
        if header.casefold() in map(str.casefold, headers):
            raise ValueError(f"{where}: another argument is in the header {header}, too")
        if any(not part or "." in part for part in path):
            raise ValueError(f"{where}: no path can name an argument whose name is empty or contains a dot")
        headers[header] = f"arguments.{where}"
    return headers


def _marked(schema: Any, path: tuple[str, ...] | None) -> Iterator[tuple[tuple[str, ...] | None, Mapping[Any, Any]]]:
    """Yield each marked schema within a schema, with its path; None if anything else than `properties` leads to it."""
    match schema:
        case [*schemas]:
            for each in schemas:
                yield from _marked(each, None)
        case {**keywords}:
            if _MARK in keywords:
                yield path, keywords
            for keyword, value in keywords.items():
                match keyword, value:
                    case "properties", {**properties}:
                        for name, each in properties.items():
                            yield from _marked(each, None if path is None else (*path, str(name)))
                    case _ if keyword not in _DATA:
                        yield from _marked(value, None)
                    case _:
                        pass  # data, which may look like a mark
        case _:
            pass
