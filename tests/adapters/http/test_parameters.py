"""Paths with parameters that a client gives once: owner and repository of a workflow's run, as at GitHub."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lifecycle import DefinitionError, Event, Lifecycle, MemoryJournal, Origin, State, Transition
from lifecycle_adapters.http import GITHUB, Call, Client, HttpBinding, ListCall, Proof, WebhookBinding
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.webhooks import Webhooks, sign
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

RUN: Lifecycle[str, str] = Lifecycle(
    name="workflow-run",
    citation="none: a run of this test",
    states=[State("running", initial=True), State("cancelled", final=True)],
    events=[Event("cancel", Origin.CALLER)],
    transitions=[Transition("running", "cancel", "cancelled")],
)
READ = Call(method="GET", path="/actions/runs/{id}", status_field="status")
RUNS: HttpBinding[str, str] = HttpBinding(
    name="runs",
    lifecycle=RUN,
    base_url="https://runs.example",
    base_path="/repos/{owner}/{repo}",
    authentication=None,
    create=Call(method="POST", path="/actions/workflows/{workflow}/dispatches", body={}),
    status=READ,
    details=READ,
    listing=ListCall(call=Call(method="GET", path="/actions/runs"), items_field="runs", pages="one"),
    commands={"cancel": Call(method="POST", path="/actions/runs/{id}/cancel")},
    parameters=("owner", "repo", "workflow"),
)
WEB = {"owner": "acme", "repo": "web", "workflow": "build.yml"}
DOCS = {**WEB, "repo": "docs"}


class Service:
    """Each repository has a run 7 of its own."""

    def __init__(self) -> None:
        self.cancelled: set[str] = set()

    def __call__(self, seen: Seen) -> Reply:
        run = seen.path.removesuffix("/cancel")
        if seen.path.endswith("/dispatches"):
            return Reply(body={"id": 7})
        if seen.path.endswith("/cancel"):
            self.cancelled.add(run)
        status = "cancelled" if run in self.cancelled else "running"
        return Reply(body={"runs": [{"id": 7, "status": status}], "status": status})


def test_parameters_are_filled_into_every_path(connect: Connect, serve: Serve) -> None:
    server = serve(Service())
    client = connect(RUNS, server.base_url, api_key=None, parameters=WEB)
    run = client.create()
    run.send("cancel")
    run.details()
    assert [each.id for each in client.list()] == ["7"]
    base = "/repos/acme/web/actions"
    assert set(server.calls) == {
        f"POST {base}/workflows/build.yml/dispatches",
        f"GET {base}/runs/7",
        f"POST {base}/runs/7/cancel",
        f"GET {base}/runs",
    }


def test_a_parameter_is_one_segment_of_a_path(connect: Connect, serve: Serve) -> None:
    server = serve(Service())
    odd = {"owner": "a/../b?c#d", "repo": "{id}", "workflow": "é %2F"}
    connect(RUNS, server.base_url, api_key=None, parameters=odd).task("7").status()
    assert server.seen[0].path == "/repos/a%2F..%2Fb%3Fc%23d/%7Bid%7D/actions/runs/7"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            None,
            "'owner' is missing; 'repo' is missing; 'workflow' is missing; its parameters are 'owner', 'repo', 'workf",
        ),
        ({**WEB, "rpo": "x", "repo": ""}, "'rpo' is unknown; no path can carry '' as 'repo'; its parameters are"),
        ({**WEB, "owner": "..", "repo": "."}, "no path can carry '..' as 'owner'; no path can carry '.' as 'repo'"),
        ({**WEB, "owner": "\ud800"}, r"no path can carry '\ud800' as 'owner'"),
    ],
)
def test_wrong_parameters_are_all_named(connect: Connect, given: Any, said: str) -> None:
    with pytest.raises(ValueError, match="runs: ") as info:
        connect(RUNS, "http://127.0.0.1:1", api_key=None, parameters=given)
    assert said in str(info.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [(["owner"], "parameters must be a mapping, such as"), ({**WEB, "owner": 5}, "the parameter 'owner' must be text")],
)
def test_parameters_other_than_texts_are_refused(connect: Connect, given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        connect(RUNS, "http://127.0.0.1:1", api_key=None, parameters=given)


def test_a_service_without_parameters_takes_none(connect: Connect) -> None:
    with pytest.raises(ValueError, match="v1: 'owner' is unknown; the service has no parameters"):
        connect("v1", "http://127.0.0.1:1", parameters={"owner": "acme"})


def test_no_request_has_an_unfilled_path() -> None:
    with pytest.raises(ValueError, match="needs owner, repo: fill the binding `with_parameters`"):
        RUNS.command_request("cancel", "7")
    assert RUNS.with_parameters(WEB).command_request("cancel", "7").path == "/repos/acme/web/actions/runs/7/cancel"


def test_parameters_are_filled_into_sessions_and_proofs(connect: Connect, serve: Serve) -> None:
    inner = replace(RUNS, name="inner", lifecycle=RUN.replace(name="inner"), parameters=("owner", "repo", "workflow"))
    outer = replace(
        RUNS,
        base_path="/all",
        create=replace(RUNS.create, path="/create"),
        parameters=(),
        session=inner,
        proofs={"cancel": Proof(binding=inner, id_field="run", event="cancel")},
    )
    filled = outer.with_parameters(WEB)
    assert filled.lifecycle == RUN
    assert filled.session is not None
    assert filled.session.base_path == filled.proofs["cancel"].binding.base_path == "/repos/acme/web"
    server = serve(Service())
    session = connect(outer, server.base_url, api_key=None, parameters=WEB).session("7")
    assert session.status() == "running"
    assert session.lifecycle.name == "inner[acme/web/build.yml]"


# --- the journal ----------------------------------------------------------------------------------------


def test_a_journal_keeps_the_tasks_of_two_repositories_apart(connect: Connect, serve: Serve, tmp_path: Path) -> None:
    server = serve(Service())
    with SqlJournal(tmp_path / "journal.db", worker="w") as journal:
        settings: dict[str, Any] = {"api_key": None, "journal": journal}
        web = connect(RUNS, server.base_url, parameters=WEB, **settings)
        docs = connect(RUNS, server.base_url, parameters=DOCS, **settings)
        runs = [each.create(idempotency_key="order 5") for each in (web, docs)]
        assert [run.id for run in runs] == ["7", "7"]
        runs[0].send("cancel", idempotency_key="case 17")
        assert [run.status() for run in runs] == ["cancelled", "running"]
        assert runs[1].send("cancel", idempotency_key="case 17").sent
        names = {f"workflow-run[acme/{repo}/build.yml]" for repo in ("web", "docs")}
        assert {each.lifecycle for each in journal.tasks().tasks} == names
        assert not list(journal.check())
        [kept] = {each.text for each in journal.declarations()}  # of all repositories
        assert Lifecycle.from_json(kept) == Lifecycle.from_json(RUN.to_json())
        assert journal.prune(datetime.now(UTC) + timedelta(days=1)) == 2


def test_another_lifecycle_is_of_the_same_scope(serve: Serve) -> None:
    server = serve(Service())
    fewer = RUN.replace(name="fewer")
    with Client(RUNS, base_url=server.base_url, parameters=WEB, lifecycle=fewer) as client:
        assert client.lifecycle.name == "fewer[acme/web/build.yml]"
        assert client.task("7").lifecycle.name == "fewer[acme/web/build.yml]"


FEWER = RUN.replace(name="fewer")
LONG = RUN.replace(name="n" * 50)
ODD = RUN.replace(name="runs[v2]")
OF_ODD = replace(RUNS, lifecycle=ODD)
SCOPE = "acme/web/build.yml"
FAR = {**WEB, "workflow": "a" * 60}
FAR_DIGEST = sha256(f"acme/web/{FAR['workflow']}".encode()).hexdigest()[:32]


@pytest.mark.parametrize("fills", [False, True])
@pytest.mark.parametrize(
    ("binding", "parameters", "given", "name"),
    [
        (RUNS, WEB, None, f"workflow-run[{SCOPE}]"),
        (RUNS, WEB, RUN, f"workflow-run[{SCOPE}]"),
        (RUNS, WEB, RUN.replace(name=f"workflow-run[{SCOPE}]"), f"workflow-run[{SCOPE}]"),
        (RUNS, WEB, FEWER, f"fewer[{SCOPE}]"),
        (RUNS, WEB, FEWER.replace(name=f"fewer[{SCOPE}]"), f"fewer[{SCOPE}]"),
        (RUNS, WEB, RUN.replace(name="workflow-run[acme/docs/build.yml]"), None),
        (RUNS, WEB, ODD, None),
        (OF_ODD, WEB, None, f"runs[v2][{SCOPE}]"),
        (OF_ODD, WEB, ODD, f"runs[v2][{SCOPE}]"),
        (RUNS, FAR, LONG, f"{LONG.name}[sha256:{FAR_DIGEST}]"),
        (RUNS, FAR, LONG.replace(name=f"{LONG.name}[sha256:{FAR_DIGEST}]"), f"{LONG.name}[sha256:{FAR_DIGEST}]"),
        (replace(RUNS, lifecycle=LONG), FAR, FEWER, f"fewer[acme/web/{FAR['workflow']}]"),
    ],
)
def test_scope_is_named_once(
    binding: HttpBinding[str, str],
    parameters: dict[str, str],
    given: Lifecycle[str, str] | None,
    name: str | None,
    fills: bool,
) -> None:
    """Whether the binding is filled in before, and whether the lifecycle has the scope already."""
    settings: dict[str, Any] = {"parameters": parameters}
    if fills:
        binding, settings = binding.with_parameters(parameters), {}
    if name is None:
        with pytest.raises(ValueError, match="is of another scope than"):
            Client(binding, lifecycle=given, **settings)
        return
    with Client(binding, lifecycle=given, **settings) as client:
        assert client.lifecycle.name == name
        assert client.task("7").lifecycle == client.lifecycle


def test_webhooks_are_recorded_in_the_scope_of_the_binding() -> None:
    signed = WebhookBinding(signature=GITHUB, task_field="run.id", status_field="run.status", channel="api")
    filled = replace(RUNS, webhooks=signed).with_parameters(WEB)
    body = b'{"run": {"id": "7", "status": "running"}}'
    headers = sign(body, GITHUB, secret="s3cret", sent_at=datetime.now(UTC))
    for given in (None, RUN, filled.lifecycle):
        journal = MemoryJournal()
        Webhooks(filled, secret="s3cret", journal=journal, lifecycle=given).receive(body, headers)
        assert journal.task(filled.lifecycle, "7").load().state == "running"


# --- what is refused ------------------------------------------------------------------------------------


def test_duplicate_parameter_is_one_finding() -> None:
    with pytest.raises(DefinitionError) as info:
        replace(RUNS, parameters=("owner", "owner", "owner", "repo", "workflow"))
    assert str(info.value).count("'owner' twice") == 1


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        (
            {"parameters": ("owner", "repo")},
            "create.path: unknown placeholder '{workflow}': it is not a parameter ('owner', ",
        ),
        ({"base_path": "/{org}/{owner}/{repo}"}, "base_path: unknown placeholder '{org}': it is not a parameter"),
        ({"base_path": "/{id}/{owner}/{repo}"}, "base_path: unknown placeholder '{id}': it is not a parameter"),
        ({"base_path": "/{owner}/{repo"}, "without '?', '#', space and single braces, not '/{owner}/{repo'"),
        ({"parameters": ("owner", "repo", "workflow", "job")}, "parameters: 'job' is in no path: put '{job}' where"),
        ({"parameters": ("owner", "owner", "repo", "workflow")}, "parameters: has 'owner' twice"),
        (
            {"parameters": ("owner", "repo", "workflow", "id")},
            "parameters: 'id' cannot be a parameter's name: give one",
        ),
        ({"parameters": ("owner", "repo", "workflow", "a b")}, "parameters: 'a b' cannot be a parameter's name"),
        (
            {"parameters": "owner"},
            "parameters: must be several names, in a tuple such as ('owner', 'repo'), not 'owner'",
        ),
    ],
)
def test_invalid_parameters_are_findings(changes: dict[str, Any], finding: str) -> None:
    with pytest.raises(DefinitionError) as info:
        replace(RUNS, **changes)
    assert finding in str(info.value)
