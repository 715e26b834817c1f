"""The calls of a binding: the parts of their requests and responses that are known before a request is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.requests import PLACEHOLDER
from lifecycle_adapters.http.responses import placed

UNKNOWN: Any = object()
"""A value that is known only when a request is sent: an id, or a field of the caller."""


class Role(StrEnum):
    """The purpose of a call in its binding."""

    CREATE = "create"
    STATUS = "status"
    DETAILS = "details"
    LIST = "list"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredCall:
    """A call of a binding.

    `name` is the command's name, or the role. `path` includes the base path. `body` is the body with the fields that
    the caller must give, None if there is no body; `query` likewise. `fields` are the paths of the fields that are
    read from the response, `item_fields` those of the fields that are read from each item of its list.
    """

    name: str
    role: Role
    call: Call
    path: str
    query: Mapping[str, Any]
    body: Any
    fields: tuple[str, ...]
    item_fields: tuple[str, ...]

    @property
    def reads_status(self) -> bool:
        """Return whether the call reads the status of any task."""
        return self.role in (Role.STATUS, Role.DETAILS)


def declared_calls(lifecycle: Lifecycle[Any, Any], binding: HttpBinding[Any, Any]) -> Iterator[DeclaredCall]:
    """Yield the calls of a binding; of its commands only those that the lifecycle declares."""
    calls = [(Role.CREATE, binding.create), (Role.STATUS, binding.status), (Role.DETAILS, binding.details)]
    if binding.listing is not None:
        calls.append((Role.LIST, binding.listing.call))
    named = [(role.value, role, call) for role, call in calls]
    named += [(str(each), Role.COMMAND, binding.commands[each]) for each in lifecycle.commands]
    for name, role, call in named:
        yield DeclaredCall(
            name=name,
            role=role,
            call=call,
            path=binding.base_path + call.path,
            query=_query(binding, role, call),
            body=_body(binding, role, call),
            fields=tuple(dict.fromkeys(_placed_fields(lifecycle, binding, role, call))),
            item_fields=_item_fields(binding) if role is Role.LIST else (),
        )


def _item_fields(binding: HttpBinding[Any, Any]) -> tuple[str, ...]:
    id_field = None if binding.listing is None else binding.listing.id_field
    return tuple(filter(None, (id_field or binding.id_field, binding.created_field)))


def leaves(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each value in an object that is not an object itself, with its path."""
    for name, each in value.items():
        if isinstance(each, dict):
            yield from leaves(cast("dict[str, Any]", each), (*path, name))
        else:
            yield (*path, name), each


def _query(binding: HttpBinding[Any, Any], role: Role, call: Call) -> dict[str, Any]:
    query = {name: _known(value) for name, value in call.query.items()}
    return query | (dict.fromkeys(_page(binding, role), UNKNOWN) if call.body is None else {})


def _page(binding: HttpBinding[Any, Any], role: Role) -> tuple[str, ...]:
    """Return the parameter that names a page, if the call is the list and has one."""
    listing = binding.listing if role is Role.LIST else None
    return () if listing is None or listing.page_parameter is None else (listing.page_parameter,)


def _body(binding: HttpBinding[Any, Any], role: Role, call: Call) -> dict[str, Any] | None:
    if call.body is None:
        return None
    body: dict[str, Any] = _known(dict(call.body))
    task = [binding.task_field] if role is Role.CREATE and binding.task_field is not None else []
    for name in (*call.required_fields, *task, *_page(binding, role)):
        body = placed(body, f"{call.fields_path}.{name}" if call.fields_path else name, UNKNOWN)
    return body


def _placed_fields(
    lifecycle: Lifecycle[Any, Any], binding: HttpBinding[Any, Any], role: Role, call: Call
) -> Iterator[str]:
    """Yield the fields of a response that the binding reads, as paths from its top."""
    envelope = binding.envelope
    for each in _fields(lifecycle, binding, role, call):
        if each is not None:
            yield each if envelope is None else f"{envelope.result_field}.{each}".removesuffix(".")
    if binding.error_field is not None:
        yield binding.error_field


def _fields(
    lifecycle: Lifecycle[Any, Any], binding: HttpBinding[Any, Any], role: Role, call: Call
) -> Iterator[str | None]:
    yield call.status_field
    match role:
        case Role.CREATE:
            yield None if call.id_header is not None else call.id_field or binding.id_field
        case Role.DETAILS:
            yield binding.output_field
            yield binding.cost_field
            yield from (binding.proofs[each].id_field for each in lifecycle.commands if each in binding.proofs)
        case Role.LIST if binding.listing is not None:
            yield binding.listing.items_field
            yield binding.listing.next_field
            yield binding.listing.more_field
        case _:
            pass


def _known(value: Any) -> Any:
    """Return a value with what is not known yet marked."""
    if isinstance(value, dict):
        return {name: _known(each) for name, each in cast("dict[str, Any]", value).items()}
    return UNKNOWN if isinstance(value, str) and PLACEHOLDER.search(value) else value
