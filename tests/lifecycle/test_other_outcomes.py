"""Commands that a service accepts and yet may end otherwise: a run that is cancelled may complete all the same."""

from __future__ import annotations

from functools import partial

import pytest

from lifecycle import (
    COMMAND,
    CommandRefused,
    CommandState,
    CommandUncertain,
    Event,
    Lifecycle,
    Origin,
    State,
    TaskEndedFirst,
    Transition,
)
from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import Accepted, Lost, Read, RecordOutcome, Send
from tests.lifecycle.drivers import (
    LOST,
    NOT_SENT,
    REFUSED,
    TASK,
    THROTTLED,
    Declared,
    Driver,
    Scripted,
    clock,
    journal_knowing,
)
from tests.lifecycle.worlds import Choices, Liar, explore

RUN: Declared = Lifecycle(
    name="run",
    citation="none: a run of this test",
    states=[
        State("running", initial=True),
        State("winding_down"),
        State("cancelled", final=True),
        State("completed", final=True),
        State("failed", final=True),
    ],
    events=[
        Event("cancel", Origin.CALLER),
        Event("wind_down", Origin.REMOTE),
        Event("finish", Origin.REMOTE),
        Event("fail", Origin.REMOTE),
    ],
    transitions=[
        Transition("running", "cancel", "cancelled"),
        Transition("running", "wind_down", "winding_down"),
        Transition("running", "finish", "completed"),
        Transition("winding_down", "finish", "completed"),
        Transition("running", "fail", "failed"),
    ],
)
OTHERS = frozenset({"completed", "winding_down"})
CANCEL = CommandProcedure(lifecycle=RUN, task=TASK, may_report={"cancel": OTHERS})


def driver_of(**script: object) -> Driver:
    return Driver(journal_knowing(RUN, "running", times=clock()), Scripted(**script))  # type: ignore[arg-type]


def outcome_of(driver: Driver) -> CommandState:
    state: CommandState = [result for effect, result in driver.trace if isinstance(effect, RecordOutcome)][
        -1
    ].command.state
    return state


@pytest.mark.parametrize("end", ["cancelled", "completed", "winding_down"])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_accepted_command_is_done_in_each_of_its_outcomes(end: str, at_once: bool) -> None:
    driver = driver_of(sends=[end]) if at_once else driver_of(sends=[None], reads=["running", end])

    assert driver.run(CANCEL.execute("cancel")) == CommandResult("cancel", end, sent=True)
    assert outcome_of(driver) is CommandState.DONE


def test_an_accepted_command_is_not_done_in_another_state() -> None:
    driver = driver_of(sends=[None], reads=["running", "failed"])

    with pytest.raises(TaskEndedFirst) as info:
        driver.run(CANCEL.execute("cancel"))

    assert info.value.took_effect is False  # nothing leads from an outcome to it


def test_without_the_declaration_the_task_has_ended_first() -> None:
    driver = driver_of(sends=[None], reads=["completed"])

    with pytest.raises(TaskEndedFirst):
        driver.run(CommandProcedure(lifecycle=RUN, task=TASK).execute("cancel"))


def test_a_lost_response_leaves_unknown_which_of_both_it_was() -> None:
    driver = driver_of(sends=[LOST], reads=["completed"])

    with pytest.raises(TaskEndedFirst) as info:
        driver.run(CANCEL.execute("cancel"))

    assert (info.value.took_effect, outcome_of(driver)) == (None, CommandState.MOOT)


@pytest.mark.parametrize("failure", [REFUSED, THROTTLED, NOT_SENT])
def test_a_command_that_did_not_arrive_did_not_end_the_task(failure: object) -> None:
    driver = driver_of(sends=[failure, REFUSED], reads=["completed"])

    with pytest.raises(TaskEndedFirst) as info:
        driver.run(CANCEL.execute("cancel"))

    assert (info.value.took_effect, outcome_of(driver)) == (False, CommandState.ENDED_FIRST)


def judged(choices: Choices) -> type[object]:
    """Run the command in a world that responds anything, and compare the outcome with what was received."""
    driver = Driver(journal_knowing(RUN, "running", times=clock()), Liar(RUN, choices))
    ending = driver.ending(CANCEL.execute("cancel"))
    sends = [result for effect, result in driver.trace if isinstance(effect, Send)]
    reports = [
        result.status
        for effect, result in driver.trace
        if isinstance(effect, Send | Read) and isinstance(result, Accepted) and result.status is not None
    ]
    was_accepted = any(isinstance(each, Accepted) for each in sends)
    may_have_arrived = was_accepted or any(isinstance(each, Lost) for each in sends)
    match ending:
        case CommandResult():
            assert "cancelled" in reports or (was_accepted and OTHERS.intersection(reports))
        case TaskEndedFirst(took_effect=False):
            assert not may_have_arrived or "failed" in reports
        case TaskEndedFirst():
            assert may_have_arrived
            assert "completed" in reports
        case CommandRefused():
            assert not may_have_arrived
        case CommandUncertain():
            assert may_have_arrived
        case _:
            assert not may_have_arrived
    last = driver.log.load().open_command
    assert last is None or not COMMAND.is_final(last.state)
    return type(ending)


@pytest.mark.no_cover  # tracing takes most of its time, and other tests cover what it runs
def test_every_response_leads_to_the_outcome_that_it_proves() -> None:
    endings = explore(partial(judged), surprises=3)

    assert {CommandResult, TaskEndedFirst, CommandRefused, CommandUncertain} <= set(endings)
    assert len(endings) > 500
