"""A command that names the version of its task (If-Match): it is read before, and a changed task refuses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from lifecycle import (
    CommandRefused,
    DefinitionError,
    IllegalTransition,
    TaskEndedFirst,
)
from lifecycle.effects import Accepted
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Call, Client, HttpBinding, RequestRejected
from tests.adapters.http.both import QUICK
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

SERVICE = """
name: drafts
base_url: http://drafts.invalid
base_path: ""
authentication: null
etag_header: ETag
create: {method: POST, path: /drafts, body: {}}
status: {method: GET, path: "/drafts/{id}", status_field: state}
details: {method: GET, path: "/drafts/{id}", status_field: state}
task_field: null
commands:
  publish: {method: POST, path: "/drafts/{id}/publish", body: {}, headers: {If-Match: "{etag}"}}
  drop: {method: DELETE, path: "/drafts/{id}", headers: {If-Match: "{etag}"}}
  touch: {method: POST, path: "/drafts/{id}/touch"}
lifecycle:
  name: draft
  citation: the desk's manual
  states:
    - {name: open, initial: true}
    - {name: ready}
    - {name: published, final: true}
    - {name: dropped, final: true}
  events:
    - {name: publish, origin: caller}
    - {name: drop, origin: caller}
    - {name: touch, origin: caller, idempotent: false, proved_by_state: false}
    - {name: approve, origin: remote}
  transitions:
    - {source: [open, ready], event: publish, target: published}
    - {source: "*", event: drop, target: dropped}
    - {source: open, event: touch, target: open}
    - {source: open, event: approve, target: ready}
