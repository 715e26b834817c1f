"""A server of MCP's extension for tasks, to be run as a process: `python -m tests.support.mcp_extension_server PORT`.

It is made with the official SDK 2.3, which speaks revision 2026-07-28 and checks the headers of requests, and knows the
extension by its name only: the tasks are this module's, as ext-tasks, specification/draft/tasks.md, describes them.

Each call of a tool makes a task: of "ask" it needs input, and it works again once that is given; of "long" it works
until it is cancelled, and so does "deaf", whose cancel is acknowledged without effect and completes it; any other one
is done after a moment. Its argument `region` is wanted in a header, too. Ids are not ASCII.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream
from pydantic import ConfigDict

LOWLEVEL: Any = import_module("mcp.server.lowlevel")
EXCEPTIONS: Any = import_module("mcp.shared.exceptions")
TYPES: Any = import_module("mcp_types")

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
MOMENT_S = 0.2
DONE = {"content": [{"type": "text", "text": "done"}], "isError": False}
SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
ASKED: dict[str, Any] = {"mode": "form", "message": "Why?", "requestedSchema": {"type": "object", "properties": {}}}
ENDS = ("completed", "cancelled", "failed")


class AboutTask(TYPES.RequestParams):  # type: ignore[misc]
    """The parameters of a request about a task."""

    model_config = ConfigDict(extra="allow")

    taskId: str  # noqa: N815


class Notification:
    """A notification of the extension, which the SDK has no type for."""

    def __init__(self, method: str, params: dict[str, Any]) -> None:
        self._document = {"method": method, "params": params}

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return self._document


class Tools:
    """The tools, their tasks, and the subscriptions to these."""

    def __init__(self) -> None:
        self.background: TaskGroup
        self._tasks: dict[str, dict[str, Any]] = {}
        self._deaf: set[str] = set()
        self._subscriptions: list[tuple[list[str], MemoryObjectSendStream[dict[str, Any]]]] = []

    async def list_tools(self, _: Any, __: Any) -> Any:
        tools = [TYPES.Tool(name=name, input_schema=SCHEMA) for name in ("ask", "long", "façade")]
        return TYPES.ListToolsResult(tools=tools)

    async def call_tool(self, _: Any, params: Any) -> dict[str, Any]:
        task_id, now = f"tâche {len(self._tasks)}", datetime.now(UTC).isoformat()
        task = {"taskId": task_id, "status": "working", "createdAt": now, "lastUpdatedAt": now, "ttlMs": None}
        self._tasks[task_id] = task
        if params.name == "deaf":
            self._deaf.add(task_id)
        self.background.start_soon(self._work, params.name, task_id)
        return {**task, "resultType": "task"}

    async def get(self, _: Any, params: Any) -> dict[str, Any]:
        return {**self._found(params), "resultType": "complete"}

    async def update(self, _: Any, params: Any) -> dict[str, Any]:
        self._found(params)
        self.background.start_soon(self._change, params.taskId, "working")
        return {"resultType": "complete"}

    async def cancel(self, _: Any, params: Any) -> dict[str, Any]:
        if self._found(params)["status"] not in ENDS:
            end = "completed" if params.taskId in self._deaf else "cancelled"
            self.background.start_soon(self._change, params.taskId, end)
        return {"resultType": "complete"}

    async def listen(self, context: Any, params: Any) -> Any:
        ids = [each for each in params.notifications.model_extra["taskIds"] if each in self._tasks]
        meta = {SUBSCRIPTION_ID: context.request_id}
        send, receive = anyio.create_memory_object_stream[dict[str, Any]](100)

        async def notify(method: str, params: dict[str, Any]) -> None:
            notification = Notification(method, {**params, "_meta": meta})
            await context.session.send_notification(notification, related_request_id=context.request_id)

        self._subscriptions.append((ids, send))
        agreed = {"taskIds": ids} if ids else {}
        await notify("notifications/subscriptions/acknowledged", {"notifications": agreed})
        async for task in receive:
            await notify("notifications/tasks", task)
            if task["status"] in ENDS:
                break
        return TYPES.SubscriptionsListenResult(_meta=meta)

    def _found(self, params: Any) -> dict[str, Any]:
        if params.taskId not in self._tasks:
            raise EXCEPTIONS.MCPError(-32602, "Failed to retrieve task: Task not found")
        return self._tasks[params.taskId]

    async def _work(self, tool: str, task_id: str) -> None:
        await anyio.sleep(MOMENT_S)
        if tool == "ask":
            asked = {"why": {"method": "elicitation/create", "params": ASKED}}
            await self._change(task_id, "input_required", inputRequests=asked)
        elif tool not in ("long", "deaf"):
            await self._change(task_id, "completed", result=DONE)

    async def _change(self, task_id: str, status: str, **more: Any) -> None:
        task = self._tasks[task_id]
        task.update(status=status, lastUpdatedAt=datetime.now(UTC).isoformat(), **more)
        for ids, subscription in self._subscriptions:
            if task_id in ids:
                subscription.send_nowait({**task})


def main(port: int) -> None:
    """Serve the tools at /mcp on a port of this machine until the process ends."""
    tools = Tools()
    server = LOWLEVEL.Server(
        "tools",
        on_list_tools=tools.list_tools,
        on_call_tool=tools.call_tool,
        on_subscriptions_listen=tools.listen,
    )
    server.extensions["io.modelcontextprotocol/tasks"] = {}
    for method, handle in (("get", tools.get), ("update", tools.update), ("cancel", tools.cancel)):
        server.add_request_handler(f"tasks/{method}", AboutTask, handle)
    app = server.streamable_http_app()
    start = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None]:
        async with start(app), anyio.create_task_group() as tools.background:
            yield

    app.router.lifespan_context = lifespan
    uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
