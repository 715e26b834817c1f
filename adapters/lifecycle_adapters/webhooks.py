"""Webhooks: verify a delivery of a service, parse it, and record the status that it reports.

`verify` and `parse` are plain functions for any framework. `Webhooks.receive` calls both and records the report; a
`Webhooks` is also an ASGI application to mount. This module does not interpret a report: the journal compares it with
the lifecycle. `sign` computes the headers of a delivery, for services that use the same scheme.

Facts, and their sources:

- Two headers, `X-Browser-Use-Timestamp` (Unix seconds, the time of sending) and `X-Browser-Use-Signature`
  (hex HMAC-SHA256 of `{timestamp}.{body}` keyed with the secret); 300 s; the shape of the body:
  Browser Use Cloud, "Webhooks" (2026-03-16 and later; earlier pages named another header).
- `body` is the whole JSON document, serialized again with sorted keys and without spaces. That page's Python and
  browser-use-sdk 2.0.6 to 2.0.15 (`lib/webhooks.py`) escape all characters that are not ASCII, its TypeScript
  (`JSON.stringify`) escapes none of them: both forms are accepted. The SDK up to 2.0.4 signed only the inner
  `payload`, which was corrected; from 3.0 on it has no such function.
- The signature therefore covers the document and not its bytes: spaces and the order of keys may change.
- Event types: `agent.task.status_update`, and `test` for the ping when a webhook is set up. Others may follow.

A webhook may be lost, and the receiving process may die before it calls `on_report`. Webhooks are a faster channel
than polling, but they do not replace it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal, cast, get_args

from lifecycle.conformance import Channel
from lifecycle.errors import AdapterError, UnreadableRecord, shortened
from lifecycle.journal import Delivery, Journal, Report, ReportEntry, TaskReport, check_clock
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.argument_checks import (
    require,
    require_aware,
    require_callback,
    require_lifecycle,
    require_number,
)

TIMESTAMP_HEADER = "X-Browser-Use-Timestamp"
SIGNATURE_HEADER = "X-Browser-Use-Signature"
STATUS_UPDATE = "agent.task.status_update"
LONGEST_AGE_S = 300
MAX_BODY_BYTES = 65_536

Secret = str | Sequence[str]
"""One secret, or all valid ones: during a rotation, the old and the new one."""

Subject = Literal["task", "session"]
"""The subject of an update's status: its task, or its session if the lifecycle is a session's."""

_log = logging.getLogger(__name__)

# --- errors of a delivery ---------------------------------------------------------------------------


class WebhookError(AdapterError):
    """A delivery was refused. No message contains a secret or any part of a body.

    WebhookError
    ├── BadSignature    a header is missing or malformed, or no secret gives this signature
    ├── StaleTimestamp  the time stamp is more than 300 s old or in the future
    ├── BadBody         the body is not a webhook's JSON
    └── BodyTooLarge    the body is larger than allowed; it was not read
    """

    status_code = HTTPStatus.BAD_REQUEST


class BadSignature(WebhookError):
    """A header is missing or malformed, or no secret gives this signature."""

    status_code = HTTPStatus.UNAUTHORIZED


class StaleTimestamp(WebhookError):
    """The time stamp is more than 300 s old or in the future; `.age_s` is negative for the future."""

    status_code = HTTPStatus.UNAUTHORIZED

    def __init__(self, age_s: float) -> None:
        self.age_s = age_s
        super().__init__(f"the time stamp is {age_s:.0f} s old; at most {LONGEST_AGE_S} s, past or future, are allowed")


class BadBody(WebhookError):
    """The body is not a webhook's JSON."""


