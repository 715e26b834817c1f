"""One task whose record cannot be read: it alone is reported, and work on the others continues."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import Lifecycle, UndeclaredState, UnreadableRecord
from lifecycle.journal import CommandRecord, Delivery, Report, ReportEntry, RequestContext, TaskReport
from lifecycle_adapters.journal import (
    DamageCode,
    RecordedReport,
    RecordedUnreadable,
    SqlJournal,
    UnreadableReports,
    schema,
)
from lifecycle_adapters.journal.integrity import verify
from tests.adapters.journal.acting import at
from tests.adapters.journal.conftest import OpenJournal

DECLARATION = """
name: job
citation: of these tests
states: [{name: waiting, initial: true}, {name: printing}, {name: done, final: true}, {name: torn, final: true}]
events: [{name: begin, origin: remote}, {name: finish, origin: remote}, {name: cancel, origin: caller},
         {name: shred, origin: caller}]
transitions:
  - {source: waiting, event: begin, target: printing}
  - {source: printing, event: finish, target: done}
  - {source: printing, event: cancel, target: torn}
  - {source: waiting, event: cancel, target: torn}
  - {source: waiting, event: shred, target: torn}
  - {source: printing, event: shred, target: torn}
aliases: [{channel: mail, status: "it begins", state: printing}]
"""
OLD = Lifecycle.from_yaml(DECLARATION)
NEW = Lifecycle.from_yaml(
    DECLARATION.replace("printing", "at-the-printer")
    .replace("shred", "crush")
    .replace("channel: mail", "channel: post")
)
GOOD = ("good-1", "good-2")


def begin(journal: SqlJournal, task: str, *statuses: str, command: str | None = None) -> None:
    """Record this status of a task, under the old declaration, and leave an open command that no worker has claimed."""
    log = journal.task(OLD, task)
    for second, status in enumerate(statuses):
        record = log.add_report(Report(status, at(second)))
        assert record.state == status
    if command is not None:
        source, version = statuses[-1], log.load().version
        opened = log.add_intent(command, source=source, version=version, fields={}, context=RequestContext("key-1"))
        assert isinstance(opened, CommandRecord)
        log.release(opened.id, claim=opened.claim)


def damage(journal: SqlJournal, *statements: str) -> None:
    with journal.database.transaction() as connection:
        for each in statements:
            connection.exec_driver_sql(each)


OF_BAD = "(SELECT id FROM lifecycle_tasks WHERE task_id = 'bad')"
# What makes the task `bad` unreadable under the new declaration. SQLite alone takes a value of another type.
DAMAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "a state that is no longer declared": ("printing", ()),
    "a command that is no longer declared": ("waiting shred", ()),
    "a command whose source is not declared": (
        "waiting cancel", (f"UPDATE lifecycle_commands SET source = 'nowhere' WHERE task = {OF_BAD}",)),
    "a command in no state of a command": (
        "waiting cancel", (f"UPDATE lifecycle_commands SET state = 'lost' WHERE task = {OF_BAD}",)),
    "a time after all time": (
        "waiting", ("UPDATE lifecycle_tasks SET since = 9000000000000000000 WHERE task_id = 'bad'",)),
    "a time that is none": ("waiting", ("UPDATE lifecycle_tasks SET since = 'soon' WHERE task_id = 'bad'",)),
    "fields that are not JSON": (
        "waiting cancel", (f"UPDATE lifecycle_commands SET fields = '[oops' WHERE task = {OF_BAD}",)),
    "fields that are a list": (
        "waiting cancel", (f"UPDATE lifecycle_commands SET fields = '[1]' WHERE task = {OF_BAD}",)),
    "fields that are null": (
        "waiting cancel", (f"UPDATE lifecycle_commands SET fields = 'null' WHERE task = {OF_BAD}",)),
    "a version that is no number": ("waiting", ("UPDATE lifecycle_tasks SET version = 'new' WHERE task_id = 'bad'",)),
    "a revision that is no number": ("waiting", ("UPDATE lifecycle_tasks SET revision = 'new' WHERE task_id = 'bad'",)),
    "a count that is no number": ("waiting", ("UPDATE lifecycle_tasks SET last_times = 'one' WHERE task_id = 'bad'",)),
    "a claim that is no number": (
        "waiting cancel", (f"UPDATE lifecycle_commands SET claim = 'mine' WHERE task = {OF_BAD}",)),
    "a state that is not text": ("waiting", ("UPDATE lifecycle_tasks SET state = x'00' WHERE task_id = 'bad'",)),
}  # fmt: skip
OF_SQLITE = {name for name in DAMAGES if name.endswith(("is none", "no number", "not JSON", "not text"))}


@pytest.fixture(params=DAMAGES)
def bad(request: pytest.FixtureRequest, journal: SqlJournal) -> str:
    """A journal with the tasks `good-1`, `bad` and `good-2`, in this order; the kind of the damage."""
    kind: str = request.param
    if kind in OF_SQLITE and journal.database.dialect.name != "sqlite":
        pytest.skip("the column's type forbids it")
    lived, statements = DAMAGES[kind]
    state, _, command = lived.partition(" ")
    begin(journal, "good-1", "waiting", command="cancel")
    begin(journal, "bad", "waiting", *([state] if state != "waiting" else []), command=command or None)
    begin(journal, "good-2", "waiting", command="cancel")
    damage(journal, *statements)
    return kind


def reports_of(*tasks: str) -> list[TaskReport]:
    return [TaskReport(NEW, task, Report("at-the-printer", at(9))) for task in tasks]


def test_task_journal_raises_for_an_unreadable_record(journal: SqlJournal, bad: str) -> None:
    log = journal.task(NEW, "bad")

    with pytest.raises(UnreadableRecord) as info:
        log.load()
    with pytest.raises(UnreadableRecord):
        log.add_report(Report("done", at(9)))

    assert (info.value.lifecycle, info.value.task) == ("job", "bad")
    if bad == "a state that is no longer declared":
        assert isinstance(info.value, UndeclaredState)
        assert (info.value.state, info.value.known) == ("printing", ("waiting", "at-the-printer", "done", "torn"))


def test_find_command_raises_for_an_unreadable_command(journal: SqlJournal) -> None:
    begin(journal, "bad", "waiting", command="shred")

    with pytest.raises(UnreadableRecord, match="'shred'"):
        journal.task(NEW, "bad").find_command("key-1")


@pytest.mark.usefixtures("bad")
def test_a_batch_of_reports_is_recorded_except_for_that_tasks(journal: SqlJournal) -> None:
    first, error, second, unknown = journal.add_reports(reports_of("good-1", "bad", "good-2", "new"))

    assert isinstance(error, UnreadableRecord)
    assert error.task == "bad"
    assert [each.state for each in (first, second, unknown) if isinstance(each, ReportEntry)] == ["at-the-printer"] * 3
    assert [journal.task(NEW, task).load().state for task in GOOD] == ["at-the-printer"] * 2


@pytest.mark.usefixtures("bad")
def test_a_delivery_about_it_is_recorded(journal: SqlJournal) -> None:
    delivery = Delivery("d-1", "status", at(9), "{}")

    received = journal.receive(delivery, reports_of("bad"))

    assert received is not None
    [error] = received
    assert isinstance(error, UnreadableRecord)
    assert journal.receive(delivery, reports_of("bad")) is None


@pytest.mark.usefixtures("bad")
def test_tasks_are_listed_with_it(journal: SqlJournal) -> None:
    rows = journal.tasks("job").tasks

    assert [row.task_id for row in rows] == ["good-1", "bad", "good-2"]
    assert [row.error for row in rows if row.task_id in GOOD] == [None, None]


@pytest.mark.parametrize("column", ["since", "changed_at"])
def test_a_listed_task_has_the_error_of_its_row(journal: SqlJournal, column: str) -> None:
    begin(journal, "bad", "waiting")
    damage(journal, f"UPDATE lifecycle_tasks SET {column} = 9000000000000000000")

    [row] = journal.tasks().tasks

    assert row.error == "9000000000000000000 is not a time"
    assert row.since is None or column == "changed_at"


def test_open_tasks_are_found_with_it(journal: SqlJournal, bad: str) -> None:
    found = journal.open_tasks(NEW)

    assert [task for task in found if task in GOOD] == list(GOOD)
    assert ("bad" in found) == any(part in bad for part in ("command", "fields", "claim"))


ENTRY_DAMAGES = {
    "a path that is not JSON": "path = '[oops'",
    "no path": "path = NULL",
    "a time after all time": "as_of = 9000000000000000000",
}


@pytest.fixture(params=ENTRY_DAMAGES)
def bad_entry(request: pytest.FixtureRequest, journal: SqlJournal) -> str:
    """Two reports of each of two tasks, of which the second of the first task cannot be read."""
    for task in GOOD:
        begin(journal, task, "waiting", "printing")
    damage(journal, f"UPDATE lifecycle_entries SET {ENTRY_DAMAGES[request.param]} WHERE id = 2")
    kind: str = request.param
    return kind


@pytest.mark.usefixtures("bad_entry")
def test_changes_and_history_return_the_entry_as_unreadable(journal: SqlJournal) -> None:
    told = journal.changes().entries

    assert [type(each) for each in told] == [RecordedReport, RecordedUnreadable, RecordedReport, RecordedReport]
    assert [each.task_id for each in told] == ["good-1", "good-1", "good-2", "good-2"]
    assert [type(each) for each in journal.history("good-1")] == [RecordedReport, RecordedUnreadable]


def test_reports_are_exported_without_the_entry_and_then_raise_an_error(journal: SqlJournal, bad_entry: str) -> None:
    has_bad_time = bad_entry == "a time after all time"
    rows: list[str] = []

    with pytest.raises(UnreadableReports) if has_bad_time else nullcontext() as raised:
        rows.extend(row["task_id"] for row in journal.reports(OLD))

    assert rows == ["good-1", *([] if has_bad_time else ["good-1"]), "good-2", "good-2"]
    assert raised is None or raised.value.tasks == {"good-1": 1}


@pytest.mark.usefixtures("bad_entry")
def test_a_check_continues_behind_the_entry(journal: SqlJournal) -> None:
    damage(journal, "UPDATE lifecycle_tasks SET state = 'done' WHERE task_id = 'good-2'")

    found = [(each.task_id, each.code) for each in journal.check()]

    assert {task for task, _ in found[:-1]} == {"good-1"}
    assert found[-1] == ("good-2", DamageCode.WRONG_STATE)


def test_a_check_reports_each_task_whose_states_its_declaration_lacks_once(journal: SqlJournal) -> None:
    begin(journal, "bad", "waiting", "printing", "done")
    begin(journal, "good-1", "waiting")
    begin(journal, "also-bad", "waiting", "printing")

    with journal.database.transaction() as connection:
        connection.execute(sa.update(schema.declarations), {"digest": NEW.digest, "text": NEW.to_json()})

    found = [(each.code, each.task_id, each.message) for each in journal.check()]

    message = "not declared, so not examined: 'printing'"
    assert found == [(DamageCode.UNDECLARED_STATE, task, message) for task in ("bad", "also-bad")]


def test_a_status_of_an_undeclared_channel_is_exported_unchanged(journal: SqlJournal) -> None:
    log = journal.task(OLD, "one")
    log.add_report(Report("waiting", at(0)))
    log.add_report(Report("it begins", at(1), "mail"))

    assert [row["status"] for row in journal.reports(NEW)] == ["waiting", "it begins"]


def test_pruning_leaves_it_and_deletes_the_others(open_journal: OpenJournal, time: Any) -> None:
    journal = open_journal()
    begin(journal, "bad", "waiting", "printing")
    begin(journal, "good-1", "waiting", "printing", "done")
    time.go(10)

    assert journal.prune(time.now) == 1

    assert [row.task_id for row in journal.tasks().tasks] == ["bad"]


@pytest.mark.parametrize("table", [schema.tasks, schema.commands, schema.entries, schema.creates], ids=str)
def test_check_finds_a_value_of_another_type_in_every_column(tmp_path: Path, table: sa.Table) -> None:
    # SQLite alone keeps a value of another type than its column's.
    with SqlJournal(tmp_path / "sound.db") as journal:
        begin(journal, "bad", "waiting", command="cancel")
        journal.creates(OLD).add({"task": "print"}, labels={}, context=RequestContext("key-2"))
        assert list(journal.check()) == []

        for column in set(table.columns.keys()) - {"id", "task", "xact"}:
            found: list[str] = []
            with suppress(ZeroDivisionError), journal.database.transaction() as connection:
                connection.exec_driver_sql(f"UPDATE {table.name} SET {column} = x'00ff'")
                found += [each.message for each in verify(connection)]
                raise ZeroDivisionError  # so that it is rolled back
            assert any(f"{column} is stored as blob" in message for message in found)


@pytest.mark.parametrize("name", ["lifecycle_commands_open", "lifecycle_creates_by_key", "lifecycle_entries_by_task"])
def test_check_finds_an_index_that_is_missing(journal: SqlJournal, name: str) -> None:
    begin(journal, "bad", "waiting")
    assert list(journal.check()) == []

    damage(journal, f"DROP INDEX {name}")
    try:
        [found] = journal.check()
    finally:  # the database is that of other tests, too
        [index] = (index for table in schema.metadata.sorted_tables for index in table.indexes if index.name == name)
        with journal.database.transaction() as connection:
            index.create(connection)

    assert (found.code, name in found.message) == (DamageCode.MISSING_INDEX, True)
