"""What counts: a database that answers the questions of queries.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Engine(Protocol):
    """A database that holds the relation `records` (see queries.py)."""

    @property
    def name(self) -> str:
        """What reports call it, with its version."""
        ...

    def keep(self, name: str, question: str) -> None:
        """Answer a question and keep the answer as a relation of this name.

        Raises:
            EngineFailed: it cannot be answered.
            UnusableLog: what lies in the log cannot be read after all.
        """
        ...

    def rows(self, question: str) -> Iterator[tuple[Any, ...]]:
        """Answer a question row by row, in memory that does not grow with the answer. Raises as `keep`."""
        ...
