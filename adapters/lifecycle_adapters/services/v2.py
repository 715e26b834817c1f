"""Browser Use Cloud v2 over HTTP: its tasks, and the sessions they run in. Tables only.

Source: Update Task and the OpenAPI specification of 2026-08-06. The listing of sessions and their
view are in the same specification.
"""

from __future__ import annotations

from lifecycle.catalog import V2_FULL, V2Event, V2SessionEvent, V2SessionState, V2State
from lifecycle.catalog import V2_SESSION as SESSION
from lifecycle_adapters.http.authentication import Authentication
from lifecycle_adapters.http.binding import HttpBinding, Proof
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.services.browser_use import KEY_VARIABLE, SERVER, TASK_WEBHOOKS

KEY = Authentication("X-Browser-Use-API-Key")
BASE_PATH = "/api/v2"
# "Too many concurrent active sessions. Please wait for one to finish, kill one, or upgrade your plan."
LIMITS_TASKS = ("too many concurrent active sessions",)

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
    further_calls={"delete": Call(method="DELETE", path="/sessions/{id}")},
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
# fmt: on
