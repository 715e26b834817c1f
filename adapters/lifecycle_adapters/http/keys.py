"""The source of a client's API key, and the servers to which it may be sent.

A caller passes a key or a function that returns one; otherwise an environment variable holds it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import PurePath
from traceback import extract_tb
from typing import Any, overload

from pydantic import SecretStr

from lifecycle.errors import MissingExtra
from lifecycle_adapters.http.authentication import fault_of_key
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.procedures.signal_errors import is_of_a_signal

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None


KeyFunction = Callable[[], str] | Callable[[str | None], str]
"""A function that returns the key. It is called before each request, by several threads if they share the client.

If it requires an argument, that is the key that the service refused with a 401, until the function returns another one;
otherwise None. If the argument has a default, as in `def key(refused=None)`, it is called without one. A function that
keeps a key should replace it only if it is the refused one, so that several threads replace it once.
"""
AsyncKeyFunction = Callable[[], str | Awaitable[str]] | Callable[[str | None], str | Awaitable[str]]
"""The same for an asynchronous client: it may be a coroutine function, and is called in the event loop."""


class KeySource:
    """A function that returns the key, with the refused key that it must replace, if there is one.

    Raises:
        TypeError: the function needs more than one argument.
    """

    def __init__(self, function: AsyncKeyFunction) -> None:
        self._function: Any = function
        self._takes_refused = _takes_refused(function)
        self._refused: SecretStr | None = None

    def call(self) -> Any:
        """Call the function, and return what it returns."""
        if not self._takes_refused:
            return self._function()
        refused = self._refused
        return self._function(None if refused is None else refused.get_secret_value())

    def note_returned(self, key: SecretStr) -> None:
        """Note the key of the next request: one that was refused is replaced by any other."""
        if self._refused != key:
            self._refused = None

    def note_refused(self, key: SecretStr) -> None:
        """Note that the service refused a key."""
        self._refused = key


def _takes_refused(function: AsyncKeyFunction) -> bool:
    """Return whether a function requires an argument, which is the refused key."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions that are built in do not show their parameters
        return False
    for arguments in ((), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise TypeError("api_key must be a function without arguments, or with one: the key that was refused, or None")


Key = SecretStr | KeySource
"""The key of a client, or the function that returns it."""


class NoKey(ValueError):
    """There is no API key to send; `why` is the reason."""

    def __init__(self, why: str) -> None:
        super().__init__(why)  # what a copy is made with
        self.why = why

    def __str__(self) -> str:
        return f"no API key: {self.why}; pass api_key=..."


class NoKeyReturned(RuntimeError):
    """The key function returned no key that can be sent. `may_pass` is True if it may return one later."""

    def __init__(self, why: str, *, may_pass: bool) -> None:
        super().__init__(f"no API key: the function given as api_key {why}")
        self.may_pass = may_pass


def sealed(api_key: str | AsyncKeyFunction | None) -> Key | None:
    """Return a key in a form that hides it in error reports, which show the variables of every frame."""
    if api_key is None:
        return None
    return KeySource(api_key) if callable(api_key) else SecretStr(api_key)


def returned_key(source: KeySource) -> SecretStr:
    """Call the function, and return its key. Raises NoKeyReturned, without any text of the function's own error."""
    found: Any = None
    failure: NoKeyReturned | None = None
    try:
        found = source.call()
    except Exception as error:  # whatever a caller's function raises
        if is_of_a_signal(error):
            raise
        failure = _failure(error)
    if inspect.iscoroutine(found):
        found.close()  # otherwise Python would warn that it was never awaited
    return _usable(found, failure, source)


async def awaited_key(source: KeySource) -> SecretStr:
    """Call the function, await its result if needed, and return the key. Raises NoKeyReturned like `returned_key`."""
    found: Any = None
    failure: NoKeyReturned | None = None
    try:
        found = source.call()
        if inspect.isawaitable(found):
            found = await found
    except Exception as error:  # whatever a caller's function raises
        if is_of_a_signal(error):
            raise
        failure = _failure(error)
    return _usable(found, failure, source)


def _failure(error: Exception) -> NoKeyReturned:
    """Return our error for the function's error, with its class and place only: its text may hold the key."""
    frames = extract_tb(error.__traceback__)
    place = f" ({PurePath(frames[-1].filename).name}:{frames[-1].lineno})"
    return NoKeyReturned(
        f"raised {type(error).__name__}{place}", may_pass=isinstance(error, OSError | httpx2.RequestError)
    )


def _usable(found: Any, failure: NoKeyReturned | None, source: KeySource) -> SecretStr:
    if failure is not None:
        raise failure
    key = SecretStr(found)
    refuse = _examined(key)
    if refuse is not None:
        raise NoKeyReturned(f"returned none that can be sent: {getattr(refuse, 'why', refuse)}", may_pass=False)
    source.note_returned(key)
    return key


@overload
def usable_key(binding: HttpBinding[Any, Any], base_url: str, given: SecretStr | None = None) -> SecretStr: ...


@overload
def usable_key(binding: HttpBinding[Any, Any], base_url: str, given: Key | None) -> Key: ...


def usable_key(binding: HttpBinding[Any, Any], base_url: str, given: Key | None = None) -> Key:
    """Return the key to send to the server at `base_url`, or its function; "" if the service takes none.

    A key that the caller gives is sent to any server. The one in the service's environment variable is sent only
    to the server that it is for, and to this machine.

    Raises:
        NoKey: there is none, or the one in the environment is for another server.
        ValueError: the service takes none, or no header can carry it.
        TypeError: the key is not text.
    """
    if binding.authentication is None:
        if given is not None:
            raise ValueError(f"{binding.name} takes no API key")
        return SecretStr("")
    key = _from_environment(binding, base_url) if given is None else given
    if not isinstance(key, SecretStr):
        return key
    refuse = _examined(key)
    if refuse is not None:
        raise refuse
    return key


def _examined(secret: SecretStr) -> Exception | None:
    """Return the error of a key that cannot be used; it is not raised here, where the key is in a variable."""
    key: Any = secret.get_secret_value()
    return NoKey("it is empty") if key == "" else fault_of_key(key)


def _from_environment(binding: HttpBinding[Any, Any], base_url: str) -> SecretStr:
    variable = binding.key_variable
    if variable is None:
        raise NoKey(f"{binding.name!r} names no environment variable that holds one")
    if not os.environ.get(variable.name):
        raise NoKey(f"{variable.name} is {without_value(variable.name)}")
    if not (is_this_machine(base_url) or _origin(base_url) == _origin(variable.server)):
        raise NoKey(f"the one in {variable.name} is for {variable.server} and is not sent to {base_url}")
    return SecretStr(os.environ[variable.name])


def without_value(variable: str) -> str:
    """Say what an environment variable is that has no key: "not set" or "empty"."""
    return "empty" if variable in os.environ else "not set"


def is_this_machine(url: str) -> bool:
    """Return whether a server is reached through loopback. Raises ValueError if the URL cannot name a server."""
    _, host, _ = _origin(url)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return the scheme, host and port to connect to; no port if it is the scheme's default."""
    try:
        parts = httpx2.URL(url)
        return parts.scheme, parts.raw_host.decode().encode("idna").decode(), parts.port  # as the socket will
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ValueError(f"base_url {url[:80]!r}: {error}") from None
