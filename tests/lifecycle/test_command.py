"""The notable cases of each step, one by one. properties/test_command_protocol.py covers all cases."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from lifecycle import (
    COMMAND,
    CommandAbandoned,
    CommandEvent,
    CommandInFlight,
    CommandRefused,
    CommandState,
    CommandUncertain,
    Event,
    IllegalTransition,
    KeyReused,
    Lifecycle,
    Origin,
    State,
    TaskEndedFirst,
    Transition,
    UnknownName,
    UnknownStatus,
    get,
)
from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import (
    Accepted,
    Claim,
    FindCommand,
    Load,
    Lost,
    Missing,
    Read,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    Release,
    Response,
    Send,
    Steps,
    Wait,
    WaitReason,
)
from lifecycle.journal import NO_CONTEXT, CommandEntry, CommandRecord, Lease, Report, RequestContext, TaskRecord
from lifecycle.memory import MemoryJournal
from tests.lifecycle.drivers import (
    DENIED,
    FAILURES,
    LOST,
    MISSING,
    NOT_SENT,
    REFUSED,
    RENEWABLE,
    TASK,
    THROTTLED,
    Declared,
    Driver,
    Log,
    Mishap,
    Request,
    Scripted,
    clock,
    journal_knowing,
    last_command,
    lives,
    run_up_to,
)


@dataclass(eq=False)
class Time:
    """A clock that is set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def goes_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


LEASE_S = 60.0


@dataclass(eq=False)
class Case:
    """A worker with its driver and its scripted service, and what it commands."""

    commanding: CommandProcedure[str, str]
    journal: MemoryJournal
    time: Time
    service: Scripted
    log: Log
    driver: Driver

    def execute(
        self, command: str, fields: Mapping[str, Any] | None = None, context: RequestContext = NO_CONTEXT
    ) -> CommandResult[str, str]:
        return self.driver.run(self.commanding.execute(command, fields, context))

    def recover(self, *dead: str) -> CommandResult[str, str] | None:
        return self.driver.run(self.commanding.recover(dead=frozenset(dead)))

    def record(self) -> CommandRecord[str, str]:
        record = last_command(self.log)
        assert record is not None
        return record

    def lapse(self) -> None:
        """Time passes until every lease is over."""
        self.time.goes_on(LEASE_S + 1)

    def other(self, worker: str = "B") -> Case:
        """Another worker with the same task and the same service."""
        log = self.journal.join(worker).task(self.commanding.lifecycle, TASK)
        return Case(self.commanding, self.journal, self.time, self.service, log, Driver(log, self.service))


def case(name: str | Declared, known: str | None, *, lease_s: float | None = LEASE_S, **script: Any) -> Case:
    """The worker A of a task of that lifecycle whose journal knows `known`, and a service with that script."""
    lifecycle = get(name) if isinstance(name, str) else name
    service, time = Scripted(**script), Time(next(clock()) + timedelta(days=1))  # later than all reports
    journal = MemoryJournal(worker="A", lease_s=lease_s, clock=time)
    log = journal_knowing(lifecycle, known, times=service.clock, journal=journal)
    commanding = CommandProcedure(lifecycle=lifecycle, task=TASK, proved_by_read=frozenset({"stop_task_and_session"}))
    return Case(commanding, journal, time, service, log, Driver(log, service))


def claimed(
    name: str | Declared,
    source: str | None,
    command: str,
    *,
    attempts: int,
    context: RequestContext = NO_CONTEXT,
    **script: Any,
) -> Case:
    """A worker B whose task has an open command that A has claimed, and has sent so many times."""
    given = case(name, source, **script)
    version = given.log.load().version
    opened = given.log.add_intent(command, source=source, version=version, fields={"task": "more"}, context=context)
    assert isinstance(opened, CommandRecord)
    for number in range(1, attempts + 1):
        assert given.log.add_attempt(opened.id, number=number, claim=1)
    return given.other()


def left_open(
    name: str | Declared,
    source: str | None,
    command: str,
    *,
    attempts: int,
    context: RequestContext = NO_CONTEXT,
    **script: Any,
) -> Case:
    """A worker B whose task has an open command that A has sent so many times, and has released."""
    given = claimed(name, source, command, attempts=attempts, context=context, **script)
    given.log.release(given.record().id, claim=1)
    return given


def at_its(effect: type, driver: Driver, steps: Steps[Any]) -> Any:
    """Carry the procedure out up to its first effect of that kind, which does not take place, and return that."""
    result: Any = None
    while not isinstance(found := steps.send(result), effect):
        result = driver.perform(found)
    return found


# --- 1: know the state --------------------------------------------------------------------------------


def test_a_task_never_seen_is_read_first() -> None:
    seen = case("v1", None, reads=["running", "paused"], sends=[None])

    assert seen.execute("pause") == CommandResult("pause", "paused", sent=True)
    assert seen.driver.story() == (
        "Load Read RecordReport RecordIntent RecordAttempt Send Read RecordReport confirm"
    )  # fmt: skip


@pytest.mark.parametrize("failure", [DENIED, REFUSED, MISSING])
def test_command_is_not_sent_if_the_task_cannot_be_read(failure: Any) -> None:
    seen = case("v1", None, reads=[failure])

    with pytest.raises(Mishap) as info:
        seen.execute("pause")

    assert info.value is failure.error
    assert seen.driver.story() == ("Load Read Load" if failure is MISSING else "Load Read")
    assert not seen.log.entries


@pytest.mark.parametrize(
    ("broken", "notes"),
    [
        (RecordIntent, None),
        (RecordAttempt, None),
        (RecordOutcome, ["The command 'pause' was sent, and may have taken effect."]),
    ],
)
def test_error_of_the_journal_says_if_the_command_was_sent(broken: type[Any], notes: list[str] | None) -> None:
    seen = case("v1", "running", sends=["paused"])
    steps = seen.commanding.execute("pause", None, NO_CONTEXT)
    effect = next(steps)
    while not isinstance(effect, broken):
        effect = steps.send(seen.driver.perform(effect))

    with pytest.raises(Mishap) as info:
        steps.throw(Mishap("the disk is full"))

    assert getattr(info.value, "__notes__", None) == notes


def test_error_of_a_command_that_was_refused_does_not_say_that_it_was_sent() -> None:
    seen = case("v1", "running", sends=[DENIED], reads=["running"])

    found = seen.driver.ending(seen.commanding.execute("pause", None, NO_CONTEXT))

    assert found is DENIED.error
    assert seen.record().state == "refused"
    assert not hasattr(found, "__notes__")


@pytest.mark.parametrize("failure", [LOST, NOT_SENT, THROTTLED])
def test_a_read_that_may_succeed_later_is_repeated(failure: Any) -> None:
    seen = case("v1", None, reads=[failure, failure, "paused"])

    assert seen.execute("pause") == CommandResult("pause", "paused", sent=False)
    assert [(wait.reason, wait.attempt) for wait in seen.driver.waits()] == [
        (WaitReason.RETRY, 1),
        (WaitReason.RETRY, 2),
    ]
    assert {wait.retry_after_s for wait in seen.driver.waits()} == {7.0 if failure is THROTTLED else None}


def test_a_read_is_repeated_within_the_budget() -> None:
    seen = case("v1", None, reads=[LOST, LOST, LOST], patience=2)

    with pytest.raises(Mishap, match="500"):
        seen.execute("pause")

    assert seen.service.is_spent()


@pytest.mark.parametrize(
    ("answer", "said"),
    [(THROTTLED, str(THROTTLED.error)), (DENIED, str(DENIED.error)), ("zombie", "v1: 'zombie' is not a status")],
)
def test_an_uncertain_emergency_stop_says_why_the_status_is_not_known(answer: Any, said: str) -> None:
    seen = case("v1", None, reads=[answer] * 2, sends=[LOST], patience=0)
    with pytest.raises(CommandUncertain) as info:
        seen.execute("stop")
    assert info.value.why.startswith(f"{LOST.error}, and the status cannot be read: {said}")


@pytest.mark.parametrize(
    ("name", "stop", "end"), [("v1", "stop", "stopped"), ("v2", "stop", "stopped"), ("v4", "cancel", "cancelled")]
)
@pytest.mark.parametrize("answer", [LOST, NOT_SENT, THROTTLED, DENIED, REFUSED, "zombie"])
def test_an_emergency_stop_needs_no_read(name: str, stop: str, end: str, answer: Any) -> None:
    """It is recorded and sent whatever the one read returns, and proved by its target from any state."""
    seen = case(name, None, reads=[answer], sends=[end])

    assert seen.execute(stop) == CommandResult(stop, end, sent=True)
    assert seen.record().source is None
    assert not seen.driver.waits(), "an emergency does not wait for a read"
    assert seen.service.is_spent()


def test_an_emergency_stop_is_sent_if_the_status_cannot_be_read() -> None:
    seen = case("v1", None, reads=[LOST] * 3, sends=[LOST, LOST, "stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert [(wait.reason, wait.attempt) for wait in seen.driver.waits()] == [
        (WaitReason.RETRY, 1),
        (WaitReason.RETRY, 2),
    ]
    assert seen.service.is_spent()


def test_an_emergency_stop_without_response_is_recovered_without_a_read() -> None:
    seen = case("v1", None, reads=[LOST] * 4, sends=[LOST, LOST, "stopped"], patience=0)
    with pytest.raises(CommandUncertain, match="its state is not known") as info:
        seen.execute("stop")

    seen.service.patience = 10

    assert info.value.state is None
    assert seen.other().recover() == CommandResult("stop", "stopped", sent=True)
    assert seen.service.is_spent()


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_later_read_settles_an_emergency_stop(attempts: int) -> None:
    seen = left_open("v1-full", None, "stop", attempts=attempts, reads=["finished"])

    with pytest.raises(TaskEndedFirst) as info:
        seen.recover()

    assert info.value.took_effect is False, "no stop leads to 'finished'"


def test_an_emergency_stop_of_a_task_that_is_not_there_is_not_sent() -> None:
    seen = case("v1", None, reads=[MISSING])

    with pytest.raises(Mishap, match="404"):
        seen.execute("stop")

    assert seen.driver.story() == "Load Read"
    assert last_command(seen.log) is None


GONE = Missing(MISSING.error, gone=Accepted("stopped", next(clock())))


@pytest.mark.parametrize("accepted", [[None], [LOST]])
def test_an_emergency_stop_that_may_have_arrived_is_done_if_the_task_is_gone(accepted: list[Any]) -> None:
    seen = case("v1", None, reads=[LOST, GONE], sends=accepted)

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)


def test_emergency_stop_of_an_unknown_task_does_not_mark_it_gone() -> None:
    seen = case("v1", None, reads=[LOST, GONE], sends=[GONE])

    with pytest.raises(Mishap, match="404"):
        seen.execute("stop")

    assert seen.log.load().state is None
    assert seen.service.is_spent()


