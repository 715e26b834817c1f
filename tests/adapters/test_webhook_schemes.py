"""Signature schemes and the webhooks of own services: what is signed, what is read, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lifecycle import DefinitionError, MemoryJournal
from lifecycle_adapters.http import (
    A2A_TOKEN,
    BEARER,
    BROWSER_USE,
    GITHUB,
    STANDARD_WEBHOOKS,
    STRIPE,
    HttpBinding,
    SignatureScheme,
    StatusUpdate,
    WebhookBinding,
)
from lifecycle_adapters.services import service as service_of
from lifecycle_adapters.webhooks import (
    BadBody,
    BadSignature,
    DeliveryOutcome,
    StaleTimestamp,
    WebhookError,
    Webhooks,
    parse,
    sign,
    verify,
)
from tests.support.packages import ROOT

NOW = datetime.fromtimestamp(1736937000, UTC)
SECRET = "a secret of the service"
KEY = b"\x00the key itself, of 24 by"
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"id": 7,  "status": "printing"}'

# --- the documents' own examples ------------------------------------------------------------------


def test_github_signs_the_body_as_its_documents_show() -> None:
    """Secret, payload and signature of "Validating webhook deliveries: Testing the webhook payload validation"."""
    secret = "It's a Secret to Everybody"
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": signature}

    assert verify(b"Hello, World!", headers, GITHUB, secret=secret, now=NOW) is None
    assert sign(b"Hello, World!", GITHUB, secret=secret, sent_at=NOW) == headers


def test_standard_webhooks_sign_as_the_vector_of_their_libraries() -> None:
    """The vector with which the libraries of the specification test `sign`."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    assert verify(body, headers, STANDARD_WEBHOOKS, secret=secret, now=at) == at
    assert verify(body, headers, STANDARD_WEBHOOKS, secret=secret.removeprefix("whsec_"), now=at) == at
    made = sign(body, STANDARD_WEBHOOKS, secret=secret, sent_at=at, delivery_id=headers["webhook-id"])
    assert made == headers


# --- every scheme ---------------------------------------------------------------------------------


