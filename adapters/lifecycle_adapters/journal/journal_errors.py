"""The errors of a durable journal.

AdapterError
└── JournalError                    .where: the database, without its password
    ├── JournalUnavailable          locked, full or gone: retry later; or closed here; no write was done in part
    ├── JournalReadOnly             it can be read but not written
    ├── NotAJournal                 it is not a database, contains other tables, or is damaged
    └── JournalVersionMismatch      another version of this library created its tables
"""

from __future__ import annotations

from lifecycle.errors import AdapterError


class JournalError(AdapterError):
    """A durable journal failed; `.where` is the database, without its password."""

    def __init__(self, what: str, *, where: str) -> None:
        self.where = where
        super().__init__(f"journal {where}: {what}")


class JournalUnavailable(JournalError):
    """The journal cannot be reached, is locked or closed, or has no space. A write under way may have happened."""


class JournalReadOnly(JournalError):
    """The journal can be read but not written."""


class NotAJournal(JournalError):
    """The file or database is not a journal, or is damaged."""


class JournalVersionMismatch(JournalError):
    """Another version of this library created its tables."""
