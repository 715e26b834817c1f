"""Received webhooks: genuine and forged, early and late, once and twice."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from lifecycle import (
    V1_FULL,
    V2_FULL,
    V3_FULL,
    AdapterError,
    Channel,
    Lifecycle,
    ObservationKind,
    UndeclaredState,
    UnknownName,
)
from lifecycle.journal import Delivery, Report, ReportEntry, TaskReport
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import BEARER, BROWSER_USE, STANDARD_WEBHOOKS, HttpBinding, WebhookBinding
from lifecycle_adapters.http.webhook_binding import Scheme
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.services import service as service_of
from lifecycle_adapters.services.browser_use import RUN_WEBHOOKS, SESSION_WEBHOOKS, STATUS_UPDATE, TASK_WEBHOOKS
from lifecycle_adapters.webhooks import (
    BadBody,
    BadSignature,
    BodyTooLarge,
    DeliveryOutcome,
    StaleTimestamp,
    WebhookError,
    WebhookEvent,
    Webhooks,
)
from lifecycle_adapters.webhooks import parse as parse_by
from lifecycle_adapters.webhooks import sign as sign_by
from lifecycle_adapters.webhooks import verify as verify_by
from tests.adapters.emulator.requests import BY_NAME, command, connect, create, settled, until
from tests.support.serving import served

TIMESTAMP_HEADER, SIGNATURE_HEADER = "X-Browser-Use-Timestamp", "X-Browser-Use-Signature"
LONGEST_AGE_S = 300
SECRET = "a webhook secret"
NOW = datetime.fromtimestamp(1736937000, UTC)
DOCUMENT: dict[str, Any] = {
    "type": STATUS_UPDATE,
    "timestamp": "2025-01-15T10:30:00Z",
    "payload": {
        "task_id": "task_abc123",
        "session_id": "session_xyz",
        "status": "finished",
        "metadata": {"city": "München", "price": 1.50, "n": [1, {"b": None, "a": True}]},
    },
}
BODY = json.dumps(DOCUMENT).encode()
# From `create_webhook_signature` of browser-use-sdk 2.0.15, for this document, time and secret.
OFFICIAL = "14fe42c705b3e23a7b3d48e26e371803c35d8f2ca2cae1426c6c3c50c84b2ba7"
HEADERS = {TIMESTAMP_HEADER: "1736937000", SIGNATURE_HEADER: OFFICIAL}
V1_BINDING = service_of("v1")


def verify(body: bytes, headers: Mapping[str, str], **how: Any) -> datetime | None:
    return verify_by(body, headers, BROWSER_USE, **how)


def sign(body: bytes, **how: Any) -> dict[str, str]:
    return sign_by(body, BROWSER_USE, **how)


def parse(body: bytes) -> WebhookEvent:
    return parse_by(body, TASK_WEBHOOKS)


def serving(lifecycle: Lifecycle[Any, Any], webhooks: WebhookBinding = TASK_WEBHOOKS) -> HttpBinding[Any, Any]:
    """The built-in service that has the lifecycle, with these webhooks."""
    binding = {V1_FULL: service_of("v1"), V2_FULL: service_of("v2"), V3_FULL: service_of("v3")}[lifecycle]
    return replace(binding, name=f"{binding.name} by {webhooks.task_field}", webhooks=webhooks)


def body_of(status: str = "finished", *, at: datetime = NOW, **payload: Any) -> bytes:
    document = {"type": STATUS_UPDATE, "timestamp": at.isoformat(), "payload": {"task_id": "t", "status": status}}
    return json.dumps(document | {"payload": document["payload"] | payload}).encode()  # type: ignore[operator]


def signed(body: bytes, at: datetime = NOW) -> dict[str, str]:
    return sign(body, secret=SECRET, sent_at=at)


# --- verify -----------------------------------------------------------------------------------------


def test_a_signature_of_the_official_sdk_is_accepted() -> None:
    assert verify(BODY, HEADERS, secret=SECRET, now=NOW) == NOW
    assert signed(BODY) == HEADERS


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(DOCUMENT, indent=2).encode(),
        json.dumps(DOCUMENT, ensure_ascii=False).encode(),
        json.dumps(dict(reversed(DOCUMENT.items())), separators=(",", ":")).encode(),
    ],
)
def test_a_signature_covers_the_document_not_its_bytes(written: bytes) -> None:
    assert verify(written, HEADERS, secret=SECRET, now=NOW) == NOW
    assert parse(written) == parse(BODY)


TEXTS = st.text(max_size=20) | st.sampled_from(["München", "🛒", "\ud800", "\u2028", 'a"\\b', "\x7f"])


@given(values=st.dictionaries(TEXTS, TEXTS, max_size=4), is_escaped=st.booleans(), is_sent_escaped=st.booleans())
def test_a_signature_of_either_canonical_form_is_accepted(
    values: dict[str, str], is_escaped: bool, is_sent_escaped: bool
) -> None:
    document = {"type": "test", "payload": values}
    form = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=is_escaped)
    # JSON.stringify escapes an unpaired surrogate, too.
    signed_text = b"1736937000." + form.encode("utf-8", "backslashreplace")
    signature = hmac.new(SECRET.encode(), signed_text, hashlib.sha256).hexdigest()
    headers = {TIMESTAMP_HEADER: "1736937000", SIGNATURE_HEADER: signature}

    body = json.dumps(document, ensure_ascii=is_sent_escaped).encode("utf-8", "backslashreplace")

    assert verify(body, headers, secret=["another", SECRET], now=NOW) == NOW
    with pytest.raises(BadSignature):
        verify(body, headers, secret="another", now=NOW)


def test_header_names_are_case_insensitive() -> None:
    headers = {name.upper(): value for name, value in HEADERS.items()}

    assert verify(BODY, headers, secret=SECRET, now=NOW) == NOW


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({SIGNATURE_HEADER: ""}, BadSignature),
        ({SIGNATURE_HEADER: OFFICIAL[:-1]}, BadSignature),
        ({SIGNATURE_HEADER: OFFICIAL.upper()}, BadSignature),
        ({SIGNATURE_HEADER: OFFICIAL + " "}, BadSignature),
        ({SIGNATURE_HEADER: "é\udcff" * 32}, BadSignature),
        ({SIGNATURE_HEADER: "0" * 10_000}, BadSignature),
        ({TIMESTAMP_HEADER: ""}, BadSignature),
        ({TIMESTAMP_HEADER: "soon"}, BadSignature),
        ({TIMESTAMP_HEADER: "+1736937000"}, BadSignature),
        ({TIMESTAMP_HEADER: " 1736937000"}, BadSignature),
        ({TIMESTAMP_HEADER: "1_736937000"}, BadSignature),
        ({TIMESTAMP_HEADER: "1736937000.0"}, BadSignature),
        ({TIMESTAMP_HEADER: "\N{ARABIC-INDIC DIGIT ONE}" * 10}, BadSignature),
        ({TIMESTAMP_HEADER: "9" * 5000}, BadSignature),
        ({TIMESTAMP_HEADER: "1736937001"}, BadSignature),
        ({TIMESTAMP_HEADER: "9" * 12}, StaleTimestamp),
        ({TIMESTAMP_HEADER: "0"}, StaleTimestamp),
    ],
)
def test_other_headers_are_refused(changed: dict[str, str], error: type[WebhookError]) -> None:
    with pytest.raises(error):
        verify(BODY, HEADERS | changed, secret=SECRET, now=NOW)


def test_missing_headers_are_refused() -> None:
    for name, value in HEADERS.items():
        with pytest.raises(BadSignature):
            verify(BODY, {name: value}, secret=SECRET, now=NOW)


class Pairs:
    """Headers as a framework may have them: a name can occur several times."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def items(self) -> Any:
        return self._items


