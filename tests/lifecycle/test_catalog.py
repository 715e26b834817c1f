"""The catalog against the one independent copy of its tables.

The text below is written by hand from the documents and the design, and is compared with the
declarations in both directions. A row is `source[, source] event target`; [brackets] are final.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import pytest

import lifecycle
from lifecycle import CATALOG, Event, Lifecycle, Origin, Rule, State, UnknownName

COPY = {
    "v1": """
        states: running, paused, [stopped]
        initial: running
        caller: running pause paused; paused resume running; running stop stopped; paused stop stopped
    """,
    "v1-full": """
        states: running, paused, [stopped], created, [finished], [failed]
        initial: created
        caller: running pause paused; paused resume running; created, running, paused stop stopped
        remote: created start running; running finish finished; created, running, paused fail failed
        webhook: initializing = created, started = running
    """,
    "v2": """
        states: created, started, [finished], [stopped]
        initial: created
        caller: created, started stop stopped; created, started stop_task_and_session stopped
        remote: created start started; started finish finished
        not proved by state: stop_task_and_session
    """,
    "v2-full": """
        states: created, started, [finished], [stopped], [failed]
        initial: created
        caller: created, started stop stopped; created, started stop_task_and_session stopped
        remote: created start started; started finish finished; created, started fail failed
        not proved by state: stop_task_and_session
    """,
    "v2-session": """
        states: active, [stopped]
        initial: active
        caller: active stop stopped
        remote: active close stopped
    """,
    "v2-2025": """
        states: started, paused, [finished], [stopped]
        initial: started
        caller: started pause paused; paused resume started; started, paused stop stopped;
                started, paused stop_task_and_session stopped
        remote: started finish finished
        not proved by state: stop_task_and_session
    """,
    "v3": """
        states: created, idle, running, [stopped], [timed_out], [error]
        initial: created
        settled: idle
        caller: idle dispatch running; created, idle, running stop stopped
        remote: created ready idle; created, idle start running; running complete idle;
                running close stopped; idle time_out timed_out; created, idle, running fail error
        not proved by state: dispatch
        not idempotent: dispatch
    """,
    "v3-full": """
        states: created, idle, running, [stopped], [timed_out], [error]
        initial: created
        settled: idle
        caller: idle dispatch running; created, idle, running stop stopped; running stop_task idle
        remote: created ready idle; created, idle start running; running complete idle;
                running close stopped; idle time_out timed_out; created, idle, running fail error
        not proved by state: dispatch
        not idempotent: dispatch, stop_task
    """,
    "v4": """
        states: queued, dispatching, running, [completed], [failed], [cancelled]
        initial: queued
        caller: queued, dispatching, running cancel cancelled
        remote: queued dispatch dispatching; dispatching start running; running complete completed;
                queued, dispatching, running fail failed
    """,
    "v4-message": """
        states: pending, dispatching, [consumed], [cancelled], [superseded], [failed]
        initial: pending
        caller: pending cancel cancelled
        remote: pending claim dispatching; dispatching consume consumed; pending supersede superseded;
                pending, dispatching fail failed
    """,
    "a2a": """
        states: TASK_STATE_SUBMITTED, TASK_STATE_WORKING, TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED,
                [TASK_STATE_COMPLETED], [TASK_STATE_FAILED], [TASK_STATE_CANCELED], [TASK_STATE_REJECTED]
        initial: TASK_STATE_SUBMITTED
        settled: TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED
        interrupted: TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED
        caller: TASK_STATE_SUBMITTED, TASK_STATE_WORKING, TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED
                cancel TASK_STATE_CANCELED;
                TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED answer TASK_STATE_WORKING
        remote: TASK_STATE_SUBMITTED, TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED work TASK_STATE_WORKING;
                TASK_STATE_SUBMITTED, TASK_STATE_WORKING, TASK_STATE_AUTH_REQUIRED ask TASK_STATE_INPUT_REQUIRED;
                TASK_STATE_SUBMITTED, TASK_STATE_WORKING, TASK_STATE_INPUT_REQUIRED ask_auth TASK_STATE_AUTH_REQUIRED;
                TASK_STATE_SUBMITTED, TASK_STATE_WORKING, TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED
                complete TASK_STATE_COMPLETED;
                TASK_STATE_SUBMITTED, TASK_STATE_WORKING, TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED
                fail TASK_STATE_FAILED;
                TASK_STATE_SUBMITTED, TASK_STATE_WORKING, TASK_STATE_INPUT_REQUIRED, TASK_STATE_AUTH_REQUIRED
                reject TASK_STATE_REJECTED
        not proved by state: answer
        not idempotent: answer
        0.3: submitted = TASK_STATE_SUBMITTED, working = TASK_STATE_WORKING,
             input-required = TASK_STATE_INPUT_REQUIRED, auth-required = TASK_STATE_AUTH_REQUIRED,
             completed = TASK_STATE_COMPLETED, failed = TASK_STATE_FAILED, canceled = TASK_STATE_CANCELED,
             rejected = TASK_STATE_REJECTED
    """,
    "mcp": """
        states: working, input_required, [completed], [failed], [cancelled]
        initial: working
        settled: input_required
        interrupted: input_required
        caller: working, input_required cancel cancelled
        remote: working ask input_required; input_required work working;
                working, input_required complete completed; working, input_required fail failed
    """,
    "mcp-extension": """
        states: working, input_required, [completed], [failed], [cancelled]
        initial: working
        settled: input_required
        interrupted: input_required
        caller: working, input_required cancel cancelled; input_required answer working
        remote: working ask input_required; input_required work working;
                working, input_required complete completed; working, input_required fail failed
        not proved by state: answer
        not idempotent: answer
    """,
    "command": """
        states: recorded, uncertain, [done], [refused], [ended_first], [moot], [abandoned]
        initial: recorded
        caller: recorded, uncertain abandon abandoned
        remote: recorded lose uncertain; recorded, uncertain confirm done;
                recorded, uncertain refuse refused; recorded, uncertain end ended_first;
                recorded, uncertain outlive moot
    """,
}

A2A_ENDS = {"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"}

PROMISES = [
    ("v1", Rule.IRREVERSIBLE, {"stop"}, set[str]()),
    ("v1", Rule.NEVER_IN, {"resume"}, {"stopped"}),
    ("v1", Rule.ONLY_IN, {"resume"}, {"paused"}),
    ("v1", Rule.LEADS_TO, {"resume"}, {"running"}),
    ("v1", Rule.ACCEPTED_IN, {"pause"}, {"running"}),
    ("v1", Rule.ACCEPTED_UNTIL_FINAL, {"stop"}, set[str]()),
    ("v1", Rule.FINAL, set[str](), {"stopped"}),
    ("v1-full", Rule.FINAL, set[str](), {"finished", "failed"}),
    ("v1-full", Rule.ONLY_IN, {"pause"}, {"running"}),
    ("v2", Rule.IRREVERSIBLE, {"stop", "stop_task_and_session"}, set[str]()),
    ("v2", Rule.LEADS_TO, {"stop", "stop_task_and_session"}, {"stopped"}),
    ("v2", Rule.ACCEPTED_UNTIL_FINAL, {"stop", "stop_task_and_session"}, set[str]()),
    ("v2", Rule.FINAL, set[str](), {"finished", "stopped"}),
    ("v2-full", Rule.FINAL, set[str](), {"failed"}),
    ("v2-session", Rule.IRREVERSIBLE, {"stop"}, set[str]()),
    ("v2-2025", Rule.ACCEPTED_UNTIL_FINAL, {"stop", "stop_task_and_session"}, set[str]()),
    ("v2-2025", Rule.FINAL, set[str](), {"finished", "stopped"}),
    ("v2-2025", Rule.IRREVERSIBLE, {"stop", "stop_task_and_session"}, set[str]()),
    ("v2-2025", Rule.ONLY_IN, {"resume"}, {"paused"}),
    ("v2-2025", Rule.ACCEPTED_IN, {"resume"}, {"paused"}),
    ("v3", Rule.IRREVERSIBLE, {"stop"}, set[str]()),
    ("v3", Rule.ACCEPTED_UNTIL_FINAL, {"stop"}, set[str]()),
    ("v3", Rule.FINAL, set[str](), {"stopped", "timed_out", "error"}),
    ("v4", Rule.ACCEPTED_UNTIL_FINAL, {"cancel"}, set[str]()),
    ("v4", Rule.FINAL, set[str](), {"completed", "failed", "cancelled"}),
    ("v4", Rule.ACCEPTED_IN, {"fail"}, {"dispatching", "running"}),
    ("v4-message", Rule.ONLY_IN, {"cancel"}, {"pending"}),
    ("v4-message", Rule.ACCEPTED_IN, {"cancel"}, {"pending"}),
    ("v4-message", Rule.IRREVERSIBLE, {"cancel"}, set[str]()),
    ("v4-message", Rule.FINAL, set[str](), {"consumed", "cancelled", "superseded", "failed"}),
    ("a2a", Rule.FINAL, set[str](), A2A_ENDS),
    ("a2a", Rule.NEVER_IN, {"answer"}, A2A_ENDS),
    ("a2a", Rule.ACCEPTED_UNTIL_FINAL, {"cancel"}, set[str]()),
    ("a2a", Rule.LEADS_TO, {"cancel"}, {"TASK_STATE_CANCELED"}),
    ("a2a", Rule.ACCEPTED_IN, {"answer"}, {"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"}),
    ("a2a", Rule.ACCEPTED_IN, {"work"}, {"TASK_STATE_AUTH_REQUIRED"}),
    ("a2a", Rule.ACCEPTED_IN, {"reject"}, {"TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"}),
    ("mcp", Rule.FINAL, set[str](), {"completed", "failed", "cancelled"}),
    ("mcp", Rule.NEVER_IN, {"cancel"}, {"completed", "failed", "cancelled"}),
    ("mcp", Rule.ACCEPTED_UNTIL_FINAL, {"cancel"}, set[str]()),
    ("mcp", Rule.LEADS_TO, {"cancel"}, {"cancelled"}),
    ("mcp", Rule.ACCEPTED_UNTIL_FINAL, {"complete", "fail"}, set[str]()),
    ("mcp", Rule.ONLY_IN, {"ask"}, {"working"}),
    ("mcp", Rule.LEADS_TO, {"work"}, {"working"}),
    ("mcp-extension", Rule.ACCEPTED_IN, {"answer"}, {"input_required"}),
    ("mcp-extension", Rule.LEADS_TO, {"answer"}, {"working"}),
]


def parts(name: str) -> dict[str, str]:
    """One lifecycle's copy by heading; a line without a heading continues the one above."""
    found: dict[str, str] = {}
    heading = ""
    for line in COPY[name].strip().splitlines():
        before, colon, after = line.partition(":")
        heading = before.strip() if colon else heading
        found[heading] = found.get(heading, "") + (after if colon else before)
    return found


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def rows(text: str, origin: Origin) -> Iterator[tuple[str, str, str, Origin]]:
    for row in text.split(";"):
        *sources, event, target = row.replace(",", " ").split()
        for source in sources:
            yield source, event, target, origin


