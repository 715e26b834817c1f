"""`report` prints what `LogReport` holds: tables for people, JSON for programs, a page for a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lifecycle_adapters.logs.units import share
from tests.adapters.cli.commands import call, call_json

LOG = """task_id,at,status
a,2026-01-01T00:00:00Z,created
a,2026-01-01T00:00:10Z,running
a,2026-01-01T00:03:30Z,finished
b,2026-01-01T00:00:00Z,created
b,2026-01-01T00:00:01.5Z,created
b,2026-01-02T04:00:00Z,running
b,2026-01-02T04:00:00Z,paused
c,2026-01-01T00:00:00Z,stopped
c,2026-01-01T00:00:05Z,running
c,2026-01-01T00:00:06Z,hibernating
,2026-01-01T00:00:06Z,created
d,soon,created
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(LOG)
    return tmp_path


def sections(printed: str) -> dict[str, list[list[str]]]:
    """The cells of each table that was printed, by the title of its first column."""
    found: dict[str, list[list[str]]] = {}
    for block in printed.strip().split("\n\n")[2:]:
        title, _, *rows = block.splitlines()
        found[re.split(r"  +", title)[0].strip()] = [re.split(r"   +", row.strip()) for row in rows]
    return found


# --- for people --------------------------------------------------------------------------------------


def test_report_has_a_table_for_every_part() -> None:
    result = call("report", "v1-full", "log.csv")

    assert result.exit_code == 1
    assert result.stderr == "2 rows could not be read; the list is kept in lifecycle-rejects.csv\n"
    title, facts, *_ = result.stdout.split("\n\n")
    assert re.fullmatch(
        r"v1-full  exact: every change was recorded; channel api; DuckDB [\d.]+", title
    ), title  # fmt: skip
    assert dict(re.split(r"  +", line.strip(), maxsplit=1) for line in facts.splitlines()) == {
        "tasks": "3",
        "rows": "12 in 1 file",
        "times": "2026-01-01 00:00:00 to 2026-01-02 04:00:00, UTC",
        "read as": "iso (10 rows)",
        "coverage": "3 of 10 declared transitions were seen",
        "errors": "3 in 1 task",
        "notes": "1",
        "unreadable": "2 rows",
        "ties": "1 row has the time of the row before it; only their place in the log orders them",
    }
    assert sections(result.stdout) == {
        "finding": [
            ["unknown_status", "error", "1", share(1, 12)],
            ["wrong_start", "error", "1", share(1, 12)],
            ["duplicate", "note", "1", share(1, 12)],
            ["after_final", "error", "1", share(1, 12)],
        ],
        "from": [
            ["the start", "created", "2", "0", "0 %"],
            ["running", "paused", "pause", "1", "0", "0 %"],
            ["created", "running", "start", "2", "0", "0 %"],
            ["running", "finished", "finish", "1", "0", "0 %"],
            ["the start", "stopped", "1", "1", "100 %"],
            ["stopped", "running", "no transition", "1", "1", "100 %"],
        ],
        "time in": [
            ["running", "2", "1 min 40 s", "0 s", "3 min 20 s", "3 min 20 s", "3 min 20 s"],
            ["stopped", "1", "5 s", "5 s", "5 s", "5 s", "5 s"],
            ["created", "2", "14 h", "10 s", "1 d 4 h", "1 d 4 h", "1 d 4 h"],
        ],
        "last seen in": [
            ["running", "not over", "1", share(1, 3)],
            ["paused", "not over", "1", share(1, 3)],
            ["finished", "final", "1", share(1, 3)],
        ],
        "never seen from": [
            ["paused", "running", "resume"],
            ["running", "stopped", "stop"],
            ["paused", "stopped", "stop"],
            ["created", "stopped", "stop"],
            ["created", "failed", "fail"],
            ["running", "failed", "fail"],
            ["paused", "failed", "fail"],
        ],
        "tasks with the most errors": [["c", "3"]],
        "unknown status": [["hibernating", "1"]],
        "unreadable because": [["no task id", "1"], ["bad time", "1"]],
    }


