"""What is found in a declaration with a field of a wrong type: everything that holds whatever the field should be."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from lifecycle import DefinitionError, Event, Invariant, Lifecycle, Origin, Rule, State, Transition, get
from lifecycle.declaration import Path, StrictText
from lifecycle.partial import NotKnown, known_items, partial_part
from tests.lifecycle.test_definition import DOOR, found, promise, rows, several, states

Document = dict[str, Any]

SOUND: Document = {
    **DOOR,
    "states": [*states("*open shut [gone]"), {"name": "ajar", "settled": True}],
    "events": [*DOOR["events"], {"name": "push", "origin": "remote"}],
    "transitions": [
        *rows("open close shut; shut push ajar"),
        several("*", "rot"),
        several(["shut", "ajar"], "unlatch", to="open"),
    ],
    "aliases": [
        {"channel": "webhook", "status": "dented", "state": "shut"},
        {"channel": "webhook", "status": "lost", "state": "gone"},
    ],
    "invariants": [
        promise("leads_to", events="close", states="shut"),
        promise("final", states="gone"),
        promise("accepted_in", events="unlatch", states="shut ajar"),
    ],
}
STATES = ["open", "shut", "gone", "ajar", "opne"]
EVENTS = ["close", "unlatch", "rot", "push", "closs"]
MEANT: dict[str, list[Any]] = {
    "source": STATES, "target": STATES, "state": STATES, "status": [*STATES, "dented", "lost"],
    "event": EVENTS, "origin": ["caller", "remote"], "rule": [*Rule], "channel": ["webhook", "api"],
    "initial": [True, False], "final": [True, False], "settled": [True, False],
}  # fmt: skip
"""The values that a field of a wrong type may be meant to have, by its name."""

NAMES = {*STATES, *EVENTS, "dented", "lost"}

OF_NAMES = {"bad_name", "duplicate_name", "unknown_name", "unused_event"}
LATER = {
    "unreachable_state", "dead_end", "not_reopenable", "not_interrupted", "not_idempotent", "not_proved_by_state",
    "broken_invariant",
}  # fmt: skip
"""The codes of what is found only if nothing else is."""


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value in a document."""
    if path:
        yield path
    whole: Any = value
    keys: Any = whole if isinstance(value, dict) else range(len(whole)) if isinstance(value, list) else ()
    for key in keys:
        yield from places(whole[key], (*path, key))


def kind_of(path: Path) -> str:
    """Return the last name in a path; the name of a state or of an event is of the kind of its uses."""
    last = [part for part in path if isinstance(part, str)][-1]
    if path[0] in ("states", "events") and last == "name":
        return str(path[0])[:-1]
    return {"states": "state", "events": "event"}.get(last, last)


def at(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part]
    return document


PLACES = [*places(SOUND)]
LEAVES = [path for path in PLACES if not isinstance(at(SOUND, path), dict | list)]
NAMED = [(path, name) for path in LEAVES for name in MEANT.get(kind_of(path), ()) if name in NAMES]


def changed(document: Document, path: Path, value: Any) -> Document:
    document = copy.deepcopy(document)
    at(document, path[:-1])[path[-1]] = value
    return document


def findings(document: Document) -> set[tuple[str, Path]]:
    try:
        Lifecycle.from_declaration(document)
    except DefinitionError as error:
        return {(each.code, each.path) for each in error.findings}
    return set()


def as_it_may_be_meant(document: Document, typed: Path) -> Iterator[Document]:
    """Yield a document with each other value that one field in a part may be meant to have."""
    yield document
    for path in LEAVES:
        if path[: len(typed)] == typed:
            *_, field = path
            taken = (
                [part.get(field) for part in document[str(path[0])]] if field in ("name", "status") and path[1:] else []
            )
            for value in MEANT.get(kind_of(path), ()):
                if value not in taken:
                    yield changed(document, path, value)


def are_apart(path: Path, other: Path) -> bool:
    """Return whether two paths are of different fields of parts, neither in the other."""
    common = min(len(path), len(other))
    return path[:common] != other[:common]


