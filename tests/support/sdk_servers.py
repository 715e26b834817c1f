"""Servers and clients made with official SDKs, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.packages import ROOT
from tests.support.pages import free_port

MCP_SDK_2 = ("mcp==2.3.0", "mcp-types==2.3.0")
"""The MCP SDK that speaks revision 2026-07-28; the one that is installed here speaks 2025-11-25."""


def checked(done: Any) -> None:
    """Skip the test, or fail it, if an installation failed."""
    if done.returncode != 0:
        message = f"an SDK cannot be installed: {done.stderr.strip()[-500:]}"
        (pytest.fail if os.environ.get("REQUIRE_SDKS") else pytest.skip)(message)


def installed(folder: Path, *packages: str) -> Path:
    """Install packages into a folder, without their dependencies, which must be here; return the folder."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "--no-deps", *packages]
    checked(subprocess.run(pip, capture_output=True, text=True, check=False))
    return folder


def with_packages(folder: Path) -> dict[str, str]:
    """Return the environment of a process that imports the packages in a folder before all others."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def seen_by_mcp_sdk_2(packages: Path, name: str, url: str) -> Any:
    """Return what the client of the MCP SDK 2.3 in a folder of packages sees of a server (mcp_sdk_client.py)."""
    command = [sys.executable, "-m", "tests.support.mcp_sdk_client", name, url]
    environment = with_packages(packages)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def sdk_server(module: str, *, packages: Path | None = None) -> Generator[str]:
    """Run `python -m module PORT`, and yield its base URL once it responds; `packages` is a folder with its SDK."""
    port = free_port()
    environment = None if packages is None else with_packages(packages)
    process = subprocess.Popen([sys.executable, "-m", module, str(port)], cwd=ROOT, env=environment)
    try:
        base_url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx2.get(f"{base_url}/tasks")
                break
            except httpx2.ConnectError:
                assert process.poll() is None
                time.sleep(0.1)
        yield base_url
    finally:
        process.kill()
        process.wait()
