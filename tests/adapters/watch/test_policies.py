"""The decisions of policies: one command, by the usual procedure, however many watchers there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any, cast

import httpx2
import pytest

from lifecycle import (
    V1,
    V1_FULL,
    V2_FULL,
    V3_FULL,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    Lifecycle,
    TaskEndedFirst,
    UnknownName,
    V1Event,
    V1State,
)
from lifecycle.catalog import CommandEvent
from lifecycle.journal import CommandEntry, Report, TaskRecord
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.http import AsyncClient, Call, Forbidden, HttpBinding, NotConnected, RateLimited
from lifecycle_adapters.watch import (
    Change,
    Event,
    Facts,
    Overdue,
    OverdueAfter,
    Policy,
    PolicyAction,
    StopAfter,
    StopAtCost,
    StopPausedAfter,
)
from lifecycle_adapters.watch.enforcer import PolicyEnforcer
from lifecycle_adapters.watch.watched_task import WatchedTask
from tests.adapters.watch.worlds import EVEN, Service, clock, run, states, timetable, unlimited, watching

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def facts(state: str, **changes: Any) -> Facts:
    known = Facts(task_id="a", state=state, since=NOW, first_at=NOW - timedelta(seconds=60))
    return replace(known, **changes)


# --- decisions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds_later", "decides"), [(-1, False), (39.9, False), (40, True), (1000, True)])
def test_a_time_limit_counts_from_the_first_report(seconds_later: float, decides: bool) -> None:
    policy, now = StopAfter(100), NOW + timedelta(seconds=seconds_later)

    assert (policy.decide(V1_FULL, facts("running"), now) is not None) is decides
    assert policy.due_at(V1_FULL, facts("running")) == NOW + timedelta(seconds=40)


@pytest.mark.parametrize(
    ("lifecycle", "states", "state", "counts"),
    [
        (V1_FULL, (), "paused", True),
        (V1, (), "paused", True),
        (V1_FULL, (), "running", False),
        (V3_FULL, (), "idle", True),
        (V3_FULL, (), "running", False),
        (V2_FULL, (), "started", False),
        (V2_FULL, {"created"}, "created", True),
    ],
)
def test_a_limit_of_rest_counts_in_states_that_wait_for_the_caller(
    lifecycle: Lifecycle[Any, Any], states: tuple[str, ...], state: str, counts: bool
) -> None:
    policy = StopPausedAfter(10, states)
    due_at = policy.due_at(lifecycle, facts(state))

    assert due_at == (NOW + timedelta(seconds=10) if counts else None)
    assert policy.decide(lifecycle, facts(state), NOW + timedelta(seconds=9)) is None
    assert (policy.decide(lifecycle, facts(state), NOW + timedelta(seconds=10)) is not None) is counts


@pytest.mark.parametrize(("cost", "decides"), [(None, False), ("0.99", False), ("1.0", True), ("7", True)])
def test_stop_at_cost_decides_by_the_known_cost(cost: str | None, decides: bool) -> None:
    known = facts("running", cost_usd=None if cost is None else Decimal(cost))

    assert (StopAtCost(1).decide(V3_FULL, known, NOW) is not None) is decides


def test_a_reason_names_the_value_and_the_limit() -> None:
    later = NOW + timedelta(seconds=60)

    assert StopAfter(100).decide(V1, facts("running"), later) == "it has lasted 120 s, the limit is 100 s"
    assert StopPausedAfter(7).decide(V1, facts("paused"), later) == "it has been 'paused' for 60 s, the limit is 7 s"
    costly = facts("running", cost_usd=Decimal("1.5"))
    assert StopAtCost(Decimal("1.2")).decide(V3_FULL, costly, NOW) == "it has cost 1.5 USD, the limit is 1.2 USD"


@pytest.mark.parametrize("limit", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("policy", [StopAfter, StopPausedAfter, StopAtCost, partial(OverdueAfter, "running")])
def test_invalid_policy_limit_is_refused(policy: Callable[[float], Policy], limit: float) -> None:
    with pytest.raises(ValueError, match="must be positive and finite, not"):
        policy(limit)


@pytest.mark.parametrize("seconds", [1e11, 1e12, 1e300])
def test_a_limit_beyond_all_calendars_is_never_reached(seconds: float) -> None:
    overdue = OverdueAfter("paused", seconds)

    for policy in (StopAfter(seconds), StopPausedAfter(seconds), overdue):
        assert policy.decide(V1_FULL, facts("paused"), NOW + timedelta(days=365_000)) is None
        due_at = policy.due_at(V1_FULL, facts("paused"))
        assert due_at is not None
        assert due_at > NOW + timedelta(days=365_000)


def _paused_in(state: str) -> Policy:
    return StopPausedAfter(1, {state})


@pytest.mark.parametrize("state", ["runing", "printing", "started"])
@pytest.mark.parametrize("made", [partial(OverdueAfter, seconds=1), _paused_in])
def test_a_state_that_is_not_declared_is_refused_when_the_watcher_is_made(
    made: Callable[[str], Policy], state: str
) -> None:
    async def everything() -> None:
        with pytest.raises(UnknownName, match=state):
            watching(Service().client(), policies=[made(state)])

    run(everything())


def test_a_final_state_is_never_overdue() -> None:
    async def everything() -> None:
        with pytest.raises(ValueError, match="'finished' is final"):
            watching(Service().client(), policies=[OverdueAfter("finished", 1)])

    run(everything())


@dataclass(frozen=True)
class Questioned:
    """A policy of a user's, whose answers may be texts that are all true."""

    needs_cost: Any = False
    ends_task: Any = True
    name: str = "questioned"

    def decide(self, *_: Any) -> None:
        """Never act."""

    due_at = decide


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (StopAfter, r"not the class StopAfter; make one: StopAfter\(...\)"),
        (StopAtCost, "not the class StopAtCost"),
        (3600, "3600 is not a policy: it has no name, needs_cost, decide, due_at"),
        (None, "None is not a policy"),
        (Questioned(ends_task="no"), r"ends_task of the policy .* must be True or False, not 'no'"),
        (Questioned(needs_cost="no"), r"needs_cost of the policy .* must be True or False, not 'no'"),
    ],
)
def test_an_object_that_is_not_a_policy_is_refused_by_the_constructor(policy: Any, message: str) -> None:
    async def everything() -> None:
        with pytest.raises(TypeError, match=message):
            watching(Service().client(), policies=[policy])

    run(everything())


