"""The emulation of Browser Use Cloud v4 beyond its bindings: data and pure functions.

Source: the OpenAPI specification of 2026-07-26, and the official Python SDK 3.12.1 for the fields of runs and messages,
for 402 after a create, for 503 with Retry-After after a cancel, and for the events that end a run. Sessions are in
v4_session_emulation.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query

from lifecycle.catalog import V4Event, V4MessageEvent, V4MessageState, V4State
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.documents import NO_COST_USD, PRICE_USD
from lifecycle_adapters.emulator.profile import (
    Consequence,
    Happens,
    NewTask,
    Operation,
    Outcome,
    Profile,
    Refusal,
    Starts,
    Tasks,
    new_uuid,
)
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask, TakenTransition
from lifecycle_adapters.services.assumptions import (
    V4_LONGEST_QUEUE,
    V4_MESSAGE_NOT_FOUND,
    V4_PROFILE_NOT_FOUND,
    V4_RUN_NOT_FOUND,
    V4_SPEND_LIMIT,
    V4_WORKSPACE_NOT_FOUND,
)
from lifecycle_adapters.services.browser_use_webhooks import ping, session_update
from lifecycle_adapters.services.v4 import V4
from lifecycle_adapters.services.v4_session_emulation import (
    CURSOR,
    LIST_SESSIONS,
    NO_SESSION,
    SESSION_OPERATIONS,
    SESSION_RESPONSES,
    drained,
    is_busy,
    messages_of,
    runs_after,
    runs_of,
    spent_usd,
)
from lifecycle_adapters.services.v4_shapes import (
    CreateRun,
    Queue,
    QueuedMessage,
    QueueMessage,
    RunAttachments,
    RunCreated,
    RunEvent,
    RunEvents,
    RunList,
    RunStatus,
    RunSummary,
)

BAD_PAIRING = "Invalid request (bad session/workspace pairing or file path)."  # Create Run: 400
ACTIVE_RUN = "The session already has an active run."  # Create Run: 409
QUEUE_FULL = "The session message queue is full."  # Queue Session Message: 429
NOT_PENDING = "The message is no longer pending and cannot be cancelled."  # Cancel Queued Message: 409
SPEND_LIMIT_REACHED = "api_key_monthly_spend_limit_reached"  # APIKeySpendLimitDetail
DISPATCH_FAILED = "run.dispatch_failed"  # Python SDK 3.12.1: one of the types of events that end a run

_CONTEXT_LIMIT = 200_000
_PAGE = 50  # List Runs: the default of `limit`, which has no maximum
_KEPT = {"task", "model", "model_params", "output_schema", "attached_file_ids"}  # of the body of a create


# --- runs ---


def _new(body: CreateRun, tasks: Tasks, _: Mapping[str, str]) -> NewTask | Refusal:
    runs = tasks.tasks(V4.name) if body.session_id or body.workspace_id else []
    of_session = runs_of(tasks, str(body.session_id)) if body.session_id else []
    if body.session_id is not None and not of_session:
        return NO_SESSION
    if body.workspace_id is not None and all(run.given["workspace_id"] != str(body.workspace_id) for run in runs):
        return Refusal(404, {"detail": V4_WORKSPACE_NOT_FOUND})
    if body.browser_settings is not None and body.browser_settings.profile_id is not None:
        return Refusal(404, {"detail": V4_PROFILE_NOT_FOUND})
    workspace_id = of_session[0].given["workspace_id"] if of_session else str(body.workspace_id or new_uuid())
    if body.workspace_id is not None and workspace_id != str(body.workspace_id):
        return Refusal(400, {"detail": BAD_PAIRING})
    if body.session_id is not None and is_busy(tasks, str(body.session_id)):
        return Refusal(409, {"detail": ACTIVE_RUN})
    given = body.model_dump(mode="json", include=_KEPT)
    places = {"session_id": str(body.session_id or new_uuid()), "workspace_id": workspace_id}
    return NewTask(given={**given, **places})


def _run_causes(run: EmulatedTask, tasks: Tasks) -> Sequence[Consequence]:
    return drained(tasks, run.given["session_id"]) if run.is_over else ()


def _created(run: EmulatedTask, _: EmulatedClock) -> RunCreated:
    return RunCreated(
        id=run.id,
        status=V4State(run.state),
        model=run.given["model"],
        sessionId=run.given["session_id"],
        workspaceId=run.given["workspace_id"],
        eventsUrl=f"{V4.base_path}/runs/{run.id}/events",
        missingFileIds=run.given["attached_file_ids"] or [],
        skippedVaultItems=[],
    )


def _status(run: EmulatedTask, _: EmulatedClock) -> RunStatus:
    return RunStatus(status=V4State(run.state))


def _view(run: EmulatedTask, clock: EmulatedClock) -> RunSummary:
    at = clock.at
    done = run.last(V4Event.COMPLETE) is not None
    return RunSummary(
        id=run.id,
        task=run.given["task"],
        title=None,
        model=run.given["model"],
        modelParams=run.given["model_params"],
        contextLimit=_CONTEXT_LIMIT,
        status=V4State(run.state),
        result=_result(run),
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


def _result(run: EmulatedTask) -> str | None:
    return f"Done: {run.given['task']}" if run.last(V4Event.COMPLETE) else None


def _session_webhook(run: EmulatedTask, status: str, clock: EmulatedClock) -> dict[str, Any]:
    """Return the update of the run's session, whose status is that of its latest run: this one, which has changed."""
    at = moment(clock.at(run.state_since_s))
    return session_update(run.given["session_id"], status, at, output=_result(run))


