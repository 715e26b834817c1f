"""Identification of requests: which call of which API a request is, derived from the bindings.

This is the inverse of `HttpBinding`: a client turns a command into a request, this module turns a request into the
command. It is pure. The call log, the faults that match one command, and the services use it, so that no module of
the emulator holds a second copy of a path, a method or an action.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from lifecycle.errors import UnknownName
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.emulator.routing import segment
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.header_values import decoded
from lifecycle_adapters.http.requests import ID, ID_WITH_SLASHES, REQUEST_ID, texts_in

STREAM = "stream"
"""The name of the call that opens the stream of a task."""
SESSION = "session"
"""The name of the call that reads a session without a lifecycle, and the beginning of those of its other calls."""
HANDSHAKE = "handshake"
"""The name of the first call of a handshake."""
CONFIRMATION = "handshake confirm"
"""The name of the call that confirms a handshake."""
PREFIX = "/_emulator"
"""The prefix of the paths of the control calls."""
_PLACEHOLDER = re.compile(r"(\{\+?\w+\})")
_ANY = r"[\s\S]*"
_SEGMENT = "[^/]+"
_SEGMENTS = "[^/]+(?:/[^/]+)*"
_NO_HEADERS: Mapping[str, str] = {}
_OWN_PAGES = frozenset({"/", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})


@dataclass(frozen=True, slots=True)
class Identity:
    """The API, the call and the task of a request.

    `api` is the name of a binding; `call` is one of the names of `named_calls`, and None if the API has no such call;
    `task_id` is unchanged from the request, and of a call about a session that one's id. `parameters` are those in the
    path beside it, by their names. `is_streamed` is whether its response is to be the stream of its task.
    """

    api: str
    call: str | None = None
    command: str | None = None
    task_id: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    is_streamed: bool = False


@dataclass(frozen=True, slots=True)
class _KnownCall:
    api: str
    name: str
    call: Call
    is_command: bool
    path: re.Pattern[str]
    query: dict[str, str]
    headers: dict[str, str]  # those that name the task
    body: dict[str, Any]
    rank: tuple[int, int]  # values in its templates, then characters in its path; the highest match wins


class Calls:
    """The calls of several bindings, in the order in which a request is looked up.

    `streaming` maps paths, and texts at the top of a body such as a method of JSON-RPC, to those whose calls they are,
    too: their responses are streams.

    Raises:
        ValueError: two bindings have the same name, or a call of the same method and path; or a call is below the
            path of the control calls.
    """

    def __init__(self, bindings: Sequence[HttpBinding[Any, Any]]) -> None:
        self.bindings = tuple(bindings)
        self.streaming: dict[str, str] = {}
        self._bindings = {binding.name: binding for binding in bindings}
        for name, times in Counter(binding.name for binding in bindings).items():
            if times > 1:
                raise ValueError(f"{name!r} is given twice; two services of one name need an emulator each")
        longest_first = sorted(self.bindings, key=lambda binding: -len(binding.base_path))
        self._starts = [(_path_pattern(binding.base_path + "/"), binding.name) for binding in longest_first]
        known = [each for binding in bindings for each in _calls_of(binding)]
        for each in known:
            path = self._bindings[each.api].base_path + each.call.path
            if f"{path}/".startswith(f"{PREFIX}/"):
                what = f"{each.api!r} has the call {each.call.method} {path}"
                raise ValueError(f"{what}: the paths below {PREFIX} are those of the emulator's control calls")
        _require_distinct(known)
        self._known: dict[str, list[_KnownCall]] = {}
        for each in sorted(known, key=lambda each: each.rank, reverse=True):
            self._known.setdefault(each.call.method, []).append(each)

    def make_optional(self, api: str, paths: Sequence[str]) -> None:
        """Identify requests of an API also without the parts of their bodies at these paths."""
        for method, calls in self._known.items():
            self._known[method] = [
                replace(each, body=_without(each.body, paths)) if each.api == api else each for each in calls
            ]

    def binding(self, api: str) -> HttpBinding[Any, Any]:
        """Return the binding of an API.

        Raises UnknownName if the emulator has no API with this name, TypeError if the name is not text.
        """
        require(api, str, "api must be the name of a service")
        try:
            return self._bindings[api]
        except KeyError:
            advice = "an emulator has the services that it is made with"
            raise UnknownName("service", api, known=self._bindings, where="emulator", advice=advice) from None

    def api_at(self, path: str) -> str | None:
        """Return the name of the API whose base path begins the path, None for the emulator's own pages and others."""
        if path.startswith(PREFIX + "/") or path == PREFIX:
            return None
        api = next((name for start, name in self._starts if start.match(path)), None)
        return None if path in _OWN_PAGES and not self._is_path(path) else api

    def identify(
        self, method: str, path: str, query: str = "", body: Any = None, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Identity | None:
        """Return the identity of a request, or None for a path outside the APIs.

        Args:
            method: the HTTP method, in capitals.
            path: the path, without the query, as `own_path` returns it.
            query: the raw query string.
            body: the decoded JSON body; a body that is not an object matches only calls without a body's template.
            headers: the headers, with names in small letters.
        """
        api = self.api_at(path)
        if api is None:
            return None
        sent = path, body
        path, body = self.streaming.get(path, path), self._unstreamed(body)
        is_streamed = (path, body) != sent
        parameters: dict[str, str] | None = None
        for known in self._known.get(method, ()):
            at = known.path.fullmatch(path)
            if at is None:
                continue
            if parameters is None:
                parameters = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
            named = {name: segment(text) for name, text in at.groupdict().items()}
            ids = {named.pop("id")} if "id" in named else set[str]()
            is_match = _fits(known.query, parameters, ids) and _fits(known.headers, _texts(headers, known), ids)
            if is_match and (not known.body or _fits(known.body, body, ids)) and len(ids) < 2:
                command = known.name if known.is_command else None
                return Identity(known.api, known.name, command, next(iter(ids), None), named, is_streamed)
        return Identity(api)

    def _unstreamed(self, body: Any) -> Any:
        """Return a body with the texts at its top that `streaming` stands for."""
        match body:
            case {**fields} if self.streaming:
                return {
                    name: self.streaming.get(text, text) if isinstance(text, str) else text
                    for name, text in fields.items()
                }
            case _:
                return body

    def commands(self, api: str | None = None) -> list[str]:
        """Return the commands of all APIs without duplicates, or those of one API.

        Raises UnknownName if the emulator has no API with this name.
        """
        bindings = self.bindings if api is None else [self.binding(api)]
        return list(dict.fromkeys(str(command) for binding in bindings for command in binding.commands))

    def names(self, api: str | None = None) -> list[str]:
        """Return the names of the calls of all APIs without duplicates, or those of one API.

        Raises UnknownName if the emulator has no API with this name.
        """
        bindings = self.bindings if api is None else [self.binding(api)]
        return list(dict.fromkeys(name for binding in bindings for name in named_calls(binding)))

    def methods(self, api: str | None = None) -> list[str]:
        """Return the HTTP methods of the calls of all APIs, in capitals and sorted, or those of one API."""
        return sorted(method for method, calls in self._known.items() if any(api in (None, call.api) for call in calls))

    def has_call(self, *, api: str | None, method: str | None, name: str | None, command: str | None) -> bool:
        """Return whether a call has all of these at once; None is any."""
        return any(
            api in (None, each.api)
            and method in (None, each.call.method)
            and name in (None, each.name)
            and (command is None or (each.is_command and each.name == command))
            for calls in self._known.values()
            for each in calls
        )

    def _is_path(self, path: str) -> bool:
        return any(each.path.fullmatch(path) for calls in self._known.values() for each in calls)


def named_calls(binding: HttpBinding[Any, Any]) -> dict[str, Call]:
    """Return the calls of a binding by their names.

    They are create, status, details, list, events, the commands, stream, and the further calls; "session" reads a
    session that has no lifecycle, and "session NAME" is a further call about one; "handshake" and "handshake confirm"
    are those of a handshake.
    """
    lists = {"list": binding.listing, "events": binding.events}
    listed = {name: each.call for name, each in lists.items() if each is not None}
    reads = {"status": binding.status, "details": binding.details, **listed}
    commands = {str(name): call for name, call in binding.commands.items()}
    stream = {} if binding.stream is None else {STREAM: binding.stream.call}
    handshake: dict[str, Call] = {}
    if binding.handshake is not None:
        named = {HANDSHAKE: binding.handshake.begin, CONFIRMATION: binding.handshake.confirm}
        handshake = {name: call for name, call in named.items() if call is not None}
    further = {**binding.further_calls, **_session_calls(binding)}
    return {"create": binding.create, **reads, **commands, **stream, **further, **handshake}


def _session_calls(binding: HttpBinding[Any, Any]) -> dict[str, Call]:
    if binding.session_calls is None:
        return {}
    further = {f"{SESSION} {name}": call for name, call in binding.session_calls.further_calls.items()}
    return {SESSION: binding.session_calls.details, **further}


def value_in(placeholder: str, call: Call, headers: Mapping[str, str], body: Any) -> str | None:
    """Return the value that a request has at its call's placeholder, in a header or the body; None if it has none."""
    for (place, *path), template in texts_in({"headers": {**call.headers}, "body": {**(call.body or {})}}):
        before, found, after = template.partition(placeholder)
        if found:
            given = headers.get(str(path[0])) if place == "headers" else _at(body, path)
            pattern = f"{_pattern(before, _ANY).pattern}(?P<value>{_ANY}){_pattern(after, _ANY).pattern}"
            at = re.fullmatch(pattern, given) if isinstance(given, str) else None
            return None if at is None else at["value"]
    return None


def _at(body: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path of names and indices in a body, None if there is none."""
    for step in path:
        match body, step:
            case {**fields}, str():
                body = fields.get(step)
            case [*items], int():
                body = items[step] if step < len(items) else None
            case _:
                return None
    return body


def _calls_of(binding: HttpBinding[Any, Any]) -> Iterator[_KnownCall]:
    for name, call in named_calls(binding).items():
        query, body = dict(call.query), dict(call.body or {})
        if name in (HANDSHAKE, CONFIRMATION):  # below its top every client says something else of itself
            body = {field: value for field, value in body.items() if isinstance(value, str)}
        headers = {header.lower(): text for header, text in call.headers.items() if ID in text}
        rank = len(query) + len(headers) + sum(1 for _ in _values(body)), len(_PLACEHOLDER.sub("", call.path))
        path = _path_pattern(binding.base_path + call.path)
        yield _KnownCall(binding.name, name, call, name in binding.commands, path, query, headers, body, rank)


def _without(body: dict[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return a body without the values at these paths, whose objects are then not empty."""
    for path in paths:
        first, _, rest = path.partition(".")
        if rest and isinstance(body.get(first), dict):
            body = {**body, first: _without(body[first], [rest])}
        elif not rest:
            body = {name: value for name, value in body.items() if name != first}
    return body


def _require_distinct(known: Iterable[_KnownCall]) -> None:
    owners: dict[tuple[str, str], str] = {}
    for each in known:
        owner = owners.setdefault((each.call.method, each.path.pattern), each.api)
        if owner != each.api:
            what = f"{owner!r} and {each.api!r} both have the call {each.call.method} {each.call.path}"
            raise ValueError(f"{what}: give each service an emulator of its own")


def _texts(headers: Mapping[str, str], known: _KnownCall) -> Mapping[str, str | None]:
    """Return the texts that the headers of a call carry."""
    if not known.call.encodes_headers:
        return headers
    return {name: decoded(headers[name]) for name in known.headers if name in headers}


def _values(template: Any) -> Iterator[Any]:
    match template:
        case {**fields}:
            for item in fields.values():
                yield from _values(item)
        case [*items]:
            for item in items:
                yield from _values(item)
        case _:
            yield template


def fits(template: Any, given: Any) -> bool:
    """Return whether a value matches a template of a call's body."""
    return _fits(template, given, set())


def _fits(template: Any, given: Any, ids: set[str]) -> bool:
    """Return whether a value matches a template, and add the task ids in it to `ids`; extra fields are ignored."""
    match template, given:
        case str(), str():
            at = _pattern(template, _ANY).fullmatch(given)
            ids.update(() if at is None else at.groupdict().values())
            return at is not None
        case str(), int():
            return template == REQUEST_ID and type(given) is int  # JSON-RPC numbers its requests, too
        case {**fields}, {**has}:
            return all(name in has and _fits(item, has[name], ids) for name, item in fields.items())
        case [*items], [*values]:
            pairs = zip(items, values, strict=False)
            return len(items) == len(values) and all(_fits(item, value, ids) for item, value in pairs)
        case _:
            return type(given) is type(template) and given == template


@lru_cache(maxsize=1024)
def _pattern(template: str, value: str) -> re.Pattern[str]:
    """Return the pattern of a template's text: the task's id is the group `id`, every other placeholder any value."""
    parts = _PLACEHOLDER.split(template)
    first = next((number for number, part in enumerate(parts) if part == ID), -1)
    patterns = (
        re.escape(part) if not number % 2
        else f"(?P<id>{value})" if number == first
        else "(?P=id)" if part == ID
        else value
        for number, part in enumerate(parts)
    )  # fmt: skip
    return re.compile("".join(patterns))


def _path_pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of a path: the task's id is the group `id`, every parameter the group of its name."""
    patterns, seen = list[str](), set[str]()
    for number, part in enumerate(_PLACEHOLDER.split(template)):
        name = part.strip("{+}")
        if not number % 2:
            patterns.append(re.escape(part))
        elif name in seen:
            patterns.append(f"(?P={name})")
        else:
            seen.add(name)
            patterns.append(f"(?P<{name}>{_SEGMENTS if part == ID_WITH_SLASHES else _SEGMENT})")
    return re.compile("".join(patterns))