@pytest.mark.parametrize("policies", [7, None, StopAfter(1)])
def test_single_policy_is_refused(policies: Any) -> None:
    async def everything() -> None:
        with pytest.raises(TypeError, match=r"policies must be several, in a list such as \[StopAfter\(3600\)\], not "):
            watching(Service().client(), policies=policies)

    run(everything())


@pytest.mark.parametrize(
    "make",
    [
        lambda: StopAfter(5, name=cast("Any", 5)),
        lambda: StopAfter(5, needs_cost=cast("Any", "no")),
        lambda: StopPausedAfter(5, needs_cost=cast("Any", "no")),
        lambda: StopAtCost(5, needs_cost=cast("Any", "no")),
        lambda: OverdueAfter("running", 5, needs_cost=cast("Any", "no")),
        lambda: OverdueAfter("running", 5, ends_task=cast("Any", "no")),
        lambda: StopPausedAfter(5, name=cast("Any", None)),
        lambda: StopAtCost(5, name=cast("Any", b"x")),
        lambda: OverdueAfter(cast("Any", 5), 5),
    ],
)
def test_fields_of_policies_are_of_their_types(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"must be (text|True or False)"):
        make()


def test_policies_that_cannot_be_kept_are_refused_at_once() -> None:
    async def everything() -> None:
        with pytest.raises(ValueError, match="the same name"):
            watching(Service().client(), policies=[StopAfter(1), StopAfter(2)])
        with pytest.raises(ValueError, match="v1 does not report the cost of a task"):
            watching(Service().client(), policies=[StopAtCost(1)])
        watching(Service().client(), policies=[StopAfter(1), StopAfter(2, name="later")])

    run(everything())


# --- their outcomes -----------------------------------------------------------------------------

Watched = tuple[list[Event], Service, MemoryTaskJournal[Any, Any]]


def watched_under(
    policies: Policy | Sequence[Policy], service: Service, *, first_at: datetime | None = None
) -> Watched:
    """Watch a task `a` under policies until it is over, or for an hour."""
    policies = policies if isinstance(policies, Sequence) else [policies]
    journal = MemoryJournal()
    log = journal.task(V1_FULL, "a")
    if first_at is not None:
        log.add_report(Report("running", first_at))
    emitted: list[Event] = []

    async def everything() -> None:
        client = service.client(journal=journal)
        async with watching(client, policies=policies, clock=clock(), on_event=emitted.append, pace=EVEN) as watched:
            watched.add("a")
            await asyncio.wait({asyncio.ensure_future(watched.finished())}, timeout=3600)

    run(everything())
    return emitted, service, log


