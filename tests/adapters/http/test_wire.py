"""Requests made from the tables, and the meaning of responses: no I/O."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import (
    CATALOG,
    DefinitionError,
    UnknownName,
    V1Event,
    V2Event,
    V2SessionEvent,
    V3Event,
    V4Event,
    V4MessageEvent,
)
from lifecycle.effects import Accepted, Denied, Failure, Lost, Missing, Refused, Response, Throttled
from lifecycle_adapters.http import (
    Authentication,
    Call,
    Client,
    FieldError,
    Forbidden,
    HttpBinding,
    KeyVariable,
    ListCall,
    NotFound,
    Proof,
    RateLimited,
    Redirected,
    Request,
    RequestRejected,
    ServerError,
    Unauthorized,
)
from lifecycle_adapters.http.http_errors import InvalidResponse, ResponseError
from lifecycle_adapters.http.responses import id_in, retry_after_s, value_at
from lifecycle_adapters.services import service
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2, V2_2025, V2_SESSION
from lifecycle_adapters.services.v3 import V3
from lifecycle_adapters.services.v4 import V4, V4_MESSAGE
from tests.adapters.http.scripted import Reply, ScriptedServer
from tests.support.listing import listing_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = "11111111-2222-4333-8444-555555555555"
SESSION = "22222222-2222-4333-8444-555555555555"
QUEUE = V4_MESSAGE.with_parameters({"session_id": SESSION})
BINDINGS: tuple[HttpBinding[Any, Any], ...] = (V1, V2, V2_SESSION, V2_2025, V3, V4, QUEUE)
every_wire = pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: binding.name)

# --- requests -----------------------------------------------------------------------------------

# As the documents of the calls have them, in their own words.
# fmt: off
DOCUMENTED: list[tuple[HttpBinding[Any, Any], Any, dict[str, Any], Request]] = [
    (V1, V1Event.STOP,   {}, Request("PUT", "/api/v1/stop-task",   {"task_id": ID})),
    (V1, V1Event.PAUSE,  {}, Request("PUT", "/api/v1/pause-task",  {"task_id": ID})),
    (V1, V1Event.RESUME, {}, Request("PUT", "/api/v1/resume-task", {"task_id": ID})),
    (V2, V2Event.STOP,   {}, Request("PATCH", f"/api/v2/tasks/{ID}", {}, {"action": "stop"})),
    (V2, V2Event.STOP_TASK_AND_SESSION, {},
     Request("PATCH", f"/api/v2/tasks/{ID}", {}, {"action": "stop_task_and_session"})),
    (V2_SESSION, V2SessionEvent.STOP, {}, Request("PATCH", f"/api/v2/sessions/{ID}", {}, {"action": "stop"})),
    *((V2_2025, action, {}, Request("PATCH", f"/api/v2/tasks/{ID}", {}, {"action": action}))
      for action in ("pause", "resume", "stop", "stop_task_and_session")),
    (V3, V3Event.STOP,      {}, Request("POST", f"/api/v3/sessions/{ID}/stop")),
    (V3, V3Event.STOP_TASK, {}, Request("POST", f"/api/v3/sessions/{ID}/stop", {}, {"strategy": "task"})),
    (V3, V3Event.DISPATCH,  {"task": "buy milk", "keepAlive": True},
     Request("POST", "/api/v3/sessions", {}, {"sessionId": ID, "task": "buy milk", "keepAlive": True})),
    (V4, V4Event.CANCEL, {}, Request("POST", f"/api/v4/runs/{ID}/cancel")),
    (QUEUE, V4MessageEvent.CANCEL, {}, Request("DELETE", f"/api/v4/sessions/{SESSION}/queue/{ID}")),
]
READS: list[tuple[HttpBinding[Any, Any], list[str]]] = [
    (V1,         ["POST /api/v1/run-task", f"GET /api/v1/task/{ID}/status", f"GET /api/v1/task/{ID}",
                  "GET /api/v1/tasks"]),
    (V2,         ["POST /api/v2/tasks", f"GET /api/v2/tasks/{ID}/status", f"GET /api/v2/tasks/{ID}",
                  "GET /api/v2/tasks"]),
    (V2_SESSION, ["POST /api/v2/sessions", f"GET /api/v2/sessions/{ID}", f"GET /api/v2/sessions/{ID}",
                  "GET /api/v2/sessions"]),
    (V2_2025,    ["POST /api/v2/tasks", f"GET /api/v2/tasks/{ID}", f"GET /api/v2/tasks/{ID}", "GET /api/v2/tasks"]),
    (V3,         ["POST /api/v3/sessions", f"GET /api/v3/sessions/{ID}", f"GET /api/v3/sessions/{ID}",
                  "GET /api/v3/sessions"]),
    (V4,         ["POST /api/v4/runs", f"GET /api/v4/runs/{ID}/status", f"GET /api/v4/runs/{ID}",
                  "GET /api/v4/runs"]),
    (QUEUE,      [f"POST /api/v4/sessions/{SESSION}/queue", f"GET /api/v4/sessions/{SESSION}/queue/{ID}",
                  f"GET /api/v4/sessions/{SESSION}/queue/{ID}", f"GET /api/v4/sessions/{SESSION}/queue"]),
]
# fmt: on


@pytest.mark.parametrize(("binding", "command", "fields", "request_"), DOCUMENTED)
def test_a_command_is_one_documented_request(
    binding: HttpBinding[Any, Any], command: Any, fields: dict[str, Any], request_: Request
) -> None:
    assert binding.command_request(command, ID, fields) == request_
    assert binding.command_request(str(command), ID, fields) == request_


def test_every_command_of_every_lifecycle_has_its_request() -> None:
    by_name = {binding.name: binding for binding in BINDINGS}
    for name in (name for name in CATALOG if name.startswith("v")):
        assert by_name[name.removesuffix("-full")].governed_by(CATALOG[name]) is CATALOG[name]
    assert {(binding.name, command) for binding, command, *_ in DOCUMENTED} == {
        (binding.name, command) for binding in BINDINGS for command in binding.lifecycle.commands
    }


@pytest.mark.parametrize(("binding", "expected"), READS)
def test_create_and_read_requests_are_as_documented(binding: HttpBinding[Any, Any], expected: list[str]) -> None:
    calls = [binding.create, binding.status, binding.details, listing_of(binding).call]
    requests = [call.request(binding.base_path, task_id=ID) for call in calls]
    assert [f"{request.method} {request.path}" for request in requests] == expected
    assert [request.body for request in requests] == [{}, None, None, None]
    assert not any(request.query for request in requests)
    assert binding.create_request({"task": "buy milk"}).body == {"task": "buy milk"}


def test_key_is_sent_as_documented() -> None:
    assert V1.request_headers("KEY") == {"Authorization": "Bearer KEY"}
    for binding in BINDINGS[1:]:
        assert binding.request_headers("KEY") == {"X-Browser-Use-API-Key": "KEY"}


@every_wire
def test_default_base_url_is_the_real_service(binding: HttpBinding[Any, Any]) -> None:
    assert binding.base_url == "https://api.browser-use.com"
    assert service(binding.name) is (V4_MESSAGE if binding is QUEUE else binding)


def test_the_eu_service_is_a_server_by_name() -> None:
    """Browser Use Cloud, autumn 2026: https://api.eu.browser-use.com/api/v4, without v2 and v3."""
    eu = {"eu": "https://api.eu.browser-use.com"}
    assert {binding.name: binding.servers for binding in BINDINGS if binding.servers} == {"v4": eu, "v4-message": eu}


