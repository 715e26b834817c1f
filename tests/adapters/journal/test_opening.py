"""Opening a journal: what is made, what is refused, and that no message shows a password."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import V1_FULL
from lifecycle.journal import Report
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.journal import (
    JournalReadOnly,
    JournalUnavailable,
    JournalVersionMismatch,
    NotAJournal,
    SqlJournal,
)
from lifecycle_adapters.journal.database import TransactionMode
from lifecycle_adapters.journal.schema import VERSION
from tests.adapters.journal.acting import knowing, told
from tests.adapters.journal.conftest import OpenJournal, sqlite_url
from tests.conftest import StartPostgres
from tests.support.postgres import PostgresServer

# One process imports what is needed, and the others are its children; pytest's own may have threads by now.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])

SECRET = "hidden-7f3a"


def execute(url: str, *statements: str) -> None:
    """Do something to the database behind the journal's back."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for each in statements:
            connection.exec_driver_sql(each)
    engine.dispose()


# --- the schema ------------------------------------------------------------------------------------


def test_every_numbered_table_uses_autoincrement(tmp_path: Path) -> None:
    """SQLite gives the number of a deleted row again, unless a table says otherwise."""
    SqlJournal(tmp_path / "journal.db").close()

    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        made = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'").fetchall()

    assert {name for (name,) in made} == {
        "lifecycle_tasks",
        "lifecycle_commands",
        "lifecycle_creates",
        "lifecycle_declarations",
        "lifecycle_entries",
        "lifecycle_servers",
    }


def test_a_journal_is_opened_again(open_journal: OpenJournal) -> None:
    knowing(open_journal(), "running")

    assert knowing(open_journal()).load().state == "running"


def make(url: str, number: int, together: Barrier) -> None:
    together.wait(timeout=60)
    with SqlJournal(url) as journal:
        journal.add_reports([told(f"task-{number}", "running")])


def test_processes_that_make_one_journal_at_once(empty_url: str) -> None:
    together = PROCESSES.Barrier(8)
    processes = [PROCESSES.Process(target=make, args=(empty_url, number, together)) for number in range(8)]

    for each in processes:
        each.start()
    for each in processes:
        each.join(timeout=60)

    assert [each.exitcode for each in processes] == [0] * 8
    with SqlJournal(empty_url, read_only=True) as journal:
        assert len(journal.tasks().tasks) == 8


def test_threads_that_make_a_journal_each(tmp_path: Path) -> None:
    def make_one(number: int) -> str | None:
        with SqlJournal(tmp_path / f"{number}.db") as journal:
            return knowing(journal, "running").load().state

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make_one, range(8))) == ["running"] * 8


# --- what is there already -------------------------------------------------------------------------


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()

    with pytest.raises(NotAJournal, match="it contains no journal"):
        SqlJournal(path, read_only=True)
    with SqlJournal(path) as journal:
        assert knowing(journal, "running").load().state == "running"


def test_other_tables_of_a_server_are_left_alone(postgres_url: str) -> None:
    execute(postgres_url, "CREATE TABLE guests (name TEXT)", "INSERT INTO guests VALUES ('Ada')")

    with SqlJournal(postgres_url) as journal:
        knowing(journal, "running")

        assert list(journal.check()) == []
    execute(postgres_url, "UPDATE guests SET name = 'Grace' WHERE name = 'Ada'")


