"""Spark reports what `check` and DuckDB report, row for row: a real local Spark, with many partitions.

All tests need Java and pyspark. With REQUIRE_SPARK=1 they fail if these are missing, instead of being skipped.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import CATALOG, Alias, FindingCode, UnknownName
from lifecycle.conformance import Mode
from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.columns import EARLIEST_US, LATEST_US, Columns, RejectReason
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, literal
from lifecycle_adapters.logs.files import Files
from lifecycle_adapters.logs.log_errors import MissingColumn, UnusableLog
from lifecycle_adapters.logs.places import file_and_row
from lifecycle_adapters.logs.rules import Rules
from tests.adapters.logs import logs
from tests.adapters.logs.reference import PARTS, Declared, LogRow, Outcome, expected, outcome

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lifecycle_adapters.logs.spark import FrameCheck

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]

V2 = CATALOG["v2"]
SEQUENCED = Columns(task="task", sequence="sequence")
STRANGE = ("odd", "'; DROP TABLE records; --", "\\'", "<b>", "=1+1", "é", "Running")


# --- logs --------------------------------------------------------------------------------------


def log(lifecycle: Declared, *, rows: int = 600, tasks: int = 60, times: int = 40, seed: int = 1) -> list[LogRow]:
    """Random statuses, some of them unknown, with many ties in time and no two equal sequences."""
    lot = random.Random(seed)
    words = [*map(str, lifecycle.statuses()), *STRANGE]
    weights = [30] * (len(words) - len(STRANGE)) + [1] * len(STRANGE)
    sequences = lot.sample(range(-rows, rows), rows)
    return [
        LogRow(
            f"task {lot.randrange(tasks)}",
            lot.randrange(times) * 3_600_000_001,
            sequences[number],
            number + 1,
            lot.choices(words, weights)[0],
        )
        for number in range(rows)
    ]


def moment(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def made(spark: SparkSession, rows: Sequence[tuple[object, ...]], schema: str) -> DataFrame:
    return spark.createDataFrame(rows, schema=schema)  # pyright: ignore[reportUnknownMemberType]


def frame(spark: SparkSession, rows: Sequence[LogRow], *, partitions: int = 5) -> DataFrame:
    data = [(row.task, moment(row.at_us), row.sequence, row.place, row.status) for row in rows]
    schema = "task string, at timestamp, sequence bigint, place bigint, status string"
    return made(spark, data, schema).repartition(partitions)


def listed(check: FrameCheck, lifecycle: Declared) -> list[tuple[Any, ...]]:
    """The findings as the reference has them."""
    from pyspark.sql import functions as fn

    rows = check.findings.withColumn("at", fn.unix_micros("at")).collect()
    states = {str(state.name) for state in lifecycle.states}
    assert all(set(row.possible) <= states for row in rows)
    return sorted(
        (
            (
                row.task,
                None if row["at"] is None else moment(row["at"]),
                file_and_row(row.place),
                row.code,
                row.severity,
                row.previous,
                row.status,
                tuple(row.possible),
            )
            for row in rows
        ),
        key=lambda finding: finding[2],
    )


def without_message(wanted: Outcome) -> list[tuple[Any, ...]]:
    return [finding[:-1] for finding in wanted.findings]


def report_of(check: FrameCheck) -> dict[str, Any]:
    report = check.report()
    parts = {part: getattr(report, part) for part in PARTS}
    return {part: [*value.items()] if isinstance(value, dict) else value for part, value in parts.items()}


def checked(spark_frame: DataFrame, lifecycle: Declared, **options: Any) -> FrameCheck:
    from lifecycle_adapters.logs.spark import check_frame

    return check_frame(spark_frame, lifecycle, **options)


# --- a user's own frame ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode", "notes"),
    [
        ("v1-full", "exact", True),
        ("v1-full", "sampled", False),
        ("v3-full", "exact", False),
        ("v3-full", "sampled", True),
    ],
)
def test_a_frame_is_judged_as_check_judges(spark: SparkSession, name: str, mode: Mode, notes: bool) -> None:
    lifecycle = CATALOG[name]
    rows = log(lifecycle)
    check = checked(frame(spark, rows), lifecycle, mode=mode, columns=SEQUENCED, place="place", notes=notes)

    wanted = expected(lifecycle, rows, mode=mode, notes=notes)
    assert listed(check, lifecycle) == without_message(wanted)
    assert report_of(check) == wanted.report
    codes = {finding[3] for finding in wanted.findings}
    assert codes >= {FindingCode.UNKNOWN_STATUS, FindingCode.AFTER_FINAL, FindingCode.OUT_OF_ORDER}


def test_all_kinds_of_findings_are_in_these_logs() -> None:
    found = {
        each[3]
        for name in ("v1-full", "v3-full")
        for each in expected(CATALOG[name], log(CATALOG[name]), notes=True).findings
    }

    assert found == set(FindingCode) - {FindingCode.IMPOSSIBLE}


def test_observed_transitions_are_counted_in_words(spark: SparkSession) -> None:
    rows = [LogRow("t", 10, 0, 1, "created"), LogRow("t", 25, 0, 2, "stopped"), LogRow("t", 31, 0, 3, "started")]
    check = checked(frame(spark, rows), V2, columns=SEQUENCED, place="place")

    moves = {(row.previous, row.status): row.asDict() for row in check.pairs.collect()}
    assert moves[None, "created"] == {
        "previous": None, "status": "created", "state": "created", "ended": False, "code": None, "severity": None,
        "rows_counted": 1, "total_us": None, "longest_us": None, "example": 1,
    }  # fmt: skip
    assert moves["stopped", "started"] == {
        "previous": "stopped", "status": "started", "state": "started", "ended": True, "code": "after_final",
        "severity": "error", "rows_counted": 1, "total_us": 6, "longest_us": 6, "example": 3,
    }  # fmt: skip
    assert set(moves) == {(None, "created"), ("created", "stopped"), ("stopped", "started")}


def test_sequence_makes_order_and_partitions_irrelevant(spark: SparkSession) -> None:
    rows = log(V2)
    wanted = expected(V2, rows)
    shuffled = random.Random(7).sample(rows, len(rows))
    check = checked(frame(spark, shuffled, partitions=23).sortWithinPartitions("status"), V2, columns=SEQUENCED)

    assert sorted(each[:2] + each[3:] for each in listed(check, V2)) == sorted(
        each[:2] + each[3:] for each in without_message(wanted)
    )
    assert report_of(check)["findings"] == wanted.report["findings"]
    assert report_of(check)["worst"] == wanted.report["worst"]


def test_rows_of_one_time_keep_the_order_of_the_partitions(
    spark: SparkSession,
) -> None:
    words = ["created", "started", "finished"] * 20
    rows = [LogRow(f"task {number // 3}", 0, 0, number + 1, word) for number, word in enumerate(words)]
    check = checked(frame(spark, rows, partitions=1).coalesce(1), V2, columns=Columns(task="task"))

    assert len(listed(check, V2)) == 0
    assert check.report().ties == 40


def test_a_log_without_ids_and_times(spark: SparkSession) -> None:
    rows = [LogRow("", 0, 0, place, word) for place, word in enumerate(["created", "finished", "odd", "started"], 1)]
    check = checked(frame(spark, rows), V2, columns=Columns(task=None, at=None), place="place")

    wanted = expected(V2, rows, timed=False)
    assert listed(check, V2) == without_message(wanted)
    assert report_of(check) == wanted.report


def test_the_statuses_of_a_channel(spark: SparkSession) -> None:
    aliased: Declared = V2.replace(aliases=(Alias("mail", "it's \\ over", "finished"),))
    rows = [LogRow("t", 0, 0, 1, "created"), LogRow("t", 1, 0, 2, "it's \\ over"), LogRow("t", 2, 0, 3, "finished")]
    check = checked(frame(spark, rows), aliased, channel="mail", columns=SEQUENCED, place="place", notes=True)

    wanted = expected(aliased, rows, channel="mail", notes=True)
    assert listed(check, aliased) == without_message(wanted)
    assert report_of(check) == wanted.report


def test_two_checks_in_one_session_do_not_disturb_each_other(spark: SparkSession) -> None:
    spark.range(3).createOrReplaceTempView("records")
    first, second = log(V2, seed=1), log(V2, seed=2)
    one = checked(frame(spark, first), V2, columns=SEQUENCED, place="place")
    other = checked(frame(spark, second), V2, mode="sampled", columns=SEQUENCED, place="place")

    assert listed(one, V2) == without_message(expected(V2, first))
    assert listed(other, V2) == without_message(expected(V2, second, mode="sampled"))
    assert report_of(one) == expected(V2, first).report
    assert [table.name for table in spark.catalog.listTables()] == ["records"]
    assert spark.table("records").count() == 3
    spark.catalog.dropTempView("records")


def test_rows_that_cannot_be_read_are_kept_with_the_reason(spark: SparkSession) -> None:
    data = [
        (1, "t", "2026-01-15T10:30:00Z", "created"), (2, None, "2026-01-15T10:30:00Z", "created"),
        (3, "t", "tomorrow", "started"), (4, "t", "2026-01-15T10:30:01Z", ""), (5, "t", None, "started"),
        (6, "t", "0000-01-01", "started"), (7, "t", "x" * 100, "started"), (8, "", "2026-01-15", "started"),
    ]  # fmt: skip
    rows = made(spark, data, "place bigint, task string, at string, status string").repartition(3)
    check = checked(rows, V2, columns=Columns(task="task"), place="place")

    rejects: list[Any] = check.rejects.collect()
    assert sorted((row.place, row.reason, row.detail) for row in rejects) == [
        (2, RejectReason.NO_TASK, None),
        (3, RejectReason.BAD_TIME, "tomorrow"),
        (4, RejectReason.NO_STATUS, None),
        (5, RejectReason.NO_TIME, None),
        (6, RejectReason.TIME_OUT_OF_RANGE, "0000-01-01"),
        (7, RejectReason.BAD_TIME, "x" * 77 + "..."),
        (8, RejectReason.NO_TASK, None),
    ]
    assert check.report().rows == 8
    assert check.report().unreadable == {
        RejectReason.NO_TASK: 2, RejectReason.BAD_TIME: 2, RejectReason.NO_STATUS: 1, RejectReason.NO_TIME: 1,
        RejectReason.TIME_OUT_OF_RANGE: 1,
    }  # fmt: skip


def test_invalid_place_rejects_only_its_row(spark: SparkSession) -> None:
    data = [(place, "2026-01-15", "created") for place in ("1", "first", None, "9223372036854775808")]
    rows = made(spark, data, "place string, at string, status string")
    check = checked(rows, V2, columns=Columns(task=None), place="place")

    rejects: list[Any] = check.rejects.collect()
    assert [(row.place, row.reason, row.detail) for row in rejects] == [(None, RejectReason.NO_PLACE, None)] * 3
    assert check.report().rows == 4


def test_findings_can_be_joined_and_written_by_a_users_job(spark: SparkSession, tmp_path: Path) -> None:
    rows = log(V2)
    owners = made(spark, [(f"task {n}", f"owner {n % 3}") for n in range(60)], "task string, owner string")
    check = checked(frame(spark, rows), V2, columns=SEQUENCED, place="place")
    check.findings.join(owners, "task").write.partitionBy("owner").parquet(str(tmp_path / "findings"))

    with DuckDbSession() as bench:
        found = bench.run(
            f"SELECT task, place, code FROM read_parquet({literal(tmp_path / 'findings/*/*.parquet')}) ORDER BY place"
        )
    assert found == [(each[0], each[2][1], each[3]) for each in expected(V2, rows).findings]


def test_frame_that_cannot_be_checked_is_reported(spark: SparkSession) -> None:
    rows = frame(spark, log(V2, rows=3))

    with pytest.raises(UnusableLog, match="task_id"):
        checked(rows, V2)
    with pytest.raises(MissingColumn, match="there is no column 'places', only 'task', ") as missing:
        checked(rows, V2, columns=SEQUENCED, place="places")
    assert (missing.value.name, missing.value.known) == ("places", tuple(rows.columns))
    with pytest.raises(TypeError, match=r"place must be the name of a column, not 5 \(int\)"):
        checked(rows, V2, columns=SEQUENCED, place=5)
    with pytest.raises(UnknownName):
        checked(rows, V2, columns=SEQUENCED, channel="smoke")
    with pytest.raises(UnusableLog, match="no rows"):
        checked(rows.limit(0), V2, columns=SEQUENCED).report()


# --- ids, statuses and times of every type -----------------------------------------------------

ISO = [
    "2026-01-15T10:30:00Z", "2026-01-15 10:30:00.123456789+05:30", "2026-01-15t10:30z", "2026-01-15T10:30:00,5-0800",
    "2026-01-15", "2026-01-15 10:30", "2026-02-30", "2026-01-15T24:00", "2026-01-15T23:59:60Z",
    "1969-12-31T23:59:59.9Z",
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999-01:00", "0000-05-05", "1768473000", "1768473000.123456789",
    "1768473000123", "-1.5", "+7.", "1e3", "1e400", "99999999999999999999", "infinity", "now", "", " 2026-01-15",
    "2026-01-15T10:30:00Z\n", "٢٠٢٦-01-15", "1_000",
]  # fmt: skip
EDGES = [f"make_timestamp({us}::BIGINT)" for us in (EARLIEST_US, LATEST_US, -1, 0, 1_768_473_000_123_456)]
ZONED = [
    *EDGES, "NULL", "TIMESTAMP '2021-03-14 02:30:00'", "TIMESTAMP '10000-01-01 00:00:00'",
    "TIMESTAMP '2011-12-30 12:00:00'", "TIMESTAMP '1899-12-31 23:59:59.999999'",
]  # fmt: skip
NUMBERS = ["0", "NULL", "-5", "99999999999", "100000000000", "-100000000001", "9223372036854775807", "1768473000"]
VALUES = {
    "VARCHAR": ["NULL", *(literal(text) for text in ISO)],
    "TIMESTAMP": ZONED,
    "TIMESTAMPTZ": ZONED,
    "DATE": [
        "DATE '2026-01-15'",
        "NULL",
        "DATE '0001-01-01'",
        "DATE '10000-01-01'",
        "DATE '1899-12-31'",
        "DATE '2011-12-30'",
    ],
    "BIGINT": NUMBERS,
    "INTEGER": ["0", "-5", "NULL", "1768473000"],
    "UBIGINT": ["0", "18446744073709551615", "1768473000123", "NULL"],
    "DOUBLE": [
        "0.5",
        "NULL",
        "'nan'",
        "'inf'",
        "-1.25",
        "1768473000.123456",
        "1768473000123.5",
        "1e300",
        "99999999999.5",
    ],
    "FLOAT": ["0.5", "1768473000", "NULL"],
    "DECIMAL(24, 6)": ["1768473000.123456", "0", "NULL", "-0.000001", "253402300799.999999", "99999999999.999999"],
    "DECIMAL(18, 0)": ["1768473000", "1768473000123"],
    "BOOLEAN": ["true", "NULL"],
}


@pytest.mark.parametrize(("zone", "ansi"), [("America/St_Johns", True), ("Pacific/Apia", False)])
@pytest.mark.parametrize("kind", VALUES)
def test_spark_reads_times_like_duckdb(spark: SparkSession, tmp_path: Path, kind: str, zone: str, ansi: bool) -> None:
    values = [f"{value}::{kind}" for value in VALUES[kind]]
    with DuckDbSession() as bench:
        wanted = logs.at(bench, *values)
        bench.run(f"COPY raw TO {literal(tmp_path / 'raw.parquet')} (FORMAT parquet)")

    assert _records(spark, tmp_path, Columns(), zone=zone, ansi=ansi) == [_known(row) for row in wanted]


@pytest.mark.parametrize("ansi", [True, False])
def test_spark_reads_ids_statuses_and_sequences_like_duckdb(spark: SparkSession, tmp_path: Path, ansi: bool) -> None:
    texts = ["'1'", "' 1'", "''", "NULL", "'running'", "'9223372036854775808'", "'+5'", "'1.0'", "'ä'", "E'\\\\'"]
    for kind in ("VARCHAR", "BIGINT", "UBIGINT", "DOUBLE", "DECIMAL(20, 0)", "DECIMAL(20, 1)", "BOOLEAN", "BLOB"):
        values = texts if kind == "VARCHAR" else ["'1'", "NULL", "'0'"]
        folder = tmp_path / kind
        folder.mkdir()
        for part in ("task_id", "status", "sequence"):
            row = {"task_id": "'t'", "at": "'2026-01-15'", "status": "'running'", "sequence": "1"}
            columns = Columns(sequence="sequence")
            with DuckDbSession() as bench:
                wanted = logs.read(bench, columns, [{**row, part: f"{value}::{kind}"} for value in values])
                bench.run(f"COPY raw TO {literal(folder / 'raw.parquet')} (FORMAT parquet)")

            assert _records(spark, folder, columns, zone="UTC", ansi=ansi) == [_known(each) for each in wanted], part


def _known(row: logs.Record) -> tuple[Any, ...]:
    """The part that must be equal; engines show a faulty value in their own form, except for texts."""
    at_us = None if row.fault is not None else row.at_us
    return (
        row.task,
        at_us,
        row.sequence,
        row.place,
        row.status,
        row.status_code,
        row.fault,
        None if row.fault else row.form,
    )


def _records(spark: SparkSession, folder: Path, columns: Columns, *, zone: str, ansi: bool) -> list[tuple[Any, ...]]:
    from lifecycle_adapters.logs.spark.spark_dialect import column, records_of

    session = spark.newSession()
    session.conf.set("spark.sql.session.timeZone", zone)
    session.conf.set("spark.sql.ansi.enabled", str(ansi).lower())
    rows = records_of(session.read.parquet(str(folder)), columns, logs.RULES, place=column("nth").cast("bigint"))
    names = ("task", "at_us", "sequence", "place", "status", "status_code", "form", "fault", "detail")
    taken: list[Any] = rows.select(*names).orderBy("place").collect()
    return [_known(logs.Record(*row)) for row in taken]


# --- files -------------------------------------------------------------------------------------


def written(
    bench: DuckDbSession, path: Path, rows: Sequence[LogRow], select: str, options: str = "FORMAT parquet"
) -> str:
    data = {name: [getattr(row, name) for row in rows] for name in ("task", "at_us", "sequence", "status")}
    bench.run("CREATE OR REPLACE TABLE log (task VARCHAR, at_us BIGINT, sequence BIGINT, status VARCHAR)")
    for row in zip(*data.values(), strict=True):
        bench.run("INSERT INTO log VALUES (?, ?, ?, ?)", row)
    bench.run(f"COPY (SELECT {select} FROM log) TO {literal(path)} ({options})")
    return str(path)


TIMESTAMPS = 'task, make_timestamp(at_us) AS "at", sequence, status'
TEXTS = """task, strftime(make_timestamp(at_us), '%Y-%m-%dT%H:%M:%S.%fZ') AS "at", sequence, status"""
NANOSECONDS = 'task, make_timestamp(at_us)::TIMESTAMP_NS AS "at", sequence, status'


def same_by_both(paths: Sequence[str], **options: Any) -> Outcome:
    """The equal results of Spark and DuckDB for these files, with their rejects."""
    from lifecycle_adapters.logs.spark import SparkFiles

    options.setdefault("columns", SEQUENCED)
    with check_logs(V2, SparkFiles(*paths), **options) as spark, check_logs(V2, Files(*paths), **options) as duckdb:
        names = [each.file for each in duckdb.findings()]
        files = list(dict.fromkeys(names))
        assert spark.report.engine.startswith("Spark 4.")
        assert outcome(spark, files) == outcome(duckdb, files)
        assert [*spark.rejects()] == [*duckdb.rejects()]
        assert {**spark.report.to_dict(), "engine": ""} == {**duckdb.report.to_dict(), "engine": ""}
        return outcome(spark, files)


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_parquet_files_of_several_types_and_any_name(spark: SparkSession, tmp_path: Path, mode: Mode) -> None:
    rows = log(V2)
    names = ["_a.parquet", ".b.parquet", "10:30 'c'; --.parquet", "d[1]*?{x}.parquet", "é%41.parquet", "f\\g.parquet"]
    with DuckDbSession() as bench:
        paths = [
            written(bench, tmp_path / name, rows[number::6], (TIMESTAMPS, TEXTS)[number % 2])
            for number, name in enumerate(names)
        ]
    found = same_by_both(paths, mode=mode, notes=True)

    assert len(found.findings) == len(expected(V2, rows, mode=mode, notes=True).findings)
    assert dict(found.report)["findings"] == expected(V2, rows, mode=mode).report["findings"]


def test_ids_that_are_numbers_in_one_file_and_texts_in_another(spark: SparkSession, tmp_path: Path) -> None:
    with DuckDbSession() as bench:
        number = TIMESTAMPS.replace("task,", "7 AS task,", 1)
        text = TIMESTAMPS.replace("task,", "'7' AS task,", 1)
        paths = [
            written(bench, tmp_path / "1.parquet", [LogRow("", 0, 1, 0, "created")], number),
            written(bench, tmp_path / "2.parquet", [LogRow("", 1, 2, 0, "created")], text),
        ]
    found = same_by_both(paths, notes=True)

    assert [(each[0], each[3]) for each in found.findings] == [("7", FindingCode.DUPLICATE)]


def test_one_broken_file_among_good_ones_is_reported(spark: SparkSession, tmp_path: Path) -> None:
    with DuckDbSession() as bench:
        good = written(bench, tmp_path / "2.parquet", log(V2), TIMESTAMPS)
    Path(tmp_path, "1.parquet").write_bytes(Path(good).read_bytes()[:-100])

    assert same_by_both([str(tmp_path)]).findings


@pytest.mark.parametrize(
    ("name", "select", "options"),
    [
        ("a.csv", TEXTS, "FORMAT csv, HEADER"),
        ("a.jsonl", TEXTS, "FORMAT json"),
        ("a.parquet", NANOSECONDS, "FORMAT parquet"),
    ],
)
def test_formats_without_a_spark_reader_are_checked(
    spark: SparkSession, tmp_path: Path, name: str, select: str, options: str
) -> None:
    rows = [*log(V2), LogRow("", 0, 0, 0, "created")]  # the last has no id
    with DuckDbSession() as bench:
        path = written(bench, tmp_path / name, rows, select, options)

    assert same_by_both([path]).findings


def test_the_active_session_is_used_and_left_as_it_was(spark: SparkSession, tmp_path: Path) -> None:
    from lifecycle_adapters.logs.spark import SparkFiles

    with DuckDbSession() as bench:
        path = written(bench, tmp_path / "a.parquet", log(V2), TIMESTAMPS)
    zone = spark.conf.get("spark.sql.session.timeZone")
    with check_logs(V2, SparkFiles(path, master="nowhere"), columns=SEQUENCED):
        pass

    assert spark.range(3).count() == 3
    assert spark.conf.get("spark.sql.session.timeZone") == zone
    assert spark.conf.get("spark.sql.caseSensitive") == "false"


STARTED = """
import sys
from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.columns import Columns
from lifecycle_adapters.logs.log_errors import EngineFailed
from lifecycle_adapters.logs.spark import SparkFiles, check_frame
from lifecycle import CATALOG
from pyspark.sql import SparkSession

