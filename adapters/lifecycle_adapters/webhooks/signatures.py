"""Signatures and tokens of deliveries: `verify` a received one, `sign` one to be sent.

No secret is in a message, a repr or a variable of a traceback's frames, and the time of a comparison reveals no match.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from pydantic import SecretStr

from lifecycle.journal import check_time
from lifecycle_adapters.argument_checks import header_pairs, require, require_number
from lifecycle_adapters.http.authentication import is_header_value
from lifecycle_adapters.http.webhook_binding import PLACES, Scheme, SignatureScheme, TokenScheme
from lifecycle_adapters.webhooks.deliveries import canonical, document_in
from lifecycle_adapters.webhooks.webhook_errors import BadSignature, BodyTooLarge, StaleTimestamp

MAX_BODY_BYTES = 65_536

Secret = str | Sequence[str]
"""One secret, or all valid ones: during a rotation, the old and the new one."""


def verify(
    body: bytes,
    headers: Mapping[str, str],
    scheme: Scheme,
    *,
    secret: Secret,
    now: datetime,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> datetime | None:
    """Verify a delivery's signature or token; return the time at which it was sent (UTC), None if none is signed.

    Args:
        body: the unchanged body.
        headers: the request's headers, with names in any case.
        scheme: the service's scheme.
        secret: one secret or several; the signature must match any of them.
        now: the present time, timezone-aware.
        max_body_bytes: the largest accepted body.
    Raises:
        BodyTooLarge: the body is larger than `max_body_bytes`.
        StaleTimestamp: the time stamp differs from `now` by more than the scheme's tolerance.
        BadBody: canonical JSON is signed, and the body is not a JSON object in UTF-8.
        BadSignature: a header is missing, malformed, or given several times with different values; or no secret gives
            this signature or is this token.
        ValueError: there is no secret, or one is empty, cannot be encoded in UTF-8, is not base64 after the prefix, or
            is a token that no header can carry; or `max_body_bytes` is less than 1.
        TypeError: an argument has a wrong type. Headers may be of any class with `items`, as frameworks have them.
    """
    made = signers(secret, scheme)
    del secret  # a traceback shows the variables of its frames
    require(body, bytes, "body must be bytes, as it was received")
    pairs = header_pairs(headers)
    check_time("now", now)
    require_number(max_body_bytes, "max_body_bytes", kind=int, at_least=1)
    return verified(body, pairs, scheme, signers=required(made), now=now, max_body_bytes=max_body_bytes).sent_at


Headers = Sequence[tuple[str, str]]
"""The headers of a delivery as they were received, by `header_pairs`: a name may occur several times."""


@dataclass(frozen=True, slots=True)
class SignedFacts:
    """What the service signed beside the body: the time of sending (UTC) and the delivery's id, None if not signed."""

    sent_at: datetime | None
    delivery_id: str | None


def verified(
    body: bytes,
    headers: Headers,
    scheme: Scheme,
    *,
    signers: Sequence[hmac.HMAC],
    now: datetime,
    max_body_bytes: int,
) -> SignedFacts:
    """Verify a signature like `verify`, with a signer for each secret; return what is signed beside the body."""
    if len(body) > max_body_bytes:
        raise BodyTooLarge(max_body_bytes)
    if isinstance(scheme, TokenScheme):
        _verify_token(headers, scheme, signers)
        return SignedFacts(None, None)
    timestamp = _timestamp(headers, scheme)
    if timestamp:
        age_s = now.timestamp() - int(timestamp)
        if abs(age_s) > scheme.tolerance_s:
            raise StaleTimestamp(age_s, scheme.tolerance_s)
    delivery_id = _delivery_id(headers, scheme)
    texts = {_signed(scheme, form, timestamp, delivery_id) for form in _forms(scheme, body)}
    # compare_digest accepts strings only if they are ASCII
    given = [each.encode("utf-8", "surrogatepass") for each in _signatures(headers, scheme) if each]
    if not given:
        raise BadSignature(f"the signature in {scheme.header} is missing or malformed")
    made = [_signature(signer, text, scheme).encode() for signer in signers for text in texts]
    # Compare all: the time must not reveal a match.
    if not sum(hmac.compare_digest(each, other) for each in made for other in given):
        raise BadSignature("no secret gives this signature")
    return SignedFacts(datetime.fromtimestamp(int(timestamp), UTC) if timestamp else None, delivery_id or None)


