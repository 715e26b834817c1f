"""The command line as a process: entry points, pipes, terminals, interrupts, completion, missing extras."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from lifecycle import CATALOG, V1_FULL
from lifecycle.catalog import V2
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client
from tests.adapters.cli.commands import KEY, SCRIPT, call, environment, forks, python, script, scripts, terminal
from tests.support.packages import ROOT

COMMANDS: dict[tuple[str, ...], str] = {
    (): "list show judge diff drift import diagrams check report create status send wait watch tasks history recover"
    " journal serve demo",
    ("journal",): "check export add-server forget prune",
}


# --- entry points and help ---------------------------------------------------------------------


@pytest.mark.heavy
def test_the_script_and_the_module_are_the_same_command() -> None:
    module = subprocess.run(
        [sys.executable, "-m", "lifecycle_adapters.cli", "judge", "v1", "stopped", "resume"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    installed = script("judge", "v1", "stopped", "resume")

    assert (installed.returncode, installed.stderr) == (module.returncode, module.stderr) == (1, "")
    assert installed.stdout == module.stdout
    assert script("--version").stdout == f"task-lifecycle {metadata.version('task-lifecycle')}\n"


@pytest.mark.parametrize("module", ["lifecycle", "typer"])
def test_ctrl_c_while_python_imports_the_command_ends_it_quietly(module: str) -> None:
    interrupt = f"""
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["lifecycle", "list"]
"""
    for start in (
        f"runpy.run_path({SCRIPT!r}, run_name='__main__')",
        "runpy.run_module('lifecycle_adapters.cli', run_name='__main__')",
    ):
        run = python(interrupt + start)
        assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


@pytest.mark.parametrize("group", COMMANDS, ids=str)
def test_help_lists_every_command_and_explains_every_option(group: tuple[str, ...]) -> None:
    listed = re.findall(r"^│ ([\w-]+) +\w", call(*group, "--help").stdout, re.MULTILINE)

    assert listed == COMMANDS[group].split()
    for command in listed:
        text = call(*group, command, "--help", env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).stdout
        options = re.findall(r"^│[* ]+(--\w.*)│$", text, re.MULTILINE)
        assert options
        assert all(re.search(r"  \w.*\.", option) for option in options), options


def test_unknown_command_or_missing_argument_exits_with_2() -> None:
    assert call("shw").exit_code == 2
    assert "Did you mean 'show'" in call("shw").stderr
    assert call("judge", "v1", "running").exit_code == 2


# --- pipes -------------------------------------------------------------------------------------


# Typer asks which shell started the tests otherwise, and ignores the one that is named.
_NAMED_SHELL = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


@pytest.mark.heavy
def test_closed_pipe_ends_the_command_quietly() -> None:
    commands = ["show v3-full", "show v3-full --json", "list", "demo", "--help", "show --help", "journal", "--version"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = scripts(*commands, stdout=pipe)

    assert {command: (each.returncode, each.stderr) for command, each in done.items()} == dict.fromkeys(done, (141, ""))


@pytest.mark.heavy
def test_full_disk_is_reported_in_one_line() -> None:
    commands = ["show v1 --json", "show v1", "--help", "show --help", "--version", "journal", "--show-completion bash"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = scripts(*commands, env=_NAMED_SHELL, stdout=full)

    reported = (2, "lifecycle: No space left on device\n")
    assert {command: (each.returncode, each.stderr) for command, each in done.items()} == dict.fromkeys(done, reported)


@pytest.mark.parametrize("unbuffered", ["1", ""])
@pytest.mark.parametrize(
    "command",
    [
        "list --json",
        *(pytest.param(each, marks=pytest.mark.heavy) for each in ("show v1", "show v1 --format svg", "--help")),
    ],
)
def test_output_that_does_not_fit_is_reported_also_if_a_part_was_written(
    command: str, unbuffered: str, tmp_path: Path
) -> None:
    limited = f'ulimit -f 1; exec "$0" {command} >> output'  # of 512 or 1,024 bytes: a file may not grow beyond
    done = subprocess.run(
        ["sh", "-c", limited, SCRIPT], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        env=environment({"PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"}),  # it would be cut, too
    )  # fmt: skip

    assert (tmp_path / "output").stat().st_size in {512, 1024}
    assert (done.returncode, done.stderr) == (2, "lifecycle: File too large\n")


@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_reader_that_leaves_in_the_middle_ends_the_command_quietly(unbuffered: str) -> None:
    long = ["show", "v4", "--format", "png"]
    with subprocess.Popen(
        [SCRIPT, *long], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment({"PYTHONUNBUFFERED": unbuffered}),
    ) as run:  # fmt: skip
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.read(1)
        run.stdout.close()
        said = run.stderr.read()

    assert (run.returncode, said) == (141, b"")


def created_at(emulator: Emulator, **streams: Any) -> subprocess.CompletedProcess[str]:
    arguments = ("create", "--api", "v1", "x", "--base-url", emulator.base_url)
    return script(*arguments, env={"BROWSER_USE_API_KEY": "k"}, **streams)


@pytest.mark.heavy
def test_new_id_is_in_the_error_if_it_cannot_be_printed() -> None:
    with Emulator("v1") as emulator, open("/dev/full", "w") as full:  # noqa: PTH123
        done = created_at(emulator, stdout=full, stderr=subprocess.PIPE)
        [task] = emulator.tasks()

    assert done.returncode == 2
    assert f"the task {task.id!r} was created; its id could not be printed" in done.stderr


@pytest.mark.heavy
def test_outcome_of_a_command_is_in_the_error_if_it_cannot_be_printed(emulator: Emulator) -> None:
    with Client("v1", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = script(
            *("send", task, "stop", "--api", "v1", "--base-url", emulator.base_url, "--json"),
            env={"BROWSER_USE_API_KEY": KEY}, stdout=full, stderr=subprocess.PIPE,
        )  # fmt: skip

    assert done.returncode == 2
    assert "'stop' took effect; its result could not be printed: No space left on device" in done.stderr


def test_create_without_a_standard_output_makes_no_task() -> None:
    closing = 'exec "$0" create --api v1 x --base-url "$1" >&-'
    with Emulator("v1") as emulator:
        done = subprocess.run(
            ["sh", "-c", closing, SCRIPT, emulator.base_url],
            stderr=subprocess.PIPE, text=True, check=False, timeout=60, env=environment({"BROWSER_USE_API_KEY": "k"}),
        )  # fmt: skip

        assert emulator.tasks() == []
    refused = "lifecycle: the standard output is closed; to discard it, redirect it to /dev/null\n"
    assert (done.returncode, done.stderr) == (2, refused)


@pytest.mark.heavy
def test_without_a_standard_error_the_exit_codes_are_the_same() -> None:
    done = [
        subprocess.run(["sh", "-c", f'exec "$0" {command} 2>&-', SCRIPT], capture_output=True, check=False, timeout=60)
        for command in ("judge v1 running pause", "judge v1 stopped resume", "shw", "show nothing")
    ]

    assert [each.returncode for each in done] == [0, 1, 2, 2]


@pytest.mark.heavy
@pytest.mark.parametrize("is_full", [True, False], ids=["full", "unread"])
def test_new_id_is_printed_although_standard_error_is_closed(*, is_full: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with Emulator("v1") as emulator, os.fdopen(writer, "w") as unread, open("/dev/full", "w") as full:  # noqa: PTH123
        done = created_at(emulator, stdout=subprocess.PIPE, stderr=full if is_full else unread)
        [task] = emulator.tasks()

    assert (done.returncode, done.stdout) == (0, f"{task.id}\n")


@pytest.mark.heavy
def test_usage_error_that_cannot_be_written_still_exits_with_2() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = scripts("shw", "check v1", "check v1 x y", stderr=full)

    assert {command: (each.returncode, each.stdout) for command, each in done.items()} == dict.fromkeys(done, (2, ""))


def test_ascii_output_escapes_arrows() -> None:
    done = script("show", "v1", env={"PYTHONIOENCODING": "ascii"})

    assert done.returncode == 0
    assert "stop \\u2192 stopped" in done.stdout


@pytest.mark.heavy
@pytest.mark.parametrize("columns", ["0", "-1", "", "x", "00", "99999999999999999999", "4000000"])
@pytest.mark.parametrize("arguments", ["show v1", "show --help", "list", "--help"])
def test_invalid_terminal_width_is_ignored(arguments: str, columns: str) -> None:
    done = script(*arguments.split(), env={"COLUMNS": columns, "TERMINAL_WIDTH": columns})

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == script(*arguments.split()).stdout


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full"])
def test_device_is_refused_as_a_declaration(device: str) -> None:
    for command in (f"show {device}", f"judge {device} running stop", f"check {device} log.csv"):
        done = call(*command.split())
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(f"lifecycle: {device} is a device")


# --- terminals ---------------------------------------------------------------------------------


@pytest.mark.heavy
def test_colours_are_for_terminals_that_want_them() -> None:
    with terminal("judge", "v1", "running", "stop") as coloured:
        assert coloured.end() == 0
    with terminal("judge", "v1", "running", "stop", env={"NO_COLOR": "1"}) as plain:
        assert plain.end() == 0

    assert "\x1b[1;32mlegal\x1b[0m" in coloured.shown
    assert "\x1b[1;32m" not in plain.shown
    assert "\x1b" not in script("judge", "v1", "running", "stop").stdout


def test_wait_updates_its_line_on_a_terminal(emulator: Emulator) -> None:
    with Client("v2", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id
    server = {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url, "COLUMNS": "120"}

    with terminal("wait", "--api", "v2", task, "--poll", "0.05", env=server) as screen:
        screen.wait_for("created 0 s")
        screen.wait_for("created 1 s")  # it is drawn anew between polls
        emulator.fire(task, "start")
        screen.wait_for("→ started")
        emulator.fire(task, "finish")
        assert screen.end() == 0

    assert "finished\r\n" in screen.shown
    assert "(poll " not in screen.shown
    assert screen.shown.count("\x1b[?25l") == screen.shown.count("\x1b[?25h") == 1, "the cursor is back"


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.heavy),
        pytest.param(signal.SIGHUP, marks=pytest.mark.heavy),
    ],
)
def test_a_wait_can_be_interrupted(number: signal.Signals, emulator: Emulator) -> None:
    with Client("v2", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id
    server = {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url}

    with terminal("wait", "--api", "v2", task, env=server) as screen:
        screen.wait_for("created")
        screen.process.send_signal(number)
        assert screen.end() == 128 + number

    assert screen.shown.endswith("interrupted; the task continues\r\n")
    assert "Traceback" not in screen.shown
    assert screen.shown.rindex("\x1b[?25h") > screen.shown.rindex("\x1b[?25l")


INTERRUPTED = """
from rich.console import Console


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


