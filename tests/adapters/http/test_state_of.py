"""Services whose status is in no field: a function of the binding derives it from the document."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from lifecycle import DefinitionError, Event, Lifecycle, Origin, State, Transition
from lifecycle_adapters.http import Authentication, Call, HttpBinding, InvalidResponse, KeyVariable, ListCall
from tests.adapters.http.both import KEY
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

JOB: Lifecycle[str, str] = Lifecycle(
    name="job",
    citation="none: a job of this test",
    states=[
        State("queued", initial=True),
        State("running"),
        State("success", final=True),
        State("failure", final=True),
    ],
    events=[Event("cancel", Origin.CALLER), *(Event(name, Origin.REMOTE) for name in ("start", "succeed", "fail"))],
    transitions=[
        Transition("queued", "start", "running"),
        Transition("running", "succeed", "success"),
        Transition("running", "fail", "failure"),
        Transition("running", "cancel", "failure"),
    ],
)


def bound(state_of: Any, status_field: str) -> HttpBinding[str, str]:
    read = Call(method="GET", path="/jobs/{id}", status_field=status_field)
    return HttpBinding(
        name="jobs",
        lifecycle=JOB,
        base_url="https://jobs.example",
        base_path="",
        authentication=Authentication("X-Key"),
        create=Call(method="POST", path="/jobs", body={}, status_field=status_field),
        status=read,
        details=read,
        listing=ListCall(call=Call(method="GET", path="/jobs"), items_field="jobs", pages="one"),
        commands={"cancel": Call(method="POST", path="/jobs/{id}/cancel")},
        state_of=state_of,
        headers={"Accept-Version": "2026-01", "X-Team": "a b"},
    )


VARIABLE = KeyVariable("JOBS_KEY", "https://jobs.example")
STATUS = Call(method="GET", path="/jobs/{id}", status_field="status")


def of_github(run: Any) -> str:
    """A run of GitHub Actions has a conclusion once its status is `completed`."""
    words = {"in_progress": "running", "completed": run["conclusion"]}
    return str(words.get(run["status"], run["status"]))


def of_google(operation: Any) -> str:
    """A long-running operation of Google has `error` or `response` once it is done."""
    return "failure" if "error" in operation else "success" if operation.get("done") else "running"


async def of_later(_: Any) -> str:
    return "running"


def of_kubernetes(status: Any) -> str:
    """A Job of Kubernetes has a condition of which the type says how it ended."""
    ended = [each["type"] for each in status.get("conditions", ()) if each["status"] == "True"]
    if ended:
        return {"Complete": "success", "Failed": "failure"}[ended[0]]
    return "running" if status.get("active") else "queued"


# fmt: off
SHAPES: list[tuple[Any, str, dict[str, Any], dict[str, Any]]] = [
    (of_github, "", {"status": "in_progress", "conclusion": None}, {"status": "completed", "conclusion": "success"}),
    (of_google, "", {"metadata": {}}, {"done": True, "response": {}}),
    (of_kubernetes, "status", {"status": {"active": 1}},
     {"status": {"conditions": [{"type": "Suspended", "status": "False"}, {"type": "Complete", "status": "True"}]}}),
]
# fmt: on


@pytest.mark.parametrize("shape", SHAPES)
def test_status_is_made_of_the_document_wherever_it_is_read(connect: Connect, serve: Serve, shape: Any) -> None:
    state_of, status_field, running, ended = shape
    views = [running, running, running, ended, ended]

    def script(seen: Seen) -> Reply:
        assert (seen.headers["accept-version"], seen.headers["x-team"], seen.headers["x-key"]) == (
            "2026-01",
            "a b",
            KEY,
        )
        if seen.path == "/jobs" and seen.method == "GET":
            return Reply(body={"jobs": [{"id": "7", **ended}, {"id": "8", "status": 5}]})
        return Reply(body={"id": "7", **views.pop(0)})

    client = connect(bound(state_of, status_field), serve(script).base_url)
    job = client.create("x")
    assert job.known_state() == "running"
    assert job.status() == "running"
    assert job.wait(timeout_s=60).state == "success"
    first, second = client.list()
    assert (first.id, first.state, second.id) == ("7", "success", "8")


def of_nothing(document: Any) -> str:
    return str(document["nothing"])


@pytest.mark.parametrize(
    ("state_of", "said"),
    [
        (of_nothing, "`state_of` finds no status in the response: KeyError: 'nothing'"),
        (len, "`state_of` returns no text but 1"),
        (dict[str, Any]().update, "`state_of` returns no text but None"),
        (abs, "`state_of` finds no status in the response: TypeError: "),
    ],
)
def test_function_that_finds_no_status_makes_an_invalid_response(
    connect: Connect, serve: Serve, state_of: Any, said: str
) -> None:
    client = connect(bound(state_of, ""), serve(lambda _: Reply(body={"id": "7"})).base_url)
    with pytest.raises(InvalidResponse, match=said):
        client.task("7").status()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1/0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('x')", "ValueError: x"),
        ("def f(:", "SyntaxError: "),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_module_that_fails_on_import_is_a_finding(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    name = f"broken_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(DefinitionError, match=f"state_of: cannot be imported from '{name}:f': {said}"):
        bound(f"{name}:f", "")


def test_function_is_named_in_a_file_by_its_module() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(HttpBinding[Any, Any])
    binding = bound(of_google, "")
    create = replace(binding.create, status_field=None)
    plain = replace(binding, state_of=None, create=create, details=STATUS, status=STATUS)
    document = json.loads(adapter.dump_json(plain))
    document["state_of"] = f"{__name__}:of_google"
    assert HttpBinding.from_json(json.dumps(document)).state_of is of_google
    with pytest.raises(DefinitionError, match="should be a function, such as 'module:function', not 3"):
        HttpBinding.from_json(json.dumps({**document, "state_of": 3}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"state_of": "nowhere:f"},
            "No module named 'nowhere'; if it is a file of yours, add its folder to PYTHONPATH",
        ),
        ({"state_of": "json:f"}, "state_of: cannot be imported from 'json:f': AttributeError: module 'json' has no"),
        ({"state_of": ".x:f"}, r"state_of: cannot be imported from '\.x:f': TypeError: "),
        ({"state_of": "json"}, "state_of: must be like 'module:function', not 'json'"),
        ({"state_of": "json:decoder"}, "state_of: must name a function, and 'json:decoder' is a module"),
        ({"state_of": 3}, "state_of: must be a function, or its place"),
        ({"state_of": of_later}, "state_of: must be a function that returns the status, not a coroutine function"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers.X-A: 'X-A' occurs in another letter case, too"),
        (
            {"authentication": None, "key_variable": KeyVariable("K", "https://jobs.example")},
            "key_variable: must be left",
        ),
        ({"state_of": None}, "details.status_field: must say where the response has the status"),
        ({"headers": {"X Y": "1"}}, "'X Y' cannot be the name of a header"),
        ({"headers": {"Host": "1"}}, "'Host' cannot be the name of a header, or is one of HTTP's own"),
        ({"headers": {"x-key": "1"}}, "headers.x-key: 'x-key' carries the key"),
        ({"headers": {"X-A": "1\n2"}}, r"headers.X-A: no header can carry '1\\n2'"),
        ({"headers": {"X-A": " 1"}}, "no header can carry ' 1'"),
        ({"headers": {"X-A": "é"}}, "no header can carry 'é'"),
        ({"headers": {"X-A": 1}}, "headers.X-A: should be a valid string"),
    ],
)
def test_invalid_state_of_is_a_finding(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        replace(bound(of_google, ""), **changes)
