"""`demo` shows its steps over real HTTP, ends by itself and leaves nothing behind."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import threading
from pathlib import Path

import pytest

from lifecycle import V1_FULL, V2_FULL, V3_FULL
from tests.adapters.cli.commands import call, script

CALL = re.compile(r"    (GET|PUT|POST|PATCH) (/api/\S+)(?: (\w+))? +(\d{3}|lost)   (.*)")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the output of the demo, run in a folder with a gallery."""
    clone = tmp_path_factory.mktemp("clone")
    (clone / "diagrams").mkdir()
    (clone / "diagrams" / "README.md").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        result = call("demo")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def moves(printed: str, api: str) -> list[tuple[str, str]]:
    """The commands of one API, as shown: each with its transition."""
    calls = [match.groups() for match in map(CALL.fullmatch, printed.splitlines()) if match]
    return [(command, effect) for _, path, command, _, effect in calls if command and f"/{api}/" in path]


def test_each_command_is_shown_with_its_transition(printed: str) -> None:
    assert moves(printed, "v1") == [
        ("pause", "running → paused"),
        ("resume", "paused → running"),
        ("stop", "running → stopped"),
        ("stop", "running → stopped"),
        ("stop", "running → stopped"),
    ]
    assert moves(printed, "v2") == [("stop", "started → stopped"), ("stop_task_and_session", "started → stopped")]
    assert moves(printed, "v3") == [("dispatch", "idle → running"), ("stop", "idle → stopped")]


def test_every_transition_that_is_shown_is_a_declared_one(printed: str) -> None:
    declared = {(str(row.source), str(row.target)) for each in (V1_FULL, V2_FULL, V3_FULL) for row in each.transitions}
    shown = set(re.findall(r"(\w+) [→⇢] (\w+)", printed))

    assert len(shown) >= 9
    assert shown <= declared


def test_the_illegal_command_the_lost_response_and_the_history_are_printed(printed: str) -> None:
    assert "IllegalTransition: 'resume' is not allowed in 'stopped'; 'stopped' is final" in printed
    assert "the emulator has received no request" in printed
    assert len(re.findall(r"PUT /api/v1/stop-task\S+ stop +lost   running → stopped", printed)) == 2
    assert printed.count("sent once") == 2
    assert "created → running → paused → running → stopped: no findings" in printed
    assert "history.jsonl:6: error: 'running' after 'stopped': after_final" in printed


def test_the_record_of_the_killed_process_is_settled_by_the_next(printed: str) -> None:
    """An intent and an attempt without an outcome; then one read, and the outcome."""
    act = printed.partition("a process is killed in the middle of a stop")[2].partition("\nv2:")[0]

    assert re.findall(r"      stop \(command 1\) +(.*)", act) == [
        "intended in running, by caller",
        "sent, attempt 1",
        "done: the task was then 'stopped'",
    ]
    assert re.findall(r"(GET|PUT) .*", act.partition("client.recover()")[2]) == ["GET"]


def test_demo_leaves_no_process_running(printed: str) -> None:
    (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)", printed)

    assert [thread.name for thread in threading.enumerate() if thread.name == f"emulator-{port}"] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()


def test_demo_prints_where_the_pictures_are(printed: str) -> None:
    assert "Every lifecycle is drawn in diagrams/README.md" in printed


@pytest.mark.heavy
@pytest.mark.usefixtures("printed")
def test_demo_can_be_repeated_as_a_process(tmp_path: Path) -> None:
    run = script("demo", cwd=tmp_path)

    assert (run.returncode, run.stderr) == (0, "")
    assert "\x1b" not in run.stdout
    assert "lifecycle diagrams DIRECTORY draws every lifecycle" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_demo_fails_if_a_step_does_not_end_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("true"))  # the process that is to be killed ends by itself

    result = call("demo")

    assert result.exit_code == 1
    assert result.stderr == "lifecycle: this step of the demo expected True, not False\n"
