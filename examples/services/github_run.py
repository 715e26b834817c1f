"""The status of a workflow run of GitHub Actions: of `status`, and of `conclusion` once it is completed."""

from __future__ import annotations

from typing import Any


def status_of(run: dict[str, Any]) -> Any:
    """Return the status that a run's document says."""
    return run["conclusion"] if run["status"] == "completed" else run["status"]
