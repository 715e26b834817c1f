"""Fixtures of the proofs: a seed that a failure prints, each database in turn, and an emulator."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle_adapters.emulator import Emulator

PACE_S = 0.02


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A new seed in every run, or the one in PROOF_SEED. pytest shows the printed line if the test fails."""
    chosen = int(os.environ.get("PROOF_SEED") or secrets.randbits(32))
    test = shlex.quote(request.node.nodeid)
    print(f"The seed was {chosen}. To run it again: PROOF_SEED={chosen} python -m pytest {test}")  # noqa: T201
    return chosen


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new journal; a test that uses this runs with both databases."""
    if request.param == "sqlite":
        return str(tmp_path / "journal.db")
    postgres_url: str = request.getfixturevalue("postgres_url")
    return postgres_url


@pytest.fixture(scope="session")
def _running() -> Iterator[Emulator]:
    with Emulator(pace_s=PACE_S) as emulator:
        yield emulator


@pytest.fixture
def emulator(_running: Emulator) -> Emulator:
    """An emulator without tasks, whose tasks follow their scripts with the pace `PACE_S`."""
    _running.reset()
    return _running
