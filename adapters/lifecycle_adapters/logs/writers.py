"""Write findings and rejects to files, atomically: Parquet, CSV or JSON Lines.

Parquet and JSON Lines hold exactly the values of the log. A CSV file may be opened in a spreadsheet: its cells are
escaped by spreadsheets.py, and lists are joined by bars. Ids and statuses are as private as the log: only the owner may
read a new file, and a file that is replaced keeps its mode.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lifecycle_adapters.argument_checks import path_text
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, identifier, literal
from lifecycle_adapters.logs.formats import SUFFIXES, FileFormat, Format
from lifecycle_adapters.logs.log_errors import EngineFailed, shown_path
from lifecycle_adapters.private_files import create_private
from lifecycle_adapters.spreadsheets import cell_in_sql


def _iso(time: str) -> str:
    return f"strftime({time} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"


def _joined(texts: str) -> str:
    return cell_in_sql(f"array_to_string({texts}, '|')")


# How a column of a type is written in a format; unchanged if it is not listed.
_WRITTEN: Mapping[Format, Mapping[str, Callable[[str], str]]] = {
    "parquet": {},
    "jsonl": {"TIMESTAMP WITH TIME ZONE": _iso},
    "csv": {"TIMESTAMP WITH TIME ZONE": _iso, "VARCHAR": cell_in_sql, "VARCHAR[]": _joined},
}

# The options of DuckDB's COPY.
_OPTIONS: Mapping[Format, str] = {
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "jsonl": "FORMAT json",
    "csv": "FORMAT csv, HEADER true",
}


def format_to_write(path: str | os.PathLike[str]) -> FileFormat:
    """Return the format of a file to be written, by its name.

    Raises:
        ValueError: no format has such a name.
        TypeError: it is neither text nor a Path.
    """
    path = path_text(path, "path")
    if (found := FileFormat.of(path)) is None:
        raise ValueError(f"the name {shown_path(path)} has no known format: it must end in {SUFFIXES}")
    return found


def require_writable(rows: Iterable[Path], others: Iterable[Path]) -> None:
    """Raise ValueError, before any work is done, if one of these files could not be written.

    Args:
        rows: files of findings or rejects, whose names end in their formats.
        others: further files.
    """
    rows = list(rows)
    for path in rows:
        format_to_write(path)
    wanted = [*rows, *others]
    targets = [Path(os.path.realpath(path)) for path in wanted]  # that of pathlib raises for a loop of links
    for path, target in zip(wanted, targets, strict=True):
        if not target.parent.is_dir():
            raise ValueError(f"{path} cannot be written: there is no folder {target.parent}")
        if target.exists() and not target.is_file():
            what = "is a folder" if target.is_dir() else "exists and is not a regular file"
            raise ValueError(f"{path} cannot be written: it {what}")
    if len({*targets}) < len(targets):
        raise ValueError("each output needs a file of its own")


def write(session: DuckDbSession, path: str | os.PathLike[str], query: str, *, order: str) -> int:
    """Write the rows of a query, ordered by one of its columns, which is left out, and return their number.

    A file of this name is replaced once everything is written.

    Raises:
        ValueError: no format has such a name.
        EngineFailed: it cannot be written.
    """
    to = format_to_write(path)
    options = _OPTIONS[to.format] + (f", COMPRESSION {to.compression}" if to.compression else "")
    types = {name: kind for name, kind, *_ in session.run(f"DESCRIBE {query}") if name != order}
    written = _WRITTEN[to.format]
    columns = ", ".join(
        f"{written.get(kind, str)(identifier(name))} AS {identifier(name)}" for name, kind in types.items()
    )
    with atomic_write(path) as unfinished:
        [(count,)] = session.run(
            f"COPY (SELECT {columns} FROM ({query}) rows_written ORDER BY {identifier(order)})"
            f" TO {literal(unfinished)} ({options}, USE_TMP_FILE false)",
            doing=f"writing {Path(path).name}",
        )
    return int(count)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield the path of a file to write, which replaces `path` at the end, unless something is raised.

    Raises:
        EngineFailed: it cannot be written.
    """
    target = Path(os.path.realpath(path))  # that of pathlib raises for a loop of links
    if target.exists() and not target.is_file():  # a device or a pipe would be replaced, not written to
        raise EngineFailed(f"{os.fspath(path)} cannot be written: it exists and is not a regular file")
    # In its folder, so that it can be renamed, and with a short name, because the target's may be long.
    unfinished = target.with_name(f".lifecycle-{secrets.token_hex(8)}.tmp")
    try:
        create_private(unfinished)
        if target.exists():
            shutil.copymode(target, unfinished)
        yield unfinished
        unfinished.replace(target)
    except EngineFailed as error:
        raise EngineFailed(f"{os.fspath(path)} cannot be written: {error}") from error
    except OSError as error:
        raise EngineFailed(f"{os.fspath(path)} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
