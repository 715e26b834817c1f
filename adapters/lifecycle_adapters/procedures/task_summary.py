"""The entry of one task in a list of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task of a listing. `state` is None if the lifecycle does not know the status."""

    id: str
    status: str | None
    state: str | None
    document: Mapping[str, Any] = field(repr=False)
