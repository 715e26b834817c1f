"""From a DataFrame's own columns to `records` (see queries.py), as Spark's expressions.

The rules are those of records.py, type by type; only the types and the functions are Spark's. Nothing depends
on the session's time zone or on `spark.sql.ansi.enabled`: times become whole microseconds at once, and
whatever may fail is tried.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, types
from pyspark.sql import functions as fn

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
from lifecycle_adapters.logs.rules import Rules

_DAY_US = 86_400_000_000
_CLOCKS = types.TimestampType | types.TimestampNTZType | types.DateType
_INTEGERS = types.ByteType | types.ShortType | types.IntegerType | types.LongType
_FLOATS = types.FloatType | types.DoubleType
_TEXTS = types.StringType | types.CharType | types.VarcharType


def records_of(frame: DataFrame, columns: Columns, rules: Rules, *, place: Column) -> DataFrame:
    """Return `records` of a frame.

    Args:
        columns: which column holds what; each named one is there, once.
        place: a row's place.
    """
    there = {field.name: field.dataType for field in frame.schema.fields}
    nothing = fn.lit(None).cast("string")
    named = {"task": columns.task, "status": columns.status, "at": columns.at, "sequence": columns.sequence}
    given = {part: nothing if name is None else column(name) for part, name in named.items()}
    kinds = {part: types.NullType() if name is None else there[name] for part, name in named.items()}
    read = frame.select(
        (fn.lit("") if columns.task is None else _task(given["task"], kinds["task"])).alias("task"),
        _status(given["status"], kinds["status"]).alias("status"),
        _sequence(given["sequence"], kinds["sequence"], columns).alias("sequence"),
        place.alias("place"),
        *(value.alias(f"given_{part}") for part, value in given.items()),
    )
    timed = _timed(read, kinds["at"], columns).withColumn("fault", _fault(columns))
    return timed.select(
        "task", "at_us", "sequence", "place", "status", _word(rules).alias("word"), "form", "fault",
        _detail().alias("detail"),
    )  # fmt: skip


def column(name: str) -> Column:
    """Return a column by its name alone, whatever is in it."""
    return fn.col("`" + name.replace("`", "``") + "`")


def _word(rules: Rules) -> Column:
    unknown = fn.lit(None).cast("int")
    status, words = fn.col("status"), [fn.lit(word) for word in rules.words]
    if rules.ignore_case:
        status, words = fn.lower(status), [fn.lower(word) for word in words]
    # Backwards, so that the first word is looked at first.
    return reduce(
        lambda rest, word: fn.when(status == word[1], word[0]).otherwise(rest), [*enumerate(words)][::-1], unknown
    )


# --- ids, statuses, sequences ------------------------------------------------------------------


def _task(given: Column, kind: types.DataType) -> Column:
    return _not_empty(given.cast("string")) if isinstance(kind, _TEXTS) or _is_whole(kind) else _nothing("string")


def _status(given: Column, kind: types.DataType) -> Column:
    return _not_empty(given.cast("string")) if isinstance(kind, _TEXTS) else _nothing("string")


def _sequence(given: Column, kind: types.DataType, columns: Columns) -> Column:
    if columns.sequence is None:
        return fn.lit(0).cast("bigint")
    if _is_whole(kind):
        return given.try_cast("bigint")
    is_whole = _matches(given.cast("string"), WHOLE)
    return fn.when(is_whole, given.try_cast("bigint")) if isinstance(kind, _TEXTS) else _nothing("bigint")


def _is_whole(kind: types.DataType) -> bool:
    return isinstance(kind, _INTEGERS) or (isinstance(kind, types.DecimalType) and kind.scale == 0)


def _not_empty(text: Column) -> Column:
    return fn.when(text != "", text)


def _nothing(kind: str) -> Column:
    return fn.lit(None).cast(kind)


def _matches(text: Column, pattern: str) -> Column:
    return text.rlike(rf"\A(?:{pattern})\z")


# --- times -------------------------------------------------------------------------------------


def _timed(read: DataFrame, kind: types.DataType, columns: Columns) -> DataFrame:
    """Add the columns moment, form (a `TimeForm`) and at_us, each of them NULL where there is none."""
    given, moment = fn.col("given_at"), fn.col("moment")
    if columns.at is None:
        return _with(read, moment=_nothing("string"), form=_nothing("string"), at_us=fn.lit(0).cast("bigint"))
    columns.require_usual_times("Spark")
    if isinstance(kind, _CLOCKS):
        return _with(read, moment=given, form=fn.lit(str(TimeForm.TIMESTAMP)), at_us=_us_of_clock(moment, kind))
    if isinstance(kind, _INTEGERS):
        small = (moment > -SMALLEST_MILLISECONDS) & (moment < SMALLEST_MILLISECONDS)
        form = fn.when(moment.isNotNull(), _form_of_number(columns, small))
        us = _by_form(
            seconds=fn.try_multiply(moment, fn.lit(1_000_000)), milliseconds=fn.try_multiply(moment, fn.lit(1_000))
        )
        return _with(read, moment=given.cast("bigint"), form=form, at_us=us)
    if isinstance(kind, _FLOATS):
        finite = moment.isNotNull() & ~fn.isnan(moment) & (fn.abs(moment) != float("inf"))
        form = fn.when(finite, _form_of_number(columns, fn.abs(moment) < SMALLEST_MILLISECONDS))
        us = _by_form(seconds=_rounded(moment * 1e6), milliseconds=_rounded(moment * 1e3))
        return _with(read, moment=given.cast("double"), form=form, at_us=us)
    if isinstance(kind, _TEXTS | types.DecimalType):
        return _with(read, moment=given.cast("string"), form=_form_of_text(columns), at_us=_us_of_text())
    return _with(read, moment=_nothing("string"), form=_nothing("string"), at_us=_nothing("bigint"))


def _with(frame: DataFrame, **values: Column) -> DataFrame:
    """Add columns, each over those before it."""
    return reduce(lambda made, value: made.withColumn(*value), values.items(), frame)


def _form_of_number(columns: Columns, small: Column) -> Column:
    """The form of a number; `small` says whether it may be in seconds."""
    match columns.time:
        case None:
            return fn.when(small, str(TimeForm.SECONDS)).otherwise(str(TimeForm.MILLISECONDS))
        case TimeForm.SECONDS | TimeForm.MILLISECONDS:
            return fn.lit(str(columns.time))
        case _:
            return _nothing("string")


def _form_of_text(columns: Columns) -> Column:
    moment = fn.col("moment")
    number = _form_of_number(columns, fn.abs(_decimal(moment)) < SMALLEST_MILLISECONDS)
    isos = fn.when(_matches(moment, ISO), str(TimeForm.ISO)).when(_matches(moment, ISO_NAIVE), str(TimeForm.ISO_NAIVE))
    match columns.time:
        case None:
            return isos.when(_matches(moment, NUMBER), number)
        case TimeForm.ISO | TimeForm.ISO_NAIVE:
            return isos
        case _:
            return fn.when(_matches(moment, NUMBER), number)


def _by_form(*, seconds: Column, milliseconds: Column) -> Column:
    form = fn.col("form")
    return fn.when(form == str(TimeForm.SECONDS), seconds).when(form == str(TimeForm.MILLISECONDS), milliseconds)


def _rounded(number: Column) -> Column:
    return fn.round(number).try_cast("bigint")


def _decimal(moment: Column) -> Column:
    """A text's number, without what is beyond its sixth decimal place."""
    shorter = moment.substr(fn.lit(1), fn.instr(moment, ".") + 6)
    return fn.when(_matches(moment, NUMBER_TOO_LONG), shorter).otherwise(moment).try_cast("decimal(24, 6)")


