"""The HTML page shows what the report holds, shows foreign text only as text, and needs no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle import V1_FULL, FindingCode, Lifecycle, Severity
from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.files import Files
from lifecycle_adapters.logs.page import page, traffic
from lifecycle_adapters.logs.report import LogReport, ObservedTransition
from lifecycle_adapters.logs.result import LogFinding
from lifecycle_adapters.logs.units import visible
from tests.adapters.logs.reports import DIRTY, report_of
from tests.support.layout import install, without_layout
from tests.support.profiles import examples

if TYPE_CHECKING:
    from tests.support.browser import Chromium

Declared = Lifecycle[str, str]
VOID = {"meta", "br"}

CLEAN = report_of(
    V1_FULL,
    rows=5,
    tasks=2,
    observed_transitions=(
        ObservedTransition(None, "created", (), 2, 0, 1),
        ObservedTransition("created", "running", ("start",), 2, 0, 2),
    ),
    last_states={"running": 1, "finished": 1},
)


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element | str] = field(default_factory=list["Element | str"])

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, *tags: str) -> list[Element]:
        found = [self] if self.tag in tags else []
        return found + [each for child in self.children if isinstance(child, Element) for each in child.all(*tags)]

    def one(self, tag: str) -> Element:
        (element,) = self.all(tag)
        return element


class Reader(HTMLParser):
    """Reads a document into a tree, and requires that every element is closed where it must be."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data.replace("\xa0", " "))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def close(self) -> None:
        super().close()
        assert self._open == [self.root]


def read(html: str) -> Element:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader.root.one("html")


def page_of(report: LogReport, findings: tuple[LogFinding, ...] = (), lifecycle: Declared | None = None) -> Element:
    return read(page(report, lifecycle or V1_FULL, findings))


def table_under(document: Element, title: str, number: int = 0) -> list[list[str]]:
    """The cells of a table below a title, without its head, which is checked."""
    (section,) = (each for each in document.all("section") if each.one("h2").text == title)
    table = section.all("table")[number]
    assert table.one("caption").text
    heads = table.one("thead").all("th")
    assert all(head.attributes["scope"] == "col" for head in heads)
    rows = [row.all("th", "td") for row in table.one("tbody").all("tr")]
    for row in rows:
        assert [cell.tag for cell in row] == ["th"] + ["td"] * (len(heads) - 1)
        assert row[0].attributes["scope"] == "row"
        assert [cell.attributes.get("class") for cell in row] == [head.attributes.get("class") for head in heads]
    return [[cell.text for cell in row] for row in rows]


def title_of(document: Element) -> str:
    return document.one("head").one("title").text


def titles(document: Element) -> list[str]:
    return [title.text for title in document.all("h2")]


@pytest.fixture(scope="module")
def dirty() -> Element:
    return page_of(DIRTY, (FINDING,))


FINDING = LogFinding(
    "task-9", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "/logs/a.csv", 1_234, FindingCode.OUT_OF_ORDER,
    Severity.ERROR, "running", "created", ("paused", "stopped"), "…",
)  # fmt: skip


# --- what it says ------------------------------------------------------------------------------


def test_the_verdict_is_on_top(dirty: Element) -> None:
    clean = page_of(CLEAN)

    assert "Nothing in 5 rows of 2 tasks makes a history bad." in clean.one("main").text
    assert "1,001,289 rows of 212,345,678 (0.47 %) make the history of 640,512 of " in dirty.one("main").text
    assert "1,203 rows and 1 file could not be read" in dirty.one("main").text
    assert "could not be read" not in clean.one("main").text
    assert (title_of(clean), title_of(dirty)) == ("v1-full: clean", "v1-full: 1,001,289 errors")
    for document, kind in ((clean, "clean"), (dirty, "bad")):
        first = [each for each in document.one("main").children if isinstance(each, Element)][1]
        assert first.attributes["class"] == f"verdict {kind}"


