"""The canonical form of a value: equal forms mean that no procedure and no journal can tell the values apart.

Versions and times are erased, because only their order matters: a version or a time that is given to a
procedure is a token that it can hand back and cannot compare. What it hands back is checked.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator, Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from types import CodeType, FrameType, FunctionType, GeneratorType
from typing import Any, NamedTuple, NoReturn, cast

from lifecycle import Lifecycle
from lifecycle.effects import Accepted
from lifecycle.journal import CommandRecord, TaskRecord
from tests.proofs.exploration.liveness import live_locals

EPOCH_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Version(int):
    """The version of the n-th record that a procedure was given. A procedure that compares it is an error here."""

    def _compare(self, other: object) -> NoReturn:
        raise AssertionError("the procedure compares a version, which the exploration has erased")

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = int.__hash__


class Moment(datetime):
    """The time of the n-th response that a procedure was given. A procedure that compares it is an error here."""

    serial: int

    def _compare(self, other: object) -> NoReturn:
        raise AssertionError("the procedure compares times, which the exploration has erased")

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = datetime.__hash__


def _moment(serial: int) -> Moment:
    at = EPOCH_AT + timedelta(seconds=serial)
    made = Moment(at.year, at.month, at.day, at.hour, at.minute, at.second, tzinfo=UTC)
    made.serial = serial
    return made


ERASED_AT = _moment(0)


class Given(NamedTuple):
    """How many records and responses a procedure was given so far."""

    records: int = 0
    responses: int = 0


def tokenised(result: Any, given: Given) -> tuple[Any, Given]:
    """Return a result with tokens for its versions and times, and what was given with it."""
    match result:
        case TaskRecord():
            found = cast("TaskRecord[str, str]", result)
            return _record(found, given.records + 1), given._replace(records=given.records + 1)
        case CommandRecord():
            return _command(cast("CommandRecord[str, str]", result)), given
        case Accepted():
            return replace(result, as_of=_moment(given.responses + 1)), given._replace(responses=given.responses + 1)
        case tuple() if hasattr(cast("Any", result), "_replace"):
            parts: list[Any] = []
            for part in cast("tuple[Any, ...]", result):
                changed, given = tokenised(part, given)
                parts.append(changed)
            return type(cast("Any", result))(*parts), given
        case _:
            return result, given


def _record(record: TaskRecord[str, str], serial: int) -> TaskRecord[str, str]:
    opened = record.open_command
    times = {field.name: ERASED_AT for field in fields(record) if isinstance(getattr(record, field.name), datetime)}
    changes: dict[str, Any] = {
        **times,
        "version": Version(serial),
        "open_command": None if opened is None else _command(opened),
    }
    return replace(record, **changes)


def _command(record: CommandRecord[str, str]) -> CommandRecord[str, str]:
    hold: Any = getattr(record, "hold", None)
    changes: dict[str, Any] = {"why": ""}
    if hold is not None and hold.until is not None:
        changes["hold"] = hold._replace(until=ERASED_AT)
    return replace(record, **changes)


class Form:
    """Makes canonical forms. `last` says which tokens are the newest ones."""

    def __init__(self, last: Given | None = None) -> None:
        self._last = last
        self._seen: dict[int, int] = {}  # objects that refer to themselves

    def of(self, value: Any) -> Hashable:
        """Return the form of a value. Raises TypeError for a value of a kind that it does not know."""
        match value:
            case Version():
                return "version", self._last is not None and int(value) == self._last.records
            case Moment():
                return "time", self._last is not None and value.serial == self._last.responses and bool(value.serial)
            case datetime():
                return "time"
            case str() if " " in value:
                return "text"  # for people
            case None | bool() | str() | int() | float():
                return cast("Hashable", value)
            case Mapping():
                items = cast("Mapping[Any, Any]", value).items()
                return "map", tuple(sorted(((str(key), self.of(each)) for key, each in items), key=repr))
            case frozenset() | set():
                return "set", tuple(sorted((self.of(each) for each in cast("set[Any]", value)), key=repr))
            case list() | tuple():
                return type(cast("object", value)).__name__, *(self.of(each) for each in cast("list[Any]", value))
            case Lifecycle():
                return "lifecycle", cast("Lifecycle[str, str]", value).name
            case BaseException():
                return type(value).__qualname__, self.of(value.args)
            case Enum() | type():
                return repr(value)
            case TaskRecord() if type(cast("Any", value).version) is int and cast("Any", value).version:
                return self.of(replace(cast("TaskRecord[str, str]", value), version=0))
            case _ if is_dataclass(value):
                return type(value).__qualname__, *(self.of(getattr(value, name)) for name in _told_by(type(value)))
            case Iterator():
                return "iterator", self.of(cast("Any", value).__reduce__())
            case _ if callable(value):
                return getattr(value, "__qualname__", repr(value))
            case _ if hasattr(value, "__dict__"):
                return self._object(value)
            case _:
                raise TypeError(f"no canonical form is known for {value!r}")

    def _object(self, value: Any) -> Hashable:
        number = self._seen.get(id(value))
        if number is not None:
            return "object", number
        self._seen[id(value)] = len(self._seen)
        return type(value).__qualname__, *((name, self.of(each)) for name, each in sorted(vars(value).items()))


@cache
def _told_by(kind: Any) -> tuple[str, ...]:
    """Return the fields of a dataclass that something can depend on; `why` is for people."""
    return tuple(field.name for field in fields(kind) if field.name != "why")


def form_of_steps(steps: Generator[Any, Any, Any], last: Given) -> Hashable:
    """Return the form of a suspended generator: where it is, and all that it remembers and can still read."""
    form = Form(last)
    frames: list[Hashable] = []
    inner: Any = steps
    while inner is not None:
        held = gc.get_referents(inner)  # before the frame is looked at, which would make it hold more
        frame = inner.gi_frame
        live = live_locals(frame.f_code, frame.f_lasti)
        memory = {name: value for name, value in frame.f_locals.items() if name in live}
        stack = [form.of(value) for value in _on_stack(inner, held)]
        frames.append((frame.f_code.co_qualname, frame.f_lasti, form.of(memory), tuple(stack)))
        inner = inner.gi_yieldfrom
    return tuple(frames)


_NO_VALUES = (CodeType, FrameType, FunctionType, GeneratorType)


def _on_stack(steps: Any, held: list[Any]) -> list[Any]:
    """Return what a suspended frame holds besides its variables: the operands of an unfinished expression."""
    frame = steps.gi_frame
    others = (steps.__name__, steps.__qualname__, frame.f_globals, frame.f_builtins)
    known = Counter(map(id, (*others, *frame.f_locals.values())))
    found: list[Any] = []
    for value in held:
        if known[id(value)]:
            known[id(value)] -= 1
        elif not isinstance(value, _NO_VALUES):
            found.append(value)
    return found
