"""The reducers, and the arguments of records. The journal in memory is tested in test_memory.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from math import nan
from typing import Any

import pytest

from lifecycle import CATALOG, COMMAND, Channel, CommandEvent, CommandState, ObservationKind, get
from lifecycle.journal import CommandEntry, CommandRecord, Lease, Report, ReportEntry, TaskRecord, are_same_fields
from lifecycle.reducers import apply_claim, apply_event, apply_report, classify_report, is_repeat, may_attempt
from tests.lifecycle.drivers import Declared, clock

START = next(clock())


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


@pytest.mark.parametrize(
    ("as_of", "error"),
    [
        ("2026-01-01", TypeError),
        (datetime(2026, 1, 1), ValueError),  # noqa: DTZ001
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), ValueError),
    ],
)
def test_report_whose_time_no_journal_can_hold_is_refused_when_it_is_made(as_of: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="as_of must "):
        Report("running", as_of)


def knowing(state: str, second: float = 0) -> TaskRecord[str, str]:
    """The record of a task whose only report is this one, at that second."""
    return TaskRecord(version=1, state=state, as_of=at(second), since=at(second), first_at=at(second))


def pushed(status: str, second: float) -> Report:
    return Report(status, at(second), Channel.WEBHOOK)


# --- fields ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({}, {}, True),
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}, True),
        ({"a": ["x", "y"]}, {"a": ("x", "y")}, True),
        ({"a": nan}, {"a": nan}, True),
        ({"a": START}, {"a": START}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": {"b": [True]}}, {"a": {"b": [1]}}, False),
        ({"a": None}, {}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, False),
    ],
)
def test_fields_are_the_same_if_they_are_the_same_json(
    one: dict[str, Any], other: dict[str, Any], is_same: bool
) -> None:
    assert are_same_fields(one, other) is is_same
    assert are_same_fields(other, one) is is_same


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

    entry = classify_report(get("v1"), known, Report("paused", at(as_of)), now=None if now is None else at(now))

    assert entry.late is late
    assert entry.state == ("running" if late else "paused")
    assert (apply_report(known, entry) == known) is late


def test_after_a_clock_was_set_back_the_new_time_counts() -> None:
    entry = classify_report(get("v1"), knowing("running", 3600), Report("paused", at(10)), now=at(11))
    record = apply_report(knowing("running", 3600), entry, now=at(11))

    assert (record.as_of, record.since) == (at(10), at(10))
    assert classify_report(get("v1"), record, Report("running", at(9)), now=at(12)).late


def test_report_time_is_at_most_now() -> None:
    entry = classify_report(get("v1"), knowing("running"), Report("stopped", at(3600)), now=at(10))

    record = apply_report(knowing("running"), entry, now=at(10))

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

    entry = classify_report(get(name), before, pushed(word, 10))

    assert entry.unconfirmed is unconfirmed
    assert not entry.late
    if unconfirmed:
        assert entry.state == known
        assert apply_report(before, entry) == before


@pytest.mark.parametrize("lifecycle", CATALOG.values(), ids=lambda each: each.name)
def test_an_unconfirmed_report_could_be_applied_and_could_be_older(lifecycle: Declared) -> None:
    for known in lifecycle.states:
        for told in lifecycle.states:
            observation = lifecycle.observe(known.name, told.name)
            moves = observation.kind in (ObservationKind.STEP, ObservationKind.JUMP)
            may_be_older = known.name in lifecycle.reachable(told.name)

            entry = classify_report(lifecycle, knowing(known.name), pushed(told.name, 10))

            assert entry.unconfirmed is (moves and may_be_older)


def test_a_poll_inside_a_cycle_is_applied() -> None:
    assert classify_report(get("v1"), knowing("running"), Report("paused", at(10))).state == "paused"


def test_a_pushed_report_inside_a_cycle_is_not_late_by_another_clock() -> None:
    entry = classify_report(get("v1"), knowing("running", 10), pushed("paused", 9))

    assert (entry.late, entry.unconfirmed) == (False, True)


@pytest.mark.parametrize("channel", ["api", "webhook"])
@pytest.mark.parametrize("lifecycle", CATALOG.values(), ids=lambda each: each.name)
def test_an_older_pushed_report_is_applied_if_the_task_cannot_have_been_there(
    lifecycle: Declared, channel: str
) -> None:
    """What precedes what is taken from the paths of the table; the report's time is that of a clock that is behind."""
    for known in lifecycle.states:
        for told in lifecycle.states:
            before, leads_on = knowing(known.name, 10), told.name in lifecycle.reachable(known.name)
            returns = known.name in lifecycle.reachable(told.name)

            entry = classify_report(lifecycle, before, Report(told.name, at(9), channel), now=at(11))
            after = apply_report(before, entry, now=at(11))

            is_new = leads_on and not returns and told != known and channel == "webhook"
            assert after.state == (told.name if is_new else known.name)
            assert entry.unconfirmed is (leads_on and returns and told != known and channel == "webhook")
            assert entry.late is not (is_new or entry.unconfirmed)
            assert after.as_of == at(10), "the time of a record never goes back"


