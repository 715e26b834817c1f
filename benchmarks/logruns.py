"""Measurements of logs, each in a process of its own: `python -m benchmarks.logruns RUN LOG` prints what it took.

A run first imports what it needs, which does not count. Then it opens the log: reading it counts, for us and for the
peers.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifecycle import V1_FULL

Run = Callable[[], object]

_PM4PY_NAMES = {"task_id": "case:concept:name", "at": "time:timestamp", "status": "concept:name"}


@dataclass(frozen=True, slots=True)
class Took:
    """The time of one run, and the most memory that its process held, imports included."""

    seconds: float
    peak_bytes: int


def measured(run: str, log: Path) -> Took:
    """Return what a run in a new process took."""
    command = [sys.executable, "-m", "benchmarks.logruns", run, str(log)]
    quiet = {**os.environ, "PM4PY_SHOW_PROGRESS_BAR": "False"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        raise RuntimeError(f"{run} failed:\n{done.stderr}")
    return Took(**json.loads(done.stdout))


def _check(log: str) -> Run:
    """Findings, observed transitions and times in states; the findings are fetched one by one."""
    from lifecycle_adapters.logs.check import check_logs
    from lifecycle_adapters.logs.files import Files

    def run() -> None:
        with check_logs(V1_FULL, Files(log)) as checked:
            assert checked.report.observed_transitions
            assert checked.report.times_in_state
            assert sum(1 for _ in checked.findings()) == checked.report.bad_rows

    return run


def _load(log: str) -> Run:
    """Only read a text log into the session's table; every value is parsed, and every unreadable row is noted."""
    from lifecycle_adapters.logs.columns import Columns
    from lifecycle_adapters.logs.duckdb_session import DuckDbSession
    from lifecycle_adapters.logs.files import Files
    from lifecycle_adapters.logs.rules import Rules

    def run() -> None:
        with DuckDbSession() as session:
            Files(log).load(session, Rules(V1_FULL), Columns())

    return run


def _duckdb_load(reader: str) -> Callable[[str], Run]:
    """DuckDB's own reading of the file into a table."""

    def prepared(log: str) -> Run:
        import duckdb

        return lambda: duckdb.connect().execute(f"CREATE TABLE log AS FROM {reader}(?)", [log]).fetchall()

    return prepared


def _lag(log: str) -> Run:
    """The one pass that every check needs: each task's rows in order, each with the row before it."""
    import duckdb

    window = 'lag(status) OVER (PARTITION BY task_id ORDER BY "at")'
    question = (
        f"SELECT count(*) FILTER (before <> status) FROM (SELECT status, {window} AS before FROM read_parquet(?))"
    )
    return lambda: duckdb.connect().execute(question, [log]).fetchall()


def _read(log: str) -> Run:
    """Only read: one hash of all values in the three columns."""
    import duckdb

    question = """SELECT bit_xor(hash(task_id, "at", status)) FROM read_parquet(?)"""
    return lambda: duckdb.connect().execute(question, [log]).fetchall()


def _graph_polars(log: str) -> Run:
    pm4py, polars = _imported("pm4py"), _imported("polars")
    return lambda: pm4py.discover_dfg(polars.scan_parquet(log).rename(_PM4PY_NAMES))


def _graph_pandas(log: str) -> Run:
    pm4py, pandas = _imported("pm4py"), _imported("pandas")
    return lambda: pm4py.discover_dfg(pandas.read_parquet(log).rename(columns=_PM4PY_NAMES))


def _replay(log: str) -> Run:
    pm4py, pandas = _imported("pm4py"), _imported("pandas")
    replay = pm4py.conformance_diagnostics_token_based_replay
    net = _petri_net()
    return lambda: replay(pandas.read_parquet(log).rename(columns=_PM4PY_NAMES), *net)


def _petri_net() -> tuple[Any, Any, Any]:
    """The lifecycle's table as a Petri net for pm4py: a place for each state, a transition for each row, one end."""
    objects = _imported("pm4py.objects.petri_net.obj")
    connect = _imported("pm4py.objects.petri_net.utils.petri_utils").add_arc_from_to
    net = objects.PetriNet(V1_FULL.name)
    begin, end = objects.PetriNet.Place("begin"), objects.PetriNet.Place("end")
    places = {str(state.name): objects.PetriNet.Place(str(state.name)) for state in V1_FULL.states}
    net.places.update({begin, end, *places.values()})
    pairs = {(str(row.source), str(row.target)) for row in V1_FULL.transitions}
    initial = str(V1_FULL.initial)
    rows: list[tuple[Any, Any, str | None]] = [(begin, places[initial], initial)]
    rows += [(places[source], places[target], target) for source, target in sorted(pairs)]
    rows += [(places[str(state)], end, None) for state in V1_FULL.final_states]
    for number, (source_place, target_place, label) in enumerate(rows):
        transition = objects.PetriNet.Transition(str(number), label)
        net.transitions.add(transition)
        connect(source_place, transition, net)
        connect(transition, target_place, net)
    return net, objects.Marking({begin: 1}), objects.Marking({end: 1})


def _imported(name: str) -> Any:
    return importlib.import_module(name)  # without types of its own


_RUNS: dict[str, Callable[[str], Run]] = {
    "check": _check,
    "read": _read,
    "lag": _lag,
    "load": _load,
    "duckdb-csv": _duckdb_load("read_csv"),
    "duckdb-jsonl": _duckdb_load("read_ndjson"),
    "graph-polars": _graph_polars,
    "graph-pandas": _graph_pandas,
    "replay": _replay,
}


def _main() -> None:
    name, log = sys.argv[1:]
    run = _RUNS[name](log)
    begun_s = time.perf_counter()
    run()
    seconds = time.perf_counter() - begun_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_bytes": peak * (1 if sys.platform == "darwin" else 1024)}))


if __name__ == "__main__":
    _main()