IN_BASE64 = "YSBzZWNyZXQ="
REPEATED: list[tuple[Scheme, str, str | None]] = [
    (BROWSER_USE, SIGNATURE_HEADER, None),
    (BROWSER_USE, TIMESTAMP_HEADER, None),
    (STANDARD_WEBHOOKS, "webhook-id", "d1"),
    (STANDARD_WEBHOOKS, "webhook-timestamp", "d1"),
    (STANDARD_WEBHOOKS, "webhook-signature", "d1"),
    (BEARER, "Authorization", None),
]


@pytest.mark.parametrize(
    ("scheme", "name", "delivery_id"), REPEATED, ids=lambda each: each if isinstance(each, str) else ""
)
@pytest.mark.parametrize("renamed", [str, str.upper])
@pytest.mark.parametrize("is_first", [True, False])
def test_header_with_two_values_is_refused(
    scheme: Scheme, name: str, delivery_id: str | None, renamed: Callable[[str], str], is_first: bool
) -> None:
    genuine = sign_by(BODY, scheme, secret=IN_BASE64, sent_at=NOW, delivery_id=delivery_id)

    def given(second: str) -> Any:
        pairs = [*genuine.items(), (renamed(name), second)]
        return Pairs(pairs if is_first else pairs[::-1])

    verify_by(BODY, given(genuine[name]), scheme, secret=IN_BASE64, now=NOW)
    with pytest.raises(BadSignature, match=f"{name} is given 2 times, with different values"):
        verify_by(BODY, given("another"), scheme, secret=IN_BASE64, now=NOW)


def test_headers_of_an_asgi_server_may_not_repeat_a_signature_with_another_value() -> None:
    receiver = Receiver()
    body = body_of("started")
    headers = signed(body)

    def status_code(second: str) -> Any:
        sent, _ = ask(receiver.webhooks, body, headers=Pairs([*headers.items(), (SIGNATURE_HEADER, second)]))
        return sent[0]["status"]

    assert (status_code("0" * 64), receiver.recorded) == (401, [])
    assert status_code(headers[SIGNATURE_HEADER]) == 200


@pytest.mark.parametrize("way", [-1, 1])
def test_a_time_stamp_may_differ_by_five_minutes(way: int) -> None:
    nearly, too_far = (NOW + way * timedelta(seconds=seconds) for seconds in (LONGEST_AGE_S, LONGEST_AGE_S + 1))

    assert verify(BODY, HEADERS, secret=SECRET, now=nearly) == NOW
    with pytest.raises(StaleTimestamp) as stale:
        verify(BODY, HEADERS, secret=SECRET, now=too_far)
    assert stale.value.age_s == way * (LONGEST_AGE_S + 1)


def test_another_secret_is_refused_and_any_of_several_is_accepted() -> None:
    with pytest.raises(BadSignature):
        verify(BODY, HEADERS, secret="another", now=NOW)
    for several in (["another", SECRET], (SECRET, "another")):
        assert verify(BODY, HEADERS, secret=several, now=NOW) == NOW
    with pytest.raises(BadSignature):
        verify(BODY, HEADERS, secret=["another", "a third"], now=NOW)


@pytest.mark.parametrize("secret", ["", [], [SECRET, ""]])
def test_empty_secret_is_refused(secret: str | list[str]) -> None:
    with pytest.raises(ValueError, match="not empty"):
        verify(BODY, HEADERS, secret=secret, now=NOW)
    with pytest.raises(ValueError, match="not empty"):
        Webhooks("v1", secret=secret, journal=MemoryJournal())


def test_a_body_that_is_too_large_is_refused_first() -> None:
    with pytest.raises(BodyTooLarge) as large:
        verify(BODY, HEADERS, secret=SECRET, now=NOW, max_body_bytes=len(BODY) - 1)
    assert large.value.max_bytes == len(BODY) - 1
    assert verify(BODY, HEADERS, secret=SECRET, now=NOW, max_body_bytes=len(BODY)) == NOW