def numbers_of(log: MemoryTaskJournal[Any, Any]) -> list[int]:
    """The numbers in the keys of the commands that were recorded, in their order."""
    keys = dict.fromkeys(str(entry.record.context.idempotency_key) for entry in commands(log))
    return [int(key.rpartition(":")[2]) for key in keys]


def commands(log: MemoryTaskJournal[Any, Any]) -> list[CommandEntry[Any, Any]]:
    return [entry for entry in log.entries if isinstance(entry, CommandEntry)]


def test_the_command_is_recorded_with_its_reason() -> None:
    emitted, service, log = watched_under(StopAfter(100), Service({"a": "running"}))

    _, acted, stopped = emitted
    assert isinstance(acted, PolicyAction)
    assert (acted.policy, acted.command, acted.state, acted.sent) == ("stop-after", "stop", "stopped", True)
    assert (acted.is_settled, acted.error, acted.lifecycle) == (True, None, "v1-full")
    assert isinstance(stopped, Change)
    assert (stopped.before, stopped.state, stopped.is_over) == ("running", "stopped", True)
    assert service.commands == ["PUT /api/v1/stop-task"]
    context = commands(log)[-1].record.context
    assert (context.origin, context.reason) == ("policy:stop-after", acted.reason)
    assert context.idempotency_key is not None
    assert context.idempotency_key.startswith("policy:stop-after:")
    [asked_at_s] = [at_s for at_s, call in service.calls if call.startswith("PUT")]
    assert asked_at_s == pytest.approx(100, abs=1)


def test_policy_time_counts_from_the_journal_without_a_watcher() -> None:
    service = Service({"a": "running"})
    emitted, *_ = watched_under(StopAfter(100), service, first_at=datetime.now(UTC) - timedelta(seconds=95))

    assert [type(each) for each in emitted] == [PolicyAction, Change]
    [asked_at_s] = [at_s for at_s, call in service.calls if call.startswith("PUT")]
    assert 4 < asked_at_s < 6


def test_task_that_continues_in_time_is_not_stopped() -> None:
    service = Service({"a": "paused"})

    async def everything() -> list[Event]:
        timetable(service, {25: {"a": "running"}, 35: {"a": "paused"}, 60: {"a": "running"}, 500: {"a": "finished"}})
        async with watching(service.client(), policies=[StopPausedAfter(30)]) as watched:
            watched.add("a")
            return [event async for event in watched.changes()]

    assert states(run(everything()), "a") == ["paused", "running", "paused", "running", "finished"]
    assert service.commands == []


def test_a_task_that_ends_at_the_last_moment_is_not_commanded() -> None:
    """Policies decide after a new read."""
    service = Service({"a": "running"})

    async def everything() -> list[Event]:
        timetable(service, {99.9: {"a": "finished"}})
        settings: dict[str, Any] = {"policies": [StopAfter(100)], "clock": clock()}
        async with watching(
            service.client(), pace=replace(EVEN, working_s=1000, longest_s=1000), **settings
        ) as watched:
            watched.add("a")
            return [event async for event in watched.changes()]

    assert states(run(everything()), "a") == ["running", "finished"]
    assert service.commands == []


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 409, 422])
def test_refused_policy_command_is_retried_under_the_next_key(status_code: int) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response | None:
        refused = request.method == "PUT" and asyncio.get_running_loop().time() < 400
        return httpx2.Response(status_code, json={"detail": "not now"}) if refused else None

    emitted, service, log = watched_under(StopAfter(100), Service({"a": "running"}, refuse))

    first, *later, done = [each for each in emitted if isinstance(each, PolicyAction)]
    assert first.error is not None
    is_known_as_sent = isinstance(first.error, CommandRefused)  # an Unauthorized may be that of the read before
    assert is_known_as_sent == (status_code not in (401, 403))
    assert (first.is_settled, first.sent, first.state) == (False, is_known_as_sent, "running")
    assert (done.error, done.is_settled, done.state) == (None, True, "stopped")
    assert len(later) < 2, "not every failure is reported"
    sent_at_s = [at_s for at_s, call in service.calls if call.startswith("PUT")]
    assert len(sent_at_s) > 5
    assert max(later - earlier for earlier, later in pairwise(sent_at_s)) <= EVEN.longest_s + 2
    assert numbers_of(log) == list(range(1, len(sent_at_s) + 1))


