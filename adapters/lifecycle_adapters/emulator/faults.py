"""Faults that a test can arm: the calls that they match, and their effects.

A fault is armed for the next n calls that match it; if several match, the one that was armed first is injected.
fault_middleware.py injects them. They are kept in memory only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Annotated, Any, Generic, Protocol, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, StrictStr, WithJsonSchema, model_validator
from pydantic_core import SchemaError, SchemaValidator
from pydantic_core.core_schema import str_schema

from lifecycle.errors import UnknownName
from lifecycle_adapters.emulator.call_log import RecordedCall
from lifecycle_adapters.emulator.calls import Calls
from lifecycle_adapters.emulator.control_models import ControlModel
from lifecycle_adapters.emulator.shapes import WHOLE, Number, PlainId, is_json, utf_8
from lifecycle_adapters.http.authentication import HEADER_NAME, is_header_value

LONGEST_DELAY_S = 3600.0


class FaultKind(StrEnum):
    """The effect of a fault on a call."""

    DELAY = "delay"  # the call waits, then is handled
    DELAY_AFTER = "delay_after"  # the call is handled at once, its response waits
    STATUS = "status"  # the call is not handled, the response is a status code
    DROP_BEFORE = "drop_before"  # the call is not handled, the connection is closed
    DROP_AFTER = "drop_after"  # the call is handled, then the connection is closed without a response
    FAIL_AFTER = "fail_after"  # the call is handled, then the response is a status code (500)


K = TypeVar("K", bound=StrEnum)


def fault_kind(kinds: type[K], kind: str) -> K:
    """Return the kind of fault with this name. Raises UnknownName if there is none."""
    try:
        return kinds(kind)
    except ValueError:
        raise UnknownName("kind of fault", kind, known=kinds, where="emulator") from None


def require_known(kind: str, name: str | None, known: Iterable[str], api: str | None) -> None:
    """Raise UnknownName if a fault could never match because `name` is unknown."""
    known = list(known)
    if name is not None and name not in known:
        raise UnknownName(kind, name, known=known, where="emulator" if api is None else f"emulator, {api}")


@lru_cache(maxsize=1024)
def _searcher(pattern: str) -> SchemaValidator:
    """Return a searcher in linear time: Rust's regular expressions; Python's may take exponential time."""
    return SchemaValidator(str_schema(pattern=pattern))


def _is_pattern(text: str) -> str:
    try:
        _searcher(utf_8(text))
    except SchemaError as error:
        raise ValueError(f"not a regular expression without look-around and back-references: {error}") from None
    return text


_LONGEST_PATTERN = 1000  # characters


Pattern = Annotated[
    StrictStr,
    Field(min_length=1, max_length=_LONGEST_PATTERN),
    AfterValidator(_is_pattern),
    WithJsonSchema({"type": "string", "format": "regex", "minLength": 1, "maxLength": _LONGEST_PATTERN}),
]
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})


def _are_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r:.80} cannot be a header's name: give one like 'Retry-After'")
        if not is_header_value(value):
            raise ValueError(f"no header can carry the value of {name}: give ASCII without control characters")
    framing = [name for name in headers if name.lower() in _FRAMING]
    if framing:
        raise ValueError(f"{', '.join(framing)}: the server sets the headers that delimit a response; omit them")
    return headers


def _is_json(body: JsonValue) -> JsonValue:
    if not is_json(body):  # pydantic takes NaN and infinity for JSON
        raise ValueError("JSON has no NaN, no infinity, no half of a surrogate pair, and here at most a hundred levels")
    return body


_VALUE = r"^([!-~]([ -~]*[!-~])?)?$"
Headers = Annotated[
    dict[StrictStr, StrictStr],
    AfterValidator(_are_headers),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{HEADER_NAME.pattern}$"},
            "additionalProperties": {"type": "string", "pattern": _VALUE},
        }
    ),
]


_OF_RESPONSE = frozenset({"status_code", "headers", "body"})
_USED_BY: dict[FaultKind, frozenset[str]] = {
    FaultKind.DELAY: frozenset({"seconds"}),
    FaultKind.DELAY_AFTER: frozenset({"seconds"}),
    FaultKind.STATUS: _OF_RESPONSE,
    FaultKind.FAIL_AFTER: _OF_RESPONSE,
    FaultKind.DROP_BEFORE: frozenset(),
    FaultKind.DROP_AFTER: frozenset(),
}
"""The fields that say what a fault of a kind does; no other kind has an effect of them."""


WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED})
"""The status codes of responses that have no body."""


def require_effect(fault: ControlModel, kind: K, used_by: Mapping[K, frozenset[str]]) -> None:
    """Raise ValueError if a fault has a field that its kind does not use, or a delay without its length.

    `used_by` are the fields that each kind uses; the fields that no kind lists have an effect with all of them.
    """
    used = used_by[kind]
    unused = frozenset[str]().union(*used_by.values()) - used
    defaults = {name: info.get_default(call_default_factory=True) for name, info in type(fault).model_fields.items()}
    if given := [name for name in defaults if name in unused and getattr(fault, name) != defaults[name]]:
        raise ValueError(f"a fault of the kind {kind} does not use {', '.join(given)}")
    if "seconds" in used and not getattr(fault, "seconds"):  # noqa: B009 (only faults with delays have it)
        raise ValueError(f"a fault of the kind {kind} needs seconds, more than 0")


Text = Annotated[StrictStr, AfterValidator(utf_8)]
Times = Annotated[int, Field(ge=1), WHOLE]
Seconds = Annotated[Number, Field(ge=0, le=LONGEST_DELAY_S)]
SECONDS = f"a number, 0 to {LONGEST_DELAY_S:g}"
KIND = "the name of a kind of fault"
SERVICE = "the name of one of the emulator's services"
TASK = "the id of a task, as text"
TIMES = "a whole number, 1 or more"


class CallFault(ControlModel):
    """A fault and its filter: it matches the calls that agree with every given field.

    `path` is a regular expression (without look-around and back-references) that is searched in the path, `method`
    a method of the API's calls, `call` the name of a call (create, status, details, list, or another one of the
    call log), `command` the name of a command of its lifecycle, `task` the id of a task, which may be created
    later. `times` is the number of calls to inject it into. The two delays need `seconds`, and no other kind takes it.
    Only `status` and `fail_after` take `status_code` (default: 500), `headers` (such as Retry-After, but none that
    delimits the response) and `body`. A body that is a string is sent unchanged, any other as JSON; without a body, a
    `detail` states that a control call injected the fault.
    """

    kind: Annotated[FaultKind, BeforeValidator(partial(fault_kind, FaultKind)), Field(description=KIND)]
    api: Annotated[Text | None, Field(description=SERVICE)] = None
    method: Annotated[Text | None, Field(description="a method of HTTP, such as 'POST'")] = None
    path: Annotated[
        Pattern | None, Field(description=f"a regular expression in text, 1 to {_LONGEST_PATTERN:,} characters")
    ] = None
    call: Annotated[Text | None, Field(description="the name of a call, such as 'details'")] = None
    command: Annotated[Text | None, Field(description="the name of a command, such as 'stop'")] = None
    task: Annotated[PlainId | None, Field(description=TASK)] = None
    times: Annotated[Times, Field(description=TIMES)] = 1
    seconds: Annotated[Seconds, Field(description=SECONDS)] = 0.0
    status_code: Annotated[
        Annotated[int, Field(ge=200, le=599), WHOLE] | None, Field(description="a status code, 200 to 599")
    ] = None
    headers: Annotated[
        Headers,
        Field(
            default_factory=dict[str, str],
            description="a mapping of names to values, both text, such as {'Retry-After': '1'}",
        ),
    ]
    body: Annotated[JsonValue, AfterValidator(_is_json), Field(description="a text, or another value of JSON")] = None

    @model_validator(mode="after")
    def _has_its_effect(self) -> Self:
        require_effect(self, self.kind, _USED_BY)
        if self.status_code in WITHOUT_BODY and self.body is not None:
            raise ValueError(f"a response with the status code {self.status_code} has no body: omit it")
        return self

    def matches(self, call: RecordedCall) -> bool:
        """Return whether the fault matches the call."""
        return (
            self.api in (None, call.api)
            and (self.method is None or self.method.upper() == call.method)
            and (self.path is None or _searcher(self.path).isinstance_python(call.path))
            and self.call in (None, call.call)
            and self.command in (None, call.command)
            and self.task in (None, call.task)
        )


def require_call(calls: Calls, fault: CallFault) -> None:
    """Raise an error if a fault can match none of the calls.

    Raises:
        UnknownName: an API, a call, a command or a method is unknown.
        ValueError: they are those of different calls.
    """
    method = fault.method and fault.method.upper()
    require_known("call", fault.call, calls.names(fault.api), fault.api)
    require_known("command", fault.command, calls.commands(fault.api), fault.api)
    require_known("method", method, calls.methods(fault.api), fault.api)
    if not calls.has_call(api=fault.api, method=method, name=fault.call, command=fault.command):
        raise ValueError("the fault matches nothing: no call has this method, call and command at once")


class Countable(Protocol):
    """A fault that can be armed: of calls in this module, of webhooks in pushed_messages.py."""

    times: int

    def matches(self, subject: Any, /) -> bool:
        """Return whether the fault matches the call or message."""
        ...

    def model_copy(self) -> Self:
        """Return a copy."""
        ...


F = TypeVar("F", bound=Countable)


class Faults(Generic[F]):
    """The armed faults, in the order in which they were armed.

    `require` is called with each fault before it is armed, and raises a ValueError if it could never match.
    """

    def __init__(self, require: Callable[[F], None]) -> None:
        self._armed: list[F] = []
        self._require = require

    def arm(self, fault: F) -> None:
        """Arm a fault. Raises ValueError, also an UnknownName, if it could never match."""
        self._require(fault)
        self._armed.append(fault.model_copy())

    def pop(self, subject: Any) -> F | None:
        """Return the first fault that matches the call or message, or None, and decrement its count."""
        for fault in self._armed:
            if fault.matches(subject):
                fault.times -= 1
                if fault.times == 0:
                    self._armed.remove(fault)
                return fault
        return None

    def armed(self) -> list[F]:
        """Return the armed faults, each with the number of times that remain."""
        return [fault.model_copy() for fault in self._armed]

    def clear(self) -> None:
        """Disarm every fault."""
        self._armed.clear()
