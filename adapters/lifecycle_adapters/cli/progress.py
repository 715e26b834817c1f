"""A bar for long work: shown on a terminal's standard error after a second, and removed at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from lifecycle_adapters.cli.output import console, shown

_AFTER_S = 1.0


class Bar:
    """Shows, within its `with` block, the current work and its progress; may be entered again.

    Args:
        to: where it is drawn, the standard error if omitted; nothing is drawn if that is not a terminal.
        clock: seconds.
    """

    def __init__(self, to: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._to = to or console(stderr=True)
        self._clock = clock
        self._begun_s: float | None = None
        self._drawn: tuple[Progress, TaskID] | None = None

    def show(self, doing: str, share: float | None) -> None:
        """Show the current work and the share that is done, 0.0 to 1.0, or None if it is not known."""
        is_quick = self._begun_s is None or self._clock() - self._begun_s < _AFTER_S
        if is_quick or not self._to.is_terminal:
            return
        if self._drawn is None:
            self._drawn = self._begin()
        progress, task = self._drawn
        total = None if share is None else 1.0
        progress.update(task, description=shown(doing, longest=40), completed=share or 0.0, total=total)

    def _begin(self) -> tuple[Progress, TaskID]:
        description = TextColumn("{task.description}", markup=False)
        columns = (description, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        progress = Progress(*columns, console=self._to, transient=True)
        progress.start()
        return progress, progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._begun_s = self._clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._begun_s = None
        if self._drawn is not None:
            self._drawn[0].stop()
            self._drawn = None
        elif kind is not None and self._to.is_terminal:
            self._to.show_cursor()  # a bar may have been interrupted while it started, just after it hid the cursor
