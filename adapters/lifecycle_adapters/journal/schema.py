"""The journal's tables, as this version of the library reads and writes them.

    lifecycle_version     one row: the version of this file that created the tables
    lifecycle_declarations  one row per digest: the declarations by which entries were judged
    lifecycle_servers     one row per URL of the server that has a lifecycle's tasks
    lifecycle_tasks       one row per task: its current record
    lifecycle_commands    one row per command: its current record, and the worker that has claimed it
    lifecycle_entries     append-only: every report, every event of a command
    lifecycle_creates     one row per create: its fields, its current record, its worker, the task that it made
    lifecycle_deliveries  every webhook that was accepted

A time is a whole number of microseconds since 1970, UTC: the databases differ in their date types. A
text may contain any character (ids and statuses are foreign).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import UserDefinedType

VERSION = "3"  # of these tables; a database that another version created is refused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class UnreadableValue:
    """A value that is not of its column's type; returned, not raised, so that it does not end a batch of rows."""

    why: str

    def __str__(self) -> str:
        return self.why


# Not TypeDecorators: those call three functions for each value, and a batch has tens of thousands.


class Moment(UserDefinedType[datetime]):
    """A point in time, aware in Python, microseconds since 1970 in the database."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the SQL name of the type."""
        return "BIGINT"

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the function that converts a value for the database."""
        return _write_moment

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the function that converts a value from the database."""
        return _read_moment


class AnyText(UserDefinedType[str]):
    r"""A text of any characters, also those that a database refuses.

    PostgreSQL accepts no NUL, and UTF-8 no lone surrogate; they are escaped with a backslash, as is
    the backslash itself.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the SQL name of the type."""
        return "TEXT"

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the function that converts a value for the database."""
        return _write_text

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the function that converts a value from the database."""
        return _read_text


class Count(UserDefinedType[int]):
    """A whole number. SQLite stores a value of any type, whatever the type of its column."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the SQL name of the type."""
        return "BIGINT"

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the function that converts a value from the database."""
        return _read_count if dialect.name == "sqlite" else None


class Names(UserDefinedType[list[str]]):
    """A list of names as JSON. The same few lists recur, so that their JSON is cached."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the SQL name of the type."""
        return "TEXT"

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the function that converts a value for the database."""
        return _write_names

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the function that converts a value from the database."""
        return _read_names


_UNWRITABLE = re.compile("[\0\\\\\ud800-\udfff]")
_WRITTEN = re.compile(r"\\([0-9a-f]{4})")


def _write_moment(value: datetime | None) -> int | None:
    return None if value is None else (value - EPOCH) // _MICROSECOND


def _read_moment(value: int | None) -> datetime | UnreadableValue | None:
    try:
        return None if value is None else EPOCH + timedelta(microseconds=value)
    except (TypeError, OverflowError):
        return UnreadableValue(f"{value!r:.80} is not a time")


@lru_cache(maxsize=1024)
def _written_names(names: tuple[str, ...]) -> str:
    return json.dumps(names)


def _write_names(value: Sequence[str] | None) -> str | None:
    return None if value is None else _written_names(tuple(value))


def _read_names(value: str | None) -> list[str] | UnreadableValue | None:
    return None if value is None else read_json(value)


def read_json(value: str | bytes) -> Any:
    """Parse JSON; return `UnreadableValue` if it is not valid."""
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError) as error:
        return UnreadableValue(f"{value!r:.80} is not JSON: {error}")


def _read_count(value: int | None) -> int | UnreadableValue | None:
    return value if value is None or type(value) is int else UnreadableValue(f"{value!r:.80} is not a whole number")


def _write_text(value: str | None) -> str | None:
    return value and _UNWRITABLE.sub(lambda match: f"\\{ord(match[0]):04x}", value)


def _read_text(value: str | None) -> str | UnreadableValue | None:
    try:
        return value and _WRITTEN.sub(lambda match: chr(int(match[1], 16)), value)
    except TypeError:
        return UnreadableValue(f"{value!r:.80} is not a text")


class _TransactionNumber(ColumnElement[int]):
    """The number of the writing transaction; 0 on SQLite, which has one writer at a time."""

    inherit_cache = True
    type = BigInteger()


@compiles(_TransactionNumber)
def _no_number(*_: Any, **__: Any) -> str:
    return "0"


@compiles(_TransactionNumber, "postgresql")
def _current_number(*_: Any, **__: Any) -> str:
    return "pg_current_xact_id()::text::bigint"


metadata = MetaData()

schema_version = Table("lifecycle_version", MetaData(), Column("version", Text, primary_key=True))

# SQLite assigns ids only to an INTEGER key; with AUTOINCREMENT it never reuses one.
_Number = BigInteger().with_variant(Integer(), "sqlite")

declarations = Table(
    "lifecycle_declarations",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("text", Text, nullable=False),  # JSON
    UniqueConstraint("digest", name="lifecycle_declarations_by_digest"),
    sqlite_autoincrement=True,
)

servers = Table(
    "lifecycle_servers",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("lifecycle", AnyText, nullable=False),  # its name without a scope
    Column("url", AnyText, nullable=False),
    Column("is_further", Boolean, nullable=False),  # whether it was added to the first one
    UniqueConstraint("lifecycle", "url", name="lifecycle_servers_by_url"),
    Index(
        "lifecycle_servers_first",
        "lifecycle",
        unique=True,
        sqlite_where=text("NOT is_further"),
        postgresql_where=text("NOT is_further"),
    ),
    sqlite_autoincrement=True,
)