source = SparkFiles(sys.argv[1], master="local[2]", config={"spark.driver.memory": "700m"})
with check_logs(CATALOG["v2"], source, columns=Columns(task="task", sequence="sequence"), spill=sys.argv[2]) as log:
    print(log.report.bad_rows)
print(SparkSession.getActiveSession())
"""

STOPPED = """
session = SparkSession.Builder().master("local[2]").getOrCreate()
frame = session.createDataFrame([("t", "2026-01-01", "created")], "task_id string, at string, status string")
check = check_frame(frame, CATALOG["v2"])
session.stop()
for call in (check.report, lambda: check_frame(frame, CATALOG["v2"])):
    try:
        call()
    except EngineFailed as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"master": 5}, TypeError, "master must be a text"),
        ({"master": ""}, ValueError, "master must name a master of Spark"),
        ({"config": 5}, TypeError, "config must be a mapping"),
        ({"config": {5: "a"}}, TypeError, "the name of a setting in config must be a text"),
        ({"config": {"a": 5}}, TypeError, r"a in config must be a text, such as '4g', not 5 \(int\)"),
    ],
)
def test_a_master_and_settings_are_texts(given: dict[str, Any], error: type[Exception], message: str) -> None:
    from lifecycle_adapters.logs.spark import SparkFiles

    with pytest.raises(error, match=message):
        SparkFiles("log.parquet", **given)


