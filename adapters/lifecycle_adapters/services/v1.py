"""Browser Use Cloud v1 over HTTP. Tables only.

Source: the v1 documents of the control, task and status calls. The control calls return `{}`, so
the status must be read after them. In August 2026 a public probe found that the documented routes return 404; the
vendor calls v4 "the current API".
"""

from __future__ import annotations

from lifecycle.catalog import V1_FULL, V1Event, V1State
from lifecycle_adapters.http.authentication import Authentication
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.http.retired import Retired
from lifecycle_adapters.services.browser_use import KEY_VARIABLE, SERVER, TASK_WEBHOOKS

# fmt: off
V1: HttpBinding[V1State, V1Event] = HttpBinding(
    name="v1",
    lifecycle=V1_FULL,
    base_url=SERVER,
    key_variable=KEY_VARIABLE,
    base_path="/api/v1",
    authentication=Authentication("Authorization", "Bearer "),
    create=Call(method="POST", path="/run-task", body={}),
    status=Call(method="GET", path="/task/{id}/status", status_field=""),
    details=Call(method="GET", path="/task/{id}", status_field="status"),
    listing=ListCall(call=Call(method="GET", path="/tasks"), items_field="tasks", page_parameter="page"),
    commands={
        V1Event.PAUSE:  Call(method="PUT", path="/pause-task",  query={"task_id": "{id}"}),
        V1Event.RESUME: Call(method="PUT", path="/resume-task", query={"task_id": "{id}"}),
        V1Event.STOP:   Call(method="PUT", path="/stop-task",   query={"task_id": "{id}"}),
    },
    output_field="output",
    created_field="created_at",
    retired=Retired("2026-08", instead="v4"),
    webhooks=TASK_WEBHOOKS,
)
# fmt: on
