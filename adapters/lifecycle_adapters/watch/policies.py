"""Policies: rules by which a watcher ends a task or reports it as overdue; pure functions of facts and the time.

Times are those of the journal's record, so that they survive restarts. A clock that is set forward cannot be
distinguished from a machine that slept: the time counts as passed, and every task that can be read is read once
more before it is ended. A clock that is set back delays decisions (`lifecycle_adapters.procedures.timing.SteadyClock`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol, runtime_checkable

from lifecycle.errors import shortened
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import Origin, quoted, require_iterable
from lifecycle_adapters.argument_checks import WrongValue, require, require_boolean, require_number
from lifecycle_adapters.watch.pace import resting_states


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts about a task: its state and its start, the time it was first seen, its cost in USD (None: not known).

    `state` is None if the task's status could never be read. `since` and `first_at` are then the time at
    which the task was created or, if the journal does not know it, added to the watcher.
    """

    task_id: str
    state: Any
    since: datetime
    first_at: datetime
    cost_usd: Decimal | None = None


class Policy(Protocol):
    """A rule that decides when a task is to be ended. No two policies of a watcher may have the same name."""

    @property
    def name(self) -> str:
        """Return its name in the journal."""
        ...

    @property
    def needs_cost(self) -> bool:
        """Return whether it needs the cost of tasks."""
        ...

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        """Return the reason to end the task now, None for no action. Not called for tasks that are over."""
        ...

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime | None:
        """Return the time at which time alone will change the decision, None if it will not."""
        ...


class AlertPolicy(Policy, Protocol):
    """A policy that ends nothing: if `decide` returns a reason, the watcher emits one `Overdue` event per stay."""

    @property
    def ends_task(self) -> Literal[False]:
        """Return False; a policy without this attribute ends tasks."""
        ...


@runtime_checkable
class NamesStates(Protocol):
    """A policy that names states; the watcher checks them in its constructor."""

    def require_declared(self, lifecycle: Lifecycle[Any, Any]) -> None:
        """Raise UnknownName for a state that the lifecycle does not declare, ValueError for one that it cannot have."""
        ...


def checked_policies(
    policies: Iterable[Policy], lifecycle: Lifecycle[Any, Any], *, service: str, reports_costs: bool
) -> tuple[Policy, ...]:
    """Return the policies, which are checked now instead of at their first decision.

    Raises:
        TypeError: they cannot be iterated over, or one is a class or not a policy.
        ValueError: two have the same name, one needs costs that the service does not report, or names a final state.
        UnknownName: one names a state that the lifecycle does not declare.
    """
    require(policies, Iterable, "policies must be several, in a list such as [StopAfter(3600)]")
    given = tuple(policies)
    _require_instances(given)
    if len({each.name for each in given}) < len(given):
        raise ValueError("two policies have the same name, so their commands could not be distinguished")
    if not reports_costs and any(each.needs_cost for each in given):
        raise WrongValue(f"{service} does not report the cost of a task", "usd")
    for each in given:
        if isinstance(each, NamesStates):
            each.require_declared(lifecycle)
    return given


def _require_instances(policies: tuple[object, ...]) -> None:
    for each in policies:
        if isinstance(each, type):
            raise TypeError(f"a policy is an object, not the class {each.__name__}; make one: {each.__name__}(...)")
        missing = [name for name in ("name", "needs_cost", "decide", "due_at") if not hasattr(each, name)]
        if missing:
            raise TypeError(f"{shortened(each)} is not a policy: it has no {', '.join(missing)}")
        for name in ("needs_cost", "ends_task"):
            require_boolean(getattr(each, name, True), f"{name} of the policy {shortened(each)}")


def ask(
    policy: Policy, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime
) -> tuple[str | None, datetime | None]:
    """Evaluate a policy: return the reason to act now, and the time of its next decision, each None if there is none.

    Raises:
        TypeError: the policy returned another type, or a time without a zone.
        RuntimeError: the policy raised CancelledError, which would otherwise end the caller.
        Exception: any other error that the policy raised.
    """
    try:
        reason: Any = policy.decide(lifecycle, facts, now)
        due_at: Any = policy.due_at(lifecycle, facts)
    except asyncio.CancelledError as error:
        raise RuntimeError(f"the policy {policy.name!r} raised CancelledError") from error
    if not (reason is None or isinstance(reason, str)):
        raise TypeError(f"decide of the policy {policy.name!r} must return a text or None, not {reason!r:.80}")
    if not (due_at is None or (isinstance(due_at, datetime) and due_at.tzinfo is not None)):
        raise TypeError(
            f"due_at of the policy {policy.name!r} must return an aware datetime or None, not {due_at!r:.80}"
        )
    return reason, due_at


def ends_task(policy: Policy) -> bool:
    """Return whether a policy ends tasks; otherwise it only alerts."""
    return bool(getattr(policy, "ends_task", True))


@dataclass(frozen=True, slots=True)
class StopAfter:
    """End a task that was first seen `seconds` ago."""

    seconds: float
    name: str = "stop-after"
    needs_cost: bool = False

    def __post_init__(self) -> None:
        require_number(self.seconds, "seconds", more_than=0, less_than=float("inf"))
        _require_common(self)

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        """Return the reason to end the task; None before the limit is reached."""
        if now < self.due_at(lifecycle, facts):
            return None
        return f"it has lasted {_rounded(now - facts.first_at)} s, the limit is {self.seconds:g} s"

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime:  # noqa: ARG002 (as declared)
        """Return the time at which the limit is reached."""
        return _later(facts.first_at, self.seconds)