def test_the_first_report_is_applied_from_any_channel() -> None:
    entry = classify_report(get("v1-full"), TaskRecord(), pushed("started", 10))

    assert (entry.state, entry.observation, entry.unconfirmed) == ("running", None, False)


# --- since when -----------------------------------------------------------------------------------------


def told(*reports: tuple[str, float]) -> TaskRecord[str, str]:
    """Return the record of a v1 task after these reports."""
    lifecycle: Declared = get("v1-full")
    record: TaskRecord[str, str] = TaskRecord()
    for status, second in reports:
        record = apply_report(record, classify_report(lifecycle, record, Report(status, at(second))))
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


# --- doubt ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reports", "state", "doubt", "version"),
    [
        ("stopped running", "stopped", "running", 2),
        ("stopped running running", "stopped", "running", 2),  # nothing new
        ("stopped running paused", "stopped", "paused", 3),
        ("finished stopped", "finished", "stopped", 2),  # over, but not there
        ("stopped running stopped", "stopped", None, 3),  # it is over after all
        ("stopped zombie", "stopped", None, 1),  # an unknown status contradicts nothing
        ("stopped stopped", "stopped", None, 1),
        ("running created", "running", None, 1),  # what is not final is not contradicted
        ("running paused", "paused", None, 2),
    ],
)
def test_a_final_state_is_in_doubt_while_the_last_report_contradicts_it(
    reports: str, state: str, doubt: str | None, version: int
) -> None:
    record = told(*((status, second) for second, status in enumerate(reports.split())))

    assert (record.state, record.doubt, record.current, record.version) == (state, doubt, doubt or state, version)


def test_a_report_that_contradicts_a_final_state_is_marked() -> None:
    assert classify_report(get("v1"), knowing("stopped"), Report("running", at(1))).contradicts
    assert not classify_report(get("v1"), knowing("stopped"), Report("stopped", at(1))).contradicts


def test_a_late_report_raises_no_doubt() -> None:
    before = knowing("stopped", 10)
    entry = classify_report(get("v1"), before, Report("running", at(9)))

    assert (entry.late, entry.contradicts) == (True, False)
    assert apply_report(before, entry) == before


def test_a_doubt_does_not_change_the_time_of_the_record() -> None:
    record = told(("stopped", 1), ("running", 5))

    assert (record.as_of, record.since, record.first_at) == (at(1), at(1), at(1))


def test_reports_keep_the_time_of_creation_and_the_open_command() -> None:
    command = CommandRecord("1", "stop", "running", CommandState.UNCERTAIN, {})
    before = replace(knowing("running"), created_at=at(0), open_command=command)

    after = apply_report(before, classify_report(get("v1"), before, Report("paused", at(1))))

    assert (after.created_at, after.open_command) == (at(0), command)


# --- attempts, claims and outcomes ------------------------------------------------------------------------

COMMAND_1 = CommandRecord("1", "pause", "running", CommandState.UNCERTAIN, {}, attempts=2, claim=4)


