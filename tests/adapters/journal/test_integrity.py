"""`check`: what was changed behind the journal's back is found, each damage under its code; see also test_parity.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from lifecycle import V1_FULL, CommandEvent
from lifecycle_adapters.journal import (
    Damage,
    DamageCode,
    NotAJournal,
    RecordedReport,
    RecordedUnreadable,
    SqlJournal,
    schema,
)
from lifecycle_adapters.journal.integrity import verify
from tests.adapters.journal.acting import knowing, opened, told


@pytest.fixture
def journal(journal: SqlJournal) -> SqlJournal:
    """With a task that has ended commands 1 and 2 (entries 2 to 6), another (7), and one of another lifecycle (8)."""
    log = knowing(journal, "running")  # entry 1
    first = opened(log)  # 2
    log.add_attempt(first.id, number=1, claim=1)  # 3
    log.add_outcome(first.id, CommandEvent.CONFIRM, why="", claim=1)  # 4
    second = opened(log, "stop")  # 5
    log.add_outcome(second.id, CommandEvent.ABANDON, why="", claim=1)  # 6
    journal.add_reports([told("task-1", "paused", 1), told("task-2", "running", lifecycle="v3-full")])  # 7, 8
    return journal


def damaged(journal: SqlJournal, *statements: str) -> list[tuple[DamageCode, str, int | None]]:
    """Do this to the database; the code, the task and the entry of each finding."""
    assert list(journal.check()) == []
    with journal.database.transaction() as connection:
        for each in statements:
            connection.exec_driver_sql(each)
    return [(each.code, each.task_id, each.entry) for each in journal.check()]


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'jump'",
        "path = '[\"resume\"]'",
        "path = '[]'",
        "before = 'paused'",
        "before = 'flying'",
        "before = NULL",
        "status = 'stopped'",
        "status = 'zombie'",
        "channel = 'mail'",
        "late = TRUE",
        "unconfirmed = TRUE",
    ],
)
def test_entry_with_an_impossible_transition_is_found(journal: SqlJournal, change: str) -> None:
    assert damaged(journal, f"UPDATE lifecycle_entries SET {change} WHERE id = 7") == [
        (DamageCode.BROKEN_HISTORY, "task-1", 7)
    ]


def test_wrong_first_entry_is_found(journal: SqlJournal) -> None:
    assert damaged(
        journal,
        "UPDATE lifecycle_entries SET status = 'paused' WHERE id = 1",
    ) == [(DamageCode.BROKEN_HISTORY, "task-1", 1)]


def test_missing_entry_is_found(journal: SqlJournal) -> None:
    assert damaged(journal, "DELETE FROM lifecycle_entries WHERE id = 1") == [
        (DamageCode.BROKEN_HISTORY, "task-1", 7),
    ]


@pytest.mark.parametrize("state", ["'running'", "'flying'", "NULL"])
def test_stored_state_that_differs_from_the_history_is_found(journal: SqlJournal, state: str) -> None:
    assert damaged(journal, f"UPDATE lifecycle_tasks SET state = {state} WHERE id = 1") == [
        (DamageCode.WRONG_STATE, "task-1", None)
    ]


@pytest.mark.parametrize("version", [0, 6, 8])
def test_stored_version_that_differs_from_the_history_is_found(journal: SqlJournal, version: int) -> None:
    assert damaged(journal, f"UPDATE lifecycle_tasks SET version = {version} WHERE id = 1") == [
        (DamageCode.WRONG_STATE, "task-1", None)
    ]


def test_entry_that_is_missing_at_the_end_is_found(journal: SqlJournal) -> None:
    """The version alone shows that there was one: the state is as if it had never been."""
    journal.add_reports([told("task-1", "running", 2), told("task-1", "paused", 3)])  # entries 9, 10

    assert damaged(journal, "DELETE FROM lifecycle_entries WHERE id > 8") == [(DamageCode.WRONG_STATE, "task-1", None)]


COUNTS = [
    (table.name, column.name)
    for table in schema.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, schema.Count)
]


@pytest.mark.parametrize(("table", "column"), COUNTS)
def test_count_below_zero_is_found(journal: SqlJournal, table: str, column: str) -> None:
    journal.creates(V1_FULL).add({}, labels={})

    codes = {code for code, *_ in damaged(journal, f"UPDATE {table} SET {column} = -1 WHERE {column} IS NOT NULL")}

    assert DamageCode.UNREADABLE in codes
    wanted = f"{table}, row 1: {column} is -1, which is less than 0"
    assert wanted in [each.message.replace("row 2:", "row 1:") for each in journal.check()]


@pytest.mark.parametrize("declaration", [9, -1])
@pytest.mark.parametrize(
    ("change", "is_certain"),
    [("lifecycle_tasks", True), ("lifecycle_entries", True), ("lifecycle_entries WHERE id = 4", False)],
    ids=["task", "entries", "event"],
)
def test_missing_declaration_is_found(journal: SqlJournal, change: str, declaration: int, *, is_certain: bool) -> None:
    table, where, condition = change.partition(" WHERE ")

    damaged(journal, f"UPDATE {table} SET declaration = {declaration}{where}{condition}")

    wrong = [each for each in journal.check() if each.code is DamageCode.WRONG_DECLARATION]
    of_tasks = {each.task_id for each in wrong if each.message == f"declaration {declaration} is missing"}
    assert of_tasks == ({"task-1", "task-2"} if is_certain else {"task-1"})


def test_task_without_entries_whose_declaration_is_missing_is_found(journal: SqlJournal) -> None:
    journal.task(V1_FULL, "task-3").track()

    assert damaged(journal, "UPDATE lifecycle_tasks SET declaration = 9 WHERE id = 3") == [
        (DamageCode.WRONG_DECLARATION, "task-3", None)
    ]


def test_declaration_that_is_not_that_of_the_last_entry_is_found(journal: SqlJournal) -> None:
    assert damaged(journal, "UPDATE lifecycle_tasks SET declaration = 2 WHERE id = 1") == [
        (DamageCode.WRONG_DECLARATION, "task-1", None)
    ]


def test_rows_of_a_task_without_a_row_are_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with SqlJournal(path) as journal:
        opened(knowing(journal, "running"))
    with closing(sqlite3.connect(path)) as connection:  # SQLite enforces foreign keys only if it is told to
        connection.execute("DELETE FROM lifecycle_tasks")
        connection.commit()

    with SqlJournal(path) as journal:
        found = [(each.code, each.entry, each.message) for each in journal.check()]

    assert found == [
        (DamageCode.BROKEN_HISTORY, 1, "lifecycle_entries, row 1: its task 1 has no row"),
        (DamageCode.BROKEN_HISTORY, 2, "lifecycle_entries, row 2: its task 1 has no row"),
        (DamageCode.WRONG_COMMAND, None, "lifecycle_commands, row 1: its task 1 has no row"),
    ]


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        ("event = 'fly' WHERE id = 6", 6),
        ("attempts = 2 WHERE id = 3", 3),
        ("command_state = 'done' WHERE id = 5", 5),
    ],
)
def test_impossible_command_states_are_found(journal: SqlJournal, change: str, entry: int) -> None:
    found = damaged(journal, f"UPDATE lifecycle_entries SET {change}")

    assert (DamageCode.UNLAWFUL_COMMAND, "task-1", entry) in found
    assert {code for code, *_ in found} <= {
        DamageCode.UNLAWFUL_COMMAND,
        DamageCode.WRONG_COMMAND,
    }


def test_command_entry_with_a_refused_event_is_found(journal: SqlJournal) -> None:
    """Command 2 was abandoned, and was confirmed after it."""
    add = (
        "INSERT INTO lifecycle_entries "
        "(xact, task, declaration, at, worker, times_before, command, event, command_state, attempts)"
    )

    assert damaged(journal, f"{add} VALUES (0, 1, 1, 0, '', 0, 2, 'confirm', 'abandoned', 0)") == [
        (DamageCode.UNLAWFUL_COMMAND, "task-1", 9)
    ]


@pytest.mark.parametrize("change", ["state = 'done'", "attempts = 7"])
def test_command_row_that_differs_from_its_entries_is_found(journal: SqlJournal, change: str) -> None:
    assert damaged(journal, f"UPDATE lifecycle_commands SET {change} WHERE id = 2") == [
        (DamageCode.WRONG_COMMAND, "task-1", None)
    ]


@pytest.mark.parametrize("change", ["command = 'fly'", "command = 'finish'", "source = 'weird'"])
def test_undeclared_name_in_a_command_is_found(journal: SqlJournal, change: str) -> None:
    assert damaged(journal, f"UPDATE lifecycle_commands SET {change} WHERE id = 2") == [
        (DamageCode.WRONG_COMMAND, "task-1", None)
    ]


@pytest.mark.parametrize("fields", ["[1]", "null"])
def test_fields_of_a_command_are_an_object(journal: SqlJournal, fields: str) -> None:
    assert damaged(journal, f"UPDATE lifecycle_commands SET fields = '{fields}' WHERE id = 2") == [
        (DamageCode.UNREADABLE, "task-1", None)
    ]
    [*_, last] = [each for each in journal.history("task-1") if not isinstance(each, RecordedReport)]
    assert isinstance(last, RecordedUnreadable)
    assert last.why == "its fields are not a JSON object"


def test_ended_command_stored_as_open_is_found(journal: SqlJournal) -> None:
    assert damaged(journal, "UPDATE lifecycle_commands SET is_open = TRUE WHERE id = 2") == [
        (DamageCode.WRONG_COMMAND, "task-1", None)
    ]


def test_command_without_a_row_or_entries_is_found(journal: SqlJournal) -> None:
    assert damaged(journal, "DELETE FROM lifecycle_entries WHERE command = 2") == [
        (DamageCode.WRONG_STATE, "task-1", None),  # its version counted them
        (DamageCode.WRONG_COMMAND, "task-1", None),
    ]
    with journal.database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM lifecycle_commands WHERE id = 1")

    assert [(each.code, each.message) for each in journal.check()] == [
        (DamageCode.WRONG_STATE, "version 7 is kept, the history leads to 5"),
        (DamageCode.WRONG_COMMAND, "command 1 has no row"),
        (DamageCode.WRONG_COMMAND, "command 2 has no entries"),
    ]


def test_two_open_commands_are_found(journal: SqlJournal) -> None:
    add = (
        "INSERT INTO lifecycle_entries "
        "(xact, task, declaration, at, worker, times_before, command, command_state, attempts)"
    )
    new = (
        "INSERT INTO lifecycle_commands "
        "(task, command, source, state, is_open, fields, attempts, origin, reason, why, worker, session)"
    )
    values = "1, 'stop', 'paused', 'recorded', {}, '{{}}', 0, '', '', '', '', ''"

    assert damaged(
        journal,
        "DROP INDEX lifecycle_commands_open",
        f"{new} VALUES ({values.format('TRUE')})",
        f"{new} VALUES ({values.format('TRUE')})",
        f"{add} VALUES (0, 1, 1, 0, '', 0, 3, 'recorded', 0)",
        f"{add} VALUES (0, 1, 1, 0, '', 0, 4, 'recorded', 0)",
        "CREATE INDEX lifecycle_commands_open ON lifecycle_commands (task)",
    ) == [(DamageCode.MISSING_INDEX, "", None), (DamageCode.SEVERAL_OPEN, "task-1", 10)]
    [unique] = (index for index in schema.commands.indexes if index.name == "lifecycle_commands_open")
    with journal.database.transaction() as connection:  # the database is that of other tests, too
        connection.exec_driver_sql("DELETE FROM lifecycle_commands WHERE id > 2")
        unique.drop(connection)
        unique.create(connection)


def test_everything_that_is_wrong_is_found(journal: SqlJournal) -> None:
    assert damaged(
        journal,
        "UPDATE lifecycle_entries SET status = 'zombie' WHERE id IN (7, 8)",
        "UPDATE lifecycle_tasks SET state = NULL",
        "UPDATE lifecycle_commands SET attempts = 3",
    ) == [
        (DamageCode.BROKEN_HISTORY, "task-1", 7),
        (DamageCode.WRONG_STATE, "task-1", None),
        (DamageCode.WRONG_COMMAND, "task-1", None),
        (DamageCode.WRONG_COMMAND, "task-1", None),
        (DamageCode.BROKEN_HISTORY, "task-2", 8),
        (DamageCode.WRONG_STATE, "task-2", None),
    ]


TABLES = [table.name for table in (schema.schema_version, *schema.metadata.sorted_tables)]
COLUMNS = [(table.name, column.name) for table in schema.metadata.sorted_tables for column in table.columns]


def without(journal: SqlJournal, table: str, column: str | None = None) -> list[tuple[DamageCode, str, str]]:
    """Each finding in a journal without this: the code, the task, and what the message says first.

    It is dropped in a transaction that is rolled back, as the database is that of other tests, too.
    """
    dialect = journal.database.dialect.name
    cascade = " CASCADE" if dialect == "postgresql" else ""
    found: list[Damage] = []
    with suppress(ZeroDivisionError), journal.database.transaction() as connection:
        if column is None:
            connection.exec_driver_sql(f"DROP TABLE {table}{cascade}")
        elif dialect == "postgresql":
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
        else:  # SQLite drops no column with an index
            rest = ", ".join(each.name for each in schema.metadata.tables[table].columns if each.name != column)
            connection.exec_driver_sql(f"CREATE TABLE rest AS SELECT {rest} FROM {table}")
            connection.exec_driver_sql(f"DROP TABLE {table}")
            connection.exec_driver_sql(f"ALTER TABLE rest RENAME TO {table}")
        found += verify(connection)
        raise ZeroDivisionError
    assert all(each.entry is None for each in found)
    return [(each.code, each.task_id, each.message.partition(";")[0]) for each in found]


def test_missing_table_is_reported(journal: SqlJournal) -> None:
    found = {table: without(journal, table) for table in TABLES}

    assert found == {table: [(DamageCode.MISSING_TABLE, "", f"the table {table} is missing")] for table in TABLES}
    assert list(journal.check()) == []


def test_missing_column_is_reported(journal: SqlJournal) -> None:
    found = {(table, column): without(journal, table, column) for table, column in COLUMNS}

    assert found == {
        (table, column): [(DamageCode.MISSING_COLUMN, "", f"the table {table} has no column {column}")]
        for table, column in COLUMNS
    }
    assert list(journal.check()) == []


@pytest.mark.parametrize("table", ["lifecycle_version", *schema.metadata.tables])
def test_a_table_that_is_dropped_while_the_journal_is_open(tmp_path: Path, table: str) -> None:
    with SqlJournal(tmp_path / "journal.db") as journal:
        knowing(journal, "running")
        with journal.database.transaction() as connection:
            connection.exec_driver_sql(f"DROP TABLE {table}")

        assert [each.code for each in journal.check()] == [DamageCode.MISSING_TABLE]


def test_damaged_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with SqlJournal(path) as journal:
        knowing(journal, "running")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'lifecycle_tasks_by_change'")
        connection.commit()

    with SqlJournal(path) as journal:
        damage, missing = journal.check()

    assert missing.code is DamageCode.MISSING_INDEX
    assert (damage.code, damage.task_id, damage.entry) == (DamageCode.DAMAGED_FILE, "", None)
    assert "never used" in damage.message


def test_unreadable_part_of_a_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with SqlJournal(path) as journal:
        journal.add_reports([told(f"task-{number}", "running") for number in range(1_000)])
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))

    with SqlJournal(path) as journal, pytest.raises(NotAJournal, match="malformed"):
        list(journal.check())


@pytest.mark.parametrize("table", ["lifecycle_commands SET fields", "lifecycle_entries SET path"])
def test_invalid_json_in_a_column_is_found(tmp_path: Path, table: str) -> None:
    with SqlJournal(tmp_path / "journal.db") as journal:
        opened(knowing(journal, "running", "paused"), "resume")
        with journal.database.transaction() as connection:
            connection.exec_driver_sql(f"UPDATE {table} = '[oops'")

        wrong = [each for each in journal.history("task-1") if isinstance(each, RecordedUnreadable)]

        assert len(wrong) == {"lifecycle_commands SET fields": 1, "lifecycle_entries SET path": 3}[table]
        assert all("is not JSON" in each.why for each in wrong)


def test_a_check_does_not_see_later_writes(journal: SqlJournal) -> None:
    damaged(journal, "UPDATE lifecycle_tasks SET state = NULL WHERE id = 1")
    check = journal.check()
    assert next(check).code is DamageCode.WRONG_STATE
    log = knowing(journal, task="task-2", lifecycle="v3-full")

    command = opened(log, "stop")
    log.add_outcome(command.id, CommandEvent.CONFIRM, why="", claim=1)

    assert list(check) == []
