"""All writes about a command lock its task's row first, so that two workers never wait for each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text

from lifecycle import CommandEvent, get
from lifecycle.journal import CommandRecord, Report, TaskJournal
from lifecycle_adapters.journal import SqlJournal

V1 = get("v1-full")
Log = TaskJournal[Any, Any]

WRITES: dict[str, Callable[[Log], object]] = {
    "attempt": lambda log: log.add_attempt("1", number=1, claim=1),
    "outcome": lambda log: log.add_outcome("1", CommandEvent.REFUSE, why="no", claim=1),
    "release": lambda log: log.release("1", claim=1),
    "claim": lambda log: log.claim("1", dead=("first",)),
    "report": lambda log: log.add_report(Report("paused", datetime.now(UTC))),
}


def waits_for_a_lock(connection: Connection) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(connection.execute(text(waiting)).scalar_one())


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_waits_for_the_task_before_it_locks_the_command(
    postgres_url: str, write: Callable[[Log], object]
) -> None:
    with (
        SqlJournal(postgres_url, worker="first") as journal,
        SqlJournal(postgres_url, worker="second") as other,
        SqlJournal(postgres_url, worker="third") as third,
    ):
        log = journal.task(V1, "t")
        record = log.add_report(Report("running", datetime.now(UTC)))
        opened = log.add_intent("pause", source="running", version=record.version, fields={})
        assert isinstance(opened, CommandRecord)
        assert opened.id == "1"
        writer = other.task(V1, "t") if write is WRITES["claim"] else log
        with ThreadPoolExecutor(1) as pool, third.database.transaction() as connection:
            connection.execute(text("SELECT id FROM lifecycle_tasks WHERE task_id = 't' FOR UPDATE"))
            writing = pool.submit(write, writer)
            until_s = time.monotonic() + 60
            while not waits_for_a_lock(connection):
                assert time.monotonic() < until_s
                time.sleep(0.01)
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            connection.execute(text("UPDATE lifecycle_commands SET why = why"))
        writing.result(timeout=60)
