"""Reading and following a task, one response after another."""

from __future__ import annotations

from typing import Any

import pytest

from lifecycle import (
    CATALOG,
    Event,
    Lifecycle,
    Origin,
    State,
    Transition,
    UnknownStatus,
    WaitTimedOut,
    get,
)
from lifecycle.effects import Accepted, Effect, Progress, Read, Wait, WaitReason
from lifecycle.following import UNKNOWN, Until, WorkTracker, follow, read_state
from lifecycle.journal import Report, TaskRecord
from tests.lifecycle.drivers import (
    DENIED,
    LOST,
    MISSING,
    NOT_SENT,
    REFUSED,
    TASK,
    THROTTLED,
    Declared,
    Driver,
    Mishap,
    Scripted,
    journal_knowing,
    reports,
)

UNTIL: tuple[Until, ...] = ("settled", "final")


def driver(name: str, known: str | None, **script: Any) -> Driver:
    """A driver of a task whose journal knows `known`, against a service with that script."""
    service = Scripted(**script)
    return Driver(journal_knowing(get(name), known, times=service.clock), service)


def script(driver: Driver) -> Scripted:
    assert isinstance(driver.service, Scripted)
    return driver.service


# --- read_state ---------------------------------------------------------------------------------------


def test_the_state_is_read_and_recorded() -> None:
    reading = driver("v1", None, reads=["paused"])

    assert reading.run(read_state(get("v1"))) == "paused"
    assert reading.story() == "Read RecordReport"
    assert reading.log.load().state == "paused"


@pytest.mark.parametrize("known", [None, "running", "stopped"])
def test_an_unknown_status_is_recorded_and_raised(known: str | None) -> None:
    log = journal_knowing(get("v1"), known, times=Scripted().clock)

    with pytest.raises(UnknownStatus, match="'zombie' is not a status"):
        Driver(log, Scripted(reads=["zombie"])).run(read_state(get("v1")))

    assert reports(log)[-1].report.status == "zombie"
    assert log.load().state == known


@pytest.mark.parametrize(
    ("reads", "state", "doubt"),
    [
        (["running"], "running", "running"),  # a final state that is contradicted is in doubt
        (["running", "paused"], "paused", "paused"),
        (["running", "stopped"], "stopped", None),
    ],
)
def test_a_read_returns_the_report_that_contradicts_a_final_state(
    reads: list[str], state: str, doubt: str | None
) -> None:
    reading = driver("v1", "stopped", reads=reads)
    for _ in reads[1:]:
        reading.run(read_state(get("v1")))

    assert reading.run(read_state(get("v1"))) == state
    assert (reading.log.load().state, reading.log.load().doubt) == ("stopped", doubt)


def test_report_that_is_not_applied_keeps_the_known_state() -> None:
    assert driver("v1-full", "paused", reads=["created"]).run(read_state(get("v1-full"))) == "paused"


@pytest.mark.parametrize("failure", [REFUSED, DENIED, MISSING, THROTTLED, NOT_SENT, LOST])
def test_a_failed_read_raises_the_adapters_error(failure: Any) -> None:
    reading = driver("v1", "running", reads=[failure], patience=0)

    with pytest.raises(Mishap) as info:
        reading.run(read_state(get("v1")))

    assert info.value is failure.error


# --- work ---------------------------------------------------------------------------------------------


def test_only_a_dispatch_and_an_answer_give_work() -> None:
    giving = {
        (lifecycle.name, command)
        for lifecycle in CATALOG.values()
        for command in lifecycle.commands
        if lifecycle.starts_work(command)
    }

    assert giving == {("v3", "dispatch"), ("v3-full", "dispatch"), ("a2a", "answer"), ("mcp-extension", "answer")}


def test_without_work_given_a_settled_state_is_the_end() -> None:
    work = WorkTracker(get("v3"))

    assert work.is_done("idle", "settled")
    assert not work.is_done("running", "settled")
    assert not work.is_done("idle", "final")


@pytest.mark.parametrize(
    ("seen", "is_over"),
    [
        ([], False),
        ([("idle", None)], False),
        ([("idle", "old")], False),
        ([(None, "old")], False),
        ([("created", None)], False),
        ([("running", "old")], True),
        ([("running", "old"), ("idle", "old")], True),
        ([("idle", "new")], True),
        ([(None, "new")], True),
        ([("idle", None), ("idle", "old")], False),
    ],
)
def test_given_work_must_be_seen_to_begin(seen: list[tuple[str | None, Any]], is_over: bool) -> None:
    work = WorkTracker(get("v3"))
    work.observe("idle", "old")
    work.mark_given()

    for state, output in seen:
        work.observe(state, output)

    assert work.is_done("idle", "settled") is is_over
    assert work.is_done("stopped", "settled")
    assert not work.is_done("idle", "final")


