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

ID = "{id}"
"""What stands for the task's id in a template."""

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


def filled(template: Mapping[str, str], task_id: str) -> dict[str, str]:
    """Return the texts of a template with the task's id in them."""
    return {name: value.replace(ID, task_id) for name, value in template.items()}


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
