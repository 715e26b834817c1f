"""The events of a watcher, with a service in memory and a clock that jumps."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import httpx2
import pytest

from lifecycle import V1_FULL, AdapterError, ObservationKind, V1State
from lifecycle.journal import Report, ReportEntry, TaskReport
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.http import Client, ClientUnusable
from lifecycle_adapters.watch import (
    RECORD,
    Change,
    Event,
    JournalOutage,
    PolicyAction,
    ReadFailed,
    StopAfter,
    Watcher,
    watch,
)
from tests.adapters.watch.worlds import EVEN, KEY, Service, run, states, tasks_of, timetable, unlimited, until, watching

NOW = datetime.now(UTC)


async def all_of(watched: Watcher, *task_ids: str) -> list[Event]:
    """Watch these to their end, or to that of `watched`."""
    watched.add(*task_ids)
    return [event async for event in watched.changes()]


def log_of(journal: MemoryJournal, task_id: str) -> MemoryTaskJournal[Any, Any]:
    return journal.task(V1_FULL, task_id)


# --- changes ------------------------------------------------------------------------------------


def test_changes_are_emitted_once_in_order_until_the_last_task_ends() -> None:
    async def everything() -> list[Event]:
        service = Service({"a": "created", "b": "running"})
        timetable(service, {5: {"a": "running"}, 9: {"a": "paused"}, 30: {"a": "finished", "b": "failed"}})
        async with watching(service.client()) as watched:
            return await all_of(watched, "a", "b")

    emitted = run(everything())
    assert states(emitted, "a") == ["created", "running", "paused", "finished"]
    assert states(emitted, "b") == ["running", "failed"]
    assert len(emitted) == 6


def test_a_change_has_all_its_facts() -> None:
    async def everything() -> list[Event]:
        service = Service({"a": "created"})
        timetable(service, {5: {"a": "paused"}, 60: {"a": "stopped"}})
        async with watching(service.client()) as watched:
            return await all_of(watched, "a")

    first, jump, last = run(everything())
    assert isinstance(first, Change)
    assert (first.task_id, first.lifecycle, first.before, first.kind) == ("a", "v1-full", None, None)
    assert (first.status, first.channel, first.is_over, first.is_unknown) == ("created", "api", False, False)
    assert isinstance(jump, Change)
    assert (jump.before, jump.state, jump.kind) == ("created", "paused", ObservationKind.JUMP)
    assert isinstance(last, Change)
    assert last.is_over


def test_a_state_that_the_journal_has_already_is_emitted_only_if_final() -> None:
    async def everything() -> tuple[list[Event], list[tuple[float, str]]]:
        journal, service = MemoryJournal(), Service({"a": "running", "over": "stopped"})
        known = [log_of(journal, each) for each in ("a", "over")]
        known[0].add_report(Report("running", NOW))
        known[1].add_report(Report("stopped", NOW))
        timetable(service, {5: {"a": "finished"}})
        async with watching(service.client(journal=journal)) as watched:
            return await all_of(watched, "a", "over"), service.calls

    emitted, calls = run(everything())
    assert tasks_of(emitted) == ["over", "a"]
    over, finished = emitted
    assert isinstance(over, Change)
    assert (over.before, over.state, over.channel, over.is_over) == ("stopped", "stopped", RECORD, True)
    assert isinstance(finished, Change)
    assert (finished.before, finished.state) == ("running", "finished")
    assert not any("over" in call for _, call in calls)


@pytest.mark.parametrize("says", [["finished"], ["running", "paused", "stopped"]])
def test_a_final_state_that_a_later_report_contradicts_is_read_before_the_task_is_over(says: list[str]) -> None:
    async def everything() -> tuple[list[Event], int]:
        journal, service = MemoryJournal(), Service({"a": says[0]})
        known = log_of(journal, "a")
        for second, status in enumerate(("running", "finished", "running")):
            known.add_report(Report(status, NOW + timedelta(seconds=second)))
        timetable(service, {20.0 * number: {"a": status} for number, status in enumerate(says) if number})
        async with watching(service.client(journal=journal), policies=[StopAfter(1e6)]) as watched:
            return await all_of(watched, "a"), len(service.calls)

    emitted, reads = run(everything())
    assert reads >= len(says), "the service's word is asked for, until it says that the task is over"
    assert isinstance(emitted[-1], Change)
    assert (emitted[-1].status, emitted[-1].is_over) == (says[-1], True)
    assert [each.is_over for each in emitted if isinstance(each, Change)].count(True) == 1


def test_a_change_that_another_worker_recorded_is_emitted_too() -> None:
    async def everything() -> list[Event]:
        journal, service = MemoryJournal(), Service({"a": "running"})
        timetable(service, {9: {"a": "finished"}})
        async with watching(service.client(journal=journal)) as watched:
            asyncio.get_running_loop().call_at(8.5, service.words.update, {"a": "finished"})
            asyncio.get_running_loop().call_at(
                8.6, lambda: log_of(journal, "a").add_report(Report("finished", datetime.now(UTC)))
            )
            return await all_of(watched, "a")

    _, finished = run(everything())
    assert isinstance(finished, Change)
    assert (finished.before, finished.state, finished.kind) == ("running", "finished", ObservationKind.STEP)


def test_a_task_that_is_gone_is_emitted_once_and_no_longer_watched() -> None:
    async def everything() -> list[Event]:
        async with watching(Service().client()) as watched:
            return await all_of(watched, "a")

    [gone] = run(everything())
    assert isinstance(gone, ReadFailed)
    assert gone.is_gone


def test_known_task_is_gone_after_two_404s() -> None:
    async def everything() -> list[Event]:
        service = Service({"a": "running", "b": "running"})
        loop = asyncio.get_running_loop()
        for task in ("a", "b"):
            loop.call_at(4.5, service.words.pop, task)
        timetable(service, {5.7: {"a": "running"}, 20.0: {"a": "finished"}})
        async with watching(service.client()) as watched:
            return await all_of(watched, "a", "b")

    emitted = run(everything())
    (gone,) = [each for each in emitted if isinstance(each, ReadFailed)]
    assert (gone.task_id, gone.is_gone) == ("b", True)
    assert states(emitted, "a") == ["running", "finished"], "it is watched on"


def test_unknown_task_is_gone_after_two_404s() -> None:
    service = Service()

    async def everything() -> list[Event]:
        timetable(service, {0.5: {"a": "running"}, 20.0: {"a": "finished"}})
        async with watching(service.client()) as watched:
            return await all_of(watched, "a")

    assert states(run(everything()), "a") == ["running", "finished"]
    first_s, second_s = service.times_s()[:2]
    assert second_s - first_s >= 0.9, "the ordinary pause"


def test_an_unknown_status_that_is_read_before_a_command_is_recorded_is_not_its_change() -> None:
    async def everything() -> list[Event]:
        journal, service = MemoryJournal(), Service({"a": "mystery"})
        log = log_of(journal, "a")

        def command_elsewhere() -> None:
            log.add_report(Report("stopped", datetime.now(UTC)))

        asyncio.get_running_loop().call_at(3.5, command_elsewhere)
        async with watching(service.client(journal=journal)) as watched:
            return await all_of(watched, "a")

    changes = [each for each in run(everything()) if isinstance(each, Change) and each.state == "stopped"]
    assert [(each.status, each.channel, each.is_over) for each in changes] == [("stopped", RECORD, True)]


def test_an_unknown_status_is_recorded_and_emitted_once_and_watching_continues() -> None:
    async def everything() -> tuple[list[Event], Sequence[Any]]:
        journal, service = MemoryJournal(), Service({"a": "dreaming"})
        log = log_of(journal, "a")
        moves = {5.0: {"a": "running"}, 9: {"a": "dreaming"}, 15: {"a": "asleep"}, 20: {"a": "running"}}
        timetable(service, {**moves, 25: {"a": "dreaming"}, 30: {"a": "finished"}})
        async with watching(service.client(journal=journal)) as watched:
            return await all_of(watched, "a"), log.entries

    emitted, entries = run(everything())
    unknown = [each.status for each in emitted if isinstance(each, Change) and each.is_unknown]
    assert unknown == ["dreaming", "asleep"]
    assert states(emitted, "a") == ["running", "finished"]
    recorded = [each.report.status for each in entries if isinstance(each, ReportEntry)]
    assert recorded == ["dreaming", "running", "dreaming", "asleep", "running", "dreaming", "finished"]


def test_a_conflict_is_emitted_with_the_state_that_is_kept() -> None:
    journal = MemoryJournal()

    def overtake(_: httpx2.Request) -> None:
        """Another worker records an end, while this one reads another."""
        known_at = log_of(journal, "a").load().as_of
        if service.words["a"] == "stopped" and known_at is not None:
            log_of(journal, "a").add_report(Report("finished", known_at + timedelta(microseconds=1)))

    service = Service({"a": "running"}, plan=overtake)

    async def everything() -> list[Event]:
        timetable(service, {5: {"a": "stopped"}})
        async with watching(service.client(journal=journal)) as watched:
            return await all_of(watched, "a")

    _, conflict = run(everything())
    assert isinstance(conflict, Change)
    assert (conflict.status, conflict.kind) == ("stopped", ObservationKind.CONFLICT)
    assert (conflict.before, conflict.state, conflict.is_over) == ("running", "finished", True)


def test_read_failure_is_emitted_once_per_outage() -> None:
    def fail(_: httpx2.Request) -> httpx2.Response | None:
        now_s = asyncio.get_running_loop().time()
        return httpx2.Response(503) if 5 < now_s < 60 or 200 < now_s < 300 else None

    async def everything() -> list[Event]:
        service = Service({"a": "running"}, plan=fail)
        timetable(service, {1000: {"a": "finished"}})
        async with watching(service.client()) as watched:
            return await all_of(watched, "a")

    first, *spells, last = run(everything())
    assert isinstance(first, Change)
    assert [isinstance(each, ReadFailed) and not each.is_gone for each in spells] == [True, True]
    assert isinstance(last, Change)


@pytest.mark.parametrize("status_code", [401, 403, 400])
def test_a_refusal_is_emitted_at_once_and_retried_rarely(status_code: int) -> None:
    async def everything() -> tuple[Event, int]:
        service = Service(plan=lambda _: httpx2.Response(status_code))
        async with watching(service.client()) as watched:
            watched.add("a")
            event = await anext(watched.changes())
            asked = len(service.calls)
            await asyncio.sleep(600)
            assert len(service.calls) < 60
            return event, asked

    event, asked = run(everything())
    assert isinstance(event, ReadFailed)
    assert asked == 1


@pytest.mark.parametrize(
    ("status_code", "is_refused"),
    [(400, True), (405, True), (410, True), (422, True), (401, False), (403, False), (409, False), (425, False)],
)
def test_refused_id_is_emitted_once_as_refused_and_read_at_the_longest_interval(
    status_code: int, is_refused: bool
) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response | None:
        return httpx2.Response(status_code) if "bad" in request.url.path else None

    async def everything() -> tuple[list[Event], list[float], frozenset[str], frozenset[str]]:
        service = Service({"good": "running"}, plan=refuse)
        emitted: list[Event] = []
        timetable(service, {200: {"good": "finished"}})
        async with watching(service.client(), on_event=emitted.append) as watched:
            watched.add("bad", "good")
            await asyncio.sleep(302)
            refused = watched.refused
            watched.discard("bad")
            return emitted, service.times_s("bad"), refused, watched.refused

    emitted, read_s, refused, after = run(everything())
    failed = [each for each in emitted if isinstance(each, ReadFailed)]
    assert [(each.task_id, each.is_refused, each.is_gone) for each in failed] == [("bad", is_refused, False)]
    assert (refused, after) == (frozenset({"bad"} if is_refused else ()), frozenset())
    assert states(emitted, "good") == ["running", "finished"], "the refusal concerns one task"
    if is_refused:
        assert [round(at_s) for at_s in read_s] == [0, 60, 120, 180, 240, 300]


def test_refused_task_that_can_be_read_again_is_watched_as_before() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response | None:
        now_s = asyncio.get_running_loop().time()
        return httpx2.Response(503) if now_s < 20 else httpx2.Response(422) if now_s < 100 else None

    async def everything() -> tuple[list[Event], list[float], frozenset[str]]:
        service = Service({"a": "running"}, plan=refuse)
        emitted: list[Event] = []
        async with watching(service.client(), on_event=emitted.append) as watched:
            watched.add("a")
            await asyncio.sleep(250)
            return emitted, service.times_s("a"), watched.refused

    emitted, read_s, refused = run(everything())
    assert [each.is_refused for each in emitted if isinstance(each, ReadFailed)][-1:] == [True]
    assert states(emitted, "a") == ["running"]
    assert refused == frozenset()
    assert len([at_s for at_s in read_s if at_s > 200]) > 40, "it is read every second again"


# --- what is watched ----------------------------------------------------------------------------


def test_tasks_come_and_go_while_it_runs() -> None:
    async def everything() -> list[Event]:
        service = Service({"a": "running", "b": "running", "c": "running"})
        timetable(service, {20: {"b": "finished", "c": "failed"}})
        async with watching(service.client()) as watched:
            watched.add("a", "b", "a")
            watched.add("b")
            assert len(watched) == 2
            emitted = [await anext(watched.changes()), await anext(watched.changes())]
            watched.discard("a")
            watched.discard("nobody")
            watched.add("c")
            emitted += [event async for event in watched.changes()]
            asked = len(service.times_s("/a/"))
            assert asked == 1
            return emitted

    emitted = run(everything())
    assert [states(emitted, each) for each in "abc"] == [["running"], ["running", "finished"], ["running", "failed"]]


def test_one_unusable_id_refuses_the_whole_add() -> None:
    async def everything() -> None:
        async with watching(Service().client()) as watched:
            with pytest.raises(ValueError, match="not a task id"):
                watched.add("a", "..")
            assert len(watched) == 0

    run(everything())


@pytest.mark.parametrize("odd", [b"a", None, True, 1.0, ["a"]], ids=lambda odd: type(odd).__name__)
def test_id_of_a_wrong_type_is_refused_and_watching_continues(odd: Any) -> None:
    async def everything() -> list[Event]:
        async with watching(Service({"a": "finished"}).client()) as watched:
            uses: list[Callable[[], None]] = [lambda: watched.add("b", odd), lambda: watched.discard(odd)]
            for use in uses:
                with pytest.raises(TypeError, match=f"not {type(odd).__name__}"):
                    use()
            return await all_of(watched, "a")

    assert states(run(everything()), "a") == ["finished"]


@pytest.mark.parametrize("task_id", [7, UUID(int=7)], ids=lambda task_id: type(task_id).__name__)
def test_watcher_accepts_the_same_ids_as_a_client(task_id: int | UUID) -> None:
    async def everything() -> list[Event]:
        async with watching(Service({str(task_id): "finished", "a": "running"}).client()) as watched:
            watched.add(task_id, str(task_id), "a")
            assert len(watched) == 2
            watched.discard("a")
            return [event async for event in watched.changes()]

    assert states(run(everything()), str(task_id)) == ["finished"]


def test_watcher_with_keep_open_waits_for_more_tasks() -> None:
    async def everything() -> list[Event]:
        service = Service({"a": "finished", "b": "stopped"})
        async with watching(service.client(), keep_open=True) as watched:
            changes = watched.changes()
            watched.add("a")
            emitted = [await anext(changes)]
            asyncio.get_running_loop().call_at(100, watched.add, "b")
            emitted.append(await anext(changes))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(changes), 1000)
            return emitted

    assert tasks_of(run(everything())) == ["a", "b"]


def test_watch_function_follows_all_tasks() -> None:
    async def everything() -> list[Event]:
        service = Service({"a": "finished", "b": "stopped"})
        async with aclosing(watch(service.client(), ["a", "b"], pace=EVEN, throttle=unlimited())) as changes:
            return [event async for event in changes]

    assert tasks_of(run(everything())) == ["a", "b"]


# --- the receivers of events --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_is_called_without_an_iterator(is_async: bool) -> None:
    emitted: list[Event] = []

    async def record_later(event: Event) -> None:
        await asyncio.sleep(0.1)
        emitted.append(event)

    async def everything() -> None:
        service = Service({"a": "running"})
        timetable(service, {5: {"a": "finished"}})
        async with watching(service.client(), on_event=record_later if is_async else emitted.append) as watched:
            watched.add("a")
            await watched.finished()

    run(everything())
    assert states(emitted, "a") == ["running", "finished"]


@pytest.mark.heavy
def test_reads_stop_while_events_are_not_consumed() -> None:
    async def everything() -> tuple[int, int]:
        service = Service({f"t{number}": "running" for number in range(1600)})
        timetable(service, {61.0: dict.fromkeys(service.words, "finished")})
        async with watching(service.client()) as watched:
            watched.add(*service.words)
            await asyncio.sleep(60)
            asked_unread = len(service.calls)
            emitted = [event async for event in watched.changes()]
            seen = Counter((each.task_id, each.state) for each in emitted if isinstance(each, Change))
            assert seen == Counter(product(service.words, ("running", "finished")))
            return asked_unread, len(service.calls)

    asked_unread, asked = run(everything())
    assert asked_unread < 1600 < asked


# --- reports that are fed ------------------------------------------------------------------------


def heard(journal: MemoryJournal, status: str, *, ago: timedelta = timedelta()) -> ReportEntry[Any, Any]:
    """Record a report as a receiver of webhooks does, and return its entry."""
    report = Report(status, datetime.now(UTC) - ago, "webhook")
    return journal.add_reports([TaskReport(V1_FULL, "a", report)])[0]


# How far the clocks of webhooks, the journal and the watcher are behind the clock of the reads.
BEHIND = [timedelta(), timedelta(milliseconds=10), timedelta(hours=1)]


def slow_clock(behind: timedelta) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) - behind


@pytest.mark.parametrize("behind", BEHIND)
def test_a_webhook_is_emitted_at_once_and_reads_pause_while_webhooks_arrive(behind: timedelta) -> None:
    async def everything() -> tuple[list[Event], list[float]]:
        journal, service = MemoryJournal(clock=slow_clock(behind)), Service({"a": "created"})
        async with watching(service.client(journal=journal), clock=slow_clock(behind)) as watched:
            watched.add("a")
            changes = watched.changes()
            emitted = [await anext(changes)]
            watched.feed_report("a", heard(journal, "started", ago=behind))
            emitted.append(await anext(changes))
            await asyncio.sleep(50)
            asked_at = service.times_s()
            watched.feed_report("a", heard(journal, "finished", ago=behind))
            watched.feed_report("nobody", heard(journal, "finished", ago=behind))
            return [*emitted, *[event async for event in changes]], asked_at

    emitted, asked_at = run(everything())
    assert states(emitted, "a") == ["created", "running", "finished"]
    assert [each.channel for each in emitted if isinstance(each, Change)] == ["api", "webhook", "webhook"]
    assert asked_at == [0.0]


@pytest.mark.parametrize("behind", BEHIND)
def test_a_webhook_in_a_cycle_is_emitted_or_read_whatever_the_clocks_say(behind: timedelta) -> None:
    """A task is paused and resumed any number of times, so that only the time orders its webhooks."""

    async def everything() -> tuple[list[Event], float]:
        journal, service = MemoryJournal(clock=slow_clock(behind)), Service({"a": "running"})
        timetable(service, {40: {"a": "stopped"}})
        pace, clock = replace(EVEN, working_s=20.0), slow_clock(behind)
        async with watching(service.client(journal=journal), pace=pace, clock=clock) as watched:
            watched.add("a")
            changes = watched.changes()
            emitted = [await anext(changes)]
            service.words["a"] = "paused"
            watched.feed_report("a", heard(journal, "paused", ago=behind))
            emitted.append(await anext(changes))
            if isinstance(emitted[-1], Change) and emitted[-1].unconfirmed:
                emitted.append(await anext(changes))
            passed_s = asyncio.get_running_loop().time()
            return [*emitted, *[event async for event in changes]], passed_s

    emitted, passed_s = run(everything())
    assert states(emitted, "a") == ["running", "paused", "stopped"]
    assert passed_s < 1.0


def foreign(before: str, status: str) -> ReportEntry[Any, Any]:
    """Return the entry of a report that another process recorded an hour ago, in the state `before`."""
    report = Report(status, datetime.now(UTC) - timedelta(hours=1), "webhook")
    observation = V1_FULL.observe(V1State(before), status, channel="webhook")
    return ReportEntry(report, observation.state, observation)


@pytest.mark.parametrize(
    ("known", "before", "status", "emitted_as"),
    [
        ("created", "created", "started", "running"),  # it leads on from what is known
        ("created", "running", "finished", None),
        ("running", "running", "paused", None),  # the task may have been paused earlier
        ("paused", "running", "paused", None),
        ("running", "created", "started", None),
    ],
)
def test_older_foreign_report_is_emitted_or_leads_to_a_read(
    known: str, before: str, status: str, emitted_as: str | None
) -> None:
    async def everything() -> tuple[list[Event], list[float]]:
        service = Service({"a": known})
        timetable(service, {500: {"a": "stopped"}})
        pace = replace(EVEN, working_s=100.0, resting_s=100.0, longest_s=100.0)
        async with watching(service.client(), pace=pace) as watched:
            watched.add("a")
            changes = watched.changes()
            emitted = [await anext(changes)]
            await asyncio.sleep(1)
            watched.feed_report("a", foreign(before, status))
            await asyncio.sleep(1)
            asked_at = service.times_s()
            return [*emitted, *[event async for event in changes]], asked_at

    emitted, asked_at = run(everything())
    assert (states(emitted, "a")[1] == emitted_as) is (emitted_as is not None)
    contradicts = emitted_as is None and V1_FULL.state_of(status, channel="webhook") != known
    assert asked_at == [0.0, *([1.0] if contradicts else [])]


def test_a_webhook_that_may_be_late_causes_a_read() -> None:
    async def everything() -> list[Event]:
        journal, service = MemoryJournal(), Service({"a": "paused"})
        async with watching(service.client(journal=journal)) as watched:
            watched.add("a")
            changes = watched.changes()
            emitted = [await anext(changes)]
            await asyncio.sleep(0.5)
            service.words["a"] = "running"
            watched.feed_report("a", heard(journal, "started"))
            emitted += [await anext(changes), await anext(changes)]
            assert service.times_s() == [0.0, 0.5]
            return emitted

    _, unconfirmed, confirmed = run(everything())
    assert isinstance(unconfirmed, Change)
    assert (unconfirmed.before, unconfirmed.state, unconfirmed.unconfirmed) == ("paused", "paused", True)
    assert isinstance(confirmed, Change)
    assert (confirmed.state, confirmed.channel) == ("running", "api")


def test_a_webhook_that_the_change_feed_repeats_after_its_read_is_emitted_once() -> None:
    async def everything() -> tuple[list[Event], list[float]]:
        journal, service = MemoryJournal(), Service({"a": "paused"})
        timetable(service, {30: {"a": "stopped"}})
        async with watching(service.client(journal=journal), pace=replace(EVEN, resting_s=20.0)) as watched:
            watched.add("a")
            changes = watched.changes()
            emitted = [await anext(changes)]
            service.words["a"] = "running"
            entry = heard(journal, "started")
            watched.feed_report("a", entry)
            emitted += [await anext(changes), await anext(changes)]
            asked_at = service.times_s()
            watched.feed_report("a", entry)
            return [*emitted, *[event async for event in changes]], asked_at

    emitted, asked_at = run(everything())
    assert [each.unconfirmed for each in emitted if isinstance(each, Change)] == [False, True, False, False]
    assert states(emitted, "a") == ["paused", "running", "stopped"]
    assert len(asked_at) == 2


def test_a_late_webhook_is_emitted_once_as_late_and_changes_nothing() -> None:
    async def everything() -> list[Event]:
        journal, service = MemoryJournal(), Service({"a": "running"})
        timetable(service, {50: {"a": "finished"}})
        async with watching(service.client(journal=journal)) as watched:
            watched.add("a")
            changes = watched.changes()
            emitted = [await anext(changes)]
            late = heard(journal, "initializing", ago=timedelta(hours=1))
            watched.feed_report("a", late)
            watched.feed_report("a", late)
            return [*emitted, *[event async for event in changes]]

    emitted = run(everything())
    assert states(emitted, "a") == ["running", "finished"]
    assert [each.status for each in emitted if isinstance(each, Change) and each.late] == ["initializing"]


@pytest.mark.parametrize("is_pushed", [True, False])
def test_first_report_that_arrives_late_is_not_a_change(is_pushed: bool) -> None:
    """Another worker records a younger report after we loaded the record and before ours is recorded."""
    journal, service = MemoryJournal(), Service({"a": "created"})
    log = log_of(journal, "a")

    def overtake(_: httpx2.Request) -> None:
        if log.load().state is None:
            log.add_report(Report("running", datetime.now(UTC) + timedelta(milliseconds=1)))
            service.words["a"] = "paused"

    service.plan = overtake

    async def everything() -> list[Event]:
        timetable(service, {20: {"a": "finished"}})
        async with watching(service.client(journal=journal)) as watched:
            watched.add("a")
            if is_pushed:
                await asyncio.sleep(0)
                watched.feed_report("a", heard(journal, "initializing", ago=timedelta(hours=1)))
            return [event async for event in watched.changes()]

    emitted = run(everything())
    changes = [each for each in emitted if isinstance(each, Change)]
    assert all(each.state is not None for each in changes)
    assert [each.before for each in changes[1:]] == [each.state for each in changes[:-1]]
    assert changes[-1].state == "finished"


def test_a_report_before_the_first_read_or_after_the_end_is_harmless() -> None:
    async def everything() -> list[Event]:
        journal, service = MemoryJournal(), Service({"a": "finished"})
        log = log_of(journal, "a")
        watched = watching(service.client(journal=journal))
        watched.feed_report("a", heard(journal, "started"))
        async with watched:
            watched.add("a")
            watched.feed_report("a", heard(journal, "finished"))
            emitted = [event async for event in watched.changes()]
        watched.feed_report("a", heard(journal, "finished"))
        assert log.load().state == "finished"
        return emitted

    assert tasks_of(run(everything())) == ["a"]


# --- the journal --------------------------------------------------------------------------------


class Failing(MemoryJournal):
    """A journal that cannot be written for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = 0
        self.batches: list[int] = []

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        if self.fails > 0:
            self.fails -= 1
            raise AdapterError("the disk is full")
        self.batches.append(len(reports))
        return super().add_reports(reports)


