"""Helpers for journal tests: a clock that they set, recorded tasks, commands in every state."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from lifecycle import Lifecycle, get
from lifecycle.journal import NO_CONTEXT, CommandRecord, Report, ReportEntry, RequestContext, TaskReport
from lifecycle_adapters.journal import SqlJournal, SqlTaskJournal
from tests.lifecycle.drivers import clock

START = next(clock())

Log = SqlTaskJournal[str, str]


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


class Time:
    """A journal's clock, as a test sets it; at first long after everything that tests report."""

    def __init__(self) -> None:
        self.now = at(100_000)

    def __call__(self) -> datetime:
        return self.now

    def go(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def told(task: str, status: str, second: float = 0, *, lifecycle: str = "v1-full", channel: str = "api") -> TaskReport:
    return TaskReport(get(lifecycle), task, Report(status, at(second), channel))


def recorded(journal: SqlJournal, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
    """Record these reports, each of a task whose record can be read."""
    entries = [each for each in journal.add_reports(reports) if isinstance(each, ReportEntry)]
    assert len(entries) == len(reports)
    return entries


def knowing(journal: SqlJournal, *statuses: str, task: str = "task-1", lifecycle: str = "v1-full") -> Log:
    """The journal of a task with these reports, a second apart, beginning at second 0."""
    declared: Lifecycle[str, str] = get(lifecycle)
    log = journal.task(declared, task)
    for second, status in enumerate(statuses):
        log.add_report(Report(status, at(second)))
    return log


def opened(
    log: Log, command: str = "pause", *, context: RequestContext = NO_CONTEXT, **fields: Any
) -> CommandRecord[str, str]:
    """Open a command in the task's present state."""
    record = log.load()
    assert record.state is not None
    intent = log.add_intent(command, source=record.state, version=record.version, fields=fields, context=context)
    assert isinstance(intent, CommandRecord)
    return intent


@contextmanager
def hearing(name: str, journal: SqlJournal, function: Callable[..., object]) -> Generator[None]:
    """Call the function with a connection of this journal whenever SQLAlchemy's event of that name takes place."""

    def heard(connection: sa.Connection, *more: Any) -> None:
        if connection.dialect is journal.database.dialect:
            function(connection, *more)

    event.listen(sa.Engine, name, heard)
    try:
        yield
    finally:
        event.remove(sa.Engine, name, heard)
