"""Lifecycles without HTTP: a client over a few functions of yours that call an SDK, a cluster or a workflow engine.

It needs the extra `http`, whose time limits and pauses it shares.
"""

from __future__ import annotations

from lifecycle_adapters.objects.object_client import AsyncObjectClient, ObjectClient
from lifecycle_adapters.objects.object_service import Limited, Meaning, ObjectError, Snapshot
from lifecycle_adapters.procedures.governed_handles import AsyncTaskHandle, TaskHandle

__all__ = [
    "AsyncObjectClient",
    "AsyncTaskHandle",
    "Limited",
    "Meaning",
    "ObjectClient",
    "ObjectError",
    "Snapshot",
    "TaskHandle",
]
