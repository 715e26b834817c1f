"""Features of the asynchronous client alone: many tasks at once, cancellation, callbacks that are awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from lifecycle import CommandInFlight, CommandUncertain, UnknownName
from lifecycle.effects import Progress
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, AsyncTask, TaskResult, Timing
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES, Serve
from tests.adapters.http.scripted import Reply, Seen
from tests.adapters.http.test_answers import V1Service, lives


@asynccontextmanager
async def opened(api: str, base_url: str, *, timing: Timing = QUICK) -> AsyncGenerator[AsyncClient]:
    async with (
        httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
        AsyncClient(api, api_key=KEY, base_url=base_url, timing=timing, http=http) as client,
    ):
        yield client


def test_many_tasks_run_concurrently(emulator: Emulator) -> None:
    async def one(client: AsyncClient, number: int) -> str:
        task = await client.create(f"buy {number} bottles of milk")
        await asyncio.to_thread(emulator.fire, task.id, "start")
        await task.pause()
        await task.resume()
        if number % 2:
            await task.stop()
        else:
            await asyncio.to_thread(emulator.fire, task.id, "finish")
        result: TaskResult[str] = await task.wait(timeout_s=20)
        return result.state

    async def everything() -> list[str]:
        async with opened("v1", emulator.base_url) as client:
            return await asyncio.gather(*(one(client, number) for number in range(40)))

    assert asyncio.run(everything()) == ["finished", "stopped"] * 20
    assert all(call.applied for call in emulator.calls() if call.command)


def test_commands_of_one_task_take_turns(emulator: Emulator) -> None:
    async def everything() -> Any:
        async with opened("v1", emulator.base_url) as client:
            task = await client.create("buy milk")
            await asyncio.to_thread(emulator.fire, task.id, "start")
            await task.status()
            return await asyncio.gather(*(task.pause() for _ in range(5)), return_exceptions=True)

    came = asyncio.run(everything())
    assert sum(not isinstance(each, CommandInFlight) and each.sent for each in came) == 1
    assert [call.command for call in emulator.calls() if call.command] == ["pause"]


def test_commands_are_coroutines_that_asyncio_makes_tasks_of(emulator: Emulator) -> None:
    async def everything() -> list[str]:
        async with opened("v4", emulator.base_url) as client:
            runs = [await client.create("buy milk") for _ in range(3)]
            async with asyncio.TaskGroup() as group:
                cancels = [group.create_task(run.cancel()) for run in runs]
            return [cancel.result().state for cancel in cancels]

    assert asyncio.run(everything()) == ["cancelled"] * 3


def test_an_unknown_command_raises_at_the_call_and_not_when_awaited() -> None:
    async def everything() -> None:
        async with opened("v1", "http://127.0.0.1:1") as client:
            with pytest.raises(UnknownName):
                _ = client.task("t").cancel()

    asyncio.run(everything())


@pytest.mark.parametrize("is_async", [True, False])
def test_progress_may_be_reported_to_a_coroutine(emulator: Emulator, is_async: bool) -> None:
    told: list[str | None] = []

    def tell(progress: Progress[str]) -> None:
        told.append(progress.state)

    async def tell_later(progress: Progress[str]) -> None:
        await asyncio.sleep(0.01)
        told.append(progress.state)

    async def everything() -> None:
        async with opened("v3", emulator.base_url) as client:
            session = await client.create()
            await asyncio.to_thread(emulator.fire, session.id, "ready")
            await session.wait(timeout_s=60, on_progress=tell_later if is_async else tell)

    asyncio.run(everything())
    assert told == ["idle"]


def test_a_listing_may_be_left_early(emulator: Emulator) -> None:
    async def everything() -> list[str]:
        async with opened("v2", emulator.base_url) as client:
            made = [(await client.create("buy milk")).id for _ in range(4)]
            async with contextlib.aclosing(client.list(pageSize="1")) as listing:
                first = await anext(listing)
            assert first.id == made[-1]
            return [each.id async for each in client.list(pageSize="3")]

    assert len(asyncio.run(everything())) == 4


# --- cancellation -------------------------------------------------------------------------------


async def _cancelled(work: Coroutine[Any, Any, object], when: Callable[[], bool]) -> None:
    task = asyncio.create_task(work)
    while not when():  # noqa: ASYNC110 (what is waited for happens in the server's thread)
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("happens", [True, False])
def test_a_command_that_is_cancelled_after_sending_stays_open_until_it_is_settled(serve: Serve, happens: bool) -> None:
    server = serve(V1Service(plan=[(Reply(delay_s=0.5), happens)]))

    async def everything() -> None:
        async with opened("v1", server.base_url) as client:
            task = client.task("t")
            await _cancelled(task.pause(), lambda: bool(server.commands))
            assert lives(client.journal.task(task.lifecycle, task.id)) == [("pause", 1, "recorded")]
            with pytest.raises(CommandInFlight, match="no worker has claimed it, `recover` settles it"):
                await task.pause()
            recovered = await task.recover()
            assert recovered is not None
            assert (recovered.command, recovered.state) == ("pause", "paused")
            assert lives(client.journal.task(task.lifecycle, task.id)) == [("pause", 1 if happens else 2, "done")]
            assert (await task.resume()).state == "running"

    asyncio.run(everything())
    assert len(server.commands) == (2 if happens else 3)


def test_callers_timeout_cancels_the_command(serve: Serve) -> None:
    server = serve(V1Service(plan=[(Reply(delay_s=0.6), True)]))

    async def everything() -> None:
        async with opened("v1", server.base_url) as client:
            task = client.task("t")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await task.stop()
            assert (await task.recover()) is not None
            assert (await task.known_state()) == "stopped"

    asyncio.run(everything())
    assert len(server.commands) == 1


def test_a_command_that_is_cancelled_while_it_waits_to_be_sent_again(serve: Serve) -> None:
    service = V1Service(plan=[(Reply(status=429, headers={"Retry-After": "1.5"}), False)])
    server = serve(service)

    async def everything() -> None:
        async with opened("v1", server.base_url) as client:
            task = client.task("t")
            await _cancelled(task.stop(), lambda: len(server.commands) == 1)
            await asyncio.sleep(0.1)
            recovered = await task.recover()
            assert recovered is not None
            assert recovered.state == "stopped"
            assert lives(client.journal.task(task.lifecycle, task.id)) == [("stop", 2, "done")]

    asyncio.run(everything())


def test_a_command_that_is_cancelled_while_it_is_settled(serve: Serve) -> None:
    service = V1Service(plan=[(Reply(), False)])
    server = serve(service)

    async def everything() -> None:
        async with opened("v1", server.base_url, timing=replace(QUICK, settle_timeout_s=30)) as client:
            task = client.task("t")
            await _cancelled(task.pause(), lambda: len(server.seen) > 4)
            service.state = "paused"
            recovered = await task.recover()
            assert recovered is not None
            assert recovered.state == "paused"
            assert lives(client.journal.task(task.lifecycle, task.id)) == [("pause", 1, "done")]

    asyncio.run(everything())


def test_a_dispatch_that_is_cancelled_is_never_sent_twice(serve: Serve) -> None:
    def script(seen: Seen) -> Reply:
        return Reply(body={"id": "s", "status": "idle"}, delay_s=0.5 if seen.method == "POST" else 0.0)

    server = serve(script)

    async def everything() -> None:
        async with opened("v3", server.base_url) as client:
            session = client.task("s")
            await _cancelled(session.dispatch("buy milk"), lambda: bool(server.commands))
            with pytest.raises(CommandUncertain, match="sending it twice is not the same as once"):
                await session.recover()

    asyncio.run(everything())
    assert server.commands == ["POST /api/v3/sessions"]


def test_a_wait_that_is_cancelled_leaves_nothing_behind(emulator: Emulator) -> None:
    async def everything() -> None:
        async with opened("v1", emulator.base_url) as client:
            task = await client.create("buy milk")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task.wait(), 0.1)
            assert (await task.stop()).state == "stopped"

    asyncio.run(everything())


def test_every_method_of_a_handle_is_awaitable(emulator: Emulator) -> None:
    async def everything() -> None:
        async with opened("v1", emulator.base_url) as client:
            task: AsyncTask = await client.create("buy milk")
            answers: list[Awaitable[object]] = [task.status(), task.allowed(), task.details(), task.recover()]
            state, allowed, details, recovered = [await each for each in answers]
            assert (state, allowed, recovered) == ("created", ("stop",), None)
            assert isinstance(details, dict)

    asyncio.run(everything())
