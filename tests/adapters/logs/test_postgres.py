"""A log in a table of a real PostgreSQL: its types, its names, its order, and what goes wrong with servers."""

from __future__ import annotations

import importlib
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lifecycle import V1_FULL, Channel, FindingCode, Lifecycle
from lifecycle.errors import MissingExtra
from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.columns import (
    EARLIEST_US,
    LATEST_US,
    SMALLEST_MILLISECONDS,
    Columns,
    RejectReason,
    TimeForm,
)
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, literal
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog
from lifecycle_adapters.logs.postgres import PostgresTable
from lifecycle_adapters.logs.result import CheckedLog
from tests.adapters.cli.commands import call
from tests.adapters.journal.pooler import Pooler
from tests.adapters.logs.logs import AT, AT_US, RULES, Record, read
from tests.conftest import StartPostgres
from tests.support.postgres import PostgresServer

Run = Callable[[str], list[tuple[Any, ...]]]

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # the one value that differs is printed in any case
RECORDS = "SELECT task, at_us, sequence, place, status, status_code, form, fault, detail FROM records ORDER BY place"


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    """A database of this file's tests, whose tables are their own."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="module")
def run(url: str) -> Iterator[Run]:
    """Execute statements as the owner of the database; return the rows of the last."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:

        def execute(statements: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statements.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

        yield execute


@pytest.fixture
def log(run: Run) -> Iterator[str]:
    """Two tasks, and one finding: the second starts with its end."""
    run(f"""CREATE TABLE log (task_id text, at timestamptz, status text);
            INSERT INTO log VALUES ('one', '{AT}', 'created'), ('two', '{AT}', 'finished'), ('one', '{AT}', 'running')
         """)
    yield "log"
    run("DROP TABLE log")


def checked(url: str, table: str, columns: Columns | None = None, **settings: Any) -> CheckedLog:
    return check_logs(V1_FULL, PostgresTable(url, table), columns=columns, **settings)


def records(url: str, table: str, columns: Columns | None = None) -> list[Record]:
    """The records that the server makes from its table."""
    with DuckDbSession(threads=1) as bench:
        intake = PostgresTable(url, table).load(bench, RULES, columns or Columns())
        return [Record(*row) for row in intake.engine.rows(RECORDS)]


def test_a_table_is_checked(url: str, log: str) -> None:
    with checked(url, log) as result:
        [finding] = result.findings()
        assert (finding.task, finding.file, finding.row, finding.code) == ("two", "log", 2, FindingCode.WRONG_START)
        assert (result.report.rows, result.report.tasks, result.report.files) == (3, 2, 0)
        assert result.report.engine.startswith("PostgreSQL 1")
        assert result.report.ties == 1


@pytest.mark.parametrize("scheme", ["postgresql://", "postgresql+psycopg://", "postgresql+asyncpg://", "postgres://"])
def test_urls_of_every_usual_form_are_accepted(url: str, log: str, scheme: str) -> None:
    with checked(scheme + url.partition("://")[2], log) as result:
        assert result.report.rows == 3


def test_a_connection_string_is_accepted(url: str, log: str) -> None:
    parts = urlsplit(url)
    names = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password}
    given = " ".join(f"{name}={value}" for name, value in {**names, "dbname": parts.path[1:]}.items())

    with checked(given, log) as result:
        assert result.report.rows == 3


def test_a_table_is_counted_behind_a_pooler(url: str, log: str, postgres: PostgresServer) -> None:
    with Pooler(postgres.port) as pooler:
        with checked(url.replace(f":{postgres.port}/", f":{pooler.port}/"), log) as result:
            assert result.report.rows == 3
        assert pooler.refused == []


# --- types ----------------------------------------------------------------------------------------


READ = {
    "timestamptz": [
        ("2026-01-15 12:30:00.123456+02", AT_US + 123_456, TimeForm.TIMESTAMP),
        ("1969-12-31 23:59:59.999999Z", -1, TimeForm.TIMESTAMP),
        ("9999-12-31 23:59:59.999999Z", LATEST_US, TimeForm.TIMESTAMP),
    ],
    "timestamp": [
        ("2026-01-15 10:30:00.123456", AT_US + 123_456, TimeForm.TIMESTAMP),
        ("0001-01-01", EARLIEST_US, TimeForm.TIMESTAMP),
    ],
    "date": [("2026-01-15", AT_US - 37_800_000_000, TimeForm.TIMESTAMP)],
    "smallint": [("7", 7_000_000, TimeForm.SECONDS)],
    "bigint": [
        ("1768473000", AT_US, TimeForm.SECONDS),
        ("1768473000123", AT_US + 123_000, TimeForm.MILLISECONDS),
        (f"{SMALLEST_MILLISECONDS}", SMALLEST_MILLISECONDS * 1_000, TimeForm.MILLISECONDS),
        (f"-{SMALLEST_MILLISECONDS}", -SMALLEST_MILLISECONDS * 1_000, TimeForm.MILLISECONDS),
        (f"{SMALLEST_MILLISECONDS - 1}", (SMALLEST_MILLISECONDS - 1) * 1_000_000, TimeForm.SECONDS),
    ],
    "numeric": [("1768473000.1234569", AT_US + 123_456, TimeForm.SECONDS)],
    "float8": [
        ("1768473000.123456", AT_US + 123_456, TimeForm.SECONDS),
        ("1768473000123.456", AT_US + 123_456, TimeForm.MILLISECONDS),
        ("-0.0000005", -1, TimeForm.SECONDS),
    ],
    "float4": [("0.5", 500_000, TimeForm.SECONDS)],
    "char(30)": [(AT, AT_US, TimeForm.ISO), ("2026-01-15 10:30", AT_US, TimeForm.ISO_NAIVE)],
}
UNREAD: dict[str, list[tuple[str | None, RejectReason, str | None]]] = {
    "timestamptz": [
        ("infinity", RejectReason.TIME_OUT_OF_RANGE, "infinity"),
        ("10000-01-01 00:00:00Z", RejectReason.TIME_OUT_OF_RANGE, "10000-01-01 00:00:00+00"),
        (None, RejectReason.NO_TIME, None),
    ],
    "timestamp": [("0001-12-31 23:59:59 BC", RejectReason.TIME_OUT_OF_RANGE, "0001-12-31 23:59:59 BC")],
    "date": [
        ("-infinity", RejectReason.TIME_OUT_OF_RANGE, "-infinity"),
        ("5000000-12-31", RejectReason.TIME_OUT_OF_RANGE, "5000000-12-31"),
    ],
    "bigint": [("9223372036854775807", RejectReason.TIME_OUT_OF_RANGE, "9223372036854775807")],
    "numeric": [("9" * 100, RejectReason.TIME_OUT_OF_RANGE, "9" * 77 + "..."), ("NaN", RejectReason.BAD_TIME, "NaN")],
    "float8": [
        ("1e300", RejectReason.TIME_OUT_OF_RANGE, "1e+300"),
        ("NaN", RejectReason.BAD_TIME, "NaN"),
        ("-Infinity", RejectReason.BAD_TIME, "-Infinity"),
        (None, RejectReason.NO_TIME, None),
    ],
    "text": [
        ("1e999999999", RejectReason.TIME_OUT_OF_RANGE, "1e999999999"),
        ("0000-02-29", RejectReason.TIME_OUT_OF_RANGE, "0000-02-29"),
        ("2026-02-30", RejectReason.BAD_TIME, "2026-02-30"),
        ("", RejectReason.NO_TIME, None),
    ],
}


def of_times(url: str, run: Run, kind: str, texts: list[str | None], form: TimeForm | None = None) -> list[Record]:
    """The records of rows with these times."""
    times = ", ".join("NULL" if text is None else literal(text) for text in texts)
    run(f"""DROP TABLE IF EXISTS timed;
            CREATE TABLE timed AS SELECT 't' AS task_id, at, 'running' AS status
                                  FROM unnest(ARRAY[{times}]::{kind}[]) at""")
    return records(url, "timed", Columns(time=form))


@pytest.mark.parametrize("kind", READ)
def test_a_time_is_read_to_the_microsecond(url: str, run: Run, kind: str) -> None:
    found = of_times(url, run, kind, [text for text, _, _ in READ[kind]])
    assert [(each.at_us, each.form) for each in found] == [(us, form) for _, us, form in READ[kind]]
    assert {(each.fault, each.detail) for each in found} == {(None, None)}


def test_no_form_of_times_is_proposed_that_a_table_cannot_have(
    url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the unreadable row is kept
    run("CREATE TABLE odd (task_id text, at text, status text); INSERT INTO odd VALUES ('a', '1.2.2026', 'created')")
    log = ("check", "v1", url.replace("+psycopg", ""), "--table", "odd")

    refused, by_pattern = call(*log), call(*log, "--time-format", "%d.%m.%Y")

    run("DROP TABLE odd")
    assert "(1 row: bad time)" in refused.stderr
    assert "--time" not in refused.stderr
    assert (
        by_pattern.stderr == "lifecycle: PostgreSQL does not read times by a pattern: give the log as files or frames\n"
    )


@pytest.mark.parametrize("kind", UNREAD)
def test_a_time_outside_the_years_is_reported(url: str, run: Run, kind: str) -> None:
    found = of_times(url, run, kind, [text for text, _, _ in UNREAD[kind]])
    told = [(fault, detail) for _, fault, detail in UNREAD[kind]]
    assert [(each.fault, each.detail) for each in found] == told
    assert {each.at_us for each in found} == {None}


ISO_PARTS = st.tuples(
    st.sampled_from(["2026-01-15", "2024-02-29", "2026-02-29", "2026-04-31", "0000-01-01", "0001-01-01", "9999-12-31",
                     "1969-12-31", "2026-13-01", "2026-1-1", "2026-W03-4", "1900-02-29", "2000-02-29"]),
    st.sampled_from(["", " ", "T", "t", "  "]),
    st.sampled_from(["", "00:00", "10:30:00", "23:59:59.999999", "23:59:59,9999999", "24:00:00", "23:59:60", "10",
                     "10:30:00.", "10:30:00.5", "10:60", "00:30:00.000001"]),
    st.sampled_from(["", "Z", "z", "+02:00", "-0030", "+05", " UTC", "+24:00", "-23:59", "+02:60", "\n", " "]),
).map("".join)  # fmt: skip
NUMBERS = st.from_regex(r"\A[+-]?[0-9]{1,20}(\.[0-9]{0,9})?\Z") | st.from_regex(r"\A[+-]?[0-9]{1,13}[eE][+-]?[0-9]\Z")
TEXTS = ISO_PARTS | NUMBERS | st.text(st.sampled_from("0123456789-+:.TZeE ٣\n"), max_size=12)


_NOT_READ = (TimeForm.MICROSECONDS, TimeForm.NANOSECONDS, TimeForm.PATTERN)
FORMS = [form for form in TimeForm if form not in _NOT_READ]


@given(st.lists(TEXTS, min_size=40, max_size=60), st.sampled_from([None, *FORMS]))
@settings(max_examples=3, phases=UNSHRUNK)
def test_a_text_is_the_same_time_as_in_a_file(url: str, run: Run, texts: list[str], form: TimeForm | None) -> None:
    rows = [{"task_id": "'t'", "at": literal(text), "status": "'running'"} for text in texts]
    with DuckDbSession(threads=1) as bench:
        known = read(bench, Columns(time=form), rows)
    for text, here, there in zip(texts, of_times(url, run, "text", [*texts], form), known, strict=True):
        assert (here.fault, here.detail) == (there.fault, there.detail), text
        if here.fault is None:
            assert (here.at_us, here.form) == (there.at_us, there.form), text


@given(st.lists(st.floats() | st.floats(0, 4e9) | st.floats(-4e12, 4e12), min_size=40, max_size=60))
@settings(max_examples=2, phases=UNSHRUNK)
def test_a_float_is_the_same_time_as_in_a_file(url: str, run: Run, numbers: list[float]) -> None:
    texts: list[str | None] = [repr(number) for number in numbers]
    rows = [{"task_id": "'t'", "at": f"'{number!r}'::DOUBLE", "status": "'running'"} for number in numbers]
    with DuckDbSession(threads=1) as bench:
        known = read(bench, Columns(), rows)
    for number, here, there in zip(numbers, of_times(url, run, "float8", texts), known, strict=True):
        assert here.fault == there.fault, number
        assert here.fault or (here.at_us, here.form) == (there.at_us, there.form), number


def test_an_id_is_a_text_or_a_whole_number(url: str, run: Run) -> None:
    values = {
        "'a'::varchar(5)": "a", "'a'::char(5)": "a", "' a '::text": " a ", "7::smallint": "7", "-7::bigint": "-7",
        "'running'::colour": "running", "'running'::hue": "running", "''::text": None, "NULL::bigint": None,
        "12345678901234567890::numeric(20,0)": "12345678901234567890", "'NaN'::numeric(20)": None,
        "'6BA7B810-9DAD-11D1-80B4-00C04FD430C8'::uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    }  # fmt: skip
    selected = ", ".join(f"{value} AS c{number}" for number, value in enumerate(values))
    run(f"""CREATE TYPE colour AS ENUM ('running', 'red'); CREATE DOMAIN hue AS varchar(9);
            CREATE TABLE ids AS SELECT {selected}""")
    for number, task in enumerate(values.values()):
        status = "c6" if number == 5 else "c5"  # a domain, an enumeration
        [record] = records(url, "ids", Columns(task=f"c{number}", at=None, status=status))
        assert (record.task, record.status, record.fault) == (task, "running", None if task else RejectReason.NO_TASK)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(task="moment"), "column 'moment' is of type timestamptz, which cannot hold an id"),
        (Columns(task="fraction"), "column 'fraction' is of type numeric(5,2), which cannot hold an id"),
        (Columns(task="any_number"), "column 'any_number' is of type numeric, which cannot hold an id"),
        (Columns(status="number"), "column 'number' is of type float8, which cannot hold a status"),
        (Columns(at="document"), "column 'document' is of type jsonb, which cannot hold a time"),
        (Columns(sequence="number"), "column 'number' is of type float8, which cannot hold a sequence: whole numbers"),
    ],
)
def test_a_column_of_another_type_is_refused(url: str, run: Run, columns: Columns, message: str) -> None:
    run("""CREATE TABLE IF NOT EXISTS typed (
               task_id text, at text, status text, moment timestamptz, number float8, document jsonb,
               fraction numeric(5,2), any_number numeric)""")
    with pytest.raises(UnusableLog, match=f"^{re.escape(message)}$"):
        records(url, "typed", columns)


@pytest.mark.parametrize("ignore_case", [False, True])
def test_statuses_in_another_letter_case(url: str, run: Run, log: str, ignore_case: bool) -> None:
    run(f"UPDATE {log} SET status = upper(status)")
    with checked(url, log, ignore_case=ignore_case) as found:
        assert found.report.unknown_statuses == ({} if ignore_case else {"CREATED": 1, "FINISHED": 1, "RUNNING": 1})
        assert found.report.bad_rows == (1 if ignore_case else 3)


def test_sequence_orders_equal_times_and_null_is_rejected(url: str, run: Run) -> None:
    run(f"""CREATE TABLE sequenced (task_id text, at timestamptz, status text, nth integer);
            INSERT INTO sequenced VALUES
            ('t', '{AT}', 'running', 2), ('t', '{AT}', 'created', 1), ('t', '{AT}', 'paused', NULL)""")
    with checked(url, "sequenced", Columns(sequence="nth")) as result:
        assert (result.report.ties, result.report.is_clean) == (0, True)
        assert [(reject.row, reject.reason) for reject in result.rejects()] == [(3, RejectReason.NO_SEQUENCE)]


def test_a_sequence_of_whole_decimals_must_fit_into_64_bits(url: str, run: Run) -> None:
    numbers = {str(2**63 - 1): 2**63 - 1, str(-(2**63)): -(2**63), str(2**63): None, "'NaN'": None, "NULL": None}
    rows = ", ".join(f"('t', 'created', {number})" for number in numbers)
    run(f"CREATE TABLE wide (task_id text, status text, nth numeric(20)); INSERT INTO wide VALUES {rows}")
    found = records(url, "wide", Columns(at=None, sequence="nth"))
    assert [record.sequence for record in found] == [*numbers.values()]


def test_ids_and_statuses_are_compared_byte_by_byte_whatever_their_type_would_do(url: str, run: Run) -> None:
    run("""CREATE EXTENSION citext; CREATE TABLE collated (task_id citext, status citext);
           INSERT INTO collated VALUES ('a', 'created'), ('A', 'created'), ('ä', 'CREATED')""")
    with checked(url, "collated", Columns(at=None)) as result:
        assert result.report.tasks == 3
        assert [finding.code for finding in result.findings()] == [FindingCode.UNKNOWN_STATUS]


def test_alias_with_a_nul_character_does_not_break_the_check(url: str, run: Run, log: str) -> None:
    document = V1_FULL.declaration.model_dump()
    document["aliases"] = [{"channel": "api", "status": "a\0b", "state": "running"}]
    with check_logs(
        Lifecycle.from_declaration(document, states=str, events=str), PostgresTable(url, log), channel=Channel.API
    ) as result:
        assert result.report.findings == {FindingCode.WRONG_START: 1}


# --- names and order ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "created"),
    [
        ("plain", "plain"), ("public.plain", "plain"), ("Mixed", '"Mixed"'), ("other.log", "other.log"),
        ("a.b", '"a.b"'), ("x.a.b", '"x.a"."b"'), ('it\'s "the" log; DROP TABLE plain; --', None),
        ("records", "records"), ("pair_counts", "pair_counts"), ("public.records", "records"),
        ("100%s {}", '"100%s {}"'),
    ],
)  # fmt: skip
def test_table_is_found_by_its_exact_name(url: str, run: Run, table: str, created: str | None) -> None:
    relation = created or '"' + table.replace('"', '""') + '"'
    run(f"""CREATE SCHEMA IF NOT EXISTS other; CREATE SCHEMA IF NOT EXISTS "x.a";
            CREATE TABLE {relation} AS SELECT 't'::text AS task_id, now() AS at, 'created'::text AS status""")
    try:
        with checked(f"{url}?options={quote('-c search_path=public,pg_temp')}", table) as result:
            assert (result.report.rows, result.report.is_clean) == (1, True)
        assert run(f"SELECT COUNT(*) FROM {relation}") == [(1,)]
    finally:
        run(f"DROP TABLE {relation}")


def test_columns_of_any_name_are_found(url: str, run: Run) -> None:
    name = 'it"s; DROP TABLE odd; -- %s {}'
    quoted = '"' + name.replace('"', '""') + '"'
    run(f"CREATE TABLE odd AS SELECT 't'::text AS \"Task\", 'created'::text AS {quoted}")
    with checked(url, "odd", Columns(task="Task", status=name, at=None)) as result:
        assert result.report.is_clean


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_view_is_checked_like_a_table(url: str, run: Run, log: str, kind: str) -> None:
    run(f"CREATE {kind} seen AS SELECT * FROM log WHERE status <> 'finished'")
    with checked(url, "seen") as result:
        assert (result.report.rows, result.report.is_clean) == (2, True)
    run(f"DROP {kind} seen")


def test_equal_times_are_in_the_order_in_which_the_table_lies(url: str, run: Run) -> None:
    # Big enough for several processes, and an index from which it could be read in another order.
    run("""CREATE TABLE lying AS
               SELECT (i * 7919 % 20011)::text AS task_id, 'created'::text AS status, i AS nth, repeat('x', 300) AS wide
               FROM generate_series(1, 20000) i;
           CREATE INDEX ON lying (task_id, status, nth)""")
    run("VACUUM ANALYZE lying")
    eager = (
        "-c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c debug_parallel_query=on"
    )
    found = records(f"{url}?options={quote(eager)}", "lying", Columns(at=None, sequence="nth"))
    assert [record.place for record in found] == [record.sequence for record in found] == [*range(1, 20_001)]


def test_partitioned_table_is_checked_as_one(url: str, run: Run) -> None:
    run("""CREATE TABLE parted (task_id text, at timestamptz, status text) PARTITION BY RANGE (at);
           CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
           CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
           INSERT INTO parted VALUES ('t', '2026-02-02Z', 'running'), ('t', '2026-01-02Z', 'created')""")
    with checked(url, "parted") as result:
        assert (result.report.rows, result.report.is_clean) == (2, True)


# --- what goes wrong ------------------------------------------------------------------------------


def test_table_name_that_is_not_utf8_is_refused(url: str) -> None:
    with pytest.raises(UnusableLog, match="surrogates not allowed"):
        checked(url, "\ud800")


def test_missing_columns_and_tables_are_named(url: str, log: str) -> None:
    with pytest.raises(UnusableLog, match=r"^'log': there is no column 'when', only 'task_id', 'at', 'status'"):
        checked(url, log, Columns(at="when"))
    with pytest.raises(UnusableLog, match=r"there is no table or view 'logs' in the database; was 'log' meant\?"):
        checked(url, "logs")
    with pytest.raises(UnusableLog, match="no table or view 'log; DROP TABLE log' in"):
        checked(url, "log; DROP TABLE log")
    with pytest.raises(UnusableLog, match="NUL"):
        checked(url, "log\0")


def test_an_empty_table_has_no_rows(url: str, run: Run) -> None:
    run("CREATE TABLE bare (task_id text, at timestamptz, status text)")
    with pytest.raises(UnusableLog, match="the log has no rows"):
        checked(url, "bare")


@pytest.mark.parametrize(
    "bad",
    ["mysql://u:secret@h/d", "log", "postgresql://u:sec@ret@h/d", "postgresql://u:sec/ret@h/d",
     "postgresql://u:secret@h:port/d", "postgresql://u:secret@h/d?secret", "postgresql://u:%secret@h/d",
     "host=h password='secret", "hst=h password=secret", "PASSWORD=secret"],
)  # fmt: skip
def test_invalid_url_is_refused_and_never_shown(bad: str) -> None:
    with pytest.raises(ValueError, match=r"URL|postgresql://user:password@host/database") as error:
        PostgresTable(bad, "log")
    assert "sec" not in str(error.value)
    assert "ret" not in str(error.value)
    assert error.value.__cause__ is None


def test_the_password_is_in_no_representation_and_no_message(url: str, postgres: PostgresServer) -> None:
    assert "secret" not in repr(PostgresTable("postgresql://u:secret@h/d", "log"))
    wrong = f"postgresql://postgres:secret@127.0.0.1:{postgres.port}/postgres"
    with pytest.raises(EngineFailed, match="password authentication failed") as refused:
        checked(wrong, "log")
    with pytest.raises(EngineFailed, match="refused") as closed:
        checked("postgresql://postgres:secret@127.0.0.1:1/postgres", "log")
    assert "secret" not in f"{refused.value} {closed.value}"


def test_a_server_that_is_too_old_is_refused(url: str, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 139_999)
    with pytest.raises(EngineFailed, match="PostgreSQL 14 or later is needed, this is 13"), checked(url, log):
        pass


def test_a_replica_is_refused_with_what_to_do(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    url = server.create_database()
    server.stop()
    (server.directory / "data" / "standby.signal").touch()
    server.start()

    with pytest.raises(EngineFailed, match=r"the server is a replica, .*; name its primary server"):
        checked(url, "log")


@contextmanager
def role(url: str, run: Run, name: str) -> Generator[str]:
    run(f"CREATE ROLE {name} LOGIN PASSWORD 'mine'")
    try:
        yield f"postgresql://{name}:mine@{url.rpartition('@')[2]}"
    finally:
        run(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_user_without_the_right_to_temporary_tables_gets_an_error(url: str, run: Run, log: str) -> None:
    database = url.rpartition("/")[2]
    with role(url, run, "reader") as reader:
        run(f"GRANT SELECT ON log TO reader; REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
        with pytest.raises(EngineFailed, match="permission denied to create temporary tables"):
            checked(reader, log)
        run(f"GRANT TEMPORARY ON DATABASE {database} TO PUBLIC")


def test_role_with_select_only_can_check(url: str, run: Run, log: str) -> None:
    with role(url, run, "reader") as reader:
        with pytest.raises(EngineFailed, match="permission denied for table log"):
            checked(reader, log)
        run("GRANT SELECT ON log TO reader; ALTER ROLE reader SET default_transaction_read_only = on")
        with checked(reader, log) as result:
            assert result.report.rows == 3


def test_closing_the_log_drops_tables_and_the_connection(url: str, run: Run, log: str) -> None:
    ours = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'lifecycle' AND datname = current_database()"
    tables = "SELECT COUNT(*) FROM pg_class WHERE relname IN ('records', 'pair_counts')"
    with checked(url, log):
        assert run(ours) == [(1,)]
    assert eventually(lambda: run(ours) == [(0,)])
    assert run(tables) == [(0,)]
    with pytest.raises(UnusableLog):
        checked(url, "nothing")
    assert eventually(lambda: run(ours) == [(0,)])


def test_a_connection_that_is_cut_is_reported(url: str, run: Run, log: str) -> None:
    with checked(url, log) as result:
        run("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'lifecycle' AND datname = current_database()""")
        with pytest.raises(EngineFailed, match="PostgreSQL: "):
            list(result.rejects())


def test_an_interrupt_ends_the_query_on_the_server(url: str, run: Run) -> None:
    run("CREATE OR REPLACE VIEW slow AS SELECT 't' AS task_id, now() AS at, pg_sleep(60)::text AS status")
    active = """SELECT COUNT(*) FROM pg_stat_activity
                WHERE application_name = 'lifecycle' AND state = 'active' AND datname = current_database()"""

    def interrupt() -> None:
        if eventually(lambda: run(active) == [(1,)]):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        checked(url, "slow")
    thread.join()
    assert eventually(lambda: run(active) == [(0,)])


def eventually(holds: Callable[[], bool]) -> bool:
    """Return whether it becomes true within a time that is long on any machine."""
    until_s = time.monotonic() + 30
    while not (held := holds()) and time.monotonic() < until_s:
        time.sleep(0.01)
    return held


def test_long_work_reports_progress_repeatedly(url: str, run: Run) -> None:
    run("CREATE VIEW slower AS SELECT 't' AS task_id, now() AS at, 'created' || pg_sleep(0.5)::text AS status")
    told: list[tuple[str, float | None]] = []

    def tell(doing: str, share: float | None) -> None:
        told.append((doing, share))

    with checked(url, "slower", progress=tell):
        assert told.count(("reading in PostgreSQL", None)) > 1


def test_without_psycopg_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("lifecycle_adapters.logs.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=r"task-lifecycle\[postgres\]"):
        importlib.import_module("lifecycle_adapters.logs.postgres")
