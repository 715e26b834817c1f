"""`check` reports of every row what `Lifecycle.check` reports, with its file and its row."""

from __future__ import annotations

import csv
import json
import os
import random
import stat
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest

from lifecycle import V3_FULL, Severity
from lifecycle.conformance import Mode
from tests.adapters.cli.commands import call, call_json
from tests.conftest import without_privileges

ORDERED = ("--in-order",)
ONE = ("--one-task", "--in-order")
CLEAN = "task_id,status\na,created\na,running\nb,created\na,stopped\n"
BAD = "task_id,status\na,created\na,stopped\nb,created\nb,created\na,running\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of rejects if no option names one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """The test's working directory, which everybody can reach and nobody can write to."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        monkeypatch.chdir(name)
        yield Path(name)
        Path(name).chmod(0o700)
        monkeypatch.undo()


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "histories.csv"


def parquet(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE log (task_id VARCHAR, status VARCHAR)")
        connection.executemany("INSERT INTO log VALUES (?, ?)", [*rows])
        connection.execute(f"COPY log TO '{path}'")


# --- findings ----------------------------------------------------------------------------------


def test_lawful_log_has_no_findings(file: Path) -> None:
    file.write_text(CLEAN)

    result = call("check", "v1-full", str(file), *ORDERED)

    assert result.exit_code == 0
    assert result.stdout == "2 tasks, 4 rows: 0 errors, 0 notes, 0 unreadable rows\n"
    assert result.stderr == ""


def test_statuses_in_another_letter_case_are_named_and_can_be_read(file: Path) -> None:
    file.write_text(CLEAN.replace("running", "RUNNING").replace("b,created", "b,Created"))

    strict = call("check", "v1-full", str(file), *ORDERED)
    lenient = call("check", "v1-full", str(file), *ORDERED, "--ignore-case")

    assert strict.exit_code == 1
    assert (
        "1 row has the status RUNNING, but 'running' is declared; add --ignore-case to read them as equal"
        in strict.stderr
    )
    assert "1 row has the status Created, but 'created' is declared; add --ignore-case" in strict.stderr
    assert (lenient.exit_code, lenient.stderr) == (0, "")


@pytest.mark.parametrize(
    ("time", "hint", "options"),
    [
        ("1768473000123456", "add --time microseconds or --time nanoseconds", ("--time", "microseconds")),
        ("1768473000123456789", "add --time microseconds or --time nanoseconds", ("--time", "nanoseconds")),
        ("15.01.2026 10:30", "give the format of times with --time-format", ("--time-format", "%d.%m.%Y %H:%M")),
    ],
)
def test_times_of_another_form_name_the_option_that_reads_them(
    file: Path, time: str, hint: str, options: tuple[str, ...]
) -> None:
    file.write_text(f"task_id,at,status\na,{time},created\n")

    refused, read = call("check", "v1-full", str(file)), call("check", "v1-full", str(file), *options)

    assert (refused.exit_code, read.exit_code) == (2, 0)
    assert hint in refused.stderr
    assert call("check", "v1-full", str(file), *options, *ORDERED).exit_code == 2  # a log has times or none


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("%Q", "%Q is not a supported directive (%d, %m,"), ("", "it has no directive of a day"), ("%c", "%c depends")],
)
def test_invalid_time_pattern_error_names_its_option(file: Path, pattern: str, reason: str) -> None:
    file.write_text("task_id,at,status\na,15.01.2026,created\n")

    refused = call("check", "v1-full", str(file), "--time-format", pattern)

    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"lifecycle: '{pattern}' is not a pattern of times: {reason}")
    assert refused.stderr.splitlines()[1].startswith("--time-format takes the directives of strptime")


def test_findings_have_their_row_their_task_their_kind_and_what_was_possible(file: Path) -> None:
    file.write_text(BAD)

    result = call("check", "v1-full", str(file), *ORDERED, "--notes")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{file}:5: b: note: 'created' after 'created': duplicate; possible: stopped, running, failed",
        f"{file}:6: a: error: 'running' after 'stopped': after_final; possible: nothing, the task had ended",
        "2 tasks, 5 rows: 1 error, 1 note, 0 unreadable rows",
    ]


