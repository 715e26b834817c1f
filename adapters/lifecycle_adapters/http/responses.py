"""The contents of a response: the values at the paths of its JSON, and the errors that its status code and body mean.

Pure, and independent of any service: a binding names the fields of its service.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from uuid import UUID

from lifecycle.effects import Denied, Lost, Missing, Refused, Response, Throttled
from lifecycle_adapters.foreign_text import one_line
from lifecycle_adapters.http.http_errors import (
    FieldError,
    Forbidden,
    NotFound,
    RateLimited,
    Redirected,
    RequestRejected,
    ResponseError,
    ServerError,
    Unauthorized,
)
from lifecycle_adapters.http.redaction import HIDDEN
from lifecycle_adapters.http.requests import Request, quoted_id

_UUID = re.compile(
    r"[0-9A-Fa-f]{8}(-?)(?:[0-9A-Fa-f]{4}\1){3}[0-9A-Fa-f]{12}"
)  # the class accepts much more than these


def is_plain_text(content: bytes, kind: str) -> bool:
    """Return whether a body is plain text such as "OK", and neither damaged JSON nor a proxy's HTML page."""
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        return False
    return not ("json" in kind or "html" in kind or text.startswith(("{", "[", '"', "<")))


class DuplicateKey(ValueError):
    """An object of JSON has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def parsed(content: bytes) -> Any:
    """Parse JSON, which has no NaN and no Infinity.

    Raises ValueError or RecursionError; DuplicateKey if one of two values must be the wrong one.
    """
    return _DECODER.decode(content.decode(json.detect_encoding(content), "surrogatepass"))  # as `json.loads` does


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise DuplicateKey(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return fields


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


# It takes 1.4 to 1.7 times as long as one without the first hook.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)


def is_same_id(one: str, other: str) -> bool:
    """Return whether two ids are equal, or are one UUID: services accept it in capitals, and without its hyphens."""
    if one == other:
        return True
    return bool(_UUID.fullmatch(one) and _UUID.fullmatch(other)) and UUID(one) == UUID(other)


def value_at(document: Any, path: str | None) -> Any:
    """Return the value at a path such as "status.state", the whole document for "", None if there is no value."""
    if path is None:
        return None
    found: Any = document
    for name in path.split(".") if path else ():
        if not isinstance(found, dict):
            return None
        found = cast("dict[str, Any]", found).get(name)
    return found


class NotATime(ValueError):
    """A value is not a date and time. The message names its field, and holds no part of a document."""


class NotANumber(ValueError):
    """A value is not a number. The message names its field, and holds no part of a document."""


def time_at(document: Any, path: str) -> datetime:
    """Return the date and time at a path, ISO 8601. Raises NotATime: there is another value, or none."""
    try:
        return datetime.fromisoformat(value_at(document, path))
    except (TypeError, ValueError):
        raise NotATime(f"'{path}' is not a date and time") from None


def placed(document: Any, path: str, value: Any) -> dict[str, Any]:
    """Return a copy of a document with a value at a path; a value on the path that is not an object becomes one."""
    first, _, rest = path.partition(".")
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    return {**fields, first: placed(fields.get(first), rest, value) if rest else value}


def id_in(document: Any, path: str, *, keeps_slashes: bool = False) -> str | None:
    """Return the id at a path (a number as text), None if there is none that a call can carry; see `quoted_id`.

    An id from which the API key was removed does not count.
    """
    found = value_at(document, path)
    text = str(found) if type(found) is int else found
    if not isinstance(text, str) or HIDDEN in text:
        return None
    return text if quoted_id(text, keeps_slashes=keeps_slashes) is not None else None


# --- errors ------------------------------------------------------------------------

# Redirects that may mean "it is done, the result is there" (RFC 9110, 15.4); only 303 must mean that, but web
# frameworks respond to a form with 302. After a 307 or 308 the request must be sent elsewhere: nothing was done.
_MAY_BE_DONE = frozenset({300, 301, 302, 303, 304})

_ERRORS: dict[int, type[ResponseError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: ServerError,
    429: RateLimited,
    499: ServerError,  # of a proxy: its caller went away while the service may have worked
}


def _kind_of(status_code: int, request: Request) -> type[ResponseError]:
    if status_code == 404 and request.task_id is None:
        return RequestRejected  # it names no task that could be missing
    return _ERRORS.get(status_code) or (ServerError if status_code >= 500 else RequestRejected)


def error_of(
    request: Request,
    status_code: int,
    headers: Mapping[str, str],
    content: bytes,
    as_of: datetime,
    *,
    error_field: str | None,
) -> ResponseError:
    """Return the error that a status code other than 2xx means; the error in the body at `error_field` has its code."""
    kind = _kind_of(status_code, request)
    if status_code in _MAY_BE_DONE and request.method != "GET":
        kind = Redirected
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    found = value_at(document, error_field)
    detail, fields = _detail(document, content, headers, is_redirect=300 <= status_code < 400)
    detail, code = one_line(detail + _data_of(found)), code_of(found)
    error = kind(**request.names, status_code=status_code, code=code, detail=detail, fields=fields)
    error.retry_after_s = retry_after_s(headers, as_of=as_of)
    if status_code == 404 and kind is RequestRejected:
        error.add_note(
            "The request names no task: the base URL may be wrong, or something else that it names is missing."
        )
    return error


def code_of(found: Any) -> int | None:
    """Return the integer that an error's code in a body equals, also as a text or a float; None if there is none.

    The code is the error's field `code`, or the error itself if it is not an object.
    """
    code = value_at(found, "code") if isinstance(found, dict) else found
    if isinstance(code, str) and re.fullmatch(r"-?[0-9]{1,9}", code):
        return int(code)
    if isinstance(code, bool) or not isinstance(code, int | float):
        return None
    return int(code) if code == code // 1 else None


def _meant_by(error: Any, codes: Mapping[int, int], otherwise: int) -> int:
    """Return the status code that an error in a 2xx response means; see `HttpBinding.error_codes`.

    Args:
        error: the error, one of them if there are several.
        codes: the status codes of the codes that the binding knows.
        otherwise: the status code of the response.
    """
    code = code_of(error)
    if code is not None and code in codes:
        return codes[code]
    if codes and (code is None or not isinstance(error, dict)):  # perhaps of a gateway: the service has objects
        return 500
    if code is None:
        return otherwise
    is_vague = code in _RESERVED and code not in _NOTHING_DONE
    # The codes after which an HTTP request may have had an effect mean the same in a body.
    is_of_server = 500 <= code <= 599 or _ERRORS.get(code) is ServerError
    return 500 if is_vague or is_of_server else otherwise


# JSON-RPC 2.0, 5.1: errors of its own, of which four say that nothing was done, and errors of the server.
_RESERVED = range(-32768, -31999)
_NOTHING_DONE = (-32700, -32600, -32601, -32602)


def _data_of(found: Any) -> str:
    """Return the `data` of an error in a body, as JSON-RPC has it (5.1), in parentheses; nothing if it has none."""
    data = value_at(found, "data")
    return "" if data is None else f" ({_as_text(data)})"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def error_in(request: Request, received: int, found: Any, codes: Mapping[int, int]) -> ResponseError:
    """Return the error that a 2xx response holds; `found` is its description, `received` the response's code.

    Of several errors in a list, the first counts after which the request may have had an effect, otherwise the first.
    `codes` are the status codes of the codes that the binding knows.
    """
    errors: list[Any] = [*cast("Any", found)] if isinstance(found, list) else [found]
    meant = [(code_of(each), _meant_by(each, codes, received)) for each in errors]
    code, status_code = max(meant, key=lambda each: _kind_of(each[1], request) is ServerError)
    text: Any = value_at(found, "message") or value_at(found, "detail") or cast("Any", found)
    detail = one_line(_as_text(text) + _data_of(found)) or "no details given"
    kind = _kind_of(status_code, request)
    return kind(**request.names, status_code=status_code, within=received, code=code, detail=detail)


def failure_of(error: ResponseError, *, limits_rate: bool) -> Response:
    """Return the failure that an error of the service means for the procedure that sent the request."""
    match error:
        case Unauthorized() | Forbidden():
            return Denied(error, error.retry_after_s)
        case NotFound():
            return Missing(error, error.retry_after_s)
        case RateLimited():
            return Throttled(error, error.retry_after_s, limits_rate)
        case ServerError() | Redirected():
            return Lost(error, error.retry_after_s)
        case _:
            return Refused(error, error.retry_after_s)


def _detail(
    document: Any, content: bytes, headers: Mapping[str, str], *, is_redirect: bool
) -> tuple[str, tuple[FieldError, ...]]:
    """Return an error response's text, as one line, and the fields it names (v1's and the later shape alike)."""
    found: Any = value_at(document, "detail") or value_at(document, "message") or value_at(document, "error")
    found = value_at(found, "message") or found  # of a 402 of Browser Use Cloud, beside a `code`
    match found:
        case [*items]:
            fields = tuple(_field_error(each) for each in items)
            return one_line("; ".join(map(str, fields))), fields
        case None:
            location = headers.get("location")
            text = f"redirected to {location}" if location and is_redirect else content.decode("utf-8", "replace")
        case _:
            text = str(found)
    return one_line(text) or "no details given", ()


def _field_error(item: Any) -> FieldError:
    match value_at(item, "loc"):
        case [*parts]:
            where = ".".join(map(str, parts))
        case _:
            where = "?"
    return FieldError(where, str(value_at(item, "msg") or item), str(value_at(item, "type") or "?"))


def retry_after_s(headers: Mapping[str, str], *, as_of: datetime) -> float | None:
    """Return the pause that `retry-after` asks for, in seconds, from 0 to a day; None if it asks for none.

    A date is counted from the response's own `date`, so that the two clocks need not agree; from `as_of`, when
    the request was started, if it has none.
    """
    value = headers.get("retry-after", "").strip()
    try:
        # `float` also accepts digits of other scripts, and underscores between them.
        seconds = float(value) if value.isascii() and "_" not in value else math.nan
    except ValueError:
        until_at = _date(value)
        if until_at is None:
            return None
        seconds = (until_at - (_date(headers.get("date", "")) or as_of)).total_seconds()
    # No service asks for more than a day, and no clock can wait for 1e300 seconds.
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S) if math.isfinite(seconds) else None


_LONGEST_RETRY_AFTER_S = 86_400.0


def _date(text: str) -> datetime | None:
    """Return an HTTP date, timezone-aware; None if it is not one."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if date.tzinfo is None else date
