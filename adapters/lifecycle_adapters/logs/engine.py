"""Protocol of a query engine: a database that holds the relation `records` and runs the queries of queries.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Engine(Protocol):
    """A database that holds the relation `records` (see queries.py)."""

    @property
    def name(self) -> str:
        """Return the engine's name and version, for reports."""
        ...

    @property
    def partition(self) -> str:
        """Return the expressions that partition rows by task: `task`, or others that this engine compares faster."""
        ...

    def create_table(self, name: str, query: str) -> None:
        """Run a query and keep its result as a relation of this name.

        Raises:
            EngineFailed: the database failed.
            UnusableLog: the engine cannot convert a value of the log.
        """
        ...

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query's result, in bounded memory. Raises the errors of `create_table`."""
        ...
