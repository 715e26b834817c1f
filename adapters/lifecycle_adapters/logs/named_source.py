"""The source for the texts of a command line."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from lifecycle.errors import UnknownName
from lifecycle_adapters.argument_checks import WrongValue
from lifecycle_adapters.connection_strings import is_postgres
from lifecycle_adapters.logs.files import Files
from lifecycle_adapters.logs.formats import Format
from lifecycle_adapters.logs.frames import DuckTable
from lifecycle_adapters.logs.source import Source

EngineName: TypeAlias = Literal["duckdb", "spark", "postgresql"]

_THIS_MACHINE = "local[*]"  # as Spark calls it


def named_source(
    *places: str,
    table: str | None = None,
    engine: EngineName | None = None,
    master: str | None = None,
    format: Format | None = None,  # noqa: A002
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Source:
    """Return the source for these texts.

    Args:
        places: paths as for `Files`; with `table`, one database: a file of DuckDB or a postgresql:// URL.
        table: the table of that database with the log.
        engine: the query engine. Default: PostgreSQL for its URL, otherwise DuckDB.
        master: the master of Spark. Default: this machine.
        format, delimiter, encoding: see `Files`.
    Raises:
        UnknownName: there is no such engine or format.
        ValueError: the arguments contradict each other, or one is missing.
        MissingExtra: an optional dependency of the source is not installed.
    """
    if engine not in (None, *get_args(EngineName)):
        raise UnknownName("engine", engine, known=get_args(EngineName), where="named_source")
    is_url = bool(places) and is_postgres(places[0])
    engine = engine or ("postgresql" if is_url else "duckdb")
    if master is not None and engine != "spark":
        raise ValueError("a master needs the engine spark")
    if is_url and engine != "postgresql":
        raise ValueError(f"the engine {engine} reads no postgresql:// URL: leave the engine out, or name postgresql")
    if engine == "postgresql" and not is_url:
        raise ValueError("the engine postgresql needs a postgresql:// URL, not a file")
    if table is None:
        if is_url or any(map(_is_duckdb_file, places)):
            raise WrongValue("a database needs the name of the table that is the log", "table")
        options: dict[str, Any] = {"format": format, "delimiter": delimiter, "encoding": encoding}
        return Files(*places, **options) if engine == "duckdb" else _spark_files(places, master, options)
    if delimiter is not None or encoding is not None:
        raise ValueError("a delimiter and an encoding are for CSV files, not for a table")
    if len(places) != 1 or format is not None or engine == "spark":
        raise ValueError("a table needs one database, and takes neither a format nor the engine spark")
    if is_url:
        from lifecycle_adapters.logs.postgres import PostgresTable

        return PostgresTable(places[0], table)
    return DuckTable(table, path=places[0])


def _is_duckdb_file(path: str) -> bool:
    """Return whether a path is that of a DuckDB database, whose format DuckDB documents in "Storage"."""
    if not os.path.isfile(path):  # noqa: PTH113 (that of pathlib raises for some names)
        return False  # nothing may be read from a pipe
    with suppress(OSError), Path(path).open("rb") as file:
        return file.read(12)[8:] == b"DUCK"
    return False


def _spark_files(places: tuple[str, ...], master: str | None, options: dict[str, Any]) -> Source:
    from lifecycle_adapters.logs.spark import SparkFiles

    return SparkFiles(*places, master=master or _THIS_MACHINE, **options)


def files_of(source: Source) -> list[str]:
    """Return the paths of all files that a source reads, also those of folders and patterns; "-" is the standard input.

    Raises UnusableLog.
    """
    if isinstance(source, DuckTable):  # whose newest rows are in a second file
        return [] if source.path is None else [os.fspath(source.path), f"{os.fspath(source.path)}.wal"]
    files = getattr(source, "files", source)  # of SparkFiles, a class that need not be installed
    return [path for path, _ in files.listed()] if isinstance(files, Files) else []
