"""Browser Use Cloud v3 over HTTP: sessions. Tables only.

Source: Stop Session and the OpenAPI specification of 2026-08-06. A session is created and given a
further task by the same call; with `sessionId` in the body it is a dispatch.
"""

from __future__ import annotations

from lifecycle.catalog import V3_FULL, V3Event, V3State
from lifecycle_adapters.http.authentication import Authentication
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.services.browser_use import KEY_VARIABLE, SERVER, SESSION_WEBHOOKS

# fmt: off
V3: HttpBinding[V3State, V3Event] = HttpBinding(
    name="v3",
    lifecycle=V3_FULL,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path="/api/v3",
    authentication=Authentication("X-Browser-Use-API-Key"),
    create=Call(method="POST", path="/sessions", body={}, status_field="status"),
    status=Call(method="GET", path="/sessions/{id}", status_field="status"),
    details=Call(method="GET", path="/sessions/{id}", status_field="status"),
    listing=ListCall(call=Call(method="GET", path="/sessions"), items_field="sessions", page_parameter="page"),
    commands={
        V3Event.DISPATCH:
            Call(method="POST", path="/sessions", body={"sessionId": "{id}"},
                 required_fields=("task",), status_field="status"),
        # Without a body the whole session stops; the strategy is younger than this call.
        V3Event.STOP:
            Call(method="POST", path="/sessions/{id}/stop", status_field="status"),
        V3Event.STOP_TASK:
            Call(method="POST", path="/sessions/{id}/stop", body={"strategy": "task"}, status_field="status"),
    },
    events=ListCall(
        call=Call(method="GET", path="/sessions/{id}/messages"),
        items_field="messages",
        pages="last_ids",
        page_parameter="after",
        more_field="hasMore",
        id_field="id",
    ),
    # "Soft-delete a session. Stops the sandbox first if still running."
    further_calls={"delete": Call(method="DELETE", path="/sessions/{id}")},
    output_field="output",
    cost_field="totalCostUsd",
    created_field="createdAt",
    webhooks=SESSION_WEBHOOKS,
)
# fmt: on
