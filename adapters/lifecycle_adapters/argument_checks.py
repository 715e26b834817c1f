"""Checks of arguments that the adapters share: each error names the argument, and the value if it is no secret."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from lifecycle import Lifecycle
from lifecycle.errors import described, shortened

TaskId = str | int | UUID

MOST_THREADS = 1_000
"""The most threads for DuckDB. It would take minutes to start a hundred thousand."""


class WrongValue(ValueError):
    """An argument cannot have the value that was given; `.argument` is its name, for messages of other interfaces."""

    def __init__(self, message: str, argument: str = "") -> None:
        self.argument = argument
        super().__init__(message)


class WrongType(TypeError):
    """An argument cannot be of the type that was given; `.argument` is its name, for messages of other interfaces."""

    def __init__(self, message: str, argument: str = "") -> None:
        self.argument = argument
        super().__init__(message)


def require(given: Any, kind: Any, wanted: str) -> None:
    """Raise TypeError with the message `wanted` unless `given` is an instance of `kind`."""
    if not isinstance(given, kind):
        raise TypeError(f"{wanted}, not {described(given)}")


def require_secret(given: Any, kind: Any, wanted: str) -> None:
    """Raise like `require`, for an argument that may hold a key or a password: no part of it is in the message."""
    if not isinstance(given, kind):
        raise TypeError(f"{wanted}, not {type(given).__name__}")


def require_boolean(given: Any, name: str) -> None:
    """Raise TypeError unless `given` is True or False: as a text, even "no" would be true."""
    require(given, bool, f"{name} must be True or False")


def header_pairs(headers: Any) -> list[tuple[str, str]]:
    """Return the names and values of headers, which may be of any class with `items`, as frameworks have them.

    A name may occur several times. Raises TypeError unless all are texts.
    """
    wanted = "headers must be a mapping of names to texts"
    items = None if isinstance(headers, type) else getattr(headers, "items", None)
    if not callable(items):
        raise TypeError(f"{wanted}, not {type(headers).__name__}")
    given: Any = items()
    require(given, Iterable, f"{wanted}: its items must be pairs")
    pairs: list[tuple[str, str]] = []
    for pair in given:
        match pair:
            case [name, value]:
                require_secret(name, str, "a header's name must be text")
                require_secret(value, str, f"the header {name:.80} must be text")
                pairs.append((name, value))
            case _:
                raise TypeError(f"{wanted}: its items must be pairs, not {type(pair).__name__}")
    return pairs


def is_text(text: str) -> bool:
    """Return whether a text has no surrogate, so that it can be written in UTF-8."""
    return text.isascii() or _SURROGATE.search(text) is None


_SURROGATE = re.compile("[\ud800-\udfff]")


def require_json(fields: Mapping[Any, Any], check: Callable[[Any], object], prefix: str = "") -> None:
    """Raise TypeError, with the name of the field, unless the fields are JSON.

    `check` raises a TypeError, ValueError or RecursionError if the value that it is given is not. `prefix` begins the
    message.
    """
    try:
        check(fields)
    except (TypeError, ValueError, RecursionError) as error:
        fault = f"the fields are not JSON: {error}"
    else:
        return
    for name, value in fields.items():
        try:
            check(value)
        except (TypeError, ValueError, RecursionError) as error:
            fault = f"the field {shortened(name)} is not JSON: {error}"
            break
    raise WrongType(prefix + fault, "fields")


def path_text(given: Any, name: str) -> str:
    """Return a path as text. Raises TypeError: it is neither a text nor a Path, such as bytes."""
    require(given, str | os.PathLike, f"{name} must be text or a Path")
    path = os.fspath(cast("str | os.PathLike[str]", given))
    require(path, str, f"{name} must be a path in text")
    return path


def require_callback(given: Any, name: str, called_with: str) -> None:
    """Raise TypeError unless `given` is None or can be called."""
    if not (given is None or callable(given)):
        raise TypeError(f"{name} must be called with {called_with}, and {shortened(given)} cannot be called")


def require_function(given: Any, name: str, called_with: str, *, instead: str = "") -> None:
    """Raise TypeError unless `given` is None or can be called without being awaited; `instead` ends that message."""
    require_callback(given, name, called_with)
    if inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(getattr(given, "__call__", None)):  # noqa: B004
        raise TypeError(f"{name} is called, and not awaited: give a function{instead}")


def require_number(
    given: Any,
    name: str,
    *,
    kind: Any = int | float,
    more_than: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    less_than: float | None = None,
) -> None:
    """Raise an error unless `given` is a number in this range.

    Raises:
        TypeError: it is not a number of that kind; a Boolean is not one.
        ValueError: it is NaN, or not in the range.
    """
    if isinstance(given, bool) or not isinstance(given, kind):
        number = "a whole number" if kind is int else "a number"
        raise WrongType(f"{name} must be {number}, not {shortened(given)} ({type(given).__name__})", name)
    try:
        float(given)
    except OverflowError:  # an integer of more than 308 digits, which no clock or counter reaches
        what = f"{name} must be less than 1e308, not a number of {given.bit_length():,} bits"
        raise WrongValue(what, name) from None
    except ValueError:  # a Decimal's signaling NaN
        given = math.nan
    in_range = not math.isnan(given) and (
        (more_than is None or given > more_than)
        and (at_least is None or given >= at_least)
        and (at_most is None or given <= at_most)
        and (less_than is None or given < less_than)
    )
    if not in_range:
        raise WrongValue(f"{name} must be {_range(more_than, at_least, at_most, less_than)}, not {given}", name)


def _range(more_than: float | None, at_least: float | None, at_most: float | None, less_than: float | None) -> str:
    limits = [
        "positive" if more_than == 0 else None if more_than is None else f"more than {more_than:g}",
        None if at_least is None else f"at least {at_least:g}",
        None if at_most is None else f"at most {at_most:g}",
        None if less_than is None else "finite" if less_than == math.inf else f"less than {less_than:g}",
    ]
    return " and ".join(limit for limit in limits if limit) or "a number"


def require_lifecycle(given: Any, name: str = "lifecycle") -> None:
    """Raise TypeError unless `given` is a Lifecycle; a name in the catalog is not one."""
    require(given, Lifecycle, f"{name} must be a Lifecycle, such as lifecycle.get('v1')")


def id_text(task_id: object) -> str:
    """Return an id as a service writes it. Raises TypeError: it is not text, an integer or a UUID."""
    if isinstance(task_id, str):
        return task_id
    if isinstance(task_id, int | UUID) and not isinstance(task_id, bool):
        return str(task_id)
    raise TypeError(f"a task's id is a text, an integer or a UUID, not {type(task_id).__name__}")
