"""Proofs of commands, compared with the runs that the rows of each lifecycle of the catalog allow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given

from lifecycle import CATALOG, Event, Lifecycle, Origin, State, Transition, Transitions
from lifecycle.proof import CommandProof
from lifecycle.testing import lifecycles

Declared = Lifecycle[str, str]


COMMANDS = [(lifecycle, str(command)) for lifecycle in CATALOG.values() for command in lifecycle.commands]


def reached(lifecycle: Declared, start: str, events: set[str]) -> set[str]:
    """The states that the rows of these events lead to from a state, itself included."""
    found = {start}
    while True:
        more = {row.target for row in lifecycle.transitions if row.source in found and row.event in events}
        if more <= found:
            return found
        found |= more


@pytest.mark.parametrize(("lifecycle", "command"), COMMANDS, ids=lambda each: getattr(each, "name", each))
def test_proofs_are_what_the_rows_allow(lifecycle: Declared, command: str) -> None:
    proof = CommandProof(lifecycle=lifecycle, command=command, by_read=False)
    events = {str(event.name) for event in lifecycle.events}
    remote = {str(event.name) for event in lifecycle.events if event.origin is Origin.REMOTE}
    rows = [row for row in lifecycle.transitions if row.event == command]
    final = {str(state.name) for state in lifecycle.states if state.final}
    states = [str(state.name) for state in lifecycle.states]

    for state in states:
        assert proof.may_have_led_to(state) == any(state in reached(lifecycle, row.target, events) for row in rows)
        assert proof.is_target(state, None) == any(row.target == state for row in rows)
        assert not proof.is_past_target(state, None)
        for row in rows:
            after = reached(lifecycle, row.target, remote)
            without = reached(lifecycle, row.source, events - {command})
            assert proof.is_target(state, row.source) == (state == row.target)
            assert proof.is_past_target(state, row.source) == (state in after - without)
            assert proof.is_over_elsewhere(state, row.source) == (state in final and state != row.target)


def courses(lifecycle: Declared, command: str, begun: set[tuple[str, bool]]) -> set[tuple[str, bool]]:
    """Every state that a task can come to, and whether the command has taken effect by then."""
    found, new = set(begun), set(begun)
    while new:
        rows = [(row, done) for row in lifecycle.transitions for state, done in new if row.source == state]
        new = {(row.target, done or row.event == command) for row, done in rows} - found
        found |= new
    return found


@given(lifecycles())
@example(CATALOG["v4-message"])
@example(CATALOG["v2-2025"])
@example(CATALOG["v3-full"])
def test_state_refuses_a_command_for_good_if_no_effect_is_possible(lifecycle: Declared) -> None:
    states = [state.name for state in lifecycle.states]
    for command in lifecycle.commands:
        proof = CommandProof(lifecycle=lifecycle, command=command, by_read=False)
        everything = courses(lifecycle, command, {(state, False) for state in states})
        for state in states:
            takes_effect_later = any(done for _, done in courses(lifecycle, command, {(state, False)}))
            expected = (state, True) not in everything and not takes_effect_later
            assert proof.is_refused_for_good(state) == expected


def test_another_outcome_proves_an_accepted_command_alone() -> None:
    v4 = CATALOG["v4"]
    cancel = CommandProof(lifecycle=v4, command="cancel", by_read=False, may_report=frozenset({"completed"}))

    assert cancel.is_other_outcome("completed", "running", was_accepted=True)
    assert not cancel.is_other_outcome("failed", "running", was_accepted=True)
    assert not cancel.is_other_outcome("completed", "running", was_accepted=False)  # it can have completed by itself
    assert not cancel.is_other_outcome("completed", None, was_accepted=False)
    assert cancel.may_have_led_to("completed")
    assert not cancel.may_have_led_to("failed")


def test_proof_kinds_of_each_command() -> None:
    v3, v2 = CATALOG["v3-full"], CATALOG["v2-full"]
    dispatch = CommandProof(lifecycle=v3, command="dispatch", by_read=False)
    both = CommandProof(lifecycle=v2, command="stop_task_and_session", by_read=True)
    stop = CommandProof(lifecycle=v3, command="stop", by_read=False)

    assert [each.by_state for each in (dispatch, both, stop)] == [False, False, True]
    assert [each.by_response for each in (dispatch, both, stop)] == [True, False, False]
    assert [each.needs_no_state for each in (dispatch, both, stop)] == [False, True, True]
    assert not replace(stop, names_version=True).needs_no_state, "only a read knows the version"


def test_a_reopenable_state_ends_the_commands_that_it_refuses() -> None:
    build: Declared = Lifecycle(
        name="build",
        citation="",
        states=[State("building", initial=True), State("done", reopenable=True), State("cancelled", reopenable=True)],
        events=[
            Event("cancel", Origin.CALLER),
            Event("rerun", Origin.CALLER, idempotent=False),
            Event("end", Origin.REMOTE),
        ],
        transitions=[
            Transition("building", "cancel", "cancelled"),
            Transition("building", "end", "done"),
            Transitions("*", "rerun", "building"),
        ],
    )
    cancel, rerun = (CommandProof(lifecycle=build, command=each, by_read=False) for each in ("cancel", "rerun"))

    assert [cancel.is_over_elsewhere(state, "building") for state in ("building", "done", "cancelled")] == [
        False, True, False,
    ]  # fmt: skip
    assert not any(rerun.is_over_elsewhere(state, "done") for state in ("building", "done", "cancelled"))
    assert not rerun.is_past_target("done", "done")
