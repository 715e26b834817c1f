"""How a journal grows: each function is called inside one transaction, and changes tasks that are known.

A task is known because it was locked in this transaction, or because it was read before: then it is
written only where its row is still as it was (compare and set), else what was known is stale.
What an entry is, and what is known after it, is decided by lifecycle.journal; here it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects import postgresql, sqlite

from lifecycle.catalog import CommandState
from lifecycle.errors import UndeclaredState, UnknownName, UnreadableRecord
from lifecycle.journal import (
    CommandRecord,
    Delivery,
    Hold,
    Report,
    ReportEntry,
    RequestContext,
    TaskRecord,
    TaskReport,
    apply_report,
    classify_report,
    is_repeat,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.journal.schema import LONGEST_NAME_BYTES, UnreadableValue, commands, deliveries, entries, tasks

AnyLifecycle = Lifecycle[Any, Any]
Command = CommandRecord[Any, Any]
Record = TaskRecord[Any, Any]


@dataclass(slots=True)
class Writer:
    """Who writes, for how long it holds what it claims, and when. A worker has one session for each journal it opens.

    `now` is when the tasks were locked: whoever waits for them would else judge reports by a time
    that is older than what is known of the tasks by then.
    """

    worker: str
    session: str
    lease: timedelta
    clock: Callable[[], datetime]
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.refresh_clock()

    def refresh_clock(self) -> None:
        """Look at the clock."""
        self.now = self.clock()


class TaskName(NamedTuple):
    """What a task is found by."""

    lifecycle: AnyLifecycle
    task_id: str


@dataclass(slots=True)
class TaskTransaction:
    """One worker's turn at one task, in one transaction: what is known of the task changes with what is written."""

    connection: Connection
    writer: Writer
    task: TaskName
    known: TaskSnapshot


class AppliedReport(NamedTuple):
    """A report that was recorded, with what was known of its task before and after it."""

    lifecycle: AnyLifecycle
    entry: ReportEntry[Any, Any]
    before: Record
    after: Record


# --- what is there --------------------------------------------------------------------------------

_KNOWN = sa.select(tasks, commands).outerjoin_from(
    tasks, commands, sa.and_(commands.c.task == tasks.c.id, commands.c.is_open)
)
_ONE = _KNOWN.where(tasks.c.lifecycle == sa.bindparam("lifecycle"), tasks.c.task_id == sa.bindparam("task_id"))
_NAMED = sa.and_(
    tasks.c.lifecycle == sa.bindparam("lifecycle"), tasks.c.task_id.in_(sa.bindparam("task_ids", expanding=True))
)
_SOME = _KNOWN.where(_NAMED)
# Whoever locks several tasks locks them in this order.
_LOCK = sa.select(tasks.c.task_id).where(_NAMED).order_by(tasks.c.id).with_for_update()

MOST_NAMED = 30_000  # in one statement; SQLite takes 32,766 parameters


class StaleError(Exception):
    """What was known of a task is not so any more. For this package alone: who writes reads again."""


@dataclass(slots=True)
class TaskSnapshot:
    """A task's row, and the record that it stands for."""

    id: int
    revision: int
    record: Record
    last: ReportEntry[Any, Any] | None  # the last entry, where it is a report that may be repeated
    repeat_count: int  # how often the report was made that is the last entry; 0 where that is none
    is_locked: bool
    error: UnreadableRecord | None = None  # why the row cannot be read; the record is then empty

    def require_locked(self) -> None:
        """Let nothing be concluded from what may be stale: only a write finds that out."""
        if not self.is_locked:
            raise StaleError


def load(connection: Connection, key: TaskName, author: Writer) -> TaskSnapshot | None:
    """Return what is known of a task, unlocked. Raises UnreadableRecord."""
    row = connection.execute(_ONE, {"lifecycle": key.lifecycle.name, "task_id": key.task_id}).mappings().one_or_none()
    return None if row is None else _readable(_read(row, key, author, is_locked=False))


