"""The emulator keeps apart tasks of different parameters: a run of one repository is not found under another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from lifecycle_adapters.emulator import Emulator, Profile
from lifecycle_adapters.emulator.calls import Calls
from lifecycle_adapters.http import Call, Client, HttpBinding, ListCall, NotFound
from tests.adapters.http.both import QUICK
from tests.adapters.http.test_parameters import DOCS, RUNS, WEB

URLS = ListCall(
    call=Call(method="GET", path="/actions/runs"), items_field="runs", pages="urls", next_field="links.next"
)


def client_of(
    emulator: Emulator, parameters: dict[str, str], binding: HttpBinding[Any, Any] = RUNS
) -> Client[Any, Any]:
    return Client(binding, base_url=emulator.base_url, parameters=parameters, timing=QUICK)


def test_run_of_one_repository_is_not_found_under_another() -> None:
    with Emulator(RUNS, manual=True) as emulator, client_of(emulator, WEB) as web, client_of(emulator, DOCS) as docs:
        run, other = web.create(), docs.create()
        with pytest.raises(NotFound):
            docs.task(run.id).status()
        with pytest.raises(NotFound):
            docs.task(run.id).send("cancel")
        assert [[each.id for each in client.list()] for client in (web, docs)] == [[run.id], [other.id]]
        assert run.send("cancel").state == "cancelled"
        assert [emulator.task(each.id).state for each in (run, other)] == ["cancelled", "running"]
        assert emulator.calls()[-1].task == run.id


def test_parameter_of_the_create_alone_does_not_separate_tasks() -> None:
    with Emulator(RUNS, manual=True) as emulator, client_of(emulator, WEB) as web:
        first = web.create()
        with client_of(emulator, {**WEB, "workflow": "deploy.yml"}) as deploying:
            second = deploying.create()
            assert deploying.task(first.id).status() == "running"
            assert [each.id for each in deploying.list()] == [second.id, first.id]


def test_url_of_the_next_page_has_the_parameters() -> None:
    binding = replace(RUNS, listing=URLS)
    odd = {**WEB, "repo": "a web?{id}"}
    with (
        Emulator(binding, manual=True, profiles={"runs": Profile(page_size=1)}) as emulator,
        client_of(emulator, odd, binding) as client,
    ):
        made = [client.create().id for _ in range(3)]
        assert [each.id for each in client.list()] == made[::-1]


def test_location_of_a_new_task_has_the_parameters() -> None:
    binding = replace(RUNS, create=replace(RUNS.create, id_header="Location"))
    with Emulator(binding, manual=True) as emulator, client_of(emulator, WEB, binding) as client:
        run = client.create()
        assert client.task(run.id).status() == "running"
        made = httpx2.post(f"{emulator.base_url}/repos/acme/web%20%26/actions/workflows/b.yml/dispatches", json={})
        assert made.headers["Location"].startswith("/repos/acme/web%20%26/actions/workflows/b.yml/dispatches/")


@pytest.mark.parametrize("repo", ["a/b", "a%2Fb", "/ü/actions"])
def test_parameter_may_have_slashes(repo: str) -> None:
    slashed, plain = {**WEB, "owner": "c", "repo": repo}, {**WEB, "owner": "c/a", "repo": "b"}
    binding = replace(RUNS, listing=URLS, create=replace(RUNS.create, id_header="Location"))
    with (
        Emulator(binding, manual=True, profiles={"runs": Profile(page_size=1)}) as emulator,
        client_of(emulator, slashed, binding) as client,
        client_of(emulator, plain, binding) as other,
    ):
        made, foreign = [client.create() for _ in range(2)], other.create()
        assert [run.status() for run in made] == ["running"] * 2
        assert [each.id for each in client.list()] == [run.id for run in reversed(made)]
        with pytest.raises(NotFound):
            client.task(foreign.id).status()
        assert made[0].send("cancel").state == "cancelled"


@pytest.mark.parametrize(
    ("path", "task_id"),
    [("/tasks/{id}", "a/b"), ("/tasks/{id}", "a%2F/"), ("/tasks/{+id}", "a/b"), ("/tasks/{+id}", "a%2F/cancel/b")],
)
def test_id_may_have_slashes(path: str, task_id: str) -> None:
    read, stop = Call(method="GET", path=path, status_field="status"), Call(method="POST", path=f"{path}/cancel")
    binding = replace(
        RUNS,
        base_path="",
        parameters=(),
        create=Call(method="POST", path="/tasks", status_field="status"),
        status=read,
        details=read,
        listing=None,
        commands={"cancel": stop},
    )
    with (
        Emulator(binding, manual=True, profiles={"runs": Profile(new_id=lambda: task_id)}) as emulator,
        client_of(emulator, {}, binding) as client,
    ):
        run = client.create()
        assert (run.id, run.status()) == (task_id, "running")
        assert run.send("cancel").state == "cancelled"
        assert emulator.task(task_id).state == "cancelled"
        assert emulator.calls()[-1].task == task_id
        quoted = quote(task_id, safe="/" if "+" in path else "")
        refused = httpx2.put(f"{emulator.base_url}/tasks/{quoted}")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


def test_encoded_slash_separates_no_segments() -> None:
    with Emulator(RUNS, manual=True) as emulator, client_of(emulator, WEB) as client:
        run = client.create()
        path = f"/repos/{WEB['owner']}/{quote(WEB['repo'])}/actions/runs/{run.id}"
        assert httpx2.get(f"{emulator.base_url}{path}").status_code == 200
        for encoded in (path.replace("/actions", "%2Factions"), path.replace("/runs/", "/runs%2f")):
            assert httpx2.get(f"{emulator.base_url}{encoded}").status_code == 404


def test_openapi_document_has_the_parameters() -> None:
    with Emulator(RUNS) as emulator:
        paths = httpx2.get(f"{emulator.base_url}/openapi.json").json()["paths"]
    read = paths["/repos/{owner}/{repo}/actions/runs/{task_id}"]["get"]
    assert [each["name"] for each in read["parameters"]] == ["owner", "repo", "task_id"]


def test_requests_are_identified_with_their_parameters() -> None:
    identity = Calls([RUNS]).identify("POST", "/repos/acme/web/actions/runs/7/cancel")
    assert identity is not None
    assert (identity.command, identity.task_id) == ("cancel", "7")
    assert identity.parameters == {"owner": "acme", "repo": "web"}


def test_parameter_that_occurs_twice_in_a_path_has_one_value() -> None:
    binding = replace(RUNS, base_path="/{owner}/of/{owner}/{repo}")
    calls = Calls([binding])
    assert getattr(calls.identify("GET", "/acme/of/acme/web/actions/runs"), "call", None) == "list"
    assert calls.identify("GET", "/acme/of/other/web/actions/runs") is None