@pytest.mark.parametrize(("name", "command"), [("v1", "pause"), ("v3-full", "dispatch"), ("v3-full", "stop_task")])
def test_command_other_than_a_stop_is_not_sent_without_a_read(name: str, command: str) -> None:
    seen = case(name, None, reads=[LOST], patience=0)

    with pytest.raises(Mishap, match="500"):
        seen.execute(command)

    assert last_command(seen.log) is None


def test_a_stop_that_the_response_alone_proves_is_not_sent_unread() -> None:
    """It would be done, and no state could be returned of it."""
    v1 = get("v1")
    events = [replace(event, proved_by_state=event.name != "stop") for event in v1.events]
    seen = case(v1.replace(events=tuple(events)), None, reads=[LOST], patience=0)

    with pytest.raises(Mishap, match="500"):
        seen.execute("stop")

    assert last_command(seen.log) is None


def created(name: str, **script: Any) -> Case:
    """A task that was created just now."""
    seen = case(name, None, **script)
    seen.log.track(created=True)
    return seen


def test_new_task_may_not_be_found_yet() -> None:
    seen = created("v1", reads=[MISSING, MISSING, "running", "paused"], sends=[None])

    assert seen.execute("pause").sent
    assert seen.driver.waits() == [
        Wait(WaitReason.APPEAR, attempt, since=seen.log.load().created_at) for attempt in (1, 2)
    ]


def test_command_waits_for_a_new_task_that_is_not_found_yet() -> None:
    """Nothing has happened: also what must not be repeated is sent again."""
    seen = created("v3", reads=["idle", MISSING, MISSING], sends=[MISSING, MISSING, "running"])

    assert seen.execute("dispatch") == CommandResult("dispatch", "running", sent=True)
    assert {(wait.reason, wait.since) for wait in seen.driver.waits()} == {(WaitReason.APPEAR, seen.time.now)}
    assert (seen.record().attempts, seen.record().why) == (3, "the service accepted it")


def test_stop_is_sent_to_a_new_task_that_is_not_found_yet() -> None:
    """A service may find it for a command before it does for a read."""
    seen = created("v1", reads=[MISSING, MISSING, "stopped"], sends=[MISSING, None])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert {(wait.reason, wait.since) for wait in seen.driver.waits()} == {(WaitReason.APPEAR, seen.time.now)}


def test_a_stop_is_not_sent_to_a_task_that_is_not_found_in_time() -> None:
    seen = created("v1", reads=[MISSING], patience=0)

    with pytest.raises(Mishap, match="404"):
        seen.execute("stop")

    assert last_command(seen.log) is None


def test_a_new_task_that_can_be_read_has_refused_its_command() -> None:
    """A service may say 404 for a command that the task's state refuses: the task ended meanwhile."""
    seen = created("v1", reads=["running", "stopped", "stopped"], sends=[MISSING])

    with pytest.raises(TaskEndedFirst):
        seen.execute("pause")

    assert not seen.driver.waits()


def test_task_that_does_not_appear_in_time_is_not_found() -> None:
    seen = created("v1", reads=[MISSING] * 3, patience=2)

    with pytest.raises(Mishap, match="404"):
        seen.execute("pause")

    assert seen.service.is_spent()


def test_a_task_that_was_not_created_here_is_not_waited_for() -> None:
    seen = case("v1", "running", sends=[MISSING], reads=[MISSING])

    with pytest.raises(Mishap, match="404"):
        seen.execute("pause")

    assert not seen.driver.waits()
    assert seen.record().state is CommandState.REFUSED


def test_an_unknown_status_is_raised_and_recorded() -> None:
    seen = case("v1", None, reads=["failed"])

    with pytest.raises(UnknownStatus, match="'v1-full' declares it"):
        seen.execute("pause")

    assert [entry.report.status for entry in seen.log.entries if not isinstance(entry, CommandEntry)] == ["failed"]
    assert not seen.driver.sends()


# --- 2: judge -----------------------------------------------------------------------------------------


def test_a_refusal_by_a_remembered_state_is_confirmed_by_one_read() -> None:
    seen = case("v1-full", "created", reads=["created"])

    with pytest.raises(IllegalTransition, match="'pause' is not allowed in 'created'"):
        seen.execute("pause")

    assert seen.driver.story() == "Load Read RecordReport"


def test_refusal_by_a_remembered_state_is_dropped_if_a_read_contradicts_it() -> None:
    seen = case("v1-full", "created", reads=["running", "paused"], sends=[None])

    assert seen.execute("pause").sent


def test_a_redundancy_by_a_remembered_state_is_confirmed_by_a_read() -> None:
    seen = case("v1", "paused", reads=["running", "paused"], sends=[None])

    assert seen.execute("pause") == CommandResult("pause", "paused", sent=True)


def test_a_redundancy_is_confirmed_and_nothing_is_sent() -> None:
    seen = case("v1", "paused", reads=["paused"])

    assert seen.execute("pause") == CommandResult("pause", "paused", sent=False)
    assert last_command(seen.log) is None


@pytest.mark.parametrize(("command", "ending"), [("stop", CommandResult), ("pause", IllegalTransition)])
def test_a_final_state_needs_no_confirmation(command: str, ending: type) -> None:
    seen = case("v1", "stopped")

    assert isinstance(seen.driver.ending(seen.commanding.execute(command)), ending)
    assert seen.driver.story() == "Load"


def doubted(state: str, contradiction: str, **script: Any) -> Case:
    """A v1-full task that was reported in a final state, and then in another state."""
    seen = case("v1-full", state, **script)
    seen.log.add_report(Report(contradiction, next(seen.service.clock)))
    assert (seen.log.load().state, seen.log.load().doubt) == (state, contradiction)
    return seen


