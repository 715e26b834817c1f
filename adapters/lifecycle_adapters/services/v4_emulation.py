"""The emulation of Browser Use Cloud v4 beyond its binding: data and pure functions.

Source: the OpenAPI specification of 2026-07-26, and the run's fields in the official Python SDK 3.12.1, which also
handles 402 after a create and 503 with Retry-After after a cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile
from typing import Annotated, Any
from uuid import UUID

from fastapi import HTTPException, Query

from lifecycle.catalog import V4Event, V4State
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.documents import NO_COST_USD, PRICE_USD
from lifecycle_adapters.emulator.profile import NewTask, Operation, Profile, Refusal, Tasks, new_uuid
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services.assumptions import V4_RUN_NOT_FOUND, V4_SESSION_NOT_FOUND, V4_WORKSPACE_NOT_FOUND
from lifecycle_adapters.services.browser_use_webhooks import ping, status_update
from lifecycle_adapters.services.v4 import V4
from lifecycle_adapters.services.v4_shapes import CreateRun, RunCreated, RunList, RunStatus, RunSummary

ACTIVE_RUN = "The session already has an active run."  # Create Run: 409
MALFORMED_CURSOR = "Malformed pagination cursor."  # List Runs: 400

_CONTEXT_LIMIT = 200_000
_PAGE = 50  # List Runs: the default of `limit`, which has no maximum


def _new(body: CreateRun, tasks: Tasks) -> NewTask | Refusal:
    runs = tasks.tasks(V4.name) if body.session_id or body.workspace_id else []
    of_session = [run for run in runs if run.given["session_id"] == str(body.session_id)]
    if body.session_id is not None and not of_session:
        return Refusal(404, {"detail": V4_SESSION_NOT_FOUND})
    if body.workspace_id is not None and all(run.given["workspace_id"] != str(body.workspace_id) for run in runs):
        return Refusal(404, {"detail": V4_WORKSPACE_NOT_FOUND})
    if not all(run.is_over for run in of_session):
        return Refusal(409, {"detail": ACTIVE_RUN})
    given = body.model_dump(mode="json", include={"task", "model", "model_params", "output_schema"})
    workspace_id = of_session[0].given["workspace_id"] if of_session else new_uuid()
    places = {"session_id": str(body.session_id or new_uuid()), "workspace_id": str(body.workspace_id or workspace_id)}
    return NewTask(given={**given, **places})


def _created(run: EmulatedTask, _: EmulatedClock) -> RunCreated:
    return RunCreated(
        id=run.id,
        status=V4State(run.state),
        model=run.given["model"],
        sessionId=run.given["session_id"],
        workspaceId=run.given["workspace_id"],
        eventsUrl=f"{V4.base_path}/runs/{run.id}/events",
        missingFileIds=[],
        skippedVaultItems=[],
    )


def _status(run: EmulatedTask, _: EmulatedClock) -> RunStatus:
    return RunStatus(status=V4State(run.state))


def _view(run: EmulatedTask, clock: EmulatedClock) -> RunSummary:
    at = clock.at
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


def _listed(
    runs: Sequence[EmulatedTask], clock: EmulatedClock, *, session_id: UUID | None, cursor: str | None, limit: int
) -> RunList:
    """Return a page of runs, beginning after the run that the cursor names. Raises HTTPException: it is malformed."""
    found = [run for run in runs if session_id is None or run.given["session_id"] == str(session_id)]
    if cursor is not None:
        if not _is_uuid(cursor):
            raise HTTPException(400, MALFORMED_CURSOR)
        found = list(dropwhile(lambda run: run.id != cursor, found))[1:]
    shown, has_more = found[:limit], len(found) > limit
    return RunList(
        runs=[_view(run, clock) for run in shown], nextCursor=shown[-1].id if has_more else None, hasMore=has_more
    )


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _unchanged(_lifecycle: Lifecycle[Any, Any], _run: EmulatedTask, _command: str) -> None:
    """Let a cancel of a run that is over succeed: it returns the run unchanged."""


# fmt: off
PROFILE = Profile(
    webhook=status_update,
    ping=ping,
    parameter="run_id",
    id_type=UUID,
    not_found=V4_RUN_NOT_FOUND,
    operations={
        "create": Operation(
            name="create_run", about="Create a run, in the given session or in a new one.", response=RunCreated,
            errors=(400, 402, 404, 409), body=CreateRun),
        "status": Operation(
            name="get_run_status", about="Return only a run's status.", response=RunStatus, errors=(404,)),
        "details": Operation(name="get_run", about="Return a run.", response=RunSummary, errors=(404,)),
        "list": Operation(
            name="list_runs", response=RunList, errors=(400,),
            about="Return a page of runs, newest first, beginning after the run that the cursor names.",
            query={
                "session_id": (Annotated[UUID | None, Query(alias="sessionId")], None),
                "cursor": (Annotated[str | None, Query()], None),
                "limit": (Annotated[int, Query(ge=1)], _PAGE),
            }),
        str(V4Event.CANCEL): Operation(
            name="cancel_run", about="Cancel a run; return a run that is over unchanged.", response=RunSummary,
            errors=(404, 502, 503)),
    },
    new=_new,
    created=_created,
    status=_status,
    details=_view,
    listed=_listed,
    refused=_unchanged,
)
# fmt: on