def test_notes_are_listed_if_asked_for_and_exit_with_0(file: Path) -> None:
    file.write_text("status\ncreated\ncreated\nrunning\nfinished\n")

    silent, told = (call("check", "v1-full", str(file), *ONE, *more) for more in ((), ("--notes",)))

    assert (silent.exit_code, told.exit_code) == (0, 0)
    assert silent.stdout == "1 task, 4 rows: 0 errors, 1 note, 0 unreadable rows\n"
    assert told.stdout.startswith(f"{file}:3: note: 'created' after 'created': duplicate; ")


def test_json_output_has_the_facts(file: Path) -> None:
    file.write_text("at,task_id,status\n1700000000,a,stopped\n1700000001,a,running\nsoon,b,created\n")

    assert call("check", "v1-full", str(file), "--json").exit_code == 1
    document = call_json("check", "v1-full", str(file))
    assert document["rejects"][0].pop("detail") == "soon"
    assert document | {"findings": document["findings"][1:]} == {
        "lifecycle": "v1-full",
        "mode": "exact",
        "channel": "api",
        "tasks": 1,
        "rows": 3,
        "bad_rows": 2,
        "notes": 0,
        "unreadable_rows": 1,
        "findings": [
            {
                "task": "a",
                "at": "2023-11-14T22:13:21Z",
                "file": str(file),
                "row": 3,
                "code": "after_final",
                "severity": "error",
                "previous": "stopped",
                "status": "running",
                "possible": [],
                "message": "'running' after 'stopped': after_final; possible: nothing, the task had ended",
            }
        ],
        "more_findings": 0,
        "rejects": [{"file": str(file), "row": 4, "reason": "bad time"}],
        "more_rejects": 0,
        "broken": {},
    }


def test_the_list_is_limited_and_the_rest_is_counted(file: Path) -> None:
    rows = "".join(f"t{number},stopped\n" for number in range(1_150)) + ",stopped\n" * 120
    file.write_text("task_id,status\n" + rows)

    usual, few, all_, none = (
        call("check", "v1-full", str(file), *ORDERED, *more)
        for more in ((), ("--show", "2"), ("--show", "1150"), ("--show", "0"))
    )

    assert usual.stdout.count(": error: ") == 100
    assert usual.stdout.count(": unreadable: ") == 100
    assert few.stdout.splitlines() == [
        f"{file}:1152: unreadable: no task id",
        f"{file}:1153: unreadable: no task id",
        "... and 118 more unreadable rows",
        f"{file}:2: t0: error: 'stopped' at the start: wrong_start; possible: created",
        f"{file}:3: t1: error: 'stopped' at the start: wrong_start; possible: created",
        "... and 1,148 more: --show 1150 lists all, --findings FILE writes all to a file",
        "1,150 tasks, 1,270 rows: 1,150 errors, 0 notes, 120 unreadable rows",
    ]
    assert all_.stdout.count(": error: ") == 1_150
    assert "more:" not in all_.stdout
    assert none.stdout.count("\n") == 3
    document = call_json("check", "v1-full", str(file), *ORDERED, "--show", "2")
    assert (len(document["findings"]), document["more_findings"]) == (2, 1_148)
    assert (len(document["rejects"]), document["more_rejects"]) == (2, 118)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_every_history_is_judged_as_check_does(mode: Mode, form: str, folder: Path) -> None:
    chance = random.Random(mode)
    words = [*(str(state.name) for state in V3_FULL.states), "hibernating"]
    histories = {f"t{number}": chance.choices(words, k=chance.randint(1, 9)) for number in range(20)}
    rows = [(task, status) for task, statuses in histories.items() for status in statuses]
    file = folder / f"histories.{form}"
    if form == "csv":
        file.write_text("task_id,status\n" + "".join(f"{task},{status}\n" for task, status in rows))
    elif form == "jsonl":
        file.write_text("\n".join(json.dumps({"task_id": task, "status": status}) for task, status in rows))
    else:
        parquet(file, rows)

    found = call_json("check", "v3-full", str(file), *ORDERED, "--mode", mode, "--notes", "--show", "1000")

    first_row = 2 if form == "csv" else 1
    expected: list[dict[str, object]] = []
    for task, statuses in histories.items():
        for finding in V3_FULL.check(statuses, mode=mode):
            facts = {"code": finding.code, "severity": finding.severity, "possible": list(finding.possible)}
            expected.append({"task": task, "row": first_row + finding.index, **facts, "message": finding.message})
        first_row += len(statuses)
    keys = ("task", "row", "code", "severity", "possible", "message")
    assert [{key: each[key] for key in keys} for each in found["findings"]] == expected
    assert found["bad_rows"] == sum(each["severity"] is Severity.ERROR for each in expected)


