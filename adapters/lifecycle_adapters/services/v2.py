"""Browser Use Cloud v2 over HTTP: its tasks, and the sessions they run in. Tables only.

Source: Update Task and the OpenAPI specification of 2026-08-06. The listing of sessions and their
view are in the same specification. `V2_2025` is the API until November 2025, of the official Python SDK 2.0.4.
"""

from __future__ import annotations

from lifecycle.catalog import V2_2025 as IN_2025
from lifecycle.catalog import (
    V2_FULL,
    V2Event,
    V2In2025Event,
    V2In2025State,
    V2SessionEvent,
    V2SessionState,
    V2State,
)
from lifecycle.catalog import V2_SESSION as SESSION
from lifecycle_adapters.http.authentication import Authentication
from lifecycle_adapters.http.binding import HttpBinding, Proof
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.http.retired import Retired
from lifecycle_adapters.services.browser_use import KEY_VARIABLE, SERVER, TASK_WEBHOOKS

KEY = Authentication("X-Browser-Use-API-Key")
BASE_PATH = "/api/v2"
# "Too many concurrent active sessions. Please wait for one to finish, kill one, or upgrade your plan."
LIMITS_TASKS = ("too many concurrent active sessions",)
LOGS = Call(method="GET", path="/tasks/{id}/logs")

# fmt: off
V2_SESSION: HttpBinding[V2SessionState, V2SessionEvent] = HttpBinding(
    name="v2-session",
    lifecycle=SESSION,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path=BASE_PATH,
    authentication=KEY,
    create=Call(method="POST", path="/sessions", body={}, status_field="status"),
    status=Call(method="GET", path="/sessions/{id}", status_field="status"),
    details=Call(method="GET", path="/sessions/{id}", status_field="status"),
    listing=ListCall(call=Call(method="GET", path="/sessions"), items_field="items", page_parameter="pageNumber"),
    commands={
        V2SessionEvent.STOP:
            Call(method="PATCH", path="/sessions/{id}", body={"action": "stop"}, status_field="status"),
    },
    further_calls={
        "delete":       Call(method="DELETE", path="/sessions/{id}"),
        "purge":        Call(method="POST", path="/sessions/{id}/purge"),
        "share":        Call(method="GET", path="/sessions/{id}/public-share"),
        "create_share": Call(method="POST", path="/sessions/{id}/public-share"),
        "delete_share": Call(method="DELETE", path="/sessions/{id}/public-share"),
    },
    limits_tasks=LIMITS_TASKS,
    created_field="startedAt",
    task_field=None,
)

V2: HttpBinding[V2State, V2Event] = HttpBinding(
    name="v2",
    lifecycle=V2_FULL,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path=BASE_PATH,
    authentication=KEY,
    create=Call(method="POST", path="/tasks", body={}),
    status=Call(method="GET", path="/tasks/{id}/status", status_field="status"),
    details=Call(method="GET", path="/tasks/{id}", status_field="status"),
    listing=ListCall(call=Call(method="GET", path="/tasks"), items_field="items", page_parameter="pageNumber"),
    commands={
        V2Event.STOP:
            Call(method="PATCH", path="/tasks/{id}", body={"action": "stop"}, status_field="status"),
        V2Event.STOP_TASK_AND_SESSION:
            Call(method="PATCH", path="/tasks/{id}", body={"action": "stop_task_and_session"}, status_field="status"),
    },
    further_calls={"logs": LOGS},
    proofs={
        V2Event.STOP_TASK_AND_SESSION: Proof(binding=V2_SESSION, id_field="sessionId", event=V2SessionEvent.STOP),
    },
    session=V2_SESSION,
    session_field="sessionId",
    output_field="output",
    cost_field="cost",
    limits_tasks=LIMITS_TASKS,
    created_field="createdAt",
    webhooks=TASK_WEBHOOKS,
)

V2_2025: HttpBinding[V2In2025State, V2In2025Event] = HttpBinding(
    name="v2-2025",
    lifecycle=IN_2025,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path=BASE_PATH,
    authentication=KEY,
    create=Call(method="POST", path="/tasks", body={}),
    status=Call(method="GET", path="/tasks/{id}", status_field="status"),
    details=Call(method="GET", path="/tasks/{id}", status_field="status"),
    listing=ListCall(call=Call(method="GET", path="/tasks"), items_field="items", page_parameter="pageNumber"),
    commands={
        command: Call(method="PATCH", path="/tasks/{id}", body={"action": str(command)}, status_field="status")
        for command in IN_2025.commands
    },
    further_calls={"logs": LOGS},
    proofs={
        V2In2025Event.STOP_TASK_AND_SESSION:
            Proof(binding=V2_SESSION, id_field="sessionId", event=V2SessionEvent.STOP),
    },
    session=V2_SESSION,
    session_field="sessionId",
    output_field="output",
    created_field="startedAt",
    retired=Retired("2025-11", instead="v2"),
)
# fmt: on
