"""The emulation of Browser Use Cloud v2 beyond its bindings: data and pure functions.

Source: "Update Task" and the OpenAPI specification of 2026-08-06, whose texts the errors repeat. The two lifecycles
interact in three places: a task needs an active session that runs no other task, a session that ends also ends its
tasks (`NewTask.ends_children_by`), and one of the two stop commands of a task stops both (the binding's `proofs`).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query

from lifecycle.catalog import V2Event, V2In2025State, V2SessionEvent, V2SessionState, V2State
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.documents import NO_COST_USD, PRICE_USD
from lifecycle_adapters.emulator.profile import (
    Keeps,
    NewTask,
    Operation,
    Outcome,
    Profile,
    Refusal,
    Tasks,
    Vanishes,
    View,
)
from lifecycle_adapters.emulator.shapes import DateTime, moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services.assumptions import LOG_URL, SHARE_URL
from lifecycle_adapters.services.browser_use_webhooks import ping, status_update
from lifecycle_adapters.services.v2 import V2, V2_2025, V2_SESSION
from lifecycle_adapters.services.v2_shapes import (
    CreateSession,
    CreateTask,
    LogFile,
    PublicShare,
    SessionItem,
    SessionView,
    TaskCreated,
    TaskStatus,
    TaskStep,
    UpdateSession,
    UpdateTask,
    V2In2025TaskItem,
    V2In2025TaskList,
    V2In2025TaskView,
    V2SessionList,
    V2TaskItem,
    V2TaskList,
    V2TaskView,
)

_New = Callable[[Any, Tasks, Mapping[str, str]], NewTask | Refusal]

SESSION_NOT_FOUND = "Session not found"
SESSION_STOPPED = "Browser session is stopped. Please start a new session and try again."
SESSION_BUSY = "Agent session already has a running task. Please wait for it to finish or stop it manually."
PROFILE_NOT_FOUND = "Profile not found"
NO_CREDIT = "Insufficient credits"
NEVER_SHARED = "Public share not found"
NO_ZDR = "Project is not ZDR-enabled"  # Purge Session: 403
TOO_MANY_SESSIONS = (
    "Too many concurrent active sessions. Please wait for one to finish, kill one, or upgrade your plan."
)

_DEFAULT_SESSION = CreateSession()
# Create Task: "Tasks without a sessionId are one-off tasks that automatically close the session upon completion
# (keep_alive=false)."
_ONE_OFF_SESSION = CreateSession.model_validate({"keepAlive": False})
_PAGE_SIZE = (Annotated[int, Query(alias="pageSize", ge=1, le=100)], 10)
_PAGE_NUMBER = (Annotated[int, Query(alias="pageNumber", ge=1)], 1)


def _unchanged(_lifecycle: Lifecycle[Any, Any], _task: EmulatedTask, _command: str) -> None:
    """Accept a command of a task that is over without applying it: the response is its unchanged view."""


# --- sessions ---


def _new_session(wanted: CreateSession, _: Tasks, __: Mapping[str, str]) -> NewTask | Refusal:
    # Create Session: 404 "Profile not found".
    return _session(wanted) if wanted.profile_id is None else Refusal(404, {"detail": PROFILE_NOT_FOUND})


def _session(wanted: CreateSession) -> NewTask:
    return NewTask(
        given={"persistMemory": wanted.persist_memory, "keepAlive": wanted.keep_alive},
        script=() if wanted.keep_alive else (V2SessionEvent.CLOSE,),
        ends_children_by=V2Event.STOP,
        after_children=True,
    )


def _session_item(session: EmulatedTask, clock: EmulatedClock) -> SessionItem:
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


def _session_view(session: EmulatedTask, clock: EmulatedClock) -> SessionView:
    tasks: list[V2TaskItem | V2In2025TaskItem] = [
        _item_of_2025(task, clock) if task.api == V2_2025.name else _item(task, clock) for task in session.children
    ]
    share: PublicShare | None = session.given.get("share")
    url = None if share is None else share["shareUrl"]
    return SessionView(**_session_item(session, clock), tasks=tasks, publicShareUrl=url)


def _share(session: EmulatedTask, _: Tasks, __: EmulatedClock) -> Outcome | Refusal:
    share: PublicShare | None = session.given.get("share")
    return Refusal(404, {"detail": NEVER_SHARED}) if share is None else Outcome(share)


def _shared(session: EmulatedTask, _: Tasks, __: EmulatedClock) -> Outcome:
    """Create Session Public Share: "Create or return existing public share for a session."."""
    token = secrets.token_urlsafe(16)
    new = PublicShare(shareToken=token, shareUrl=SHARE_URL.format(token=token), viewCount=0, lastViewedAt=None)
    share: PublicShare = session.given.get("share") or new
    return Outcome(share, [Keeps(session, {"share": share})])


def _unshared(session: EmulatedTask, _: Tasks, __: EmulatedClock) -> Outcome:
    return Outcome(None, [Keeps(session, {"share": None})])


def _purged(_: EmulatedTask, __: Tasks, ___: EmulatedClock) -> Refusal:
    """Purge Session: "ZDR projects only"; no emulated project has Zero Data Retention."""
    return Refusal(403, {"detail": NO_ZDR})


def _deleted(session: EmulatedTask, _: Tasks, __: EmulatedClock) -> Outcome:
    """Delete Session: "Delete a session with all its tasks."."""
    return Outcome(None, [Vanishes(each) for each in (*session.children, session)])


def _listed_sessions(
    sessions: Sequence[EmulatedTask],
    clock: EmulatedClock,
    *,
    page_size: int,
    page_number: int,
    filter_by: V2SessionState | None,
) -> V2SessionList:
    found = [each for each in sessions if filter_by in (None, each.state)]
    return V2SessionList(
        items=[_session_item(each, clock) for each in found[(page_number - 1) * page_size : page_number * page_size]],
        totalItems=len(found),
        pageNumber=page_number,
        pageSize=page_size,
    )


# --- tasks ---


def _new_task(body: CreateTask, tasks: Tasks, _: Mapping[str, str]) -> NewTask | Refusal:
    given = {"task": body.task, "llm": body.llm, "metadata": body.metadata or {}}
    if body.session_id is None:
        return NewTask(given=given, parent=_session(_ONE_OFF_SESSION))
    session = tasks.find(str(body.session_id), api=V2_SESSION.name)
    if session is None:
        return Refusal(404, {"detail": SESSION_NOT_FOUND})
    if session.is_over:
        return Refusal(400, {"detail": SESSION_STOPPED})
    if not all(task.is_over for task in session.children):
        return Refusal(400, {"detail": SESSION_BUSY})
    return NewTask(given=given, parent=session)


def _created(task: EmulatedTask, _: EmulatedClock) -> TaskCreated:
    return TaskCreated(id=task.id, sessionId=_session_of(task).id)


def _view(task: EmulatedTask, clock: EmulatedClock) -> V2TaskView:
    return V2TaskView(**_item(task, clock), steps=_steps(task), outputFiles=[])


def _listed(
    view: View,
    tasks: Sequence[EmulatedTask],
    clock: EmulatedClock,
    *,
    page_size: int,
    page_number: int,
    session_id: UUID | None,
    filter_by: str | None,
    after: datetime | None,
    before: datetime | None,
) -> V2TaskList:
    found = [
        task
        for task in tasks
        if (session_id is None or _session_of(task).id == str(session_id))
        and filter_by in (None, task.state)
        and (after is None or clock.at(task.created_s) >= _utc(after))
        and (before is None or clock.at(task.created_s) <= _utc(before))
    ]
    return V2TaskList(
        items=[view(task, clock) for task in found[(page_number - 1) * page_size : page_number * page_size]],
        totalItems=len(found),
        pageNumber=page_number,
        pageSize=page_size,
    )


def _status(task: EmulatedTask, clock: EmulatedClock) -> TaskStatus:
    """Return a task's short view, for polling."""
    finished = task.last(V2Event.FINISH) is not None
    return TaskStatus(
        id=task.id,
        status=V2State(task.state),
        output=_output(task),
        finishedAt=_at(clock, task.ended_s),
        isSuccess=_is_success(task),
        cost=PRICE_USD if finished else None,
    )


