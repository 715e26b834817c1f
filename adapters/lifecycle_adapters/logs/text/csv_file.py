"""Read CSV (RFC 4180): blocks without quotes, or with simple ones, at once, all others row by row (csv_rows.py).

A block is made plain if possible: each line is then a row, and the text between two separators is a cell. Both methods
read the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from lifecycle_adapters.logs.duckdb_session import literal
from lifecycle_adapters.logs.log_errors import UnusableLog, WrongDelimiter
from lifecycle_adapters.logs.text.blocks import Block
from lifecycle_adapters.logs.text.csv_options import CsvOptions, delimiters_in_words
from lifecycle_adapters.logs.text.csv_rows import Row, csv_rows, lines_of
from lifecycle_adapters.logs.text.text_table import TextTable

_BATCH = 50_000  # rows that are read one by one
_HEAD_BYTES = 65_536
_NEWLINE, _QUOTE = b'\n"'
_SEPARATOR = "\x1f"  # ASCII's unit separator


class CsvFile:
    """A CSV file. Its first row names the columns; empty lines are not rows."""

    def __init__(self, table: TextTable, longest: int, options: CsvOptions, *, row_by_row: bool) -> None:
        self.line = 1
        self._table = table
        self._longest = longest
        self._options = options
        self._row_by_row = row_by_row or not options.delimiter.isascii()
        self._names: list[str] = []

    def take(self, block: Block) -> bytes:
        """Read a block and return its end if a row begins there that continues in the next block."""
        data = block.data
        if not self._names:
            data = self._after_header(data, is_last=block.is_last or block.lost is not None)
            if not self._names:
                return data
        plain = None if self._row_by_row else _plain_lines(data, self._options.delimiter)
        if plain is None:
            return self._take_row_by_row(data, is_last=block.is_last or block.lost is not None)
        self._take_lines(plain)
        return b""

    def end(self) -> None:
        """Do nothing: the header has shown the columns."""

    def _after_header(self, data: bytes, *, is_last: bool) -> bytes:
        # Nearly every header is in the first lines, and splitting a whole block into lines takes long.
        head = data[: data.find(b"\n", _HEAD_BYTES) + 1]
        lines = lines_of(head)
        row = next(self._rows(lines, is_last=False), None)
        if row is None or not row.cells:
            head = data
            lines = lines_of(head)
            row = next(self._rows(lines, is_last=is_last), None)
        if row is None:
            self.line += len(lines)
            return b""
        if not row.is_unfinished:
            self._require_delimiter(row, lines[: row.after])
        if row.fault is not None:
            raise UnusableLog(f"{self._table.path}: the first row, which must name the columns, is {row.fault}")
        if not row.is_unfinished:
            self._table.require_header(row.cells)
            self._names = row.cells
        self.line += row.after
        return _joined(lines[row.after :]) + data[len(head) :]

    def _rows(self, lines: Sequence[str], *, is_last: bool) -> Iterator[Row]:
        options = self._options
        return csv_rows(
            lines,
            is_last=is_last,
            longest=self._longest,
            delimiter=options.delimiter,
            not_text=f"not {options.encoding}",
        )

    def _require_delimiter(self, header: Row, lines: Sequence[str]) -> None:
        """Raise WrongDelimiter if the header has none of the columns and seems to have another delimiter."""
        wanted = {*self._table.parts.values()}
        if wanted & {*header.cells}:
            return
        for other in self._options.others():
            row = next(csv_rows(lines, is_last=True, delimiter=other), None)
            cells = [] if row is None else row.cells
            if len(cells) > max(1, len(header.cells)) and (len(header.cells) <= 1 or wanted <= {*cells}):
                is_, is_not = delimiters_in_words(other), delimiters_in_words(self._options.delimiter)
                raise WrongDelimiter(
                    f"{self._table.path}: its cells are separated by {is_}, not by {is_not}: name the delimiter",
                    path=self._table.path,
                    delimiter=other,
                )

    def _take_lines(self, plain: _PlainLines) -> None:
        lines = plain.text.split("\n")
        if not lines[-1]:
            lines.pop()
        if not lines:
            return
        cells = f"string_split(line, {literal(plain.separator)})"
        parts = (f'cells[{self._names.index(name) + 1}] AS "{part}"' for part, name in self._table.parts.items())
        whole = f"line <> '' AND len(cells) = {len(self._names)}"
        # Materialized: otherwise DuckDB splits each line once more for each condition.
        split = f"WITH split AS MATERIALIZED (SELECT line, place, {cells} AS cells FROM lines)"
        relation = f"({split} SELECT {', '.join(parts)}, place FROM split WHERE {whole})"
        first, self.line = self.line, self.line + len(lines)
        with self._table.registered(range(first, self.line), line=lines):
            if self._table.insert(relation, "VARCHAR") == len(lines):
                return
            wrong = self._table.lines_left_out("line <> ''", since=first)
        sizes = ((line, lines[line - first].count(plain.separator) + 1) for line in wrong)
        self._table.reject([(line, self._wrong_size(size)) for line, size in sizes])

    def _take_row_by_row(self, data: bytes, *, is_last: bool) -> bytes:
        lines = lines_of(data)
        end = len(lines)
        rows = self._rows(lines, is_last=is_last)
        while batch := list(islice(rows, _BATCH)):
            if batch[-1].is_unfinished:
                end = batch.pop().first
            self._take_rows(batch)
        self.line += end
        return _joined(lines[end:])

    def _take_rows(self, rows: Sequence[Row]) -> None:
        size = len(self._names)
        whole = [row for row in rows if len(row.cells) == size]
        if whole:
            places = {part: self._names.index(name) for part, name in self._table.parts.items()}
            texts = {part: [row.cells[place] for row in whole] for part, place in places.items()}
            with self._table.registered([self.line + row.first for row in whole], **texts):
                self._table.insert("lines", "VARCHAR")
        wrong = (row for row in rows if len(row.cells) != size)
        self._table.reject([(self.line + row.first, row.fault or self._wrong_size(len(row.cells))) for row in wrong])

    def _wrong_size(self, size: int) -> str:
        return f"the header has {len(self._names)} columns, this row has {size}"


@dataclass(frozen=True, slots=True)
class _PlainLines:
    """Lines of CSV without quotes. The text between two separators is a cell."""

    text: str
    separator: str


def _plain_lines(data: bytes, delimiter: str) -> _PlainLines | None:
    """Return the lines without their quotes; None if a row is not one line, or not text."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if b"\r" in data:
        return None
    has_quotes = b'"' in data
    bare = _unquoted(data, ord(delimiter)) if has_quotes else data
    try:
        return None if bare is None else _PlainLines(bare.decode(), _SEPARATOR if has_quotes else delimiter)
    except UnicodeDecodeError:
        return None


