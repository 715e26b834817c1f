"""What came of checking a log: its report, and findings and rejects one by one, in memory or in files.

What is asked, and in which order, is check.py's; how findings lie on the workbench, tables.py's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from lifecycle import FindingCode, Severity
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.places import file_and_row
from lifecycle_adapters.logs.report import LogReport, moment
from lifecycle_adapters.logs.rules import DirectlyFollows, Rules
from lifecycle_adapters.logs.source import LoadedLog
from lifecycle_adapters.logs.tables import Tables


@dataclass(frozen=True, slots=True)
class LogFinding:
    """One remark on one row of a log; see `Finding` for what `check` says of one history.

    `at` is None in a log without times. `row` is the line of a text file, from 1, on which the row begins, and
    elsewhere the number of the row, from 1.
    """

    task: str
    at: datetime | None
    file: str
    row: int
    code: FindingCode
    severity: Severity
    previous: str | None
    status: str
    possible: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be read; `reason` is a value of `RejectReason`, `detail` the part at fault."""

    file: str
    row: int
    reason: str
    detail: str | None


class CheckedLog:
    """What came of checking a log. Close it, or use it as a context manager: its findings lie in a temporary place."""

    def __init__(
        self, report: LogReport, bench: DuckDbSession, rules: Rules, intake: LoadedLog, tables: Tables
    ) -> None:
        self.report = report
        self._bench = bench
        self._rules = rules
        self._intake = intake
        self._tables = tables

    def findings(self, *, most: int | None = None) -> Iterator[LogFinding]:
        """Yield what is remarkable, in the order of the log: file by file, row by row; at most `most` of it."""
        for task, at_us, place, previous, word, status, ended in self._tables.findings(most=most):
            file, row = file_and_row(place)
            before = self._rules.state_of(previous)
            if word is None:
                remark = self._rules.remark_on_unknown(previous, ended=bool(ended))
            else:
                remark = self._rules.remarks[DirectlyFollows(previous, word, bool(ended))]
            yield LogFinding(
                task,
                None if at_us is None else moment(at_us),
                self._intake.files[file],
                row,
                remark.code,
                remark.severity,
                before,
                status,
                remark.possible,
                self._rules.lifecycle.describe_deviation(remark, before, status),
            )

    def rejects(self, *, most: int | None = None) -> Iterator[Reject]:
        """Yield the rows that could not be read, in the order of the log; at most `most` of them."""
        for place, reason, detail in self._tables.rejects(most=most):
            file, row = file_and_row(place)
            yield Reject(self._intake.files[file], row, reason, detail)

    def write_findings(self, path: str | os.PathLike[str]) -> int:
        """Write all findings to a Parquet, CSV or JSON Lines file, as its name says, and return how many.

        The columns are those of `LogFinding` without the message. A name that ends in .gz or .zst besides is
        compressed. The file is there whole or not at all.

        Raises:
            ValueError: the name does not tell a format.
            EngineFailed: it cannot be written.
        """
        return self._tables.write_findings(path)

    def write_rejects(self, path: str | os.PathLike[str]) -> int:
        """Write all rows that could not be read, as `write_findings` does; the columns are those of `Reject`."""
        return self._tables.write_rejects(path)

    def close(self) -> None:
        """Remove what lies in temporary places."""
        self._bench.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
