"""Workers that act on one task at the same moment: each sees what the one before it has done."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from lifecycle import CommandEvent
from lifecycle.journal import Delivery, Report
from lifecycle_adapters.journal import SqlJournal
from tests.adapters.journal.acting import Log, at, hearing, knowing, opened, recorded, told
from tests.adapters.journal.conftest import OpenJournal

T = TypeVar("T")

DELIVERY = Delivery("d-1", "status", at(0), "{}")


def wait_for_its_turn(connection: sa.Connection) -> None:
    """Wait until another connection waits for the locks of this transaction."""
    if connection.dialect.name == "sqlite":  # whose waiting cannot be seen: it asks again and again
        time.sleep(0.05)
        return
    end = time.monotonic() + 10
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
    while not connection.scalar(waiting):
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.005)


def begun_before_the_commit_of(journal: SqlJournal, change: Callable[[], Any], act: Callable[[], T]) -> Future[T]:
    """Make a change in that journal; return the outcome of `act`, which had to wait for the change."""
    waiting: list[Future[T]] = []

    def committing(connection: sa.Connection) -> None:
        waiting.append(pool.submit(act))
        wait_for_its_turn(connection)

    with ThreadPoolExecutor(1) as pool, hearing("commit", journal, committing):
        change()
    return waiting[0]


def test_a_worker_that_waits_for_an_attempt_does_not_send(open_journal: OpenJournal) -> None:
    journal = open_journal()
    one, other = knowing(journal, "running"), knowing(open_journal(worker="two"))
    number = opened(one).id

    sent = begun_before_the_commit_of(
        journal,
        lambda: one.add_attempt(number, number=1, claim=1),
        lambda: other.add_attempt(number, number=1, claim=1),
    )

    assert sent.result() is False
    assert [each.attempts for each in [one.load().open_command] if each] == [1]


def test_a_worker_that_waits_for_an_outcome_cannot_end_the_command_again(open_journal: OpenJournal) -> None:
    journal = open_journal()
    one, other = knowing(journal, "running"), knowing(open_journal(worker="two"))
    number = opened(one).id

    ended = begun_before_the_commit_of(
        journal,
        lambda: one.add_outcome(number, CommandEvent.CONFIRM, why="", claim=1),
        lambda: other.add_outcome(number, CommandEvent.LOSE, why="", claim=1),
    )

    assert ended.result().command.state == "done"


def test_a_worker_that_waits_for_a_claim_does_not_get_it(open_journal: OpenJournal) -> None:
    journal = open_journal()
    one, other = knowing(journal, "running"), knowing(open_journal(worker="two"))
    number = opened(one).id
    one.release(number, claim=1)

    claimed = begun_before_the_commit_of(journal, lambda: one.claim(number), lambda: other.claim(number))

    assert claimed.result() is None


def test_a_worker_that_waits_with_an_intent_gets_the_open_command(open_journal: OpenJournal) -> None:
    journal = open_journal()
    one, other = knowing(journal, "running"), knowing(open_journal(worker="two"))

    def intend(log: Log) -> object:
        return log.add_intent("pause", source="running", version=1, fields={})

    found = begun_before_the_commit_of(journal, lambda: intend(one), lambda: intend(other))

    assert found.result() == one.load()
    assert one.load().open_command is not None


def test_a_worker_that_waits_with_a_report_gets_the_present_record(open_journal: OpenJournal) -> None:
    journal = open_journal()
    one, other = knowing(journal, "running"), knowing(open_journal(worker="two"))
    number = opened(one).id
    changes: list[Callable[[], object]] = [
        lambda: one.add_attempt(number, number=1, claim=1),
        lambda: one.add_outcome(number, CommandEvent.CONFIRM, why="", claim=1),
    ]

    for change in changes:
        told_of = begun_before_the_commit_of(journal, change, lambda: other.add_report(Report("paused", at(9))))

        assert told_of.result() == one.load()


def test_a_worker_that_waits_with_a_delivery_finds_it_received(open_journal: OpenJournal) -> None:
    one, other = open_journal(), open_journal(worker="two")

    received = begun_before_the_commit_of(
        one, lambda: one.receive(DELIVERY), lambda: other.receive(DELIVERY, [told("task-1", "running")])
    )

    assert received.result() is None
    assert other.history("task-1") == []


def test_a_task_that_is_forgotten_between_being_made_and_being_locked(postgres_url: str) -> None:
    with SqlJournal(postgres_url) as journal, SqlJournal(postgres_url) as other:
        interferences: list[Callable[[], object]] = [
            lambda: other.forget("task-1"),
            lambda: other.add_reports([told("task-1", "paused")]),
        ]

        def interfere(_: sa.Connection, __: Any, statement: str, *___: Any) -> None:
            if interferences and statement.startswith("INSERT INTO lifecycle_tasks"):
                interferences.pop()()

        with (
            hearing("before_cursor_execute", journal, interfere),
            hearing("after_cursor_execute", journal, interfere),
        ):
            [entry] = recorded(journal, [told("task-1", "running")])

    assert interferences == []
    assert (entry.state, entry.observation) == ("running", None)
