"""Properties of any lifecycle, and of any change of a declared one.

Random lifecycles are sound by construction; changes of declared ones are judged by an independent
definition of soundness, exhaustively where a single answer is changed.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import (
    CATALOG,
    Alias,
    DefinitionError,
    Event,
    IllegalTransition,
    Invariant,
    Lifecycle,
    Origin,
    Rule,
    Severity,
    State,
    Transition,
    Verdict,
    VerdictKind,
)
from lifecycle.graph import Closure
from lifecycle.validation import transition_system
from tests.support.oracles import (
    Moves,
    distances,
    is_repeatable,
    is_sound,
    keeps,
    moves_of,
    names,
    pairs,
    relation,
    remarks,
)

Declared = Lifecycle[str, str]

# --- random lifecycles -------------------------------------------------------------------------

LETTERS = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
# "*" as a source means every state that is neither final nor the target; and no name begins or ends with a blank.
NAMES = st.text(LETTERS, min_size=1, max_size=8).map(str.strip).filter(lambda name: name not in ("", "*"))
TEXTS = st.text(max_size=20) | st.text(st.sampled_from("\x00\r\n\x85\u2028\ufeff '\"#:-"))
CHANNELS = st.sampled_from(["api", "webhook", "mail"])


@st.composite
def rows(draw: st.DrawFn, states: list[str], final: list[str], words: list[str]) -> dict[tuple[str, str], str]:
    """Draw rows that enter every state from an earlier one, and leave every state that is not final for a later one."""
    moves: dict[tuple[str, str], str] = {}
    going = states[: len(states) - len(final)]

    def connect(source: str, target: str) -> None:
        free = [word for word in words if (source, word) not in moves]
        moves[source, draw(st.sampled_from(free))] = target

    for place, state in enumerate(states[1:], start=1):
        connect(draw(st.sampled_from(going[:place])), state)
    for place, state in enumerate(going, start=1):
        connect(state, draw(st.sampled_from(states[place:])))
    for cell in draw(st.sets(st.sampled_from([*product(going, words)]), max_size=6)) if going else ():
        moves.setdefault(cell, draw(st.sampled_from(states)))
    return moves


@st.composite
def lifecycles(draw: st.DrawFn) -> Declared:
    """Draw any sound lifecycle of up to seven states and eight events, with any names."""
    states = draw(st.lists(NAMES, unique=True, min_size=1, max_size=7))
    words = draw(st.lists(NAMES, unique=True, min_size=8, max_size=8))
    final = states[draw(st.integers(min(1, len(states) - 1), len(states) - 1)) :]
    moves = draw(rows(states, final, words))
    origins = {event: draw(st.sampled_from(Origin)) for event in words if event in {by for _, by in moves}}
    remote = {row: to for row, to in moves.items() if origins[row[1]] is Origin.REMOTE}
    stays = {event for (source, event), to in moves.items() if source == to}
    return Lifecycle(
        name=draw(NAMES),
        citation=draw(TEXTS),
        states=tuple(
            State(each, draw(TEXTS), initial=each == states[0], final=each in final, settled=draw(st.booleans()))
            for each in states
        ),
        events=tuple(
            Event(
                each,
                origin,
                draw(TEXTS),
                proved_by_state=each not in stays and draw(st.booleans()),
                idempotent=(origin is Origin.REMOTE or is_repeatable(moves, remote, each)) and draw(st.booleans()),
            )
            for each, origin in origins.items()
        ),
        transitions=tuple(Transition(source, event, to) for (source, event), to in moves.items()),
        aliases=tuple(
            Alias(channel, word, draw(st.sampled_from(states)))
            for channel, word in draw(st.sets(st.tuples(CHANNELS, NAMES), max_size=3))
            if word not in states
        ),
        invariants=(Invariant("the end", Rule.FINAL, states=tuple(final), citation=draw(TEXTS)),),
    )


@given(st.dictionaries(st.tuples(st.integers(0, 7), st.integers(0, 3)), st.integers(0, 7), max_size=20))
def test_a_closure_holds_the_pairs_of_finite_distance(rows: dict[tuple[int, int], int]) -> None:
    moves = {(f"s{source}", f"e{event}"): f"s{target}" for (source, event), target in rows.items()}
    states = [f"s{i}" for i in range(8)]
    away = distances(states, moves)
    closure = Closure(states, moves)
    for source, target in product(states, repeat=2):
        assert closure.leads(source, target) == (away[source, target] < inf)
    for source in states:
        assert closure.among(closure.after[source]) == tuple(each for each in states if away[source, each] < inf)


@given(lifecycles())
def test_rows_and_executors_violate_the_same_invariants(lifecycle: Declared) -> None:
    """The check of the rows tests only pairs that can violate an invariant; that of an executor tests every pair."""
    states, events = names(lifecycle)
    invariants = (
        Invariant(rule, rule, states=tuple(states[:2]), events=tuple(events[:2]), citation="") for rule in Rule
    )
    for invariant in invariants:
        rows = transition_system(lifecycle.declaration)
        assert sorted(invariant.violations(rows), key=str) == sorted(
            invariant.violations(rows, lifecycle.target), key=str
        )
        assert keeps(invariant, states, set(lifecycle.final_states), moves_of(lifecycle)) == (
            not list(invariant.violations(rows))
        )


@st.composite
def walks(draw: st.DrawFn) -> tuple[Declared, list[str]]:
    """Draw a lifecycle and a legal history of events."""
    lifecycle = draw(lifecycles())
    events: list[str] = []
    while (allowed := lifecycle.allowed(lifecycle.replay(events))) and len(events) < 12 and draw(st.booleans()):
        events.append(draw(st.sampled_from(allowed)))
    return lifecycle, events


@given(lifecycles())
def test_all_queries_agree_and_are_deterministic(lifecycle: Declared) -> None:
    rows = moves_of(lifecycle)
    twin: Declared = Lifecycle.from_declaration(lifecycle.declaration.model_dump())
    for state, event in pairs(lifecycle):
        verdict: Verdict[str, str] = lifecycle.judge(state, event)
        assert verdict == lifecycle.judge(state, event) == twin.judge(state, event)
        assert verdict.target == lifecycle.target(state, event) == rows.get((state, event))
        assert (verdict.kind is VerdictKind.APPLIED) == (event in lifecycle.allowed(state))
        assert verdict.kind is not VerdictKind.ILLEGAL or state not in lifecycle.final_states


@given(lifecycles())
def test_final_states_refuse_everything_and_only_they_do(lifecycle: Declared) -> None:
    assert [state.name for state in lifecycle.states if not lifecycle.allowed(state.name)] == [*lifecycle.final_states]


@given(walks())
def test_a_history_replays_step_by_step_and_in_parts(walk: tuple[Declared, list[str]]) -> None:
    lifecycle, events = walk
    state = lifecycle.initial
    for count, event in enumerate(events):
        assert lifecycle.replay(events[:count]) == state
        assert lifecycle.replay(events[count:], start=state) == lifecycle.replay(events)
        state = lifecycle.step(state, event)
    assert lifecycle.replay(events) == state


@given(walks(), st.data())
def test_a_refused_event_changes_nothing(walk: tuple[Declared, list[str]], data: st.DataObject) -> None:
    lifecycle, events = walk
    place = data.draw(st.integers(0, len(events)))
    before = lifecycle.replay(events[:place])
    refused = [event.name for event in lifecycle.events if event.name not in lifecycle.allowed(before)]
    for event in refused:
        with pytest.raises(IllegalTransition) as info:
            lifecycle.replay([*events[:place], event, *events[place:]])
        assert (info.value.index, info.value.state, info.value.event) == (place, before, event)
        assert lifecycle.replay(events[place:], start=before) == lifecycle.replay(events)


@given(walks())
def test_a_recorded_history_conforms(walk: tuple[Declared, list[str]]) -> None:
    lifecycle, events = walk
    statuses = [str(lifecycle.replay(events[:count])) for count in range(len(events) + 1)]
    for mode in ("exact", "sampled"):
        found = lifecycle.check(statuses, mode=mode)
        assert {each.severity for each in found} <= {Severity.NOTE}  # an event may lead back to its own state
        assert [each.index for each in found] == [i for i in range(1, len(statuses)) if statuses[i] == statuses[i - 1]]
    thinned = statuses[:1] + [status for status, keep in zip(statuses[1:], statuses, strict=False) if status != keep]
    assert lifecycle.check(thinned) == ()
    assert all(each.severity is Severity.NOTE for each in lifecycle.check(thinned[::2], mode="sampled"))


@given(lifecycles(), st.data())
def test_any_history_is_judged_by_the_three_rules(lifecycle: Declared, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from([*names(lifecycle)[0], "no such status"]), max_size=10))
    for exact in (True, False):
        found = lifecycle.check(words, mode="exact" if exact else "sampled")
        assert [(each.index, each.code, each.severity) for each in found] == remarks(lifecycle, words, exact=exact)


@given(lifecycles())
def test_paths_and_observations_follow_reachability(lifecycle: Declared) -> None:
    away = distances(names(lifecycle)[0], moves_of(lifecycle))
    for (source, target), length in away.items():
        path = lifecycle.path(source, target)
        assert (inf if path is None else len(path)) == length
        assert path is None or lifecycle.replay(path, start=source) == target
        assert lifecycle.observe(source, target).kind == relation(away, source, target)


@given(lifecycles())
def test_covering_paths_take_every_transition(lifecycle: Declared) -> None:
    taken = {
        (lifecycle.replay(path[:count]), event)
        for path in lifecycle.covering_paths()
        for count, event in enumerate(path)
    }
    assert taken == set(moves_of(lifecycle))


@given(lifecycles())
def test_documents_and_pickles_restore_the_same_lifecycle(lifecycle: Declared) -> None:
    for again in (
        Lifecycle.from_json(lifecycle.to_json()),
        Lifecycle.from_yaml(lifecycle.to_yaml()),
        pickle.loads(pickle.dumps(lifecycle)),
    ):
        assert again == lifecycle
        assert hash(again) == hash(lifecycle)
        assert again.covering_paths() == lifecycle.covering_paths()


@given(lifecycles(), st.data())
def test_rows_of_several_sources_equal_their_expanded_rows(lifecycle: Declared, data: st.DataObject) -> None:
    """Rows of one event and target may be written as one, in any order of their sources."""
    states, _ = names(lifecycle)
    sources: dict[tuple[str, str], list[str]] = {}
    for (source, event), target in moves_of(lifecycle).items():
        sources.setdefault((event, target), []).append(source)
    written: list[dict[str, object]] = []
    for (event, target), each in sources.items():
        going = {state for state in states if state not in lifecycle.final_states and state != target}
        ways: list[object] = [each, *(["*"] if set(each) == going else []), *(each if len(each) == 1 else [])]
        written.append({"source": data.draw(st.sampled_from(ways)), "event": event, "target": target})
    document = {**json.loads(lifecycle.to_json()), "transitions": written}

    short = Lifecycle.from_json(json.dumps(document))

    assert moves_of(short) == moves_of(lifecycle)
    assert short.replace(transitions=lifecycle.transitions) == lifecycle
    assert Lifecycle.from_yaml(short.to_yaml()) == short
    assert {type(row["source"]) for row in json.loads(short.to_json())["transitions"]} <= {str}


# --- changes of declared lifecycles ------------------------------------------------------------


def changed(lifecycle: Declared, final: set[str], moves: Moves) -> Declared | DefinitionError:
    """Return the lifecycle with other rows and final states, or the error of its declaration."""
    states = tuple(replace(state, final=state.name in final) for state in lifecycle.states)
    transitions = tuple(Transition(source, event, to) for (source, event), to in moves.items())
    try:
        return lifecycle.replace(states=states, transitions=transitions)
    except DefinitionError as error:
        return error


def with_row(moves: Moves, row: tuple[str, str], to: str | None) -> dict[tuple[str, str], str]:
    kept = {each: target for each, target in moves.items() if each != row}
    return kept if to is None else {**kept, row: to}


def single_changes(lifecycle: Declared) -> Iterator[tuple[str, set[str], Moves]]:
    """Yield the name, the final states and the rows of every lifecycle that differs in one row or one final state.

    A row is added, removed (`-`), redirected or moved (`>`) to another source.
    """
    moves, final = moves_of(lifecycle), set(lifecycle.final_states)
    states, _ = names(lifecycle)
    for (source, event), to in product(pairs(lifecycle), [None, *states]):
        row, name = (source, event), f"{source} {event} {to or '-'}"
        if to != moves.get(row):
            yield name, final, with_row(moves, row, to)
        if source in final:
            yield f"{name}, {source} not final", final - {source}, with_row(moves, row, to)
    for (source, event), to in moves.items():
        for other in states:
            if (other, event) not in moves:
                rows = with_row(with_row(moves, (source, event), None), (other, event), to)
                yield f"{source}>{other} {event} {to}", final, rows
    for state in states:
        yield f"{state} final or not", final ^ {state}, moves


@cache
def outcomes(lifecycle: Declared) -> list[tuple[str, set[str], Moves, Declared | DefinitionError]]:
    """Return every single change with its outcome, once for all tests."""
    return [(name, final, moves, changed(lifecycle, final, moves)) for name, final, moves in single_changes(lifecycle)]


def test_a_changed_target_is_refused_unless_it_is_sound(declared: Declared) -> None:
    for _, final, moves, outcome in outcomes(declared):
        assert isinstance(outcome, Lifecycle) == is_sound(declared, final, moves)


def test_every_invariant_can_be_violated_by_a_change(declared: Declared) -> None:
    refusals = [outcome for *_, outcome in outcomes(declared) if isinstance(outcome, DefinitionError)]
    findings = [finding for refusal in refusals for finding in refusal.findings]

    broken = {finding.where for finding in findings if finding.code == "broken_invariant"}

    assert broken == {f"invariant '{invariant.name}'" for invariant in declared.invariants}


# Rows without a source: no document says whether they exist, or where they lead. A line is `source[, source] event
# target[, target]`, in the words of `single_changes`; `*` is every state.
UNSOURCED = {
    # Nothing says whether a task fails while it waits or is paused.
    "v1-full": """
        created, paused fail -
    """,
    "v2-full": """
        created fail -
    """,
    # Inactivity ends an idle session. It may also end one that is created, of which nothing is said.
    "v3": """
        created, idle>created time_out timed_out
    """,
    "v3-full": """
        created, idle>created time_out timed_out
    """,
    # The documents name the statuses and say which are terminal, but not which follows which.
    "v4": """
        queued, running start *
        dispatching, running dispatch *
        queued, dispatching complete completed
        dispatching>queued start running
        running>queued, running>dispatching complete completed
        queued fail -
    """,
    # The same of a message: it can be cancelled until it is claimed.
    "v4-message": """
        dispatching>pending consume consumed
        pending consume *
        pending>dispatching supersede superseded
        dispatching supersede *
        pending, dispatching fail -, consumed, cancelled, superseded, pending, dispatching
    """,
    # No document has a table of the transitions, nor says what an agent does first with a message, which it may also
    # accept while it works.
    "a2a": """
        SUBMITTED, WORKING answer *
        INPUT_REQUIRED answer SUBMITTED, INPUT_REQUIRED, AUTH_REQUIRED, COMPLETED, FAILED, CANCELED, REJECTED
        AUTH_REQUIRED answer SUBMITTED, INPUT_REQUIRED, AUTH_REQUIRED, COMPLETED, FAILED, CANCELED, REJECTED
        SUBMITTED, INPUT_REQUIRED work -
        WORKING work WORKING
        SUBMITTED>WORKING, INPUT_REQUIRED>WORKING work WORKING
        SUBMITTED, WORKING, AUTH_REQUIRED ask -
        INPUT_REQUIRED ask INPUT_REQUIRED
        SUBMITTED>INPUT_REQUIRED, WORKING>INPUT_REQUIRED, AUTH_REQUIRED>INPUT_REQUIRED ask INPUT_REQUIRED
        SUBMITTED, WORKING, INPUT_REQUIRED ask_auth -
        AUTH_REQUIRED ask_auth AUTH_REQUIRED
        SUBMITTED>AUTH_REQUIRED, WORKING>AUTH_REQUIRED, INPUT_REQUIRED>AUTH_REQUIRED ask_auth AUTH_REQUIRED
        SUBMITTED, WORKING, INPUT_REQUIRED, AUTH_REQUIRED complete, fail -
        INPUT_REQUIRED, AUTH_REQUIRED reject -
    """,
    # Step 6 says when a refusal leaves a command uncertain, not when it ends one that is uncertain already.
    "command": """
        uncertain refuse -
    """,
}


def test_only_changes_of_uncited_rows_are_accepted(declared: Declared) -> None:
    """Every other single change makes the declaration unsound, or breaks an invariant and so contradicts a document."""
    unnoticed = {name for name, *_, outcome in outcomes(declared) if isinstance(outcome, Lifecycle)}

    assert unnoticed == set(unsourced(declared))


def unsourced(lifecycle: Declared) -> Iterator[str]:
    listed = re.sub(r"\b([A-Z])", r"TASK_STATE_\1", UNSOURCED.get(lifecycle.name, ""))  # A2A's, which all begin so
    for line in listed.strip().splitlines():
        sources, events, targets = re.split(r"(?<!,) ", line.strip())
        ends = names(lifecycle)[0] if targets == "*" else targets.split(", ")
        yield from map(" ".join, product(sources.split(", "), events.split(", "), ends))


@given(st.sampled_from([*CATALOG.values()]), st.data())
def test_several_changes_at_once_are_validated_alike(lifecycle: Declared, data: st.DataObject) -> None:
    states, _ = names(lifecycle)
    changes = st.dictionaries(st.sampled_from(pairs(lifecycle)), st.none() | st.sampled_from(states), max_size=5)
    opened = data.draw(st.sets(st.sampled_from(lifecycle.final_states), max_size=1))
    moves: Moves = moves_of(lifecycle)
    for row, to in data.draw(changes).items():
        moves = with_row(moves, row, to)
    final = set(lifecycle.final_states) - opened

    assert isinstance(changed(lifecycle, final, moves), Lifecycle) == is_sound(lifecycle, final, moves)
