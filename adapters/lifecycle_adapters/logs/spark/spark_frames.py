"""Check a Spark DataFrame in its user's own job; the results are DataFrames."""

from __future__ import annotations

from itertools import product
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from lifecycle import Channel, Deviation, Lifecycle, Severity
from lifecycle.conformance import Mode
from lifecycle_adapters.argument_checks import require, require_boolean, require_lifecycle
from lifecycle_adapters.logs import queries
from lifecycle_adapters.logs.check import MOST_WORST, count_pairs, nothing_to_read, report_of
from lifecycle_adapters.logs.columns import Columns, absent, require_columns
from lifecycle_adapters.logs.log_errors import MissingColumn, NoReadableRows
from lifecycle_adapters.logs.report import LogReport, Totals
from lifecycle_adapters.logs.rules import START, Rules
from lifecycle_adapters.logs.spark.spark_dialect import column, records_of
from lifecycle_adapters.logs.spark.spark_engine import SparkEngine, computed, mapped_errors, require_running

_JUDGED = (
    "previous int, status_code int, ended int, previous_state string, state string, status string, code string,"
    " severity string, possible array<string>"
)


def check_frame(
    frame: DataFrame,
    lifecycle: Lifecycle[Any, Any],
    *,
    mode: Mode = "exact",
    channel: str = Channel.API,
    columns: Columns | None = None,
    place: str | None = None,
    notes: bool = False,
) -> FrameCheck:
    """Judge all histories of a DataFrame by the rules of `Lifecycle.check`, in its own session.

    The pairs are counted at once; the results are a report, and DataFrames to be used like any other.

    Args:
        frame: one row for each report of a status.
        lifecycle: the lifecycle whose rules apply.
        mode: "exact" if every change was recorded, "sampled" if tasks were polled.
        channel: the channel that reported the statuses.
        columns: the names of the columns.
        place: a column of whole numbers that are unique and ascend in the order of the rows; a row without one is
            rejected. If omitted, rows are numbered in the order of the partitions; this number then orders rows of
            one time (and sequence).
        notes: also list notes; they are counted in any case.
    Raises:
        UnusableLog: a column is missing (MissingColumn) or occurs twice, or Spark cannot plan the frame's query.
        EngineFailed: the frame's session was stopped, or Spark failed.
        UnknownName: the lifecycle has no such channel.
        ValueError: `mode` is neither.
        TypeError: an argument has a wrong type.
    """
    require_lifecycle(lifecycle)
    require(frame, DataFrame, "frame must be a DataFrame of Spark")
    require(columns, Columns | None, "columns must be Columns(...)")
    require(place, str | None, "place must be the name of a column")
    require_boolean(notes, "notes")
    require_running(frame.sparkSession)
    rules = Rules(lifecycle, mode=mode, channel=channel)
    columns = columns or Columns()
    require_columns(frame.columns, columns)
    if place is not None and place not in frame.columns:
        raise MissingColumn(absent("column", place, frame.columns), name=place, known=frame.columns)
    with mapped_errors():
        number = fn.monotonically_increasing_id() if place is None else column(place).try_cast("bigint")
        records = records_of(frame, columns, rules, place=number)
        if place is None:  # if rows were computed again, they could come in another order and have other numbers
            records = computed(records)
        return FrameCheck(SparkEngine(frame.sparkSession, records), rules, columns, notes=notes)


