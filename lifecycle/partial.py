"""What could be read of a declaration: the rules examine that too, so that all findings come at once.

A field that could not be read is missing: `hasattr` is false, and to read it raises NotKnown. An element of a list
raises it when it is looked up. So a rule that needs it is left out, and nothing false is found. Lifecycles are read by
it here, bindings in the adapters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import BaseModel, create_model

from lifecycle.declaration import Alias, Declaration, Event, Invariant, Path, State, Transitions
from lifecycle.errors import nearest

T = TypeVar("T")


class NotKnown(AttributeError):
    """A rule reads a field that could not be read: nobody knows whether the declaration keeps the rule."""


def as_far_as_known(rule: Iterable[T]) -> Iterator[T]:
    """Yield what a rule finds, until it reads a field that could not be read."""
    with suppress(NotKnown):
        yield from rule


class _Unread:
    """Stands for an element of a list that could not be read: to look it up raises NotKnown."""

    def __hash__(self) -> int:
        raise NotKnown


class _Partial:
    """Stands for an object of a class, of whose fields only some are known."""

    def __init__(self, kind: Any, wanted: Collection[str], known: Mapping[str, Any]) -> None:
        self._kind, self._wanted, self._known = kind, wanted, known

    def __getattr__(self, name: str) -> Any:
        if name in self._known:
            return self._known[name]
        if name in self._wanted:
            raise NotKnown(name)
        return getattr(self._kind, name).__get__(self)  # a method or a property


def partial_declaration(given: Any, errors: Iterable[Path]) -> Declaration[Any, Any]:
    """Return what could be read of the declaration of a lifecycle; the arguments are as in `partial_part`.

    A list that could not be read contains one part, of which nothing is known.
    """
    by_part: dict[Path, list[Path]] = {}
    for path in errors:
        by_part.setdefault(path[:2], []).append(path[2:])
    wanted = Declaration.model_fields
    values = cast("dict[str, Any]", given if isinstance(given, Mapping) else {})
    unread = {*wanted} if () in by_part else _unread(values, wanted, by_part)
    known: dict[str, Any] = {} if "name" in unread else {"name": values["name"]}
    for name, kind in _PARTS.items():
        parts = values.get(name, ())
        if name in unread or not isinstance(parts, list | tuple):  # an iterator has been read to its end
            known[name] = (partial_part(kind, None, [()]),)
        else:
            listed = cast("Sequence[Any]", parts)
            known[name] = tuple(_part_of_lists(kind, part, by_part.get((name, i), ())) for i, part in enumerate(listed))
    return cast("Declaration[Any, Any]", _Partial(Declaration, wanted, known))


_PARTS: Mapping[str, Any] = {
    "states": State, "events": Event, "transitions": Transitions, "aliases": Alias, "invariants": Invariant,
}  # fmt: skip


def _part_of_lists(kind: Any, given: Any, errors: Sequence[Path]) -> Any:
    """Return what could be read of a part, also of its lists; the arguments are as in `partial_part`."""
    part = partial_part(kind, given, errors)
    for name in {path[0] for path in errors if len(path) > 1}:
        listed = given[name] if isinstance(given, Mapping) else getattr(given, name)
        unread = {path[1] for path in errors if path[0] == name and len(path) > 1}
        if isinstance(listed, list | tuple):  # an iterator has been read to its end
            kept = [each for i, each in enumerate(cast("Sequence[Any]", listed)) if i not in unread]
            read = iter(getattr(_reader_of(kind).model_validate({name: kept}), name))
            part._known[name] = tuple(_Unread() if i in unread else next(read) for i in range(len(listed)))
    return part


def partial_part(kind: Any, given: Any, errors: Sequence[Path]) -> Any:
    """Return what could be read of a part of a declaration.

    Args:
        kind: its class, a dataclass.
        given: its fields by name, or an object that has them; anything else has an error at the path ().
        errors: the paths in it at which something could not be read.
    """
    reader = _reader_of(kind)
    wanted = reader.model_fields
    if () in errors:
        return _Partial(kind, wanted, {})
    values: Mapping[str, Any] = (
        cast("Mapping[str, Any]", given)
        if isinstance(given, Mapping)
        else {name: getattr(given, name) for name in wanted}
    )
    unread = _unread(values, wanted, [path[:1] for path in errors])
    unread |= {name for name, value in values.items() if isinstance(value, Iterator)}  # it has been read to its end
    read = reader.model_validate({name: value for name, value in values.items() if name not in unread})
    known: dict[str, Any] = {name: getattr(read, name) for name in read.model_fields_set}
    for each in fields(kind):
        if each.name not in unread and each.name not in known:
            known[each.name] = each.default if each.default_factory is MISSING else each.default_factory()
    return _Partial(kind, wanted, known)


def _unread(values: Mapping[str, Any], wanted: Collection[str], errors: Iterable[Path]) -> set[Any]:
    """Return the names of the fields at which an error is, or that a misspelt name may stand for."""
    unread: set[Any] = {path[0] for path in errors if len(path) == 1}
    for name in values:
        if name not in wanted:
            meant = nearest(name, wanted)
            unread |= {*wanted} - {*values} if meant is None else {meant}
    return unread


@cache
def _reader_of(kind: Any) -> type[BaseModel]:
    """Return a model that reads the fields of a class, also if some are missing."""
    hints = get_type_hints(kind, include_extras=True)
    definitions: Any = {each.name: (hints[each.name], None) for each in fields(kind)}
    return create_model(kind.__name__, **definitions)
