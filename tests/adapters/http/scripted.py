"""A real server on loopback that sends scripted responses, byte for byte, and records the requests.

It is for responses that no sound service returns; the emulator is the sound one.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; `path` and `query` still encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One response. A `body` that is not bytes is sent as JSON; `raw` is sent instead of everything else.

    `pieces_s` sends the response byte by byte with that pause between; `drops` closes the connection
    before a single byte, as a crashed server does; `hangs_up` closes it after the response, unannounced; after a
    response that `stays_open`, nothing follows until the client closes it.
    """

    status: int = 200
    body: Any = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    raw: bytes | None = None
    delay_s: float = 0.0
    pieces_s: float = 0.0
    drops: bool = False
    hangs_up: bool = False
    stays_open: bool = False

    def bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Script = Callable[[Seen], Reply]


def in_turn(*replies: Reply) -> Script:
    """Return each response in turn, then the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def by_path(table: Mapping[str, Reply | Sequence[Reply]]) -> Script:
    """Respond by "METHOD /path", with one reply or several in turn; with 404 to everything else."""
    scripts = {key: in_turn(*([reply] if isinstance(reply, Reply) else reply)) for key, reply in table.items()}
    nothing = in_turn(Reply(status=404, body={"detail": "not in the script"}))
    return lambda seen: scripts.get(f"{seen.method} {seen.path}", nothing)(seen)


class ScriptedServer:
    """The server while it runs. `seen` are the requests so far, oldest first."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self), bind_and_activate=True)
        self._server.daemon_threads = True
        self.accepted = 0  # connections so far
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def calls(self) -> list[str]:
        """Each request as "METHOD /path?query"."""
        return [f"{seen.method} {seen.path}" + (f"?{seen.query}" if seen.query else "") for seen in self.seen]

    @property
    def commands(self) -> list[str]:
        """The calls that were not reads."""
        return [call for call in self.calls if not call.startswith("GET ")]

    @property
    def connections(self) -> int:
        """The number of open connections."""
        with self._lock:
            return len(self._open)

    @contextmanager
    def running(self) -> Generator[ScriptedServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self.hang_up()
            self._server.server_close()

    def hang_up(self) -> None:
        """Close every connection that is open."""
        with self._lock:
            for connection in self._open:
                with _gone():
                    connection.shutdown(socket.SHUT_RDWR)

    def note(self, connection: socket.socket, *, is_open: bool) -> None:
        with self._lock:
            self.accepted += is_open
            (self._open.add if is_open else self._open.discard)(connection)


@contextmanager
def _gone() -> Generator[None]:
    """A client that closes its connection is not an error of the server."""
    with suppress(OSError):
        yield


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            server.note(self.connection, is_open=True)

        def finish(self) -> None:
            server.note(self.connection, is_open=False)
            with _gone():
                super().finish()

        def handle(self) -> None:
            with _gone():
                super().handle()

        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, path, query, headers, body)
            server.seen.append(seen)
            self.play(server.script(seen))

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = answer  # noqa: N815

        def play(self, reply: Reply) -> None:
            time.sleep(reply.delay_s)
            if reply.drops:
                self.reset()
                return
            content = reply.bytes()
            self.close_connection = reply.hangs_up or reply.raw is not None
            if reply.stays_open:
                self.wfile.write(content)
                self.rfile.read(1)
                return
            if self.close_connection and not reply.pieces_s:
                self.send_with_the_end(content)
                return
            for piece in [content] if not reply.pieces_s else [bytes([byte]) for byte in content]:
                self.wfile.write(piece)
                time.sleep(reply.pieces_s)

        def send_with_the_end(self, content: bytes) -> None:
            # In one segment: a client that has the last byte must see the end, too, before it sends another request.
            if sys.platform == "linux":
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            self.wfile.write(content)
            self.connection.shutdown(socket.SHUT_WR)

        def reset(self) -> None:
            # Without lingering, the client sees a reset, not an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


def refused_port() -> str:
    """The URL of a port on which no server listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"
