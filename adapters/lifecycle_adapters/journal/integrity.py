"""The integrity check: it replays every history and every command's events, and compares them with the stored rows.

It reads the entries alone, and the declaration under which each was recorded judges it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Inspector, RowMapping
from sqlalchemy.engine.reflection import ObjectKind

from lifecycle.catalog import COMMAND
from lifecycle.conformance import ObservationKind
from lifecycle.errors import LifecycleError
from lifecycle_adapters.journal import recorded_declarations, sql_creates
from lifecycle_adapters.journal.recorded_declarations import StoredDeclaration
from lifecycle_adapters.journal.schema import (
    AnyText,
    Count,
    Names,
    commands,
    creates,
    entries,
    metadata,
    schema_version,
    tasks,
)
from lifecycle_adapters.journal.transactions import require_object, require_readable


class DamageCode(StrEnum):
    """The kinds of damage; their values are stable."""

    WRONG_DECLARATION = "wrong_declaration"  # that of an entry or a task; what it judges cannot be checked
    BROKEN_HISTORY = "broken_history"  # an entry does not follow from those before it, or its task has no row
    WRONG_STATE = "wrong_state"  # the stored state, doubt or version is not the one that the history leads to
    UNLAWFUL_COMMAND = "unlawful_command"  # an event that a command's lifecycle refuses, or an attempt out of order
    WRONG_COMMAND = "wrong_command"  # a command's row is not what its events lead to, or names what does not exist
    WRONG_CREATE = "wrong_create"  # a create's row is inconsistent
    SEVERAL_OPEN = "several_open"  # two commands of a task are in flight
    UNDECLARED_STATE = "undeclared_state"  # it was in a state that its lifecycle does not declare, or no longer does
    UNREADABLE = "unreadable"  # a value is not of its column's type, such as a count below 0
    DAMAGED_FILE = "damaged_file"  # the database's own check reports it
    MISSING_TABLE = "missing_table"  # a table or a column is missing, so that nothing else is checked
    MISSING_COLUMN = "missing_column"
    MISSING_INDEX = "missing_index"  # one that keeps rules, such as one open command a task, or makes queries fast


@dataclass(frozen=True, slots=True)
class Damage:
    """One damage. `entry` is the number of the entry in which it shows, None if it concerns a whole task."""

    code: DamageCode
    lifecycle: str
    task_id: str
    entry: int | None
    message: str


def verify(connection: Connection) -> Iterator[Damage]:
    """Yield all damage, task after task."""
    yield from _damaged_file(connection)
    inspector = sa.inspect(connection)
    missing = [*_missing_parts(inspector)]
    if missing:  # no query would succeed
        yield from missing
        return
    yield from _missing_indexes(inspector)
    yield from _wrong_types(connection)
    yield from _negative_counts(connection)
    yield from _without_a_task(connection)
    for row, wrong in sql_creates.verify(connection):
        lifecycle_name, task_id = row[creates.c.lifecycle], row[creates.c.task_id]
        message = f"create {row[creates.c.id]}: {wrong}"
        yield Damage(DamageCode.WRONG_CREATE, str(lifecycle_name), str(task_id or ""), None, message)
    declared = recorded_declarations.stored(connection)
    for number, declaration in declared.items():
        if declaration.error is not None:
            yield Damage(DamageCode.WRONG_DECLARATION, "", "", None, f"declaration {number}: {declaration.error}")
    query = sa.select(tasks).order_by(tasks.c.id)
    for task in connection.execute(query, execution_options={"yield_per": 500}).mappings():
        yield from _TaskCheck(connection, declared, task).run()


def _damaged_file(connection: Connection) -> Iterator[Damage]:
    if connection.dialect.name == "sqlite":
        for (message,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if message != "ok":
                yield Damage(DamageCode.DAMAGED_FILE, "", "", None, message)


def _missing_parts(inspector: Inspector) -> Iterator[Damage]:
    wanted = (schema_version, *metadata.sorted_tables)
    there = inspector.get_multi_columns(filter_names=[table.name for table in wanted], kind=ObjectKind.ANY)
    for table in wanted:
        if (None, table.name) not in there:
            message = f"the table {table.name} is missing; nothing that needs it could be checked"
            yield Damage(DamageCode.MISSING_TABLE, "", "", None, message)
            continue
        names = {column["name"] for column in there[None, table.name]}
        for column in table.columns:
            if column.name not in names:
                message = f"the table {table.name} has no column {column.name}; nothing that needs it could be checked"
                yield Damage(DamageCode.MISSING_COLUMN, "", "", None, message)


def _missing_indexes(inspector: Inspector) -> Iterator[Damage]:
    names = [table.name for table in metadata.sorted_tables]
    indexes = inspector.get_multi_indexes(filter_names=names)
    constraints = inspector.get_multi_unique_constraints(filter_names=names)
    for table in metadata.sorted_tables:
        there = {str(each["name"]): bool(each["unique"]) for each in indexes.get((None, table.name), ())}
        there |= {str(each["name"]): True for each in constraints.get((None, table.name), ())}
        wanted = {str(index.name): bool(index.unique) for index in table.indexes}
        wanted |= {str(each.name): True for each in table.constraints if isinstance(each, sa.UniqueConstraint)}
        for name, is_unique in sorted(wanted.items()):
            if name not in there or (is_unique and not there[name]):
                message = f"the table {table.name} has no {'unique ' * is_unique}index {name}"
                yield Damage(DamageCode.MISSING_INDEX, "", "", None, message)


def _wrong_types(connection: Connection) -> Iterator[Damage]:
    """Yield the values of another type than their column's, which only SQLite keeps."""
    if connection.dialect.name != "sqlite":
        return
    for table in metadata.sorted_tables:
        [key] = table.primary_key.columns
        for column in table.columns:
            stored = "text" if isinstance(column.type, sa.Text | sa.JSON | AnyText | Names) else "integer"
            kind = sa.func.typeof(column)
            wrong = kind.not_in([stored, "null"] if column.nullable else [stored])
            query = sa.select(sa.type_coerce(key, sa.String), kind).where(wrong).limit(_MOST_WRONG)
            for row, found in connection.execute(query):
                message = f"{table.name}, row {row!s:.80}: {column.name} is stored as {found}, not as {stored}"
                yield Damage(DamageCode.UNREADABLE, "", "", None, message)


