"""Arguments of the journal that are not what they must be: refused by name, before anything is read or written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lifecycle import V1, MemoryJournal, V1Event, V1State
from lifecycle.journal import Journal, Report, TaskReport
from lifecycle_adapters.journal import NotAJournal, SqlJournal
from tests.adapters.journal.acting import knowing

report: Any = TaskReport

MISUSE: list[tuple[str, Callable[[Any], object], type[Exception], str]] = [
    ("tasks limit", lambda journal: journal.tasks(limit="3"), TypeError, "limit must be a whole number, not '3'"),
    ("tasks none", lambda journal: journal.tasks(limit=0), ValueError, "limit must be at least 1, not 0"),
    ("tasks after", lambda journal: journal.tasks(after="x"), TypeError, "after must be a whole number, not 'x'"),
    ("tasks state", lambda journal: journal.tasks(state=5), TypeError, "state must be a text, not 5"),
    ("changes since", lambda journal: journal.changes(5), TypeError, "since must be a cursor in text, not 5"),
    ("changes none", lambda journal: journal.changes(limit=0), ValueError, "limit must be at least 1, not 0"),
    ("changes text", lambda journal: journal.changes(limit="1"), TypeError, "limit must be a whole number, not '1'"),
    ("changes true", lambda journal: journal.changes(limit=True), TypeError, "limit must be a whole number, not True"),
    ("reports 5", lambda journal: journal.add_reports([5]), TypeError, "each of the reports must be a TaskReport"),
    ("reports none", lambda journal: journal.add_reports(5), TypeError, "reports must be a list or another iterable"),
    ("reports name", lambda journal: journal.add_reports([report("v1", "7", None)]), TypeError, "of a TaskReport"),
    (
        "reports body",
        lambda journal: journal.add_reports([report(V1, "7", 5)]),
        TypeError,
        "must be a Report, not 5",
    ),
    ("receive 5", lambda journal: journal.receive(5), TypeError, "delivery must be a Delivery, not 5"),
    ("open_tasks", lambda journal: journal.open_tasks("v1"), TypeError, "lifecycle must be a Lifecycle.*not 'v1'"),
    ("creates", lambda journal: journal.creates(None), TypeError, "lifecycle must be a Lifecycle.*not None"),
    ("task", lambda journal: journal.task("v1", "7"), TypeError, "lifecycle must be a Lifecycle.*not 'v1'"),
    ("task id", lambda journal: journal.task(V1, 7), TypeError, "task_id must be a text, not 7"),
    ("history None", lambda journal: journal.history(None), TypeError, "a task's id is a text, an integer or a UUID"),
    ("forget None", lambda journal: journal.forget(None), TypeError, "a task's id is a text, an integer or a UUID"),
    ("prune naive", lambda journal: journal.prune(datetime(2020, 1, 1)), ValueError, "before must have a time zone"),  # noqa: DTZ001
    ("prune text", lambda journal: journal.prune("2020"), TypeError, "before must be a datetime, not '2020'"),
]


@pytest.mark.parametrize(("call", "error", "message"), [each[1:] for each in MISUSE], ids=[each[0] for each in MISUSE])
def test_misuse_names_the_argument(
    journal: SqlJournal, call: Callable[[Any], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(journal)


@pytest.mark.parametrize("task_id", [7, UUID(int=7)])
def test_ids_are_what_clients_take(journal: SqlJournal, task_id: int | UUID) -> None:
    knowing(journal, "running", task=str(task_id))

    assert [each.task_id for each in journal.history(task_id)] == [str(task_id)]
    assert journal.forget(task_id) == 1


def test_limits_and_cursors_may_exceed_64_bits(journal: SqlJournal) -> None:
    knowing(journal, "running", task="7")

    assert len(journal.tasks(limit=10**20).tasks) == 1
    assert journal.tasks(after=10**20).tasks == ()
    assert len(journal.changes(limit=10**30).entries) == 1


@pytest.mark.parametrize("read_only", [True, False])
def test_directory_is_refused_as_a_journal(tmp_path: Path, *, read_only: bool) -> None:
    with (
        pytest.raises(NotAJournal, match="it is a directory; name a file in it"),
        SqlJournal(tmp_path, read_only=read_only) as journal,
    ):
        journal.tasks()


@pytest.mark.parametrize(
    ("later", "error", "message"),
    [
        (datetime(2026, 1, 1), ValueError, "clock returns must have a time zone"),  # noqa: DTZ001
        (None, TypeError, "clock returns must be a datetime, not None"),
    ],
)
def test_clock_that_returns_no_aware_time_later_is_refused(
    tmp_path: Path, later: Any, error: type[Exception], message: str
) -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC)]
    makers: list[Callable[[Any], Journal]] = [
        lambda clock: SqlJournal(tmp_path / "journal.db", clock=clock),
        lambda clock: MemoryJournal(lease_s=5, clock=clock),
    ]
    for make in makers:
        journal = make(lambda: times[0])
        task = journal.task(V1, "t")
        task.add_report(Report("running", times[0]))
        times.insert(0, later)
        with pytest.raises(error, match=message):
            task.add_intent(V1Event.STOP, source=V1State.RUNNING, version=task.load().version, fields={})
        times.pop(0)
        assert task.load().open_command is None
