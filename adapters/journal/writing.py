"""How a journal grows: each function is called inside one transaction, and locks the tasks that it changes.

What an entry is, and what is known after it, is decided by lifecycle.journal; here it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects import postgresql, sqlite

from adapters.journal.schema import LONGEST_NAME_BYTES, commands, deliveries, entries, tasks
from lifecycle.catalog import COMMAND, CommandEvent, CommandState
from lifecycle.definition import Lifecycle
from lifecycle.journal import (
    CommandRecord,
    Delivery,
    Purpose,
    Report,
    ReportEntry,
    TaskRecord,
    TaskReport,
    after_command,
    after_report,
    judge_report,
    may_send,
    repeats,
)

AnyLifecycle = Lifecycle[Any, Any]
Command = CommandRecord[Any, Any]
Record = TaskRecord[Any, Any]


@dataclass(slots=True)
class Author:
    """Who writes, and when. A worker has one session for each time that it opens the journal.

    `now` is when the tasks were locked: whoever waits for them would else judge reports by a time
    that is older than what is known of the tasks by then.
    """

    worker: str
    session: str
    clock: Callable[[], datetime]
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """Look at the clock."""
        self.now = self.clock()


class Key(NamedTuple):
    """What a task is found by."""

    lifecycle: AnyLifecycle
    task_id: str


class Entered(NamedTuple):
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


@dataclass(slots=True)
class Known:
    """A task's row, locked, and the record that it stands for."""

    id: int
    record: Record
    last: ReportEntry[Any, Any] | None  # the last entry, where it is a report that may be repeated
    times: int  # how often the report was made that is the last entry; 0 where that is none


def load(connection: Connection, key: Key) -> Record:
    """Return what is known of a task."""
    row = connection.execute(_ONE, {"lifecycle": key.lifecycle.name, "task_id": key.task_id}).mappings().one_or_none()
    return TaskRecord() if row is None else _record_of(row, key.lifecycle)


def _lock(connection: Connection, keys: Iterable[Key], author: Author) -> dict[tuple[str, str], Known]:
    """Lock tasks, which are made known where they were not; by the names of lifecycle and task."""
    asked: dict[str, tuple[AnyLifecycle, dict[str, None]]] = {}
    for lifecycle, task_id in keys:
        asked.setdefault(lifecycle.name, (lifecycle, {}))[1][task_id] = None
    found: dict[tuple[str, str], Known] = {}
    for lifecycle, task_ids in (asked[name] for name in sorted(asked)):
        found |= _locked(connection, lifecycle, list(task_ids))
        # Again and again, for what another has made known can be forgotten before it is locked.
        while missing := sorted(task_id for task_id in task_ids if (lifecycle.name, task_id) not in found):
            make_known(connection, author, [Key(lifecycle, task_id) for task_id in missing])
            found |= _locked(connection, lifecycle, missing)
    author.look()
    return found


def _locked(connection: Connection, lifecycle: AnyLifecycle, task_ids: Sequence[str]) -> dict[tuple[str, str], Known]:
    found: dict[tuple[str, str], Known] = {}
    for begin in range(0, len(task_ids), MOST_NAMED):
        named = {"lifecycle": lifecycle.name, "task_ids": task_ids[begin : begin + MOST_NAMED]}
        if connection.dialect.name == "postgresql":
            # Not in one statement: what is joined to a row that was waited for is older than that row.
            # What the second finds and the first did not is not locked.
            named["task_ids"] = connection.scalars(_LOCK, named).all()
        for row in connection.execute(_SOME, named).mappings():
            found[lifecycle.name, row[tasks.c.task_id]] = _known_of(row, lifecycle)
    return found


def make_known(connection: Connection, author: Author, keys: Iterable[Key]) -> None:
    """Record that there are such tasks. Raises ValueError for an id that no index takes."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = {"version": 0, "changed_at": author.now, "last_times": 0}
    rows = [{**new, "lifecycle": key.lifecycle.name, "task_id": require_short("task id", key.task_id)} for key in keys]
    connection.execute(insert(tasks).on_conflict_do_nothing(), rows)


def require_short(what: str, name: str) -> str:
    """Return what is to be indexed. Raises ValueError where that is longer than an index takes."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > LONGEST_NAME_BYTES:
        raise ValueError(f"a {what} of {size:,} bytes; a journal takes {LONGEST_NAME_BYTES:,}")
    return name