def test_contradicted_final_state_is_read_again() -> None:
    seen = doubted("stopped", "running", reads=["stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=False)
    assert seen.driver.story() == "Load Read RecordReport"
    assert seen.log.load().doubt is None


@pytest.mark.parametrize(("reads", "source"), [(["running"], "running"), (["paused"], "paused"), ([LOST], "running")])
def test_a_task_that_was_wrongly_reported_over_can_be_stopped(reads: list[Any], source: str) -> None:
    seen = doubted("stopped", "running", reads=reads, sends=["stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert seen.record().source == source


def test_a_task_that_was_wrongly_reported_over_can_be_commanded() -> None:
    seen = doubted("finished", "running", reads=["running", "paused"], sends=[None])

    assert seen.execute("pause") == CommandResult("pause", "paused", sent=True)


def test_a_command_whose_end_is_contradicted_meanwhile_is_read_again() -> None:
    seen = doubted("failed", "running", reads=["failed"])

    with pytest.raises(IllegalTransition, match="'failed' is final"):
        seen.execute("pause")


def test_a_state_that_was_just_read_is_not_read_again() -> None:
    seen = case("v1-full", None, reads=["created"])

    with pytest.raises(IllegalTransition):
        seen.execute("pause")


def test_a_redundancy_that_cannot_be_confirmed_is_not_claimed() -> None:
    seen = case("v1", "paused", reads=[DENIED])

    with pytest.raises(Mishap):
        seen.execute("pause")


def test_an_undeclared_command_is_refused_at_once() -> None:
    with pytest.raises(UnknownName, match="did you mean 'pause'"):
        case("v1", "running").commanding.execute("puase")


@pytest.mark.parametrize("name", ["v1-full", "v2", "v2-session", "v3", "v4"])
def test_a_remote_event_is_not_a_command(name: str) -> None:
    for event in get(name).events:
        if event.origin is Origin.REMOTE:
            with pytest.raises(UnknownName, match=rf"{name}: unknown command '{event.name}'"):
                case(name, None).commanding.execute(event.name)


# --- 3: record the intent -------------------------------------------------------------------------------


def test_the_intent_contains_what_is_needed_to_resume_it() -> None:
    seen = case("v3", "idle", sends=["running"])

    seen.execute("dispatch", {"task": "more"})

    first = next(entry.record for entry in seen.log.entries if isinstance(entry, CommandEntry))
    until = seen.time.now + timedelta(seconds=LEASE_S)
    assert first == CommandRecord(
        "1", "dispatch", "idle", COMMAND.initial, {"task": "more"}, claim=1, lease=Lease("A", until)
    )
    assert [effect for effect, _ in seen.driver.trace if isinstance(effect, Send)] == [
        Send("dispatch", {"task": "more"}, "1 ", source="idle")
    ]


def test_a_task_that_changed_meanwhile_is_judged_again() -> None:
    seen = case("v1", "running", reads=["paused"])
    steps = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, steps, 0)
    loaded = seen.log.load()
    seen.log.add_report(Report("paused", next(seen.service.clock)))  # from another caller

    assert seen.driver.run(steps, loaded) == CommandResult("pause", "paused", sent=False)
    assert seen.driver.story() == "Load RecordIntent Read RecordReport"
    assert last_command(seen.log) is None


@pytest.mark.parametrize(("other", "command"), [("pause", "stop"), ("stop", "stop"), ("stop", "pause")])
@pytest.mark.parametrize("is_uncertain", [False, True])
def test_a_command_in_flight_excludes_any_other(is_uncertain: bool, other: str, command: str) -> None:
    """A stop does not abandon a command that a living worker has claimed, even if it is uncertain."""
    seen = claimed("v1", "running", other, attempts=1)
    if is_uncertain:
        seen.log.add_outcome(seen.record().id, CommandEvent.LOSE, why="silence", claim=1)

    with pytest.raises(CommandInFlight) as info:
        seen.execute(command)

    assert (info.value.command, info.value.other, info.value.state) == (command, other, "running")
    assert not info.value.is_same
    assert (info.value.claimed_by, info.value.until) == seen.record().lease
    assert f"worker '{info.value.claimed_by}' has claimed it until 2026-01-02T00:01" in str(info.value)
    assert seen.record().state is (CommandState.UNCERTAIN if is_uncertain else CommandState.RECORDED)
    assert not seen.driver.sends()


def test_an_unclaimed_open_command_excludes_every_other_but_a_stop() -> None:
    seen = left_open("v1", "running", "pause", attempts=1)

    with pytest.raises(CommandInFlight, match="no worker has claimed it, `recover` settles it") as info:
        seen.execute("pause")

    assert (info.value.claimed_by, info.value.until) == (None, None)


@pytest.mark.parametrize(
    ("command", "reads"), [("stop", ["paused", "stopped"]), ("resume", ["paused", "paused", "running"])]
)
def test_a_command_in_flight_may_be_waited_for(command: str, reads: list[Any]) -> None:
    """B waits twice; A settles its pause meanwhile."""
    seen = claimed("v1", "running", "pause", attempts=1, sends=[None], reads=reads)
    seen.service.meanwhile = [lambda: None, lambda: settle(seen)]

    assert seen.execute(command).sent
    assert [(wait.reason, wait.attempt) for wait in seen.driver.waits()] == [
        (WaitReason.IN_FLIGHT, 1),
        (WaitReason.IN_FLIGHT, 2),
    ]
    assert lives(seen.log) == {"1": [CommandEvent.CONFIRM], "2": [CommandEvent.CONFIRM]}


def settle(seen: Case) -> None:
    """A received a response, and has read that its command took effect."""
    seen.log.add_report(Report(str(seen.service.reads.pop(0)), next(seen.service.clock)))
    seen.log.add_outcome("1", CommandEvent.CONFIRM, why="the task is paused", claim=1)


def test_a_command_in_flight_that_is_settled_just_then_needs_no_waiting() -> None:
    """A's pause ends between B's read of the task and B's claim of the command."""
    seen = claimed("v1", "running", "pause", attempts=1, sends=[None], reads=["paused", "stopped"])
    steps = seen.commanding.execute("stop")
    claim = at_its(Claim, seen.driver, steps)
    settle(seen)

    assert seen.driver.run(steps, seen.driver.perform(claim)) == CommandResult("stop", "stopped", sent=True)
    assert not seen.driver.waits()


def test_an_uncertain_command_excludes_any_other_but_a_stop() -> None:
    seen = case("v1", "running", sends=[LOST], reads=[DENIED])
    with pytest.raises(CommandUncertain):
        seen.execute("pause")

    with pytest.raises(CommandInFlight):
        seen.execute("pause")

    assert seen.record().state is CommandState.UNCERTAIN


@pytest.mark.parametrize(
    ("name", "state", "stop", "end"),
    [("v1", "running", "stop", "stopped"), ("v4", "running", "cancel", "cancelled"), ("v3", "idle", "stop", "stopped")],
)
@pytest.mark.parametrize("attempts", [0, 1])
def test_a_stop_abandons_a_command_that_no_living_worker_has_claimed(
    attempts: int, name: str, state: str, stop: str, end: str
) -> None:
    first = {"v1": "pause", "v4": "cancel", "v3": "dispatch"}[name]
    seen = claimed(name, state, first, attempts=attempts, sends=[end])
    seen.lapse()

    assert seen.execute(stop) == CommandResult(stop, end, sent=True)
    assert lives(seen.log) == {"1": [CommandEvent.ABANDON], "2": [CommandEvent.CONFIRM]}


def test_a_stop_abandons_an_uncertain_command() -> None:
    seen = case("v1", "running", sends=[LOST, "stopped"], reads=[DENIED])
    with pytest.raises(CommandUncertain):
        seen.execute("pause")

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.ABANDON], "2": [CommandEvent.CONFIRM]}


# --- a caller abandons it -------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "nobody waits for it"])
def test_a_caller_abandons_a_command_that_no_living_worker_has_claimed(reason: str) -> None:
    seen = case("v3-full", "idle", sends=[LOST], reads=[DENIED])
    with pytest.raises(CommandUncertain):
        seen.execute("dispatch", {"task": "more"}, KEYED)
    before = len(seen.driver.trace)

    abandoned = seen.driver.run(seen.commanding.abandon(reason))

    assert abandoned == seen.record()
    assert (seen.record().state, seen.record().why) == (CommandState.ABANDONED, reason or "abandoned by a caller")
    assert seen.log.load().open_command is None
    asked = [type(effect).__name__ for effect, _ in seen.driver.trace[before:]]
    assert asked == ["Load", "Claim", "RecordOutcome"]  # nothing is sent and nothing is read
    with pytest.raises(CommandAbandoned):
        seen.execute("dispatch", {"task": "more"}, KEYED)


def test_a_caller_cannot_abandon_a_command_that_a_living_worker_has_claimed() -> None:
    seen = claimed("v1", "running", "pause", attempts=1)

    with pytest.raises(CommandInFlight, match="worker 'A' has claimed it") as info:
        seen.driver.run(seen.commanding.abandon(""))

    assert info.value.is_same
    assert seen.record().state is CommandState.RECORDED


def test_abandon_without_an_open_command_returns_none() -> None:
    seen = case("v1", "running", sends=["paused"])
    assert seen.driver.run(seen.commanding.abandon("")) is None

    seen.execute("pause")

    assert seen.driver.run(seen.commanding.abandon("")) is None
    assert seen.record().state is CommandState.DONE


@pytest.mark.parametrize("at", [Claim, RecordOutcome])
def test_a_command_that_ends_meanwhile_keeps_its_outcome_and_is_not_abandoned(at: type) -> None:
    seen = left_open("v1", "running", "pause", attempts=1)
    steps = seen.commanding.abandon("")
    effect = at_its(at, seen.driver, steps)
    seen.log.add_outcome(seen.record().id, CommandEvent.CONFIRM, why="it is paused", claim=seen.record().claim)

    assert seen.driver.run(steps, seen.driver.perform(effect)) is None
    assert seen.record().state is CommandState.DONE


def test_a_worker_whose_command_a_caller_abandoned_writes_nothing_more() -> None:
    seen = case("v1", "running", sends=[LOST], reads=["running"])
    pausing = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, pausing, 7)
    seen.lapse()
    other = seen.other()
    other.driver.run(other.commanding.abandon("it takes too long"))

    with pytest.raises(CommandAbandoned, match="it takes too long"):
        seen.driver.run(pausing, result=True)

    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.ABANDON]}


# --- 4: send --------------------------------------------------------------------------------------------


def test_each_attempt_is_recorded_before_it_is_made() -> None:
    seen = case("v1", "running", sends=[NOT_SENT, THROTTLED, "stopped"])

    seen.execute("stop")

    steps = [effect for effect, _ in seen.driver.trace if isinstance(effect, RecordAttempt | Send)]
    assert [type(step) for step in steps] == [RecordAttempt, Send] * 3
    assert [step.number for step in steps if isinstance(step, RecordAttempt)] == [1, 2, 3]
    assert seen.record().attempts == 3


def test_worker_with_an_expired_lease_sends_nothing_and_returns_the_recorded_outcome() -> None:
    """A has recorded its intent, and sleeps; B resumes the command, sends it, and settles it."""
    seen = case("v3", "idle", reads=["idle"], sends=["running"])
    steps = seen.commanding.execute("dispatch")
    attempt = at_its(RecordAttempt, seen.driver, steps)
    seen.lapse()
    assert seen.other().recover() == CommandResult("dispatch", "running", sent=True)

    assert seen.driver.run(steps, seen.driver.perform(attempt)) == CommandResult("dispatch", "running", sent=True)
    assert seen.driver.sends() == []
    assert seen.driver.story() == "Load RecordIntent RecordAttempt Load LoadCommand Load"


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_a_worker_whose_command_another_has_resumed_waits_or_raises(is_waited_for: bool) -> None:
    seen = case("v3", "idle", reads=["idle"], sends=["running"])
    steps, others = seen.commanding.execute("dispatch"), seen.other()
    attempt = at_its(RecordAttempt, seen.driver, steps)
    seen.lapse()
    resumed = others.commanding.recover()
    read = at_its(Read, others.driver, resumed)
    if is_waited_for:
        seen.service.meanwhile = [lambda: others.driver.run(resumed, others.driver.perform(read))]

    result = seen.driver.ending(steps, seen.driver.perform(attempt))

    if is_waited_for:
        assert result == CommandResult("dispatch", "running", sent=True)
    else:
        assert isinstance(result, CommandUncertain)
        assert result.why == "worker 'B' has resumed it"
    assert seen.driver.waits() == [Wait(WaitReason.IN_FLIGHT, 1)]
    assert seen.driver.sends() == []


def test_a_worker_whose_command_another_has_resumed_and_released_raises() -> None:
    seen = case("v3", "idle", reads=[DENIED], sends=[LOST])
    steps = seen.commanding.execute("dispatch")
    lost = seen.driver.perform(at_its(Send, seen.driver, steps))
    seen.lapse()
    with pytest.raises(CommandUncertain):
        seen.other().recover()

    with pytest.raises(CommandUncertain, match="another worker has resumed it"):
        seen.driver.run(steps, lost)

    assert lives(seen.log) == {"1": [CommandEvent.LOSE]}


def test_an_attempt_that_was_recorded_and_not_acknowledged_counts_and_was_not_sent() -> None:
    """The journal has repeated a transaction because its end was not seen: the second time it says no."""
    seen = case("v3", "idle", reads=["idle"], sends=["running"])
    steps = seen.commanding.execute("dispatch")
    attempt = at_its(RecordAttempt, seen.driver, steps)
    assert seen.driver.perform(attempt) is True

    assert seen.driver.run(steps, seen.driver.perform(attempt)) == CommandResult("dispatch", "running", sent=True)
    assert (len(seen.driver.sends()), seen.record().attempts) == (1, 2)


@pytest.mark.parametrize(
    ("status", "ending", "outcome"),
    [("finished", TaskEndedFirst, "ended_first"), ("paused", None, "done"), ("stopped", TaskEndedFirst, "ended_first")],
)
def test_a_report_since_the_intent_is_respected(status: str, ending: type[Exception] | None, outcome: str) -> None:
    """Another worker, or a webhook, has reported another state; the record now refuses the command."""
    seen = case("v1-full", "running", reads=[status])
    steps = seen.commanding.execute("pause")
    intend = at_its(RecordAttempt, seen.driver, steps)
    seen.log.add_report(Report(status, next(seen.service.clock)))

    result = seen.driver.ending(steps, seen.driver.perform(intend))

    assert result == CommandResult("pause", "paused", sent=False) if ending is None else isinstance(result, ending)
    assert seen.record().state == outcome
    assert (seen.driver.sends(), seen.record().attempts) == ([], 0)


def test_a_dispatch_is_not_sent_into_work_that_was_recorded_since() -> None:
    seen = case("v3", "idle", reads=["running"])
    steps = seen.commanding.execute("dispatch")
    intend = at_its(RecordAttempt, seen.driver, steps)
    seen.log.add_report(Report("running", next(seen.service.clock)))

    with pytest.raises(IllegalTransition):
        seen.driver.run(steps, seen.driver.perform(intend))

    assert seen.record().state is CommandState.ABANDONED
    assert seen.driver.sends() == []


def test_a_report_during_the_wait_for_a_retry_is_respected() -> None:
    seen = case("v1-full", "running", sends=[THROTTLED], reads=["finished"])
    steps = seen.commanding.execute("pause")
    wait = at_its(Wait, seen.driver, steps)
    seen.log.add_report(Report("finished", next(seen.service.clock)))

    with pytest.raises(TaskEndedFirst):
        seen.driver.run(steps, seen.driver.perform(wait))

    assert len(seen.driver.sends()) == 1


