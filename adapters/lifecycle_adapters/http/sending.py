"""The steps of one request that both drivers share: its headers, its result, and the removal of the key from errors.

limits.py has the limits of a request, connections.py the httpx2 clients that send it.
"""

from __future__ import annotations

import logging
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from lifecycle.effects import Denied, Failure, Lost, NotSent, Response
from lifecycle.errors import MissingExtra, repr_of, text_of
from lifecycle_adapters import telemetry
from lifecycle_adapters.http.handshakes import Handshakes
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.http_errors import (
    ClientUnusable,
    HttpError,
    InvalidResponse,
    KeyUnavailable,
    NoResponse,
    NotConnected,
    Unauthorized,
)
from lifecycle_adapters.http.keys import Key, KeySource, NoKeyReturned, is_this_machine
from lifecycle_adapters.http.limits import Body, Until
from lifecycle_adapters.http.proxies import proxy_text
from lifecycle_adapters.http.redaction import Redactor
from lifecycle_adapters.http.response_meaning import meaning_of
from lifecycle_adapters.http.transport_failures import ResponseTooLarge
from lifecycle_adapters.procedures.timing import CLOCK, Timing

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

_log = logging.getLogger("lifecycle_adapters.http")


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response that was read, an event stream as far as it matters (`is_last_event`)."""

    head: httpx2.Response
    content: bytes


class Sending:
    """The progress of one request."""

    as_of: datetime  # when it was built; not set before

    def __init__(self, timeout_s: float, limit_bytes: int, *, always_traced: bool) -> None:
        self.until = Until(timeout_s)
        self.body = Body(self.until, limit_bytes)
        self.key: SecretStr | None = None  # None until the key is known
        self.is_ready = False  # whether it was built, and is passed to httpx2
        self.trusts_environment = False  # whether the httpx2 client follows the environment's settings
        self.connected_to: tuple[str, int] | None = None  # the host and port, a proxy's or the service's
        self._is_traced = always_traced
        self._has_begun = False

    def trace(self, event: str, info: Any) -> None:
        """Record an event of the connection, as httpcore2's `trace` extension."""
        self._is_traced = True
        if event == "connection.connect_tcp.started":
            self.connected_to = info["host"], info["port"]
        if event.endswith(_BEGINS):
            self._has_begun = True
            info["request"].extensions.pop("trace", None)  # no later event matters

    async def atrace(self, event: str, info: Any) -> None:
        """Record an event of an asynchronous connection, as httpcore2's `trace` extension."""
        self.trace(event, info)

    def may_have_arrived(self, error: Exception) -> bool:
        """Return whether the request may have arrived, given the error that ended it."""
        if not self.is_ready or isinstance(error, _NEVER_SENT):
            return False
        return self._has_begun or not self._is_traced


_BEGINS = ".send_request_headers.started"


