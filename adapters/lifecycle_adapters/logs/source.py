"""What can be checked: something that offers its rows as the relation `records` (see queries.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lifecycle_adapters.logs.columns import Columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.engine import Engine
from lifecycle_adapters.logs.rules import Rules


@dataclass(frozen=True, slots=True)
class LoadedLog:
    """What a source offers.

    Attributes:
        engine: where `records` is; the workbench itself or a database elsewhere.
        files: the name of each file, in the order of their numbers in places; or one name of what is no file.
        are_files: whether `files` are files.
        broken: files that could not be read to their end, and why; what was read of them counts.
    """

    engine: Engine
    files: tuple[str, ...]
    are_files: bool = True
    broken: Mapping[str, str] = field(default_factory=dict[str, str])


class Source(Protocol):
    """A log, wherever it lies."""

    def load(self, bench: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        """Offer the rows as `records`, until the workbench is closed.

        Raises:
            UnusableLog: it is not there, nothing of it can be read, or a column is missing.
            EngineFailed: the database failed.
            MissingExtra: something is not installed.
        """
        ...
