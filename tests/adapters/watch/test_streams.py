"""Streams of watched tasks: a faster channel for the same observations, whatever a service sends in them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import MemoryJournal
from lifecycle.catalog import A2AState
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Authentication, HttpError, Timing
from lifecycle_adapters.services import service
from lifecycle_adapters.watch import Change, Event, Pace, Watcher, watch
from tests.adapters.watch.worlds import KEY, run, unlimited, until

RARE = Pace(working_s=60.0, resting_s=60.0, longest_s=60.0, growth=1.0, jitter=0.0)
TIMING = Timing(request_timeout_s=5.0, max_response_bytes=1000, attempts=1)
SETTLED = tuple(
    A2AState(f"TASK_STATE_{each}")
    for each in ("INPUT_REQUIRED", "AUTH_REQUIRED", "COMPLETED", "FAILED", "CANCELED", "REJECTED")
)
A2A = replace(service("a2a"), authentication=Authentication("Authorization", prefix="Bearer "))


class Agent(httpx2.AsyncByteStream):
    """An A2A agent in memory. `state` is what a read shows, `pieces` yields a stream's bytes; `calls` have times."""

    def __init__(self, pieces: Callable[[Agent], AsyncGenerator[bytes]] | None = None) -> None:
        self.state = "TASK_STATE_WORKING"
        self.pieces = pieces
        self.calls: list[tuple[float, str]] = []
        self.open = 0
        self.refusal: httpx2.Response | None = None
        self.kind = "text/event-stream; charset=utf-8"

    async def respond(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append((asyncio.get_running_loop().time(), request.url.path))
        if not request.url.path.endswith(":subscribe"):
            return httpx2.Response(200, json={"id": "t7", "status": {"state": self.state}})
        if self.refusal is not None:
            return self.refusal
        return httpx2.Response(200, headers={"Content-Type": self.kind}, stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert self.pieces is not None
        self.open += 1
        try:
            async with aclosing(self.pieces(self)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self.open -= 1

    @property
    def opened_s(self) -> list[float]:
        return [at_s for at_s, path in self.calls if path.endswith(":subscribe")]

    @property
    def reads_s(self) -> list[float]:
        return [at_s for at_s, path in self.calls if not path.endswith(":subscribe")]


def event(state: str, *, task_id: str = "t7", at: str | None = None) -> bytes:
    status = {"state": f"TASK_STATE_{state}", **({} if at is None else {"timestamp": at})}
    return b"data: " + json.dumps({"statusUpdate": {"taskId": task_id, "status": status}}).encode() + b"\n\n"


async def events_of(
    agent: Agent, journal: MemoryJournal | None = None, *, for_s: float = 1000.0, pace: Pace = RARE
) -> list[Event]:
    """Watch the agent's task until it is over, at most for these seconds, and return the events."""
    found: list[Event] = []
    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(agent.respond)) as http,
        AsyncClient(
            A2A, base_url="http://agent", api_key=KEY, http=http, timing=TIMING, journal=journal or MemoryJournal()
        ) as client,
    ):
        try:
            async with (
                asyncio.timeout(for_s),
                Watcher(client, pace=pace, throttle=unlimited(), streams=1) as watcher,
            ):
                watcher.add("t7")
                async for each in watcher.changes():  # an ended comprehension would lose what it has
                    found.append(each)  # noqa: PERF401
        except TimeoutError:
            pass
        await asyncio.sleep(0.1)
    assert agent.open == 0, "a stream was left open"
    return found


def states(events: list[Event]) -> list[str]:
    return [str(each.state).removeprefix("TASK_STATE_") for each in events if isinstance(each, Change)]


def test_change_in_a_stream_is_seen_at_once_and_recorded_as_pushed() -> None:
    async def pieces(_: Agent) -> AsyncGenerator[bytes]:
        await asyncio.sleep(1)
        yield event("WORKING")
        await asyncio.Event().wait()

    agent, journal = Agent(pieces), MemoryJournal()
    agent.state = "TASK_STATE_SUBMITTED"

    found = run(events_of(agent, journal, for_s=2.0))

    assert states(found) == ["SUBMITTED", "WORKING"]
    assert [each.channel for each in found if isinstance(each, Change)] == ["api", "stream"]
    assert len(agent.reads_s) == 1
    assert journal.task(A2A.lifecycle, "t7").load().state == A2AState.WORKING


@pytest.mark.parametrize("state", ["COMPLETED", "INPUT_REQUIRED"])
def test_settled_state_in_a_stream_is_read_at_once_and_recorded_as_read(state: str) -> None:
    async def pieces(agent: Agent) -> AsyncGenerator[bytes]:
        await asyncio.sleep(1)
        agent.state = f"TASK_STATE_{state}"
        yield event(state)
        await asyncio.Event().wait()

    agent, journal = Agent(pieces), MemoryJournal()

    found = run(events_of(agent, journal, for_s=2.0))

    assert states(found) == ["WORKING", state]
    assert [each.channel for each in found if isinstance(each, Change)] == ["api", "api"]
    assert len(agent.reads_s) == 2
    assert journal.task(A2A.lifecycle, "t7").load().state == A2AState(f"TASK_STATE_{state}")


def test_end_reported_only_by_a_stream_is_polled_for() -> None:
    """The agent's stream is ahead of its reads, and says nothing more."""

    async def pieces(agent: Agent) -> AsyncGenerator[bytes]:
        await asyncio.sleep(1)
        yield event("WORKING")
        yield event("COMPLETED")
        await asyncio.sleep(2)
        agent.state = "TASK_STATE_COMPLETED"
        await asyncio.Event().wait()

    agent = Agent(pieces)

    found = run(events_of(agent, pace=replace(RARE, working_s=5.0, resting_s=5.0)))

    assert states(found) == ["WORKING", "COMPLETED"]
    assert agent.calls[-1][0] < 7


def test_report_inside_a_cycle_is_confirmed_by_a_read() -> None:
    """Working and asking alternate: only a read shows whether a report is new or late."""

    async def pieces(agent: Agent) -> AsyncGenerator[bytes]:
        await asyncio.sleep(1)
        agent.state = "TASK_STATE_INPUT_REQUIRED"
        yield event("INPUT_REQUIRED")
        await asyncio.sleep(1)
        agent.state = "TASK_STATE_COMPLETED"
        yield event("WORKING", at="2020-01-01T00:00:00Z")
        await asyncio.Event().wait()

    agent = Agent(pieces)

    found = [each for each in run(events_of(agent)) if isinstance(each, Change)]

    assert states([*found]) == ["WORKING", "INPUT_REQUIRED", "INPUT_REQUIRED", "COMPLETED"]
    assert [each.channel for each in found] == ["api", "api", "stream", "api"]
    assert [each.unconfirmed for each in found] == [False, False, True, False]
    assert agent.calls[-1][0] < 3


async def _garbage(_: Agent) -> AsyncGenerator[bytes]:
    yield b"data: {]\n\n"
    yield event("COMPLETED")


async def _no_status(_: Agent) -> AsyncGenerator[bytes]:
    yield b'data: {"statusUpdate": {"taskId": "t7"}}\n\n'
    yield event("COMPLETED")


async def _another_task(_: Agent) -> AsyncGenerator[bytes]:
    yield event("COMPLETED", task_id="t8")
    yield event("COMPLETED")


async def _too_large(_: Agent) -> AsyncGenerator[bytes]:
    while True:
        yield b"data: " + b"x" * 200 + b"\n"


async def _silent(_: Agent) -> AsyncGenerator[bytes]:
    yield b": hello\n\n"
    await asyncio.Event().wait()
    yield event("COMPLETED")


async def _cut(_: Agent) -> AsyncGenerator[bytes]:
    yield event("COMPLETED")[:-1]


async def _broken(_: Agent) -> AsyncGenerator[bytes]:
    yield b": hello\n\n"
    raise httpx2.ReadError("connection reset")


@pytest.mark.parametrize("pieces", [_garbage, _no_status, _another_task, _too_large, _silent, _cut, _broken])
def test_unusable_stream_is_reopened_with_a_growing_backoff(
    pieces: Callable[[Agent], AsyncGenerator[bytes]],
) -> None:
    agent = Agent(pieces)

    found = run(events_of(agent, for_s=600.0))

    assert states(found) == ["WORKING"]
    assert 5 < len(agent.opened_s) < 130  # at least one a minute, and no more than a silence of 5 s allows
    assert len(agent.reads_s) > 5


def test_reads_detect_an_end_that_the_stream_hides() -> None:
    """A stream that says nothing of the end, and never ends itself."""

    async def pieces(agent: Agent) -> AsyncGenerator[bytes]:
        while True:
            await asyncio.sleep(2)
            agent.state = "TASK_STATE_FAILED"
            yield event("WORKING")

    agent = Agent(pieces)

    assert states(run(events_of(agent))) == ["WORKING", "FAILED"]
    assert agent.calls[-1][0] <= 63


SENT = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 20.0]),
        st.sampled_from([each.removeprefix("TASK_STATE_") for each in A2AState])
        | st.sampled_from([b": ping\n\n", b"data: {}\n\n", b"data: no JSON\n\n", b"data"]),
        st.sampled_from([None, "2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z", "2999-01-01T00:00:00Z"]),
    ),
    max_size=6,
)


