"""`Webhooks`: receive a service's deliveries, and record the statuses that they report.

It does not interpret a report: the journal compares it with the lifecycle. A webhook may be lost, and the receiving
process may die before it calls `on_report`. Webhooks are a faster channel than polling, but they do not replace it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, cast

from lifecycle.errors import AdapterError, UnknownName, UnreadableRecord, shortened
from lifecycle.journal import Delivery, Journal, Report, ReportEntry, TaskReport, checked_clock, name_fault
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.argument_checks import header_pairs, require, require_function, require_number
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.requests import quoted_id
from lifecycle_adapters.http.webhook_binding import StatusUpdate, WebhookBinding
from lifecycle_adapters.services.registry import service as service_of
from lifecycle_adapters.webhooks.asgi import Receive, Scope, Send, confirm_lifespan, read, respond
from lifecycle_adapters.webhooks.deliveries import WebhookEvent, parse
from lifecycle_adapters.webhooks.signatures import (
    MAX_BODY_BYTES,
    Headers,
    Secret,
    SignedFacts,
    required,
    signers,
    verified,
)
from lifecycle_adapters.webhooks.webhook_errors import BadBody, BodyTooLarge, WebhookError

_log = logging.getLogger("lifecycle_adapters.webhooks")


class DeliveryOutcome(StrEnum):
    """The outcome of a delivery."""

    RECORDED = "recorded"  # recorded together with its report
    NOTED = "noted"  # recorded; this kind of event reports no status of a task
    REPLAYED = "replayed"  # already recorded before, by what the service signs; not recorded again
    REFUSED = "refused"  # not genuine or malformed; nothing was recorded
    NOT_APPLIED = "not_applied"  # recorded without its report, because the task's journal cannot be read
    FAILED = "failed"  # the journal failed; the service should send it again


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery's outcome, and the HTTP status code to return.

    The code is 200 also for a replay, and for a delivery whose report could not be applied, because a service sends a
    delivery again after any other code. `task_id` is the id under which the report is recorded, `entry` the recorded
    report with its observation; both are None unless a report was recorded. `error` is the reason of a refusal, of a
    report that was not applied, or of the journal's failure.
    """

    status_code: int
    outcome: DeliveryOutcome
    event: WebhookEvent | None = None
    task_id: str | None = None
    entry: ReportEntry[Any, Any] | None = None
    error: AdapterError | UnreadableRecord | None = field(default=None, compare=False)


_MAX_WARNED = 64  # unknown statuses that are remembered; a service can invent any number of them


def _now() -> datetime:
    return datetime.now(UTC)


