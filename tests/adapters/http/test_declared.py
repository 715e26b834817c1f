"""A binding and its parts are examined when they are made: all findings at once, each located."""

from __future__ import annotations

import json
import operator
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, cast

import pytest

from lifecycle import DefinitionError
from lifecycle.catalog import V1Event
from lifecycle_adapters.http import (
    STANDARD_WEBHOOKS,
    Authentication,
    Call,
    Client,
    Envelope,
    Handshake,
    HttpBinding,
    KeyVariable,
    ListCall,
    Proof,
    Retired,
    SignatureScheme,
    StreamBinding,
    TokenScheme,
    WebhookBinding,
)
from lifecycle_adapters.services import register
from lifecycle_adapters.services.browser_use import RUN_WEBHOOKS
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2
from lifecycle_adapters.services.v4 import V4
from tests.support.listing import listing_of

DECLARED: list[Any] = [
    Authentication("X-Key", "desk "),
    KeyVariable("PRINTER_KEY", "https://printer.example"),
    Call(method="POST", path="/jobs/{id}", body={}),
    listing_of(V4),
    Envelope(result_field="result"),
    Handshake(begin=Call(method="POST", path="/open"), header="Session"),
    Proof(binding=V1, id_field="id", event="stop"),
    V2,
    STANDARD_WEBHOOKS,
    RUN_WEBHOOKS,
    TokenScheme(token_header="X-Token", token_prefix="token "),
    StreamBinding(call=Call(method="GET", path="/jobs/{id}/stream"), task_field="job", status_field="status"),
    Retired("2026-08", instead="v4"),
]
FUNCTIONS = ("state_of", "update_of")
# fmt: off
MAY_BE_NONE: dict[Any, set[str]] = {
    Call: {"body", "status_field", "fields_path", "id_field", "id_header", "no_task_field"},
    Handshake: {"confirm"},
    ListCall: {"page_parameter", "next_field", "more_field", "id_field"},
    HttpBinding: {"authentication", "listing", "session", "session_field", "session_calls", "events", "state_of",
                  "envelope", "handshake", "error_field", "output_field", "cost_field", "created_field",
                  "changed_field", "task_field", "etag_field", "etag_header", "key_variable", "webhooks", "stream",
                  "retired"},
    SignatureScheme: {"separator", "timestamp_header", "id_header", "secret_prefix"},
    WebhookBinding: {"task_field", "status_field", "time_field", "kind_field", "session_field", "update_of"},
    StreamBinding: {"task_field", "status_field", "time_field", "kind_field", "session_field", "update_of"},
}
# fmt: on
# By the `pages` of this one, its key variable, its sessions, what it signs, and its kinds.
NEEDED = {
    (ListCall, "page_parameter"),
    (ListCall, "next_field"),
    (HttpBinding, "session"),
    (HttpBinding, "authentication"),
    (HttpBinding, "session"),
    (SignatureScheme, "timestamp_header"),
    (SignatureScheme, "id_header"),
    *((WebhookBinding, name) for name in ("task_field", "status_field", "kind_field", "session_field")),
    *((StreamBinding, name) for name in ("task_field", "status_field")),
}
FIELDS = [
    pytest.param(declared, field.name, id=f"{type(declared).__name__}.{field.name}")
    for declared in DECLARED
    for field in fields(declared)
]


@pytest.mark.parametrize(("declared", "name"), FIELDS)
def test_field_of_the_wrong_type_is_refused_by_name(declared: Any, name: str) -> None:
    may_be_none = name in MAY_BE_NONE.get(type(declared), ())
    for given in (3.5, b"text", object(), *([] if name in FUNCTIONS else [str]), *([] if may_be_none else [None])):
        with pytest.raises(DefinitionError, match=rf"bad_value: {name}: must be .*, not "):
            replace(declared, **{name: given})
    if may_be_none and (type(declared), name) not in NEEDED:
        replace(declared, **{name: None})


