"""Paths through one lifecycle: what can be reached, how, and how to walk everything.

Only questions about several transitions belong here; one transition is table.py's. All answers
are deterministic: ties are broken by declared order, which is also the order of every result.

Which states can follow which is computed once, as one bit for each pair of states. Paths are searched
when they are asked for: all shortest paths together grow with the cube of the states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Generic

from lifecycle.table import E, Origin, S, Table, TransitionSystem

PAIRS_KEPT = 4_096  # of states, of one lifecycle: all that a small one has, and a bounded part of a large one's


def reach(moves: Mapping[tuple[S, E], S], start: S) -> dict[S, tuple[E, ...]]:
    """Return every state reachable from `start` with a shortest path of events to it.

    `start` itself is there with the empty path. A plain function, because users of a lifecycle also
    ask about some of its rows only.
    """
    exits: dict[S, list[tuple[E, S]]] = {}
    for (source, event), target in moves.items():
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
    """Which states can follow which, in any number of transitions; a state can follow itself.

    Each state has one bit, in the order of `states`, and `after` holds the sum of those that can follow it. The
    states of a cycle share one sum, found by Tarjan's algorithm ("Depth-first search and linear graph
    algorithms", 1972), so time and memory grow with the rows and with the number of pairs in bits.
    """

    def __init__(self, states: Iterable[S], moves: Mapping[tuple[S, E], S]) -> None:
        follow: dict[S, list[S]] = {state: [] for state in states}
        for (source, _), target in moves.items():
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
        place = {start: 0}  # of each in `unfinished`
        lowest = {start: 0}  # the first in `unfinished` that a state is known to lead back to
        walk = [(start, iter(follow[start]))]  # a stack of our own: Python's would end after a thousand states
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
                after |= self.after.get(target, 0)  # within the cycle there is nothing yet
        self.after.update(dict.fromkeys(cycle, after))

    def leads(self, source: S, target: S) -> bool:
        """Whether `target` can follow `source`."""
        return self.after[source] & self.bit[target] != 0

    def among(self, bits: int) -> tuple[S, ...]:
        """Return the states of these bits, in their order."""
        return tuple(state for state, bit in self.bit.items() if bits & bit)


def accepted_again(rows: Mapping[S, S], remote: Closure[S]) -> tuple[S, S] | None:
    """Return a target of an event, and a state that accepts it again to which remote events alone lead from there.

    None if there is no such state: sending the event twice is then the same as sending it once, unless other
    commands come in between. (A row that leads from its target to itself changes nothing the second time.)

    Args:
        rows: the target of each source of the event.
        remote: of the rows of remote events.
    """
    accepting = sum(remote.bit[source] for source in rows)
    for target in dict.fromkeys(rows.values()):
        harmless = remote.bit[target] if rows.get(target) == target else 0
        again = remote.after[target] & accepting & ~harmless
        if again:
            return target, remote.among(again)[0]
    return None


def remote_rows(moves: Mapping[tuple[S, E], S], origins: Mapping[E, Origin]) -> dict[tuple[S, E], S]:
    """Return the rows of remote events."""
    return {(source, event): to for (source, event), to in moves.items() if origins[event] is Origin.REMOTE}


class Graph(Table[S, E]):
    """A table that also answers questions about paths."""

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
        """Return every state that can follow `state`, itself included. Raises UnknownName."""
        self._require_state(state)
        return frozenset(self._closure.among(self._closure.after[state]))

    def reachable_by_remote(self, state: S) -> frozenset[S]:
        """Return every state that the service can move to from `state` with no command of ours, itself included.

        Raises UnknownName.
        """
        self._require_state(state)
        return frozenset(self._remote_closure.among(self._remote_closure.after[state]))

    def reachable_without(self, state: S, event: E) -> frozenset[S]:
        """Return every state that can follow `state` if `event` never happens, itself included. Raises UnknownName."""
        self._require_state(state)
        self._require_event(event)
        rows = self._system
        moves = {(source, by): to for (source, by), to in rows.transitions.items() if by != event}
        return frozenset(reach(moves, state))

    def path(self, source: S, target: S) -> tuple[E, ...] | None:
        """Return a shortest path of events from `source` to `target`, or None where there is none.

        The empty path leads from a state to itself. Among equally short paths the one declared
        first is returned.

        Raises:
            UnknownName: a state that this lifecycle does not declare.
        """
        self._require_state(source)
        self._require_state(target)
        return self._kept_path(source, target) if self._closure.leads(source, target) else None

    def _path(self, source: S, target: S) -> tuple[E, ...]:
        """A shortest path to a state that can follow `source`."""
        came: dict[S, tuple[S, E]] = {}  # the row by which each state was found
        queue = deque([source])
        while target not in came and target != source:
            state = queue.popleft()
            for event, to in self._exits[state]:
                if to not in came:
                    came[to] = state, event
                    queue.append(to)
        path: list[E] = []
        state = target
        while state != source:
            state, event = came[state]
            path.append(event)
        return tuple(reversed(path))

    def covering_paths(self) -> tuple[tuple[E, ...], ...]:
        """Return paths from the initial state that together take every transition at least once.

        Each path is a shortest way to a transition not yet taken, then on, taking untaken
        transitions while the state reached has one. Replaying them exercises a whole lifecycle.
        """
        rows = self._system
        ways = reach(rows.transitions, rows.initial)
        untaken = {state: deque(exits) for state, exits in self._exits.items()}
        paths: list[tuple[E, ...]] = []
        for source, event in sorted(rows.transitions, key=lambda row: len(ways[row[0]])):
            if not untaken[source] or untaken[source][0][0] != event:
                continue  # it is taken already, as a state's rows are in their order
            path = list(ways[source])
            state = source
            while untaken[state]:
                taken, state = untaken[state].popleft()
                path.append(taken)
            paths.append(tuple(path))
        return tuple(paths)