class Webhooks:
    """A receiver of a service's webhooks: call `receive`, or use it as an ASGI application.

    Add it to an application of Starlette or FastAPI as a route, for requests to `/webhooks`:
    `app.router.routes.append(Route("/webhooks", webhooks))`. A mount serves `/webhooks/` and below; those frameworks
    redirect `/webhooks`, and a service that sends webhooks may not follow redirects.

    `on_report(task_id, entry)` is called for every recorded report. If `entry.unconfirmed` is true, only a read of
    the task shows whether the report is new or late, so read the task. `receive` calls it in its own thread, the ASGI
    application in the event loop, so it must not block. Its exceptions are logged, because the delivery is already
    recorded and would be a replay if it were sent again.

    `on_session(session_id)` is called for every recorded delivery that names only a session (`session_kinds` of the
    service's `WebhookBinding`; v4's `session.status.update`). A delivery may be late, and its status that of an
    earlier task, so it is not a report: read the session's latest task. It is called like `on_report`.

    A delivery is known by what the service signs: its id; if it signs none, its time and its body; otherwise its body.
    So two deliveries with equal bodies are both recorded if their signed ids or times differ.

    Args:
        service: the service, by its name ("v2") or its binding, which declares its webhooks.
        secret: the webhook's secret or token, or several during a rotation.
        journal: the journal that records deliveries and reports, each once.
        lifecycle: the lifecycle of the reported tasks; that of the service if omitted.
        clock: returns the present time, timezone-aware.
        max_body_bytes: the largest accepted body; a larger one is refused and not read.
        on_report: the callback for recorded reports.
        on_session: the callback for deliveries that name only a session.
    Raises:
        UnknownName: there is no such service, or the lifecycle does not declare the channel of its webhooks.
        ValueError: the service declares no webhooks; its binding has parameters that are not filled in, without which
            its lifecycle is not that of a client (`HttpBinding.with_parameters`); `lifecycle` has a command for which
            the service has no call, or is of another scope than the binding; `on_session` is given for a service whose
            deliveries all name a task; there is no secret, or one is empty, cannot be encoded in UTF-8, is not base64
            although the service's are, or is a token that no header can carry; or the time of `clock` has no zone, or
            is not in the years 2 to 9998.
        TypeError: a secret is not a string, a callback is a coroutine function, or another argument has the wrong type.
    """

    def __init__(
        self,
        service: str | HttpBinding[Any, Any],
        *,
        secret: Secret,
        journal: Journal,
        lifecycle: Lifecycle[Any, Any] | None = None,
        clock: Callable[[], datetime] = _now,
        max_body_bytes: int = MAX_BODY_BYTES,
        on_report: Callable[[str, ReportEntry[Any, Any]], object] | None = None,
        on_session: Callable[[str], object] | None = None,
    ) -> None:
        binding = _binding_of(service)
        webhooks = None if isinstance(binding, Exception) else binding.webhooks
        made = signers(secret, None if webhooks is None else webhooks.signature)
        del secret  # a traceback shows the variables of its frames
        if isinstance(binding, Exception):
            raise binding
        if webhooks is None:
            raise ValueError(f"{binding.name!r} declares no webhooks: its binding needs `webhooks`, a WebhookBinding")
        if binding.parameters:
            raise ValueError(
                f"{binding.name!r} needs {', '.join(binding.parameters)}: fill the binding `with_parameters`"
            )
        self._signers = required(made)
        require(journal, Journal, "journal must be a journal, such as SqlJournal('j.db')")
        require_function(on_report, "on_report", "reports")
        require_function(on_session, "on_session", "sessions")
        if on_session is not None and not webhooks.session_kinds:
            raise ValueError(f"{binding.name!r} has no deliveries that name only a session: leave out on_session")
        require_number(max_body_bytes, "max_body_bytes", kind=int, at_least=1)
        self._service = binding.name
        self._keeps_slashes = binding.ids_have_slashes
        self._webhooks: WebhookBinding = webhooks
        self._lifecycle: Lifecycle[Any, Any] = binding.in_scope(binding.governed_by(lifecycle))
        self._lifecycle.statuses(channel=webhooks.channel)
        self._journal = journal
        self._clock = checked_clock(clock)
        self._max_body_bytes = max_body_bytes
        self._on_report = on_report
        self._on_session = on_session
        self._unknown: deque[int] = deque(maxlen=_MAX_WARNED)

    def receive(self, body: bytes, headers: Mapping[str, str]) -> Received:
        """Verify, parse and record a delivery, and return the outcome; block until the journal has written it.

        An invalid delivery or a failing journal raises nothing: the result holds the error.

        Raises:
            TypeError: `body` is not bytes as they were received, or `headers` is not a mapping of texts to texts (of
                any class with `items`); both are errors of the calling program.
        """
        require(body, bytes | bytearray | memoryview, "body must be the bytes of the request, before any parsing")
        pairs = header_pairs(headers)
        body = bytes(body)
        received = self._record(body, pairs)
        self._notify(received)
        return received

    def _record(self, body: bytes, headers: Headers) -> Received:
        now = self._clock()
        try:
            signed = self._verified(body, headers, now)
            sent_at = signed.sent_at or now
            event = parse(body, self._webhooks)
            task_id = None if event.update is None else event.update.task_id
            if task_id is not None and quoted_id(task_id, keeps_slashes=self._keeps_slashes) is None:
                raise BadBody("the task's id is one that no request can carry")
            session_id = event.session_id
            if session_id is not None and (quoted_id(session_id) is None or name_fault("session id", session_id)):
                raise BadBody("the session's id is one that no request can carry")
            reports = [] if event.update is None else [self._report(event.update, sent_at, now)]
        except WebhookError as error:
            return _refusal(error)
        # Several receivers may share a journal and get the same delivery.
        delivery_id = f"{self._lifecycle.name}/{self._service}/{_identity(event, signed)}"
        try:
            entries = self._journal.receive(Delivery(delivery_id, event.kind, sent_at, body.decode()), reports)
        except ValueError:  # for example an id of 10 kB, which a retry would not shorten
            return _refusal(BadBody("a name in the body is too long for the journal"))
        except AdapterError as error:
            # Log no traceback: a database's error shows the values to be stored.
            _log.error("a webhook could not be recorded", extra={"kind": event.kind, "error": str(error)})
            return Received(HTTPStatus.SERVICE_UNAVAILABLE, DeliveryOutcome.FAILED, event, error=error)
        if entries is None:
            return Received(HTTPStatus.OK, DeliveryOutcome.REPLAYED, event)
        if not reports:
            return Received(HTTPStatus.OK, DeliveryOutcome.NOTED, event)
        (entry,) = entries
        if isinstance(entry, UnreadableRecord):
            _log.error("a webhook's report could not be applied", extra={"kind": event.kind, "error": str(entry)})
            return Received(HTTPStatus.OK, DeliveryOutcome.NOT_APPLIED, event, error=entry)
        return Received(HTTPStatus.OK, DeliveryOutcome.RECORDED, event, reports[0].task_id, entry)

    def _verified(self, body: bytes, headers: Headers, now: datetime) -> SignedFacts:
        scheme = self._webhooks.signature
        return verified(body, headers, scheme, signers=self._signers, now=now, max_body_bytes=self._max_body_bytes)

    def _report(self, update: StatusUpdate, sent_at: datetime, now: datetime) -> TaskReport:
        as_of = min(update.at or sent_at, now)  # a time in the future means that the clocks differ
        return TaskReport(self._lifecycle, update.task_id, Report(update.status, as_of, self._webhooks.channel))

    def _notify(self, received: Received) -> None:
        """Log a delivery, and call `on_report` with its report, or `on_session` with its session."""
        if received.event is not None:
            facts = {"kind": received.event.kind, "outcome": str(received.outcome), "task_id": received.task_id}
            _log.info("a webhook arrived", extra=facts)
            if received.outcome is DeliveryOutcome.NOTED and received.event.session_id is not None:
                _call_back("on_session", self._on_session, received.event.session_id)
        if received.task_id is None or received.entry is None:
            return
        self._warn_of_unknown(received.entry.report.status, received.task_id)
        _call_back("on_report", self._on_report, received.task_id, received.entry)

    def _warn_of_unknown(self, status: str, task_id: str) -> None:
        known = self._lifecycle.state_of(status, channel=self._webhooks.channel) is not None
        digest = hash(status)
        if known or digest in self._unknown:
            return
        self._unknown.append(digest)
        facts = {"lifecycle": self._lifecycle.name, "task_id": task_id, "status": status}
        _log.warning("a webhook has an unknown status", extra=facts)

    # --- as an ASGI application ---

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; only POST is allowed, and the response's JSON reveals no details."""
        if scope["type"] == "lifespan":
            await confirm_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._handle_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            raise RuntimeError(f"this ASGI application serves HTTP, not {shortened(scope['type'])}")

    async def _handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await respond(send, HTTPStatus.METHOD_NOT_ALLOWED, {"allow": "POST"})
            return
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        try:
            body = await read(dict(headers), receive, self._max_body_bytes)
        except BodyTooLarge as error:
            # The rest of the body is unread, so close the connection. HTTP/2 shares it and forbids the header.
            closing = {"connection": "close"} if scope.get("http_version", "1.1").startswith("1") else None
            await respond(send, _refusal(error).status_code, closing)
            return
        if body is None:
            return  # the sender disconnected
        received = await asyncio.to_thread(self._record, body, headers)  # a journal may wait for its disk
        self._notify(received)
        await respond(send, received.status_code)


