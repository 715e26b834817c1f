"""An agent made with the official A2A SDK, to be run as a process: `python -m tests.support.a2a_agent PORT`.

It speaks HTTP and JSON, and JSON-RPC at /rpc.
The text of a message says what the agent does: "ask" makes it ask back once, "long" makes it work until it is
canceled, "deaf" makes it complete when it is asked to cancel. The SDK is imported by name: only `make test-all`
installs it, and its types are generated.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any

import uvicorn
from starlette.applications import Starlette

HTTPX: Any = import_module("httpx")
A2A: Any = import_module("a2a.types.a2a_pb2")
SERVER: Any = import_module("a2a.server.agent_execution")
HANDLERS: Any = import_module("a2a.server.request_handlers")
TASKS: Any = import_module("a2a.server.tasks")
REST: Any = import_module("a2a.server.routes.rest_routes")
JSONRPC: Any = import_module("a2a.server.routes.jsonrpc_routes")


class Work:
    """What the agent does; the SDK's base class is added below, because nothing is known of its type."""

    def __init__(self) -> None:
        self.deaf: set[str] = set()

    async def execute(self, context: Any, events: Any) -> None:
        update = TASKS.TaskUpdater(events, context.task_id, context.context_id)
        if context.current_task is None:
            submitted = A2A.TaskStatus(state=A2A.TASK_STATE_SUBMITTED)
            await events.enqueue_event(A2A.Task(id=context.task_id, context_id=context.context_id, status=submitted))
        await update.start_work()
        text = context.get_user_input()
        if "ask" in text:
            await update.requires_input()
            return
        if "deaf" in text:
            self.deaf.add(context.task_id)
        if "deaf" in text or "long" in text:
            await asyncio.Event().wait()
        await update.add_artifact([A2A.Part(text="done")])
        await update.complete()

    async def cancel(self, context: Any, events: Any) -> None:
        update = TASKS.TaskUpdater(events, context.task_id, context.context_id)
        await (update.complete() if context.task_id in self.deaf else update.cancel())


def main(port: int) -> None:
    """Serve the agent on a port of this machine until the process ends."""
    agent = type("Agent", (Work, SERVER.AgentExecutor), {})()
    skill = A2A.AgentSkill(id="work", name="work", description="works", tags=["work"])
    card = A2A.AgentCard(
        name="agent",
        description="an agent",
        version="1",
        capabilities=A2A.AgentCapabilities(streaming=True, push_notifications=True),
        supported_interfaces=[
            A2A.AgentInterface(url=f"http://127.0.0.1:{port}", protocol_binding="HTTP+JSON", protocol_version="1.0")
        ],
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[skill],
    )
    configs = TASKS.InMemoryPushNotificationConfigStore()
    sender = TASKS.BasePushNotificationSender(HTTPX.AsyncClient(), configs)
    handler = HANDLERS.DefaultRequestHandler(
        agent, TASKS.InMemoryTaskStore(), card, push_config_store=configs, push_sender=sender
    )
    routes = [*REST.create_rest_routes(handler), *JSONRPC.create_jsonrpc_routes(handler, "/rpc")]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