tasks = Table(
    "lifecycle_tasks",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("lifecycle", AnyText, nullable=False),
    Column("task_id", AnyText, nullable=False),
    # That of the last entry. Not a foreign key: PostgreSQL would lock that one row in every transaction.
    Column("declaration", Count, nullable=False),
    Column("state", AnyText),
    Column("version", Count, nullable=False),
    Column("revision", Count, nullable=False),  # of the row: a write compares it with the revision that was read
    Column("as_of", Moment),
    Column("since", Moment),
    Column("first_at", Moment),
    Column("doubt", AnyText),  # the state in a later report although `state` is final
    Column("created_at", Moment),  # null if the task was not created with this journal
    Column("changed_at", Moment, nullable=False),  # the time of the last entry
    # The last entry, if it is a report that may be repeated: its status and channel, and how often it was made.
    Column("last_status", AnyText),
    Column("last_channel", AnyText),
    Column("last_times", Count, nullable=False),
    UniqueConstraint("task_id", "lifecycle", name="lifecycle_tasks_by_name"),
    Index("lifecycle_tasks_by_state", "lifecycle", "state", "id"),
    Index("lifecycle_tasks_by_change", "changed_at"),
    sqlite_autoincrement=True,
)

commands = Table(
    "lifecycle_commands",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("task", _Number, ForeignKey("lifecycle_tasks.id", ondelete="CASCADE"), nullable=False),
    Column("command", AnyText, nullable=False),
    Column("source", AnyText, nullable=False),  # empty for a stop of a task that could not be read
    Column("state", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("attempts", Count, nullable=False),
    Column("idempotency_key", AnyText),
    Column("origin", AnyText, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("why", AnyText, nullable=False),
    Column("claim", Count, nullable=False, server_default="1"),  # how often it was claimed, its intent included
    Column("worker", AnyText, nullable=False),
    Column("session", Text, nullable=False),
    Column("claimed_at", Moment),  # null if no worker has claimed it now
    UniqueConstraint("task", "idempotency_key", name="lifecycle_commands_by_key"),
    Index(
        "lifecycle_commands_open", "task", unique=True, sqlite_where=text("is_open"), postgresql_where=text("is_open")
    ),
    sqlite_autoincrement=True,
)

entries = Table(
    "lifecycle_entries",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("xact", BigInteger, nullable=False, default=_TransactionNumber()),
    Column("task", _Number, ForeignKey("lifecycle_tasks.id", ondelete="CASCADE"), nullable=False),
    Column("declaration", Count, nullable=False),  # by which it was judged; not a foreign key, as in the tasks
    Column("at", Moment, nullable=False),
    Column("worker", AnyText, nullable=False),
    # A report: its status, channel and time, the state before, its classification, and the state kept.
    Column("status", AnyText),
    Column("channel", AnyText),
    Column("as_of", Moment),
    Column("before", AnyText),
    Column("kind", Text),
    Column("path", Names),
    Column("state", AnyText),
    Column("late", Boolean),
    Column("unconfirmed", Boolean),
    Column("times_before", Count, nullable=False),  # how often the report before this entry was made
    # An event of a command, and the command after it.
    Column("command", _Number),
    Column("event", Text),
    Column("command_state", Text),
    Column("attempts", Count),
    Column("why", AnyText),
    Index("lifecycle_entries_by_task", "task", "id"),
    Index("lifecycle_entries_by_xact", "xact", "id"),
    sqlite_autoincrement=True,
)

creates = Table(
    "lifecycle_creates",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("lifecycle", AnyText, nullable=False),
    Column("idempotency_key", AnyText),
    Column("fields", JSON, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("origin", AnyText, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("recorded_by", AnyText, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("may_have_made", Boolean, nullable=False),  # whether it may have made a task; if so, its key is taken
    Column("attempts", Count, nullable=False),
    Column("why", AnyText, nullable=False),
    Column("task_id", AnyText),  # not a foreign key: the task is recorded only once it was created
    Column("changed_at", Moment, nullable=False),
    Column("claim", Count, nullable=False),
    Column("worker", AnyText, nullable=False),
    Column("session", Text, nullable=False),
    Column("claimed_at", Moment),  # null if no worker has claimed it now
    Index(
        "lifecycle_creates_by_key",
        "lifecycle",
        "idempotency_key",
        unique=True,
        sqlite_where=text("may_have_made"),
        postgresql_where=text("may_have_made"),
    ),
    Index("lifecycle_creates_open", "lifecycle", "id", sqlite_where=text("is_open"), postgresql_where=text("is_open")),
    Index("lifecycle_creates_by_task", "task_id", "lifecycle"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "lifecycle_deliveries",
    metadata,
    Column("id", AnyText, primary_key=True),
    Column("kind", AnyText, nullable=False),
    Column("sent_at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("body", AnyText, nullable=False),
    # The task that it was about, if any; not a foreign key, since the task may be deleted and recorded again.
    Column("lifecycle", AnyText),
    Column("task_id", AnyText),
    Index("lifecycle_deliveries_by_task", "task_id", "lifecycle"),
    Index("lifecycle_deliveries_by_time", "received_at"),
)