@given(sent=st.lists(SENT, min_size=1, max_size=3), ended_s=st.sampled_from([0.0, 10.0, 100.0]))
def test_late_or_false_stream_statuses_neither_cause_nor_hide_an_end(
    sent: list[list[tuple[float, str | bytes, str | None]]], ended_s: float
) -> None:
    """The reads show one end at one time, whatever the streams say before and after that."""
    streams = iter(sent)

    async def pieces(_: Agent) -> AsyncGenerator[bytes]:
        for pause_s, what, at in next(streams, list[Any]()):
            await asyncio.sleep(pause_s)
            yield what if isinstance(what, bytes) else event(what, at=at)

    async def work() -> list[Event]:
        agent = Agent(pieces)
        asyncio.get_running_loop().call_later(ended_s, setattr, agent, "state", "TASK_STATE_COMPLETED")
        found = await events_of(agent, journal)
        assert agent.reads_s[-1] >= ended_s
        return found

    journal = MemoryJournal()
    found = [each for each in run(work()) if isinstance(each, Change)]

    assert [(each.state, each.channel) for each in found if each.is_over] == [(A2AState.COMPLETED, "api")]
    assert states([*found])[-1] == "COMPLETED"
    assert all(each.channel == "api" for each in found if each.before != each.state and each.state in SETTLED)
    assert journal.task(A2A.lifecycle, "t7").load().state == A2AState.COMPLETED


