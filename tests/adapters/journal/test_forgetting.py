"""Deleting what was recorded: of one task on request, of old tasks by age; nothing of them is left."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import CommandEvent, Lifecycle, get
from lifecycle.journal import Delivery, Report, TaskReport
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.journal.database import TransactionMode
from lifecycle_adapters.journal.schema import declarations, deliveries, metadata
from tests.adapters.journal.acting import Time, at, knowing, opened, told


def rows(journal: SqlJournal) -> dict[str, int]:
    """Return the number of rows of each table."""
    with journal.database.transaction(TransactionMode.READ) as connection:
        count = sa.select(sa.func.count())
        # A declaration stays: it says nothing of a task.
        of_tasks = {name: table for name, table in metadata.tables.items() if table is not declarations}
        return {name: connection.scalar(count.select_from(table)) or 0 for name, table in of_tasks.items()}


def lived(journal: SqlJournal, task: str, *statuses: str, lifecycle: str = "v1-full") -> str:
    """Let a task run, be paused by a command, and go on so; return the command's id."""
    log = knowing(journal, "running", task=task, lifecycle=lifecycle)
    command = opened(log)
    log.add_attempt(command.id, number=1, claim=1)
    log.add_outcome(command.id, CommandEvent.CONFIRM, why="", claim=1)
    knowing(journal, *statuses, task=task, lifecycle=lifecycle)
    return command.id


def test_forget_deletes_every_row_of_a_task(journal: SqlJournal) -> None:
    before = rows(journal)
    lived(journal, "task-1")
    opened(knowing(journal, "running", task="task-1"))

    assert journal.forget("task-1") == 1

    assert rows(journal) == before
    assert journal.forget("task-1") == 0
    assert knowing(journal).load().version == 0


def test_forget_does_not_change_other_tasks(journal: SqlJournal) -> None:
    for name in ("task-1", "task-10", "TASK-1", "task_1", "%"):
        lived(journal, name)
    kept = {name: journal.history(name) for name in ("task-10", "TASK-1", "task_1", "%")}

    journal.forget("task-1")

    assert {task.task_id: journal.history(task.task_id) for task in journal.tasks().tasks} == kept
    assert list(journal.check()) == []


def test_a_task_is_forgotten_of_one_lifecycle_or_of_all(journal: SqlJournal) -> None:
    for name in ("v1", "v1-full", "v4"):
        journal.add_reports([told("task-1", "running", lifecycle=name)])

    assert journal.forget("task-1", "v1") == 1
    journal.add_reports([told("task-2", "running", lifecycle="v3")])
    assert journal.forget("task-1", "v3") == 0
    assert journal.forget("task-1") == 2


def test_numbers_of_forgotten_entries_are_not_reused(journal: SqlJournal) -> None:
    first = lived(journal, "task-1")
    cursor = journal.changes().cursor
    journal.forget("task-1")

    assert int(lived(journal, "task-1")) > int(first)
    assert len(journal.changes(cursor).entries) == 4, "a reader of the changes misses none of the new"


def test_a_page_continues_after_its_last_task_was_forgotten(journal: SqlJournal) -> None:
    for name in ("a", "b", "c"):
        lived(journal, name)
    page = journal.tasks(limit=2)
    journal.forget("b")
    assert page.after is not None

    assert [task.task_id for task in journal.tasks(after=page.after).tasks] == ["c"]


def test_old_tasks_that_are_over_are_pruned(journal: SqlJournal, time: Time) -> None:
    lived(journal, "over", "stopped")
    lived(journal, "quiet")
    opened(knowing(journal, "running", task="open"))
    knowing(journal, "stopped", task="open")
    knowing(journal, "stopped", task="other", lifecycle="v1")
    time.go(10)
    lived(journal, "later", "stopped")

    def left() -> list[str]:
        return [task.task_id for task in journal.tasks().tasks]

    assert journal.prune(at(99_999)) == 0
    assert journal.prune(time.now) == 2
    assert left() == ["quiet", "open", "later"]
    assert journal.prune(at(100_011)) == 1
    assert left() == ["quiet", "open"]
    assert list(journal.check()) == []


MARKS: dict[str, dict[str, bool]] = {
    "queued": {"initial": True},
    "running": {},
    "idle": {"settled": True},
    "waiting": {"interrupted": True},
    "done": {"reopenable": True},
    "deleted": {"final": True},
}
EVENTS: dict[str, tuple[str, list[str], str]] = {
    "begin": ("remote", ["queued", "waiting", "idle"], "running"),
    "rest": ("remote", ["running"], "idle"),
    "ask": ("remote", ["running"], "waiting"),
    "end": ("remote", ["running"], "done"),
    "rerun": ("caller", ["done"], "queued"),
    "delete": ("caller", ["done"], "deleted"),
}
RERUN = Lifecycle.from_declaration(
    {
        "name": "build",
        "citation": "the build server's manual",
        "states": [{"name": name, **marks} for name, marks in MARKS.items()],
        "events": [
            {
                "name": name,
                "origin": origin,
                **({"idempotent": False, "proved_by_state": False} if name == "rerun" else {}),
            }
            for name, (origin, _, _) in EVENTS.items()
        ],
        "transitions": [
            {"source": sources, "event": name, "target": target} for name, (_, sources, target) in EVENTS.items()
        ],
    }
)


def test_a_task_is_pruned_if_its_state_is_final_or_reopenable(journal: SqlJournal, time: Time) -> None:
    journal.add_reports([TaskReport(RERUN, state, Report(state, at(0))) for state in MARKS])
    time.go(1)

    journal.prune(time.now)

    assert {task.task_id for task in journal.tasks().tasks} == {"queued", "running", "idle", "waiting"}
    assert list(journal.check()) == []


def test_more_tasks_are_pruned_than_one_transaction_takes(journal: SqlJournal, time: Time) -> None:
    journal.add_reports([told(f"task-{number}", "stopped") for number in range(1_234)])
    time.go(1)

    assert journal.prune(time.now) == 1_234
    assert rows(journal)["lifecycle_entries"] == 0


def test_digest_of_a_delivery_survives_forgetting_its_task(journal: SqlJournal) -> None:
    """Otherwise it could be replayed, and record the task again."""
    about, other = (Delivery(f"digest-{task}", "status", at(0), f"private {task}") for task in ("task-1", "task-2"))
    journal.receive(about, [told("task-1", "running")])
    journal.receive(other, [told("task-2", "running")])
    journal.add_reports([told("task-3", "running", lifecycle="v4")])

    journal.forget("task-1", "v4")
    assert bodies(journal) == {"private task-1", "private task-2"}
    journal.forget("task-1")

    assert bodies(journal) == {"", "private task-2"}
    assert journal.receive(about, [told("task-1", "running")]) is None
    assert journal.history("task-1") == []


def bodies(journal: SqlJournal) -> set[str]:
    with journal.database.transaction(TransactionMode.READ) as connection:
        return set(connection.scalars(sa.select(deliveries.c.body)))


def test_old_deliveries_are_pruned(journal: SqlJournal, time: Time) -> None:
    def receive(name: str) -> Any:
        return journal.receive(Delivery(name, "status", at(0), "{}"))

    receive("old")
    time.go(10)
    receive("new")

    journal.prune(time.now)

    assert receive("new") is None
    assert receive("old") == []


def test_time_without_a_zone_is_refused(journal: SqlJournal, time: Time) -> None:
    knowing(journal, "stopped")

    with pytest.raises(ValueError, match="before must have a time zone"):
        journal.prune(time.now.replace(tzinfo=None))
    assert knowing(journal).load().state == get("v1-full").state("stopped").name
