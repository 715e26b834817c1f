"""A service's webhooks, as data: the signature or token of a delivery, and the fields that hold its facts.

The package `lifecycle_adapters.webhooks` verifies and records deliveries by these declarations. Facts of the signatures
provided here, and their sources:

- BROWSER_USE: two headers, `X-Browser-Use-Timestamp` (Unix seconds, the time of sending) and `X-Browser-Use-Signature`
  (hex HMAC-SHA256 of `{timestamp}.{body}` keyed with the secret); 300 s. Browser Use Cloud, "Webhooks" (2026-03-16 and
  later; earlier pages named another header). `body` is the whole JSON document, serialized again with sorted keys and
  without spaces. That page's Python and browser-use-sdk 2.0.6 to 2.0.15 (`lib/webhooks.py`) escape all characters that
  are not ASCII, its TypeScript (`JSON.stringify`) escapes none of them: both forms are accepted. The SDK up to 2.0.4
  signed only the inner `payload`, which was corrected; from 3.0 on it has no such function. The signature therefore
  covers the document and not its bytes: spaces and the order of keys may change.
- STRIPE: `Stripe-Signature: t=1492774577,v1=5257a...,v0=6ffbb...`, a hex HMAC-SHA256 of `{timestamp}.{body}`; several
  `v1` while a secret is rolled, `v0` is of test events and to be ignored; 300 s in its libraries. docs.stripe.com,
  "Resolve webhook signature verification errors" and "Verify webhook signatures manually".
- GITHUB: `X-Hub-Signature-256: sha256=...`, a hex HMAC-SHA256 of the body. No time is signed, and neither is
  `X-GitHub-Delivery`, so that a replay is known by its body alone. docs.github.com, "Validating webhook deliveries".
- STANDARD_WEBHOOKS: `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature: v1,BASE64 v1,BASE64`, each
  an HMAC-SHA256 of `{id}.{timestamp}.{body}`; the secret is base64 after `whsec_`. The specification at
  github.com/standard-webhooks/standard-webhooks; it leaves the tolerance open, its libraries have 300 s.
- BEARER: `Authorization: Bearer ...`, the secret itself (RFC 6750). So A2A's push notifications prove their sender, if
  their configuration asks for that scheme. A2A specification 1.0, 4.3.3 and 6.6.
- A2A_TOKEN: `X-A2A-Notification-Token`, the `token` of such a configuration. The specification names no header; this
  one is the official SDK's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from lifecycle.conformance import Channel
from lifecycle.declaration import StrictText
from lifecycle.errors import described, nearest
from lifecycle_adapters.http.authentication import HEADER_NAME
from lifecycle_adapters.http.declared import (
    Declared,
    Mistake,
    OptionalPath,
    imported,
    parse,
    wrong_path,
)

Algorithm = Literal["sha256", "sha1", "sha512"]
Encoding = Literal["hex", "base64"]
Form = Literal["bytes", "canonical_json"]

PLACES = re.compile(r"(\{timestamp\}|\{id\}|\{body\})")
"""The placeholders in the signed text."""

_LONGEST_TOLERANCE_S = 604_800  # who can wait for longer sends no signature that is about the present

_SEPARATOR = re.compile(r"[!-*,\-.:-<>-@\[-`{-~ ]+")  # nothing of hex or base64

_Header = Annotated[StrictText, Field(description="the name of a header, as text such as 'X-Signature'")]
_CHANNEL = Field(description="the name of a channel, as text such as 'webhook'")
_OptionalHeader = Annotated[
    StrictText | None, Field(description="the name of a header, as text such as 'X-Timestamp', or None")
]
_Piece = Annotated[StrictText, Field(description="text such as 'v1='")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureScheme(Declared):
    """The signature of a service's deliveries: an HMAC of a text, keyed with the secret, in a header.

    `header` holds the signature, after `prefix`. With a `separator` it holds several items: a delivery is genuine if
    any item with the prefix is its signature, and other items are ignored.
    `signed` is the template of the signed text, with `{body}`, `{timestamp}` and `{id}`. The body is
    signed as it was sent, or as canonical JSON: with sorted keys and without spaces (`body_form`).
    `timestamp_header` is the header of the time of sending, in Unix seconds. If it is `header` itself, the time is its
    item after `timestamp_prefix`. A delivery is refused if that time is more than `tolerance_s` seconds away from the
    present, past or future. Without it, the signature does not distinguish old deliveries from new ones.
    `id_header` is the header of the delivery's id, if that is signed.
    The key is the secret in UTF-8. With `secret_prefix` it is the decoded base64 after that prefix.

    Raises:
        DefinitionError: a field is of another type; a header has no valid name; `signed` has no `{body}` or another
            placeholder; the time stamp or the id is in a header but not in the signed text, or the reverse; the items
            of the signature's header cannot be distinguished; or the tolerance is not positive, or longer than a week.
    """

    header: _Header
    algorithm: Annotated[Algorithm, Field(description=f"one of {', '.join(map(repr, get_args(Algorithm)))}")] = "sha256"
    encoding: Annotated[Encoding, Field(description="'hex' or 'base64'")] = "hex"
    prefix: _Piece = ""
    separator: Annotated[StrictText | None, Field(description="text such as ',', or None")] = None
    signed: Annotated[StrictText, Field(description="text such as '{timestamp}.{body}'")] = "{body}"
    body_form: Annotated[Form, Field(description="'bytes' or 'canonical_json'")] = "bytes"
    timestamp_header: _OptionalHeader = None
    timestamp_prefix: _Piece = ""
    tolerance_s: Annotated[int, Strict(), Field(description="a whole number of seconds, such as 300")] = 300
    id_header: _OptionalHeader = None
    secret_prefix: Annotated[StrictText | None, Field(description="text such as 'whsec_', or None")] = None

    def __post_init__(self) -> None:
        self._examine("signature", str(self.header))

    @property
    def has_timestamp_in_signature(self) -> bool:
        """Return whether the time stamp is an item of the signature's header."""
        return self.timestamp_header is not None and self.timestamp_header.casefold() == self.header.casefold()

    def _mistakes(self) -> Iterator[Mistake]:
        for name in ("header", "timestamp_header", "id_header"):
            value: str | None = getattr(self, name)
            if value is not None and not HEADER_NAME.fullmatch(value):
                yield (name,), f"{value!r} cannot be the name of a header"
        pieces = PLACES.split(self.signed)
        if pieces.count("{body}") != 1 or any(pieces.count(each) > 1 for each in ("{timestamp}", "{id}")):
            yield (
                ("signed",),
                f"must have {{body}} once, and {{timestamp}} and {{id}} at most once, not {self.signed!r}",
            )
        elif any(set("{}") & set(each) for each in pieces[::2]):
            yield ("signed",), f"has another placeholder than {{body}}, {{timestamp}} and {{id}}: {self.signed!r}"
        for name, place in (("timestamp_header", "{timestamp}"), ("id_header", "{id}")):
            if (getattr(self, name) is None) is (place in pieces):
                what = "must be given" if place in pieces else "must be left out: anybody could change it"
                yield (name,), f"{what}, since `signed` has {'' if place in pieces else 'no '}{place}"
        yield from self._wrong_items()
        if self.has_timestamp_in_signature and not (self.separator and self.timestamp_prefix and self.prefix):
            message = "needs `separator`, `prefix` and `timestamp_prefix`, if it is the header of the signature"
            yield ("timestamp_header",), message
        names = [each.casefold() for each in (self.header, self.timestamp_header, self.id_header) if each is not None]
        if self.id_header is not None and names.count(self.id_header.casefold()) > 1:
            yield ("id_header",), "must be a header of its own"
        if self.timestamp_prefix and not self.has_timestamp_in_signature:
            yield ("timestamp_prefix",), "must be left out: the time stamp has a header of its own"
        if self.tolerance_s < 1:
            yield ("tolerance_s",), f"must be at least 1, not {self.tolerance_s}"
        if self.tolerance_s > _LONGEST_TOLERANCE_S:
            yield ("tolerance_s",), f"must be at most {_LONGEST_TOLERANCE_S}, a week, not {self.tolerance_s}"

    def _wrong_items(self) -> Iterator[Mistake]:
        for name in ("prefix", "timestamp_prefix", "signed"):
            text: str = getattr(self, name)
            if not (text.isascii() and text.isprintable()) or text != text.lstrip():
                yield (name,), f"must be printable ASCII that begins with no space, not {text!r}"
        if self.separator is None:
            return
        if not _SEPARATOR.fullmatch(self.separator):
            yield (
                ("separator",),
                f"must be of printable ASCII that no signature has, such as ',', not {self.separator!r}",
            )
        elif self.separator in self.prefix + self.timestamp_prefix:
            yield ("separator",), f"{self.separator!r} is in a prefix, where it separates nothing"
        first, second = sorted((self.prefix, self.timestamp_prefix), key=len)
        if first and second.startswith(first):
            yield ("timestamp_prefix",), f"cannot be distinguished from the signature's: {first!r} begins {second!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScheme(Declared):
    """The token of a service's deliveries: the secret itself, in the header `token_header` after `token_prefix`.

    The prefix is compared without case, as the names of HTTP's authentication schemes are. Nothing is signed:
    anybody who sees one delivery can forge others, so that deliveries must be encrypted on their way, and an old one is
    known by its body alone.

    Raises:
        DefinitionError: a field is of another type, the header has no valid name, or the prefix is not printable ASCII.
    """

    token_header: _Header
    token_prefix: Annotated[StrictText, Field(description="text such as 'Bearer '")] = ""

    def __post_init__(self) -> None:
        self._examine("token", str(self.token_header))

    def _mistakes(self) -> Iterator[Mistake]:
        if not HEADER_NAME.fullmatch(self.token_header):
            yield ("token_header",), f"{self.token_header!r} cannot be the name of a header"
        if not (self.token_prefix.isascii() and self.token_prefix.isprintable()):
            yield ("token_prefix",), f"must be printable ASCII, not {self.token_prefix!r}"


