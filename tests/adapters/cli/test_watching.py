"""`watch` prints what happens to many tasks; `serve --webhook` asks for what it needs."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from lifecycle import V1_FULL, CommandState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.journal import RecordedCommand, SqlJournal
from tests.adapters.cli.commands import KEY, SCRIPT, call, environment


@pytest.fixture
def server(emulator: Emulator, tmp_path: Path) -> dict[str, str]:
    """An environment whose commands record in a journal."""
    journal = str(tmp_path / "journal.db")
    return {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url, "LIFECYCLE_JOURNAL": journal}


def running(emulator: Emulator, server: dict[str, str]) -> str:
    task: str = call("create", "--api", "v1", "x", env=server).stdout.strip()
    emulator.fire(task, "start")
    return task


def test_unfinished_tasks_are_watched_to_their_ends(emulator: Emulator, server: dict[str, str]) -> None:
    tasks = [running(emulator, server) for _ in range(2)]
    for task in tasks:
        emulator.fire(task, "finish")

    done = call("watch", "--api", "v1", env=server)
    again = call("watch", "--api", "v1", env=server)

    assert (done.exit_code, done.stderr) == (0, "watching 2 tasks\n")
    assert sorted(line.split("  ")[:2] for line in done.stdout.splitlines()) == sorted(
        [task, "new → finished"] for task in tasks
    )
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "watching 0 tasks\n")


def test_a_policy_ends_a_task_and_both_are_reported_as_json(emulator: Emulator, server: dict[str, str]) -> None:
    task = running(emulator, server)

    done = call("watch", task, "--api", "v1", "--stop-after", "0.2", "--json", env=server)

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert [(each["event"], each["state"]) for each in told if each["event"] == "policy_action"] == [
        ("policy_action", "stopped")
    ]
    assert all(each["task_id"] == task for each in told)
    assert all(re.fullmatch(r"[\d-]{10}T[\d:.]+Z", each["as_of"]) for each in told if "as_of" in each)
    with SqlJournal(server["LIFECYCLE_JOURNAL"], read_only=True) as journal:
        assert journal.task(V1_FULL, task).load().state == "stopped"
        origins = {each.origin for each in journal.history(task) if isinstance(each, RecordedCommand)}
        states = [getattr(each, "state", None) for each in journal.history(task)]
    assert origins == {"policy:stop-after"}
    assert CommandState.DONE in states


def test_streams_are_followed_if_the_service_has_any(server: dict[str, str]) -> None:
    with Emulator("a2a", pace_s=0.2) as agent:
        env = {"LIFECYCLE_BASE_URL": agent.base_url}
        task = call("create", "--api", "a2a", "--field", 'parts:=[{"text": "x"}]', env=env).stdout.strip()
        done = call("watch", task, "--api", "a2a", "--streams", "1", env=env)
        calls = [each.call for each in agent.calls()]

    assert (done.exit_code, done.stdout.splitlines()[-1].split()[-1]) == (0, "TASK_STATE_COMPLETED")
    assert "stream" in calls
    refused = call("watch", "x", "--api", "v1", "--streams", "1", env=server)
    assert (refused.exit_code, "v1 has no streams" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGHUP,
        pytest.param(signal.SIGINT, marks=pytest.mark.heavy),
        pytest.param(signal.SIGTERM, marks=pytest.mark.heavy),
    ],
)
def test_signal_ends_watch_and_keeps_the_records(
    number: signal.Signals, emulator: Emulator, server: dict[str, str]
) -> None:
    task = running(emulator, server)
    command = [SCRIPT, "watch", task, "--api", "v1"]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(server)
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline().split("  ")[:2] == [task, "new → running"]
        run.send_signal(number)
        _, errors = run.communicate(timeout=30)

    assert run.returncode == 0
    assert errors == (
        "watching 1 task\nending; waiting for the requests under way\ninterrupted; all that was seen is recorded\n"
    )
    with SqlJournal(server["LIFECYCLE_JOURNAL"], read_only=True) as journal:
        assert journal.task(V1_FULL, task).load().state == "running"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_task_that_does_not_exist_exits_with_1(
    emulator: Emulator, server: dict[str, str], options: tuple[str, ...]
) -> None:
    task = running(emulator, server)
    emulator.fire(task, "finish")

    alone = call("watch", "nope", "--api", "v1", *options, env=server)
    both = call("watch", task, "nope", "nope", "--api", "v1", *options, env=server)

    assert (alone.exit_code, both.exit_code) == (1, 1)
    assert alone.stderr == "watching 1 task\n1 of 1 tasks could not be followed\n"
    assert both.stderr == "watching 2 tasks\n1 of 2 tasks could not be followed\n"
    assert len(both.stdout.splitlines()) == 2


@pytest.mark.heavy
def test_task_that_does_not_exist_is_not_forgotten_if_watching_is_interrupted(
    emulator: Emulator, server: dict[str, str]
) -> None:
    command = [SCRIPT, "watch", running(emulator, server), "nope", "--api", "v1"]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(server)
    ) as run:
        try:
            assert run.stdout is not None
            for _ in range(2):
                assert run.stdout.readline()
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        finally:
            run.kill()

    assert run.returncode == 1
    assert errors.endswith("recorded\n1 of 2 tasks could not be followed\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_task_whose_id_is_refused_exits_with_1(
    emulator: Emulator, server: dict[str, str], options: tuple[str, ...]
) -> None:
    task: str = call("create", "--api", "v2", "x", env=server).stdout.strip()
    emulator.fire(task, "start")
    emulator.fire(task, "finish")

    alone = call("watch", "no-uuid", "--api", "v2", *options, env=server)
    both = call("watch", task, "no-uuid", "--api", "v2", *options, env=server)

    assert (alone.exit_code, both.exit_code) == (1, 1)
    assert alone.stderr == "watching 1 task\n1 of 1 tasks could not be followed\n"
    assert both.stderr == "watching 2 tasks\n1 of 2 tasks could not be followed\n"
    assert "HTTP 422" in alone.stdout
    assert len(both.stdout.splitlines()) == 2
    if options:
        assert json.loads(alone.stdout)["is_refused"] is True


def test_refused_task_is_still_watched_if_it_has_a_limit(emulator: Emulator, server: dict[str, str]) -> None:
    task = running(emulator, server)
    emulator.fault("status", method="GET", status_code=422, times=1)

    done = call("watch", task, "--api", "v1", "--stop-after", "0.2", env=server)

    assert done.exit_code == 0
    assert "cannot be read: " in done.stdout
    assert "stopped" in done.stdout


def test_help_of_watch_lists_its_exit_codes() -> None:
    text = " ".join(call("watch", "--help", env={"TERMINAL_WIDTH": "200"}).stdout.split())

    assert "Exit code 0: all tasks are over, or you ended it. 1: a task could not be followed" in text


def test_recorded_task_that_no_request_can_name_is_left_out(emulator: Emulator, server: dict[str, str]) -> None:
    task = running(emulator, server)
    emulator.fire(task, "finish")
    with SqlJournal(server["LIFECYCLE_JOURNAL"]) as journal:
        journal.task(V1_FULL, "..").track()

    done = call("watch", "--api", "v1", env=server)

    assert done.exit_code == 0
    assert "'..' is recorded, but no request can carry it: not watched" in done.stderr
    assert "finished" in done.stdout


def test_watch_needs_tasks_or_a_journal(server: dict[str, str]) -> None:
    nowhere = {name: value for name, value in server.items() if name != "LIFECYCLE_JOURNAL"}

    done = call("watch", "--api", "v1", env=nowhere)

    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        done.stderr
        == "lifecycle: name the tasks to watch, or give --journal FILE|URL to watch all in it that are not over\n"
    )


def test_journal_that_does_not_exist_is_created_only_if_tasks_are_named(server: dict[str, str]) -> None:
    journal = Path(server["LIFECYCLE_JOURNAL"])

    refused = call("watch", "--api", "v1", "--stop-after", "60", env=server)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert str(journal) in refused.stderr
    assert not journal.exists()
    assert call("watch", "--api", "v1", "no-such-task", env=server).exit_code == 1
    assert journal.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--webhook", "http://127.0.0.1:1/"], "a webhook needs a secret"),
        (
            ["--webhook", "nonsense", "--webhook-secret", "s3cret"],
            "url must be a URL that begins with http:// or https://; on the command line: --webhook\n",
        ),
        (
            ["--webhook", "http://127.0.0.1:1/", "--webhook-secret", "s3cret\udcff"],
            "half of a surrogate pair, which UTF-8 cannot encode; on the command line: --webhook-secret\n",
        ),
    ],
)
def test_a_webhook_needs_a_secret_and_a_url(arguments: list[str], said: str) -> None:
    done = call("serve", *arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("status_code", [401, 503])
def test_tasks_that_cannot_be_read_and_an_outage_are_reported(
    status_code: int, emulator: Emulator, server: dict[str, str]
) -> None:
    tasks = [running(emulator, server) for _ in range(2)]
    command = [SCRIPT, "watch", *tasks, "--api", "v1"]
    emulator.fault("status", method="GET", status_code=status_code, times=100_000)

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(server)
    ) as run:
        try:
            assert run.stdout is not None
            begun: list[str] = []
            while "since" not in "".join(begun):  # a 401 is about the task first
                begun.append(run.stdout.readline())
            emulator.clear_faults()
            ended = run.stdout.readline()
        finally:
            run.kill()

    wrong = rf"GET /api/v1/task/\S+: HTTP {status_code}: .*\n"
    *of_tasks, outage = begun
    assert all(re.fullmatch(rf"\S+  cannot be read: {wrong}", each) for each in of_tasks)
    assert re.fullmatch(rf"no task can be read since {TIME}: {wrong}", outage)
    assert re.fullmatch(rf"the outage has ended at {TIME}\n", ended)


TIME = r"\d\d:\d\d:\d\d UTC"


def test_first_status_that_is_not_declared_is_shown_without_a_state(emulator: Emulator, server: dict[str, str]) -> None:
    task: str = call("create", "--api", "v4", "x", env=server).stdout.strip()
    emulator.fault("status", method="GET", times=1, status_code=200, body={"id": task, "status": "hibernating"})
    for event in ("dispatch", "start", "complete"):
        emulator.fire(task, event)

    del server["LIFECYCLE_JOURNAL"]  # it knows the state after the create

    done = call("watch", task, "--api", "v4", env=server)

    shown = [line.split("  ") for line in done.stdout.splitlines()]
    assert shown[0] == [task, "new", "unknown status 'hibernating'"]
    assert [each[1] for each in shown[1:]] == ["new → completed"]


@pytest.mark.parametrize("options", [(), pytest.param(("--json",), marks=pytest.mark.heavy)])
def test_journal_that_cannot_be_written_is_reported_when_that_begins_and_ends(
    emulator: Emulator, server: dict[str, str], options: tuple[str, ...]
) -> None:
    task = running(emulator, server)
    command = [SCRIPT, "watch", task, "--api", "v1", *options]

    def rename(name: str, other: str) -> None:
        with closing(sqlite3.connect(server["LIFECYCLE_JOURNAL"], timeout=60)) as connection:
            connection.execute(f"ALTER TABLE {name} RENAME TO {other}")
            connection.commit()

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(server)
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline()
            rename("lifecycle_entries", "elsewhere")
            emulator.fire(task, "finish")
            begun = run.stdout.readline()
            rename("elsewhere", "lifecycle_entries")
            ended, change = run.stdout.readline(), run.stdout.readline()
            assert run.wait(timeout=60) == 0
        finally:
            run.kill()

    if options:
        told = [json.loads(line) for line in (begun, ended)]
        assert [(each["event"], each["ended_at"] is None) for each in told] == [
            ("journal_outage", True),
            ("journal_outage", False),
        ]
        assert "no such table" in told[0]["error"]
    else:
        why = "and no limit is enforced until it can: journal .*"
        assert re.fullmatch(rf"the journal cannot be written since {TIME}, {why}\n", begun)
        assert "no such table" in begun
        assert re.fullmatch(rf"the journal can be written again at {TIME}\n", ended)
    assert "finished" in change


@pytest.mark.heavy
def test_closed_pipe_ends_watch_before_the_tasks_end(emulator: Emulator, server: dict[str, str]) -> None:
    tasks = [running(emulator, server) for _ in range(2)]
    command = [SCRIPT, "watch", *tasks, "--api", "v1"]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(server)
    ) as run:
        try:
            assert run.stdout is not None
            for _ in tasks:
                run.stdout.readline()
            run.stdout.close()
            emulator.fire(tasks[0], "fail")
            run.wait(timeout=60)
        finally:
            run.kill()
