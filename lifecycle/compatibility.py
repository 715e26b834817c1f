"""The changes from one lifecycle to another, and the audiences that they break.

Three audiences rely on a lifecycle. A change is compatible for

    readers     of histories, if every status of every channel still stands for the same state, and that state is
                final, reopenable, settled or interrupted if and only if it was before; if every history that `check`
                accepted is still accepted; and if no invariant about what the service does by itself is broken;
    senders     of commands, if every state that accepted a command still accepts it, with the same target; if a
                command that was idempotent or proved by its state still is; and if no invariant about commands is
                broken;
    journals    that are stored, if every state and every command that they may contain is still declared.

An extension must meet stricter rules, which `extend` checks: it also keeps every refusal, and adds no path between old
states. The rules of both are those of validation.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from lifecycle.conformance import Mode, require_mode
from lifecycle.declaration import Event
from lifecycle.diagram.markdown import markdown_escaped
from lifecycle.errors import DefinitionError, UnknownName, shortened
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import Origin, TransitionSystem, quoted
from lifecycle.validation import changed_reachability, changed_targets, transition_system, violations

Part = TypeVar("Part")


class Audience(StrEnum):
    """A group that relies on a lifecycle."""

    READERS = "readers"  # of recorded histories
    SENDERS = "senders"  # of commands
    JOURNALS = "journals"  # that are stored


class ChangeCode(StrEnum):
    """The kinds of changes; their values are stable."""

    STATE_ADDED = "state_added"  # a state is new
    STATE_REMOVED = "state_removed"  # a state is no longer declared
    INITIAL_CHANGED = "initial_changed"  # another state is initial
    FINAL_CHANGED = "final_changed"  # a state is final in one of the two
    REOPENABLE_CHANGED = "reopenable_changed"  # a state is reopenable in one of the two
    SETTLED_CHANGED = "settled_changed"  # a state is settled in one of the two
    INTERRUPTED_CHANGED = "interrupted_changed"  # a state is interrupted in one of the two
    STATUS_ADDED = "status_added"  # a channel has a new status
    STATUS_REMOVED = "status_removed"  # a status of a channel stands for no state
    STATUS_CHANGED = "status_changed"  # a status of a channel stands for another state
    EVENT_ADDED = "event_added"  # an event is new
    EVENT_REMOVED = "event_removed"  # an event is no longer declared
    ORIGIN_CHANGED = "origin_changed"  # an event is a command in one of the two
    PROOF_CHANGED = "proof_changed"  # a command is proved by its state in one of the two
    IDEMPOTENCE_CHANGED = "idempotence_changed"  # a command is idempotent in one of the two
    TRANSITION_ADDED = "transition_added"  # an event is accepted in a state that refused it, or did not exist
    TRANSITION_REMOVED = "transition_removed"  # an event is no longer accepted in a state
    TARGET_CHANGED = "target_changed"  # an event leads from a state to another target
    REACHABILITY_GAINED = "reachability_gained"  # a path leads between two states of both where none did
    REACHABILITY_LOST = "reachability_lost"  # no path leads between two states of both where one did
    INVARIANT_BROKEN = "invariant_broken"  # a row contradicts an invariant of the first lifecycle


@dataclass(frozen=True, slots=True)
class LifecycleChange:
    """One change: its code, the part of the declaration that changes, what changes, and what that breaks."""

    code: ChangeCode
    where: str
    message: str
    breaks: tuple[Audience, ...]

    def __str__(self) -> str:
        broken = f" (breaks {', '.join(self.breaks)})" if self.breaks else ""
        return f"{self.code}: {self.where}: {self.message}{broken}"


@dataclass(frozen=True, slots=True)
class LifecycleDiff:
    """The changes from the lifecycle named `before` to the one named `after`, and what follows from them.

    `mode` is the mode of the histories that readers have. `is_extension` says whether `extend` could have made the
    second one from the first.
    """

    before: str
    after: str
    mode: Mode
    is_extension: bool
    changes: tuple[LifecycleChange, ...]

    def breaking(self, audience: Audience) -> tuple[LifecycleChange, ...]:
        """Return the changes that break this audience. Raises UnknownName if there is no such audience."""
        if audience not in [*Audience]:
            raise UnknownName("audience", audience, known=Audience, where="diff")
        return tuple(each for each in self.changes if audience in each.breaks)

    @property
    def broken(self) -> tuple[Audience, ...]:
        """Return the audiences that some change breaks."""
        return tuple(each for each in Audience if self.breaking(each))

    @property
    def is_compatible(self) -> bool:
        """Return whether no change breaks any audience."""
        return not self.broken

    @property
    def summary(self) -> str:
        """Return the result in one line."""
        number = len(self.changes)
        what = f"{number or 'no'} change{'' if number == 1 else 's'}"
        result = f"breaking for {', '.join(self.broken)}" if self.broken else "compatible"
        extension = ", an extension" if self.is_extension and number else ""
        return f"{self.before} to {self.after}: {what}, {result}{extension}"

    def to_data(self) -> dict[str, Any]:
        """Return the changes and the verdicts as JSON values."""
        changes = [
            {"code": each.code, "where": each.where, "message": each.message, "breaks": [*each.breaks]}
            for each in self.changes
        ]
        verdicts = {str(each): each not in self.broken for each in Audience}
        return {"before": self.before, "after": self.after, "mode": self.mode, "compatible": verdicts,
                "extension": self.is_extension, "changes": changes}  # fmt: skip

    def to_markdown(self) -> str:
        """Return the changes as Markdown, for a comment on a pull request. Foreign text in it is escaped."""
        lines = [f"### Lifecycle diff: {markdown_escaped(self.summary)}", ""]
        if self.changes:
            lines += ["| change | where | what changes | breaks |", "| --- | --- | --- | --- |"]
            for each in self.changes:
                cells = (each.code, each.where, each.message, ", ".join(each.breaks))
                lines.append(f"| {' | '.join(map(markdown_escaped, cells))} |")
            lines.append("")
        return "\n".join(lines)


def diff(before: Lifecycle[Any, Any], after: Lifecycle[Any, Any], *, mode: Mode = "exact") -> LifecycleDiff:
    """Return the changes from one lifecycle to another, and what they break.

    There are no changes if both have the same digest: names of lifecycles, prose, order and invariants are not
    compared.

    Args:
        before, after: the two lifecycles.
        mode: the mode in which readers check histories. In sampled mode another initial state breaks none of them,
            nor does a step that now takes several transitions.
    Raises:
        ValueError: `mode` is neither "exact" nor "sampled".
        TypeError: `before` or `after` is not a lifecycle.
    """
    require_mode(mode)
    given: Any
    for given in (before, after):
        if not isinstance(given, Lifecycle):
            raise TypeError(f"two lifecycles are compared, not {shortened(given)}")
    changes = tuple(_Comparison(before, after, mode).changes())
    return LifecycleDiff(before.name, after.name, mode, _is_extension(before, after), changes)


_READERS, _SENDERS, _JOURNALS = (Audience.READERS,), (Audience.SENDERS,), (Audience.JOURNALS,)
_KEPT: tuple[Audience, ...] = ()


class _Comparison:
    """Two lifecycles, compared part by part."""

    def __init__(self, before: Lifecycle[Any, Any], after: Lifecycle[Any, Any], mode: Mode) -> None:
        self.before, self.after, self.is_exact = before, after, mode == "exact"
        self.was: TransitionSystem[Any, Any] = transition_system(before.declaration)
        self.now: TransitionSystem[Any, Any] = transition_system(after.declaration)
        now = set(self.now.states)
        self.kept = {state: None for state in self.was.states if state in now}
        self.steps = {(source, target) for (source, _), target in self.now.transitions.items()}

    def changes(self) -> Iterator[LifecycleChange]:
        yield from self._states()
        yield from self._statuses()
        yield from self._events()
        yield from self._transitions()
        yield from self._reachability()
        yield from self._invariants()

    def _states(self) -> Iterator[LifecycleChange]:
        for state, was, now in _paired(self.before.states, self.after.states, lambda each: each.name):
            where = f"state {quoted(state)}"
            if was is None:
                yield LifecycleChange(ChangeCode.STATE_ADDED, where, "is new", _KEPT)
            elif now is None:
                yield LifecycleChange(ChangeCode.STATE_REMOVED, where, "is no longer declared", _READERS + _JOURNALS)
            else:
                for code, what, among in _OF_STATES:
                    is_one = state in among(self.now)
                    if is_one != (state in among(self.was)):
                        yield LifecycleChange(code, where, f"{_is(is_one)} {what}", _READERS)
        if self.was.initial != self.now.initial:
            message = f"is {quoted(self.now.initial)}, no longer {quoted(self.was.initial)}"
            breaks = _READERS if self.is_exact else _KEPT
            yield LifecycleChange(ChangeCode.INITIAL_CHANGED, "the initial state", message, breaks)

    def _statuses(self) -> Iterator[LifecycleChange]:
        aliases = {(alias.channel, alias.status): None for each in (self.before, self.after) for alias in each.aliases}
        for channel, status in aliases:
            was, now = _state_of(self.before, channel, status), _state_of(self.after, channel, status)
            where = f"status {shortened(status)} of channel {shortened(channel)}"
            if now is None:
                yield LifecycleChange(ChangeCode.STATUS_REMOVED, where, "stands for no state", _READERS)
            elif was is None:
                yield LifecycleChange(ChangeCode.STATUS_ADDED, where, f"stands for {quoted(now)}", _KEPT)
            elif was != now:
                message = f"stands for {quoted(now)}, no longer for {quoted(was)}"
                yield LifecycleChange(ChangeCode.STATUS_CHANGED, where, message, _READERS)

    def _events(self) -> Iterator[LifecycleChange]:
        for event, was, now in _paired(self.before.events, self.after.events, lambda each: each.name):
            where = f"event {quoted(event)}"
            if was is None:
                yield LifecycleChange(ChangeCode.EVENT_ADDED, where, "is new", _KEPT)
                continue
            is_command = was.origin is Origin.CALLER
            lost = _SENDERS + _JOURNALS if is_command else _KEPT
            if now is None:
                yield LifecycleChange(ChangeCode.EVENT_REMOVED, where, "is no longer declared", lost)
            elif was.origin is not now.origin:
                yield LifecycleChange(
                    ChangeCode.ORIGIN_CHANGED, where, f"its origin is {now.origin}, not {was.origin}", lost
                )
            elif is_command:
                for code, what, of in _OF_COMMANDS:
                    if of(was) != of(now):
                        yield LifecycleChange(code, where, f"{_is(of(now))} {what}", _KEPT if of(now) else _SENDERS)

    def _transitions(self) -> Iterator[LifecycleChange]:
        for source, event, was, now in changed_targets(self.was.transitions, self.now.transitions):
            where = f"transition ({source}, {event})"
            if was is None:
                yield LifecycleChange(ChangeCode.TRANSITION_ADDED, where, f"leads to {quoted(str(now))}", _KEPT)
                continue
            is_lost_step = self.is_exact and source != was and (source, was) not in self.steps
            breaks = _READERS if is_lost_step and source in self.kept and was in self.kept else _KEPT
            breaks += _SENDERS if self.was.origins[event] is Origin.CALLER else _KEPT
            if now is None:
                message = f"no longer leads to {quoted(was)}"
                yield LifecycleChange(ChangeCode.TRANSITION_REMOVED, where, message, breaks)
            else:
                message = f"leads to {quoted(now)}, no longer to {quoted(was)}"
                yield LifecycleChange(ChangeCode.TARGET_CHANGED, where, message, breaks)

    def _reachability(self) -> Iterator[LifecycleChange]:
        for state, gained, lost in changed_reachability(self.was, self.now.transitions, self.kept):
            where = f"state {quoted(state)}"
            if gained:
                message = f"can now be followed by {_listed(gained)}"
                yield LifecycleChange(ChangeCode.REACHABILITY_GAINED, where, message, _KEPT)
            if lost:
                message = f"can no longer be followed by {_listed(lost)}"
                yield LifecycleChange(ChangeCode.REACHABILITY_LOST, where, message, _READERS)

    def _invariants(self) -> Iterator[LifecycleChange]:
        for found in violations(self.before.invariants, self.now):
            invariant = self.before.invariants[int(found.path[1])]
            about_commands = any(self.was.origins[event] is Origin.CALLER for event in invariant.events)
            breaks = _SENDERS if about_commands else _READERS
            yield LifecycleChange(ChangeCode.INVARIANT_BROKEN, found.where, found.message, breaks)


def _is_extension(before: Lifecycle[Any, Any], after: Lifecycle[Any, Any]) -> bool:
    """Return whether `extend` makes the second from the first, if it is given what the second has and the first not."""
    names = {state.name for state in before.states}, {event.name for event in before.events}
    rows = transition_system(before.declaration).transitions
    aliases = {(alias.channel, alias.status) for alias in before.aliases}
    try:
        extension = before.extend(
            name=after.name,
            citation=after.citation,
            states=[state for state in after.states if state.name not in names[0]],
            events=[event for event in after.events if event.name not in names[1]],
            transitions=[row for row in after.transitions if (row.source, row.event) not in rows],
            aliases=[alias for alias in after.aliases if (alias.channel, alias.status) not in aliases],
        )
    except DefinitionError:
        return False
    return extension.digest == after.digest


_OF_STATES: tuple[tuple[ChangeCode, str, Callable[[TransitionSystem[Any, Any]], frozenset[Any]]], ...] = (
    (ChangeCode.FINAL_CHANGED, "final", lambda rows: rows.final),
    (ChangeCode.REOPENABLE_CHANGED, "reopenable", lambda rows: rows.over - rows.final),
    (ChangeCode.SETTLED_CHANGED, "settled", lambda rows: rows.settled),
    (ChangeCode.INTERRUPTED_CHANGED, "interrupted", lambda rows: rows.interrupted),
)
_OF_COMMANDS: tuple[tuple[ChangeCode, str, Callable[[Event[Any]], bool]], ...] = (
    (ChangeCode.PROOF_CHANGED, "proved by its state", lambda event: event.proved_by_state),
    (ChangeCode.IDEMPOTENCE_CHANGED, "idempotent", lambda event: event.idempotent),
)


def _paired(
    before: tuple[Part, ...], after: tuple[Part, ...], name: Callable[[Part], str]
) -> Iterator[tuple[str, Part | None, Part | None]]:
    """Yield each name of a part of either, with the parts of that name."""
    was, now = ({name(each): each for each in parts} for parts in (before, after))
    for each in {**was, **now}:
        yield each, was.get(each), now.get(each)


def _state_of(lifecycle: Lifecycle[Any, Any], channel: str, status: str) -> Any:
    """Return the state that a status stands for; None also if the lifecycle does not know the channel."""
    try:
        return lifecycle.state_of(status, channel=channel)
    except UnknownName:
        return None


def _is(flag: bool) -> str:
    return "is now" if flag else "is no longer"


_MOST_LISTED = 5


def _listed(states: tuple[str, ...]) -> str:
    """Return the first five of the names, and how many more there are."""
    listed = ", ".join(map(quoted, states[:_MOST_LISTED]))
    more = len(states) - _MOST_LISTED
    return f"{listed} and {more} more" if more > 0 else listed
