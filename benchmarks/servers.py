"""The servers that the benchmarks talk to, each a process of its own on a free port of 127.0.0.1.

`python -m benchmarks.servers bare` serves v1's status and control calls as plain Starlette routes over one
task; `... emulator` serves the emulator. Both run on the same uvicorn with the same settings, and print their URL.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lifecycle import V1, V1Event
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.services.v1 import V1 as WIRE


@contextmanager
def running(name: str) -> Generator[str]:
    """Run one of the servers and give its URL."""
    command = [sys.executable, "-m", "benchmarks.servers", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class _Bare:
    """One v1 task behind plain routes, none of which checks anything but the lifecycle."""

    def __init__(self) -> None:
        self.state = V1.initial
        routes = [Route(WIRE.base_path + WIRE.status.path, self.status)]
        routes += [self._control(event) for event in WIRE.commands]
        self.app = Starlette(routes=routes)

    async def status(self, _: Request) -> JSONResponse:
        return JSONResponse(self.state)

    def _control(self, event: V1Event) -> Route:
        async def control(_: Request) -> JSONResponse:
            self.state = V1.step(self.state, event)
            return JSONResponse({})

        call = WIRE.commands[event]
        return Route(WIRE.base_path + call.path, control, methods=[call.method])


def _announce(url: str) -> None:
    print(url, flush=True)


def _serve_bare() -> None:
    # The emulator's settings. With the protocol named, asyncio switches Nagle's algorithm off.
    config = uvicorn.Config(_Bare().app, log_level="warning", access_log=False, proxy_headers=False, lifespan="off")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        _announce(f"http://127.0.0.1:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _serve_emulator() -> None:
    Emulator(manual=True).serve(on_start=_announce)


if __name__ == "__main__":
    {"bare": _serve_bare, "emulator": _serve_emulator}[sys.argv[1]]()
