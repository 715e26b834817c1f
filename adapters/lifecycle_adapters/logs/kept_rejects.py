"""The file of rejects that is written if no option names one; it never replaces a file of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from lifecycle_adapters.logs.files import KEPT_REJECTS
from lifecycle_adapters.logs.log_errors import EngineFailed
from lifecycle_adapters.logs.result import Reject

_BEGIN = ",".join(field.name for field in fields(Reject)).encode()


def keep_rejects(write: Callable[[str | os.PathLike[str]], int]) -> str:
    """Write the rejects into the working directory's `KEPT_REJECTS`, and return its name.

    Raises:
        EngineFailed: the file exists and no earlier run wrote it, or it cannot be written.
    """
    if not has_earlier_rejects() and os.path.lexists(KEPT_REJECTS):
        raise EngineFailed(f"{KEPT_REJECTS} exists and was not written by this program")
    write(KEPT_REJECTS)
    return KEPT_REJECTS


def has_earlier_rejects() -> bool:
    """Return whether the working directory has a `KEPT_REJECTS` that this program wrote."""
    path = Path(KEPT_REJECTS)
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.readline(len(_BEGIN) + 2).rstrip() == _BEGIN
    return False
