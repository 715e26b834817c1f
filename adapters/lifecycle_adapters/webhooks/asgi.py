"""The parts of ASGI that the receiver needs: read a body up to a limit, respond, and confirm start-up and shutdown."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from lifecycle_adapters.webhooks.signatures import SECONDS
from lifecycle_adapters.webhooks.webhook_errors import BodyTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def read(headers: Mapping[str, str], receive: Receive, max_bytes: int) -> bytes | None:
    """Return the body, or None if the sender disconnected. Raises BodyTooLarge before it reads the rest."""
    announced = headers.get("content-length", "")
    if SECONDS.fullmatch(announced) and int(announced) > max_bytes:
        raise BodyTooLarge(max_bytes)
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > max_bytes:
            raise BodyTooLarge(max_bytes)
        if not message.get("more_body", False):
            return body


async def respond(send: Send, status_code: int, headers: Mapping[str, str] | None = None) -> None:
    """Respond with the status code and its phrase as JSON."""
    content = json.dumps({"detail": HTTPStatus(status_code).phrase}).encode()
    every = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]
    with suppress(OSError):  # some servers raise it if the sender has disconnected
        await send({"type": "http.response.start", "status": status_code, "headers": encoded})
        await send({"type": "http.response.body", "body": content})


async def confirm_lifespan(receive: Receive, send: Send) -> None:
    """Confirm start-up and shutdown; there is nothing to open or close, because the caller owns the journal."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