def in_hex(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def of_stripe(body: bytes, at: int) -> dict[str, str]:
    return {"Stripe-Signature": f"t={at},v1={in_hex(SECRET.encode(), f'{at}.'.encode() + body)}"}


def of_github(body: bytes, _: int) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={in_hex(SECRET.encode(), body)}"}


def of_standard_webhooks(body: bytes, at: int) -> dict[str, str]:
    digest = hmac.new(KEY, f"msg_1.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def of_own(body: bytes, at: int) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), b"v0:" + str(at).encode() + b":" + body + b"!", hashlib.sha512).digest()
    return {"X-Time": str(at), "X-Mine": "=" + base64.b64encode(digest).decode()}


OWN = SignatureScheme(
    header="X-Mine",
    algorithm="sha512",
    encoding="base64",
    prefix="=",
    signed="v0:{timestamp}:{body}!",
    timestamp_header="X-Time",
    tolerance_s=10,
)


@dataclass(frozen=True)
class Signed:
    """A scheme, a secret, what the scheme's document says by hand, and an id if one is signed."""

    scheme: SignatureScheme
    secret: str
    by_hand: Callable[[bytes, int], dict[str, str]]
    delivery_id: str | None = None


SCHEMES = {
    "stripe": Signed(STRIPE, SECRET, of_stripe),
    "github": Signed(GITHUB, SECRET, of_github),
    "standard-webhooks": Signed(STANDARD_WEBHOOKS, WHSEC, of_standard_webhooks, "msg_1"),
    "own": Signed(OWN, SECRET, of_own),
}
each_scheme = pytest.mark.parametrize("by", SCHEMES.values(), ids=SCHEMES)
BODIES = st.binary(max_size=60) | st.sampled_from([BODY, b"", '{"a": "ü"}'.encode()])


@each_scheme
@given(body=BODIES, at_s=st.integers(0, 10**11))
def test_a_delivery_is_signed_as_the_documents_say_and_verified(by: Signed, body: bytes, at_s: int) -> None:
    at = datetime.fromtimestamp(at_s, UTC)
    headers = by.by_hand(body, at_s)

    assert sign(body, by.scheme, secret=by.secret, sent_at=at, delivery_id=by.delivery_id) == headers
    signed_at = verify(
        body, {name.upper(): value for name, value in headers.items()}, by.scheme, secret=by.secret, now=at
    )
    assert signed_at == (at if by.scheme.timestamp_header else None)
    with pytest.raises(BadSignature):
        verify(body, headers, by.scheme, secret="b3RoZXI=", now=at)


@each_scheme
@given(body=BODIES, data=st.data())
def test_any_changed_bit_is_refused(by: Signed, body: bytes, data: st.DataObject) -> None:
    """Of the body, of the signature, and of what is signed in other headers."""
    headers = by.by_hand(body, int(NOW.timestamp()))
    changed = data.draw(st.sampled_from(["the body", *headers]))
    before = body if changed == "the body" else headers[changed].encode()
    assume(before)
    forged = bytearray(before)
    place = data.draw(st.integers(0, 8 * len(forged) - 1))
    forged[place // 8] ^= 1 << place % 8
    if changed == "the body":
        body = bytes(forged)
    else:
        headers[changed] = forged.decode("latin-1")

    with pytest.raises((BadSignature, StaleTimestamp)):
        verify(body, headers, by.scheme, secret=by.secret, now=NOW)


@each_scheme
@given(body=BODIES, text=st.text(max_size=40), data=st.data())
def test_forged_headers_are_refused(
    by: Signed,
    body: bytes,
    text: str,
    data: st.DataObject,
) -> None:
    headers = by.by_hand(body, int(NOW.timestamp()))
    name = data.draw(st.sampled_from([*headers]))
    assume(text != headers[name])
    for other in ({**headers, name: text}, {each: value for each, value in headers.items() if each != name}):
        with pytest.raises((BadSignature, StaleTimestamp)):
            verify(body, other, by.scheme, secret=by.secret, now=NOW)


@each_scheme
@pytest.mark.parametrize("way", [-1, 1])
def test_time_stamp_tolerance_is_that_of_the_scheme(by: Signed, way: int) -> None:
    headers = by.by_hand(BODY, int(NOW.timestamp()))
    nearly, too_far = (NOW + way * timedelta(seconds=by.scheme.tolerance_s + more) for more in (0, 1))

    verify(BODY, headers, by.scheme, secret=by.secret, now=nearly)
    if by.scheme.timestamp_header is None:
        verify(BODY, headers, by.scheme, secret=by.secret, now=too_far)
        return
    with pytest.raises(StaleTimestamp) as stale:
        verify(BODY, headers, by.scheme, secret=by.secret, now=too_far)
    assert (stale.value.age_s, stale.value.tolerance_s) == (way * (by.scheme.tolerance_s + 1), by.scheme.tolerance_s)


@pytest.mark.parametrize("scheme", [STRIPE, STANDARD_WEBHOOKS])
def test_one_genuine_signature_of_several_is_enough(scheme: SignatureScheme) -> None:
    """Services sign with the old and the new secret while one is replaced; other versions are ignored."""
    secret, by_hand = {STRIPE.header: (SECRET, of_stripe), STANDARD_WEBHOOKS.header: (WHSEC, of_standard_webhooks)}[
        scheme.header
    ]
    headers, separator = by_hand(BODY, int(NOW.timestamp())), str(scheme.separator)
    genuine = headers[scheme.header]
    *times, signature = genuine.split(separator)
    wrong, other_version = f"{scheme.prefix}{'0' * 64}", f"v0{signature[2:]}"

    for items in ([wrong, signature], [signature, wrong], [other_version, "", signature, "what=ever"]):
        given_headers = {**headers, scheme.header: separator.join([*times, *items])}
        assert verify(BODY, given_headers, scheme, secret=secret, now=NOW) == NOW
    for items in ([wrong], [other_version], [], [signature[len(scheme.prefix) :]]):
        with pytest.raises(BadSignature):
            verify(BODY, {**headers, scheme.header: separator.join([*times, *items])}, scheme, secret=secret, now=NOW)


def test_stripes_header_has_one_time_stamp() -> None:
    header = of_stripe(BODY, 1736937000)["Stripe-Signature"]
    for forged in (header.replace("t=", "x="), f"t=1736936999,{header}", header.replace("t=", "t=+"), f"{header},t="):
        with pytest.raises(BadSignature, match="the time stamp in Stripe-Signature is missing or not a number"):
            verify(BODY, {"Stripe-Signature": forged}, STRIPE, secret=SECRET, now=NOW)


@pytest.mark.parametrize("scheme", [BROWSER_USE, GITHUB, STRIPE, STANDARD_WEBHOOKS])
def test_missing_signature_names_its_header(scheme: SignatureScheme) -> None:
    secret = base64.b64encode(SECRET.encode()).decode()
    delivery_id = "msg_1" if scheme is STANDARD_WEBHOOKS else None
    signed = sign(BODY, scheme, secret=secret, sent_at=NOW, delivery_id=delivery_id)
    without = {**signed, scheme.header: "t=1736937000" if scheme is STRIPE else ""}

    with pytest.raises(BadSignature, match=f"^the signature in {scheme.header} is missing or malformed$"):
        verify(BODY, without, scheme, secret=secret, now=NOW)


def test_signed_id_time_and_body_cannot_be_shifted() -> None:
    """The same text is signed for the id `msg_1.1736937000` and a shorter body, if ids could have dots."""
    body = b"1736937001.{}"
    headers = of_standard_webhooks(body, 1736937000)
    moved = {**headers, "webhook-id": "msg_1.1736937000", "webhook-timestamp": "1736937001"}

    with pytest.raises(BadSignature, match="webhook-id is missing or malformed"):
        verify(b"{}", moved, STANDARD_WEBHOOKS, secret=WHSEC, now=NOW)
    with pytest.raises(ValueError, match="printable ASCII characters but space and dot"):
        sign(b"{}", STANDARD_WEBHOOKS, secret=WHSEC, sent_at=NOW, delivery_id="msg_1.2")


def test_sign_needs_an_id_only_if_it_is_signed() -> None:
    with pytest.raises(ValueError, match="delivery_id must be given"):
        sign(BODY, STANDARD_WEBHOOKS, secret=WHSEC, sent_at=NOW)
    with pytest.raises(ValueError, match="delivery_id must be left out"):
        sign(BODY, GITHUB, secret=SECRET, sent_at=NOW, delivery_id="msg_1")


@pytest.mark.parametrize("secret", ["whsec_ä", "whsec_not base64", "whsec_YQ", "whsec_whsec_YQ=="])
def test_secret_that_is_not_base64_is_refused_and_not_shown(secret: str) -> None:
    for use in (
        lambda: verify(BODY, {}, STANDARD_WEBHOOKS, secret=[WHSEC, secret], now=NOW),
        lambda: sign(BODY, STANDARD_WEBHOOKS, secret=secret, sent_at=NOW, delivery_id="msg_1"),
    ):
        with pytest.raises(ValueError, match="a webhook's secret must") as refused:
            use()
        frames = [frame for frame, _ in traceback.walk_tb(refused.value.__traceback__)]
        own = [frame.f_locals for frame in frames if "lifecycle_adapters/webhooks" in frame.f_code.co_filename]
        assert own
        assert WHSEC not in str(own)
        assert repr(secret) not in str(own) + repr(refused.value)
        assert (refused.value.__cause__, refused.value.__context__) == (None, None)


def test_a_secret_that_is_a_prefix_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="a webhook's secret must not be empty after its prefix"):
        verify(BODY, {}, STANDARD_WEBHOOKS, secret="whsec_", now=NOW)


def test_scheme_of_another_type_is_refused() -> None:
    name: Any = "github"
    with pytest.raises(TypeError, match="must be a SignatureScheme, such as GITHUB, or a TokenScheme, not") as refused:
        verify(BODY, {}, name, secret=SECRET, now=NOW)
    assert SECRET not in str([frame.f_locals for frame, _ in traceback.walk_tb(refused.value.__traceback__)][1:])


# --- tokens ---------------------------------------------------------------------------------------

TOKENS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1).filter(lambda it: it == it.strip())


@given(secrets=st.lists(TOKENS, min_size=1, max_size=3), other=TOKENS | st.text(), body=BODIES)
def test_only_the_token_itself_is_accepted(secrets: list[str], other: str, body: bytes) -> None:
    for token in secrets:
        assert verify(body, {"authorization": f"bearer {token}"}, BEARER, secret=secrets, now=NOW) is None
    assume(other.strip(" ") not in secrets)
    for headers in ({"Authorization": f"Bearer {other}"}, {"X-Authorization": f"Bearer {secrets[0]}"}, {}):
        with pytest.raises(BadSignature) as refused:
            verify(body, headers, BEARER, secret=secrets, now=NOW)
        assert str(refused.value) in (
            "no secret is the token in Authorization",
            "the token in Authorization is missing or malformed",
        )
    with pytest.raises(BadSignature):
        verify(body, {"Authorization": f"Basic {secrets[0]}"}, BEARER, secret=secrets, now=NOW)


def test_token_is_sent_unchanged_and_not_shown() -> None:
    assert sign(BODY, BEARER, secret=SECRET, sent_at=NOW) == {"Authorization": f"Bearer {SECRET}"}
    assert sign(BODY, A2A_TOKEN, secret=SECRET, sent_at=NOW) == {"X-A2A-Notification-Token": SECRET}
    for use in (
        lambda: verify(BODY, {}, BEARER, secret=SECRET, now=NOW),
        lambda: verify(BODY, {}, BEARER, secret=[SECRET, f"{SECRET}\n"], now=NOW),
        lambda: sign(BODY, BEARER, secret=f"{SECRET}\n", sent_at=NOW),
        lambda: sign(BODY, BEARER, secret=SECRET, sent_at=NOW, delivery_id="msg_1"),
    ):
        with pytest.raises((BadSignature, ValueError)) as refused:
            use()
        frames = [frame for frame, _ in traceback.walk_tb(refused.value.__traceback__)]
        own = [frame.f_locals for frame in frames if "lifecycle_adapters/webhooks" in frame.f_code.co_filename]
        assert own
        assert SECRET not in str(own) + repr(refused.value)


TEXTS = st.text(string.ascii_letters + string.digits + "{}.:,;=_- é\n", max_size=4)
NAMES = st.sampled_from(["X-Signed", "X-Time", "x-signed", "X-Id", "a b"])
PIECES = st.sampled_from(["", "t=", "v1=", "v1,", "t", "sha256="]) | TEXTS


@given(
    header=NAMES, prefix=PIECES, separator=st.none() | st.sampled_from([",", " ", "; "]) | TEXTS,
    signed=st.sampled_from(["{body}", "{timestamp}.{body}", "{id}:{timestamp}:{body}"]) | TEXTS,
    timestamp_header=st.none() | NAMES, timestamp_prefix=PIECES, id_header=st.none() | NAMES,
    secret_prefix=st.none() | TEXTS, encoding=st.sampled_from(["hex", "base64"]), body=BODIES,
)  # fmt: skip
@example(
    header="X-Signed", prefix="t=", separator=",", signed="{timestamp}.{body}", timestamp_header="X-Signed",
    timestamp_prefix="t", id_header=None, secret_prefix=None, encoding="hex", body=BODY,
)  # fmt: skip
def test_every_valid_scheme_verifies_its_own_signature(body: bytes, **fields: Any) -> None:
    try:
        scheme = SignatureScheme(**fields)
    except DefinitionError:
        return
    delivery_id = "msg_1" if scheme.id_header else None
    secret = "YWJj" if scheme.secret_prefix is not None else SECRET
    headers = sign(body, scheme, secret=secret, sent_at=NOW, delivery_id=delivery_id)

    assert verify(body, headers, scheme, secret=secret, now=NOW) == (NOW if scheme.timestamp_header else None)
    with pytest.raises(BadSignature):
        verify(body + b"!", headers, scheme, secret=secret, now=NOW)


# --- replays --------------------------------------------------------------------------------------

PRINTED = WebhookBinding(signature=GITHUB, task_field="id", status_field="status")


def outcomes_of(scheme: SignatureScheme, secret: str, deliveries: Sequence[tuple[str, int, str | None]]) -> list[str]:
    """Receive deliveries of (status, seconds after NOW, id), which a journal knows; return their outcomes."""
    service = replace(service_of("v1"), name="own", webhooks=replace(PRINTED, signature=scheme))
    webhooks = Webhooks(service, secret=secret, journal=MemoryJournal(), clock=lambda: NOW + timedelta(minutes=1))
    outcomes: list[str] = []
    for status, seconds, delivery_id in deliveries:
        body = json.dumps({"id": "t", "status": status}).encode()
        sent_at = NOW + timedelta(seconds=seconds)
        headers = sign(body, scheme, secret=secret, sent_at=sent_at, delivery_id=delivery_id)
        outcomes.append(str(webhooks.receive(body, headers).outcome))
    return outcomes


def test_a_signed_id_decides_what_a_replay_is() -> None:
    deliveries = [("started", 0, "a"), ("paused", 1, "b"), ("started", 2, "c"), ("started", 3, "c"), ("paused", 4, "c")]

    assert outcomes_of(STANDARD_WEBHOOKS, WHSEC, deliveries) == ["recorded"] * 3 + ["replayed"] * 2


def test_a_signed_time_and_the_body_decide_what_a_replay_is() -> None:
    deliveries = [("started", 0, None), ("paused", 0, None), ("started", 2, None), ("started", 2, None)]

    assert outcomes_of(STRIPE, SECRET, deliveries) == ["recorded"] * 3 + ["replayed"]


def test_the_body_decides_what_a_replay_is_if_neither_id_nor_time_is_signed() -> None:
    deliveries = [("started", 0, None), ("paused", 1, None), ("started", 2, None)]

    assert outcomes_of(GITHUB, SECRET, deliveries) == ["recorded", "recorded", "replayed"]


# --- declarations ---------------------------------------------------------------------------------


def findings(make: Callable[[], object]) -> list[str]:
    with pytest.raises(DefinitionError) as info:
        make()
    return [f"{finding.where}: {finding.message}" for finding in info.value.findings]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"header": "a b"}, ["header: 'a b' cannot be the name of a header"]),
        ({"header": 7}, ["header: must be the name of a header, as text such as 'X-Signature', not 7 (int)"]),
        ({"algorithm": "md5"}, ["algorithm: must be one of 'sha256', 'sha1', 'sha512', not 'md5' (str)"]),
        (
            {"signed": "{timestamp}"},
            [
                "signed: must have {body} once, and {timestamp} and {id} at most once, not '{timestamp}'",
                "timestamp_header: must be given, since `signed` has {timestamp}",
            ],
        ),
        (
            {"signed": "{body}{url}"},
            ["signed: has another placeholder than {body}, {timestamp} and {id}: '{body}{url}'"],
        ),
        (
            {"timestamp_header": "X-Time"},
            ["timestamp_header: must be left out: anybody could change it, since `signed` has no {timestamp}"],
        ),
        ({"id_header": "X-Id"}, ["id_header: must be left out: anybody could change it, since `signed` has no {id}"]),
        *(
            (
                {"separator": separator},
                [f"separator: must be of printable ASCII that no signature has, such as ',', not {separator!r}"],
            )
            for separator in ("", "a", "=", "\n")
        ),
        ({"separator": ",", "prefix": "v1,"}, ["separator: ',' is in a prefix, where it separates nothing"]),
        ({"prefix": " v1"}, ["prefix: must be printable ASCII that begins with no space, not ' v1'"]),
        (
            {
                "separator": ",",
                "prefix": "t=",
                "timestamp_prefix": "t",
                "timestamp_header": "X-Signed",
                "signed": "{timestamp}.{body}",
            },
            ["timestamp_prefix: cannot be distinguished from the signature's: 't' begins 't='"],
        ),
        ({"id_header": "x-signed", "signed": "{id}.{body}"}, ["id_header: must be a header of its own"]),
        (
            {"signed": "{timestamp}.{body}", "timestamp_header": "x-SIGNED"},
            [
                (
                    "timestamp_header: needs `separator`, `prefix` and `timestamp_prefix`, if it is the header of the "
                    "signature"
                )
            ],
        ),
        ({"timestamp_prefix": "t="}, ["timestamp_prefix: must be left out: the time stamp has a header of its own"]),
        ({"tolerance_s": 0}, ["tolerance_s: must be at least 1, not 0"]),
        ({"tolerance_s": 604_801}, ["tolerance_s: must be at most 604800, a week, not 604801"]),
    ],
)
def test_invalid_scheme_is_refused(changes: dict[str, Any], expected: list[str]) -> None:
    fields: dict[str, Any] = {"header": "X-Signed", **changes}
    assert findings(lambda: SignatureScheme(**fields)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {},
            [
                "task_field: must be given, since there is no `update_of`",
                "status_field: must be given, since there is no `update_of`",
            ],
        ),
        (
            {"task_field": "a..b", "status_field": "s"},
            ["task_field: must be a field or a path such as 'status.state', without an empty part, not 'a..b'"],
        ),
        (
            {"task_field": "t", "status_field": "s", "kinds": ["done"]},
            ["kind_field: must be given, since there are `kinds`"],
        ),
        ({"update_of": str, "channel": ""}, ["channel: must not be empty: give one such as 'webhook'"]),
        ({"update_of": str, "time_field": "at"}, ["time_field: must be left out: `update_of` returns it"]),
        (
            {"signature": "gitub", "task_field": "t", "status_field": "s"},
            [
                (
                    "signature: must be a SignatureScheme, a TokenScheme, or one of 'a2a-token', 'bearer', "
                    "'browser-use', 'github', 'standard-webhooks', 'stripe', not 'gitub' (str); did you mean 'github'?"
                )
            ],
        ),
        (
            {"signature": {"header": ""}, "task_field": "t", "status_field": "s"},
            ["signature.header: '' cannot be the name of a header"],
        ),
        (
            {"signature": {"token_header": "a b", "token_prefix": "\n"}, "task_field": "t", "status_field": "s"},
            [
                "signature.token_header: 'a b' cannot be the name of a header",
                "signature.token_prefix: must be printable ASCII, not '\\n'",
            ],
        ),
    ],
)
def test_invalid_webhooks_are_refused(fields: dict[str, Any], expected: list[str]) -> None:
    given_fields: dict[str, Any] = {"signature": GITHUB, **fields}
    assert findings(lambda: WebhookBinding(**given_fields)) == expected