def _us_of_clock(moment: Column, kind: types.DataType) -> Column:
    if isinstance(kind, types.TimestampType):
        return fn.unix_micros(moment)
    # The other ways to count the microseconds of a time without a zone take the session's.
    day_us = _day_us(moment.cast("date"))
    if isinstance(kind, types.DateType):
        return day_us
    seconds = fn.hour(moment) * 3_600 + fn.minute(moment) * 60 + fn.extract(fn.lit("SECOND"), moment)
    return day_us + (seconds * 1_000_000).cast("bigint")


def _day_us(day: Column) -> Column:
    return fn.try_multiply(fn.unix_date(day).cast("bigint"), fn.lit(_DAY_US))


def _us_of_text() -> Column:
    moment, form = fn.col("moment"), fn.col("form")

    def whole(text: Column) -> Column:
        return fn.coalesce(text.try_cast("bigint"), fn.lit(0))

    def part(start: int) -> Column:
        return whole(moment.substr(start, 2))

    seconds = fn.when(moment.substr(17, 1) == ":", part(18)).otherwise(0)
    fraction_us = whole(fn.rpad(fn.regexp_extract(moment, r"[.,](\d{1,6})", 1), 6, "0"))
    clock_us = (part(12) * 3_600 + part(15) * 60 + seconds) * 1_000_000 + fraction_us
    zone = r"([+-])(\d\d):?(\d\d)?\z"
    ahead_us = (whole(fn.regexp_extract(moment, zone, 2)) * 60 + whole(fn.regexp_extract(moment, zone, 3))) * 60_000_000
    offset_us = fn.when(fn.regexp_extract(moment, zone, 1) == "-", -ahead_us).otherwise(ahead_us)
    naive_us = _day_us(moment.substr(1, 10).try_cast("date")) + clock_us
    number = _decimal(moment)
    return (
        fn.when(form == str(TimeForm.ISO), naive_us - offset_us)
        .when(form == str(TimeForm.ISO_NAIVE), naive_us)
        .otherwise(
            _by_form(
                seconds=(number * 1_000_000).try_cast("bigint"),
                milliseconds=(number * 1_000).try_cast("bigint"),
            )
        )
    )


