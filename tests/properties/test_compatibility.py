"""What `diff` says of any two lifecycles, compared with every history, command and name that they have.

The oracles know nothing of the changes that `diff` lists: they judge whole histories by both `check`s, send every
command in every state, and compare reachability by Floyd and Warshall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import inf
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from lifecycle import (
    Alias,
    Audience,
    DefinitionError,
    Event,
    Invariant,
    Lifecycle,
    Origin,
    Rule,
    Severity,
    State,
    Transition,
    UnknownName,
    diff,
)
from lifecycle.conformance import Mode
from tests.support.oracles import distances, is_repeatable, keeps, moves_of, names

Declared = Lifecycle[str, str]

MOST_ROWS = 5  # of a history: enough to reach any of four states, and to leave it
STATES, EVENTS = "abcd", "xyz"
CELLS = st.tuples(st.sampled_from(STATES), st.sampled_from(EVENTS))
STATUSES = st.tuples(st.sampled_from(["api", "mail"]), st.sampled_from("bef"))
INVARIANTS = [
    Invariant("kept", rule, events=events, states=states, citation="")
    for rule, events, states in [
        (Rule.FINAL, (), ("d",)),
        (Rule.LEADS_TO, ("x",), ("d",)),
        (Rule.IRREVERSIBLE, ("y",), ()),
        (Rule.ACCEPTED_UNTIL_FINAL, ("z",), ()),
        (Rule.ONLY_IN, ("x", "y"), ("a", "b")),
        (Rule.NEVER_IN, ("y",), ("a",)),
        (Rule.ACCEPTED_IN, ("z",), ("a",)),
    ]
]
DRAWN: dict[str, st.SearchStrategy[Any]] = {
    "initial": st.sampled_from("aaab"),
    "moves": st.dictionaries(CELLS, st.sampled_from(STATES), min_size=3, max_size=8),
    "commands": st.sets(st.sampled_from(EVENTS)),
    "settled": st.sets(st.sampled_from(STATES)),
    "reopenable": st.sets(st.sampled_from(STATES), max_size=1),
    "not_proved": st.sets(st.sampled_from(EVENTS)),
    "not_idempotent": st.sets(st.sampled_from(EVENTS)),
    "aliases": st.dictionaries(STATUSES, st.sampled_from(STATES), max_size=2),
}


def declared(drawn: dict[str, Any]) -> Declared:
    """Return the sound lifecycle that is nearest to what was drawn; if none is near, another one is drawn."""
    rows: dict[tuple[str, str], str] = drawn["moves"]
    commands: set[str] = drawn["commands"]
    away = distances(STATES, rows)
    states = [state for state in STATES if away[drawn["initial"], state] < inf]
    moves = {row: target for row, target in rows.items() if row[0] in states}
    remote = {row: target for row, target in moves.items() if row[1] not in commands}
    exits = {source: {event for by, event in moves if by == source} for source in states}
    reopenable = {
        state for state in states if exits[state] and exits[state] <= commands and state in drawn["reopenable"]
    }
    stays = {event for (source, event), target in moves.items() if source == target}
    try:
        return Lifecycle(
            name="drawn",
            citation="",
            states=[
                State(
                    state,
                    initial=state == drawn["initial"],
                    final=not exits[state],
                    settled=state in drawn["settled"],
                    reopenable=state in reopenable,
                )
                for state in states
            ],
            events=[
                Event(
                    event,
                    Origin.CALLER if event in commands else Origin.REMOTE,
                    proved_by_state=event not in drawn["not_proved"] | stays,
                    idempotent=event not in drawn["not_idempotent"] and is_repeatable(moves, remote, event),
                )
                for event in dict.fromkeys(event for _, event in moves)
            ],
            transitions=[Transition(source, event, target) for (source, event), target in moves.items()],
            aliases=[
                Alias(channel, status, state)
                for (channel, status), state in drawn["aliases"].items()
                if state in states and status not in states
            ],
        )
    except DefinitionError:  # states that only lead in a circle
        assume(False)
        raise


@st.composite
def pairs_of_lifecycles(draw: st.DrawFn) -> tuple[Declared, Declared]:
    """Draw a lifecycle of up to four states and three events, and what some changes make of it."""
    drawn: dict[str, Any] = draw(st.fixed_dictionaries(DRAWN))
    before = declared(drawn)
    kept = [each for each in INVARIANTS if _is_about(each, before) and is_kept(each, before)]
    if kept:
        before = before.replace(invariants=draw(st.lists(st.sampled_from(kept), max_size=2, unique=True)))
    rows = draw(st.dictionaries(CELLS, st.sampled_from(STATES) | st.none(), min_size=1, max_size=2))
    moves = {cell: target for cell, target in {**drawn["moves"], **rows}.items() if target is not None}
    others = draw(st.sets(st.sampled_from([each for each in DRAWN if each != "moves"]), max_size=2))
    return before, declared({**drawn, "moves": moves, **{part: draw(DRAWN[part]) for part in sorted(others)}})


def _is_about(invariant: Invariant[str, str], lifecycle: Declared) -> bool:
    states, events = names(lifecycle)
    return {*invariant.states} <= {*states} and {*invariant.events} <= {*events}


# --- the oracles -------------------------------------------------------------------------------


def channels(lifecycle: Declared) -> list[str]:
    return ["api", *({alias.channel for alias in lifecycle.aliases} - {"api"})]


def is_good(lifecycle: Declared, history: list[str], channel: str, mode: Mode) -> bool:
    try:
        found = lifecycle.check(history, mode=mode, channel=channel)
    except UnknownName:  # the channel
        return False
    return all(each.severity is Severity.NOTE for each in found)


def good_histories(lifecycle: Declared, channel: str, mode: Mode) -> Iterator[list[str]]:
    """Yield every good history: what is no good history is the beginning of none."""
    histories: list[list[str]] = [[]]
    statuses = [*lifecycle.statuses(channel=channel)]
    for _ in range(MOST_ROWS if mode == "exact" else 2):
        longer = ([*history, status] for history in histories for status in statuses if [status] != history[-1:])
        histories = [history for history in longer if is_good(lifecycle, history, channel, mode)]
        yield from histories


def means(lifecycle: Declared, status: str, channel: str) -> tuple[Any, ...] | None:
    try:
        state = lifecycle.state_of(status, channel=channel)
    except UnknownName:
        return None
    if state is None:
        return None
    return state, lifecycle.is_final(state), lifecycle.is_over(state), lifecycle.is_settled(state)


def is_kept(invariant: Invariant[str, str], lifecycle: Declared) -> bool:
    events = tuple(each for each in invariant.events if each in names(lifecycle)[1])  # the others are gone altogether
    states = tuple(each for each in invariant.states if each in names(lifecycle)[0] or invariant.rule is Rule.LEADS_TO)
    about = replace(invariant, events=events, states=states)
    return keeps(about, names(lifecycle)[0], set(lifecycle.final_states), moves_of(lifecycle))


def is_about_commands(invariant: Invariant[str, str], lifecycle: Declared) -> bool:
    return any(event in lifecycle.commands for event in invariant.events)


def is_for_readers(before: Declared, after: Declared, mode: Mode) -> bool:
    return (
        all(
            means(before, status, channel) == means(after, status, channel)
            for channel in channels(before)
            for status in before.statuses(channel=channel)
        )
        and all(
            is_good(after, history, channel, mode)
            for channel in channels(before)
            for history in good_histories(before, channel, mode)
        )
        and all(is_kept(each, after) for each in before.invariants if not is_about_commands(each, before))
    )


def is_for_senders(before: Declared, after: Declared) -> bool:
    states, _ = names(after)
    for state, command in product(names(before)[0], before.commands):
        target = before.target(state, command)
        if target is not None and not (state in states and command in after.commands):
            return False
        if target is not None and after.target(state, command) != target:
            return False
    for command in before.commands:
        was, now = before.event(command), after.event(command)
        if was.proved_by_state > now.proved_by_state or was.idempotent > now.idempotent:
            return False
    return all(is_kept(each, after) for each in before.invariants if is_about_commands(each, before))


def is_for_journals(before: Declared, after: Declared) -> bool:
    return {*names(before)[0]} <= {*names(after)[0]} and {*before.commands} <= {*after.commands}


def is_extension(before: Declared, after: Declared) -> bool:
    """Return whether the second keeps everything of the first that the documentation of `extend` says."""
    (states, events), (more, _) = names(before), names(after)
    if not ({*states} <= {*more} and {*events} <= {*names(after)[1]}):
        return False
    initial = after.initial == before.initial or after.initial not in states
    same_states = all(means(before, each, "api") == means(after, each, "api") for each in states)
    same_events = all(_event(before, each) == _event(after, each) for each in events)
    was, now = moves_of(before), moves_of(after)
    same_rows = all(was.get(cell) == now.get(cell) for cell in product(states, events))
    away, away_now = distances(states, was), distances(more, now)
    same_paths = all((away[one, to] < inf) == (away_now[one, to] < inf) for one, to in product(states, repeat=2))
    same_aliases = {(each.channel, each.status, each.state) for each in before.aliases} <= {
        (each.channel, each.status, each.state) for each in after.aliases
    }
    kept = all(is_kept(each, after) for each in before.invariants)
    return initial and same_states and same_events and same_rows and same_paths and same_aliases and kept


def _event(lifecycle: Declared, name: str) -> tuple[Any, ...]:
    event = lifecycle.event(name)
    flags = (event.proved_by_state, event.idempotent) if event.origin is Origin.CALLER else ()
    return (event.origin, *flags)


# --- the properties ----------------------------------------------------------------------------


@given(pairs_of_lifecycles(), st.sampled_from(["exact", "sampled"]))
def test_broken_audiences_follow_from_the_behaviour_of_both_lifecycles(
    pair: tuple[Declared, Declared], mode: Mode
) -> None:
    found = diff(*pair, mode=mode)

    compatible = {each: each not in found.broken for each in Audience}
    assert compatible == {
        Audience.READERS: is_for_readers(*pair, mode),
        Audience.SENDERS: is_for_senders(*pair),
        Audience.JOURNALS: is_for_journals(*pair),
    }
    assert found.is_extension == is_extension(*pair)
    # In exact mode, a new initial state breaks readers.
    assert not found.is_extension or found.is_compatible or (mode == "exact" and pair[0].initial != pair[1].initial)


@given(pairs_of_lifecycles(), st.randoms())
def test_equal_digests_mean_no_changes(pair: tuple[Declared, Declared], random: Any) -> None:
    before, after = pair
    parts = {part: [*getattr(before, part)] for part in ("states", "events", "transitions", "aliases")}
    for part in parts.values():
        random.shuffle(part)
    shuffled = before.replace(name="shuffled", citation="another", **parts)

    assert shuffled.digest == before.digest
    assert diff(before, shuffled).changes == ()
    assert (before.digest == after.digest) == (diff(before, after).changes == ())
