"""The database under a journal: connections, the start of transactions, and the mapping of errors.

The differences between the databases are in this module alone: SQLite in WAL mode with one writer at a time, and
PostgreSQL with psycopg. Both make a commit durable before it returns, except that SQLite may group a commit with
a durable one that must follow (`TransactionMode.WRITE_GROUPED`): SQLite writes commits in order, so that one makes
all before it durable. PostgreSQL always commits durably: a server can crash alone, and could then reissue ids that
living clients still have.

On both, a statement of ours begins each transaction. On PostgreSQL every setting is made within a transaction, so
that a pooler in between (PgBouncer in transaction mode) can run each transaction on another connection: no
`options` in the connection string, no setting for the session, no prepared statement on the server.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import weakref
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event, exc
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool, QueuePool

from lifecycle.errors import MissingExtra, shortened
from lifecycle_adapters.argument_checks import require_boolean, require_secret
from lifecycle_adapters.connection_strings import NO_PLACE, NOT_A_URL, is_dsn, is_sendable, is_url, parameters
from lifecycle_adapters.journal.journal_errors import (
    JournalError,
    JournalReadOnly,
    JournalUnavailable,
    JournalVersionMismatch,
    NotAJournal,
)
from lifecycle_adapters.journal.schema import VERSION, metadata, read_json, schema_version
from lifecycle_adapters.journal.sqlite_file import MOUNTS, SqliteFile, Stamp

LOCK_TIMEOUT_S = 30  # the longest wait of a transaction for the locks of others


class TransactionMode(StrEnum):
    """The durability and isolation of a transaction."""

    WRITE = "now"  # once committed, it survives a crash of the machine
    WRITE_GROUPED = "soon"  # on SQLite it survives a crash of the process; of the machine, after the next WRITE
    READ = "read"  # read only; each of its statements has a snapshot of its own
    SNAPSHOT = "snapshot"  # read only; all of its statements share one snapshot


_READING = (TransactionMode.READ, TransactionMode.SNAPSHOT)


class Database:
    """A database that contains a journal; its tables are created if they are missing.

    Args:
        url: a path of a file, a SQLAlchemy URL (`sqlite:///journal.db`, `postgresql://...`), or a connection
            string of libpq. A missing file is created, readable for its owner only.
        read_only: whether nothing is ever written; the file may then belong to another user, the server may be a
            replica.
        mounts: the file in which the system lists its file systems.
    Raises:
        TypeError: `url` is not a path or a URL in text, or `read_only` is not True or False.
        ValueError: the URL is of a database that is not supported, or is not valid.
        JournalUnavailable: it cannot be reached, or is locked.
        JournalReadOnly: it can be read but not written, and `read_only` is False.
        NotAJournal: it is not a database, contains other tables, or is damaged.
        JournalVersionMismatch: another version of this library created its tables.
    """

    def __init__(self, url: str | os.PathLike[str], *, read_only: bool = False, mounts: Path = MOUNTS) -> None:
        require_boolean(read_only, "read_only")
        self.url = _url(url)
        self.where = _shown(self.url)
        self.read_only = read_only
        self._is_closed = False
        self._inode: int | None = None
        try:
            self._file = SqliteFile(str(self.url.database), mounts) if self._is_sqlite else None
        except (OSError, ValueError) as error:  # a name that is too long, or contains a null byte
            reason = str(error) if isinstance(error, ValueError) else error.strerror
            raise NotAJournal(f"no file can have this path: {reason}", where=shortened(self.where)) from error
        self._engine = _postgres(self.url) if self._file is None else _sqlite(self.url, self._file, read_only)
        _engines.add(self._engine)
        try:
            self._prepare()
            if self._file is not None and self._file.is_cleared_up:  # its connections stay open
                self._inode = self._file.stamp()[0]
        except BaseException:
            self.close()
            raise

    @property
    def _is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def dialect(self) -> sa.Dialect:
        """SQLAlchemy's dialect of the database."""
        return self._engine.dialect

    @contextmanager
    def transaction(self, durability: TransactionMode = TransactionMode.WRITE) -> Generator[Connection]:
        """Run the block as one transaction: commit all of it or nothing. Raises JournalError."""
        if self._is_closed:
            raise JournalUnavailable("it is closed", where=self.where)
        if self.read_only and durability not in _READING:
            raise JournalReadOnly("it was opened with read_only=True", where=self.where)
        try:
            self._require_same_file()
            with self._engine.connect() as connection:
                connection.execution_options(durability=durability)
                with self._unchanged(connection.info.get("stamp")), connection.begin():
                    yield connection
        except exc.StatementError as error:
            if not isinstance(error, exc.DBAPIError):  # a value cannot be written
                raise TypeError(str(error.orig or error)) from error
            raise self._mapped(error) from error
        except exc.TimeoutError as error:
            raise JournalUnavailable("all connections are in use", where=self.where) from error
        except FileNotFoundError as error:
            raise self._file_is_gone() from error

    def close(self) -> None:
        """Close all connections, for good."""
        self._is_closed = True
        self._engine.dispose()

    @contextmanager
    def _unchanged(self, stamp: Stamp | None) -> Generator[None]:
        """Raise JournalUnavailable if a file that is read without locks has changed at the end."""
        try:
            yield
        finally:
            if self._file is not None and stamp not in (None, self._file.stamp()):
                raise JournalUnavailable("it was written to while it was read; read it again", where=self.where)

    def _require_same_file(self) -> None:
        """Raise unless the path still leads to the open file: SQLite would continue with a file that has no path.

        Raises:
            FileNotFoundError: there is no file any more.
            JournalUnavailable: another file has taken its place.
        """
        if self._file is not None and self._inode is not None and self._file.stamp()[0] != self._inode:
            what = "another file has taken the place of its file while that was open"
            remedy = "put the first file back, or close this journal and open the new one"
            raise JournalUnavailable(f"{what}; {remedy}", where=self.where)

    def _file_is_gone(self) -> JournalUnavailable:
        what = "its file does not exist any more: it was moved or deleted while it was open"
        return JournalUnavailable(f"{what}; put it back, or open the journal where it is now", where=self.where)

    def _prepare(self) -> None:
        with self.transaction(TransactionMode.READ) as connection:
            version = _version(connection)
            tables = sa.inspect(connection).get_table_names() if version is None and self.read_only else []
        self._require_known(version)
        if version is not None:
            return
        if self.read_only:
            _require_none_of_ours(tables, self.where)
            raise NotAJournal("it contains no journal", where=self.where)
        with self.transaction() as connection:
            self._create(connection)

    def _create(self, connection: Connection) -> None:
        """Create the tables, unless another worker has done so meanwhile."""
        if not self._is_sqlite:  # SQLite has one writer at a time
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATING)))
        version = _version(connection)
        self._require_known(version)
        if version is None:
            _require_none_of_ours(sa.inspect(connection).get_table_names(), self.where)
            schema_version.create(connection)
            metadata.create_all(connection, checkfirst=False)
            connection.execute(sa.insert(schema_version), {"version": VERSION})

    def _require_known(self, version: str | None) -> None:
        if version not in (None, VERSION):
            raise JournalVersionMismatch(f"it has schema {version}, this library reads {VERSION}", where=self.where)

    def _mapped(self, error: exc.DBAPIError) -> JournalError:
        original = error.orig
        try:
            self._require_same_file()  # if not, SQLite says no more than "disk I/O error"
        except FileNotFoundError:
            return self._file_is_gone()
        except JournalUnavailable as replaced:
            return replaced
        kind = _of_sqlite(original) if isinstance(original, sqlite3.Error) else _of_postgres(error)
        return kind(str(original).strip() or type(original).__name__, where=self.where)


