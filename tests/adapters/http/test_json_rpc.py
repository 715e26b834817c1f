"""A service of JSON-RPC: one path for all calls, bodies with structure, errors inside of responses that are a 200."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import CommandRefused, CreateUncertain, DefinitionError, Event, Lifecycle, Origin, State, Transition
from lifecycle.effects import Lost
from lifecycle_adapters.emulator import Emulator, Profile
from lifecycle_adapters.http import (
    Authentication,
    Call,
    Client,
    Envelope,
    HttpBinding,
    InvalidResponse,
    ListCall,
    NoResponse,
    NotFound,
    RequestRejected,
    ServerError,
    Unauthorized,
)
from tests.adapters.emulator.requests import until
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

NOW = datetime(2026, 1, 1, tzinfo=UTC)
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
    (
        {"code": -31999, "message": "not in this state"},
        "'stop' was refused in 'running': tasks/stop: error -31999: not in this state",
    ),
    ({"code": -31999, "message": "no", "data": {"why": ["late"]}}, r'error -31999: no \({"why": \["late"\]}\)$'),
    ({"code": -31999, "message": "no", "data": "late\n"}, r"error -31999: no \(late \)$"),
    ("no", "tasks/stop: HTTP 200 with an error: no"),
    ({"code": -32602}, r'error -32602: {"code": -32602}'),
    ([1], r"error 1: \[1\]"),
    (404, "error 404: 404"),
    ([{"code": -31999}, "no"], "error -31999"),
    ({"code": 0}, r'error 0: {"code": 0}'),
    (True, "HTTP 200 with an error: true"),
    (" ", "HTTP 200 with an error: no details given"),
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


@pytest.mark.parametrize("error", [None, False, 0, "", {}, []])
def test_null_error_is_no_error(connect: Connect, serve: Serve, error: Any) -> None:
    server = serve(lambda _: Reply(body={"result": {"task": "t7", "state": "running"}, "error": error}))
    assert connect(bound(), server.base_url).task("t7").status() == "running"


def test_error_of_a_create_that_names_a_task_is_uncertain(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body={"result": {"task": "t7", "state": "running"}, "error": "no"}))
    client = connect(bound(), server.base_url)
    for _ in range(2):
        with pytest.raises(CreateUncertain, match="HTTP 200 with an error: no"):
            client.create("a letter", idempotency_key="order-5")
    assert len(server.seen) == 1


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_invalid_json_number_is_an_invalid_response(connect: Connect, serve: Serve, number: bytes) -> None:
    server = serve(lambda _: Reply(body=b'{"result": {"task": "t7", "state": "running", "cost": ' + number + b"}}"))
    with pytest.raises(InvalidResponse, match="is not JSON"):
        connect(bound(), server.base_url).task("t7").status()


def test_error_in_a_read_is_raised(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body={"error": {"message": "no such task"}}))
    with pytest.raises(RequestRejected, match="HTTP 200 with an error: no such task"):
        connect(bound(), server.base_url).task("t7").status()


CODES = {-32001: 404, -32002: 409, -32003: 401, -32004: 429, -32603: 500}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (-32001, NotFound),
        (-32002, RequestRejected),
        (-32003, Unauthorized),
        (-32603, ServerError),
        (7, RequestRejected),
    ],
)
def test_error_code_in_a_200_maps_to_a_status_code(
    connect: Connect, serve: Serve, code: int, error: type[Exception]
) -> None:
    server = serve(lambda _: Reply(body={"error": {"code": code, "message": "so it is"}}))
    with pytest.raises(error, match=f"^tasks/get: error {code}: so it is$") as info:
        connect(bound(error_codes=CODES), server.base_url).task("t7").status()
    assert type(info.value) is error
    assert (vars(info.value)["rpc_method"], vars(info.value)["code"]) == ("tasks/get", code)


@pytest.mark.parametrize("in_stream", [False, True])
def test_error_of_json_rpc_in_another_response_than_a_200_has_its_code(
    connect: Connect, serve: Serve, in_stream: bool
) -> None:
    def respond(seen: Seen) -> Reply:
        body = {"jsonrpc": "2.0", "id": seen.json["id"], "error": {"code": -32600, "message": "so it is"}}
        return replace(stream(f"data: {json.dumps(body)}") if in_stream else Reply(body=body), status=404)

    with pytest.raises(NotFound, match=r"^tasks/get: error -32600: so it is$") as info:
        connect(enclosed(), serve(respond).base_url).task("t7").status()
    assert (info.value.status_code, info.value.code) == (404, -32600)


def test_request_without_a_response_is_named_by_its_method(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(drops=True))
    with pytest.raises(NoResponse, match=r"^tasks/get: ") as info:
        connect(bound(), server.base_url, timing=replace(QUICK, attempts=1)).task("t7").status()
    assert (info.value.method, info.value.path, info.value.rpc_method) == ("POST", "/rpc", "tasks/get")


@pytest.mark.parametrize("code", ["-32001", -32001.0])
def test_code_that_equals_a_number_is_that_number(connect: Connect, serve: Serve, code: Any) -> None:
    server = serve(lambda _: Reply(body={"error": {"code": code, "message": "no"}}))
    with pytest.raises(NotFound, match="no"):
        connect(bound(error_codes=CODES), server.base_url).task("t7").status()


OF_THE_SERVER: list[Any] = [-32768, -32603, -32603.0, "-32603", -32099, -32050, -32000, 408, 499, 500, 503]
NOT_INTEGERS: list[Any] = [True, None, [], {}, "", "E_TIMEOUT", 0.5]


@pytest.mark.parametrize("code", OF_THE_SERVER)
def test_number_of_a_failing_server_leaves_a_create_uncertain(connect: Connect, serve: Serve, code: Any) -> None:
    """JSON-RPC 2.0, 5.1, reserves those below -31999. Such an error may come from a gateway, after a time-out."""
    server = serve(lambda _: Reply(body={"error": {"code": code, "message": "internal"}}))
    with pytest.raises(CreateUncertain, match="internal"):
        connect(bound(), server.base_url).create("a letter")


BARE: list[Any] = [*OF_THE_SERVER, [503], [{"code": 503}], [{"code": 7}, {"code": -32603}], ["no", 500]]


@pytest.mark.parametrize("codes", [{}, CODES])
@pytest.mark.parametrize("error", BARE, ids=repr)
def test_error_that_is_a_number_or_a_list_leaves_a_create_uncertain_if_the_server_may_have_failed(
    connect: Connect, serve: Serve, error: Any, codes: dict[int, int]
) -> None:
    server = serve(lambda _: Reply(body={"error": error}))
    client = connect(bound(error_codes=codes), server.base_url)
    for _ in range(2):
        with pytest.raises(CreateUncertain, match="error"):
            client.create("a letter", idempotency_key="order-5")
    assert len(server.seen) == 1, "the key stays taken, so that no second task is made"


@pytest.mark.parametrize("error", [404, 7, "7", True, "no", 0.5, [7], [{"code": 7}, "no"]], ids=repr)
def test_error_of_another_shape_than_the_declared_codes_proves_no_refusal(
    connect: Connect, serve: Serve, error: Any
) -> None:
    """A gateway in front of a service of JSON-RPC has errors of its own."""
    server = serve(lambda _: Reply(body={"error": error}))
    with pytest.raises(CreateUncertain, match="error"):
        connect(bound(error_codes=CODES), server.base_url).create("a letter")


@pytest.mark.parametrize("error", [-32001, "-32001", [-32001], [{"code": -32001}]], ids=repr)
def test_error_that_is_a_declared_code_has_its_meaning(connect: Connect, serve: Serve, error: Any) -> None:
    server = serve(lambda _: Reply(body={"error": error}))
    with pytest.raises(NotFound, match="error -32001"):
        connect(bound(error_codes=CODES), server.base_url).task("t7").status()


@pytest.mark.parametrize("code", NOT_INTEGERS)
def test_non_integer_error_code_leaves_a_create_uncertain_if_codes_are_declared(
    connect: Connect, serve: Serve, code: Any
) -> None:
    server = serve(lambda _: Reply(body={"error": {"code": code, "message": "no"}}))
    with pytest.raises(CreateUncertain, match="HTTP 200 with an error: no"):
        connect(bound(error_codes={**CODES, 1: 404}), server.base_url).create("a letter")
    with pytest.raises(RequestRejected, match="no"):
        connect(bound(), server.base_url).create("a letter")


@pytest.mark.parametrize("code", [-32700, -32600, -32601, -32602, -32769, -31999, -1, 7, 498, 600])
def test_unlisted_error_code_is_a_refusal(connect: Connect, serve: Serve, code: int) -> None:
    server = serve(lambda _: Reply(body={"error": {"code": code, "message": "no"}}))
    with pytest.raises(RequestRejected, match="no"):
        connect(bound(error_codes=CODES), server.base_url).create("a letter")


@pytest.mark.parametrize("name", ["mcp", "a2a-jsonrpc"])
@pytest.mark.parametrize("code", [-32000, -32603.0, "busy"])
def test_error_of_a_gateway_leaves_the_create_of_a_built_in_service_uncertain(
    connect: Connect, serve: Serve, name: str, code: Any
) -> None:
    made = list[Any]()

    def gateway(seen: Seen) -> Reply:
        if seen.json["method"] == "initialize":
            offered: dict[str, Any] = {"tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}}
            result = {"protocolVersion": "2025-11-25", "capabilities": offered}
            return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": result})
        if "id" not in seen.json:
            return Reply(status=202, body=b"")
        if seen.json["method"] in ("tools/call", "SendMessage"):
            made.append(seen.json["id"])
        error = {"code": code, "message": "Request timed out"}
        return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "error": error})

    client = connect(name, serve(gateway).base_url, api_key=None)
    fields: dict[str, Any] = {"name": "charge"} if name == "mcp" else {"parts": [{"text": "charge"}]}
    for _ in range(2):
        with pytest.raises(CreateUncertain, match="Request timed out"):
            client.create(idempotency_key="order-5", **fields)
    assert len(made) == 1


def test_task_that_a_code_says_is_missing_is_over_if_it_was_known(connect: Connect, serve: Serve) -> None:
    """A refused command and a read that does not find the task: nobody can know more."""
    server = serve(lambda _: Reply(body={"error": {"code": -32001, "message": "no such task"}}))
    job = connect(bound(error_codes=CODES), server.base_url).task("t7")
    with pytest.raises(NotFound, match="no such task"):
        job.send("stop")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"error_codes": {-32001: 200}}, r"error_codes\[-32001\]: 200 is not a status code of an error"),
        ({"error_codes": {-32001: 404}, "error_field": None}, "error_codes: must be left out: without `error_field`"),
        ({"error_codes": {-32001: "404"}}, "error_codes.-32001"),
        ({"error_codes": {"x": 404}}, "error_codes.x"),
        ({"error_codes": {"-32001": 404, -32001: 404}}, "has the code -32001 twice"),
    ],
)
def test_invalid_error_codes_are_a_finding(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        bound(**changes)


def test_emulator_sends_the_codes() -> None:
    binding = bound(error_codes=CODES)
    with (
        Emulator(binding, api_key=KEY) as emulator,
        Client(binding, base_url=emulator.base_url, api_key=KEY) as client,
    ):
        assert client.create("a letter").send("stop").state == "stopped"
        with pytest.raises(NotFound, match="Task not found"):
            client.task("nobody").status()


def test_field_that_a_call_sets_itself_is_refused(connect: Connect, serve: Serve) -> None:
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
        ({"body": {"params": None}}, "fields_path: the body has a value that is not an object at 'params'"),
        ({"body": {"params": []}}, "fields_path: the body has a value that is not an object at 'params'"),
        ({"body": {"a": 0}, "fields_path": "a.b"}, "fields_path: the body has a value that is not an object at 'a.b'"),
        ({"fields_path": "a..b"}, "fields_path: must be a field or a path"),
        ({"path": "/{request_id}"}, "path: unknown placeholder '{request_id}': use '{id}'"),
        ({"headers": {"X-Task": "{task}"}}, "headers.X-Task: unknown placeholder '{task}'"),
        ({"field_headers": {"Host": "task"}}, "field_headers.Host: 'Host' cannot be the name of a header"),
        ({"field_headers": {"X-Task": "a..b"}}, "field_headers.X-Task: must be a field or a path"),
        (
            {"field_headers": {"X-Task": "force.a"}, "fields_path": None, "body": {"force": {"a": 1}}},
            "field_headers: names 'force', which the call sets itself",
        ),
        (
            {"field_headers": {"x-task": "task"}, "headers": {"X-Task": "1"}},
            "field_headers: has 'x-task', which `headers` has, too",
        ),
        (
            {"required_fields": ("task",), "body": {"params": {"task": 1}}},
            "required_fields: names 'task', which",
        ),
    ],
)
def test_invalid_template_is_a_finding(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        replace(rpc("tasks/stop"), **changes)


def test_command_that_names_no_task_in_its_structure_is_a_finding() -> None:
    with pytest.raises(DefinitionError, match=r"commands\.stop: tasks/stop_all does not name its task"):
        bound(commands={"stop": rpc("tasks/stop_all")})


# --- envelopes --------------------------------------------------------------------------------------


def enclosed() -> HttpBinding[str, str]:
    """The same service, whose paths begin in the result, and whose responses repeat the request's id."""
    read = rpc("tasks/get", {"id": "{id}"}, status_field="state")
    return bound(
        envelope=Envelope(result_field="result", repeated_fields=("jsonrpc", "id")),
        create=rpc("tasks/start", required_fields=("text",), status_field="state"),
        status=read,
        details=read,
        listing=ListCall(call=rpc("tasks/list"), items_field="tasks", page_parameter="page"),
        commands={"stop": rpc("tasks/stop", {"id": "{id}"}, status_field="state")},
        id_field="task",
        error_codes=CODES,
    )


