"""Watching over real HTTP, with real journals and in real time: many tasks, several workers, cut off in the middle."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lifecycle import V1_FULL
from lifecycle.journal import Journal, Report, TaskReport
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import AsyncClient, Client
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.watch import Change, Event, Pace, PolicyAction, StopAfter, Throttle, Watcher, watch
from lifecycle_adapters.webhooks import Webhooks
from tests.adapters.http.conftest import NO_CERTIFICATES
from tests.adapters.watch.worlds import FAST, KEY, QUICK, states, tasks_of, unlimited, until
from tests.support.serving import served


@asynccontextmanager
async def opened(emulator: Emulator, journal: Journal | None = None, *, api: str = "v1") -> AsyncGenerator[AsyncClient]:
    async with (
        httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
        AsyncClient(api, api_key=KEY, base_url=emulator.base_url, http=http, journal=journal, timing=FAST) as client,
    ):
        yield client


async def created(client: AsyncClient, number: int) -> list[str]:
    return [(await client.create("buy milk")).id for _ in range(number)]


async def fire(emulator: Emulator, task_id: str, event: str) -> None:
    await asyncio.to_thread(emulator.fire, task_id, event)


@pytest.fixture(params=["memory", "sql"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
    else:
        with SqlJournal(tmp_path / "journal.db") as journal:
            yield journal


def test_hundreds_of_tasks_are_followed_to_their_ends_with_every_change_emitted_once(
    emulator: Emulator, journal: Journal
) -> None:
    """Each change causes the next: none can be missed, and none may be emitted twice."""
    number = 200 if isinstance(journal, MemoryJournal) else 60
    course = {"created": "start", "running": "finish"}
    emitted: list[Event] = []

    async def move_on(event: Event) -> None:
        emitted.append(event)
        if isinstance(event, Change) and event.state in course:
            await fire(emulator, event.task_id, course[event.state])

    async def everything() -> list[str]:
        async with opened(emulator, journal) as client:
            ids = await created(client, number)
            pace = Pace(working_s=0.3, longest_s=1.0)
            async with Watcher(client, pace=pace, throttle=unlimited(), on_event=move_on) as watcher:
                watcher.add(*ids)
                await asyncio.wait_for(watcher.finished(), 60)
            return ids

    ids = asyncio.run(everything())
    assert len(emitted) == 3 * number
    assert all(states(emitted, task_id) == ["created", "running", "finished"] for task_id in ids)
    if isinstance(journal, SqlJournal):
        assert {journal.task(V1_FULL, task_id).load().state for task_id in ids} == {"finished"}


def test_a_429_pauses_the_requests_of_all_tasks(emulator: Emulator) -> None:
    async def everything() -> None:
        async with opened(emulator) as client:
            ids = await created(client, 20)
            emulator.fault("status", method="GET", status_code=429, headers={"Retry-After": "1"})
            async with Watcher(client, pace=QUICK, throttle=Throttle(1000)) as watcher:
                watcher.add(*ids)
                await asyncio.sleep(1.5)

    asyncio.run(everything())
    reads = [call for call in emulator.calls() if call.method == "GET"]
    throttled_at = next(call.at for call in reads if call.status_code == 429)
    waits_s = [(call.at - throttled_at).total_seconds() for call in reads if call.at > throttled_at]
    assert waits_s
    assert not any(0.2 < wait_s < 0.99 for wait_s in waits_s), "but for what was under way"


@pytest.mark.parametrize("how", ["left", "cancelled", "cancelled while it ends", "closed", "raised"])
def test_every_response_is_recorded_however_watching_ends(emulator: Emulator, journal: Journal, how: str) -> None:
    async def watch_some(client: AsyncClient, ids: list[str]) -> None:
        settings: dict[str, Any] = {"pace": Pace(working_s=0.01), "throttle": unlimited()}
        if how == "closed":
            async with aclosing(watch(client, ids, **settings)) as changes:
                await anext(changes)
            return
        async with Watcher(client, **settings) as watcher:
            watcher.add(*ids)
            await asyncio.sleep(0.15)
            if how == "raised":
                raise ZeroDivisionError
            if how == "cancelled":
                await asyncio.sleep(60)

    async def everything() -> set[str]:
        async with opened(emulator, journal) as client:
            ids = await created(client, 5)
            logs = [journal.task(V1_FULL, task_id) for task_id in ids]
            for task_id in ids[1:]:
                emulator.fault("delay_after", task=task_id, method="GET", seconds=0.4)
            watching = asyncio.create_task(watch_some(client, ids))
            await asyncio.sleep(0.3)
            if how.startswith("cancelled"):
                watching.cancel()
            await asyncio.wait({watching})
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert watching.cancelled() is how.startswith("cancelled")
            if how == "raised":
                assert isinstance(watching.exception(), ZeroDivisionError)
            return {task_id for task_id, log in zip(ids, logs, strict=True) if log.load().state == "created"}

    recorded = asyncio.run(everything())
    asked = {call.task for call in emulator.calls() if call.method == "GET"}
    assert recorded == asked
    assert len(asked) == 5 or how == "closed"


_SCRIPT = """
import asyncio, signal, sys
from lifecycle_adapters.http import AsyncClient
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.watch import Pace, Throttle, Watcher

