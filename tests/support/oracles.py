"""Independent definitions to compare the core with. They read only a declaration's rows.

Each uses another method than the core: closures by Floyd and Warshall instead of a search, whole histories by
comprehensions instead of one pass, invariants as sets instead of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from math import inf

from lifecycle import Invariant, Lifecycle, Origin, Rule

Moves = Mapping[tuple[str, str], str]


def moves_of(lifecycle: Lifecycle[str, str]) -> dict[tuple[str, str], str]:
    return {(row.source, row.event): row.target for row in lifecycle.transitions}


def names(lifecycle: Lifecycle[str, str]) -> tuple[list[str], list[str]]:
    return [state.name for state in lifecycle.states], [event.name for event in lifecycle.events]


def pairs(lifecycle: Lifecycle[str, str]) -> list[tuple[str, str]]:
    return list(product(*names(lifecycle)))


def distances(states: Iterable[str], moves: Moves) -> dict[tuple[str, str], float]:
    """Return the least number of transitions from each state to each other; infinite if there is no path."""
    states = list(states)
    away = {(one, other): 0 if one == other else inf for one, other in product(states, repeat=2)}
    away |= {(source, target): 1 for (source, _), target in moves.items() if source != target}
    for middle, one, other in product(states, repeat=3):
        away[one, other] = min(away[one, other], away[one, middle] + away[middle, other])
    return away


def remote_moves(lifecycle: Lifecycle[str, str]) -> dict[tuple[str, str], str]:
    return {row: to for row, to in moves_of(lifecycle).items() if lifecycle.event(row[1]).origin is Origin.REMOTE}


def is_repeatable(moves: Moves, remote: Moves, event: str) -> bool:
    """Return whether a command sent twice has no second effect, for any remote events in between."""
    states = {state for (source, _), target in moves.items() for state in (source, target)}
    away = distances(states, remote)
    targets = {target for (_, by), target in moves.items() if by == event}
    later = {(target, state) for target, state in product(targets, states) if away[target, state] < inf}
    return all((state, event) not in moves or state == target == moves[state, event] for target, state in later)


def relation(away: Mapping[tuple[str, str], float], known: str, reported: str) -> str:
    """Return the kind of an observation, from the distances only."""
    there, back = away[known, reported], away[reported, known]
    if there == 0:
        return "same"
    if there < inf:
        return "step" if there == 1 else "jump"
    return "stale" if back < inf else "conflict"


def remarks(lifecycle: Lifecycle[str, str], words: list[str], *, exact: bool) -> list[tuple[int, str, str]]:
    """Return the findings of the three rules in a history: (row, code, severity)."""
    away = distances(names(lifecycle)[0], moves_of(lifecycle))
    found = [(row, "unknown_status", "error") for row, word in enumerate(words) if word not in names(lifecycle)[0]]
    known = [(row, word) for row, word in enumerate(words) if word in names(lifecycle)[0]]
    if exact and known and known[0][1] != lifecycle.initial:
        found.append((known[0][0], "wrong_start", "error"))
    for place in range(1, len(known)):
        row, word = known[place]
        _, before = known[place - 1]
        ended = any(earlier in lifecycle.final_states for _, earlier in known[:place])
        kind = "duplicate" if word == before else "after_final" if ended else relation(away, before, word)
        code = {"jump": "gap", "stale": "out_of_order", "conflict": "impossible"}.get(kind, kind)
        harmless = code == "duplicate" or (code == "gap" and not exact)
        if code != "step":
            found.append((row, code, "note" if harmless else "error"))
    return sorted(found)


def keeps(invariant: Invariant[str, str], states: Iterable[str], final: set[str], moves: Moves) -> bool:
    """Return whether the rows satisfy an invariant."""
    events, named = set(invariant.events), set(invariant.states)
    accepted = {row for row in moves if row[1] in events}
    led_to = {moves[row] for row in accepted}
    sources = {source for source, _ in accepted}
    match invariant.rule:
        case Rule.FINAL:
            return named.isdisjoint(source for source, _ in moves)
        case Rule.IRREVERSIBLE:
            return led_to <= final
        case Rule.NEVER_IN:
            return named.isdisjoint(sources)
        case Rule.ONLY_IN:
            return sources <= named
        case Rule.ACCEPTED_IN:
            return set(product(named, events)) <= accepted
        case Rule.ACCEPTED_UNTIL_FINAL:
            return set(product(set(states) - final, events)) <= accepted
        case Rule.LEADS_TO:
            return led_to <= named


def is_sound(lifecycle: Lifecycle[str, str], final: set[str], moves: Moves) -> bool:
    """Return whether other rows and final states make a sound lifecycle with the same names and invariants."""
    states, events = names(lifecycle)
    commands = [each.name for each in lifecycle.events if each.origin is Origin.CALLER and each.idempotent]
    proved = {each.name for each in lifecycle.events if each.origin is Origin.CALLER and each.proved_by_state}
    remote = {row: to for row, to in moves.items() if lifecycle.event(row[1]).origin is Origin.REMOTE}
    away = distances(states, moves)
    return (
        final.isdisjoint(source for source, _ in moves)
        and {event for _, event in moves} == set(events)
        and all(away[lifecycle.initial, state] < inf for state in states)
        and all(any(away[state, end] < inf for end in final) for state in states)
        and all(keeps(invariant, states, final, moves) for invariant in lifecycle.invariants)
        and all(is_repeatable(moves, remote, command) for command in commands)
        and all(source != target for (source, event), target in moves.items() if event in proved)
    )
