"""Findings and rejects on the workbench: taken from whatever engine, given in order, written to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from adapters.logs import questions
from adapters.logs.places import ROW_BITS
from adapters.logs.rules import START, Rules
from adapters.logs.source import Intake
from adapters.logs.workbench import Workbench
from adapters.logs.writing import write
from lifecycle import Remark, Severity
from lifecycle.errors import MissingExtra

try:
    import numpy as np
except ImportError:
    raise MissingExtra("logs", needed_by="checking logs") from None

_BATCH = 50_000  # rows that are taken from another engine at once
_JUDGEMENTS = 200  # that are inserted by one statement
_ROW = f"place & {(1 << ROW_BITS) - 1}"


class Tables:
    """The relations `findings` and `rejects` of one checked log. `timed`: whether the log has times."""

    def __init__(self, bench: Workbench, rules: Rules, intake: Intake, *, timed: bool) -> None:
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
        judgements = iter(self._judgements())
        while some := list(islice(judgements, _JUDGEMENTS)):
            rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(some))
            run(f"INSERT INTO judged VALUES {rows}", [value for judgement in some for value in judgement])
        run("CREATE TABLE strange (task VARCHAR, at_us BIGINT, place BIGINT, previous INTEGER, status VARCHAR,"
            " ended INTEGER)")  # fmt: skip

    def _judgements(self) -> Iterator[tuple[Any, ...]]:
        for move, remark in self._rules.remarks.items():
            yield move.previous, move.word, int(move.ended), *_plain(remark)
        for previous in (START, *range(len(self._rules.words))):
            for ended in (False, True):
                yield previous, None, int(ended), *_plain(self._rules.remark_on_unknown(previous, ended=ended))

    def take_listed(self) -> None:
        """Take the rows of listed moves from the engine, which has counted."""
        if self._is_here:
            self._bench.run(f"CREATE VIEW listed AS {questions.rows_listed()}")
        else:
            self._bench.run("CREATE TABLE listed (task VARCHAR, at_us BIGINT, place BIGINT, previous INTEGER,"
                            " word INTEGER, ended INTEGER)")  # fmt: skip
            names = ("task", "at_us", "place", "previous", "word", "ended")
            self._take("listed", names, self._engine.rows(questions.rows_listed()))
        self._bench.run(f"""
CREATE VIEW findings AS
SELECT task, {self._at} AS "at", {self._at_us} AS at_us, place, found.previous, found.word, found.status, found.ended,
       before.state AS state_before, code, severity, possible
FROM (SELECT task, at_us, place, previous, listed.word, words.name AS status, ended FROM listed JOIN words USING (word)
      UNION ALL
      SELECT task, at_us, place, previous, NULL, status, ended FROM strange) found
JOIN judged ON judged.previous = found.previous AND judged.ended = found.ended
           AND judged.word IS NOT DISTINCT FROM found.word
LEFT JOIN words before ON before.word = found.previous""")

    def take_unknown(self) -> None:
        """Take the rows of unknown status from the engine."""
        question = questions.rows_unknown(self._rules)
        if self._is_here:
            self._bench.run(f"INSERT INTO strange {question}", doing="unknown statuses")
        else:
            names = ("task", "at_us", "place", "previous", "status", "ended")
            self._take("strange", names, self._engine.rows(question))

    def worst(self, most: int) -> tuple[tuple[str, int], ...]:
        """Return the tasks with the most bad rows, and how many."""
        rows = self._bench.run(
            "SELECT task, COUNT(*) AS bad FROM findings WHERE severity = ?"
            " GROUP BY task ORDER BY bad DESC, task LIMIT ?",
            [str(Severity.FINDING), most],
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
            self._bench.run(f"CREATE TABLE rejects AS {question}")
        else:
            self._bench.run("CREATE TABLE rejects (place BIGINT, fault VARCHAR, detail VARCHAR)")
            self._take("rejects", ("place", "fault", "detail"), self._engine.rows(question))
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


def _plain(remark: Remark[str]) -> tuple[str, str, list[str]]:
    return str(remark.code), str(remark.severity), [str(state) for state in remark.possible]


def _array(column: Sequence[Any]) -> Any:
    return np.array(column) if isinstance(column[0], int) else np.array(column, dtype=object)
