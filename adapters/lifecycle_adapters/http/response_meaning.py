"""What an HTTP response means by a binding: a status, a refusal, a limit, or that nothing is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from lifecycle.effects import Accepted, Denied, Lost, Missing, NotSent, Refused, Response, Throttled
from lifecycle.errors import repr_of, shortened, text_of
from lifecycle_adapters.foreign_text import one_line
from lifecycle_adapters.http.authentication import is_header_value, is_visible
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.declared import LONGEST_REASON
from lifecycle_adapters.http.event_stream import data_of_events, is_event_stream
from lifecycle_adapters.http.handshake import Handshake
from lifecycle_adapters.http.http_errors import HandshakeFailed, InvalidResponse, NoTaskMade, ResponseError
from lifecycle_adapters.http.requests import Request
from lifecycle_adapters.http.responses import (
    DuplicateKey,
    code_of,
    error_in,
    error_of,
    failure_of,
    id_in,
    is_plain_text,
    is_same_id,
    parsed,
    placed,
    value_at,
)
from lifecycle_adapters.procedures.signal_errors import is_of_a_signal

if TYPE_CHECKING:
    from lifecycle_adapters.http.binding import HttpBinding


def is_last_event(
    binding: HttpBinding[Any, Any], request: Request, headers: Mapping[str, str]
) -> Callable[[bytes], bool] | None:
    """Return the function that tells from the data of an event whether it is the last that matters of a response.

    That is the first message that responds to the request, or that is not JSON. Return None if the response is not an
    event stream, or the service has no envelope.
    """
    if binding.envelope is None or not is_event_stream(headers):
        return None

    def is_last(data: bytes) -> bool:
        try:
            return _responds(binding, request, parsed(data))
        except (ValueError, RecursionError):
            return True

    return is_last


def meaning_of(
    binding: HttpBinding[Any, Any],
    call: Call,
    request: Request,
    *,
    status_code: int,
    headers: Mapping[str, str],
    content: bytes,
    as_of: datetime,
    hide: Callable[[str], str] = str,
) -> Response:
    """Return the meaning of an HTTP response; see `HttpBinding.parse_response`.

    `hide` removes the API key from a text that a function of the binding made; the rest has come without it.
    """
    is_last = is_last_event(binding, request, headers)
    if is_last is not None:
        content = next(filter(is_last, data_of_events(content)), b"")
    if status_code in call.statuses and status_code != 404:
        return Accepted(call.statuses[status_code], as_of, None, {})
    if not 200 <= status_code < 300:
        status_code = _meant_code(binding, status_code, content)
        error = error_of(request, status_code, headers, content, as_of, error_field=binding.error_field)
        return _failure(binding, call, request, error, as_of)
    document = _document(binding, call, request, headers, content)
    if isinstance(document, Lost):
        return document
    found = value_at(document, binding.error_field)
    if binding.envelope is not None:
        document = cast("Any", value_at(document, binding.envelope.result_field) or {})
    if not found and _is_about_no_task(binding, call, document):
        accepted = Accepted(None, as_of, None, document)
        return Refused(NoTaskMade(document, **request.names)) if call is binding.create else accepted
    document = _with_new_id(binding, document, call, headers)
    if found:  # null, false, 0, "", {} and [] say that there is none
        hidden = error_in(request, status_code, found, binding.error_codes)
        return _hidden_failure(binding, call, hidden, document)
    if binding.handshake is not None and call is binding.handshake.begin:
        return _handshake(binding.handshake, request, document, headers, as_of)
    other = None if request.task_id is None or not call.repeats_id else value_at(document, binding.id_field)
    if other is not None and not is_same_id(id_in(document, binding.id_field) or "", request.task_id or ""):
        what = f"the response is about another task, {other!r:.80}"
        return Lost(InvalidResponse(what, **request.names))
    try:
        status = _status_in(binding, call, document, hide)
    except _NoStatus as error:
        return Lost(InvalidResponse(f"{error}{_new_task(binding, call, document, headers)}", **request.names))
    etag = _etag_in(binding, document, headers)
    return Accepted(status, as_of, value_at(document, binding.output_field), document, etag)


class _NoStatus(ValueError):
    """A response lacks the status that it must have. The message is without the key."""


def _status_in(binding: HttpBinding[Any, Any], call: Call, document: Any, hide: Callable[[str], str]) -> str | None:
    """Return the status in a response; None if it need not have one. Raises _NoStatus."""
    try:
        status = binding.status_at(document, call.status_field)
    except Exception as error:  # whatever the caller's function raises, it is about this response
        if is_of_a_signal(error):
            raise
        what = f"`state_of` finds no status in the response: {type(error).__name__}: {text_of(error)}"
        raise _NoStatus(hide(what)[:LONGEST_REASON]) from None
    if isinstance(status, str):
        return status if binding.state_of is None else hide(status)
    is_named = status is None and call.id_header is not None and binding.id_in(document) is not None
    if call.status_field is None or is_named:
        return None
    what = f"the response has no status at {call.status_field or 'the top level'!r}"
    if binding.state_of is not None:
        what = hide(f"`state_of` returns no text but {repr_of(status)}")[:LONGEST_REASON]
    raise _NoStatus(what)


def _new_task(binding: HttpBinding[Any, Any], call: Call, document: Any, headers: Mapping[str, str]) -> str:
    """Return the rest of a message about the response to a create.

    It says the id with which the task can be adopted, or that the header has none; with one no status would be needed.
    """
    new_id = binding.id_in(document) if call is binding.create else None
    return _lack_of_id(call, headers) if new_id is None else f"; it names a task, {new_id!r:.200}"


def _lack_of_id(call: Call, headers: Mapping[str, str]) -> str:
    """Return the rest of a message about a response without an id: what is in the header that may have it."""
    if call.id_header is None:
        return ""
    url = headers.get(call.id_header.lower())
    found = "is missing" if url is None else f"ends with none that a request can carry: {shortened(url)}"
    return f", nor an id: its header {call.id_header} {found}"


def _failure(
    binding: HttpBinding[Any, Any], call: Call, request: Request, error: ResponseError, as_of: datetime
) -> Response:
    """Return the meaning of a response other than 2xx."""
    if error.status_code in call.statuses:  # 404: the task is gone, or its id is misspelt
        return Missing(error, error.retry_after_s, Accepted(call.statuses[404], as_of, None, {}))
    handshake = binding.handshake
    if handshake is not None and handshake.header in request.headers and error.status_code == handshake.ended_code:
        what = f"the service requires a new handshake: {error.detail}"
        return NotSent(HandshakeFailed(what, **request.names))
    if error.status_code in call.busy:
        return Throttled(error, error.retry_after_s, limits_rate=False)
    return failure_of(error, limits_rate=not _limits_tasks(binding, error))


def _is_about_no_task(binding: HttpBinding[Any, Any], call: Call, document: Any) -> bool:
    """Return whether a response says that it is about no task; one that says neither proves nothing."""
    can_say_so = call.no_task_field is not None or call.task_if
    if not can_say_so or value_at(document, call.id_field or binding.id_field) is not None:
        return False
    if value_at(document, call.no_task_field) is not None:
        return True
    said = ((value_at(document, path), wanted) for path, wanted in call.task_if.items())
    return any(isinstance(text, str) and text != wanted for text, wanted in said)


def _hidden_failure(binding: HttpBinding[Any, Any], call: Call, error: ResponseError, document: Any) -> Response:
    """Return the meaning of an error in a 2xx response."""
    if call is binding.create and binding.id_in(document) is not None:
        return Lost(error)  # it names a new task all the same, so sending it again may make a second one
    return failure_of(error, limits_rate=not _limits_tasks(binding, error))


def _meant_code(binding: HttpBinding[Any, Any], status_code: int, content: bytes) -> int:
    """Return what an error's own code means if it has a known one, as JSON-RPC's: it says more than a 400 or a 404."""
    if status_code not in _VAGUE or binding.handshake is not None:  # where a 404 can mean that the handshake has ended
        return status_code
    try:
        code = code_of(value_at(parsed(content), binding.error_field))
    except (ValueError, RecursionError):
        return status_code
    return status_code if code is None else binding.error_codes.get(code, status_code)


_VAGUE = (400, 404)


def _handshake(
    handshake: Handshake, request: Request, document: Any, headers: Mapping[str, str], as_of: datetime
) -> Response:
    """Return the meaning of the response to a handshake's first call; its output is the value of the header."""
    if not handshake.is_met_by(document):
        offered = {name: value_at(document, name) for name in handshake.expected}
        what = f"the service offers {_shown(offered)}, and {_shown(handshake.expected)} is needed"
        return Denied(HandshakeFailed(what, **request.names))
    given = headers.get(handshake.header.lower())
    if given is not None and not is_visible(given):
        what = f"its header {handshake.header} must be visible ASCII, 0x21 to 0x7E, not {shortened(given)}"
        return Denied(HandshakeFailed(what, **request.names))
    return Accepted(None, as_of, given, document)