def test_a_journal_that_fails_for_a_while_pauses_the_watch_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def everything() -> tuple[list[Event], int]:
        journal, service = Failing(), Service({f"t{number}": "running" for number in range(40)})
        journal.fails = 8
        moves = {60.0: dict.fromkeys(service.words, "paused"), 80.0: dict.fromkeys(service.words, "failed")}
        timetable(service, moves)
        async with watching(service.client(journal=journal)) as watched:
            watched.add(*service.words)
            await until(lambda: not journal.fails)
            asked = len(service.calls)
            return [event async for event in watched.changes()], asked

    with caplog.at_level(logging.INFO, logger="lifecycle_adapters.watch"):
        emitted, asked = run(everything())
    assert asked <= 2 * EVEN.concurrency
    assert all(states(emitted, f"t{number}") == ["running", "paused", "failed"] for number in range(40))
    said = [record.getMessage() for record in caplog.records if "journal" in record.getMessage()]
    assert said == [
        "the journal cannot be used; watching pauses",
        "the wait for the journal has ended",
    ]
    began, ended = (each for each in emitted if isinstance(each, JournalOutage))
    assert (type(began.error), began.ended_at) == (AdapterError, None)
    assert ended.ended_at is not None
    assert began.began_at == ended.began_at <= ended.ended_at
    assert emitted.index(began) == 0


