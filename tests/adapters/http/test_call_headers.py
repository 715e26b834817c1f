"""The headers of a call: what they can hold, and the idempotency key that is the same whenever an intent is sent."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from lifecycle import CommandUncertain, CreateUncertain, DefinitionError
from lifecycle.catalog import V1_FULL
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import Call, HttpBinding
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.services.v1 import V1
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen, in_turn

KEYED = {"Idempotency-Key": "{idempotency_key}"}


def keyed(**changes: Any) -> HttpBinding[Any, Any]:
    """V1, with an idempotency header on its create and on its pause."""
    commands = dict(V1.commands)
    commands["pause"] = replace(commands["pause"], headers={**KEYED, "X-Task": "{id}"})  # type: ignore[index]
    settings: dict[str, Any] = {"create": replace(V1.create, headers=KEYED), "commands": commands}
    return replace(V1, **{**settings, **changes})


def keys(seen: list[Seen]) -> list[str]:
    return [each.headers["idempotency-key"] for each in seen if each.method != "GET"]


class Lossy:
    """A v1 service that makes one task of all creates with one key, and loses some of its first responses."""

    def __init__(self, *losses: Reply) -> None:
        self.losses = list(losses)
        self.tasks: dict[str, str] = {}
        self.status = "running"

    def __call__(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(body=self.status)
        if seen.method == "PUT":
            self.status = "paused"
            return self.losses.pop(0) if self.losses else Reply()
        task = self.tasks.setdefault(seen.headers["idempotency-key"], f"t{len(self.tasks) + 1}")
        return self.losses.pop(0) if self.losses else Reply(body={"id": task})


# --- what is sent -------------------------------------------------------------------------------------


def test_a_call_has_headers_of_its_own(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(Reply(body="running"), Reply(), Reply(body="paused")))
    connect(keyed(headers={"X-Version": "2"}), server.base_url).task("t").pause()
    read, pause, _ = server.seen
    assert (pause.headers["x-task"], pause.headers["x-version"]) == ("t", "2")
    assert str(UUID(pause.headers["idempotency-key"])) == pause.headers["idempotency-key"]
    assert "idempotency-key" not in read.headers


def test_a_placeholder_in_an_id_is_text(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(Reply(body="running"), Reply(), Reply(body="paused")))
    connect(keyed(), server.base_url).task("{idempotency_key}").pause()
    assert server.seen[1].headers["x-task"] == "{idempotency_key}"


@pytest.mark.parametrize("task_id", ["é", "a\r\nX-Evil: 1", " a"])
def test_no_request_is_made_of_an_id_that_no_header_can_carry(connect: Connect, serve: Serve, task_id: str) -> None:
    server = serve(in_turn(Reply(body="running")))
    with pytest.raises(ValueError, match="the header X-Task cannot carry"):
        connect(keyed(), server.base_url).task(task_id).pause()
    assert not server.seen


def test_a_patch_can_have_another_type_of_json(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(Reply(body="running"), Reply(), Reply(body="paused")))
    patch = Call(
        method="PATCH", path="/{id}", body={"paused": True}, headers={"Content-Type": "application/merge-patch+json"}
    )
    connect(replace(V1, commands={**V1.commands, "pause": patch}), server.base_url).task("t").pause()  # type: ignore[dict-item]
    assert server.seen[1].headers["content-type"] == "application/merge-patch+json"
    assert server.seen[1].json == {"paused": True}


def test_our_own_httpx2_client_sends_what_a_callers_sends(connect: Connect, serve: Serve) -> None:
    stop = Call(method="PATCH", path="/{id}", body={"action": "stop"}, headers={"X-Task": "{id}"})
    binding = keyed(headers={"X-Version": "2", "Accept": "application/x+json"})
    binding = replace(binding, commands={**binding.commands, "stop": stop})
    server, arrived = serve(in_turn(Reply())), list[list[Any]]()
    settings: list[dict[str, Any]] = [{}, {"http": None}]
    for whose in settings:
        states = [Reply(body=state) for state in ("running", "running", "paused", "stopped")]
        with_cookie = Reply(headers={"Set-Cookie": "route=7; Path=/"})
        server.script = in_turn(*states[:2], Reply(), states[2], with_cookie, states[3])
        tokens = map("token-number-{}".format, count())
        task = connect(binding, server.base_url, api_key=tokens.__next__, **whose).task("a b")
        task.status()
        task.status()
        task.pause(idempotency_key="one")
        task.stop()
        arrived.append([(each.method, each.path, each.query, each.headers, each.body) for each in server.seen])
        server.seen.clear()
    given, own = arrived
    assert own == given
    assert [headers["authorization"] for *_, headers, _ in own] == [f"Bearer token-number-{each}" for each in range(6)]
    assert [headers.get("cookie") for *_, headers, _ in own] == [None] * 5 + ["route=7"]


# --- the idempotency key ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [Reply(drops=True), Reply(status=500), Reply(body=b"<html>"), Reply(body={"id": None})]
)
def test_a_create_whose_response_is_lost_is_sent_again(connect: Connect, serve: Serve, loss: Reply) -> None:
    service = Lossy(loss, loss)
    server = serve(service)
    assert connect(keyed(), server.base_url).create("milk").id == "t1"
    assert len(set(keys(server.seen))) == 1
    assert len(server.seen) == 3
    assert len(service.tasks) == 1


def test_a_create_without_the_header_is_not_sent_again(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(Reply(status=500)))
    with pytest.raises(CreateUncertain):
        connect("v1", server.base_url).create("milk")
    assert len(server.seen) == 1


def test_a_create_that_is_lost_for_too_long_is_uncertain(connect: Connect, serve: Serve) -> None:
    server, journal = serve(in_turn(Reply(status=500))), MemoryJournal()
    with pytest.raises(CreateUncertain):
        connect(keyed(), server.base_url, journal=journal).create("milk")
    assert len(server.seen) == 4
    assert len(journal.creates(V1_FULL).unfinished()) == 1


@pytest.mark.parametrize("end", [Reply(status=409), Reply(status=401), Reply(status=404), Reply(status=429)])
def test_refusal_after_a_lost_create_leaves_it_uncertain(connect: Connect, serve: Serve, end: Reply) -> None:
    server, journal = serve(in_turn(Reply(status=500), end)), MemoryJournal()
    with pytest.raises(CreateUncertain, match="sent again"):
        connect(keyed(), server.base_url, journal=journal).create("milk")
    assert len(journal.creates(V1_FULL).unfinished()) == 1


def test_two_creates_have_two_keys(connect: Connect, serve: Serve) -> None:
    service = Lossy()
    server = serve(service)
    client = connect(keyed(), server.base_url)
    assert [client.create("milk").id for _ in range(2)] == ["t1", "t2"]
    other = connect(keyed(), server.base_url, journal=MemoryJournal())
    assert other.create("milk").id == "t3"  # its journal counts from 1, too
    assert [other.create("milk", idempotency_key=key).id for key in ("a", "ä\n")] == ["t4", "t5"]
    assert other.create("milk", idempotency_key="a").id == "t4"
    assert len(server.seen) == 5


def test_refused_create_sends_a_new_key_when_repeated(connect: Connect, serve: Serve) -> None:
    service = Lossy(Reply(status=422))
    server = serve(service)
    client = connect(keyed(), server.base_url)
    with pytest.raises(Exception, match="422"):
        client.create("milk", idempotency_key="order 5")
    client.create("bread", idempotency_key="order 5")
    assert len(set(keys(server.seen))) == 2  # a service may repeat its refusal to the first


@pytest.mark.parametrize("idempotency_key", [None, "case 17"])
def test_a_command_has_the_same_key_in_every_attempt(
    connect: Connect, serve: Serve, idempotency_key: str | None
) -> None:
    replies = [Reply(body="running"), Reply(status=429), Reply(status=500), Reply(body="running"), Reply()]
    server = serve(in_turn(*replies, Reply(body="paused")))
    connect(keyed(), server.base_url).task("t").pause(idempotency_key=idempotency_key)
    assert len(keys(server.seen)) == 3
    assert len(set(keys(server.seen))) == 1


def test_a_command_has_the_same_key_after_a_crash(connect: Connect, serve: Serve, tmp_path: Any) -> None:
    """Another worker, with another connection to the journal, sends it again."""
    path = tmp_path / "journal.db"
    server = serve(in_turn(Reply(body="running"), Reply(status=500), Reply(status=503)))
    with SqlJournal(path, worker="first") as journal:
        task = connect(keyed(), server.base_url, journal=journal).task("t")
        with pytest.raises(CommandUncertain):
            task.pause()
    first = keys(server.seen)
    server.script = in_turn(Reply(body="running"), Reply(), Reply(body="paused"))
    with SqlJournal(path, worker="second") as journal:
        client = connect(keyed(), server.base_url, journal=journal)
        assert [each.is_settled for each in client.recover()] == [True]
    assert len(keys(server.seen)) == len(first) + 1
    assert len(set(keys(server.seen))) == 1


def test_two_commands_have_two_keys(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body="paused" if len(server.seen) % 3 == 0 else "running"))
    client = connect(keyed(), server.base_url)
    for task_id in ("a", "b"):
        client.task(task_id).pause(idempotency_key="case 17")
    assert len(set(keys(server.seen))) == 2


def test_a_body_can_carry_the_key(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(Reply(status=500), Reply(body={"id": "t"})))
    create = Call(method="POST", path="/run-task", body={"meta": {"once": "{idempotency_key}"}})
    connect(replace(V1, create=create), server.base_url).create("milk")
    first, second = (each.json["meta"]["once"] for each in server.seen)
    assert first == second == str(UUID(first))


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "finding"),
    [
        (
            {"X": "{task}"},
            "headers.X: unknown placeholder '{task}': use '{id}' or '{request_id}' or '{idempotency_key}'",
        ),
        ({"two words": "a"}, "headers.two words: 'two words' cannot be the name of a header, or is one of HTTP's own"),
        (
            {"Content-Length": "5"},
            "headers.Content-Length: 'Content-Length' cannot be the name of a header, or is one of HTTP's own",
        ),
        ({"Content-Type": "application/json"}, "headers.Content-Type: 'Content-Type' cannot be the name of a header"),
        ({"X-A": "é"}, "headers.X-A: no header can carry 'é'"),
        ({"X-A": "1", "x-a": "2"}, "headers.X-A: 'X-A' occurs in another letter case, too"),
        ({"X-A": 1}, "headers.X-A: should be a valid string, not 1"),
        (["X-A"], "headers: must be a mapping of text to text, such as {'Idempotency-Key': '{idempotency_key}'}"),
    ],
)
def test_invalid_header_is_a_finding(headers: Any, finding: str) -> None:
    with pytest.raises(DefinitionError) as info:
        Call(method="POST", path="/{id}", headers=headers)
    assert finding in str(info.value)


def test_a_body_has_a_type_of_json() -> None:
    with pytest.raises(DefinitionError, match="'Content-Type' cannot be the name of a header, or is one of HTTP's own"):
        Call(method="POST", path="/{id}", body={}, headers={"Content-Type": "text/plain"})


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        (
            {"create": replace(V1.create, headers={"authorization": "no"})},
            "create.headers.authorization: 'authorization'",
        ),
        (
            {"headers": {"X-Version": "2"}, "status": replace(V1.status, headers={"x-version": "3"})},
            "status.headers.x-version: 'x-version' is sent with every request",
        ),
        (
            {"status": replace(V1.status, headers=KEYED)},
            "status: must be without '{idempotency_key}': a journal records no intent",
        ),
        ({"create": replace(V1.create, headers={"X-Task": "{id}"})}, "create: POST /run-task names a task"),
        *(
            ({"headers": {"X-A": f"a {each}"}}, f"headers.X-A: is sent as it is, with '{each}': only the headers of a")
            for each in ("{id}", "{idempotency_key}", "{request_id}", "{etag}", "{owner}")
        ),
    ],
)
def test_header_that_cannot_be_meant_is_a_finding(changes: dict[str, Any], finding: str) -> None:
    with pytest.raises(DefinitionError) as info:
        keyed(**changes)
    assert finding in str(info.value)