Console.push_render_hook = interrupted  # called by a live display that starts, after it has hidden the cursor
"""


def test_wait_that_is_interrupted_just_after_the_cursor_is_hidden_shows_it(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    with Client("v2", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id
    server = {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url}
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))

    with terminal("wait", "--api", "v2", task, env=server | {"PYTHONPATH": path}) as screen:
        assert screen.end() == 130

    assert screen.shown.rindex("\x1b[?25h") > screen.shown.rindex("\x1b[?25l")


@pytest.mark.parametrize(
    ("number", "is_recorded", "as_json"),
    [
        (signal.SIGTERM, True, True),
        pytest.param(signal.SIGHUP, True, False, marks=pytest.mark.heavy),
        pytest.param(signal.SIGINT, True, False, marks=pytest.mark.heavy),
        pytest.param(signal.SIGINT, False, False, marks=pytest.mark.heavy),
    ],
)
@pytest.mark.parametrize(
    ("command", "said", "with_a_journal", "without"),
    [
        (
            "send",
            "it is not known whether the command took effect",
            "; `lifecycle recover` settles the command",
            "; `lifecycle status` reads the state",
        ),
        pytest.param(
            "create",
            "it is not known whether a task was created",
            "; run `lifecycle recover` to settle that",
            "",
        ),
    ],
)
def test_interrupted_request_prints_one_line_about_what_it_leaves_and_releases_it(
    command: str,
    said: str,
    with_a_journal: str,
    without: str,
    number: signal.Signals,
    *,
    is_recorded: bool,
    as_json: bool,
    emulator: Emulator,
    tmp_path: Path,
) -> None:
    with Client("v1", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id
    emulator.fire(task, "start")
    method, arguments = ("PUT", [task, "pause"]) if command == "send" else ("POST", ["Buy bread"])
    emulator.fault("delay_after", method=method, seconds=60)
    before = len(emulator.calls())
    record = tmp_path / "journal.db"
    journal = {"LIFECYCLE_JOURNAL": str(record)} if is_recorded else {}
    server = {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url, **journal}

    with subprocess.Popen(
        [SCRIPT, command, *arguments, "--api", "v1", *(["--json"] if as_json else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(server),
    ) as run:
        try:
            while not any(each.method == method for each in emulator.calls()[before:]):
                assert run.poll() is None
                time.sleep(0.02)
            run.send_signal(number)
            output, errors = run.communicate(timeout=60)
        finally:
            run.kill()

    message = f"interrupted; {said}{with_a_journal if is_recorded else without}"
    assert (run.returncode, errors) == (128 + number, f"lifecycle: {message}\n")
    if as_json:
        tried = {"task": task, "command": "pause"} if command == "send" else {"task": None, "command": None}
        assert json.loads(output) == {**tried, "error": "interrupted", "message": message}
    else:
        assert output == ""
    if is_recorded:
        with closing(sqlite3.connect(record)) as connection:
            table = "lifecycle_creates" if command == "create" else "lifecycle_commands"
            query = f"SELECT is_open, claimed_at FROM {table}"
            assert connection.execute(query).fetchall() == [(1, None)]


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_demo_that_is_ended_leaves_no_process_and_no_file(number: signal.Signals, tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    environ = environment({"TMPDIR": str(tmp_path)})
    with subprocess.Popen([SCRIPT, "demo"], stdout=pipe, stderr=pipe, text=True, env=environ) as run:
        try:
            while not [*tmp_path.glob("*/journal.db")]:  # a second process is about to record in it
                assert run.poll() is None
                time.sleep(0.005)
            run.send_signal(number)
            _, errors = run.communicate(timeout=60)  # the second process has the same pipes
        finally:
            run.kill()

    assert (run.returncode, errors) == (128 + number, "")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.heavy
def test_signal_that_is_ignored_stays_ignored(emulator: Emulator) -> None:
    with Client("v2", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id
    server = environment({"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url})
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$0" "$@"', SCRIPT]
    waiting = [*ignoring, "wait", task, "--poll", "0.05", "--api", "v2"]
    watching = [*ignoring, "watch", task, "--api", "v2"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(waiting, stdout=pipe, stderr=pipe, text=True, env=server) as waits,
        subprocess.Popen(watching, stdout=pipe, text=True, stderr=pipe, env=server) as watches,
    ):
        try:
            assert waits.stderr is not None
            assert watches.stdout is not None
            assert "created" in waits.stderr.readline()
            assert "created" in watches.stdout.readline()
            for each in (waits, watches):
                each.send_signal(signal.SIGHUP)
            emulator.fire(task, "start")
            emulator.fire(task, "finish")
            assert (waits.communicate(timeout=60)[0].split()[0], waits.returncode) == ("finished", 0)
            assert ("finished" in watches.communicate(timeout=60)[0], watches.returncode) == (True, 0)
        finally:
            waits.kill()
            watches.kill()


def test_prompt_for_a_key_does_not_show_it(emulator: Emulator) -> None:
    with Client("v1", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id

    with terminal("status", "--api", "v1", task, "--base-url", emulator.base_url) as screen:
        screen.wait_for("API key (BROWSER_USE_API_KEY is not set): ")
        screen.type(f"{KEY}\n")
        assert screen.end() == 0

    assert "created" in screen.shown
    assert KEY not in screen.shown


@pytest.mark.heavy
def test_a_key_that_is_typed_as_soon_as_its_prompt_appears_is_hidden_and_taken(emulator: Emulator) -> None:
    with Client("v1", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id

    with terminal("status", "--api", "v1", task, "--base-url", emulator.base_url) as screen:
        screen.wait_for("API key")
        screen.type(f"{KEY}\n")
        assert screen.end() == 0

    assert "created" in screen.shown
    assert KEY not in screen.shown


@pytest.mark.heavy
def test_terminal_echoes_again_after_the_prompt_for_a_key_has_ended(emulator: Emulator) -> None:
    with terminal("status", "--api", "v1", "x", "--base-url", emulator.base_url) as screen:
        screen.wait_for("API key")
        assert not screen.echoes()
        screen.process.terminate()
        assert screen.end() == 128 + signal.SIGTERM
        assert screen.echoes()


@pytest.mark.heavy
def test_prompt_for_a_key_refuses_undecodable_input(emulator: Emulator) -> None:
    strict = {"PYTHONIOENCODING": "utf-8:strict"}  # as in a locale of UTF-8 other than that of C

    with terminal("status", "--api", "v1", "x", "--base-url", emulator.base_url, env=strict) as screen:
        screen.wait_for("API key")
        screen.type(b"\xff\n")
        assert screen.end() == 2

    assert "the API key that was typed is not text in the terminal's encoding" in screen.shown


def test_wait_on_a_terminal_says_what_keeps_it_from_the_first_status(emulator: Emulator) -> None:
    server = {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url, "COLUMNS": "200"}

    with terminal("wait", "--api", "v1", "nope", env=server) as screen:
        assert screen.end() == 2

    assert "HTTP 404: Task not found" in screen.shown


@pytest.mark.heavy
def test_wait_on_a_terminal_can_be_interrupted_before_the_first_status(emulator: Emulator) -> None:
    with Client("v1", api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("Buy milk").id
    emulator.fault("delay", method="GET", seconds=60)
    server = {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url}

    with terminal("wait", "--api", "v1", task, env=server) as screen:
        screen.wait_for("0 polls")
        screen.interrupt()
        assert screen.end() == 130

    assert "interrupted; the task continues" in screen.shown


@pytest.mark.heavy
def test_the_prompt_for_a_key_can_be_interrupted(emulator: Emulator) -> None:
    with terminal("status", "--api", "v1", "x", "--base-url", emulator.base_url) as screen:
        screen.wait_for("API key")
        screen.interrupt()
        assert screen.end() == 130

    assert "Traceback" not in screen.shown


# --- serve -------------------------------------------------------------------------------------


def test_serve_prints_its_url_and_ends_cleanly() -> None:
    with terminal("serve", "--port", "0", "--manual", env={"COLUMNS": "120"}) as screen:
        screen.wait_for("Ctrl-C ends it.")
        (url, *_) = re.findall(r"http://127\.0\.0\.1:\d+", screen.shown)
        with Client("v1", api_key="any", base_url=url) as client:
            assert client.create("Buy milk").status() == "created"
        screen.interrupt()
        assert screen.end() == 0

    assert f"export LIFECYCLE_BASE_URL={url} BROWSER_USE_API_KEY=any" in screen.shown
    assert "nothing on disk" in screen.shown
    assert "Traceback" not in screen.shown


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["v1"], "--lifecycle needs SERVICE=NAME, such as v1=v1, not 'v1'"),
        (["v1=v1", "v1=v1-full"], "--lifecycle names 'v1' twice"),
        (["v9=v1"], "unknown service 'v9'"),
        (["v1=v4"], "'v1' has no call for 'cancel'"),
    ],
)
def test_serve_refuses_lifecycles_that_its_services_cannot_follow(given: list[str], wrong: str) -> None:
    options = [part for each in given for part in ("--lifecycle", each)]

    refused = call("serve", "--port", "0", *options)

    assert (refused.exit_code, wrong in refused.stderr) == (2, True)


@pytest.mark.heavy
def test_serve_moves_tasks_at_its_pace_and_follows_other_lifecycles_if_asked() -> None:
    with terminal("serve", "--port", "0", "--pace", "0.05", "--lifecycle", "v2=v2") as screen:
        screen.wait_for("Ctrl-C ends it.")
        (url, *_) = re.findall(r"http://127\.0\.0\.1:\d+", screen.shown)
        with Client("v2", api_key="any", base_url=url, lifecycle=V2) as client:
            assert client.create("Buy milk").wait(timeout_s=20).state == "finished"
        screen.interrupt()
        assert screen.end() == 0


@pytest.mark.heavy
def test_serve_serves_services_that_files_declare() -> None:
    services = ROOT / "examples" / "services"
    printer, batch = str(services / "print-job.yaml"), str(services / "openai-batch.yaml")
    with terminal("serve", "--port", "0", "--pace", "0.05", "--api", printer, "--api", batch) as screen:
        screen.wait_for("Ctrl-C ends it.")
        (url, *_) = re.findall(r"http://127\.0\.0\.1:\d+", screen.shown)
        server = {"LIFECYCLE_BASE_URL": url, "PRINTER_KEY": "any", "OPENAI_API_KEY": "any"}
        job = call("create", "--api", printer, "my letter", env=server).stdout.strip()
        waited = call("wait", "--api", printer, job, "--poll", "0.05", env=server)
        assert (waited.exit_code, waited.stdout) == (0, "printed\n")
        fields = [
            part for name in ("input_file_id", "endpoint", "completion_window") for part in ("--field", f"{name}=x")
        ]
        made = call("create", "--api", batch, *fields, env=server).stdout.strip()
        assert call("wait", "--api", batch, made, "--poll", "0.05", env=server).stdout == "completed\nDone\n"
        screen.interrupt()
        assert screen.end() == 0

    assert f"export LIFECYCLE_BASE_URL={url} PRINTER_KEY=any" in screen.shown


@pytest.mark.heavy
def test_lines_that_serve_prints_work_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "the desk's printer.yaml"
    text = (ROOT / "examples" / "services" / "print-job.yaml").read_text()
    declared = text.replace('base_path: ""', 'base_path: "/{floor}/{desk}"\nparameters: [floor, desk]')
    file.write_text(declared.replace("[text]", "[text, colour]"))
    with terminal("serve", "--port", "0", "--manual", "--api", str(file), env={"COLUMNS": "500"}) as screen:
        screen.wait_for("Ctrl-C ends it.")
        lines = [shlex.split(line) for line in screen.shown.splitlines() if line.startswith("  ")]
        [env] = [dict(each.split("=", 1) for each in words) for first, *words in lines if first == "export"]
        [arguments] = [words for first, *words in lines if first == "lifecycle"]
        client = screen.shown.partition("In Python: ")[2].splitlines()[0]

        made = call(*arguments, env=env)
        assert made.exit_code == 0, made.stderr
        read = python(
            "from lifecycle_adapters.http import Client, HttpBinding\n"
            f"with {client} as client: print(client.task({made.stdout.strip()!r}).status())"
        )
        assert (read.returncode, read.stdout) == (0, "waiting\n"), read.stderr
        screen.interrupt()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--api", "v9"], "unknown service 'v9'"),
        (["--api", "v1", "--api", "v1"], "'v1' is given twice"),
        (["--profile", "v1"], "--profile needs SERVICE=MODULE:NAME, such as printer=mine:PROFILE, not 'v1'"),
        (["--profile", "v1=json:nothing"], "no profile can be imported from 'json:nothing': AttributeError"),
        (["--profile", "v1=nowhere:PROFILE"], "add its folder to PYTHONPATH"),
        (["--profile", "v1=json:loads"], "a profile must be a Profile"),
        (["--profile", "v9=lifecycle_adapters.services.v1_emulation:PROFILE"], "unknown service 'v9'"),
    ],
)
def test_serve_refuses_invalid_services_and_profiles(options: list[str], wrong: str) -> None:
    refused = call("serve", "--port", "0", *options)

    assert (refused.exit_code, wrong in refused.stderr) == (2, True)


def test_serve_reports_a_taken_port_and_an_invalid_pace(emulator: Emulator) -> None:
    port = emulator.base_url.rpartition(":")[2]
    taken = call("serve", "--port", port)

    assert taken.exit_code == 2
    assert taken.stderr == f"lifecycle: Address already in use: 127.0.0.1:{port}\n"


# --- completion --------------------------------------------------------------------------------


def completed(*words: str) -> list[str]:
    """Return bash's proposals for the last word."""
    typed = {"COMP_WORDS": " ".join(["lifecycle", *words]), "COMP_CWORD": str(len(words))}
    return call(env={"_LIFECYCLE_COMPLETE": "complete_bash", **typed}).stdout.split()