@pytest.mark.parametrize(
    ("servers", "message"),
    [({"e u": "https://host"}, "'e u' is not a name such as 'eu'"), ({"eu": "host"}, "must be like 'https://host'")],
)
def test_a_wrong_server_by_name_is_refused(servers: dict[str, str], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        replace(V4, servers=servers)


def test_an_unknown_service_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'v2-session'") as raised:
        service("v2-sesion")
    assert raised.value.known[:5] == ("v1", "v2", "v2-session", "v3", "v4")


@every_wire
def test_undeclared_command_has_no_request(binding: HttpBinding[Any, Any]) -> None:
    with pytest.raises(UnknownName) as raised:
        binding.command_request("stpo", ID)
    assert raised.value.kind == "command"
    assert raised.value.known == tuple(map(str, binding.commands))


def test_the_fields_of_a_command_are_checked_before_anything_is_sent() -> None:
    with pytest.raises(TypeError, match="needs task"):
        V3.command_request(V3Event.DISPATCH, ID)
    with pytest.raises(TypeError, match="takes no fields, but got note"):
        V1.command_request(V1Event.STOP, ID, {"note": "now"})
    with pytest.raises(TypeError, match="sets sessionId itself"):
        V3.command_request(V3Event.DISPATCH, ID, {"task": "buy milk", "sessionId": "another"})
    with pytest.raises(TypeError, match="sets action itself"):
        V2.command_request(V2Event.STOP, ID, {"action": "stop_task_and_session"})
    with pytest.raises(TypeError, match="sets strategy itself"):
        V3.command_request(V3Event.STOP_TASK, ID, {"strategy": "session"})


def test_a_create_cannot_replace_a_command() -> None:
    with pytest.raises(TypeError, match="with sessionId it is dispatch"):
        V3.create_request({"task": "buy milk", "sessionId": ID})
    assert V2.create_request({"task": "buy milk", "sessionId": ID}).body == {"task": "buy milk", "sessionId": ID}


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize(
    "value",
    [
        NOW,
        {1, 2},
        b"bytes",
        float("nan"),
        float("inf"),
        "\ud800",
        _circle(),
        object(),
        {1: "a", "1": "b"},
        [({None: 1},)],
    ],
)
def test_field_that_is_not_json_serialisable_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="the field 'more' is not JSON"):
        V3.command_request(V3Event.DISPATCH, ID, {"task": "buy milk", "more": value})
    with pytest.raises(TypeError, match="the field 'task' is not JSON"):
        V1.create_request({"task": value})


def test_text_that_is_not_utf8_is_reported_as_such() -> None:
    with pytest.raises(TypeError, match=r"the field 'task' is not JSON: a text cannot be encoded in UTF-8$"):
        V1.create_request({"task": "\udcff"})


@pytest.mark.parametrize("task_id", ["", ".", "..", "\ud800", "a\udfff", "x" * 40_000, "\N{PILE OF POO}" * 5_000])
@every_wire
def test_an_id_that_no_request_can_carry_is_refused(binding: HttpBinding[Any, Any], task_id: str) -> None:
    for call in (binding.status, binding.details, *binding.commands.values()):
        with pytest.raises(ValueError, match="is not a task id"):
            call.request(binding.base_path, task_id=task_id, fields=dict.fromkeys(call.required_fields, "x"))


@given(task_id=st.text() | st.text(alphabet="./%?#&={}\\\n \0~;:@"))
def test_any_other_id_stays_one_segment_that_httpx2_leaves_alone(task_id: str) -> None:
    try:
        path = V1.status.request("/api/v1", task_id=task_id).path
    except ValueError:
        assert task_id in ("", ".", "..") or not task_id.isprintable()
        return
    head, _, rest = path.partition("/task/")
    segment, slash, tail = rest.partition("/")
    assert (head, unquote(segment), slash, tail) == ("/api/v1", task_id, "/", "status")
    assert path.isascii()
    assert urlsplit(path)[2:] == (path, "", "")
    assert httpx2.URL("http://host" + path).raw_path.decode() == path
    query = V1.command_request(V1Event.STOP, task_id).query
    assert httpx2.QueryParams(dict(query))["task_id"] == task_id


# --- responses ----------------------------------------------------------------------------------

REQUEST = V2.command_request(V2Event.STOP, ID)


def read(
    status_code: int, body: Any, headers: dict[str, str] | None = None, *, binding: HttpBinding[Any, Any] = V2
) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = binding.call(V2Event.STOP) if binding is V2 else binding.status
    return binding.parse_response(
        call, REQUEST, status_code=status_code, headers=headers or {}, content=content, as_of=NOW
    )


def failed(status_code: int, body: Any, headers: dict[str, str] | None = None) -> ResponseError:
    response = read(status_code, body, headers)
    assert isinstance(response, Failure)
    assert isinstance(response.error, ResponseError)
    return response.error


# fmt: off
MEANINGS: list[tuple[int, type[Failure], type[ResponseError]]] = [
    (300, Lost,      Redirected),
    (301, Lost,      Redirected),
    (304, Lost,      Redirected),
    (307, Refused,   RequestRejected),
    (308, Refused,   RequestRejected),
    (400, Refused,   RequestRejected),
    (401, Denied,    Unauthorized),
    (402, Refused,   RequestRejected),
    (403, Denied,    Forbidden),
    (404, Missing,   NotFound),
    (405, Refused,   RequestRejected),
    (408, Lost,      ServerError),
    (409, Refused,   RequestRejected),
    (414, Refused,   RequestRejected),
    (422, Refused,   RequestRejected),
    (429, Throttled, RateLimited),
    (431, Refused,   RequestRejected),
    (499, Lost,      ServerError),
    (500, Lost,      ServerError),
    (502, Lost,      ServerError),
    (503, Lost,      ServerError),
    (504, Lost,      ServerError),
    (599, Lost,      ServerError),
    (999, Lost,      ServerError),
]
# fmt: on


