"""A journal in PostgreSQL as people have it: behind a pooler, as another role, on a replica, by any URL."""

from __future__ import annotations

import re
from collections.abc import Generator
from urllib.parse import urlsplit

import psycopg
import pytest

from lifecycle import V1_FULL
from lifecycle_adapters.journal import JournalReadOnly, JournalUnavailable, SqlJournal
from lifecycle_adapters.journal.database import TransactionMode
from tests.adapters.journal.acting import knowing, opened, told
from tests.adapters.journal.pooler import Pooler
from tests.conftest import StartPostgres
from tests.support.postgres import PostgresServer

SECRET = "hidden-7f3a"


@pytest.fixture
def made_url(postgres_url: str) -> str:
    """A database with a journal that contains one running task."""
    with SqlJournal(postgres_url) as journal:
        knowing(journal, "running")
    return postgres_url.replace("postgresql+psycopg:", "postgresql:")


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())


def use(journal: SqlJournal, task: str) -> None:
    """Everything that a journal does, often enough for a driver to prepare statements."""
    for _ in range(8):
        log = knowing(journal, "running", task=task)
        command = opened(log)
        log.add_attempt(command.id, number=1, claim=command.claim)
        log.release(command.id, claim=command.claim)
        assert journal.forget(task) == 1
        journal.add_reports([told(task, "running"), told(task, "paused", 1)])
        assert knowing(journal, task=task).load().state == "paused"
        assert [each.task_id for each in journal.changes().entries].count(task) >= 1
        assert len(list(journal.reports(V1_FULL))) >= 2
        assert list(journal.check()) == []
        assert journal.open_tasks(V1_FULL) == []
        assert journal.history(task)
        assert journal.forget(task) == 1


# --- behind a pooler -------------------------------------------------------------------------------


@pytest.fixture
def pooler(postgres: PostgresServer) -> Generator[Pooler]:
    with Pooler(postgres.port) as pooler:
        yield pooler


def through(pooler: Pooler, url: str) -> str:
    return url.replace(f":{urlsplit(url).port}/", f":{pooler.port}/")


@pytest.mark.heavy
def test_a_journal_is_made_and_used_through_a_pooler(pooler: Pooler, postgres_url: str) -> None:
    for read_only in (False, True):
        with SqlJournal(through(pooler, postgres_url), read_only=read_only) as journal:
            if not read_only:
                use(journal, "task-2")
            assert journal.tasks().tasks == ()

    assert pooler.refused == []


@pytest.mark.heavy
def test_no_setting_stays_on_the_poolers_connection(pooler: Pooler, postgres_url: str) -> None:
    with SqlJournal(through(pooler, postgres_url)) as journal:
        use(journal, "task-2")

    lasting = re.compile(
        r"(?i)(^|;)\s*(SET (?!LOCAL|TRANSACTION)|RESET|LISTEN|PREPARE|CREATE TEMP)|WITH HOLD|, ?false\)"
    )
    assert pooler.statements
    assert [each for each in pooler.statements if lasting.search(each)] == []


def test_the_pooler_of_these_tests_refuses_what_pgbouncer_refuses(pooler: Pooler, made_url: str) -> None:
    url = through(pooler, made_url)

    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
        psycopg.connect(url, options="-c lock_timeout=1s")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.Error, match="does not exist"):
        connection.execute("SELECT %s", [1], prepare=True)


# --- as another role -------------------------------------------------------------------------------