@given(st.sampled_from(PLACES), st.sampled_from(NAMED))
@example(("states", 2, "final"), (("transitions", 0, "target"), "opne"))
@example(("states", 0, "name"), (("transitions", 0, "target"), "opne"))
@example(("transitions", 0, "event"), (("transitions", 2, "event"), "closs"))
@example(("transitions", 3, "source", 0), (("transitions", 3, "source", 1), "opne"))
@example(("transitions", 3, "source", 1), (("transitions", 3, "source", 0), "gone"))
@example(("invariants", 2, "states", 0), (("invariants", 2, "states", 1), "opne"))
def test_a_wrong_type_hides_no_certain_finding_and_adds_no_false_one(typed: Path, named: tuple[Path, str]) -> None:
    misnamed = changed(SOUND, *named)
    results = [findings(document) for document in as_it_may_be_meant(misnamed, typed)]
    certain = {
        each
        for each in set[tuple[str, Path]]().union(*results)
        if all(each in result or (each[0] in LATER and {code for code, _ in result} - LATER) for result in results)
    }
    names = {each for each in certain if each[0] in OF_NAMES and are_apart(each[1], typed)}

    both = findings(changed(misnamed, typed, 5))

    assert ("bad_value", typed) in both
    assert names <= both - {("bad_value", typed)} <= certain


class Worker(BaseModel):
    lifecycle: Lifecycle[str, str]


@given(st.sampled_from(PLACES), st.sampled_from(NAMED))
@example(("states", 2, "final"), (("transitions", 0, "target"), "opne"))
def test_a_field_of_a_model_has_the_findings_of_the_declaration(typed: Path, named: tuple[Path, str]) -> None:
    wrong = changed(changed(SOUND, *named), typed, 5)

    with pytest.raises(ValidationError) as raised:
        Worker.model_validate({"lifecycle": wrong})

    assert {each["loc"] for each in raised.value.errors()} == {("lifecycle", *path) for _, path in findings(wrong)}
    assert {each["input"] for each in raised.value.errors() if each["type"] != "value_error"} == {5}


def test_findings_about_names_have_their_lines_beside_those_about_types() -> None:
    text = """
name: door
citation: the joiner's manual
states:
  - {name: open, initial: true}
  - {name: shut, final: 1}
  - {name: ajar, inital: true}
  - {name: gone, final: true}
events:
  - {name: close, origin: 5}
  - {name: rot, origin: remote}
transitions:
  - {source: opne, event: [rot], target: shutt}
  - {source: "*", event: rot, target: gnoe}
  - {source: [shut, ajarr], event: close, target: gone}
  - {source: shut, event: close, target: ajar}
aliases:
  - {channel: api, status: null, state: gonee}
invariants:
  - {name: null, rule: final, states: [gonne], citation: ""}
  - {name: p, rule: finale, states: [gone], citation: ""}
"""
    listed = found(lambda: Lifecycle.from_yaml(text))

    assert [line.partition(": should be")[0] for line in listed] == [
        "bad_value: states[1].final (line 6)",
        "bad_value: states[2].inital (line 7): there is no such field; did you mean 'initial'?",
        "bad_value: events[0].origin (line 10)",
        "bad_value: transitions[0].event (line 13)",
        "bad_value: aliases[0].status (line 18)",
        "bad_value: invariants[0].name (line 20)",
        "bad_value: invariants[1].rule (line 21)",
        "unknown_name: transitions[0] (line 13): state 'opne' is not declared; did you mean 'open'?",
        "unknown_name: transitions[0] (line 13): state 'shutt' is not declared; did you mean 'shut'?",
        "unknown_name: transitions[1] (line 14): state 'gnoe' is not declared; did you mean 'gone'?",
        "unknown_name: transitions[2].source[1] (line 15): state 'ajarr' is not declared; did you mean 'ajar'?",
        "unknown_name: aliases[0] (line 18): state 'gonee' is not declared; did you mean 'gone'?",
        "unknown_name: invariants[0] (line 20): state 'gonne' is not declared; did you mean 'gone'?",
        "duplicate_row: transitions[3] (line 16): (shut, close) has a row already, transitions[2].source[0]",
    ]


