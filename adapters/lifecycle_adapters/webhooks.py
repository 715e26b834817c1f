"""Webhooks: verify what a service pushed, parse it, and record what it reports.

`verify` and `parse` are plain functions for any framework, `Webhooks.receive` does both and records, and
a `Webhooks` is itself an ASGI application to mount. What a report means is not decided here: the journal
asks the lifecycle. How webhooks are sent is here as `sign`, for services that speak the same way.

Facts, and where they come from:

- Two headers, `X-Browser-Use-Timestamp` (Unix seconds, when it was sent) and `X-Browser-Use-Signature`
  (hex HMAC-SHA256 of `{timestamp}.{body}` keyed with the secret); 300 s; the shape of the body:
  Browser Use Cloud, "Webhooks" (2026-03-16 and later; earlier pages named another header).
- `body` is the whole JSON document, written anew with sorted keys and without spaces. That page's Python and
  browser-use-sdk 2.0.6 to 2.0.15 (`lib/webhooks.py`) escape all but ASCII, its TypeScript (`JSON.stringify`) escapes
  nothing of it: both are accepted. The SDK up to 2.0.4 signed the inner `payload` alone, which was corrected; from
  3.0 on it has no such function.
- What is signed is therefore the document and not its bytes: spaces and the order of keys may change.
- Event types: `agent.task.status_update`, and `test` for the ping when a webhook is set up. Others may come.

A webhook may be lost, and its process may die before `on_report` was told. Webhooks are a faster channel
for what polling finds as well, and never the only one.
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
from lifecycle.journal import Delivery, Journal, Report, ReportEntry, TaskReport
from lifecycle.lifecycle import Lifecycle

TIMESTAMP_HEADER = "X-Browser-Use-Timestamp"
SIGNATURE_HEADER = "X-Browser-Use-Signature"
STATUS_UPDATE = "agent.task.status_update"
LONGEST_AGE_S = 300
MAX_BODY_BYTES = 65_536

Secret = str | Sequence[str]
"""One secret, or all that are good at present: while it is changed, the old and the new one."""

Subject = Literal["task", "session"]
"""Whose status an update is: that of its task, or, where the lifecycle is a session's, of its session."""

_log = logging.getLogger(__name__)

# --- what is wrong with a delivery ------------------------------------------------------------------


class WebhookError(AdapterError):
    """A delivery that is not believed. No message holds a secret or any part of a body.

    WebhookError
    ├── BadSignature    a header is missing or malformed, or no secret gives this signature
    ├── StaleTimestamp  sent too long ago, or in the future
    ├── BadBody         not the JSON that a webhook is
    └── BodyTooLarge    not even looked at
    """

    status_code = HTTPStatus.BAD_REQUEST


class BadSignature(WebhookError):
    """A header is missing or malformed, or no secret gives this signature."""

    status_code = HTTPStatus.UNAUTHORIZED


class StaleTimestamp(WebhookError):
    """Sent too long ago, or in the future, if its header is to be believed: `.age_s` is negative then."""

    status_code = HTTPStatus.UNAUTHORIZED

    def __init__(self, age_s: float) -> None:
        self.age_s = age_s
        super().__init__(f"the time stamp is {age_s:.0f} s old; {LONGEST_AGE_S} s either way are allowed")


class BadBody(WebhookError):
    """Not the JSON that a webhook is."""


class BodyTooLarge(WebhookError):
    """More than `.max_bytes`; it was not read."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"the body is larger than {max_bytes} bytes")


# --- what a delivery says ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A status that a service pushed.

    `at` is when the task entered it (UTC). An id is None where the service names none. `metadata` is
    what the task's creator gave, as it came.
    """

    at: datetime
    status: str
    task_id: str | None
    session_id: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A webhook's body. `id` is the same for the same body sent again, `update` None for other kinds of event."""

    id: str
    kind: str
    update: StatusUpdate | None


def parse(body: bytes) -> WebhookEvent:
    """Return what a body says. Further fields are ignored; whether it is genuine, `verify` tells.

    Raises:
        BadBody: no UTF-8, no JSON object, a key twice, a number out of all reason, nested too deeply; an
            update without a time stamp or a status; a name that is empty or that databases cannot hold.
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
    """Return when a genuine delivery was sent (UTC).

    Args:
        body: the body as it came.
        headers: the request's headers, in any case.
        secret: one or several; it is genuine if signed with any of them.
        now: the present time, timezone-aware.
    Raises:
        BodyTooLarge, StaleTimestamp, BadBody, BadSignature: as they say, in this order.
        ValueError: no secret, or an empty one, or one that UTF-8 cannot write.
        TypeError: a secret that is no text.
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
        raise BadSignature(f"{TIMESTAMP_HEADER} is missing, or no number of seconds")
    age_s = now.timestamp() - int(timestamp)
    if abs(age_s) > LONGEST_AGE_S:
        raise StaleTimestamp(age_s)
    document = _document(body)
    texts = {_canonical(document), _canonical(document, escaped=False)}
    given = signature.encode("utf-8", "surrogatepass")  # text that is not ASCII cannot be compared, bytes can
    made = [_signature(signer, timestamp, text) for signer in signers for text in texts]
    if not sum(hmac.compare_digest(each, given) for each in made):  # all are compared, whichever is good
        raise BadSignature("no secret gives this signature")
    return datetime.fromtimestamp(int(timestamp), UTC)


