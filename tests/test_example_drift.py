"""The GitHub Action and the pytest plugin in examples/drift: the action's steps are run as a runner runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.adapters.drift.made import FOLDER, printer
from tests.support.packages import ROOT

EXAMPLE = ROOT / "examples" / "drift"
ACTION: dict[str, Any] = yaml.safe_load((EXAMPLE / "action.yml").read_text())
WORKFLOW: dict[Any, Any] = yaml.safe_load((EXAMPLE / "workflow.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {each["name"]: each for each in ACTION["runs"]["steps"] if "name" in each}
NEW = str(FOLDER / "v2-2026-08-06.json")


def run(step: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the action; `folder` is its working directory, and has the runner's files."""
    files = {"RUNNER_TEMP": ".", "GITHUB_STEP_SUMMARY": "summary.md", "GITHUB_OUTPUT": "output"}
    path = f"{folder}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, **{name: str(folder / file) for name, file in files.items()}, **env}
    assert set(STEPS[step]["env"]) <= {*env}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", STEPS[step]["run"]],
        cwd=folder, env=given, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


RESULTS = [
    ("v2", NEW, 1, "drift"),
    pytest.param("v2-full", NEW, 0, "same", marks=pytest.mark.heavy),
    pytest.param("v3", NEW, 2, "unusable", marks=pytest.mark.heavy),
    pytest.param("v2", "none.json", 2, "unusable", marks=pytest.mark.heavy),
]


@pytest.mark.parametrize(("lifecycle", "document", "code", "result"), RESULTS)
def test_the_action_says_what_differs_and_fails(
    tmp_path: Path, lifecycle: str, document: str, code: int, result: str
) -> None:
    done = run("Compare", tmp_path, LIFECYCLE=lifecycle, DOCUMENT=document)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "output").read_text() == f"result={result}\n"
    summary = (tmp_path / "summary.md").read_text()
    assert summary == (tmp_path / "drift.md").read_text()
    assert ("status\\_new" in summary) is (result == "drift")
    assert bool(done.stderr) is (result == "unusable")


def test_the_action_takes_no_option_for_a_lifecycle(tmp_path: Path) -> None:
    done = run("Compare", tmp_path, LIFECYCLE="--help", DOCUMENT="$(touch hacked)")
    assert done.returncode == 2
    assert not (tmp_path / "hacked").exists()


def test_the_action_comments_with_the_result(tmp_path: Path) -> None:
    program = tmp_path / "gh"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > asked\n')
    program.chmod(0o755)
    done = run("Comment", tmp_path, GH_TOKEN="t", NUMBER="7", REPOSITORY="acme/web")
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().split("\n")
    assert asked[:7] == ["pr", "comment", "7", "--repo", "acme/web", "--body-file", str(tmp_path / "drift.md")]


def test_the_action_is_well_formed() -> None:
    inputs = set(ACTION["inputs"])
    assert all("shell" in step for step in ACTION["runs"]["steps"] if "run" in step)
    assert all("${{" not in step.get("run", "") for step in ACTION["runs"]["steps"])  # which would run foreign text
    assert set(re.findall(r"inputs\.(\w+)", (EXAMPLE / "action.yml").read_text())) == inputs
    [used] = [step for step in WORKFLOW["jobs"]["drift"]["steps"] if step["uses"].startswith("./")]
    assert {name for name, each in ACTION["inputs"].items() if each.get("required")} <= set(used["with"]) <= inputs


# --- the pytest plugin -----------------------------------------------------------------------------


def run_pytest(folder: Path, lines: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", "lifecycle_drift =", *(f"    {each}" for each in lines)]))
    (folder / "test_own.py").write_text("def test_own() -> None:\n    pass\n")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(EXAMPLE), *filter(None, [os.environ.get("PYTHONPATH")])])}
    plugins = ["-p", "pytest_lifecycle_drift", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "--strict-markers", "-v", *arguments],
        cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.heavy
def test_plugin_passes_equal_documents(tmp_path: Path) -> None:
    service = ROOT / "examples" / "services" / "print-job.yaml"
    (tmp_path / "printer.yaml").write_text(service.read_text())
    (tmp_path / "api.json").write_text(json.dumps(printer()))
    done = run_pytest(tmp_path, [f"v2-full {NEW}", "printer.yaml api.json"])
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.mark.heavy
def test_the_plugin_fails_with_the_differences(tmp_path: Path) -> None:
    (tmp_path / "unsound.json").write_text('{"lifecycle": {}}')
    done = run_pytest(tmp_path, [f"v2 {NEW}", f"v3 {NEW}", "v2 none.json", "v2", f"unsound.json {NEW}", f"v9 {NEW}"])
    assert done.returncode == 1
    assert "6 failed, 1 passed" in done.stdout
    assert "#/components/schemas/TaskStatus/enum/3: status_new: 'failed' is not a status of 'v2'" in done.stdout
    assert "describes another API" in done.stdout
    assert "No such file or directory" in done.stdout
    assert "is not sound, " in done.stdout
    assert "a line is LIFECYCLE DOCUMENT, not 'v2'" in done.stdout
    assert "Traceback" not in done.stdout
    assert "pytest_lifecycle_drift.py:" not in done.stdout


@pytest.mark.heavy
@pytest.mark.parametrize("arguments", [("-m", "not lifecycle_drift"), ("-k", "test_own")])
def test_the_plugins_tests_can_be_left_out(tmp_path: Path, arguments: tuple[str, str]) -> None:
    done = run_pytest(tmp_path, [f"v2 {NEW}"], *arguments)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 deselected" in done.stdout
