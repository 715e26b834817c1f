"""What keepers of their own pace use of a client: one read as it came, and a gate that every request passes."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from lifecycle.effects import Accepted, Lost, Missing, Response
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client, NotFound
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES


class Gate:
    """Notes who enters, and what comes of it."""

    def __init__(self) -> None:
        self.entered = 0
        self.left: list[str] = []

    def acquire(self) -> None:
        self.entered += 1

    def observe(self, response: Response) -> None:
        self.left.append(type(response).__name__)


class AsyncGate(Gate):
    """As `Gate`, and lets everybody wait."""

    async def acquire(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.entered += 1


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


def test_every_request_passes_the_gate_and_only_of_the_client_behind_it(
    emulator: Emulator, http: httpx2.Client
) -> None:
    gate = Gate()
    with http, Client("v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK, http=http) as client:
        task_id = client.create("buy milk").id
        with client.limited_by(gate) as gated:
            gated.task(task_id).stop()
            gated.read("nobody")
        assert client.task(task_id).status() == "stopped", "the connections are still open"

    assert gate.entered == len(gate.left) == len(emulator.calls()) - 2
    assert gate.left[-1] == "Missing"


@pytest.mark.parametrize("kind", [Gate, AsyncGate])
def test_an_asynchronous_client_awaits_what_the_gate_returns(emulator: Emulator, kind: type[Gate]) -> None:
    gate = kind()

    async def everything() -> None:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient("v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK, http=http) as client,
        ):
            task_id = (await client.create("buy milk")).id
            async with client.limited_by(gate) as gated:
                await gated.task(task_id).stop()
                await gated.read("nobody")
            assert await client.task(task_id).status() == "stopped"

    asyncio.run(everything())
    assert gate.entered == len(gate.left) == len(emulator.calls()) - 2
