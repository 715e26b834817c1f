"""CSV and JSON Lines: each written row is read, with its line, in blocks of any size and by either reader of CSV."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle_adapters.logs.columns import Columns, RejectReason
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.log_errors import MissingColumn, UnusableLog, WrongDelimiter, WrongEncoding
from lifecycle_adapters.logs.places import file_and_row
from lifecycle_adapters.logs.text import CsvOptions, read_text
from tests.adapters.logs.logs import AT, AT_US, RULES, Record
from tests.support.profiles import examples

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNTIMED = Columns(at=None)


@dataclass
class Reader:
    """A session and files for it to read."""

    bench: DuckDbSession
    folder: Path

    def __call__(
        self, *contents: str | bytes, form: str = "csv", columns: Columns = UNTIMED, **options: Any
    ) -> list[Record]:
        """The records of files with these contents, in the order of their places."""
        files: list[tuple[int, str, str]] = []
        for number, content in enumerate(contents):
            path = self.folder / f"{number}.{form}"
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            files.append((number, str(path), form))
        records, self.broken = self.read(files, columns, **options)
        return records

    def read(
        self, files: list[tuple[int, str, str]], columns: Columns = UNTIMED, **options: Any
    ) -> tuple[list[Record], dict[str, str]]:
        self.bench.run("DROP TABLE IF EXISTS text_records")
        broken = read_text(self.bench, RULES, columns, files, **options)
        columns_of_records = "task, at_us, sequence, place, status, status_code, form, fault, detail"
        rows = self.bench.run(f"SELECT {columns_of_records} FROM text_records ORDER BY place, detail")
        return [Record(*row) for row in rows], broken


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with DuckDbSession(threads=1) as bench:
        yield Reader(bench, tmp_path_factory.mktemp("logs"))


Brief = tuple[int, str | None, str | None, str | None]


def brief(records: list[Record]) -> list[Brief]:
    """Each record's line, and its task and status or the fault."""
    lines = [(file_and_row(each.place)[1], each) for each in records]
    return [(line, None, None, row.fault) if row.fault else (line, row.task, row.status, None) for line, row in lines]


def details(records: list[Record]) -> dict[int, str | None]:
    return {file_and_row(each.place)[1]: each.detail for each in records if each.fault}


# --- what is written is read -------------------------------------------------------------------

HEADER = "task_id,status\n"
GOOD: list[Brief] = [(2, "a", "created", None), (3, "b", "running", None)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
@pytest.mark.parametrize("row_by_row", [False, True], ids=["at once", "row by row"])
def test_byte_order_marks_and_line_ends_are_stripped_from_cells(
    reader: Reader, mark: bytes, end: bytes, last: bool, row_by_row: bool
) -> None:
    rows = end.join([b"task_id,status", b"a,created", b"b,running"]) + end * last
    lines = end.join([b'{"task_id": "a", "status": "created"}', b'{"task_id": "b", "status": "running"}']) + end * last

    assert brief(reader(mark + rows, row_by_row=row_by_row)) == GOOD
    assert brief(reader(mark + lines, form="jsonl")) == [(line - 1, *rest) for line, *rest in GOOD]


@pytest.mark.parametrize("row_by_row", [False, True], ids=["at once", "row by row"])
def test_all_parts_of_a_record_are_read(reader: Reader, row_by_row: bool) -> None:
    columns = Columns(task="run", at="when", status="phase", sequence="nth")
    record = Record("a", AT_US, 7, 2, "running", RULES.statuses.index("running"), "iso", None, None)

    text = f"nth,phase,other,when,run\n7,running,x,{AT},a\n"
    assert reader(text, columns=columns, row_by_row=row_by_row) == [record]

    text = "\n" + json.dumps({"nth": 7, "phase": "running", "when": AT, "run": "a"}) + "\n"
    assert reader(text, columns=columns, form="jsonl") == [record]


@pytest.mark.parametrize("block_bytes", [1, 4, 1_000])
def test_header_may_have_several_lines_and_follow_empty_ones(reader: Reader, block_bytes: int) -> None:
    columns = Columns(task="task\nid", at=None)

    records = reader('\n\r\n"task\nid",status\na,running\n', columns=columns, block_bytes=block_bytes)

    assert brief(records) == [(5, "a", "running", None)]


@pytest.mark.parametrize("before", ["\n" * 100_000, '"' + "\n" * 100_000 + '",'], ids=["empty lines", "a long name"])
def test_the_header_may_end_anywhere_in_a_block(reader: Reader, before: str) -> None:
    more = "," * before.count(",")
    rows = "".join(f"{more}{each},running\n" for each in range(20_000))

    records = reader(f"{before}{HEADER}{rows}")

    assert brief(records) == [(100_002 + each, str(each), "running", None) for each in range(20_000)]


def test_a_column_may_be_named_like_another_part(reader: Reader) -> None:
    columns = Columns(task="status", at=None, status="sequence", sequence="place")

    assert brief(reader("place,sequence,status\n1,running,a\n", columns=columns)) == [(2, "a", "running", None)]
    text = '{"place": 1, "sequence": "running", "status": "a"}'
    assert brief(reader(text, columns=columns, form="jsonl")) == [(1, "a", "running", None)]


def test_names_of_columns_are_compared_as_they_are(reader: Reader) -> None:
    columns = Columns(task="ID", at=None, status="id")

    assert brief(reader("id,ID,Id\nrunning,a,x\n", columns=columns)) == [(2, "a", "running", None)]
    text = '{"Id": "x", "id": "running", "ID": "a"}'
    assert brief(reader(text, columns=columns, form="jsonl")) == [(1, "a", "running", None)]


@pytest.mark.parametrize("name", ["a~/b", "/0", "$.a", "it's", 'say "it"', "", "*", "ß", "a.b", "a\\b", "a\nb"])
def test_any_name_may_be_that_of_a_column(reader: Reader, name: str) -> None:
    columns = Columns(task=None, at=None, status=name)
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["x", name], ["y", "running"]])

    assert [each.status for each in reader(buffer.getvalue(), columns=columns)] == ["running"]
    for ascii_only in (True, False):
        text = json.dumps({"x": 1, name: "running"}, ensure_ascii=ascii_only)
        assert [each.status for each in reader(text, columns=columns, form="jsonl")] == ["running"]
        twice = text[:-1] + "," + text[1:]
        assert [each.fault for each in reader(twice, columns=columns, form="jsonl")] == [RejectReason.NOT_A_ROW]