def _item(task: EmulatedTask, clock: EmulatedClock) -> V2TaskItem:
    """Return a task's entry in a list."""
    started = task.last(V2Event.START)
    return V2TaskItem(
        **_status(task, clock),
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


def _view_of_2025(task: EmulatedTask, clock: EmulatedClock) -> V2In2025TaskView:
    return V2In2025TaskView(
        **_item_of_2025(task, clock),
        session=_session_item(_session_of(task), clock),
        steps=_steps(task),
        outputFiles=[],
        userUploadedFiles=[],
    )


def _item_of_2025(task: EmulatedTask, clock: EmulatedClock) -> V2In2025TaskItem:
    output = _output(task)
    return V2In2025TaskItem(
        id=task.id,
        sessionId=_session_of(task).id,
        llm=task.given["llm"],
        task=task.given["task"],
        status=V2In2025State(task.state),
        startedAt=moment(clock.at(task.created_s)),
        finishedAt=_at(clock, task.ended_s),
        metadata=task.given["metadata"],
        output=output,
        doneOutput=output,
        browserUseVersion=None,
        isSuccess=_is_success(task),
        isScheduled=False,
    )


def _logs(task: EmulatedTask, _: Tasks, __: EmulatedClock) -> Outcome:
    return Outcome(LogFile(downloadUrl=LOG_URL.format(id=task.id)))


def _output(task: EmulatedTask) -> str | None:
    return None if task.last(V2Event.FINISH) is None else f"Done: {task.given['task']}"


def _steps(task: EmulatedTask) -> list[TaskStep]:
    started, finished = task.last(V2Event.START), task.last(V2Event.FINISH)
    if finished is None:
        return []
    step = TaskStep(
        number=1,
        memory="",
        evaluationPreviousGoal="",
        nextGoal=task.given["task"],
        url="about:blank",
        screenshotUrl=None,
        actions=[],
        duration=finished.at_s - (task.created_s if started is None else started.at_s),
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


# fmt: off
_UPDATE = Operation(
    name="update_task", about="Stop a task, or a task and its session; return a task that is over unchanged.",
    response=V2TaskView, errors=(400, 404), body=UpdateTask)

_LOGS = Operation(
    name="get_task_logs", about="Return the URL of a task's log, where the emulator keeps no file.", response=LogFile,
    errors=(404,))

TASK_PROFILE = Profile(
    webhook=status_update,
    ping=ping,
    id_type=UUID,
    operations={
        "create": Operation(
            name="create_task", about="Create a task, in the given session or in a new one.", response=TaskCreated,
            status_code=202, errors=(400, 404, 429), body=CreateTask),
        "status": Operation(
            name="get_task_status", about="Return a task's short view, for polling.", response=TaskStatus,
            errors=(404,)),
        "details": Operation(name="get_task", about="Return a task.", response=V2TaskView, errors=(404,)),
        "list": Operation(
            name="list_tasks", response=V2TaskList,
            about="Return a page of tasks, newest first, filtered by session, state and time of creation.",
            query={
                "page_size": _PAGE_SIZE,
                "page_number": _PAGE_NUMBER,
                "session_id": (Annotated[UUID | None, Query(alias="sessionId")], None),
                "filter_by": (Annotated[V2State | None, Query(alias="filterBy")], None),
                "after": (Annotated[DateTime | None, Query()], None),
                "before": (Annotated[DateTime | None, Query()], None),
            }),
        str(V2Event.STOP): _UPDATE,
        str(V2Event.STOP_TASK_AND_SESSION): _UPDATE,
        "logs": _LOGS,
    },
    further={"logs": _logs},
    new=_new_task,
    created=_created,
    status=_status,
    details=_view,
    listed=partial(_listed, _item),
    refused=_unchanged,
)

_LIST = TASK_PROFILE.operations["list"]

PROFILE_2025 = Profile(
    id_type=UUID,
    operations={
        "create": Operation(
            name="create_task", about="Create a task, in the given session or in a new one.", response=TaskCreated,
            status_code=202, errors=(400, 404), body=CreateTask),
        "details": Operation(name="get_task", about="Return a task.", response=V2In2025TaskView, errors=(404,)),
        "list": replace(
            _LIST, response=V2In2025TaskList,
            query={**_LIST.query, "filter_by": (Annotated[V2In2025State | None, Query(alias="filterBy")], None)}),
        "logs": _LOGS,
    },
    further={"logs": _logs},
    new=_new_task,
    created=_created,
    details=_view_of_2025,
    listed=partial(_listed, _item_of_2025),
    refused=_unchanged,
)

SESSION_PROFILE = Profile(
    parameter="session_id",
    id_type=UUID,
    not_found=SESSION_NOT_FOUND,
    operations={
        "create": Operation(
            name="create_session", about="Create a session without a task.", response=SessionItem, status_code=201,
            errors=(400, 402, 404, 429), body=CreateSession, default=_DEFAULT_SESSION),
        "details": Operation(
            name="get_session", about="Return a session with its tasks.", response=SessionView, errors=(404,)),
        "list": Operation(
            name="list_sessions", about="Return a page of sessions, newest first.", response=V2SessionList,
            query={
                "page_size": _PAGE_SIZE,
                "page_number": _PAGE_NUMBER,
                "filter_by": (Annotated[V2SessionState | None, Query(alias="filterBy")], None),
            }),
        str(V2SessionEvent.STOP): Operation(
            name="update_session", about="Stop a session and its tasks; return a session that is over unchanged.",
            response=SessionView, errors=(400, 404), body=UpdateSession),
        "delete": Operation(
            name="delete_session", about="Delete a session with all its tasks.", status_code=204, errors=(404,)),
        "purge": Operation(
            name="purge_session", about="Purge a session: refused, because no project has Zero Data Retention.",
            status_code=204, errors=(403, 404)),
        "share": Operation(
            name="get_session_public_share", about="Return a session's public link.", response=PublicShare,
            errors=(404,)),
        "create_share": Operation(
            name="create_session_public_share", about="Open a session's public link, or return the one there is.",
            response=PublicShare, status_code=201, errors=(404,)),
        "delete_share": Operation(
            name="delete_session_public_share", about="Close a session's public link.", status_code=204,
            errors=(404,)),
    },
    further={
        "delete": _deleted,
        "purge": _purged,
        "share": _share,
        "create_share": _shared,
        "delete_share": _unshared,
    },
    new=_new_session,
    created=_session_item,
    details=_session_view,
    listed=_listed_sessions,
    refused=_unchanged,
)
# fmt: on


def limited(active_sessions: float = math.inf, *, credit_usd: float = math.inf) -> Mapping[str, Profile]:
    """Return the profiles of a service with limits, for `Emulator`.

    With so many active sessions a create that would need one more is refused with 429; once tasks have cost the credit,
    the create of a session is refused with 402. Source: the OpenAPI specification of 2026-08-06,
    TooManyConcurrentActiveSessionsError and InsufficientCreditsError.
    """

    def create_session(wanted: CreateSession, tasks: Tasks, parameters: Mapping[str, str]) -> NewTask | Refusal:
        finished = sum(task.last(V2Event.FINISH) is not None for task in tasks.tasks(V2.name))
        if Decimal(PRICE_USD) * finished >= Decimal(str(credit_usd)):
            return Refusal(402, {"detail": NO_CREDIT})
        return _new_session(wanted, tasks, parameters)

    def checked(new: _New) -> _New:
        def create(body: Any, tasks: Tasks, parameters: Mapping[str, str]) -> NewTask | Refusal:
            plan = new(body, tasks, parameters)
            needs_session = isinstance(plan, NewTask) and not isinstance(plan.parent, EmulatedTask)
            active = sum(not session.is_over for session in tasks.tasks(V2_SESSION.name))
            return Refusal(429, {"detail": TOO_MANY_SESSIONS}) if needs_session and active >= active_sessions else plan

        return create

    return {
        V2.name: replace(TASK_PROFILE, new=checked(_new_task)),
        V2_SESSION.name: replace(SESSION_PROFILE, new=checked(create_session)),
    }