def _listed(
    runs: Sequence[EmulatedTask], clock: EmulatedClock, *, session_id: UUID | None, cursor: str | None, limit: int
) -> RunList:
    found = [
        run for run in runs_after(runs, cursor) if session_id is None or run.given["session_id"] == str(session_id)
    ]
    shown, has_more = found[:limit], len(found) > limit
    return RunList(
        runs=[_view(run, clock) for run in shown], nextCursor=shown[-1].id if has_more else None, hasMore=has_more
    )


def _events(run: EmulatedTask, _: Tasks, clock: EmulatedClock, *, after: int, limit: int) -> Outcome:
    happened = [(f"run.{run.lifecycle.initial}", run.created_s)]
    happened += [(_type_of(each), each.at_s) for each in run.transitions]
    events = [
        RunEvent(runId=run.id, id=number, ts=moment(clock.at(at_s)), type=kind, data={})
        for number, (kind, at_s) in enumerate(happened, start=1)
    ][max(after, 0) :]
    shown = events[: max(limit, 0)]
    following = shown[-1]["id"] if shown else None
    return Outcome(RunEvents(events=shown, nextAfter=following, hasMore=len(events) > len(shown)))


def _type_of(taken: TakenTransition) -> str:
    is_dispatch = (taken.source, taken.target) == (V4State.DISPATCHING, V4State.FAILED)
    return DISPATCH_FAILED if is_dispatch else f"run.{taken.target}"


def _attachments(_: EmulatedTask, __: Tasks, ___: EmulatedClock) -> Outcome:
    return Outcome(RunAttachments(attachments=[]))  # no file is emulated


def _unchanged(_lifecycle: Lifecycle[Any, Any], _run: EmulatedTask, _command: str) -> None:
    """Let a cancel of a run that is over succeed: it returns the run unchanged."""


# --- messages ---


def _missing_session(parameters: Mapping[str, str], tasks: Tasks) -> Refusal | None:
    return None if runs_of(tasks, parameters["session_id"]) else NO_SESSION


def _new_message(body: QueueMessage, tasks: Tasks, parameters: Mapping[str, str]) -> NewTask | Refusal:
    session_id = parameters["session_id"]
    if len(messages_of(tasks, session_id, V4MessageState.PENDING)) >= V4_LONGEST_QUEUE:
        return Refusal(429, {"detail": QUEUE_FULL})
    given = {**body.model_dump(mode="json"), "session_id": session_id, "run_id": new_uuid()}
    return NewTask(given=given, script=(V4MessageEvent.CONSUME,))  # the session claims it, when it is idle


def _message_causes(message: EmulatedTask, tasks: Tasks) -> Sequence[Consequence]:
    session_id = message.given["session_id"]
    if message.state == V4MessageState.CONSUMED:
        [latest, *_] = runs_of(tasks, session_id)
        of_message = {"task": message.given["text"], "attached_file_ids": message.given["attached_file_ids"]}
        given = {**latest.given, **of_message, "output_schema": None}
        return [Starts(V4.name, message.given["run_id"], NewTask(given=given))]
    if message.state == V4MessageState.PENDING and message.given["interrupt"]:
        active = [run for run in runs_of(tasks, session_id) if not run.is_over]
        if active:  # its end claims the message
            return [Happens(active[0], V4Event.CANCEL)]
    return drained(tasks, session_id)


