"""Where the workbench spills, and what becomes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
def test_what_a_killed_process_leaves_the_next_one_removes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path)], check=False)
    assert [path.name for path in tmp_path.glob("*/spilled")] == ["spilled"]

    with spill_directory(tmp_path) as directory:
        assert [str(path) for path in tmp_path.iterdir()] == [directory]

    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    with spill_directory(tmp_path) as first, spill_directory(tmp_path) as second:
        assert {str(path) for path in tmp_path.iterdir()} == {first, second}


def test_what_others_made_stays(tmp_path: Path) -> None:
    (tmp_path / "lifecycle-logs-of-mine").mkdir()
    (tmp_path / "lifecycle-logs.txt").write_text("")

    with spill_directory(tmp_path):
        pass

    assert {path.name for path in tmp_path.iterdir()} == {"lifecycle-logs-of-mine", "lifecycle-logs.txt"}
