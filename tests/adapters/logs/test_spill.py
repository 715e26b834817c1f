"""The directories that a DuckDB session spills into, and their removal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from lifecycle_adapters.logs.spill import spill_directory

LEAVE = """
import os, sys
from lifecycle_adapters.logs.spill import spill_directory

with spill_directory(sys.argv[1]) as directory:
    open(os.path.join(directory, "spilled"), "w").close()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_files_of_a_killed_process_are_removed_by_the_next_one(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path)], check=False)
    assert [path.name for path in tmp_path.glob("*/spilled")] == ["spilled"]

    with spill_directory(tmp_path) as directory:
        assert [str(path) for path in tmp_path.iterdir()] == [directory]

    assert list(tmp_path.iterdir()) == []


def interrupting(number: int) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that raises KeyboardInterrupt at one of the lines that are run, in whatever module."""
    lines = count(1)

    def trace(_: FrameType, event: str, __: Any) -> Any:
        if event == "line" and next(lines) == number:
            raise KeyboardInterrupt
        return trace

    return trace


def test_an_interrupt_at_any_line_leaves_nothing(tmp_path: Path) -> None:
    before = sys.gettrace()
    number, was_interrupted = 0, True
    while was_interrupted:
        number += 1
        sys.settrace(interrupting(number))
        try:
            with spill_directory(tmp_path) as directory:
                sys.settrace(before)
                assert Path(directory).is_dir()
                was_interrupted = False
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert list(tmp_path.iterdir()) == [], f"interrupted at line {number} of those that are run"
    assert number > 50


def test_spill_directory_in_use_is_kept(tmp_path: Path) -> None:
    with spill_directory(tmp_path) as first, spill_directory(tmp_path) as second:
        assert {str(path) for path in tmp_path.iterdir()} == {first, second}


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / "lifecycle-logs-of-mine").mkdir()
    (tmp_path / "lifecycle-logs.txt").write_text("")

    with spill_directory(tmp_path):
        pass

    assert {path.name for path in tmp_path.iterdir()} == {"lifecycle-logs-of-mine", "lifecycle-logs.txt"}
