"""The methods of clients that settle what was left open, for every client, over HTTP or not.

This module has the names and signatures; governed_creates.py has the procedures of creates, recovery.py those of all.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Generic

from typing_extensions import TypeVar

from lifecycle.journal import CreateRecord
from lifecycle_adapters.argument_checks import TaskId, id_text, require
from lifecycle_adapters.procedures.arguments import create_name
from lifecycle_adapters.procedures.governed_creates import GovernedCreates
from lifecycle_adapters.procedures.governed_task import GovernedTask, Recovered
from lifecycle_adapters.procedures.recovery import recover_all, recover_all_async
from lifecycle_adapters.procedures.running import AsyncRunner, Runner, uninterrupted
from lifecycle_adapters.procedures.twins import twin_of

H = TypeVar("H", default=Any)
D = TypeVar("D", bound=Runner, default=Any)
A = TypeVar("A", bound=AsyncRunner, default=Any)


class _LeftOpen(ABC, Generic[H]):
    """The commands and creates of a client that were left open; `H` is the type of its handles on tasks."""

    @abstractmethod
    def _open_commands(self) -> Iterable[GovernedTask[Any, Any]]:
        """Return the tasks that have an open command. It may block."""

    @abstractmethod
    def _create_procedures(self) -> Sequence[GovernedCreates[Any]]:
        """Return the creates of each lifecycle of the client, first those of its tasks. It may block."""

    @abstractmethod
    def _handle(self, task: Any) -> H:
        """Return a handle on a task, given its procedures."""

    def _creates_with(self, create_id: str) -> GovernedCreates[Any]:
        """Return the creates of which this one is open, those of the tasks if it is of none. It may block."""
        own, *others = self._create_procedures()

        def has_it(of: GovernedCreates[Any]) -> bool:
            return any(isinstance(each, CreateRecord) and each.id == create_id for each in of.creates.unfinished())

        return next(filter(has_it, others), own)


class RecoveryMethods(_LeftOpen[H], Generic[D, H]):
    """The methods of a synchronous client."""

    _driver: D

    def adopt_create(self, create_id: str, task_id: TaskId) -> H:
        """Read this task, record that an uncertain create made it, and return a handle on it.

        Over HTTP the create may also be that of a session, or of a message to one (v4), if it is still open.

        Args:
            create_id: the create's id, which `recover` and `CreateUncertain` have.
            task_id: one of the candidates that `recover` reports, or another task.
        Raises:
            CreateInFlight: a living worker has claimed the create.
            ValueError: there is no such create, or it has ended, also with this task; or another create made the task.
            TypeError: the create's id is not text, or the task's is not text, an integer or a UUID.
            CallError: the task cannot be read; the create stays uncertain.
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be read or written.
        """
        create_id, task = create_name(create_id), id_text(task_id)
        return self._handle(
            self._driver.run(uninterrupted(partial(self._creates_with, create_id)).adopt(create_id, task))
        )

    def abandon_create(self, create_id: str, *, reason: str = "") -> None:
        """Record that an uncertain create made no task, which frees its idempotency key.

        Over HTTP the create may also be that of a session, or of a message to one (v4), if it is still open.

        Raises:
            CreateInFlight: a living worker has claimed the create.
            ValueError: there is no such create, or it has ended.
            TypeError: the id or the reason is not text.
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be read or written.
        """
        create_id = create_name(create_id)
        require(reason, str, "reason must be text")
        self._driver.run(uninterrupted(partial(self._creates_with, create_id)).abandon(create_id, reason))

    def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> list[Recovered]:
        """Settle every command of the journal that a crash or an uncertainty left open, and report the open creates.

        It can run at any time and in many workers at once: each command is resumed by one of them, and by none while a
        living worker has claimed it.

        Args:
            wait: wait for commands that other workers have claimed, until those settle them or their claims end.
            dead: names of workers that are known to be dead: the commands that they have claimed are settled at once.
        Returns:
            First a `Recovered` for each open command, with its outcome or its error: a `CommandInFlight` if another
            worker has claimed it, or the error that ended its recovery. Then a `RecoveredCreate` for each create
            without an outcome, also of a session or of a message to one, with the tasks that it may have made; or a
            `Recovered` with an `UnreadableCreate` as its error.
        Raises:
            OtherServer: the journal has the tasks of this service at another server than the client's.
            AdapterError: the journal cannot be read or written.
            TypeError: `dead` is not a collection of texts, or `wait` is not a boolean.
            ClientUnusable: the client is closed, or its httpx2 client belongs to another process.
        """
        creates = uninterrupted(self._create_procedures)
        return recover_all(self._driver, self._open_commands, creates, wait=wait, dead=dead)


class AsyncRecoveryMethods(_LeftOpen[H], Generic[A, H]):
    """The methods of an asynchronous client."""

    _driver: A

    @twin_of(RecoveryMethods.adopt_create)
    async def adopt_create(self, create_id: str, task_id: TaskId) -> H:
        """Read this task, record that an uncertain create made it, and return a handle on it."""
        create_id, task = create_name(create_id), id_text(task_id)
        creates = await asyncio.to_thread(self._creates_with, create_id)
        return self._handle(await self._driver.run(creates.adopt(create_id, task)))

    @twin_of(RecoveryMethods.abandon_create)
    async def abandon_create(self, create_id: str, *, reason: str = "") -> None:
        """Record that an uncertain create made no task, which frees its idempotency key."""
        create_id = create_name(create_id)
        require(reason, str, "reason must be text")
        creates = await asyncio.to_thread(self._creates_with, create_id)
        await self._driver.run(creates.abandon(create_id, reason))

    @twin_of(RecoveryMethods.recover)
    async def recover(self, *, wait: bool = False, dead: Collection[str] = ()) -> list[Recovered]:
        """Settle every command of the journal that a crash or an uncertainty left open, and report the open creates."""
        creates = await asyncio.to_thread(self._create_procedures)
        return await recover_all_async(self._driver, self._open_commands, creates, wait=wait, dead=dead)
