"""Findings and rejects as files: each format read back by others, and each file there whole or not at all."""

from __future__ import annotations

import csv
import gzip
import json
import os
import stat
import sys
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lifecycle_adapters.logs.duckdb_session import DuckDbSession, literal
from lifecycle_adapters.logs.formats import FileFormat
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog
from lifecycle_adapters.logs.writers import atomic_write, format_to_write, write
from lifecycle_adapters.spreadsheets import cell

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMATS = ("parquet", "csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "ndjson", "json")

HOSTILE = [
    "plain",
    'a "quoted", text',
    "two\nlines\r\nand a return\r",
    "a nul \0 inside",
    "'; DROP TABLE findings; --",
    "<script>alert(1)</script>",
    "ünïcödé 🦆 \u202e",
    "back\\slash",
    " spaces ",
    "#comment",
    "'=1+1",
]
FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "--", '=HYPERLINK("http://localhost")',
    *(f"{wide}1" for wide in "\uff1d\uff0b\uff0d\uff20"),
]  # fmt: skip
ODD = [chr(code) for code in range(0x2100) if not chr(code).isprintable()]
AT = datetime(2026, 1, 15, 10, 30, 0, 250, tzinfo=UTC)


@pytest.fixture(scope="module")
def bench() -> Generator[DuckDbSession]:
    with DuckDbSession(threads=1) as bench:
        yield bench


def query(bench: DuckDbSession, texts: Sequence[str | None]) -> str:
    """A relation as findings have it, one row for each text, in reverse order."""
    bench.run("CREATE OR REPLACE TABLE lying (place BIGINT, text VARCHAR)")
    for place, text in reversed([*enumerate(texts)]):
        bench.run("INSERT INTO lying VALUES (?, ?)", [place, text])
    return f"""SELECT text, TIMESTAMPTZ {literal(AT.isoformat())} AS "at", place AS row, [text, 'b'] AS possible, place
               FROM lying"""


def read(path: Path) -> list[dict[str, Any]]:
    """The contents as other readers see them: Python's csv and json, and DuckDB for Parquet."""
    if path.suffix == ".parquet":
        with duckdb.connect() as other:
            other.execute("SET TimeZone = 'UTC'")
            found = other.execute(f'SELECT text, epoch_us("at"), row, possible FROM {literal(path)}').fetchall()
        return [{"text": text, "at": us, "row": row, "possible": possible} for text, us, row, possible in found]
    data = path.read_bytes()
    if path.suffix in (".gz", ".zst"):
        data = gzip.decompress(data) if path.suffix == ".gz" else zstd.decompress(data)
    text = data.decode()
    if ".csv" in path.suffixes:
        csv.field_size_limit(sys.maxsize)
        return list(csv.DictReader(text.splitlines(keepends=True)))
    return [json.loads(line) for line in text.split("\n") if line]


# --- what is written --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_every_text_survives_in_every_format(bench: DuckDbSession, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{form}"

    assert write(bench, path, query(bench, HOSTILE), order="place") == len(HOSTILE)

    rows = read(path)
    assert [row["text"] for row in rows] == ([*map(cell, HOSTILE)] if "csv" in form else HOSTILE)
    assert list(rows[0]) == ["text", "at", "row", "possible"], "what orders them is left out"


