"""The canonical form of a value: no procedure and no journal can distinguish values of equal forms.

Versions and times are replaced, because only their order matters: a procedure receives tokens for them, which it can
return but not compare. Returned tokens are checked.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator, Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from types import CellType, CodeType, FrameType, FunctionType, GeneratorType
from typing import Any, NamedTuple, NoReturn, cast

from lifecycle import Event, Lifecycle
from lifecycle.effects import Accepted
from lifecycle.journal import CommandOutcome, CommandRecord, RequestContext, TaskRecord
from tests.proofs.exploration.liveness import live_locals, overwritten_attribute

Record = TaskRecord[str, str]
Command = CommandRecord[str, str]

EPOCH_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Version(int):
    """The version of the n-th record that a procedure received. Comparing it raises an error."""

    def _compare(self, _: object) -> NoReturn:
        raise AssertionError("the procedure compares a version, which the exploration has erased")

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = int.__hash__


class Moment(datetime):
    """The time of the n-th response that a procedure received. Comparing it raises an error."""

    serial: int

    def _compare(self, _: object) -> NoReturn:
        raise AssertionError("the procedure compares times, which the exploration has erased")

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = datetime.__hash__


def _moment(serial: int) -> Moment:
    at = EPOCH_AT + timedelta(seconds=serial)
    made = Moment(at.year, at.month, at.day, at.hour, at.minute, at.second, tzinfo=UTC)
    made.serial = serial
    return made


ERASED_AT = _moment(-1)  # of no response


class Given(NamedTuple):
    """The number of records and responses that a procedure has received."""

    records: int = 0
    responses: int = 0


def tokenised(result: Any, given: Given) -> tuple[Any, Given]:
    """Return a result with tokens for its versions and times, and what was given with it."""
    match result:
        case TaskRecord():
            return _record(cast("Record", result), given.records + 1), given._replace(records=given.records + 1)
        case CommandRecord():
            return _command(cast("Command", result)), given
        case Accepted():
            response = replace(result, as_of=_moment(given.responses + 1))
            return response, given._replace(responses=given.responses + 1)
        case CommandOutcome():
            task, command = cast("CommandOutcome[str, str]", result)
            serial = given.records + 1
            return CommandOutcome(_record(task, serial), _command(command)), given._replace(records=serial)
        case _:
            return result, given


def _record(record: Record, serial: int) -> Record:
    opened = record.open_command
    changes: dict[str, Any] = {
        field.name: ERASED_AT for field in fields(record) if isinstance(getattr(record, field.name), datetime)
    }
    changes["version"] = Version(serial)
    changes["open_command"] = None if opened is None else _command(opened)
    return replace(record, **changes)


def _command(record: Command) -> Command:
    lease = record.lease
    if lease is not None and lease.until is not None:
        lease = lease._replace(until=ERASED_AT)
    return replace(record, why="", lease=lease)


class Form:
    """A builder of canonical forms. `last` holds the newest tokens."""

    def __init__(self, last: Given | None = None) -> None:
        self._last = last
        self.left_out: tuple[int, str] | None = None  # an object's id and an attribute that will not be read again
        self._seen: dict[int, int] = {}  # objects that refer to themselves

    def of(self, value: Any) -> Hashable:
        """Return the form of a value. Raises TypeError for a value of an unknown type."""
        kind = cast("type[object]", type(value))
        method = _METHODS.get(kind)
        if method is None:
            method = _METHODS[kind] = _method_for(value)
        return cast("Hashable", getattr(self, method)(value))

    def _lifecycle(self, value: Any) -> Hashable:
        return "lifecycle", value.name

    def _cell(self, value: Any) -> Hashable:
        return "cell", self.of(value.cell_contents)

    def _error(self, value: Any) -> Hashable:
        return type(value).__qualname__, self.of(value.args)

    def _named(self, value: Any) -> Hashable:
        return str(value.__qualname__)

    def _iterator(self, value: Any) -> Hashable:
        return "iterator", self.of(value.__reduce__())

    def _constant(self, value: Any) -> Hashable:
        form = _CONSTANTS.get(id(value))
        if form is None:
            form = _CONSTANTS[id(value)] = (self._dataclass(value), value)  # which keeps it, and so its id
        return form[0]

    def _plain(self, value: str | float | datetime | None) -> Hashable:
        match value:
            case Version():
                return "version", self._last is not None and int(value) == self._last.records
            case Moment():
                return "time", self._last is not None and value.serial == self._last.responses
            case datetime():
                return "time"
            case str() if " " in value:
                return "text"  # for people
            case _:
                return value

    def _collection(self, value: Any) -> Hashable:
        if isinstance(value, Mapping):
            items: list[Any] = sorted(cast("Mapping[str, Any]", value).items())
            return "map", *((name, self.of(each)) for name, each in items)
        forms = [self.of(each) for each in value]
        return type(value).__name__, *(sorted(forms, key=repr) if isinstance(value, frozenset | set) else forms)

    def _dataclass(self, value: Any) -> Hashable:
        kind = cast("type[object]", type(value))
        forms = [self.of(getattr(value, name)) for name in _fields_that_matter(value)]
        if kind is TaskRecord:
            forms.append(self.of(value.version) if isinstance(value.version, Version) else "version")
        return kind.__qualname__, *forms

    def _object(self, value: Any) -> Hashable:
        number = self._seen.get(id(value))
        if number is not None:
            return "object", number
        self._seen[id(value)] = len(self._seen)
        kind = cast("type[object]", type(value))
        held: dict[str, Any] = {**value.__dict__}
        if self.left_out is not None and self.left_out[0] == id(value):
            held.pop(self.left_out[1], None)
        return kind.__qualname__, self.of(held)


def _fields_that_matter(value: Any) -> tuple[str, ...]:
    """Return the fields of a dataclass on which something can depend; `why` is for people, and see `_dataclass`."""
    kind = cast("type[object]", type(value))
    names = _FIELDS.get(kind)
    if names is None:
        left_out = {"why", "version"} if kind is TaskRecord else {"why"}
        names = _FIELDS[kind] = tuple(field.name for field in fields(value) if field.name not in left_out)
    return names


_FIELDS: dict[type[object], tuple[str, ...]] = {}


_CONSTANTS: dict[int, tuple[Hashable, Any]] = {}
_METHODS: dict[type[object], str] = {}


def _method_for(value: Any) -> str:
    """Return the name of the method of `Form` for values of this kind."""
    kinds: tuple[tuple[Any, str], ...] = (
        ((str, int, float, datetime, type(None)), "_plain"),
        ((Mapping, tuple, list, frozenset, set), "_collection"),
        (Lifecycle, "_lifecycle"),
        (CellType, "_cell"),
        (BaseException, "_error"),
        (type, "_named"),
        ((Event, RequestContext), "_constant"),
    )
    for kind, method in kinds:
        if isinstance(value, kind):
            return method
    if is_dataclass(value):
        return "_dataclass"
    if isinstance(value, Iterator):
        return "_iterator"
    if callable(value):
        return "_named"
    if hasattr(value, "__dict__"):
        return "_object"
    raise TypeError(f"no canonical form is known for {value!r}")


def form_of_steps(steps: Generator[Any, Any, Any], last: Given) -> Hashable:
    """Return the form of a suspended generator: where it is, and all that it remembers and can still read."""
    form = Form(last)
    chain: list[tuple[Any, list[Any]]] = []
    inner: Any = steps
    while inner is not None:
        chain.append((inner, gc.get_referents(inner)))  # before the frame is accessed, which would add references to it
        inner = inner.gi_yieldfrom
    innermost = chain[-1][0].gi_frame
    overwritten = overwritten_attribute(innermost.f_code, innermost.f_lasti)
    if overwritten is not None:
        form.left_out = (id(innermost.f_locals[overwritten[0]]), overwritten[1])
    frames: list[Hashable] = []
    for each, held in chain:
        frame = each.gi_frame
        live = live_locals(frame.f_code, frame.f_lasti)
        memory = {name: value for name, value in frame.f_locals.items() if name in live}
        stack = [form.of(value) for value in _on_stack(each, held)]
        frames.append((frame.f_code.co_qualname, frame.f_lasti, form.of(memory), tuple(stack)))
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
