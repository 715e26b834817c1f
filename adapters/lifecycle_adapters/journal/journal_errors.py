"""What can go wrong with a durable journal.

AdapterError
└── JournalError              .where: the database, without its password
    ├── JournalUnavailable    locked, full, gone: it may be back later, and nothing was half done
    ├── JournalReadOnly       it can be read and not written
    ├── NotAJournal           no database, or one that holds something else, or is damaged
    └── JournalTooNew         written by a newer version of this library
"""

from __future__ import annotations

from lifecycle.errors import AdapterError


class JournalError(AdapterError):
    """A durable journal that cannot do what it is asked for."""

    def __init__(self, what: str, *, where: str) -> None:
        self.where = where
        super().__init__(f"journal {where}: {what}")


class JournalUnavailable(JournalError):
    """It cannot be reached, is locked, or has no room. What was being written was not, or not known to be."""


class JournalReadOnly(JournalError):
    """It can be read and not written."""


class NotAJournal(JournalError):
    """It is no database, or holds no journal, or is damaged."""


class JournalVersionMismatch(JournalError):
    """A newer version of this library has written it."""
