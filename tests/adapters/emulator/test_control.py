"""The control calls, over HTTP and as methods of `Emulator`."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from pydantic import BaseModel

from lifecycle import IllegalTransition, UnknownName
from lifecycle_adapters.emulator import NOTICE, CallFault, Emulator, UnknownTask, Webhook, WebhookFault
from lifecycle_adapters.emulator.call_log import HIDDEN, MAX_RECORDED, CallLog
from lifecycle_adapters.emulator.calls import Identity
from lifecycle_adapters.emulator.control import CALLS, Advance
from lifecycle_adapters.emulator.fault_middleware import MOST_BODY_BYTES
from lifecycle_adapters.services.registry import BUILT_IN
from tests.adapters.emulator.requests import BY_NAME, HEADERS, bring_to, command, create, state

V1, V2, V3 = BY_NAME["v1"], BY_NAME["v2"], BY_NAME["v3"]


def test_about_returns_the_settings_and_the_notice(emulator: Emulator, http: httpx2.Client) -> None:
    about = http.get("/_emulator/").json()
    assert (about["notice"], about["pace_s"]) == (NOTICE, None)
    assert about["lifecycles"] == {binding.name: binding.lifecycle.name for binding in BUILT_IN}
    assert "nothing on disk" in NOTICE
    assert NOTICE in http.get("/").text
    assert abs(datetime.fromisoformat(about["now"]) - datetime.now(UTC)) < timedelta(days=1)


def test_every_operation_is_a_method_and_a_control_call(emulator: Emulator, http: httpx2.Client) -> None:
    document = http.get("/_emulator/openapi.json").json()
    served = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
    assert {(call.method, call.path) for call in CALLS} == served
    names = [call["operationId"] for calls in document["paths"].values() for call in calls.values()]
    assert sorted(names) == sorted(call.function.__name__ for call in CALLS)
    assert all(callable(getattr(emulator, name)) for name in names)
    assert http.get("/_emulator/webhook").json() is None
    assert http.get("/_emulator/tasks", params={"api": "v9"}).status_code == 422


def test_another_method_is_refused_with_those_that_the_path_has(http: httpx2.Client) -> None:
    document = http.get("/_emulator/openapi.json").json()
    for path, calls in document["paths"].items():
        refused = http.request("OPTIONS", "/_emulator" + path.replace("{task_id}", "7").replace("{api}", "v1"))
        allowed = {method.upper() for method in calls}
        assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, allowed), path


def test_an_operation_of_an_emulator_runs_in_its_event_loop(emulator: Emulator) -> None:
    threads = [emulator.carry_out(threading.current_thread), threading.current_thread()]
    assert threads[0].name.startswith("emulator-")
    assert threads[0] is not threads[1]


def test_control_calls_need_no_key(emulator: Emulator) -> None:
    assert httpx2.get(f"{emulator.base_url}/_emulator/tasks").json() == []


def test_a_task_view_lists_the_events_that_are_allowed(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = bring_to(emulator, http, V2, ("start",))
    shown = http.get(f"/_emulator/tasks/{task_id}").json()
    session_id = shown["session"]
    assert [each["event"] for each in shown.pop("transitions")] == ["start"]
    assert abs(datetime.fromisoformat(shown.pop("created_at")) - datetime.now(UTC)) < timedelta(days=1)
    assert shown == {
        "id": task_id, "api": "v2", "lifecycle": "v2-full", "state": "started", "is_final": False,
        "allowed": ["stop", "stop_task_and_session", "finish", "fail"], "remote": ["finish", "fail"],
        "script": ["finish"], "session": session_id,
    }  # fmt: skip
    assert [each["id"] for each in http.get("/_emulator/tasks").json()] == [task_id, session_id]
    assert [each.id for each in emulator.tasks("v2-session")] == [session_id]
    assert http.get("/_emulator/tasks", params={"api": "v2"}).json()[0] == emulator.task(task_id).model_dump(
        mode="json"
    )


def test_events_are_fired_by_method_and_over_http(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V1)
    assert emulator.fire(task_id, "start").state == "running"
    fired = http.post(f"/_emulator/tasks/{task_id}/events", json={"event": "finish"})
    assert (fired.status_code, fired.json()["state"], fired.json()["is_final"]) == (200, "finished", True)
    assert state(http, V1, task_id) == "finished"


def test_an_impossible_event_is_refused_with_the_lifecycles_reason(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V1)
    with pytest.raises(IllegalTransition):
        emulator.fire(task_id, "finish")
    with pytest.raises(UnknownName):
        emulator.fire(task_id, "strt")
    with pytest.raises(ValueError, match="is a command"):
        emulator.set_script(task_id, ["stop"])
    with pytest.raises(UnknownTask):
        emulator.task("nobody")
    refused = http.post(f"/_emulator/tasks/{task_id}/events", json={"event": "finish"})
    assert refused.status_code == 409
    assert refused.json() == {"detail": "v1-full: 'finish' is not allowed in 'created'; allowed: start, fail"}
    others: list[tuple[str, str, Any, int]] = [
        ("POST", f"/_emulator/tasks/{task_id}/events", {"event": "strt"}, 400),
        ("POST", "/_emulator/tasks/nobody/events", {"event": "start"}, 404),
        ("PUT", f"/_emulator/tasks/{task_id}/script", {"events": ["strt"]}, 400),
        ("PUT", "/_emulator/tasks/nobody/script", {"events": []}, 404),
        ("GET", "/_emulator/tasks/nobody", None, 404),
        ("POST", "/_emulator/clock", {"seconds": -1}, 422),
    ]
    for method, path, body, code in others:
        assert http.request(method, path, json=body).status_code == code


def test_tasks_follow_their_scripts_at_the_pace_of_the_clock() -> None:
    with Emulator(pace_s=1000) as emulator, httpx2.Client(base_url=emulator.base_url, headers=HEADERS) as http:
        task_id = create(http, V1)
        failing = create(http, V1, task="Buy milk [remote: start, fail]")
        assert state(http, V1, task_id) == "created"
        emulator.advance(1000)
        assert state(http, V1, task_id) == "running"
        assert emulator.set_script(task_id, ["fail"]).script == ("fail",)
        assert http.post("/_emulator/clock", json={"seconds": 1000}).json()["pace_s"] == 1000
        assert [state(http, V1, each) for each in (task_id, failing)] == ["failed", "failed"]
        transitions = emulator.task(failing).transitions
        assert (transitions[1].at - transitions[0].at) == timedelta(seconds=1000)


def test_a_v3_session_follows_the_script_of_its_create_call() -> None:
    with Emulator(pace_s=1000) as emulator, httpx2.Client(base_url=emulator.base_url, headers=HEADERS) as http:
        empty = create(http, V3, keepAlive=True)
        once = create(http, V3, task="Buy milk")
        kept = create(http, V3, task="Buy milk", keepAlive=True)
        emulator.advance(10_000)
        assert [state(http, V3, each) for each in (empty, once, kept)] == ["idle", "stopped", "idle"]
        for session_id, keep_alive, end in ((empty, True, "idle"), (kept, False, "stopped")):
            body = {"sessionId": session_id, "task": "Buy bread", "keepAlive": keep_alive}
            assert http.post("/api/v3/sessions", json=body).json()["status"] == "running"
            emulator.advance(1000)
            assert state(http, V3, session_id) == end


def test_a_v2_session_that_is_not_kept_alive_closes_after_its_task() -> None:
    """Create Task: "Tasks without a sessionId are one-off tasks that automatically close the session" they ran in."""
    with Emulator(pace_s=1000) as emulator, httpx2.Client(base_url=emulator.base_url, headers=HEADERS) as http:
        sessions = BY_NAME["v2-session"]
        closing, kept = create(http, sessions, keepAlive=False), create(http, sessions, keepAlive=True)
        own = http.post("/api/v2/tasks", json={"task": "Buy milk"}).json()["sessionId"]
        for session_id in (closing, kept):
            create(http, V2, task="Buy milk", sessionId=session_id)
        emulator.advance(10_000)
        ends = [state(http, sessions, each) for each in (closing, kept, own)]
        assert ends == ["stopped", "active", "stopped"]
        assert http.get(f"/api/v2/sessions/{own}").json()["keepAlive"] is False


def test_the_call_log_records_every_call_and_no_key(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    command(http, V2, "stop", task_id)
    http.put("/api/v1/pause-task", params={"task_id": "nobody"})
    http.get("/api/v2/nothing")
    http.post("/api/v2/tasks", content=b"{")
    seen = http.get("/_emulator/calls").json()
    expected = ("method", "api", "call", "command", "task", "status_code")
    assert [tuple(call[name] for name in expected) for call in seen] == [
        ("POST", "v2", "create", None, task_id, 202),
        ("PATCH", "v2", "stop", "stop", task_id, 200),
        ("PUT", "v1", "pause", "pause", "nobody", 404),
        ("GET", "v2", None, None, None, 404),
        ("POST", "v2", "create", None, None, 422),
    ]  # fmt: skip
    assert [call["body"] for call in seen] == [{"task": "Buy milk"}, {"action": "stop"}, None, None, "{"]
    assert seen[1]["path"] == f"/api/v2/tasks/{task_id}"
    assert seen[2]["query"] == "task_id=nobody"
    assert [call["number"] for call in seen] == list(range(seen[0]["number"], seen[0]["number"] + 5))
    assert "any-key" not in http.get("/_emulator/calls").text
    assert [call.number for call in emulator.calls()] == [call["number"] for call in seen]


def test_call_log_shows_headers_without_secrets(emulator: Emulator, http: httpx2.Client) -> None:
    secrets = ("X-Browser-Use-API-Key", "Authorization", "Cookie", "X-Auth-Token", "X-Hub-Signature")
    headers = {**dict.fromkeys(secrets, "s3cret"), "Idempotency-Key": "order-5", "If-Match": '"7"'}
    http.post("/api/v2/tasks", json={"task": "Buy milk"}, headers=headers)

    [call] = emulator.calls()
    assert (call.headers["idempotency-key"], call.headers["if-match"]) == ("order-5", '"7"')
    assert call.headers["content-type"] == "application/json"
    assert {call.headers[name.lower()] for name in secrets} == {HIDDEN}
    assert "s3cret" not in http.get("/_emulator/calls").text


@pytest.mark.parametrize("path", ["/_emulator/faults", "/api/v2/tasks"])
def test_body_that_is_too_large_is_refused(emulator: Emulator, http: httpx2.Client, path: str) -> None:
    fits = b'{"kind": "status", "task": "a"}'.ljust(MOST_BODY_BYTES)
    headers = {"Content-Type": "application/json"}
    assert http.post(path, content=fits, headers=headers).status_code in (200, 201, 202)
    http.delete("/_emulator/faults")
    for content in (fits + b" ", iter([fits, b" "])):
        response = http.post(path, content=content, headers=headers)
        assert (response.status_code, response.json()) == (413, {"detail": "The body has more than 10,000,000 bytes"})
    assert emulator.faults() == []


def test_body_of_a_control_call_that_is_no_object_is_refused(http: httpx2.Client) -> None:
    refused = http.post("/_emulator/clock", json=[5])
    assert (refused.status_code, refused.json()["detail"][0]["msg"]) == (
        422,
        "a JSON object with the field seconds is needed",
    )


def test_key_that_is_twice_in_a_control_call_is_refused(emulator: Emulator, http: httpx2.Client) -> None:
    headers = {"Content-Type": "application/json"}
    twice = b'{"kind": "delay", "kind": "status"}'
    response = http.post("/_emulator/faults", content=twice, headers=headers)
    assert response.status_code == 422
    assert response.json()["detail"][0]["msg"] == "the key 'kind' is twice in one object"
    assert emulator.faults() == []


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\x7f", "\u2028"])
def test_id_with_a_control_character_is_refused(http: httpx2.Client, character: str) -> None:
    task_id = f"a{character}b"
    calls = [
        http.get(f"/_emulator/tasks/{quote(task_id)}"),
        http.post(f"/_emulator/tasks/{quote(task_id)}/events", json={"event": "start"}),
        http.post("/_emulator/faults", json={"kind": "status", "task": task_id}),
        http.post("/_emulator/webhook/faults", json={"kind": "lost", "task": task_id}),
    ]
    assert [each.status_code for each in calls] == [422] * 4
    assert all("line end" in each.json()["detail"][0]["msg"] for each in calls)


def test_the_call_log_keeps_the_newest_calls() -> None:
    call_log = CallLog()
    for _ in range(MAX_RECORDED + 2):
        call_log.open(
            Identity("v1"), at=datetime.now(UTC), method="GET", path="/api/v1/ping", query="", headers={}, body=None
        )
    assert [call.number for call in call_log] == list(range(3, MAX_RECORDED + 3))


def test_reset_removes_tasks_faults_and_calls(emulator: Emulator, http: httpx2.Client) -> None:
    create(http, V2)
    emulator.fault("status")
    assert http.post("/_emulator/reset").status_code == 204
    assert (emulator.tasks(), emulator.faults(), emulator.calls()) == ([], [], [])


def test_faults_are_armed_and_disarmed_over_http(emulator: Emulator, http: httpx2.Client) -> None:
    armed = http.post("/_emulator/faults", json={"kind": "status", "status_code": 503, "times": 2})
    assert armed.status_code == 201
    assert http.get("/api/v2/tasks").status_code == 503
    assert [fault["times"] for fault in http.get("/_emulator/faults").json()] == [1]
    assert http.delete("/_emulator/faults").status_code == 204
    assert http.get("/_emulator/faults").json() == []


MISUSES: list[tuple[Callable[[Any, str], object], str]] = [
    (lambda emulator, _: emulator.fire({}, "start"), "task_id must be text, not dict"),
    (lambda emulator, _: emulator.task(7), "task_id must be text, not 7"),
    (lambda emulator, _: emulator.tasks([]), r"api must be the name of a service, not list"),
    (lambda emulator, _: emulator.set_script(None, []), "task_id must be text, not None"),
    (lambda emulator, task: emulator.fire(task, {}), "event must be the name of an event, not dict"),
    (lambda emulator, task: emulator.set_script(task, [{}]), "each of the events must be the name of one, not"),
    (lambda emulator, _: emulator.api_url([]), r"api must be the name of a service, not list"),
    (lambda emulator, _: emulator.carry_out(None), "call must be a function without parameters, not None"),
    (lambda emulator, _: emulator.advance("1"), "seconds must be a number, not '1'"),
]


@pytest.mark.parametrize(("misuse", "message"), MISUSES)
def test_argument_of_another_type_is_refused(
    emulator: Emulator, http: httpx2.Client, misuse: Callable[[Any, str], object], message: str
) -> None:
    task = create(http, BY_NAME["v1"])
    with pytest.raises(TypeError, match=message):
        misuse(emulator, task)


ODD: list[Any] = [
    None, "", "a\nb", "\ud800", "a" * 2000, b"x", True, 0, -1, 1.5, math.nan, 10**400, [], [-1], {}, {"a\n": "b"},
    {"a": "b\n"}, {"a": 1}, {"Content-Length": "1"}, object(), "http://a:pw@localhost", "ftp://localhost",
]  # fmt: skip
GIVEN: list[tuple[str, str, type[BaseModel], dict[str, Any]]] = [
    ("POST", "/faults", CallFault, {"kind": "status"}),
    ("POST", "/webhook/faults", WebhookFault, {"kind": "late", "seconds": 1}),
    ("PUT", "/webhook", Webhook, {"url": "http://127.0.0.1:9/", "secret": "s3cret"}),
    ("POST", "/clock", Advance, {}),
]


@pytest.mark.parametrize("case", GIVEN, ids=lambda case: case[1])
def test_refusal_of_an_odd_field_names_it_and_says_what_it_must_be(
    emulator: Emulator, http: httpx2.Client, case: tuple[str, str, type[BaseModel], dict[str, Any]]
) -> None:
    method, path, model, fields = case
    function = next(call.function for call in CALLS if (call.method, call.path) == (method, path))
    refused = 0
    for name, value in product(model.model_fields, ODD):
        given = {**fields, name: value}
        try:
            getattr(emulator, function.__name__)(**given)
        except (TypeError, ValueError) as error:
            text = str(error)
            assert re.match(rf"{name}( must be |: |$)|emulator.*: unknown |a fault of the kind ", text), text
            refused += 1
        with suppress(TypeError, ValueError):  # no client could send it
            response = http.request(method, f"/_emulator{path}", json=given)
            assert response.status_code in (200, 201, 400, 422), given
            for each in response.json()["detail"] if response.status_code == 422 else ():
                assert not re.search("[Ii]nput|[Vv]alue error|pattern", each["msg"]), each
        assert http.get("/_emulator/faults").status_code == http.get("/_emulator/webhook").status_code == 200
    emulator.reset()
    assert refused > 10