_POSTGRES_BEGINS = {
    TransactionMode.WRITE: "BEGIN ISOLATION LEVEL READ COMMITTED",
    TransactionMode.WRITE_GROUPED: "BEGIN ISOLATION LEVEL READ COMMITTED",
    TransactionMode.READ: "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    TransactionMode.SNAPSHOT: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
}
_IDLE_S = 1.0
_THREE_SLASHES = "the URL of a journal in SQLite has three slashes before its path, as in sqlite:///journal.db"
_URI = "SQLite's URIs are not read: give the path of the file, and for mode=ro read_only=True"
_CREATING = 0x6C696665  # an arbitrary lock number, unlikely to be used by other applications

# --- connections ----------------------------------------------------------------------------------


def _url(url: str | os.PathLike[str]) -> URL:
    require_secret(
        url, str | os.PathLike, "url must be the path of a file, or a URL such as 'postgresql://host/database'"
    )
    text = os.fspath(url)
    require_secret(text, str, "url must be a path in text")
    if text.lower().startswith("file:"):
        raise ValueError(f"{_URI} (write ./ before the name of a file that begins so)")
    if is_dsn(text):
        return _of_dsn(text)
    if text.lower().startswith("sqlite:") and not is_url(text):
        raise ValueError(f"{_THREE_SLASHES} (write ./ before the name of a file that begins so)")
    parsed = _parsed(text) if is_url(text) else URL.create("sqlite", database=text)
    match parsed.get_backend_name():
        case "sqlite" if parsed.host:
            raise ValueError(_THREE_SLASHES)
        case "sqlite" if parsed.database in (None, "", ":memory:"):
            raise ValueError("a journal in memory is lifecycle.memory.MemoryJournal; SQLite's needs a file")
        case "sqlite" if str(parsed.database).lower().startswith("file:"):
            raise ValueError(_URI)
        case "sqlite" if parsed.query:
            raise ValueError("the URL of a journal in SQLite is sqlite:///path, with nothing after it")
        case "sqlite":
            return parsed.set(drivername="sqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise ValueError(f"a journal is in SQLite or PostgreSQL, not in {other!r}")


def _of_dsn(text: str) -> URL:
    """Return a connection string of libpq as a URL; psycopg reads the other keywords from the query."""
    given = parameters(text)
    user, password, database = (given.pop(name, None) for name in ("user", "password", "dbname"))
    return URL.create("postgresql+psycopg", username=user, password=password, database=database, query=given)


_SHOWN = ("host", "hostaddr", "port", "user", "dbname", "service")  # of a query; other keywords may contain secrets


def _shown(url: URL) -> str:
    """Return the database's name for messages, without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.difference_update_query({*url.query} - {*_SHOWN}).render_as_string()


def _parsed(text: str) -> URL:
    with suppress(exc.ArgumentError, ValueError):  # their messages may contain a part of the password
        parsed = make_url(text)
        is_sent = parsed.get_backend_name() == "sqlite" or is_sendable(unquote(text))
        if is_sent and "@" not in f"{parsed.host}{parsed.database if parsed.get_backend_name() != 'sqlite' else ''}":
            return parsed
    raise ValueError(NOT_A_URL)


def _sqlite(url: URL, file: SqliteFile, read_only: bool) -> Engine:
    if read_only:
        file.require_readable()
    else:
        file.prepare_to_write()
    # Each transaction opens a file that is read without locks again.
    pool = QueuePool if file.is_cleared_up else NullPool
    engine = sa.create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S}, poolclass=pool, **_ENGINE)

    @event.listens_for(engine, "do_connect")
    def opened(_: object, pooled: ConnectionPoolEntry, arguments: list[Any], settings: dict[str, Any]) -> None:
        if read_only:
            arguments[0], pooled.info["stamp"] = file.to_read()
            settings["uri"] = True

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # `begun` begins transactions, not the sqlite3 module
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            _require_ours(connection, str(url.database))
            _use_wal(connection)
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        durability = connection.get_execution_options()["durability"]
        if durability is TransactionMode.SNAPSHOT:
            connection.exec_driver_sql("BEGIN")
        elif durability is not TransactionMode.READ:
            if connection.info.get("durability") is not durability:
                synchronous = "FULL" if durability is TransactionMode.WRITE else "NORMAL"
                connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
                connection.info["durability"] = durability
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # SQLite may refuse a later upgrade to a write lock at once

    @event.listens_for(engine, "handle_error")
    def failed(context: ExceptionContext) -> None:
        # SQLAlchemy closes a connection after an interruption, such as Ctrl-C, instead of rolling back. To SQLite the
        # transaction, and its lock, then last until no statement is left, perhaps until the next garbage collection.
        if not isinstance(context.original_exception, sqlite3.Error):
            context.is_disconnect = False

    return engine


def _require_ours(connection: sqlite3.Connection, where: str) -> None:
    """Raise NotAJournal for the file of another application, before its journal mode is changed."""
    made = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    tables = {name for (name,) in connection.execute(made)}
    if schema_version.name in tables:
        return
    _require_none_of_ours(tables, where)
    if tables:
        names = shortened(", ".join(sorted(tables)))
        raise NotAJournal(f"another application has tables in it ({names}); name a file of its own", where=where)
    for mark in ("application_id", "user_version"):
        [(number,)] = connection.execute(f"PRAGMA {mark}")
        if number:
            what = f"another application has marked it as its own ({mark} is {number})"
            raise NotAJournal(f"{what}; name a file of its own", where=where)


def _require_none_of_ours(tables: Collection[str], where: str) -> None:
    """Raise NotAJournal if a database without a version has tables of a journal: they are damaged, or not ours."""
    ours = sorted(metadata.tables.keys() & {*tables})
    if ours:
        what = f"its table {schema_version.name} is missing, which has the version of the library that made the others"
        raise NotAJournal(f"{what} ({', '.join(ours)}); restore it from a backup", where=where)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL permanently. Retry: SQLite refuses concurrent switches at once instead of waiting."""
    until_s = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres(url: URL) -> Engine:
    arguments = {
        "connect_timeout": 10,
        # These detect a server that has disappeared without closing the connection.
        "keepalives_idle": 10,
        "tcp_user_timeout": LOCK_TIMEOUT_S * 1000,
        "prepare_threshold": None,
    }
    made: Engine | None = None
    with suppress(exc.ArgumentError):  # its message may contain a part of the password
        try:
            made = sa.create_engine(url, connect_args=arguments, isolation_level="AUTOCOMMIT", **_ENGINE)
        except ImportError:
            raise MissingExtra("postgres", needed_by="a journal in PostgreSQL") from None
    if made is None:
        raise ValueError(NO_PLACE)
    engine = made

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        begin = _POSTGRES_BEGINS[connection.get_execution_options()["durability"]]
        connection.exec_driver_sql(f"{begin}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")  # in one round trip

    @event.listens_for(engine, "checkin")
    def returned(_: object, pooled: ConnectionPoolEntry) -> None:
        pooled.info["returned_s"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, pooled: ConnectionPoolEntry, _: object) -> None:
        # SQLAlchemy's own ping would run before every transaction; only an idle connection may be dead unnoticed.
        if time.monotonic() - pooled.info.get("returned_s", time.monotonic()) < _IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise exc.DisconnectionError from None  # the pool takes another connection

    return engine


def _written(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)  # PostgreSQL accepts no NaN, and neither do services
    except (ValueError, RecursionError) as error:
        raise TypeError(f"not JSON: {error}") from error


# Errors show no parameters: they contain the inputs and outputs of tasks.
_ENGINE: dict[str, Any] = {"json_serializer": _written, "json_deserializer": read_json, "hide_parameters": True}

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


_inherited: list[Pool] = []


def _forget_connections() -> None:
    for engine in _engines:
        _inherited.append(engine.pool)  # kept: dropping it would close its connections, which are the parent's
        engine.dispose(close=False)


# The child of a fork must not use its parent's connections. Windows has no forks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)

# --- the version of its tables --------------------------------------------------------------------


def _version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(schema_version.name):
        return None
    return connection.scalar(sa.select(schema_version.c.version)) or "unknown"


# --- the mapping of errors ------------------------------------------------------------------------


def _of_sqlite(error: sqlite3.Error) -> type[JournalError]:
    return _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, JournalError)


