"""The exhaustive exploration of the procedure: no story within its bounds breaks a rule of the oracle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lifecycle.drivers import Declared
from tests.proofs.exploration.oracle import Unknowable, Violation
from tests.proofs.exploration.scenarios import ALONE, FULL, LIFECYCLES, TOGETHER, explore
from tests.proofs.exploration.search import Exploration, Explored
from tests.proofs.exploration.stories import told
from tests.proofs.exploration.subject import KEY, RECOVER, Bounds, Program, Subject

SMALL = [pytest.param(each, command, id=f"{each.name}-{command}") for each in FULL for command in each.commands]
ALL = [pytest.param(each, command, id=f"{each.name}-{command}") for each in LIFECYCLES for command in each.commands]


def assert_nothing_is_broken(explored: Explored) -> None:
    assert not explored.violations, "\n\n".join(map(told, explored.violations))
    assert explored.states > 500


@pytest.mark.parametrize(("lifecycle", "command"), SMALL)
def test_no_story_breaks_a_rule(lifecycle: Declared, command: str) -> None:
    assert_nothing_is_broken(explore(Subject(lifecycle), command))


@pytest.mark.heavy
@pytest.mark.parametrize(("lifecycle", "command"), ALL)
def test_no_longer_story_breaks_a_rule(lifecycle: Declared, command: str) -> None:
    alone, together = replace(ALONE, total=5, surprises=4), replace(TOGETHER, total=2)
    assert_nothing_is_broken(explore(Subject(lifecycle), command, alone=alone, together=together))


def findings(explored: Explored) -> set[tuple[Violation | Unknowable, str]]:
    return set(explored.stories)


@pytest.mark.parametrize("second", [None, RECOVER, Program("stop")], ids=str)
def test_merging_equal_generators_loses_no_finding(second: Program | None) -> None:
    lifecycle = next(each for each in FULL if each.name == "v3-full")
    bounds = Bounds(total=1)
    merged, apart = (
        Exploration(Subject(lifecycle, merges=merges), Program("stop_task", KEY), second, bounds).run()
        for merges in (True, False)
    )
    assert findings(merged) == findings(apart)
    assert merged.states < apart.states
