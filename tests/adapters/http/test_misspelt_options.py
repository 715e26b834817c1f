"""Misspelt options of a client are refused, and the fields of real services are not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from lifecycle.catalog import V3Event
from lifecycle_adapters.emulator import shapes
from lifecycle_adapters.http import AsyncClient, AsyncTask, Call, Client, Task
from lifecycle_adapters.http.misspelt_options import option_meant
from lifecycle_adapters.services import v1_emulation, v2_shapes, v3_shapes, v4_shapes
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v3 import V3

CREATE = Call(method="POST", path="/jobs", body={})
TAKES_FIELDS: list[Any] = [Client.create, AsyncClient.create, Task.send, AsyncTask.send]


def options() -> list[str]:
    """The names of the options beside which a client takes fields; `task` is itself a field."""
    named = {
        each.name
        for method in TAKES_FIELDS
        for each in inspect.signature(method).parameters.values()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return sorted(named)


def slips(option: str) -> Iterator[str]:
    """The spellings of an option with one error: a letter exchanged, left out, doubled or another."""
    for at, letter in enumerate(option):
        before, after = option[:at], option[at + 1 :]
        if after:
            yield before + after[0] + letter + after[1:]
        yield before + after
        yield before + letter + letter + after
        yield before + "x" + after


def spellings(option: str) -> Iterator[str]:
    """The spellings of an option in other conventions."""
    words = option.split("_")
    yield from (option.upper(), option.title(), option.replace("_", ""), option.replace("_", "-"))
    yield "".join(word.title() for word in words)
    yield words[0] + "".join(word.title() for word in words[1:])


@pytest.mark.parametrize("option", options())
def test_option_with_one_error_or_in_another_convention_is_refused(option: str) -> None:
    for name in {*slips(option), *spellings(option)} - {option}:
        with pytest.raises(TypeError) as raised:
            CREATE.request("", fields={name: "x"})
        assert f"{name!r} is not an option and would be sent as a field; did you mean {option!r}?" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lables", "labels"),
        ("labesl", "labels"),
        ("resaon", "reason"),
        ("raeson", "reason"),
        ("reaosn", "reason"),
        ("oirgin", "origin"),
        ("Labels", "labels"),
        ("Key", "idempotency_key"),
        ("IdempotencyKey", "idempotency_key"),
        ("IDEMPOTENCY_KEY", "idempotency_key"),
        ("idempotent_key", "idempotency_key"),
        ("idempotecny_kye", "idempotency_key"),
        ("wait_in_flight_s", None),  # too far from the option
    ],
)
def test_option_meant_is_the_nearest_one(name: str, meant: str | None) -> None:
    assert option_meant(name) == meant


def test_misspelt_option_of_a_client_sends_no_request() -> None:
    with Client("v2", base_url="http://127.0.0.1:9", api_key="any") as client:
        with pytest.raises(TypeError, match=r"'lables' is not an option .*; did you mean 'labels'"):
            client.create("buy milk", lables={"order": "5"})
        assert list(client.recover()) == []
    with pytest.raises(TypeError, match=r"'resaon' is not an option .*; did you mean 'reason'"):
        V3.command_request(V3Event.DISPATCH, "a", {"task": "buy milk", "resaon": "x"})


@pytest.mark.parametrize("name", ["key", "lables", "Reason"])
def test_field_that_the_call_declares_is_sent(name: str) -> None:
    for call in (replace(CREATE, optional_fields=(name,)), replace(CREATE, required_fields=(name,))):
        assert call.request("", fields={name: "x"}).body == {name: "x"}


def fields_of_services() -> list[str]:
    """The fields of all request models of the built-in services, as they are sent."""
    models = {
        each
        for module in (v1_emulation, shapes, v2_shapes, v3_shapes, v4_shapes)
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, BaseModel)
    }
    named = {field.alias or name for model in models for name, field in model.model_fields.items()}
    return sorted(named)


@pytest.mark.parametrize("name", fields_of_services())
def test_field_of_a_service_is_no_misspelt_option(name: str) -> None:
    assert option_meant(name) is None
    assert V1.create_request({name: "x"}).body == {name: "x"}


@pytest.mark.parametrize("name", ["original", "region", "version", "keepAlive", "sessionId", "table", "", "x" * 10**6])
def test_field_that_is_not_near_an_option_is_sent(name: str) -> None:
    assert CREATE.request("", fields={name: "x"}).body == {name: "x"}
