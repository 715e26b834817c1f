"""The parts that a declaration is made of: states, events, rows, aliases and promises, as plain data.

What they must satisfy together is in examination.py, what is made of them in definition.py, from
which users take them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic

from pydantic import AfterValidator, ConfigDict, ValidatorFunctionWrapHandler, WrapValidator

from lifecycle.table import E, Origin, Rows, S

# Parts are examined like foreign data even when they come as objects: what a type checker would
# refuse (an origin given as text) must not pass silently where there is none.
_EXAMINED = ConfigDict(extra="forbid", revalidate_instances="always")


def _keep_member(name: Any, check: ValidatorFunctionWrapHandler) -> Any:
    # Where the enumeration is not known, pydantic would turn its members into plain text.
    checked = check(name)
    return name if isinstance(name, StrEnum) and type(checked) is str else checked


def _encodable(text: str) -> str:
    text.encode()  # JSON can spell half of a surrogate pair ("\ud800")
    return text


_Name = Annotated[S, WrapValidator(_keep_member)]
Text = Annotated[str, AfterValidator(_encodable)]


@dataclass(frozen=True, slots=True)
class State(Generic[S]):
    """Where a task rests. `settled` means that no work is being done although the task is not over."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    name: _Name[S]
    meaning: Text = ""
    initial: bool = field(default=False, kw_only=True)
    final: bool = field(default=False, kw_only=True)
    settled: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[E]):
    """What moves a task.

    For a command (origin caller), `proved_by_state` says that being at its target means that it
    took effect, so it may not lead from a state to that same state. `repeatable` says that sending
    it twice is the same as sending it once, whatever the service does in between: no remote events
    lead from its target to a state that accepts it again.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    name: _Name[E]
    origin: Origin
    meaning: Text = ""
    proved_by_state: bool = field(default=True, kw_only=True)
    repeatable: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class Transition(Generic[S, E]):
    """One row of the table."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    source: _Name[S]
    event: _Name[E]
    target: _Name[S]


@dataclass(frozen=True, slots=True)
class Alias(Generic[S]):
    """A foreign word for a state in one channel (`webhook` says `initializing` for `created`)."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    channel: Text
    word: Text
    state: _Name[S]


class Rule(StrEnum):
    """The forms that a promise can take; each says which of `events` and `states` it is about."""

    FINAL = "final"  # nothing leads out of the states
    IRREVERSIBLE = "irreversible"  # whatever the events lead to is final
    NEVER_IN = "never_in"  # the states refuse the events
    ONLY_IN = "only_in"  # every state but these refuses the events
    ACCEPTED_IN = "accepted_in"  # the states accept the events
    ACCEPTED_UNTIL_FINAL = "accepted_until_final"  # every state that is not final accepts the events
    LEADS_TO = "leads_to"  # the events lead to these states only


ABOUT_EVENTS = frozenset(Rule) - {Rule.FINAL}
ABOUT_STATES = frozenset(Rule) - {Rule.IRREVERSIBLE, Rule.ACCEPTED_UNTIL_FINAL}


@dataclass(frozen=True, slots=True)
class Invariant(Generic[S, E]):
    """A named promise of a lifecycle, as data, with the sentence of the document that makes it."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    name: Text
    rule: Rule
    events: tuple[_Name[E], ...] = field(default=(), kw_only=True)
    states: tuple[_Name[S], ...] = field(default=(), kw_only=True)
    citation: Text = field(kw_only=True)

    def broken_pairs(self, rows: Rows[S, E], target: Callable[[S, E], S | None]) -> Iterator[tuple[S, E, S | None]]:
        """Yield each (state, event, target) by which `target` breaks the promise.

        Every pair is asked of `target`, so that it can be any executor: the table, a machine
        over a user's object, a server.
        """
        for state in rows.states:
            for event in rows.origins:
                to = target(state, event)
                if not self._holds(rows, state, event, to):
                    yield state, event, to

    def _holds(self, rows: Rows[S, E], state: S, event: E, to: S | None) -> bool:
        mine = event in self.events
        match self.rule:
            case Rule.FINAL:
                return to is None or state not in self.states
            case Rule.IRREVERSIBLE:
                return to is None or not mine or to in rows.final
            case Rule.NEVER_IN:
                return to is None or not mine or state not in self.states
            case Rule.ONLY_IN:
                return to is None or not mine or state in self.states
            case Rule.ACCEPTED_IN:
                return to is not None or not mine or state not in self.states
            case Rule.ACCEPTED_UNTIL_FINAL:
                return to is not None or not mine or state in rows.final
            case Rule.LEADS_TO:  # pragma: no branch (the type checker sees that no rule is left out)
                return to is None or not mine or to in self.states