@given(st.integers(0, len(BODY) * 8 - 1))
@example(8 * BODY.index(b"fc") + 5)  # \u00Fc, which is the same letter
def test_a_changed_bit_of_the_body_is_refused_unless_the_document_is_the_same(bit: int) -> None:
    forged = bytearray(BODY)
    forged[bit // 8] ^= 1 << bit % 8

    with nullcontext() if _is_the_document(bytes(forged)) else pytest.raises((BadSignature, BadBody)):
        verify(bytes(forged), HEADERS, secret=SECRET, now=NOW)


def _is_the_document(body: bytes) -> bool:
    try:
        return bool(json.loads(body) == DOCUMENT)
    except ValueError:
        return False


@given(st.sampled_from(list(HEADERS)), st.integers(0, 511))
def test_a_changed_bit_of_a_header_is_refused(name: str, bit: int) -> None:
    forged = bytearray(HEADERS[name].encode())
    forged[bit // 8 % len(forged)] ^= 1 << bit % 8

    with pytest.raises((BadSignature, StaleTimestamp)):
        verify(BODY, HEADERS | {name: forged.decode("latin-1")}, secret=SECRET, now=NOW)


@given(st.integers(0, len(BODY) - 1))
def test_a_truncated_body_is_refused(length: int) -> None:
    with pytest.raises(BadBody):
        verify(BODY[:length], HEADERS, secret=SECRET, now=NOW)


DEEP = 8_000
BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[1]",
    "two documents": BODY + BODY,
    "a byte order mark": b"\xef\xbb\xbf" + BODY,
    "UTF-16": BODY.decode().encode("utf-16"),
    "no UTF-8": BODY.replace(b"task_abc", b"task_\xff"),
    "NUL": BODY.replace(b"task_abc", b"task_\0"),
    "deep lists": b'{"type":"x","a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a huge number": b'{"type":"x","a":' + b"9" * 5000 + b"}",
    "a number beyond floats": b'{"type":"x","a":1e999}',
    "NaN": b'{"type":"x","a":NaN}',
    "minus infinity": b'{"type":"x","a":-Infinity}',
    "a key twice": b'{"type":"x","type":"x"}',
    "an inner key twice": b'{"type":"x","a":[{"b":1,"b":2}]}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_every_malformed_body_raises_bad_body(body: bytes) -> None:
    for refuse in (
        lambda: parse(body),
        lambda: verify(body, HEADERS, secret=SECRET, now=NOW),
        lambda: sign(body, secret=SECRET, sent_at=NOW),
    ):
        with pytest.raises(BadBody) as bad:
            refuse()
        assert bad.value.__cause__ is None  # the decoder's error holds the body
        assert len(str(bad.value)) < 100


def test_a_body_of_any_depth_is_accepted_or_raises_bad_body() -> None:
    """The decoder and the encoder have different limits of depth."""
    for depth in range(100, 1200, 10):
        body = b'{"type":"x","a":' + b"[" * depth + b"]" * depth + b"}"
        with suppress(BadBody):
            assert parse(body).kind == "x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NEARLY = st.fixed_dictionaries(
    {"type": st.just(STATUS_UPDATE) | JSON, "timestamp": st.datetimes().map(str) | JSON, "payload": JSON}
) | st.fixed_dictionaries(
    {
        "type": st.just(STATUS_UPDATE),
        "timestamp": st.just("0001-01-01T00:00:00+14:00") | st.text(),
        "payload": st.dictionaries(st.sampled_from(["task_id", "session_id", "status", "metadata"]), JSON),
    }
)
BYTES = st.binary() | (JSON | NEARLY).map(lambda value: json.dumps(value).encode())


@given(BYTES, st.dictionaries(st.sampled_from([*HEADERS, "x"]), st.text() | st.sampled_from([*HEADERS.values()])))
@example(json.dumps(DOCUMENT | {"type": "\ud800"}).encode(), HEADERS)
def test_arbitrary_input_raises_only_webhook_errors(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(WebhookError):  # a random signature is never valid
        verify(body, headers, secret="another", now=NOW)
    try:
        event = parse(body)
    except WebhookError:
        return
    assert event.kind
    if event.update is not None:
        assert event.update.at is not None
        assert event.update.at.utcoffset() == timedelta(0)
        event.update.status.encode()


@given((JSON | NEARLY).map(lambda value: json.dumps(value).encode()))
def test_every_signed_body_is_verified(body: bytes) -> None:
    try:
        headers = signed(body)
    except BadBody:
        return
    assert verify(body, headers, secret=SECRET, now=NOW) == NOW


# --- parse ------------------------------------------------------------------------------------------


def test_a_status_update_is_parsed() -> None:
    event = parse(BODY)

    assert event.kind == STATUS_UPDATE
    assert event.update is not None
    assert event.update.at == datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
    assert (event.update.status, event.update.task_id) == ("finished", "task_abc123")
    assert event.document == DOCUMENT
    session = parse_by(BODY, SESSION_WEBHOOKS).update
    assert session is not None
    assert session.task_id == "session_xyz"


def test_other_fields_may_be_missing_and_unknown_ones_present() -> None:
    update = parse(body_of(session_id=None, metadata="?", further=[1])).update

    assert update is not None
    assert (update.task_id, update.status, update.at) == ("t", "finished", NOW)


@pytest.mark.parametrize("text", ["2025-01-15T10:30:00", "2025-01-15T12:30:00+02:00", "2025-01-15 10:30:00.000Z"])
def test_a_time_stamp_is_utc(text: str) -> None:
    update = parse(json.dumps(DOCUMENT | {"timestamp": text}).encode()).update

    assert update is not None
    assert update.at == datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
    assert update.at is not None
    assert update.at.tzinfo is UTC


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"type": None}, "'type'"),
        ({"type": ""}, "'type'"),
        ({"timestamp": None}, "'timestamp'"),
        ({"timestamp": 1e300}, "'timestamp'"),
        ({"timestamp": "yesterday"}, "'timestamp'"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "'timestamp'"),
        ({"payload": None}, "'payload.task_id'"),
        ({"payload": {"task_id": "t"}}, "'payload.status'"),
        ({"payload": {"task_id": True, "status": "finished"}}, "'payload.task_id'"),
        ({"payload": {"task_id": "t\0", "status": "finished"}}, "'payload.task_id'"),
        ({"payload": {"task_id": "t", "status": "\ud83d"}}, "'payload.status'"),
        ({"payload": {"task_id": "t", "status": ""}}, "'payload.status'"),
    ],
)
def test_required_fields_must_be_present(changed: dict[str, Any], match: str) -> None:
    with pytest.raises(BadBody, match=match):
        parse(json.dumps(DOCUMENT | changed).encode())


def test_other_kinds_of_event_need_only_a_type() -> None:
    for kind in ("test", "session.status.update"):
        event = parse(json.dumps({"type": kind, "payload": {"test": "ok"}}).encode())
        assert (event.kind, event.update) == (kind, None)


