"""Every (state, event) pair of every declared lifecycle, and the facts in a refusal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from lifecycle import (
    V1,
    V1_FULL,
    V2,
    V2_FULL,
    V3,
    V3_FULL,
    V4,
    Event,
    IllegalTransition,
    Lifecycle,
    Origin,
    State,
    Transition,
    UnknownName,
    V1Event,
    V1State,
    V3State,
    V4Event,
    VerdictKind,
    get,
)
from tests.support.oracles import moves_of, names, pairs


def expected_kind(lifecycle: Lifecycle[str, str], state: str, event: str) -> VerdictKind:
    """The definition of a verdict, read from the declaration alone."""
    rows = [row for row in lifecycle.transitions if row.event == event]
    declared = lifecycle.event(event)
    proves_itself = declared.origin is Origin.CALLER and declared.proved_by_state
    if any(row.source == state for row in rows):
        return VerdictKind.APPLIED
    if proves_itself and {row.target for row in rows} == {state}:
        return VerdictKind.REDUNDANT
    return VerdictKind.ENDED if lifecycle.state(state).final else VerdictKind.ILLEGAL


def test_target_is_the_declared_row(declared: Lifecycle[str, str]) -> None:
    rows = moves_of(declared)
    for state, event in pairs(declared):
        assert declared.target(state, event) == rows.get((state, event))


def test_step_judge_and_allowed_agree_with_target(declared: Lifecycle[str, str]) -> None:
    for state, event in pairs(declared):
        target = declared.target(state, event)
        verdict = declared.judge(state, event)

        assert (event in declared.allowed(state)) == (target is not None)
        assert (verdict.state, verdict.event, verdict.target) == (state, event, target)
        assert verdict.kind is expected_kind(declared, state, event)
        if target is not None:
            assert declared.step(state, event) is target
            continue
        with pytest.raises(IllegalTransition) as info:
            declared.step(state, event)
        assert (info.value.lifecycle, info.value.state, info.value.event) == (declared.name, state, event)
        assert info.value.index is None


def test_plain_text_returns_the_declared_members(declared: Lifecycle[str, str]) -> None:
    for state, event in pairs(declared):
        target = declared.target(str(state), str(event))
        assert target is declared.target(state, event)
        assert target is None or type(target) is type(declared.initial)


def test_allowed_is_in_declared_order_and_splits_by_origin(declared: Lifecycle[str, str]) -> None:
    states, events = names(declared)
    for state in states:
        allowed = declared.allowed(state)
        mine = declared.allowed(state, origin=Origin.CALLER)
        theirs = declared.allowed(state, origin=Origin.REMOTE)

        assert list(allowed) == sorted(allowed, key=events.index)
        assert list(mine) == [event for event in allowed if event in declared.commands]
        assert list(theirs) == [event for event in allowed if event not in declared.commands]


def test_final_states_refuse_everything(declared: Lifecycle[str, str]) -> None:
    for state, event in pairs(declared):
        if declared.is_final(state):
            assert declared.target(state, event) is None
            assert declared.allowed(state) == ()
            assert declared.is_settled(state)


def test_settled_is_final_or_declared_so() -> None:
    assert [state for state in V3State if V3.is_settled(state) and not V3.is_final(state)] == [V3State.IDLE]


@pytest.mark.parametrize(
    ("name", "event", "is_accepted"),
    [
        ("v1-full", "stop", True),
        ("v1-full", "pause", False),
        ("v1-full", "fail", True),
        ("v2", "stop_task_and_session", True),
        ("v3", "stop", True),
        ("v3-full", "stop_task", False),
        ("command", "abandon", True),
        ("command", "lose", False),
    ],
)
def test_events_that_every_state_accepts_until_it_is_final(name: str, event: str, is_accepted: bool) -> None:
    assert get(name).accepted_until_final(event) is is_accepted


@pytest.mark.parametrize(
    ("name", "event", "targets"),
    [("v1", "pause", {"paused"}), ("v3-full", "start", {"running"}), ("command", "confirm", {"done"})],
)
def test_the_targets_of_an_event(name: str, event: str, targets: set[str]) -> None:
    assert get(name).targets(event) == targets


@pytest.mark.parametrize(
    ("name", "event", "ends"),
    [
        ("v1", "stop", True),
        ("v1", "pause", False),
        ("v2", "stop_task_and_session", True),
        ("v3-full", "stop_task", False),
        ("v4", "cancel", True),
        ("command", "confirm", True),
        ("command", "lose", False),
    ],
)
def test_a_terminating_event_leads_to_final_states_only(name: str, event: str, ends: bool) -> None:
    assert get(name).is_terminating(event) is ends


@pytest.mark.parametrize(
    ("name", "state", "event", "kind"),
    [
        ("v1", "stopped", "stop", VerdictKind.REDUNDANT),
        ("v1", "paused", "pause", VerdictKind.REDUNDANT),
        ("v1", "running", "resume", VerdictKind.REDUNDANT),
        ("v1", "stopped", "resume", VerdictKind.ENDED),
        ("v1-full", "finished", "stop", VerdictKind.ENDED),
        ("v1-full", "created", "pause", VerdictKind.ILLEGAL),
        ("v1-full", "running", "start", VerdictKind.ILLEGAL),  # not a command: nothing to be redundant
        ("v2", "stopped", "stop", VerdictKind.REDUNDANT),
        ("v2", "stopped", "stop_task_and_session", VerdictKind.ENDED),  # the task does not prove the session
        ("v3", "running", "dispatch", VerdictKind.ILLEGAL),  # a second task is not the first
        ("v3-full", "idle", "stop_task", VerdictKind.REDUNDANT),
        ("v4", "cancelled", "cancel", VerdictKind.REDUNDANT),
        ("command", "abandoned", "abandon", VerdictKind.REDUNDANT),
    ],
)
def test_verdicts_that_are_easily_got_wrong(name: str, state: str, event: str, kind: VerdictKind) -> None:
    assert get(name).judge(state, event).kind is kind


def test_a_redundant_command_is_not_a_transition() -> None:
    verdict = V1.judge(V1State.STOPPED, V1Event.STOP)

    assert verdict.kind is VerdictKind.REDUNDANT  # it outranks the end
    assert verdict.target is V1.target(V1State.STOPPED, V1Event.STOP) is None
    assert V1Event.STOP not in V1.allowed(V1State.STOPPED)
    with pytest.raises(IllegalTransition):
        V1.step(V1State.STOPPED, V1Event.STOP)
    with pytest.raises(IllegalTransition):
        V1.replay([V1Event.STOP], start=V1State.STOPPED)


@pytest.mark.parametrize(
    ("name", "state", "event", "message"),
    [
        ("v1", "stopped", "resume", "v1: 'resume' is not allowed in 'stopped'; 'stopped' is final"),
        ("v1", "running", "resume", "v1: 'resume' is not allowed in 'running'; allowed: pause, stop"),
        ("v3", "created", "dispatch", "v3: 'dispatch' is not allowed in 'created'; allowed: stop"),
        ("v4", "failed", "cancel", "v4: 'cancel' is not allowed in 'failed'; 'failed' is final"),
    ],
)
def test_a_refusal_names_the_event_and_the_allowed_ones(name: str, state: str, event: str, message: str) -> None:
    with pytest.raises(IllegalTransition) as info:
        get(name).step(state, event)

    assert str(info.value) == message


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        ("running", "pause", "'pause' leads from 'running' to 'paused'"),
        ("stopped", "stop", "'stop' is redundant, the task is already 'stopped'"),
        ("stopped", "pause", "'pause' is not allowed in 'stopped'; 'stopped' is final"),
        ("paused", "pause", "'pause' is redundant, the task is already 'paused'"),
    ],
)
def test_a_verdict_gives_its_reason(state: str, event: str, reason: str) -> None:
    assert get("v1").judge(state, event).reason == reason


def test_replay() -> None:
    assert V1.replay([]) is V1State.RUNNING
    assert V1.replay([V1Event.PAUSE, V1Event.RESUME, V1Event.PAUSE]) is V1State.PAUSED
    assert V1.replay((event for event in [V1Event.STOP]), start=V1State.PAUSED) is V1State.STOPPED


def test_replay_raises_with_the_index_of_the_refused_event() -> None:
    with pytest.raises(IllegalTransition) as info:
        V1_FULL.replay([V1Event.START, V1Event.PAUSE, V1Event.FINISH, V1Event.STOP])

    assert (info.value.index, info.value.state, info.value.event) == (2, "paused", "finish")
    assert str(info.value) == ("v1-full: 'finish' is not allowed in 'paused'; allowed: fail (event 2 of the history)")


QUESTIONS: dict[str, Callable[[Lifecycle[str, str], str], Any]] = {
    "target, state": lambda table, name: table.target(name, "stop"),
    "target, event": lambda table, name: table.target("running", name),
    "step, state": lambda table, name: table.step(name, "stop"),
    "step, event": lambda table, name: table.step("running", name),
    "judge, state": lambda table, name: table.judge(name, "stop"),
    "judge, event": lambda table, name: table.judge("running", name),
    "allowed, state": lambda table, name: table.allowed(name),
    "replay, state": lambda table, name: table.replay([], start=name),
    "replay, event": lambda table, name: table.replay(["stop", name]),
    "is_final, state": lambda table, name: table.is_final(name),
    "is_over, state": lambda table, name: table.is_over(name),
    "is_settled, state": lambda table, name: table.is_settled(name),
    "ends, event": lambda table, name: table.is_terminating(name),
    "starts_work, event": lambda table, name: table.starts_work(name),
    "accepted_until_final, event": lambda table, name: table.accepted_until_final(name),
    "targets, event": lambda table, name: table.targets(name),
    "state, state": lambda table, name: table.state(name),
    "event, event": lambda table, name: table.event(name),
    "reachable, state": lambda table, name: table.reachable(name),
    "reachable_by_remote, state": lambda table, name: table.reachable_by_remote(name),
    "reachable_without, state": lambda table, name: table.reachable_without(name, "stop"),
    "reachable_without, event": lambda table, name: table.reachable_without("running", name),
    "path from, state": lambda table, name: table.path(name, "stopped"),
    "path to, state": lambda table, name: table.path("running", name),
    "observe, state": lambda table, name: table.observe(name, "stopped"),
    "observe, channel": lambda table, name: table.observe("running", "stopped", channel=name),
    "state_of, channel": lambda table, name: table.state_of("stopped", channel=name),
    "require_state_of, channel": lambda table, name: table.require_state_of("stopped", channel=name),
    "check, channel": lambda table, name: table.check(["stopped"], channel=name),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", ["", "nonsense", "stopp", 1, [], {}, pytest.param("x" * 1_000_000, id="a megabyte")])
def test_a_name_that_is_not_declared_raises_everywhere(question: str, name: Any) -> None:
    kind = question.partition(", ")[2]
    with pytest.raises(UnknownName) as info:
        QUESTIONS[question](get("v1"), name)

    assert info.value.kind == kind
    assert info.value.name == name
    assert str(info.value).startswith(f"v1: unknown {kind} ")
    assert len(str(info.value)) < 300


@pytest.mark.parametrize(
    ("state", "event", "message"),
    [
        ("stoped", "stop", "v1: unknown state 'stoped'; did you mean 'stopped'? (known: running, paused, stopped)"),
        ("PAUSED", "stop", "v1: unknown state 'PAUSED'; did you mean 'paused'? (known: running, paused, stopped)"),
        ("running", "unpause", "v1: unknown event 'unpause'; did you mean 'pause'? (known: pause, resume, stop)"),
        ("running", "halt", "v1: unknown event 'halt' (known: pause, resume, stop)"),
        ("gone", "halt", "v1: unknown state 'gone' (known: running, paused, stopped)"),
    ],
)
def test_the_error_of_an_unknown_name_suggests_the_nearest(state: str, event: str, message: str) -> None:
    with pytest.raises(UnknownName) as info:
        get("v1").target(state, event)

    assert str(info.value) == message


@pytest.mark.parametrize(
    ("seed", "full", "state", "event"),
    [
        (V1, "v1-full", V1State.CREATED, V1Event.STOP),
        (V1, "v1-full", V1State.RUNNING, V1Event.FINISH),
        (V2, "v2-full", "created", "fail"),
        (V3, "v3-full", "running", "stop_task"),
    ],
)
def test_a_name_of_the_full_lifecycle_is_not_a_misspelling(
    seed: Lifecycle[str, str], full: str, state: str, event: str
) -> None:
    with pytest.raises(UnknownName, match=f"'{full}' declares it") as info:
        seed.step(state, event)

    assert info.value.declared_by == full
    assert get(full).step(state, event)


@pytest.mark.parametrize("largest", [V1_FULL, V2_FULL, V3_FULL, V4])
def test_the_error_for_the_largest_lifecycle_names_no_other(largest: Lifecycle[str, str]) -> None:
    with pytest.raises(UnknownName) as info:
        largest.target("nonsense", "stop")

    assert info.value.declared_by is None


def test_a_lifecycle_may_have_no_events_at_all() -> None:
    stone: Lifecycle[str, str] = Lifecycle(
        name="stone", citation="", states=(State("lies", initial=True, final=True),), events=(), transitions=()
    )

    assert not stone.allowed("lies")
    assert not stone.covering_paths()
    with pytest.raises(UnknownName, match=r"^stone: unknown event 'roll' \(known: none\)$"):
        stone.target("lies", "roll")


def test_threads_share_a_lifecycle() -> None:
    asked = [(state.name, event) for state in V4.states for event in V4Event] * 50

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(V4.judge, *zip(*asked, strict=True)))

    assert answers == [V4.judge(state, event) for state, event in asked]


# --- enumerations and texts ---------------------------------------------------------------------


@pytest.mark.parametrize("origin", Origin)
def test_an_origin_may_be_given_as_text(declared: Lifecycle[str, str], origin: Origin) -> None:
    name: Any = str(origin)
    for state in declared.states:
        assert declared.allowed(state.name, origin=name) == declared.allowed(state.name, origin=origin)


def test_unknown_origin_is_refused_with_a_suggestion(declared: Lifecycle[str, str]) -> None:
    mistyped: Any = "callr"
    with pytest.raises(UnknownName, match=r"unknown origin 'callr'; did you mean 'caller'\? \(known: caller, remote\)"):
        declared.allowed(declared.initial, origin=mistyped)


def test_a_refusal_lists_the_allowed_events_of_the_same_origin(declared: Lifecycle[str, str]) -> None:
    """Nobody can send what the service does by itself."""
    for state, event in product(declared.states, declared.events):
        verdict = declared.judge(state.name, event.name)
        of_its_origin = tuple(
            each.name
            for each in declared.events
            if each.origin is event.origin and declared.target(state.name, each.name) is not None
        )
        assert verdict.allowed == of_its_origin
        if verdict.kind is VerdictKind.ILLEGAL:
            assert verdict.reason.endswith(f"; allowed: {', '.join(of_its_origin) or 'none'}")
            with pytest.raises(IllegalTransition) as info:
                declared.step(state.name, event.name)
            assert info.value.allowed == of_its_origin


@pytest.mark.parametrize("given", ["stop", b"stop"])
def test_text_is_refused_where_a_list_is_expected(declared: Lifecycle[str, str], given: Any) -> None:
    """It would be read letter by letter."""
    with pytest.raises(TypeError, match="events must be a list or another iterable, not the text"):
        declared.replay(given)
    with pytest.raises(TypeError, match="statuses must be a list"):
        declared.check(given)


@pytest.mark.parametrize("given", [None, 7])
def test_non_iterable_is_refused(declared: Lifecycle[str, str], given: Any) -> None:
    with pytest.raises(TypeError, match=f"events must be a list or another iterable, not {given}"):
        declared.replay(given)
    with pytest.raises(TypeError, match=f"statuses must be a list or another iterable, not {given}"):
        declared.check(given)


def test_refusals_beyond_the_cache_size_are_correct() -> None:
    count = 400
    wide: Lifecycle[str, str] = Lifecycle(
        name="wide",
        citation="",
        states=(State("start", initial=True), *(State(f"s{i}", final=True) for i in range(count))),
        events=tuple(Event(f"e{i}", Origin.REMOTE) for i in range(count)),
        transitions=tuple(Transition("start", f"e{i}", f"s{i}") for i in range(count)),
    )
    ask = [(state.name, event.name) for state in wide.states for event in wide.events]  # 160,400 pairs
    for _ in range(2):
        assert [pair for pair in ask if wide.target(*pair) is not None] == ask[:count]
    with pytest.raises(IllegalTransition):
        wide.step(*ask[-1])
    with pytest.raises(UnknownName, match="unknown event 'e400'"):
        wide.target("s399", "e400")