def test_a_task_that_left_its_state_and_returned_accepts_the_command() -> None:
    seen = case("v1", "running", reads=["running", "paused"], sends=[None])
    steps = seen.commanding.execute("pause")
    intend = at_its(RecordAttempt, seen.driver, steps)
    seen.log.add_report(Report("paused", next(seen.service.clock)))

    assert seen.driver.run(steps, seen.driver.perform(intend)) == CommandResult("pause", "paused", sent=True)


def test_a_command_that_a_stop_abandoned_is_not_sent_again() -> None:
    seen = case("v1", "running", sends=[LOST, "stopped"], reads=["running"])
    pausing = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, pausing, 7)
    assert seen.driver.story().endswith("Send lose Read RecordReport Wait")
    seen.lapse()
    seen.other().execute("stop")

    with pytest.raises(CommandAbandoned, match="abandoned for 'stop'"):
        seen.driver.run(pausing, result=True)

    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.ABANDON], "2": [CommandEvent.CONFIRM]}


@pytest.mark.parametrize("read", ["paused", "finished", "failed"])
def test_a_worker_that_loses_the_race_for_the_outcome_returns_the_recorded_one(read: str) -> None:
    """B, which has resumed it, reads another state than A did."""
    seen = case("v1-full", "running", sends=["paused"], reads=[read])
    pausing = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, pausing, 4)
    assert seen.driver.story().endswith("Send RecordReport")
    reported = seen.log.load()
    seen.lapse()
    others = seen.other()
    told = others.driver.ending(others.commanding.recover())

    mine = seen.driver.ending(pausing, reported)

    assert (type(mine), str(mine)) == (type(told), str(told))
    assert mine == told or isinstance(mine, TaskEndedFirst)
    assert len(lives(seen.log)["1"]) == 2
    assert seen.driver.story().endswith("RecordReport confirm Claim LoadCommand Load")


def test_a_proof_is_recorded_under_a_new_claim_if_no_worker_has_claimed_the_command() -> None:
    """B, which took A for dead, has left the command uncertain; A has the service's response."""
    seen = case("v3", "idle", sends=["running"], reads=["running"])
    dispatching = seen.commanding.execute("dispatch")
    confirm = at_its(RecordOutcome, seen.driver, dispatching)
    seen.lapse()
    others = seen.other()
    with pytest.raises(CommandUncertain):
        others.driver.run(others.commanding.recover())

    mine = seen.driver.run(dispatching, seen.driver.perform(confirm))

    assert mine == CommandResult("dispatch", "running", sent=True)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.CONFIRM]}


def test_a_worker_that_releases_an_uncertain_command_checks_its_claim() -> None:
    """While A reads for longer than its lease, B proves the command: A must not raise CommandUncertain."""
    seen = case("v1", "running", sends=[LOST], reads=[DENIED, "paused"])
    pausing = seen.commanding.execute("pause")
    denied = seen.driver.perform(at_its(Read, seen.driver, pausing))
    seen.lapse()
    assert seen.other().recover() == CommandResult("pause", "paused", sent=True)

    assert seen.driver.run(pausing, denied) == CommandResult("pause", "paused", sent=True)


@pytest.mark.parametrize("place", range(8))
def test_a_write_after_another_worker_has_claimed_the_command_changes_nothing(place: int) -> None:
    """A sleeps at every effect in turn; B claims the command, and nothing that A does then touches it."""
    seen = case("v1", "running", sends=["zombie"] * 2, reads=["running", "paused"])
    pausing = seen.commanding.execute("pause")
    if not run_up_to(seen.driver, pausing, place) or last_command(seen.log) is None:
        return
    result = seen.driver.trace[-1][1]
    seen.lapse()
    claim = seen.other().log.claim(seen.record().id)
    sent = len(seen.driver.sends())

    ending = seen.driver.ending(pausing, result)

    assert isinstance(ending, CommandUncertain)
    assert ending.why == "worker 'B' has resumed it"
    assert seen.record() == claim
    assert len(seen.driver.sends()) <= max(sent, int(seen.driver.story().split()[place] == "RecordAttempt"))


def is_error_of(error: BaseException | None, answer: Any) -> bool:
    """Return whether it is the error of a read with this answer: its own, or UnknownStatus with the status."""
    if isinstance(answer, str):
        return isinstance(error, UnknownStatus) and error.status == answer
    return error is answer.error


# --- 5: a usable response ---------------------------------------------------------------------------------


