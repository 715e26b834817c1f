"""Supervision by DBOS, over real HTTP and with real databases. test_dbos_processes.py tests its processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

import pytest
from dbos import DBOS, DBOSConfig, WorkflowHandle

from lifecycle import V1_FULL, UnknownName
from lifecycle.journal import Journal, Report
from lifecycle_adapters.dbos import Limits, NotFollowed, Supervision, serving
from lifecycle_adapters.emulator import Emulator, RecordedCall
from lifecycle_adapters.http import AsyncClient, Client, NotFound, Timing
from lifecycle_adapters.journal import RecordedCommand, SqlJournal
from lifecycle_adapters.services.v3 import V3 as BUILT_IN_V3
from lifecycle_adapters.watch import OverdueAfter, StopAfter, StopAtCost, StopPausedAfter

KEY = "bu_a-key-that-nobody-may-see"
QUICK = Timing(
    attempts=1, retry_budget_s=0.1, longest_retry_s=0.02, settle_timeout_s=0.3, poll_s=0.01, longest_poll_s=0.02
)
RARELY = replace(QUICK, poll_s=3600, longest_poll_s=3600)
OFTEN: Limits = {"polling_interval_sec": 0.05}
TIME_LIMIT_S = 60.0
NAMES = (f"tasks-{number}" for number in count())  # a process can have only one supervision with a name


class Careless:
    """A policy that raises."""

    name = "careless"
    needs_cost = False

    def decide(self, *_: Any) -> str | None:
        raise ZeroDivisionError

    def due_at(self, *_: Any) -> datetime | None:
        raise OverflowError


def config_of(url: str, *, worker: str = "worker-1", version: str = "1") -> DBOSConfig:
    return {
        "name": "supervisor",
        "system_database_url": url,
        "executor_id": worker,
        "application_version": version,
        "log_level": "CRITICAL",
        "notification_listener_polling_interval_sec": 0.01,
    }


def supervision_of(
    emulator: Emulator, *, api: Any = "v1", timing: Timing = QUICK, journal: Journal | None = None, **settings: Any
) -> Supervision:
    client = AsyncClient(api, api_key=KEY, base_url=emulator.base_url, timing=timing, journal=journal)
    all_settings: dict[str, Any] = {"name": next(NAMES), "limits": OFTEN, **settings}
    return Supervision(client, **all_settings)


def new_task(emulator: Emulator) -> str:
    with Client("v1", api_key=KEY, base_url=emulator.base_url) as client:
        return client.create("find the cheapest flight").id


def running_task(emulator: Emulator) -> str:
    return emulator.fire(new_task(emulator), "start").id


def calls_of(emulator: Emulator, task_id: str, call: str) -> list[RecordedCall]:
    """Return the emulator's recorded calls of one command of the task, or of its `status`."""
    return [each for each in emulator.calls() if each.task == task_id and call in (each.call, each.command)]


def eventually(question: Callable[[], Any]) -> None:
    end_s = time.monotonic() + TIME_LIMIT_S
    while not question():
        assert time.monotonic() < end_s, "it did not come about in time"
        time.sleep(0.01)


def result_of(handle: WorkflowHandle[str]) -> str:
    eventually(lambda: handle.get_status().status not in ("ENQUEUED", "PENDING"))
    return handle.get_result()


