"""From a log's own columns to `records` (see queries.py), in DuckDB's SQL: ids, times and faults by column type.

What an id, a status and a time may look like is decided here, once for everything that DuckDB reads. Texts
and JSON values keep their type until here; files are opened elsewhere (files.py).

A time as a text is ISO 8601 in its extended form: a date alone, or with hours and minutes at least; digits
beyond microseconds are cut off. What DuckDB takes besides ("infinity", "2026-1-1", "10:30 Europe/Berlin") never
shows, since a regular expression looks at every text first. There are no leap seconds (23:59:60), as in
Python and in Unix time: one would come after the second that follows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lifecycle_adapters.logs.columns import (
    EARLIEST_US,
    ISO,
    ISO_NAIVE,
    LATEST_US,
    LONGEST_DETAIL,
    NUMBER,
    NUMBER_TOO_LONG,
    SMALLEST_MILLISECONDS,
    WHOLE,
    Columns,
    RejectReason,
    TimeForm,
)
from lifecycle_adapters.logs.duckdb_session import identifier, literal
from lifecycle_adapters.logs.rules import Rules

_PARTS = ("task", "at", "status", "sequence")

_JSON_NULL = r"\s*null\s*"

_CLOCKS = {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
_WIDE_CLOCKS = {"DATE", "TIMESTAMP_S", "TIMESTAMP_MS"}  # reach further than microseconds of 64 bits
_NANOSECOND_CLOCKS = {"TIMESTAMP_NS", "TIMESTAMPTZ_NS"}
_FLOATS = {"FLOAT", "DOUBLE"}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_WIDE_INTEGERS = {"UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"}  # do not fit into a BIGINT


def records(relation: str, types: Mapping[str, str], columns: Columns, rules: Rules, *, place: str) -> str:
    """Return the query that makes `records` of a relation.

    Args:
        relation: what stands behind FROM.
        types: DuckDB's type of each of its columns, by name.
        columns: which column holds what; each named one is in `types`.
        place: the expression of a row's place.
    """
    time = _time(columns, types)
    return f"""
SELECT task, at_us, sequence, place, status, {word_of("status", rules)} AS word, form, fault, {_DETAIL} AS detail
FROM (SELECT *, {_fault(time)} AS fault
      FROM (SELECT *, {time.us} AS at_us
            FROM (SELECT *, {time.form} AS form
                  FROM (SELECT {_task(columns, types)} AS task, {_status(columns, types)} AS status,
                               {time.moment} AS moment, {_sequence(columns, types)} AS sequence, {place} AS place,
                               {_given(columns)}
                        FROM {relation}) read) recognised) timed) judged"""


def word_of(status: str, rules: Rules) -> str:
    """Return the expression of a status's code."""
    folded = "lower({})" if rules.ignore_case else "{}"
    words = (folded.format(literal(word)) for word in rules.words)
    cases = " ".join(f"WHEN {word} THEN {code}" for code, word in enumerate(words))
    return f"CASE {folded.format(status)} {cases} END"


def parts_of(columns: Columns) -> dict[str, str]:
    """Return the name of the column that holds each part of a record, for those parts that a column holds."""
    names = zip(_PARTS, (columns.task, columns.at, columns.status, columns.sequence), strict=True)
    return {part: name for part, name in names if name is not None}


def named_for_parts(columns: Columns) -> Columns:
    """Return the columns of a relation that gave each the name of the part it holds."""
    task, at, status, sequence = (part if part in parts_of(columns) else None for part in _PARTS)
    assert status is not None
    return replace(columns, task=task, at=at, status=status, sequence=sequence)


# --- ids, statuses, sequences ------------------------------------------------------------------


def _task(columns: Columns, types: Mapping[str, str]) -> str:
    if columns.task is None:
        return "''"
    name, kind = identifier(columns.task), types[columns.task]
    if _is_text(kind) or _is_whole(kind) or kind == "UUID":
        return f"NULLIF({name}::VARCHAR, '')"
    return f"NULLIF({_json(name, numbers=WHOLE)}, '')" if kind == "JSON" else "NULL::VARCHAR"


def _status(columns: Columns, types: Mapping[str, str]) -> str:
    name, kind = identifier(columns.status), types[columns.status]
    if _is_text(kind):
        return f"NULLIF({name}::VARCHAR, '')"
    return f"NULLIF({_json(name, numbers=None)}, '')" if kind == "JSON" else "NULL::VARCHAR"


def _sequence(columns: Columns, types: Mapping[str, str]) -> str:
    if columns.sequence is None:
        return "0::BIGINT"
    name, kind = identifier(columns.sequence), types[columns.sequence]
    if _is_whole(kind):
        return f"TRY_CAST({name} AS BIGINT)"
    if not (_is_text(kind) or kind == "JSON"):
        return "NULL::BIGINT"
    text = _json(name, numbers=WHOLE) if kind == "JSON" else f"{name}::VARCHAR"
    return f"CASE WHEN {_matches(text, WHOLE)} THEN TRY_CAST({text} AS BIGINT) END"