def test_page_shows_what_was_checked(dirty: Element) -> None:
    facts = {entry.one("dt").text: entry.one("dd").text for entry in dirty.one("dl").all("div")}

    assert facts["Lifecycle"].startswith("v1-full")
    assert (facts["Rows"], facts["Tasks"], facts["Files"]) == ("212,345,678", "60,000,000", "3")
    assert facts["First row"] == "2026-01-01 00:00:00UTC"
    assert facts["Last row"] == "2026-04-01 12:00:00.250000UTC, 90 d 12 h later"
    assert facts["Times"].startswith("iso in 212,000,000 rows; milliseconds in 345,678 rows")
    assert facts["Mode"] == "exactevery change was recorded"
    assert facts["Channel"].startswith("api")
    assert facts["Engine"] == "DuckDB 2.0.0"


def test_page_shows_the_findings_by_kind(dirty: Element) -> None:
    rows = table_under(dirty, "Findings by kind")

    assert [row[2] for row in rows] == [f"{number:,}" for number in DIRTY.findings.values()]
    for (kind, severity, *_), code in zip(rows, DIRTY.findings, strict=True):
        assert kind.startswith(code)
        assert kind.endswith(".")  # what it means
        assert severity == ("note" if code is FindingCode.DUPLICATE else "error")


def test_a_gap_in_a_polled_log_is_a_note() -> None:
    polled = page_of(replace(CLEAN, mode="sampled", findings={FindingCode.GAP: 1}))

    assert [row[1] for row in table_under(polled, "Findings by kind")] == ["note"]


def test_page_shows_the_observed_transitions(dirty: Element) -> None:
    rows = table_under(dirty, "Observed transitions")

    assert [(row[0], row[1], row[3], row[4]) for row in rows] == [
        (edge.source or "the start", edge.target, f"{edge.count:,}", f"{edge.illegal:,}")
        for edge in DIRTY.observed_transitions
    ]
    assert [row[2] for row in rows[:3]] == ["", "start", "pause"]
    assert rows[2][5] == "< 0.01 %"
    assert rows[3][5] == "25.00 %"
    assert {row[2] for row in rows[6:]} == {"no transition", "several transitions"}


def test_page_shows_the_times_in_each_state(dirty: Element) -> None:
    assert table_under(dirty, "Time in state") == [
        ["running", "39,000,000", "1 min 21 s", "45 s", "1 h 2 min", "1 d 1 h", "100 d"],
        ["created", "100,000,000", "1.25 ms", "850 µs", "12.3 ms", "4.5 s", "1 min 1 s"],
    ]


def test_page_shows_last_states_and_coverage(dirty: Element) -> None:
    assert table_under(dirty, "Last states") == [
        ["running", "not over", "1,000,000", "1.67 %"],
        ["finished", "final", "58,999,999", "98.33 %"],
        ["failed", "final", "1", "< 0.01 %"],
    ]
    assert table_under(dirty, "Coverage") == [
        [source, target, event] for source, event, target in DIRTY.uncovered_transitions
    ]
    assert "4 of 10 declared transitions (40.00 %) were seen." in dirty.one("main").text


def test_page_shows_worst_tasks_and_unknown_statuses(dirty: Element) -> None:
    assert table_under(dirty, "Worst tasks") == [["task-9", "12"], ["task-8", "2"]]
    assert table_under(dirty, "Unknown statuses") == [["exploded", "1,000"], ["=1+1", "48"]]


def test_unread_rows_are_listed(dirty: Element) -> None:
    assert table_under(dirty, "Not read", 0) == [["bad time", "1,200"], ["not a row", "3"]]
    assert table_under(dirty, "Not read", 1) == [["/logs/monday.csv.gz", "it ends too early"]]


def test_ties_are_counted_and_explained(dirty: Element) -> None:
    assert "in their task: 1,234,567 (0.58 %)" in dirty.one("main").text


def test_findings(dirty: Element) -> None:
    assert table_under(dirty, "Findings") == [
        ["task-9", "out_of_order", "running", "created", "paused, stopped", "2026-01-02 03:04:05.000006", "/logs/a.csv",
         "1,234"],
    ]  # fmt: skip
    first = replace(FINDING, previous=None, at=None, possible=())
    assert table_under(page_of(CLEAN, (first,)), "Findings")[0][2:6] == ["the start", "created", "nothing", ""]


