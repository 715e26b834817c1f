"""The commands `check` and `report`: logs of any size against a lifecycle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifecycle_adapters.cli.log_options import LogOptions, takes_log_options
from lifecycle_adapters.cli.names import AsJson, declared


@takes_log_options
def check(
    log: LogOptions,
    *,
    show: Annotated[int, typer.Option(min=0, help="List at most this many findings; all are counted.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Check recorded histories, of one task or of millions, and list the findings.

    Exit code 0: no finding, or notes only. 1: errors. 2: the log, or a file of it, cannot be read.

    Example: lifecycle check v4 log.csv --mode sampled --findings findings.csv
    """
    from lifecycle_adapters.cli.findings import FindingList
    from lifecycle_adapters.cli.log_run import judge

    judge(log, declared(log.name), lambda checked: FindingList(checked, log, most=show).print(as_json=as_json))


@takes_log_options
def report(
    log: LogOptions,
    *,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write the report to this file, as a page with the lifecycle's diagram."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report the counts of a log: findings by kind, observed transitions, times in states, last states.

    Exit code 0: no finding, or notes only. 1: errors. 2: the log, or a file of it, cannot be read.

    Example: lifecycle report v4 log.parquet --html report.html
    """
    from lifecycle_adapters.cli.log_run import judge
    from lifecycle_adapters.cli.report_printer import print_report

    lifecycle = declared(log.name)
    judge(log, lifecycle, lambda checked: print_report(checked.report, lifecycle, as_json=as_json), page=html)
