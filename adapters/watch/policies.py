"""Policies: when a task is to be ended by its watcher. Pure: a decision follows from what is known and the time.

Times are those of the journal's record, so that they survive restarts. A clock that is put forward
cannot be told from a machine that slept: the time counts as passed, and every task is looked at once
more before it is ended. A clock that is put back delays (`adapters.http.timing.Clock`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from adapters.watch.pace import resting_states
from lifecycle.definition import Lifecycle
from lifecycle.table import Origin, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a task: its state and since when, when it was first seen, what it has cost."""

    task_id: str
    state: Any
    since: datetime
    first_at: datetime
    cost_usd: Decimal | None = None


class Policy(Protocol):
    """When a task is to be ended. `name` goes into the record; one watcher has one policy of a name."""

    @property
    def name(self) -> str:
        """What it is called in the record."""
        ...

    @property
    def needs_cost(self) -> bool:
        """Whether it asks what tasks cost."""
        ...

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        """Return why the task is to be ended now, None where it is not. Not asked of tasks that are over."""
        ...

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime | None:
        """Return when time alone will change the decision, None where it will not."""
        ...


@dataclass(frozen=True, slots=True)
class StopAfter:
    """End a task that was first seen `seconds` ago."""

    seconds: float
    name: str = "stop-after"
    needs_cost: bool = False

    def __post_init__(self) -> None:
        _require_positive(self.seconds)

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        """Return why, once the time is up."""
        if now < self.due_at(lifecycle, facts):
            return None
        return f"it has lasted {(now - facts.first_at).total_seconds():.0f} s, the limit is {self.seconds:g} s"

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime:  # noqa: ARG002 (as declared)
        """Return when the time is up."""
        return facts.first_at + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class StopPausedAfter:
    """End a task that has rested in one state for `seconds`.

    `states` are those that count; where none are given, those in which a task waits for its caller
    (v1 `paused`, v3 `idle`), as `adapters.watch.pace.resting_states` derives them from the lifecycle.
    """

    seconds: float
    states: Collection[str] = ()
    name: str = "stop-paused-after"
    needs_cost: bool = False

    def __post_init__(self) -> None:
        _require_positive(self.seconds)

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        """Return why, once the time is up."""
        due_at = self.due_at(lifecycle, facts)
        if due_at is None or now < due_at:
            return None
        rested_s = (now - facts.since).total_seconds()
        return f"it has been {quoted(facts.state)} for {rested_s:.0f} s, the limit is {self.seconds:g} s"

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime | None:
        """Return when the time is up, None in a state that does not count."""
        counts = facts.state in (self.states or resting_states(lifecycle))
        return facts.since + timedelta(seconds=self.seconds) if counts else None


@dataclass(frozen=True, slots=True)
class StopAtCost:
    """End a task that has cost `usd` or more."""

    usd: Decimal | float
    name: str = "stop-at-cost"
    needs_cost: bool = True

    def __post_init__(self) -> None:
        _require_positive(self.usd)

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:  # noqa: ARG002 (as declared)
        """Return why, once the limit is reached."""
        if facts.cost_usd is None or facts.cost_usd < Decimal(str(self.usd)):
            return None
        return f"it has cost {facts.cost_usd} USD, the limit is {self.usd} USD"

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> None:
        """Return None: only a look tells."""


def ending_command(lifecycle: Lifecycle[Any, Any], state: Any) -> Any:
    """Return the first command that ends a task from this state, None where none is allowed. Raises UnknownName."""
    return next((each for each in lifecycle.allowed(state, origin=Origin.CALLER) if lifecycle.ends(each)), None)


def _require_positive(limit: Decimal | float) -> None:
    if not 0 < limit < float("inf"):
        raise ValueError(f"a limit is positive and finite, not {limit}")
