"""What other processes record is heard where the journal tells it: its change feed, asked every second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from lifecycle.journal import Report, ReportEntry
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.http.timing import retry_pause_s
from lifecycle_adapters.watch.recorder import Recorder

_log = logging.getLogger("lifecycle_adapters.watch")

_EVERY_S = 1.0
_LONGEST_PAUSE_S = 60.0
_LIMIT = 1000  # entries asked for at once

# What is asked of a journal that tells its changes, so that none is named here.


class ChangeBatch(Protocol):
    """What was recorded after a point, and the cursor to ask with for what comes after."""

    @property
    def entries(self) -> Sequence[object]:
        """Reports and commands, in order."""
        ...

    @property
    def cursor(self) -> str:
        """Where to go on."""
        ...


@runtime_checkable
class ChangeFeed(Protocol):
    """A journal that tells what was recorded since a point; the point `now` is the present."""

    def changes(self, since: str | None = None, *, limit: int = 1000) -> ChangeBatch:
        """Return what was recorded after `since`."""
        ...


@runtime_checkable
class ForeignReport(Protocol):
    """A report of a change feed."""

    lifecycle: str
    task_id: str
    status: str
    channel: str
    as_of: datetime
    before: str | None
    state: str | None
    late: bool
    unconfirmed: bool


async def follow(
    feed: ChangeFeed, lifecycle: Lifecycle[Any, Any], recorder: Recorder, since: str
) -> AsyncGenerator[tuple[str, ReportEntry[Any, Any] | None]]:
    """Yield the task and the entry of each report of this lifecycle that is recorded after a point, for ever.

    The entry is None if it cannot be judged, for example because the lifecycle does not declare its state (any
    more). If the changes cannot be read at all, the feed goes on with what comes after that.
    """
    failures = 0
    while True:
        try:
            told = await recorder.retry_until_available(lambda at=since: feed.changes(at, limit=_LIMIT), blocking=True)  # type: ignore[misc]
        except Exception:  # noqa: BLE001 (reads go on without it)
            failures += 1
            _log.exception("the journal's changes cannot be read; tasks are read less promptly")
            await asyncio.sleep(retry_pause_s(failures, first_s=_EVERY_S, longest_s=_LONGEST_PAUSE_S))
            since = "now"
            continue
        failures = 0
        for each in told.entries:
            if isinstance(each, ForeignReport) and each.lifecycle == lifecycle.name:
                yield each.task_id, _judged(lifecycle, each)
        since = told.cursor
        if len(told.entries) < _LIMIT:
            await asyncio.sleep(_EVERY_S)


def _judged(lifecycle: Lifecycle[Any, Any], told: ForeignReport) -> ReportEntry[Any, Any] | None:
    try:
        return _entry(lifecycle, told)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is about this task)
        _log.warning("a recorded report cannot be judged", extra={"task_id": told.task_id, "error": str(error)})
        return None


def _entry(lifecycle: Lifecycle[Any, Any], told: ForeignReport) -> ReportEntry[Any, Any]:
    known = None if told.before is None else lifecycle.require_state_of(told.before)
    observation = None if known is None else lifecycle.observe(known, told.status, channel=told.channel)
    state = None if told.state is None else lifecycle.require_state_of(told.state)
    report = Report(told.status, told.as_of, told.channel)
    return ReportEntry(report, state, observation, told.late, told.unconfirmed)
