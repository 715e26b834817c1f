"""Lifecycles over HTTP: tables of requests, and the clients that send them.

The tables (`binding`, `v1` to `v4`) need no HTTP client; `Client` and `AsyncClient` need the extra
`http`, which is asked for when one of them is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle_adapters.http.binding import Authentication, Call, HttpBinding, KeyVariable, ListCall, Proof, Request
from lifecycle_adapters.http.http_errors import (
    ClientUnusable,
    DetailsTimedOut,
    FieldError,
    Forbidden,
    HttpError,
    InvalidResponse,
    NoResponse,
    NotConnected,
    NotFound,
    RateLimited,
    RequestRejected,
    ResponseError,
    ServerError,
    Unauthorized,
)
from lifecycle_adapters.http.services import register, service, services

if TYPE_CHECKING:
    from lifecycle_adapters.http.client import AsyncClient, AsyncTask, Client, Task
    from lifecycle_adapters.http.creates import RecoveredCreate
    from lifecycle_adapters.http.exchange import Recovered, TaskResult
    from lifecycle_adapters.http.paginator import TaskSummary
    from lifecycle_adapters.http.timing import Timing

__all__ = [
    "AsyncClient",
    "AsyncTask",
    "Authentication",
    "Call",
    "Client",
    "ClientUnusable",
    "DetailsTimedOut",
    "FieldError",
    "Forbidden",
    "HttpBinding",
    "HttpError",
    "InvalidResponse",
    "KeyVariable",
    "ListCall",
    "NoResponse",
    "NotConnected",
    "NotFound",
    "Proof",
    "RateLimited",
    "Recovered",
    "RecoveredCreate",
    "Request",
    "RequestRejected",
    "ResponseError",
    "ServerError",
    "Task",
    "TaskResult",
    "TaskSummary",
    "Timing",
    "Unauthorized",
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
