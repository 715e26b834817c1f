"""From a table's own columns to `records` (see queries.py), in PostgreSQL's SQL: ids, times and faults by type.

What a time may look like, and what is wrong with a row, is as records.py beside this package has it for DuckDB.
Types and functions are those of PostgreSQL's manual, chapters 8 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from lifecycle.errors import shortened
from lifecycle_adapters.logs.columns import (
    EARLIEST_US,
    LATEST_US,
    LONGEST_DETAIL,
    SMALLEST_MILLISECONDS,
    Columns,
    RejectReason,
    TimeForm,
)
from lifecycle_adapters.logs.log_errors import UnusableLog
from lifecycle_adapters.logs.rules import Rules

_TEXTS = ("text", "varchar", "bpchar", "name", "citext", "enum")
_WHOLE = ("int2", "int4", "int8")
_FLOATS = ("float4", "float8")
_NUMBERS = (*_WHOLE, *_FLOATS, "numeric")
_MOMENTS = ("timestamptz", "timestamp", "date")


def records(relation: sql.Identifier, types: dict[str, str], columns: Columns, rules: Rules) -> sql.Composed:
    """Return the query that makes `records`.

    Args:
        relation: the table.
        types: the name of the type of each of its columns; "enum" for every enumeration.
        columns: which column holds what; each named one is in `types`.
        rules: whose words the statuses are.
    Raises:
        UnusableLog: a column is of a type that cannot hold what it should.
    """
    # The innermost query is answered row by row, since it numbers the rows, and so is the next by its OFFSET:
    # what they compute is computed once, however often it is used further out.
    time = _time(columns, types)
    parts = {
        "place": sql.SQL("row_number() OVER ()"),
        "task": _text(columns.task, types, (*_TEXTS, *_WHOLE, "uuid"), "an id"),
        "status": _text(columns.status, types, _TEXTS, "a status"),
        "sequence": _sequence(columns.sequence, types),
        **time.taken,
    }
    chosen = sql.SQL(", ").join(sql.SQL("{} AS {}").format(each, sql.Identifier(name)) for name, each in parts.items())
    words = ((code, word) for code, word in enumerate(rules.words) if "\0" not in word)  # which no text here can hold
    when = sql.SQL("WHEN lower({}) THEN {}" if rules.ignore_case else "WHEN {} THEN {}")
    cases = sql.SQL(" ").join(when.format(word, code) for code, word in words)
    return sql.SQL("""
SELECT task, CASE WHEN us BETWEEN {earliest} AND {latest} THEN us::bigint END AS at_us, sequence, place, status,
       CASE {status} {cases} END AS word, form, fault,
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
        status=sql.SQL("lower(status)" if rules.ignore_case else "status"),
        cases=cases,
        earliest=EARLIEST_US,
        latest=LATEST_US,
        longest=LONGEST_DETAIL,
        no_task=str(RejectReason.NO_TASK),
        no_status=str(RejectReason.NO_STATUS),
        no_time=str(RejectReason.NO_TIME),
        bad_time=str(RejectReason.BAD_TIME),
        out_of_range=str(RejectReason.TIME_OUT_OF_RANGE),
        no_sequence=str(RejectReason.NO_SEQUENCE),
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
class _PostgresTime:
    """Expressions of a time: what is `taken` of its column, by name, and of that the microseconds and the form.

    The microseconds are a numeric, which may be out of range, and NULL where they are none.
    """

    taken: dict[str, sql.Composable]
    us: sql.Composable
    form: sql.Composable


def _time(columns: Columns, types: dict[str, str]) -> _PostgresTime:
    if columns.at is None:
        return _PostgresTime({"at": sql.SQL("''")}, sql.SQL("0"), sql.SQL("NULL::text"))
    columns.require_usual_times("PostgreSQL")
    column, kind = sql.Identifier(columns.at), types[columns.at]
    if kind in _MOMENTS:
        return _PostgresTime(
            {"at": column}, sql.SQL('EXTRACT(EPOCH FROM "at") * 1000000'), sql.Literal(str(TimeForm.TIMESTAMP))
        )
    number: sql.Composable = sql.SQL("NULL::numeric")
    iso: sql.Composable = sql.SQL("NULL::text[]")
    if kind in _NUMBERS:
        at = sql.SQL("{}::{}").format(column, sql.SQL("float8" if kind in _FLOATS else "numeric"))
        number = sql.SQL("CASE WHEN {at} NOT IN ('NaN', 'Infinity', '-Infinity') THEN {at} END").format(at=at)
    elif kind in _TEXTS:
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
    return _PostgresTime(
        {"at": at, "number": number, "iso": iso},
        us=sql.SQL(_US).format(of_number=of_number),
        form=sql.SQL(_FORM).format(is_small=is_small, **forms),
    )


# Nothing here may fail, whatever the server does first: all that matches is a time but for the last days of a month,
# and a number that is too long is infinite.
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
