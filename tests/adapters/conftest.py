"""What the tests of all adapters share: the certificates of the world, which each process reads once; an emulator."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import httpcore2
import pytest

if TYPE_CHECKING:
    from lifecycle_adapters.emulator import Emulator

# To read them takes longer than most tests, and httpx2 would do so for each client.
_read = httpcore2.default_ssl_context


@cache
def _context(*, trust_env: bool, file: str | None, folder: str | None) -> ssl.SSLContext:
    return _read(_trust_env=trust_env)


def _shared_context(*, _trust_env: bool = True) -> ssl.SSLContext:
    return _context(trust_env=_trust_env, file=os.environ.get("SSL_CERT_FILE"), folder=os.environ.get("SSL_CERT_DIR"))


setattr(httpcore2, "default_ssl_context", _shared_context)  # noqa: B010


@pytest.fixture(scope="session")
def _running() -> Iterator[Emulator]:
    """The server behind `emulator`, which a module or a folder can replace."""
    from lifecycle_adapters.emulator import Emulator  # takes longer to import than most tests to run

    with Emulator(manual=True) as emulator:
        yield emulator


@pytest.fixture
def emulator(_running: Emulator) -> Emulator:
    """An emulator without tasks, in which nothing moves by itself."""
    _running.reset()
    return _running
