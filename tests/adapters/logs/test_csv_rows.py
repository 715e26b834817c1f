"""Rows of CSV one by one: their lines, what is wrong with them, and that what is wrong costs one line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_adapters.argument_checks import is_text
from lifecycle_adapters.logs.text.csv_rows import Row, csv_rows, lines_of


def rows(text: str | bytes, *, is_last: bool = True, longest: int = 1_000_000) -> list[Row]:
    data = text.encode() if isinstance(text, str) else text
    return list(csv_rows(lines_of(data), is_last=is_last, longest=longest))


def faults(text: str | bytes) -> dict[int, str]:
    return {row.first: row.fault for row in rows(text) if row.fault is not None}


def test_row_has_its_first_line_and_the_line_after_it() -> None:
    assert rows('a,b\n"c\nd","e""f"\r\n\ng\n') == [
        Row(0, 1, ["a", "b"]),
        Row(1, 3, ["c\nd", 'e"f']),
        Row(4, 5, ["g"]),
    ]


def test_empty_line_is_skipped_and_empty_cell_is_a_row() -> None:
    assert rows('\n""\n\r\n') == [Row(1, 2, [""])]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('"run"ning', "not CSV: ',' expected after '\"'"),
        ('a,"running', "not CSV: unexpected end of data"),
        (
            "run\rning",
            "not CSV: a carriage return alone ends no line; tr '\\r' '\\n' converts it",
        ),
        (b"run\xffning", "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
    ],
)
def test_malformed_row_is_rejected_without_the_next_line(line: str | bytes, fault: str) -> None:
    data = line.encode() if isinstance(line, str) else line

    found = rows(b"a,b\n" + data + b"\nc,d\n")

    assert [row.cells for row in found] == [["a", "b"], [], ["c", "d"]]
    assert (found[1].first, found[1].after) == (1, 2)
    assert found[1].fault == fault


def test_a_row_of_several_lines_that_is_wrong_in_its_last_costs_its_first() -> None:
    assert [(row.first, row.cells) for row in rows('"a\nb"c\nd\n')] == [(0, []), (1, ['b"c']), (2, ["d"])]


def test_unfinished_row_is_last_in_a_block() -> None:
    assert rows('a\n"b\nc\n', is_last=False) == [Row(0, 1, ["a"]), Row(1, 1, [])]
    assert [row.is_unfinished for row in rows('a\n"b\nc\n', is_last=False)] == [False, True]
    assert not any(row.is_unfinished for row in rows('a\n"b\nc\n'))


def test_row_that_is_too_long_is_rejected_before_its_end() -> None:
    found = rows('"a\n' + "b\n" * 50, is_last=False, longest=100)

    assert found[0].fault == "not CSV: unexpected end of data"
    assert [row.cells for row in found[1:]] == [["b"]] * 50


def test_a_cell_may_be_as_long_as_a_row() -> None:
    long = "x" * 200_000  # more than the csv module accepts by default

    assert [row.cells for row in rows(f'"{long}"\n')] == [[long]]


def test_many_malformed_lines_are_rejected_one_by_one() -> None:
    assert len(faults('"a"b\n' * 5_000)) == 5_000


def test_only_a_line_feed_ends_a_line() -> None:
    assert lines_of("a\x85b\u2028c\rd\x0be\nf".encode()) == ["a\x85b\u2028c\rd\x0be\n", "f"]


@given(st.binary())
def test_bytes_that_are_not_utf8_are_recognised(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        expected = False
    else:
        expected = True

    assert is_text("".join(lines_of(data))) is expected


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.text('a,"\r\n\0', max_size=5)


@given(st.lists(st.lists(cells, min_size=1, max_size=3)), st.sampled_from(["\n", "\r\n"]))
def test_csv_round_trip_keeps_cells_and_lines(table: list[list[str]], end: str) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator=end)
    expected: list[Row] = []
    for each in table:
        first = buffer.getvalue().count("\n")
        writer.writerow(each)
        expected.append(Row(first, buffer.getvalue().count("\n"), each))

    assert rows(buffer.getvalue()) == expected


@given(st.text('ab,"\r\n\0é', max_size=30))
def test_every_line_belongs_to_one_row_or_is_empty(text: str) -> None:
    lines = lines_of(text.encode())

    covered = [line for row in rows(text) for line in range(row.first, row.after)]

    assert len(covered) == len({*covered})
    assert all(not lines[line].strip("\r\n") for line in {*range(len(lines))} - {*covered})