def test_page_shows_the_first_findings_and_their_number() -> None:
    taken: list[int] = []

    def many() -> Iterator[LogFinding]:
        for number in range(1_000):
            taken.append(number)
            yield replace(FINDING, row=number)

    document = read(page(CLEAN, V1_FULL, many()))

    assert len(table_under(document, "Findings")) == 200
    assert len(taken) <= 201
    assert "the first 200 only" in document.one("main").text
    exactly = page_of(CLEAN, (FINDING,) * 200)
    assert len(table_under(exactly, "Findings")) == 200
    assert "only" not in "".join(caption.text for caption in exactly.all("caption"))


def test_a_clean_log_has_no_empty_tables() -> None:
    assert titles(page_of(CLEAN)) == [
        "Findings by kind",
        "Traffic",
        "Observed transitions",
        "Time in state",
        "Last states",
        "Coverage",
    ]


def test_the_page_of_a_real_log(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [("a", 1, "created"), ("a", 2, "running"), ("a", 4.5, "created"), ("<b>", 7, "paused"), ("a", 9, "=1+1")]
    log.write_text("task_id,at,status\n" + "".join(f"{task},{at},{status}\n" for task, at, status in rows))

    with check_logs(V1_FULL, Files(str(log))) as checked:
        document = page_of(checked.report, tuple(checked.findings()))

    assert "3 rows of 5 (60.00 %) make the history of 2 of 2 tasks bad." in document.one("main").text
    assert [row[:4] for row in table_under(document, "Findings")] == [
        ["a", "out_of_order", "running", "created"],
        ["<b>", "wrong_start", "the start", "paused"],
        ["a", "unknown_status", "created", "=1+1"],
    ]
    assert ["running", "1", "2.5 s", "2.5 s", "2.5 s", "2.5 s", "2.5 s"] in table_under(document, "Time in state")
    words = [text.text.strip() for text in document.one("figure").all("text")]
    assert words.count("1 illegal") == 2


@pytest.mark.parametrize(("report", "lifecycle"), [(None, V1_FULL), (V1_FULL, V1_FULL)])
def test_non_report_is_refused(report: Any, lifecycle: Any) -> None:
    with pytest.raises(TypeError, match="report must be a LogReport, such as the `report` of a checked log"):
        page(report, lifecycle)


def test_an_empty_report_has_a_page(declared: Declared) -> None:
    document = page_of(report_of(declared), lifecycle=declared)

    assert titles(document) == ["Findings by kind", "Traffic", "Time in state", "Coverage"]
    assert document.all("svg")


def test_equal_reports_give_equal_pages() -> None:
    assert page(DIRTY, V1_FULL, [FINDING]) == page(DIRTY, V1_FULL, [FINDING])


@pytest.mark.parametrize(
    ("is_installed", "why"),
    [(False, "pip install 'task-lifecycle[render]'"), (True, "dot: there is no memory left")],
    ids=["absent", "failing"],
)
def test_without_a_diagram_the_page_has_its_tables_and_the_reason(tmp_path: Path, is_installed: bool, why: str) -> None:
    if is_installed:
        install(tmp_path / "dot", "#!/bin/sh\necho 'there is no memory left' >&2\nexit 1\n")
    with without_layout(tmp_path):
        document = page_of(DIRTY)

    assert not document.all("svg", "figure")
    assert why in document.one("main").text
    assert len(table_under(document, "Observed transitions")) == len(DIRTY.observed_transitions)


def test_the_legend_explains_what_is_there_and_no_more(dirty: Element) -> None:
    def legend(document: Element) -> list[str]:
        return [entry.text for entry in document.one("figcaption").all("li")]

    assert legend(page_of(CLEAN)) == ["nothing illegal", "declared, never seen"]
    shades = [each.meaning for each in traffic.SHADES]
    assert legend(dirty) == [*shades, "not declared", "declared, never seen"]


# --- the document ------------------------------------------------------------------------------


def test_page_is_a_valid_accessible_document(dirty: Element) -> None:
    assert dirty.attributes["lang"] == "en"
    names = {
        each.attributes["name"]: each.attributes["content"] for each in dirty.all("meta") if "name" in each.attributes
    }
    assert names["viewport"] == "width=device-width, initial-scale=1"
    assert [len(dirty.all(tag)) for tag in ("h1", "main", "figure", "figcaption")] == [1, 1, 1, 1]
    for region in (each for each in dirty.all("div") if "scroll" in (each.attributes.get("class") or "")):
        assert region.attributes["role"] == "region"
        assert region.attributes["tabindex"] == "0"
        assert region.attributes["aria-label"]


def test_page_has_no_references_and_a_strict_policy() -> None:
    html = page(DIRTY, V1_FULL, [FINDING])
    document = read(html)

    policy = next(each for each in document.all("meta") if "http-equiv" in each.attributes).attributes["content"]
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; style-src( 'sha256-[\w+/]{43}='){2}; base-uri 'none'; form-action 'none'", policy
    )
    assert not document.all("script", "link", "img", "iframe", "object", "embed", "a", "form", "base")
    assert not re.search(r"\bon\w+=|\sstyle=|url\(|@import|href|src=", html)
    assert {*re.findall(r"https?://[^\s\"<]+", html)} == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


