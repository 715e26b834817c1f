"""The relations `judged_pairs`, `findings` and `rejects`, in DuckDB for every engine: in order, or written to files.

files, statuses              names and states by their numbers
listed_rows, unknown_rows    rows of the engine's pair_counts and unknown_rows: views of them if it is DuckDB
judged_pairs                 the deviation of each pair that occurs in these rows
findings                     a view of all of these: each row with its pair's deviation
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from lifecycle import Deviation, Severity
from lifecycle_adapters.logs import queries
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.places import ROW_BITS
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog
from lifecycle_adapters.logs.writers import write

_BATCH = 50_000  # rows that are copied from another engine at once
_MOST_PAIRS = 200  # in one INSERT
_BAD = str(Severity.ERROR)
_LISTED = {
    "task": "VARCHAR", "at_us": "BIGINT", "place": "BIGINT", "previous": "INTEGER",
    "status_code": "INTEGER", "ended": "INTEGER",
}  # fmt: skip
_UNKNOWN = {
    "task": "VARCHAR", "at_us": "BIGINT", "place": "BIGINT", "previous": "INTEGER", "status": "VARCHAR",
    "ended": "INTEGER",
}  # fmt: skip
_REJECTED = {"place": "BIGINT", "fault": "VARCHAR", "detail": "VARCHAR"}
_ROW = f"place & {(1 << ROW_BITS) - 1}"


class Tables:
    """The relations `findings` and `rejects` of one checked log. `timed`: whether the log has times."""

    def __init__(self, session: DuckDbSession, rules: Rules, loaded: LoadedLog, *, timed: bool) -> None:
        self._session = session
        self._rules = rules
        self._engine = loaded.engine
        self._is_duckdb = loaded.engine is session
        self._at = "make_timestamp(at_us)::TIMESTAMPTZ" if timed else "NULL::TIMESTAMPTZ"
        self._at_us = "at_us" if timed else "NULL"
        self._has_rejects = False
        self._create(loaded.files)

    def _create(self, files: Sequence[str]) -> None:
        run = self._session.run
        run("CREATE TABLE files (file INTEGER, name VARCHAR)")
        self._insert("files", ("file", "name"), enumerate(files))
        run("CREATE TABLE statuses (status_code INTEGER, name VARCHAR, state VARCHAR)")
        statuses = zip(range(len(self._rules.statuses)), self._rules.statuses, self._rules.states, strict=True)
        self._insert("statuses", ("status_code", "name", "state"), statuses)
        run("CREATE TABLE judged_pairs (previous INTEGER, status_code INTEGER, ended INTEGER, code VARCHAR,"
            " severity VARCHAR, possible VARCHAR[])")  # fmt: skip

    def _judge(self) -> None:
        """Fill `judged_pairs` with the pairs that occur; all pairs would be the square of the statuses."""
        pairs = self._session.run(
            "SELECT DISTINCT previous, status_code, ended FROM listed_rows"
            " UNION SELECT DISTINCT previous, NULL, ended FROM unknown_listed"
        )
        judged = iter([(*pair, *_plain(self._rules.reported(*pair[:2], ended=bool(pair[2])))) for pair in pairs])
        while some := list(islice(judged, _MOST_PAIRS)):
            rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(some))
            self._session.run(f"INSERT INTO judged_pairs VALUES {rows}", [value for pair in some for value in pair])

    def create_findings(self, *, unknown: bool) -> None:
        """Make `findings` of the rows of listed pairs, and with `unknown` of those of unknown status."""
        self._copy("listed_rows", queries.listed_rows(), _LISTED)
        self._copy("unknown_listed", queries.unknown_rows_listed() if unknown else None, _UNKNOWN)
        self._judge()
        self._session.run(f"""
CREATE VIEW findings AS
SELECT task, {self._at} AS "at", {self._at_us} AS at_us, place, found.previous, found.status_code, found.status,
       found.ended,
       before.state AS state_before, code, severity, possible
FROM (SELECT task, at_us, place, previous, status_code, statuses.name AS status, ended
      FROM listed_rows JOIN statuses USING (status_code)
      UNION ALL
      SELECT task, at_us, place, previous, NULL, status, ended FROM unknown_listed) found