"""
BY_HEADER = HttpBinding.from_yaml(SERVICE)
BY_FIELD = HttpBinding.from_yaml(
    SERVICE.replace("etag_header: ETag", "etag_field: meta.version")
    .replace('body: {}, headers: {If-Match: "{etag}"}', 'body: {meta: {version: "{etag}"}}')
)  # fmt: skip
both_places = pytest.mark.parametrize("binding", [BY_HEADER, BY_FIELD], ids=["header", "field"])


class Drafts:
    """One draft. `meanwhile` are called by turns before the commands arrive: somebody else acts on it."""

    def __init__(self, *meanwhile: Callable[[Drafts], object]) -> None:
        self.state, self.version = "open", 1
        self.meanwhile = list(meanwhile)

    def __call__(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(body={"id": "1", "state": self.state}, headers={"ETag": self.etag})
        if self.meanwhile:
            self.meanwhile.pop(0)(self)
        if seen.headers.get("if-match") != self.etag:
            return Reply(status=412, body={"detail": "changed"})
        self.becomes({"DELETE": "dropped"}.get(seen.method, "published"))
        return Reply(body={})

    @property
    def etag(self) -> str:
        return f'"v{self.version}"'

    def becomes(self, state: str) -> None:
        self.state, self.version = state, self.version + 1


def etags(seen: list[Seen]) -> list[str | None]:
    return [each.headers.get("if-match") for each in seen if each.method != "GET"]


# --- the client -----------------------------------------------------------------------------------


def test_command_has_the_etag_of_the_read_just_before_it(connect: Connect, serve: Serve) -> None:
    drafts = Drafts()
    server = serve(drafts)
    task = connect(BY_HEADER, server.base_url, api_key=None).task("1")
    assert task.status() == "open"
    drafts.becomes("ready")
    assert task.send("publish").state == "published"
    assert [each.method for each in server.seen] == ["GET", "GET", "POST", "GET"]
    assert etags(server.seen) == ['"v2"']


@pytest.mark.parametrize(("version", "sent"), [(7, "7"), ("7", "7"), (0, "0"), (True, None), (7.5, None)])
def test_etag_in_a_field_may_be_a_whole_number(version: object, sent: str | None) -> None:
    request = BY_FIELD.status.request("", task_id="1")
    content = json.dumps({"id": "1", "state": "open", "meta": {"version": version}}).encode()
    read = BY_FIELD.parse_response(
        BY_FIELD.status, request, status_code=200, headers={}, content=content, as_of=datetime.now(UTC)
    )
    assert isinstance(read, Accepted)
    assert read.etag == sent


def test_command_that_a_changed_task_refuses_did_nothing(connect: Connect, serve: Serve) -> None:
    server = serve(Drafts(lambda draft: draft.becomes("ready")))
    task = connect(BY_HEADER, server.base_url, api_key=None).task("1")
    with pytest.raises(CommandRefused, match="HTTP 412: changed") as refused:
        task.send("publish")
    assert (refused.value.state, type(refused.value.__cause__)) == ("ready", RequestRejected)
    assert task.send("publish").state == "published", "given again, it has the new etag"
    assert etags(server.seen) == ['"v1"', '"v2"']


def test_command_that_an_ended_task_refuses_came_too_late(connect: Connect, serve: Serve) -> None:
    server = serve(Drafts(lambda draft: draft.becomes("dropped")))
    task = connect(BY_HEADER, server.base_url, api_key=None).task("1")
    with pytest.raises(TaskEndedFirst) as ended:
        task.send("publish")
    assert (ended.value.state, ended.value.took_effect) == ("dropped", False)


def test_command_whose_response_was_lost_is_sent_again_with_the_etag_of_the_read(
    connect: Connect, serve: Serve
) -> None:
    drafts = Drafts()
    server = serve(losing_the_first_command_of(drafts))
    assert connect(BY_HEADER, server.base_url, api_key=None).task("1").send("publish").state == "published"
    assert etags(server.seen) == ['"v1"', '"v2"']
    assert drafts.version == 3


def losing_the_first_command_of(drafts: Drafts) -> Callable[[Seen], Reply]:
    """Return the service, which loses the first command while somebody else changes the draft."""
    is_lost = False

    def script(seen: Seen) -> Reply:
        nonlocal is_lost
        if seen.method == "GET" or is_lost:
            return drafts(seen)
        is_lost = True
        drafts.becomes("ready")
        return Reply(status=500)

    return script


def test_stop_is_read_first_although_every_state_accepts_it(connect: Connect, serve: Serve) -> None:
    def script(seen: Seen) -> Reply:
        return Reply(status=503) if seen.method == "GET" else Reply()

    server = serve(script)
    with pytest.raises(Exception, match="503"):
        connect(BY_HEADER, server.base_url, api_key=None).task("1").send("drop")
    assert etags(server.seen) == []


@pytest.mark.parametrize("etag", [None, "", "ü", "a\tb"])
def test_command_of_a_task_without_an_etag_is_not_sent(connect: Connect, serve: Serve, etag: str | None) -> None:
    def script(seen: Seen) -> Reply:
        return Reply(body={"id": "1", "state": "open", "meta": {"version": etag}})

    server = serve(script)
    task = connect(BY_FIELD, server.base_url, api_key=None).task("1")
    with pytest.raises(CommandRefused, match=r"GET /drafts/1: the response has no etag at 'meta\.version'.*not sent"):
        task.send("publish")
    assert {each.method for each in server.seen} == {"GET"}
    assert task.recover() is None


def test_illegal_command_sends_nothing(connect: Connect, serve: Serve) -> None:
    drafts = Drafts()
    drafts.becomes("published")
    server = serve(drafts)
    with pytest.raises(IllegalTransition):
        connect(BY_HEADER, server.base_url, api_key=None).task("1").send("drop")
    assert etags(server.seen) == []


def test_request_is_not_made_without_an_etag() -> None:
    with pytest.raises(ValueError, match="POST /drafts/1/publish needs the etag of a read of its task"):
        BY_HEADER.command_request("publish", "1")
    assert BY_HEADER.command_request("publish", "1", etag='"v1"').headers == {"If-Match": '"v1"'}
    assert BY_FIELD.command_request("publish", "1", etag="7").body == {"meta": {"version": "7"}}
    with pytest.raises(ValueError, match="the header If-Match cannot carry"):
        BY_HEADER.command_request("publish", "1", etag="é")


# --- the emulator ---------------------------------------------------------------------------------


@both_places
def test_emulator_gives_etags_and_refuses_stale_ones(binding: HttpBinding[Any, Any]) -> None:
    with (
        Emulator(binding, manual=True) as emulator,
        Client(binding, base_url=emulator.base_url, timing=QUICK) as client,
    ):
        draft, other = client.create(), client.create()
        assert draft.send("publish").state == "published"
        assert other.status() == "open"
        emulator.fire(other.id, "approve")
        assert other.send("drop").state == "dropped"
        assert [(call.command, call.applied, call.status_code) for call in emulator.calls() if call.command] == [
            ("publish", True, 200),
            ("drop", True, 200),
        ]


@both_places
@pytest.mark.parametrize("etag", ['"0"', "", "*"])
def test_emulator_refuses_a_command_with_another_etag(binding: HttpBinding[Any, Any], etag: str) -> None:
    with Emulator(binding, manual=True) as emulator, Client(binding, base_url=emulator.base_url) as client:
        draft = client.create()
        request = binding.command_request("publish", draft.id, etag=etag)
        url = emulator.base_url + request.path
        sent = httpx2.request(request.method, url, json=request.body, headers={**request.headers})
        assert (sent.status_code, emulator.task(draft.id).state) == (412, "open")
        assert "its etag is another one" in sent.text
        without = httpx2.request(request.method, url, json=request.body)
        assert without.status_code == 412, "without the header, or in the body what is wrong"


@both_places
@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "fail_after"])
def test_command_with_an_etag_whose_response_is_lost_is_settled(binding: HttpBinding[Any, Any], fault: str) -> None:
    with (
        Emulator(binding, manual=True) as emulator,
        Client(binding, base_url=emulator.base_url, timing=QUICK) as client,
    ):
        draft = client.create()
        emulator.fault(fault, command="publish")
        assert draft.send("publish").state == "published"
        sent = [call.applied for call in emulator.calls() if call.command]
        assert sent == ([False, True] if fault == "drop_before" else [True])


@both_places
def test_openapi_document_has_the_412(binding: HttpBinding[Any, Any]) -> None:
    with Emulator(binding) as emulator:
        paths = httpx2.get(f"{emulator.base_url}/openapi.json").json()["paths"]
        assert "412" in paths["/drafts/{task_id}/publish"]["post"]["responses"]
        assert "412" not in paths["/drafts/{task_id}/touch"]["post"]["responses"]


# --- what cannot be meant -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            "etag_header: ETag\n",
            "",
            "commands.publish: has '{etag}', and nothing says where a response has it: give `etag_field` or",
        ),
        ("etag_header: ETag", "etag_header: ETag\netag_field: v", "etag_header: must be left out: `etag_field` says"),
        ("etag_header: ETag", "etag_header: E Tag", "etag_header: 'E Tag' cannot be a header's name"),
        ("etag_header: ETag", 'etag_header: ""', "etag_header: '' cannot be a header's name"),
        ("etag_header: ETag", "etag_field: a..b", "etag_field: "),
        ('"{etag}"', "any", "etag_header: must be left out: no command has '{etag}'"),
        (
            "path: /drafts, body: {}",
            'path: /drafts, body: {}, headers: {If-Match: "{etag}"}',
            "create: must be without '{etag}': only a command names the version of its task that was read",
        ),
        (
            "status_field: state}\ndetails",
            'status_field: state, headers: {If-Match: "{etag}"}}\ndetails',
            "status: must be without '{etag}'",
        ),
        ('"/drafts/{id}/touch"', '"/drafts/{id}/{etag}"', "commands.touch.path: unknown placeholder '{etag}'"),
    ],
)
def test_invalid_binding_is_a_finding(old: str, new: str, found: str) -> None:
    assert old in SERVICE
    with pytest.raises(DefinitionError) as refused:
        HttpBinding.from_yaml(SERVICE.replace(old, new))
    assert found in "\n".join(f"{'.'.join(map(str, each.path))}: {each.message}" for each in refused.value.findings)


def test_etag_is_not_a_parameter_and_not_in_a_query() -> None:
    with pytest.raises(DefinitionError, match=r"unknown placeholder '\{etag\}': use '\{id\}'"):
        Call(method="POST", path="/drafts/{id}", query={"v": "{etag}"})


def test_schema_has_the_places_of_the_etag() -> None:
    properties = HttpBinding.json_schema()["properties"]
    assert {"etag_field", "etag_header"} <= properties.keys()
