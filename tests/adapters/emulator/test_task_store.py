"""The task store alone, on a clock that the test advances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import (
    CATALOG,
    V1,
    V1_FULL,
    V2_FULL,
    V2_SESSION,
    V3_FULL,
    V4,
    IllegalTransition,
    Lifecycle,
    Origin,
    UnknownName,
    V1Event,
    V1State,
    V2Event,
    V2SessionEvent,
    V2SessionState,
    V2State,
    V3Event,
    V3State,
    V4Event,
    V4State,
)
from lifecycle_adapters.emulator import Emulator, UnknownTask
from lifecycle_adapters.emulator.task_store import LONGEST_ADVANCE_S, EmulatedClock, EmulatedTask, TaskStore

STARTED_AT = datetime(2026, 8, 6, 12, tzinfo=UTC)
NAMES = count(1)
V1_TASK = (V1Event.START, V1Event.FINISH)
V2_TASK = (V2Event.START, V2Event.FINISH)
V2_SESSION_CLOSING = (V2SessionEvent.CLOSE,)
V3_TASK_KEPT = (V3Event.START, V3Event.COMPLETE)
V4_RUN = (V4Event.DISPATCH, V4Event.START, V4Event.COMPLETE)


class ManualTime:
    """A monotonic clock that only the test advances."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def store(pace_s: float | None = 10.0) -> tuple[TaskStore, ManualTime]:
    time = ManualTime()
    return TaskStore(clock=EmulatedClock(monotonic=time, started_at=STARTED_AT), pace_s=pace_s), time


def add(store: TaskStore, lifecycle: Lifecycle[Any, Any], script: tuple[str, ...], **more: Any) -> EmulatedTask:
    return store.add(task_id=f"task {next(NAMES)}", api="any", lifecycle=lifecycle, script=script, given={}, **more)


def test_due_transitions_are_applied_in_time_order_with_their_effects() -> None:
    emulated, time = store(pace_s=10.0)
    names: dict[str, str] = {}
    seen: list[tuple[str, str, float]] = []

    def made(name: str, **more: Any) -> None:
        names[add(emulated, V1_FULL, V1_TASK, **more).id] = name

    def react(task: EmulatedTask, at_s: float) -> None:
        assert emulated.find(task.id) is task  # a read of the reaction lets nothing else happen
        seen.append((names.get(task.id, "new"), str(task.state), at_s))
        if seen[-1][:2] == ("early", "finished"):
            made("caused", at_s=at_s)

    emulated.react = react
    made("early")
    time.now_s += 5.0
    made("late")
    time.now_s += 100.0
    emulated.tasks()
    assert seen == [
        ("new", "created", 0.0),
        ("new", "created", 5.0),
        ("early", "running", 10.0),
        ("late", "running", 15.0),
        ("early", "finished", 20.0),
        ("new", "created", 20.0),
        ("late", "finished", 25.0),
        ("caused", "running", 30.0),
        ("caused", "finished", 40.0),
    ]


def state(store: TaskStore, task: EmulatedTask) -> str:
    found = store.find(task.id)
    assert found is task
    return task.state


def test_a_task_stays_in_each_state_for_the_pace() -> None:
    emulated, time = store(pace_s=10.0)
    task = add(emulated, V1_FULL, V1_TASK)
    seen: list[str] = []
    for _ in range(5):
        seen.append(state(emulated, task))
        time.now_s += 5.0
    assert seen == ["created", "created", "running", "running", "finished"]


def test_a_late_read_gives_transitions_the_times_at_which_they_were_due() -> None:
    emulated, time = store(pace_s=10.0)
    task = add(emulated, V4, V4_RUN)
    time.now_s += 1_000.0
    assert state(emulated, task) == V4State.COMPLETED
    assert [(each.event, each.at_s) for each in task.transitions] == [
        ("dispatch", 10.0),
        ("start", 20.0),
        ("complete", 30.0),
    ]
    assert task.ended_s == 30.0
    assert emulated.clock.at(30.0) == STARTED_AT + timedelta(seconds=30)


