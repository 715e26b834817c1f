"""Servers and clients that are gone when the test is."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from lifecycle_adapters.http import Client, HttpBinding
from tests.adapters.http.both import KEY, QUICK, AnyClient, BlockingClient
from tests.adapters.http.scripted import Script, ScriptedServer

Serve = Callable[[Script], ScriptedServer]
Connect = Callable[..., AnyClient]

# Reading the system's certificates takes longer than most tests, and none of them has an https server.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a scripted server."""
    with ExitStack() as running:
        yield lambda script: running.enter_context(ScriptedServer(script).running())


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Open a client, `connect(api, base_url, **settings)`: every test that asks for this runs with both kinds.

    It is given an httpx2 client, for speed, unless the settings have another one or None.
    """
    with ExitStack() as opened:

        def connect(api: str | HttpBinding[Any, Any], base_url: str, **settings: Any) -> AnyClient:
            settings = {"api_key": KEY, "base_url": base_url, "timing": QUICK, **settings}
            if request.param == "async":
                return opened.enter_context(BlockingClient(api, http_settings={"verify": NO_CERTIFICATES}, **settings))
            if "http" not in settings:
                settings["http"] = opened.enter_context(httpx2.Client(verify=NO_CERTIFICATES))
            return opened.enter_context(Client(api, **settings))

        yield connect
