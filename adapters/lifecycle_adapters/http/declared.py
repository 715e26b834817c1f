"""The examination of a part of a binding when it is made: the types of its fields, then the rules of its class.

Pydantic checks the types; the description of a field is the text of its finding, and of the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar, cast, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from lifecycle.declaration import Path, StrictText
from lifecycle.errors import DefinitionError, DefinitionFinding, described, text_of
from lifecycle.findings import bad_value, name_in
from lifecycle.partial import as_far_as_known, partial_part
from lifecycle.validation import limited, path_text

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
    elif path is not None and path.count(".") >= _MOST_PARTS:  # Python could not place a value so deep
        yield where, f"must have at most {_MOST_PARTS} parts, and has {path.count('.') + 1:,}"


_MOST_PARTS = 100


def imported(value: Any) -> Any:
    """Return the function that `module:function` names; other values as they are. Raises ValueError."""
    if not isinstance(value, str):
        return value
    module, colon, name = value.partition(":")
    if not (module and colon and name):
        raise ValueError(f"must be like 'module:function', not {value!r:.80}")
    try:
        found = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a module does when it is imported)
        reason = f"cannot be imported from {value!r:.80}: {type(error).__name__}: {text_of(error)}"[:LONGEST_REASON]
        raise ValueError(reason + where_to_import_from(module, error)) from None
    if not callable(found):
        what = f"must name a function, and {value!r:.80} is a {type(found).__name__}"
        raise ValueError(what)  # noqa: TRY004 (pydantic catches no TypeError)
    return found


def where_to_import_from(module: str, error: BaseException) -> str:
    """Return the end of a message that says where modules are searched, "" if this one was found."""
    is_missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
    return "; if it is a file of yours, add its folder to PYTHONPATH" if is_missing else ""


class Declared:
    """A dataclass that is examined when it is made. Its `__post_init__` calls `_examine`."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def _mistakes(self) -> Iterator[Mistake]:
        """Yield the mistakes in fields that are of the right types."""
        raise NotImplementedError

    def _examine(self, kind: str, name: str) -> None:
        """Raise DefinitionError unless every field is of its type and there are no mistakes; it has all findings.

        Pydantic converts the fields: a list becomes a tuple. Mappings, and lists in a mapping, become copies that
        cannot be changed.

        Args:
            kind, name: its kind and its name in messages.
        """
        part: Any = type(self)  # to mypy a class is not hashable
        model, wanted = _model_of(part)
        values = {name: getattr(self, name) for name in wanted}
        try:
            checked = model.model_validate(values)
        except ValidationError as error:
            errors = error.errors()
            findings = [each for one in errors for each in findings_of(one, type(self), wanted[one["loc"][0]])]
            findings += self._findings_in_the_rest(values, errors)
        else:
            for field in wanted:
                object.__setattr__(self, field, _frozen(getattr(checked, field)))
            findings = list(_as_findings(self._mistakes()))
        if findings:
            raise DefinitionError(name, limited(findings), kind=kind)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner: Any = dict(handler(source))
        # Pydantic finds the schema of a class that occurs again by `ref`: that must be this one, not the one in it.
        ref = None if inner["type"] == "definition-ref" else inner.pop("ref")
        return core_schema.no_info_wrap_validator_function(cls._from_mapping, inner, ref=ref)

    @classmethod
    def _from_mapping(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        """Make a part from its fields by name. Raises DefinitionError, which has all findings."""
        try:
            return check(value)
        except ValidationError as error:
            errors = error.errors()
            if not (isinstance(value, dict) and all(each["loc"] for each in errors)):
                raise  # it is not a mapping of fields, or was examined when it was made
            given = cast("dict[str, Any]", value)
        findings = [finding for each in errors for finding in findings_of(each, cls)]
        findings += cls._findings_in_the_rest(given, errors)
        raise DefinitionError(name_in(given), limited(findings))

    @classmethod
    def _findings_in_the_rest(cls, given: Mapping[str, Any], errors: Iterable[Any]) -> Iterator[DefinitionFinding]:
        """Yield the findings about the fields without errors, as far as they do not depend on a broken field."""
        known = partial_part(cls, given, [each["loc"] for each in errors])
        return _as_findings(as_far_as_known(cls._mistakes(known)))


class OfGeneric:
    """Annotates a field of a generic part: pydantic does not ask `HttpBinding[Any, Any]` itself for its schema."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kind: type[Declared] = get_origin(source)
        return kind.__get_pydantic_core_schema__(source, handler)


def _as_findings(mistakes: Iterable[Mistake]) -> Iterator[DefinitionFinding]:
    return (DefinitionFinding("bad_value", path_text(path), message, path) for path, message in mistakes)


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
            where = f"{path_text(path)}.{finding.where}" if path else finding.where
            yield DefinitionFinding(finding.code, where, finding.message, (*path, *finding.path))
    elif wanted is None or len(path) > 1 or error["type"] == "value_error":
        yield bad_value(error, kind)
    else:
        message = f"must be {wanted}, not {described(error['input'])}"
        yield DefinitionFinding("bad_value", path_text(path), message, path)


def parse(kind: type[T], value: Any, what: str) -> T:
    """Return the part that a JSON value declares. Raises DefinitionError, which calls the part `what`."""
    adapter: TypeAdapter[T] = _adapter_of(cast("Any", kind))  # to mypy a class is not hashable
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        findings = (finding for each in error.errors() for finding in findings_of(each, kind))
        raise DefinitionError(name_in(value), limited(findings), kind=what) from None


@cache  # to build one takes much longer than to parse with it
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    whole: Any = kind if get_origin(kind) is None else Annotated[kind, OfGeneric]
    return TypeAdapter(whole)


@cache
def _model_of(kind: Any) -> tuple[type[BaseModel], dict[Any, str]]:
    """Return a model with the fields of a class, and the description of each."""
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    definitions: Any = {name: (hints[name], ...) for name in names}
    return create_model(kind.__name__, **definitions), {name: _description(hints[name]) for name in names}


def _description(hint: Any) -> str:
    return next(each.description or "" for each in hint.__metadata__ if isinstance(each, FieldInfo))