def _call_back(name: str, callback: Callable[..., object] | None, about: str, *facts: object) -> None:
    if callback is None:
        return
    try:
        callback(about, *facts)
    except Exception:  # noqa: BLE001  # the callback is the user's code
        _log.exception("a callback failed", extra={"callback": name, "about": about})


def _binding_of(service: object) -> HttpBinding[Any, Any] | Exception:
    """Return the binding of a service; an error is returned, to be raised in a frame that holds no secret."""
    try:
        return service_of(service) if isinstance(service, str) else _require_binding(service)
    except (UnknownName, TypeError) as error:
        return error.with_traceback(None)


def _require_binding(service: object) -> HttpBinding[Any, Any]:
    require(service, HttpBinding, "service must be a name such as 'v2', or an HttpBinding")
    return cast("HttpBinding[Any, Any]", service)


def _identity(event: WebhookEvent, signed: SignedFacts) -> str:
    """Return what a delivery is known by: its signed id, otherwise its signed time and its body, otherwise its body."""
    if signed.delivery_id is not None:
        return f"id/{hashlib.sha256(signed.delivery_id.encode()).hexdigest()}"  # as short for every id
    return event.id if signed.sent_at is None else f"{signed.sent_at.timestamp():.0f}/{event.id}"


def _refusal(error: WebhookError) -> Received:
    _log.warning("a webhook was refused", extra={"reason": type(error).__name__, "error": str(error)})
    return Received(error.status_code, DeliveryOutcome.REFUSED, error=error)
