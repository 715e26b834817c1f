"""Logs that are not files: frames of each library, and tables of DuckDB in files and on connections."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pytest

from lifecycle import V1_FULL, FindingCode
from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.columns import Columns, RejectReason, TimeForm
from lifecycle_adapters.logs.frames import DuckTable, Frame
from lifecycle_adapters.logs.log_errors import MissingColumn, UnusableLog
from lifecycle_adapters.logs.source import Source
from tests.adapters.logs.logs import AT, AT_US, FAR, Record, far_times, offered, records_in

LIBRARIES = ["pandas", "polars", "pyarrow"]
MOMENT = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)


def read(source: Source, columns: Columns | None = None) -> list[Record]:
    with offered(source, columns) as (bench, intake):
        assert not intake.are_files
        return records_in(bench)


def tasks(source: Source, columns: Columns | None = None) -> list[str | None]:
    return [record.task for record in read(source, columns)]


# --- frames ------------------------------------------------------------------------------------


def test_arrays_are_columns() -> None:
    frame = {
        "task_id": np.array([7, 7, 8]),
        "at": np.array([MOMENT.replace(tzinfo=None)] * 3, dtype="datetime64[us]"),
        "status": np.array(["created", "running", ""], dtype=object),
    }
    found = read(Frame(frame))
    assert [(each.task, each.at_us, each.place, each.fault) for each in found] == [
        ("7", AT_US, 1, None), ("7", AT_US, 2, None), ("8", AT_US, 3, RejectReason.NO_STATUS),
    ]  # fmt: skip


NAIVE = MOMENT.replace(tzinfo=None)


class Unusual:
    """No library of frames knows it."""

    def __str__(self) -> str:
        return "unusual"


class Status(str, Enum):  # noqa: UP042 (what older programs have)
    """Its members' own texts are their names."""

    RUNNING = "running"


class Unspeakable:
    """Its `str` raises."""

    def __str__(self) -> str:
        raise RuntimeError("nobody may know")

    __repr__ = __str__


@pytest.mark.parametrize("library", ["arrays", pytest.param("pandas", marks=pytest.mark.heavy)])
@pytest.mark.parametrize(
    ("part", "cells", "read_as"),
    [
        ("at", [MOMENT, NAIVE], [AT_US, AT_US]),
        ("at", [NAIVE, MOMENT], [AT_US, AT_US]),
        ("at", [MOMENT, 1768473000.0], [AT_US, AT_US]),
        ("at", [MOMENT, "soon"], [AT_US, None]),
        ("at", [MOMENT, b"2026-01-15T10:30:00Z"], [AT_US, AT_US]),
        ("at", [MOMENT, Unusual()], [AT_US, None]),
        ("at", [MOMENT, Unspeakable()], [AT_US, None]),
        ("status", ["created", Unspeakable()], ["created", None]),
        ("task", [Unspeakable(), "a"], [None, "a"]),
        ("sequence", [1, Unspeakable(), 3], [1, None, 3]),
        ("at", [MOMENT, NAIVE, None, float("nan")], [AT_US, AT_US, None, None]),
        ("at", [MOMENT, date(2026, 1, 15), NAIVE], [AT_US, AT_US - 37_800_000_000, AT_US]),
        ("task", ["a", Unusual()], ["a", None]),
        ("task", [Unusual(), Unusual(), "a"], [None, None, "a"]),
        ("task", ["a", 1.5, True, [1], {"b": 2}, MOMENT], ["a", None, None, None, None, None]),
        ("task", ["a", None, float("nan"), Decimal(7)], ["a", None, None, "7"]),
        ("task", ["\ud800", "a"], [None, "a"]),
        ("status", ["\ud800", "created"], [None, "created"]),
        ("status", [Unusual(), Status.RUNNING], [None, "running"]),
        ("sequence", [2.0, "1"], [None, 1]),
        ("status", ["created", b"running"], ["created", "running"]),
        ("status", [b"created", b"\xff"], ["created", None]),
        ("status", [b"created", 7, None], ["created", "7", None]),
        ("task", ["a", UUID(int=1)], ["a", str(UUID(int=1))]),
        ("task", [UUID(int=1), "a", 7], [str(UUID(int=1)), "a", "7"]),
        ("sequence", [1, "2", b"3", None], [1, 2, 3, None]),
    ],
)
def test_one_cell_refuses_its_row_at_most(library: str, part: str, cells: list[Any], read_as: list[Any]) -> None:
    usual: dict[str, Any] = {"task": "a", "at": MOMENT, "status": "running", "sequence": 1}
    frame: Any = {
        name: np.array(cells if name == part else [value] * len(cells), dtype=object) for name, value in usual.items()
    }
    if library == "pandas":
        pandas: Any = import_module("pandas")  # of a plain array it would make texts itself, and raise for a surrogate
        frame = pandas.DataFrame({name: pandas.Series(cells, dtype=object) for name, cells in frame.items()})
    found = read(Frame(frame), Columns(task="task", sequence="sequence"))
    values = [getattr(each, "at_us" if part == "at" else part) for each in found]
    assert values == read_as
    assert [each.fault is None for each in found] == [value is not None for value in read_as]
    assert [each.place for each in found] == list(range(1, len(cells) + 1))


