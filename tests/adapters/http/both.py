"""Both clients behind one interface, so that a test is written once and holds for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import httpx2

from lifecycle import Lifecycle
from lifecycle.command import CommandResult
from lifecycle.journal import CommandRecord, Journal, TaskJournal
from lifecycle_adapters.argument_checks import TaskId
from lifecycle_adapters.http import (
    AsyncClient,
    AsyncSession,
    AsyncTask,
    Client,
    HttpBinding,
    Recovered,
    Task,
    TaskResult,
    TaskSummary,
    Timing,
)
from lifecycle_adapters.procedures.command_methods import CommandMethods

R = TypeVar("R")
Result = CommandResult[str, str]

KEY = "bu_a-key-that-nobody-may-see"
QUICK = Timing(
    appear_s=0.05,
    request_timeout_s=60.0,
    attempts=3,
    retry_budget_s=2.0,
    longest_retry_s=0.02,
    settle_timeout_s=0.3,
    poll_s=0.01,
    longest_poll_s=0.02,
)


class BlockingTask(CommandMethods[str, Result]):
    """An `AsyncTask` whose every call is awaited."""

    def __init__(self, runner: asyncio.Runner, task: AsyncTask, journal: Journal) -> None:
        self.asynchronous = task
        self.journal: TaskJournal[str, str] = journal.task(task.lifecycle, task.id)
        self._runner = runner
        self._journal = journal

    def send(self, command: str, /, **fields: Any) -> Result:
        return self._run(self.asynchronous.send(command, **fields))

    def recover(self, **given: Any) -> Result | None:
        return self._run(self.asynchronous.recover(**given))

    def abandon_command(self, **given: Any) -> CommandRecord[str, str] | None:
        return self._run(self.asynchronous.abandon_command(**given))

    def status(self) -> str:
        state: str = self._run(self.asynchronous.status())
        return state

    def allowed(self) -> tuple[str, ...]:
        return self._run(self.asynchronous.allowed())

    def details(self) -> dict[str, Any]:
        return self._run(self.asynchronous.details())

    def wait(self, *args: Any, **settings: Any) -> TaskResult[str]:
        return self._run(self.asynchronous.wait(*args, **settings))

    def call(self, name: str, **fields: Any) -> Any:
        return self._run(self.asynchronous.call(name, **fields))

    def events(self, **query: Any) -> list[Any]:
        return self._run(_all(self.asynchronous.events(**query)))

    def session(self) -> Any:
        return _blocking(self._runner, self._run(self.asynchronous.session()), self._journal)

    @property
    def id(self) -> str:
        return self.asynchronous.id

    def known_state(self) -> str | None:
        return self._run(self.asynchronous.known_state())

    @property
    def lifecycle(self) -> Lifecycle[str, str]:
        return self.asynchronous.lifecycle

    def __repr__(self) -> str:
        return repr(self.asynchronous)

    def _run(self, steps: Coroutine[Any, Any, R]) -> R:
        return self._runner.run(steps)


class BlockingSession:
    """An `AsyncSession` whose every call is awaited."""

    def __init__(self, runner: asyncio.Runner, session: AsyncSession, journal: Journal) -> None:
        self.asynchronous = session
        self._runner = runner
        self._journal = journal

    def details(self) -> dict[str, Any]:
        return self._runner.run(self.asynchronous.details())

    def latest(self) -> BlockingTask:
        return self._handle(self._runner.run(self.asynchronous.latest()))

    def queue(self, text: str, **fields: Any) -> BlockingTask:
        return self._handle(self._runner.run(self.asynchronous.queue(text, **fields)))

    def message(self, message_id: TaskId) -> BlockingTask:
        return self._handle(self.asynchronous.message(message_id))

    def messages(self) -> list[TaskSummary]:
        return self._runner.run(_all(self.asynchronous.messages()))

    def wait(self, **settings: Any) -> TaskResult[Any]:
        return self._runner.run(self.asynchronous.wait(**settings))

    def call(self, name: str, **fields: Any) -> Any:
        return self._runner.run(self.asynchronous.call(name, **fields))

    @property
    def id(self) -> str:
        return self.asynchronous.id

    def __repr__(self) -> str:
        return repr(self.asynchronous)

    def _handle(self, task: AsyncTask[Any, Any]) -> BlockingTask:
        return BlockingTask(self._runner, task, self._journal)


def _blocking(runner: asyncio.Runner, handle: AsyncTask | AsyncSession, journal: Journal) -> Any:
    kind: Any = BlockingSession if isinstance(handle, AsyncSession) else BlockingTask
    return kind(runner, handle, journal)


class BlockingClient(AbstractContextManager["BlockingClient"]):
    """An `AsyncClient` with an event loop of its own.

    If no `http` is given, it makes an httpx2 client of `http_settings` and closes it.
    """

    def __init__(self, api: str | HttpBinding[Any, Any], *, http_settings: Mapping[str, Any], **settings: Any) -> None:
        self._ours: httpx2.AsyncClient | None = None
        if "http" not in settings:
            settings["http"] = self._ours = httpx2.AsyncClient(**http_settings)
        self.asynchronous = AsyncClient(api, **settings)
        self._runner = asyncio.Runner()

    def create(self, task: str | None = None, **fields: Any) -> BlockingTask:
        return self._handle(self._runner.run(self.asynchronous.create(task, **fields)))

    def adopt_create(self, create_id: str, task_id: TaskId) -> BlockingTask:
        return self._handle(self._runner.run(self.asynchronous.adopt_create(create_id, task_id)))

    def abandon_create(self, create_id: str, *, reason: str = "") -> None:
        self._runner.run(self.asynchronous.abandon_create(create_id, reason=reason))

    def add_server(self) -> None:
        self._runner.run(self.asynchronous.add_server())

    def task(self, task_id: TaskId) -> BlockingTask:
        return self._handle(self.asynchronous.task(task_id))

    def session(self, session_id: TaskId) -> Any:
        return _blocking(self._runner, self.asynchronous.session(session_id), self.asynchronous.journal)

    def recover(self, **given: Any) -> Sequence[Recovered]:
        return self._runner.run(self.asynchronous.recover(**given))

    def list(self, **query: Any) -> Sequence[TaskSummary]:
        return self._runner.run(_all(self.asynchronous.list(**query)))

    def close(self) -> None:
        self._runner.run(self.asynchronous.close())
        if self._ours:
            self._runner.run(self._ours.aclose())

    @property
    def base_url(self) -> str:
        return self.asynchronous.base_url

    def __repr__(self) -> str:
        return repr(self.asynchronous)

    def __exit__(self, *_: object) -> None:
        self.close()
        self._runner.close()

    def _handle(self, task: AsyncTask) -> BlockingTask:
        return BlockingTask(self._runner, task, self.asynchronous.journal)


async def _all(listed: AsyncIterator[R]) -> list[R]:
    return [each async for each in listed]


AnyTask = Task | BlockingTask
AnyClient = Client | BlockingClient