def _negative_counts(connection: Connection) -> Iterator[Damage]:
    for table in metadata.sorted_tables:
        [key] = table.primary_key.columns
        for column in table.columns:
            if isinstance(column.type, Count):
                query = sa.select(sa.type_coerce(key, sa.String), column).where(column < 0).limit(_MOST_WRONG)
                for row, found in connection.execute(query):
                    message = f"{table.name}, row {row!s:.80}: {column.name} is {found}, which is less than 0"
                    yield Damage(DamageCode.UNREADABLE, "", "", None, message)


def _without_a_task(connection: Connection) -> Iterator[Damage]:
    """Yield the entries and commands of tasks without a row: SQLite lets any other program delete that alone."""
    for table, code in ((entries, DamageCode.BROKEN_HISTORY), (commands, DamageCode.WRONG_COMMAND)):
        query = sa.select(table.c.id, table.c.task).where(table.c.task.not_in(sa.select(tasks.c.id)))
        for number, task in connection.execute(query.order_by(table.c.id).limit(_MOST_WRONG)):
            message = f"{table.name}, row {number}: its task {task} has no row"
            yield Damage(code, "", "", number if table is entries else None, message)


_MOST_WRONG = 100  # of one kind in one table: one mistake often affects all of its rows


@dataclass(slots=True)
class _CommandReplay:
    """The state of a command after the replay of its entries; `declaration` is the number of its intent's."""

    declaration: int
    state: str = COMMAND.initial
    attempts: int = 0

    @property
    def is_open(self) -> bool:
        return not COMMAND.is_final(self.state)  # type: ignore[arg-type]

    @property
    def leads_to(self) -> tuple[str, int, bool]:
        """Return the values that the command's row must have: its state, its attempts, and whether it is open."""
        return str(self.state), self.attempts, self.is_open


