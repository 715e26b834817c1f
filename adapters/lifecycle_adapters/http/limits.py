"""The limits of one request: the time that it may take as a whole, and the size of its response.

httpx2 limits each operation on a connection, not their sum: a server that sends a byte now and then, or one
informational response after the other, is never cut off. Asynchronous requests are limited by
`asyncio.timeout`. For synchronous ones the deadline is passed as the timeout of each operation (`Until` is a
float), and the streams made here read the remaining time from it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

from lifecycle.errors import MissingExtra
from lifecycle_adapters.http.event_stream import EventParser
from lifecycle_adapters.http.transport_failures import ResponseTooLarge, is_transport_failure

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None


class Until(float):
    """A timeout in seconds with its deadline; as a float it is the time left at its creation."""

    __slots__ = ("_ends_s",)
    _ends_s: float

    def __new__(cls, seconds: float) -> Self:
        """Count from now."""
        until = super().__new__(cls, seconds)
        until._ends_s = time.monotonic() + seconds
        return until

    def left_s(self, error: type[Exception] = httpx2.ReadTimeout) -> float:
        """Return the seconds that are left, more than 0. Raises `error` if none are."""
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise error("timed out")
        return left_s

    def hasten(self, seconds: float) -> None:
        """End in so many seconds at the latest."""
        self._ends_s = min(self._ends_s, time.monotonic() + seconds)


IsLast = Callable[[bytes], bool]


class Body:
    """The body of a response while it arrives, decompressed. Raises ResponseTooLarge, or httpx2's ReadTimeout.

    Args:
        until: the end of the request.
        limit_bytes: the most bytes to read.
    """

    def __init__(self, until: Until, limit_bytes: int) -> None:
        self._until = until
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._events: EventParser | None = None  # made for an event stream

    def read(self, response: httpx2.Response, is_last: IsLast | None = None) -> bytes:
        """Return the whole body; of an event stream, up to the event whose data `is_last`, if that is given."""
        pieces = response.iter_bytes()
        for piece in pieces:
            if self._ends_with(piece, is_last):
                if isinstance(response.extensions.get("network_stream"), _DeadlineStream):
                    self._until.hasten(_END_S)
                    with _ignored_failure():
                        next(pieces, None)
                break
        return b"".join(self._pieces)

    async def aread(self, response: httpx2.Response, is_last: IsLast | None = None) -> bytes:
        """Return the body of an asynchronous response, like `read`."""
        pieces = response.aiter_bytes()
        async for piece in pieces:
            if self._ends_with(piece, is_last):
                with _ignored_failure():
                    async with asyncio.timeout(_END_S):
                        await anext(pieces, None)
                break
        return b"".join(self._pieces)

    def _ends_with(self, piece: bytes, is_last: IsLast | None) -> bool:
        """Take the next piece, and return whether no other one is needed."""
        self._bytes += len(piece)
        if self._bytes > self._limit_bytes:
            raise ResponseTooLarge(f"the response has more than {self._limit_bytes} bytes")
        self._until.left_s()
        self._pieces.append(piece)
        if is_last is None:
            return False
        self._events = self._events or EventParser(self._limit_bytes)
        return any(map(is_last, self._events.feed(piece)))


# A stream should end after its last event. If it does within this time, its connection is used again; a new one takes
# longer, but one that stays open would hold up every request for as long.
_END_S = 0.05


@contextmanager
def _ignored_failure() -> Generator[None]:
    """Ignore that a request fails whose response is complete."""
    try:
        yield
    except Exception as error:
        if not is_transport_failure(error):
            raise


# --- synchronous connections ----------------------------------------------------------------------


def keep_deadlines(http: httpx2.Client, *, is_ours: bool = False) -> None:
    """Make the connections of an httpx2 client end when an `Until` does; other timeouts mean what they did.

    The child of a fork closes its copies of the sockets of a client that is ours; to the parent they stay open.
    httpx2 has no argument for the network backend of its pools (httpcore2's), so it is set where they keep it. A
    client whose transport has no such pool is limited at each operation and between the pieces of a body.
    """
    mounted: dict[Any, Any] = getattr(http, "_mounts", {})
    for transport in (getattr(http, "_transport", None), *mounted.values()):
        pool = getattr(transport, "_pool", None)
        backend = getattr(pool, "_network_backend", None)
        if backend is not None and not isinstance(backend, _Backend):
            vars(pool)["_network_backend"] = _Backend(backend, is_ours=is_ours)


def _left_s(timeout: float | None, error: type[Exception]) -> float | None:
    return timeout.left_s(error) if isinstance(timeout, Until) else timeout


class _Backend:
    """An httpcore2 `NetworkBackend` that opens connections with another backend, within an `Until`."""

    def __init__(self, below: Any, *, is_ours: bool) -> None:
        self._below = below
        self._is_ours = is_ours

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> _DeadlineStream:
        refused: Exception | None = None
        for address in _addresses(host, port, timeout):
            left_s = _left_s(timeout, httpx2.ConnectTimeout)
            try:
                return self._opened(self._below.connect_tcp(address, port, left_s, local_address, socket_options))
            except Exception as error:
                if not is_transport_failure(error):
                    raise
                refused = error  # it is raised if no other address succeeds
        raise refused or httpx2.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> _DeadlineStream:
        left_s = _left_s(timeout, httpx2.ConnectTimeout)
        return self._opened(self._below.connect_unix_socket(path, left_s, socket_options))

    def sleep(self, seconds: float) -> None:
        self._below.sleep(seconds)

    def _opened(self, below: Any) -> _DeadlineStream:
        return _DeadlineStream(below, is_ours=self._is_ours)


class _DeadlineStream:
    """An httpcore2 `NetworkStream` whose operations end at the request's deadline."""

    def __init__(self, below: Any, *, is_ours: bool) -> None:
        self._below = below
        self._is_ours = is_ours
        if is_ours:
            _open.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received: bytes = self._below.read(max_bytes, _left_s(timeout, httpx2.ReadTimeout))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _PIECE_BYTES):
            piece = buffer[begin : begin + _PIECE_BYTES]
            self._below.write(piece, _left_s(timeout, httpx2.WriteTimeout))

    def close(self) -> None:
        self._below.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _DeadlineStream:
        left_s = _left_s(timeout, httpx2.ConnectTimeout)
        return _DeadlineStream(self._below.start_tls(ssl_context, server_hostname, left_s), is_ours=self._is_ours)

    def get_extra_info(self, info: str) -> Any:
        return self._below.get_extra_info(info)


_open: weakref.WeakSet[_DeadlineStream] = weakref.WeakSet()


def _close_copies() -> None:
    for stream in list(_open):
        stream.close()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_close_copies)

_PIECE_BYTES = 65_536  # bytes written at once; a slow reader is noticed between two pieces


def _addresses(host: str, port: int, timeout: float | None) -> Iterable[str]:
    """Return the addresses of a host, to be tried in the time left; the host itself if the time has no limit."""
    if not isinstance(timeout, Until) or _is_address(host):
        return [host]
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result(list(dict.fromkeys(str(address) for *_, (address, *_) in known)))
        except Exception as error:  # noqa: BLE001 (it is raised below, in the thread that asked)
            found.set_exception(error)

    # The system's resolver takes no timeout, and may wait for longer than the request.
    threading.Thread(target=look_up, name="name lookup", daemon=True).start()
    try:
        return found.result(timeout.left_s(httpx2.ConnectTimeout))
    except TimeoutError:
        raise httpx2.ConnectTimeout("timed out") from None
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError(str(error)) from error


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
