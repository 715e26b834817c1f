"""Transports that fail in other ways than documented, and clients that can send nothing: never a raw error."""

from __future__ import annotations

import asyncio
import gc
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio
import h11
import httpx2
import pytest

from lifecycle import V1_FULL, CommandUncertain, CreateUncertain, LifecycleError
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client, ClientUnusable, NoResponse, NotConnected
from tests.adapters.http.both import KEY, QUICK, AnyClient, BlockingClient
from tests.adapters.http.conftest import NO_CERTIFICATES, Serve
from tests.adapters.http.scripted import Reply
from tests.adapters.http.test_answers import V1Service, lives
from tests.adapters.http.test_errors import SoftTimeLimit, everything_said_by

both = pytest.mark.parametrize("kind", ["sync", "async"])

# --- whatever a transport raises ----------------------------------------------------------------


class Unheard(Exception):
    """Of no library that is known here; what it holds is its own business."""

    def __init__(self) -> None:
        super().__init__("no luck")
        self.request = {"Authorization": f"Bearer {KEY}"}


RAISED: dict[str, Callable[[], Exception]] = {
    "a closed loop": lambda: RuntimeError("Event loop is closed"),
    "the interpreter ends": lambda: RuntimeError("cannot schedule new futures after interpreter shutdown"),
    "tls": lambda: ssl.SSLError(1, "record layer failure"),
    "os": lambda: OSError(24, "Too many open files"),
    "value": lambda: ValueError(f"illegal header value 'Bearer {KEY}'"),
    "time-out": TimeoutError,
    "group": lambda: ExceptionGroup("several", [OSError("one"), ValueError(KEY)]),
    "url": lambda: httpx2.InvalidURL("no URL"),
    "protocol": lambda: httpx2.LocalProtocolError("too much data for declared Content-Length"),
    "status": lambda: httpx2.HTTPStatusError(
        "a hook raises for every status",
        request=httpx2.Request("GET", "http://a", headers={"Authorization": KEY}),
        response=httpx2.Response(500),
    ),
    "a library's": lambda: h11.RemoteProtocolError("illegal status line"),
    "a closed stream": anyio.ClosedResourceError,
    "a key": lambda: KeyError("x"),
    "recursion": lambda: RecursionError("maximum recursion depth exceeded"),
}
whatever = pytest.mark.parametrize("raised", RAISED.values(), ids=RAISED)


@contextmanager
def client_of(kind: str, answer: Callable[[httpx2.Request], httpx2.Response], **hooks: Any) -> Generator[AnyClient]:
    settings: dict[str, Any] = {"api_key": KEY, "base_url": "http://service.example", "timing": QUICK}
    transport = httpx2.MockTransport(answer)
    if kind == "async":
        hooks = {name: [asynchronous(each) for each in given] for name, given in hooks.items()}
        http_settings = {"transport": transport, "event_hooks": hooks, "verify": NO_CERTIFICATES}
        with BlockingClient("v1", http_settings=http_settings, **settings) as client:
            yield client
    else:
        http = httpx2.Client(transport=transport, event_hooks=hooks, verify=NO_CERTIFICATES)
        with http, Client("v1", **settings, http=http) as blocking:
            yield blocking


def asynchronous(hook: Callable[[Any], None]) -> Callable[[Any], Awaitable[None]]:
    async def called(given: Any) -> None:
        hook(given)

    return called


class Breaking:
    """A v1 task whose service does what it is asked, and whose transport then breaks at every command."""

    def __init__(self, raised: Callable[[], Exception]) -> None:
        self.raised = raised
        self.state = "running"

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=self.state)
        if request.url.path.endswith("/stop-task"):
            self.state = "stopped"
        raise self.raised()


@both
@whatever
def test_a_command_whose_transport_breaks_is_settled_by_a_read(kind: str, raised: Callable[[], Exception]) -> None:
    with client_of(kind, Breaking(raised)) as client:
        task = client.task("t")
        assert task.stop().state == "stopped"
        assert lives(task.journal) == [("stop", 1, "done")]


@both
@whatever
def test_unsettled_command_is_uncertain_and_released(kind: str, raised: Callable[[], Exception]) -> None:
    with client_of(kind, Breaking(raised)) as client:
        task = client.task("t")
        with pytest.raises(CommandUncertain) as info:
            task.pause()
        assert KEY not in everything_said_by(info.value)
        with pytest.raises(CommandUncertain):
            task.recover()
        assert task.stop().state == "stopped"