def test_a_session_is_started_quietly_and_stopped(spark: SparkSession, tmp_path: Path) -> None:
    rows = log(V2)
    spill = tmp_path / "a b[c]"
    spill.mkdir()
    with DuckDbSession() as bench:
        path = written(bench, tmp_path / "a.parquet", rows, TIMESTAMPS)
    command = [
        sys.executable,
        "-W",
        "ignore::FutureWarning",
        "-c",
        STARTED + STOPPED,
        path,
        str(spill),
    ]  # pandas, as above
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3]
    )

    stopped = ["the Spark session was stopped; read and write results before `stop`"] * 2
    assert done.stdout.splitlines() == [str(expected(V2, rows).report["bad_rows"]), "None", *stopped], done.stderr
    assert [line for line in done.stderr.splitlines() if "incubator" not in line] == []
    assert [*spill.iterdir()] == []


def test_without_java_the_engine_has_failed(spark: SparkSession, tmp_path: Path) -> None:
    with DuckDbSession() as bench:
        path = written(bench, tmp_path / "a.parquet", log(V2), TIMESTAMPS)
    command = [sys.executable, "-c", STARTED, path, str(tmp_path)]
    nowhere = {**os.environ, "JAVA_HOME": str(tmp_path)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, env=nowhere, cwd=Path(__file__).parents[3]
    )

    assert "EngineFailed: " in done.stderr.splitlines()[-1]


