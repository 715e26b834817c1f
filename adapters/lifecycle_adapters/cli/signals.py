"""The signals that end a process, handled as Ctrl-C is."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager

_ENDING = [each for each in signal.Signals if each.name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP


@contextmanager
def ended_in_order() -> Generator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, so that files are removed and the terminal is as before."""
    # A signal that is ignored, as under nohup, stays ignored.
    handled = [each for each in _ENDING if signal.getsignal(each) is signal.SIG_DFL]
    for each in handled:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in handled:
            signal.signal(each, signal.SIG_DFL)
