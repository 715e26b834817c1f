"""The class `Lifecycle`: one literal declares a lifecycle, and everything else is derived from it.

Its parts are in declaration.py, the checks of a declaration in validation.py. It inherits its methods from
table.py, graph.py and conformance.py, each built on the one before. An unsound declaration is refused when a
lifecycle is made from it, whatever its source, with all findings at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Generic, Self, TypeGuard, TypeVar, cast, get_args, overload

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, core_schema

from lifecycle.conformance import Channel, Conformance
from lifecycle.declaration import (
    Alias,
    Declaration,
    Event,
    Invariant,
    Row,
    Rule,
    State,
    Transition,
    Transitions,
    details_of,
)
from lifecycle.digest import digest_of
from lifecycle.documents import Document, escaped, read_json, read_yaml, require_yaml
from lifecycle.errors import DefinitionError, DefinitionFinding, not_made, shortened
from lifecycle.findings import bad_value, for_editors, made_from, name_in
from lifecycle.partial import partial_declaration
from lifecycle.table import E, Origin, S, require_iterable
from lifecycle.validation import (
    limited,
    transition_system,
    validate,
    validate_extension,
    violations,
)

if TYPE_CHECKING:
    from lifecycle.diagram import Diagram

__all__ = ["Alias", "Declaration", "Event", "Invariant", "Lifecycle", "Rule", "State", "Transition", "Transitions"]

NewS = TypeVar("NewS", bound=str)
NewE = TypeVar("NewE", bound=str)


class Lifecycle(Conformance[S, E], Generic[S, E]):
    """A declared, validated, immutable lifecycle, with all that can be derived from it as methods.

        PRINTING = Lifecycle(
            name="print-job",
            citation="the printer's manual, page 7",
            states=[State("waiting", initial=True), State("printed", final=True)],
            events=[Event("print", Origin.REMOTE)],
            transitions=[Transition("waiting", "print", "printed")],
        )
        PRINTING.target("waiting", "print")   # "printed"

    Generic over the `StrEnum`s of its states and events, so that a type checker rejects a misspelt name. At run time
    plain strings work as well. It can be a field of a pydantic model, and it can be pickled.

    Args:
        name: its name, such as "v1-full".
        citation: the document that it was taken from.
        states, events, transitions: its parts, in the order in which they are shown.
        aliases: the statuses of other channels that stand for its states.
        invariants: the properties that it guarantees; validated like everything else.
        extended_by: the name of a lifecycle that extends this one by statuses from other documents; used in messages.
    Raises:
        DefinitionError: the declaration is not sound; `.findings` contains the errors in it, up to a hundred.
    """

    __slots__ = ("_commands", "_declaration", "_event_parts", "_kept_digest", "_rows", "_state_parts")

    _declaration: Declaration[S, E]
    _rows: tuple[Transition[S, E], ...]
    _state_parts: dict[S, State[S]]
    _event_parts: dict[E, Event[E]]
    _commands: tuple[E, ...]
    _kept_digest: Callable[[], str]

    def __init__(
        self,
        *,
        name: str,
        citation: str,
        states: Iterable[State[S]],
        events: Iterable[Event[E]],
        transitions: Iterable[Row[S, E]],
        aliases: Iterable[Alias[S]] = (),
        invariants: Iterable[Invariant[S, E]] = (),
        extended_by: str | None = None,
    ) -> None:
        given = {"states": states, "events": events, "transitions": transitions,
                 "aliases": aliases, "invariants": invariants}  # fmt: skip
        parts = {part: _as_given(value) for part, value in given.items()}
        declaration: Declaration[S, E] = _parsed(
            {"name": name, "citation": citation, **parts, "extended_by": extended_by}, Declaration
        )
        self._derive(declaration)

    @overload
    @classmethod
    def from_declaration(cls, declaration: Declaration[NewS, NewE]) -> Lifecycle[NewS, NewE]: ...
    @overload
    @classmethod
    def from_declaration(cls, declaration: Mapping[str, Any]) -> Lifecycle[str, str]: ...
    @overload
    @classmethod
    def from_declaration(
        cls, declaration: Declaration[Any, Any] | Mapping[str, Any], *, states: type[NewS], events: type[NewE]
    ) -> Lifecycle[NewS, NewE]: ...
    @classmethod
    def from_declaration(
        cls,
        declaration: Declaration[Any, Any] | Mapping[str, Any],
        *,
        states: type[Any] | None = None,
        events: type[Any] | None = None,
    ) -> Lifecycle[Any, Any]:
        """Make a lifecycle from a declaration.

        Args:
            declaration: the declaration, or its fields by name, as in JSON.
            states, events: the enumerations to which its names are converted; unchanged if omitted.
        Raises:
            DefinitionError: it is not sound, or a name is not in its enumeration.
            TypeError: `states` or `events` is not a class of texts.
        """
        _require_enumerations(states, events)
        # A `Declaration` is parsed too: pydantic can construct one without validation.
        data = dict(declaration) if isinstance(declaration, Declaration) else declaration
        made: Lifecycle[Any, Any] = object.__new__(cls)
        made._derive(_parsed(data, _declaration_of(states, events)))
        return made

    def _derive(self, declaration: Declaration[S, E], further: Iterable[DefinitionFinding] = ()) -> None:
        findings = limited(chain(validate(declaration), further))
        if findings:
            raise DefinitionError(declaration.name, findings)
        declaration = declaration.with_rows()
        statuses = _statuses_by_channel(declaration)
        super().__init__(declaration.name, declaration.extended_by, transition_system(declaration), statuses)
        self._fill(
            _declaration=declaration,
            _rows=declaration.rows,
            _state_parts={state.name: state for state in declaration.states},
            _event_parts={event.name: event for event in declaration.events},
            _commands=tuple(event.name for event in declaration.events if event.origin is Origin.CALLER),
            _kept_digest=cache(partial(digest_of, declaration)),
        )

    @property
    def declaration(self) -> Declaration[S, E]:
        """Return the declaration it was made from, as a pydantic model whose transitions are the rows themselves."""
        return self._declaration

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what it means, as 64 hexadecimal digits: equal in every process and version.

        Names, flags, origins, rows and aliases count. The lifecycle's own name, prose, order and invariants do not.
        """
        return self._kept_digest()

    @property
    def citation(self) -> str:
        """Return the document that it was taken from."""
        return self.declaration.citation

    @property
    def states(self) -> tuple[State[S], ...]:
        """Return its states, in declared order."""
        return self.declaration.states

    @property
    def events(self) -> tuple[Event[E], ...]:
        """Return its events, in declared order."""
        return self.declaration.events

    @property
    def transitions(self) -> tuple[Transition[S, E], ...]:
        """Return its rows, in declared order."""
        return self._rows

    @property
    def aliases(self) -> tuple[Alias[S], ...]:
        """Return the statuses of other channels that mean its states."""
        return self.declaration.aliases

    @property
    def invariants(self) -> tuple[Invariant[S, E], ...]:
        """Return the properties that it guarantees."""
        return self.declaration.invariants

    @property
    def initial(self) -> S:
        """Return the state in which every task begins."""
        return self._system.initial

    @property
    def final_states(self) -> tuple[S, ...]:
        """Return the states that no row leaves, in declared order."""
        return tuple(state.name for state in self.states if state.final)

    @property
    def settled_states(self) -> tuple[S, ...]:
        """Return the states without work, in declared order: those declared settled or reopenable, and final ones."""
        return tuple(state.name for state in self.states if self.is_settled(state.name))

    @property
    def commands(self) -> tuple[E, ...]:
        """Return the events that a caller may send, in declared order."""
        return self._commands

    def state(self, name: S) -> State[S]:
        """Return the declaration of one state. Raises UnknownName if it is not declared."""
        self._require_state(name)
        return self._state_parts[name]

    def event(self, name: E) -> Event[E]:
        """Return the declaration of one event. Raises UnknownName if it is not declared."""
        self._require_event(name)
        return self._event_parts[name]

    def violations(self, target: Callable[[S, E], S | None] | None = None) -> tuple[DefinitionFinding, ...]:
        """Call `target` with every (state, event) pair that an invariant is about, and return the violations.

        Args:
            target: any executor of this lifecycle, as a function that returns the state to which an event
                leads, or None for a refusal; this table's own `target` if omitted (which violates none,
                because the declaration was validated).
        Raises:
            TypeError: `target` cannot be called.
        """
        if not (target is None or callable(target)):
            raise TypeError(f"target must be a function of a state and an event, not {shortened(target)}")
        return tuple(violations(self.invariants, self._system, target))

    def extend(
        self,
        *,
        name: str,
        citation: str,
        states: Iterable[State[S]] = (),
        events: Iterable[Event[E]] = (),
        transitions: Iterable[Row[S, E]] = (),
        aliases: Iterable[Alias[S]] = (),
        invariants: Iterable[Invariant[S, E]] = (),
    ) -> Lifecycle[S, E]:
        """Return a larger lifecycle that keeps every invariant of this one.

        It may add states, events and rows, and a new initial state from which this one's is
        reached. For this lifecycle's own states it keeps finality, the target or refusal of every (state, event) pair
        of this lifecycle, reachability, and the invariants.

        Raises:
            DefinitionError: the extension is not sound, or would change this lifecycle.
            TypeError: `states` or `transitions` is not an iterable of such objects, or another argument is not
                an iterable.
        """
        states = tuple(_parts_of("states", states, State))
        transitions = tuple(_parts_of("transitions", transitions, (Transition, Transitions)))
        has_new_initial = any(state.initial for state in states)
        kept = tuple(replace(state, initial=False) for state in self.states) if has_new_initial else self.states
        parts: dict[str, Any] = {
            "name": name,
            "citation": citation,
            "states": (*kept, *states),
            "events": (*self.events, *require_iterable(events, "events")),
            "transitions": (*self.transitions, *transitions),
            "aliases": (*self.aliases, *require_iterable(aliases, "aliases")),
            "invariants": (*self.invariants, *require_iterable(invariants, "invariants")),
        }
        declaration: Declaration[S, E] = _parsed(parts, Declaration)
        added = declaration.transitions[len(self.transitions) :]
        extension = cast("Lifecycle[S, E]", object.__new__(Lifecycle))
        extension._derive(declaration, validate_extension(self.declaration, declaration.states, added))
        return extension

    def replace(self, **changes: Any) -> Lifecycle[S, E]:
        """Return a lifecycle with some parts replaced, by the names of the constructor's arguments; it is validated.

        Raises:
            DefinitionError: it is not sound, or there is no such part.
        """
        return cast("Lifecycle[S, E]", Lifecycle.from_declaration({**self._parts(), **changes}))

    @overload
    @classmethod
    def from_json(cls, text: str | bytes) -> Lifecycle[str, str]: ...
    @overload
    @classmethod
    def from_json(cls, text: str | bytes, *, states: type[NewS], events: type[NewE]) -> Lifecycle[NewS, NewE]: ...
    @classmethod
    def from_json(cls, text: str | bytes, *, states: type[Any] = str, events: type[Any] = str) -> Lifecycle[Any, Any]:
        """Read a declaration from JSON.

        Args:
            text: the declaration.
            states, events: the enumerations of its names; they stay text if omitted.
        Raises:
            DefinitionError: the text is not JSON or longer than 5 MB, the declaration is not sound, or a name is not in
                its enumeration.
            TypeError: `text` is neither a text nor bytes, or `states` or `events` is not a class of texts.
        """
        return lifecycle_in(read_json(text), states, events)

    @overload
    @classmethod
    def from_yaml(cls, text: str | bytes) -> Lifecycle[str, str]: ...
    @overload
    @classmethod
    def from_yaml(cls, text: str | bytes, *, states: type[NewS], events: type[NewE]) -> Lifecycle[NewS, NewE]: ...
    @classmethod
    def from_yaml(cls, text: str | bytes, *, states: type[Any] = str, events: type[Any] = str) -> Lifecycle[Any, Any]:
        """Read a declaration from YAML.

        Args:
            text: the declaration.
            states, events: the enumerations of its names; they stay text if omitted.
        Raises:
            DefinitionError: the text is not YAML or longer than 5 MB, the declaration is not sound, or a name is not in
                its enumeration.
            TypeError: `text` is neither a text nor bytes, or `states` or `events` is not a class of texts.
            MissingExtra: the extra `yaml` is not installed.
        """
        return lifecycle_in(read_yaml(text), states, events)

    @overload
    @classmethod
    def from_file(cls, path: str | FilePath) -> Lifecycle[str, str]: ...
    @overload
    @classmethod
    def from_file(cls, path: str | FilePath, *, states: type[NewS], events: type[NewE]) -> Lifecycle[NewS, NewE]: ...
    @classmethod
    def from_file(
        cls, path: str | FilePath, *, states: type[Any] = str, events: type[Any] = str
    ) -> Lifecycle[Any, Any]:
        """Read a declaration from a file: YAML if its name ends in .yaml or .yml, otherwise JSON.

        Args:
            path: the file.
            states, events: the enumerations of its names; they stay text if omitted.
        Raises:
            DefinitionError: the file is not JSON or YAML, the declaration is not sound, or a name is not in its
                enumeration.
            TypeError: `states` or `events` is not a class of texts.
            MissingExtra: the file is YAML, and the extra `yaml` is not installed.
            OSError: the file cannot be read, or is a device.
        """
        return lifecycle_in(read_file(path), states, events)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the declaration as JSON text; reading it back gives an equal lifecycle.

        Characters that cannot be seen, such as those that change the direction of writing, are escaped.

        Args:
            indent: the number of spaces for each level, 0 to 100; None for one line.
        Raises:
            TypeError: `indent` is neither an integer nor None.
            ValueError: it is out of range.
        """
        given: Any = indent
        if given is not None:
            if not isinstance(given, int) or isinstance(given, bool):
                raise TypeError(f"indent must be an integer or None, not {shortened(given)}")
            if not 0 <= given <= _MOST_INDENT:
                raise ValueError(f"indent must be 0 to {_MOST_INDENT}")
        return escaped(self.declaration.model_dump_json(indent=indent, exclude_defaults=True))

    def to_yaml(self) -> str:
        """Return the declaration as YAML text; reading it back gives an equal lifecycle.

        If it has characters that cannot be seen, all that are not ASCII are escaped.

        Raises MissingExtra if the extra `yaml` is not installed.
        """
        document = self.declaration.model_dump(mode="json", exclude_defaults=True)
        # Some of them are line breaks, which PyYAML writes unchanged and reads back as others.
        written = self.declaration.model_dump_json(exclude_defaults=True)
        readable = escaped(written) == written
        return str(require_yaml().safe_dump(document, sort_keys=False, allow_unicode=readable))

    @staticmethod
    def json_schema(*, states: type[Any] | None = None, events: type[Any] | None = None) -> dict[str, Any]:
        """Return a JSON Schema of declarations, for editors to complete and check JSON and YAML files.

        Args:
            states, events: the enumerations whose names may occur; any text may if omitted.
        Raises:
            TypeError: one is not a class of texts.
        """
        _require_enumerations(states, events)
        return for_editors(_declaration_of(states, events).model_json_schema(), "Lifecycle")

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self.declaration, name) for name in Declaration.model_fields}

    def diagram(self, *, current: S | None = None) -> Diagram:
        """Return the model of its picture, with the state `current` marked if given.

        The functions of `lifecycle.diagram` write it as Mermaid, DOT, PlantUML or Markdown, those of
        `lifecycle_adapters.render` as SVG or PNG.

        Raises:
            UnknownName: `current` is not a state of this lifecycle.
        """
        if current is not None:
            self.state(current)
        from lifecycle.diagram.model import diagram_of  # to import it takes a tenth of the time of `import lifecycle`

        return diagram_of(self.declaration, current)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 (Jupyter's)
        """Return its picture for a notebook, which shows Mermaid."""
        from lifecycle.diagram import to_mermaid

        picture = to_mermaid(self.diagram())
        return {"text/plain": repr(self), "text/markdown": f"```mermaid\n{picture}```", "text/vnd.mermaid": picture}

    def __repr__(self) -> str:
        if not hasattr(self, "_declaration"):
            return not_made(self)
        counts = f"{len(self.states)} states, {len(self.events)} events, {len(self.transitions)} transitions"
        return f"<{type(self).__name__} {self.name!r}: {counts}>"

    def __eq__(self, other: object) -> bool:
        return self.declaration == other.declaration if _is_lifecycle(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.transitions))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._parts(),)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema by which a pydantic field accepts a lifecycle, or a declaration as in JSON."""
        types = get_args(source)
        declaration = handler.generate_schema(_declaration_of(*types))

        def made(value: Any, parse: Callable[[Any], Declaration[Any, Any]]) -> Lifecycle[Any, Any]:
            if _is_lifecycle(value):
                if not types:
                    return value
                value = value._parts()  # its names are converted to this field's enumerations
            try:
                return Lifecycle.from_declaration(parse(value))
            except ValidationError as error:
                rest = [
                    InitErrorDetails(
                        type="value_error", loc=each.path, input=value, ctx={"error": ValueError(str(each))}
                    )
                    for each in limited(_findings_in_the_rest(value, error.errors()))
                ]
                raise ValidationError.from_exception_data(error.title, details_of(error) + rest) from None

        def dumped(lifecycle: Lifecycle[Any, Any]) -> Declaration[Any, Any]:
            return lifecycle.declaration

        serialization = core_schema.plain_serializer_function_ser_schema(dumped, return_schema=declaration)
        return core_schema.no_info_wrap_validator_function(made, declaration, serialization=serialization)


