"""`import lifecycle`, compared with the definition of one pydantic model: whole processes, from start to end."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.measure import Bound, Measure, Row, compare

_ONE_MODEL = """
from pydantic import BaseModel

class Task(BaseModel):
    id: str
"""


def rows(*, pairs: int) -> list[Row]:
    """Measure the start of a process."""
    return [
        compare(
            "python -c 'import lifecycle'",
            _process("import lifecycle"),
            "one pydantic model",
            _process(_ONE_MODEL),
            bound=Bound.AT_MOST,
            limit=1.2,
            pairs=pairs,
        )
    ]


def _process(code: str) -> Measure:
    def measure() -> float:
        begun_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begun_s

    return measure
