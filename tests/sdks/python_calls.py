"""Call every method of an official Python SDK that concerns tasks, sessions, runs, queue, events or messages.

    python -m tests.sdks.python_calls FAMILY BASE_URL

It runs in a process of its own, with the SDK's folder first on the path, and prints JSON: the methods that the SDK has,
and the outcome of each that was called. The emulator must run scripts. An outcome is the status in what the SDK's
models made of the response (of a list: of its last entry, or the length), another field that shows that the right
thing was read, or the status code of an error.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Iterator
from enum import Enum
from importlib import import_module
from typing import Any, cast

# What the emulator does by itself follows from these texts.
DONE = "Buy milk"
WAITING = "Buy milk [remote:]"
QUICKLY: dict[str, Any] = {"timeout": 20.0, "interval": 0.02}  # seconds
RESOURCES = ("tasks", "sessions", "runs")
CALLS_OF_CLIENT = ("run", "stream")


class Caller:
    """Calls methods of one client by their names, and keeps the outcomes."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.outcomes: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()

    def methods(self) -> list[str]:
        """Return the names of the client's methods, such as `sessions.public_share.create`."""
        own = [name for name in CALLS_OF_CLIENT if hasattr(self.client, name)]
        return sorted([*own, *(name for part in RESOURCES for name in _methods(self.client, part))])

    def __call__(self, method: str, *values: Any, variant: str = "", **fields: Any) -> Any:
        """Call a method and return its result, None if it fails. A `variant` is a further call of the same method."""
        called: Any = self.client
        for name in method.split("."):
            called = getattr(called, name)
        result = None
        try:
            result = self._complete(called(*values, **fields))
            outcome = _shown(result)
        except Exception as error:  # noqa: BLE001 (each SDK has errors of its own)
            outcome = str(getattr(error, "status_code", None) or f"{type(error).__name__}: {error}")
        self.outcomes[f"{method} {variant}".strip()] = outcome
        return result

    def _complete(self, result: Any) -> Any:
        if inspect.isawaitable(result):
            return self._loop.run_until_complete(_result_of(result))
        if hasattr(result, "__aiter__"):
            return self._loop.run_until_complete(_entries_of(result))
        return [*result] if hasattr(result, "__next__") or type(result).__name__.endswith("Stream") else result


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _entries_of(iterable: Any) -> list[Any]:
    return [each async for each in iterable]


def _methods(owner: Any, path: str) -> Iterator[str]:
    part: Any = getattr(owner, path.rpartition(".")[2], None)
    for name in dir(part) if part is not None else ():
        if not name.startswith(("_", "with_")):  # `with_raw_response` are the same calls, with their responses
            value: Any = getattr(part, name)
            if not inspect.isroutine(value):
                yield from _methods(part, f"{path}.{name}")
            elif value.__name__ == name:  # otherwise it is an older name of another method
                yield f"{path}.{name}"


def _shown(result: Any) -> str:
    """Return what is compared of a result."""
    for name in ("items", "sessions", "runs", "messages", "events", "queue", "attachments"):
        if isinstance(getattr(result, name, None), list):
            return f"list of {len(getattr(result, name))}"
    if isinstance(result, list):
        entries = cast("Any", result)
        return _shown(entries[-1]) if entries and hasattr(entries[-1], "status") else f"list of {len(entries)}"
    for name in ("status", "output", "type", "total_cost_usd", "max_cost_usd", "share_url", "download_url", "id"):
        value = getattr(result, name, None)
        if value is not None:
            shown = str(value.value if isinstance(value, Enum) else value)
            return {"share_url": "a link", "download_url": "a link", "id": "an id"}.get(name, shown)
    return "nothing" if result in (None, "") else type(result).__name__


# --- the calls, by family of SDKs ---


def stainless(call: Caller) -> None:
    """Make the calls of 0.x and 1.x, for v2 as it was in 2025."""
    have = call.methods()
    task = call("tasks.create", task=WAITING)
    session = str(task.session_id)
    call("tasks.list", page_size=1)
    call("tasks.retrieve", task.id)
    if "tasks.run" in have:
        call("tasks.run", task=DONE)
        call("tasks.stream", call("tasks.create", task=DONE).id)
    for action in ("stop", "pause", "resume", "stop_task_and_session"):
        call("tasks.update", call("tasks.create", task=WAITING).id, action=action, variant=action)
    for name in ("tasks.retrieve_logs", "tasks.get_logs"):
        if name in have:
            call(name, task.id)
    for name in ("tasks.retrieve_output_file", "tasks.get_output_file", "tasks.get_user_uploaded_file"):
        if name in have:
            call(name, session, task_id=task.id)
    call("sessions.list", page_size=1)
    call("sessions.retrieve", session)
    call("sessions.update", session, action="stop")
    for name in ("create", "retrieve", "delete"):
        call(f"sessions.public_share.{name}", session)
    if "sessions.delete" in have:
        call("sessions.delete", session)