MANY = 1_500_000


def test_large_log_has_the_same_report_as_duckdb(spark: SparkSession, tmp_path: Path) -> None:
    with DuckDbSession() as bench:
        words = [*Rules(CATALOG["v3-full"]).statuses, "odd"]
        folder = tmp_path / "log"
        folder.mkdir()
        for part in range(3):
            bench.run(f"""
COPY (SELECT 'task ' || hash(i) % 200000 AS task_id,
             make_timestamp(1700000000000000 + (hash(i + 1) % 1000000)::BIGINT * 977) AS "at",
             [{", ".join(map(literal, words))}][1 + (hash(i + 2) % {len(words)})::BIGINT] AS status,
             i AS sequence
      FROM range({part * MANY // 3}, {(part + 1) * MANY // 3}) AS numbers(i))
TO {literal(folder / f"{part}.parquet")}""")

    from lifecycle_adapters.logs.spark import SparkFiles

    columns = Columns(sequence="sequence")
    with (
        check_logs(CATALOG["v3-full"], SparkFiles(folder), columns=columns) as by_spark,
        check_logs(CATALOG["v3-full"], Files(folder), columns=columns) as by_duckdb,
    ):
        assert {**by_spark.report.to_dict(), "engine": ""} == {**by_duckdb.report.to_dict(), "engine": ""}
        assert by_spark.report.bad_rows > MANY / 2
        for log_ in (by_spark, by_duckdb):
            log_.write_findings(tmp_path / f"{log_.report.engine[:5]}.parquet")
    with DuckDbSession() as bench:
        one, other = (f"SELECT * FROM {literal(tmp_path / f'{name}.parquet')}" for name in ("Spark", "DuckD"))
        assert bench.run(f"SELECT COUNT(*) FROM ({one} EXCEPT ALL {other})") == [(0,)]
        assert bench.run(f"SELECT COUNT(*) FROM ({other} EXCEPT ALL {one})") == [(0,)]