def _verify_token(headers: Headers, scheme: TokenScheme, signers: Sequence[hmac.HMAC]) -> None:
    """Compare digests of the token and of the secrets, whose time reveals nothing. Raises BadSignature."""
    given, prefix = _header(headers, scheme.token_header), scheme.token_prefix
    if given[: len(prefix)].casefold() != prefix.casefold():
        raise BadSignature(f"the token in {scheme.token_header} is missing or malformed")
    token = _kept_token(given[len(prefix) :].strip(" ").encode("utf-8", "surrogatepass")).digest()
    if not sum(hmac.compare_digest(token, each.digest()) for each in signers):
        raise BadSignature(f"no secret is the token in {scheme.token_header}")


def sign(
    body: bytes, scheme: Scheme, *, secret: str, sent_at: datetime, delivery_id: str | None = None
) -> dict[str, str]:
    """Return the headers for a body, as the service sends them: the token, or the signature and the signed time and id.

    Args:
        body: the body as it will be sent.
        scheme: the service's scheme.
        secret: the secret.
        sent_at: the time of sending, timezone-aware; ignored if the scheme signs none.
        delivery_id: the id of the delivery, if the scheme signs one: 1 to 256 characters of printable ASCII without
            space and dot.
    Raises:
        BadBody: canonical JSON is signed, and the body is not a JSON object in UTF-8.
        ValueError: the secret is empty, cannot be encoded in UTF-8, is not base64 after the prefix, or is a token that
            no header can carry; `sent_at` has no time zone; or the id is malformed, or missing, or given and not
            signed.
        TypeError: the secret is not a string, `body` is not bytes, `sent_at` is not a datetime, or `scheme` is neither
            a SignatureScheme nor a TokenScheme.
    """
    made = signers(secret, scheme, several=False)
    token = _sealed(secret)
    del secret  # a traceback shows the variables of its frames
    (signer,) = required(made)
    require(body, bytes, "body must be bytes, as it will be sent")
    check_time("sent_at", sent_at)
    id_header = None if isinstance(scheme, TokenScheme) else scheme.id_header
    if (delivery_id is None) is (id_header is not None):
        raise ValueError(f"delivery_id must be {'given' if id_header else 'left out'}: the scheme decides it")
    if isinstance(scheme, TokenScheme):
        return {scheme.token_header: scheme.token_prefix + token.get_secret_value()}
    if delivery_id is not None and not _ID.fullmatch(delivery_id):
        raise ValueError("delivery_id must be 1 to 256 printable ASCII characters but space and dot")
    timestamp = str(int(sent_at.timestamp()))
    form = next(_forms(scheme, body))
    signature = scheme.prefix + _signature(signer, _signed(scheme, form, timestamp, delivery_id or ""), scheme)
    headers = {} if scheme.id_header is None or delivery_id is None else {scheme.id_header: delivery_id}
    if scheme.has_timestamp_in_signature:
        return {**headers, scheme.header: f"{scheme.timestamp_prefix}{timestamp}{scheme.separator}{signature}"}
    times = {} if scheme.timestamp_header is None else {scheme.timestamp_header: timestamp}
    return {**headers, **times, scheme.header: signature}


# --- the parts of a delivery ----------------------------------------------------------------------

SECONDS = re.compile(r"[0-9]{1,12}")  # `int` also accepts signs, spaces and other scripts, which no service sends
# Without dots, which separate it from what is signed after it: otherwise its end could be moved.
_ID = re.compile(r"[!-\-/-~]{1,256}")


def _header(headers: Headers, name: str) -> str:
    """Return a header's value, "" if it is missing. Raises BadSignature.

    A sender may repeat a header only if its values are one list (RFC 9110, 5.3). Of two different values, another
    program on the way may have read the other one.
    """
    values = {value for each, value in headers if each.casefold() == name.casefold()}
    if len(values) > 1:
        raise BadSignature(f"{name} is given {len(values)} times, with different values")
    return values.pop() if values else ""


def _timestamp(headers: Headers, scheme: SignatureScheme) -> str:
    """Return the time stamp, "" if the scheme has none. Raises BadSignature."""
    if scheme.timestamp_header is None:
        return ""
    found = [_header(headers, scheme.timestamp_header)]
    if scheme.has_timestamp_in_signature:
        found = _items(found[0], scheme, scheme.timestamp_prefix)
    if len(found) != 1 or not SECONDS.fullmatch(found[0]):
        raise BadSignature(f"the time stamp in {scheme.timestamp_header} is missing or not a number of seconds")
    return found[0]


