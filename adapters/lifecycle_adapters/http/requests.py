"""One request as a binding describes it, and what URLs and bodies can carry.

Pure: nothing here sends anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from pydantic import JsonValue

from lifecycle.declaration import Path

ID = "{id}"
"""What stands for the task's id in a template."""
REQUEST_ID = "{request_id}"
"""What stands for an id that each request has for itself."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_ID = 32_768  # characters, percent-encoded; httpx2 refuses URLs of more than 65,536


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send except for the key. `path` is percent-encoded and starts with the base path.

    `task_id` is the task that it names, None if it names none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, Any] | None = None
    task_id: str | None = field(default=None, compare=False)  # the path, the query or the body says it, too


def filled(template: JsonValue, task_id: str, request_id: str) -> JsonValue:
    """Return a copy of a template in which its texts have the ids."""
    if isinstance(template, str):
        return template.replace(ID, task_id).replace(REQUEST_ID, request_id)
    if isinstance(template, dict):
        return {name: filled(item, task_id, request_id) for name, item in template.items()}
    if isinstance(template, list):
        return [filled(item, task_id, request_id) for item in template]
    return template


def texts_in(template: JsonValue, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield each text in a template, with its path."""
    if isinstance(template, str):
        yield path, template
    elif isinstance(template, dict):
        for name, item in template.items():
            yield from texts_in(item, (*path, name))
    elif isinstance(template, list):
        for place, item in enumerate(template):
            yield from texts_in(item, (*path, place))


@lru_cache(maxsize=1024)
def quoted_id(task_id: str) -> str | None:
    """Return an id as a path carries it; None if no path can."""
    # An HTTP client removes dot segments: the id ".." would name another call altogether.
    if task_id in ("", ".", ".."):
        return None
    try:
        quoted = quote(task_id, safe="")
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return quoted if len(quoted) <= _LONGEST_ID else None


def is_changed_when_sent(path: str) -> bool:
    """Return whether a path has an empty or a dot segment, which HTTP clients and servers take out."""
    inner, last = path.split("/")[1:-1], path.rpartition("/")[2]
    return "" in inner or not {".", ".."}.isdisjoint([*inner, last])


def unsendable(names: Iterable[str], values: Iterable[str]) -> Iterator[str]:
    """Yield what no request can carry: a name that is empty or not printable, a value that is no Unicode text."""
    for name in names:
        if not (name and name.isprintable()):
            yield f"must name its parameters by printable text, such as 'task_id', not {name!r}"
    for value in values:
        if _SURROGATE.search(value):
            yield f"must be text that UTF-8 can encode, not {value!r}"
