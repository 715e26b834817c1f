"""Faults that can be asked for: which calls they wait for, and what happens to those.

A fault is armed for the next n calls that match it; among several, the one armed first is played.
fault_middleware.py plays them. In memory only.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Generic, Protocol, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import SchemaError, SchemaValidator
from pydantic_core.core_schema import str_schema

from lifecycle.errors import UnknownName
from lifecycle_adapters.emulator.call_log import RecordedCall
from lifecycle_adapters.emulator.calls import BINDINGS, commands, methods
from lifecycle_adapters.emulator.shapes import WHOLE, Number, enumeration

LONGEST_DELAY_S = 3600.0


class FaultKind(StrEnum):
    """What happens to a call."""

    DELAY = "delay"  # it waits, then is handled
    DELAY_AFTER = "delay_after"  # it is handled at once, the answer waits
    STATUS = "status"  # it is answered with a status code and not handled
    DROP_BEFORE = "drop_before"  # the connection is closed, the change is not made
    DROP_AFTER = "drop_after"  # the change is made, then the connection is closed without an answer
    FAIL_AFTER = "fail_after"  # the change is made, then it is answered with a status code (500)


K = TypeVar("K", bound=StrEnum)


def fault_kind(kinds: type[K], kind: str) -> K:
    """Return the kind of fault of that name. Raises UnknownName."""
    try:
        return kinds(kind)
    except ValueError:
        raise UnknownName("kind of fault", kind, known=kinds, where="emulator") from None


def require_known(kind: str, name: str | None, known: Iterable[str], api: str | None) -> None:
    """Raise UnknownName of what a fault would wait for in vain."""
    known = list(known)
    if name is not None and name not in known:
        raise UnknownName(kind, name, known=known, where="emulator" if api is None else f"emulator, {api}")


@lru_cache(maxsize=1024)
def _searching(pattern: str) -> SchemaValidator:
    """What searches for a pattern in time that grows with the text alone: Rust's regular expressions, not Python's."""
    return SchemaValidator(str_schema(pattern=pattern))


def _is_pattern(text: str) -> str:
    try:
        _searching(text)
    except SchemaError as error:
        raise ValueError(f"not a regular expression without look-around and back-references: {error}") from None
    return text


_LONGEST_PATTERN = 1000  # characters


Api = Annotated[str, enumeration("Api", (binding.name for binding in BINDINGS))]
Pattern = Annotated[
    str,
    Field(max_length=_LONGEST_PATTERN),
    AfterValidator(_is_pattern),
    WithJsonSchema({"type": "string", "format": "regex", "maxLength": _LONGEST_PATTERN}),
]
Command = Annotated[str, WithJsonSchema({"type": "string", "enum": commands()})]
Method = Annotated[str, WithJsonSchema({"type": "string", "enum": methods()})]
_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})


def _leaves_framing(headers: dict[str, str]) -> dict[str, str]:
    framing = [name for name in headers if name.lower() in _FRAMING]
    if framing:
        raise ValueError(f"{', '.join(framing)}: where an answer ends is the server's to say; leave it out")
    return headers


_VALUE = r"^([!-~]([ -~]*[!-~])?)?$"
Headers = Annotated[
    dict[Annotated[str, Field(pattern=_NAME)], Annotated[str, Field(pattern=_VALUE)]],
    AfterValidator(_leaves_framing),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {"type": "string", "pattern": _VALUE},
        }
    ),
]


class CallFault(BaseModel):
    """A fault, and the calls that it waits for: those that match every field that is given.

    `path` is a regular expression (without look-around and back-references) that is searched in the path,
    `method` one that calls of the API have, `command` the name of one of its lifecycle's commands, `task` the id of
    a task, which may be made later. `seconds` is for the two delays.
    `status_code`, `headers` (such as Retry-After, none that says where the answer ends) and `body` are for `status`
    and `fail_after`; a body that is a text is sent as it is, anything else as JSON, and without one a `detail` says
    that the emulator was asked to.
    """

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    api: Api | None = None
    method: Method | None = None
    path: Pattern | None = None
    command: Command | None = None
    task: str | None = None
    times: Annotated[int, Field(ge=1), WHOLE] = 1
    seconds: Annotated[Number, Field(ge=0, le=LONGEST_DELAY_S)] = 0.0
    status_code: Annotated[int, Field(ge=200, le=599), WHOLE] = 500
    headers: Headers = {}
    body: Any = None

    @model_validator(mode="after")
    def _require_calls(self) -> Self:
        require_known("command", self.command, commands(self.api), self.api)
        require_known("method", self.method and self.method.upper(), methods(self.api), self.api)
        return self

    def matches(self, call: RecordedCall) -> bool:
        """Whether it waits for this call."""
        return (
            self.api in (None, call.api)
            and (self.method is None or self.method.upper() == call.method)
            and (self.path is None or _searching(self.path).isinstance_python(call.path))
            and self.command in (None, call.command)
            and self.task in (None, call.task)
        )


class Countable(Protocol):
    """What can be armed: a fault of calls here, one of webhooks in webhook_sender.py."""

    times: int

    def matches(self, seen: Any, /) -> bool:
        """Whether it waits for this."""
        ...

    def model_copy(self) -> Self:
        """Return a copy."""
        ...


F = TypeVar("F", bound=Countable)


class Faults(Generic[F]):
    """The faults that are armed, in the order in which they were."""

    def __init__(self) -> None:
        self._armed: list[F] = []

    def arm(self, fault: F) -> None:
        """Add a fault."""
        self._armed.append(fault.model_copy())

    def take(self, seen: Any) -> F | None:
        """Return the fault to play for this call or message, if any, and count it down."""
        for fault in self._armed:
            if fault.matches(seen):
                fault.times -= 1
                if fault.times == 0:
                    self._armed.remove(fault)
                return fault
        return None

    def armed(self) -> list[F]:
        """Return what is still armed, each with the number of times that are left."""
        return [fault.model_copy() for fault in self._armed]

    def clear(self) -> None:
        """Disarm every fault."""
        self._armed.clear()
