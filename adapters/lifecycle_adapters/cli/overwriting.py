"""The check that a command overwrites no file that it reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lifecycle import CATALOG
from lifecycle_adapters.cli.output import BAD_INPUT, fail


def require_unread(written: Iterable[Path], *, name: str, log: Iterable[str | int] = ()) -> None:
    """End a command as bad input, before any work is done, if it would overwrite a file that it reads.

    Two names of one file, such as links, count as the same.

    Args:
        written: the files that it would write.
        name: the lifecycle that it was given: one of the catalog, or a file.
        log: the files of its log, by path or by descriptor.
    """
    read = {*map(_identity, log if name in CATALOG else (name, *log))}
    for path in written:
        if _identity(path) in read:
            fail(f"{path} is read by this command, and would be overwritten", BAD_INPUT)


def _identity(file: str | int | Path) -> object:
    """Return what all names of one file have in common."""
    try:
        found = os.stat(file)  # noqa: PTH116 (it takes descriptors)
    except OSError:
        return file if isinstance(file, int) else os.path.realpath(file)
    return found.st_dev, found.st_ino
