"""`lifecycle drift`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cli.commands import call, call_json
from tests.adapters.drift.made import FOLDER, printer
from tests.adapters.http.scripted import Reply, ScriptedServer
from tests.support.packages import ROOT

SERVICE = str(ROOT / "examples" / "services" / "print-job.yaml")
NEW = str(FOLDER / "v2-2026-08-06.json")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "api.json"
    path.write_text(json.dumps(printer()))
    return path


def test_the_same_is_exit_code_0() -> None:
    result = call("drift", "v2-full", NEW)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"v2-full and {NEW}: the same\n", "")


def test_an_openapi_document_as_the_lifecycle_is_named_as_one() -> None:
    swapped, compared = call("drift", NEW, "v2"), call("diff", "v2", NEW)
    assert (swapped.exit_code, compared.exit_code) == (2, 2)
    assert (
        swapped.stderr == f"lifecycle: {NEW} is an OpenAPI document: give the lifecycle or its service first, then it\n"
    )
    assert "openapi_document: document: is an OpenAPI document, not a declaration" in compared.stderr
    assert len(compared.stderr.splitlines()) == 2


def test_a_difference_is_a_line_with_its_place_and_exit_code_1() -> None:
    result = call("drift", "v2", NEW)
    assert result.exit_code == 1
    line, summary = result.stdout.splitlines()
    what = "status_new: 'failed' is not a status of 'v2' (status, details, stop, stop_task_and_session)"
    assert line == f"{NEW}#/components/schemas/TaskStatus/enum/3: {what}"
    assert summary == f"v2 and {NEW}: 1 difference"


def test_differences_are_json_for_programs() -> None:
    found = call_json("drift", "v2", NEW)
    assert (found["same"], found["lifecycle"], found["service"]) == (False, "v2", "v2")
    assert found["title"] == "Browser Use Public API v2 2.0.0"
    assert found["differences"] == [
        {
            "kind": "status_new",
            "message": "'failed' is not a status of 'v2'",
            "place": "#/components/schemas/TaskStatus/enum/3",
            "calls": ["status", "details", "stop", "stop_task_and_session"],
        }
    ]


def test_differences_are_a_table_in_markdown() -> None:
    result = call("drift", "v3", str(FOLDER / "v3-2026-08-06.json"), "--format", "markdown")
    assert result.exit_code == 1
    heading, _, titles, rule, row = result.stdout.splitlines()
    assert heading.startswith("### Lifecycle drift: v3 and ")
    assert heading.endswith("1 difference")
    assert titles.count("|") == rule.count("|") == row.count("|") == 5
    assert row.startswith("| body\\_new | POST /api/v3/sessions/{session\\_id}/stop takes a body")


def test_foreign_text_cannot_steer_markdown_or_a_terminal(tmp_path: Path) -> None:
    evil = "a|b @team <b>x</b> [l](http://e.invalid) `c`\n\x1b[31m"
    contents = printer({"enum": ["waiting", "printing", "printed", "cancelled", evil]})
    path = tmp_path / "api.json"
    path.write_text(json.dumps(contents))
    shown = call("drift", SERVICE, str(path), "--format", "markdown").stdout
    [row] = [line for line in shown.splitlines() if "status" in line and "new" in line]
    assert row.replace("\\|", "").count("|") == 5
    assert [each for each in ("@team", "<b>", "http://e", "\x1b") if each in row] == []
    assert "\\[l\\](" in row
    assert "\x1b" not in call("drift", SERVICE, str(path)).stdout


def test_uncompared_parts_are_printed(tmp_path: Path) -> None:
    contents = printer()
    contents["paths"]["/jobs"]["post"]["responses"]["200"]["content"]["application/json"]["schema"] = {}
    path = tmp_path / "api.json"
    path.write_text(json.dumps(contents))
    result = call("drift", SERVICE, str(path))
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "not compared: 'status' in the response of POST /jobs: its fields are not documented"
    )
    assert "Not compared:\n\n- 'status'" in call("drift", SERVICE, str(path), "--format", "markdown").stdout


def test_a_service_of_your_own_is_named_by_its_file(document: Path) -> None:
    assert call("drift", SERVICE, str(document)).exit_code == 0


def test_a_lifecycle_of_your_own_needs_a_service(document: Path, tmp_path: Path) -> None:
    declaration = tmp_path / "mine.json"
    declaration.write_text(call("show", SERVICE, "--format", "json").stdout)
    result = call("drift", str(declaration), str(document))
    assert result.exit_code == 2
    assert "unknown service for the lifecycle 'print-job'" in result.stderr
    assert "give the service with --api, by name or by the file that declares it" in result.stderr
    assert call("drift", str(declaration), str(document), "--api", SERVICE).exit_code == 0
    other = call("drift", "v2", str(document), "--api", SERVICE)
    assert (other.exit_code, "'printer' has no call for 'stop'" in other.stderr) == (2, True)


def test_the_schema_of_the_status_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text(json.dumps(printer({"type": "string", "x": {"enum": ["waiting"]}})))
    assert "status_unlisted" in call("drift", SERVICE, str(path)).stdout
    result = call("drift", SERVICE, str(path), "--status-schema", "#/components/schemas/Status/x")
    assert result.exit_code == 1
    assert result.stdout.count("status_missing") == 3


def test_a_kind_of_difference_can_be_ignored() -> None:
    result = call("drift", "v2", NEW, "--ignore", "status_new", "--ignore", "body_new")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "not compared: body_new, which is ignored: 0",
        "not compared: status_new, which is ignored: 1",
        f"v2 and {NEW}: the same",
    ]
    assert call("drift", "v2", NEW, "--ignore", "body_new").exit_code == 1


UNUSABLE: list[tuple[list[str], str]] = [
    (["v2", "none.json"], "lifecycle: No such file or directory: none.json"),
    (["v3", NEW], "describes another API: it has /api/v2/tasks"),
    (["v22", NEW], "unknown lifecycle 'v22'; did you mean"),
    (["command", NEW], "unknown service for the lifecycle 'command'"),
    (["v2", SERVICE], "is not an OpenAPI document"),
    (["v2", "http://127.0.0.1:9/api.json"], "is an address of this machine or a private network"),
    (["v2", NEW, "--status-schema", "#/gone"], "refers to '#/gone', which is not in the document"),
    (["v2", NEW, "--ignore", "status_old"], "unknown kind of difference 'status_old'"),
    (["v2", NEW, "--json", "--format", "markdown"], "--json and --format markdown exclude each other"),
]


@pytest.mark.parametrize(("arguments", "message"), UNUSABLE)
def test_unusable_input_exits_with_2(arguments: list[str], message: str) -> None:
    result = call("drift", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_another_api_is_described_by_its_own_paths(document: Path) -> None:
    result = call("drift", "v2", str(document))
    first, second = printer()["paths"]
    assert result.stderr == (
        f"lifecycle: {document}: describes another API: it has {first}, {second}, and none of the paths of 'v2',"
        " such as /api/v2/tasks\n"
    )


def test_a_url_on_this_machine_is_read_if_it_is_allowed() -> None:
    body: Any = printer()
    with ScriptedServer(lambda _: Reply(body=body)).running() as server:
        assert call("drift", SERVICE, f"{server.base_url}/api.json").exit_code == 2
        assert server.seen == []
        assert call("drift", SERVICE, f"{server.base_url}/api.json", "--allow-private").exit_code == 0
