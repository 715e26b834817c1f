"""The options of the commands about logs: where the log is, how it is written, how it is checked.

All of these commands take the same options, each declared once as a field of `LogOptions`. Nothing of
lifecycle_adapters.logs is imported here, because its database takes longer to load than most commands run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from lifecycle import CATALOG, Channel
from lifecycle.conformance import Mode
from lifecycle_adapters.argument_checks import MOST_THREADS
from lifecycle_adapters.cli.names import LifecycleName

TASK_COLUMN, AT_COLUMN = "task_id", "at"


def _options(panel: str | None) -> Callable[..., Any]:
    """Return what declares an option of one panel of the help text."""

    def option(help: str, *names: str, **settings: Any) -> Any:  # noqa: A002
        return typer.Option(*names, help=help, rich_help_panel=panel, **settings)

    return option


_rule = _options(None)
_reading = _options("How the log is written")
_place = _options("Where the log is")
_output = _options("What is written to files")
_limit = _options("Limits")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogOptions:
    """The arguments and options that every command about logs takes, as they were typed."""

    name: LifecycleName
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Parquet, CSV with a header, or one JSON object a line; plain, .gz or .zst. Also globs and folders;"
            " - is the standard input.",
            show_default=False,
        ),
    ]
    mode: Annotated[Mode, _rule("exact: every change was recorded. sampled: tasks were polled, some were missed.")] = (
        "exact"
    )
    channel: Annotated[
        str, _rule("The channel of the statuses: api, webhook, or another that the lifecycle names.")
    ] = Channel.API
    ignore_case: Annotated[
        bool, _rule("Statuses may be in another letter case: RUNNING is running.", "--ignore-case")
    ] = False
    information: Annotated[bool, _rule("Include informational findings.", "--information")] = False
    strict: Annotated[bool, _rule("Check nothing if anything cannot be read; exit code 2.", "--strict")] = False

    status_column: Annotated[str, _reading("The column of the status.", metavar="NAME")] = "status"
    task_column: Annotated[str, _reading("The column of the task's id.", metavar="NAME")] = TASK_COLUMN
    one_task: Annotated[bool, _reading("Treat the whole log as one task's history.", "--one-task")] = False
    at_column: Annotated[str, _reading("The column of the time.", metavar="NAME")] = AT_COLUMN
    in_order: Annotated[bool, _reading("The log has no times; its rows are in order.", "--in-order")] = False
    sequence_column: Annotated[
        str | None,
        _reading("The column of integers that order a task's rows of one time. Default: their place.", metavar="NAME"),
    ] = None
    time: Annotated[
        Literal["iso", "seconds", "milliseconds", "microseconds", "nanoseconds"] | None,
        _reading(
            "How times are written: ISO 8601 (UTC if no zone is named), or a number since 1970. Default: ISO, seconds"
            " and milliseconds are recognised."
        ),
    ] = None
    time_format: Annotated[
        str | None,
        _reading("The pattern of times, as of strptime: '%d.%m.%Y %H:%M'; UTC if it has no %z.", metavar="PATTERN"),
    ] = None
    delimiter: Annotated[
        str | None,
        _reading(
            "The character between two cells of CSV: ';', or '\\t' for a tab. Default: a comma.", metavar="CHARACTER"
        ),
    ] = None
    encoding: Annotated[
        str | None,
        _reading("The encoding of CSV: utf-16, cp1252, or another that Python knows. Default: UTF-8.", metavar="NAME"),
    ] = None

    input_format: Annotated[
        Literal["parquet", "csv", "jsonl"] | None,
        _place("The format of files whose names do not end in it."),
    ] = None
    table: Annotated[
        str | None,
        _place("A table; FILE is then the DuckDB database or the postgresql:// URL that holds it.", metavar="NAME"),
    ] = None
    engine: Annotated[
        Literal["duckdb", "spark", "postgresql"] | None,
        _place("Query engine. Default: PostgreSQL for a postgresql:// URL, otherwise DuckDB."),
    ] = None
    master: Annotated[str | None, _place("Where Spark runs. Default: this machine.", metavar="URL")] = None

    findings: Annotated[
        Path | None, _output("Write all findings to a .parquet, .csv or .jsonl file.", metavar="FILE")
    ] = None
    rejects: Annotated[
        Path | None,
        _output(
            "Write all rows that cannot be read. Default: lifecycle-rejects.csv, if there are any.", metavar="FILE"
        ),
    ] = None

    memory: Annotated[
        str, _limit("The most that DuckDB may use, such as 800MB; beyond it, it spills.", metavar="SIZE")
    ] = "1GB"
    threads: Annotated[
        int | None, _limit("Threads of DuckDB. Default: one for each core.", min=1, max=MOST_THREADS)
    ] = None
    spill: Annotated[
        Path | None,
        _limit(
            "Where to make a directory to spill into, which is removed at the end. Default: the system's.",
            metavar="DIRECTORY",
        ),
    ] = None


def _require_order(log: LogOptions) -> None:
    """Raise typer.BadParameter if a lifecycle is named after the files."""
    lifecycles = [name for name in log.files if name in CATALOG and not Path(name).exists()]
    if lifecycles and log.name not in CATALOG:
        raise typer.BadParameter(f"The lifecycle is named first, then the files: {lifecycles[0]} {log.name}")


def takes_log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's first parameter by options: one for each field of LogOptions."""
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    types = get_type_hints(LogOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.name in ("name", "files") else field.default,
            annotation=types[field.name],
        )
        for field in fields(LogOptions)
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        log = LogOptions(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        _require_order(log)
        command(log, **given)

    run.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
    return run
