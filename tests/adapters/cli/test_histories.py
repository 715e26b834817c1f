"""`validate` says of every row what `Lifecycle.check` says, with the line that it is on."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from lifecycle import CATALOG, Severity, get
from lifecycle.history import Mode
from tests.adapters.cli.commands import call, call_json

CLEAN = "task_id,status\na,created\na,running\nb,created\na,stopped\n"
BAD = "task_id,status\na,created\na,stopped\nb,created\nb,created\na,running\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "histories.csv"


def test_lawful_histories(file: Path) -> None:
    file.write_text(CLEAN)

    result = call("validate", "v1-full", str(file))

    assert result.exit_code == 0
    assert result.stdout == "2 tasks, 4 rows: 0 findings, 0 for information, 0 bad rows\n"


def test_findings_have_their_line_their_task_their_kind_and_what_was_possible(file: Path) -> None:
    file.write_text(BAD)

    result = call("validate", "v1-full", str(file))

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{file}:6: a: finding: 'running' after 'stopped': after_final; possible: nothing, the task had ended",
        f"{file}:5: b: information: 'created' after 'created': duplicate; possible: stopped, running, failed",
        "2 tasks, 5 rows: 1 finding, 1 for information, 0 bad rows",
    ]


def test_information_alone_is_fine(file: Path) -> None:
    file.write_text("status\ncreated\ncreated\nrunning\nfinished\n")

    assert call("validate", "v1-full", str(file)).exit_code == 0


def test_for_programs(file: Path) -> None:
    file.write_text(BAD + "c\n")

    assert call("validate", "v1-full", str(file), "--json").exit_code == 2
    document = call_json("validate", "v1-full", str(file))
    assert document | {"findings": document["findings"][:1]} == {
        "lifecycle": "v1-full",
        "tasks": 2,
        "rows": 5,
        "findings": [
            {
                "task": "a",
                "line": 6,
                "code": "after_final",
                "severity": "finding",
                "previous": "stopped",
                "status": "running",
                "possible": [],
                "message": "'running' after 'stopped': after_final; possible: nothing, the task had ended",
            }
        ],
        "bad_rows": [{"line": 7, "reason": "the header has 2 columns, this row 1"}],
    }


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("mode", ["exact", "sampled"])
@pytest.mark.parametrize("name", CATALOG)
def test_every_history_is_judged_as_check_does(name: str, mode: Mode, form: str, tmp_path: Path) -> None:
    chance = random.Random(f"{name} {mode}")
    lifecycle = get(name)
    words = [*(str(state.name) for state in lifecycle.states), "hibernating"]
    histories = {f"t{number}": chance.choices(words, k=chance.randint(1, 9)) for number in range(20)}
    rows = [(task, status) for task, statuses in histories.items() for status in statuses]
    file = tmp_path / f"histories.{form}"
    if form == "csv":
        file.write_text("task_id,status\n" + "".join(f"{task},{status}\n" for task, status in rows))
    else:
        file.write_text("\n".join(json.dumps({"task_id": task, "status": status}) for task, status in rows))

    found = call_json("validate", name, str(file), "--mode", mode)["findings"]

    first_line = 2 if form == "csv" else 1
    expected: list[dict[str, object]] = []
    for task, statuses in histories.items():
        for finding in lifecycle.check(statuses, mode=mode):
            facts = {"code": finding.code, "severity": finding.severity, "possible": list(finding.possible)}
            expected.append({"task": task, "line": first_line + finding.index, **facts})
        first_line += len(statuses)
    assert [{key: each[key] for key in ("task", "line", "code", "severity", "possible")} for each in found] == expected
    is_bad = any(each["severity"] is Severity.FINDING for each in expected)
    assert call("validate", name, str(file), "--mode", mode).exit_code == int(is_bad)


def test_the_words_of_another_channel() -> None:
    typed = "status\ninitializing\nstarted\nfinished\n"

    assert call("validate", "v1-full", "-", "--input-format", "csv", "--channel", "webhook", typed=typed).exit_code == 0
    assert call("validate", "v1-full", "-", "--input-format", "csv", typed=typed).exit_code == 1


def test_rows_are_put_in_the_order_of_their_times_and_keep_their_lines() -> None:
    rows = [
        {"id": "a", "seen": "2026-01-01T00:00:03Z", "to": "stopped"},
        {"id": "a", "seen": "2026-01-01T00:00:01Z", "to": "created"},
        {"id": "a", "seen": "2026-01-01T00:00:04Z", "to": "running"},
    ]
    typed = "\n".join(map(json.dumps, rows))
    columns = ("--status-column", "to", "--task-column", "id", "--at-column", "seen")

    result = call("validate", "v1-full", "-", "--input-format", "jsonl", *columns, typed=typed)

    assert result.exit_code == 1
    assert result.stdout.startswith("-:3: a: finding: 'running' after 'stopped': after_final")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (b"", "-:1: bad row: the file is empty; its first row must name the columns"),
        (b"task_id,state\n1,running\n", "-:1: bad row: there is no 'status', only 'task_id', 'state'"),
        (b"status\nrun\xffning\n", "-:2: bad row: not UTF-8"),
        (b"status,at\nrunning,soon\n", "-:2: bad row: 'soon' is no time"),
        (b"status\n" + b"x" * 200_000, "-:2: bad row: not CSV: field larger than field limit (131072)"),
    ],
)
def test_what_cannot_be_read_has_its_line(typed: bytes, said: str) -> None:
    result = call("validate", "v1", "-", "--input-format", "csv", typed=typed)

    assert result.exit_code == 2
    assert result.stdout.startswith(said)


def test_a_file_that_holds_no_row_is_fine_and_says_so() -> None:
    result = call("validate", "v1", "-", "--input-format", "csv", typed="task_id,status\n")

    assert result.exit_code == 0
    assert result.stdout == "0 tasks, 0 rows: 0 findings, 0 for information, 0 bad rows\n"


def test_foreign_text_is_shown_harmlessly() -> None:
    rows = [{"task_id": "[red]\x1b[31mid\x07" + "x" * 1_000, "status": "[bold]\x1b]0;title\x07" + "y" * 1_000}]

    result = call("validate", "v1", "-", "--input-format", "jsonl", typed=json.dumps(rows[0]))

    assert result.exit_code == 1
    assert "-:1: [red]\\x1b[31mid\\x07xxx" in result.stdout
    assert "'[bold]\\x1b]0;title\\x07yyy" in result.stdout
    assert result.stdout.replace("\n", "").isprintable()
    assert len(result.stdout) < 500


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["v1", "missing.csv"], "No such file or directory: missing.csv"),
        (["v1", "."], "Is a directory: ."),
        (["v1", "/dev/null"], "what /dev/null holds is not known; give --input-format csv or jsonl"),
        (["v1", "-"], "what the standard input holds is not known; give --input-format csv or jsonl"),
        (["v0", "-"], "catalog: unknown lifecycle 'v0'"),
        (["v1", "-", "--input-format", "csv", "--channel", "fax"], "v1: unknown channel 'fax'"),
    ],
)
def test_bad_input_is_said_in_one_line(arguments: list[str], said: str) -> None:
    result = call("validate", *arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"lifecycle: {said}")
    assert result.stderr.count("\n") == 1
