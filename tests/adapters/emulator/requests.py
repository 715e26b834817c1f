"""Helpers that send the bindings' requests to the emulator without the project's client, and await its webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2

from lifecycle_adapters.emulator import Emulator, SentWebhook
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.services.registry import BUILT_IN

KEY = "any-key"
HEADERS = {name: value for binding in BUILT_IN for name, value in binding.request_headers(KEY).items()}
BY_NAME = {binding.name: binding for binding in BUILT_IN}

# The create fields that lead to the longest script.
CREATED_WITH: dict[str, dict[str, Any]] = {
    "v1": {"task": "Buy milk"},
    "v2": {"task": "Buy milk"},
    "v2-session": {},
    "v3": {"task": "Buy milk", "keepAlive": True},
    "v4": {"task": "Buy milk"},
    "v4-message": {"text": "Buy bread"},
}


# The sessions of the messages that were created, by the messages' ids.
_SESSIONS: dict[str, str] = {}


def connect(emulator: Emulator, **settings: Any) -> httpx2.Client:
    return httpx2.Client(base_url=emulator.base_url, headers=HEADERS, trust_env=False, **settings)


def send_call(
    http: httpx2.Client, binding: HttpBinding[Any, Any], call: Call, task_id: str = "", **fields: Any
) -> httpx2.Response:
    if binding.parameters:
        session_id = _SESSIONS.get(task_id) or new_session(http)
        call = replace(call, path=call.path.replace("{session_id}", session_id))
    request = call.request(binding.base_path, task_id=task_id, fields=fields or None)
    return http.request(request.method, request.path, params=dict(request.query), json=request.body)


def new_session(http: httpx2.Client) -> str:
    """Create a run of v4, and return the id of its session."""
    response = send_call(http, BY_NAME["v4"], BY_NAME["v4"].create, task="Buy milk")
    assert response.is_success, response.text
    return str(response.json()["sessionId"])


def create(http: httpx2.Client, binding: HttpBinding[Any, Any], **fields: Any) -> str:
    response = send_call(http, binding, binding.create, **(fields or CREATED_WITH[binding.name]))
    assert response.is_success, response.text
    task_id = str(response.json()["id"])
    if binding.parameters:
        _SESSIONS[task_id] = response.json()["sessionId"]
    return task_id


def state(http: httpx2.Client, binding: HttpBinding[Any, Any], task_id: str) -> str:
    response = send_call(http, binding, binding.status, task_id)
    assert response.status_code == 200, response.text
    return str(response.json()[binding.status.status_field] if binding.status.status_field else response.json())


def command(http: httpx2.Client, binding: HttpBinding[Any, Any], name: str, task_id: str) -> httpx2.Response:
    call = binding.commands[name]
    return send_call(http, binding, call, task_id, **dict.fromkeys(call.required_fields, "Buy bread"))


def bring_to(emulator: Emulator, http: httpx2.Client, binding: HttpBinding[Any, Any], events: tuple[str, ...]) -> str:
    """Create a task and apply these events: commands through the API, remote events with `fire`."""
    task_id = create(http, binding)
    for event in events:
        if event in binding.commands:
            assert command(http, binding, event, task_id).is_success
        else:
            emulator.fire(task_id, event)
    return task_id


def until(is_so: Callable[[], bool]) -> None:
    """Wait until the condition is true, for at most 10 s."""
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("the condition did not become true within 10 s")


def settled(emulator: Emulator) -> list[SentWebhook]:
    """Wait until no message is being sent, and return all messages."""
    until(lambda: all(message.is_over for message in emulator.webhooks()))
    return emulator.webhooks()