@both
@whatever
def test_a_create_whose_transport_breaks_is_uncertain(kind: str, raised: Callable[[], Exception]) -> None:
    with client_of(kind, Breaking(raised)) as client, pytest.raises(CreateUncertain) as info:
        client.create("buy milk")
    assert KEY not in everything_said_by(info.value)


@both
@whatever
@pytest.mark.parametrize("hook", ["request", "response"])
def test_error_of_a_callers_hook_is_a_lost_response(kind: str, raised: Callable[[], Exception], hook: str) -> None:
    def fail(_: object) -> None:
        raise raised()

    with client_of(kind, lambda _: httpx2.Response(200, json="running"), **{hook: [fail]}) as client:
        for ask in (client.task("t").status, client.task("t").wait, lambda: list(client.list())):
            with pytest.raises(NoResponse) as info:
                ask()
            assert KEY not in everything_said_by(info.value)


@both
def test_transport_error_is_the_cause_if_it_contains_no_key(kind: str) -> None:
    for raised, is_kept in ((RAISED["a closed loop"], True), (RAISED["value"], False)):
        with client_of(kind, Breaking(raised)) as client, pytest.raises(CreateUncertain) as info:
            client.create("buy milk")
        cause = info.value.__cause__
        assert type(raised()).__name__ in str(cause)
        assert cause is not None
        assert isinstance(cause.__cause__, type(raised())) is is_kept


@both
@pytest.mark.parametrize("raised", [Unheard, lambda: ExceptionGroup("several", [OSError("one"), Unheard()])])
def test_unexpected_exception_reaches_the_caller_unchanged(kind: str, raised: Callable[[], Exception]) -> None:
    own = raised()
    service = Breaking(lambda: own)
    with client_of(kind, service) as client:
        task = client.task("t")
        with pytest.raises(type(own)) as info:
            task.pause()
        assert info.value is own
        left = task.journal.load().open_command
        assert left is not None
        assert left.lease is None
        with pytest.raises(type(own)):
            client.create("buy milk")
        service.raised = RAISED["os"]
        assert task.stop().state == "stopped"
        (create,) = client.recover()
        assert isinstance(create.error, CreateUncertain)


class Broken(ssl.SSLContext):
    """Breaks after the connection is made, and before the request is sent."""

    def wrap_socket(self, *_: Any, **__: Any) -> Any:
        raise ValueError("server_hostname cannot be an empty string")

    def wrap_bio(self, *_: Any, **__: Any) -> Any:
        raise ValueError("server_hostname cannot be an empty string")


@both
def test_failure_before_sending_is_not_connected(kind: str, serve: Serve) -> None:
    server = serve(V1Service())
    settings: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url.replace("http:", "https:"), "timing": QUICK}
    broken = Broken(ssl.PROTOCOL_TLS_CLIENT)
    if kind == "async":
        client: AnyClient = BlockingClient("v1", http_settings={"verify": broken}, **settings)
    else:
        client = Client("v1", **settings, http=httpx2.Client(verify=broken))
    with client, pytest.raises(NotConnected, match="ValueError"):
        client.task("t").status()
    assert server.seen == []


# --- what breaks a request off ------------------------------------------------------------------


@both
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, SoftTimeLimit, asyncio.CancelledError])
@pytest.mark.parametrize("while_handling", [None, httpx2.ReadError, Unheard, ValueError])
def test_interrupted_request_does_not_show_the_key(
    kind: str, raised: type[BaseException], while_handling: type[Exception] | None
) -> None:
    def break_off(request: httpx2.Request) -> httpx2.Response:
        key = request.headers["authorization"]  # as httpx2's own frames hold it
        if while_handling is None:
            raise raised
        error = httpx2.ReadError("no", request=request) if while_handling is httpx2.ReadError else while_handling()
        error.args = (*error.args, key) if while_handling is ValueError else error.args
        try:
            raise error
        finally:
            raise raised

    with client_of(kind, break_off) as client, pytest.raises(raised) as found:
        client.task("t").status()
    assert KEY not in everything_said_by(found.value)


# --- clients that are closed --------------------------------------------------------------------


