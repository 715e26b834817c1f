"""Paths through every declared lifecycle, against closures computed by another method."""

from __future__ import annotations

import random
import tracemalloc
from math import inf

import pytest

from lifecycle import V1, V1_FULL, Event, Invariant, Lifecycle, Origin, Rule, State, Transition, V1Event, V1State
from lifecycle.graph import Closure, accepted_again, reach, remote_rows
from tests.support.oracles import distances, is_repeatable, moves_of, names, remote_moves


def test_reachable(declared: Lifecycle[str, str]) -> None:
    states, _ = names(declared)
    away = distances(states, moves_of(declared))
    for state in states:
        assert declared.reachable(state) == {other for other in states if away[state, other] < inf}


def test_reachable_by_remote(declared: Lifecycle[str, str]) -> None:
    states, _ = names(declared)
    away = distances(states, remote_moves(declared))
    for state in states:
        assert declared.reachable_by_remote(state) == {other for other in states if away[state, other] < inf}


def test_reachable_without(declared: Lifecycle[str, str]) -> None:
    states, events = names(declared)
    for event in events:
        away = distances(states, {row: to for row, to in moves_of(declared).items() if row[1] != event})
        for state in states:
            reachable = {other for other in states if away[state, other] < inf}
            assert declared.reachable_without(state, event) == reachable


@pytest.mark.parametrize(
    ("rows", "again"),
    [
        ("off switch on", None),
        ("off switch on; on flicker off", ("on", "off")),  # the service alone undoes it
        ("off switch on; on cut dark; dark flicker off", None),  # what undoes it is another command
        ("off switch on; on flicker dark; dark switch on", ("on", "dark")),
        ("off switch on; on switch off", ("on", "on")),  # the second undoes the first
        ("off switch on; on switch on", None),  # the second changes nothing
        ("off switch on; on switch on; on flicker on", None),
        ("off switch on; dark switch dim; dim flicker off", ("dim", "off")),
        ("on flicker off", None),  # it is in no row
    ],
)
def test_accepted_again_finds_a_target_and_a_state(rows: str, again: tuple[str, str] | None) -> None:
    moves = {(source, event): target for source, event, target in map(str.split, rows.split(";"))}
    origins = {"switch": Origin.CALLER, "cut": Origin.CALLER, "flicker": Origin.REMOTE}

    remote = Closure(("off", "on", "dark", "dim"), remote_rows(moves, origins))
    assert accepted_again({source: to for (source, by), to in moves.items() if by == "switch"}, remote) == again


def test_an_idempotent_command_is_not_accepted_again(declared: Lifecycle[str, str]) -> None:
    for event in declared.events:
        if event.origin is Origin.CALLER and event.idempotent:
            assert is_repeatable(moves_of(declared), remote_moves(declared), event.name)


def test_a_path_is_shortest_and_leads_there(declared: Lifecycle[str, str]) -> None:
    states, _ = names(declared)
    away = distances(states, moves_of(declared))
    for (source, target), length in away.items():
        path = declared.path(source, target)
        if path is None:
            assert length == inf
        else:
            assert len(path) == length
            assert declared.replay(path, start=source) == target


def test_covering_paths_take_every_transition_from_the_start(declared: Lifecycle[str, str]) -> None:
    taken: set[tuple[str, str]] = set()
    for path in declared.covering_paths():
        state = declared.initial
        for event in path:
            taken.add((state, event))
            state = declared.step(state, event)
    assert taken == set(moves_of(declared))


@pytest.mark.parametrize(
    ("source", "target", "path"),
    [
        (V1State.CREATED, V1State.CREATED, ()),
        (V1State.CREATED, V1State.STOPPED, (V1Event.STOP,)),
        (V1State.CREATED, V1State.PAUSED, (V1Event.START, V1Event.PAUSE)),
        (V1State.PAUSED, V1State.FINISHED, (V1Event.RESUME, V1Event.FINISH)),
        (V1State.PAUSED, V1State.CREATED, None),
        (V1State.FINISHED, V1State.STOPPED, None),
    ],
)
def test_paths_of_a_v1_task(source: V1State, target: V1State, path: tuple[V1Event, ...] | None) -> None:
    assert V1_FULL.path(source, target) == path


