"""The change feed: from any cursor on, every entry exactly once, whoever writes meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.journal import Changes, Recorded, RecordedCommand, RecordedReport, SqlJournal, writing
from lifecycle import CommandEvent
from tests.adapters.journal.acting import knowing, opened, told
from tests.adapters.journal.conftest import OpenJournal


def tasks_of(changes: Changes) -> list[str]:
    return [entry.task_id for entry in changes.entries]


def tell(journal: SqlJournal, *tasks: str) -> None:
    for task in tasks:
        knowing(journal, "running", task=task)


# --- cursors ---------------------------------------------------------------------------------------


def test_all_is_told_from_the_beginning(journal: SqlJournal) -> None:
    log = knowing(journal, "running", "running", "paused")
    command = opened(log, "resume")
    log.add_attempt(command.id, number=1)
    log.add_outcome(command.id, CommandEvent.CONFIRM, why="")

    told_of = [
        entry.status if isinstance(entry, RecordedReport) else (entry.event, entry.attempts)
        for entry in journal.changes().entries
        if isinstance(entry, RecordedReport | RecordedCommand)
    ]

    assert told_of == ["running", "paused", (None, 0), (None, 1), ("confirm", 1)]


def test_nothing_is_told_twice(journal: SqlJournal) -> None:
    tell(journal, "a", "b")
    first = journal.changes()
    tell(journal, "c")
    second = journal.changes(first.cursor)
    third = journal.changes(second.cursor)

    assert [tasks_of(each) for each in (first, second, third)] == [["a", "b"], ["c"], []]
    assert third.cursor == second.cursor


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_portions_are_of_the_size_that_is_asked_for(journal: SqlJournal, limit: int) -> None:
    names = ["a", "b", "c"]
    journal.add_reports([told(name, "running") for name in names])  # in one transaction
    tell(journal, "d")
    seen: list[str] = []
    changes = journal.changes(limit=limit)

    while changes.entries:
        assert len(changes.entries) <= limit
        seen += tasks_of(changes)
        changes = journal.changes(changes.cursor, limit=limit)

    assert seen == [*names, "d"]


def test_now_is_after_all_that_is_there(journal: SqlJournal) -> None:
    assert tasks_of(journal.changes(journal.changes("now").cursor)) == []
    tell(journal, "a")
    now = journal.changes("now")
    tell(journal, "b")

    assert now.entries == ()
    assert tasks_of(journal.changes(now.cursor)) == ["b"]


def test_a_cursor_outlives_the_journal_that_gave_it(open_journal: OpenJournal) -> None:
    with open_journal() as journal:
        tell(journal, "a")
        cursor = journal.changes().cursor
        tell(journal, "b")

    assert tasks_of(open_journal(read_only=True).changes(cursor)) == ["b"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", ":", "1:", ":1", "-1:0", "1:-1", "1:2:3", " 1:2", "¹:1", "9" * 30 + ":0"]
)
def test_what_is_no_cursor_is_refused(journal: SqlJournal, cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor of a journal's changes"):
        journal.changes(cursor)


# --- transactions that last ------------------------------------------------------------------------


@contextmanager
def writing_slowly(journal: SqlJournal, task: str) -> Generator[None]:
    """Record a report in a transaction that ends when the block does."""
    with journal.database.transaction() as connection:
        writing.enter_reports(connection, journal.author(), [told(task, "running")])
        yield


@pytest.fixture
def open_postgres(postgres_url: str) -> Iterator[Callable[[], SqlJournal]]:
    with ExitStack() as journals:
        yield lambda: journals.enter_context(SqlJournal(postgres_url))


def test_what_began_earlier_and_commits_later_is_not_skipped(open_postgres: Callable[[], SqlJournal]) -> None:
    slow, quick, reader = open_postgres(), open_postgres(), open_postgres()
    tell(quick, "before")

    with writing_slowly(slow, "slow"):
        tell(quick, "quick")
        first = reader.changes()
        now = reader.changes("now")
        tell(quick, "quicker")
        second = reader.changes(first.cursor)
    third = reader.changes(second.cursor)

    assert [tasks_of(each) for each in (first, second)] == [["before"], []]
    assert sorted(tasks_of(third)) == ["quick", "quicker", "slow"]
    assert {"slow", "quicker"} <= {*tasks_of(reader.changes(now.cursor))}


def test_what_is_taken_back_holds_nothing_up(open_postgres: Callable[[], SqlJournal]) -> None:
    slow, quick = open_postgres(), open_postgres()

    with slow.database.transaction() as connection:
        writing.enter_reports(connection, slow.author(), [told("slow", "running")])
        tell(quick, "quick")
        connection.rollback()

    assert tasks_of(quick.changes()) == ["quick"]


@pytest.fixture
def crowd(open_postgres: Callable[[], SqlJournal]) -> list[SqlJournal]:
    return [open_postgres() for _ in range(4)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("begin", "end", "write")), st.integers(0, 2)),
        st.tuples(st.just("read"), st.integers(1, 4)),
    ),
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(steps=STEPS)
def test_whenever_it_is_read_the_feed_has_every_entry_once(
    crowd: list[SqlJournal], steps: list[tuple[str, int]]
) -> None:
    """Three writers with a transaction each that they begin and end when they like, and a reader."""
    *writers, reader = crowd
    cursor = reader.changes("now").cursor
    seen: list[Recorded] = []
    written: list[str] = []
    under_way: dict[int, ExitStack] = {}

    def read(limit: int) -> int:
        nonlocal cursor
        changes = reader.changes(cursor, limit=limit)
        seen.extend(changes.entries)
        cursor = changes.cursor
        return len(changes.entries)

    for number, (step, which) in enumerate(steps):
        name = f"{cursor}-{number}"
        match step:
            case "begin" if which not in under_way:
                under_way[which] = ExitStack()
                under_way[which].enter_context(writing_slowly(writers[which], name))
                written.append(name)
            case "end" if which in under_way:
                under_way.pop(which).close()
            case "write":
                tell(writers[which], name)
                written.append(name)
            case "read":
                read(which)
            case _:
                pass
    for each in under_way.values():
        each.close()
    while read(100):
        pass

    assert Counter(entry.task_id for entry in seen) == Counter(written)
