"""Every command in every state of every API, over HTTP, compared with the lifecycle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from lifecycle import Lifecycle, UnknownName, VerdictKind
from lifecycle.catalog import V1, V2, V2_SESSION, V3, V4
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.services.registry import BUILT_IN
from tests.adapters.emulator.requests import BY_NAME, bring_to, command, connect, create, state

MINIMAL: dict[str, Lifecycle[Any, Any]] = {"v1": V1, "v2": V2, "v3": V3}
PAIRS = [
    pytest.param(binding, lifecycle, place.name, event, id=f"{lifecycle.name} {place.name} {event}")
    for binding in BUILT_IN
    for lifecycle in {binding.lifecycle: 0, MINIMAL.get(binding.name, binding.lifecycle): 1}
    for place in lifecycle.states
    for event in lifecycle.commands
]
# The status codes for a command that the state refuses; other commands return 200 with the view unchanged.
REFUSED_WITH = {"v1": 400, "v3 dispatch": 400, "v4-message": 409}


@pytest.fixture(scope="module")
def minimal() -> Iterator[Emulator]:
    with Emulator(manual=True, lifecycles=MINIMAL) as emulator:
        yield emulator


@pytest.mark.parametrize(("binding", "lifecycle", "start", "event"), PAIRS)
def test_each_command_changes_the_state_as_the_lifecycle_declares(
    emulator: Emulator,
    minimal: Emulator,
    *,
    binding: HttpBinding[Any, Any],
    lifecycle: Lifecycle[Any, Any],
    start: str,
    event: str,
) -> None:
    server = emulator if lifecycle is binding.lifecycle else minimal
    path = lifecycle.path(lifecycle.initial, start)
    assert path is not None
    with connect(server) as http:
        task_id = bring_to(server, http, binding, path)
        assert state(http, binding, task_id) == start
        transitions = server.task(task_id).transitions

        response = command(http, binding, event, task_id)

        target = lifecycle.target(start, event)
        assert state(http, binding, task_id) == (start if target is None else target)
        if target is None:
            assert server.task(task_id).transitions == transitions
            assert response.status_code == REFUSED_WITH.get(
                binding.name, REFUSED_WITH.get(f"{binding.name} {event}", 200)
            )
        else:
            assert response.status_code == 200
            assert [each.event for each in server.task(task_id).transitions[len(transitions) :]] == [event]
        seen = server.calls()[-2]
        assert (seen.api, seen.command, seen.task, seen.state_before) == (binding.name, event, task_id, start)
        assert (seen.applied, seen.state_after) == (target is not None, start if target is None else target)


@pytest.mark.parametrize("binding", BUILT_IN, ids=lambda binding: binding.name)
def test_firing_each_remote_event_in_each_state_follows_the_lifecycle(
    emulator: Emulator, http: httpx2.Client, binding: HttpBinding[Any, Any]
) -> None:
    lifecycle = binding.lifecycle
    for place in lifecycle.states:
        for event in lifecycle.events:
            task_id = bring_to(emulator, http, binding, lifecycle.path(lifecycle.initial, place.name) or ())
            response = http.post(f"/_emulator/tasks/{task_id}/events", json={"event": event.name})
            verdict = lifecycle.judge(place.name, event.name)
            if event.name in lifecycle.commands:
                assert (response.status_code, "is a command" in response.json()["detail"]) == (400, True)
            elif verdict.kind is VerdictKind.APPLIED:
                assert (response.status_code, response.json()["state"]) == (200, verdict.target)
            else:
                assert (response.status_code, verdict.reason in response.json()["detail"]) == (409, True)
                assert state(http, binding, task_id) == place.name


def test_v1_returns_the_reason_of_a_refusal(http: httpx2.Client, emulator: Emulator) -> None:
    binding = BY_NAME["v1"]
    task_id = create(http, binding)
    assert command(http, binding, "pause", task_id).json() == {
        "detail": "'pause' is not allowed in 'created'; allowed: stop"
    }
    assert command(http, binding, "stop", task_id).json() == {}
    assert command(http, binding, "stop", task_id).json() == {"detail": "Agent session already stopped"}


def test_a_v2_task_and_its_session_are_stopped_by_one_command(http: httpx2.Client, emulator: Emulator) -> None:
    v2, sessions = BY_NAME["v2"], BY_NAME["v2-session"]
    for event, session_state in (("stop", "active"), ("stop_task_and_session", "stopped")):
        task_id = create(http, v2)
        session_id = command(http, v2, event, task_id).json()["sessionId"]
        assert state(http, v2, task_id) == "stopped"
        assert state(http, sessions, session_id) == session_state


def test_stopping_a_task_that_is_over_does_not_change_its_session(http: httpx2.Client, emulator: Emulator) -> None:
    v2, sessions = BY_NAME["v2"], BY_NAME["v2-session"]
    task_id = bring_to(emulator, http, v2, ("start", "finish"))
    session_id = command(http, v2, "stop_task_and_session", task_id).json()["sessionId"]
    assert state(http, sessions, session_id) == "active"


def test_stopping_a_v2_session_stops_its_tasks(http: httpx2.Client, emulator: Emulator) -> None:
    v2, sessions = BY_NAME["v2"], BY_NAME["v2-session"]
    session_id = create(http, sessions)
    task_id = create(http, v2, task="Buy milk", sessionId=session_id)
    response = command(http, sessions, "stop", session_id).json()
    assert (response["status"], [task["status"] for task in response["tasks"]]) == ("stopped", ["stopped"])
    assert state(http, v2, task_id) == "stopped"


def test_a_lifecycle_without_the_command_refuses_it(minimal: Emulator) -> None:
    with connect(minimal) as http:
        binding = BY_NAME["v3"]
        task_id = bring_to(minimal, http, binding, ("start",))
        response = command(http, binding, "stop_task", task_id)
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == ["body", "strategy"]
        assert state(http, binding, task_id) == "running"


@pytest.mark.parametrize(
    ("lifecycles", "error", "message"),
    [
        ({"v5": V1}, UnknownName, "'v5'"),
        ({"v1": V4}, ValueError, "'v1' has no call for 'cancel'; it is the lifecycle of the service 'v4'"),
        ({"v2": V2_SESSION}, ValueError, "the lifecycle 'v2-session' does not fit 'v2': 'v2' has no state 'active'"),
        ({"v1": "v1"}, TypeError, "lifecycle must be a Lifecycle, such as "),
    ],
)
def test_a_lifecycle_foreign_to_its_service_is_refused(
    lifecycles: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Emulator(lifecycles=lifecycles)
