"""How patient a client is, how long each pause is, and what time it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lifecycle.effects import Wait, WaitReason
from lifecycle.errors import MissingExtra

try:
    import tenacity
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient a client is. All in seconds but `attempts`, all positive and at most 1e9.

    A service may be silent for `request_timeout_s`, while connecting and between any two pieces of
    an answer: one that trickles is not cut off.
    A request that may be repeated is repeated with random exponential pauses, until `attempts`
    repetitions or `retry_budget_s` are spent. A service that accepted a command has
    `settle_timeout_s` to act. A task is polled every `poll_s`, ever more slowly up to
    `longest_poll_s`.
    """

    request_timeout_s: float = 30.0
    attempts: int = 5
    retry_budget_s: float = 60.0
    longest_retry_s: float = 10.0
    settle_timeout_s: float = 10.0
    poll_s: float = 1.0
    longest_poll_s: float = 5.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 < getattr(self, name) <= _LONGEST_S:
                raise ValueError(f"{name} must be positive and at most {_LONGEST_S:g}, not {getattr(self, name)}")


_LONGEST_S = 1e9  # thirty years; sockets refuse to wait much longer


class Pacer:
    """Decides how long each pause is, and when there has been enough of them.

    Args:
        timing: the client's patience.
        deadline_s: seconds after which no pause is granted; None for no end.
    """

    def __init__(self, timing: Timing, *, deadline_s: float | None = None) -> None:
        self._begun_s = time.monotonic()
        self._deadline_s = None if deadline_s is None else self._begun_s + deadline_s
        self._series_begun_s: dict[WaitReason, float] = {}
        self._attempts = timing.attempts
        self._limits_s = {WaitReason.RETRY: timing.retry_budget_s, WaitReason.SETTLE: timing.settle_timeout_s}
        self._backoffs = {
            WaitReason.RETRY: tenacity.wait_random_exponential(multiplier=0.2, max=timing.longest_retry_s),
            WaitReason.SETTLE: tenacity.wait_exponential(multiplier=0.05, max=1.0),
            WaitReason.POLL: tenacity.wait_exponential(
                multiplier=timing.poll_s, exp_base=1.2, max=timing.longest_poll_s
            ),
        }

    def pause_s(self, wait: Wait) -> float | None:
        """Return how long to pause, or None where the time or the attempts are spent."""
        now_s = time.monotonic()
        if wait.attempt == 1:
            self._series_begun_s[wait.reason] = now_s
        if wait.reason is WaitReason.RETRY and wait.attempt > self._attempts:
            return None
        remaining_s = self._remaining_s(wait.reason, now_s)
        if remaining_s <= 0 or (wait.retry_after_s or 0.0) > remaining_s:
            return None
        # The last pause is cut short: one more look at the very end is worth it.
        return min(max(self._backoff_s(wait), wait.retry_after_s or 0.0), remaining_s)

    def _remaining_s(self, reason: WaitReason, now_s: float) -> float:
        limit_s = self._limits_s.get(reason, float("inf"))
        own_s = self._series_begun_s.get(reason, now_s) + limit_s - now_s
        return own_s if self._deadline_s is None else min(own_s, self._deadline_s - now_s)

    def _backoff_s(self, wait: Wait) -> float:
        return _waited_s(self._backoffs[wait.reason], wait.attempt)


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


class Clock:
    """UTC that never runs backwards: the wall clock, or where that was set back, the monotonic one.

    Reports are ordered by their time; a wall clock that is set back would make every later report
    look late. The monotonic clock alone would fall behind while the machine sleeps.
    """

    def __init__(self) -> None:
        self._known = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        wall_at, now_s = datetime.now(UTC), time.monotonic()
        known_at, known_s = self._known
        at = max(wall_at, known_at + timedelta(seconds=now_s - known_s))
        self._known = at, now_s
        return at
