"""The change feed: from any cursor on, every entry exactly once, with any number of writers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import NamedTuple, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import V1_FULL, CommandEvent
from lifecycle_adapters.journal import Changes, RecordedCommand, RecordedReport, SqlJournal
from tests.adapters.journal.acting import hearing, knowing, opened, told
from tests.adapters.journal.conftest import OpenJournal
from tests.support.profiles import examples


def tasks_of(changes: Changes) -> list[str]:
    return [entry.task_id for entry in changes.entries]


def tell(journal: SqlJournal, *tasks: str) -> None:
    for task in tasks:
        knowing(journal, "running", task=task)


# --- cursors ---------------------------------------------------------------------------------------


def test_the_feed_returns_all_entries_from_the_beginning(journal: SqlJournal) -> None:
    log = knowing(journal, "running", "running", "paused")
    command = opened(log, "resume")
    log.add_attempt(command.id, number=1, claim=1)
    log.add_outcome(command.id, CommandEvent.CONFIRM, why="", claim=1)

    told_of = [
        entry.status if isinstance(entry, RecordedReport) else (entry.event, entry.attempts)
        for entry in journal.changes().entries
        if isinstance(entry, RecordedReport | RecordedCommand)
    ]

    assert told_of == ["running", "paused", (None, 0), (None, 1), ("confirm", 1)]


def test_no_entry_is_returned_twice(journal: SqlJournal) -> None:
    tell(journal, "a", "b")
    first = journal.changes()
    tell(journal, "c")
    second = journal.changes(first.cursor)
    third = journal.changes(second.cursor)

    assert [tasks_of(each) for each in (first, second, third)] == [["a", "b"], ["c"], []]
    assert third.cursor == second.cursor


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_of_changes_have_the_given_size(journal: SqlJournal, limit: int) -> None:
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


def test_now_is_after_every_recorded_entry(journal: SqlJournal) -> None:
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
def test_an_invalid_cursor_is_refused(journal: SqlJournal, cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor of a journal's changes"):
        journal.changes(cursor)


def test_a_cursor_of_another_journal_is_refused_if_it_is_ahead(tmp_path: Path) -> None:
    with SqlJournal(tmp_path / "one.db") as one, SqlJournal(tmp_path / "other.db") as other:
        names = [f"t{number}" for number in range(10)]
        tell(one, *names)
        tell(other, "t0")
        ahead = one.changes().cursor

        with pytest.raises(ValueError, match="ahead of this journal: another one gave it"):
            other.changes(ahead)

        for name in names:
            one.forget(name)
        assert one.changes(ahead).entries == (), "what was forgotten was there"


# --- transactions that last ------------------------------------------------------------------------


class SlowWriter:
    """Records a report in a transaction that it commits on request."""

    def __init__(self, journal: SqlJournal) -> None:
        self._journal = journal
        self._has_written, self._may_commit = Event(), Event()
        self._pool = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    @contextmanager
    def ready(self) -> Generator[Self]:
        # Listened to from first to last: SQLAlchemy does not let go of listeners while others are called.
        with self._pool, hearing("commit", self._journal, self._committing):
            yield self
            self.commit()

    def write(self, task: str) -> bool:
        """Return False if it has not committed its earlier write yet."""
        if self._writing is not None:
            return False
        self._has_written.clear()
        self._may_commit.clear()
        self._writing = self._pool.submit(tell, self._journal, task)
        assert self._has_written.wait(10)
        return True

    def commit(self) -> None:
        self._may_commit.set()
        if self._writing is not None:
            self._writing.result()
        self._writing = None

    def _committing(self, _: object) -> None:
        self._has_written.set()
        assert self._may_commit.wait(10)


@pytest.fixture
def open_postgres(postgres_url: str) -> Iterator[Callable[[], SqlJournal]]:
    with ExitStack() as journals:

        def opened() -> SqlJournal:
            journal = journals.enter_context(SqlJournal(postgres_url))
            journal.declared.ensure([V1_FULL])  # so that the next transaction is that of a report
            return journal

        yield opened


def test_a_transaction_that_began_earlier_and_commits_later_is_not_skipped(
    open_postgres: Callable[[], SqlJournal],
) -> None:
    quick, reader = open_postgres(), open_postgres()
    tell(quick, "before")

    with SlowWriter(open_postgres()).ready() as slow:
        slow.write("slow")
        tell(quick, "quick")
        first = reader.changes()
        now = reader.changes("now")
        tell(quick, "quicker")
        second = reader.changes(first.cursor)
    third = reader.changes(second.cursor)

    assert [tasks_of(each) for each in (first, second)] == [["before"], []]
    assert sorted(tasks_of(third)) == ["quick", "quicker", "slow"]
    assert {"slow", "quicker"} <= {*tasks_of(reader.changes(now.cursor))}


def test_a_rolled_back_transaction_does_not_delay_the_feed(open_postgres: Callable[[], SqlJournal]) -> None:
    slow, quick = open_postgres(), open_postgres()

    def fail(_: object) -> None:
        tell(quick, "quick")
        raise InterruptedError

    with hearing("commit", slow, fail), pytest.raises(InterruptedError):
        tell(slow, "slow")

    assert tasks_of(quick.changes()) == ["quick"]


class Crowd(NamedTuple):
    slow: list[SlowWriter]
    quick: SqlJournal
    reader: SqlJournal


@pytest.fixture
def crowd(open_postgres: Callable[[], SqlJournal]) -> Iterator[Crowd]:
    with ExitStack() as ready:
        slow = [ready.enter_context(SlowWriter(open_postgres()).ready()) for _ in range(3)]
        yield Crowd(slow, open_postgres(), open_postgres())


NAMES = count()
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("begin", "end", "write")), st.integers(0, 2)),
        st.tuples(st.just("read"), st.integers(1, 4)),
    ),
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
@given(steps=STEPS)
def test_whenever_it_is_read_the_feed_has_every_entry_once(crowd: Crowd, steps: list[tuple[str, int]]) -> None:
    """Three writers with a transaction each that they end when they like, a quick one, and a reader."""
    cursor = crowd.reader.changes("now").cursor
    seen: list[str] = []
    written: list[str] = []

    def read(limit: int) -> int:
        nonlocal cursor
        changes = crowd.reader.changes(cursor, limit=limit)
        seen.extend(tasks_of(changes))
        cursor = changes.cursor
        return len(changes.entries)

    for step, which in steps:
        name = f"task-{next(NAMES)}"
        match step:
            case "begin" if crowd.slow[which].write(name):
                written.append(name)
            case "end":
                crowd.slow[which].commit()
            case "write":
                tell(crowd.quick, name)
                written.append(name)
            case "read":
                read(which)
            case _:
                pass
    for each in crowd.slow:
        each.commit()
    while read(100):
        pass

    assert Counter(seen) == Counter(written)