# --- how it is written -------------------------------------------------------------------------------


def test_the_statuses_of_another_channel() -> None:
    typed = "status\ninitializing\nstarted\nfinished\n"
    log = ("check", "v1-full", "-", "--input-format", "csv", *ONE)

    assert call(*log, "--channel", "webhook", typed=typed).exit_code == 0
    assert call(*log, typed=typed).exit_code == 1


def test_rows_are_put_in_the_order_of_their_times_and_keep_their_rows() -> None:
    rows = [
        {"id": "a", "seen": "2026-01-01T00:00:03Z", "to": "stopped"},
        {"id": "a", "seen": "2026-01-01T00:00:01Z", "to": "created"},
        {"id": "a", "seen": "2026-01-01T00:00:04Z", "to": "running"},
    ]
    typed = "\n".join(map(json.dumps, rows))
    columns = ("--status-column", "to", "--task-column", "id", "--at-column", "seen")

    result = call("check", "v1-full", "-", "--input-format", "jsonl", *columns, typed=typed)

    assert result.exit_code == 1
    assert result.stdout.startswith("-:3: a: error: 'running' after 'stopped': after_final")


def test_a_sequence_orders_the_rows_of_one_time() -> None:
    typed = "task_id,at,status,n\na,2026-01-01,running,2\na,2026-01-01,created,1\n"
    log = ("check", "v1-full", "-", "--input-format", "csv")

    assert call(*log, typed=typed).exit_code == 1
    assert call(*log, "--sequence-column", "n", typed=typed).exit_code == 0


def test_time_form_can_be_named() -> None:
    typed = "task_id,at,status\na,100000000001,created\na,100000000000,stopped\n"
    log = ("report", "v1-full", "-", "--input-format", "csv")

    recognised, said = call_json(*log, typed=typed), call_json(*log, "--time", "seconds", typed=typed)

    assert (recognised["time_forms"], said["time_forms"]) == ({"milliseconds": 2}, {"seconds": 2})
    assert (recognised["first_at"], said["first_at"]) == ("1973-03-03T09:46:40Z", "5138-11-16T09:46:40Z")


def test_files_of_different_formats_are_one_log(folder: Path) -> None:
    (folder / "1.csv").write_text("task_id,status\na,created\n")
    (folder / "2.jsonl").write_text('{"task_id": "a", "status": "running"}')
    parquet(folder / "3.parquet", [("a", "created")])

    by_name = call("check", "v1-full", "1.csv", "2.jsonl", "3.parquet", *ORDERED)
    by_folder = call("check", "v1-full", ".", *ORDERED)

    assert by_name.stdout.startswith("3.parquet:1: a: error: 'created' after 'running': out_of_order")
    assert "1 task, 3 rows: 1 error" in by_folder.stdout


# --- what cannot be read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"a,2026-01-01,run\xffning", "not a row"),
        (b"a,2026-01-01", "not a row"),
        (b",2026-01-01,running", "no task id"),
        (b"a,2026-01-01,", "no status"),
        (b"a,soon,running", "bad time: soon"),
        (b"a,,running", "no time"),
    ],
)
def test_a_row_that_cannot_be_read_is_counted_listed_and_kept(row: bytes, said: str, folder: Path) -> None:
    typed = b"task_id,at,status\nb,2026-01-01,created\n" + row + b"\n"

    result = call("check", "v1-full", "-", "--input-format", "csv", typed=typed)

    assert result.exit_code == 0
    listed, summary = result.stdout.splitlines()
    assert listed.startswith(f"-:3: unreadable: {said}")
    assert summary.endswith("1 unreadable row")
    assert result.stderr == "1 row could not be read; the list is kept in lifecycle-rejects.csv\n"
    with (folder / "lifecycle-rejects.csv").open(newline="") as kept:
        (reject,) = csv.DictReader(kept)
    assert (reject["file"], reject["row"]) == ("-", "3")
    assert said.startswith(reject["reason"])


