"""Responses of other shapes than the binding declares: an error of ours, and nothing is sent elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lifecycle import CommandUncertain, CreateUncertain
from lifecycle_adapters.http import Call, InvalidResponse, RequestRejected
from lifecycle_adapters.services.v4 import V4
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, in_turn

GOOD = {"id": "t", "runId": "t", "status": "running"}
NO_STATUS = [{**GOOD, "status": each} for each in (7, True, None, ["running"], {"running": 1})]
NO_OBJECT: list[Any] = [[], [GOOD], "running", 7, None, True]


@pytest.mark.parametrize("body", [*NO_STATUS, *NO_OBJECT], ids=repr)
def test_read_with_a_non_text_status_is_invalid(connect: Connect, serve: Serve, body: Any) -> None:
    task = connect(V4, serve(in_turn(Reply(body=body))).base_url).task("t")
    for read in (task.status, task.details):
        with pytest.raises(InvalidResponse, match="the response has no status at"):
            read()


@pytest.mark.parametrize("body", [*NO_STATUS, *NO_OBJECT], ids=repr)
def test_command_or_create_with_a_non_text_status_is_lost(connect: Connect, serve: Serve, body: Any) -> None:
    server = serve(lambda seen: Reply(body=GOOD if seen.method == "GET" else body))
    client = connect(V4, server.base_url)
    with pytest.raises(CommandUncertain):
        client.task("t").send("cancel")
    with pytest.raises(CreateUncertain) as lost:
        client.create("milk", agent="a", model="m")
    assert ("; it names a task, 't'" in str(lost.value)) is (body in NO_STATUS)


def test_an_error_in_a_200_is_a_refusal(connect: Connect, serve: Serve) -> None:
    body = {**GOOD, "error": {"code": -32602, "message": "no such run"}}
    task = connect(replace(V4, error_field="error"), serve(in_turn(Reply(body=body))).base_url).task("t")
    with pytest.raises(RequestRejected, match="GET /api/v4/runs/t/status: error -32602: no such run"):
        task.status()


def test_location_on_another_host_only_gives_the_id(connect: Connect, serve: Serve) -> None:
    """The new task is asked for where all tasks are: the other host gets neither a request nor the key."""
    elsewhere = serve(in_turn(Reply(body=GOOD)))
    made = Reply(status=202, body=b"", headers={"Location": f"{elsewhere.base_url}/api/v4/runs/t9"})
    server = serve(lambda seen: Reply(body={**GOOD, "id": "t9", "runId": "t9"}) if seen.method == "GET" else made)
    create = Call(method="POST", path="/runs", body={}, id_header="Location")
    task = connect(replace(V4, create=create), server.base_url).create("milk")
    assert (task.id, task.status()) == ("t9", "running")
    assert not elsewhere.seen
