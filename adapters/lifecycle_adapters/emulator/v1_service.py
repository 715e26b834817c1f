"""The emulated calls of Browser Use Cloud v1.

Source: the v1 documents of the control, create, status, details, list and ping calls. The errors have pydantic 1's
shape, because the service was written at its time.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from fastapi import Query, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from lifecycle.catalog import V1Event, V1State
from lifecycle_adapters.emulator import script
from lifecycle_adapters.emulator.assumptions import V1_LARGEST_PAGE, v1_refusal
from lifecycle_adapters.emulator.service import Service
from lifecycle_adapters.emulator.shapes import Moment, moment
from lifecycle_adapters.emulator.task_store import EmulatedTask
from lifecycle_adapters.http.call import Call

PING = Call(method="GET", path="/ping")
"""The only call that needs no key. It is neither a command nor a read of a task, hence not in the binding."""


class V1RunTask(BaseModel):
    """The text of the task to run."""

    task: str


class Nothing(TypedDict):
    """An empty object."""


class Created(TypedDict):
    """The new task."""

    id: str


class Step(TypedDict):
    """One step of the agent."""

    id: str
    step: int
    evaluation_previous_goal: str
    next_goal: str
    url: str


class V1TaskItem(TypedDict):
    """A task, without its steps."""

    id: str
    task: str
    output: str | None
    status: V1State
    created_at: Moment
    finished_at: NotRequired[Moment | None]
    live_url: NotRequired[str | None]


class TaskDetails(V1TaskItem):
    """A task."""

    steps: list[Step]


class V1TaskList(TypedDict):
    """A page of tasks."""

    tasks: list[V1TaskItem]
    total_pages: int
    page: int
    limit: int
    total_count: int


class V1Service(Service):
    """The emulated API v1."""

    def routes(self) -> list[APIRoute]:
        """Return the routes of v1's calls."""
        binding = self.binding
        return [
            self.route(PING, self.ping, response_model=Nothing, open_to_all=True),
            self.route(binding.create, self.run_task, response_model=Created, errors=(400, 429)),
            self.route(binding.status, self.get_task_status, response_model=V1State, errors=(404,), view=self.status),
            self.route(binding.details, self.get_task, response_model=TaskDetails, errors=(404,), view=self.details),
            self.route(self.list_call, self.list_tasks, response_model=V1TaskList),
            *(
                self.route(call, self.control, name=f"{command}_task", response_model=Nothing, errors=(400, 404))
                for command, call in binding.commands.items()
            ),
        ]

    def new_id(self) -> str:
        """Return an opaque id: `task_` and 16 hexadecimal digits."""
        return f"task_{secrets.token_hex(8)}"

    async def ping(self) -> Response:
        """Return an empty object if the service is up."""
        return JSONResponse({})

    async def run_task(self, request: Request, body: V1RunTask) -> Response:
        """Create a task."""
        given = {"task": body.task}
        task = self.create(request, text=body.task, script=script.V1_TASK, given=given)
        return JSONResponse(Created(id=task.id))

    async def get_task_status(self, request: Request, task_id: str) -> Response:
        """Return only a task's status."""
        return JSONResponse(self.status(self.find(request, task_id)))

    async def get_task(self, request: Request, task_id: str) -> Response:
        """Return a task."""
        return JSONResponse(self.details(self.find(request, task_id)))

    async def list_tasks(
        self,
        page: Annotated[int, Query(ge=1)] = 1,
        limit: Annotated[int, Query(ge=1, le=V1_LARGEST_PAGE)] = 10,
    ) -> Response:
        """Return a page of tasks, newest first."""
        tasks = self.store.tasks(self.binding.name)
        shown = tasks[(page - 1) * limit : page * limit]
        response = V1TaskList(
            tasks=[self.item(task) for task in shown],
            total_pages=-(-len(tasks) // limit),
            page=page,
            limit=limit,
            total_count=len(tasks),
        )
        return JSONResponse(response)

    async def control(self, request: Request, task_id: str) -> Response:
        """Pause, resume or stop a task; the path names the command."""
        task = self.find(request, task_id)
        if self.command(request, task):
            return JSONResponse({})
        return JSONResponse({"detail": v1_refusal(self.lifecycle, task.state, self.command_of(request))}, 400)

    def status(self, task: EmulatedTask) -> V1State:
        """Return a task's status."""
        return V1State(task.state)

    def details(self, task: EmulatedTask) -> TaskDetails:
        """Return v1's view of a task."""
        return TaskDetails(**self.item(task), steps=_steps(task))

    def item(self, task: EmulatedTask) -> V1TaskItem:
        """Return a task's entry in a list."""
        at = self.store.clock.at
        return V1TaskItem(
            id=task.id,
            task=task.given["task"],
            output=f"Done: {task.given['task']}" if task.last(V1Event.FINISH) else None,
            status=V1State(task.state),
            created_at=moment(at(task.created_s)),
            finished_at=None if task.ended_s is None else moment(at(task.ended_s)),
            live_url=None,
        )

    def invalid(self, errors: Sequence[Mapping[str, Any]]) -> Any:
        """Return the `detail` of a 422 in the shape of pydantic 1."""
        return [_as_pydantic_1(error) for error in errors]


def _steps(task: EmulatedTask) -> list[Step]:
    if task.last(V1Event.FINISH) is None:
        return []
    step = Step(id=f"{task.id}_1", step=1, evaluation_previous_goal="", next_goal=task.given["task"], url="about:blank")
    return [step]


# fmt: off
_PYDANTIC_1: Mapping[str, tuple[str, str]] = {
    "missing":               ("field required",                                         "value_error.missing"),
    "string_type":           ("str type expected",                                      "type_error.str"),
    "int_parsing":           ("value is not a valid integer",                           "type_error.integer"),
    "int_parsing_size":      ("value is not a valid integer",                           "type_error.integer"),
    "greater_than_equal":    ("ensure this value is greater than or equal to {ge}",     "value_error.number.not_ge"),
    "less_than_equal":       ("ensure this value is less than or equal to {le}",        "value_error.number.not_le"),
    "model_attributes_type": ("value is not a valid dict",                              "type_error.dict"),
    "json_invalid":          ("{error}",                                                "value_error.jsondecode"),
}
# fmt: on


def _as_pydantic_1(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error in pydantic 1's words; an error that pydantic 1 did not have keeps its own."""
    message, kind = _PYDANTIC_1.get(error["type"], (error["msg"], "value_error"))
    return {"loc": list(error["loc"]), "msg": message.format(**error.get("ctx", {})), "type": kind}