def _is_text(kind: str) -> bool:
    return kind == "VARCHAR" or kind.startswith("ENUM(")


def _is_whole(kind: str) -> bool:
    return kind in _INTEGERS or kind in _WIDE_INTEGERS or re.fullmatch(r"DECIMAL\(\d+,0\)", kind) is not None


def _json(name: str, *, numbers: str | None) -> str:
    """The text of a JSON string, the digits of a number that looks so, and NULL for all else."""
    text = rf"trim({name}::VARCHAR, E' \t\r\n')"
    number = "" if numbers is None else f"WHEN {_matches(text, numbers)} THEN {text} "
    return f"CASE WHEN starts_with({text}, '\"') THEN {name} ->> '$' {number}END"


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


# --- times -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TimeColumn:
    """Expressions, each over what those before it made.

    Attributes:
        moment: the time as it is given, in a type that the others understand.
        form: the `TimeForm`; NULL where it has none.
        us: the microseconds; NULL where there are none.
        is_missing: whether there is no time at all; None in a log that has no times.
    """

    moment: str
    form: str
    us: str
    is_missing: str | None


def _time(columns: Columns, types: Mapping[str, str]) -> _TimeColumn:
    if columns.at is None:
        return _TimeColumn("NULL", "NULL::VARCHAR", "0::BIGINT", None)
    name, kind = identifier(columns.at), types[columns.at]
    nothing = "given_at IS NULL"
    if kind in _CLOCKS:
        return _TimeColumn(name, literal(TimeForm.TIMESTAMP), "epoch_us(moment)", nothing)
    if kind in _WIDE_CLOCKS:
        return _TimeColumn(f"TRY_CAST({name} AS TIMESTAMP)", literal(TimeForm.TIMESTAMP), "epoch_us(moment)", nothing)
    if kind in _NANOSECOND_CLOCKS:
        # Cut off as of a text; DuckDB itself would round, and its division goes towards 1970.
        return _TimeColumn(name, literal(TimeForm.TIMESTAMP), _us_of_ns("epoch_ns(moment)"), nothing)
    if kind in _INTEGERS:
        small = f"moment > -{SMALLEST_MILLISECONDS} AND moment < {SMALLEST_MILLISECONDS}"
        us = _by_form({
            TimeForm.SECONDS: "TRY(moment * 1000000)", TimeForm.MILLISECONDS: "TRY(moment * 1000)",
            TimeForm.MICROSECONDS: "moment", TimeForm.NANOSECONDS: _us_of_ns("moment"),
        })  # fmt: skip
        return _TimeColumn(
            f"{name}::BIGINT", f"CASE WHEN moment IS NOT NULL THEN {_number(columns, small)} END", us, nothing
        )
    if kind in _FLOATS:
        small = f"abs(moment) < {SMALLEST_MILLISECONDS}"
        us = _by_form({
            TimeForm.SECONDS: _rounded("moment * 1e6"), TimeForm.MILLISECONDS: _rounded("moment * 1e3"),
            TimeForm.MICROSECONDS: _rounded("moment"), TimeForm.NANOSECONDS: _rounded("moment / 1e3"),
        })  # fmt: skip
        return _TimeColumn(
            f"{name}::DOUBLE", f"CASE WHEN isfinite(moment) THEN {_number(columns, small)} END", us, nothing
        )
    if kind == "JSON":
        nothing = f"given_at IS NULL OR moment = '' OR {_matches('given_at::VARCHAR', _JSON_NULL)}"
        return _TimeColumn(_json(name, numbers=NUMBER), _form_of_text(columns), _us_of_text(columns), nothing)
    if _is_text(kind) or kind in _WIDE_INTEGERS or kind.startswith("DECIMAL("):
        nothing = "given_at IS NULL OR moment = ''"
        return _TimeColumn(f"{name}::VARCHAR", _form_of_text(columns), _us_of_text(columns), nothing)
    return _TimeColumn("NULL", "NULL::VARCHAR", "NULL::BIGINT", nothing)


def _number(columns: Columns, small: str) -> str:
    """The form of a number; `small` says whether it may be in seconds."""
    match columns.time:
        case None:
            return f"CASE WHEN {small} THEN {literal(TimeForm.SECONDS)} ELSE {literal(TimeForm.MILLISECONDS)} END"
        case TimeForm.SECONDS | TimeForm.MILLISECONDS | TimeForm.MICROSECONDS | TimeForm.NANOSECONDS:
            return literal(columns.time)
        case _:
            return "NULL::VARCHAR"


