"""A service that the project does not know: its lifecycle from JSON, its table registered, both clients.

The printer below has numbers for ids, other words in its responses, a key of its own and a command that
takes fields. No part of it is in the project.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle import CommandRefused, DefinitionError, IllegalTransition, Lifecycle, UnknownName, UnknownStatus
from lifecycle_adapters.http import Authentication, Call, Client, HttpBinding, ListCall, Proof
from lifecycle_adapters.services import register, service, service_of
from lifecycle_adapters.services.v2 import V2_SESSION
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen

DECLARATION: dict[str, Any] = {
    "name": "print-job",
    "citation": "the printer's manual, page 7",
    "states": [
        {"name": "waiting", "initial": True},
        {"name": "printing"},
        {"name": "held", "settled": True},
        {"name": "printed", "final": True},
        {"name": "torn", "final": True},
    ],
    "events": [
        {"name": "hold", "origin": "caller"},
        {"name": "release", "origin": "caller"},
        {"name": "tear", "origin": "caller"},
        {"name": "print", "origin": "remote"},
        {"name": "finish", "origin": "remote"},
    ],
    "transitions": [
        {"source": "waiting", "event": "hold", "target": "held"},
        {"source": "printing", "event": "hold", "target": "held"},
        {"source": "held", "event": "release", "target": "waiting"},
        {"source": "waiting", "event": "tear", "target": "torn"},
        {"source": "held", "event": "tear", "target": "torn"},
        {"source": "waiting", "event": "print", "target": "printing"},
        {"source": "printing", "event": "finish", "target": "printed"},
    ],
    "aliases": [{"channel": "api", "status": "on paper", "state": "printed"}],
    "invariants": [{"name": "torn is torn", "rule": "final", "states": ["torn"], "citation": "page 8"}],
}


def rows(of: str) -> list[dict[str, str]]:
    return list(DECLARATION[of])


def wire_of(lifecycle: Lifecycle[str, str], **changes: Any) -> HttpBinding[str, str]:
    binding: HttpBinding[str, str] = HttpBinding(
        name="printer",
        lifecycle=lifecycle,
        base_url="http://printer.example",
        base_path="",
        authentication=Authentication("X-Desk", "desk "),
        create=Call(
            method="POST", path="/jobs", body={"queue": "default"}, required_fields=("text",), status_field="now"
        ),
        status=Call(method="GET", path="/jobs/{id}/now", status_field=""),
        details=Call(method="GET", path="/jobs/{id}", query={"all": "yes"}, status_field="now"),
        listing=ListCall(
            call=Call(method="GET", path="/jobs", query={"all": "yes"}),
            items_field="jobs",
            pages="cursors",
            page_parameter="from",
            next_field="next",
        ),
        commands={
            "hold": Call(method="POST", path="/jobs/{id}/hold", body={}),
            "release": Call(method="DELETE", path="/jobs/{id}/hold"),
            "tear": Call(
                method="PUT", path="/jobs/{id}", body={"now": "torn"}, required_fields=("why",), status_field="now"
            ),
        },
        id_field="number",
        output_field="sheets",
        cost_field="price",
    )
    return replace(binding, **changes)


class Printer:
    """The printer, over the same declaration. Its jobs change on request only."""

    def __init__(self, lifecycle: Lifecycle[str, str]) -> None:
        self.lifecycle = lifecycle
        self.jobs: dict[int, str] = {}

    def __call__(self, seen: Seen) -> Reply:
        if seen.headers.get("x-desk") != "desk my-own-desk-key":
            return Reply(status=401, body={"error": "whose desk is this?"})
        match [seen.method, *seen.path.strip("/").split("/")]:
            case ["POST", "jobs"]:
                number = len(self.jobs) + 1
                self.jobs[number] = self.lifecycle.initial
                return self.view(number)
            case ["GET", "jobs"]:
                begin = int(seen.query.rpartition("from=")[2] or 1) if "from=" in seen.query else 1
                page = [self.document(number) for number in self.jobs if begin <= number < begin + 2]
                return Reply(body={"jobs": page, "next": begin + 2 if begin + 2 <= len(self.jobs) else None})
            case [_, "jobs", number, *_] if int(number) not in self.jobs:
                return Reply(status=404, body={"message": "no such job"})
            case ["GET", "jobs", number, "now"]:
                return Reply(body=self.word(int(number)))
            case ["GET", "jobs", number]:
                return self.view(int(number))
            case ["POST", "jobs", number, "hold"]:
                return self.take(int(number), "hold")
            case ["DELETE", "jobs", number, "hold"]:
                return self.take(int(number), "release")
            case ["PUT", "jobs", number]:
                return self.take(int(number), "tear")
            case _:
                return Reply(status=405)

    def take(self, number: int, event: str) -> Reply:
        target = self.lifecycle.target(self.jobs[number], event)
        if target is None:
            return Reply(status=409, body={"message": "not now"})
        self.jobs[number] = target
        return self.view(number)

    def word(self, number: int) -> str:
        return "on paper" if self.jobs[number] == "printed" else self.jobs[number]

    def document(self, number: int) -> dict[str, Any]:
        return {"number": number, "now": self.word(number), "sheets": 3, "price": "0.15"}

    def view(self, number: int) -> Reply:
        return Reply(body=self.document(number))


@pytest.fixture
def lifecycle(tmp_path: Path) -> Lifecycle[str, str]:
    path = tmp_path / "print-job.json"
    path.write_text(json.dumps(DECLARATION))
    return Lifecycle.from_file(path)


@pytest.fixture
def printer(lifecycle: Lifecycle[str, str]) -> Printer:
    return Printer(lifecycle)


@pytest.fixture
def server(serve: Serve, printer: Printer) -> ScriptedServer:
    return serve(printer)


@pytest.fixture
def client(connect: Connect, server: ScriptedServer, lifecycle: Lifecycle[str, str]) -> Any:
    return connect(wire_of(lifecycle), server.base_url, api_key="my-own-desk-key")


def test_a_job_from_its_creation_to_its_end(client: Any, printer: Printer, server: ScriptedServer) -> None:
    job = client.create(text="a letter")
    assert (job.id, job.known_state(), job.lifecycle.name) == ("1", "waiting", "print-job")
    assert job.allowed() == ("hold", "tear")
    assert job.send("hold").state == "held"
    assert job.wait(timeout_s=60).state == "held", "held is declared to be settled"
    assert job.send("release").state == "waiting"
    printer.jobs[1] = "printing"
    assert job.status() == "printing"
    assert job.send("hold", until="noon").state == "held"
    printer.jobs[1] = "printed"
    result = job.wait("final", timeout_s=60)
    assert (result.state, result.output, str(result.cost_usd)) == ("printed", 3, "0.15")
    assert job.details()["now"] == "on paper"
    assert server.commands == [
        "POST /jobs",
        "POST /jobs/1/hold",
        "DELETE /jobs/1/hold",
        "POST /jobs/1/hold",
    ]
    assert [seen.json for seen in server.seen if seen.method != "GET"] == [
        {"queue": "default", "text": "a letter"},
        {},
        None,
        {"until": "noon"},
    ]
    assert server.calls[-1] == "GET /jobs/1?all=yes"


def test_illegal_command_is_not_sent(client: Any, printer: Printer, server: ScriptedServer) -> None:
    job = client.create(text="a letter")
    printer.jobs[1] = "printing"
    assert job.status() == "printing"
    with pytest.raises(IllegalTransition, match="'tear' is not allowed in 'printing'; allowed: hold"):
        job.send("tear", why="a slip")
    printer.jobs[1] = "held"
    assert job.status() == "held"
    assert job.send("hold").sent is False
    assert server.commands == ["POST /jobs"]


def test_required_fields_of_a_command_are_checked(client: Any, server: ScriptedServer) -> None:
    job = client.create(text="a letter")
    with pytest.raises(TypeError, match="needs why"):
        job.send("tear")
    with pytest.raises(TypeError, match="sets now itself"):
        job.send("tear", why="a slip", now="printed")
    with pytest.raises(TypeError, match="sets queue itself"):
        client.create(text="a letter", queue="fast")
    with pytest.raises(TypeError, match="needs text"):
        client.create("a letter")
    assert server.commands == ["POST /jobs"]
    assert job.send("tear", why="a slip").state == "torn"


def test_commands_of_other_services_are_unknown(client: Any, server: ScriptedServer) -> None:
    job = client.task("1")
    for command in (job.pause, job.stop, job.cancel, lambda: job.send("print")):
        with pytest.raises(UnknownName):
            command()
    assert server.seen == []


def test_refusal_and_unknown_status_of_an_own_service_are_raised(client: Any, printer: Printer) -> None:
    job = client.create(text="a letter")
    without = [row for row in rows("transitions") if row["event"] != "hold" or row["source"] == "printing"]
    printer.lifecycle = Lifecycle.from_json(json.dumps({**DECLARATION, "transitions": without}))
    with pytest.raises(CommandRefused, match=r"'hold' was refused in 'waiting': .*HTTP 409: not now"):
        job.send("hold")
    printer.jobs[1] = "jammed"
    with pytest.raises(UnknownStatus, match="'jammed'"):
        job.status()


def test_jobs_of_an_own_service_are_listed_page_by_page(client: Any, server: ScriptedServer) -> None:
    made = [client.create(text=f"letter {number}") for number in range(5)]
    server.seen.clear()
    assert [each.id for each in client.list()] == [job.id for job in made]
    assert server.calls == ["GET /jobs?all=yes", "GET /jobs?all=yes&from=3", "GET /jobs?all=yes&from=5"]


def test_fields_in_nested_objects_are_read_by_their_paths(
    connect: Connect, serve: Serve, lifecycle: Lifecycle[str, str]
) -> None:
    view = {"data": {"number": 7, "now": {"word": "on paper"}, "bill": {"usd": "0.15"}}}

    def printer(seen: Seen) -> Reply:
        if seen.path == "/jobs" and seen.method == "GET":
            return Reply(body={"page": {"jobs": [view], "next": None}})
        return Reply(body=view)

    at_the_word = "data.now.word"
    table = wire_of(
        lifecycle,
        create=Call(method="POST", path="/jobs", body={}, status_field=at_the_word),
        status=Call(method="GET", path="/jobs/{id}/now", status_field=at_the_word),
        details=Call(method="GET", path="/jobs/{id}", status_field=at_the_word),
        listing=ListCall(
            call=Call(method="GET", path="/jobs"),
            items_field="page.jobs",
            pages="cursors",
            page_parameter="from",
            next_field="page.next",
        ),
        id_field="data.number",
        cost_field="data.bill.usd",
    )
    client = connect(table, serve(printer).base_url, api_key="my-own-desk-key")
    job = client.create(text="a letter")
    assert (job.id, job.known_state(), job.status()) == ("7", "printed", "printed")
    assert str(job.wait(timeout_s=60).cost_usd) == "0.15"
    assert [(each.id, each.state) for each in client.list()] == [("7", "printed")]


def test_registered_binding_is_found_by_name(connect: Connect, lifecycle: Lifecycle[str, str], serve: Serve) -> None:
    binding = wire_of(lifecycle, name=f"printer of {id(lifecycle)}")
    register(binding)
    register(binding)  # once more is no harm
    assert service(binding.name) is binding
    client = connect(binding.name, serve(Printer(lifecycle)).base_url, api_key="my-own-desk-key")
    assert client.create(text="a letter").status() == "waiting"
    with pytest.raises(ValueError, match="is registered already"):
        register(replace(binding, base_url="http://another.example"))
    with pytest.raises(UnknownName) as raised:
        Client("printr", api_key="k")
    assert binding.name in raised.value.known


def test_base_url_of_an_own_service_is_the_default(lifecycle: Lifecycle[str, str]) -> None:
    with Client(wire_of(lifecycle), api_key="my-own-desk-key") as client:
        assert client.base_url == "http://printer.example"


def test_binding_must_fit_its_lifecycle(lifecycle: Lifecycle[str, str]) -> None:
    binding = wire_of(lifecycle)
    with pytest.raises(ValueError, match="commands: has no call for 'tear'"):
        replace(binding, commands={name: call for name, call in binding.commands.items() if name != "tear"})
    with pytest.raises(ValueError, match=r"commands\.shred: 'shred' is not a command of"):
        replace(binding, commands={**binding.commands, "shred": binding.call("tear")})
    with pytest.raises(ValueError, match=r"commands\.taer: 'taer' is not a command of .*; did you mean 'tear'\?"):
        replace(binding, commands={**binding.commands, "taer": binding.call("tear")})


def test_a_command_that_a_companion_proves(connect: Connect, serve: Serve, lifecycle: Lifecycle[str, str]) -> None:
    """The proof of one's own: torn is proved by the desk's session."""
    events = [{**event, "proved_by_state": event["name"] != "tear"} for event in rows("events")]
    unproved = Lifecycle.from_json(json.dumps({**DECLARATION, "events": events}))
    printer = Printer(unproved)
    sessions = iter(["active", "stopped"])

    def script(seen: Seen) -> Reply:
        if seen.path.startswith("/api/v2/sessions/"):
            return Reply(body={"id": 12, "status": next(sessions)})
        reply = printer(seen)
        return reply if seen.path.endswith("/now") else replace(reply, body={**reply.body, "desk": 12})

    server = serve(script)
    binding = wire_of(unproved, proofs={"tear": Proof(binding=V2_SESSION, id_field="desk", event="stop")})
    job = connect(binding, server.base_url, api_key="my-own-desk-key").create(text="a letter")
    assert job.send("tear", why="a slip").state == "torn"
    assert [call for call in server.calls if "sessions" in call] == ["GET /api/v2/sessions/12"] * 2


def test_unsound_declaration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(json.dumps({**DECLARATION, "states": [{"name": "waiting"}]}))
    with pytest.raises(DefinitionError):
        Lifecycle.from_file(path)


@pytest.mark.parametrize(
    ("task_field", "body"),
    [("text", {"text": "a letter"}), ("input.text", {"input": {"text": "a letter"}})],
)
def test_task_is_sent_and_compared_in_the_field_that_the_binding_names(
    connect: Connect, serve: Serve, lifecycle: Lifecycle[str, str], task_field: str, body: dict[str, Any]
) -> None:
    server = serve(lambda _: Reply(body={"number": 1, "now": "held"}))
    create = Call(method="POST", path="/jobs", body={}, status_field="now")
    binding = wire_of(lifecycle, create=create, task_field=task_field)
    client = connect(binding, server.base_url, api_key="my-own-desk-key")
    client.create("a letter")
    assert server.seen[-1].json == body
    with pytest.raises(TypeError, match=f"the task is given as the field {next(iter(body))!r}, too"):
        client.create("a letter", **body)


def test_service_whose_creates_take_no_task_is_given_fields_only(
    connect: Connect, serve: Serve, lifecycle: Lifecycle[str, str]
) -> None:
    server = serve(lambda _: Reply(body={"number": 1, "now": "held"}))
    client = connect(wire_of(lifecycle, task_field=None), server.base_url, api_key="my-own-desk-key")
    with pytest.raises(TypeError, match="printer: a create takes no task, only fields"):
        client.create("a letter")
    assert server.seen == []
    assert client.create(text="a letter").id == "1"


def test_task_that_the_create_sets_itself_is_a_finding(lifecycle: Lifecycle[str, str]) -> None:
    with pytest.raises(DefinitionError, match=r"task_field: 'queue\.name' is a field that the create sets itself"):
        wire_of(lifecycle, task_field="queue.name")


def test_details_that_are_not_found_once_are_read_again(
    connect: Connect, serve: Serve, lifecycle: Lifecycle[str, str]
) -> None:
    answers = iter([Reply(status=404), Reply(body={"number": 7, "now": "printed", "sheets": 2})])

    def script(seen: Seen) -> Reply:
        return Reply(body="printed") if seen.path.endswith("/now") else next(answers)

    server = serve(script)
    job = connect(wire_of(lifecycle), server.base_url, api_key="my-own-desk-key").task("7")
    assert job.wait(timeout_s=60).output == 2
    assert server.calls == ["GET /jobs/7/now", "GET /jobs/7?all=yes", "GET /jobs/7?all=yes"]


def test_service_of_refuses_a_name() -> None:
    name: Any = "v1"
    with pytest.raises(TypeError, match="lifecycle must be a Lifecycle, such as "):
        service_of(name)
