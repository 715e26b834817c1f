"""The declared lifecycles against the dated documents of Browser Use Cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from lifecycle import CATALOG
from lifecycle_adapters.drift import OtherApi
from lifecycle_adapters.emulator import Emulator
from tests.adapters.drift.made import at, compared, dated, found, pointed

STOP = "#/paths/~1sessions~1{session_id}~1stop/post"

# fmt: off
KNOWN: list[tuple[str, str, list[tuple[str, str, tuple[str, ...]]]]] = [
    ("v2",         "v2-2026-02-21", []),
    ("v2",         "v2-2026-08-06", [("status_new", "#/components/schemas/TaskStatus/enum/3",
                                      ("status", "details", "stop", "stop_task_and_session"))]),
    ("v2-full",    "v2-2026-08-06", []),
    ("v2-full",    "v2-2026-02-21", [("status_missing", "#/components/schemas/TaskStatus/enum",
                                      ("status", "details"))]),
    ("v2-session", "v2-2026-02-21", []),
    ("v2-session", "v2-2026-08-06", []),
    # The specification of 2026 has dropped the pause, and has a state before `started`.
    ("v2-2025",    "v2-2026-02-21", [("value_missing", "#/components/schemas/TaskUpdateAction/enum", ("pause",)),
                                     ("value_missing", "#/components/schemas/TaskUpdateAction/enum", ("resume",)),
                                     ("status_new", "#/components/schemas/TaskStatus/enum/0",
                                      ("status", "details", "pause", "resume", "stop", "stop_task_and_session")),
                                     ("status_missing", "#/components/schemas/TaskStatus/enum",
                                      ("status", "details"))]),
    ("v3",         "v3-2026-02-25", []),
    ("v3",         "v3-2026-08-06", [("body_new", f"{STOP}/requestBody", ("stop",))]),
    ("v3-full",    "v3-2026-08-06", []),
    ("v3-full",    "v3-2026-02-25", [("body_missing", STOP, ("stop_task",))]),
    ("v4",         "v4-2026-07-26", []),
    # The read of one message is in the Python SDK 3.12.1 of October 2026 only.
    ("v4-message", "v4-2026-07-26", [("method_missing", "#/paths/~1sessions~1{session_id}~1queue~1{message_id}",
                                      ("status", "details"))]),
]
# fmt: on


@pytest.mark.parametrize(("lifecycle", "document", "differences"), KNOWN, ids=lambda each: str(each)[:40])
def test_dated_documents_have_the_known_differences(
    lifecycle: str, document: str, differences: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    contents = dated(document)
    comparison = compared(lifecycle, contents)
    assert found(comparison) == differences
    assert comparison.is_same is not bool(differences)
    assert comparison.not_compared == ()
    for each in comparison.differences:
        pointed(contents, each.place)  # it is there


def test_new_status_is_named_at_its_place() -> None:
    contents = dated("v2-2026-08-06")
    [difference] = compared("v2", contents).differences
    assert pointed(contents, difference.place) == "failed"
    assert difference.message == "'failed' is not a status of 'v2'"


def test_new_body_is_described() -> None:
    [difference] = compared("v3", dated("v3-2026-08-06")).differences
    assert difference.message == (
        "POST /api/v3/sessions/{session_id}/stop takes a body, which no call sends: strategy ('task', 'session')"
    )


# --- each change is one difference, at its place ---------------------------------------------------

SCHEMAS = "#/components/schemas"
RUNS = "#/paths/~1runs"
TASK = "#/paths/~1tasks~1{task_id}"
READS = ("status", "details")


def drop(*path: str) -> Callable[[Any], None]:
    return lambda contents: at(contents, *path[:-1]).pop(path[-1])


def append(value: str, *path: str) -> Callable[[Any], None]:
    return lambda contents: at(contents, *path).append(value)


def put(value: Any, *path: str) -> Callable[[Any], None]:
    return lambda contents: at(contents, *path[:-1]).update({path[-1]: value})


def rename(new: str, *path: str) -> Callable[[Any], None]:
    return lambda contents: at(contents, *path[:-1]).update({new: at(contents, *path[:-1]).pop(path[-1])})


def schemas(*path: str) -> tuple[str, ...]:
    return ("components", "schemas", *path)


# fmt: off
V2, V3, V4 = ("v2-full", "v2-2026-08-06"), ("v3-full", "v3-2026-08-06"), ("v4", "v4-2026-07-26")
CHANGES: list[tuple[tuple[str, str], Callable[[Any], None], tuple[str, str, tuple[str, ...]]]] = [
    # statuses: in a shared schema, and inline where one of several has it
    (V2, append("paused", *schemas("TaskStatus", "enum")),
     ("status_new", f"{SCHEMAS}/TaskStatus/enum/5", (*READS, "stop", "stop_task_and_session"))),
    (V2, lambda contents: at(contents, *schemas("TaskStatus", "enum")).remove("stopped"),
     ("status_missing", f"{SCHEMAS}/TaskStatus/enum", READS)),
    (V4, append("paused", *schemas("RunStatusResponse", "properties", "status", "enum")),
     ("status_new", f"{SCHEMAS}/RunStatusResponse/properties/status/enum/6", ("status",))),
    (V4, lambda contents: at(contents, *schemas("RunSummary", "properties", "status", "enum")).remove("failed"),
     ("status_missing", f"{SCHEMAS}/RunSummary/properties/status/enum", ("details",))),
    (V4, append("paused", *schemas("RunCreateResponse", "properties", "status", "enum")),
     ("status_new", f"{SCHEMAS}/RunCreateResponse/properties/status/enum/6", ("create",))),
    # what commands send
    (V2, append("pause", *schemas("TaskUpdateAction", "enum")),
     ("value_new", f"{SCHEMAS}/TaskUpdateAction/enum/2", ("stop", "stop_task_and_session"))),
    (V2, lambda contents: at(contents, *schemas("TaskUpdateAction", "enum")).remove("stop_task_and_session"),
     ("value_missing", f"{SCHEMAS}/TaskUpdateAction/enum", ("stop_task_and_session",))),
    (V3, append("sandbox", *schemas("StopStrategy", "enum")),
     ("value_new", f"{SCHEMAS}/StopStrategy/enum/2", ("stop", "stop_task"))),
    (V3, drop(*schemas("StopSessionRequest", "properties", "strategy", "default")),
     ("value_new", f"{SCHEMAS}/StopStrategy/enum/1", ("stop", "stop_task"))),  # what stop means is not said
    (V3, put(True, "paths", "/sessions/{session_id}/stop", "post", "requestBody", "required"),
     ("body_required", f"{STOP}/requestBody", ("stop",))),
    (V2, put(["action", "reason"], *schemas("UpdateTaskRequest", "required")),
     ("field_required", f"{SCHEMAS}/UpdateTaskRequest/required/1", ("stop", "stop_task_and_session"))),
    (V2, drop("paths", "/tasks/{task_id}", "patch", "requestBody"),
     ("body_missing", f"{TASK}/patch", ("stop", "stop_task_and_session"))),
    # methods and paths
    (V2, rename("put", "paths", "/tasks/{task_id}", "patch"),
     ("method_missing", TASK, ("stop", "stop_task_and_session"))),
    (V4, rename("/runs/{run_id}/abort", "paths", "/runs/{run_id}/cancel"),
     ("path_missing", "#/paths", ("cancel",))),
    # parameters
    (V4, lambda contents: at(contents, "paths", "/runs", "get", "parameters").pop(1),
     ("parameter_missing", f"{RUNS}/get", ("list",))),
    (V4, lambda contents: at(contents, "paths", "/runs", "get", "parameters")[2].update({"required": True}),
     ("parameter_required", f"{RUNS}/get/parameters/2", ("list",))),
    # codes and fields of responses
    (V4, rename("302", "paths", "/runs/{run_id}/cancel", "post", "responses", "200"),
     ("code_missing", f"{RUNS}~1{{run_id}}~1cancel/post/responses", ("cancel",))),
    (V4, rename("runId", *schemas("RunCreateResponse", "properties", "id")),
     ("field_missing", f"{SCHEMAS}/RunCreateResponse", ("create",))),
    (V4, rename("cursor", *schemas("RunListResponse", "properties", "nextCursor")),
     ("field_missing", f"{SCHEMAS}/RunListResponse", ("list",))),
    (V4, rename("answer", *schemas("RunSummary", "properties", "result")),
     ("field_missing", f"{SCHEMAS}/RunSummary", ("details",))),
    (V2, rename("items_", *schemas("TaskListResponse", "properties", "items")),
     ("field_missing", f"{SCHEMAS}/TaskListResponse", ("list",))),
    (V2, rename("created", *schemas("TaskItemView", "properties", "createdAt")),
     ("field_missing", f"{SCHEMAS}/TaskItemView", ("list",))),
    (V2, rename("session", *schemas("TaskView", "properties", "sessionId")),  # where the proof of a command is read
     ("field_missing", f"{SCHEMAS}/TaskView", ("details",))),
]
# fmt: on


@pytest.mark.parametrize(("given", "change", "difference"), CHANGES)
def test_a_change_of_the_document_is_one_difference_at_its_place(
    given: tuple[str, str], change: Callable[[Any], None], difference: tuple[str, str, tuple[str, ...]]
) -> None:
    lifecycle, document = given
    contents = dated(document)
    change(contents)
    assert found(compared(lifecycle, contents)) == [difference]


UNRELATED: list[Callable[[Any], None]] = [
    append("paused", *schemas("BrowserSessionStatus", "enum")),
    append("paused", *schemas("SkillsGenerationStatus", "enum")),
    append("paused", *schemas("SessionStatus", "enum")),
    put({"type": "string"}, *schemas("TaskView", "properties", "mood")),
    put({"description": "gone"}, "paths", "/tasks/{task_id}", "patch", "responses", "410"),
    lambda contents: at(contents, "paths", "/tasks", "get", "parameters").pop(0),  # pageSize, which is not sent
]


@pytest.mark.parametrize("change", UNRELATED)
def test_changes_of_unrelated_parts_are_no_difference(change: Callable[[Any], None]) -> None:
    contents = dated("v2-2026-08-06")
    change(contents)
    assert found(compared("v2-full", contents)) == []


@pytest.mark.parametrize("name", ["QueuedMessage", "RunAttachment", "SessionInfo"])
def test_v4_statuses_of_other_resources_are_not_compared(name: str) -> None:
    contents = dated("v4-2026-07-26")
    append("lost", *schemas(name, "properties", "status", "enum"))(contents)
    assert found(compared("v4", contents)) == []


# --- other APIs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifecycle", "document"), [("v2", "v3-2026-08-06"), ("v3", "v2-2026-08-06"), ("v4", "v3-2026-08-06")]
)
def test_a_document_without_the_paths_is_of_another_api(lifecycle: str, document: str) -> None:
    with pytest.raises(OtherApi, match=f"api.json: describes another API: it has /api/{document[:2]}/"):
        compared(lifecycle, dated(document))


def test_other_api_on_the_same_host_is_refused() -> None:
    run = {"get": {"responses": {"200": {"description": "a run"}}}}
    preview = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://api.browser-use.com/api/v1"}],
        "paths": {"/agents/{agent}/runs/{run_id}": run},
    }
    with pytest.raises(OtherApi, match="none of the paths of 'v1', such as /api/v1/run-task"):
        compared("v1", preview)


# --- the emulator's own document -------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Any:
    with Emulator() as emulator:
        return httpx2.get(f"{emulator.base_url}/openapi.json").json()


@pytest.mark.parametrize("lifecycle", ["v1-full", "v2-full", "v2-session", "v3-full", "v4", "v4-message"])
def test_the_emulator_documents_what_the_bindings_declare(served: Any, lifecycle: str) -> None:
    assert found(compared(lifecycle, served)) == []


def test_the_emulator_documents_more_than_a_base(served: Any) -> None:
    place = "#/components/schemas/V1State/enum"
    kinds = {(each.kind, each.place.rpartition("/")[0]) for each in compared("v1", served).differences}
    assert kinds == {("status_new", place)}


OF_OTHERS = {"a2a", "mcp", "mcp-extension"}  # they have no OpenAPI document


def test_every_lifecycle_with_a_service_is_compared() -> None:
    assert {each for each, *_ in KNOWN} | {"v1", "v1-full", "command"} == {*CATALOG} - OF_OTHERS
