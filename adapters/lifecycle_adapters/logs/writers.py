"""Findings and rejects as files: Parquet, CSV or JSON Lines, each there whole or not at all.

Parquet and JSON Lines hold exactly what the log holds. A CSV is likely to be opened in a spreadsheet: its cells are
those of spreadsheets.py, and lists are joined by bars. Ids and statuses are as private as the log: only the
owner of a new file may read it, and one that is replaced keeps its mode.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lifecycle_adapters.logs.duckdb_session import DuckDbSession, identifier, literal
from lifecycle_adapters.logs.formats import SUFFIXES, FileFormat, Format
from lifecycle_adapters.logs.log_errors import EngineFailed
from lifecycle_adapters.private_files import create_private
from lifecycle_adapters.spreadsheets import cell_in_sql


def _iso(time: str) -> str:
    return f"strftime({time} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"


def _joined(texts: str) -> str:
    return cell_in_sql(f"array_to_string({texts}, '|')")


# How a column of this type is written in this format; as it is where nothing is said.
_WRITTEN: Mapping[Format, Mapping[str, Callable[[str], str]]] = {
    "parquet": {},
    "jsonl": {"TIMESTAMP WITH TIME ZONE": _iso},
    "csv": {"TIMESTAMP WITH TIME ZONE": _iso, "VARCHAR": cell_in_sql, "VARCHAR[]": _joined},
}

# And what DuckDB's COPY calls it.
_OPTIONS: Mapping[Format, str] = {
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "jsonl": "FORMAT json",
    "csv": "FORMAT csv, HEADER true",
}


def format_to_write(path: str | os.PathLike[str]) -> FileFormat:
    """Return what the name of a file to be written tells.

    Raises:
        ValueError: it tells nothing.
    """
    if (found := FileFormat.of(path)) is None:
        raise ValueError(f"the name {os.fspath(path)!r} tells no format: it must end in {SUFFIXES}")
    return found


def require_writable(rows: Iterable[Path], others: Iterable[Path], *, log: Iterable[str]) -> None:
    """Raise ValueError, before any work is done, if a file that is wanted could not be written.

    Args:
        rows: files of findings or rejects, whose names tell their formats.
        others: further files.
        log: the files that are read meanwhile.
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
            what = "a folder" if target.is_dir() else "there and no file"
            raise ValueError(f"{path} cannot be written: it is {what}")
    if len({*targets}) < len(targets):
        raise ValueError("what is written must go to a file each")
    for file in log:
        if Path(os.path.realpath(file)) in targets:
            raise ValueError(f"{file} is the log itself, and would be written over")


def write(bench: DuckDbSession, path: str | os.PathLike[str], query: str, *, order: str) -> int:
    """Write the rows of a query, ordered by this column of it, which is left out, and return how many there are.

    What was there under this name is replaced once all is written.

    Raises:
        ValueError: the name tells no format.
        EngineFailed: it cannot be written.
    """
    to = format_to_write(path)
    options = _OPTIONS[to.format] + (f", COMPRESSION {to.compression}" if to.compression else "")
    types = {name: kind for name, kind, *_ in bench.run(f"DESCRIBE {query}") if name != order}
    written = _WRITTEN[to.format]
    columns = ", ".join(
        f"{written.get(kind, str)(identifier(name))} AS {identifier(name)}" for name, kind in types.items()
    )
    with atomic_write(path) as unfinished:
        [(count,)] = bench.run(
            f"COPY (SELECT {columns} FROM ({query}) rows_written ORDER BY {identifier(order)})"
            f" TO {literal(unfinished)} ({options}, USE_TMP_FILE false)",
            doing=f"writing {Path(path).name}",
        )
    return int(count)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield the path of a file to be written, which takes this one's place in the end, unless something is raised.

    Raises:
        EngineFailed: it cannot be written, or what was raised inside says so.
    """
    target = Path(os.path.realpath(path))  # that of pathlib raises for a loop of links
    if target.exists() and not target.is_file():  # a device or a pipe would be replaced, not written to
        raise EngineFailed(f"{os.fspath(path)} cannot be written: it is there and no file")
    # In its folder, so that it can be renamed, and with a short name of its own, whatever the target's is.
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
