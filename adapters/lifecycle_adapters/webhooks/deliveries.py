"""The contents of a delivery: its kind, and the status that it reports. signatures.py verifies it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.http.responses import NotATime, value_at
from lifecycle_adapters.http.webhook_binding import StatusUpdate, Updates
from lifecycle_adapters.webhooks.webhook_errors import BadBody


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A parsed body. Equal bodies have equal ids; `kind` is "" if the service sends one kind only.

    `update` is None if it reports no status of a task. `session_id` is the session whose latest task has changed, if
    the delivery names only the session; otherwise None. `document` is the whole body.
    """

    id: str
    kind: str
    update: StatusUpdate | None
    document: Mapping[str, Any] = field(repr=False)
    session_id: str | None = None


def parse(body: bytes, updates: Updates) -> WebhookEvent:
    """Return the event in a body, of a webhook or a stream, whose fields are declared.

    Fields that are not declared are ignored. `verify` checks the signature of a webhook.

    Raises:
        BadBody: the body is not UTF-8 or not a JSON object; it has a duplicate key, a number that JSON cannot
            represent, or too many levels; a declared field is missing or of another type; a name is empty or contains
            a character that databases cannot store; or `update_of` raised, or returned no `StatusUpdate`.
        TypeError: `body` is not bytes, or `updates` is neither a WebhookBinding nor a StreamBinding.
    """
    require(body, bytes, "body must be bytes, as it was received")
    require(updates, Updates, "updates must be a WebhookBinding, such as service('v2').webhooks, or a StreamBinding")
    document = document_in(body)
    kind = "" if updates.kind_field is None else _text(document, updates.kind_field)
    is_update = not updates.kinds or kind in updates.kinds
    update = _update(document, updates) if is_update else None
    is_of_session = kind in updates.session_kinds
    session_id = _text(document, str(updates.session_field), may_be_number=True) if is_of_session else None
    return WebhookEvent(hashlib.sha256(canonical(document)).hexdigest(), kind, update, document, session_id)


def _update(document: Mapping[str, Any], updates: Updates) -> StatusUpdate | None:
    if updates.update_of is None:
        field = updates.time_field
        at = None if field is None else _moment(value_at(document, field), f"'{field}'")
        task_id = _text(document, str(updates.task_field), may_be_number=True)
        return StatusUpdate(task_id, _text(document, str(updates.status_field)), at)
    try:
        update = cast("object", updates.update_of(document))  # the user's function may return anything
    except NotATime as error:
        raise BadBody(str(error)) from None
    except Exception as error:  # noqa: BLE001 (the user's code; its message may hold a part of the body)
        raise BadBody(f"`update_of` raised {type(error).__name__}") from None
    if update is None:
        return None
    if not isinstance(update, StatusUpdate):
        raise BadBody(f"`update_of` must return a StatusUpdate or None, not {type(update).__name__}")
    _require_text(update.task_id, "the `task_id` that `update_of` returned")
    _require_text(update.status, "the `status` that `update_of` returned")
    return update if update.at is None else replace(update, at=_moment(update.at, "the `at` that `update_of` returned"))


def _text(document: Mapping[str, Any], path: str, *, may_be_number: bool = False) -> str:
    value = value_at(document, path)
    return _require_text(str(value) if may_be_number and type(value) is int else value, f"'{path}'")


def _require_text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadBody(f"{name} is missing, empty or not a string")
    if _UNSTORABLE.search(value):
        raise BadBody(f"{name} contains NUL or an unpaired surrogate")
    return value


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL and unpaired surrogates; databases and UTF-8 cannot hold them
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(value: object, name: str) -> datetime:
    """Return a time in UTC; a naive one of the service is UTC too."""
    try:
        if isinstance(value, datetime):
            at = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            return _EPOCH + timedelta(seconds=value)
        else:
            at = datetime.fromisoformat(cast("str", value))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        raise BadBody(f"{name} is not a date and time") from None


# --- the document ---------------------------------------------------------------------------------


def document_in(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body. Raises BadBody."""
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


def canonical(document: Mapping[str, Any], *, escaped: bool = True) -> bytes:
    """Return the document with sorted keys and without spaces; characters that are not ASCII are escaped or not.

    Raises BadBody: it is nested too deeply, or contains a number that JSON cannot represent.
    """
    try:
        text = json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=escaped)
        return text.encode("utf-8", "backslashreplace")  # half of a surrogate pair is escaped in both
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError:
        raise BadBody("the body contains a number that JSON cannot represent") from None
