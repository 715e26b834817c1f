"""The query that makes the relation `records` (see queries.py) of a log's own columns, in any engine's SQL.

What an id, a status and a time may look like is decided here, once for all engines; a dialect says only how its engine
writes an expression. The query has one level of subqueries for each step:

    level        adds                                what a row is
    read         task, status, sequence, moment      a row of the log: each cell as text or number, or NULL
    recognised   form                                how the time is written
    timed        us                                  the time in microseconds
    judged       fault                               why the row cannot be read
    (outermost)  at_us, status_code, detail          a row of `records`

A time as text is ISO 8601 in its extended form: a date alone, or with hours and minutes at least; digits beyond
microseconds are cut off. There are no leap seconds (23:59:60), as in Python and in Unix time: one would come after the
second that follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lifecycle_adapters.logs.columns import (
    EARLIEST_US,
    INTEGER,
    ISO,
    ISO_NAIVE,
    LATEST_US,
    LONGEST_DETAIL,
    NUMBER,
    NUMBER_TOO_LONG,
    SMALLEST_MILLISECONDS,
    Columns,
    RejectReason,
    TimeForm,
)
from lifecycle_adapters.logs.dialect import Dialect, Kind
from lifecycle_adapters.logs.rules import Rules

_PARTS = ("task", "status", "at", "sequence")
_NO_FLOAT = {"task": "a float; an id is a text or an integer", "sequence": "a float; a sequence is an integer"}
_JSON_NULL = "[ \t\r\n]*null[ \t\r\n]*"
_LARGEST_FLOAT = "1.7976931348623157e308"
_LARGEST_INTEGER = 2**63 - 1
_FACTORS = {TimeForm.SECONDS: 1_000_000, TimeForm.MILLISECONDS: 1_000, TimeForm.MICROSECONDS: 1}
"""The number of microseconds in one unit of each form. Nanoseconds are divided instead."""


@dataclass(frozen=True, slots=True)
class LogColumn:
    """A column of a log: an expression for its cells, and the engine's name for their type.

    `unfit` is an expression that describes the cells that are neither text nor number, and therefore NULL in `cell`;
    None if there are no such cells.
    """

    cell: str
    type_name: str
    unfit: str | None = None

    @property
    def shown(self) -> str:
        """An expression for the cell in the details of rejects."""
        return self.cell if self.unfit is None else f"COALESCE({self.unfit}, {self.cell})"


def parts_of(columns: Columns) -> dict[str, str]:
    """Return the name of the column that holds each part of a record, for the parts that a column holds."""
    names = zip(_PARTS, (columns.task, columns.status, columns.at, columns.sequence), strict=True)
    return {part: name for part, name in names if name is not None}


def records(
    relation: str, parts: Mapping[str, LogColumn], columns: Columns, rules: Rules, dialect: Dialect, *, place: str
) -> str:
    """Return the query that makes `records` of a relation.

    Args:
        relation: what follows FROM.
        parts: the column of each part of a record that has one, see `parts_of`.
        columns: how times are written.
        rules: the statuses that are known.
        dialect: the SQL of the engine that holds the relation.
        place: an expression for a row's place.
    Raises:
        UnusableLog: the engine does not read such times.
    """
    if not dialect.reads_every_time_form:
        columns.require_usual_times(dialect.name)
    time = _time(parts.get("at"), columns, dialect)
    given = (f"{parts[part].shown if part in parts else _null(dialect)} AS given_{part}" for part in _PARTS)
    fence = dialect.fence
    return f"""
SELECT task, CASE WHEN us BETWEEN {EARLIEST_US} AND {LATEST_US} THEN us END AS at_us, sequence, place, status,
       {code_of("status", rules, dialect)} AS status_code, form, fault, {_detail(parts, dialect)} AS detail
