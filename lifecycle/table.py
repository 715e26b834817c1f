"""The compiled rows of one lifecycle: the target of every (state, event) pair.

`Table` owns every state change of this project; no other module decides what follows a state. It
is made by `Lifecycle` (lifecycle.py) from validated rows and is never made by hand. Functions about
paths belong in graph.py, functions about reported statuses in conformance.py.

Theory: a lifecycle is a deterministic finite automaton, flat and total. Every row is a key of one
dict, the pair of its state and event; its value is the target. A pair that is refused is added with
None when it is first looked up, because all pairs together are states times events. So one look-up
returns the target and validates both names at once, and a refusal in the hot path is a value, not an
exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Literal, Never, TypeVar

from lifecycle.errors import IllegalTransition, UnknownName, shortened

_PAIRS_KEPT = 100_000  # rows and remembered refusals of one lifecycle, some 15 MB

S = TypeVar("S", bound=str)
E = TypeVar("E", bound=str)
N = TypeVar("N")


def quoted(name: str) -> str:
    """Return the plain text of a name in quotes, also for an enum member, whose repr is longer."""
    return repr(str.__str__(name))  # the text itself, whatever `__str__` an enumeration has


class Origin(StrEnum):
    """The side that causes an event."""

    CALLER = "caller"  # a command we may send
    REMOTE = "remote"  # an event that the service causes by itself


def require_origin(name: str, *, where: str) -> Origin:
    """Return the origin with this name. Raises UnknownName if there is none."""
    try:
        return Origin(name)
    except ValueError:
        raise UnknownName("origin", name, known=Origin, where=where) from None


def require_iterable(names: Iterable[N], what: str) -> Iterable[N]:
    """Return `names`. Raises TypeError if they cannot be iterated, or are one text, whose letters would count."""
    if isinstance(names, str | bytes):
        raise TypeError(f"{what} must be a list or another iterable, not the text {names[:80]!r}")
    if not hasattr(names, "__iter__"):
        raise TypeError(f"{what} must be a list or another iterable, not {shortened(names)}")
    return names


OriginName = Origin | Literal["caller", "remote"]


class VerdictKind(StrEnum):
    """The kinds of verdict of `judge` on an event in a state."""

    APPLIED = "applied"  # a row allows it
    REDUNDANT = "redundant"  # the command's effect is already here; nothing needs to be sent
    ILLEGAL = "illegal"  # the state refuses it
    ENDED = "ended"  # the state is final and refuses everything


@dataclass(frozen=True, slots=True)
class Verdict(Generic[S, E]):
    """The result of `judge`.

    `target` is None unless the event is applied; `allowed` are the events of the same origin that the state accepts.
    """

    kind: VerdictKind
    state: S
    event: E
    target: S | None
    allowed: tuple[E, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class TransitionSystem(Generic[S, E]):
    """The validated rows and names of a lifecycle; `transitions` maps (source, event) to the target."""

    states: tuple[S, ...]
    initial: S
    final: frozenset[S]
    over: frozenset[S]
    settled: frozenset[S]
    interrupted: frozenset[S]
    origins: Mapping[E, Origin]
    proved_by_state: frozenset[E]
    transitions: Mapping[tuple[S, E], S]


class Table(Generic[S, E]):
    """The transitions of a lifecycle. Only its subclass `Lifecycle` is instantiated.

    Tables are immutable and safe to share between threads and processes.
    """

    __slots__ = (
        "__weakref__",
        "_allowed",
        "_extended_by",
        "_leads_to",
        "_name",
        "_names",
        "_starting",
        "_system",
        "_targets",
    )

    _name: str
    _extended_by: str | None
    _system: TransitionSystem[S, E]
    _names: dict[S, S]
    _targets: dict[tuple[S, E], S | None]  # with the refusals that were looked up
    _allowed: dict[S, tuple[E, ...]]
    _leads_to: dict[E, frozenset[S]]
    _starting: frozenset[E]

    def __init__(self, name: str, extended_by: str | None, rows: TransitionSystem[S, E]) -> None:
        # Dicts instead of sets and lists: each name once, in declared order.
        accepted: dict[S, dict[E, None]] = {state: {} for state in rows.states}
        leads_to: dict[E, dict[S, None]] = {event: {} for event in rows.origins}
        for (source, event), to in rows.transitions.items():
            accepted[source][event] = leads_to[event][to] = None
        place = {event: index for index, event in enumerate(rows.origins)}
        self._fill(
            _name=name,
            _extended_by=extended_by,
            _system=rows,
            _names={state: state for state in rows.states},
            _targets=dict(rows.transitions),
            _allowed={state: tuple(sorted(events, key=place.__getitem__)) for state, events in accepted.items()},
            _leads_to={event: frozenset(targets) for event, targets in leads_to.items()},
            _starting=frozenset(
                event
                for (source, event), to in rows.transitions.items()
                if source in rows.settled and to not in rows.settled
            ),
        )

    def _fill(self, **values: Any) -> None:
        """Set the slots of one class, once, in its constructor."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Never) -> None:  # to a type checker, too
        raise AttributeError(f"a lifecycle cannot be changed: {name!r} is declared once")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a lifecycle cannot be changed: {name!r} is declared once")

    @property
    def name(self) -> str:
        """Return its name, such as "v1-full"."""
        return self._name

    @property
    def extended_by(self) -> str | None:
        """Return the name of a lifecycle that extends this one by statuses from other documents; used in messages."""
        return self._extended_by

    def target(self, state: S, event: E) -> S | None:
        """Return the state that `event` leads to from `state`, or None if it is refused.

        Raises:
            UnknownName: a state or event that this lifecycle does not declare.
        """
        try:
            return self._targets[state, event]
        except (KeyError, TypeError):  # a TypeError if one of the two is unhashable, and so not a name
            pass
        return self._refused(state, event)

    def step(self, state: S, event: E) -> S:
        """Return the state that `event` leads to from `state`.

        Raises:
            IllegalTransition: the state refuses the event (a redundant command included).
            UnknownName: a state or event that this lifecycle does not declare.
        """
        try:
            target = self._targets[state, event]
        except (KeyError, TypeError):
            target = None
        if target is None:
            self._refused(state, event)
            raise self._illegal(state, event)
        return target

    def _refused(self, state: S, event: E) -> S | None:
        """Return None, and cache that `state` refuses `event` for the next look-up; raise if one is not declared."""
        self._require_state(state)
        self._require_event(event)
        if len(self._targets) < _PAIRS_KEPT:
            self._targets[state, event] = None
        return None

    def judge(self, state: S, event: E) -> Verdict[S, E]:
        """Return the verdict on `event` in `state`, with its reason; a refusal raises nothing.

        A command is redundant if it is proved by state, has no row here, and all its rows lead
        to this same state (stop a stopped task). `REDUNDANT` takes precedence over `ENDED`.

        Raises:
            UnknownName: a state or event that this lifecycle does not declare.
        """
        target = self.target(state, event)
        state = self._names[state]
        allowed = self._alternatives(state, event)
        if target is not None:
            kind, reason = VerdictKind.APPLIED, f"{quoted(event)} leads from {quoted(state)} to {quoted(target)}"
        elif self._is_redundant(state, event):
            kind, reason = VerdictKind.REDUNDANT, f"{quoted(event)} is redundant, the task is already {quoted(state)}"
        else:
            kind = VerdictKind.ENDED if state in self._system.final else VerdictKind.ILLEGAL
            reason = self._refusal(state, event)
        return Verdict(kind, state, event, target, allowed, reason)

    def allowed(self, state: S, *, origin: OriginName | None = None) -> tuple[E, ...]:
        """Return the events that `state` accepts, in declared order; of one origin ("caller" or "remote") if given.

        Raises:
            UnknownName: a state that this lifecycle does not declare, or an origin that does not exist.
        """
        self._require_state(state)
        events = self._allowed[state]
        if origin is None:
            return events
        only = require_origin(origin, where=self.name)
        return tuple(event for event in events if self._system.origins[event] is only)

    def replay(self, events: Iterable[E], *, start: S | None = None) -> S:
        """Return the state after applying `events` in order.

        Args:
            events: n events, oldest first.
            start: state to begin from; the initial state if omitted.
        Raises:
            IllegalTransition: at the first refused event; `.index` is its position, 0..n-1.
            UnknownName: an event or state that this lifecycle does not declare.
            TypeError: `events` is one text, or cannot be iterated.
        """
        state = self._system.initial if start is None else self._require_state(start)
        for index, event in enumerate(require_iterable(events, "events")):
            target = self.target(state, event)
            if target is None:
                raise self._illegal(state, event, index=index)
            state = target
        return state

    def is_final(self, state: S) -> bool:
        """Return whether `state` is final: no row leaves it. Raises UnknownName if it is not declared."""
        self._require_state(state)
        return state in self._system.final

    def is_over(self, state: S) -> bool:
        """Return whether a task is over in `state`: it is final or declared reopenable.

        Raises UnknownName if the state is not declared.
        """
        self._require_state(state)
        return state in self._system.over

    def is_settled(self, state: S) -> bool:
        """Return whether `state` is final, or declared settled, reopenable or interrupted: no work is done in it.

        Raises UnknownName if the state is not declared.
        """
        self._require_state(state)
        return state in self._system.settled

    def is_interrupted(self, state: S) -> bool:
        """Return whether work in `state` cannot continue without the caller.

        Raises UnknownName if the state is not declared.
        """
        self._require_state(state)
        return state in self._system.interrupted

    def is_terminating(self, event: E) -> bool:
        """Return whether every row of `event` leads to a final state (a stop, a cancel).

        Raises UnknownName if the event is not declared.
        """
        self._require_event(event)
        return self._leads_to[event] <= self._system.final

    def starts_work(self, event: E) -> bool:
        """Return whether a row of `event` leads from a settled state to one that is not (a dispatch).

        Raises UnknownName if the event is not declared.
        """
        self._require_event(event)
        return event in self._starting

    def accepted_until_final(self, event: E) -> bool:
        """Return whether every state that is not final accepts `event`. Raises UnknownName if it is not declared."""
        self._require_event(event)
        rows = self._system
        return all((state, event) in rows.transitions for state in rows.states if state not in rows.final)

    def targets(self, event: E) -> frozenset[S]:
        """Return the targets of all rows of `event`. Raises UnknownName if it is not declared."""
        self._require_event(event)
        return self._leads_to[event]

    def _is_redundant(self, state: S, event: E) -> bool:
        rows = self._system
        is_command = rows.origins[event] is Origin.CALLER
        return is_command and event in rows.proved_by_state and self._leads_to[event] == frozenset((state,))

    def _refusal(self, state: S, event: E) -> str:
        if state in self._system.final:
            why = f"{quoted(state)} is final"
        else:
            why = f"allowed: {', '.join(self._alternatives(state, event)) or 'none'}"
        return f"{quoted(event)} is not allowed in {quoted(state)}; {why}"

    def _illegal(self, state: S, event: E, *, index: int | None = None) -> IllegalTransition:
        return IllegalTransition(
            self._refusal(state, event),
            lifecycle=self.name,
            state=state,
            event=event,
            allowed=self._alternatives(state, event),
            index=index,
        )

    def _alternatives(self, state: S, event: E) -> tuple[E, ...]:
        """Return the allowed events of the same origin: a caller cannot send remote events."""
        return self.allowed(state, origin=self._system.origins[event])

    def _require_state(self, state: S) -> S:
        """Return the declared name that equals `state`, which may be text. Raises UnknownName if there is none."""
        try:
            return self._names[state]
        except (KeyError, TypeError):
            raise self._unknown_state(state) from None

    def _require_event(self, event: E) -> None:
        try:
            self._system.origins[event]
        except (KeyError, TypeError):
            raise self._unknown_event(event) from None

    def _unknown_state(self, state: S) -> UnknownName:
        return self._unknown_name("state", state, self._system.states)

    def _unknown_event(self, event: E) -> UnknownName:
        return self._unknown_name("event", event, tuple(self._system.origins))

    def _unknown_name(self, kind: str, name: str, known: tuple[str, ...]) -> UnknownName:
        return UnknownName(kind, name, known=known, where=self.name, declared_by=self._declared_by(name, known))

    def _declared_by(self, name: str, known: tuple[str, ...]) -> str | None:
        """Return the extension of this lifecycle that declares `name`; None if their shared enumeration lacks it."""
        vocabulary = type(known[0]) if known else str
        shared = issubclass(vocabulary, StrEnum) and name in [member.value for member in vocabulary]
        return self.extended_by if shared else None