def test_file_of_another_application_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    execute(f"sqlite:///{path}", "CREATE TABLE guests (name TEXT)")
    before = path.read_bytes()

    with pytest.raises(NotAJournal, match=r"another application has tables in it \('guests'\)"):
        SqlJournal(path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mark", ["application_id", "user_version"])
def test_empty_file_of_another_application_is_not_changed(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA {mark} = 7")
    before = path.read_bytes()

    with pytest.raises(NotAJournal, match=rf"has marked it as its own \({mark} is 7\); name a file of its own"):
        SqlJournal(path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_file_with_only_a_view_belongs_to_another_application(tmp_path: Path) -> None:
    execute(f"sqlite:///{tmp_path / 'app.db'}", "CREATE VIEW ones AS SELECT 1")

    with pytest.raises(NotAJournal, match="another application has tables in it"):
        SqlJournal(tmp_path / "app.db")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_journal_without_its_version_is_damaged(empty_url: str, read_only: bool) -> None:
    SqlJournal(empty_url).close()
    execute(empty_url, "DROP TABLE lifecycle_version")

    with pytest.raises(NotAJournal, match=r"its table lifecycle_version is missing, .*; restore it from a backup"):
        SqlJournal(empty_url, read_only=read_only)


def test_an_empty_version_is_unknown(empty_url: str) -> None:
    SqlJournal(empty_url).close()
    execute(empty_url, "DELETE FROM lifecycle_version")

    with pytest.raises(JournalVersionMismatch, match="it has schema unknown"):
        SqlJournal(empty_url)


UNUSABLE = [
    f"host=127.0.0.1 port=abc password={SECRET}",
    f"host=127.0.0.1 port= password={SECRET}",
    f"host= password={SECRET} port=1",
    f"host=127.0.0.1,127.0.0.2 port=1,2,3 password={SECRET}",
    f"host=127.0.0.1 port=1 password={SECRET}\ud800",
    f"host=127.0.0.1 port=1 password={SECRET}\0",
    f"postgresql://u:{SECRET}@127.0.0.1/db?port=1x",
    f"postgresql://u:{SECRET}@/db?host=a,b&port=1,2,3",
    f"postgresql://u:{SECRET}\ud800@127.0.0.1:1/db",
    f"postgresql://u:{SECRET}%00@127.0.0.1:1/db",
    f"postgresql://u\ud800:{SECRET}@127.0.0.1:1/db",
    f"postgresql://u:{SECRET}@127.0.0.1:1/d\ud800",
    f"postgresql://u:{SECRET}@h\ud800:1/db",
    f"postgresql://u:{SECRET}@127.0.0.1:1/db?plugin=zz",
]


@pytest.mark.parametrize("url", UNUSABLE, ids=ascii)
def test_invalid_url_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"not a (valid database URL|connection string)") as raised:
        SqlJournal(url)

    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in f"{error!r} {error.args}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "mistyped",
    [
        f"postgresql//u:{SECRET}@h/db",
        f"postgresql:/u:{SECRET}@h/db",
        f"postgresql:u:{SECRET}@h",
        f"postgres:///u:{SECRET}@h/db",
        f"u:{SECRET}@host:5432/db",
        f"pasword={SECRET} host=127.0.0.1",
        f"pasword={SECRET}",
        f"hots=127.0.0.1 user=u password={SECRET}",
    ],
)
def test_a_mistyped_connection_is_not_a_file_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistyped: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match=r"not a (valid database URL|connection string)") as raised:
        SqlJournal(mistyped)

    assert SECRET not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["file:x.db?mode=ro", "FILE:x.db", "file:///x.db?mode=ro", "sqlite:///file:x.db"])
def test_sqlite_uri_is_refused_as_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.chdir(tmp_path)

    for read_only in (True, False):
        with pytest.raises(ValueError, match="give the path of the file, and for mode=ro read_only=True"):
            SqlJournal(uri, read_only=read_only)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["./u:p@h.db", "./file:x.db", "./password=1.db", "date=2026-01-01.db", "postgres.db", "a@b.db"]
)
def test_a_path_that_resembles_a_url_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)

    SqlJournal(path).close()

    assert (tmp_path / path).exists()


@pytest.mark.parametrize("read_only", [True, False])
def test_worker_without_a_name_is_refused(tmp_path: Path, *, read_only: bool) -> None:
    with pytest.raises(ValueError, match="worker must not be empty"):
        SqlJournal(tmp_path / "journal.db", worker="", read_only=read_only)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lease_s", [0, -1, float("nan"), float("inf"), 1e300])
