"""The two drivers: what sends one request, pauses, and tells. They decide nothing.

Only what differs between synchronous and asynchronous stands here twice. httpx2 is imported by
this file alone.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from pydantic import SecretStr

from adapters.http.errors import HttpError, NoAnswer, NotConnected
from adapters.http.exchange import Action, Actions, Clock, Exchange, Pause
from lifecycle.effects import Answer, Failure, Lost, NotSent, Progress, Tell
from lifecycle.errors import MissingExtra

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

_log = logging.getLogger("adapters.http")

R = TypeVar("R")
OnProgress = Callable[[Progress[str]], object]


class _Sender:
    """What both drivers know: the server, the key, the time."""

    def __init__(self, *, base_url: str, api_key: str, timeout_s: float) -> None:
        self._base_url = base_url
        self._api_key = SecretStr(api_key)
        self._timeout_s = timeout_s
        self._clock = Clock()

    def _request(self, exchange: Exchange) -> dict[str, Any]:
        """What to hand to httpx2 for an exchange."""
        request = exchange.request
        return {
            "method": request.method,
            "url": self._base_url + request.path,
            "params": request.query or None,
            "json": request.body,
            "headers": exchange.wire.headers(self._api_key.get_secret_value()),
            "timeout": self._timeout_s,
        }

    def _answer(self, exchange: Exchange, outcome: httpx2.Response | httpx2.RequestError, as_of: datetime) -> Answer:
        request = exchange.request
        if isinstance(outcome, httpx2.RequestError):
            answer = _mishap(exchange, outcome)
        else:
            answer = exchange.wire.read_answer(
                exchange.call,
                request,
                status_code=outcome.status_code,
                headers=outcome.headers,
                content=outcome.content,
                as_of=as_of,
            )
        said = answer.error if isinstance(answer, Failure) else answer.status
        _log.debug("%s %s: %s (%s)", request.method, request.path, type(answer).__name__, said)
        return answer


def _mishap(exchange: Exchange, error: httpx2.RequestError) -> Answer:
    """A request that came to no answer, told apart by whether it can have arrived."""
    request = exchange.request
    # The foreign error stays the cause, but must not carry the headers with the key along.
    error.request = httpx2.Request(request.method, error.request.url)
    never_sent = isinstance(error, _NEVER_SENT)
    kind: type[HttpError] = NotConnected if never_sent else NoAnswer
    ours = kind(str(error) or type(error).__name__, method=request.method, path=request.path)
    ours.__cause__ = error
    return NotSent(ours) if never_sent else Lost(ours)


_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


class Driver(_Sender):
    """Carries actions out, one after the other. `http` is the caller's to close where it is given."""

    def __init__(self, *, base_url: str, api_key: str, timeout_s: float, http: httpx2.Client | None) -> None:
        super().__init__(base_url=base_url, api_key=api_key, timeout_s=timeout_s)
        self._owns_http = http is None
        self._http = http or httpx2.Client()

    def run(self, actions: Actions[R], tell: OnProgress | None = None) -> R:
        """Carry the actions out and return their result; raises what they raise."""
        result: Any = None
        while True:
            try:
                action: Action = actions.send(result)
            except StopIteration as stop:
                value: R = stop.value
                return value
            match action:
                case Exchange():
                    result = self._exchange(action)
                case Pause(seconds):
                    time.sleep(seconds)
                    result = None
                case Tell(progress):
                    result = tell(progress) if tell else None

    def _exchange(self, exchange: Exchange) -> Answer:
        as_of = self._clock.now()
        try:
            outcome: httpx2.Response | httpx2.RequestError = self._http.request(**self._request(exchange))
        except httpx2.RequestError as error:
            outcome = error
        return self._answer(exchange, outcome, as_of)

    def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        if self._owns_http:
            self._http.close()


class AsyncDriver(_Sender):
    """As `Driver`, for asyncio; what `tell` returns is awaited where it can be."""

    def __init__(self, *, base_url: str, api_key: str, timeout_s: float, http: httpx2.AsyncClient | None) -> None:
        super().__init__(base_url=base_url, api_key=api_key, timeout_s=timeout_s)
        self._owns_http = http is None
        self._http = http or httpx2.AsyncClient()

    async def run(self, actions: Actions[R], tell: OnProgress | None = None) -> R:
        """Carry the actions out and return their result; raises what they raise."""
        result: Any = None
        while True:
            try:
                action: Action = actions.send(result)
            except StopIteration as stop:
                value: R = stop.value
                return value
            match action:
                case Exchange():
                    result = await self._exchange(action)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                    result = None
                case Tell(progress):
                    result = tell(progress) if tell else None
                    if inspect.isawaitable(result):
                        await result

    async def _exchange(self, exchange: Exchange) -> Answer:
        as_of = self._clock.now()
        try:
            outcome: httpx2.Response | httpx2.RequestError = await self._http.request(**self._request(exchange))
        except httpx2.RequestError as error:
            outcome = error
        return self._answer(exchange, outcome, as_of)

    async def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        if self._owns_http:
            await self._http.aclose()
