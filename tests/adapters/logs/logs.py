"""Helpers for tests of reading: small logs in DuckDB's types, and the rows that `records` makes of them."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from lifecycle import V1_FULL
from lifecycle_adapters.logs.columns import Columns, TimeForm
from lifecycle_adapters.logs.duckdb_dialect import DUCKDB
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, identifier, literal
from lifecycle_adapters.logs.records import LogColumn, parts_of, records
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog, Source

RULES = Rules(V1_FULL)
AT = "2026-01-15T10:30:00Z"
AT_US = 1_768_473_000_000_000

_COLUMNS = "task, at_us, sequence, place, status, status_code, form, fault, detail"


@dataclass(frozen=True, slots=True)
class Record:
    """One row of `records`."""

    task: str | None
    at_us: int | None
    sequence: int | None
    place: int
    status: str | None
    status_code: int | None
    form: str | None
    fault: str | None
    detail: str | None


def records_in(bench: DuckDbSession) -> list[Record]:
    """All rows in the order of their places."""
    return [Record(*row) for row in bench.run(f"SELECT {_COLUMNS} FROM records ORDER BY place")]


def read(bench: DuckDbSession, columns: Columns, rows: Sequence[Mapping[str, str]]) -> list[Record]:
    """The records of rows whose values are expressions of DuckDB; all rows of a column are of one type."""
    names = ", ".join(map(identifier, rows[0]))
    values = ", ".join(f"({', '.join(row.values())}, {nth})" for nth, row in enumerate(rows))
    bench.run(f"CREATE OR REPLACE TABLE raw AS SELECT * FROM (VALUES {values}) AS log({names}, nth)")
    types = {name: kind for name, kind, *_ in bench.run("DESCRIBE raw")}
    parts = {part: LogColumn(identifier(name), types[name]) for part, name in parts_of(columns).items()}
    bench.run(f"CREATE OR REPLACE VIEW records AS {records('raw', parts, columns, RULES, DUCKDB, place='nth')}")
    return records_in(bench)


def at(bench: DuckDbSession, *values: str, time: TimeForm | None = None) -> list[Record]:
    """The records of rows with these times, expressions of DuckDB of one type."""
    return read(bench, Columns(time=time), [{"task_id": "'t'", "at": value, "status": "'running'"} for value in values])


@contextmanager
def offered(source: Source, columns: Columns | None = None) -> Generator[tuple[DuckDbSession, LoadedLog]]:
    """A source and its session, while it is open."""
    with DuckDbSession(threads=2) as bench:
        yield bench, source.load(bench, RULES, columns or Columns())


def write_parquet(path: str | os.PathLike[str], query: str) -> Path:
    """A Parquet file of what the query gives. The path is absolute to DuckDB, which takes "~" for another folder."""
    duckdb.execute(f"COPY ({query}) TO {literal(Path(path).absolute())} (FORMAT parquet)")
    return Path(path)


def row(task: str = "t", at: str = AT, status: str = "running") -> str:
    """A query for one row, all of its columns texts."""
    return f'SELECT {literal(task)} AS task_id, {literal(at)} AS "at", {literal(status)} AS status'


FAR = "more than 290,000 years from 1970"
"""The detail of a time for which DuckDB has no text."""


def far_times(unit: str) -> npt.NDArray[Any]:
    """A time of 2026 and one that microseconds of 64 bits do not reach, in a unit of NumPy."""
    far = np.datetime64(20_000_000, "Y")
    return np.array([np.datetime64("2026-01-15T10:30:00"), far], dtype=f"datetime64[{unit}]")


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly; in UTC where the moment has no zone."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
