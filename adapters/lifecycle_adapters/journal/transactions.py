"""The writes of a journal: each function runs inside one transaction, and changes task snapshots.

A snapshot was either locked in this transaction or read before. In the second case it is written only if its
row is unchanged (compare and set); otherwise it is stale, and StaleError is raised. lifecycle.reducers
classifies entries and computes records; this module stores them.
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
    Lease,
    Report,
    ReportEntry,
    RequestContext,
    TaskRecord,
    TaskReport,
    check_name,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle.reducers import apply_report, classify_report, is_repeat
from lifecycle_adapters.journal.recorded_declarations import KnownDeclarations
from lifecycle_adapters.journal.schema import UnreadableValue, commands, deliveries, entries, tasks

AnyLifecycle = Lifecycle[Any, Any]
Command = CommandRecord[Any, Any]
Record = TaskRecord[Any, Any]


@dataclass(slots=True)
class Writer:
    """The worker that writes, its session and lease, and the time. A worker has one session per journal it opens.

    `now` is read after the tasks are locked: an earlier time would be older than the records that other
    workers wrote while this one waited for the locks.
    """

    worker: str
    session: str
    lease: timedelta
    clock: Callable[[], datetime]
    declarations: KnownDeclarations
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.refresh_clock()

    def refresh_clock(self) -> None:
        """Set `now` to the present time."""
        self.now = self.clock()


class TaskName(NamedTuple):
    """The key of a task: its lifecycle and its id."""

    lifecycle: AnyLifecycle
    task_id: str


@dataclass(slots=True)
class TaskTransaction:
    """One worker's transaction on one task; writes change the snapshot `known` too."""

    connection: Connection
    writer: Writer
    task: TaskName
    known: TaskSnapshot


class AppliedReport(NamedTuple):
    """A recorded report, with the task's record before and after it."""

    lifecycle: AnyLifecycle
    entry: ReportEntry[Any, Any]
    before: Record
    after: Record


# --- snapshots ------------------------------------------------------------------------------------

_KNOWN = sa.select(tasks, commands).outerjoin_from(
    tasks, commands, sa.and_(commands.c.task == tasks.c.id, commands.c.is_open)
)
_ONE = _KNOWN.where(tasks.c.lifecycle == sa.bindparam("lifecycle"), tasks.c.task_id == sa.bindparam("task_id"))
_NAMED = sa.and_(
    tasks.c.lifecycle == sa.bindparam("lifecycle"), tasks.c.task_id.in_(sa.bindparam("task_ids", expanding=True))
)
_SOME = _KNOWN.where(_NAMED)
# Every transaction locks tasks in this order, so that two of them cannot deadlock.
_LOCK = sa.select(tasks.c.task_id).where(_NAMED).order_by(tasks.c.id).with_for_update()

MOST_NAMED = 30_000  # in one statement; SQLite takes 32,766 parameters


class StaleError(Exception):
    """A task's snapshot is stale. Internal to this package: the writer reads the task again."""


@dataclass(slots=True)
class TaskSnapshot:
    """A task's row, and the record in it."""

    id: int
    declaration: int  # under which its last entry was recorded
    revision: int
    record: Record
    last: ReportEntry[Any, Any] | None  # the last entry, if it is a report that may be repeated
    repeat_count: int  # how often the last entry was reported; 0 if it is not a report
    is_locked: bool
    error: UnreadableRecord | None = None  # why the row cannot be read; the record is then empty

    def require_locked(self) -> None:
        """Raise StaleError unless the row is locked: without a write, a stale snapshot would go unnoticed."""
        if not self.is_locked:
            raise StaleError


def load(connection: Connection, key: TaskName, writer: Writer) -> TaskSnapshot | None:
    """Return the snapshot of a task, unlocked; None if the task is not recorded. Raises UnreadableRecord."""
    row = connection.execute(_ONE, {"lifecycle": key.lifecycle.name, "task_id": key.task_id}).mappings().one_or_none()
    return None if row is None else _readable(_read(row, key, writer, is_locked=False))


def lock(connection: Connection, key: TaskName, writer: Writer) -> TaskSnapshot:
    """Lock a task, and record it first if it is not known. Raises UnreadableRecord."""
    return _readable(_lock(connection, [key], writer)[key.lifecycle.name, key.task_id])


def _readable(known: TaskSnapshot) -> TaskSnapshot:
    if known.error is not None:
        raise known.error
    return known


def _lock(connection: Connection, keys: Iterable[TaskName], writer: Writer) -> dict[tuple[str, str], TaskSnapshot]:
    """Lock tasks, and record those that are not known; return their snapshots by lifecycle name and task id."""
    named: dict[str, tuple[AnyLifecycle, dict[str, None]]] = {}
    for lifecycle, task_id in keys:
        named.setdefault(lifecycle.name, (lifecycle, {}))[1][task_id] = None
    found: dict[tuple[str, str], TaskSnapshot] = {}
    for lifecycle, task_ids in (named[name] for name in sorted(named)):
        found |= _locked(connection, lifecycle, writer, list(task_ids))
        # In a loop: a task that another worker has recorded may be deleted before it is locked.
        while missing := sorted(task_id for task_id in task_ids if (lifecycle.name, task_id) not in found):
            ensure_tasks(connection, writer, [TaskName(lifecycle, task_id) for task_id in missing])
            found |= _locked(connection, lifecycle, writer, missing)
    writer.refresh_clock()
    return found