# --- what cannot be read -----------------------------------------------------------------------


def _fault(columns: Columns) -> Column:
    at_us, form = fn.col("at_us"), fn.col("form")
    fault = fn.when(fn.col("task").isNull(), str(RejectReason.NO_TASK)).when(
        fn.col("status").isNull(), str(RejectReason.NO_STATUS)
    )
    if columns.at is not None:
        is_iso = fn.coalesce(form.isin(str(TimeForm.ISO), str(TimeForm.ISO_NAIVE)), fn.lit(False))
        why = (
            fn.when(fn.col("given_at").isNull() | (fn.col("moment").cast("string") == ""), str(RejectReason.NO_TIME))
            .when(form.isNull() | (at_us.isNull() & is_iso), str(RejectReason.BAD_TIME))
            .otherwise(str(RejectReason.TIME_OUT_OF_RANGE))
        )
        fault = fault.when(~fn.coalesce(at_us.between(EARLIEST_US, LATEST_US), fn.lit(False)), why)
    return fault.when(fn.col("sequence").isNull(), str(RejectReason.NO_SEQUENCE))


def _detail() -> Column:
    """What is at fault, shortened."""
    parts = {RejectReason.NO_TASK: "task", RejectReason.NO_STATUS: "status", RejectReason.NO_SEQUENCE: "sequence"}
    at_fault = fn.when(fn.col("fault").isNull(), None)
    for fault, part in parts.items():
        at_fault = at_fault.when(fn.col("fault") == str(fault), fn.col(f"given_{part}").cast("string"))
    text = at_fault.otherwise(fn.col("given_at").cast("string"))
    cut = fn.concat(fn.substring(text, 1, LONGEST_DETAIL - 3), fn.lit("..."))
    return _not_empty(fn.when(fn.length(text) > LONGEST_DETAIL, cut).otherwise(text))