@pytest.mark.parametrize(("declared", "name"), FIELDS)
def test_text_is_refused_for_fields_of_another_type(declared: Any, name: str) -> None:
    if (
        name in FUNCTIONS
        or isinstance(getattr(declared, name), str)
        or (name.endswith(("_field", "_path", "_header")) and name in MAY_BE_NONE[type(declared)])
    ):
        return
    with pytest.raises(DefinitionError, match=rf"{name}: must be .*, not 'too many sessions' \(str\)"):
        replace(declared, **{name: "too many sessions"})


SEVERAL = [
    (partial(replace, Call(method="POST", path="/jobs", body={})), "required_fields"),
    (partial(replace, Call(method="POST", path="/jobs", body={})), "optional_fields"),
    (partial(replace, V2), "limits_tasks"),
]


@pytest.mark.parametrize(("declare", "name"), SEVERAL)
def test_several_names_must_be_a_collection_of_texts(declare: Callable[..., Any], name: str) -> None:
    given: Any
    for given in ("task", "", {"task": "x"}):
        with pytest.raises(DefinitionError, match=f"{name}: must be several .*, in a tuple such as"):
            declare(**{name: given})
    for given, place in ((("task", 7), 1), ((None,), 0)):
        with pytest.raises(DefinitionError, match=rf"{name}\[{place}\]: should be a valid string"):
            declare(**{name: given})
    with pytest.raises(DefinitionError, match=f"{name}: has an empty"):
        declare(**{name: ("task", "")})
    for right in ((), ("task",), ["task", "label"], frozenset({"task"})):
        assert getattr(declare(**{name: right}), name) == tuple(right)


MAPPINGS: list[tuple[Any, str, Any]] = [
    (DECLARED[2], "query", 7),
    (DECLARED[2], "body", b"x"),
    (V1, "commands", "/stop"),
    (V1, "commands", None),
    (V1, "proofs", "x"),
    (V1, "proofs", V1),
]


@pytest.mark.parametrize(("declared", "name", "value"), MAPPINGS)
def test_mapping_is_checked_key_by_key_and_value_by_value(declared: Any, name: str, value: Any) -> None:
    for given, where in (({V1Event.STOP: value}, rf"{name}\.stop"), ({7: "x"}, rf"{name}\[7\]"), ([("a", "b")], name)):
        with pytest.raises(DefinitionError, match=rf"bad_value: {where}.*: (should|must) be .*, not "):
            replace(declared, **{name: given})


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"name": None},
            "bad_value: name: must be text such as 'printer', not None (NoneType)",
        ),
        (
            {"authentication": "X-Key"},
            "authentication: must be an Authentication, such as Authentication('X-API-Key')",
        ),
        ({"key_variable": "PRINTER_KEY"}, "key_variable: must be a KeyVariable, such as KeyVariable('PRINTER_KEY', "),
        ({"lifecycle": "v1"}, "lifecycle: must be a Lifecycle, such as lifecycle.get('v1'), not 'v1' (str)"),
        ({"listing": V1.create}, "listing: must be a ListCall, such as ListCall(call=..., "),
        ({"session": "x"}, "session: must be the HttpBinding of the sessions, or None, not 'x' (str)"),
        ({"base_url": 7}, "base_url: must be text such as 'https://host', not 7 (int)"),
    ],
)
def test_message_shows_a_correct_value(changes: dict[str, Any], wanted: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(wanted)):
        replace(V1, **changes)


def test_binding_and_page_parameter_have_names() -> None:
    for name in ("", "a\nb", "\x1b[31m", "\ud800"):
        with pytest.raises(DefinitionError, match=r"is not sound, 1 finding:\n.*name: must be printable text such as "):
            replace(V1, name=name)
    with pytest.raises(DefinitionError, match="page_parameter: must be printable text such as 'page', not ''"):
        replace(listing_of(V1), page_parameter="")


