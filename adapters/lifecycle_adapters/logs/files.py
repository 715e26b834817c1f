"""Logs in files: Parquet, CSV and JSON Lines, plain or compressed, one or many, and the standard input.

This file lists the files of a log in order, and reads those of Parquet. text/ reads the others, and records.py
decides what a row means.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lifecycle.errors import UnknownName, shortened
from lifecycle_adapters.argument_checks import is_text, path_text, require
from lifecycle_adapters.logs.columns import Columns, require_columns
from lifecycle_adapters.logs.duckdb_dialect import DUCKDB, text_of_bytes
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, is_about_a_value, literal
from lifecycle_adapters.logs.formats import SUFFIXES, Format, format_of
from lifecycle_adapters.logs.log_errors import EngineFailed, UnknownFormat, UnusableLog, no_file, shown_path
from lifecycle_adapters.logs.places import MOST_FILES, ROW_BITS
from lifecycle_adapters.logs.records import LogColumn, parts_of, records
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog
from lifecycle_adapters.logs.text import STANDARD_INPUT, CsvOptions, read_text, standard_input

KEPT_REJECTS = "lifecycle-rejects.csv"
"""The file in which the command line keeps rejects; a folder with a log may contain it."""

_DEEP = re.compile(rf"(?:^|(?<=[{re.escape(os.sep)}/]))(\*\*)(?:[{re.escape(os.sep)}/]+|$)")
_LOGS = f"the files of a log are {SUFFIXES}"


@dataclass(frozen=True)
class Files:
    """The files of a log, by their paths.

    A path names a file, all files of a folder, or, as a pattern, all files that it matches with `*`, `?`, `[...]` and
    `**`, which follows no links to folders because they may form circles; "-" is the standard input. A path that
    exists is not a pattern, whatever characters it has. Files are read in the order of the paths, those of one path in
    the order of their names; each is read once, even if it is named several times.

    A folder includes its subfolders, but no files of other suffixes, and nothing that is hidden or begins with an
    underscore, as unfinished files of other programs do. `KEPT_REJECTS`, pipes, sockets and devices are left out of
    folders and matches: a pipe is read only if it is named itself, because its writer may never come.

    Args:
        paths: at least one.
        format: the format of the standard input, and of files whose names do not show it.
        delimiter: the character between two cells of CSV; a comma if omitted.
        encoding: the encoding of CSV, by any of its names in Python; UTF-8 if omitted. If a delimiter or an encoding
            is given, all files must be CSV.
    Raises:
        TypeError: a path is neither text nor a Path, or another argument is not a text.
        ValueError: no path is given, or the delimiter or the encoding is invalid.
        UnknownName: there is no such format.
    """

    paths: tuple[str, ...] = ()
    format: Format | None = None
    csv: CsvOptions | None = None

    def __init__(
        self,
        *paths: str | os.PathLike[str],
        format: Format | None = None,  # noqa: A002
        delimiter: str | None = None,
        encoding: str | None = None,
    ) -> None:
        if not paths:
            raise ValueError("a log needs at least one path")
        if format not in (None, *get_args(Format)):
            raise UnknownName("format", format, known=get_args(Format), where="Files")
        for path in paths:
            require(path, str | os.PathLike, "a path must be text or a Path, and several are several arguments")
        object.__setattr__(self, "paths", tuple(path_text(path, "a path") for path in paths))
        object.__setattr__(self, "format", format)
        given = {"delimiter": delimiter, "encoding": encoding}
        options = {name: value for name, value in given.items() if value is not None}
        object.__setattr__(self, "csv", CsvOptions(**options) if options else None)

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        """Load the files as `records` (see Source)."""
        files = self.listed()
        parquet = [(number, path) for number, (path, kind) in enumerate(files) if kind == "parquet"]
        texts = [(number, path, kind) for number, (path, kind) in enumerate(files) if kind != "parquet"]
        groups, broken = parquet_groups(session, columns, parquet)
        if broken and len(broken) == len(files):
            raise UnusableLog("\n".join(f"{path}: {why}" for path, why in broken.items()))
        selects = [group.records(session, columns, rules) for group in groups]
        if texts:
            broken |= read_text(session, rules, columns, texts, csv=self.csv)
            selects.append("SELECT * FROM text_records")
        session.run(f"CREATE VIEW records AS {' UNION ALL '.join(selects)}")
        return LoadedLog(session, tuple(path for path, _ in files), broken=broken)

    def listed(self) -> list[tuple[str, Format]]:
        """Return all files with their formats, each once."""
        found: dict[str, tuple[str, Format]] = {}
        for path in self.paths:
            for file, kind in self._matching(path):
                if not is_text(file):
                    raise UnusableLog(f"the name of {shown_path(file)} is not UTF-8")
                if self.csv is not None and kind != "csv":
                    raise UnusableLog(
                        f"{shown_path(file)} is not a CSV file: a delimiter and an encoding are for CSV only"
                    )
                found.setdefault(file if file == STANDARD_INPUT else os.path.realpath(file), (file, kind))
        if len(found) > MOST_FILES:
            raise UnusableLog(f"{len(found)} files are too many; a log has at most {MOST_FILES}")
        return list(found.values())

    def _matching(self, path: str) -> Iterable[tuple[str, Format]]:
        if path == STANDARD_INPUT:
            if self.format is None:
                raise UnknownFormat("the standard input has no name that shows its format: name the format", path=path)
            return [(path, self.format)]
        if os.path.isdir(path):  # noqa: PTH112 (that of pathlib reads "" as a folder, and raises for some names)
            return _at_least_one(_in_folder(path), f"there is no log in the folder {shown_path(path)}: {_LOGS}")
        if os.path.exists(path):  # noqa: PTH110
            if stat.S_ISCHR(mode := os.stat(path).st_mode) or stat.S_ISBLK(mode):  # noqa: PTH116
                raise UnusableLog(
                    f"{shown_path(path)} is a device, whose end may never come; a log is a file or a pipe"
                )
            kind = format_of(path) or self.format
            if kind is None:
                raise UnknownFormat(
                    f"the name of {shown_path(path)} does not show its format ({SUFFIXES}): name the format", path=path
                )
            return [(path, kind)]
        if not glob.has_magic(path) or "\0" in path:
            raise no_file(path)
        return _at_least_one(self._globbed(path), f"nothing that matches {shown_path(path)} is a log: {_LOGS}")

    def _globbed(self, pattern: str) -> Iterator[tuple[str, Format]]:
        for path in sorted(_matches(pattern), key=_by_parts):
            if Path(path).is_dir():
                yield from _in_folder(path)
            elif _is_found(path) and (kind := format_of(path) or self.format) is not None:
                yield path, kind


def _matches(pattern: str) -> Iterator[str]:
    """Yield the matches of a pattern like `glob.glob`, but let `**` follow no links: two of them could never end."""
    before, deep, after = _DEEP.split(pattern, maxsplit=1) if _DEEP.search(pattern) else (pattern, None, "")
    found = glob.iglob(before) if before else [before]  # noqa: PTH207 (it keeps the paths' own form)
    if deep is None:
        yield from found
        return
    for top in found:
        for parent, folders, _ in os.walk(top or os.curdir):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = parent if top else os.path.relpath(parent)
            yield from _matches(os.path.join(glob.escape("" if inside == os.curdir else inside), after or "*"))  # noqa: PTH118


def _in_folder(folder: str) -> Iterator[tuple[str, Format]]:
    paths: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=_refused):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        paths += (os.path.join(parent, name) for name in names if not name.startswith((".", "_")))  # noqa: PTH118
    for path in sorted(paths, key=_by_parts):
        if (kind := format_of(path)) is not None and _is_found(path):
            yield path, kind


def _is_found(path: str) -> bool:
    """Return whether a path that is not named itself can be a log: kept rejects, pipes, sockets and devices cannot."""
    if Path(path).name == KEPT_REJECTS:
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (that of pathlib raises for some names)
    except OSError:
        return True  # the error is reported when it is read


def _refused(error: OSError) -> None:
    raise UnusableLog(f"the folder {shown_path(str(error.filename))} cannot be read: {error.strerror}") from error


def _by_parts(path: str) -> tuple[str, ...]:
    return Path(path).parts


def _at_least_one(files: Iterable[tuple[str, Format]], otherwise: str) -> list[tuple[str, Format]]:
    listed = list(files)
    if not listed:
        raise UnusableLog(otherwise)
    return listed


# --- Parquet -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParquetGroup:
    """Parquet files of one schema: their numbers in the log, their locations, and the names of their columns."""

    numbers: Sequence[int]
    locations: Sequence[str]
    names: Sequence[str]

    def records(self, session: DuckDbSession, columns: Columns, rules: Rules) -> str:
        """Return the query for their rows."""
        scan = f"read_parquet([{', '.join(map(_literal_path, self.locations))}], hive_partitioning = false)"
        kinds = [str(row[1]) for row in session.run(f"DESCRIBE SELECT * FROM {scan}")]
        # Columns are read by position: DuckDB does not distinguish "At" from "at".
        aliases = ", ".join(f"c{i}" for i in range(len(self.names)))
        positions = {part: self.names.index(name) for part, name in parts_of(columns).items()}
        parts = {part: _column(f"c{position}", kinds[position]) for part, position in positions.items()}
        return records(f"{scan} AS scan({aliases})", parts, columns, rules, DUCKDB, place=self._place())

    def _place(self) -> str:
        first, count = self.numbers[0], len(self.numbers)
        if count == 1:
            return f"{first << ROW_BITS} + file_row_number + 1"
        number = f"{first} + file_index::BIGINT"
        if self.numbers != list(range(first, first + count)):
            number = f"([{', '.join(map(str, self.numbers))}]::BIGINT[])[file_index::BIGINT + 1]"
        return f"(({number}) << {ROW_BITS}) + file_row_number + 1"


def _column(cell: str, kind: str) -> LogColumn:
    # Impala, Hive and early Spark write texts without the mark that they are texts.
    return LogColumn(text_of_bytes(cell), DUCKDB.text_type) if kind == "BLOB" else LogColumn(cell, kind)


def parquet_groups(
    session: DuckDbSession, columns: Columns, files: Iterable[tuple[int, str]]
) -> tuple[list[ParquetGroup], dict[str, str]]:
    """Return the Parquet files in groups of one schema, and by its path the reason why a file cannot be read.

    Without groups, DuckDB would convert all files to the schema of the first.
    """
    groups: dict[tuple[tuple[object, ...], ...], tuple[list[int], list[str]]] = {}
    broken: dict[str, str] = {}
    for number, path in files:
        try:
            location = _seekable(session, number, path)
            schema = session.run(f"SELECT * EXCLUDE (file_name) FROM parquet_schema({_literal_path(location)})")
        except (UnusableLog, EngineFailed) as error:
            broken[path] = str(error)
            continue
        require_columns(_top_level(schema), columns, of=path)
        if (why := _unreadable_time(session, location, schema, columns)) is not None:
            broken[path] = why
            continue
        numbers, locations = groups.setdefault(tuple(schema), ([], []))
        numbers.append(number)
        locations.append(location)
    return [ParquetGroup(*files, _top_level(schema)) for schema, files in groups.items()], broken


def _unreadable_time(
    session: DuckDbSession, location: str, schema: Sequence[tuple[object, ...]], columns: Columns
) -> str | None:
    """Return the reason why the file's times cannot be read; None if they can.

    DuckDB reads milliseconds as microseconds, and refuses the whole query for one time that is too large for that.
    """
    in_milliseconds = {str(row[0]) for row in schema if any(map(_IS_MILLISECONDS.search, map(str, row[1:])))}
    names = _top_level(schema)
    for name in dict.fromkeys(columns.named()):
        try:
            if name not in in_milliseconds or _has_statistics(session, location, name):
                continue
            scan = f"read_parquet({_literal_path(location)}, hive_partitioning = false)"
            aliases = ", ".join(f"c{i}" for i in range(len(names)))
            session.run(f"SELECT max(hash(c{names.index(name)})) FROM {scan} AS scan({aliases})")
        except UnusableLog as error:
            if is_about_a_value(error):
                where = f"a time in its column {shortened(name)}"
                return f"{where} is more than 290,000 years from 1970: correct it or leave it out"
            raise
    return None


_IS_MILLISECONDS = re.compile(r"TIMESTAMP_MILLIS|TimestampType.*MILLIS=Milli")


def _has_statistics(session: DuckDbSession, location: str, name: str) -> bool:
    """Return whether the file has the smallest and largest value of the whole column, and DuckDB can read both.

    If it does, the column itself need not be read.
    """
    try:
        [(is_known,)] = session.run(
            "SELECT bool_and(stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL)"
            f" FROM parquet_metadata({_literal_path(location)}) WHERE path_in_schema = {literal(name)}"
        )
    except UnusableLog:
        return False
    return bool(is_known)


def _top_level(schema: Sequence[tuple[object, ...]]) -> list[str]:
    """Return the names of the columns from a schema, a tree in depth-first order from its root."""
    names: list[str] = []
    depth = [1]  # the number of children that follow, on each level
    for name, _, _, _, children, *_ in schema:
        depth[-1] -= 1
        if len(depth) == 2:
            names.append(str(name))
        if children:
            depth.append(int(str(children)))
        while depth and not depth[-1]:
            depth.pop()
    return names


def _seekable(session: DuckDbSession, number: int, path: str) -> str:
    """Return the path of the whole file: a pipe is first copied to a file, because Parquet is read from its end."""
    if path != STANDARD_INPUT and Path(path).is_file():
        return os.path.abspath(path)  # noqa: PTH100 (that of pathlib is the same, as a Path)
    spooled = Path(session.directory, f"{number}.parquet")
    try:
        with spooled.open("wb") as file:
            if path == STANDARD_INPUT:
                shutil.copyfileobj(standard_input(), file)
            else:
                with Path(path).open("rb") as pipe:
                    shutil.copyfileobj(pipe, file)
    except OSError as error:
        raise EngineFailed(f"it cannot be copied: {error.strerror}") from error
    return str(spooled)


def _literal_path(path: str) -> str:
    """Return a path in SQL that DuckDB does not read as a pattern."""
    return literal(glob.escape(path))
