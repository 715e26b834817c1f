"""The terminal and the page show every section of a report, and know no section by name."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest

from lifecycle import V1_FULL
from lifecycle_adapters.logs import Files, LogReport, check_logs
from lifecycle_adapters.logs.page import page
from lifecycle_adapters.logs.sections import Cell, CellKind, sections_of
from tests.adapters.cli.commands import call
from tests.adapters.logs.reports import DIRTY


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogReport:
    """The report of the file log.csv, in the folder in which the test is."""
    monkeypatch.chdir(tmp_path)
    rows = "a,1,created\na,2,running\na,4.5,created\nb,7,paused\na,9,hibernating\n,1,created\n"
    (tmp_path / "log.csv").write_text("task_id,at,status\n" + rows)
    with check_logs(V1_FULL, Files("log.csv")) as checked:
        return checked.report


def test_every_row_has_a_cell_for_each_column() -> None:
    for section in sections_of(DIRTY, V1_FULL):
        assert section.rows, section.title
        assert {len(row) for row in section.rows} == {len(section.texts) + len(section.numbers)}


def test_every_kind_of_finding_has_a_meaning() -> None:
    rows = sections_of(DIRTY, V1_FULL).findings.rows
    assert [cell.texts for cell, *_ in rows] == [(str(code),) for code in DIRTY.findings]
    assert all(cell.note for cell, *_ in rows)


def test_illegal_counts_and_the_start_are_marked() -> None:
    ways = sections_of(DIRTY, V1_FULL).transitions.rows
    assert ways[0][0] == Cell(("the start",), CellKind.ABSENT)
    assert {row[4].kind for row in ways} == {CellKind.PLAIN, CellKind.BAD}
    assert all((row[4].kind is CellKind.BAD) == (row[4].texts != ("0",)) for row in ways)


def test_states_between_that_were_not_recorded_are_several_transitions(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("task_id,at,status\na,1,created\na,2,finished\nb,3,created\nb,4,stopped\nb,5,running\n")
    with check_logs(V1_FULL, Files(log), mode="sampled") as checked:
        rows = sections_of(checked.report, V1_FULL).transitions.rows
    shown = {(row[0].texts[0], row[1].texts[0]): (row[2].texts[0], row[4].texts[0]) for row in rows if row[2].texts}
    assert shown["created", "finished"] == ("several transitions", "0")
    assert shown["stopped", "running"] == ("no transition", "1")


def test_the_terminal_and_the_page_show_every_cell(report: LogReport) -> None:
    printed = call("report", "v1-full", "log.csv").stdout
    written = unescape(page(report, V1_FULL)).replace("\xa0", " ")

    for section in sections_of(report, V1_FULL):
        assert (section.lead in printed) == bool(section.rows)
        assert (section.caption in written) == bool(section.rows)
        for cell in (cell for row in section.rows for cell in row):
            assert all(text in printed and text in written for text in cell.texts), cell
