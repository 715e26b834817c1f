"""The rate limit of one key: a token bucket that all its tasks share, and that responses of the service close.

The bucket is aiolimiter's. A 429 closes it for all tasks until the time in its Retry-After, for at most five minutes.
If it has no Retry-After, the pause grows from one 429 to the next, up to a minute. The 429 also halves the rate, which
then grows back slowly (additive increase, multiplicative decrease: R. Jain and others, whose method made TCP fair).
While only one task has received a 429, the bucket closes for a minute at most; it closes for longer only if another
task receives a 429 too.

Two kinds of 429 do not close it: one about the number of concurrent sessions, which does not limit other calls; and one
to the task that also received the last 429, if other tasks received responses in between: it concerns that task alone.
Other failures do not close it either: outage.py detects a service that is down, and a Retry-After with a 503 is for the
one call that received it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from lifecycle.effects import Accepted, Response, Throttled
from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.procedures.timing import retry_pause_s

_log = logging.getLogger("lifecycle_adapters.watch")

LONGEST_CLOSED_S = 300.0
"""The longest pause that a service's Retry-After can ask for."""
_CLOSED_BY_ONE_S = 60.0  # the longest pause of all tasks that the response to one task can cause
_BURST_S = 0.1  # the bucket contains the requests of this time, so that a loop that wakes late loses none
_RECOVERY_S = 60.0  # the time in which the rate grows from nothing to the full rate
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


def pause_asked_s(retry_after_s: float | None, *, longest_s: float = LONGEST_CLOSED_S) -> float:
    """Return the pause that a Retry-After asks for, in seconds: 0 if it asks for none, at most `longest_s`."""
    return min(retry_after_s, longest_s) if retry_after_s is not None and retry_after_s > 0 else 0.0


class Throttle:
    """The rate limit of one key, shared by all its watchers in one event loop. A `RateLimiter` for clients.

    Args:
        rate_per_s: requests a second at most; the service may lower it, down to a hundredth.
    """

    def __init__(self, rate_per_s: float = 10.0) -> None:
        require_number(rate_per_s, "rate_per_s", more_than=0, at_most=1e6)
        self._full_per_s = rate_per_s
        self._closed_until_s = float("-inf")
        self._closed_times = 0  # in a row
        self._closed_by: str | None = None  # the task that got the last 429
        self._others_served = False  # whether other tasks received responses since then
        self._raised_s = float("-inf")
        self._set_rate(rate_per_s)

    @property
    def rate_per_s(self) -> float:
        """The present rate, in requests a second."""
        return self._rate_per_s

    def of(self, task_id: str) -> TaskLimiter:
        """Return the rate limiter of one task's requests, which uses this throttle."""
        return TaskLimiter(self, task_id)

    async def acquire(self) -> None:
        """Return when a request may be sent."""
        while True:
            while (left_s := self._closed_until_s - _now_s()) > 0:  # noqa: ASYNC110 (time alone opens it)
                await asyncio.sleep(left_s)
            await self._bucket.acquire()
            if self._closed_until_s <= _now_s():
                return

    def observe(self, response: Response, task_id: str | None = None) -> None:
        """Adapt the rate to a response; `task_id` is the task that the request was about, if known."""
        match response:
            case Throttled(limits_rate=True):
                self._be_throttled(response.retry_after_s, task_id)
            case Accepted():
                self._be_served(task_id)
            case _:
                pass

    def _be_throttled(self, asked_s: float | None, task_id: str | None) -> None:
        is_its_own = task_id is not None and task_id == self._closed_by and self._others_served
        is_one_tasks = task_id is not None and (task_id == self._closed_by or not self._closed_times)
        asked_s = pause_asked_s(asked_s, longest_s=_CLOSED_BY_ONE_S if is_one_tasks else LONGEST_CLOSED_S)
        self._closed_by, self._others_served = task_id, self._others_served and is_its_own
        if is_its_own:
            return
        if self._closed_until_s > _now_s():  # sent before it closed: this is no news about the rate
            self._close(asked_s)
            return
        self._closed_times += 1
        self._close(asked_s or _pause_s(self._closed_times))
        self._raised_s = self._closed_until_s
        self._set_rate(max(self._rate_per_s / 2, self._full_per_s / 100))
        _log.warning(
            "the service limits the rate",
            extra={"retry_after_s": asked_s, "rate_per_s": self._rate_per_s},
        )

    def _be_served(self, task_id: str | None) -> None:
        now_s = _now_s()
        if now_s < self._closed_until_s:
            return
        self._others_served |= task_id != self._closed_by
        self._closed_times = 0
        if self._rate_per_s < self._full_per_s and now_s - self._raised_s >= 1.0:
            self._raised_s = now_s
            self._set_rate(min(self._rate_per_s + self._full_per_s / _RECOVERY_S, self._full_per_s))

    def _close(self, seconds: float) -> None:
        self._closed_until_s = max(self._closed_until_s, _now_s() + seconds)

    def _set_rate(self, rate_per_s: float) -> None:
        # The rate of a bucket cannot be changed; requests that wait for the old bucket proceed at its rate.
        self._rate_per_s = rate_per_s
        burst = max(1.0, rate_per_s * _BURST_S)
        self._bucket = AsyncLimiter(burst, burst / rate_per_s)


@dataclass(frozen=True, slots=True)
class TaskLimiter:
    """The rate limiter of one task's requests; it passes the task's id to the throttle with each response."""

    throttle: Throttle
    task_id: str

    async def acquire(self) -> None:
        """Return when a request may be sent."""
        await self.throttle.acquire()

    def observe(self, response: Response) -> None:
        """Adapt the rate to a response."""
        self.throttle.observe(response, self.task_id)


def _pause_s(attempt: int) -> float:
    return retry_pause_s(attempt, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S, shortest_s=_FIRST_PAUSE_S / 2)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
