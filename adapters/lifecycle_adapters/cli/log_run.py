"""What `validate` and `report` do with a log: check it, tell what came of it, write files, end with an exit code.

Imported when one of them runs, since the database that counts is loaded with it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer

from lifecycle import Lifecycle
from lifecycle.errors import shortened
from lifecycle_adapters.cli.log_options import AT_COLUMN, TASK_COLUMN, LogOptions
from lifecycle_adapters.cli.output import BAD_INPUT, LEGAL, NOT_LEGAL, fail, misuse_is_bad_input, say, shown
from lifecycle_adapters.cli.progress import Bar
from lifecycle_adapters.connection_strings import is_postgres
from lifecycle_adapters.logs.check import RejectWriter, check_logs
from lifecycle_adapters.logs.columns import Columns, RejectReason, TimeForm
from lifecycle_adapters.logs.files import KEPT_REJECTS, Files
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog, WrongDelimiter, WrongEncoding
from lifecycle_adapters.logs.report import LogReport
from lifecycle_adapters.logs.result import CheckedLog, Reject
from lifecycle_adapters.logs.source import Source
from lifecycle_adapters.logs.units import counted
from lifecycle_adapters.logs.writers import atomic_write, format_to_write

_REJECTS_BEGIN = ",".join(field.name for field in fields(Reject)).encode()
_THIS_MACHINE = "local[*]"  # as Spark calls it
_ENOUGH = 1_000  # findings for a page, which shows fewer
_ENDING = [each for each in signal.Signals if each.name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP


@contextmanager
def _ended_in_order() -> Generator[None]:
    """Let what asks the process to end do so as Ctrl-C does, so that what was spilled is removed."""
    # What is ignored, as under nohup, stays so.
    heeded = [each for each in _ENDING if signal.getsignal(each) is signal.SIG_DFL]
    for each in heeded:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in heeded:
            signal.signal(each, signal.SIG_DFL)


@_ended_in_order()
def judge(
    log: LogOptions, lifecycle: Lifecycle[str, str], tell: Callable[[CheckedLog], None], *, page: Path | None = None
) -> None:
    """Check a log, tell what came of it, write the files that are wanted, and end with the exit code."""
    _require_writable(log, page)
    columns = _columns(log)
    bar = Bar()
    kept: list[str] = []

    def keep(write: RejectWriter) -> None:
        if log.rejects is not None or not log.strict:  # strict reads all or nothing, and leaves nothing unasked
            kept.append(_keep_rejects(write, log))

    try:
        with misuse_is_bad_input(), bar:
            checked = check_logs(
                lifecycle,
                _source(log),
                mode=log.mode,
                channel=log.channel,
                columns=columns,
                ignore_case=log.ignore_case,
                information=log.information,
                strict=log.strict,
                memory=log.memory,
                threads=log.threads,
                spill=log.spill,
                progress=bar.tell,
                keep_rejects=keep,
            )
    except UnusableLog as error:
        fail("\n".join([str(error), *kept, *_hints(error, log)]), BAD_INPUT)
    with checked:
        tell(checked)
        for line in _in_another_case(checked.report, lifecycle.statuses(channel=log.channel)):
            say(line, stderr=True)
        with bar:
            written = _write_files(checked, log)
        if page is not None:
            written.append(_write_page(page, checked, lifecycle))
    for line in written:
        say(line, stderr=True)
    raise typer.Exit(_exit_code(checked.report))


def _in_another_case(report: LogReport, words: Iterable[str]) -> Iterator[str]:
    """Yield which unknown statuses are declared in another letter case."""
    declared = {word.lower(): word for word in map(str, words)}
    for status, number in report.unknown_statuses.items():
        if (word := declared.get(status.lower())) is not None:
            rows = f"{counted(number, 'row')} {'says' if number == 1 else 'say'}"
            yield f"{rows} {shown(status)}; declared is {shown(word)!r}: --ignore-case takes them for the same"


def _exit_code(report: LogReport) -> int:
    if report.broken:
        return BAD_INPUT
    return LEGAL if report.is_clean else NOT_LEGAL


# --- where the log is, and how it is written ------------------------------------------------------


def _columns(log: LogOptions) -> Columns:
    """Return which column holds what."""
    _not_both(log.one_task, log.task_column != TASK_COLUMN, "--one-task", "--task-column")
    _not_both(log.in_order, log.at_column != AT_COLUMN, "--in-order", "--at-column")
    _not_both(log.in_order, log.time is not None, "--in-order", "--time")
    _not_both(log.in_order, log.time_format is not None, "--in-order", "--time-format")
    _not_both(log.time is not None, log.time_format is not None, "--time", "--time-format")
    return Columns(
        task=None if log.one_task else log.task_column,
        at=None if log.in_order else log.at_column,
        status=log.status_column,
        sequence=log.sequence_column,
        time=None if log.time is None else TimeForm(log.time),
        pattern=log.time_format,
    )


def _source(log: LogOptions) -> Source:
    """Return where the log is. Raises MissingExtra."""
    first, *further = log.files
    is_url = is_postgres(first)
    engine = log.engine or ("postgresql" if is_url else "duckdb")
    if log.master is not None and engine != "spark":
        fail("--master needs --engine spark", BAD_INPUT)
    if (engine == "postgresql") != is_url:
        fail("--engine postgresql needs a postgresql:// URL as FILE, and no other engine takes one", BAD_INPUT)
    if log.table is None:
        if engine == "postgresql":
            fail("--table NAME must say which table of the database is the log", BAD_INPUT)
        return _files(log, engine)
    if log.delimiter is not None or log.encoding is not None:
        fail("--delimiter and --encoding are for CSV files, not for a --table", BAD_INPUT)
    if further or log.input_format is not None or engine == "spark":
        fail("with --table goes one FILE, the database, and neither --input-format nor --engine spark", BAD_INPUT)
    if engine == "postgresql":
        from lifecycle_adapters.logs.postgres import PostgresTable

        return PostgresTable(first, log.table)
    from lifecycle_adapters.logs.frames import DuckTable

    return DuckTable(log.table, path=first)


def _files(log: LogOptions, engine: str) -> Source:
    if engine == "spark":
        from lifecycle_adapters.logs.spark import SparkFiles

        return SparkFiles(*log.files, master=log.master or _THIS_MACHINE, **_options_of_files(log))
    return Files(*log.files, **_options_of_files(log))


def _options_of_files(log: LogOptions) -> dict[str, Any]:
    delimiter = "\t" if log.delimiter == r"\t" else log.delimiter
    return {"format": log.input_format, "delimiter": delimiter, "encoding": log.encoding}


def _hints(error: UnusableLog, log: LogOptions) -> Iterator[str]:
    """Yield which options help if a column, what a file is, or how times are written is not known."""
    message = str(error)
    if isinstance(error, WrongDelimiter):
        yield f"--delimiter {error.delimiter!r} reads it"
    if isinstance(error, WrongEncoding):
        yield f"--encoding {error.encoding} reads it"
    columns = {
        log.status_column: "--status-column names the column of the status",
        log.task_column: "--task-column names the column of the task's id; --one-task says that there is none",
        log.at_column: "--at-column names the column of the time; --in-order says that there is none",
        log.sequence_column: "--sequence-column names the column of the sequence",
    }
    yield from (
        hint for name, hint in columns.items() if name is not None and f"no column {shortened(name)}" in message
    )
    if RejectReason.TIME_OUT_OF_RANGE in message and log.time is None:
        yield "--time microseconds or --time nanoseconds says that numbers count those"
    if RejectReason.BAD_TIME in message and log.time_format is None:
        yield "--time-format says how times are written"
    if message.endswith("name the format"):
        yield "--input-format names the format: parquet, csv or jsonl"


def _not_both(one: bool, other: bool, *names: str) -> None:
    if one and other:
        fail(f"either {' or '.join(names)}, not both", BAD_INPUT)


# --- what is written ------------------------------------------------------------------------------


def _require_writable(log: LogOptions, page: Path | None) -> None:
    """End the command, before any work is done, where a file that is wanted could not be written."""
    wanted = [path for path in (log.findings, log.rejects, page) if path is not None]
    with misuse_is_bad_input():
        for path in wanted:
            if path is not page:
                format_to_write(path)
    resolved = [Path(os.path.realpath(path)) for path in wanted]  # that of pathlib raises for a loop of links
    for path, target in zip(wanted, resolved, strict=True):
        if not target.parent.is_dir():
            fail(f"{shown(path)} cannot be written: there is no folder {shown(target.parent)}", BAD_INPUT)
        if target.exists() and not target.is_file():
            what = "a folder" if target.is_dir() else "there and no file"
            fail(f"{shown(path)} cannot be written: it is {what}", BAD_INPUT)
    if len({*resolved}) < len(resolved):
        fail("what is written must go to a file each", BAD_INPUT)
    with misuse_is_bad_input():
        files = _files_to_read(log)
    for file in files:
        if Path(os.path.realpath(file)) in resolved:
            fail(f"{shown(file)} is the log itself, and would be written over", BAD_INPUT)


def _files_to_read(log: LogOptions) -> list[str]:
    """Return the files of the log, also those of folders and globs; what is wrong with them is said later."""
    if log.table is None:
        with suppress(UnusableLog):
            return [path for path, _ in Files(*log.files, **_options_of_files(log)).listed()]
    return log.files


def _write_files(checked: CheckedLog, log: LogOptions) -> list[str]:
    """Write what is wanted, and the rows that could not be read in any case; return a line about each file."""
    lines: list[str] = []
    if log.findings is not None:
        lines.append(f"wrote {counted(checked.write_findings(log.findings), 'finding')} to {shown(log.findings)}")
    number = sum(checked.report.unreadable.values())
    if log.rejects is not None or number:
        lines.append(f"{counted(number, 'row')} could not be read; {_keep_rejects(checked.write_rejects, log)}")
    return lines


def _keep_rejects(write: RejectWriter, log: LogOptions) -> str:
    """Write the file that is wanted, or one that nobody asked for, unless something would be lost; say which."""
    if log.rejects is not None:
        write(log.rejects)
        return f"wrote which and why to {shown(log.rejects)}"
    if not _may_be_replaced(Path(KEPT_REJECTS)):
        return f"{KEPT_REJECTS} is no file of ours; --rejects FILE keeps which and why"
    try:
        write(KEPT_REJECTS)
    except EngineFailed as error:
        return f"{error}; --rejects FILE keeps which and why"
    return f"which and why is kept in {KEPT_REJECTS}"


def _may_be_replaced(path: Path) -> bool:
    """Whether nothing is lost: there is no such file, or an earlier run of ours wrote it."""
    if not path.is_file():
        return not path.is_symlink() and not path.exists()
    with suppress(OSError), path.open("rb") as file:
        return file.readline(len(_REJECTS_BEGIN) + 2).rstrip() == _REJECTS_BEGIN
    return False


def _write_page(path: Path, checked: CheckedLog, lifecycle: Lifecycle[str, str]) -> str:
    from lifecycle_adapters.logs.page import page

    text = page(checked.report, lifecycle, checked.findings(most=_ENOUGH))
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return f"wrote the page to {shown(path)}"