class FrameCheck:
    """The result of checking a DataFrame: DataFrames of the same session, and a report.

    Attributes:
        pairs: one row for each pair of a task's row and its next one; rows of unknown status are left out:

            previous string, status string    the state before, NULL at a task's first row, and the status then
            state string                      the state that the status stands for
            ended boolean                     whether a row before `previous` was final
            code string, severity string      what `check` reports about it; NULL if it conforms
            rows_counted bigint               the number of such rows
            total_us decimal(38, 0)           the times since the rows before, together; NULL at the first row
            longest_us bigint                 the longest of them
            example bigint                    the smallest place of such a row

        findings: one row for each finding, in no order:

            task string, at timestamp         `at` is NULL in a log without times
            place bigint                      the row: the column that was named for it, or its number
            previous string, status string    as above; the status as it was reported
            code string, severity string
            possible array<string>            the states that could have followed directly

        rejects: one row for each row that cannot be read:

            place bigint, reason string       a value of `RejectReason`; the place is NULL if that is the reason
            detail string                     the faulty value, shortened
    """

    def __init__(self, engine: SparkEngine, rules: Rules, columns: Columns, *, notes: bool) -> None:
        self._engine = engine
        self._rules = rules
        self._timed = columns.at is not None
        engine.create_table("totals", queries.totals())
        count_pairs(engine, rules, notes=notes, sequenced=columns.sequence is not None)
        engine.create_table("unknown_rows", queries.unknown_rows(rules, partition=engine.partition))
        judged = engine.session.createDataFrame(_judged_pairs(rules), schema=_JUDGED)  # pyright: ignore[reportUnknownMemberType]
        self.pairs = self._pairs(judged)
        self.findings = self._findings(judged)
        self.rejects = engine.query("SELECT place, fault AS reason, detail FROM records WHERE fault IS NOT NULL")

    def _pairs(self, judged: DataFrame) -> DataFrame:
        return _joined(self._engine.query(_PAIRS), judged).select(
            fn.col("previous_state").alias("previous"), "status", "state", (fn.col("ended") == 1).alias("ended"),
            "code", "severity", "rows_counted", "total_us", "longest_us", "example",
        )  # fmt: skip

    def _findings(self, judged: DataFrame) -> DataFrame:
        listed = _joined(self._engine.query(queries.listed_rows()), judged)
        unknown = self._engine.query(queries.unknown_rows_listed()).withColumn("status_code", fn.lit(None).cast("int"))
        reported = unknown.withColumnRenamed("status", "reported")
        unknown = _joined(reported, judged).withColumn("status", fn.col("reported")).drop("reported")
        at = fn.timestamp_micros("at_us") if self._timed else fn.lit(None).cast("timestamp")
        return listed.unionByName(unknown).select(
            "task", at.alias("at"), "place", fn.col("previous_state").alias("previous"), "status",
            "code", "severity", "possible",
        )  # fmt: skip

    def report(self) -> LogReport:
        """Return the report of the log. This computes everything but `findings` and `rejects`.

        Raises:
            UnusableLog: no row can be read, or the frame's own source cannot be read.
            EngineFailed: Spark failed, or its session was stopped.
        """
        totals = Totals(self._engine.rows(queries.totals_summed()))
        if not totals.readable:
            raise NoReadableRows(nothing_to_read(totals), reasons=totals.unreadable)
        return report_of(
            self._engine, self._rules, totals, bad_tasks=self._bad_tasks(), worst=self._worst(), timed=self._timed
        )

    def _bad_rows(self) -> DataFrame:
        return self.findings.where(fn.col("severity") == str(Severity.ERROR))

    def _bad_tasks(self) -> int:
        with mapped_errors():
            return self._bad_rows().select("task").distinct().count()

    def _worst(self) -> tuple[tuple[str, int], ...]:
        with mapped_errors():
            rows = (
                self._bad_rows().groupBy("task").count().orderBy(fn.desc("count"), "task").limit(MOST_WORST).collect()
            )
        return tuple((str(row["task"]), int(row["count"])) for row in rows)


_PAIRS = """
SELECT previous, status_code, ended, SUM(rows_counted) AS rows_counted,
       SUM(CAST(since_us AS DECIMAL(20, 0)) * rows_counted + beyond_us) AS total_us,
       MAX(longest_us) AS longest_us, MIN(example) AS example
FROM pair_counts
GROUP BY previous, status_code, ended"""


def _judged_pairs(rules: Rules) -> list[tuple[Any, ...]]:
    """Return every pair with its names and its deviation: rows of `_JUDGED`."""
    rows = [
        _judged_pair(rules, pair.previous, pair.code, pair.ended, rules.deviations.get(pair)) for pair in rules.pairs
    ]
    for previous, ended in product((START, *range(len(rules.statuses))), (False, True)):
        deviation = rules.deviation_of_unknown(previous, ended=ended)
        rows.append(_judged_pair(rules, previous, None, ended, deviation))
    return rows


def _judged_pair(
    rules: Rules, previous: int, code: int | None, ended: bool, deviation: Deviation[str] | None
) -> tuple[Any, ...]:
    before = rules.state_of(previous)
    state, status = (None, None) if code is None else (rules.states[code], rules.statuses[code])
    judged: tuple[Any, ...] = (None, None, None)
    if deviation is not None:
        judged = (str(deviation.code), str(deviation.severity), list(deviation.possible))
    return (previous, code, int(ended), before, state, status, *judged)


def _joined(pairs: DataFrame, judged: DataFrame) -> DataFrame:
    pairs, judged = pairs.alias("pairs"), fn.broadcast(judged).alias("judged")
    keys = ("previous", "status_code", "ended")
    same = [fn.col(f"pairs.{key}").eqNullSafe(fn.col(f"judged.{key}")) for key in keys]
    judged_only = [f"judged.{name}" for name in ("previous_state", "state", "status", "code", "severity", "possible")]
    return pairs.join(judged, same[0] & same[1] & same[2]).select("pairs.*", *judged_only)
