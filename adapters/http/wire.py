"""How lifecycles are spoken over HTTP: a command becomes one request, an answer a status or a refusal.

Pure: nothing here sends anything, so the tables serve any HTTP client. This file holds the shapes
and the two translations; v1.py to v4.py hold the tables; client.py sends.

    request = V2.command_request(V2Event.STOP, task_id)
    response = my_client.request(request.method, base_url + request.path, params=request.query,
                                 json=request.body, headers=V2.headers(api_key))
    answer = V2.read_answer(V2.commands[V2Event.STOP], response.status_code, response.headers, response.content)

Source of the rules about status codes: "One command, as a pure protocol" in lifecycle/command.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic
from urllib.parse import quote

from lifecycle.definition import Lifecycle
from lifecycle.table import E, S

_ID = "{id}"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send except for the key. `path` is percent-encoded and starts with the base path."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Authentication:
    """Where the key goes: `header: prefix + key`."""

    header: str
    prefix: str = ""

    def headers(self, api_key: str) -> dict[str, str]:
        """Return the header that carries the key."""
        return {self.header: f"{self.prefix}{api_key}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a service, as a template in which `{id}` stands for the task's id.

    `takes` names the body fields that the caller must give. `status_at` is the field of the answer
    that holds the status, "" when the whole answer is the status, None when it carries none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, str] | None = None
    takes: tuple[str, ...] = ()
    status_at: str | None = None

    def request(self, base_path: str, *, task_id: str = "", fields: Mapping[str, Any] | None = None) -> Request:
        """Fill the template in.

        Args:
            base_path: what stands before every path of the service.
            task_id: the id for `{id}`; any text that a service may use as an id.
            fields: further fields of the JSON body.
        Raises:
            ValueError: the id cannot stand in a path.
            TypeError: a field that the call takes is missing, or fields are given to a call without a body.
        """
        missing = [name for name in self.takes if name not in (fields or {})]
        if missing:
            raise TypeError(f"{self.method} {self.path} needs {', '.join(missing)}")
        if fields and self.body is None:
            raise TypeError(f"{self.method} {self.path} takes no fields, but got {', '.join(fields)}")
        body = None if self.body is None else {**_filled(self.body, task_id), **(fields or {})}
        path = base_path + self.path.replace(_ID, _path_segment(task_id)) if _ID in self.path else base_path + self.path
        return Request(self.method, path, _filled(self.query, task_id), body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The call that lists tasks, and how its pages are turned.

    `page` is the query parameter that names a page: its number, counted from 1, or where `next_at`
    names a field of the answer, what that field of the page before holds.
    """

    call: Call
    items_at: str
    page: str
    next_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Where to read whether a command took effect that its task's own state does not prove.

    The command is proved when `event` would be redundant for the companion task of the lifecycle
    that `wire` speaks, whose id stands at `id_at` in the details of the task.
    """

    wire: Wire[Any, Any]
    id_at: str
    event: str


@dataclass(frozen=True, kw_only=True)
class Wire(Generic[S, E]):
    """One service's calls, with the lifecycles that govern them.

    `full` is what the service does, `seed` what the documents of its control calls say. `output_at`
    and `cost_at` are fields of the details, None where the service tells neither.
    """

    name: str
    seed: Lifecycle[S, E]
    full: Lifecycle[S, E]
    base_path: str
    authentication: Authentication
    create: Call
    status: Call
    details: Call
    listing: Listing
    commands: Mapping[E, Call]
    proofs: Mapping[E, Proof] = field(default_factory=dict[E, Proof])
    id_at: str = "id"
    output_at: str | None = None
    cost_at: str | None = None


def _filled(template: Mapping[str, str], task_id: str) -> dict[str, str]:
    return {name: value.replace(_ID, task_id) for name, value in template.items()}


def _path_segment(task_id: str) -> str:
    # An HTTP client removes dot segments: the id ".." would name another call altogether.
    if task_id in ("", ".", ".."):
        raise ValueError(f"{task_id!r} is no task id")
    return quote(task_id, safe="")