def test_files_are_distinguished_by_their_numbers(reader: Reader) -> None:
    records = reader(HEADER + "a,created\n", HEADER, b"", HEADER + "\nb,running\n")

    assert [file_and_row(each.place) for each in records] == [(0, 2), (3, 3)]


PACKS: list[Callable[[bytes], bytes]] = [gzip.compress, zstd.compress]


@pytest.mark.parametrize("pack", PACKS)
def test_rows_before_a_break_are_read(reader: Reader, pack: Callable[[bytes], bytes]) -> None:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000)]
    whole = pack((HEADER + "".join(f"{name},running\n" for name in names)).encode())

    records = reader(whole[: len(whole) // 2], HEADER + "a,created\n", block_bytes=300_000)

    [(path, reason)] = reader.broken.items()
    assert path.endswith("0.csv")
    assert "ended before the end-of-stream marker" in reason
    *first, other = records
    assert file_and_row(other.place) == (1, 2)
    readable = [each for each in first if each.fault is None]
    assert 1_000 < len(readable) < 20_000
    assert [each.task for each in readable] == names[: len(readable)]
    # Half a line is not a row, or "runn" would be a status.
    assert [(file_and_row(each.place)[1], each.detail) for each in first if each.fault] in (
        [],
        [(len(readable) + 2, reason)],
    )


def test_missing_file_is_broken(reader: Reader) -> None:
    records, broken = reader.read([(0, "/nowhere/at/all.csv", "csv")])

    assert records == []
    assert broken == {"/nowhere/at/all.csv": "No such file or directory"}


def test_the_standard_input_may_be_compressed(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO(gzip.compress((HEADER + "a,created\nb,running\n").encode()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))

    assert brief(reader.read([(0, "-", "csv")])[0]) == GOOD


def test_progress_names_the_file(tmp_path: Path) -> None:
    told: list[tuple[str, float | None]] = []
    (tmp_path / "a b.csv").write_text(HEADER + "a,created\n" * 100)
    with DuckDbSession(progress=lambda doing, share: told.append((doing, share))) as bench:
        read_text(bench, RULES, UNTIMED, [(0, str(tmp_path / "a b.csv"), "csv")], block_bytes=100)

    assert {doing for doing, _ in told} == {"reading a b.csv"}
    assert len(told) > 5
    assert told[-1][1] == 1.0


# --- columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("csv", "task_id,state\na,running\n", "0.csv: there is no column 'status', only 'task_id', 'state'"),
        ("csv", "task_id,status,status\na,running,x\n", "0.csv: the column 'status' occurs 2 times"),
        ("csv", "\n\nstatus\n", "0.csv: there is no column 'task_id', only 'status'"),
        ("csv", '"task_id,status\na,running\n', "must name the columns, is not CSV: unexpected end of data"),
        ("csv", b"task_id,st\xfftus\n", "must name the columns, is not UTF-8"),
        ("csv", "task_id,status\ra,running\r", "must name the columns, is not CSV: a carriage return alone"),
        ("jsonl", '{"id": 1, "status": "running"}\n' * 2, "0.jsonl: there is no column 'task_id', only 'id', 'status'"),
        ("jsonl", "{}\n", "0.jsonl: there is no column 'task_id', and no other column either"),
    ],
)
@pytest.mark.parametrize("block_bytes", [16, 1_000])
def test_columns_must_be_there_once(
    reader: Reader, form: str, text: str | bytes, message: str, block_bytes: int
) -> None:
    with pytest.raises(UnusableLog) as raised:
        reader(text, form=form, block_bytes=block_bytes)

    assert message in str(raised.value)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_empty_file_has_no_rows(reader: Reader, form: str) -> None:
    for content in ("", "\n\n", "\r\n", "\ufeff"):
        assert reader(content, form=form) == []
    assert reader(HEADER) == []


def test_a_key_may_be_absent_from_rows_while_others_have_it(reader: Reader) -> None:
    text = '{"status": "running"}\n{"task_id": "a"}\n{"task_id": 12345678901234567890123, "status": "running"}\n'

    for block_bytes in (1, 1_000):
        assert brief(reader(text, form="jsonl", block_bytes=block_bytes)) == [
            (1, None, None, RejectReason.NO_TASK),
            (2, None, None, RejectReason.NO_STATUS),
            (3, "12345678901234567890123", "running", None),
        ]


# --- rows that are none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("a", "the header has 2 columns, this row has 1"),
        ("a,b,c", "the header has 2 columns, this row has 3"),
        ('"a,b",c,"d"', "the header has 2 columns, this row has 3"),
        ('"a"b,c', "not CSV: ',' expected after '\"'"),
        ('a,"b', "not CSV: unexpected end of data"),
        (
            "a\rb,c",
            "not CSV: a carriage return alone ends no line; tr '\\r' '\\n' converts it",
        ),
        (b"a,\xff", "not UTF-8"),
    ],
)
@pytest.mark.parametrize("row_by_row", [False, True], ids=["at once", "row by row"])
def test_malformed_csv_line_is_kept_with_the_reason(
    reader: Reader, line: str | bytes, detail: str, row_by_row: bool
) -> None:
    data = line.encode() if isinstance(line, str) else line
    content = HEADER.encode() + b"a,created\n" + data + b"\n\nb,running\n"

    records = reader(content, row_by_row=row_by_row)

    assert brief(records) == [
        (2, "a", "created", None),
        (3, None, None, RejectReason.NOT_A_ROW),
        (5, "b", "running", None),
    ]
    assert records[1].detail == detail


