"""A journal has the tasks of a service at one server; a client of another one changes nothing, here or there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lifecycle import V1_FULL, CommandUncertain, MemoryJournal, OtherServer, get
from lifecycle.journal import Journal, Server
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.watch import Watcher
from tests.adapters.http.both import KEY, QUICK, AnyClient
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen

OpenJournal = Callable[[], Journal]


class Numbered:
    """A v1 service that numbers its tasks from 1, as every other one does."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.seen: list[str] = []
        self.drops = False

    def __call__(self, seen: Seen) -> Reply:
        command = seen.path.removeprefix("/api/v1/")
        self.seen.append(f"{seen.method} {command}")
        if self.drops:
            return Reply(drops=True)
        if command == "run-task":
            number = str(len(self.states) + 1)
            self.states[number] = "running"
            return Reply(body={"id": number})
        if command.startswith("task/"):
            return Reply(body=self.states[command.split("/")[1]])
        task = seen.query.removeprefix("task_id=")
        self.states[task] = get("v1-full").step(self.states[task], command.removesuffix("-task"))
        return Reply()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenJournal]:
    """Open the test's journal once more, as another program would; one in memory is the same object."""
    if request.param == "memory":
        memory = MemoryJournal()
        yield lambda: memory
        return
    url = tmp_path / "j.db" if request.param == "sqlite" else request.getfixturevalue("postgres_journal_url")
    with ExitStack() as opened:
        yield lambda: opened.enter_context(SqlJournal(url))


@pytest.fixture
def services() -> tuple[Numbered, Numbered]:
    return Numbered(), Numbered()


@pytest.fixture
def servers(serve: Serve, services: tuple[Numbered, Numbered]) -> tuple[ScriptedServer, ScriptedServer]:
    ours, other = services
    return serve(ours), serve(other)


