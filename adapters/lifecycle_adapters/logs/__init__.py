"""Check logs of millions of histories by the rules of `Lifecycle.check`, and report their counts (extra `logs`).

Call `check_logs`. The files in the order in which it uses them:

    source.py       a log that can be loaded: files.py (with text/), frames.py, postgres/, spark/; formats.py has the
                    formats by suffix, named_source.py the source for the texts of a command line
    records.py      the query that makes the relation `records` of a log's columns (columns.py), in the SQL of a
                    dialect.py: duckdb_dialect.py, postgres/postgres_dialect.py, spark/spark_dialect.py
    engine.py       a database that runs the queries; duckdb_session.py is DuckDB, and spill.py its directory
    queries.py      the queries, one SQL for all engines, and a table of the relations and their sources
    rules.py        the lifecycle's verdict on each pair of statuses
    check.py        runs the queries in their order and returns a result.py
    report.py       the report, added up from results of queries; sections.py has its tables, page/ shows them as HTML,
                    units.py formats numbers and times
    tables.py       findings and rejects one by one; writers.py writes them to files, kept_rejects.py to one that
                    no option names

Import a source that needs another extra from its own module: `PostgresTable` from lifecycle_adapters.logs.postgres,
Spark from lifecycle_adapters.logs.spark.
"""

from __future__ import annotations

from importlib.util import find_spec

from lifecycle.errors import MissingExtra

if find_spec("duckdb") is None or find_spec("numpy") is None:
    raise MissingExtra("logs", needed_by="checking logs", or_else={"spark": "Spark"})

from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.columns import Columns, RejectReason, TimeForm
from lifecycle_adapters.logs.files import Files
from lifecycle_adapters.logs.frames import DuckTable, Frame
from lifecycle_adapters.logs.log_errors import (
    EngineFailed,
    MissingColumn,
    NoReadableRows,
    UnknownFormat,
    UnreadableRows,
    UnusableLog,
    WrongDelimiter,
    WrongEncoding,
    WrongPattern,
)
from lifecycle_adapters.logs.report import LogReport, ObservedTransition, TimeInState
from lifecycle_adapters.logs.result import CheckedLog, LogFinding, Reject

__all__ = [
    "CheckedLog",
    "Columns",
    "DuckTable",
    "EngineFailed",
    "Files",
    "Frame",
    "LogFinding",
    "LogReport",
    "MissingColumn",
    "NoReadableRows",
    "ObservedTransition",
    "Reject",
    "RejectReason",
    "TimeForm",
    "TimeInState",
    "UnknownFormat",
    "UnreadableRows",
    "UnusableLog",
    "WrongDelimiter",
    "WrongEncoding",
    "WrongPattern",
    "check_logs",
]
