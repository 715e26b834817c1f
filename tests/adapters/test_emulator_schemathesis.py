"""Schemathesis against a running emulator: its responses agree with its OpenAPI documents.

All its checks are on, in all phases that apply: boundary values, valid and invalid random requests
(wrong methods, broken JSON, no key, a wrong key), and chains of calls along the document's links.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from lifecycle_adapters.emulator import Emulator

pytestmark = pytest.mark.heavy

KEY = "the only good key"
SETTINGS = """
# The document declares its links. Links inferred from the names of ids would pass one version's ids to another.
[phases.stateful]
max-steps = 10
inference.algorithms = []

# A valid request that the task's state does not allow: these calls document 400.
[[operations]]
include-operation-id = [
    "v1_pause_task", "v1_resume_task", "v1_stop_task", "v2_create_task", "v3_run_task", "v4_list_runs",
    "v4_list_sessions",
    "fire", "set_script", "advance",
]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409]

# A schema cannot express which commands, methods and statuses belong to which API.
[[operations]]
include-operation-id = ["fault", "webhook_fault"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 422]
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(pace_s=0.05, api_key=KEY) as emulator:
        yield emulator


@pytest.mark.parametrize(
    ("document", "seed", "phases"),
    [
        ("/openapi.json", 1, ("Coverage", "Fuzzing", "Stateful")),
        ("/openapi.json", 2, ("Coverage", "Fuzzing", "Stateful")),
        ("/_emulator/openapi.json", 1, ("Coverage", "Fuzzing")),
    ],
)
def test_schemathesis_finds_no_failure(
    emulator: Emulator, tmp_path: Path, document: str, seed: int, phases: tuple[str, ...]
) -> None:
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
            *("run", emulator.base_url + document, "--seed", str(seed), "--max-examples", "25"),
            *("-H", f"Authorization: Bearer {KEY}", "-H", f"X-Browser-Use-API-Key: {KEY}"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    paths = httpx2.get(emulator.base_url + document).json()["paths"]
    assert f"Tested: {sum(len(path) for path in paths.values())}" in done.stdout
    for phase in phases:
        assert f"✅ {phase}" in done.stdout
