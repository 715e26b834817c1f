"""The work of `check` and `report`: check a log, print the result, write files, and end with an exit code.

Imported when one of them runs, because it loads the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import typer

from lifecycle import Lifecycle
from lifecycle_adapters.cli.log_options import AT_COLUMN, TASK_COLUMN, LogOptions
from lifecycle_adapters.cli.output import BAD_INPUT, LEGAL, NOT_LEGAL, fail, misuse_is_bad_input, say, shown
from lifecycle_adapters.cli.overwriting import require_unread
from lifecycle_adapters.cli.progress import Bar
from lifecycle_adapters.connection_strings import is_postgres
from lifecycle_adapters.logs.check import RejectWriter, check_logs
from lifecycle_adapters.logs.columns import Columns, RejectReason, TimeForm
from lifecycle_adapters.logs.files import KEPT_REJECTS
from lifecycle_adapters.logs.kept_rejects import has_earlier_rejects, keep_rejects
from lifecycle_adapters.logs.log_errors import (
    EngineFailed,
    MissingColumn,
    NoReadableRows,
    UnknownFormat,
    UnreadableRows,
    UnusableLog,
    WrongDelimiter,
    WrongEncoding,
    WrongPattern,
)
from lifecycle_adapters.logs.named_source import files_of, named_source
from lifecycle_adapters.logs.report import LogReport
from lifecycle_adapters.logs.result import CheckedLog
from lifecycle_adapters.logs.source import Source
from lifecycle_adapters.logs.text import STANDARD_INPUT
from lifecycle_adapters.logs.units import counted
from lifecycle_adapters.logs.writers import require_writable

_ENOUGH = 1_000  # findings for a page, which shows fewer


def judge(
    log: LogOptions, lifecycle: Lifecycle[str, str], show: Callable[[CheckedLog], None], *, page: Path | None = None
) -> None:
    """Check a log, show the result, write the files that are wanted, and end with the exit code."""
    bar = Bar()
    kept: list[str] = []

    def keep(write: RejectWriter) -> None:
        kept.append(_keep_rejects(write, log))

    try:
        with misuse_is_bad_input(table="--table"), bar:
            source = _source(log)
            _require_writable(log, page, source)
            checked = check_logs(
                lifecycle,
                source,
                mode=log.mode,
                channel=log.channel,
                columns=_columns(log),
                ignore_case=log.ignore_case,
                notes=log.notes,
                strict=log.strict,
                memory=log.memory,
                threads=log.threads,
                spill=log.spill,
                progress=bar.show,
                keep_rejects=keep,
            )
    except UnusableLog as error:
        for note in (*kept, *_hints(error, log)):
            error.add_note(note)
        raise
    with checked:
        show(checked)
        _say_other_cases(checked.report, lifecycle.statuses(channel=log.channel))
        with bar:
            written = _write_files(checked, log)
        if page is not None:
            written.append(_write_page(page, checked, lifecycle))
    for line in written:
        say(line, stderr=True)
    raise typer.Exit(_exit_code(checked.report))


def _say_other_cases(report: LogReport, statuses: Mapping[str, str]) -> None:
    """Say which unknown statuses are declared in another letter case."""
    for status, declared in report.in_another_case(statuses).items():
        number = report.unknown_statuses[status]
        rows = f"{counted(number, 'row')} {'has' if number == 1 else 'have'}"
        option = "add --ignore-case to read them as equal"
        say(f"{rows} the status {shown(status)}, but {shown(declared)!r} is declared; {option}", stderr=True)


def _exit_code(report: LogReport) -> int:
    if report.broken:
        return BAD_INPUT
    return LEGAL if report.is_clean else NOT_LEGAL


# --- where the log is, and how it is written ------------------------------------------------------


def _columns(log: LogOptions) -> Columns:
    """Return which column holds what."""
    _not_both(log.one_task, log.task_column is not None, "--one-task", "--task-column")
    _not_both(log.in_order, log.at_column is not None, "--in-order", "--at-column")
    _not_both(log.in_order, log.time is not None, "--in-order", "--time")
    _not_both(log.in_order, log.time_format is not None, "--in-order", "--time-format")
    _not_both(log.time is not None, log.time_format is not None, "--time", "--time-format")
    return Columns(
        task=None if log.one_task else _named(log.task_column, TASK_COLUMN),
        at=None if log.in_order else _named(log.at_column, AT_COLUMN),
        status=log.status_column,
        sequence=log.sequence_column,
        time=None if log.time is None else TimeForm(log.time),
        pattern=log.time_format,
    )


def _source(log: LogOptions) -> Source:
    """Return where the log is. Raises ValueError, MissingExtra."""
    return named_source(
        *log.files,
        table=log.table,
        engine=log.engine,
        master=log.master,
        format=log.input_format,
        delimiter="\t" if log.delimiter == r"\t" else log.delimiter,
        encoding=log.encoding,
    )


def _hints(error: UnusableLog, log: LogOptions) -> Iterator[str]:
    """Yield the options that help if a column, a file's format or the format of times is not known."""
    match error:
        case MissingColumn():
            yield from _hints_about_column(error.name, log)
        case NoReadableRows() | UnreadableRows() if log.files and is_postgres(log.files[0]):
            pass  # PostgreSQL reads times of no other form
        case NoReadableRows() | UnreadableRows():
            if RejectReason.TIME_OUT_OF_RANGE in error.reasons and log.time is None:
                yield "if numbers count them, add --time microseconds or --time nanoseconds"
            if RejectReason.BAD_TIME in error.reasons and log.time_format is None:
                yield "give the format of times with --time-format"
        case UnknownFormat():
            yield "name the format with --input-format: parquet, csv or jsonl"
        case WrongDelimiter():
            yield f"read it with --delimiter {error.delimiter!r}"
        case WrongEncoding():
            yield f"read it with --encoding {error.encoding}"
        case WrongPattern():
            yield "--time-format takes the directives of strptime, such as '%d.%m.%Y %H:%M'"
        case _:
            pass