DEEP = "[" * 1_000_000
LONG_NUMBER = "1" * 100_000


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("[1]", "a row must be a JSON object, not an array"),
        ('"running"', "a row must be a JSON object, not a text"),
        (LONG_NUMBER, "a row must be a JSON object, not a number"),
        ("null", "a row must be a JSON object, not null"),
        ("true", "a row must be a JSON object, not a truth value"),
        ('{"status": }', "not JSON: Expecting value at column 12"),
        ('{"status": "running"', "not JSON: Expecting ',' delimiter at column 21"),
        ('{"status": "a"}{"status": "b"}', "not JSON: Extra data at column 16"),
        ('{"status": "a\x00"}', "not JSON: Invalid control character at at column 14"),
        ("\x00", "not JSON: Expecting value at column 1"),
        (r'{"task_id": "a", "status": "\ud800"}', "not JSON: half of a surrogate pair"),
        (r'{"\udc00": 1}', "not JSON: half of a surrogate pair"),
        (b'{"status": "\xff"}', "not UTF-8"),
        (b'{"status": "\xed\xa0\x80"}', "not UTF-8"),
        (DEEP, "not JSON: "),
        ('{"status": "a", "task_id": "t", "status": "b"}', "the key 'status' occurs 2 times"),
        (r'{"status": "a", "task_id": "t", "st\u0061tus": "b"}', "the key 'status' occurs 2 times"),
        ('{"status": "a", "status": "b"}', "the key 'status' occurs 2 times"),
    ],
)
def test_malformed_json_line_is_kept_with_the_reason(reader: Reader, line: str | bytes, detail: str) -> None:
    good = [json.dumps({"task_id": task, "status": status}).encode() for _, task, status, _ in GOOD]
    data = line.encode() if isinstance(line, str) else line

    records = reader(b"\n \t\n".join([good[0], data, good[1]]), form="jsonl")

    assert brief(records) == [
        (1, "a", "created", None),
        (3, None, None, RejectReason.NOT_A_ROW),
        (5, "b", "running", None),
    ]
    assert str(records[1].detail).startswith(detail)


NESTED = Columns(task=None, at=None, status="d.e.status")


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ('{"d": {"e": {"status": "running", "status": "stopped"}}}', "the key 'd.e.status' occurs 2 times"),
        (r'{"d": {"e": {"status": "running", "st\u0061tus": "stopped"}}}', "the key 'd.e.status' occurs 2 times"),
        ('{"d": {"e": {"status": "running"}, "e": 1, "e": 2}}', "the key 'd.e' occurs 3 times"),
        ('{"d": {"e": {"status": "running"}}, "d": {}}', "the key 'd' occurs 2 times"),
        ('{"d.e.status": "running", "d.e.status": "stopped"}', "the key 'd.e.status' occurs 2 times"),
    ],
)
def test_a_key_on_the_path_to_a_column_may_occur_once(reader: Reader, line: str, detail: str) -> None:
    good = '{"status": "status", "d": {"status": 1, "e": {"status": "running", "d": 1, "e": 2}, "f": {"e": 1, "e": 2}}}'

    records = reader(f"{good}\n{line}\n{good}", form="jsonl", columns=NESTED)

    assert [(each.status, each.detail) for each in records] == [("running", None), (None, detail), ("running", None)]


