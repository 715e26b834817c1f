"""The commands about logs as processes: the bar, Ctrl-C, pipes, and what they load."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from lifecycle_adapters.cli.progress import Bar
from tests.adapters.cli.commands import SCRIPT, environment, python, script, scripts, terminal

CLEAR = "\x1b[2K"
SHOW_CURSOR = "\x1b[?25h"


@pytest.fixture
def spill(tmp_path: Path) -> Path:
    made = tmp_path / "spill"
    made.mkdir()
    return made


@pytest.fixture
def endless(tmp_path: Path, spill: Path) -> list[str]:
    """A command that would take weeks."""
    file = tmp_path / "endless.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            """CREATE VIEW log AS SELECT 't' || range AS task_id, 'created' AS status FROM range(1000000000000)"""
        )
    log = [str(file), "--table", "log", "--in-order", "--threads", "1", "--spill", str(spill)]
    return ["report", "v1-full", *log]


def until(spill: Path) -> None:
    """Wait until work has begun."""
    end_s = time.monotonic() + 60
    while not any(spill.iterdir()):
        assert time.monotonic() < end_s
        time.sleep(0.02)


# --- the bar -----------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def drawing(*, on_terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=on_terminal, width=80, color_system=None)


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_bar_comes_after_a_second_and_goes_at_the_end(clock: Clock) -> None:
    to = drawing(on_terminal=True)
    with Bar(to, clock=clock) as bar:
        bar.show("counting", 0.1)
        clock.now_s = 0.9
        bar.show("counting", 0.2)
        assert drawn(to) == ""
        clock.now_s = 1.0
        bar.show("reading [bold]x\x1b[31m", 0.5)
        bar.show("reading [bold]x\x1b[31m", 0.25)

    assert "reading [bold]x\\x1b[31m" in drawn(to)
    assert " 25%" in drawn(to)
    assert drawn(to).rstrip("\n").endswith(CLEAR)


def test_progress_without_work_is_not_shown(clock: Clock) -> None:
    to = drawing(on_terminal=True)
    bar = Bar(to, clock=clock)
    with bar:
        clock.now_s = 5.0
    bar.show("listing", None)
    assert drawn(to) == ""

    with bar:
        bar.show("writing", None)
        assert drawn(to) == "", "a second is counted anew"
        clock.now_s = 6.0
        bar.show("writing", None)
    assert "writing" in drawn(to)


def test_no_bar_in_a_pipe(clock: Clock) -> None:
    to = drawing(on_terminal=False)
    with Bar(to, clock=clock) as bar:
        clock.now_s = 60.0
        bar.show("counting", 0.5)

    assert drawn(to) == ""


# --- Ctrl-C ------------------------------------------------------------------------------------------


@pytest.mark.heavy
def test_long_work_shows_a_bar_on_a_terminal_and_can_be_interrupted(endless: list[str], spill: Path) -> None:
    with terminal(*endless, env={"COLUMNS": "100"}) as screen:
        screen.wait_for("counting")
        screen.wait_for("0%")
        screen.interrupt()
        assert screen.end() == 130

    assert "Traceback" not in screen.shown
    assert screen.shown.count("\x1b[?25l") == screen.shown.count(SHOW_CURSOR) == 1, "the cursor is back"
    assert list(spill.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "more"),
    [
        (signal.SIGINT, []),
        pytest.param(signal.SIGINT, ["--json", "--findings", "found.parquet"], marks=pytest.mark.heavy),
        pytest.param(signal.SIGTERM, [], marks=pytest.mark.heavy),
        pytest.param(signal.SIGHUP, [], marks=pytest.mark.heavy),
    ],
)
def test_an_interrupt_in_a_pipe_is_quiet_and_leaves_nothing(
    number: signal.Signals, more: list[str], endless: list[str], spill: Path, tmp_path: Path
) -> None:
    program = [SCRIPT, *endless, *more]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdout=pipe, stderr=pipe, text=True, env=environment(), cwd=tmp_path) as process:
        until(spill)
        process.send_signal(number)
        printed = process.communicate(timeout=60)

    interrupted = {"task": None, "command": None, "error": "interrupted", "message": "interrupted"}
    expected = f"{json.dumps(interrupted)}\n" if "--json" in more else ""
    assert (process.returncode, *printed) == (128 + number, expected, "")
    assert list(spill.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endless.duckdb", "spill"]


def test_an_interrupt_while_the_standard_input_is_awaited(spill: Path) -> None:
    log = ("v1", "-", "--input-format", "csv", "--spill", str(spill))
    with terminal("check", *log) as screen:
        until(spill)
        screen.interrupt()
        assert screen.end() == 130

    assert "Traceback" not in screen.shown
    assert list(spill.iterdir()) == []


# --- pipes -------------------------------------------------------------------------------------------


@pytest.fixture
def bad(tmp_path: Path) -> str:
    file = tmp_path / "bad.csv"
    file.write_text("task_id,status\n" + "".join(f"task-{number},stopped\n" for number in range(5_000)))
    return str(file)


@pytest.mark.heavy
def test_closed_pipe_ends_the_check_quietly(bad: str, spill: Path) -> None:
    log = f"v1-full {bad} --in-order --spill {spill}"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = scripts(f"check {log} --show 5000", f"check {log} --json", f"report {log}", stdout=pipe)

    assert {command: (each.returncode, each.stderr) for command, each in done.items()} == dict.fromkeys(done, (141, ""))
    assert list(spill.iterdir()) == []


@pytest.mark.heavy
def test_colours_are_for_terminals(bad: str) -> None:
    with terminal("check", "v1-full", bad, "--in-order", "--show", "1") as coloured:
        assert coloured.end() == 1

    assert "\x1b[1;31merror\x1b[0m" in coloured.shown
    assert "\x1b" not in script("check", "v1-full", bad, "--in-order", "--show", "1").stdout


# --- what is loaded ----------------------------------------------------------------------------------


def test_the_command_line_starts_without_what_only_logs_need() -> None:
    done = python("""
import sys
from lifecycle_adapters.cli.app import app
loaded = [name for name in sys.modules if name.partition(".")[0] in ("duckdb", "numpy", "pyspark", "psycopg")]
assert not loaded, loaded
assert not any(name.startswith("lifecycle_adapters.logs") for name in sys.modules)
""")

    assert done.returncode == 0, done.stderr