def test_a_status_in_the_response_needs_no_read() -> None:
    seen = case("v2", "started", sends=["stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert seen.driver.story() == "Load RecordIntent RecordAttempt Send RecordReport confirm"


def test_a_service_that_accepts_has_time_to_act() -> None:
    seen = case("v1", "running", sends=[None], reads=["running", LOST, THROTTLED, "paused"])

    assert seen.execute("pause").state == "paused"
    assert [(wait.reason, wait.attempt, wait.retry_after_s) for wait in seen.driver.waits()] == [
        (WaitReason.SETTLE, 1, None),
        (WaitReason.SETTLE, 2, None),
        (WaitReason.SETTLE, 3, 7.0),
    ]


@pytest.mark.parametrize("answer", ["running", "zombie", DENIED, MISSING, LOST])
def test_a_service_that_accepts_and_does_not_act_in_time_leaves_it_uncertain(answer: Any) -> None:
    seen = case("v1", "running", sends=[None], reads=[answer] * 3, patience=2)

    with pytest.raises(CommandUncertain) as info:
        seen.execute("pause")

    if answer == "running":
        assert (info.value.why, info.value.__cause__) == ("the service accepted it and did not act in time", None)
    else:
        assert info.value.why == f"its effect could not be read in time: {info.value.__cause__}"
        assert is_error_of(info.value.__cause__, answer)
    assert seen.log.load().open_command == seen.record()


def test_a_state_past_the_target_proves_a_command_that_alone_leads_there() -> None:
    assert case("v1-full", "paused", sends=[None], reads=["finished"]).execute("resume").state == "finished"


@pytest.mark.parametrize(
    ("name", "source", "command", "end"),
    [
        ("v1-full", "paused", "resume", "failed"),  # it may have failed without
        ("v1-full", "running", "pause", "failed"),
        ("v3-full", "running", "stop_task", "stopped"),  # the session may have closed by itself
        ("v3-full", "running", "stop_task", "timed_out"),
        ("v3-full", "idle", "dispatch", "error"),
    ],
)
@pytest.mark.parametrize("how", ["accepted", "accepted, and read", "lost"])
def test_command_is_moot_if_its_target_leads_to_the_final_state(
    how: str, name: str, source: str, command: str, end: str
) -> None:
    """A response that carries another final state never confirms a command, even past its target."""
    sends = {"accepted": [end], "accepted, and read": [None], "lost": [LOST]}[how]
    seen = case(name, source, sends=sends, reads=[end])
    if how == "accepted, and read" and command == "dispatch":
        pytest.skip("its response proves a dispatch")

    with pytest.raises(TaskEndedFirst, match=f"it is '{end}'; whether '{command}' took effect before is not") as info:
        seen.execute(command)

    assert info.value.took_effect is None
    assert seen.record().state is CommandState.MOOT


@pytest.mark.parametrize(
    ("read", "ending", "outcome"),
    [
        ("paused", None, CommandState.DONE),
        ("finished", TaskEndedFirst, CommandState.MOOT),
        ("running", CommandUncertain, CommandState.UNCERTAIN),
    ],
)
def test_a_response_older_than_the_record_does_not_end_the_task(
    read: str, ending: type[Exception] | None, outcome: CommandState
) -> None:
    known = next(clock())
    times = iter([known, known - timedelta(hours=1), *[known + timedelta(hours=1)] * 2])
    seen = case("v1-full", "running", sends=["finished"], reads=[read] * 2, patience=2, clock=times)

    if ending is None:
        assert seen.execute("pause") == CommandResult("pause", "paused", sent=True)
    else:
        with pytest.raises(ending, match="finished"):
            seen.execute("pause")
    assert seen.record().state is outcome


@pytest.mark.parametrize(
    ("name", "source", "command", "end"),
    [
        ("v1-full", "running", "stop", "finished"),
        ("v2", "started", "stop", "finished"),
        ("v4", "running", "cancel", "failed"),
    ],
)
@pytest.mark.parametrize("sends", [["end"], [None], [LOST], [REFUSED], [MISSING], [LOST, REFUSED]])
def test_a_command_had_no_effect_if_its_target_does_not_lead_to_the_end(
    sends: list[Any], name: str, source: str, command: str, end: str
) -> None:
    answers = [end if answer == "end" else answer for answer in sends]
    seen = case(name, source, sends=answers, reads=[*[source] * (len(sends) - 1), end])

    with pytest.raises(TaskEndedFirst, match=f"it was '{end}' before '{command}' took effect") as info:
        seen.execute(command)

    assert info.value.took_effect is False
    assert seen.record().state is CommandState.ENDED_FIRST


@pytest.mark.parametrize("failure", [REFUSED, MISSING])
@pytest.mark.parametrize(("command", "source"), [("resume", "paused"), ("pause", "running")])
def test_a_command_refused_by_a_task_that_is_over_had_no_effect(failure: Any, command: str, source: str) -> None:
    """Even if the final state could have been reached from the target: nothing arrived."""
    seen = case("v1-full", source, sends=[failure], reads=["failed"])

    with pytest.raises(TaskEndedFirst) as info:
        seen.execute(command)

    assert info.value.took_effect is False


@pytest.mark.parametrize("failure", [REFUSED, MISSING])
def test_a_refusal_after_an_attempt_that_may_have_arrived_is_moot(failure: Any) -> None:
    seen = case("v1-full", "running", sends=[LOST, failure], reads=["running", "failed"])

    with pytest.raises(TaskEndedFirst) as info:
        seen.execute("pause")

    assert info.value.took_effect is None


def test_an_accepted_command_is_not_proved_by_an_unchanged_state() -> None:
    # From idle the service alone comes back to running: that is past the target, and where it was.
    seen = case("v3-full", "running", sends=["running"], reads=["running", "idle"])

    assert seen.execute("stop_task") == CommandResult("stop_task", "idle", sent=True)


def test_a_task_that_ended_first_raises() -> None:
    seen = case("v1-full", "running", sends=[None], reads=["finished"])

    with pytest.raises(TaskEndedFirst) as info:
        seen.execute("pause")

    assert (info.value.lifecycle, info.value.task, info.value.state) == ("v1-full", TASK, "finished")


def test_a_late_report_that_contradicts_the_end_is_not_the_state_after_the_command() -> None:
    """It was sent before the stop took effect, and after its request had started."""
    seen = case("v1", "running", sends=["stopped"])
    steps = seen.commanding.execute("stop")
    confirm = at_its(RecordOutcome, seen.driver, steps)
    seen.log.add_report(Report("running", next(seen.service.clock), channel="webhook"))

    assert seen.driver.run(steps, seen.driver.perform(confirm)) == CommandResult("stop", "stopped", sent=True)
    assert (seen.log.load().state, seen.log.load().doubt) == ("stopped", "running")


def test_a_session_is_read_if_the_tasks_state_proves_nothing() -> None:
    seen = case("v2", "started", sends=["stopped"], reads=["stopped"], proofs=[False, True])

    assert seen.execute("stop_task_and_session") == CommandResult("stop_task_and_session", "stopped", sent=True)
    assert seen.driver.story().endswith("Send RecordReport ReadProof Wait Read RecordReport ReadProof confirm")


def test_a_session_that_stays_leaves_it_uncertain() -> None:
    seen = case("v2", "started", sends=["stopped"], proofs=[False], patience=0)

    with pytest.raises(CommandUncertain):
        seen.execute("stop_task_and_session")


def test_a_session_is_not_asked_before_its_task_has_stopped() -> None:
    seen = case("v2", "started", sends=["started"], reads=["stopped"], proofs=[True])

    assert seen.execute("stop_task_and_session").sent


@pytest.mark.parametrize("state", ["running", "idle"])
def test_a_dispatch_is_proved_by_its_response(state: str) -> None:
    seen = case("v3", "idle", sends=[state])

    assert seen.execute("dispatch") == CommandResult("dispatch", state, sent=True)
    assert seen.driver.story().endswith("Send RecordReport confirm")
    assert seen.record().state is CommandState.DONE


@dataclass
class Raced(Scripted):
    """A service to which another handle's read begins after each command, and is responded before it acts."""

    log: Log | None = None

    def answer(self, request: Request) -> Response:
        response = super().answer(request)
        if isinstance(request, Send) and self.log is not None:
            self.log.add_report(Report(str(self.log.load().current), next(self.clock)))
        return response


@pytest.mark.parametrize(("reads", "known"), [(["running"], "running"), ([LOST], None)], ids=["read", "lost"])
def test_state_after_a_dispatch_is_read_again_if_another_read_overlaps_it(
    reads: list[Response | str | None], known: str | None
) -> None:
    seen = case("v3", "idle")
    service = Raced(sends=["running"], reads=reads, clock=seen.service.clock, log=seen.log)

    done = Driver(seen.log, service).run(seen.commanding.execute("dispatch"))

    assert done == CommandResult("dispatch", known or "idle", sent=True, is_last_known=known is None)


@pytest.mark.parametrize("word", [None, "new"])
@pytest.mark.parametrize("state", ["running", "idle", "stopped"])
def test_an_accepted_dispatch_whose_response_names_no_state_is_read_before_it_is_recorded(
    word: str | None, state: str
) -> None:
    seen = case("v3", "idle", sends=[word], reads=[state])

    assert seen.execute("dispatch") == CommandResult("dispatch", state, sent=True)
    assert seen.driver.story().endswith("Read RecordReport confirm")
    assert seen.record().state is CommandState.DONE


def test_accepted_answer_is_not_done_in_an_unreachable_final_state() -> None:
    """A server of the extension acknowledges a late answer, too, and ignores it."""
    seen = case("mcp-extension", "input_required", sends=[None], reads=["cancelled"])

    with pytest.raises(TaskEndedFirst) as info:
        seen.execute("answer")

    assert (info.value.state, info.value.took_effect) == ("cancelled", None)
    assert seen.record().state is CommandState.MOOT


@pytest.mark.parametrize("state", ["working", "input_required", "completed", "failed"])
def test_accepted_answer_is_done_in_a_reachable_state(state: str) -> None:
    seen = case("mcp-extension", "input_required", sends=[None], reads=[state])

    assert seen.execute("answer") == CommandResult("answer", state, sent=True)
    assert seen.record().state is CommandState.DONE


@pytest.mark.parametrize("failure", [*FAILURES, "new"], ids=str)
def test_a_failed_read_leaves_a_proved_dispatch_done_in_the_last_known_state(failure: Response | str) -> None:
    seen = case("v3", "idle", sends=[None], reads=[failure])

    assert seen.execute("dispatch") == CommandResult("dispatch", "idle", sent=True, is_last_known=True)
    assert seen.record().state is CommandState.DONE
    assert seen.driver.waits() == []


# --- a key by which the service knows the command again ---------------------------------------------------


def keyed(seen: Case, *commands: str) -> Case:
    seen.commanding = replace(seen.commanding, with_key=frozenset(commands))
    return seen


def test_a_dispatch_with_a_key_is_sent_again_with_the_same_intent() -> None:
    seen = keyed(case("v3", "idle", sends=[LOST, "running"], reads=["idle"]), "dispatch")

    assert seen.execute("dispatch") == CommandResult("dispatch", "running", sent=True)
    assert {effect.intent for effect, _ in seen.driver.trace if isinstance(effect, Send)} == {"1 "}
    assert seen.record().attempts == 2


def test_a_dispatch_with_a_key_is_not_sent_again_in_a_state_that_refuses_it() -> None:
    seen = keyed(case("v3", "idle", sends=[LOST], reads=["running"]), "dispatch")

    with pytest.raises(CommandUncertain, match="the task is now 'running'"):
        seen.execute("dispatch")


def test_a_refused_second_attempt_with_a_key_leaves_the_first_uncertain() -> None:
    seen = keyed(case("v3", "idle", sends=[LOST, REFUSED], reads=["idle", "idle"]), "dispatch")

    with pytest.raises(CommandUncertain, match="sent again, it was refused"):
        seen.execute("dispatch")


def test_recovery_sends_a_dispatch_with_a_key_again() -> None:
    seen = keyed(left_open("v3", "idle", "dispatch", attempts=1, reads=["idle"], sends=["running"]), "dispatch")

    assert seen.recover() == CommandResult("dispatch", "running", sent=True)


# --- work that a wait has to see ------------------------------------------------------------------------


def needs_read(command: str, record: TaskRecord[str, str]) -> bool:
    return (command, record.state) == ("dispatch", "idle")


def needs_none(_: str, __: TaskRecord[str, str]) -> bool:
    return False


@pytest.mark.parametrize(("reads", "is_sent"), [(["idle"], True), (["running"], False)])
def test_command_that_needs_a_read_is_judged_by_that_read(reads: list[str], is_sent: bool) -> None:
    seen = case("v3", "idle", sends=["running"], reads=[*reads, *reads])
    seen.commanding = replace(seen.commanding, needs_read=needs_read)

    if is_sent:
        assert seen.execute("dispatch").sent
    else:
        with pytest.raises(IllegalTransition):
            seen.execute("dispatch")
    assert seen.driver.story().startswith("Load Read RecordReport")


def test_a_command_that_is_sent_under_the_same_key_during_the_read_is_this_one() -> None:
    key = RequestContext("order 5")
    seen = case("v3", "idle", sends=["running"], reads=["running"])
    steps = replace(seen.commanding, needs_read=needs_read).execute("dispatch", {}, key)
    effect = next(steps)
    while not isinstance(effect, Read):
        effect = steps.send(seen.driver.perform(effect))
    assert seen.driver.run(seen.commanding.execute("dispatch", {}, key)).sent

    result = seen.driver.run(steps, seen.driver.perform(effect))

    assert result == CommandResult("dispatch", "running", sent=True, is_last_known=True)


def test_a_command_that_needs_no_read_is_sent_at_once() -> None:
    seen = case("v3", "idle", sends=["running"])
    seen.commanding = replace(seen.commanding, needs_read=needs_none)

    assert seen.execute("dispatch").sent
    assert "Read " not in seen.driver.story()


# --- the version of the task ----------------------------------------------------------------------------


def at_version(status: str | None, etag: str | None) -> Accepted:
    return Accepted(status, next(clock()), etag=etag)


def versioned(seen: Case, *commands: str) -> Case:
    seen.commanding = replace(seen.commanding, with_etag=frozenset(commands))
    return seen


def etags(seen: Case) -> list[str | None]:
    return [effect.etag for effect, _ in seen.driver.trace if isinstance(effect, Send)]


def test_a_command_that_names_the_version_has_that_of_a_read_just_before_it() -> None:
    seen = versioned(case("v1", "running", sends=["paused"], reads=[at_version("running", "v1")]), "pause")

    assert seen.execute("pause").state == "paused"
    assert etags(seen) == ["v1"]
    assert seen.driver.story() == "Load Read RecordReport RecordIntent RecordAttempt Send RecordReport confirm"


def test_a_command_that_names_the_version_is_sent_again_with_that_of_the_last_response() -> None:
    reads = [at_version("running", "v1"), at_version("running", "v2")]
    seen = versioned(case("v1", "running", sends=[LOST, THROTTLED, "paused"], reads=reads), "pause")

    assert seen.execute("pause").sent
    assert etags(seen) == ["v1", "v2", "v2"]


def test_a_stop_that_names_the_version_is_not_sent_without_a_read() -> None:
    seen = versioned(case("v1", "running", reads=[DENIED]), "stop")

    with pytest.raises(Mishap):
        seen.execute("stop")
    assert seen.service.is_spent()


def test_recovery_reads_the_version() -> None:
    given = left_open("v1", "running", "pause", attempts=1, reads=[at_version("running", "v3")], sends=["paused"])
    seen = versioned(given, "pause")

    assert seen.recover() == CommandResult("pause", "paused", sent=True)
    assert etags(seen) == ["v3"]


def test_command_without_an_etag_is_sent_with_the_last_read_one() -> None:
    seen = case("v1", None, sends=["paused"], reads=[at_version("running", "v1"), "running"])

    assert seen.execute("pause").sent
    assert etags(seen) == ["v1"]


# --- 6: a refusal ---------------------------------------------------------------------------------------


def test_already_stopped_is_success() -> None:
    seen = case("v1", "paused", sends=[REFUSED], reads=["stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert seen.record().state is CommandState.DONE


def test_a_refusal_raises_with_the_message_of_the_service() -> None:
    seen = case("v1", "running", sends=[REFUSED], reads=[LOST, "running"])

    with pytest.raises(CommandRefused, match="'pause' was refused in 'running': 400 Agent") as info:
        seen.execute("pause")

    assert info.value.detail == "400 Agent session already stopped"
    assert info.value.__cause__ is REFUSED.error
    assert seen.record().state is CommandState.REFUSED


@pytest.mark.parametrize("answer", [DENIED, MISSING, "zombie"])
def test_a_refusal_raises_if_the_status_cannot_be_read(answer: Any) -> None:
    seen = case("v1", "running", sends=[REFUSED], reads=[answer])

    with pytest.raises(CommandRefused):
        seen.execute("pause")


def test_past_the_target_a_refusal_is_not_a_success() -> None:
    """Another caller has resumed it, and it has finished."""
    seen = case("v1-full", "paused", sends=[REFUSED], reads=["finished"])

    with pytest.raises(TaskEndedFirst) as info:
        seen.execute("resume")

    assert info.value.took_effect is False


def test_a_404_for_a_command_is_a_refusal_if_the_task_exists() -> None:
    seen = case("v1", "running", sends=[MISSING], reads=["running"])

    with pytest.raises(CommandRefused, match="404 Task not found") as info:
        seen.execute("pause")

    assert info.value.__cause__ is MISSING.error
    assert seen.record().state is CommandState.REFUSED


def test_a_refused_dispatch_is_refused_though_the_session_runs() -> None:
    seen = case("v3", "idle", sends=[REFUSED], reads=["running"])

    with pytest.raises(CommandRefused):
        seen.execute("dispatch")


def test_a_lost_attempt_that_took_effect_succeeds_though_the_retry_is_refused() -> None:
    seen = case("v1-full", "paused", sends=[LOST, REFUSED], reads=["paused", "finished"])

    assert seen.execute("resume") == CommandResult("resume", "finished", sent=True)


@pytest.mark.parametrize("read", [DENIED, MISSING, "zombie", "running"])
@pytest.mark.parametrize("failure", [REFUSED, MISSING])
def test_a_refused_repetition_is_uncertain_until_a_read_disproves_it(failure: Any, read: Any) -> None:
    """The first request may have arrived late: neither done nor refused, until a read proves one of them."""
    seen = case("v1-full", "running", sends=[LOST, failure], reads=["running", read, "paused"])
    with pytest.raises(CommandUncertain, match="sent again, it was refused: 40") as info:
        seen.execute("pause")

    assert info.value.__cause__ is failure.error
    assert seen.log.load().open_command == seen.record()
    assert seen.recover() == CommandResult("pause", "paused", sent=True)


def test_a_missing_task_raises_the_adapters_error() -> None:
    seen = case("v1", "running", sends=[MISSING], reads=[MISSING])

    with pytest.raises(Mishap) as info:
        seen.execute("pause")

    assert info.value is MISSING.error
    assert seen.record().state is CommandState.REFUSED


def test_a_denial_raises_the_adapters_error_without_a_read() -> None:
    seen = case("v1", "running", sends=[DENIED])

    with pytest.raises(Mishap) as info:
        seen.execute("pause")

    assert info.value is DENIED.error
    assert seen.driver.story() == "Load RecordIntent RecordAttempt Send refuse"


@pytest.mark.parametrize(
    ("failure", "reads", "again"),
    [
        (DENIED, [], CommandRefused),
        (THROTTLED, [], CommandRefused),
        (MISSING, [MISSING], CommandRefused),
        (NOT_SENT, [], CommandAbandoned),
    ],
)
def test_a_key_keeps_the_text_of_a_failed_request_and_not_its_class(
    failure: Any, reads: list[Any], again: type[CommandRefused | CommandAbandoned]
) -> None:
    seen = case("v1", "running", sends=[failure], reads=reads, patience=0)
    context = RequestContext(idempotency_key="k")
    with pytest.raises(Mishap) as first:
        seen.execute("pause", context=context)

    for _ in range(2):
        with pytest.raises(again, match=str(first.value)):
            seen.execute("pause", context=context)

    assert len(seen.driver.sends()) == 1


def test_a_command_that_other_credentials_may_save_is_attempted_again_once() -> None:
    seen = case("v3", "idle", sends=[RENEWABLE, "running"])

    seen.execute("dispatch")  # sending it twice is not the same as once, but a denied request did nothing

    assert seen.driver.story() == "Load RecordIntent RecordAttempt Send RecordAttempt Send RecordReport confirm"


def test_a_command_has_one_intent_in_all_attempts() -> None:
    seen = case("v1", "running", sends=[LOST, "paused"], reads=["running"])
    seen.execute("pause", context=RequestContext("case 17"))
    other = case("v1", "running", sends=["paused"])
    other.execute("pause", context=RequestContext("case 18"))

    effects = [effect for each in (seen, other) for effect, _ in each.driver.trace]
    first, second, third = [effect.intent for effect in effects if isinstance(effect, Send)]
    assert first == second != third


def test_a_command_that_is_denied_twice_is_refused() -> None:
    seen = case("v1", "running", sends=[RENEWABLE, RENEWABLE])

    with pytest.raises(Mishap) as info:
        seen.execute("pause")

    assert info.value is RENEWABLE.error
    assert (seen.record().state, seen.record().attempts) == (CommandState.REFUSED, 2)


def test_a_throttled_command_waits_as_asked() -> None:
    seen = case("v1", "running", sends=[THROTTLED, NOT_SENT, "paused"])

    seen.execute("pause")

    assert [(wait.reason, wait.attempt, wait.retry_after_s) for wait in seen.driver.waits()] == [
        (WaitReason.RETRY, 1, 7.0),
        (WaitReason.RETRY, 2, None),
    ]


@pytest.mark.parametrize(
    ("failure", "outcome"), [(THROTTLED, CommandState.REFUSED), (NOT_SENT, CommandState.ABANDONED)]
)
def test_a_service_that_was_not_reached_in_time_raises_the_adapters_error(failure: Any, outcome: Any) -> None:
    seen = case("v3", "idle", sends=[failure] * 3, patience=2)

    with pytest.raises(Mishap) as info:
        seen.execute("dispatch")

    assert info.value is failure.error
    assert seen.record().state is outcome
    assert seen.log.load().open_command is None


@pytest.mark.parametrize("failure", [THROTTLED, NOT_SENT, DENIED])
def test_a_retry_that_was_not_sent_proves_nothing_about_the_first_attempt(failure: Any) -> None:
    seen = case("v1", "running", sends=[LOST, *[failure] * 3], reads=["running"], patience=2)

    with pytest.raises(CommandUncertain) as info:
        seen.execute("pause")

    assert info.value.__cause__ is failure.error
    assert seen.record().state is CommandState.UNCERTAIN


# --- 7: no usable response --------------------------------------------------------------------------------


def test_500_with_the_target_reached_is_success() -> None:
    seen = case("v1", "running", sends=[LOST], reads=["stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert seen.driver.story() == "Load RecordIntent RecordAttempt Send lose Read RecordReport confirm"


def test_a_lost_command_is_sent_again_if_the_state_has_not_changed() -> None:
    seen = case("v1", "running", sends=[LOST, LOST, "stopped"], reads=["running", "running"])

    assert seen.execute("stop").sent
    assert [(wait.reason, wait.attempt) for wait in seen.driver.waits()] == [
        (WaitReason.RETRY, 1),
        (WaitReason.RETRY, 2),
    ]
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.CONFIRM]}


def test_a_lost_response_may_ask_for_a_pause() -> None:
    busy = Lost(Mishap("503 Service Unavailable"), retry_after_s=30.0)
    seen = case("v1", "running", sends=[busy, "stopped"], reads=["running"])

    assert seen.execute("stop").sent
    assert seen.driver.waits() == [Wait(WaitReason.RETRY, 1, 30.0)]


@pytest.mark.parametrize("failure", [LOST, NOT_SENT, THROTTLED, MISSING])
def test_a_failed_read_may_ask_for_a_pause(failure: Any) -> None:
    later = replace(failure, retry_after_s=30.0)
    seen = created("v1", reads=[later, "running", later, "paused"], sends=[None])

    assert seen.execute("pause").sent
    assert [wait.retry_after_s for wait in seen.driver.waits()] == [30.0, 30.0]


def test_a_lost_command_is_judged_again_if_the_state_has_changed() -> None:
    seen = case("v4", "queued", sends=[LOST, LOST, "cancelled"], reads=["dispatching", "running"])

    assert seen.execute("cancel") == CommandResult("cancel", "cancelled", sent=True)


def test_lost_command_is_retried_within_the_budget() -> None:
    seen = case("v1", "running", sends=[LOST] * 3, reads=["running"] * 3, patience=2)

    with pytest.raises(CommandUncertain, match="500") as info:
        seen.execute("stop")

    assert seen.service.is_spent()
    assert lives(seen.log) == {"1": [CommandEvent.LOSE]}
    assert info.value.__cause__ is LOST.error


@pytest.mark.parametrize("state", ["idle", "running"])
@pytest.mark.parametrize(("source", "command"), [("idle", "dispatch"), ("running", "stop_task")])
def test_a_command_that_is_not_idempotent_is_never_sent_again(source: str, command: str, state: str) -> None:
    """Neither a dispatch, nor a stop_task, which would stop the session's next task."""
    if (command, state) == ("stop_task", "idle"):
        pytest.skip("that proves it")
    seen = case("v3-full", source, sends=[LOST], reads=[state])

    with pytest.raises(CommandUncertain, match="sending it twice is not the same as once"):
        seen.execute(command)

    assert seen.log.load().open_command == seen.record()


def test_after_a_lost_response_only_a_state_that_needs_the_command_proves_it() -> None:
    assert case("v1-full", "paused", sends=[LOST], reads=["finished"]).execute("resume").state == "finished"
    with pytest.raises(TaskEndedFirst) as info:
        case("v3-full", "running", sends=[LOST], reads=["timed_out"]).execute("stop_task")

    assert info.value.took_effect is None


# Made up: no declared service has a command with two targets, or moves on to a state that refuses one.
def ferry(name: str, *further: Transition[str, str]) -> Lifecycle[str, str]:
    remote = dict.fromkeys(["cross", "drift", "sink", *(row.event for row in further)])
    return Lifecycle(
        name=name,
        citation="made up",
        states=(
            State("east", initial=True),
            State("west"),
            State("moored east"),
            State("moored west"),
            State("adrift"),
            State("sunk", final=True),
        ),
        events=(Event("moor", Origin.CALLER), *(Event(each, Origin.REMOTE) for each in remote)),
        transitions=(
            Transition("east", "moor", "moored east"),
            Transition("west", "moor", "moored west"),
            Transition("east", "cross", "west"),
            Transition("east", "drift", "adrift"),
            *(Transition(state, "sink", "sunk") for state in ("west", "moored east", "moored west", "adrift")),
            *further,
        ),
    )


FERRY = ferry("ferry")
TOWED = ferry("towed ferry", Transition("adrift", "tow", "west"))


def test_after_a_lost_response_a_state_that_refuses_it_for_now_leaves_it_uncertain() -> None:
    seen = case(TOWED, "east", sends=[LOST], reads=["adrift"])

    with pytest.raises(CommandUncertain, match="and the task is now 'adrift'"):
        seen.execute("moor")


@pytest.mark.parametrize(
    ("sends", "reads"), [([LOST], ["adrift"]), ([LOST, REFUSED], ["east", "adrift"]), (["adrift"], [])]
)
def test_a_state_that_refuses_it_for_good_settles_it(sends: list[Any], reads: list[str]) -> None:
    """It cannot have led there, and a request that is still on its way finds only states that refuse it."""
    seen = case(FERRY, "east", sends=sends, reads=reads)

    with pytest.raises(CommandRefused, match="the task is 'adrift', which refuses it for good"):
        seen.execute("moor")

    assert lives(seen.log)["1"][-1] is CommandEvent.REFUSE
    assert seen.recover() is None


def test_a_claimed_message_refuses_its_cancel_for_good() -> None:
    seen = left_open("v4-message", "pending", "cancel", attempts=1, reads=["dispatching"])

    with pytest.raises(CommandRefused, match="the task is 'dispatching', which refuses it for good"):
        seen.recover()


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_command_is_proved_by_its_target_from_the_state_it_was_sent_in(attempts: int) -> None:
    seen = left_open(FERRY, "east", "moor", attempts=attempts, reads=["west"], sends=["moored west"])

    assert seen.recover() == CommandResult("moor", "moored west", sent=True)


@pytest.mark.parametrize("answer", [DENIED, REFUSED, MISSING, "zombie"])
def test_after_a_lost_response_a_failed_read_leaves_it_uncertain(answer: Any) -> None:
    seen = case("v1", "running", sends=[LOST], reads=[answer])

    with pytest.raises(CommandUncertain) as info:
        seen.execute("pause")

    assert info.value.why == f"{LOST.error}, and the status cannot be read: {info.value.__cause__}"
    assert is_error_of(info.value.__cause__, answer)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE]}


def test_after_a_lost_response_the_proof_may_come_later_than_the_end() -> None:
    seen = case("v2", "started", sends=[LOST], reads=["stopped", "stopped"], proofs=[False, True])

    assert seen.execute("stop_task_and_session").sent


def test_after_a_lost_response_a_proof_that_does_not_come_leaves_it_uncertain() -> None:
    seen = case("v2", "started", sends=[LOST], reads=["stopped"], proofs=[False], patience=0)

    with pytest.raises(CommandUncertain, match="its proof did not come in time"):
        seen.execute("stop_task_and_session")


def test_a_response_that_is_older_than_the_last_report_proves_nothing() -> None:
    seen = case("v1", "running", sends=["paused"], reads=["paused"])
    pausing = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, pausing, 3)
    answer = seen.driver.sends()[0]
    seen.log.add_report(Report("running", next(seen.service.clock), channel="webhook"))  # resumed at once

    assert seen.driver.run(pausing, answer).sent
    assert seen.driver.story().endswith("Send RecordReport Wait Read RecordReport confirm")


# --- 8: resumed after a crash --------------------------------------------------------------------------------


def test_recover_without_an_open_command_returns_none() -> None:
    seen = case("v1", "running")

    assert seen.recover() is None
    assert seen.driver.story() == "Load"


def test_a_command_that_may_have_arrived_is_settled_by_a_read() -> None:
    seen = left_open("v1", "running", "pause", attempts=1, reads=["paused"])

    assert seen.recover() == CommandResult("pause", "paused", sent=True)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.CONFIRM]}