def _message_view(message: EmulatedTask, clock: EmulatedClock) -> QueuedMessage:
    return QueuedMessage(
        id=int(message.id),
        sessionId=message.given["session_id"],
        runId=message.given["run_id"] if message.state == V4MessageState.CONSUMED else None,
        mode="interrupt" if message.given["interrupt"] else "queue",
        status=V4MessageState(message.state),
        text=message.given["text"],
        attachedFileIds=message.given["attached_file_ids"],
        createdAt=moment(clock.at(message.created_s)),
    )


def _queue(messages: Sequence[EmulatedTask], clock: EmulatedClock) -> Queue:
    pending = [each for each in reversed(messages) if each.state == V4MessageState.PENDING]
    return Queue(queue=[_message_view(each, clock) for each in pending])


def _not_pending(_lifecycle: Lifecycle[Any, Any], _message: EmulatedTask, _command: str) -> Refusal:
    return Refusal(409, {"detail": NOT_PENDING})


# fmt: off
RUN_PROFILE = Profile(
    webhook=_session_webhook,
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
                "cursor": CURSOR,
                "limit": (Annotated[int, Query(ge=1)], _PAGE),
            }),
        str(V4Event.CANCEL): Operation(
            name="cancel_run", about="Cancel a run; return a run that is over unchanged.", response=RunSummary,
            errors=(404, 502, 503)),
        "events": Operation(
            name="get_run_events", about="Return what a run has done, after the event of the id `after`.",
            response=RunEvents, errors=(404,),
            query={"limit": (Annotated[int, Query()], 200), "after": (Annotated[int, Query()], 0)}),
        "attachments": Operation(
            name="list_run_attachments", about="Return the files that were uploaded for a run: none is emulated.",
            response=RunAttachments, errors=(404,)),
        **SESSION_OPERATIONS,
    },
    further={
        "events": _events,
        "attachments": _attachments,
        **SESSION_RESPONSES,
    },
    own_calls=(LIST_SESSIONS,),
    new=_new,
    causes=_run_causes,
    created=_created,
    status=_status,
    details=_view,
    listed=_listed,
    refused=_unchanged,
)

MESSAGE_PROFILE = Profile(
    parameter="message_id",
    parameter_types={"session_id": UUID},
    id_type=int,
    new_id=lambda: str(secrets.randbelow(2**53)),
    not_found=V4_MESSAGE_NOT_FOUND,
    missing=_missing_session,
    operations={
        "create": Operation(
            name="queue_message", response=QueuedMessage, errors=(400, 404, 429), body=QueueMessage,
            about="Queue a message in a session: it becomes the next run, at once if the session is idle. With "
                  "`interrupt` the session's active run is cancelled."),
        "details": Operation(
            name="get_message", about="Return a message, whatever became of it.", response=QueuedMessage,
            errors=(404,)),
        "list": Operation(
            name="list_queue", about="Return the pending messages, oldest first.", response=Queue, errors=(404,)),
        str(V4MessageEvent.CANCEL): Operation(
            name="cancel_message", about="Cancel a pending message.", response=QueuedMessage, errors=(404, 409)),
    },
    new=_new_message,
    causes=_message_causes,
    created=_message_view,
    details=_message_view,
    listed=_queue,
    refused=_not_pending,
)
# fmt: on


def limited(cap_usd: float) -> Mapping[str, Profile]:
    """Return the profile of a service whose key may spend so much, for `Emulator`.

    Once the runs have cost as much, the create of another one is refused with 402. Source: the official Python SDK
    3.12.1, APIKeySpendLimitError: "on 402 when the API key's monthly spend limit is reached".
    """

    def create(body: CreateRun, tasks: Tasks, parameters: Mapping[str, str]) -> NewTask | Refusal:
        spent = float(spent_usd(tasks.tasks(V4.name)))
        if spent < cap_usd:
            return _new(body, tasks, parameters)
        limit = {"code": SPEND_LIMIT_REACHED, "message": V4_SPEND_LIMIT, "cap": cap_usd, "spent": spent}
        return Refusal(402, {"detail": limit})

    return {V4.name: replace(RUN_PROFILE, new=create)}