_SQLITE = {
    sqlite3.SQLITE_BUSY: JournalUnavailable,
    sqlite3.SQLITE_LOCKED: JournalUnavailable,
    sqlite3.SQLITE_FULL: JournalUnavailable,
    sqlite3.SQLITE_IOERR: JournalUnavailable,
    sqlite3.SQLITE_CANTOPEN: JournalUnavailable,
    sqlite3.SQLITE_PERM: JournalUnavailable,
    sqlite3.SQLITE_READONLY: JournalReadOnly,
    sqlite3.SQLITE_NOTADB: NotAJournal,
    sqlite3.SQLITE_CORRUPT: NotAJournal,
    sqlite3.SQLITE_ERROR: NotAJournal,  # tables of the same names that are not ours
}


def _of_postgres(error: exc.DBAPIError) -> type[JournalError]:
    state: str = getattr(error.orig, "sqlstate", None) or ""
    for prefix, kind in _POSTGRES.items():
        if state.startswith(prefix):
            return kind
    return JournalUnavailable if isinstance(error, exc.OperationalError | exc.InterfaceError) else JournalError


# Classes and codes of PostgreSQL's documentation, appendix A.
_POSTGRES = {
    "25006": JournalReadOnly,  # a transaction that may only read, or a standby
    "42501": JournalReadOnly,  # no privilege
    "42": NotAJournal,  # a table or a column that is not there
    "40": JournalUnavailable,  # serialization, deadlock
    "53": JournalUnavailable,  # disk, memory, connections
    "55": JournalUnavailable,  # a lock was not available
    "57": JournalUnavailable,  # shutting down
    "08": JournalUnavailable,  # connection
}