ACTS: dict[str, Callable[[AnyClient], Any]] = {
    "create": lambda client: client.create("a letter"),
    "create with the key of another": lambda client: client.create("a letter", idempotency_key="one"),
    "recover": lambda client: client.recover(),
    "adopt": lambda client: client.adopt_create("1", "1"),
    "abandon a create": lambda client: client.abandon_create("1"),
    "status": lambda client: client.task("1").status(),
    "known state": lambda client: client.task("1").known_state(),
    "allowed": lambda client: client.task("1").allowed(),
    "send": lambda client: client.task("1").send("stop"),
    "send with a key": lambda client: client.task("1").send("stop", idempotency_key="two"),
    "wait": lambda client: client.task("1").wait(),
    "recover a task": lambda client: client.task("1").recover(),
    "abandon a command": lambda client: client.task("1").abandon_command(),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_client_of_another_server_does_nothing(
    connect: Connect,
    servers: tuple[ScriptedServer, ScriptedServer],
    services: tuple[Numbered, Numbered],
    open_journal: OpenJournal,
    act: Callable[[AnyClient], Any],
) -> None:
    (ours, other), (service, foreign) = servers, services
    foreign.states["1"] = "finished"
    journal = open_journal()
    task = connect("v1", ours.base_url, journal=journal).create("a letter", idempotency_key="one")
    service.drops = True
    with pytest.raises(CommandUncertain):
        task.send("stop", idempotency_key="two")
    before = journal.task(V1_FULL, "1").load()

    with pytest.raises(OtherServer) as info:
        act(connect("v1", other.base_url, journal=open_journal()))

    assert (info.value.lifecycle, info.value.server, info.value.recorded) == (
        "v1-full",
        other.base_url,
        (ours.base_url,),
    )
    assert [each for each in foreign.seen if not each.startswith("GET")] == []
    assert journal.task(V1_FULL, "1").load() == before
    assert [*journal.creates(V1_FULL).unfinished()] == []


def test_another_program_continues_at_the_same_server(
    connect: Connect,
    servers: tuple[ScriptedServer, ScriptedServer],
    services: tuple[Numbered, Numbered],
    open_journal: OpenJournal,
) -> None:
    ours, service = servers[0], services[0]
    task = connect("v1", ours.base_url, journal=open_journal()).create("a letter")
    service.drops = True
    with pytest.raises(CommandUncertain):
        task.send("stop")
    service.drops = False

    # The same server, as other people write it.
    urls = [ours.base_url.upper().replace("HTTP", "http"), f"{ours.base_url}/", f"{ours.base_url}/api/v1"]
    for each in urls:
        connect("v1", each, journal=open_journal()).recover()

    assert service.states == {"1": "stopped"}


def test_added_server_has_the_tasks(
    connect: Connect,
    servers: tuple[ScriptedServer, ScriptedServer],
    services: tuple[Numbered, Numbered],
    open_journal: OpenJournal,
) -> None:
    (old, new), (service, _) = servers, services
    connect("v1", old.base_url, journal=open_journal()).create("a letter", idempotency_key="one")
    moved = connect("v1", new.base_url, journal=open_journal())
    services[1].states = service.states

    for _ in range(2):  # to add it again changes nothing
        moved.add_server()
    connect("v1", new.base_url, journal=open_journal()).task("1").send("stop")

    assert service.states == {"1": "stopped"}
    assert connect("v1", old.base_url, journal=open_journal()).task("1").status() == "stopped"
    third = connect("v1", "http://127.0.0.1:9", journal=open_journal())
    with pytest.raises(OtherServer) as info:
        third.task("1").known_state()
    assert info.value.recorded == (old.base_url, new.base_url)


def test_server_can_be_added_before_anything_is_recorded(connect: Connect, open_journal: OpenJournal) -> None:
    connect("v1", "http://127.0.0.1:9", journal=open_journal()).add_server()

    with pytest.raises(OtherServer):
        connect("v1", "http://127.0.0.1:10", journal=open_journal()).create("a letter")


@pytest.mark.parametrize(
    "url",
    [
        "HTTP://Host.Example",
        "http://host.example:80",
        "http://host.example:",
        "http://host.example/",
        "http://host.example:080",
    ],
)
def test_ways_to_write_a_url_are_one_server(url: str) -> None:
    assert Client("v1", api_key=KEY, base_url=url).base_url == "http://host.example"


def test_port_of_another_scheme_is_part_of_the_server() -> None:
    assert Client("v1", api_key=KEY, base_url="https://host.example:80").base_url == "https://host.example:80"
    assert Client("v1", api_key=KEY, base_url="https://[::1]:443/x").base_url == "https://[::1]/x"
    assert Client("v1", api_key=KEY, base_url="https://[::1]:08080").base_url == "https://[::1]:8080"


def test_two_first_clients_do_not_both_record_their_server(open_journal: OpenJournal) -> None:
    count, rounds = 4, 5
    for number in range(rounds):
        lifecycles = [V1_FULL.replace(name=f"{name}-{number}") for name in ("v1", "session")]
        journals = [open_journal() for _ in range(count)]
        start = threading.Barrier(count)

        def first(at: int, lifecycles: Any = lifecycles, journals: Any = journals, start: Any = start) -> bool:
            server = Server(f"http://host-{at}", tuple(each.name for each in lifecycles))
            start.wait()
            try:
                journals[at].creates(lifecycles[at % 2], server=server).add({}, labels={})
            except OtherServer:
                return False
            return True

        with ThreadPoolExecutor(count) as threads:
            assert sum(threads.map(first, range(count))) == 1


ON_A_SESSION: dict[str, Callable[[Any], Any]] = {
    "v2": lambda session: (session.known_state(), session.status()),
    "v4": lambda session: session.queue("and bread"),
}


@pytest.mark.parametrize("api", ON_A_SESSION)
def test_sessions_and_messages_are_at_the_same_server(connect: Connect, open_journal: OpenJournal, api: str) -> None:
    with Emulator() as ours, Emulator() as other:
        task = connect(api, ours.base_url, journal=open_journal()).create("buy milk")
        session: Any = connect(api, ours.base_url, journal=open_journal()).task(task.id).session()
        foreign = connect(api, other.base_url, journal=open_journal())
        with pytest.raises(OtherServer):
            foreign.create("buy milk")
        with pytest.raises(OtherServer):
            ON_A_SESSION[api](foreign.session(session.id))  # of which the journal has recorded nothing yet
        assert [each for each in other.calls() if each.method != "GET"] == []
        foreign.add_server()
        foreign.create("buy milk")
        act = ON_A_SESSION[api]
        act(session)
        with pytest.raises(OtherServer):
            act(connect(api, "http://127.0.0.1:9", journal=open_journal()).session(session.id))


def test_watcher_at_another_server_ends_with_the_error(
    servers: tuple[ScriptedServer, ScriptedServer], open_journal: OpenJournal
) -> None:
    async def watched() -> None:
        ours, other = servers
        async with (
            AsyncClient("v1", api_key=KEY, base_url=ours.base_url, timing=QUICK, journal=open_journal()) as client,
            AsyncClient("v1", api_key=KEY, base_url=other.base_url, timing=QUICK, journal=open_journal()) as foreign,
        ):
            task = await client.create("a letter")
            async with Watcher(foreign) as watcher:
                watcher.add(task.id)
                await watcher.finished()

    with pytest.raises(OtherServer):
        asyncio.run(watched())


def test_watcher_records_its_server(
    servers: tuple[ScriptedServer, ScriptedServer], services: tuple[Numbered, Numbered], open_journal: OpenJournal
) -> None:
    for each in services:
        each.states["1"] = "finished"

    async def watched(server: ScriptedServer) -> None:
        async with (
            AsyncClient("v1", api_key=KEY, base_url=server.base_url, timing=QUICK, journal=open_journal()) as client,
            Watcher(client) as watcher,
        ):
            watcher.add("1")
            await watcher.finished()

    asyncio.run(watched(servers[0]))
    with pytest.raises(OtherServer):
        asyncio.run(watched(servers[1]))
