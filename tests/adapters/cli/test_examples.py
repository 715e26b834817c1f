"""The help of each command ends with an example, which the command can parse."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from lifecycle_adapters.cli.app import app


def helps(program: typer.Typer, *above: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the words of each command, and its help."""
    for command in program.registered_commands:
        assert command.callback is not None
        yield (*above, str(command.name)), inspect.getdoc(command.callback) or ""
    for group in program.registered_groups:
        assert group.typer_instance is not None
        yield from helps(group.typer_instance, *above, str(group.name))


HELPS = dict(helps(app))


def test_commands_of_groups_are_found() -> None:
    assert {("judge",), ("journal", "check")} <= set(HELPS)


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help_ends_with_an_example_that_the_command_parses(words: tuple[str, ...]) -> None:
    *_, example = HELPS[words].split("\n")
    assert example.startswith("Example: lifecycle ")
    line, *_ = example.removeprefix("Example: ").split(" > ")
    name, *arguments = shlex.split(line)
    assert (name, *arguments[: len(words)]) == ("lifecycle", *words)

    command: Any = typer.main.get_command(app)
    context: Any = None
    for word in words:
        context = command.make_context(word, [], parent=context, resilient_parsing=True)
        command = command.get_command(context, word)
    command.make_context(words[-1], arguments[len(words) :], parent=context)