@pytest.mark.heavy
def test_a_shell_completes_with_the_script_that_is_shown() -> None:
    shown = script("--show-completion", "bash", env=_NAMED_SHELL).stdout
    typing = f'COMP_WORDS=(lifecycle judge v1 ""); COMP_CWORD=3; {BASH_FUNCTION.findall(shown)[0]} lifecycle; '

    done = subprocess.run(
        ["bash", "--norc", "-c", f'{shown}\n{typing} echo "${{COMPREPLY[*]}}"'],
        capture_output=True,
        text=True,
        check=False,
        env=environment({"PATH": f"{os.path.dirname(SCRIPT)}:{os.environ['PATH']}"}),  # noqa: PTH120
    )

    assert (done.stdout, done.stderr) == ("running paused stopped\n", "")


BASH_FUNCTION = re.compile(r"^complete .*-F (\w+) ", re.MULTILINE)


def test_names_are_completed() -> None:
    assert completed("sh") == ["show"]
    assert completed("show", "") == list(CATALOG)
    assert completed("judge", "v1-") == ["v1-full"]
    assert completed("judge", "v1-full", "") == [str(state.name) for state in V1_FULL.states]
    assert completed("judge", "v1-full", "running", "p") == ["pause"]
    assert completed("show", "v3", "--state", "s") == ["stopped"]
    assert completed("show", "v3", "--format", "m") == ["mermaid", "mermaid-state", "markdown"]
    assert completed("create", "--api", "v2") == ["v2", "v2-session", "v2-2025"]
    assert completed("send", "--api", "v2", "some-id", "stop_") == ["stop_task_and_session"]
    assert completed("tasks", "--lifecycle", "v2-") == ["v2-full", "v2-session", "v2-2025"]
    assert completed("journal", "") == COMMANDS["journal",].split()
    assert completed("journal", "export", "v1-") == ["v1-full"]


