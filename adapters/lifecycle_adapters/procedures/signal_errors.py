"""The errors that a signal's handler raised, such as the time limit of a job queue."""

from __future__ import annotations

import signal
from functools import partial
from traceback import walk_tb
from typing import Any


def is_of_a_signal(error: BaseException) -> bool:
    """Return whether a signal's handler raised the error, wherever it interrupted: Celery's soft time limit does."""
    handlers = {_code_of(signal.getsignal(each)) for each in signal.valid_signals()} - {None}
    return any(frame.f_code in handlers for frame, _ in walk_tb(error.__traceback__))


def _code_of(handler: Any) -> Any:
    """Return the code of a handler in Python; None if it is none, as SIG_DFL and Python's own handler of Ctrl-C."""
    while isinstance(handler, partial):
        handler = handler.func
    if callable(handler) and not hasattr(handler, "__code__"):
        handler = type(handler).__call__
    return getattr(handler, "__code__", None)
