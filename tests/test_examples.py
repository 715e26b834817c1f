"""The programs in examples/ run as they stand. Those on services and Celery have tests of their own.

tests/test_example_services.py and tests/test_print_job.py run examples/services, tests/test_engines.py runs the Celery
app, and tests/test_docs.py runs the webhook receiver and the orchestrator, on the pages that show them.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from lifecycle_adapters.emulator import Emulator
from tests.support.packages import ROOT
from tests.support.pages import Shell

EXAMPLES = ROOT / "examples"
TIME_LIMIT_S = 120.0  # for a hang alone


def test_demo_prints_what_happens() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "demo.py"], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "A task is paused, resumed and stopped.",
        "  paused running stopped",
        "An illegal command is refused, and no request is sent.",
        "  'resume' is not allowed in 'stopped'; 'stopped' is final - requests: 0",
        "The response to a stop is lost. The stop took effect, and is sent once.",
        "  stopped - stops: 1",
        "The service is overloaded. The stop waits as asked, and is sent again.",
        "  stopped - stops: 2",
        "A session runs a task. It is idle before and after, and only the latter ends the wait.",
        "  idle - Done: Compare prices (task 1 of this session)",
        "The history of the first task is checked, with one row too many.",
        "  'running' after 'stopped': after_final; possible: nothing, the task had ended",
    ]


# --- the orchestrator ----------------------------------------------------------------------------


class Orchestrator:
    """The orchestrator in a folder of its own, in one process after the other."""

    def __init__(self, folder: Path, service: Emulator) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "LIFECYCLE_BASE_URL": service.base_url,
            "BROWSER_USE_API_KEY": "any",
            "POLL_S": "0.05",
        }

    def start(self, limit_s: float = 3600) -> subprocess.Popen[str]:
        environment = {**self._environment, "LIMIT_S": str(limit_s)}
        program = [sys.executable, str(EXAMPLES / "orchestrator" / "orchestrator.py"), "jobs.txt"]
        return subprocess.Popen(program, cwd=self._folder, env=environment, stdout=subprocess.PIPE, text=True)

    def kill_once(self, condition: Callable[[], object], limit_s: float = 3600) -> None:
        """Start it, and kill it as soon as something holds."""
        with self.start(limit_s) as process:
            try:
                deadline_s = time.monotonic() + TIME_LIMIT_S
                while not condition():
                    assert process.poll() is None, "it ended by itself"
                    assert time.monotonic() < deadline_s, "it did not come about in time"
                    time.sleep(0.01)
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL


@pytest.mark.heavy
def test_orchestrator_survives_its_death_anywhere(tmp_path: Path) -> None:
    (tmp_path / "jobs.txt").write_text("order-1 Find a flight\norder-2 Find a hotel\n", encoding="utf-8")
    with Emulator("v2", manual=True) as service:
        orchestrator = Orchestrator(tmp_path, service)

        def polled() -> set[str | None]:
            return {call.task for call in service.calls() if call.method == "GET" and call.task}

        service.fault("delay_after", method="POST", seconds=600)
        orchestrator.kill_once(lambda: service.tasks("v2"))  # a task is created, and its id is not known
        service.clear_faults()
        orchestrator.kill_once(lambda: len(polled()) == 2)
        first, second = reversed(service.tasks("v2"))  # the newest is first
        service.fire(first.id, "start")
        service.fire(first.id, "finish")
        service.fault("delay_after", command="stop", seconds=600)
        orchestrator.kill_once(lambda: service.task(second.id).is_final, limit_s=0.1)  # its stop is on its way
        with orchestrator.start() as process:
            printed, _ = process.communicate(timeout=TIME_LIMIT_S)

        assert process.returncode == 0
        assert f"settled stop {second.id}" in printed
        assert [task.state for task in service.tasks("v2")] == ["stopped", "finished"]
        assert [call.command for call in service.calls() if call.command] == ["stop"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "FileNotFoundError: [Errno 2] No such file or directory: 'jobs.txt'"),
        (b"order-1 Find a flight\n\norder-2\n", "ValueError: jobs.txt, line 3: it must be KEY TEXT"),
        (b"order-1 Find a flight\norder-1 Find a hotel\n", "ValueError: jobs.txt, line 2: it must be KEY TEXT"),
        (b"order-1 \xff\n", "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff"),
    ],
)
@pytest.mark.heavy
def test_orchestrator_says_what_is_wrong_with_its_jobs(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "jobs.txt").write_bytes(content)
    done = _failed_program(EXAMPLES / "orchestrator" / "orchestrator.py", "jobs.txt", folder=tmp_path)
    assert done.startswith(said)
    assert done.count("\n") == 1


def test_orchestrator_without_jobs_shows_its_usage(tmp_path: Path) -> None:
    assert "python orchestrator.py JOBS" in _failed_program(
        EXAMPLES / "orchestrator" / "orchestrator.py", folder=tmp_path
    )


def _failed_program(program: Path, *arguments: str, folder: Path) -> str:
    """Return what a program says on standard error before it exits with 1."""
    environment = {name: text for name, text in os.environ.items() if name != "WEBHOOK_SECRET"}
    command = [sys.executable, str(program), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


# --- the receiver --------------------------------------------------------------------------------

RECEIVER = EXAMPLES / "webhook_receiver" / "receiver.py"


@pytest.mark.parametrize("name", ["a" * 2000, "a%0Ab", "%00", "0b0d9b1c-6f0e-4d7e-9a51-5f0f2f6e3c1d"])
def test_receiver_refuses_the_id_of_no_task(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "s3cret")
    monkeypatch.setenv("JOURNAL_URL", str(tmp_path / "journal.db"))
    receiver = runpy.run_path(str(RECEIVER))

    async def code_of(path: str) -> int:
        transport = httpx2.ASGITransport(app=receiver["app"])
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return (await http.get(path)).status_code

    with receiver["journal"]:
        assert asyncio.run(code_of(f"/tasks/{name}?query={'a' * 2000}")) in (404, 422)


def test_receiver_without_a_secret_says_so(tmp_path: Path) -> None:
    assert _failed_program(RECEIVER, folder=tmp_path) == "set WEBHOOK_SECRET to the webhook's secret\n"


# --- the workflow of GitHub ----------------------------------------------------------------------

SOUND = "task_id,at,status\na,2026-01-15T10:00:00Z,running\na,2026-01-15T10:05:00Z,stopped\n"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("log", "codes"),
    [
        pytest.param(SOUND, {"Check": 0, "Report": 0}, id="sound"),
        pytest.param(SOUND + "a,2026-01-15T10:06:00Z,running\n", {"Check": 1, "Report": 1}, id="finding"),
        pytest.param(SOUND + "a,soon,running\n", {"Check": 2, "Report": 0}, id="unreadable"),
    ],
)
def test_workflow_fails_for_a_bad_log(log: str, codes: dict[str, int], tmp_path: Path) -> None:
    workflow = yaml.safe_load((EXAMPLES / "github_action" / "check-log.yaml").read_text(encoding="utf-8"))
    steps: list[dict[str, Any]] = workflow["jobs"]["check"]["steps"]
    install, *commands = [each for each in steps if "run" in each]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "tasks.csv").write_text(log, encoding="utf-8")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    assert install["run"].startswith("pip install 'task-lifecycle[")
    with Shell(tmp_path, environment) as shell:
        printed = {each["name"]: shell.type(f"({each['run']}); echo $?").splitlines() for each in commands}
    kept = next(each["with"]["path"].split() for each in steps if "upload-artifact" in each.get("uses", ""))

    assert {name: int(lines[-1]) for name, lines in printed.items()} == codes, printed
    assert {*kept} >= {each.name for each in tmp_path.iterdir()} - {"logs", "lifecycle-rejects.csv"}
    assert (tmp_path / "report.html").is_file()


# --- the notebook --------------------------------------------------------------------------------

NOTEBOOK = EXAMPLES / "notebook" / "lifecycles.ipynb"


def test_notebook_is_kept_without_outputs() -> None:
    cells = [each for each in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if each["cell_type"] == "code"]
    assert cells
    assert [each["outputs"] for each in cells] == [[]] * len(cells)
    assert [each["execution_count"] for each in cells] == [None] * len(cells)


@pytest.mark.heavy
def test_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    wanted = [f"{ROOT}[logs,render]", "nbclient>=0.10,<1", "ipykernel>=6,<8"]
    done = subprocess.run([*pip, "install", "--quiet", *wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        probe = [*pip, "download", "--no-deps", "--dest", str(tmp_path), "pip"]
        if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
            pytest.skip("no package index can be reached, so Jupyter cannot be installed")
        pytest.fail(done.stderr)
    executed = tmp_path / "executed.ipynb"
    program = (
        "import nbclient, nbformat, sys; book = nbformat.read(sys.argv[1], 4); "
        "nbclient.NotebookClient(book).execute(); nbformat.write(book, sys.argv[2])"
    )
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HOME": str(tmp_path), "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([python, "-c", program, NOTEBOOK, executed], check=True, env=environment)

    cells = [each for each in json.loads(executed.read_text(encoding="utf-8"))["cells"] if each["cell_type"] == "code"]
    shown = [" ".join(map(str, each["outputs"])) for each in cells]
    expected = ["text/vnd.mermaid", "<svg", "after_final", "1 illegal", "<iframe", ""]
    assert [word in text for word, text in zip(expected, shown, strict=True)] == [True] * len(cells), shown
