"""The life of a command in a journal: each function is one turn at its task, as transactions.py says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from lifecycle.catalog import COMMAND, CommandEvent
from lifecycle.journal import (
    CommandOutcome,
    CommandRecord,
    Hold,
    RequestContext,
    apply_claim,
    apply_command,
    apply_event,
    may_attempt,
)
from lifecycle_adapters.journal.schema import commands, tasks
from lifecycle_adapters.journal.transactions import (
    ADD_ENTRY,
    Command,
    Record,
    TaskName,
    TaskTransaction,
    Writer,
    check_index_length,
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
_KEEP_COMMAND = (
    sa.update(commands)
    .where(commands.c.id == sa.bindparam("of"))
    .values({name: sa.bindparam(name) for name in (
        "state", "is_open", "attempts", "why", "claim", "worker", "session", "held_at"
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
    .values(held_at=None)
)


def open_command(
    turn: TaskTransaction, intent: Mapping[str, Any], context: RequestContext, *, version: int
) -> Command | Record:
    """Open a command, as `TaskJournal.add_intent`; `intent` has its `command`, `source` and `fields`."""
    known, author = turn.known, turn.writer
    record, times = known.record, known.repeat_count
    is_used = (
        context.idempotency_key is not None
        and find_command(turn.connection, turn.task, author, context.idempotency_key) is not None
    )
    if record.version != version or record.open_command is not None or is_used:
        known.require_locked()
        return record
    hold = Hold(author.worker, author.now + author.lease)
    opened: Command = CommandRecord("", state=COMMAND.initial, context=context, hold=hold, **intent)
    known.record = apply_command(record, opened)
    _end_repetition(turn)
    row = {
        **intent,
        "source": opened.source or "",
        "task": known.id,
        "state": COMMAND.initial,
        "is_open": True,
        "attempts": 0,
        "idempotency_key": context.idempotency_key and check_index_length("idempotency key", context.idempotency_key),
        "origin": context.origin,
        "reason": context.reason,
        "why": "",
        "claim": opened.claim,
        "worker": author.worker,
        "session": author.session,
        "held_at": author.now,
    }
    opened = replace(opened, id=str(turn.connection.execute(_ADD_COMMAND, row).scalar_one()))
    known.record = replace(known.record, open_command=opened)
    _enter(turn, opened, times, event=None, why="intended")
    return opened


def find_command(connection: Connection, key: TaskName, author: Writer, command_key: str) -> Command | None:
    """Return the command that was opened under that key."""
    named = {"lifecycle": key.lifecycle.name, "task_id": key.task_id, "under": command_key}
    row = connection.execute(_BY_KEY, named).mappings().one_or_none()
    return None if row is None else _read(row, key, author)


def load_command(connection: Connection, key: TaskName, author: Writer, command_id: str) -> Command:
    """Return a command of the task, open or ended. Raises ValueError."""
    named = {"lifecycle": key.lifecycle.name, "task_id": key.task_id, "number": _number(command_id)}
    row = connection.execute(_BY_ID, named).mappings().one_or_none()
    if row is None:
        raise ValueError(f"the task has no command {command_id!r}")
    return _read(row, key, author)


def claim(turn: TaskTransaction, command_id: str, *, dead: Collection[str]) -> Command | None:
    """Claim an open command, unless a worker holds it that may be alive.

    Names are unique among the living: one who has the holder's name and another session is its
    successor. A claim in the future was made by a clock that has been set back since, and is void.
    """
    turn.known.require_locked()
    author, command = turn.writer, _command(turn, command_id)
    numbered = {"number": int(command.id), "of": turn.known.id}
    row = turn.connection.execute(_BY_NUMBER, numbered).mappings().one()
    held_at: datetime | None = row[commands.c.held_at]
    is_void = held_at is not None and held_at - author.now > author.lease
    is_successor = row[commands.c.worker] == author.worker and row[commands.c.session] != author.session
    hold = Hold(author.worker, author.now + author.lease)
    claimed = apply_claim(command, hold, now=author.now, is_successor=is_successor or is_void, dead=dead)
    return claimed and _move(turn, claimed, event=None, why="claimed")


def release(turn: TaskTransaction, command_id: str, *, claim: int) -> None:
    """End this session's claim of an open command."""
    named = {"of": _number(command_id), "under": claim, "by": turn.writer.session}
    record = turn.known.record
    if turn.connection.execute(_RELEASE, named).rowcount and record.open_command is not None:
        turn.known.record = replace(record, open_command=replace(record.open_command, hold=None))
        update_tasks(turn.connection, turn.writer, [turn.known])  # who knows it as held reads it again