@pytest.mark.parametrize("where", [".", "*.csv"])
def test_kept_rejects_are_not_read_as_part_of_the_log(where: str, folder: Path) -> None:
    (folder / "log.csv").write_text("task_id,status\na,created\n,created\n")

    first, second = (call("check", "v1-full", where, *ORDERED) for _ in range(2))

    assert first.exit_code == 0
    assert (folder / "lifecycle-rejects.csv").exists()
    assert (second.exit_code, second.stdout) == (0, first.stdout)


def test_strict_reads_all_or_nothing(folder: Path) -> None:
    (folder / "log.csv").write_text("task_id,status\na,created\n,created\n")

    result = call("check", "v1-full", "log.csv", *ORDERED, "--strict")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "lifecycle: 1 row could not be read",
        "log.csv:3: no task id",
        "the list is kept in lifecycle-rejects.csv",
    ]
    assert len((folder / "lifecycle-rejects.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("command", ["check", "report"])
@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("task_id,status\na,created\n,created\n", "unreadable_rows"),
        ("task_id,status\n", "no_readable_rows"),
        ("id,status\na,created\n", "missing_column"),
    ],
)
def test_log_that_cannot_be_used_is_an_object_in_json(folder: Path, command: str, content: str, error: str) -> None:
    (folder / "log.csv").write_text(content)

    result = call(command, "v1-full", "log.csv", *ORDERED, "--strict", "--json")
    as_text = call(command, "v1-full", "log.csv", *ORDERED, "--strict")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["error"], result.stderr) == (2, error, as_text.stderr)
    assert "\n".join([found["message"], *found.get("notes", [])]) == as_text.stderr.removeprefix("lifecycle: ").rstrip()


def test_list_of_an_earlier_check_is_kept_and_named(folder: Path) -> None:
    (folder / "log.csv").write_text("task_id,status\na,created\n,created\n")
    call("check", "v1-full", "log.csv", *ORDERED)
    kept = (folder / "lifecycle-rejects.csv").read_bytes()
    (folder / "log.csv").write_text("task_id,status\na,created\n")

    result = call("check", "v1-full", "log.csv", *ORDERED)

    assert result.exit_code == 0
    assert result.stderr == "lifecycle-rejects.csv is from an earlier check; this one found no unreadable row\n"
    assert (folder / "lifecycle-rejects.csv").read_bytes() == kept
    (folder / "lifecycle-rejects.csv").write_text("mine\n")
    assert call("check", "v1-full", "log.csv", *ORDERED).stderr == ""


def test_if_no_row_can_be_read_the_first_reasons_are_reported(folder: Path) -> None:
    (folder / "log.jsonl").write_text("[]\n" * 11)

    result = call("check", "v1-full", "log.jsonl", *ORDERED)

    assert (result.exit_code, result.stdout) == (2, "")
    first, *reasons, more, kept = result.stderr.splitlines()
    assert first == "lifecycle: no row of the log can be read (11 rows: not a row)"
    assert more == "... and 1 more unreadable row"
    assert kept == "the list is kept in lifecycle-rejects.csv"
    assert reasons == [
        f"log.jsonl:{line}: not a row: a row must be a JSON object, not an array" for line in range(1, 11)
    ]


