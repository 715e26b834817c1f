"""The server around the application: starting, stopping, many callers, nothing on disk."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import pytest

from lifecycle import UnknownName
from lifecycle_adapters.emulator import Emulator, EmulatorNotRunning
from tests.adapters.emulator.requests import BY_NAME, HEADERS, command, connect, create, state

ROOT = Path(__file__).parents[3]
V1, V2 = BY_NAME["v1"], BY_NAME["v2"]


def test_port_0_chooses_a_free_loopback_port() -> None:
    with Emulator() as one, Emulator() as other:
        assert one.base_url != other.base_url
        assert one.base_url.startswith("http://127.0.0.1:")
        assert one.api_url("v2-session") == f"{one.base_url}/api/v2"
        with pytest.raises(UnknownName, match="did you mean 'v4'"):
            one.api_url("v44")


def test_a_port_in_use_is_an_error_at_once() -> None:
    with Emulator() as running:
        port = int(running.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Emulator(port=port).start()


def test_stop_closes_the_server_and_a_restart_keeps_its_tasks() -> None:
    threads = threading.active_count()
    emulator = Emulator(manual=True)
    with pytest.raises(EmulatorNotRunning, match="start it with"):
        emulator.calls()
    with emulator, connect(emulator) as http:
        with pytest.raises(EmulatorNotRunning, match="running already"):
            emulator.start()
        with pytest.raises(EmulatorNotRunning, match="running already"):
            emulator.serve()
        task_id = create(http, V1)
        url = emulator.base_url
    assert threading.active_count() == threads
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)
    with pytest.raises(EmulatorNotRunning):
        emulator.base_url  # noqa: B018
    emulator.stop()
    with emulator, connect(emulator) as http:
        assert state(http, V1, task_id) == "created"


def test_one_of_many_concurrent_stops_is_applied(emulator: Emulator) -> None:
    async def all_at_once(task_ids: list[str]) -> list[int]:
        limits = httpx2.Limits(max_connections=20)
        async with httpx2.AsyncClient(base_url=emulator.base_url, headers=HEADERS, limits=limits) as http:
            stops = [
                http.put("/api/v1/stop-task", params={"task_id": task_id}) for task_id in task_ids for _ in range(10)
            ]
            return [response.status_code for response in await asyncio.gather(*stops)]

    with connect(emulator) as http:
        task_ids = [create(http, V1) for _ in range(10)]
    assert Counter(asyncio.run(all_at_once(task_ids))) == {200: 10, 400: 90}
    applied = Counter(call.task for call in emulator.calls() if call.applied)
    assert applied == dict.fromkeys(task_ids, 1)


def test_methods_can_be_called_from_many_threads(emulator: Emulator) -> None:
    with connect(emulator) as http:
        task_ids = [create(http, V2) for _ in range(20)]
    errors: list[BaseException] = []

    def drive(task_id: str) -> None:
        try:
            with connect(emulator) as http:
                emulator.fire(task_id, "start")
                assert state(http, V2, task_id) == "started"
                assert command(http, V2, "stop", task_id).status_code == 200
        except BaseException as error:  # noqa: BLE001 (a thread's failure is the test's)
            errors.append(error)

    threads = [threading.Thread(target=drive, args=(task_id,)) for task_id in task_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {task.state for task in emulator.tasks("v2")} == {"stopped"}


def test_an_incomplete_call_is_not_handled(emulator: Emulator) -> None:
    binding = BY_NAME["v3"]
    with connect(emulator) as http:
        session_id = create(http, binding)
        address = (str(http.base_url.host), int(http.base_url.port or 0))
        head = f"POST /api/v3/sessions/{session_id}/stop HTTP/1.1\r\nHost: localhost\r\nX-Browser-Use-API-Key: k\r\n"
        with socket.create_connection(address) as raw:
            raw.sendall(f"{head}Content-Length: 20\r\n\r\n".encode())
        for _ in range(5):
            assert state(http, binding, session_id) == "created"
    assert {call.call for call in emulator.calls()} == {"create", "status"}


def test_a_response_is_not_delayed_by_nagles_algorithm(emulator: Emulator) -> None:
    # With Nagle's algorithm a response waits 40 ms for the client's delayed acknowledgement.
    with connect(emulator) as http:
        usual_s = median(_timed(http) for _ in range(40))
    assert usual_s < 0.03


def _timed(http: httpx2.Client) -> float:
    begun_s = time.perf_counter()
    http.get("/api/v2/tasks")
    return time.perf_counter() - begun_s


def test_emulator_that_serves_is_running_until_another_thread_stops_it() -> None:
    emulator = Emulator(manual=True)
    tasks: list[str] = []

    def on_start(url: str) -> None:
        assert url == emulator.base_url
        with pytest.raises(EmulatorNotRunning, match="running already"):
            emulator.serve()
        with connect(emulator) as http:
            tasks.append(create(http, V1))
        threading.Thread(target=emulator.stop).start()

    emulator.serve(on_start)

    assert len(tasks) == 1
    with emulator:
        assert [each.id for each in emulator.tasks()] == tasks


SERVE = """
import json, sys
from lifecycle_adapters.emulator import Emulator
Emulator(pace_s=0.01).serve(on_start=lambda url: print(url, flush=True))
"""


def test_serve_runs_until_interrupted_and_writes_no_file(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", "-B", "-c", SERVE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with httpx2.Client(base_url=url, headers=HEADERS, trust_env=False) as http:
                task_id = create(http, V2)
                while state(http, V2, task_id) != "finished":
                    time.sleep(0.01)
                assert len(http.get("/_emulator/calls").json()) >= 2  # the create, and one read or more
            process.send_signal(2)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert errors == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.heavy
def test_emulator_opens_no_files() -> None:
    code = """
import json, os, sys
from lifecycle_adapters.emulator import Emulator
import httpx2
def opened():
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    files = {os.readlink(link) for link in links if os.path.exists(link)}
    return {each for each in files if each.startswith("/") and not each.startswith(("/dev/", "/proc/"))}
before = opened()
with Emulator(pace_s=0) as emulator:
    httpx2.post(emulator.api_url("v1") + "/run-task", json={"task": "x"}, headers={"Authorization": "Bearer k"})
    print(json.dumps(sorted(opened() - before)))
"""
    if not Path("/proc/self/fd").exists():
        pytest.skip("only Linux shows a process its files")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_the_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; import lifecycle_adapters.emulator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith(
        "lifecycle_adapters.emulator needs an extra: pip install 'task-lifecycle[emulator]'"
    )


def test_callback_that_is_not_callable_is_refused() -> None:
    not_callable: Any = 3
    with pytest.raises(TypeError, match="on_start must be called with the base URL, and 3 cannot be called"):
        Emulator().serve(on_start=not_callable)


def test_an_invalid_pace_is_refused() -> None:
    settings: list[dict[str, Any]] = [{"pace_s": -1.0}, {"pace_s": float("inf")}]
    for each in settings:
        with pytest.raises(ValueError, match="pace_s must be at least 0 and finite, not"):
            Emulator(**each)