def test_completion_is_empty_for_unknown_names() -> None:
    assert completed("judge", "missing.yaml", "") == []
    assert completed("send", "--api", "v9", "some-id", "") == []


# --- extras ------------------------------------------------------------------------------------


def without(absent: str, command: str) -> str:
    """The program of a command where these packages are absent, as it looks to `import`."""
    return f"""
sys.modules.update(dict.fromkeys({absent.split()!r}))
sys.argv = ["lifecycle", *{command.split()!r}]
from lifecycle_adapters.cli import main
main()"""


@pytest.mark.heavy
def test_missing_extra_error_is_the_install_command() -> None:
    cases = [
        ("rich", "cli", "list"),
        ("typer", "cli", "list"),
        ("httpx2", "http", "status --api v1 x"),
        ("sqlalchemy", "journal", "tasks --journal x"),
        ("uvicorn", "emulator", "serve"),
        ("fastapi", "emulator", "demo"),
        ("yaml", "yaml", "show v1 --format yaml"),
        ("duckdb", "logs", "check v1 x.csv"),
        ("numpy", "logs", "report v1 x.csv"),
        ("psycopg", "postgres", "report v1 postgresql://localhost/x --table x"),
        ("pyspark", "spark", "report v1 x.csv --engine spark"),
    ]
    run = forks([without(missing, command) for missing, _, command in cases], loaded="import lifecycle")

    for (_, extra, command), done in zip(cases, run, strict=True):
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), command
        assert done.stderr.startswith("lifecycle: ")
        assert done.stderr.endswith(f"pip install 'task-lifecycle[{extra}]'\n")


