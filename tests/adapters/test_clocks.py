"""The clocks that are given to constructors: checked at once, not when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

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
        (datetime.now, ValueError, "clock must return a time with a time zone"),
        (lambda: 5.0, TypeError, "clock must return a datetime, not 5.0"),
        (lambda: None, TypeError, "clock must return a datetime, not None"),
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
