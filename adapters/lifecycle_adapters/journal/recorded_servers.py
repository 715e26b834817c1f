"""The servers that have a journal's tasks: one for each lifecycle, with every further URL of it that was added.

Tasks of two servers may have the same ids, so that a command would be settled at the wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from lifecycle.errors import OtherServer
from lifecycle.lifecycle import Lifecycle
from lifecycle.scope import base_name
from lifecycle_adapters.journal.database import Database, TransactionMode
from lifecycle_adapters.journal.schema import servers

_OF_LIFECYCLE = sa.select(servers.c.url).where(servers.c.lifecycle == sa.bindparam("of")).order_by(servers.c.id)


class KnownServers:
    """The servers of which one journal object knows that they are recorded. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[tuple[str, str]] = set()  # lifecycles' names without a scope, and URLs

    def transaction(
        self, lifecycle: Lifecycle[Any, Any], server: str | None, mode: TransactionMode = TransactionMode.WRITE
    ) -> AbstractContextManager[Connection]:
        """Return a transaction about tasks of this lifecycle at this server; one that writes records the first server.

        Raises OtherServer if they are at another server.
        """
        self.require(lifecycle, server, is_written=mode in (TransactionMode.WRITE, TransactionMode.WRITE_GROUPED))
        return self._database.transaction(mode)

    def require(self, lifecycle: Lifecycle[Any, Any], server: str | None, *, is_written: bool = True) -> None:
        """Record the server if none is recorded and `is_written`. Raises OtherServer if only others are recorded."""
        # Transactions of their own, as for declarations. No server is ever removed, so that one is looked up once.
        name = base_name(lifecycle.name)
        if server is None or (name, server) in self._known:
            return
        with self._database.transaction(TransactionMode.READ) as connection:
            recorded = _recorded(connection, name)
        if not recorded and is_written:
            # Grouped: a record of a task or a create is written after it.
            with self._database.transaction(TransactionMode.WRITE_GROUPED) as connection:
                _add(connection, name, server)
                recorded = _recorded(connection, name)
        if server in recorded:
            self._known.add((name, server))
        elif recorded:
            raise OtherServer(name, server, recorded)


def add(connection: Connection, server: str, lifecycles: Iterable[Lifecycle[Any, Any]]) -> None:
    """Record a further URL of the server of these lifecycles: each gets those that any has, and this one."""
    names = [base_name(each.name) for each in lifecycles]
    urls = [url for each in names for url in _recorded(connection, each)]
    for each in names:
        for url in dict.fromkeys([*urls, server]):
            _add(connection, each, url)
            _add(connection, each, url, is_further=True)


def _recorded(connection: Connection, name: str) -> tuple[str, ...]:
    return tuple(connection.scalars(_OF_LIFECYCLE, {"of": name}))


def _add(connection: Connection, name: str, server: str, *, is_further: bool = False) -> None:
    """Add a row, unless it would be the lifecycle's second first one, or the lifecycle has this URL already."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"lifecycle": name, "url": server, "is_further": is_further}
    connection.execute(insert(servers).on_conflict_do_nothing(), row)


def recorded(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Return the URLs by the names of the lifecycles, in the order in which they were recorded."""
    rows = connection.execute(sa.select(servers.c.lifecycle, servers.c.url).order_by(servers.c.id))
    found: dict[str, tuple[str, ...]] = {}
    for name, url in rows:
        found[name] = (*found.get(name, ()), url)
    return found