def test_update_of_is_called_and_not_awaited() -> None:
    async def later(_: Mapping[str, Any]) -> None: ...

    awaited: Any = later
    assert findings(lambda: WebhookBinding(signature=GITHUB, update_of=awaited)) == [
        "update_of: must be a function that returns a StatusUpdate, not a coroutine function"
    ]


# --- an own service -------------------------------------------------------------------------------

PRINTER = (ROOT / "examples" / "services" / "print-job.yaml").read_text()
WEBHOOKS = """
webhooks:
  signature: stripe
  kind_field: type
  kinds: [job.updated]
  task_field: data.job.id
  status_field: data.job.status
  time_field: data.changed
"""
ALIASES = """
  aliases:
    - {channel: webhook, status: on paper, state: printed}
"""
BINDING = HttpBinding.from_yaml(PRINTER.replace("\nlifecycle:\n", f"{WEBHOOKS}\nlifecycle:\n") + ALIASES)


def body_of(status: str, **fields: Any) -> bytes:
    job = {"id": 7, "status": status}
    return json.dumps({"type": "job.updated", "data": {"job": job, "changed": 1736936990}, **fields}).encode()


def receive(webhooks: Webhooks, body: bytes) -> Any:
    return webhooks.receive(body, of_stripe(body, int(NOW.timestamp())))


