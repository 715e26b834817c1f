"""The options of the commands for logs: the log's place, its format, and the rules of the check.

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
    """Return a function that declares an option in one panel of the help text."""

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
            help="Read these files: Parquet, CSV with a header, or one JSON object per line; plain, .gz or .zst."
            " A glob or a folder names several files, - the standard input.",
            show_default=False,
        ),
    ]
    mode: Annotated[
        Mode,
        _rule(
            "Judge the log in this mode. exact: every change was recorded. sampled: tasks were polled, so some changes"
            " were missed."
        ),
    ] = "exact"
    channel: Annotated[
        str, _rule("Read the statuses as this channel names them: api, webhook, or another of the lifecycle.")
    ] = Channel.API
    ignore_case: Annotated[bool, _rule("Read a status in any letter case: RUNNING is running.", "--ignore-case")] = (
        False
    )
    notes: Annotated[bool, _rule("List notes, too: findings that do not make a history bad.", "--notes")] = False
    strict: Annotated[bool, _rule("Exit with 2, unchecked, if a row or a file cannot be read.", "--strict")] = False

    status_column: Annotated[str, _reading("This column holds the status.", metavar="NAME")] = "status"
    task_column: Annotated[
        str | None, _reading(f"This column holds the task's id. Default: {TASK_COLUMN}.", metavar="NAME")
    ] = None
    one_task: Annotated[bool, _reading("Treat the whole log as one task's history.", "--one-task")] = False
    at_column: Annotated[str | None, _reading(f"This column holds the time. Default: {AT_COLUMN}.", metavar="NAME")] = (
        None
    )
    in_order: Annotated[bool, _reading("Read rows in their order; the log has no times.", "--in-order")] = False
    sequence_column: Annotated[
        str | None,
        _reading(
            "Integers in this column order a task's rows with the same time. Default: their place.", metavar="NAME"
        ),
    ] = None
    time: Annotated[
        Literal["iso", "seconds", "milliseconds", "microseconds", "nanoseconds"] | None,
        _reading(
            "Times are in ISO 8601 (UTC if they name no zone), or count this unit since 1970. Default: ISO, seconds"
            " and milliseconds are recognised."
        ),
    ] = None
    time_format: Annotated[
        str | None,
        _reading(
            "Times have this pattern of Python's strptime, without %c, %x, %X and weeks: '%d.%m.%Y %H:%M'; UTC if"
            " it has no %z.",
            metavar="PATTERN",
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        _reading(
            "This character separates the cells of a CSV: ';', or '\\t' for a tab. Default: a comma.",
            metavar="CHARACTER",
        ),
    ] = None
    encoding: Annotated[
        str | None,
        _reading(
            "A CSV has this encoding: utf-16, cp1252, or another that Python knows. Default: UTF-8.", metavar="NAME"
        ),
    ] = None

    input_format: Annotated[
        Literal["parquet", "csv", "jsonl"] | None,
        _place("Files have this format if their names do not end in one."),
    ] = None
    table: Annotated[
        str | None,
        _place(
            "Read this table; FILE is then the DuckDB database or the postgresql:// URL that holds it.", metavar="NAME"
        ),
    ] = None
    engine: Annotated[
        Literal["duckdb", "spark", "postgresql"] | None,
        _place("Count with this engine. Default: PostgreSQL for a postgresql:// URL, otherwise DuckDB."),
    ] = None
    master: Annotated[str | None, _place("Run Spark at this master. Default: this machine.", metavar="URL")] = None

    findings: Annotated[
        Path | None, _output("Write all findings to this .parquet, .csv or .jsonl file.", metavar="FILE")
    ] = None
    rejects: Annotated[
        Path | None,
        _output(
            "Write all rows that cannot be read to this file. Default: lifecycle-rejects.csv, if there are any.",
            metavar="FILE",
        ),
    ] = None

    memory: Annotated[
        str,
        _limit(
            "Let DuckDB use at most this much memory, 16MB or more; what does not fit is spilled to disk.",
            metavar="SIZE",
        ),
    ] = "1GB"
    threads: Annotated[
        int | None, _limit("Let DuckDB use this many threads. Default: one for each core.", min=1, max=MOST_THREADS)
    ] = None
    spill: Annotated[
        Path | None,
        _limit(
            "Make a directory here to spill into, and remove it at the end. Default: the system's folder of temporary"
            " files.",
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
