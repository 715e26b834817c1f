"""The benchmarks run and say what they found; never that something took so long, which is for `make bench`."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.measure import Bound, Row, compare, duration
from benchmarks.table import summary, table

ROOT = Path(__file__).parents[1]
MET = Row("a", "b", "1 ms", "1 ms", ratio=1.0, best=1.0, bound=Bound.AT_MOST, limit=1.3)


@pytest.mark.parametrize(
    ("bound", "limit", "ratio", "verdict"),
    [
        (Bound.AT_MOST, 2.0, 1.9, "met"),
        (Bound.AT_MOST, 2.0, 2.0, "met"),
        (Bound.AT_MOST, 2.0, 2.5, "MISSED BY 25%"),
        (Bound.AT_LEAST, 40.0, 40.0, "met"),
        (Bound.AT_LEAST, 40.0, 30.0, "MISSED BY 25%"),
    ],
)
def test_row_shows_by_how_much_it_misses(bound: Bound, limit: float, ratio: float, verdict: str) -> None:
    assert replace(MET, ratio=ratio, bound=bound, limit=limit).verdict == verdict


def test_a_ratio_is_the_median_of_the_pairs_and_says_who_took_longer() -> None:
    ours, peer = iter((99.0, 4.0, 5.0, 6.0)), iter((99.0, 2.0, 1.0, 2.0))

    row = compare("ours", lambda: next(ours), "peer", lambda: next(peer), bound=Bound.AT_MOST, limit=2.0, pairs=3)

    assert (row.ratio, row.best, row.ours, row.peer) == (3.0, 4.0, "5 s", "2 s")


def test_without_a_warm_up_every_measurement_counts() -> None:
    ours, peer = iter((4.0,)), iter((2.0,))

    row = compare(
        "ours", lambda: next(ours), "peer", lambda: next(peer), bound=Bound.AT_MOST, limit=2.0, pairs=1, warm_up=False
    )

    assert (row.ours, row.peer) == ("4 s", "2 s")


def test_faster_is_a_greater_ratio() -> None:
    row = compare("ours", lambda: 2.0, "peer", lambda: 80.0, bound=Bound.AT_LEAST, limit=40.0, pairs=1)

    assert row.ratio == 40.0
    assert row.is_met


@pytest.mark.parametrize(("seconds", "text"), [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (4e-6, "4 us"), (6.1e-8, "61 ns")])
def test_a_time_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_table_has_a_line_for_each_row_and_the_summary_counts_them() -> None:
    missed = replace(MET, ratio=2.6)

    assert len(table([MET, missed]).splitlines()) == 3
    assert summary([MET, missed]) == "1 of 2 targets met, 1 MISSED"
    assert summary([MET]) == "1 of 1 targets met"


@pytest.mark.heavy
def test_every_benchmark_runs() -> None:
    quick = [sys.executable, "-m", "benchmarks", "--quick"]
    done = subprocess.run(quick, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if re.search(r"  (met|MISSED BY \d+%)$", line)] == lines[4:-2]
    for subject in (
        "V1.target",
        "V1.step",
        "objects",
        "import lifecycle",
        "Client",
        "AsyncClient",
        "emulator",
        "watched",
        "only reading the columns",
        "directly-follows graph, Polars",
        "directly-follows graph, pandas",
        "token-based replay",
        "peak memory",
        "step_many",
    ):
        assert any(subject in line for line in lines)
