"""Recorded histories out of CSV and JSON Lines: bytes in, each task's statuses with their lines out.

Pure parsing. Opening files belongs to the caller, judging the histories to `Lifecycle.check`.
A row that cannot be read is reported with its line and does not stop the rest.
"""

from __future__ import annotations

import codecs
import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, cast

from lifecycle.errors import shortened

Format = Literal["csv", "jsonl"]

# Seconds reach this in the year 5138, milliseconds did in 1973: a larger number is in milliseconds.
_SMALLEST_MILLISECONDS = 1e11
_MOST_NAMES = 20  # in one message


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a row holds what. A file need not have the columns `task` and `at` unless they are named here."""

    status: str = "status"
    task: str | None = None  # "task_id", where there is one
    at: str | None = None  # "at", where there is one


@dataclass(frozen=True, slots=True)
class Row:
    """One status of a history and the line, from 1, that it begins on."""

    line: int
    status: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, by the line, from 1, that it begins on."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Histories:
    """What a file holds.

    `by_task` has each task's rows, oldest first, the tasks in the order of their first line; None is
    the only task of a file without a task column. `bad_rows` are in the order of the file.
    """

    by_task: Mapping[str | None, tuple[Row, ...]]
    bad_rows: tuple[BadRow, ...]


def read_histories(lines: Iterable[bytes], *, format: Format, columns: Columns | None = None) -> Histories:  # noqa: A002
    """Read one task's history, or many tasks'.

    Rows are put in the order of their times where there are any; equal times keep the file's order.
    A time is ISO 8601 (UTC where it names no zone) or a number of seconds or milliseconds since 1970.

    Args:
        lines: a file's lines with their ends, UTF-8, with or without a byte order mark.
        format: "csv", with a header, or "jsonl", one object on each line.
        columns: the names of the columns.
    """
    columns = columns or Columns()
    rows = _csv_rows(lines, columns) if format == "csv" else _json_rows(lines)
    read = [_record(row, columns) if isinstance(row, _Fields) else row for row in rows]
    read = _complete(read, columns)
    records = [each for each in read if isinstance(each, _Record)]
    by_task: dict[str | None, list[_Record]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    return Histories(
        {task: _in_time_order(history) for task, history in by_task.items()},
        tuple(each for each in read if isinstance(each, BadRow)),
    )


# --- from lines to fields ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fields:
    line: int
    values: Mapping[str, object]


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    """The lines as text. Bytes that are not UTF-8 become surrogates, which no valid line holds."""
    for number, line in enumerate(lines):
        start = line if number else line.removeprefix(codecs.BOM_UTF8)
        yield start.decode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _json_rows(lines: Iterable[bytes]) -> Iterator[_Fields | BadRow]:
    for line, text in enumerate(_texts(lines), start=1):
        if text.strip():
            yield _json_row(line, text)


def _json_row(line: int, text: str) -> _Fields | BadRow:
    if not _is_utf8(text):
        return BadRow(line, "not UTF-8")
    try:
        document: object = json.loads(text)
    except json.JSONDecodeError as error:
        return BadRow(line, f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return BadRow(line, "not JSON: nested too deeply")
    except ValueError as error:  # a number of thousands of digits
        return BadRow(line, f"not JSON: {error}")
    if not isinstance(document, dict):
        return BadRow(line, f"a row must be a JSON object, not a {type(document).__name__}")
    return _Fields(line, cast("dict[str, object]", document))


def _csv_rows(lines: Iterable[bytes], columns: Columns) -> Iterator[_Fields | BadRow]:
    rows = _csv_cells(lines)
    header = next(rows, BadRow(1, "the file is empty; its first row must name the columns"))
    if isinstance(header, BadRow):
        yield header
        return
    line, names = header
    wrong = _wrong_header(names, columns)
    if wrong:
        yield BadRow(line, wrong)
        return
    for row in rows:
        yield row if isinstance(row, BadRow) else _csv_row(*row, names)


def _csv_cells(lines: Iterable[bytes]) -> Iterator[tuple[int, list[str]] | BadRow]:
    # Strict, or a quote that is never closed would silently swallow the rest of the file.
    reader = csv.reader(_texts(lines), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(line, f"not CSV: {error}")
        else:
            if cells:
                yield (line, cells) if all(map(_is_utf8, cells)) else BadRow(line, "not UTF-8")


def _csv_row(line: int, cells: list[str], names: list[str]) -> _Fields | BadRow:
    if len(cells) != len(names):
        return BadRow(line, f"the header has {len(names)} columns, this row {len(cells)}")
    return _Fields(line, dict(zip(names, cells, strict=True)))


def _wrong_header(names: list[str], columns: Columns) -> str | None:
    for name in (columns.status, columns.task, columns.at):
        if name is not None and name not in names:
            return _no_column(name, names)
    name, times = Counter(names).most_common(1)[0]
    return f"the column {shortened(name)} is there {times} times" if times > 1 else None


def _no_column(name: str, names: Iterable[str]) -> str:
    # A line can name thousands of columns, and a column be named by a thousand characters.
    first = [shortened(each) for each in islice(names, _MOST_NAMES + 1)]
    more = ["..."] if len(first) > _MOST_NAMES else []
    return f"there is no {name!r}, only {', '.join(first[:_MOST_NAMES] + more) or 'nothing'}"


# --- from fields to records --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    task: str | None
    at_s: float | None
    status: str


def _record(row: _Fields, columns: Columns) -> _Record | BadRow:
    values = row.values
    if columns.status not in values:
        return BadRow(row.line, _no_column(columns.status, values))
    status = values[columns.status]
    if not isinstance(status, str) or not status:
        return BadRow(row.line, f"{columns.status!r} must be a text that is not empty, not {_shown(status)}")
    try:
        task = _task(values.get(columns.task or "task_id"))
        at_s = _seconds(values.get(columns.at or "at"))
    except ValueError as error:
        return BadRow(row.line, str(error))
    return _Record(row.line, task, at_s, status)


def _task(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"{_shown(value)} is no task's id")
    return str(value)


def _seconds(value: object) -> float | None:
    """Seconds since 1970, None where there is no time. Raises ValueError."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return _seconds_of_text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _seconds_of_number(float(value))
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{_shown(value)} is no time: neither ISO 8601 nor a number of seconds or milliseconds")


def _seconds_of_text(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return _seconds_of_number(number)


def _seconds_of_number(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError
    return number / 1000 if abs(number) >= _SMALLEST_MILLISECONDS else number


def _complete(read: list[_Record | BadRow], columns: Columns) -> list[_Record | BadRow]:
    """Rows without a task or a time are bad where other rows have one, or the column was named."""
    records = [each for each in read if isinstance(each, _Record)]
    task = columns.task or ("task_id" if any(record.task is not None for record in records) else None)
    at = columns.at or ("at" if any(record.at_s is not None for record in records) else None)
    return [each if isinstance(each, BadRow) else _required(each, task, at) for each in read]


def _required(record: _Record, task: str | None, at: str | None) -> _Record | BadRow:
    if task is not None and record.task is None:
        return BadRow(record.line, f"has no {task!r}")
    if at is not None and record.at_s is None:
        return BadRow(record.line, f"has no {at!r}")
    return record


def _in_time_order(records: list[_Record]) -> tuple[Row, ...]:
    # Either every record has a time or none has: `_complete` saw to it. The sort is stable.
    in_order = sorted(records, key=lambda record: record.at_s or 0.0)
    return tuple(Row(record.line, record.status) for record in in_order)


def _shown(value: object) -> str:
    # What is nested is not shown: it can be nested so deeply that even its repr fails.
    return shortened(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
