"""The common part of both clients, without a server: the pace, the clock, and the actions of procedures."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import V1_FULL, V2_FULL, V3_FULL, V1Event, V2Event, V3Event, V3State
from lifecycle.command import CommandResult
from lifecycle.effects import Accepted, ReportProgress, Response, Throttled, Wait, WaitReason, apply_journal_effect
from lifecycle.journal import NO_CONTEXT
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import RateLimited, Timing
from lifecycle_adapters.http.creates import CreateProcedures
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.task_procedures import TaskProcedures, cost_usd, reported_cost_usd
from lifecycle_adapters.procedures.interpreter import JournalCall, Procedure, ServiceCall, Sleep
from lifecycle_adapters.procedures.timing import Pacer, SteadyClock
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2
from lifecycle_adapters.services.v3 import V3
from tests.adapters.http.both import QUICK, AnyTask
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, in_turn

# --- timing -------------------------------------------------------------------------------------


COUNTS = ("attempts", "max_response_bytes")


@pytest.mark.parametrize("name", Timing.__slots__)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e300])
def test_timing_values_must_be_positive_and_bounded(name: str, value: float) -> None:
    is_no_count = name in COUNTS and isinstance(value, float)
    error = TypeError if is_no_count else ValueError
    said = f"{name} must be a whole number" if is_no_count else f"{name} must be positive and at most"
    with pytest.raises(error, match=said):
        Timing(**{name: value})  # type: ignore[arg-type]


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(time, "monotonic", watch.monotonic)
    return watch


def pauses(pacer: Pacer, watch: Watch, reason: WaitReason, retry_after_s: float | None = None) -> list[float]:
    granted: list[float] = []
    for attempt in range(1, 10_000):
        pause_s = pacer.pause_s(Wait(reason, attempt, retry_after_s))
        if pause_s is None:
            return granted
        granted.append(pause_s)
        watch.now_s += pause_s
    raise AssertionError("it never ends")


def test_retries_end_with_the_attempts(watch: Watch) -> None:
    assert len(pauses(Pacer(Timing(attempts=3)), watch, WaitReason.RETRY)) == 3


def test_retries_end_with_the_budget(watch: Watch) -> None:
    granted = pauses(Pacer(Timing(attempts=10_000, retry_budget_s=20.0)), watch, WaitReason.RETRY)
    assert sum(granted) == pytest.approx(20.0)
    assert max(granted) <= Timing().longest_retry_s


def test_reads_after_a_command_end_with_the_settle_timeout(watch: Watch) -> None:
    granted = pauses(Pacer(Timing(settle_timeout_s=7.0)), watch, WaitReason.SETTLE)
    assert sum(granted) == pytest.approx(7.0)
    assert max(granted) <= 1.0
    assert granted[0] == 0.05


def test_polling_slows_down_and_ends_at_the_deadline_alone(watch: Watch) -> None:
    granted = pauses(Pacer(Timing(poll_s=1.0, longest_poll_s=5.0), deadline_s=60.0), watch, WaitReason.POLL)
    assert sum(granted) == pytest.approx(60.0)
    assert granted[0] == 1.0
    assert granted[:9] == sorted(granted[:9])
    assert max(granted) == 5.0
    endless = Pacer(Timing())
    assert endless.pause_s(Wait(WaitReason.POLL, 100_000)) == 5.0


def test_retry_after_is_granted_within_the_budget(watch: Watch) -> None:
    pacer = Pacer(Timing(retry_budget_s=10.0))
    assert pacer.pause_s(Wait(WaitReason.RETRY, 1, 9.5)) == 9.5
    assert pacer.pause_s(Wait(WaitReason.RETRY, 1, 10.5)) is None
    watch.now_s += 9.0
    assert pacer.pause_s(Wait(WaitReason.RETRY, 2, 1.5)) is None
    assert Pacer(Timing(), deadline_s=1.0).pause_s(Wait(WaitReason.RETRY, 1, 1.5)) is None


def test_the_retries_of_a_procedure_have_one_budget_until_a_poll_gets_a_response(watch: Watch) -> None:
    pacer = Pacer(Timing(retry_budget_s=10.0))
    assert pacer.pause_s(Wait(WaitReason.RETRY, 1, 4.0)) == 4.0
    watch.now_s += 8.0
    assert pacer.pause_s(Wait(WaitReason.RETRY, 1, 4.0)) is None
    assert pacer.pause_s(Wait(WaitReason.POLL, 1)) is not None
    assert pacer.pause_s(Wait(WaitReason.RETRY, 1, 4.0)) == 4.0


@pytest.mark.parametrize("in_flight_s", [0.0, 7.0])
def test_wait_for_a_command_in_flight_has_the_given_time(watch: Watch, in_flight_s: float) -> None:
    granted = pauses(Pacer(Timing(), in_flight_s=in_flight_s), watch, WaitReason.IN_FLIGHT)
    assert sum(granted) == pytest.approx(in_flight_s)
    assert all(0 < pause_s <= 0.5 for pause_s in granted)


@pytest.mark.parametrize("age_s", [-3600.0, 0.0, 3.0, 5.0, 3600.0])
def test_a_task_may_appear_until_it_is_old_enough(watch: Watch, age_s: float) -> None:
    """Its age is by the wall clock of its creator; an age in the future means that a clock was set back."""
    pacer, left_s = Pacer(Timing(appear_s=5.0)), min(5.0 - age_s, 5.0)
    since = datetime.now(UTC) - timedelta(seconds=age_s)
    granted: list[float] = []
    for attempt in range(3, 1000):  # other reasons may have been waited for before
        wait = Wait(WaitReason.APPEAR, attempt, since=since - timedelta(seconds=sum(granted)))
        pause_s = pacer.pause_s(wait)
        if pause_s is None:
            break
        granted.append(pause_s)
        watch.now_s += pause_s
    assert sum(granted) == pytest.approx(max(left_s, 0.0), abs=1.0)
    assert all(pause_s <= 1.0 for pause_s in granted)


def test_request_time_is_cut_to_the_rest_of_the_budget_or_wait(watch: Watch) -> None:
    pacer = Pacer(Timing(request_timeout_s=30.0, retry_budget_s=40.0), deadline_s=100.0)
    assert pacer.request_s() == 30.0
    pacer.pause_s(Wait(WaitReason.RETRY, 1))
    watch.now_s += 15.0
    assert pacer.request_s() == 25.0
    watch.now_s += 24.9
    assert pacer.request_s() == 0.5, "one that is shorter would be lost for sure"
    pacer.pause_s(Wait(WaitReason.POLL, 1))
    watch.now_s += 50.1
    assert pacer.request_s() == pytest.approx(10.0)
    assert not pacer.is_late
    watch.now_s += 10.1
    assert pacer.is_late
    assert pacer.request_s() == 0.5
    pacer.restart()
    assert pacer.is_late
    assert Pacer(Timing(request_timeout_s=0.1), deadline_s=0.0).request_s() == 0.1


@given(
    waits=st.lists(
        st.tuples(st.sampled_from(WaitReason), st.booleans(), st.none() | st.floats(0, 30), st.floats(0, 5)),
        max_size=30,
    ),
    deadline_s=st.none() | st.floats(0, 60),
)
def test_pauses_are_bounded(
    waits: list[tuple[WaitReason, bool, float | None, float]], deadline_s: float | None
) -> None:
    watch = Watch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "monotonic", watch.monotonic)
        pacer = Pacer(Timing(), deadline_s=deadline_s)
        attempts = dict.fromkeys(WaitReason, 0)
        begun_s = watch.now_s
        for reason, begins_again, retry_after_s, busy_s in waits:
            attempts[reason] = 1 if begins_again else attempts[reason] + 1
            pause_s = pacer.pause_s(Wait(reason, attempts[reason], retry_after_s))
            if pause_s is not None:
                assert pause_s >= min(retry_after_s or 0.0, 1e-9)
                assert pause_s <= max(Timing().longest_retry_s, retry_after_s or 0.0)
                watch.now_s += pause_s
                assert deadline_s is None or watch.now_s - begun_s <= deadline_s + 1e-6
            watch.now_s += busy_s


# --- the clock ----------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


def set_wall_clock(patch: pytest.MonkeyPatch, *, ahead: timedelta) -> None:
    wall_s = time.time
    patch.setattr(time, "time", lambda: wall_s() + ahead.total_seconds())


def test_a_clock_never_runs_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    before = clock.now()
    assert abs(before - datetime.now(UTC)) < timedelta(seconds=5)
    assert before.tzinfo is UTC
    set_wall_clock(monkeypatch, ahead=-HOUR)
    assert timedelta(0) <= clock.now() - before < timedelta(seconds=30)


def test_clock_counts_the_sleep_of_the_machine() -> None:
    """While a machine sleeps, its monotonic clock stands still."""
    clock = SteadyClock()
    before = clock.now()
    with pytest.MonkeyPatch.context() as patch:
        set_wall_clock(patch, ahead=HOUR)
        awake = clock.now()
    assert timedelta(minutes=59) < awake - before < timedelta(minutes=61)
    assert timedelta(0) <= clock.now() - awake < timedelta(seconds=30)


def test_a_wall_clock_that_is_set_back_makes_no_report_late(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(in_turn(Reply(body="created"), Reply(body="running"), Reply(body="finished")))
    task: AnyTask = connect("v1", server.base_url).task("t")
    assert task.status() == "created"
    set_wall_clock(monkeypatch, ahead=-HOUR)
    assert (task.status(), task.status()) == ("running", "finished")


# --- actions ------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def actions_of(procedure: Procedure[Any], *responses: Response) -> tuple[list[str | Sleep], Any]:
    """Carry a procedure out with prepared responses; return what it asked for and its result."""
    left, asked, result = list(responses), list[str | Sleep](), None
    while True:
        try:
            action = procedure.actions.send(result)
        except StopIteration as stop:
            assert not left
            return asked, stop.value
        match action:
            case HttpCall(_, _, request):
                asked.append(f"{request.method} {request.path}")
                result = left.pop(0)
            case Sleep():
                asked.append(action)
                result = None
            case ReportProgress():
                asked.append("tell")
                result = None
            case JournalCall(effect, part):
                result = apply_journal_effect(effect, part)
            case ServiceCall():
                raise AssertionError("a procedure of an HTTP service called another kind of service")


def v1_conversation() -> TaskProcedures[Any, Any]:
    log = MemoryJournal().task(V1_FULL, "t")
    return TaskProcedures(binding=V1, lifecycle=V1_FULL, timing=Timing(), task_id="t", journal=log)


def accepted(status: str | None, document: Any = None, second: int = 0) -> Accepted:
    return Accepted(status, NOW + timedelta(seconds=second), None, document)


def test_a_command_becomes_calls_and_pauses() -> None:
    throttled = Throttled(RateLimited(method="PUT", path="/x", status_code=429, detail="slow"), 7.0)
    asked, result = actions_of(
        v1_conversation().command(V1Event.STOP, {}),
        accepted("running"),
        throttled,
        accepted(None, {}, 1),
        accepted("stopped", None, 2),
    )
    assert asked == [
        "GET /api/v1/task/t/status",
        "PUT /api/v1/stop-task",
        Sleep(7.0),
        "PUT /api/v1/stop-task",
        "GET /api/v1/task/t/status",
    ]
    assert result == CommandResult("stop", "stopped", sent=True)


def test_a_wait_consists_of_reads_reports_and_pauses() -> None:
    asked, result = actions_of(
        v1_conversation().wait("settled", None, stop_at_unknown=True),
        accepted("running"),
        accepted("finished", None, 1),
        accepted("finished", {"status": "finished", "output": "milk"}, 2),
    )
    assert asked == [
        "GET /api/v1/task/t/status",
        "tell",
        Sleep(Timing().poll_s),
        "GET /api/v1/task/t/status",
        "tell",
        "GET /api/v1/task/t",
    ]
    assert (result.state, result.output, result.cost_usd) == ("finished", "milk", None)


def test_the_session_of_a_v2_task_is_looked_up_once() -> None:
    log = MemoryJournal().task(V2_FULL, "t")
    v2 = TaskProcedures(binding=V2, lifecycle=V2_FULL, timing=Timing(), task_id="t", journal=log)
    asked, result = actions_of(
        v2.command(V2Event.STOP_TASK_AND_SESSION, {}),
        accepted("started", {"id": "t"}),
        accepted("stopped", {"id": "t"}, 1),
        accepted("stopped", {"id": "t", "sessionId": "s"}, 2),
        accepted("active", None, 3),
        accepted("stopped", {"id": "t"}, 4),
        accepted("stopped", None, 5),
    )
    assert [each for each in asked if isinstance(each, str)] == [
        "GET /api/v2/tasks/t/status",
        "PATCH /api/v2/tasks/t",
        "GET /api/v2/tasks/t",
        "GET /api/v2/sessions/s",
        "GET /api/v2/tasks/t/status",
        "GET /api/v2/sessions/s",
    ]
    assert result.sent


def test_idle_is_not_settled_until_dispatched_work_was_seen() -> None:
    log = MemoryJournal().task(V3_FULL, "s")
    v3 = TaskProcedures(binding=V3, lifecycle=V3_FULL, timing=Timing(), task_id="s", journal=log)
    idle = accepted("idle", {"status": "idle"})
    actions_of(v3.status(), idle)
    assert v3.work.is_done(V3State.IDLE, "settled")
    actions_of(v3.command(V3Event.DISPATCH, {"task": "buy milk"}), idle, accepted("idle", None, 1))
    assert not v3.work.is_done(V3State.IDLE, "settled")
    actions_of(v3.status(), accepted("running", None, 2))
    assert v3.work.is_done(V3State.IDLE, "settled")


def test_a_create_becomes_one_call() -> None:
    creating = creator(V1).create({"task": "buy milk"}, labels={}, context=NO_CONTEXT)
    asked, made = actions_of(creating, accepted(None, {"id": "t"}))
    assert (asked, made.task_id) == (["POST /api/v1/run-task"], "t")


def creator(binding: Any) -> CreateProcedures:
    def open_task(task_id: str) -> TaskProcedures[Any, Any]:
        log = journal.task(binding.lifecycle, task_id)
        return TaskProcedures(binding=binding, lifecycle=binding.lifecycle, timing=QUICK, task_id=task_id, journal=log)

    journal = MemoryJournal()
    return CreateProcedures(
        binding=binding,
        lifecycle=binding.lifecycle,
        timing=QUICK,
        base_url=binding.base_url,
        creates=journal.creates(binding.lifecycle),
        open_task=open_task,
    )


def test_misuse_is_refused_before_the_first_action() -> None:
    conversation = v1_conversation()
    with pytest.raises(TypeError, match="takes no fields"):
        conversation.command(V1Event.STOP, {"note": "now"})
    with pytest.raises(TypeError, match="with sessionId it is dispatch"):
        creator(V3).create({"task": "buy milk", "sessionId": "s"}, labels={}, context=NO_CONTEXT)
    with pytest.raises(TypeError, match="labels"):
        creator(V3).create({"task": "buy milk"}, labels={"order": 7}, context=NO_CONTEXT)  # type: ignore[dict-item]
    assert conversation.journal.load().version == 0


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ("0.10", "0.10"),
        (2, "2"),
        ("NaN", None),
        (float("nan"), None),
        ("Infinity", None),
        ("free", None),
        (None, None),
        ("1_0", None),
        ("\u0661", None),
        (True, None),
    ],
)
def test_a_cost_is_a_number_or_not_known(told: Any, cost: str | None) -> None:
    if told is not None and cost is None:
        with pytest.raises(ValueError, match=r"^the cost at 'cost' is not a number$"):
            reported_cost_usd({"cost": told}, "cost")
    assert cost_usd({"cost": told}, "cost") == (None if cost is None else Decimal(cost))
