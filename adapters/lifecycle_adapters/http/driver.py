"""The two drivers that speak HTTP: they run procedures (running.py), send their requests, and decide nothing.

Only code that differs between synchronous and asynchronous is written twice.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing
from http import HTTPStatus
from typing import Protocol, TypeVar

from pydantic import SecretStr

from lifecycle.effects import Denied, Failure, Refused, Response
from lifecycle.errors import MissingExtra
from lifecycle_adapters.http.connections import AsyncConnections, Connections
from lifecycle_adapters.http.event_stream import EventParser, is_event_stream
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.http_errors import InvalidResponse
from lifecycle_adapters.http.keys import Key, awaited_key, returned_key
from lifecycle_adapters.http.response_meaning import is_last_event
from lifecycle_adapters.http.sending import Keyless, RawResponse, Sender, Sending, status_or_error
from lifecycle_adapters.http.transport_failures import is_transport_failure
from lifecycle_adapters.procedures.interpreter import Procedure
from lifecycle_adapters.procedures.running import OnProgress, run_procedure, run_procedure_async
from lifecycle_adapters.procedures.timing import Timing

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

R = TypeVar("R")


class RateLimiter(Protocol):
    """The rate limit of an asynchronous client's requests."""

    async def acquire(self) -> None:
        """Wait until the request may be sent."""

    def observe(self, response: Response) -> None:
        """Record the response to the request, to adapt the rate."""


class Driver(Sender):
    """Carries out procedures, one action after the other. `close` leaves an `http` that was passed in open."""

    def __init__(self, *, base_url: str, api_key: Key, timing: Timing, http: httpx2.Client | None) -> None:
        super().__init__(base_url=base_url, api_key=api_key, timing=timing, has_own_http=http is None)
        self._connections = Connections(trust_env=self.trusts_environment, http=http)

    def run(self, procedure: Procedure[R], on_progress: OnProgress | None = None) -> R:
        """Carry a procedure out, and return its result.

        Raises:
            ClientUnusable: at once, if the client is closed, or its httpx2 client belongs to another process or loop.
            The procedure's errors, and every exception of an action that the procedure does not handle.
        """
        self._connections.usable()
        return run_procedure(procedure, self._send, on_progress)

    def _send(self, call: HttpCall) -> Response:
        if call.binding.handshake is None:
            return self._send_ready(call)
        return run_procedure(Procedure(self._handshakes.sent(call)), self._send_ready, None)

    def _send_ready(self, call: HttpCall) -> Response:
        with Keyless(self, call):
            with self.span(call) as on_outcome:
                sending = self.sending(call)
                try:
                    outcome: RawResponse | Exception = self._transfer(call, sending)
                except Exception as error:
                    if not is_transport_failure(error):
                        raise
                    outcome = error
                on_outcome(status_or_error(outcome))
            return self.read_outcome(call, outcome, sending)

    def _transfer(self, call: HttpCall, sending: Sending) -> RawResponse:
        http = self._connections.usable()
        key = self._api_key if isinstance(self._api_key, SecretStr) else returned_key(self._api_key)
        request = self.request(call, key, sending, sending.trace, http)
        # A redirect is a response. If it were followed, the key would be sent to the host that it names.
        with closing(http.send(request, stream=True, follow_redirects=False)) as response:
            return RawResponse(
                response, sending.body.read(response, is_last_event(call.binding, call.request, response.headers))
            )

    def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        self._connections.close()