@pytest.mark.parametrize(
    "refusal",
    [
        httpx2.Response(400, json={"error": {"message": "UNSUPPORTED_OPERATION"}}),
        httpx2.Response(503, headers={"Retry-After": "120"}),
        httpx2.Response(401),
        httpx2.Response(200, json={"id": "t7"}),
        httpx2.Response(204),
    ],
    ids=["unsupported", "not now", "no key", "no stream", "nothing"],
)
def test_reads_continue_if_the_stream_is_refused(refusal: httpx2.Response) -> None:
    agent = Agent()
    agent.refusal = refusal

    found = run(events_of(agent, for_s=300.0))

    assert states(found) == ["WORKING"]
    assert 1 < len(agent.opened_s) < 30
    pauses = [later - earlier for earlier, later in zip(agent.opened_s, agent.opened_s[1:], strict=False)]
    assert refusal.status_code != 503 or min(pauses) >= 120


def test_streams_of_more_tasks_than_allowed_wait_for_their_turn() -> None:
    async def work() -> None:
        most = 0

        async def respond(request: httpx2.Request) -> httpx2.Response:
            nonlocal most
            task_id = request.url.path.split("/")[2].partition(":")[0]
            if not request.url.path.endswith(":subscribe"):
                state = "COMPLETED" if task_id in completed else "WORKING"
                return httpx2.Response(200, json={"id": task_id, "status": {"state": f"TASK_STATE_{state}"}})

            async def pieces(_: Agent) -> AsyncGenerator[bytes]:
                await asyncio.sleep(1)
                completed.add(task_id)
                yield event("COMPLETED", task_id=task_id)
                await asyncio.Event().wait()

            agents.append(Agent(pieces))
            most = max(most, 1 + sum(each.open for each in agents))
            return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=agents[-1])

        agents, completed = list[Agent](), set[str]()
        async with (
            httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as http,
            AsyncClient(A2A, base_url="http://agent", api_key=KEY, http=http, timing=TIMING) as client,
        ):
            ids = [f"t{number}" for number in range(6)]
            found = [each async for each in watch(client, ids, pace=RARE, throttle=unlimited(), streams=2)]
        assert sum(isinstance(each, Change) and each.is_over for each in found) == 6
        assert most == 2

    run(work())


def test_stream_of_a_discarded_task_is_closed() -> None:
    async def work() -> None:
        agent = Agent(_silent)
        async with (
            httpx2.AsyncClient(transport=httpx2.MockTransport(agent.respond)) as http,
            AsyncClient(A2A, base_url="http://agent", api_key=KEY, http=http, timing=TIMING) as client,
            Watcher(client, pace=RARE, throttle=unlimited(), streams=1) as watcher,
        ):
            watcher.add("t7")
            await asyncio.sleep(1)
            assert agent.open == 1
            watcher.discard("t7")
            await asyncio.sleep(1)
            assert (agent.open, len(agent.opened_s)) == (0, 1)

    run(work())