def test_invalid_lease_is_refused(tmp_path: Path, lease_s: float) -> None:
    with pytest.raises(ValueError, match="lease_s must be positive and at most"):
        SqlJournal(tmp_path / "journal.db", lease_s=lease_s)
    with pytest.raises(ValueError, match="lease_s must be more than 0 and at most"):
        MemoryJournal(lease_s=lease_s)


@pytest.mark.parametrize("read_only", ["no", 0, 1, None])
def test_read_only_is_true_or_false(tmp_path: Path, read_only: Any) -> None:
    with pytest.raises(TypeError, match="read_only must be True or False, not"):
        SqlJournal(tmp_path / "journal.db", read_only=read_only)


@pytest.mark.parametrize("given", [{"worker": 5}, {"lease_s": "5"}, {"lease_s": True}])
def test_settings_of_another_type_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    [name] = given
    with pytest.raises(TypeError, match=f"{name} must be (text|a number), not "):
        SqlJournal(tmp_path / "journal.db", **given)
    with pytest.raises(TypeError, match=f"{name} must be (text|a number), not "):
        MemoryJournal(**given)


class PathOfBytes:
    def __fspath__(self) -> bytes:
        return b"journal.db"


@pytest.mark.parametrize("url", [b"journal.db", None, 5, PathOfBytes()])
def test_non_text_url_error_names_the_argument(url: Any) -> None:
    with pytest.raises(TypeError, match=r"url must be .* not "):
        SqlJournal(url)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_journal_of_another_version(empty_url: str, read_only: bool) -> None:
    SqlJournal(empty_url).close()
    execute(empty_url, "UPDATE lifecycle_version SET version = '999'")

    with pytest.raises(JournalVersionMismatch, match=f"it has schema 999, this library reads {VERSION}"):
        SqlJournal(empty_url, read_only=read_only)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE lifecycle_version (something TEXT)",
        "CREATE TABLE lifecycle_tasks (something TEXT)",
        "CREATE TABLE lifecycle_entries (something TEXT)",
    ],
)
def test_tables_of_the_same_names_that_are_not_ours(empty_url: str, statement: str) -> None:
    execute(empty_url, statement)

    with pytest.raises(NotAJournal):
        SqlJournal(empty_url)

    engine = sa.create_engine(empty_url)
    left = sa.inspect(engine).get_table_names()
    engine.dispose()
    assert left == [statement.split()[2]], "what could not be made as a whole is not made in part"


def test_missing_tables_raise_not_a_journal(empty_url: str) -> None:
    with SqlJournal(empty_url) as journal:
        execute(empty_url, "DROP TABLE lifecycle_entries")

        with pytest.raises(NotAJournal, match="lifecycle_entries"):
            journal.changes()


# --- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_not_a_database(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and have been for some time. " * 100)

    with pytest.raises(NotAJournal, match="file is not a database") as raised:
        SqlJournal(path, read_only=read_only)

    assert raised.value.where == str(path)
    assert path.read_text().startswith("These are notes")
    assert list(tmp_path.iterdir()) == [path]


def test_directory_is_not_a_journal(tmp_path: Path) -> None:
    for read_only in (True, False):
        with pytest.raises(NotAJournal, match="it is a directory"):
            SqlJournal(tmp_path, read_only=read_only)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "socket", "/dev/null", "/dev/zero", "link"])
def test_irregular_file_is_refused_at_once(tmp_path: Path, kind: str, read_only: bool) -> None:
    path = Path(kind) if kind.startswith("/") else tmp_path / "journal.db"
    if kind in ("pipe", "link"):
        os.mkfifo(tmp_path / "pipe" if kind == "link" else path)
    if kind == "link":
        path.symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "socket":
            server.bind(str(path))

        with pytest.raises(NotAJournal, match="it is a pipe, a socket or a device; name a regular file"):
            SqlJournal(path, read_only=read_only)


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "journal.db"

    with pytest.raises(JournalUnavailable, match="unable to open database file"):
        SqlJournal(path)
    with pytest.raises(NotAJournal, match="there is no such file"):
        SqlJournal(path, read_only=True)
    assert not path.parent.exists()