class BodyTooLarge(WebhookError):
    """The body is larger than `.max_bytes`; it was not read."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"the body is larger than {max_bytes} bytes")


# --- the contents of a delivery ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A status that a service pushed.

    `at` is the time at which the task entered it (UTC). An id is None if the service sent none. `metadata` is the
    creator's metadata of the task, unchanged.
    """

    at: datetime
    status: str
    task_id: str | None
    session_id: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A parsed body. Equal bodies have equal ids; `update` is None if the kind is not a status update."""

    id: str
    kind: str
    update: StatusUpdate | None


def parse(body: bytes) -> WebhookEvent:
    """Return the event in a body. Unknown fields are ignored. The signature is not checked; call `verify` for that.

    Raises:
        BadBody: the body is not UTF-8 or not a JSON object; it has a duplicate key, a number that JSON cannot
            represent, or too many levels; an update has no time stamp or no status; or a name is empty or contains
            a character that databases cannot store.
    """
    document = _document(body)
    kind = _text(document, "type")
    update = _update(document) if kind == STATUS_UPDATE else None
    return WebhookEvent(hashlib.sha256(_canonical(document)).hexdigest(), kind, update)


def verify(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secret: Secret,
    now: datetime,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> datetime:
    """Verify a delivery's signature and return the time at which it was sent (UTC).

    Args:
        body: the unchanged body.
        headers: the request's headers, with names in any case.
        secret: one secret or several; the signature must match any of them.
        now: the present time, timezone-aware.
        max_body_bytes: the largest accepted body.
    Raises:
        BodyTooLarge: the body is larger than `max_body_bytes`.
        StaleTimestamp: the time stamp differs from `now` by more than 300 s.
        BadBody: the body is not a JSON object in UTF-8.
        BadSignature: a header is missing or malformed, or no secret gives this signature.
        ValueError: there is no secret, or one is empty or cannot be encoded in UTF-8.
        TypeError: a secret is not a string.
    """
    signers = _signers(secret)
    del secret  # a traceback shows the variables of its frames
    return _verified(body, headers, _required(signers), now, max_body_bytes)


def _verified(
    body: bytes, headers: Mapping[str, str], signers: Sequence[hmac.HMAC], now: datetime, max_body_bytes: int
) -> datetime:
    if len(body) > max_body_bytes:
        raise BodyTooLarge(max_body_bytes)
    timestamp, signature = _header(headers, TIMESTAMP_HEADER), _header(headers, SIGNATURE_HEADER)
    if not _SECONDS.fullmatch(timestamp):
        raise BadSignature(f"{TIMESTAMP_HEADER} is missing or not a number of seconds")
    age_s = now.timestamp() - int(timestamp)
    if abs(age_s) > LONGEST_AGE_S:
        raise StaleTimestamp(age_s)
    document = _document(body)
    texts = {_canonical(document), _canonical(document, escaped=False)}
    given = signature.encode("utf-8", "surrogatepass")  # compare_digest accepts strings only if they are ASCII
    made = [_signature(signer, timestamp, text) for signer in signers for text in texts]
    if not sum(hmac.compare_digest(each, given) for each in made):  # compare all: the time must not reveal a match
        raise BadSignature("no secret gives this signature")
    return datetime.fromtimestamp(int(timestamp), UTC)


def sign(body: bytes, *, secret: str, sent_at: datetime) -> dict[str, str]:
    """Return the two headers for a body: its time stamp and its signature.

    Raises:
        BadBody: the body is not a JSON object in UTF-8.
        ValueError: the secret is empty or cannot be encoded in UTF-8; or `sent_at` has no time zone.
        TypeError: the secret is not a string, or `sent_at` is not a datetime.
    """
    signers = _signers(secret, several=False)
    del secret  # a traceback shows the variables of its frames
    (signer,) = _required(signers)
    require_aware(sent_at, "sent_at")
    timestamp = str(int(sent_at.timestamp()))
    signature = _signature(signer, timestamp, _canonical(_document(body))).decode()
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature}


_SECONDS = re.compile(r"[0-9]{1,12}")  # `int` also accepts signs, spaces and other scripts, which no service sends


def _signers(secret: object, *, several: bool = True) -> list[hmac.HMAC] | Exception:
    """Return a signer for each secret. The secrets themselves are not kept, so that no error can show them.

    An error is returned for `_required` to raise: raised here, its traceback would hold the secret in a variable.
    """
    if not several and not isinstance(secret, str):
        return _not_a_secret(secret, "a string")
    secrets: object = [secret] if isinstance(secret, str) else secret
    if not isinstance(secrets, Sequence) or isinstance(secrets, bytes | bytearray | memoryview):
        return _not_a_secret(secret)
    given = list(cast("Sequence[object]", secrets))
    texts = [each for each in given if isinstance(each, str)]
    if len(texts) < len(given):
        return _not_a_secret(next(each for each in given if not isinstance(each, str)))
    if not all(texts) or not texts:
        return ValueError("a webhook's secret must be a string that is not empty, or a list of such strings")
    try:
        return [hmac.new(each.encode(), digestmod=hashlib.sha256) for each in texts]
    except UnicodeEncodeError:
        return ValueError("a webhook's secret contains an unpaired surrogate, which UTF-8 cannot encode")


def _not_a_secret(given: object, expected: str = "a string or a list of strings") -> TypeError:
    return TypeError(f"a webhook's secret must be {expected}, not {type(given).__name__}")


def _required(signers: list[hmac.HMAC] | Exception) -> list[hmac.HMAC]:
    if isinstance(signers, Exception):
        raise signers
    return signers


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for each, value in headers.items() if each.lower() == name.lower()), "")


def _signature(signer: hmac.HMAC, timestamp: str, text: bytes) -> bytes:
    signing = signer.copy()
    signing.update(f"{timestamp}.".encode() + text)
    return signing.hexdigest().encode()


def _document(body: bytes) -> Mapping[str, Any]:
    # Errors are not chained: the decoder's errors hold the body, which must not reach a log.
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError:
        raise BadBody("the body is not JSON in UTF-8 without duplicate keys") from None
    if not isinstance(document, dict):
        raise BadBody("the body is not a JSON object")
    return cast("Mapping[str, Any]", document)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a dict; refuse duplicate keys, because readers differ in which value they use."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a duplicate key")
    return fields


def _no_number(text: str) -> Any:
    raise ValueError(text)  # NaN and Infinity are Python's, not JSON's


def _canonical(document: Mapping[str, Any], *, escaped: bool = True) -> bytes:
    """Return the text that is signed; characters that are not ASCII are escaped or not."""
    try:
        text = json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=escaped)
        return text.encode("utf-8", "backslashreplace")  # half of a surrogate pair is escaped in both
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError:
        raise BadBody("the body contains a number that JSON cannot represent") from None


def _update(document: Mapping[str, Any]) -> StatusUpdate:
    payload = document.get("payload")
    if not isinstance(payload, dict):
        raise BadBody("'payload' is not an object")
    fields = cast("Mapping[str, Any]", payload)
    metadata = fields.get("metadata")
    return StatusUpdate(
        at=_moment(_text(document, "timestamp")),
        status=_text(fields, "status"),
        task_id=None if fields.get("task_id") is None else _text(fields, "task_id"),
        session_id=None if fields.get("session_id") is None else _text(fields, "session_id"),
        metadata=cast("Mapping[str, Any]", metadata) if isinstance(metadata, dict) else {},
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise BadBody(f"'{name}' is missing, empty or not a string")
    if _UNSTORABLE.search(value):
        raise BadBody(f"'{name}' contains NUL or an unpaired surrogate")
    return value


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL and unpaired surrogates; databases and UTF-8 cannot hold them


def _moment(text: str) -> datetime:
    """Return a time stamp in UTC; a naive one of the service is UTC too."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadBody("'timestamp' is not a date and time") from None


