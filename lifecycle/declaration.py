"""The data model of a declaration: states, events, rows, aliases and invariants, as pydantic models.

validation.py checks whether the parts fit together; lifecycle.py makes a `Lifecycle` from them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cache
from itertools import product
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from lifecycle.table import E, Origin, S, TransitionSystem

# Parts are validated like foreign data even if they are objects already: a value that a type checker
# would reject (an origin given as text) must not pass silently without one.
_CHECKED = ConfigDict(extra="forbid", revalidate_instances="always")


def _keep_member(name: Any, check: ValidatorFunctionWrapHandler) -> Any:
    # If the enumeration is not known, pydantic would turn its members into plain text. validation.py checks
    # which kinds of enumeration are allowed.
    checked = check(name)
    for each in (name, checked):  # bytes, or a member of a plain Enum
        if not isinstance(each, str):
            _TEXT.validate_python(each)
    return name if isinstance(name, Enum) and type(checked) is str else checked


def _encodable(text: str) -> str:
    text.encode()  # JSON can spell half of a surrogate pair ("\ud800")
    return text


Name = Annotated[S, WrapValidator(_keep_member)]
"""A state or an event: text, or a member of an enumeration."""

StrictText = Annotated[str, Strict()]
_TEXT: TypeAdapter[str] = TypeAdapter(StrictText)
Text = Annotated[StrictText, AfterValidator(_encodable)]
Flag = Annotated[bool, Strict()]  # pydantic would accept "yes", "off" and 1 as Booleans


@dataclass(frozen=True, slots=True)
class State(Generic[S]):
    """A state of a task.

    `settled` means that no work is being done although the task may not be over. `reopenable` means that the task is
    over, as in a final state, unless a command begins its work again (a re-run): commands lead out of the state, and
    no remote event does. It is settled as well. `interrupted` means that the work had begun and cannot go on without
    the caller, such as when an agent asks a question: the state is settled as well, and ends a wait even if no read saw
    the work before it. It is neither initial, final nor reopenable.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    name: Name[S]
    meaning: Text = ""
    initial: Flag = field(default=False, kw_only=True)
    final: Flag = field(default=False, kw_only=True)
    settled: Flag = field(default=False, kw_only=True)
    reopenable: Flag = field(default=False, kw_only=True)
    interrupted: Flag = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[E]):
    """An event: a command that a caller may send, or an event that the service causes by itself (`origin`).

    For a command, `proved_by_state` states that being at its target proves that it took effect; so it
    may not lead from a state to that same state. `idempotent` states that sending it twice equals
    sending it once, also if remote events happen in between: no remote events lead from its target to a
    state that accepts it again.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    name: Name[E]
    origin: Origin
    meaning: Text = ""
    proved_by_state: Flag = field(default=True, kw_only=True)
    idempotent: Flag = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class Transition(Generic[S, E]):
    """One row of the table."""

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    source: Name[S]
    event: Name[E]
    target: Name[S]


class _Chosen:
    """Validate a value by the member of a union that `choose` names by its position.

    A union of pydantic's own adds the name of the member to the path of every error.
    """

    def __init__(self, choose: Callable[[Any], int]) -> None:
        self._choose = choose

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        members: dict[Any, CoreSchema] = dict(enumerate(map(handler.generate_schema, get_args(source))))
        union = core_schema.tagged_union_schema(members, self._choose)
        return core_schema.no_info_wrap_validator_function(_without_member, union)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        members: list[dict[str, Any]] = handler(schema)["oneOf"]
        return members[0] if len(members) == 1 else {"anyOf": members}


def _without_member(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError as error:
        raise ValidationError.from_exception_data(error.title, details_of(error, skipped=1)) from None


def details_of(error: ValidationError, *, skipped: int = 0) -> list[InitErrorDetails]:
    """Return the errors in one of pydantic's, to raise them in another one, without the first keys of their paths."""
    return [
        InitErrorDetails(type=each["type"], loc=each["loc"][skipped:], input=each["input"], ctx=each.get("ctx", {}))
        for each in error.errors()
    ]


EVERY: Literal["*"] = "*"
"""The source of `Transitions` that means every state that is neither final nor the target."""

_Sources = Annotated[
    Name[S] | tuple[Name[S], ...] | Literal["*"],
    _Chosen(lambda source: 2 if source == EVERY else int(isinstance(source, list | tuple))),
]


@dataclass(frozen=True, slots=True)
class Transitions(Generic[S, E]):
    """Rows of one event and one target: one row from each source.

    `source` is a state, several states, or "*": every state that is neither final nor the target. A lifecycle holds
    the rows themselves.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    source: _Sources[S]
    event: Name[E]
    target: Name[S]


Row: TypeAlias = Transition[S, E] | Transitions[S, E]
"""A declaration of one row or several."""

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead from the declaration's fields to a part."""


def located_rows(
    transitions: Iterable[Row[S, E]], states: Iterable[State[S]]
) -> Iterator[tuple[Path, Transition[S, E]]]:
    """Yield each row of a declaration, with the path of the part that declares it."""
    going = going_states(states)
    for index, row in enumerate(transitions):
        yield from rows_of(row, ("transitions", index), going)


def going_states(states: Iterable[State[S]]) -> Callable[[], Collection[S]]:
    """Return a function that returns the names of the states that are not final; only a source "*" needs them."""
    return cache(lambda: dict.fromkeys(state.name for state in states if not state.final))