# --- receive ----------------------------------------------------------------------------------------


class Receiver:
    """A `Webhooks` over a journal in memory; it keeps one task's journal alive."""

    def __init__(
        self,
        lifecycle: Lifecycle[Any, Any] = V1_FULL,
        *,
        task: str = "t",
        webhooks: WebhookBinding = TASK_WEBHOOKS,
        journal: MemoryJournal | None = None,
        **settings: Any,
    ) -> None:
        self.journal = MemoryJournal() if journal is None else journal
        self.log: MemoryTaskJournal[Any, Any] = self.journal.task(lifecycle, task)
        self.reported: list[tuple[str, ReportEntry[Any, Any]]] = []
        settings.setdefault("clock", lambda: NOW)
        settings.setdefault("on_report", self.on_report)
        self.webhooks = Webhooks(serving(lifecycle, webhooks), secret=SECRET, journal=self.journal, **settings)

    def on_report(self, task: str, entry: ReportEntry[Any, Any]) -> None:
        self.reported.append((task, entry))

    def receive(self, body: bytes, *, sent_at: datetime = NOW) -> DeliveryOutcome:
        return self.webhooks.receive(body, signed(body, sent_at)).outcome

    @property
    def recorded(self) -> list[tuple[str, str | None]]:
        entries = [entry for entry in self.log.entries if isinstance(entry, ReportEntry)]
        return [(entry.report.status, entry.state) for entry in entries]


def test_a_report_is_recorded_with_its_channels_status() -> None:
    receiver = Receiver()
    body = body_of("initializing")

    received = receiver.webhooks.receive(body, signed(body))

    assert (received.status_code, received.outcome, received.task_id) == (200, DeliveryOutcome.RECORDED, "t")
    assert received.event == parse(body)
    assert received.entry is not None
    assert (received.entry.report.channel, received.entry.report.as_of) == (Channel.WEBHOOK, NOW)
    assert receiver.reported == [("t", received.entry)]
    assert receiver.log.load().state == "created"


@pytest.mark.parametrize("task", [".", ".."])
def test_a_task_that_no_request_can_name_is_refused(task: str) -> None:
    receiver = Receiver(task=task)
    body = body_of("initializing", task_id=task)

    received = receiver.webhooks.receive(body, signed(body))

    assert (received.status_code, str(received.error)) == (400, "the task's id is one that no request can carry")
    assert receiver.recorded == []


def test_a_replay_is_acknowledged_and_not_observed_again() -> None:
    receiver = Receiver()
    body = body_of("started")

    outcomes = [receiver.receive(body), receiver.receive(body)]

    assert outcomes == [DeliveryOutcome.RECORDED, DeliveryOutcome.REPLAYED]
    assert receiver.recorded == [("started", "running")]
    assert len(receiver.reported) == 1
    replayed = receiver.webhooks.receive(body, signed(body))
    assert (replayed.status_code, replayed.entry, replayed.task_id) == (200, None, None)


def test_an_equal_body_with_a_new_signed_time_is_a_repetition_and_changes_nothing() -> None:
    receiver = Receiver()
    body = body_of("started")

    outcomes = [receiver.receive(body), receiver.receive(body, sent_at=NOW + timedelta(seconds=1))]

    assert outcomes == [DeliveryOutcome.RECORDED] * 2
    assert not any(entry.unconfirmed for _, entry in receiver.reported)
    assert receiver.log.load().state == "running"


@pytest.mark.parametrize("status", ["started", "stopped"])
def test_a_delivery_for_an_unreadable_task_is_recorded_and_acknowledged(tmp_path: Path, status: str) -> None:
    """The service would send a delivery again after any other response, and it would fail again."""
    body = body_of(status)
    with SqlJournal(tmp_path / "journal.db") as journal:
        journal.task(V1_FULL, "t").add_report(Report("running", NOW))
        with journal.database.transaction() as connection:
            connection.exec_driver_sql("UPDATE lifecycle_tasks SET state = 'walking'")
        webhooks = Webhooks("v1", secret=SECRET, journal=journal, clock=lambda: NOW)

        received = [webhooks.receive(body, signed(body)) for _ in range(2)]
        other = webhooks.receive(body_of(status, task_id="other"), signed(body_of(status, task_id="other")))

    assert [each.status_code for each in (*received, other)] == [200] * 3
    assert [each.outcome for each in received] == [DeliveryOutcome.NOT_APPLIED, DeliveryOutcome.REPLAYED]
    assert isinstance(received[0].error, UndeclaredState)
    assert (received[0].task_id, received[0].entry) == (None, None)
    assert other.outcome is DeliveryOutcome.RECORDED


def test_a_lifecycle_of_another_service_is_refused() -> None:
    other: Any = V3_FULL
    with pytest.raises(ValueError, match="the lifecycle 'v3-full' does not fit 'v1'"):
        Webhooks("v1", secret=SECRET, journal=MemoryJournal(), lifecycle=other)


@pytest.mark.parametrize("session_id", ["..", ".", "s" * 5_000])
def test_a_session_that_no_request_can_name_is_refused(session_id: str) -> None:
    named = list[str]()
    of_sessions = Receiver(webhooks=RUN_WEBHOOKS, on_session=named.append)
    body = {"type": "session.status.update", "timestamp": "2026-10-01T10:30:00Z", "payload": {"session_id": session_id}}

    assert of_sessions.receive(json.dumps(body).encode()) is DeliveryOutcome.REFUSED
    assert not named


def test_a_callback_that_raises_is_logged_and_the_delivery_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no idea")

    receiver = Receiver(on_report=fail)

    assert receiver.receive(body_of("started")) is DeliveryOutcome.RECORDED
    of_sessions = Receiver(webhooks=RUN_WEBHOOKS, on_session=fail)
    body = {"type": "session.status.update", "timestamp": "2026-10-01T10:30:00Z", "payload": {"session_id": "s"}}
    assert of_sessions.receive(json.dumps(body).encode()) is DeliveryOutcome.NOTED
    errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert errors == ["a callback failed"] * 2
    assert [getattr(each, "callback", None) for each in caplog.records] == ["on_report", "on_session"]


