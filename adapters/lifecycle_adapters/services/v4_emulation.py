"""The emulation of Browser Use Cloud v4 beyond its bindings: data and pure functions.

Source: the OpenAPI specification of 2026-07-26, and the official Python SDK 3.12.1 for the fields of runs and messages,
for 402 after a create, for 503 with Retry-After after a cancel, for the events that end a run, and for the title and
the shared link of a session. A session is what its runs and messages have in common: one run at a time, and a queue of
messages, of which the next becomes a run when the session is idle.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import dropwhile
from typing import Annotated, Any
from uuid import UUID

from fastapi import HTTPException, Query

from lifecycle.catalog import V4Event, V4MessageEvent, V4MessageState, V4State
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.documents import NO_COST_USD, PRICE_USD
from lifecycle_adapters.emulator.profile import (
    Consequence,
    Happens,
    Keeps,
    NewTask,
    Operation,
    Outcome,
    OwnCall,
    Profile,
    Refusal,
    Starts,
    Tasks,
    Vanishes,
    new_uuid,
)
from lifecycle_adapters.emulator.shapes import decimal, moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask, TakenTransition
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.services.assumptions import (
    SHARE_URL,
    V4_LONGEST_QUEUE,
    V4_MESSAGE_NOT_FOUND,
    V4_NEVER_SHARED,
    V4_PROFILE_NOT_FOUND,
    V4_RUN_NOT_FOUND,
    V4_SESSION_NOT_FOUND,
    V4_SPEND_LIMIT,
    V4_WORKSPACE_NOT_FOUND,
)
from lifecycle_adapters.services.browser_use_webhooks import ping, session_update
from lifecycle_adapters.services.v4 import V4, V4_MESSAGE
from lifecycle_adapters.services.v4_shapes import (
    CostCap,
    CostCapSet,
    CreateRun,
    Queue,
    QueuedMessage,
    QueueMessage,
    RenameSession,
    RunAttachments,
    RunCreated,
    RunEvent,
    RunEvents,
    RunList,
    RunStatus,
    RunSummary,
    SessionCost,
    SessionInfo,
    SessionList,
    SessionShare,
    UpdateShare,
)

BAD_PAIRING = "Invalid request (bad session/workspace pairing or file path)."  # Create Run: 400
NO_ZDR = "Project is not ZDR-enabled."  # Purge Session: 403
ACTIVE_RUN = "The session already has an active run."  # Create Run: 409
QUEUE_FULL = "The session message queue is full."  # Queue Session Message: 429
NOT_PENDING = "The message is no longer pending and cannot be cancelled."  # Cancel Queued Message: 409
MALFORMED_CURSOR = "Malformed pagination cursor."  # List Runs, List Sessions: 400
SPEND_LIMIT_REACHED = "api_key_monthly_spend_limit_reached"  # APIKeySpendLimitDetail
DISPATCH_FAILED = "run.dispatch_failed"  # Python SDK 3.12.1: one of the types of events that end a run

LIST_SESSIONS = Call(method="GET", path="/sessions")
"""The list of sessions is about neither a run nor one session, hence not in the binding."""

_CONTEXT_LIMIT = 200_000
_PAGE = 50  # List Runs: the default of `limit`, which has no maximum
_PAGE_OF_SESSIONS = 20  # List Sessions: the default of `limit`
_MOST_SESSIONS = 100
_KEPT = {"task", "model", "model_params", "output_schema", "attached_file_ids"}  # of the body of a create
_CURSOR = (Annotated[str | None, Query()], None)


# --- sessions ---

_NO_SESSION = Refusal(404, {"detail": V4_SESSION_NOT_FOUND})


def _runs(tasks: Tasks, session_id: str) -> list[EmulatedTask]:
    """Return the runs of a session, newest first."""
    return [run for run in tasks.tasks(V4.name) if run.given["session_id"] == session_id]


def _messages(tasks: Tasks, session_id: str, *states: V4MessageState) -> list[EmulatedTask]:
    """Return the messages of a session that are in one of the states, oldest first."""
    found = reversed(tasks.tasks(V4_MESSAGE.name))
    return [each for each in found if each.given["session_id"] == session_id and each.state in states]


def _is_busy(tasks: Tasks, session_id: str) -> bool:
    is_idle = all(run.is_over for run in _runs(tasks, session_id))
    return not is_idle or bool(_messages(tasks, session_id, V4MessageState.DISPATCHING))


def _drained(tasks: Tasks, session_id: str) -> list[Consequence]:
    """Return that an idle session claims its next message: the oldest one, of those that interrupt if there are any."""
    pending = _messages(tasks, session_id, V4MessageState.PENDING)
    pending.sort(key=lambda message: not message.given["interrupt"])
    if not pending or _is_busy(tasks, session_id):
        return []
    return [Happens(pending[0], V4MessageEvent.CLAIM)]


def _session(session_id: str, tasks: Tasks, clock: EmulatedClock) -> Outcome | Refusal:
    runs = _runs(tasks, session_id)
    return Outcome(_session_view(runs, clock)) if runs else _NO_SESSION


def _session_view(runs: Sequence[EmulatedTask], clock: EmulatedClock) -> SessionInfo:
    latest = runs[0]
    return SessionInfo(
        sessionId=latest.given["session_id"],
        workspaceId=latest.given["workspace_id"],
        latestRunId=latest.id,
        task=latest.given["task"],
        title=runs[-1].given.get("title"),
        status=V4State(latest.state),
        createdAt=moment(clock.at(latest.created_s)),
        updatedAt=moment(clock.at(latest.state_since_s)),
    )


def _sessions(tasks: Tasks, clock: EmulatedClock, *, cursor: str | None, limit: int) -> Outcome:
    """List Sessions: "one row per session (its most recent run), most-recent first"."""
    runs = tasks.tasks(V4.name)
    by_session: dict[str, list[EmulatedTask]] = {}
    for run in runs:
        by_session.setdefault(run.given["session_id"], []).append(run)
    behind = set(_behind(runs, cursor))
    found = [each for each in by_session.values() if each[0] in behind]
    shown, has_more = found[:limit], len(found) > limit
    return Outcome(
        SessionList(
            sessions=[_session_view(each, clock) for each in shown],
            nextCursor=shown[-1][0].id if has_more else None,
            hasMore=has_more,
        )
    )


def _updated(session_id: str, tasks: Tasks, clock: EmulatedClock, *, body: RenameSession) -> Outcome | Refusal:
    """Python SDK 3.12.1: "Rename a session; pass ``title=None`` to clear its name."."""
    session = _session(session_id, tasks, clock)
    if isinstance(session, Refusal) or "title" not in body.model_fields_set:
        return session
    return Outcome({**session.document, "title": body.title}, [_kept(session_id, tasks, title=body.title)])


def _kept(session_id: str, tasks: Tasks, **fields: Any) -> Consequence:
    """Return that a session keeps these fields: with its first run, which all its views can find."""
    return Keeps(_runs(tasks, session_id)[-1], fields)


def _purged(session_id: str, tasks: Tasks, _: EmulatedClock) -> Refusal:
    """Purge Session: "ZDR projects only"; no emulated project has Zero Data Retention."""
    return Refusal(403, {"detail": NO_ZDR}) if _runs(tasks, session_id) else _NO_SESSION


def _share(session_id: str, tasks: Tasks, _: EmulatedClock) -> Outcome | Refusal:
    """Python SDK 3.12.1: "the session's public share link, or None if it was never shared"."""
    runs = _runs(tasks, session_id)
    return Outcome(runs[-1].given.get("share")) if runs else _NO_SESSION


def _shared(session_id: str, tasks: Tasks, clock: EmulatedClock) -> Outcome | Refusal:
    """Python SDK 3.12.1: "Enable a public share link for the session, reusing its token if one exists."."""
    found = _share(session_id, tasks, clock)
    if isinstance(found, Refusal):
        return found
    token = secrets.token_urlsafe(16)
    new = SessionShare(
        id=new_uuid(),
        shareToken=token,
        sessionId=session_id,
        isActive=True,
        viewCount=0,
        createdAt=moment(clock.at(clock.now_s())),
        shareUrl=SHARE_URL.format(token=token),
    )
    share = {**(found.document or new), "isActive": True}
    return Outcome(share, [_kept(session_id, tasks, share=share)])


def _share_updated(session_id: str, tasks: Tasks, clock: EmulatedClock, *, body: UpdateShare) -> Outcome | Refusal:
    """Python SDK 3.12.1: "Turn the session's public share link on or off."."""
    found = _share(session_id, tasks, clock)
    if isinstance(found, Refusal):
        return found
    if found.document is None:
        return Refusal(404, {"detail": V4_NEVER_SHARED})
    share = {**found.document, "isActive": body.is_active}
    return Outcome(share, [_kept(session_id, tasks, share=share)])


def _deleted(session_id: str, tasks: Tasks, _: EmulatedClock) -> Outcome | Refusal:
    """Python SDK 3.12.1: "Delete a session, cancelling its active run and pending messages."."""
    runs, messages = _runs(tasks, session_id), _messages(tasks, session_id, *V4MessageState)
    if not runs:
        return _NO_SESSION
    cancelled = [*(Happens(each, V4MessageEvent.CANCEL) for each in messages), Happens(runs[0], V4Event.CANCEL)]
    return Outcome(None, [*cancelled, *map(Vanishes, (*messages, *runs))])


def _cost(session_id: str, tasks: Tasks, _: EmulatedClock) -> Outcome | Refusal:
    runs = _runs(tasks, session_id)
    if not runs:
        return _NO_SESSION
    total = str(_spent_usd(runs))
    return Outcome(
        SessionCost(
            sessionId=session_id,
            numRuns=len(runs),
            llmCostUsd=total,
            searchCostUsd=NO_COST_USD,
            browserCostUsd=NO_COST_USD,
            proxyCostUsd=NO_COST_USD,
            proxyUsedMb=NO_COST_USD,
            totalCostUsd=total,
        )
    )


def _spent_usd(runs: Sequence[EmulatedTask]) -> Decimal:
    return Decimal(PRICE_USD) * sum(run.last(V4Event.COMPLETE) is not None for run in runs)


def _capped(session_id: str, tasks: Tasks, _: EmulatedClock, *, body: CostCap) -> Outcome | Refusal:
    if not _runs(tasks, session_id):
        return _NO_SESSION
    return Outcome(CostCapSet(sessionId=session_id, maxCostUsd=decimal(body.max_cost_usd)))


# --- runs ---


def _new(body: CreateRun, tasks: Tasks, _: Mapping[str, str]) -> NewTask | Refusal:
    runs = tasks.tasks(V4.name) if body.session_id or body.workspace_id else []
    of_session = _runs(tasks, str(body.session_id)) if body.session_id else []
    if body.session_id is not None and not of_session:
        return Refusal(404, {"detail": V4_SESSION_NOT_FOUND})
    if body.workspace_id is not None and all(run.given["workspace_id"] != str(body.workspace_id) for run in runs):
        return Refusal(404, {"detail": V4_WORKSPACE_NOT_FOUND})
    if body.browser_settings is not None and body.browser_settings.profile_id is not None:
        return Refusal(404, {"detail": V4_PROFILE_NOT_FOUND})
    workspace_id = of_session[0].given["workspace_id"] if of_session else str(body.workspace_id or new_uuid())
    if body.workspace_id is not None and workspace_id != str(body.workspace_id):
        return Refusal(400, {"detail": BAD_PAIRING})
    if body.session_id is not None and _is_busy(tasks, str(body.session_id)):
        return Refusal(409, {"detail": ACTIVE_RUN})
    given = body.model_dump(mode="json", include=_KEPT)
    places = {"session_id": str(body.session_id or new_uuid()), "workspace_id": workspace_id}
    return NewTask(given={**given, **places})


def _run_causes(run: EmulatedTask, tasks: Tasks) -> Sequence[Consequence]:
    return _drained(tasks, run.given["session_id"]) if run.is_over else ()


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


def _session_webhook(run: EmulatedTask, status: str, at: str) -> dict[str, Any]:
    """Return the update of the run's session, whose status is that of its latest run: this one, which has changed."""
    return session_update(run.given["session_id"], status, at, output=_result(run))


