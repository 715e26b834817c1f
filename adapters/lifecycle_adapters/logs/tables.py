"""Findings and rejects on the workbench: taken from whatever engine, given in order, written to files."""

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
from lifecycle_adapters.logs.rules import DirectlyFollows, Rules
from lifecycle_adapters.logs.source import LoadedLog
from lifecycle_adapters.logs.writers import write

_BATCH = 50_000  # rows that are taken from another engine at once
_JUDGEMENTS = 200  # that are inserted by one statement
_BAD = str(Severity.FINDING)
_LISTED = {
    "task": "VARCHAR", "at_us": "BIGINT", "place": "BIGINT", "previous": "INTEGER", "word": "INTEGER",
    "ended": "INTEGER",
}  # fmt: skip
_STRANGE = {
    "task": "VARCHAR", "at_us": "BIGINT", "place": "BIGINT", "previous": "INTEGER", "status": "VARCHAR",
    "ended": "INTEGER",
}  # fmt: skip
_REJECTED = {"place": "BIGINT", "fault": "VARCHAR", "detail": "VARCHAR"}
_ROW = f"place & {(1 << ROW_BITS) - 1}"


class Tables:
    """The relations `findings` and `rejects` of one checked log. `timed`: whether the log has times."""

    def __init__(self, bench: DuckDbSession, rules: Rules, intake: LoadedLog, *, timed: bool) -> None:
        self._bench = bench
        self._rules = rules
        self._engine = intake.engine
        self._is_here = intake.engine is bench
        self._at = "make_timestamp(at_us)::TIMESTAMPTZ" if timed else "NULL::TIMESTAMPTZ"
        self._at_us = "at_us" if timed else "NULL"
        self._has_rejects = False
        self._offer(intake.files)

    def _offer(self, files: Sequence[str]) -> None:
        run = self._bench.run
        run("CREATE TABLE files (file INTEGER, name VARCHAR)")
        self._take("files", ("file", "name"), enumerate(files))
        run("CREATE TABLE words (word INTEGER, name VARCHAR, state VARCHAR)")
        words = zip(range(len(self._rules.words)), self._rules.words, self._rules.states, strict=True)
        self._take("words", ("word", "name", "state"), words)
        run("CREATE TABLE judged (previous INTEGER, word INTEGER, ended INTEGER, code VARCHAR, severity VARCHAR,"
            " possible VARCHAR[])")  # fmt: skip

    def _judge(self) -> None:
        """Fill `judged` with what is remarked on the moves that occur; all moves would be the square of the states."""
        moves = self._bench.run(
            "SELECT DISTINCT previous, word, ended FROM listed_rows"
            " UNION SELECT DISTINCT previous, NULL, ended FROM strange_rows"
        )
        judgements = iter([(*move, *_plain(self._remark(*move))) for move in moves])
        while some := list(islice(judgements, _JUDGEMENTS)):
            rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(some))
            self._bench.run(f"INSERT INTO judged VALUES {rows}", [value for judged in some for value in judged])

    def _remark(self, previous: int, word: int | None, ended: int) -> Deviation[str]:
        if word is None:
            return self._rules.remark_on_unknown(previous, ended=bool(ended))
        return self._rules.remarks[DirectlyFollows(previous, word, bool(ended))]

    def take_findings(self, *, strange: bool) -> None:
        """Take the rows of listed moves, and with `strange` those of unknown status, from the engine."""
        self._take_answer("listed_rows", queries.rows_listed(), _LISTED)
        self._take_answer("strange_rows", queries.rows_strange() if strange else None, _STRANGE)
        self._judge()
        self._bench.run(f"""
CREATE VIEW findings AS
SELECT task, {self._at} AS "at", {self._at_us} AS at_us, place, found.previous, found.word, found.status, found.ended,
       before.state AS state_before, code, severity, possible
FROM (SELECT task, at_us, place, previous, word, words.name AS status, ended FROM listed_rows JOIN words USING (word)
      UNION ALL
      SELECT task, at_us, place, previous, NULL, status, ended FROM strange_rows) found
JOIN judged ON judged.previous = found.previous AND judged.ended = found.ended
           AND judged.word IS NOT DISTINCT FROM found.word
LEFT JOIN words before ON before.word = found.previous""")

    def _take_answer(self, name: str, question: str | None, columns: Mapping[str, str]) -> None:
        """Offer an answer of the engine under a name: a view where it lies here already, else a copy; None is empty."""
        if question is not None and self._is_here:
            self._bench.run(f"CREATE VIEW {name} AS {question}")
            return
        self._bench.run(f"CREATE TABLE {name} ({', '.join(f'{each} {kind}' for each, kind in columns.items())})")
        if question is not None:
            self._take(name, tuple(columns), self._engine.rows(question))

    def bad_tasks(self) -> int:
        """Return how many tasks have bad rows."""
        [(tasks,)] = self._bench.run("SELECT COUNT(DISTINCT task) FROM findings WHERE severity = ?", [_BAD])
        return int(tasks)

    def worst(self, most: int) -> tuple[tuple[str, int], ...]:
        """Return the tasks with the most bad rows, and how many."""
        rows = self._bench.run(
            "SELECT task, COUNT(*) AS bad FROM findings WHERE severity = ?"
            " GROUP BY task ORDER BY bad DESC, task LIMIT ?",
            [_BAD, most],
        )
        return tuple((task, bad) for task, bad in rows)

    def findings(self, *, most: int | None) -> Iterator[tuple[Any, ...]]:
        """Yield (task, at_us, place, previous, word, status, ended) in the order of places."""
        limit = "" if most is None else f" LIMIT {most}"
        return self._bench.rows(
            f"SELECT task, at_us, place, previous, word, status, ended FROM findings ORDER BY place{limit}"
        )

    def rejects(self, *, most: int | None) -> Iterator[tuple[int, str, str | None]]:
        """Yield (place, fault, detail) of the rows that could not be read, in the order of places."""
        self._take_rejects()
        limit = "" if most is None else f" LIMIT {most}"
        for row in self._bench.rows(f"SELECT place, fault, detail FROM rejects ORDER BY place{limit}"):
            yield row[0], row[1], row[2]

    def _take_rejects(self) -> None:
        if self._has_rejects:
            return
        question = "SELECT place, fault, detail FROM records WHERE fault IS NOT NULL"
        if self._is_here:
            self._bench.keep("rejects", question)
        else:
            self._take_answer("rejects", question, _REJECTED)
        self._has_rejects = True

    def write_findings(self, path: str | os.PathLike[str]) -> int:
        """See CheckedLog."""
        return write(self._bench, path, f"""
SELECT task, "at", files.name AS file, {_ROW} AS row, state_before AS previous, status, code, severity, possible, place
FROM findings JOIN files ON files.file = place >> {ROW_BITS}""", order="place")  # fmt: skip

    def write_rejects(self, path: str | os.PathLike[str]) -> int:
        """See CheckedLog."""
        self._take_rejects()
        return write(self._bench, path, f"""
SELECT files.name AS file, {_ROW} AS row, fault AS reason, detail, place
FROM rejects JOIN files ON files.file = place >> {ROW_BITS}""", order="place")  # fmt: skip

    def _take(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows in batches: as arrays, since one statement for each row takes a hundred times as long."""
        rows = iter(rows)
        while batch := list(islice(rows, _BATCH)):
            columns = zip(*batch, strict=True)
            arrays = {name: _array(column) for name, column in zip(names, columns, strict=True)}
            self._bench.register("taken", arrays)
            self._bench.run(f"INSERT INTO {table} SELECT * FROM taken")
            self._bench.unregister("taken")


def _plain(remark: Deviation[str]) -> tuple[str, str, list[str]]:
    return str(remark.code), str(remark.severity), [str(state) for state in remark.possible]


def _array(column: Sequence[Any]) -> Any:
    return np.array(column) if isinstance(column[0], int) else np.array(column, dtype=object)
