"""`list`, `show`, `judge` and `diagrams` print what is declared, and one line about what they cannot print."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from lifecycle import CATALOG, V1, V1_FULL, V3, V3_FULL, Lifecycle, V3Event, VerdictKind, get
from lifecycle.diagram import RENDERERS, Format, Mark
from lifecycle_adapters.render import to_png, to_svg
from tests.adapters.cli.commands import SCRIPT, call, call_json, environment
from tests.support.packages import ROOT

# A name must be printable, a meaning need not be.
DOOR = """
name: door
citation: the carpenter
states:
  - {name: open, initial: true}
  - {name: "[red]gone", final: true, meaning: "[bold]bricked \\e[31m up[/bold]"}
events:
  - {name: brick, origin: caller}
transitions:
  - {source: open, event: brick, target: "[red]gone"}
"""


@pytest.fixture
def door(tmp_path: Path) -> Path:
    file = tmp_path / "door.yaml"
    file.write_text(DOOR)
    return file


# --- list --------------------------------------------------------------------------------------


def test_list_has_every_lifecycle_with_its_states_and_commands() -> None:
    lines = call("list", env={"COLUMNS": "250"}).stdout.splitlines()[2:]

    assert [line.split()[0] for line in lines] == list(CATALOG)
    for line, lifecycle in zip(lines, CATALOG.values(), strict=True):
        words = line.split()[1:]
        states = [f"[{state.name}]" if state.final else str(state.name) for state in lifecycle.states]
        assert words == [*states, *map(str, lifecycle.commands)]


def test_list_as_json() -> None:
    listed = call_json("list")

    assert [each["name"] for each in listed] == list(CATALOG)
    assert listed[0] == {
        "name": "v1",
        "citation": V1.citation,
        "states": ["running", "paused", "stopped"],
        "initial": "running",
        "final": ["stopped"],
        "commands": ["pause", "resume", "stop"],
    }


# --- show --------------------------------------------------------------------------------------


def test_show_has_every_state_event_transition_alias_and_invariant(declared: Lifecycle[str, str]) -> None:
    result = call("show", declared.name, env={"COLUMNS": "300"})

    text = result.stdout
    assert result.exit_code == 0
    assert text.count(" → ") + text.count(" ⇢ ") == len(declared.transitions)
    for row in declared.transitions:
        assert f"{row.event} → {row.target}" in text or f"{row.event} ⇢ {row.target}" in text
    meanings = {*(state.meaning for state in declared.states), *(event.meaning for event in declared.events)}
    assert all(said in text for said in (declared.citation, *meanings))
    for invariant in declared.invariants:
        assert invariant.name in text
        assert invariant.citation in text
    for alias in declared.aliases:
        assert [alias.channel, alias.status, alias.state] in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("columns", ["80", "30"])
def test_narrow_terminal_truncates_nothing(columns: str) -> None:
    narrow = call("show", "v2", env={"COLUMNS": columns}).stdout
    wide = call("show", "v2", env={"COLUMNS": "300"}).stdout

    assert max(map(len, narrow.splitlines())) <= int(columns)
    assert characters(narrow) == characters(wide)


def characters(text: str) -> Counter[str]:
    """Return how often each character was printed, without the layout."""
    return Counter(text.translate(dict.fromkeys(map(ord, "─ \n"))))


def test_show_says_what_is_special_about_a_command() -> None:
    lines = call("show", "v3", env={"COLUMNS": "300"}).stdout.splitlines()

    (line,) = (line for line in lines if line.startswith("dispatch "))
    assert "the target state does not prove that it took effect; not idempotent: sending it twice" in line
    assert sum("prove" in line for line in lines) == 1


def test_an_event_without_a_meaning_has_no_loose_semicolon(tmp_path: Path) -> None:
    dispatch = V3.event(V3Event.DISPATCH)
    events = [replace(each, meaning="") if each == dispatch else each for each in V3.events]
    path = tmp_path / "mine.json"
    path.write_text(V3.replace(events=events).to_json())
    shown = call("show", str(path), env={"COLUMNS": "300"}).stdout

    assert re.search(r"^dispatch +caller +the target state does not prove .*; not idempotent: ", shown, re.MULTILINE)


def test_show_marks_the_current_state_and_lists_what_it_allows() -> None:
    text = call("show", "v3", "--state", "idle").stdout

    assert [line.split()[0] for line in text.splitlines() if re.search(rf"\b{Mark.CURRENT}\b", line)] == ["idle"]
    assert text.splitlines()[-1] == "in 'idle'  commands: dispatch, stop  remote events: start, time_out, fail"
    assert "commands: none  remote events: none" in call("show", "v3", "--state", "stopped").stdout


@pytest.mark.parametrize("form", RENDERERS)
@pytest.mark.parametrize("state", [None, "paused"])
def test_show_as_a_picture_in_words(form: Format, state: str | None) -> None:
    options = ("--state", state) if state else ()

    printed = call("show", "v1-full", "--format", form, *options).stdout

    assert printed == RENDERERS[form](get("v1-full").diagram(current=state))


def test_show_prints_and_writes_pictures(tmp_path: Path) -> None:
    file = tmp_path / "v1.png"

    assert call("show", "v1", "-f", "svg").stdout == to_svg(V1.diagram())
    assert call("show", "v1", "-f", "png").stdout_bytes == to_png(V1.diagram())
    assert call("show", "v1", "-f", "png", "--output", str(file)).stderr == f"wrote {file}\n"
    assert file.read_bytes() == to_png(V1.diagram())


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_show_as_data_is_a_declaration_that_can_be_named(
    declared: Lifecycle[str, str], tmp_path: Path, form: str
) -> None:
    file = tmp_path / f"mine.{form}"

    assert call("show", declared.name, "--format", form, "-o", str(file)).exit_code == 0

    assert Lifecycle.from_file(file) == Lifecycle.from_json(declared.to_json())
    assert call("show", str(file), "--format", form).stdout == file.read_text()


def test_show_as_json() -> None:
    assert call("show", "v1", "--json").stdout == call("show", "v1", "--format", "json").stdout
    assert call_json("show", "v3", "--state", "idle") == {
        "lifecycle": "v3",
        "state": "idle",
        "final": False,
        "over": False,
        "settled": True,
        "allowed": [
            {"event": "dispatch", "origin": "caller", "target": "running"},
            {"event": "stop", "origin": "caller", "target": "stopped"},
            {"event": "start", "origin": "remote", "target": "running"},
            {"event": "time_out", "origin": "remote", "target": "timed_out"},
            {"event": "fail", "origin": "remote", "target": "error"},
        ],
    }


def test_a_picture_that_is_bytes_is_not_written_to_a_terminal() -> None:
    leader, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [SCRIPT, "show", "v1", "-f", "png"], stdout=terminal, stderr=subprocess.PIPE, env=environment(), check=False
        )
        os.set_blocking(leader, False)
        with pytest.raises(BlockingIOError):
            os.read(leader, 1)
    finally:
        os.close(leader)
        os.close(terminal)

    assert done.returncode == 2
    assert done.stderr == b"lifecycle: this format is binary; write it to a file with --output\n"


def test_foreign_declaration_is_shown_without_terminal_controls(door: Path) -> None:
    for options in ((), ("--state", "open")):
        result = call("show", str(door), *options)

        assert "[red]gone" in result.stdout
        assert "[bold]bricked \\x1b[31m up[/bold]" in result.stdout
        assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["v1-ful"], "catalog: unknown lifecycle 'v1-ful'; did you mean 'v1-full'?"),
        (["./v1"], "No such file or directory: v1"),
        (["missing.yaml"], "No such file or directory: missing.yaml"),
        (["."], "it is a folder; name the file that declares a lifecycle or a service: ."),
        (["README.MD"], "catalog: unknown lifecycle 'README.MD' (known: "),
        (["examples/services/print-job.yml"], "no such file, but there is examples/services/print-job.yaml: examples/"),
        (["examples/services/print-job"], "no such file, but there is examples/services/print-job.yaml: examples/"),
        (["v1", "--state", "failed"], "v1: unknown state 'failed'; 'v1-full' declares it"),
        (["v1", "--format", "pgn"], "show: unknown format 'pgn'; did you mean 'png'?"),
        (["v1", "--output", "x"], "'tables' cannot be written to a file; --output needs another --format"),
        (["v1", "--state", "paused", "--format", "yaml"], "YAML is the declaration, which has no current state"),
        (["v1", "--format", "svg", "-o", "x.PNG"], "x.PNG would hold svg; give --format png, or another suffix"),
        (["v1", "--format", "png", "-o", "x.yml"], "x.yml would hold png; give --format json or yaml, or another"),
        (["v1", "--json", "-o", "x.svg"], "x.svg would hold json; give --format svg, or another suffix"),
        (["v1", "--format", "json", "--output", "/missing/x"], "No such file or directory: /missing/x"),
    ],
)
def test_a_lifecycle_that_cannot_be_shown_is_one_line_of_error(options: list[str], said: str) -> None:
    result = call("show", *options)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"lifecycle: {said}")
    assert result.stderr.count("\n") == 1


def test_error_names_a_file_without_a_declaration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("1.csv").write_text("task_id,at,status\n")

    result = call("check", "1.csv", "2.csv")

    assert result.exit_code == 2
    assert result.stderr.startswith("lifecycle: document '1.csv' is not sound, 1 finding:\n")


def test_an_unsound_declaration_is_reported_with_all_its_findings(tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    document = json.loads(V1.to_json())
    document["transitions"][0]["target"] = "pausd\x1b"
    document["events"].append({"name": "nod", "origin": "caller"})
    file.write_text(json.dumps(document))

    result = call("show", str(file))

    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "lifecycle: lifecycle 'v1' is not sound, 2 findings:",
        "  unknown_name: transitions[0] (line 1): state 'pausd\\x1b' is not declared; did you mean 'paused'?",
        "  unused_event: event 'nod' (line 1): no row uses it",
    ]


# --- check -------------------------------------------------------------------------------------


@pytest.mark.heavy
def test_cli_judge_agrees_with_judge_on_every_pair(declared: Lifecycle[str, str]) -> None:
    for state, event in product(declared.states, declared.events):
        verdict = declared.judge(state.name, event.name)
        result = call("judge", declared.name, state.name, event.name)

        assert result.exit_code == (0 if verdict.kind is VerdictKind.APPLIED else 1)
        assert result.stdout.endswith(f": {verdict.reason}\n")


@pytest.mark.parametrize(
    ("state", "event", "said"),
    [
        ("running", "pause", "legal: 'pause' leads from 'running' to 'paused'"),
        ("paused", "pause", "redundant: 'pause' is redundant, the task is already 'paused'"),
        ("created", "pause", "not legal: 'pause' is not allowed in 'created'; allowed: stop"),
        ("stopped", "resume", "not legal: 'resume' is not allowed in 'stopped'; 'stopped' is final"),
    ],
)
def test_cli_judge_gives_the_reason(state: str, event: str, said: str) -> None:
    assert call("judge", "v1-full", state, event).stdout == f"{said}\n"


def test_cli_judge_as_json() -> None:
    assert call_json("judge", "v1", "paused", "pause") == {
        "lifecycle": "v1",
        "state": "paused",
        "event": "pause",
        "verdict": "redundant",
        "legal": False,
        "target": None,
        "allowed": ["resume", "stop"],
        "reason": "'pause' is redundant, the task is already 'paused'",
    }


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("v1", "runing", "pause"), "v1: unknown state 'runing'; did you mean 'running'?"),
        (("v1", "running", "start"), "v1: unknown event 'start'; 'v1-full' declares it"),
        (("v1", "\x1b[31m", "pause"), "v1: unknown state '\\x1b[31m'"),
        (("v0", "running", "pause"), "catalog: unknown lifecycle 'v0'"),
    ],
)
def test_cli_judge_of_an_unknown_name_is_bad_input(names: tuple[str, str, str], said: str) -> None:
    result = call("judge", *names)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"lifecycle: {said}")


def test_cli_judge_of_a_file(door: Path) -> None:
    assert call("judge", str(door), "open", "brick").exit_code == 0
    assert call("judge", str(door), "[red]gone", "brick").stdout.startswith("redundant: ")


# --- diagrams ----------------------------------------------------------------------------------


def test_diagrams_writes_the_gallery_and_says_where_to_begin(tmp_path: Path) -> None:
    result = call("diagrams", str(tmp_path / "drawn"))

    assert result.exit_code == 0
    files = list((tmp_path / "drawn").iterdir())
    assert f"wrote {len(files) - 1} files; begin with {tmp_path / 'drawn' / 'README.md'}" in result.stdout
    assert {file.stem for file in files} == {"README", *CATALOG}


def test_diagrams_draws_the_declarations_that_are_given(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(V1.replace(name="mine").to_json())
    service = str(ROOT / "examples" / "services" / "print-job.yaml")
    result = call("diagrams", str(tmp_path / "drawn"), "--declaration", str(mine), "--declaration", service)

    assert result.exit_code == 0
    assert {file.stem for file in (tmp_path / "drawn").iterdir()} == {"README", "mine", "print-job"}


@pytest.mark.heavy
def test_diagrams_leaves_files_alone_that_are_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")

    result = call("diagrams", str(tmp_path))

    assert result.exit_code == 2
    assert "not from an earlier gallery" in result.stderr
    assert (tmp_path / "README.md").read_text() == "mine"


def test_the_catalog_outranks_a_file_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("v1").write_text(V3_FULL.to_json())
    Path("mine").write_text(V1_FULL.to_json())

    assert call("show", "v1").stdout.startswith("v1 ")
    assert call("show", "./v1").stdout.startswith("v3-full ")
    assert call("show", "mine").stdout.startswith("v1-full ")
