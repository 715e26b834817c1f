"""Protocol of a source: a log, wherever it is, that can be loaded as the relation `records` (see queries.py)."""

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
    """A log whose rows are in the relation `records`.

    Attributes:
        engine: the database that holds `records`: the DuckDB session itself, or another.
        files: the name of each file, in the order of their numbers in places; or one name if the log is not a file.
        are_files: whether `files` are files.
        broken: files that could not be read to their end, and the reasons; the rows before that count.
    """

    engine: Engine
    files: tuple[str, ...]
    are_files: bool = True
    broken: Mapping[str, str] = field(default_factory=dict[str, str])


class Source(Protocol):
    """A log that can be loaded from its place."""

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        """Make the relation `records` from the log's rows; it exists until the session is closed.

        Raises:
            UnusableLog: the log does not exist, no part of it can be read, or a column is missing.
            EngineFailed: the database failed.
            MissingExtra: an optional dependency is not installed.
        """
        ...
