"""A lifecycle over NumPy arrays of small integers, for orchestrators that hold a million tasks in memory.

The extra is `arrays`: NumPy alone. `CodedLifecycle` queries a lifecycle once for each pair, and looks the
results up for whole arrays; it has no rules of its own. This module converts names to codes and back; reading and
writing arrays does not belong here.

    >>> from lifecycle import get
    >>> tasks = CodedLifecycle(get("v1-full"))
    >>> states = tasks.encode_states(["running", "paused", "stopped"])
    >>> tasks.decode_states(tasks.step_many(states, tasks.encode_events(["pause", "resume", "stop"])))
    [<V1State.PAUSED: 'paused'>, <V1State.RUNNING: 'running'>, None]
    >>> states, kinds = tasks.observe_many(states, tasks.encode_statuses(["finished", "paused", "vanished"]))
    >>> tasks.decode_states(states)
    [<V1State.FINISHED: 'finished'>, <V1State.PAUSED: 'paused'>, <V1State.STOPPED: 'stopped'>]
    >>> [str(kind) for kind in tasks.decode_kinds(kinds)]
    ['step', 'same', 'unknown']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any, Generic, TypeAlias

from lifecycle import Channel, Lifecycle, ObservationKind
from lifecycle.errors import MissingExtra
from lifecycle.table import E, S, require_iterable
from lifecycle_adapters.argument_checks import require, require_lifecycle

try:
    import numpy as np
    import numpy.typing as npt
except ImportError:
    raise MissingExtra("arrays", needed_by="lifecycle_adapters.arrays") from None

__all__ = ["CodedLifecycle", "Codes", "Given"]

Codes: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
"""A returned array: of the smallest unsigned type that holds all codes, `uint8` for up to 255 names."""

Indices: TypeAlias = npt.NDArray[np.integer[Any]]

Given: TypeAlias = Indices | np.integer[Any] | int
"""An argument: codes in an array of any integer type, or one code for all."""


class CodedLifecycle(Generic[S, E]):
    """A lifecycle whose states and events are codes: their places, 0..n-1, in the declared order.

    `none`, the largest number of the states' type, is the code of no state. It takes the place of None in
    `Lifecycle`: a refused event leads to it, and an unknown status has it. A lifecycle made by `Lifecycle.extend`
    keeps the codes of the extended one, and also `none` if there are at most 255 states.

    Arrays may be of any integer type (those of the `encode_` methods are the fastest), of any layout,
    read-only or empty. Two array arguments are broadcast by NumPy's rules, so one event can be
    given for all states. Only `out` is changed, so threads may share an instance.

    The constructor raises TypeError if `lifecycle` is not a Lifecycle. Every method that takes codes raises:
        ValueError: a code has no meaning or is masked, or the shapes do not fit.
        TypeError: the codes are not integers (Booleans are not).
    """

    def __init__(self, lifecycle: Lifecycle[S, E]) -> None:
        require_lifecycle(lifecycle)
        self.lifecycle = lifecycle
        self.states: tuple[S, ...] = tuple(state.name for state in lifecycle.states)
        """The name of each state's code."""
        self.events: tuple[E, ...] = tuple(event.name for event in lifecycle.events)
        """The name of each event's code."""
        self.kinds: tuple[ObservationKind, ...] = tuple(ObservationKind)
        """The kind of each code that `observe_many` returns."""
        self._state_type = _type_for(len(self.states))
        self.none = int(np.iinfo(self._state_type).max)
        """The code of no state: 255 for up to 255 states."""
        self._code_of_state = {state: code for code, state in enumerate(self.states)}
        self._code_of_event = {event: code for code, event in enumerate(self.events)}
        self._final = np.array([lifecycle.is_final(state) for state in self.states])
        targets = np.full((len(self.states), len(self.events)), self.none, self._state_type)
        for row in lifecycle.transitions:
            source, event = self._code_of_state[row.source], self._code_of_event[row.event]
            targets[source, event] = self._code_of_state[row.target]
        self._targets = _PairTable(targets)

    def encode_states(self, states: Iterable[S]) -> Codes:
        """Return the codes of states, in their order.

        Raises:
            UnknownName: a state is not declared.
            TypeError: `states` is one text.
        """
        return _encoded(require_iterable(states, "states"), self._code_of_state, self.lifecycle.state, self._state_type)

    def encode_events(self, events: Iterable[E]) -> Codes:
        """Return the codes of events, in their order.

        Raises:
            UnknownName: an event is not declared.
            TypeError: `events` is one text.
        """
        return _encoded(
            require_iterable(events, "events"), self._code_of_event, self.lifecycle.event, _type_for(len(self.events))
        )

    def encode_statuses(self, statuses: Iterable[str], *, channel: str = Channel.API) -> Codes:
        """Return the codes of the states that a channel's statuses name, `none` for an unknown one.

        Raises:
            UnknownName: the channel is neither a built-in one nor named by an alias.
            TypeError: `statuses` is one text.
        """
        require_iterable(statuses, "statuses")
        known = self.lifecycle.statuses(channel=channel)
        codes = {status: self._code_of_state[state] for status, state in known.items()}
        given: list[Any] = list(statuses)
        try:
            return np.fromiter(map(codes.get, given, repeat(self.none)), self._state_type)
        except TypeError:  # a status that cannot be hashed is unknown like any other
            texts = (codes.get(each, self.none) if isinstance(each, str) else self.none for each in given)
            return np.fromiter(texts, self._state_type)

    def decode_states(self, states: Given) -> list[S | None]:
        """Return the names of states' codes, None for `none`, in the order of the flattened array."""
        codes = self._checked(states, "state", self.states, allowed=self.none)
        names: dict[int, S | None] = {**dict(enumerate(self.states)), self.none: None}
        return [names[code] for code in codes.ravel().tolist()]

    def decode_events(self, events: Given) -> list[E]:
        """Return the names of events' codes, in the order of the flattened array."""
        codes = self._checked(events, "event", self.events)
        return [self.events[code] for code in codes.ravel().tolist()]

    def decode_kinds(self, kinds: Given) -> list[ObservationKind]:
        """Return the kinds of observations with these codes, in the order of the flattened array."""
        codes = self._checked(kinds, "kind", self.kinds)
        return [self.kinds[code] for code in codes.ravel().tolist()]

    def is_final(self, states: Given) -> npt.NDArray[np.bool_]:
        """Return for each state whether it is final."""
        return np.asarray(self._final.take(self._checked(states, "state", self.states)))

    def step_many(self, states: Given, events: Given, out: Codes | None = None) -> Codes:
        """Return the states to which events lead, `none` for refused events.

        Args:
            states: the codes of states.
            events: the code of the event for each, or one for all.
            out: an array of the result's shape and type, to be filled and returned instead of a new
                one; it may be `states` itself.
        """
        states = self._checked(states, "state", self.states)
        events = self._checked(events, "event", self.events)
        return self._targets.at(states, events, out)

    def observe_many(self, known: Given, reported: Given) -> tuple[Codes, Codes]:
        """Judge live reports against the states known so far, each as `Lifecycle.observe` does.

        Args:
            known: the codes of the known states.
            reported: the codes of the reported states, from `encode_statuses`; `none` is an unknown status.
        Returns:
            The codes of the states to keep, and the codes of the kinds of the observations (see `kinds`).
        """
        known = self._checked(known, "state", self.states)
        reported = self._checked(reported, "state", self.states, allowed=self.none)
        kept, kinds = self._observations
        column = np.minimum(reported.astype(self._state_type, copy=False), len(self.states))
        return kept.at(known, column), kinds.at(known, column)

    @cached_property
    def _observations(self) -> tuple[_PairTable, _PairTable]:
        """Return the state to keep and the kind, by known state (row) and reported state; the last column is `none`."""
        # Computed on first use: the square of 2,000 states takes some seconds.
        code_of_kind = {kind: code for code, kind in enumerate(self.kinds)}
        relation = self.lifecycle.relation
        reported = (*self.states, None)
        shape = len(self.states), len(reported)
        relations = (code_of_kind[relation(state, other)] for state in self.states for other in reported)
        kinds = np.fromiter(relations, _type_for(len(self.kinds)), shape[0] * shape[1]).reshape(shape)
        is_forward = np.isin(kinds, [code_of_kind[ObservationKind.STEP], code_of_kind[ObservationKind.JUMP]])
        codes = np.arange(shape[1], dtype=self._state_type)
        return _PairTable(np.where(is_forward, codes, codes[:-1, None])), _PairTable(kinds)

    def _checked(
        self, codes: Given, what: str, names: Sequence[str], *, allowed: int | None = None
    ) -> npt.NDArray[np.integer[Any]]:
        if np.ma.is_masked(codes):
            raise ValueError(f"{self.lifecycle.name}: {what} codes must not be masked; fill them with `none` first")
        array = np.asarray(codes)
        if not array.size and not isinstance(codes, np.ndarray | np.generic):  # an empty list has no type of its own
            array = array.astype(self._state_type)
        if array.dtype.kind not in "iu":
            raise TypeError(f"{what} codes must be integers, not {array.dtype}")
        # Two passes that a processor does 32 at a time: 0.02 ns a code.
        if array.size and (array.max() >= len(names) or array.min() < 0):
            outside = (array < 0) | (array >= len(names))
            if allowed is not None:
                outside &= array != allowed
            if outside.any():
                raise ValueError(self._wrong_code(int(array[outside][0]), what, len(names)))
        return array

    def _wrong_code(self, code: int, what: str, count: int) -> str:
        why = ": it is the code of no state, after a refused event or an unknown status"
        hint = why if what == "state" and code == self.none else f" (there are {count}, from 0)"
        return f"{self.lifecycle.name}: {code} is not the code of any {what}{hint}"