@pytest.mark.parametrize(
    ("part", "cells", "details"),
    [
        ("task", [1.5, True, {"b": 2}, Unusual()], ["float: 1.5", "bool: True", "dict: {'b': 2}", "Unusual: unusual"]),
        ("task", [Unspeakable(), "\ud800", b"\xff", None], ["Unspeakable", r"str: '\ud800'", r"bytes: b'\xff'", None]),
        ("status", [[1], "", Unusual()], ["list: [1]", None, "Unusual: unusual"]),
        ("sequence", ["x", (1,), "2.5"], ["x", "tuple: (1,)", "2.5"]),
        ("at", ["soon", Unusual(), Unspeakable()], ["soon", "unusual", None]),
    ],
)
def test_reject_of_a_cell_of_another_type_shows_its_type_and_text(
    part: str, cells: list[Any], details: list[Any]
) -> None:
    usual: dict[str, Any] = {"task": "a", "at": MOMENT, "status": "running", "sequence": 1}
    frame = {name: cells if name == part else [value] * len(cells) for name, value in usual.items()}
    found = read(Frame(frame), Columns(task="task", sequence="sequence"))
    assert [each.detail for each in found] == details
    assert all(each.fault for each in found)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view"])
def test_arrow_bytes_are_texts(kind: str) -> None:
    arrow: Any = import_module("pyarrow")
    texts = [b"a", None, b"", b"\xff", b"\xc3\xbc"]
    frame = arrow.table(
        {
            "task_id": arrow.array(texts, getattr(arrow, kind)()),
            "at": [MOMENT] * 5,
            "status": arrow.array([b"running"] * 5, getattr(arrow, kind)()),
        }
    )
    assert [(each.task, each.status) for each in read(Frame(frame))] == [
        (task, "running") for task in ("a", None, None, None, "ü")
    ]


@pytest.mark.parametrize("unit", ["D", "h", "m", "s", "ms", "us", "ns"])
def test_times_of_every_unit_of_numpy(unit: str) -> None:
    at = np.array(["2026-01-15"], dtype=f"datetime64[{unit}]")
    frame = {"task_id": np.array([1]), "at": at, "status": np.array([b"running"])}
    [record] = read(Frame(frame))
    assert (record.at_us, record.status) == (AT_US - 37_800_000_000, "running")


