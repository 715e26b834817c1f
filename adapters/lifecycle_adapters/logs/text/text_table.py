"""The table `text_records`: the rows of text files, which go from Python into DuckDB."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lifecycle_adapters.logs.columns import ISO, ISO_NAIVE, NUMBER, Columns, RejectReason, require_columns
from lifecycle_adapters.logs.duckdb_dialect import DUCKDB
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, literal
from lifecycle_adapters.logs.log_errors import MissingColumn, UnusableLog
from lifecycle_adapters.logs.places import place_of
from lifecycle_adapters.logs.records import LogColumn, parts_of, records
from lifecycle_adapters.logs.rules import Rules

CREATE = """
CREATE TABLE text_records (task VARCHAR, at_us BIGINT, sequence BIGINT, place BIGINT, status VARCHAR,
                           status_code INTEGER, form VARCHAR, fault VARCHAR, detail VARCHAR)"""


class TextTable:
    """Inserts the rows of one file into `text_records`."""

    def __init__(self, session: DuckDbSession, rules: Rules, columns: Columns, number: int, path: str) -> None:
        self._session = session
        self._rules = rules
        self._number = number
        self.path = path
        self.columns = columns
        self.parts = parts_of(columns)
        """The name of the column that holds each part of a record. A column may hold several."""

    @contextmanager
    def registered(self, lines: Sequence[int] | range, **texts: Sequence[str]) -> Generator[None]:
        """Register texts as the relation `lines`, with the place of the line that each begins on."""
        places = np.arange(lines.start, lines.stop) if isinstance(lines, range) else np.array(lines)
        arrays = {name: np.array(column, dtype=object) for name, column in texts.items()}
        self._session.register("lines", {"place": places + place_of(self._number, 0), **arrays})
        try:
            yield
        finally:
            self._session.unregister("lines")

    def insert(self, relation: str, kind: str, *, is_quoted: bool = False) -> int:
        """Insert the rows of a relation with a column of type `kind` for each part, and return how many.

        `is_quoted`: the texts were in quotes, which the details of rejects show.
        """
        columns = {part: f'"{part}"' for part in self.parts}
        parts = {
            part: LogColumn(cell, kind, f"concat('\"', {cell}, '\"')" if is_quoted else None)
            for part, cell in columns.items()
        }
        query = records(relation, parts, self.columns, self._rules, DUCKDB, place="place")
        [(count,)] = self._session.run(f"INSERT INTO text_records {query}")
        return int(count)

    def lines_left_out(self, condition: str, *, since: int) -> list[int]:
        """Return the lines of `lines`, in their order, that meet the condition and were not inserted."""
        found = self._session.run(
            f"SELECT place FROM lines WHERE {condition} AND place NOT IN ({self.inserted(since)}) ORDER BY place"
        )
        return [row[0] - place_of(self._number, 0) for row in found]

    def of_rows(self, aggregates: str, *, since: int) -> tuple[Any, ...]:
        """Return aggregates of the lines of `lines` that were inserted; the first line of `lines` is `since`."""
        return self._session.run(f"SELECT {aggregates} FROM lines WHERE place IN ({self.inserted(since)})")[0]

    def inserted(self, since: int) -> str:
        """Return the query for the places of the lines from `since` on that were inserted."""
        return f"SELECT place FROM text_records WHERE place >= {place_of(self._number, since)}"

    def reject(self, faults: Sequence[tuple[int, str]]) -> None:
        """Insert lines that are not rows, with the reasons."""
        if faults:
            lines, reasons = zip(*faults, strict=True)
            with self.registered(lines, reason=reasons):
                self._session.run(
                    "INSERT INTO text_records (place, fault, detail)"
                    f" SELECT place, {literal(RejectReason.NOT_A_ROW)}, reason FROM lines"
                )

    def require(self, names: Sequence[str]) -> None:
        """Raise UnusableLog unless the columns are among these, each once."""
        require_columns(names, self.columns, of=self.path)

    def require_header(self, cells: Sequence[str]) -> None:
        """Raise UnusableLog unless a header has the columns, each once; the message says if it looks like data."""
        try:
            self.require(cells)
        except UnusableLog as error:
            if {*cells} & {*self.parts.values()} or not any(map(self._is_data, cells)):
                raise
            message = f"{error}; is the header missing? The first row must name the columns"
            if isinstance(error, MissingColumn):
                raise MissingColumn(message, name=error.name, known=error.known) from None
            raise UnusableLog(message) from None

    def _is_data(self, cell: str) -> bool:
        """Return whether a cell is a time, a number or a status, as names of columns are not."""
        return cell in self._rules.statuses or any(re.fullmatch(each, cell) for each in (ISO, ISO_NAIVE, NUMBER))
