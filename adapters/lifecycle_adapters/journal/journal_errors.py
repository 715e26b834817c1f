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
    """It cannot be reached, is locked or closed, or has no space. The write under way did not happen, or may have."""


class JournalReadOnly(JournalError):
    """It can be read but not written."""


class NotAJournal(JournalError):
    """It is not a database, contains no journal, or is damaged."""


class JournalVersionMismatch(JournalError):
    """Another version of this library created its tables."""