def test_frequent_reads_and_one_read_give_equal_transitions() -> None:
    often, once = store(), store()
    tasks = [add(emulated, V4, V4_RUN) for emulated, _ in (often, once)]
    for _ in range(70):
        often[1].now_s += 0.5
        state(often[0], tasks[0])
    once[1].now_s += 35.0
    state(once[0], tasks[1])
    assert tasks[0].transitions == tasks[1].transitions


def test_a_paused_task_waits_and_its_pace_restarts_at_the_resume() -> None:
    emulated, time = store(pace_s=10.0)
    task = add(emulated, V1_FULL, V1_TASK)
    time.now_s += 12.0
    assert state(emulated, task) == V1State.RUNNING
    assert emulated.command(task, V1Event.PAUSE)
    time.now_s += 500.0
    assert state(emulated, task) == V1State.PAUSED
    assert emulated.command(task, V1Event.RESUME)
    time.now_s += 9.0
    assert state(emulated, task) == V1State.RUNNING
    time.now_s += 1.0
    assert state(emulated, task) == V1State.FINISHED


@pytest.mark.parametrize(("lifecycle", "events"), [(V1, V1_TASK), (V1_FULL, ())])
def test_an_event_that_is_undeclared_or_unscripted_never_happens(
    lifecycle: Lifecycle[Any, Any], events: tuple[str, ...]
) -> None:
    emulated, time = store()
    task = add(emulated, lifecycle, events)
    time.now_s += 1e9
    assert state(emulated, task) == lifecycle.initial
    assert task.transitions == []


def test_without_a_pace_no_script_runs() -> None:
    emulated, time = store(pace_s=None)
    task = add(emulated, V1_FULL, V1_TASK)
    time.now_s += 1e9
    assert state(emulated, task) == V1State.CREATED
    assert emulated.fire(task.id, V1Event.START).state == V1State.RUNNING


def test_a_fired_event_is_removed_from_the_script() -> None:
    emulated, time = store(pace_s=10.0)
    task = add(emulated, V1_FULL, V1_TASK)
    emulated.fire(task.id, V1Event.START)
    assert task.script == (V1Event.FINISH,)
    time.now_s += 10.0
    assert state(emulated, task) == V1State.FINISHED


def test_a_session_that_is_ready_first_passes_idle_and_runs_its_task() -> None:
    emulated, time = store(pace_s=10.0)
    session = add(emulated, V3_FULL, V3_TASK_KEPT)
    emulated.fire(session.id, V3Event.READY)
    time.now_s += 1_000.0
    assert state(emulated, session) == V3State.IDLE
    assert [each.event for each in session.transitions] == ["ready", "start", "complete"]


def test_a_new_script_counts_from_the_present_state() -> None:
    emulated, time = store(pace_s=10.0)
    task = add(emulated, V2_FULL, V2_TASK)
    time.now_s += 10.0
    assert state(emulated, task) == V2State.STARTED
    emulated.set_script(task, [V2Event.FAIL])
    time.now_s += 10.0
    assert state(emulated, task) == V2State.FAILED


def test_a_session_that_ends_ends_its_tasks_at_the_same_time() -> None:
    emulated, time = store(pace_s=10.0)
    session = add(emulated, V2_SESSION, (), ends_children_by=V2Event.STOP, after_children=True)
    over, live = (add(emulated, V2_FULL, V2_TASK, parent=session) for _ in range(2))
    assert emulated.command(over, V2Event.STOP)
    time.now_s += 3.0
    assert emulated.command(session, V2SessionEvent.STOP)
    assert (over.ended_s, live.ended_s, session.ended_s) == (0.0, 3.0, 3.0)
    assert [each.event for each in over.transitions] == [each.event for each in live.transitions] == [V2Event.STOP]
    time.now_s += 1e9
    assert state(emulated, live) == V2State.STOPPED


