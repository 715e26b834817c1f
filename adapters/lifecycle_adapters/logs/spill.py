"""Temporary spill directories. The next run removes the directory of a killed process.

A process keeps a file in its directory locked, and the lock ends with the process, however that ends. On Windows and on
some network shares there are no such locks, and a killed process's directory stays.
"""

from __future__ import annotations

import os
import secrets
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
    """Yield the path of a new directory in `where`, or in the system's folder of temporary files.

    Raises:
        OSError: no directory can be made.
    """
    _remove_left_behind(Path(where or tempfile.gettempdir()))
    directory = Path(where or tempfile.gettempdir(), _PREFIX + secrets.token_hex(8))
    with ExitStack() as lock, ExitStack() as removal:
        removal.callback(shutil.rmtree, directory, ignore_errors=True)  # before it is made: Ctrl-C may come at any time
        directory.mkdir(mode=0o700)
        young, locked = (directory / name for name in (f"{_LOCKED}.new", _LOCKED))
        descriptor = os.open(young, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        lock.callback(os.close, descriptor)
        if _lock(descriptor):
            young.rename(locked)  # not before, or another process could lock it first
        yield str(directory)


def _remove_left_behind(folder: Path) -> None:
    for directory in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            # Anybody may write into such a folder: opening a pipe there would block.
            descriptor = os.open(directory / _LOCKED, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
            try:
                if _lock(descriptor):
                    shutil.rmtree(directory)
            finally:
                os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file and return whether that succeeded; it fails if a living process has locked the file."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
