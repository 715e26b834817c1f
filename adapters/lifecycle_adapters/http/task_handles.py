"""The handles on tasks, with which users send commands, read and wait.

This module has the names and signatures; task_procedures.py has the procedures, driver.py carries them out.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Collection, Coroutine
from typing import Any, Generic

from typing_extensions import TypeVar

from lifecycle.command import CommandResult
from lifecycle.errors import not_made
from lifecycle.following import Until
from lifecycle.journal import CommandRecord, TaskJournal
from lifecycle.lifecycle import Lifecycle
from lifecycle.process_bound import ProcessBound
from lifecycle_adapters.argument_checks import require, require_callback
from lifecycle_adapters.http.arguments import (
    OnUnknown,
    longest_wait_s,
    raises_on_unknown,
    request_context,
    seconds,
    worker_names,
)
from lifecycle_adapters.http.command_methods import CommandMethods
from lifecycle_adapters.http.driver import AsyncDriver, Driver, OnProgress
from lifecycle_adapters.http.task_procedures import TaskProcedures, TaskResult
from lifecycle_adapters.http.twins import twin_of

# With defaults, so that a plain `Task` in an annotation is a task of any service.
S = TypeVar("S", bound=str, default=Any)
E = TypeVar("E", bound=str, default=Any)


class _Handle(ProcessBound, Generic[S, E]):
    """The part of both kinds of handle that needs no I/O."""

    _instead = "pass its `id`, and open a handle there by `client.task(id)`"

    def __init__(self, procedures: TaskProcedures[S, E]) -> None:
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


class Task(_Handle[S, E], CommandMethods[E, CommandResult[S, E]]):
    """A handle on one remote task; made by `Client`. Safe to share between threads."""

    def __init__(self, driver: Driver, procedures: TaskProcedures[S, E]) -> None:
        super().__init__(procedures)
        self._driver = driver

    @property
    def journal(self) -> TaskJournal[S, E]:
        """The task's part of the journal."""
        return self._procedures.journal

    def known_state(self) -> S | None:
        """Return the state last known, None before anything was reported. It is looked up in the journal.

        If the last report contradicts a final state, it is the state of that report, as for `status`.
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
        """Send a command and return when it is proved to have taken effect, or needed not be sent.

        Args:
            command: the command: a member of the service's events, or its name.
            idempotency_key: a command of this task with this key is sent at most once, also across processes and
                restarts if the journal is durable. Given again, the key returns the first outcome.
            reason: why; for the journal.
            origin: who or what sends it; for the journal.
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
            CommandRefused: the service refused it.
            CommandUncertain: its outcome is unknown; `recover` settles it once the service responds.
            TaskEndedFirst: the task is over; `.took_effect` is False if the command did not take effect before,
                and None if that cannot be known.
            CommandAbandoned: the command that was given under this key was abandoned.
            KeyReused: the key was given to another command.
            AdapterError: the journal cannot be written; `recover` settles what was sent.
            HttpError: 401, 403, 404, 429 for too long, or the service was never reached.
            ClientUnusable: the client is closed, or its httpx2 client is another process's; nothing was recorded.
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
            LifecycleError: one of the errors of `send`, under its condition.
        """
        return self._driver.run(self._procedures.recover(dead=worker_names(dead), in_flight_s=longest_wait_s(wait)))

    def abandon_command(self, *, reason: str = "") -> CommandRecord[S, E] | None:
        """Record the command that was left open as abandoned, and return its record; None if there is none.

        Nothing is sent or read. Whether the command took effect stays unknown, and nobody asks any more: `recover` does
        not resume it, and the task's next command is sent as usual. If its request is still on its way, it may take
        effect even later. Call `recover` first, which returns the outcome if the service shows one.

        Args:
            reason: why; for the journal.
        Raises:
            CommandInFlight: a living worker has claimed it; nothing was recorded.
            TypeError: the reason is not text.
            AdapterError: the journal cannot be written.
        """
        require(reason, str, "reason must be text")
        return self._driver.run(self._procedures.abandon(reason))

    def status(self) -> S:
        """Read the status once and return the state then known.

        A report that contradicts the known state is recorded, and the known state is returned. If that state is
        final, the reported one is returned, also by `known_state` and `allowed`; the journal keeps the final state,
        with the report as a doubt, until a read confirms one of them.

        Raises:
            UnknownStatus: the lifecycle does not know the status.
            HttpError: it cannot be read.
        """
        return self._driver.run(self._procedures.status())

    def allowed(self) -> tuple[E, ...]:
        """Return the commands that the known state accepts, in declared order; read first if none is known."""
        return self._driver.run(self._procedures.allowed())

    def details(self) -> dict[str, Any]:
        """Return everything that the service reports of the task. Raises HttpError."""
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

        Args:
            until: "settled" or "final". A reopenable state ends either wait.
            timeout_s: seconds to wait, including requests; a last one may take half a second more. None: no limit.
                `on_progress` is not interrupted.
            on_progress: called after every poll; what it returns to an AsyncTask is awaited if it can be.
            on_unknown: what to do at a status that the lifecycle does not know.
        Raises:
            WaitTimedOut: the time is up; `.why` is the error of the last read, if that failed.
            DetailsTimedOut: the time is up, and the task has come to rest in `.state`; a WaitTimedOut.
            UnknownStatus: the service reports a status that the lifecycle does not know.
            HttpError: the status cannot be read; NotFound only if the service does not find the task twice in a row, or
                its state was not known before.
            TypeError, ValueError: `timeout_s` is not a number of seconds, or is negative; or `on_progress` cannot be
                called, or is a coroutine function given to a Task; or `until` or `on_unknown` has another value.
                Nothing was sent.
        """
        require_callback(on_progress, "on_progress", "the progress of a wait")
        if inspect.iscoroutinefunction(on_progress):
            raise TypeError(
                "on_progress of a Task is called, and not awaited: give a function, or wait with an AsyncTask"
            )
        waiting = self._procedures.wait(
            until, seconds(timeout_s, "timeout_s"), stop_at_unknown=raises_on_unknown(on_unknown)
        )
        return self._driver.run(waiting, on_progress)


