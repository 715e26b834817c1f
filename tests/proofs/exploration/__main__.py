"""Explore one command of one lifecycle and print the findings; exit with 1 if a rule is broken."""

# ruff: noqa: T201 (this is a command line)

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

from lifecycle import get
from tests.proofs.exploration.oracle import Unknowable
from tests.proofs.exploration.scenarios import LARGE, LIFECYCLES, SMALL, explore
from tests.proofs.exploration.stories import describe
from tests.proofs.exploration.subject import Subject


def main() -> int:
    """Parse the command line, explore, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.exploration", description=__doc__)
    parser.add_argument("lifecycle", choices=[each.name for each in LIFECYCLES])
    parser.add_argument("command", help="a command of that lifecycle")
    parser.add_argument("--alone", type=int, help="number of failures in a story of one worker")
    parser.add_argument("--together", type=int, help="number of failures in a story of two workers")
    parser.add_argument("--large", action="store_true", help="use the bounds of the heavy tests; takes minutes")
    parser.add_argument("--unknowables", action="store_true", help="also print a story of each unknowable")
    given = parser.parse_args()
    began = time.perf_counter()
    scale = LARGE if given.large else SMALL
    if given.alone is not None:
        scale = scale._replace(alone=replace(scale.alone, total=given.alone, surprises=given.alone))
    if given.together is not None:
        scale = scale._replace(together=replace(scale.together, total=given.together))
    explored = explore(Subject(get(given.lifecycle)), given.command, scale)
    took_s = time.perf_counter() - began
    for story in explored.violations:
        print(describe(story), end="\n\n")
    if given.unknowables:
        for story in explored.unknowable_stories:
            print(describe(story), end="\n\n")
    print(f"{explored.states} states and {explored.steps} steps in {took_s:.1f} s")
    for unknowable in Unknowable:
        print(f"  {explored.unknowables[unknowable]:7} {unknowable.name}: {unknowable.value}")
    print(f"  {len(explored.violations):7} violations")
    return 1 if explored.violations else 0


if __name__ == "__main__":
    sys.exit(main())
