"""Every named parameter of every public method of the clients and their handles refuses values of another type."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from lifecycle_adapters.http import AsyncClient, AsyncSession, AsyncTask, Client, Session, Task
from lifecycle_adapters.services import service
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES

RIGHT: dict[str, Any] = {
    "task_id": "t", "session_id": "s", "message_id": "m", "create_id": "c", "command": "cancel", "name": "delete",
    "text": "buy milk", "task": "buy milk", "parts": [{"text": "buy milk"}],
}  # fmt: skip
"""A right value of each parameter that has no default."""


def methods_and_wrong_values() -> Iterator[tuple[Any, str, str, Any]]:
    """Yield each class with the names of a method and of a parameter, and a value that the parameter refuses."""
    for kind in (Client, AsyncClient, Task, AsyncTask, Session, AsyncSession):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            for each in inspect.signature(method).parameters.values():
                if not name.startswith("_") and each.name != "self" and each.kind is not each.VAR_KEYWORD:
                    for value in wrong_values(str(each.annotation)):
                        yield kind, name, each.name, value


def wrong_values(annotation: str) -> Iterator[Any]:
    """Yield values that are not of a type, which is given as it is written."""
    yield from ([5], 3j)
    if not annotation.startswith(("str", "TaskId", "E", "C")):
        yield "yes"
    if not annotation.startswith(("TaskId", "float")):
        yield 5


def client_with(command: str, http: Any) -> Any:
    """Return a client of a service that has the command, of v4 if none has."""
    kind: Any = AsyncClient if isinstance(http, httpx2.AsyncClient) else Client
    named = (each for each in ("v1", "v2", "v3", "a2a") if command in service(each).commands)
    api = next(named, "v4")
    key = None if api == "a2a" else KEY
    return kind(api, api_key=key, base_url="http://127.0.0.1:9", timing=QUICK, http=http)


async def awaited(result: Any) -> None:
    """Wait for the result of a method of either kind, and read the first item of an iterator."""
    if inspect.isawaitable(result):
        await result
    elif inspect.isasyncgen(result):
        await anext(result)
    elif inspect.isgenerator(result):
        next(result)


@pytest.mark.parametrize(("kind", "method", "name", "wrong"), [*methods_and_wrong_values()])
def test_parameter_of_another_type_is_refused_and_nothing_is_sent(
    kind: Any, method: str, name: str, wrong: Any
) -> None:
    sent: list[str] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(f"{request.method} {request.url}")
        return httpx2.Response(200, json={"id": "t", "status": "queued"})

    positional: list[Any] = []
    by_name: dict[str, Any] = {}
    for each in list(inspect.signature(getattr(kind, method)).parameters.values())[1:]:
        value = wrong if each.name == name else RIGHT.get(each.name)
        if each.kind is each.POSITIONAL_ONLY:
            positional.append(value)
        elif each.name == name or (each.default is each.empty and each.kind is not each.VAR_KEYWORD):
            by_name[each.name] = value

    async def use() -> None:
        http: Any = httpx2.AsyncClient if kind.__name__.startswith("Async") else httpx2.Client
        client = client_with(method, http(transport=httpx2.MockTransport(respond), verify=NO_CERTIFICATES))
        opened = {Task: "task", AsyncTask: "task", Session: "session", AsyncSession: "session"}.get(kind)
        handle = client if opened is None else getattr(client, opened)("x")
        await awaited(getattr(handle, method)(*positional, **by_name))

    with pytest.raises((TypeError, ValueError)):
        asyncio.run(use())
    assert sent == []
