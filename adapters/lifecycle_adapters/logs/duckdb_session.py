"""An embedded DuckDB: it reads and counts files and frames, and puts every engine's findings in order.

A session is a database in memory that spills into a directory of its own and removes it at the end.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Self, TypeVar

import duckdb

from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import MOST_THREADS, WrongValue, is_text, path_text, require, require_number
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog
from lifecycle_adapters.logs.spill import spill_directory

T = TypeVar("T")

Progress = Callable[[str, float | None], None]
"""A function that is called often, in any thread, with the name of the current work and the share of it that is
done: 0.0 to 1.0, or None if that is not known."""

_POLL_EVERY_S = 0.1
_BATCH = 10_000  # rows


def require_memory(size: str) -> None:
    """Raise an error unless `size` is enough memory, such as "800MB" or "2GiB".

    Raises:
        TypeError: it is not text.
        ValueError: it is not a number and a unit, or not from 16 MB to 1,000,000 TB.
    """
    require(size, str, "memory must be a text, such as '800MB'")
    found = _MEMORY.fullmatch(size)
    if found is None:  # DuckDB reads a negative size as no limit
        what = f"memory must be a number and a unit of {_UNITS}, such as '800MB', not {size!r:.80}"
        raise WrongValue(what, "memory")
    step = 1024 if found["binary"] else 1000
    given_bytes = float(found["number"]) * step ** ("KMGT".index(found["prefix"].upper()) + 1)
    if given_bytes > _MOST_BYTES:
        raise WrongValue(f"memory must be at most 1000000TB, not {size!r:.80}", "memory")
    if given_bytes < _LEAST_BYTES:
        raise WrongValue(f"memory must be at least 16MB, below which DuckDB cannot count, not {size!r:.80}", "memory")


def _require_spill(folder: str | os.PathLike[str] | None) -> None:
    if folder is None:
        return
    path = path_text(folder, "spill")
    if not path or not is_text(path):
        raise ValueError(f"spill must be the path of a folder in UTF-8, not {path!r:.80}")


_UNITS = "KB, MB, GB, TB, KiB, MiB, GiB or TiB"
_MEMORY = re.compile(r"\s*(?P<number>\d+(\.\d+)?)\s*(?P<prefix>[KMGT])(?P<binary>i?)B\s*", re.IGNORECASE | re.ASCII)
_LEAST_BYTES = 16_000_000
_MOST_BYTES = 1e18  # DuckDB refuses those that 64 bits cannot count


class DuckDbSession:
    """One DuckDB connection and its directory. Not to be shared between threads.

    Args:
        memory: the most memory for DuckDB itself, such as "800MB", at least 16 MB; the rest of the process needs some
            100 MB.
        threads: the number of DuckDB's threads, 1 to 1,000. Default: one for each core.
        spill: the folder in which to make the directory. Default: the system's folder of temporary files.
        progress: called during long work, see Progress.
    Raises:
        ValueError: `memory` is not a size from 16 MB to 1,000,000 TB, `threads` is less than 1 or more than 1,000, or
            `spill` is empty or not UTF-8.
        TypeError: `memory` is not a text, `threads` is not an integer, or `spill` is not a path in text.
        EngineFailed: no directory can be made.
    """

    def __init__(
        self,
        *,
        memory: str = "1GB",
        threads: int | None = None,
        spill: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        require_memory(memory)
        _require_spill(spill)
        if threads is not None:
            require_number(threads, "threads", kind=int, at_least=1, at_most=MOST_THREADS)
        self._progress = progress
        self._closing = ExitStack()
        self._is_closed = False
        try:
            self.directory = self._closing.enter_context(spill_directory(spill))
        except OSError as error:
            raise EngineFailed(f"no directory to spill into: {error}") from error
        """The path of the session's directory, for temporary files."""
        self._connection = self._closing.enter_context(duckdb.connect(":memory:"))
        try:
            with _mapped_errors():
                self._set(memory_limit=memory, temp_directory=os.path.join(self.directory, "duckdb"))  # noqa: PTH118
                self._set(TimeZone="UTC", threads=threads, python_enable_replacements=False)
                self._set(autoinstall_known_extensions=False, autoload_known_extensions=False)
                _count_progress(self._connection)
        except BaseException:
            self.close()
            raise

    def _set(self, **settings: object) -> None:
        for name, value in settings.items():
            if value is not None:  # globally: `rows` has connections of its own
                self._connection.execute(f"SET GLOBAL {name} = {literal(value)}")

    @property
    def partition(self) -> str:
        """Return the task's hash and the task: most comparisons then end after the eight bytes of the hash."""
        return "hash(task), task"

    @property
    def name(self) -> str:
        """Return the engine's name and version."""
        return f"DuckDB {duckdb.__version__}"

    def create_table(self, name: str, query: str) -> None:
        """Run a query and keep its result as a table. Raises EngineFailed or UnusableLog, like Engine.create_table."""
        self.run(f"CREATE TABLE {name} AS {query}", doing="counting")

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query's result. Raises EngineFailed or UnusableLog, like Engine.create_table."""
        self._require_open()
        with _mapped_errors(), self._connection.cursor() as cursor:
            _count_progress(cursor)
            self._watched(cursor, lambda: cursor.execute(query), "counting")
            while batch := cursor.fetchmany(_BATCH):
                yield from batch
                self._require_open()

    def run(self, statement: str, parameters: Sequence[Any] = (), *, doing: str | None = None) -> list[tuple[Any, ...]]:
        """Execute one statement and return its rows; with `doing`, report progress.

        Raises:
            EngineFailed: the database failed.
            UnusableLog: DuckDB cannot convert a value of the log.
        """

        def execute() -> list[tuple[Any, ...]]:
            return self._connection.execute(statement, list(parameters)).fetchall()

        self._require_open()
        with _mapped_errors():
            return execute() if doing is None else self._watched(self._connection, execute, doing)

    def register(self, name: str, frame: object) -> None:
        """Make an Arrow table, a data frame or a dict of NumPy arrays a relation. Raises the errors of `run`."""
        with _mapped_errors():
            self._connection.register(name, frame)

    def unregister(self, name: str) -> None:
        """Drop the relation of a frame. Raises the errors of `run`."""
        with _mapped_errors():
            self._connection.unregister(name)

    def report_progress(self, doing: str, share: float | None) -> None:
        """Report progress of work that DuckDB does not do."""
        if self._progress is not None:
            self._progress(doing, share)

    def _watched(self, connection: duckdb.DuckDBPyConnection, execute: Callable[[], T], doing: str) -> T:
        """Call `execute` and report its progress from another thread: in this one DuckDB handles Ctrl-C."""
        if (progress := self._progress) is None:
            return execute()
        ended = threading.Event()
        failure: list[BaseException] = []

        def watch() -> None:
            try:
                while not ended.wait(_POLL_EVERY_S):
                    percent = connection.query_progress()
                    progress(doing, percent / 100 if percent >= 0 else None)
            except BaseException as error:  # noqa: BLE001 (raised again below)
                failure.append(error)
                connection.interrupt()

        watcher = threading.Thread(target=watch, name="lifecycle-logs", daemon=True)
        try:
            watcher.start()
            return execute()
        finally:
            ended.set()
            if watcher.ident is not None:  # otherwise Ctrl-C came before it had started
                watcher.join()
            if failure:
                raise failure[0]

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call a function when the session is closed, before DuckDB is closed."""
        self._closing.callback(callback)

    def close(self) -> None:
        """Close the database and remove the directory."""
        self._is_closed = True
        self._closing.close()

    def _require_open(self) -> None:
        if self._is_closed:
            raise EngineFailed("the log was closed; read its findings and rejects, or write them to files, before that")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _count_progress(connection: duckdb.DuckDBPyConnection) -> None:
    """Make DuckDB measure progress without printing a bar; in a notebook without ipywidgets it cannot."""
    with suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")


def require_connection(given: object, name: str) -> None:
    """Raise TypeError unless `given` is a connection of DuckDB."""
    require(given, duckdb.DuckDBPyConnection, f"{name} must be an open connection, such as duckdb.connect('log.db')")


def is_closed(connection: Any) -> bool:
    """Return whether a connection of DuckDB is closed."""
    try:
        connection.sql("SELECT 1")
    except duckdb.ConnectionException:
        return True
    return False


def literal(value: object) -> str:
    """Return a value as a constant of DuckDB's SQL. Raises UnusableLog if it is not UTF-8."""
    if isinstance(value, bool | int):
        return str(value).lower()
    return "'" + _sent(str(value)).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name, quoted. Raises UnusableLog if it is not UTF-8."""
    return '"' + _sent(name).replace('"', '""') + '"'


def _sent(text: str) -> str:
    """Return a text for DuckDB. Raises UnusableLog if it is not UTF-8."""
    if not is_text(text):
        raise UnusableLog(f"{shortened(text)} is not UTF-8")
    return text


def is_about_a_type(error: BaseException) -> bool:
    """Return whether DuckDB does not know the type of a column."""
    return isinstance(error.__cause__, duckdb.NotImplementedException)


def is_about_a_value(error: UnusableLog) -> bool:
    """Return whether DuckDB could not convert a value."""
    return isinstance(error.__cause__, duckdb.ConversionException)


_ABOUT_THE_LOG = (
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.InvalidTypeException,
    duckdb.NotImplementedException,  # a type of a column that DuckDB does not know, such as Arrow's float16
)


@contextmanager
def _mapped_errors() -> Generator[None]:
    try:
        yield
    except _ABOUT_THE_LOG as error:
        raise UnusableLog(_first_line(error)) from error
    except duckdb.OutOfMemoryException as error:  # also if there is no room to spill
        message = _first_line(error).removesuffix(".")
        raise EngineFailed(f"{message}; give it more memory, or more space to spill into") from error
    except duckdb.Error as error:
        raise EngineFailed(_first_line(error)) from error
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # DuckDB's error for Ctrl-C
            raise KeyboardInterrupt from error
        raise


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or ["DuckDB failed"])[0]
    return line.partition(_DETAIL)[0].rstrip(": ")


_DETAIL = ". Detail: Python exception: "
"""What Arrow puts before the traceback of a reader written in Python."""
