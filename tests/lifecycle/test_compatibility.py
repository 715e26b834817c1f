"""`diff`: each change has its code and its audiences, and what is no change is none; and digests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
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
    Alias,
    Audience,
    Event,
    Invariant,
    Lifecycle,
    Origin,
    Rule,
    State,
    Transition,
    UnknownName,
    diff,
)

Declared = Lifecycle[str, str]

PRINTER: Declared = Lifecycle(
    name="printer",
    citation="its manual",
    states=[
        State("waiting", initial=True),
        State("printing"),
        State("paused", settled=True),
        State("printed", final=True),
        State("cancelled", final=True),
    ],
    events=[
        Event("cancel", Origin.CALLER),
        Event("pause", Origin.CALLER, idempotent=False),
        Event("print", Origin.REMOTE),
        Event("resume", Origin.REMOTE),
        Event("finish", Origin.REMOTE),
    ],
    transitions=[
        Transition("waiting", "cancel", "cancelled"),
        Transition("printing", "cancel", "cancelled"),
        Transition("waiting", "print", "printing"),
        Transition("printing", "pause", "paused"),
        Transition("paused", "resume", "printing"),
        Transition("printing", "finish", "printed"),
    ],
    aliases=[Alias("mail", "queued", "waiting"), Alias("mail", "busy", "printing")],
    invariants=[
        Invariant("a cancelled job stays so", Rule.FINAL, states=("cancelled",), citation=""),
        Invariant("cancel cancels", Rule.LEADS_TO, events=("cancel",), states=("cancelled",), citation=""),
        Invariant("only printing jobs finish", Rule.ONLY_IN, events=("finish",), states=("printing",), citation=""),
    ],
)  # fmt: skip


def printer(**parts: Any) -> Declared:
    """Return the printer with some parts replaced, and without invariants, which restrict what can be replaced."""
    return PRINTER.replace(invariants=(), **parts)


def with_state(name: str, **flags: Any) -> tuple[State[str], ...]:
    return tuple(State(name, initial=each.initial, **flags) if each.name == name else each for each in PRINTER.states)


def with_event(name: str, **flags: Any) -> tuple[Event[str], ...]:
    return tuple(replace(each, **flags) if each.name == name else each for each in PRINTER.events)


def with_row(source: str, event: str, target: str | None) -> tuple[Transition[str, str], ...]:
    rows = {(each.source, each.event): each.target for each in PRINTER.transitions}
    return tuple(Transition(*row, to) for row, to in {**rows, (source, event): target}.items() if to is not None)


CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "a new state": (
        {
            "states": (*PRINTER.states, State("jammed", final=True)),
            "events": (*PRINTER.events, Event("jam", Origin.REMOTE)),
            "transitions": (*PRINTER.transitions, Transition("printing", "jam", "jammed")),
        },
        [
            "state_added: state 'jammed': is new",
            "event_added: event 'jam': is new",
            "transition_added: transition (printing, jam): leads to 'jammed'",
        ],
    ),
    "a lost state": (
        {
            "states": [each for each in PRINTER.states if each.name != "paused"],
            "events": [each for each in PRINTER.events if each.name not in ("pause", "resume")],
            "transitions": [each for each in PRINTER.transitions if each.event not in ("pause", "resume")],
        },
        [
            "state_removed: state 'paused': is no longer declared (breaks readers, journals)",
            "event_removed: event 'pause': is no longer declared (breaks senders, journals)",
            "event_removed: event 'resume': is no longer declared",
            "transition_removed: transition (printing, pause): no longer leads to 'paused' (breaks senders)",
            "transition_removed: transition (paused, resume): no longer leads to 'printing'",
        ],
    ),
    "another initial state": (
        {
            "states": [State("new", initial=True), *with_state("waiting")[1:], State("waiting")],
            "events": (*PRINTER.events, Event("accept", Origin.REMOTE)),
            "transitions": (*PRINTER.transitions, Transition("new", "accept", "waiting")),
        },
        [
            "state_added: state 'new': is new",
            "initial_changed: the initial state: is 'new', no longer 'waiting' (breaks readers)",
            "event_added: event 'accept': is new",
            "transition_added: transition (new, accept): leads to 'waiting'",
        ],
    ),
    "a final state that is left": (
        {
            "states": with_state("printed", reopenable=True),
            "transitions": with_row("printed", "cancel", "cancelled"),
        },
        [
            "final_changed: state 'printed': is no longer final (breaks readers)",
            "reopenable_changed: state 'printed': is now reopenable (breaks readers)",
            "transition_added: transition (printed, cancel): leads to 'cancelled'",
            "reachability_gained: state 'printed': can now be followed by 'cancelled'",
        ],
    ),
    "a state that is settled no more": (
        {"states": with_state("paused")},
        ["settled_changed: state 'paused': is no longer settled (breaks readers)"],
    ),
    "a state that is interrupted": (
        {"states": with_state("paused", interrupted=True)},
        ["interrupted_changed: state 'paused': is now interrupted (breaks readers)"],
    ),
    "other aliases": (
        {
            "aliases": [
                Alias("mail", "queued", "printing"),
                Alias("mail", "held", "waiting"),
                Alias("fax", "ok", "printed"),
            ]
        },
        [
            ("status_changed: status 'queued' of channel 'mail': stands for 'printing', no longer for 'waiting'"
            " (breaks readers)"),
            "status_removed: status 'busy' of channel 'mail': stands for no state (breaks readers)",
            "status_added: status 'held' of channel 'mail': stands for 'waiting'",
            "status_added: status 'ok' of channel 'fax': stands for 'printed'",
        ],
    ),
    "a lost channel": (
        {"aliases": ()},
        [
            "status_removed: status 'queued' of channel 'mail': stands for no state (breaks readers)",
            "status_removed: status 'busy' of channel 'mail': stands for no state (breaks readers)",
        ],
    ),
    "a command that the service now sends itself": (
        {"events": with_event("pause", origin=Origin.REMOTE)},
        ["origin_changed: event 'pause': its origin is remote, not caller (breaks senders, journals)"],
    ),
    "an event that became a command": (
        {"events": with_event("resume", origin=Origin.CALLER)},
        ["origin_changed: event 'resume': its origin is caller, not remote"],
    ),
    "a command with other properties": (
        {"events": with_event("cancel", idempotent=False, proved_by_state=False)},
        [
            "proof_changed: event 'cancel': is no longer proved by its state (breaks senders)",
            "idempotence_changed: event 'cancel': is no longer idempotent (breaks senders)",
        ],
    ),
    "a step that now needs two": (
        {"transitions": with_row("paused", "resume", "waiting")},
        [
            "target_changed: transition (paused, resume): leads to 'waiting', no longer to 'printing' (breaks readers)",
            "reachability_gained: state 'printing': can now be followed by 'waiting'",
            "reachability_gained: state 'paused': can now be followed by 'waiting'",
        ],
    ),
    "a command with another target": (
        {"transitions": with_row("printing", "cancel", "printed")},
        [
            ("target_changed: transition (printing, cancel): leads to 'printed', no longer to 'cancelled'"
            " (breaks readers, senders)"),
            "reachability_lost: state 'printing': can no longer be followed by 'cancelled' (breaks readers)",
            "reachability_lost: state 'paused': can no longer be followed by 'cancelled' (breaks readers)",
        ],
    ),
    "a step that another event explains too": (
        {
            "events": (*PRINTER.events, Event("expire", Origin.REMOTE)),
            "transitions": [
                *(row for row in PRINTER.transitions if (row.source, row.event) != ("waiting", "cancel")),
                Transition("waiting", "expire", "cancelled"),
            ],
        },
        [
            "event_added: event 'expire': is new",
            "transition_removed: transition (waiting, cancel): no longer leads to 'cancelled' (breaks senders)",
            "transition_added: transition (waiting, expire): leads to 'cancelled'",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_has_its_code_and_its_audiences(what: str) -> None:
    parts, lines = CHANGES[what]

    assert [str(each) for each in diff(printer(), printer(**parts)).changes] == lines


def test_descriptions_and_order_are_no_change() -> None:
    other = PRINTER.replace(
        name="plotter",
        citation="another",
        extended_by="more",
        states=[replace(each, meaning="changed") for each in reversed(PRINTER.states)],
        events=[replace(each, meaning="changed") for each in reversed(PRINTER.events)],
        transitions=[*reversed(PRINTER.transitions)],
        aliases=[*reversed(PRINTER.aliases)],
        invariants=(),
    )

    assert diff(PRINTER, other).changes == diff(other, PRINTER).changes == ()
    assert other.digest == PRINTER.digest
    assert diff(PRINTER, other).summary == "printer to plotter: no changes, compatible"


def test_flags_without_effect_are_no_change() -> None:
    other = printer(
        events=with_event("print", proved_by_state=False, idempotent=False),
        states=with_state("printed", final=True, settled=True),
    )

    assert diff(PRINTER, other).changes == ()
    assert other.digest == PRINTER.digest


def test_broken_invariant_names_the_affected_audience() -> None:
    def broken(**parts: Any) -> list[str]:
        return [str(each) for each in diff(PRINTER, printer(**parts)).changes if each.code == "invariant_broken"]

    assert broken(transitions=with_row("printing", "cancel", "printed")) == [
        "invariant_broken: invariant 'cancel cancels': 'cancel' leads to 'printed' in 'printing' (breaks senders)"
    ]
    assert broken(transitions=with_row("waiting", "finish", "printed")) == [
        (
            "invariant_broken: invariant 'only printing jobs finish': 'finish' leads to 'printed' in 'waiting'"
            " (breaks readers)"
        )
    ]
    reopened = {"states": with_state("cancelled"), "transitions": with_row("cancelled", "print", "printing")}
    assert broken(**reopened, events=with_event("cancel", idempotent=False)) == [
        (
            "invariant_broken: invariant 'a cancelled job stays so': 'print' leads to 'printing' in 'cancelled'"
            " (breaks readers)"
        )
    ]


def test_a_sampled_history_may_begin_anywhere_and_skip_states() -> None:
    for what in ("another initial state", "a step that now needs two"):
        other = printer(**CHANGES[what][0])
        assert diff(printer(), other).broken == (Audience.READERS,)
        assert diff(printer(), other, mode="sampled").is_compatible


def test_a_change_of_many_states_lists_the_first() -> None:
    def chain(*, back: bool) -> Declared:
        states = [State("s0", initial=True), *(State(f"s{i}") for i in range(1, 8)), State("end", final=True)]
        rows = [Transition(f"s{i}", "on", f"s{i + 1}") for i in range(7)]
        back_row = [Transition("s7", "back", "s0")] * back
        back_event = [Event("back", Origin.REMOTE)] * back
        events = [Event("on", Origin.REMOTE), Event("stop", Origin.REMOTE), *back_event]
        rows = [*rows, Transition("s7", "stop", "end"), *back_row]
        return Lifecycle(name="chain", citation="", states=states, events=events, transitions=rows)

    found = diff(chain(back=True), chain(back=False))

    lost = [each.message for each in found.changes if each.code == "reachability_lost"]
    assert lost[-1] == "can no longer be followed by 's0', 's1', 's2', 's3', 's4' and 2 more"
    assert lost[0] == "can no longer be followed by 's0'"


EXTENDED: list[tuple[Lifecycle[Any, Any], Lifecycle[Any, Any]]] = [(V1, V1_FULL), (V2, V2_FULL), (V3, V3_FULL)]


@pytest.mark.parametrize(("base", "extension"), EXTENDED, ids=["v1", "v2", "v3"])
def test_an_extension_is_compatible(base: Lifecycle[Any, Any], extension: Lifecycle[Any, Any]) -> None:
    found = diff(base, extension, mode="sampled")

    assert (found.is_extension, found.is_compatible) == (True, True)
    assert found.summary.endswith("compatible, an extension")
    back = diff(extension, base, mode="sampled")
    assert not back.is_extension
    # In v3-full only a command is new, which no history shows.
    assert back.broken == ((Audience.SENDERS, Audience.JOURNALS) if base is V3 else _WITHOUT[base.name])


_WITHOUT = {"v1": (Audience.READERS, Audience.SENDERS, Audience.JOURNALS), "v2": (Audience.READERS, Audience.JOURNALS)}


def test_change_of_a_verdict_or_flag_is_no_extension() -> None:
    accepted = printer(transitions=with_row("paused", "cancel", "cancelled"))
    found = diff(printer(), accepted)
    assert (found.is_compatible, found.is_extension) == (True, False)
    assert not diff(printer(), printer(states=with_state("paused"))).is_extension


def test_a_diff_is_data_and_markdown() -> None:
    found = diff(V2_FULL, V2)

    assert found.to_data() == {
        "before": "v2-full",
        "after": "v2",
        "mode": "exact",
        "compatible": {"readers": False, "senders": True, "journals": False},
        "extension": False,
        "changes": [
            {"code": each.code, "where": each.where, "message": each.message, "breaks": [*each.breaks]}
            for each in found.changes
        ],
    }
    heading, _, titles, rule, row, *_ = found.to_markdown().splitlines()
    assert heading == "### Lifecycle diff: v2-full to v2: 4 changes, breaking for readers, journals"
    assert titles.count("|") == rule.count("|") == row.count("|") == 5
    assert row == "| state_removed | state 'failed' | is no longer declared | readers, journals |"
    assert diff(V2, V2).to_markdown() == "### Lifecycle diff: v2 to v2: no changes, compatible\n"


def test_audience_that_does_not_exist_is_refused_with_the_nearest() -> None:
    misspelt: Any = "journal"
    with pytest.raises(UnknownName, match=r"diff: unknown audience 'journal'; did you mean 'journals'\?"):
        diff(V2_FULL, V2).breaking(misspelt)


def test_diff_of_non_lifecycles_is_refused() -> None:
    wrong: Any = "v2"
    with pytest.raises(TypeError, match="two lifecycles are compared, not 'v2'"):
        diff(V2, wrong)
    with pytest.raises(ValueError, match="mode must be 'exact' or 'sampled', not 'v2'"):
        diff(V2, V2, mode=wrong)


def test_a_digest_is_the_same_in_every_process_and_version() -> None:
    # If this fails, journals take every recorded task for one of another declaration.
    assert V4.digest == "6b8b2bc2a738db45f6686eb4bb7dda4dafc20600ca390452b9128cc5b9afc3a5"
    program = "from lifecycle import V4; print(V4.digest)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "1"}
    )
    assert done.stdout.strip() == V4.digest


def test_names_of_plain_text_have_the_digest_of_an_enumeration() -> None:
    assert Lifecycle.from_json(V4.to_json()).digest == V4.digest
