"""Browser Use Cloud v4 over HTTP: runs, and the messages that wait in a session to become the next run. Tables only.

Sources: the OpenAPI specification of 2026-07-26; the official Python SDK 3.12.1 (October 2026) for the run's fields as
it reads them, and for the read of one message (`get_message`), which the specification does not have yet.
"""

from __future__ import annotations

from lifecycle.catalog import V4 as RUN
from lifecycle.catalog import V4_MESSAGE as MESSAGE
from lifecycle.catalog import V4Event, V4MessageEvent, V4MessageState, V4State
from lifecycle_adapters.http.authentication import Authentication
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.services.browser_use import KEY_VARIABLE, SERVER, TASK_WEBHOOKS

KEY = Authentication("X-Browser-Use-API-Key")
BASE_PATH = "/api/v4"

# fmt: off
V4_MESSAGE: HttpBinding[V4MessageState, V4MessageEvent] = HttpBinding(
    name="v4-message",
    lifecycle=MESSAGE,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path=BASE_PATH,
    authentication=KEY,
    parameters=("session_id",),
    create=Call(method="POST", path="/sessions/{session_id}/queue", body={}, status_field="status"),
    status=Call(method="GET", path="/sessions/{session_id}/queue/{id}", status_field="status"),
    details=Call(method="GET", path="/sessions/{session_id}/queue/{id}", status_field="status"),
    # Only the pending ones, oldest first.
    listing=ListCall(call=Call(method="GET", path="/sessions/{session_id}/queue"), items_field="queue", pages="one"),
    commands={
        V4MessageEvent.CANCEL:
            Call(method="DELETE", path="/sessions/{session_id}/queue/{id}", status_field="status"),
    },
    created_field="createdAt",
    task_field="text",
)

V4: HttpBinding[V4State, V4Event] = HttpBinding(
    name="v4",
    lifecycle=RUN,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path=BASE_PATH,
    authentication=KEY,
    create=Call(method="POST", path="/runs", body={}, status_field="status"),
    status=Call(method="GET", path="/runs/{id}/status", status_field="status"),
    details=Call(method="GET", path="/runs/{id}", status_field="status"),
    listing=ListCall(
        call=Call(method="GET", path="/runs"),
        items_field="runs",
        pages="cursors",
        page_parameter="cursor",
        next_field="nextCursor",
    ),
    commands={
        V4Event.CANCEL: Call(method="POST", path="/runs/{id}/cancel", status_field="status"),
    },
    output_field="result",
    cost_field="totalCostUsd",
    created_field="createdAt",
    webhooks=TASK_WEBHOOKS,
)
# fmt: on
