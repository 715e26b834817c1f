"""Declarations: what is found wrong with them, extensions, documents, and what a sound one is as an object."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from enum import Enum, IntEnum, StrEnum
from typing import Any, cast

import pytest
from pydantic import BaseModel, TypeAdapter

from lifecycle import (
    V1,
    V1_FULL,
    Alias,
    Channel,
    Declaration,
    DefinitionError,
    Event,
    IllegalTransition,
    Invariant,
    Lifecycle,
    Origin,
    Rule,
    State,
    Transition,
    Transitions,
    V1Event,
    V1State,
    V2Event,
    V2State,
    get,
    validation,
)
from lifecycle.documents import read_json
from lifecycle.findings import made_from

Declared = Lifecycle[str, str]
Document = dict[str, Any]


def states(text: str) -> list[Document]:
    """`*initial, state, [final]` as in a document."""
    return [
        {"name": word.strip("*[]")}
        | ({"initial": True} if "*" in word else {})
        | ({"final": True} if "[" in word else {})
        for word in text.split()
    ]


def rows(text: str) -> list[Document]:
    return [dict(zip(("source", "event", "target"), row.split(), strict=True)) for row in text.split(";")]


def several(source: object, event: str, *, to: str = "gone") -> Document:
    return {"source": source, "event": event, "target": to}


def promise(rule: str, *, events: str = "", states: str = "") -> Document:
    return {"name": "p", "rule": rule, "events": events.split(), "states": states.split(), "citation": "said"}


DOOR: Document = {
    "name": "door",
    "citation": "the joiner's manual",
    "states": states("*open shut [gone]"),
    "events": [
        {"name": "close", "origin": "caller"},
        {"name": "unlatch", "origin": "caller"},
        {"name": "rot", "origin": "remote"},
    ],
    "transitions": rows("open close shut; shut unlatch open; open rot gone; shut rot gone"),
}


def door(**changes: Any) -> Declared:
    return Lifecycle.from_declaration({**DOOR, **changes})


def found(make: Callable[[], object]) -> list[str]:
    """Return the errors in a declaration, as text."""
    with pytest.raises(DefinitionError) as info:
        make()
    listed = [str(finding) for finding in info.value.findings]
    assert all(f"\n  {line}" in str(info.value) for line in listed)
    return listed


# --- findings ----------------------------------------------------------------------------------

FINDINGS: list[tuple[Document, list[str]]] = [
    ({"name": ""}, ["bad_name: lifecycle '': a name is 1 to 100 printable characters"]),
    ({"name": "a\nb"}, ["bad_name: lifecycle 'a\\nb': a name is 1 to 100 printable characters"]),
    ({"name": " "}, ["bad_name: lifecycle ' ': a name neither begins nor ends with a blank"]),
    ({"name": "x" * 101}, [f"bad_name: lifecycle '{'x' * 75}...: a name is 1 to 100 printable characters"]),
    (
        {"states": states("*open shut [gone] shut")},
        ["duplicate_name: state 'shut': is declared 2 times"],
    ),
    (
        {"events": [*DOOR["events"], {"name": "rot", "origin": "caller"}]},
        ["duplicate_name: event 'rot': is declared 2 times"],
    ),
    (
        {"transitions": [*DOOR["transitions"], *rows("open close gone")]},
        ["duplicate_row: transitions[4]: (open, close) has a row already, transitions[0]"],
    ),
    (
        {"transitions": [*DOOR["transitions"], *rows("shut close opne")]},
        ["unknown_name: transitions[4]: state 'opne' is not declared; did you mean 'open'?"],
    ),
    (
        {"transitions": [*DOOR["transitions"], *rows("nowhere paint shut")]},
        [
            "unknown_name: transitions[4]: state 'nowhere' is not declared",
            "unknown_name: transitions[4]: event 'paint' is not declared",
        ],
    ),
    (
        {"aliases": [{"channel": "webhook", "status": "ajar", "state": "opened"}]},
        ["unknown_name: alias 'ajar': state 'opened' is not declared; did you mean 'open'?"],
    ),
    (
        {"invariants": [promise("leads_to", events="slam", states="shut shutt")]},
        [
            "unknown_name: invariant 'p': state 'shutt' is not declared; did you mean 'shut'?",
            "unknown_name: invariant 'p': event 'slam' is not declared",
        ],
    ),
    ({"states": states("open shut [gone]")}, ["no_initial_state: states: one state must be initial"]),
    (
        {"states": states("*open *shut [gone]")},
        ["several_initial_states: states: only one may be initial, not open, shut"],
    ),
    (
        {"transitions": [*DOOR["transitions"], *rows("gone unlatch open")]},
        ["final_state_with_exit: transitions[4]: 'unlatch' leads out of 'gone'"],
    ),
    (
        {"states": states("*open shut [gone] [burnt]")},
        ["unreachable_state: state 'burnt': cannot be reached from 'open'"],
    ),
    (
        {
            "states": states("*open shut [gone] stuck"),
            "events": [*DOOR["events"], {"name": "jam", "origin": "remote"}],
            "transitions": [*DOOR["transitions"], *rows("shut jam stuck")],
        },
        ["dead_end: state 'stuck': no final or reopenable state can be reached from it"],
    ),
    (
        {"events": [*DOOR["events"], {"name": "paint", "origin": "caller"}]},
        ["unused_event: event 'paint': no row uses it"],
    ),
    (
        {"states": [*states("*open"), {"name": "shut", "reopenable": True}, *states("[gone]")]},
        [
            (
                "not_reopenable: state 'shut': the service alone can leave it, by 'rot', so that the task is not over: "
                "declare it settled"
            )
        ],
    ),
    (
        {"states": [*states("*open shut"), {"name": "gone", "final": True, "reopenable": True}]},
        [
            (
                "not_reopenable: state 'gone': it is final, and nothing begins its work again: declare it final or "
                "reopenable"
            )
        ],
    ),
    (
        {
            "states": [*states("*open shut"), {"name": "gone", "reopenable": True}],
            "transitions": [*DOOR["transitions"], *rows("gone close gone")],
            "events": [{**DOOR["events"][0], "proved_by_state": False, "idempotent": False}, *DOOR["events"][1:]],
        },
        ["not_reopenable: state 'gone': no command leaves it: declare it final"],
    ),
    (
        {"states": [*states("*open shut"), {"name": "gone", "final": True, "interrupted": True}]},
        ["not_interrupted: state 'gone': the task is over in it"],
    ),
    (
        {"states": [{"name": "open", "initial": True, "interrupted": True}, *states("shut [gone]")]},
        ["not_interrupted: state 'open': no work has begun in it"],
    ),
    (
        {"aliases": [{"channel": "webhook", "status": "shut", "state": "open"}]},
        ["alias_shadows_state: alias 'shut': channel 'webhook' could no longer name that state"],
    ),
    (
        {
            "aliases": [
                {"channel": "webhook", "status": "ajar", "state": "open"},
                {"channel": "api", "status": "ajar", "state": "open"},
                {"channel": "webhook", "status": "ajar", "state": "shut"},
            ]
        },
        ["duplicate_name: alias 'ajar': is declared 2 times for channel 'webhook'"],
    ),
    (
        {
            "events": [*DOOR["events"], {"name": "blow", "origin": "remote"}],
            "transitions": [*DOOR["transitions"], *rows("shut blow open")],
        },
        [
            (
                "not_idempotent: event 'close': it leads to 'shut', from where the service alone can reach 'open', "
                "which accepts it again: declare idempotent=False"
            ),
        ],
    ),
    (
        {
            "events": [*DOOR["events"], {"name": "paint", "origin": "caller"}, {"name": "creak", "origin": "remote"}],
            "transitions": [*DOOR["transitions"], *rows("open paint open;shut paint shut;shut creak shut")],
        },
        [
            (
                "not_proved_by_state: event 'paint': it leads from 'shut' to 'shut', so that being there proves "
                "nothing: declare proved_by_state=False"
            ),
        ],
    ),
    (
        {"invariants": [promise("final", states="shut")]},
        [
            "broken_invariant: invariant 'p': 'unlatch' leads to 'open' in 'shut'",
            "broken_invariant: invariant 'p': 'rot' leads to 'gone' in 'shut'",
        ],
    ),
    (
        {"invariants": [promise("accepted_until_final", events="close")]},
        ["broken_invariant: invariant 'p': 'close' is refused in 'shut'"],
    ),
    (
        {"invariants": [promise("final"), promise("leads_to", events="rot"), promise("irreversible", states="gone")]},
        [
            "bad_value: invariant 'p': the rule 'final' needs states",
            "bad_value: invariant 'p': the rule 'leads_to' needs states",
            "bad_value: invariant 'p': the rule 'irreversible' needs events",
            "bad_value: invariant 'p': the rule 'irreversible' takes no states",
        ],
    ),
    ({"states": [], "events": [], "transitions": []}, ["no_initial_state: states: one state must be initial"]),
    # Rows of several sources.
    (
        {"transitions": [*DOOR["transitions"], {"source": ["nowhere", "opne"], "event": "rot", "target": "gnoe"}]},
        [
            "unknown_name: transitions[4].source[0]: state 'nowhere' is not declared",
            "unknown_name: transitions[4].source[1]: state 'opne' is not declared; did you mean 'open'?",
            "unknown_name: transitions[4]: state 'gnoe' is not declared; did you mean 'gone'?",
        ],
    ),
    (
        {"transitions": [*DOOR["transitions"], {"source": ["gone", "open"], "event": "close", "target": "shut"}]},
        [
            "final_state_with_exit: transitions[4].source[0]: 'close' leads out of 'gone'",
            "duplicate_row: transitions[4].source[1]: (open, close) has a row already, transitions[0]",
        ],
    ),
    (
        {"transitions": [*rows("open close shut; shut unlatch open"), several("*", "rot"), several(["shut"], "rot")]},
        ["duplicate_row: transitions[3].source[0]: (shut, rot) has a row already, transitions[2]"],
    ),
    (
        {"transitions": [*rows("open close shut; shut unlatch open"), several(["open", "open", "shut"], "rot")]},
        ["duplicate_row: transitions[2].source[1]: (open, rot) has a row already, transitions[2].source[0]"],
    ),
    (
        {"transitions": [*DOOR["transitions"], several([], "rot")]},
        ["bad_value: transitions[4]: its source contains no state"],
    ),
    (
        {"states": states("*open [gone]"), "transitions": [several("open", "rot"), several("*", "close", to="open")]},
        ["bad_value: transitions[1]: its source contains no state", "unused_event: event 'unlatch': no row uses it"],
    ),
    (
        {"transitions": [several([True, "open"], "rot"), several(7, "rot")]},
        [
            "bad_value: transitions[0].source[0]: should be a valid string, not True",
            "bad_value: transitions[1].source: should be a valid string, not 7",
            "unused_event: event 'close': no row uses it",
            "unused_event: event 'unlatch': no row uses it",
        ],
    ),
    (
        {"states": [*states("*open shut [gone]"), {"name": "*"}]},
        [
            (
                "bad_name: state '*': as a source it means every state that is neither final nor the target, so that no"
                " state can have this name"
            ),
        ],
    ),
    # Too much to be examined; nothing else is then looked at.
    (
        {
            "states": states("*open shut [gone] " + " ".join(f"s{i}" for i in range(1_997))),
            "transitions": [several("*", "rot"), *[several("*", "close", to="shut")] * 5, several(["open"] * 7, "rot")],
        },
        [
            (
                "too_large: transitions: 11,996 are declared and at most 10,000 are allowed: declare several "
                "lifecycles instead"
            )
        ],
    ),
    (
        {"states": states("*open shut [gone] " + " ".join(f"s{i}" for i in range(1_998))), "name": ""},
        ["too_large: states: 2,001 are declared and at most 2,000 are allowed: declare several lifecycles instead"],
    ),
    (
        {"aliases": [{"channel": f"c{i}", "status": "ajar", "state": "open"} for i in range(101)]},
        ["too_large: channels: 101 are declared and at most 100 are allowed: declare several lifecycles instead"],
    ),
    (
        {"transitions": [*DOOR["transitions"], *rows(";".join(["shut rot nowhere"] * 100))]},
        [
            *(f"unknown_name: transitions[{i}]: state 'nowhere' is not declared" for i in range(4, 104)),
            "more_findings: declaration: there are more; correct these, then examine it again",
        ],
    ),
    # Values of the wrong form. What rests on them is left out.
    ({"citation": None}, ["bad_value: citation: should be a valid string, not None"]),
    ({"colour": "red"}, ["bad_value: colour: there is no such field"]),
    ({"citations": "this"}, ["bad_value: citations: there is no such field; did you mean 'citation'?"]),
    (
        {"transitions": [{"sorce": ["open"], "source": ["open"], "event": "close", "target": "shut"}]},
        [
            "bad_value: transitions[0].sorce: there is no such field; did you mean 'source'?",
            "unused_event: event 'unlatch': no row uses it",
            "unused_event: event 'rot': no row uses it",
        ],
    ),
    ({"states": "open"}, ["bad_value: states: should be a list"]),
    (
        {"states": [{"name": True, "initial": True}, {"inital": True}, "gone"]},
        [
            "bad_value: states[0].name: should be a valid string, not True",
            "bad_value: states[1].name: is missing",
            "bad_value: states[1].inital: there is no such field; did you mean 'initial'?",
            "bad_value: states[2]: should be a dictionary or an instance of State, not 'gone'",
        ],
    ),
    (
        {"events": [{"name": "close", "origin": "nobody"}, {"name": ["close"], "origin": "caller"}]},
        [
            "bad_value: events[0].origin: should be 'caller' or 'remote', not 'nobody'",
            "bad_value: events[1].name: should be a valid string, not a list",
        ],
    ),
    (
        {"citation": "\ud800"},
        ["bad_value: citation: contains half of a surrogate pair, which cannot be written"],
    ),
]


def code_of(finding: str) -> str:
    return finding.partition(":")[0]


@pytest.mark.parametrize(
    ("changes", "expected"), [pytest.param(*each, id=f"{code_of(each[1][0])}-{i}") for i, each in enumerate(FINDINGS)]
)
def test_findings(changes: Document, expected: list[str]) -> None:
    assert found(lambda: door(**changes)) == expected


def test_a_command_that_the_service_can_undo_is_sound_if_not_idempotent() -> None:
    _, *others = DOOR["events"]
    close = {"name": "close", "origin": "caller", "idempotent": False}
    events = [close, *others, {"name": "blow", "origin": "remote"}]

    assert door(events=events, transitions=[*DOOR["transitions"], *rows("shut blow open")]).target("open", "close")


def test_a_lifecycle_needs_no_final_state_if_a_reopenable_one_can_be_reached() -> None:
    hinged = [*states("*open"), {"name": "shut", "reopenable": True}]
    events = [{**DOOR["events"][0], "idempotent": False}, DOOR["events"][1]]

    sound = door(states=hinged, events=events, transitions=rows("open close shut; shut unlatch open"))

    assert (sound.final_states, sound.settled_states) == ((), ("shut",))
    assert Lifecycle.from_yaml(sound.to_yaml()) == sound
    assert found(lambda: sound.replace(states=states("*open shut"))) == [
        "dead_end: state 'open': no final or reopenable state can be reached from it",
        "dead_end: state 'shut': no final or reopenable state can be reached from it",
    ]


def test_door_fixture_is_sound() -> None:
    assert door().covering_paths() == (("close", "unlatch", "rot"), ("close", "rot"))


def test_every_documented_code_is_found_by_some_test() -> None:
    documented = set(re.findall(r"^    ([a-z_]+)  ", validation.__doc__ or "", re.MULTILINE))
    tested = {code_of(line) for _, expected in (*FINDINGS, *EXTENSIONS, *DOCUMENTS) for line in expected}

    assert tested == documented


def test_all_findings_come_at_once_and_in_order() -> None:
    def make() -> Declared:
        return door(
            name="",
            states=states("*open *shut [gone] shut"),
            transitions=[*DOOR["transitions"], *rows("open close gone; gone rot oepn")],
            events=[*DOOR["events"], {"name": "paint", "origin": "caller"}],
            aliases=[{"channel": "api", "status": "gone", "state": "shut"}],
        )

    assert [code_of(line) for line in found(make)] == [
        "bad_name",
        "duplicate_name",
        "unknown_name",
        "duplicate_row",
        "final_state_with_exit",
        "several_initial_states",
        "alias_shadows_state",
        "unused_event",
    ]


@pytest.mark.parametrize("document", [None, 7, "door", [], [DOOR]])
def test_a_declaration_must_be_a_mapping(document: Any) -> None:
    (line,) = found(lambda: cast("Declared", Lifecycle.from_declaration(document)))

    assert line.startswith("bad_value: declaration: should be a mapping of its fields, not ")


def test_parts_given_as_objects_are_validated_like_parts_of_a_document() -> None:
    def make(**changes: Any) -> Declared:
        parts: Document = {
            "states": (State("open", initial=True), State("gone", final=True)),
            "events": (Event("rot", Origin.REMOTE),),
            "transitions": (Transition("open", "rot", "gone"),),
        }
        return Lifecycle(name="door", citation="", **{**parts, **changes})

    text: Any = "caller"
    worse: Any = ["open"]
    assert make(events=(Event("rot", text),)).commands == ("rot",)
    assert make(states=(part for part in make().states)) == make()
    assert found(lambda: make(states=(State(worse, initial=True), State("gone", worse, final=True)))) == [
        "bad_value: states[0].name: should be a valid string, not a list",
        "bad_value: states[1].meaning: should be a valid string, not a list",
    ]


def test_a_row_of_several_sources_is_read_from_objects_as_from_documents() -> None:
    document = [*rows("open close shut"), several(["shut"], "unlatch", to="open"), several("*", "rot")]
    objects = [
        Transition("open", "close", "shut"),
        Transitions(("shut",), "unlatch", "open"),
        Transitions("*", "rot", "gone"),
    ]

    assert door(transitions=document) == door(transitions=objects) == door()
    assert door(transitions=objects).to_json() == door().to_json()
    worse: Any = ("open", "shut")
    assert found(lambda: door(transitions=[Transition(worse, "rot", "gone")])) == [
        "bad_value: transitions[0].source: should be a valid string, not a tuple",
        "unused_event: event 'close': no row uses it",
        "unused_event: event 'unlatch': no row uses it",
    ]


# --- extensions --------------------------------------------------------------------------------

HATCH: Declared = Lifecycle(
    name="hatch",
    citation="",
    states=(State("open", initial=True), State("shut"), State("gone", final=True)),
    events=(Event("close", Origin.CALLER), Event("rot", Origin.REMOTE)),
    transitions=(Transition("open", "close", "shut"), Transition("shut", "rot", "gone")),
    invariants=(Invariant("closing shuts", Rule.LEADS_TO, events=("close",), states=("shut",), citation=""),),
)
PUSH = (Event("push", Origin.CALLER),)


def extended(**changes: Any) -> Declared:
    return HATCH.extend(name="big hatch", citation="", **changes)


EXTENSIONS: list[tuple[Document, list[str]]] = [
    (
        {
            "states": (State("burnt", final=True),),
            "events": PUSH,
            "transitions": (Transition("gone", "push", "burnt"),),
        },
        [
            "final_state_with_exit: transitions[2]: 'push' leads out of 'gone'",
            "base_final_changed: added transitions[0]: 'gone' is final in 'hatch'",
        ],
    ),
    (
        {"transitions": (Transition("open", "rot", "gone"),)},
        ["base_answer_changed: added transitions[0]: (open, rot) is refused in 'hatch'"],
    ),
    (
        {"transitions": (Transition("open", "close", "gone"),)},
        [
            "duplicate_row: transitions[2]: (open, close) has a row already, transitions[0]",
            "base_answer_changed: added transitions[0]: (open, close) leads to 'shut' in 'hatch'",
        ],
    ),
    (
        {
            "states": (State("ajar"),),
            "events": (*PUSH, Event("pull", Origin.CALLER)),
            "transitions": (Transition("shut", "push", "ajar"), Transition("ajar", "pull", "open")),
        },
        ["base_reachability_changed: state 'shut': 'open' cannot follow it in 'hatch'"],
    ),
    (
        {
            "states": (State("ajar", initial=True),),
            "events": PUSH,
            "transitions": (Transition("ajar", "push", "gone"),),
        },
        [
            "unreachable_state: state 'open': cannot be reached from 'ajar'",
            "unreachable_state: state 'shut': cannot be reached from 'ajar'",
            "base_initial_unreachable: state 'ajar': 'open' cannot be reached from it",
        ],
    ),
    (
        {
            "states": (State("ajar"),),
            "events": PUSH,
            "transitions": (Transition("open", "push", "ajar"), Transition("ajar", "close", "gone")),
        },
        ["broken_invariant: invariant 'closing shuts': 'close' leads to 'gone' in 'ajar'"],
    ),
    (
        {"states": (State("shut"),), "transitions": (Transition("open", "slam", "shut"),)},
        [
            "duplicate_name: state 'shut': is declared 2 times",
            "unknown_name: transitions[2]: event 'slam' is not declared",
        ],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), EXTENSIONS)
def test_an_extension_that_would_change_its_base_is_refused(changes: Document, expected: list[str]) -> None:
    assert found(lambda: extended(**changes)) == expected


def test_an_extension_keeps_the_parts_of_its_base() -> None:
    big = extended(
        states=(State("crated", initial=True),),
        events=(Event("unpack", Origin.REMOTE),),
        transitions=(Transition("crated", "unpack", "open"),),
        aliases=(Alias(Channel.WEBHOOK, "boxed", "crated"),),
        invariants=(Invariant("unpacked once", Rule.ONLY_IN, events=("unpack",), states=("crated",), citation=""),),
    )

    assert big.initial == "crated"
    assert [state.name for state in big.states] == ["open", "shut", "gone", "crated"]
    assert big.transitions[:2] == HATCH.transitions
    assert [invariant.name for invariant in big.invariants] == ["closing shuts", "unpacked once"]
    assert big.state_of("boxed", channel="webhook") == "crated"
    assert HATCH.initial == "open"


def test_an_empty_extension_is_the_base_by_another_name() -> None:
    assert extended() == HATCH.replace(name="big hatch")


def test_every_state_in_an_extension_includes_those_of_its_base() -> None:
    added = State("ajar"), State("burnt", final=True)
    events = Event("push", Origin.CALLER), Event("burn", Origin.REMOTE)
    big = extended(
        states=added,
        events=events,
        transitions=(Transition("open", "push", "ajar"), Transitions("*", "burn", "burnt")),
    )

    assert big.transitions[2:] == (
        Transition("open", "push", "ajar"),
        Transition("open", "burn", "burnt"),
        Transition("shut", "burn", "burnt"),
        Transition("ajar", "burn", "burnt"),
    )
    assert found(lambda: extended(transitions=(Transitions(("open", "shut"), "close", "shut"),))) == [
        "duplicate_row: transitions[2].source[0]: (open, close) has a row already, transitions[0]",
        "base_answer_changed: added transitions[0].source[1]: (shut, close) is refused in 'hatch'",
    ]


# --- text that is not a declaration ---------------------------------------------------------------

DEEP = "[" * 100_000
DOCUMENTS: list[tuple[str | bytes, list[str]]] = [
    (
        "{",
        [
            (
                "bad_document: text (line 1): not JSON: Expecting property name enclosed in double quotes: "
                "line 1 column 2 (char 1)"
            )
        ],
    ),
    ("", ["bad_document: text (line 1): not JSON: Expecting value: line 1 column 1 (char 0)"]),
    (
        '{"openapi": "3.1.0", "paths": {}}',
        [
            (
                "openapi_document: document: is an OpenAPI document, not a declaration; `lifecycle import` drafts "
                "a service file from one"
            )
        ],
    ),
    (
        '{"name": "a", "base_url": "https://a.example",\n "lifecycle": {"name": "a"}, "create": {}}',
        [
            (
                "bad_value: document: declares a service; `HttpBinding.from_file` reads it, and its"
                " `lifecycle` is the lifecycle in it"
            )
        ],
    ),
    (DEEP, ["bad_document: text (line 1): not JSON: it is nested too deeply"]),
    (DEEP + "]" * 100_000, ["bad_document: text (line 1): not JSON: it is nested too deeply"]),
    (
        b'["caf\xe9"]',
        [
            (
                "bad_document: text (line 1): not JSON: 'utf-8' codec can't decode byte 0xe9 in position 5: "
                "invalid continuation byte"
            )
        ],
    ),
    ("[1]", ["bad_value: declaration (line 1): should be a mapping of its fields, not a list"]),
    (
        '{"name": "a",\n "name": "b"}',
        [
            "duplicate_key: name (line 2): is written twice; the first one would be ignored",
            *(f"bad_value: {field} (line 1): is missing" for field in ("citation", "states", "events", "transitions")),
        ],
    ),
    ("null", ["bad_value: declaration (line 1): should be a mapping of its fields, not None"]),
]


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*each, id=str(i)) for i, each in enumerate(DOCUMENTS)])
def test_a_text_that_is_not_a_declaration_is_refused(text: str | bytes, expected: list[str]) -> None:
    assert found(lambda: Lifecycle.from_json(text)) == expected


def test_a_lifecycle_in_place_of_a_service_is_the_one_finding() -> None:
    said = "bad_value: document: declares a lifecycle; a service has one in its field `lifecycle`, beside its calls"
    assert found(lambda: made_from(read_json('{"name": "a", "states": []}'), dict, kind="binding")) == [said]
    assert made_from(read_json('{"states": [], "lifecycle": {}}'), len, kind="binding") == 2


# --- invariants --------------------------------------------------------------------------------


def test_a_declared_lifecycle_violates_none_of_its_invariants(declared: Declared) -> None:
    assert declared.violations() == ()


@pytest.mark.parametrize(
    ("state", "event", "answer", "broken"),
    [
        (
            V1State.STOPPED,
            V1Event.RESUME,
            V1State.RUNNING,
            ["a stopped task cannot be resumed", "only a paused task can be resumed", "stopped is final"],
        ),
        (V1State.PAUSED, V1Event.STOP, V1State.RUNNING, ["stop is irreversible", "stop leads to stopped"]),
        (V1State.PAUSED, V1Event.RESUME, V1State.PAUSED, ["resume leads to running"]),
        (V1State.RUNNING, V1Event.PAUSE, None, ["pause applies to a running task"]),
        (V1State.PAUSED, V1Event.STOP, None, ["a task that is not over can be stopped"]),
        (V1State.PAUSED, V1Event.RESUME, None, ["a paused task can be resumed"]),
        (V1State.PAUSED, V1Event.PAUSE, V1State.PAUSED, []),  # no invariant says that a paused task refuses it
    ],
)
def test_an_executor_with_other_results_violates_invariants(
    state: V1State, event: V1Event, answer: V1State | None, broken: list[str]
) -> None:
    def wrong(asked: V1State, by: V1Event) -> V1State | None:
        return answer if (asked, by) == (state, event) else V1.target(asked, by)

    findings = V1.violations(wrong)
    said = f"leads to '{answer}'" if answer else "is refused"

    assert [finding.where for finding in findings] == [f"invariant '{name}'" for name in broken]
    assert {finding.code for finding in findings} <= {"broken_invariant"}
    assert {finding.message for finding in findings} <= {f"'{event}' {said} in '{state}'"}


# --- a lifecycle as an object ------------------------------------------------------------------


def test_lifecycle_parts_are_found_by_name() -> None:
    assert V1.state(V1State.PAUSED) == State(V1State.PAUSED, "temporarily halted; can be resumed")
    assert V1.event(V1Event.STOP).origin is Origin.CALLER
    assert V1.commands == (V1Event.PAUSE, V1Event.RESUME, V1Event.STOP)
    assert V1_FULL.commands == V1.commands
    assert V1_FULL.final_states == (V1State.STOPPED, V1State.FINISHED, V1State.FAILED)


def test_lifecycle_is_immutable() -> None:
    for name in ("name", "_targets", "own"):
        with pytest.raises(AttributeError, match="a lifecycle cannot be changed"):
            setattr(V1, name, {})
        with pytest.raises(AttributeError, match="a lifecycle cannot be changed"):
            delattr(V1, name)
    with pytest.raises(FrozenInstanceError):
        V1.states[0].name = V1State.PAUSED  # type: ignore[misc]


def test_a_changed_copy_is_examined_and_compiled_like_any_other() -> None:
    renamed = V1.replace(name="v9")
    shorter = V1.replace(invariants=(), transitions=V1.transitions[:-1])

    with pytest.raises(IllegalTransition, match=r"^v9: "):
        renamed.step(V1State.STOPPED, V1Event.RESUME)
    assert shorter.target(V1State.PAUSED, V1Event.STOP) is None
    assert V1.target(V1State.PAUSED, V1Event.STOP) is V1State.STOPPED
    assert found(lambda: V1.replace(transitions=V1.transitions[:-1])) == [
        "broken_invariant: invariant 'a task that is not over can be stopped': 'stop' is refused in 'paused'"
    ]
    assert found(lambda: V1.replace(colour="red")) == ["bad_value: colour: there is no such field"]


def test_an_unchanged_copy_is_the_lifecycle_itself(declared: Declared) -> None:
    assert copy.copy(declared) is declared
    assert copy.deepcopy([declared])[0] is declared
    bare: Any = Lifecycle
    assert TypeAdapter[Any](bare).validate_python(declared) is declared


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_gives_an_equal_lifecycle_with_the_same_members(declared: Declared, protocol: int) -> None:
    again: Declared = pickle.loads(pickle.dumps(declared, protocol))

    assert again == declared
    assert hash(again) == hash(declared)
    assert again.initial is declared.initial
    assert again.covering_paths() == declared.covering_paths()


def test_a_lifecycle_reaches_another_process() -> None:
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).step('running', 'pause'))"

    answer = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(V1), capture_output=True, check=True)

    assert answer.stdout.decode().strip() == "paused"


def test_equality_is_by_declaration() -> None:
    assert len({V1, V1.replace(name="v1"), V1_FULL}) == 2
    assert V1.replace(citation="elsewhere") != V1


# --- names and how they show --------------------------------------------------------------------


class Loud(StrEnum):
    """Shows as another text than it is."""

    OPEN = "open"
    GONE = "gone"

    def __str__(self) -> str:
        return self.value.upper()


class Formatted(StrEnum):
    OPEN = "open"
    GONE = "gone"

    def __format__(self, spec: str) -> str:
        return "x"


class Generated(str, Enum):  # noqa: UP042 (what many generated SDKs have)
    OPEN = "open"
    GONE = "gone"


class Number(IntEnum):
    OPEN = 1
    GONE = 2


class Plain(Enum):
    OPEN = "open"
    GONE = "gone"


class Rot(StrEnum):
    ROT = "rot"


def of(kind: Any, names: Any) -> Declared:
    return cast(
        "Declared",
        kind(
            name="door",
            citation="",
            states=(State(names.OPEN, initial=True), State(names.GONE, final=True)),
            events=(Event(Rot.ROT, Origin.REMOTE),),
            transitions=(Transition(names.OPEN, Rot.ROT, names.GONE),),
        ),
    )


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        (Loud, "bad_name", "it is shown as 'OPEN': use a StrEnum with no __str__ of its own, or plain text"),
        (Formatted, "bad_name", "it is shown as 'x': use"),
        (Generated, "bad_name", "it is shown as 'Generated.OPEN': use"),
        (Number, "bad_value", "should be a valid string, not"),
        (Plain, "bad_value", "should be a valid string, not"),
    ],
)
def test_names_with_a_different_display_text_are_refused(names: Any, code: str, message: str, typed: bool) -> None:
    listed = found(lambda: of(Lifecycle[names, Rot] if typed else Lifecycle, names))

    assert {code_of(line) for line in listed} == {code}
    assert message in listed[0]


@pytest.mark.parametrize("name", [b"open", bytearray(b"open"), 1, None])
def test_names_are_text(name: Any) -> None:
    listed = found(lambda: door(states=[{"name": name, "initial": True}]))

    assert listed[0].startswith("bad_value: states[0].name: should be a valid string, not ")
    assert found(lambda: door(citation=b"x")) == ["bad_value: citation: should be a valid string, not a bytes"]
    assert found(lambda: door(name=b"x")) == ["bad_value: name: should be a valid string, not a bytes"]


def test_members_of_other_enumerations_work_like_their_text() -> None:
    """Generated SDKs have members of `class S(str, Enum)`, which show as `S.OPEN`."""
    lifecycle, names = door(), cast("Any", Generated)

    assert lifecycle.target(names.OPEN, "rot") == "gone"
    assert lifecycle.state_of(names.GONE) == "gone"
    assert lifecycle.check([names.OPEN, names.GONE]) == ()
    assert [
        type(each) for each in (lifecycle.replay((), start=names.OPEN), lifecycle.judge(names.OPEN, "rot").state)
    ] == [str, str]
    seen = lifecycle.observe(names.OPEN, "open")
    assert [type(each) for each in (seen.known, seen.state)] == [str, str]
    assert lifecycle.observe(names.GONE, names.OPEN).reason == "'open' comes before 'gone': a late report"
    assert lifecycle.check([names.GONE])[0].message == "'gone' at the start: wrong_start; possible: open"
    with pytest.raises(IllegalTransition, match=r"^door: 'rot' is not allowed in 'gone'; 'gone' is final$"):
        lifecycle.step(names.GONE, "rot")


# --- with the types known ----------------------------------------------------------------------


def test_a_document_is_read_into_the_members_of_known_enumerations() -> None:
    typed = Lifecycle.from_json(V1.to_json(), states=V1State, events=V1Event)

    assert typed == V1
    assert typed.initial is V1State.RUNNING
    assert typed.step(V1State.RUNNING, V1Event.PAUSE) is V1State.PAUSED
    assert pickle.loads(pickle.dumps(typed)) == V1


def test_a_field_with_known_types_accepts_a_lifecycle() -> None:
    class Worker(BaseModel):
        lifecycle: Lifecycle[V1State, V1Event]

    assert Worker(lifecycle=V1).lifecycle == V1
    plain: Any = Lifecycle.from_json(V1.to_json())
    assert Worker(lifecycle=plain).lifecycle.initial is V1State.RUNNING


def test_members_of_another_enumeration_are_read_by_their_text() -> None:
    class Task(StrEnum):
        RUNNING = "running"
        PAUSED = "paused"
        STOPPED = "stopped"

    typed = Lifecycle.from_declaration(V1.declaration, states=Task, events=V1Event)

    assert [type(state.name) for state in typed.states] == [Task, Task, Task]
    assert typed.step(Task.RUNNING, V1Event.PAUSE) is Task.PAUSED


def test_members_that_are_not_in_known_enumerations_are_found() -> None:
    listed = found(lambda: Lifecycle.from_declaration(V1.declaration, states=V2State, events=V2Event))

    assert listed[0] == (
        "bad_value: states[0].name: should be 'created', 'started', 'finished', 'stopped' or 'failed', not 'running'"
    )
    assert {code_of(line) for line in listed} == {"bad_value"}


# --- made from a declaration, and only so ----------------------------------------------------------


def test_pydantic_construct_makes_no_unsound_lifecycle() -> None:
    assert [name for name in dir(BaseModel) if not name.startswith("_") and hasattr(V1, name)] == []
    construct: Any = Declaration.model_construct
    unsound = construct(name="door", citation="", states=(), events=(), transitions=())
    unchecked = construct(name="door", states="open")

    assert code_of(found(lambda: Lifecycle.from_declaration(unsound))[0]) == "no_initial_state"
    assert {code_of(line) for line in found(lambda: Lifecycle.from_declaration(unchecked))} == {"bad_value"}


def test_a_declaration_makes_an_equal_lifecycle(declared: Declared) -> None:
    assert Lifecycle.from_declaration(declared.declaration) == declared
    assert Lifecycle.from_declaration(declared.declaration.model_dump()) == declared


def test_a_lifecycle_shows_itself_in_one_line() -> None:
    assert repr(V1) == "<Lifecycle 'v1': 3 states, 3 events, 4 transitions>"


def test_a_lifecycle_does_not_equal_other_objects() -> None:
    assert V1 != "v1"


def test_a_field_of_a_model_is_written_and_read_as_the_declaration() -> None:
    class Worker(BaseModel):
        lifecycle: Lifecycle[str, str]
        other: Lifecycle[V1State, V1Event]

    worker = Worker(lifecycle=get("v1"), other=V1_FULL)

    again = Worker.model_validate_json(worker.model_dump_json())
    assert (again.lifecycle, again.other) == (V1, V1_FULL)
    assert "extended_by" in str(Worker.model_json_schema())


def test_a_lifecycle_that_was_not_made_can_be_shown() -> None:
    kind: Any = Lifecycle
    lifecycle = kind.__new__(kind)
    with pytest.raises(DefinitionError):
        lifecycle.__init__(name="", citation="", states=(), events=(), transitions=())
    assert repr(lifecycle) == "<Lifecycle that was not made>"


# --- the enumerations of its names --------------------------------------------------------------


def test_one_enumeration_alone_converts_its_names() -> None:
    document = V1.declaration.model_dump(mode="json")
    read: Any = Lifecycle
    by_states, by_events = (
        read.from_declaration(document, states=V1State),
        read.from_declaration(document, events=V1Event),
    )
    assert (type(by_states.initial), type(by_states.commands[0])) == (V1State, str)
    assert (type(by_events.initial), type(by_events.commands[0])) == (str, V1Event)
    assert "should be 'created', 'started'" in found(lambda: read.from_declaration(document, states=V2State))[0]
    assert "running" in json.dumps(Lifecycle.json_schema(states=V1State))
    assert "resume" not in json.dumps(Lifecycle.json_schema(states=V1State))


@pytest.mark.parametrize("given", [1.5, [], "Running", int, V1State.RUNNING])
@pytest.mark.parametrize("name", ["states", "events"])
def test_enumeration_must_be_a_class_of_texts(name: str, given: Any) -> None:
    document: Any = V1.declaration.model_dump(mode="json")
    read: Any = Lifecycle
    makes: tuple[Callable[[], object], ...] = (
        lambda: read.from_declaration(document, **{name: given}),
        lambda: read.from_json(json.dumps(document), **{name: given}),
        lambda: read.json_schema(**{name: given}),
    )
    for make in makes:
        with pytest.raises(TypeError, match=f"{name} must be a class of texts, such as V1State, not "):
            make()


@pytest.mark.parametrize("given", ["x", 5, None, ["x"], [Transition("a", "b", "c")]])
def test_parts_of_an_extension_are_declared_objects(given: Any) -> None:
    with pytest.raises(TypeError, match="states must be "):
        V1.extend(name="x", citation="", states=given)
    rows: Any = [State("y")] if isinstance(given, list) else given
    with pytest.raises(TypeError, match="transitions must be "):
        V1.extend(name="x", citation="", transitions=rows)


def test_number_is_refused_as_a_file_or_as_events() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="a file is named by a text or a Path, not by 5"):
        Lifecycle.from_file(wrong)
    with pytest.raises(TypeError, match="events must be a list or another iterable, not 5"):
        V1.extend(name="x", citation="x", events=wrong)


def test_target_that_is_not_callable_is_refused() -> None:
    worse: Any = "x"
    with pytest.raises(TypeError, match="target must be a function of a state and an event, not 'x'"):
        V1.violations(worse)
