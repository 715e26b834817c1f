"""The place of a row: its file and its row in one number, which also puts rows in the order of their files.

`place = file << ROW_BITS | row`. `file` counts the files of a log from 0; `row` is the line, from 1, on
which a row of CSV or JSON Lines begins, and elsewhere the number of the row, from 1.
"""

from __future__ import annotations

ROW_BITS = 40
MOST_FILES = 1 << (62 - ROW_BITS)
_ROWS = (1 << ROW_BITS) - 1


def place_of(file: int, row: int) -> int:
    """Return the place of a row."""
    return file << ROW_BITS | row


def file_and_row(place: int) -> tuple[int, int]:
    """Return the file and the row of a place."""
    return place >> ROW_BITS, place & _ROWS