def lock(connection: Connection, key: TaskName, author: Writer) -> TaskSnapshot:
    """Lock a task, which is made known where it was not. Raises UnreadableRecord."""
    return _readable(_lock(connection, [key], author)[key.lifecycle.name, key.task_id])


def _readable(known: TaskSnapshot) -> TaskSnapshot:
    if known.error is not None:
        raise known.error
    return known


def _lock(connection: Connection, keys: Iterable[TaskName], author: Writer) -> dict[tuple[str, str], TaskSnapshot]:
    """Lock tasks, which are made known where they were not; by the names of lifecycle and task."""
    asked: dict[str, tuple[AnyLifecycle, dict[str, None]]] = {}
    for lifecycle, task_id in keys:
        asked.setdefault(lifecycle.name, (lifecycle, {}))[1][task_id] = None
    found: dict[tuple[str, str], TaskSnapshot] = {}
    for lifecycle, task_ids in (asked[name] for name in sorted(asked)):
        found |= _locked(connection, lifecycle, author, list(task_ids))
        # Again and again, for what another has made known can be forgotten before it is locked.
        while missing := sorted(task_id for task_id in task_ids if (lifecycle.name, task_id) not in found):
            ensure_tasks(connection, author, [TaskName(lifecycle, task_id) for task_id in missing])
            found |= _locked(connection, lifecycle, author, missing)
    author.refresh_clock()
    return found


def _locked(
    connection: Connection, lifecycle: AnyLifecycle, author: Writer, task_ids: Sequence[str]
) -> dict[tuple[str, str], TaskSnapshot]:
    found: dict[tuple[str, str], TaskSnapshot] = {}
    for begin in range(0, len(task_ids), MOST_NAMED):
        named = {"lifecycle": lifecycle.name, "task_ids": task_ids[begin : begin + MOST_NAMED]}
        if connection.dialect.name == "postgresql":
            # Not in one statement: what is joined to a row that was waited for is older than that row.
            # What the second finds and the first did not is not locked.
            named["task_ids"] = connection.scalars(_LOCK, named).all()
        for row in connection.execute(_SOME, named).mappings():
            task_id = row[tasks.c.task_id]
            found[lifecycle.name, task_id] = _read(row, TaskName(lifecycle, task_id), author, is_locked=True)
    return found


def ensure_tasks(connection: Connection, author: Writer, keys: Iterable[TaskName], *, created: bool = False) -> None:
    """Record that there are such tasks; with `created`, that they were created now. Raises ValueError for a long id."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    created_at = author.now if created else None
    new = {"version": 0, "revision": 0, "changed_at": author.now, "created_at": created_at, "last_times": 0}
    rows = [
        {**new, "lifecycle": key.lifecycle.name, "task_id": check_index_length("task id", key.task_id)} for key in keys
    ]
    connection.execute(insert(tasks).on_conflict_do_nothing(), rows)
    if created:  # a webhook may have made it known before
        named = [{"of_lifecycle": row["lifecycle"], "of_task": row["task_id"], "now": author.now} for row in rows]
        connection.execute(_CREATED, named)


def check_index_length(what: str, name: str) -> str:
    """Return what is to be indexed. Raises ValueError where that is longer than an index takes."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > LONGEST_NAME_BYTES:
        raise ValueError(f"the {what} has {size:,} bytes; a journal takes {LONGEST_NAME_BYTES:,}")
    return name


_CREATED = (
    sa.update(tasks)
    .where(
        tasks.c.lifecycle == sa.bindparam("of_lifecycle"),
        tasks.c.task_id == sa.bindparam("of_task"),
        tasks.c.created_at.is_(None),
    )
    .values(created_at=sa.bindparam("now"), revision=tasks.c.revision + 1)
)

# --- reports --------------------------------------------------------------------------------------

ADD_ENTRY = sa.insert(entries)
_KEEP_TASK = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("of"), tasks.c.revision == sa.bindparam("read"))
    .values(revision=tasks.c.revision + 1, **{name: sa.bindparam(name) for name in (
        "state", "version", "as_of", "since", "first_at", "doubt", "created_at", "changed_at", "last_status",
        "last_channel", "last_times",
    )})
)  # fmt: skip


