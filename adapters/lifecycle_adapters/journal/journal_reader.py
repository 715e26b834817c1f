"""Queries of a journal: tasks by state, a task's history, the change feed, and rows for logs.

The change feed on PostgreSQL: ids are assigned before transactions commit, so that a row with a
smaller id may appear after one with a larger id was read. Entries therefore have the number of their
transaction; the feed returns them in its order, and only those below the oldest transaction that is
still running (`pg_snapshot_xmin`). Any long transaction on the server delays the feed, and it never
skips an entry. Entries of one task that a batch has written may be returned before those that the
batch waited for. After the journal was restored into another server, a cursor of the old one is
meaningless. SQLite has one writer at a time, so that ids are in order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from lifecycle import CATALOG
from lifecycle.errors import UnknownName
from lifecycle.lifecycle import Lifecycle
from lifecycle.scope import base_name
from lifecycle_adapters.journal.recorded_declarations import stored
from lifecycle_adapters.journal.schema import (
    EPOCH,
    AnyText,
    UnreadableValue,
    commands,
    creates,
    declarations,
    entries,
    tasks,
)
from lifecycle_adapters.journal.sql_creates import require_readable_create
from lifecycle_adapters.journal.transactions import require_object, require_readable


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as it is now. `command` is the open command, `claimed_by` the worker that has claimed it.

    `doubt` is the state in a later report although `state` is final: one of the two is wrong. It is the state that
    `known_state()` of a handle returns, and `status()` if it reads the same again.
    `declaration` is the digest of the declaration under which its last entry was recorded.
    If a value cannot be read, `error` is the reason, and the value is None here (`changed_at` is 1970).
    """

    lifecycle: str
    task_id: str
    state: str | None
    version: int
    as_of: datetime | None
    since: datetime | None
    first_at: datetime | None
    changed_at: datetime
    command: str | None
    command_state: str | None
    claimed_by: str | None
    error: str | None = None
    doubt: str | None = None
    declaration: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of tasks. `after` is the cursor of the next page, None if this is the last page."""

    tasks: tuple[TaskRow, ...]
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An entry of the journal: its task, the time at which it was recorded (UTC), and the worker."""

    lifecycle: str
    task_id: str
    at: datetime
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReport(Recorded):
    """A report: its status and channel, the state `before`, its `kind`, the `path` of events, and the state kept.

    `kind` is None for the first report. `times` counts equal reports in a row, this one being the first; None
    in a change feed, because it is not known there.
    """

    status: str
    channel: str
    as_of: datetime
    before: str | None
    kind: str | None
    path: tuple[str, ...]
    state: str | None
    late: bool
    unconfirmed: bool
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCommand(Recorded):
    """An event of a command, and the command after it; `event` is None for its intent, an attempt, a claim.

    `source` is the state that it was judged in, None if that could not be read.
    """

    id: str
    command: str
    source: str | None
    event: str | None
    state: str
    attempts: int
    why: str
    fields: Mapping[str, Any]
    idempotency_key: str | None
    origin: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCreate(Recorded):
    """The create that made the task: the time at which its intent was recorded, and the fields it was sent with."""

    id: str
    attempts: int
    why: str
    fields: Mapping[str, Any]
    labels: Mapping[str, str]
    idempotency_key: str | None
    origin: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedUnreadable(Recorded):
    """An entry that cannot be read; `why` is the error in it."""

    why: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The entries recorded after a point, and the cursor from which to read on."""

    entries: tuple[Recorded, ...]
    cursor: str


# --- names ----------------------------------------------------------------------------------------


def lifecycles(connection: Connection) -> tuple[str, ...]:
    """Return the names of the lifecycles of the recorded tasks and creates, in order."""
    names = sa.union(sa.select(tasks.c.lifecycle), sa.select(creates.c.lifecycle))
    return tuple(sorted(each for each in connection.scalars(names) if isinstance(each, str)))


Named = str | Lifecycle[Any, Any]
"""A lifecycle, or its name; that of a lifecycle with scopes, such as `workflow-run`, means all of its scopes."""

Condition = Callable[[sa.Column[str]], sa.ColumnElement[bool]]


def name_of(lifecycle: Any) -> str | None:
    """Return the name of a lifecycle that is given as itself, by its name, or not at all; raise TypeError otherwise."""
    if isinstance(lifecycle, Lifecycle):
        return lifecycle.name
    if isinstance(lifecycle, str | None):
        return lifecycle
    raise TypeError(f"lifecycle must be a lifecycle or its name, not {lifecycle!r}")


def is_of(connection: Connection, name: str) -> Condition:
    """Return the condition that a column names this lifecycle; or one of its scopes, if it is not itself recorded."""
    if _is_recorded(connection, name):
        return lambda column: column == name
    prefix = sa.literal(f"{name}[", AnyText)
    return lambda column: sa.func.substr(column, 1, sa.func.length(prefix)) == prefix


def _is_recorded(connection: Connection, name: str) -> bool:
    found = (sa.exists().where(table.c.lifecycle == name) for table in (tasks, creates))
    return any(connection.scalar(sa.select(each)) for each in found)


def _meant(name: str, recorded: Collection[str]) -> list[str]:
    """Return the recorded names that a name means, which are those that `is_of` selects."""
    return [name] if name in recorded else [each for each in recorded if each.startswith(f"{name}[")]


def require_recorded(connection: Connection, lifecycle: Named | None, state: str | None = None) -> None:
    """Raise UnknownName if a query returned nothing because of a misspelt name.

    Raises:
        UnknownName: no task of that lifecycle is recorded; or no task in that state, and neither the given lifecycle, a
            recorded declaration nor the catalog declares the state. If nothing is recorded, a lifecycle may also be
            given as itself, or by the name of one that the catalog or a recorded declaration declares; and so may a
            state without a lifecycle.
    """
    name, recorded = name_of(lifecycle), lifecycles(connection)
    if recorded and name is not None and not _meant(name, recorded):
        extension = CATALOG[name].extended_by if name in CATALOG else None
        raise UnknownName("lifecycle", name, known=recorded, where="the journal", meant=extension)
    empty = "the journal, which is empty"
    own = [] if recorded else [each.lifecycle.name for each in stored(connection).values() if each.lifecycle]
    declared = tuple(dict.fromkeys([*CATALOG, *own]))
    if not recorded and isinstance(lifecycle, str) and lifecycle not in own and base_name(lifecycle) not in CATALOG:
        raise UnknownName("lifecycle", lifecycle, known=declared, where=empty)
    if state is not None:
        names = (_meant(name, recorded) or [name]) if name is not None else recorded or declared
        known = _states(connection, names, lifecycle)
        if state not in known:
            raise UnknownName("state", state, known=known, where=name or ("the journal" if recorded else empty))


def _states(connection: Connection, names: Collection[str], given: Named | None) -> dict[str, None]:
    """Return the states that a task of these lifecycles can have, or has, in order."""
    cataloged = [CATALOG[base_name(name)] for name in names if base_name(name) in CATALOG]
    of_tasks = tasks.c.lifecycle.in_(names)
    numbers = [*connection.scalars(sa.select(tasks.c.declaration).where(of_tasks).distinct())]
    then = [
        each.lifecycle
        for number, each in stored(connection).items()
        if each.lifecycle and (number in numbers or each.lifecycle.name in names)
    ]
    declared = [*cataloged, *([given] if isinstance(given, Lifecycle) else []), *then]
    found = connection.scalars(sa.select(tasks.c.state).where(of_tasks).distinct())
    states = (str(state.name) for each in declared for state in each.states)
    return dict.fromkeys([*states, *(each for each in found if isinstance(each, str))])


# --- tasks ----------------------------------------------------------------------------------------


def open_tasks(connection: Connection, lifecycle: str) -> list[str]:
    """Return the ids of the tasks that have an open command."""
    found = tasks.c.id.in_(sa.select(commands.c.task).where(_IS_OPEN))
    query = sa.select(tasks.c.task_id).where(found, tasks.c.lifecycle == lifecycle)
    return list(connection.scalars(query.order_by(tasks.c.id)))


def open_lifecycles(connection: Connection) -> list[str]:
    """Return the names of the lifecycles that have an open command or create, in order."""
    of_commands = sa.select(tasks.c.lifecycle).where(tasks.c.id.in_(sa.select(commands.c.task).where(_IS_OPEN)))
    names = sa.union(of_commands, sa.select(creates.c.lifecycle).where(creates.c.is_open))
    return sorted(connection.scalars(names))


_IS_OPEN = sa.text("lifecycle_commands.is_open")  # exactly as in the index, or SQLite would not use the index


def page(connection: Connection, lifecycle: Named | None, state: str | None, *, after: int, limit: int) -> Page:
    """Return a page of tasks. Raises UnknownName as `require_recorded`, if it would be empty."""
    name = name_of(lifecycle)
    is_open = sa.and_(commands.c.task == tasks.c.id, commands.c.is_open)
    declared_by = tasks.c.declaration == declarations.c.id
    query = (
        sa.select(tasks, commands, declarations.c.digest)
        .outerjoin_from(tasks, commands, is_open)
        .outerjoin(declarations, declared_by)
        .where(tasks.c.id > after)
    )
    if name is not None:
        query = query.where(is_of(connection, name)(tasks.c.lifecycle))
    if state is not None:
        query = query.where(tasks.c.state == state)
    rows = connection.execute(query.order_by(tasks.c.id).limit(limit + 1)).mappings().all()
    if not rows and after == 0:
        require_recorded(connection, lifecycle, state)
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(tuple(map(_task, shown)), shown[-1][tasks.c.id] if more else None)


def _task(row: RowMapping) -> TaskRow:
    columns = (
        tasks.c.lifecycle, tasks.c.task_id, tasks.c.state, tasks.c.version, tasks.c.as_of, tasks.c.since,
        tasks.c.first_at, tasks.c.changed_at, tasks.c.doubt, commands.c.command,
    )  # fmt: skip
    claimed_by = row[commands.c.worker] if row[commands.c.claimed_at] is not None else None
    values: dict[str, Any] = {each.name: row[each] for each in columns}
    values |= {"command_state": row[commands.c.state], "claimed_by": claimed_by}
    values["declaration"] = row[declarations.c.digest]
    wrong = [each for each in values.values() if isinstance(each, UnreadableValue)]
    if wrong:
        values = {name: None if isinstance(each, UnreadableValue) else each for name, each in values.items()}
        values["changed_at"] = values["changed_at"] or EPOCH
        values["error"] = "; ".join(each.why for each in wrong)
    return TaskRow(**values)


# --- entries --------------------------------------------------------------------------------------

_ENTRIES = (
    sa.select(entries, tasks, commands)
    .join_from(entries, tasks, entries.c.task == tasks.c.id)
    .outerjoin(commands, entries.c.command == commands.c.id)
)


def history(connection: Connection, task_id: str, lifecycle: Named | None) -> list[Recorded]:
    """Return a task's entries, oldest first, after the create that made it.

    Raises UnknownName as `require_recorded`, if there are none.
    """
    name = name_of(lifecycle)
    query = _ENTRIES.where(tasks.c.task_id == task_id)
    made = sa.select(creates).where(creates.c.task_id == task_id)
    if name is not None:
        of = is_of(connection, name)
        query, made = query.where(of(tasks.c.lifecycle)), made.where(of(creates.c.lifecycle))
    first = [_create(row) for row in connection.execute(made.order_by(creates.c.id)).mappings()]
    rows = connection.execute(query.order_by(entries.c.task, entries.c.id)).mappings().all()
    rest = [_entry(row, _times(row, after)) for row, after in zip(rows, [*rows, None][1:], strict=True)]
    if not (first or rest):
        require_recorded(connection, lifecycle)
    names = dict.fromkeys(each.lifecycle for each in (*rest, *first))
    return [each for name in names for each in (*first, *rest) if each.lifecycle == name]


def _create(row: RowMapping) -> Recorded:
    common: dict[str, Any] = {
        "lifecycle": row[creates.c.lifecycle],
        "task_id": row[creates.c.task_id],
        "at": row[creates.c.recorded_at],
        "worker": row[creates.c.recorded_by],
    }
    columns = (
        creates.c.attempts, creates.c.why, creates.c.fields, creates.c.labels,
        creates.c.idempotency_key, creates.c.origin, creates.c.reason,
    )  # fmt: skip
    try:
        require_readable_create(row)
        return RecordedCreate(**common, **{each.name: row[each] for each in columns}, id=str(row[creates.c.id]))
    except ValueError as error:
        return _unreadable(common, error)


def _unreadable(common: Mapping[str, Any], error: Exception) -> RecordedUnreadable:
    readable: dict[str, Any] = {
        name: "" if isinstance(each, UnreadableValue) else each for name, each in common.items()
    }
    readable["at"] = readable["at"] or EPOCH
    return RecordedUnreadable(**readable, why=str(error))


def _times(row: RowMapping, after: RowMapping | None) -> int:
    """Return how often a report was made in a row: from the entry after it, or from the task if it is the last."""
    is_last = after is None or after[entries.c.task] != row[entries.c.task]
    times: int = row[tasks.c.last_times] if is_last or after is None else after[entries.c.times_before]
    return times


def _entry(row: RowMapping, times: int | None = None) -> Recorded:
    common: dict[str, Any] = {
        "lifecycle": row[tasks.c.lifecycle],
        "task_id": row[tasks.c.task_id],
        "at": row[entries.c.at],
        "worker": row[entries.c.worker],
    }
    try:
        require_readable(row.values())
        return _readable_entry(row, common, times)
    except (TypeError, ValueError) as error:
        return _unreadable(common, error)


def _readable_entry(row: RowMapping, common: Mapping[str, Any], times: int | None) -> Recorded:
    if row[entries.c.command] is None:
        report_columns = (
            entries.c.status, entries.c.channel, entries.c.as_of, entries.c.before, entries.c.kind, entries.c.state,
            entries.c.late, entries.c.unconfirmed,
        )  # fmt: skip
        path = tuple(row[entries.c.path])
        return RecordedReport(**common, **{each.name: row[each] for each in report_columns}, path=path, times=times)
    columns = (
        commands.c.command, commands.c.source, entries.c.event, entries.c.attempts, entries.c.why, commands.c.fields,
        commands.c.idempotency_key, commands.c.origin, commands.c.reason,
    )  # fmt: skip
    values = {each.name: row[each] for each in columns}
    require_object("fields", values["fields"])
    values["source"] = values["source"] or None
    return RecordedCommand(**common, **values, id=str(row[entries.c.command]), state=row[entries.c.command_state])


def changes(connection: Connection, since: str | None, *, limit: int) -> Changes:
    """Return the entries that were recorded after a cursor; from the beginning if it is None, none if it is "now"."""
    if since == "now":
        return Changes((), _newest(connection))
    xact, number = _cursor(since)
    query = _ENTRIES.where(sa.tuple_(entries.c.xact, entries.c.id) > sa.tuple_(xact, number))
    if connection.dialect.name == "postgresql":
        query = query.where(entries.c.xact < _OLDEST_RUNNING)
    rows = connection.execute(query.order_by(entries.c.xact, entries.c.id).limit(limit)).mappings().all()
    if not rows and number > _last_number(connection):
        raise ValueError(
            f"the cursor {since!r} is ahead of this journal: another one gave it, or this file replaced an older one"
        )
    cursor = f"{rows[-1][entries.c.xact]}:{rows[-1][entries.c.id]}" if rows else f"{xact}:{number}"
    return Changes(tuple(_entry(row) for row in rows), cursor)


_OLDEST_RUNNING: sa.ColumnElement[int] = sa.literal_column(
    "pg_snapshot_xmin(pg_current_snapshot())::text::bigint", sa.BigInteger
)


def _last_number(connection: Connection) -> float:
    """Return the highest number that an entry ever had; infinity if it is not known, as on a replica that lags."""
    if connection.dialect.name == "postgresql":
        return float("inf")
    query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'lifecycle_entries'"
    return int(connection.exec_driver_sql(query).scalar_one())


def _newest(connection: Connection) -> str:
    """Return the cursor of the present: no transaction that commits later has a smaller number."""
    if connection.dialect.name == "postgresql":
        return f"{connection.execute(sa.select(_OLDEST_RUNNING)).scalar_one()}:0"
    return f"0:{connection.execute(sa.select(sa.func.coalesce(sa.func.max(entries.c.id), 0))).scalar_one()}"


def _cursor(since: str | None) -> tuple[int, int]:
    if since is None:
        return 0, 0
    parsed = _CURSOR.fullmatch(since)
    if parsed is None:
        raise ValueError(f"not a cursor of a journal's changes: {since!r}")
    return int(parsed[1]), int(parsed[2])


_CURSOR = re.compile("([0-9]{1,18}):([0-9]{1,18})")


# --- rows of a log --------------------------------------------------------------------------------


def reports(connection: Connection, lifecycle: Lifecycle[Any, Any]) -> Generator[dict[str, Any], None, Counter[str]]:
    """Yield the reports of all tasks of a lifecycle, and return the number of those that cannot be read, by task.

    Raises UnknownName if the lifecycle is not recorded, ValueError if a task's id is in several of its scopes.
    """
    require_recorded(connection, lifecycle)
    is_meant = is_of(connection, lifecycle.name)(tasks.c.lifecycle)
    _require_different_ids(connection, lifecycle.name, is_meant)
    query = (
        sa.select(tasks.c.task_id, entries.c.as_of, entries.c.status, entries.c.channel)
        .join_from(entries, tasks, entries.c.task == tasks.c.id)
        .where(is_meant, entries.c.command.is_(None))
        .order_by(entries.c.task, entries.c.as_of, entries.c.id)
    )
    unreadable = Counter[str]()
    for task_id, at, status, channel in connection.execute(query, execution_options={"yield_per": 1000}):
        try:
            require_readable((task_id, at, status, channel))
        except ValueError:
            unreadable["" if isinstance(task_id, UnreadableValue) else task_id] += 1
            continue
        state = None
        with suppress(UnknownName):  # the declaration no longer has the report's channel
            state = lifecycle.state_of(status, channel=channel)
        yield {"task_id": task_id, "at": at, "status": status if state is None else str(state)}
    return unreadable


def _require_different_ids(connection: Connection, name: str, is_meant: sa.ColumnElement[bool]) -> None:
    """Raise ValueError if a task's id is in several scopes: the rows of a log do not name the scope."""
    if _is_recorded(connection, name):
        return
    shared = sa.select(tasks.c.task_id).where(is_meant).group_by(tasks.c.task_id).having(sa.func.count() > 1).limit(1)
    task_id = connection.scalar(shared)
    if task_id is not None:
        of_task = sa.select(tasks.c.lifecycle).where(is_meant, tasks.c.task_id == task_id).order_by(tasks.c.lifecycle)
        scopes = " and ".join(connection.scalars(of_task.limit(2)))
        raise ValueError(f"{name} has a task {task_id!r} in several scopes, such as {scopes}; name one of them")