def test_a_key_in_an_item_of_an_array_may_occur_once(reader: Reader) -> None:
    columns = Columns(task=None, at=None, status="d.1.status")
    lines = [
        '{"d": [{}, {"status": "running"}]}',
        '{"d": [{}, {"status": "running", "status": "stopped"}]}',
        '{"d": 1}',
    ]

    records = reader("\n".join(lines), form="jsonl", columns=columns)

    assert [each.detail for each in records] == [None, "the key 'd.1.status' occurs 2 times", None]


@pytest.mark.parametrize("name", ["a..b", ".a", "a.", ".", "a~.b/c", "it's.a"])
def test_any_path_may_be_that_of_a_column(reader: Reader, name: str) -> None:
    document: Any = "running"
    for key in reversed(name.split(".")):
        document = {key: document}
    text = json.dumps(document)
    inner, value = text.rpartition(": ")[0].rpartition("{")[2], '"running"'
    twice = text.replace(value, f"{value}, {inner}: {value}")

    records = reader(f"{text}\n{twice}", form="jsonl", columns=Columns(task=None, at=None, status=name))

    assert [(each.status, each.detail) for each in records] == [
        ("running", None),
        (None, f"the key {name!r} occurs 2 times"),
    ]


def test_a_path_that_no_row_has_is_a_missing_column(reader: Reader) -> None:
    columns = Columns(task=None, at=None, status="data.status")

    with pytest.raises(MissingColumn) as raised:
        reader('{"data": {"state": "running"}}\n', form="jsonl", columns=columns)
    assert str(raised.value).endswith("column 'data.status', only 'data'; no row has 'status' inside of 'data'")

    with pytest.raises(MissingColumn) as raised:
        reader('{"no": 1, "a/~b": {"status": "running"}}\n', form="jsonl", columns=Columns(task=None, at=None))
    assert str(raised.value).endswith("column 'status', only 'a/~b', 'no'; the first row has 'a/~b.status'")
    assert (raised.value.name, raised.value.known) == ("status", ("a/~b", "no"))

    with pytest.raises(MissingColumn, match="only in JSON Lines can a name lead into a column"):
        reader("data\nrunning\n", columns=columns)


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ('"x": 1,', "not JSON: "),
        ('"x": 1 , \t', "not JSON: "),
        ('"x": [1,]', "not JSON: "),
        ('"x": [{"y": 1,\r}]', "not JSON: "),
        ('"x": NaN', "not JSON: NaN is not a number"),
        ('"x": [1, -Infinity]', "not JSON: -Infinity is not a number"),
        ('"x":infinity', "not JSON: Expecting value"),
        ('"x": [nAn]', "not JSON: Expecting value"),
        ('"x": -inf', "not JSON: "),
        (r'"x": "\\", "y": NaN', "not JSON: NaN is not a number"),
    ],
)
def test_text_that_only_duckdb_accepts_as_json_is_rejected(reader: Reader, more: str, detail: str) -> None:
    good = ['"x": ", ] : NaN"', r'"x": "a\", } , inf"', '"inf": [], ",}": "nan"', '"x": {}']
    lines = [f'{{"task_id": "a", "status": "running", {each}}}' for each in (*good, more)]

    *first, last = reader("\n".join(lines), form="jsonl")

    assert [each.fault for each in first] == [None] * len(good)
    assert last.fault == RejectReason.NOT_A_ROW
    assert str(last.detail).startswith(detail)


def test_the_same_key_in_different_objects_is_not_twice(reader: Reader) -> None:
    text = '{"task_id": "a", "status": "status", "more": {"status": 1, "x": 2, "x": 3}, "more": 2}'

    assert brief(reader(text, form="jsonl")) == [(1, "a", "status", None)]


