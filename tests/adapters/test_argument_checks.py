"""What is given where a number is wanted: refused by an error that names the argument and the value."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import pytest

from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.http import Timing
from lifecycle_adapters.watch import OverdueAfter, Pace, StopAfter, StopAtCost, StopPausedAfter, Throttle

# Each place where a number is an argument, with the argument's name.
PLACES: list[tuple[str, Callable[[Any], object]]] = [
    ("poll_s", lambda given: Timing(poll_s=given)),
    ("attempts", lambda given: Timing(attempts=given)),
    ("working_s", lambda given: Pace(working_s=given)),
    ("growth", lambda given: Pace(growth=given)),
    ("jitter", lambda given: Pace(jitter=given)),
    ("rate_per_s", Throttle),
    ("seconds", StopAfter),
    ("seconds", StopPausedAfter),
    ("seconds", partial(OverdueAfter, "running")),
    ("usd", StopAtCost),
]


@pytest.mark.parametrize(("name", "make"), PLACES, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.parametrize("given", ["3", None, True, [3], Fraction(1, 2), 3j])
def test_what_is_no_number_is_refused_by_name(name: str, make: Callable[[Any], object], given: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a number, not ") as raised:
        make(given)
    assert repr(given) in str(raised.value)


@pytest.mark.parametrize(("name", "make"), PLACES, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.parametrize("given", [float("nan"), -1])
def test_a_number_out_of_range_is_refused_by_name(name: str, make: Callable[[Any], object], given: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be "):
        make(given)


def test_a_range_is_named() -> None:
    with pytest.raises(ValueError, match="x must be more than 1 and at most 5, not 1"):
        require_number(1, "x", more_than=1, at_most=5)
    with pytest.raises(ValueError, match="x must be positive, not 0"):
        require_number(0, "x", more_than=0)
    with pytest.raises(ValueError, match="x must be at least 2, not 1"):
        require_number(1, "x", at_least=2)
    with pytest.raises(ValueError, match="x must be at least 0 and less than 1, not 1"):
        require_number(1, "x", at_least=0, less_than=1)
    with pytest.raises(ValueError, match="x must be a number, not nan"):
        require_number(float("nan"), "x")
    require_number(1.5, "x", more_than=1, at_least=1, at_most=2)


@pytest.mark.parametrize("name", ["poll_s", "attempts"])
def test_a_duration_is_no_decimal_which_no_clock_can_add(name: str) -> None:
    settings: dict[str, Any] = {name: Decimal(1)}
    with pytest.raises(TypeError, match=f"{name} must be a number, not Decimal"):
        Timing(**settings)


def test_a_limit_of_costs_may_be_a_decimal() -> None:
    assert StopAtCost(Decimal("1.5")).usd == Decimal("1.5")
    with pytest.raises(ValueError, match="usd must be positive"):
        StopAtCost(Decimal("NaN"))
