"""Logs that are not files: Arrow tables, pandas and Polars frames, and tables of DuckDB.

The named columns of data in memory are copied once into a database in the session's directory: the log is queried
several times over several connections, a reader can be read only once, and memory must stay bounded. No library of
frames is imported here: DuckDB knows them all.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

import numpy as np
import numpy.typing as npt

from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import is_text, path_text, require
from lifecycle_adapters.logs.columns import Columns, absent, require_columns
from lifecycle_adapters.logs.duckdb_dialect import DUCKDB, text_of_bytes
from lifecycle_adapters.logs.duckdb_session import (
    DuckDbSession,
    identifier,
    is_about_a_type,
    is_closed,
    literal,
    require_connection,
)
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog, no_file
from lifecycle_adapters.logs.records import LogColumn, parts_of, records
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog

_Run = Callable[[str], list[tuple[Any, ...]]]

# Arrow lacks these types, or their largest values. As texts they mean the same.
_SENT_AS_TEXT = {"HUGEINT", "UHUGEINT", "BIGNUM", "UUID"}

_FAR_YEARS = 292_000  # from 1970; microseconds of 64 bits reach just beyond

_ALL_ROWS = 1_000_000_000

_TABLES = "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables"


_READABLE = (
    "an Arrow table, record batch, reader or dataset, a pandas or a Polars frame (a lazy one collected), or a dict of"
    " NumPy arrays or lists of one length"
)


@dataclass(frozen=True, eq=False)
class Frame:
    """An Arrow table, record batch, reader or dataset, a pandas or a Polars frame, or a dict of NumPy arrays or lists.

    Its rows keep their order. A reader is read to its end. The index of a pandas frame is not a column.

    Args:
        frame: the rows.
        name: its name in reports.
    Raises:
        TypeError: `name` is not a text.
        ValueError: `name` is not UTF-8.
    """

    frame: Any
    name: str = "frame"

    def __post_init__(self) -> None:
        require(self.name, str, "name must be text")
        if not is_text(self.name):
            raise ValueError(f"name must be UTF-8, not {self.name!r}")

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        """Load the frame as `records` (see Source). Raises TypeError if it is not a frame."""
        # Otherwise DuckDB may find an object among pandas' numbers too late, and refuse the whole frame.
        session.run(f"SET GLOBAL pandas_analyze_sample = {_ALL_ROWS}")
        # A lazy frame of Polars is not collected here: only its owner can decide that.
        if self.frame is None or type(self.frame).__name__ == "LazyFrame":
            raise self._not_a_frame()
        frame = _without_zones(_with_arrays(self.frame, self.name), columns.named())
        own = _own_columns(frame, columns.named())
        if own is None:
            self._copy_columns(session, columns, frame, bytes_too=True)
        elif any(name != columns.at and _has_foreign_cells(column) for name, column in own.items()):
            self._copy_cells(session, columns, own)
        else:
            try:
                self._copy_columns(session, columns, frame, bytes_too=False)
            except (TypeError, UnusableLog, EngineFailed, UnicodeEncodeError):
                # DuckDB needs one type for all cells of a column of objects: a single cell can make the frame
                # unusable.
                self._copy_cells(session, columns, own)
        return _copied(session, rules, columns, self.name)

    def _copy_cells(self, session: DuckDbSession, columns: Columns, own: Mapping[str, Any]) -> None:
        """Copy the columns as texts, so that each cell is judged by itself."""
        plain = {name: _plain(column, object if name == columns.at else _KINDS) for name, column in own.items()}
        # A cell of any type may be a time, which is judged by its text; the other parts admit some types only.
        unfit = {
            _UNFIT + part: [*map(_unfit, own[name])]
            for part, name in parts_of(columns).items()
            if name != columns.at and plain[name].dtype == object
        }
        described = {part: _as_array(cells) for part, cells in unfit.items() if any(cells)}
        self._copy_columns(session, columns, plain | described, bytes_too=True, more=[*described])

    def _copy_columns(
        self, session: DuckDbSession, columns: Columns, frame: Any, *, bytes_too: bool, more: Sequence[str] = ()
    ) -> None:
        """Copy the named columns, and `more`; unless `bytes_too`, raise UnusableLog if one holds bytes."""
        try:
            _register(session, frame)
        except (UnusableLog, RuntimeError) as error:  # the latter for generators
            if is_about_a_type(error):
                raise UnusableLog(f"{self.name} has a column of a type that DuckDB does not read: {error}") from error
            if _names(frame) == []:
                require_columns([], columns, of=self.name)
            raise self._not_a_frame() from error
        with _errors_about(self.name):
            kinds = _ArrowTable.described(session.run, "taken").kinds
        names = _names(frame)
        if names is None:
            names = [*kinds]
        if not bytes_too and "BLOB" in kinds.values():
            raise UnusableLog(f"{self.name}: a column holds bytes")
        require_columns(names, columns, of=self.name)
        # Columns are read by position: DuckDB does not distinguish "At" from "at".
        aliases = ", ".join(f"c{i}" for i in range(len(names)))
        wanted = parts_of(columns) | dict(zip(more, more, strict=True))
        places = {part: names.index(name) for part, name in wanted.items()}
        # Bytes are text in UTF-8, as in pandas and NumPy; other bytes become NULL.
        is_bytes = [kind == "BLOB" for kind in kinds.values()]
        taken = ", ".join(
            f'{text_of_bytes(f"c{place}") if is_bytes[place] else f"c{place}"} AS "{part}"'
            for part, place in places.items()
        )
        _copy(session, f"SELECT {taken} FROM taken AS taken({aliases})", name=self.name)

    def _not_a_frame(self) -> TypeError:
        return TypeError(
            f"{self.name} is not a readable frame: it is of type {type(self.frame).__name__}; give {_READABLE}"
        )


@dataclass(frozen=True, eq=False)
class DuckTable:
    """A table or a view of DuckDB, in a file or on an open connection.

    A file is opened for reading only. A connection stays open, and the rows are those that it sees now. Rows are
    in the order of the table; those of a view in the order in which it returns them.

    Args:
        table: its exact name, after its schema and a dot unless that is `main`.
        path: the file's path.
        connection: an open connection of the package `duckdb`.
    Raises:
        TypeError: neither or both of `path` and `connection` are given; `table` or `path` is not a text; or
            `connection` is not a connection.
    """

    table: str
    path: str | os.PathLike[str] | None = None
    connection: Any = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.connection is None):
            raise TypeError("a DuckTable needs either `path` or `connection`")
        require(self.table, str, "table must be the name of a table")
        if self.path is not None:
            path_text(self.path, "path")
        else:
            require_connection(self.connection, "connection")

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        """Load the table as `records` (see Source)."""
        if self.path is not None:
            return self._in_file(session, rules, columns, os.fspath(self.path))
        return self._on_connection(session, rules, columns)

    def _in_file(self, session: DuckDbSession, rules: Rules, columns: Columns, path: str) -> LoadedLog:
        if not Path(path).is_file():
            raise no_file(path)
        try:
            session.run(f"ATTACH {literal(Path(path).absolute())} AS log (READ_ONLY, TYPE duckdb)")
        except EngineFailed as error:
            raise UnusableLog(f"{path} cannot be opened: {error}") from error
        table = self._found(session.run, columns, "table_catalog = 'log'")
        return _loaded(session, rules, columns, table, parts_of(columns), name=self.table)

    def _on_connection(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        if is_closed(self.connection):
            raise UnusableLog(f"the connection to {shortened(self.table)} is closed; a DuckTable needs an open one")

        def run(query: str) -> list[tuple[Any, ...]]:
            # Through the session, which maps DuckDB's errors.
            session.register("result", _ArrowStream(lambda: self.connection.sql(query)))
            rows = session.run("SELECT * FROM result")
            session.unregister("result")
            return rows

        here = "table_catalog IN (current_database(), 'temp')"
        table = self._found(run, columns, here)
        kinds = table.kinds
        parts = parts_of(columns).items()
        sent = ", ".join(
            f'{identifier(name)}{"::VARCHAR" if kinds[name] in _SENT_AS_TEXT else ""} AS "{part}"'
            for part, name in parts
        )
        taken = ", ".join(f'"{part}"{"::JSON" if kinds[name] == "JSON" else ""} AS "{part}"' for part, name in parts)
        session.register("taken", _ArrowStream(lambda: self.connection.sql(f"SELECT {sent} FROM {table.name}")))
        _copy(session, f"SELECT {taken} FROM taken", name=self.table)
        return _copied(session, rules, columns, self.table)

    def _found(self, run: _Run, columns: Columns, where: str) -> _ArrowTable:
        # Temporary tables come last: they hide others of the same name.
        tables = {
            name if schema == "main" else f"{schema}.{name}": ((catalog, schema, name), kind == "VIEW")
            for catalog, schema, name, kind in run(
                f"{_TABLES} WHERE {where} ORDER BY table_catalog = 'temp', table_schema, table_name"
            )
        }
        if self.table not in tables:
            raise UnusableLog(absent("table", self.table, tables))
        names, is_view = tables[self.table]
        table = _ArrowTable.described(run, ".".join(map(identifier, names)), is_view=is_view)
        require_columns([*table.kinds], columns, of=self.table)
        return table


@dataclass(frozen=True, slots=True)
class _ArrowTable:
    """A relation of DuckDB: its name in SQL, the types of its columns, and the expression of a row's number, from 0."""

    name: str
    kinds: Mapping[str, str]
    row: str

    @classmethod
    def described(cls, run: _Run, name: str, *, is_view: bool = False) -> _ArrowTable:
        """Return the relation of this name, with the types of its columns."""
        kinds = {str(column): str(kind) for column, kind, *_ in run(f"DESCRIBE SELECT * FROM {name}")}
        # A column may be named `rowid` itself.
        is_numbered = not is_view and "rowid" not in {column.casefold() for column in kinds}
        return cls(name, kinds, "rowid" if is_numbered else "row_number() OVER () - 1")


