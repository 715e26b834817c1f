"""The identification of requests is the inverse of the bindings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_adapters.emulator.calls import Calls, Identity
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.services.registry import BUILT_IN
from tests.support.listing import listing_of

identify = Calls(BUILT_IN).identify
CALLS = [
    (binding, name, call)
    for binding in BUILT_IN
    for name, call in {
        "create": binding.create,
        "status": binding.status,
        "details": binding.details,
        "list": listing_of(binding).call,
        **binding.commands,
    }.items()
]
IDS = [f"{binding.name} {name}" for binding, name, _ in CALLS]
SESSION = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
TASK_IDS = st.text("abcdef0123456789-_.~:@!$'()*+,;=", min_size=1, max_size=40)


def asked(binding: HttpBinding[Any, Any], call: Call, task_id: str) -> Identity | None:
    call = replace(call, path=call.path.replace("{session_id}", SESSION))
    request = call.request(binding.base_path, task_id=task_id, fields=dict.fromkeys(call.required_fields, "x") or None)
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return identify(request.method, request.path, query, request.body)


@pytest.mark.parametrize(("binding", "name", "call"), CALLS, ids=IDS)
@given(digits=st.integers(0, 2**64 - 1))
def test_every_request_of_a_binding_is_identified(
    binding: HttpBinding[Any, Any], name: str, call: Call, digits: int
) -> None:
    task_id = f"{digits:016x}"
    identity = asked(binding, call, task_id)
    assert identity is not None
    has_id = any("{id}" in str(each) for each in (call.path, *call.query.values(), *(call.body or {}).values()))
    assert identity.task_id == (task_id if has_id else None)
    assert identity.parameters == dict.fromkeys(binding.parameters, SESSION)
    assert identity.command == (name if name in binding.commands else None)
    one_call_reads_both = binding.status == binding.details and name == "details"
    assert (identity.api, identity.call) == (binding.name, "status" if one_call_reads_both else name)


@pytest.mark.parametrize(
    ("method", "path", "body", "identity"),
    [
        ("GET", "/docs", None, None),
        ("GET", "/_emulator/tasks", None, None),
        ("GET", "/api/v2", None, None),
        ("GET", "/api/v5/tasks", None, None),
        ("GET", "/api/v2/nothing", None, Identity("v2")),
        ("DELETE", "/api/v2/tasks/1", None, Identity("v2")),
        ("PATCH", "/api/v2/tasks/1", {"action": "jump"}, Identity("v2")),
        ("PATCH", "/api/v2/tasks/1", "no object", Identity("v2")),
        ("PATCH", "/api/v2/tasks/1", None, Identity("v2")),
        ("PUT", "/api/v1/stop-task", None, Identity("v1")),
        ("POST", "/api/v3/sessions", {"sessionId": None, "task": "x"}, Identity("v3", "create")),
        ("POST", "/api/v3/sessions", {"sessionId": 7}, Identity("v3", "create")),
        ("POST", "/api/v3/sessions", {"sessionId": "1"}, Identity("v3", "dispatch", "dispatch", "1")),
        ("POST", "/api/v3/sessions/1/stop", None, Identity("v3", "stop", "stop", "1")),
        ("POST", "/api/v3/sessions/1/stop", {"strategy": "session"}, Identity("v3", "stop", "stop", "1")),
        ("POST", "/api/v3/sessions/1/stop", {"strategy": "task"}, Identity("v3", "stop_task", "stop_task", "1")),
    ],
)
def test_other_requests_are_identified_as_far_as_possible(
    method: str, path: str, body: Any, identity: Identity | None
) -> None:
    assert identify(method, path, "", body) == identity


@given(task_id=TASK_IDS)
def test_an_id_of_any_form_is_read_from_the_query(task_id: str) -> None:
    query = "&".join(["other=1", f"task_id={task_id.replace('+', '%2B').replace(';', '%3B')}"])
    assert identify("PUT", "/api/v1/stop-task", query) == Identity("v1", "stop", "stop", task_id)


def test_an_empty_id_is_an_id_that_no_task_has() -> None:
    assert identify("PUT", "/api/v1/stop-task", "task_id=") == Identity("v1", "stop", "stop", "")
