"""Words that are newer than this library: no client refuses a model, a country, a field or a status for being new."""

from __future__ import annotations

from typing import Any

import pytest

from lifecycle_adapters.http import HttpBinding
from lifecycle_adapters.services import service
from tests.adapters.http.conftest import Serve
from tests.adapters.http.scripted import Reply

TASK = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
NEWER = {"proxyCountryCode": "xx", "newField": {"is": ["newer"]}}

# By service: the fields of a create, and the last status.
CREATES: list[tuple[HttpBinding[Any, Any], dict[str, Any], str]] = [
    (service("v1"), {"llm_model": "newer-9", **NEWER}, "finished"),
    (service("v2-2025"), {"llm": "newer-9", **NEWER}, "finished"),
    (service("v2"), {"llm": "newer-9", **NEWER}, "finished"),
    (service("v2-session"), NEWER, "stopped"),
    (service("v3"), {"model": "newer-9", **NEWER}, "stopped"),
    (service("v4"), {"model": "newer-9", "browserSettings": NEWER, "newField": 1}, "completed"),
    (service("v4-message").with_parameters({"session_id": TASK}), {"mode": "newer", **NEWER}, "consumed"),
]


@pytest.mark.parametrize(("binding", "fields", "last"), CREATES, ids=[binding.name for binding, *_ in CREATES])
def test_newer_fields_and_statuses_are_sent_and_read(
    connect: Any, serve: Serve, binding: HttpBinding[Any, Any], fields: dict[str, Any], last: str
) -> None:
    statuses = iter(["a newer status", "a newer status"])

    def respond(seen: Any) -> Reply:
        if seen.method == "POST":
            return Reply(body={"id": TASK, "sessionId": TASK, "status": "a newer status", **fields})
        status = next(statuses, last)
        is_bare = binding.status.status_field == "" and seen.path.endswith("/status")  # v1's
        return Reply(body=status if is_bare else {"id": TASK, "status": status, **fields})

    server = serve(respond)
    client = connect(binding, server.base_url)
    named = {} if binding.task_field is None else {binding.task_field: "buy milk"}
    task = client.create(**named, **fields)

    assert server.seen[0].json == {**named, **fields}
    assert task.details().items() >= fields.items()
    result = task.wait(timeout_s=30, on_unknown="continue")
    assert (result.state, next(statuses, None)) == (last, None)
    assert result.details.items() >= fields.items()
