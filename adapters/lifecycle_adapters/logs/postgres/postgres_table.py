"""A table of PostgreSQL as a source, the connection to its server, and that server as an engine."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg

from lifecycle.errors import nearest, shortened
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.connection_strings import fault_of_url, is_dsn, is_postgres, parameters
from lifecycle_adapters.logs.columns import Columns, require_columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog
from lifecycle_adapters.logs.postgres.postgres_dialect import POSTGRES, fitting_columns
from lifecycle_adapters.logs.records import parts_of, records
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog

_BATCH = 10_000  # rows that are fetched at once
_OLDEST_SERVER = 140_000  # the first whose EXTRACT is exact
_REPORT_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class PostgresTable:
    """A table or a view of PostgreSQL 14 or later.

    If rows have no time or sequence to order them, the order is that in which the server returns them: for a table,
    that in which they are stored. The transaction lasts until the checked log is closed.

    Args:
        url: `postgresql://user:password@host/database`, or a connection string of libpq.
        table: its exact name, or its schema, a dot and its name; without a schema, the first on the search path.
    Raises:
        TypeError: `url` or `table` is not a text.
        ValueError: `url` is neither.
    """

    url: str = field(repr=False)  # it may hold a password
    table: str

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"url must be text, not of type {type(self.url).__name__}")  # its value may hold a password
        require(self.table, str, "table must be the name of a table")
        _parameters(self.url)

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        """Load the table as `records` (see Source)."""
        connection = _connected(self.url)
        session.on_close(connection.close)
        engine = _Postgres(connection, session)
        relation, types = engine.find(self.table)
        require_columns([*types], columns, of=shortened(self.table))
        parts = fitting_columns(parts_of(columns), types)
        engine.make_records(records(relation, parts, columns, rules, POSTGRES, place="row_number() OVER ()"))
        return LoadedLog(engine, (self.table,), are_files=False)


class _Postgres:
    """A server of PostgreSQL as an Engine."""

    partition = "task"

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], session: DuckDbSession) -> None:
        if connection.info.server_version < _OLDEST_SERVER:
            raise EngineFailed(f"PostgreSQL 14 or later is needed, this is {connection.info.server_version // 10_000}")
        if connection.info.parameter_status("in_hot_standby") == "on":
            raise EngineFailed(
                "the server is a replica, which has no temporary tables to count in; name its primary server,"
                " or copy the table to a file"
            )
        self._connection = connection
        self._session = session
        self._cursors = (f"lifecycle_{number}" for number in count())

    @property
    def name(self) -> str:
        """Return the engine's name and version."""
        version = self._connection.info.parameter_status("server_version") or ""
        return f"PostgreSQL {version.split(' ')[0]}"

    def create_table(self, name: str, query: str) -> None:
        """Run a query and keep its result as a relation (see Engine)."""
        with _mapped_errors(), self._reporting("counting in PostgreSQL"):
            self._connection.execute(f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {query}".encode())

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query's result (see Engine)."""
        with _mapped_errors(), self._connection.cursor(next(self._cursors)) as cursor:
            with self._reporting("counting in PostgreSQL"):
                cursor.execute(query.encode())
            while batch := cursor.fetchmany(_BATCH):
                yield from batch

    def find(self, table: str) -> tuple[str, dict[str, str]]:
        """Return a relation's full name, and the type of each column; for a domain, the type on which it is based."""
        with _mapped_errors():
            found = self._connection.execute(_RELATION, [table, table]).fetchone()
            if found is None:
                known = [name for (name,) in self._connection.execute(_RELATIONS)]
                hint = f"; was {shortened(close)} meant?" if (close := nearest(table, known)) else ""
                raise UnusableLog(f"there is no table or view {shortened(table)} in the database{hint}")
            oid, schema, name = found
            types = dict(self._connection.execute(_COLUMNS, [oid]).fetchall())
            return f"{POSTGRES.identifier(schema)}.{POSTGRES.identifier(name)}", types

    def make_records(self, query: str) -> None:
        """Make `records` as a table, because a view may return other rows, or another order, the second time."""
        with _mapped_errors(), self._reporting("reading in PostgreSQL"):
            for setting in _SETTINGS:
                self._connection.execute(setting)
            self._connection.execute(f"CREATE TEMPORARY TABLE records ON COMMIT DROP AS {query}".encode())
            self._connection.execute("ANALYZE records")

    @contextmanager
    def _reporting(self, doing: str) -> Generator[None]:
        """Report progress repeatedly, from another thread, while the block runs; the share that is done is unknown."""
        ended = threading.Event()

        def report() -> None:
            while not ended.wait(_REPORT_EVERY_S):
                self._session.report_progress(doing, None)

        reporter = threading.Thread(target=report, name="lifecycle-logs", daemon=True)
        reporter.start()
        try:
            yield
        finally:
            ended.set()
            reporter.join()


_RELATION = """
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND ((c.relname = %s AND pg_table_is_visible(c.oid)) OR n.nspname || '.' || c.relname = %s)
ORDER BY pg_table_is_visible(c.oid) DESC, n.nspname LIMIT 1"""

_RELATIONS = """
SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""

_COLUMNS = """
SELECT a.attname, CASE
    WHEN t.typtype = 'e' THEN 'enum'
    WHEN t.typname = 'numeric'
    THEN format_type(t.oid, CASE own.typtype WHEN 'd' THEN own.typtypmod ELSE a.atttypmod END)
    ELSE t.typname END
FROM pg_attribute a
JOIN pg_type own ON own.oid = a.atttypid
JOIN pg_type t ON t.oid = CASE WHEN own.typtype = 'd' THEN own.typbasetype ELSE own.oid END
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"""

_SETTINGS = (
    # Our relations are found first, whatever the names of others and the search path are.
    "SELECT set_config('search_path', concat_ws(',', 'pg_temp', NULLIF(current_setting('search_path'), '')), true)",
    "SET LOCAL TimeZone = 'UTC'",
    # One process reads a table from its beginning to its end, and not in the order of an index.
    "SET LOCAL synchronize_seqscans = off",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL enable_indexonlyscan = off",
)

# --- the connection ----------------------------------------------------------------------------------


def _parameters(url: str) -> dict[str, str]:
    """Return the parameters of a URL or a connection string. Messages show no part of it: that may be the password."""
    if not is_postgres(url):
        raise ValueError("a table's URL must begin with postgresql://")
    if is_dsn(url):
        return parameters(url)
    own = f"postgresql://{url.partition('://')[2]}"
    given = {"host": "@"}
    with suppress(ValueError):
        given = parameters(own)
    if any("@" in given.get(name, "") for name in ("host", "dbname")):
        raise ValueError(fault_of_url(own))
    return given


def _connected(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    usual = {"connect_timeout": 10, "keepalives_idle": 10, "fallback_application_name": "lifecycle"}
    parameters: dict[str, Any] = {**usual, **_parameters(url), "client_encoding": "utf8"}
    with _mapped_errors():
        # Statements are not prepared: behind a pooler the next connection may not have them.
        connection = psycopg.connect(prepare_threshold=None, **parameters)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = False  # otherwise not even a temporary table can be made
    return connection


@contextmanager
def _mapped_errors() -> Generator[None]:
    try:
        yield
    except (psycopg.DataError, UnicodeError) as error:
        raise UnusableLog(f"PostgreSQL: {_first_line(error)}") from error
    except psycopg.Error as error:
        raise EngineFailed(f"PostgreSQL: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
