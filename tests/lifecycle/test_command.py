"""The notable cases of each step, told one by one. Every case at all is in properties/test_command_protocol.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from lifecycle.command import Commanding, CommandResult
from lifecycle.effects import FindCommand, RecordAttempt, RecordIntent, Release, Send, Steps, Wait, WaitReason
from lifecycle.journal import UNSTATED, CommandEntry, CommandRecord, Purpose, Report
from tests.lifecycle.drivers import (
    DENIED,
    LOST,
    NOT_SENT,
    REFUSED,
    TASK,
    THROTTLED,
    Declared,
    Driver,
    Log,
    Mishap,
    Scripted,
    journal_knowing,
    last_command,
    lives,
    run_up_to,
)


@dataclass(eq=False)
class Case:
    """A driver, its scripted service, and what was commanded."""

    commanding: Commanding[str, str]
    log: Log
    service: Scripted
    driver: Driver

    def execute(
        self, command: str, fields: Mapping[str, Any] | None = None, purpose: Purpose = UNSTATED
    ) -> CommandResult[str, str]:
        return self.driver.run(self.commanding.execute(command, fields, purpose))

    def recover(self) -> CommandResult[str, str] | None:
        return self.driver.run(self.commanding.recover())

    def record(self) -> CommandRecord[str, str]:
        record = last_command(self.log)
        assert record is not None
        return record


def case(name: str | Declared, known: str | None, **script: Any) -> Case:
    """A task of that lifecycle whose journal knows `known`, and a service with that script."""
    lifecycle = get(name) if isinstance(name, str) else name
    service = Scripted(**script)
    log = journal_knowing(lifecycle, known, times=service.clock)
    commanding = Commanding(lifecycle=lifecycle, task=TASK, proved_by_read=frozenset({"stop_task_and_session"}))
    return Case(commanding, log, service, Driver(log, service))


def left_open(
    name: str | Declared, source: str, command: str, *, attempts: int, purpose: Purpose = UNSTATED, **script: Any
) -> Case:
    """A case whose command was left open by a worker that died, after it had sent it so many times."""
    given = case(name, source, **script)
    version = given.log.load().version
    opened = given.log.add_intent(command, source=source, version=version, fields={"task": "more"}, purpose=purpose)
    assert isinstance(opened, CommandRecord)
    for number in range(1, attempts + 1):
        assert given.log.add_attempt(opened.id, number=number)
    return given


def at_its(effect: type, driver: Driver, steps: Steps[Any]) -> Any:
    """Carry the procedure out up to its first effect of that kind, which does not take place, and return that."""
    result: Any = None
    while not isinstance(found := steps.send(result), effect):
        result = driver.perform(found)
    return found


def _held(_: str) -> None:
    """Claim nothing: a living worker holds it."""


# --- 1: know the state --------------------------------------------------------------------------------


def test_a_task_never_seen_is_read_first() -> None:
    seen = case("v1", None, reads=["running", "paused"], sends=[None])

    assert seen.execute("pause") == CommandResult("pause", "paused", sent=True)
    assert seen.driver.story() == (
        "Load Read RecordReport RecordIntent RecordAttempt Send Read RecordReport confirm"
    )  # fmt: skip


@pytest.mark.parametrize("failure", [DENIED, REFUSED])
def test_a_task_that_cannot_be_read_is_not_commanded(failure: Any) -> None:
    seen = case("v1", None, reads=[failure])

    with pytest.raises(Mishap) as info:
        seen.execute("pause")

    assert info.value is failure.error
    assert seen.driver.story() == "Load Read"
    assert not seen.log.entries


@pytest.mark.parametrize("failure", [LOST, NOT_SENT, THROTTLED])
def test_a_read_that_may_succeed_later_is_repeated(failure: Any) -> None:
    seen = case("v1", None, reads=[failure, failure, "stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=False)
    assert [(wait.reason, wait.attempt) for wait in seen.driver.waits()] == [
        (WaitReason.RETRY, 1),
        (WaitReason.RETRY, 2),
    ]
    assert {wait.retry_after_s for wait in seen.driver.waits()} == {7.0 if failure is THROTTLED else None}


def test_a_read_is_repeated_within_the_budget() -> None:
    seen = case("v1", None, reads=[LOST, LOST, LOST], patience=2)

    with pytest.raises(Mishap, match="500"):
        seen.execute("stop")

    assert seen.service.is_spent()


def test_a_status_that_nobody_knows_is_surfaced_and_recorded() -> None:
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


def test_what_a_remembered_state_refuses_may_be_legal_by_now() -> None:
    seen = case("v1-full", "created", reads=["running", "paused"], sends=[None])

    assert seen.execute("pause").sent


def test_what_was_redundant_may_be_needed_by_now() -> None:
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


def test_a_state_that_was_just_read_is_not_read_again() -> None:
    seen = case("v1-full", None, reads=["created"])

    with pytest.raises(IllegalTransition):
        seen.execute("pause")


def test_a_redundancy_that_cannot_be_confirmed_is_not_claimed() -> None:
    seen = case("v1", "paused", reads=[DENIED])

    with pytest.raises(Mishap):
        seen.execute("pause")


def test_what_is_not_declared_is_refused_at_once() -> None:
    with pytest.raises(UnknownName, match="did you mean 'pause'"):
        case("v1", "running").commanding.execute("puase")


@pytest.mark.parametrize("name", ["v1-full", "v2", "v2-session", "v3", "v4"])
def test_what_the_service_does_by_itself_is_no_command(name: str) -> None:
    for event in get(name).events:
        if event.origin is Origin.REMOTE:
            with pytest.raises(UnknownName, match=rf"{name}: unknown command '{event.name}'"):
                case(name, None).commanding.execute(event.name)


# --- 3: record the intent -------------------------------------------------------------------------------


def test_the_intent_holds_what_is_needed_to_take_it_up() -> None:
    seen = case("v3", "idle", sends=["running"])

    seen.execute("dispatch", {"task": "more"})

    first = next(entry.record for entry in seen.log.entries if isinstance(entry, CommandEntry))
    assert first == CommandRecord("1", "dispatch", "idle", COMMAND.initial, {"task": "more"})
    assert [effect for effect, _ in seen.driver.trace if isinstance(effect, Send)] == [
        Send("dispatch", {"task": "more"})
    ]


def test_a_task_that_changed_meanwhile_is_judged_again() -> None:
    seen = case("v1", "running", reads=["paused"])
    steps = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, steps, 0)
    loaded = seen.log.load()
    seen.log.add_report(Report("paused", next(seen.service.clock)))  # by somebody else

    assert seen.driver.run(steps, loaded) == CommandResult("pause", "paused", sent=False)
    assert seen.driver.story() == "Load RecordIntent Read RecordReport"
    assert last_command(seen.log) is None


@pytest.mark.parametrize(("other", "command"), [("pause", "stop"), ("stop", "stop"), ("stop", "pause")])
def test_a_command_in_flight_excludes_any_other(other: str, command: str) -> None:
    seen = left_open("v1", "running", other, attempts=1)

    with pytest.raises(CommandInFlight) as info:
        seen.execute(command)

    assert (info.value.command, info.value.other, info.value.state) == (command, other, "running")
    assert seen.driver.story() == "Load RecordIntent"


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
def test_a_stop_gives_an_uncertain_command_up(name: str, state: str, stop: str, end: str) -> None:
    first = {"v1": "pause", "v4": "cancel", "v3": "dispatch"}[name]
    seen = case(name, state, sends=[LOST, end], reads=[DENIED])
    with pytest.raises(CommandUncertain):
        seen.execute(first)

    assert seen.execute(stop) == CommandResult(stop, end, sent=True)
    assert lives(seen.log) == {
        "1": [CommandEvent.LOSE, CommandEvent.ABANDON],
        "2": [CommandEvent.CONFIRM],
    }


# --- 4: send --------------------------------------------------------------------------------------------


def test_each_attempt_is_recorded_before_it_is_made() -> None:
    seen = case("v1", "running", sends=[NOT_SENT, THROTTLED, "stopped"])

    seen.execute("stop")

    steps = [effect for effect, _ in seen.driver.trace if isinstance(effect, RecordAttempt | Send)]
    assert [type(step) for step in steps] == [RecordAttempt, Send] * 3
    assert [step.number for step in steps if isinstance(step, RecordAttempt)] == [1, 2, 3]
    assert seen.record().attempts == 3


def test_a_command_that_a_recovery_took_over_is_not_sent() -> None:
    seen = case("v1", "running")
    steps = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, steps, 1)
    opened = seen.record()
    seen.log.add_attempt(opened.id, number=1)  # by a recovery

    with pytest.raises(CommandUncertain, match="another worker has taken over"):
        seen.driver.run(steps, opened)

    assert seen.driver.story() == "Load RecordIntent RecordAttempt Load"


@pytest.mark.parametrize(
    ("status", "ending", "outcome"),
    [("finished", TaskEndedFirst, "ended_first"), ("paused", None, "done"), ("stopped", TaskEndedFirst, "ended_first")],
)
def test_what_was_recorded_since_the_intent_is_heeded(
    status: str, ending: type[Exception] | None, outcome: str
) -> None:
    """Another worker, or a webhook, has seen the task move; the command would be sent against the record."""
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


def test_what_was_recorded_while_it_waited_to_be_sent_again_is_heeded() -> None:
    seen = case("v1-full", "running", sends=[THROTTLED], reads=["finished"])
    steps = seen.commanding.execute("pause")
    wait = at_its(Wait, seen.driver, steps)
    seen.log.add_report(Report("finished", next(seen.service.clock)))

    with pytest.raises(TaskEndedFirst):
        seen.driver.run(steps, seen.driver.perform(wait))

    assert len(seen.driver.sends()) == 1


def test_a_task_that_moved_and_came_back_is_commanded_all_the_same() -> None:
    seen = case("v1", "running", reads=["running", "paused"], sends=[None])
    steps = seen.commanding.execute("pause")
    intend = at_its(RecordAttempt, seen.driver, steps)
    seen.log.add_report(Report("paused", next(seen.service.clock)))

    assert seen.driver.run(steps, seen.driver.perform(intend)) == CommandResult("pause", "paused", sent=True)


def test_a_command_that_a_stop_gave_up_is_not_sent_again() -> None:
    seen = case("v1", "running", sends=[LOST, "stopped"], reads=["running"])
    pausing = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, pausing, 7)
    assert seen.driver.story().endswith("Send lose Read RecordReport Wait")
    seen.execute("stop")

    with pytest.raises(CommandUncertain, match="another worker has taken over"):
        seen.driver.run(pausing, result=True)

    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.ABANDON], "2": [CommandEvent.CONFIRM]}


def test_an_outcome_that_comes_second_is_not_recorded() -> None:
    seen = case("v1", "running", sends=["paused"], reads=["paused"])
    pausing = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, pausing, 4)
    assert seen.driver.story().endswith("Send RecordReport")
    reported = seen.log.load()
    assert seen.recover() == CommandResult("pause", "paused", sent=True)

    assert seen.driver.run(pausing, reported) == CommandResult("pause", "paused", sent=True)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.CONFIRM]}


# --- 5: a usable answer ---------------------------------------------------------------------------------


def test_the_status_that_the_answer_carries_needs_no_read() -> None:
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


@pytest.mark.parametrize("answer", ["running", "zombie", DENIED, LOST])
def test_a_service_that_accepts_and_does_not_act_in_time_leaves_it_uncertain(answer: Any) -> None:
    seen = case("v1", "running", sends=[None], reads=[answer] * 3, patience=2)

    with pytest.raises(CommandUncertain, match="the service accepted it and did not act in time") as info:
        seen.execute("pause")

    assert info.value.__cause__ is getattr(answer, "error", None)
    assert seen.log.load().open_command == seen.record()


def test_what_was_accepted_is_proved_past_its_target() -> None:
    assert case("v1-full", "paused", sends=[None], reads=["finished"]).execute("resume").state == "finished"
    assert case("v1-full", "paused", sends=[None], reads=["failed"]).execute("resume").state == "failed"


def test_what_was_accepted_is_not_proved_where_it_has_not_moved() -> None:
    # From idle the service alone comes back to running: that is past the target, and where it was.
    seen = case("v3-full", "running", sends=["running"], reads=["running", "idle"])

    assert seen.execute("stop_task") == CommandResult("stop_task", "idle", sent=True)


def test_a_task_that_ended_first_is_told() -> None:
    seen = case("v1-full", "running", sends=[None], reads=["finished"])

    with pytest.raises(TaskEndedFirst, match="it was 'finished' before 'pause' took effect") as info:
        seen.execute("pause")

    assert (info.value.lifecycle, info.value.task, info.value.state) == ("v1-full", TASK, "finished")
    assert seen.record().state is CommandState.ENDED_FIRST


def test_a_view_unchanged_after_the_end_is_an_end() -> None:
    # v2 answers 200 to a stop of a finished task.
    seen = case("v2", "started", sends=["finished"])

    with pytest.raises(TaskEndedFirst):
        seen.execute("stop")


def test_a_session_is_read_where_the_task_does_not_tell() -> None:
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


@pytest.mark.parametrize(("word", "state"), [("running", "running"), ("idle", "idle"), (None, "idle"), ("new", "idle")])
def test_a_dispatch_is_proved_by_the_answer_itself(word: str | None, state: str) -> None:
    seen = case("v3", "idle", sends=[word])

    assert seen.execute("dispatch") == CommandResult("dispatch", state, sent=True)
    assert ("RecordReport" in seen.driver.story()) == (word is not None)
    assert seen.record().state is CommandState.DONE


# --- 6: a refusal ---------------------------------------------------------------------------------------


def test_already_stopped_is_success() -> None:
    seen = case("v1", "paused", sends=[REFUSED], reads=["stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert seen.record().state is CommandState.DONE


def test_a_refusal_is_told_with_what_the_service_said() -> None:
    seen = case("v1", "running", sends=[REFUSED], reads=[LOST, "running"])

    with pytest.raises(CommandRefused, match="'pause' was refused in 'running': 400 Agent") as info:
        seen.execute("pause")

    assert info.value.detail == "400 Agent session already stopped"
    assert info.value.__cause__ is REFUSED.error
    assert seen.record().state is CommandState.REFUSED


@pytest.mark.parametrize("answer", [DENIED, "zombie"])
def test_a_refusal_is_told_where_the_status_cannot_be_read(answer: Any) -> None:
    seen = case("v1", "running", sends=[REFUSED], reads=[answer])

    with pytest.raises(CommandRefused):
        seen.execute("pause")


def test_past_the_target_a_refusal_is_a_refusal() -> None:
    seen = case("v1-full", "paused", sends=[REFUSED], reads=["finished"])

    with pytest.raises(CommandRefused, match="refused in 'finished'"):
        seen.execute("resume")


def test_a_refused_dispatch_is_refused_though_the_session_runs() -> None:
    seen = case("v3", "idle", sends=[REFUSED], reads=["running"])

    with pytest.raises(CommandRefused):
        seen.execute("dispatch")


def test_what_was_done_by_a_lost_attempt_is_success_though_its_repetition_is_refused() -> None:
    seen = case("v1-full", "paused", sends=[LOST, REFUSED], reads=["paused", "finished"])

    assert seen.execute("resume") == CommandResult("resume", "finished", sent=True)


def test_a_refused_repetition_is_uncertain_where_the_status_cannot_be_read() -> None:
    seen = case("v1", "running", sends=[LOST, REFUSED], reads=["running", DENIED])

    with pytest.raises(CommandUncertain, match="a repetition was refused and the status cannot be read"):
        seen.execute("pause")


def test_a_task_that_is_not_there_is_told_by_the_adapters_error() -> None:
    seen = case("v1", "running", sends=[DENIED])

    with pytest.raises(Mishap) as info:
        seen.execute("pause")

    assert info.value is DENIED.error
    assert seen.driver.story() == "Load RecordIntent RecordAttempt Send refuse"


def test_a_throttled_command_waits_as_told() -> None:
    seen = case("v1", "running", sends=[THROTTLED, NOT_SENT, "paused"])

    seen.execute("pause")

    assert [(wait.reason, wait.attempt, wait.retry_after_s) for wait in seen.driver.waits()] == [
        (WaitReason.RETRY, 1, 7.0),
        (WaitReason.RETRY, 2, None),
    ]


@pytest.mark.parametrize(
    ("failure", "outcome"), [(THROTTLED, CommandState.REFUSED), (NOT_SENT, CommandState.ABANDONED)]
)
def test_a_service_that_was_not_reached_in_time_is_told_by_the_adapters_error(failure: Any, outcome: Any) -> None:
    seen = case("v3", "idle", sends=[failure] * 3, patience=2)

    with pytest.raises(Mishap) as info:
        seen.execute("dispatch")

    assert info.value is failure.error
    assert seen.record().state is outcome
    assert seen.log.load().open_command is None


@pytest.mark.parametrize("failure", [THROTTLED, NOT_SENT, DENIED])
def test_that_a_repetition_did_not_happen_says_nothing_of_the_first(failure: Any) -> None:
    seen = case("v1", "running", sends=[LOST, *[failure] * 3], reads=["running"], patience=2)

    with pytest.raises(CommandUncertain) as info:
        seen.execute("pause")

    assert info.value.__cause__ is failure.error
    assert seen.record().state is CommandState.UNCERTAIN


# --- 7: no usable answer --------------------------------------------------------------------------------


def test_500_but_stopped() -> None:
    seen = case("v1", "running", sends=[LOST], reads=["stopped"])

    assert seen.execute("stop") == CommandResult("stop", "stopped", sent=True)
    assert seen.driver.story() == "Load RecordIntent RecordAttempt Send lose Read RecordReport confirm"


def test_what_was_lost_is_sent_again_where_nothing_has_changed() -> None:
    seen = case("v1", "running", sends=[LOST, LOST, "stopped"], reads=["running", "running"])

    assert seen.execute("stop").sent
    assert [(wait.reason, wait.attempt) for wait in seen.driver.waits()] == [
        (WaitReason.RETRY, 1),
        (WaitReason.RETRY, 2),
    ]
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.CONFIRM]}


def test_what_was_lost_is_judged_again_where_the_task_has_moved() -> None:
    seen = case("v4", "queued", sends=[LOST, LOST, "cancelled"], reads=["dispatching", "running"])

    assert seen.execute("cancel") == CommandResult("cancel", "cancelled", sent=True)


def test_what_was_lost_is_not_sent_again_for_ever() -> None:
    seen = case("v1", "running", sends=[LOST] * 3, reads=["running"] * 3, patience=2)

    with pytest.raises(CommandUncertain, match="500") as info:
        seen.execute("stop")

    assert seen.service.is_spent()
    assert seen.driver.story().count("lose") == 1
    assert info.value.__cause__ is LOST.error


@pytest.mark.parametrize("state", ["idle", "running"])
def test_a_lost_dispatch_is_never_sent_again(state: str) -> None:
    seen = case("v3", "idle", sends=[LOST], reads=[state])

    with pytest.raises(CommandUncertain, match="sending it twice is not the same as once"):
        seen.execute("dispatch")

    assert seen.log.load().open_command == seen.record()


def test_after_silence_an_end_elsewhere_is_an_end_first() -> None:
    # It may have failed with and without the resumption.
    seen = case("v1-full", "paused", sends=[LOST], reads=["failed"])

    with pytest.raises(TaskEndedFirst):
        seen.execute("resume")


def test_after_silence_only_what_the_service_cannot_do_alone_proves_a_command() -> None:
    assert case("v1-full", "paused", sends=[LOST], reads=["finished"]).execute("resume").state == "finished"
    with pytest.raises(TaskEndedFirst):
        case("v3-full", "running", sends=[LOST], reads=["timed_out"]).execute("stop_task")


# Made up: no declared service has a command with two targets, or moves on to a state that refuses one.
FERRY: Lifecycle[str, str] = Lifecycle(
    name="ferry",
    citation="made up",
    states=(
        State("east", initial=True),
        State("west"),
        State("moored east"),
        State("moored west"),
        State("adrift"),
        State("sunk", final=True),
    ),
    events=(Event("moor", Origin.CALLER), *(Event(name, Origin.REMOTE) for name in ("cross", "drift", "sink"))),
    transitions=(
        Transition("east", "moor", "moored east"),
        Transition("west", "moor", "moored west"),
        Transition("east", "cross", "west"),
        Transition("east", "drift", "adrift"),
        *(Transition(state, "sink", "sunk") for state in ("west", "moored east", "moored west", "adrift")),
    ),
)


def test_after_silence_a_move_to_where_it_is_illegal_leaves_it_uncertain() -> None:
    seen = case(FERRY, "east", sends=[LOST], reads=["adrift"])

    with pytest.raises(CommandUncertain, match="and the task has moved to 'adrift'"):
        seen.execute("moor")


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_command_is_proved_by_where_it_leads_from_the_state_it_was_sent_in(attempts: int) -> None:
    seen = left_open(FERRY, "east", "moor", attempts=attempts, reads=["west"], sends=["moored west"])

    assert seen.recover() == CommandResult("moor", "moored west", sent=True)


@pytest.mark.parametrize("answer", [DENIED, REFUSED, "zombie"])
def test_after_silence_a_read_that_says_nothing_leaves_it_uncertain(answer: Any) -> None:
    seen = case("v1", "running", sends=[LOST], reads=[answer])

    with pytest.raises(CommandUncertain, match="and the status cannot be read") as info:
        seen.execute("stop")

    assert info.value.__cause__ is getattr(answer, "error", LOST.error)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE]}


def test_after_silence_the_proof_may_come_later_than_the_end() -> None:
    seen = case("v2", "started", sends=[LOST], reads=["stopped", "stopped"], proofs=[False, True])

    assert seen.execute("stop_task_and_session").sent


def test_after_silence_a_proof_that_does_not_come_leaves_it_uncertain() -> None:
    seen = case("v2", "started", sends=[LOST], reads=["stopped"], proofs=[False], patience=0)

    with pytest.raises(CommandUncertain, match="its proof did not come in time"):
        seen.execute("stop_task_and_session")


def test_an_answer_that_is_older_than_the_last_report_proves_nothing() -> None:
    seen = case("v1", "running", sends=["paused"], reads=["paused"])
    pausing = seen.commanding.execute("pause")
    assert run_up_to(seen.driver, pausing, 3)
    answer = seen.driver.sends()[0]
    seen.log.add_report(Report("running", next(seen.service.clock), channel="webhook"))  # resumed at once

    assert seen.driver.run(pausing, answer).sent
    assert seen.driver.story().endswith("Send RecordReport Wait Read RecordReport confirm")


# --- 8: taken up after a crash ----------------------------------------------------------------------------


def test_without_an_open_command_there_is_nothing_to_recover() -> None:
    seen = case("v1", "running")

    assert seen.recover() is None
    assert seen.driver.story() == "Load"


def test_what_may_have_arrived_is_settled_by_a_read() -> None:
    seen = left_open("v1", "running", "pause", attempts=1, reads=["paused"])

    assert seen.recover() == CommandResult("pause", "paused", sent=True)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.CONFIRM]}


def test_what_may_have_arrived_and_is_not_proved_is_sent_again() -> None:
    seen = left_open("v1", "running", "pause", attempts=1, reads=["running"], sends=["paused"])

    assert seen.recover() == CommandResult("pause", "paused", sent=True)
    assert seen.record().attempts == 2


def test_a_dispatch_that_may_have_arrived_stays_open() -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=1, reads=["idle", "running"])

    for _ in range(2):
        with pytest.raises(CommandUncertain):
            seen.recover()

    assert not seen.driver.sends()


def test_a_dispatch_that_was_never_sent_is_sent_with_its_fields() -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=0, reads=["idle"], sends=["running"])

    assert seen.recover() == CommandResult("dispatch", "running", sent=True)
    assert [effect.fields for effect, _ in seen.driver.trace if isinstance(effect, Send)] == [{"task": "more"}]


def test_what_was_never_sent_and_is_there_already_was_not_sent() -> None:
    seen = left_open("v1", "running", "pause", attempts=0, reads=["paused"])

    assert seen.recover() == CommandResult("pause", "paused", sent=False)
    assert seen.record().state is CommandState.DONE


def test_what_was_never_sent_is_not_proved_past_its_target() -> None:
    # Somebody else has resumed it.
    seen = left_open("v1-full", "paused", "resume", attempts=0, reads=["finished"])

    with pytest.raises(TaskEndedFirst):
        seen.recover()


def test_what_was_never_sent_and_is_illegal_by_now_is_given_up() -> None:
    seen = left_open("v3", "idle", "dispatch", attempts=0, reads=["running"])

    with pytest.raises(IllegalTransition, match="'dispatch' is not allowed in 'running'"):
        seen.recover()

    assert seen.record().state is CommandState.ABANDONED


def test_what_was_never_sent_and_lacks_its_proof_is_given_up() -> None:
    # Somebody else has stopped the task alone.
    seen = left_open("v2", "started", "stop_task_and_session", attempts=0, reads=["stopped"], proofs=[False])

    with pytest.raises(IllegalTransition, match="'stopped' is final"):
        seen.recover()

    assert seen.record().state is CommandState.ABANDONED


def test_what_was_never_sent_is_judged_from_where_the_task_is() -> None:
    seen = left_open("v4", "queued", "cancel", attempts=0, reads=["running"], sends=[LOST], patience=0)
    seen.service.reads.append("completed")

    with pytest.raises(TaskEndedFirst):
        seen.recover()


def test_a_recovery_that_cannot_read_leaves_the_command_open() -> None:
    seen = left_open("v1", "running", "pause", attempts=0, reads=[DENIED, "running"], sends=["paused"])
    with pytest.raises(CommandUncertain):
        seen.recover()

    assert seen.recover() == CommandResult("pause", "paused", sent=True)
    assert lives(seen.log) == {"1": [CommandEvent.LOSE, CommandEvent.CONFIRM]}


def test_what_a_living_worker_holds_is_not_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = left_open("v1", "running", "pause", attempts=1)
    monkeypatch.setattr(dead.log, "claim", _held)

    with pytest.raises(CommandInFlight, match="'pause' has no outcome yet"):
        dead.recover()

    assert dead.driver.story() == "Load Claim"


def test_what_is_uncertain_is_let_go_of() -> None:
    lost = case("v3", "idle", sends=[LOST], reads=["idle"])

    with pytest.raises(CommandUncertain):
        lost.execute("dispatch")

    assert lost.driver.trace[-1][0] == Release(lost.record().id)


# --- keys -------------------------------------------------------------------------------------------------

KEYED = Purpose("key-7", reason="the user asked twice")


def test_the_intent_holds_its_purpose() -> None:
    seen = case("v1", "running", sends=[None], reads=["paused"])

    seen.execute("pause", purpose=KEYED)

    assert seen.record().purpose == KEYED
    assert seen.driver.story().startswith("Load FindCommand RecordIntent RecordAttempt Send")


def test_a_command_given_again_under_its_key_is_not_sent_again() -> None:
    seen = case("v1", "running", sends=[None], reads=["paused"])

    first = seen.execute("pause", purpose=KEYED)
    seen.log.add_report(Report("running", next(seen.service.clock)))
    second = seen.execute("pause", purpose=KEYED)

    assert first == CommandResult("pause", "paused", sent=True)
    assert second == CommandResult("pause", "running", sent=True)
    assert len(lives(seen.log)) == len(seen.driver.sends()) == 1


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        (CommandEvent.REFUSE, CommandRefused),
        (CommandEvent.END, TaskEndedFirst),
        (CommandEvent.ABANDON, CommandAbandoned),
    ],
)
def test_what_came_of_the_first_is_told_again(event: CommandEvent, ending: type[Exception]) -> None:
    ended = left_open("v1", "running", "pause", attempts=1, purpose=KEYED)
    ended.log.add_outcome(ended.record().id, event, why="that is why")
    before = list(ended.log.entries)

    with pytest.raises(ending) as info:
        ended.execute("pause", {"task": "more"}, KEYED)

    assert "that is why" in str(info.value) or ending is TaskEndedFirst
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
    used = left_open("v1", "running", "pause", attempts=1, purpose=KEYED)
    if not is_open:
        used.log.add_outcome(used.record().id, CommandEvent.CONFIRM, why="")

    with pytest.raises(KeyReused, match=message):
        used.execute(command, fields, KEYED)

    assert used.driver.story() == "Load FindCommand Load"


@pytest.mark.parametrize(
    ("attempts", "script"), [(0, {"reads": ["running", "paused"], "sends": [None]}), (1, {"reads": ["paused"]})]
)
def test_a_command_given_again_is_taken_up_where_it_was_left_open(attempts: int, script: dict[str, Any]) -> None:
    dead = left_open("v1", "running", "pause", attempts=attempts, purpose=KEYED, **script)

    assert dead.execute("pause", {"task": "more"}, KEYED) == CommandResult("pause", "paused", sent=True)
    assert len(lives(dead.log)) == 1
    assert dead.service.is_spent()


def test_a_command_given_again_waits_where_a_living_worker_is_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = left_open("v1", "running", "pause", attempts=1, purpose=KEYED)
    monkeypatch.setattr(alive.log, "claim", _held)

    with pytest.raises(CommandInFlight):
        alive.execute("pause", {"task": "more"}, KEYED)


def test_another_key_is_another_command() -> None:
    seen = case("v1", "paused", sends=[None, None], reads=["running", "paused"])

    seen.execute("resume", purpose=Purpose("key-1"))
    seen.execute("pause", purpose=Purpose("key-2"))

    assert len(lives(seen.log)) == 2


def test_what_was_needless_is_recorded_so_that_its_key_keeps_its_answer() -> None:
    seen = case("v1", "paused", reads=["paused"])

    needless = seen.execute("pause", purpose=KEYED)
    seen.log.add_report(Report("running", next(seen.service.clock)))
    again = seen.execute("pause", purpose=KEYED)

    assert needless == CommandResult("pause", "paused", sent=False)
    assert again == CommandResult("pause", "running", sent=False)
    assert (seen.record().state, seen.record().attempts) == (CommandState.DONE, 0)


@pytest.mark.parametrize(
    ("script", "is_sent"), [({"reads": ["paused"]}, False), ({"reads": ["running", "paused"], "sends": [None]}, True)]
)
def test_what_was_needless_and_left_open_is_judged_from_where_the_task_is(
    script: dict[str, Any], is_sent: bool
) -> None:
    dead = left_open("v1", "paused", "pause", attempts=0, purpose=KEYED, **script)

    assert dead.recover() == CommandResult("pause", "paused", sent=is_sent)
    assert dead.service.is_spent()


def test_what_is_illegal_uses_no_key_up() -> None:
    seen = case("v3", "running", reads=["running"], sends=["running"])

    with pytest.raises(IllegalTransition):
        seen.execute("dispatch", purpose=KEYED)
    seen.log.add_report(Report("idle", next(seen.service.clock)))

    assert seen.execute("dispatch", purpose=KEYED) == CommandResult("dispatch", "running", sent=True)


def test_of_two_that_are_given_under_one_key_the_second_learns_what_came_of_the_first() -> None:
    """A task that nobody knew: the second had loaded its record before the first had seen it."""
    seen = case("v1", None, sends=[None], reads=["running", "paused"])
    second = seen.commanding.execute("pause", purpose=KEYED)
    find = at_its(FindCommand, seen.driver, second)

    first = seen.execute("pause", purpose=KEYED)

    assert seen.driver.run(second, seen.driver.perform(find)) == first
    assert len(seen.driver.sends()) == 1


@pytest.mark.parametrize("is_done", [True, False])
def test_of_two_intents_under_one_key_one_is_recorded(is_done: bool) -> None:
    seen = case("v1", "running", sends=[None], reads=["paused"])
    second = seen.commanding.execute("pause", purpose=KEYED)
    intend = at_its(RecordIntent, seen.driver, second)
    first = seen.commanding.execute("pause", purpose=KEYED)

    if is_done:
        seen.driver.run(first)
    else:  # it dies when it has sent
        seen.driver.perform(at_its(Send, seen.driver, first))
        first.close()

    result = seen.driver.run(second, seen.driver.perform(intend))
    assert result == CommandResult("pause", "paused", sent=True)
    assert len(lives(seen.log)) == len(seen.driver.sends()) == 1