def _listed(
    runs: Sequence[EmulatedTask], clock: EmulatedClock, *, session_id: UUID | None, cursor: str | None, limit: int
) -> RunList:
    found = [run for run in _behind(runs, cursor) if session_id is None or run.given["session_id"] == str(session_id)]
    shown, has_more = found[:limit], len(found) > limit
    return RunList(
        runs=[_view(run, clock) for run in shown], nextCursor=shown[-1].id if has_more else None, hasMore=has_more
    )


def _behind(runs: Sequence[EmulatedTask], cursor: str | None) -> Sequence[EmulatedTask]:
    """Return the runs after the one that the cursor names. Raises HTTPException: it is malformed."""
    if cursor is None:
        return runs
    if not _is_uuid(cursor):
        raise HTTPException(400, MALFORMED_CURSOR)
    return list(dropwhile(lambda run: run.id != cursor, runs))[1:]


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


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
    return None if _runs(tasks, parameters["session_id"]) else _NO_SESSION


def _new_message(body: QueueMessage, tasks: Tasks, parameters: Mapping[str, str]) -> NewTask | Refusal:
    session_id = parameters["session_id"]
    if len(_messages(tasks, session_id, V4MessageState.PENDING)) >= V4_LONGEST_QUEUE:
        return Refusal(429, {"detail": QUEUE_FULL})
    given = {**body.model_dump(mode="json"), "session_id": session_id, "run_id": new_uuid()}
    return NewTask(given=given, script=(V4MessageEvent.CONSUME,))  # the session claims it, when it is idle


