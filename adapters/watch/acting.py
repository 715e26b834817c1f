"""What policies decide is carried out: asked, then given as a command through the same protocol as any other.

The command has a key that names the policy and the time since which the task has been in its state,
both of which every worker knows. So of all watchers of a task, and after any restart, one command is given.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from adapters.http import AsyncClient, NotAuthenticated, NotConnected, NotFound, NotPermitted, RateLimited
from adapters.watch.events import Acted
from adapters.watch.policies import Facts, Policy, ending_command
from adapters.watch.tasks import Watched
from lifecycle.catalog import CommandState
from lifecycle.command import CommandResult
from lifecycle.errors import (
    CommandAbandoned,
    CommandError,
    CommandInFlight,
    CommandRefused,
    IllegalTransition,
    KeyReused,
    LifecycleError,
    TaskEndedFirst,
)
from lifecycle.journal import TaskRecord

_log = logging.getLogger("adapters.watch")

_DID_NOT_HAPPEN = (RateLimited, NotConnected, CommandAbandoned)
"""Nothing was done and its record is closed: it is given again, under another key."""
_SETTLED = (
    TaskEndedFirst, IllegalTransition, CommandRefused, KeyReused, NotAuthenticated, NotPermitted, NotFound,
)  # fmt: skip
"""To try again in this state would come to the same."""


class Acting:
    """The policies of one watcher. `client` is the one that their commands are given through."""

    def __init__(self, client: AsyncClient, policies: Sequence[Policy], clock: Callable[[], datetime]) -> None:
        self._client = client
        self._policies = policies
        self._clock = clock

    @property
    def needs_cost(self) -> bool:
        """Whether any policy asks what tasks cost."""
        return any(policy.needs_cost for policy in self._policies)

    def decide(self, watched: Watched) -> Policy | None:
        """Return the policy that is to be carried out now, if any."""
        asked = self._asked(watched, watched.record)
        return next((each for each, facts in asked if self._reason(each, facts) is not None), None)

    def next_s(self, watched: Watched) -> float:
        """Return the seconds until time alone will change a decision; infinity where it will not."""
        now = self._clock()
        due_at = (each.due_at(self._client.lifecycle, facts) for each, facts in self._asked(watched, watched.record))
        waits = (each - now for each in due_at if each is not None)
        return min((each.total_seconds() for each in waits if each > timedelta()), default=float("inf"))

    async def carry_out(self, policy: Policy, watched: Watched, record: TaskRecord[Any, Any]) -> Acted | None:
        """Ask the policy once more, of what the journal knows, and give its command.

        Returns:
            What came of it; None where there is nothing to tell (again).
        """
        facts = next((facts for each, facts in self._asked(watched, record) if each is policy), None)
        reason = None if facts is None else self._reason(policy, facts)
        if facts is None or reason is None:
            return None
        command = ending_command(self._client.lifecycle, facts.state)
        told = partial(
            Acted,
            task_id=watched.task_id,
            lifecycle=self._client.lifecycle.name,
            policy=policy.name,
            command=str(command),
            reason=reason,
        )
        try:
            result = await self._give(command, policy, watched, record, reason)
        except LifecycleError as error:
            state = error.state if isinstance(error, CommandError) else record.state
            acted = told(state=state, sent=False, is_settled=isinstance(error, _SETTLED), error=error)
        else:
            acted = told(state=result.state, sent=result.sent)
        return _log_of(acted) if _is_new(watched, acted) else None

    async def _give(
        self, command: Any, policy: Policy, watched: Watched, record: TaskRecord[Any, Any], reason: str
    ) -> CommandResult[str, str]:
        opened = record.open_command
        if opened is not None and opened.state is CommandState.RECORDED and not watched.log.blocking:
            # The journal of one process has one worker, to whom it would hand a command that is under way.
            raise CommandInFlight(
                str(opened.command),
                lifecycle=self._client.lifecycle.name,
                task=watched.task_id,
                command=str(command),
                state=str(record.state),
            )
        assert record.since is not None
        key = f"policy:{policy.name}:{record.since.isoformat()}:{watched.given_up + 1}"
        task = self._client.task(watched.task_id)
        return await task.send(command, key=key, reason=reason, origin=f"policy:{policy.name}")

    def _asked(self, watched: Watched, record: TaskRecord[Any, Any] | None) -> list[tuple[Policy, Facts]]:
        """The policies to be asked of a task, with what they are told of it."""
        if record is None or record.state is None or record.since is None or record.first_at is None:
            return []
        if not self._policies:
            return []
        if ending_command(self._client.lifecycle, record.state) is None:
            return []
        facts = Facts(
            task_id=watched.task_id,
            state=record.state,
            since=record.since,
            first_at=record.first_at,
            cost_usd=watched.cost_usd,
        )
        return [(each, facts) for each in self._policies if each.name not in watched.settled]

    def _reason(self, policy: Policy, facts: Facts) -> str | None:
        return policy.decide(self._client.lifecycle, facts, self._clock())


def _is_new(watched: Watched, acted: Acted) -> bool:
    """Note what came of a command; whether it is to be told: what will be tried again is told once."""
    if acted.is_settled:
        watched.settled |= {acted.policy}
        return True
    watched.given_up += isinstance(acted.error, _DID_NOT_HAPPEN)
    watched.in_vain += 1
    return watched.in_vain == 1


def _log_of(acted: Acted) -> Acted:
    facts = {
        "lifecycle": acted.lifecycle,
        "task_id": acted.task_id,
        "policy": acted.policy,
        "command": acted.command,
        "reason": acted.reason,
        "state": None if acted.state is None else str(acted.state),
    }
    if acted.error is None:
        _log.info("a policy gave a command", extra=facts)
    else:
        _log.warning("a policy's command did not simply succeed", extra={**facts, "error": str(acted.error)})
    return acted