def rows_of(row: Row[S, E], path: Path, going: Callable[[], Collection[S]]) -> Iterator[tuple[Path, Transition[S, E]]]:
    """Yield the rows that one part, at this path, declares, each with the path of its source or of the part."""
    match row.source:
        case tuple():
            for place, source in enumerate(row.source):
                yield (*path, "source", place), Transition(source, row.event, row.target)
        case "*":
            for source in going():
                if source != row.target:
                    yield path, Transition(source, row.event, row.target)
        case source:
            yield path, Transition(source, row.event, row.target)


@dataclass(frozen=True, slots=True)
class Alias(Generic[S]):
    """A status that stands for a state in one channel (`initializing` for `created` in `webhook`)."""

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    channel: Text
    status: Text
    state: Name[S]


class Rule(StrEnum):
    """The rules of invariants.

    FINAL needs `states`, IRREVERSIBLE and ACCEPTED_UNTIL_FINAL need `events`, the others need both.
    """

    FINAL = "final"  # nothing leads out of the states
    IRREVERSIBLE = "irreversible"  # the events lead to final states only
    NEVER_IN = "never_in"  # the states refuse the events
    ONLY_IN = "only_in"  # every state but these refuses the events
    ACCEPTED_IN = "accepted_in"  # the states accept the events
    ACCEPTED_UNTIL_FINAL = "accepted_until_final"  # every state that is not final accepts the events
    LEADS_TO = "leads_to"  # the events lead to these states only


ABOUT_EVENTS = frozenset(Rule) - {Rule.FINAL}
ABOUT_STATES = frozenset(Rule) - {Rule.IRREVERSIBLE, Rule.ACCEPTED_UNTIL_FINAL}
_BROKEN_BY_REFUSALS = frozenset({Rule.ACCEPTED_IN, Rule.ACCEPTED_UNTIL_FINAL})


@dataclass(frozen=True, slots=True)
class Invariant(Generic[S, E]):
    """A property that a lifecycle guarantees, as data, with the sentence of the document that states it."""

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    name: Text
    rule: Rule
    events: tuple[Name[E], ...] = field(default=(), kw_only=True)
    states: tuple[Name[S], ...] = field(default=(), kw_only=True)
    citation: Text = field(kw_only=True)

    def violations(
        self, rows: TransitionSystem[S, E], target: Callable[[S, E], S | None] | None = None
    ) -> Iterator[tuple[S, E, S | None]]:
        """Yield each (state, event, target) that violates the invariant; a target of None is a refusal.

        Args:
            rows: the rows of the lifecycle.
            target: any executor of it (a machine over a user's object, a server), called with every pair that the
                invariant is about; the rows themselves if omitted.
        """
        states, events = self._about(rows)
        pairs: Iterable[tuple[S, E]] = product(states, events)
        if target is None and self.rule not in _BROKEN_BY_REFUSALS:
            pairs = (row for row in rows.transitions if row[0] in states and row[1] in events)
        for state, event in pairs:
            to = target(state, event) if target else rows.transitions.get((state, event))
            if not self._allows(to, rows):
                yield state, event, to

    def _about(self, rows: TransitionSystem[S, E]) -> tuple[dict[S, None], dict[E, None]]:
        """Return the states and events whose pairs the invariant is about, in declared order."""
        named = frozenset(self.states)
        match self.rule:
            case Rule.FINAL | Rule.NEVER_IN | Rule.ACCEPTED_IN:
                states = [state for state in rows.states if state in named]
            case Rule.ONLY_IN:
                states = [state for state in rows.states if state not in named]
            case Rule.ACCEPTED_UNTIL_FINAL:
                states = [state for state in rows.states if state not in rows.final]
            case _:
                states = list(rows.states)
        events = frozenset(self.events)
        about = [event for event in rows.origins if self.rule is Rule.FINAL or event in events]
        return dict.fromkeys(states), dict.fromkeys(about)

    def _allows(self, to: S | None, rows: TransitionSystem[S, E]) -> bool:
        """Return whether the invariant allows one of its pairs to lead to `to` (None: to be refused)."""
        match self.rule:
            case Rule.ACCEPTED_IN | Rule.ACCEPTED_UNTIL_FINAL:
                return to is not None
            case Rule.IRREVERSIBLE:
                return to is None or to in rows.final
            case Rule.LEADS_TO:
                return to is None or to in self.states
            case _:
                return to is None


class Declaration(BaseModel, Generic[S, E], frozen=True, extra="forbid"):
    """A declaration whose parts are each well-formed; whether they fit together is not checked here."""

    name: StrictText
    extended_by: Text | None = None
    citation: Text
    states: tuple[State[S], ...]
    events: tuple[Event[E], ...]
    transitions: tuple[
        Annotated[
            SkipJsonSchema[Transition[S, E]] | Transitions[S, E],
            _Chosen(lambda row: int(not isinstance(row, Transition))),
        ],
        ...,
    ]
    aliases: tuple[Alias[S], ...] = ()
    invariants: tuple[Invariant[S, E], ...] = ()

    @property
    def rows(self) -> tuple[Transition[S, E], ...]:
        """Return its rows, in declared order: `Transitions` are replaced by the rows that they mean."""
        return tuple(row for _, row in located_rows(self.transitions, self.states))

    def with_rows(self) -> Self:
        """Return the declaration with its `rows` as its transitions."""
        return self.model_copy(update={"transitions": self.rows})
