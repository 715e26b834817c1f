"""Asking the emulator over HTTP, by the wire tables and without the project's own client; waiting for its webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2

from lifecycle_adapters.emulator import Emulator, SentWebhook
from lifecycle_adapters.emulator.calls import WIRES
from lifecycle_adapters.http.wire import Call, Wire

KEY = "any key"
HEADERS = {name: value for wire in WIRES for name, value in wire.headers(KEY).items()}
BY_NAME = {wire.name: wire for wire in WIRES}

# What creates the task whose course is the longest: it rests in no state for want of something to do.
CREATED_WITH: dict[str, dict[str, Any]] = {
    "v1": {"task": "Buy milk"},
    "v2": {"task": "Buy milk"},
    "v2-session": {},
    "v3": {"task": "Buy milk", "keepAlive": True},
    "v4": {"task": "Buy milk"},
}


def connect(emulator: Emulator, **settings: Any) -> httpx2.Client:
    return httpx2.Client(base_url=emulator.base_url, headers=HEADERS, trust_env=False, **settings)


def ask(http: httpx2.Client, wire: Wire[Any, Any], call: Call, task_id: str = "", **fields: Any) -> httpx2.Response:
    request = call.request(wire.base_path, task_id=task_id, fields=fields or None)
    return http.request(request.method, request.path, params=dict(request.query), json=request.body)


def create(http: httpx2.Client, wire: Wire[Any, Any], **fields: Any) -> str:
    answer = ask(http, wire, wire.create, **(fields or CREATED_WITH[wire.name]))
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def state(http: httpx2.Client, wire: Wire[Any, Any], task_id: str) -> str:
    answer = ask(http, wire, wire.status, task_id)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[wire.status.status_at] if wire.status.status_at else answer.json())


def command(http: httpx2.Client, wire: Wire[Any, Any], name: str, task_id: str) -> httpx2.Response:
    call = wire.commands[name]
    return ask(http, wire, call, task_id, **dict.fromkeys(call.takes, "Buy bread"))


def bring_to(emulator: Emulator, http: httpx2.Client, wire: Wire[Any, Any], events: tuple[str, ...]) -> str:
    """Create a task and let it take these events, commands by the API and remote events by hand."""
    task_id = create(http, wire)
    for event in events:
        if event in wire.commands:
            assert command(http, wire, event, task_id).is_success
        else:
            emulator.fire(task_id, event)
    return task_id


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to be so")


def settled(emulator: Emulator) -> list[SentWebhook]:
    """All messages, once none is under way."""
    until(lambda: all(message.is_over for message in emulator.webhooks()))
    return emulator.webhooks()