def sign(body: bytes, *, secret: str, sent_at: datetime) -> dict[str, str]:
    """Return the two headers that go with a body. Raises BadBody, and of the secret what `verify` does."""
    signers = _signers(secret, several=False)
    del secret  # a traceback shows the variables of its frames
    (signer,) = _required(signers)
    timestamp = str(int(sent_at.timestamp()))
    signature = _signature(signer, timestamp, _canonical(_document(body))).decode()
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature}


_SECONDS = re.compile(r"[0-9]{1,12}")  # what `int` takes besides (signs, spaces, other scripts) nobody sends


def _signers(secret: object, *, several: bool = True) -> list[hmac.HMAC] | Exception:
    """Return what signs with each secret. No secret itself is kept, so that none is shown.

    What is wrong is returned as well, for `_required` to raise: in here a secret is in a variable.
    """
    if not several and not isinstance(secret, str):
        return _no_secret(secret, "a text")
    secrets: object = [secret] if isinstance(secret, str) else secret
    if not isinstance(secrets, Sequence) or isinstance(secrets, bytes | bytearray | memoryview):
        return _no_secret(secret)
    given = list(cast("Sequence[object]", secrets))
    texts = [each for each in given if isinstance(each, str)]
    if len(texts) < len(given):
        return _no_secret(next(each for each in given if not isinstance(each, str)))
    if not all(texts) or not texts:
        return ValueError("a webhook's secret is a text that is not empty, or several")
    try:
        return [hmac.new(each.encode(), digestmod=hashlib.sha256) for each in texts]
    except UnicodeEncodeError:
        return ValueError("a webhook's secret has half of a surrogate pair, which UTF-8 cannot write; give it as text")


def _no_secret(given: object, wanted: str = "a text, or a list of several") -> TypeError:
    return TypeError(f"a webhook's secret is {wanted}, not {type(given).__name__}")


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
    # Errors are not chained: the decoder's hold the body, which belongs in no log.
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError:
        raise BadBody("the body is not JSON in UTF-8 with every key once") from None
    if not isinstance(document, dict):
        raise BadBody("the body is no JSON object")
    return cast("Mapping[str, Any]", document)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that comes twice readers take the one or the other; what was signed is then open to choice."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key twice")
    return fields


def _no_number(text: str) -> Any:
    raise ValueError(text)  # NaN and Infinity are Python's, not JSON's


def _canonical(document: Mapping[str, Any], *, escaped: bool = True) -> bytes:
    """The text that is signed, with all but ASCII escaped or as it is."""
    try:
        text = json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=escaped)
        return text.encode("utf-8", "backslashreplace")  # half of a surrogate pair is escaped in both
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError:
        raise BadBody("a number in the body is out of all reason") from None


def _update(document: Mapping[str, Any]) -> StatusUpdate:
    payload = document.get("payload")
    if not isinstance(payload, dict):
        raise BadBody("'payload' is no object")
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
        raise BadBody(f"'{name}' is missing, or no text")
    if _UNSTORABLE.search(value):
        raise BadBody(f"'{name}' has a character that is none")
    return value


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of surrogate pairs, which UTF-8 does not have


