"""The commands of a journal. Each function runs inside one transaction on its task (`TaskTransaction`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from lifecycle.catalog import COMMAND, CommandEvent
from lifecycle.errors import RecordMissing
from lifecycle.journal import CommandOutcome, CommandRecord, Lease, RequestContext, check_name
from lifecycle.reducers import apply_claim, apply_command, apply_event, may_attempt
from lifecycle_adapters.journal.schema import commands, tasks
from lifecycle_adapters.journal.transactions import (
    ADD_ENTRY,
    Command,
    Record,
    TaskName,
    TaskTransaction,
    Writer,
    command_of,
    reading_of,
    require_readable,
    update_tasks,
)

_ADD_COMMAND = sa.insert(commands).returning(commands.c.id)
_BY_NUMBER = sa.select(commands).where(commands.c.id == sa.bindparam("number"), commands.c.task == sa.bindparam("of"))
_OF_TASK = (
    sa.select(commands)
    .join(tasks, commands.c.task == tasks.c.id)
    .where(tasks.c.lifecycle == sa.bindparam("lifecycle"), tasks.c.task_id == sa.bindparam("task_id"))
)
_BY_KEY = _OF_TASK.where(commands.c.idempotency_key == sa.bindparam("under"))
_BY_ID = _OF_TASK.where(commands.c.id == sa.bindparam("number"))
_UPDATE_COMMAND = (
    sa.update(commands)
    .where(commands.c.id == sa.bindparam("of"))
    .values({name: sa.bindparam(name) for name in (
        "state", "is_open", "attempts", "why", "claim", "worker", "session", "claimed_at"
    )})
)  # fmt: skip
_RELEASE = (
    sa.update(commands)
    .where(
        commands.c.id == sa.bindparam("of"),
        commands.c.claim == sa.bindparam("under"),
        commands.c.session == sa.bindparam("by"),
        commands.c.is_open,
    )
    .values(claimed_at=None)
)


def open_command(
    transaction: TaskTransaction, intent: Mapping[str, Any], context: RequestContext, *, version: int
) -> Command | Record:
    """Open a command, or return the task's record if it has changed, a command is open, or the key is used.

    `intent` has the `command`, its `source` and its `fields`.
    """
    known, writer = transaction.known, transaction.writer
    record, times = known.record, known.repeat_count
    is_used = (
        context.idempotency_key is not None
        and find_command(transaction.connection, transaction.task, writer, context.idempotency_key) is not None
    )
    if record.version != version or record.open_command is not None or is_used:
        known.require_locked()
        return record
    lease = Lease(writer.worker, writer.now + writer.lease)
    opened: Command = CommandRecord("", state=COMMAND.initial, context=context, lease=lease, **intent)
    known.record = apply_command(record, opened)
    _end_repetition(transaction)
    row = {
        **intent,
        "source": opened.source or "",
        "task": known.id,
        "state": COMMAND.initial,
        "is_open": True,
        "attempts": 0,
        "idempotency_key": context.idempotency_key and check_name("idempotency key", context.idempotency_key),
        "origin": context.origin,
        "reason": context.reason,
        "why": "",
        "claim": opened.claim,
        "worker": writer.worker,
        "session": writer.session,
        "claimed_at": writer.now,
    }
    opened = replace(opened, id=str(transaction.connection.execute(_ADD_COMMAND, row).scalar_one()))
    known.record = replace(known.record, open_command=opened)
    _enter(transaction, opened, times, event=None, why="intended")
    return opened


def find_command(connection: Connection, key: TaskName, writer: Writer, command_key: str) -> Command | None:
    """Return the command that was opened under this idempotency key; None if there is none."""
    named = {"lifecycle": key.lifecycle.name, "task_id": key.task_id, "under": command_key}
    row = connection.execute(_BY_KEY, named).mappings().one_or_none()
    return None if row is None else _read(row, key, writer)


def load_command(connection: Connection, key: TaskName, writer: Writer, command_id: str) -> Command:
    """Return a command of the task, open or ended. Raises RecordMissing if the task has no such command."""
    named = {"lifecycle": key.lifecycle.name, "task_id": key.task_id, "number": _number(command_id)}
    row = connection.execute(_BY_ID, named).mappings().one_or_none()
    if row is None:
        raise RecordMissing(command_id, lifecycle=key.lifecycle.name, task=key.task_id)
    return _read(row, key, writer)


def claim(transaction: TaskTransaction, command_id: str, *, dead: Collection[str]) -> Command | None:
    """Claim an open command; return None if it has ended, or a worker that may be alive has claimed it.

    Names are unique among running workers: a worker with the same name and another session is the
    successor of the one that has claimed it. A claim in the future was made by a clock that has been set back
    since, and is void.
    """
    transaction.known.require_locked()
    writer, command = transaction.writer, _command(transaction, command_id)
    numbered = {"number": int(command.id), "of": transaction.known.id}
    row = transaction.connection.execute(_BY_NUMBER, numbered).mappings().one()
    claimed_at: datetime | None = row[commands.c.claimed_at]
    is_void = claimed_at is not None and claimed_at - writer.now > writer.lease
    is_successor = row[commands.c.worker] == writer.worker and row[commands.c.session] != writer.session
    lease = Lease(writer.worker, writer.now + writer.lease)
    claimed = apply_claim(command, lease, now=writer.now, is_successor=is_successor or is_void, dead=dead)
    return claimed and _store(transaction, claimed, event=None, why="claimed")


def release(transaction: TaskTransaction, command_id: str, *, claim: int) -> None:
    """End this session's claim of an open command."""
    known = transaction.known
    record, opened = known.record, known.record.open_command
    if opened is None or (opened.id, opened.claim) != (command_id, claim):
        known.require_locked()
        return
    # The task's row first, as in every transaction: otherwise two workers could wait for each other. It makes the
    # snapshots of other workers stale.
    update_tasks(transaction.connection, transaction.writer, [known])
    named = {"of": int(command_id), "under": claim, "by": transaction.writer.session}
    if transaction.connection.execute(_RELEASE, named).rowcount:
        known.record = replace(record, open_command=replace(opened, lease=None))


