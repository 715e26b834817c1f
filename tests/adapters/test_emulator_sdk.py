"""The official Python SDK, unchanged except for the emulator's `base_url`.

The tests import it by name inside functions: only `make test-all` installs it, and it has no type information.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.services.v4_emulation import limited

pytestmark = pytest.mark.heavy

QUICK = {"timeout": 20.0, "interval": 0.02}  # seconds
KEY = "any key"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator whose tasks run their scripts quickly."""
    with Emulator(pace_s=0.1) as emulator:
        yield emulator


def sdk(emulator: Emulator, version: str, kind: str = "BrowserUse") -> Any:
    client = getattr(import_module(f"browser_use_sdk.{version}"), kind)
    return client(api_key=KEY, base_url=emulator.api_url(version))


@pytest.fixture
def v2(emulator: Emulator) -> Iterator[Any]:
    client = sdk(emulator, "v2")
    yield client
    client.close()


@pytest.fixture
def v3(emulator: Emulator) -> Iterator[Any]:
    client = sdk(emulator, "v3")
    yield client
    client.close()


@pytest.fixture
def v4(emulator: Emulator) -> Iterator[Any]:
    client = sdk(emulator, "v4")
    yield client
    client.close()


# --- v2 tasks ----------------------------------------------------------------------------------


def test_v2_a_task_is_created_read_and_completed(v2: Any) -> None:
    created = v2.tasks.create("Buy milk", llm="o3", metadata={"shop": "corner"})
    task = v2.tasks.get(str(created.id))
    assert (task.id, task.session_id, task.llm, task.task) == (created.id, created.session_id, "o3", "Buy milk")
    assert task.metadata == {"shop": "corner"}
    assert v2.tasks.status(str(created.id)).status.value in {"created", "started"}
    done = v2.tasks.wait(str(created.id), **QUICK)
    assert (done.status.value, done.output, done.is_success) == ("finished", "Done: Buy milk", True)
    assert done.created_at < done.started_at < done.finished_at
    assert [step.number for step in done.steps] == [1]


def test_v2_a_wait_ends_when_the_task_fails(v2: Any) -> None:
    created = v2.tasks.create("Buy milk [remote: start, fail]")
    done = v2.tasks.wait(str(created.id), **QUICK)
    assert (done.status.value, done.output, done.is_success) == ("failed", None, False)


def test_v2_a_wait_ends_when_the_task_is_stopped(v2: Any) -> None:
    created = v2.tasks.create("Buy milk [remote:]")
    assert v2.tasks.stop(str(created.id)).status.value == "stopped"
    assert v2.tasks.wait(str(created.id), **QUICK).status.value == "stopped"
    assert v2.sessions.get(str(created.session_id)).status.value == "active"


def test_v2_a_task_is_stopped_with_its_session(v2: Any) -> None:
    created = v2.tasks.create("Buy milk [remote:]")
    assert v2.tasks.stop_task_and_session(str(created.id)).status.value == "stopped"
    session = v2.sessions.get(str(created.session_id))
    assert (session.status.value, [task.id for task in session.tasks]) == ("stopped", [created.id])
    assert session.finished_at is not None


def test_v2_sessions_and_lists(v2: Any) -> None:
    session = v2.sessions.create(proxy_country_code="DE", keep_alive=True)
    created = v2.tasks.create("Buy milk [remote:]", session_id=str(session.id))
    listed = v2.tasks.list(session_id=str(session.id), filter_by="created", page_size=5)
    assert [task.id for task in listed.items] == [created.id]
    assert v2.sessions.stop(str(session.id)).status.value == "stopped"
    assert v2.tasks.get(str(created.id)).status.value == "stopped"
    assert session.id in [each.id for each in v2.sessions.list(filter_by="stopped", page_size=100).items]


def test_v2_run_returns_the_finished_task(v2: Any) -> None:
    assert v2.run("Buy milk").output == "Done: Buy milk"


def test_v2_errors_are_the_sdks_own(v2: Any, emulator: Emulator) -> None:
    error: type[Exception] = import_module("browser_use_sdk").BrowserUseError
    with pytest.raises(error, match="404: Task not found"):
        v2.tasks.get("3c90c3cc-0d44-4b50-8888-8dd25736052a")
    with pytest.raises(error, match="422"):
        v2.tasks.create("")
    session = v2.sessions.create()
    v2.sessions.stop(str(session.id))
    with pytest.raises(error, match="400: Browser session is stopped"):
        v2.tasks.create("Buy milk", session_id=str(session.id))
    emulator.fault("status", status_code=429, headers={"Retry-After": "0"}, method="POST")
    assert v2.tasks.create("Buy milk").id, "it retries 429 by itself"


