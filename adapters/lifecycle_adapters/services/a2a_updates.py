"""The updates that A2A agents push, by webhooks and in streams: which status of which task they report.

Source: A2A specification 1.0, 3.2.3 (Stream Response), 4.3.3 (Push Notification Payload) and 9.4.2 (over JSON-RPC), and
specification/a2a.proto: an update is a task, a status, an artifact or a message; the first two have a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle_adapters.http.responses import time_at, value_at
from lifecycle_adapters.http.webhook_binding import StatusUpdate


def update_in(document: Mapping[str, Any]) -> StatusUpdate | None:
    """Return the status that a Stream Response reports, None for an artifact or a message.

    Raises NotATime: its time is not a date and time.
    """
    for kind, id_field in (("task", "id"), ("statusUpdate", "taskId")):
        if kind in document:
            update = document[kind]
            is_timed = value_at(update, "status.timestamp") is not None
            since = time_at(update, "status.timestamp") if is_timed else None
            return StatusUpdate(value_at(update, id_field), value_at(update, "status.state"), since)
    return None


def update_in_result(message: Mapping[str, Any]) -> StatusUpdate | None:
    """Return the status that a Stream Response over JSON-RPC reports, None for an artifact or a message.

    Raises KeyError: the message is an error. Raises NotATime as `update_in`.
    """
    return update_in(message["result"])
