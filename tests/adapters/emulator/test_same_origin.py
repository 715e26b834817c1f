"""Requests that a page of another origin may have sent, and bodies that no response could repeat."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx2
import pytest

from lifecycle_adapters.emulator import Emulator
from tests.adapters.emulator.requests import BY_NAME, create

CONTROL, SERVICE = "/_emulator/tasks", "/api/v1/tasks"

# --- web pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CONTROL, SERVICE, "/", "/docs", "/_emulator/openapi.json"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", ""]
)
def test_a_foreign_host_is_refused_with_the_accepted_ones(http: httpx2.Client, path: str, host: str) -> None:
    response = http.get(path, headers={"Host": host})
    assert response.status_code == 421
    assert "127.0.0.1, localhost and [::1]" in response.json()["detail"]


@pytest.mark.parametrize("path", [CONTROL, SERVICE])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
@pytest.mark.parametrize("port", ["", ":1", ":65535"])
def test_every_name_of_this_machine_is_accepted(http: httpx2.Client, path: str, host: str, port: str) -> None:
    assert http.get(path, headers={"Host": host + port}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_pages_of_other_origins_are_refused_and_change_nothing(
    emulator: Emulator, http: httpx2.Client, headers: dict[str, str]
) -> None:
    create(http, BY_NAME["v1"])
    for method, path in (("POST", "/_emulator/reset"), ("GET", CONTROL), ("POST", "/api/v1/run-task")):
        assert http.request(method, path, headers=headers, json={"task": "x"}).status_code == 403
    assert len(emulator.tasks()) == 1


def test_the_emulators_own_pages_are_accepted(emulator: Emulator, http: httpx2.Client) -> None:
    for headers in ({"Origin": emulator.base_url, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert http.post("/_emulator/reset", headers=headers).status_code == 204


# --- bodies that no response could repeat -------------------------------------------------------

CALLS = [
    ("POST", "/_emulator/faults", {"kind": "status", "body": "$"}),
    ("POST", "/_emulator/faults", {"kind": "$"}),
    ("POST", "/_emulator/webhook/faults", {"kind": "lost", "task": "$"}),
    ("POST", "/_emulator/tasks/t/events", {"event": "$"}),
    ("PUT", "/_emulator/tasks/t/script", {"events": ["$"]}),
    ("POST", "/_emulator/clock", {"seconds": "$"}),
    ("PUT", "/_emulator/webhook", {"url": "http://localhost", "secret": "$"}),
    ("POST", "/api/v1/run-task", {"task": "$"}),
    ("POST", "/api/v1/run-task", {"task": "x", "metadata": {"$": "$"}}),
    ("POST", "/api/v2/tasks", {"task": "x", "metadata": {"k": "$"}}),
    ("POST", "/api/v3/sessions", {"task": "$"}),
    ("POST", "/api/v4/runs", {"task": "$"}),
]
VALUES = ["NaN", "-Infinity", "1e999", r'"\ud800"', "[" * 150 + "]" * 150, "[" * 100_000 + "]" * 100_000, "1" * 5000]


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:9])
def test_unrepresentable_body_returns_422(
    emulator: Emulator, http: httpx2.Client, call: tuple[str, str, dict[str, Any]], value: str
) -> None:
    method, path, body = call
    given = value if value.startswith('"') else '"$"'
    content = json.dumps(body).replace('"$":', f"{given}:").replace('"$"', value)
    response = http.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["detail"]
    for reading in ("calls", "faults", "webhook/faults", "tasks", "webhook/messages"):
        assert http.get(f"/_emulator/{reading}").status_code == 200
    emulator.reset()


@pytest.mark.parametrize("path", ["/_emulator/faults", "/_emulator/clock", "/_emulator/webhook/faults"])
def test_bytes_that_are_not_text_are_refused(http: httpx2.Client, path: str) -> None:
    for kind, status in (("text/plain", 422), ("application/octet-stream", 422)):
        assert http.post(path, content=b"\xff\xfe", headers={"Content-Type": kind}).status_code == status
    assert http.post(path, content=b"\xff\xfe", headers={"Content-Type": "application/json"}).status_code in (400, 422)


# --- patterns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)*x", "(a?){200}a{200}$"])
def test_no_pattern_takes_exponential_time(emulator: Emulator, http: httpx2.Client, pattern: str) -> None:
    assert http.post("/_emulator/faults", json={"kind": "status", "path": pattern}).status_code == 201
    begun_s = time.perf_counter()
    http.get("/api/v1/" + "a" * 5000 + "!")
    assert time.perf_counter() - begun_s < 5  # Python's `re` would take exponential time


@pytest.mark.parametrize("pattern", ["(", "(?=a)b", r"(a)\1", "((a{100}){100}){100}", "a" * 1001])
def test_a_pattern_with_unbounded_time_returns_422(emulator: Emulator, http: httpx2.Client, pattern: str) -> None:
    assert http.post("/_emulator/faults", json={"kind": "status", "path": pattern}).status_code == 422
    with pytest.raises(ValueError, match="path"):
        emulator.fault("status", path=pattern)


@pytest.mark.parametrize("path", ["/api/v3/sessions", "/api/v4/runs"])
def test_a_long_amount_of_money_is_refused_at_once(http: httpx2.Client, path: str) -> None:
    begun_s = time.perf_counter()
    assert http.post(path, json={"task": "x", "maxCostUsd": "0" * 50_000 + "x"}).status_code == 422
    assert time.perf_counter() - begun_s < 5
