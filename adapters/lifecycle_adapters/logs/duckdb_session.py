"""DuckDB, embedded: where files and frames are read and counted, and where every engine's findings are put in order.

A workbench is a database in memory that spills into a directory of its own and removes it at the end.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb

from lifecycle_adapters.argument_checks import require, require_number
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog
from lifecycle_adapters.logs.spill import spill_directory

T = TypeVar("T")

Progress = Callable[[str, float | None], None]
"""Told what is being done and its share, 0.0 to 1.0 or None where that is not known; often, and in any thread."""

_LOOK_EVERY_S = 0.1
_BATCH = 10_000  # rows


def require_memory(size: str) -> None:
    """Raise ValueError unless it is a number and a unit, such as "800MB" or "2GiB"; TypeError unless it is a text."""
    require(size, str, "memory must be a text, such as '800MB'")
    if not _MEMORY.fullmatch(size):  # DuckDB takes a negative size for no limit at all
        raise ValueError(f"memory must be a number and a unit of {_UNITS}, such as '800MB', not {size!r:.80}")


_UNITS = "KB, MB, GB, TB, KiB, MiB, GiB or TiB"
_MEMORY = re.compile(r"\s*\d+(\.\d+)?\s*[KMGT]i?B\s*", re.IGNORECASE)


class DuckDbSession:
    """One DuckDB connection and its directory. Not to be shared between threads.

    Args:
        memory: the most that DuckDB itself may hold, as in "800MB"; the process needs some 100 MB besides.
        threads: of DuckDB; as many as there are cores if omitted.
        spill: where to make the directory; where temporary files usually go if omitted.
        progress: told of long work, see Progress.
    Raises:
        ValueError: `memory` is not a size, or there is not one thread.
        TypeError: `memory` is not a text, or `threads` is not an integer.
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
        if threads is not None:
            require_number(threads, "threads", kind=int, at_least=1)
        self._progress = progress
        self._closing = ExitStack()
        try:
            self.directory = self._closing.enter_context(spill_directory(spill))
        except OSError as error:
            raise EngineFailed(f"no directory to spill into: {error}") from error
        """Where files may be put that are needed only now."""
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
    def name(self) -> str:
        """The engine's name and version."""
        return f"DuckDB {duckdb.__version__}"

    def keep(self, name: str, question: str) -> None:
        """See Engine."""
        self.run(f"CREATE TABLE {name} AS {question}", doing="counting")

    def rows(self, question: str) -> Iterator[tuple[Any, ...]]:
        """See Engine."""
        with _mapped_errors(), self._connection.cursor() as answer:
            _count_progress(answer)
            self._watched(answer, lambda: answer.execute(question), "counting")
            while batch := answer.fetchmany(_BATCH):
                yield from batch

    def run(self, statement: str, parameters: Sequence[Any] = (), *, doing: str | None = None) -> list[tuple[Any, ...]]:
        """Execute one statement and return its rows; with `doing`, progress is told of it.

        Raises:
            EngineFailed, UnusableLog: see Engine.
        """

        def execute() -> list[tuple[Any, ...]]:
            return self._connection.execute(statement, list(parameters)).fetchall()

        with _mapped_errors():
            return execute() if doing is None else self._watched(self._connection, execute, doing)

    def register(self, name: str, frame: object) -> None:
        """Offer an Arrow table, a data frame or a dict of NumPy arrays as a relation. Raises as `run`."""
        with _mapped_errors():
            self._connection.register(name, frame)

    def unregister(self, name: str) -> None:
        """Forget a frame. Raises as `run`."""
        with _mapped_errors():
            self._connection.unregister(name)

    def tell(self, doing: str, share: float | None) -> None:
        """Tell of progress that DuckDB does not know of."""
        if self._progress is not None:
            self._progress(doing, share)

    def _watched(self, connection: duckdb.DuckDBPyConnection, execute: Callable[[], T], doing: str) -> T:
        """Execute something and tell progress of it, from another thread: DuckDB heeds Ctrl-C in this one."""
        if (progress := self._progress) is None:
            return execute()
        ended = threading.Event()
        failure: list[BaseException] = []

        def watch() -> None:
            try:
                while not ended.wait(_LOOK_EVERY_S):
                    percent = connection.query_progress()
                    progress(doing, percent / 100 if percent >= 0 else None)
            except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
                failure.append(error)
                connection.interrupt()

        watcher = threading.Thread(target=watch, name="lifecycle-logs", daemon=True)
        try:
            watcher.start()
            return execute()
        finally:
            ended.set()
            if watcher.ident is not None:  # else Ctrl-C came while it was being started
                watcher.join()
            if failure:
                raise failure[0]

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have something else ended with it, and before it."""
        self._closing.callback(callback)

    def close(self) -> None:
        """End it and remove its directory."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _count_progress(connection: duckdb.DuckDBPyConnection) -> None:
    """Have it counted how much of a statement is done, without a bar of DuckDB's own."""
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")


def literal(value: object) -> str:
    """Return a value as DuckDB writes it."""
    if isinstance(value, bool | int):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as DuckDB quotes it."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _mapped_errors() -> Generator[None]:
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.InvalidTypeException) as error:
        raise UnusableLog(_first_line(error)) from error
    except duckdb.OutOfMemoryException as error:  # also where there is no room to spill
        told = _first_line(error).removesuffix(".")
        raise EngineFailed(f"{told}; it needs more memory, or more room where it spills") from error
    except duckdb.Error as error:
        raise EngineFailed(_first_line(error)) from error
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C
            raise KeyboardInterrupt from error
        raise


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["DuckDB failed"])[0]
