"""Complete docstrings for asynchronous methods from their synchronous twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def twin_of(synchronous: Callable[..., Any]) -> Callable[[F], F]:
    """Append the synchronous twin's docstring, all but its first line, to that of the decorated method.

    So `help()` shows the whole text for both, and it is written once.
    """

    def completed(method: F) -> F:
        _, _, rest = (synchronous.__doc__ or "").partition("\n")
        method.__doc__ = (method.__doc__ or "").rstrip() + ("\n" + rest if rest else "")
        return method

    return completed