Scheme = SignatureScheme | TokenScheme
"""How a delivery proves its sender."""

# fmt: off
BROWSER_USE = SignatureScheme(
    header="X-Browser-Use-Signature", timestamp_header="X-Browser-Use-Timestamp",
    signed="{timestamp}.{body}", body_form="canonical_json",
)
STRIPE = SignatureScheme(
    header="Stripe-Signature", separator=",", prefix="v1=",
    timestamp_header="Stripe-Signature", timestamp_prefix="t=", signed="{timestamp}.{body}",
)
GITHUB = SignatureScheme(header="X-Hub-Signature-256", prefix="sha256=")
STANDARD_WEBHOOKS = SignatureScheme(
    header="webhook-signature", separator=" ", prefix="v1,", encoding="base64",
    secret_prefix="whsec_",  # noqa: S106 (no secret: what stands before one)
    timestamp_header="webhook-timestamp", id_header="webhook-id", signed="{id}.{timestamp}.{body}",
)
BEARER = TokenScheme(token_header="Authorization", token_prefix="Bearer ")  # noqa: S106 (no secret: where one stands)
A2A_TOKEN = TokenScheme(token_header="X-A2A-Notification-Token")  # noqa: S106
# fmt: on

_PROVIDED: dict[str, Scheme] = {
    "a2a-token": A2A_TOKEN,
    "bearer": BEARER,
    "browser-use": BROWSER_USE,
    "github": GITHUB,
    "standard-webhooks": STANDARD_WEBHOOKS,
    "stripe": STRIPE,
}


