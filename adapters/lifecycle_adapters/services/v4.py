"""Browser Use Cloud v4 over HTTP: runs, and the messages that wait in a session to become the next run. Tables only.

Sources: the OpenAPI specification of 2026-07-26; the official Python SDK 3.12.1 (October 2026) for the run's fields as
it reads them, and for what the specification does not have yet: the read of one message (`get_message`), and a
session's title (`update`), deletion, cost, cost cap and shared link.
"""

from __future__ import annotations

from lifecycle.catalog import V4 as RUN
from lifecycle.catalog import V4_MESSAGE as MESSAGE
from lifecycle.catalog import V4Event, V4MessageEvent, V4MessageState, V4State
from lifecycle_adapters.http.authentication import Authentication
from lifecycle_adapters.http.binding import HttpBinding, SessionCalls
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.services.browser_use import KEY_VARIABLE, RUN_WEBHOOKS, SERVER

KEY = Authentication("X-Browser-Use-API-Key")
BASE_PATH = "/api/v4"
# The service in the EU (autumn 2026). It has neither v2 nor v3, and sends no webhooks.
SERVERS = {"eu": "https://api.eu.browser-use.com"}

# fmt: off
V4_MESSAGE: HttpBinding[V4MessageState, V4MessageEvent] = HttpBinding(
    name="v4-message",
    lifecycle=MESSAGE,
    base_url=SERVER,
    servers=SERVERS,
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

# A session has the status of its latest run, and a new run can follow at any time.
SESSION_CALLS = SessionCalls(
    details=Call(method="GET", path="/sessions/{id}"),
    latest_field="latestRunId",
    messages=V4_MESSAGE,
    task_state=V4MessageState.CONSUMED,
    further_calls={
        "update":       Call(method="PATCH", path="/sessions/{id}", body={}, required_fields=("title",)),
        "delete":       Call(method="DELETE", path="/sessions/{id}"),
        "purge":        Call(method="POST", path="/sessions/{id}/purge"),
        "cost":         Call(method="GET", path="/sessions/{id}/cost"),
        "cost_cap":     Call(method="PATCH", path="/sessions/{id}/cost-cap", body={}, required_fields=("maxCostUsd",)),
        # A link has an id of its own.
        "share":        Call(method="GET", path="/sessions/{id}/share", repeats_id=False),
        "create_share": Call(method="POST", path="/sessions/{id}/share", repeats_id=False),
        "update_share":
            Call(method="PUT", path="/sessions/{id}/share", body={}, required_fields=("isActive",), repeats_id=False),
    },
)

V4: HttpBinding[V4State, V4Event] = HttpBinding(
    name="v4",
    lifecycle=RUN,
    base_url=SERVER,
    servers=SERVERS,
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
    session_field="sessionId",
    session_calls=SESSION_CALLS,
    further_calls={"attachments": Call(method="GET", path="/runs/{id}/attachments")},
    # "Clients doing periodic polls pass back the highest id they've seen to get only the delta."
    events=ListCall(
        call=Call(method="GET", path="/runs/{id}/events"),
        items_field="events",
        pages="last_ids",
        page_parameter="after",
        more_field="hasMore",
        id_field="id",
    ),
    output_field="result",
    cost_field="totalCostUsd",
    created_field="createdAt",
    webhooks=RUN_WEBHOOKS,
)
# fmt: on