def test_the_first_output_seen_has_not_changed() -> None:
    """A handle on an old session gives it work: the first output may be that of earlier work."""
    work = WorkTracker(get("v3"))
    work.mark_given()

    work.observe("idle", "old")
    assert not work.is_done("idle", "settled")

    work.observe("idle", "new")
    assert work.is_done("idle", "settled")


def test_the_first_output_of_a_new_task_is_a_change() -> None:
    work = WorkTracker(get("v3"))
    work.mark_given()
    work.observe_create("created", None)

    work.observe("idle", "done")

    assert work.is_done("idle", "settled")


def test_a_response_without_a_mark_changes_nothing() -> None:
    work = WorkTracker(get("v3"))
    work.mark_given("dispatch", "idle")
    for mark in (UNKNOWN, "old", UNKNOWN, "old", None, "old"):
        work.observe("idle", mark)
        assert not work.is_done("idle", "settled")

    work.observe("idle", "new")

    assert work.is_done("idle", "settled")


def test_only_a_command_that_starts_work_needs_a_read() -> None:
    work = WorkTracker(get("v3"))
    work.observe("idle", "old")

    assert work.needs_read("dispatch", TaskRecord(1, "idle"))
    assert not work.needs_read("stop", TaskRecord(1, "idle"))


@pytest.mark.parametrize(
    ("name", "state", "mark", "gives_work", "needs_read"),
    [
        ("v3", "idle", None, False, False),
        ("v3", "idle", UNKNOWN, False, True),
        ("v3", "idle", None, True, True),
        ("v3", None, None, False, True),
        ("mcp-extension", "input_required", None, False, True),
        ("build", "done", None, False, True),
    ],
)
def test_a_task_created_without_work_needs_no_read(
    name: str, state: str | None, mark: Any, gives_work: bool, needs_read: bool
) -> None:
    """Another may have a mark that the response to its create leaves out."""
    lifecycle: Declared = BUILD if name == "build" else get(name)
    work = WorkTracker(lifecycle)
    if gives_work:
        work.mark_given()

    work.observe_create(state, mark)

    starting = next(each for each in lifecycle.commands if lifecycle.starts_work(each))
    assert work.needs_read(starting, TaskRecord(1, state)) is needs_read
    assert work.needs_read(starting, TaskRecord(2, state)), "somebody has done something"


@pytest.mark.parametrize("name", ["a2a", "mcp-extension"])
def test_interrupted_state_ends_the_wait_for_a_new_task_without_seen_work(name: str) -> None:
    lifecycle = get(name)
    asked = next(each.name for each in lifecycle.states if lifecycle.is_interrupted(each.name))
    work = WorkTracker(lifecycle)
    work.mark_given()
    work.observe(lifecycle.initial, None)
    assert not work.is_done(lifecycle.initial, "settled")

    work.observe(asked, None)

    assert work.is_done(asked, "settled")
    assert not work.is_done(asked, "final")


def test_after_an_answer_the_interrupted_state_before_it_ends_no_wait() -> None:
    """The status cannot tell the question that was answered from the next one; work in between can."""
    work = WorkTracker(get("mcp-extension"))
    work.mark_given("answer", "input_required")
    work.observe("input_required", None)
    assert not work.is_done("input_required", "settled")

    work.observe("working", None)

    assert work.is_done("input_required", "settled")


BUILD: Lifecycle[str, str] = Lifecycle(
    name="build",
    citation="",
    states=[
        State("queued", initial=True),
        State("building"),
        State("done", reopenable=True),
        State("broken", reopenable=True),
        State("gone", final=True),
    ],
    events=[
        Event("rerun", Origin.CALLER, idempotent=False),
        Event("forget", Origin.CALLER),
        *(Event(each, Origin.REMOTE) for each in ("begin", "end", "break")),
    ],
    transitions=[
        Transition("queued", "begin", "building"),
        Transition("building", "end", "done"),
        Transition("done", "rerun", "queued"),
        Transition("building", "break", "broken"),
        Transition("broken", "rerun", "queued"),
        Transition("broken", "forget", "gone"),
        Transition("done", "forget", "gone"),
    ],
)


@pytest.mark.parametrize("until", UNTIL)
def test_a_reopenable_state_is_the_end_of_a_new_task(until: Until) -> None:
    work = WorkTracker(BUILD)
    assert work.is_done("done", until)
    work.mark_given()
    assert work.is_done("done", until)
    assert not work.is_done("queued", until)