def test_valid_json_row_may_have_odd_values(reader: Reader) -> None:
    lines = [
        '{"task_id": "a", "status": "running", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"task_id": ' + LONG_NUMBER + ', "status": "running"}',
        r'{"task_id": "\u0000\ud83d\ude00", "status": "running"}',
        '{"task_id": true, "status": "running"}',
        '{"task_id": "a", "status": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ]

    assert brief(reader("\n".join(lines), form="jsonl")) == [
        (1, "a", "running", None),
        (2, LONG_NUMBER, "running", None),
        (3, "\0😀", "running", None),
        (4, None, None, RejectReason.NO_TASK),
        (5, None, None, RejectReason.NO_STATUS),
    ]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("size", [1_000_000, pytest.param(10_000_000, marks=pytest.mark.heavy)])
def test_a_status_of_many_megabytes_is_read(reader: Reader, quote: str, size: int) -> None:
    long = "x" * size
    text = f"{HEADER}a,{quote}{long}{quote}\nb,running\n"

    for row_by_row in (False, True):
        records = reader(text, row_by_row=row_by_row, block_bytes=100_000)
        assert [each.status for each in records] == [long, "running"]
    text = json.dumps({"task_id": "a", "status": long}) + "\n" + json.dumps({"task_id": "b", "status": "running"})
    assert [each.status for each in reader(text, form="jsonl", block_bytes=100_000)] == [long, "running"]


@pytest.mark.parametrize("row_by_row", [False, True], ids=["at once", "row by row"])
def test_a_row_that_is_too_long_is_kept_with_the_reason(reader: Reader, row_by_row: bool) -> None:
    line = "a," + "x" * 2_000_000
    text = f"{HEADER}a,created\n{line}\nb,running\n"

    records = reader(text, block_bytes=100, longest_bytes=1_000, row_by_row=row_by_row)

    assert brief(records) == [
        (2, "a", "created", None),
        (3, None, None, RejectReason.NOT_A_ROW),
        (4, "b", "running", None),
    ]
    assert records[1].detail == "the line is longer than 1000 bytes"


def test_a_quote_that_is_never_closed_does_not_swallow_the_file(reader: Reader) -> None:
    rows = [f"{number},running" for number in range(2_000)]
    rows[100] = '100,"running'

    records = reader(HEADER + "\n".join(rows), block_bytes=2_000, longest_bytes=8_000)

    assert details(records) == {102: "not CSV: unexpected end of data"}
    assert [each.task for each in records if not each.fault] == [
        str(number) for number in range(2_000) if number != 100
    ]


# --- both ways, all sizes of blocks ------------------------------------------------------------

some = settings(max_examples=examples(12))  # each of them reads files, which takes its time
SIZES = st.sampled_from([1, 16, 64, 1_000_000])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.text('a,"\r\n\0\x1f', max_size=4)


@some
@given(
    table=st.lists(st.tuples(texts, texts, texts), max_size=5),
    writing=st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL), ("\n", csv.QUOTE_ALL)]),
    block_bytes=SIZES,
    row_by_row=st.booleans(),
)
def test_csv_round_trip_keeps_every_text(
    reader: Reader, table: list[tuple[str, str, str]], writing: tuple[str, int], block_bytes: int, row_by_row: bool
) -> None:
    buffer = io.StringIO(newline="")
    end, quoting = writing
    writer = csv.writer(buffer, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(("task_id", "other", "status"))
    expected: list[Brief] = []
    for task, other, status in table:
        expected.append(expected_of(buffer.getvalue().count("\n") + 1, task, status))
        writer.writerow((task, other, status))

    assert brief(reader(buffer.getvalue(), block_bytes=block_bytes, row_by_row=row_by_row)) == expected


def expected_of(line: int, task: str, status: str) -> Brief:
    fault = RejectReason.NO_TASK if not task else RejectReason.NO_STATUS if not status else None
    return (line, None, None, fault) if fault else (line, task, status, None)


ids = texts | st.integers() | st.integers(10**25, 10**30)


@some
@given(
    table=st.lists(st.tuples(ids, texts, st.sampled_from(["", "\n", " \t\r\n"])), min_size=1, max_size=5),
    ascii_only=st.booleans(),
    block_bytes=SIZES,
)
def test_json_round_trip_keeps_every_text(
    reader: Reader, table: list[tuple[str | int, str, str]], ascii_only: bool, block_bytes: int
) -> None:
    text = ""
    expected: list[Brief] = []
    for task, status, between in table:
        text += between
        expected.append(expected_of(text.count("\n") + 1, str(task), status))
        text += json.dumps({"status": status, "task_id": task}, ensure_ascii=ascii_only) + "\n"

    assert brief(reader(text, form="jsonl", block_bytes=block_bytes)) == expected


ALPHABET = st.sampled_from(
    [b"a", b"b", b",", b",", b'"', b'"', b"\n", b"\n", b"\r\n", b"\r", b"\0", b"\x1f", b"\xff", b"\xc3\xa9"]
)

CELLS = st.sampled_from(
    [b"", b"a", b"b c", b'""', b'"a"', b'"a,b"', b'"a""b"', b'"a\nb"', b'a"b', b'"a\r\n"', b'"\x1f"']
)
ROWS = st.lists(CELLS, max_size=3).map(b",".join)


@some
@given(
    data=st.lists(ALPHABET, max_size=40).map(b"".join) | st.lists(ROWS, max_size=8).map(b"\n".join),
    block_bytes=SIZES,
    names=st.sampled_from(["status", "task_id,status"]),
)
def test_block_and_row_readers_agree_on_any_input(reader: Reader, data: bytes, block_bytes: int, names: str) -> None:
    content = f"{names}\n".encode() + data
    columns = Columns(task="task_id" if "," in names else None, at=None)

    at_once = reader(content, columns=columns, block_bytes=block_bytes)

    assert at_once == reader(content, columns=columns, row_by_row=True)


@some
@given(
    lines=st.lists(
        st.sampled_from([b'{"task_id": "a", "status": "b"}', b'{"status": "b"}', b"{", b"", b" ", b"\xff", b"[]"])
    ),
    block_bytes=SIZES,
)
def test_every_line_of_json_is_a_row_or_rejected_or_blank(reader: Reader, lines: list[bytes], block_bytes: int) -> None:
    lines.append(b'{"task_id": "a", "status": "b"}')

    records = reader(b"\n".join(lines), form="jsonl", block_bytes=block_bytes)

    expected = [line for line, content in enumerate(lines, start=1) if content.strip()]
    assert [file_and_row(each.place)[1] for each in records] == expected


# fmt: off
VALUES = st.sampled_from([
    '"running"', '"a"', '""', r'"\u0061"', r'"a\"b"', '"nan, ]"', "1", "-0", "1.50", "1e5", "true", "null", "NaN",
    "-inf", '{"status": "b"}', '{"status":"b"}', '{"x":1,"x":2}', "[]", "[1,]", "[Infinity]", '["NaN,"]', "",
    '{"inf":[,]}',
])
# fmt: on
KEYS = st.sampled_from([*["task_id", "status", "x"] * 3, "STATUS", r"st\u0061tus", 'x"', "/"])


@st.composite
def json_like_lines(draw: st.DrawFn, space: str) -> str:
    """A line with the keys of an ordinary row and others, some of them twice, and some faults of syntax."""
    keys = draw(st.just(["task_id", "status", "x"]) | st.lists(KEYS, max_size=4))
    members = [f'"{key}":{space}{draw(VALUES)}' for key in keys]
    end = draw(st.sampled_from(["}", "}", "}", "}", ",}", ", }", "} ", "}\r", "}}", "", "} {}"]))
    return "{" + f",{space}".join(members) + end


def strictly_parsed(line: str) -> dict[str, Any] | None:
    """Return the object of a line by RFC 8259, its keys under ""; None if it is none, or has a status twice."""

    def with_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {**dict(pairs), "": [key for key, _ in pairs]}

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        document = json.loads(line, object_pairs_hook=with_keys, parse_constant=refuse)
    except ValueError:
        return None
    return None if document[""].count("status") > 1 else document


@some
@given(data=st.data(), space=st.sampled_from(["", " "]), x=st.sampled_from(["1", '"1"']))
def test_line_is_judged_alike_whatever_the_lines_before_it(
    reader: Reader, data: st.DataObject, space: str, x: str
) -> None:
    first = f'{{"task_id":{space}"a",{space}"status":{space}"b",{space}"x":{space}{x}}}'
    lines = [first, *data.draw(st.lists(json_like_lines(space), max_size=12))]
    expected: list[tuple[bool, str | None]] = []
    for document in map(strictly_parsed, lines):
        status = None if document is None else document.get("status")
        expected.append((document is not None, status if isinstance(status, str) and status else None))

    records = reader("\n".join(lines), form="jsonl", columns=Columns(task=None, at=None))

    assert [(each.fault != RejectReason.NOT_A_ROW, each.status) for each in records] == expected


# --- other formats, and what is inside of a column -----------------------------------------------


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        ("task_id;status\na;created\n", "csv", "its cells are separated by semicolons, not by commas"),
        ("task_id\tstatus\na\tcreated\n", "csv", "its cells are separated by tabs, not by commas"),
        ("task_id|status\na|created\n", "csv", "its cells are separated by vertical bars, not by commas"),
        *(
            (text.encode(encoding), form, f"it is {encoding[:6].upper()}, not UTF-8: {advice}")
            for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
            for form, text, advice in (
                ("csv", "task_id,status\na,created\n", rf"name the encoding \({encoding}\)"),
                ("jsonl", '{"task_id": "a"}\n', "convert it"),
            )
        ),
        ('[{"task_id": "a", "status": "created"}]', "jsonl", "it is one JSON array, not an object on each line"),
        (' [\n  {\n "task_id": "a"}]', "jsonl", "it is one JSON array, not an object on each line"),
    ],
)
def test_file_in_another_format_is_refused_by_its_name(
    reader: Reader, content: str | bytes, form: str, message: str
) -> None:
    with pytest.raises(UnusableLog, match=f"0.{form}: {message}"):
        reader(content, form=form)


