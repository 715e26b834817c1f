"""Type checkers: mypy and pyright find an error on exactly the marked lines."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))

Lines = set[tuple[str, int]]


def marked() -> Lines:
    return {
        (path.name, number)
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if line.endswith("  # error")
    }


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 1, f"there are errors to be found\n{done.stdout}{done.stderr}"
    return done.stdout


def by_mypy(_: Path) -> Lines:
    # A cache of its own: another mypy may run in this directory at the same time.
    cache = str(ROOT / ".mypy_cache" / "typing")
    output = run("mypy", "--output", "json", "--cache-dir", cache, *map(str, FILES), cwd=ROOT)
    found = [json.loads(line) for line in output.splitlines()]
    return {(Path(each["file"]).name, each["line"]) for each in found if each["severity"] == "error"}


def by_pyright(copies: Path) -> Lines:
    # The project's configuration leaves these files out, also where they are named; copies have one of their own.
    (copies / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")
    for path in FILES:
        shutil.copy(path, copies)
    found = json.loads(run("pyright", "--pythonpath", sys.executable, "--outputjson", cwd=copies))["generalDiagnostics"]
    return {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in found}


@pytest.mark.heavy
@pytest.mark.parametrize("errors_by", [by_mypy, by_pyright])
def test_exactly_the_marked_lines_are_errors(errors_by: Callable[[Path], Lines], tmp_path: Path) -> None:
    expected = marked()

    found = errors_by(tmp_path)

    assert len(expected) > 40
    assert found - expected == set(), "errors where none is marked"
    assert expected - found == set(), "mistakes that nobody noticed"
