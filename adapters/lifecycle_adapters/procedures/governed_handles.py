"""The handles on tasks, with which users send commands, read and wait, whatever carries out the calls.

This module has the names and signatures; governed_task.py has the procedures, running.py runs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Generic

from typing_extensions import TypeVar

from lifecycle.command import CommandResult
from lifecycle.errors import not_made
from lifecycle.following import Until
from lifecycle.journal import CommandRecord, TaskJournal
from lifecycle.lifecycle import Lifecycle
from lifecycle.process_bound import ProcessBound
from lifecycle_adapters.argument_checks import require, require_callback, require_function
from lifecycle_adapters.procedures.arguments import (
    OnUnknown,
    longest_wait_s,
    raises_on_unknown,
    request_context,
    seconds,
    worker_names,
)
from lifecycle_adapters.procedures.command_methods import CommandMethods
from lifecycle_adapters.procedures.governed_task import GovernedTask, TaskResult
from lifecycle_adapters.procedures.running import AsyncRunner, OnProgress, Runner
from lifecycle_adapters.procedures.twins import twin_of

# With defaults, so that a plain `Task` in an annotation is a task of any service.
S = TypeVar("S", bound=str, default=Any)
E = TypeVar("E", bound=str, default=Any)


class _Handle(ProcessBound, Generic[S, E]):
    """The part of both kinds of handle that needs no I/O."""

    _instead = "pass its `id`, and open a handle there by `client.task(id)`"

    def __init__(self, procedures: GovernedTask[S, E]) -> None:
        self._procedures = procedures

    @property
    def id(self) -> str:
        """The task's id."""
        return self._procedures.task_id

    @property
    def lifecycle(self) -> Lifecycle[S, E]:
        """The lifecycle that governs the task."""
        return self._procedures.lifecycle

    def __repr__(self) -> str:
        if "_procedures" not in vars(self):
            return not_made(self)
        return f"<{type(self).__name__} {self.lifecycle.name} {self.id!r}>"


