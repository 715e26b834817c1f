"""Worlds in which watching takes no time: a loop whose clock jumps, and a service in memory."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx2

from lifecycle.journal import Journal
from lifecycle_adapters.http import AsyncClient, HttpBinding, Timing
from lifecycle_adapters.watch import Change, Event, JournalOutage, Outage, Pace, Throttle, Watcher

R = TypeVar("R")

_HANG_S = 20.0
_LONGEST_S = 120.0  # of real time, for a world in which something repeats for ever
_STEP_S = 1e-7  # what a turn of the loop takes: a time that stands still is none

KEY = "bu_a-key-that-nobody-may-see"
EVEN = Pace(working_s=1.0, resting_s=10.0, longest_s=60.0, growth=1.0, jitter=0.0)
QUICK = Pace(working_s=0.02, resting_s=0.05, longest_s=0.2)
FAST = Timing(attempts=2, retry_budget_s=1.0, longest_retry_s=0.02, settle_timeout_s=0.3, request_timeout_s=5.0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop that never waits: if only time could make progress, the clock jumps ahead."""

    def __init__(self) -> None:
        self._passed_s = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self._passed_s

    def jump(self, seconds: float) -> None:
        self._passed_s += seconds


class _Jump(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop
        self._ends_s = time.monotonic() + _LONGEST_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # only a thread can bring something
            events = super().select(_HANG_S)
            assert events, "everything waits, and nothing can end it"
            return events
        assert time.monotonic() < self._ends_s, f"something repeats for ever: {self._loop.time():.0f} s have passed"
        self._loop.jump(max(timeout, _STEP_S))
        return super().select(0)


def run(work: Coroutine[Any, Any, R]) -> R:
    """Run in a loop whose clock jumps."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)


@dataclass
class Service:
    """A v1 service in memory. `words` are the statuses of its tasks; `calls` each request with the time of it.

    `plan` responds to a request before the service does, if it returns something.
    """

    words: dict[str, str] = field(default_factory=dict[str, str])
    plan: Callable[[httpx2.Request], httpx2.Response | None] = lambda _: None
    calls: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    @property
    def commands(self) -> list[str]:
        return [call for _, call in self.calls if not call.startswith("GET")]

    def client(self, *, journal: Journal | None = None, api: str | HttpBinding[Any, Any] = "v1") -> AsyncClient:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))
        return AsyncClient(api, api_key=KEY, base_url="http://s.test", http=http, journal=journal, timing=FAST)

    def times_s(self, task_id: str = "") -> list[float]:
        """When requests were made, in the loop's seconds; of one task if given."""
        return [at_s for at_s, call in self.calls if task_id in call]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append((round(asyncio.get_running_loop().time(), 3), f"{request.method} {request.url.path}"))
        planned = self.plan(request)
        if planned is not None:
            return planned
        if request.method == "PUT":
            self.words[request.url.params["task_id"]] = "stopped"
            return httpx2.Response(200, json={})
        word = self.words.get(request.url.path.split("/")[4])
        return httpx2.Response(404, json={"detail": "no such task"}) if word is None else _status(word)


def _status(word: str) -> httpx2.Response:
    return httpx2.Response(200, json=word)


def unlimited() -> Throttle:
    return Throttle(rate_per_s=100_000)


def watching(client: AsyncClient, **settings: Any) -> Watcher:
    defaults: dict[str, Any] = {"pace": EVEN, "throttle": unlimited()}
    return Watcher(client, **{**defaults, **settings})


def states(events: list[Event], task_id: str) -> list[str | None]:
    """The states that a task was set to, in order."""
    changes = [each for each in events if isinstance(each, Change) and each.task_id == task_id]
    return [each.state for each in changes if each.before != each.state]


def tasks_of(events: list[Event]) -> list[str]:
    """The tasks that events are about, in order."""
    return [each.task_id for each in events if not isinstance(each, Outage | JournalOutage)]


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 (nothing would set an event)
        await asyncio.sleep(0.01)


def timetable(service: Service, moves: Mapping[float, Mapping[str, str]]) -> None:
    """Let the service's tasks have other statuses at these times of the running loop."""
    loop = asyncio.get_running_loop()
    for at_s, words in moves.items():
        loop.call_at(at_s, service.words.update, words)


def clock() -> Callable[[], datetime]:
    """A clock that starts at the present time and advances with the running loop's clock."""
    loop, begun_at = asyncio.get_running_loop(), datetime.now(UTC)
    begun_s = loop.time()
    return lambda: begun_at + timedelta(seconds=loop.time() - begun_s)
