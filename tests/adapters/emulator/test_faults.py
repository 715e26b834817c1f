"""Each kind of fault: its effect on the client and on the task."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

import httpx2
import pytest

from lifecycle_adapters.emulator import ConnectionDropped, Emulator, FaultKind, create_app
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.services.registry import BUILT_IN
from tests.adapters.emulator.requests import BY_NAME, HEADERS, command, connect, create, state

V1, V2, V3 = BY_NAME["v1"], BY_NAME["v2"], BY_NAME["v3"]
DROPPED = (httpx2.RemoteProtocolError, httpx2.ReadError)


def test_drop_before_closes_the_connection_and_changes_nothing(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    emulator.fault("drop_before", command="stop")
    with pytest.raises(DROPPED):
        command(http, V2, "stop", task_id)
    assert state(http, V2, task_id) == "created"
    assert command(http, V2, "stop", task_id).status_code == 200, "the fault was injected once"


def test_drop_after_applies_the_command_and_closes_the_connection(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    emulator.fault("drop_after", command="stop")
    with pytest.raises(DROPPED):
        command(http, V2, "stop", task_id)
    assert state(http, V2, task_id) == "stopped"


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_dropped_connection_sends_no_byte(emulator: Emulator, http: httpx2.Client, kind: str) -> None:
    task_id = create(http, V1)
    emulator.fault(kind, api="v1")
    address = (str(http.base_url.host), int(http.base_url.port or 0))
    with socket.create_connection(address, timeout=60) as raw:
        raw.sendall(
            f"PUT /api/v1/stop-task?task_id={task_id} HTTP/1.1\r\n".encode()
            + b"Host: localhost\r\nAuthorization: Bearer k\r\n\r\n"
        )
        with suppress(ConnectionResetError):  # equally good: no byte was received
            assert raw.recv(1024) == b""


def test_fail_after_applies_the_command_and_returns_500(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V1)
    emulator.fault("fail_after", command="stop")
    response = command(http, V1, "stop", task_id)
    assert (response.status_code, response.json()) == (
        500,
        {"detail": "Internal Server Error (injected by a control call)"},
    )
    assert state(http, V1, task_id) == "stopped"


@pytest.mark.parametrize(
    ("fields", "code", "text", "media"),
    [
        ({}, 500, '{"detail": "Internal Server Error (injected by a control call)"}', "application/json"),
        ({"status_code": 418}, 418, '{"detail": "I\'m a Teapot (injected by a control call)"}', "application/json"),
        ({"status_code": 599}, 599, '{"detail": "Fault (injected by a control call)"}', "application/json"),
        ({"status_code": 204}, 204, "", None),
        ({"status_code": 200, "body": {"status": "asleep"}}, 200, '{"status": "asleep"}', "application/json"),
        ({"body": "<html>"}, 500, "<html>", "text/plain; charset=utf-8"),
        ({"body": "<p>", "headers": {"content-type": "text/html"}}, 500, "<p>", "text/html"),
        ({"status_code": 429, "headers": {"Retry-After": "7"}, "body": []}, 429, "[]", "application/json"),
    ],
)
def test_status_returns_the_given_response_and_changes_nothing(
    emulator: Emulator, http: httpx2.Client, *, fields: dict[str, Any], code: int, text: str, media: str | None
) -> None:
    task_id = create(http, V2)
    emulator.fault("status", command="stop", **fields)
    response = command(http, V2, "stop", task_id)
    assert (response.status_code, response.text, response.headers.get("content-type")) == (code, text, media)
    assert response.headers.get("retry-after") == fields.get("headers", {}).get("Retry-After")
    assert state(http, V2, task_id) == "created"


def test_delay_waits_and_then_handles(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    emulator.fault("delay", command="stop", seconds=2.0)
    begun_s = time.monotonic()
    with pytest.raises(httpx2.ReadTimeout), connect(emulator, timeout=0.1) as impatient:
        command(impatient, V2, "stop", task_id)
    assert state(http, V2, task_id) == "created"
    while state(http, V2, task_id) == "created":
        assert time.monotonic() - begun_s < 60, "a call is handled even if its caller has disconnected"
        time.sleep(0.02)
    assert time.monotonic() - begun_s >= 2.0


@pytest.mark.parametrize("kind", ["delay", "delay_after"])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("api", BY_NAME)
def test_a_delayed_read_is_handled_even_if_its_caller_disconnects(
    emulator: Emulator, http: httpx2.Client, *, api: str, is_known: bool, kind: str
) -> None:
    binding = BY_NAME[api]
    task_id = create(http, binding) if is_known else "nobody's"
    emulator.fault(kind, method="GET", seconds=0.2)
    call = replace(binding.status, path=binding.status.path.replace("{session_id}", "any"))
    request = call.request(binding.base_path, task_id=task_id)
    headers = {"Host": "127.0.0.1", **binding.request_headers("any")}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((str(http.base_url.host), int(http.base_url.port or 0)), timeout=60) as raw:
        raw.sendall(f"GET {request.path} HTTP/1.1\r\n{head}\r\n".encode())
    begun_s = time.monotonic()
    while not any(each.method == "GET" and each.status_code is not None for each in emulator.calls()):
        assert time.monotonic() - begun_s < 60, emulator.calls()
        time.sleep(0.02)


def test_delay_after_handles_and_then_waits(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    emulator.fault("delay_after", command="stop", seconds=30)
    with pytest.raises(httpx2.ReadTimeout), connect(emulator, timeout=0.2) as impatient:
        command(impatient, V2, "stop", task_id)
    assert state(http, V2, task_id) == "stopped"


def test_a_delayed_response_is_complete(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    for kind in ("delay", "delay_after"):
        emulator.fault(kind, method="get", seconds=0.1)
        begun_s = time.monotonic()
        assert state(http, V2, task_id) == "created"
        assert time.monotonic() - begun_s >= 0.1


def test_a_delay_does_not_hold_up_the_shutdown() -> None:
    with Emulator(manual=True) as emulator, connect(emulator) as http:
        emulator.fault("delay", seconds=3600)
        waiting = threading.Thread(target=lambda: http.get("/api/v1/ping"))
        waiting.start()
        while not emulator.calls():
            time.sleep(0.01)
        begun_s = time.monotonic()
        emulator.stop()
        waiting.join(10)
    assert time.monotonic() - begun_s < 5


def test_a_fault_is_injected_into_the_next_n_matching_calls(emulator: Emulator, http: httpx2.Client) -> None:
    one, other = create(http, V2), create(http, V2)
    emulator.fault("status", status_code=503, task=one, method="GET", times=2)
    codes = [http.get(f"/api/v2/tasks/{task}/status").status_code for task in (other, one, other, one, one)]
    assert codes == [200, 503, 200, 503, 200]
    assert emulator.faults() == []


def test_first_armed_of_several_matching_faults_is_injected(emulator: Emulator, http: httpx2.Client) -> None:
    emulator.fault("status", status_code=502, api="v2")
    emulator.fault("status", status_code=503)
    emulator.fault("status", status_code=504, path=r"/sessions$")
    assert [fault.status_code for fault in emulator.faults()] == [502, 503, 504]
    paths = ("/api/v2/tasks", "/api/v4/runs", "/api/v4/runs", "/api/v3/sessions")
    assert [http.get(path).status_code for path in paths] == [502, 503, 200, 504]


@pytest.mark.parametrize(
    "fields",
    [
        {"api": "v3", "command": "dispatch"},
        {"api": "v3", "path": "^/api/v3/sessions$", "method": "POST", "command": "dispatch"},
    ],
)
def test_a_fault_can_match_one_of_several_commands_of_a_path(
    emulator: Emulator, http: httpx2.Client, fields: dict[str, Any]
) -> None:
    emulator.fault("status", **fields)
    session_id = create(http, V3)
    assert len(emulator.faults()) == 1, "the create call is not a dispatch"
    assert command(http, V3, "dispatch", session_id).status_code == 500


def test_a_fault_can_match_one_of_the_reads(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    emulator.fault("status", call="details")
    codes = [http.get(call.request(V2.base_path, task_id=task_id).path).status_code for call in (V2.status, V2.details)]
    assert codes == [200, 500]


def test_faults_can_be_disarmed(emulator: Emulator, http: httpx2.Client) -> None:
    emulator.fault("status", times=1000)
    assert http.get("/api/v2/tasks").status_code == 500
    emulator.clear_faults()
    assert http.get("/api/v2/tasks").status_code == 200


def test_control_calls_and_documents_get_no_fault(emulator: Emulator, http: httpx2.Client) -> None:
    emulator.fault("status", times=1000)
    assert http.get("/openapi.json").status_code == 200
    assert http.get("/_emulator/tasks").status_code == 200


def test_a_fault_is_injected_before_the_key_is_checked(emulator: Emulator, http: httpx2.Client) -> None:
    emulator.fault("status", status_code=403, body={"detail": "Forbidden"})
    assert httpx2.get(f"{emulator.base_url}/api/v2/tasks").status_code == 403


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "explode"},
        {"kind": "status", "status_code": 100},
        {"kind": "status", "times": 0},
        {"kind": "delay", "seconds": -1},
        {"kind": "delay", "seconds": 1e9},
        {"kind": "status", "api": "v5"},
        {"kind": "status", "path": "("},
        {"kind": "status", "comand": "stop"},
        {"kind": "status", "command": "stopp"},
        {"kind": "status", "api": "v1", "command": "dispatch"},
        {"kind": "status", "method": "PATHC"},
        {"kind": "status", "api": "v1", "method": "patch"},
        {"kind": "delay"},
        {"kind": "delay_after", "seconds": 0},
        {"kind": "delay", "seconds": 1, "status_code": 503},
        {"kind": "status", "seconds": 1},
        {"kind": "drop_after", "status_code": 503},
        {"kind": "drop_after", "status_code": 500},  # what another kind has by default
        {"kind": "status", "headers": {"Retry After": "1"}},
        {"kind": "status", "headers": {"Retry-After": "1\r\nX: y"}},
        {"kind": "status", "headers": {"content-length": "5"}},
        {"kind": "status", "headers": {"Retry-After": "1", "Transfer-Encoding": "chunked"}},
        {"kind": "fail_after", "headers": {"CONNECTION": "close"}},
        {"kind": "status", "status_code": 204, "body": "no response with this code has a body"},
        {"kind": "status", "path": ""},
        {"kind": "status", "task": ""},
        {"kind": "status", "call": "details", "method": "POST"},
        {"kind": "status", "call": "details", "command": "stop"},
        {"kind": "status", "command": "stop", "method": "GET"},
        {"kind": "status", "api": "v2", "command": "stop", "method": "PUT"},  # v1's method
    ],
)
def test_an_invalid_fault_is_refused(emulator: Emulator, http: httpx2.Client, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each of them; the next test has the messages)
        emulator.fault(**fields)
    assert http.post("/_emulator/faults", json=fields).status_code == 422
    assert emulator.faults() == []


def test_a_refused_fault_says_what_its_kind_needs(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"^a fault of the kind delay needs seconds, more than 0$"):
        emulator.fault("delay")
    with pytest.raises(ValueError, match=r"^a fault of the kind drop_after does not use status_code, body$"):
        emulator.fault("drop_after", body="no", status_code=503)


@pytest.mark.parametrize("fields", [{"task": "\ud800"}, {"body": ["\ud800"]}, {"path": "\ud800"}])
def test_half_of_a_surrogate_pair_in_a_fault_is_refused(emulator: Emulator, fields: dict[str, Any]) -> None:
    """No request has one, and no response could show the fault."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        emulator.fault("status", **fields)