class Sender:
    """The part of both drivers that needs no I/O: it builds requests, and reads their results without the key."""

    def __init__(self, *, base_url: str, api_key: Key, timing: Timing, has_own_http: bool) -> None:
        self._api_key = api_key
        self._redactor = Redactor()
        self._handshakes = Handshakes()
        self._asks_for_keys = isinstance(api_key, KeySource)
        if isinstance(api_key, SecretStr):
            self._redactor.add(api_key)
        # HTTP_PROXY and the like apply, except to this machine: a proxy cannot reach it, and would get the key.
        self.trusts_environment = not is_this_machine(base_url)
        self.base_url = base_url
        self._timing = timing
        self._has_own_http = has_own_http  # whether the httpx2 client is ours, not the caller's

    def sending(self, call: HttpCall) -> Sending:
        """Return a new request's progress; its time limit counts from now."""
        timing = self._timing
        timeout_s = timing.request_timeout_s if call.timeout_s is None else call.timeout_s
        return Sending(timeout_s, timing.max_response_bytes, always_traced=self._has_own_http)

    def request(
        self,
        call: HttpCall,
        api_key: SecretStr,
        sending: Sending,
        trace: Callable[..., Any],
        http: httpx2.Client | httpx2.AsyncClient,
    ) -> httpx2.Request:
        """Return the request as `http` builds it. Raises TimeoutError if its time was up before the key was known."""
        self._redactor.add(api_key)
        if self._asks_for_keys:
            sending.until.left_s(TimeoutError)
        sending.key, sending.as_of = api_key, CLOCK.now()
        request = call.request
        # A service with one path, such as https://host/rpc, is that URL itself.
        url, query = self.base_url + ("" if request.path == "/" else request.path), request.query.items()
        headers = {**call.binding.request_headers(api_key.get_secret_value()), **request.headers}
        extensions = {"trace": trace, "timeout": dict.fromkeys(_OPERATIONS, sending.until)}
        # Nobody else changes a client of our own, so all that is new in each of its requests is set here.
        if self._has_own_http and request.body is None and not http.cookies:
            like = _template(weakref.ref(http), request.method, url, *query)
            built = httpx2.Request(
                like.method, like.url, headers=like.headers, stream=like.stream, extensions=extensions
            )
            for name, value in headers.items():
                built.headers[name] = value
        else:
            built = http.build_request(
                request.method,
                _url(url, *query),
                params=request.query if http.params else None,  # those of the caller's client would replace the URL's
                json=request.body,
                headers=_ENCODINGS | headers,
                extensions=extensions,
            )
        sending.is_ready, sending.trusts_environment = True, http.trust_env
        return built

    def span(self, call: HttpCall) -> AbstractContextManager[telemetry.OnOutcome]:
        """Return the span of the request."""
        request, template = call.request, call.binding.base_path + call.call.path
        return telemetry.request(
            request.method, self.base_url, request.path, template=template, rpc_method=request.rpc_method
        )

    def read_outcome(self, call: HttpCall, outcome: RawResponse | Exception, sending: Sending) -> Response:
        """Return the meaning of a request's outcome, and log it."""
        request = call.request
        if sending.key is not None:
            self._redactor.add(sending.key)  # the keys of other requests may have displaced it
        if isinstance(outcome, Exception):
            response = self._failure(call, outcome, sending)
        else:
            response = meaning_of(
                call.binding,
                call.call,
                request,
                status_code=outcome.head.status_code,
                headers=_RedactedHeaders(outcome.head.headers, self._redactor),
                content=self._redactor.content(outcome.content),
                as_of=sending.as_of,
                hide=self._redactor.text,
            )
        if isinstance(response, Denied) and isinstance(response.error, Unauthorized):
            response = replace(response, is_renewable=self._asks_for_keys)
            if isinstance(self._api_key, KeySource) and sending.key is not None:
                self._api_key.note_refused(sending.key)
        if _log.isEnabledFor(logging.DEBUG):
            facts = {"method": request.method, "path": request.path, "rpc_method": request.rpc_method}
            content = response.error if isinstance(response, Failure) else response.status
            shown = None if content is None else str(content)
            _log.debug(
                "a request was made", extra={**facts, "response": type(response).__name__, "status_or_error": shown}
            )
        return response

    def _failure(self, call: HttpCall, error: Exception, sending: Sending) -> Response:
        """Return the failure of a request that got no response: Lost if it may have arrived, otherwise another one."""
        if isinstance(error, ClientUnusable):
            return NotSent(error)
        request = call.request
        if self._asks_for_keys and sending.key is None and isinstance(error, TimeoutError):
            error = NoKeyReturned(f"returned none within {float(sending.until):g} s", may_pass=True)
        if isinstance(error, NoKeyReturned):
            unavailable = KeyUnavailable(str(error), **request.names)
            return NotSent(unavailable) if error.may_pass else Denied(unavailable)
        may_have_arrived = sending.may_have_arrived(error)
        kind: type[HttpError] = NotConnected
        if may_have_arrived:
            kind = InvalidResponse if isinstance(error, ResponseTooLarge) else NoResponse
        what = f"{self._text_of(error)} ({self.base_url}{self._proxy_of(sending)})"
        ours = kind(what, **request.names)
        if self.strip(error, call, sys.exception()):
            ours.__cause__ = error
        return Lost(ours) if may_have_arrived else NotSent(ours)

    def _proxy_of(self, sending: Sending) -> str:
        """Return the proxy that a request was sent through, for a message; nothing if none is known."""
        service = httpx2.URL(self.base_url)
        port = service.port or {"http": 80, "https": 443}[service.scheme]
        if sending.connected_to is None or sending.connected_to == (service.raw_host.decode(), port):
            return ""
        trusts, is_given = sending.trusts_environment, not self._has_own_http
        proxy = proxy_text(*sending.connected_to, scheme=service.scheme, is_of_environment=trusts, is_given=is_given)
        return f" through {proxy}"

    def _text_of(self, error: Exception) -> str:
        """Return the text of another library's error, without the key."""
        text = self._redactor.text(_reason(error))
        if isinstance(error, TimeoutError | httpx2.TimeoutException) and not text:
            return "timed out"
        if isinstance(error, httpx2.RequestError | ResponseTooLarge):
            return text or type(error).__name__
        return f"{type(error).__name__}: {text}"

    def strip(self, error: BaseException, call: HttpCall, handled: BaseException | None) -> bool:
        """Remove the key from another library's error, and return whether the error is surely free of it.

        The key is in the headers of the error's request, and in the variables of its frames, which some tools print
        and send. An error that is not httpx2's may have it in any attribute. `handled` is the error that the caller
        was handling when it made the request: it and its causes are not changed.
        """
        request = httpx2.Request(call.request.method, self.base_url + call.request.path)
        chain: list[BaseException | None] = [error]
        done = {id(None), id(handled)}
        can_be_shown = True
        while chain:
            each = chain.pop()
            if each is None or id(each) in done:
                continue
            done.add(id(each))
            each.__traceback__ = None
            text = repr_of(each.args)  # it may quote the response of a server that speaks no HTTP
            if isinstance(each, httpx2.RequestError):
                each.request = request
            elif getattr(each, "__dict__", None):
                can_be_shown = False
            if self._redactor.holds_a_key(text):
                can_be_shown = False
            chain += (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))
        return can_be_shown