@pytest.mark.parametrize("kind", [">i8", ">u4", ">f8", ">M8[s]", "<i8", np.longdouble])
@pytest.mark.parametrize("library", ["arrays", pytest.param("pandas", marks=pytest.mark.heavy)])
def test_numbers_in_any_order_of_bytes_and_of_any_width(library: str, kind: Any) -> None:
    frame: Any = {
        "task_id": np.array([7], dtype=">i2"),
        "at": np.array([AT_US // 1_000_000]).astype(kind),
        "status": np.array(["created"], dtype=object),
    }
    if library == "pandas":
        frame = import_module("pandas").DataFrame(frame)

    [record] = read(Frame(frame))

    assert (record.task, record.at_us, record.fault) == ("7", AT_US, None)


@pytest.mark.heavy
@pytest.mark.parametrize(("kind", "of"), [("float16", ()), ("decimal256", (50, 2))])
def test_type_of_arrow_that_duckdb_does_not_read_is_named(kind: str, of: tuple[int, ...]) -> None:
    arrow: Any = import_module("pyarrow")
    frame = arrow.table({"task_id": ["a"], "at": arrow.nulls(1, getattr(arrow, kind)(*of)), "status": ["created"]})

    with pytest.raises(UnusableLog, match=r"^frame has a column of a type that DuckDB does not read: "):
        read(Frame(frame))


@pytest.mark.parametrize("task_ids", [["a", "a"], ["a", 1]], ids=["texts", "objects"])
@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "15m", "s", "2s", "ms", "2ms"])
def test_time_that_is_too_large_for_microseconds_rejects_its_row(
    tmp_path: Path, unit: str, task_ids: list[object]
) -> None:
    frame = {"task_id": task_ids, "at": far_times(unit), "status": ["running", "stopped"]}
    with check_logs(V1_FULL, Frame(frame)) as log:
        assert [(each.row, each.reason, each.detail) for each in log.rejects()] == [
            (2, RejectReason.TIME_OUT_OF_RANGE, FAR)
        ]
        log.write_findings(tmp_path / "findings.jsonl")
        assert (log.report.rows, log.report.unreadable) == (2, {RejectReason.TIME_OUT_OF_RANGE: 1})


def test_id_that_is_a_time_too_large_for_microseconds_rejects_its_row() -> None:
    frame = {"task_id": far_times("s"), "status": ["running", "stopped"]}
    assert [(each.fault, each.detail) for each in read(Frame(frame), Columns(at=None))] == [
        (RejectReason.NO_TASK, "2026-01-15 10:30:00"), (RejectReason.NO_TASK, FAR),
    ]  # fmt: skip


@pytest.mark.heavy
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_time_that_is_too_large_rejects_its_row_in_frames_of_each_library(unit: str, zone: str | None) -> None:
    pandas, polars, arrow = (import_module(name) for name in ("pandas", "polars", "pyarrow"))
    times = far_times(unit)
    rest = {"task_id": ["a", 1], "status": ["running", "stopped"]}
    texts = {"task_id": ["a", "a"], "status": ["running", "stopped"]}
    series = pandas.Series(times)
    if zone is not None:
        series = series.dt.tz_localize("UTC").dt.tz_convert(zone)
    table = arrow.table({**texts, "at": arrow.array(times).cast(arrow.timestamp(unit, zone))})
    of_arrow = series.astype(pandas.ArrowDtype(arrow.timestamp(unit, zone)))
    frames: list[Any] = [
        pandas.DataFrame({**texts, "at": series}), pandas.DataFrame({**rest, "at": series}), {**rest, "at": series},
        pandas.DataFrame({**texts, "at": of_arrow}), {**rest, "at": table["at"]}, {**texts, "at": table["at"]},
        table, table.to_reader(), table.to_batches()[0], import_module("pyarrow.dataset").dataset(table),
    ]  # fmt: skip
    if unit == "ms":
        frames.append(polars.DataFrame({**texts, "at": polars.Series(times).dt.replace_time_zone("UTC")}))
    for frame in frames:
        first, second = read(Frame(frame))
        assert (first.at_us, first.fault) == (AT_US, None), type(frame)
        assert (second.fault, second.detail) == (RejectReason.TIME_OUT_OF_RANGE, FAR), type(frame)