def test_a_missing_file_is_not_created_for_reading(tmp_path: Path) -> None:
    with pytest.raises(NotAJournal, match="there is no such file"):
        SqlJournal(tmp_path / "journal.db", read_only=True)

    assert list(tmp_path.iterdir()) == []


def test_a_read_only_journal_is_not_written(open_journal: OpenJournal) -> None:
    knowing(open_journal(), "running")
    journal = open_journal(read_only=True)
    log = knowing(journal)

    for write in (
        lambda: journal.add_reports([told("task-1", "paused")]),
        lambda: journal.forget("task-1"),
        lambda: log.claim("1"),
        lambda: log.add_attempt("1", number=1, claim=1),
        lambda: log.release("1", claim=1),
    ):
        with pytest.raises(JournalReadOnly, match="it was opened with read_only=True"):
            write()

    assert log.load().state == "running"
    assert len(journal.history("task-1")) == len(journal.changes().entries) == 1
    assert list(journal.check()) == []


def test_the_database_itself_refuses_what_a_reader_writes(journal: SqlJournal, open_journal: OpenJournal) -> None:
    reader = open_journal(read_only=True)

    with pytest.raises(JournalReadOnly), reader.database.transaction(TransactionMode.READ) as connection:
        connection.exec_driver_sql("DELETE FROM lifecycle_tasks")


# --- servers ---------------------------------------------------------------------------------------


def refused(url: str) -> str:
    """The error if a journal in PostgreSQL cannot be reached."""
    with pytest.raises(JournalUnavailable) as raised:
        SqlJournal(url)
    said = "".join(map(str, (raised.value, raised.value.where, repr(raised.value), raised.value.__cause__)))
    assert SECRET not in said
    return str(raised.value)


def test_refused_login_is_reported(postgres: PostgresServer, postgres_url: str) -> None:
    server, _, database = postgres_url.partition("@")[2].partition("/")

    assert "password authentication failed" in refused(f"postgresql://postgres:{SECRET}@{server}/{database}")
    assert "password authentication failed" in refused(f"postgresql://{server}/x?user=postgres&password={SECRET}")
    assert 'database "nowhere" does not exist' in refused(postgres_url.replace(database, "nowhere"))


def test_a_server_that_is_down_for_a_while(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    url = server.create_database()
    password = url.split(":")[2].split("@")[0]

    with SqlJournal(url) as journal:
        log = knowing(journal, "running")
        server.stop()
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match=r"(?s)^(?!.*" + password + ")"):
                log.load()
        server.start()

        assert log.load().state == "running"


def test_unreachable_server_is_reported() -> None:
    assert "connection" in refused(f"postgresql://somebody:{SECRET}@127.0.0.1:1/journal")


# --- URLs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", ":memory:", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_journal_in_memory_is_another(url: str) -> None:
    with pytest.raises(ValueError, match="MemoryJournal"):
        SqlJournal(url)


@pytest.mark.parametrize("url", ["sqlite://j.db", "sqlite://j/j.db", "sqlite:j.db", "SQLite:/j.db"])
def test_url_of_sqlite_without_three_slashes_is_an_error(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match="three slashes before its path, as in sqlite:///journal"):
        SqlJournal(url)

    assert list(tmp_path.iterdir()) == []
    SqlJournal("./sqlite:j.db").close()


def test_a_url_of_sqlite_has_no_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with nothing after it"):
        SqlJournal(f"sqlite:///{tmp_path / 'journal.db'}?mode=memory&uri=true")


def test_a_database_that_cannot_hold_a_journal() -> None:
    with pytest.raises(ValueError, match="SQLite or PostgreSQL, not in 'mysql'"):
        SqlJournal("mysql://somebody@host/journal")


