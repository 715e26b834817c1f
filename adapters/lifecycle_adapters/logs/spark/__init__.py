"""Apache Spark, for logs that outgrow one machine: a user's own DataFrame, or files that Spark itself reads.

The queries are those of queries.py, and `records` is made as for every engine, in the dialect of spark_dialect.py.
Nothing runs in Python on the workers, statuses become SQL only as constants in bytes, and nothing is left in the
session's catalog.
"""

from __future__ import annotations

from lifecycle.errors import MissingExtra

try:
    import pyspark as _pyspark
except ImportError:
    raise MissingExtra("spark", needed_by="checking logs with Spark") from None

from lifecycle_adapters.logs.spark.spark_files import SparkFiles
from lifecycle_adapters.logs.spark.spark_frames import FrameCheck, check_frame

__all__ = ["FrameCheck", "SparkFiles", "check_frame"]

del _pyspark