def test_a_command_that_may_have_arrived_and_is_not_proved_is_sent_again() -> None:
    seen = left_open("v1", "running", "pause", attempts=1, reads=["running"], sends=["paused"])

    assert seen.recover() == CommandResult("pause", "paused", sent=True)
    assert seen.record().attempts == 2


def test_a_dispatch_that_may_have_arrived_stays_open() -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=1, reads=["idle", "running"])

    for _ in range(2):
        with pytest.raises(CommandUncertain):
            seen.recover()

    assert not seen.driver.sends()


@pytest.mark.parametrize("again", ["under its key", "by recovery"])
@pytest.mark.parametrize(
    ("answer", "reads", "why"),
    [
        (None, ["running"] * 2, "the service accepted it and did not act in time"),
        ("running", ["running"], "the service accepted it and did not act in time"),
        (None, [DENIED] * 2, "its effect could not be read in time: 403 not your task"),
        (LOST, ["running"], "500 Internal Server Error"),
    ],
)
def test_an_uncertain_command_keeps_the_reason_of_its_uncertainty(
    answer: Any, reads: list[Any], why: str, again: str
) -> None:
    """A person decides by it whether to abandon the command."""
    seen = case("v3-full", "running", sends=[answer], reads=[*reads, "running", "running"], patience=1)
    context = RequestContext(idempotency_key="k")
    with pytest.raises(CommandUncertain) as first:
        seen.execute("stop_task", context=context)
    assert first.value.why.startswith(why)

    for _ in range(2):
        with pytest.raises(CommandUncertain) as info:
            seen.recover() if again == "by recovery" else seen.execute("stop_task", context=context)
        assert info.value.why == f"{why}, and sending it twice is not the same as once"

    assert seen.service.is_spent()


