"""What could be read of a declaration: the rules examine that too, so that all findings come at once.

A field that could not be read is missing: `hasattr` is false, and to read it raises NotKnown. An element of a list
raises it when it is looked up. So a rule that needs it is left out, and nothing false is found. Lifecycles are read by
it here, bindings in the adapters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, create_model

from lifecycle.declaration import Alias, Declaration, Event, Invariant, Path, State, Transitions
from lifecycle.errors import nearest

T = TypeVar("T")
K = TypeVar("K")


class NotKnown(AttributeError):
    """A rule reads a field that could not be read: nobody knows whether the declaration keeps the rule."""


def as_far_as_known(rule: Iterable[T]) -> Iterator[T]:
    """Yield what a rule finds, until it reads a field that could not be read."""
    with suppress(NotKnown):
        yield from rule


def known_items(parts: Mapping[K, T]) -> Iterator[tuple[K, T]]:
    """Yield the keys and values of a mapping, but those whose value could not be read."""
    for key in parts:
        with suppress(NotKnown):
            yield key, parts[key]


class _Unread:
    """Stands for an element of a list that could not be read: to look it up raises NotKnown."""

    def __hash__(self) -> int:
        raise NotKnown


class _PartlyRead(Mapping[Any, Any]):
    """Stands for a mapping of which some parts could not be read: to read one of these raises NotKnown."""

    def __init__(self, read: Mapping[Any, Any], given: Collection[Any]) -> None:
        self._read, self._given = read, given

    def __getitem__(self, key: Any) -> Any:
        if key not in self._read and key in self._given:
            raise NotKnown(key)
        return self._read[key]

    def __contains__(self, key: object) -> bool:
        return key in self._given

    def __iter__(self) -> Iterator[Any]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


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
    for name in {str(path[0]) for path in errors if len(path) > 1}:
        listed: Any = cast("Any", given)[name] if isinstance(given, Mapping) else getattr(given, name)
        unread = {path[1] for path in errors if path[0] == name and len(path) > 1}
        if isinstance(listed, list | tuple):  # an iterator has been read to its end
            elements = list(cast("Sequence[Any]", listed))
            kept = [each for i, each in enumerate(elements) if i not in unread]
            read = iter(getattr(_reader_of(kind).model_validate({name: kept}), name))
            part._known[name] = tuple(_Unread() if i in unread else next(read) for i in range(len(elements)))
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
    broken = {name: keys for name in wanted if (keys := _broken_parts(reader, name, values, errors))}
    unread = _unread(values, wanted, [path[:1] for path in errors if path[0] not in broken])
    unread |= {name for name, value in values.items() if isinstance(value, Iterator)}  # it has been read to its end
    readable = {name: value for name, value in values.items() if name not in unread}
    broken = {name: keys for name, keys in broken.items() if name not in unread}  # a misspelt name may stand for it
    readable |= {name: {key: values[name][key] for key in values[name] if key not in broken[name]} for name in broken}
    read = reader.model_validate(readable)
    known: dict[str, Any] = {name: getattr(read, name) for name in read.model_fields_set}
    known |= {name: _PartlyRead(known[name], values[name]) for name in broken}
    for each in fields(kind):
        if each.name not in unread and each.name not in known:
            known[each.name] = each.default if each.default_factory is MISSING else each.default_factory()
    return _Partial(kind, wanted, known)


def _broken_parts(
    reader: type[BaseModel], name: str, values: Mapping[str, Any], errors: Sequence[Path]
) -> set[str | int]:
    """Return the keys of the parts that could not be read, in a field that maps texts to parts; nothing otherwise."""
    hint, given = reader.model_fields[name].annotation, values.get(name)
    is_of_parts = get_origin(hint) is Mapping and is_dataclass(get_args(hint)[1])
    paths = [path[1:] for path in errors if path[0] == name]
    if not (is_of_parts and isinstance(given, Mapping)) or any(not path or "[key]" in path for path in paths):
        return set()
    return {path[0] for path in paths}


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
