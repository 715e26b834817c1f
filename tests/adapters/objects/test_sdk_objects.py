"""Objects as users have them: the official client of A2A over an agent of the official SDK, and Temporal's handles.

Temporal's client needs a server, so an object with the same methods and exceptions stands for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from lifecycle import A2A, A2AState, CommandRefused, CommandUncertain, MemoryJournal, TaskEndedFirst
from lifecycle_adapters.objects import AsyncObjectClient, Meaning, ObjectClient, ObjectError
from tests.adapters.objects.worlds import QUICK
from tests.support.pages import examples


class Code(Enum):
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNAVAILABLE = 14


class RPCError(Exception):
    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.status = code


class Workflows:
    """Workflows of a Temporal server: `cancel` does what a test says."""

    def __init__(self, cancel: Callable[[Workflows], None]) -> None:
        self.status, self.cancels, self._cancel = "RUNNING", 0, cancel

    def get_workflow_handle(self, workflow_id: str) -> Any:
        async def describe() -> Any:
            if workflow_id != "order-5":
                raise RPCError(Code.NOT_FOUND)
            return SimpleNamespace(status=SimpleNamespace(name=self.status))

        async def cancel() -> None:
            self.cancels += 1
            self._cancel(self)

        return SimpleNamespace(describe=describe, cancel=cancel)


def page() -> dict[str, Any]:
    """Return what the page's program about Temporal defines."""
    [program] = [each.text for each in examples("docs/how-to/govern-without-http.md") if "def over(" in each.text]
    names: dict[str, Any] = {}
    exec(program, names)
    return names


def cancel(workflows: Workflows, cancel_of: Any = None) -> Any:
    """Cancel the workflow by the client that the page makes."""
    return asyncio.run(page()["over"](workflows, timing=QUICK).task(cancel_of or "order-5").cancel())


def test_command_in_an_activity_that_runs_again_is_sent_once() -> None:
    def end(workflows: Workflows) -> None:
        workflows.status = "CANCELED"

    workflows, journal = Workflows(end), MemoryJournal()

    states = [asyncio.run(page()["command"](workflows, journal, "order-5", "cancel", "activity-1")) for _ in range(2)]

    assert (states, workflows.cancels) == (["CANCELED", "CANCELED"], 1)


def test_cancel_of_a_workflow_that_is_carried_out_without_a_response_succeeds() -> None:
    def lose(workflows: Workflows) -> None:
        workflows.status = "CANCELED"
        raise RPCError(Code.UNAVAILABLE)

    workflows = Workflows(lose)

    assert cancel(workflows).state == "CANCELED"
    assert workflows.cancels == 1


def test_workflow_that_completes_instead_was_not_canceled() -> None:
    def complete(workflows: Workflows) -> None:
        workflows.status = "COMPLETED"

    with pytest.raises(TaskEndedFirst):
        cancel(Workflows(complete))


def test_workflow_that_ignores_its_cancellation_is_uncertain() -> None:
    with pytest.raises(CommandUncertain):
        cancel(Workflows(lambda _: None))


def test_limit_of_a_server_is_waited_for() -> None:
    def limit_once(workflows: Workflows) -> None:
        if workflows.cancels == 1:
            raise RPCError(Code.RESOURCE_EXHAUSTED)
        workflows.status = "CANCELED"

    assert cancel(Workflows(limit_once)).state == "CANCELED"


def test_unknown_workflow_is_not_found() -> None:
    with pytest.raises(ObjectError) as raised:
        cancel(Workflows(lambda _: None), "order-6")
    assert raised.value.meaning is Meaning.NOT_FOUND


class ClientError(Exception):
    """The shape of botocore's: one class, whose code is in its response."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


@pytest.mark.parametrize(
    ("code", "sent"), [("ThrottlingException", 2), ("ValidationException", 1), ("ExecutionDoesNotExist", 1)]
)
def test_codes_of_boto3_have_the_meanings_of_the_page(code: str, sent: int) -> None:
    [program] = [each.text for each in examples("docs/how-to/govern-without-http.md") if "CODES.get(resp" in each.text]
    page: dict[str, Any] = {}
    exec(program, page)
    executions = {"t1": "TASK_STATE_WORKING"}
    errors = [ClientError(code)]
    calls: list[str] = []

    def stop_execution(task_id: str, command: str) -> None:
        calls.append(command)
        if errors:
            raise errors.pop()
        executions[task_id] = "TASK_STATE_CANCELED"

    client = ObjectClient(
        A2A, read=executions.__getitem__, send=stop_execution, meanings=page["meanings"], timing=QUICK
    )
    with suppress(CommandRefused):
        client.task("t1").cancel()

    assert len(calls) == sent
    assert executions["t1"].endswith("CANCELED" if sent == 2 else "WORKING")


@pytest.mark.heavy
def test_official_a2a_client_over_an_official_agent() -> None:
    a2a: Any = import_module("a2a.types.a2a_pb2")
    sdk: Any = import_module("a2a.client")
    errors: Any = import_module("a2a.utils.errors")
    httpx: Any = import_module("httpx")
    support: Any = import_module("tests.support.a2a_agent")
    starlette: Any = import_module("starlette.applications")
    url = "http://agent.test"
    interface = a2a.AgentInterface(url=url, protocol_binding="HTTP+JSON", protocol_version="1.0")
    card = a2a.AgentCard(name="agent", version="1", supported_interfaces=[interface])

    async def use() -> None:
        agent = type("Agent", (support.Work, support.SERVER.AgentExecutor), {})()
        handler = support.HANDLERS.DefaultRequestHandler(agent, support.TASKS.InMemoryTaskStore(), card)
        app = starlette.Starlette(routes=support.REST.create_rest_routes(handler))
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url)
        settings = {"streaming": False, "polling": True, "supported_protocol_bindings": ["HTTP+JSON"]}
        official: Any = sdk.ClientFactory(sdk.ClientConfig(httpx_client=http, **settings)).create(card)
        lost = [TimeoutError("the response was lost")]

        async def message(text: str, **more: Any) -> Any:
            said = a2a.Message(message_id=text, role=a2a.ROLE_USER, parts=[a2a.Part(text=text)], **more)
            request = a2a.SendMessageRequest(
                message=said, configuration=a2a.SendMessageConfiguration(return_immediately=True)
            )
            (event,) = [each async for each in official.send_message(request)]
            return event.task.id

        async def read(task_id: str) -> Any:
            return a2a.TaskState.Name((await official.get_task(a2a.GetTaskRequest(id=task_id))).status.state)

        async def send(task_id: str, command: str, parts: Any = ()) -> None:
            if command == "answer":
                await message(parts[0]["text"], task_id=task_id)
            else:
                await official.cancel_task(a2a.CancelTaskRequest(id=task_id))
            if lost:
                raise lost.pop()

        meanings = {errors.TaskNotFoundError: Meaning.NOT_FOUND, errors.TaskNotCancelableError: Meaning.REFUSED}
        client = AsyncObjectClient(A2A, read=read, send=send, create=message, meanings=meanings, timing=QUICK)

        long = await client.create(text="long")
        assert (await long.cancel()).state == A2AState.CANCELED
        asking = await client.create(text="ask")
        assert (await asking.wait("settled", timeout_s=10)).state == A2AState.INPUT_REQUIRED
        await asking.answer([{"text": "go"}])
        assert (await asking.wait("final", timeout_s=10)).state == A2AState.COMPLETED
        with pytest.raises(ObjectError) as raised:
            await client.task("nobody").status()
        assert raised.value.meaning is Meaning.NOT_FOUND
        await official.close()

    asyncio.run(use())
