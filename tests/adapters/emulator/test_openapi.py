"""The OpenAPI documents agree with the service, under the full and under the minimal lifecycles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from lifecycle import Lifecycle
from lifecycle.catalog import V1, V2, V3
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.services.registry import BUILT_IN
from tests.support.listing import listing_of

Served = tuple[dict[str, Lifecycle[Any, Any]], dict[str, Any]]


@pytest.fixture(scope="module", params=[{}, {"v1": V1, "v2": V2, "v3": V3}], ids=["full", "minimal"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with Emulator(manual=True, lifecycles=request.param) as emulator:
        yield request.param, httpx2.get(f"{emulator.base_url}/openapi.json").json()


@pytest.mark.parametrize("binding", BUILT_IN, ids=lambda binding: binding.name)
def test_the_document_has_every_call_of_every_binding(served: Served, binding: HttpBinding[Any, Any]) -> None:
    _, document = served
    parameter = {"v2-session": "session_id", "v3": "session_id", "v4": "run_id", "v4-message": "message_id"}.get(
        binding.name, "task_id"
    )
    for call in (binding.create, binding.status, binding.details, listing_of(binding).call, *binding.commands.values()):
        path = binding.base_path + call.path.replace("{id}", f"{{{parameter}}}")
        operation = document["paths"][path][call.method.lower()]
        assert {"401", "422"} <= set(operation["responses"])
        assert binding.authentication is not None
        assert operation["security"] == [{binding.authentication.header: []}]


def test_the_key_is_documented(served: Served) -> None:
    _, document = served
    assert document["components"]["securitySchemes"] == {
        "Authorization": {"type": "http", "scheme": "bearer"},
        "X-Browser-Use-API-Key": {"type": "apiKey", "in": "header", "name": "X-Browser-Use-API-Key"},
    }
    assert "security" not in document["paths"]["/api/v1/ping"]["get"]


@pytest.mark.parametrize("binding", BUILT_IN, ids=lambda binding: binding.name)
def test_the_documented_states_are_the_lifecycles(served: Served, binding: HttpBinding[Any, Any]) -> None:
    lifecycles, document = served
    lifecycle = lifecycles.get(binding.name, binding.lifecycle)
    documented = document["components"]["schemas"][type(lifecycle.initial).__name__]["enum"]
    assert documented == [state.name for state in lifecycle.states]


def test_the_documented_actions_are_those_of_the_bindings(served: Served) -> None:
    schemas = served[1]["components"]["schemas"]
    assert schemas["TaskUpdateAction"]["enum"] == ["stop", "stop_task_and_session"]
    assert schemas["SessionUpdateAction"].get("enum", [schemas["SessionUpdateAction"].get("const")]) == ["stop"]


def test_create_calls_link_to_the_calls_that_take_the_id(served: Served) -> None:
    created = served[1]["paths"]["/api/v2/tasks"]["post"]["responses"]["202"]
    assert created["links"]["v2_update_task"] == {
        "operationId": "v2_update_task",
        "parameters": {"task_id": "$response.body#/id"},
    }


def test_control_calls_have_their_own_document(emulator: Emulator, served: Served) -> None:
    control = httpx2.get(f"{emulator.base_url}/_emulator/openapi.json").json()
    assert "/tasks/{task_id}/events" in control["paths"]
    assert not any(path.startswith("/_emulator") for path in served[1]["paths"])


def test_operation_ids_are_unique(served: Served) -> None:
    names = [each["operationId"] for path in served[1]["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
