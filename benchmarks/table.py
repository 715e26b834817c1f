"""The table that `make bench` prints, and the facts that one needs to read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.measure import Row

_HEADER = ("", "ours", "beside it", "", "ratio", "of best", "target", "")
_PEERS = (
    "duckdb", "httpx2", "pandas", "pm4py", "polars", "pydantic", "python-statemachine", "starlette", "transitions",
    "uvicorn",
)  # fmt: skip


def facts() -> str:
    """Return one line about the machine and one about the versions."""
    machine = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}"
    versions = ", ".join(f"{name} {version(name)}" for name in _PEERS)
    return f"{machine} {platform.machine()}, {os.cpu_count()} cores\n{versions}"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def summary(rows: Sequence[Row]) -> str:
    """Return the last line: how many targets are met."""
    missed = sum(not row.is_met for row in rows)
    return f"{len(rows) - missed} of {len(rows)} targets met" + (f", {missed} MISSED" if missed else "")


def _cells(row: Row) -> tuple[str, ...]:
    best = "" if row.best is None else f"{row.best:.2f}"
    target = f"{row.bound} {row.limit:g}"
    return row.what, row.ours, row.peer_name, row.peer, f"{row.ratio:.2f}", best, target, row.verdict
