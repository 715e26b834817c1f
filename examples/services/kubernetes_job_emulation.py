r"""The documents in which the emulator shows the states of a job: the inverse of kubernetes_job.py.

PYTHONPATH=examples/services lifecycle serve --api examples/services/kubernetes-job.yaml \
    --profile kubernetes-job=kubernetes_job_emulation:PROFILE
"""

from __future__ import annotations

from typing import Any

from kubernetes_job import STATUSES

from lifecycle_adapters.emulator import Profile


def shown(*conditions: str) -> dict[str, Any]:
    """Return a job's document with these conditions."""
    return {"status": {"conditions": [{"type": each, "status": "True"} for each in conditions]}}


PROFILE = Profile(
    id_in_create=True,  # the name of a job is its client's choice
    statuses={
        "active": shown(),
        **{status: shown(condition) for condition, status in STATUSES.items()},
    },
)