_OPERATIONS = ("connect", "read", "write", "pool")  # as httpx2.Timeout names them


class _RedactedHeaders(Mapping[str, str]):
    """The headers of a response without the keys, which are removed when a header is read: few ever are."""

    def __init__(self, headers: httpx2.Headers, redactor: Redactor) -> None:
        self._headers = headers
        self._redactor = redactor

    def __getitem__(self, name: str) -> str:
        return self._redactor.text(self._headers[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


# Some versions of the libraries for other encodings expand a few bytes to gigabytes at once.
_ENCODINGS = {"Accept-Encoding": "gzip, deflate"}


@lru_cache(maxsize=1024)  # httpx2 takes much longer to build a request than to copy one
def _template(
    http: weakref.ref[httpx2.Client | httpx2.AsyncClient],
    method: str,
    url: str,
    *query: tuple[str, str | tuple[str, ...]],
) -> httpx2.Request:
    """Return the request without body and key that a client of our own builds of these, to be copied."""
    client = http()
    assert client is not None
    return client.build_request(method, _url(url, *query), headers=_ENCODINGS)


@lru_cache(maxsize=1024)  # httpx2 would take a fifth of a request's time to parse the URL
def _url(url: str, *query: tuple[str, str | tuple[str, ...]]) -> httpx2.URL:
    return httpx2.URL(url, params=dict(query)) if query else httpx2.URL(url)


def _reason(error: Exception) -> str:
    """Return the text of an error; if it says only that all attempts failed, the text of the first attempt's error."""
    waiting: list[BaseException | None] = [error]
    while waiting and "attempts failed" in text_of(error):
        each = waiting.pop(0)
        if isinstance(each, OSError) and each.errno is not None:
            return f"[Errno {each.errno}] {os.strerror(each.errno)}"
        if each is not None:
            waiting += (*getattr(each, "exceptions", ()), each.__cause__, each.__context__)
    return text_of(error)


class Keyless:
    """A context that removes the key from every error that leaves it, such as a cancellation or KeyboardInterrupt.

    It removes the frames below it from the traceback, because their variables, ours and httpx2's, hold the key.
    """

    def __init__(self, sender: Sender, call: HttpCall) -> None:
        self._sender = sender
        self._call = call

    def __enter__(self) -> None:
        self._handled = sys.exception()

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None and not self._sender.strip(error, self._call, self._handled):
            error.__cause__, error.__context__ = None, self._handled


def status_or_error(outcome: RawResponse | Exception) -> int | Exception:
    """Return the status code of a response, or the error."""
    return outcome.head.status_code if isinstance(outcome, RawResponse) else outcome


_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
