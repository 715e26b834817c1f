"""The clocks that are given to constructors: checked at once, not when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lifecycle import V1_FULL
from lifecycle.catalog import V1Event, V1State
from lifecycle.journal import CommandRecord, Delivery, Journal, Report, TaskReport
from lifecycle.journal_arguments import LONGEST_LEASE_S
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import AsyncClient
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.watch import Watcher
from lifecycle_adapters.webhooks import Webhooks


def watcher(_: Path, clock: Any) -> object:
    return Watcher(AsyncClient("v1", api_key="any"), clock=clock)


def webhooks(_: Path, clock: Any) -> object:
    return Webhooks("v1", secret="secret", journal=MemoryJournal(), clock=clock)


def sql_journal(directory: Path, clock: Any) -> object:
    SqlJournal(directory / "journal.db", clock=clock).close()
    return directory


def memory_journal(_: Path, clock: Any) -> object:
    return MemoryJournal(clock=clock)


TAKES_A_CLOCK = [watcher, webhooks, sql_journal, memory_journal]


@pytest.mark.parametrize("make", TAKES_A_CLOCK)
@pytest.mark.parametrize(
    ("clock", "error", "said"),
    [
        (1, TypeError, "clock must return the time when it is called, and 1 cannot be called"),
        (None, TypeError, "and None cannot be called"),
        (datetime(2026, 1, 1, tzinfo=UTC), TypeError, "cannot be called"),
        (datetime.now, ValueError, "clock returns must have a time zone"),
        (lambda: datetime.max.replace(tzinfo=UTC), ValueError, "clock returns must be in the years 2 to 9998"),
        (lambda: datetime.min.replace(tzinfo=UTC), ValueError, "clock returns must be in the years 2 to 9998"),
        (lambda: 5.0, TypeError, "clock returns must be a datetime, not 5.0"),
        (lambda: None, TypeError, "clock returns must be a datetime, not None"),
    ],
)
def test_clock_that_gives_no_aware_time_is_refused_by_the_constructor(
    make: Callable[[Path, Any], object], clock: Any, error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        make(tmp_path, clock)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", TAKES_A_CLOCK)
def test_clock_may_give_the_time_of_any_zone(make: Callable[[Path, Any], object], tmp_path: Path) -> None:
    assert make(tmp_path, lambda: datetime.now(timezone(timedelta(hours=2)))) is not None


FIRST, LAST = datetime.min, datetime.max  # noqa: DTZ901
EAST, WEST = timezone(timedelta(hours=2)), timezone(timedelta(hours=-2))


@pytest.mark.parametrize("year", [2, 9998])
@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_times_at_the_ends_of_the_calendar_are_recorded_or_refused(kind: str, year: int, tmp_path: Path) -> None:
    def clock() -> datetime:
        return datetime(year, 12, 31, tzinfo=UTC)

    journal: Journal = (
        MemoryJournal(clock=clock, lease_s=LONGEST_LEASE_S)
        if kind == "memory"
        else SqlJournal(tmp_path / "journal.db", clock=clock, lease_s=LONGEST_LEASE_S)
    )
    for at in (
        FIRST.replace(tzinfo=UTC),
        FIRST.replace(tzinfo=WEST),
        LAST.replace(tzinfo=UTC),
        LAST.replace(tzinfo=EAST),
    ):
        task = at.isoformat()
        journal.receive(Delivery(task, "status", at, "{}"), [TaskReport(V1_FULL, task, Report("running", at))])
        record = journal.task(V1_FULL, task).load()
        opened = journal.task(V1_FULL, task).add_intent(V1Event.STOP, source=V1State.RUNNING, version=1, fields={})

        assert (record.state, record.as_of) == ("running", min(at, clock()))
        assert isinstance(opened, CommandRecord)

    for at in (FIRST.replace(tzinfo=EAST), LAST.replace(tzinfo=WEST)):
        with pytest.raises(ValueError, match="as_of must be in the years 1 to 9999 in UTC"):
            Report("running", at)
        with pytest.raises(ValueError, match="sent_at must be in the years 1 to 9999 in UTC"):
            journal.receive(Delivery("d", "status", at, "{}"))
