"""The emulation of an A2A agent beyond its binding: data and pure functions.

Source: A2A specification 1.0, 3.1 (operations), 5.4 and 11.6 (errors), and specification/a2a.proto (Task).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile
from typing import Annotated, Any

from fastapi import Query

from lifecycle.catalog import A2AEvent, A2AState
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.profile import Operation, Profile, Refusal
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask

_NAMES = {400: "FAILED_PRECONDITION", 401: "UNAUTHENTICATED", 404: "NOT_FOUND"}  # of google.rpc.Code
_TASK_NOT_FOUND = "TASK_NOT_FOUND"
_NOT_CANCELABLE = "TASK_NOT_CANCELABLE"
_UNSUPPORTED = "UNSUPPORTED_OPERATION"
_PAGE = 50  # ListTasksRequest: "If unspecified, at most 50 tasks will be returned."


def _error(text: str, code: int, reason: str = _TASK_NOT_FOUND) -> Any:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "a2a-protocol.org",
    }
    details = [info] if code in (400, 404) else []
    return {"error": {"code": code, "status": _NAMES.get(code, "UNKNOWN"), "message": text, "details": details}}


def _context(task: EmulatedTask) -> str:
    return str(task.given.get("contextId", task.id))  # without one it gets a context of its own


def _task(task: EmulatedTask, clock: EmulatedClock) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": task.id,
        "contextId": _context(task),
        "status": {"state": str(task.state), "timestamp": moment(clock.at(task.state_since_s))},
    }
    if task.state == A2AState.COMPLETED:
        shown["artifacts"] = [{"artifactId": "result", "parts": [{"text": "Done"}]}]
    return shown


def _in_a_response(task: EmulatedTask, clock: EmulatedClock) -> dict[str, Any]:
    return {"task": _task(task, clock)}


def _refused(_lifecycle: Lifecycle[Any, Any], task: EmulatedTask, command: str) -> Refusal:
    """Refuse also a second cancel: "The task is not in a cancelable state (e.g., already completed, [...])" (3.1.5)."""
    reason = _NOT_CANCELABLE if command == A2AEvent.CANCEL else _UNSUPPORTED
    return Refusal(400, _error(f"{command} is not possible in {task.state}", 400, reason))


def _listed(
    tasks: Sequence[EmulatedTask],
    clock: EmulatedClock,
    *,
    context_id: str | None,
    status: str | None,
    size: int,
    after: str,
) -> dict[str, Any]:
    """Return a page of tasks, the most recently changed first (3.1.4); `after` is the id of the last task before."""
    found = [
        task
        for task in sorted(tasks, key=lambda task: -task.state_since_s)
        if context_id in (None, _context(task)) and status in (None, str(task.state))
    ]
    rest = [*dropwhile(lambda task: task.id != after, found)][1:] if after else found
    shown = rest[:size]
    return {
        "tasks": [_task(task, clock) for task in shown],
        "nextPageToken": shown[-1].id if len(rest) > size else "",  # "MUST always be present"
        "pageSize": len(shown),
        "totalSize": len(found),
    }


# fmt: off
PROFILE = Profile(
    not_found="The specified task ID does not exist or is not accessible",
    operations={
        "create": Operation(name="send_message", about="Send a message, which makes a task."),
        "list": Operation(
            name="list_tasks", about="Return a page of tasks, the most recently changed first.",
            query={
                "context_id": (Annotated[str | None, Query(alias="contextId")], None),
                "status": (Annotated[str | None, Query()], None),
                "size": (Annotated[int, Query(alias="pageSize", ge=1, le=100)], _PAGE),
                "after": (Annotated[str, Query(alias="pageToken")], ""),
            }),
    },
    created=_in_a_response,
    status=_task,
    details=_task,
    listed=_listed,
    commanded={str(A2AEvent.ANSWER): _in_a_response},
    refused=_refused,
    error=_error,
)
# fmt: on
