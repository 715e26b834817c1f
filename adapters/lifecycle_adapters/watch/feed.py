"""Polling of a journal's change feed, every second, for reports that other processes recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from lifecycle.errors import text_of
from lifecycle.journal import Report, ReportEntry
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.procedures.timing import retry_pause_s
from lifecycle_adapters.watch.recorder import Recorder

_log = logging.getLogger("lifecycle_adapters.watch")

_EVERY_S = 1.0
_LONGEST_PAUSE_S = 60.0
_LIMIT = 1000  # entries per poll

# The protocols of a journal with a change feed, so that this package imports none.


class ChangeBatch(Protocol):
    """The entries recorded after a point, and the cursor from which to read on."""

    @property
    def entries(self) -> Sequence[object]:
        """Return the reports and commands, in order."""
        ...

    @property
    def cursor(self) -> str:
        """Return the cursor from which to continue."""
        ...


@runtime_checkable
class ChangeFeed(Protocol):
    """A journal with a change feed; the cursor "now" is the present."""

    def changes(self, since: str | None = None, *, limit: int = 1000) -> ChangeBatch:
        """Return the entries that were recorded after `since`."""
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

    The entry is None if it cannot be judged, for example because the lifecycle does not declare its state, or no
    longer does. If the changes cannot be read at all, the feed skips to the present.
    """
    failures = 0
    while True:
        try:
            batch = await recorder.retry_until_available(lambda at=since: feed.changes(at, limit=_LIMIT), blocking=True)  # type: ignore[misc]
        except Exception:  # noqa: BLE001 (reads go on without it)
            failures += 1
            _log.exception("the journal's changes cannot be read; tasks are read less promptly")
            await asyncio.sleep(retry_pause_s(failures, first_s=_EVERY_S, longest_s=_LONGEST_PAUSE_S))
            since = "now"
            continue
        failures = 0
        for each in batch.entries:
            if isinstance(each, ForeignReport) and each.lifecycle == lifecycle.name:
                yield each.task_id, _judged(lifecycle, each)
        since = batch.cursor
        if len(batch.entries) < _LIMIT:
            await asyncio.sleep(_EVERY_S)


def _judged(lifecycle: Lifecycle[Any, Any], foreign: ForeignReport) -> ReportEntry[Any, Any] | None:
    try:
        return _entry(lifecycle, foreign)
    except Exception as error:  # noqa: BLE001 (any error here concerns this task alone)
        _log.warning("a recorded report cannot be judged", extra={"task_id": foreign.task_id, "error": text_of(error)})
        return None


def _entry(lifecycle: Lifecycle[Any, Any], foreign: ForeignReport) -> ReportEntry[Any, Any]:
    known = None if foreign.before is None else lifecycle.require_state_of(foreign.before)
    observation = None if known is None else lifecycle.observe(known, foreign.status, channel=foreign.channel)
    state = None if foreign.state is None else lifecycle.require_state_of(foreign.state)
    report = Report(foreign.status, foreign.as_of, foreign.channel)
    return ReportEntry(report, state, observation, foreign.late, foreign.unconfirmed)
