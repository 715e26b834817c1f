"""The time limits of a client, the lengths of its pauses, and its clock."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from lifecycle.effects import Wait, WaitReason
from lifecycle.errors import MissingExtra
from lifecycle_adapters.argument_checks import require_number

try:
    import tenacity
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time limits of a client. In seconds, except `attempts` and `max_response_bytes`; all positive and at most 1e9.

    A request may take `request_timeout_s` as a whole: the name lookup, the connection, sending, and the last byte
    of the response. A response may have `max_response_bytes` after decompression.
    A request that may be repeated is repeated with random exponential pauses, until `attempts` repetitions or
    `retry_budget_s` are spent. All requests of a command share one budget, which begins with the first
    pause; from then on a request may take what is left of the budget, or half a second if less is left.
    A service that accepted a command has `settle_timeout_s` to act. The pause between polls grows from `poll_s`
    to `longest_poll_s`. A task that was created less than `appear_s` ago may not be found yet.

    Raises:
        TypeError: one of them is not a number, or a count is not a whole number.
        ValueError: one of them is out of its range.
    """

    request_timeout_s: float = 30.0
    attempts: int = 5
    retry_budget_s: float = 60.0
    longest_retry_s: float = 10.0
    settle_timeout_s: float = 10.0
    poll_s: float = 1.0
    longest_poll_s: float = 5.0
    appear_s: float = 5.0
    max_response_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            kind = int if name in ("attempts", "max_response_bytes") else int | float
            require_number(getattr(self, name), name, kind=kind, more_than=0, at_most=LONGEST_S)


LONGEST_S = 1e9
"""The longest time of a `Timing`: thirty years. Sockets refuse to wait much longer."""


class Pacer:
    """Decides the length of each pause and request, and when to stop.

    Args:
        timing: the client's time limits.
        deadline_s: seconds after which no pause is granted; None for no end.
        in_flight_s: seconds to wait for another worker's command.
    """

    def __init__(self, timing: Timing, *, deadline_s: float | None = None, in_flight_s: float = 0.0) -> None:
        self._deadline_s = None if deadline_s is None else _now_s() + deadline_s
        self._begun_s: dict[WaitReason, float] = {}
        self._attempts = timing.attempts
        self._request_timeout_s = timing.request_timeout_s
        self._limits_s = {
            WaitReason.RETRY: timing.retry_budget_s,
            WaitReason.SETTLE: timing.settle_timeout_s,
            WaitReason.APPEAR: timing.appear_s,
            WaitReason.IN_FLIGHT: in_flight_s,
        }
        self._backoffs = _backoffs(timing)

    def restart(self) -> None:
        """Begin new series of attempts and pauses; the deadline stays."""
        self._begun_s.clear()

    @property
    def is_late(self) -> bool:
        """Return whether the deadline has passed."""
        return self._deadline_s is not None and _now_s() >= self._deadline_s

    def left_s(self) -> float | None:
        """Return the seconds to the deadline, 0 if it has passed, None if there is none."""
        return None if self._deadline_s is None else max(self._deadline_s - _now_s(), 0.0)

    def pause_s(self, wait: Wait) -> float | None:
        """Return how long to pause, or None if the time or the attempts are spent."""
        now_s = _now_s()
        self._begin(wait, now_s)
        if wait.reason is WaitReason.RETRY and wait.attempt > self._attempts:
            return None
        remaining_s = self._remaining_s(wait, now_s)
        if remaining_s <= 0 or (wait.retry_after_s or 0.0) > remaining_s:
            return None
        # Shorten the last pause, so that there is one more read at the very end.
        return min(max(self._backoff_s(wait), wait.retry_after_s or 0.0), remaining_s)

    def request_s(self) -> float:
        """Return how long the next request may take: half a second or more, so that it can succeed."""
        if not self._begun_s and self._deadline_s is None:
            return self._request_timeout_s
        now_s = _now_s()
        left_s = self._request_timeout_s
        if WaitReason.RETRY in self._begun_s:
            left_s = min(left_s, self._left_s(WaitReason.RETRY, now_s))
        if self._deadline_s is not None:
            left_s = min(left_s, self._deadline_s - now_s)
        return min(max(left_s, _SHORTEST_REQUEST_S), self._request_timeout_s)

    def _begin(self, wait: Wait, now_s: float) -> None:
        """Begin a series of pauses; a procedure's retries are one series until one of its reads gets a response."""
        if wait.reason in (WaitReason.SETTLE, WaitReason.POLL):
            self._begun_s.pop(WaitReason.RETRY, None)
        if wait.attempt == 1 and wait.reason is not WaitReason.RETRY:
            self._begun_s[wait.reason] = now_s
        self._begun_s.setdefault(wait.reason, now_s)

    def _remaining_s(self, wait: Wait, now_s: float) -> float:
        own_s = self._left_s(wait.reason, now_s)
        if wait.since is not None:  # by the wall clock, which another process may have written
            own_s = min(own_s, self._limits_s[wait.reason] - (datetime.now(UTC) - wait.since).total_seconds())
        return own_s if self._deadline_s is None else min(own_s, self._deadline_s - now_s)

    def _left_s(self, reason: WaitReason, now_s: float) -> float:
        return self._begun_s[reason] + self._limits_s.get(reason, float("inf")) - now_s

    def _backoff_s(self, wait: Wait) -> float:
        return _waited_s(self._backoffs[wait.reason], wait.attempt)


def _now_s() -> float:
    """Return the time of the clock that measures pauses: the running event loop's, otherwise the monotonic one."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


@lru_cache(maxsize=64)  # a client has one
def _backoffs(timing: Timing) -> dict[WaitReason, tenacity.wait.wait_base]:
    return {
        WaitReason.RETRY: tenacity.wait_random_exponential(multiplier=0.2, max=timing.longest_retry_s),
        WaitReason.SETTLE: tenacity.wait_exponential(multiplier=0.05, max=1.0),
        WaitReason.POLL: tenacity.wait_exponential(multiplier=timing.poll_s, exp_base=1.2, max=timing.longest_poll_s),
        WaitReason.APPEAR: tenacity.wait_exponential(multiplier=0.1, max=1.0),
        WaitReason.IN_FLIGHT: tenacity.wait_exponential(multiplier=0.05, max=0.5),
    }


_SHORTEST_REQUEST_S = 0.5  # a shorter one would seldom get a response, and would leave its outcome unknown


def retry_pause_s(attempt: int, *, first_s: float, longest_s: float, shortest_s: float = 0.0) -> float:
    """Return a random pause before the `attempt`-th repetition, counted from 1.

    It lies between `shortest_s` and a limit that is `first_s` at first and doubles up to `longest_s`.
    """
    wait = tenacity.wait_random_exponential(multiplier=first_s, max=longest_s, min=shortest_s)
    return _waited_s(wait, attempt)


def _waited_s(wait: tenacity.wait.wait_base, attempt: int) -> float:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    return wait(state)


class SteadyClock:
    """UTC that never runs backwards: the wall clock, or, after that was set back, the monotonic one.

    Reports are ordered by their time; a wall clock that is set back would make every later report
    look late. The monotonic clock alone would fall behind while the machine sleeps.
    """

    def __init__(self) -> None:
        self._known = _wall_at(), time.monotonic()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        wall_at, now_s = _wall_at(), time.monotonic()
        known_at, known_s = self._known
        at = max(wall_at, known_at + timedelta(seconds=now_s - known_s))
        self._known = at, now_s
        return at


def _wall_at() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


CLOCK = SteadyClock()
"""One for all clients: the reports of several may meet in one journal."""
