"""Every documented call: paths, codes, fields and validation errors, as the service's documents have them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client, HttpBinding, NotFound
from lifecycle_adapters.services import service, v2_emulation, v4_emulation
from lifecycle_adapters.services.registry import BUILT_IN
from tests.adapters.emulator.requests import BY_NAME, HEADERS, bring_to, command, connect, create, send_call
from tests.support.listing import listing_of

V2_TASK_FIELDS = {
    "id", "sessionId", "llm", "task", "status", "createdAt", "steps", "outputFiles", "startedAt", "finishedAt",
    "metadata", "output", "browserUseVersion", "isSuccess", "judgement", "judgeVerdict", "cost", "suggestions",
}  # fmt: skip
V3_SESSION_FIELDS = {
    "id", "status", "model", "createdAt", "updatedAt", "title", "output", "liveUrl", "profileId", "proxyCountryCode",
    "maxCostUsd", "totalInputTokens", "totalOutputTokens", "proxyUsedMb", "llmCostUsd", "proxyCostUsd", "totalCostUsd",
}  # fmt: skip
V4_RUN_FIELDS = {
    "id", "task", "title", "model", "contextLimit", "status", "result", "error", "sessionId", "workspaceId",
    "totalInputTokens", "totalOutputTokens", "totalCostUsd", "createdAt", "updatedAt",
}  # fmt: skip
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
NOWHERE = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def is_uuid(text: str) -> bool:
    return str(UUID(text)) == text and UUID(text).version == 4


def field_error(loc: list[str | int], msg: str, kind: str) -> dict[str, Any]:
    return {"detail": [{"loc": loc, "msg": msg, "type": kind}]}


# --- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("binding", BUILT_IN, ids=lambda binding: binding.name)
def test_every_call_without_a_key_returns_401(http: httpx2.Client, binding: HttpBinding[Any, Any]) -> None:
    task_id = create(http, binding)
    authentication = binding.authentication
    assert authentication is not None
    with httpx2.Client(base_url=http.base_url, trust_env=False) as anonymous:
        calls = [binding.status, binding.details, listing_of(binding).call, binding.create, *binding.commands.values()]
        for each in calls:
            call = replace(each, path=each.path.replace("{session_id}", NOWHERE))
            fields = dict.fromkeys(call.required_fields, "x")
            for headers in ({}, {authentication.header: authentication.prefix.strip()}):
                request = call.request(binding.base_path, task_id=task_id, fields=fields or None)
                response = anonymous.request(request.method, request.path, params=request.query, headers=headers)
                assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})
                assert response.headers["www-authenticate"] == (authentication.prefix.strip() or "APIKey")


def test_ping_needs_no_key(emulator: Emulator) -> None:
    assert httpx2.get(f"{emulator.api_url('v1')}/ping").json() == {}


def test_a_key_of_another_scheme_returns_401(emulator: Emulator) -> None:
    url = f"{emulator.api_url('v1')}/tasks"
    for value in ("Basic abc", "abc", "Bearer", "Bearerabc"):
        assert httpx2.get(url, headers={"Authorization": value}).status_code == 401
    assert httpx2.get(url, headers={"Authorization": "bearer abc"}).status_code == 200


def test_with_a_set_key_every_other_key_returns_401() -> None:
    with Emulator(manual=True, api_key="secret") as emulator:
        for key, code in (("secret", 200), ("other", 401)):
            headers = {"Authorization": f"Bearer {key}", "X-Browser-Use-API-Key": key}
            for path in ("v1/tasks", "v2/tasks", "v3/sessions", "v4/runs"):
                assert httpx2.get(f"{emulator.base_url}/api/{path}", headers=headers).status_code == code


# --- v1 ----------------------------------------------------------------------------------------


def test_v1_create_and_read(http: httpx2.Client, emulator: Emulator) -> None:
    created = http.post("/api/v1/run-task", json={"task": "Buy milk"})
    assert created.status_code == 200
    task_id = created.json()["id"]
    assert created.json() == {"id": task_id}
    assert re.fullmatch("task_[0-9a-f]{16}", task_id)
    status = http.get(f"/api/v1/task/{task_id}/status")
    assert (status.text, status.headers["content-type"]) == ('"created"', "application/json")
    details = http.get(f"/api/v1/task/{task_id}").json()
    assert re.fullmatch(MOMENT, details.pop("created_at"))
    assert details == {
        "id": task_id, "task": "Buy milk", "output": None, "status": "created", "finished_at": None, "live_url": None,
        "steps": [],
    }  # fmt: skip
    for event in ("start", "finish"):
        emulator.fire(task_id, event)
    details = http.get(f"/api/v1/task/{task_id}").json()
    assert (details["status"], details["output"]) == ("finished", "Done: Buy milk")
    assert re.fullmatch(MOMENT, details["finished_at"])
    assert details["steps"][0]["step"] == 1


def test_v1_lists_pages(http: httpx2.Client) -> None:
    """List Tasks: "Maximum 100 items per page"; "Tasks are ordered by creation date (newest first)."."""
    ids = [create(http, BY_NAME["v1"]) for _ in range(5)]
    first = http.get("/api/v1/tasks").json()
    assert [task["id"] for task in first.pop("tasks")] == ids[::-1]
    assert first == {"total_pages": 1, "page": 1, "limit": 10, "total_count": 5}
    last = http.get("/api/v1/tasks", params={"page": 3, "limit": 2}).json()
    assert [task["id"] for task in last.pop("tasks")] == [ids[0]]
    assert last == {"total_pages": 3, "page": 3, "limit": 2, "total_count": 5}
    assert http.get("/api/v1/tasks", params={"page": 10**30}).json()["tasks"] == []
    assert http.get("/api/v1/tasks", params={"limit": 100}).json()["limit"] == 100


@pytest.mark.parametrize("name", ["stop", "pause", "resume"])
def test_v1_control_calls_need_an_existing_task(http: httpx2.Client, name: str) -> None:
    missing = http.put(f"/api/v1/{name}-task")
    assert missing.status_code == 422
    assert missing.json() == field_error(["query", "task_id"], "field required", "value_error.missing")
    unknown = http.put(f"/api/v1/{name}-task", params={"task_id": "task_1234567890abcdef"})
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Task not found"})


def test_v1_errors_have_the_shape_of_pydantic_1(http: httpx2.Client) -> None:
    json = {"content-type": "application/json"}
    cases: list[tuple[httpx2.Response, list[str | int], str, str]] = [
        (http.post("/api/v1/run-task", json={}), ["body", "task"], "field required", "value_error.missing"),
        (http.post("/api/v1/run-task", json={"task": 7}), ["body", "task"], "str type expected", "type_error.str"),
        (http.post("/api/v1/run-task", json=[]), ["body"], "value is not a valid dict", "type_error.dict"),
        (http.post("/api/v1/run-task", content="{", headers=json), ["body", 1],
            "Expecting property name enclosed in double quotes", "value_error.jsondecode"),
        (http.get("/api/v1/tasks?page=x"), ["query", "page"], "value is not a valid integer", "type_error.integer"),
        (http.get("/api/v1/tasks?page=0"), ["query", "page"],
            "ensure this value is greater than or equal to 1", "value_error.number.not_ge"),
        (http.get("/api/v1/tasks?limit=101"), ["query", "limit"],
            "ensure this value is less than or equal to 100", "value_error.number.not_le"),
    ]  # fmt: skip
    for response, loc, msg, kind in cases:
        assert response.status_code == 422
        assert response.json() == field_error(loc, msg, kind)
    for path in ("/api/v1/task/nobody", "/api/v1/task/nobody/status"):
        assert (http.get(path).status_code, http.get(path).json()) == (404, {"detail": "Task not found"})


# --- v2 ----------------------------------------------------------------------------------------


def test_v2_create_and_read(http: httpx2.Client, emulator: Emulator) -> None:
    created = http.post("/api/v2/tasks", json={"task": "Buy milk", "llm": "o3", "metadata": {"a": "b"}})
    assert created.status_code == 202
    task_id, session_id = created.json()["id"], created.json()["sessionId"]
    assert created.json() == {"id": task_id, "sessionId": session_id}
    assert is_uuid(task_id)
    assert is_uuid(session_id)
    status = http.get(f"/api/v2/tasks/{task_id}/status").json()
    assert status == {
        "id": task_id, "status": "created", "output": None, "finishedAt": None, "isSuccess": None, "cost": None,
    }  # fmt: skip
    view = http.get(f"/api/v2/tasks/{task_id}").json()
    assert set(view) == V2_TASK_FIELDS
    assert (view["sessionId"], view["llm"], view["task"], view["metadata"]) == (
        session_id,
        "o3",
        "Buy milk",
        {"a": "b"},
    )
    assert (view["steps"], view["outputFiles"], view["startedAt"]) == ([], [], None)
    emulator.fire(task_id, "start")
    emulator.fire(task_id, "finish")
    view = http.get(f"/api/v2/tasks/{task_id.upper()}").json()
    assert (view["status"], view["isSuccess"], view["output"]) == ("finished", True, "Done: Buy milk")
    assert re.fullmatch(r"\d+\.\d+", view["cost"])
    assert all(re.fullmatch(MOMENT, view[name]) for name in ("createdAt", "startedAt", "finishedAt"))
    assert view["createdAt"] <= view["startedAt"] <= view["finishedAt"]
    assert len(view["steps"]) == 1


def test_v2_a_failed_task_is_not_successful(http: httpx2.Client, emulator: Emulator) -> None:
    task_id = bring_to(emulator, http, BY_NAME["v2"], ("start", "fail"))
    status = http.get(f"/api/v2/tasks/{task_id}/status").json()
    assert (status["status"], status["isSuccess"], status["output"]) == ("failed", False, None)
    assert status["finishedAt"] is not None


def test_v2_actions_return_the_task(http: httpx2.Client) -> None:
    binding = BY_NAME["v2"]
    response = command(http, binding, "stop", create(http, binding))
    assert set(response.json()) == V2_TASK_FIELDS
    assert response.json()["status"] == "stopped"


def test_v2_a_session_runs_one_task_at_a_time_until_it_is_stopped(http: httpx2.Client, emulator: Emulator) -> None:
    session = http.post("/api/v2/sessions", json={})
    assert session.status_code == 201
    session_id = session.json()["id"]
    body = {"task": "Buy milk", "sessionId": session_id}
    first = http.post("/api/v2/tasks", json=body).json()
    assert first["sessionId"] == session_id
    busy = http.post("/api/v2/tasks", json=body)
    assert busy.status_code == 400
    assert busy.json()["detail"].startswith("Agent session already has a running task.")
    emulator.fire(first["id"], "start")
    emulator.fire(first["id"], "finish")
    assert http.post("/api/v2/tasks", json=body).status_code == 202
    assert http.patch(f"/api/v2/sessions/{session_id}", json={"action": "stop"}).status_code == 200
    stopped = http.post("/api/v2/tasks", json=body)
    assert stopped.status_code == 400
    assert stopped.json()["detail"].startswith("Browser session is stopped.")
    missing = http.post("/api/v2/tasks", json={"task": "Buy milk", "sessionId": NOWHERE})
    assert (missing.status_code, missing.json()) == (404, {"detail": "Session not found"})


def test_v2_sessions_are_read_and_listed(http: httpx2.Client) -> None:
    created = http.post("/api/v2/sessions").json()
    assert (created["status"], created["keepAlive"], created["persistMemory"]) == ("active", True, True)
    session_id = created["id"]
    task_id = create(http, BY_NAME["v2"], task="Buy milk", sessionId=session_id)
    view = http.get(f"/api/v2/sessions/{session_id}").json()
    assert [task["id"] for task in view["tasks"]] == [task_id]
    assert "steps" not in view["tasks"][0]
    assert (view["finishedAt"], view["publicShareUrl"]) == (None, None)
    other = create(http, BY_NAME["v2-session"], keepAlive=False)
    assert http.patch(f"/api/v2/sessions/{other}", json={"action": "stop"}).json()["finishedAt"] is not None
    listed = http.get("/api/v2/sessions").json()
    assert [each["id"] for each in listed["items"]] == [other, session_id]
    stopped = http.get("/api/v2/sessions", params={"filterBy": "stopped"}).json()
    assert ([each["id"] for each in stopped["items"]], stopped["totalItems"]) == ([other], 1)
    unknown = http.get(f"/api/v2/sessions/{NOWHERE}")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Session not found"})


def test_v2_a_profile_must_be_known(http: httpx2.Client) -> None:
    """Create Session: 404 "Profile not found"."""
    unknown = http.post("/api/v2/sessions", json={"profileId": NOWHERE})
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Profile not found"})


def test_v2_a_plan_limits_the_active_sessions() -> None:
    """TooManyConcurrentActiveSessionsError, in Create Session and Create Task: 429."""
    text = "Too many concurrent active sessions. Please wait for one to finish, kill one, or upgrade your plan."
    with Emulator("v2", manual=True, profiles=v2_emulation.limited(2)) as emulator, connect(emulator) as http:
        kept = http.post("/api/v2/sessions").json()["id"]
        task = http.post("/api/v2/tasks", json={"task": "Buy milk"}).json()
        for path, body in (("sessions", {}), ("tasks", {"task": "Buy bread"})):
            refused = http.post(f"/api/v2/{path}", json=body)
            assert (refused.status_code, refused.json()) == (429, {"detail": text})
        assert http.post("/api/v2/tasks", json={"task": "Buy bread", "sessionId": kept}).status_code == 202
        http.patch(f"/api/v2/sessions/{task['sessionId']}", json={"action": "stop"})
        assert http.post("/api/v2/sessions").status_code == 201


def test_v2_a_session_needs_credit() -> None:
    """Create Session: 402 "Insufficient credits to start a session"; InsufficientCreditsError."""
    limits = v2_emulation.limited(credit_usd=0.024)  # two tasks cost as much
    with Emulator("v2", manual=True, profiles=limits) as emulator, connect(emulator) as http:
        for _ in range(2):
            assert http.post("/api/v2/sessions").status_code == 201
            bring_to(emulator, http, BY_NAME["v2"], ("start", "finish"))
        refused = http.post("/api/v2/sessions")
        assert (refused.status_code, refused.json()) == (402, {"detail": "Insufficient credits"})


def test_v2_a_session_is_shared_until_its_link_is_deleted(http: httpx2.Client) -> None:
    """Create Session Public Share: "Create or return existing public share for a session."; Python SDK 1.0.2, delete:
    "204 No Content on successful deletion (idempotent)".
    """
    session = f"/api/v2/sessions/{create(http, BY_NAME['v2-session'])}"
    path = f"{session}/public-share"
    never = http.get(path)
    assert (never.status_code, never.json()) == (404, {"detail": "Public share not found"})
    made = http.post(path)
    share = made.json()
    assert (made.status_code, share["viewCount"]) == (201, 0)
    assert share["shareToken"] in share["shareUrl"]
    assert [http.post(path).json(), http.get(path).json()] == [share, share]
    assert http.get(session).json()["publicShareUrl"] == share["shareUrl"]
    assert [http.delete(path).status_code for _ in range(2)] == [204, 204]
    assert (http.get(path).status_code, http.get(session).json()["publicShareUrl"]) == (404, None)


@pytest.mark.parametrize("name", ["v2", "v2-2025"])
def test_v2_names_the_log_of_a_task(name: str) -> None:
    """Get Task Logs: "Get secure download URL for task execution logs"; 404 "Task not found"."""
    with Emulator(name) as emulator, Client(name, api_key="any", base_url=emulator.base_url) as client:
        task = client.create("Buy milk")
        assert task.id in task.call("logs")["downloadUrl"]
        with pytest.raises(NotFound, match="Task not found"):
            client.task(NOWHERE).call("logs")


def test_v2_only_a_project_with_zero_data_retention_purges(http: httpx2.Client) -> None:
    """Purge Session: 403 "Project is not ZDR-enabled"."""
    refused = http.post(f"/api/v2/sessions/{create(http, BY_NAME['v2-session'])}/purge")
    assert (refused.status_code, refused.json()) == (403, {"detail": "Project is not ZDR-enabled"})


def test_v2_of_2025_shows_a_paused_task_everywhere() -> None:
    """TaskView of the Python SDK 1.0.2 has the task's session in it, and SessionView the session's tasks."""
    binding = service("v2-2025")
    with Emulator("v2-2025", manual=True) as emulator, connect(emulator) as http:
        created = http.post("/api/v2/tasks", json={"task": "Buy milk"})
        assert (created.status_code, set(created.json())) == (202, {"id", "sessionId"})
        task = send_call(http, binding, binding.commands["pause"], created.json()["id"]).json()
        assert (task["status"], task["session"]["id"], task["doneOutput"]) == ("paused", task["sessionId"], None)
        in_session = http.get(f"/api/v2/sessions/{task['sessionId']}").json()["tasks"]
        assert in_session == http.get("/api/v2/tasks?filterBy=paused").json()["items"]
        assert {**task, **in_session[0]} == task
        send_call(http, binding, binding.commands["resume"], task["id"])
        emulator.fire(task["id"], "finish")
        finished = http.get(f"/api/v2/tasks/{task['id']}").json()
        assert (finished["output"], finished["doneOutput"]) == ("Done: Buy milk", "Done: Buy milk")
        assert (len(finished["steps"]), finished["isSuccess"]) == (1, True)
        assert http.get("/api/v2/tasks?filterBy=created").status_code == 422


def test_v2_lists_filter(http: httpx2.Client, emulator: Emulator) -> None:
    binding = BY_NAME["v2"]
    old = bring_to(emulator, http, binding, ("start",))
    emulator.advance(60)
    between = http.get(f"/api/v2/tasks/{create(http, binding)}").json()["createdAt"]
    emulator.advance(60)
    new = http.post("/api/v2/tasks", json={"task": "Buy bread"}).json()

    def found(**params: Any) -> list[str]:
        return [task["id"] for task in http.get("/api/v2/tasks", params=params).json()["items"]]

    assert len(found()) == 3
    assert found(filterBy="started") == [old]
    assert found(sessionId=new["sessionId"]) == [new["id"]]
    assert found(before=between)[-1] == old
    assert found(after=between)[0] == new["id"]
    assert found(after=between.removesuffix("Z")) == found(after=between), "a time without a zone is UTC"
    assert found(pageSize=1, pageNumber=3) == [old]
    page = http.get("/api/v2/tasks", params={"pageSize": 2, "pageNumber": 2}).json()
    assert (page["totalItems"], page["pageNumber"], page["pageSize"], len(page["items"])) == (3, 2, 2, 1)


def test_v2_a_refused_task_leaves_no_session_behind(http: httpx2.Client, emulator: Emulator) -> None:
    response = http.post("/api/v2/tasks", json={"task": "Buy milk [remote: strt]"})
    assert response.status_code == 422
    assert "did you mean 'start'" in response.json()["detail"][0]["msg"]
    assert emulator.tasks() == []


# --- v3 ----------------------------------------------------------------------------------------


def test_v3_a_session_is_created_with_a_task_or_without(http: httpx2.Client) -> None:
    for body in ({}, {"task": "Buy milk"}):
        session = http.post("/api/v3/sessions", json=body)
        assert session.status_code == 200
        assert set(session.json()) > V3_SESSION_FIELDS
        assert (session.json()["status"], session.json()["output"], session.json()["totalCostUsd"]) == (
            "created",
            None,
            "0",
        )
        assert is_uuid(session.json()["id"])


def test_v3_each_task_of_a_session_has_its_own_output(http: httpx2.Client, emulator: Emulator) -> None:
    binding = BY_NAME["v3"]
    session_id = bring_to(emulator, http, binding, ("start",))
    outputs: list[Any] = []
    for _ in range(2):
        assert send_call(http, binding, binding.details, session_id).json()["output"] is None
        emulator.fire(session_id, "complete")
        session = send_call(http, binding, binding.details, session_id).json()
        outputs.append(session["output"])
        assert (session["status"], session["isTaskSuccessful"]) == ("idle", True)
        assert (
            send_call(http, binding, binding.commands["dispatch"], session_id, task="Buy milk").json()["status"]
            == "running"
        )
    assert outputs == ["Done: Buy milk (task 1 of this session)", "Done: Buy milk (task 2 of this session)"]
    assert send_call(http, binding, binding.details, session_id).json()["totalCostUsd"] == "0.0240"


def test_v3_a_dispatch_needs_a_task_and_an_idle_session(http: httpx2.Client, emulator: Emulator) -> None:
    session_id = bring_to(emulator, http, BY_NAME["v3"], ("ready",))
    missing = http.post("/api/v3/sessions", json={"sessionId": session_id})
    assert missing.status_code == 422
    assert missing.json() == field_error(["body", "task"], "Field required", "missing")
    unknown = http.post("/api/v3/sessions", json={"sessionId": str(uuid4()), "task": "Buy milk"})
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Session not found"})
    assert http.post("/api/v3/sessions", json={"sessionId": session_id, "task": "Buy milk"}).status_code == 200
    busy = http.post("/api/v3/sessions", json={"sessionId": session_id, "task": "Buy milk"})
    assert (busy.status_code, busy.json()) == (400, {"detail": "Session is not idle: running"})


def test_v3_stop_accepts_a_strategy_or_none(http: httpx2.Client, emulator: Emulator) -> None:
    binding = BY_NAME["v3"]
    for body, status in ((None, "stopped"), ({"strategy": "session"}, "stopped"), ({"strategy": "task"}, "idle")):
        session_id = bring_to(emulator, http, binding, ("start",))
        response = http.post(f"/api/v3/sessions/{session_id}/stop", json=body)
        assert (response.status_code, response.json()["status"]) == (200, status)
        assert set(response.json()) > V3_SESSION_FIELDS
    wrong = http.post(f"/api/v3/sessions/{session_id}/stop", json={"strategy": "all"})
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body", "strategy"])


def test_v3_lists_pages(http: httpx2.Client) -> None:
    ids = [create(http, BY_NAME["v3"]) for _ in range(3)]
    page = http.get("/api/v3/sessions", params={"page": 2, "page_size": 2}).json()
    assert [session["id"] for session in page.pop("sessions")] == [ids[0]]
    assert page == {"total": 3, "page": 2, "pageSize": 2}
    assert http.get("/api/v3/sessions").json()["pageSize"] == 20


def test_v3_amounts_are_decimal_strings(http: httpx2.Client) -> None:
    for given, expected in ((1e-9, "0.000000001"), ("2.50", "2.50"), (3, "3.0"), (None, None)):
        session = http.post("/api/v3/sessions", json={"maxCostUsd": given}).json()
        assert session["maxCostUsd"] == expected


# --- v4 ----------------------------------------------------------------------------------------


def test_v4_create_and_read(http: httpx2.Client, emulator: Emulator) -> None:
    created = http.post("/api/v4/runs", json={"task": "Buy milk"})
    assert created.status_code == 200
    run = created.json()
    assert (run["status"], run["missingFileIds"]) == ("queued", [])
    assert all(is_uuid(run[name]) for name in ("id", "sessionId", "workspaceId"))
    assert http.get(f"/api/v4/runs/{run['id']}/status").json() == {"status": "queued"}
    for event in ("dispatch", "start", "complete"):
        emulator.fire(run["id"], event)
    summary = http.get(f"/api/v4/runs/{run['id']}").json()
    assert set(summary) > V4_RUN_FIELDS
    assert (summary["status"], summary["result"], summary["error"]) == ("completed", "Done: Buy milk", None)
    assert re.fullmatch(MOMENT, summary["updatedAt"])


def test_v4_cancel_is_idempotent(http: httpx2.Client, emulator: Emulator) -> None:
    binding = BY_NAME["v4"]
    run_id = create(http, binding)
    responses = [command(http, binding, "cancel", run_id) for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 200]
    assert responses[0].json() == responses[1].json()
    failed = bring_to(emulator, http, binding, ("fail",))
    assert command(http, binding, "cancel", failed).json()["error"] == "The run failed"
    unknown = http.post(f"/api/v4/runs/{NOWHERE}/cancel")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Run not found"})


def test_v4_lists_by_cursor(http: httpx2.Client) -> None:
    ids = [create(http, BY_NAME["v4"]) for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        page = http.get("/api/v4/runs", params={"limit": 2, **cursor}).json()
        seen += [run["id"] for run in page["runs"]]
        cursor = {"cursor": page["nextCursor"]}
        assert page["hasMore"] == (page["nextCursor"] is not None)
    assert seen == ids[::-1]
    assert http.get("/api/v4/runs", params={"cursor": NOWHERE}).json() == {
        "runs": [], "nextCursor": None, "hasMore": False,
    }  # fmt: skip
    # List Runs: 400 "Malformed pagination cursor."
    malformed = http.get("/api/v4/runs", params={"cursor": "nobody"})
    assert (malformed.status_code, malformed.json()) == (400, {"detail": "Malformed pagination cursor."})


def test_v4_lists_50_runs_unless_another_number_is_asked_for(http: httpx2.Client) -> None:
    """List Runs: the default of `limit` is 50, and it has no maximum."""
    for _ in range(102):
        create(http, BY_NAME["v4"])
    for number, query in ((50, ""), (101, "?limit=101")):
        page = http.get(f"/api/v4/runs{query}").json()
        assert (len(page["runs"]), page["hasMore"]) == (number, True)


def test_v4_a_session_runs_one_run_at_a_time(http: httpx2.Client, emulator: Emulator) -> None:
    """Create Run: 409 "The session already has an active run."."""
    first = http.post("/api/v4/runs", json={"task": "Buy milk"}).json()
    body = {"task": "Buy bread", "sessionId": first["sessionId"]}
    for event in ("dispatch", "start", "complete"):
        refused = http.post("/api/v4/runs", json=body)
        assert (refused.status_code, refused.json()) == (409, {"detail": "The session already has an active run."})
        emulator.fire(first["id"], event)
    assert http.post("/api/v4/runs", json=body).status_code == 200
    assert len(http.get("/api/v4/runs").json()["runs"]) == 2


def test_v4_a_workspace_must_be_known(http: httpx2.Client) -> None:
    """Create Run: 404 "Run, session, workspace, or profile not found."."""
    first = http.post("/api/v4/runs", json={"task": "Buy milk"}).json()
    unknown = http.post("/api/v4/runs", json={"task": "Buy milk", "workspaceId": NOWHERE})
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Workspace not found"})
    known = http.post("/api/v4/runs", json={"task": "Buy milk", "workspaceId": first["workspaceId"]})
    assert (known.status_code, known.json()["workspaceId"]) == (200, first["workspaceId"])


def test_v4_a_session_stays_in_its_workspace(http: httpx2.Client) -> None:
    """Create Run: 400 "Invalid request (bad session/workspace pairing or file path)."."""
    first, other = (http.post("/api/v4/runs", json={"task": "Buy milk"}).json() for _ in range(2))
    command(http, BY_NAME["v4"], "cancel", first["id"])
    body = {"task": "Buy bread", "sessionId": first["sessionId"]}
    refused = http.post("/api/v4/runs", json={**body, "workspaceId": other["workspaceId"]})
    detail = "Invalid request (bad session/workspace pairing or file path)."
    assert (refused.status_code, refused.json()) == (400, {"detail": detail})
    paired = http.post("/api/v4/runs", json={**body, "workspaceId": first["workspaceId"]}).json()
    assert (paired["sessionId"], paired["workspaceId"]) == (first["sessionId"], first["workspaceId"])


def test_v4_a_profile_must_be_known(http: httpx2.Client) -> None:
    """Create Run: 404 "Run, session, workspace, or profile not found."."""
    unknown = http.post("/api/v4/runs", json={"task": "Buy milk", "browserSettings": {"profileId": NOWHERE}})
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Profile not found"})


def test_v4_a_key_has_a_spend_limit() -> None:
    """APIKeySpendLimitDetail of the Python SDK 3.12.1: code, message, cap and spent."""
    limits = v4_emulation.limited(0.024)  # two runs cost as much
    with Emulator("v4", manual=True, profiles=limits) as emulator, connect(emulator) as http:
        for _ in range(2):
            bring_to(emulator, http, BY_NAME["v4"], ("dispatch", "start", "complete"))
        refused = http.post("/api/v4/runs", json={"task": "Buy milk"})
        text = "The API key has reached its monthly spend limit."
        limit = {"code": "api_key_monthly_spend_limit_reached", "message": text, "cap": 0.024, "spent": 0.024}
        assert (refused.status_code, refused.json()) == (402, {"detail": limit})


def test_v4_lists_each_session_once_the_one_with_the_latest_run_first(http: httpx2.Client) -> None:
    """List Sessions: "one row per session (its most recent run), most-recent first", 20 on a page."""
    milk, bread, eggs = (http.post("/api/v4/runs", json={"task": task}).json() for task in ("milk", "bread", "eggs"))
    command(http, BY_NAME["v4"], "cancel", milk["id"])
    http.patch(f"/api/v4/sessions/{milk['sessionId']}", json={"title": "Shopping"})
    http.post("/api/v4/runs", json={"task": "more milk", "sessionId": milk["sessionId"]})
    first = http.get("/api/v4/sessions", params={"limit": 2}).json()
    second = http.get("/api/v4/sessions", params={"limit": 2, "cursor": first["nextCursor"]}).json()
    listed = [*first["sessions"], *second["sessions"]]
    assert [each["task"] for each in listed] == ["more milk", "eggs", "bread"]
    assert [each["sessionId"] for each in listed] == [each["sessionId"] for each in (milk, eggs, bread)]
    assert [each["title"] for each in listed] == ["Shopping", None, None]
    assert listed[0] == http.get(f"/api/v4/sessions/{milk['sessionId']}").json()
    assert (first["hasMore"], second["hasMore"], second["nextCursor"]) == (True, False, None)


def test_v4_a_page_of_sessions_has_20_to_100(http: httpx2.Client) -> None:
    for _ in range(21):
        create(http, BY_NAME["v4"])
    assert len(http.get("/api/v4/sessions").json()["sessions"]) == 20
    assert [http.get(f"/api/v4/sessions?limit={limit}").status_code for limit in (0, 1, 100, 101)] == [
        422,
        200,
        200,
        422,
    ]
    # List Sessions: 400 "Malformed pagination cursor."
    malformed = http.get("/api/v4/sessions?cursor=nobody")
    assert (malformed.status_code, malformed.json()) == (400, {"detail": "Malformed pagination cursor."})


def test_v4_no_file_is_attached(http: httpx2.Client) -> None:
    run = http.post("/api/v4/runs", json={"task": "Buy milk", "attachedFileIds": [NOWHERE]}).json()
    assert run["missingFileIds"] == [NOWHERE]
    assert http.get(f"/api/v4/runs/{run['id']}/attachments").json() == {"attachments": []}
    assert http.get(f"/api/v4/runs/{NOWHERE}/attachments").status_code == 404


@pytest.mark.parametrize(("events", "last"), [(("dispatch",), "run.dispatch_failed"), ((), "run.failed")])
def test_v4_a_failed_dispatch_has_an_event_of_its_own(
    http: httpx2.Client, emulator: Emulator, events: tuple[str, ...], last: str
) -> None:
    """Python SDK 3.12.1: `run.dispatch_failed` is one of the types of events that end a run."""
    run = bring_to(emulator, http, BY_NAME["v4"], (*events, "fail"))
    assert http.get(f"/api/v4/runs/{run}/events").json()["events"][-1]["type"] == last


def test_v4_a_session_has_a_title(http: httpx2.Client) -> None:
    """Python SDK 3.12.1: "Rename a session; pass ``title=None`` to clear its name."."""
    run = http.post("/api/v4/runs", json={"task": "Buy milk"}).json()
    path = f"/api/v4/sessions/{run['sessionId']}"
    command(http, BY_NAME["v4"], "cancel", run["id"])
    http.post("/api/v4/runs", json={"task": "Buy bread", "sessionId": run["sessionId"]})
    titles = [http.patch(path, json=body).json()["title"] for body in ({"title": "Milk"}, {}, {"title": None}, {})]
    assert titles == ["Milk", "Milk", None, None]
    assert http.patch(path, json={"title": "x" * 256}).status_code == 422
    assert http.get(path).json()["title"] is None


def test_v4_a_shared_link_keeps_its_token(http: httpx2.Client) -> None:
    """Python SDK 3.12.1: the link is null "if it was never shared"; sharing again is "reusing its token"."""
    run = http.post("/api/v4/runs", json={"task": "Buy milk"}).json()
    path = f"/api/v4/sessions/{run['sessionId']}/share"
    never = http.get(path)
    assert (never.status_code, never.json()) == (200, None)
    assert http.put(path, json={"isActive": False}).status_code == 404
    share = http.post(path).json()
    assert share["shareToken"] in share["shareUrl"]
    assert (share["sessionId"], share["isActive"], share["viewCount"]) == (run["sessionId"], True, 0)
    closed = http.put(path, json={"isActive": False}).json()
    assert (closed, http.get(path).json()) == ({**share, "isActive": False}, closed)
    assert http.post(path).json() == share


def test_v4_only_a_project_with_zero_data_retention_purges(http: httpx2.Client) -> None:
    """Purge Session: 403 "Project is not ZDR-enabled."."""
    run = http.post("/api/v4/runs", json={"task": "Buy milk"}).json()
    refused = http.post(f"/api/v4/sessions/{run['sessionId']}/purge")
    assert (refused.status_code, refused.json()) == (403, {"detail": "Project is not ZDR-enabled."})
    assert http.post(f"/api/v4/sessions/{NOWHERE}/purge").status_code == 404


def test_v4_runs_share_a_given_session(http: httpx2.Client) -> None:
    first = http.post("/api/v4/runs", json={"task": "Buy milk"}).json()
    assert command(http, BY_NAME["v4"], "cancel", first["id"]).json()["status"] == "cancelled"
    second = http.post("/api/v4/runs", json={"task": "Buy bread", "sessionId": first["sessionId"]}).json()
    assert (second["sessionId"], second["workspaceId"]) == (first["sessionId"], first["workspaceId"])
    create(http, BY_NAME["v4"])
    listed = http.get("/api/v4/runs", params={"sessionId": first["sessionId"]}).json()["runs"]
    assert [run["id"] for run in listed] == [second["id"], first["id"]]
    unknown = http.post("/api/v4/runs", json={"task": "Buy milk", "sessionId": NOWHERE})
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Session not found"})


# --- errors that v2, v3 and v4 share ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "parameter", "body"),
    [
        ("GET", "/api/v2/tasks/abc", "task_id", None),
        ("GET", "/api/v2/tasks/abc/status", "task_id", None),
        ("PATCH", "/api/v2/tasks/abc", "task_id", {"action": "stop"}),
        ("GET", "/api/v2/sessions/abc", "session_id", None),
        ("PATCH", "/api/v2/sessions/abc", "session_id", {"action": "stop"}),
        ("GET", "/api/v3/sessions/abc", "session_id", None),
        ("POST", "/api/v3/sessions/abc/stop", "session_id", None),
        ("GET", "/api/v4/runs/abc", "run_id", None),
        ("GET", "/api/v4/runs/abc/status", "run_id", None),
        ("POST", "/api/v4/runs/abc/cancel", "run_id", None),
    ],
)
def test_a_malformed_id_is_422_and_an_unknown_one_404(
    http: httpx2.Client, method: str, path: str, parameter: str, body: dict[str, str] | None
) -> None:
    malformed = http.request(method, path, json=body)
    assert malformed.status_code == 422
    error = malformed.json()["detail"][0]
    assert (error["loc"], error["type"], set(error)) == (["path", parameter], "uuid_parsing", {"loc", "msg", "type"})
    unknown = http.request(method, path.replace("abc", NOWHERE), json=body)
    what = {"task_id": "Task", "session_id": "Session", "run_id": "Run"}[parameter]
    assert (unknown.status_code, unknown.json()) == (404, {"detail": f"{what} not found"})


@pytest.mark.parametrize(
    ("method", "path", "body", "loc", "kind"),
    [
        ("POST", "/api/v2/tasks", {}, ["body", "task"], "missing"),
        ("POST", "/api/v2/tasks", {"task": ""}, ["body", "task"], "string_too_short"),
        ("POST", "/api/v2/tasks", {"task": "x" * 50_001}, ["body", "task"], "string_too_long"),
        ("POST", "/api/v2/tasks", {"task": "x", "llm": "abacus"}, ["body", "llm"], "enum"),
        ("POST", "/api/v2/tasks", {"task": "x", "maxSteps": 0}, ["body", "maxSteps"], "greater_than_equal"),
        ("POST", "/api/v2/tasks", {"task": "x", "maxSteps": "3"}, ["body", "maxSteps"], "int_type"),
        ("POST", "/api/v2/tasks", {"task": "x", "sessionId": "abc"}, ["body", "sessionId"], "uuid_parsing"),
        ("PATCH", f"/api/v2/tasks/{NOWHERE}", {}, ["body", "action"], "missing"),
        ("PATCH", f"/api/v2/tasks/{NOWHERE}", {"action": "pause"}, ["body", "action"], "enum"),
        ("PATCH", f"/api/v2/sessions/{NOWHERE}", {"action": "close"}, ["body", "action"], "enum"),
        ("GET", "/api/v2/tasks?pageSize=101", None, ["query", "pageSize"], "less_than_equal"),
        ("GET", "/api/v2/tasks?pageNumber=0", None, ["query", "pageNumber"], "greater_than_equal"),
        ("GET", "/api/v2/tasks?filterBy=asleep", None, ["query", "filterBy"], "enum"),
        ("GET", "/api/v2/tasks?after=0.5", None, ["query", "after"], "datetime_parsing"),
        ("GET", "/api/v2/sessions?pageSize=x", None, ["query", "pageSize"], "int_parsing"),
        ("POST", "/api/v3/sessions", {"model": "abacus"}, ["body", "model"], "enum"),
        ("POST", "/api/v3/sessions", {"keepAlive": "yes"}, ["body", "keepAlive"], "bool_type"),
        ("GET", "/api/v3/sessions?page_size=101", None, ["query", "page_size"], "less_than_equal"),
        ("POST", "/api/v4/runs", {}, ["body", "task"], "missing"),
        ("POST", "/api/v4/runs", {"task": "x", "tsak": "y"}, ["body", "tsak"], "extra_forbidden"),
        ("POST", "/api/v4/runs", {"task": "x", "keepAlive": 1}, ["body", "keepAlive"], "greater_than_equal"),
        ("GET", "/api/v4/runs?limit=0", None, ["query", "limit"], "greater_than_equal"),
    ],
)
def test_an_invalid_field_is_named(
    http: httpx2.Client, *, method: str, path: str, body: dict[str, Any] | None, loc: list[str], kind: str
) -> None:
    response = http.request(method, path, json=body)
    assert response.status_code == 422
    assert [(error["loc"], error["type"]) for error in response.json()["detail"]] == [(loc, kind)]


def test_all_invalid_fields_are_named_at_once(http: httpx2.Client) -> None:
    response = http.post("/api/v2/tasks", json={"llm": "abacus", "maxSteps": 0})
    assert [error["loc"][1] for error in response.json()["detail"]] == ["task", "llm", "maxSteps"]


@pytest.mark.parametrize("path", ["/api/v1/run-task", "/api/v2/tasks", "/api/v3/sessions", "/api/v4/runs"])
def test_a_body_that_is_not_json_is_422_and_one_that_is_not_text_400(http: httpx2.Client, path: str) -> None:
    headers = {"content-type": "application/json"}
    assert http.post(path, content=b'{"task"', headers=headers).status_code == 422
    assert http.post(path, content=b'{"task": "\xff"}', headers=headers).status_code == 400
    with httpx2.Client(base_url=http.base_url) as anonymous:
        assert anonymous.post(path, content=b"{", headers=headers).status_code == 401, "the key comes first"


def test_an_unknown_path_is_404_and_a_wrong_method_405_with_the_allowed_ones(http: httpx2.Client) -> None:
    assert http.get("/api/v2/nothing").status_code == 404
    for method, path, allowed in [
        ("DELETE", f"/api/v2/tasks/{NOWHERE}", "GET, PATCH"),
        ("PUT", "/api/v3/sessions", "GET, POST"),
        ("GET", "/api/v1/stop-task", "PUT"),
    ]:
        response = http.request(method, path)
        assert (response.status_code, response.headers["allow"]) == (405, allowed)


def test_the_headers_of_these_tests_are_those_of_the_bindings() -> None:
    assert HEADERS == {"Authorization": "Bearer any-key", "X-Browser-Use-API-Key": "any-key"}
