"""A pooler between a journal and PostgreSQL that is as strict as PgBouncer in transaction mode by default.

It refuses startup parameters and prepared statements that PgBouncer 1.18 refuses, and remembers what was asked for.
The messages are those of PostgreSQL's manual, section 55.7.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Self

_SSL_REQUEST = 80877103
_ALLOWED = {
    "user", "database", "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name",
}  # fmt: skip


class Pooler:
    """Listens on a free port of loopback, and leads each connection to the server's port."""

    def __init__(self, server_port: int) -> None:
        self.statements: list[str] = []
        self.refused: list[str] = []
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with _ending(client):
            startup = _startup(client)
            names = startup[8:].split(b"\0")[:-2:2]
            if odd := {name.decode() for name in names} - _ALLOWED:
                self._refuse(client, "08P01", f"unsupported startup parameter: {', '.join(odd)}")
                return
            with socket.create_connection(("127.0.0.1", self._server_port)) as server, _ending(server):
                self._open.append(server)
                server.sendall(startup)
                back = threading.Thread(target=_pump, args=(server, client))
                back.start()
                self._forward(client, server)
                server.shutdown(socket.SHUT_RDWR)
                back.join()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        while head := _exactly(client, 5):
            body = _exactly(client, struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] == b"Q":
                self.statements.append(body[:-1].decode())
            elif head[:1] == b"P":
                name, statement, *_ = body.split(b"\0")
                self.statements.append(statement.decode())
                if name:
                    self._refuse(client, "26000", f'prepared statement "{name.decode()}" does not exist')
                    return
            server.sendall(head + body)

    def _refuse(self, client: socket.socket, code: str, why: str) -> None:
        self.refused.append(why)
        fields = b"".join(kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"C", code), (b"M", why)))
        client.sendall(b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0")


def _startup(client: socket.socket) -> bytes:
    while True:
        size = _exactly(client, 4)
        body = _exactly(client, struct.unpack("!I", size)[0] - 4)
        if struct.unpack("!I", body[:4])[0] != _SSL_REQUEST:
            return size + body
        client.sendall(b"N")


def _exactly(source: socket.socket, count: int) -> bytes:
    """Return so many bytes, or none at the end."""
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def _ending(connection: socket.socket) -> Generator[None]:
    """Close a connection at the end, also one that was cut."""
    with connection, suppress(OSError):
        yield