@pytest.fixture
def role(postgres: PostgresServer, made_url: str) -> Generator[str]:
    """A role that may do nothing yet."""
    name = f"role_{urlsplit(made_url).path[-12:]}"
    execute(made_url, f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield name
    execute(made_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def as_role(url: str, role: str) -> str:
    return f"postgresql://{role}:{SECRET}@{url.rpartition('@')[2]}"


def test_a_role_without_the_right_to_create_writes_to_existing_tables(made_url: str, role: str) -> None:
    execute(
        made_url,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    )

    with SqlJournal(as_role(made_url, role)) as journal:
        use(journal, "task-2")


def test_a_role_that_may_read_reads(made_url: str, role: str) -> None:
    execute(made_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")

    with SqlJournal(as_role(made_url, role), read_only=True) as journal:
        assert knowing(journal).load().state == "running"
    with SqlJournal(as_role(made_url, role)) as journal, pytest.raises(JournalReadOnly, match="permission denied"):
        knowing(journal, "paused")


def test_a_role_that_may_do_nothing(made_url: str, role: str) -> None:
    for read_only in (False, True):
        with pytest.raises(JournalReadOnly, match="permission denied") as raised:
            SqlJournal(as_role(made_url, role), read_only=read_only)
        assert SECRET not in str(raised.value)


# --- a replica -------------------------------------------------------------------------------------


def read_all(journal: SqlJournal) -> None:
    assert knowing(journal).load().state == "running"
    assert [each.task_id for each in journal.tasks().tasks] == ["task-1"]
    assert len(journal.history("task-1")) == len(journal.changes().entries) == len(list(journal.reports(V1_FULL))) == 1
    assert list(journal.check()) == []
    assert journal.open_tasks(V1_FULL) == []


def test_replica_is_readable(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    url = server.create_database()
    with SqlJournal(url) as journal:
        knowing(journal, "running")
    server.stop()
    (server.directory / "data" / "standby.signal").touch()
    server.start()

    with SqlJournal(url, read_only=True) as journal:
        read_all(journal)
    with SqlJournal(url) as journal:
        read_all(journal)
        with pytest.raises(JournalReadOnly, match="read-only transaction"):
            knowing(journal, "paused")


def test_a_server_that_is_read_only_by_default(made_url: str) -> None:
    execute(made_url, f"ALTER DATABASE {urlsplit(made_url).path[1:]} SET default_transaction_read_only = on")

    with SqlJournal(made_url, read_only=True) as journal:
        read_all(journal)
    with SqlJournal(made_url) as journal, pytest.raises(JournalReadOnly, match="read-only transaction"):
        knowing(journal, "paused")


# --- transactions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", TransactionMode)
def test_every_transaction_waits_for_locks_in_bounded_time(made_url: str, durability: TransactionMode) -> None:
    with SqlJournal(made_url) as journal, journal.database.transaction(durability) as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "30s"


def test_parameters_in_the_url_are_set(made_url: str) -> None:
    url = f"{made_url}?options=-c%20work_mem%3D5MB&application_name=mine"

    with SqlJournal(url) as journal, journal.database.transaction(TransactionMode.READ) as connection:
        assert connection.exec_driver_sql("SHOW work_mem").scalar() == "5MB"
        assert connection.exec_driver_sql("SHOW application_name").scalar() == "mine"


# --- URLs and connection strings -------------------------------------------------------------------


def spelled(url: str) -> list[str]:
    parts = urlsplit(url)
    host, port, user, password, database = parts.hostname, parts.port, parts.username, parts.password, parts.path[1:]
    return [
        f"postgres://{user}:{password}@{host}:{port}/{database}",
        f"postgresql+psycopg2://{user}:{password}@{host}:{port}/{database}",
        f"postgresql://{host}:{port}/{database}?user={user}&password={password}",
        f"postgresql:///{database}?host={host}&port={port}&user={user}&password={password}",
        f"host={host} port={port} user={user} password={password} dbname={database}",
        f"  password='{password}'  dbname = {database} user={user} hostaddr={host} port={port}\n",
    ]


@pytest.mark.parametrize("number", range(6))
def test_every_form_of_url_and_connection_string(made_url: str, number: int) -> None:
    with SqlJournal(spelled(made_url)[number]) as journal:
        assert knowing(journal).load().state == "running"
        assert str(urlsplit(made_url).password) not in repr(journal)
        assert urlsplit(made_url).path[1:] in repr(journal)


@pytest.mark.parametrize(
    "url",
    [
        f"host=127.0.0.1 port=1 password={SECRET}",
        f"host=127.0.0.1 port=1 sslpassword={SECRET} user=somebody",
        f"host=127.0.0.1 port=1 options='-c my.secret={SECRET}'",
        f"postgres://somebody:{SECRET}@127.0.0.1:1/journal",
        f"postgresql://127.0.0.1:1/journal?password={SECRET}",
        f"postgresql://127.0.0.1:1/journal?sslpassword={SECRET}",
        f"postgresql://127.0.0.1:1/journal?options=-c%20my.secret%3D{SECRET}",
        f"postgresql://127.0.0.1:1/journal?passfile=/{SECRET}",
    ],
)
def test_a_server_that_cannot_be_reached_is_named_without_secrets(url: str) -> None:
    with pytest.raises(JournalUnavailable) as raised:
        SqlJournal(url)

    said = "".join(map(str, (raised.value, raised.value.where, repr(raised.value))))
    assert SECRET not in said
    assert "127.0.0.1" in raised.value.where


@pytest.mark.parametrize(
    "text",
    [
        f"host=localhost password='{SECRET}",
        f"host=localhost pasword={SECRET}",
        f"hst=localhost password={SECRET}",
        f"PASSWORD={SECRET}",
        f"password={SECRET} and more",
    ],
)
def test_a_text_like_a_connection_string_is_not_a_file(
    text: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))

    for read_only in (False, True):
        with pytest.raises(ValueError, match="not a connection string that libpq can read") as raised:
            SqlJournal(text, read_only=read_only)
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize("name", ["./user=ada.db", "folder/host=x.db", "plain=1.db"])
def test_a_path_may_have_an_equals_sign(
    name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)
    (folder / "folder").mkdir()

    with SqlJournal(name) as journal:
        knowing(journal, "running")

    assert (folder / name).is_file()