def test_key_is_in_no_event_error_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def pieces(_: Agent) -> AsyncGenerator[bytes]:
        yield event("WORKING") + b"data: " + KEY.encode() + b"\n\n"
        raise httpx2.ReadError(f"lost {KEY}")

    async def work() -> None:
        agent = Agent(pieces)
        async with (
            httpx2.AsyncClient(transport=httpx2.MockTransport(agent.respond)) as http,
            AsyncClient(A2A, base_url="http://agent", api_key=KEY, http=http, timing=TIMING) as client,
        ):
            async with aclosing(client.stream("t7")) as events:
                seen = [await anext(events), await anext(events)]
                with pytest.raises(HttpError) as broken:
                    await anext(events)
            assert KEY.encode() not in seen[1]
            assert KEY not in repr(broken.value) + repr(broken.value.__cause__)
        await events_of(agent, for_s=5.0)

    run(work())
    assert KEY not in caplog.text + str([vars(each) for each in caplog.records])


@pytest.mark.parametrize(
    ("api", "streams", "expected"),
    [("v2", 1, "v2 has no streams"), ("a2a", 65, "streams must be"), ("a2a", -1, "streams must be")],
)
def test_streams_are_refused_for_services_without_streams(api: str, streams: int, expected: str) -> None:
    async def work() -> None:
        async with AsyncClient(api, base_url="http://127.0.0.1:9", api_key="k" if api == "v2" else None) as client:
            with pytest.raises(ValueError, match=expected):
                Watcher(client, streams=streams)
            if api == "v2":
                with pytest.raises(ValueError, match="its binding declares no `stream`"):
                    await anext(client.stream("t7"))

    run(work())


# --- the emulator -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _running() -> Iterator[Emulator]:
    with Emulator("a2a", manual=True) as emulator:
        yield emulator


@pytest.mark.parametrize("fault", [None, "late", "doubled", "out_of_order", "lost", "cut"])
def test_disturbed_stream_of_the_emulator_changes_no_outcome(emulator: Emulator, fault: str | None) -> None:
    """The first change is disturbed; all others arrive, or a read finds them."""

    async def work() -> list[Event]:
        pace = replace(RARE, longest_s=0.5)
        async with AsyncClient("a2a", base_url=emulator.base_url) as client:
            task = await client.create(parts=[{"text": "Book a flight"}])
            if fault is not None:
                delay = {"seconds": 0.1} if fault == "late" else {}
                emulator.webhook_fault(fault, channel="stream", task=task.id, **delay)
            async with Watcher(client, pace=pace, throttle=unlimited(), streams=1) as watcher:
                watcher.add(task.id)
                await until(lambda: "stream" in [call.call for call in emulator.calls()])
                for event in ("work", "ask", "complete"):
                    emulator.fire(task.id, event)
                return [each async for each in watcher.changes()]

    found = asyncio.run(work())

    assert states(found)[-1] == "COMPLETED"
    assert all(isinstance(each, Change) for each in found)


def test_stream_begins_with_the_task_and_ends_with_it(emulator: Emulator) -> None:
    """ "MUST return a Task object as the first event", and "MUST terminate when the task reaches a terminal state"."""

    async def work() -> list[Any]:
        async with AsyncClient("a2a", base_url=emulator.base_url) as client:
            task = await client.create(parts=[{"text": "Book a flight"}])
            found: list[Any] = []
            async with aclosing(client.stream(task.id)) as events:
                async for data in events:
                    found.append(json.loads(data))
                    if len(found) == 1:
                        emulator.fire(task.id, "work")
                        emulator.fire(task.id, "complete")
            with pytest.raises(HttpError, match="stream is not possible in TASK_STATE_COMPLETED"):
                await anext(client.stream(task.id))
            return found

    first, *updates = asyncio.run(work())

    assert first["task"]["status"]["state"] == "TASK_STATE_SUBMITTED"
    assert [each["statusUpdate"]["status"]["state"] for each in updates] == [
        "TASK_STATE_WORKING",
        "TASK_STATE_COMPLETED",
    ]
    assert [(each.channel, each.status) for each in emulator.webhooks()] == [
        ("stream", "TASK_STATE_WORKING"),
        ("stream", "TASK_STATE_COMPLETED"),
    ]