@pytest.mark.parametrize(("status_code", "kind", "error"), MEANINGS)
def test_each_status_code_has_its_meaning(status_code: int, kind: type[Failure], error: type[ResponseError]) -> None:
    assert type(read(status_code, {"detail": "No such luck"})) is kind
    found = failed(status_code, {"detail": "No such luck"})
    assert type(found) is error
    assert (found.status_code, found.detail) == (status_code, "No such luck")
    assert (found.method, found.path) == ("PATCH", f"/api/v2/tasks/{ID}")
    assert str(found) == f"PATCH /api/v2/tasks/{ID}: HTTP {status_code}: No such luck"


def test_a_402_shows_the_message_of_its_detail() -> None:
    """The detail of a 402 of v2 and v4 is an object with `code` and `message`."""
    detail = {"code": "api_key_monthly_spend_limit_reached", "message": "The key has reached its limit."}
    assert failed(402, {"detail": detail}).detail == "The key has reached its limit."
    assert failed(402, {"detail": {"code": "no_credits"}}).detail == "{'code': 'no_credits'}"


@pytest.mark.parametrize("status_code", [200, 201, 202, 299])
def test_any_2xx_with_the_required_fields_is_accepted(status_code: int) -> None:
    document = {"id": ID, "status": "stopped", "output": "done"}
    assert read(status_code, document) == Accepted("stopped", NOW, "done", document)


def test_v1_responds_with_a_bare_word() -> None:
    assert read(200, "running", binding=V1) == Accepted("running", NOW, None, "running")


@pytest.mark.parametrize("content", [b"{}", b"", b'{"more": 1}', b"null", b'"ok"'])
def test_a_call_without_a_status_accepts_any_json_or_nothing(content: bytes) -> None:
    response = V1.parse_response(
        V1.call(V1Event.STOP), REQUEST, status_code=200, headers={}, content=content, as_of=NOW
    )
    assert isinstance(response, Accepted)
    assert (response.status, response.as_of, response.output) == (None, NOW, None)


UNUSABLE = {
    "empty": b"",
    "html": b"<html><body>Sign in to the network</body></html>",
    "truncated": b'{"status": "stop',
    "deep": b"[" * 200_000,
    "deep objects": b'{"status":' * 200_000,
    "not unicode": b'{"status": "\xff\xfe"}',
    "a huge number": b"1" * 10_000,
    "no object": b"[]",
    "a number": b"5",
    "null": b"null",
    "a number for a status": b'{"status": 5}',
    "no status": b'{"other": "x"}',
    "null for a status": b'{"status": null}',
    "a list for a status": b'{"status": ["stopped"]}',
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_2xx_without_a_required_field_is_lost(content: bytes) -> None:
    for binding in (V1, V2):
        response = read(200, content, binding=binding)
        assert isinstance(response, Lost)
        assert isinstance(response.error, InvalidResponse)
        message = str(response.error)
        assert "the response is not JSON" in message or "the response has no status at" in message


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b'{"status": "running", "status": "stopped"}', "status"),
        (b'{"id": "a", "status": "running", "id": "a"}', "id"),
        (b'{"status": "running", "steps": [{"n": 1, "n": 2}]}', "n"),
        (b'{"status": "running", "st\\u0061tus": "stopped"}', "status"),
        (b'{"status": "running", "\\n": 1, "\\n": 2}', "\n"),
    ],
)
def test_a_2xx_with_a_key_twice_in_one_object_is_lost(content: bytes, key: str) -> None:
    stop = V1.command_request(V1Event.STOP, ID)
    given: dict[str, Any] = {"status_code": 200, "headers": {}, "content": content, "as_of": NOW}
    for response in (read(200, content), V1.parse_response(V1.call(V1Event.STOP), stop, **given)):
        assert isinstance(response, Lost)
        assert isinstance(response.error, InvalidResponse)
        assert f"the response has the key {key!r} twice in one object" in str(response.error)


def test_one_key_in_several_objects_is_accepted() -> None:
    document = {"status": "running", "steps": [{"status": 1}, {"status": 2}]}
    assert read(200, document) == Accepted("running", NOW, None, document)


@pytest.mark.parametrize("content", [b"OK", b"", b"[]", b"Accepted\n"])
def test_2xx_without_required_fields_may_be_any_text(content: bytes) -> None:
    call = Call(method="DELETE", path="/jobs/{id}")
    request = call.request("", task_id="7")
    response = V1.parse_response(call, request, status_code=200, headers={}, content=content, as_of=NOW)
    assert isinstance(response, Accepted)


@pytest.mark.parametrize(("headers", "content"), [({"content-type": "text/html"}, b"hello"), ({}, b" <!doctype html>")])
def test_html_page_in_place_of_a_response_is_lost(headers: dict[str, str], content: bytes) -> None:
    call = Call(method="DELETE", path="/jobs/{id}")
    request = call.request("", task_id="7")
    response = V1.parse_response(call, request, status_code=200, headers=headers, content=content, as_of=NOW)
    assert isinstance(response, Lost)
    assert "the response is not JSON" in str(response.error)


V1_SHAPE = {
    "detail": [
        {"loc": ["query", "task_id"], "msg": "field required", "type": "value_error.missing"},
        {"loc": ["body", "steps", 0, "url"], "msg": "not a URL", "type": "value_error.url"},
    ]
}
V2_SHAPE: dict[str, list[dict[str, Any]]] = {
    "detail": [
        {
            "type": "uuid_parsing",
            "loc": ["path", "task_id"],
            "msg": "Input should be a valid UUID, invalid character",
            "input": "nonsense",
            "ctx": {"error": "invalid character"},
        },
        {"type": "missing", "loc": ["body", "action"], "msg": "Field required", "input": {}},
    ]
}


