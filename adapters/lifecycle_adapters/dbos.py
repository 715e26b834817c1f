"""Supervision on several machines: durable DBOS workflows that follow tasks and send them commands.

    supervision = Supervision(AsyncClient("v4", journal=journal), policies=[StopAfter(3600)])
    with serving(config, supervision):
        print(supervision.follow(task_id).get_result())

One workflow follows one task until it is over. It waits for whichever is first: a step that polls until the state
changes, or a message (a command from `send`, a report from `notify`). Each command is its own step. So a day of waiting
takes about a hundred rows in DBOS's database, however often the task was polled.

DBOS runs steps at least once. Therefore a command's step sends it with an idempotency key: if it took effect before a
crash, the repeated step finds the task at its target or returns the journal's outcome. The journal remains the durable
record; the data that DBOS stores (task ids, states, commands with their fields) contains no API key.

Sources: the documents and the source of DBOS 3.4.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ParamSpec, TypedDict, TypeVar

from lifecycle.errors import MissingExtra

try:  # before the other imports, because this extra installs their dependencies
    from dbos import DBOS, DBOSConfig, DBOSConfiguredInstance, SetWorkflowID, WorkflowHandle
    from dbos import error as dbos_error
except ImportError:
    raise MissingExtra("dbos", needed_by="lifecycle_adapters.dbos") from None

from lifecycle.effects import Progress
from lifecycle.errors import (
    AdapterError,
    CommandError,
    IllegalTransition,
    LifecycleError,
    UnknownName,
    UnreadableRecord,
    WaitTimedOut,
    text_of,
)
from lifecycle.journal import Report, TaskJournal, TaskRecord
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.argument_checks import require, require_number
from lifecycle_adapters.http import AsyncClient, AsyncTask
from lifecycle_adapters.http.http_errors import NotFound
from lifecycle_adapters.http.responses import NotANumber
from lifecycle_adapters.http.task_procedures import reported_cost_usd
from lifecycle_adapters.procedures.arguments import request_context, with_a_key
from lifecycle_adapters.watch.policies import Facts, Policy, checked_policies, ending_command, ends_task

__all__ = ["Limits", "NotFollowed", "RecoveryNotConfigured", "SentCommand", "Supervision", "serving"]

P = ParamSpec("P")
R = TypeVar("R")

_LOG = logging.getLogger(__name__)
_TOPIC = "task"
_FIRST = asyncio.FIRST_COMPLETED
_A_YEAR_S = 365 * 24 * 3600.0


class RecoveryNotConfigured(AdapterError, ValueError):
    """The configuration of DBOS does not determine which workflows a process recovers."""


class NotFollowed(AdapterError):
    """No workflow follows the task; `.task` is its id."""

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"no workflow follows the task {task!r}: call follow first")


# --- stored data: plain types, for any serializer of DBOS -----------------------------------------


class SentCommand(TypedDict):
    """The outcome of a command: `error` is None if it succeeded, `sent` is False if it was redundant or failed.

    `state` is the state after it, None if it failed. `error` is the exception's type and message.
    """

    command: str
    state: str | None
    sent: bool
    error: str | None


class _FollowedState(TypedDict):
    """The data on a task between two steps. Times are seconds since 1970.

    `since` is the time at which the state was first observed. `due` is the name of the policy that ends the task now,
    for `reason`. No policy is evaluated again before `again_at`.
    """

    followed_at: float
    state: str | None
    since: float
    is_over: bool
    due: str | None
    reason: str
    again_at: float


class Limits(TypedDict, total=False):
    """Limits of the queue, with the names and meanings of `DBOS.register_queue`.

    `worker_concurrency` and `global_concurrency` limit the tasks that each process and all processes follow at once,
    `limiter` limits the rate of new ones, and `polling_interval_sec` is the interval between reads of the queue.
    """

    worker_concurrency: int
    global_concurrency: int
    limiter: Any
    polling_interval_sec: float


# --- supervision ----------------------------------------------------------------------------------


def _checked_limits(limits: Limits | None) -> Limits:
    """Return the limits.

    Raises:
        TypeError: they are not a mapping, or one has the wrong type.
        UnknownName: there is no limit of a name.
        ValueError: one is not in its range.
    """
    require(limits, Mapping | None, "limits must be a mapping, such as {'worker_concurrency': 100}")
    given: Mapping[str, Any] = limits or {}
    for name, limit in given.items():
        if name not in Limits.__annotations__:
            raise UnknownName("limit", name, known=Limits.__annotations__, where="limits")
        if name == "limiter":
            require(limit, Mapping, "limiter must be a mapping, such as {'limit': 50, 'period': 1}")
        elif name == "polling_interval_sec":
            require_number(limit, name, more_than=0, less_than=float("inf"))
        else:
            require_number(limit, name, kind=int, at_least=1)
    return limits or Limits()


@DBOS.dbos_class("lifecycle.Supervision")
class Supervision(DBOSConfiguredInstance):
    """The tasks of one service, each followed by its own workflow, `NAME:TASK_ID`.

    Every process that follows them creates an equal supervision with the same name, once, before `serving`. Its methods
    block on a database: in a program with an event loop, call them through `asyncio.to_thread`.

    Args:
        client: the client that polls and sends commands; the supervision closes it.
        name: the name of the workflows and of their queue; default: the service's name.
        step_s: the longest time in seconds that one step polls.
        policies: the policies that end tasks (`lifecycle_adapters.watch`). A task counts as first seen when `follow`
            was called. Its cost is read at the beginning of each step, so at least every `step_s`.
        limits: the limits of the queue.
    Raises:
        ValueError: `name` is empty, `step_s` or a limit is not in its range, two policies have one name, or a policy
            needs costs that the service does not report, names a final state, or only alerts.
        UnknownName: a policy names a state that the lifecycle does not declare, or `limits` has another name.
        TypeError: an argument has the wrong type, such as a synchronous client, or a policy class that was not
            instantiated.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        name: str | None = None,
        step_s: float = 600.0,
        policies: Sequence[Policy] = (),
        limits: Limits | None = None,
    ) -> None:
        require(client, AsyncClient, "client must be an AsyncClient")
        require(name, str | None, "name must be text")
        if name == "":
            raise ValueError("name must not be empty: give the workflows a name, or None for the service's")
        require_number(step_s, "step_s", more_than=0, less_than=float("inf"))
        self.name = name or client.binding.name
        self._limits = _checked_limits(limits)
        self._client = client
        self._lifecycle = client.lifecycle
        self._step_s = step_s
        self._policies = checked_policies(
            policies,
            client.lifecycle,
            service=client.binding.name,
            reports_costs=client.binding.cost_field is not None,
        )
        self._needs_cost = any(policy.needs_cost for policy in self._policies)
        if not all(map(ends_task, self._policies)):
            raise ValueError(
                "a supervision ends tasks; use a watcher (lifecycle_adapters.watch) for a policy that only alerts"
            )
        self._is_open = False
        self._closing: asyncio.Task[None] | None = None
        super().__init__(self.name)

    def open_queue(self) -> None:
        """Register the queue from which this process takes tasks; `serving` calls this once.

        Raises:
            ValueError: the supervision was served before.
        """
        if self._is_open:
            raise ValueError(f"the supervision {self.name!r} was served before, and its client is closed")
        self._is_open = True
        DBOS.register_queue(self.name, **self._limits)

    def workflow_id(self, task_id: str) -> str:
        """Return the id of the workflow that follows the task."""
        return f"{self.name}:{task_id}"

    def follow(self, task_id: str) -> WorkflowHandle[str]:
        """Follow a task until it is over; the handle's result is its final state.

        If the task is or was followed, no second workflow starts, and the first one's handle is returned.
        Raises ValueError for an id that cannot be sent.
        """
        self._client.task(task_id)
        with SetWorkflowID(self.workflow_id(task_id)):
            # Any: DBOS declares the coroutine's type instead of its result's.
            handle: WorkflowHandle[Any] = DBOS.enqueue_workflow(self.name, self._follow, task_id, time.time())
            return handle

    def send(
        self,
        task_id: str,
        command: str,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> str:
        """Send a command to a followed task, and return its idempotency key, which `result` takes.

        Args:
            task_id: the task's id.
            command: the command's name.
            idempotency_key: commands with equal keys run once; default: a new key.
            reason: why the command is sent, for the journal.
            origin: who sends it, for the journal.
            fields: further fields of the request.
        Raises:
            UnknownName: the lifecycle does not declare the command.
            TypeError: an argument is not text, or a field is missing, is set by the call itself, or is not JSON.
            ValueError: the key is empty; or the command is not idempotent, and the journal in memory would not know of
                it after a crash.
            NotFollowed: no workflow follows the task.
        """
        if not self._lifecycle.event(command).idempotent and isinstance(self._client.journal, MemoryJournal):
            raise ValueError(f"{command!r} must not be repeated after a crash; use a durable journal")
        self._client.binding.command_request(command, task_id, fields)
        context = asdict(with_a_key(request_context(idempotency_key, origin, reason)))
        key: str = context["idempotency_key"]
        self._send(
            task_id,
            {"command": command, **context, "fields": fields},
            idempotency_key=f"{self.workflow_id(task_id)}:{key}",
        )
        return key

    def result(self, task_id: str, idempotency_key: str, *, timeout_s: float = 60.0) -> SentCommand | None:
        """Return a command's outcome; None if it is unknown after `timeout_s`, or the task was over before.

        Raises TypeError if the key is not text or `timeout_s` not a number, ValueError if that is negative or infinite.
        """
        require(idempotency_key, str, "idempotency_key must be text, as `send` returned it")
        require_number(timeout_s, "timeout_s", at_least=0, less_than=float("inf"))
        outcome: SentCommand | None = DBOS.get_event(
            self.workflow_id(task_id), idempotency_key, timeout_seconds=timeout_s
        )
        return outcome

    def notify(self, task_id: str, report: Report | None = None) -> None:
        """Pass a pushed report to the task's workflow; without a report (the journal has it), poll the task now.

        Raises:
            TypeError: `report` is not a Report.
            UnknownName: the lifecycle declares no such channel.
            NotFollowed: no workflow follows the task.
        """
        require(report, Report | None, "report must be a Report(...)")
        message: dict[str, Any] = {}
        if report is not None:
            self._lifecycle.state_of(report.status, channel=report.channel)
            message = {"status": report.status, "as_of": report.as_of.isoformat(), "channel": report.channel}
        self._send(task_id, message)

    def _send(self, task_id: str, message: Mapping[str, Any], *, idempotency_key: str | None = None) -> None:
        try:
            DBOS.send(self.workflow_id(task_id), message, _TOPIC, idempotency_key=idempotency_key)
        except dbos_error.DBOSNonExistentWorkflowError:
            raise NotFollowed(task_id) from None

    # The workflow. It has no clock and no I/O, so that a replay runs the same steps in the same order.

    # The number of recoveries is unlimited: a task may last for months, with many restarts of its worker.
    @DBOS.workflow(name="lifecycle.follow", max_recovery_attempts=None)
    async def _follow(self, task_id: str, followed_at: float) -> str | None:
        self._close_client_with_loop()
        task = self._client.task(task_id)
        known = _FollowedState(
            followed_at=followed_at, state=None, since=followed_at, is_over=False, due=None, reason="", again_at=0.0
        )
        receiving: asyncio.Task[Any] | None = None
        try:
            while not known["is_over"]:
                received = asyncio.Event()
                polling = asyncio.create_task(_step("poll", self._poll_step, task, known, received))
                receiving = receiving or asyncio.create_task(DBOS.recv_async(_TOPIC, timeout_seconds=_A_YEAR_S))
                done, _ = await DBOS.asyncio_wait([polling, receiving], return_when=_FIRST)
                received.set()
                known = await polling
                if known["due"]:
                    known = await self._handle_message(task, known, self._policy_command(known))
                if receiving in done:
                    known = await self._handle_message(task, known, receiving.result() or {})
                    receiving = None
        finally:
            if receiving is not None:
                receiving.cancel()
                await asyncio.wait({receiving})
        return known["state"]

    async def _handle_message(
        self, task: AsyncTask, known: _FollowedState, message: Mapping[str, Any]
    ) -> _FollowedState:
        if "status" in message:
            return await _step("report", self._report, task, known, message)
        if "command" in message:
            outcome = await _step(message["command"], self._command, task, message)
            await DBOS.set_event_async(message["idempotency_key"], outcome)
        return known

    def _policy_command(self, known: _FollowedState) -> Mapping[str, Any]:
        """Return the command that the due policy sends, with a new key each time: an old key keeps its refusal."""
        return {
            "command": str(ending_command(self._lifecycle, known["state"])),
            "idempotency_key": f"policy:{known['due']}:{known['again_at']}",
            "reason": known["reason"],
            "origin": f"policy:{known['due']}",
            "fields": {},
        }

    # The steps. Each may run more than once.

    async def _poll_step(self, task: AsyncTask, known: _FollowedState, received: asyncio.Event) -> _FollowedState:
        """Poll until the state changes, a policy is due, a message arrives, or `step_s` has passed.

        If no policy is due, the step ends only after one request to the service; if one is due, after one read of the
        journal. Otherwise a machine too busy to do so within `step_s` would never learn a state.
        """
        known = {**known, "due": None}
        timeout_s = self._timeout_s(task, known)
        enough = asyncio.Event()
        polling = asyncio.create_task(self._poll(task, known, enough, needs_response=timeout_s >= self._step_s))
        receiving, polled = asyncio.create_task(received.wait()), asyncio.create_task(enough.wait())
        try:
            await asyncio.wait({polling, receiving}, timeout=timeout_s, return_when=_FIRST)
            await asyncio.wait({polling, receiving, polled}, return_when=_FIRST)
            if polling.done():
                return polling.result()
        finally:
            for each in (receiving, polled, polling):
                each.cancel()
        await asyncio.wait({polling})  # it may have to release a command
        return self._decided(task, known)

    async def _poll(
        self, task: AsyncTask, known: _FollowedState, enough: asyncio.Event, *, needs_response: bool
    ) -> _FollowedState:
        """Recover an open command and poll, until the task is over, in another state, or too expensive.

        Sets `enough` after the first response or failure of the service; without `needs_response` already after the
        first read of the journal.
        """

        def on_progress(progress: Progress[Any]) -> None:
            if progress.state not in (None, known["state"]):
                raise _StateChanged
            enough.set()

        while True:
            try:
                with suppress(CommandError, IllegalTransition):  # the command is settled, or is recovered again later
                    await task.recover()
                record = await asyncio.to_thread(self._journal(task).load)
                after = self._after(known, record)
                if after["is_over"] or after["state"] not in (None, known["state"]):
                    return after
                after = await self._with_cost(task, after)
                if after["due"]:
                    return after
                if not needs_response:
                    enough.set()
                # Another worker's claim may end without notice; then this worker must recover the command soon.
                limit_s = None if record.open_command is None else self._client.timing.longest_retry_s
                await task.wait("final", on_progress=on_progress, on_unknown="continue", timeout_s=limit_s)
            except _StateChanged:
                continue
            except WaitTimedOut:
                enough.set()
                continue
            except NotFound:
                raise
            except (AdapterError, UnreadableRecord) as error:  # a later version of this worker may read the record
                _LOG.warning("a task cannot be followed at present", extra=self._log_facts(task, error))
                enough.set()
            await asyncio.sleep(self._client.timing.longest_retry_s)

    def _journal(self, task: AsyncTask) -> TaskJournal[Any, Any]:
        return self._client.journal.task(task.lifecycle, task.id, server=self._client.server)

    async def _with_cost(self, task: AsyncTask, known: _FollowedState) -> _FollowedState:
        if not self._needs_cost:
            return known
        cost, details = None, await task.details()
        try:
            cost = reported_cost_usd(details, self._client.binding.cost_field)
        except NotANumber as error:
            for policy in self._policies:
                if policy.needs_cost:
                    self._warn_of_policy(task, policy, error)
        return self._decided(task, known, cost)

    async def _report(self, task: AsyncTask, known: _FollowedState, message: Mapping[str, Any]) -> _FollowedState:
        report = Report(message["status"], datetime.fromisoformat(message["as_of"]), message["channel"])
        try:
            return self._after(known, await asyncio.to_thread(self._journal(task).add_report, report))
        except (AdapterError, UnreadableRecord) as error:  # the next poll reads the status
            _LOG.warning("a report could not be recorded", extra=self._log_facts(task, error))
            return known

    async def _command(self, task: AsyncTask, message: Mapping[str, Any]) -> SentCommand:
        context = {name: message[name] for name in ("idempotency_key", "reason", "origin")}
        try:
            result = await task.send(message["command"], **context, **message["fields"])
        except LifecycleError as error:  # the next poll recovers a command that is left open
            return SentCommand(
                command=message["command"], state=None, sent=False, error=f"{type(error).__name__}: {text_of(error)}"
            )
        return SentCommand(command=message["command"], state=str(result.state), sent=result.sent, error=None)

    def _after(self, known: _FollowedState, record: TaskRecord[Any, Any]) -> _FollowedState:
        state = None if record.current is None else str(record.current)
        since = known["since"] if state == known["state"] else time.time()
        is_over = state is not None and self._lifecycle.is_over(state) and record.open_command is None
        return {**known, "state": state, "since": since, "is_over": is_over, "due": None}

    def _decided(self, task: AsyncTask, known: _FollowedState, cost: Decimal | None = None) -> _FollowedState:
        """Return the state of the task with the first policy that is due."""
        now = datetime.now(UTC)
        if now.timestamp() < known["again_at"]:
            return known
        for policy, facts in self._policy_facts(task, known, cost):
            try:
                reason = policy.decide(self._lifecycle, facts, now)
            except Exception as error:  # noqa: BLE001  # a policy is the user's code; the others must still be evaluated
                self._warn_of_policy(task, policy, error)
                continue
            if reason is not None:
                return {**known, "due": policy.name, "reason": reason, "again_at": now.timestamp() + self._step_s}
        return known

    def _timeout_s(self, task: AsyncTask, known: _FollowedState) -> float:
        due_s = [float("inf")]
        for policy, facts in self._policy_facts(task, known):
            try:
                due_at = policy.due_at(self._lifecycle, facts)
                due_s += [] if due_at is None else [due_at.timestamp()]
            except Exception as error:  # noqa: BLE001  # a policy is the user's code; the others must still be evaluated
                self._warn_of_policy(task, policy, error)
        return max(0.0, min(max(min(due_s), known["again_at"]) - time.time(), self._step_s))

    def _warn_of_policy(self, task: AsyncTask, policy: Policy, error: Exception) -> None:
        _LOG.error("a policy failed", extra={**self._log_facts(task, error), "policy": policy.name})

    def _policy_facts(
        self, task: AsyncTask, known: _FollowedState, cost: Decimal | None = None
    ) -> list[tuple[Policy, Facts]]:
        """Return the policies to evaluate for a task, each with its facts."""
        state = known["state"]
        # A worker with another declaration may have stored the state; the next poll reads one of this declaration.
        if state is None or self._lifecycle.state_of(state) is None or ending_command(self._lifecycle, state) is None:
            return []
        since, first_at = (datetime.fromtimestamp(at, UTC) for at in (known["since"], known["followed_at"]))
        facts = Facts(task_id=task.id, state=state, since=since, first_at=first_at, cost_usd=cost)
        return [(policy, facts) for policy in self._policies]

    def _log_facts(self, task: AsyncTask, error: Exception) -> dict[str, str]:
        return {"lifecycle": self._lifecycle.name, "task_id": task.id, "error": str(error)}

    def _close_client_with_loop(self) -> None:
        """Close the client when its event loop ends: the loop is DBOS's, which cancels all tasks at its end."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(
                _close_when_cancelled(self._client), context=Context()
            )


class _StateChanged(Exception):
    """The task's state has changed, so that the poll can end."""


async def _step(name: str, function: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
    return await DBOS.run_step_async({"name": name}, function, *args, **kwargs)


async def _close_when_cancelled(client: AsyncClient) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await client.close()


# --- the process ----------------------------------------------------------------------------------

_PINS = ("executor_id", "application_version")


@contextmanager
def serving(config: DBOSConfig, *supervisions: Supervision) -> Generator[None]:
    """Run DBOS in this process until the block ends; it recovers its predecessor's workflows, then follows new tasks.

    A process recovers only the workflows of its own `executor_id` and `application_version`, so `config` must set both.
    The first belongs to one worker, and to its successor after a crash, on any machine; no two running workers may
    share it. Change the second whenever the order of steps changes.

    Raises:
        RecoveryNotConfigured: `config` lacks one of them, or DBOS already runs in this process with others.
        TypeError: `config` is not a mapping, or one of the others is not a Supervision.
        ValueError: a supervision was served before.
    """
    require(config, Mapping, "config must be a DBOSConfig, a mapping such as {'executor_id': 'worker-0', ...}")
    for each in supervisions:
        require(each, Supervision, "serving takes Supervisions")
    missing = [name for name in _PINS if not config.get(name)]
    if missing:
        raise RecoveryNotConfigured(
            f"the configuration must set {' and '.join(missing)}: without, nothing is recovered after a crash"
        )
    DBOS(config=config)
    if any(config.get(name) != getattr(DBOS, name) for name in _PINS):
        raise RecoveryNotConfigured("DBOS was created in this process before, with another configuration")
    # In a thread without an event loop: DBOS would use the caller's loop and leave workflows running in it at the end.
    with ThreadPoolExecutor(1, thread_name_prefix="dbos") as aside:
        try:
            aside.submit(_launch, supervisions).result()
            yield
        finally:
            aside.submit(DBOS.destroy).result()


def _launch(supervisions: tuple[Supervision, ...]) -> None:
    DBOS.launch()
    for each in supervisions:
        each.open_queue()
