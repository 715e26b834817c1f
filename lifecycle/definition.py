"""`Lifecycle`: one literal declares it, everything else is derived from it.

Its parts are in declaration.py, what they must satisfy in validation.py; what it then answers is in
table.py, graph.py and conformance.py, whose questions it inherits: users call them on it. An unsound
declaration is refused when it is made, wherever it comes from, with all findings at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Generic, Self, cast

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator

from lifecycle.conformance import Channel, Conformance
from lifecycle.declaration import Alias, Event, Invariant, Rule, State, StrictText, Text, Transition
from lifecycle.documents import Document, read_json, read_yaml, require_yaml
from lifecycle.errors import DefinitionError, DefinitionFinding, shortened
from lifecycle.table import E, Origin, S
from lifecycle.validation import (
    LONGEST_NAME,
    Path,
    limited,
    transition_system,
    validate,
    validate_extension,
    violations,
)

__all__ = ["Alias", "Event", "Invariant", "Lifecycle", "Rule", "State", "Transition"]


class Lifecycle(BaseModel, Conformance[S, E], Generic[S, E], frozen=True, extra="forbid"):
    """A declared, checked, immutable lifecycle, and every question that can be asked of it.

    Generic over the `StrEnum`s of its states and events, so that a type checker rejects a
    misspelt name. At run time plain strings work as well.

    Raises:
        DefinitionError: the declaration is not sound; `.findings` holds what is wrong with it, up to a hundred.
    """

    name: StrictText
    citation: Text
    states: tuple[State[S], ...]
    events: tuple[Event[E], ...]
    transitions: tuple[Transition[S, E], ...]
    aliases: tuple[Alias[S], ...] = ()
    invariants: tuple[Invariant[S, E], ...] = ()
    extended_by: Text | None = None
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
            raise DefinitionError(_name_in(data), limited(map(_bad_value, error.errors()))) from None
        findings = limited(validate(lifecycle))
        if findings:
            raise DefinitionError(lifecycle.name, findings)
        lifecycle._compile(transition_system(lifecycle))
        lifecycle._connect()
        lifecycle._translate(_statuses_by_channel(lifecycle))
        return lifecycle

    @property
    def initial(self) -> S:
        """The state in which every task begins."""
        return self._system.initial

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
        return self._state_parts[name]

    def event(self, name: E) -> Event[E]:
        """Return the declaration of one event. Raises UnknownName."""
        self._require_event(name)
        return self._event_parts[name]

    @cached_property
    def _state_parts(self) -> Mapping[S, State[S]]:
        return {state.name: state for state in self.states}

    @cached_property
    def _event_parts(self) -> Mapping[E, Event[E]]:
        return {event.name: event for event in self.events}

    def violations(self, target: Callable[[S, E], S | None] | None = None) -> tuple[DefinitionFinding, ...]:
        """Ask `target` every (state, event) pair that a promise is about and return each that its answers break.

        Args:
            target: any executor of this lifecycle, as a function that returns the state an event
                leads to, or None for a refusal; this table's own `target` if omitted (which
                breaks none, or it would not have been made).
        """
        return tuple(violations(self.invariants, self._system, target))

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
        findings = limited(validate_extension(self, (*kept, *states), transitions))
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
            raise DefinitionError(name, limited((*error.findings, *findings))) from None
        if findings:
            raise DefinitionError(name, findings)
        return extension

    @classmethod
    def from_json(cls, text: str | bytes) -> Lifecycle[str, str]:
        """Read a declaration from JSON. Raises DefinitionError."""
        return _from_document(read_json(text))

    @classmethod
    def from_yaml(cls, text: str | bytes) -> Lifecycle[str, str]:
        """Read a declaration from YAML.

        Raises:
            DefinitionError: the text is not YAML or the declaration is not sound.
            MissingExtra: the extra `yaml` is not installed.
        """
        return _from_document(read_yaml(text))

    @classmethod
    def from_file(cls, path: str | FilePath) -> Lifecycle[str, str]:
        """Read a declaration from a file: YAML where its name ends in .yaml or .yml, else JSON.

        Raises:
            DefinitionError: as from_json and from_yaml.
            MissingExtra: a YAML file without the extra `yaml`.
            OSError: the file cannot be read, or is a device.
        """
        path = FilePath(path)
        if path.is_char_device() or path.is_block_device():
            raise OSError(f"{path} is a device, whose end may never come; a declaration is a file or a pipe")
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
        return str(require_yaml().safe_dump(document, sort_keys=False, allow_unicode=readable))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return a JSON Schema of declarations, for editors to complete and check JSON and YAML files."""
        schema = cls.model_json_schema()
        schema["properties"][_SCHEMA_KEY] = {"type": "string", "title": "The schema that an editor checks by"}
        return {_SCHEMA_KEY: "https://json-schema.org/draft/2020-12/schema", **schema}

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


_SCHEMA_KEY = "$schema"  # where editors want to be told which schema a file follows


def _from_document(document: Document) -> Lifecycle[str, str]:
    value: Any = document.value
    if isinstance(value, dict):
        value = {key: item for key, item in cast("dict[str, Any]", value).items() if key != _SCHEMA_KEY}
    findings = [
        DefinitionFinding("duplicate_key", _where(path), "is written twice; the first one would be ignored", path, line)
        for path, line in document.repeated
    ]
    lifecycle: Lifecycle[str, str] | None = None
    try:
        lifecycle = cast("Lifecycle[str, str]", Lifecycle.model_validate(value))
    except DefinitionError as error:
        findings += (_located(finding, document) for finding in error.findings)
    if lifecycle is None or findings:
        raise DefinitionError(_name_in(value), limited(findings))
    return lifecycle


def _located(finding: DefinitionFinding, document: Document) -> DefinitionFinding:
    message = finding.message
    if message.startswith(_NO_TEXT) and (bare := document.bare(finding.path)) is not None:
        message += f": to YAML a bare {shortened(bare)[1:-1]} is no text; write it in quotes"
    return replace(finding, message=message, line=document.line_of(finding.path))


def _name_in(data: Any) -> str:
    name = cast("dict[str, Any]", data).get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else "?"


def _bad_value(error: Mapping[str, Any]) -> DefinitionFinding:
    """One of the validation library's errors in our own terms."""
    kind = error["type"]
    should = _SHOULD.get(kind) or error["msg"].removeprefix("Input ")
    message = _PLAINER.get(kind) or f"{should}, not {_given(error['input'])}"
    return DefinitionFinding("bad_value", _where(error["loc"]), message, error["loc"])


def _where(path: Path) -> str:
    where = ""
    for part in path:
        key = str(part)[:LONGEST_NAME]
        where += f"[{key}]" if isinstance(part, int) else f".{key}" if where else key
    return where or "declaration"


def _given(value: Any) -> str:
    # Only what is short is shown: a few lines of YAML can stand for a document of gigabytes.
    return shortened(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


_NO_TEXT = "should be a valid string"
_SHOULD = {"bool_type": "should be true or false"}
_PLAINER = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "unexpected_keyword_argument": "there is no such field",
    "tuple_type": "should be a list",
    "value_error": "holds half of a surrogate pair, which could not be written back",
}


def _statuses_by_channel(lifecycle: Lifecycle[S, E]) -> dict[str, dict[str, S]]:
    own = {str(state.name): state.name for state in lifecycle.states}
    words = {str(channel): dict(own) for channel in Channel}
    for alias in lifecycle.aliases:
        words.setdefault(alias.channel, dict(own))[alias.status] = alias.state
    return words
