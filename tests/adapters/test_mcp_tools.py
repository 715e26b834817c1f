"""The headers of a tool's arguments, by the sentences about `x-mcp-header` in the MCP specification of 2026-07-28."""

from __future__ import annotations

from typing import Any

import pytest

from lifecycle_adapters.services import argument_headers

TEXT: dict[str, Any] = {"type": "string"}


def tool(schema: Any) -> dict[str, Any]:
    return {"name": "query", "inputSchema": schema}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def marked(header: Any = "Region", kind: Any = "string") -> dict[str, Any]:
    return {"type": kind, "x-mcp-header": header}


def test_marked_arguments_are_in_headers_at_any_depth() -> None:
    """ "Nested object properties are permitted as long as every step in the chain is a `properties` key"."""
    where = of(region=marked(), count=marked("Count", "integer"), text=TEXT)
    schema = of(where=where, dry=marked("Dry-Run", "boolean"), **{"x-mcp-header": TEXT})

    assert argument_headers(tool(schema)) == {
        "Mcp-Param-Region": "arguments.where.region",
        "Mcp-Param-Count": "arguments.where.count",
        "Mcp-Param-Dry-Run": "arguments.dry",
    }


def test_tool_without_marks_needs_no_headers() -> None:
    schema = {**of(a=TEXT), "default": {"x-mcp-header": 1}, "additionalProperties": False}
    assert argument_headers(tool(schema)) == {}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "empty": (of(a=marked("")), "part of a header's name, not ''"),
    "no text": (of(a=marked(7)), "part of a header's name, not 7"),
    "line end": (of(a=marked("A\r\nB")), "part of a header's name"),
    "space": (of(a=marked("A B")), "part of a header's name"),
    "twice": (of(a=marked("Region"), b=of(c=marked("region"))), "b.c: another argument is in the header"),
    "number": (of(a=marked(kind="number")), "not 'number'"),
    "object": (of(a={**of(b=TEXT), "x-mcp-header": "A"}), "not 'object'"),
    "several types": (of(a=marked(kind=["string", "null"])), "only a string"),
    "root": ({**of(a=TEXT), "x-mcp-header": "A"}, "`properties` alone"),
    "items": (of(a={"type": "array", "items": marked()}), "`properties` alone"),
    "properties of items": (of(a={"type": "array", "items": of(b=marked())}), "`properties` alone"),
    "anyOf": ({"anyOf": [of(a=marked())]}, "`properties` alone"),
    "definition": ({**of(a={"$ref": "#/$defs/region"}), "$defs": {"region": marked()}}, "`properties` alone"),
    "dot": (of(**{"a.b": marked()}), "contains a dot"),
    "no name": (of(**{"": marked()}), "is empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_definition_that_breaks_a_rule_is_refused(case: str) -> None:
    """ "Clients using the Streamable HTTP transport MUST reject tool definitions where any [...] violates these"."""
    schema, text = WRONG[case]
    with pytest.raises(ValueError, match=text):
        argument_headers(tool(schema))


def test_schema_that_contains_itself_or_is_too_deep_is_refused() -> None:
    cyclic, deep = of(a=marked()), of(a=marked())
    cyclic["properties"]["b"] = cyclic
    items: list[Any] = []
    items.append(items)
    for _ in range(5_000):
        deep = of(a=deep)
    for schema in (cyclic, deep, {"anyOf": items}):
        with pytest.raises(ValueError, match="nested too deeply to be read, or contains itself"):
            argument_headers(tool(schema))


@pytest.mark.parametrize("given", [None, [], {}, {"inputSchema": None}], ids=repr)
def test_definition_must_have_a_schema(given: Any) -> None:
    with pytest.raises(TypeError, match="must"):
        argument_headers(given)
