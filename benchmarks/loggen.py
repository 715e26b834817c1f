"""Logs to check: lawful histories, some with a defect, and the list of all findings that a check must make.

A history is a walk over the declared table. A defect changes a walk in a place where its consequences follow from the
table alone; nothing here calls the code that judges histories. A few thousand different histories are made one by one.
Each task then gets one of them, with times of its own. That is done with arrays, so that 100 million rows take minutes
and a gigabyte.

`python -m benchmarks.loggen OUT.parquet --events 10000000 --seed 1` writes a log.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import numpy.typing as npt

from lifecycle import V1_FULL, FindingCode, Lifecycle
from lifecycle_adapters.logs.columns import RejectReason

Defect = FindingCode | RejectReason
"""The injected defects, named by their findings."""

DEFECTS: tuple[Defect, ...] = (*FindingCode, RejectReason.NO_TASK, RejectReason.NO_STATUS, RejectReason.NO_TIME)
RATE = 0.0002  # of the tasks, for each defect

_UNKNOWN = "hibernating"
_GO_ON = 5  # a walk takes a row that leads on this many times as often as one that ends it
_CUT = 0.02  # the probability that a task's log breaks off after a row
_LONGEST = 30  # the most rows of a task
_LAWFUL = 2_000  # the number of different histories
_DEFECTIVE = 200  # the number of histories with each defect
_TASKS = 250_000  # the number of tasks made at once
_BEGIN_US = 1_767_225_600_000_000  # 2026-01-01
_BETWEEN_TASKS_S = 3.0  # between the first rows of two tasks, on average
_BETWEEN_ROWS_S = 60.0  # between two rows of a task, the median; one in forty is seven times as long


@dataclass(frozen=True, slots=True)
class Injected:
    """The expected finding of a row: its number in the file, from 1, its task (None if it has no id), the defect."""

    row: int
    task: str | None
    defect: Defect


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a history, and the defect that a check must find in it."""

    status: str
    defect: Defect | None = None


History = list[Entry]


class Histories:
    """Random walks over a lifecycle's table, with and without a defect.

    The method of a defect yields every way to put it into one walk, with all its consequences.
    """

    def __init__(self, lifecycle: Lifecycle[Any, Any], random: Random) -> None:
        self._random = random
        self._states = [str(state.name) for state in lifecycle.states]
        self._initial = str(lifecycle.initial)
        self._next: dict[str, list[str]] = {state: [] for state in self._states}
        for row in lifecycle.transitions:
            if row.source != row.target:  # as a row of a log this would be a duplicate
                self._next[str(row.source)].append(str(row.target))
        self._later = {state: self._reached_from(state) for state in self._states}
        self._injections: dict[Defect, Callable[[list[str]], Iterator[History]]] = {
            FindingCode.UNKNOWN_STATUS: self._with_unknown,
            FindingCode.WRONG_START: self._without_start,
            FindingCode.DUPLICATE: self._with_duplicate,
            FindingCode.AFTER_FINAL: self._after_final,
            FindingCode.GAP: self._with_gap,
            FindingCode.OUT_OF_ORDER: self._with_late,
            FindingCode.IMPOSSIBLE: self._with_impossible,
            RejectReason.NO_TASK: lambda walk: self._with_row(walk, Entry(walk[0], RejectReason.NO_TASK)),
            RejectReason.NO_STATUS: lambda walk: self._with_row(walk, Entry(walk[0], RejectReason.NO_STATUS)),
            RejectReason.NO_TIME: lambda walk: self._with_row(walk, Entry(walk[0], RejectReason.NO_TIME)),
        }

    def lawful(self, number: int) -> list[History]:
        """Return this many histories without a defect."""
        return [_entries(self._walk()) for _ in range(number)]

    def defective(self, defect: Defect, number: int) -> list[History]:
        """Return histories with this defect, made from this many walks; none if no history can have it."""
        ways = (list(self._injections[defect](self._walk())) for _ in range(number))
        return [self._random.choice(each) for each in ways if each]

    def _walk(self) -> list[str]:
        walk = [self._initial]
        while (targets := self._next[walk[-1]]) and len(walk) < _LONGEST and self._random.random() >= _CUT:
            weights = [_GO_ON if self._next[target] else 1 for target in targets]
            walk += self._random.choices(targets, weights)
        return walk

    def _reached_from(self, state: str) -> set[str]:
        reached: set[str] = set()
        ahead = [*self._next[state]]
        while ahead:
            if (target := ahead.pop()) not in reached:
                reached.add(target)
                ahead += self._next[target]
        return reached

    def _with_row(self, walk: list[str], entry: Entry) -> Iterator[History]:
        """Yield the walk with a row put in anywhere, which does not change what the other rows mean."""
        for at in range(len(walk) + 1):
            yield [*_entries(walk[:at]), entry, *_entries(walk[at:])]

    def _with_unknown(self, walk: list[str]) -> Iterator[History]:
        assert _UNKNOWN not in self._states
        return self._with_row(walk, Entry(_UNKNOWN, FindingCode.UNKNOWN_STATUS))

    def _without_start(self, walk: list[str]) -> Iterator[History]:
        if len(walk) > 1:
            yield [Entry(walk[1], FindingCode.WRONG_START), *_entries(walk[2:])]

    def _with_duplicate(self, walk: list[str]) -> Iterator[History]:
        for at, state in enumerate(walk, start=1):
            yield [*_entries(walk[:at]), Entry(state, FindingCode.DUPLICATE), *_entries(walk[at:])]

    def _after_final(self, walk: list[str]) -> Iterator[History]:
        """Yield the walk with one row more, or with two of which the second would be lawful after the first."""
        if self._next[walk[-1]]:
            return
        for state in self._states:
            if state != walk[-1]:
                first = [*_entries(walk), Entry(state, FindingCode.AFTER_FINAL)]
                yield first
                for target in self._next[state]:
                    yield [*first, Entry(target, FindingCode.AFTER_FINAL)]

    def _with_gap(self, walk: list[str]) -> Iterator[History]:
        for at in range(1, len(walk) - 1):
            before, after = walk[at - 1], walk[at + 1]
            if after != before and after not in self._next[before]:
                yield [*_entries(walk[:at]), Entry(after, FindingCode.GAP), *_entries(walk[at + 2 :])]

    def _with_late(self, walk: list[str]) -> Iterator[History]:
        """A report of an earlier state; from there the walk's next state is reached, too, if not directly."""
        for at, known in enumerate(walk, start=1):
            for state in self._states:
                is_late = known in self._later[state] and state not in self._later[known]
                if self._next[known] and is_late:
                    rest = _entries(walk[at:])
                    if rest and rest[0].status not in self._next[state]:
                        rest[0] = Entry(rest[0].status, FindingCode.GAP)
                    yield [*_entries(walk[:at]), Entry(state, FindingCode.OUT_OF_ORDER), *rest]

    def _with_impossible(self, walk: list[str]) -> Iterator[History]:
        """Yield walks that end at a state on another branch, because no step of the walk need follow from there."""
        for at, known in enumerate(walk, start=1):
            for state in self._states:
                related = state in self._later[known] or known in self._later[state]
                if self._next[known] and state != known and not related:
                    yield [*_entries(walk[:at]), Entry(state, FindingCode.IMPOSSIBLE)]


