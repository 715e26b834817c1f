"""Files that Spark counts: it reads Parquet itself; DuckDB reads all other formats."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from lifecycle.errors import not_made
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.logs.columns import Columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, literal
from lifecycle_adapters.logs.files import Files, ParquetGroup, parquet_groups
from lifecycle_adapters.logs.formats import Format
from lifecycle_adapters.logs.places import ROW_BITS
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog
from lifecycle_adapters.logs.spark.spark_dialect import records_of
from lifecycle_adapters.logs.spark.spark_engine import SparkEngine, mapped_errors

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    # Otherwise a file with a time in nanoseconds cannot be read, even if its column is not needed.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Times before 1900 are read unchanged, not refused.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}
_QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}

# Errors are also raised as exceptions. Without an appender Spark would not accept this configuration.
_SILENCE = """\
rootLogger.level = off
rootLogger.appenderRef.none.ref = none
appender.none.type = Null
appender.none.name = none
logger.python.name = org.apache.spark.api.python.PythonGatewayServer
logger.python.level = off
"""

# DuckDB's types that Spark reads the same. It lacks the others, or reads them differently.
_ALIKE = re.compile(
    r"VARCHAR|U?(TINYINT|SMALLINT|INTEGER|BIGINT)|DECIMAL\(\d+,\d+\)|FLOAT|DOUBLE|DATE|TIMESTAMP( WITH TIME ZONE)?"
)


@dataclass(frozen=True)
class SparkFiles:
    """Files by their paths, as in `Files`, counted by Spark.

    Spark reads Parquet files itself. Others, and Parquet with types that Spark does not know, are read by DuckDB and
    given to Spark as Parquet. The workers must see the files and, if they run on other machines, the
    directory that `spill` names.

    Args:
        paths: at least one, as of a file, a folder or a pattern; "-" is the standard input.
        format: the format of the standard input, and of files whose names do not show it.
        delimiter: the character between two cells of CSV; a comma if omitted.
        encoding: the encoding of CSV, by any of its names in Python; UTF-8 if omitted. If a delimiter or an encoding
            is given, all files must be CSV.
        master: the master of Spark, as in `spark-submit --master`; ignored if a session is active, which is then
            used and not stopped.
        config: further settings of the session that is started, such as {"spark.driver.memory": "4g"}; the
            memory can be set only once in a process.
    Raises:
        TypeError: a path is neither text nor a Path, `config` is not a mapping of texts, or another argument is not a
            text.
        ValueError: no path is given, `master` is empty, or the delimiter or the encoding is invalid.
        UnknownName: there is no such format.
    """

    files: Files
    master: str
    config: Mapping[str, str]

    def __init__(
        self,
        *paths: str | os.PathLike[str],
        master: str = "local[*]",
        format: Format | None = None,  # noqa: A002
        delimiter: str | None = None,
        encoding: str | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        object.__setattr__(self, "files", Files(*paths, format=format, delimiter=delimiter, encoding=encoding))
        require(master, str, "master must be a text, such as 'local[*]'")
        if not master:
            raise ValueError("master must name a master of Spark, such as 'local[*]'; it is empty")
        require(config, Mapping | None, "config must be a mapping of settings, such as {'spark.driver.memory': '4g'}")
        for name, value in (config or {}).items():
            require(name, str, "the name of a setting in config must be a text")
            require(value, str, f"{name} in config must be a text, such as '4g'")
        object.__setattr__(self, "master", master)
        object.__setattr__(self, "config", dict(config or {}))

    def __repr__(self) -> str:
        if "files" not in vars(self):
            return not_made(self)
        return f"{type(self).__name__}({self.files!r}, master={self.master!r}, config={self.config!r})"

    def load(self, session: DuckDbSession, rules: Rules, columns: Columns) -> LoadedLog:
        """Load the files as `records` (see Source)."""
        listed = self.files.listed()
        session.report_progress("starting Spark", None)
        with mapped_errors():
            spark = self._spark_session(session)
        if all(kind == "parquet" for _, kind in listed):
            groups, broken = parquet_groups(session, columns, enumerate(path for path, _ in listed))
            if groups and all(_reads_alike(group, session, columns) for group in groups):
                with mapped_errors():
                    frames = [_read(group, number, spark, session) for number, group in enumerate(groups)]
                    records = [records_of(frame, columns, rules, place=_place(frame)) for frame in frames]
                    engine = SparkEngine(
                        spark, reduce(DataFrame.unionByName, records), progress=session.report_progress
                    )
                return LoadedLog(engine, tuple(path for path, _ in listed), broken=broken)
        loaded = self.files.load(session, rules, columns)
        folder = Path(session.directory, "records")
        session.run(
            f"COPY (SELECT * FROM records) TO {literal(folder)} (FORMAT parquet, PER_THREAD_OUTPUT true)",
            doing="reading",
        )
        with mapped_errors():
            engine = SparkEngine(spark, spark.read.parquet(_literal_path(folder)), progress=session.report_progress)
        return LoadedLog(engine, loaded.files, broken=loaded.broken)

    def _spark_session(self, session: DuckDbSession) -> SparkSession:
        """Return a session with its own settings: beside an active one, or started and stopped here."""
        active = SparkSession.getActiveSession()
        if active is None:
            log4j = Path(session.directory, "log4j2.properties")
            log4j.write_text(_SILENCE, encoding="utf-8")
            places = {
                "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j.as_uri()}",
                "spark.sql.warehouse.dir": Path(session.directory, "warehouse").as_uri(),
            }
            builder = SparkSession.Builder().appName("task-lifecycle").master(self.master)
            active = builder.config(map={**_QUIET, **places, **self.config}).getOrCreate()
            session.on_close(active.stop)
        spark = active.newSession()
        for name, value in _SETTINGS.items():
            spark.conf.set(name, value)
        return spark


def _reads_alike(group: ParquetGroup, session: DuckDbSession, columns: Columns) -> bool:
    """Return whether Spark reads the columns of these files as DuckDB does."""
    scan = f"read_parquet({literal(glob.escape(group.locations[0]))}, hive_partitioning = false)"
    kinds = (str(row[1]) for row in session.run(f"DESCRIBE SELECT * FROM {scan}"))
    types = dict(zip(group.names, kinds, strict=True))
    return all(_ALIKE.fullmatch(types[name]) for name in columns.named())


def _read(group: ParquetGroup, number: int, spark: SparkSession, session: DuckDbSession) -> DataFrame:
    """Return the rows of files of one schema, read through links that are named by the files' numbers.

    Each row then has its file's number, and the file's own name does not matter: Spark skips `_a` and `.a`, reads
    `a*` as a pattern and fails at `10:30`.
    """
    folder = Path(session.directory, f"parquet{number}")
    folder.mkdir()
    for file, location in zip(group.numbers, group.locations, strict=True):
        Path(folder, f"{file}.parquet").symlink_to(location)
    return spark.read.parquet(_literal_path(folder))


def _place(frame: DataFrame) -> Column:
    metadata = frame.metadataColumn("_metadata")
    file = fn.regexp_extract(metadata["file_name"], r"^\d+", 0).cast("bigint")
    return fn.shiftleft(file, ROW_BITS) + metadata["row_index"] + 1


def _literal_path(path: Path) -> str:
    """Return a path that Spark does not read as a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path))
