"""The glossary's words: identifiers and help texts use no other word for the same idea.

The glossary's page lists the other words. It is a short list with reasons, not a linter of prose.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
import typer

from lifecycle_adapters.cli.app import app
from tests.adapters.cli.commands import call
from tests.support.packages import MODULES, ROOT

GLOSSARY = ROOT / "docs" / "explanation" / "glossary.md"
_, *TABLES = GLOSSARY.read_text(encoding="utf-8").split("| --- | --- |\n")
USED, INSTEAD = (dict(re.findall(r"^\| ([\w ]+) \| ([^|]+) \|$", table, re.MULTILINE)) for table in TABLES)
"""Each word that the glossary explains, with its meaning, and each that it excludes, with what it says instead."""
# In these files the word means something else.
ELSEWHERE = {
    ("answer", "lifecycle.catalog.a2a"): "the command by which a caller answers an agent that asks for input",
    ("answer", "lifecycle_adapters.procedures.command_methods"): "the same",
    ("answer", "lifecycle.catalog.mcp"): "the same, of a server",
    ("hold", "lifecycle_adapters.http.redaction"): "contain",
    ("protocol", "lifecycle_adapters.watch.feed"): "a class of typing",
}
# In a sentence these are everyday English; as a name each stands for a word of the glossary.
EVERYDAY = {"course", "held", "hold", "move", "told", "way", "world"}
PLURALS = {plural: word for word in INSTEAD for plural in (f"{word}s", f"{word}d", f"{word}ed")}


def identifiers(module: ast.Module) -> Iterator[str]:
    """Yield the names in a module: its classes, functions, parameters and variables."""
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.MatchAs(name=str(name)):
                yield name
            case _:
                pass


def test_the_glossary_excludes_no_word_that_it_explains() -> None:
    assert len(USED) >= 40
    assert len(INSTEAD) >= 15
    assert not {*USED} & {*INSTEAD}


def wrong_words(text: str) -> set[str]:
    """The words of a name or a text that the list has, each in its singular."""
    words: list[str] = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)
    return {PLURALS.get(word.lower(), word.lower()) for word in words} & {*INSTEAD}


@pytest.mark.parametrize("name", MODULES)
def test_identifiers_use_the_words_of_the_glossary(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))

    wrong = {
        (identifier, INSTEAD[word])
        for identifier in identifiers(tree)
        for word in wrong_words(identifier)
        if (word, name) not in ELSEWHERE
    }

    assert not wrong


def commands(program: typer.Typer, *above: str) -> Iterator[tuple[str, ...]]:
    """Every command of the command line, and the program itself."""
    yield above
    yield from ((*above, str(command.name)) for command in program.registered_commands)
    for group in program.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, *above, str(group.name))


def test_help_uses_the_words_of_the_glossary() -> None:
    found = list(commands(app))
    assert {("journal", "check"), ("show",)} <= set(found)
    for command in found:
        text = call(*command, "--help", env={"COLUMNS": "200"}).stdout
        assert {word: INSTEAD[word] for word in wrong_words(text) - EVERYDAY} == {}, (
            f"lifecycle {' '.join(command)} --help"
        )
