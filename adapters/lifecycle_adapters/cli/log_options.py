"""What the commands about logs are told: where the log is, how it is written, by which rules it is judged.

All of them take the same options, which are declared once, as the fields of `LogOptions`. Nothing of
lifecycle_adapters.logs is imported here before a command runs: its database costs more time than most commands take.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from lifecycle import Channel
from lifecycle.conformance import Mode
from lifecycle_adapters.cli.names import LifecycleName

TASK_COLUMN, AT_COLUMN = "task_id", "at"

_READING = "How the log is written"
_WHERE = "Where the log is"
_WRITING = "What is written to files"
_LIMITS = "Limits"

_MOST_THREADS = 1_000  # DuckDB would take minutes to begin with a hundred thousand


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
    mode: Annotated[
        Mode, typer.Option(help="exact: every change was recorded. sampled: tasks were polled, some were missed.")
    ] = "exact"
    channel: Annotated[
        str, typer.Option(help="Whose words the statuses are: api, webhook, or another that the lifecycle names.")
    ] = Channel.API
    ignore_case: Annotated[
        bool, typer.Option("--ignore-case", help="Statuses may be in another letter case: RUNNING is running.")
    ] = False
    information: Annotated[
        bool, typer.Option("--information", help="List and write rows that are information only, too.")
    ] = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Judge nothing where anything cannot be read; exit code 2.")
    ] = False

    status_column: Annotated[
        str, typer.Option(help="The column of the status.", rich_help_panel=_READING, metavar="NAME")
    ] = "status"
    task_column: Annotated[
        str, typer.Option(help="The column of the task's id.", rich_help_panel=_READING, metavar="NAME")
    ] = TASK_COLUMN
    one_task: Annotated[
        bool,
        typer.Option("--one-task", help="There is no such column: all rows are one task's.", rich_help_panel=_READING),
    ] = False
    at_column: Annotated[
        str, typer.Option(help="The column of the time.", rich_help_panel=_READING, metavar="NAME")
    ] = AT_COLUMN
    in_order: Annotated[
        bool,
        typer.Option(
            "--in-order", help="There is no such column: the rows are in order already.", rich_help_panel=_READING
        ),
    ] = False
    sequence_column: Annotated[
        str | None,
        typer.Option(
            help="The column of whole numbers that put a task's rows of one time in order; else their place does.",
            rich_help_panel=_READING,
            metavar="NAME",
        ),
    ] = None
    time: Annotated[
        Literal["iso", "seconds", "milliseconds", "microseconds", "nanoseconds"] | None,
        typer.Option(
            help="What times are: ISO 8601 (UTC where no zone is named), or since 1970. ISO, seconds and milliseconds"
            " are recognised if omitted.",
            rich_help_panel=_READING,
        ),
    ] = None
    time_format: Annotated[
        str | None,
        typer.Option(
            help="How times are written, as of strptime: '%d.%m.%Y %H:%M'; UTC where there is no %z.",
            rich_help_panel=_READING,
            metavar="PATTERN",
        ),
    ] = None

    delimiter: Annotated[
        str | None,
        typer.Option(
            help="The character between two cells of CSV: ';', or '\\t' for a tab. A comma if omitted.",
            rich_help_panel=_READING,
            metavar="CHARACTER",
        ),
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(
            help="The encoding of CSV: utf-16, cp1252, or another that Python knows. UTF-8 if omitted.",
            rich_help_panel=_READING,
            metavar="NAME",
        ),
    ] = None

    input_format: Annotated[
        Literal["parquet", "csv", "jsonl"] | None,
        typer.Option(help="What the files are, where their names do not tell.", rich_help_panel=_WHERE),
    ] = None
    table: Annotated[
        str | None,
        typer.Option(
            help="A table; FILE is then the DuckDB database or the postgresql:// URL where it is.",
            rich_help_panel=_WHERE,
            metavar="NAME",
        ),
    ] = None
    engine: Annotated[
        Literal["duckdb", "spark", "postgresql"] | None,
        typer.Option(
            help="What counts; for a postgresql:// URL that database, else DuckDB, if omitted.", rich_help_panel=_WHERE
        ),
    ] = None
    master: Annotated[
        str | None,
        typer.Option(help="Where Spark runs; on this machine if omitted.", rich_help_panel=_WHERE, metavar="URL"),
    ] = None

    findings: Annotated[
        Path | None,
        typer.Option(
            help="All findings, to a .parquet, .csv or .jsonl file.", rich_help_panel=_WRITING, metavar="FILE"
        ),
    ] = None
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="All rows that could not be read; lifecycle-rejects.csv if omitted and there are such.",
            rich_help_panel=_WRITING,
            metavar="FILE",
        ),
    ] = None

    memory: Annotated[
        str,
        typer.Option(
            help="The most that DuckDB may hold, such as 800MB; beyond it, it spills.",
            rich_help_panel=_LIMITS,
            metavar="SIZE",
        ),
    ] = "1GB"
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MOST_THREADS, help="Of DuckDB; one for each core if omitted.", rich_help_panel=_LIMITS
        ),
    ] = None
    spill: Annotated[
        Path | None,
        typer.Option(
            help="Where to spill, into a directory that is removed at the end; the usual place if omitted.",
            rich_help_panel=_LIMITS,
            metavar="DIRECTORY",
        ),
    ] = None


def takes_log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Spell out the first parameter of a command: what a user types are the fields of LogOptions."""
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
        command(log, **given)

    run.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
    return run
