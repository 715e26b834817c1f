"""What the page says: its sections, from the verdict to the first findings, each a part of the report.

Whatever is foreign (ids, statuses, names of files and of states) passes through `word` or
`escape(visible(...))`. Equal reports give equal pages; no clock is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from itertools import islice
from typing import Any, cast

from lifecycle import FindingCode, Lifecycle, MissingExtra
from lifecycle.conformance import Mode
from lifecycle.diagram import Colour
from lifecycle_adapters.logs.page.markup import document, section, side_by_side, table, word
from lifecycle_adapters.logs.page.traffic import SHADES, drawn, is_undeclared, shade, traffic_svg
from lifecycle_adapters.logs.report import LogReport, ObservedTransition
from lifecycle_adapters.logs.result import LogFinding
from lifecycle_adapters.logs.rules import MODES, START, Rules
from lifecycle_adapters.logs.units import count, counted, duration, moment, share, visible
from lifecycle_adapters.logs.writers import atomic_write
from lifecycle_adapters.render import RenderError

_MOST_FINDINGS = 200

_MEANINGS = {
    FindingCode.UNKNOWN_STATUS: "A word that the channel does not know. The row is left out of its task's history.",
    FindingCode.WRONG_START: "The first row of a task is not the initial state.",
    FindingCode.DUPLICATE: "The state of the row before, once more.",
    FindingCode.AFTER_FINAL: "Something was reported after a final state.",
    FindingCode.GAP: "Only several transitions lead from the state before to this one: rows between them are missing.",
    FindingCode.OUT_OF_ORDER: "Nothing leads from the state before to this one, but the other way round: a late row.",
    FindingCode.IMPOSSIBLE: "Nothing leads from the state before to this one, nor back: both cannot be true.",
}


def write_page(
    path: str | os.PathLike[str],
    report: LogReport,
    lifecycle: Lifecycle[Any, Any],
    findings: Iterable[LogFinding] = (),
) -> None:
    """Write the page to a file, which is there whole or not at all.

    Args:
        path: of the file; one that is there is replaced.
        report, lifecycle, findings: see `page`.
    Raises:
        EngineFailed: it cannot be written.
    """
    text = page(report, lifecycle, findings)
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def page(report: LogReport, lifecycle: Lifecycle[Any, Any], findings: Iterable[LogFinding] = ()) -> str:
    """Return the page. Where nothing is installed that draws, it has the tables and says so.

    Args:
        report: what came of checking a log.
        lifecycle: against which it was checked.
        findings: in the order of the log; the first 200 are shown, and no more than one further is taken.
    """
    parts = (
        f"<h1>Log against lifecycle {word(report.lifecycle)}</h1>",
        _verdict(report),
        _facts(report, lifecycle),
        _kinds(report, lifecycle),
        _traffic(report, lifecycle),
        _ways(report),
        _dwell(report),
        side_by_side(_endings(report, lifecycle), _coverage(report, lifecycle)),
        side_by_side(_worst(report), _unknown(report)),
        _unread(report),
        _ties(report),
        _first_findings(findings),
    )
    state = "clean" if report.is_clean else counted(report.bad_rows, "bad row")
    return document(f"{visible(report.lifecycle)}: {state}", "\n".join(filter(None, parts)))


# --- what it says ------------------------------------------------------------------------------


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
        ("Channel", word(report.channel), "whose words the statuses are"),
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
        facts.append(("Times", "none", "rows are taken to be in order"))
    entries = (
        f"<div><dt>{name}</dt><dd>{value}{f'<small>{note}</small>' if note else ''}</dd></div>\n"
        for name, value, note in facts
    )
    return f'<dl class="facts">\n{"".join(entries)}</dl>'


def _kinds(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    rules = Rules(lifecycle, mode=cast("Mode", report.mode), channel=report.channel)
    severities = {remark.code: remark.severity for remark in rules.remarks.values()}
    severities[FindingCode.UNKNOWN_STATUS] = rules.remark_on_unknown(START, ended=False).severity
    rows = (
        (
            f'<span class="word">{code}</span><small>{_MEANINGS[code]}</small>',
            str(severities[code]),
            count(number),
            _share(number, report.rows),
        )
        for code, number in report.findings.items()
    )
    caption = "A finding makes its task's history bad, an information does not"
    found = table(caption, ("Kind", "Severity"), ("Rows", "Share"), rows)
    return section("Findings by kind", found or "<p>Nothing remarkable in any row.</p>\n")


def _traffic(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    try:
        svg = traffic_svg(report, lifecycle)
    except (MissingExtra, RenderError) as error:
        why = escape(visible(str(error), most=300))
        return section("Traffic", f"<p>The diagram is missing: {why}. The tables say the same.</p>\n")
    left_out = len(report.edges) - len(drawn(report))
    more = f"<p>{counted(left_out, 'rarer way')} without a transition: in the table only.</p>\n" if left_out else ""
    return section(
        "Traffic",
        '<figure>\n<div class="scroll traffic" role="region" tabindex="0" aria-label="Diagram of the traffic">\n'
        f"{svg}</div>\n<figcaption>\n{_legend(report, lifecycle)}{more}</figcaption>\n</figure>\n",
    )


def _legend(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    shades = {shade(edge) for edge in report.edges}
    entries = [(_sample(each.light, 4), each.meaning) for each in SHADES if each in shades]
    if any(map(is_undeclared, report.edges)):
        entries.append((_sample(Colour.INK, 2.5, "8 4"), "no transition declares it"))
    if report.uncovered_transitions:
        entries.append((_sample(Colour.REMOTE, 1.2, "5 3"), "declared, never seen"))
    round_ones = ", an ellipse a settled one" if lifecycle.settled_states != lifecycle.final_states else ""
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


def _ways(report: LogReport) -> str:
    caption = "How often tasks went from one state to another, from one row to the next; declared ways first"
    heads = ("From", "To", "Events"), ("Rows", "Illegal", "Illegal share")
    return section("Ways", table(caption, *heads, map(_way, report.edges)))


def _state(name: str | None) -> str:
    return "<i>start</i>" if name is None else word(name)


def _way(edge: ObservedTransition) -> tuple[str, ...]:
    events = ", ".join(map(word, edge.events)) or ("" if edge.source is None else "<i>no transition</i>")
    illegal = count(edge.illegal), _share(edge.illegal, edge.count)
    return (
        _state(edge.source),
        _state(edge.target),
        events,
        count(edge.count),
        *(f'<b class="illegal">{each}</b>' if edge.illegal else each for each in illegal),
    )


def _dwell(report: LogReport) -> str:
    rows = (
        (
            word(each.state),
            count(each.count),
            *(duration(span) for span in (each.mean_s, each.p50_s, each.p95_s, each.p99_s, each.longest_s)),
        )
        for each in report.dwell
    )
    caption = "How long tasks stayed in a state before they left it; visits that have not ended are not in it"
    visits = table(caption, ("State",), ("Visits", "Mean", "p50", "p95", "p99", "Longest"), rows)
    return section("Dwell times", visits or "<p>No visit with a known length.</p>\n")


def _endings(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    total = sum(report.endings.values())
    final = {str(state) for state in lifecycle.final_states}
    rows = (
        (word(state), "ended" if state in final else "not ended", count(number), _share(number, total))
        for state, number in report.endings.items()
    )
    caption = "The state in which tasks were last seen"
    return section("Endings", table(caption, ("State", "So the task has"), ("Tasks", "Share"), rows))


def _coverage(report: LogReport, lifecycle: Lifecycle[Any, Any]) -> str:
    declared = len(lifecycle.transitions)
    seen = declared - len(report.uncovered_transitions)
    says = f"<p>{count(seen)} of {counted(declared, 'declared transition')} ({_share(seen, declared)}) were seen.</p>\n"
    rows = ((word(source), word(event), word(target)) for source, event, target in report.uncovered_transitions)
    return section("Coverage", says, table("Declared, never seen", ("From", "Event", "To"), (), rows))


def _worst(report: LogReport) -> str:
    rows = ((word(task), count(number)) for task, number in report.worst)
    return section("Worst tasks", table("The tasks with the most bad rows", ("Task",), ("Bad rows",), rows))


def _unknown(report: LogReport) -> str:
    rows = ((word(status), count(number)) for status, number in report.unknown_statuses.items())
    caption = "The most frequent words that the channel does not know"
    return section("Unknown statuses", table(caption, ("Status",), ("Rows",), rows))


def _unread(report: LogReport) -> str:
    reasons = ((escape(visible(why)), count(number)) for why, number in report.unreadable.items())
    files = ((word(name), escape(visible(why, most=300))) for name, why in report.broken.items())
    return section(
        "Not read",
        table("Rows that could not be read; they were not judged", ("Reason",), ("Rows",), reasons),
        table("Files that could not be read to their end; what was read counts", ("File", "Why"), (), files),
    )


def _ties(report: LogReport) -> str:
    if not report.ties:
        return ""
    return section(
        "Ties",
        f"<p>Rows with the very time of the row before them in their task: {count(report.ties)} "
        f"({_share(report.ties, report.rows)}). Only their places in the log put them in order; where those say "
        "nothing, neither do the findings there. A column with a sequence would decide it.</p>\n",
    )


def _first_findings(findings: Iterable[LogFinding]) -> str:
    rest = iter(findings)
    shown = list(islice(rest, _MOST_FINDINGS))
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