@pytest.mark.parametrize(
    "url", ["://", "postgresql://host:port/journal", f"postgresql://somebody:p@{SECRET}@host/journal"]
)
def test_a_url_that_cannot_be_read(url: str) -> None:
    with pytest.raises(ValueError, match="not a valid database URL") as raised:
        SqlJournal(url)

    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("name", ["plain.db", "with space and %41 ? # &.db", "käse.db"])
def test_path_is_used_unchanged(tmp_path: Path, name: str) -> None:
    with SqlJournal(tmp_path / name) as journal:
        knowing(journal, "running")
    with SqlJournal(str(tmp_path / name), read_only=True) as journal:
        assert knowing(journal).load().state == "running"

    assert (tmp_path / name).is_file()


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"])
def test_the_driver_is_the_librarys_choice(tmp_path: Path, driver: str) -> None:
    url = sqlite_url(tmp_path).replace("sqlite:", f"{driver}:")

    with SqlJournal(url) as journal:
        assert knowing(journal, "running").load().state == "running"


def test_the_repr_of_a_journal_names_its_database(journal: SqlJournal, journal_url: str) -> None:
    assert "worker='one'" in repr(journal)
    assert journal.database.where in repr(journal)
    if "@" in journal_url:
        assert journal_url.split(":")[2].split("@", maxsplit=1)[0] not in repr(journal)


def test_a_sqlite_journal_writes_ahead(tmp_path: Path) -> None:
    with SqlJournal(tmp_path / "journal.db"), closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_was_deleted_in_use_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    with SqlJournal(file) as journal:
        journal.task(V1_FULL, "t").add_report(Report("running", datetime.now(UTC)))
        for each in tmp_path.iterdir():
            each.unlink()
        with pytest.raises(JournalUnavailable, match="its file does not exist any more"):
            journal.tasks()
        with pytest.raises(JournalUnavailable, match="its file does not exist any more"):
            journal.task(V1_FULL, "t").add_report(Report("paused", datetime.now(UTC)))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_was_replaced_in_use_is_unavailable_until_it_is_back(tmp_path: Path, *, read_only: bool) -> None:
    file, kept = tmp_path / "journal.db", tmp_path / "kept.db"
    SqlJournal(file).close()
    with SqlJournal(file, read_only=read_only) as journal:
        journal.tasks()
        file.rename(kept)
        with SqlJournal(file):
            for act in (journal.tasks, lambda: journal.task(V1_FULL, "t").load()):
                with pytest.raises(JournalUnavailable, match="another file has taken the place of its file"):
                    act()
        kept.replace(file)
        assert journal.tasks().tasks == ()


def _fail_while_moved(journal: SqlJournal, file: Path, to: Path, *, replacement: Path | None) -> None:
    with journal.database.transaction() as connection:
        file.rename(to)
        if replacement is not None:
            replacement.touch()
        connection.exec_driver_sql("SELECT nothing")


def test_error_of_a_transaction_whose_file_is_moved_meanwhile_says_so(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    with SqlJournal(file) as journal:
        for before, said in ((None, "does not exist any more"), (file, "taken the place")):
            with pytest.raises(JournalUnavailable, match=said):
                _fail_while_moved(journal, file, tmp_path / "kept.db", replacement=before)
            (tmp_path / "kept.db").replace(file)


# --- the end ---------------------------------------------------------------------------------------


def test_closed_journal_refuses_every_use(open_journal: OpenJournal) -> None:
    journal = open_journal()
    log = journal.task(V1_FULL, "t1")
    log.add_report(Report("running", datetime.now(UTC)))
    journal.close()
    journal.close()

    uses: list[Callable[[], object]] = [
        log.load,
        lambda: log.add_report(Report("paused", datetime.now(UTC))),
        lambda: journal.open_tasks(V1_FULL),
        lambda: journal.history("t1"),
        lambda: next(journal.reports(V1_FULL)),
        lambda: journal.creates(V1_FULL).unfinished(),
        lambda: journal.forget("t1"),
    ]
    for use in uses:
        with pytest.raises(JournalUnavailable, match="it is closed"):
            use()
    assert open_journal().task(V1_FULL, "t1").load().state == "running", "nothing was written"
