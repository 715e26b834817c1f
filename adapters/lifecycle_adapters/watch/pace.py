"""The polling intervals of a watcher: settings, and the intervals computed from them.

No clock and no task belongs here; the lifecycle defines in which states a task works and in which it rests.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

from lifecycle.graph import reach
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import Origin
from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.procedures.timing import retry_pause_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The polling intervals of a watcher. In seconds, except `growth`, `jitter` and `concurrency`.

    A task that works is polled every `working_s`, one that rests every `resting_s`; while nothing
    changes each interval is `growth` times the one before, up to `longest_s`, and after a change it
    is short again. A task whose changes arrive by webhook is polled every `longest_s`. An interval is
    lengthened or shortened at random by up to `jitter` of itself. At most `concurrency` reads, and as many
    commands of policies, are under way at a time. The throttle limits the requests per second.

    A failed read, and a failed command of a policy, is retried after random exponential pauses up to
    `longest_s`, a read that the service refuses every `longest_s`; if the service asks for a longer pause
    (Retry-After), that is obeyed up to five minutes. In an outage of the service one task after the other is read,
    after pauses up to `longest_s`, or 20 s if that is shorter. A cost that is not in the status response is read
    every `cost_s`.
    """

    working_s: float = 2.0
    resting_s: float = 15.0
    longest_s: float = 60.0
    cost_s: float = 60.0
    growth: float = 1.25
    jitter: float = 0.2
    concurrency: int = 16

    def __post_init__(self) -> None:
        for name in ("working_s", "resting_s", "longest_s", "cost_s"):
            require_number(getattr(self, name), name, more_than=0, at_most=_LARGEST)
        require_number(self.concurrency, "concurrency", kind=int, more_than=0, at_most=_LARGEST)
        require_number(self.growth, "growth", at_least=1)
        require_number(self.jitter, "jitter", at_least=0, less_than=1)

    def first_interval_s(self, lifecycle: Lifecycle[Any, Any], state: Any) -> float:
        """Return the interval after a change to `state`; None is a state that is not known yet."""
        rests = state is not None and state in resting_states(lifecycle)
        return min(self.resting_s if rests else self.working_s, self.longest_s)

    def next_interval_s(self, interval_s: float) -> float:
        """Return the interval after one in which nothing changed."""
        return min(interval_s * self.growth, self.longest_s)

    def jittered_s(self, interval_s: float) -> float:
        """Return the interval with random jitter."""
        return interval_s * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 (no secret)

    def retry_s(self, failures: int) -> float:
        """Return the pause after this many failed reads in a row, 1 or more."""
        shortest_s = min(self.working_s, self.longest_s)
        return retry_pause_s(failures, first_s=2 * self.working_s, longest_s=self.longest_s, shortest_s=shortest_s)

    def refused_s(self) -> float:
        """Return the pause after a read that the service refuses, as another one is not expected to succeed."""
        return self.jittered_s(self.longest_s)


_LARGEST = 1e9


@cache
def resting_states(lifecycle: Lifecycle[Any, Any]) -> frozenset[Any]:
    """Return the states in which a task that is not over waits for its caller.

    These are the states declared settled (v3 `idle`), and those from which a command leads back to a
    working state that every path to them passes: v1 `paused`, since every path to it passes `running`,
    to which `resume` leads back.
    """
    states = [each.name for each in lifecycle.states if not lifecycle.is_over(each.name)]
    return frozenset(each for each in states if lifecycle.is_settled(each) or _can_be_resumed(lifecycle, each))


def _can_be_resumed(lifecycle: Lifecycle[Any, Any], state: Any) -> bool:
    commands = lifecycle.allowed(state, origin=Origin.CALLER)
    back_at = {lifecycle.step(state, command) for command in commands} - {state}
    return any(not lifecycle.is_settled(each) and _must_pass(lifecycle, each, state) for each in back_at)


def _must_pass(lifecycle: Lifecycle[Any, Any], gate: Any, state: Any) -> bool:
    """Return whether every path from the initial state to `state` passes `gate`."""
    others = {(row.source, row.event): row.target for row in lifecycle.transitions if row.source != gate}
    return gate == lifecycle.initial or state not in reach(others, lifecycle.initial)