def test_the_reachable_states_of_v1() -> None:
    assert V1_FULL.reachable(V1State.PAUSED) == set(V1State) - {V1State.CREATED}
    assert V1_FULL.reachable_by_remote(V1State.PAUSED) == {V1State.PAUSED, V1State.FAILED}
    assert V1.reachable_by_remote(V1State.PAUSED) == {V1State.PAUSED}
    assert V1.covering_paths() == (
        (V1Event.PAUSE, V1Event.RESUME, V1Event.STOP),
        (V1Event.PAUSE, V1Event.STOP),
    )


def test_first_declared_path_wins_among_equally_short_ones() -> None:
    def diamond(first: str, second: str) -> Lifecycle[str, str]:
        return Lifecycle(
            name="diamond",
            citation="",
            states=(State("top", initial=True), State("left"), State("right"), State("bottom", final=True)),
            events=tuple(Event(name, Origin.REMOTE) for name in ("left", "right", "down")),
            transitions=(
                Transition("top", first, first),
                Transition("top", second, second),
                Transition("left", "down", "bottom"),
                Transition("right", "down", "bottom"),
            ),
        )

    assert diamond("left", "right").path("top", "bottom") == ("left", "down")
    assert diamond("right", "left").path("top", "bottom") == ("right", "down")


def test_a_self_transition_is_a_transition_and_no_distance() -> None:
    beat: Lifecycle[str, str] = Lifecycle(
        name="beat",
        citation="",
        states=(State("alive", initial=True), State("dead", final=True)),
        events=(Event("tick", Origin.REMOTE), Event("die", Origin.REMOTE)),
        transitions=(Transition("alive", "tick", "alive"), Transition("alive", "die", "dead")),
    )

    assert beat.path("alive", "alive") == ()
    assert beat.covering_paths() == (("tick", "die"),)


# --- large lifecycles --------------------------------------------------------------------------


def large(
    states: int, *, exits: int = 5, events: int = 50, invariants: tuple[Invariant[str, str], ...] = ()
) -> Lifecycle[str, str]:
    """Return a chain of states with further transitions, alternately commands and remote events."""
    chance = random.Random(states)
    moves = {(f"s{i}", f"e{i % events}"): f"s{i + 1}" for i in range(states - 1)}
    while len(moves) < exits * states:
        row = f"s{chance.randrange(states - 1)}", f"e{chance.randrange(events)}"
        moves.setdefault(row, f"s{chance.randrange(states)}")
    return Lifecycle(
        name="large",
        citation="a test",
        states=tuple(State(f"s{i}", initial=i == 0, final=i == states - 1) for i in range(states)),
        events=tuple(
            Event(f"e{i}", Origin.CALLER if i % 2 else Origin.REMOTE, proved_by_state=False, idempotent=False)
            for i in range(events)
        ),
        transitions=tuple(Transition(source, event, to) for (source, event), to in moves.items()),
        invariants=invariants,
    )


def test_reachability_in_the_largest_lifecycle_equals_a_search() -> None:
    all_states = tuple(f"s{i}" for i in range(2_000))
    everywhere = Invariant("anywhere", Rule.ONLY_IN, events=("e1",), states=all_states, citation="")
    lifecycle = large(2_000, invariants=(everywhere,))
    moves = moves_of(lifecycle)
    for source in ("s0", "s1000", "s1999"):
        ways = reach(moves, source)
        assert lifecycle.reachable(source) == ways.keys()
        for target in ("s0", "s1", "s999", "s1999"):
            path = lifecycle.path(source, target)
            assert (path is None) == (target not in ways)
            assert path is None or (len(path) == len(ways[target]) and lifecycle.replay(path, start=source) == target)
    assert sum(map(len, lifecycle.covering_paths())) >= len(moves)


def test_memory_grows_with_the_declaration_and_not_with_its_pairs() -> None:
    # Per state, so that a cube of the states would be sixteen times as much, and their square four times.
    def bytes_per_state(states: int) -> float:
        tracemalloc.start()
        try:
            lifecycle = large(states, events=states)
            return tracemalloc.get_traced_memory()[1] / len(lifecycle.states)
        finally:
            tracemalloc.stop()

    assert bytes_per_state(600) < 2 * bytes_per_state(150)


def test_a_long_chain_needs_no_deep_recursion() -> None:
    chain = Closure((), {(f"s{i}", "on"): f"s{i + 1}" for i in range(5_000)})
    assert chain.leads("s0", "s5000")
    assert not chain.leads("s1", "s0")
