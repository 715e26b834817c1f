r"""The documents in which the emulator shows the states of an operation: the inverse of google_operation.py.

PYTHONPATH=examples/services lifecycle serve --api examples/services/google-operation.yaml \
    --profile google-operation=google_operation_emulation:PROFILE
"""

from __future__ import annotations

from uuid import uuid4

from google_operation import CANCELLED

from lifecycle_adapters.emulator import Profile

PROFILE = Profile(
    new_id=lambda: f"projects/123/locations/us/operations/{uuid4()}",
    statuses={
        "running": {"done": False},
        "succeeded": {"done": True},
        "failed": {"done": True, "error": {"code": 13, "message": "internal"}},
        "cancelled": {"done": True, "error": {"code": CANCELLED, "message": "cancelled"}},
    },
)
