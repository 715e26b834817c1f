"""Distinction of the errors of a failed request from those that something else raised during it.

A signal handler raises at any point of the program, often during a request: Celery's and RQ's time limits are
exceptions of their own classes. If such a limit counted as a failure of the transport, it would be lost and the
request repeated. So a failed request is recognised by the class of its error: those of the HTTP libraries, and the
built-in ones that these libraries and their callers' hooks raise.
"""

from __future__ import annotations

from typing import Any

_LIBRARIES = frozenset({"httpx2", "httpcore2", "h11", "h2", "hpack", "socksio", "anyio", "asyncio", "zlib"})
_BUILT_IN = (
    *(OSError, RuntimeError, ValueError, TypeError, AttributeError),  # ssl's and the time-outs are OSErrors
    *(LookupError, AssertionError, EOFError),
)


def is_transport_failure(error: Exception) -> bool:
    """Return whether an error that was raised during a request means that the request failed."""
    group: Any = error
    if isinstance(error, ExceptionGroup):
        return all(map(is_transport_failure, group.exceptions))
    libraries = {each.__module__.partition(".")[0] for each in type(error).__mro__}
    return isinstance(error, _BUILT_IN) or not _LIBRARIES.isdisjoint(libraries)


class ResponseTooLarge(ValueError):
    """A response has more bytes than the limit."""