# --- foreign text ------------------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script>", "</table></main>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>',
    "'; DROP TABLE records; --", '=HYPERLINK("https://example.org")', "&lt;b&gt;", "-->", "]]>", "{{7*7}}",
    "\u202egpj.exe\u202c", "\u2066a\u2069", "a\x00b\x1b[31m\r\nc\x7f", "\ud800", "\ufeff", "", " a  b ", "x" * 10_000,
    "שלום", "日本語🙂", "</style><style>*{display:none}",
)  # fmt: skip


def hostile_report(text: str) -> tuple[LogReport, LogFinding]:
    """A report that has a foreign text wherever there can be one."""
    report = replace(
        DIRTY, broken={text: text}, unreadable={text: 1}, unknown_statuses={text: 1}, worst=((text, 1),), channel="api",
        engine=text, lifecycle=text, time_forms={text: 1},
    )  # fmt: skip
    finding = replace(FINDING, task=text, file=text, status=text, previous=text, possible=(text,), message=text)
    return report, finding


def tags(element: Element) -> list[str]:
    return [
        element.tag,
        *(tag for child in element.children if isinstance(child, Element) for tag in tags(child)),
    ]


def hostile_page(text: str) -> str:
    report, finding = hostile_report(text)
    with without_layout():
        return page(report, V1_FULL, [finding])


@cache
def harmless_tags() -> list[str]:
    return tags(read(hostile_page("x")))


def check_foreign(text: str) -> None:
    html = hostile_page(text)

    html.encode()  # no half of a surrogate pair is left
    document = read(html)
    assert tags(document) == harmless_tags()
    shown = visible(text)
    assert title_of(document) == f"{shown}: 1,001,289 errors"
    assert document.one("h1").text == f"Log against lifecycle {shown}"
    assert table_under(document, "Worst tasks") == [[shown, "1"]]
    assert table_under(document, "Unknown statuses") == [[shown, "1"]]
    assert table_under(document, "Not read", 1) == [[shown, visible(text, most=300)]]
    row = table_under(document, "Findings")[0]
    assert (row[0], row[2], row[3], row[4], row[6]) == (shown,) * 5


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_foreign_text_is_escaped(text: str) -> None:
    check_foreign(text)


@settings(max_examples=examples(25))
@given(text=st.text(st.characters(), max_size=200))
def test_any_text_is_escaped(text: str) -> None:
    check_foreign(text)


@given(text=st.text(st.characters(), max_size=300))
def test_visible_text_is_short_and_printable(text: str) -> None:
    shown = visible(text)

    assert shown.isprintable()
    if text.isprintable() and len(text) <= 120:
        assert shown == text
    if len(text) > 120:
        assert shown.endswith("…")


# --- in a real browser -------------------------------------------------------------------------

COUNT_ODD = "document.querySelectorAll('script, img, iframe, object, embed, link, a, form, [onload], [onerror]').length"


def written(directory: Path, report: LogReport, findings: tuple[LogFinding, ...] = ()) -> Path:
    path = directory / "report.html"
    path.write_text(page(report, V1_FULL, findings), encoding="utf-8")
    return path