def receiver(binding: HttpBinding[str, str] = BINDING, **settings: Any) -> Webhooks:
    settings.setdefault("journal", MemoryJournal())
    return Webhooks(binding, secret=SECRET, clock=lambda: NOW, **settings)


def test_own_service_reports_by_webhooks() -> None:
    journal = MemoryJournal()
    webhooks = receiver(journal=journal)

    first, last = receive(webhooks, body_of("printing")), receive(webhooks, body_of("on paper"))

    assert (first.outcome, first.task_id, first.entry.state) == (DeliveryOutcome.RECORDED, "7", "printing")
    assert first.entry.report.as_of == NOW - timedelta(seconds=10)
    assert (last.entry.state, journal.task(BINDING.lifecycle, "7").load().state) == ("printed", "printed")
    assert receive(webhooks, body_of("printing")).outcome is DeliveryOutcome.REPLAYED
    assert receive(webhooks, body_of("printing", type="ping")).outcome is DeliveryOutcome.NOTED
    assert webhooks.receive(body_of("printing"), of_github(body_of("printing"), 0)).status_code == 401


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("2025-01-15T10:29:59Z", datetime(2025, 1, 15, 10, 29, 59, tzinfo=UTC)),
        ("2025-01-15T10:29:59", datetime(2025, 1, 15, 10, 29, 59, tzinfo=UTC)),
        (1736936999, datetime(2025, 1, 15, 10, 29, 59, tzinfo=UTC)),
        (1736936999.5, datetime(2025, 1, 15, 10, 29, 59, 500_000, tzinfo=UTC)),
        (1e300, None),
        (True, None),
        ("soon", None),
        (None, None),
    ],
)
def test_the_time_of_a_change_is_text_or_a_number(changed: object, expected: datetime | None) -> None:
    body = body_of("printing", data={"job": {"id": "7", "status": "printing"}, "changed": changed})
    received = receive(receiver(), body)
    if expected is None:
        assert str(received.error) == "'data.changed' is not a date and time"
    else:
        assert received.entry.report.as_of == expected


