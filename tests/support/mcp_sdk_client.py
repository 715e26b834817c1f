"""The official MCP SDK 2.3 as a client, to be run as a process: `python -m tests.support.mcp_sdk_client NAME URL`.

It prints JSON: what it sees of an emulator of the service of this name. The SDK finds out by itself which revision the
server speaks. It knows the extension for tasks by its name only: what a task is, and the requests about one, are this
module's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import Any, Literal

import httpx2
from pydantic import ConfigDict

SDK: Any = import_module("mcp.client.client")
EXTENSION: Any = import_module("mcp.client.extension")
EXCEPTIONS: Any = import_module("mcp.shared.exceptions")
TYPES: Any = import_module("mcp_types")


class MadeTask(TYPES.Result):  # type: ignore[misc]
    """The result of a tool call that is a task."""

    result_type: Literal["task"] = "task"
    task_id: str


class AboutTask(TYPES.RequestParams):  # type: ignore[misc]
    """The parameters of a request about a task."""

    model_config = ConfigDict(extra="allow")

    taskId: str  # noqa: N815


class Request(TYPES.Request[AboutTask, str]):  # type: ignore[misc]
    """A request about a task, whose id the SDK repeats in a header."""

    name_param = "taskId"

    method: str
    params: AboutTask


class Response(TYPES.Result):  # type: ignore[misc]
    """Any result."""

    model_config = ConfigDict(extra="allow")


class Tasks(EXTENSION.ClientExtension):  # type: ignore[misc]
    """The extension: it waits for the task of a tool call, and gives it what it asks for."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self, url: str) -> None:
        self._url = url
        self.statuses: list[str] = []

    def claims(self) -> list[Any]:
        return [EXTENSION.ResultClaim(result_type="task", model=MadeTask, resolve=self._resolved)]

    async def _resolved(self, made: Any, context: Any) -> Any:
        self._fire(made.task_id, "ask")
        while True:
            task = await sent(context.session, "get", made.task_id)
            self.statuses.append(task["status"])
            if task["status"] == "input_required":
                given = {key: {"action": "accept", "content": {"name": "Luca"}} for key in task["inputRequests"]}
                await sent(context.session, "update", made.task_id, inputResponses=given)
            elif task["status"] == "working":
                self._fire(made.task_id, "complete")
            else:
                return TYPES.CallToolResult.model_validate(task["result"])

    def _fire(self, task_id: str, event: str) -> None:
        httpx2.post(f"{self._url}/_emulator/tasks/{task_id}/events", json={"event": event}).raise_for_status()


async def sent(session: Any, action: str, task_id: str, **fields: Any) -> dict[str, Any]:
    """Send a request about a task, and return the fields of its result."""
    params = AboutTask(taskId=task_id, **fields)
    result = await session.send_request(Request(method=f"tasks/{action}", params=params), Response)
    return {**result.model_extra}


async def use_extension(url: str) -> dict[str, Any]:
    """Return what a client of the extension sees of a server."""
    tasks = Tasks(url)
    async with SDK.Client(url, extensions=[tasks]) as client:
        result = await client.call_tool("work", {"a": 1})
        other = await client.session.call_tool("work", allow_claimed=True)
        await sent(client.session, "cancel", other.task_id)
        try:
            await sent(client.session, "get", "nobody")
            code = None
        except EXCEPTIONS.MCPError as error:
            code = error.code
        return {
            "version": client.protocol_version,
            "extensions": client.server_capabilities.extensions,
            "tools": [tool.name for tool in (await client.list_tools()).tools],
            "statuses": tasks.statuses,
            "result": [part.text for part in result.content],
            "cancelled": (await sent(client.session, "get", other.task_id))["status"],
            "unknown task": code,
        }


async def use_sessions(url: str) -> dict[str, Any]:
    """Return what a client sees of a server of revision 2025-11-25, of which this SDK has everything but the tasks."""
    async with SDK.Client(url) as client:
        try:
            await client.call_tool("work")
            code = None
        except EXCEPTIONS.MCPError as error:
            code = error.code
        return {
            "version": client.protocol_version,
            "tools": {tool.name: tool.execution.task_support for tool in (await client.list_tools()).tools},
            "call without a task": code,
        }


if __name__ == "__main__":
    use = {"mcp": use_sessions, "mcp-extension": use_extension}[sys.argv[1]]
    print(json.dumps(asyncio.run(use(sys.argv[2]))))  # noqa: T201