def enter_reports(
    connection: Connection, author: Writer, reports: Sequence[TaskReport]
) -> list[AppliedReport | UnreadableRecord]:
    """Record reports in this order; where a task's record cannot be read, its error stands instead."""
    found = _lock(connection, (TaskName(each.lifecycle, each.task_id) for each in reports), author)
    return _enter_reports(connection, author, reports, found)


def enter_report(turn: TaskTransaction, report: Report) -> AppliedReport:
    """Record one report."""
    found = {(turn.task.lifecycle.name, turn.task.task_id): turn.known}
    (entered,) = _enter_reports(turn.connection, turn.writer, [TaskReport(*turn.task, report)], found)
    assert isinstance(entered, AppliedReport)  # who has a turn at a task has read its record
    return entered


def _enter_reports(
    connection: Connection, author: Writer, reports: Sequence[TaskReport], found: Mapping[tuple[str, str], TaskSnapshot]
) -> list[AppliedReport | UnreadableRecord]:
    entered: list[AppliedReport | UnreadableRecord] = []
    rows: list[dict[str, Any]] = []
    for lifecycle, task_id, report in reports:
        known = found[lifecycle.name, task_id]
        if known.error is not None:
            entered.append(known.error)
            continue
        entry = classify_report(lifecycle, known.record, report, now=author.now)
        if is_repeat(entry, known.last):
            known.repeat_count += 1
        else:
            rows.append(_report_row(known, entry, author))
            known.last, known.repeat_count = entry, 1
        before, known.record = known.record, apply_report(known.record, entry, now=author.now)
        entered.append(AppliedReport(lifecycle, entry, before, known.record))
    update_tasks(connection, author, (each for each in found.values() if each.error is None))
    if rows:
        connection.execute(ADD_ENTRY, rows)
    return entered


def update_tasks(connection: Connection, author: Writer, changed: Iterable[TaskSnapshot]) -> None:
    """Keep what is known now. Done before all other writing, so that nothing is written on what is stale."""
    kept = list(changed)
    if not kept:
        return
    done = connection.execute(_KEEP_TASK, [_task_row(each, author) for each in kept])
    for each in kept:
        if not each.is_locked and done.rowcount != len(kept):
            raise StaleError
        each.revision += 1


def _report_row(known: TaskSnapshot, entry: ReportEntry[Any, Any], author: Writer) -> dict[str, Any]:
    observation = entry.observation
    return {
        "task": known.id,
        "at": author.now,
        "worker": author.worker,
        "status": entry.report.status,
        "channel": entry.report.channel,
        "as_of": entry.report.as_of,
        "before": known.record.state,
        "kind": None if observation is None else observation.kind,
        "path": [] if observation is None else list(observation.path),
        "state": entry.state,
        "late": entry.late,
        "unconfirmed": entry.unconfirmed,
        "times_before": known.repeat_count,
    }


def _task_row(known: TaskSnapshot, author: Writer) -> dict[str, Any]:
    record, last = known.record, known.last
    may_repeat = last is not None and not last.late and not last.unconfirmed
    return {
        "of": known.id,
        "read": known.revision,
        "state": record.state,
        "version": record.version,
        "as_of": record.as_of,
        "since": record.since,
        "first_at": record.first_at,
        "doubt": record.doubt,
        "created_at": record.created_at,
        "changed_at": author.now,
        "last_status": last.report.status if last and may_repeat else None,
        "last_channel": last.report.channel if last and may_repeat else None,
        "last_times": known.repeat_count,
    }


