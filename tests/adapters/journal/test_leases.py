"""Leases: no worker claims a command of one that may be alive, and any worker claims one of a dead worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lifecycle import CommandEvent, RecordMissing, get
from lifecycle_adapters.journal import RecordedCommand, SqlJournal
from tests.adapters.journal.acting import Log, Time, knowing, opened
from tests.adapters.journal.conftest import OpenJournal

LEASE_S = 120.0


@pytest.fixture
def held(journal: SqlJournal) -> str:
    """The id of a command of `task-1` that worker `one` has just opened."""
    return opened(knowing(journal, "running")).id


def test_a_claimed_command_is_refused_until_its_lease_is_over(open_journal: OpenJournal, time: Time, held: str) -> None:
    other = knowing(open_journal(worker="two"))

    assert other.claim(held) is None
    time.go(LEASE_S)
    assert other.claim(held) is None
    time.go(0.001)
    assert other.claim(held) == other.load().open_command


def test_a_resumed_command_is_claimed(open_journal: OpenJournal, time: Time, held: str) -> None:
    two, three = knowing(open_journal(worker="two")), knowing(open_journal(worker="three"))
    time.go(LEASE_S + 1)
    assert two.claim(held) is not None

    assert three.claim(held) is None
    time.go(LEASE_S + 1)
    assert three.claim(held) is not None


@pytest.mark.parametrize("act", ["attempt", "lose"])
def test_every_write_about_a_command_renews_its_claim(
    open_journal: OpenJournal, journal: SqlJournal, time: Time, held: str, act: str
) -> None:
    one, two = knowing(journal), knowing(open_journal(worker="two"))
    time.go(LEASE_S)

    if act == "attempt":
        assert one.add_attempt(held, number=1, claim=1)
    else:
        one.add_outcome(held, CommandEvent.LOSE, why="silence", claim=1)

    time.go(LEASE_S)
    assert two.claim(held) is None
    time.go(1)
    assert two.claim(held) is not None


def test_worker_with_the_claim_cannot_claim_again(journal: SqlJournal, held: str) -> None:
    """Another thread of it may be at work."""
    assert knowing(journal).claim(held) is None


def test_a_restarted_worker_resumes_its_commands_at_once(open_journal: OpenJournal, held: str) -> None:
    assert knowing(open_journal(worker="one")).claim(held) is not None


def test_unnamed_workers_have_distinct_names(open_journal: OpenJournal) -> None:
    one, other = open_journal(worker=None), open_journal(worker=None)
    command = opened(knowing(one, "running"))

    assert one.worker != other.worker
    assert knowing(other).claim(command.id) is None


def test_a_released_command_can_be_claimed_by_any_worker(
    open_journal: OpenJournal, journal: SqlJournal, held: str
) -> None:
    two, three = knowing(open_journal(worker="two")), knowing(open_journal(worker="three"))

    two.release(held, claim=1)  # it is not its own
    assert two.claim(held) is None
    knowing(journal).release(held, claim=1)
    assert two.claim(held) is not None
    assert three.claim(held) is None


def test_a_claim_in_the_future_is_void(open_journal: OpenJournal, time: Time, held: str) -> None:
    other = knowing(open_journal(worker="two"))
    time.go(-LEASE_S)
    assert other.claim(held) is None, "clocks differ a little"

    time.go(-1)

    assert other.claim(held) is not None


def test_the_lease_is_that_of_the_claiming_worker(open_journal: OpenJournal, time: Time, held: str) -> None:
    time.go(6)

    assert knowing(open_journal(worker="two", lease_s=6.5)).claim(held) is None
    assert knowing(open_journal(worker="two", lease_s=5.0)).claim(held) is not None


def test_an_ended_command_is_not_claimed(open_journal: OpenJournal, journal: SqlJournal, time: Time, held: str) -> None:
    knowing(journal).add_outcome(held, CommandEvent.CONFIRM, why="", claim=1)
    time.go(LEASE_S + 1)

    assert knowing(open_journal(worker="two")).claim(held) is None


def test_a_claim_is_recorded(open_journal: OpenJournal, time: Time, held: str) -> None:
    log = knowing(open_journal(worker="two"))
    before = log.load()
    time.go(LEASE_S + 1)

    claimed = log.claim(held)

    assert claimed is not None
    assert before.open_command is not None
    assert (before.open_command.claim, claimed.claim, log.load().state) == (1, 2, before.state)
    last = open_journal().history("task-1")[-1]
    assert isinstance(last, RecordedCommand)
    assert (last.worker, last.at, last.event, last.why) == ("two", time.now, None, "claimed")


def test_a_worker_that_died_and_came_back_late_does_not_send_again(
    open_journal: OpenJournal, journal: SqlJournal, time: Time, held: str
) -> None:
    late, two = knowing(journal), knowing(open_journal(worker="two"))
    time.go(LEASE_S + 1)
    assert two.claim(held) is not None
    assert late.add_attempt(held, number=1, claim=1) is False
    assert two.add_attempt(held, number=1, claim=2)

    assert late.add_attempt(held, number=2, claim=1) is False


@pytest.mark.parametrize("event", CommandEvent)
def test_a_worker_whose_command_was_claimed_records_no_outcome(
    open_journal: OpenJournal, journal: SqlJournal, time: Time, held: str, event: CommandEvent
) -> None:
    late, two = knowing(journal), knowing(open_journal(worker="two"))
    late.load()
    time.go(LEASE_S + 1)
    claimed = two.claim(held)
    assert claimed is not None
    before = journal.history("task-1")

    outcome = late.add_outcome(held, event, why="too late", claim=1)

    assert outcome == (two.load(), claimed)
    assert journal.history("task-1") == before
    late.release(held, claim=1)
    assert two.load().open_command == claimed


def test_a_second_outcome_returns_the_first(journal: SqlJournal, held: str) -> None:
    one, other = knowing(journal), knowing(journal)
    first = one.add_outcome(held, CommandEvent.CONFIRM, why="it is paused", claim=1)

    assert other.add_outcome(held, CommandEvent.REFUSE, why="it was refused", claim=1) == first
    assert first.command.state == "done"


def test_the_claims_of_a_dead_worker_do_not_count(open_journal: OpenJournal, held: str) -> None:
    two = knowing(open_journal(worker="two"))

    assert two.claim(held, dead={"three"}) is None
    assert two.claim(held, dead={"one"}) == two.load().open_command


def test_a_record_has_the_worker_and_the_end_of_its_claim(journal: SqlJournal, time: Time, held: str) -> None:
    log = knowing(journal)
    command = log.load().open_command
    assert command is not None
    assert command.lease == ("one", time.now + timedelta(seconds=LEASE_S))

    log.release(held, claim=1)

    assert log.load_command(held).lease is None


@pytest.mark.parametrize("strange", ["2", "0", "-1", "x", "", "¹", "٣", "9" * 400])
def test_unknown_command_is_refused(journal: SqlJournal, held: str, strange: str) -> None:
    log = knowing(journal)

    for act in (
        lambda: log.claim(strange),
        lambda: log.add_attempt(strange, number=1, claim=1),
        lambda: log.add_outcome(strange, CommandEvent.CONFIRM, why="", claim=1),
    ):
        with pytest.raises(RecordMissing) as info:
            act()
        assert info.value.command_id == strange
    log.release(strange, claim=1)
    assert log.load().open_command is not None


def test_command_of_another_task_is_refused(journal: SqlJournal, held: str) -> None:
    others: list[Log] = [knowing(journal, "running", task="task-2"), journal.task(get("v1"), "task-1")]

    for other in others:
        with pytest.raises(RecordMissing, match="the journal has no command"):
            other.add_attempt(held, number=1, claim=1)


@pytest.mark.parametrize("number", [0, 2, -1, 10**30])
def test_an_attempt_out_of_order_is_not_recorded(journal: SqlJournal, held: str, number: int) -> None:
    log = knowing(journal)

    assert log.add_attempt(held, number=number, claim=1) is False
    assert len(journal.history("task-1")) == 2
