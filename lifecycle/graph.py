"""Paths through one lifecycle: what can be reached, how, and how to walk everything.

Only questions about several transitions belong here; one transition is table.py's. All answers
are deterministic: ties are broken by declared order, which is also the order of every result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from lifecycle.table import E, Origin, S, Table


def reach(moves: Mapping[tuple[S, E], S], start: S) -> dict[S, tuple[E, ...]]:
    """Return every state reachable from `start` with a shortest path of events to it.

    `start` itself is there with the empty path. A plain function, because a declaration is
    examined before there is a lifecycle to ask.
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


def accepted_again(moves: Mapping[tuple[S, E], S], origins: Mapping[E, Origin], event: E) -> tuple[S, S] | None:
    """Return a target of `event`, and a state that accepts it again to which remote events alone lead from there.

    None if there is no such state: sending the event twice is then the same as sending it once, unless other
    commands come in between. (A row that leads from its target to itself changes nothing the second time.)
    """
    remote = {row: to for row, to in moves.items() if origins[row[1]] is Origin.REMOTE}
    for target in dict.fromkeys(to for (_, by), to in moves.items() if by == event):
        for state in reach(remote, target):
            if moves.get((state, event), target) != target or (state != target and (state, event) in moves):
                return target, state
    return None


class Graph(Table[S, E]):
    """A table that also answers questions about paths."""

    _paths: dict[S, dict[S, tuple[E, ...]]]
    _remote_paths: dict[S, dict[S, tuple[E, ...]]]

    def _connect(self) -> None:
        rows = self._rows
        remote = {
            (source, event): to for (source, event), to in rows.moves.items() if rows.origins[event] is Origin.REMOTE
        }
        self.__dict__.update(
            _paths={state: reach(rows.moves, state) for state in rows.states},
            _remote_paths={state: reach(remote, state) for state in rows.states},
        )

    def reachable(self, state: S) -> frozenset[S]:
        """Return every state that can follow `state`, itself included. Raises UnknownName."""
        self._require_state(state)
        return frozenset(self._paths[state])

    def reachable_by_remote(self, state: S) -> frozenset[S]:
        """Return every state that the service can move to from `state` with no command of ours, itself included.

        Raises UnknownName.
        """
        self._require_state(state)
        return frozenset(self._remote_paths[state])

    def reachable_without(self, state: S, event: E) -> frozenset[S]:
        """Return every state that can follow `state` if `event` never happens, itself included. Raises UnknownName."""
        self._require_state(state)
        self._require_event(event)
        rows = self._rows
        moves = {(source, by): to for (source, by), to in rows.moves.items() if by != event}
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
        return self._paths[source].get(target)

    def covering_paths(self) -> tuple[tuple[E, ...], ...]:
        """Return paths from the initial state that together take every transition at least once.

        Each path is a shortest way to a transition not yet taken, then on, taking untaken
        transitions while the state reached has one. Replaying them exercises a whole lifecycle.
        """
        rows = self._rows
        untaken = dict.fromkeys(rows.moves)
        paths: list[tuple[E, ...]] = []
        while untaken:
            source, _ = min(untaken, key=lambda row: len(self._paths[rows.initial][row[0]]))
            path = list(self._paths[rows.initial][source])
            state = source
            while (row := next((each for each in untaken if each[0] == state), None)) is not None:
                del untaken[row]
                path.append(row[1])
                state = rows.moves[row]
            paths.append(tuple(path))
        return tuple(paths)
