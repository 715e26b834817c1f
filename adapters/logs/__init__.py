"""Logs of millions of histories: judged by the rules of `Lifecycle.check`, counted, reported (extra `logs`).

`check_logs` is the door; checking.py says what is asked of an engine and in which order, questions.py
asks it in SQL. What needs more than this extra is imported from its own module: `PostgresTable` from
adapters.logs.postgres, Spark from adapters.logs.spark. Lifecycles over arrays of codes are in
adapters.logs.arrays, the page of a report in adapters.logs.page.
"""

from __future__ import annotations

from importlib.util import find_spec

from lifecycle.errors import MissingExtra

if find_spec("duckdb") is None or find_spec("numpy") is None:
    raise MissingExtra("logs", needed_by="checking logs")

from adapters.logs.checking import CheckedLog, LogFinding, Reject, check_logs
from adapters.logs.columns import Columns, Fault, TimeForm
from adapters.logs.errors import EngineFailed, UnreadableRows, UnusableLog
from adapters.logs.files import Files
from adapters.logs.frames import DuckTable, Frame
from adapters.logs.report import Dwell, Edge, Report

__all__ = [
    "CheckedLog",
    "Columns",
    "DuckTable",
    "Dwell",
    "Edge",
    "EngineFailed",
    "Fault",
    "Files",
    "Frame",
    "LogFinding",
    "Reject",
    "Report",
    "TimeForm",
    "UnreadableRows",
    "UnusableLog",
    "check_logs",
]
