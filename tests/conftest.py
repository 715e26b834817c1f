"""Fixtures of all tests: Hypothesis profiles, each declared lifecycle in turn, PostgreSQL, a browser and Spark."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import settings

from lifecycle import CATALOG, Lifecycle

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lifecycle_adapters.journal import SqlJournal
    from tests.support.browser import Chromium
    from tests.support.postgres import PostgresServer

# A deadline measures the machine, not the code. `make test` is `quick`; `--hypothesis-profile thorough` looks longer.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("full", deadline=None, max_examples=100)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile("full")


# Most of the time of these tests would be spent waiting for a disk, which only those of durability are about. They
# keep their files in memory if there is room, and if programs can run from there: pytest's `tmp_path`, and `tempfile`,
# also in child processes.
_IN_MEMORY = Path("/dev/shm")


def _has_room(place: Path) -> bool:
    can_run = not os.statvfs(place).f_flag & os.ST_NOEXEC
    return can_run and shutil.disk_usage(place).free > 6 * 2**30


if "TMPDIR" not in os.environ and _IN_MEMORY.is_dir() and _has_room(_IN_MEMORY):
    os.environ["TMPDIR"] = str(_IN_MEMORY)
    tempfile.tempdir = None  # it asks the environment again


# Children inherit what is ignored: started in a shell's background, or by nohup, these tests could interrupt nobody.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# While the tests are collected, almost nothing that is made becomes garbage. Afterwards all of it lives to the end, and
# the garbage collector need not look at it each time; nor at what a test makes, as often as it does by default.
gc.disable()
gc.set_threshold(50_000, 20, 20)


def pytest_collection(session: pytest.Session) -> None:
    """Each process of pytest-xdist begins with another part of the tests' modules, so that each is compiled once.

    All of them would compile the same module at the same time, and take twice as long.
    """
    given: dict[str, Any] | None = getattr(session.config, "workerinput", None)
    if given is None:
        return
    files = _test_files(session.config)
    first = len(files) * int(given["workerid"].removeprefix("gw")) // given["workercount"]
    for file in [*files[first:], *files[:first]]:
        with suppress(Exception, pytest.skip.Exception):  # pytest says it when it imports the module itself
            import_module(".".join(file.relative_to(session.config.rootpath).with_suffix("").parts))


def _test_files(config: pytest.Config) -> list[Path]:
    ignored = [Path(each).absolute() for each in config.getoption("ignore") or ()]
    found = {file for root in config.args for file in Path(root).absolute().rglob("test_*.py")}
    return sorted(file for file in found if not any(map(file.is_relative_to, ignored)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


# DuckDB prints what is left of it when the process ends. Before that, pytest collects garbage several times.
atexit.register(gc.unfreeze)


@pytest.fixture
def old_objects_are_no_garbage() -> None:
    """Let a test's `gc.collect()` look at what it made itself: to look at all that is there can take a second."""
    gc.freeze()


@pytest.fixture(scope="session", params=CATALOG.values(), ids=tuple(CATALOG))
def declared(request: pytest.FixtureRequest) -> Lifecycle[str, str]:
    """Each lifecycle of the catalog."""
    lifecycle: Lifecycle[str, str] = request.param
    return lifecycle


@contextmanager
def without_privileges() -> Generator[None]:
    """File permissions hold for root too, as for any other user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class StartPostgres(Protocol):
    """Start a server; if that is impossible, skip the test."""

    def __call__(self, *, durable: bool = False) -> PostgresServer: ...


def starting_in(running: ExitStack) -> StartPostgres:
    from tests.support.postgres import PostgresError, PostgresServer  # takes longer to import than most tests to run

    def start(*, durable: bool = False) -> PostgresServer:
        try:
            return running.enter_context(PostgresServer(durable=durable))
        except PostgresError as error:
            # Not `CI`, which also tells Hypothesis to try the same examples every time.
            if os.environ.get("REQUIRE_POSTGRES"):
                raise
            pytest.skip(str(error))

    return start


@pytest.fixture
def start_postgres() -> Iterator[StartPostgres]:
    """For a test that stops or kills its server: `start_postgres(durable=False)` gives one of its own."""
    with ExitStack() as running:
        yield starting_in(running)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of this test process; it is not to be stopped."""
    with ExitStack() as running:
        yield starting_in(running)()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def _postgres_journal(postgres: PostgresServer) -> Iterator[SqlJournal]:
    from lifecycle_adapters.journal import SqlJournal

    url = postgres.create_database()
    with SqlJournal(url) as journal:
        yield journal
    postgres.drop_database(url)


@pytest.fixture
def postgres_journal_url(_postgres_journal: SqlJournal) -> str:
    """The SQLAlchemy URL of a journal without tasks. To make one takes PostgreSQL longer than most tests."""
    from lifecycle_adapters.journal.schema import metadata

    with _postgres_journal.database.transaction() as connection:
        for table in reversed(metadata.sorted_tables):  # faster than to truncate, which makes new files
            connection.execute(table.delete())
        connection.exec_driver_sql("SELECT setval(seqrelid::regclass, 1, false) FROM pg_sequence")
    return _postgres_journal.database.url.render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """A real Chromium; if there is none, the test is skipped."""
    from tests.support.browser import NoBrowser, chromium

    try:
        with chromium() as running:
            yield running
    except NoBrowser as error:
        if os.environ.get("REQUIRE_BROWSER"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A real local Spark, with many partitions; if that is impossible, the test is skipped."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        if os.environ.get("REQUIRE_SPARK"):
            pytest.fail("Spark needs Java, and there is none")
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    builder = SparkSession.Builder().master("local[2]").appName("tests")
    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",  # many partitions, however small
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",  # to compile little suits many small queries
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
    }
    session = builder.config(map=dict(options)).getOrCreate()
    yield session
    session.stop()