def test_closing_while_the_journal_fails_waits_and_logs_what_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def everything(fails: int) -> MemoryTaskJournal[Any, Any]:
        journal = Failing()
        journal.fails = fails
        log = log_of(journal, "a")
        async with watching(Service({"a": "running"}).client(journal=journal), closing_s=5.0) as watched:
            watched.add("a")
            await asyncio.sleep(0.01)
        return log

    assert run(everything(3)).load().state == "running"
    assert "in time" not in caplog.text
    assert run(everything(1000)).load().state is None
    assert [getattr(record, "lost", None) for record in caplog.records if "in time" in record.getMessage()] == [1]


# --- what is not an event of a task -----------------------------------------------------------------


def test_events_and_log_lines_do_not_contain_the_key(caplog: pytest.LogCaptureFixture) -> None:
    async def everything() -> list[Event]:
        service = Service(plan=lambda request: httpx2.Response(401, json=request.headers["authorization"]))
        async with watching(service.client()) as watched:
            watched.add("a")
            return [await anext(watched.changes())]

    with caplog.at_level(logging.DEBUG):
        emitted = run(everything())
    assert "bu_a-key" not in caplog.text + repr(emitted)
    assert not any(isinstance(each, PolicyAction) for each in emitted)


# --- misuse -------------------------------------------------------------------------------------


