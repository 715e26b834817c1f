"""The status of a long-running operation of Google: of `done`, and of `error` once it is done."""

from __future__ import annotations

from typing import Any

CANCELLED = 1
"""The code of google.rpc.Status."""


def status_of(operation: dict[str, Any]) -> str:
    """Return the status that an operation's document says; a field that is false may be missing."""
    if not operation.get("done", False):
        return "running"
    if (error := operation.get("error")) is None:
        return "succeeded"
    return "cancelled" if error.get("code") == CANCELLED else "failed"
