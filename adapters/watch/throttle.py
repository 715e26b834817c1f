"""How many requests a second one key may make: a bucket that all its tasks share, and that the service closes.

The bucket is aiolimiter's. Around it stands what the service's answers tell: a 429 closes it for all
until the time asked for, and halves the rate, which then grows back slowly (additive increase,
multiplicative decrease: R. Jain and others, whose TCP this made fair). Where request after request
comes to nothing, one alone asks now and then whether the service is back.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from aiolimiter import AsyncLimiter

from adapters.http.errors import NotAuthenticated
from adapters.http.timing import retry_pause_s
from lifecycle.effects import Accepted, Answer, Denied, Lost, NotSent, Throttled

_log = logging.getLogger("adapters.watch")

_BURST_S = 0.1  # the bucket holds what flows in this time, so that a loop that wakes late loses nothing
_RECOVERY_S = 60.0  # from nothing to the full rate
_OUTAGE = 5  # requests in a row that came to nothing: then it is the service, not a task
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


class Throttle:
    """The requests of one key, to be shared by all its watchers in one event loop. A `Gate` for clients.

    Args:
        rate_per_s: requests a second at most; the service may lower it, down to a hundredth.
    """

    def __init__(self, rate_per_s: float = 10.0) -> None:
        if not 0 < rate_per_s <= 1e6:
            raise ValueError(f"rate_per_s must be positive and at most 1e6, not {rate_per_s}")
        self._full_per_s = rate_per_s
        self._closed_until_s = float("-inf")
        self._closed_times = 0  # in a row
        self._raised_s = float("-inf")
        self._failures = 0  # in a row
        self._opened = asyncio.Event()
        self._set_rate(rate_per_s)

    @property
    def rate_per_s(self) -> float:
        """The requests a second that are granted now."""
        return self._rate_per_s

    async def enter(self) -> None:
        """Return when a request may be sent."""
        while True:
            while (left_s := self._closed_until_s - _now_s()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._opened.wait()
            await self._bucket.acquire()
            if self._closed_until_s <= _now_s():
                break
        if self._failures >= _OUTAGE:  # this one asks for all; its answer opens the way, or time does
            self._close(_pause_s(self._failures - _OUTAGE + 1))

    def leave(self, answer: Answer) -> None:
        """Take into account what came of a request."""
        match answer:
            case Throttled(retry_after_s=asked_s):
                self._be_throttled(asked_s)
            case Lost() | NotSent() | Denied(error=NotAuthenticated()):
                self._failures += 1
                if self._failures == _OUTAGE:
                    self._close(_pause_s(1))
                    _log.warning("the service does not answer", extra={"error": str(answer.error)})
            case Accepted():
                self._be_served()
            case _:
                self._end_outage()  # it said no, but it answered

    def _be_throttled(self, asked_s: float | None) -> None:
        self._end_outage()
        if self._closed_until_s > _now_s():  # sent before it closed: this says nothing new of the rate
            self._close(asked_s or 0.0)
            return
        self._closed_times += 1
        self._close(max(asked_s or 0.0, _pause_s(self._closed_times)))
        self._raised_s = self._closed_until_s
        self._set_rate(max(self._rate_per_s / 2, self._full_per_s / 100))
        _log.warning(
            "the service limits the rate",
            extra={"retry_after_s": asked_s, "rate_per_s": self._rate_per_s},
        )

    def _be_served(self) -> None:
        self._end_outage()
        now_s = _now_s()
        if now_s < self._closed_until_s:
            return
        self._closed_times = 0
        if self._rate_per_s < self._full_per_s and now_s - self._raised_s >= 1.0:
            self._raised_s = now_s
            self._set_rate(min(self._rate_per_s + self._full_per_s / _RECOVERY_S, self._full_per_s))

    def _end_outage(self) -> None:
        if self._failures >= _OUTAGE:
            _log.info("the service answers again")
            self._closed_until_s = float("-inf")
            self._opened.set()
        self._failures = 0

    def _close(self, seconds: float) -> None:
        self._closed_until_s = max(self._closed_until_s, _now_s() + seconds)
        self._opened.clear()

    def _set_rate(self, rate_per_s: float) -> None:
        # A bucket has one rate for ever; those who wait at the old one still get in by its rate.
        self._rate_per_s = rate_per_s
        burst = max(1.0, rate_per_s * _BURST_S)
        self._bucket = AsyncLimiter(burst, burst / rate_per_s)


def _pause_s(attempt: int) -> float:
    return retry_pause_s(attempt, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S, shortest_s=_FIRST_PAUSE_S / 2)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