@pytest.mark.parametrize("command", ["check", "report"])
@pytest.mark.parametrize(
    ("options", "kept", "said"),
    [
        (("--strict",), "lifecycle-rejects.csv", "the list is kept in lifecycle-rejects.csv"),
        (("--rejects", "r.csv"), "r.csv", "wrote the list to r.csv"),
        (("--rejects", "r.csv", "--strict"), "r.csv", "wrote the list to r.csv"),
    ],
)
def test_rejects_are_kept_if_no_row_can_be_read(
    folder: Path, command: str, options: tuple[str, ...], kept: str, said: str
) -> None:
    (folder / "log.csv").write_text("task_id,status\n,created\n,running\n")

    result = call(command, "v1-full", "log.csv", *ORDERED, *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    with (folder / kept).open(newline="") as rows:
        assert [(each["file"], each["row"], each["reason"]) for each in csv.DictReader(rows)] == [
            ("log.csv", "2", "no task id"),
            ("log.csv", "3", "no task id"),
        ]
    assert sorted(path.name for path in folder.iterdir()) == sorted(["log.csv", kept])


def test_foreign_rejects_file_is_kept_if_no_row_can_be_read(folder: Path) -> None:
    (folder / "log.csv").write_text("task_id,status\n,created\n")
    (folder / "lifecycle-rejects.csv").write_text("mine\n")

    result = call("check", "v1-full", "log.csv", *ORDERED)

    assert result.exit_code == 2
    assert "lifecycle-rejects.csv exists and was not written by this program; give --rejects FILE" in result.stderr
    assert (folder / "lifecycle-rejects.csv").read_text() == "mine\n"


def test_more_threads_than_any_machine_has_are_refused() -> None:
    result = call("check", "v1", "-", "--threads", "100000")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--threads" in result.stderr


def test_broken_file_is_judged_up_to_the_break(folder: Path) -> None:
    (folder / "1.csv").write_text("task_id,status\na,created\na,stopped\na,running\n")
    (folder / "2.parquet").write_bytes(b"PAR1 and no more")

    result = call("check", "v1-full", ".", *ORDERED)
    document = call_json("check", "v1-full", ".", *ORDERED)

    assert result.exit_code == 2
    broken, finding, summary = result.stdout.splitlines()
    assert "2.parquet: not read to its end: " in broken
    assert "1.csv:4: a: error" in finding
    assert summary.startswith("1 task, 3 rows: 1 error")
    assert [Path(name).name for name in document["broken"]] == ["2.parquet"]


@pytest.mark.parametrize(
    ("header", "options", "said", "helps"),
    [
        ("id,at,status", (), "there is no column 'task_id'", "--task-column", ),
        ("id,at,status", (), "'id', 'at', 'status'", "--one-task"),
        ("task_id,when,status", (), "there is no column 'at'", "--in-order"),
        ("task_id,at,state", (), "there is no column 'status'", "--status-column"),
        ("task_id,at,status", ("--task-column", "key"), "there is no column 'key'", "--task-column"),
        ("id,at,status", ("--task-column", ""), "there is no column ''", "--task-column"),
        ("task_id,at,status", ("--sequence-column", "n"), "there is no column 'n'", "--sequence-column"),
    ],
)  # fmt: skip
def test_missing_column_error_names_the_existing_ones_and_the_option(
    header: str, options: tuple[str, ...], said: str, helps: str, file: Path
) -> None:
    file.write_text(f"{header}\n1,2026-01-01,running\n")

    result = call("check", "v1", str(file), *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert helps in result.stderr
    assert result.stderr.startswith("lifecycle: ")


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(";", "utf-8"), ("\t", "utf-16"), ("|", "cp1252"), (",", "utf-16-le")]
)
@pytest.mark.parametrize("command", ["check", "report"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_csv_of_another_delimiter_and_encoding_is_read(
    delimiter: str, encoding: str, command: str, end: str, file: Path
) -> None:
    text = CLEAN.replace("a,", '"a\xe9,;|\t",').replace("\n", end)
    cells = [line.rpartition(",") for line in text.splitlines()]
    text = end.join(f"{first}{delimiter}{last}" for first, _, last in cells)
    file.write_bytes(text.encode(encoding))
    typed = r"\t" if delimiter == "\t" else delimiter

    result = call(command, "v1-full", str(file), *ORDERED, "--delimiter", typed, "--encoding", encoding)

    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("content", "said", "helps"),
    [
        ("task_id;status\na;created\n", "its cells are separated by semicolons, not by commas", "--delimiter ';'"),
        ("task_id\tstatus\na\tcreated\n", "its cells are separated by tabs", r"--delimiter '\t'"),
        (CLEAN.encode("utf-16"), "it is UTF-16, not UTF-8: name the encoding", "--encoding utf-16"),
        (CLEAN.encode("utf-32"), "it is UTF-32, not UTF-8: name the encoding", "--encoding utf-32"),
        (CLEAN.encode("utf-32-be"), "it is UTF-32, not UTF-8: name the encoding", "--encoding utf-32-be"),
        (CLEAN.encode("utf-16-le"), "it is UTF-16, not UTF-8: name the encoding", "--encoding utf-16-le"),
    ],
)
def test_unusual_csv_error_names_the_option_that_reads_it(
    content: str | bytes, said: str, helps: str, file: Path
) -> None:
    file.write_bytes(content.encode() if isinstance(content, str) else content)

    refused = call("check", "v1-full", str(file), *ORDERED)
    option, value = helps.split()
    read = call("check", "v1-full", str(file), *ORDERED, option, value.strip("'"))

    assert (refused.exit_code, refused.stdout) == (2, "")
    first, hint = refused.stderr.splitlines()
    assert first.startswith(f"lifecycle: {file}: {said}")
    assert hint == f"read it with {helps}"
    assert (read.exit_code, read.stderr) == (0, "")


def test_undecodable_row_is_unreadable(file: Path) -> None:
    file.write_bytes(CLEAN.encode() + b"b,stopp\x81ed\n")

    result = call("check", "v1-full", str(file), *ORDERED, "--encoding", "cp1252")

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{file}:6: unreadable: not a row: not cp1252\n")


@pytest.mark.parametrize("option", [("--delimiter", ";"), ("--encoding", "utf-16")])
@pytest.mark.parametrize(
    ("source", "said"),
    [
        (("log.jsonl",), "'log.jsonl' is not a CSV file: a delimiter and an encoding are for CSV only"),
        (("-", "--input-format", "parquet"), "'-' is not a CSV file"),
        (("log.db", "--table", "log"), "a delimiter and an encoding are for CSV files, not for a table"),
        (("postgresql://x/y", "--table", "log"), "a delimiter and an encoding are for CSV files, not for a table"),
    ],
)
def test_options_of_csv_with_another_source_are_refused(
    option: tuple[str, str], source: tuple[str, ...], said: str, folder: Path
) -> None:
    (folder / "log.jsonl").write_text("{}\n")

    result = call("check", "v1", *source, *option)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"lifecycle: {said}")
    assert result.stderr.count("\n") == 1