def test_a_dispatch_that_was_never_sent_is_sent_with_its_fields() -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=0, reads=["idle"], sends=["running"])

    assert seen.recover() == CommandResult("dispatch", "running", sent=True)
    assert [effect.fields for effect, _ in seen.driver.trace if isinstance(effect, Send)] == [{"task": "more"}]


def test_a_recovered_command_whose_target_is_reached_was_not_sent() -> None:
    seen = left_open("v1", "running", "pause", attempts=0, reads=["paused"])

    assert seen.recover() == CommandResult("pause", "paused", sent=False)
    assert seen.record().state is CommandState.DONE


@pytest.mark.parametrize(("attempts", "took_effect"), [(0, False), (1, None)])
def test_a_command_that_was_never_sent_had_no_effect(attempts: int, took_effect: bool | None) -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=attempts, reads=["stopped"])

    with pytest.raises(TaskEndedFirst) as info:
        seen.recover()

    assert info.value.took_effect is took_effect


def test_a_command_that_was_never_sent_is_not_proved_past_its_target() -> None:
    # Somebody else has resumed it.
    seen = left_open("v1-full", "paused", "resume", attempts=0, reads=["finished"])

    with pytest.raises(TaskEndedFirst):
        seen.recover()


def test_a_command_that_was_never_sent_and_is_illegal_by_now_is_abandoned() -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=0, reads=["running"])

    with pytest.raises(IllegalTransition, match="'dispatch' is not allowed in 'running'"):
        seen.recover()

    assert seen.record().state is CommandState.ABANDONED


def test_a_command_that_was_never_sent_and_lacks_its_proof_is_abandoned() -> None:
    # Somebody else has stopped the task alone.
    seen = left_open("v2", "started", "stop_task_and_session", attempts=0, reads=["stopped"], proofs=[False])

    with pytest.raises(IllegalTransition, match="'stopped' is final"):
        seen.recover()

    assert seen.record().state is CommandState.ABANDONED


def test_a_command_that_was_never_sent_is_judged_from_the_present_state() -> None:
    seen = left_open("v4", "queued", "cancel", attempts=0, reads=["running"], sends=[LOST], patience=0)
    seen.service.reads.append("completed")

    with pytest.raises(TaskEndedFirst):
        seen.recover()


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_recovery_that_cannot_read_releases_the_command(attempts: int) -> None:
    """It raises the adapter's error if it was never sent, since nothing is then uncertain."""
    seen = left_open("v1", "running", "pause", attempts=attempts, reads=[DENIED, "running", "paused"], sends=[None])
    with pytest.raises(CommandUncertain if attempts else Mishap):
        seen.recover()

    assert seen.record().lease is None
    assert seen.recover() == CommandResult("pause", "paused", sent=True)


def test_a_command_that_was_never_sent_is_not_sent_into_an_unknown_state() -> None:
    seen = left_open("v1", "running", "pause", attempts=0, reads=["zombie"])

    with pytest.raises(UnknownStatus):
        seen.recover()

    assert seen.record().lease is None
    assert lives(seen.log) == {"1": []}


def test_a_command_that_a_living_worker_has_claimed_is_not_resumed() -> None:
    seen = claimed("v1", "running", "pause", attempts=1)

    with pytest.raises(CommandInFlight, match="'pause' has no outcome yet; worker 'A' has claimed it until") as info:
        seen.recover()

    assert (info.value.claimed_by, info.value.until) == ("A", seen.time.now + timedelta(seconds=LEASE_S))
    assert info.value.is_same
    assert "was not sent" not in str(info.value), "it may have been"
    assert seen.driver.story() == "Load Claim LoadCommand Wait"


def test_the_error_of_a_claim_without_end_has_no_time() -> None:
    seen = claimed("v1", "running", "pause", attempts=1, lease_s=None)
    seen.lapse()

    with pytest.raises(CommandInFlight, match="worker 'A' has claimed it until it is settled") as info:
        seen.recover()

    assert (info.value.claimed_by, info.value.until) == ("A", None)


def test_a_claimed_command_is_resumed_once_its_lease_is_over() -> None:
    seen = claimed("v1", "running", "pause", attempts=1, reads=["paused"])
    seen.service.meanwhile = [lambda: None, seen.lapse]

    assert seen.recover() == CommandResult("pause", "paused", sent=True)
    assert seen.driver.waits() == [Wait(WaitReason.IN_FLIGHT, 1), Wait(WaitReason.IN_FLIGHT, 2)]
    assert (seen.record().claim, seen.record().state) == (2, CommandState.DONE)


@pytest.mark.parametrize("dead", [("A",), ("Z", "A")])
def test_a_command_that_a_dead_worker_has_claimed_is_resumed_at_once(dead: tuple[str, ...]) -> None:
    seen = claimed("v1", "running", "pause", attempts=1, reads=["paused"])

    assert seen.recover(*dead) == CommandResult("pause", "paused", sent=True)
    assert not seen.driver.waits()


def test_another_dead_worker_does_not_end_the_claim() -> None:
    with pytest.raises(CommandInFlight):
        claimed("v1", "running", "pause", attempts=1).recover("C")


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_a_recovery_returns_the_outcome_that_another_worker_records_meanwhile(is_waited_for: bool) -> None:
    seen = claimed("v1", "running", "pause", attempts=1, reads=["paused"])
    steps = seen.commanding.recover()
    if is_waited_for:
        seen.service.meanwhile = [lambda: settle(seen)]
        told = seen.driver.run(steps)
    else:
        claim = at_its(Claim, seen.driver, steps)
        settle(seen)
        told = seen.driver.run(steps, seen.driver.perform(claim))

    assert told == CommandResult("pause", "paused", sent=True)


def test_an_uncertain_command_is_released() -> None:
    lost = case("v3", "idle", sends=[LOST], reads=["idle"])

    with pytest.raises(CommandUncertain):
        lost.execute("dispatch")

    assert lost.driver.trace[-1][0] == Release(lost.record().id, claim=1)
    assert lost.record().lease is None


