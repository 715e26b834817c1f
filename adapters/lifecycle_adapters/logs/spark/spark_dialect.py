"""Spark's SQL, and `records` of a DataFrame.

Nothing depends on the session's time zone, on `spark.sql.ansi.enabled`, or on how the session parses backslashes: times
become integers at once, expressions that may fail are `try_` functions, and a text that is not plain is written as
bytes.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from lifecycle_adapters.logs.columns import Columns
from lifecycle_adapters.logs.dialect import Dialect, Kind, us_of_iso_parts
from lifecycle_adapters.logs.records import LogColumn, parts_of, records
from lifecycle_adapters.logs.rules import Rules

_DAY_US = 86_400_000_000


def _literal(text: str) -> str:
    is_plain = text.isascii() and text.isprintable() and not {*text} & {*"'\\{}"}
    return f"'{text}'" if is_plain else f"CAST(X'{text.encode().hex()}' AS STRING)"


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _matches(text: str, pattern: str) -> str:
    whole = rf"\A({pattern})\z"  # `$` would also match before a newline at the end
    return f"{text} RLIKE {_literal(whole)}"


def _group(text: str, pattern: str, number: int) -> str:
    return f"regexp_extract({text}, {_literal(pattern)}, {number})"


def _us_of_timestamp(cell: str, type_name: str) -> str:
    if type_name in ("timestamp", "timestamp_ltz"):
        return f"unix_micros({cell})"
    # Every other function for the microseconds of a time without a zone takes the session's zone.
    day_us = f"try_multiply(CAST(unix_date(CAST({cell} AS DATE)) AS BIGINT), {_DAY_US})"
    if type_name == "date":
        return day_us
    seconds = f"hour({cell}) * 3600 + minute({cell}) * 60 + extract(SECOND FROM {cell})"
    return f"{day_us} + CAST(({seconds}) * 1000000 AS BIGINT)"


_day = "CAST(unix_date(TRY_CAST(left({}, 10) AS DATE)) AS BIGINT)".format
_integer = "TRY_CAST({} AS BIGINT)".format

SPARK = Dialect(
    name="Spark",
    kinds={
        Kind.TEXT: "(string|char|varchar).*",
        Kind.INTEGER: "tinyint|smallint|int|bigint",
        Kind.WIDE_INTEGER: r"decimal\(\d+,0\)",
        Kind.DECIMAL: r"decimal\(.*\)",
        Kind.FLOAT: "float|double",
        Kind.TIMESTAMP: "timestamp(_ltz|_ntz)?|date",
    },
    literal=_literal,
    identifier=_identifier,
    text_type="STRING",
    float_type="DOUBLE",
    text="CAST({} AS STRING)".format,
    shown=lambda cell, _: f"CAST({cell} AS STRING)",
    matches=_matches,
    integer=_integer,
    decimal="TRY_CAST({} AS DECIMAL(26, 6))".format,
    truncated=_integer,
    rounded="CAST(round({}) AS BIGINT)".format,
    us_of_timestamp=_us_of_timestamp,
    us_of_iso=lambda text: us_of_iso_parts(text, day=_day, integer=_integer, group=_group),
)


def column(name: str) -> Column:
    """Return a column by its literal name, whatever characters it has."""
    return fn.col(_identifier(name))


def records_of(frame: DataFrame, columns: Columns, rules: Rules, *, place: Column) -> DataFrame:
    """Return `records` of a frame.

    Args:
        columns: the names of the columns; each one exists once.
        place: a row's place.
    """
    names = parts_of(columns)
    taken = frame.select(*(column(name).alias(part) for part, name in names.items()), place.alias("place"))
    types = {field.name: field.dataType.simpleString() for field in taken.schema.fields}
    parts = {part: LogColumn(_identifier(part), types[part]) for part in names}
    return frame.sparkSession.sql(records("{log}", parts, columns, rules, SPARK, place="place"), None, log=taken)