@pytest.mark.heavy
def test_smallest_time_of_arrow_rejects_its_row() -> None:
    arrow: Any = import_module("pyarrow")
    for zone in (None, "UTC"):
        times = arrow.array([-(2**63), 2 - 2**63], arrow.int64()).cast(arrow.timestamp("us", zone))
        frame = arrow.table({"task_id": ["a", "a"], "at": times, "status": ["running", "stopped"]})
        assert [(each.fault, each.detail) for each in read(Frame(frame))] == [(RejectReason.TIME_OUT_OF_RANGE, FAR)] * 2


@pytest.mark.heavy
def test_periods_and_arrow_arrays_are_columns() -> None:
    pandas: Any = import_module("pandas")
    arrow: Any = import_module("pyarrow")
    periods = pandas.DataFrame({
        "task_id": ["a", "a"], "at": pandas.PeriodIndex(["2026-01-15", "2026-01-16"], freq="D"), "status": ["x", "y"],
    })  # fmt: skip
    assert [each.form for each in read(Frame(periods))] == [TimeForm.ISO_NAIVE] * 2
    arrays = {"task_id": arrow.array(["a"]), "at": arrow.array([MOMENT]), "status": arrow.array(["running"])}
    assert [(each.task, each.at_us, each.status) for each in read(Frame(arrays))] == [("a", AT_US, "running")]


def test_a_frame_is_checked_like_any_log() -> None:
    frame = {"task_id": np.array(["t", "t"], dtype=object), "status": np.array(["created", "paused"], dtype=object)}
    with check_logs(V1_FULL, Frame(frame, "mine"), columns=Columns(at=None)) as log:
        [finding] = log.findings()
        assert (finding.file, finding.row, finding.code) == ("mine", 2, FindingCode.GAP)
        assert log.report.files == 0


def test_rows_keep_their_order_in_a_large_frame() -> None:
    count = 500_000
    frame = {"task_id": np.arange(count), "status": np.array(["running"] * count, dtype=object)}
    with offered(Frame(frame), Columns(at=None)) as (bench, _):
        [(rows, wrong)] = bench.run("SELECT COUNT(*), COUNT(*) FILTER (place <> task::BIGINT + 1) FROM records")
    assert (rows, wrong) == (count, 0)


def test_a_frame_without_a_column_is_reported() -> None:
    with pytest.raises(UnusableLog, match=r"^mine: there is no column 'at', only 'task_id', 'status'$"):
        read(Frame({"task_id": np.array([1]), "status": np.array([1])}, "mine"))


ROWS: dict[str, list[Any]] = {
    "task_id": ["a", "b", None], "at": [MOMENT, None, MOMENT], "status": ["running", "paused", "running"],
}  # fmt: skip


class LazyFrame:
    """As Polars calls it."""


NO_FRAMES: list[object] = [
    [1, 2], 5, "frame", None, object(), (each for each in "a"), LazyFrame(), {"task_id": [1], "at": 5, "status": ["a"]},
    {"task_id": ["a"], "at": [1, 2], "status": ["running"]},
]  # fmt: skip


@pytest.mark.parametrize("frame", NO_FRAMES, ids=lambda frame: type(frame).__name__)
def test_an_object_that_is_not_a_frame_is_reported(frame: object) -> None:
    told = f"mine is not a readable frame: it is of type {type(frame).__name__}; give an Arrow table, .* one length"
    with pytest.raises(TypeError, match=told):
        read(Frame(frame, "mine"))


@pytest.mark.parametrize("column", ["task_id", "at", "status"])
@pytest.mark.parametrize("value", [np.array("x"), np.int64(1)], ids=["array", "number"])
def test_a_column_that_is_a_single_value_is_named(column: str, value: object) -> None:
    frame: dict[str, Any] = {"task_id": ["x"], "at": np.array([1]), "status": np.array(["running"]), column: value}
    with pytest.raises(TypeError, match=rf"^mine: the column '{column}' is a single value, not an array or a list$"):
        read(Frame(frame, "mine"))