def test_after_a_restart_the_next_free_key_is_found_in_the_journal() -> None:
    journal, service = MemoryJournal(), Service({"a": "running"})
    log = journal.task(V1_FULL, "a")
    service.plan = lambda request: httpx2.Response(422) if request.method == "PUT" else None

    async def watch_for(seconds: float) -> list[PolicyAction]:
        emitted: list[Event] = []
        settings: dict[str, Any] = {"policies": [StopAfter(100)], "clock": clock(), "on_event": emitted.append}
        async with watching(service.client(journal=journal), **settings) as watched:
            watched.add("a")
            await asyncio.sleep(seconds)
        return [each for each in emitted if isinstance(each, PolicyAction)]

    run(watch_for(400))
    refused = len(service.commands)
    service.plan = lambda _: None
    [done] = run(watch_for(200))

    assert refused > 4
    assert done.error is None
    assert len(service.commands) == refused + 1
    assert numbers_of(log) == list(range(1, refused + 2))


def test_growing_failures_are_reported_when_their_kind_changes() -> None:
    # By number, because pauses between commands are random, and the eighth failure of one kind is reported again.
    answers = iter([422, 422, 422, 403, 403, 403])

    def refuse(request: httpx2.Request) -> httpx2.Response | None:
        if request.method != "PUT" or (code := next(answers, None)) is None:
            return None
        return httpx2.Response(code, json={"detail": f"request {asyncio.get_running_loop().time()}"})

    emitted, *_ = watched_under(StopAfter(100), Service({"a": "running"}, refuse))

    kinds = [type(each.error) for each in emitted if isinstance(each, PolicyAction)]
    assert kinds[:2] == [CommandRefused, Forbidden]
    assert kinds.count(CommandRefused) == 1


@pytest.mark.heavy
def test_two_policies_that_are_refused_do_not_wait_for_each_other() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response | None:
        return httpx2.Response(422) if request.method == "PUT" else None

    emitted, _, log = watched_under([StopAfter(100), StopAfter(110, name="later")], Service({"a": "running"}, refuse))

    assert {each.policy for each in emitted if isinstance(each, PolicyAction)} == {"stop-after", "later"}
    assert {entry.record.context.origin for entry in commands(log)} == {"policy:stop-after", "policy:later"}


def test_an_uncertain_command_is_emitted_once_and_retried_under_its_key_until_it_is_done() -> None:
    def lose(request: httpx2.Request) -> httpx2.Response | None:
        lost = request.method == "PUT" and asyncio.get_running_loop().time() < 400
        return httpx2.Response(500) if lost else None

    emitted, service, log = watched_under(StopAfter(100), Service({"a": "running"}, lose))

    uncertain, *later, done = [each for each in emitted if isinstance(each, PolicyAction)]
    assert isinstance(uncertain.error, CommandUncertain)
    assert not uncertain.is_settled
    assert len(later) < 2
    assert (done.error, done.is_settled, done.state) == (None, True, "stopped")
    assert len({entry.record.id for entry in commands(log)}) == 1
    assert len(service.commands) > 2


def test_abandoned_policy_command_is_repeated_under_another_key() -> None:
    def cut(request: httpx2.Request) -> httpx2.Response | None:
        if request.method == "PUT" and asyncio.get_running_loop().time() < 400:
            raise httpx2.ConnectError("refused")
        return None

    emitted, _, log = watched_under(StopAfter(100), Service({"a": "running"}, cut))

    first, *later, done = [each for each in emitted if isinstance(each, PolicyAction)]
    assert isinstance(first.error, NotConnected)
    assert not first.is_settled
    assert done.state == "stopped"
    assert len(later) < 2
    numbers = numbers_of(log)
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_rate_limit_delays_the_command() -> None:
    def limit(request: httpx2.Request) -> httpx2.Response | None:
        limited = request.method == "PUT" and asyncio.get_running_loop().time() < 400
        return httpx2.Response(429, headers={"Retry-After": "90"}) if limited else None

    emitted, service, _ = watched_under(StopAfter(100), Service({"a": "running"}, limit))

    first, done = [each for each in emitted if isinstance(each, PolicyAction)]
    assert isinstance(first.error, RateLimited)
    assert done.state == "stopped"
    sent_at_s = [at_s for at_s, call in service.calls if call.startswith("PUT")]
    assert min(later - earlier for earlier, later in pairwise(sent_at_s)) > 89.9
    # The response to one task closes the key for a minute at most.
    assert not any(sent_at_s[0] < at_s < sent_at_s[0] + 59.9 for at_s in service.times_s())