def _hints_about_column(name: str, log: LogOptions) -> Iterator[str]:
    hints = {
        log.status_column: "name the column of the status with --status-column",
        _named(
            log.task_column, TASK_COLUMN
        ): "name the column of the task's id with --task-column; if there is none, add --one-task",
        _named(
            log.at_column, AT_COLUMN
        ): "name the column of the time with --at-column; if there is none, add --in-order",
        log.sequence_column: "name the column of the sequence with --sequence-column",
    }
    if (hint := hints.get(name)) is not None:
        yield hint


def _named(given: str | None, default: str) -> str:
    return default if given is None else given


def _not_both(one: bool, other: bool, *names: str) -> None:
    if one and other:
        fail(f"either {' or '.join(names)}, not both", BAD_INPUT)


# --- what is written ------------------------------------------------------------------------------


def _require_writable(log: LogOptions, page: Path | None, source: Source) -> None:
    """Raise ValueError, or end the command, if a file that is wanted could not or must not be written."""
    rows = [path for path in (log.findings, log.rejects) if path is not None]
    others = [] if page is None else [page]
    require_writable(rows, others)
    files: list[str] = []
    with suppress(UnusableLog):  # the error is raised when they are read
        files = files_of(source)
    kept = [Path(KEPT_REJECTS)] if log.rejects is None else []
    descriptor = 0  # of the standard input, which may be a file
    read = [descriptor if file == STANDARD_INPUT else file for file in files]
    require_unread([*rows, *others, *kept], name=log.name, log=read)


def _write_files(checked: CheckedLog, log: LogOptions) -> list[str]:
    """Write the wanted files, and in any case the unreadable rows; return a line about each file."""
    lines: list[str] = []
    if log.findings is not None:
        lines.append(f"wrote {counted(checked.write_findings(log.findings), 'finding')} to {shown(log.findings)}")
    number = sum(checked.report.unreadable.values())
    if log.rejects is not None or number:
        lines.append(f"{counted(number, 'row')} could not be read; {_keep_rejects(checked.write_rejects, log)}")
    elif has_earlier_rejects():
        lines.append(f"{KEPT_REJECTS} is from an earlier check; this one found no unreadable row")
    return lines


def _keep_rejects(write: RejectWriter, log: LogOptions) -> str:
    """Write the rows to --rejects, or by default to a file that replaces nothing; return a message with its name."""
    if log.rejects is not None:
        write(log.rejects)
        return f"wrote the list to {shown(log.rejects)}"
    try:
        return f"the list is kept in {keep_rejects(write)}"
    except EngineFailed as error:
        return f"{error}; give --rejects FILE to keep the list"


def _write_page(path: Path, checked: CheckedLog, lifecycle: Lifecycle[str, str]) -> str:
    from lifecycle_adapters.logs.page import write_page

    write_page(path, checked.report, lifecycle, checked.findings(most=_ENOUGH))
    return f"wrote the page to {shown(path)}"
