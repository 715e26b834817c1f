"""The emulated calls of Browser Use Cloud v4: runs.

Source: the v4 calls Create, Get, Get Status, List and Cancel Run, and the run's fields in the official Python SDK
3.12.1.
"""

from __future__ import annotations

from itertools import dropwhile
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from lifecycle.catalog import V4Event, V4State
from lifecycle_adapters.emulator import script
from lifecycle_adapters.emulator.assumptions import (
    NO_COST_USD,
    PRICE_USD,
    V4_LARGEST_PAGE,
    V4_PAGE,
    V4_RUN_NOT_FOUND,
    V4_SESSION_NOT_FOUND,
)
from lifecycle_adapters.emulator.service import Service
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedTask
from lifecycle_adapters.emulator.v4_shapes import CreateRun, RunCreated, RunList, RunStatus, RunSummary

_CONTEXT_LIMIT = 200_000


class V4Service(Service):
    """The emulated API v4."""

    not_found = V4_RUN_NOT_FOUND
    parameter = "run_id"

    def routes(self) -> list[APIRoute]:
        """Return the routes of v4's calls."""
        binding = self.binding
        return [
            self.route(binding.create, self.create_run, response_model=RunCreated, errors=(400, 404)),
            self.route(binding.status, self.get_run_status, response_model=RunStatus, errors=(404,), view=self.status),
            self.route(binding.details, self.get_run, response_model=RunSummary, errors=(404,), view=self.view),
            self.route(self.list_call, self.list_runs, response_model=RunList),
            *(
                self.route(call, self.cancel_run, response_model=RunSummary, errors=(404, 502))
                for call in self.control_calls()
            ),
        ]

    async def create_run(self, request: Request, body: CreateRun) -> Response:
        """Create a run, in the given session or in a new one."""
        session_id = self.new_id() if body.session_id is None else str(body.session_id)
        if body.session_id is not None and not any(run.given["session_id"] == session_id for run in self.runs()):
            return JSONResponse({"detail": V4_SESSION_NOT_FOUND}, 404)
        given = body.model_dump(mode="json", include={"task", "model", "model_params", "output_schema"})
        given.update(session_id=session_id, workspace_id=str(body.workspace_id or self.new_id()))
        run = self.create(request, text=body.task, script=script.V4_RUN, given=given)
        response = RunCreated(
            id=run.id,
            status=V4State(run.state),
            model=body.model,
            sessionId=session_id,
            workspaceId=given["workspace_id"],
            eventsUrl=f"{self.binding.base_path}/runs/{run.id}/events",
            missingFileIds=[],
            skippedVaultItems=[],
        )
        return JSONResponse(response)

    async def get_run_status(self, request: Request, run_id: UUID) -> Response:
        """Return only a run's status."""
        return JSONResponse(self.status(self.find(request, run_id)))

    async def get_run(self, request: Request, run_id: UUID) -> Response:
        """Return a run."""
        return JSONResponse(self.view(self.find(request, run_id)))

    async def list_runs(
        self,
        session_id: Annotated[UUID | None, Query(alias="sessionId")] = None,
        cursor: Annotated[str | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=V4_LARGEST_PAGE)] = V4_PAGE,
    ) -> Response:
        """Return a page of runs, newest first, beginning after the run that the cursor names."""
        runs = [run for run in self.runs() if session_id is None or run.given["session_id"] == str(session_id)]
        if cursor is not None:
            runs = list(dropwhile(lambda run: run.id != cursor, runs))[1:]
        shown, has_more = runs[:limit], len(runs) > limit
        response = RunList(
            runs=[self.view(run) for run in shown],
            nextCursor=shown[-1].id if has_more else None,
            hasMore=has_more,
        )
        return JSONResponse(response)

    async def cancel_run(self, request: Request, run_id: UUID) -> Response:
        """Cancel a run; return a run that is over unchanged."""
        run = self.find(request, run_id)
        self.command(request, run)
        return JSONResponse(self.view(run))

    def runs(self) -> list[EmulatedTask]:
        """Return all runs, newest first."""
        return self.store.tasks(self.binding.name)

    def status(self, run: EmulatedTask) -> RunStatus:
        """Return only a run's status."""
        return RunStatus(status=V4State(run.state))

    def view(self, run: EmulatedTask) -> RunSummary:
        """Return v4's view of a run."""
        at = self.store.clock.at
        done = run.last(V4Event.COMPLETE) is not None
        result = f"Done: {run.given['task']}" if done else None
        return RunSummary(
            id=run.id,
            task=run.given["task"],
            title=None,
            model=run.given["model"],
            modelParams=run.given["model_params"],
            contextLimit=_CONTEXT_LIMIT,
            status=V4State(run.state),
            result=result,
            output=None,
            outputSchema=run.given["output_schema"],
            error="The run failed" if run.last(V4Event.FAIL) else None,
            sessionId=run.given["session_id"],
            workspaceId=run.given["workspace_id"],
            attachedFileIds=[],
            judgement=None,
            totalInputTokens=1000 if done else 0,
            totalOutputTokens=100 if done else 0,
            totalCostUsd=PRICE_USD if done else NO_COST_USD,
            createdAt=moment(at(run.created_s)),
            updatedAt=moment(at(run.state_since_s)),
        )