@pytest.mark.parametrize(
    ("state", "command_id", "number", "claim", "may"),
    [
        ("running", "1", 3, 4, True),
        ("running", "1", 2, 4, False),  # another worker has made it
        ("running", "1", 4, 4, False),
        ("running", "2", 3, 4, False),  # not the one that is open
        ("running", "1", 3, 3, False),  # another worker has claimed it since
        ("running", "1", 3, 5, False),
        ("paused", "1", 3, 4, False),  # the task has moved since
        ("stopped", "1", 3, 4, False),
        (None, "1", 3, 4, False),
    ],
)
def test_a_command_may_be_attempted_in_a_state_that_accepts_it(
    state: str | None, command_id: str, number: int, claim: int, may: bool
) -> None:
    lifecycle: Declared = get("v1")
    known = TaskRecord(state=state, open_command=COMMAND_1)

    assert may_attempt(lifecycle, known, command_id, number=number, claim=claim) is may
    assert not may_attempt(lifecycle, TaskRecord(state=state), command_id, number=number, claim=claim)


@pytest.mark.parametrize(("command", "may"), [("stop", True), ("pause", False)])
def test_a_stop_may_be_attempted_for_a_task_that_was_never_read(command: str, may: bool) -> None:
    lifecycle: Declared = get("v1")
    known: TaskRecord[str, str]
    known = TaskRecord(open_command=CommandRecord("1", command, None, CommandState.RECORDED, {}))

    assert may_attempt(lifecycle, known, "1", number=1, claim=1) is may


@pytest.mark.parametrize(("doubt", "may"), [("running", True), ("paused", False)])
def test_a_doubt_decides_which_command_may_be_attempted(doubt: str, may: bool) -> None:
    known = TaskRecord(state="stopped", doubt=doubt, open_command=COMMAND_1)

    assert may_attempt(get("v1"), known, "1", number=3, claim=4) is may


A, B = Lease("A", at(60)), Lease("B", at(100))


@pytest.mark.parametrize(
    ("lease", "now", "is_successor", "dead", "is_free"),
    [
        (None, 0, False, (), True),
        (A, 59, False, (), False),
        (A, 60, False, (), False),  # the last moment of the lease
        (A, 60.001, False, (), True),
        (A, 0, True, (), True),
        (A, 0, False, ("A",), True),
        (A, 0, False, ("B", "C"), False),
        (Lease("A", None), 10**6, False, (), False),  # a claim without end
        (Lease("A", None), 0, False, ("A",), True),
    ],
)
def test_a_claim_follows_one_whose_worker_cannot_be_alive(
    lease: Lease | None, now: float, is_successor: bool, dead: tuple[str, ...], is_free: bool
) -> None:
    held = replace(COMMAND_1, lease=lease)

    claimed = apply_claim(held, B, now=at(now), is_successor=is_successor, dead=dead)

    assert claimed == (replace(held, claim=5, lease=B) if is_free else None)


@pytest.mark.parametrize("state", [state.name for state in COMMAND.states])
def test_only_an_open_command_is_claimed(state: CommandState) -> None:
    ended = replace(COMMAND_1, state=state)

    claimed = apply_claim(ended, B, now=at(0), is_successor=True, dead=())

    assert (claimed is None) is COMMAND.is_final(state)


@pytest.mark.parametrize("claim", [3, 4, 5])
@pytest.mark.parametrize("state", [state.name for state in COMMAND.states])
def test_an_event_is_applied_if_it_is_possible_under_the_present_claim(state: CommandState, claim: int) -> None:
    command = replace(COMMAND_1, state=state)
    for event in CommandEvent:
        target = COMMAND.target(state, event)

        moved = apply_event(command, event, why="because", claim=claim, lease=B)

        if target is None or claim != 4:
            assert moved is command
        else:
            left = None if COMMAND.is_final(target) else B
            assert moved == replace(command, state=target, why="because", lease=left)


# --- repetitions ----------------------------------------------------------------------------------------


def entered(status: str = "running", channel: str = Channel.API, **found: Any) -> ReportEntry[str, str]:
    return ReportEntry(Report(status, at(0), channel), "running", None, **found)


def test_only_an_equal_report_is_a_repeat() -> None:
    command: CommandEntry[str, str] = CommandEntry(
        CommandRecord("1", "pause", "running", CommandState.RECORDED, {}), None, "intended"
    )

    assert is_repeat(entered(), entered(times=3))
    for other in (None, command, entered("paused"), entered(channel=Channel.WEBHOOK)):
        assert not is_repeat(entered(), other)
    for odd in (entered(late=True), entered(unconfirmed=True)):
        assert not is_repeat(odd, entered())
        assert not is_repeat(entered(), odd)
        assert not is_repeat(odd, odd)
