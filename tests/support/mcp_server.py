"""A server made with the official MCP SDK, to be run as a process: `python -m tests.support.mcp_server PORT`.

Its tools run as tasks: "quick" is done at once, "slow" once "go" is called, "ask" needs input until "say" is called,
"long" works until it is cancelled, and so does "deaf", whose cancel is acknowledged without effect and completes it;
only "now" returns its result without a task.
The SDK is imported by name: only `make test-all` installs it.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from importlib import import_module
from typing import Any
from uuid import uuid4

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

TYPES: Any = import_module("mcp.types")
LOWLEVEL: Any = import_module("mcp.server.lowlevel")
HTTP: Any = import_module("mcp.server.streamable_http_manager")
TASKS: Any = import_module("mcp.shared.experimental.tasks.helpers")

warnings.filterwarnings("ignore", category=DeprecationWarning)  # tasks are experimental in this SDK


class Endpoint:
    """The ASGI application at one path; a function would be taken for an endpoint of Starlette's."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._manager.handle_request(scope, receive, send)


def main(port: int) -> None:
    """Serve the tools at /mcp on a port of this machine until the process ends."""
    server: Any = LOWLEVEL.Server("tools")
    support = server.experimental.enable_tasks()
    said, gone = anyio.Event(), anyio.Event()
    deaf: set[str] = set()

    async def work(name: str, task: Any) -> Any:
        if name == "ask":
            await support.store.update_task(task.task_id, status="input_required")
            await said.wait()
            await support.store.update_task(task.task_id, status="working")
        if name == "slow":
            await gone.wait()
        if name in ("long", "deaf"):
            await anyio.sleep_forever()
        return TYPES.CallToolResult(content=[TYPES.TextContent(type="text", text="done")])

    async def call_tool(name: str, _arguments: dict[str, Any]) -> Any:
        if name == "now":
            return [TYPES.TextContent(type="text", text="done")]
        if name == "say":
            said.set()
        if name == "go":
            gone.set()
        # Any session may use a task whose id is given: by default the SDK shows a task to its own session only.
        task_id = str(uuid4())
        if name == "deaf":
            deaf.add(task_id)
        return await server.request_context.experimental.run_task(partial(work, name), task_id=task_id)

    async def cancel(request: Any) -> Any:
        task_id = request.params.taskId
        if task_id not in deaf:
            return await TASKS.cancel_task(support.store, task_id)
        before = await support.store.get_task(task_id)
        shown = TYPES.CancelTaskResult(**before.model_dump())
        await support.store.update_task(task_id, status="completed")
        return shown

    async def list_tasks(request: Any) -> Any:
        tasks, cursor = await support.store.list_tasks(request.params.cursor if request.params else None)
        return TYPES.ListTasksResult(tasks=tasks, nextCursor=cursor)

    # The SDK chooses the arguments of a handler by their types.
    cancel.__annotations__["request"] = TYPES.CancelTaskRequest
    list_tasks.__annotations__["request"] = TYPES.ListTasksRequest
    server.call_tool(validate_input=False)(call_tool)
    server.experimental.cancel_task()(cancel)
    server.experimental.list_tasks()(list_tasks)
    manager = HTTP.StreamableHTTPSessionManager(server)
    app = Starlette(routes=[Route("/mcp", Endpoint(manager))], lifespan=lambda _: manager.run())
    uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