@pytest.mark.heavy
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("report", [CLEAN, DIRTY], ids=["clean", "dirty"])
def test_a_browser_shows_the_diagram_without_an_error_or_a_request(
    browser: Chromium, tmp_path: Path, report: LogReport, scheme: Literal["light", "dark"]
) -> None:
    path = written(tmp_path, report, (FINDING,))

    with browser.visit(path, scheme=scheme) as visit:
        labels = visit.ask("[...document.querySelectorAll('.labels text')].map(each => each.textContent.trim())")
        shown = visit.ask(
            "[...document.querySelectorAll('.traffic svg, .edge path, .edge polygon, .node text, .labels text')]"
            ".map(each => each.getBoundingClientRect()).every(box => box.width + box.height > 1)"
        )
        drawn = visit.ask("document.querySelectorAll('.traffic .edge path').length")
        paper = visit.ask("getComputedStyle(document.body).backgroundColor")
        behind = visit.ask("getComputedStyle(document.querySelector('.graph > polygon')).fill")

        assert shown
        assert drawn == len(report.observed_transitions) + len(report.uncovered_transitions) + (
            0 if report.observed_transitions else 1
        )
        for edge in report.observed_transitions:
            told = f"{edge.illegal:,} illegal" if edge.illegal == edge.count else f"{edge.count:,}"
            assert {told, *edge.events} <= {*labels}
        assert paper == behind == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]
        assert visit.requests == [path.as_uri()]
        assert (visit.console, visit.errors, visit.dialogs) == ([], [], [])


@pytest.mark.heavy
def test_a_browser_shows_hostile_text_as_text(browser: Chromium, tmp_path: Path) -> None:
    report, _ = hostile_report("<script>alert(1)</script>")
    report = replace(
        report,
        broken=dict.fromkeys(HOSTILE, "x"),
        unknown_statuses=dict.fromkeys(HOSTILE, 1),
        worst=tuple((text, 1) for text in HOSTILE),
    )
    path = written(tmp_path, report, tuple(hostile_report(text)[1] for text in HOSTILE))

    with browser.visit(path) as visit:
        cells = visit.ask("[...document.querySelectorAll('bdi')].map(each => each.textContent)")

        for text in HOSTILE:
            assert cells.count(visible(text)) >= 8, text
        assert visit.page.title() == "<script>alert(1)</script>: 1,001,289 errors"
        assert visit.ask(COUNT_ODD) == 0
        assert visit.ask("document.querySelectorAll('style').length") == 2
        assert visit.requests == [path.as_uri()]
        assert (visit.console, visit.errors, visit.dialogs) == ([], [], [])


@pytest.mark.heavy
def test_content_security_policy_blocks_injected_markup(browser: Chromium, tmp_path: Path) -> None:
    """The second line of defence, and the proof that the tests above would see a script or a request."""
    path = written(tmp_path, CLEAN)
    evil = '<script>alert(1)</script><img src="https://example.org/x.png"><p style="color: red">'
    path.write_text(path.read_text(encoding="utf-8").replace("<main>", f"<main>{evil}"), encoding="utf-8")

    with browser.visit(path) as visit:
        assert visit.dialogs == []
        assert len([line for line in visit.console if "Content Security Policy" in line]) == 3
        assert visit.ask(COUNT_ODD) == 2


@pytest.mark.heavy
@pytest.mark.parametrize("width", [320, 390, 768, 1600])
def test_page_fits_narrow_screens(browser: Chromium, tmp_path: Path, width: int) -> None:
    report, finding = hostile_report("x" * 10_000)
    path = written(tmp_path, replace(report, tasks=10**15, rows=10**15), (finding,))

    with browser.visit(path, width=width) as visit:
        assert visit.ask("document.documentElement.scrollWidth") == width
        assert visit.ask("document.querySelector('.traffic svg').getBoundingClientRect().width") > 280


@pytest.mark.heavy
def test_page_can_be_printed(browser: Chromium, tmp_path: Path) -> None:
    with browser.visit(written(tmp_path, DIRTY, (FINDING,) * 200)) as visit:
        pdf = visit.page.pdf(format="A4")

    assert pdf.startswith(b"%PDF")
    assert visit.console == []


def test_latest_possible_time_is_shown(dirty: Element) -> None:
    """Years are four digits wide to the end."""
    late = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    document = page_of(replace(CLEAN, first_at=late - timedelta(days=3_000_000), last_at=late, time_forms={"iso": 5}))

    facts = {entry.one("dt").text: entry.one("dd").text for entry in document.one("dl").all("div")}
    assert facts["Last row"] == "9999-12-31 23:59:59.999999UTC, 3,000,000 d later"
    assert facts["First row"].startswith("1786-")