@dataclass(slots=True)
class _TaskCheck:
    """The check of one task: one pass over its entries."""

    connection: Connection
    declarations: Mapping[int, StoredDeclaration]
    task: RowMapping
    state: Any = None
    doubt: Any = None
    version: int = 0
    replays: dict[int, _CommandReplay] = field(default_factory=dict[int, _CommandReplay])
    undeclared: dict[str, None] = field(default_factory=dict[str, None])  # states that were recorded, in order
    missing: dict[int, None] = field(default_factory=dict[int, None])  # declarations that are not stored, in order

    def run(self) -> Iterator[Damage]:
        """Yield the damage of the task; if an entry cannot be read, one damage reports that, and the check ends."""
        try:
            require_readable(self.task.values())
            yield from self._entries()
            yield from self._commands()
        except (TypeError, ValueError) as error:
            yield self._damage(DamageCode.UNREADABLE, None, f"it cannot be examined further: {error}")
        if self.undeclared:
            names = ", ".join(map(repr, self.undeclared))
            yield self._damage(DamageCode.UNDECLARED_STATE, None, f"not declared, so not examined: {names}")
        for number in self.missing:
            yield self._damage(DamageCode.WRONG_DECLARATION, None, f"declaration {number} is missing")

    def _entries(self) -> Iterator[Damage]:
        query = sa.select(entries).where(entries.c.task == self.task[tasks.c.id]).order_by(entries.c.id)
        present, last, is_sound = self.task[tasks.c.declaration], None, True
        for row in self.connection.execute(query).mappings():
            require_readable(row.values())
            last = row[entries.c.declaration]
            self._declaration(last)
            wrong = [*(self._report(row) if row[entries.c.command] is None else self._event(row))]
            is_sound = is_sound and not wrong
            yield from wrong
        for kept, found in ((self.task[tasks.c.state], self.state), (self.task[tasks.c.doubt], self.doubt)):
            if kept != found:
                message = f"{kept!r} is kept, the history leads to {found!r}"
                yield self._damage(DamageCode.WRONG_STATE, None, message)
        if is_sound and not self.undeclared and not self.missing and self.task[tasks.c.version] != self.version:
            message = f"version {self.task[tasks.c.version]} is kept, the history leads to {self.version}"
            yield self._damage(DamageCode.WRONG_STATE, None, message)
        self._declaration(present)
        if last not in (None, present):
            message = f"declaration {present} is kept, the last entry was recorded under {last}"
            yield self._damage(DamageCode.WRONG_DECLARATION, None, message)

    def _report(self, row: RowMapping) -> Iterator[Damage]:
        before = self.state, self.doubt
        try:
            wrong = self._wrong(row)
        except LifecycleError as error:
            wrong = str(error)
        if wrong:
            yield self._damage(DamageCode.BROKEN_HISTORY, row, wrong)
        self.state = row[entries.c.state]
        self.version += (self.state, self.doubt) != before

    def _wrong(self, row: RowMapping) -> str | None:
        """Return the error in a report; None if it is correct."""
        before, state, path = row[entries.c.before], row[entries.c.state], row[entries.c.path]
        status, channel = row[entries.c.status], row[entries.c.channel]
        if before != self.state:
            return f"it was judged in {before!r}, the history leads to {self.state!r}"
        declaration = self._declaration(row[entries.c.declaration])
        if declaration is None or declaration.lifecycle is None:
            return None
        lifecycle = declaration.lifecycle
        undeclared = [each for each in (before, state) if each is not None and each not in declaration.states]
        if undeclared:
            self.undeclared |= dict.fromkeys(undeclared)
            return None
        if before is None:
            reported = lifecycle.state_of(status, channel=channel)
            return None if reported == state else f"first {status!r} is {reported!r}, {state!r} was kept"
        observation = lifecycle.observe(before, status, channel=channel)
        # Equal declarations may list their rows in another order, by which one of the shortest paths is chosen.
        is_path = len(path) == len(observation.path) and lifecycle.replay(path, start=before) == observation.state
        if observation.kind != row[entries.c.kind] or not is_path:
            return f"{status!r} after {before!r} is {observation.kind}, {row[entries.c.kind]} was recorded"
        is_applied = not (row[entries.c.late] or row[entries.c.unconfirmed])
        kept = observation.state if is_applied else before
        if is_applied and lifecycle.is_final(before):
            # A report that contradicts a final state puts it in doubt, until a report confirms it.
            match observation.kind:
                case ObservationKind.SAME:
                    self.doubt = None
                case ObservationKind.STALE | ObservationKind.CONFLICT:
                    self.doubt = observation.reported
                case _:
                    pass
        return None if kept == state else f"{kept!r} should have been kept, not {state!r}"

    def _declaration(self, number: int) -> StoredDeclaration | None:
        """Return a declaration, or note that it is missing."""
        found = self.declarations.get(number)
        if found is None:
            self.missing[number] = None
        return found

    def _event(self, row: RowMapping) -> Iterator[Damage]:
        number: int = row[entries.c.command]
        self.version += 1
        replay = self.replays.setdefault(number, _CommandReplay(row[entries.c.declaration]))
        try:
            event = row[entries.c.event]
            if event is not None:
                replay.state = COMMAND.step(replay.state, event)  # type: ignore[arg-type]
        except LifecycleError as error:
            yield self._damage(DamageCode.UNLAWFUL_COMMAND, row, f"command {number}: {error}")
        if not 0 <= row[entries.c.attempts] - replay.attempts <= 1:
            yield self._damage(DamageCode.UNLAWFUL_COMMAND, row, f"command {number}: attempts out of order")
        replay.attempts = row[entries.c.attempts]
        if replay.state != row[entries.c.command_state]:
            message = f"command {number} is {replay.state!r} here, {row[entries.c.command_state]!r} was recorded"
            yield self._damage(DamageCode.UNLAWFUL_COMMAND, row, message)
        opened = [each for each, replay in self.replays.items() if replay.is_open]
        if len(opened) > 1:
            yield self._damage(DamageCode.SEVERAL_OPEN, row, f"commands {opened} are in flight")

    def _commands(self) -> Iterator[Damage]:
        query = sa.select(commands).where(commands.c.task == self.task[tasks.c.id]).order_by(commands.c.id)
        kept = {row[commands.c.id]: row for row in self.connection.execute(query).mappings()}
        for number in sorted({*kept, *self.replays}):
            row, replay = kept.get(number), self.replays.get(number)
            if row is not None:
                require_readable(row.values())
                require_object("fields", row[commands.c.fields])
            if row is None or replay is None:
                yield self._damage(
                    DamageCode.WRONG_COMMAND, None, f"command {number} has no {'row' if replay else 'entries'}"
                )
                continue
            now = (row[commands.c.state], row[commands.c.attempts], row[commands.c.is_open])
            if now != replay.leads_to:
                message = f"command {number} is kept as {now}, its entries lead to {replay.leads_to}"
                yield self._damage(DamageCode.WRONG_COMMAND, None, message)
            if undeclared := self._undeclared_names(row, replay.declaration):
                message = f"command {number}: not declared: {', '.join(map(repr, undeclared))}"
                yield self._damage(DamageCode.WRONG_COMMAND, None, message)

    def _undeclared_names(self, row: RowMapping, number: int) -> list[str]:
        """Return which of a command's name and its source are not in a declaration."""
        declaration = self._declaration(number)
        if declaration is None or declaration.lifecycle is None:
            return []
        command, source = row[commands.c.command], row[commands.c.source]
        # The source is empty for a stop of a task that could not be read.
        is_wrong = (command, command not in declaration.commands), (source, source not in {"", *declaration.states})
        return [name for name, wrong in is_wrong if wrong]

    def _damage(self, code: DamageCode, row: RowMapping | None, message: str) -> Damage:
        entry = None if row is None else row[entries.c.id]
        return Damage(code, str(self.task[tasks.c.lifecycle]), str(self.task[tasks.c.task_id]), entry, message)