class AsyncDriver(Sender):
    """Carries out procedures in asyncio, one action after the other; it awaits the result of an async `on_progress`.

    `close` leaves an `http` that was passed in open.
    """

    def __init__(self, *, base_url: str, api_key: Key, timing: Timing, http: httpx2.AsyncClient | None) -> None:
        super().__init__(base_url=base_url, api_key=api_key, timing=timing, has_own_http=http is None)
        self._connections = AsyncConnections(trust_env=self.trusts_environment, http=http)
        self._limiter: RateLimiter | None = None

    def limited_by(self, limiter: RateLimiter) -> AsyncDriver:
        """Return a driver of the same connections that waits for the limiter before each request; it closes nothing."""
        limited = copy.copy(self)
        limited._limiter = limiter
        return limited

    async def run(self, procedure: Procedure[R], on_progress: OnProgress | None = None) -> R:
        """Carry a procedure out, and return its result.

        Raises:
            ClientUnusable: at once, if the client is closed, or its httpx2 client belongs to another process or loop.
            The procedure's errors, and every exception of an action that the procedure does not handle.
        """
        self._connections.usable()
        return await run_procedure_async(procedure, self._send, on_progress)

    async def _send(self, call: HttpCall) -> Response:
        if call.binding.handshake is None:
            return await self._send_ready(call)
        return await run_procedure_async(Procedure(self._handshakes.sent(call)), self._send_ready, None)

    async def _send_ready(self, call: HttpCall) -> Response:
        if self._limiter is not None:
            await self._limiter.acquire()
        with Keyless(self, call):
            with self.span(call) as on_outcome:
                sending = self.sending(call)
                try:
                    async with asyncio.timeout(sending.until + _GRACE_S):
                        outcome: RawResponse | Exception = await self._transfer(call, sending)
                except Exception as error:
                    if not is_transport_failure(error):
                        raise
                    outcome = error
                on_outcome(status_or_error(outcome))
            response = self.read_outcome(call, outcome, sending)
        if self._limiter is not None:
            self._limiter.observe(response)
        return response

    async def _transfer(self, call: HttpCall, sending: Sending) -> RawResponse:
        return await _read(call, await self._sent(call, sending), sending)

    async def _sent(self, call: HttpCall, sending: Sending) -> httpx2.Response:
        """Send a request, and return the response whose body is still to be read."""
        http = self._connections.usable()
        key = self._api_key if isinstance(self._api_key, SecretStr) else await awaited_key(self._api_key)
        request = self.request(call, key, sending, sending.atrace, http)
        return await http.send(request, stream=True, follow_redirects=False)

    async def events(self, call: HttpCall) -> AsyncGenerator[bytes]:
        """Open a stream and yield the data of its events, without the key, until the service ends it.

        It may be silent for as long as a request may take. A refused key is replaced once, if it can be.

        Raises:
            ClientUnusable: at once, if the client is closed, or its httpx2 client belongs to another process or loop.
            HttpError: the stream was refused, is none, or was broken off; or an event is larger than a response may be.
        """
        self._connections.usable()
        ready = await run_procedure_async(Procedure(self._handshakes.before(call)), self._send_ready, None)
        if isinstance(ready, Failure):
            raise ready.error
        assert isinstance(ready, HttpCall), "a handshake ends with the call or a failure"
        call = ready
        with Keyless(self, call):
            sending = self.sending(call)
            opened = await self._opened(call, sending)
            if isinstance(opened, Denied) and opened.is_renewable:
                sending = self.sending(call)
                opened = await self._opened(call, sending)
            if isinstance(opened, Failure):
                raise opened.error
            try:
                parser, pieces = EventParser(self._timing.max_response_bytes), opened.aiter_bytes()
                while (piece := await self._next(pieces)) is not None:
                    for data in parser.feed(piece):
                        yield self._redactor.content(data)
            except Exception as error:
                if not is_transport_failure(error):
                    raise
                failed = self.read_outcome(call, error, sending)
                assert isinstance(failed, Failure), "an error is not a response"
                raise failed.error from failed.error.__cause__
            finally:
                await opened.aclose()

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        """Return the next piece of a stream, None at its end. Raises TimeoutError: it is silent for too long."""
        async with asyncio.timeout(self._timing.request_timeout_s + _GRACE_S):
            return await anext(pieces, None)

    async def _opened(self, call: HttpCall, sending: Sending) -> httpx2.Response | Failure:
        """Return the response that is a stream, or the failure to open one."""
        if self._limiter is not None:
            await self._limiter.acquire()
        with self.span(call) as on_outcome:
            try:
                async with asyncio.timeout(sending.until + _GRACE_S):
                    response = await self._sent(call, sending)
                    if response.status_code == HTTPStatus.OK and is_event_stream(response.headers):
                        on_outcome(response.status_code)
                        return response
                    outcome: RawResponse | Exception = await _read(call, response, sending)
            except Exception as error:
                if not is_transport_failure(error):
                    raise
                outcome = error
            on_outcome(status_or_error(outcome))
        meaning = self.read_outcome(call, outcome, sending)
        self._handshakes.observe(call, meaning, is_stream=True)
        if self._limiter is not None:
            self._limiter.observe(meaning)
        if isinstance(meaning, Failure):
            return meaning
        what = "the response is not an event stream"
        return Refused(InvalidResponse(what, **call.request.names))

    async def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        if self._limiter is None:
            await self._connections.close()


# An operation that takes all of the time ends first, and closes its connection: httpcore2 leaves one open whose
# handshake is cancelled.
_GRACE_S = 0.1


async def _read(call: HttpCall, response: httpx2.Response, sending: Sending) -> RawResponse:
    try:
        return RawResponse(
            response, await sending.body.aread(response, is_last_event(call.binding, call.request, response.headers))
        )
    finally:
        await response.aclose()
