"""ASGI middleware before the service: it records every call and injects the armed faults.

The services do not know of faults. Requests outside the APIs (control calls, the OpenAPI document)
pass through unrecorded.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lifecycle.errors import AdapterError
from lifecycle_adapters.emulator.call_log import HIDDEN, RECEIVED, CallLog, ReceivedCall, RecordedCall
from lifecycle_adapters.emulator.calls import Calls
from lifecycle_adapters.emulator.faults import WITHOUT_BODY, CallFault, FaultKind, Faults
from lifecycle_adapters.emulator.routing import own_path, segment
from lifecycle_adapters.emulator.shapes import document_of
from lifecycle_adapters.emulator.task_store import EmulatedClock

MOST_BODY_BYTES = 10_000_000
"""The most bytes in the body of a request. A larger one is refused with 413, and is not in the call log."""

_SECRET = re.compile("auth|cookie|credential|key|password|secret|signature|token")  # in the name of a header
_NOT_HANDLED = frozenset({FaultKind.STATUS, FaultKind.DROP_BEFORE})
_DROPPED = frozenset({FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER})
_REPLACED = frozenset({FaultKind.STATUS, FaultKind.FAIL_AFTER})


class ConnectionDropped(AdapterError):
    """The connection was dropped. A caller sees this error only under a test client, which has no connection."""


class FaultMiddleware:
    """An ASGI application that passes calls to the service unless an armed fault matches."""

    def __init__(
        self, service: ASGIApp, *, calls: Calls, clock: EmulatedClock, call_log: CallLog, faults: Faults[CallFault]
    ) -> None:
        self._service = service
        self._calls = calls
        self._clock = clock
        self._call_log = call_log
        self._faults = faults
        self._released = asyncio.Event()
        authentications = [each.authentication for each in calls.bindings if each.authentication is not None]
        self._key_headers = frozenset(each.header.lower() for each in authentications)

    def release(self) -> None:
        """End every delay at once, so that delayed calls do not hold up the server's shutdown."""
        self._released.set()
        self._released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._service(scope, receive, send)
            return
        try:
            # Read the body of every call, also of a GET, at once: after a delay the caller may have disconnected.
            body = await _read(receive)
        except ConnectionDropped:
            return  # the caller disconnected before the call was complete
        if body is None:
            detail = f"The body has more than {MOST_BODY_BYTES:,} bytes"
            await JSONResponse({"detail": detail}, 413)(scope, receive, send)
            return
        receive = _replay(body, receive)
        if self._calls.api_at(own_path(scope)) is None:
            await self._service(scope, receive, send)
            return
        scope[RECEIVED] = received = self._open(scope, body)
        call = received.entry
        fault = self._faults.pop(call)
        if fault is None:
            await self._service(scope, receive, _recording(call, send))
        else:
            await self._inject(fault, call, scope, receive, send)

    def _open(self, scope: Scope, body: bytes) -> ReceivedCall:
        method, path, query = scope["method"], own_path(scope), scope["query_string"].decode("latin-1")
        document = _decoded(body)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        identity = self._calls.identify(method, path, query, document, headers)
        assert identity is not None, "only calls of an API reach this point"
        at = self._clock.at(self._clock.now_s())
        shown = {name: HIDDEN if self._is_secret(name) else value for name, value in headers.items()}
        entry = self._call_log.open(
            identity, at=at, method=method, path=segment(path), query=query, headers=shown, body=document
        )
        return ReceivedCall(identity, document, entry)

    def _is_secret(self, header: str) -> bool:
        return header in self._key_headers or (_SECRET.search(header) is not None and header != "idempotency-key")

    async def _inject(self, fault: CallFault, call: RecordedCall, scope: Scope, receive: Receive, send: Send) -> None:
        call.fault = fault.kind
        if fault.kind is FaultKind.DELAY:
            await self._wait(fault.seconds)
            await self._service(scope, receive, _recording(call, send))  # unbuffered: it may be a stream
            return
        response: list[Message] = []
        if fault.kind not in _NOT_HANDLED:
            await self._service(scope, receive, _buffering(response))
        if fault.kind in _REPLACED:
            await _fault_response(fault)(scope, receive, _recording(call, send))
            return
        if fault.kind in _DROPPED:
            await _drop(receive, send)
            return
        if fault.kind is FaultKind.DELAY_AFTER:
            await self._wait(fault.seconds)
        for message in response:
            await _recording(call, send)(message)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._released.wait(), seconds)


def _recording(call: RecordedCall, send: Send) -> Send:
    """Return a `send` that also writes the status code into the call log's entry."""

    async def record(message: Message) -> None:
        if message["type"] == "http.response.start":
            call.status_code = message["status"]
        await send(message)

    return record


def _buffering(response: list[Message]) -> Send:
    async def append(message: Message) -> None:
        response.append(message)

    return append


async def _read(receive: Receive) -> bytes | None:
    """Return the body of a request; None if it is too large. It is read to its end all the same, but not kept."""
    body, more, is_too_large = bytearray(), True, False
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionDropped
        part = message.get("body", b"")
        is_too_large = is_too_large or len(body) + len(part) > MOST_BODY_BYTES
        if is_too_large:
            body.clear()
        else:
            body += part
        more = message.get("more_body", False)
    return None if is_too_large else bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first returns the body that was already read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _decoded(body: bytes) -> Any:
    try:
        return document_of(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")


def _fault_response(fault: CallFault) -> Response:
    code = 500 if fault.status_code is None else fault.status_code
    if code in WITHOUT_BODY:
        return Response(None, code, fault.headers)
    body: Any = fault.body
    if body is None:
        phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else "Fault"
        body = {"detail": f"{phrase} (injected by a control call)"}
    if isinstance(body, str):
        return Response(body, code, fault.headers, media_type="text/plain")
    return Response(json.dumps(body), code, fault.headers, media_type="application/json")


async def _drop(receive: Receive, send: Send) -> None:
    """Close the TCP connection without a response.

    ASGI has no message for this. uvicorn's `send` is a method of an object that has the transport, in both of its
    HTTP implementations; without a transport (a test client) the caller sees ConnectionDropped.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionDropped
    cast("Callable[[], None]", transport.abort)()
    # Wait until uvicorn has noticed: if this returned earlier without a response, uvicorn would send a 500.
    while (await receive())["type"] != "http.disconnect":
        pass
