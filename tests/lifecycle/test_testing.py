"""The strategies draw what they say, and the comparison finds executors that differ: both can fail here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from hypothesis.stateful import run_state_machine_as_test

from lifecycle import (
    V1,
    V1_FULL,
    V2_FULL,
    V2_SESSION,
    FindingCode,
    Lifecycle,
    MissingExtra,
    Origin,
    Rule,
    Severity,
    UnknownName,
    V1Event,
    V1State,
    V2State,
    get,
)
from lifecycle.conformance import Mode
from lifecycle.testing import (
    Difference,
    Disagreement,
    Executor,
    check_executor,
    event_paths,
    events,
    histories,
    lifecycle_machine,
    lifecycles,
    possible_defects,
    states,
)
from tests.support.oracles import is_repeatable, is_sound, moves_of, names, remote_moves

# What is asked for is common, and the search is the same every time, so that none fails by bad luck.
LOOKING = settings(max_examples=1_000, phases=(Phase.generate,), derandomize=True)
SHRINKING = settings(LOOKING, phases=(Phase.generate, Phase.shrink))


# --- strategies ----------------------------------------------------------------------------------


@given(lifecycles())
def test_only_sound_lifecycles_are_drawn(drawn: Lifecycle[str, str]) -> None:
    # A `Lifecycle` that is not sound cannot be made; the oracle says so by another method.
    assert is_sound(drawn, set(drawn.final_states), moves_of(drawn))
    for event in drawn.events:
        if event.origin is Origin.CALLER and event.idempotent:
            assert is_repeatable(moves_of(drawn), remote_moves(drawn), event.name)
    assert Lifecycle.from_json(drawn.to_json()) == drawn


def has_invariant(rule: Rule, drawn: Lifecycle[str, str]) -> bool:
    return any(promise.rule is rule for promise in drawn.invariants)


def has_defect(code: FindingCode, drawn: Lifecycle[str, str]) -> bool:
    return code in possible_defects(drawn)


FORMS: dict[str, Callable[[Lifecycle[str, str]], bool]] = {
    "a self-loop": lambda drawn: any(row.source == row.target for row in drawn.transitions),
    "a way back": lambda drawn: any(drawn.initial in drawn.reachable(row.target) for row in drawn.transitions),
    "several ends": lambda drawn: len(drawn.final_states) > 1,
    "an event in several rows": lambda drawn: len(drawn.transitions) > len(drawn.events) > 1,
    "any names": lambda drawn: any(not state.name.isascii() for state in drawn.states),
    "both origins": lambda drawn: {event.origin for event in drawn.events} == set(Origin),
    "a command that may be repeated": lambda drawn: any(
        event.origin is Origin.CALLER and event.idempotent for event in drawn.events
    ),
    "a command that may be accepted again": lambda drawn: any(
        event.origin is Origin.CALLER and not is_repeatable(moves_of(drawn), remote_moves(drawn), event.name)
        for event in drawn.events
    ),
    "aliases": lambda drawn: len(drawn.aliases) > 1,
    **{f"an invariant of {rule!r}": partial(has_invariant, rule) for rule in Rule},
    **{f"the defect {code!r}": partial(has_defect, code) for code in FindingCode},
}


def test_every_form_invariant_and_defect_is_drawn() -> None:
    missing = dict(FORMS)

    def has_the_last(drawn: Lifecycle[str, str]) -> bool:
        assert drawn.violations() == ()
        for form in [form for form, holds in missing.items() if holds(drawn)]:
            del missing[form]
        return not missing

    with suppress(NoSuchExample):
        find(lifecycles(), has_the_last, settings=LOOKING)
    assert not missing


def test_lifecycles_shrink_to_the_smallest() -> None:
    smallest = find(lifecycles(), lambda _: True, settings=SHRINKING)
    assert (len(smallest.states), smallest.events, smallest.aliases, smallest.invariants) == (1, (), (), ())
    moving = find(lifecycles(), lambda drawn: bool(drawn.events), settings=SHRINKING)
    assert (len(moving.states), len(moving.events), len(moving.transitions)) == (2, 1, 1)


@given(lifecycles(max_states=2))
def test_the_number_of_states_is_bounded(drawn: Lifecycle[str, str]) -> None:
    assert len(drawn.states) <= 2


@given(st.data())
def test_states_and_events_are_the_declared_ones(data: st.DataObject) -> None:
    assert isinstance(data.draw(states(V1)), V1State)
    assert V1_FULL.event(data.draw(events(V1_FULL, origin=Origin.REMOTE))).origin is Origin.REMOTE
    event: V1Event = data.draw(events(V1_FULL))
    assert event in {each.name for each in V1_FULL.events}


def test_events_strategy_may_be_empty() -> None:
    assert events(V1, origin=Origin.REMOTE).is_empty


@given(st.data(), lifecycles())
def test_paths_are_lawful(data: st.DataObject, drawn: Lifecycle[str, str]) -> None:
    start = data.draw(states(drawn))
    path = data.draw(event_paths(drawn, start=start, max_size=5))
    assert len(path) <= 5
    drawn.replay(path, start=start)
    assert drawn.is_final(drawn.replay(data.draw(event_paths(drawn, ended=True))))


def test_every_transition_of_a_lifecycle_is_drawn_by_some_path(declared: Lifecycle[str, str]) -> None:
    missing = set(moves_of(declared))

    def takes_the_last(path: list[str]) -> bool:
        missing.difference_update((declared.replay(path[:n]), event) for n, event in enumerate(path))
        return not missing

    with suppress(NoSuchExample):
        find(event_paths(declared), takes_the_last, settings=LOOKING)
    assert not missing


@pytest.mark.parametrize("mode", ["exact", "sampled"])
@given(data=st.data())
def test_lawful_history_has_no_findings(data: st.DataObject, mode: Mode) -> None:
    drawn = data.draw(lifecycles())
    history = data.draw(histories(drawn, mode=mode))
    assert all(finding.severity is Severity.NOTE for finding in drawn.check(history, mode=mode))


@pytest.mark.parametrize("mode", ["exact", "sampled"])
@given(data=st.data())
def test_a_declared_defect_is_found(data: st.DataObject, mode: Mode) -> None:
    drawn = data.draw(lifecycles())
    defect = data.draw(st.sampled_from(possible_defects(drawn, mode=mode)))
    channel = data.draw(st.sampled_from(["api", "webhook", *(alias.channel for alias in drawn.aliases)]))
    history = data.draw(histories(drawn, defect=defect, mode=mode, channel=channel))
    assert defect in {finding.code for finding in drawn.check(history, mode=mode, channel=channel)}


def test_possible_defects() -> None:
    assert possible_defects(V2_SESSION) == (
        FindingCode.UNKNOWN_STATUS,
        FindingCode.WRONG_START,
        FindingCode.DUPLICATE,
        FindingCode.AFTER_FINAL,
    )
    assert FindingCode.WRONG_START not in possible_defects(V2_SESSION, mode="sampled")
    # running and paused lead to each other, so nothing in v1 comes late
    assert FindingCode.OUT_OF_ORDER not in possible_defects(V1)


def test_histories_refuses_impossible_defects() -> None:
    with pytest.raises(ValueError, match="v1: no exact history has the defect gap, only unknown_status, wrong_start"):
        histories(V1, defect=FindingCode.GAP)
    with pytest.raises(UnknownName):
        histories(V1, channel="telegram")


def test_histories_have_the_statuses_of_their_channel() -> None:
    history = find(histories(V1_FULL, channel="webhook"), lambda words: len(words) > 1, settings=LOOKING)
    assert V1_FULL.state_of(history[0], channel="webhook") is V1State.CREATED
    assert find(histories(V1_FULL, channel="webhook"), lambda words: "started" in words, settings=LOOKING)


def test_histories_shrink() -> None:
    late = find(histories(V2_FULL, defect=FindingCode.OUT_OF_ORDER), lambda _: True, settings=SHRINKING)
    assert late == [V2State.CREATED, V2State.STARTED, V2State.CREATED]
    assert find(histories(V1), lambda _: True, settings=SHRINKING) == [V1State.RUNNING]


# --- executors -----------------------------------------------------------------------------------


class Walker:
    """A right executor of a table, in a few lines that a test can get wrong on purpose."""

    def __init__(self, lifecycle: Lifecycle[str, str]) -> None:
        self.lifecycle = lifecycle
        self.state = lifecycle.initial
        self.closed = 0

    def fire(self, event: str) -> str | None:
        target = self.lifecycle.target(self.state, event)
        self.state = target or self.state
        return target

    def close(self) -> None:
        self.closed += 1

    def executor(self) -> Executor[str, str]:
        return Executor(state=lambda: self.state, fire=self.fire, close=self.close)


class Raising(Walker):
    def fire(self, event: str) -> str | None:
        self.state = self.lifecycle.step(self.state, event)
        return self.state


class Wrong(Walker):
    """Correct except for one pair, whose result is given; its state becomes that result, unless it is a refusal."""

    def __init__(self, lifecycle: Lifecycle[str, str], pair: tuple[str, str], answer: str | None) -> None:
        super().__init__(lifecycle)
        self.pair = pair
        self.answer = answer

    def fire(self, event: str) -> str | None:
        if (self.state, event) != self.pair:
            return super().fire(event)
        self.state = self.answer or self.state
        return self.answer


class Lying(Walker):
    """Returns correct results but never changes its state."""

    def fire(self, event: str) -> str | None:
        return self.lifecycle.target(self.state, event)


def run(
    lifecycle: Lifecycle[str, str],
    start: Callable[[], Executor[str, str]],
    *,
    only: tuple[str, ...] | None = None,
    max_examples: int = 25,
) -> None:
    machine = lifecycle_machine(lifecycle, {"right": lambda: Walker(lifecycle).executor(), "other": start}, only=only)
    run_state_machine_as_test(machine, settings=settings(max_examples=max_examples, derandomize=True))


@pytest.mark.parametrize("kind", [Walker, Raising])
def test_correct_executor_passes(declared: Lifecycle[str, str], kind: type[Walker]) -> None:
    check_executor(declared, lambda: kind(declared).executor())


def wrong_answers(lifecycle: Lifecycle[str, str]) -> Iterator[tuple[tuple[str, str], str | None]]:
    for state, event in product(*names(lifecycle)):
        for answer in (None, *names(lifecycle)[0]):
            if answer != lifecycle.target(state, event):
                yield (state, event), answer


def disagreement(lifecycle: Lifecycle[str, str], pair: tuple[str, str], answer: str | None) -> Disagreement:
    with pytest.raises(Disagreement) as caught:
        check_executor(lifecycle, lambda: Wrong(lifecycle, pair, answer).executor())
    return caught.value


@pytest.mark.no_cover  # tracing takes most of its time, and other tests cover what it runs
def test_each_single_wrong_result_is_caught(declared: Lifecycle[str, str]) -> None:
    for pair, answer in wrong_answers(declared):
        found = {((each.state, each.event), each.actual) for each in disagreement(declared, pair, answer).differences}
        assert found == {(pair, answer)}


@given(lifecycles())
def test_any_lifecycle_can_be_checked(drawn: Lifecycle[str, str]) -> None:
    check_executor(drawn, lambda: Walker(drawn).executor())


def test_a_disagreement_names_the_violated_invariants() -> None:
    v1 = get("v1")
    caught = disagreement(v1, ("stopped", "resume"), "running")
    assert caught.lifecycle == "v1"
    assert caught.differences == (
        Difference("the executor", ("stop",), "stopped", "resume", expected=None, actual="running"),
    )
    assert {finding.where for finding in caught.violations} == {
        "invariant 'a stopped task cannot be resumed'",
        "invariant 'only a paused task can be resumed'",
        "invariant 'stopped is final'",
    }
    said = "the executor after stop: 'resume' in 'stopped' gives 'running', the table has a refusal"
    assert said in str(caught)


def test_an_executor_with_right_results_in_a_wrong_state_is_caught() -> None:
    v1 = get("v1")
    with pytest.raises(Disagreement, match="the executor after pause: it is in 'running', the table has 'paused'"):
        check_executor(v1, lambda: Lying(v1).executor())


def test_an_executor_that_starts_in_another_state_is_caught() -> None:
    v1 = get("v1")
    stopped = Executor[str, str](state=lambda: "stopped", fire=lambda event: v1.target("stopped", event))
    with pytest.raises(Disagreement, match="the executor: it is in 'stopped', the table has 'running'"):
        check_executor(v1, lambda: stopped)
    with pytest.raises(Disagreement, match="other: it is in 'stopped'"):
        run(v1, lambda: stopped)


class OnlyCommands(Walker):
    def fire(self, event: str) -> str | None:
        if event not in self.lifecycle.commands:
            raise NotImplementedError(event)
        return super().fire(event)


def test_events_that_an_executor_cannot_carry_out_are_left_out() -> None:
    v4 = get("v4")
    check_executor(v4, lambda: OnlyCommands(v4).executor(), only=v4.commands)
    run(v4, lambda: OnlyCommands(v4).executor(), only=v4.commands)
    with pytest.raises(NotImplementedError, match="dispatch"):
        check_executor(v4, lambda: OnlyCommands(v4).executor())
    with pytest.raises(UnknownName):
        check_executor(v4, lambda: OnlyCommands(v4).executor(), only=["pause"])


def test_every_executor_is_closed_once() -> None:
    v1 = get("v1")
    started: list[Walker] = []

    def start(*, right: bool) -> Executor[str, str]:
        started.append(Walker(v1) if right else Lying(v1))
        return started[-1].executor()

    check_executor(v1, lambda: start(right=True))
    run(v1, lambda: start(right=True))
    with pytest.raises(Disagreement):
        check_executor(v1, lambda: start(right=False))
    with pytest.raises(Disagreement):
        run(v1, lambda: start(right=False))
    assert len(started) > 4 * len(names(v1)[0])
    assert {walker.closed for walker in started} == {1}


# --- side by side --------------------------------------------------------------------------------

TestSideBySide = lifecycle_machine(
    get("v3-full"),
    {"first": lambda: Walker(get("v3-full")).executor(), "second": lambda: Raising(get("v3-full")).executor()},
).TestCase


@pytest.mark.parametrize(
    ("name", "max_examples"), [("v1-full", 50), pytest.param("v3-full", 1_000, marks=pytest.mark.heavy)]
)
def test_executors_run_side_by_side_take_every_transition(name: str, max_examples: int) -> None:
    lifecycle = get(name)
    taken: set[tuple[str, str]] = set()

    class Noting(Walker):
        def fire(self, event: str) -> str | None:
            taken.add((self.state, event))
            return super().fire(event)

    run(lifecycle, lambda: Noting(lifecycle).executor(), max_examples=max_examples)
    assert taken >= set(moves_of(lifecycle))


@pytest.mark.parametrize(
    "expected",
    [
        Difference("other", ("start",), "running", "finish", expected="finished", actual=None),
        pytest.param(
            Difference("other", ("start", "pause"), "paused", "resume", expected="running", actual=None),
            marks=pytest.mark.heavy,
        ),
    ],
    ids=["one", "two"],
)
def test_a_wrong_executor_is_caught_beside_a_right_one_by_a_shortest_path(expected: Difference) -> None:
    full = get("v1-full")
    with pytest.raises(Disagreement) as caught:
        run(full, lambda: Wrong(full, (expected.state, str(expected.event)), None).executor())
    assert caught.value.differences == (expected,)


class Faulty(Walker):
    """Loses its next response on request; if `recovers`, it reads the state and returns it."""

    def __init__(self, lifecycle: Lifecycle[str, str], *, recovers: bool) -> None:
        super().__init__(lifecycle)
        self.recovers = recovers
        self.losing = False

    def lose(self) -> None:
        self.losing = True

    def fire(self, event: str) -> str | None:
        answer = super().fire(event)
        lost, self.losing = self.losing, False
        return None if lost and not self.recovers else answer

    def executor(self) -> Executor[str, str]:
        return Executor(state=lambda: self.state, fire=self.fire, faults={"lose the answer": self.lose})


def test_faults_of_an_executor_are_injected() -> None:
    v1 = get("v1")
    run(v1, lambda: Faulty(v1, recovers=True).executor())
    with pytest.raises(Disagreement, match="other: 'pause' in 'running' gives a refusal, the table has 'paused'"):
        run(v1, lambda: Faulty(v1, recovers=False).executor(), max_examples=100)


def test_a_machine_needs_an_event() -> None:
    still = find(lifecycles(max_states=1), lambda _: True, settings=LOOKING)
    check_executor(still, lambda: Walker(still).executor())
    with pytest.raises(ValueError, match="there is no event to fire"):
        lifecycle_machine(still, {})


def test_check_without_events_or_executors_is_refused() -> None:
    v1 = get("v1")
    with pytest.raises(ValueError, match="`only` names no event to fire"):
        check_executor(v1, lambda: Walker(v1).executor(), only=[])
    with pytest.raises(ValueError, match="there is no executor"):
        lifecycle_machine(v1, {})


def test_the_error_of_a_missing_extra_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "lifecycle.testing")
    with pytest.raises(MissingExtra, match=r"pip install 'task-lifecycle\[testing\]'"):
        importlib.import_module("lifecycle.testing")


def test_a_drawn_state_has_no_name_that_means_every_state() -> None:
    """ "*" is one character of very many: it is looked for."""
    thorough = settings(max_examples=50_000, derandomize=True, database=None)
    starred = find(lifecycles(), lambda drawn: any("*" in state.name for state in drawn.states), settings=thorough)
    assert [state.name for state in starred.states] == ["**"]


def test_start_that_is_not_callable_is_refused() -> None:
    start: Any = "x"
    with pytest.raises(TypeError, match="start must be a function that makes an executor, not 'x'"):
        check_executor(V1, start)


@pytest.mark.parametrize("function", [states, events, histories, possible_defects])
def test_non_lifecycle_is_refused_at_once(function: Any) -> None:
    with pytest.raises(TypeError, match=r"lifecycle must be a Lifecycle, such as lifecycle.get\('v1'\), not 'v1'"):
        function("v1")
