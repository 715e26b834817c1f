"""The examination of a part of a binding when it is made: the types of its fields, then the rules of its class.

Pydantic checks the types; the description of a field is the text of its finding, and of the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

from lifecycle.declaration import Path, StrictText
from lifecycle.errors import DefinitionError, DefinitionFinding, text_of
from lifecycle.findings import bad_value, name_in
from lifecycle.validation import limited, path_text
from lifecycle_adapters.argument_checks import described

T = TypeVar("T")

LONGEST_REASON = 300  # characters of a foreign error

Mistake = tuple[Path, str]
"""The path of a mistake in a part, and a sentence about it."""

FieldPath = Annotated[StrictText, Field(description="a field or a path, as text such as 'status.state'")]
OptionalPath = Annotated[
    StrictText | None, Field(description="a field or a path, as text such as 'status.state', or None")
]
Texts = Mapping[StrictText, StrictText]
TEXTS = "a mapping of text to text, such as {'action': 'stop'}"


def wrong_path(where: Path, path: str | None, *, may_be_whole: bool = False) -> Iterator[Mistake]:
    """Yield the mistakes in the path of a field; None names no field."""
    if path is not None and not (may_be_whole and path == "") and "" in path.split("."):
        yield where, f"must be a field or a path such as 'status.state', without an empty part, not {path!r}"
    elif path is not None and not path.isprintable():
        yield where, f"must be printable, without control characters, not {path!r}"


def imported(value: Any) -> Any:
    """Return the function that `module:function` names; other values as they are. Raises ValueError."""
    if not isinstance(value, str):
        return value
    module, colon, name = value.partition(":")
    if not (module and colon and name):
        raise ValueError(f"must be like 'mine.printer:status_of', not {value!r:.80}")
    try:
        return getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a module does when it is imported)
        raise ValueError(
            f"cannot be imported from {value!r:.80}: {type(error).__name__}: {text_of(error)}"[:LONGEST_REASON]
        ) from None


class Declared:
    """A dataclass that is examined when it is made. Its `__post_init__` calls `examine`."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def examine(part: Declared, kind: str, name: str, mistakes: Callable[[], Iterable[Mistake]]) -> None:
    """Raise DefinitionError unless every field is of its type and there are no mistakes; it has all findings.

    Args:
        part: the part to examine. Pydantic converts its fields: a list becomes a tuple. Mappings, and lists in a
            mapping, become copies that cannot be changed.
        kind, name: its kind and its name in messages.
        mistakes: called if the types are right.
    """
    findings = _wrong_types(part)
    if not findings:
        findings = [DefinitionFinding("bad_value", path_text(path), message, path) for path, message in mistakes()]
    if findings:
        raise DefinitionError(name, limited(findings), kind=kind)


def _wrong_types(part: Declared) -> list[DefinitionFinding]:
    kind: Any = type(part)
    model, wanted = _model_of(kind)
    try:
        checked = model.model_validate({name: getattr(part, name) for name in wanted})
    except ValidationError as error:
        return [finding for each in error.errors() for finding in findings_of(each, kind, wanted[each["loc"][0]])]
    for name in wanted:
        object.__setattr__(part, name, _frozen(getattr(checked, name)))
    return []


def _raise_type_error(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("a checked declaration cannot be changed: make a changed copy with `dataclasses.replace`")


_refuse: Any = _raise_type_error


class _FrozenDict(dict[Any, Any]):
    """A dict that cannot be changed. Unlike a MappingProxyType it can be pickled, copied and written as JSON."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class _FrozenList(list[Any]):
    """A list that cannot be changed. Unlike a tuple it is a list of JSON to pydantic, and equals one."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = pop = _refuse
    remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


def _frozen(value: Any) -> Any:
    """Return a JSON value or a mapping of parts as a copy that cannot be changed."""
    if isinstance(value, Mapping):
        return _FrozenDict({key: _frozen(each) for key, each in cast("Any", value).items()})
    return _FrozenList(map(_frozen, cast("Any", value))) if isinstance(value, list) else value


def findings_of(error: Any, kind: Any, wanted: str | None = None) -> Iterator[DefinitionFinding]:
    """Yield the findings for one of pydantic's errors about a part of this kind, in a field that should be `wanted`."""
    raised, path = error.get("ctx", {}).get("error"), error["loc"]
    if isinstance(raised, DefinitionError):  # of a part that was given as a mapping
        for finding in raised.findings:
            where = path_text((*path, finding.where))
            yield DefinitionFinding(finding.code, where, finding.message, (*path, *finding.path))
    elif wanted is None or len(path) > 1 or error["type"] == "value_error":
        yield bad_value(error, kind)
    else:
        message = f"must be {wanted}, not {described(error['input'])}"
        yield DefinitionFinding("bad_value", path_text(path), message, path)


def parse(kind: type[T], value: Any, what: str) -> T:
    """Return the part that a JSON value declares. Raises DefinitionError, which calls the part `what`."""
    adapter: TypeAdapter[T] = _adapter_of(cast("Any", kind))  # to mypy a class is not hashable
    return parsed_as(kind, value, adapter.validate_python, what)


def parsed_as(kind: type[Any], value: Any, parse: Callable[[Any], T], what: str = "lifecycle") -> T:
    """Call `parse` with a value that declares a part of this kind. Raises DefinitionError, which calls it `what`."""
    try:
        return parse(value)
    except ValidationError as error:
        findings = (finding for each in error.errors() for finding in findings_of(each, kind))
        raise DefinitionError(name_in(value), limited(findings), kind=what) from None


@cache  # to build one takes much longer than to parse with it
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _model_of(kind: Any) -> tuple[type[BaseModel], dict[Any, str]]:
    """Return a model with the fields of a class, and the description of each."""
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    definitions: Any = {name: (hints[name], ...) for name in names}
    return create_model(kind.__name__, **definitions), {name: _description(hints[name]) for name in names}


def _description(hint: Any) -> str:
    return next(each.description or "" for each in hint.__metadata__ if isinstance(each, FieldInfo))
