"""Messages about a command line that cannot be parsed: they propose what was meant, and name no library."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lifecycle import CommandInFlight
from lifecycle_adapters.cli.app import app
from lifecycle_adapters.cli.output import OPTIONS, errors_explained
from lifecycle_adapters.emulator import Emulator
from tests.adapters.cli.commands import KEY, call


def refusal(*arguments: str, **env: str) -> str:
    """Return the message about a refused command line, without the box around it."""
    result = call(*arguments, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200", **env})
    assert (result.exit_code, result.stdout) == (2, "")
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("wait x --api v1 --until finale", "'finale' is not one of 'settled', 'final'; did you mean 'final'?"),
        ("journal export v1 --journal x --format cvs", "'cvs' is not one of 'csv', 'jsonl'; did you mean 'csv'?"),
        ("check v1 x.csv --mode sampeld", "'sampeld' is not one of 'exact', 'sampled'; did you mean 'sampled'?"),
        ("report v1 x.csv --engine SPARK", "did you mean 'spark'?"),
        ("report v1 x.csv --input-format parkuet", "did you mean 'parquet'?"),
        ("show v1 --format mermade", "did you mean 'mermaid'?"),
        ("status x --api v2-sesion", "did you mean 'v2-session'?"),
    ],
)
def test_value_that_is_not_a_choice_is_refused_with_the_nearest(arguments: str, said: str) -> None:
    text = refusal(*arguments.split())

    assert said in text
    assert "Value error" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "x", "--api", "v1", "--base-url", ""),
        ("status", "x", "--api", "v1", "--base-url="),
        ("status", "x", "--api", "v1", "--journal", ""),
        ("status", "x", "--api", "v1", "--worker", ""),
        ("status", "x", "--api", "v1", "--key-from", ""),
        ("create", "x", "--api", "v1", "--base-url", ""),
        ("send", "x", "stop", "--api", "v1", "--base-url", ""),
        ("wait", "x", "--api", "v1", "--base-url", ""),
        ("watch", "x", "--api", "v1", "--base-url", ""),
        ("recover", "--api", "v1", "--journal", "j.db", "--base-url", ""),
        ("recover", "--api", "v1", "--journal", "j.db", "--worker", ""),
        ("tasks", "--journal", ""),
    ],
)
def test_option_that_is_empty_is_refused(arguments: tuple[str, ...]) -> None:
    option = next(each for each in reversed(arguments) if each.startswith("--")).removesuffix("=")

    assert f"Invalid value for '{option}'" in refusal(*arguments)
    assert "it is empty; give a text, or leave the option out" in refusal(*arguments)


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        ("LIFECYCLE_BASE_URL", "status x --api v1"),
        ("LIFECYCLE_JOURNAL", "send x stop --api v1"),
        ("LIFECYCLE_WORKER", "create x --api v1 --journal j.db"),
        ("LIFECYCLE_WEBHOOK_SECRET", "serve --webhook http://127.0.0.1:1"),
    ],
)
def test_variable_that_is_empty_is_refused(variable: str, command: str) -> None:
    said = f"(env var: '{variable}'): the variable is empty; give it a text, or unset it"

    assert said in refusal(*command.split(), **{variable: ""})


def test_value_that_is_near_no_choice_is_refused_with_all() -> None:
    text = refusal("wait", "x", "--api", "v1", "--until", "zzz")

    assert "Invalid value for '--until': 'zzz' is not one of 'settled', 'final'." in text
    assert "did you mean" not in text


@pytest.mark.parametrize("command", [("send", "x", "stop"), ("create",)])
def test_unknown_option_proposes_options_that_contain_its_word(command: tuple[str, ...]) -> None:
    text = refusal(*command, "--api", "v1", "--key", "k1")

    assert "No such option: --key (Possible options: --idempotency-key, --key-from)" in text


@pytest.mark.parametrize("command", ["check", "report"])
def test_lifecycle_that_is_named_after_the_files_is_recognised(command: str) -> None:
    text = refusal(command, "log.csv", "v1")

    assert "The lifecycle is named first, then the files: v1 log.csv" in text


def helps() -> Iterator[tuple[str, str]]:
    """Every option and argument of the commands that are not about logs, and its help."""
    group: Any = typer.main.get_command(app)
    commands = {**group.commands, **group.commands["journal"].commands}
    for name in commands.keys() - {"check", "report", "journal"}:
        yield from ((f"{name} {each.opts[0]}", each.help or "") for each in commands[name].params)


@pytest.mark.parametrize(("option", "text"), sorted(helps()))
def test_help_of_an_option_begins_with_a_noun_or_a_verb(option: str, text: str) -> None:
    without_subject = r"(What|Who|Whose|Why|Where|How|Such|Between|At|Of|There|One|Another|The)\b"

    assert re.fullmatch(r"[A-Z].*\.", text), option
    assert re.match(without_subject, text) is None, option


def numbers() -> Iterator[tuple[str, str]]:
    """Every option that takes a number, with its command."""
    group: Any = typer.main.get_command(app)
    journal = group.commands["journal"]
    for name, command in (
        *group.commands.items(),
        *((f"journal {name}", each) for name, each in journal.commands.items()),
    ):
        for each in command.params:
            annotation = str(each.type_descriptor.annotation)
            if each.opts[0].startswith("--") and re.search(r"\b(int|float)\b", annotation):
                yield name, each.opts[0]


@pytest.mark.parametrize(("command", "option"), sorted(numbers()))
def test_number_with_underscores_or_spaces_is_refused(command: str, option: str) -> None:
    for number in ("1_0", " 1", "1 "):
        assert f"{number!r} is not a number" in refusal(*command.split(), option, number)


@pytest.mark.parametrize(("command", "option"), sorted(numbers()))
def test_number_that_no_option_can_have_is_refused_while_the_command_line_is_parsed(command: str, option: str) -> None:
    for number in ("-1", "nan", "inf", "-inf", "1e999"):
        assert f"Invalid value for '{option}'" in refusal(*command.split(), option, number)


@pytest.mark.parametrize(("command", "option"), sorted(numbers()))
def test_bound_of_a_number_in_its_refusal_is_the_least_that_is_accepted(command: str, option: str) -> None:
    [bound] = re.findall(r"positive|(?:at least|greater than or equal to) \d+", refusal(*command.split(), option, "-1"))
    least = 0 if bound == "positive" else int(bound.split()[-1])
    ended = ["--api", "v9"] if command == "serve" else []  # the other commands lack an argument

    for number, is_accepted in ((least, bound != "positive"), (least + 1, True)):
        refused = refusal(*command.split(), option, str(number), *ended)
        assert (f"Invalid value for '{option}'" not in refused) == is_accepted, number


def test_number_that_is_too_large_is_refused_by_the_name_of_its_option() -> None:
    for arguments, option in (("wait x --poll", "--poll"), ("watch x --rate", "--rate")):
        assert f"Invalid value for '{option}'" in refusal(*arguments.split(), "1e10", "--api", "v1")


def test_pause_between_polls_can_be_the_longest_that_a_client_takes(emulator: Emulator) -> None:
    server = {"LIFECYCLE_BASE_URL": emulator.base_url, "BROWSER_USE_API_KEY": KEY}
    task = call("create", "--api", "v1", "x", env=server).stdout.strip()

    assert call("wait", task, "--api", "v1", "--poll", "1e9", "--timeout", "0", env=server).exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "watch x --rate 0",
        "watch x --stop-after 0",
        "watch x --stop-at-cost 0",
        "watch x --streams 65",
        "wait x --poll 0",
    ],
)
def test_number_that_is_refused_opens_no_journal(arguments: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"

    refusal(*arguments.split(), "--api", "v4", "--journal", str(journal))

    assert not journal.exists()


def test_option_that_is_misspelt_proposes_similar_ones() -> None:
    assert "--journal" in refusal("tasks", "--jurnal", "x")
    assert "Possible options" not in refusal("tasks", "--zzz")


def test_option_of_each_argument_exists() -> None:
    commands: Any = typer.main.get_command(app)
    known = {name for command in commands.commands.values() for each in command.params for name in each.opts}
    assert set(OPTIONS.values()) <= known


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("status x --api examples/services/replicate-prediction.yaml --parameter owner=x", "--parameter"),
        ("send x dispatch --api v3", "--field"),
        ("create x --api v4 --field lables=x", "--label"),
        ("watch x --api v1 --stop-at-cost 1", "--stop-at-cost"),
        ("watch x --api v1 --streams 1", "--streams"),
        ("serve --api examples/services/kubernetes-job.yaml", "--profile"),
        ("serve --profile v1=os:path", "--profile"),
        ("check v1 x.csv --memory much", "--memory"),
    ],
)
def test_argument_that_is_refused_is_named_as_its_option(
    arguments: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["examples/services", *sys.path])
    result = call(*arguments.split(), env={"BROWSER_USE_API_KEY": KEY, "REPLICATE_API_TOKEN": KEY})
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(f"; on the command line: {option}\n")


def test_command_left_open_is_ended_by_options_of_recover(capsys: pytest.CaptureFixture[str]) -> None:
    error = CommandInFlight("pause", lease=None, lifecycle="v1", task="t", command="stop", state="running")
    with pytest.raises(typer.Exit), errors_explained():
        raise error
    assert "lifecycle recover --abandon-command TASK" in capsys.readouterr().err
