"""The httpx2 clients that the drivers send with: the caller's, or our own for each process and event loop.

A connection is never shared with the child of a fork, nor used in an event loop other than its own. Our own
clients are made again there. The caller's client is refused: a new one would lack its proxies, certificates and
hooks, and its connections cannot be distinguished from those of the other process or loop.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TypeVar

from lifecycle.errors import MissingExtra
from lifecycle_adapters.http.http_errors import ClientUnusable
from lifecycle_adapters.http.limits import keep_deadlines
from lifecycle_adapters.http.proxies import PROXY_VARIABLES, host_of_proxy

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

Loop = asyncio.AbstractEventLoop
H = TypeVar("H", httpx2.Client, httpx2.AsyncClient)


class Connections:
    """The connections of a synchronous client. Safe to share between threads.

    Args:
        trust_env: whether our own client follows the environment's settings, such as HTTP_PROXY.
        http: the caller's httpx2 client, which is never closed here; one of our own if None.
    """

    def __init__(self, *, trust_env: bool, http: httpx2.Client | None) -> None:
        self._trust_env = trust_env
        self._given = http
        # By process: the child of a fork neither uses nor closes its parent's client.
        self._own = {} if http else {_process.number: self._made()}
        self._is_closed = False
        if http:
            keep_deadlines(http)

    def usable(self) -> httpx2.Client:
        """Return the client to send with. Raises ClientUnusable."""
        if self._is_closed:
            raise ClientUnusable("the client is closed")
        if self._given is not None:
            _require_usable(self._given, None)
            return self._given
        return self._own.get(_process.number) or self._own.setdefault(_process.number, self._made())

    def close(self) -> None:
        """Close our own connections; the caller's stay open."""
        self._is_closed = True
        own = self._own.pop(_process.number, None)
        if own is not None:
            own.close()

    def _made(self) -> httpx2.Client:
        http = _made(httpx2.Client, trust_env=self._trust_env)
        keep_deadlines(http, is_ours=True)
        return http


class AsyncConnections:
    """The connections of an asynchronous client: the caller's httpx2 client, or our own for each event loop."""

    def __init__(self, *, trust_env: bool, http: httpx2.AsyncClient | None) -> None:
        self._trust_env = trust_env
        self._given = http
        self._spare = None if http else self._made()  # raises now if the environment is unusable
        self._own: dict[Loop, _LoopClient] = {}
        self._is_closed = False

    def usable(self) -> httpx2.AsyncClient:
        """Return the client to send with in the running event loop. Raises ClientUnusable."""
        if self._is_closed:
            raise ClientUnusable("the client is closed")
        loop = asyncio.get_running_loop()
        if self._given is not None:
            _require_usable(self._given, loop)
            return self._given
        own = self._own.get(loop)
        if own is None or not own.is_usable:
            self._own = {loop: each for loop, each in self._own.items() if not loop.is_closed()}
            spare, self._spare = self._spare, None
            own = self._own[loop] = _LoopClient(spare or self._made())
        return own.http

    async def close(self) -> None:
        """Close our own connections in every event loop; the caller's stay open."""
        self._is_closed = True
        for loop, own in list(self._own.items()):
            if not own.is_usable:
                continue  # closed by its loop, or the parent process's
            if loop is asyncio.get_running_loop():
                await own.close()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(own.close(), loop)
                await asyncio.wait([asyncio.wrap_future(closing)], timeout=_OTHER_LOOP_S)

    def _made(self) -> httpx2.AsyncClient:
        return _made(httpx2.AsyncClient, trust_env=self._trust_env)


def _made(kind: type[H], *, trust_env: bool) -> H:
    """Make an httpx2 client. Raises ClientUnusable if the environment has unusable settings.

    The foreign error is not its cause, and no value of a proxy is shown: it may hold a password.
    """
    names = [name for each in PROXY_VARIABLES for name in (each, each.lower())]
    hostless = [name for name in names if _has_no_host(os.environ.get(name))]
    if trust_env and hostless:
        raise ClientUnusable(f"{' or '.join(hostless)} holds a URL without a host: use http://HOST:PORT, or unset it")
    try:
        return kind(trust_env=trust_env)
    except ImportError:
        what = "the environment names a SOCKS proxy, which needs one more package: pip install socksio"
    except OSError:  # ssl's errors are such
        what = f"no certificates can be read from {_set(*_CERTIFICATES, shown=True)}; correct the path, or unset it"
    except (ValueError, httpx2.InvalidURL):
        named = _set(*PROXY_VARIABLES, "NO_PROXY", shown=False)
        what = f"{named} holds no URL of a proxy: use http://HOST:PORT or socks5://HOST:PORT"
    raise ClientUnusable(what)


def _has_no_host(proxy: str | None) -> bool:
    """Return whether it is a URL without a host. httpx2 itself refuses anything that is not a URL."""
    if not proxy:
        return False
    try:
        return not host_of_proxy(proxy)
    except ValueError:
        return False


_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def _set(*names: str, shown: bool) -> str:
    """Return the variables among these that are set; the first if none is, because system settings apply."""
    found = [name for each in names for name in (each, each.lower()) if os.environ.get(name)] or [names[0]]
    return " or ".join(f"{each}={os.environ.get(each)!r}" if shown else each for each in found)


_OTHER_LOOP_S = 2.0  # the longest wait for another thread's event loop


class _LoopClient:
    """An httpx2 client that is closed at the end of the event loop in which this was made."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self._process = _process.number
        self._end = _closed_at_the_end(http)
        with suppress(StopIteration):
            self._end.__anext__().send(None)  # it begins without waiting for anything

    @property
    def is_usable(self) -> bool:
        return not self.http.is_closed and self._process == _process.number

    async def close(self) -> None:
        await self._end.aclose()


async def _closed_at_the_end(http: httpx2.AsyncClient) -> AsyncGenerator[None]:
    """Close the client when the event loop ends: `asyncio.run` closes the generators that were started in it."""
    try:
        yield
    finally:
        await http.aclose()


# --- forks and event loops ------------------------------------------------------------------------


class _Process:
    """A number that distinguishes a process from those that it was forked from."""

    number = 0

    def fork(self) -> None:
        self.number += 1


_process = _Process()
if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_process.fork)

_AnyHttp = httpx2.Client | httpx2.AsyncClient
_Home = tuple[int, "weakref.ref[Loop] | None"]
_homes: weakref.WeakKeyDictionary[_AnyHttp, _Home] = weakref.WeakKeyDictionary()
"""The process and the event loop in which each of the callers' clients was first used here."""


def _require_usable(http: _AnyHttp, loop: Loop | None) -> None:
    if http.is_closed:
        raise ClientUnusable("the httpx2 client that it was given is closed")
    process, first_loop = _homes.setdefault(http, (_process.number, None if loop is None else weakref.ref(loop)))
    if process != _process.number:
        raise ClientUnusable(
            "the httpx2 client that it was given has connections of the parent process; make one after the fork"
        )
    if first_loop is not None and first_loop() is not loop:
        raise ClientUnusable(
            "the httpx2 client that it was given has connections of another event loop; give one for each loop, or none"
        )