def attempt(turn: TaskTransaction, command_id: str, *, number: int, claim: int) -> bool:
    """Record that an open command is about to be sent for the `number`-th time."""
    command = _command(turn, command_id)
    if not may_attempt(turn.task.lifecycle, turn.known.record, command_id, number=number, claim=claim):
        turn.known.require_locked()
        return False
    _move(turn, replace(command, attempts=number), event=None, why="sent")
    return True


def end(
    turn: TaskTransaction, command_id: str, event: CommandEvent, *, why: str, claim: int
) -> CommandOutcome[Any, Any]:
    """Move a command by an event of its lifecycle, if this claim still holds. Raises ValueError."""
    command = _command(turn, command_id)
    moved = apply_event(command, event, why=why, claim=claim)
    if moved is command:
        turn.known.require_locked()
    else:
        moved = _move(turn, moved, event=event, why=why)
    return CommandOutcome(turn.known.record, moved)


def _command(turn: TaskTransaction, command_id: str) -> Command:
    """A command of the task, as it is now, open or ended."""
    opened = turn.known.record.open_command
    if opened is not None and opened.id == command_id:
        return opened
    turn.known.require_locked()
    numbered = {"number": _number(command_id), "of": turn.known.id}
    row = turn.connection.execute(_BY_NUMBER, numbered).mappings().one_or_none()
    if row is None:
        raise ValueError(f"the task has no command {command_id!r}")
    return _read(row, turn.task, turn.writer)


def _read(row: RowMapping, key: TaskName, author: Writer) -> Command:
    with reading_of(key):
        require_readable(row.values())
        return command_of(row, key.lifecycle, author.lease)


def _number(command_id: str) -> int:
    """The number of a command; 0, which none has, where that is no id of this journal's."""
    return int(command_id) if re.fullmatch("[1-9][0-9]{0,17}", command_id) else 0


def _move(turn: TaskTransaction, command: Command, *, event: CommandEvent | None, why: str) -> Command:
    """Keep how a command is now, and return it. This worker holds it as long as it is open."""
    times, hold = turn.known.repeat_count, Hold(turn.writer.worker, turn.writer.now + turn.writer.lease)
    command = replace(command, hold=None if COMMAND.is_final(command.state) else hold)
    turn.known.record = apply_command(turn.known.record, command)
    _end_repetition(turn)
    _keep_command(turn, command)
    _enter(turn, command, times, event=event, why=why)
    return command


def _end_repetition(turn: TaskTransaction) -> None:
    turn.known.last, turn.known.repeat_count = None, 0
    update_tasks(turn.connection, turn.writer, [turn.known])


def _keep_command(turn: TaskTransaction, command: Command) -> None:
    """Keep how a command is now; whoever moves it holds it, as long as it is open."""
    is_open = not COMMAND.is_final(command.state)
    row = {
        "of": int(command.id),
        "state": command.state,
        "is_open": is_open,
        "attempts": command.attempts,
        "why": command.why,
        "claim": command.claim,
        "worker": turn.writer.worker,
        "session": turn.writer.session,
        "held_at": turn.writer.now if is_open else None,
    }
    turn.connection.execute(_KEEP_COMMAND, row)


def _enter(turn: TaskTransaction, command: Command, times_before: int, *, event: CommandEvent | None, why: str) -> None:
    row = {
        "task": turn.known.id,
        "at": turn.writer.now,
        "worker": turn.writer.worker,
        "command": int(command.id),
        "event": event,
        "command_state": command.state,
        "attempts": command.attempts,
        "why": why,
        "times_before": times_before,
    }
    turn.connection.execute(ADD_ENTRY, [row])
