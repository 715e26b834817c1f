"""PostgreSQL's SQL, by chapters 8 and 9 of its manual, and the types that the columns of a log in it may have.

Texts are compared byte by byte (COLLATE "C"), in every collation of their column.
"""

from __future__ import annotations

from collections.abc import Mapping

from lifecycle.errors import shortened
from lifecycle_adapters.logs.dialect import Dialect, Kind, us_of_iso_parts
from lifecycle_adapters.logs.duckdb_session import identifier
from lifecycle_adapters.logs.log_errors import UnusableLog
from lifecycle_adapters.logs.records import LogColumn

# More digits than these are out of any range, and with more of them in an exponent the cast would be an error.
_SHORT_NUMBER = "[+-]?[0-9]{1,200}([.][0-9]{0,200})?([Ee][+-]?[0-9]{1,3})?"


def _literal(text: str) -> str:
    if "\0" in text:  # no text of a server can hold it, so nothing may equal it
        return "NULL"
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _matches(text: str, pattern: str) -> str:
    return f"{text} ~ '^({pattern})$'"


def _day(text: str) -> str:
    year, month, day = (f"CAST(substr({text}, {first}, {size}) AS int)" for first, size in ((1, 4), (6, 2), (9, 2)))
    date = f"(make_date(COALESCE(NULLIF({year}, 0), -1), {month}, 1) + ({day} - 1))"  # the year 0 is 1 BC
    return f"CASE WHEN EXTRACT(MONTH FROM {date}) = {month} THEN CAST({date} - DATE '1970-01-01' AS bigint) END"


def _group(text: str, pattern: str, number: int) -> str:
    return f"(regexp_match({text}, '{pattern}'))[{number}]"


_integer = "CAST(NULLIF({}, '') AS bigint)".format
_in_64_bits = f"CASE WHEN {{0}} BETWEEN {-(2**63)} AND {2**63 - 1} THEN CAST({{0}} AS bigint) END".format  # not NaN
_truncated = "CASE WHEN abs({0}) < 9000000000000000000 THEN CAST(trunc({0}) AS bigint) END".format

POSTGRES = Dialect(
    name="PostgreSQL",
    kinds={
        Kind.TEXT: "text|varchar|bpchar|name|citext|enum",
        Kind.UUID: "uuid",
        Kind.INTEGER: "int[248]",
        Kind.WIDE_INTEGER: r"numeric\(\d+,(0|-\d+)\)",
        Kind.DECIMAL: r"numeric(\(.*\))?",
        Kind.FLOAT: "float[48]",
        Kind.TIMESTAMP: "timestamptz|timestamp|date",
    },
    literal=_literal,
    identifier=identifier,
    text_type="text",
    float_type="float8",
    fence="OFFSET 0",
    text='CAST({} AS text) COLLATE "C"'.format,
    shown=lambda cell, _: f'CAST({cell} AS text) COLLATE "C"',
    matches=_matches,
    integer=_in_64_bits,
    decimal=lambda text: f"CASE WHEN {_matches(text, _SHORT_NUMBER)} THEN round(CAST({text} AS numeric), 6) END",
    truncated=_truncated,
    # `round` would round halves to the nearest even number.
    rounded="CAST(trunc({0}) + trunc(2 * ({0} - trunc({0}))) AS bigint)".format,
    us_of_timestamp=lambda cell, _: _truncated(f"(EXTRACT(EPOCH FROM {cell}) * 1000000)"),
    us_of_iso=lambda text: us_of_iso_parts(text, day=_day, integer=_integer, group=_group),
)

# The kinds of columns that may hold each part of a record, and the name of the part in messages.
_FITTING: Mapping[str, tuple[frozenset[Kind], str]] = {
    "task": (frozenset({Kind.TEXT, Kind.INTEGER, Kind.WIDE_INTEGER, Kind.UUID}), "an id"),
    "status": (frozenset({Kind.TEXT}), "a status"),
    "at": (
        frozenset({Kind.TEXT, Kind.INTEGER, Kind.WIDE_INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.TIMESTAMP}),
        "a time",
    ),
    "sequence": (frozenset({Kind.INTEGER, Kind.WIDE_INTEGER}), "a sequence: whole numbers"),
}


def fitting_columns(names: Mapping[str, str], types: Mapping[str, str]) -> dict[str, LogColumn]:
    """Return the column of each part of a record.

    Args:
        names: the name of the column of each part.
        types: the type of each column of the table.
    Raises:
        UnusableLog: a column is of a type that cannot hold its part.
    """
    for part, name in names.items():
        fitting, what = _FITTING[part]
        if POSTGRES.kind(types[name]) not in fitting:
            raise UnusableLog(f"column {shortened(name)} is of type {types[name]}, which cannot hold {what}")
    return {part: LogColumn(_cell(part, name, types[name]), types[name]) for part, name in names.items()}


def _cell(part: str, name: str, type_name: str) -> str:
    # NaN is the only value of such a type that is not a whole number; as a time it is judged by its text.
    may_be_nan = part != "at" and POSTGRES.kind(type_name) is Kind.WIDE_INTEGER
    return f"NULLIF({identifier(name)}, 'NaN')" if may_be_nan else identifier(name)
