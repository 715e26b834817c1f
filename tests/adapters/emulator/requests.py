"""Asking the emulator over HTTP, by the bindings and without the project's own client; waiting for its webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2

from lifecycle_adapters.emulator import Emulator, SentWebhook
from lifecycle_adapters.emulator.calls import BINDINGS
from lifecycle_adapters.http.binding import Call, HttpBinding

KEY = "any key"
HEADERS = {name: value for binding in BINDINGS for name, value in binding.headers(KEY).items()}
BY_NAME = {binding.name: binding for binding in BINDINGS}

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


def ask(
    http: httpx2.Client, binding: HttpBinding[Any, Any], call: Call, task_id: str = "", **fields: Any
) -> httpx2.Response:
    request = call.request(binding.base_path, task_id=task_id, fields=fields or None)
    return http.request(request.method, request.path, params=dict(request.query), json=request.body)


def create(http: httpx2.Client, binding: HttpBinding[Any, Any], **fields: Any) -> str:
    answer = ask(http, binding, binding.create, **(fields or CREATED_WITH[binding.name]))
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def state(http: httpx2.Client, binding: HttpBinding[Any, Any], task_id: str) -> str:
    answer = ask(http, binding, binding.status, task_id)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[binding.status.status_field] if binding.status.status_field else answer.json())


def command(http: httpx2.Client, binding: HttpBinding[Any, Any], name: str, task_id: str) -> httpx2.Response:
    call = binding.commands[name]
    return ask(http, binding, call, task_id, **dict.fromkeys(call.required_fields, "Buy bread"))


def bring_to(emulator: Emulator, http: httpx2.Client, binding: HttpBinding[Any, Any], events: tuple[str, ...]) -> str:
    """Create a task and let it take these events, commands by the API and remote events by hand."""
    task_id = create(http, binding)
    for event in events:
        if event in binding.commands:
            assert command(http, binding, event, task_id).is_success
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