def test_a_task_that_ends_first_is_emitted_as_such() -> None:
    service = Service({"a": "running"})

    def end_first(request: httpx2.Request) -> httpx2.Response | None:
        if request.method != "PUT":
            return None
        service.words["a"] = "finished"
        return httpx2.Response(500)

    service.plan = end_first
    emitted, *_ = watched_under(StopAfter(100), service)

    _, ended, finished = emitted
    assert isinstance(ended, PolicyAction)
    assert isinstance(ended.error, TaskEndedFirst)
    assert (ended.state, ended.is_settled) == ("finished", True)
    assert isinstance(finished, Change)
    assert finished.state == "finished"


def test_another_command_in_flight_is_waited_for() -> None:
    journal, service = MemoryJournal(), Service({"a": "running"})
    log = journal.task(V1_FULL, "a")
    version = log.add_report(Report("running", datetime.now(UTC))).version
    opened: Any = log.add_intent(V1Event.PAUSE, source=V1State.RUNNING, version=version, fields={})
    emitted: list[Event] = []

    async def everything() -> None:
        settings: dict[str, Any] = {"policies": [StopAfter(100)], "clock": clock(), "on_event": emitted.append}
        async with watching(service.client(journal=journal), **settings) as watched:
            watched.add("a")
            await asyncio.sleep(300)
            assert service.commands == []
            log.add_outcome(opened.id, CommandEvent.REFUSE, why="no", claim=1)
            await watched.finished()

    run(everything())
    first, *later, done, _ = emitted
    assert isinstance(first, PolicyAction)
    assert isinstance(first.error, CommandInFlight)
    assert len(later) < 2
    assert isinstance(done, PolicyAction)
    assert done.state == "stopped"
    assert service.commands == ["PUT /api/v1/stop-task"]


@pytest.mark.heavy
def test_two_watchers_of_one_journal_give_one_command() -> None:
    journal, service = MemoryJournal(), Service({f"t{number}": "running" for number in range(20)})

    async def one(emitted: list[Event]) -> None:
        settings: dict[str, Any] = {"policies": [StopAfter(100)], "clock": clock(), "on_event": emitted.append}
        async with watching(service.client(journal=journal), **settings) as watched:
            watched.add(*service.words)
            await watched.finished()

    async def everything() -> list[list[Event]]:
        emitted: list[list[Event]] = [[], []]
        await asyncio.gather(*map(one, emitted))
        return emitted

    for emitted in run(everything()):
        assert all(states(emitted, task_id)[-1] == "stopped" for task_id in service.words)
    assert service.commands == ["PUT /api/v1/stop-task"] * 20


# --- alerts -------------------------------------------------------------------------------------


def test_an_overdue_task_is_reported_once_per_stay_and_not_ended() -> None:
    service = Service({"a": "running", "b": "running"})
    policies = [OverdueAfter("running", 30), OverdueAfter("created", 30)]

    async def everything() -> list[Event]:
        timetable(service, {100: {"a": "paused"}, 200: {"a": "running"}, 300: {"a": "finished"}, 20: {"b": "failed"}})
        async with watching(service.client(), policies=policies, clock=clock()) as watched:
            watched.add("a", "b")
            return [event async for event in watched.changes()]

    emitted = run(everything())
    overdue = [each for each in emitted if isinstance(each, Overdue)]
    assert [(each.task_id, each.state, each.policy) for each in overdue] == [
        ("a", "running", "overdue-after:running")
    ] * 2
    assert overdue[0].since < overdue[1].since
    assert overdue[0].reason == "it has been 'running' for 30 s, expected were at most 30 s"
    assert states(emitted, "a") == ["running", "paused", "running", "finished"]
    assert service.commands == []