def _form_of_text(columns: Columns) -> str:
    iso, naive = _matches("moment", ISO), _matches("moment", ISO_NAIVE)
    number = f"WHEN {_matches('moment', NUMBER)} THEN {_number(columns, f'abs({_DECIMAL}) < {SMALLEST_MILLISECONDS}')}"
    isos = f"WHEN {iso} THEN {literal(TimeForm.ISO)} WHEN {naive} THEN {literal(TimeForm.ISO_NAIVE)}"
    match columns.time:
        case None:
            return f"CASE {isos} {number} END"
        case TimeForm.ISO | TimeForm.ISO_NAIVE:
            return f"CASE {isos} END"
        case TimeForm.PATTERN:
            return f"CASE WHEN {_of_pattern(columns)} IS NOT NULL THEN {literal(TimeForm.PATTERN)} END"
        case _:
            return f"CASE {number} END"


def _by_form(us: Mapping[TimeForm, str]) -> str:
    cases = " ".join(f"WHEN {literal(form)} THEN {expression}" for form, expression in us.items())
    return f"CASE form {cases} END"


def _of_pattern(columns: Columns) -> str:
    return f"TRY_STRPTIME(moment, {literal(columns.pattern or '')})"


def _us_of_text(columns: Columns) -> str:
    return f"epoch_us({_of_pattern(columns)})" if columns.time is TimeForm.PATTERN else _US_OF_TEXT


def _us_of_ns(nanoseconds: str) -> str:
    """The microseconds of whole nanoseconds, rounded down, which DuckDB's own division is not before 1970."""
    return f"{nanoseconds} // 1000 - CASE WHEN {nanoseconds} % 1000 < 0 THEN 1 ELSE 0 END"


def _rounded(number: str) -> str:
    return f"TRY_CAST(round({number}) AS BIGINT)"


# A text's number is never a float: of 1767225600.123456 that would lose the last digit.
_DECIMAL = f"""TRY_CAST(CASE WHEN {_matches("moment", NUMBER_TOO_LONG)}
                             THEN left(moment, strpos(moment, '.') + 6) ELSE moment END AS DECIMAL(26, 6))"""

# Few write "t", "z" or a comma, and DuckDB takes neither.
_US_OF_TEXT = f"""CASE WHEN form IN ({literal(TimeForm.ISO)}, {literal(TimeForm.ISO_NAIVE)})
    THEN epoch_us(COALESCE(TRY_CAST(moment AS TIMESTAMPTZ), TRY_CAST(translate(moment, 'tz,', 'TZ.') AS TIMESTAMPTZ)))
    ELSE {_by_form({TimeForm.SECONDS: f"TRY_CAST({_DECIMAL} * 1000000 AS BIGINT)",
                    TimeForm.MILLISECONDS: f"TRY_CAST(trunc({_DECIMAL} * 1000) AS BIGINT)",
                    TimeForm.MICROSECONDS: f"TRY_CAST(floor({_DECIMAL}) AS BIGINT)",
                    TimeForm.NANOSECONDS: _us_of_ns(f"TRY_CAST(floor({_DECIMAL}) AS BIGINT)")})} END"""  # fmt: skip


# --- what cannot be read -----------------------------------------------------------------------


def _fault(time: _TimeColumn) -> str:
    when = ""
    if time.is_missing is not None:
        is_iso = f"form IN ({literal(TimeForm.ISO)}, {literal(TimeForm.ISO_NAIVE)})"
        when = f"""WHEN (at_us BETWEEN {EARLIEST_US} AND {LATEST_US}) IS NOT TRUE THEN CASE
                  WHEN {time.is_missing} THEN {literal(RejectReason.NO_TIME)}
                  WHEN form IS NULL OR (at_us IS NULL AND {is_iso}) THEN {literal(RejectReason.BAD_TIME)}
                  ELSE {literal(RejectReason.TIME_OUT_OF_RANGE)} END"""
    return f"""CASE WHEN task IS NULL THEN {literal(RejectReason.NO_TASK)}
                  WHEN status IS NULL THEN {literal(RejectReason.NO_STATUS)}
                  {when}
                  WHEN sequence IS NULL THEN {literal(RejectReason.NO_SEQUENCE)} END"""


def _given(columns: Columns) -> str:
    names = parts_of(columns)
    given = ((part, identifier(names[part]) if part in names else "NULL") for part in _PARTS)
    return ", ".join(f"{name} AS given_{part}" for part, name in given)


def _detail(given: str) -> str:
    text = f"{given}::VARCHAR"
    cut = f"left({text}, {LONGEST_DETAIL - 3}) || '...'"
    return f"NULLIF(CASE WHEN length({text}) > {LONGEST_DETAIL} THEN {cut} ELSE {text} END, '')"


_DETAIL = f"""CASE WHEN fault IS NULL THEN NULL
    WHEN fault = {literal(RejectReason.NO_TASK)} THEN {_detail("given_task")}
    WHEN fault = {literal(RejectReason.NO_STATUS)} THEN {_detail("given_status")}
    WHEN fault = {literal(RejectReason.NO_SEQUENCE)} THEN {_detail("given_sequence")}
    ELSE {_detail("given_at")} END"""