@pytest.mark.parametrize("form", FORMATS)
def test_times_numbers_and_lists_are_written_exactly(bench: DuckDbSession, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{form}"

    write(bench, path, query(bench, ["a"]), order="place")

    (row,) = read(path)
    expected: Mapping[str, Any]
    if form == "parquet":
        expected = {"at": int(AT.timestamp()) * 1_000_000 + 250, "row": 0, "possible": ["a", "b"]}
    elif "csv" in form:
        expected = {"at": "2026-01-15T10:30:00.000250Z", "row": "0", "possible": "a|b"}
    else:
        expected = {"at": "2026-01-15T10:30:00.000250Z", "row": 0, "possible": ["a", "b"]}
    assert row == {"text": "a", **expected}


def test_parquet_says_that_times_have_a_zone(bench: DuckDbSession, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write(bench, path, query(bench, ["a"]), order="place")

    types = {name: kind for name, kind, *_ in bench.run(f"DESCRIBE SELECT * FROM {literal(path)}")}

    assert types == {"text": "VARCHAR", "at": "TIMESTAMP WITH TIME ZONE", "row": "BIGINT", "possible": "VARCHAR[]"}


def test_a_spreadsheet_finds_no_formula(bench: DuckDbSession, tmp_path: Path) -> None:
    for form in ("csv", "jsonl", "parquet"):
        write(bench, tmp_path / f"rows.{form}", query(bench, FORMULAS), order="place")

    cells = read(tmp_path / "rows.csv")
    assert [row["text"] for row in cells] == [f"'{text}" for text in FORMULAS]
    assert [row["possible"] for row in cells] == [f"'{text}|b" for text in FORMULAS]
    assert [row["text"] for row in read(tmp_path / "rows.jsonl")] == FORMULAS
    assert [row["text"] for row in read(tmp_path / "rows.parquet")] == FORMULAS


def test_name_of_the_standard_input_is_not_escaped(bench: DuckDbSession, tmp_path: Path) -> None:
    write(bench, tmp_path / "rows.csv", query(bench, ["-"]), order="place")

    assert [row["text"] for row in read(tmp_path / "rows.csv")] == ["-"]


def test_control_characters_in_cells_are_escaped(bench: DuckDbSession, tmp_path: Path) -> None:
    texts = [
        "\x1b[31mred",
        "a\x9b2Jb\x07",
        "nul \0",
        "\ttab",
        "ev\ril\n",
        "\u202egnp.exe",
        "\u2066x\u2069",
        "plain ünïcödé 日本 🦆",
    ]

    write(bench, tmp_path / "rows.csv", query(bench, texts), order="place")

    shown = [
        "\\x1b[31mred",
        "a\\x9b2Jb\\x07",
        "nul \\x00",
        "\\ttab",
        "ev\\ril\\n",
        "\\u202egnp.exe",
        "\\u2066x\\u2069",
        texts[-1],
    ]
    assert [row["text"] for row in read(tmp_path / "rows.csv")] == shown


def test_duckdb_writes_the_cells_that_python_writes(bench: DuckDbSession, tmp_path: Path) -> None:
    texts = [*HOSTILE, *FORMULAS, *ODD, *(f"={each}" for each in ODD), "".join(ODD), "-", "="]

    write(bench, tmp_path / "rows.csv", query(bench, texts), order="place")

    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [*map(cell, texts)]


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl.gz"])
def test_null_and_empty_text_are_distinguished(bench: DuckDbSession, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{form}"

    write(bench, path, query(bench, [None, ""]), order="place")

    if form == "csv":
        assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["text", "", '""']
    else:
        assert [row["text"] for row in read(path)] == [None, ""]


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_text_of_ten_megabytes(bench: DuckDbSession, form: str, tmp_path: Path) -> None:
    text = 'a, "b"\n' + "x" * 10_000_000

    write(bench, tmp_path / f"rows.{form}", query(bench, [text]), order="place")

    written = cell(text) if form == "csv" else text
    assert [row["text"] == written for row in read(tmp_path / f"rows.{form}")] == [True]


@pytest.mark.parametrize("form", FORMATS)
def test_empty_result_writes_a_file(bench: DuckDbSession, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{form}"

    assert write(bench, path, query(bench, []), order="place") == 0

    assert read(path) == []
    if form == "csv":
        assert path.read_text() == "text,at,row,possible\n"


def test_rows_are_in_order_however_many_threads_write(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    count = 300_000
    with DuckDbSession(threads=4) as bench:
        rows = f"SELECT (range * 7919) % {count} AS place, place AS row FROM range({count})"

        assert write(bench, path, rows, order="place") == count
        found = bench.run(f"SELECT row, file_row_number FROM read_parquet({literal(path)}, file_row_number = true)")

    assert all(row == number for row, number in found)


# --- where it is written ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["it's; DROP TABLE x; --.csv", "a*b?[c]{d}.csv", "x" * 251 + ".csv", "ü 🦆 %20.csv"])
def test_special_characters_in_a_file_name_are_literal(bench: DuckDbSession, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "it's a [folder]; *"
    folder.mkdir()

    write(bench, folder / name, query(bench, ["a"]), order="place")

    assert [path.name for path in folder.iterdir()] == [name]
    assert len(read(folder / name)) == 1


def test_link_target_is_replaced_and_not_the_link(bench: DuckDbSession, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")

    write(bench, tmp_path / "link.csv", query(bench, ["new"]), order="place")

    assert (tmp_path / "link.csv").is_symlink()
    assert [row["text"] for row in read(tmp_path / "real.csv")] == ["new"]


@pytest.mark.parametrize("form", FORMATS)
def test_new_file_is_private_and_replaced_file_keeps_its_mode(bench: DuckDbSession, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{form}"
    before = os.umask(0)
    try:
        write(bench, path, query(bench, ["a"]), order="place")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

        path.chmod(0o640)
        write(bench, path, query(bench, ["a"]), order="place")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "name", ["rows", "rows.txt", "rows.gz", "rows.parquet.gz", "rows.parquet.zst", ".csv.bz2", "-"]
)
def test_a_name_that_shows_no_format_is_refused(bench: DuckDbSession, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no known format: it must end in \.parquet, \.csv, \.jsonl, \.ndjson"):
        write(bench, tmp_path / name, "SELECT no_such_column", order="place")

    assert list(tmp_path.iterdir()) == []


def test_capitals_in_a_name_do_not_matter() -> None:
    assert format_to_write("ROWS.CSV.GZ") == FileFormat("csv", "gzip")


# --- whole or not at all ----------------------------------------------------------------------------


def test_failed_write_keeps_the_existing_file(bench: DuckDbSession, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("as it was")
    late = "SELECT range AS place, CASE WHEN range = 99999 THEN error('late') ELSE 'x' END AS text FROM range(100000)"

    with pytest.raises(UnusableLog, match="late"):
        write(bench, path, late, order="place")

    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_leaves_no_file(tmp_path: Path) -> None:
    def be_interrupted() -> None:
        with atomic_write(tmp_path / "page.html") as unfinished:
            unfinished.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/rows.csv", "file/rows.csv", "folder.csv"])
def test_an_unwritable_output_is_reported(bench: DuckDbSession, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()

    with pytest.raises(EngineFailed, match="cannot be written: "):
        write(bench, tmp_path / name, query(bench, ["a"]), order="place")

    assert {path.name for path in tmp_path.rglob("*")} == {"file", "folder.csv"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_irregular_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "page.html"
    os.mkfifo(pipe)

    with (
        pytest.raises(EngineFailed, match="cannot be written: it exists and is not a regular file"),
        atomic_write(pipe),
    ):
        pass

    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_reported(bench: DuckDbSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> str:
        return "full"

    monkeypatch.setattr("secrets.token_hex", full)
    (tmp_path / ".lifecycle-full.tmp").symlink_to("/dev/full")

    with pytest.raises(EngineFailed, match=r"rows\.csv cannot be written: .*"):
        write(bench, tmp_path / "rows.csv", query(bench, ["a" * 100_000]), order="place")

    assert list(tmp_path.iterdir()) == []
