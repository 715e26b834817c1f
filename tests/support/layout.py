"""The layout program, which draws the pictures: absent, or one that a test has written."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest


def _not_installed(_: str) -> NoReturn:
    raise metadata.PackageNotFoundError("graphviz-pure")


@contextmanager
def without_layout(folder: Path | None = None) -> Generator[None]:
    """Hide graphviz-pure; only the programs in `folder` are on the PATH, none if there is no folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "files", _not_installed)
        patch.setenv("PATH", "" if folder is None else str(folder))
        yield


def install(program: Path, script: str) -> None:
    """Write an executable script."""
    program.write_text(script)
    program.chmod(0o755)