def _entries(walk: Sequence[str]) -> History:
    return [Entry(state) for state in walk]


Rows = dict[str, npt.NDArray[np.int64]]
"""Columns of equal length: `task` (its number), `at_us`, `status` and `defect` (their codes)."""


class _Stream:
    """An endless stream of rows in the order of time, made for a few thousand tasks at once."""

    def __init__(self, lifecycle: Lifecycle[Any, Any], rates: Mapping[Defect, float], seed: int, tasks: int) -> None:
        self._dice = np.random.default_rng(seed)
        self._tasks = tasks
        histories = Histories(lifecycle, Random(seed))
        pools = {defect: histories.defective(defect, _DEFECTIVE) for defect in DEFECTS if rates.get(defect)}
        pools = {defect: pool for defect, pool in pools.items() if pool}
        lawful = histories.lawful(_LAWFUL)
        shares = [rates[defect] for defect in pools]
        if min(shares, default=0.0) < 0 or sum(shares) > 1:
            raise ValueError(f"rates are shares of the tasks and at most 1 together, not {shares}")
        self._shares = np.array([*shares, 1 - sum(shares)])
        self._sizes = np.array([*map(len, pools.values()), len(lawful)])
        every = [*(history for pool in pools.values() for history in pool), *lawful]
        self.statuses = sorted({entry.status for history in every for entry in history})
        codes: dict[Defect | None, int] = {None: 0, **{defect: code for code, defect in enumerate(DEFECTS, start=1)}}
        self._status = np.array([self.statuses.index(entry.status) for history in every for entry in history])
        self._defect = np.array([codes[entry.defect] for history in every for entry in history])
        self._lengths = np.array([len(history) for history in every])
        self._firsts = np.cumsum(self._lengths) - self._lengths

    def __iter__(self) -> Iterator[Rows]:
        """Yield the rows up to some time; later rows are kept for the next turn."""
        begin_us, made = _BEGIN_US, 0
        kept: Rows = {name: np.empty(0, np.int64) for name in ("task", "at_us", "status", "defect")}
        while True:
            starts_us = begin_us + np.cumsum(
                self._dice.exponential(_BETWEEN_TASKS_S * 1e6, self._tasks).astype(np.int64)
            )
            rows = {name: np.concatenate((kept[name], new)) for name, new in self._rows(made, starts_us).items()}
            begin_us, made = int(starts_us[-1]), made + self._tasks
            order = np.argsort(rows["at_us"], kind="stable")
            complete = int(np.count_nonzero(rows["at_us"] <= begin_us))
            yield {name: column[order[:complete]] for name, column in rows.items()}
            kept = {name: column[order[complete:]] for name, column in rows.items()}

    def _rows(self, made: int, starts_us: npt.NDArray[np.int64]) -> Rows:
        pool = self._dice.choice(len(self._sizes), self._tasks, p=self._shares)
        history = (np.cumsum(self._sizes) - self._sizes)[pool] + self._dice.integers(self._sizes[pool])
        lengths = self._lengths[history]
        firsts = np.cumsum(lengths) - lengths  # of each task, among these rows
        entry = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(self._firsts[history] - firsts, lengths)
        gaps_us = 1 + self._dice.lognormal(np.log(_BETWEEN_ROWS_S * 1e6), 1.0, len(entry)).astype(np.int64)
        since_us = np.cumsum(gaps_us)
        return {
            "task": np.repeat(np.arange(made, made + self._tasks), lengths),
            "at_us": since_us + np.repeat(starts_us - since_us[firsts], lengths),
            "status": self._status[entry],
            "defect": self._defect[entry],
        }


