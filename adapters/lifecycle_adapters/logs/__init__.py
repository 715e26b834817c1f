"""Logs of millions of histories: judged by the rules of `Lifecycle.check`, counted, reported (extra `logs`).

`check_logs` is the door. What it does passes through these files, in this order:

    source.py       what can be checked: files.py (with text/), frames.py, postgres/, spark/
                    formats.py is what their names tell
    records.py      a log's own columns become the relation `records`; columns.py says what they may hold
    engine.py       what counts; workbench.py is DuckDB, which also puts every engine's findings in order
                    and spills by way of spill.py
    questions.py    what is asked of an engine, one SQL for all; rules.py judges what it counted
    checking.py     in which order it is asked; checked.py, what a user gets
    report.py       the answers folded into a report; page/ shows it, units.py has its numbers for people
    tables.py       findings and rejects one by one; writing.py puts them into files

What needs more than this extra is imported from its own module: `PostgresTable` from lifecycle_adapters.logs.postgres,
Spark from lifecycle_adapters.logs.spark. Lifecycles over arrays of codes (arrays.py) need nothing of all this.
"""

from __future__ import annotations

from importlib.util import find_spec

from lifecycle.errors import MissingExtra

if find_spec("duckdb") is None or find_spec("numpy") is None:
    raise MissingExtra("logs", needed_by="checking logs", or_else={"spark": "Spark"})

from lifecycle_adapters.logs.checked import CheckedLog, LogFinding, Reject
from lifecycle_adapters.logs.checking import check_logs
from lifecycle_adapters.logs.columns import Columns, Fault, TimeForm
from lifecycle_adapters.logs.errors import EngineFailed, UnreadableRows, UnusableLog
from lifecycle_adapters.logs.files import Files
from lifecycle_adapters.logs.frames import DuckTable, Frame
from lifecycle_adapters.logs.report import Dwell, Edge, Report

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
