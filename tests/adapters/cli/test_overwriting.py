"""No command writes over a file that it reads."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.main import get_command

from lifecycle import V1
from lifecycle_adapters.cli.app import app
from tests.adapters.cli.commands import call, script
from tests.support.packages import ROOT

SERVICE = ROOT / "examples" / "services" / "print-job.yaml"
ORDERED = ("--in-order",)
LOG = "task_id,status\nt,waiting\nt,shredded\n,\n"

# Every option and argument of a path. The first ones are in the table below; `import` and `diagrams` replace no file of
# others at all, and the last one is a folder.
PATHS = {"show.output", "check.findings", "check.rejects", "report.findings", "report.rejects", "report.html"} | {
    "import.output",
    "diagrams.directory",
    "check.spill",
    "report.spill",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: declarations, links to them, and logs."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(SERVICE, "own.yaml")
    Path("own.csv").write_text(V1.to_json())
    Path("link.yaml").symlink_to("own.yaml")
    Path("twin.csv").hardlink_to("own.csv")
    for name in ("log.csv", "lifecycle-rejects.csv"):
        Path(name).write_text(LOG)
    with duckdb.connect("log.duckdb") as connection:
        connection.execute("CREATE TABLE log AS FROM 'log.csv'")
    return tmp_path


@contextmanager
def nothing_written(folder: Path) -> Generator[None]:
    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    before = contents()
    yield
    assert contents() == before


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("show own.yaml --format yaml --output", "own.yaml"),
        ("show own.yaml --format yaml --output", "link.yaml"),
        ("show link.yaml --format yaml --output", "own.yaml"),
        ("check ./own.csv log.csv --findings", "own.csv"),
        ("check ./own.csv log.csv --findings", "twin.csv"),
        ("check ./own.csv log.csv --rejects", "own.csv"),
        ("check own.yaml log.csv --rejects other.csv --findings", "log.csv"),
        ("report ./own.csv log.csv --findings", "twin.csv"),
        ("report own.yaml log.csv --rejects", "log.csv"),
        ("report own.yaml log.csv --html", "link.yaml"),
        ("report own.yaml log.csv --html", "log.csv"),
        ("report own.yaml log.duckdb --table log --html", "log.duckdb"),
        ("report own.yaml log.duckdb --table log --html", "log.duckdb.wal"),
    ],
)
def test_no_option_names_a_file_that_the_command_reads(arguments: str, written: str, folder: Path) -> None:
    with nothing_written(folder):
        result = call(*arguments.split(), written, *(() if arguments.startswith("show") else ORDERED))

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"lifecycle: {written} is read by this command, and would be overwritten\n"


def test_the_default_file_of_rejects_is_not_written_over_as_a_log(folder: Path) -> None:
    with nothing_written(folder):
        result = call("check", "own.yaml", "lifecycle-rejects.csv", *ORDERED)

    assert result.exit_code == 2
    assert "lifecycle-rejects.csv is read by this command" in result.stderr
    assert call("check", "own.yaml", "lifecycle-rejects.csv", *ORDERED, "--rejects", "r.csv").exit_code == 1


def test_the_file_of_the_standard_input_is_not_written_over(folder: Path) -> None:
    arguments = ("check", "own.yaml", "-", "--input-format", "csv", *ORDERED, "--findings", "log.csv")
    with nothing_written(folder), Path("log.csv").open() as log:
        result = script(*arguments, stdin=log)

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "lifecycle: log.csv is read by this command, and would be overwritten\n"


def test_a_name_of_the_catalog_is_not_that_of_a_file() -> None:
    Path("v1").write_text("notes\n")
    assert call("show", "v1", "--format", "dot", "--output", "v1").exit_code == 0
    assert Path("v1").read_text().startswith("digraph")


def test_every_option_that_writes_a_file_is_considered() -> None:
    def paths(group: Any) -> Iterator[str]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from (f"{name} {each}" for each in paths(command))
            else:
                yield from (f"{name}.{each.name}" for each in command.params if each.type_descriptor.annotation is Path)

    assert set(paths(get_command(app))) == PATHS