class _ArrowStream:
    """Rows in Arrow's own protocol, which needs no package; each read calls `rows`."""

    def __init__(self, rows: Callable[[], Any]) -> None:
        self._rows = rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._rows().__arrow_c_stream__(requested_schema)


def _with_arrays(frame: Any, name: str) -> Any:
    """Return a dict with its lists as arrays of objects; any other frame as it is.

    Raises TypeError, with the frame's name, if a column is a single value of NumPy: it has no rows.
    """
    if not isinstance(frame, dict):
        return frame
    columns = cast("dict[str, Any]", frame)
    for column, cells in columns.items():
        if getattr(cells, "ndim", None) == 0:
            raise TypeError(f"{name}: the column {column!r:.80} is a single value, not an array or a list")
    return {column: _as_array(cells) for column, cells in columns.items()}


def _without_zones(frame: Any, names: Sequence[str]) -> Any:
    """Return an Arrow frame whose named times are in UTC without a zone if they are in seconds or milliseconds.

    DuckDB keeps times with a zone in microseconds, and refuses the frame for one that is too large for that.
    """
    schema: Any = getattr(frame, "schema", None)
    if type(frame).__module__.partition(".")[0] != "pyarrow" or any(schema.names.count(name) != 1 for name in names):
        return frame
    arrow: Any = sys.modules["pyarrow"]  # the frame's own
    known = schema
    for name in names:
        field = schema.field(name)
        if arrow.types.is_timestamp(field.type) and field.type.tz is not None and field.type.unit in ("s", "ms"):
            schema = schema.set(schema.get_field_index(name), field.with_type(arrow.timestamp(field.type.unit)))
    if schema is known:
        return frame
    if not hasattr(frame, "cast"):  # a dataset
        frame = frame.scanner(columns=list(dict.fromkeys(names))).to_reader()
        schema = arrow.schema([schema.field(name) for name in frame.schema.names])
    return frame.cast(schema)


