"""Reports and histories: every (known, status) pair, and every rule, against independent definitions."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from itertools import product
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import (
    CATALOG,
    V1,
    V1_FULL,
    V3,
    V4,
    Alias,
    Channel,
    Event,
    FindingCode,
    Lifecycle,
    ObservationKind,
    Origin,
    Severity,
    State,
    Transition,
    UnknownName,
    UnknownStatus,
    V1Event,
    V1State,
    V3Event,
    V3State,
    get,
)
from lifecycle.conformance import Mode
from tests.support.oracles import distances, moves_of, names, relation, remarks

# --- observe -----------------------------------------------------------------------------------


def test_observe_judges_every_pair_by_reachability(declared: Lifecycle[str, str]) -> None:
    states, events = names(declared)
    moves = moves_of(declared)
    away = distances(states, moves)
    for known, reported in away:
        seen = declared.observe(known, str(reported))
        forward = seen.kind in (ObservationKind.STEP, ObservationKind.JUMP)

        assert seen.kind == relation(away, known, reported)
        assert (seen.known, seen.status, seen.reported) == (known, reported, reported)
        assert seen.state == (reported if forward else known)
        assert len(seen.path) == (away[known, reported] if forward else 0)
        assert declared.replay(seen.path, start=known) == seen.state
        direct = [event for event in events if moves.get((known, event)) == reported]
        assert list(seen.events) == (direct if seen.kind is ObservationKind.STEP else [])


@pytest.mark.parametrize(
    ("name", "known", "status", "kind", "reason"),
    [
        ("v1", "running", "running", "same", "still 'running'"),
        ("v1", "running", "paused", "step", "one transition leads from 'running' to 'paused'"),
        (
            "v1-full",
            "created",
            "finished",
            "jump",
            "'finished' is reachable from 'created' in several transitions; some were missed",
        ),
        ("v1-full", "paused", "created", "stale", "'created' comes before 'paused': a late report"),
        ("v1-full", "finished", "stopped", "conflict", "'stopped' and 'finished' cannot both be true"),
        ("v1", "paused", "nil", "unknown", "'nil' is not a status of channel 'api' (known: running, paused, stopped)"),
        ("v1", "running", "failed", "unknown", "'failed' is not a status of channel 'api'; 'v1-full' declares it"),
    ],
)
def test_observe_gives_its_reason(name: str, known: str, status: str, kind: str, reason: str) -> None:
    declared = CATALOG[name]
    # The members of the enumeration, because that is where a sloppy message shows `<V1State...>`.
    seen = declared.observe(declared.state(known).name, status)

    assert (seen.kind, seen.reason) == (kind, reason)


def test_a_step_names_every_event_that_could_explain_it() -> None:
    assert V3.observe(V3State.IDLE, "running").events == (V3Event.DISPATCH, V3Event.START)
    assert V3.observe(V3State.RUNNING, "stopped").events == (V3Event.STOP, V3Event.CLOSE)


@pytest.mark.parametrize(
    "status", ["", "Running", "running ", "initializing", "zombie", None, 7, ["running"], {}, "x" * 1_000_000]
)
def test_an_unknown_status_keeps_the_known_state(status: Any) -> None:
    seen = V1_FULL.observe(V1State.PAUSED, status)

    assert seen.kind is ObservationKind.UNKNOWN
    assert seen.state is V1State.PAUSED
    assert seen.reported is None
    assert not seen.events
    assert not seen.path
    assert len(seen.reason) < 300
    assert [finding.code for finding in V1_FULL.check(["created", status])] == ["unknown_status"]


def test_observations_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        V1.observe(V1State.PAUSED, "running").state = V1State.STOPPED  # type: ignore[misc]


# --- channels ----------------------------------------------------------------------------------


def test_a_webhook_has_its_aliases_and_the_declared_statuses() -> None:
    assert V1_FULL.state_of("initializing", channel="webhook") is V1State.CREATED
    assert V1_FULL.state_of("started", channel=Channel.WEBHOOK) is V1State.RUNNING
    assert V1_FULL.state_of("paused", channel="webhook") is V1State.PAUSED
    assert V1_FULL.state_of("initializing") is None
    assert V1.state_of("started", channel="webhook") is None
    assert get("v2").state_of("started", channel="webhook") == "started"


def test_observe_and_check_translate() -> None:
    seen = V1_FULL.observe(V1State.CREATED, "started", channel="webhook")

    assert (seen.kind, seen.status, seen.reported) == (ObservationKind.STEP, "started", V1State.RUNNING)
    assert seen.events == (V1Event.START,)
    assert V1_FULL.check(["initializing", "started", "finished"], channel="webhook") == ()
    assert [each.code for each in V1_FULL.check(["initializing"])] == [FindingCode.UNKNOWN_STATUS]


def test_an_alias_may_open_a_channel_of_its_own() -> None:
    mailed = V1.replace(aliases=(Alias("mail", "halted", V1State.PAUSED),))

    assert mailed.state_of("halted", channel="mail") is V1State.PAUSED
    assert mailed.state_of("stopped", channel="mail") is V1State.STOPPED
    assert mailed.state_of("halted") is None
    with pytest.raises(
        UnknownName, match=r"^v1: unknown channel 'mial'; did you mean 'mail'\? \(known: api, webhook, "
    ):
        mailed.state_of("halted", channel="mial")


@pytest.mark.parametrize("history", [[], ["running"]])
def test_check_raises_for_an_undeclared_channel_whatever_the_history(history: list[str]) -> None:
    with pytest.raises(UnknownName, match="unknown channel 'webhok'; did you mean 'webhook'"):
        V1.check(history, channel="webhok")


def test_require_state_of() -> None:
    assert V1.require_state_of("paused") is V1State.PAUSED
    with pytest.raises(UnknownStatus) as info:
        V1.require_state_of("finished")

    assert str(info.value) == "v1: 'finished' is not a status of channel 'api'; 'v1-full' declares it"
    assert (info.value.lifecycle, info.value.status) == ("v1", "finished")
    assert info.value.known == ("running", "paused", "stopped")


# --- check -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "history", "expected"),
    [
        ("exact", "", ""),
        ("exact", "created running paused running finished", ""),
        ("exact", "running finished", "0 wrong_start"),
        ("sampled", "running finished", ""),
        ("exact", "created finished", "1 gap"),
        ("sampled", "created finished", "1 gap (note)"),
        ("exact", "created created running running", "1 duplicate (note), 3 duplicate (note)"),
        ("exact", "created running created", "2 out_of_order"),
        ("exact", "created running created running", "2 out_of_order"),
        ("exact", "created stopped running", "2 after_final"),
        ("exact", "created stopped running paused", "2 after_final, 3 after_final"),
        ("exact", "created stopped stopped", "2 duplicate (note)"),
        ("exact", "created stopped running running", "2 after_final, 3 duplicate (note)"),
        ("sampled", "failed finished", "1 after_final"),
        ("exact", "zombie created zombie running", "0 unknown_status, 2 unknown_status"),
        ("exact", "zombie running", "0 unknown_status, 1 wrong_start"),
        ("sampled", "zombie zombie", "0 unknown_status, 1 unknown_status"),
        ("exact", "created stopped zombie stopped", "2 unknown_status, 3 duplicate (note)"),
    ],
)
def test_check(mode: Any, history: str, expected: str) -> None:
    found = [
        f"{each.index} {each.code}" + (" (note)" if each.severity is Severity.NOTE else "")
        for each in V1_FULL.check(history.split(), mode=mode)
    ]

    assert ", ".join(found) == expected


WORDS = st.sampled_from([*dict.fromkeys(state.name for each in CATALOG.values() for state in each.states), "zombie"])


@given(st.sampled_from([*CATALOG]), st.lists(WORDS, max_size=12), st.booleans())
def test_check_step_judges_rows_as_check_does(name: str, words: list[str], exact: bool) -> None:
    declared = CATALOG[name]
    mode: Mode = "exact" if exact else "sampled"
    judged: list[tuple[int, FindingCode, Severity, tuple[str, ...], str]] = []
    previous: str | None = None
    ended = False
    for index, word in enumerate(words):
        state = declared.state_of(word)
        remark = declared.check_step(previous, state, ended=ended, mode=mode)
        if remark is not None:
            message = declared.describe_deviation(remark, previous, word)
            judged.append((index, remark.code, remark.severity, remark.possible, message))
        if state is not None:
            ended = ended or (previous is not None and previous in declared.final_states)
            previous = state

    found = declared.check(words, mode=mode)

    assert judged == [(each.index, each.code, each.severity, each.possible, each.message) for each in found]


@pytest.mark.parametrize(("previous", "state"), [("zombie", None), (None, "zombie"), ("created", "zombie")])
def test_check_step_raises_for_undeclared_states(previous: str | None, state: str | None) -> None:
    with pytest.raises(UnknownName, match="zombie"):
        cast("Lifecycle[str, str]", V1_FULL).check_step(previous, state)


def test_check_step_raises_for_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="mode must be"):
        V1_FULL.check_step(None, V1State.CREATED, mode=cast("Mode", "strict"))


def test_arguments_of_another_kind_are_refused() -> None:
    declared, odd = cast("Lifecycle[str, str]", V1_FULL), cast("Any", "no")
    with pytest.raises(TypeError, match="ended must be True or False, not 'no'"):
        declared.check_step("created", "running", ended=odd)
    with pytest.raises(TypeError, match="deviation must be one that check_step returns, not 'no'"):
        declared.describe_deviation(odd, None, "running")
    deviation = declared.check_step(None, "running")
    assert deviation is not None
    with pytest.raises(UnknownName, match="zombie"):
        declared.describe_deviation(deviation, "zombie", "running")


def test_the_statuses_of_a_channel_are_its_states_and_then_its_aliases() -> None:
    states = {str(state.name): str(state.name) for state in V1_FULL.states}

    assert V1_FULL.statuses() == states
    webhook = V1_FULL.statuses(channel="webhook")
    assert webhook == {**states, "initializing": "created", "started": "running"}
    assert [*webhook][: len(states)] == [*states]
    with pytest.raises(UnknownName, match="channel"):
        V1_FULL.statuses(channel="fax")


def test_two_states_that_exclude_each_other_are_impossible() -> None:
    fork: Lifecycle[str, str] = Lifecycle(
        name="fork",
        citation="",
        states=(State("top", initial=True), State("left"), State("right"), State("bottom", final=True)),
        events=tuple(Event(name, Origin.REMOTE) for name in ("left", "right", "down")),
        transitions=(
            Transition("top", "left", "left"),
            Transition("top", "right", "right"),
            Transition("left", "down", "bottom"),
            Transition("right", "down", "bottom"),
        ),
    )

    (finding,) = fork.check(["top", "left", "right", "bottom"])

    assert (finding.index, finding.code, finding.possible) == (2, FindingCode.IMPOSSIBLE, ("bottom",))


@given(st.sampled_from([*CATALOG]), st.lists(WORDS, max_size=12), st.booleans())
def test_check_follows_the_three_rules_and_no_others(name: str, words: list[str], exact: bool) -> None:
    declared = CATALOG[name]

    found = declared.check(words, mode="exact" if exact else "sampled")

    assert [(each.index, each.code, each.severity) for each in found] == remarks(declared, words, exact=exact)


@given(st.data())
def test_check_of_a_declared_vocabulary_alone(data: st.DataObject) -> None:
    declared = data.draw(st.sampled_from([*CATALOG.values()]))
    words = data.draw(st.lists(st.sampled_from(names(declared)[0]), max_size=10))
    exact = data.draw(st.booleans())

    found = declared.check((word for word in words), mode="exact" if exact else "sampled")

    assert [(each.index, each.code, each.severity) for each in found] == remarks(declared, words, exact=exact)


@pytest.mark.parametrize(
    ("history", "message", "previous", "possible"),
    [
        ("running", "'running' at the start: wrong_start; possible: created", None, ["created"]),
        (
            "created finished",
            "'finished' after 'created': gap; possible: stopped, running, failed",
            "created",
            ["stopped", "running", "failed"],
        ),
        (
            "created stopped running",
            "'running' after 'stopped': after_final; possible: nothing, the task had ended",
            "stopped",
            [],
        ),
        (
            "created x" + "y" * 1000,
            "'x" + "y" * 74 + "... after 'created': unknown_status; possible: stopped, running, failed",
            "created",
            ["stopped", "running", "failed"],
        ),
    ],
)
def test_a_finding_lists_the_possible_states(
    history: str, message: str, previous: str | None, possible: list[str]
) -> None:
    finding = V1_FULL.check(history.split())[-1]

    assert finding.message == message
    assert finding.previous == previous
    assert list(finding.possible) == possible
    assert history.endswith(finding.status)


def test_a_status_of_the_full_lifecycle_is_distinguished_from_a_foreign_one() -> None:
    messages = [each.message for each in V1.check(["running", "finished", "zombie"])]

    assert messages == [
        "'finished' after 'running': unknown_status ('v1-full' declares it); possible: paused, stopped",
        "'zombie' after 'running': unknown_status; possible: paused, stopped",
    ]


def test_a_sampled_history_may_start_in_any_state() -> None:
    (finding,) = V4.check(["zombie"], mode="sampled")

    assert list(finding.possible) == [state.name for state in V4.states]


@pytest.mark.parametrize("mode", ["", "Exact", "strict", None])
def test_a_mode_is_exact_or_sampled(mode: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"mode must be 'exact' or 'sampled', not {mode!r}")):
        V1.check([], mode=mode)


def test_relation_is_the_kind_of_an_observation(declared: Lifecycle[str, str]) -> None:
    states, _ = names(declared)
    away = distances(states, moves_of(declared))
    for known, reported in product(states, repeat=2):
        assert declared.relation(known, reported) == relation(away, known, reported)
        assert declared.relation(known, reported) is declared.observe(known, reported).kind
    assert declared.relation(states[0], None) is ObservationKind.UNKNOWN
    for asked in (("vanished", states[0]), (states[0], "vanished"), ("vanished", None)):
        with pytest.raises(UnknownName, match="unknown state 'vanished'"):
            declared.relation(*asked)