async def main(path, base_url, *task_ids):
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    with SqlJournal(path) as journal:
        async with AsyncClient("v1", api_key="any", base_url=base_url, journal=journal) as client:
            async with Watcher(client, pace=Pace(working_s=0.01), throttle=Throttle(1000)) as watcher:
                watcher.add(*task_ids)
                await watcher.finished()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.heavy), signal.SIGTERM])
def test_a_terminated_process_records_every_response(
    emulator: Emulator, tmp_path: Path, number: signal.Signals
) -> None:
    with Client("v1", api_key=KEY, base_url=emulator.base_url) as client:
        ids = [client.create("buy milk").id for _ in range(4)]
    emulator.fault("delay_after", method="GET", seconds=0.5, times=4)
    arguments = [sys.executable, "-c", _SCRIPT, str(tmp_path / "journal.db"), emulator.base_url, *ids]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE) as process:
        asyncio.run(until(lambda: sum(call.method == "GET" for call in emulator.calls()) >= 4))
        process.send_signal(number)
        _, said = process.communicate(timeout=20)

    assert process.returncode != 0
    assert (b"KeyboardInterrupt" if number is signal.SIGINT else b"CancelledError") in said
    with SqlJournal(tmp_path / "journal.db") as journal:
        assert [journal.task(V1_FULL, task_id).load().state for task_id in ids] == ["created"] * 4


def test_reports_of_other_workers_are_emitted_without_a_read(emulator: Emulator, tmp_path: Path) -> None:
    async def everything() -> list[Event]:
        with (
            SqlJournal(tmp_path / "journal.db", worker="ours") as ours,
            SqlJournal(tmp_path / "journal.db", worker="theirs") as theirs,
        ):
            async with opened(emulator, ours) as client, opened(emulator, theirs) as other:
                [task_id] = await created(client, 1)
                slow = Pace(working_s=600, resting_s=600, longest_s=600)
                async with Watcher(client, pace=slow, throttle=unlimited()) as watcher:
                    watcher.add(task_id)
                    changes = watcher.changes()
                    emitted = [await anext(changes)]
                    await fire(emulator, task_id, "start")
                    task = other.task(task_id)
                    await task.pause()
                    await task.stop()
                    emitted += [event async for event in changes]
                    return emitted

    emitted = asyncio.run(everything())
    known = states(emitted, tasks_of(emitted)[0])
    assert (known[0], known[-1]) == ("created", "stopped")
    assert "paused" in known


def test_a_webhook_of_another_worker_is_emitted(emulator: Emulator, tmp_path: Path) -> None:
    async def everything() -> list[Event]:
        with SqlJournal(tmp_path / "journal.db") as ours, SqlJournal(tmp_path / "journal.db") as theirs:
            async with opened(emulator, ours) as client:
                [task_id] = await created(client, 1)
                async with Watcher(client, pace=Pace(working_s=60), throttle=unlimited()) as watcher:
                    watcher.add(task_id)
                    changes = watcher.changes()
                    first = await anext(changes)
                    assert isinstance(first, Change)
                    await asyncio.sleep(0.01)
                    finished = Report("finished", first.as_of + timedelta(milliseconds=5), "webhook")
                    theirs.add_reports([TaskReport(V1_FULL, task_id, finished)])
                    return [first, *[event async for event in changes]]

    first, last = asyncio.run(everything())
    assert isinstance(last, Change)
    assert (last.before, last.state, last.channel) == ("created", "finished", "webhook")
    assert len(set(tasks_of([first, last]))) == 1


def test_several_workers_watch_the_same_tasks_and_one_stops_each(emulator: Emulator, tmp_path: Path) -> None:
    async def one(ids: list[str]) -> list[Event]:
        with SqlJournal(tmp_path / "journal.db") as journal:
            async with opened(emulator, journal) as client:
                settings: dict[str, Any] = {"pace": QUICK, "throttle": unlimited()}
                async with Watcher(client, policies=[StopAfter(0.5)], **settings) as watcher:
                    watcher.add(*ids)
                    return [event async for event in watcher.changes()]

    async def everything() -> tuple[list[str], list[list[Event]]]:
        async with opened(emulator) as client:
            ids = await created(client, 10)
        return ids, list(await asyncio.gather(one(ids), one(ids)))

    ids, emitted = asyncio.run(everything())
    assert sorted(call.task or "" for call in emulator.calls() if call.command == "stop") == sorted(ids)
    for each in emitted:
        assert all(states(each, task_id)[-1] == "stopped" for task_id in ids)
    done = {
        each.task_id for events in emitted for each in events if isinstance(each, PolicyAction) and each.error is None
    }
    assert done == set(ids)


