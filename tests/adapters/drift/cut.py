"""Cuts an OpenAPI document down to some paths and all that they refer to, so that tests have a small one.

    python -m tests.adapters.drift.cut v2.json tests/adapters/drift/documents/v2-2026-08-06.json /tasks /sessions

What is kept is unchanged. The documents beside it are those that Browser Use Cloud served at the dates in
their names (v2-2026-02-21 since 2026-02-12), cut to the paths /tasks, /sessions and /runs, and to /browsers and
/skills/{skill_id}, whose statuses have similar names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast


def references(value: Any) -> Iterator[str]:
    """Yield the references in a part of a document."""
    if isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            if key == "$ref" and isinstance(each, str):
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in cast("Any", value):
            yield from references(each)


def cut(document: dict[str, Any], prefixes: Sequence[str]) -> dict[str, Any]:
    """Return the document with the paths that begin so, and with the components that they need."""
    paths = {path: item for path, item in document["paths"].items() if path.startswith(tuple(prefixes))}
    kept: dict[str, dict[str, Any]] = {}
    waiting = list(references(paths))
    while waiting:
        _, _, kind, name = waiting.pop().split("/")
        if name not in kept.setdefault(kind, {}):
            kept[kind][name] = document["components"][kind][name]
            waiting += references(kept[kind][name])
    kept["securitySchemes"] = document["components"]["securitySchemes"]  # they are named without references
    in_order = {kind: [name for name in document["components"][kind] if name in names] for kind, names in kept.items()}
    components = {kind: {name: kept[kind][name] for name in names} for kind, names in in_order.items()}
    return {**document, "paths": paths, "components": components}


if __name__ == "__main__":
    source, target, *wanted = sys.argv[1:]
    result = cut(json.loads(Path(source).read_text(encoding="utf-8")), wanted)
    Path(target).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
