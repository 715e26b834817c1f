"""Which errors say that a request failed, and which are something else's that was raised in its middle.

A handler of a signal raises wherever the program is, often in the middle of a request: Celery's and RQ's time limits
are exceptions of their own classes. Taken for a failure of the transport, such a limit would be lost, and the request
repeated. So what a transport raises is known by its class: those of the libraries that requests are sent with, and
the built-in ones that such libraries and their callers' hooks raise.
"""

from __future__ import annotations

from typing import Any

_LIBRARIES = frozenset({"httpx2", "httpcore2", "h11", "h2", "hpack", "socksio", "anyio", "asyncio", "zlib"})
_BUILT_IN = (
    *(OSError, RuntimeError, ValueError, TypeError, AttributeError),  # ssl's and the time-outs are OSErrors
    *(LookupError, AssertionError, EOFError),
)


def is_transport_failure(error: Exception) -> bool:
    """Whether an error that was raised in the middle of a request says that the request failed."""
    group: Any = error
    if isinstance(error, ExceptionGroup):
        return all(map(is_transport_failure, group.exceptions))
    libraries = {each.__module__.partition(".")[0] for each in type(error).__mro__}
    return isinstance(error, _BUILT_IN) or not _LIBRARIES.isdisjoint(libraries)
