"""Parse CSV row by row, slowly and exactly, and describe the fault of a row.

A faulty row costs one line, never the lines after it: an unclosed quote does not swallow the rest of a file. blocks.py
reads the bytes; records.py beside this package judges the values.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lifecycle_adapters.argument_checks import is_text
from lifecycle_adapters.logs.text.blocks import LONGEST_BYTES

NOT_UTF8 = "not UTF-8"
_LONE_RETURN = "a carriage return alone ends no line; tr '\\r' '\\n' converts it"


class Row(NamedTuple):
    """One row of CSV; it may be faulty or unfinished.

    `first` is the line that it begins on and `after` the line after it, both from 0. `cells` is empty if there is a
    `fault`, and if the row does not end within the given lines.
    """

    first: int
    after: int
    cells: list[str]
    fault: str | None = None

    @property
    def is_unfinished(self) -> bool:
        """Return whether the row has not ended."""
        return not self.cells and self.fault is None


def lines_of(data: bytes) -> list[str]:
    """Return the lines with their ends. Bytes that are not UTF-8 become surrogates, which no valid text holds."""
    # Only "\n" ends a line: not a lone carriage return, and no other line end of `str.splitlines`.
    return list(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="\n"))


def csv_rows(
    lines: Sequence[str],
    *,
    is_last: bool,
    longest: int = LONGEST_BYTES,
    delimiter: str = ",",
    not_text: str = NOT_UTF8,
) -> Iterator[Row]:
    """Yield the rows in these lines, except for empty lines.

    Args:
        lines: from the beginning of a row on, with their ends.
        is_last: whether no lines follow. If lines follow, an unfinished row is yielded last.
        longest: the largest length of a row.
        delimiter: the character between two cells.
        not_text: the fault of a row with bytes that cannot be decoded.
    """
    # The limit is for the whole process, so it is never lowered: another thread may be reading.
    csv.field_size_limit(max(longest, csv.field_size_limit()))
    has_surrogates = not is_text("".join(lines))
    first = 0
    while first < len(lines):
        # Strict: otherwise csv would guess the meaning of a wrong quote.
        reader = csv.reader(map(lines.__getitem__, range(first, len(lines))), strict=True, delimiter=delimiter)
        start = first
        try:
            for cells in reader:
                after = start + reader.line_num
                if has_surrogates and not all(map(is_text, cells)):
                    yield Row(first, after, [], not_text)
                elif cells:
                    yield Row(first, after, cells)
                first = after
        except csv.Error as error:
            has_more = start + reader.line_num < len(lines)
            if not has_more and not is_last and sum(map(len, lines[first:])) < longest:
                yield Row(first, first, [])
                return
            yield Row(first, first + 1, [], f"not CSV: {_reason(error)}")
            first += 1


def _reason(error: csv.Error) -> str:
    reason, _, _ = str(error).partition(" - ")  # what follows is advice for programmers
    return _LONE_RETURN if reason.startswith("new-line character") else reason