@pytest.mark.parametrize("given", ["x", None, 7, HttpBinding, V1.create])
def test_only_a_binding_is_registered_or_given_to_a_client(given: Any) -> None:
    with pytest.raises(TypeError, match="`binding` must be an HttpBinding, such as"):
        register(given)
    if not isinstance(given, str):
        with pytest.raises(TypeError, match="the service must be a name, such as 'v2', or an HttpBinding"):
            Client(given, api_key="any")


MISTAKEN: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Call(method="GET", path="/jobs/{id"),
        "path: has a single brace; a placeholder is written like {id}, not ",
    ),
    (
        lambda: Call(method="GET", path="/jobs/id}"),
        "path: has a single brace; a placeholder is written like {id}, not ",
    ),
    (
        lambda: Call(method="POST", path="/jobs", body={"task": "x"}, required_fields=("task",)),
        "required_fields: names 'task', which the call sets itself in `body`",
    ),
    (
        lambda: Call(method="POST", path="/jobs", body={"task": "x"}, optional_fields=("task",)),
        "optional_fields: names 'task', which the call sets itself in `body`",
    ),
    (
        lambda: replace(V1, status=replace(V1.status, method="DELETE")),
        "status.method: must be one of GET, POST, because reads are repeated, not DELETE",
    ),
    (
        lambda: replace(
            V1, details=Call(method="POST", path="/{id}", body={}, required_fields=("x",), status_field="y")
        ),
        "details.required_fields: must be empty: a read takes no fields",
    ),
    (
        lambda: replace(listing_of(V1), call=Call(method="PATCH", path="/jobs", body={}, required_fields=("x",))),
        "2 findings:\n  bad_value: call.method: must be one of GET, POST, .*\n  bad_value: call.required_fields: must",
    ),
    (
        lambda: replace(listing_of(V1), call=Call(method="GET", path="/jobs", query={"page": "2"})),
        "call.query: sets 'page', which names the page: leave it out",
    ),
    (
        lambda: replace(V1, base_url="https://host/x/../y"),
        "base_url: it must have no '//', '/./' or '/../' in its path",
    ),
]


