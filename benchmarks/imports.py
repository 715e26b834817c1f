"""`import lifecycle`, compared with the definition of one pydantic model: whole processes, from start to end.

The modules are compiled, as pip compiles what it installs: the first process writes the files.
"""

from __future__ import annotations

import os
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
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def measure() -> float:
        begun_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        return time.perf_counter() - begun_s

    measure()

    return measure
