"""Wrong types in public functions and methods: each is a TypeError, a ValueError or an error of ours, and no traceback
from somewhere inside.

The other arguments are right ones, so that a wrong one is reached. A TypeError must be raised by a line of ours, not by
Python at whatever line used the value first. No database may find an error in a query: an argument would be in its SQL.
"""

from __future__ import annotations

import importlib
import inspect
import linecache
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import psycopg
import pytest

from lifecycle import V1, LifecycleError, MemoryJournal
from lifecycle_adapters.drift import OpenApiDocument
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import BROWSER_USE, AsyncClient, Client
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.logs import DuckTable, Frame, check_logs
from lifecycle_adapters.services import service
from lifecycle_adapters.webhooks import Webhooks
from tests.support.packages import MODULES, PACKAGES

PUBLIC = [name for name, path in MODULES.items() if "\n__all__" in path.read_text(encoding="utf-8")]
PUBLIC.remove("lifecycle_adapters.logs.text")  # which only the package around it uses
IMPORTABLE = [pytest.param(name, marks=pytest.mark.heavy) if "spark" in name else name for name in PUBLIC]

WRONG: list[Any] = [5, "x", None, {}, [], object(), b"x", 3.5, ("a", 1), ["x"], {"a": 1}]
OURS = (TypeError, ValueError, LifecycleError, OSError)
EXEMPT = {
    "FrameCheck",  # a result, which `check_logs` makes
    "main",  # the command line's own entry: it exits
    "write_gallery",  # it draws the whole catalog
    "field_error",  # the inverse of what FastAPI gives, which has these keys
}
IN_SQL = (duckdb.ParserException, duckdb.BinderException, psycopg.errors.SyntaxErrorOrAccessRuleViolation)
RAW = {
    "Call.request",  # its `task_id` is quoted before it is checked
}


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a class that C implements
        return []
    variable = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [each for each in signature.parameters.values() if each.kind not in variable]


RIGHT: dict[str, Any] = {  # by the beginning of an annotation
    "Lifecycle": V1,
    "HttpBinding": service("v1"),
    "bytes": b"{}",
    "SignatureScheme": BROWSER_USE,
    "WebhookBinding": service("v2").webhooks,
    "Request": service("v1").command_request("stop", "id"),
    "Call": service("v1").status,
    "datetime": datetime(2026, 1, 1, tzinfo=UTC),
    "Mapping": {},
    "Diagram": V1.diagram(),
    "OpenApiDocument": OpenApiDocument({"openapi": "3.1.0", "paths": {}}),
    "Source": Frame({"task_id": ["t", "", "u"], "at": ["2026-01-01"] * 3, "status": ["stopped", "x", "running"]}),
    "int": 200,
}


def right(parameter: inspect.Parameter) -> Any:
    return next((value for kind, value in RIGHT.items() if str(parameter.annotation).startswith(kind)), "x")


def called_wrongly(function: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The arguments of each call, of which one is wrong."""
    parameters = parameters_of(function)
    given = {each.name: right(each) for each in parameters if each.default is each.empty}
    for each in parameters:
        for wrong in WRONG:
            yield {**given, each.name: wrong}


def call(function: Callable[..., Any], given: dict[str, Any]) -> None:
    """Call it by position where it must be, and see that only errors of the caller come out."""
    positional = [
        given.pop(each.name)
        for each in parameters_of(function)
        if each.kind is each.POSITIONAL_ONLY and each.name in given
    ]
    try:
        result = function(*positional, **given)
        if inspect.iscoroutine(result):
            result.close()
        elif inspect.isgenerator(result):
            next(result, None)
        elif isinstance(result, Frame | DuckTable):
            check_logs(V1, result, threads=1).close()
    except OURS as error:
        if isinstance(error.__cause__, IN_SQL):
            pytest.fail(f"{function.__qualname__}: an argument is in SQL: {error}")
        is_raw = isinstance(error, TypeError) and function.__qualname__ not in RAW and not is_raised_by_us(error)
        if is_raw or "AttributeError" in str(error):
            pytest.fail(f"{function.__qualname__}: not checked: {error}")


def is_raised_by_us(error: TypeError) -> bool:
    """Return whether a `raise` in our code raised it."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = Path(frame.f_code.co_filename)
    is_ours = any(file.is_relative_to(folder) for folder in PACKAGES.values())
    return is_ours and linecache.getline(str(file), line).lstrip().startswith("raise")


@pytest.mark.parametrize("module", IMPORTABLE)
def test_public_functions_refuse_wrong_types(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some create the file "x"
    facade = importlib.import_module(module)
    for name in set(facade.__all__) - EXEMPT:
        value = getattr(facade, name)
        if callable(value) and not (inspect.isclass(value) and issubclass(value, BaseException | Enum)):
            for given in called_wrongly(value):
                call(value, given)


def objects(directory: Path) -> Iterator[Any]:
    """One of each class that users call, none of which reaches a server."""
    binding = service("v1")
    nothing = httpx2.MockTransport(lambda _: httpx2.Response(404, json={"detail": "Task not found"}))
    client: Client[Any, Any] = Client(binding, api_key="k", http=httpx2.Client(transport=nothing))
    yield from (V1, binding, binding.create, binding.listing, Emulator(binding))
    yield from (client.task("x"), AsyncClient(binding, api_key="k"))
    yield from (MemoryJournal(), SqlJournal(directory / "j.db"))
    yield OpenApiDocument({"openapi": "3.1.0", "paths": {}})
    yield check_logs(V1, RIGHT["Source"], threads=1)
    yield Webhooks(binding, secret="s" * 20, journal=MemoryJournal())
    yield client


def methods_of(value: object) -> set[str]:
    names = {name for name, _ in inspect.getmembers(type(value), inspect.isroutine) if not name.startswith("_")}
    return names - {"close", "serve"}  # with no argument it serves, until it is interrupted


def test_methods_refuse_wrong_types(tmp_path: Path) -> None:
    for value in objects(tmp_path):
        for name in methods_of(value):
            for given in called_wrongly(getattr(value, name)):
                call(getattr(value, name), given)
