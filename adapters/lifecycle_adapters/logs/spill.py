"""Directories for what is needed only now: removed at the end, or, where a process was killed, by the next one.

A process keeps a file in its directory locked, and the lock goes with the process, however that ends. Where there
are no such locks, on Windows and in some shares, what a killed process leaves stays.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PREFIX = "lifecycle-logs-"
_LOCKED = "locked"


@contextmanager
def spill_directory(where: str | os.PathLike[str] | None = None) -> Generator[str]:
    """Yield the path of a new directory in this one, or where temporary files usually go.

    Raises:
        OSError: none can be made.
    """
    _remove_left_behind(Path(where or tempfile.gettempdir()))
    with ExitStack() as lock, tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where) as directory:
        young, locked = (Path(directory, name) for name in (f"{_LOCKED}.new", _LOCKED))
        descriptor = os.open(young, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        lock.callback(os.close, descriptor)
        if _lock(descriptor):
            young.rename(locked)  # only now, or another process could be the first to lock it
        yield directory


def _remove_left_behind(folder: Path) -> None:
    for directory in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            # Others may put what they like into a folder that all may write to: a pipe would be waited for.
            descriptor = os.open(directory / _LOCKED, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
            try:
                if _lock(descriptor):
                    shutil.rmtree(directory)
            finally:
                os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether a file could be locked: no living process has it."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