@pytest.mark.parametrize(("declare", "said"), MISTAKEN)
def test_call_that_cannot_be_sent_is_refused(declare: Callable[[], object], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        declare()


def test_bindings_and_calls_can_be_keys() -> None:
    assert {V1: 1, V2: 2, V1.create: 3}[replace(V1)] == 1


def test_all_findings_are_reported_at_once_with_their_places() -> None:
    misspelt: Any = {"stopp": V1.create}
    with pytest.raises(DefinitionError) as raised:
        replace(
            V1,
            name="",
            base_path="/api/",
            id_field="a..b",
            limits_tasks=("",),
            create=V1.commands[V1Event.STOP],
            commands=misspelt,
        )
    assert (raised.value.kind, raised.value.name) == ("binding", "")
    assert [finding.path for finding in raised.value.findings] == [
        ("name",),
        ("limits_tasks",),
        ("base_path",),
        ("commands", "stopp"),
        ("commands",),
        ("commands", "stopp"),
        ("create",),
        ("id_field",),
    ]


def test_part_can_be_given_as_a_mapping_as_in_a_file() -> None:
    create: Any = {"method": "POST", "path": "/run-task", "body": {}}
    assert replace(V1, create=create) == V1


def test_finding_in_a_mapping_is_located_in_the_whole() -> None:
    create: Any = {"method": "GIT", "path": "run", "body": {"id": "{key}"}}
    listing: Any = {"call": {"method": "GET", "path": "/x", "boddy": {}}, "page_parameter": "page"}
    with pytest.raises(DefinitionError) as raised:
        replace(V1, create=create, listing=listing)
    assert [(finding.where, finding.path) for finding in raised.value.findings] == [
        ("create.method", ("create", "method")),
        ("create.path", ("create", "path")),
        ("create.body.id", ("create", "body", "id")),
        ("listing.call.boddy", ("listing", "call", "boddy")),
        ("listing.items_field", ("listing", "items_field")),
    ]
    assert "listing.items_field: is missing" in str(raised.value)
    assert "listing.call.boddy: there is no such field; did you mean 'body'?" in str(raised.value)


WRONG_CALLS: dict[str, Any] = {
    "name": "door",
    "lifecycle": {
        "name": "door",
        "citation": "this test",
        "states": [{"name": "open", "initial": True}, {"name": "shut"}, {"name": "gone", "final": True}],
        "events": [{"name": each, "origin": "caller"} for each in ("close", "unlatch", "remove")],
        "transitions": [
            {"source": "open", "event": "close", "target": "shut"},
            {"source": "shut", "event": "unlatch", "target": "open"},
            {"source": "*", "event": "remove", "target": "gone"},
        ],
    },
    "base_url": "https://doors.example",
    "base_path": "",
    "authentication": None,
    "create": {"method": "POST", "path": "/doors", "status_field": "status"},
    "status": {"method": "GET", "path": "/doors/{id}", "status_field": "status"},
    "details": {"method": "GET", "path": "/doors/{id}", "status_field": "status"},
    "commands": {
        "close": {"method": "POST", "path": "/doors/{id}/close", "may_report": ["gon"]},
        "unlatch": {"method": "POST", "path": "/unlatch"},
        "remove": {"method": "DELETE", "path": "/doors/{id}", "headers": {"If-Match": "{etag}"}},
        "closs": {"method": "POST", "path": "/{owner}/{id}"},
    },
    "further_calls": {
        "paint": {"method": "POST", "path": "/paint"},
        "two words": {"method": "POST", "path": "/doors/{id}/words", "task_if": {"a": "b"}},
        "knock": {"method": "POST", "path": "/doors/{id}/knock", "status_field": "status"},
    },
}
"""A binding in which each command and each further call has a mistake."""


def findings_in(document: dict[str, Any]) -> set[tuple[Any, ...]]:
    with pytest.raises(DefinitionError) as raised:
        HttpBinding.from_json(json.dumps(document))
    return {(*each.path, each.message) for each in raised.value.findings}


@pytest.mark.parametrize("broken", [{"method": "POST"}, {"path": "/doors/{id}", "method": 5}, 5, None], ids=repr)
@pytest.mark.parametrize(
    "place", [(name, each) for name in ("commands", "further_calls") for each in WRONG_CALLS[name]], ids=str
)
def test_broken_call_hides_no_finding_about_another(place: tuple[str, str], broken: Any) -> None:
    name, call = place

    found = findings_in({**WRONG_CALLS, name: {**WRONG_CALLS[name], call: broken}})

    others = {each for each in findings_in(WRONG_CALLS) if each[:2] != place}
    assert {name for _, name, *_ in others if name in WRONG_CALLS["commands"]} >= {*WRONG_CALLS["commands"]} - {call}
    assert {each for each in found if each[:2] != place} == others
    assert len(found) > len(others)


def test_misspelt_name_of_a_field_with_a_broken_call_leaves_the_field_unread() -> None:
    broken = {"commands": {**WRONG_CALLS["commands"], "close": 5}, "comands": {}}
    found = findings_in({**WRONG_CALLS, **broken})
    assert {each[:2] for each in found if each[0] in broken} == {
        ("commands", "close"),
        ("comands", "there is no such field; did you mean 'commands'?"),
    }


@pytest.mark.parametrize("call", WRONG_CALLS["further_calls"])
def test_broken_call_may_have_the_only_use_of_a_parameter(call: str) -> None:
    unused = {**WRONG_CALLS, "parameters": ["owner", "door"]}
    (message,) = [each[1] for each in findings_in(unused) if each[0] == "parameters"]
    assert "'door' is in no path" in message

    broken = {**WRONG_CALLS["further_calls"], call: {"method": "POST"}}

    assert "parameters" not in {each[0] for each in findings_in({**unused, "further_calls": broken})}


def test_command_names_keep_their_type() -> None:
    as_text: Any = {str(command): call for command, call in V1.commands.items()}
    assert {type(each) for each in replace(V1, commands=V1.commands).commands} == {V1Event}
    assert {type(each) for each in replace(V1, commands=as_text).commands} == {str}


BODY: dict[str, Any] = {"action": "stop", "options": {"force": True}, "steps": [{"name": "first"}, ["a"]]}
DECLARED_WITH_ALL = replace(
    V2,
    headers={"Accept-Version": "2"},
    error_field="error",
    error_codes={-32001: 404},
    create=replace(V2.create, body=BODY, query={"dry": "no"}, headers={"X-One": "1"}),
    status=replace(V2.status, statuses={404: "stopped"}),
    details=replace(V2.details, statuses={404: "stopped"}),
)


def mappings_in(value: Any) -> Iterator[Any]:
    """Yield every mapping and list in a binding, in its parts and in what they hold."""
    parts: list[Any] = []
    if isinstance(value, Mapping):
        parts = [*cast("Any", value).values()]
    elif isinstance(value, list | tuple):
        parts = [*cast("Any", value)]
    elif is_dataclass(value):
        parts = [getattr(value, each.name) for each in fields(value)]
    if isinstance(value, Mapping | list):
        yield value
    for each in parts:
        yield from mappings_in(each)


def test_no_mapping_and_no_list_of_a_checked_binding_can_be_changed() -> None:
    found = list(mappings_in(DECLARED_WITH_ALL))
    # fmt: off
    changes: list[Callable[[Any], object]] = [
        lambda it: it.update(a=1), lambda it: it.clear(), lambda it: it.pop("a"), lambda it: it.popitem(),
        lambda it: it.setdefault("a", 1), lambda it: operator.setitem(it, "a", 1), lambda it: operator.delitem(it, "a"),
        lambda it: it.__ior__({"a": 1}),
    ]
    of_lists: list[Callable[[Any], object]] = [
        lambda it: it.append(1), lambda it: it.extend([1]), lambda it: it.insert(0, 1), lambda it: it.pop(),
        lambda it: it.remove(it[0]), lambda it: it.clear(), lambda it: it.sort(), lambda it: it.reverse(),
        lambda it: operator.setitem(it, 0, 1), lambda it: operator.delitem(it, 0), lambda it: it.__iadd__([1]),
        lambda it: it.__imul__(2),
    ]
    # fmt: on
    for each in found:
        before = deepcopy(each)
        for change in of_lists if isinstance(each, list) else changes:
            with suppress(TypeError, AttributeError, KeyError):
                change(each)
            assert each == before
    assert sum(isinstance(each, list) for each in found) == 2
    assert BODY in found


def test_a_binding_does_not_change_with_the_mappings_that_it_was_made_of() -> None:
    body: dict[str, Any] = {"options": {}, "steps": [[]]}
    call = Call(method="POST", path="/jobs", body=body)
    body["options"]["force"] = True
    body["steps"][0].append("a")
    assert call.body == {"options": {}, "steps": [[]]}


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("copied", [copy, deepcopy, replace, pickled])
def test_a_copy_of_a_binding_equals_it_and_cannot_be_changed(copied: Callable[[Any], Any]) -> None:
    again = copied(DECLARED_WITH_ALL)
    assert (again, hash(again)) == (DECLARED_WITH_ALL, hash(DECLARED_WITH_ALL))
    assert json.loads(json.dumps(again.create.body)) == BODY
    with pytest.raises(TypeError, match=r"cannot be changed: make a changed copy with `dataclasses\.replace`"):
        again.create.body["action"] = "pause"
    with pytest.raises(TypeError, match=r"cannot be changed: make a changed copy with `dataclasses\.replace`"):
        again.create.body["steps"].append("second")
