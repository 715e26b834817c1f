"""The emulated calls of Browser Use Cloud v2: tasks, and the sessions that they run in.

Source: "Update Task" and the OpenAPI specification of 2026-08-06, whose texts the errors repeat. The two lifecycles
interact in three places: a task needs an active session that runs no other task, a session that ends also ends its
tasks (task_store.py), and one of the two stop commands of a task stops both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from lifecycle.catalog import V2Event, V2SessionState, V2State
from lifecycle_adapters.emulator import script
from lifecycle_adapters.emulator.assumptions import NO_COST_USD, PRICE_USD
from lifecycle_adapters.emulator.service import Service, recorded_call
from lifecycle_adapters.emulator.shapes import DateTime, moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.emulator.v2_shapes import (
    CreateSession,
    CreateTask,
    SessionItem,
    SessionView,
    TaskCreated,
    TaskStatus,
    TaskStep,
    UpdateSession,
    UpdateTask,
    V2SessionList,
    V2TaskItem,
    V2TaskList,
    V2TaskView,
)

SESSION_NOT_FOUND = "Session not found"
SESSION_STOPPED = "Browser session is stopped. Please start a new session and try again."
SESSION_BUSY = "Agent session already has a running task. Please wait for it to finish or stop it manually."

_DEFAULT_SESSION = CreateSession()
PageSize = Annotated[int, Query(alias="pageSize", ge=1, le=100)]
PageNumber = Annotated[int, Query(alias="pageNumber", ge=1)]


class V2SessionService(Service):
    """The emulated sessions of v2."""

    not_found = SESSION_NOT_FOUND
    parameter = "session_id"

    def routes(self) -> list[APIRoute]:
        """Return the routes of the calls on v2's sessions."""
        binding = self.binding
        return [
            self.route(
                binding.create, self.create_session, response_model=SessionItem, status_code=201, errors=(400, 429)
            ),
            self.route(binding.details, self.get_session, response_model=SessionView, errors=(404,), view=self.view),
            self.route(self.list_call, self.list_sessions, response_model=V2SessionList),
            *(
                self.route(call, self.update_session, response_model=SessionView, errors=(400, 404))
                for call in self.control_calls()
            ),
        ]

    async def create_session(self, request: Request, body: CreateSession = _DEFAULT_SESSION) -> Response:
        """Create a session without a task."""
        session = self.open(body)
        call = recorded_call(request)
        call.task, call.state_after = session.id, str(session.state)
        return JSONResponse(self.item(session), 201)

    async def get_session(self, request: Request, session_id: UUID) -> Response:
        """Return a session with its tasks."""
        return JSONResponse(self.view(self.find(request, session_id)))

    async def list_sessions(
        self,
        page_size: PageSize = 10,
        page_number: PageNumber = 1,
        filter_by: Annotated[V2SessionState | None, Query(alias="filterBy")] = None,
    ) -> Response:
        """Return a page of sessions, newest first."""
        found = [each for each in self.store.tasks(self.binding.name) if filter_by in (None, each.state)]
        shown = found[(page_number - 1) * page_size : page_number * page_size]
        response = V2SessionList(
            items=[self.item(session) for session in shown],
            totalItems=len(found),
            pageNumber=page_number,
            pageSize=page_size,
        )
        return JSONResponse(response)

    async def update_session(self, request: Request, session_id: UUID, body: UpdateSession) -> Response:
        """Stop a session and its tasks; return a session that is over unchanged."""
        del body  # the call log's entry holds the command
        session = self.find(request, session_id)
        self.command(request, session)
        return JSONResponse(self.view(session))

    def open(self, wanted: CreateSession) -> EmulatedTask:
        """Create a session."""
        return self.store.add(
            task_id=self.new_id(),
            api=self.binding.name,
            lifecycle=self.lifecycle,
            script=script.V2_SESSION if wanted.keep_alive else script.V2_SESSION_CLOSING,
            given={"persistMemory": wanted.persist_memory, "keepAlive": wanted.keep_alive},
            ends_children_by=V2Event.STOP,
            after_children=True,
        )

    def item(self, session: EmulatedTask) -> SessionItem:
        """Return a session's entry in a list."""
        clock = self.store.clock
        return SessionItem(
            id=session.id,
            status=V2SessionState(session.state),
            liveUrl=None,
            recordingUrl=None,
            startedAt=moment(clock.at(session.created_s)),
            finishedAt=_at(clock, session.ended_s),
            persistMemory=session.given["persistMemory"],
            keepAlive=session.given["keepAlive"],
            proxyUsedMb=NO_COST_USD,
            proxyCost=NO_COST_USD,
        )

    def view(self, session: EmulatedTask) -> SessionView:
        """Return a session with its tasks."""
        tasks = [task_item(task, self.store.clock) for task in session.children]
        return SessionView(**self.item(session), tasks=tasks, publicShareUrl=None)