def _message_causes(message: EmulatedTask, tasks: Tasks) -> Sequence[Consequence]:
    session_id = message.given["session_id"]
    if message.state == V4MessageState.CONSUMED:
        [latest, *_] = _runs(tasks, session_id)
        of_message = {"task": message.given["text"], "attached_file_ids": message.given["attached_file_ids"]}
        given = {**latest.given, **of_message, "output_schema": None}
        return [Starts(V4.name, message.given["run_id"], NewTask(given=given))]
    if message.state == V4MessageState.PENDING and message.given["interrupt"]:
        active = [run for run in _runs(tasks, session_id) if not run.is_over]
        if active:  # its end claims the message
            return [Happens(active[0], V4Event.CANCEL)]
    return _drained(tasks, session_id)


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
                "cursor": _CURSOR,
                "limit": (Annotated[int, Query(ge=1)], _PAGE),
            }),
        str(V4Event.CANCEL): Operation(
            name="cancel_run", about="Cancel a run; return a run that is over unchanged.", response=RunSummary,
            errors=(404, 502, 503)),
        "events": Operation(
            name="get_run_events", about="Return what a run has done, behind the event of the id `after`.",
            response=RunEvents, errors=(404,),
            query={"limit": (Annotated[int, Query()], 200), "after": (Annotated[int, Query()], 0)}),
        "attachments": Operation(
            name="list_run_attachments", about="Return the files that were uploaded for a run: none is emulated.",
            response=RunAttachments, errors=(404,)),
        "session": Operation(
            name="get_session", about="Return a session: what its latest run is.", response=SessionInfo, errors=(404,)),
        "session update": Operation(
            name="update_session", about="Rename a session; null removes its title.", response=SessionInfo,
            errors=(400, 404), body=RenameSession),
        "session purge": Operation(
            name="purge_session", about="Purge a session: refused, because no project has Zero Data Retention.",
            status_code=204, errors=(403, 404)),
        "session share": Operation(
            name="get_session_share", about="Return a session's public link, null if it was never shared.",
            response=SessionShare | None, errors=(404,)),
        "session create_share": Operation(
            name="create_session_share", about="Open a session's public link, the earlier one if there is one.",
            response=SessionShare, errors=(404,)),
        "session update_share": Operation(
            name="update_session_share", about="Open or close a session's public link.", response=SessionShare,
            errors=(400, 404), body=UpdateShare),
        "session delete": Operation(
            name="delete_session", about="Delete a session; cancel its active run and its pending messages.",
            status_code=204, errors=(404,)),
        "session cost": Operation(
            name="get_session_cost", about="Return what a session has cost.", response=SessionCost, errors=(404,)),
        "session cost_cap": Operation(
            name="update_cost_cap", about="Limit what a session may cost.", response=CostCapSet, errors=(400, 404),
            body=CostCap),
    },
    further={
        "events": _events,
        "attachments": _attachments,
        "session": _session,
        "session update": _updated,
        "session purge": _purged,
        "session share": _share,
        "session create_share": _shared,
        "session update_share": _share_updated,
        "session delete": _deleted,
        "session cost": _cost,
        "session cost_cap": _capped,
    },
    own_calls=(
        OwnCall(
            call=LIST_SESSIONS,
            operation=Operation(
                name="list_sessions", response=SessionList, errors=(400,),
                about="Return a page of sessions, the one with the latest run first.",
                query={
                    "cursor": _CURSOR,
                    "limit": (Annotated[int, Query(ge=1, le=_MOST_SESSIONS)], _PAGE_OF_SESSIONS),
                }),
            respond=_sessions,
        ),
    ),
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
        spent = float(_spent_usd(tasks.tasks(V4.name)))
        if spent < cap_usd:
            return _new(body, tasks, parameters)
        limit = {"code": SPEND_LIMIT_REACHED, "message": V4_SPEND_LIMIT, "cap": cap_usd, "spent": spent}
        return Refusal(402, {"detail": limit})

    return {V4.name: replace(RUN_PROFILE, new=create)}