def _is_lifecycle(value: object) -> TypeGuard[Lifecycle[Any, Any]]:
    return isinstance(value, Lifecycle)


def _unpickled(parts: Mapping[str, Any]) -> Lifecycle[Any, Any]:
    return Lifecycle[Any, Any](**parts)


def _as_given(parts: Any) -> Any:
    """Return a tuple of the parts; a value that is not iterable stays, so that parsing reports it by name."""
    given: Any = parts
    can_be_iterated = isinstance(parts, Iterable) and not isinstance(parts, str | bytes | Mapping)
    return tuple(given) if can_be_iterated else given


def _declaration_of(states: type[Any] | None = None, events: type[Any] | None = None) -> type[Declaration[Any, Any]]:
    """Return the model of declarations with these enumerations."""
    if states is None and events is None:
        return Declaration
    return cast("type[Declaration[Any, Any]]", Declaration.__class_getitem__((states or str, events or str)))


_MOST_INDENT = 100  # spaces
_MADE = {"states": "State('running')", "transitions": "Transition('running', 'stop', 'stopped')"}


def _parts_of(name: str, given: Any, kinds: Any) -> Iterator[Any]:
    """Yield the parts that are given. Raises TypeError unless they are several of these kinds."""
    for each in require_iterable(given, name):
        if not isinstance(each, kinds):
            raise TypeError(f"{name} must be objects such as {_MADE[name]}, not {shortened(each)}")
        yield each


