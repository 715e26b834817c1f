"""Servers and clients that are gone when the test is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from adapters.emulator import Emulator
from adapters.http import Client, Wire
from tests.adapters.http.both import KEY, QUICK, AnyClient, BlockingClient
from tests.adapters.http.scripted import Script, ScriptedServer

Serve = Callable[[Script], ScriptedServer]
Connect = Callable[..., AnyClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a scripted server."""
    with ExitStack() as running:
        yield lambda script: running.enter_context(ScriptedServer(script).running())


@pytest.fixture(params=[Client, BlockingClient], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Open a client, `connect(api, base_url, **settings)`: every test that asks for this runs with both kinds."""
    with ExitStack() as opened:

        def connect(api: str | Wire[Any, Any], base_url: str, **settings: Any) -> AnyClient:
            settings = {"api_key": KEY, "base_url": base_url, "timing": QUICK, **settings}
            client: AnyClient = request.param(api, **settings)
            opened.enter_context(client)
            return client

        yield connect


@pytest.fixture(scope="session")
def _running() -> Iterator[Emulator]:
    with Emulator(manual=True) as emulator:
        yield emulator


@pytest.fixture
def emulator(_running: Emulator) -> Emulator:
    """An emulator without tasks, in which nothing moves by itself."""
    _running.reset()
    return _running
