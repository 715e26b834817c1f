"""Foreign text is escaped at the one place where text for people is printed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lifecycle import LifecycleError
from lifecycle_adapters.cli.json_documents import snake_case
from lifecycle_adapters.cli.output import console, say, shown, table
from lifecycle_adapters.journal import NotAJournal

STEERING = st.text(st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Co")), min_size=1)


def harmless(printed: str) -> bool:
    return all(each.isprintable() for each in printed.replace("\n", ""))


@given(STEERING | st.text())
def test_shown_text_is_one_line_and_idempotent(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    assert shown(line) == line


def test_codes_of_errors_have_an_underscore_between_the_words_of_their_names() -> None:
    ours = {each for each in _errors_below(LifecycleError) if each.__module__.startswith("lifecycle")}
    assert NotAJournal in ours
    for kind in ours:
        code = snake_case(kind)
        assert code == code.lower()
        assert "".join(word.capitalize() for word in code.split("_")) == kind.__name__


def _errors_below(kind: type[LifecycleError]) -> Iterator[type[LifecycleError]]:
    for each in kind.__subclasses__():
        yield from (each, *_errors_below(each))


@given(before=st.text(), text=STEERING)
def test_output_contains_no_terminal_controls(before: str, text: str) -> None:
    with redirect_stdout(io.StringIO()) as to:
        say(before + text, (text, "bold"))
    assert to.getvalue().count("\n") == 1
    assert harmless(to.getvalue())


@given(STEERING)
def test_table_contains_no_terminal_controls(text: str) -> None:
    listed = table("Task")
    listed.add_row(text)
    to = io.StringIO()
    Console(file=to, width=200, markup=False).print(listed)
    assert harmless(to.getvalue())


def test_markup_in_foreign_text_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold]x[/bold]")
    listed = table("Task")
    listed.add_row("[red]y[/red]")
    console().print(listed)
    printed = capsys.readouterr().out
    assert "[bold]x[/bold]" in printed
    assert "[red]y[/red]" in printed


def test_row_of_a_table_is_one_line_unless_a_terminal_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    listed = table("Lifecycle", "Task", "State")
    listed.add_row("v4", "a" * 500, "running")

    console().print(listed)

    assert f"v4          {'a' * 500}   running\n" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["1", "10", "20"])
def test_a_table_has_its_text_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    listed = table("Lifecycle", "Task", "State", "Since", "Open command")
    cells = ["1111", "2222", "3333333333", "4444", "5555"]
    listed.add_row(*cells)

    console().print(listed)

    printed = capsys.readouterr().out
    assert all(printed.count(cell[0]) == len(cell) for cell in cells)
