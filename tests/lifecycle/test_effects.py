"""Responses and effects as data, the journal's effects on a journal, and the read that is repeated."""

from __future__ import annotations

import pickle
from contextlib import closing
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from lifecycle import CommandEvent, CommandState, get
from lifecycle.effects import (
    Accepted,
    Claim,
    Create,
    Denied,
    Effect,
    Failure,
    FindCommand,
    Load,
    LoadCommand,
    Lost,
    Missing,
    NotSent,
    ProcedureRun,
    Progress,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Refused,
    Release,
    ReportProgress,
    Response,
    Send,
    Steps,
    Throttled,
    Track,
    Wait,
    WaitReason,
    apply_journal_effect,
    error_of,
    read_with_retries,
    retry_after_s,
)
from lifecycle.journal import CommandOutcome, CommandRecord, Report, RequestContext, TaskRecord
from tests.lifecycle.drivers import (
    DENIED,
    FAILURES,
    LOST,
    MISSING,
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


# --- responses ------------------------------------------------------------------------------------------


def test_a_response_is_a_failure_or_accepted() -> None:
    kinds: tuple[type[Failure], ...] = (Refused, Denied, Missing, Throttled, NotSent, Lost)

    assert [type(failure) for failure in FAILURES] == list(kinds)
    assert all(isinstance(failure, Failure) for failure in FAILURES)
    assert not isinstance(Accepted("running", AT), Failure)


def test_track_makes_a_task_known(log: Log) -> None:
    assert apply_journal_effect(Track(), log) is None


def test_failures_of_one_error_differ_by_what_they_mean() -> None:
    error = Mishap("no")

    kinds = (Refused, Denied, Missing, Throttled, NotSent, Lost)
    assert len({kind(error) for kind in kinds}) == len(kinds)
    assert Lost(error) == Lost(error)


@pytest.mark.parametrize("answer", [Accepted("running", AT), *FAILURES])
def test_only_a_failure_has_an_error(answer: Response) -> None:
    assert error_of(answer) is getattr(answer, "error", None)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_any_failure_may_ask_for_a_pause(failure: Failure) -> None:
    assert retry_after_s(replace(failure, retry_after_s=30.0)) == 30.0  # type: ignore[arg-type]
    assert retry_after_s(replace(failure, retry_after_s=None)) is None  # type: ignore[arg-type]


def test_an_accepted_response_asks_for_no_pause() -> None:
    assert retry_after_s(Accepted("idle", AT)) is None
    assert retry_after_s(None) is None


def test_a_throttled_response_limits_the_rate_by_default() -> None:
    error = Mishap("429")

    assert Throttled(error).limits_rate
    assert not Throttled(error, limits_rate=False).limits_rate


# --- effects ------------------------------------------------------------------------------------------

EFFECTS: tuple[Effect, ...] = (
    Load(),
    Track(created=True),
    RecordReport(Report("running", AT)),
    RecordIntent("stop", "running", 1, {}, RequestContext("key-7", "policy", "too dear")),
    FindCommand("key-7"),
    LoadCommand("1"),
    Claim("1", frozenset({"worker-1"})),
    Release("1", 1),
    RecordAttempt("1", 1, 1),
    RecordOutcome("1", CommandEvent.LOSE, "silence", 1),
    Send("stop", {}),
    Create({"task": "look"}),
    Read(),
    ReadProof("stop"),
    Wait(WaitReason.POLL, 1),
    Wait(WaitReason.APPEAR, 1, since=AT),
    ReportProgress(Progress("running", "running", 1)),
)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_effects_are_immutable_and_picklable(effect: Any) -> None:
    """It can be compared, kept and sent to another process; it cannot be changed."""
    assert pickle.loads(pickle.dumps(effect)) == effect
    for name in effect.__slots__:
        with pytest.raises(FrozenInstanceError):
            setattr(effect, name, None)


def test_the_journals_effects_are_carried_out_on_a_task_journal(log: Log) -> None:
    context = RequestContext("key-7", "policy", "too dear")
    loaded = apply_journal_effect(Load(), log)
    opened = apply_journal_effect(RecordIntent("pause", "running", loaded.version, {"note": "now"}, context), log)

    assert loaded.state == "running"
    assert opened == log.load().open_command
    assert replace(opened, lease=None) == CommandRecord(
        "1", "pause", "running", CommandState.RECORDED, {"note": "now"}, context=context
    )
    assert (
        apply_journal_effect(FindCommand("key-7"), log) == apply_journal_effect(LoadCommand(opened.id), log) == opened
    )
    assert apply_journal_effect(FindCommand("key-8"), log) is None
    assert apply_journal_effect(Claim(opened.id), log) is None, "it is claimed"
    assert apply_journal_effect(Release(opened.id, 1), log) is None
    claimed = apply_journal_effect(Claim(opened.id), log)
    assert (claimed.claim, claimed.lease) == (2, opened.lease)
    assert apply_journal_effect(Claim(opened.id, frozenset({opened.lease.worker})), log).claim == 3
    assert apply_journal_effect(RecordAttempt(opened.id, 1, 2), log) is False, "another claim has followed"
    assert apply_journal_effect(RecordAttempt(opened.id, 1, 3), log) is True
    assert apply_journal_effect(RecordReport(Report("paused", AT)), log).state == "paused"
    outcome = apply_journal_effect(RecordOutcome(opened.id, CommandEvent.CONFIRM, "paused", 3), log)
    assert outcome == CommandOutcome(log.load(), log.load_command(opened.id))
    assert outcome.command.state is CommandState.DONE
    assert log.load().open_command is None


@pytest.mark.parametrize("created", [True, False])
def test_a_task_is_tracked_with_when_it_was_created_if_it_was_now(created: bool, log: Log) -> None:
    assert apply_journal_effect(Track(created), log) is None
    assert (log.load().created_at is not None) is created


def test_a_write_that_came_too_late_is_not_an_error(log: Log) -> None:
    version = log.load().version
    opened = log.add_intent("pause", source="running", version=version, fields={})
    assert isinstance(opened, CommandRecord)
    abandoned = log.add_outcome(opened.id, CommandEvent.ABANDON, why="somebody else", claim=1)
    now = log.load()

    assert apply_journal_effect(RecordIntent("stop", "running", version, {}), log) == now
    assert apply_journal_effect(RecordAttempt(opened.id, 1, 1), log) is False
    assert apply_journal_effect(RecordOutcome(opened.id, CommandEvent.CONFIRM, "paused", 1), log) == abandoned
    assert log.load() is now
    assert isinstance(now, TaskRecord)


@pytest.mark.parametrize(
    "effect",
    [effect for effect in EFFECTS if isinstance(effect, Send | Create | Read | ReadProof | Wait | ReportProgress)],
    ids=lambda effect: type(effect).__name__,
)
def test_effects_outside_the_journal_are_refused(effect: Effect, log: Log) -> None:
    with pytest.raises(TypeError, match=f"no journal can carry out {type(effect).__name__}"):
        apply_journal_effect(effect, log)


# --- a procedure that is broken off -------------------------------------------------------------------


def procedure(*effects: Effect) -> Steps[str]:
    for effect in effects:  # noqa: UP028 - a tuple takes no results
        yield effect
    return "done"


INTENT: RecordIntent[str, str] = RecordIntent("pause", "running", 1, {})


def broken_off(log: Log, *effects: Effect) -> None:
    """Carry out all these effects but the last, and close the procedure before that."""
    run = ProcedureRun(procedure(*effects), log)
    effect = run.resume()
    while effect is not None and effect is not effects[-1]:
        effect = run.resume(apply_journal_effect(effect, log))
    run.close()


def test_a_run_returns_the_effects_and_has_the_result(log: Log) -> None:
    run = ProcedureRun(procedure(Load(), Read()), log)

    assert (run.resume(), run.resume(log.load()), run.resume(LOST)) == (Load(), Read(), None)
    assert run.result == "done"


def test_nothing_stays_claimed_after_a_run(log: Log) -> None:
    with closing(ProcedureRun(procedure(Load(), INTENT), log)) as run:
        run.resume()
        run.resume(log.load())
        run.resume(apply_journal_effect(INTENT, log))

    assert log.load_command("1").lease is None


class OnADisk:
    """A task journal whose disk may be gone. It forwards to the one in memory, and keeps the releases."""

    def __init__(self, log: Log, *, is_gone: bool = False) -> None:
        self.released: list[str] = []
        self._log = log
        self._is_gone = is_gone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def release(self, command_id: str, *, claim: int) -> None:
        if self._is_gone:
            raise OSError("the disk is gone")
        self.released.append(command_id)
        self._log.release(command_id, claim=claim)


def on_a_disk(log: Log, *, is_gone: bool = False) -> Any:
    return OnADisk(log, is_gone=is_gone)


@pytest.mark.parametrize("end", [RecordOutcome("1", CommandEvent.REFUSE, "no", 1), Release("1", 1), LoadCommand("1")])
def test_released_or_lost_claim_is_not_released_again(end: Effect, log: Log) -> None:
    disk = on_a_disk(log)
    with closing(ProcedureRun(procedure(INTENT, end, Read()), disk)) as run:
        run.resume()
        run.resume(apply_journal_effect(INTENT, log))
        if isinstance(end, LoadCommand):  # it shows that another worker has claimed it
            log.release("1", claim=1)
            log.claim("1")
        run.resume(apply_journal_effect(end, log))

    assert not disk.released


@pytest.mark.parametrize("rest", [(), (Load(),), (RecordAttempt("1", 1, 1),)])
def test_an_interrupted_procedure_releases_the_command_that_it_has_claimed(rest: tuple[Effect, ...], log: Log) -> None:
    broken_off(log, INTENT, *rest, Read())

    assert log.load_command("1").lease is None


def test_run_releases_its_latest_claim(log: Log) -> None:
    opened = log.add_intent("pause", source="running", version=1, fields={})
    assert isinstance(opened, CommandRecord)
    log.release("1", claim=1)

    broken_off(log, Claim("1"), Read())

    assert (log.load_command("1").claim, log.load_command("1").lease) == (2, None)


def test_a_procedure_does_not_release_a_command_that_another_has_claimed(log: Log) -> None:
    opened = log.add_intent("pause", source="running", version=1, fields={})
    assert isinstance(opened, CommandRecord)

    broken_off(log, Load(), Claim("1"), INTENT, Read())

    assert log.load_command("1") == opened


def test_a_run_without_a_journal_claims_nothing() -> None:
    run = ProcedureRun(procedure(Read()), None)
    run.resume()
    run.close()

    assert run.resume() is None


def test_claim_without_a_received_result_is_released(log: Log) -> None:
    run = ProcedureRun(procedure(INTENT, Read()), log)
    run.resume()
    assert run.journal is not None
    apply_journal_effect(INTENT, run.journal)
    run.close()

    assert log.load_command("1").lease is None


def test_a_claim_that_another_has_followed_is_not_released(log: Log) -> None:
    run = ProcedureRun(procedure(INTENT, Read()), log)
    run.resume()
    assert run.journal is not None
    apply_journal_effect(INTENT, run.journal)
    log.release("1", claim=1)
    claimed = log.claim("1")
    run.close()

    assert log.load_command("1") == claimed


def test_claim_interrupted_before_it_is_recorded_opens_nothing(log: Log) -> None:
    broken_off(log, Load(), INTENT)

    assert log.load().open_command is None


def test_the_lease_lapses_if_the_journal_is_lost(log: Log) -> None:
    broken_off(on_a_disk(log, is_gone=True), INTENT, Read())

    assert log.load_command("1").lease is not None


class Catching:
    """A procedure that reads, and returns the error of its read."""

    def steps(self) -> Steps[Exception | None]:
        try:
            yield Read()
        except RuntimeError as error:
            return error
        return None


def test_the_error_of_an_effect_is_raised_in_the_procedure(log: Log) -> None:
    error, run = RuntimeError("no disk"), ProcedureRun(Catching().steps(), log)
    run.resume()

    assert run.throw(error) is None
    assert run.result is error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_procedure_that_raises_has_nothing_claimed(error: type[BaseException], log: Log) -> None:
    def raising() -> Steps[None]:
        yield INTENT
        raise error

    run = ProcedureRun(raising(), log)
    run.resume()
    with pytest.raises(error):
        run.resume(apply_journal_effect(INTENT, log))

    assert log.load_command("1").lease is None


class Watching:
    """An observer that keeps all effects and the result."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def observe(self, effect: Effect) -> None:
        self.told.append(effect)

    def succeed(self, result: Any) -> None:
        self.told.append(result)


def test_an_observer_gets_every_effect_and_the_result(log: Log) -> None:
    watching = Watching()
    run = ProcedureRun(procedure(Load(), Read()), log, [watching])
    run.resume()
    run.resume(log.load())
    assert watching.told == [Load()]
    run.resume(LOST)

    assert watching.told == [Load(), Read(), "done"]


# --- the read that is repeated ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["running", REFUSED, DENIED, MISSING])
def test_a_response_that_will_not_change_is_not_read_again(answer: Any, log: Log) -> None:
    driver = Driver(log, Scripted(reads=[answer]))

    assert type(driver.run(read_with_retries())) in (Accepted, Refused, Denied, Missing)
    assert not driver.waits()


def test_a_read_is_repeated_until_it_succeeds(log: Log) -> None:
    driver = Driver(log, Scripted(reads=[THROTTLED, NOT_SENT, LOST, "paused"]))

    answer = driver.run(read_with_retries())

    assert isinstance(answer, Accepted)
    assert driver.waits() == [
        Wait(WaitReason.RETRY, 1, 7.0),
        Wait(WaitReason.RETRY, 2),
        Wait(WaitReason.RETRY, 3),
    ]


def test_the_last_failure_is_returned(log: Log) -> None:
    assert Driver(log, Scripted(reads=[LOST, THROTTLED, NOT_SENT], patience=2)).run(read_with_retries()) is NOT_SENT


GONE = Missing(MISSING.error, gone=Accepted("deleted", AT))


def test_reported_task_that_is_not_found_is_gone(log: Log) -> None:
    assert Driver(log, Scripted(reads=[GONE])).run(read_with_retries()) is GONE.gone


def test_unreported_task_that_is_not_found_is_not_gone() -> None:
    log = journal_knowing(get("v1"), None, times=clock())
    assert Driver(log, Scripted(reads=[GONE])).run(read_with_retries()) is GONE
    log.track(created=True)
    driver = Driver(log, Scripted(reads=[GONE] * 3, patience=2))
    assert driver.run(read_with_retries()) is GONE.gone
    assert [wait.reason for wait in driver.waits()] == [WaitReason.APPEAR] * 3


@pytest.mark.parametrize(("patience", "ending"), [(10, Accepted), (1, Missing)])
def test_new_task_is_read_again_until_it_is_found(patience: int, ending: type, log: Log) -> None:
    log.track(created=True)
    driver = Driver(log, Scripted(reads=[MISSING, MISSING, "running"], patience=patience))

    assert isinstance(driver.run(read_with_retries()), ending)
    assert [(wait.reason, wait.since) for wait in driver.waits()] == [(WaitReason.APPEAR, log.load().created_at)] * 2
