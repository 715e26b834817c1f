"""The limits of a request as a whole, against servers that keep to the protocol and never come to an end."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from backports import zstd

from lifecycle import CommandUncertain, WaitTimedOut
from lifecycle_adapters.http import (
    Client,
    DetailsTimedOut,
    InvalidResponse,
    NoResponse,
    NotConnected,
    ServerError,
    Timing,
    Unauthorized,
)
from tests.adapters.http.both import KEY, QUICK, AnyClient, BlockingClient
from tests.adapters.http.conftest import NO_CERTIFICATES, Connect, Serve
from tests.adapters.http.scripted import Reply, Seen
from tests.adapters.http.test_answers import V1Service

HANGS_S = 60.0  # seconds; longer than any test takes that does not hang
SOON_S = 15.0  # seconds; a busy machine may need some of them

# --- servers that never come to an end ------------------------------------------------------------


class Endless:
    """Sends pieces, with a pause after each, to everybody who connects; reads nothing if `reads` is false."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]], pause_s: float, *, reads: bool = True) -> None:
        self._pieces = pieces
        self._pause_s = pause_s
        self._reads = reads
        self._ends = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @contextmanager
    def running(self) -> Generator[Endless]:
        thread = threading.Thread(target=self._accept)
        thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            socket.create_connection(self._listening.getsockname()).close()  # wakes the one that accepts
            thread.join()
            self._listening.close()

    def _accept(self) -> None:
        threads: list[threading.Thread] = []
        while not self._ends.is_set():
            connection, _ = self._listening.accept()
            threads.append(threading.Thread(target=self._serve, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self._reads:
                connection.recv(65_536)
            for piece in self._pieces():
                if self._ends.is_set():
                    return
                connection.sendall(piece)
                self._ends.wait(self._pause_s)
            self._ends.wait(HANGS_S)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LONG = b"Content-Length: 100000\r\n\r\n"


def silence() -> Iterator[bytes]:
    return iter(())


def slow_head() -> Iterator[bytes]:
    return (bytes([byte]) for byte in HEAD * 1000)


def headers() -> Iterator[bytes]:
    return itertools.chain([HEAD], (f"X-{number}: 1\r\n".encode() for number in itertools.count()))


def informational() -> Iterator[bytes]:
    return itertools.repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def slow_body() -> Iterator[bytes]:
    return itertools.chain([HEAD + LONG], itertools.repeat(b" "))


def half_a_body() -> Iterator[bytes]:
    return iter([HEAD + LONG + b" " * 50])


def chunks() -> Iterator[bytes]:
    return itertools.chain([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"1\r\n \r\n"))


ENDLESS = (silence, slow_head, headers, informational, slow_body, half_a_body, chunks)
endless = pytest.mark.parametrize("pieces", ENDLESS, ids=lambda pieces: pieces.__name__)


@pytest.fixture
def run() -> Iterator[Callable[..., Endless]]:
    with ExitStack() as running:
        yield lambda *given, **named: running.enter_context(Endless(*given, **named).running())


@pytest.fixture(params=["sync", "async"])
def own(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Connect like `connect`, with an httpx2 client of our own."""
    with ExitStack() as opened:

        def own(api: str, base_url: str, **settings: Any) -> AnyClient:
            settings = {"api_key": KEY, "base_url": base_url, "timing": QUICK, "http": None, **settings}
            if request.param == "async":
                return opened.enter_context(BlockingClient(api, http_settings={}, **settings))
            return opened.enter_context(Client(api, **settings))

        yield own


class Elapsed:
    """Measures whether its block took as long as a request may, or hung."""

    def __enter__(self) -> None:
        self._begun_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        assert time.monotonic() - self._begun_s < SOON_S


@endless
def test_a_request_ends_with_its_time_whatever_the_server_sends(
    own: Connect, run: Callable[..., Endless], pieces: Callable[[], Iterator[bytes]]
) -> None:
    server = run(pieces, 0.02)
    task = own("v1", server.base_url, timing=replace(QUICK, request_timeout_s=0.3, attempts=1)).task("t")
    with Elapsed(), pytest.raises(NoResponse, match="timed out"):
        task.status()


@endless
def test_a_wait_ends_with_its_time_whatever_the_server_sends(
    connect: Connect, run: Callable[..., Endless], pieces: Callable[[], Iterator[bytes]]
) -> None:
    server = run(pieces, 0.02)
    task = connect("v1", server.base_url, timing=Timing(request_timeout_s=HANGS_S)).task("t")
    with Elapsed(), pytest.raises(WaitTimedOut) as info:
        task.wait("final", timeout_s=0.5)
    assert not isinstance(info.value, DetailsTimedOut)
    assert isinstance(info.value.__cause__, NoResponse)


def test_a_server_that_does_not_read_ends_a_request_in_time(connect: Connect, run: Callable[..., Endless]) -> None:
    server = run(silence, 0.02, reads=False)
    client = connect("v3", server.base_url, timing=replace(QUICK, request_timeout_s=0.3, attempts=1))
    with Elapsed(), pytest.raises(Exception, match="timed out"):
        client.create("x" * 2**25)


def test_endless_handshake_is_not_connected(connect: Connect, run: Callable[..., Endless]) -> None:
    server = run(silence, 0.02)
    impatient = replace(QUICK, request_timeout_s=0.3, attempts=1)
    task = connect("v1", server.base_url.replace("http:", "https:"), timing=impatient).task("t")
    with Elapsed(), pytest.raises(NotConnected, match="timed out"):
        task.status()


def test_host_that_does_not_accept_is_not_connected(connect: Connect) -> None:
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # requests sent now get no response
            queued = waiting.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(listening.getsockname())
        impatient = replace(QUICK, request_timeout_s=0.3, attempts=1)
        task = connect("v1", f"http://127.0.0.1:{listening.getsockname()[1]}", timing=impatient).task("t")
        with Elapsed(), pytest.raises(NotConnected, match="timed out"):
            task.status()


def test_a_name_is_looked_up_within_the_time(own: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda _: Reply(body="running"))
    impatient = replace(QUICK, request_timeout_s=0.3, attempts=1)
    task = own("v1", server.base_url.replace("127.0.0.1", "localhost"), timing=impatient).task("t")
    with Elapsed():
        assert task.status() == "running"
    unhurried, looked_up = threading.Event(), socket.getaddrinfo

    def slow(*given: Any, **named: Any) -> Any:
        unhurried.wait(HANGS_S)
        return looked_up(*given, **named)

    server.hang_up()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        with Elapsed(), pytest.raises(NotConnected, match="timed out"):
            task.status()
    finally:
        unhurried.set()


# --- how long a procedure may take ----------------------------------------------------------------


class Hanging(V1Service):
    """A v1 task of which some requests hang."""

    def __init__(self, hangs: Callable[[Seen, int], bool], **settings: Any) -> None:
        super().__init__(**settings)
        self._hangs = hangs
        self._asked = 0

    def __call__(self, seen: Seen) -> Reply:
        self._asked += seen.method != "GET"
        reply = super().__call__(seen)
        return replace(reply, raw=b"", delay_s=2.0) if self._hangs(seen, self._asked) else reply


def test_the_retries_of_a_command_end_with_their_budget(connect: Connect, serve: Serve) -> None:
    """The first attempt may take as long as any request; a repetition has what is left."""
    service = Hanging(lambda _, asked: asked == 2, plan=[(Reply(status=500), False)] * 9)
    timing = Timing(request_timeout_s=HANGS_S, retry_budget_s=0.8, longest_retry_s=0.01, settle_timeout_s=0.1)
    begun_s = time.monotonic()
    with pytest.raises(CommandUncertain):
        connect("v1", serve(service).base_url, timing=timing).task("t").pause()
    assert time.monotonic() - begun_s < 1.9  # less than the request hangs


def test_the_first_attempt_has_the_whole_time_of_a_request(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(delay_s=1.0), True)]))
    timing = replace(QUICK, retry_budget_s=0.1)
    assert connect("v1", server.base_url, timing=timing).task("t").pause().state == "paused"
    assert len(server.commands) == 1


@pytest.mark.parametrize("details", [Reply(status=500), Reply(body={"status": "finished"}, delay_s=1.5)])
def test_late_details_do_not_hide_that_a_task_is_over(connect: Connect, serve: Serve, details: Reply) -> None:
    server = serve(lambda seen: Reply(body="finished") if seen.path.endswith("/status") else details)
    task = connect("v1", server.base_url, timing=Timing(attempts=1000, longest_retry_s=0.05)).task("t")
    with Elapsed(), pytest.raises(WaitTimedOut, match="it is 'finished', but its details were not read") as info:
        task.wait("final", timeout_s=0.5)
    assert isinstance(info.value, DetailsTimedOut)
    assert (info.value.state, task.known_state()) == ("finished", "finished")


def test_details_that_fail_for_another_reason_do_not_hide_the_state(connect: Connect, serve: Serve) -> None:
    server = serve(lambda seen: Reply(body="finished") if seen.path.endswith("/status") else Reply(status=500))
    with pytest.raises(ServerError) as info:
        connect("v1", server.base_url).task("t").wait("final")
    assert info.value.__notes__ == ["The task is finished; only its details could not be read."]


def test_a_refusal_ends_a_wait_as_what_it_is(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(status=401, delay_s=0.3))
    with pytest.raises(Unauthorized):
        connect("v1", server.base_url).task("t").wait("final", timeout_s=0.2)


# --- the size of a response -----------------------------------------------------------------------

SMALL = replace(QUICK, max_response_bytes=100_000, attempts=1)
ZEROS = b"0" * 2**26


def test_an_endless_body_is_read_up_to_the_limit(connect: Connect, run: Callable[..., Endless]) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    server = run(lambda: itertools.chain([head], itertools.repeat(b"1000\r\n" + b"0" * 4096 + b"\r\n")), 0.0)
    with Elapsed(), pytest.raises(InvalidResponse, match="the response has more than 100000 bytes"):
        connect("v1", server.base_url, timing=replace(SMALL, request_timeout_s=HANGS_S)).task("t").status()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress,
}  # fmt: skip


@cache
def zeros(encoding: str) -> bytes:
    """64 MiB, compressed by each of these in turn; that takes longer than the test."""
    *earlier, last = encoding.split(", ")
    return COMPRESS[last](zeros(", ".join(earlier)) if earlier else ZEROS)


@pytest.mark.parametrize("encoding", [*COMPRESS, "gzip, gzip", "gzip, zstd"])
@pytest.mark.parametrize("status", [200, 400])
def test_compressed_body_is_read_up_to_the_limit(connect: Connect, serve: Serve, encoding: str, status: int) -> None:
    bomb = zeros(encoding)
    server = serve(lambda _: Reply(status=status, body=bomb, headers={"Content-Encoding": encoding}))
    task = connect("v1", server.base_url, timing=SMALL).task("t")
    tracemalloc.start()
    try:
        with Elapsed(), pytest.raises(InvalidResponse, match="more than 100000 bytes"):
            task.status()
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < len(ZEROS) / 4


def test_a_response_of_the_limit_is_read(connect: Connect, serve: Serve) -> None:
    body = gzip.compress(b'"running"' + b" " * (100_000 - 9))
    server = serve(lambda _: Reply(body=body, headers={"Content-Encoding": "gzip"}))
    assert connect("v1", server.base_url, timing=SMALL).task("t").status() == "running"
    assert server.seen[0].headers["accept-encoding"] == "gzip, deflate"


def test_a_command_whose_response_is_too_large_is_settled_by_a_read(connect: Connect, serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(body=b" " * 200_000), True)]))
    assert connect("v1", server.base_url, timing=SMALL).task("t").pause().state == "paused"
    assert len(server.commands) == 1


def test_given_http_client_keeps_its_own_timeouts(serve: Serve) -> None:
    import httpx2

    server = serve(lambda _: Reply(body="running", pieces_s=0.001))
    with httpx2.Client(verify=NO_CERTIFICATES) as http:
        for _ in range(2):
            Client("v1", api_key=KEY, base_url=server.base_url, timing=QUICK, http=http).task("t").status()
        assert http.get(server.base_url + "/api/v1/task/t/status", timeout=60).json() == "running"