# --- reports --------------------------------------------------------------------------------------

_ADD_ENTRY = sa.insert(entries)
_KEEP_TASK = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("of"))
    .values({name: sa.bindparam(name) for name in (
        "state", "version", "as_of", "since", "first_at", "changed_at", "last_status", "last_channel", "last_times"
    )})
)  # fmt: skip


def enter_reports(connection: Connection, author: Author, reports: Sequence[TaskReport]) -> list[Entered]:
    """Record reports in this order."""
    found = _lock(connection, (Key(each.lifecycle, each.task_id) for each in reports), author)
    entered: list[Entered] = []
    rows: list[dict[str, Any]] = []
    for lifecycle, task_id, report in reports:
        known = found[lifecycle.name, task_id]
        entry = judge_report(lifecycle, known.record, report, now=author.now)
        if repeats(entry, known.last):
            known.times += 1
        else:
            rows.append(_report_row(known, entry, author))
            known.last, known.times = entry, 1
        before, known.record = known.record, after_report(known.record, entry, now=author.now)
        entered.append(Entered(lifecycle, entry, before, known.record))
    if rows:
        connection.execute(_ADD_ENTRY, rows)
    connection.execute(_KEEP_TASK, [_task_row(each, author) for each in found.values()])
    return entered


def _report_row(known: Known, entry: ReportEntry[Any, Any], author: Author) -> dict[str, Any]:
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
        "times_before": known.times,
    }


def _task_row(known: Known, author: Author) -> dict[str, Any]:
    record, last = known.record, known.last
    may_repeat = last is not None and not last.late and not last.unconfirmed
    return {
        "of": known.id,
        "state": record.state,
        "version": record.version,
        "as_of": record.as_of,
        "since": record.since,
        "first_at": record.first_at,
        "changed_at": author.now,
        "last_status": last.report.status if last and may_repeat else None,
        "last_channel": last.report.channel if last and may_repeat else None,
        "last_times": known.times,
    }


