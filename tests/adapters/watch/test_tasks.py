"""The changes that reports cause, and the order in which tasks are due."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from lifecycle import V1_FULL, ObservationKind
from lifecycle.journal import Report, TaskRecord
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.watch.watched_task import Schedule, WatchedTask, learn
from tests.adapters.watch.worlds import run

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def watched(task_id: str = "a") -> WatchedTask:
    return WatchedTask(task_id, MemoryJournal().task(V1_FULL, task_id), TaskRecord())


def changes_of(*reports: tuple[str, int, str]) -> list[tuple[str, ObservationKind | None, bool]]:
    """Return the changes of a task, given its reports as (status, seconds, channel)."""
    log, task = MemoryJournal().task(V1_FULL, "task-1"), watched()
    entries = [log.enter_report(Report(word, NOW + timedelta(seconds=s), channel)) for word, s, channel in reports]
    changes = [learn(V1_FULL, task, entry) for entry in entries]
    return [(each.status, each.kind, each.late) for each in changes if each is not None]


def test_same_state_is_not_emitted_again() -> None:
    assert changes_of(("running", 5, "api"), ("running", 6, "api"), ("running", 4, "api")) == [("running", None, False)]


def test_each_distinct_late_report_is_emitted_once() -> None:
    reports = [("running", 5, "api"), *[("initializing", 1, "webhook")] * 3, ("initializing", 2, "webhook")]

    assert changes_of(*reports)[1:] == [("initializing", ObservationKind.STALE, True)] * 2


def test_a_deviation_in_one_state_is_emitted_again_in_the_next() -> None:
    stale = ("created", 9, "api")
    reports = [("running", 1, "api"), stale, stale, ("paused", 9, "api"), stale, stale]

    kinds = [kind for _, kind, _ in changes_of(*reports)]
    assert kinds == [None, ObservationKind.STALE, ObservationKind.STEP, ObservationKind.STALE]


def test_schedule_pops_tasks_by_their_latest_due_time() -> None:
    async def everything() -> list[str]:
        schedule, order = Schedule(), list[str]()
        one, two, three = map(watched, ("one", "two", "three"))
        for task, due_s in ((one, 3), (two, 2), (three, 1), (one, 0.5), (three, 9)):
            schedule.put(task, due_s)
        assert schedule.pop() is None
        for _ in range(3):
            await schedule.until_due()
            due = schedule.pop()
            assert due is not None
            order.append(f"{due.task_id} {asyncio.get_running_loop().time():.1f}")
        assert schedule.pop() is None
        return order

    assert run(everything()) == ["one 0.5", "two 2.0", "three 9.0"]


def test_a_task_that_becomes_due_sooner_ends_the_sleep() -> None:
    async def everything() -> float:
        schedule, task = Schedule(), watched()
        schedule.put(task, 1000)
        asyncio.get_running_loop().call_at(5, schedule.put, task, 7)
        await schedule.until_due()
        return asyncio.get_running_loop().time()

    assert 7 <= run(everything()) < 7.1


def test_a_schedule_does_not_grow_with_outdated_entries() -> None:
    async def everything() -> int:
        schedule, alive = Schedule(), [watched(str(number)) for number in range(10)]
        for turn in range(1000):
            schedule.put(alive[turn % 10], 1000 + turn)
            schedule.keep(alive)
        await schedule.until_due()
        return len(schedule)

    assert run(everything()) < 100


def test_the_objects_of_tasks_are_small() -> None:
    assert not hasattr(watched(), "__dict__")


def test_memory_of_unknown_statuses_is_bounded_and_each_is_emitted_once_for_a_while() -> None:
    log, task = MemoryJournal().task(V1_FULL, "task-1"), watched()

    def is_emitted(status: str) -> bool:
        return learn(V1_FULL, task, log.enter_report(Report(status, NOW, "api"))) is not None

    assert [is_emitted(status) for status in ("dreaming", "dreaming", "asleep", "dreaming")] == [
        True,
        False,
        True,
        False,
    ]
    for number in range(1000):
        assert is_emitted(f"{number}" * 1000)
    assert len(task.unknown_statuses) == 16
    assert sum(map(sys.getsizeof, task.unknown_statuses)) < 1000
    assert is_emitted("dreaming")
    assert not is_emitted("dreaming")


def test_recurring_unknown_status_is_remembered() -> None:
    log, task = MemoryJournal().task(V1_FULL, "task-1"), watched()

    statuses = [
        status
        for number in range(100)
        for status in ("dreaming", f"new {number}")
        if learn(V1_FULL, task, log.enter_report(Report(status, NOW, "api"))) is not None
    ]
    assert statuses.count("dreaming") == 1