def test_an_alert_does_not_keep_a_policy_from_ending_the_task() -> None:
    emitted, service, _ = watched_under([OverdueAfter("running", 50), StopAfter(100)], Service({"a": "running"}))

    assert [type(each) for each in emitted] == [Change, Overdue, PolicyAction, Change]
    assert service.commands == ["PUT /api/v1/stop-task"]


class NeverRead(OverdueAfter):
    """An alert about tasks whose status could never be read."""

    def decide(self, lifecycle: Any, facts: Facts, now: datetime) -> str | None:  # noqa: ARG002 (as declared)
        return "it could never be read" if facts.state is None else None


def test_task_that_could_never_be_read_is_overdue_without_a_state() -> None:
    service = Service({"a": "running"}, plan=lambda _: httpx2.Response(500))

    emitted, _, _ = watched_under(NeverRead("running", 5), service)

    assert [each.state for each in emitted if isinstance(each, Overdue)] == [None]


def test_a_task_that_no_command_can_end_is_overdue_too() -> None:
    job = Lifecycle.from_yaml(_WITHOUT_COMMANDS)
    policy = OverdueAfter("printing", 5)

    assert policy.decide(job, facts("printing"), NOW + timedelta(seconds=5)) is not None
    watched = WatchedTask("a", MemoryJournal().task(job, "a"), TaskRecord(state="printing", since=NOW, first_at=NOW))
    status = Call(method="GET", path="/{id}", status_field="status")
    create = Call(method="POST", path="/")
    binding = HttpBinding(
        name="job",
        lifecycle=job,
        base_url="http://s.test",
        base_path="",
        authentication=None,
        create=create,
        status=status,
        details=status,
        commands={},
    )
    client = AsyncClient(binding, http=httpx2.AsyncClient())

    async def everything() -> list[Event]:
        acting = PolicyEnforcer(
            client, [policy], pace=EVEN, throttle=unlimited(), clock=lambda: NOW + timedelta(seconds=6)
        )
        (nobody, emitted), (_, again) = acting.decide(watched), acting.decide(watched)
        assert nobody is None
        assert again == []
        return emitted

    [overdue] = run(everything())
    assert isinstance(overdue, Overdue)


_WITHOUT_COMMANDS = """
name: job
citation: c
states: [{name: waiting, initial: true}, {name: printing}, {name: done, final: true}]
events: [{name: begin, origin: remote}, {name: finish, origin: remote}]
transitions:
  - {source: waiting, event: begin, target: printing}
  - {source: printing, event: finish, target: done}
"""


# --- costs --------------------------------------------------------------------------------------


def costs(status: dict[str, Any], details: dict[str, Any]) -> Callable[[httpx2.Request], httpx2.Response]:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "PATCH":
            status["status"] = details["status"] = "stopped"
        is_status = request.url.path.endswith("/status")
        return httpx2.Response(200, json=status if is_status else details)

    return answer


def cost_of(
    answer: Callable[[httpx2.Request], httpx2.Response], moves: Callable[[], None]
) -> tuple[list[Event], Service]:
    service = Service(plan=answer)

    async def everything() -> list[Event]:
        asyncio.get_running_loop().call_at(200, moves)
        async with watching(service.client(api="v2"), policies=[StopAtCost(1)], clock=clock()) as watched:
            watched.add("a")
            return [event async for event in watched.changes()]

    return run(everything()), service


def test_a_cost_in_the_status_response_is_used() -> None:
    status = {"status": "started", "cost": "0.5"}
    emitted, service = cost_of(costs(status, {**status}), lambda: status.update(cost="1.0"))

    [acted] = [each for each in emitted if isinstance(each, PolicyAction)]
    assert acted.reason == "it has cost 1.0 USD, the limit is 1 USD"
    details = [call for _, call in service.calls if call == "GET /api/v2/tasks/a"]
    assert len(details) == 1


def test_a_cost_that_is_not_in_the_status_response_is_read_rarely() -> None:
    details = {"status": "started", "cost": 0.5}
    emitted, service = cost_of(costs({"status": "started"}, details), lambda: details.update(cost=2.5))

    [acted] = [each for each in emitted if isinstance(each, PolicyAction)]
    assert acted.reason == "it has cost 2.5 USD, the limit is 1 USD"
    read_at_s = [at_s for at_s, call in service.calls if call == "GET /api/v2/tasks/a"]
    assert read_at_s[:5] == pytest.approx([0, 60, 120, 180, 240], abs=1)
