"""Answers and effects as data, the journal's effects on a journal, and the read that is repeated."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from lifecycle import CommandEvent, CommandState, get
from lifecycle.effects import (
    Accepted,
    Answer,
    Claim,
    Create,
    Denied,
    Effect,
    Failure,
    FindCommand,
    Load,
    Lost,
    NotSent,
    Progress,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Refused,
    Release,
    Send,
    Tell,
    Throttled,
    Track,
    Wait,
    WaitReason,
    carry_out,
    error_of,
    read_patiently,
    retry_after_s,
)
from lifecycle.journal import CommandRecord, Purpose, Report, TaskRecord
from tests.lifecycle.drivers import (
    DENIED,
    FAILURES,
    LOST,
    NOT_SENT,
    REFUSED,
    THROTTLED,
    Driver,
    Log,
    Mishap,
    Scripted,
    clock,
    journal_knowing,
)

AT = next(clock())


@pytest.fixture
def log() -> Log:
    return journal_knowing(get("v1"), "running", times=clock())


# --- answers ------------------------------------------------------------------------------------------


def test_an_answer_is_a_failure_or_accepted() -> None:
    kinds: tuple[type[Failure], ...] = (Refused, Denied, Throttled, NotSent, Lost)

    assert [type(failure) for failure in FAILURES] == list(kinds)
    assert all(isinstance(failure, Failure) for failure in FAILURES)
    assert not isinstance(Accepted("running", AT), Failure)


def test_a_task_becomes_known(log: Log) -> None:
    assert carry_out(Track(), log) is None


def test_failures_of_one_error_differ_by_what_they_mean() -> None:
    error = Mishap("no")

    assert len({Refused(error), Denied(error), Throttled(error), NotSent(error), Lost(error)}) == 5
    assert Lost(error) == Lost(error)


@pytest.mark.parametrize("answer", [Accepted("running", AT), *FAILURES])
def test_only_a_failure_has_an_error(answer: Answer) -> None:
    assert error_of(answer) is getattr(answer, "error", None)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [(THROTTLED, 7.0), (Throttled(Mishap("429")), None), (LOST, None), (REFUSED, None), (Accepted("idle", AT), None)],
)
def test_only_a_throttled_answer_asks_for_a_pause(answer: Answer, seconds: float | None) -> None:
    assert retry_after_s(answer) == seconds


# --- effects ------------------------------------------------------------------------------------------

EFFECTS: tuple[Effect, ...] = (
    Load(),
    RecordReport(Report("running", AT)),
    RecordIntent("stop", "running", 1, {}, Purpose("key-7", "policy", "too dear")),
    FindCommand("key-7"),
    Claim("1"),
    Release("1"),
    RecordAttempt("1", 1),
    RecordOutcome("1", CommandEvent.LOSE, "silence"),
    Send("stop", {}),
    Create({"task": "look"}),
    Read(),
    ReadProof("stop"),
    Wait(WaitReason.POLL, 1),
    Tell(Progress("running", "running", 1)),
)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_an_effect_is_data(effect: Any) -> None:
    """It can be compared, kept and sent to another process; it cannot be changed."""
    assert pickle.loads(pickle.dumps(effect)) == effect
    for name in effect.__slots__:
        with pytest.raises(FrozenInstanceError):
            setattr(effect, name, None)


def test_the_journals_effects_are_carried_out_on_a_log(log: Log) -> None:
    purpose = Purpose("key-7", "policy", "too dear")
    loaded = carry_out(Load(), log)
    opened = carry_out(RecordIntent("pause", "running", loaded.version, {"note": "now"}, purpose), log)

    assert loaded.state == "running"
    assert opened == log.load().open_command
    assert opened == CommandRecord("1", "pause", "running", CommandState.RECORDED, {"note": "now"}, purpose=purpose)
    assert carry_out(FindCommand("key-7"), log) == carry_out(Claim(opened.id), log) == opened
    assert carry_out(FindCommand("key-8"), log) is None
    assert carry_out(Release(opened.id), log) is None
    assert carry_out(RecordAttempt(opened.id, 1), log) is True
    assert carry_out(RecordReport(Report("paused", AT)), log).state == "paused"
    assert carry_out(RecordOutcome(opened.id, CommandEvent.CONFIRM, "paused"), log) == log.load()
    assert log.load().open_command is None


def test_what_others_did_first_is_an_answer_and_no_error(log: Log) -> None:
    version = log.load().version
    opened = log.add_intent("pause", source="running", version=version, fields={})
    assert isinstance(opened, CommandRecord)
    log.add_outcome(opened.id, CommandEvent.ABANDON, why="somebody else")
    now = log.load()

    assert carry_out(RecordIntent("stop", "running", version, {}), log) == now
    assert carry_out(RecordAttempt(opened.id, 1), log) is False
    assert carry_out(RecordOutcome(opened.id, CommandEvent.CONFIRM, "paused"), log) == now
    assert log.load() is now
    assert isinstance(now, TaskRecord)


@pytest.mark.parametrize(
    "effect",
    [effect for effect in EFFECTS if isinstance(effect, Send | Create | Read | ReadProof | Wait | Tell)],
    ids=lambda effect: type(effect).__name__,
)
def test_no_journal_carries_out_the_rest(effect: Effect, log: Log) -> None:
    with pytest.raises(TypeError, match=f"no journal can carry out {type(effect).__name__}"):
        carry_out(effect, log)


# --- the read that is repeated ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["running", REFUSED, DENIED])
def test_an_answer_that_will_not_change_is_not_asked_for_again(answer: Any, log: Log) -> None:
    driver = Driver(log, Scripted(reads=[answer]))

    assert type(driver.run(read_patiently())) in (Accepted, Refused, Denied)
    assert not driver.waits()


def test_a_read_is_repeated_until_it_succeeds(log: Log) -> None:
    driver = Driver(log, Scripted(reads=[THROTTLED, NOT_SENT, LOST, "paused"]))

    answer = driver.run(read_patiently())

    assert isinstance(answer, Accepted)
    assert driver.waits() == [
        Wait(WaitReason.RETRY, 1, 7.0),
        Wait(WaitReason.RETRY, 2),
        Wait(WaitReason.RETRY, 3),
    ]


def test_the_last_failure_is_what_came_of_it(log: Log) -> None:
    assert Driver(log, Scripted(reads=[LOST, THROTTLED, NOT_SENT], patience=2)).run(read_patiently()) is NOT_SENT
