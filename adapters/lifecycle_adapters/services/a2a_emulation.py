"""The emulation of an A2A agent beyond its binding: data and pure functions.

Source: A2A specification 1.0, 3.1 (operations), 4.3 (push notifications), 5.4 and 11.6 (errors), and
specification/a2a.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import Annotated, Any

from fastapi import Query
from pydantic import AnyHttpUrl, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from lifecycle.catalog import A2AEvent, A2AState
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.profile import (
    Keeps,
    NewTask,
    Operation,
    Outcome,
    Profile,
    Recipient,
    Refusal,
    Tasks,
    new_uuid,
)
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.http.responses import value_at
from lifecycle_adapters.http.webhook_binding import A2A_TOKEN

_NAMES = {400: "FAILED_PRECONDITION", 401: "UNAUTHENTICATED", 404: "NOT_FOUND"}  # of google.rpc.Code
TASK_NOT_FOUND = "TASK_NOT_FOUND"
NOT_CANCELABLE = "TASK_NOT_CANCELABLE"
UNSUPPORTED = "UNSUPPORTED_OPERATION"
VERSION_NOT_SUPPORTED = "VERSION_NOT_SUPPORTED"
NOT_SUPPORTED = "This version of the protocol is not supported: send A2A-Version: 1.0"
NO_CONFIG = "The push notification configuration does not exist"
PAGE = 50  # ListTasksRequest: "If unspecified, at most 50 tasks will be returned."


def info(reason: str) -> dict[str, str]:
    """Return the detail of an error that says which of A2A's errors it is."""
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "a2a-protocol.org"}


def _error(text: str, code: int, reason: str = TASK_NOT_FOUND) -> Any:
    details = [info(reason)] if code in (400, 404) else []
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


def waits(sent: Mapping[str, Any]) -> bool:
    """Return whether the operation waits: "Operations are blocking by default" (3.2.2)."""
    return not value_at(sent, "configuration.returnImmediately")


def is_supported(headers: Mapping[str, str]) -> bool:
    """Return whether a request is of version 1.0: "Agents MUST interpret empty value as 0.3 version" (3.6.2)."""
    return headers.get("a2a-version") == "1.0"


def _unsupported(headers: Mapping[str, str], _: Any) -> Refusal | None:
    return None if is_supported(headers) else Refusal(400, _error(NOT_SUPPORTED, 400, VERSION_NOT_SUPPORTED))


def _refused(_lifecycle: Lifecycle[Any, Any], task: EmulatedTask, command: str) -> Refusal:
    """Refuse also a second cancel: "The task is not in a cancelable state (e.g., already completed, [...])" (3.1.5)."""
    reason = NOT_CANCELABLE if command == A2AEvent.CANCEL else UNSUPPORTED
    return Refusal(400, _error(f"{command} is not possible in {task.state}", 400, reason))


