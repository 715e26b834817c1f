"""Every command in every world: all responses, all fates of a request, death at every effect.

Few surprises are tried exhaustively, many are drawn. A failure names its schedule, and
`Choices(schedule)` is that world again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import (
    CATALOG,
    COMMAND,
    CommandRefused,
    CommandUncertain,
    IllegalTransition,
    TaskEndedFirst,
    UnknownStatus,
)
from lifecycle.command import CommandResult
from lifecycle.effects import Steps
from lifecycle.testing import lifecycles, states
from tests.lifecycle.drivers import Declared, Mishap
from tests.lifecycle.worlds import Choices, Liar, explore
from tests.properties.lived import Death, Ending, Given, Lived, close, every_command, throw

REMOTE_TASKS = {name: lifecycle for name, lifecycle in CATALOG.items() if lifecycle.name != COMMAND.name}
EVERY = [each for lifecycle in REMOTE_TASKS.values() for each in every_command(lifecycle)]


@pytest.fixture(params=REMOTE_TASKS.values(), ids=tuple(REMOTE_TASKS))
def remote(request: pytest.FixtureRequest) -> Declared:
    lifecycle: Declared = request.param
    return lifecycle


def run_with_responses(case: Given, choices: Choices, pauses: int) -> Ending:
    """Send the command to a service that returns any response."""
    return Lived(case).go(Liar(case.lifecycle, choices, pauses), case.execute())


def died(
    case: Given, choices: Choices, places: Sequence[int], death: Death = close, *, has_others: bool = False
) -> bool:
    """Send the command in a world; let successive workers die at these places, and each next one recover.

    Returns False where one of them ended before its place.
    """
    world = case.world(choices, has_others=has_others)
    lived = Lived(case, world)
    steps: Steps[Any] = case.execute()
    for place in places:
        if not lived.die(world, steps, place, death):
            return False
        steps = lived.recover()
    lived.go(world, steps)
    world.choices = Choices()  # from now on nothing fails
    lived.go(world, lived.recover())
    lived.check_settled()
    return True


# --- few surprises, all of them ---------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("pauses", [2, 0])
def test_every_sequence_of_responses(remote: Declared, pauses: int) -> None:
    for case in every_command(remote):
        explore(partial(run_with_responses, case, pauses=pauses), surprises=2)


@pytest.mark.heavy
def test_every_request_fate(remote: Declared) -> None:
    for case in every_command(remote):
        explore(partial(died, case, places=()), surprises=2)


@pytest.mark.heavy
@pytest.mark.parametrize(("death", "surprises"), [(throw, 1), (close, 0)])
def test_process_killed_at_every_effect(remote: Declared, death: Death, surprises: int) -> None:
    for case in every_command(remote):
        place = 0
        while any(explore(partial(died, case, places=[place], death=death), surprises=surprises)):
            place += 1


@pytest.mark.heavy
def test_exploration_with_more_faults(remote: Declared) -> None:
    for case in every_command(remote):
        explore(partial(run_with_responses, case, pauses=2), surprises=3)
        explore(partial(died, case, places=()), surprises=3)
        for place in range(12):
            explore(partial(died, case, places=[place]), surprises=2)


@pytest.mark.heavy
def test_explorations_reach_every_outcome() -> None:
    endings = [ending for case in EVERY for ending in explore(partial(run_with_responses, case, pauses=2), surprises=1)]

    assert {type(ending) for ending in endings} == {
        CommandResult,
        CommandRefused,
        CommandUncertain,
        IllegalTransition,
        Mishap,
        TaskEndedFirst,
        UnknownStatus,
    }


# --- many surprises, some of them -------------------------------------------------------------------

SCHEDULES = st.lists(st.integers(0, 15), max_size=60)


@given(st.sampled_from(EVERY), SCHEDULES, st.integers(0, 3))
def test_any_sequence_of_responses(case: Given, schedule: list[int], pauses: int) -> None:
    run_with_responses(case, Choices(schedule), pauses)


@given(st.data(), SCHEDULES)
def test_any_sequence_of_responses_in_any_lifecycle(data: st.DataObject, schedule: list[int]) -> None:
    lifecycle = data.draw(lifecycles().filter(lambda each: each.commands))
    command = data.draw(st.sampled_from(lifecycle.commands))
    known = data.draw(st.none() | states(lifecycle))
    is_proved_by_read = not lifecycle.event(command).proved_by_state and data.draw(st.booleans())
    proved_by_read = frozenset({command} if is_proved_by_read else ())
    run_with_responses(Given(lifecycle, command, known, proved_by_read), Choices(schedule), pauses=2)


@given(st.sampled_from(EVERY), SCHEDULES, st.lists(st.integers(0, 12), max_size=4), st.booleans())
def test_any_request_fate_and_any_kills(case: Given, schedule: list[int], places: list[int], has_others: bool) -> None:
    died(case, Choices(schedule), places, has_others=has_others)