def _delivery_id(headers: Headers, scheme: SignatureScheme) -> str:
    """Return the id, "" if the scheme has none. Raises BadSignature."""
    if scheme.id_header is None:
        return ""
    found = _header(headers, scheme.id_header)
    if not _ID.fullmatch(found):
        raise BadSignature(f"{scheme.id_header} is missing or malformed")
    return found


def _signatures(headers: Headers, scheme: SignatureScheme) -> list[str]:
    return _items(_header(headers, scheme.header), scheme, scheme.prefix)


def _items(header: str, scheme: SignatureScheme, prefix: str) -> list[str]:
    """Return the items of the signature's header with a prefix, without it."""
    items = [header] if scheme.separator is None else header.split(scheme.separator)
    return [each.removeprefix(prefix) for each in items if each.startswith(prefix)]


def _forms(scheme: SignatureScheme, body: bytes) -> Iterator[bytes]:
    """Yield the texts of the body that the service may have signed. Raises BadBody."""
    if scheme.body_form == "bytes":
        yield body
        return
    document = document_in(body)
    yield canonical(document)
    yield canonical(document, escaped=False)


def _signed(scheme: SignatureScheme, body: bytes, timestamp: str, delivery_id: str) -> bytes:
    known = {"{body}": body, "{timestamp}": timestamp.encode(), "{id}": delivery_id.encode()}
    return b"".join(known.get(piece, piece.encode()) for piece in PLACES.split(scheme.signed))


def _signature(signer: hmac.HMAC, text: bytes, scheme: SignatureScheme) -> str:
    signing = signer.copy()
    signing.update(text)
    return signing.hexdigest() if scheme.encoding == "hex" else base64.b64encode(signing.digest()).decode()


# --- secrets --------------------------------------------------------------------------------------


def signers(secret: object, scheme: object, *, several: bool = True) -> list[hmac.HMAC] | Exception:
    """Return a signer for each secret. The secrets themselves are not kept, so that no error can show them.

    An error is returned for `required` to raise: raised here, its traceback would hold the secret in a variable.
    """
    if not isinstance(scheme, Scheme):
        what = "a SignatureScheme, such as GITHUB, or a TokenScheme"
        return TypeError(f"scheme must be {what}, not {type(scheme).__name__}")
    if not several and not isinstance(secret, str):
        return _not_a_secret(secret, "a string")
    every: object = [secret] if isinstance(secret, str) else secret
    if not isinstance(every, Sequence) or isinstance(every, bytes | bytearray | memoryview):
        return _not_a_secret(secret)
    given = list(cast("Sequence[object]", every))
    texts = [each for each in given if isinstance(each, str)]
    if len(texts) < len(given):
        return _not_a_secret(next(each for each in given if not isinstance(each, str)))
    if not all(texts) or not texts:
        return ValueError("a webhook's secret must be a string that is not empty, or a list of such strings")
    if isinstance(scheme, TokenScheme):
        if not all(map(is_header_value, texts)):
            return ValueError("a webhook's token must be printable ASCII without spaces around it")
        return [_kept_token(each.encode()) for each in texts]
    try:
        keys = [_key(each, scheme.secret_prefix) for each in texts]
    except UnicodeEncodeError:
        return ValueError("a webhook's secret contains an unpaired surrogate, which UTF-8 cannot encode")
    except binascii.Error:
        return ValueError(f"a webhook's secret must be base64, after {scheme.secret_prefix!r} or without it")
    if not all(keys):
        return ValueError("a webhook's secret must not be empty after its prefix")
    return [hmac.new(key, digestmod=scheme.algorithm) for key in keys]


def _sealed(secret: object) -> SecretStr:
    """Return a secret that a traceback does not show; an empty one for a value that is not a secret."""
    return SecretStr(secret if isinstance(secret, str) else "")


def _kept_token(token: bytes) -> hmac.HMAC:
    """Return a digest that equal tokens have in this process, and from which nobody learns the token."""
    return hmac.new(_TOKENS_KEY, token, digestmod="sha256")


_TOKENS_KEY = secrets.token_bytes(32)


def _key(secret: str, prefix: str | None) -> bytes:
    encoded = secret.encode()
    return encoded if prefix is None else base64.b64decode(encoded.removeprefix(prefix.encode()), validate=True)


def _not_a_secret(given: object, expected: str = "a string or a list of strings") -> TypeError:
    return TypeError(f"a webhook's secret must be {expected}, not {type(given).__name__}")


def required(made: list[hmac.HMAC] | Exception) -> list[hmac.HMAC]:
    """Return the signers; raise their error, if it is one, in a frame that holds no secret."""
    if isinstance(made, Exception):
        raise made
    return made