def listed(
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


# --- push notifications ---

_CONFIGS = "push_configs"  # of a task, by their ids


class _Authentication(BaseModel):
    scheme: str
    credentials: str = ""


class PushConfig(BaseModel):
    """The receiver of a task's notifications, and what it verifies them by."""

    model_config = ConfigDict(alias_generator=to_camel, hide_input_in_errors=True)

    id: str = ""
    url: AnyHttpUrl
    token: str = ""
    authentication: _Authentication | None = None


class _MessageSettings(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    task_push_notification_config: PushConfig | None = None


class _Message(BaseModel):
    """A message, whose parts are required (a2a.proto)."""

    model_config = ConfigDict(extra="allow")

    parts: list[dict[str, Any]]


class SentMessage(BaseModel):
    """What of the body of a message the emulator reads beyond its binding."""

    message: _Message
    configuration: _MessageSettings = _MessageSettings()


def new(body: SentMessage, _: Tasks, __: Mapping[str, str]) -> NewTask:
    """Return the task that a message makes."""
    config = body.configuration.task_push_notification_config
    configs = {} if config is None else {config.id or "1": config}
    return NewTask(given={**body.message.model_dump(), _CONFIGS: configs})


def _configs(task: EmulatedTask) -> dict[str, PushConfig]:
    return {**task.given.get(_CONFIGS, {})}


def _shown(task: EmulatedTask, config_id: str, config: PushConfig) -> dict[str, Any]:
    fields = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {**fields, "id": config_id, "taskId": task.id}


def created_config(task: EmulatedTask, _: Tasks, __: EmulatedClock, *, body: PushConfig) -> Outcome:
    """Add a configuration, or replace the one of its id."""
    config_id = body.id or new_uuid()
    changed = Keeps(task, {_CONFIGS: {**_configs(task), config_id: body}})
    return Outcome(_shown(task, config_id, body), [changed])


def listed_configs(task: EmulatedTask, _: Tasks, __: EmulatedClock, **_others: Any) -> Outcome:
    """Return all configurations of a task."""
    return Outcome({"configs": [_shown(task, *each) for each in _configs(task).items()]})


def found_config(task: EmulatedTask, _: Tasks, __: EmulatedClock, *, config_id: str) -> Outcome | Refusal:
    """Return a configuration: "The operation MUST fail if the configuration does not exist" (3.1.8)."""
    found = _configs(task).get(config_id)
    if found is None:
        return Refusal(404, _error(NO_CONFIG, 404))
    return Outcome(_shown(task, config_id, found))


def deleted_config(task: EmulatedTask, _: Tasks, __: EmulatedClock, *, config_id: str) -> Outcome:
    """Remove a configuration: "multiple deletions of the same config have the same effect" (3.1.10)."""
    left = {name: each for name, each in _configs(task).items() if name != config_id}
    return Outcome({}, [Keeps(task, {_CONFIGS: left})])


def _recipients(task: EmulatedTask) -> list[Recipient]:
    return [_recipient(each) for each in _configs(task).values()]


def _recipient(config: PushConfig) -> Recipient:
    headers = {"Content-Type": "application/a2a+json"}
    if config.token:
        headers[A2A_TOKEN.token_header] = config.token
    if config.authentication is not None:
        headers["Authorization"] = f"{config.authentication.scheme} {config.authentication.credentials}"
    return Recipient(str(config.url), headers)


def _status_update(task: EmulatedTask, status: str, clock: EmulatedClock) -> dict[str, Any]:
    at = moment(clock.at(task.state_since_s))
    update = {"taskId": task.id, "contextId": _context(task), "status": {"state": status, "timestamp": at}}
    return {"statusUpdate": update}


# fmt: off
PROFILE = Profile(
    not_found="The specified task ID does not exist or is not accessible",
    operations={
        "create": Operation(name="send_message", about="Send a message, which makes a task.", body=SentMessage),
        "list": Operation(
            name="list_tasks", about="Return a page of tasks, the most recently changed first.",
            query={
                "context_id": (Annotated[str | None, Query(alias="contextId")], None),
                "status": (Annotated[str | None, Query()], None),
                "size": (Annotated[int, Query(alias="pageSize", ge=1, le=100)], PAGE),
                "after": (Annotated[str, Query(alias="pageToken")], ""),
            }),
        "stream": Operation(
            name="subscribe_to_task", about="Return a stream of a task's updates.", errors=(404,)),
        "create_push_config": Operation(
            name="create_push_config", about="Let an agent push a task's updates to a URL.", errors=(404,),
            body=PushConfig),
        "list_push_configs": Operation(
            name="list_push_configs", about="Return where a task's updates are pushed to.", errors=(404,)),
        "get_push_config": Operation(
            name="get_push_config", about="Return one configuration of pushes.", errors=(404,)),
        "delete_push_config": Operation(
            name="delete_push_config", about="Push a task's updates to a URL no more.", errors=(404,)),
    },
    new=new,
    webhook=_status_update,
    optional=("configuration",),
    waits=waits,
    unsupported=_unsupported,
    recipients=_recipients,
    stream_begin=_in_a_response,
    streaming={"/message:stream": "/message:send"},
    further={
        "create_push_config": created_config,
        "list_push_configs": listed_configs,
        "get_push_config": found_config,
        "delete_push_config": deleted_config,
    },
    created=_in_a_response,
    status=_task,
    details=_task,
    listed=listed,
    commanded={str(A2AEvent.ANSWER): _in_a_response},
    refused=_refused,
    error=_error,
)
# fmt: on