# --- recording it -----------------------------------------------------------------------------------


class DeliveryOutcome(StrEnum):
    """The outcome of a delivery."""

    RECORDED = "recorded"  # recorded together with its report
    NOTED = "noted"  # recorded; this kind of event reports no status
    REPLAYED = "replayed"  # already recorded before; not recorded again
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


Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


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

    Args:
        secret: the webhook's secret, or several during a rotation.
        journal: the journal that records deliveries and reports, each once.
        lifecycle: the lifecycle of the reported tasks.
        subject: the subject of the reported status, "task" or "session" (v3).
        channel: the channel whose status names the service sends.
        clock: returns the present time, timezone-aware.
        max_body_bytes: the largest accepted body; a larger one is refused and not read.
        on_report: the callback for recorded reports.
    Raises:
        UnknownName: the lifecycle declares no such channel.
        ValueError: there is no secret, or one is empty or cannot be encoded in UTF-8; the subject is unknown; or the
            time of `clock` has no zone.
        TypeError: a secret is not a string, or another argument has the wrong type.
    """

    def __init__(
        self,
        secret: Secret,
        *,
        journal: Journal,
        lifecycle: Lifecycle[Any, Any],
        subject: Subject = "task",
        channel: str = Channel.WEBHOOK,
        clock: Callable[[], datetime] = _now,
        max_body_bytes: int = MAX_BODY_BYTES,
        on_report: Callable[[str, ReportEntry[Any, Any]], object] | None = None,
    ) -> None:
        signers = _signers(secret)
        del secret  # a traceback shows the variables of its frames
        if subject not in get_args(Subject):
            raise ValueError(f"the subject must be one of {', '.join(get_args(Subject))}, not {shortened(subject)}")
        require_lifecycle(lifecycle)
        require(journal, Journal, "journal must be a journal, such as SqlJournal('j.db')")
        require_callback(on_report, "on_report", "reports")
        require_number(max_body_bytes, "max_body_bytes", at_least=1)
        check_clock(clock)
        lifecycle.state_of("", channel=channel)
        self._signers = _required(signers)
        self._journal = journal
        self._lifecycle = lifecycle
        self._subject = subject
        self._channel = channel
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._on_report = on_report
        self._unknown: deque[int] = deque(maxlen=_MAX_WARNED)

    def receive(self, body: bytes, headers: Mapping[str, str]) -> Received:
        """Verify, parse and record a delivery, and return the outcome; block until the journal has written it.

        An invalid delivery or a failing journal raises nothing: the result holds the error. Raises TypeError: `body` is
        not bytes as they were received, or `headers` is not a mapping; both are errors of the calling program.
        """
        require(body, bytes | bytearray | memoryview, "body must be the bytes of the request, before any parsing")
        require(headers, Mapping, "headers must be a mapping of names to texts")
        body = bytes(body)
        received = self._record(body, headers)
        self._notify(received)
        return received

    def _record(self, body: bytes, headers: Mapping[str, str]) -> Received:
        now = self._clock()
        try:
            sent_at = _verified(body, headers, self._signers, now, self._max_body_bytes)
            event = parse(body)
            reports = [] if event.update is None else [self._report(event.update, now)]
        except WebhookError as error:
            return _refusal(error)
        # Several receivers may share a journal and get the same body.
        delivery_id = f"{self._lifecycle.name}/{self._subject}/{event.id}"
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

    def _report(self, update: StatusUpdate, now: datetime) -> TaskReport:
        task_id = update.task_id if self._subject == "task" else update.session_id
        if task_id is None:
            raise BadBody(f"'{self._subject}_id' is missing or not a string")
        as_of = min(update.at, now)  # a time in the future means that the clocks differ
        return TaskReport(self._lifecycle, task_id, Report(update.status, as_of, self._channel))

    def _notify(self, received: Received) -> None:
        """Log a delivery, and call `on_report` with its report."""
        if received.event is not None:
            facts = {"kind": received.event.kind, "outcome": str(received.outcome), "task_id": received.task_id}
            _log.info("a webhook arrived", extra=facts)
        if received.task_id is None or received.entry is None:
            return
        self._warn_of_unknown(received.entry.report.status, received.task_id)
        if self._on_report is None:
            return
        try:
            self._on_report(received.task_id, received.entry)
        except Exception:  # noqa: BLE001  # the callback is the user's code
            _log.exception("on_report failed", extra={"task_id": received.task_id})

    def _warn_of_unknown(self, status: str, task_id: str) -> None:
        known = self._lifecycle.state_of(status, channel=self._channel) is not None
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
            await _confirm_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._handle_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            raise RuntimeError(f"this ASGI application serves HTTP, not {shortened(scope['type'])}")

    async def _handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _respond(send, HTTPStatus.METHOD_NOT_ALLOWED, {"allow": "POST"})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            body = await _read(headers, receive, self._max_body_bytes)
        except BodyTooLarge as error:
            # The rest of the body is unread, so close the connection. HTTP/2 shares it and forbids the header.
            closing = {"connection": "close"} if scope.get("http_version", "1.1").startswith("1") else None
            await _respond(send, _refusal(error).status_code, closing)
            return
        if body is None:
            return  # the sender disconnected
        received = await asyncio.to_thread(self._record, body, headers)  # a journal may wait for its disk
        self._notify(received)
        await _respond(send, received.status_code)


def _refusal(error: WebhookError) -> Received:
    _log.warning("a webhook was refused", extra={"reason": type(error).__name__, "error": str(error)})
    return Received(error.status_code, DeliveryOutcome.REFUSED, error=error)


async def _read(headers: Mapping[str, str], receive: Receive, max_bytes: int) -> bytes | None:
    """Return the body, or None if the sender disconnected. Raises BodyTooLarge before it reads the rest."""
    announced = headers.get("content-length", "")
    if _SECONDS.fullmatch(announced) and int(announced) > max_bytes:
        raise BodyTooLarge(max_bytes)
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > max_bytes:
            raise BodyTooLarge(max_bytes)
        if not message.get("more_body", False):
            return body


async def _respond(send: Send, status_code: int, headers: Mapping[str, str] | None = None) -> None:
    content = json.dumps({"detail": HTTPStatus(status_code).phrase}).encode()
    every = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]
    with suppress(OSError):  # some servers raise it if the sender has disconnected
        await send({"type": "http.response.start", "status": status_code, "headers": encoded})
        await send({"type": "http.response.body", "body": content})


async def _confirm_lifespan(receive: Receive, send: Send) -> None:
    """Confirm start-up and shutdown; there is nothing to open or close, because the caller owns the journal."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
