"""The common parts of the services of Browser Use Cloud: server, variable of the key, and webhooks.

Event types of webhooks: `agent.task.status_update`, `session.status.update` since September 2026, and `test` for the
ping when a webhook is set up. Others may follow. Sources: Browser Use Cloud, "Webhooks" (2026-03-16, and September 2026
for the update of a session, whose payload is `{session_id, status, output?, metadata?}`). That payload names no run.
The status of a v4 session is that of its latest run, and a late delivery may be of the run before: so it is a reason to
read the latest run, but no report of it.
"""

from __future__ import annotations

from dataclasses import replace

from lifecycle_adapters.http.authentication import KeyVariable
from lifecycle_adapters.http.webhook_binding import BROWSER_USE, WebhookBinding

SERVER = "https://api.browser-use.com"
KEY_VARIABLE = KeyVariable("BROWSER_USE_API_KEY", SERVER)

STATUS_UPDATE = "agent.task.status_update"
SESSION_UPDATE = "session.status.update"
TASK_WEBHOOKS = WebhookBinding(
    signature=BROWSER_USE,
    kind_field="type",
    kinds=(STATUS_UPDATE,),
    task_field="payload.task_id",
    status_field="payload.status",
    time_field="timestamp",
)
SESSION_WEBHOOKS = replace(TASK_WEBHOOKS, task_field="payload.session_id", kinds=(STATUS_UPDATE, SESSION_UPDATE))
RUN_WEBHOOKS = replace(TASK_WEBHOOKS, session_field="payload.session_id", session_kinds=(SESSION_UPDATE,))
