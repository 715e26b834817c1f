"""The enforcement of policies: it evaluates them, and sends their commands or emits their alerts.

A policy's command has an idempotency key of the policy's name, the time since which the task has been in its state,
and a number. Every worker computes the same key: the number is the first whose command was not refused or abandoned,
according to the journal. So all watchers of a task together, also after a restart, send one command at a time. A
command that fails is sent again, with growing pauses, until the task is over or its state refuses the command.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from lifecycle.catalog import CommandState
from lifecycle.command import CommandResult
from lifecycle.errors import CommandError, CommandRefused, CommandUncertain, IllegalTransition, TaskEndedFirst
from lifecycle.journal import TaskJournal, TaskRecord
from lifecycle_adapters import telemetry
from lifecycle_adapters.http import AsyncClient
from lifecycle_adapters.watch.events import Event, Overdue, PolicyAction, PolicyFailed
from lifecycle_adapters.watch.pace import Pace
from lifecycle_adapters.watch.policies import Facts, Policy, ask, emergency_command, ending_command, ends_task
from lifecycle_adapters.watch.throttle import Throttle, pause_asked_s
from lifecycle_adapters.watch.watched_task import Failing, WatchedTask

_log = logging.getLogger("lifecycle_adapters.watch")

_SPENT = (CommandState.REFUSED, CommandState.ABANDONED)
"""A command in one of these states had no effect, and its key is not used again."""
_SETTLED = (TaskEndedFirst, IllegalTransition)
"""The errors after which a retry in the same state cannot succeed."""
_SENT = (CommandRefused, CommandUncertain)
"""The errors of a command that was sent."""
_AGAIN = 8
"""Of failures of one kind in a row, the first, the 8th, the 64th and so on are emitted."""


class PolicyEnforcer:
    """Evaluates the policies of one watcher, and sends their commands through `client`."""

    def __init__(
        self,
        client: AsyncClient,
        policies: Sequence[Policy],
        *,
        pace: Pace,
        throttle: Throttle,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._lifecycle = client.lifecycle
        self._policies = policies
        self._pace = pace
        self._throttle = throttle
        self._clock = clock
        self._emergency = emergency_command(client.lifecycle)

    @property
    def needs_cost(self) -> bool:
        """Return whether any policy needs the cost of tasks."""
        return any(policy.needs_cost for policy in self._policies)

    def decide(self, watched: WatchedTask) -> tuple[Policy | None, list[Event]]:
        """Return the policy whose command must be sent now (None if there is none), and the alerts of the others."""
        chosen, events, facts = None, list[Event](), self._facts(watched, watched.record)
        for policy in self._applicable(watched, facts):
            if facts is None or (ends_task(policy) and chosen is not None):
                continue
            try:
                reason, _ = ask(policy, self._lifecycle, facts, self._clock())
            except Exception as error:  # noqa: BLE001 (whatever it is, it is about this policy and task)
                events += self._failed(watched, policy, error)
                continue
            if reason is None:
                watched.failing.pop(policy.name, None)
            elif ends_task(policy):
                chosen = policy
            else:
                watched.settled |= {policy.name}
                events.append(self._overdue(policy, facts, reason))
        return chosen, events

    def report_cost_fault(self, watched: WatchedTask, error: Exception) -> list[Event]:
        """Return an event for each policy that needs the cost of a task, which cannot be read because of this error."""
        return [self._failure_of(watched, each, error) for each in self._policies if each.needs_cost]

    def next_s(self, watched: WatchedTask) -> float:
        """Return the seconds until time alone will change a decision; infinity if it will not."""
        facts = self._facts(watched, watched.record)
        return min((self._due_s(watched, each, facts) for each in self._policies), default=float("inf"))

    def postpone(self, policy: Policy, watched: WatchedTask, error: Exception) -> None:
        """Record that the procedure of a policy's command could not be started, so that it is not retried at once."""
        self._note_failure(watched, policy, error)

    async def enforce(self, policy: Policy, watched: WatchedTask, record: TaskRecord[Any, Any]) -> list[Event]:
        """Evaluate the policy again with the task's record, send its command, and return the events to emit."""
        facts = self._facts(watched, record)
        if facts is None or policy.name in watched.settled:
            return []
        try:
            command = self._command(facts)
            reason = None if command is None else ask(policy, self._lifecycle, facts, self._clock())[0]
        except Exception as error:  # noqa: BLE001 (whatever it is, it is about this policy and task)
            return self._failed(watched, policy, error)
        if reason is None:
            return []
        action = partial(
            PolicyAction,
            task_id=watched.task_id,
            lifecycle=self._lifecycle.name,
            policy=policy.name,
            command=str(command),
            reason=reason,
        )
        try:
            result = await self._send(command, policy, watched, record, reason)
        except Exception as error:  # noqa: BLE001 (after any error, the command is sent again)
            state = error.state if isinstance(error, CommandError) else record.state
            sent = isinstance(error, _SENT) or (isinstance(error, TaskEndedFirst) and error.took_effect is None)
            acted = action(state=state, sent=sent, is_settled=isinstance(error, _SETTLED), error=error)
        else:
            acted = action(state=result.state, sent=result.sent)
        if acted.error is None or acted.is_settled:
            watched.settled |= {policy.name}
            watched.failing.pop(policy.name, None)
            return [_log_of(acted)]
        return [_log_of(acted)] if self._note_failure(watched, policy, acted.error) else []

    async def _send(
        self, command: Any, policy: Policy, watched: WatchedTask, record: TaskRecord[Any, Any], reason: str
    ) -> CommandResult[str, str]:
        since = "unread" if record.since is None else record.since.isoformat()
        stem = f"policy:{policy.name}:{since}"
        find = partial(first_unspent, watched.journal, command, stem)
        number = await asyncio.to_thread(find) if watched.journal.blocking else find()
        task = self._client.limited_by(self._throttle.of(watched.task_id)).task(watched.task_id)
        return await task.send(
            command, idempotency_key=f"{stem}:{number}", reason=reason, origin=f"policy:{policy.name}"
        )

    # --- policies and their facts ---------------------------------------------------------

    def _facts(self, watched: WatchedTask, record: TaskRecord[Any, Any] | None) -> Facts | None:
        if record is None or not self._policies:
            return None
        met_at = record.first_at or record.created_at or watched.added_at or self._clock()
        return Facts(
            task_id=watched.task_id,
            state=record.current,
            since=record.since or met_at,
            first_at=met_at,
            cost_usd=watched.cost_usd,
        )

    def _command(self, facts: Facts) -> Any:
        """Return the command that ends the task, None if there is none."""
        return self._emergency if facts.state is None else ending_command(self._lifecycle, facts.state)

    def _applicable(self, watched: WatchedTask, facts: Facts | None) -> list[Policy]:
        """Return the policies to be evaluated now."""
        if facts is None:
            return []
        can_end, now_s = self._command(facts) is not None, _now_s()
        return [
            each
            for each in self._policies
            if each.name not in watched.settled
            and (can_end or not ends_task(each))
            and (each.name not in watched.failing or watched.failing[each.name].again_s <= now_s)
        ]

    def _due_s(self, watched: WatchedTask, policy: Policy, facts: Facts | None) -> float:
        if facts is None or policy.name in watched.settled or (ends_task(policy) and self._command(facts) is None):
            return float("inf")
        if policy.name in watched.failing:
            return max(watched.failing[policy.name].again_s - _now_s(), 0.0)
        with suppress(Exception):  # `decide` reports it
            now = self._clock()
            _, due_at = ask(policy, self._lifecycle, facts, now)
            if due_at is not None and (wait := due_at - now) > timedelta():
                return wait.total_seconds()
        return float("inf")

    # --- events -----------------------------------------------------------------------------------

    def _overdue(self, policy: Policy, facts: Facts, reason: str) -> Overdue:
        state = None if facts.state is None else str(facts.state)
        telemetry.count_overdue(self._lifecycle.name, state or "unknown", policy.name)
        attributes = {"lifecycle": self._lifecycle.name, "task_id": facts.task_id, "policy": policy.name}
        _log.warning("a task is overdue", extra={**attributes, "state": state, "reason": reason})
        return Overdue(**attributes, state=state, since=facts.since, reason=reason)

    def _failed(self, watched: WatchedTask, policy: Policy, error: Exception) -> list[Event]:
        return [self._failure_of(watched, policy, error)] if self._note_failure(watched, policy, error) else []

    def _failure_of(self, watched: WatchedTask, policy: Policy, error: Exception) -> PolicyFailed:
        attributes = {"lifecycle": self._lifecycle.name, "task_id": watched.task_id, "policy": policy.name}
        _log.error("a policy failed", extra=attributes, exc_info=error)
        return PolicyFailed(**attributes, error=error)

    def _note_failure(self, watched: WatchedTask, policy: Policy, error: Exception) -> bool:
        """Record a failure, and when to retry; return whether to emit it."""
        last, kind = watched.failing.get(policy.name), _kind_of(error)
        times = 1 if last is None else last.times + 1
        asked_s = pause_asked_s(getattr(error.__cause__ or error, "retry_after_s", None))
        watched.failing[policy.name] = Failing(kind, times, _now_s() + max(self._pace.retry_s(times), asked_s))
        return last is None or last.kind != kind or _is_power_of(_AGAIN, times)


