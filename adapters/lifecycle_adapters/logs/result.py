"""The result of a check: its report, and findings and rejects one by one, in memory or in files.

Queries and their order are in check.py, the relations of findings and rejects in tables.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from lifecycle import FindingCode, Severity
from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.places import file_and_row
from lifecycle_adapters.logs.report import LogReport, moment
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog
from lifecycle_adapters.logs.tables import Tables


@dataclass(frozen=True, slots=True)
class LogFinding:
    """A finding about one row of a log; `Finding` is the same about one history.

    `at` is None in a log without times. `row` is the line of a text file, from 1, on which the row begins; in
    other logs it is the number of the row, from 1.
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
    """A row that could not be read; `reason` is a value of `RejectReason`, `detail` the part at fault.

    A number of JSON Lines is in its usual form: `1e3` is 1000.0.
    """

    file: str
    row: int
    reason: str
    detail: str | None


_MOST = 2**63 - 1  # of LIMIT


def _require_most(most: int | None) -> None:
    if most is not None:
        require_number(most, "most", kind=int, at_least=0, at_most=_MOST)


class CheckedLog:
    """The result of a check. Close it, or use it as a context manager: its findings are in temporary files."""

    def __init__(
        self, report: LogReport, session: DuckDbSession, rules: Rules, loaded: LoadedLog, tables: Tables
    ) -> None:
        self.report = report
        self._session = session
        self._rules = rules
        self._loaded = loaded
        self._tables = tables

    def findings(self, *, most: int | None = None) -> Iterator[LogFinding]:
        """Yield the findings in the order of the log: file by file, row by row; at most `most` of them.

        Raises:
            TypeError, ValueError: at once, if `most` is not a whole number from 0 to 2**63 - 1.
            EngineFailed: the log was closed.
        """
        _require_most(most)
        return self._findings(most)

    def _findings(self, most: int | None) -> Iterator[LogFinding]:
        for task, at_us, place, previous, code, status, ended in self._tables.findings(most=most):
            file, row = file_and_row(place)
            before = self._rules.state_of(previous)
            deviation = self._rules.reported(previous, code, ended=bool(ended))
            yield LogFinding(
                task,
                None if at_us is None else moment(at_us),
                self._loaded.files[file],
                row,
                deviation.code,
                deviation.severity,
                before,
                status,
                deviation.possible,
                self._rules.lifecycle.describe_deviation(deviation, before, status),
            )

    def rejects(self, *, most: int | None = None) -> Iterator[Reject]:
        """Yield the rows that could not be read, in the order of the log; at most `most` of them.

        Raises the errors of `findings`.
        """
        _require_most(most)
        return self._rejects(most)

    def _rejects(self, most: int | None) -> Iterator[Reject]:
        for place, reason, detail in self._tables.rejects(most=most):
            file, row = file_and_row(place)
            yield Reject(self._loaded.files[file], row, reason, detail)

    def write_findings(self, path: str | os.PathLike[str]) -> int:
        """Write all findings to a Parquet, CSV or JSON Lines file, by the suffix of its name, and return their number.

        The columns are those of `LogFinding` without the message. A name that also ends in .gz or .zst is compressed.
        The file is written atomically.

        Raises:
            ValueError: no format has such a name.
            TypeError: `path` is neither text nor a Path.
            EngineFailed: it cannot be written, or the log was closed.
        """
        return self._tables.write_findings(path)

    def write_rejects(self, path: str | os.PathLike[str]) -> int:
        """Write all rows that could not be read, as `write_findings` does; the columns are those of `Reject`."""
        return self._tables.write_rejects(path)

    def close(self) -> None:
        """Remove the temporary files. The report stays; findings and rejects can no longer be read."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
