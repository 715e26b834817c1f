"""Every engine agrees with the plain reference on every log: row by row, and in every part of a report.

Sources of files have tests of their own; here rows come to the engines by the shortest way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lifecycle import CATALOG, Alias, Channel
from lifecycle.conformance import Mode
from lifecycle.testing import histories, lifecycles, possible_defects
from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.columns import EARLIEST_US, LATEST_US, Columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.postgres import PostgresTable
from lifecycle_adapters.logs.result import CheckedLog
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog, Source
from tests.adapters.logs.reference import Declared, LogRow, Outcome, expected, outcome
from tests.support.postgres import PostgresServer
from tests.support.profiles import examples

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME = "log"
STRANGE = (" ", "a", "A", "é", "e\u0301", "'; DROP TABLE log; --", '"', "\\", "%s", "=1+1", "😀")
ALIASED: Declared = CATALOG["v3-full"].replace(
    aliases=(Alias("mail", "went well", "idle"), Alias("mail", "it's over", "stopped"), Alias("mail", "idle ", "idle")),
)


@dataclass(frozen=True)
class Case:
    """A log of readable rows, in stored order, with the settings of its check."""

    lifecycle: Declared
    rows: tuple[LogRow, ...]
    channel: str = Channel.API
    mode: Mode = "exact"
    notes: bool = True
    timed: bool = True
    sequenced: bool = True
    threads: int = 1

    @property
    def columns(self) -> Columns:
        return Columns(at="at" if self.timed else None, sequence="sequence" if self.sequenced else None)

    def reordered(self, order: list[int]) -> Case:
        """Return the same log with its rows in another order."""
        rows = [self.rows[old] for old in order]
        return replace(self, rows=tuple(replace(row, place=place) for place, row in enumerate(rows, start=1)))

    def checked(self, source: Source) -> CheckedLog:
        return check_logs(
            self.lifecycle,
            source,
            mode=self.mode,
            channel=self.channel,
            columns=self.columns,
            notes=self.notes,
            threads=self.threads,
        )

    def expected(self) -> Outcome:
        return expected(
            self.lifecycle,
            self.rows,
            mode=self.mode,
            channel=self.channel,
            notes=self.notes,
            timed=self.timed,
        )


@dataclass(frozen=True)
class Rows:
    """Rows as `records` has them, in the DuckDB session itself."""

    rows: tuple[LogRow, ...]

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:  # noqa: ARG002
        codes = {status: code for code, status in enumerate(rules.statuses)}
        session.register("given", {
            "task": np.array([row.task for row in self.rows], dtype=object),
            "at_us": np.array([row.at_us for row in self.rows], dtype=np.int64),
            "sequence": np.array([row.sequence for row in self.rows], dtype=np.int64),
            "place": np.array([row.place for row in self.rows], dtype=np.int64),
            "status": np.array([row.status for row in self.rows], dtype=object),
            "code": np.array([codes.get(row.status, -1) for row in self.rows], dtype=np.int32),
        })  # fmt: skip
        session.run("CREATE TABLE records AS SELECT * EXCLUDE (code), NULLIF(code, -1) AS status_code,"
                  " NULL::VARCHAR AS form, NULL::VARCHAR AS fault, NULL::VARCHAR AS detail FROM given")  # fmt: skip
        return LoadedLog(session, (NAME,), are_files=False)


class Table:
    """A table of a real server, refilled for each log."""

    def __init__(self, url: str) -> None:
        self.source = PostgresTable(url, NAME)
        self._connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self._connection.execute("CREATE TABLE log (task_id text, at timestamptz, sequence bigint, status text)")

    def fill(self, rows: tuple[LogRow, ...]) -> Source:
        with self._connection.transaction():
            self._connection.execute("TRUNCATE log")
            with self._connection.cursor().copy("COPY log FROM STDIN") as copy:
                for row in rows:
                    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row.at_us)
                    copy.write_row((row.task, at, row.sequence, row.status))
        return self.source

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def table(postgres: PostgresServer) -> Iterator[Table]:
    url = postgres.create_database()
    table = Table(url)
    yield table
    table.close()
    postgres.drop_database(url)


@dataclass(frozen=True)
class SparkRows:
    """Rows as a frame of Spark's, in some partitions."""

    session: SparkSession
    rows: tuple[LogRow, ...]

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:  # noqa: ARG002
        from pyspark.sql import functions as fn

        from lifecycle_adapters.logs.spark.spark_dialect import records_of
        from lifecycle_adapters.logs.spark.spark_engine import SparkEngine, computed

        rows = [(row.task, row.at_us, row.sequence, row.place, row.status) for row in self.rows]
        schema = "task_id string, at_us bigint, sequence bigint, place bigint, status string"
        frame = self.session.createDataFrame(rows, schema=schema).repartition(3)  # pyright: ignore[reportUnknownMemberType]
        timed = frame.withColumn("at", fn.timestamp_micros("at_us"))
        records = records_of(timed, columns, rules, place=fn.col("place"))
        return LoadedLog(SparkEngine(self.session, computed(records)), (NAME,), are_files=False)


# --- any small log ------------------------------------------------------------------------------

TIMES_US = st.sampled_from([0, 1, -1, 999, 1_000, 1_001, 99_999, EARLIEST_US, LATEST_US]) | st.integers(
    EARLIEST_US, LATEST_US
)
DISTINCT_TIMES_US = st.builds(range, st.integers(-(10**15), 0), st.just(10**17), st.sampled_from([1, 999, 10**11]))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
NAMES = st.sampled_from(STRANGE) | TEXTS


