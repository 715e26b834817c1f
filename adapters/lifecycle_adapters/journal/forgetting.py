"""Deletion from a journal: everything about one task, or old tasks that are over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from lifecycle_adapters.journal.journal_reader import Condition, is_of
from lifecycle_adapters.journal.schema import commands, creates, deliveries, entries, tasks

_PRUNED_AT_A_TIME = 500


def forget(connection: Connection, task_id: str, lifecycle: str | None) -> int:
    """Delete everything about a task, and return the number of deleted tasks (one for each lifecycle)."""
    of = None if lifecycle is None else is_of(connection, lifecycle)
    received = sa.update(deliveries).where(_named(deliveries, task_id, of))
    # The rows stay: a delivery that is not recognised could be replayed, and record the task again.
    connection.execute(received.values(body="", lifecycle=None, task_id=None))
    connection.execute(sa.delete(creates).where(_named(creates, task_id, of)))
    return _delete(connection, _named(tasks, task_id, of))


def _named(table: sa.Table, task_id: str, of: Condition | None) -> sa.ColumnElement[bool]:
    named = table.c.task_id == task_id
    return named if of is None else sa.and_(named, of(table.c.lifecycle))


def prune(connection: Connection, before: datetime, ends: Mapping[int, Sequence[str]]) -> int:
    """Delete up to 500 tasks that are over, and old deliveries; return the number of deleted tasks.

    `ends` are the states of each declaration in which a task is over, by its number.
    """
    is_over = sa.or_(
        sa.false(),
        *(sa.and_(tasks.c.declaration == number, tasks.c.state.in_(states)) for number, states in ends.items()),
    )
    is_open = sa.exists().where(commands.c.task == tasks.c.id, commands.c.is_open)
    connection.execute(sa.delete(deliveries).where(deliveries.c.received_at < before))
    made_none = sa.and_(creates.c.task_id.is_(None), ~creates.c.is_open)
    connection.execute(sa.delete(creates).where(creates.c.changed_at < before, made_none))
    return _delete(connection, sa.and_(tasks.c.changed_at < before, is_over, ~is_open))


def _delete(connection: Connection, which: sa.ColumnElement[bool]) -> int:
    some = sa.select(tasks.c.id).where(which).order_by(tasks.c.id).limit(_PRUNED_AT_A_TIME).with_for_update()
    ids = list(connection.scalars(some))
    made = sa.and_(tasks.c.lifecycle == creates.c.lifecycle, tasks.c.task_id == creates.c.task_id)
    connection.execute(sa.delete(creates).where(sa.exists().where(made, tasks.c.id.in_(ids))))
    for table, column in ((entries, entries.c.task), (commands, commands.c.task), (tasks, tasks.c.id)):
        connection.execute(sa.delete(table).where(column.in_(ids)))
    return len(ids)
