"""The errors of requests: each way in which one can fail has a class.

    AdapterError
    └── CallError                     .may_pass .state
        └── HttpError                 .method .path .rpc_method
            ├── ResponseError         no 2xx, or an error in one: .status_code .code .detail .fields .retry_after_s
            │   ├── Unauthorized      401
            │   ├── Forbidden         403
            │   ├── NotFound          404
            │   ├── RateLimited       429
            │   ├── Redirected        300 to 304 in response to a command or a create: it may have been done
            │   ├── RequestRejected   any other 3xx or 4xx; a 404 if the request names no task
            │   └── ServerError       408, 5xx
            ├── InvalidResponse       a 2xx that is not JSON, lacks a field, is too large or about another task
            ├── NoTaskMade            a create, after which there is no task: .response
            ├── NoResponse            sent, and no response came: time-out, connection lost
            ├── NotConnected          no connection was made; nothing was sent
            ├── HandshakeFailed       the service refused the handshake, or requires a new one; the request did nothing
            └── KeyUnavailable        the function that returns the API key returned none; nothing was sent

Three more are not HttpErrors: `MessageNotRun`, an AdapterError about a message that became no task of its session,
`ClientUnusable`, an AdapterError of a client that can send nothing here, and `DetailsTimedOut`, a WaitTimedOut for a
task that is at rest.

No message and no attribute ever holds an API key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.errors import AdapterError, plain_id, shortened
from lifecycle_adapters.procedures.call_errors import CallError


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that the service did not accept: `where` is a path such as `query.task_id`."""

    where: str
    message: str
    kind: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class HttpError(CallError):
    """A request without a usable response.

    `.rpc_method` is the method of JSON-RPC that the request called, None if it called none: all have one path there.
    """

    def __init__(self, what: str, *, method: str, path: str, rpc_method: str | None = None) -> None:
        self.method = method
        self.path = path
        self.rpc_method = rpc_method
        super().__init__(f"{rpc_method or f'{method} {path}'}: {what}")


class ResponseError(HttpError):
    """A response other than 2xx, or with an error. `.fields` lists every field that it named.

    `.code` is the code of an error in the body, such as JSON-RPC's, None if there is none that is an integer; in a 2xx
    `.status_code` is what it means by the binding, and the message shows the code of the response (`within`).
    `.retry_after_s` is the pause that the response asked for, in seconds; None if it asked for none.
    """

    may_pass = False
    retry_after_s: float | None = None

    def __init__(
        self,
        *,
        method: str,
        path: str,
        rpc_method: str | None = None,
        status_code: int,
        within: int | None = None,
        code: int | None = None,
        detail: str,
        fields: Sequence[FieldError] = (),
    ) -> None:
        self.status_code = status_code
        self.code = code
        self.detail = detail
        self.fields = tuple(fields)
        came = f"HTTP {status_code}" if within is None else f"HTTP {within} with an error"
        kind = came if code is None else f"error {code}"
        super().__init__(f"{kind}: {detail}", method=method, path=path, rpc_method=rpc_method)


class Unauthorized(ResponseError):
    """401: the key is missing or not accepted."""


class Forbidden(ResponseError):
    """403: the key does not allow this."""


class NotFound(ResponseError):
    """404: there is no such task or session, or it has not what the request asks for."""


class RateLimited(ResponseError):
    """429, for longer than the client may wait."""

    may_pass = True


class Redirected(ResponseError):
    """300 to 304 in response to a command or a create: it may have been done, and its result may be elsewhere."""


class RequestRejected(ResponseError):
    """Any other 3xx or 4xx, also 404 if the request names no task, as a create: the service refused the request."""


class ServerError(ResponseError):
    """408 or 5xx: the service failed, and may have carried out the request anyway."""

    may_pass = True


class InvalidResponse(HttpError):
    """A response that cannot be used: not JSON, a key twice, a field missing, too large, or about another task."""


class NoTaskMade(HttpError):
    """The service responded to a create without making a task: it did the work at once, or needs something first.

    `.response` is its response. The create is over, and another one with its idempotency key is sent again.
    """

    may_pass = False

    def __init__(self, response: Mapping[str, Any], *, method: str, path: str, rpc_method: str | None = None) -> None:
        self.response = response
        what = "the service made no task: `.response` says what it did"
        super().__init__(what, method=method, path=path, rpc_method=rpc_method)


class NoResponse(HttpError):
    """The request was sent and no response came."""


class NotConnected(HttpError):
    """No connection was made; nothing was sent."""


class HandshakeFailed(HttpError):
    """The service refused the handshake, or requires a new one; it did not carry out the request."""


class KeyUnavailable(HttpError):
    """The function given as `api_key` returned no key that can be sent; nothing was sent."""


class MessageNotRun(AdapterError):
    """A message that was queued in a session has ended in `.state`, and became no task: its text was not carried out.

    `.message` is its id, `.lifecycle` the name of its lifecycle, which has the session's id.
    """

    def __init__(self, *, lifecycle: str, message: str, state: str) -> None:
        self.lifecycle = lifecycle
        self.message = message
        self.state = state
        super().__init__(
            f"{lifecycle} message {plain_id(message)} became no task of its session: it is {shortened(state)}"
        )


class ClientUnusable(AdapterError, RuntimeError):
    """The client is closed, or its httpx2 client belongs to another process or event loop.

    Raised before anything is sent or recorded.
    """
