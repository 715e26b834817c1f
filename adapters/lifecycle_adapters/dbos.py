"""Supervision on many machines: following tasks and commanding them, as durable workflows of DBOS.

    supervision = Supervision(AsyncClient("v1", journal=journal), policies=[StopAfter(3600)])
    with serving(config, supervision):
        print(supervision.follow(task_id).get_result())

One workflow follows one task until it is over. It waits for whichever comes first: a step that polls
until the state is another one, or a message (a command from `send`, a report from `notify`). Each
command is one step of its own. So a day of waiting is some hundred rows in DBOS's database, however
often the task was polled.

Steps are carried out at least once. That is why a command's step gives it under a key: what took
effect before a crash is found at its target, or answered by the journal. The journal stays the
record; what DBOS stores (task ids, states, commands with their fields) holds no API key.

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
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ParamSpec, TypedDict, TypeVar
from uuid import uuid4

from lifecycle.errors import MissingExtra

try:  # first of all: its extra brings what the following need
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
    UnreadableRecord,
    WaitTimedOut,
)
from lifecycle.journal import Report, TaskJournal, TaskRecord
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import AsyncClient, AsyncTask
from lifecycle_adapters.http.exchange import cost_usd
from lifecycle_adapters.http.http_errors import NotFound
from lifecycle_adapters.watch.policies import Facts, Policy, ending_command, ends_task, require_instances

__all__ = ["Limits", "NotFollowed", "RecoveryNotConfigured", "SentCommand", "Supervision", "serving"]

P = ParamSpec("P")
R = TypeVar("R")

_LOG = logging.getLogger(__name__)
_TOPIC = "task"
_FIRST = asyncio.FIRST_COMPLETED
_A_YEAR_S = 365 * 24 * 3600.0


class RecoveryNotConfigured(AdapterError, ValueError):
    """The configuration of DBOS leaves it to chance which workflows a process recovers."""


class NotFollowed(AdapterError):
    """Nobody follows the task; `.task` is its id."""

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"nobody follows the task {task!r}: call follow first")


# --- what is stored: plain data, whatever serializer DBOS is given --------------------------------


class SentCommand(TypedDict):
    """What came of a command: `error` is None where it succeeded, `sent` False where it was redundant."""

    command: str
    state: str | None
    sent: bool
    error: str | None


class _FollowedState(TypedDict):
    """What is known of a task between two steps. Times are seconds since 1970.

    `since` is when the state was first seen, `due` names the policy that ends the task now, for
    `reason`, and `again_at` is the time before which no policy is asked again.
    """

    followed_at: float
    state: str | None
    since: float
    is_over: bool
    due: str | None
    reason: str
    again_at: float


class Limits(TypedDict, total=False):
    """How many tasks are followed at once, by each process and by all, and how fast new ones are taken up.

    The names and meanings are those of `DBOS.register_queue`.
    """

    worker_concurrency: int
    global_concurrency: int
    limiter: Any
    polling_interval_sec: float


# --- supervision ----------------------------------------------------------------------------------


@DBOS.dbos_class("lifecycle.Supervision")
class Supervision(DBOSConfiguredInstance):
    """The tasks of one service, each followed by a workflow of its own, `NAME:TASK_ID`.

    Every process that follows them makes it alike, under the same name, once, and before `serving`.
    Its methods wait for a database: where there is an event loop, call them by `asyncio.to_thread`.

    Args:
        client: what to poll and command with; the supervision closes it.
        name: of the workflows and of their queue; the service's if omitted.
        step_s: for how long one step polls at most.
        policies: when to end a task (`lifecycle_adapters.watch`). A task counts as seen first when `follow` was
            called. What it costs is read at the beginning of each step, so every `step_s` at least.
        limits: of the queue.
    Raises:
        ValueError: a policy asks for costs that the service does not tell, or only alerts.
        TypeError: a policy is a class, or no policy.
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
        require_instances(policies)
        self.name = name or client.binding.name
        self._limits = limits or Limits()
        self._client = client
        self._lifecycle = client.lifecycle
        self._step_s = step_s
        self._policies = policies
        self._needs_cost = any(policy.needs_cost for policy in policies)
        if self._needs_cost and client.binding.cost_field is None:
            raise ValueError(f"{client.binding.name} does not tell what a task costs")
        if not all(map(ends_task, policies)):
            raise ValueError(
                "a supervision ends tasks; a policy that only alerts is a watcher's (lifecycle_adapters.watch)"
            )
        self._is_open = False
        self._keeping: asyncio.Task[None] | None = None
        super().__init__(self.name)

    def open_queue(self) -> None:
        """Make the queue, from which this process takes up tasks; called by `serving`, once."""
        if self._is_open:
            raise ValueError(f"the supervision {self.name!r} was served before, and its client is closed")
        self._is_open = True
        DBOS.register_queue(self.name, **self._limits)

    def workflow_id(self, task_id: str) -> str:
        """Return the id of the workflow that follows the task."""
        return f"{self.name}:{task_id}"

    def follow(self, task_id: str) -> WorkflowHandle[str]:
        """Have the task followed until it is over; the handle's result is its final state.

        A task that is or was followed is not followed a second time: the handle is that of the first.
        Raises ValueError for an unusable id.
        """
        self._client.task(task_id)
        with SetWorkflowID(self.workflow_id(task_id)):
            # Any: DBOS names a coroutine's type, and means that of its result.
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
        """Give a followed task a command, and return its key, by which to ask for the answer.

        The arguments are those of `AsyncTask.send`; what is told twice under one key is done once.

        Raises:
            UnknownName, TypeError: as `AsyncTask.send`.
            ValueError: it must not be repeated, and the journal would not know of it after a crash.
            NotFollowed: nobody follows the task.
        """
        if not self._lifecycle.event(command).idempotent and isinstance(self._client.journal, MemoryJournal):
            raise ValueError(f"{command!r} must not be repeated after a crash, which takes a durable journal")
        self._client.binding.command_request(command, task_id, fields)
        idempotency_key = idempotency_key or uuid4().hex
        told = {
            "command": command,
            "idempotency_key": idempotency_key,
            "reason": reason,
            "origin": origin,
            "fields": fields,
        }
        self._send(task_id, told, once=f"{self.workflow_id(task_id)}:{idempotency_key}")
        return idempotency_key

    def result(self, task_id: str, idempotency_key: str, *, timeout_s: float = 60.0) -> SentCommand | None:
        """Return what came of a command; None where that is not known in time, or the task was over before."""
        answer: SentCommand | None = DBOS.get_event(
            self.workflow_id(task_id), idempotency_key, timeout_seconds=timeout_s
        )
        return answer

    def notify(self, task_id: str, report: Report | None = None) -> None:
        """Pass on what a service pushed; without a report (the journal has it), have the task looked at now.

        Raises:
            UnknownName: the lifecycle declares no such channel.
            NotFollowed: nobody follows the task.
        """
        message: dict[str, Any] = {}
        if report is not None:
            self._lifecycle.state_of(report.status, channel=report.channel)
            message = {"status": report.status, "as_of": report.as_of.isoformat(), "channel": report.channel}
        self._send(task_id, message)

    def _send(self, task_id: str, message: Mapping[str, Any], *, once: str | None = None) -> None:
        try:
            DBOS.send(self.workflow_id(task_id), message, _TOPIC, idempotency_key=once)
        except dbos_error.DBOSNonExistentWorkflowError:
            raise NotFollowed(task_id) from None

    # The workflow. It has neither a clock nor I/O: replayed, it takes the same steps in the same order.

    # However often its worker was restarted meanwhile: a task may last for months.
    @DBOS.workflow(name="lifecycle.follow", max_recovery_attempts=None)
    async def _follow(self, task_id: str, followed_at: float) -> str | None:
        self._keep_the_client()
        task = self._client.task(task_id)
        seen = _FollowedState(
            followed_at=followed_at, state=None, since=followed_at, is_over=False, due=None, reason="", again_at=0.0
        )
        hearing: asyncio.Task[Any] | None = None
        try:
            while not seen["is_over"]:
                told = asyncio.Event()
                looking = asyncio.create_task(_step("look", self._look, task, seen, told))
                hearing = hearing or asyncio.create_task(DBOS.recv_async(_TOPIC, timeout_seconds=_A_YEAR_S))
                done, _ = await DBOS.asyncio_wait([looking, hearing], return_when=_FIRST)
                told.set()
                seen = await looking
                if seen["due"]:
                    seen = await self._attend(task, seen, self._ending(seen))
                if hearing in done:
                    seen = await self._attend(task, seen, hearing.result() or {})
                    hearing = None
        finally:
            if hearing is not None:
                hearing.cancel()
                await asyncio.wait({hearing})
        return seen["state"]

    async def _attend(self, task: AsyncTask, seen: _FollowedState, message: Mapping[str, Any]) -> _FollowedState:
        if "status" in message:
            return await _step("report", self._report, task, seen, message)
        if "command" in message:
            answer = await _step(message["command"], self._command, task, message)
            await DBOS.set_event_async(message["idempotency_key"], answer)
        return seen

    def _ending(self, seen: _FollowedState) -> Mapping[str, Any]:
        """The command that a policy gives. Each time it has a new key: an old one keeps its refusal."""
        return {
            "command": str(ending_command(self._lifecycle, seen["state"])),
            "idempotency_key": f"policy:{seen['due']}:{seen['again_at']}",
            "reason": seen["reason"],
            "origin": f"policy:{seen['due']}",
            "fields": {},
        }

    # The steps. Each may be carried out more than once.

    async def _look(self, task: AsyncTask, seen: _FollowedState, told: asyncio.Event) -> _FollowedState:
        """Poll until the state changes, a policy fires, a message arrives, or `step_s` has passed.

        However long that takes: if no policy is due, the service is asked at least once; if one is, the journal is.
        Otherwise a machine too busy to do so within `step_s` would never learn a state.
        """
        seen = {**seen, "due": None}
        patience_s = self._patience_s(task, seen)
        enough = asyncio.Event()
        polling = asyncio.create_task(self._poll(task, seen, enough, needs_answer=patience_s >= self._step_s))
        telling, polled = asyncio.create_task(told.wait()), asyncio.create_task(enough.wait())
        try:
            await asyncio.wait({polling, telling}, timeout=patience_s, return_when=_FIRST)
            await asyncio.wait({polling, telling, polled}, return_when=_FIRST)
            if polling.done():
                return polling.result()
        finally:
            for each in (telling, polled, polling):
                each.cancel()
        await asyncio.wait({polling})  # it may have to let go of a command
        return self._decided(task, seen)

    async def _poll(
        self, task: AsyncTask, seen: _FollowedState, enough: asyncio.Event, *, needs_answer: bool
    ) -> _FollowedState:
        """Settle what is open and poll, until the task is over, in another state, or too expensive.

        Sets `enough` once the service has answered or failed to; without `needs_answer` once the journal is read.
        """

        def tell(progress: Progress[Any]) -> None:
            if progress.state not in (None, seen["state"]):
                raise _Moved
            enough.set()

        while True:
            try:
                with suppress(CommandError, IllegalTransition):  # it is settled so, or to be tried again
                    await task.recover()
                record = await asyncio.to_thread(self._journal(task).load)
                after = self._after(seen, record)
                if after["is_over"] or after["state"] not in (None, seen["state"]):
                    return after
                after = await self._with_cost(task, after)
                if after["due"]:
                    return after
                if not needs_answer:
                    enough.set()
                # What another worker holds may be ours to settle soon: a hold ends without a word.
                limit_s = None if record.open_command is None else self._client.timing.longest_retry_s
                await task.wait("final", on_progress=tell, on_unknown="continue", timeout_s=limit_s)
            except _Moved:
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
        return self._client.journal.task(task.lifecycle, task.id)

    async def _with_cost(self, task: AsyncTask, seen: _FollowedState) -> _FollowedState:
        if not self._needs_cost:
            return seen
        return self._decided(task, seen, cost_usd(await task.details(), self._client.binding.cost_field))

    async def _report(self, task: AsyncTask, seen: _FollowedState, told: Mapping[str, Any]) -> _FollowedState:
        report = Report(told["status"], datetime.fromisoformat(told["as_of"]), told["channel"])
        try:
            return self._after(seen, await asyncio.to_thread(self._journal(task).add_report, report))
        except (AdapterError, UnreadableRecord) as error:  # the next look polls
            _LOG.warning("a report is not recorded", extra=self._log_facts(task, error))
            return seen

    async def _command(self, task: AsyncTask, told: Mapping[str, Any]) -> SentCommand:
        context = {name: told[name] for name in ("idempotency_key", "reason", "origin")}
        try:
            result = await task.send(told["command"], **context, **told["fields"])
        except LifecycleError as error:  # what is left open by it, the next look settles
            return SentCommand(
                command=told["command"], state=None, sent=False, error=f"{type(error).__name__}: {error}"
            )
        return SentCommand(command=told["command"], state=str(result.state), sent=result.sent, error=None)

    def _after(self, seen: _FollowedState, record: TaskRecord[Any, Any]) -> _FollowedState:
        state = None if record.state is None else str(record.state)
        since = seen["since"] if state == seen["state"] else time.time()
        is_over = state is not None and self._lifecycle.is_final(state) and record.open_command is None
        return {**seen, "state": state, "since": since, "is_over": is_over, "due": None}

    def _decided(self, task: AsyncTask, seen: _FollowedState, cost: Decimal | None = None) -> _FollowedState:
        """What was seen, with what the policies say to it."""
        now = datetime.now(UTC)
        if now.timestamp() < seen["again_at"]:
            return seen
        for policy, facts in self._asked(task, seen, cost):
            try:
                reason = policy.decide(self._lifecycle, facts, now)
            except Exception as error:  # noqa: BLE001  # a policy is a user's code; the others are asked all the same
                self._warn_of_policy(task, policy, error)
                continue
            if reason is not None:
                return {**seen, "due": policy.name, "reason": reason, "again_at": now.timestamp() + self._step_s}
        return seen

    def _patience_s(self, task: AsyncTask, seen: _FollowedState) -> float:
        due_s = [float("inf")]
        for policy, facts in self._asked(task, seen):
            try:
                due_at = policy.due_at(self._lifecycle, facts)
                due_s += [] if due_at is None else [due_at.timestamp()]
            except Exception as error:  # noqa: BLE001  # as in `_decided`
                self._warn_of_policy(task, policy, error)
        return max(0.0, min(max(min(due_s), seen["again_at"]) - time.time(), self._step_s))

    def _warn_of_policy(self, task: AsyncTask, policy: Policy, error: Exception) -> None:
        _LOG.error("a policy failed", extra={**self._log_facts(task, error), "policy": policy.name})

    def _asked(self, task: AsyncTask, seen: _FollowedState, cost: Decimal | None = None) -> list[tuple[Policy, Facts]]:
        """The policies to be asked of a task, with what they are told of it."""
        state = seen["state"]
        # A worker with another declaration may have seen the state; the next look sees one of this declaration.
        if state is None or self._lifecycle.state_of(state) is None or ending_command(self._lifecycle, state) is None:
            return []
        since, first_at = (datetime.fromtimestamp(at, UTC) for at in (seen["since"], seen["followed_at"]))
        facts = Facts(task_id=task.id, state=state, since=since, first_at=first_at, cost_usd=cost)
        return [(policy, facts) for policy in self._policies]

    def _log_facts(self, task: AsyncTask, error: Exception) -> dict[str, str]:
        return {"lifecycle": self._lifecycle.name, "task_id": task.id, "error": str(error)}

    def _keep_the_client(self) -> None:
        """Have the client closed by the event loop that used it, which is DBOS's: it cancels all at the end."""
        if self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_task(_keep(self._client), context=Context())


