"""Documents for tests: the dated ones of Browser Use Cloud, and a small one of the printer in examples/services."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from lifecycle import CATALOG
from lifecycle_adapters.drift import Comparison, OpenApiDocument, compare
from lifecycle_adapters.http import HttpBinding
from lifecycle_adapters.services import service_of
from tests.support.examples import EXAMPLES

FOLDER = Path(__file__).parent / "documents"
PRINTER = EXAMPLES["print-job"]


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def dated(name: str) -> Any:
    """Return a document of Browser Use Cloud, such as "v2-2026-08-06"."""
    return json.loads(_text(name))


def compared(lifecycle: str, contents: Any, **settings: Any) -> Comparison:
    """Compare a lifecycle of the catalog and the calls of its service with a document."""
    return compare(
        CATALOG[lifecycle], service_of(CATALOG[lifecycle]), OpenApiDocument(contents, source="api.json"), **settings
    )


def compared_service(contents: Any, binding: HttpBinding[Any, Any] = PRINTER, **settings: Any) -> Comparison:
    """Compare a service, the printer if no other is given, with a document."""
    return compare(binding.lifecycle, binding, OpenApiDocument(contents, source="api.json"), **settings)


def json_of(schema: Any) -> Any:
    """Return the content of a body or a response."""
    return {"content": {"application/json": {"schema": schema}}}


def printer(status: Any = None, **more: Any) -> Any:
    """Return a document of the printer that is the same as its binding.

    Args:
        status: the schema of a job's status.
        more: further parts of the document, such as `servers`.
    """
    job = {"$ref": "#/components/schemas/Job"}
    response = {"200": {"description": "", **json_of(job)}}
    listed = {"type": "object", "properties": {"jobs": {"type": "array", "items": job}}}
    statuses = {"type": "string", "enum": ["waiting", "printing", "printed", "cancelled"]}
    made = {
        "openapi": "3.1.0",
        "info": {"title": "Printer", "version": "7"},
        "paths": {
            "/jobs": {
                "post": {
                    "requestBody": json_of(
                        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
                    ),
                    "responses": response,
                },
                "get": {
                    "parameters": [{"name": "page", "in": "query", "schema": {"type": "integer"}}],
                    "responses": {"200": {"description": "", **json_of(listed)}},
                },
            },
            "/jobs/{job-id}": {
                "parameters": [{"name": "job-id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "get": {"responses": response},
                "delete": {"responses": {"204": {"description": "cancelled"}}},
            },
        },
        "components": {
            "schemas": {
                "Job": {
                    "type": "object",
                    "properties": {"id": {"type": "string"}, "status": {"$ref": "#/components/schemas/Status"}},
                },
                "Status": statuses if status is None else status,
            }
        },
        **more,
    }
    return json.loads(json.dumps(made))  # no part of it is in two places


def at(contents: Any, *path: str) -> Any:
    """Return a part of a document, to change it."""
    for each in path:
        contents = contents[each]
    return contents


def found(comparison: Comparison) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the kind, the place and the calls of each difference."""
    return [(str(each.kind), each.place, each.calls) for each in comparison.differences]


def pointed(contents: Any, pointer: str) -> Any:
    """Return what a JSON pointer leads to."""
    for each in pointer.removeprefix("#/").split("/") if pointer != "#" else ():
        key = each.replace("~1", "/").replace("~0", "~")
        contents = contents[int(key) if isinstance(contents, list) else key]
    return contents
