"""The envelope of an emulated service: which bodies are requests, and what is around the documents of responses.

Pure. Everything follows from the binding. The create's body says what each request has at its top: of JSON-RPC the
version, the id, the method and the object of parameters. A body without the id is a notification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from lifecycle_adapters.emulator.calls import fits, named_calls
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.envelope import Envelope
from lifecycle_adapters.http.requests import PLACEHOLDER, REQUEST_ID
from lifecycle_adapters.http.responses import placed, value_at


class EmulatedEnvelope:
    """The envelope of one service.

    Args:
        envelope, binding: the binding, and the envelope that it has.
        streaming: the profile's texts that stand for others at the top of a body.
        omits_unread: whether a response leaves out what could not be read of its request, instead of a null.
    """

    def __init__(
        self, envelope: Envelope, binding: HttpBinding[Any, Any], *, streaming: Mapping[str, str], omits_unread: bool
    ) -> None:
        self._envelope = envelope
        self._error_field = binding.error_field
        self._top = binding.create.body or {}
        self._place = binding.create.method, binding.base_path + binding.create.path
        self._calls = [constants(call.body) for call in named_calls(binding).values() if call.body]
        self._streaming = streaming
        self._omits_unread = omits_unread

    def is_around(self, method: str, path: str) -> bool:
        """Return whether a request to this place must be in the envelope, too: where a response repeats its fields."""
        return bool(self._envelope.repeated_fields) and (method, path) == self._place

    def mistake(self, body: Any) -> str | None:
        """Return why a body is neither a request nor a notification; None if it is one of them."""
        if not isinstance(body, dict):
            return "must be one object"
        sent = cast("dict[str, Any]", body)
        for name, template in self._top.items():
            if template == REQUEST_ID:
                if name in sent and not fits(template, sent[name]):
                    return f"{name} must be text or an integer"
            elif name in self._envelope.repeated_fields:
                if not fits(template, sent.get(name)):
                    return f"{name} must be {template!r}"
            elif isinstance(template, str) and not isinstance(sent.get(name), str):
                return f"{name} must be text"
            elif isinstance(template, dict) and not isinstance(sent.get(name, {}), dict):
                return f"{name} must be an object"
        return None

    def is_notification(self, body: Mapping[str, Any]) -> bool:
        """Return whether a body has no id, so that it must get no response."""
        return any(template == REQUEST_ID and name not in body for name, template in self._top.items())

    def unknown_text(self, body: Mapping[str, Any]) -> str | None:
        """Return the text at the top of a body, such as its method, if no call has it."""
        sent = {name: self._streaming.get(value, value) for name, value in _texts(body).items()}
        if any(call.items() <= sent.items() for call in self._calls):
            return None
        names = (name for name in constants(self._top) if name not in self._envelope.repeated_fields)
        return ", ".join(f"{name} {body.get(name)!r:.80}" for name in names)

    def around(self, document: Any, sent: Any) -> Any:
        """Return a document in the envelope, which responds to the request with the body `sent`."""
        # A task can have an error of its own, among its other fields.
        if not (value_at(document, self._error_field) and len(document) == 1):
            document = placed({}, self._envelope.result_field, document)
        fields = fields_of(sent) | constants(self._top)
        repeated = {name: fields.get(name) for name in self._envelope.repeated_fields}
        read = {name: value for name, value in repeated.items() if fits(self._top.get(name, value), value)}
        return {**({} if self._omits_unread else dict.fromkeys(repeated)), **read, **document}


def fields_of(body: Any) -> dict[str, Any]:
    """Return the fields of a body; none if it is no object."""
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def constants(template: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the texts at the top of a call's body that no request changes."""
    return {name: text for name, text in _texts(template or {}).items() if not PLACEHOLDER.search(text)}


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if isinstance(value, str)}
