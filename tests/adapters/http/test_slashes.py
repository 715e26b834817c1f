"""Ids with slashes in a path: `{+id}` keeps them, and an id that would name another call is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import CreateUncertain, DefinitionError
from lifecycle_adapters.emulator import Emulator, Profile
from lifecycle_adapters.http import Call, Client, HttpBinding, HttpError
from tests.adapters.http.both import QUICK
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen

SERVICE = """
name: scans
base_url: http://scans.invalid
base_path: /v1
authentication: null
create: {method: POST, path: "/scans:start", body: {}}
status: {method: GET, path: "/{+id}", status_field: state}
details: {method: GET, path: "/{+id}", status_field: state}
listing: {call: {method: GET, path: /operations}, items_field: operations, pages: one}
id_field: name
task_field: null
commands:
  cancel: {method: POST, path: "/{+id}:cancel"}
  note: {method: POST, path: "/notes", body: {of: "{id}"}}
lifecycle:
  name: scan
  citation: the scanner's manual
  states: [{name: running, initial: true}, {name: done, final: true}, {name: cancelled, final: true}]
  events:
    - {name: cancel, origin: caller}
    - {name: note, origin: caller, idempotent: false, proved_by_state: false}
    - {name: finish, origin: remote}
  transitions:
    - {source: running, event: cancel, target: cancelled}
    - {source: running, event: note, target: running}
    - {source: running, event: finish, target: done}
"""
BINDING = HttpBinding.from_yaml(SERVICE)


def texts_of(error: DefinitionError) -> str:
    return "\n".join(f"{'.'.join(map(str, each.path))}: {each.message}" for each in error.findings)


SEGMENT = st.text(min_size=1, max_size=20).filter(lambda text: text not in (".", "..") and "/" not in text)


@given(segments=st.lists(SEGMENT.filter(lambda text: text.isprintable()), min_size=1, max_size=5))
def test_slashes_are_kept_and_everything_else_is_quoted(segments: list[str]) -> None:
    request = BINDING.command_request("cancel", "/".join(segments))
    assert request.path == f"/v1/{'/'.join(quote(each, safe='') for each in segments)}:cancel"
    assert request.task_id == "/".join(segments)
    assert BINDING.command_request("note", "/".join(segments)).body == {"of": "/".join(segments)}


@pytest.mark.parametrize(
    "task_id", ["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "./a", "a/../b", "a/..", "\ud800/a"]
)
def test_an_id_that_would_name_another_path_is_refused(task_id: str) -> None:
    with pytest.raises(ValueError, match=r"is not a task id, which must have no empty, '\.' or '\.\.' segment"):
        BINDING.status.request("/v1", task_id=task_id)
    with Client(BINDING) as client, pytest.raises(ValueError, match="is not a task id"):
        client.task(task_id)
    assert BINDING.id_in({"name": task_id}) is None


@pytest.mark.parametrize("task_id", ["a", "%2e%2e/a", "a/...", "a\\..\\b", "a/b/c/d"])
def test_an_id_that_names_its_own_path_is_sent(task_id: str) -> None:
    assert BINDING.status.request("/v1", task_id=task_id).path == f"/v1/{quote(task_id)}"
    assert BINDING.id_in({"name": task_id}) == task_id


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ({"path": "/{+id}/{id}"}, "path: has '{id}' and '{+id}': use one of them"),
        ({"path": "/{+job}"}, "path: unknown placeholder '{+job}': use '{id}' or '{+id}'"),
        ({"path": "/jobs", "query": {"job": "{+id}"}}, "query.job: unknown placeholder '{+id}': use '{id}'"),
        ({"path": "/jobs", "headers": {"Job": "{+id}"}}, "headers.Job: unknown placeholder '{+id}': use '{id}' or"),
        ({"path": "/jobs", "body": {"job": ["{+id}"]}}, "body.job.0: unknown placeholder '{+id}': use '{id}' or"),
        ({"path": "/{+ id}"}, "path: has a single brace"),
    ],
)
def test_invalid_placeholder_is_a_finding(call: dict[str, Any], found: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        Call(method="POST", **call)
    assert found in texts_of(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"/{+id}:cancel"', '"/{id}:cancel"', "commands.cancel.path: '{id}' quotes the slashes of an id, which other"),
        ('"/scans:start"', '"/{+id}"', "create: POST /{+id} names a task, and there is none"),
        (
            'path: "/scans:start"',
            'path: "/scans:start", id_header: Location',
            "create.id_header: must be left out: it cannot be known where in a URL an id with slashes begins",
        ),
        ("base_path: /v1", 'base_path: "/{+id}"', "base_path: unknown placeholder '{+id}'"),
    ],
)
def test_invalid_binding_is_a_finding(old: str, new: str, found: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        HttpBinding.from_yaml(SERVICE.replace(old, new))
    assert found in texts_of(refused.value)


def test_emulator_serves_tasks_whose_ids_have_slashes() -> None:
    numbers = iter(range(100))
    profile = Profile(new_id=lambda: f"operations/b 2/ü?#{next(numbers)}")
    with (
        Emulator(BINDING, "v1", profiles={"scans": profile}, manual=True) as emulator,
        Client(BINDING, base_url=emulator.base_url, timing=QUICK) as client,
    ):
        first, second = client.create(), client.create()
        assert (first.id, second.id) == ("operations/b 2/ü?#0", "operations/b 2/ü?#1")
        assert first.send("cancel").state == "cancelled"
        assert second.send("note").state == "running"
        assert [(each.id, each.state) for each in client.list()] == [(second.id, "running"), (first.id, "cancelled")]
        assert emulator.fire(second.id, "finish").state == "done"
        shown = httpx2.get(f"{emulator.base_url}/_emulator/tasks/{quote(second.id)}").json()
        assert (shown["id"], shown["state"]) == (second.id, "done")
        assert second.wait(timeout_s=20).state == "done"
        assert [(call.call, call.task) for call in emulator.calls() if call.command] == [
            ("cancel", first.id),
            ("note", second.id),
        ]


@pytest.mark.parametrize("name", ["a//b", "../v2/secrets", "a/", "a/./b"])
def test_name_of_a_new_task_that_no_path_can_carry_leaves_the_create_uncertain(name: str) -> None:
    def script(seen: Seen) -> Reply:
        return Reply(body={"name": name, "state": "running", "operations": [{"name": name, "state": "running"}]})

    with ScriptedServer(script).running() as server, Client(BINDING, base_url=server.base_url, timing=QUICK) as client:
        with pytest.raises(CreateUncertain, match="no id at 'name' that a request can carry"):
            client.create()
        with pytest.raises(HttpError, match="item 0 of 'operations' has no id at 'name'"):
            list(client.list())
        assert server.calls == ["POST /v1/scans:start", "GET /v1/operations"]
