"""What can be wrong with a log as a whole. What is wrong with a row of it is a reject, and no error."""

from __future__ import annotations

from lifecycle.errors import AdapterError


class UnusableLog(AdapterError):
    """A log cannot be checked: it is not there, is not what it was said to be, or lacks a column."""


class UnreadableRows(UnusableLog):
    """Rows or files could not be read and `strict` was asked for. `count` is how many."""

    def __init__(self, message: str, *, count: int) -> None:
        self.count = count
        super().__init__(message)


class EngineFailed(AdapterError):
    """The database that counts could not: no room on the disk, no connection, a query that was ended."""