@pytest.mark.parametrize("until", UNTIL)
@pytest.mark.parametrize(("seen", "is_over"), [("done", False), ("queued", True), ("building", True)])
def test_after_a_rerun_a_reopenable_state_is_the_end_once_work_was_seen(until: Until, seen: str, is_over: bool) -> None:
    work = WorkTracker(BUILD)
    assert BUILD.starts_work("rerun")
    assert not BUILD.starts_work("forget")
    work.mark_given("rerun")

    work.observe(seen, None)

    assert work.is_done("done", until) is is_over
    assert work.is_done("gone", until)


@pytest.mark.parametrize("until", UNTIL)
@pytest.mark.parametrize(
    ("source", "seen", "is_over"), [("done", "broken", True), ("broken", "done", True), ("done", "done", False)]
)
def test_after_a_rerun_another_end_than_the_one_before_is_the_end(
    until: Until, source: str, seen: str, is_over: bool
) -> None:
    work = WorkTracker(BUILD)
    work.mark_given("rerun", source)

    work.observe(seen, None)

    assert work.is_done(seen, until) is is_over


# --- follow -------------------------------------------------------------------------------------------


def following(driver: Driver, name: str, work: WorkTracker[str, str] | None = None, **how: Any) -> str:
    how = {"until": "settled", "stop_at_unknown": True, **how}
    return driver.run(follow(get(name), TASK, work or WorkTracker(get(name)), **how))


@pytest.mark.parametrize("until", ["settled", "final"])
def test_a_task_that_is_over_is_not_read(until: str) -> None:
    watching = driver("v1", "stopped")

    assert following(watching, "v1", until=until) == "stopped"
    assert watching.story() == "Load"


def test_a_final_state_that_is_in_doubt_is_read_before_it_ends_a_wait() -> None:
    waiting = driver("v1", "stopped", reads=["running", "running", "stopped"])
    waiting.run(read_state(get("v1")))

    assert following(waiting, "v1") == "stopped"
    assert (
        waiting.story()
        == "Read RecordReport Load Read RecordReport ReportProgress Wait Read RecordReport ReportProgress"
    )


def test_new_task_is_followed_once_it_is_found() -> None:
    waiting = driver("v4", None, reads=[MISSING, "queued", "completed"])
    waiting.log.track(created=True)

    assert following(waiting, "v4") == "completed"
    assert [wait.reason for wait in waiting.waits()] == [WaitReason.APPEAR, WaitReason.POLL]


def test_a_task_is_polled_until_it_is_over() -> None:
    watching = driver("v1-full", "created", reads=["created", "running", "finished"])

    assert following(watching, "v1-full") == "finished"
    assert watching.waits() == [Wait(WaitReason.POLL, 1), Wait(WaitReason.POLL, 2)]
    assert watching.told == [
        Progress("created", "created", 1),
        Progress("running", "running", 2),
        Progress("finished", "finished", 3),
    ]


def test_a_settled_state_is_confirmed_by_one_read() -> None:
    watching = driver("v3", "idle", reads=["idle"])

    assert following(watching, "v3") == "idle"
    assert watching.story() == "Load Read RecordReport ReportProgress"


def test_a_settled_state_does_not_end_a_wait_for_a_final_one() -> None:
    assert following(driver("v3", "idle", reads=["idle", "timed_out"]), "v3", until="final") == "timed_out"


class Seeing(Driver):
    """A driver that notes what it sees, as the clients do."""

    work: WorkTracker[str, str]

    def perform(self, effect: Effect) -> Any:
        result = super().perform(effect)
        if isinstance(effect, Read) and isinstance(result, Accepted) and result.status is not None:
            self.work.observe(get("v3").state_of(result.status), result.output)
        return result


def test_idle_before_running_is_not_the_end() -> None:
    service = Scripted(reads=["idle", "zombie", "idle", "running", "idle"])
    watching = Seeing(journal_knowing(get("v3"), "idle", times=service.clock), service)
    watching.work = WorkTracker(get("v3"))
    watching.work.mark_given()

    assert following(watching, "v3", watching.work, stop_at_unknown=False) == "idle"
    assert [each.status for each in watching.told] == ["idle", "zombie", "idle", "running", "idle"]


def test_a_task_that_is_not_settled_in_time_raises() -> None:
    watching = driver("v1", "running", reads=["running"] * 3, patience=2)

    with pytest.raises(WaitTimedOut, match="v1 task task-1: not final in time, still 'running'") as info:
        following(watching, "v1", until="final")

    assert (info.value.state, info.value.until) == ("running", "final")
    assert isinstance(info.value, TimeoutError)


def test_a_wait_without_time_still_polls_once() -> None:
    assert following(driver("v1", "running", reads=["stopped"], patience=0), "v1") == "stopped"


