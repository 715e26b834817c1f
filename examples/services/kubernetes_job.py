"""The status of a job of Kubernetes: of the conditions in its status that are true."""

from __future__ import annotations

from typing import Any

STATUSES = {"Complete": "complete", "Failed": "failed", "Suspended": "suspended"}
"""By the type of the condition; a job without any of them is active."""


def status_of(job: dict[str, Any]) -> str:
    """Return the status that a job's document says."""
    conditions = job.get("status", {}).get("conditions") or []
    true = {each["type"] for each in conditions if each["status"] == "True"}
    return next((status for kind, status in STATUSES.items() if kind in true), "active")
