"""The durable journal of tasks and commands, in SQLite or PostgreSQL (extra `journal`)."""

from __future__ import annotations

from importlib.util import find_spec

from lifecycle.errors import MissingExtra

if find_spec("sqlalchemy") is None:
    raise MissingExtra("journal", needed_by="the durable journal", or_else={"postgres": "PostgreSQL"})

from lifecycle_adapters.journal.integrity import Damage, DamageCode
from lifecycle_adapters.journal.journal_errors import (
    JournalError,
    JournalReadOnly,
    JournalUnavailable,
    JournalVersionMismatch,
    NotAJournal,
    UnreadableReports,
)
from lifecycle_adapters.journal.journal_reader import (
    Changes,
    Page,
    Recorded,
    RecordedCommand,
    RecordedCreate,
    RecordedReport,
    RecordedUnreadable,
    TaskRow,
)
from lifecycle_adapters.journal.recorded_declarations import RecordedDeclaration
from lifecycle_adapters.journal.sql_creates import SqlCreates
from lifecycle_adapters.journal.sql_journal import SqlJournal, SqlTaskJournal

__all__ = [
    "Changes",
    "Damage",
    "DamageCode",
    "JournalError",
    "JournalReadOnly",
    "JournalUnavailable",
    "JournalVersionMismatch",
    "NotAJournal",
    "Page",
    "Recorded",
    "RecordedCommand",
    "RecordedCreate",
    "RecordedDeclaration",
    "RecordedReport",
    "RecordedUnreadable",
    "SqlCreates",
    "SqlJournal",
    "SqlTaskJournal",
    "TaskRow",
    "UnreadableReports",
]
