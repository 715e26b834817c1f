"""The list call of a binding that has one, for type checkers."""

from __future__ import annotations

from typing import Any

from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import ListCall


def listing_of(binding: HttpBinding[Any, Any]) -> ListCall:
    assert binding.listing is not None
    return binding.listing