def enter_delivery(connection: Connection, author: Writer, delivery: Delivery, about: TaskName | None = None) -> bool:
    """Record a delivery, and the task that it is about. False where it was recorded before."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "id": check_index_length("delivery's id", delivery.id),
        "kind": delivery.kind,
        "sent_at": delivery.sent_at,
        "received_at": author.now,
        "body": delivery.body,
        "lifecycle": None if about is None else about.lifecycle.name,
        "task_id": None if about is None else check_index_length("task id", about.task_id),
    }
    # SQLAlchemy does not tell the count of inserted rows for every database.
    statement = insert(deliveries).on_conflict_do_nothing().returning(deliveries.c.id)
    return connection.execute(statement, row).first() is not None


# --- from rows ------------------------------------------------------------------------------------


def _read(row: RowMapping, key: TaskName, author: Writer, *, is_locked: bool) -> TaskSnapshot:
    """What a row tells of its task; an error where the declaration of today cannot read it."""
    try:
        with reading_of(key):
            require_readable(row.values())
            return _known_of(row, key.lifecycle, author, is_locked=is_locked)
    except UnreadableRecord as error:
        return TaskSnapshot(row[tasks.c.id], row[tasks.c.revision], TaskRecord(), None, 0, is_locked, error)


@contextmanager
def reading_of(key: TaskName) -> Generator[None]:
    """Raise UnreadableRecord for whatever is wrong with the rows of this task that are read inside."""
    names = {"lifecycle": key.lifecycle.name, "task": key.task_id}
    try:
        yield
    except UnknownName as error:
        if error.kind != "state":
            raise UnreadableRecord(str(error), **names) from error
        raise UndeclaredState(str(error.name), **names, known=error.known) from error
    except (TypeError, ValueError) as error:
        raise UnreadableRecord(str(error), **names) from error


def require_readable(values: Iterable[object]) -> None:
    """Let no column pass whose value is not of its type. Raises ValueError."""
    for value in values:
        if type(value) is UnreadableValue:
            raise ValueError(value.why)


_OF_TASK = itemgetter(
    tasks.c.id, tasks.c.revision, tasks.c.version, tasks.c.state, tasks.c.as_of, tasks.c.since, tasks.c.first_at,
    tasks.c.doubt, tasks.c.created_at, tasks.c.changed_at, tasks.c.last_status, tasks.c.last_channel,
    tasks.c.last_times, commands.c.id,
)  # fmt: skip
_OF_COMMAND = itemgetter(
    commands.c.id, commands.c.command, commands.c.source, commands.c.state, commands.c.fields, commands.c.attempts,
    commands.c.idempotency_key, commands.c.origin, commands.c.reason, commands.c.why, commands.c.claim,
    commands.c.worker, commands.c.held_at,
)  # fmt: skip


def _known_of(row: RowMapping, lifecycle: AnyLifecycle, author: Writer, *, is_locked: bool) -> TaskSnapshot:
    (
        number, revision, version, state, as_of, since, first_at, doubt, created_at, changed_at, status, channel, times,
        opened,
    ) = _OF_TASK(row)  # fmt: skip
    known_state = _state(state, lifecycle)
    command = None if opened is None else command_of(row, lifecycle, author.lease)
    record: Record = TaskRecord(
        version, known_state, as_of, command, since, first_at, _state(doubt, lifecycle), created_at
    )
    last: ReportEntry[Any, Any] | None = None
    if status is not None:
        last = ReportEntry(Report(status, changed_at, channel), known_state, None)
    return TaskSnapshot(number, revision, record, last, times, is_locked)


def command_of(row: RowMapping, lifecycle: AnyLifecycle, lease: timedelta) -> Command:
    """Return the command that a row tells of; what a worker has claimed it holds for the time of the lease."""
    (
        number, command, source, state, fields, attempts, key, origin, reason, why, claim, worker, held_at,
    ) = _OF_COMMAND(row)  # fmt: skip
    return CommandRecord(
        str(number),
        lifecycle.event(command).name,
        _state(source or None, lifecycle),
        CommandState(state),
        fields,
        attempts,
        RequestContext(key, origin, reason),
        why,
        claim,
        None if held_at is None else Hold(worker, held_at + lease),
    )


def _state(name: str | None, lifecycle: AnyLifecycle) -> Any:
    return None if name is None else lifecycle.state(name).name
