"""Identification of requests: which call of which API a request is, derived from the bindings.

This is the inverse of `HttpBinding`: a client turns a command into a request, this module turns a request into the
command. It is pure. The call log, the faults that match one command, and the services use it, so that no module of
the emulator holds a second copy of a path, a method or an action.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl

from lifecycle.errors import UnknownName
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2, V2_SESSION
from lifecycle_adapters.services.v3 import V3
from lifecycle_adapters.services.v4 import V4

BINDINGS: tuple[HttpBinding[Any, Any], ...] = (V1, V2, V2_SESSION, V3, V4)
"""The bindings of all emulated APIs, in the order in which a request is looked up."""

_ID = "{id}"


@dataclass(frozen=True, slots=True)
class Identity:
    """The API, the call and the task of a request.

    `api` is the name of a binding; `call` is create, status, details, list, or a command, and None if the API has no
    such call; `task_id` is unchanged from the request.
    """

    api: str
    call: str | None = None
    command: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class _KnownCall:
    api: str
    name: str
    call: Call
    is_command: bool
    path: re.Pattern[str]
    details: int  # number of fields in its template; the call with the most fields wins if several match


def binding_of(api: str) -> HttpBinding[Any, Any]:
    """Return the binding of an emulated API. Raises UnknownName."""
    for binding in BINDINGS:
        if binding.name == api:
            return binding
    raise UnknownName("service", api, known=[binding.name for binding in BINDINGS], where="emulator")


def api_at(path: str) -> str | None:
    """Return the name of the API whose base path begins the path, or None."""
    return next((binding.name for binding in BINDINGS if path.startswith(binding.base_path + "/")), None)


def identify(method: str, path: str, query: str = "", body: Any = None) -> Identity | None:
    """Return the identity of a request, or None for a path outside the APIs.

    Args:
        method: the HTTP method, in capitals.
        path: the decoded path, without the query.
        query: the raw query string.
        body: the decoded JSON body; a body that is not an object has no fields.
    """
    api = api_at(path)
    if api is None:
        return None
    fields: Mapping[str, Any] | None = None
    for known in _KNOWN.get(method, ()):
        at = known.path.fullmatch(path)
        if at is None:
            continue
        if known.details and fields is None:
            fields = {**dict(parse_qsl(query)), **_object(body)}
        task_id = _fit(known.call, at.groupdict().get("id"), fields or {})
        if task_id is not _UNFIT:
            command = known.name if known.is_command else None
            return Identity(known.api, known.name, command, cast("str | None", task_id))
    return Identity(api)


_UNFIT = object()


def _fit(call: Call, task_id: str | None, fields: Mapping[str, Any]) -> object:
    """Return the task's id if the request's fields match the call's template, otherwise `_UNFIT`."""
    for name, value in {**call.query, **(call.body or {})}.items():
        given = fields.get(name)
        if value == _ID and isinstance(given, str):
            task_id = given
        elif given != value:
            return _UNFIT
    return task_id


def _object(body: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", body) if isinstance(body, dict) else {}


def _all_known() -> Iterator[_KnownCall]:
    for binding in BINDINGS:
        reads = {"status": binding.status, "details": binding.details, "create": binding.create}
        if binding.listing is not None:
            reads["list"] = binding.listing.call
        for name, call in reads.items():
            yield _known(binding, name, call, is_command=False)
        for command, call in binding.commands.items():
            yield _known(binding, str(command), call, is_command=True)


def _known(binding: HttpBinding[Any, Any], name: str, call: Call, *, is_command: bool) -> _KnownCall:
    path = re.escape(binding.base_path + call.path).replace(re.escape(_ID), "(?P<id>[^/]+)")
    details = len(call.query) + len(call.body or {})
    return _KnownCall(binding.name, name, call, is_command, re.compile(path), details)


def _by_method() -> dict[str, list[_KnownCall]]:
    known: dict[str, list[_KnownCall]] = {}
    for each in sorted(_all_known(), key=lambda each: -each.details):
        known.setdefault(each.call.method, []).append(each)
    return known


_KNOWN = _by_method()


def commands(api: str | None = None) -> list[str]:
    """Return the commands of all APIs without duplicates, or those of one API."""
    bindings = [binding for binding in BINDINGS if api in (None, binding.name)]
    return list(dict.fromkeys(str(command) for binding in bindings for command in binding.commands))


def methods(api: str | None = None) -> list[str]:
    """Return the HTTP methods of the calls of all APIs, in capitals and sorted, or those of one API."""
    return sorted(method for method, calls in _KNOWN.items() if any(api in (None, call.api) for call in calls))