def test_422_names_all_fields_in_either_shape() -> None:
    assert failed(422, V1_SHAPE).fields == (
        FieldError("query.task_id", "field required", "value_error.missing"),
        FieldError("body.steps.0.url", "not a URL", "value_error.url"),
    )
    later = failed(422, V2_SHAPE)
    assert later.fields == (
        FieldError("path.task_id", "Input should be a valid UUID, invalid character", "uuid_parsing"),
        FieldError("body.action", "Field required", "missing"),
    )
    assert str(later).endswith(
        "HTTP 422: path.task_id: Input should be a valid UUID, invalid character; body.action: Field required"
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"detail": "Task not found"}, "Task not found"),
        ({"message": "Too big"}, "Too big"),
        ({"error": "Nope"}, "Nope"),
        ({"detail": {"code": 7}}, "{'code': 7}"),
        ({"detail": ["plain text"]}, "?: plain text"),
        ({"detail": [{"msg": "why"}]}, "?: why"),
        ({"detail": [{"loc": "body", "msg": 5}]}, "?: 5"),
        ({"detail": []}, '{"detail": []}'),
        ({}, "{}"),
        (b"", "no details given"),
        (b" \n\t ", "no details given"),
        (b"<h1>Bad\r\n gateway</h1>", "<h1>Bad gateway</h1>"),
        (b"\xff\x00\x1b[31mred\x07", "\N{REPLACEMENT CHARACTER} [31mred"),
        ({"detail": "one\ntwo\x1b[2Jthree\u2028four\ud800"}, "one two [2Jthree four"),
        ({"detail": [{"loc": ["a\nb"], "msg": "c\r\nd"}]}, "a b: c d"),
    ],
)
def test_detail_of_an_error_response_is_one_printable_line(body: Any, detail: str) -> None:
    assert failed(400, body).detail == detail


def test_a_long_error_response_is_cut() -> None:
    assert len(failed(500, b"x" * 1_000_000).detail) == 500
    many = failed(422, {"detail": [{"loc": ["body", "x"], "msg": "wrong", "type": "t"}] * 1_000})
    assert len(many.detail) == 500
    assert len(many.fields) == 1_000


@pytest.mark.parametrize("status_code", [400, 404, 409, 429, 500, 503])
@pytest.mark.parametrize(("body", "detail"), [(b"", "no details given"), (b"busy", "busy"), ({"a": 1}, '{"a": 1}')])
def test_an_error_with_a_location_is_no_redirect(status_code: int, body: Any, detail: str) -> None:
    assert failed(status_code, body, {"location": "/jobs/9"}).detail == detail


def test_a_redirect_names_its_target() -> None:
    assert failed(302, b"", {"location": "https://elsewhere.example/login"}).detail == (
        "redirected to https://elsewhere.example/login"
    )


DATE = {"date": "Fri, 02 Jan 2026 03:04:05 GMT"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("31536000", 86_400.0),
        ("1e300", 86_400.0),
        ("Sat, 02 Jan 2027 03:04:05 GMT", 86_400.0),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 0.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("1_0", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("Fri, 99 Jan 2026 03:04:35 GMT", None),
        ("Fri, 02 Jan 2026 03:04:35 -0000", None),
        ("Fri, 02 Jan 2026 03:04:35 +99999999999999999999999999", None),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value, **DATE}, as_of=NOW) == seconds
    response = read(429, {"detail": "slow down"}, {"retry-after": value, **DATE})
    assert isinstance(response, Throttled)
    assert response.retry_after_s == seconds
    assert isinstance(response.error, RateLimited)
    assert response.error.retry_after_s == seconds


@pytest.mark.parametrize("status_code", [status_code for status_code, *_ in MEANINGS])
@pytest.mark.parametrize("asked", ["7", "Fri, 02 Jan 2026 03:04:12 GMT"], ids=["seconds", "date"])
def test_retry_after_of_any_failure_is_reported(status_code: int, asked: str) -> None:
    response = read(status_code, {"detail": "later"}, {"retry-after": asked, **DATE})
    assert isinstance(response, Failure)
    assert response.retry_after_s == 7.0
    assert isinstance(response.error, ResponseError)
    assert response.error.retry_after_s == 7.0


CROWDED = "Too many concurrent active sessions. Please wait for one to finish, kill one, or upgrade your plan."


@pytest.mark.parametrize(
    ("body", "binding", "limits_rate"),
    [
        ({"detail": CROWDED}, V2, False),
        ({"detail": CROWDED.upper()}, V2, False),
        ({"detail": {"message": CROWDED}}, V2_SESSION, False),
        ({"detail": "Too many requests"}, V2, True),
        ({"detail": ""}, V2, True),
        (b"", V2, True),
        ({"detail": CROWDED}, V4, True),
        ({"detail": "The queue is full"}, replace(V4, limits_tasks=("queue is full", "other words")), False),
    ],
)
def test_a_429_limits_the_rate_or_the_number_of_tasks(
    body: Any, binding: HttpBinding[Any, Any], limits_rate: bool
) -> None:
    response = read(429, body, binding=binding)
    assert isinstance(response, Throttled)
    assert response.limits_rate is limits_rate


SEND, OWN = {"task": "buy milk"}, "0f8fad5b-d9cb-469f-a165-70867728950e"


def every_call() -> list[tuple[HttpBinding[Any, Any], Call]]:
    return [
        (binding, call)
        for binding in BINDINGS
        for call in (binding.status, binding.details, *binding.commands.values())
        if call.status_field != ""  # v1's bare word has no room for an id
    ]


@pytest.mark.parametrize(("binding", "call"), every_call(), ids=lambda value: getattr(value, "path", None))
@pytest.mark.parametrize(
    ("told", "is_valid"),
    [
        ({"id": OWN}, True),
        ({"id": OWN.upper()}, True),
        ({"id": OWN.replace("-", "")}, True),
        ({}, True),
        ({"id": None}, True),
        ({"id": "1f8fad5b-d9cb-469f-a165-70867728950e"}, False),
        ({"id": 7}, False),
        ({"id": OWN + "/1"}, False),
    ],
    ids=str,
)
def test_a_response_about_another_task_is_invalid(
    binding: HttpBinding[Any, Any], call: Call, told: dict[str, Any], is_valid: bool
) -> None:
    request = call.request("", task_id=OWN, fields=SEND if call.required_fields else None)
    content = json.dumps({"status": "x", **told}).encode()

    def said(call: Call) -> Response:
        return binding.parse_response(call, request, status_code=200, headers={}, content=content, as_of=NOW)

    response = said(call)
    assert isinstance(response, Accepted) is is_valid
    if not is_valid:
        assert isinstance(response, Lost)
        assert isinstance(response.error, InvalidResponse)
        assert "the response is about another task" in str(response.error)
    assert isinstance(said(replace(call, repeats_id=False)), Accepted)


_IDS = st.text("aAbB12-", min_size=1, max_size=4) | st.sampled_from([OWN, OWN.upper(), OWN.replace("-", "")])