def vocabulary(declared: Sequence[State[str] | Event[str]]) -> type[StrEnum]:
    """The one enumeration that all names are members of."""
    (kind,) = {type(each.name) for each in declared}
    assert issubclass(kind, StrEnum)
    return kind


def test_the_copy_names_every_lifecycle() -> None:
    assert list(COPY) == list(CATALOG)


def test_states_equal_the_independent_copy(declared: Lifecycle[str, str]) -> None:
    copy = parts(declared.name)
    states = words(copy["states"])
    final = tuple(state.strip("[]") for state in states if state.startswith("["))

    assert tuple(state.name for state in declared.states) == tuple(state.strip("[]") for state in states)
    assert declared.initial == copy["initial"].strip()
    assert declared.final_states == final
    assert set(declared.settled_states) == {*words(copy.get("settled", "")), *final}
    interrupted = {each.name for each in declared.states if declared.is_interrupted(each.name)}
    assert interrupted == set(words(copy.get("interrupted", "")))


def test_rows_equal_the_independent_copy(declared: Lifecycle[str, str]) -> None:
    copy = parts(declared.name)
    expected = [*rows(copy["caller"], Origin.CALLER)]
    if "remote" in copy:
        expected += rows(copy["remote"], Origin.REMOTE)

    found = [(row.source, row.event, row.target, declared.event(row.event).origin) for row in declared.transitions]

    assert sorted(found) == sorted(expected)


