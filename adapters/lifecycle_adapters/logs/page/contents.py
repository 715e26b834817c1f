"""The sections of the page, from the verdict to the first findings, each a part of the report.

All foreign text (ids, statuses, names of files and of states) passes through `word` or `escape(visible(...))`. Equal
reports make equal pages; no clock is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from itertools import islice
from typing import Any

from lifecycle import Lifecycle, MissingExtra
from lifecycle.diagram import Colour
from lifecycle_adapters.argument_checks import path_text, require, require_lifecycle
from lifecycle_adapters.logs.page.markup import document, section, side_by_side, table, word
from lifecycle_adapters.logs.page.traffic import SHADES, drawn, is_undeclared, shade, traffic_svg
from lifecycle_adapters.logs.report import LogReport
from lifecycle_adapters.logs.result import LogFinding
from lifecycle_adapters.logs.rules import MODES
from lifecycle_adapters.logs.sections import Cell, CellKind, Section, sections_of
from lifecycle_adapters.logs.units import count, counted, duration, moment, share, visible
from lifecycle_adapters.logs.writers import atomic_write
from lifecycle_adapters.render import RenderError

_MOST_FINDINGS = 200


def write_page(
    path: str | os.PathLike[str],
    report: LogReport,
    lifecycle: Lifecycle[Any, Any],
    findings: Iterable[LogFinding] = (),
) -> None:
    """Write the page to a file, atomically.

    Args:
        path: the file's path; an existing file is replaced.
        report: the report of a checked log.
        lifecycle: the lifecycle against which it was checked.
        findings: its findings in the order of the log; the first 200 are shown, and at most one more is read.
    Raises:
        EngineFailed: the file cannot be written.
        TypeError: `path` is neither text nor a Path, `report` not a LogReport, `lifecycle` not a Lifecycle, or a
            finding not a LogFinding.
    """
    path = path_text(path, "path")
    text = page(report, lifecycle, findings)
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def page(report: LogReport, lifecycle: Lifecycle[Any, Any], findings: Iterable[LogFinding] = ()) -> str:
    """Return the page. If the diagram cannot be drawn, the page has a note and the tables.

    Args:
        report: the report of a checked log.
        lifecycle: the lifecycle against which it was checked.
        findings: its findings in the order of the log; the first 200 are shown, and at most one more is read.
    Raises:
        TypeError: `report` is not a LogReport, `lifecycle` not a Lifecycle, or a finding not a LogFinding.
    """
    require(report, LogReport, "report must be a LogReport, such as the `report` of a checked log")
    require_lifecycle(lifecycle)
    require(findings, Iterable, "findings must be LogFindings, such as those of a checked log")
    sections = sections_of(report, lifecycle)
    parts = (
        f"<h1>Log against lifecycle {word(report.lifecycle)}</h1>",
        _verdict(report),
        _facts(report, lifecycle),
        _section(sections.findings, otherwise="<p>No finding in any row.</p>\n"),
        _traffic(report, lifecycle),
        _section(sections.transitions),
        _section(sections.times_in_state, otherwise="<p>No visit with a known length.</p>\n"),
        side_by_side(_section(sections.last_states), _section(sections.uncovered, above=_coverage(report, lifecycle))),
        side_by_side(_section(sections.worst), _section(sections.unknown)),
        section(sections.unreadable.title, _table(sections.unreadable), _table(sections.broken)),
        _ties(report),
        _first_findings(findings),
    )
    state = "clean" if report.is_clean else counted(report.bad_rows, "error")
    return document(f"{visible(report.lifecycle)}: {state}", "\n".join(filter(None, parts)))


# --- the sections ------------------------------------------------------------------------------


def _verdict(report: LogReport) -> str:
    unread = sum(report.unreadable.values())
    tasks = counted(report.tasks, "task")
    if report.is_clean:
        kind, head = "clean", "✓ Clean"
        says = f"Nothing in {counted(report.rows - unread, 'row')} of {tasks} makes a history bad."
    else:
        kind, head = "bad", "✗ Not clean"
        says = (
            f"{counted(report.bad_rows, 'row')} of {count(report.rows)} ({_share(report.bad_rows, report.rows)}) "
            f"{'makes' if report.bad_rows == 1 else 'make'} the history of {count(report.bad_tasks)} of {tasks} bad."
        )
    missed = [counted(number, thing) for number, thing in ((unread, "row"), (len(report.broken), "file")) if number]
    left_out = (
        f"<p>⚠ {' and '.join(missed)} could not be read; what is missing was not judged, see below.</p>\n"
        if missed
        else ""
    )
    return f'<div class="verdict {kind}">\n<p><strong>{head}</strong></p>\n<p>{says}</p>\n{left_out}</div>'


def _facts(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    facts = [
        ("Lifecycle", word(report.lifecycle), escape(visible(lifecycle.citation, most=300))),
        ("Mode", escape(report.mode), MODES[report.mode]),
        ("Channel", word(report.channel), "the channel that reported the statuses"),
        ("Engine", escape(visible(report.engine)), ""),
        ("Files", count(report.files) if report.files else "none", "" if report.files else "a table or a data frame"),
        ("Rows", count(report.rows), ""),
        ("Tasks", count(report.tasks), ""),
    ]
    if report.first_at is not None and report.last_at is not None:
        span = duration((report.last_at - report.first_at).total_seconds())
        facts += [
            ("First row", moment(report.first_at), "UTC"),
            ("Last row", moment(report.last_at), f"UTC, {span} later"),
        ]
        forms = "; ".join(
            f"{escape(visible(form))} in {counted(rows, 'row')}" for form, rows in report.time_forms.items()
        )
        facts.append(("Times", forms, "how they were written"))
    else:
        facts.append(("Times", "none", "rows are assumed to be in order"))
    entries = (
        f"<div><dt>{name}</dt><dd>{value}{f'<small>{note}</small>' if note else ''}</dd></div>\n"
        for name, value, note in facts
    )
    return f'<dl class="facts">\n{"".join(entries)}</dl>'


def _section(each: Section, *, above: str = "", otherwise: str = "") -> str:
    return section(each.title, above, _table(each) or otherwise)


def _table(each: Section) -> str:
    return table(each.caption, each.texts, each.numbers, (tuple(map(_cell, row)) for row in each.rows))


def _cell(cell: Cell) -> str:
    text = escape(visible("".join(cell.texts), most=300)).replace(" %", "&nbsp;%")
    match cell.kind:
        case CellKind.NAME | CellKind.FILE:
            return ", ".join(map(word, cell.texts))
        case CellKind.ABSENT:
            return f"<i>{text}</i>"
        case CellKind.BAD:
            return f'<b class="illegal">{text}</b>'
        case CellKind.PLAIN | CellKind.SPAN | CellKind.REASON:
            return f'<span class="word">{text}</span><small>{cell.note}</small>' if cell.note else text


def _traffic(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    try:
        svg = traffic_svg(report, lifecycle)
    except (MissingExtra, RenderError) as error:
        why = escape(visible(str(error), most=300))
        return section("Traffic", f"<p>The diagram is missing: {why}. The tables show the same.</p>\n")
    left_out = len(report.observed_transitions) - len(drawn(report))
    more = f"<p>{counted(left_out, 'rarer undeclared transition')}: in the table only.</p>\n" if left_out else ""
    return section(
        "Traffic",
        '<figure>\n<div class="scroll traffic" role="region" tabindex="0" aria-label="Diagram of the traffic">\n'
        f"{svg}</div>\n<figcaption>\n{_legend(report, lifecycle)}{more}</figcaption>\n</figure>\n",
    )


def _legend(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    shades = {shade(edge) for edge in report.observed_transitions}
    entries = [(_sample(each.light, 4), each.meaning) for each in SHADES if each in shades]
    if any(map(is_undeclared, report.observed_transitions)):
        entries.append((_sample(Colour.INK, 2.5, "8 4"), "not declared"))
    if report.uncovered_transitions:
        entries.append((_sample(Colour.REMOTE, 1.2, "5 3"), "declared, never seen"))
    round_ones = ", a dotted one a settled state" if lifecycle.settled_states != lifecycle.final_states else ""
    items = "".join(f"<li>{sample}{meaning}</li>\n" for sample, meaning in entries)
    return (
        f'<ul class="legend">\n{items}</ul>\n'
        "<p>A line is as wide as the order of magnitude of its rows, which its label counts. In the states: half of "
        "the visits were over within p50, 95 % within p95; how many tasks ended there, or were last seen there. "
        f"A double border is a final state{round_ones}.</p>\n"
    )


def _sample(colour: str, width: float, dashes: str = "none") -> str:
    line = f'<line x1="0" y1="6" x2="40" y2="6" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>'
    return f'<svg viewBox="0 0 40 12" aria-hidden="true">{line}</svg>'


def _state(name: str | None) -> str:
    return "<i>the start</i>" if name is None else word(name)


def _coverage(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    declared = len(lifecycle.transitions)
    seen = declared - len(report.uncovered_transitions)
    return f"<p>{count(seen)} of {counted(declared, 'declared transition')} ({_share(seen, declared)}) were seen.</p>\n"


def _ties(report: LogReport) -> str:
    if not report.ties:
        return ""
    return section(
        "Ties",
        f"<p>Rows with the same time as the row before them in their task: {count(report.ties)} "
        f"({_share(report.ties, report.rows)}). Only their places in the log order them; if those are "
        "arbitrary, so are the findings there. A column with a sequence would settle the order.</p>\n",
    )


def _first_findings(findings: Iterable[LogFinding]) -> str:
    rest = iter(findings)
    shown = list(islice(rest, _MOST_FINDINGS))
    for each in shown:
        require(each, LogFinding, "findings must be LogFindings, such as those of a checked log")
    is_all = next(rest, None) is None
    caption = "In the order of the log" + ("" if is_all else f"; the first {count(len(shown))} only")
    texts = ("Task", "Kind", "Before", "Reported", "Possible", "Time", "File")
    return section("Findings", table(caption, texts, ("Row",), map(_finding, shown)))


def _finding(each: LogFinding) -> tuple[str, ...]:
    return (
        word(each.task),
        f'<span class="word">{each.code}</span>',
        _state(each.previous),
        word(each.status),
        ", ".join(map(word, each.possible)) or "<i>nothing</i>",
        "" if each.at is None else f'<span class="when">{moment(each.at)}</span>',
        word(each.file),
        count(each.row),
    )


def _share(part: int, whole: int) -> str:
    return escape(share(part, whole)).replace(" ", "&nbsp;")
