"""Rows of CSV one by one, and what is wrong with a row: slow, exact, and in words.

What is no row costs one line, never the lines after it: a quote that is not closed does not swallow the rest
of a file. Bytes come from blocks.py; values are judged in records.py beside this package.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lifecycle_adapters.logs.text.blocks import LONGEST_BYTES

NOT_UTF8 = "not UTF-8"

_SURROGATE = re.compile("[\ud800-\udfff]")


class Row(NamedTuple):
    """One row of CSV, or what should be one.

    `first` is the line that it begins on and `after` the line after it, both from 0. `cells` is empty where
    there is a `fault`, and where the row has not ended with the lines that there were.
    """

    first: int
    after: int
    cells: list[str]
    fault: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return not self.cells and self.fault is None


def lines_of(data: bytes) -> list[str]:
    """Return the lines with their ends. Bytes that are not UTF-8 become surrogates, which no valid text holds."""
    # Nothing else ends a line: not a lone carriage return, and none of what `str.splitlines` knows besides.
    return list(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="\n"))


def is_text(text: str) -> bool:
    """Return whether it holds no surrogate."""
    return text.isascii() or _SURROGATE.search(text) is None


def csv_rows(
    lines: Sequence[str],
    *,
    is_last: bool,
    longest: int = LONGEST_BYTES,
    delimiter: str = ",",
    not_text: str = NOT_UTF8,
) -> Iterator[Row]:
    """Yield the rows in these lines, except for empty lines, which are none.

    Args:
        lines: from the beginning of a row on, with their ends.
        is_last: no more lines come. Where they do, the row that has not ended comes last.
        longest: how long a row may be.
        delimiter: the character between two cells.
        not_text: the fault of a row with bytes that cannot be decoded.
    """
    # For the whole process, and therefore never lowered again: another thread may be reading.
    csv.field_size_limit(max(longest, csv.field_size_limit()))
    may_be_no_text = not is_text("".join(lines))
    first = 0
    while first < len(lines):
        # Strict, or what is wrong with a quote would be mended by guess.
        reader = csv.reader(map(lines.__getitem__, range(first, len(lines))), strict=True, delimiter=delimiter)
        start = first
        try:
            for cells in reader:
                after = start + reader.line_num
                if may_be_no_text and not all(map(is_text, cells)):
                    yield Row(first, after, [], not_text)
                elif cells:
                    yield Row(first, after, cells)
                first = after
        except csv.Error as error:
            has_more = start + reader.line_num < len(lines)
            if not has_more and not is_last and sum(map(len, lines[first:])) < longest:
                yield Row(first, first, [])
                return
            reason, _, _ = str(error).partition(" - ")  # what follows is advice for programmers
            yield Row(first, first + 1, [], f"not CSV: {reason}")
            first += 1
