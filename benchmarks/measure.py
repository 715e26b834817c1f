"""Measurements in pairs, and the row of the table that they give.

Nothing is compared with a number from another run or another machine. What is measured and its peer take
turns, so that other work on the machine slows both down; the ratio is the median over the pairs. The ratio of the two
best times stands beside it: noise can only add time, so if the two ratios are far apart, the run was noisy.

Single statements are timed with `timeit` from the standard library, in processor time, which does not count
what other processes do. pyperf, the field's tool, runs each benchmark by itself in processes of its own; it
cannot take turns.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any

Measure = Callable[[], float]
"""Does something once and returns how many seconds one operation took."""

_SHORTEST_S = 0.02  # the shortest measurement: a hundred times the cost of an interruption


class Bound(StrEnum):
    """Whether a limit is an upper or a lower one."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ours` and `peer` are text with a unit; `best` is None where nothing varies."""

    what: str
    peer_name: str
    ours: str
    peer: str
    ratio: float
    best: float | None
    bound: Bound
    limit: float

    @property
    def is_met(self) -> bool:
        """Return whether the ratio is on the right side of the limit."""
        return self.ratio <= self.limit if self.bound is Bound.AT_MOST else self.ratio >= self.limit

    @property
    def verdict(self) -> str:
        """`met`, or by how much it is missed, in percent of the limit."""
        return "met" if self.is_met else f"MISSED BY {abs(self.ratio - self.limit) / self.limit:.0%}"


def compare(
    what: str,
    ours: Measure,
    peer_name: str,
    peer: Measure,
    *,
    bound: Bound,
    limit: float,
    pairs: int,
    warm_up: bool = True,
) -> Row:
    """Measure both in turns, and return the row.

    Args:
        bound: AT_MOST limits our time divided by the peer's; AT_LEAST the peer's divided by ours.
        pairs: how often each is measured.
        warm_up: measure each once before, and ignore it. It is of no use if each measurement is a new process.
    """
    for measure in (ours, peer) if warm_up else ():
        measure()
    times = [_pair(ours, peer, ours_first=bool(number % 2)) for number in range(pairs)]
    best = (min(mine for mine, _ in times), min(its for _, its in times))
    ratios = [_ratio(bound, *each) for each in times]
    return Row(
        what,
        peer_name,
        duration(median(mine for mine, _ in times)),
        duration(median(its for _, its in times)),
        median(ratios),
        _ratio(bound, *best),
        bound,
        limit,
    )


def statement(code: str, names: Mapping[str, Any], *, operations: int = 1) -> Measure:
    """Return a function that measures one operation, in processor time, of a statement that performs several."""
    timer = timeit.Timer(code, setup=_as_locals(names), timer=time.process_time, globals={"given": names})
    number, took_s = timer.autorange()
    number = max(1, round(number * _SHORTEST_S / took_s))
    return lambda: timer.timeit(number) / number / operations


def duration(seconds: float) -> str:
    """Write a time with the unit that fits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _pair(ours: Measure, peer: Measure, *, ours_first: bool) -> tuple[float, float]:
    if ours_first:
        mine = ours()
        return mine, peer()
    its = peer()
    return ours(), its


def _ratio(bound: Bound, ours_s: float, peer_s: float) -> float:
    return ours_s / peer_s if bound is Bound.AT_MOST else peer_s / ours_s


def _as_locals(names: Mapping[str, Any]) -> str:
    # The set-up is part of the function that is timed, so its names are local variables, as in a user's function;
    # globals would slow both sides down and make their ratio smaller than it is.
    return "; ".join(f"{name} = given[{name!r}]" for name in names)
