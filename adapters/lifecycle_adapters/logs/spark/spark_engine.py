"""Spark as an engine: it answers the questions of queries.py of DataFrames."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from pyspark import StorageLevel
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from lifecycle_adapters.logs.duckdb_session import Progress
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog


class SparkEngine:
    """See Engine. `records` as in queries.py."""

    def __init__(self, session: SparkSession, records: DataFrame, *, tell: Progress | None = None) -> None:
        self.session = session
        self._tell = tell
        self._relations = {"records": records}

    @property
    def name(self) -> str:
        """The engine's name and version."""
        return f"Spark {self.session.version}"

    def ask(self, question: str) -> DataFrame:
        """Return the answer to a question, not yet computed. Raises as `keep`."""
        # Views of these names would be in the way of whoever else uses the session.
        relations = ", ".join(f"{name} AS (SELECT * FROM {{{name}}})" for name in self._relations)
        with mapped_errors():
            asked = f"WITH {relations} SELECT * FROM ({question}) answer"
            return self.session.sql(asked, None, **self._relations)

    def keep(self, name: str, question: str) -> None:
        """See Engine."""
        if self._tell is not None:
            self._tell("counting in Spark", None)
        with mapped_errors():
            self._relations[name] = computed(self.ask(question))

    def rows(self, question: str) -> Iterator[tuple[Any, ...]]:
        """See Engine."""
        with mapped_errors():
            # Of what is not computed yet, an iterator computes one partition after the other.
            yield from map(tuple, computed(self.ask(question)).toLocalIterator(prefetchPartitions=True))


def computed(frame: DataFrame) -> DataFrame:
    """Compute a frame now and only once; what does not fit into memory goes to Spark's disks.

    It is a checkpoint, since what `persist` keeps is not found again under a query with a WITH clause, and is
    computed anew where it is lost: then rows could be numbered otherwise. Spark removes it with the frame.
    """
    return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.MEMORY_AND_DISK)


@contextmanager
def mapped_errors() -> Generator[None]:
    """Raise what Spark raises as what it means here."""
    try:
        yield
    except AnalysisException as error:
        raise UnusableLog(_told(error)) from error
    except (PySparkException, Py4JError) as error:
        told = _told(error)
        raise (UnusableLog if _UNREADABLE in told else EngineFailed)(told) from error


_UNREADABLE = "FAILED_READ_FILE"  # Spark's condition for a file that is none, or is cut off


def _told(error: Exception) -> str:
    """The line that says it; where Java failed, that of what Java says, not of the call."""
    java = getattr(error, "java_exception", None)
    text = str(error) if java is None else str(java.getMessage() or java)
    return (text.splitlines() or ["Spark failed"])[0]