def _locked(
    connection: Connection, lifecycle: AnyLifecycle, writer: Writer, task_ids: Sequence[str]
) -> dict[tuple[str, str], TaskSnapshot]:
    found: dict[tuple[str, str], TaskSnapshot] = {}
    for begin in range(0, len(task_ids), MOST_NAMED):
        named = {"lifecycle": lifecycle.name, "task_ids": task_ids[begin : begin + MOST_NAMED]}
        if connection.dialect.name == "postgresql":
            # In two statements: in one, the rows joined to a locked row would be older than that row. The second
            # statement is limited to the tasks that the first one has locked.
            named["task_ids"] = connection.scalars(_LOCK, named).all()
        for row in connection.execute(_SOME, named).mappings():
            task_id = row[tasks.c.task_id]
            found[lifecycle.name, task_id] = _read(row, TaskName(lifecycle, task_id), writer, is_locked=True)
    return found


def ensure_tasks(connection: Connection, writer: Writer, keys: Iterable[TaskName], *, created: bool = False) -> None:
    """Record that the tasks exist; with `created`, that they were created now. Raises ValueError for a long id."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    created_at = writer.now if created else None
    new = {"version": 0, "revision": 0, "changed_at": writer.now, "created_at": created_at, "last_times": 0}
    rows = [
        {
            **new,
            "lifecycle": key.lifecycle.name,
            "task_id": check_name("task id", key.task_id),
            "declaration": writer.declarations.number(key.lifecycle),
        }
        for key in keys
    ]
    connection.execute(insert(tasks).on_conflict_do_nothing(), rows)
    if created:  # a webhook may have recorded the task before
        named = [{"of_lifecycle": row["lifecycle"], "of_task": row["task_id"], "now": writer.now} for row in rows]
        connection.execute(_CREATED, named)


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
_UPDATE_TASK = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("of"), tasks.c.revision == sa.bindparam("read"))
    .values(revision=tasks.c.revision + 1, **{name: sa.bindparam(name) for name in (
        "declaration", "state", "version", "as_of", "since", "first_at", "doubt", "created_at", "changed_at",
        "last_status", "last_channel", "last_times",
    )})
)  # fmt: skip


def enter_reports(
    connection: Connection, writer: Writer, reports: Sequence[TaskReport]
) -> list[AppliedReport | UnreadableRecord]:
    """Record reports in this order; if a task's record cannot be read, its error takes the place of the entry."""
    found = _lock(connection, (TaskName(each.lifecycle, each.task_id) for each in reports), writer)
    return _enter_reports(connection, writer, reports, found)


def enter_report(transaction: TaskTransaction, report: Report) -> AppliedReport:
    """Record one report."""
    found = {(transaction.task.lifecycle.name, transaction.task.task_id): transaction.known}
    (entered,) = _enter_reports(
        transaction.connection, transaction.writer, [TaskReport(*transaction.task, report)], found
    )
    assert isinstance(entered, AppliedReport)  # a TaskTransaction has a readable record
    return entered


def _enter_reports(
    connection: Connection, writer: Writer, reports: Sequence[TaskReport], found: Mapping[tuple[str, str], TaskSnapshot]
) -> list[AppliedReport | UnreadableRecord]:
    entered: list[AppliedReport | UnreadableRecord] = []
    rows: list[dict[str, Any]] = []
    for lifecycle, task_id, report, _ in reports:
        known = found[lifecycle.name, task_id]
        if known.error is not None:
            entered.append(known.error)
            continue
        entry = classify_report(lifecycle, known.record, report, now=writer.now)
        recorded_under, known.declaration = known.declaration, writer.declarations.number(lifecycle)
        # By another declaration the same status may mean something else.
        if recorded_under == known.declaration and is_repeat(entry, known.last):
            known.repeat_count += 1
        else:
            rows.append(_report_row(known, entry, writer))
            known.last, known.repeat_count = entry, 1
        before, known.record = known.record, apply_report(known.record, entry, now=writer.now)
        entered.append(AppliedReport(lifecycle, entry, before, known.record))
    update_tasks(connection, writer, (each for each in found.values() if each.error is None))
    if rows:
        connection.execute(ADD_ENTRY, rows)
    return entered


def update_tasks(connection: Connection, writer: Writer, changed: Iterable[TaskSnapshot]) -> None:
    """Update the rows of tasks. Done before all other writes, so that none depends on a stale snapshot.

    Raises StaleError if the row of an unlocked snapshot has changed.
    """
    kept = list(changed)
    if not kept:
        return
    done = connection.execute(_UPDATE_TASK, [_task_row(each, writer) for each in kept])
    for each in kept:
        if not each.is_locked and done.rowcount != len(kept):
            raise StaleError
        each.revision += 1


