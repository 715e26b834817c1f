"""The emulated calls of Browser Use Cloud v3: sessions that run tasks.

Source: "Stop Session" and the OpenAPI specification of 2026-08-06. One call creates a session with a task; with a
session's id the same call dispatches another task to that session.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import Body, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from lifecycle.catalog import V3Event, V3State
from lifecycle_adapters.emulator import script
from lifecycle_adapters.emulator.assumptions import NO_COST_USD, PRICE_USD, V3_NOT_IDLE, V3_SESSION_NOT_FOUND
from lifecycle_adapters.emulator.service import Service, field_error
from lifecycle_adapters.emulator.shapes import decimal, moment
from lifecycle_adapters.emulator.task_store import EmulatedTask
from lifecycle_adapters.emulator.v3_shapes import SessionResponse, StopSession, V3RunTask, V3SessionList

_GIVEN = (V3Event.START, V3Event.DISPATCH)
_DONE = (V3Event.COMPLETE, V3Event.CLOSE)


class V3Service(Service):
    """The emulated API v3."""

    not_found = V3_SESSION_NOT_FOUND
    parameter = "session_id"

    def routes(self) -> list[APIRoute]:
        """Return the routes of v3's calls."""
        binding = self.binding
        return [
            self.route(binding.create, self.run_task, response_model=SessionResponse, errors=(400, 404)),
            self.route(
                binding.details, self.get_session, response_model=SessionResponse, errors=(404,), view=self.view
            ),
            self.route(self.list_call, self.list_sessions, response_model=V3SessionList),
            *(
                self.route(call, self.stop_session, response_model=SessionResponse, errors=(400, 404))
                for call in self.control_calls()
            ),
        ]

    async def run_task(self, request: Request, body: V3RunTask) -> Response:
        """Create a session, or dispatch a task to an idle one."""
        if body.session_id is not None:
            return self.dispatch(request, body, body.session_id)
        session = self.create(
            request, text=body.task or "", script=_script(body, first=True), given=body.model_dump(mode="json")
        )
        return JSONResponse(self.view(session))

    def dispatch(self, request: Request, body: V3RunTask, session_id: UUID) -> Response:
        """Dispatch a task to an idle session."""
        if body.task is None:
            raise field_error("task", "Field required", kind="missing")
        events = self.script(body.task, _script(body, first=False))
        session = self.find(request, session_id)
        if not self.command(request, session):
            return JSONResponse({"detail": V3_NOT_IDLE.format(state=session.state)}, 400)
        session.given.update(task=body.task, keep_alive=body.keep_alive, output_schema=body.output_schema)
        self.store.set_script(session, events)
        return JSONResponse(self.view(session))

    async def get_session(self, request: Request, session_id: UUID) -> Response:
        """Return a session."""
        return JSONResponse(self.view(self.find(request, session_id)))

    async def list_sessions(
        self,
        page: Annotated[int, Query(ge=1)] = 1,
        page_size: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """Return a page of sessions, newest first."""
        found = self.store.tasks(self.binding.name)
        shown = found[(page - 1) * page_size : page * page_size]
        sessions = [self.view(session) for session in shown]
        return JSONResponse(V3SessionList(sessions=sessions, total=len(found), page=page, pageSize=page_size))

    async def stop_session(
        self, request: Request, session_id: UUID, body: Annotated[StopSession | None, Body()] = None
    ) -> Response:
        """Stop a session, or only its task; return the session unchanged if there is nothing to stop."""
        del body  # the call log's entry holds the command
        session = self.find(request, session_id)
        self.command(request, session)
        return JSONResponse(self.view(session))

    def view(self, session: EmulatedTask) -> SessionResponse:
        """Return v3's view of a session."""
        given, at = session.given, self.store.clock.at
        done = [each for each in session.transitions if each.event in _DONE]
        cost = str(Decimal(PRICE_USD) * len(done)) if done else NO_COST_USD
        return SessionResponse(
            id=session.id,
            status=V3State(session.state),
            model=given["model"],
            thinkingLevel=given["thinking_level"],
            title=given["task"] if session.last(*_GIVEN) else None,
            output=_output(session, len(done)),
            outputSchema=given["output_schema"],
            stepCount=len(done),
            lastStepSummary=given["task"] if done else None,
            isTaskSuccessful=_is_success(session),
            liveUrl=None,
            recordingUrls=[],
            profileId=given["profile_id"],
            workspaceId=given["workspace_id"],
            proxyCountryCode=given["proxy_country_code"],
            maxCostUsd=None if given["max_cost_usd"] is None else decimal(given["max_cost_usd"]),
            totalInputTokens=1000 * len(done),
            totalOutputTokens=100 * len(done),
            proxyUsedMb=NO_COST_USD,
            llmCostUsd=cost,
            proxyCostUsd=NO_COST_USD,
            browserCostUsd=NO_COST_USD,
            totalCostUsd=cost,
            screenshotUrl=None,
            agentmailEmail=None,
            integrationsUsed=[],
            createdAt=moment(at(session.created_s)),
            updatedAt=moment(at(session.state_since_s)),
        )


def _script(body: V3RunTask, *, first: bool) -> tuple[str, ...]:
    if body.task is None:
        return script.V3_EMPTY
    events = script.V3_TASK_KEPT if body.keep_alive else script.V3_TASK
    return events if first else events[1:]  # a dispatch has already started the task


def _is_done(session: EmulatedTask) -> bool:
    """Return whether the session's last task is done."""
    last = session.last(*_GIVEN, *_DONE)
    return last is not None and last.event in _DONE


def _output(session: EmulatedTask, done: int) -> str | None:
    # The number distinguishes the outputs of two equal tasks.
    return f"Done: {session.given['task']} (task {done} of this session)" if _is_done(session) else None


def _is_success(session: EmulatedTask) -> bool | None:
    if _is_done(session):
        return True
    return False if session.last(V3Event.FAIL) else None