def _as_array(column: Any) -> Any:
    if not isinstance(column, list | tuple):
        return column
    cells = cast("list[Any]", column)
    return np.fromiter(cells, object, len(cells))  # np.array would make a table of lists in a list


def _register(session: DuckDbSession, frame: Any) -> None:
    try:
        session.register("taken", frame)
    except UnusableLog as error:
        # A Polars frame: DuckDB would use pyarrow, which it does not need.
        if is_about_a_type(error) or not hasattr(frame, "__arrow_c_stream__"):
            raise
        session.register("taken", _ArrowStream(lambda: frame))


def _names(frame: Any) -> list[str] | None:
    """Return the exact names of a frame's columns, because DuckDB renames those it finds equal; None if unknown."""
    if isinstance(frame, dict):
        return list(map(str, cast("dict[str, Any]", frame)))
    names: Any = getattr(getattr(frame, "schema", None), "names", None)  # of Arrow; Polars has a method there
    if names is None or callable(names):
        names = getattr(frame, "columns", None)
    return [str(name) for name in cast("Iterable[object]", names)] if isinstance(names, Iterable) else None


def _own_columns(frame: Any, names: Sequence[str]) -> dict[str, Any] | None:
    """Return the named columns of a dict of arrays, a pandas or Polars frame; None for others, or if one is missing."""
    if not isinstance(frame, dict) and not hasattr(frame, "dtypes"):
        return None
    there = _names(frame) or []
    if any(there.count(name) != 1 for name in names):
        return None
    try:
        own = {name: cast("Any", frame)[name] for name in names}
    except LookupError:  # a column whose name is not a text
        return None
    return own if all(hasattr(column, "__array__") for column in own.values()) else None


