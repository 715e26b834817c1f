"""Each picture is parsed: it contains the table's rows, distinguishes every kind, and no name can break it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lifecycle import V1, V2, V3, Event, Lifecycle, Origin, State, Transition, UnknownName, V1State, get
from lifecycle.diagram import (
    RENDERERS,
    Diagram,
    Edge,
    Format,
    Mark,
    Node,
    to_dot,
    to_markdown,
    to_mermaid,
    to_mermaid_state,
    to_plantuml,
)
from lifecycle.testing import lifecycles

Row = tuple[str, str, str, str]  # source, event, target, origin

BUILD: Lifecycle[str, str] = Lifecycle(
    name="build",
    citation="none: every mark and origin occurs here",
    states=(
        State("waiting", initial=True),
        State("held", settled=True),
        State("done", reopenable=True),
        State("gone", final=True),
    ),
    events=(
        Event("rerun", Origin.CALLER, idempotent=False, proved_by_state=False),
        Event("delete", Origin.CALLER),
        *(Event(each, Origin.REMOTE) for each in ("hold", "release", "finish")),
    ),
    transitions=(
        Transition("waiting", "hold", "held"),
        Transition("held", "release", "waiting"),
        Transition("waiting", "finish", "done"),
        Transition("done", "rerun", "waiting"),
        Transition("done", "delete", "gone"),
    ),
)


@dataclass(frozen=True, slots=True)
class Content:
    """The parsed content of a picture."""

    states: list[str]
    rows: list[Row]


# --- reading the pictures back -----------------------------------------------------------------


def read_mermaid(text: str) -> Content:
    label = r'"((?:[\w ]|#\d+;|<br>)*)"'
    nodes = re.findall(rf"^    (s\d+)(?:\[\[|\(){label}(?:\]\]|\))$", text, re.MULTILINE)
    lines = re.findall(rf"^    (s\d+) (==>|-\.->)\|{label}\| (s\d+)$", text, re.MULTILINE)
    names = {node: unescape_mermaid(name) for node, name in nodes}
    origins = {"==>": "caller", "-.->": "remote"}
    return Content(
        list(names.values()),
        [
            (names[source], unescape_mermaid(event), names[target], origins[arrow])
            for source, arrow, events, target in lines
            for event in events.split("<br>")
        ],
    )


def read_mermaid_state(text: str) -> Content:
    label = r"((?:[\w ]|#\d+;)*)"
    nodes = re.findall(rf'^    state "{label}" as (s\d+)$', text, re.MULTILINE)
    lines = re.findall(r"^    (s\d+) --> (s\d+) : (.*)$", text, re.MULTILINE)
    names = {node: unescape_mermaid(name) for name, node in nodes}
    events = [
        (source, target, re.fullmatch(rf"{label} \((caller|remote)\)", event))
        for source, target, joined in lines
        for event in joined.split("<br>")
    ]
    return Content(
        list(names.values()),
        [
            (names[source], unescape_mermaid(event[1]), names[target], event[2])
            for source, target, event in events
            if event is not None
        ],
    )


def unescape_mermaid(text: str) -> str:
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text)


def read_dot(text: str) -> Content:
    label = r'\[label="((?:[^"\\]|\\.)*)", ([^\]]*)\]'
    nodes = re.findall(rf"^    (s\d+) {label}$", text, re.MULTILINE)
    lines = re.findall(rf"^    ([sm]\d+) -> (s\d+) {label}$", text, re.MULTILINE)
    meeting = re.findall(r"^    (s\d+) -> (m\d+) \[.*, arrowhead=none\]$", text, re.MULTILINE)
    names = {node: unescape_dot(name) for node, name, _ in nodes}
    return Content(
        list(names.values()),
        [
            (names[each], event[1:-1], names[target], "remote" if "style=dashed" in look else "caller")
            for source, target, events, look in lines
            for each in ([each for each, point in meeting if point == source] or [source])
            for event in unescape_dot(events).split("\n")
        ],
    )


def unescape_dot(text: str) -> str:
    return unescape(re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text))


def read_plantuml(text: str) -> Content:
    label = r"((?:(?!__)[\w ]|<U\+[0-9A-F]{4,5}>|\\n)*)"
    nodes = re.findall(rf'^state "{label}" as (s\d+) ', text, re.MULTILINE)
    lines = re.findall(rf"^(s\d+) -\[#\w+,(bold|dashed)\]-> (s\d+) : {label}$", text, re.MULTILINE)
    names = {node: unescape_plantuml(name) for name, node in nodes}
    origins = {"bold": "caller", "dashed": "remote"}
    return Content(
        list(names.values()),
        [
            (names[source], unescape_plantuml(event), names[target], origins[line])
            for source, line, target, events in lines
            for event in events.split("\\n")
        ],
    )


def unescape_plantuml(text: str) -> str:
    return re.sub(r"<U\+([0-9A-F]+)>", lambda match: chr(int(match[1], 16)), text)


def read_markdown(text: str) -> Content:
    states, rows = markdown_tables(text)
    return Content(
        [name for name, _, _ in states], [(source, event, target, by) for source, event, by, target, _ in rows]
    )


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Return the bodies of the tables; fail if a cell contains anything but plain text."""
    tables: list[list[list[str]]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for token, following in pairwise(tokens):
        if token.type == "table_open":
            tables.append([])
        if token.type == "tr_open" and following.type == "td_open":
            tables[-1].append([])
        if token.type == "td_open":
            assert {child.type for child in following.children or []} <= {"text"}
            tables[-1][-1].append("".join(child.content for child in following.children or []))
    return tables


READERS: dict[Format, Callable[[str], Content]] = {
    Format.MERMAID: read_mermaid,
    Format.MERMAID_STATE: read_mermaid_state,
    Format.DOT: read_dot,
    Format.PLANTUML: read_plantuml,
    Format.MARKDOWN: read_markdown,
}


def content_of(lifecycle: Lifecycle[str, str], form: Format) -> Content:
    """Return the expected content. Markdown, as HTML, shows several spaces as one."""

    def shown(name: str) -> str:
        return " ".join(name.split()) if form is Format.MARKDOWN else str(name)

    rows = [
        (shown(row.source), shown(row.event), shown(row.target), lifecycle.event(row.event).origin.value)
        for row in lifecycle.transitions
    ]
    return Content([shown(state.name) for state in lifecycle.states], sorted(rows))


def read(picture: Diagram, form: Format) -> Content:
    content = READERS[form](RENDERERS[form](picture))
    return replace(content, rows=sorted(content.rows))


# --- the model ---------------------------------------------------------------------------------


def test_nodes_and_edges_are_the_declared_states_and_rows(declared: Lifecycle[str, str]) -> None:
    picture = declared.diagram()

    assert (picture.name, picture.citation) == (declared.name, declared.citation)
    assert [(node.name, node.meaning) for node in picture.nodes] == [(s.name, s.meaning) for s in declared.states]
    assert [(edge.source, edge.event, edge.target, edge.origin, edge.meaning) for edge in picture.edges] == [
        (row.source, row.event, row.target, declared.event(row.event).origin, declared.event(row.event).meaning)
        for row in declared.transitions
    ]


def test_marks_are_the_properties_of_a_state() -> None:
    marks = {node.name: node.marks for node in get("v3").diagram(current="created").nodes}

    assert marks == {
        "created": (Mark.INITIAL, Mark.CURRENT),
        "idle": (Mark.SETTLED,),
        "running": (),
        "stopped": (Mark.FINAL,),
        "timed_out": (Mark.FINAL,),
        "error": (Mark.FINAL,),
    }


def test_a_reopenable_state_is_not_marked_as_settled_too() -> None:
    marks = {node.name: node.marks for node in BUILD.diagram(current="done").nodes}

    assert marks == {
        "waiting": (Mark.INITIAL,),
        "held": (Mark.SETTLED,),
        "done": (Mark.REOPENABLE, Mark.CURRENT),
        "gone": (Mark.FINAL,),
    }


def test_a_current_state_must_be_declared() -> None:
    with pytest.raises(UnknownName, match="did you mean 'paused'"):
        get("v1").diagram(current="pausd")


def test_the_legend_lists_only_what_occurs() -> None:
    assert list(V1.diagram().legend) == [Origin.CALLER, Mark.INITIAL, Mark.FINAL]
    assert set(Mark) - V3.diagram(current=V3.initial).legend.keys() == {Mark.REOPENABLE}
    assert list(BUILD.diagram(current="done").legend) == [*Origin, *Mark]


# --- every format ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", Format)
def test_edges_are_the_tables_rows(declared: Lifecycle[str, str], form: Format) -> None:
    assert read(declared.diagram(), form) == content_of(declared, form)


@given(lifecycles())
def test_edges_are_the_rows_of_any_table(lifecycle: Lifecycle[str, str]) -> None:
    for form in Format:
        assert read(lifecycle.diagram(), form) == content_of(lifecycle, form)


@pytest.mark.parametrize("form", Format)
def test_each_picture_explains_itself(declared: Lifecycle[str, str], form: Format) -> None:
    assert_explained(declared.diagram(current=declared.initial), form)


@pytest.mark.parametrize("form", Format)
def test_a_picture_with_every_mark_explains_itself(form: Format) -> None:
    assert_explained(BUILD.diagram(current="done"), form)


def assert_explained(picture: Diagram, form: Format) -> None:
    text = RENDERERS[form](picture)

    for kind, meaning in BUILD.diagram(current="done").legend.items():
        explained = re.search(rf"\b{kind}\W.*{meaning}", text) is not None
        assert explained == (kind in picture.legend)


@pytest.mark.parametrize("render", [to_mermaid, to_mermaid_state, to_dot, to_plantuml])
def test_rows_of_one_origin_between_two_states_share_a_line(render: Callable[[Diagram], str]) -> None:
    lines = [line for line in render(V2.diagram()).splitlines() if "stop_task_and_session" in line]

    assert len(V2.transitions) == 6
    assert len(lines) == 2
    assert all(line.count("stop") == 2 for line in lines)


def test_markdown_contains_meanings_and_marks() -> None:
    states, rows = markdown_tables(to_markdown(V1.diagram(current=V1State.RUNNING)))

    assert states[0] == ["running", "initial, current", "the browser automation executes"]
    assert states[2] == ["stopped", "final", "terminated; a new task must be created"]
    assert rows[0] == ["running", "pause", "caller", "paused", "halt the execution for inspection"]


# --- distinct without colours ----------------------------------------------------------------

SIGNS: dict[Format, dict[Mark | Origin, str]] = {
    Format.MERMAID: {
        Mark.INITIAL: 'initial((" ")) --> s0',
        Mark.SETTLED: "class s0 settled",
        Mark.REOPENABLE: "class s0 reopenable",
        Mark.FINAL: 's0[["it"]]',
        Mark.CURRENT: "class s0 current",
        Origin.CALLER: "s0 ==>",
        Origin.REMOTE: "s0 -.->",
    },
    Format.MERMAID_STATE: {
        Mark.INITIAL: "[*] --> s0",
        Mark.SETTLED: "class s0 settled",
        Mark.REOPENABLE: "class s0 reopenable",
        Mark.FINAL: "s0 --> [*]",
        Mark.CURRENT: "class s0 current",
        Origin.CALLER: ": go (caller)",
        Origin.REMOTE: ": go (remote)",
    },
    Format.DOT: {
        Mark.INITIAL: "initial -> s0 ",
        Mark.SETTLED: 'style="rounded,filled,dotted"',
        Mark.REOPENABLE: 'style="rounded,filled,dashed"',
        Mark.FINAL: "peripheries=2",
        Mark.CURRENT: "penwidth=4",
        Origin.CALLER: "penwidth=2.2]",
        Origin.REMOTE: "style=dashed]",
    },
    Format.PLANTUML: {
        Mark.INITIAL: "[*] --> s0",
        Mark.SETTLED: "[dotted]",
        Mark.REOPENABLE: "[dashed]",
        Mark.FINAL: "s0 --> [*]",
        Mark.CURRENT: "**it**",
        Origin.CALLER: ",bold]->",
        Origin.REMOTE: ",dashed]->",
    },
    Format.MARKDOWN: {
        Mark.INITIAL: "| initial |",
        Mark.SETTLED: "| settled |",
        Mark.REOPENABLE: "| reopenable |",
        Mark.FINAL: "| final |",
        Mark.CURRENT: "| current |",
        Origin.CALLER: "| caller |",
        Origin.REMOTE: "| remote |",
    },
}


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("mark", Mark)
def test_a_mark_shows_without_its_colour(form: Format, mark: Mark) -> None:
    shown = [SIGNS[form][each] for each in Mark if SIGNS[form][each] in picture_of(form, marks=(mark,))]

    assert shown == [SIGNS[form][mark]]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("origin", Origin)
def test_an_origin_shows_without_its_colour(form: Format, origin: Origin) -> None:
    shown = [SIGNS[form][each] for each in Origin if SIGNS[form][each] in picture_of(form, origin=origin)]

    assert shown == [SIGNS[form][origin]]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("kind", [Mark.SETTLED, Mark.REOPENABLE, Mark.FINAL])
def test_the_current_state_keeps_its_other_marks(form: Format, kind: Mark) -> None:
    text = picture_of(form, marks=(Mark.INITIAL, kind, Mark.CURRENT))
    signs = [SIGNS[form][mark].strip("| ") for mark in (Mark.INITIAL, kind, Mark.CURRENT)]

    assert all(sign in text for sign in signs)


def picture_of(form: Format, *, marks: tuple[Mark, ...] = (), origin: Origin = Origin.CALLER) -> str:
    """A picture of one state, `it`, and one event that leads from it to itself."""
    return RENDERERS[form](Diagram("one", "", (Node("it", "", marks),), (Edge("it", "go", "it", origin, ""),)))


def test_the_class_of_the_current_state_has_a_thick_border() -> None:
    assert re.search(r"classDef current .*stroke-width:4px", picture_of(Format.MERMAID, marks=(Mark.CURRENT,)))


@pytest.mark.parametrize(("mark", "dashes"), [(Mark.SETTLED, "2 3"), (Mark.REOPENABLE, "6 4")])
def test_the_classes_of_states_without_work_have_different_borders(mark: Mark, dashes: str) -> None:
    assert re.search(rf"classDef {mark} .*stroke-dasharray:{dashes}$", picture_of(Format.MERMAID), re.MULTILINE)


@pytest.mark.parametrize("mark", [Mark.SETTLED, Mark.REOPENABLE, Mark.FINAL, Mark.CURRENT])
def test_the_legend_in_dot_has_the_look_of_the_state(mark: Mark) -> None:
    text = picture_of(Format.DOT, marks=(mark,))
    node, legend = text.split("label=<")

    fill, border = re.findall(r'fillcolor="(#\w+)"', node)[-1], re.findall(r' color="(#\w+)"', node)[1]
    assert f'bgcolor="{fill}"' in legend
    assert f'color="{border}"' in legend
    for style in ("dotted", "dashed"):
        assert (f"rounded,filled,{style}" in node) == (f"rounded,{style}" in legend)


@pytest.mark.parametrize("count", [3, 4])
def test_many_lines_of_one_event_to_one_state_meet_in_dot(count: int) -> None:
    sources = [f"from {number}" for number in range(count)]
    picture = Diagram(
        "many",
        "",
        tuple(Node(each, "", ()) for each in [*sources, "to"]),
        tuple(Edge(each, "go", "to", Origin.CALLER, "") for each in sources),
    )

    text = to_dot(picture)

    assert text.count('label=" go "') == (count if count < 4 else 1)
    assert text.count("arrowhead=none") == (0 if count < 4 else count)
    assert [row[0] for row in read_dot(text).rows] == sources


# --- no name can break a picture ---------------------------------------------------------------

SPELLS = [
    *(
        '"',
        "\\",
        "|",
        ";",
        "]",
        "}",
        "{",
        "<b>",
        "</b>",
        "<br>",
        "<script>alert(1)</script>",
        "&lt;",
        "&#38;",
        "#quot;",
    ),
    *("#35;", "`", "**", "__", "~~", "--", "==>", "-->", "%%{init}", "%getenv(x)", "$x", "!include x", "[[x]]", "[*]"),
    *("\\n", "\\N", "\\G", "@enduml", "endlegend", "end", "class", "style", "1. ", "- ", "# ", "> ", ":::final", "\\|"),
    *("<U+0041>", "![a](b)", "://", "日本", "é", "😀"),
]
hostile_names = st.lists(st.sampled_from(SPELLS) | st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=4)


@st.composite
def hostile_lifecycles(draw: st.DrawFn) -> Lifecycle[str, str]:
    """A settled state, then a final one, by two commands and two remote events."""
    name = hostile_names.map(lambda parts: "".join(parts).strip()).filter(lambda each: each not in ("", "*"))
    first, last = draw(st.lists(name, min_size=2, max_size=2, unique=True))
    names = draw(st.lists(name, min_size=4, max_size=4, unique=True))
    meaning = st.text()
    return Lifecycle(
        name=draw(name),
        citation=draw(meaning),
        states=(State(first, draw(meaning), initial=True, settled=True), State(last, draw(meaning), final=True)),
        events=tuple(Event(each, origin, draw(meaning)) for each, origin in zip(names, [*Origin] * 2, strict=True)),
        transitions=tuple(Transition(first, each, last) for each in names),
    )


def tamed(lifecycle: Lifecycle[str, str]) -> Lifecycle[str, str]:
    """The same lifecycle with harmless names."""
    states = {str(state.name): f"state{index}" for index, state in enumerate(lifecycle.states)}
    events = {str(event.name): f"event{index}" for index, event in enumerate(lifecycle.events)}
    return Lifecycle(
        name="tame",
        citation="tame",
        states=tuple(replace(state, name=states[state.name]) for state in lifecycle.states),
        events=tuple(replace(event, name=events[event.name]) for event in lifecycle.events),
        transitions=tuple(
            Transition(states[row.source], events[row.event], states[row.target]) for row in lifecycle.transitions
        ),
    )


def skeleton(text: str, form: Format) -> str:
    """A picture without its labels, which may consist of what is harmless in the language only."""
    labels = {
        Format.MERMAID: r'(?<=")(?:[\w ]|#\d+;|<br>)*(?=")',
        Format.MERMAID_STATE: r'(?<=state ")(?:[\w ]|#\d+;)*(?=" as s)'
        r"|(?<= : )(?:[\w ]|#\d+;|<br>|\((?:caller|remote)\))*$",
        Format.DOT: r'(?<=")(?:[^"\\]|\\.)*(?=")',
        Format.PLANTUML: r'(?<=["*])(?:(?!__)[\w ]|<U\+[0-9A-F]{4,5}>)*(?=(\*\*)?" as s)'
        r"|(?<= : )(?:(?!__)[\w ]|<U\+[0-9A-F]{4,5}>|\\n)*$",
    }
    return re.sub(labels[form], "", text, flags=re.MULTILINE)


@given(hostile_lifecycles())
def test_names_change_labels_only(lifecycle: Lifecycle[str, str]) -> None:
    tame = tamed(lifecycle)
    picture, tame_picture = lifecycle.diagram(current=lifecycle.initial), tame.diagram(current=tame.initial)

    for form in (Format.MERMAID, Format.MERMAID_STATE, Format.DOT, Format.PLANTUML):
        assert skeleton(RENDERERS[form](picture), form) == skeleton(RENDERERS[form](tame_picture), form)


@given(hostile_lifecycles())
def test_hostile_names_are_shown_as_they_are(lifecycle: Lifecycle[str, str]) -> None:
    for form in Format:
        assert read(lifecycle.diagram(), form) == content_of(lifecycle, form)


@given(meaning=st.text())
@example("two\nlines | and a column")
@example("\x00\x1b[31m\u202eright to left\u2028")
def test_markdown_shows_any_meaning_on_one_line(meaning: str) -> None:
    picture: Any = Diagram("any", meaning, (Node("state", meaning, (Mark.FINAL,)),), ())
    printable = "".join(each if each.isprintable() else " " for each in meaning)

    (states, *_) = markdown_tables(to_markdown(picture))

    assert states == [["state", "final", " ".join(printable.split())]]


@pytest.mark.parametrize("wrong", [V1, None, "v1"])
def test_non_diagram_is_refused(wrong: Any) -> None:
    for render in RENDERERS.values():
        with pytest.raises(TypeError, match=r"^a picture is drawn from a Diagram, not from .*; give lifecycle.diagram"):
            render(wrong)


def test_notebook_shows_the_picture() -> None:
    shown = get("v1")._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage] (as Jupyter calls it)
    assert shown["text/vnd.mermaid"] == to_mermaid(get("v1").diagram())
    assert shown["text/markdown"] == f"```mermaid\n{shown['text/vnd.mermaid']}```"
    assert shown["text/plain"] == repr(get("v1"))
