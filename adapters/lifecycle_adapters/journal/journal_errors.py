"""The errors of a durable journal.

AdapterError
└── JournalError                    .where: the database, without its password
    ├── JournalUnavailable          locked, full or gone: retry later; or closed here; no write was done in part
    ├── JournalReadOnly             it can be read but not written
    ├── NotAJournal                 it is not a database, contains other tables, or is damaged
    ├── JournalVersionMismatch      another version of this library created its tables
    └── UnreadableReports           .tasks: an export is complete but for these
"""

from __future__ import annotations

from collections.abc import Mapping

from lifecycle.errors import AdapterError, shortened


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


class UnreadableReports(JournalError):
    """Reports cannot be read; all others were yielded before. `.tasks` has their number by the id of their task.

    The id is empty if it cannot be read itself.
    """

    def __init__(self, tasks: Mapping[str, int], *, where: str) -> None:
        self.tasks = dict(tasks)
        number = sum(self.tasks.values())
        named = [shortened(each) if each else "a task without a readable id" for each in self.tasks]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        of = f"{', '.join(named[:_MOST_NAMED])}{more}"
        what = f"{number} report{'' if number == 1 else 's'} cannot be read, of {of}; run `lifecycle journal check`"
        super().__init__(what, where=where)


_MOST_NAMED = 10  # tasks in a message
