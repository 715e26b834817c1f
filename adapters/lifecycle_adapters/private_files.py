"""Creation of files with the inputs and outputs of tasks, which only their owner may read.

SQLite gives the files that it creates beside a database the mode of the database, so that one call protects all.
"""

from __future__ import annotations

import os

_OWNER_ONLY = 0o600


def create_private(path: str | os.PathLike[str]) -> None:
    """Create an empty file that only its owner may read and write; an existing file is left unchanged.

    Raises:
        OSError: it cannot be created.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), _OWNER_ONLY))