def generate(
    path: Path,
    *,
    events: int,
    seed: int = 1,
    lifecycle: Lifecycle[Any, Any] = V1_FULL,
    rates: Mapping[Defect, float] | None = None,
) -> list[Injected]:
    """Write a Parquet log of task_id, at and status, in the order of time, and return what must be found in it.

    The log ends after so many rows, also in the middle of a task. The same arguments make the same log.

    Args:
        rates: the share of tasks with each defect; RATE for each if omitted. A task has at most one defect, and a
            defect that no history of this lifecycle can have is left out.
    Returns:
        The expected findings of the mode "exact", notes included, in the order of rows.
    Raises:
        ValueError: a rate is negative, or their sum is more than 1.
    """
    rates = dict.fromkeys(DEFECTS, RATE) if rates is None else rates
    stream = _Stream(lifecycle, rates, seed, tasks=max(1, min(events, _TASKS)))
    injected: list[Injected] = []
    written = 0
    with TemporaryDirectory(dir=path.parent) as scratch, duckdb.connect(Path(scratch, "rows.duckdb")) as database:
        database.execute("SET TimeZone = 'UTC'; SET memory_limit = '1GB'")
        database.execute("CREATE TABLE numbers (task BIGINT, at_us BIGINT, status TINYINT, defect TINYINT)")
        batches = iter(stream)
        while written < events:
            batch = {name: column[: events - written] for name, column in next(batches).items()}
            database.register("batch", batch)
            database.execute("INSERT INTO numbers SELECT task, at_us, status, defect FROM batch")
            injected += _injected(batch, written, seed)
            written += len(batch["task"])
        database.execute(_written(path, stream.statuses, seed))
    return injected


def _injected(batch: Rows, written: int, seed: int) -> Iterator[Injected]:
    for row in np.flatnonzero(batch["defect"]).tolist():
        defect = DEFECTS[int(batch["defect"][row]) - 1]
        task = None if defect is RejectReason.NO_TASK else _task_id(int(batch["task"][row]), seed)
        yield Injected(written + row + 1, task, defect)


def _task_id(number: int, seed: int) -> str:
    return str(UUID(hashlib.md5(f"{seed}:{number}".encode(), usedforsecurity=False).hexdigest()))


def _written(path: Path, statuses: Sequence[str], seed: int) -> str:
    no_task, no_status, no_time = (
        DEFECTS.index(fault) + 1 for fault in (RejectReason.NO_TASK, RejectReason.NO_STATUS, RejectReason.NO_TIME)
    )
    return f"""
COPY (SELECT CASE WHEN defect <> {no_task} THEN md5('{seed}:' || task)::UUID::VARCHAR END AS task_id,
             CASE WHEN defect <> {no_time} THEN make_timestamp(at_us)::TIMESTAMPTZ END AS "at",
             CASE WHEN defect <> {no_status} THEN {list(statuses)}[status + 1] END AS status
      FROM numbers)
TO '{str(path).replace("'", "''")}' (FORMAT parquet, COMPRESSION zstd)"""


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loggen", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="the Parquet file; OUT.injected.jsonl beside it lists what is in it")
    parser.add_argument("--events", type=int, default=10_000_000, help="rows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another log (default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=RATE, help="share of tasks with each defect (default: %(default)s)"
    )
    for defect in DEFECTS:
        option = f"--{defect.replace('_', '-').replace(' ', '-')}"
        parser.add_argument(option, dest=defect, type=float, metavar="RATE", help=f"share of tasks with {defect}")
    given = vars(parser.parse_args())
    rates = {defect: given["rate"] if given[defect] is None else given[defect] for defect in DEFECTS}
    injected = generate(given["out"], events=given["events"], seed=given["seed"], rates=rates)
    with given["out"].with_suffix(".injected.jsonl").open("w") as file:
        file.writelines(json.dumps(asdict(each)) + "\n" for each in injected)


if __name__ == "__main__":
    _main()