def _require_enumerations(states: Any, events: Any) -> None:
    """Raise TypeError unless both are classes of texts, or None."""
    for name, given in {"states": states, "events": events}.items():
        if given is not None and not (isinstance(given, type) and issubclass(given, str)):
            raise TypeError(f"{name} must be a class of texts, such as V1State, not {shortened(cast(object, given))}")


def _parsed(data: Any, kind: type[Declaration[Any, Any]]) -> Declaration[Any, Any]:
    """Parse `data` as a declaration.

    Raises DefinitionError if it is not well-formed, with the findings in the rest that do not depend on that.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        errors = error.errors()

    def findings() -> Iterator[DefinitionFinding]:
        yield from (bad_value(each, kind) for each in errors)
        yield from _findings_in_the_rest(data, errors)

    # Not `from error`: it adds no facts, and printing it would print the whole document.
    raise DefinitionError(name_in(data), limited(findings()))


def _findings_in_the_rest(data: Any, errors: Iterable[ErrorDetails]) -> Iterator[DefinitionFinding]:
    """Yield the findings in what could be read of a declaration, given pydantic's errors about the other parts."""
    return validate(partial_declaration(data, [each["loc"] for each in errors]))


def read_file(path: str | FilePath) -> Document:
    """Read a file: YAML if its name ends in .yaml or .yml, otherwise JSON.

    Raises:
        DefinitionError: the file is not JSON or YAML, or is longer than 5 MB.
        MissingExtra: the file is YAML, and the extra `yaml` is not installed.
        OSError: the file cannot be read, or is a device.
        TypeError: `path` is neither text nor a Path.
    """
    given: Any = path
    if not isinstance(given, str | FilePath):
        raise TypeError(f"a file is named by a text or a Path, not by {shortened(given)}")
    path = FilePath(path)
    if path.is_char_device() or path.is_block_device():
        raise OSError(f"{path} is a device, which may never end; give a file or a pipe")
    read = read_yaml if path.suffix.lower() in (".yaml", ".yml") else read_json
    content = path.read_bytes()
    try:
        return replace(read(content), source=str(path))
    except DefinitionError as error:
        findings = error.findings
        if read is read_json and path.suffix.lower() != ".json":
            hint = "; a file is read as YAML if its name ends in .yaml or .yml"
            findings = tuple(replace(each, message=each.message + hint) for each in findings)
        raise DefinitionError(str(path), findings, kind=error.kind) from None


def lifecycle_in(document: Document, states: type[Any] = str, events: type[Any] = str) -> Lifecycle[Any, Any]:
    """Return the lifecycle that a document declares. Raises DefinitionError, whose findings have their lines."""

    def made(value: Any) -> Lifecycle[Any, Any]:
        return Lifecycle.from_declaration(value, states=states, events=events)

    return made_from(document, made, kind="lifecycle")


def _statuses_by_channel(lifecycle: Declaration[S, E]) -> dict[str, dict[str, S]]:
    own = {str(state.name): state.name for state in lifecycle.states}
    statuses = {str(channel): dict(own) for channel in Channel}
    for alias in lifecycle.aliases:
        statuses.setdefault(alias.channel, dict(own))[alias.status] = alias.state
    return statuses
