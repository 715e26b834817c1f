"""Measure everything and print the table: `python -m benchmarks`, or `--quick` to see only that it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from benchmarks import client, declaring, emulator, imports, journal, logs, lookups, memory, watch
from benchmarks.measure import Row
from benchmarks.table import facts, summary, table


def main() -> None:
    """Measure, and print the table. A missed target is printed, too, and the exit code stays 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure so little that the figures mean nothing")
    parser.add_argument("--large", action="store_true", help="check a log of 100 million rows, too: minutes, and 4 GB")
    given = parser.parse_args()
    rows = list(_measured(quick=given.quick, large=given.large))
    print(facts(), table(rows), summary(rows), sep="\n\n")


def _measured(*, quick: bool, large: bool) -> Iterator[Row]:
    subjects: dict[str, Callable[[], list[Row]]] = {
        "look-ups": lambda: lookups.rows(pairs=3 if quick else 51),
        "declaring": lambda: declaring.rows(states=100 if quick else 2_000, pairs=1 if quick else 7),
        "memory": lambda: memory.rows(tasks=1_000 if quick else 1_000_000),
        "imports": lambda: imports.rows(pairs=1 if quick else 15),
        "client": lambda: client.rows(pairs=1 if quick else 31, cycles=2 if quick else 20),
        "emulator": lambda: emulator.rows(pairs=1 if quick else 51, requests=80 if quick else 640),
        "journal": lambda: journal.rows(
            pairs=1 if quick else 15, transitions=2 if quick else 20, known=(100, 200) if quick else (1_000, 1_000_000)
        ),
        "logs": lambda: logs.rows(
            events=20_000 if quick else 10_000_000,
            pairs=1 if quick else 3,
            tasks=1_000 if quick else 1_000_000,
            large=large,
        ),
        "watch": lambda: watch.rows(tasks=50 if quick else 10_000, idle_s=0.2 if quick else 5.0),
    }
    for name, rows in subjects.items():
        print(f"measuring {name} ...", file=sys.stderr)
        yield from rows()


if __name__ == "__main__":
    main()