@pytest.mark.heavy
def test_all_missing_extras_are_named_at_once() -> None:
    absent = "httpx2 tenacity aiolimiter fastapi uvicorn yaml duckdb numpy sqlalchemy psycopg"
    cases = {
        "recover --api v1 --journal x": "http,journal",
        "send --api v1 --journal=postgresql://localhost/x 1 stop": "http,journal,postgres",
        "watch --journal x --api v1": "watch,journal",
        "demo": "emulator,http,journal",
        "report own.yaml postgresql://localhost/x --table x": "logs,postgres,yaml",
    }
    run = forks([without(absent, command) for command in cases], loaded="import lifecycle")

    assert [(done.returncode, done.stderr) for done in run] == [
        (2, f"lifecycle: this command needs extras: pip install 'task-lifecycle[{extras}]'\n")
        for extras in cases.values()
    ]


def test_commands_without_an_extra_work_without_the_extras() -> None:
    done = python("""
import sys
absent = "httpx2 tenacity fastapi uvicorn starlette yaml hypothesis duckdb numpy"
sys.modules.update(dict.fromkeys(absent.split()))
from lifecycle_adapters.cli.app import app
for arguments in (["list"], ["show", "v1"], ["judge", "v1", "running", "stop"]):
    try:
        app(arguments)
    except SystemExit as end:
        assert end.code == 0, arguments
""")

    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
def test_no_prompt_for_a_key_without_standard_input() -> None:
    closed = {key: value for key, value in environment().items() if key != "BROWSER_USE_API_KEY"}
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" status --api v2 x <&-', SCRIPT],
        capture_output=True, text=True, check=False, timeout=60, env=closed,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "no API key" in done.stderr
