"""Paths through one lifecycle: reachability, shortest paths, and paths that cover every transition.

Only functions about several transitions belong here; single transitions are in table.py. All results
are deterministic: ties are broken by declared order, which is also the order of every result.

Reachability is computed once, as one bit for each pair of states. Paths are searched on demand: the size
of all shortest paths together grows with the cube of the number of states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Generic

from lifecycle.table import E, Origin, S, Table, TransitionSystem

PAIRS_KEPT = 4_096  # cached pairs of states per lifecycle: all of a small one, a bounded part of a large one


def reach(transitions: Mapping[tuple[S, E], S], start: S) -> dict[S, tuple[E, ...]]:
    """Return every state reachable from `start` with a shortest path of events to it.

    `start` itself is included, with the empty path. This is a plain function so that it can also be
    called with some of a lifecycle's rows only.
    """
    exits: dict[S, list[tuple[E, S]]] = {}
    for (source, event), target in transitions.items():
        exits.setdefault(source, []).append((event, target))
    paths: dict[S, tuple[E, ...]] = {start: ()}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        for event, target in exits.get(state, ()):
            if target not in paths:
                paths[target] = (*paths[state], event)
                queue.append(target)
    return paths


class Closure(Generic[S]):
    """The reflexive transitive closure: the states that can follow each state, in any number of transitions.

    Each state has one bit, in the order of `states`, and `after` maps a state to the sum of the bits of those that
    can follow it. The states of a cycle share one sum, found by Tarjan's algorithm ("Depth-first search and linear
    graph algorithms", 1972), so time and memory grow with the rows and with the number of pairs in bits.
    """

    def __init__(self, states: Iterable[S], transitions: Mapping[tuple[S, E], S]) -> None:
        follow: dict[S, list[S]] = {state: [] for state in states}
        for (source, _), target in transitions.items():
            follow.setdefault(source, []).append(target)
            follow.setdefault(target, [])
        self.bit: dict[S, int] = {state: 1 << place for place, state in enumerate(follow)}
        self.after: dict[S, int] = {}
        for state in follow:
            if state not in self.after:
                self._search(state, follow)

    def _search(self, start: S, follow: Mapping[S, list[S]]) -> None:
        """Fill in `after` for every state that can follow `start`."""
        unfinished = [start]  # in the order in which they were found
        place = {start: 0}  # the index of each state in `unfinished`
        lowest = {start: 0}  # the smallest index in `unfinished` that a state is known to lead back to
        walk = [(start, iter(follow[start]))]  # an explicit stack: recursion would fail after a thousand states
        while walk:
            state, targets = walk[-1]
            for target in targets:
                if target in self.after:
                    continue
                if target in place:
                    lowest[state] = min(lowest[state], lowest[target])
                    continue
                place[target] = lowest[target] = len(unfinished)
                unfinished.append(target)
                walk.append((target, iter(follow[target])))
                break
            else:
                walk.pop()
                if walk:
                    before = walk[-1][0]
                    lowest[before] = min(lowest[before], lowest[state])
                if lowest[state] == place[state]:
                    cycle = unfinished[place[state] :]
                    del unfinished[place[state] :]
                    self._finish(cycle, follow)

    def _finish(self, cycle: list[S], follow: Mapping[S, list[S]]) -> None:
        after = 0
        for state in cycle:
            after |= self.bit[state]
            for target in follow[state]:
                after |= self.after.get(target, 0)  # targets within the cycle have no entry yet
        self.after.update(dict.fromkeys(cycle, after))

    def leads(self, source: S, target: S) -> bool:
        """Return whether `target` can follow `source`."""
        return self.after[source] & self.bit[target] != 0

    def among(self, bits: int) -> tuple[S, ...]:
        """Return the states of these bits, in declared order."""
        return tuple(state for state, bit in self.bit.items() if bits & bit)


def accepted_again(rows: Mapping[S, S], remote: Closure[S]) -> tuple[S, S] | None:
    """Return a target of an event, and a state reachable from it by remote events that accepts the event again.

    None if there is no such state: sending the event twice then equals sending it once, unless other commands are
    sent in between. (A row that leads from its target to itself changes nothing the second time.)

    Args:
        rows: the target of each source of the event.
        remote: the closure of the rows of remote events.
    """
    accepting = sum(remote.bit[source] for source in rows)
    for target in dict.fromkeys(rows.values()):
        harmless = remote.bit[target] if rows.get(target) == target else 0
        again = remote.after[target] & accepting & ~harmless
        if again:
            return target, remote.among(again)[0]
    return None


def remote_rows(transitions: Mapping[tuple[S, E], S], origins: Mapping[E, Origin]) -> dict[tuple[S, E], S]:
    """Return the rows of remote events."""
    return {(source, event): to for (source, event), to in transitions.items() if origins[event] is Origin.REMOTE}


class Graph(Table[S, E]):
    """A table with reachability and paths."""

    __slots__ = ("_closure", "_exits", "_kept_path", "_next", "_remote_closure")

    _kept_path: Callable[[S, S], tuple[E, ...]]
    _closure: Closure[S]
    _remote_closure: Closure[S]
    _exits: dict[S, list[tuple[E, S]]]  # in the order of the rows
    _next: dict[S, dict[S, None]]  # in the order of the events

    def __init__(self, name: str, extended_by: str | None, rows: TransitionSystem[S, E]) -> None:
        super().__init__(name, extended_by, rows)
        exits: dict[S, list[tuple[E, S]]] = {state: [] for state in rows.states}
        for (source, event), target in rows.transitions.items():
            exits[source].append((event, target))
        self._fill(
            _closure=Closure(rows.states, rows.transitions),
            _remote_closure=Closure(rows.states, remote_rows(rows.transitions, rows.origins)),
            _exits=exits,
            _kept_path=lru_cache(PAIRS_KEPT)(self._path),
            _next={
                state: dict.fromkeys(rows.transitions[state, by] for by in self._allowed[state])
                for state in rows.states
            },
        )

    def reachable(self, state: S) -> frozenset[S]:
        """Return every state that can follow `state`, itself included. Raises UnknownName if it is not declared."""
        self._require_state(state)
        return frozenset(self._closure.among(self._closure.after[state]))

    def reachable_by_remote(self, state: S) -> frozenset[S]:
        """Return every state that remote events alone can lead to from `state`, itself included.

        Raises UnknownName if the state is not declared.
        """
        self._require_state(state)
        return frozenset(self._remote_closure.among(self._remote_closure.after[state]))

    def reachable_without(self, state: S, event: E) -> frozenset[S]:
        """Return every state that can follow `state` without `event`, itself included.

        Raises UnknownName if the state or the event is not declared.
        """
        self._require_state(state)
        self._require_event(event)
        rows = self._system
        transitions = {(source, by): to for (source, by), to in rows.transitions.items() if by != event}
        return frozenset(reach(transitions, state))

    def path(self, source: S, target: S) -> tuple[E, ...] | None:
        """Return a shortest path of events from `source` to `target`, or None if there is no path.

        The empty path leads from a state to itself. Among equally short paths the one declared
        first is returned.

        Raises:
            UnknownName: a state that this lifecycle does not declare.
        """
        self._require_state(source)
        self._require_state(target)
        return self._kept_path(source, target) if self._closure.leads(source, target) else None

    def _path(self, source: S, target: S) -> tuple[E, ...]:
        """Return a shortest path to a state that can follow `source`."""
        reached_by: dict[S, tuple[S, E]] = {}  # the row by which each state was found
        queue = deque([source])
        while target not in reached_by and target != source:
            state = queue.popleft()
            for event, to in self._exits[state]:
                if to not in reached_by:
                    reached_by[to] = state, event
                    queue.append(to)
        path: list[E] = []
        state = target
        while state != source:
            state, event = reached_by[state]
            path.append(event)
        return tuple(reversed(path))

    def covering_paths(self) -> tuple[tuple[E, ...], ...]:
        """Return paths from the initial state that together cover every transition at least once.

        Each path is a shortest path to a transition not yet covered, and continues with uncovered
        transitions as long as the state reached has one. Replaying them exercises a whole lifecycle.
        """
        rows = self._system
        paths_to = reach(rows.transitions, rows.initial)
        uncovered = {state: deque(exits) for state, exits in self._exits.items()}
        paths: list[tuple[E, ...]] = []
        for source, event in sorted(rows.transitions, key=lambda row: len(paths_to[row[0]])):
            if not uncovered[source] or uncovered[source][0][0] != event:
                continue  # it is taken already: a state's rows are taken in order
            path = list(paths_to[source])
            state = source
            while uncovered[state]:
                taken, state = uncovered[state].popleft()
                path.append(taken)
            paths.append(tuple(path))
        return tuple(paths)
