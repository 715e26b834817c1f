"""The operations of a test or a person on the emulator. They are not calls of the emulated services.

Each is declared once, as a method of `Control`. `Emulator` (server.py) inherits them and carries them out in its
server's event loop; `control_app` serves them over HTTP. These control calls need no key and are not in the call log.
They have their own OpenAPI document, so that the services' document describes the services only.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from lifecycle.errors import IllegalTransition, UnknownName
from lifecycle.table import Origin
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.emulator.call_log import CallLog, RecordedCall
from lifecycle_adapters.emulator.calls import PREFIX, Calls
from lifecycle_adapters.emulator.control_models import ControlModel
from lifecycle_adapters.emulator.faults import CallFault, FaultKind, Faults
from lifecycle_adapters.emulator.pushed_messages import (
    SentWebhook,
    Webhook,
    WebhookFault,
    WebhookFaultKind,
    WebhookTarget,
)
from lifecycle_adapters.emulator.routing import SlashRoute, not_allowed, own_path
from lifecycle_adapters.emulator.script import require_events, require_remote
from lifecycle_adapters.emulator.shapes import Detail, Number, PlainId, plain_id, require_document
from lifecycle_adapters.emulator.task_store import LONGEST_ADVANCE_S, EmulatedTask, TaskStore, UnknownTask
from lifecycle_adapters.emulator.webhook_sender import WebhookSender

NOTICE = "The emulator keeps everything in memory and nothing on disk: its data ends with its process."

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)


class TransitionView(BaseModel):
    """One transition of a task, and its time."""

    at: datetime
    event: str
    source: str
    target: str


class TaskView(BaseModel):
    """A task, a run or a session in the emulator.

    `allowed` lists the events that its lifecycle allows now, `remote` those of them that can be fired, `script` the
    remote events that it will take by itself, in order. `session` is the id of the session that it runs in.
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


class FireEvent(ControlModel):
    """A remote event to apply now."""

    event: Annotated[str, Field(description="the name of an event, such as 'finish'")]


class SetScript(ControlModel):
    """The remote events that a task takes by itself, in order."""

    events: Annotated[list[str], Field(description="a list of the names of events, such as ['start', 'fail']")]


class Advance(ControlModel):
    """The seconds by which to advance the clock."""

    seconds: Annotated[
        Number,
        Field(ge=0, le=LONGEST_ADVANCE_S, description=f"a number of seconds, 0 to {LONGEST_ADVANCE_S:g}"),
    ]


class About(BaseModel):
    """A description of this server and its settings.

    `lifecycles` holds the name of the lifecycle of each service's tasks. `pace_s` is None if no task runs a script.
    """

    notice: str = NOTICE
    lifecycles: dict[str, str]
    pace_s: float | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The objects on which the operations act. `lifecycles` are the names of the lifecycles of the services' tasks."""

    store: TaskStore
    calls: Calls
    faults: Faults[CallFault]
    call_log: CallLog
    webhooks: WebhookSender
    lifecycles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlCall:
    """The HTTP call of an operation.

    The operation's parameters are in the path and the query; with a `body` they are the fields of that model, too.
    `errors` are the status codes of refusals: 404 for an unknown task, 409 for an illegal event, 400 for a ValueError,
    which otherwise is a 422.
    """

    method: str
    path: str
    body: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    status_code: int = 200
    function: Callable[..., Any]


Method = Callable[Concatenate["Control", P], R]
CALLS: list[ControlCall] = []
"""The calls of all operations, in the order of their declaration."""


