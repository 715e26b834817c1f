"""Workers that act on one task at the same moment: each sees what the one before it has done."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from adapters.journal import SqlJournal, writing
from adapters.journal.writing import Key
from lifecycle import CommandEvent, IllegalTransition, get
from lifecycle.journal import Delivery, Report, TaskRecord
from tests.adapters.journal.acting import at, knowing, opened, told
from tests.adapters.journal.conftest import OpenJournal

KEY = Key(get("v1-full"), "task-1")
DELIVERY = Delivery("d-1", "status", at(0), "{}")

Change = Callable[[sa.Connection, SqlJournal, str], object]


def wait_for_its_turn(connection: sa.Connection) -> None:
    """Wait until somebody waits for what this transaction has locked."""
    if connection.dialect.name == "sqlite":  # whose waiting cannot be seen: it asks again and again
        time.sleep(0.05)
        return
    end = time.monotonic() + 10
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
    while not connection.scalar(waiting):
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.005)


@contextmanager
def while_another_waits(journal: SqlJournal, change: Change, command_id: str, act: Callable[[], Any]) -> Generator[Any]:
    """Give what came of `act`, which was begun while `change` was made and not yet committed."""
    with ThreadPoolExecutor(1) as pool:
        with journal.database.transaction() as connection:
            change(connection, journal, command_id)
            waiting: Future[Any] = pool.submit(act)
            wait_for_its_turn(connection)
        yield waiting


def sends(connection: sa.Connection, journal: SqlJournal, command_id: str) -> object:
    return writing.attempt(connection, journal.author(), KEY, command_id, number=1)


def ends(connection: sa.Connection, journal: SqlJournal, command_id: str) -> object:
    return writing.end(connection, journal.author(), KEY, command_id, event=CommandEvent.CONFIRM, why="")


def takes_up(connection: sa.Connection, journal: SqlJournal, command_id: str) -> object:
    writing.release(connection, journal.author(), command_id)
    return writing.claim(connection, journal.author(), KEY, command_id, lease=timedelta(seconds=120))


def test_who_waits_for_an_attempt_does_not_send(open_journal: OpenJournal) -> None:
    one, other = knowing(open_journal(), "running"), knowing(open_journal(worker="two"))
    command = opened(one)

    with while_another_waits(
        open_journal(), sends, command.id, lambda: other.add_attempt(command.id, number=1)
    ) as sent:
        assert sent.result() is False

    assert [each.attempts for each in [one.load().open_command] if each] == [1]


def test_who_waits_for_an_outcome_cannot_end_the_command_again(open_journal: OpenJournal) -> None:
    one, other = knowing(open_journal(), "running"), knowing(open_journal(worker="two"))
    command = opened(one)

    def lose() -> TaskRecord[str, str]:
        return other.add_outcome(command.id, CommandEvent.LOSE, why="")

    with (
        while_another_waits(open_journal(), ends, command.id, lose) as ended,
        pytest.raises(IllegalTransition, match="'done' is final"),
    ):
        ended.result()


def test_who_waits_for_a_claim_does_not_get_it(open_journal: OpenJournal) -> None:
    journal = open_journal()
    command = opened(knowing(journal, "running"))
    other = knowing(open_journal(worker="two"))

    with while_another_waits(journal, takes_up, command.id, lambda: other.claim(command.id)) as claimed:
        assert claimed.result() is None


@pytest.mark.parametrize(("change", "is_open"), [(sends, True), (ends, False)])
def test_who_waits_with_a_report_is_told_what_is_open_now(
    open_journal: OpenJournal, change: Change, is_open: bool
) -> None:
    one, other = knowing(open_journal(), "running"), knowing(open_journal(worker="two"))
    command = opened(one)

    with while_another_waits(
        open_journal(), change, command.id, lambda: other.add_report(Report("paused", at(9)))
    ) as reported:
        record = reported.result()

    assert record == one.load()
    assert (record.open_command is not None) is is_open


def test_who_waits_with_a_delivery_learns_that_it_was_received(open_journal: OpenJournal) -> None:
    one, other = open_journal(), open_journal(worker="two")

    def receive(connection: sa.Connection, journal: SqlJournal, _: str) -> bool:
        return writing.enter_delivery(connection, journal.author(), DELIVERY)

    with while_another_waits(
        one, receive, "", lambda: other.receive(DELIVERY, [told("task-1", "running")])
    ) as received:
        assert received.result() is None

    assert other.history("task-1") == []


def test_a_task_that_is_forgotten_between_being_made_and_being_locked(postgres_url: str) -> None:
    with SqlJournal(postgres_url) as journal, SqlJournal(postgres_url) as other:
        interferences: list[Callable[[], object]] = [
            lambda: other.forget("task-1"),
            lambda: other.add_reports([told("task-1", "paused")]),
        ]

        def interfere(connection: sa.Connection, _: Any, statement: str, *__: Any) -> None:
            is_ours = connection.dialect is journal.database.dialect
            if is_ours and interferences and statement.startswith("INSERT INTO lifecycle_tasks"):
                interferences.pop()()

        with listening("before_cursor_execute", interfere), listening("after_cursor_execute", interfere):
            [entry] = journal.add_reports([told("task-1", "running")])

    assert interferences == []
    assert (entry.state, entry.observation) == ("running", None)


@contextmanager
def listening(name: str, function: Callable[..., None]) -> Generator[None]:
    event.listen(sa.Engine, name, function)
    try:
        yield
    finally:
        event.remove(sa.Engine, name, function)