def test_foreign_text_is_shown_without_terminal_controls() -> None:
    row = {"task_id": "[red]\x1b[31mid\x07" + "x" * 1_000, "status": "[bold]\x1b]0;title\x07" + "y" * 1_000}

    result = call("check", "v1", "-", *ORDERED, "--input-format", "jsonl", typed=json.dumps(row))

    assert result.exit_code == 1
    assert "-:1: [red]\\x1b[31mid\\x07xxx" in result.stdout
    assert "'[bold]\\x1b]0;title\\x07yyy" in result.stdout
    assert result.stdout.replace("\n", "").isprintable()
    assert len(result.stdout) < 500


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["v1", "missing.csv"], "there is no file 'missing.csv'"),
        (["v1", "."], "there is no log in the folder '.'"),
        (["v1", "*.csv"], "nothing that matches '*.csv' is a log"),
        (["v0", "-"], "catalog: unknown lifecycle 'v0'"),
        (["v1", "-", "--input-format", "csv", "--channel", "fax"], "v1: unknown channel 'fax'"),
        (["v1", "-", "--one-task", "--task-column", "id"], "either --one-task or --task-column, not both"),
        (["v1", "-", "--in-order", "--at-column", "when"], "either --in-order or --at-column, not both"),
        (["v1", "-", "--one-task", "--task-column", "task_id"], "either --one-task or --task-column, not both"),
        (["v1", "-", "--in-order", "--at-column", "at"], "either --in-order or --at-column, not both"),
        (["v1", "-", "--in-order", "--time", "iso"], "either --in-order or --time, not both"),
        (["v1", "-", "--master", "local"], "a master needs the engine spark"),
        (["v1", "log.csv", "--engine", "postgresql"], "the engine postgresql needs a postgresql:// URL"),
        (["v1", "postgresql://x/y", "--engine", "duckdb"], "the engine duckdb reads no postgresql:// URL: leave"),
        (["v1", "postgresql://x/y"], "a database needs the name of the table that is the log; on the command line: --"),
        (["v1", "postgresql+psycopg://x/y"], "a database needs the name of the table that is the log"),
        (["v1", "-", "--delimiter", ";;"], "a delimiter must be one character, neither a quote"),
        (["v1", "-", "--encoding", "utf-17"], "unknown encoding 'utf-17'; did you mean 'utf-7'?"),
        (["v1", "a", "b", "--table", "log"], "a table needs one database, and takes neither a format nor"),
        (
            ["v1", "a", "--table", "log", "--engine", "spark"],
            "a table needs one database, and takes neither a format nor",
        ),
        (["v1", "-", "--input-format", "csv", "--memory", "much"], "memory must be a number and a unit of"),
        (["v1", "-", "--input-format", "csv", "--memory", "1KB"], "memory must be at least 16MB"),
        (
            ["v1", "-", "--input-format", "csv", "--memory", "99999999TB"],
            "memory must be at most 1000000TB, not '99999999TB'; on the command line: --memory",
        ),
        (["v1", "-", "--task-column", "at"], "task and at are the same column, 'at'; each needs its own"),
        (["v1", "-", "--input-format", "csv", "--spill", "nowhere"], "no directory to spill into"),
    ],
)
def test_bad_input_is_one_line_of_error(arguments: list[str], said: str) -> None:
    result = call("check", *arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"lifecycle: {said}")
    assert result.stderr.count("\n") == 1


