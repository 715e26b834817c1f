"""`lifecycle diff`: what it prints, and its exit codes; and the digest in `lifecycle show`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle import V2, V2_FULL, Alias, diff, get
from tests.adapters.cli.commands import call, call_json
from tests.support.packages import ROOT

SERVICE = str(ROOT / "examples" / "services" / "print-job.yaml")


def test_a_compatible_change_is_exit_code_0() -> None:
    result = call("diff", "v2", "v2-full")
    assert (result.exit_code, result.stderr) == (0, "")
    found = diff(V2, V2_FULL)
    verdicts = ["readers: compatible", "senders: compatible", "journals: compatible"]
    assert result.stdout.splitlines() == [*map(str, found.changes), *verdicts, found.summary]


def test_a_breaking_change_is_exit_code_1() -> None:
    result = call("diff", "v2-full", "v2")
    assert result.exit_code == 1
    found = diff(V2_FULL, V2)
    verdicts = ["readers: breaking", "senders: compatible", "journals: breaking"]
    assert result.stdout.splitlines() == [*map(str, found.changes), *verdicts, found.summary]


def test_the_mode_is_that_of_the_readers() -> None:
    assert call("diff", "v1", "v1-full").exit_code == 1
    assert call("diff", "v1", "v1-full", "--mode", "sampled").exit_code == 0


def test_changes_are_json_for_programs_and_markdown_for_pull_requests() -> None:
    assert call_json("diff", "v2-full", "v2") == diff(V2_FULL, V2).to_data()
    assert call("diff", "v2-full", "v2", "--format", "markdown").stdout == diff(V2_FULL, V2).to_markdown()


def test_files_are_compared_and_their_text_cannot_steer_a_terminal_or_markdown(tmp_path: Path) -> None:
    evil = tmp_path / "evil.json"
    evil.write_text(get("v2").replace(aliases=[Alias("x", "\x1b[31m|@team", "created")]).to_json())
    plain = tmp_path / "plain.json"
    plain.write_text(V2.to_json())
    assert "\x1b" not in call("diff", str(plain), str(evil)).stdout
    markdown = call("diff", str(plain), str(evil), "-f", "markdown").stdout
    [row] = [each for each in markdown.splitlines() if "status_added" in each]
    assert [each for each in ("\x1b", "@team") if each in row] == []
    assert row.replace("\\|", "").count("|") == 5
    assert call("diff", SERVICE, SERVICE).stdout.splitlines()[-1] == "print-job to print-job: no changes, compatible"


UNUSABLE = [
    (["v2", "v22"], "unknown lifecycle 'v22'; did you mean"),
    (["none.json", "v2"], "No such file or directory: none.json"),
    (["v2", "v2", "--json", "--format", "markdown"], "--json and --format markdown exclude each other"),
]


@pytest.mark.parametrize(("arguments", "message"), UNUSABLE)
def test_unusable_input_exits_with_2(arguments: list[str], message: str) -> None:
    result = call("diff", *arguments)
    assert (result.exit_code, message in result.stderr, result.stdout) == (2, True, "")


def test_show_prints_the_digest() -> None:
    assert f"digest {V2.digest}" in call("show", "v2").stdout.splitlines()