class AsyncTask(_Handle[S, E], CommandMethods[E, Coroutine[Any, Any, CommandResult[S, E]]]):
    """A handle on one remote task, for asyncio; made by `AsyncClient`.

    Every method that may wait for the service or a disk is awaited. `send` and the commands' methods raise UnknownName,
    TypeError and ValueError at once, their other errors when they are awaited.

    The task's part of the journal, whose methods may block, is `client.journal.task(task.lifecycle, task.id)`.
    """

    def __init__(self, driver: AsyncDriver, procedures: TaskProcedures[S, E]) -> None:
        super().__init__(procedures)
        self._driver = driver

    async def known_state(self) -> S | None:
        """Return the state last known, None before anything was reported. It is looked up in the journal.

        If the last report contradicts a final state, it is the state of that report, as for `status`.
        """
        journal = self._procedures.journal
        return (await asyncio.to_thread(journal.load) if journal.blocking else journal.load()).current

    @twin_of(Task.send)
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
        """Send a command and return when it is proved to have taken effect, or needed not be sent."""
        context = request_context(idempotency_key, origin, reason)
        in_flight_s = seconds(wait_for_in_flight_s, "wait_for_in_flight_s") or 0.0
        return self._driver.run(self._procedures.command(command, fields, context, in_flight_s=in_flight_s))

    @twin_of(Task.recover)
    async def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> CommandResult[S, E] | None:
        """Settle the command that an uncertainty left open; return None if there is none."""
        return await self._driver.run(
            self._procedures.recover(dead=worker_names(dead), in_flight_s=longest_wait_s(wait))
        )

    @twin_of(Task.abandon_command)
    async def abandon_command(self, *, reason: str = "") -> CommandRecord[S, E] | None:
        """Record the command that was left open as abandoned, and return its record; None if there is none."""
        require(reason, str, "reason must be text")
        return await self._driver.run(self._procedures.abandon(reason))

    @twin_of(Task.status)
    async def status(self) -> S:
        """Read the status once and return the state then known."""
        return await self._driver.run(self._procedures.status())

    @twin_of(Task.allowed)
    async def allowed(self) -> tuple[E, ...]:
        """Return the commands that the known state accepts, in declared order; read first if none is known."""
        return await self._driver.run(self._procedures.allowed())

    @twin_of(Task.details)
    async def details(self) -> dict[str, Any]:
        """Return everything that the service reports of the task. Raises HttpError."""
        return await self._driver.run(self._procedures.details())

    @twin_of(Task.wait)
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
