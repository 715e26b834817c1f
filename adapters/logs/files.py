"""Logs in files: Parquet, CSV and JSON Lines, plain or compressed, one or many, and the standard input."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.logs.columns import Columns
from adapters.logs.places import ROW_BITS
from adapters.logs.records import records
from adapters.logs.rules import Rules
from adapters.logs.source import Intake
from adapters.logs.workbench import Workbench, literal


@dataclass(frozen=True)
class Files:
    """Files by their paths, globs or folders."""

    paths: tuple[str, ...]

    def __init__(self, *paths: str) -> None:
        object.__setattr__(self, "paths", paths)

    def offer(self, bench: Workbench, rules: Rules, columns: Columns) -> Intake:
        """See Source."""
        [path] = self.paths
        scan = f"read_parquet({literal(path)}, file_row_number = true)"
        types = {name: kind for name, kind, *_ in bench.run(f"DESCRIBE SELECT * FROM {scan}")}
        place = f"(0 << {ROW_BITS}) | (file_row_number + 1)"
        bench.run(f"CREATE VIEW records AS {records(scan, types, columns, rules, place=place)}")
        return Intake(bench, (path,))
