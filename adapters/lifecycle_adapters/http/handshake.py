"""The calls that come before a client's first request, as in MCP. Pure: handshakes.py carries them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from pydantic import Field, JsonValue

from lifecycle.declaration import Path, StrictText
from lifecycle_adapters.http.authentication import HEADER_NAME
from lifecycle_adapters.http.call import CALL, Call, Code
from lifecycle_adapters.http.declared import Declared, Mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake(Declared):
    """The calls that come before a client's first request, and the header that its later requests repeat.

    A client never ends the session, because its tasks outlive it.

    Attributes:
        begin: the first call.
        expected: what its response must have; an object may have more fields.
        confirm: the call that follows it, None if there is none.
        header: the header of its response that every later request repeats. If it has none, no request has one;
            its value must be visible ASCII, 0x21 to 0x7E, as MCP requires.
        ended_code: the status code of a response to a request whose header is no longer valid. The request was not
            carried out; the client makes the handshake again before it repeats it. 404 is for a service whose
            responses have an envelope: there it does not say that there is no such task.

    Raises:
        DefinitionError: a field has a wrong type; a call takes fields, is about a task or says where a status is; or
            `header` cannot be a header's name.
    """

    begin: Annotated[Call, Field(description=CALL)]
    expected: Annotated[
        Mapping[StrictText, JsonValue], Field(description="a mapping of text to JSON, such as {'version': '2'}")
    ] = field(default_factory=dict[str, JsonValue])
    confirm: Annotated[Call | None, Field(description=f"{CALL}, or None")] = None
    header: Annotated[StrictText, Field(description="the name of a header, such as 'Mcp-Session-Id'")]
    ended_code: Annotated[Code, Field(description="a status code, such as 404")] = 404

    def __post_init__(self) -> None:
        self._examine("handshake", str(self.header))

    def _mistakes(self) -> Iterator[Mistake]:
        for path, call in self.calls().items():
            if call.names_a_task() or call.status_field is not None or call.id_field is not None:
                yield path, "must be about no task: there is none yet"
            if call.required_fields or call.has_idempotency_key() or call.has_etag():
                yield path, "must take nothing of the caller's: no command needs it"
        if not HEADER_NAME.fullmatch(self.header):
            yield ("header",), f"{self.header!r} cannot be a header's name: give one like 'Mcp-Session-Id'"
        if not 400 <= self.ended_code <= 499:
            yield ("ended_code",), f"{self.ended_code} refuses no request: give one from 400 to 499"

    def calls(self) -> dict[Path, Call]:
        """Return its calls, each with its path in the handshake."""
        confirm: dict[Path, Call] = {} if self.confirm is None else {("confirm",): self.confirm}
        return {("begin",): self.begin, **confirm}

    def is_met_by(self, document: Any) -> bool:
        """Return whether the response to the first call has what is expected."""
        return _has(document, self.expected)


def _has(value: Any, expected: Any) -> bool:
    if not isinstance(expected, dict):
        is_boolean = isinstance(value, bool) is isinstance(expected, bool)  # True equals 1, and is not the same
        return is_boolean and bool(value == expected)
    fields = cast("dict[str, Any]", expected)
    return isinstance(value, dict) and all(name in value and _has(value[name], each) for name, each in fields.items())
