"""What can be wrong with a log as a whole. What is wrong with a row of it is a reject, and no error."""

from __future__ import annotations

from collections.abc import Sequence

from lifecycle.errors import AdapterError, shortened

_MOST_NAMED = 30  # a log can have thousands of columns


class UnusableLog(AdapterError):
    """A log cannot be checked: it is not there, is not what it was said to be, or lacks a column."""


class MissingColumns(UnusableLog):
    """A log lacks columns. `missing` are their names, `there` those of the columns that it has."""

    def __init__(self, missing: Sequence[str], *, there: Sequence[str], where: str = "") -> None:
        self.missing = tuple(missing)
        self.there = tuple(there)
        lacking, present = (", ".join(map(shortened, names)) for names in (missing, there[:_MOST_NAMED]))
        start, more = f"{where}: " if where else "", ", ..." if len(there) > _MOST_NAMED else ""
        super().__init__(f"{start}there is no column {lacking}; there are {present or 'none'}{more}")


class UnreadableRows(UnusableLog):
    """Rows or files could not be read and `strict` was asked for. `count` is how many."""

    def __init__(self, message: str, *, count: int) -> None:
        self.count = count
        super().__init__(message)


class EngineFailed(AdapterError):
    """The database that counts could not: no room on the disk, no connection, a query that was ended."""
