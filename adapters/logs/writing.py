"""Findings and rejects as files: Parquet, CSV or JSON Lines, each there whole or not at all.

Parquet and JSON Lines hold exactly what the log holds. A CSV is likely to be opened in a spreadsheet: a cell
that one would take for a formula begins there with an apostrophe, and lists are joined by bars.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from adapters.logs.errors import EngineFailed
from adapters.logs.workbench import Workbench, identifier, literal

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".ndjson": "json"}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

_ISO = "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
# One such character alone, as the name of the standard input is, is no formula.
_DEFUSED = (
    "CASE WHEN left({0}, 1) IN ('=', '+', '-', '@', chr(9), chr(13)) AND {0} <> '-' THEN '''' || {0} ELSE {0} END"
)

# How a column of this type is written in this format; as it is where nothing is said.
_WRITTEN = {
    "parquet": {},
    "json": {"TIMESTAMP WITH TIME ZONE": _ISO},
    "csv": {
        "TIMESTAMP WITH TIME ZONE": _ISO,
        "VARCHAR": _DEFUSED,
        "VARCHAR[]": _DEFUSED.format("array_to_string({0}, '|')"),
    },
}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What a file will be: a format and a compression of DuckDB's COPY."""

    format: str
    compression: str

    @staticmethod
    def of(path: str | os.PathLike[str]) -> FileFormat:
        """Return what the name of a file tells.

        Raises:
            ValueError: it tells nothing.
        """
        name = Path(path)
        compression = _COMPRESSIONS.get(name.suffix.lower())
        format_ = _FORMATS.get((name if compression is None else name.with_suffix("")).suffix.lower())
        if format_ is None or (format_ == "parquet" and compression is not None):
            raise ValueError(
                f"the name {os.fspath(path)!r} tells no format: it must end in {', '.join(_FORMATS)}; all but Parquet "
                f"may be compressed and end in {' or '.join(_COMPRESSIONS)} besides"
            )
        return FileFormat(format_, compression or ("zstd" if format_ == "parquet" else "none"))

    def options(self) -> str:
        """Return the options of COPY."""
        header = ", HEADER true" if self.format == "csv" else ""
        return f"FORMAT {self.format}, COMPRESSION {self.compression}{header}"

    def written(self, name: str, kind: str) -> str:
        """Return the expression by which a column of this type is written."""
        return _WRITTEN[self.format].get(kind, "{0}").format(identifier(name))


def write(bench: Workbench, path: str | os.PathLike[str], query: str, *, order: str) -> int:
    """Write the rows of a query, ordered by this column of it, which is left out, and return how many there are.

    What was there under this name is replaced once all is written.

    Raises:
        ValueError: the name tells no format.
        EngineFailed: it cannot be written.
    """
    to = FileFormat.of(path)
    types = {name: kind for name, kind, *_ in bench.run(f"DESCRIBE {query}") if name != order}
    columns = ", ".join(f"{to.written(name, kind)} AS {identifier(name)}" for name, kind in types.items())
    with whole_or_not_at_all(path) as unfinished:
        [(count,)] = bench.run(
            f"COPY (SELECT {columns} FROM ({query}) rows_written ORDER BY {identifier(order)})"
            f" TO {literal(unfinished)} ({to.options()}, USE_TMP_FILE false)",
            doing=f"writing {Path(path).name}",
        )
    return int(count)


@contextmanager
def whole_or_not_at_all(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield the path of a file to be written, which takes this one's place in the end, unless something is raised.

    Raises:
        EngineFailed: it cannot be written, or what was raised inside says so.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():  # a device or a pipe would be replaced, not written to
        raise EngineFailed(f"{os.fspath(path)} cannot be written: it is there and no file")
    # In its folder, so that it can be renamed, and with a short name of its own, whatever the target's is.
    unfinished = target.with_name(f".lifecycle-{secrets.token_hex(8)}.tmp")
    try:
        yield unfinished
        unfinished.replace(target)
    except EngineFailed as error:
        raise EngineFailed(f"{os.fspath(path)} cannot be written: {error}") from error
    except OSError as error:
        raise EngineFailed(f"{os.fspath(path)} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