FROM (SELECT *, {_fault(time, dialect)} AS fault
      FROM (SELECT *, {time.us} AS us
            FROM (SELECT *, {time.form} AS form
                  FROM (SELECT {place} AS place, {_task(parts.get("task"), dialect)} AS task,
                               {_text(parts["status"], dialect)} AS status,
                               {_sequence(parts.get("sequence"), dialect)} AS sequence,
                               {time.moment} AS moment, {", ".join(given)}
                        FROM {relation} {fence}) read {fence}) recognised {fence}) timed {fence}) judged"""


def code_of(status: str, rules: Rules, dialect: Dialect) -> str:
    """Return the expression for a status's code."""
    folded = "lower({})" if rules.ignore_case else "{}"
    statuses = (folded.format(dialect.literal(each)) for each in rules.statuses)
    cases = " ".join(f"WHEN {each} THEN {code}" for code, each in enumerate(statuses))
    return f"CASE {folded.format(status)} {cases} END"


# --- ids, statuses, sequences ------------------------------------------------------------------


def _task(column: LogColumn | None, dialect: Dialect) -> str:
    if column is None:
        return "''"
    if dialect.kind(column.type_name) in (Kind.INTEGER, Kind.WIDE_INTEGER, Kind.UUID):
        return dialect.text(column.cell)
    return _text(column, dialect, numbers=INTEGER)


def _text(column: LogColumn, dialect: Dialect, *, numbers: str | None = None) -> str:
    """Return a cell's text, NULL if it is empty or not a text; of a JSON cell also a number that matches `numbers`."""
    match dialect.kind(column.type_name):
        case Kind.TEXT:
            return f"NULLIF({dialect.text(column.cell)}, '')"
        case Kind.JSON:
            return f"NULLIF({_text_of_json(column.cell, dialect, numbers)}, '')"
        case _:
            return _null(dialect)


def _sequence(column: LogColumn | None, dialect: Dialect) -> str:
    if column is None:
        return "CAST(0 AS BIGINT)"
    match dialect.kind(column.type_name):
        case Kind.INTEGER:
            return f"CAST({column.cell} AS BIGINT)"
        case Kind.WIDE_INTEGER:
            return dialect.integer(column.cell)
        case Kind.TEXT:
            text = dialect.text(column.cell)
        case Kind.JSON:
            text = _text_of_json(column.cell, dialect, INTEGER)
        case _:
            return "CAST(NULL AS BIGINT)"
    return f"CASE WHEN {dialect.matches(text, INTEGER)} THEN {dialect.integer(text)} END"


def _text_of_json(cell: str, dialect: Dialect, numbers: str | None) -> str:
    """Return the text of a JSON string, the digits of a number that matches `numbers`, and otherwise NULL."""
    text = dialect.text(cell)
    # Spaces around a value are rare, and `trim` takes five times as long as all the rest.
    trimmed = f"trim({text}, E' \\t\\r\\n')"
    number = ""
    if numbers is not None:
        number = "".join(f" WHEN {dialect.matches(each, numbers)} THEN {each}" for each in (text, trimmed))
    string = f"{cell} ->> '$'"
    return f"""CASE WHEN starts_with({text}, '"') THEN {string}{number}
                    WHEN starts_with({trimmed}, '"') THEN {string} END"""


def _null(dialect: Dialect) -> str:
    return f"CAST(NULL AS {dialect.text_type})"


# --- times -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TimeColumn:
    """Expressions for a time, each over the columns that those before it made.

    Attributes:
        moment: the cell, in a type that the others understand.
        form: the `TimeForm`; NULL if it has none.
        us: the microseconds since 1970; NULL if there are none.
        is_missing: whether the cell is empty; None in a log that has no times.
    """

    moment: str
    form: str
    us: str
    is_missing: str | None


