"""Agents that speak A2A 1.0 over HTTP and JSON. Tables only.

Source: A2A specification 1.0, 4.3 (push notifications), 5.3 (methods), 5.4 (error codes), 11 (HTTP+JSON/REST), and
specification/a2a.proto. a2a_updates.py reads the updates that agents push.

Every agent has its own server, so `base_url` must always be given. If its Agent Card requires a key, use
`replace(A2A, authentication=Authentication("Authorization", prefix="Bearer "))`. A create and an answer take the
contents of the message as `parts`: `client.create(parts=[{"text": "Book a flight"}])`.
"""

from __future__ import annotations

from pydantic import JsonValue

from lifecycle.catalog import A2A as TASK
from lifecycle.catalog import A2AEvent, A2AState
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.http.webhook_binding import BEARER, WebhookBinding
from lifecycle_adapters.services.a2a_updates import update_in

# fmt: off
# Each request has a message id of its own: that an agent knows a repeated message by its id is optional (3.3.1).
_MESSAGE: dict[str, JsonValue] = {"messageId": "{request_id}", "role": "ROLE_USER"}
# Otherwise the response arrives once the task is over, or interrupted.
_AT_ONCE: JsonValue = {"returnImmediately": True}
# An agent may have worked off an answer before it responds. A task that is over takes no message (3.1.1), so a response
# with one of these shows that the agent took the answer.
AT_THE_END = (A2AState.COMPLETED, A2AState.FAILED, A2AState.CANCELED, A2AState.REJECTED)
_CONFIGS = "/tasks/{id}/pushNotificationConfigs"  # each has an id of its own in the field `id`

A2A: HttpBinding[A2AState, A2AEvent] = HttpBinding(
    name="a2a",
    lifecycle=TASK,
    base_url="http://localhost:9999",
    base_path="",
    authentication=None,
    headers={"A2A-Version": "1.0"},
    create=Call(
        method="POST", path="/message:send", fields_path="message", required_fields=("parts",),
        body={"message": _MESSAGE, "configuration": _AT_ONCE},
        status_field="task.status.state", id_field="task.id", no_task_field="message",
    ),
    status=Call(method="GET", path="/tasks/{id}", query={"historyLength": "0"}, status_field="status.state"),
    details=Call(method="GET", path="/tasks/{id}", status_field="status.state"),
    listing=ListCall(
        call=Call(method="GET", path="/tasks"),
        items_field="tasks",
        pages="cursors",
        page_parameter="pageToken",
        next_field="nextPageToken",
    ),
    commands={
        # Only a read proves a cancel: an agent can respond with a state that it does not keep.
        A2AEvent.CANCEL: Call(method="POST", path="/tasks/{id}:cancel", body={}),
        A2AEvent.ANSWER: Call(
            method="POST", path="/message:send", fields_path="message", required_fields=("parts",),
            body={"message": {**_MESSAGE, "taskId": "{id}"}, "configuration": _AT_ONCE},
            status_field="task.status.state", id_field="task.id", no_task_field="message", may_report=AT_THE_END,
        ),
    },
    further_calls={
        "create_push_config": Call(
            method="POST", path=_CONFIGS, body={}, required_fields=("url",), repeats_id=False,
        ),
        "list_push_configs": Call(method="GET", path=_CONFIGS, repeats_id=False),
        "get_push_config": Call(
            method="GET", path=f"{_CONFIGS}/{{config_id}}", path_fields=("config_id",), repeats_id=False,
        ),
        "delete_push_config": Call(
            method="DELETE", path=f"{_CONFIGS}/{{config_id}}", path_fields=("config_id",), repeats_id=False,
        ),
    },
    webhooks=WebhookBinding(signature=BEARER, update_of=update_in),
    # By the tables of the specification (5.3, 11.3.2) and the official client; specification/a2a.proto has GET.
    stream=StreamBinding(
        call=Call(method="POST", path="/tasks/{id}:subscribe", headers={"Accept": "text/event-stream"}),
        update_of=update_in,
    ),
    output_field="artifacts",
    changed_field="status.timestamp",
    task_field=None,
)
# fmt: on
