"""The emulator of the command line's tests, which accepts one key alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lifecycle_adapters.emulator import Emulator
from tests.adapters.cli.commands import KEY


@pytest.fixture(scope="session")
def _running() -> Iterator[Emulator]:
    with Emulator(manual=True, api_key=KEY) as emulator:
        yield emulator
