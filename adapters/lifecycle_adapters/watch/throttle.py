"""How many requests a second one key may make: a bucket that all its tasks share, and that the service closes.

The bucket is aiolimiter's. Around it stands what the service's responses say: a 429 closes it for all
until the time asked for, at most five minutes, and halves the rate, which then grows back slowly (additive
increase, multiplicative decrease: R. Jain and others, whose TCP this made fair). While one task alone has got a 429,
it is closed for a minute at most: what one answer asks for is believed of the key if another task gets a 429 too.

Two kinds of 429 close nothing. One that is about the number of concurrent sessions says nothing about the rate of
other calls. And one to the task that got the last one too, while other tasks got responses in between, is that
task's own trouble. Nor does any other failure: whether the service is down is for outage.py to say, and a
Retry-After with a 503 is for the one call that got it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from lifecycle.effects import Accepted, Response, Throttled
from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.http.timing import retry_pause_s

_log = logging.getLogger("lifecycle_adapters.watch")

LONGEST_CLOSED_S = 300.0
"""The longest pause that a service's Retry-After can ask for."""
_CLOSED_BY_ONE_S = 60.0  # the longest pause that the answer to one task can ask for, for all others
_BURST_S = 0.1  # the bucket holds what flows in this time, so that a loop that wakes late loses nothing
_RECOVERY_S = 60.0  # from nothing to the full rate
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


def pause_asked_s(retry_after_s: float | None, *, longest_s: float = LONGEST_CLOSED_S) -> float:
    """Return the pause that a Retry-After asks for, in seconds: 0 if it asks for none, at most `longest_s`."""
    return min(retry_after_s, longest_s) if retry_after_s is not None and retry_after_s > 0 else 0.0


class Throttle:
    """The requests of one key, to be shared by all its watchers in one event loop. A `RateLimiter` for clients.

    Args:
        rate_per_s: requests a second at most; the service may lower it, down to a hundredth.
    """

    def __init__(self, rate_per_s: float = 10.0) -> None:
        require_number(rate_per_s, "rate_per_s", more_than=0, at_most=1e6)
        self._full_per_s = rate_per_s
        self._closed_until_s = float("-inf")
        self._closed_times = 0  # in a row
        self._closed_by: str | None = None  # the task that got the last 429
        self._others_served = False  # since then
        self._raised_s = float("-inf")
        self._set_rate(rate_per_s)

    @property
    def rate_per_s(self) -> float:
        """The requests a second that are granted now."""
        return self._rate_per_s

    def of(self, task_id: str) -> TaskLimiter:
        """Return this throttle as the gate of one task's requests."""
        return TaskLimiter(self, task_id)

    async def acquire(self) -> None:
        """Return when a request may be sent."""
        while True:
            while (left_s := self._closed_until_s - _now_s()) > 0:  # noqa: ASYNC110 (time alone opens it)
                await asyncio.sleep(left_s)
            await self._bucket.acquire()
            if self._closed_until_s <= _now_s():
                return

    def observe(self, answer: Response, task_id: str | None = None) -> None:
        """Take into account what came of a request; `task_id` is the task that it was about, if known."""
        match answer:
            case Throttled(limits_rate=True):
                self._be_throttled(answer.retry_after_s, task_id)
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
        if self._closed_until_s > _now_s():  # sent before it closed: this says nothing new of the rate
            self._close(asked_s)
            return
        self._closed_times += 1
        self._close(max(asked_s, _pause_s(self._closed_times)))
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
        # A bucket has one rate for ever; those who wait at the old one still get in by its rate.
        self._rate_per_s = rate_per_s
        burst = max(1.0, rate_per_s * _BURST_S)
        self._bucket = AsyncLimiter(burst, burst / rate_per_s)


@dataclass(frozen=True, slots=True)
class TaskLimiter:
    """The gate of one task's requests: the throttle then knows which task a response is about."""

    throttle: Throttle
    task_id: str

    async def acquire(self) -> None:
        """Return when a request may be sent."""
        await self.throttle.acquire()

    def observe(self, answer: Response) -> None:
        """Take into account what came of a request."""
        self.throttle.observe(answer, self.task_id)


def _pause_s(attempt: int) -> float:
    return retry_pause_s(attempt, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S, shortest_s=_FIRST_PAUSE_S / 2)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
