"""A service of JSON-RPC: one path for all calls, bodies with structure, errors inside of responses that are a 200."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lifecycle import CommandRefused, DefinitionError, Event, Lifecycle, Origin, State, Transition
from lifecycle_adapters.http import Authentication, Call, HttpBinding, ListCall, RequestRejected
from tests.adapters.http.both import KEY
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

JOB: Lifecycle[str, str] = Lifecycle(
    name="job",
    citation="none: a job of this test",
    states=[State("running", initial=True), State("stopped", final=True)],
    events=[Event("stop", Origin.CALLER)],
    transitions=[Transition("running", "stop", "stopped")],
)


def rpc(method: str, params: dict[str, Any] | None = None, **settings: Any) -> Call:
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": "{request_id}", "method": method, "params": params or {}}
    return Call(method="POST", path="/rpc", body=body, fields_path="params", **settings)


READ = rpc("tasks/get", {"names": [{"id": "{id}"}], "depth": 1}, status_field="result.state")


def bound(**changes: Any) -> HttpBinding[str, str]:
    binding = HttpBinding(
        name="rpc",
        lifecycle=JOB,
        base_url="https://rpc.example",
        base_path="",
        authentication=Authentication("X-Key"),
        create=rpc("tasks/start", {"mode": "fast"}, required_fields=("text",), status_field="result.state"),
        status=READ,
        details=READ,
        listing=ListCall(call=rpc("tasks/list"), items_field="result.tasks", pages="one"),
        commands={"stop": rpc("tasks/stop", {"task": "{id}", "force": False}, status_field="result.state")},
        id_field="result.task",
        task_field="text",
        error_field="error",
    )
    return replace(binding, **changes)


class Service:
    def __init__(self) -> None:
        self.state = "running"
        self.error: Any = None

    def __call__(self, seen: Seen) -> Reply:
        result: dict[str, Any] = {"task": "t7", "state": self.state}
        if seen.json["method"] == "tasks/stop":
            if self.error is not None:
                return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "error": self.error})
            self.state = result["state"] = "stopped"
        if seen.json["method"] == "tasks/list":
            result = {"tasks": [{"result": result}]}
        return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": result})


def test_ids_and_fields_are_in_the_places_of_the_template(connect: Connect, serve: Serve) -> None:
    server = serve(Service())
    client = connect(bound(), server.base_url)
    job = client.create("a letter", colour=True)
    assert (job.id, job.known_state(), job.status()) == ("t7", "running", "running")
    assert job.send("stop", why="late").state == "stopped"
    assert [each.id for each in client.list()] == ["t7"]

    bodies = [seen.json for seen in server.seen]
    assert [body["params"] for body in bodies] == [
        {"mode": "fast", "text": "a letter", "colour": True},
        {"names": [{"id": "t7"}], "depth": 1},
        {"task": "t7", "force": False, "why": "late"},
        {},
    ]
    assert len({body["id"] for body in bodies}) == len(bodies), "each request has an id of its own"
    assert "{id}" not in str(bodies)
    assert "{request_id}" not in str(bodies)
    assert {seen.headers["x-key"] for seen in server.seen} == {KEY}
    assert {seen.path for seen in server.seen} == {"/rpc"}


ERRORS: list[tuple[Any, str]] = [
    ({"code": -32001, "message": "not in this state"}, "HTTP 200: not in this state"),
    ("no", "HTTP 200: no"),
    ({"code": -32000}, r'HTTP 200: {"code": -32000}'),
    ([1], r"HTTP 200: \[1\]"),
    ({}, r"HTTP 200: {}"),
    (True, "HTTP 200: true"),
    ("", "HTTP 200: no details given"),
]


@pytest.mark.parametrize(("error", "said"), ERRORS)
def test_error_in_a_200_is_a_refusal(connect: Connect, serve: Serve, error: Any, said: str) -> None:
    service = Service()
    service.error = error
    server = serve(service)
    job = connect(bound(), server.base_url).task("t7")
    with pytest.raises(CommandRefused, match=said):
        job.send("stop")
    assert [seen.json["method"] for seen in server.seen].count("tasks/stop") == 1


@pytest.mark.parametrize("error", [None, False])
def test_no_error_is_none(connect: Connect, serve: Serve, error: Any) -> None:
    server = serve(lambda _: Reply(body={"result": {"task": "t7", "state": "running"}, "error": error}))
    assert connect(bound(), server.base_url).task("t7").status() == "running"


def test_error_in_a_read_is_raised(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body={"error": {"message": "no such task"}}))
    with pytest.raises(RequestRejected, match="HTTP 200: no such task"):
        connect(bound(), server.base_url).task("t7").status()


def test_what_a_call_sets_itself_is_not_the_callers(connect: Connect, serve: Serve) -> None:
    server = serve(Service())
    client = connect(bound(), server.base_url)
    with pytest.raises(TypeError, match="sets mode itself"):
        client.create("a letter", mode="slow")
    with pytest.raises(TypeError, match="sets force itself"):
        client.task("t7").send("stop", force=True)
    assert client.create("a letter", method="slow", jsonrpc="1").id == "t7", "those are fields of `params` here"
    assert server.seen[-1].json["method"] == "tasks/start"


def test_place_of_the_fields_is_made_if_the_template_has_none() -> None:
    call = Call(method="POST", path="/x", body={"a": {}}, fields_path="a.b.c")
    assert call.request("", fields={"d": 1}).body == {"a": {"b": {"c": {"d": 1}}}}
    assert call.request("").body == {"a": {"b": {"c": {}}}}
    assert call.body == {"a": {}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"body": {"params": {"ids": ["{key}"]}}},
            r"body\.params\.ids\[0\]: unknown placeholder '{key}': use '{id}' or",
        ),
        ({"body": {"params": [1]}}, "fields_path: the body has a value that is not an object at 'params'"),
        ({"body": {"a": float("nan")}}, "body: must be JSON"),
        ({"body": {"a": {"b": "\ud800"}}}, "body: must be JSON"),
        ({"body": {"a": {1: 2}}}, "body.a"),
        ({"body": {"a": object()}}, "body.a"),
        ({"fields_path": "a..b"}, "fields_path: must be a field or a path"),
        ({"path": "/{request_id}"}, "path: unknown placeholder '{request_id}': use '{id}'"),
        (
            {"required_fields": ("task",), "body": {"params": {"task": 1}}},
            "required_fields: names 'task', which",
        ),
    ],
)
def test_template_that_cannot_be_meant_is_a_finding(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        replace(rpc("tasks/stop"), **changes)


def test_command_that_names_no_task_in_its_structure_is_a_finding() -> None:
    with pytest.raises(DefinitionError, match=r"commands\.stop: POST /rpc does not name its task"):
        bound(commands={"stop": rpc("tasks/stop_all")})
