"""Histories are read as they were written, rows in the order of their times, and what cannot be read has its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.logs import BadRow, Columns, Format, Histories, Row, read_histories


def read(text: str | bytes, form: Format, columns: Columns | None = None) -> Histories:
    data = text.encode() if isinstance(text, str) else text
    return read_histories(io.BytesIO(data), format=form, columns=columns)


def statuses(histories: Histories) -> dict[str | None, list[str]]:
    return {task: [row.status for row in rows] for task, rows in histories.by_task.items()}


def only_bad_row(histories: Histories) -> BadRow:
    (bad,) = histories.bad_rows
    return bad


def jsonl(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# --- what is written is read -------------------------------------------------------------------

MANY = [("a", "created"), ("b", "created"), ("a", "running"), ("b", "failed"), ("a", "stopped")]
EXPECTED: dict[str | None, tuple[Row, ...]] = {
    "a": (Row(2, "created"), Row(4, "running"), Row(6, "stopped")),
    "b": (Row(3, "created"), Row(5, "failed")),
}


def test_many_tasks_in_csv() -> None:
    text = "task_id,status\n" + "".join(f"{task},{status}\n" for task, status in MANY)

    assert read(text, "csv") == Histories(EXPECTED, ())


def test_many_tasks_in_json_lines() -> None:
    text = "\n" + jsonl({"task_id": task, "status": status} for task, status in MANY)

    assert read(text, "jsonl") == Histories(EXPECTED, ())


@pytest.mark.parametrize(
    ("form", "text"),
    [("csv", "status\nrunning\nstopped\n"), ("jsonl", jsonl([{"status": "running"}, {"status": "stopped"}]))],
)
def test_a_file_without_a_task_column_is_the_history_of_one_task(form: Format, text: str) -> None:
    assert statuses(read(text, form)) == {None: ["running", "stopped"]}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_columns_can_have_other_names(form: Format) -> None:
    rows = [{"run": "7", "when": 2, "phase": "stopped"}, {"run": "7", "when": 1, "phase": "running"}]
    text = jsonl(rows) if form == "jsonl" else "run,when,phase\n7,2,stopped\n7,1,running\n"

    assert statuses(read(text, form, Columns(status="phase", task="run", at="when"))) == {"7": ["running", "stopped"]}


def test_a_number_is_an_id_too() -> None:
    assert statuses(read(jsonl([{"task_id": 7, "status": "running"}]), "jsonl")) == {"7": ["running"]}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
def test_marks_and_ends_of_lines_are_no_part_of_a_name_or_a_status(mark: bytes, end: bytes, last: bool) -> None:
    of_csv = mark + end.join([b"status", b"running", b"stopped"]) + end * last
    of_json = mark + end.join([b'{"status": "running"}', b'{"status": "stopped"}']) + end * last

    assert statuses(read(of_csv, "csv")) == statuses(read(of_json, "jsonl")) == {None: ["running", "stopped"]}


def test_a_quoted_field_may_hold_anything_and_the_row_is_named_by_its_first_line() -> None:
    histories = read('task_id,status\n"a, ""b""\nc",running\n\na,stopped\n', "csv")

    assert histories == Histories({'a, "b"\nc': (Row(2, "running"),), "a": (Row(5, "stopped"),)}, ())


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
rows = st.lists(st.tuples(names, names))


@given(rows)
def test_whatever_text_is_written_as_csv_is_read_back(written: list[tuple[str, str]]) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerows([("task_id", "status"), *written])

    histories = read(buffer.getvalue(), "csv")

    assert histories.bad_rows == ()
    assert statuses(histories) == grouped(written)


@given(rows, st.booleans())
def test_whatever_text_is_written_as_json_is_read_back(written: list[tuple[str, str]], ascii_only: bool) -> None:
    lines = [json.dumps({"task_id": task, "status": status}, ensure_ascii=ascii_only) for task, status in written]

    histories = read("\n".join(lines), "jsonl")

    assert histories.bad_rows == ()
    assert statuses(histories) == grouped(written)


def grouped(written: list[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for task, status in written:
        groups.setdefault(task, []).append(status)
    return groups


@given(st.binary(), st.sampled_from(["csv", "jsonl"]))
def test_no_bytes_at_all_end_in_anything_but_rows_and_bad_rows(data: bytes, form: Format) -> None:
    lines = data.count(b"\n") + 1

    histories = read(data, form)

    assert all(1 <= bad.line <= lines and bad.reason for bad in histories.bad_rows)


# --- time --------------------------------------------------------------------------------------


@given(st.permutations(range(6)))
def test_rows_are_in_the_order_of_their_times_whatever_their_order_in_the_file(order: list[int]) -> None:
    histories = read(jsonl({"status": str(number), "at": 1_700_000_000 + number} for number in order), "jsonl")

    assert statuses(histories) == {None: [str(number) for number in range(6)]}


@given(st.lists(st.integers(0, 3)))
def test_equal_times_keep_the_order_of_the_file(times: list[int]) -> None:
    histories = read(jsonl({"status": "s", "at": at} for at in times), "jsonl")

    lines = [row.line for row in histories.by_task.get(None, ())]
    expected = [line for _, line in sorted(zip(times, range(1, len(times) + 1), strict=True))]
    assert lines == expected


def test_a_time_is_iso_8601_or_a_number_of_seconds_or_milliseconds_in_any_mixture() -> None:
    in_order = [
        "2026-01-01",
        "2026-01-01T00:00:01Z",
        1767225602,
        "1767225602.5",
        1767225603000,
        "2026-01-01T01:00:04+01:00",
        "20260101T000005Z",
        " 2026-01-01 00:00:06.250 ",
        1767225607.125,
    ]
    backwards = reversed([{"status": str(place), "at": at} for place, at in enumerate(in_order)])

    assert statuses(read(jsonl(backwards), "jsonl")) == {None: [str(place) for place in range(len(in_order))]}


@pytest.mark.parametrize("at", ["", "yesterday", "nan", "2026-13-01", True, [1], {}, float("inf"), 10**400, "1e999"])
def test_a_time_that_cannot_be_read_is_a_bad_row(at: object) -> None:
    bad = only_bad_row(read(jsonl([{"status": "created", "at": 1}, {"status": "running", "at": at}]), "jsonl"))

    assert bad.line == 2
    assert "is no time" in bad.reason


# --- rows that cannot be read --------------------------------------------------------------------


def test_a_bad_row_does_not_stop_the_rest() -> None:
    histories = read('{"status": "running"}\n{"status": }\n{"status": "stopped"}\n', "jsonl")

    assert histories == Histories(
        {None: (Row(1, "running"), Row(3, "stopped"))}, (BadRow(2, "not JSON: Expecting value at column 12"),)
    )


DEEP = "[" * 100_000
LONG_NUMBER = '{"status": ' + "1" * 5_000 + "}"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[1]\n", 1, "a row must be a JSON object, not a list"),
        ('\n\n"running"\n', 3, "a row must be a JSON object, not a str"),
        ('{"state": "running", "x": 1}\n', 1, "there is no 'status', only 'state', 'x'"),
        ("{}\n", 1, "there is no 'status', only nothing"),
        ('{"status": 3}\n', 1, "'status' must be a text that is not empty, not 3"),
        ('{"status": null}\n', 1, "'status' must be a text that is not empty, not None"),
        ('{"status": ""}\n', 1, "'status' must be a text that is not empty, not ''"),
        ('{"status": [[]]}\n', 1, "'status' must be a text that is not empty, not a list"),
        ('{"status": "s", "task_id": true}\n', 1, "True is no task's id"),
        ('{"status": "s", "task_id": ""}\n', 1, "'' is no task's id"),
        ('{"status": "s", "task_id": 1.5}\n', 1, "1.5 is no task's id"),
        (b'{"status": "s\xff"}\n', 1, "not UTF-8"),
        ('{"status": "a\x00"}\n', 1, "not JSON: Invalid control character at at column 14"),
        (DEEP, 1, "not JSON: nested too deeply"),
        (LONG_NUMBER, 1, "not JSON: Exceeds the limit (4300 digits) for integer string conversion"),
    ],
)
def test_what_is_wrong_with_a_line_of_json(text: str | bytes, line: int, reason: str) -> None:
    bad = only_bad_row(read(text, "jsonl"))

    assert bad.line == line
    assert bad.reason.startswith(reason)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the file is empty; its first row must name the columns"),
        ("\n\n", 1, "the file is empty; its first row must name the columns"),
        ("task_id,state\n1,running\n", 1, "there is no 'status', only 'task_id', 'state'"),
        ("status,status\nrunning,running\n", 1, "the column 'status' is there 2 times"),
        (b"st\xfftus\nrunning\n", 1, "not UTF-8"),
        ("task_id,status\n1\n", 2, "the header has 2 columns, this row 1"),
        ("task_id,status\n1,running,x\n", 2, "the header has 2 columns, this row 3"),
        ("task_id,status\n1,\n", 2, "'status' must be a text that is not empty, not ''"),
        ("task_id,status\n,running\n", 2, "'' is no task's id"),
        (b"status\nrunning\xff\n", 2, "not UTF-8"),
        ('status\n"running\nstopped\n', 2, "not CSV: unexpected end of data"),
        ('status\n"run"ning\n', 2, "not CSV: ',' expected after '\"'"),
        (f"status\n{'x' * 200_000}\n", 2, "not CSV: field larger than field limit (131072)"),
    ],
)
def test_what_is_wrong_with_a_row_of_csv(text: str | bytes, line: int, reason: str) -> None:
    assert only_bad_row(read(text, "csv")) == BadRow(line, reason)


def test_after_a_row_of_csv_that_cannot_be_read_comes_the_next() -> None:
    histories = read('status\nrunning\n"pau"sed\nstopped\n', "csv")

    assert statuses(histories) == {None: ["running", "stopped"]}
    assert only_bad_row(histories).line == 3


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_names_of_columns_do_not_swamp_the_reason(form: Format) -> None:
    names = ["x" * 1_000 + str(number) for number in range(1_000)]
    text = json.dumps(dict.fromkeys(names)) if form == "jsonl" else ",".join(names)

    bad = only_bad_row(read(text, form))

    assert bad.reason.endswith(", ...")
    assert len(bad.reason) < 2_000


def test_a_nul_is_a_character_like_any_other_in_csv() -> None:
    assert statuses(read("status\nrun\x00ning\n", "csv")) == {None: ["run\x00ning"]}


def test_a_header_or_nothing_at_all_holds_no_history() -> None:
    assert read("task_id,status\n", "csv") == read("", "jsonl") == Histories({}, ())


@pytest.mark.parametrize("column", ["task_id", "at"])
def test_a_row_must_have_what_other_rows_have(column: str) -> None:
    histories = read(jsonl([{"status": "created"}, {"status": "running", column: 5}]), "jsonl")

    assert only_bad_row(histories) == BadRow(1, f"has no {column!r}")
    assert [row.line for rows in histories.by_task.values() for row in rows] == [2]


@pytest.mark.parametrize("columns", [Columns(task="run"), Columns(at="run")], ids=["task", "at"])
def test_a_column_that_was_named_must_be_there(columns: Columns) -> None:
    assert only_bad_row(read("status\nrunning\n", "csv", columns)) == BadRow(1, "there is no 'run', only 'status'")
    assert only_bad_row(read(jsonl([{"status": "running"}]), "jsonl", columns)) == BadRow(1, "has no 'run'")


def test_lines_are_read_one_after_the_other(tmp_path: Path) -> None:
    file = tmp_path / "histories.csv"
    file.write_text("task_id,status\n" + "".join(f"{number % 100},s{number}\n" for number in range(10_000)))

    with file.open("rb") as lines:
        histories = read_histories(lines, format="csv")

    assert [len(rows) for rows in histories.by_task.values()] == [100] * 100
    assert histories.by_task["7"][1] == Row(109, "s107")