@st.composite
def cases(draw: st.DrawFn, *, ordered: bool = False) -> Case:
    """Draw any log, with one violation, none or many; `ordered` by times or only by the sequence."""
    lifecycle = draw(st.sampled_from([*CATALOG.values(), ALIASED]) | lifecycles())
    channel = draw(st.sampled_from(sorted({"api", *(alias.channel for alias in lifecycle.aliases)})))
    mode: Mode = draw(st.sampled_from(["exact", "sampled"]))
    defects = st.sampled_from([None, *possible_defects(lifecycle, mode=mode)])
    likely = defects.flatmap(lambda defect: histories(lifecycle, defect=defect, mode=mode, channel=channel))
    unlikely = st.lists(st.sampled_from([*lifecycle.statuses(channel=channel)]) | NAMES, max_size=10)
    timed, sequenced = draw(st.sampled_from([(True, False), (True, True), (False, True), (False, ordered)]))
    moments = draw(DISTINCT_TIMES_US if ordered else st.lists(TIMES_US, min_size=1, max_size=4)) if timed else [0]
    rows: list[LogRow] = []
    for task in draw(st.lists(NAMES, unique=True, min_size=1, max_size=4)):
        statuses = draw(likely | unlikely)
        for number, status in enumerate(filter(None, statuses)):  # a row of an empty status cannot be read
            at_us = moments[number if timed else 0] if ordered else draw(st.sampled_from(moments))
            sequence = 0 if not sequenced else number if ordered else draw(st.integers(-2, 2))
            rows.append(LogRow(task, at_us, sequence, len(rows) + 1, status))
    rows = rows or [LogRow("a", moments[0], 0, 1, str(lifecycle.initial))]
    notes = draw(st.booleans())
    threads = draw(st.sampled_from([1, 2, 5]))
    case = Case(lifecycle, tuple(rows), channel, mode, notes, timed, sequenced, threads)
    return case.reordered(draw(st.permutations(range(len(rows)))))


def agrees(case: Case, source: Source) -> None:
    with case.checked(source) as log:
        assert outcome(log, [NAME]) == case.expected()


@given(cases())
@settings(max_examples=examples(20))
def test_duckdb_agrees_with_the_reference(case: Case) -> None:
    agrees(case, Rows(case.rows))


@given(cases())
@settings(max_examples=examples(15))
def test_postgresql_agrees_with_the_reference(table: Table, case: Case) -> None:
    assume(not any("\0" in row.status for row in case.rows))  # PostgreSQL's text cannot hold NUL
    agrees(case, table.fill(case.rows))


def unplaced(found: Outcome) -> tuple[Any, ...]:
    """Return the parts that do not depend on the position of a row."""
    findings = sorted((each[:2] + each[3:] for each in found.findings), key=repr)
    edges = [replace(edge, example=0) for edge in found.report["observed_transitions"]]
    return findings, {**found.report, "observed_transitions": edges}


@given(cases(ordered=True), st.data())
@settings(max_examples=examples(8))
def test_the_order_of_rows_does_not_matter_if_times_and_sequence_determine_one(case: Case, data: st.DataObject) -> None:
    other = case.reordered(data.draw(st.permutations(range(len(case.rows)))))
    with case.checked(Rows(case.rows)) as one, other.checked(Rows(other.rows)) as another:
        assert unplaced(outcome(one, [NAME])) == unplaced(outcome(another, [NAME]))
        assert one.report.ties == 0


@pytest.mark.heavy
@given(cases())
@settings(max_examples=500)
def test_duckdb_agrees_with_the_reference_on_many_logs(case: Case) -> None:
    agrees(case, Rows(case.rows))


@pytest.mark.heavy
@given(cases())
@settings(max_examples=200)
def test_postgresql_agrees_with_the_reference_on_many_logs(table: Table, case: Case) -> None:
    assume(not any("\0" in row.status for row in case.rows))  # PostgreSQL's text cannot hold NUL
    agrees(case, table.fill(case.rows))


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
@given(cases())
@settings(max_examples=12)
def test_spark_agrees_with_the_reference(spark: SparkSession, case: Case) -> None:
    agrees(case, SparkRows(spark, case.rows))


# --- one large log ------------------------------------------------------------------------------


def large_log(lifecycle: Declared, *, tasks: int, seed: int) -> tuple[LogRow, ...]:
    """Return about eight rows for each task: legal walks with some errors, in the order of their times."""
    rng = random.Random(seed)
    words = [*lifecycle.statuses(), "melted"]
    rows: list[LogRow] = []
    for number in range(tasks):
        at_us = rng.randrange(10**15)
        state = str(lifecycle.initial)
        for _ in range(rng.randint(1, 15)):
            status = rng.choice(words) if rng.random() < 0.1 else state
            rows.append(LogRow(f"task-{number}", at_us, 0, 0, status))
            at_us += rng.choice([0, 1, 999, rng.randrange(10**6), rng.randrange(10**11)])
            state = rng.choice([state, *(str(lifecycle.step(state, event)) for event in lifecycle.allowed(state))])
    rows.sort(key=lambda row: row.at_us)
    return tuple(replace(row, place=place) for place, row in enumerate(rows, start=1))


@pytest.mark.heavy
@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_all_agree_on_a_large_log(table: Table, mode: Mode) -> None:
    lifecycle = CATALOG["v3-full"]
    rows = large_log(lifecycle, tasks=40_000, seed=4)
    case = Case(lifecycle, rows, mode=mode, notes=True, sequenced=False, threads=2)
    assert len(rows) > 300_000
    with case.checked(Rows(rows)) as here, case.checked(table.fill(rows)) as there:
        found = outcome(here, [NAME])
        assert {code for _, _, _, code, *_ in found.findings} >= {*possible_defects(lifecycle, mode=mode)}
        assert found == outcome(there, [NAME]) == case.expected()
