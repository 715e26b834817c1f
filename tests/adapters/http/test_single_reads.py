"""Parts of a client for callers with a pace of their own: a single read, and a limiter that every request passes."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from lifecycle.effects import Accepted, Lost, Missing, Response
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client, NotFound
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES


class Counting:
    """A rate limiter that counts the requests, and keeps the kinds of their responses."""

    def __init__(self) -> None:
        self.passed = 0
        self.responses: list[str] = []

    async def acquire(self) -> None:
        await asyncio.sleep(0)
        self.passed += 1

    def observe(self, response: Response) -> None:
        self.responses.append(type(response).__name__)


@pytest.fixture
def http() -> httpx2.Client:
    return httpx2.Client(verify=NO_CERTIFICATES)


def test_a_single_read_is_neither_repeated_nor_raised_nor_recorded(emulator: Emulator, http: httpx2.Client) -> None:
    with http, Client("v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK, http=http) as client:
        task = client.create("buy milk")
        status, details = client.read(task.id), client.read(task.id, details=True)
        emulator.fault("status", status_code=500)
        failed, gone = client.read(task.id), client.read("nobody")

        assert isinstance(status, Accepted)
        assert isinstance(details, Accepted)
        assert (status.status, details.document["id"]) == ("created", task.id)
        assert isinstance(failed, Lost)
        assert isinstance(gone, Missing)
        assert isinstance(gone.error, NotFound)
        assert task.known_state() is None
        assert len(emulator.calls()) == 5


def test_every_request_of_a_limited_client_passes_the_limiter(emulator: Emulator) -> None:
    limiter = Counting()

    async def everything() -> None:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient("v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK, http=http) as client,
        ):
            task_id = (await client.create("buy milk")).id
            async with client.limited_by(limiter) as limited:
                await limited.task(task_id).stop()
                await limited.read("nobody")
            assert await client.task(task_id).status() == "stopped", "the connections are still open"

    asyncio.run(everything())
    assert limiter.passed == len(limiter.responses) == len(emulator.calls()) - 2
    assert limiter.responses[-1] == "Missing"