# --- other delimiters and encodings of CSV -------------------------------------------------------

DELIMITERS = [";", "\t", "|", " ", "'", "a", "\x1f", "§", "\U0001f600"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "cp037"]
STATUSES = ["created", "r;u,n|n\ti ng", 'say "it"', "two\nlines", "it's", "\xe9\xfc", ""]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("writing", [("\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL)], ids=["LF", "CRLF"])
@pytest.mark.parametrize("row_by_row", [False, True], ids=["at once", "row by row"])
@pytest.mark.parametrize("statuses", [STATUSES, STATUSES[:2] + STATUSES[4:6]], ids=["hard", "simple"])
def test_csv_of_another_delimiter_is_read(
    reader: Reader, delimiter: str, writing: tuple[str, int], row_by_row: bool, statuses: list[str]
) -> None:
    content = written(statuses, delimiter=delimiter, lineterminator=writing[0], quoting=writing[1])

    for block_bytes in (16, 1_000_000):
        records = reader(content, csv=CsvOptions(delimiter), row_by_row=row_by_row, block_bytes=block_bytes)

        assert [(each.task, each.status, each.fault) for each in records] == expected_statuses(statuses)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("pack", "end"),
    [(bytes, "\n"), (bytes, "\r\n"), (PACKS[0], "\n"), (PACKS[1], "\r\n")],
    ids=["plain LF", "plain CRLF", "gzip LF", "zstd CRLF"],
)
def test_csv_in_another_encoding_is_read_by_its_lines(
    reader: Reader, encoding: str, pack: Callable[[bytes], bytes], end: str
) -> None:
    content = pack(written(STATUSES, quoting=csv.QUOTE_MINIMAL, lineterminator=end).encode(encoding))

    for block_bytes in (1, 7, 1_000_000):
        records = reader(content, csv=CsvOptions(encoding=encoding), block_bytes=block_bytes)

        assert [(each.task, each.status, each.fault) for each in records] == expected_statuses(STATUSES)
        assert [file_and_row(each.place)[1] for each in records] == [2, 3, 4, 5, 7, 8, 9]


def written(statuses: list[str], **options: Any) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, **options)
    writer.writerows([("task_id", "status"), *((f"t{number}", status) for number, status in enumerate(statuses))])
    return buffer.getvalue()


def expected_statuses(statuses: list[str]) -> list[tuple[str, str | None, str | None]]:
    return [
        (f"t{number}", status or None, None if status else RejectReason.NO_STATUS)
        for number, status in enumerate(statuses)
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_skipped_whatever_the_name_of_the_encoding(reader: Reader, encoding: str) -> None:
    content = ("\ufeff" + HEADER + "a,created\nb,running\n").encode(encoding)

    for name in (encoding, "utf-16"):
        assert brief(reader(content, csv=CsvOptions(encoding=name))) == GOOD


@pytest.mark.parametrize(
    ("encoding", "wrong"),
    [
        ("cp1252", b"\x81"),
        ("ascii", "\xe9".encode()),  # whose bytes are UTF-8 themselves
        ("utf-16-le", b"\x00\xd8"),
        ("utf-7", b"+2AA-"),  # the codec lets half of a surrogate pair pass
        ("shift_jis", b"\xa0"),
    ],
)
@pytest.mark.parametrize("row_by_row", [False, True], ids=["at once", "row by row"])
def test_undecodable_bytes_reject_their_line(reader: Reader, encoding: str, wrong: bytes, row_by_row: bool) -> None:
    first, middle, last = (text.encode(encoding) for text in (HEADER + "a,created\nx,", "\n\n", "b,running\n"))

    records = reader(first + wrong + middle + last, csv=CsvOptions(encoding=encoding), row_by_row=row_by_row)

    assert brief(records) == [GOOD[0], (3, None, None, RejectReason.NOT_A_ROW), (5, "b", "running", None)]
    assert records[1].detail == f"not {encoding}"


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("a,2026-01-15,x", "there is no column 'task_id', only 'a', '2026-01-15', 'x'"),
        ("a,2026-01-15T10:30:00Z,x", "there is no column 'task_id', only"),
        ("a,1768473000,x", "there is no column 'task_id', only"),
        ("a,soon,running", "there is no column 'task_id', only"),
        ("a,1,1", "the column '1' occurs 2 times"),
    ],
)
def test_first_row_that_looks_like_data_asks_for_the_header(reader: Reader, first: str, message: str) -> None:
    with pytest.raises(UnusableLog, match=f"0.csv: {message}.*; is the header missing?"):
        reader(f"{first}\n{first}\n")


