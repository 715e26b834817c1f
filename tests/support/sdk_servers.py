"""Servers made with official SDKs, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx2

from tests.support.packages import ROOT
from tests.support.pages import free_port


@contextmanager
def sdk_server(module: str) -> Generator[str]:
    """Run `python -m module PORT`, and yield its base URL once it responds."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", module, str(port)], cwd=ROOT)
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
