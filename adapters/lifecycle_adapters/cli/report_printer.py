"""The output of `report`: the counts of a log as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from lifecycle import Lifecycle
from lifecycle_adapters.cli.output import console, print_json, shown, table
from lifecycle_adapters.logs.report import LogReport
from lifecycle_adapters.logs.rules import MODES
from lifecycle_adapters.logs.sections import Cell, CellKind, Section, sections_of
from lifecycle_adapters.logs.units import count, counted, moment

_WIDE = 100  # columns, which time spans of two units need
_LONGEST = 60  # characters of an id or a status
_STYLES = {CellKind.BAD: "red", CellKind.ABSENT: "dim"}


def print_report(report: LogReport, lifecycle: Lifecycle[str, str], *, as_json: bool) -> None:
    """Print a report for people or for programs."""
    if as_json:
        print_json(report.to_dict())
        return
    to = console()
    mode = f"{report.mode}: {MODES[report.mode]}; channel {shown(report.channel)}; {shown(report.engine)}"
    to.print(Text.assemble((shown(report.lifecycle), "bold"), "  ", (mode, "dim")))
    narrow = to.width < _WIDE
    for made in (_totals(report, lifecycle), *(_table(each, narrow=narrow) for each in sections_of(report, lifecycle))):
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
        yield "errors", Text("0", "bold green")
    else:
        yield "errors", Text(f"{count(report.bad_rows)} in {counted(report.bad_tasks, 'task')}", "bold red")
    yield "notes", Text(count(sum(report.findings.values()) - report.bad_rows))
    if report.unreadable:
        yield "unreadable", Text(counted(sum(report.unreadable.values()), "row"), "bold red")
    if report.ties:
        rows = f"{counted(report.ties, 'row')} {'has' if report.ties == 1 else 'have'}"
        yield "ties", Text(f"{rows} the time of the row before it; only their place in the log orders them")


def _table(section: Section, *, narrow: bool) -> Table:
    _, *others = (*section.texts, *section.numbers)
    made = table(section.lead, *(title.lower() for title in others))
    for column in made.columns[len(section.texts) :]:
        column.justify = "right"
    for row in section.rows[: section.most_on_screen]:
        made.add_row(*(_shown(cell, narrow=narrow) for cell in row))
    return made


def _shown(cell: Cell, *, narrow: bool) -> Text:
    text = ", ".join(cell.texts)
    match cell.kind:
        case CellKind.NAME:
            return Text(shown(text, longest=_LONGEST))
        case CellKind.SPAN if narrow:
            return _broken_span(text)
        case kind:
            return Text(shown(text), _STYLES.get(kind, ""))


def _broken_span(span: str) -> Text:
    """Return a time span with its smaller unit on a line of its own."""
    number, unit, *rest = span.split(" ")
    return Text(f"{number} {unit}\n{' '.join(rest)}" if rest else span)
