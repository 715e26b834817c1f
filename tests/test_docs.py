"""The README's examples are run: Python blocks as programs, console blocks as commands, output compared.

A Python block prints exactly the `text` block that follows it, if one does. In a console block each
line that begins with `$ ` is a command and the lines after it are its output. `...` in an output
stands for anything.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *DOCS)
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Example:
    line: int
    language: str
    text: str
    output: str | None


def examples(document: str) -> list[Example]:
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    following = {block.start(): after for block, after in pairwise(blocks)}
    found: list[Example] = []
    for block in blocks:
        after = following.get(block.start())
        between = "" if after is None else text[block.end() : after.start()]
        has_output = after is not None and after["language"] == "text" and not between.strip()
        line = text.count("\n", 0, block.start()) + 1
        output = after["text"] if after is not None and has_output else None
        found.append(Example(line, block["language"], block["text"], output))
    return found


PYTHON = [each for each in examples("README.md") if each.language == "python"]
CONSOLE = [each for each in examples("README.md") if each.language == "console"]


def matches(expected: str, actual: str) -> bool:
    """Whether the texts are equal line by line, white space at line ends aside and `...` for anything."""
    pattern = "\n".join(line.rstrip() for line in expected.strip().splitlines())
    pattern = re.escape(pattern).replace(re.escape("..."), ".*")
    lines = "\n".join(line.rstrip() for line in actual.strip().splitlines())
    return re.fullmatch(pattern, lines, re.DOTALL) is not None


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("example", PYTHON, ids=lambda each: f"README.md:{each.line}")
def test_a_python_example_runs_and_prints_what_the_readme_says(example: Example, tmp_path: Path) -> None:
    done = run([sys.executable, "-W", "error", "-c", example.text], tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if example.output is not None:
        assert matches(example.output, done.stdout), done.stdout


@pytest.mark.parametrize("example", CONSOLE, ids=lambda each: f"README.md:{each.line}")
def test_a_console_example_prints_what_the_readme_says(example: Example, tmp_path: Path) -> None:
    path = f"PATH={sysconfig.get_path('scripts')}:$PATH"
    for command in re.split(r"^\$ ", example.text, flags=re.MULTILINE)[1:]:
        line, _, expected = command.partition("\n")
        done = run(["sh", "-c", f"{path}; {line}"], tmp_path)

        assert matches(expected, done.stdout + done.stderr), done.stdout + done.stderr


def test_every_kind_of_example_is_there() -> None:
    assert len(PYTHON) >= 8
    assert len(CONSOLE) >= 2


def test_the_first_example_fits_the_first_screen() -> None:
    first = PYTHON[0]

    assert first.line < 20
    assert len(first.text.splitlines()) <= 15


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_leads_to_one(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    named = re.findall(r'src(?:set)?="(?!https?:)([^"]+)"', path.read_text())

    assert [link for link in (*links, *named) if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document: str) -> None:
    named = re.findall(r"`((?:lifecycle|adapters|tests|diagrams|benchmarks)/[\w./]*)`", (ROOT / document).read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []
