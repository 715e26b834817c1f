"""PostgreSQL, where the log is a table of it: its rows are read and counted there, and only answers come here.

All happens in one transaction that sees one moment of the table and writes nothing but temporary tables. They
are gone with the connection, which is closed with the workbench. How the server sorts is its own affair: give
it more memory by the URL, as in `?options=-c%20work_mem%3D256MB`.

Types and functions are those of PostgreSQL's manual, chapters 8 and 9.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from adapters.logs.columns import EARLIEST_US, LATEST_US, SMALLEST_MILLISECONDS, Columns, Fault, TimeForm
from adapters.logs.errors import EngineFailed, UnusableLog
from adapters.logs.records import wrong_columns
from adapters.logs.rules import Rules
from adapters.logs.source import Intake
from adapters.logs.workbench import Workbench
from lifecycle.errors import MissingExtra, nearest, shortened

try:
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import conninfo_to_dict
except ImportError:
    raise MissingExtra("postgres", needed_by="a log in PostgreSQL") from None

_BATCH = 10_000  # rows that are fetched at once
_OLDEST_SERVER = 140_000  # the first whose EXTRACT is exact
_LONGEST_DETAIL = 80  # characters

_TEXTS = ("text", "varchar", "bpchar", "name", "citext")
_WHOLE = ("int2", "int4", "int8")
_FLOATS = ("float4", "float8")
_NUMBERS = (*_WHOLE, *_FLOATS, "numeric")
_MOMENTS = ("timestamptz", "timestamp", "date")


@dataclass(frozen=True, slots=True)
class PostgresTable:
    """A table or a view of PostgreSQL 14 or later, its name as the server has it, after its schema and a point or not.

    Rows that only their place puts in order are in the order in which the server gives them: for a table, that in
    which they lie. The transaction lasts until the checked log is closed.

    Args:
        url: as a journal's, `postgresql://user:password@host/database`.
        table: its name; found by the search path where it names no schema.
    Raises:
        ValueError: that is no URL of PostgreSQL's.
    """

    url: str = field(repr=False)  # it may hold a password
    table: str

    def __post_init__(self) -> None:
        _parameters(self.url)

    def offer(self, bench: Workbench, rules: Rules, columns: Columns) -> Intake:
        """See Source."""
        bench.tell("reading in PostgreSQL", None)
        connection = _connected(self.url)
        bench.on_close(connection.close)
        engine = _Postgres(connection, bench)
        relation, types = engine.find(self.table)
        if (wrong := wrong_columns([*types], columns)) is not None:
            raise UnusableLog(f"{shortened(self.table)}: {wrong}")
        engine.make_records(_records(relation, types, columns, rules))
        return Intake(engine, (self.table,), are_files=False)


class _Postgres:
    """See Engine."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], bench: Workbench) -> None:
        if connection.info.server_version < _OLDEST_SERVER:
            raise EngineFailed(f"PostgreSQL 14 or later is needed, this is {connection.info.server_version // 10_000}")
        self._connection = connection
        self._bench = bench
        self._cursors = (f"lifecycle_{number}" for number in count())

    @property
    def name(self) -> str:
        """The engine's name and version."""
        version = self._connection.info.parameter_status("server_version") or ""
        return f"PostgreSQL {version.split(' ')[0]}"

    def keep(self, name: str, question: str) -> None:
        """See Engine."""
        self._bench.tell("counting in PostgreSQL", None)
        with _errors_told():
            made = sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS ").format(sql.Identifier(name))
            self._connection.execute(made.as_bytes(self._connection) + question.encode())

    def rows(self, question: str) -> Iterator[tuple[Any, ...]]:
        """See Engine."""
        with _errors_told(), self._connection.cursor(next(self._cursors)) as cursor:
            cursor.execute(question.encode())
            while batch := cursor.fetchmany(_BATCH):
                yield from batch

    def find(self, table: str) -> tuple[sql.Identifier, dict[str, str]]:
        """Return a relation by its full name, and the type of each of its columns; of a domain, what is under it."""
        with _errors_told():
            found = self._connection.execute(_RELATION, [table, table]).fetchone()
            if found is None:
                known = [name for (name,) in self._connection.execute(_RELATIONS)]
                hint = f"; was {shortened(close)} meant?" if (close := nearest(table, known)) else ""
                raise UnusableLog(f"there is no table or view {shortened(table)} in the database{hint}")
            oid, schema, name = found
            return sql.Identifier(schema, name), dict(self._connection.execute(_COLUMNS, [oid]).fetchall())

    def make_records(self, query: sql.Composed) -> None:
        """Make the relation `records`, a table: what a view gives, and in which order, may differ from time to time."""
        with _errors_told():
            # Ours are found first, whatever else is named so and whatever the search path is.
            self._connection.execute(_OURS_FIRST)
            self._connection.execute("SET LOCAL TimeZone = 'UTC'")
            self._connection.execute("SET LOCAL synchronize_seqscans = off")
            self._connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            self._connection.execute(sql.SQL("CREATE TEMPORARY TABLE records ON COMMIT DROP AS {}").format(query))
            self._connection.execute("RESET max_parallel_workers_per_gather")
            self._connection.execute("ANALYZE records")


_RELATION = """
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND ((c.relname = %s AND pg_table_is_visible(c.oid)) OR n.nspname || '.' || c.relname = %s)
ORDER BY pg_table_is_visible(c.oid) DESC, n.nspname LIMIT 1"""

_RELATIONS = """
SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""

_COLUMNS = """
SELECT a.attname, CASE WHEN t.typtype = 'e' THEN 'enum' ELSE t.typname END
FROM pg_attribute a
JOIN pg_type own ON own.oid = a.atttypid
JOIN pg_type t ON t.oid = CASE WHEN own.typtype = 'd' THEN own.typbasetype ELSE own.oid END
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"""

_OURS_FIRST = """
SELECT set_config('search_path', concat_ws(', ', 'pg_temp', NULLIF(current_setting('search_path'), '')), true)"""

# --- reaching it ----------------------------------------------------------------------------------


def _parameters(url: str) -> dict[str, Any]:
    """What a URL says, as libpq takes it. Messages show no part of it: it may be one of the password."""
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("a table's URL begins with postgresql://")
    try:
        parameters = conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.Error:
        parameters = {"host": "@"}
    port = str(parameters.get("port", ""))
    if any("@" in str(parameters.get(name)) for name in ("host", "dbname")) or port.strip(",0123456789"):
        raise ValueError("that is no URL of a database; in its user and password, '@', ':' and '/' are percent-encoded")
    return parameters


def _connected(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    usual = {"connect_timeout": 10, "keepalives_idle": 10, "fallback_application_name": "lifecycle"}
    parameters: dict[str, Any] = {**usual, **_parameters(url), "client_encoding": "utf8"}
    with _errors_told():
        # Statements are not prepared: a pooler between may not know them again.
        connection = psycopg.connect(prepare_threshold=None, **parameters)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = False  # else not even a temporary table could be made
    return connection


@contextmanager
def _errors_told() -> Generator[None]:
    try:
        yield
    except (psycopg.DataError, UnicodeDecodeError) as error:
        raise UnusableLog(f"PostgreSQL: {_first_line(error)}") from error
    except psycopg.Error as error:
        raise EngineFailed(f"PostgreSQL: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# --- from its columns to `records` ----------------------------------------------------------------


def _records(relation: sql.Identifier, types: dict[str, str], columns: Columns, rules: Rules) -> sql.Composed:
    """The query that makes `records`.

    The innermost query is answered row by row, since it numbers the rows, and so is the next by its OFFSET: what
    they compute is computed once, however often it is used further out.
    """
    time = _time(columns, types)
    parts = {
        "place": sql.SQL("row_number() OVER ()"),
        "task": _text(columns.task, types, (*_TEXTS, *_WHOLE, "uuid", "enum"), "an id"),
        "status": _text(columns.status, types, (*_TEXTS, "enum"), "a status"),
        "sequence": _sequence(columns.sequence, types),
        **time.taken,
    }
    chosen = sql.SQL(", ").join(sql.SQL("{} AS {}").format(each, sql.Identifier(name)) for name, each in parts.items())
    words = ((code, word) for code, word in enumerate(rules.words) if "\0" not in word)  # which no text here can hold
    cases = sql.SQL(" ").join(sql.SQL("WHEN {} THEN {}").format(word, code) for code, word in words)
    return sql.SQL("""
