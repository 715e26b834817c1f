"""The updates in the stream of a subscription to a task of MCP: which status of which task a message reports.

Source: MCP specification, revision 2026-07-28, Subscriptions; ext-tasks, specification/draft/tasks.md of 2026-08-21
("Task Status Notifications").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle_adapters.http.responses import time_at, value_at
from lifecycle_adapters.http.webhook_binding import StatusUpdate


def update_in_message(message: Mapping[str, Any]) -> StatusUpdate | None:
    """Return the status that a message reports, None for an acknowledgement or the end of the subscription.

    Raises ValueError: the message is an error; or the server acknowledges that it will notify of no task, as it may.
    Raises KeyError or NotATime: a notification of a task lacks a field, or its time is not a date and time.
    """
    if "error" in message:
        raise ValueError("the subscription is refused")
    match message.get("method"):
        case "notifications/tasks":
            task = message["params"]
            return StatusUpdate(task["taskId"], task["status"], time_at(task, "lastUpdatedAt"))
        case "notifications/subscriptions/acknowledged" if not value_at(message, "params.notifications.taskIds"):
            raise ValueError("no task is subscribed to")
        case _:
            return None