class TaskHandle(_Handle[S, E], CommandMethods[E, CommandResult[S, E]]):
    """A handle on one remote task. Threads can share it."""

    def __init__(self, driver: Runner, procedures: GovernedTask[S, E]) -> None:
        super().__init__(procedures)
        self._driver = driver

    @property
    def journal(self) -> TaskJournal[S, E]:
        """The task's part of the journal."""
        return self._procedures.journal

    def known_state(self) -> S | None:
        """Return the last known state from the journal; None if no status was reported yet. Nothing is sent.

        If the last report contradicts a final state, that report's state is returned.

        Raises:
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be read.
        """
        return self._procedures.journal.load().current

    def send(
        self,
        command: E,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> CommandResult[S, E]:
        """Send a command, and return once it is proved to have taken effect or need not be sent.

        Args:
            command: the command: a member of the service's events, or its name.
            idempotency_key: a command of this task with this key is sent at most once, also across processes and
                restarts if the journal is durable. Given again, the key returns the first outcome; after a CallError
                that says that the command had no effect, it raises CommandRefused or CommandAbandoned with its text.
            reason: why it is sent; it is recorded in the journal.
            origin: who or what sends it; it is recorded in the journal.
            wait_for_in_flight_s: seconds to wait for a command of this task that another worker has not settled yet.
            fields: further fields for the body of its request, such as `task` of a dispatch.
        Raises:
            IllegalTransition: the state refuses it; no command was sent.
            UnknownName: the lifecycle declares no such command; nothing was sent.
            TypeError, ValueError: an argument has a wrong type or value, a required field is missing, or the command
                takes no fields; nothing was sent.
            UnknownStatus: the service reports a status that the lifecycle does not know; no command was sent. (A stop
                that every state accepts needs no status.)
            CommandInFlight: another command has no outcome yet; no command was sent. `.claimed_by` names the worker
                that has claimed it, `.until` is when its claim ends.
            CommandRefused: the service refused it, or the task's state does for good.
            CommandUncertain: its outcome is unknown; `recover` settles it once the service responds.
            TaskEndedFirst: the task is over; `.took_effect` is False if the command did not take effect before,
                and None if that cannot be known.
            CommandAbandoned: the command that was given under this key was abandoned.
            KeyReused: the key was given to another command.
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be written; `recover` settles what was sent.
            CallError: the service responded 401, 403, or 404 (the task does not exist), or 429 until the time for
                retries was up; or the service was never reached; or the read before the command failed.
            ClientUnusable: the client is closed, or its httpx2 client belongs to another process; nothing was recorded.
        """
        context = request_context(idempotency_key, origin, reason)
        in_flight_s = seconds(wait_for_in_flight_s, "wait_for_in_flight_s") or 0.0
        return self._driver.run(self._procedures.command(command, fields, context, in_flight_s=in_flight_s))

    def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> CommandResult[S, E] | None:
        """Settle the command that an uncertainty left open; return None if there is none.

        Args:
            wait: wait for another worker that has claimed it, until that settles it or its claim ends.
            dead: names of workers that are known to be dead: the commands that they have claimed are settled at once.
        Raises:
            CommandInFlight: another worker has claimed it, and `wait` is False.
            TypeError: `dead` is not a collection of texts.
            IllegalTransition, UnknownStatus, CommandRefused, CommandUncertain, TaskEndedFirst, CommandAbandoned,
                AdapterError, CallError, ClientUnusable: under the same conditions as for `send`.
        """
        return self._driver.run(self._procedures.recover(dead=worker_names(dead), in_flight_s=longest_wait_s(wait)))

    def abandon_command(self, *, reason: str = "") -> CommandRecord[S, E] | None:
        """Record the command that was left open as abandoned, and return its record; None if there is none.

        Nothing is sent or read, and whether the command took effect stays unknown. `recover` no longer resumes it, and
        the task's next command is sent as usual. If its request is still in transit, it may take effect even later.
        Call `recover` first, which returns the outcome if the service shows one.

        Args:
            reason: why it is abandoned; it is recorded in the journal.
        Raises:
            CommandInFlight: a living worker has claimed it; nothing was recorded.
            TypeError: the reason is not text.
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be written.
        """
        require(reason, str, "reason must be text")
        return self._driver.run(self._procedures.abandon(reason))

    def status(self) -> S:
        """Read the status once, record it, and return the known state.

        If the status contradicts the known state, the known state is returned. If that state is final, the reported one
        is returned, also by `known_state` and `allowed`; the journal keeps the final state, and the report as a doubt,
        until a read confirms one of them.

        Raises:
            UnknownStatus: the lifecycle does not know the status.
            CallError: the status cannot be read.
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be read or written.
        """
        return self._driver.run(self._procedures.status())

    def allowed(self) -> tuple[E, ...]:
        """Return the commands that the known state accepts, in declared order; read first if no state is known.

        Raises:
            UnknownStatus, CallError, AdapterError: under the same conditions as for `status`.
        """
        return self._driver.run(self._procedures.allowed())

    def details(self) -> dict[str, Any]:
        """Read and return the task's details, the whole document of the service.

        Raises CallError if they cannot be read.
        """
        return self._driver.run(self._procedures.details())

    def wait(
        self,
        until: Until = "settled",
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> TaskResult[S]:
        """Poll until the task is settled (no work is being done) or final (it is over).

        After a command of this handle that gave the task work, such as an answer, the state before the command does not
        end the wait. After one of another handle or process it may.

        Args:
            until: "settled" or "final". A reopenable state ends either wait.
            timeout_s: seconds to wait, including requests; a last one may take half a second more. None: no limit.
                `on_progress` is not interrupted.
            on_progress: called after every poll; an AsyncTask awaits its result if it is awaitable.
            on_unknown: "raise" UnknownStatus at a status that the lifecycle does not know, or "continue" to poll.
        Raises:
            WaitTimedOut: the time is up; `.why` is the error of the last read, if that failed.
            DetailsTimedOut (a WaitTimedOut): the time is up before the details of a task that has settled, in
                `.state`, were read.
            UnknownStatus: the service reports a status that the lifecycle does not know.
            CallError: the status cannot be read; NotFound only if the service does not find the task twice in a row, or
                its state was not known before.
            TypeError, ValueError: `timeout_s` is not a number of seconds, or is negative; or `on_progress` cannot be
                called, or is a coroutine function given to a Task; or `until` or `on_unknown` has another value.
                Nothing was sent.
        """
        instead = " to a Task, or wait with an AsyncTask"
        require_function(on_progress, "on_progress", "the progress of a wait", instead=instead)
        waiting = self._procedures.wait(
            until, seconds(timeout_s, "timeout_s"), stop_at_unknown=raises_on_unknown(on_unknown)
        )
        return self._driver.run(waiting, on_progress)


class AsyncTaskHandle(_Handle[S, E], CommandMethods[E, Coroutine[Any, Any, CommandResult[S, E]]]):
    """A handle on one remote task, for asyncio."""

    def __init__(self, driver: AsyncRunner, procedures: GovernedTask[S, E]) -> None:
        super().__init__(procedures)
        self._driver = driver

    async def known_state(self) -> S | None:
        """Return the last known state from the journal; None if no status was reported yet. Nothing is sent.

        If the last report contradicts a final state, that report's state is returned.

        Raises:
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be read.
        """
        journal = self._procedures.journal
        return (await asyncio.to_thread(journal.load) if journal.blocking else journal.load()).current

    @twin_of(TaskHandle.send)
    def send(
        self,
        command: E,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> Coroutine[Any, Any, CommandResult[S, E]]:
        """Send a command, and return once it is proved to have taken effect or need not be sent."""
        context = request_context(idempotency_key, origin, reason)
        in_flight_s = seconds(wait_for_in_flight_s, "wait_for_in_flight_s") or 0.0
        return self._driver.run(self._procedures.command(command, fields, context, in_flight_s=in_flight_s))

    @twin_of(TaskHandle.recover)
    async def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> CommandResult[S, E] | None:
        """Settle the command that an uncertainty left open; return None if there is none."""
        return await self._driver.run(
            self._procedures.recover(dead=worker_names(dead), in_flight_s=longest_wait_s(wait))
        )

    @twin_of(TaskHandle.abandon_command)
    async def abandon_command(self, *, reason: str = "") -> CommandRecord[S, E] | None:
        """Record the command that was left open as abandoned, and return its record; None if there is none."""
        require(reason, str, "reason must be text")
        return await self._driver.run(self._procedures.abandon(reason))

    @twin_of(TaskHandle.status)
    async def status(self) -> S:
        """Read the status once, record it, and return the known state."""
        return await self._driver.run(self._procedures.status())

    @twin_of(TaskHandle.allowed)
    async def allowed(self) -> tuple[E, ...]:
        """Return the commands that the known state accepts, in declared order; read first if no state is known."""
        return await self._driver.run(self._procedures.allowed())

    @twin_of(TaskHandle.details)
    async def details(self) -> dict[str, Any]:
        """Read and return the task's details, the whole document of the service."""
        return await self._driver.run(self._procedures.details())

    @twin_of(TaskHandle.wait)
    async def wait(
        self,
        until: Until = "settled",
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> TaskResult[S]:
        """Poll until the task is settled (no work is being done) or final (it is over)."""
        require_callback(on_progress, "on_progress", "the progress of a wait")
        waiting = self._procedures.wait(
            until, seconds(timeout_s, "timeout_s"), stop_at_unknown=raises_on_unknown(on_unknown)
        )
        return await self._driver.run(waiting, on_progress)