SELECT task, CASE WHEN us BETWEEN {earliest} AND {latest} THEN us::bigint END AS at_us, sequence, place, status,
       CASE status {cases} END AS word, form, fault,
       CASE WHEN fault IN ({bad_time}, {out_of_range})
            THEN CASE WHEN length("at"::text) <= {longest} THEN "at"::text
                      ELSE left("at"::text, {longest} - 3) || '...' END END AS detail
FROM (SELECT *, CASE WHEN task IS NULL THEN {no_task}
                     WHEN status IS NULL THEN {no_status}
                     WHEN "at" IS NULL THEN {no_time}
                     WHEN us IS NULL THEN {bad_time}
                     WHEN us NOT BETWEEN {earliest} AND {latest} THEN {out_of_range}
                     WHEN sequence IS NULL THEN {no_sequence} END AS fault
      FROM (SELECT *, {us} AS us, {form} AS form FROM (SELECT {chosen} FROM {relation}) numbered OFFSET 0) timed
     ) judged""").format(
        us=time.us,
        form=time.form,
        chosen=chosen,
        relation=relation,
        cases=cases,
        earliest=EARLIEST_US,
        latest=LATEST_US,
        longest=_LONGEST_DETAIL,
        no_task=str(Fault.NO_TASK),
        no_status=str(Fault.NO_STATUS),
        no_time=str(Fault.NO_TIME),
        bad_time=str(Fault.BAD_TIME),
        out_of_range=str(Fault.TIME_OUT_OF_RANGE),
        no_sequence=str(Fault.NO_SEQUENCE),
    )


def _refused(name: str, kind: str, what: str) -> UnusableLog:
    return UnusableLog(f"column {shortened(name)} is of type {kind}, which cannot hold {what}")


def _text(name: str | None, types: dict[str, str], fitting: tuple[str, ...], what: str) -> sql.Composable:
    """An id or a status, compared byte by byte whatever the collation of its column; NULL where it is empty."""
    if name is None:
        return sql.SQL("''")
    if types[name] not in fitting:
        raise _refused(name, types[name], what)
    return sql.SQL("NULLIF({}::text COLLATE \"C\", '')").format(sql.Identifier(name))


def _sequence(name: str | None, types: dict[str, str]) -> sql.Composable:
    if name is None:
        return sql.SQL("0::bigint")
    if types[name] not in _WHOLE:
        raise _refused(name, types[name], "a sequence: whole numbers")
    return sql.SQL("{}::bigint").format(sql.Identifier(name))


@dataclass(frozen=True, slots=True)
class _Time:
    """Expressions of a time: what is `taken` of its column, by name, and of that the microseconds and the form.

    The microseconds are a numeric, which may be out of range, and NULL where they are none.
    """

    taken: dict[str, sql.Composable]
    us: sql.Composable
    form: sql.Composable


def _time(columns: Columns, types: dict[str, str]) -> _Time:
    if columns.at is None:
        return _Time({"at": sql.SQL("''")}, sql.SQL("0"), sql.SQL("NULL::text"))
    column, kind = sql.Identifier(columns.at), types[columns.at]
    if kind in _MOMENTS:
        return _Time(
            {"at": column}, sql.SQL('EXTRACT(EPOCH FROM "at") * 1000000'), sql.Literal(str(TimeForm.TIMESTAMP))
        )
    number: sql.Composable = sql.SQL("NULL::numeric")
    iso: sql.Composable = sql.SQL("NULL::text[]")
    if kind in _NUMBERS:
        at = sql.SQL("{}::{}").format(column, sql.SQL("float8" if kind in _FLOATS else "numeric"))
        number = sql.SQL("CASE WHEN {at} NOT IN ('NaN', 'Infinity', '-Infinity') THEN {at} END").format(at=at)
    elif kind in (*_TEXTS, "enum"):
        at = sql.SQL("NULLIF({}::text COLLATE \"C\", '')").format(column)
        number = sql.SQL(_NUMBER_OF_TEXT).format(at=at, number=_NUMBER, short=_NUMBER_SHORT)
        iso = sql.SQL("regexp_match({}, {})").format(at, _ISO)
    else:
        raise _refused(columns.at, kind, "a time")
    if columns.time not in (None, TimeForm.SECONDS, TimeForm.MILLISECONDS):
        number = sql.SQL("NULL::numeric")
    if columns.time not in (None, TimeForm.ISO, TimeForm.ISO_NAIVE):
        iso = sql.SQL("NULL::text[]")
    is_small = {
        None: sql.SQL("abs(number) < {}").format(SMALLEST_MILLISECONDS),
        TimeForm.SECONDS: sql.SQL("true"),
    }.get(columns.time, sql.SQL("false"))
    of_number = sql.SQL(_US_OF_FLOAT if kind in _FLOATS else _US_OF_NUMBER).format(is_small=is_small)
    forms = {form.name: sql.Literal(str(form)) for form in TimeForm}
    return _Time(
        {"at": at, "number": number, "iso": iso},
        us=sql.SQL(_US).format(of_number=of_number),
        form=sql.SQL(_FORM).format(is_small=is_small, **forms),
    )


# What is a time and what is none is as records.py has it for DuckDB. Nothing here may fail, whatever the server does
# first: all that matches is a time but for the last days of a month, and a number that is too long is infinite.
_NUMBER = r"^[-+]?[0-9]+(\.[0-9]*)?([Ee][-+]?[0-9]+)?$"
_NUMBER_SHORT = r"^[-+]?[0-9]{1,200}(\.[0-9]{0,200})?([Ee][-+]?[0-9]{1,3})?$"
# Digits beyond microseconds are cut off, but with an exponent they are rounded, as by DuckDB.
_NUMBER_OF_TEXT = """
CASE WHEN {at} ~ {short} THEN CASE WHEN {at} ~ '[Ee]' THEN round({at}::numeric, 6) ELSE {at}::numeric END
     WHEN {at} ~ {number} THEN 'Infinity'::numeric END"""
_ISO = (
    r"^([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"(?:[Tt ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:[.,]([0-9]+))?)?"
    r"([Zz]|([-+])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?)?$"
)
_DAY = "(make_date(COALESCE(NULLIF(iso[1]::int, 0), -1), iso[2]::int, 1) + (iso[3]::int - 1))"  # the year 0 is 1 BC
_US_OF_ISO = f"""
CASE WHEN EXTRACT(MONTH FROM {_DAY}) = iso[2]::int
     THEN (({_DAY} - DATE '1970-01-01') * 86400::numeric
           + COALESCE(iso[4]::int * 3600 + iso[5]::int * 60, 0) + COALESCE(iso[6]::int, 0)
           - COALESCE((iso[9] || '1')::int * (iso[10]::int * 3600 + COALESCE(iso[11]::int, 0) * 60), 0)) * 1000000
          + COALESCE(left(rpad(iso[7], 6, '0'), 6)::int, 0) END"""
_US = f"CASE WHEN iso IS NULL THEN {{of_number}} ELSE {_US_OF_ISO} END"
_FORM = """
CASE WHEN number IS NOT NULL THEN CASE WHEN {is_small} THEN {SECONDS} ELSE {MILLISECONDS} END
     WHEN iso[8] IS NULL THEN {ISO_NAIVE} ELSE {ISO} END"""
_US_OF_NUMBER = "trunc(number * CASE WHEN {is_small} THEN 1000000 ELSE 1000 END)"
# Halves are rounded away from zero, as DuckDB does; of a float, `round` would take the even one.
_SCALED = "(number * CASE WHEN {is_small} THEN 1e6::float8 ELSE 1e3::float8 END)"
_US_OF_FLOAT = f"""
CASE WHEN number IS NULL THEN NULL
     WHEN abs(number) < CASE WHEN {{is_small}} THEN 1e12 ELSE 1e15 END
     THEN (trunc({_SCALED}) + trunc(2 * ({_SCALED} - trunc({_SCALED}))))::bigint::numeric
     ELSE 'Infinity'::numeric END"""
