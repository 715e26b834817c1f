"""Misspelt options of a client are refused, and the fields of real services are not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from lifecycle.catalog import V3Event
from lifecycle_adapters.emulator import shapes
from lifecycle_adapters.http import AsyncClient, AsyncSession, AsyncTask, Call, Client, Session, Task
from lifecycle_adapters.http.misspelt_options import option_meant
from lifecycle_adapters.services import v1_emulation, v2_shapes, v3_shapes, v4_shapes
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v3 import V3
from lifecycle_adapters.services.v4 import V4

CREATE = Call(method="POST", path="/jobs", body={})
TAKES_FIELDS: list[Any] = [Client.create, Task.send, Session.queue, Task.call, Session.call]
ASYNCHRONOUS: list[Any] = [AsyncClient.create, AsyncTask.send, AsyncSession.queue, AsyncTask.call, AsyncSession.call]


def options_of(method: Any) -> set[str]:
    """The names of the options beside which a method takes fields; `task` and `interrupt` are themselves fields."""
    parameters = inspect.signature(method).parameters.values()
    return {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY} - {"interrupt"}


def options() -> list[str]:
    return sorted(set[str]().union(*map(options_of, TAKES_FIELDS)))


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
            CREATE.request("", fields={name: "x"}, options=options())
        assert f"{name!r} is not an option and would be sent as a field; did you mean {option!r}?" in str(raised.value)


def test_both_kinds_of_client_take_the_same_options() -> None:
    assert [*map(options_of, TAKES_FIELDS)] == [*map(options_of, ASYNCHRONOUS)]


@pytest.mark.parametrize("misspelt", [False, True])
def test_an_option_that_is_proposed_is_one_of_the_method(misspelt: bool) -> None:
    with Client(V4, base_url="http://127.0.0.1:9", api_key="any") as client, Client(V3, api_key="any") as v3:
        task, session = v3.task("a"), client.session("s")
        calls: list[tuple[Any, Any]] = [
            (Client.create, partial(client.create, "buy milk")),
            (Task.send, partial(task.send, V3Event.DISPATCH, task="buy milk")),
            (Session.queue, partial(session.queue, "buy milk")),
            (Task.call, partial(task.call, "delete")),
            (Session.call, partial(session.call, "update", title="Milk")),
        ]
        assert [method for method, _ in calls] == TAKES_FIELDS
        for method, call in calls:
            for option in options() if misspelt else {*options()} - options_of(method):
                with pytest.raises(TypeError) as raised:
                    call(**{option.upper() if misspelt else option: "x"})
                _, proposes, proposed = str(raised.value).partition("did you mean ")
                assert proposed.startswith(repr(option)) if proposes else option not in options_of(method)


def test_misspelt_option_that_only_one_method_has_is_refused() -> None:
    """Nothing is sent: nobody listens at that address."""
    with Client(V4, base_url="http://127.0.0.1:9", api_key="any") as client:
        task, session = client.task("a"), client.session("s")
        methods: dict[str, Any] = {"follow": task.events, "interrupt": partial(session.queue, "buy milk")}
        for option, method in methods.items():
            for name in {*slips(option), *spellings(option)} - {option}:
                with pytest.raises(TypeError, match=f"'{name}' is not an option .*; did you mean '{option}'"):
                    method(**{name: True})
        assert list(client.recover()) == []
        task.events(limit=3, after="e1", key="x")


def test_asynchronous_methods_refuse_their_misspelt_options() -> None:
    async def misspell() -> None:
        async with AsyncClient(V4, base_url="http://127.0.0.1:9", api_key="any") as client:
            methods: Any = client.task("a"), client.session("s")
            with pytest.raises(TypeError, match="did you mean 'follow'"):
                methods[0].events(folow=True)
            with pytest.raises(TypeError, match="did you mean 'interrupt'"):
                await methods[1].queue("buy milk", interupt=True)

    asyncio.run(misspell())


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
def test_nearest_option_is_proposed(name: str, meant: str | None) -> None:
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
def test_field_of_a_service_is_not_taken_for_a_misspelt_option(name: str) -> None:
    assert option_meant(name) is None
    assert V1.create_request({name: "x"}).body == {name: "x"}


@pytest.mark.parametrize("name", ["original", "region", "version", "keepAlive", "sessionId", "table", "", "x" * 10**6])
def test_field_that_is_not_near_an_option_is_sent(name: str) -> None:
    assert CREATE.request("", fields={name: "x"}).body == {name: "x"}
