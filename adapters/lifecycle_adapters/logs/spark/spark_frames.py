"""A Spark DataFrame is checked in its user's own job, and the answers are DataFrames."""

from __future__ import annotations

from itertools import product
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from lifecycle import Channel, Deviation, Lifecycle, Severity
from lifecycle.conformance import Mode
from lifecycle_adapters.logs import queries
from lifecycle_adapters.logs.check import MOST_WORST, report_of
from lifecycle_adapters.logs.columns import Columns, require_columns
from lifecycle_adapters.logs.log_errors import NoReadableRows
from lifecycle_adapters.logs.report import LogReport, Totals
from lifecycle_adapters.logs.rules import START, DirectlyFollows, Rules
from lifecycle_adapters.logs.spark.spark_dialect import column, records_of
from lifecycle_adapters.logs.spark.spark_engine import SparkEngine, computed, mapped_errors

_JUDGED = (
    "previous int, word int, ended int, previous_state string, state string, status string, code string,"
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
    information: bool = False,
) -> FrameCheck:
    """Judge all histories of a DataFrame by the rules of `Lifecycle.check`, in its own session.

    The moves are counted at once; the answers are DataFrames, to be used like any other, and a report.

    Args:
        frame: one row for each report of a status.
        lifecycle: whose rules.
        mode: "exact" when every change was recorded, "sampled" when tasks were polled.
        channel: whose words the statuses are.
        columns: which column holds what.
        place: a column of whole numbers that are unique and ascend in the order of the rows. If omitted, rows
            are numbered in the order of the partitions; this number then orders rows of one time (and sequence).
        information: list rows that are information only, too; they are counted in any case.
    Raises:
        UnusableLog: a column is missing, or Spark cannot plan what the frame is made of.
        UnknownName: the lifecycle has no such channel.
        ValueError: `mode` is neither.
    """
    rules = Rules(lifecycle, mode=mode, channel=channel)
    columns = columns or Columns()
    require_columns(frame.columns, columns)
    with mapped_errors():
        number = fn.monotonically_increasing_id() if place is None else column(place).cast("bigint")
        records = records_of(frame, columns, rules, place=number)
        if place is None:  # computed again, rows could come in another order and have other numbers
            records = computed(records)
        return FrameCheck(SparkEngine(frame.sparkSession, records), rules, columns, information=information)


