"""The two drivers: what sends one request, pauses, and tells. They decide nothing.

Only what differs between synchronous and asynchronous stands here twice. httpx2 is imported by
this file alone.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar

from pydantic import SecretStr

from adapters import telemetry
from adapters.http.errors import HttpError, NoAnswer, NotConnected
from adapters.http.exchange import Action, Actions, Enter, Exchange, Note, Pause
from adapters.http.timing import Clock
from lifecycle.effects import Answer, Failure, Lost, NotSent, Progress, Tell, carry_out
from lifecycle.errors import MissingExtra

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

_log = logging.getLogger("adapters.http")

CLOCK = Clock()
"""One for all clients: the reports of several may meet in one journal."""

R = TypeVar("R")
OnProgress = Callable[[Progress[str]], object]


class Gate(Protocol):
    """What every request of a client passes that was put behind it."""

    def enter(self) -> Awaitable[None] | None:
        """Wait until the request may be sent. What is returned is awaited by an asynchronous client."""

    def leave(self, answer: Answer) -> None:
        """Be told what came of it."""


class _Sender:
    """What both drivers know: the server and the key."""

    def __init__(self, *, base_url: str, api_key: str, timeout_s: float) -> None:
        host = _host(base_url)
        # What HTTP_PROXY and its like say is followed, but nobody reaches this machine by a proxy,
        # and the proxy would be told the key.
        self._trusts_environment = not _is_here(host)
        self._base_url = base_url
        self._api_key = SecretStr(api_key)
        self._timeout_s = timeout_s
        self._gate: Gate | None = None
        self._owns_http = False

    def behind(self, gate: Gate) -> Self:
        """Return a driver of the same connections whose every request passes the gate; it closes nothing."""
        gated = copy.copy(self)
        gated._gate, gated._owns_http = gate, False
        return gated

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
            # A redirect is an answer. Followed, it would carry the key to whatever host it names.
            "follow_redirects": False,
        }

    def _span(self, exchange: Exchange) -> AbstractContextManager[telemetry.Answered]:
        """What to send an exchange inside of."""
        request, template = exchange.request, exchange.wire.base_path + exchange.call.path
        return telemetry.request(request.method, self._base_url, request.path, template=template)

    def _answer(self, exchange: Exchange, outcome: httpx2.Response | httpx2.RequestError, as_of: datetime) -> Answer:
        request = exchange.request
        if isinstance(outcome, httpx2.RequestError):
            answer = _mishap(exchange, outcome, self._base_url)
        else:
            headers, content = self._told(outcome)
            answer = exchange.wire.read_answer(
                exchange.call,
                request,
                status_code=outcome.status_code,
                headers=headers,
                content=content,
                as_of=as_of,
            )
        facts = {"method": request.method, "path": request.path, "answer": type(answer).__name__}
        said = answer.error if isinstance(answer, Failure) else answer.status
        _log.debug("a request was made", extra={**facts, "said": None if said is None else str(said)})
        if self._gate is not None:
            self._gate.leave(answer)
        return answer

    def _told(self, response: httpx2.Response) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of an answer; one that is no may repeat the key, and ends in an error."""
        key = self._api_key.get_secret_value()
        if response.is_success or len(key) < _SHORTEST_SECRET:
            return response.headers, response.content
        headers = {name: value.replace(key, _HIDDEN) for name, value in response.headers.items()}
        return headers, response.content.replace(key.encode(), _HIDDEN.encode())


def _host(base_url: str) -> str:
    """The host of a URL that can be asked for. Raises ValueError."""
    try:
        url = httpx2.URL(base_url)
        return url.raw_host.decode().encode("idna").decode()  # as the socket will
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ValueError(f"base_url {base_url[:80]!r}: {error}") from None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _mishap(exchange: Exchange, error: httpx2.RequestError, server: str) -> Answer:
    """A request that came to no answer, told apart by whether it can have arrived."""
    request = exchange.request
    _strip(error, httpx2.Request(request.method, error.request.url))
    never_sent = isinstance(error, _NEVER_SENT)
    kind: type[HttpError] = NotConnected if never_sent else NoAnswer
    what = f"{str(error) or type(error).__name__} ({server})"
    ours = kind(what, method=request.method, path=request.path)
    ours.__cause__ = error
    return NotSent(ours) if never_sent else Lost(ours)