JOIN judged_pairs judged ON judged.previous = found.previous AND judged.ended = found.ended
                        AND judged.status_code IS NOT DISTINCT FROM found.status_code
LEFT JOIN statuses before ON before.status_code = found.previous""")

    def _copy(self, name: str, query: str | None, columns: Mapping[str, str]) -> None:
        """Copy the result of an engine's query, or make a view if the engine is DuckDB; for None, an empty table."""
        if query is not None and self._is_duckdb:
            self._session.run(f"CREATE VIEW {name} AS {query}")
            return
        self._session.run(f"CREATE TABLE {name} ({', '.join(f'{each} {kind}' for each, kind in columns.items())})")
        if query is not None:
            self._insert(name, tuple(columns), self._engine.rows(query))

    def bad_tasks(self) -> int:
        """Return the number of tasks with errors."""
        [(tasks,)] = self._session.run("SELECT COUNT(DISTINCT task) FROM findings WHERE severity = ?", [_BAD])
        return int(tasks)

    def worst(self, most: int) -> tuple[tuple[str, int], ...]:
        """Return the tasks with the most errors, and the number of errors of each."""
        rows = self._session.run(
            "SELECT task, COUNT(*) AS bad FROM findings WHERE severity = ?"
            " GROUP BY task ORDER BY bad DESC, task LIMIT ?",
            [_BAD, most],
        )
        return tuple((task, bad) for task, bad in rows)

    def findings(self, *, most: int | None) -> Iterator[tuple[Any, ...]]:
        """Yield (task, at_us, place, previous, status_code, status, ended) in the order of places."""
        limit = "" if most is None else f" LIMIT {most}"
        return self._session.rows(
            f"SELECT task, at_us, place, previous, status_code, status, ended FROM findings ORDER BY place{limit}"
        )

    def rejects(self, *, most: int | None) -> Iterator[tuple[int, str, str | None]]:
        """Yield (place, fault, detail) of the rows that could not be read, in the order of places."""
        self._create_rejects()
        limit = "" if most is None else f" LIMIT {most}"
        for row in self._session.rows(f"SELECT place, fault, detail FROM rejects ORDER BY place{limit}"):
            yield row[0], row[1], row[2]

    def _create_rejects(self) -> None:
        if self._has_rejects:
            return
        query = "SELECT place, fault, detail FROM records WHERE fault IS NOT NULL"
        if self._is_duckdb:
            self._session.create_table("rejects", query)
        else:
            self._copy("rejects", query, _REJECTED)
        self._has_rejects = True

    def write_findings(self, path: str | os.PathLike[str]) -> int:
        """Write the findings to a file and return how many (see CheckedLog)."""
        return write(self._session, path, f"""
SELECT task, "at", files.name AS file, {_ROW} AS row, state_before AS previous, status, code, severity, possible, place
FROM findings JOIN files ON files.file = place >> {ROW_BITS}""", order="place")  # fmt: skip

    def write_rejects(self, path: str | os.PathLike[str]) -> int:
        """Write the rejects to a file and return how many (see CheckedLog)."""
        self._create_rejects()
        return write(self._session, path, f"""
SELECT files.name AS file, {_ROW} AS row, fault AS reason, detail, place
FROM rejects JOIN files ON files.file = place >> {ROW_BITS}""", order="place")  # fmt: skip

    def _insert(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows in batches: as arrays, because one statement for each row takes a hundred times as long."""
        rows = iter(rows)
        while batch := list(islice(rows, _BATCH)):
            columns = zip(*batch, strict=True)
            arrays = {name: _array(column) for name, column in zip(names, columns, strict=True)}
            self._session.register("batch", arrays)
            self._session.run(f"INSERT INTO {table} SELECT * FROM batch")
            self._session.unregister("batch")


def _plain(deviation: Deviation[str]) -> tuple[str, str, list[str]]:
    return str(deviation.code), str(deviation.severity), [str(state) for state in deviation.possible]


def _array(column: Sequence[Any]) -> Any:
    return np.array(column) if isinstance(column[0], int) else np.array(column, dtype=object)