def operation(
    method: str,
    path: str,
    *,
    body: type[BaseModel] | None = None,
    errors: tuple[int, ...] = (),
    status_code: int = 200,
) -> Callable[[Method[P, R]], Method[P, R]]:
    """Declare a method of `Control` as an operation with an HTTP call; in Python `carry_out` runs it."""

    def declare(function: Method[P, R]) -> Method[P, R]:
        call = ControlCall(
            method=method, path=path, body=body, errors=errors, status_code=status_code, function=function
        )
        CALLS.append(call)

        @wraps(function)
        def run(control: Control, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return control.carry_out(partial(function, control, *args, **kwargs))

        return run

    return declare


class Control:
    """The operations. Only the event loop that owns the task store may use these themselves."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def carry_out(self, call: Callable[[], R]) -> R:
        """Call a function that acts on the parts, and return its result."""
        return call()

    @operation("GET", "/")
    def about(self) -> About:
        """Return a description of this server."""
        return self._about()

    @operation("GET", "/tasks")
    def tasks(self, api: str | None = None) -> list[TaskView]:
        """Return the present tasks, runs and sessions, newest first, of all APIs or of one.

        Raises UnknownName if there is no such API, TypeError if `api` is not text.
        """
        if api is not None:
            self.parts.calls.binding(api)
        return [self._view(task) for task in self.parts.store.tasks(api)]

    @operation("GET", "/tasks/{task_id}", errors=(404,))
    def task(self, task_id: PlainId) -> TaskView:
        """Return one task in its present state.

        Raises UnknownTask if there is no task with this id, TypeError if the id is not text.
        """
        return self._view(self._find(task_id))

    @operation("POST", "/tasks/{task_id}/events", body=FireEvent, errors=(400, 404, 409))
    def fire(self, task_id: PlainId, event: str) -> TaskView:
        """Apply a remote event to a task now, and return the task.

        Raises:
            UnknownTask: there is no task with this id.
            UnknownName: the task's lifecycle does not declare the event.
            IllegalTransition: the task's state refuses the event.
            ValueError: the event is a command, which must be sent through the API.
            TypeError: the id or the event is not text.
        """
        task = self._find(task_id)
        require(event, str, "event must be the name of an event")
        return self._view(self.parts.store.fire(task.id, event))

    @operation("PUT", "/tasks/{task_id}/script", body=SetScript, errors=(400, 404))
    def set_script(self, task_id: PlainId, events: Sequence[str]) -> TaskView:
        """Set the remote events that a task takes by itself from now on, in order, and return the task.

        An event that the task's state refuses waits until a later state allows it.

        Raises:
            UnknownTask: there is no task with this id.
            UnknownName: the task's lifecycle does not declare an event.
            TypeError: the id is not text, or the events are not a list or tuple of texts.
            ValueError: an event is a command.
        """
        require_events(events)
        task = self._find(task_id)
        for event in events:
            require_remote(task.lifecycle, event)
        self.parts.store.set_script(task, events)
        return self._view(task)

    @operation("GET", "/faults")
    def faults(self) -> list[CallFault]:
        """Return the armed faults, each with the number of times that remain."""
        return self.parts.faults.armed()

    @operation("POST", "/faults", body=CallFault, status_code=201)
    def fault(self, /, kind: FaultKind | str, **fields: Any) -> CallFault:
        """Arm a fault for the next matching calls, and return it; `fields` are the other fields of `CallFault`.

        Raises:
            UnknownName: there is no such kind, field, API, call, command or method.
            ValueError: a field is invalid, or this kind of fault does not use it; or no call has all that is given.
        """
        fault = _model_of(CallFault, {"kind": kind, **fields})
        self.parts.faults.arm(fault)
        return fault

    @operation("DELETE", "/faults", status_code=204)
    def clear_faults(self) -> None:
        """Disarm every fault."""
        self.parts.faults.clear()

    @operation("GET", "/calls")
    def calls(self) -> list[RecordedCall]:
        """Return the call log: the last 10,000 API calls, oldest first, without control calls."""
        return list(self.parts.call_log)

    @operation("GET", "/webhook")
    def webhook(self) -> WebhookTarget | None:
        """Return the webhook that receives status changes, None if there is none."""
        return self.parts.webhooks.webhook

    @operation("PUT", "/webhook", body=Webhook)
    def set_webhook(self, /, url: str, *, secret: str, **fields: Any) -> WebhookTarget:
        """Send every later status change to `url`, after a ping; `fields` are the other fields of `Webhook`.

        Raises:
            UnknownName: a webhook has no such field.
            ValueError: `url` is not a URL, the secret is empty or not UTF-8, or another field is invalid.
        """
        webhook = _model_of(Webhook, {"url": url, "secret": secret, **fields})
        self.parts.webhooks.set(webhook)
        return webhook

    @operation("DELETE", "/webhook", status_code=204)
    def clear_webhook(self) -> None:
        """Send no more webhooks."""
        self.parts.webhooks.set(None)

    @operation("GET", "/webhook/messages")
    def webhooks(self) -> list[SentWebhook]:
        """Return the last 10,000 webhooks and events of streams with their attempts, oldest first."""
        return list(self.parts.webhooks.messages())

    @operation("GET", "/webhook/faults")
    def webhook_faults(self) -> list[WebhookFault]:
        """Return the armed faults of webhooks, each with the number of times that remain."""
        return self.parts.webhooks.faults.armed()

    @operation("POST", "/webhook/faults", body=WebhookFault, status_code=201)
    def webhook_fault(self, /, kind: WebhookFaultKind | str, **fields: Any) -> WebhookFault:
        """Arm a fault for the next matching webhooks or events of streams, and return it.

        `fields` are the other fields of `WebhookFault`.

        Raises:
            UnknownName: there is no such kind, field, API or channel, or nothing that is pushed has the status.
            ValueError: a field is invalid, or this kind of fault does not use it; or no stream could be cut.
        """
        fault = _model_of(WebhookFault, {"kind": kind, **fields})
        self.parts.webhooks.faults.arm(fault)
        return fault

    @operation("DELETE", "/webhook/faults", status_code=204)
    def clear_webhook_faults(self) -> None:
        """Disarm every fault of webhooks."""
        self.parts.webhooks.faults.clear()

    @operation("POST", "/clock", body=Advance, errors=(400,))
    def advance(self, seconds: float) -> About:
        """Advance the clock: scripted events that fall due in these seconds happen now.

        Raises:
            ValueError: `seconds` is negative, or the clock would exceed 1e9 s in total.
        """
        self.parts.store.clock.advance(seconds)
        self.parts.webhooks.schedule_all()
        return self._about()

    @operation("POST", "/reset", status_code=204)
    def reset(self) -> None:
        """Remove every task, fault, call and webhook, and restore the initial webhook; the clock continues."""
        self.parts.store.reset()
        self.parts.faults.clear()
        self.parts.call_log.clear()
        self.parts.webhooks.reset()

    def _about(self) -> About:
        store, lifecycles = self.parts.store, dict(self.parts.lifecycles)
        return About(lifecycles=lifecycles, pace_s=store.pace_s, now=store.clock.at(store.clock.now_s()))

    def _find(self, task_id: str) -> EmulatedTask:
        require(task_id, str, "task_id must be text")
        task = self.parts.store.find(task_id)
        if task is None:
            raise UnknownTask(task_id)
        return task

    def _view(self, task: EmulatedTask) -> TaskView:
        at = self.parts.store.clock.at
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


def _model_of(model: type[M], fields: Mapping[str, Any]) -> M:
    """Return a model of these fields. Raises UnknownName for an unknown field, ValueError for an invalid one."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        errors = error.errors()
    for each in errors:
        if isinstance(raised := each.get("ctx", {}).get("error"), UnknownName):
            raise raised
    raise ValueError("; ".join(_text_of(each) for each in errors))  # pydantic's own error also shows its kinds of error


def _text_of(error: Mapping[str, Any]) -> str:
    """Return the text of one of pydantic's errors; those of `ControlModel` name the field."""
    return str(error["msg"]).removeprefix("Value error, ")


# --- over HTTP ---------------------------------------------------------------------------------

_MEANINGS = {
    400: "A name that the lifecycle does not declare, a command, too many seconds, or a body that is not text",
    404: "No such task",
    409: "The task's state refuses the event",
}


def _endpoint(control: Control, call: ControlCall) -> Callable[..., Awaitable[Any]]:
    """Return the function that FastAPI calls: it takes the operation's parameters, or its body, and maps its errors."""
    fields = {} if call.body is None else call.body.model_fields
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(call.function, eval_str=True).parameters.values()
        if each.name not in ("self", *fields) and each.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    if call.body is not None:
        own.append(inspect.Parameter("body", inspect.Parameter.KEYWORD_ONLY, annotation=call.body))

    async def endpoint(*, body: BaseModel | None = None, **given: Any) -> Any:
        sent = {} if body is None else {name: getattr(body, name) for name in body.model_fields_set}
        try:
            return call.function(control, **given, **sent)
        except UnknownTask as error:
            raise HTTPException(404, str(error)) from error
        except IllegalTransition as error:
            raise HTTPException(409, str(error)) from error
        except ValueError as error:
            if 400 in call.errors:
                raise HTTPException(400, str(error)) from error
            place = "query" if call.body is None else "body"
            raise RequestValidationError([{"loc": (place,), "msg": str(error), "type": "value_error"}]) from error

    vars(endpoint)["__signature__"] = inspect.Signature(own)
    return endpoint


class _Strict(SlashRoute):
    """A route that checks the body first.

    FastAPI's errors repeat values that JSON cannot hold, and of a key that is twice in an object it takes the last.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            await require_document(request, with_unique_keys=True)
            return await handle(request)

        return strict


def refusal_of_id(scope: Scope) -> Response | None:
    """Return the 422 for a control call with an id in its path that none can name, None for any other request.

    The routes would not even find such a path: in their patterns, a line end is not a character.
    """
    path = own_path(scope)
    if not path.startswith(f"{PREFIX}/"):
        return None
    try:
        plain_id(path)
    except ValueError as error:
        return JSONResponse({"detail": [{"loc": ["path", "task_id"], "msg": str(error), "type": "value_error"}]}, 422)
    return None


async def _invalid(_: Request, error: Exception) -> Response:
    """Return 422 for an invalid request, without FastAPI's copy of the input, which may be bytes that are not text."""
    assert isinstance(error, RequestValidationError)
    found: Sequence[Mapping[str, Any]] = error.errors()
    return JSONResponse(
        {"detail": [{"loc": each["loc"], "msg": _text_of(each), "type": each["type"]} for each in found]}, 422
    )


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
    app = _ControlApp(control.parts.calls)
    app.router.route_class = _Strict
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(405, not_allowed)
    for call in CALLS:
        codes = sorted({*call.errors, *(() if call.body is None else (400,))})  # 400: a body that is not text
        returned = inspect.signature(call.function, eval_str=True).return_annotation
        app.add_api_route(
            call.path.replace("{task_id}", "{task_id:path}"),  # an id may have slashes
            _endpoint(control, call),
            methods=[call.method],
            name=call.function.__name__,
            description=(inspect.getdoc(call.function) or "").partition("\n\n")[0],
            status_code=call.status_code,
            response_model=returned,
            responses={code: {"model": Detail, "description": _MEANINGS[code]} for code in codes},
        )
    return app
