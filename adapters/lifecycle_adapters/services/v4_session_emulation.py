"""The sessions of the emulated Browser Use Cloud v4: what runs and messages have in common.

Source: the OpenAPI specification of 2026-07-26, and the official Python SDK 3.12.1 for the title, the shared link, the
deletion, the cost and the cost cap. A session runs one run at a time, and has a queue of messages, of which the next
becomes a run when the session is idle. Its other data is kept with its first run.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import dropwhile
from typing import Annotated, Any
from uuid import UUID

from fastapi import HTTPException, Query

from lifecycle.catalog import V4Event, V4MessageEvent, V4MessageState, V4State
from lifecycle_adapters.emulator.documents import NO_COST_USD, PRICE_USD
from lifecycle_adapters.emulator.profile import (
    Consequence,
    Happens,
    Keeps,
    Operation,
    Outcome,
    OwnCall,
    Refusal,
    Tasks,
    Vanishes,
    new_uuid,
)
from lifecycle_adapters.emulator.shapes import decimal, moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.services.assumptions import SHARE_URL, V4_NEVER_SHARED, V4_SESSION_NOT_FOUND
from lifecycle_adapters.services.v4 import V4, V4_MESSAGE
from lifecycle_adapters.services.v4_shapes import (
    CostCap,
    CostCapSet,
    RenameSession,
    SessionCost,
    SessionInfo,
    SessionList,
    SessionShare,
    UpdateShare,
)

NO_ZDR = "Project is not ZDR-enabled."  # Purge Session: 403
MALFORMED_CURSOR = "Malformed pagination cursor."  # List Runs, List Sessions: 400

CURSOR = (Annotated[str | None, Query()], None)
"""The query parameter of both lists."""
_LIMIT = (Annotated[int, Query(ge=1, le=100)], 20)  # List Sessions

NO_SESSION = Refusal(404, {"detail": V4_SESSION_NOT_FOUND})


def runs_of(tasks: Tasks, session_id: str) -> list[EmulatedTask]:
    """Return the runs of a session, newest first."""
    return [run for run in tasks.tasks(V4.name) if run.given["session_id"] == session_id]


def messages_of(tasks: Tasks, session_id: str, *states: V4MessageState) -> list[EmulatedTask]:
    """Return the messages of a session that are in one of the states, oldest first."""
    found = reversed(tasks.tasks(V4_MESSAGE.name))
    return [each for each in found if each.given["session_id"] == session_id and each.state in states]


def is_busy(tasks: Tasks, session_id: str) -> bool:
    """Return whether a session runs a run, or will at once, because it has claimed a message."""
    is_idle = all(run.is_over for run in runs_of(tasks, session_id))
    return not is_idle or bool(messages_of(tasks, session_id, V4MessageState.DISPATCHING))


def drained(tasks: Tasks, session_id: str) -> list[Consequence]:
    """Return that an idle session claims its next message: the oldest one, of those that interrupt if there are any."""
    pending = messages_of(tasks, session_id, V4MessageState.PENDING)
    pending.sort(key=lambda message: not message.given["interrupt"])
    if not pending or is_busy(tasks, session_id):
        return []
    return [Happens(pending[0], V4MessageEvent.CLAIM)]


def _session(session_id: str, tasks: Tasks, clock: EmulatedClock) -> Outcome | Refusal:
    runs = runs_of(tasks, session_id)
    return Outcome(_session_view(runs, clock)) if runs else NO_SESSION


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
    older = set(runs_after(runs, cursor))
    found = [each for each in by_session.values() if each[0] in older]
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
    return Keeps(runs_of(tasks, session_id)[-1], fields)


def _purged(session_id: str, tasks: Tasks, _: EmulatedClock) -> Refusal:
    """Purge Session: "ZDR projects only"; no emulated project has Zero Data Retention."""
    return Refusal(403, {"detail": NO_ZDR}) if runs_of(tasks, session_id) else NO_SESSION


def _share(session_id: str, tasks: Tasks, _: EmulatedClock) -> Outcome | Refusal:
    """Python SDK 3.12.1: "the session's public share link, or None if it was never shared"."""
    runs = runs_of(tasks, session_id)
    return Outcome(runs[-1].given.get("share")) if runs else NO_SESSION


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
    runs, messages = runs_of(tasks, session_id), messages_of(tasks, session_id, *V4MessageState)
    if not runs:
        return NO_SESSION
    cancelled = [*(Happens(each, V4MessageEvent.CANCEL) for each in messages), Happens(runs[0], V4Event.CANCEL)]
    return Outcome(None, [*cancelled, *map(Vanishes, (*messages, *runs))])


def _cost(session_id: str, tasks: Tasks, _: EmulatedClock) -> Outcome | Refusal:
    runs = runs_of(tasks, session_id)
    if not runs:
        return NO_SESSION
    total = str(spent_usd(runs))
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


def spent_usd(runs: Sequence[EmulatedTask]) -> Decimal:
    """Return what the runs have cost together."""
    return Decimal(PRICE_USD) * sum(run.last(V4Event.COMPLETE) is not None for run in runs)


def _capped(session_id: str, tasks: Tasks, _: EmulatedClock, *, body: CostCap) -> Outcome | Refusal:
    if not runs_of(tasks, session_id):
        return NO_SESSION
    return Outcome(CostCapSet(sessionId=session_id, maxCostUsd=decimal(body.max_cost_usd)))


def runs_after(runs: Sequence[EmulatedTask], cursor: str | None) -> Sequence[EmulatedTask]:
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


# fmt: off
SESSION_OPERATIONS: Mapping[str, Operation] = {
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
}

SESSION_RESPONSES: Mapping[str, Callable[..., Outcome | Refusal]] = {
    "session": _session,
    "session update": _updated,
    "session purge": _purged,
    "session share": _share,
    "session create_share": _shared,
    "session update_share": _share_updated,
    "session delete": _deleted,
    "session cost": _cost,
    "session cost_cap": _capped,
}

LIST_SESSIONS = OwnCall(
    call=Call(method="GET", path="/sessions"),
    operation=Operation(
        name="list_sessions", about="Return a page of sessions, the one with the latest run first.",
        response=SessionList, errors=(400,), query={"cursor": CURSOR, "limit": _LIMIT}),
    respond=_sessions,
)
"""The list of sessions, which is about neither a run nor one session, hence not in the binding."""
# fmt: on
