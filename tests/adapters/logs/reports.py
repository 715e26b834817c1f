"""Reports written by hand, for what shows reports: any number in them can be chosen, however large."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lifecycle import V1_FULL, FindingCode, Lifecycle
from lifecycle_adapters.logs.report import LogReport, ObservedTransition, TimeInState


def report_of(lifecycle: Lifecycle[Any, Any], **parts: Any) -> LogReport:
    """Return the report of a log in which nothing happened, but for the parts that are given."""
    transitions: tuple[ObservedTransition, ...] = parts.get("observed_transitions", ())
    seen = {(edge.source, edge.target) for edge in transitions}
    rows = ((str(row.source), str(row.event), str(row.target)) for row in lifecycle.transitions)
    nothing: dict[str, Any] = {
        "lifecycle": lifecycle.name, "mode": "exact", "channel": "api", "engine": "DuckDB 2.0.0", "files": 1,
        "rows": 0, "unreadable": {}, "broken": {}, "tasks": 0,
        "first_at": None, "last_at": None, "time_forms": {}, "findings": {}, "bad_rows": 0, "bad_tasks": 0,
        "observed_transitions": (), "times_in_state": (), "last_states": {},
        "uncovered_transitions": tuple(row for row in rows if (row[0], row[2]) not in seen),
        "unknown_statuses": {}, "ties": 0, "worst": (),
    }  # fmt: skip
    return LogReport(**(nothing | parts))


DIRTY = report_of(
    V1_FULL,
    files=3,
    rows=212_345_678,
    unreadable={"bad time": 1_200, "not a row": 3},
    broken={"/logs/monday.csv.gz": "it ends too early"},
    tasks=60_000_000,
    first_at=datetime(2026, 1, 1, tzinfo=UTC),
    last_at=datetime(2026, 4, 1, 12, 0, 0, 250_000, tzinfo=UTC),
    time_forms={"iso": 212_000_000, "milliseconds": 345_678},
    findings={
        FindingCode.UNKNOWN_STATUS: 1_048, FindingCode.WRONG_START: 17, FindingCode.DUPLICATE: 5_000_000,
        FindingCode.AFTER_FINAL: 1_000_204, FindingCode.GAP: 13, FindingCode.OUT_OF_ORDER: 7,
    },
    bad_rows=1_001_289,
    bad_tasks=640_512,
    observed_transitions=(
        ObservedTransition(None, "created", (), 59_999_983, 0, 1),
        ObservedTransition("created", "running", ("start",), 100_000_000, 0, 2),
        ObservedTransition("running", "paused", ("pause",), 9_000_000, 200, 3),
        ObservedTransition("paused", "running", ("resume",), 4_000_000, 1_000_000, 4),
        ObservedTransition("running", "finished", ("finish",), 30_000_000, 0, 5),
        ObservedTransition(None, "paused", (), 17, 17, 6),
        ObservedTransition("created", "finished", (), 13, 13, 7),
        ObservedTransition("running", "created", (), 7, 7, 8),
        ObservedTransition("stopped", "failed", (), 3, 3, 9),
        ObservedTransition("failed", "running", (), 1, 1, 10),
    ),
    times_in_state=(
        TimeInState("running", 39_000_000, 81.25, 45.0, 3_725.0, 90_061.0, 8_640_000.0),
        TimeInState("created", 100_000_000, 0.00125, 0.00085, 0.0123, 4.5, 61.0),
    ),
    last_states={"running": 1_000_000, "finished": 58_999_999, "failed": 1},
    unknown_statuses={"exploded": 1_000, "=1+1": 48},
    ties=1_234_567,
    worst=(("task-9", 12), ("task-8", 2)),
)  # fmt: skip
"""A log in which everything went wrong that can, some of it a hundred million times."""