def lives(journal: SqlJournal, task_id: str) -> list[str]:
    """Return the states of the task's commands in the journal."""
    return [each.state for each in journal.history(task_id) if isinstance(each, RecordedCommand)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator whose tasks run no script."""
    with Emulator(manual=True) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlJournal]:
    with SqlJournal(tmp_path_factory.mktemp("journal") / "journal.db") as journal:
        yield journal


@pytest.fixture(scope="module")
def served(
    emulator: Emulator, journal: SqlJournal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Supervision]]:
    """Supervisions of several kinds for all tests, because DBOS needs a second to find its queues."""
    kinds: dict[str, dict[str, Any]] = {
        "quick": {},
        "rarely": {"timing": RARELY},
        "recorded": {"timing": RARELY, "journal": journal},
        "short steps": {"step_s": 0.05},
        "one at a time": {"limits": {**OFTEN, "worker_concurrency": 1}},
        "not for long": {"timing": RARELY, "policies": [StopAfter(0.3)]},
        "at once": {"policies": [StopAfter(0.001)], "step_s": 0.1},
        "hasty": {"step_s": 0.01},
        "cheap": {"api": "v3", "policies": [StopAtCost(0.000001)], "step_s": 0.1},
        "blind": {
            "api": replace(BUILT_IN_V3, cost_field="status"),
            "policies": [StopAtCost(1), StopPausedAfter(0.2)],
            "step_s": 0.1,
        },
        "not paused for long": {"policies": [StopPausedAfter(0.2)]},
        "careless": {"timing": RARELY, "policies": [Careless(), StopAfter(0.3)]},
        "quick and recorded": {"journal": journal},
    }
    supervisions = {kind: supervision_of(emulator, **settings) for kind, settings in kinds.items()}
    with serving(config_of(f"sqlite:///{tmp_path_factory.mktemp('dbos')}/dbos.sqlite"), *supervisions.values()):
        yield supervisions


def follow_until_nothing_happens(emulator: Emulator, supervision: Supervision, task_id: str) -> WorkflowHandle[str]:
    """Wait for the second poll: with a long interval it is the last one for an hour."""
    handle = supervision.follow(task_id)
    eventually(lambda: [each.status_code for each in calls_of(emulator, task_id, "status")] == [200, 200])
    return handle


# --- following ------------------------------------------------------------------------------------


def test_a_task_is_followed_to_its_end_in_few_steps_with_many_polls(
    emulator: Emulator, served: dict[str, Supervision]
) -> None:
    task_id = running_task(emulator)

    handle = served["quick"].follow(task_id)
    eventually(lambda: len(calls_of(emulator, task_id, "status")) > 50)
    emulator.fire(task_id, "finish")
    state = result_of(handle)

    steps = [each["function_name"] for each in DBOS.list_workflow_steps(handle.workflow_id)]
    assert state == "finished"
    assert steps.count("poll") == 2
    assert len(steps) <= 6


def test_a_second_follow_returns_the_first_workflow(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)
    supervision = served["quick"]

    handles = [supervision.follow(task_id), supervision.follow(task_id)]
    emulator.fire(task_id, "fail")
    states = [result_of(each) for each in (*handles, supervision.follow(task_id))]

    workflows = [each.workflow_id for each in DBOS.list_workflows() if task_id in each.workflow_id]
    assert states == ["failed"] * 3
    assert workflows == [supervision.workflow_id(task_id)] == [f"{supervision.name}:{task_id}"]


def test_a_long_wait_is_several_steps(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)

    handle = served["short steps"].follow(task_id)
    eventually(lambda: len(DBOS.list_workflow_steps(handle.workflow_id)) > 8)
    emulator.fire(task_id, "finish")

    assert result_of(handle) == "finished"


@pytest.mark.heavy
def test_following_continues_after_failures_of_the_service(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)
    emulator.fault("status", status_code=503, method="GET", task=task_id, times=20)

    handle = served["quick"].follow(task_id)
    eventually(lambda: not emulator.faults())
    emulator.fire(task_id, "finish")

    assert result_of(handle) == "finished"
    assert len(DBOS.list_workflow_steps(handle.workflow_id)) <= 6


def test_a_task_that_the_service_does_not_know_ends_its_workflow(served: dict[str, Supervision]) -> None:
    handle = served["quick"].follow("task_nobody_made")

    with pytest.raises(NotFound):
        result_of(handle)


@pytest.mark.heavy
def test_a_task_can_be_followed_again_once_its_workflow_is_deleted(
    emulator: Emulator, served: dict[str, Supervision]
) -> None:
    task_id = running_task(emulator)
    emulator.fault("status", status_code=404, method="GET", task=task_id)
    handle = served["quick"].follow(task_id)
    with pytest.raises(NotFound):
        result_of(handle)

    DBOS.delete_workflow(handle.workflow_id)
    handle = served["quick"].follow(task_id)
    emulator.fire(task_id, "finish")

    assert result_of(handle) == "finished"


def test_an_unusable_id_is_refused_at_once(served: dict[str, Supervision]) -> None:
    with pytest.raises(ValueError, match="is not a task id"):
        served["quick"].follow("..")


@pytest.mark.heavy
def test_the_queue_limits_the_tasks_followed_at_once(emulator: Emulator, served: dict[str, Supervision]) -> None:
    first, second = running_task(emulator), running_task(emulator)

    handle = served["one at a time"].follow(first)
    waiting = served["one at a time"].follow(second)
    eventually(lambda: len(calls_of(emulator, first, "status")) > 20)
    polls_of_the_second = calls_of(emulator, second, "status")
    emulator.fire(first, "finish")
    emulator.fire(second, "finish")

    assert [result_of(handle), result_of(waiting)] == ["finished", "finished"]
    assert polls_of_the_second == []


# --- commands -------------------------------------------------------------------------------------


def test_commands_run_between_polls(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)
    supervision = served["rarely"]
    handle = follow_until_nothing_happens(emulator, supervision, task_id)

    paused = supervision.result(task_id, supervision.send(task_id, "pause", reason="lunch"))
    stopped = supervision.result(task_id, supervision.send(task_id, "stop"))
    state = result_of(handle)

    steps = [each["function_name"] for each in DBOS.list_workflow_steps(handle.workflow_id)]
    assert paused == {"command": "pause", "state": "paused", "sent": True, "error": None}
    assert stopped == {"command": "stop", "state": "stopped", "sent": True, "error": None}
    assert state == "stopped"
    assert (steps.count("pause"), steps.count("stop")) == (1, 1)
    assert [each.applied for each in calls_of(emulator, task_id, "pause")] == [True]
    assert [each.applied for each in calls_of(emulator, task_id, "stop")] == [True]


@pytest.mark.heavy
def test_two_sends_with_one_key_run_once(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)
    supervision = served["quick"]
    handle = supervision.follow(task_id)

    for command in ("pause", "resume"):
        supervision.send(task_id, command, idempotency_key=command)
        supervision.result(task_id, command)
    supervision.send(task_id, "pause", idempotency_key="pause")
    supervision.result(task_id, supervision.send(task_id, "stop"))

    assert result_of(handle) == "stopped"
    assert len(calls_of(emulator, task_id, "pause")) == 1


def test_a_refusal_is_an_outcome_and_following_continues(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = new_task(emulator)
    supervision = served["quick"]
    handle = supervision.follow(task_id)

    outcome = supervision.result(task_id, supervision.send(task_id, "pause"))
    emulator.fire(task_id, "start")
    emulator.fire(task_id, "finish")

    assert result_of(handle) == "finished"
    assert outcome is not None
    assert str(outcome["error"]).startswith("IllegalTransition: v1-full: 'pause' is not allowed in 'created'")
    assert calls_of(emulator, task_id, "pause") == []


@pytest.mark.heavy
def test_an_uncertain_command_is_settled_by_the_next_poll(
    emulator: Emulator, served: dict[str, Supervision], journal: SqlJournal
) -> None:
    task_id = running_task(emulator)
    supervision = served["recorded"]
    handle = follow_until_nothing_happens(emulator, supervision, task_id)
    emulator.fault("drop_after", command="pause", task=task_id)
    emulator.fault("status", status_code=503, method="GET", task=task_id, times=5)

    outcome = supervision.result(task_id, supervision.send(task_id, "pause"))
    eventually(lambda: lives(journal, task_id)[-1] == "done")
    supervision.send(task_id, "stop")

    assert result_of(handle) == "stopped"
    assert outcome is not None
    assert str(outcome["error"]).startswith("CommandUncertain")
    assert len(calls_of(emulator, task_id, "pause")) == 1


def test_a_command_that_is_not_idempotent_needs_a_durable_journal(emulator: Emulator) -> None:
    supervision = supervision_of(emulator, api="v3")

    with pytest.raises(ValueError, match="durable journal"):
        supervision.send("7", "dispatch", task="read the news")


def test_a_command_is_checked_before_it_is_sent(served: dict[str, Supervision]) -> None:
    with pytest.raises(UnknownName):
        served["quick"].send("7", "paus")
    with pytest.raises(TypeError):
        served["quick"].send("7", "pause", why="lunch")


def test_a_message_for_a_task_that_is_not_followed_raises(served: dict[str, Supervision]) -> None:
    with pytest.raises(NotFollowed, match="'7'"):
        served["quick"].send("7", "stop")
    with pytest.raises(NotFollowed) as raised:
        served["quick"].notify("7")

    assert raised.value.task == "7"


# --- webhooks -------------------------------------------------------------------------------------


def test_a_webhook_ends_the_wait_without_a_poll(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)
    handle = follow_until_nothing_happens(emulator, served["rarely"], task_id)

    served["rarely"].notify(task_id, Report("finished", datetime.now(UTC), "webhook"))

    assert result_of(handle) == "finished"
    assert len(calls_of(emulator, task_id, "status")) == 2


@pytest.mark.parametrize("status", [None, "paused"], ids=["none", "in a cycle"])
def test_a_webhook_without_a_final_status_leads_to_a_poll(
    emulator: Emulator, served: dict[str, Supervision], status: str | None
) -> None:
    task_id = running_task(emulator)
    handle = follow_until_nothing_happens(emulator, served["rarely"], task_id)
    emulator.fire(task_id, "finish")

    served["rarely"].notify(task_id, None if status is None else Report(status, datetime.now(UTC), "webhook"))

    assert result_of(handle) == "finished"


def test_a_channel_that_is_not_declared_is_refused_at_once(served: dict[str, Supervision]) -> None:
    with pytest.raises(UnknownName):
        served["quick"].notify("7", Report("finished", datetime.now(UTC), "pigeon"))


# --- policies -------------------------------------------------------------------------------------


def test_a_task_followed_for_too_long_is_ended(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)

    state = result_of(served["not for long"].follow(task_id))

    assert state == emulator.task(task_id).state == "stopped"


def test_a_policy_that_raises_does_not_stop_the_others(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)

    assert result_of(served["careless"].follow(task_id)) == emulator.task(task_id).state == "stopped"


def test_a_task_with_an_unreadable_journal_is_followed_once_it_is_readable(
    emulator: Emulator, served: dict[str, Supervision], journal: SqlJournal, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = running_task(emulator)
    journal.task(V1_FULL, task_id).add_report(Report("running", datetime.now(UTC)))

    def rename(state: str) -> None:
        with journal.database.transaction() as connection:
            where = f"task_id = '{task_id}'"
            connection.exec_driver_sql(f"UPDATE lifecycle_tasks SET state = '{state}' WHERE {where}")

    rename("walking")
    handle = served["quick and recorded"].follow(task_id)
    eventually(lambda: any("'walking'" in str(vars(each).get("error")) for each in caplog.records))
    rename("running")
    emulator.fire(task_id, "finish")

    assert result_of(handle) == "finished"


@pytest.mark.heavy
def test_a_task_in_a_state_for_too_long_is_ended(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)
    supervision = served["not paused for long"]

    handle = supervision.follow(task_id)
    eventually(lambda: len(calls_of(emulator, task_id, "status")) > 50)
    stops_before = calls_of(emulator, task_id, "stop")
    supervision.send(task_id, "pause")

    assert result_of(handle) == "stopped"
    assert stops_before == []


@pytest.mark.heavy
def test_a_policys_refused_command_is_sent_again(emulator: Emulator, served: dict[str, Supervision]) -> None:
    task_id = running_task(emulator)
    emulator.fault("status", status_code=409, command="stop", task=task_id, times=2)

    state = result_of(served["at once"].follow(task_id))

    assert state == "stopped"
    assert [each.status_code for each in calls_of(emulator, task_id, "stop")] == [409, 409, 200]


@pytest.mark.parametrize(("name", "event"), [("hasty", "finish"), ("at once", None)])
def test_a_service_slower_than_a_step_is_still_followed(
    emulator: Emulator, served: dict[str, Supervision], name: str, event: str | None
) -> None:
    task_id = running_task(emulator)
    emulator.fault("delay", method="GET", task=task_id, seconds=0.3, times=1000)
    handle = served[name].follow(task_id)
    if event is not None:
        emulator.fire(task_id, event)

    assert result_of(handle) == emulator.task(task_id).state
    emulator.clear_faults()


@pytest.mark.heavy
def test_a_task_that_is_too_expensive_is_ended(emulator: Emulator, served: dict[str, Supervision]) -> None:
    with Client("v3", api_key=KEY, base_url=emulator.base_url) as client:
        session_id = client.create("read the news", keepAlive=True).id
    emulator.fire(session_id, "start")
    handle = served["cheap"].follow(session_id)
    eventually(lambda: len(DBOS.list_workflow_steps(handle.workflow_id)) > 8)
    stops_before = calls_of(emulator, session_id, "stop")
    emulator.fire(session_id, "complete")

    assert result_of(handle) == "stopped"
    assert stops_before == []


def test_a_cost_that_is_not_a_number_is_logged_and_other_limits_are_enforced(
    emulator: Emulator, served: dict[str, Supervision], caplog: pytest.LogCaptureFixture
) -> None:
    with Client("v3", api_key=KEY, base_url=emulator.base_url) as client:
        session_id = client.create("read the news", keepAlive=True).id
    for event in ("start", "complete"):
        emulator.fire(session_id, event)

    assert result_of(served["blind"].follow(session_id)) == "stopped"
    failed = {
        (vars(each)["policy"], vars(each)["error"]) for each in caplog.records if each.getMessage() == "a policy failed"
    }
    assert failed == {("stop-at-cost", "the cost at 'status' is not a number")}


def test_a_cost_policy_needs_a_service_that_reports_costs(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="v1 does not report the cost of a task"):
        supervision_of(emulator, api="v1", policies=[StopAtCost(1)])


@pytest.mark.parametrize(
    ("settings", "error", "wrong"),
    [
        ({"client": Client}, TypeError, "client must be an AsyncClient, not the class Client"),
        ({"name": 3}, TypeError, "name must be text, not 3"),
        ({"name": ""}, ValueError, "name must not be empty"),
        ({"step_s": "600"}, TypeError, "step_s must be a number, not '600'"),
        ({"step_s": -1}, ValueError, "step_s must be positive and finite, not -1"),
        ({"policies": StopAfter(1)}, TypeError, "policies must be several, in a list"),
        ({"policies": [StopAfter(1), StopAfter(2)]}, ValueError, "two policies have the same name"),
        ({"policies": [StopPausedAfter(1, states=["pausd"])]}, UnknownName, "did you mean 'paused'"),
        ({"limits": 3}, TypeError, "limits must be a mapping"),
        ({"limits": {"worker_concurency": 3}}, UnknownName, "did you mean 'worker_concurrency'"),
        ({"limits": {"global_concurrency": 0}}, ValueError, "global_concurrency must be at least 1"),
        ({"limits": {"polling_interval_sec": "1"}}, TypeError, "polling_interval_sec must be a number"),
        ({"limits": {"limiter": 50}}, TypeError, "limiter must be a mapping"),
    ],
)
def test_supervision_refuses_arguments_that_cannot_work(
    emulator: Emulator, settings: dict[str, Any], error: type[Exception], wrong: str
) -> None:
    given: dict[str, Any] = {"client": AsyncClient("v1", api_key=KEY, base_url=emulator.base_url), **settings}

    with pytest.raises(error, match=wrong):
        Supervision(given.pop("client"), **given)


def test_calls_of_a_supervision_refuse_arguments_that_cannot_work(served: dict[str, Supervision]) -> None:
    supervision, not_a_key, not_a_report = served["quick"], cast("Any", 3), cast("Any", "finished")

    with pytest.raises(ValueError, match="idempotency_key must not be empty"):
        supervision.send("7", "stop", idempotency_key="")
    with pytest.raises(TypeError, match="idempotency_key must be text, as `send` returned it, not 3"):
        supervision.result("7", not_a_key)
    with pytest.raises(ValueError, match="timeout_s must be at least 0 and finite, not -1"):
        supervision.result("7", "key", timeout_s=-1)
    with pytest.raises(TypeError, match=r"report must be a Report\(...\), not 'finished'"):
        supervision.notify("7", not_a_report)
    with (
        pytest.raises(TypeError, match="serving takes Supervisions, not 'v1'"),
        serving(config_of(""), cast("Any", "v1")),
    ):
        pass


def test_a_policy_that_is_a_class_is_refused(emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="not the class StopAfter"):
        supervision_of(emulator, api="v1", policies=[StopAfter])


def test_a_policy_that_only_alerts_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="only alerts"):
        supervision_of(emulator, api="v1", policies=[OverdueAfter("running", 1)])
