"""The emulator as a part of another ASGI application, at a path of that application."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from lifecycle_adapters.emulator import EmulatorApp, create_app
from lifecycle_adapters.http import AsyncClient
from tests.adapters.http.both import QUICK
from tests.adapters.http.test_parameters import RUNS, WEB


async def use(app: Any, emulator: EmulatorApp, mounted_at: str) -> None:
    """Create a task, read it, cancel it, and ask for what no service has, under a path."""
    url = f"http://127.0.0.1{mounted_at}"
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        client = AsyncClient(RUNS, base_url=url, parameters={**WEB, "repo": "a/b"}, http=http, timing=QUICK)
        run = await client.create()
        assert [each.id async for each in client.list()] == [run.id]
        assert await run.status() == "running"
        emulator.control.fault("status", command="cancel", status_code=503)
        assert (await run.send("cancel")).state == "cancelled"
        calls = emulator.control.calls()
        assert {(each.api, each.path.startswith("/repos/acme/a/b/actions/")) for each in calls} == {("runs", True)}
        assert [each.fault for each in calls if each.fault is not None] == ["status"]
        path = f"{url}/repos/acme/a%2Fb/actions/runs/{run.id}"
        refused = await http.put(path)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")
        assert (await http.get(f"{url}/_emulator/tasks")).json()[0]["id"] == run.id
        assert (await http.get(f"{url}/docs")).status_code == 200
        assert (await http.get(f"{url}/no-such-page")).status_code == 404


@pytest.mark.parametrize("mounted_at", ["", "/emulators/one", "/repos"])
def test_emulator_works_at_any_path_of_another_application(mounted_at: str) -> None:
    emulator = create_app(RUNS, manual=True)
    asyncio.run(use(Starlette(routes=[Mount(mounted_at, app=emulator)]), emulator, mounted_at))
