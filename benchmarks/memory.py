"""The memory of a task's state: a reference to a member of the catalog's enumeration, and no object of its own."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.lookups import statemachine_machine, transitions_model
from benchmarks.measure import Bound, Row
from lifecycle import V1, V1Event, V1State

_MACHINES = 200  # the machines made with each library, each of kilobytes


def rows(*, tasks: int) -> list[Row]:
    """Count the objects and bytes of the states of this many tasks."""
    states: list[V1State] = [V1.initial] * tasks
    used_bytes = _allocated_bytes(lambda: _pause_all(states))
    new_objects = len({id(state) for state in states} - {id(member) for member in V1State})
    peers_bytes = {
        "transitions, a model": _bytes_of_each(transitions_model),
        "python-statemachine, an sm": _bytes_of_each(statemachine_machine),
    }
    reference_bytes = sys.getsizeof(states) / tasks
    return [
        Row(
            f"objects for the states of {tasks:,} tasks",
            peer_name,
            f"{new_objects} new, {used_bytes / tasks:.1f} + {reference_bytes:.0f} B each",
            f"{each_bytes:,.0f} B each",
            new_objects / tasks,
            None,
            Bound.AT_MOST,
            0.0,
        )
        for peer_name, each_bytes in peers_bytes.items()
    ]


def _pause_all(states: list[V1State]) -> None:
    for number, state in enumerate(states):
        states[number] = V1.step(state, V1Event.PAUSE)


def _bytes_of_each(make: Callable[[], Any]) -> float:
    made: list[Any] = [make()] * _MACHINES  # the first one fills caches that all share

    def make_all() -> None:
        for number in range(_MACHINES):
            made[number] = make()

    return _allocated_bytes(make_all) / _MACHINES


def _allocated_bytes(act: Callable[[], None]) -> int:
    """Return how much more memory Python's objects occupy after it than before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        act()
        after, _ = tracemalloc.get_traced_memory()
        return after - before
    finally:
        tracemalloc.stop()