class _Moved(Exception):
    """The state is another one: enough was seen."""


async def _step(name: str, function: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
    return await DBOS.run_step_async({"name": name}, function, *args, **kwargs)


async def _keep(client: AsyncClient) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await client.close()


# --- the process ----------------------------------------------------------------------------------

_PINS = ("executor_id", "application_version")


@contextmanager
def serving(config: DBOSConfig, *supervisions: Supervision) -> Generator[None]:
    """Run DBOS in this process: it follows tasks, and first those that its predecessor left behind.

    A process recovers the workflows of its own `executor_id` and `application_version` alone. So
    both are to be given: the first is one worker's, and its successor's after a crash, on whatever
    machine; no two that live may share it. The second changes with the order of steps.

    Raises:
        RecoveryNotConfigured: `config` does not say both, or DBOS runs already with others.
    """
    missing = [name for name in _PINS if not config.get(name)]
    if missing:
        raise RecoveryNotConfigured(
            f"the configuration must say {' and '.join(missing)}: else nothing is recovered after a crash"
        )
    DBOS(config=config)
    if any(config.get(name) != getattr(DBOS, name) for name in _PINS):
        raise RecoveryNotConfigured("DBOS was made in this process before, with another configuration")
    # In a thread without an event loop: DBOS would adopt the caller's, and leave workflows running in it at the end.
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
