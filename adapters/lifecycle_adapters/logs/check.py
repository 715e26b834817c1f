"""Check one log against one lifecycle: run the queries in order and return the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from lifecycle import Channel, Lifecycle
from lifecycle.conformance import Mode
from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import require, require_boolean, require_function, require_lifecycle
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
_MOST_STATUSES = 20
_MOST_REJECTS = 10  # in one message

RejectWriter = Callable[[str | os.PathLike[str]], int]
"""A function that writes the rejects to the file of this path and returns their number, as
`CheckedLog.write_rejects` does."""


def check_logs(
    lifecycle: Lifecycle[Any, Any],
    source: Source,
    *,
    mode: Mode = "exact",
    channel: str = Channel.API,
    columns: Columns | None = None,
    ignore_case: bool = False,
    notes: bool = False,
    strict: bool = False,
    memory: str = "1GB",
    threads: int | None = None,
    spill: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    keep_rejects: Callable[[RejectWriter], object] | None = None,
) -> CheckedLog:
    """Judge all histories of a log by the rules of `Lifecycle.check`, and count transitions, times and findings.

    Args:
        lifecycle: the lifecycle whose rules apply.
        source: the log: `Files`, `Frame`, `DuckTable`, `PostgresTable` or `SparkFiles`.
        mode: "exact" if every change was recorded, "sampled" if tasks were polled.
        channel: the channel that reported the statuses.
        columns: the names of the columns.
        ignore_case: read a status in another letter case ("RUNNING") as the declared one ("running").
        notes: also list notes; they are counted in any case. In a log of polls
            these are nearly all rows.
        strict: raise if a row or a file cannot be read, instead of counting it.
        memory: the most memory for DuckDB, such as "800MB", at least 16 MB; DuckDB spills what does not fit. The rest
            of the process needs some 100 MB.
        threads: the number of DuckDB's threads, 1 to 1,000. Default: one for each core.
        spill: the folder in which to make the directory to spill into, which is removed at the end. Default: the
            system's folder of temporary files.
        progress: called during long work, see Progress.
        keep_rejects: called with a writer of the rejects before an error about unreadable rows is raised.
    Returns:
        The result, to be closed: read findings from it, or write them to a file.
    Raises:
        UnusableLog: the log does not exist, or does not match the arguments. NoReadableRows, MissingColumn,
            UnknownFormat, WrongDelimiter, WrongEncoding and WrongPattern are subclasses, with the details as
            attributes.
        UnreadableRows: `strict` is set and a row or a file could not be read.
        EngineFailed: the database failed: no room, no connection.
        UnknownName: the lifecycle has no such channel.
        ValueError: `mode` is neither "exact" nor "sampled"; the channel has more than 500 statuses; `ignore_case` is
            given and two statuses differ in letter case only; `memory` or `threads` is not a limit that DuckDB
            understands; or `spill` is empty or not UTF-8.
        TypeError: `source` is not a source (but, for example, the name of a file); the object in a `Frame` is not a
            frame; another argument has the wrong type; or `progress` or `keep_rejects` cannot be called.
        MissingExtra: an optional dependency of the source is not installed.
    """
    require_lifecycle(lifecycle)
    _require_source(source)
    require(columns, Columns | None, "columns must be Columns(...)")
    for name, given in (("ignore_case", ignore_case), ("notes", notes), ("strict", strict)):
        require_boolean(given, name)
    require_function(progress, "progress", "the current work and its share")
    require_function(keep_rejects, "keep_rejects", "a writer of the rejects")
    rules = Rules(lifecycle, mode=mode, channel=channel, ignore_case=ignore_case)
    columns = columns or Columns()
    session = DuckDbSession(memory=memory, threads=threads, spill=spill, progress=progress)
    try:
        return _checked(session, source, rules, columns, notes=notes, strict=strict, keep_rejects=keep_rejects)
    except BaseException:
        session.close()
        raise


def _require_source(source: object) -> None:
    if isinstance(source, str | os.PathLike):
        given = os.fspath(cast("str | os.PathLike[str]", source))
        raise TypeError(f"source must be a log, not a text; for a file write Files({shortened(given)})")
    if isinstance(source, type) or not callable(getattr(source, "load", None)):
        raise TypeError(
            f"source must be a log, not of type {type(source).__name__}; give Files(...), DuckTable(...),"
            " PostgresTable(...), SparkFiles(...), or for data in memory Frame(...)"
        )


def _checked(
    session: DuckDbSession,
    source: Source,
    rules: Rules,
    columns: Columns,
    *,
    notes: bool,
    strict: bool,
    keep_rejects: Callable[[RejectWriter], object] | None,
) -> CheckedLog:
    loaded = source.load(session, rules, columns)
    engine = loaded.engine
    engine.create_table("totals", queries.totals())
    totals = Totals(engine.rows(queries.totals_summed()))
    tables = Tables(session, rules, loaded, timed=columns.at is not None)
    if keep_rejects is not None and totals.unreadable and (strict or not totals.readable):
        keep_rejects(tables.write_rejects)
    if strict:
        _require_all_read(totals, loaded, tables)
    if not totals.readable:
        message = "\n".join([nothing_to_read(totals), *_unreadable(totals, loaded, tables)])
        raise NoReadableRows(message, reasons=totals.unreadable)

    count_pairs(engine, rules, notes=notes, sequenced=columns.sequence is not None)
    if totals.unknown:
        engine.create_table("unknown_rows", queries.unknown_rows(rules, partition=engine.partition))
    tables.create_findings(unknown=totals.unknown > 0)
    report = report_of(
        engine,
        rules,
        totals,
        bad_tasks=tables.bad_tasks(),
        worst=tables.worst(MOST_WORST),
        timed=columns.at is not None,
        files=len(loaded.files) if loaded.are_files else 0,
        broken=loaded.broken,
    )
    return CheckedLog(report, session, rules, loaded, tables)


def count_pairs(engine: Engine, rules: Rules, *, notes: bool, sequenced: bool) -> None:
    """Make `pair_counts`."""
    query = queries.pair_counts(rules, notes=notes, sequenced=sequenced, partition=engine.partition)
    engine.create_table("pair_counts", query)


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
    """Return the report of a log whose `pair_counts`, and `unknown_rows` if there are any, an engine holds.

    The arguments are those of LogReport; `timed` is whether the log has times.
    """
    tally = Tally(rules)
    tally.add_pairs(engine.rows(queries.pair_counts_summed()))
    if timed and tally.has_repeats:
        tally.correct_visits(engine.rows(queries.visits_corrected(rules, partition=engine.partition)))
    unknown_statuses: dict[str, int] = {}
    without_known_status = 0
    if totals.unknown:
        most_frequent = engine.rows(queries.unknown_statuses(_MOST_STATUSES))
        unknown_statuses = {str(status): int(count) for status, count in most_frequent}
        [(without_known_status,)] = engine.rows(queries.tasks_without_known_status())
    return LogReport(
        lifecycle=rules.lifecycle.name,
        mode=rules.mode,
        channel=rules.channel,
        engine=engine.name,
        files=files,
        rows=totals.rows,
        unreadable=totals.unreadable,
        broken=dict(broken),
        tasks=tally.tasks + int(without_known_status),
        first_at=moment(totals.first_us) if timed else None,
        last_at=moment(totals.last_us) if timed else None,
        time_forms=totals.forms,
        findings=tally.findings(unknown=totals.unknown),
        bad_rows=tally.bad_rows + totals.unknown,
        bad_tasks=bad_tasks,
        observed_transitions=tally.observed_transitions(),
        times_in_state=tally.times_in_state() if timed else (),
        last_states=tally.last_states(),
        uncovered_transitions=tally.uncovered_transitions(),
        unknown_statuses=unknown_statuses,
        ties=tally.ties if timed else 0,
        worst=worst,
    )


def _require_all_read(totals: Totals, loaded: LoadedLog, tables: Tables) -> None:
    count = sum(totals.unreadable.values())
    if not count and not loaded.broken:
        return
    numbers = {"row": count, "file": len(loaded.broken)}
    what = " and ".join(counted(number, noun) for noun, number in numbers.items() if number)
    message = "\n".join([f"{what} could not be read", *_unreadable(totals, loaded, tables)])
    raise UnreadableRows(message, reasons=totals.unreadable)


def nothing_to_read(totals: Totals) -> str:
    """Return the message that a log has no rows, or none that can be read."""
    reasons = ", ".join(f"{counted(count, 'row')}: {reason}" for reason, count in totals.unreadable.items())
    return f"no row of the log can be read ({reasons})" if totals.rows else "the log has no rows"


def _unreadable(totals: Totals, loaded: LoadedLog, tables: Tables) -> Iterator[str]:
    """Yield the files that could not be read to their end and the first unreadable rows, each with the reason.

    The last line is how many more rows there are, if any.
    """
    yield from (f"{name}: {why}" for name, why in loaded.broken.items())
    for place, reason, detail in tables.rejects(most=_MOST_REJECTS):
        file, row = file_and_row(place)
        yield f"{loaded.files[file]}:{row}: {reason}" + (f": {detail}" if detail else "")
    if (more := sum(totals.unreadable.values()) - _MOST_REJECTS) > 0:
        yield f"... and {counted(more, 'more unreadable row')}"