def test_everything_that_is_written_of_a_command_names_its_claim() -> None:
    seen = claimed("v1", "running", "pause", attempts=0, reads=["running", "running"], sends=[LOST])
    seen.lapse()
    seen.service.patience = 0

    with pytest.raises(CommandUncertain):
        seen.recover()

    written = [effect for effect, _ in seen.driver.trace if isinstance(effect, RecordAttempt | RecordOutcome | Release)]
    assert {type(effect) for effect in written} == {RecordAttempt, RecordOutcome, Release}
    assert {effect.claim for effect in written} == {2}


def test_an_open_command_is_kept_without_a_handle() -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=1, reads=["stopped"])
    journal, commanding, service = seen.journal, seen.commanding, seen.service
    del seen
    gc.collect()

    [task] = journal.open_tasks(commanding.lifecycle)
    driver = Driver(journal.task(commanding.lifecycle, task), service)
    with pytest.raises(TaskEndedFirst):
        driver.run(commanding.recover())
    assert isinstance(driver.trace[0][0], Load)


# --- keys -------------------------------------------------------------------------------------------------

KEYED = RequestContext("key-7", reason="the user asked twice")


def test_the_intent_contains_its_context() -> None:
    seen = case("v1", "running", sends=[None], reads=["paused"])

    seen.execute("pause", context=KEYED)

    assert seen.record().context == KEYED
    assert seen.driver.story().startswith("Load FindCommand RecordIntent RecordAttempt Send")


def test_repeated_command_under_a_key_is_not_sent_again() -> None:
    seen = case("v1", "running", sends=[None], reads=["paused"])

    first = seen.execute("pause", context=KEYED)
    seen.log.add_report(Report("running", next(seen.service.clock)))
    second = seen.execute("pause", context=KEYED)

    assert first == CommandResult("pause", "paused", sent=True)
    assert second == CommandResult("pause", "running", sent=True, is_last_known=True)
    assert len(lives(seen.log)) == len(seen.driver.sends()) == 1


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        (CommandEvent.REFUSE, CommandRefused),
        (CommandEvent.END, TaskEndedFirst),
        (CommandEvent.OUTLIVE, TaskEndedFirst),
        (CommandEvent.ABANDON, CommandAbandoned),
    ],
)
def test_repeated_command_returns_the_first_outcome(event: CommandEvent, ending: type[Exception]) -> None:
    ended = left_open("v1", "running", "pause", attempts=1, context=KEYED)
    ended.log.add_outcome(ended.record().id, event, why="that is why", claim=1)
    before = list(ended.log.entries)

    with pytest.raises(ending) as info:
        ended.execute("pause", {"task": "more"}, KEYED)

    assert "that is why" in str(info.value) or ending is TaskEndedFirst
    if isinstance(info.value, TaskEndedFirst):
        assert info.value.took_effect is (False if event is CommandEvent.END else None)
    assert ended.log.entries == before


@pytest.mark.parametrize(
    ("command", "fields", "message"),
    [
        ("stop", {"task": "more"}, "'stop' cannot have the key 'key-7', used for 'pause'"),
        ("pause", {"task": "less"}, "'pause' cannot have the key 'key-7', used with other fields"),
    ],
)
@pytest.mark.parametrize("is_open", [True, False])
def test_a_key_belongs_to_one_command(is_open: bool, command: str, fields: dict[str, str], message: str) -> None:
    used = left_open("v1", "running", "pause", attempts=1, context=KEYED)
    if not is_open:
        used.log.add_outcome(used.record().id, CommandEvent.CONFIRM, why="", claim=1)

    with pytest.raises(KeyReused, match=message):
        used.execute(command, fields, KEYED)

    assert used.driver.story() == "Load FindCommand Load"


@pytest.mark.parametrize(("first", "second"), [(True, 1), (0, False), (1, 1.0)])
def test_key_with_fields_that_are_equal_only_in_python_is_refused(first: object, second: object) -> None:
    used = case("v1", "running", reads=["running"], sends=["paused"])
    used.execute("pause", {"flag": first}, KEYED)

    with pytest.raises(KeyReused, match="used with other fields"):
        used.execute("pause", {"flag": second}, KEYED)

    assert used.execute("pause", {"flag": first}, KEYED).sent


@pytest.mark.parametrize(
    ("attempts", "script"), [(0, {"reads": ["running", "paused"], "sends": [None]}), (1, {"reads": ["paused"]})]
)
def test_repeated_command_is_resumed_if_it_is_open(attempts: int, script: dict[str, Any]) -> None:
    dead = left_open("v1", "running", "pause", attempts=attempts, context=KEYED, **script)

    assert dead.execute("pause", {"task": "more"}, KEYED) == CommandResult("pause", "paused", sent=True)
    assert len(lives(dead.log)) == 1
    assert dead.service.is_spent()


def test_repeated_command_is_in_flight_while_a_living_worker_has_claimed_it() -> None:
    alive = claimed("v1", "running", "pause", attempts=1, context=KEYED)

    with pytest.raises(CommandInFlight) as info:
        alive.execute("pause", {"task": "more"}, KEYED)

    assert info.value.claimed_by == "A"


def test_repeated_command_may_wait_for_the_outcome_of_the_first() -> None:
    alive = claimed("v1", "running", "pause", attempts=1, context=KEYED, reads=["paused"])
    alive.service.meanwhile = [lambda: settle(alive)]

    assert alive.execute("pause", {"task": "more"}, KEYED) == CommandResult("pause", "paused", sent=True)


@pytest.mark.parametrize("event", [CommandEvent.CONFIRM, CommandEvent.OUTLIVE])
def test_a_key_is_kept_without_a_handle(event: CommandEvent) -> None:
    seen = left_open("v1", "running", "pause", attempts=1, context=KEYED)
    seen.log.add_outcome("1", event, why="", claim=1)
    journal, commanding = seen.journal, seen.commanding
    del seen
    gc.collect()

    driver = Driver(journal.task(commanding.lifecycle, TASK), Scripted())
    ending = driver.ending(commanding.execute("pause", {"task": "more"}, KEYED))

    assert isinstance(ending, CommandResult if event is CommandEvent.CONFIRM else TaskEndedFirst)
    assert not driver.sends()


def test_another_key_is_another_command() -> None:
    seen = case("v1", "paused", sends=[None, None], reads=["running", "paused"])

    seen.execute("resume", context=RequestContext("key-1"))
    seen.execute("pause", context=RequestContext("key-2"))

    assert len(lives(seen.log)) == 2


def test_a_redundant_command_is_recorded_so_that_its_key_keeps_its_outcome() -> None:
    seen = case("v1", "paused", reads=["paused"])

    needless = seen.execute("pause", context=KEYED)
    seen.log.add_report(Report("running", next(seen.service.clock)))
    again = seen.execute("pause", context=KEYED)

    assert needless == CommandResult("pause", "paused", sent=False)
    assert again == CommandResult("pause", "running", sent=False, is_last_known=True)
    assert (seen.record().state, seen.record().attempts) == (CommandState.DONE, 0)


ANSWERING: Declared = Lifecycle(
    name="answering",
    citation="none: a task of this test, whose answers are declared as if a state proved them",
    states=[State("asking", initial=True), State("working"), State("done", final=True)],
    events=[
        Event("answer", Origin.CALLER, idempotent=False),
        Event("go_on", Origin.REMOTE),
        Event("end", Origin.REMOTE),
    ],
    transitions=[
        Transition("asking", "answer", "working"),
        Transition("asking", "go_on", "working"),
        Transition("working", "end", "done"),
    ],
)
FIELDS = {"text": "Lisbon"}


@pytest.mark.parametrize("context", [NO_CONTEXT, KEYED])
def test_non_idempotent_command_with_fields_is_never_redundant(context: RequestContext) -> None:
    """Otherwise its fields would be dropped, and nobody would know."""
    seen = case(ANSWERING, "working", reads=["working", "working"])

    with pytest.raises(IllegalTransition):
        seen.execute("answer", FIELDS, context)

    assert not seen.driver.sends()
    assert seen.execute("answer", context=context).sent is False, "without fields there is nothing to drop"


def test_refused_fields_at_the_target_raise_command_refused() -> None:
    seen = case(ANSWERING, "asking", sends=[REFUSED], reads=["working"])

    with pytest.raises(CommandRefused):
        seen.execute("answer", FIELDS)


def test_recovery_does_not_report_unsent_fields_as_sent() -> None:
    dead = left_open(ANSWERING, "asking", "answer", attempts=0, reads=["working"])

    with pytest.raises(IllegalTransition):
        dead.recover()


@pytest.mark.parametrize(
    ("script", "is_sent"), [({"reads": ["paused"]}, False), ({"reads": ["running", "paused"], "sends": [None]}, True)]
)
def test_a_redundant_command_that_was_left_open_is_judged_from_the_present_state(
    script: dict[str, Any], is_sent: bool
) -> None:
    dead = left_open("v1", "paused", "pause", attempts=0, context=KEYED, **script)

    assert dead.recover() == CommandResult("pause", "paused", sent=is_sent)
    assert dead.service.is_spent()


def test_an_illegal_command_does_not_use_its_key() -> None:
    seen = case("v3", "running", reads=["running"], sends=["running"])

    with pytest.raises(IllegalTransition):
        seen.execute("dispatch", context=KEYED)
    seen.log.add_report(Report("idle", next(seen.service.clock)))

    assert seen.execute("dispatch", context=KEYED) == CommandResult("dispatch", "running", sent=True)


def test_second_command_under_a_key_returns_the_first_outcome() -> None:
    """A task that was not known: the second worker had loaded its record before the first had read it."""
    seen = case("v1", None, sends=[None], reads=["running", "paused"])
    second = seen.commanding.execute("pause", context=KEYED)
    find = at_its(FindCommand, seen.driver, second)

    first = seen.execute("pause", context=KEYED)

    assert seen.driver.run(second, seen.driver.perform(find)) == replace(first, is_last_known=True)
    assert len(seen.driver.sends()) == 1


@pytest.mark.parametrize("is_done", [True, False])
def test_one_of_two_intents_under_one_key_is_recorded(is_done: bool) -> None:
    seen = case("v1", "running", sends=[None], reads=["paused"])
    second = seen.commanding.execute("pause", context=KEYED)
    intend = at_its(RecordIntent, seen.driver, second)
    first = seen.commanding.execute("pause", context=KEYED)

    if is_done:
        seen.driver.run(first)
    else:  # it dies when it has sent
        seen.driver.perform(at_its(Send, seen.driver, first))
        first.close()
        seen.log.release("1", claim=1)

    result = seen.driver.run(second, seen.driver.perform(intend))
    assert result == CommandResult("pause", "paused", sent=True, is_last_known=is_done)
    assert len(lives(seen.log)) == len(seen.driver.sends()) == 1