def test_the_proofs_and_the_idempotence_of_commands(declared: Lifecycle[str, str]) -> None:
    copy = parts(declared.name)
    unproved = {event.name for event in declared.events if not event.proved_by_state}
    unrepeatable = {event.name for event in declared.events if not event.idempotent}

    assert unproved == set(words(copy.get("not proved by state", "")))
    assert unrepeatable == set(words(copy.get("not idempotent", "")))


def test_aliases_equal_the_independent_copy(declared: Lifecycle[str, str]) -> None:
    copy = parts(declared.name)
    expected = [
        (channel, *alias.split(" = ")) for channel in ("webhook", "0.3") for alias in words(copy.get(channel, ""))
    ]

    assert [(alias.channel, alias.status, alias.state) for alias in declared.aliases] == expected


@pytest.mark.parametrize(("name", "rule", "events", "states"), PROMISES)
def test_invariants_are_declared(name: str, rule: Rule, events: set[str], states: set[str]) -> None:
    declared = [(each.rule, set(each.events), set(each.states)) for each in CATALOG[name].invariants]

    assert (rule, events, states) in declared


def test_everything_is_cited_and_explained(declared: Lifecycle[str, str]) -> None:
    assert declared.citation
    assert all(invariant.citation for invariant in declared.invariants)
    assert all(state.meaning for state in declared.states)
    assert all(event.meaning for event in declared.events)