@pytest.mark.parametrize(("scheme", "at"), [(STRIPE, NOW - timedelta(seconds=60)), (GITHUB, NOW)])
def test_missing_time_field_falls_back_to_sending_or_arrival(scheme: SignatureScheme, at: datetime) -> None:
    assert BINDING.webhooks is not None
    binding = replace(BINDING, webhooks=replace(BINDING.webhooks, signature=scheme, time_field=None))
    body = body_of("printing")

    received = receiver(binding).receive(body, sign(body, scheme, secret=SECRET, sent_at=NOW - timedelta(seconds=60)))

    assert received.entry is not None
    assert received.entry.report.as_of == at


def run_update(document: Mapping[str, Any]) -> StatusUpdate | None:
    """Return the status of GitHub's `workflow_run`, or its conclusion."""
    run = document.get("workflow_run")
    return None if run is None else StatusUpdate(str(run["id"]), run["conclusion"] or run["status"])


def by_function(function: Any) -> HttpBinding[str, str]:
    return replace(BINDING, webhooks=WebhookBinding(signature=GITHUB, update_of=function))


def test_update_of_function_reads_complex_documents() -> None:
    text = PRINTER.replace(
        "\nlifecycle:\n", f"\nwebhooks: {{signature: github, update_of: '{__name__}:run_update'}}\n\nlifecycle:\n"
    )
    webhooks = receiver(HttpBinding.from_yaml(text))
    for run, outcome, state in (
        ({"id": 1, "status": "printing", "conclusion": None}, DeliveryOutcome.RECORDED, "printing"),
        ({"id": 1, "status": "completed", "conclusion": "printed"}, DeliveryOutcome.RECORDED, "printed"),
        (None, DeliveryOutcome.NOTED, None),
    ):
        body = json.dumps({"workflow_run": run}).encode()
        received = webhooks.receive(body, of_github(body, 0))
        assert (received.outcome, received.entry and received.entry.state) == (outcome, state)


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        *(("a2a-token", A2A_TOKEN), ("bearer", BEARER), ("browser-use", BROWSER_USE), ("github", GITHUB)),
        *(("standard-webhooks", STANDARD_WEBHOOKS), ("stripe", STRIPE)),
    ],
)
def test_a_file_may_name_every_provided_scheme(name: str, scheme: object) -> None:
    fields = "task_field: data.id, status_field: data.status"
    text = PRINTER.replace("\nlifecycle:\n", f"\nwebhooks: {{signature: {name}, {fields}}}\n\nlifecycle:\n")
    read = HttpBinding.from_yaml(text).webhooks
    assert read is not None
    assert read.signature == scheme


