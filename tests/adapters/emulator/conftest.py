"""One emulator without scripts for all tests, empty at the start of each, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from lifecycle_adapters.emulator import Emulator
from tests.adapters.emulator.requests import connect


@pytest.fixture(scope="session")
def _running() -> Iterator[Emulator]:
    """One of their own, because these tests advance its clock."""
    with Emulator(manual=True) as emulator:
        yield emulator


@pytest.fixture
def http(emulator: Emulator) -> Iterator[httpx2.Client]:
    """A client that has a key for every API."""
    with connect(emulator) as client:
        yield client
