"""A service without HTTP, in memory, whose calls fail as a test says; and both clients over it behind one interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lifecycle import A2A, A2AEvent, A2AState
from lifecycle.journal import Journal
from lifecycle_adapters.http import Timing
from lifecycle_adapters.objects import AsyncObjectClient, ObjectClient

QUICK = Timing(
    appear_s=0.05,
    attempts=3,
    retry_budget_s=2.0,
    longest_retry_s=0.02,
    settle_timeout_s=0.1,
    poll_s=0.01,
    longest_poll_s=0.02,
)
TARGETS = {A2AEvent.CANCEL: A2AState.CANCELED, A2AEvent.ANSWER: A2AState.WORKING}


class Agent:
    """Tasks of an agent. `before` and `after` hold what the next calls raise, before or after they take effect.

    An `ignored` command is acknowledged and has no effect.
    """

    def __init__(self, state: A2AState = A2AState.WORKING) -> None:
        self.states: dict[str, str] = {"t1": state}
        self.before: dict[str, list[BaseException | None]] = {"read": [], "send": [], "create": []}
        self.after: dict[str, list[BaseException | None]] = {"read": [], "send": [], "create": []}
        self.calls: list[str] = []
        self.effects: list[str] = []
        self.ignored: set[str] = set()

    def read(self, task_id: str) -> Any:
        self._begin("read")
        self._end("read")
        return self.states[task_id]

    def send(self, task_id: str, command: str, **fields: Any) -> Any:
        self._begin("send")
        if command not in self.ignored:
            self.effects.append(command)
            self.states[task_id] = TARGETS[A2AEvent(command)]
        self._end("send")
        return fields

    def create(self, **fields: Any) -> Any:
        self._begin("create")
        task_id = f"t{len(self.states) + 1}"
        self.states[task_id] = A2AState.SUBMITTED
        self.effects.append(f"create {fields}")
        self._end("create")
        return task_id

    def sent(self) -> int:
        return self.calls.count("send")

    def _begin(self, call: str) -> None:
        self.calls.append(call)
        _raise_next(self.before[call])

    def _end(self, call: str) -> None:
        _raise_next(self.after[call])


def _raise_next(errors: list[BaseException | None]) -> None:
    error = errors.pop(0) if errors else None
    if error is not None:
        raise error


class Both:
    """A client over an agent; the asynchronous one is run call by call."""

    def __init__(self, kind: str, agent: Agent, **given: Any) -> None:
        functions: dict[str, Any] = {"read": agent.read, "send": agent.send, "create": agent.create}
        self._is_async = kind == "async"
        if self._is_async:
            functions = {name: _awaited(each) for name, each in functions.items()}
        client: Any = AsyncObjectClient if self._is_async else ObjectClient
        self.client: Any = client(A2A, **{"timing": QUICK, **functions, **given})
        self.journal: Journal = self.client.journal
        self._task: Any = self.client.task("t1")  # the journal in memory forgets a task without a handle

    def call(self, name: str, **given: Any) -> Any:
        return self._run(getattr(self.client, name), **given)

    def task(self, name: str, *given: Any, **fields: Any) -> Any:
        """Call a method of the handle on the task t1."""
        return self._run(getattr(self._task, name), *given, **fields)

    def _run(self, method: Callable[..., Any], *given: Any, **fields: Any) -> Any:
        if not self._is_async:
            return method(*given, **fields)

        async def called() -> Any:
            return await method(*given, **fields)

        return asyncio.run(called())


def _awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    async def called(*given: Any, **fields: Any) -> Any:
        await asyncio.sleep(0)
        return function(*given, **fields)

    return called


def always(value: Any) -> Callable[..., Any]:
    """Return a function that returns this value, whatever it is called with."""

    def called(*_: Any, **__: Any) -> Any:
        return value

    return called
