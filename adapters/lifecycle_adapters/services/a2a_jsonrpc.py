"""Agents that speak A2A 1.0 over JSON-RPC. Tables only.

Source: A2A specification 1.0, 4.3.3 (push notifications, whose payload is that of every transport), 5.3 (methods), 5.4
(error codes), 9 (JSON-RPC), and specification/a2a.proto.

A method's parameters are those of HTTP and JSON (a2a.py); a configuration of pushes has its id in the field `id`.
`base_url` is the URL that the Agent Card names, such as
"https://agent.example/rpc".
"""

from __future__ import annotations

from pydantic import JsonValue

from lifecycle.catalog import A2A as TASK
from lifecycle.catalog import A2AEvent, A2AState
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import ListCall
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.services.a2a import A2A, AT_THE_END
from lifecycle_adapters.services.a2a_updates import update_in_result
from lifecycle_adapters.services.json_rpc import ERROR_CODES, JSON_RPC, rpc

# fmt: off
_CREATED = {
    "status_field": "task.status.state",
    "id_field": "task.id",
    "no_task_field": "message",
    "required_fields": ("parts",),
}
_MESSAGE = "params.message"
_TASK: dict[str, JsonValue] = {"taskId": "{id}"}

A2A_JSONRPC: HttpBinding[A2AState, A2AEvent] = HttpBinding(
    name="a2a-jsonrpc",
    lifecycle=TASK,
    base_url="http://localhost:9999",
    base_path="",
    authentication=None,
    headers=A2A.headers,
    create=rpc("SendMessage", A2A.create.body or {}, fields_path=_MESSAGE, **_CREATED),
    status=rpc("GetTask", {"id": "{id}", "historyLength": 0}, status_field="status.state"),
    details=rpc("GetTask", {"id": "{id}"}, status_field="status.state"),
    listing=ListCall(
        call=rpc("ListTasks", {}),
        items_field="tasks",
        pages="cursors",
        page_parameter="pageToken",
        next_field="nextPageToken",
    ),
    commands={
        A2AEvent.CANCEL: rpc("CancelTask", {"id": "{id}"}),
        A2AEvent.ANSWER: rpc(
            "SendMessage", A2A.commands[A2AEvent.ANSWER].body or {}, fields_path=_MESSAGE, **_CREATED,
            may_report=AT_THE_END,
        ),
    },
    further_calls={
        "create_push_config": rpc(
            "CreateTaskPushNotificationConfig", _TASK, required_fields=("url",), repeats_id=False,
        ),
        "list_push_configs": rpc("ListTaskPushNotificationConfigs", _TASK, repeats_id=False),
        "get_push_config": rpc(
            "GetTaskPushNotificationConfig", _TASK, required_fields=("id",), repeats_id=False,
        ),
        "delete_push_config": rpc(
            "DeleteTaskPushNotificationConfig", _TASK, required_fields=("id",), repeats_id=False,
        ),
    },
    webhooks=A2A.webhooks,
    stream=StreamBinding(
        call=rpc("SubscribeToTask", {"id": "{id}"}, headers={"Accept": "text/event-stream"}),
        update_of=update_in_result,
    ),
    output_field="artifacts",
    changed_field="status.timestamp",
    task_field=None,
    envelope=JSON_RPC,
    error_field="error",
    error_codes={
        **ERROR_CODES,
        -32001: 404,  # TaskNotFoundError
        -32002: 400,  # TaskNotCancelableError
        -32003: 400,  # PushNotificationNotSupportedError
        -32004: 400,  # UnsupportedOperationError
        -32005: 400,  # ContentTypeNotSupportedError
        -32006: 500,  # InvalidAgentResponseError
        -32007: 400,  # ExtendedAgentCardNotConfiguredError
        -32008: 400,  # ExtensionSupportRequiredError
        -32009: 400,  # VersionNotSupportedError
    },
)
# fmt: on
