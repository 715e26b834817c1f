"""The emulation of Browser Use Cloud v3 beyond its binding: data and pure functions.

Source: "Stop Session" and the OpenAPI specification of 2026-08-06. One call creates a session with a task; with a
session's id the same call dispatches another task to that session. With the lifecycle `v3` it emulates the service of
the first specification, of 2026-02-25.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid5

from fastapi import Body, Query

from lifecycle.catalog import V3Event, V3State
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.documents import NO_COST_USD, PRICE_USD
from lifecycle_adapters.emulator.profile import (
    Happens,
    NewTask,
    Operation,
    Outcome,
    Profile,
    Refusal,
    Tasks,
    TaskUpdate,
    Vanishes,
    View,
)
from lifecycle_adapters.emulator.shapes import decimal, moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services.assumptions import V3_NOT_IDLE, V3_SESSION_NOT_FOUND
from lifecycle_adapters.services.browser_use_webhooks import ping, session_update
from lifecycle_adapters.services.v3_shapes import (
    FirstRunTask,
    FirstSession,
    FirstSessionList,
    SessionMessage,
    SessionMessages,
    SessionResponse,
    StopSession,
    V3RunTask,
    V3SessionList,
)

_GIVEN = (V3Event.START, V3Event.DISPATCH)
_DONE = (V3Event.COMPLETE, V3Event.CLOSE)


def _new(body: V3RunTask, _: Tasks, __: Mapping[str, str]) -> NewTask:
    script = (V3Event.READY,) if body.task is None else (V3Event.START, _end_of_task(body))
    return NewTask(given={**body.model_dump(mode="json"), "tasks": [body.task]}, script=script)


def _end_of_task(body: V3RunTask) -> V3Event:
    return V3Event.COMPLETE if body.keep_alive else V3Event.CLOSE


def _changed(command: str, session: EmulatedTask, body: Any) -> TaskUpdate:
    if command != V3Event.DISPATCH:
        return TaskUpdate()
    given = {"task": body.task, "keep_alive": body.keep_alive, "output_schema": body.output_schema}
    given["tasks"] = [*session.given["tasks"], body.task]
    return TaskUpdate(given=given, script=(_end_of_task(body),))


def _refused(_: Lifecycle[Any, Any], session: EmulatedTask, command: str) -> Refusal | None:
    if command != V3Event.DISPATCH:
        return None  # a stop returns the session unchanged if there is nothing to stop
    return Refusal(400, {"detail": V3_NOT_IDLE.format(state=session.state)})


def _listed(
    view: View, sessions: Sequence[EmulatedTask], clock: EmulatedClock, *, page: int, page_size: int
) -> V3SessionList:
    shown = [view(session, clock) for session in sessions[(page - 1) * page_size : page * page_size]]
    return V3SessionList(sessions=shown, total=len(sessions), page=page, pageSize=page_size)


def _view(session: EmulatedTask, clock: EmulatedClock) -> SessionResponse:
    given, at = session.given, clock.at
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


def _first_view(session: EmulatedTask, clock: EmulatedClock) -> dict[str, Any]:
    """Return the fields of a session that the first specification has."""
    return {name: value for name, value in _view(session, clock).items() if name in FirstSession.__annotations__}


def _update(session: EmulatedTask, status: str, clock: EmulatedClock) -> dict[str, Any]:
    done = sum(each.event in _DONE for each in session.transitions)
    at = moment(clock.at(session.state_since_s))
    return session_update(session.id, status, at, output=_output(session, done), metadata=session.given.get("metadata"))


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


def _messages(
    session: EmulatedTask, _: Tasks, clock: EmulatedClock, *, after: UUID | None, before: UUID | None, limit: int
) -> Outcome:
    found = _all_messages(session, clock)
    ids = [each["id"] for each in found]
    begin = ids.index(str(after)) + 1 if str(after) in ids else 0
    end = ids.index(str(before)) if str(before) in ids else len(found)
    between = found[begin:end]
    shown = between[-limit:] if before is not None and after is None else between[:limit]
    return Outcome(SessionMessages(messages=shown, hasMore=len(between) > len(shown)))


def _all_messages(session: EmulatedTask, clock: EmulatedClock) -> list[SessionMessage]:
    """Return the messages of a session: each task that it was given, and that each was done."""
    tasks = iter(task for task in session.given["tasks"] if task is not None)
    found: list[SessionMessage] = []
    for each in session.transitions:
        is_task = each.event in _GIVEN
        if is_task or each.event in _DONE:
            text = next(tasks, "") if is_task else f"Done: {found[-1]['data'] if found else ''}"
            message = SessionMessage(
                id=str(uuid5(UUID(session.id), str(len(found)))),
                sessionId=session.id,
                role="human" if is_task else "ai",
                data=text,
                type="user_message" if is_task else "completion",
                summary=text,
                screenshotUrl=None,
                hidden=False,
                createdAt=moment(clock.at(each.at_s)),
            )
            found.append(message)
    return found


def _deleted(session: EmulatedTask, _: Tasks, __: EmulatedClock) -> Outcome:
    """Delete Session: "Soft-delete a session. Stops the sandbox first if still running."."""
    return Outcome(None, [Happens(session, V3Event.STOP), Vanishes(session)])


# fmt: off
_STOP = Operation(
    name="stop_session",
    about="Stop a session, or only its task; return the session unchanged if there is nothing to stop.",
    response=SessionResponse, errors=(400, 404), body=Annotated[StopSession | None, Body()], default=None)

PROFILE = Profile(
    webhook=_update,
    ping=ping,
    parameter="session_id",
    id_type=UUID,
    not_found=V3_SESSION_NOT_FOUND,
    operations={
        "create": Operation(
            name="run_task", about="Create a session, or dispatch a task to an idle one.", response=SessionResponse,
            errors=(400, 404), body=V3RunTask),
        "details": Operation(name="get_session", about="Return a session.", response=SessionResponse, errors=(404,)),
        "list": Operation(
            name="list_sessions", about="Return a page of sessions, newest first.", response=V3SessionList,
            query={
                "page": (Annotated[int, Query(ge=1)], 1),
                "page_size": (Annotated[int, Query(ge=1, le=100)], 20),
            }),
        "events": Operation(
            name="list_session_messages", about="Return a page of a session's messages, oldest first.",
            response=SessionMessages, errors=(404,),
            query={
                "after": (Annotated[UUID | None, Query()], None),
                "before": (Annotated[UUID | None, Query()], None),
                "limit": (Annotated[int, Query(ge=1, le=100)], 10),
            }),
        "delete": Operation(
            name="delete_session", about="Stop a session, and delete it.", status_code=204, errors=(404,)),
        str(V3Event.STOP): _STOP,
        str(V3Event.STOP_TASK): _STOP,
    },
    further={"events": _messages, "delete": _deleted},
    new=_new,
    created=_view,
    details=_view,
    listed=partial(_listed, _view),
    changed=_changed,
    refused=_refused,
)

_FIRST_STOP = replace(_STOP, response=FirstSession, body=None)

FIRST_PROFILE = replace(
    PROFILE,
    operations={
        **PROFILE.operations,
        "create": replace(PROFILE.operations["create"], response=FirstSession, body=FirstRunTask),
        "details": replace(PROFILE.operations["details"], response=FirstSession),
        "list": replace(PROFILE.operations["list"], response=FirstSessionList),
        str(V3Event.STOP): _FIRST_STOP,
        str(V3Event.STOP_TASK): _FIRST_STOP,
    },
    created=_first_view,
    details=_first_view,
    listed=partial(_listed, _first_view),
)
# fmt: on