class V2Service(Service):
    """The emulated tasks of v2. `sessions` is the service of the sessions that they run in."""

    def __init__(self, *args: Any, sessions: V2SessionService, **more: Any) -> None:
        super().__init__(*args, **more)
        self.sessions = sessions

    def routes(self) -> list[APIRoute]:
        """Return the routes of the calls on v2's tasks."""
        binding = self.binding
        return [
            self.route(
                binding.create, self.create_task, response_model=TaskCreated, status_code=202, errors=(400, 404, 429)
            ),
            self.route(
                binding.status, self.get_task_status, response_model=TaskStatus, errors=(404,), view=self.status
            ),
            self.route(binding.details, self.get_task, response_model=V2TaskView, errors=(404,), view=self.view),
            self.route(self.list_call, self.list_tasks, response_model=V2TaskList),
            *(
                self.route(call, self.update_task, response_model=V2TaskView, errors=(400, 404))
                for call in self.control_calls()
            ),
        ]

    async def create_task(self, request: Request, body: CreateTask) -> Response:
        """Create a task, in the given session or in a new one."""
        events = self.script(body.task, script.V2_TASK)  # first, so that a refused task leaves no session behind
        session = self.sessions.open(_DEFAULT_SESSION) if body.session_id is None else self.session(body.session_id)
        if session is None:
            return JSONResponse({"detail": SESSION_NOT_FOUND}, 404)
        if session.is_over:
            return JSONResponse({"detail": SESSION_STOPPED}, 400)
        if not all(task.is_over for task in session.children):
            return JSONResponse({"detail": SESSION_BUSY}, 400)
        given = {"task": body.task, "llm": body.llm, "metadata": body.metadata or {}}
        task = self.create(request, text=body.task, script=events, given=given, parent=session)
        return JSONResponse(TaskCreated(id=task.id, sessionId=session.id), 202)

    async def get_task_status(self, request: Request, task_id: UUID) -> Response:
        """Return a task's short view, for polling."""
        return JSONResponse(self.status(self.find(request, task_id)))

    async def get_task(self, request: Request, task_id: UUID) -> Response:
        """Return a task."""
        return JSONResponse(self.view(self.find(request, task_id)))

    async def list_tasks(
        self,
        *,
        page_size: PageSize = 10,
        page_number: PageNumber = 1,
        session_id: Annotated[UUID | None, Query(alias="sessionId")] = None,
        filter_by: Annotated[V2State | None, Query(alias="filterBy")] = None,
        after: Annotated[DateTime | None, Query()] = None,
        before: Annotated[DateTime | None, Query()] = None,
    ) -> Response:
        """Return a page of tasks, newest first, filtered by session, state and time of creation."""
        clock = self.store.clock
        found = [
            task
            for task in self.store.tasks(self.binding.name)
            if (session_id is None or _session_of(task).id == str(session_id))
            and filter_by in (None, task.state)
            and (after is None or clock.at(task.created_s) >= _utc(after))
            and (before is None or clock.at(task.created_s) <= _utc(before))
        ]
        shown = found[(page_number - 1) * page_size : page_number * page_size]
        response = V2TaskList(
            items=[task_item(task, clock) for task in shown],
            totalItems=len(found),
            pageNumber=page_number,
            pageSize=page_size,
        )
        return JSONResponse(response)

    async def update_task(self, request: Request, task_id: UUID, body: UpdateTask) -> Response:
        """Stop a task, or a task and its session; return a task that is over unchanged."""
        del body  # the call log's entry holds the command
        task = self.find(request, task_id)
        companion = self.binding.proofs.get(self.command_of(request))
        if self.command(request, task) and companion is not None:
            self.store.command(_session_of(task), companion.event)
        return JSONResponse(self.view(task))

    def status(self, task: EmulatedTask) -> TaskStatus:
        """Return a task's short view, for polling."""
        return task_status(task, self.store.clock)

    def view(self, task: EmulatedTask) -> V2TaskView:
        """Return a task."""
        return V2TaskView(**task_item(task, self.store.clock), steps=_steps(task), outputFiles=[])

    def session(self, session_id: UUID) -> EmulatedTask | None:
        """Return a session, or None."""
        return self.store.find(str(session_id), api=self.sessions.binding.name)


def task_status(task: EmulatedTask, clock: EmulatedClock) -> TaskStatus:
    """Return a task's short view, for polling."""
    finished = task.last(V2Event.FINISH) is not None
    return TaskStatus(
        id=task.id,
        status=V2State(task.state),
        output=f"Done: {task.given['task']}" if finished else None,
        finishedAt=_at(clock, task.ended_s),
        isSuccess=_is_success(task),
        cost=PRICE_USD if finished else None,
    )


def task_item(task: EmulatedTask, clock: EmulatedClock) -> V2TaskItem:
    """Return a task's entry in a list."""
    started = task.last(V2Event.START)
    return V2TaskItem(
        **task_status(task, clock),
        sessionId=_session_of(task).id,
        llm=task.given["llm"],
        task=task.given["task"],
        createdAt=moment(clock.at(task.created_s)),
        startedAt=_at(clock, None if started is None else started.at_s),
        metadata=task.given["metadata"],
        browserUseVersion=None,
        judgement=None,
        judgeVerdict=None,
        suggestions=None,
    )


def _steps(task: EmulatedTask) -> list[TaskStep]:
    started, finished = task.last(V2Event.START), task.last(V2Event.FINISH)
    if started is None or finished is None:
        return []
    step = TaskStep(
        number=1,
        memory="",
        evaluationPreviousGoal="",
        nextGoal=task.given["task"],
        url="about:blank",
        screenshotUrl=None,
        actions=[],
        duration=finished.at_s - started.at_s,
    )
    return [step]


def _is_success(task: EmulatedTask) -> bool | None:
    if task.last(V2Event.FINISH) is not None:
        return True
    return False if task.last(V2Event.FAIL) is not None else None


def _session_of(task: EmulatedTask) -> EmulatedTask:
    assert task.parent is not None, "every v2 task runs in a session"
    return task.parent


def _at(clock: EmulatedClock, seconds: float | None) -> str | None:
    return None if seconds is None else moment(clock.at(seconds))


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
