"""The caller's `on_event`: the calls of it, the errors that it raises, and its end when the watcher ends."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable

from lifecycle_adapters.watch.events import Event

_log = logging.getLogger("lifecycle_adapters.watch")

OnEvent = Callable[[Event], object]

_KEPT = 10  # errors that are raised at the end


class EventCallback:
    """Calls `on_event` with events. An error that it raises is logged and kept; it stops nothing."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._errors: list[Exception] = []
        self._limits: set[asyncio.Timeout] = set()
        self._end_s: float | None = None

    async def call(self, event: Event) -> None:
        """Call it, and await the awaitable that it returns, if any, until the time of `end_at`."""
        try:
            result = self._on_event(event)
            if inspect.isawaitable(result):
                async with asyncio.timeout_at(self._end_s) as limit:
                    self._limits.add(limit)
                    try:
                        await result
                    finally:
                        self._limits.discard(limit)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            self._keep(_of_awaitable(error))
        except Exception as error:  # noqa: BLE001 (whatever the caller's function raises)
            self._keep(error)

    def end_at(self, time_s: float) -> None:
        """Cancel the awaitables that still run at this time of the loop's clock."""
        self._end_s = time_s
        for each in self._limits:
            each.reschedule(time_s)

    def raise_errors(self) -> None:
        """Raise an ExceptionGroup of the first ten errors, if there were any."""
        if self._errors:
            raise ExceptionGroup("on_event raised errors", self._errors)

    def _keep(self, error: Exception) -> None:
        _log.error("on_event raised an error; watching continues", exc_info=error)
        if len(self._errors) < _KEPT:
            self._errors.append(error)


def _of_awaitable(cancelled: asyncio.CancelledError) -> Exception:
    """Return an Exception, which an ExceptionGroup can contain, for an awaitable that was cancelled."""
    error = RuntimeError("the awaitable that on_event returned was cancelled")
    error.__cause__ = cancelled
    return error


def _is_cancelled() -> bool:
    """Return whether the current task is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