def _shown(fields: Mapping[str, Any]) -> str:
    """Return the fields of a response that are present as JSON, on one line that is not too long."""
    return one_line(json.dumps({name: value for name, value in fields.items() if value is not None}))


def _document(
    binding: HttpBinding[Any, Any], call: Call, request: Request, headers: Mapping[str, str], content: bytes
) -> Any:
    """Return the JSON of a 2xx response, with its envelope; Lost if it is none, or responds to another request."""
    envelope = binding.envelope
    if not content and envelope is not None and envelope.is_awaited(request.body):
        what = "the event stream has" if is_event_stream(headers) else "the response is empty, and has"
        what += " neither a result nor an error of this request"
        return Lost(InvalidResponse(what, **request.names))
    # v1 documents an empty body where its example shows `{}`.
    needs_body = call.status_field is not None and (call.id_header is None or call.id_header.lower() not in headers)
    try:
        document: Any = parsed(content) if content or needs_body else {}
    except DuplicateKey as error:
        what = f"the response has the key {error.key[:80]!r} twice in one object"
        return Lost(InvalidResponse(what, **request.names))
    except (ValueError, RecursionError):
        kind = headers.get("content-type", "")
        if needs_body or request.method == "GET" or not is_plain_text(content, kind):
            what = "the response is not JSON" + (
                f" but {one_line(kind)}; is a proxy in between?" if "html" in kind else ""
            )
            what += _lack_of_id(call, headers) if needs_body else ""
            return Lost(InvalidResponse(what, **request.names))
        document = {}  # no field of it is read, and a text such as "OK" means no more than its 2xx
    if content and not _responds(binding, request, document):
        what = "the response has neither a result nor an error of this request"
        return Lost(InvalidResponse(what, **request.names))
    return document