# Ids of services that number, name or shorten their tasks; no two are the same task's.
ALMOST_EQUAL = [
    ("12-3", "1-23"),
    ("12-3", "123"),
    ("-", "--"),
    ("abc", "ABC"),
    ("stra\N{LATIN SMALL LETTER SHARP S}e", "strasse"),
    ("007", "7"),
    (OWN, OWN[:-1]),
    (OWN, OWN.replace("-", "", 1)),
    (OWN, f"{{{OWN}}}"),
    (OWN, f"urn:uuid:{OWN}"),
    (OWN.replace("-", ""), "-".join(OWN.replace("-", ""))),
    (OWN, f"{OWN}\n"),
]


@pytest.mark.parametrize("reported", ["..", ".", "", 1.5, True, False, {}, [], ["x"], "x" * 100_000])
def test_id_that_no_task_can_have_is_of_another_task(reported: object) -> None:
    request = V1.details.request("", task_id="x")
    content = json.dumps({"id": reported, "status": "stopped"}).encode()
    response = V1.parse_response(V1.details, request, status_code=200, headers={}, content=content, as_of=NOW)
    assert isinstance(response, Lost)
    assert "the response is about another task" in str(response.error)
    assert len(str(response.error)) < 300


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("requested", "reported"), ALMOST_EQUAL)
@every_wire
def test_id_of_another_task_is_not_normalised(
    binding: HttpBinding[Any, Any], requested: str, reported: str, reverse: bool
) -> None:
    if reverse:
        requested, reported = reported, requested
    request = binding.details.request("", task_id=requested)
    content = json.dumps({binding.id_field: reported, "status": "x"}).encode()
    response = binding.parse_response(binding.details, request, status_code=200, headers={}, content=content, as_of=NOW)
    assert isinstance(response, Lost)
    assert "the response is about another task" in str(response.error)


@given(requested=_IDS, reported=_IDS)
def test_response_is_about_its_task_if_the_ids_are_equal_or_one_uuid(requested: str, reported: str) -> None:
    request = V1.details.request("", task_id=requested)
    content = json.dumps({"id": reported, "status": "x"}).encode()
    response = V1.parse_response(V1.details, request, status_code=200, headers={}, content=content, as_of=NOW)
    is_one_uuid = {OWN, OWN.upper(), OWN.replace("-", "")} >= {requested, reported}
    assert isinstance(response, Accepted) == (requested == reported or is_one_uuid)


@every_wire
def test_response_of_a_create_or_a_list_is_about_any_task(binding: HttpBinding[Any, Any]) -> None:
    for call in (binding.create, listing_of(binding).call):
        content = json.dumps({"id": "any", "status": "x"}).encode()
        request = call.request("")
        response = binding.parse_response(call, request, status_code=200, headers={}, content=content, as_of=NOW)
        assert isinstance(response, Accepted)


@pytest.mark.parametrize("date", [{}, {"date": ""}, {"date": "today"}])
def test_a_date_is_counted_from_the_request_if_the_response_has_none(date: dict[str, str]) -> None:
    assert retry_after_s({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT", **date}, as_of=NOW) == 30.0
    assert retry_after_s(date, as_of=NOW) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["detail", "loc", "msg", "type", "status", "id", "message", "error"]), inner)
    ),
    max_leaves=12,
)
_headers = st.dictionaries(st.sampled_from(["retry-after", "date", "location"]), st.text(max_size=40), max_size=3)


@given(
    status_code=st.integers(100, 999),
    content=st.binary(max_size=40) | _json.map(lambda document: json.dumps(document).encode()),
    headers=_headers,
)
def test_parsing_any_response_does_not_raise(status_code: int, content: bytes, headers: dict[str, str]) -> None:
    for binding in BINDINGS:
        for call in (binding.create, binding.status, listing_of(binding).call, *binding.commands.values()):
            response = binding.parse_response(
                call, REQUEST, status_code=status_code, headers=headers, content=content, as_of=NOW
            )
            assert isinstance(response, Accepted) == (200 <= status_code < 300 and not isinstance(response, Lost))
            if isinstance(response, Accepted):
                assert isinstance(response.status, str) == (call.status_field is not None)
            else:
                message = str(response.error)
                assert message.isprintable()
                assert len(message) < 700
                assert str(pickle.loads(pickle.dumps(response.error))) == message


@given(value=st.text(max_size=60), date=st.text(max_size=60) | st.just(DATE["date"]))
def test_parsing_any_retry_after_does_not_raise(value: str, date: str) -> None:
    pause_s = retry_after_s({"retry-after": value, "date": date}, as_of=NOW)
    assert pause_s is None or 0 <= pause_s <= 86_400


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"id": "x"}, "x"),
        ({"id": 7}, "7"),
        ({"id": True}, None),
        ({"id": 7.0}, None),
        ({"id": ""}, None),
        ({"id": ".."}, None),
        ({"id": "\ud800"}, None),
        ({"id": "x" * 100_000}, None),
        ({"id": None}, None),
        ({}, None),
        ([], None),
        ("x", None),
    ],
)
def test_id_in_a_response_must_be_sendable(document: Any, found: str | None) -> None:
    assert id_in(document, "id") == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("status.state", "running"),
        ("status", {"state": "running"}),
        ("", {"status": {"state": "running"}, "items": [{"state": "paused"}], "a.b": 1}),
        ("status.state.word", None),
        ("status.word", None),
        ("word.state", None),
        ("items.state", None),
        ("items.0.state", None),
        ("a.b", None),
        (None, None),
    ],
)
def test_dotted_field_is_a_path_into_nested_objects(path: str | None, found: Any) -> None:
    document = {"status": {"state": "running"}, "items": [{"state": "paused"}], "a.b": 1}
    assert value_at(document, path) == found


def test_response_is_parsed_by_the_paths_of_its_binding() -> None:
    call = Call(method="GET", path="/task/{id}", status_field="data.state")
    binding = replace(V1, status=call, details=call, id_field="data.id", output_field="data.result.text")
    document = {"data": {"id": ID, "state": "running", "result": {"text": "so far"}}}

    def parsed(task_id: str) -> Response:
        given: dict[str, Any] = {"status_code": 200, "headers": {}, "content": json.dumps(document).encode()}
        return binding.parse_response(call, call.request("", task_id=task_id), **given, as_of=NOW)

    assert id_in(document, "data.id") == ID
    assert parsed(ID) == Accepted("running", NOW, "so far", document)
    about_another = parsed("another")
    assert isinstance(about_another, Lost)
    assert "the response is about another task" in str(about_another.error)


