"""The exhaustive exploration of the procedure: no story within the bounds breaks a rule of the oracle."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from lifecycle import get
from tests.lifecycle.drivers import Declared
from tests.proofs import exploration
from tests.proofs.exploration.mutants import MUTANTS, Mutant
from tests.proofs.exploration.oracle import Unknowable, Violation
from tests.proofs.exploration.scenarios import EXTENDED, FULL, LARGE, explore
from tests.proofs.exploration.search import Exploration, Explored
from tests.proofs.exploration.stories import describe
from tests.proofs.exploration.subject import RECOVER, Bounds, Program, Subject
from tests.support.packages import ROOT


def commands(lifecycles: list[Declared]) -> list[Any]:
    return [pytest.param(each, name, id=f"{each.name}-{name}") for each in lifecycles for name in each.commands]


def assert_nothing_is_broken(explored: Explored) -> None:
    assert not explored.violations, "\n\n".join(map(describe, explored.violations))
    assert explored.states > 1000


@pytest.mark.heavy
@pytest.mark.parametrize(("lifecycle", "command"), commands(FULL))
def test_no_execution_breaks_a_rule(lifecycle: Declared, command: str) -> None:
    assert_nothing_is_broken(explore(Subject(lifecycle), command))


@pytest.mark.heavy
@pytest.mark.parametrize(("lifecycle", "command"), commands(EXTENDED))
def test_no_execution_of_a_smaller_lifecycle_breaks_a_rule(lifecycle: Declared, command: str) -> None:
    assert_nothing_is_broken(explore(Subject(lifecycle), command))


@pytest.mark.heavy
@pytest.mark.parametrize(("lifecycle", "command"), commands(FULL))
def test_no_longer_execution_breaks_a_rule(lifecycle: Declared, command: str) -> None:
    assert_nothing_is_broken(explore(Subject(lifecycle), command, LARGE))


def findings(explored: Explored) -> set[tuple[Violation | Unknowable, str]]:
    return set(explored.stories)


@pytest.mark.parametrize("second", [None, pytest.param(RECOVER, marks=pytest.mark.heavy)], ids=str)
@pytest.mark.parametrize(
    ("name", "command"),
    [("v1-full", "pause"), pytest.param("v3-full", "dispatch", marks=pytest.mark.heavy)],
)
def test_merging_equal_generators_loses_no_finding(name: str, command: str, second: Program | None) -> None:
    bounds = Bounds(total=1 if second else 2)
    merged, apart = (
        Exploration(Subject(get(name), merges=merges), Program(command), second, bounds).run()
        for merges in (True, False)
    )
    assert findings(merged) == findings(apart)
    assert merged.states < apart.states


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.name}-{mutant.breaks.name}")
def test_every_mutant_breaks_its_rule(mutant: Mutant) -> None:
    subject = mutant.subject(get(mutant.lifecycle))
    explored = Exploration(subject, mutant.first, mutant.second, Bounds(mutant.total)).run(stops_at=mutant.breaks)
    stories = [story for story in explored.violations if story.finding is mutant.breaks]
    assert stories, f"{mutant.name} was not found in {explored.states} states"
    assert "\n 1. worker " in describe(stories[0])


def test_every_unknowable_has_a_description() -> None:
    assert exploration.__doc__
    assert all(f"* {each.name}: " in exploration.__doc__ for each in Unknowable)


@pytest.mark.heavy
def test_what_the_page_shows_is_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "explanation" / "how-we-know.md").read_text(encoding="utf-8")
    [(arguments, shown)] = re.findall(
        r"^    \$ python -m tests\.proofs\.exploration (.*)\n((?:    .*\n)+)", page, re.MULTILINE
    )
    command = [sys.executable, "-m", "tests.proofs.exploration", *arguments.split()]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    def timeless(text: str) -> list[str]:
        return [re.sub(r"in [0-9.]+ s$", "in ... s", line.strip()) for line in text.splitlines()]

    assert timeless(shown) == timeless(printed)