def test_findings_about_names_come_beside_those_about_the_types_of_objects() -> None:
    wrong: Any = 5

    def make() -> object:
        return Lifecycle(
            name="door",
            citation="",
            states=[State("open", initial=True), State("gone", final=wrong)],
            events=(Event(name, Origin.REMOTE) for name in ("rot", "burn")),
            transitions=[Transition("open", "rot", "gnoe")],
            invariants=[Invariant("p", Rule.FINAL, states=("gone",), citation=wrong)],
        )

    assert found(make) == [
        "bad_value: states[1].final: should be true or false, not 5",
        "bad_value: invariants[0].citation: should be a valid string, not 5",
        "unknown_name: transitions[0]: state 'gnoe' is not declared; did you mean 'gone'?",
        "unused_event: event 'burn': no row uses it",
    ]


def test_findings_about_names_come_beside_those_about_the_types_of_an_extension() -> None:
    wrong: Any = 5
    odd = [State("odd", final=wrong)]
    added = [Transition("paused", "pause", "runing"), Transition("running", "resume", wrong)]

    assert found(lambda: get("v1").extend(name="v9", citation="", states=odd, transitions=added)) == [
        "bad_value: states[3].final: should be true or false, not 5",
        "bad_value: transitions[5].target: should be a valid string, not 5",
        "unknown_name: transitions[4]: state 'runing' is not declared; did you mean 'running'?",
    ]


def test_an_iterator_that_was_read_to_its_end_is_no_empty_list() -> None:
    final = {**promise("final"), "states": iter(["gone"])}
    wrong_row = {**several([], "unlatch", to="open"), "source": iter(["shut", 5, "opne"])}
    assert found(
        lambda: Lifecycle.from_declaration({**SOUND, "transitions": [*SOUND["transitions"][:3], wrong_row]})
    ) == ["bad_value: transitions[3].source: should be a valid string, not a list_iterator"]
    half_read = {**promise("final"), "states": iter(["gonne", 5])}
    assert found(lambda: Lifecycle.from_declaration({**SOUND, "invariants": [half_read]})) == [
        "bad_value: invariants[0].states[1]: should be a valid string, not 5"
    ]
    for parts in ({"states": iter(SOUND["states"])}, {"invariants": [final]}):
        wrong = {**SOUND, **parts, "citation": 5}
        assert found(lambda: Lifecycle.from_declaration(wrong)) == [  # noqa: B023 (called at once)
            "bad_value: citation: should be a valid string, not 5"
        ]


def test_an_unknown_field_without_a_near_one_may_stand_for_any() -> None:
    over = {"name": "gone", "over": True}

    assert found(lambda: Lifecycle.from_declaration({**SOUND, "states": [*states("*open shut ajar"), over]})) == [
        "bad_value: states[3].over: there is no such field"
    ]


@dataclass
class Door:
    name: StrictText


@dataclass
class House:
    """A part whose field maps texts to parts, as a binding has its commands."""

    doors: Mapping[str, Door]


def test_a_broken_part_of_a_mapping_leaves_the_others_to_be_read() -> None:
    given = {"doors": {"front": {"name": "open"}, "back": {"name": 5}}}

    doors = partial_part(House, given, [("doors", "back", "name")]).doors

    assert (len(doors), [*doors], "back" in doors, "attic" in doors) == (2, ["front", "back"], True, False)
    assert dict(known_items(doors)) == {"front": Door("open")}
    with pytest.raises(NotKnown):
        doors["back"]
    with pytest.raises(KeyError):
        doors["attic"]


@pytest.mark.parametrize("path", [("doors",), ("doors", "back", "[key]")])
def test_a_mapping_with_a_broken_key_or_of_a_wrong_type_is_not_read(path: Path) -> None:
    house = partial_part(House, {"doors": {"front": {"name": "open"}}}, [path])
    with pytest.raises(NotKnown):
        house.doors  # noqa: B018 (reading it raises)