def _time(column: LogColumn | None, columns: Columns, dialect: Dialect) -> _TimeColumn:
    if column is None:
        return _TimeColumn(_null(dialect), _null(dialect), "CAST(0 AS BIGINT)", None)
    is_missing = "given_at IS NULL"
    match kind := dialect.kind(column.type_name):
        case Kind.TIMESTAMP:
            us = dialect.us_of_timestamp("moment", column.type_name)
            return _TimeColumn(column.cell, dialect.literal(TimeForm.TIMESTAMP), us, is_missing)
        case Kind.INTEGER:
            is_small = f"moment > -{SMALLEST_MILLISECONDS} AND moment < {SMALLEST_MILLISECONDS}"
            form = f"CASE WHEN moment IS NOT NULL THEN {_form_of_number(is_small, columns, dialect)} END"
            return _TimeColumn(f"CAST({column.cell} AS BIGINT)", form, _us_of_integer(columns, dialect), is_missing)
        case Kind.FLOAT:
            is_small = f"abs(moment) < {SMALLEST_MILLISECONDS}"
            form = f"CASE WHEN abs(moment) <= {_LARGEST_FLOAT} THEN {_form_of_number(is_small, columns, dialect)} END"
            moment = f"CAST({column.cell} AS {dialect.float_type})"
            return _TimeColumn(moment, form, _us_of_float(columns, dialect), is_missing)
        case Kind.TEXT | Kind.JSON | Kind.WIDE_INTEGER | Kind.DECIMAL:
            moment = dialect.text(column.cell)
            is_missing += " OR moment = ''"
            if kind is Kind.JSON:
                moment = _text_of_json(column.cell, dialect, NUMBER)
                is_missing += f" OR {dialect.matches(dialect.text('given_at'), _JSON_NULL)}"
            return _TimeColumn(moment, _form_of_text(columns, dialect), _us_of_text(columns, dialect), is_missing)
        case _:
            return _TimeColumn(_null(dialect), _null(dialect), "CAST(NULL AS BIGINT)", is_missing)


def _form_of_number(is_small: str, columns: Columns, dialect: Dialect) -> str:
    """Return the form of a number; `is_small` is the condition that it may be in seconds."""
    match _number_forms(columns):
        case ():
            return _null(dialect)
        case (form,):
            return dialect.literal(form)
        case small, large:
            return f"CASE WHEN {is_small} THEN {dialect.literal(small)} ELSE {dialect.literal(large)} END"


def _number_forms(columns: Columns) -> tuple[()] | tuple[TimeForm] | tuple[TimeForm, TimeForm]:
    """Return the forms that a number may have, the one of small numbers first."""
    if columns.time is None:
        return TimeForm.SECONDS, TimeForm.MILLISECONDS
    return (columns.time,) if columns.time in (*_FACTORS, TimeForm.NANOSECONDS) else ()


def _form_of_text(columns: Columns, dialect: Dialect) -> str:
    is_small = f"abs({_decimal(dialect)}) < {SMALLEST_MILLISECONDS}"
    iso = "".join(
        f" WHEN {dialect.matches('moment', pattern)} THEN {dialect.literal(form)}"
        for pattern, form in ((ISO, TimeForm.ISO), (ISO_NAIVE, TimeForm.ISO_NAIVE))
    )
    number = f" WHEN {dialect.matches('moment', NUMBER)} THEN {_form_of_number(is_small, columns, dialect)}"
    match columns.time:
        case None:
            return f"CASE{iso}{number} END"
        case TimeForm.ISO | TimeForm.ISO_NAIVE:
            return f"CASE{iso} END"
        case TimeForm.PATTERN:
            us = dialect.us_of_pattern("moment", columns.pattern or "")
            return f"CASE WHEN {us} IS NOT NULL THEN {dialect.literal(TimeForm.PATTERN)} END"
        case _:
            return f"CASE{number} END"


def _us_of_integer(columns: Columns, dialect: Dialect) -> str:
    def us(form: TimeForm) -> str:
        if form is TimeForm.NANOSECONDS:
            return dialect.us_of_ns("moment")
        largest = _LARGEST_INTEGER // _FACTORS[form]
        return f"CASE WHEN moment BETWEEN -{largest} AND {largest} THEN moment * {_FACTORS[form]} END"

    return _by_form({form: us(form) for form in _number_forms(columns)}, dialect)


def _us_of_float(columns: Columns, dialect: Dialect) -> str:
    def us(form: TimeForm) -> str:
        us = "moment / 1e3" if form is TimeForm.NANOSECONDS else f"moment * {_FACTORS[form]}"
        largest = LATEST_US * 1_000 if form is TimeForm.NANOSECONDS else LATEST_US // _FACTORS[form] + 1
        return f"CASE WHEN abs(moment) <= {largest} THEN {dialect.rounded(f'({us})')} END"

    return _by_form({form: us(form) for form in _number_forms(columns)}, dialect)


