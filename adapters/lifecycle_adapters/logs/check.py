"""One log against one lifecycle: what is asked of the engine, in which order, and what comes of the answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from lifecycle import Channel, Lifecycle
from lifecycle.conformance import Mode
from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import require, require_lifecycle
from lifecycle_adapters.logs import queries
from lifecycle_adapters.logs.columns import Columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, Progress
from lifecycle_adapters.logs.engine import Engine
from lifecycle_adapters.logs.log_errors import NoReadableRows, UnreadableRows
from lifecycle_adapters.logs.places import file_and_row
from lifecycle_adapters.logs.report import LogReport, Tally, Totals, moment
from lifecycle_adapters.logs.result import CheckedLog
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.source import LoadedLog, Source
from lifecycle_adapters.logs.tables import Tables
from lifecycle_adapters.logs.units import counted

MOST_WORST = 20
_MOST_WORDS = 20
_MOST_REJECTS = 10  # in one message

RejectWriter = Callable[[str | os.PathLike[str]], int]
"""Writes the rows that could not be read, and returns how many; see `CheckedLog.write_rejects`."""


def check_logs(
    lifecycle: Lifecycle[Any, Any],
    source: Source,
    *,
    mode: Mode = "exact",
    channel: str = Channel.API,
    columns: Columns | None = None,
    ignore_case: bool = False,
    information: bool = False,
    strict: bool = False,
    memory: str = "1GB",
    threads: int | None = None,
    spill: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    keep_rejects: Callable[[RejectWriter], object] | None = None,
) -> CheckedLog:
    """Judge all histories of a log by the rules of `Lifecycle.check`, and count what happened.

    Args:
        lifecycle: whose rules.
        source: where the log is: `Files`, `Frame`, `DuckTable`, `PostgresTable` or `SparkFiles`.
        mode: "exact" when every change was recorded, "sampled" when tasks were polled.
        channel: whose words the statuses are.
        columns: which column holds what.
        ignore_case: take statuses in another letter case ("RUNNING") for the words that they are ("running").
        information: list rows that are information only, too; they are counted in any case. In a polled log
            these are nearly all rows.
        strict: raise where a row or a file cannot be read, instead of counting it.
        memory: the most that DuckDB may hold, as in "800MB"; beyond it, it spills. The process needs some
            100 MB besides.
        threads: of DuckDB; as many as there are cores if omitted.
        spill: where a directory for what does not fit is made, and removed; the usual place if omitted.
        progress: told of long work.
        keep_rejects: called before an error is raised of rows that cannot be read, with what writes them to a file.
    Returns:
        What came of it, to be closed: findings are read from it, or written to a file.
    Raises:
        UnusableLog: it is not there, or is not what it was said to be. NoReadableRows, MissingColumn, UnknownFormat,
            WrongDelimiter and WrongEncoding are subclasses that say which of the two in attributes.
        UnreadableRows: `strict`, and something could not be read.
        EngineFailed: the database failed: no room, no connection.
        UnknownName: the lifecycle has no such channel.
        ValueError: `mode` is neither; the channel has more than 500 words; `ignore_case` is given and two words differ
            in nothing but their case; or `memory` or `threads` is not a limit that DuckDB understands.
        TypeError: `source` is no source, such as the name of a file; or what a `Frame` was given is none; or
            `lifecycle`, `columns` or `threads` has the wrong type.
        MissingExtra: what the source needs is not installed.
    """
    require_lifecycle(lifecycle)
    _require_source(source)
    require(columns, Columns | None, "columns must be Columns(...)")
    rules = Rules(lifecycle, mode=mode, channel=channel, ignore_case=ignore_case)
    columns = columns or Columns()
    bench = DuckDbSession(memory=memory, threads=threads, spill=spill, progress=progress)
    try:
        return _checked(
            bench, source, rules, columns, information=information, strict=strict, keep_rejects=keep_rejects
        )
    except BaseException:
        bench.close()
        raise


def _require_source(source: object) -> None:
    if isinstance(source, str | os.PathLike):
        given = os.fspath(cast("str | os.PathLike[str]", source))
        raise TypeError(f"the source is a text, not where a log is; of a file write Files({shortened(given)})")
    if isinstance(source, type) or not callable(getattr(source, "load", None)):
        raise TypeError(
            f"the source is of type {type(source).__name__}, and none; give Files(...), DuckTable(...),"
            " PostgresTable(...), SparkFiles(...), or of what lies in memory Frame(...)"
        )


def _checked(
    bench: DuckDbSession,
    source: Source,
    rules: Rules,
    columns: Columns,
    *,
    information: bool,
    strict: bool,
    keep_rejects: Callable[[RejectWriter], object] | None,
) -> CheckedLog:
    intake = source.load(bench, rules, columns)
    engine = intake.engine
    totals = Totals(engine.rows(queries.totals()))
    tables = Tables(bench, rules, intake, timed=columns.at is not None)
    if keep_rejects is not None and totals.unreadable and (strict or not totals.readable):
        keep_rejects(tables.write_rejects)
    if strict:
        _require_all_read(totals, intake, tables)
    if not totals.readable:
        raise NoReadableRows(_nothing_to_read(totals, intake, tables), reasons=totals.unreadable)

    sequenced = columns.sequence is not None
    engine.keep("counted", queries.moves_counted(rules, information=information, sequenced=sequenced))
    if totals.unknown:
        engine.keep("strange", queries.strange_found(rules))
    tables.take_findings(strange=totals.unknown > 0)
    report = report_of(
        engine,
        rules,
        totals,
        bad_tasks=tables.bad_tasks(),
        worst=tables.worst(MOST_WORST),
        timed=columns.at is not None,
        files=len(intake.files) if intake.are_files else 0,
        broken=intake.broken,
    )
    return CheckedLog(report, bench, rules, intake, tables)


def report_of(
    engine: Engine,
    rules: Rules,
    totals: Totals,
    *,
    bad_tasks: int,
    worst: tuple[tuple[str, int], ...],
    timed: bool,
    files: int = 0,
    broken: Mapping[str, str] = MappingProxyType({}),
) -> LogReport:
    """Ask an engine that holds `counted`, and `strange` where there is any, for all that a report says.

    The arguments are as in Report; `timed`: whether the log has times.
    """
    tally = Tally(rules)
    tally.add_moves(engine.rows(queries.moves_summed()))
    if timed and tally.has_repeats:
        tally.correct_visits(engine.rows(queries.visits_corrected(rules)))
    words: dict[str, int] = {}
    strangers = 0
    if totals.unknown:
        words = {str(word): int(count) for word, count in engine.rows(queries.words_strange(_MOST_WORDS))}
        [(strangers,)] = engine.rows(queries.tasks_strange())
    return LogReport(
        lifecycle=rules.lifecycle.name,
        mode=rules.mode,
        channel=rules.channel,
        engine=engine.name,
        files=files,
        rows=totals.rows,
        unreadable=totals.unreadable,
        broken=dict(broken),
        tasks=tally.tasks + int(strangers),
        first_at=moment(totals.first_us) if timed else None,
        last_at=moment(totals.last_us) if timed else None,
        time_forms=totals.forms,
        findings=tally.findings(unknown=totals.unknown),
        bad_rows=tally.bad_rows + totals.unknown,
        bad_tasks=bad_tasks,
        edges=tally.edges(),
        dwell=tally.dwell() if timed else (),
        endings=tally.endings(),
        uncovered_transitions=tally.unseen(),
        unknown_statuses=words,
        ties=tally.ties if timed else 0,
        worst=worst,
    )


def _require_all_read(totals: Totals, intake: LoadedLog, tables: Tables) -> None:
    count = sum(totals.unreadable.values())
    if not count and not intake.broken:
        return
    first = f"{counted(count, 'row')} and {counted(len(intake.broken), 'file')} could not be read"
    raise UnreadableRows("\n".join([first, *_unreadable(intake, tables)]), reasons=totals.unreadable)


def _nothing_to_read(totals: Totals, intake: LoadedLog, tables: Tables) -> str:
    first = "the log has no rows"
    if totals.rows:
        reasons = ", ".join(f"{counted(count, 'row')}: {reason}" for reason, count in totals.unreadable.items())
        first = f"nothing of the log can be read ({reasons})"
    return "\n".join([first, *_unreadable(intake, tables)])


def _unreadable(intake: LoadedLog, tables: Tables) -> Iterator[str]:
    """Yield the files that could not be read to their end, and the first rows that could not be, each with why."""
    yield from (f"{name}: {why}" for name, why in intake.broken.items())
    for place, reason, detail in tables.rejects(most=_MOST_REJECTS):
        file, row = file_and_row(place)
        yield f"{intake.files[file]}:{row}: {reason}" + (f": {detail}" if detail else "")
