"""How a record follows from another, for every journal. What the one in memory keeps is in test_memory.py."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from lifecycle import CATALOG, Channel, ObservationKind, get
from lifecycle.catalog import CommandState
from lifecycle.journal import (
    CommandEntry,
    CommandRecord,
    Report,
    ReportEntry,
    TaskRecord,
    after_report,
    judge_report,
    may_send,
    repeats,
)
from tests.lifecycle.drivers import Declared, clock

START = next(clock())


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def knowing(state: str, second: float = 0) -> TaskRecord[str, str]:
    """The record of a task that was reported so at that second."""
    return TaskRecord(version=1, state=state, as_of=at(second), since=at(second), first_at=at(second))


def pushed(status: str, second: float) -> Report:
    return Report(status, at(second), Channel.WEBHOOK)


# --- late -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "now", "late"),
    [
        (9, None, True),
        (10, None, False),  # as old as the last
        (9, 10, True),
        (9, 11, True),
        (9, 9.5, False),  # the last one was believed in a time that has not come yet
        (11, 9.5, False),
    ],
)
def test_a_report_is_late_unless_a_clock_was_set_back(as_of: float, now: float | None, late: bool) -> None:
    known = knowing("running", 10)

    entry = judge_report(get("v1"), known, Report("paused", at(as_of)), now=None if now is None else at(now))

    assert entry.late is late
    assert entry.state == ("running" if late else "paused")
    assert (after_report(known, entry) == known) is late


def test_after_a_clock_was_set_back_the_new_time_counts() -> None:
    entry = judge_report(get("v1"), knowing("running", 3600), Report("paused", at(10)), now=at(11))
    record = after_report(knowing("running", 3600), entry, now=at(11))

    assert (record.as_of, record.since) == (at(10), at(10))
    assert judge_report(get("v1"), record, Report("running", at(9)), now=at(12)).late


def test_nothing_is_believed_to_be_newer_than_now() -> None:
    entry = judge_report(get("v1"), knowing("running"), Report("stopped", at(3600)), now=at(10))

    record = after_report(knowing("running"), entry, now=at(10))

    assert (record.as_of, record.since) == (at(10), at(10))
    assert entry.report.as_of == at(3600), "what was said is kept as it was said"


# --- unconfirmed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "word", "unconfirmed"),
    [
        ("v1-full", "running", "paused", True),
        ("v1-full", "paused", "started", True),
        ("v1-full", "running", "started", False),  # nothing new
        ("v1-full", "created", "started", False),  # there is no way back
        ("v1-full", "paused", "stopped", False),
        ("v1-full", "paused", "initializing", False),  # stale: it is kept out by itself
        ("v1-full", "running", "zombie", False),
        ("v3-full", "idle", "running", True),
        ("v3-full", "running", "idle", True),
        ("v3-full", "created", "idle", False),
    ],
)
def test_a_pushed_report_inside_a_cycle_is_unconfirmed(name: str, known: str, word: str, unconfirmed: bool) -> None:
    before = knowing(known)

    entry = judge_report(get(name), before, pushed(word, 10))

    assert entry.unconfirmed is unconfirmed
    assert not entry.late
    if unconfirmed:
        assert entry.state == known
        assert after_report(before, entry) == before


@pytest.mark.parametrize("lifecycle", CATALOG.values(), ids=lambda each: each.name)
def test_what_is_unconfirmed_could_be_applied_and_could_be_older(lifecycle: Declared) -> None:
    for known in lifecycle.states:
        for told in lifecycle.states:
            observation = lifecycle.observe(known.name, told.name)
            moves = observation.kind in (ObservationKind.STEP, ObservationKind.JUMP)
            may_be_older = known.name in lifecycle.reachable(told.name)

            entry = judge_report(lifecycle, knowing(known.name), pushed(told.name, 10))

            assert entry.unconfirmed is (moves and may_be_older)


def test_a_poll_inside_a_cycle_is_believed() -> None:
    assert judge_report(get("v1"), knowing("running"), Report("paused", at(10))).state == "paused"


def test_what_is_late_is_not_unconfirmed_as_well() -> None:
    entry = judge_report(get("v1"), knowing("running", 10), pushed("paused", 9))

    assert (entry.late, entry.unconfirmed) == (True, False)


def test_the_first_report_is_believed_from_any_channel() -> None:
    entry = judge_report(get("v1-full"), TaskRecord(), pushed("started", 10))

    assert (entry.state, entry.observation, entry.unconfirmed) == ("running", None, False)


# --- since when -----------------------------------------------------------------------------------------


def told(*reports: tuple[str, float]) -> TaskRecord[str, str]:
    """What is known of a v1 task after these reports."""
    lifecycle: Declared = get("v1-full")
    record: TaskRecord[str, str] = TaskRecord()
    for status, second in reports:
        record = after_report(record, judge_report(lifecycle, record, Report(status, at(second))))
    return record


@pytest.mark.parametrize(
    ("reports", "since"),
    [
        ([("running", 1), ("running", 5)], 1),
        ([("running", 1), ("paused", 2), ("paused", 5)], 2),
        ([("running", 1), ("paused", 2), ("running", 5)], 5),
        ([("running", 1), ("created", 5)], 1),
        ([("running", 1), ("zombie", 5)], 1),
        ([("zombie", 1), ("running", 5)], 5),
    ],
)
def test_a_task_is_in_its_state_since_the_report_that_brought_it_there(
    reports: list[tuple[str, float]], since: float
) -> None:
    assert told(*reports).since == at(since)


def test_the_first_report_keeps_its_time() -> None:
    assert told(("zombie", 1), ("running", 5), ("stopped", 9)).first_at == at(1)


# --- attempts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "command_id", "number", "may"),
    [
        ("running", "1", 3, True),
        ("running", "1", 2, False),  # another worker has made it
        ("running", "1", 4, False),
        ("running", "2", 3, False),  # not the one that is open
        ("paused", "1", 3, False),  # the task has moved since
        ("stopped", "1", 3, False),
        (None, "1", 3, False),
    ],
)
def test_what_may_be_sent(state: str | None, command_id: str, number: int, may: bool) -> None:
    lifecycle: Declared = get("v1")
    command = CommandRecord("1", "pause", "running", CommandState.UNCERTAIN, {}, attempts=2)

    assert may_send(lifecycle, TaskRecord(state=state, open_command=command), command_id, number) is may
    assert not may_send(lifecycle, TaskRecord(state=state), command_id, number)


# --- repetitions ----------------------------------------------------------------------------------------


def entered(status: str = "running", channel: str = Channel.API, **found: Any) -> ReportEntry[str, str]:
    return ReportEntry(Report(status, at(0), channel), "running", None, **found)


def test_only_what_says_the_same_again_repeats() -> None:
    command: CommandEntry[str, str] = CommandEntry(
        CommandRecord("1", "pause", "running", CommandState.RECORDED, {}), None, "intended"
    )

    assert repeats(entered(), entered(times=3))
    for other in (None, command, entered("paused"), entered(channel=Channel.WEBHOOK)):
        assert not repeats(entered(), other)
    for odd in (entered(late=True), entered(unconfirmed=True)):
        assert not repeats(odd, entered())
        assert not repeats(entered(), odd)
        assert not repeats(odd, odd)