class FrameCheck:
    """What came of checking a DataFrame: DataFrames of the same session, and a report.

    Attributes:
        moves: one row for each way from one row of a task to its next, statuses that are not known left out:

            previous string, status string    the state before, NULL at a task's first row, and the status then
            state string                      what the status stands for
            ended boolean                     whether a row before `previous` was final
            code string, severity string      what `check` says of it, NULL where it is as it should be
            rows_counted bigint               how often
            dwell_total_us decimal(38, 0)     how long after the rows before, together, and at the most;
            dwell_longest_us bigint           NULL at the first
            example bigint                    the smallest place of such a row

        findings: one row for each remark, in no order:

            task string, at timestamp         `at` is NULL in a log without times
            place bigint                      the row: the column that was named for it, or its number
            previous string, status string    as above; the status as it was reported
            code string, severity string
            possible array<string>            the states that could have followed directly

        rejects: one row for each that cannot be read:

            place bigint, reason string       a value of `RejectReason`
            detail string                     what is at fault, shortened
    """

    def __init__(self, engine: SparkEngine, rules: Rules, columns: Columns, *, information: bool) -> None:
        self._engine = engine
        self._rules = rules
        self._timed = columns.at is not None
        sequenced = columns.sequence is not None
        engine.keep("counted", queries.moves_counted(rules, information=information, sequenced=sequenced))
        engine.keep("strange", queries.strange_found(rules))
        judged = engine.session.createDataFrame(_judgements(rules), schema=_JUDGED)  # pyright: ignore[reportUnknownMemberType]
        self.moves = self._moves(judged)
        self.findings = self._findings(judged)
        self.rejects = engine.ask("SELECT place, fault AS reason, detail FROM records WHERE fault IS NOT NULL")

    def _moves(self, judged: DataFrame) -> DataFrame:
        counted = self._engine.ask(_MOVES)
        return _with_words(counted, judged).select(
            fn.col("previous_state").alias("previous"), "status", "state", (fn.col("ended") == 1).alias("ended"),
            "code", "severity", "rows_counted", "dwell_total_us", "dwell_longest_us", "example",
        )  # fmt: skip

    def _findings(self, judged: DataFrame) -> DataFrame:
        listed = _with_words(self._engine.ask(queries.rows_listed()), judged)
        unknown = self._engine.ask(queries.rows_strange()).withColumn("word", fn.lit(None).cast("int"))
        reported = unknown.withColumnRenamed("status", "reported")
        strange = _with_words(reported, judged).withColumn("status", fn.col("reported")).drop("reported")
        at = fn.timestamp_micros("at_us") if self._timed else fn.lit(None).cast("timestamp")
        return listed.unionByName(strange).select(
            "task", at.alias("at"), "place", fn.col("previous_state").alias("previous"), "status",
            "code", "severity", "possible",
        )  # fmt: skip

    def report(self) -> LogReport:
        """Return what the log says as a whole. This computes all but `findings` and `rejects`.

        Raises:
            UnusableLog: there is no row that can be read, or what the frame is made of cannot be read.
            EngineFailed: Spark failed.
        """
        totals = Totals(self._engine.rows(queries.totals()))
        if not totals.readable:
            message = f"none of the {totals.rows} rows can be read" if totals.rows else "the log has no rows"
            raise NoReadableRows(message, reasons=totals.unreadable)
        return report_of(
            self._engine, self._rules, totals, bad_tasks=self._bad_tasks(), worst=self._worst(), timed=self._timed
        )

    def _bad_rows(self) -> DataFrame:
        return self.findings.where(fn.col("severity") == str(Severity.FINDING))

    def _bad_tasks(self) -> int:
        with mapped_errors():
            return self._bad_rows().select("task").distinct().count()

    def _worst(self) -> tuple[tuple[str, int], ...]:
        with mapped_errors():
            rows = (
                self._bad_rows().groupBy("task").count().orderBy(fn.desc("count"), "task").limit(MOST_WORST).collect()
            )
        return tuple((str(row["task"]), int(row["count"])) for row in rows)


_MOVES = """
SELECT previous, word, ended, SUM(rows_counted) AS rows_counted,
       SUM(CAST(dwell_us AS DECIMAL(20, 0)) * rows_counted + beyond_us) AS dwell_total_us,
       MAX(longest_us) AS dwell_longest_us, MIN(example) AS example
FROM counted
GROUP BY previous, word, ended"""


def _judgements(rules: Rules) -> list[tuple[Any, ...]]:
    """All that the rules say, in words: rows of `_JUDGED`."""
    words = range(len(rules.words))
    moves = [DirectlyFollows(START, word, ended=False) for word in words]
    moves += [DirectlyFollows(previous, word, bool(ended)) for previous, word, ended in product(words, words, (0, 1))]
    rows = [_judgement(rules, move.previous, move.word, move.ended, rules.remarks.get(move)) for move in moves]
    for previous, ended in product((START, *words), (False, True)):
        rows.append(_judgement(rules, previous, None, ended, rules.remark_on_unknown(previous, ended=ended)))
    return rows


def _judgement(
    rules: Rules, previous: int, word: int | None, ended: bool, remark: Deviation[str] | None
) -> tuple[Any, ...]:
    before = rules.state_of(previous)
    state, status = (None, None) if word is None else (rules.states[word], rules.words[word])
    said = (None, None, None) if remark is None else (str(remark.code), str(remark.severity), list(remark.possible))
    return (previous, word, int(ended), before, state, status, *said)


def _with_words(moves: DataFrame, judged: DataFrame) -> DataFrame:
    moves, judged = moves.alias("moves"), fn.broadcast(judged).alias("judged")
    same = [fn.col(f"moves.{name}").eqNullSafe(fn.col(f"judged.{name}")) for name in ("previous", "word", "ended")]
    judged_only = [f"judged.{name}" for name in ("previous_state", "state", "status", "code", "severity", "possible")]
    return moves.join(judged, same[0] & same[1] & same[2]).select("moves.*", *judged_only)
