"""Scripts: the remote events that an emulated task takes by itself, in order.

A task without a script of its own takes the default one, which its lifecycle implies. task_store.py takes an event of a
script only when the lifecycle allows it: an event that the state refuses waits. A task's text can replace its script:

    Buy milk [remote: start, fail]

With `[remote:]` it takes none, and waits.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lifecycle.graph import reach
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import Origin, quoted
from lifecycle_adapters.argument_checks import require

_DIRECTIVE = re.compile(r"\[remote:([^\]]*)\]")


def parse_script(text: str, lifecycle: Lifecycle[Any, Any]) -> tuple[str, ...] | None:
    """Return the script that a task's text names by `[remote: event, ...]`, or None if it names none.

    Raises:
        UnknownName: the lifecycle does not declare an event.
        ValueError: an event is a command.
    """
    directive = _DIRECTIVE.search(text)
    if directive is None:
        return None
    events = tuple(event for event in re.split(r"[\s,]+", directive[1]) if event)
    for event in events:
        require_remote(lifecycle, event)
    return events


def require_events(events: Any) -> None:
    """Raise TypeError unless the events of a script are a list or a tuple of texts; one text would be its letters."""
    require(events, list | tuple, "events must be several names, in a list such as ['start', 'fail']")
    for event in events:
        require(event, str, "each of the events must be the name of one")


def require_remote(lifecycle: Lifecycle[Any, Any], event: str) -> None:
    """Raise UnknownName if the lifecycle does not declare the event, ValueError if it is a command."""
    if lifecycle.event(event).origin is not Origin.REMOTE:
        raise ValueError(f"{lifecycle.name}: {quoted(event)} is a command; send it through the API")


@lru_cache(maxsize=4096)
def default_script(lifecycle: Lifecycle[Any, Any], state: str) -> tuple[str, ...]:
    """Return the remote events that a task in a state takes by itself if it has no script.

    They are a shortest path of remote events to the goal; among equally short ones the path declared first. The goal
    of a task is the goal of its initial state: the first declared final state that remote events alone lead to, or, if
    there is none, the first declared settled state. A task for which only a command opens the path to its goal, as a
    resume does for a paused one, waits. A task that can no longer reach its goal, as one that is being cancelled,
    takes the goal of its present state.
    """
    goal = goal_of(lifecycle, lifecycle.initial)
    by_remote = _remote_paths(lifecycle, state)
    if goal not in by_remote:
        if goal is not None and goal in lifecycle.reachable(state):
            return ()
        goal = goal_of(lifecycle, state)
    return () if goal is None else by_remote[goal]


@lru_cache(maxsize=4096)
def goal_of(lifecycle: Lifecycle[Any, Any], state: str) -> str | None:
    """Return the goal of a task, as `default_script` defines it; None if remote events lead to no goal."""
    reachable = _remote_paths(lifecycle, state)
    finals = [each for each in lifecycle.final_states if each in reachable]
    settled = [each for each in lifecycle.settled_states if each in reachable]
    if not finals and lifecycle.is_settled(state):
        return state
    return next(iter([*finals, *settled]), None)


def _remote_paths(lifecycle: Lifecycle[Any, Any], state: str) -> dict[str, tuple[str, ...]]:
    rows: dict[tuple[str, str], str] = {
        (row.source, row.event): row.target
        for row in lifecycle.transitions
        if lifecycle.event(row.event).origin is Origin.REMOTE
    }
    return reach(rows, state)