def _responds(binding: HttpBinding[Any, Any], request: Request, document: Any) -> bool:
    has_error = bool(value_at(document, binding.error_field))
    return binding.envelope is None or binding.envelope.is_response(document, request.body, has_error=has_error)


def _etag_in(binding: HttpBinding[Any, Any], document: Any, headers: Mapping[str, str]) -> str | None:
    """Return the etag in a response; None if there is none that a header can carry."""
    found = value_at(document, binding.etag_field)
    if binding.etag_header is not None:
        found = headers.get(binding.etag_header.lower())
    if type(found) is int:  # the number of a version
        found = str(found)
    return found if isinstance(found, str) and found and is_header_value(found) else None


def _with_new_id(binding: HttpBinding[Any, Any], document: Any, call: Call, headers: Mapping[str, str]) -> Any:
    """Return a response with the task's id at `id_field`, wherever the service has put it in this call."""
    new_id = value_at(document, call.id_field)
    if call.id_header is not None and id_in(document, binding.id_field) is None:
        new_id = _last_segment(headers.get(call.id_header.lower(), ""), below=call.path)
    return document if new_id is None else placed(document, binding.id_field, new_id)


def _last_segment(url: str, *, below: str) -> str | None:
    """Return the last segment of a URL's path; None if it has none, is not UTF-8, or there are several URLs.

    It is None too for the URL of `below`, the path that creates tasks. Several headers of one name are joined by ", "
    (RFC 9110, 5.2), and no URL has a space.
    """
    path = url.partition("?")[0].partition("#")[0].rstrip("/")
    is_of_all = below != "/" and path.endswith(below.rstrip("/"))
    segment = "" if is_of_all else path.rpartition("/")[2]
    try:
        return None if " " in url else unquote(segment, errors="strict") or None
    except UnicodeDecodeError:
        return None


def _limits_tasks(binding: HttpBinding[Any, Any], error: ResponseError) -> bool:
    detail = error.detail.casefold()
    return any(part.casefold() in detail for part in binding.limits_tasks)
