"""The servers that have a journal's tasks: one for the lifecycles of a service, with every further URL of it.

Tasks of two servers may have the same ids, so that a command would be settled at the wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from lifecycle.errors import OtherServer
from lifecycle.journal import Server
from lifecycle.lifecycle import Lifecycle
from lifecycle.scope import base_name
from lifecycle_adapters.journal.database import Database, TransactionMode
from lifecycle_adapters.journal.schema import servers

_OF_LIFECYCLE = sa.select(servers.c.url).where(servers.c.lifecycle == sa.bindparam("of")).order_by(servers.c.id)


class KnownServers:
    """The servers of which one journal object knows that they are recorded. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[tuple[str, Server]] = set()  # with lifecycles' names without a scope

    def transaction(
        self, lifecycle: Lifecycle[Any, Any], server: Server | None, mode: TransactionMode = TransactionMode.WRITE
    ) -> AbstractContextManager[Connection]:
        """Return a transaction about tasks of this lifecycle at this server; one that writes records the first server.

        Raises OtherServer if they are at another server.
        """
        self.require(lifecycle, server, is_written=mode in (TransactionMode.WRITE, TransactionMode.WRITE_GROUPED))
        return self._database.transaction(mode)

    def require(self, lifecycle: Lifecycle[Any, Any], server: Server | None, *, is_written: bool = True) -> None:
        """Record the server, if `is_written`, for all its lifecycles that have none.

        Raises OtherServer, and records nothing, if one of them has only others.
        """
        # Transactions of their own, as for declarations. No server is ever removed, so that one is looked up once.
        if server is None or (base_name(lifecycle.name), server) in self._known:
            return
        names = server.names(lifecycle)
        with self._database.transaction(TransactionMode.READ) as connection:
            is_recorded = _is_recorded(connection, names, server.url)
        if not is_recorded and is_written:
            # Grouped: a record of a task or a create is written after it.
            with self._database.transaction(TransactionMode.WRITE_GROUPED) as connection:
                for name in sorted(names):  # in one order, or two workers could wait for each other's rows
                    _add(connection, name, server.url)
                is_recorded = _is_recorded(connection, names, server.url)  # a failure undoes what was added
        if is_recorded:
            self._known.add((names[0], server))


def add(connection: Connection, server: Server) -> None:
    """Record a further URL of the server of these lifecycles: each gets those that any has, and this one."""
    urls = [url for each in server.lifecycles for url in _recorded(connection, each)]
    for each in sorted(server.lifecycles):
        for url in dict.fromkeys([*urls, server.url]):
            _add(connection, each, url)
            _add(connection, each, url, is_further=True)


def _is_recorded(connection: Connection, names: Sequence[str], url: str) -> bool:
    """Return whether each lifecycle is at this server. Raises OtherServer if one is at another."""
    is_recorded = True
    for name in names:
        recorded = _recorded(connection, name)
        if recorded and url not in recorded:
            raise OtherServer(name, url, recorded)
        is_recorded = is_recorded and bool(recorded)
    return is_recorded


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