_KINDS: tuple[type, ...] = (str, bytes, int, np.integer, UUID, Decimal)
"""The types of ids, statuses and sequences in a column of objects. A time may have any: it is judged by its text."""


def _has_foreign_cells(column: Any) -> bool:
    """Return whether a column of objects has a cell whose type is not in `_KINDS`: DuckDB would use its text."""
    cells = getattr(getattr(column, "dtype", None), "categories", column)  # of pandas
    if getattr(cells, "dtype", None) != np.dtype(object):
        return False
    kinds: set[type] = {*map(type, cells)}
    foreign = tuple(kind for kind in kinds if kind is bool or not issubclass(kind, _KINDS))
    return bool(foreign) and any(isinstance(cell, foreign) and not _is_missing(cell) for cell in cells)


def _plain(column: Any, kinds: type | tuple[type, ...]) -> npt.NDArray[Any]:
    """Return a column in a type that DuckDB knows: times without a zone in a known unit, otherwise objects as texts."""
    array = _as_times(column)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "f" and array.itemsize > np.dtype(float).itemsize:
        return array.astype(float)
    if array.dtype.kind == "M":
        return _in_known_unit(array)
    if array.dtype.kind in "biuf":
        return array
    return np.array([_as_text(cell, kinds) for cell in array.tolist()], dtype=object)


def _as_times(column: Any) -> npt.NDArray[Any]:
    """Return a column as an array; times with a zone are in UTC."""
    dtype = getattr(column, "dtype", None)
    unit = getattr(getattr(dtype, "pyarrow_dtype", dtype), "unit", None)
    # pandas makes objects of times with a zone unless it is asked for another type.
    is_zoned = unit is not None and getattr(dtype, "kind", "") == "M"
    try:
        return np.asarray(column, dtype=f"datetime64[{unit}]" if is_zoned else None)
    except Exception:  # noqa: BLE001 (whatever a library of frames raises, such as Polars for integers of 128 bits)
        cells: npt.NDArray[Any] = _as_array([*column])
        return cells


