"""Watching with faults of the service, the journal and the channel: every change is emitted in order and once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx2
import pytest

from lifecycle import V1_FULL, AdapterError
from lifecycle.conformance import ObservationKind
from lifecycle.journal import Report, ReportEntry, TaskReport
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.watch import Change, Event, StopAfter, Throttle
from tests.adapters.watch.worlds import EVEN, Service, clock, run, timetable, watching

TASKS = [f"t{number}" for number in range(25)]
COURSES = [
    ("created", "running", "finished"),
    ("created", "running", "paused", "running", "paused", "stopped"),
    ("running", "dreaming", "running", "failed"),
    ("created", "failed"),
    ("running",),  # until a policy ends it
]


class Moody(MemoryJournal):
    """A journal that fails now and then."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        if self._chance.random() < 0.2:
            raise AdapterError("not now")
        return super().add_reports(reports)


def moody(chance: Random) -> httpx2.Response | None:
    """The responses of an overloaded service."""
    match chance.random():
        case part if part < 0.05:
            return httpx2.Response(429, headers={"Retry-After": "2"})
        case part if part < 0.15:
            return httpx2.Response(503)
        case part if part < 0.2:
            return httpx2.Response(200, content=b"<html>")
        case part if part < 0.25:
            raise httpx2.ReadTimeout("too slow")
        case _:
            return None


def heard(chance: Random, journal: MemoryJournal, service: Service, task_id: str) -> ReportEntry[Any, Any] | None:
    """A webhook: of the state that the task is in or was in, in time or late."""
    word = service.words[task_id] if chance.random() < 0.7 else chance.choice(["initializing", "started", "paused"])
    as_of = datetime.now(UTC) - timedelta(milliseconds=chance.choice([0, 0, 1, 1000]))
    try:
        return journal.add_reports([TaskReport(V1_FULL, task_id, Report(word, as_of, "webhook"))])[0]
    except AdapterError:
        return None


@pytest.mark.parametrize("seed", range(6))
def test_under_all_faults_each_task_is_emitted_in_order_to_its_end(seed: int) -> None:
    chance = Random(seed)
    journal, service = Moody(chance), Service(plan=lambda _: moody(chance))
    logs = {task_id: journal.task(V1_FULL, task_id) for task_id in TASKS}

    async def push(watched: Any) -> None:
        while True:
            await asyncio.sleep(chance.uniform(0, 5))
            task_id = chance.choice(TASKS)
            entry = heard(chance, journal, service, task_id)
            if entry is not None:
                watched.feed_report(task_id, entry)

    async def everything() -> list[Event]:
        for number, task_id in enumerate(TASKS):
            course = COURSES[number % len(COURSES)]
            service.words[task_id] = course[0]
            timetable(service, {chance.uniform(20, 40) * turn: {task_id: word} for turn, word in enumerate(course)})
        settings: dict[str, Any] = {"policies": [StopAfter(400)], "clock": clock(), "throttle": Throttle(200)}
        async with watching(service.client(journal=journal), pace=EVEN, **settings) as watched:
            watched.add(*TASKS)
            pushing = asyncio.create_task(push(watched))
            emitted = [event async for event in watched.changes()]
            pushing.cancel()
            return emitted

    emitted = run(everything())
    for task_id in TASKS:
        changes = [each for each in emitted if isinstance(each, Change) and each.task_id == task_id]
        moves = [each for each in changes if each.before != each.state]
        assert [each.before for each in moves[1:]] == [each.state for each in moves[:-1]], "one from another"
        assert [each.is_over for each in changes] == [False] * (len(changes) - 1) + [True], "emitted once, and last"
        assert logs[task_id].load().state == changes[-1].state, "the journal agrees"
        assert all(each.kind is ObservationKind.UNKNOWN for each in changes if each.status == "dreaming")
    stopped = [call for call in service.commands if "stop" in call]
    assert len(stopped) >= 5
