"""`lifecycle import`: it prints or writes a draft, and never over a file that may be finished already."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lifecycle_adapters.drift import OpenApiDocument, service_draft
from tests.adapters.cli.commands import SCRIPT, call, environment
from tests.adapters.drift.made import printer


@pytest.fixture
def document(tmp_path: Path) -> str:
    path = tmp_path / "api.json"
    path.write_text(json.dumps(printer()))
    return str(path)


def test_a_draft_is_printed_or_written(document: str, tmp_path: Path) -> None:
    text = service_draft(OpenApiDocument(printer(), source=document), "Status")
    file = tmp_path / "printer.yaml"

    printed = call("import", document, "--status", "Status")
    written = call("import", document, "--status", "#/components/schemas/Status", "--output", str(file))

    assert (printed.exit_code, printed.stdout) == (0, text)
    assert (written.exit_code, written.stdout, file.read_text()) == (0, "", text)
    assert written.stderr == f"wrote {file}: replace or remove each TODO in it\n"
    unfinished = call("show", str(file))
    assert (unfinished.exit_code, "state 'TODO' is not declared" in unfinished.stderr) == (2, True)


def test_existing_file_is_not_overwritten(document: str, tmp_path: Path) -> None:
    file = tmp_path / "printer.yaml"
    file.write_text("finished")
    result = call("import", document, "--status", "Status", "--output", str(file))
    assert (result.exit_code, file.read_text()) == (2, "finished")
    assert result.stderr == f"lifecycle: File exists: {file}\n"


@pytest.mark.parametrize(("command", "name"), [("import", "printer.yaml"), ("show", "v1.png")])
def test_file_that_does_not_fit_is_named_and_not_left(command: str, name: str, document: str, tmp_path: Path) -> None:
    given = f"import {document} --status Status" if command == "import" else "show v1 --format png"
    limited = f'ulimit -f 1; exec "$0" {given} --output {name}'  # of 512 or 1,024 bytes: a file may not grow beyond
    environ = environment({"PYTHONDONTWRITEBYTECODE": "1"})  # it would be cut, too
    done = subprocess.run(
        ["sh", "-c", limited, SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env=environ,
    )

    assert (done.returncode, done.stderr) == (2, f"lifecycle: File too large: {name}\n")
    assert not (tmp_path / name).exists()


def test_a_draft_is_not_written_into_a_file_of_another_format(document: str, tmp_path: Path) -> None:
    file = tmp_path / "printer.json"
    result = call("import", document, "--status", "Status", "--output", str(file))
    assert (result.exit_code, file.exists()) == (2, False)
    assert result.stderr == f"lifecycle: {file} would hold yaml; give another suffix\n"


def test_unusable_input_exits_with_2(document: str) -> None:
    result = call("import", document, "--status", "Job")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the schema of the status must list its values" in result.stderr
    assert call("import", "none.json", "--status", "Job").exit_code == 2
    assert call("import", document).exit_code == 2