def _in_known_unit(times: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return times in a unit that DuckDB knows, in which none of them overflows: NumPy would wrap around silently."""
    unit, step = np.datetime_data(times.dtype)
    if unit in ("s", "ms", "us", "ns") and step == 1:
        return times
    if unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us"):
        # A time that is too far away is replaced with another one that is out of range.
        first, last = (np.datetime64(years, "Y").astype(times.dtype) for years in (-_FAR_YEARS, _FAR_YEARS))
        times = np.clip(times, first, last)
    return times.astype("datetime64[us]")


def _as_text(cell: Any, kinds: type | tuple[type, ...]) -> str | None:
    """Return a cell as text; None if it is empty, of another type, not UTF-8, or if its conversion to text raises."""
    try:
        is_one = isinstance(cell, kinds) and not isinstance(cell, bool) and not _is_missing(cell)
        text = _text_of(cell) if is_one else None
    except Exception:  # noqa: BLE001 (whatever a foreign object raises, it is about this cell)
        return None
    return text if text is not None and is_text(text) else None


_UNFIT = "unfit_"
"""The prefix of the column that describes those cells of a part whose types are not in `_KINDS`."""


def _unfit(cell: Any) -> str | None:
    """Return the type and the text of a cell that is neither text nor number, or not UTF-8; None for other cells."""
    if _is_missing(cell) or _as_text(cell, _KINDS) is not None:
        return None
    kind = type(cell).__name__
    try:
        text = ascii(cell) if isinstance(cell, str | bytes) else str(cell)
    except Exception:  # noqa: BLE001 (whatever a foreign object raises, it is about this cell)
        return kind
    return f"{kind}: {text}" if is_text(text) else kind


def _is_missing(cell: Any) -> bool:
    """Return whether a cell of a column of objects is empty: None, NaN, NaT, or NA of pandas."""
    is_nan = isinstance(cell, _WITH_NAN) and cell != cell  # noqa: PLR0124 (neither NaN nor NaT equals itself)
    return cell is None or is_nan or type(cell).__name__ == "NAType"  # of pandas, which is not imported here


_WITH_NAN: tuple[type, ...] = (float, np.floating, date, np.datetime64)


def _text_of(cell: Any) -> str:
    if isinstance(cell, str):  # also a member of an Enum, whose own text is its name
        return str.__str__(cell)
    if isinstance(cell, bytes):
        return cell.decode()
    return cell.isoformat() if isinstance(cell, date) else str(cell)  # a datetime is a date


def _copy(session: DuckDbSession, query: str, *, name: str) -> None:
    session.run(f"ATTACH IF NOT EXISTS {literal(Path(session.directory, 'log.duckdb'))} AS log")
    with _errors_about(name):
        session.run(f"CREATE OR REPLACE TABLE log.copy AS {query}", doing=f"reading {name}")
    session.unregister("taken")


@contextmanager
def _errors_about(name: str) -> Generator[None]:
    """Make DuckDB's errors name the log instead of DuckDB's kind of error."""
    try:
        yield
    except UnusableLog as error:
        raise UnusableLog(f"{name} cannot be read: {_KIND_OF_ERROR.sub('', str(error))}") from error


_KIND_OF_ERROR = re.compile(r"^[\w ]+ Error: ")


def _copied(session: DuckDbSession, rules: Rules, columns: Columns, name: str) -> LoadedLog:
    # The copy's columns have the names of their parts.
    table = _ArrowTable.described(session.run, "log.copy")
    unfit = {part: _UNFIT + part for part in parts_of(columns) if _UNFIT + part in table.kinds}
    return _loaded(session, rules, columns, table, {part: part for part in parts_of(columns)}, name=name, unfit=unfit)


def _loaded(
    session: DuckDbSession,
    rules: Rules,
    columns: Columns,
    table: _ArrowTable,
    names: Mapping[str, str],
    *,
    name: str,
    unfit: Mapping[str, str] = MappingProxyType({}),
) -> LoadedLog:
    parts = {
        part: LogColumn(identifier(column), table.kinds[column], unfit.get(part)) for part, column in names.items()
    }
    query = records(table.name, parts, columns, rules, DUCKDB, place=f"{table.row} + 1")
    session.run(f"CREATE VIEW records AS {query}")
    return LoadedLog(session, (name,), are_files=False)
