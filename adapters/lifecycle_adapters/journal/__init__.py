"""The durable record of tasks and commands, in SQLite or PostgreSQL (extra `journal`)."""

from __future__ import annotations

from importlib.util import find_spec

from lifecycle.errors import MissingExtra

if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
    raise MissingExtra("journal", needed_by="the durable journal", or_else={"postgres": "PostgreSQL"})

from lifecycle_adapters.journal.creating import SqlCreates
from lifecycle_adapters.journal.errors import (
    JournalError,
    JournalReadOnly,
    JournalTooNew,
    JournalUnavailable,
    NotAJournal,
)
from lifecycle_adapters.journal.integrity import Damage, DamageCode
from lifecycle_adapters.journal.journal import SqlJournal, SqlLog
from lifecycle_adapters.journal.reading import (
    Changes,
    Page,
    Recorded,
    RecordedCommand,
    RecordedCreate,
    RecordedReport,
    RecordedUnreadable,
    TaskRow,
)

__all__ = [
    "Changes",
    "Damage",
    "DamageCode",
    "JournalError",
    "JournalReadOnly",
    "JournalTooNew",
    "JournalUnavailable",
    "NotAJournal",
    "Page",
    "Recorded",
    "RecordedCommand",
    "RecordedCreate",
    "RecordedReport",
    "RecordedUnreadable",
    "SqlCreates",
    "SqlJournal",
    "SqlLog",
    "TaskRow",
]
