"""How many examples Hypothesis tries in a test that takes long for each."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """Return this number in the profile `full`, which has 100 for other tests; in another one in proportion."""
    return max(1, number * settings().max_examples // 100)