def test_an_unknown_status_stops_the_wait() -> None:
    watching = driver("v1", "running", reads=["zombie"])

    with pytest.raises(UnknownStatus):
        following(watching, "v1")

    assert watching.story() == "Load Read RecordReport"


def test_wait_continues_after_an_unknown_status_if_asked() -> None:
    watching = driver("v1", None, reads=["zombie", "running", "zombie", "stopped"])

    assert following(watching, "v1", stop_at_unknown=False) == "stopped"
    assert watching.told == [
        Progress(None, "zombie", 1),
        Progress("running", "running", 2),
        Progress("running", "zombie", 3),
        Progress("stopped", "stopped", 4),
    ]


def test_an_unknown_status_does_not_confirm_a_settled_state() -> None:
    watching = driver("v3", "idle", reads=["zombie", "zombie", "idle"])

    assert following(watching, "v3", stop_at_unknown=False) == "idle"
    assert script(watching).is_spent()


def test_a_wait_that_never_learns_a_state_ends_with_the_time() -> None:
    with pytest.raises(WaitTimedOut):
        following(driver("v1", None, reads=["zombie"], patience=0), "v1", stop_at_unknown=False)


def test_a_final_state_recorded_meanwhile_ends_the_wait() -> None:
    watching = driver("v1", "running", reads=["zombie"])
    steps = follow(get("v1"), TASK, WorkTracker(get("v1")), until="final", stop_at_unknown=False)
    loaded = watching.perform(next(steps))
    watching.log.add_report(Report("stopped", next(script(watching).clock), channel="webhook"))

    assert watching.run(steps, loaded) == "stopped"


def test_a_failed_poll_is_retried_or_raised() -> None:
    assert following(driver("v1", "running", reads=[LOST, THROTTLED, "stopped"]), "v1") == "stopped"
    with pytest.raises(Mishap):
        following(driver("v1", "running", reads=[DENIED]), "v1")


def test_single_404_for_a_known_task_is_read_again() -> None:
    waiting = driver("v1", "running", reads=[MISSING, "running", MISSING, "stopped"])

    assert following(waiting, "v1") == "stopped"
    assert [each.poll for each in waiting.told] == [2, 4]
    assert [wait.reason for wait in waiting.waits()] == [WaitReason.POLL] * 3


@pytest.mark.parametrize(
    ("known", "reads", "how"),
    [
        ("running", [MISSING, MISSING], {}),
        ("running", [MISSING], {"patience": 0}),
        (None, [MISSING], {}),
    ],
)
def test_two_404s_in_a_row_or_one_for_an_unknown_task_end_the_wait(
    known: str | None, reads: list[Any], how: dict[str, int]
) -> None:
    waiting = driver("v1", known, reads=reads, **how)

    with pytest.raises(Mishap, match="404"):
        following(waiting, "v1")

    assert script(waiting).is_spent()


def test_until_must_be_settled_or_final() -> None:
    with pytest.raises(ValueError, match="until must be 'settled' or 'final', not 'done'"):
        following(driver("v1", "running"), "v1", until="done")


@pytest.mark.parametrize("name", [name for name in CATALOG if name != "command"])
def test_every_path_of_a_task_is_followed_to_its_end(name: str) -> None:
    lifecycle: Declared = get(name)
    for path in lifecycle.covering_paths():
        states = [lifecycle.replay(path[:length]) for length in range(len(path) + 1)]
        if lifecycle.is_final(states[-1]):
            assert following(driver(name, None, reads=[*states]), name, until="final") == states[-1]


LETTER: Lifecycle[str, str] = Lifecycle(
    name="letter",
    citation="",
    states=[
        State("draft", initial=True, settled=True),
        State("queued", settled=True),
        State("printing"),
        State("printed", final=True),
    ],
    events=[Event("submit", Origin.CALLER), *(Event(each, Origin.REMOTE) for each in ("begin", "end", "lose"))],
    transitions=[
        Transition("draft", "submit", "queued"),
        Transition("draft", "lose", "printed"),
        Transition("queued", "begin", "printing"),
        Transition("printing", "end", "printed"),
    ],
)


def test_state_that_waits_for_a_command_ends_the_wait_for_a_new_task() -> None:
    work = WorkTracker(LETTER)
    work.mark_given()
    work.observe("draft", None)

    assert work.is_done("draft", "settled")
    assert not work.is_done("draft", "final")
    assert not work.is_done("queued", "settled"), "its work begins by itself"


def test_after_the_command_the_state_before_it_ends_no_wait() -> None:
    work = WorkTracker(LETTER)
    work.mark_given("submit", "draft")
    work.observe("draft", None)

    assert not work.is_done("draft", "settled")