# --- tables of one's own ------------------------------------------------------------------------


def test_a_table_that_lacks_a_request_for_a_command_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match="bad_value: commands: has no call for 'pause', 'resume'",
    ):
        replace(V1, commands={V1Event.STOP: V1.call(V1Event.STOP)})


@pytest.mark.parametrize("changed", [{"status": Call(method="GET", path="/{id}")}, {"details": V1.status}])
def test_a_table_whose_reads_carry_no_status_is_refused(changed: dict[str, Call]) -> None:
    with pytest.raises(ValueError, match=r"(status|details)\.status_field: must say where the response has the status"):
        replace(V1, **changed)  # type: ignore[arg-type]


def test_key_may_have_any_header_and_prefix() -> None:
    assert Authentication("Authorization", "Token ").headers("KEY") == {"Authorization": "Token KEY"}


# --- without the extra --------------------------------------------------------------------------

WITHOUT_HTTPX2 = """
import sys, urllib.error, urllib.parse, urllib.request
from datetime import UTC, datetime
for name in ("httpx2", "httpcore2", "tenacity"):
    sys.modules[name] = None

from lifecycle_adapters.http import HttpBinding
from lifecycle_adapters.services import service
from lifecycle_adapters.services.v2 import V2
from lifecycle import V2Event
from lifecycle.errors import MissingExtra

def send(base_url, command, task_id):
    request = V2.command_request(command, task_id)
    url = base_url + request.path + "?" + urllib.parse.urlencode(request.query)
    import json
    headers = V2.request_headers("KEY")
    sent = urllib.request.Request(url, json.dumps(request.body).encode(), headers, method=request.method)
    started_at = datetime.now(UTC)
    try:
        response = urllib.request.urlopen(sent)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return V2.parse_response(V2.call(command), request, status_code=response.status, headers=headers,
                              content=response.read(), as_of=started_at)

for _ in range(2):
    response = send(sys.argv[1], V2Event.STOP, "a task/1")
    print(type(response).__name__, getattr(response, "status", None) or response.error)
try:
    from lifecycle_adapters.http import Client
except MissingExtra as error:
    print(error)
"""


def test_bindings_work_without_httpx2() -> None:
    replies = [Reply(body={"id": "a task/1", "status": "stopped"}), Reply(status=422, body=V2_SHAPE)]
    with ScriptedServer(lambda _: replies.pop(0)).running() as server:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", WITHOUT_HTTPX2, server.base_url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "Accepted stopped",
        (
            "Refused PATCH /api/v2/tasks/a%20task%2F1: HTTP 422: path.task_id: Input should be a valid UUID, "
            "invalid character; body.action: Field required"
        ),
        "the HTTP client needs an extra: pip install 'task-lifecycle[http]'",
    ]
    assert server.calls == ["PATCH /api/v2/tasks/a%20task%2F1"] * 2
    assert server.seen[0].json == {"action": "stop"}
    assert server.seen[0].headers["x-browser-use-api-key"] == "KEY"


# --- bindings that make no sense ---------------------------------------------------------------


GET: dict[str, Any] = {"method": "GET", "path": "/jobs/{id}", "status_field": "status"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "FETCH"}, "method: must be one of GET, POST, PUT, PATCH, DELETE"),
        ({"method": "get"}, "method: must be one of"),
        ({"path": "jobs/{id}"}, "path: must begin with '/'"),
        ({"path": "/jobs?id={id}"}, "a query is given as `query`"),
        ({"path": "//jobs/{id}"}, "no '//', '/./' or '/../'"),
        ({"path": "/jobs//{id}"}, "no '//', '/./' or '/../'"),
        ({"path": "/jobs/./{id}"}, "no '//', '/./' or '/../'"),
        ({"path": "/jobs/{id}/../stop"}, "no '//', '/./' or '/../'"),
        ({"path": "/jobs/{id}/.."}, "no '//', '/./' or '/../'"),
        ({"path": "/jobs/{id}/."}, "no '//', '/./' or '/../'"),
        ({"path": "/jobs/{request_id}"}, "unknown placeholder '{request_id}': use '{id}'"),
        ({"path": "/jobs/{}"}, "unknown placeholder '{}'"),
        ({"query": {"id": "{ID}"}}, "unknown placeholder '{ID}'"),
        ({"body": {"job": "{job}"}}, "unknown placeholder '{job}'"),
        ({"body": {}, "optional_fields": ("",)}, "optional_fields: has an empty name"),
        ({"body": {}, "required_fields": ("\ud800",)}, "required_fields: names '\\ud800', which is not printable"),
        ({"required_fields": ("task",)}, "required_fields: names fields of a body, and there is none"),
    ],
)
def test_invalid_call_is_refused_at_construction(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Call(**{**GET, **changes})


@pytest.mark.parametrize("path", ["/jobs/{id}/", "/jobs/..{id}", "/jobs.v1/{id}...", "/{id}"])
def test_path_with_harmless_dots_is_sent_unchanged(path: str) -> None:
    given: dict[str, Any] = {**GET, "path": path}
    assert Call(**given).request("", task_id="a").path == path.replace("{id}", "a")


@pytest.mark.parametrize("header", ["", "X Key", "X-Key:", "X\nKey", "Schlüssel", "a/b"])
def test_unsendable_header_is_refused_at_construction(header: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"header: {header!r} cannot be a header's name: give one")):
        Authentication(header)


# The headers of framing and of one connection in RFC 9110 and RFC 9112, and what the client sets itself.
OF_HTTP_ITSELF = [
    "Accept-Encoding",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Expect",
    "Host",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
]


@pytest.mark.parametrize("header", OF_HTTP_ITSELF)
def test_reserved_header_is_refused_for_a_key(header: str) -> None:
    for name in (header, header.lower(), header.upper()):
        with pytest.raises(ValueError, match=f"header: {name!r} is for HTTP itself, and no key can"):
            Authentication(name)


def test_every_header_that_httpx2_sets_is_reserved() -> None:
    sent = httpx2.Client().build_request("POST", "https://host", json={"a": 1}).headers
    assert {each for each in sent if each not in ("accept", "user-agent")} <= {each.lower() for each in OF_HTTP_ITSELF}


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", "Cookie", "Api_Key", "X-Host", "Token"])
def test_other_headers_carry_the_key(header: str) -> None:
    assert Authentication(header).headers("KEY") == {header: "KEY"}


