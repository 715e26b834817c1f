"""DuckDB's SQL.

DuckDB reads more texts as times than a log may hold ("infinity", "2026-1-1", "10:30 Europe/Berlin"). None gets here,
because every text is compared with a regular expression first: by records.py, and by time_patterns.py if it is read by
a pattern.
"""

from __future__ import annotations

from lifecycle_adapters.logs.dialect import Dialect, Kind
from lifecycle_adapters.logs.duckdb_session import identifier, literal
from lifecycle_adapters.logs.time_patterns import duckdb_patterns, shape_of


def _us_of_timestamp(cell: str, type_name: str) -> str:
    if type_name.endswith("_NS"):  # DuckDB's own cast would round
        return _us_of_ns(f"epoch_ns({cell})")
    # Dates, and times in seconds or milliseconds, reach further than microseconds of 64 bits.
    is_wide = type_name in ("DATE", "TIMESTAMP_S", "TIMESTAMP_MS")
    return f"epoch_us(TRY_CAST({cell} AS TIMESTAMP))" if is_wide else f"epoch_us({cell})"


def _shown(cell: str, type_name: str) -> str:
    text = f"CAST({cell} AS VARCHAR)"
    kind = DUCKDB.kind(type_name)
    if "TIMESTAMP" not in type_name or kind not in (Kind.TIMESTAMP, Kind.OTHER):
        return text
    # DuckDB cannot convert a time beyond its own years to text: the error, which TRY does not catch, makes the whole
    # database unusable.
    if kind is Kind.OTHER:  # a list of times
        return f"CASE WHEN {cell} IS NOT NULL THEN {literal(f'a value of type {type_name}')} END"
    us = _us_of_timestamp(cell, type_name)
    is_infinite = f"{cell} IN (CAST('infinity' AS {type_name}), CAST('-infinity' AS {type_name}))"
    # DuckDB also computes a cast for rows that its branch of a CASE leaves out; a NULL in its operand is harmless.
    can_be_written = f"{us} BETWEEN -{_SHOWN_US} AND {_SHOWN_US} OR {is_infinite}"
    return f"""CASE WHEN {can_be_written} THEN CAST(CASE WHEN {can_be_written} THEN {cell} END AS VARCHAR)
                    WHEN {cell} IS NOT NULL THEN 'more than 290,000 years from 1970' END"""


_SHOWN_US = 9_200_000_000_000_000_000  # some 291,500 years

# Before 1970 DuckDB's division rounds up.
_us_of_ns = "{0} // 1000 - CASE WHEN {0} % 1000 < 0 THEN 1 ELSE 0 END".format

# Few logs write "t", "z" or a comma, and DuckDB accepts none of them.
_us_of_iso = """
epoch_us(COALESCE(TRY_CAST({0} AS TIMESTAMPTZ), TRY_CAST(translate({0}, 'tz,', 'TZ.') AS TIMESTAMPTZ)))""".format

text_of_bytes = "TRY(decode({}))".format
"""The text of bytes in UTF-8; NULL for other bytes."""


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def _us_of_pattern(text: str, pattern: str) -> str:
    us = f"epoch_us(TRY_STRPTIME({text}, [{', '.join(map(literal, duckdb_patterns(pattern)))}]))"
    return f"CASE WHEN {_matches(text, shape_of(pattern))} THEN {us} END"


DUCKDB = Dialect(
    name="DuckDB",
    kinds={
        Kind.TEXT: r"VARCHAR|ENUM\(.*\)",
        Kind.JSON: "JSON",
        Kind.UUID: "UUID",
        Kind.INTEGER: "U?(TINYINT|SMALLINT|INTEGER)|BIGINT",
        Kind.WIDE_INTEGER: r"UBIGINT|U?HUGEINT|BIGNUM|DECIMAL\(\d+,0\)",
        Kind.DECIMAL: r"DECIMAL\(.*\)",
        Kind.FLOAT: "FLOAT|DOUBLE",
        Kind.TIMESTAMP: "DATE|TIMESTAMP(_S|_MS|_NS| WITH TIME ZONE)?|TIMESTAMPTZ_NS",
    },
    literal=literal,
    identifier=identifier,
    text_type="VARCHAR",
    float_type="DOUBLE",
    text="CAST({} AS VARCHAR)".format,
    shown=_shown,
    matches=_matches,
    integer="TRY_CAST({} AS BIGINT)".format,
    decimal="TRY_CAST({} AS DECIMAL(26, 6))".format,
    truncated="TRY_CAST(trunc({}) AS BIGINT)".format,
    rounded="CAST(round({}) AS BIGINT)".format,
    us_of_timestamp=_us_of_timestamp,
    us_of_iso=_us_of_iso,
    us_of_pattern=_us_of_pattern,
    us_of_ns=_us_of_ns,
    reads_every_time_form=True,
)