@pytest.mark.parametrize("seed", ["v1", "v2", "v3"])
def test_a_full_lifecycle_keeps_its_base(seed: str) -> None:
    declared, full = CATALOG[seed], CATALOG[f"{seed}-full"]

    assert declared.extended_by == full.name
    assert full.transitions[: len(declared.transitions)] == declared.transitions
    assert full.invariants[: len(declared.invariants)] == declared.invariants
    assert vocabulary(full.states) is vocabulary(declared.states)
    assert vocabulary(full.events) is vocabulary(declared.events)


def test_an_enumeration_has_no_name_that_its_largest_lifecycle_does_not_declare(declared: Lifecycle[str, str]) -> None:
    largest = CATALOG[declared.extended_by or declared.name]

    assert set(vocabulary(largest.states)) == {state.name for state in largest.states}
    assert set(vocabulary(largest.events)) == {event.name for event in largest.events}


@pytest.mark.parametrize("name", [None, 7, [], {}])
def test_get_with_an_invalid_name_raises_unknown_name(name: Any) -> None:
    with pytest.raises(UnknownName, match=r"^catalog: unknown lifecycle"):
        lifecycle.get(name)


def test_get_and_the_attributes_give_the_same_objects() -> None:
    assert lifecycle.get("v1-full") is lifecycle.V1_FULL
    for name, declared in CATALOG.items():
        assert lifecycle.get(name) is declared is getattr(lifecycle, name.replace("-", "_").upper())


@pytest.mark.parametrize(("name", "suggestion"), [("v1full", "v1-full"), ("V3", "v3"), ("v2_session", "v2-session")])
def test_get_proposes_the_nearest_name(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownName, match=f"^catalog: unknown lifecycle '{name}'; did you mean '{suggestion}'") as info:
        lifecycle.get(name)

    assert info.value.suggestion == suggestion
    assert info.value.known == tuple(CATALOG)
