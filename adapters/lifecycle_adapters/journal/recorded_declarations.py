"""The declarations under which a journal's tasks and entries were recorded: each text once, under its digest.

A task outlives the version of the program that recorded it. So every entry names the declaration by which it was
judged, and `journal check` judges it by that one again; the task's row names that of its last entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from lifecycle.errors import DefinitionError
from lifecycle.lifecycle import Lifecycle
from lifecycle.scope import base_name
from lifecycle_adapters.journal.database import Database, TransactionMode
from lifecycle_adapters.journal.schema import declarations, tasks


@dataclass(frozen=True, slots=True)
class RecordedDeclaration:
    """A declaration of the lifecycle named `lifecycle`, under which the last entry of `tasks` tasks was recorded.

    `text` is the declaration as JSON, which `Lifecycle.from_json` reads; the name in it may be that of another
    lifecycle whose declaration means the same.
    """

    lifecycle: str
    digest: str
    tasks: int
    text: str


class KnownDeclarations:
    """The numbers of the declarations that one journal object writes. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}  # by digest

    def ensure(self, lifecycles: Iterable[Lifecycle[Any, Any]]) -> None:
        """Store the declarations that are not stored yet.

        This is a transaction of its own, before that of what is recorded: two transactions that locked tasks and
        then stored the same declaration could wait for each other.
        """
        new = {each.digest: each for each in lifecycles if each.digest not in self._numbers}
        if not new:
            return
        query = sa.select(declarations.c.digest, declarations.c.id).where(declarations.c.digest.in_([*new]))
        with self._database.transaction(TransactionMode.READ) as connection:
            found: dict[str, int] = {row.digest: row.id for row in connection.execute(query)}
        if missing := sorted(new.keys() - found.keys()):
            rows = [{"digest": digest, "text": _text(new[digest])} for digest in missing]
            # Grouped: a record that needs it is written after it.
            with self._database.transaction(TransactionMode.WRITE_GROUPED) as connection:
                insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
                connection.execute(insert(declarations).on_conflict_do_nothing(), rows)
                found = {row.digest: row.id for row in connection.execute(query)}
        self._numbers |= found

    def number(self, lifecycle: Lifecycle[Any, Any]) -> int:
        """Return the number of a declaration that is stored."""
        return self._numbers[lifecycle.digest]


def _text(lifecycle: Lifecycle[Any, Any]) -> str:
    # The lifecycles of all scopes share one text, which does not name one of them.
    return lifecycle.replace(name=base_name(lifecycle.name)).to_json(indent=None)


class StoredDeclaration:
    """A row of the table: its lifecycle, or why that cannot be made of it."""

    def __init__(self, digest: str, text: str) -> None:
        self.lifecycle: Lifecycle[str, str] | None = None
        self.error: str | None = None
        try:
            read = Lifecycle.from_json(text)
        except (DefinitionError, TypeError) as error:
            self.error = f"it is not a declaration: {error}"
        else:
            if read.digest == digest:
                self.lifecycle = read
            else:
                self.error = f"its digest is {read.digest}, not {digest!s:.80}"

    @cached_property
    def states(self) -> frozenset[str]:
        """The names of its states; empty if there is an error."""
        return frozenset() if self.lifecycle is None else frozenset(each.name for each in self.lifecycle.states)

    @cached_property
    def commands(self) -> frozenset[str]:
        """The names of its commands; empty if there is an error."""
        return frozenset() if self.lifecycle is None else frozenset(self.lifecycle.commands)


def stored(connection: Connection) -> dict[int, StoredDeclaration]:
    """Return all stored declarations by number."""
    rows = connection.execute(sa.select(declarations).order_by(declarations.c.id)).mappings()
    return {
        row[declarations.c.id]: StoredDeclaration(row[declarations.c.digest], row[declarations.c.text]) for row in rows
    }


def ended_states(connection: Connection) -> dict[int, tuple[str, ...]]:
    """Return the states in which a task is over, of each stored declaration that can be read, by its number."""
    return {
        number: tuple(filter(each.lifecycle.is_over, each.states))
        for number, each in stored(connection).items()
        if each.lifecycle
    }


def recorded(connection: Connection) -> Iterator[RecordedDeclaration]:
    """Yield the declarations of the tasks' last entries, with the number of the tasks, lifecycle by lifecycle."""
    query = (
        sa.select(tasks.c.lifecycle, declarations.c.digest, sa.func.count(), declarations.c.text)
        .join_from(tasks, declarations, tasks.c.declaration == declarations.c.id)
        .group_by(tasks.c.lifecycle, declarations.c.id)
        .order_by(tasks.c.lifecycle, declarations.c.id)
    )
    for name, digest, count, text in connection.execute(query):
        yield RecordedDeclaration(name, digest, count, text)


def recorded_otherwise(connection: Connection, lifecycle: Lifecycle[Any, Any]) -> list[str]:
    """Return the ids of the tasks of a lifecycle of this name whose last entry is of another declaration."""
    same = sa.select(declarations.c.id).where(declarations.c.digest == lifecycle.digest)
    query = sa.select(tasks.c.task_id).where(tasks.c.lifecycle == lifecycle.name, tasks.c.declaration.not_in(same))
    return list(connection.scalars(query.order_by(tasks.c.id)))
