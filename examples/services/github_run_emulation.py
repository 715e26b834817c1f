r"""The documents in which the emulator shows the states of a workflow run: the inverse of github_run.py.

PYTHONPATH=examples/services lifecycle serve --api examples/services/github-run.yaml \
    --profile github-run=github_run_emulation:PROFILE
"""

from __future__ import annotations

from lifecycle_adapters.emulator import Profile

OPEN = ("queued", "pending", "waiting", "in_progress")
OVER = (
    "success", "failure", "cancelled", "timed_out", "neutral", "skipped", "action_required", "stale", "startup_failure",
)  # fmt: skip

PROFILE = Profile(
    statuses={
        **{state: {"status": state, "conclusion": None} for state in OPEN},
        **{state: {"status": "completed", "conclusion": state} for state in OVER},
    }
)
