"""What `report` prints: the counts of a log as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from lifecycle import Lifecycle
from lifecycle_adapters.cli.output import console, print_json, shown, table
from lifecycle_adapters.logs.report import LogReport
from lifecycle_adapters.logs.rules import MODES
from lifecycle_adapters.logs.units import count, counted, duration, moment, share

_MOST_WORST = 10  # a screen has so many lines; JSON and the page have all that the report holds
_WIDE = 100  # columns, which time spans of two units need
_LONGEST = 60  # characters of an id or a status


def print_report(report: LogReport, lifecycle: Lifecycle[str, str], *, as_json: bool) -> None:
    """Print a report for people or for programs."""
    if as_json:
        print_json(report.to_dict())
        return
    to = console()
    mode = f"{report.mode}: {MODES[report.mode]}; channel {shown(report.channel)}; {shown(report.engine)}"
    to.print(Text.assemble((shown(report.lifecycle), "bold"), "  ", (mode, "dim")))
    for made in (
        _totals(report, lifecycle),
        _findings(report),
        _edges(report),
        _dwell(report, narrow=to.width < _WIDE),
        _endings(report, lifecycle),
        _unseen(report),
        _worst(report),
        _unknown(report),
        _unreadable(report),
        _broken(report),
    ):
        if made.row_count:
            to.print()
            to.print(made)


def _totals(report: LogReport, lifecycle: Lifecycle[str, str]) -> Table:
    made = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in _facts(report, lifecycle):
        made.add_row(name, value)
    return made


def _facts(report: LogReport, lifecycle: Lifecycle[str, str]) -> Iterator[tuple[str, Text]]:
    files = f" in {counted(report.files, 'file')}" if report.files else ""
    yield "tasks", Text(count(report.tasks))
    yield "rows", Text(f"{count(report.rows)}{files}")
    if report.first_at is not None and report.last_at is not None:
        yield "times", Text(f"{moment(report.first_at)} to {moment(report.last_at)}, UTC")
    if report.time_forms:
        forms = [f"{form} ({counted(number, 'row')})" for form, number in report.time_forms.items()]
        yield "read as", Text(", ".join(forms))
    declared = len(lifecycle.transitions)
    yield (
        "coverage",
        Text(f"{declared - len(report.uncovered_transitions)} of {declared} declared transitions were seen"),
    )
    if report.is_clean:
        yield "findings", Text("0", "bold green")
    else:
        yield "findings", Text(f"{count(report.bad_rows)} in {counted(report.bad_tasks, 'task')}", "bold red")
    yield "information", Text(count(sum(report.findings.values()) - report.bad_rows))
    if report.unreadable:
        yield "unreadable", Text(counted(sum(report.unreadable.values()), "row"), "bold red")
    if report.ties:
        rows = f"{counted(report.ties, 'row')} {'has' if report.ties == 1 else 'have'}"
        yield "ties", Text(f"{rows} the time of the row before it; only their place puts them in order")


def _findings(report: LogReport) -> Table:
    made = _counts("finding", "rows", "of all rows")
    for code, number in report.findings.items():
        made.add_row(code, count(number), share(number, report.rows))
    return made


def _edges(report: LogReport) -> Table:
    made = _counts("from", "to", "by", "rows", "illegal", "share", texts=3)
    for edge in report.edges:
        style = "red" if edge.illegal else ""
        made.add_row(
            Text("the start", "dim") if edge.source is None else shown(edge.source),
            shown(edge.target),
            shown(", ".join(edge.events)),
            count(edge.count),
            Text(count(edge.illegal), style),
            Text(share(edge.illegal, edge.count), style),
        )
    return made


def _dwell(report: LogReport, *, narrow: bool) -> Table:
    made = _counts("stayed in", "times", "mean", "p50", "p95", "p99", "longest")
    for dwell in report.dwell:
        spans = (dwell.mean_s, dwell.p50_s, dwell.p95_s, dwell.p99_s, dwell.longest_s)
        made.add_row(shown(dwell.state), count(dwell.count), *(_span(each, narrow=narrow) for each in spans))
    return made


def _span(seconds: float, *, narrow: bool) -> Text:
    """A time span; on a narrow terminal its smaller unit is on a line of its own."""
    number, unit, *rest = duration(seconds).split(" ")
    between = "\n" if narrow else " "
    return Text(f"{number} {unit}{between}{' '.join(rest)}" if rest else f"{number} {unit}")


def _endings(report: LogReport, lifecycle: Lifecycle[str, str]) -> Table:
    made = _counts("last seen in", "", "tasks", "share", texts=2)
    for state, number in report.endings.items():
        made.add_row(shown(state), _rest(state, lifecycle), count(number), share(number, report.tasks))
    return made


def _rest(state: str, lifecycle: Lifecycle[str, str]) -> str:
    return "final" if lifecycle.is_final(state) else "settled" if lifecycle.is_settled(state) else "not over"


def _unseen(report: LogReport) -> Table:
    made = _counts("never seen from", "to", "by", texts=3)
    for source, event, target in report.uncovered_transitions:
        made.add_row(shown(source), shown(target), shown(event))
    return made


def _worst(report: LogReport) -> Table:
    made = _counts("tasks with the most findings", "rows")
    for task, number in report.worst[:_MOST_WORST]:
        made.add_row(shown(task, longest=_LONGEST), count(number))
    return made


def _unknown(report: LogReport) -> Table:
    made = _counts("unknown status", "rows")
    for status, number in report.unknown_statuses.items():
        made.add_row(shown(status, longest=_LONGEST), count(number))
    return made


def _unreadable(report: LogReport) -> Table:
    made = _counts("unreadable because", "rows")
    for reason, number in report.unreadable.items():
        made.add_row(shown(reason), count(number))
    return made


def _broken(report: LogReport) -> Table:
    made = _counts("not read to its end", "because", texts=2)
    for file, why in report.broken.items():
        made.add_row(shown(file), shown(why))
    return made


def _counts(*titles: str, texts: int = 1) -> Table:
    """A table whose first columns hold texts, the others numbers."""
    made = table(*titles)
    for column in made.columns[texts:]:
        column.justify = "right"
    return made
