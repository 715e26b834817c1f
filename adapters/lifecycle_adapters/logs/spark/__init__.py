"""Apache Spark, for logs that outgrow one machine: a user's own DataFrame, or files that Spark itself reads.

The questions are those of queries.py, word for word; only how the columns of a DataFrame become `records` is
said anew. It is all expressions: nothing runs in Python on the workers, no text from outside becomes SQL, and
nothing is left in the session's catalog.
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
