"""The control calls: requests of a test or a person to the emulator, not to the emulated service.

They need no key and are not in the call log. They have their own OpenAPI document, so that the service's document
describes the service only.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from lifecycle.errors import IllegalTransition, UnknownName
from lifecycle.table import Origin
from lifecycle_adapters.emulator.call_log import CallLog, RecordedCall
from lifecycle_adapters.emulator.calls import Calls
from lifecycle_adapters.emulator.faults import CallFault, Faults
from lifecycle_adapters.emulator.routing import not_allowed
from lifecycle_adapters.emulator.script import require_remote
from lifecycle_adapters.emulator.shapes import Detail, Number, require_document
from lifecycle_adapters.emulator.task_store import LONGEST_ADVANCE_S, EmulatedTask, TaskStore, UnknownTask
from lifecycle_adapters.emulator.webhook_sender import SentWebhook, Webhook, WebhookFault, WebhookSender, WebhookTarget

NOTICE = "The emulator keeps everything in memory and nothing on disk: its data ends with its process."


class TransitionView(BaseModel):
    """One transition of a task, and its time."""

    at: datetime
    event: str
    source: str
    target: str


class TaskView(BaseModel):
    """A task, a run or a session in the emulator.

    `allowed` lists the events that its lifecycle allows now, `remote` those of them that can be fired, `script` the
    remote events that it will still take by itself. `session` is the id of the session that it runs in.
    """

    id: str
    api: str
    lifecycle: str
    state: str
    is_final: bool
    allowed: tuple[str, ...]
    remote: tuple[str, ...]
    script: tuple[str, ...]
    session: str | None
    created_at: datetime
    transitions: list[TransitionView]


class FireEvent(BaseModel):
    """A remote event to apply now."""

    event: str


class SetScript(BaseModel):
    """The remote events that a task takes by itself, in order."""

    events: list[str]


class Advance(BaseModel):
    """The seconds by which to advance the clock."""

    seconds: Annotated[Number, Field(ge=0, le=LONGEST_ADVANCE_S)]


class About(BaseModel):
    """A description of this server and its settings.

    `lifecycles` holds the name of the lifecycle of each service's tasks. `pace_s` is None if no task runs a script.
    """

    notice: str = NOTICE
    lifecycles: dict[str, str]
    pace_s: float | None
    now: datetime


class Control:
    """The operations behind the control calls. Only the event loop that owns the task store may use it."""

    def __init__(
        self,
        store: TaskStore,
        *,
        calls: Calls,
        faults: Faults[CallFault],
        call_log: CallLog,
        webhooks: WebhookSender,
        lifecycles: dict[str, str],
    ) -> None:
        self.store = store
        self.faults = faults
        self.call_log = call_log
        self.webhooks = webhooks
        self.calls = calls
        self.lifecycles = lifecycles

    def about(self) -> About:
        """Return a description of this server."""
        clock = self.store.clock
        return About(lifecycles=self.lifecycles, pace_s=self.store.pace_s, now=clock.at(clock.now_s()))

    def tasks(self, api: str | None = None) -> list[TaskView]:
        """Return the present tasks, runs and sessions, newest first, of all APIs or of one. Raises UnknownName."""
        if api is not None:
            self.calls.binding(api)
        return [self._view(task) for task in self.store.tasks(api)]

    def task(self, task_id: str) -> TaskView:
        """Return one task in its present state. Raises UnknownTask."""
        return self._view(self._find(task_id))

    def fire(self, task_id: str, event: str) -> TaskView:
        """Apply a remote event to a task now.

        Raises:
            UnknownTask: there is no task with this id.
            UnknownName: the task's lifecycle does not declare the event.
            ValueError: the event is a command.
            IllegalTransition: the task's state refuses the event.
        """
        return self._view(self.store.fire(task_id, event))

    def set_script(self, task_id: str, events: list[str]) -> TaskView:
        """Replace a task's script. Raises UnknownTask, UnknownName, and ValueError if an event is a command."""
        task = self._find(task_id)
        for event in events:
            require_remote(task.lifecycle, event)
        self.store.set_script(task, events)
        return self._view(task)

    def advance(self, seconds: float) -> None:
        """Advance the clock. Raises ValueError if `seconds` is negative or the clock would exceed 1e9 s in total."""
        self.store.clock.advance(seconds)
        self.webhooks.schedule_all()

    def reset(self) -> None:
        """Remove every task, fault, call and webhook; restore the initial webhook and keep the clock running."""
        self.store.reset()
        self.faults.clear()
        self.call_log.clear()
        self.webhooks.reset()

    def _find(self, task_id: str) -> EmulatedTask:
        task = self.store.find(task_id)
        if task is None:
            raise UnknownTask(task_id)
        return task

    def _view(self, task: EmulatedTask) -> TaskView:
        at = self.store.clock.at
        return TaskView(
            id=task.id,
            api=task.api,
            lifecycle=task.lifecycle.name,
            state=str(task.state),
            is_final=task.is_over,
            allowed=task.lifecycle.allowed(task.state),
            remote=task.lifecycle.allowed(task.state, origin=Origin.REMOTE),
            script=task.script,
            session=None if task.parent is None else task.parent.id,
            created_at=at(task.created_s),
            transitions=[
                TransitionView(at=at(each.at_s), event=each.event, source=each.source, target=each.target)
                for each in task.transitions
            ],
        )


