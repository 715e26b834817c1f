"""The output of `check`: the findings of a log one by one, and the rows that could not be read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lifecycle_adapters.cli.log_options import LogOptions
from lifecycle_adapters.cli.output import print_finding, print_json, say, shown
from lifecycle_adapters.logs.result import CheckedLog, LogFinding, Reject
from lifecycle_adapters.logs.units import count, counted, iso


class FindingList:
    """At most `most` findings and as many unreadable rows, in the order of the log, and how many there are of each."""

    def __init__(self, checked: CheckedLog, log: LogOptions, *, most: int) -> None:
        report = checked.report
        self._report = report
        self._most = most
        self._notes = sum(report.findings.values()) - report.bad_rows
        self._listed = report.bad_rows + (self._notes if log.notes else 0)
        self._unreadable = sum(report.unreadable.values())
        self._findings = checked.findings(most=most)
        # Without unreadable rows, the log need not be read again.
        self._rejects = checked.rejects(most=most) if self._unreadable else iter(())

    def print(self, *, as_json: bool) -> None:
        """Print the list for people or, as JSON, for programs."""
        if as_json:
            print_json(self._document())
        else:
            self._print_lines()

    def _print_lines(self) -> None:
        for file, why in self._report.broken.items():
            say(f"{shown(file)}: ", ("not read to its end", "bold red"), f": {shown(why)}")
        for reject in self._rejects:
            _print_reject(reject)
        if more := self._more(self._unreadable):
            say(f"... and {counted(more, 'more unreadable row')}")
        for found in self._findings:
            print_finding(f"{found.file}:{found.row}", found.task, found.severity, found.message)
        if more := self._more(self._listed):
            say(f"... and {count(more)} more: --show {self._listed} lists all, --findings FILE writes all to a file")
        report = self._report
        say(
            f"{counted(report.tasks, 'task')}, {counted(report.rows, 'row')}: {counted(report.bad_rows, 'error')},"
            f" {counted(self._notes, 'note')}, {counted(self._unreadable, 'unreadable row')}"
        )

    def _document(self) -> dict[str, Any]:
        report = self._report
        return {
            "lifecycle": report.lifecycle,
            "mode": report.mode,
            "channel": report.channel,
            "tasks": report.tasks,
            "rows": report.rows,
            "bad_rows": report.bad_rows,
            "notes": self._notes,
            "unreadable_rows": self._unreadable,
            "findings": [_entry(found) for found in self._findings],
            "more_findings": self._more(self._listed),
            "rejects": [asdict(reject) for reject in self._rejects],
            "more_rejects": self._more(self._unreadable),
            "broken": dict(report.broken),
        }

    def _more(self, number: int) -> int:
        return max(0, number - self._most)


def _print_reject(reject: Reject) -> None:
    detail = "" if reject.detail is None else f": {shown(reject.detail, longest=100)}"
    say(f"{shown(reject.file)}:{reject.row}: ", ("unreadable", "bold red"), f": {shown(reject.reason)}{detail}")


def _entry(found: LogFinding) -> dict[str, Any]:
    return {**asdict(found), "at": None if found.at is None else iso(found.at)}
