"""The durable journal, compared with what one would write by hand on the same database; and how its cost grows.

By hand is one transaction with an INSERT and a compare-and-set UPDATE on tables with the same indexes, through
the bare driver, as durable as ours: on SQLite in WAL mode with `synchronous = FULL`, on PostgreSQL (started
for this, fsync on) with its defaults.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx2
import psycopg
import sqlalchemy as sa

from benchmarks.measure import Bound, Measure, Row, compare
from benchmarks.servers import running
from lifecycle import V1
from lifecycle.journal import Report, TaskReport
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import Client
from lifecycle_adapters.journal import SqlJournal
from tests.support.postgres import PostgresServer

_BATCH = 500
_SHARE = 0.4  # of the transitions per second written by hand; ten times this in a batch
_STATUSES = ("paused", "running")
_KNOWN = 1_000, 1_000_000  # recorded tasks


def rows(*, pairs: int, transitions: int, known: tuple[int, int] = _KNOWN) -> list[Row]:
    """Measure on both databases; each measurement is so many transitions."""
    with TemporaryDirectory() as directory, PostgresServer(durable=True) as server:
        files = (f"sqlite:///{directory}/{number}.db" for number in count())
        databases = [
            _Database("SQLite", lambda: next(files), _sqlite_by_hand),
            _Database("PostgreSQL", server.create_database, _postgres_by_hand),
        ]
        found = [row for each in databases for row in _written(each, pairs, transitions)]
        found += [_command(each, pairs) for each in databases]
        return found + [row for each in databases for row in _grown(each, pairs, known)]


class _Database(NamedTuple):
    """A kind of database: its name, a function that makes one and returns its URL, one that writes by hand."""

    name: str
    create: Callable[[], str]
    by_hand: Callable[[str, int], Measure]


# --- transitions and batches ----------------------------------------------------------------------


def _written(database: _Database, pairs: int, transitions: int) -> Iterator[Row]:
    with SqlJournal(database.create()) as journal:
        log, statuses = journal.task(V1, "written"), _alternating()
        log.add_report(_report("running"))

        def transition() -> None:
            for _ in range(transitions):
                log.add_report(_report(next(statuses)))

        def batch() -> None:
            status = next(statuses)
            journal.add_reports([TaskReport(V1, f"task-{number}", _report(status)) for number in range(_BATCH)])

        peer = "INSERT and UPDATE by hand", database.by_hand(database.create(), transitions)
        yield compare(
            f"{database.name}: a journaled transition",
            _timed(transition, transitions),
            *peer,
            bound=Bound.AT_MOST,
            limit=1 / _SHARE,
            pairs=pairs,
        )
        yield compare(
            f"{database.name}: one of {_BATCH} in a batch",
            _timed(batch, _BATCH),
            *peer,
            bound=Bound.AT_LEAST,
            limit=10 * _SHARE,
            pairs=pairs,
        )


def _sqlite_by_hand(url: str, transitions: int) -> Measure:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return _by_hand(connection.execute, "?", "BEGIN IMMEDIATE", "INTEGER PRIMARY KEY", transitions)


def _postgres_by_hand(url: str, transitions: int) -> Measure:
    connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    serial = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    return _by_hand(connection.execute, "%s", "BEGIN", serial, transitions)


def _by_hand(execute: Callable[..., Any], mark: str, begin: str, serial: str, transitions: int) -> Measure:
    execute(f"CREATE TABLE task (id {serial}, name TEXT UNIQUE, state TEXT, version BIGINT)")
    execute(f"CREATE TABLE entry (id {serial}, task BIGINT, at BIGINT, status TEXT, channel TEXT, state TEXT)")
    execute("CREATE INDEX entry_by_task ON entry (task, id)")
    execute("INSERT INTO task (name, state, version) VALUES ('written', 'running', 0)")
    insert = f"INSERT INTO entry (task, at, status, channel, state) VALUES ({', '.join([mark] * 5)})"
    update = f"UPDATE task SET state = {mark}, version = version + 1 WHERE id = {mark} AND version = {mark}"
    statuses, versions = _alternating(), iter(range(10**9))

    def transition() -> None:
        for _ in range(transitions):
            status = next(statuses)
            execute(begin)
            execute(insert, (1, time.time_ns() // 1000, status, "api", status))
            assert execute(update, (status, 1, next(versions))).rowcount == 1
            execute("COMMIT")

    return _timed(transition, transitions)


# --- a command ------------------------------------------------------------------------------------


def _command(database: _Database, pairs: int) -> Row:
    with running("emulator") as server, SqlJournal(database.create()) as journal:
        with_journal, without = (_commands(server, each) for each in (journal, MemoryJournal()))
        what = f"Client, {database.name}: pause or resume"
        return compare(
            what, with_journal, "the same without a journal", without, bound=Bound.AT_MOST, limit=3, pairs=pairs
        )


def _commands(server: str, journal: SqlJournal | MemoryJournal, cycles: int = 10) -> Measure:
    client = Client("v1", api_key="benchmark", base_url=server, journal=journal)
    task = client.create("benchmark")
    httpx2.post(f"{server}/_emulator/tasks/{task.id}/events", json={"event": "start"}).raise_for_status()

    def commands() -> None:
        for _ in range(cycles):
            task.pause()
            task.resume()

    return _timed(commands, 2 * cycles)


# --- growth ---------------------------------------------------------------------------------------


def _grown(database: _Database, pairs: int, known: tuple[int, int]) -> Iterator[Row]:
    """Return rows about look-ups among few tasks and among many."""
    with SqlJournal(database.create()) as few, SqlJournal(database.create()) as many:
        for journal, count in zip((few, many), known, strict=True):
            _fill(journal, count)
        for what, look_up in _LOOK_UPS.items():
            yield compare(
                f"{database.name}, {known[1]:,} tasks: {what}",
                _timed(partial(look_up, many, known[1]), 1),
                f"among {known[0]:,}",
                _timed(partial(look_up, few, known[0]), 1),
                bound=Bound.AT_MOST,
                limit=2,
                pairs=pairs,
            )


_LOOK_UPS: dict[str, Callable[[SqlJournal, int], object]] = {
    "what is known of 50": lambda journal, count: [
        journal.task(V1, f"task-{number}").load() for number in range(1, count, count // 50)
    ],
    "5 histories": lambda journal, count: [
        journal.history(f"task-{number}", "v1") for number in range(1, count, count // 5)
    ],
    "100 in a state": lambda journal, _: journal.tasks("v1", "paused"),
    "the next 100 in a state": lambda journal, count: journal.tasks("v1", "paused", after=count // 2),
    "what has changed": lambda journal, _: journal.changes("now"),
    "5 transitions": lambda journal, count: [
        journal.task(V1, f"task-{number}").add_report(_report("stopped")) for number in range(1, count, count // 5)
    ],
}

_TASKS = """
INSERT INTO lifecycle_tasks
    (lifecycle, declaration, task_id, state, version, revision, as_of, since, first_at, changed_at, last_status,
     last_channel, last_times)
