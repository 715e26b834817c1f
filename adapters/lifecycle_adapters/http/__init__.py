"""Lifecycles over HTTP: tables of requests, and the clients that send them.

Bindings need no HTTP client; `Client` and `AsyncClient` need the extra
`http`, which is imported when one of them is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lifecycle_adapters.http.authentication import Authentication, KeyVariable
from lifecycle_adapters.http.binding import HttpBinding, Proof, SessionCalls
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.http.envelope import Envelope
from lifecycle_adapters.http.handshake import Handshake
from lifecycle_adapters.http.http_errors import (
    ClientUnusable,
    FieldError,
    Forbidden,
    HandshakeFailed,
    HttpError,
    InvalidResponse,
    KeyUnavailable,
    MessageNotRun,
    NoResponse,
    NoTaskMade,
    NotConnected,
    NotFound,
    RateLimited,
    Redirected,
    RequestRejected,
    ResponseError,
    ServerError,
    Unauthorized,
)
from lifecycle_adapters.http.requests import Request
from lifecycle_adapters.http.retired import Retired, RetiredServiceWarning
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.http.webhook_binding import (
    A2A_TOKEN,
    BEARER,
    BROWSER_USE,
    GITHUB,
    STANDARD_WEBHOOKS,
    STRIPE,
    SignatureScheme,
    StatusUpdate,
    TokenScheme,
    WebhookBinding,
)
from lifecycle_adapters.procedures.call_errors import CallError, DetailsTimedOut

if TYPE_CHECKING:
    from lifecycle_adapters.http.client import AsyncClient, Client
    from lifecycle_adapters.http.task_handles import AsyncSession, AsyncTask, Session, Task
    from lifecycle_adapters.procedures.governed_creates import RecoveredCreate
    from lifecycle_adapters.procedures.governed_task import Recovered, TaskResult
    from lifecycle_adapters.procedures.task_summary import TaskSummary
    from lifecycle_adapters.procedures.timing import Timing

__all__ = [
    "A2A_TOKEN",
    "BEARER",
    "BROWSER_USE",
    "GITHUB",
    "STANDARD_WEBHOOKS",
    "STRIPE",
    "AsyncClient",
    "AsyncSession",
    "AsyncTask",
    "Authentication",
    "Call",
    "CallError",
    "Client",
    "ClientUnusable",
    "DetailsTimedOut",
    "Envelope",
    "FieldError",
    "Forbidden",
    "Handshake",
    "HandshakeFailed",
    "HttpBinding",
    "HttpError",
    "InvalidResponse",
    "KeyUnavailable",
    "KeyVariable",
    "ListCall",
    "MessageNotRun",
    "NoResponse",
    "NoTaskMade",
    "NotConnected",
    "NotFound",
    "Proof",
    "RateLimited",
    "Recovered",
    "RecoveredCreate",
    "Redirected",
    "Request",
    "RequestRejected",
    "ResponseError",
    "Retired",
    "RetiredServiceWarning",
    "ServerError",
    "Session",
    "SessionCalls",
    "SignatureScheme",
    "StatusUpdate",
    "StreamBinding",
    "Task",
    "TaskResult",
    "TaskSummary",
    "Timing",
    "TokenScheme",
    "Unauthorized",
    "WebhookBinding",
]


# What needs the extra is imported when it is first used.
_LAZY = {
    "AsyncClient": "http.client",
    "AsyncSession": "http.task_handles",
    "AsyncTask": "http.task_handles",
    "Client": "http.client",
    "Recovered": "procedures.governed_task",
    "RecoveredCreate": "procedures.governed_creates",
    "Session": "http.task_handles",
    "Task": "http.task_handles",
    "TaskResult": "procedures.governed_task",
    "TaskSummary": "procedures.task_summary",
    "Timing": "procedures.timing",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import_module(f"{__name__}.client")  # raises MissingExtra, if it is missing
        return getattr(import_module(f"lifecycle_adapters.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
