"""The services in examples/services: their files are sound, and their requests are those that their sources name.

The emulator of each is explored in tests/adapters/emulator/test_own_services.py.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from github_run import status_of as status_of_run
from google_operation import status_of as status_of_operation
from kubernetes_job import status_of as status_of_job

from lifecycle import Lifecycle
from lifecycle.diagram import RENDERERS, Format, Mark
from lifecycle_adapters.http import Client, HttpBinding
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.support.examples import EXAMPLES, filled
from tests.support.listing import listing_of

KEY = "a-key-that-nobody-sees"
JSON = "application/json"

# fmt: off
# The create with the fields that it needs and sends, the path of one task, and the header that carries the key.
DOCUMENTED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, tuple[str, str]]] = {
    "anthropic-batch": (
        "/v1/messages/batches", {"requests": [{"custom_id": "a"}]}, {},
        "/v1/messages/batches/7", ("authorization", f"Bearer {KEY}")),
    "github-run": (
        "/repos/acme/web/actions/workflows/build.yaml/dispatches", {"ref": "main"}, {"return_run_details": True},
        "/repos/acme/web/actions/runs/7", ("authorization", f"Bearer {KEY}")),
    "google-operation": (
        "/v1/projects/123/locations/us/processors/abc:batchProcess",
        {"inputDocuments": {}, "documentOutputConfig": {}}, {},
        "/v1/projects/123/locations/us/operations/7", ("authorization", f"Bearer {KEY}")),
    "kubernetes-job": (
        "/apis/batch/v1/namespaces/default/jobs", {"metadata": {"name": "7"}, "spec": {}},
        {"apiVersion": "batch/v1", "kind": "Job"},
        "/apis/batch/v1/namespaces/default/jobs/7", ("authorization", f"Bearer {KEY}")),
    "openai-batch": (
        "/v1/batches", {"input_file_id": "f", "endpoint": "/v1/responses", "completion_window": "24h"}, {},
        "/v1/batches/7", ("authorization", f"Bearer {KEY}")),
    "openai-response": (
        "/v1/responses", {"model": "m", "input": "a haiku"}, {"background": True},
        "/v1/responses/7", ("authorization", f"Bearer {KEY}")),
    "print-job": (
        "/jobs", {"text": "a letter"}, {}, "/jobs/7", ("x-key", KEY)),
    "replicate-prediction": (
        "/v1/predictions", {"version": "v", "input": {"a": 1}}, {},
        "/v1/predictions/7", ("authorization", f"Bearer {KEY}")),
}
# What each command sends: its method, what follows the path of the task, its query, body and type.
COMMANDS: dict[str, dict[str, tuple[str, str, dict[str, str], Any, str]]] = {
    "anthropic-batch": {"cancel": ("POST", "/cancel", {}, None, JSON)},
    "github-run": {
        "cancel": ("POST", "/cancel", {}, None, JSON),
        "rerun": ("POST", "/rerun", {}, None, JSON),
        "delete": ("DELETE", "", {}, None, JSON)},
    "google-operation": {"cancel": ("POST", ":cancel", {}, None, JSON)},
    "kubernetes-job": {
        "suspend": ("PATCH", "", {}, {"spec": {"suspend": True}}, "application/merge-patch+json"),
        "resume": ("PATCH", "", {}, {"spec": {"suspend": False}}, "application/merge-patch+json"),
        "delete": ("DELETE", "", {"propagationPolicy": "Background"}, None, JSON)},
    "openai-batch": {"cancel": ("POST", "/cancel", {}, None, JSON)},
    "openai-response": {"cancel": ("POST", "/cancel", {}, None, JSON)},
    "print-job": {"cancel": ("DELETE", "", {}, None, JSON)},
    "replicate-prediction": {"cancel": ("POST", "/cancel", {}, None, JSON)},
}
# The list's path where it is not that of the create, None for no list; and what the headers of all requests are.
LISTS: dict[str, str | None] = {
    "openai-response": None,
    "github-run": "/repos/acme/web/actions/runs",
    "google-operation": "/v1/projects/123/locations/us/operations",
}
# The id of a task where it is more than the last segment of its path.
IDS = {"google-operation": "projects/123/locations/us/operations/7"}
HEADERS = {
    "anthropic-batch": {"anthropic-version": "2023-06-01"},
    "github-run": {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"},
}
# fmt: on
WITH_A_STATUS = [name for name, binding in EXAMPLES.items() if binding.state_of is None]


def test_every_file_has_its_row() -> None:
    assert list(EXAMPLES) == sorted(DOCUMENTED) == sorted(COMMANDS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_requests_are_those_of_the_sources(name: str) -> None:
    binding = filled(name)
    path, fields, own, task, header = DOCUMENTED[name]
    create = binding.create_request(fields)
    assert (create.method, create.path, create.body) == ("POST", path, {**own, **fields})
    for call in (binding.status, binding.details):
        request = call.request(binding.base_path, task_id=IDS.get(name, "7"))
        assert (request.method, request.path) == ("GET", task)
    listed = LISTS.get(name, path)
    assert (None if binding.listing is None else binding.listing.call.request(binding.base_path).path) == listed
    sent: dict[str, Any] = {}
    for command in binding.commands:
        request = binding.command_request(command, IDS.get(name, "7"))
        kind = request.headers.get("Content-Type", JSON)
        rest = request.path.removeprefix(task)
        sent[command] = (request.method, rest, dict(request.query), request.body, kind)
    assert sent == COMMANDS[name]
    headers = {each.lower(): value for each, value in binding.request_headers(KEY).items()}
    assert headers.pop(header[0]) == header[1]
    assert headers == HEADERS.get(name, {})


@pytest.mark.parametrize("name", WITH_A_STATUS)
def test_task_is_created_followed_and_cancelled(name: str) -> None:
    binding = filled(name)
    status_field = str(binding.details.status_field)
    task = DOCUMENTED[name][3]
    state = binding.lifecycle.initial

    def script(seen: Seen) -> Reply:
        nonlocal state
        if seen.method == "DELETE" or seen.path.endswith("/cancel"):
            state = str(binding.lifecycle.target(state, "cancel"))
        view = {"id": "7", status_field: state}
        if seen.method != "GET" or seen.path == task:
            return Reply(body=view)
        tasks = [] if "page=2" in seen.query else [view]
        return Reply(body={listing_of(binding).items_field: tasks, "has_more": False, "next": None})

    with ScriptedServer(script).running() as server, Client(binding, api_key=KEY, base_url=server.base_url) as client:
        made = client.create(**DOCUMENTED[name][1])
        assert (made.id, made.known_state()) == ("7", state)
        assert made.send("cancel").state == state
        if binding.listing is not None:
            assert [(each.id, each.state) for each in client.list()] == [("7", state)]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("name", EXAMPLES)
def test_pictures_mark_the_states_that_can_be_reopened(name: str, form: Format) -> None:
    lifecycle: Lifecycle[str, str] = EXAMPLES[name].lifecycle
    marked = [node.name for node in lifecycle.diagram().nodes if Mark.REOPENABLE in node.marks]
    assert marked == [state.name for state in lifecycle.states if state.reopenable]
    assert (len(marked) == 9) is (name == "github-run")
    assert ("begins it again" in RENDERERS[form](lifecycle.diagram())) is (name == "github-run")


@pytest.mark.parametrize(
    ("run", "status"),
    [
        ({"status": "queued", "conclusion": None}, "queued"),
        ({"status": "in_progress", "conclusion": None}, "in_progress"),
        ({"status": "completed", "conclusion": "success"}, "success"),
        ({"status": "completed", "conclusion": "timed_out"}, "timed_out"),
    ],
)
def test_status_of_a_run(run: dict[str, Any], status: str) -> None:
    assert status_of_run(run) == status
    assert EXAMPLES["github-run"].lifecycle.state_of(status) is not None


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        (None, "active"),
        ([], "active"),
        ([("Suspended", "True")], "suspended"),
        ([("Suspended", "False")], "active"),
        ([("Suspended", "False"), ("SuccessCriteriaMet", "True"), ("Complete", "True")], "complete"),
        ([("FailureTarget", "True")], "active"),
        ([("FailureTarget", "True"), ("Failed", "True")], "failed"),
    ],
)
def test_status_of_a_job(conditions: list[tuple[str, str]] | None, status: str) -> None:
    shown = None if conditions is None else [{"type": kind, "status": is_true} for kind, is_true in conditions]
    assert status_of_job({"status": {} if shown is None else {"conditions": shown}}) == status
    assert status_of_job({"metadata": {}}) == "active", "just created"


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"name": "7"}, "running"),
        ({"done": False}, "running"),
        ({"done": True, "response": {}}, "succeeded"),
        ({"done": True, "error": {"code": 1}}, "cancelled"),
        ({"done": True, "error": {"code": 13}}, "failed"),
    ],
)
def test_status_of_an_operation(operation: dict[str, Any], status: str) -> None:
    assert status_of_operation(operation) == status


@pytest.mark.parametrize("name", EXAMPLES)
def test_key_is_in_the_variable_of_the_service(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    binding: HttpBinding[Any, Any] = filled(name)
    assert binding.key_variable is not None
    assert binding.key_variable.server == binding.base_url
    for variable in [each for each in os.environ if each.endswith("_KEY")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv(binding.key_variable.name, KEY)
    with Client(binding, base_url="http://127.0.0.1:1") as client:
        assert client.base_url == "http://127.0.0.1:1"
