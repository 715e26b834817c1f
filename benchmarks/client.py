"""A command given by `Client` beside the same requests sent with bare httpx2, one connection each, same server.

A v1 command is two requests, the command and the read that proves it. The bare side sends the same two, whose
arguments it gets ready-made, and decodes the responses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx2

from benchmarks.measure import Bound, Measure, Row, compare
from benchmarks.servers import running
from lifecycle import V1Event
from lifecycle_adapters.http import AsyncClient, Client
from lifecycle_adapters.services.v1 import V1 as BINDING

_CYCLE = (V1Event.PAUSE, V1Event.RESUME)
_TASK = "task_1234567890abcdef"
_KEY = "benchmark"
_LIMIT = 1.2


def rows(*, pairs: int, cycles: int) -> list[Row]:
    """Measure `Client` and `AsyncClient`; each measurement is so many cycles of pause and resume."""
    with running("bare") as url:
        return [_synchronous(url, pairs, cycles), _asynchronous(url, pairs, cycles)]


def _synchronous(url: str, pairs: int, cycles: int) -> Row:
    requests = _requests(url)
    with Client("v1", api_key=_KEY, base_url=url) as client, httpx2.Client() as http:
        task = client.task(_TASK)

        def commands() -> None:
            for command in _CYCLE * cycles:
                task.send(command)

        def bare() -> None:
            for request in requests * cycles:
                http.request(**request).json()

        return _compare("Client", _timed(commands, cycles), "httpx2.Client", _timed(bare, cycles), pairs)


def _asynchronous(url: str, pairs: int, cycles: int) -> Row:
    requests = _requests(url)
    with asyncio.Runner() as runner:
        client, http = AsyncClient("v1", api_key=_KEY, base_url=url), httpx2.AsyncClient()
        task = client.task(_TASK)

        async def commands() -> None:
            for command in _CYCLE * cycles:
                await task.send(command)

        async def bare() -> None:
            for request in requests * cycles:
                (await http.request(**request)).json()

        async def close() -> None:
            await client.close()
            await http.aclose()

        def timed(act: Callable[[], Any]) -> Measure:
            return _timed(lambda: runner.run(act()), cycles)

        try:
            return _compare("AsyncClient", timed(commands), "httpx2.AsyncClient", timed(bare), pairs)
        finally:
            runner.run(close())


def _compare(ours_name: str, ours: Measure, peer_name: str, peer: Measure, pairs: int) -> Row:
    what = f"{ours_name}: pause or resume"
    return compare(what, ours, f"{peer_name}: PUT, GET", peer, bound=Bound.AT_MOST, limit=_LIMIT, pairs=pairs)


def _timed(act: Callable[[], object], cycles: int) -> Measure:
    def measure() -> float:
        begun_s = time.perf_counter()
        act()
        return (time.perf_counter() - begun_s) / (cycles * len(_CYCLE))

    return measure


def _requests(url: str) -> list[dict[str, Any]]:
    """Return the arguments of httpx2 for one cycle."""
    read = BINDING.status.request(BINDING.base_path, task_id=_TASK)
    requests = [each for command in _CYCLE for each in (BINDING.command_request(command, _TASK), read)]
    headers = BINDING.request_headers(_KEY)
    return [
        {"method": each.method, "url": url + each.path, "params": each.query or None, "headers": headers}
        for each in requests
    ]
