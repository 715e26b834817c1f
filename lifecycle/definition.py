"""The declaration of a lifecycle: its parts, what a sound one must satisfy, and `Lifecycle`.

One literal declares a lifecycle; everything else is derived from it. What it then answers is in
table.py, graph.py and history.py, whose questions `Lifecycle` inherits: users call them on it.

An unsound declaration is refused when it is made, wherever it comes from, with all findings at
once. Their codes are stable:

    bad_document                the text is not JSON or YAML
    bad_value                   a field is missing, unknown, or of the wrong type
    bad_name                    a name is empty, too long or not printable
    duplicate_name              two states, events or aliases of one name
    duplicate_row               two rows for one (source, event)
    unknown_name                a row, alias or invariant uses a name that is not declared
    no_initial_state            no state is initial
    several_initial_states      more than one is
    final_state_with_exit       a row leaves a final state
    unreachable_state           no path leads there from the initial state
    dead_end                    no path leads from there to a final state
    unused_event                an event is in no row
    alias_shadows_state         an alias hides a declared state
    broken_invariant            a row contradicts what the lifecycle promises
    base_final_changed          an extension gives a final state of its base a way out
    base_answer_changed         an extension answers a (state, event) pair of its base differently
    base_reachability_changed   an extension connects two states of its base anew
    base_initial_unreachable    the base's initial state cannot be reached from the extension's
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from lifecycle.errors import DefinitionError, DefinitionFinding, MissingExtra, nearest, shortened
from lifecycle.graph import reach
from lifecycle.history import Channel, History
from lifecycle.table import E, Origin, Rows, S, quoted

# Parts are examined like foreign data even when they come as objects: what a type checker would
# refuse (an origin given as text) must not pass silently where there is none.
_EXAMINED = ConfigDict(extra="forbid", revalidate_instances="always")
_LONGEST_NAME = 100  # characters; a longer one is a pasted document, not a name


def _keep_member(name: Any, check: ValidatorFunctionWrapHandler) -> Any:
    # Where the enumeration is not known, pydantic would turn its members into plain text.
    checked = check(name)
    return name if isinstance(name, StrEnum) and type(checked) is str else checked


def _encodable(text: str) -> str:
    text.encode()  # JSON can spell half of a surrogate pair ("\ud800")
    return text


_Name = Annotated[S, WrapValidator(_keep_member)]
_Text = Annotated[str, AfterValidator(_encodable)]


@dataclass(frozen=True, slots=True)
class State(Generic[S]):
    """Where a task rests. `settled` means that no work is being done although the task is not over."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    name: _Name[S]
    meaning: _Text = ""
    initial: bool = field(default=False, kw_only=True)
    final: bool = field(default=False, kw_only=True)
    settled: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[E]):
    """What moves a task.

    For a command (origin caller), `proved_by_state` says that being at its target means that it
    took effect, `repeatable` that sending it twice is the same as sending it once.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    name: _Name[E]
    origin: Origin
    meaning: _Text = ""
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

    channel: _Text
    word: _Text
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


_ABOUT_EVENTS = frozenset(Rule) - {Rule.FINAL}
_ABOUT_STATES = frozenset(Rule) - {Rule.IRREVERSIBLE, Rule.ACCEPTED_UNTIL_FINAL}


@dataclass(frozen=True, slots=True)
class Invariant(Generic[S, E]):
    """A named promise of a lifecycle, as data, with the sentence of the document that makes it."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXAMINED

    name: _Text
    rule: Rule
    events: tuple[_Name[E], ...] = field(default=(), kw_only=True)
    states: tuple[_Name[S], ...] = field(default=(), kw_only=True)
    citation: _Text = field(kw_only=True)

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