def _unquoted(data: bytes, delimiter: int) -> bytes | None:
    """Return the lines unquoted, with another separator; None if a quote does not enclose a whole cell."""
    around = b"\n" + data + b"\n"
    # A line that is one empty cell would look like an empty line.
    if _SEPARATOR.encode() in data or b'\n""\n' in around:
        return None
    characters = np.frombuffer(bytearray(around), np.uint8)
    quotes = np.flatnonzero(characters == _QUOTE)
    opening, closing = quotes[::2], quotes[1::2]
    if len(opening) > len(closing) or not _all_end_cells(delimiter, characters[opening - 1], characters[closing + 1]):
        return None
    newlines, delimiters = np.flatnonzero(characters == _NEWLINE), np.flatnonzero(characters == delimiter)
    # A newline after an odd number of quotes is inside a cell.
    if (np.searchsorted(quotes, newlines) % 2).any():
        return None
    characters[delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]] = ord(_SEPARATOR)
    return characters.tobytes()[1:-1].translate(None, b'"')


def _all_end_cells(delimiter: int, *characters: npt.NDArray[np.uint8]) -> bool:
    return all(bool(((some == delimiter) | (some == _NEWLINE)).all()) for some in characters)


def _joined(lines: Iterable[str]) -> bytes:
    return "".join(lines).encode("utf-8", "surrogateescape")
