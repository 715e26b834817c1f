"""The services in examples/services: their files are sound, and their requests are those that their sources name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lifecycle_adapters.http import Client, HttpBinding
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.support.listing import listing_of
from tests.support.packages import ROOT

FILES = sorted((ROOT / "examples" / "services").glob("*.yaml"))
KEY = "a-key-that-nobody-sees"

# fmt: off
# The file, its create with the fields that it needs, the path of one task, and the header that carries the key.
DOCUMENTED: dict[str, tuple[str, dict[str, Any], str, tuple[str, str]]] = {
    "anthropic-batch": (
        "/v1/messages/batches", {"requests": [{"custom_id": "a"}]}, "/v1/messages/batches/7", ("x-api-key", KEY)),
    "openai-batch": (
        "/v1/batches", {"input_file_id": "f", "endpoint": "/v1/responses", "completion_window": "24h"},
        "/v1/batches/7", ("authorization", f"Bearer {KEY}")),
    "print-job": (
        "/jobs", {"text": "a letter"}, "/jobs/7", ("x-key", KEY)),
    "replicate-prediction": (
        "/v1/predictions", {"version": "v", "input": {"a": 1}},
        "/v1/predictions/7", ("authorization", f"Bearer {KEY}")),
}
# fmt: on


def test_every_file_has_its_row() -> None:
    assert [path.stem for path in FILES] == sorted(DOCUMENTED)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_requests_are_those_of_the_sources(file: Path) -> None:
    binding = HttpBinding.from_file(file)
    path, fields, task, header = DOCUMENTED[file.stem]
    create = binding.create_request(fields)
    assert (create.method, create.path, create.body) == ("POST", path, fields)
    for call in (binding.status, binding.details):
        request = call.request(binding.base_path, task_id="7")
        assert (request.method, request.path) == ("GET", task)
    assert listing_of(binding).call.request(binding.base_path).path == path
    cancel = binding.command_request("cancel", "7")
    assert (cancel.method, cancel.path) in {("POST", f"{task}/cancel"), ("DELETE", task)}
    headers = {name.lower(): value for name, value in binding.request_headers(KEY).items()}
    assert headers.pop(header[0]) == header[1]
    assert headers == ({"anthropic-version": "2023-06-01"} if file.stem.startswith("anthropic") else {})


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_task_is_created_followed_and_cancelled(file: Path) -> None:
    binding = HttpBinding.from_file(file)
    status_field = str(binding.details.status_field)
    task = DOCUMENTED[file.stem][2]
    state = binding.lifecycle.initial

    def script(seen: Seen) -> Reply:
        nonlocal state
        if seen.method == "DELETE" or seen.path.endswith("/cancel"):
            state = str(binding.lifecycle.target(state, "cancel"))
        view = {"id": "7", status_field: state}
        is_list = seen.method == "GET" and seen.path != task
        tasks = [] if "page=2" in seen.query else [view]
        return Reply(
            body={listing_of(binding).items_field: tasks, "has_more": False, "next": None} if is_list else view
        )

    with ScriptedServer(script).running() as server, Client(binding, api_key=KEY, base_url=server.base_url) as client:
        made = client.create(**DOCUMENTED[file.stem][1])
        assert (made.id, made.known_state()) == ("7", state)
        assert made.send("cancel").state == state
        assert [(each.id, each.state) for each in client.list()] == [("7", state)]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_key_is_in_the_variable_of_the_service(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binding = HttpBinding.from_file(file)
    assert binding.key_variable is not None
    assert binding.key_variable.server == binding.base_url
    for name in [name for name in os.environ if name.endswith("_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(binding.key_variable.name, KEY)
    with Client(binding, base_url="http://127.0.0.1:1") as client:
        assert client.base_url == "http://127.0.0.1:1"
