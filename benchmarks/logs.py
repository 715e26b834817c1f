"""Checking a log of ten million rows, compared with only reading it and with other tools that find such things.

All runs read one generated log (see loggen.py), each in a process of its own (see logruns.py). Token-based replay would
take minutes for the whole log, so it gets a tenth of the tasks, and so does our check beside it.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import duckdb
import numpy as np

from benchmarks.logruns import Took, measured
from benchmarks.measure import Bound, Measure, Row, compare, duration, statement
from lifecycle import V1_FULL

_GIB = 2**30
_READABLE = ("--no-task-id", "--no-status", "--no-time")  # pm4py accepts no row without an id, a status or a time
_LARGER = 10  # the size of the log with --large, in logs without it
_SHARE = "left(task_id, 2) < '1a'"  # selects a tenth of the tasks: ids are hexadecimal


class _Log:
    """A log and what its runs took."""

    def __init__(self, path: Path, rows: int | None = None) -> None:
        self.path = path
        self.rows = rows or int(duckdb.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchall()[0][0])
        self.took: defaultdict[str, list[Took]] = defaultdict(list)

    def run(self, name: str) -> Measure:
        """Return a function that measures a run."""

        def measure() -> float:
            self.took[name].append(measured(name, self.path))
            return self.took[name][-1].seconds

        return measure

    @property
    def seconds_per_row(self) -> float:
        return median(took.seconds for took in self.took["check"]) / self.rows

    @property
    def peak_bytes(self) -> int:
        return max(took.peak_bytes for took in self.took["check"])


def rows(*, events: int, pairs: int, tasks: int, large: bool) -> list[Row]:
    """Measure a log of this many events, with `large` also one of ten times as many, and this many tasks in arrays."""
    with TemporaryDirectory() as directory:
        log = _generated(Path(directory, "log.parquet"), events)
        share = _shared(log, Path(directory, "share.parquet"))
        beside = [*_beside_others(log, share, pairs), *_texts_beside_duckdb(share, pairs)]
        larger = [_generated(Path(directory, "larger.parquet"), events * _LARGER)] if large else []
        for each in larger:
            each.run("check")()
        by_size = [share, log, *larger]
        linear = [_is_linear(small, great) for small, great in pairwise(by_size)]
        memory = [_memory(each, gib) for each, gib in zip(by_size[1:], (1.2, 2.0), strict=False)]
    return [*beside, *memory, *linear, _step_many(tasks)]


def _generated(path: Path, events: int) -> _Log:
    # In a process of its own: a process starts with the peak memory of the one that forks it.
    command = [sys.executable, "-m", "benchmarks.loggen", str(path), "--events", str(events)]
    subprocess.run([*command, *(f"{option}=0" for option in _READABLE)], check=True)
    return _Log(path)


def _shared(log: _Log, path: Path) -> _Log:
    duckdb.execute(f"COPY (FROM read_parquet('{log.path}') WHERE {_SHARE}) TO '{path}' (FORMAT parquet)")
    return _Log(path)


def _beside_others(log: _Log, share: _Log, pairs: int) -> Iterator[Row]:
    peers = [
        (log, "DuckDB: only reading the columns", "read", Bound.AT_MOST, 8.0, pairs),
        (log, "DuckDB: one window query with lag", "lag", Bound.AT_MOST, 1.6, pairs),
        (log, "pm4py: directly-follows graph, Polars", "graph-polars", Bound.AT_LEAST, 3.0, 1),
        (log, "pm4py: directly-follows graph, pandas", "graph-pandas", Bound.AT_LEAST, 3.0, 1),
        (share, "pm4py: token-based replay", "replay", Bound.AT_LEAST, 25.0, 1),
    ]
    for which, name, run, bound, limit, times in peers:
        what = f"a log of {which.rows:,} rows, checked"
        ours, its = which.run("check"), which.run(run)
        yield compare(what, ours, name, its, bound=bound, limit=limit, pairs=times, warm_up=False)


def _texts_beside_duckdb(share: _Log, pairs: int) -> Iterator[Row]:
    for suffix, options, its in (("csv", "FORMAT csv, HEADER", "read_csv"), ("jsonl", "FORMAT json", "read_ndjson")):
        path = share.path.with_suffix(f".{suffix}")
        duckdb.execute(f"COPY (FROM read_parquet('{share.path}')) TO '{path}' ({options})")
        log = _Log(path, rows=share.rows)
        what = f"a log of {share.rows:,} rows as {suffix}, only read"
        peer = f"DuckDB: {its} into a table"
        yield compare(
            what,
            log.run("load"),
            peer,
            log.run(f"duckdb-{suffix}"),
            bound=Bound.AT_MOST,
            limit=3.0,
            pairs=pairs,
            warm_up=False,
        )


def _memory(log: _Log, gib: float) -> Row:
    what = f"a log of {log.rows:,} rows: peak memory"
    ours = f"{log.peak_bytes / _GIB:.2f} GiB"
    return Row(what, "a limit", ours, f"{gib:g} GiB", log.peak_bytes / _GIB / gib, None, Bound.AT_MOST, 1.0)


def _is_linear(small: _Log, great: _Log) -> Row:
    return Row(
        f"a log of {great.rows:,} rows: time per million",
        f"of {small.rows:,} rows",
        duration(great.seconds_per_row * 1e6),
        duration(small.seconds_per_row * 1e6),
        great.seconds_per_row / small.seconds_per_row,
        None,
        Bound.AT_MOST,
        2.0,
    )


def _step_many(tasks: int) -> Row:
    from lifecycle_adapters.arrays import CodedLifecycle

    coded = CodedLifecycle(V1_FULL)
    dice = np.random.default_rng(1)
    names = {
        "step_many": coded.step_many,
        "states": dice.integers(len(coded.states), size=tasks, dtype=np.uint8),
        "events": dice.integers(len(coded.events), size=tasks, dtype=np.uint8),
    }
    each_s = median(statement("step_many(states, events)", names, operations=tasks)() for _ in range(5))
    what, limit_s = f"step_many: one of {tasks:,} tasks", 2e-9
    return Row(what, "a limit", duration(each_s), duration(limit_s), each_s / limit_s, None, Bound.AT_MOST, 1.0)
