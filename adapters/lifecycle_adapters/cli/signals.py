"""The signals that end a command, all handled as Ctrl-C is: its claims are released, and its files removed."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer

_LIKE_CTRL_C = [each for each in signal.Signals if each.name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end a command; one that is ignored, as SIGHUP under nohup, stays ignored."""
    return [each for each in (signal.SIGINT, *_LIKE_CTRL_C) if signal.getsignal(each) != signal.SIG_IGN]


@contextmanager
def ended_in_order() -> Generator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Python does for SIGINT.

    Raises typer.Exit with 128 and the signal's number, as shells report it, if no code inside handles that.
    """
    received: int = signal.SIGINT

    def interrupt(number: int, _: Any) -> None:
        nonlocal received
        received = number
        raise KeyboardInterrupt

    handled = [each for each in _LIKE_CTRL_C if signal.getsignal(each) is signal.SIG_DFL]
    for each in handled:
        signal.signal(each, interrupt)
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):  # Abort: at a prompt
        raise typer.Exit(128 + received) from None
    finally:
        for each in handled:
            signal.signal(each, signal.SIG_DFL)
