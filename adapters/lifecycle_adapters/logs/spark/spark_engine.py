"""Spark as an engine: it runs the queries of queries.py on DataFrames."""

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
    """Spark as an Engine, over a DataFrame that is `records` (see queries.py)."""

    partition = "task"

    def __init__(self, session: SparkSession, records: DataFrame, *, progress: Progress | None = None) -> None:
        self.session = session
        self._progress = progress
        self._relations = {"records": records}

    @property
    def name(self) -> str:
        """Return the engine's name and version."""
        return f"Spark {self.session.version}"

    def query(self, query: str) -> DataFrame:
        """Return the result of a query, not computed yet. Raises the errors of `create_table`."""
        require_running(self.session)
        # Views of these names could replace those of other users of the session.
        relations = ", ".join(f"{name} AS (SELECT * FROM {{{name}}})" for name in self._relations)
        with mapped_errors():
            return self.session.sql(f"WITH {relations} SELECT * FROM ({query}) result", None, **self._relations)

    def create_table(self, name: str, query: str) -> None:
        """Run a query and keep its result as a relation (see Engine)."""
        if self._progress is not None:
            self._progress("counting in Spark", None)
        with mapped_errors():
            self._relations[name] = computed(self.query(query))

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query's result (see Engine)."""
        with mapped_errors():
            # An iterator over a frame that is not computed yet computes one partition after the other.
            yield from map(tuple, computed(self.query(query)).toLocalIterator(prefetchPartitions=True))


def computed(frame: DataFrame) -> DataFrame:
    """Compute a frame now and only once; the part that does not fit into memory is written to Spark's disks.

    It is a checkpoint and not `persist`, which a query with a WITH clause does not use, and which is computed again if
    an executor is lost: then rows could have other numbers. Spark removes the checkpoint with the frame.
    """
    return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.MEMORY_AND_DISK)


def require_running(session: SparkSession) -> None:
    """Raise EngineFailed if the session was stopped: the errors of PySpark itself do not say so."""
    context: Any = getattr(session, "_sc", None)  # a session of Spark Connect has none
    if context is not None and context._jsc is None:
        raise EngineFailed("the Spark session was stopped; read and write results before `stop`")


@contextmanager
def mapped_errors() -> Generator[None]:
    """Map Spark's exceptions to UnusableLog or EngineFailed."""
    try:
        yield
    except AnalysisException as error:
        raise UnusableLog(_message(error)) from error
    except (PySparkException, Py4JError) as error:
        message = _message(error)
        raise (UnusableLog if _UNREADABLE in message else EngineFailed)(message) from error


_UNREADABLE = "FAILED_READ_FILE"  # Spark's condition for a file of another format, or one that is cut off


def _message(error: Exception) -> str:
    """Return the first line of the message; if Java failed, of Java's own message, not of the call."""
    java = getattr(error, "java_exception", None)
    text = str(error) if java is None else str(java.getMessage() or java)
    return (text.splitlines() or ["Spark failed"])[0]