@both
@pytest.mark.parametrize("whose", ["ours", "the caller's"])
def test_a_closed_client_is_refused_before_anything_is_recorded(kind: str, whose: str) -> None:
    journal = MemoryJournal()
    settings: dict[str, Any] = {"api_key": KEY, "base_url": "http://127.0.0.1:9", "journal": journal}
    if kind == "async":
        with BlockingClient(
            "v1", http_settings={}, **settings, **({"http": None} if whose == "ours" else {})
        ) as client:
            refuse_all(client, journal)
        return
    http = None if whose == "ours" else httpx2.Client(verify=NO_CERTIFICATES)
    blocking = Client("v1", **settings, http=http)
    (http or blocking).close()
    refuse_all(blocking, journal)


def refuse_all(client: AnyClient, journal: MemoryJournal) -> None:
    client.close()
    task = client.task("t")
    asks: list[Callable[[], object]] = [
        *(task.stop, task.pause, task.recover, task.status, task.details, task.wait, task.allowed),
        *(lambda: client.create("buy milk"), lambda: list(client.list())),
    ]
    for ask in asks:
        with pytest.raises(ClientUnusable, match="closed") as info:
            ask()
        assert isinstance(info.value, LifecycleError | RuntimeError)
    assert task.journal.load().version == 0
    assert journal.open_tasks(task.lifecycle) == []


def test_a_client_that_is_closed_in_the_middle_has_not_sent(serve: Serve) -> None:
    def key() -> str:
        if task.journal.load().open_command is not None:  # its attempt is recorded, and not yet sent
            client.close()
        return KEY

    with Client("v1", api_key=key, base_url=serve(V1Service()).base_url, timing=QUICK) as client:
        task = client.task("t")
        task.status()
        with pytest.raises(ClientUnusable):
            task.pause()
        assert lives(task.journal) == [("pause", QUICK.attempts + 1, "abandoned")]


# --- event loops --------------------------------------------------------------------------------


@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_one_client_serves_one_event_loop_after_the_other(emulator: Emulator) -> None:
    client = AsyncClient("v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK)

    async def commanded() -> str:
        task = await client.create("buy milk")
        emulator.fire(task.id, "start")
        await task.pause()
        await task.resume()
        return (await task.stop()).state

    assert [asyncio.run(commanded()) for _ in range(3)] == ["stopped"] * 3
    gc.collect()  # what is not closed would warn

    async def closed() -> None:
        await client.close()
        with pytest.raises(ClientUnusable):
            await client.task("t").status()

    asyncio.run(closed())


@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_the_connections_of_an_event_loop_are_closed_when_it_ends(serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    client = AsyncClient("v1", api_key=KEY, base_url=server.base_url, timing=QUICK)
    for _ in range(3):
        asyncio.run(client.task("t").status())
        until_s = time.monotonic() + 20
        while server.connections:
            assert time.monotonic() < until_s
            time.sleep(0.005)
    gc.collect()


@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_one_client_serves_two_event_loops_at_a_time(serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running", delay_s=0.01))
    client = AsyncClient("v1", api_key=KEY, base_url=server.base_url, timing=QUICK)
    states: list[str] = []
    closed, asked = threading.Event(), threading.Barrier(3)

    async def asks() -> None:
        states.extend([await client.task("t").status() for _ in range(20)])
        await asyncio.to_thread(asked.wait, 20)
        await asyncio.to_thread(closed.wait, 20)
        with pytest.raises(ClientUnusable):
            await client.task("t").status()

    threads = [threading.Thread(target=lambda: asyncio.run(asks())) for _ in range(2)]
    for thread in threads:
        thread.start()
    asked.wait(20)
    assert server.connections == 2
    asyncio.run(client.close())
    until_s = time.monotonic() + 20
    while server.connections:
        assert time.monotonic() < until_s
        time.sleep(0.005)
    closed.set()
    for thread in threads:
        thread.join()
    assert states == ["running"] * 40
    gc.collect()


def test_the_callers_own_client_is_refused_in_another_event_loop() -> None:
    journal = MemoryJournal()
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json="running")))
    clients = [AsyncClient("v1", api_key=KEY, journal=journal, http=http) for _ in range(2)]
    asyncio.run(clients[0].task("t").status())

    async def refused() -> None:
        for client in clients:
            with pytest.raises(ClientUnusable, match="another event loop; give one for each loop, or none"):
                await client.task("u").stop()

    asyncio.run(refused())
    assert journal.task(V1_FULL, "u").load().version == 0
