"""Logs in Parquet: their types, their places, and files that are none."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lifecycle_adapters.logs.columns import Columns, RejectReason, TimeForm
from lifecycle_adapters.logs.files import Files
from lifecycle_adapters.logs.log_errors import UnusableLog
from lifecycle_adapters.logs.places import place_of
from tests.adapters.logs.logs import AT, AT_US, FAR, RULES, Record, far_times, offered, records_in, row, write_parquet


def read(*paths: Path, columns: Columns | None = None) -> list[Record]:
    with offered(Files(*paths), columns) as (bench, _):
        return records_in(bench)


# --- types -------------------------------------------------------------------------------------


def test_bytes_are_texts(tmp_path: Path) -> None:
    log = write_parquet(
        tmp_path / "a.parquet",
        """SELECT 'a'::BLOB AS task_id, 'cr\\xC3\\xA9\\xC3\\xA9'::BLOB AS status, '2026-01-15 10:30:00'::BLOB AS "at"
           UNION ALL SELECT '\\xFF'::BLOB, 'running'::BLOB, '2026-01-15 10:30:00'::BLOB""",
    )
    text, other = read(log)
    assert (text.task, text.status, text.at_us, text.fault) == ("a", "créé", AT_US, None)
    assert (other.task, other.fault) == (None, RejectReason.NO_TASK)


def test_typed_parquet_log_is_read(tmp_path: Path) -> None:
    log = write_parquet(
        tmp_path / "a.parquet",
        """SELECT * FROM (VALUES ('a', TIMESTAMP '2026-01-15 10:30:00', 'created', 2),
                                 ('a', TIMESTAMP '2026-01-15 10:30:00', 'running', 1),
                                 ('b', NULL, 'strange', 3)) AS log(task_id, "at", status, nr)""",
    )
    created, running = map(RULES.statuses.index, ("created", "running"))
    stamp = str(TimeForm.TIMESTAMP)
    assert read(log, columns=Columns(sequence="nr")) == [
        Record("a", AT_US, 2, place_of(0, 1), "created", created, stamp, None, None),
        Record("a", AT_US, 1, place_of(0, 2), "running", running, stamp, None, None),
        Record("b", None, 3, place_of(0, 3), "strange", None, stamp, RejectReason.NO_TIME, None),
    ]


def test_each_file_has_types_of_its_own(tmp_path: Path) -> None:
    """Ids that are numbers in one file and texts in another are the same, and so are times."""
    seconds = AT_US // 1_000_000
    logs = [
        write_parquet(tmp_path / "0.parquet", row("7")),
        write_parquet(tmp_path / "1.parquet", f"SELECT 7 AS task_id, {seconds} AS \"at\", 'running' AS status"),
        write_parquet(tmp_path / "2.parquet", row("7")),
        write_parquet(
            tmp_path / "3.parquet",
            f"SELECT 'running' AS status, [1] AS more, TIMESTAMPTZ '{AT}' AS \"at\", 7::UBIGINT AS task_id",
        ),
        write_parquet(tmp_path / "4.parquet", row("8") + ", 1 AS more"),
        write_parquet(
            tmp_path / "5.parquet", f"SELECT 7.5::DOUBLE AS task_id, {seconds}000 AS \"at\", 'running' AS status"
        ),
        write_parquet(tmp_path / "6.parquet", row("7")),
    ]
    found = read(*logs)
    assert [record.place for record in found] == [place_of(file, 1) for file in range(7)]
    assert [record.task for record in found] == ["7", "7", "7", "7", "8", None, "7"]
    assert [record.at_us for record in found] == [AT_US] * 7
    assert [record.form for record in found] == [
        *(TimeForm.ISO, TimeForm.SECONDS, TimeForm.ISO, TimeForm.TIMESTAMP, TimeForm.ISO, TimeForm.MILLISECONDS),
        TimeForm.ISO,
    ]


def test_places_count_over_all_files_of_a_log(tmp_path: Path) -> None:
    query = 'SELECT range AS task_id, {} AS status, 0 AS "at" FROM range(3)'
    for name, status in (("a", "'x'"), ("b", "NULL"), ("c", "'x'"), ("e", "NULL")):
        write_parquet(
            tmp_path / f"{name}.parquet", query.format(f"{status}::{'VARCHAR' if status != 'NULL' else 'INTEGER'}")
        )
    (tmp_path / "d.csv").write_text("task_id,at,status\n0,0,x\n")
    (tmp_path / "f.parquet").write_bytes(b"")
    with offered(Files(tmp_path)) as (bench, intake):
        assert [Path(file).name for file in intake.files] == [f"{name}" for name in
            ("a.parquet", "b.parquet", "c.parquet", "d.csv", "e.parquet", "f.parquet")]  # fmt: skip
        assert [record.place for record in records_in(bench)] == [
            *(place_of(file, nr) for file in (0, 1, 2) for nr in (1, 2, 3)),
            place_of(3, 2),
            *(place_of(4, nr) for nr in (1, 2, 3)),
        ]
        assert [*intake.broken] == [str(tmp_path / "f.parquet")]


def test_rows_keep_their_numbers_with_many_row_groups_and_threads(tmp_path: Path) -> None:
    for file in range(3):
        query = f"SELECT range AS task_id, {file} AS \"at\", 'running' AS status FROM range(30_000)"
        duckdb.execute(f"COPY ({query}) TO '{tmp_path}/{file}.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
    with offered(Files(tmp_path)) as (bench, _):
        [(rows, wrong)] = bench.run(
            "SELECT COUNT(*), COUNT(*) FILTER (place <> (at_us // 1_000_000 << 40) + task::BIGINT + 1) FROM records"
        )
    assert (rows, wrong) == (90_000, 0)


@pytest.mark.parametrize("name", ["file_row_number", "file_index", "filename", "c0", "place", "given_at"])
def test_a_file_may_have_columns_that_are_called_like_ours(tmp_path: Path, name: str) -> None:
    log = write_parquet(tmp_path / "a.parquet", f"SELECT 5 AS {name}, 's' AS status")
    [record] = read(log, columns=Columns(task=name, at=None))
    assert (record.task, record.status, record.place) == ("5", "s", 1)


def test_an_empty_table_is_a_log_of_no_rows(tmp_path: Path) -> None:
    assert read(write_parquet(tmp_path / "a.parquet", row() + " LIMIT 0")) == []


def write_times(path: Path, unit: str, *, columns: str = "'a' AS task_id, moment AS \"at\", 's' AS status") -> Path:
    with duckdb.connect() as connection:
        connection.register("times", {"moment": far_times(unit)})
        connection.execute(f"COPY (SELECT {columns} FROM times) TO '{path}' (FORMAT parquet)")
    return path


def test_file_with_a_time_that_is_too_large_for_microseconds_is_broken(tmp_path: Path) -> None:
    """DuckDB reads milliseconds as microseconds, and would refuse the whole log."""
    far = write_times(tmp_path / "a.parquet", "ms")
    write_parquet(tmp_path / "b.parquet", row())
    write_parquet(tmp_path / "c.parquet", row("c", "2026-01-15").replace("'2026-01-15'", f"TIMESTAMP_MS '{AT[:-1]}'"))
    with offered(Files(tmp_path)) as (bench, intake):
        assert [record.at_us for record in records_in(bench)] == [AT_US, AT_US]
        assert intake.broken == {
            str(far): f"a time in its column 'at' is {FAR}: correct it or leave it out",
        }
    with pytest.raises(UnusableLog, match=rf"a\.parquet: a time in its column 'at' is {FAR}"):
        read(far)


@pytest.mark.parametrize(
    "details", [[FAR], [FAR, "infinity"], [FAR, "-infinity"], ["infinity", FAR, "-infinity", None]], ids=str
)
def test_time_that_duckdb_cannot_write_rejects_its_row(tmp_path: Path, details: list[str | None]) -> None:
    times = {
        FAR: "make_timestamp('-9223372036854775808'::BIGINT)",
        "infinity": "'infinity'::TIMESTAMP",
        "-infinity": "'-infinity'::TIMESTAMP",
        None: "TIMESTAMP '1970-01-01'",
    }
    rows = (f"SELECT 'a' AS task_id, {times[each]} AS \"at\", 's' AS status" for each in details)
    log = write_parquet(tmp_path / "a.parquet", " UNION ALL ".join(rows))

    expected = [(each and RejectReason.TIME_OUT_OF_RANGE, each) for each in details]
    assert [(record.fault, record.detail) for record in read(log)] == expected


def test_column_that_is_not_read_may_hold_any_time(tmp_path: Path) -> None:
    log = write_times(tmp_path / "a.parquet", "ms", columns="'a' AS task_id, moment, 's' AS status")
    assert [record.task for record in read(log, columns=Columns(at=None))] == ["a", "a"]


@pytest.mark.heavy
@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_in_milliseconds_are_read_with_and_without_statistics(
    tmp_path: Path, zone: str | None, statistics: bool
) -> None:
    arrow: Any = import_module("pyarrow")
    times = far_times("ms")
    for name, moment in zip("ab", (times[:1], times[1:]), strict=True):
        at = arrow.array(moment).cast(arrow.timestamp("ms", zone))
        table = arrow.table({"task_id": [name], "at": at, "status": ["s"]})
        path = tmp_path / f"{name}.parquet"
        import_module("pyarrow.parquet").write_table(table, path, write_statistics=statistics)
    with offered(Files(tmp_path)) as (bench, intake):
        assert [(record.task, record.at_us) for record in records_in(bench)] == [("a", AT_US)]
        assert [*intake.broken] == [str(tmp_path / "b.parquet")]


# --- columns -----------------------------------------------------------------------------------


def test_a_missing_column_is_reported_with_its_file(tmp_path: Path) -> None:
    good = write_parquet(tmp_path / "a.parquet", row())
    bad = write_parquet(
        tmp_path / "b.parquet", "SELECT 1 AS task_id, 2 AS \"At\", {'at': 1, 'x': [1]} AS more, 's' AS status"
    )
    with pytest.raises(UnusableLog) as error:
        read(good, bad)
    assert str(error.value) == (
        f"{bad}: there is no column 'at', only 'task_id', 'At', 'more', 'status'; was 'At' meant?"
    )


def test_names_of_columns_are_compared_as_they_are(tmp_path: Path) -> None:
    log = write_parquet(tmp_path / "a.parquet", 'SELECT 1 AS "Task", \'s\' AS status, \'🙂\' AS "say ""x""; --"')
    [record] = read(log, columns=Columns(task='say "x"; --', at=None))
    assert record.task == "🙂"
    with pytest.raises(UnusableLog, match="there is no column 'task'"):
        read(log, columns=Columns(task="task", at=None))


@pytest.mark.heavy
def test_columns_of_names_that_differ_in_case_alone(tmp_path: Path) -> None:
    write_arrow(tmp_path / "a.parquet", ["AT", "at", "status"], [["AT"], ["at"], ["s"]])
    [record] = read(tmp_path / "a.parquet", columns=Columns(task="at", at=None))
    assert record.task == "at"


@pytest.mark.heavy
def test_a_duplicate_column_is_reported(tmp_path: Path) -> None:
    write_arrow(tmp_path / "a.parquet", ["task_id", "task_id", "status"], [["a"], ["b"], ["s"]])
    with pytest.raises(UnusableLog, match=r"a\.parquet: the column 'task_id' occurs 2 times"):
        read(tmp_path / "a.parquet", columns=Columns(at=None))


def write_arrow(path: Path, names: list[str], columns: list[list[str]]) -> None:
    """A file as DuckDB does not write it, for which names that differ in case alone are one."""
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    parquet.write_table(arrow.table(columns, names=names), path)


# --- files that are none -----------------------------------------------------------------------


def test_broken_files_among_good_ones_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "a.parquet", row()).read_bytes()
    for name, content in (("b", whole[: len(whole) // 2]), ("c", b""), ("d", b"task_id,at,status\n"), ("e", whole)):
        (tmp_path / f"{name}.parquet").write_bytes(content)
    with offered(Files(tmp_path)) as (bench, intake):
        assert [record.place for record in records_in(bench)] == [place_of(0, 1), place_of(4, 1)]
        assert [Path(name).stem for name in intake.broken] == ["b", "c", "d"]
        assert "magic bytes" in intake.broken[str(tmp_path / "b.parquet")]
        assert len(intake.files) == 5


def test_log_of_broken_files_only_is_unusable(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.parquet").write_bytes(b"PAR1 and nothing more PAR1")
    with pytest.raises(UnusableLog, match=r"(?s)a\.parquet: .*b\.parquet: "):
        read(tmp_path)


def test_a_file_that_is_damaged_inside_is_reported(tmp_path: Path) -> None:
    log = write_parquet(tmp_path / "a.parquet", "SELECT uuid()::VARCHAR AS task_id, 's' AS status FROM range(10_000)")
    content = bytearray(log.read_bytes())
    content[1_000:50_000] = bytes(49_000)
    log.write_bytes(content)
    with pytest.raises(UnusableLog):
        read(log, columns=Columns(at=None))