_MEANINGS = {
    400: "A name that the lifecycle does not declare, a command, too many seconds, or a body that is not text",
    404: "No such task",
    409: "The task's state refuses the event",
}


def _refused(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Detail, "description": _MEANINGS[code]} for code in codes}


@contextmanager
def _refusals() -> Generator[None]:
    """Map the task store's errors to HTTP responses: 404, 409 or 400."""
    try:
        yield
    except UnknownTask as error:
        raise HTTPException(404, str(error)) from error
    except IllegalTransition as error:
        raise HTTPException(409, str(error)) from error
    except ValueError as error:  # an undeclared name, or a command instead of a remote event
        raise HTTPException(400, str(error)) from error


@contextmanager
def _names_in(place: str) -> Generator[None]:
    """Map an unknown name in the query or the body to a 422, as another invalid field."""
    try:
        yield
    except UnknownName as error:
        raise RequestValidationError([{"loc": (place,), "msg": str(error), "type": "value_error"}]) from error


class _Strict(APIRoute):
    """A route that checks the body first, because FastAPI's errors repeat values that JSON cannot hold."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            await require_document(request)
            return await handle(request)

        return strict


async def _invalid(_: Request, error: Exception) -> Response:
    """Return 422 for an invalid request, without FastAPI's copy of the input, which may be bytes that are not text."""
    assert isinstance(error, RequestValidationError)
    found: Sequence[Mapping[str, Any]] = error.errors()
    return JSONResponse({"detail": [{name: each[name] for name in ("loc", "msg", "type")} for each in found]}, 422)


class _ControlApp(FastAPI):
    """The application of the control calls, whose document lists the names of the emulated services."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(
            title="Emulator control", description=NOTICE, generate_unique_id_function=lambda route: route.name
        )
        self._calls = calls

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            apis = [binding.name for binding in self._calls.bindings]
            names = {"api": apis, "command": self._calls.commands(), "method": self._calls.methods()}
            schemas = document["components"]["schemas"]
            fields = [*schemas["CallFault"]["properties"].items(), *schemas["WebhookFault"]["properties"].items()]
            parameters = document["paths"]["/tasks"]["get"]["parameters"]
            for name, schema in (*fields, *((each["name"], each["schema"]) for each in parameters)):
                if name in names:
                    schema["anyOf"][0]["enum"] = names[name]
        assert self.openapi_schema is not None
        return self.openapi_schema


def control_app(control: Control) -> FastAPI:
    """Return the application of the control calls, to be mounted at `PREFIX`."""
    app = _ControlApp(control.calls)
    app.router.route_class = _Strict
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(405, not_allowed)

    @app.get("/")
    async def about() -> About:
        return control.about()

    @app.get("/tasks")
    async def tasks(api: Annotated[str | None, Query()] = None) -> list[TaskView]:
        with _names_in("query"):
            return control.tasks(api)

    @app.get("/tasks/{task_id}", responses=_refused(404))
    async def task(task_id: str) -> TaskView:
        with _refusals():
            return control.task(task_id)

    @app.post("/tasks/{task_id}/events", responses=_refused(400, 404, 409))
    async def fire(task_id: str, body: FireEvent) -> TaskView:
        with _refusals():
            return control.fire(task_id, body.event)

    @app.put("/tasks/{task_id}/script", responses=_refused(400, 404))
    async def set_script(task_id: str, body: SetScript) -> TaskView:
        with _refusals():
            return control.set_script(task_id, body.events)

    @app.get("/faults")
    async def faults() -> list[CallFault]:
        return control.faults.armed()

    @app.post("/faults", status_code=201, responses=_refused(400))
    async def arm(body: CallFault) -> CallFault:
        with _names_in("body"):
            control.faults.arm(body)
        return body

    @app.delete("/faults", status_code=204)
    async def disarm() -> None:
        control.faults.clear()

    @app.get("/calls")
    async def calls() -> list[RecordedCall]:
        return list(control.call_log)

    @app.get("/webhook")
    async def webhook() -> WebhookTarget | None:
        return control.webhooks.webhook

    @app.put("/webhook", responses=_refused(400))
    async def set_webhook(body: Webhook) -> WebhookTarget:
        control.webhooks.set(body)
        return body

    @app.delete("/webhook", status_code=204)
    async def clear_webhook() -> None:
        control.webhooks.set(None)

    @app.get("/webhook/messages")
    async def webhook_messages() -> list[SentWebhook]:
        return list(control.webhooks.messages())

    @app.get("/webhook/faults")
    async def webhook_faults() -> list[WebhookFault]:
        return control.webhooks.faults.armed()

    @app.post("/webhook/faults", status_code=201, responses=_refused(400))
    async def arm_webhook(body: WebhookFault) -> WebhookFault:
        with _names_in("body"):
            control.webhooks.faults.arm(body)
        return body

    @app.delete("/webhook/faults", status_code=204)
    async def disarm_webhook() -> None:
        control.webhooks.faults.clear()

    @app.post("/clock", responses=_refused(400))
    async def advance(body: Advance) -> About:
        with _refusals():
            control.advance(body.seconds)
            return control.about()

    @app.post("/reset", status_code=204)
    async def reset() -> None:
        control.reset()

    return app