def _us_of_text(columns: Columns, dialect: Dialect) -> str:
    if columns.time is TimeForm.PATTERN:
        return dialect.us_of_pattern("moment", columns.pattern or "")
    number = _decimal(dialect)

    def us(form: TimeForm) -> str:
        if form is TimeForm.NANOSECONDS:
            return dialect.us_of_ns(dialect.truncated(f"floor({number})"))
        if form is TimeForm.MICROSECONDS:
            return dialect.truncated(f"floor({number})")
        return dialect.truncated(f"({number} * {_FACTORS[form]})")

    numbers = _by_form({form: us(form) for form in _number_forms(columns)}, dialect)
    return f"CASE WHEN {_is_iso(dialect)} THEN {dialect.us_of_iso('moment')} ELSE {numbers} END"


def _by_form(us: Mapping[TimeForm, str], dialect: Dialect) -> str:
    cases = " ".join(f"WHEN {dialect.literal(form)} THEN {expression}" for form, expression in us.items())
    return f"CASE form {cases} END" if us else "CAST(NULL AS BIGINT)"


def _decimal(dialect: Dialect) -> str:
    """Return the number in a text, never as a float: 1767225600.123456 would lose its last digit."""
    cut = "left(moment, position('.' IN moment) + 6)"
    return dialect.decimal(f"CASE WHEN {dialect.matches('moment', NUMBER_TOO_LONG)} THEN {cut} ELSE moment END")


def _is_iso(dialect: Dialect) -> str:
    return f"form IN ({dialect.literal(TimeForm.ISO)}, {dialect.literal(TimeForm.ISO_NAIVE)})"


# --- rows that cannot be read ------------------------------------------------------------------


def _fault(time: _TimeColumn, dialect: Dialect) -> str:
    literal = dialect.literal
    when = ""
    if time.is_missing is not None:
        when = f"""WHEN (us BETWEEN {EARLIEST_US} AND {LATEST_US}) IS NOT TRUE THEN CASE
                  WHEN {time.is_missing} THEN {literal(RejectReason.NO_TIME)}
                  WHEN form IS NULL OR (us IS NULL AND {_is_iso(dialect)}) THEN {literal(RejectReason.BAD_TIME)}
                  ELSE {literal(RejectReason.TIME_OUT_OF_RANGE)} END"""
    return f"""CASE WHEN task IS NULL THEN {literal(RejectReason.NO_TASK)}
                  WHEN status IS NULL THEN {literal(RejectReason.NO_STATUS)}
                  {when}
                  WHEN sequence IS NULL THEN {literal(RejectReason.NO_SEQUENCE)}
                  WHEN place IS NULL THEN {literal(RejectReason.NO_PLACE)} END"""


def _detail(parts: Mapping[str, LogColumn], dialect: Dialect) -> str:
    """Return the cell at fault, shortened."""

    def shortened(part: str) -> str:
        given = f"given_{part}"
        text = dialect.shown(given, parts[part].type_name) if part in parts else dialect.text(given)
        cut = f"left({text}, {LONGEST_DETAIL - 3}) || '...'"
        short = f"NULLIF(CASE WHEN length({text}) > {LONGEST_DETAIL} THEN {cut} ELSE {text} END, '')"
        is_float = part in parts and dialect.kind(parts[part].type_name) is Kind.FLOAT
        return f"{short} || {dialect.literal(f' ({_NO_FLOAT[part]})')}" if is_float and part in _NO_FLOAT else short

    faults = {"task": RejectReason.NO_TASK, "status": RejectReason.NO_STATUS, "sequence": RejectReason.NO_SEQUENCE}
    cases = " ".join(f"WHEN {dialect.literal(fault)} THEN {shortened(part)}" for part, fault in faults.items())
    without = f"fault IS NULL OR fault = {dialect.literal(RejectReason.NO_PLACE)}"
    return f"CASE WHEN {without} THEN NULL ELSE CASE fault {cases} ELSE {shortened('at')} END END"