def test_v2_works_asynchronously(emulator: Emulator) -> None:
    async def run() -> tuple[str, str | None]:
        client = sdk(emulator, "v2", "AsyncBrowserUse")
        try:
            created = await client.tasks.create("Buy milk")
            done = await client.tasks.wait(str(created.id), **QUICK)
            return done.status.value, done.output
        finally:
            await client.close()

    assert asyncio.run(run()) == ("finished", "Done: Buy milk")


# --- v3 sessions -------------------------------------------------------------------------------


def test_v3_a_session_is_created_read_and_stopped(v3: Any, emulator: Emulator) -> None:
    created = v3.sessions.create("Buy milk", keep_alive=True, max_cost_usd=2)
    assert v3.sessions.get(created.id).status.value in {"created", "running"}
    emulator.advance(10)
    idle = v3.sessions.get(created.id)
    assert (idle.status.value, idle.output) == ("idle", "Done: Buy milk (task 1 of this session)")
    assert idle.max_cost_usd.root == "2.0"
    stopped = v3.sessions.stop(created.id)
    assert (stopped.status.value, stopped.is_task_successful) == ("stopped", True)


def test_v3_a_session_is_waited_for(v3: Any) -> None:
    result = v3.run("Buy milk")
    assert (result.session.status.value, result.output) == ("stopped", "Done: Buy milk (task 1 of this session)")


def test_v3_a_session_runs_another_task(v3: Any) -> None:
    first = v3.run("Buy milk", keep_alive=True)
    second = v3.run("Buy bread", session_id=first.session.id)
    assert (second.session.id, second.session.status.value) == (first.session.id, "idle")
    assert second.output == "Done: Buy bread (task 2 of this session)"


def test_v3_only_the_task_is_stopped(v3: Any, emulator: Emulator) -> None:
    created = v3.sessions.create("Buy milk [remote: start]")
    emulator.advance(10)
    assert v3.sessions.get(created.id).status.value == "running"
    assert v3.sessions.stop(created.id, strategy="task").status.value == "idle"
    assert v3.sessions.stop(created.id).status.value == "stopped"


def test_v3_a_wait_ends_when_the_session_fails(v3: Any) -> None:
    result = v3.run("Buy milk [remote: start, fail]")
    assert (result.session.status.value, result.session.is_task_successful, result.output) == ("error", False, None)


def test_v3_lists(v3: Any) -> None:
    created = [v3.sessions.create() for _ in range(3)]
    listed = v3.sessions.list(page=1, page_size=2)
    assert [session.id for session in listed.sessions] == [created[2].id, created[1].id]


# --- v4 runs -----------------------------------------------------------------------------------


def test_v4_a_run_is_created_read_and_waited_for(v4: Any) -> None:
    created = v4.runs.create("Buy milk", model="bu-fast", max_cost_usd="2.50")
    run = v4.runs.wait_for_completion(created.id, **QUICK)
    assert (run.status.value, run.result, run.model) == ("completed", "Done: Buy milk", "bu-fast")
    assert (run.session_id, run.workspace_id) == (created.session_id, created.workspace_id)


def test_v4_a_run_is_cancelled(v4: Any) -> None:
    created = v4.runs.create("Buy milk [remote:]")
    assert v4.runs.status(created.id).status.value == "queued"
    assert v4.runs.cancel(created.id).status.value == "cancelled"
    assert v4.runs.cancel(created.id).status.value == "cancelled"
    assert v4.runs.wait_for_completion(created.id, **QUICK).status.value == "cancelled"


def test_v4_a_spend_limit_is_the_sdks_own_error() -> None:
    reached: Any = import_module("browser_use_sdk").APIKeySpendLimitError
    with (
        Emulator("v4", profiles=limited(0)) as emulator,
        sdk(emulator, "v4") as client,
        pytest.raises(reached, match="spend limit") as caught,
    ):
        client.runs.create("Buy milk")
    assert (caught.value.cap, caught.value.spent) == (0, 0)


def test_v4_lists(v4: Any) -> None:
    created = [v4.runs.create("Buy milk") for _ in range(3)]
    first = v4.runs.list(limit=2)
    second = v4.runs.list(limit=2, cursor=first.next_cursor)
    assert [run.id for run in (*first.runs, *second.runs)][:3] == [run.id for run in created[::-1]]
