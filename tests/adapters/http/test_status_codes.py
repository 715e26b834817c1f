"""Status codes and headers of a service that differ in meaning from HTTP's."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from lifecycle import (
    CommandRefused,
    CreateUncertain,
    DefinitionError,
    Event,
    Lifecycle,
    MemoryJournal,
    Origin,
    State,
    Transition,
)
from lifecycle.effects import Accepted
from lifecycle.journal import TaskRecord
from lifecycle_adapters.http import Call, HttpBinding, ListCall, NotFound
from lifecycle_adapters.journal import SqlJournal
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

MACHINE: Lifecycle[str, str] = Lifecycle(
    name="machine",
    citation="none: a machine of this test",
    states=[State("running", initial=True), State("deleted", final=True)],
    events=[Event("delete", Origin.CALLER)],
    transitions=[Transition("running", "delete", "deleted")],
)
READ = Call(method="GET", path="/machines/{id}", status_field="status", statuses={404: "deleted", 410: "deleted"})
DELETE = Call(method="DELETE", path="/machines/{id}", busy=(409, 423))


def bound(**changes: Any) -> HttpBinding[str, str]:
    binding = HttpBinding(
        name="machines",
        lifecycle=MACHINE,
        base_url="https://machines.example",
        base_path="",
        authentication=None,
        create=Call(method="POST", path="/machines", body={}),
        status=READ,
        details=READ,
        listing=ListCall(call=Call(method="GET", path="/machines"), items_field="machines", pages="one"),
        commands={"delete": DELETE},
    )
    return replace(binding, **changes)


class Machines:
    """One machine, which is gone after its deletion; `refusals` are sent before a deletion is accepted."""

    def __init__(self, gone: int, *refusals: int) -> None:
        self.gone, self.refusals = gone, list(refusals)
        self.is_there = True

    def __call__(self, seen: Seen) -> Reply:
        if seen.method == "DELETE" and self.refusals:
            return Reply(status=self.refusals.pop(0), body={"message": "it is being moved"})
        if seen.method == "DELETE":
            self.is_there = False
            return Reply(status=202, body=b"")
        return Reply(body={"status": "running"}) if self.is_there else Reply(status=self.gone, body={"message": "gone"})


@pytest.mark.parametrize("gone", [404, 410])
def test_deleted_task_is_reported_by_a_404(connect: Connect, serve: Serve, gone: int) -> None:
    server = serve(Machines(gone))
    task = connect(bound(), server.base_url, api_key=None).task("7")
    assert task.send("delete").state == "deleted"
    assert task.status() == "deleted"
    assert task.wait(timeout_s=60).details == {}
    assert server.commands == ["DELETE /machines/7"]


def test_unseen_task_raises_not_found(connect: Connect, serve: Serve) -> None:
    machines = Machines(404)
    machines.is_there = False
    server = serve(machines)
    journal = MemoryJournal()
    client = connect(bound(), server.base_url, api_key=None, journal=journal)
    task, log = client.task("misspelt"), journal.task(MACHINE, "misspelt")
    acts: list[Callable[[], object]] = [task.status, task.details, task.wait, lambda: task.send("delete")]
    for act in acts:
        with pytest.raises(NotFound):
            act()
    assert log.load() == TaskRecord()
    assert server.commands == []


def test_unread_stop_is_not_proved_by_a_404(connect: Connect, serve: Serve) -> None:
    replies = iter([Reply(status=422), Reply(status=404), Reply(status=404), Reply(status=404)])
    task = connect(bound(), serve(lambda _: next(replies)).base_url, api_key=None).task("misspelt")
    with pytest.raises(NotFound):
        task.send("delete")
    with pytest.raises(NotFound):
        task.status()


@pytest.mark.parametrize("accepts", [202, 502])
def test_404_after_a_stop_that_may_have_arrived_is_the_end(connect: Connect, serve: Serve, accepts: int) -> None:
    replies = iter([Reply(status=422), Reply(status=accepts, body=b""), Reply(status=404)])
    task = connect(bound(), serve(lambda _: next(replies)).base_url, api_key=None).task("7")
    assert task.send("delete").state == "deleted"


@pytest.mark.parametrize("command_says", [{}, {404: "deleted"}])
def test_new_task_that_does_not_appear_is_gone(connect: Connect, serve: Serve, command_says: dict[int, str]) -> None:
    replies = iter([Reply(status=201, body={"id": "7"}), *[Reply(status=404)] * 90])
    server = serve(lambda _: next(replies))
    binding = bound(commands={"delete": replace(DELETE, statuses=command_says)})
    task = connect(binding, server.base_url, api_key=None).create()
    assert task.status() == "deleted"
    assert len(server.seen) > 2, "it may appear a while after its create"


@pytest.mark.parametrize("made", [Reply(body={"id": "7"}), Reply(body={"id": "7", "status": "running"})])
@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_task_of_a_create_is_known_without_a_handle(
    connect: Connect, serve: Serve, tmp_path: Path, made: Reply, is_durable: bool
) -> None:
    server = serve(lambda seen: made if seen.method == "POST" else Reply(status=404))
    with SqlJournal(tmp_path / "j.db") as journal:
        given = {"journal": journal} if is_durable else {}
        client = connect(bound(), server.base_url, api_key=None, **given)
        task_id = client.create().id
        gc.collect()
        assert client.task(task_id).status() == "deleted"
        with pytest.raises(NotFound):
            client.task("8").status()


def test_status_code_of_a_command_may_mean_the_end(connect: Connect, serve: Serve) -> None:
    replies = iter([Reply(body={"status": "running"}), Reply(status=404)])
    binding = bound(commands={"delete": replace(DELETE, statuses={404: "deleted"})})
    task = connect(binding, serve(lambda _: next(replies)).base_url, api_key=None).task("7")
    assert task.send("delete").state == "deleted"


def test_404_without_a_declared_meaning_raises_not_found(connect: Connect, serve: Serve) -> None:
    machines = Machines(404)
    machines.is_there = False
    read = replace(READ, statuses={})
    task = connect(bound(status=read, details=read), serve(machines).base_url, api_key=None).task("7")
    with pytest.raises(NotFound):
        task.status()


@pytest.mark.parametrize("code", [409, 423])
def test_command_is_sent_again_if_the_service_is_busy(connect: Connect, serve: Serve, code: int) -> None:
    server = serve(Machines(404, code, code))
    task = connect(bound(), server.base_url, api_key=None).task("7")
    assert task.send("delete").state == "deleted"
    assert server.commands == ["DELETE /machines/7"] * 3


def test_refused_command_is_sent_once(connect: Connect, serve: Serve) -> None:
    server = serve(Machines(404, 422, 422))
    task = connect(bound(), server.base_url, api_key=None).task("7")
    with pytest.raises(CommandRefused, match="it is being moved"):
        task.send("delete")
    assert server.commands == ["DELETE /machines/7"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"statuses": {99: "deleted"}}, "statuses: 99 is not a status code"),
        ({"busy": (600,)}, "busy: 600 is not a status code"),
        ({"busy": (200,)}, "busy: 200 already means a status, or success"),
        ({"busy": (404,), "statuses": {404: "deleted"}}, "busy: 404 already means"),
        ({"statuses": {"gone": "deleted"}}, r"statuses\.gone\.\[key\]: should be a valid integer"),
        ({"statuses": {"4_4": "deleted"}}, "should be a valid integer"),
        ({"statuses": {"404": "deleted", 404: "running"}}, "statuses: has the code 404 twice"),
        ({"busy": ("409",)}, r"busy\[0\]: should be a valid integer"),
        ({"busy": (True,)}, r"busy\[0\]: should be a valid integer"),
        ({"statuses": {404: 5}}, r"statuses\[404\]: should be a valid string"),
        ({"busy": 409}, "busy: must be several status codes, in a tuple such as"),
    ],
)
def test_invalid_status_code_mapping_is_a_finding(call: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        replace(DELETE, **call)


def test_status_code_must_map_to_a_declared_status() -> None:
    with pytest.raises(DefinitionError, match=r"status\.statuses\[404\]: 'gone' is not a status of 'machine'"):
        bound(status=replace(READ, statuses={404: "gone"}))
    with pytest.raises(DefinitionError, match=r"details\.statuses: must have 404, too"):
        bound(details=replace(READ, statuses={410: "deleted"}))
    assert replace(READ, statuses={"404": "deleted"}).statuses == {404: "deleted"}  # type: ignore[dict-item]
    with pytest.raises(DefinitionError, match=r"create\.statuses: must be empty"):
        bound(create=Call(method="POST", path="/machines", body={}, statuses={404: "deleted"}))


LOCATIONS = [
    ("https://machines.example/machines/7", "7"),
    ("/machines/7/", "7"),
    ("https://cdn.example/other/a%2Fb?x=/9#/8", "a/b"),
    ("7", "7"),
]


@pytest.mark.parametrize(("location", "task_id"), LOCATIONS)
@pytest.mark.parametrize("body", [b"", {}, [], {"machine": {"size": 1}}])
def test_new_task_is_named_by_a_header(connect: Connect, serve: Serve, location: str, task_id: str, body: Any) -> None:
    create = Call(method="POST", path="/machines", body={}, id_header="Location")
    server = serve(lambda _: Reply(status=202, body=body, headers={"Location": location}))
    client = connect(bound(create=create, id_field="machine.id"), server.base_url, api_key=None)
    assert client.create("x").id == task_id
    assert len(server.seen) == 1, "nobody follows the header"


NO_IDS = [
    [],
    [""],
    ["/"],
    ["/machines/"],
    ["https://host/v1/machines?of=me"],
    ["https://host/machines/.."],
    ["/machines/%ff"],
    ["/machines/7", "/machines/8"],
]


@pytest.mark.parametrize("locations", NO_IDS)
def test_create_without_an_id_is_uncertain(connect: Connect, serve: Serve, locations: list[str]) -> None:
    create = Call(method="POST", path="/machines", body={}, id_header="Location")
    headers = "".join(f"Location: {each}\r\n" for each in locations)
    server = serve(lambda _: Reply(raw=f"HTTP/1.1 202 Accepted\r\n{headers}Content-Length: 0\r\n\r\n".encode()))
    with pytest.raises(CreateUncertain):
        connect(bound(create=create), server.base_url, api_key=None).create("x")

    received = Message()
    for each in locations:
        received["Location"] = each
    facts: dict[str, Any] = {"status_code": 202, "headers": received, "content": b"", "as_of": datetime.now(UTC)}
    binding = bound(create=create)
    response = binding.parse_response(binding.create, binding.create_request({}), **facts)
    assert isinstance(response, Accepted)
    assert binding.id_in(response.document) is None


def test_id_in_the_body_comes_first(connect: Connect, serve: Serve) -> None:
    create = Call(method="POST", path="/machines", body={}, id_header="Location")
    server = serve(lambda _: Reply(status=201, body={"id": "8"}, headers={"Location": "/machines/7"}))
    assert connect(bound(create=create), server.base_url, api_key=None).create("x").id == "8"


def test_id_header_must_be_valid_and_on_a_create() -> None:
    with pytest.raises(DefinitionError, match=r"id_header: 'X Y' cannot be a header's name"):
        Call(method="POST", path="/machines", body={}, id_header="X Y")
    with pytest.raises(DefinitionError, match=r"status\.id_header: must be left out"):
        bound(status=replace(READ, id_header="Location"))


def test_id_of_a_new_task_may_be_in_a_field_of_its_own(connect: Connect, serve: Serve) -> None:
    create = Call(method="POST", path="/machines", body={}, id_field="run.id")
    bodies = iter([{"run": {"id": 7}, "id": "of something else"}, {"id": "8"}, {"run": {"id": ""}, "id": "9"}])
    server = serve(lambda _: Reply(status=200, body=next(bodies)))
    client = connect(bound(create=create), server.base_url, api_key=None)
    assert [client.create("x").id for _ in range(2)] == ["7", "8"]
    with pytest.raises(CreateUncertain):
        client.create("x")
    with pytest.raises(DefinitionError, match=r"details\.id_field: must be left out"):
        bound(details=replace(READ, id_field="run.id", repeats_id=False))
    with pytest.raises(DefinitionError, match=r"id_field: must be a field or a path"):
        Call(method="POST", path="/machines", body={}, id_field="run..id")


def test_body_is_read_if_a_header_names_the_id(connect: Connect, serve: Serve) -> None:
    create = Call(method="POST", path="/machines", body={}, id_header="Location", status_field="machine.status")
    body = {"machine": {"status": "running"}}
    server = serve(lambda _: Reply(status=202, body=body, headers={"Location": "/machines/7"}))
    task = connect(bound(create=create, id_field="machine.id"), server.base_url, api_key=None).create("x")
    assert (task.id, task.known_state()) == ("7", "running")


@pytest.mark.parametrize("body", [b"", {}, {"status": None}])
def test_new_task_that_a_header_names_needs_no_status(connect: Connect, serve: Serve, body: Any) -> None:
    create = Call(method="POST", path="/machines", body={}, id_header="Location", status_field="status")
    server = serve(lambda _: Reply(status=201, body=body, headers={"Location": "/machines/7"}))
    task = connect(bound(create=create), server.base_url, api_key=None).create("x")
    assert (task.id, task.known_state()) == ("7", None)


def test_without_that_header_a_body_without_a_status_is_uncertain(connect: Connect, serve: Serve) -> None:
    create = Call(method="POST", path="/machines", body={}, id_header="Location", status_field="status")
    server = serve(lambda _: Reply(status=201, body=b""))
    with pytest.raises(CreateUncertain, match="not JSON, nor an id: its header Location is missing"):
        connect(bound(create=create), server.base_url, api_key=None).create("x")


@pytest.mark.parametrize(
    ("locations", "status_field"), [(each, None) for each in NO_IDS] + [(each, "status") for each in NO_IDS]
)
def test_error_about_a_create_without_an_id_names_the_header(
    connect: Connect, serve: Serve, locations: list[str], status_field: str | None
) -> None:
    create = Call(method="POST", path="/machines", body={}, id_header="Location", status_field=status_field)
    headers = "".join(f"Location: {each}\r\n" for each in locations)
    server = serve(lambda _: Reply(raw=f"HTTP/1.1 202 Accepted\r\n{headers}Content-Length: 2\r\n\r\n{{}}".encode()))
    with pytest.raises(CreateUncertain, match="its header Location") as raised:
        connect(bound(create=create), server.base_url, api_key=None).create("x")
    assert all(each in str(raised.value) for each in locations) or status_field is None