SELECT 'v1', 1, 'task-' || i, CASE i % 10 WHEN 0 THEN 'paused' ELSE 'running' END, 1, 0, 0, 0, 0, 0, 'running', 'api', 1
FROM numbers
"""
_ENTRIES = """
INSERT INTO lifecycle_entries
    (xact, task, declaration, at, worker, status, channel, as_of, path, state, late, unconfirmed, times_before)
SELECT 0, id, 1, 0, 'benchmark', state, 'api', 0, '[]', state, false, false, 0 FROM lifecycle_tasks
"""
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)",
    "postgresql": "WITH numbers AS (SELECT generate_series(1, :count) AS i)",
}


def _fill(journal: SqlJournal, count: int) -> None:
    journal.declared.ensure([V1])  # declaration 1
    with journal.database.transaction() as connection:
        numbers = _NUMBERS[connection.dialect.name]
        connection.execute(sa.text(numbers + _TASKS), {"count": count})
        connection.execute(sa.text(_ENTRIES))
    with journal.database.transaction() as connection:
        connection.execute(sa.text("ANALYZE"))


def _report(status: str) -> Report:
    return Report(status, datetime.now(UTC))


def _alternating() -> Iterator[str]:
    while True:
        yield from _STATUSES


def _timed(act: Callable[[], object], operations: int) -> Measure:
    def measure() -> float:
        begun_s = time.perf_counter()
        act()
        return (time.perf_counter() - begun_s) / operations

    return measure
