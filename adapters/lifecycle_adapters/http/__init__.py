"""Lifecycles over HTTP: tables of requests, and the clients that send them.

The tables (`wire`, `v1` to `v4`) need no HTTP client; `Client` and `AsyncClient` need the extra
`http`, which is asked for when one of them is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle_adapters.http.errors import (
    AnswerError,
    BadAnswer,
    ClientUnusable,
    DetailsTimedOut,
    FieldError,
    HttpError,
    NoAnswer,
    NotAuthenticated,
    NotConnected,
    NotFound,
    NotPermitted,
    RateLimited,
    RequestRefused,
    ServiceFailed,
)
from lifecycle_adapters.http.services import register, service, services
from lifecycle_adapters.http.wire import Authentication, Call, KeyVariable, Listing, Proof, Request, Wire

if TYPE_CHECKING:
    from lifecycle_adapters.http.client import AsyncClient, AsyncTask, Client, Task
    from lifecycle_adapters.http.creating import RecoveredCreate
    from lifecycle_adapters.http.exchange import Recovered, TaskResult
    from lifecycle_adapters.http.listing import Listed
    from lifecycle_adapters.http.timing import Timing

__all__ = [
    "AnswerError",
    "AsyncClient",
    "AsyncTask",
    "Authentication",
    "BadAnswer",
    "Call",
    "Client",
    "ClientUnusable",
    "DetailsTimedOut",
    "FieldError",
    "HttpError",
    "KeyVariable",
    "Listed",
    "Listing",
    "NoAnswer",
    "NotAuthenticated",
    "NotConnected",
    "NotFound",
    "NotPermitted",
    "Proof",
    "RateLimited",
    "Recovered",
    "RecoveredCreate",
    "Request",
    "RequestRefused",
    "ServiceFailed",
    "Task",
    "TaskResult",
    "Timing",
    "Wire",
    "register",
    "service",
    "services",
]


def __getattr__(name: str) -> Any:
    # What needs the extra is imported when it is first asked for.
    if name in __all__:
        import lifecycle_adapters.http.client as needs_extra

        return getattr(needs_extra, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