@dataclass(frozen=True, slots=True)
class StopPausedAfter:
    """End a task that has rested in one state for `seconds`.

    `states` are the states that count; if omitted, those in which a task waits for its caller
    (v1 `paused`, v3 `idle`), as `lifecycle_adapters.watch.pace.resting_states` derives them from the lifecycle.
    """

    seconds: float
    states: Collection[str] = ()
    name: str = "stop-paused-after"
    needs_cost: bool = False

    def __post_init__(self) -> None:
        require_number(self.seconds, "seconds", more_than=0, less_than=float("inf"))
        _require_common(self)
        require_iterable(self.states, "states")

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        """Return the reason to end the task; None before the limit is reached."""
        due_at = self.due_at(lifecycle, facts)
        if due_at is None or now < due_at:
            return None
        return f"it has been {quoted(facts.state)} for {_rounded(now - facts.since)} s, the limit is {self.seconds:g} s"

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime | None:
        """Return the time at which the limit is reached, None in a state that does not count."""
        counts = facts.state in (self.states or resting_states(lifecycle))
        return _later(facts.since, self.seconds) if counts else None

    def require_declared(self, lifecycle: Lifecycle[Any, Any]) -> None:
        """Raise UnknownName for a state that the lifecycle does not declare, ValueError for one in which it is over."""
        for state in self.states:
            _require_not_over(self.name, lifecycle, state)


@dataclass(frozen=True, slots=True)
class OverdueAfter:
    """Report a task that has been in `state` for `seconds`; it is not ended.

    The watcher emits one `Overdue` event per stay in the state. A watcher that is restarted, and every other
    watcher of the task, emits it once more. `name` is `overdue-after:STATE` if omitted.
    """

    state: str
    seconds: float
    name: str = ""
    needs_cost: bool = False
    ends_task: Literal[False] = False

    def __post_init__(self) -> None:
        require_number(self.seconds, "seconds", more_than=0, less_than=float("inf"))
        _require_common(self)
        require(self.state, str, "state must be text, as of the lifecycle's states")
        require_boolean(self.ends_task, "ends_task")
        if not self.name:
            object.__setattr__(self, "name", f"overdue-after:{self.state}")

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        """Return the reason why the task is overdue, None if it is not."""
        due_at = self.due_at(lifecycle, facts)
        if due_at is None or now < due_at:
            return None
        stayed = f"it has been {quoted(facts.state)} for {_rounded(now - facts.since)} s"
        return f"{stayed}, expected were at most {self.seconds:g} s"

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime | None:  # noqa: ARG002 (as declared)
        """Return the time at which the task is overdue, None in another state."""
        return _later(facts.since, self.seconds) if facts.state == self.state else None

    def require_declared(self, lifecycle: Lifecycle[Any, Any]) -> None:
        """Raise UnknownName for a state that the lifecycle does not declare, ValueError for one in which it is over."""
        _require_not_over(self.name, lifecycle, self.state)


def _require_common(policy: Policy) -> None:
    require(policy.name, str, "name must be text")
    require_boolean(policy.needs_cost, "needs_cost")


def _require_not_over(name: str, lifecycle: Lifecycle[Any, Any], state: str) -> None:
    if lifecycle.is_over(state):
        ends = "final" if lifecycle.is_final(state) else "reopenable"
        raise ValueError(f"{name}: {quoted(state)} is {ends}, and a task that is over is not watched")


@dataclass(frozen=True, slots=True)
class StopAtCost:
    """End a task that has cost `usd` or more."""

    usd: Decimal | float
    name: str = "stop-at-cost"
    needs_cost: bool = True

    def __post_init__(self) -> None:
        require_number(self.usd, "usd", kind=int | float | Decimal, more_than=0, less_than=float("inf"))
        _require_common(self)

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:  # noqa: ARG002 (as declared)
        """Return the reason to end the task; None below the limit, or while the cost is not known."""
        if facts.cost_usd is None or facts.cost_usd < Decimal(str(self.usd)):
            return None
        return f"it has cost {facts.cost_usd} USD, the limit is {self.usd} USD"

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> None:
        """Return None: only a read of the cost can change the decision."""


def ending_command(lifecycle: Lifecycle[Any, Any], state: Any) -> Any:
    """Return the first command that ends a task from this state, None if none is allowed.

    Raises UnknownName if the state is not declared.
    """
    return next(
        (
            each
            for each in lifecycle.allowed(state, origin=Origin.CALLER)
            if lifecycle.is_over(lifecycle.step(state, each))
        ),
        None,
    )


def emergency_command(lifecycle: Lifecycle[Any, Any]) -> Any:
    """Return the first command that ends a task from every state that is not final, None if there is none."""
    states = [each.name for each in lifecycle.states if not lifecycle.is_final(each.name)]
    return next(
        (
            each
            for each in lifecycle.commands
            if lifecycle.is_terminating(each) and all(lifecycle.target(state, each) is not None for state in states)
        ),
        None,
    )


def _rounded(time: timedelta) -> str:
    """Return a time in seconds, rounded down to a tenth or, from a minute on, to whole seconds."""
    seconds = time.total_seconds()
    return f"{seconds:.0f}" if seconds >= 60 else f"{math.floor(seconds * 10) / 10:g}"


def _later(at: datetime, seconds: float) -> datetime:
    """Return the time `seconds` later, at most the largest datetime."""
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
