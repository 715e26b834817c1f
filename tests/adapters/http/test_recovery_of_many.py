"""`Client.recover` with many tasks, one of which cannot be recovered: the others are, and the one is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lifecycle import Lifecycle, UndeclaredState, get
from lifecycle.journal import CommandRecord, Journal, Report
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import Recovered
from lifecycle_adapters.journal import SqlJournal
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, by_path
from tests.lifecycle.drivers import clock

V1 = get("v1-full")
TASKS = ("first", "bad", "last")


class Broken(Exception):
    """The error of a user's callback."""


def fail(_: Lifecycle[Any, Any], entry: Any, before: Any, after: Any) -> None:
    if after.state == "stopped":
        raise Broken


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """A journal with three open commands; the second task's record, or its report, is broken."""
    with ExitStack() as opened:
        journal: Any
        if request.param == "memory":
            journal = MemoryJournal(on_report=fail)
        else:
            url = (
                str(tmp_path / "j.db") if request.param == "sqlite" else request.getfixturevalue("postgres_journal_url")
            )
            journal = opened.enter_context(SqlJournal(url))
        held = [leave_open(journal, task) for task in TASKS]  # which keeps them in memory
        if isinstance(journal, SqlJournal):
            with journal.database.transaction() as connection:
                connection.exec_driver_sql("UPDATE lifecycle_tasks SET state = 'walking' WHERE task_id = 'bad'")
        yield journal
        del held


def leave_open(journal: Journal, task: str) -> Any:
    log = journal.task(V1, task)
    log.add_report(Report("running", next(clock())))
    opened = log.add_intent("pause", source="running", version=log.load().version, fields={})
    assert isinstance(opened, CommandRecord)
    assert log.add_attempt(opened.id, number=1, claim=1)
    log.release(opened.id, claim=1)
    return log


def test_one_task_that_cannot_be_recovered_does_not_stop_the_others(
    connect: Connect, serve: Serve, journal: Journal
) -> None:
    says = {"first": "paused", "bad": "stopped", "last": "paused"}
    server = serve(by_path({f"GET /api/v1/task/{task}/status": Reply(body=status) for task, status in says.items()}))

    recovered = {each.task_id: each for each in connect("v1", server.base_url, journal=journal).recover()}

    assert set(recovered) == set(TASKS)
    assert [outcome(recovered[task]) for task in ("first", "last")] == [("paused", True)] * 2
    assert recovered["bad"].result is None
    assert recovered["bad"].command is None
    assert not recovered["bad"].is_settled
    assert isinstance(recovered["bad"].error, Broken if isinstance(journal, MemoryJournal) else UndeclaredState)
    assert list(journal.open_tasks(V1)) == ["bad"]


def outcome(recovered: Recovered) -> tuple[str | None, bool]:
    return None if recovered.result is None else str(recovered.result.state), recovered.is_settled
