"""One request as a binding describes it, and what URLs and bodies can carry.

Pure: nothing here sends anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

from pydantic import JsonValue

from lifecycle.declaration import Path
from lifecycle_adapters.argument_checks import is_text

ID = "{id}"
"""What stands for the task's id in a template."""
ID_WITH_SLASHES = "{+id}"
"""What stands in a path for an id whose slashes are kept: reserved expansion (RFC 6570, 3.2.3), of the slash alone."""
REQUEST_ID = "{request_id}"
"""What stands for an id that each request has for itself."""
IDEMPOTENCY_KEY = "{idempotency_key}"
"""What stands for a UUID that is the same whenever one recorded command or create is sent."""
ETAG = "{etag}"
"""What stands for the version of the task that was read last, as If-Match names it (RFC 9110, 13.1.1)."""

PLACEHOLDER = re.compile(r"\{\+?\w*\}")

_IN_BRACES = re.compile(r"""(?:(?<!\{)\{+|^)([^{}"'(),:]*)(?:\}+|$)""")  # JSON has quotes; a brace may be forgotten
_ALIKE = 0.88  # of 1: "idempotency" is alike; "tag" and "request", which GraphQL may name, are like no placeholder

_LONGEST_ID = 32_768  # characters, percent-encoded; httpx2 refuses URLs of more than 65,536


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send except for the key. `path` is percent-encoded and starts with the base path.

    `headers` are those of this call; the binding's are not among them. `task_id` is the task that it names, None if it
    names none.
    """

    method: str
    path: str
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict[str, str | tuple[str, ...]])
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    task_id: str | None = field(default=None, compare=False)  # the path, the query or the body says it, too


def is_parameter(name: str) -> bool:
    """Return whether a placeholder of this name can stand for a parameter of the service's paths."""
    return name.isidentifier() and f"{{{name}}}" not in (ID, REQUEST_ID, IDEMPOTENCY_KEY, ETAG)


def parameters_of(path: str) -> list[str]:
    """Return the names of the placeholders in a path, without those of the task's id, in their order."""
    return [found[1:-1] for found in PLACEHOLDER.findall(path) if found not in (ID, ID_WITH_SLASHES)]


def filled_text(template: str, values: Mapping[str, str]) -> str:
    """Return a text in which the placeholders have their values; others, and what looks like one in a value, stay."""
    return PLACEHOLDER.sub(lambda found: values.get(found[0], found[0]), template)


def filled(template: JsonValue, values: Mapping[str, str]) -> JsonValue:
    """Return a copy of a template in whose texts the placeholders have their values."""
    if isinstance(template, str):
        return filled_text(template, values)
    if isinstance(template, dict):
        return {name: filled(item, values) for name, item in template.items()}
    if isinstance(template, list):
        return [filled(item, values) for item in template]
    return template


def misspelt_placeholders(template: str, *, may_be_any_text: bool) -> Iterator[tuple[str, str | None]]:
    """Yield what stands in a template for a placeholder and is none, and the placeholder that is like it, if any.

    That is `{idempotency-key}`, `{ idempotency_key }`, `{idempotency_key` or `{{idempotency_key}}`; case, blanks and
    punctuation do not count. JSON is none of them, nor a name between blanks within other braces, as in GraphQL's
    "{ task { id } }". In what may be any text, other names in braces, such as `{a-b}`, are ordinary text.
    """
    known = {_letters(each): each for each in (ID, REQUEST_ID, IDEMPOTENCY_KEY, ETAG)}
    for found in _IN_BRACES.finditer(template):
        if {"{", "}"}.isdisjoint(found[0]) or PLACEHOLDER.match(found[0]):
            continue
        name, before = found[1], template[: found.start()]
        alike = get_close_matches(_letters(name), known, n=1, cutoff=_ALIKE)
        if any(map(str.isspace, name)):
            is_wrong = bool(alike) and before.count("{") <= before.count("}")
        else:
            is_wrong = bool(alike) or not may_be_any_text
        if is_wrong:
            yield found[0], known[alike[0]] if alike else None


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def idempotency_key(*intent: str) -> str:
    """Return the UUID that names an intent, given by texts; each part of it tells it from others."""
    return str(uuid5(_INTENTS, json.dumps(intent)))


_INTENTS = UUID("3f0a4b0e-6c1d-4b52-9a76-0c9f2f4f8f5e")  # a namespace of our own; any UUID will do


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
def quoted_id(task_id: str, *, keeps_slashes: bool = False) -> str | None:
    """Return an id as a path carries it, its slashes quoted or kept; None if no path can."""
    # HTTP clients and servers take out dot segments and empty ones: the id ".." would name another call altogether.
    if not {"", ".", ".."}.isdisjoint(task_id.split("/") if keeps_slashes else [task_id]):
        return None
    try:
        quoted = quote(task_id, safe="/" if keeps_slashes else "")
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
        if not is_text(value):
            yield f"must be text that UTF-8 can encode, not {value!r}"
