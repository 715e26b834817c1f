"""Status reads of the emulator, compared with a bare Starlette route; each has a uvicorn of its own.

The load comes over raw connections that send the next request as soon as the answer is complete; an HTTP
client would spend more time on a request than either server and hide their difference.
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import httpx2

from benchmarks.measure import Bound, Measure, Row, compare
from benchmarks.servers import running
from lifecycle_adapters.services.v1 import V1 as BINDING

_CONNECTIONS = 8
_KEY = "benchmark"


def rows(*, pairs: int, requests: int) -> list[Row]:
    """Measure both servers; each measurement is so many requests."""
    with running("emulator") as emulator, running("bare") as bare:
        ours = _load(emulator, _created(emulator), requests)
        peer = _load(bare, "task", requests)
        what = f"emulator: a status read, {_CONNECTIONS} connections"
        return [compare(what, ours, "a bare Starlette route", peer, bound=Bound.AT_LEAST, limit=0.6, pairs=pairs)]


def _created(url: str) -> str:
    """Create a task and return its id."""
    request = BINDING.create.request(BINDING.base_path, fields={"task": "benchmark"})
    answer = httpx2.request(
        request.method, url + request.path, json=request.body, headers=BINDING.request_headers(_KEY)
    )
    return str(answer.raise_for_status().json()[BINDING.id_field])


def _load(url: str, task_id: str, requests: int) -> Measure:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    assert host is not None
    assert port is not None
    read = BINDING.status.request(BINDING.base_path, task_id=task_id)
    headers = {"Host": f"{host}:{port}", **BINDING.request_headers(_KEY)}
    lines = [f"{read.method} {read.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    message = "\r\n".join([*lines, "", ""]).encode()

    async def send_all() -> float:
        connections = [await asyncio.open_connection(host, port) for _ in range(_CONNECTIONS)]
        begun_s = time.perf_counter()
        await asyncio.gather(*(_talk(*each, message, requests // _CONNECTIONS) for each in connections))
        took_s = time.perf_counter() - begun_s
        for _, writer in connections:
            writer.close()
        return took_s / (requests // _CONNECTIONS * _CONNECTIONS)

    return lambda: asyncio.run(send_all())


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200 "), head
        _, _, after = head.partition(b"content-length: ")
        await reader.readexactly(int(after.partition(b"\r\n")[0]))