def test_a_clean_log_has_no_empty_table(folder: Path) -> None:
    (folder / "clean.csv").write_text("status\nrunning\nstopped\n")

    result = call("report", "v1", "clean.csv", "--one-task", "--in-order")

    assert result.exit_code == 0
    assert sections(result.stdout).keys() == {"from", "last seen in", "never seen from"}
    assert re.search(r"^errors +0", result.stdout, re.MULTILINE)
    for absent in ("times", "read as", "ties", "unreadable"):
        assert absent not in result.stdout


def test_gaps_are_notes_if_tasks_were_polled() -> None:
    result = call("report", "v1-full", "log.csv", "--mode", "sampled")

    assert result.stdout.startswith("v1-full  sampled: tasks were polled")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_lost(columns: int, folder: Path) -> None:
    rows = "".join(f"{'x' * 36},2026-01-01,{status}\n" for status in ("created", "hibernating" * 20, "stopped"))
    (folder / "log.csv").write_text("task_id,at,status\n" + rows * 1_000)

    printed = call("report", "v1-full", "log.csv", env={"COLUMNS": str(columns)}).stdout

    assert max(map(len, printed.splitlines())) <= columns
    assert "…" not in printed
    assert "3,000 in 1 file" in printed


def test_on_a_narrow_terminal_time_spans_are_broken_between_their_units() -> None:
    printed = call("report", "v1-full", "log.csv", env={"COLUMNS": "80"}).stdout

    assert re.search(r"^running +2 +1 min +0 s +3 min +3 min +3 min\n +40 s +20 s +20 s +20 s$", printed, re.MULTILINE)


def test_foreign_text_is_shown_without_terminal_controls(folder: Path) -> None:
    row = {"task_id": "[red]\x1b[31mid\x07" + "x" * 1_000, "status": "[bold]\x1b]0;t\x07" + "y" * 1_000, "at": 1}
    (folder / "log.jsonl").write_text(json.dumps(row))

    printed = call("report", "v1", "log.jsonl").stdout

    assert "[red]\\x1b[31mid\\x07xxx" in printed
    assert "[bold]\\x1b]0;t\\x07yyy" in printed
    assert printed.replace("\n", "").isprintable()
    assert len(printed) < 5_000


def test_a_file_that_broke_off_is_reported_and_is_unusable(folder: Path) -> None:
    (folder / "logs").mkdir()
    (folder / "logs" / "1.csv").write_text(LOG)
    (folder / "logs" / "2.parquet").write_bytes(b"PAR1 and no more")

    result = call("report", "v1-full", "logs")

    assert result.exit_code == 2
    assert "not read to its end" in result.stdout
    assert "logs/2.parquet" in result.stdout


# --- for programs and browsers -----------------------------------------------------------------------


def test_json_output_has_the_facts() -> None:
    document = call_json("report", "v1-full", "log.csv")

    assert (document["tasks"], document["rows"], document["bad_rows"]) == (3, 12, 3)
    assert document["unreadable"] == {"no task id": 1, "bad time": 1}
    assert document["observed_transitions"][1]["events"] == ["pause"]
    assert document["worst"] == [{"task": "c", "bad_rows": 3}]
    assert document["first_at"] == "2026-01-01T00:00:00Z"


def test_report_also_writes_an_html_page(folder: Path) -> None:
    result = call("report", "v1-full", "log.csv", "--html", "report.html", "--findings", "found.csv")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "wrote the page to report.html"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "hibernating" in page
    assert (folder / "found.csv").read_text().count("\n") == 4


def test_unwritable_page_is_refused_before_any_work() -> None:
    result = call("report", "v1-full", "log.csv", "--html", "no/report.html")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("lifecycle: no/report.html cannot be written: there is no folder")