def test_receivers_that_share_a_journal_each_record_a_delivery_to_both() -> None:
    of_tasks = Receiver()
    of_sessions = Receiver(journal=of_tasks.journal, webhooks=SESSION_WEBHOOKS, task="s")
    body = body_of("started", session_id="s")

    assert [of_tasks.receive(body), of_sessions.receive(body)] == [DeliveryOutcome.RECORDED] * 2
    assert of_tasks.recorded == of_sessions.recorded == [("started", "running")]


def test_one_of_several_concurrent_equal_deliveries_is_recorded() -> None:
    receiver = Receiver()
    outcomes: list[DeliveryOutcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(receiver.receive(body_of("started")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [DeliveryOutcome.RECORDED] + [DeliveryOutcome.REPLAYED] * 7
    assert receiver.recorded == [("started", "running")]


def test_a_late_report_is_recorded_as_late_and_not_applied() -> None:
    receiver = Receiver()

    receiver.receive(body_of("finished"))
    receiver.receive(body_of("started", at=NOW - timedelta(seconds=5)))

    assert receiver.recorded == [("finished", "finished"), ("started", "finished")]
    assert [entry.late for _, entry in receiver.reported] == [False, True]


def test_a_report_inside_a_cycle_is_unconfirmed() -> None:
    receiver = Receiver(V3_FULL, webhooks=SESSION_WEBHOOKS, task="s")

    for status, seconds in (("running", 3), ("idle", 2), ("stopped", 1)):
        receiver.receive(body_of(status, at=NOW - timedelta(seconds=seconds), session_id="s"))

    assert [(task, entry.unconfirmed, entry.state) for task, entry in receiver.reported] == [
        ("s", False, "running"), ("s", True, "running"), ("s", False, "stopped"),
    ]  # fmt: skip


def test_the_time_of_a_report_is_at_most_its_arrival() -> None:
    receiver = Receiver()

    receiver.receive(body_of("started", at=NOW + timedelta(days=365)))

    assert receiver.log.load().as_of == NOW


@pytest.mark.parametrize("kind", ["test", "agent.task.deleted", "👋\n'\""])
def test_other_kinds_of_event_are_acknowledged_and_recorded(kind: str) -> None:
    receiver = Receiver()
    body = json.dumps({"type": kind, "payload": {"test": "ok"}}).encode()

    received = receiver.webhooks.receive(body, signed(body))

    assert (received.status_code, received.outcome) == (200, DeliveryOutcome.NOTED)
    assert received.event is not None
    assert received.event.kind == kind
    assert receiver.receive(body) is DeliveryOutcome.REPLAYED
    assert (receiver.recorded, receiver.reported) == ([], [])


def test_an_unknown_status_is_recorded_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver()

    for seconds in (3, 2, 1):
        receiver.receive(body_of("hibernating", at=NOW - timedelta(seconds=seconds)))
    receiver.receive(body_of("finished"))
    receiver.receive(body_of("hibernating"))

    assert [entry.state for _, entry in receiver.reported] == [None, None, None, "finished", "finished"]
    observation = receiver.reported[-1][1].observation
    assert observation is not None
    assert observation.kind is ObservationKind.UNKNOWN
    (warning,) = caplog.records
    assert (warning.name, warning.levelname) == ("lifecycle_adapters.webhooks", "WARNING")
    assert (vars(warning)["status"], vars(warning)["task_id"], vars(warning)["lifecycle"]) == (
        "hibernating", "t", "v1-full",
    )  # fmt: skip


IDS = ["'; DROP TABLE tasks; --", '"', "a\nb\r\n", "x" * 1_000, "日本", "../../etc", " ", "\x1b[31m", "%s{0}"]


@pytest.mark.parametrize("task_id", IDS, ids=range(len(IDS)))
def test_ids_are_recorded_unchanged(task_id: str) -> None:
    receiver = Receiver(task=task_id)

    assert receiver.receive(body_of("started", task_id=task_id)) is DeliveryOutcome.RECORDED
    assert receiver.recorded == [("started", "running")]


def test_an_update_without_its_subjects_id_is_refused() -> None:
    subjects: list[tuple[WebhookBinding, dict[str, Any]]] = [(TASK_WEBHOOKS, {"task_id": None}), (SESSION_WEBHOOKS, {})]
    for webhooks, payload in subjects:
        receiver = Receiver(webhooks=webhooks)
        body = body_of("started", **payload)

        received = receiver.webhooks.receive(body, signed(body))

        assert (received.status_code, received.outcome) == (400, DeliveryOutcome.REFUSED)
        assert str(received.error).startswith(f"'{webhooks.task_field}'")


@pytest.mark.parametrize(
    ("body", "headers", "status_code", "error"),
    [
        (BODY, {}, 401, BadSignature),
        (BODY, HEADERS | {SIGNATURE_HEADER: "0" * 64}, 401, BadSignature),
        (BODY, HEADERS | {TIMESTAMP_HEADER: "1736930000"}, 401, StaleTimestamp),
        (b"{", HEADERS, 400, BadBody),
        (BODY + b" " * 65_536, HEADERS, 413, BodyTooLarge),
    ],
)
def test_a_refused_delivery_leaves_only_a_warning(
    *,
    body: bytes,
    headers: dict[str, str],
    status_code: int,
    error: type[WebhookError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = Receiver(task="task_abc123")

    received = receiver.webhooks.receive(body, headers)

    assert (received.status_code, received.outcome, type(received.error)) == (
        status_code,
        DeliveryOutcome.REFUSED,
        error,
    )
    assert (received.event, received.entry, receiver.recorded, receiver.reported) == (None, None, [], [])
    (warning,) = caplog.records
    assert vars(warning)["reason"] == error.__name__
    assert receiver.webhooks.receive(BODY, HEADERS).outcome is DeliveryOutcome.RECORDED


class JournalGone(AdapterError):
    """The error of a durable journal whose database is unavailable."""


class BrokenJournal(MemoryJournal):
    """A journal that fails until it is repaired."""

    is_mended = False

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportEntry[Any, Any]] | None:
        if not self.is_mended:
            raise JournalGone("the database is away")
        return super().receive(delivery, reports)


def test_a_failing_journal_returns_503() -> None:
    journal = BrokenJournal()
    receiver = Receiver(journal=journal)
    body = body_of("started")

    failed = receiver.webhooks.receive(body, signed(body))
    journal.is_mended = True

    assert (failed.status_code, failed.outcome, type(failed.error)) == (503, DeliveryOutcome.FAILED, JournalGone)
    assert receiver.reported == []
    assert receiver.receive(body) is DeliveryOutcome.RECORDED


def test_a_name_too_long_for_the_journal_is_refused() -> None:
    receiver = Receiver(journal=MemoryJournal())
    body = body_of("started", task_id="t" * 10_000)

    received = receiver.webhooks.receive(body, signed(body))

    assert (received.status_code, received.outcome, type(received.error)) == (400, DeliveryOutcome.REFUSED, BadBody)
    assert receiver.reported == []


def test_neither_the_secret_nor_a_body_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    receiver = Receiver(journal=BrokenJournal())
    private = body_of("started", metadata={"password": "hunter2"})

    shown = [receiver.webhooks.receive(private, headers).error for headers in (signed(private), {})]
    shown.append(receiver.webhooks.receive(private[:-1], signed(private)).error)

    facts = "".join(str(vars(record)) for record in caplog.records)
    for text in (*map(repr, shown), repr(receiver.webhooks), str(vars(BadSignature("x"))), facts):
        assert SECRET not in text
        assert "hunter2" not in text
    assert len(caplog.records) == 4  # one failure and two refusals


def shown(error: BaseException | None) -> str:
    """Return the local variables of an error's frames in the module."""
    assert error is not None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [frame.f_locals for frame in frames if "lifecycle_adapters/webhooks" in frame.f_code.co_filename]
    assert own
    return "".join(map(str, own))


def test_no_frame_of_an_error_holds_a_secret() -> None:
    body = body_of("started")
    for forged in ({}, HEADERS, signed(body, NOW - timedelta(hours=1))):
        with pytest.raises(WebhookError) as refused:
            verify(body, forged, secret=[SECRET, "old"], now=NOW)
        assert SECRET not in shown(refused.value)
        assert SECRET not in shown(Receiver().webhooks.receive(body, forged).error)
    with pytest.raises(BadBody) as bad:
        sign(b"{", secret=SECRET, sent_at=NOW)
    assert SECRET not in shown(bad.value)
    with pytest.raises(ValueError, match="not empty") as empty:
        Webhooks("v1", secret=[SECRET, ""], journal=MemoryJournal())
    assert SECRET not in shown(empty.value)
    assert SECRET not in str(vars(Receiver().webhooks))


@pytest.mark.parametrize(
    ("secret", "error"),
    [
        (SECRET.encode(), TypeError),
        ([SECRET.encode()], TypeError),
        (bytearray(SECRET.encode()), TypeError),
        ((SECRET, 5), TypeError),
        ({"a": SECRET}, TypeError),
        ({SECRET: "a"}, TypeError),
        ({SECRET}, TypeError),
        (iter([SECRET]), TypeError),
        (None, TypeError),
        (5, TypeError),
        (SECRET + "\udcff", ValueError),
        ([SECRET, SECRET + "\udcff"], ValueError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_invalid_secret_is_refused_and_not_shown(secret: Any, error: type[Exception]) -> None:
    uses: list[Callable[[], object]] = [
        lambda: Webhooks("v1", secret=secret, journal=MemoryJournal()),
        lambda: verify(BODY, HEADERS, secret=secret, now=NOW),
        lambda: sign(BODY, secret=secret, sent_at=NOW),
    ]
    for use in uses:
        with pytest.raises((TypeError, ValueError), match="a webhook's secret") as refused:
            use()
        assert type(refused.value) is (TypeError if use is uses[2] and not isinstance(secret, str) else error)
        assert SECRET not in shown(refused.value) + repr(refused.value)
        assert (refused.value.__cause__, refused.value.__context__) == (None, None)


ODD_ITEMS: list[Any] = [None, 5, [None], [5], ["ab"], [("name",)], [("name", "text", "more")], [("name", None)]]


@pytest.mark.parametrize(
    "headers",
    [{1: "text"}, {"name": 1}, {b"name": b"text"}, ["name"], None, dict, *map(Pairs, ODD_ITEMS)],
    ids=lambda each: repr(vars(each)) if isinstance(each, Pairs) else repr(each),
)
def test_headers_that_are_not_texts_are_refused(headers: Any) -> None:
    read = V1_BINDING.status.request("", task_id="t1")
    takes: list[Callable[[], object]] = [
        lambda: verify(BODY, headers, secret=SECRET, now=NOW),
        lambda: Receiver().webhooks.receive(BODY, headers),
        lambda: V1_BINDING.parse_response(
            V1_BINDING.status, read, status_code=200, headers=headers, content=b"{}", as_of=NOW
        ),
    ]
    for take in takes:
        with pytest.raises(TypeError, match=r"^(headers|a header's name|the header name) must be "):
            take()


def test_no_frame_holds_the_secret_if_another_argument_is_invalid() -> None:
    nothing: Any = None
    no_lifecycle_at_all: Any = "v1"
    with pytest.raises(TypeError) as no_time:
        sign(BODY, secret=SECRET, sent_at=nothing)
    with pytest.raises(TypeError) as no_lifecycle:
        Webhooks("v1", secret=SECRET, journal=MemoryJournal(), lifecycle=no_lifecycle_at_all)
    assert SECRET not in shown(no_time.value) + shown(no_lifecycle.value)


def test_memory_of_unknown_statuses_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver()
    for number in range(300):
        body = body_of(f"status {number}", at=NOW + timedelta(microseconds=number))
        receiver.webhooks.receive(body, signed(body))
    assert len([each for each in caplog.records if each.message == "a webhook has an unknown status"]) == 300
    held = [value for value in vars(receiver.webhooks).values() if isinstance(value, Sized)]
    assert max(map(len, held)) <= 64


def test_invalid_settings_raise_at_once() -> None:
    journal = MemoryJournal()
    with pytest.raises(UnknownName, match="service"):
        Webhooks("v9", secret=SECRET, journal=journal)
    with pytest.raises(ValueError, match="'v2-session' declares no webhooks"):
        Webhooks("v2-session", secret=SECRET, journal=journal)
    with pytest.raises(TypeError, match="service must be a name such as 'v2', or an HttpBinding"):
        Webhooks(V1_FULL, secret=SECRET, journal=journal)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_the_binding_of_a_receiver_has_its_parameters_filled_in() -> None:
    binding = replace(service_of("v2"), base_path="/repos/{owner}/{repo}", parameters=("owner", "repo"), retired=None)
    journal = MemoryJournal()
    with pytest.raises(ValueError, match="'v2' needs owner, repo: fill the binding `with_parameters`"):
        Webhooks(binding, secret=SECRET, journal=journal)
    filled = binding.with_parameters({"owner": "acme", "repo": "web"})
    received = Webhooks(filled, secret=SECRET, journal=journal, clock=lambda: NOW).receive(BODY, HEADERS)
    assert received.outcome is DeliveryOutcome.RECORDED
    assert journal.task(filled.lifecycle, "task_abc123").entries == [received.entry]
    assert filled.lifecycle.name.endswith("[acme/web]")


# --- the ASGI application, called directly ----------------------------------------------------------

Message = dict[str, Any]


def ask(
    webhooks: Webhooks,
    *parts: bytes,
    headers: Mapping[str, str] | Pairs | None = None,
    then: Message | None = None,
    **scope: Any,
) -> tuple[list[Message], int]:
    """Send a request whose body is in parts; return the sent messages and the number of received ones."""
    incoming: list[Message] = [
        {"type": "http.request", "body": part, "more_body": then is not None or number < len(parts)}
        for number, part in enumerate(parts, start=1)
    ]
    incoming += [] if then is None else [then]
    sent: list[Message] = []
    taken = iter(incoming)
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]

    async def run() -> None:
        async def receive() -> Message:
            return next(taken)

        async def send(message: Any) -> None:
            sent.append(dict(message))

        await webhooks({"type": "http", "method": "POST", "headers": raw} | scope, receive, send)

    asyncio.run(run())
    return sent, len(incoming) - len(list(taken))


def test_a_body_in_parts_is_joined() -> None:
    receiver = Receiver()
    body = body_of("started")

    sent, _ = ask(receiver.webhooks, body[:10], b"", body[10:], headers=signed(body))

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (sent[0]["status"], json.loads(sent[1]["body"])) == (200, {"detail": "OK"})
    assert receiver.recorded == [("started", "running")]


def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    webhooks = Receiver(max_body_bytes=100).webhooks
    parts = [b"x" * 60] * 50

    for headers, taken in (({}, 2), ({"content-length": "3000"}, 0), ({"content-length": "x"}, 2)):
        sent, count = ask(webhooks, *parts, headers=headers)
        assert (sent[0]["status"], count) == (413, taken)


def test_a_sender_that_disconnects_gets_no_response() -> None:
    receiver = Receiver()
    body = body_of("started")

    sent, _ = ask(receiver.webhooks, body, headers=signed(body), then={"type": "http.disconnect"})

    assert (sent, receiver.recorded) == ([], [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_allowed(method: str) -> None:
    sent, taken = ask(Receiver().webhooks, b"{}", method=method)

    assert (sent[0]["status"], taken) == (405, 0)
    assert (b"allow", b"POST") in sent[0]["headers"]


def test_a_websocket_is_closed() -> None:
    sent, _ = ask(Receiver().webhooks, type="websocket")

    assert sent == [{"type": "websocket.close"}]


def test_an_unknown_protocol_raises() -> None:
    with pytest.raises(RuntimeError, match="serves HTTP, not 'telepathy'"):
        ask(Receiver().webhooks, type="telepathy")


@pytest.mark.parametrize(("version", "closes"), [("1.0", True), ("1.1", True), ("2", False), ("3", False)])
def test_a_connection_is_closed_only_if_it_is_not_shared(version: str, closes: bool) -> None:
    sent, _ = ask(Receiver(max_body_bytes=1).webhooks, b"{}", http_version=version)

    assert sent[0]["status"] == 413
    assert ((b"connection", b"close") in sent[0]["headers"]) is closes


def test_a_sender_that_disconnects_before_the_response_raises_nothing() -> None:
    receiver = Receiver()
    body = body_of("started")
    raw = [(name.lower().encode(), value.encode()) for name, value in signed(body).items()]

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(_: Any) -> None:
        raise OSError("the client has disconnected")  # as servers of ASGI 2.4 may

    asyncio.run(receiver.webhooks({"type": "http", "method": "POST", "headers": raw}, receive, send))

    assert receiver.recorded == [("started", "running")]


def test_the_journal_is_called_in_a_thread_and_on_report_in_the_loop() -> None:
    threads: list[threading.Thread] = []

    class Watched(MemoryJournal):
        def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[Any] | None:
            threads.append(threading.current_thread())
            return super().receive(delivery, reports)

    def on_report(_: str, __: ReportEntry[Any, Any]) -> None:
        threads.append(threading.current_thread())

    receiver = Receiver(journal=Watched(), on_report=on_report)

    ask(receiver.webhooks, body_of("started"), headers=signed(body_of("started")))

    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.main_thread()


# --- over real HTTP ---------------------------------------------------------------------------------


def real(lifecycle: Lifecycle[Any, Any], task: str = "t", **settings: Any) -> Receiver:
    """A receiver with the real clock."""
    return Receiver(lifecycle, task=task, clock=lambda: datetime.now(UTC), **settings)


def test_receiver_can_be_served_alone_or_mounted() -> None:
    receiver = real(V2_FULL)
    body = body_of("started", at=datetime.now(UTC))

    with served(receiver.webhooks) as url, httpx2.Client(trust_env=False) as http:
        first = http.post(url, content=body, headers=signed(body, datetime.now(UTC)))
        assert http.get(url).status_code == 405
        forged = http.post(url, content=body, headers=HEADERS)
        assert (first.status_code, forged.status_code) == (200, 401)
        assert forged.json() == {"detail": "Unauthorized"}
    with (
        served(Starlette(routes=[Mount("/hooks", app=receiver.webhooks)])) as url,
        httpx2.Client(trust_env=False) as http,
    ):
        again = http.post(f"{url}/hooks/", content=body, headers=signed(body, datetime.now(UTC)))
        assert (again.status_code, again.json()) == (200, first.json())
    assert receiver.recorded == [("started", "started")]


def test_route_of_a_framework_does_not_redirect() -> None:
    receiver = real(V2_FULL)
    body = body_of("started", at=datetime.now(UTC))
    app = FastAPI()
    app.router.routes.append(Route("/webhooks", receiver.webhooks))

    with served(app) as url, httpx2.Client(trust_env=False) as http:
        response = http.post(f"{url}/webhooks", content=body, headers=signed(body, datetime.now(UTC)))
        assert http.get(f"{url}/webhooks").headers["allow"] == "POST"
    assert (response.status_code, response.json()) == (200, {"detail": "OK"})
    assert receiver.recorded == [("started", "started")]


def test_a_frameworks_own_limit_is_handled_by_the_framework() -> None:
    receiver = real(V2_FULL)
    body = body_of("started", at=datetime.now(UTC), metadata={"long": "x" * 5000})
    app = Starlette(routes=[Route("/webhooks", receiver.webhooks, max_body_size=1000)])

    with served(app) as url, httpx2.Client(trust_env=False) as http:
        for content in (body, iter([body[:2000], body[2000:]])):  # with a Content-Length, and in chunks
            response = http.post(f"{url}/webhooks", content=content, headers=signed(body, datetime.now(UTC)))
            assert response.status_code == 413
    assert receiver.recorded == []


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 100000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s" % (100_000, b" " * 65_537),
    ],
    ids=["announced", "sent"],
)
def test_a_body_that_is_too_large_is_refused_before_its_end(sent: bytes) -> None:
    with served(real(V2_FULL).webhooks) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + sent)
            response = b"".join(iter(lambda: raw.recv(65_536), b""))  # until the connection is closed

    assert response.startswith(b"HTTP/1.1 413 ")
    assert response.endswith(b'{"detail": "%s"}' % HTTPStatus(413).phrase.encode())


def test_a_sender_that_disconnects_in_the_middle_of_a_body_causes_no_error() -> None:
    receiver = real(V2_FULL)
    body = body_of("started", at=datetime.now(UTC))

    with served(receiver.webhooks) as url:
        host, port = url.removeprefix("http://").split(":")
        for _ in range(3):
            with socket.create_connection((host, int(port))) as raw:
                raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert httpx2.post(url, content=body, headers=signed(body, datetime.now(UTC))).status_code == 200


class Switch:
    """An application that passes requests to the current test's receiver, because a server starts slowly."""

    app: Webhooks | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


class Service:
    """An emulator whose webhooks go to the test's own receiver."""

    def __init__(self, emulator: Emulator, http: httpx2.Client, switch: Switch, url: str) -> None:
        self.emulator = emulator
        self.http = http
        self._switch = switch
        self._url = url

    def follow(self, api: str, **settings: Any) -> tuple[Receiver, str]:
        """Create a task; return it and the receiver of its later webhooks."""
        self.emulator.reset()
        task_id = create(self.http, BY_NAME[api])
        receiver = real(BY_NAME[api].lifecycle, task_id, **settings)
        self._switch.app = receiver.webhooks
        self.emulator.set_webhook(self._url, secret=SECRET, retry_after_s=[0.01] * 100)
        return receiver, task_id

    def fire(self, task_id: str, *events: str) -> None:
        """Fire an event, and wait until its webhook has arrived."""
        for event in events:
            self.emulator.fire(task_id, event)
        settled(self.emulator)

    def status_codes(self) -> set[int | None]:
        return {attempt.status_code for message in self.emulator.webhooks() for attempt in message.attempts}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    switch = Switch()
    switch.app = real(V2_FULL).webhooks
    with Emulator(manual=True) as emulator, connect(emulator) as http, served(switch) as url:
        yield Service(emulator, http, switch, url)


def test_every_status_of_a_task_arrives(service: Service) -> None:
    receiver, task_id = service.follow("v1")

    service.fire(task_id, "start")
    command(service.http, BY_NAME["v1"], "stop", task_id)
    service.fire(task_id)

    assert receiver.recorded == [("started", "running"), ("stopped", "stopped")]
    assert service.status_codes() == {200}


def test_a_v3_session_is_recorded_by_its_session_id(service: Service) -> None:
    receiver, task_id = service.follow("v3", webhooks=SESSION_WEBHOOKS)

    service.fire(task_id, "start", "complete")

    assert receiver.recorded == [("running", "running"), ("idle", "running")]
    assert [entry.unconfirmed for _, entry in receiver.reported] == [False, True]


def test_a_doubled_message_is_recorded_once(service: Service) -> None:
    receiver, task_id = service.follow("v2")
    service.emulator.webhook_fault("doubled", times=2)

    service.fire(task_id, "start", "finish")

    assert receiver.recorded == [("started", "started"), ("finished", "finished")]
    assert [len(message.attempts) for message in service.emulator.webhooks()] == [1, 2, 2]
    assert service.status_codes() == {200}


@pytest.mark.parametrize(("fault", "fields"), [("out_of_order", {}), ("late", {"seconds": 0.5})])
def test_a_message_after_its_successor_is_recorded_as_late(
    service: Service, fault: str, fields: dict[str, Any]
) -> None:
    receiver, task_id = service.follow("v2")
    service.emulator.webhook_fault(fault, **fields)

    service.fire(task_id, "start", "finish")

    assert receiver.recorded == [("finished", "finished"), ("started", "finished")]
    assert [entry.late for _, entry in receiver.reported] == [False, True]
    assert service.status_codes() == {200}


def test_after_a_lost_message_the_next_one_is_a_jump(service: Service) -> None:
    receiver, task_id = service.follow("v2")
    service.emulator.webhook_fault("lost", status="started")

    service.fire(task_id, "start", "finish")

    assert receiver.recorded == [("finished", "finished")]


def test_while_the_journal_fails_the_service_sends_again(service: Service) -> None:
    journal = BrokenJournal()
    receiver, task_id = service.follow("v2", journal=journal)

    service.emulator.fire(task_id, "start")
    until(lambda: len(service.emulator.webhooks()[1].attempts) >= 2)
    journal.is_mended = True
    service.fire(task_id)

    codes = [attempt.status_code for attempt in service.emulator.webhooks()[1].attempts]
    assert set(codes[:-1]) == {503}
    assert codes[-1] == 200
    assert receiver.recorded == [("started", "started")]