def _strip(error: httpx2.RequestError, request: httpx2.Request) -> None:
    """Take from the foreign error, which stays the cause, what holds the key.

    That are its request's headers, and the variables in its frames, which some tools print and send.
    """
    error.request = request
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is not None:
            each.__traceback__ = None
            chain += (each.__cause__, each.__context__)


def _code(outcome: httpx2.Response | httpx2.RequestError) -> int | Exception:
    return outcome.status_code if isinstance(outcome, httpx2.Response) else outcome


_HIDDEN = "[the API key]"
_SHORTEST_SECRET = 8  # characters; a shorter key is a word that messages may contain for other reasons

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
        self._http = http or httpx2.Client(trust_env=self._trusts_environment)

    def run(self, actions: Actions[R], tell: OnProgress | None = None) -> R:
        """Carry the actions out and return their result; raises what they raise."""
        result: Any = None
        with ExitStack() as entered, closing(actions):
            while True:
                try:
                    action: Action = actions.send(result)
                except StopIteration as stop:
                    value: R = stop.value
                    return value
                match action:
                    case Exchange():
                        result = self.exchange(action)
                    case Pause(seconds):
                        time.sleep(seconds)
                        result = None
                    case Tell(progress):
                        result = tell(progress) if tell else None
                    case Note(effect, log):
                        result = carry_out(effect, log)
                    case Enter(context):
                        result = entered.enter_context(context)

    def exchange(self, exchange: Exchange) -> Answer:
        """Send one request, once, and return what came of it."""
        if self._gate is not None:
            self._gate.enter()
        with self._span(exchange) as answered:
            as_of = CLOCK.now()
            try:
                outcome: httpx2.Response | httpx2.RequestError = self._http.request(**self._request(exchange))
            except httpx2.RequestError as error:
                outcome = error
            answered(_code(outcome))
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
        self._http = http or httpx2.AsyncClient(trust_env=self._trusts_environment)

    async def run(self, actions: Actions[R], tell: OnProgress | None = None) -> R:
        """Carry the actions out and return their result; raises what they raise."""
        result: Any = None
        with ExitStack() as entered:
            while True:
                try:
                    action: Action = actions.send(result)
                except StopIteration as stop:
                    value: R = stop.value
                    return value
                try:
                    result = await self._perform(action, tell, entered)
                except GeneratorExit:  # nothing can be awaited any more
                    actions.close()
                    raise
                except BaseException:
                    await asyncio.to_thread(actions.close)  # what lets go of a command waits for its journal
                    raise

    async def _perform(self, action: Action, tell: OnProgress | None, entered: ExitStack) -> Any:
        match action:
            case Exchange():
                return await self.exchange(action)
            case Pause(seconds):
                return await asyncio.sleep(seconds)
            case Tell(progress):
                told = tell(progress) if tell else None
                return await told if inspect.isawaitable(told) else None
            case Note(effect, log):
                return await asyncio.to_thread(carry_out, effect, log)
            case Enter(context):
                return entered.enter_context(context)

    async def exchange(self, exchange: Exchange) -> Answer:
        """As `Driver.exchange`."""
        if self._gate is not None:
            entered = self._gate.enter()
            if entered is not None:
                await entered
        with self._span(exchange) as answered:
            as_of = CLOCK.now()
            try:
                outcome: httpx2.Response | httpx2.RequestError = await self._http.request(**self._request(exchange))
            except httpx2.RequestError as error:
                outcome = error
            answered(_code(outcome))
        return self._answer(exchange, outcome, as_of)

    async def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        if self._owns_http:
            await self._http.aclose()