def attempt(transaction: TaskTransaction, command_id: str, *, number: int, claim: int) -> bool:
    """Record that an open command is about to be sent for the `number`-th time."""
    command = _command(transaction, command_id)
    if not may_attempt(transaction.task.lifecycle, transaction.known.record, command_id, number=number, claim=claim):
        transaction.known.require_locked()
        return False
    _store(transaction, replace(command, attempts=number), event=None, why="sent")
    return True


def end(
    transaction: TaskTransaction, command_id: str, event: CommandEvent, *, why: str, claim: int
) -> CommandOutcome[Any, Any]:
    """Apply an event of its lifecycle to a command, if this claim is still valid; otherwise change nothing.

    Raises ValueError if the task has no such command.
    """
    command = _command(transaction, command_id)
    after = apply_event(command, event, why=why, claim=claim, lease=command.lease)
    if after is command:
        transaction.known.require_locked()
    else:
        after = _store(transaction, after, event=event, why=why)
    return CommandOutcome(transaction.known.record, after)


def _command(transaction: TaskTransaction, command_id: str) -> Command:
    """Return a command of the task as it is now, open or ended. Raises RecordMissing if the task has none such."""
    opened = transaction.known.record.open_command
    if opened is not None and opened.id == command_id:
        return opened
    transaction.known.require_locked()
    numbered = {"number": _number(command_id), "of": transaction.known.id}
    row = transaction.connection.execute(_BY_NUMBER, numbered).mappings().one_or_none()
    if row is None:
        raise RecordMissing(command_id, lifecycle=transaction.task.lifecycle.name, task=transaction.task.task_id)
    return _read(row, transaction.task, transaction.writer)


def _read(row: RowMapping, key: TaskName, writer: Writer) -> Command:
    with reading_of(key):
        require_readable(row.values())
        return command_of(row, key.lifecycle, writer.lease)


def _number(command_id: str) -> int:
    """Return the row id of a command; 0, which no row has, if the text is not an id of this journal."""
    return int(command_id) if re.fullmatch("[1-9][0-9]{0,17}", command_id) else 0


def _store(transaction: TaskTransaction, command: Command, *, event: CommandEvent | None, why: str) -> Command:
    """Write a changed command and its entry, and return it; its claim is renewed as long as it is open."""
    times, lease = (
        transaction.known.repeat_count,
        Lease(transaction.writer.worker, transaction.writer.now + transaction.writer.lease),
    )
    command = replace(command, lease=None if COMMAND.is_final(command.state) else lease)
    transaction.known.record = apply_command(transaction.known.record, command)
    _end_repetition(transaction)
    _update_command(transaction, command)
    _enter(transaction, command, times, event=event, why=why)
    return command


def _end_repetition(transaction: TaskTransaction) -> None:
    transaction.known.last, transaction.known.repeat_count = None, 0
    transaction.known.declaration = transaction.writer.declarations.number(transaction.task.lifecycle)
    update_tasks(transaction.connection, transaction.writer, [transaction.known])


def _update_command(transaction: TaskTransaction, command: Command) -> None:
    """Update the row of a command; the worker that writes has claimed it, as long as it is open."""
    is_open = not COMMAND.is_final(command.state)
    row = {
        "of": int(command.id),
        "state": command.state,
        "is_open": is_open,
        "attempts": command.attempts,
        "why": command.why,
        "claim": command.claim,
        "worker": transaction.writer.worker,
        "session": transaction.writer.session,
        "claimed_at": transaction.writer.now if is_open else None,
    }
    transaction.connection.execute(_UPDATE_COMMAND, row)


def _enter(
    transaction: TaskTransaction, command: Command, times_before: int, *, event: CommandEvent | None, why: str
) -> None:
    row = {
        "task": transaction.known.id,
        "declaration": transaction.known.declaration,
        "at": transaction.writer.now,
        "worker": transaction.writer.worker,
        "command": int(command.id),
        "event": event,
        "command_state": command.state,
        "attempts": command.attempts,
        "why": why,
        "times_before": times_before,
    }
    transaction.connection.execute(ADD_ENTRY, [row])
