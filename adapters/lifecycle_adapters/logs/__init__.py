"""Logs of millions of histories: judged by the rules of `Lifecycle.check`, counted, reported (extra `logs`).

`check_logs` is the door. What it does passes through these files, in this order:

    source.py       what can be checked: files.py (with text/), frames.py, postgres/, spark/
                    formats.py is what their names tell, named_source.py what the texts of a command line mean
    records.py      a log's own columns become the relation `records`; columns.py says what they may hold
    engine.py       what counts; duckdb_session.py is DuckDB, which also puts every engine's findings in order
                    and spills by way of spill.py
    queries.py    what is asked of an engine, one SQL for all; rules.py judges what it counted
    check.py     in which order it is asked; result.py, what a user gets
    report.py       the answers folded into a report; sections.py are its tables, page/ shows them, units.py has
                    its numbers for people
    tables.py       findings and rejects one by one; writers.py puts them into files,
                    kept_rejects.py into one that nobody asked for

What needs more than this extra is imported from its own module: `PostgresTable` from lifecycle_adapters.logs.postgres,
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
    "check_logs",
]
