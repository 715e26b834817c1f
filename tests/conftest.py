"""What every test may rely on: one Hypothesis profile, and each declared lifecycle in turn."""

from __future__ import annotations

import pytest
from hypothesis import settings

from lifecycle import CATALOG, Lifecycle

# A deadline measures the machine, not the code. `--hypothesis-profile thorough` looks longer.
settings.register_profile("quick", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile("quick")


@pytest.fixture(scope="session", params=CATALOG.values(), ids=tuple(CATALOG))
def declared(request: pytest.FixtureRequest) -> Lifecycle[str, str]:
    """Each lifecycle of the catalog."""
    lifecycle: Lifecycle[str, str] = request.param
    return lifecycle