def enter_delivery(connection: Connection, author: Author, delivery: Delivery) -> bool:
    """Record a delivery. False where it was recorded before."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "id": require_short("delivery's id", delivery.id),
        "kind": delivery.kind,
        "sent_at": delivery.sent_at,
        "received_at": author.now,
        "body": delivery.body,
    }
    # SQLAlchemy does not tell the count of inserted rows for every database.
    statement = insert(deliveries).on_conflict_do_nothing().returning(deliveries.c.id)
    return connection.execute(statement, row).first() is not None


# --- commands -------------------------------------------------------------------------------------

_ADD_COMMAND = sa.insert(commands).returning(commands.c.id)
_BY_NUMBER = sa.select(commands).where(commands.c.id == sa.bindparam("number"), commands.c.task == sa.bindparam("of"))
_BY_KEY = (
    sa.select(commands)
    .join(tasks, commands.c.task == tasks.c.id)
    .where(
        tasks.c.lifecycle == sa.bindparam("lifecycle"),
        tasks.c.task_id == sa.bindparam("task_id"),
        commands.c.key == sa.bindparam("under"),
    )
)
_KEEP_COMMAND = (
    sa.update(commands)
    .where(commands.c.id == sa.bindparam("of"))
    .values({name: sa.bindparam(name) for name in (
        "state", "is_open", "attempts", "why", "worker", "session", "held_at"
    )})
)  # fmt: skip
_LET_GO = (
    sa.update(commands)
    .where(commands.c.id == sa.bindparam("of"), commands.c.session == sa.bindparam("by"), commands.c.is_open)
    .values(held_at=None)
)


def open_command(
    connection: Connection, author: Author, key: Key, intent: Mapping[str, Any], purpose: Purpose, *, version: int
) -> Command | Record:
    """Open a command, as `TaskLog.add_intent`; `intent` has its `command`, `source` and `fields`."""
    known = _lock(connection, [key], author)[key.lifecycle.name, key.task_id]
    record = known.record
    is_used = purpose.key is not None and find_command(connection, key, purpose.key) is not None
    if record.version != version or record.open_command is not None or is_used:
        return record
    row = {
        **intent,
        "task": known.id,
        "state": COMMAND.initial,
        "is_open": True,
        "attempts": 0,
        "key": purpose.key and require_short("key", purpose.key),
        "origin": purpose.origin,
        "reason": purpose.reason,
        "why": "",
        "worker": author.worker,
        "session": author.session,
        "held_at": author.now,
    }
    new = connection.execute(_ADD_COMMAND, row).scalar_one()
    opened = CommandRecord(str(new), state=COMMAND.initial, purpose=purpose, **intent)
    _enter_command(connection, author, known, opened, event=None, why="intended")
    return opened


def find_command(connection: Connection, key: Key, command_key: str) -> Command | None:
    """Return the command that was opened under that key."""
    named = {"lifecycle": key.lifecycle.name, "task_id": key.task_id, "under": command_key}
    row = connection.execute(_BY_KEY, named).mappings().one_or_none()
    return None if row is None else _command_of(row, key.lifecycle)


def claim(connection: Connection, author: Author, key: Key, command_id: str, *, lease: timedelta) -> Command | None:
    """Take an open command up, unless a worker holds it that may be alive."""
    known, command = _locked_command(connection, author, key, command_id)
    if COMMAND.is_final(command.state) or _is_held(connection, author, known, command, lease):
        return None
    _keep_command(connection, author, command)
    connection.execute(_ADD_ENTRY, [_command_row(known, command, None, "taken up", author)])
    _end_repetition(connection, known, author)
    return command


def _is_held(connection: Connection, author: Author, known: Known, command: Command, lease: timedelta) -> bool:
    """Whether a worker holds the command that may be alive.

    Names are unique among the living: one who has the holder's name and another session is its
    successor. A hold in the future was taken by a clock that has been set back since, and is void.
    """
    row = connection.execute(_BY_NUMBER, {"number": int(command.id), "of": known.id}).mappings().one()
    held_at: datetime | None = row[commands.c.held_at]
    is_successor = row[commands.c.worker] == author.worker and row[commands.c.session] != author.session
    return held_at is not None and not is_successor and abs(author.now - held_at) <= lease


def release(connection: Connection, author: Author, command_id: str) -> None:
    """Let an open command be taken up by anybody, if this session holds it."""
    connection.execute(_LET_GO, {"of": _number(command_id), "by": author.session})


def attempt(connection: Connection, author: Author, key: Key, command_id: str, *, number: int) -> bool:
    """Record that an open command is about to be sent for the `number`-th time."""
    known, command = _locked_command(connection, author, key, command_id)
    if not may_send(key.lifecycle, known.record, command_id, number):
        return False
    _keep_command(connection, author, replace(command, attempts=number))
    _enter_command(connection, author, known, replace(command, attempts=number), event=None, why="sent")
    return True


def end(connection: Connection, author: Author, key: Key, command_id: str, *, event: CommandEvent, why: str) -> Record:
    """Move a command by an event of its life. Raises IllegalTransition, ValueError."""
    known, command = _locked_command(connection, author, key, command_id)
    ended = replace(command, state=COMMAND.step(command.state, event), why=why)
    _keep_command(connection, author, ended)
    _enter_command(connection, author, known, ended, event=event, why=why)
    return known.record


def _locked_command(connection: Connection, author: Author, key: Key, command_id: str) -> tuple[Known, Command]:
    known = _lock(connection, [key], author)[key.lifecycle.name, key.task_id]
    opened = known.record.open_command
    if opened is not None and opened.id == command_id:
        return known, opened
    row = connection.execute(_BY_NUMBER, {"number": _number(command_id), "of": known.id}).mappings().one_or_none()
    if row is None:
        raise ValueError(f"there is no command {command_id!r}")
    return known, _command_of(row, key.lifecycle)


def _number(command_id: str) -> int:
    """The number of a command; 0, which none has, where that is no id of this journal's."""
    return int(command_id) if re.fullmatch("[1-9][0-9]{0,17}", command_id) else 0


def _keep_command(connection: Connection, author: Author, command: Command) -> None:
    """Keep how a command is now; whoever moves it holds it, as long as it is open."""
    is_open = not COMMAND.is_final(command.state)
    row = {
        "of": int(command.id),
        "state": command.state,
        "is_open": is_open,
        "attempts": command.attempts,
        "why": command.why,
        "worker": author.worker,
        "session": author.session,
        "held_at": author.now if is_open else None,
    }
    connection.execute(_KEEP_COMMAND, row)