@pytest.mark.parametrize("first", ["id,when,state", "task_id,2026,state"])
def test_first_row_of_other_names_does_not_ask_for_the_header(reader: Reader, first: str) -> None:
    with pytest.raises(MissingColumn) as raised:
        reader(f"{first}\n")
    assert "header" not in str(raised.value)


def test_a_header_that_cannot_be_decoded_is_an_error(reader: Reader) -> None:
    with pytest.raises(UnusableLog, match="the first row, which must name the columns, is not cp1252"):
        reader(b"task_id,st\x81tus\n", csv=CsvOptions(encoding="cp1252"))


def test_truncated_last_character_rejects_its_line(reader: Reader) -> None:
    content = (HEADER + "a,created\nb,running").encode("utf-16-le")

    records = reader(content[:-1], csv=CsvOptions(encoding="utf-16-le"))

    assert brief(records) == [GOOD[0], (3, None, None, RejectReason.NOT_A_ROW)]


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_whole_lines_of_a_compressed_file_in_another_encoding_that_breaks_off_count(
    reader: Reader, encoding: str
) -> None:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2_000)]
    whole = gzip.compress((HEADER + "".join(f"{name},running\n" for name in names)).encode(encoding))

    records = reader(whole[: len(whole) // 2], csv=CsvOptions(encoding=encoding))

    assert len(reader.broken) == 1
    readable = [each.task for each in records if each.fault is None]
    assert readable == names[: len(readable)]
    assert 100 < len(readable) < 2_000


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\r", "\n", "\0", "\udcff", "\\t"])
def test_invalid_delimiter_is_refused(delimiter: str) -> None:
    with pytest.raises(ValueError, match="a delimiter must be one character, neither a quote nor a line end, not '"):
        CsvOptions(delimiter)


@pytest.mark.parametrize(
    ("encoding", "hint"),
    [
        ("utf-17", "; did you mean 'utf-7'?"),
        ("CP1252x", "; did you mean 'cp125"),
        ("latin_11", "; did you mean 'latin"),
        ("rot13", ""),  # a codec, but of no text encoding
        ("hex", ""),
        ("idna", ""),  # a codec of names: it cannot go on after an error
        ("punycode", ""),
        ("undefined", ""),
        ("\0", ""),
        ("", ""),
    ],
)
def test_an_unknown_encoding_is_refused_with_the_nearest(encoding: str, hint: str) -> None:
    with pytest.raises(ValueError, match="unknown encoding '") as raised:
        CsvOptions(encoding=encoding)
    assert hint in str(raised.value)


@pytest.mark.parametrize(
    ("header", "delimiter", "likely", "message"),
    [
        ("task_id;status", ",", ";", "separated by semicolons, not by commas: name the delimiter"),
        ('"task_id";"status"', ",", ";", "separated by semicolons, not by commas"),
        ("task_id\tstatus", ",", "\t", "separated by tabs, not by commas"),
        ("task_id,status", ";", ",", "separated by commas, not by semicolons"),
        ("task_id,status", "x", ",", "separated by commas, not by 'x'"),
        ("task_id;a,b;status", ",", ";", "separated by semicolons, not by commas"),
        ("\n\nid;state", ",", ";", "separated by semicolons, not by commas"),
    ],
)
def test_a_header_of_another_delimiter_is_recognised(
    reader: Reader, header: str, delimiter: str, likely: str, message: str
) -> None:
    with pytest.raises(WrongDelimiter, match=f"0.csv: its cells are {message}") as raised:
        reader(f"{header}\na{likely}created\n", csv=CsvOptions(delimiter))

    assert raised.value.delimiter == likely
    assert raised.value.path.endswith("0.csv")


@pytest.mark.parametrize("header", ["id,a;b,state", "task_id,a;status", "id", '"task_id;status'])
def test_missing_column_is_not_taken_for_another_delimiter(reader: Reader, header: str) -> None:
    with pytest.raises(UnusableLog, match=r"no column|not CSV") as raised:
        reader(f"{header}\n")
    assert not isinstance(raised.value, WrongDelimiter)


def test_the_likely_encoding_is_reported(reader: Reader) -> None:
    with pytest.raises(WrongEncoding) as raised:
        reader(HEADER.encode("utf-16-be"))
    assert raised.value.encoding == "utf-16-be"


def test_separator_in_the_only_column_name_is_literal(reader: Reader) -> None:
    columns = Columns(task=None, at=None, status="a;b")
    assert [record.status for record in reader("a;b\ncreated\n", columns=columns)] == ["created"]


def test_columns_inside_of_others_are_named_with_dots(reader: Reader) -> None:
    columns = Columns(task="data.id", at=None, status="data.at.status")
    rows: list[dict[str, Any]] = [
        {"data": {"id": "a", "at": {"status": "created"}}},
        {"data": {"id": "b", "at": {}}},
        {"data": 5},
        {"data.id": "c", "data": {"id": "d"}, "data.at.status": "running"},  # the key inside of another comes first
        {"data": {"id": "e", "at": 5}, "data.at.status": "running"},
        {"data": {"id": "f", "at": {"status": "running"}}, "data.at.status": "stopped"},
        {"data.at.status": "stopped", "data.id": "g", "data": {"at": {"status": "running"}}},
    ]
    records = reader("\n".join(map(json.dumps, rows)), form="jsonl", columns=columns)

    assert brief(records) == [
        (1, "a", "created", None),
        (2, None, None, RejectReason.NO_STATUS),
        (3, None, None, RejectReason.NO_TASK),
        (4, "d", "running", None),
        (5, "e", "running", None),
        (6, "f", "running", None),
        (7, "g", "running", None),
    ]
    with pytest.raises(
        UnusableLog, match=r"no column 'data\.id', only 'data', 'status'; only in JSON Lines can a name"
    ):
        reader("data,status\nx,created\n", columns=Columns(task="data.id", at=None))