def raising(document: Mapping[str, Any]) -> StatusUpdate:
    return StatusUpdate(document["hunter2"], "printing")


def returning(update: object) -> Callable[[Any], object]:
    return lambda _: update


SOON: Any = "soon"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (raising, "`update_of` raised KeyError"),
        (returning("printing"), "`update_of` must return a StatusUpdate or None, not str"),
        (
            returning(StatusUpdate("", "printing")),
            "the `task_id` that `update_of` returned is missing, empty or not a string",
        ),
        (
            returning(StatusUpdate("7", "\0")),
            "the `status` that `update_of` returned contains NUL or an unpaired surrogate",
        ),
        (returning(StatusUpdate("7", "printing", SOON)), "the `at` that `update_of` returned is not a date and time"),
    ],
)
def test_result_of_update_of_is_validated(function: Any, expected: str) -> None:
    received = receiver(by_function(function)).receive(b"{}", of_github(b"{}", 0))

    assert (received.status_code, str(received.error)) == (400, expected)
    assert received.error is not None
    assert (received.error.__cause__, isinstance(received.error, BadBody)) == (None, True)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["type", "data", "job", "id", "status", "changed"]), inner)))  # fmt: skip
def test_any_document_is_parsed_or_raises_webhook_error(document: Any) -> None:
    assert BINDING.webhooks is not None
    with suppress(WebhookError):
        event = parse(json.dumps(document).encode(), BINDING.webhooks)
        assert event.document == document


def test_a_channel_is_one_of_the_lifecycle() -> None:
    (found,) = findings(lambda: HttpBinding.from_yaml(PRINTER.replace(
        "\nlifecycle:\n", f"{WEBHOOKS}  channel: mail\n\nlifecycle:\n")))  # fmt: skip
    assert found.startswith("webhooks.channel: print-job: unknown channel 'mail'")


def test_an_editor_knows_the_schemes_by_name() -> None:
    definitions = HttpBinding.json_schema()["$defs"]
    by_name, by_fields, of_token = definitions["WebhookBinding"]["properties"]["signature"]["anyOf"]

    names = ["a2a-token", "bearer", "browser-use", "github", "standard-webhooks", "stripe"]
    assert by_name == {"type": "string", "enum": names}
    assert "SignatureScheme" in json.dumps(by_fields)
    assert (of_token["required"], of_token["additionalProperties"]) == (["token_header"], False)
    assert BROWSER_USE.header in str(BROWSER_USE)