def test_a_session_that_is_not_kept_alive_closes_after_its_last_task() -> None:
    emulated, time = store(pace_s=10.0)
    session = add(emulated, V2_SESSION, V2_SESSION_CLOSING, ends_children_by=V2Event.STOP, after_children=True)
    time.now_s += 1_000.0
    assert state(emulated, session) == V2SessionState.ACTIVE, "it had no task yet"
    task = add(emulated, V2_FULL, V2_TASK, parent=session)
    time.now_s += 29.0
    assert state(emulated, session) == V2SessionState.ACTIVE
    assert state(emulated, task) == V2State.FINISHED
    time.now_s += 1.0
    assert state(emulated, session) == V2SessionState.STOPPED
    assert session.ended_s == 1_030.0


def test_a_refused_command_changes_nothing() -> None:
    emulated, _ = store()
    task = add(emulated, V1_FULL, V1_TASK)
    assert not emulated.command(task, V1Event.RESUME)
    assert (task.state, task.transitions, task.script) == (V1State.CREATED, [], V1_TASK)


def test_fire_accepts_only_a_declared_remote_event_that_the_state_allows() -> None:
    emulated, _ = store()
    task = add(emulated, V1_FULL, ())
    with pytest.raises(IllegalTransition, match="'finish' is not allowed in 'created'"):
        emulated.fire(task.id, V1Event.FINISH)
    with pytest.raises(UnknownName, match="did you mean 'start'"):
        emulated.fire(task.id, "strt")
    with pytest.raises(ValueError, match="'stop' is a command"):
        emulated.fire(task.id, V1Event.STOP)
    with pytest.raises(UnknownTask, match="no task 'nobody'") as unknown:
        emulated.fire("nobody", V1Event.START)
    assert unknown.value.id == "nobody"
    assert task.transitions == []


def test_tasks_are_found_by_api_and_listed_newest_first() -> None:
    emulated, _ = store()
    first, second = add(emulated, V1_FULL, ()), add(emulated, V1_FULL, ())
    assert emulated.tasks("any") == [second, first] == emulated.tasks()
    assert emulated.tasks("other") == []
    assert emulated.find(first.id, api="other") is None
    emulated.reset()
    assert emulated.tasks() == []
    assert emulated.find(first.id) is None


@pytest.mark.parametrize("seconds", [-1.0, inf, nan])
def test_a_negative_or_infinite_time_or_pace_is_refused(seconds: float) -> None:
    emulated, _ = store()
    with pytest.raises(ValueError, match=r"^seconds must be at least 0 and at most 1e\+09, not "):
        emulated.clock.advance(seconds)
    with pytest.raises(ValueError, match="pace_s must be at least 0 and finite, not"):
        Emulator(pace_s=seconds)


def test_the_clock_cannot_be_advanced_beyond_the_calendar() -> None:
    emulated, _ = store()
    emulated.clock.advance(LONGEST_ADVANCE_S)
    assert emulated.clock.at(emulated.clock.now_s()).year == 2058
    with pytest.raises(ValueError, match="cannot be advanced by 1 s"):
        emulated.clock.advance(1.0)


def test_advancing_the_clock_equals_waiting() -> None:
    emulated, _ = store(pace_s=10.0)
    task = add(emulated, V1_FULL, V1_TASK)
    emulated.clock.advance(20.0)
    assert state(emulated, task) == V1State.FINISHED


@given(lifecycle=st.sampled_from(list(CATALOG.values())), data=st.data())
def test_a_tasks_transitions_always_replay_in_its_lifecycle(
    lifecycle: Lifecycle[str, str], data: st.DataObject
) -> None:
    emulated, time = store(pace_s=1.0)
    remote = [event.name for event in lifecycle.events if event.origin is Origin.REMOTE]
    wishes = data.draw(st.lists(st.sampled_from([*remote, "undeclared"]), max_size=8))
    task = add(emulated, lifecycle, tuple(wishes))
    for _ in range(data.draw(st.integers(0, 8))):
        time.now_s += data.draw(st.sampled_from([0.0, 0.4, 1.0, 3.0]))
        before = state(emulated, task)
        if lifecycle.commands:
            event = data.draw(st.sampled_from(lifecycle.commands))
            assert emulated.command(task, event) == (lifecycle.target(before, event) is not None)
    assert lifecycle.replay([each.event for each in task.transitions]) == task.state
    assert [each.at_s for each in task.transitions] == sorted(each.at_s for each in task.transitions)
