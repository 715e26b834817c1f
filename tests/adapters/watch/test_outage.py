"""A service that is down, and tasks whose own reads fail: distinguished, reported, and limits enforced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import Any

import httpx2
import pytest

from lifecycle import V1_FULL
from lifecycle.journal import Report
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import NoResponse, ServerError, Unauthorized
from lifecycle_adapters.watch import Change, Event, Outage, Pace, PolicyAction, ReadFailed, StopAfter, Throttle
from lifecycle_adapters.watch.outage import OutageDetector, next_probe
from lifecycle_adapters.watch.watched_task import WatchedTask
from tests.adapters.watch.worlds import EVEN, Service, clock, run, states, timetable, watching

NEVER = float("inf")
SLOW = replace(EVEN, working_s=5.0)


def _timed_out(_: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("too slow")


def _unreachable(_: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused")


SILENCES: dict[str, Callable[[httpx2.Request], httpx2.Response]] = {
    "500": lambda _: httpx2.Response(500),
    "503 with Retry-After": lambda _: httpx2.Response(503, headers={"Retry-After": "5"}),
    "401": lambda _: httpx2.Response(401),
    "not JSON": lambda _: httpx2.Response(200, content=b"<html>"),
    "time-out": _timed_out,
    "no connection": _unreachable,
}


def failing(service: Service, silence: str, is_bad: Callable[[str], bool], *, until_s: float = NEVER) -> None:
    """Let the reads of some tasks fail; commands are served."""

    def plan(request: httpx2.Request) -> httpx2.Response | None:
        is_read = request.method == "GET" and asyncio.get_running_loop().time() < until_s
        return SILENCES[silence](request) if is_read and is_bad(request.url.path.split("/")[4]) else None

    service.plan = plan


def down(service: Service, silence: str, begin_s: float, end_s: float) -> None:
    """Make the service respond to nothing for a while."""

    def plan(request: httpx2.Request) -> httpx2.Response | None:
        return SILENCES[silence](request) if begin_s < asyncio.get_running_loop().time() < end_s else None

    service.plan = plan


def watch_for(seconds: float, service: Service, *task_ids: str, **settings: Any) -> list[Event]:
    """Watch these tasks, all if none are given, for so many seconds; return the events."""
    emitted: list[Event] = []

    async def everything() -> None:
        journal = settings.pop("journal", None)
        chosen = {"on_event": emitted.append, "clock": clock(), **settings}
        async with watching(service.client(journal=journal), **chosen) as watched:
            watched.add(*(task_ids or service.words))
            await asyncio.sleep(seconds)

    run(everything())
    return emitted


def kinds(emitted: list[Event], kind: type[Any]) -> list[Any]:
    return [each for each in emitted if isinstance(each, kind)]


def tasks(number: int) -> dict[str, str]:
    return {f"t{each:02}": "running" for each in range(number)}


# --- these reads fail ---------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("seed", range(3))
def test_tasks_whose_reads_fail_keep_no_other_from_being_read_and_stopped(silence: str, seed: int) -> None:
    """The first twenty of fifty never respond: the order in which they are added must not matter."""
    service = Service(tasks(50))
    bad = set(sorted(service.words)[:20] if seed == 0 else Random(seed).sample(sorted(service.words), 20))
    failing(service, silence, bad.__contains__)

    begun_at = datetime.now(UTC)
    emitted = watch_for(100, service, policies=[StopAfter(40)], throttle=Throttle(50))

    good = set(service.words) - bad
    assert all(states(emitted, each) == ["running", "stopped"] for each in good)
    assert len(service.times_s()) > 500
    assert {each.task_id for each in kinds(emitted, ReadFailed)} == bad
    assert len(kinds(emitted, ReadFailed)) == len(bad)
    begun_s = [(each.began_at - begun_at).total_seconds() for each in kinds(emitted, Outage) if each.ended_at is None]
    assert sum(each < 40 for each in begun_s) <= 1, "until one that answers was found; after 40 s none is left"


@pytest.mark.parametrize("silence", SILENCES)
def test_limits_are_enforced_for_tasks_that_cannot_be_read_any_more(silence: str) -> None:
    service, journal = Service(tasks(10)), MemoryJournal()
    logs = [journal.task(V1_FULL, each) for each in service.words]
    for log in logs:
        log.add_report(Report("running", datetime.now(UTC)))
    failing(service, silence, lambda each: each < "t05")

    emitted = watch_for(60, service, journal=journal, policies=[StopAfter(30)])

    assert set(service.words.values()) == {"stopped"}
    stopped_at_s = [at_s for at_s, call in service.calls if call.startswith("PUT")]
    assert len(stopped_at_s) >= 10
    assert max(stopped_at_s[:10]) < 40
    assert {each.task_id for each in kinds(emitted, PolicyAction)} == set(service.words)


def test_the_limit_of_a_task_that_could_never_be_read_is_tried_and_reported() -> None:
    service = Service(tasks(3))
    failing(service, "500", lambda each: each == "t00", until_s=100)

    emitted = watch_for(300, service, policies=[StopAfter(30)])

    acted = [each for each in kinds(emitted, PolicyAction) if each.task_id == "t00"]
    assert acted[0].reason.startswith("it has lasted 3")
    assert service.words["t00"] == "stopped"
    [*_, last] = [each for each in emitted if isinstance(each, Change) and each.task_id == "t00"]
    assert last.is_over


def test_one_failing_task_is_not_an_outage() -> None:
    service = Service({"a": "running"})
    failing(service, "500", lambda _: True)

    emitted = watch_for(600, service)

    assert [type(each) for each in emitted] == [ReadFailed]


@pytest.mark.parametrize("retry_after_s", ["120", "31536000"])
def test_a_retry_after_of_one_task_is_obeyed_for_that_task(retry_after_s: str) -> None:
    service = Service(tasks(10))
    busy = httpx2.Response(503, headers={"Retry-After": retry_after_s})
    service.plan = lambda request: busy if "/t03/" in request.url.path else None

    watch_for(1000, service, pace=SLOW)

    read_s = service.times_s("/t03/")
    least_s = min(float(retry_after_s), 300.0)
    assert all(later - earlier >= least_s for earlier, later in pairwise(read_s))
    assert len(read_s) >= 3
    assert len(service.times_s("/t04/")) > 190


# --- the service is down ------------------------------------------------------------------------


@pytest.mark.parametrize("silence", SILENCES)
def test_an_outage_is_reported_with_its_begin_and_its_end(silence: str) -> None:
    service = Service(tasks(40))
    begun_at = datetime.now(UTC)
    down(service, silence, 100, 700)

    emitted = watch_for(800, service, pace=SLOW)

    begin, end = kinds(emitted, Outage)
    assert (begin.ended_at, begin.lifecycle) == (None, "v1-full")
    assert 99 < (begin.began_at - begun_at).total_seconds() < 107
    assert end.began_at == begin.began_at
    assert 700 < (end.ended_at - begun_at).total_seconds() < 725
    assert isinstance(begin.error, ServerError if silence.startswith("50") else Exception)
    assert len(kinds(emitted, ReadFailed)) <= 16, "not one for each task"


@pytest.mark.parametrize("number", [2, 3, pytest.param(300, marks=pytest.mark.heavy)])
@pytest.mark.parametrize(("longest_s", "certain_s"), [(60.0, 6), (20.0, 6), (1.0, 6), (0.1, 1)])
@pytest.mark.parametrize("silence", ["500", "401", "no connection"])
def test_an_outage_is_certain_soon_and_probed_at_the_pace_of_the_tasks(
    silence: str, longest_s: float, certain_s: float, number: int
) -> None:
    """Between two probes no longer pause than a task has, and none of more than 20 s."""
    service = Service(tasks(number))
    failing(service, silence, lambda _: True)
    begun_s: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Outage):
            begun_s.append(asyncio.get_running_loop().time())

    pace = Pace(working_s=min(0.02, longest_s), resting_s=min(0.02, longest_s), longest_s=longest_s)
    watch_for(120, service, pace=pace, on_event=note)

    read_s = service.times_s()
    suspected_s = read_s[min(number, 5) - 1]
    [certain_at_s] = begun_s
    assert certain_at_s - suspected_s < certain_s
    pauses_s = [later - earlier for earlier, later in pairwise(each for each in read_s if each > certain_at_s)]
    assert max(pauses_s) < min(longest_s, 20) + 0.01
    assert longest_s < 20 or max(pauses_s) > 5, "probes become rare"


@pytest.mark.heavy
@pytest.mark.parametrize("number", [2, 3, 300])
def test_while_the_service_is_down_one_task_is_read_now_and_then(number: int) -> None:
    service = Service(tasks(number))
    down(service, "500", 100, 700)

    watch_for(800, service, pace=replace(EVEN, working_s=20.0))

    during = [at_s for at_s in service.times_s() if 120 < at_s < 700]
    back = [at_s for at_s in service.times_s() if at_s > 700]
    assert len(during) < 100
    assert back[0] - 700 < 22
    assert back[min(number, 10) - 1] - 700 < 90, "a task that failed keeps to its own pause"


@pytest.mark.heavy
def test_policies_continue_in_an_outage_of_reads() -> None:
    service = Service(tasks(30))
    failing(service, "500", lambda _: asyncio.get_running_loop().time() > 50)

    emitted = watch_for(150, service, policies=[StopAfter(100)])

    assert len(kinds(emitted, Outage)) == 1
    assert set(service.words.values()) == {"stopped"}
    assert len([call for call in service.commands if "stop" in call]) < 100


@pytest.mark.heavy
def test_policies_retry_at_a_bounded_rate_in_an_outage_and_stop_all_afterwards() -> None:
    service = Service(tasks(30))
    down(service, "500", 50, 400)

    emitted = watch_for(600, service, policies=[StopAfter(100)], pace=SLOW)

    during = [at_s for at_s, _ in service.calls if 110 < at_s < 400]
    assert sum(call.startswith("PUT") and at_s < 400 for at_s, call in service.calls) >= 30
    # A stop a second, which is sent before its task could be read, and probes.
    assert max(sum(at <= each < at + 10 for each in during) for at in during) < 80
    assert all(states(emitted, each)[-1] == "stopped" for each in service.words)


def test_tasks_that_are_added_in_an_outage_are_judged_by_the_journal() -> None:
    service, journal = Service(tasks(20)), MemoryJournal()
    log = journal.task(V1_FULL, "new")
    log.add_report(Report("running", datetime.now(UTC)))
    over = journal.task(V1_FULL, "over")
    over.add_report(Report("finished", datetime.now(UTC)))
    service.words["new"] = "running"
    failing(service, "500", lambda _: True)
    emitted: list[Event] = []

    async def everything() -> None:
        settings: dict[str, Any] = {"on_event": emitted.append, "clock": clock(), "policies": [StopAfter(100)]}
        async with watching(service.client(journal=journal), **settings) as watched:
            watched.add(*tasks(20))
            await asyncio.sleep(50)
            watched.add("new", "over")
            await asyncio.sleep(100)

    run(everything())
    assert states(emitted, "new") == []
    assert "stop" in " ".join(service.commands)
    assert service.words["new"] == "stopped"
    assert any(getattr(each, "task_id", None) == "over" for each in emitted)


@pytest.mark.heavy
@pytest.mark.parametrize("healthy", [1, 10])
def test_failures_of_most_tasks_are_not_an_outage_while_some_respond(healthy: int) -> None:
    service = Service(tasks(40))
    good = sorted(service.words)[-healthy:]
    failing(service, "500", lambda each: each not in good)

    emitted = watch_for(1200, service, pace=Pace(working_s=2, longest_s=20))

    begun = [each for each in kinds(emitted, Outage) if each.ended_at is None]
    assert len(begun) <= 1, "until one that answers was found"
    assert all(len(service.times_s(each)) > 10 for each in good)
    assert {each.task_id for each in kinds(emitted, ReadFailed)} == set(service.words) - set(good)


def test_a_task_that_is_discarded_or_ends_in_an_outage_is_forgotten() -> None:
    service = Service(tasks(10))
    down(service, "500", 50, 200)

    async def everything() -> list[Event]:
        timetable(service, {60: {"t01": "finished"}})
        async with watching(service.client()) as watched:
            watched.add(*service.words)
            changes = watched.changes()
            emitted = [await anext(changes) for _ in range(11)]
            assert isinstance(emitted[-1], Outage)
            for each in service.words:
                if each != "t01":
                    watched.discard(each)
            return [*emitted, *[event async for event in changes]]

    emitted = run(everything())
    assert states(emitted, "t01") == ["running", "finished"]


# --- the detector -------------------------------------------------------------------------------

ERROR = NoResponse("time-out", method="GET", path="/")
REFUSED = Unauthorized(method="GET", path="/", status_code=401, detail="no")


def task(number: int, **known: Any) -> WatchedTask:
    return WatchedTask(f"t{number}", MemoryJournal().task(V1_FULL, f"t{number}"), **known)


def test_reads_under_way_when_an_outage_is_suspected_are_not_probes() -> None:
    async def everything() -> None:
        detector = OutageDetector("v1", lambda: datetime.now(UTC), longest_s=60)
        for number in range(50):
            assert detector.fail(task(number), ERROR, of=50, is_probe=False) is None
        assert detector.suspected.is_set()
        assert detector.respond() is None
        assert not detector.suspected.is_set()

    run(everything())


def test_outage_begins_after_five_tasks_and_five_probes_fail_and_ends_with_a_response() -> None:
    async def everything() -> None:
        detector = OutageDetector("v1", lambda: datetime.now(UTC), longest_s=60)
        for _ in range(10):
            for number in range(4):
                detector.fail(task(number), ERROR, of=50, is_probe=False)
        assert not detector.suspected.is_set()
        detector.fail(task(4), ERROR, of=50, is_probe=False)
        begun = [detector.fail(task(0), ERROR, of=50, is_probe=True) for _ in range(5)]
        assert begun[:4] == [None] * 4
        assert begun[4] is not None
        assert detector.fail(task(0), REFUSED, of=50, is_probe=True) is None, "once"
        ended = detector.respond()
        assert ended is not None
        assert ended.ended_at is not None
        assert ended.error is REFUSED, "the last error"
        assert detector.respond() is None

    run(everything())


def test_a_probe_is_the_task_with_the_fewest_failures_and_the_latest_response() -> None:
    known = [
        task(0, failures=1, responded_s=99.0),
        task(1, responded_s=5.0),
        task(2, responded_s=7.0),
        task(3),
        task(4, responded_s=9.0, is_busy=True),
    ]

    assert next_probe(known) is known[2]
    assert next_probe([known[0], known[3]]) is known[3]
    assert next_probe([known[4]]) is None