def _moment(text: str) -> datetime:
    """A time stamp in UTC; the service's naive ones are UTC too."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadBody("'timestamp' is no date and time") from None


# --- recording it -----------------------------------------------------------------------------------


class DeliveryOutcome(StrEnum):
    """What became of a delivery."""

    RECORDED = "recorded"  # with its report
    NOTED = "noted"  # recorded; it is of a kind that reports no status
    REPLAYED = "replayed"  # it was here before: not recorded again
    REFUSED = "refused"  # not believed: nothing was recorded
    NOT_APPLIED = "not_applied"  # recorded, but its report is not: the task's own record cannot be read
    FAILED = "failed"  # the journal could not take it: the service is to send it again


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery's fate, and the HTTP status code that says so.

    A replay is answered with 200 as well: a service sends again what is answered otherwise. So is a
    delivery that is recorded though its report could not be applied. `task_id` is the id that the report
    is recorded under and `entry` what it was found to be; both are None unless it was recorded. `error`
    says why it was refused or not applied, or why the journal failed.
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


_WARNED_OF = 64  # unknown statuses; a service can make up words without end, and long ones


def _now() -> datetime:
    return datetime.now(UTC)


class Webhooks:
    """Where a service's webhooks arrive: call `receive`, or use it as an ASGI application.

    In an application of Starlette or FastAPI it is a route, which answers at `/webhooks`:
    `app.router.routes.append(Route("/webhooks", webhooks))`. A mount answers at `/webhooks/` and below; to `/webhooks`
    those frameworks answer by a redirect, which a service that sends webhooks may not follow.

    `on_report(task_id, entry)` is told of every report that was recorded. Where `entry.unconfirmed`, only
    a read of the task tells whether the report is new or late, and one is due. It is called by whoever
    calls `receive`, in the ASGI application by the event loop, and is not to block. What it raises is
    logged: the delivery is recorded, and sent again it would be a replay.

    Args:
        secret: the webhook's secret, or several while it is changed.
        journal: where deliveries and reports are recorded, each once.
        lifecycle: the one of the tasks that are reported on.
        subject: whether the reported status is the task's or its session's (v3).
        channel: the vocabulary in which statuses are written.
        clock: tells the present time, timezone-aware.
        max_body_bytes: a body that is larger is refused, and not read.
    Raises:
        UnknownName: the lifecycle declares no such channel.
        ValueError: no secret, or an empty one, or one that UTF-8 cannot write; another subject.
        TypeError: a secret that is no text.
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
            raise ValueError(f"the subject is one of {', '.join(get_args(Subject))}, not {shortened(subject)}")
        lifecycle.state_of("", channel=channel)
        self._signers = _required(signers)
        self._journal = journal
        self._lifecycle = lifecycle
        self._subject = subject
        self._channel = channel
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._on_report = on_report
        self._unknown: deque[int] = deque(maxlen=_WARNED_OF)

    def receive(self, body: bytes, headers: Mapping[str, str]) -> Received:
        """Verify, parse and record a delivery, whatever it holds; wait for the journal."""
        received = self._record(body, headers)
        self._tell(received)
        return received

    def _record(self, body: bytes, headers: Mapping[str, str]) -> Received:
        now = self._clock()
        try:
            sent_at = _verified(body, headers, self._signers, now, self._max_body_bytes)
            event = parse(body)
            reports = [] if event.update is None else [self._report(event.update, now)]
        except WebhookError as error:
            return _refusal(error)
        # The same body may be meant for several receivers that share a journal.
        delivery_id = f"{self._lifecycle.name}/{self._subject}/{event.id}"
        try:
            entries = self._journal.receive(Delivery(delivery_id, event.kind, sent_at, body.decode()), reports)
        except ValueError:  # an id of 10 kB, say; sent again it would be no shorter
            return _refusal(BadBody("the journal does not take a name as long as one in the body"))
        except AdapterError as error:
            # Not with its traceback: a database's own error shows what was to be stored.
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
            raise BadBody(f"'{self._subject}_id' is missing, or no text")
        as_of = min(update.at, now)  # nothing is reported before it happened: the clocks differ
        return TaskReport(self._lifecycle, task_id, Report(update.status, as_of, self._channel))

    def _tell(self, received: Received) -> None:
        """Log a delivery, and tell `on_report` of a report."""
        if received.event is not None:
            facts = {"kind": received.event.kind, "outcome": str(received.outcome), "task_id": received.task_id}
            _log.info("a webhook came", extra=facts)
        if received.task_id is None or received.entry is None:
            return
        self._warn_of_unknown(received.entry.report.status, received.task_id)
        if self._on_report is None:
            return
        try:
            self._on_report(received.task_id, received.entry)
        except Exception:  # noqa: BLE001  # it is a user's code
            _log.exception("on_report failed", extra={"task_id": received.task_id})

    def _warn_of_unknown(self, status: str, task_id: str) -> None:
        known = self._lifecycle.state_of(status, channel=self._channel) is not None
        word = hash(status)
        if known or word in self._unknown:
            return
        self._unknown.append(word)
        facts = {"lifecycle": self._lifecycle.name, "task_id": task_id, "status": status}
        _log.warning("a status is not known", extra=facts)

    # --- as an ASGI application ---

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection: POST, with JSON that reveals nothing."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            raise RuntimeError(f"this ASGI application serves HTTP, not {shortened(scope['type'])}")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _respond(send, HTTPStatus.METHOD_NOT_ALLOWED, {"allow": "POST"})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            body = await _read(headers, receive, self._max_body_bytes)
        except BodyTooLarge as error:
            # The rest is on its way. From HTTP/2 on a connection is shared, and the header not allowed.
            closing = {"connection": "close"} if scope.get("http_version", "1.1").startswith("1") else None
            await _respond(send, _refusal(error).status_code, closing)
            return
        if body is None:
            return  # its sender has gone
        received = await asyncio.to_thread(self._record, body, headers)  # a journal waits for its disk
        self._tell(received)
        await _respond(send, received.status_code)


def _refusal(error: WebhookError) -> Received:
    _log.warning("a webhook was refused", extra={"reason": type(error).__name__, "error": str(error)})
    return Received(error.status_code, DeliveryOutcome.REFUSED, error=error)


async def _read(headers: Mapping[str, str], receive: Receive, max_bytes: int) -> bytes | None:
    """The body, or None where the sender went before its end. Raises BodyTooLarge as soon as that is known."""
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
    with suppress(OSError):  # its sender has gone, and some servers say so
        await send({"type": "http.response.start", "status": status_code, "headers": encoded})
        await send({"type": "http.response.body", "body": content})


async def _live(receive: Receive, send: Send) -> None:
    """There is nothing to set up; the journal belongs to whoever gave it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
