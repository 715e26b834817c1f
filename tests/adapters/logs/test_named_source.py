"""The source that a command line names, the files that it reads, and the attributes of errors about unusable logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from lifecycle import V1
from lifecycle_adapters.logs import (
    Columns,
    DuckTable,
    Files,
    MissingColumn,
    NoReadableRows,
    UnknownFormat,
    UnreadableRows,
    check_logs,
)
from lifecycle_adapters.logs.kept_rejects import keep_rejects
from lifecycle_adapters.logs.log_errors import EngineFailed
from lifecycle_adapters.logs.named_source import files_of, named_source
from lifecycle_adapters.logs.postgres import PostgresTable
from lifecycle_adapters.logs.writers import require_writable


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_become_a_files_source() -> None:
    assert named_source("a.csv", "b.csv") == Files("a.csv", "b.csv")
    options: dict[str, Any] = {"format": "csv", "delimiter": ";", "encoding": "cp1252"}
    assert named_source("a", engine="duckdb", **options) == Files("a", **options)


def test_a_table_is_in_a_file_of_duckdb_or_behind_a_url() -> None:
    table = named_source("log.db", table="log")
    assert isinstance(table, DuckTable)
    assert (table.table, table.path) == ("log", "log.db")
    assert named_source("postgresql://h/d", table="log") == PostgresTable("postgresql://h/d", "log")
    assert named_source("postgres://h/d", table="log", engine="postgresql") == PostgresTable("postgres://h/d", "log")


@pytest.mark.parametrize(
    ("places", "options", "message"),
    [
        ((), {}, "a log needs at least one path"),
        (("a",), {"engine": "sparc"}, "unknown engine 'sparc'; did you mean 'spark'"),
        (("a",), {"master": "local"}, "a master needs the engine spark"),
        (("a",), {"engine": "postgresql"}, "the engine postgresql needs a postgresql:// URL"),
        (("postgresql://h/d",), {"engine": "spark"}, "the engine spark reads no postgresql:// URL"),
        (("postgresql://h/d",), {}, "a database needs the name of the table"),
        (("a", "b"), {"table": "t"}, "a table needs one database"),
        (("a",), {"table": "t", "format": "csv"}, "a table needs one database, and takes neither a format"),
        (("a",), {"table": "t", "engine": "spark"}, "nor the engine spark"),
        (("a",), {"table": "t", "delimiter": ";"}, "a delimiter and an encoding are for CSV files"),
        (("postgresql://h/d",), {"table": "t", "encoding": "cp1252"}, "a delimiter and an encoding are for CSV files"),
    ],
)
def test_contradictory_source_options_are_refused(
    places: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        named_source(*places, **options)


def test_the_files_of_a_source_are_those_of_its_folders_and_patterns(folder: Path) -> None:
    for name in ("a.csv", "b.jsonl"):
        (folder / name).touch()

    assert files_of(Files("*.csv", "b.jsonl")) == ["a.csv", "b.jsonl"]
    assert files_of(DuckTable("log", path=folder / "log.db")) == [str(folder / "log.db"), str(folder / "log.db.wal")]
    with duckdb.connect() as connection:
        assert files_of(DuckTable("log", connection=connection)) == []
    assert files_of(PostgresTable("postgresql://h/d", "log")) == []


# --- what errors say ---------------------------------------------------------------------------


def raised_of(kind: type[Exception], source: Files, **options: Any) -> Any:
    with pytest.raises(kind) as raised:
        check_logs(V1, source, **options)
    return raised.value


def test_an_unusable_log_says_in_attributes_why(folder: Path) -> None:
    (folder / "log.csv").write_text("task_id,at,status\n,2026-01-01,running\na,soon,running\nb,soon,running\n")
    (folder / "log").touch()

    missing = raised_of(MissingColumn, Files("log.csv"), columns=Columns(sequence="nth"))
    assert (missing.name, missing.known) == ("nth", ("task_id", "at", "status"))
    assert raised_of(UnknownFormat, Files("log")).path == "log"
    assert raised_of(UnknownFormat, Files("-")).path == "-"
    reasons = {"no task id": 1, "bad time": 2}
    assert raised_of(NoReadableRows, Files("log.csv")).reasons == reasons
    strict = raised_of(UnreadableRows, Files("log.csv"), strict=True)
    assert (strict.count, strict.reasons) == (3, reasons)


def test_a_log_without_rows_has_no_reasons(folder: Path) -> None:
    (folder / "log.csv").write_text("task_id,at,status\n")

    assert raised_of(NoReadableRows, Files("log.csv")).reasons == {}


def test_statuses_in_another_letter_case_are_found(folder: Path) -> None:
    (folder / "log.csv").write_text("status\nrunning\nRUNNING\nlost\nPaused\n")

    with check_logs(V1, Files("log.csv"), columns=Columns(task=None, at=None)) as checked:
        assert checked.report.in_another_case(V1.statuses()) == {"RUNNING": "running", "Paused": "paused"}


# --- what is written ---------------------------------------------------------------------------


def test_rejects_file_replaces_only_an_earlier_rejects_file(folder: Path) -> None:
    kept = folder / "lifecycle-rejects.csv"

    def write(path: object) -> int:
        Path(str(path)).write_text("file,row,reason,detail\n")
        return 0

    assert [keep_rejects(write) for _ in range(2)] == [kept.name] * 2
    kept.write_text("file,row\n")
    with pytest.raises(EngineFailed, match=r"lifecycle-rejects\.csv exists and was not written by this program"):
        keep_rejects(write)
    kept.unlink()
    kept.symlink_to("nowhere")
    with pytest.raises(EngineFailed, match="exists and was not written by this program"):
        keep_rejects(write)


def test_files_that_could_not_be_written_are_refused(folder: Path) -> None:
    require_writable([Path("found.csv"), Path("rejects.jsonl")], [Path("page.html")])
    for rows, others, message in (
        ([Path("found.txt")], [], "has no known format"),
        ([Path("no/found.csv")], [], "there is no folder"),
        ([], [folder], "it is a folder"),
        ([Path("a.csv")], [Path("./a.csv")], "each output needs a file of its own"),
    ):
        with pytest.raises(ValueError, match=message):
            require_writable(rows, others)