def test_an_armed_fault_can_be_armed_again(emulator: Emulator) -> None:
    given: list[dict[str, Any]] = [
        {"kind": "delay", "seconds": 1},
        {"kind": "fail_after", "body": {"a": 1}},
        {"kind": "drop_before"},
    ]
    for fields in given:
        fault = emulator.fault(**fields)
        emulator.fault(**fault.model_dump())

    first, again = emulator.faults()[::2], emulator.faults()[1::2]
    assert first == again


def test_body_that_is_not_json_serialisable_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"^body: JSON has no NaN"):
        emulator.fault("status", body={"cost": float("nan")})


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("statis", {}, "unknown kind of fault 'statis'; did you mean 'status'?"),
        ("status", {"command": "stopp"}, "unknown command 'stopp'; did you mean 'stop'?"),
        ("status", {"api": "v3", "command": "dispach"}, "emulator, v3: unknown command .* did you mean 'dispatch'?"),
        ("status", {"call": "detials"}, "unknown call 'detials'; did you mean 'details'?"),
        ("status", {"method": "PATHC"}, "unknown method 'PATHC'; did you mean 'PATCH'?"),
        (
            "status",
            {"api": "v4", "method": "HEAD"},
            r"emulator, v4: unknown method 'HEAD'.*\(known: DELETE, GET, PATCH, POST, PUT\)",
        ),
    ],
)
def test_an_unknown_name_in_a_fault_is_refused_with_a_suggestion(
    emulator: Emulator, kind: str, fields: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        emulator.fault(kind, **fields)
    assert emulator.faults() == []


@pytest.mark.parametrize("binding", BUILT_IN, ids=lambda binding: binding.name)
def test_a_fault_accepts_every_command_and_method_of_an_api(emulator: Emulator, binding: HttpBinding[Any, Any]) -> None:
    for command_, call in binding.commands.items():
        for api in (None, binding.name):
            emulator.fault(FaultKind.STATUS, api=api, command=command_, method=call.method.lower(), task="made later")
        emulator.fault(FaultKind.STATUS, call=command_)
    assert len(emulator.faults()) == 3 * len(binding.commands)


def test_the_call_log_holds_the_injected_fault(emulator: Emulator, http: httpx2.Client) -> None:
    task_id = create(http, V2)
    kinds = (FaultKind.DROP_BEFORE, FaultKind.STATUS, FaultKind.FAIL_AFTER)
    for kind in kinds:
        emulator.fault(kind, command="stop")
    for _ in kinds:
        with suppress(*DROPPED):
            command(http, V2, "stop", task_id)
    calls = emulator.calls()[1:]
    assert [(call.fault, call.status_code, call.applied, call.state_after) for call in calls] == [
        ("drop_before", None, False, None),
        ("status", 500, False, None),
        ("fail_after", 500, True, "stopped"),
    ]


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_drop_under_a_test_client_raises(kind: str) -> None:
    app = create_app(manual=True)
    app.control.fault(kind)

    async def send_call() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=HEADERS) as http:
            await http.get("/api/v2/tasks")

    with pytest.raises(ConnectionDropped):
        asyncio.run(send_call())


def test_a_kept_connection_still_works_after_other_faults(emulator: Emulator, http: httpx2.Client) -> None:
    kept = HTTPConnection(str(http.base_url.host), int(http.base_url.port or 0), timeout=60)
    try:
        emulator.fault("status", status_code=500)
        for code in (500, 200):
            kept.request("GET", "/api/v2/tasks", headers=HEADERS)
            response = kept.getresponse()
            response.read()
            assert response.status == code
    finally:
        kept.close()