def stream(*events: str) -> Reply:
    text = "".join(f"{each}\n\n" for each in events)
    return Reply(body=text.encode(), headers={"Content-Type": "text/event-stream; charset=utf-8"})


RUNNING = {"task": "t7", "state": "running"}


def test_paths_begin_in_the_result(connect: Connect, serve: Serve) -> None:
    server = serve(lambda seen: Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": RUNNING}))
    assert connect(enclosed(), server.base_url).task("t7").details() == RUNNING


@pytest.mark.parametrize("more", [{}, {"error": None}])
def test_null_is_a_result(connect: Connect, serve: Serve, more: dict[str, Any]) -> None:
    """JSON-RPC 2.0, 5: a method determines the value of its result."""
    stopped = list[str]()

    def respond(seen: Seen) -> Reply:
        result: Any = {**RUNNING, "state": "stopped" if stopped else "running"}
        if seen.json["method"] == "tasks/stop":
            stopped.append(seen.json["id"])
            result = None
        return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": result, **more})

    binding = replace(enclosed(), commands={"stop": rpc("tasks/stop", {"id": "{id}"})})
    job = connect(binding, serve(respond).base_url).task("t7")
    assert job.send("stop").state == "stopped"
    assert len(stopped) == 1


@pytest.mark.parametrize(
    "document",
    [
        {"jsonrpc": "2.0", "id": "another", "result": RUNNING},
        {"jsonrpc": "2.0", "id": None, "result": RUNNING},
        {"jsonrpc": "2.0", "result": RUNNING},
        {"jsonrpc": "2.0", "id": "another", "error": {"code": -32001, "message": "no such task"}},
        {"jsonrpc": "1.0", "result": RUNNING},
        {"jsonrpc": "2.0"},
        [RUNNING],
        "running",
    ],
)
def test_response_to_another_request_is_invalid(connect: Connect, serve: Serve, document: Any) -> None:
    server = serve(lambda _: Reply(body=document))
    with pytest.raises(InvalidResponse, match="neither a result nor an error of this request"):
        connect(enclosed(), server.base_url).task("t7").status()


def test_error_of_a_request_that_could_not_be_read_has_no_id(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body={"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "no"}}))
    with pytest.raises(NotFound, match="no"):
        connect(enclosed(), server.base_url).task("t7").status()


def test_response_is_found_in_a_stream_of_events(connect: Connect, serve: Serve) -> None:
    def respond(seen: Seen) -> Reply:
        sent = seen.json["id"]
        return stream(
            "id: 1\ndata:",
            'event: message\r\ndata: {"jsonrpc": "2.0", "method": "notifications/message"}',
            ': a comment\ndata: {"jsonrpc": "2.0", "id": "another", "result": {"task": "t7", "state": "stopped"}}',
            'data: {"jsonrpc": "2.0", "id": "' + sent + '", "method": "elicitation/create"}',
            'data: {"jsonrpc": "2.0",\ndata:"id": "' + sent + '", "result": {"task": "t7", "state": "running"}}',
        )

    assert connect(enclosed(), serve(respond).base_url).task("t7").status() == "running"


@pytest.mark.parametrize(
    "end",
    [
        'data: {"jsonrpc": "2.0", "id": "ID", "result": {"task": "t7", "state": "running"}}\n',  # cut off
        "",
    ],
)
def test_stream_without_the_response_is_invalid(connect: Connect, serve: Serve, end: str) -> None:
    def respond(seen: Seen) -> Reply:
        text = 'data: {"jsonrpc": "2.0", "method": "notifications/message"}\n\n' + end.replace("ID", seen.json["id"])
        return Reply(body=text.encode(), headers={"Content-Type": "text/event-stream"})

    with pytest.raises(InvalidResponse, match="neither a result nor an error of this request"):
        connect(enclosed(), serve(respond).base_url).task("t7").status()


def test_stream_that_stays_open_is_closed_after_the_response(connect: Connect, serve: Serve) -> None:
    """Streamable HTTP, Sending Messages to the Server: "After the response has been sent, the server SHOULD close"."""

    def respond(seen: Seen) -> Reply:
        message = json.dumps({"jsonrpc": "2.0", "id": seen.json["id"], "result": RUNNING})
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n"
        return Reply(raw=head + f"data: {message}\n\n: still here\n\n".encode(), stays_open=True)

    server = serve(respond)
    assert connect(enclosed(), server.base_url).task("t7").status() == "running"
    until(lambda: server.connections == 0)


@pytest.mark.parametrize("behind", ["", ": bye\n\n"], ids=["nothing", "a comment"])
def test_connection_of_a_stream_that_ends_with_its_response_is_used_again(
    connect: Connect, serve: Serve, behind: str
) -> None:
    def respond(seen: Seen) -> Reply:
        message = json.dumps({"jsonrpc": "2.0", "id": seen.json["id"], "result": RUNNING})
        return stream(f"data: {message}", behind)

    server = serve(respond)
    task = connect(enclosed(), server.base_url).task("t7")
    assert [task.status() for _ in range(5)] == ["running"] * 5
    assert server.accepted == 1


EVENTS = st.sampled_from(
    [b": ping\n\n", b'data: {"jsonrpc": "2.0", "method": "notifications/message"}\n\n', b"data: {}\n\n"]
)


@given(before=st.lists(EVENTS, max_size=3), length=st.integers(1, 40))
def test_stream_is_not_read_past_the_response(before: list[bytes], length: int) -> None:
    def pieces(sent: str) -> Iterator[bytes]:
        message = json.dumps({"jsonrpc": "2.0", "id": sent, "result": RUNNING}).encode()
        stream = b"".join(before) + b"data: " + message + b"\n\n"
        for begin in range(0, len(stream), length):
            yield stream[begin : begin + length]
        raise AssertionError("the client waits for what never comes")

    def respond(request: httpx2.Request) -> httpx2.Response:
        content = pieces(json.loads(request.content)["id"])
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=content)

    with (
        httpx2.Client(transport=httpx2.MockTransport(respond)) as http,
        Client(enclosed(), base_url="http://rpc", api_key=KEY, http=http) as client,
    ):
        assert client.task("t7").status() == "running"


def test_stream_without_end_or_response_has_the_limit_of_a_response(connect: Connect, serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    server = serve(lambda _: Reply(raw=head + b": ping\n\n" * 200, stays_open=True))
    client = connect(enclosed(), server.base_url, timing=replace(QUICK, max_response_bytes=1000))
    with pytest.raises(InvalidResponse, match="more than 1000 bytes"):
        client.task("t7").status()


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_request_whose_response_is_empty_is_not_taken_for_done(kind: str) -> None:
    """Not even if no field of it is read: a notification alone gets no response."""
    service, stop = enclosed(), rpc("tasks/stop", {"id": "{id}"})
    facts: dict[str, Any] = {"status_code": 200, "headers": {"content-type": kind}, "content": b"", "as_of": NOW}
    meaning = service.parse_response(stop, stop.request("", task_id="t7"), **facts)
    assert isinstance(meaning, Lost)
    assert "neither a result nor an error of this request" in str(meaning.error)


def test_parameters_of_a_list_keep_their_types_in_a_body(connect: Connect, serve: Serve) -> None:
    def respond(seen: Seen) -> Reply:
        page = seen.json["params"]["page"]
        tasks = [{"task": f"t{page}", "state": "running"}] if page < 3 else []
        return Reply(body={"jsonrpc": "2.0", "id": seen.json["id"], "result": {"tasks": tasks}})

    server = serve(respond)
    listed = connect(enclosed(), server.base_url).list(open=True, size=1, states=["running", "stopped"])
    assert [each.id for each in listed] == ["t1", "t2"]
    params = [seen.json["params"] for seen in server.seen]
    common = {"open": True, "size": 1, "states": ["running", "stopped"]}
    assert params == [{**common, "page": page} for page in (1, 2, 3)]
    assert len({seen.json["id"] for seen in server.seen}) == 3
    assert {seen.query for seen in server.seen} == {""}


def test_emulator_serves_an_envelope() -> None:
    binding = enclosed()
    with (
        Emulator(binding, api_key=KEY, profiles={"rpc": Profile(page_size=2)}) as emulator,
        Client(binding, base_url=emulator.base_url, api_key=KEY) as client,
    ):
        made = [client.create("a letter") for _ in range(5)]
        assert [each.id for each in client.list()] == [each.id for each in reversed(made)]
        assert made[0].send("stop").state == "stopped"
        with pytest.raises(NotFound, match="Task not found"):
            client.task("nobody").status()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"result_field": "a..b"}, "result_field: must be a field or a path"),
        ({"repeated_fields": "id"}, "repeated_fields: must be several names"),
    ],
)
def test_invalid_envelope_is_a_finding(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        replace(Envelope(result_field="result"), **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pages": "urls", "page_parameter": None, "next_field": "next"}, "pages: must be others than 'urls'"),
        ({"page_parameter": "depth"}, r"call\.body: sets 'depth', which names the page"),
    ],
)
def test_invalid_list_by_a_body_is_a_finding(changes: dict[str, Any], said: str) -> None:
    listing = ListCall(call=rpc("tasks/list", {"depth": 1}), items_field="tasks", page_parameter="page")
    with pytest.raises(DefinitionError, match=said):
        replace(listing, **changes)
