"""The emulation of Browser Use Cloud v1 beyond its binding: data and pure functions.

Source: the v1 documents of the control, create, status, details, list and ping calls. The errors have pydantic 1's
shape, because the service dates from the time of that version.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from fastapi import Query
from pydantic import BaseModel
from typing_extensions import TypedDict

from lifecycle.catalog import V1Event, V1State
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import VerdictKind
from lifecycle_adapters.emulator.profile import NewTask, Operation, Outcome, OwnCall, Profile, Refusal, Tasks
from lifecycle_adapters.emulator.shapes import Moment, moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.services.assumptions import V1_STOPPED_ALREADY
from lifecycle_adapters.services.browser_use_webhooks import ping, status_update

# List Tasks: the defaults and the minimums; Pagination: "limit: Maximum 100 items per page"; Ordering: "Tasks are
# ordered by creation date (newest first)."
_PAGE = (Annotated[int, Query(ge=1)], 1)
_LIMIT = (Annotated[int, Query(ge=1, le=100)], 10)

PING = Call(method="GET", path="/ping")
"""The only call that needs no key. It is neither a command nor a read of a task, hence not in the binding."""


class V1RunTask(BaseModel):
    """The text of the task to run, and what its webhooks repeat."""

    task: str
    metadata: dict[str, Any] | None = None


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


def _new(body: V1RunTask, _: Tasks, __: Mapping[str, str]) -> NewTask:
    return NewTask(given={"task": body.task, "metadata": body.metadata or {}})


def _nothing(_: Tasks, __: EmulatedClock) -> Outcome:
    return Outcome(Nothing())


def _created(task: EmulatedTask, _: EmulatedClock) -> Created:
    return Created(id=task.id)


def _status(task: EmulatedTask, _: EmulatedClock) -> V1State:
    return V1State(task.state)


def _details(task: EmulatedTask, clock: EmulatedClock) -> TaskDetails:
    return TaskDetails(**_item(task, clock), steps=_steps(task))


def _item(task: EmulatedTask, clock: EmulatedClock) -> V1TaskItem:
    return V1TaskItem(
        id=task.id,
        task=task.given["task"],
        output=f"Done: {task.given['task']}" if task.last(V1Event.FINISH) else None,
        status=V1State(task.state),
        created_at=moment(clock.at(task.created_s)),
        finished_at=None if task.ended_s is None else moment(clock.at(task.ended_s)),
        live_url=None,
    )


def _steps(task: EmulatedTask) -> list[Step]:
    if task.last(V1Event.FINISH) is None:
        return []
    step = Step(id=f"{task.id}_1", step=1, evaluation_previous_goal="", next_goal=task.given["task"], url="about:blank")
    return [step]


def _listed(tasks: Sequence[EmulatedTask], clock: EmulatedClock, *, page: int, limit: int) -> V1TaskList:
    return V1TaskList(
        tasks=[_item(task, clock) for task in tasks[(page - 1) * limit : page * limit]],
        total_pages=-(-len(tasks) // limit),
        page=page,
        limit=limit,
        total_count=len(tasks),
    )


def _refused(lifecycle: Lifecycle[Any, Any], task: EmulatedTask, command: str) -> Refusal:
    verdict = lifecycle.judge(task.state, command)
    is_stopped = verdict.kind is VerdictKind.REDUNDANT and lifecycle.is_terminating(command)
    return Refusal(400, {"detail": V1_STOPPED_ALREADY if is_stopped else verdict.reason})


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


# fmt: off
PROFILE = Profile(
    webhook=status_update,
    ping=ping,
    operations={
        "create": Operation(
            name="run_task", about="Create a task.", response=Created, errors=(400, 429), body=V1RunTask),
        "status": Operation(
            name="get_task_status", about="Return only a task's status.", response=V1State, errors=(404,)),
        "details": Operation(name="get_task", about="Return a task.", response=TaskDetails, errors=(404,)),
        "list": Operation(
            name="list_tasks", about="Return a page of tasks, newest first.", response=V1TaskList,
            query={"page": _PAGE, "limit": _LIMIT}),
        **{
            str(command): Operation(
                name=f"{command}_task", about="Pause, resume or stop a task; the path names the command.",
                response=Nothing, errors=(400, 404))
            for command in (V1Event.PAUSE, V1Event.RESUME, V1Event.STOP)
        },
    },
    own_calls=(
        OwnCall(
            call=PING,
            operation=Operation(name="ping", about="Return an empty object if the service is up.", response=Nothing),
            respond=_nothing,
            is_open=True,
        ),
    ),
    new_id=lambda: f"task_{secrets.token_hex(8)}",
    new=_new,
    created=_created,
    status=_status,
    details=_details,
    listed=_listed,
    commanded=lambda _task, _clock: {},
    refused=_refused,
    shown_error=_as_pydantic_1,
)
# fmt: on
