"""Browser Use Cloud v4 over HTTP: runs. Tables only.

Source: the v4 calls Create, Get, Get Status, List and Cancel Run, and the run's fields as the official
Python SDK 3.12.1 reads them.
"""

from __future__ import annotations

from lifecycle.catalog import V4 as RUN
from lifecycle.catalog import V4Event, V4State
from lifecycle_adapters.http.authentication import Authentication
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.services.browser_use import KEY_VARIABLE, SERVER, TASK_WEBHOOKS

# fmt: off
V4: HttpBinding[V4State, V4Event] = HttpBinding(
    name="v4",
    lifecycle=RUN,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path="/api/v4",
    authentication=Authentication("X-Browser-Use-API-Key"),
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