def test_standard_input_needs_a_format() -> None:
    result = call("check", "v1", "-")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[1] == "name the format with --input-format: parquet, csv or jsonl"


def test_the_table_of_a_database_must_be_named(folder: Path) -> None:
    with duckdb.connect(folder / "log.duckdb") as database:
        database.execute("CREATE TABLE log AS SELECT 'a' AS task_id, 'running' AS status")

    result = call("check", "v1", "log.duckdb", *ORDERED)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "lifecycle: a database needs the name of the table that is the log; on the command line: --table\n"
    )
    assert call("check", "v1", "log.duckdb", *ORDERED, "--table", "log").exit_code == 0


def test_a_log_without_rows_is_unusable() -> None:
    result = call("check", "v1", "-", "--input-format", "csv", typed="task_id,at,status\n")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lifecycle: the log has no rows\n"


# --- what is written ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["found.parquet", "found.csv", "found.jsonl.gz", "it's; [1] *.csv"])
def test_all_findings_are_written_to_a_file(name: str, file: Path, folder: Path) -> None:
    file.write_text("task_id,status\n" + "".join(f"t{number},stopped\n" for number in range(150)))

    result = call("check", "v1-full", str(file), *ORDERED, "--show", "0", "--findings", name)

    assert result.exit_code == 1
    assert result.stderr == f"wrote 150 findings to {name}\n"
    escaped = name.replace("'", "''").replace("[", "[[]").replace("*", "[*]")
    reader = "read_csv" if name.endswith("csv") else "read_json" if "json" in name else "read_parquet"
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT task, row, code FROM {reader}('{folder}/{escaped}')").fetchall()
    assert rows == [(f"t{number}", number + 2, "wrong_start") for number in range(150)]


def test_rejects_are_written_to_the_given_file(file: Path, folder: Path) -> None:
    file.write_text("task_id,status\na,created\n,=1+1\n")

    result = call("check", "v1-full", str(file), *ORDERED, "--rejects", "rejects.jsonl")

    assert result.stderr == "1 row could not be read; wrote the list to rejects.jsonl\n"
    (reject,) = map(json.loads, (folder / "rejects.jsonl").read_text().splitlines())
    assert (reject["row"], reject["reason"]) == (3, "no task id")
    assert not (folder / "lifecycle-rejects.csv").exists()


def test_kept_rejects_replace_only_those_of_an_earlier_run(file: Path, folder: Path) -> None:
    kept = folder / "lifecycle-rejects.csv"
    for rows, lines in ((2, 3), (1, 2)):
        file.write_text("task_id,status\na,created\n" + ",created\n" * rows)
        assert call("check", "v1-full", str(file), *ORDERED).exit_code == 0
        assert kept.read_text().count("\n") == lines

    kept.write_text("file,row\nsomebody's own\n")
    result = call("check", "v1-full", str(file), *ORDERED)

    assert result.exit_code == 0
    said = (
        "1 row could not be read; lifecycle-rejects.csv exists and was not written by this program;"
        " give --rejects FILE to keep the list\n"
    )
    assert result.stderr == said
    assert "1 unreadable row" in result.stdout
    assert kept.read_text() == "file,row\nsomebody's own\n"