def test_watcher_outside_of_its_block_raises() -> None:
    async def everything() -> None:
        watcher = watching(Service({"t": "running"}).client())
        watcher.add("t")
        with pytest.raises(RuntimeError, match="not running: use it as `async with Watcher"):
            await anext(watcher.changes())
        async with watcher:
            pass
        with pytest.raises(RuntimeError, match="block was left"):
            watcher.add("t")
        with pytest.raises(RuntimeError, match="used once; make another"):
            async with watcher:
                pass

    run(everything())


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"pace": 3}, r"pace must be a Pace\(...\), not 3"),
        ({"throttle": 3}, r"throttle must be a Throttle\(...\), not 3"),
        ({"on_event": 3}, "on_event must be called with events, and 3 cannot be called"),
        ({"closing_s": "3"}, "closing_s must be a number, not '3'"),
        ({"clock": 3}, "clock must return the time when it is called, and 3 cannot be called"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(TypeError, match=wrong):
        watching(Service({}).client(), **settings)


def test_synchronous_client_is_refused() -> None:
    client: Any = Client("v1", api_key=KEY)
    with pytest.raises(TypeError, match="a watcher needs an AsyncClient, not Client"):
        Watcher(client)


def test_client_that_is_closed_ends_the_watching() -> None:
    async def everything() -> None:
        client = Service({"t": "running", "u": "running"}).client()
        async with watching(client) as watcher:
            watcher.add("t", "u")
            async for _ in watcher.changes():
                await client.close()

    with pytest.raises(ClientUnusable):
        run(everything())