class Lifecycle(BaseModel, History[S, E], Generic[S, E], frozen=True, extra="forbid"):
    """A declared, checked, immutable lifecycle, and every question that can be asked of it.

    Generic over the `StrEnum`s of its states and events, so that a type checker rejects a
    misspelt name. At run time plain strings work as well.

    Raises:
        DefinitionError: the declaration is not sound; `.findings` holds everything wrong with it.
    """

    name: str
    citation: _Text
    states: tuple[State[S], ...]
    events: tuple[Event[E], ...]
    transitions: tuple[Transition[S, E], ...]
    aliases: tuple[Alias[S], ...] = ()
    invariants: tuple[Invariant[S, E], ...] = ()
    extended_by: _Text | None = None
    """Name of the lifecycle that declares what this one's documents leave out; used in messages."""

    @model_validator(mode="wrap")
    @classmethod
    def _all_findings_at_once(cls, data: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return data  # it cannot change, and was examined when it was made
        if isinstance(data, Lifecycle):  # of other type parameters
            data = data._fields()
        try:
            lifecycle = build(data)
        except ValidationError as error:
            # Not `from error`: it says nothing more, and printing it would print the whole document.
            raise DefinitionError(_name_in(data), [_bad_value(each) for each in error.errors()]) from None
        findings = tuple(_examine(lifecycle))
        if findings:
            raise DefinitionError(lifecycle.name, findings)
        lifecycle._compile(_rows(lifecycle))
        lifecycle._connect()
        lifecycle._translate(_words(lifecycle))
        return lifecycle

    @property
    def initial(self) -> S:
        """The state in which every task begins."""
        return self._rows.initial

    @property
    def final_states(self) -> tuple[S, ...]:
        """The states that nothing follows, in declared order."""
        return tuple(state.name for state in self.states if state.final)

    @property
    def settled_states(self) -> tuple[S, ...]:
        """The states in which no work is being done, the final ones included, in declared order."""
        return tuple(state.name for state in self.states if state.final or state.settled)

    @property
    def commands(self) -> tuple[E, ...]:
        """The events that a caller may send, in declared order."""
        return tuple(event.name for event in self.events if event.origin is Origin.CALLER)

    def state(self, name: S) -> State[S]:
        """Return the declaration of one state. Raises UnknownName."""
        self._require_state(name)
        return next(state for state in self.states if state.name == name)

    def event(self, name: E) -> Event[E]:
        """Return the declaration of one event. Raises UnknownName."""
        self._require_event(name)
        return next(event for event in self.events if event.name == name)

    def broken_invariants(self, target: Callable[[S, E], S | None] | None = None) -> tuple[DefinitionFinding, ...]:
        """Ask `target` every (state, event) pair and return each promise that its answers break.

        Args:
            target: any executor of this lifecycle, as a function that returns the state an event
                leads to, or None for a refusal; this table's own `target` if omitted (which
                breaks none, or it would not have been made).
        """
        return tuple(_broken_invariants(self.invariants, self._rows, target or self.target))

    def extend(
        self,
        *,
        name: str,
        citation: str,
        states: Iterable[State[S]] = (),
        events: Iterable[Event[E]] = (),
        transitions: Iterable[Transition[S, E]] = (),
        aliases: Iterable[Alias[S]] = (),
        invariants: Iterable[Invariant[S, E]] = (),
    ) -> Lifecycle[S, E]:
        """Return a larger lifecycle that keeps every promise of this one.

        It may add states, events and rows, and a new initial state from which this one's is
        reached. On this lifecycle's own states it keeps which are final, the answer to every
        (state, event) pair including the refusals, what is reachable from what, and the
        invariants.

        Raises:
            DefinitionError: the extension is not sound, or would change this lifecycle.
        """
        states, transitions = tuple(states), tuple(transitions)
        has_new_initial = any(state.initial for state in states)
        kept = tuple(replace(state, initial=False) for state in self.states) if has_new_initial else self.states
        findings = tuple(_examine_extension(self, (*kept, *states), transitions))
        try:
            extension: Lifecycle[S, E] = Lifecycle(
                name=name,
                citation=citation,
                states=(*kept, *states),
                events=(*self.events, *events),
                transitions=(*self.transitions, *transitions),
                aliases=(*self.aliases, *aliases),
                invariants=(*self.invariants, *invariants),
            )
        except DefinitionError as error:
            raise DefinitionError(name, (*error.findings, *findings)) from None
        if findings:
            raise DefinitionError(name, findings)
        return extension

    @classmethod
    def from_json(cls, text: str | bytes) -> Lifecycle[str, str]:
        """Read a declaration from JSON. Raises DefinitionError."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _bad_document("JSON", error) from error
        return _from_document(document)

    @classmethod
    def from_yaml(cls, text: str | bytes) -> Lifecycle[str, str]:
        """Read a declaration from YAML.

        Raises:
            DefinitionError: the text is not YAML or the declaration is not sound.
            MissingExtra: the extra `yaml` is not installed.
        """
        yaml = _yaml()
        try:
            document = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise _bad_document("YAML", error) from error
        return _from_document(document)

    @classmethod
    def from_file(cls, path: str | Path) -> Lifecycle[str, str]:
        """Read a declaration from a file: YAML where its name ends in .yaml or .yml, else JSON.

        Raises:
            DefinitionError: as from_json and from_yaml.
            MissingExtra: a YAML file without the extra `yaml`.
            OSError: the file cannot be read.
        """
        path = Path(path)
        read = cls.from_yaml if path.suffix.lower() in (".yaml", ".yml") else cls.from_json
        return read(path.read_bytes())

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the declaration as JSON text; reading it back gives an equal lifecycle."""
        return self.model_dump_json(indent=indent, exclude_defaults=True)

    def to_yaml(self) -> str:
        """Return the declaration as YAML text; reading it back gives an equal lifecycle. Raises MissingExtra."""
        document = self.model_dump(mode="json", exclude_defaults=True)
        # PyYAML writes these line breaks as they are and reads them back as others, unless it escapes.
        readable = {"\x85", "\u2028", "\u2029"}.isdisjoint(self.to_json())
        return str(_yaml().safe_dump(document, sort_keys=False, allow_unicode=readable))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return a JSON Schema of declarations, for editors to complete and check JSON and YAML files."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **cls.model_json_schema()}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002 (pydantic's signature)
        """Return this lifecycle, or a changed one that is checked like any other. Raises DefinitionError."""
        # pydantic's own copy would skip the examination and keep the rows compiled before the update.
        return type(self)(**{**self._fields(), **update}) if update else self

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    def __reduce__(self) -> tuple[Any, ...]:
        # pydantic's own way fails for `Lifecycle[V1State, V1Event]`, a class that has no importable
        # name, and would carry the compiled rows along.
        return Lifecycle.model_validate, (self._fields(),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self


def _from_document(document: Any) -> Lifecycle[str, str]:
    return cast("Lifecycle[str, str]", Lifecycle.model_validate(document))


def _bad_document(language: str, error: Exception) -> DefinitionError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return DefinitionError("?", [DefinitionFinding("bad_document", "text", f"not {language}: {reason}")])


def _name_in(data: Any) -> str:
    name = cast("dict[str, Any]", data).get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else "?"


def _bad_value(error: Mapping[str, Any]) -> DefinitionFinding:
    """One of the validation library's errors in our own terms."""
    where = ""
    for part in error["loc"]:
        key = str(part)[:_LONGEST_NAME]
        where += f"[{key}]" if isinstance(part, int) else f".{key}" if where else key
    message = _PLAINER.get(error["type"]) or f"{error['msg'].removeprefix('Input ')}, not {_given(error['input'])}"
    return DefinitionFinding("bad_value", where or "declaration", message)


def _given(value: Any) -> str:
    # Only what is short is shown: a few lines of YAML can stand for a document of gigabytes.
    return shortened(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


_PLAINER = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "unexpected_keyword_argument": "there is no such field",
    "tuple_type": "should be a list",
    "value_error": "holds half of a surrogate pair, which could not be written back",
}


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise MissingExtra("yaml", needed_by="reading and writing YAML") from None
    return yaml


# --- compiling a sound declaration -------------------------------------------------------------


def _rows(lifecycle: Lifecycle[S, E]) -> Rows[S, E]:
    return Rows(
        states=tuple(state.name for state in lifecycle.states),
        initial=next(state.name for state in lifecycle.states if state.initial),
        final=frozenset(lifecycle.final_states),
        settled=frozenset(lifecycle.settled_states),
        origins={event.name: event.origin for event in lifecycle.events},
        proved_by_state=frozenset(event.name for event in lifecycle.events if event.proved_by_state),
        moves=_moves(lifecycle.transitions),
    )


def _moves(transitions: Iterable[Transition[S, E]]) -> dict[tuple[S, E], S]:
    return {(row.source, row.event): row.target for row in transitions}


def _words(lifecycle: Lifecycle[S, E]) -> dict[str, dict[str, S]]:
    own = {str(state.name): state.name for state in lifecycle.states}
    words = {str(channel): dict(own) for channel in Channel}
    for alias in lifecycle.aliases:
        words.setdefault(alias.channel, dict(own))[alias.word] = alias.state
    return words


# --- examining a declaration -------------------------------------------------------------------


def _examine(lifecycle: Lifecycle[S, E]) -> Iterator[DefinitionFinding]:
    # What rests on sound names and rows is only examined when those are sound: a state that is
    # "unreachable" because of a misspelt row would be noise beside the misspelling.
    basic = tuple(_examine_basics(lifecycle))
    yield from basic
    if not basic:
        yield from _examine_paths(lifecycle)
        rows = _rows(lifecycle)
        moves = rows.moves
        yield from _broken_invariants(lifecycle.invariants, rows, lambda state, event: moves.get((state, event)))


def _examine_basics(lifecycle: Lifecycle[S, E]) -> Iterator[DefinitionFinding]:
    states = [state.name for state in lifecycle.states]
    events = [event.name for event in lifecycle.events]
    yield from _examine_names("lifecycle", [lifecycle.name])
    yield from _examine_names("state", states)
    yield from _examine_names("event", events)
    yield from _examine_references(lifecycle, set(states), set(events))
    yield from _examine_rows(lifecycle)
    yield from _examine_initial([state.name for state in lifecycle.states if state.initial])
    yield from _examine_aliases(lifecycle.aliases, set(states))
    used = {row.event for row in lifecycle.transitions}
    for event in events:
        if event not in used:
            yield DefinitionFinding("unused_event", f"event {quoted(event)}", "is in no row")


def _examine_names(kind: str, names: Iterable[str]) -> Iterator[DefinitionFinding]:
    for name, count in Counter(names).items():
        where = f"{kind} {shortened(name)}"
        if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
            yield DefinitionFinding("bad_name", where, f"a name is 1 to {_LONGEST_NAME} printable characters")
        if count > 1:
            yield DefinitionFinding("duplicate_name", where, f"is declared {count} times")


def _examine_references(lifecycle: Lifecycle[S, E], states: set[S], events: set[E]) -> Iterator[DefinitionFinding]:
    used: list[tuple[str, str, Any, Any]] = []
    for index, row in enumerate(lifecycle.transitions):
        used += [(f"transitions[{index}]", "state", name, states) for name in (row.source, row.target)]
        used += [(f"transitions[{index}]", "event", row.event, events)]
    used += [(f"alias {shortened(alias.word)}", "state", alias.state, states) for alias in lifecycle.aliases]
    for invariant in lifecycle.invariants:
        where = f"invariant {shortened(invariant.name)}"
        used += [(where, "state", name, states) for name in invariant.states]
        used += [(where, "event", name, events) for name in invariant.events]
        for part, rules in (("events", _ABOUT_EVENTS), ("states", _ABOUT_STATES)):
            if bool(getattr(invariant, part)) != (invariant.rule in rules):
                needs = "needs" if invariant.rule in rules else "takes no"
                yield DefinitionFinding("bad_value", where, f"the rule {quoted(invariant.rule)} {needs} {part}")
    for where, kind, name, known in used:
        if name not in known:
            meant = nearest(name, known)
            hint = f"; did you mean {quoted(meant)}?" if meant else ""
            yield DefinitionFinding("unknown_name", where, f"{kind} {shortened(name)} is not declared{hint}")


def _examine_rows(lifecycle: Lifecycle[S, E]) -> Iterator[DefinitionFinding]:
    final = set(lifecycle.final_states)
    seen: dict[tuple[S, E], int] = {}
    for index, row in enumerate(lifecycle.transitions):
        where = f"transitions[{index}]"
        first = seen.setdefault((row.source, row.event), index)
        if first != index:
            message = f"({row.source}, {row.event}) has a row already, transitions[{first}]"
            yield DefinitionFinding("duplicate_row", where, message)
        if row.source in final:
            message = f"{quoted(row.event)} leads out of {quoted(row.source)}"
            yield DefinitionFinding("final_state_with_exit", where, message)


def _examine_initial(initial: list[S]) -> Iterator[DefinitionFinding]:
    if not initial:
        yield DefinitionFinding("no_initial_state", "states", "one state must be initial")
    if len(initial) > 1:
        yield DefinitionFinding(
            "several_initial_states", "states", f"only one may be initial, not {', '.join(initial)}"
        )


def _examine_aliases(aliases: tuple[Alias[S], ...], states: set[S]) -> Iterator[DefinitionFinding]:
    for (channel, word), count in Counter((alias.channel, alias.word) for alias in aliases).items():
        where = f"alias {shortened(word)}"
        if count > 1:
            yield DefinitionFinding("duplicate_name", where, f"is declared {count} times for channel {channel!r}")
        if word in states:
            yield DefinitionFinding(
                "alias_shadows_state", where, f"channel {channel!r} could no longer name that state"
            )


def _examine_paths(lifecycle: Lifecycle[S, E]) -> Iterator[DefinitionFinding]:
    rows = _rows(lifecycle)
    reached = reach(rows.moves, rows.initial)
    for state in rows.states:
        where = f"state {quoted(state)}"
        if state not in reached:
            message = f"cannot be reached from {quoted(rows.initial)}"
            yield DefinitionFinding("unreachable_state", where, message)
        if rows.final.isdisjoint(reach(rows.moves, state)):
            yield DefinitionFinding("dead_end", where, "no final state can be reached from it")


def _broken_invariants(
    invariants: Iterable[Invariant[S, E]], rows: Rows[S, E], target: Callable[[S, E], S | None]
) -> Iterator[DefinitionFinding]:
    for invariant in invariants:
        for state, event, to in invariant.broken_pairs(rows, target):
            answer = "is refused" if to is None else f"leads to {quoted(to)}"
            message = f"{quoted(event)} {answer} in {quoted(state)}"
            yield DefinitionFinding("broken_invariant", f"invariant {shortened(invariant.name)}", message)


def _examine_extension(
    base: Lifecycle[S, E], states: tuple[State[S], ...], added: tuple[Transition[S, E], ...]
) -> Iterator[DefinitionFinding]:
    base_states = {state.name for state in base.states}
    base_events = {event.name for event in base.events}
    for index, row in enumerate(added):
        where = f"added transitions[{index}]"
        if row.source in base.final_states:
            message = f"{quoted(row.source)} is final in {base.name!r}"
            yield DefinitionFinding("base_final_changed", where, message)
        if row.source in base_states and row.event in base_events:
            answer = base.target(row.source, row.event)
            message = (
                f"{base.name!r} answers ({row.source}, {row.event}) with {quoted(answer) if answer else 'a refusal'}"
            )
            yield DefinitionFinding("base_answer_changed", where, message)
    moves = {**_moves(added), **_moves(base.transitions)}
    for state in base.states:
        for new in sorted(reach(moves, state.name).keys() & base_states - base.reachable(state.name)):
            message = f"{quoted(new)} cannot follow it in {base.name!r}"
            yield DefinitionFinding("base_reachability_changed", f"state {quoted(state.name)}", message)
    initial = next((state.name for state in states if state.initial), base.initial)
    if base.initial not in reach(moves, initial):
        message = f"{quoted(base.initial)} cannot be reached from it"
        yield DefinitionFinding("base_initial_unreachable", f"state {quoted(initial)}", message)