@pytest.mark.parametrize("prefix", ["Bearer\n", "Schlüssel ", " Bearer ", "\0"])
def test_unsendable_prefix_is_refused_at_construction(prefix: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"prefix: no header can carry {prefix!r}")):
        Authentication("X-Key", prefix)


def test_sessions_at_another_server_are_refused() -> None:
    session = replace(V2_SESSION, base_url="https://elsewhere.example")
    with pytest.raises(ValueError, match=r"session: is at https://elsewhere.example, and this binding at https://api"):
        replace(V2, session=session)


def test_base_path_with_empty_or_dot_segments_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("base_path: must have no '//', '/./' or '/../', not '/api/../v1'")):
        replace(V1, base_path="/api/../v1")


NO_SERVERS = [
    "ftp://mine.example",
    "mine.example",
    "",
    "https://",
    "https://mine.example?key=1",
    "https://mine.example/?",
    "https://mine.example#top",
    "https://mine.example:0",
    "https://mine.example:99999",
    "https://mine example",
    "https://mine.example\n",
]
WITH_USERS = [
    "https://me:secret@mine.example",
    "https://secret@mine.example/?page=1",
    "https://me:secret@mine.example:99999",
    "me:secret@mine.example",
]


@pytest.mark.parametrize("url", NO_SERVERS)
def test_invalid_base_url_is_refused_at_construction(url: str) -> None:
    said = re.escape("base_url: it must be like 'https://host'")
    with pytest.raises(DefinitionError, match=f"^binding 'v1' is not sound, 1 finding:\n  bad_value: {said}"):
        replace(V1, base_url=url)


@pytest.mark.parametrize("url", NO_SERVERS)
def test_client_and_binding_refuse_the_same_servers(url: str) -> None:
    said = re.escape("base_url must be like 'https://host'")
    with pytest.raises(ValueError, match=f"^{said}"):
        Client("v1", base_url=url, api_key="any")


@pytest.mark.parametrize("url", NO_SERVERS)
def test_key_variable_and_binding_refuse_the_same_servers(url: str) -> None:
    said = re.escape("server: it must be like 'https://host'")
    with pytest.raises(DefinitionError, match=said):
        KeyVariable("PRINTER_KEY", url)


@pytest.mark.parametrize("name", ["", "A=B", "A B", "A\n", "A\0", "\ud800", "KEY="])
def test_name_that_no_environment_variable_can_have_is_refused(name: str) -> None:
    said = "name: must be the name of an environment variable, such as 'PRINTER_KEY', not"
    with pytest.raises(ValueError, match=re.escape(f"{said} {name!r}")):
        KeyVariable(name, "https://printer.example")


@pytest.mark.parametrize("name", ["PRINTER_KEY", "printer.key", "KEY2", "_KEY"])
def test_key_variable_has_any_other_name(name: str) -> None:
    assert KeyVariable(name, "http://127.0.0.1:8000").name == name


@pytest.mark.parametrize("url", WITH_USERS)
def test_base_url_with_a_password_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="base_url: it must hold no user and no password") as in_binding:
        replace(V1, base_url=url)
    with pytest.raises(ValueError, match="base_url must hold no user and no password") as in_client:
        Client("v1", base_url=url, api_key="any")
    with pytest.raises(ValueError, match="server: it must hold no user and no password") as in_variable:
        KeyVariable("PRINTER_KEY", url)
    assert "secret" not in f"{in_binding.value} {in_client.value} {in_variable.value}"


NO_PATHS = ["data..state", ".state", "state.", "."]


def listing(**fields: Any) -> ListCall:
    given: dict[str, Any] = {"items_field": "tasks", "page_parameter": "page", **fields}
    return ListCall(call=Call(method="GET", path="/tasks"), **given)


@pytest.mark.parametrize("path", NO_PATHS)
def test_invalid_status_field_is_refused_at_construction(path: Any) -> None:
    with pytest.raises(ValueError, match=rf"status_field: must be .*{re.escape(repr(path))}"):
        Call(**{**GET, "status_field": path})


@pytest.mark.parametrize("path", [*NO_PATHS, ""])
@pytest.mark.parametrize("name", ["id_field", "output_field", "cost_field", "created_field", "task_field"])
def test_invalid_field_path_is_refused_at_construction(name: str, path: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}: must be .*{re.escape(repr(path))}"):
        replace(V1, **{name: path})


@pytest.mark.parametrize("path", NO_PATHS)
def test_path_in_a_listing_or_a_proof_is_checked_at_construction(path: Any) -> None:
    for name in ("items_field", "next_field"):
        with pytest.raises(ValueError, match=f"{name}: must be .*{re.escape(repr(path))}"):
            replace(V1, listing=listing(**{name: path}))
    with pytest.raises(ValueError, match="id_field: must be"):
        replace(V1, proofs={V1Event.STOP: Proof(binding=V1, id_field=path, event="stop")})


def test_proof_is_by_a_command_of_its_binding() -> None:
    with pytest.raises(DefinitionError, match="event: 'halt' is not a command of 'v1'"):
        Proof(binding=V1, id_field="id", event="halt")


def test_braces_other_than_placeholders_are_allowed_in_a_body() -> None:
    query = "mutation { stop(id: $id) { status } }"
    call = Call(method="POST", path="/graphql", body={"query": query, "variables": "{id}"})
    assert call.request("", task_id="7").body == {"query": query, "variables": "7"}


@pytest.mark.parametrize(
    "text",
    [
        "{ viewer { login } }",
        "mutation { stop(input: {id: 7}) { id } }",
        "query { task { requestId } request { etag } }",
        "{ tag }",
        "{\n  tags\n}",
        '{"id": "{id}", "etag": {"id": {id}}}',
        "a-{b-c}",
        "if (a) { b } else { c",
        "}",
        "",
    ],
)
def test_braces_of_json_and_graphql_are_ordinary_text(text: str) -> None:
    call = Call(method="POST", path="/jobs", body={"text": text})
    assert call.request("", task_id="7").body == {"text": text.replace("{id}", "7")}


JSON_IN_TEXT = '{"label": ["a", "b"], "of": {"id": "{id}"}}'


def test_a_query_and_a_header_can_carry_json_and_graphql() -> None:
    query = {"filters": JSON_IN_TEXT, "query": "{ task { id } }"}
    request = Call(method="GET", path="/jobs", query=query, headers={"Arg": JSON_IN_TEXT}).request("", task_id="7")
    assert request.query == {**query, "filters": JSON_IN_TEXT.replace("{id}", "7")}
    assert request.headers == {"Arg": JSON_IN_TEXT.replace("{id}", "7")}


