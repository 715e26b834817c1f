"""The time to make and check a large lifecycle, per transition, compared with that of a small one."""

from __future__ import annotations

import random
import time
from typing import Any

from benchmarks.measure import Bound, Measure, Row, compare
from lifecycle import Event, Lifecycle, Origin, State, Transition

_EXITS = 5  # of a state, on average


def rows(*, states: int, pairs: int) -> list[Row]:
    """Measure a lifecycle of so many states beside one of a tenth of them."""
    return [
        compare(
            f"a lifecycle of {states:,} states, {states * _EXITS:,} transitions: one",
            _making(states),
            f"of {states // 10:,} states",
            _making(states // 10),
            bound=Bound.AT_MOST,
            limit=3.0,
            pairs=pairs,
        )
    ]


def _making(states: int) -> Measure:
    declared = _declared(states)

    def measure() -> float:
        begun_s = time.process_time()
        Lifecycle(**declared)
        return (time.process_time() - begun_s) / len(declared["transitions"])

    return measure


def _declared(states: int) -> dict[str, Any]:
    chance = random.Random(states)
    moves = {(f"s{i}", f"e{i}"): f"s{i + 1}" for i in range(states - 1)}
    while len(moves) < states * _EXITS:
        row = f"s{chance.randrange(states - 1)}", f"e{chance.randrange(states - 1)}"
        moves.setdefault(row, f"s{chance.randrange(states)}")
    return {
        "name": "large",
        "citation": "a benchmark",
        "states": tuple(State(f"s{i}", initial=i == 0, final=i == states - 1) for i in range(states)),
        "events": tuple(Event(f"e{i}", Origin.REMOTE) for i in range(states - 1)),
        "transitions": tuple(Transition(source, event, to) for (source, event), to in moves.items()),
    }