def _report_row(known: TaskSnapshot, entry: ReportEntry[Any, Any], writer: Writer) -> dict[str, Any]:
    observation = entry.observation
    return {
        "task": known.id,
        "declaration": known.declaration,
        "at": writer.now,
        "worker": writer.worker,
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


def _task_row(known: TaskSnapshot, writer: Writer) -> dict[str, Any]:
    record, last = known.record, known.last
    may_repeat = last is not None and not last.late and not last.unconfirmed
    return {
        "of": known.id,
        "read": known.revision,
        "declaration": known.declaration,
        "state": record.state,
        "version": record.version,
        "as_of": record.as_of,
        "since": record.since,
        "first_at": record.first_at,
        "doubt": record.doubt,
        "created_at": record.created_at,
        "changed_at": writer.now,
        "last_status": last.report.status if last and may_repeat else None,
        "last_channel": last.report.channel if last and may_repeat else None,
        "last_times": known.repeat_count,
    }


def enter_delivery(connection: Connection, writer: Writer, delivery: Delivery, about: TaskName | None = None) -> bool:
    """Record a delivery, and the task that it is about; return False if it was recorded before."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "id": delivery.id,
        "kind": delivery.kind,
        "sent_at": delivery.sent_at,
        "received_at": writer.now,
        "body": delivery.body,
        "lifecycle": None if about is None else about.lifecycle.name,
        "task_id": None if about is None else about.task_id,
    }
    # SQLAlchemy does not return the number of inserted rows for every database.
    statement = insert(deliveries).on_conflict_do_nothing().returning(deliveries.c.id)
    return connection.execute(statement, row).first() is not None


# --- from rows ------------------------------------------------------------------------------------


def _read(row: RowMapping, key: TaskName, writer: Writer, *, is_locked: bool) -> TaskSnapshot:
    """Return the snapshot in a row; one with an error if the present declaration cannot read it."""
    try:
        with reading_of(key):
            require_readable(row.values())
            return _snapshot_of(row, key.lifecycle, writer, is_locked=is_locked)
    except UnreadableRecord as error:
        number, declaration, revision = row[tasks.c.id], row[tasks.c.declaration], row[tasks.c.revision]
        return TaskSnapshot(number, declaration, revision, TaskRecord(), None, 0, is_locked, error)


@contextmanager
def reading_of(key: TaskName) -> Generator[None]:
    """Raise UnreadableRecord for every error in the rows of this task that are read inside."""
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
    """Raise ValueError if a value is not of its column's type."""
    for value in values:
        if type(value) is UnreadableValue:
            raise ValueError(value.why)


def require_object(name: str, value: object) -> None:
    """Raise TypeError unless the value of a column is a JSON object."""
    if not isinstance(value, dict):
        raise TypeError(f"its {name} are not a JSON object")


_OF_TASK = itemgetter(
    tasks.c.id, tasks.c.declaration, tasks.c.revision, tasks.c.version, tasks.c.state, tasks.c.as_of, tasks.c.since,
    tasks.c.first_at, tasks.c.doubt, tasks.c.created_at, tasks.c.changed_at, tasks.c.last_status, tasks.c.last_channel,
    tasks.c.last_times, commands.c.id,
)  # fmt: skip
_OF_COMMAND = itemgetter(
    commands.c.id, commands.c.command, commands.c.source, commands.c.state, commands.c.fields, commands.c.attempts,
    commands.c.idempotency_key, commands.c.origin, commands.c.reason, commands.c.why, commands.c.claim,
    commands.c.worker, commands.c.claimed_at,
)  # fmt: skip


def _snapshot_of(row: RowMapping, lifecycle: AnyLifecycle, writer: Writer, *, is_locked: bool) -> TaskSnapshot:
    (
        number, declaration, revision, version, state, as_of, since, first_at, doubt, created_at, changed_at, status,
        channel, times, opened,
    ) = _OF_TASK(row)  # fmt: skip
    known_state = _state(state, lifecycle)
    command = None if opened is None else command_of(row, lifecycle, writer.lease)
    record: Record = TaskRecord(
        version, known_state, as_of, command, since, first_at, _state(doubt, lifecycle), created_at
    )
    last: ReportEntry[Any, Any] | None = None
    if status is not None:
        last = ReportEntry(Report(status, changed_at, channel), known_state, None)
    return TaskSnapshot(number, declaration, revision, record, last, times, is_locked)


def command_of(row: RowMapping, lifecycle: AnyLifecycle, lease: timedelta) -> Command:
    """Return the command in a row; a worker's claim lasts for `lease` from `claimed_at`."""
    (
        number, command, source, state, fields, attempts, key, origin, reason, why, claim, worker, claimed_at,
    ) = _OF_COMMAND(row)  # fmt: skip
    require_object("fields", fields)
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
        None if claimed_at is None else Lease(worker, claimed_at + lease),
    )


def _state(name: str | None, lifecycle: AnyLifecycle) -> Any:
    return None if name is None else lifecycle.state(name).name