class _OrName:
    """A scheme of either kind, or in a file the name of one that is provided."""

    @staticmethod
    def __get_pydantic_core_schema__(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_scheme, handler.generate_schema(SignatureScheme))

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        token = TypeAdapter(TokenScheme).json_schema()
        token["description"], _, _ = token["description"].partition("\n\nRaises:")  # only Python raises
        return {"anyOf": [{"type": "string", "enum": list(_PROVIDED)}, handler(schema), token]}


def _scheme(value: Any, parse_signature: Callable[[Any], Any]) -> Any:
    """Return a scheme. A mapping with `token_header` is a token's, any other a signature's."""
    scheme = _named(value)
    if isinstance(scheme, TokenScheme):
        return scheme
    if isinstance(scheme, Mapping) and "token_header" in scheme:
        return parse(TokenScheme, scheme, "token")
    return parse_signature(scheme)


def _named(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in _PROVIDED:
        hint = "" if (meant := nearest(value, _PROVIDED)) is None else f"; did you mean {meant!r}?"
        known = ", ".join(map(repr, _PROVIDED))
        raise ValueError(f"must be a SignatureScheme, a TokenScheme, or one of {known}, not {described(value)}{hint}")
    return _PROVIDED[value]


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A status that a service pushed, its task, and the time at which the task entered it (None if not known)."""

    task_id: str
    status: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates(Declared):
    """The fields of the JSON documents that a service pushes, by webhooks or in a stream.

    `task_field` and `status_field` hold the task's id (a number counts as text) and its status, which is one of
    `channel`. `time_field` holds the time at which the task entered it: ISO 8601, in UTC if it names no zone, or
    seconds since 1970. A time in whole seconds counts as the beginning of its second, so that a read in that second
    is newer, and the next one shows what the document said. Without a time, that of sending counts, and if none is
    signed, that of the arrival.
    `kind_field` holds the kind of event. Only those of `kinds` report a status, all of them if `kinds` is empty;
    a document of another kind reports none. Each field can be a path, as "data.object.id".
    `session_kinds` are kinds of event that report the status of a session's latest task, and name no task but only the
    session, in `session_field`. Nobody can know which task was the latest at that time, so such an event reports no
    status of a task: it is a reason to read the session's latest one.
    `update_of` is a function that is given the whole document and returns a `StatusUpdate`, or None if the document
    reports no status; for a status that no path can name. In a file it is `module:function`. A document for which it
    raises, or returns another value, is refused. It should be quick, and must not block.

    Raises:
        DefinitionError: a field is of another type; there are neither both of `task_field` and `status_field` nor
            `update_of`, or all of them; a field is not a path; there are `kinds` or `session_kinds` without
            `kind_field`; there is only one of `session_field` and `session_kinds`; or a kind is one of both.
    """

    task_field: OptionalPath = None
    status_field: OptionalPath = None
    time_field: OptionalPath = None
    kind_field: OptionalPath = None
    kinds: Annotated[
        tuple[StrictText, ...], Field(description="several kinds of event, in a tuple such as ('task.updated',)")
    ] = ()
    session_field: OptionalPath = None
    session_kinds: Annotated[
        tuple[StrictText, ...], Field(description="several kinds of event, in a tuple such as ('session.updated',)")
    ] = ()
    update_of: Annotated[
        Callable[[Mapping[str, Any]], StatusUpdate | None] | None,
        BeforeValidator(imported),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        Field(description="a function, or its place as text such as 'mine.printer:update_of', or None"),
    ] = None
    channel: Annotated[StrictText, _CHANNEL]

    def _mistakes(self) -> Iterator[Mistake]:
        """Yield the mistakes in fields that are of the right types."""
        for name in ("task_field", "status_field", "time_field"):
            is_given = getattr(self, name) is not None
            if self.update_of is not None and is_given:
                yield (name,), "must be left out: `update_of` returns it"
            elif self.update_of is None and not is_given and name != "time_field":
                yield (name,), "must be given, since there is no `update_of`"
            yield from wrong_path((name,), getattr(self, name))
        yield from wrong_path(("kind_field",), self.kind_field)
        if not self.channel:
            yield ("channel",), "must not be empty: give one such as 'webhook'"
        if (self.kinds or self.session_kinds) and self.kind_field is None:
            yield ("kind_field",), f"must be given, since there are `{'kinds' if self.kinds else 'session_kinds'}`"
        yield from self._wrong_sessions()
        if inspect.iscoroutinefunction(self.update_of):
            yield ("update_of",), "must be a function that returns a StatusUpdate, not a coroutine function"

    def _wrong_sessions(self) -> Iterator[Mistake]:
        yield from wrong_path(("session_field",), self.session_field)
        if (self.session_field is None) is bool(self.session_kinds):
            missing, given = (
                ("session_field", "session_kinds") if self.session_kinds else ("session_kinds", "session_field")
            )
            yield (missing,), f"must be given, since there is `{given}`"
        if self.session_kinds and not self.kinds:
            yield ("kinds",), "must be given: without them every kind reports the status of a task"
        elif shared := [each for each in self.session_kinds if each in self.kinds]:
            yield ("session_kinds",), f"{shared[0]!r} is one of `kinds`, too"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookBinding(Updates):
    """The webhooks of one service: how a delivery proves its sender, and the fields of its JSON (`Updates`).

    `signature` is the scheme, of a signature or of a token. A delivery of a kind that reports no status is recorded and
    nothing more.

    Raises:
        DefinitionError: a field is of another type or is not a path; the fields for the status are missing or
            contradict each other; a kind needs a field that is missing; or the signature is not a scheme.
    """

    signature: Annotated[
        Scheme,
        _OrName(),
        Field(description="a SignatureScheme, such as GITHUB, a TokenScheme, or in a file a name such as 'github'"),
    ]
    channel: Annotated[StrictText, _CHANNEL] = str(Channel.WEBHOOK)

    def __post_init__(self) -> None:
        self._examine("webhooks", str(self.channel))
