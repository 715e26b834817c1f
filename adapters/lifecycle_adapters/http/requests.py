"""One request that a binding describes, and the limits of URLs and bodies.

Pure: nothing here sends anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypedDict
from urllib.parse import quote
from uuid import UUID, uuid5

from pydantic import JsonValue

from lifecycle.declaration import Path
from lifecycle_adapters.argument_checks import is_text

ID = "{id}"
"""The placeholder of the task's id in a template."""
ID_WITH_SLASHES = "{+id}"
"""The placeholder in a path of an id whose slashes are kept: reserved expansion (RFC 6570, 3.2.3), slashes only."""
REQUEST_ID = "{request_id}"
"""The placeholder of an id that is new in each request."""
IDEMPOTENCY_KEY = "{idempotency_key}"
"""The placeholder of a UUID that is equal in all requests for one recorded command or create."""
ETAG = "{etag}"
"""The placeholder of the version of the task that was read last, as If-Match names it (RFC 9110, 13.1.1)."""

PLACEHOLDER = re.compile(r"\{\+?\w*\}")

_IN_BRACES = re.compile(r"""(?:(?<!\{)\{+|^)([^{}"'(),:]*)(?:\}+|$)""")  # JSON has quotes; a brace may be forgotten
_ALIKE = 0.88  # similarity of 0 to 1: finds "idempotency", but not "tag" and "request", which GraphQL may name

_LONGEST_ID = 32_768  # characters, percent-encoded; httpx2 refuses URLs of more than 65,536


class Named(TypedDict):
    """What identifies a request in an error; `rpc_method` is the method of JSON-RPC that it calls, or None."""

    method: str
    path: str
    rpc_method: str | None


def rpc_method_in(body: Mapping[str, Any] | None) -> str | None:
    """Return the method that a body of JSON-RPC calls (JSON-RPC 2.0, 4); None if the body is none."""
    method = None if body is None or "jsonrpc" not in body else body.get("method")
    return method if isinstance(method, str) else None


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send except for the key. `path` is percent-encoded and starts with the base path.

    `headers` are those of this call, without the binding's. `task_id` is the id of its task, None if it names no
    task.
    """

    method: str
    path: str
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict[str, str | tuple[str, ...]])
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    task_id: str | None = field(default=None, compare=False)  # the path, the query or the body also has it

    @property
    def rpc_method(self) -> str | None:
        """Return the method of JSON-RPC that it calls, None if it calls none."""
        return rpc_method_in(self.body)

    @property
    def names(self) -> Named:
        """Return what identifies it in an error."""
        return {"method": self.method, "path": self.path, "rpc_method": self.rpc_method}


def is_parameter(name: str) -> bool:
    """Return whether a placeholder of this name can stand for a parameter of the service's paths."""
    return name.isidentifier() and f"{{{name}}}" not in (ID, REQUEST_ID, IDEMPOTENCY_KEY, ETAG)


@lru_cache(maxsize=1024)
def parameters_of(path: str) -> tuple[str, ...]:
    """Return the names of the placeholders in a path, without those of the task's id, in their order."""
    return tuple(found[1:-1] for found in PLACEHOLDER.findall(path) if found not in (ID, ID_WITH_SLASHES))


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
    """Yield each misspelt placeholder in a template, and the one that it resembles, if any.

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
    """Return the UUID of an intent, which these texts together identify."""
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
    """Return an id as a path carries it, with its slashes quoted or kept; None if no path can carry it."""
    # HTTP clients and servers remove dot segments and empty ones: the id ".." would lead to another call.
    if not {"", ".", ".."}.isdisjoint(task_id.split("/") if keeps_slashes else [task_id]):
        return None
    try:
        quoted = quote(task_id, safe="/" if keeps_slashes else "")
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return quoted if len(quoted) <= _LONGEST_ID else None


def is_changed_when_sent(path: str) -> bool:
    """Return whether a path has an empty or a dot segment, which HTTP clients and servers remove."""
    inner, last = path.split("/")[1:-1], path.rpartition("/")[2]
    return "" in inner or not {".", ".."}.isdisjoint([*inner, last])


def unsendable(names: Iterable[str], values: Iterable[str]) -> Iterator[str]:
    """Yield the names and values that no request can carry: empty or unprintable names, values that are not Unicode."""
    for name in names:
        if not (name and name.isprintable()):
            yield f"must name its parameters by printable text, such as 'task_id', not {name!r}"
    for value in values:
        if not is_text(value):
            yield f"must be text that UTF-8 can encode, not {value!r}"