@pytest.mark.parametrize("library", ["arrays", *(pytest.param(name, marks=pytest.mark.heavy) for name in LIBRARIES)])
def test_frame_without_any_column_lacks_the_first_one(library: str) -> None:
    frame: Any = {} if library == "arrays" else frames_of(library)({})
    with pytest.raises(MissingColumn, match=r"^mine: there is no column 'task_id', and no other column either$"):
        read(Frame(frame, "mine"))


class BreaksOff:
    """A stream that can be asked for so many times."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, times: int) -> None:
        self._connection = connection
        self._times = times

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        self._times -= 1
        task = "'a'" if self._times >= 0 else "error('lost')"
        return self._connection.sql(f"SELECT {task} AS task_id, 's' AS status").__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_frame_that_breaks_off_is_named(times: int) -> None:
    with duckdb.connect() as connection, pytest.raises(UnusableLog, match=r"^mine cannot be read: .*lost"):
        read(Frame(BreaksOff(connection, times), "mine"), Columns(at=None))


@pytest.mark.heavy  # pyarrow takes long to load
@pytest.mark.parametrize(
    ("error", "shown"),
    [(OSError("gone"), "IOError: gone"), (KeyError("x"), "Key error: 'x'"), (RuntimeError(), "Unknown error")],
)
def test_error_of_a_reader_is_one_line(error: Exception, shown: str) -> None:
    def batches() -> Iterator[Any]:
        yield arrow.record_batch({"task_id": ["a"], "status": ["s"]})
        raise error

    arrow: Any = import_module("pyarrow")
    schema = arrow.schema([("task_id", arrow.string()), ("status", arrow.string())])
    with pytest.raises(UnusableLog, match=rf"^mine cannot be read: .* failed: {re.escape(shown)}$"):
        read(Frame(arrow.RecordBatchReader.from_batches(schema, batches()), "mine"), Columns(at=None))


@pytest.mark.heavy
def test_a_lazy_frame_is_refused_until_it_is_collected() -> None:
    polars: Any = import_module("polars")
    with pytest.raises(TypeError, match=r"it is of type LazyFrame; give .* \(a lazy one collected\)"):
        read(Frame(polars.DataFrame(ROWS).lazy()))


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_are_columns(kind: Callable[[list[Any]], Any]) -> None:
    found = read(Frame({name: kind(cells) for name, cells in ROWS.items()}))
    assert [(each.task, each.at_us, each.status) for each in found] == [
        ("a", AT_US, "running"), ("b", None, "paused"), (None, AT_US, "running"),
    ]  # fmt: skip
    with pytest.raises(UnusableLog, match="there is no column 'task_id', only 'a'"):
        read(Frame({"a": [[1], [2]]}))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("log.csv", r"for a file write Files\('log.csv'\)"),
        (Path("log.csv"), r"for a file write Files\('log.csv'\)"),
        (ROWS, r"source must be a log, not of type dict; .* Frame\(...\)"),
        (Frame, "source must be a log, not of type type; give"),
        (None, "source must be a log, not of type NoneType; give"),
    ],
)
def test_an_object_that_is_not_a_source_is_reported(source: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        check_logs(V1_FULL, source)


WRONG: list[tuple[str, Any]] = [
    ("ignore_case", "no"), ("notes", "no"), ("strict", "no"), ("strict", 1), ("strict", None),
    ("threads", "2"), ("threads", 1.5), ("threads", True), ("memory", 5), ("spill", 5), ("spill", b"/tmp"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given"), WRONG)
def test_setting_of_another_type_is_refused_by_its_name(name: str, given: Any) -> None:
    settings: dict[str, Any] = {name: given}
    with pytest.raises(TypeError, match=f"{name} must be .*, not "):
        check_logs(V1_FULL, Frame({}), **settings)


@pytest.mark.parametrize("threads", [0, -1, 1_001, 10**9])
def test_thread_count_out_of_range_is_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="threads must be at least 1 and at most 1000, not"):
        check_logs(V1_FULL, Frame({}), threads=threads)


def test_folder_to_spill_into_whose_name_is_not_utf8_is_refused() -> None:
    with pytest.raises(ValueError, match="spill must be the path of a folder in UTF-8"):
        check_logs(V1_FULL, Frame({}), spill="\udcff")


@pytest.mark.parametrize("name", [5, None, b"frame"])
def test_name_of_a_frame_is_text(name: Any) -> None:
    with pytest.raises(TypeError, match="name must be text, not"):
        Frame({}, name=name)
    with pytest.raises(ValueError, match="name must be UTF-8"):
        Frame({}, name="\ud800")


@pytest.mark.parametrize("place", [{"table": 5, "path": "a.db"}, {"table": "t", "path": 5}])
def test_place_of_a_table_is_text(place: Any) -> None:
    with pytest.raises(TypeError, match=r"must be .*, not 5"):
        DuckTable(**place)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["Int128", "UInt128", "UInt64", "Object"])
@pytest.mark.parametrize("part", ["task", "at", "sequence"])
def test_integers_of_every_width_of_polars(kind: str, part: str) -> None:
    polars: Any = import_module("polars")
    values: dict[str, Any] = {"task": 7, "at": AT_US // 1_000_000, "sequence": 7}
    usual: dict[str, Any] = {"task": ["a"], "at": [AT], "status": ["running"], "sequence": [1]}
    frame = polars.DataFrame({**usual, part: polars.Series([values[part]], dtype=getattr(polars, kind))})
    [found] = read(Frame(frame), Columns(task="task", sequence="sequence"))
    expected = {"task": "a", "at_us": AT_US, "sequence": 1, **({part: values[part]} if part != "at" else {})}
    expected["task"] = str(expected["task"])
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.heavy
def test_polars_objects_and_pandas_categories_are_refused_as_ids() -> None:
    polars: Any = import_module("polars")
    pandas: Any = import_module("pandas")
    usual: dict[str, Any] = {"at": [AT, AT], "status": ["running"] * 2}
    for column in (
        polars.DataFrame({**usual, "task_id": polars.Series([Unusual(), "a"], dtype=polars.Object)}),
        pandas.DataFrame({**usual, "task_id": pandas.Categorical(pandas.Series([Unusual(), "a"], dtype=object))}),
    ):
        assert tasks(Frame(column)) == [None, "a"]


@pytest.mark.parametrize("name", ["progress", "keep_rejects"])
def test_callback_that_is_not_callable_is_refused(name: str) -> None:
    settings: dict[str, Any] = {name: 3}
    with pytest.raises(TypeError, match=f"{name} must be called with .*, and 3 cannot be called"):
        check_logs(V1_FULL, Frame({}), **settings)


def frames_of(library: str) -> Callable[[dict[str, list[Any]]], Any]:
    """The functions that make frames of lists."""
    made: Any = import_module(library)
    return made.table if library == "pyarrow" else made.DataFrame  # type: ignore[no-any-return]


@pytest.mark.heavy
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_of_each_library_are_read(library: str) -> None:
    found = read(Frame(frames_of(library)(ROWS)))
    assert [(each.task, each.at_us, each.status, each.place, each.form, each.fault) for each in found] == [
        ("a", AT_US, "running", 1, TimeForm.TIMESTAMP, None),
        ("b", None, "paused", 2, TimeForm.TIMESTAMP, RejectReason.NO_TIME),
        (None, AT_US, "running", 3, TimeForm.TIMESTAMP, RejectReason.NO_TASK),
    ]


@pytest.mark.heavy
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_names_of_columns_are_compared_as_they_are(library: str) -> None:
    frame = frames_of(library)({"AT": ["upper"], "at": ["lower"], "status": ["running"]})
    assert tasks(Frame(frame), Columns(task="at", at=None)) == ["lower"]
    assert tasks(Frame(frame), Columns(task="AT", at=None)) == ["upper"]
    with pytest.raises(UnusableLog, match="no column 'At', only 'AT', 'at', 'status'"):
        read(Frame(frame), Columns(task="At", at=None))


@pytest.mark.heavy
def test_pandas_types_are_read() -> None:
    pandas: Any = import_module("pandas")
    frame = pandas.DataFrame({
        "task_id": pandas.array([7, "7", None, "b", 8], dtype=object),
        "at": pandas.to_datetime(["2026-01-15T12:30:00.5+02:00"] * 5).tz_convert("Europe/Berlin").as_unit("ns"),
        "status": pandas.Categorical(["running", "paused", "running", "odd", None]),
        "nr": pandas.array([1, 2, 3, 4, None], dtype="Int64"),
    }, index=[5, 4, 3, 2, 1])  # fmt: skip
    found = read(Frame(frame), Columns(sequence="nr"))
    assert [each.at_us for each in found] == [AT_US + 500_000] * 5
    assert [each.status for each in found] == ["running", "paused", "running", "odd", None]
    assert [each.sequence for each in found] == [1, 2, 3, 4, None]
    assert [each.task for each in found] == ["7", "7", None, "b", "8"]
    assert [each.place for each in found] == [1, 2, 3, 4, 5]


@pytest.mark.heavy
def test_one_value_of_another_type_does_not_make_a_frame_unusable() -> None:
    times: list[object] = [1_768_473_000] * 5_000
    times[7] = "never"
    frame = frames_of("pandas")({"at": times, "status": ["running"] * 5_000})
    found = read(Frame(frame), Columns(task=None))
    assert [(each.place, each.fault) for each in found if each.at_us != AT_US] == [(8, RejectReason.BAD_TIME)]


@pytest.mark.heavy
def test_a_column_of_pandas_that_is_there_twice() -> None:
    pandas: Any = import_module("pandas")
    frame = pandas.DataFrame([["a", "b", "s"]], columns=["task_id", "task_id", "status"])
    with pytest.raises(UnusableLog, match="the column 'task_id' occurs 2 times"):
        read(Frame(frame), Columns(at=None))


@pytest.mark.heavy
def test_readers_and_datasets_of_arrow() -> None:
    dataset: Any = import_module("pyarrow.dataset")
    table = frames_of("pyarrow")({"task_id": [*range(100)], "status": ["running"] * 100})
    for frame in (table.to_batches()[0], table.to_reader(max_chunksize=7), dataset.dataset(table)):
        with check_logs(V1_FULL, Frame(frame), columns=Columns(at=None), mode="sampled") as log:
            assert log.report.rows == 100


@pytest.mark.heavy
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_do_not_need_pyarrow(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frames_of(library)({"task_id": ["a"], "status": ["running"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert tasks(Frame(frame), Columns(at=None)) == ["a"]


# --- tables of DuckDB --------------------------------------------------------------------------

SETUP = f"""
CREATE TABLE log (task_id INTEGER, "at" TIMESTAMPTZ, status VARCHAR);
INSERT INTO log SELECT range, '{AT}', 'running' FROM range(5);
DELETE FROM log WHERE task_id = 2;
CREATE VIEW seen AS SELECT * FROM log WHERE task_id > 2;
CREATE SCHEMA "odd; one";
CREATE TABLE "odd; one"."say ""x"".y" AS SELECT * FROM log LIMIT 1;
CREATE TABLE numbered AS SELECT 70 + task_id AS rowid, * FROM log;
"""


@pytest.fixture(params=["file", "connection"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], DuckTable]]:
    """Return each kind of object that offers a table of a database."""
    path = tmp_path / "it's [a] log; --.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(SETUP)
        if request.param == "connection":
            yield lambda name: DuckTable(name, connection=connection)
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
            return
    yield lambda name: DuckTable(name, path)


def test_tables_and_views_are_read(table: Callable[[str], DuckTable]) -> None:
    found = read(table("log"))
    assert [(each.task, each.at_us, each.status) for each in found] == [(t, AT_US, "running") for t in "0134"]
    assert tasks(table("seen")) == ["3", "4"]
    assert tasks(table('odd; one.say "x".y')) == ["0"]
    assert tasks(table("numbered"), Columns(task="rowid")) == ["70", "71", "73", "74"]


def test_a_missing_table_is_reported(table: Callable[[str], DuckTable]) -> None:
    with pytest.raises(UnusableLog, match=r"there is no table 'Log', only 'log', .*; was 'log' meant\?"):
        read(table("Log"))
    with pytest.raises(UnusableLog, match="there is no table 'log; DROP TABLE log; --'"):
        read(table("log; DROP TABLE log; --"))


def test_a_table_without_a_column_is_reported(table: Callable[[str], DuckTable]) -> None:
    with pytest.raises(UnusableLog, match="log: there is no column 'id', only 'task_id', 'at', 'status'"):
        read(table("log"), Columns(task="id"))


def test_all_types_are_read_over_a_connection() -> None:
    kinds = {
        "'a'": "a", "'7'::JSON": "7", "'\"7\"'::JSON": "7", "'x'::ENUM('x', 'y')": "x",
        "340282366920938463463374607431768211455::UHUGEINT": str(2**128 - 1),
        "170141183460469231731687303715884105727": str(2**127 - 1), "'9'::BIGNUM": "9",
        "'11111111-2222-3333-4444-555555555555'::UUID": "11111111-2222-3333-4444-555555555555", "1.0::DOUBLE": None,
        "true": None, "[1]": None, "{'a': 1}": None, "'{}'::JSON": None,
    }  # fmt: skip
    with duckdb.connect() as connection:
        for value, task in kinds.items():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE log AS SELECT {value} AS id, 's' AS status")
            assert tasks(DuckTable("log", connection=connection), Columns(task="id", at=None)) == [task], value


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_time_of_a_table_that_is_too_large_for_microseconds_rejects_its_row(unit: str) -> None:
    with duckdb.connect() as connection:
        connection.register("times", {"nr": np.arange(2), "moment": far_times(unit)})
        connection.execute("CREATE TABLE log AS SELECT 'a' AS task_id, moment AS \"at\", 's' AS status FROM times")
        assert [(each.at_us, each.fault, each.detail) for each in read(DuckTable("log", connection=connection))] == [
            (AT_US, None, None), (None, RejectReason.TIME_OUT_OF_RANGE, FAR),
        ]  # fmt: skip


def test_a_temporary_table_hides_another_of_its_name(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "zzz.duckdb") as connection:
        connection.execute("CREATE TABLE log AS SELECT 'hidden' AS task_id, 's' AS status")
        connection.execute("CREATE TEMP TABLE log AS SELECT 'temporary' AS task_id, 's' AS status")
        assert tasks(DuckTable("log", connection=connection), Columns(at=None)) == ["temporary"]


def test_a_database_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(b"not a database" * 1_000)
    for path, message in (
        (tmp_path / "none", "there is no file"),
        (tmp_path, "there is no file"),
        (other, "not a valid"),
    ):
        with pytest.raises(UnusableLog, match=message):
            read(DuckTable("log", path))


def test_a_database_in_use_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    code = (
        f"import duckdb; c = duckdb.connect({str(path)!r}); c.execute('CREATE TABLE log (i INT)'); print(1, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as claimed_by:
        assert claimed_by.stdout is not None
        assert claimed_by.stdout.readline()
        with pytest.raises(UnusableLog, match=r"cannot be opened: .*lock"):
            read(DuckTable("log", path))
        claimed_by.communicate(b"\n")


def test_a_connection_that_fails_is_reported() -> None:
    connection = duckdb.connect()
    connection.close()
    with pytest.raises(UnusableLog, match=r"^the connection to 'log' is closed"):
        read(DuckTable("log", connection=connection))
    with pytest.raises(TypeError, match=r"^connection must be an open connection, .*, not 5 \(int\)$"):
        DuckTable("log", connection=5)


def test_table_has_exactly_one_location() -> None:
    with pytest.raises(TypeError, match="`path` or `connection`"):
        DuckTable("log")
    with pytest.raises(TypeError, match="`path` or `connection`"):
        DuckTable("log", "log.duckdb", connection=object())