def fern(call: Caller) -> None:
    """Make the calls of 2.x, for v2."""
    have = call.methods()
    task = call("tasks.create_task", task=WAITING)
    session = call("sessions.create_session")
    call("tasks.list_tasks", page_size=1)
    call("tasks.get_task", task.id)
    if "tasks.get_task_status" in have:
        call("tasks.get_task_status", task.id)
    call("tasks.get_task_logs", task.id)
    actions = ["stop", "stop_task_and_session"]
    if "tasks.get_task_status" not in have:  # until November 2025
        actions += ["pause", "resume"]
    for action in actions:
        call("tasks.update_task", call("tasks.create_task", task=WAITING).id, action=action, variant=action)
    call("sessions.list_sessions", page_size=1)
    call("sessions.get_session", session.id)
    takes_action = "action" in inspect.signature(call.client.sessions.update_session).parameters
    call("sessions.update_session", session.id, **({"action": "stop"} if takes_action else {}))
    for name in ("create", "get", "delete"):
        call(f"sessions.{name}_session_public_share", session.id)
    if "sessions.delete_session" in have:
        call("sessions.delete_session", session.id)


def v2(call: Caller) -> None:
    """Make the calls of 3.x for v2."""
    task = call("tasks.create", DONE)
    call("tasks.wait", str(task.id), **QUICKLY)
    call("tasks.get", str(task.id))
    call("tasks.status", str(task.id))
    call("tasks.list", session_id=str(task.session_id))
    call("tasks.logs", str(task.id))
    call("tasks.stop", str(call("tasks.create", WAITING).id))
    call("tasks.stop_task_and_session", str(call("tasks.create", WAITING).id))
    call("tasks.update", str(call("tasks.create", WAITING).id), action="stop")
    session = call("sessions.create")
    call("sessions.get", str(session.id))
    call("sessions.list", page_size=1)
    call("sessions.update", str(call("sessions.create").id), action="stop")
    call("sessions.stop", str(session.id))
    for name in ("create_share", "get_share", "delete_share", "purge", "delete"):
        if f"sessions.{name}" in call.methods():
            call(f"sessions.{name}", str(session.id))
    call("run", DONE)
    if "stream" in call.methods():
        call("stream", DONE)


def v3(call: Caller) -> None:
    """Make the calls of 3.x for v3."""
    have = call.methods()
    session = call("sessions.create", WAITING, keep_alive=True)
    call("sessions.get", str(session.id))
    call("sessions.list", page_size=1)
    if "sessions.wait_for_recording" in have:
        call("sessions.wait_for_recording", str(session.id), timeout=0.01, interval=0.01)
    call("sessions.stop", str(session.id))
    for name in ("files", "delete"):
        if f"sessions.{name}" in have:
            call(f"sessions.{name}", str(session.id))
    done = call("run", DONE)
    if "sessions.messages" in have:
        call("sessions.messages", str(done.session.id))
    if "stream" in have:
        call("stream", DONE)


def v4(call: Caller) -> None:
    """Make the calls of 3.x for v4."""
    run = call("runs.create", DONE)
    call("runs.wait_for_completion", run.id, **QUICKLY)
    call("runs.get", run.id)
    call("runs.status", run.id)
    call("runs.list", limit=1)
    call("runs.events", run.id)
    call("runs.wait_for_event", run.id, "run.completed", timeout=0.5, interval=0.02)
    call("runs.attachments", run.id)
    waiting = call("runs.create", WAITING)
    session = waiting.session_id
    call("sessions.get", session)
    call("sessions.list", limit=1)
    message = call("sessions.send_message", session, "And bread")
    message_id = 1 if message is None else message.id
    call("sessions.queue", session)
    call("sessions.get_message", session, message_id)
    call("sessions.remove_message", session, message_id)
    call("runs.cancel", waiting.id)
    call("sessions.update", session, title="Milk")
    call("sessions.cost", session)
    call("sessions.update_cost_cap", session, max_cost_usd=2)
    call("sessions.create_share", session)
    call("sessions.get_share", session)
    call("sessions.update_share", session, is_active=False)
    call("sessions.purge", session)
    call("sessions.delete", session)


FAMILIES = {
    "stainless": (stainless, "", "BrowserUse"),
    "fern": (fern, "", "BrowserUse"),
    "v2": (v2, ".v2", "BrowserUse"),
    "v2-async": (v2, ".v2", "AsyncBrowserUse"),
    "v3": (v3, ".v3", "BrowserUse"),
    "v3-async": (v3, ".v3", "AsyncBrowserUse"),
    "v4": (v4, ".v4", "BrowserUse"),
    "v4-async": (v4, ".v4", "AsyncBrowserUse"),
}


def main(package: str, family: str, base_url: str) -> None:
    calls, module, kind = FAMILIES[family]
    call = Caller(getattr(import_module(package + module), kind)(api_key="any key", base_url=base_url))
    calls(call)
    print(json.dumps({"methods": call.methods(), "outcomes": call.outcomes}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