def first_unspent(journal: TaskJournal[Any, Any], command: Any, stem: str) -> int:
    """Return the first number, from 1, whose command was not refused or abandoned; all smaller ones were."""

    def is_unspent(number: int) -> bool:
        found = journal.find_command(f"{stem}:{number}")
        return found is None or (found.command == command and found.state not in _SPENT)

    last = 1
    while not is_unspent(last):
        last *= 2
    return 1 + bisect_left(range(1, last), True, key=is_unspent)


def _kind_of(error: Exception) -> tuple[Any, ...]:
    """Return the kind of an error, without its message, which may differ each time (ids, times)."""
    return type(error), getattr(error.__cause__ or error, "status_code", None)


def _is_power_of(base: int, number: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def _log_of(acted: PolicyAction) -> PolicyAction:
    facts = {
        "lifecycle": acted.lifecycle,
        "task_id": acted.task_id,
        "policy": acted.policy,
        "command": acted.command,
        "reason": acted.reason,
        "state": None if acted.state is None else str(acted.state),
    }
    if acted.error is None:
        _log.info("a policy's command succeeded", extra=facts)
    else:
        _log.warning("a policy's command did not succeed", extra={**facts, "error": str(acted.error)})
    return acted


def _now_s() -> float:
    return asyncio.get_running_loop().time()