# Chunks reuse the same memory; fresh memory for a million values takes longer than the look-ups.
_AT_ONCE = 1 << 16


class _PairTable:
    """A value for every pair of a row and a column, in one flat table.

    With a million values of uint8, each takes less than a nanosecond, all checks included: through `bytes.translate`
    if the number of a pair is also a byte, otherwise twice as long through `take`, which first makes every
    number eight bytes wide. `table[rows, columns]` takes 5 ns.
    """

    def __init__(self, values: Codes) -> None:
        self._flat: Codes = values.ravel()
        self._width = values.shape[1]
        self._number_type = _type_for(self._flat.size)
        self._bytes = self._flat.tobytes().ljust(256, b"\0") if self._number_type == np.uint8 else None

    def at(self, rows: Indices, columns: Indices, out: Codes | None = None) -> Codes:
        """Return the values for rows and columns that are known to be within the table."""
        shape = np.broadcast_shapes(rows.shape, columns.shape)
        found: Codes = np.empty(shape, self._flat.dtype)
        flat = found.reshape(-1)
        rows, columns = _flattened(rows, shape), _flattened(columns, shape)
        for start in range(0, flat.size, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            flat[part] = self._values(rows[part] if rows.ndim else rows, columns[part] if columns.ndim else columns)
        if out is None:
            return found
        require(out, np.ndarray, "out must be an array")
        if out.shape != shape:
            raise ValueError(f"out must have the shape {shape}, not {out.shape}")
        if out.dtype != found.dtype:
            raise TypeError(f"out must be an array of {found.dtype}, not {out.dtype}")
        out[...] = found
        return out

    def _values(self, rows: Indices, columns: Indices) -> Codes:
        narrow = self._number_type
        numbers = np.asarray(
            rows.astype(narrow, copy=False) * narrow.type(self._width) + columns.astype(narrow, copy=False)
        )
        if self._bytes is None:
            return np.asarray(self._flat.take(numbers))
        return np.frombuffer(numbers.tobytes().translate(self._bytes), self._flat.dtype)


def _flattened(indices: Indices, shape: tuple[int, ...]) -> Indices:
    """Return the indices as one dimension, one for each value, or as a scalar for all values."""
    return indices if not indices.ndim else np.broadcast_to(indices, shape).reshape(-1)


def _type_for(count: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the smallest unsigned type with a number for each of `count` names and one more, `none`."""
    return np.min_scalar_type(count)


def _encoded(
    names: Iterable[S],
    codes: Mapping[S, int],
    require: Callable[[S], object],
    dtype: np.dtype[np.unsignedinteger[Any]],
) -> Codes:
    names = list(names)
    try:
        different: Iterable[S] = dict.fromkeys(names)
    except TypeError:  # a name that cannot be hashed
        different = names
    for name in different:
        require(name)  # raises UnknownName
    return np.fromiter(map(codes.__getitem__, names), dtype, len(names))