@pytest.mark.parametrize(("rows", "code"), [(CLEAN, 0), (BAD, 1)])
def test_log_is_judged_although_rejects_cannot_be_written(rows: str, code: int, unwritable: Path) -> None:
    for unreadable, kept in ((0, ""), (1, "; lifecycle-rejects.csv cannot be written: Permission denied;")):
        with without_privileges():
            result = call("check", "v1-full", "-", "--input-format", "csv", *ORDERED, typed=rows + ",\n" * unreadable)

        assert result.exit_code == code
        assert result.stdout.endswith(f"{unreadable} unreadable row{'s' if not unreadable else ''}\n")
        said = f"1 row could not be read{kept} give --rejects FILE to keep the list\n" if unreadable else ""
        assert result.stderr == said
    assert list(unwritable.iterdir()) == []


def test_unreadable_foreign_rejects_file_is_kept(unwritable: Path) -> None:
    kept = unwritable / "lifecycle-rejects.csv"
    kept.write_text("private")
    kept.chmod(0o600)

    with without_privileges():
        result = call("check", "v1-full", "-", "--input-format", "csv", *ORDERED, typed=CLEAN + ",\n")

    assert (result.exit_code, kept.read_text()) == (0, "private")
    assert "lifecycle-rejects.csv exists and was not written by this program" in result.stderr


def test_unwritable_output_file_is_an_error(unwritable: Path) -> None:
    for option in ("--findings", "--rejects"):
        with without_privileges():
            result = call("check", "v1-full", "-", "--input-format", "csv", *ORDERED, option, "x.csv", typed=BAD)

        assert result.exit_code == 2
        assert "x.csv cannot be written: Permission denied" in result.stderr


@pytest.mark.parametrize("option", ["--findings", "--rejects", "--html", "kept"])
def test_written_files_are_readable_by_their_owner_only(option: str, file: Path) -> None:
    file.write_text(BAD + ",\n")
    name = {"--html": "page.html", "kept": "lifecycle-rejects.csv"}.get(option, "rows.csv")
    command = "report" if option == "--html" else "check"
    before = os.umask(0)
    try:
        call(command, "v1-full", str(file), *ORDERED, *(() if option == "kept" else (option, name)))
    finally:
        os.umask(before)

    assert stat.S_IMODE((file.parent / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("option", ["FILE", "--findings", "--rejects", "--html", "--spill"])
def test_cyclic_link_is_an_error_or_replaced(option: str, file: Path) -> None:
    file.write_text(CLEAN)
    Path("a.csv").symlink_to("b.csv")
    Path("b.csv").symlink_to("a.csv")
    command = "report" if option == "--html" else "check"
    files = ("a.csv",) if option == "FILE" else (str(file), option, "a.csv")

    result = call(command, "v1-full", *files, *ORDERED)

    assert result.exit_code == (2 if option in ("FILE", "--spill") else 0)
    assert result.stderr.startswith("lifecycle: ") == (result.exit_code == 2)


@pytest.mark.parametrize("log", [".", "*.csv"])
def test_no_file_of_a_folder_or_a_glob_is_written_over(log: str, folder: Path) -> None:
    (folder / "log.csv").write_text(BAD)

    result = call("check", "v1-full", log, *ORDERED, "--findings", "./log.csv")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "log.csv is read by this command, and would be overwritten" in result.stderr
    assert (folder / "log.csv").read_text() == BAD


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--findings", "found.txt"), "the name 'found.txt' has no known format"),
        (("--rejects", "rejects"), "the name 'rejects' has no known format"),
        (("--findings", "no/found.csv"), "no/found.csv cannot be written: there is no folder"),
        (("--findings", "folder.csv"), "folder.csv cannot be written: it is a folder"),
        (("--findings", "pipe.csv"), "pipe.csv cannot be written: it exists and is not a regular file"),
        (("--findings", "x.csv", "--rejects", "./x.csv"), "each output needs a file of its own"),
        (("--findings", "./log.csv"), "log.csv is read by this command, and would be overwritten"),
        (("--rejects", "same.csv"), "same.csv is read by this command, and would be overwritten"),
    ],
)
def test_unwritable_output_is_refused_before_any_work(options: tuple[str, ...], said: str, folder: Path) -> None:
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    (folder / "log.csv").write_text(BAD)
    (folder / "same.csv").hardlink_to(folder / "log.csv")

    result = call("check", "v1-full", "log.csv", *ORDERED, *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"lifecycle: {said}")
    assert sorted(path.name for path in folder.iterdir()) == ["folder.csv", "log.csv", "pipe.csv", "same.csv"]
    assert (folder / "log.csv").read_text() == BAD