def test_a_command_that_is_under_way_at_the_end_is_waited_for(emulator: Emulator) -> None:
    journal = MemoryJournal()

    async def everything() -> str | None:
        async with opened(emulator, journal) as client:
            [task_id] = await created(client, 1)
            log = journal.task(V1_FULL, task_id)
            emulator.fault("delay", command="stop", seconds=0.5)
            async with Watcher(client, pace=QUICK, throttle=unlimited(), policies=[StopAfter(0.01)]) as watcher:
                watcher.add(task_id)
                await until(lambda: log.load().open_command is not None)
            assert log.load().open_command is None
            return log.load().state

    assert asyncio.run(everything()) == "stopped"
    assert [call.command for call in emulator.calls() if call.command] == ["stop"]


def test_a_command_that_cannot_end_in_time_is_left_to_recover(emulator: Emulator) -> None:
    journal = MemoryJournal()

    async def everything() -> None:
        async with opened(emulator, journal) as client:
            [task_id] = await created(client, 1)
            log = journal.task(V1_FULL, task_id)
            emulator.fault("delay_after", command="stop", seconds=2)
            settings: dict[str, Any] = {"pace": QUICK, "throttle": unlimited(), "closing_s": 0.2}
            async with Watcher(client, policies=[StopAfter(0.01)], **settings) as watcher:
                watcher.add(task_id)
                await until(lambda: any(call.command for call in emulator.calls()))
            assert log.load().open_command is not None
            [recovered] = await client.recover()
            assert recovered.is_settled
            assert log.load().state == "stopped"

    asyncio.run(everything())


def test_a_second_interruption_leaves_no_command_claimed(emulator: Emulator, tmp_path: Path) -> None:
    """At a second Ctrl-C `asyncio.run` cancels all tasks at once, those that work for the watcher too."""
    path = tmp_path / "journal.db"

    async def watched() -> None:
        with SqlJournal(path, worker="a") as journal:
            async with opened(emulator, journal) as client:
                ids = await created(client, 6)
                emulator.fault("delay_after", command="stop", seconds=30, times=6)
                async with Watcher(client, pace=QUICK, throttle=unlimited(), policies=[StopAfter(0.01)]) as watcher:
                    watcher.add(*ids)
                    await asyncio.Event().wait()

    async def everything() -> None:
        watching = asyncio.create_task(watched())
        await until(lambda: sum(call.command == "stop" for call in emulator.calls()) == 6)
        watching.cancel()
        await asyncio.sleep(0.2)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        with SqlJournal(path, read_only=True) as journal:
            assert [(each.command, each.claimed_by) for each in journal.tasks().tasks] == [("stop", None)] * 6

    asyncio.run(everything())


def test_webhooks_are_emitted_before_any_poll_and_a_cycle_is_read(emulator: Emulator, tmp_path: Path) -> None:
    """The service's own messages, signed, over real HTTP, into the journal that the watcher has."""
    emitted: list[tuple[Any, str, bool]] = []

    async def everything(journal: SqlJournal) -> None:
        async with opened(emulator, journal) as client:
            (task_id,) = await created(client, 1)
            await fire(emulator, task_id, "start")
            rarely = Pace(working_s=60, resting_s=60, longest_s=60)
            async with Watcher(client, pace=rarely, throttle=unlimited()) as watcher:
                webhooks = Webhooks("v1", secret="secret", journal=journal, on_report=watcher.feed_report)
                with served(webhooks) as url:
                    await asyncio.to_thread(emulator.set_webhook, url, secret="secret")
                    watcher.add(task_id)
                    async with asyncio.timeout(30):
                        async for event in watcher.changes():
                            assert isinstance(event, Change)
                            emitted.append((event.state, event.channel, event.unconfirmed))
                            if emitted == [("running", "api", False)]:
                                await client.task(task_id).pause()  # its message comes inside a cycle
                            elif event.state == "paused" and not event.unconfirmed:
                                await fire(emulator, task_id, "fail")

    with SqlJournal(tmp_path / "journal.db") as journal:
        asyncio.run(everything(journal))
        assert list(journal.check()) == []
    emulator.clear_webhook()
    assert emitted[0] == ("running", "api", False)
    assert emitted[-1][0] == "failed"
    assert ("paused", "api", False) in emitted