def _enter_command(
    connection: Connection, author: Author, known: Known, command: Command, *, event: CommandEvent | None, why: str
) -> None:
    connection.execute(_ADD_ENTRY, [_command_row(known, command, event, why, author)])
    known.record = after_command(known.record, command)
    _end_repetition(connection, known, author)


def _end_repetition(connection: Connection, known: Known, author: Author) -> None:
    known.last, known.times = None, 0
    connection.execute(_KEEP_TASK, [_task_row(known, author)])


def _command_row(
    known: Known, command: Command, event: CommandEvent | None, why: str, author: Author
) -> dict[str, Any]:
    return {
        "task": known.id,
        "at": author.now,
        "worker": author.worker,
        "command": int(command.id),
        "event": event,
        "command_state": command.state,
        "attempts": command.attempts,
        "why": why,
        "times_before": known.times,
    }


# --- forgetting -----------------------------------------------------------------------------------

_PRUNED_AT_A_TIME = 500


def forget(connection: Connection, task_id: str, lifecycle: str | None) -> int:
    """Delete all that was recorded of a task; of how many tasks that was."""
    named = tasks.c.task_id == task_id
    return _delete(connection, named if lifecycle is None else sa.and_(named, tasks.c.lifecycle == lifecycle))


def prune(connection: Connection, before: datetime, lifecycles: Mapping[str, AnyLifecycle]) -> int:
    """Delete some of the tasks that are over, and old deliveries; how many tasks that were."""
    is_over = sa.or_(
        sa.false(),
        *(
            sa.and_(
                tasks.c.lifecycle == name, tasks.c.state.in_([str(state.name) for state in each.states if state.final])
            )
            for name, each in lifecycles.items()
        ),
    )
    is_open = sa.exists().where(commands.c.task == tasks.c.id, commands.c.is_open)
    connection.execute(sa.delete(deliveries).where(deliveries.c.received_at < before))
    return _delete(connection, sa.and_(tasks.c.changed_at < before, is_over, ~is_open))


def _delete(connection: Connection, which: sa.ColumnElement[bool]) -> int:
    some = sa.select(tasks.c.id).where(which).order_by(tasks.c.id).limit(_PRUNED_AT_A_TIME).with_for_update()
    ids = list(connection.scalars(some))
    for table, column in ((entries, entries.c.task), (commands, commands.c.task), (tasks, tasks.c.id)):
        connection.execute(sa.delete(table).where(column.in_(ids)))
    return len(ids)


# --- from rows ------------------------------------------------------------------------------------


def _known_of(row: RowMapping, lifecycle: AnyLifecycle) -> Known:
    record = _record_of(row, lifecycle)
    status: str | None = row[tasks.c.last_status]
    last: ReportEntry[Any, Any] | None = None
    if status is not None:
        report = Report(status, row[tasks.c.changed_at], row[tasks.c.last_channel])
        last = ReportEntry(report, record.state, None)
    return Known(row[tasks.c.id], record, last, row[tasks.c.last_times])


def _record_of(row: RowMapping, lifecycle: AnyLifecycle) -> Record:
    return TaskRecord(
        version=row[tasks.c.version],
        state=_state(row[tasks.c.state], lifecycle),
        as_of=row[tasks.c.as_of],
        open_command=None if row[commands.c.id] is None else _command_of(row, lifecycle),
        since=row[tasks.c.since],
        first_at=row[tasks.c.first_at],
    )


def _command_of(row: RowMapping, lifecycle: AnyLifecycle) -> Command:
    return CommandRecord(
        id=str(row[commands.c.id]),
        command=lifecycle.event(row[commands.c.command]).name,
        source=_state(row[commands.c.source], lifecycle),
        state=CommandState(row[commands.c.state]),
        fields=row[commands.c.fields],
        attempts=row[commands.c.attempts],
        purpose=Purpose(row[commands.c.key], row[commands.c.origin], row[commands.c.reason]),
        why=row[commands.c.why],
    )


def _state(name: str | None, lifecycle: AnyLifecycle) -> Any:
    return None if name is None else lifecycle.state(name).name