@pytest.mark.parametrize("place", ["headers", "query", "body"])
@pytest.mark.parametrize(
    "wrong",
    [
        "{idempotency-key}",
        "{ idempotency_key }",
        "{Idempotency-Key}",
        "{idempotency_key",
        "{idempotency.key}",
        "{{idempotency_key}}",
        "{{ idempotency_key }}",
        "{idempotecny-key}",
        "{idempotency }",
        "{request-id}",
        "{ etag }",
        "{ id }",
        "{{id}}",
        "{id",
    ],
)
@pytest.mark.parametrize("around", ["{}", "a/{}", "{{id}}/{}"])
def test_a_misspelt_placeholder_is_a_finding(place: str, wrong: str, around: str) -> None:
    given: dict[str, Any] = {"method": "POST", "path": "/jobs", place: {"Once": around.format(wrong)}}
    name = re.escape(wrong.strip("{} "))
    with pytest.raises(DefinitionError, match=rf"{place}\.Once: unknown placeholder '[{{ ]+{name}[ }}]*': "):
        Call(**given)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"headers": {"Once": "{idempotency-key}"}}, "'{idempotency-key}': did you mean '{idempotency_key}'?"),
        ({"headers": {"Once": "idempotency_key}"}}, "'idempotency_key}': did you mean '{idempotency_key}'?"),
        ({"body": {"a": ["{{id}}"]}}, "body.a[0]: unknown placeholder '{{id}}': did you mean '{id}'?"),
        ({"query": {"once": "{idempotency-key}"}}, "query.once: unknown placeholder '{idempotency-key}': use '{id}'"),
        ({"query": {"by": "{order.by}"}}, "query.by: unknown placeholder '{order.by}': use '{id}'"),
        ({"headers": {"By": "{order-by}"}}, "headers.By: unknown placeholder '{order-by}': use '{id}' or"),
    ],
)
def test_finding_suggests_the_nearest_placeholder(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(said)):
        Call(method="POST", path="/jobs", **changes)


COMMANDS: dict[V1Event, Call] = {**V1.commands}
EVERYTHING: dict[str, Any] = {"method": "DELETE", "path": "/jobs"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"commands": {**COMMANDS, V1Event.STOP: Call(**EVERYTHING)}},
            "commands.stop: DELETE /jobs does not name its task",
        ),
        (
            {"create": replace(V1.create, status_field="")},
            "create.status_field: must be a field or None: the whole response also names the new task",
        ),
        (
            {"status": Call(method="GET", path="/status", status_field="")},
            "status: GET /status does not name",
        ),
        (
            {"details": Call(method="GET", path="/task", status_field="status")},
            "details: GET /task does not name",
        ),
        (
            {"create": Call(method="POST", path="/tasks/{id}", body={})},
            "create: POST /tasks/{id} names a task",
        ),
        (
            {
                "listing": ListCall(
                    call=Call(method="GET", path="/tasks/{id}"), items_field="tasks", page_parameter="page"
                )
            },
            "listing.call: GET /tasks/{id} names a task",
        ),
        ({"base_path": "api"}, "base_path: must be empty, or begin with '/' and not end with it, not 'api'"),
        ({"base_path": "/api/"}, "base_path: must be empty"),
        (
            {"proofs": {"halt": Proof(binding=V1, id_field="id", event="stop")}},
            "proofs.halt: 'halt' is not a command",
        ),
    ],
)
def test_invalid_binding_is_refused_at_construction(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"bad_value: {said}")):
        replace(V1, **changes)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("key", "idempotency_key"),
        ("idempotency", "idempotency_key"),
        ("idempotencyKey", "idempotency_key"),
        ("idempotency_keys", "idempotency_key"),
        ("label", "labels"),
        ("reasons", "reason"),
        ("wait_for_in_flight", "wait_for_in_flight_s"),
    ],
)
def test_a_field_that_is_a_misspelt_option_is_refused(name: str, meant: str) -> None:
    create = Call(method="POST", path="/jobs", body={})

    with pytest.raises(
        TypeError, match=f"{name!r} is not an option and would be sent as a field; did you mean {meant!r}"
    ):
        create.request("", fields={name: "order-5"}, options=[meant])

    declared = replace(create, optional_fields=(name,))
    assert declared.request("", fields={name: "order-5"}).body == {name: "order-5"}


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda: V1.command_request(V1Event.STOP, "t", etag=cast("Any", 5)), "etag must be text, not 5"),
        (lambda: V1.command_request(V1Event.STOP, cast("Any", 5)), "task_id must be text, not 5"),
        (lambda: V1.command_request(cast("Any", ["stop"]), "t"), "command must be the name of a command, not"),
        (lambda: V1.command_request(V1Event.STOP, "t", cast("Any", ["x"])), "fields must be a mapping, such as"),
        (lambda: V1.command_request(V1Event.STOP, "t", idempotency_key=cast("Any", 5)), "idempotency_key must be text"),
        (lambda: V1.create_request(cast("Any", None)), "fields must be a mapping, such as .*, not None"),
        (lambda: V1.create_fields(cast("Any", 5), {}), "task must be text, not 5"),
        (lambda: V1.create_fields("x", cast("Any", None)), "fields must be a mapping, such as .*, not None"),
        (lambda: V1.call(cast("Any", None)), "command must be the name of a command, not None"),
        (lambda: V1.request_headers(cast("Any", None)), "api_key must be text, not None"),
        (lambda: V1.in_scope(cast("Any", "v1")), "lifecycle must be a Lifecycle, such as"),
        (lambda: V1.retirement(cast("Any", 5)), "base_url must be text"),
    ],
)
def test_argument_of_another_type_is_refused_with_its_name(misuse: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        misuse()


DEEP = ".".join(["a"] * 101)
OF_A_PATH: tuple[tuple[Callable[[str], object], str], ...] = (
    (lambda path: replace(V1, id_field=path), "id_field"),
    (lambda path: replace(V1, task_field=path), "task_field"),
    (lambda path: replace(V1.create, id_field=path), "id_field"),
    (lambda path: Call(method="POST", path="/x", body={}, field_headers={"X-A": path}), "field_headers.X-A"),
)


@pytest.mark.parametrize(("deep", "where"), OF_A_PATH)
def test_path_to_a_field_has_at_most_100_parts(deep: Callable[[str], object], where: str) -> None:
    deep(DEEP.removesuffix(".a"))
    for path, number in ((DEEP, "101"), (".".join(["a"] * 3000), "3,000")):
        with pytest.raises(DefinitionError, match=f"{where}: must have at most 100 parts, and has {number}$"):
            deep(path)
