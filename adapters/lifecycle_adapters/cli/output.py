"""Terminal output, and the exit codes of errors.

Foreign text (ids, statuses, a service's messages, names in files) is printed with its control characters escaped and
is never read as markup. Results go to the standard output, errors and progress to the standard error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from lifecycle import Severity
from lifecycle.errors import (
    AdapterError,
    CommandError,
    CommandInFlight,
    CreateError,
    IllegalTransition,
    LifecycleError,
    UnknownStatus,
    UnreadableRecord,
    WaitTimedOut,
)
from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.cli.json_documents import error_document, notes_of
from lifecycle_adapters.connection_strings import may_contain_password, without_passwords

LEGAL, NOT_LEGAL, BAD_INPUT, UNREAD = 0, 1, 2, 141

EXIT_CODES = {
    LEGAL: "legal, clean, done",
    NOT_LEGAL: (
        "not legal, findings, a command refused or uncertain, a wait that timed out, a task that could not be watched"
    ),
    BAD_INPUT: "an unknown name, bad input, a service that cannot be used",
    129: "ended by SIGHUP, as when its terminal is closed",
    130: "interrupted by Ctrl-C",
    UNREAD: "a pipe was closed before all was written, as by `head`; a program that SIGPIPE ended has this code",
    143: "ended by SIGTERM",
}
"""The meaning of each exit code; a command's help adds its particular meanings."""

_PIPE_WIDTH = 1_000_000  # columns, if the output is not a terminal and COLUMNS is not set: programs want whole lines

_LEAST_WIDTH = 20  # in fewer columns a table's rows would be blank; the terminal wraps the lines

_SEVERITIES = {Severity.ERROR: "bold red", Severity.NOTE: "cyan"}

_OUTCOMES = (IllegalTransition, CommandError, CreateError, WaitTimedOut)
"""The errors that are outcomes of a good command line, with exit code 1; all others have exit code 2."""

_FAILURES = (AdapterError, UnknownStatus, UnreadableRecord)
"""The errors with exit code 2 that a good command line can have, too: a service, a journal, a log cannot be used."""


class _Console(Console):
    """A console that raises the BrokenPipeError of a pipe without a reader, instead of exiting with 1: findings."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 (Rich calls this while it handles the error)


def console(*, stderr: bool = False) -> Console:
    """Return a console on the current stream that prints markup as text, and colours on a terminal only."""
    made = _Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _PIPE_WIDTH
    made.width = max(made.width, _LEAST_WIDTH)
    return made


@contextmanager
def shows_the_cursor(to: Console) -> Generator[None]:
    """Show the cursor after an interruption: a live display that is interrupted while it starts leaves it hidden."""
    try:
        yield
    except BaseException:
        to.show_cursor()
        raise


def shown(text: object, *, longest: int | None = None) -> str:
    """Return foreign text as one line: unprintable characters are escaped, a text that is too long is cut."""
    whole = str(text)
    line = whole if longest is None or len(whole) <= longest else f"{whole[:longest]}..."
    return line if line.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)


def say(*parts: str | tuple[str, str], stderr: bool = False) -> None:
    """Print one line without wrapping it; a part can be (text, style). Control characters are escaped.

    What cannot be written to the standard error is discarded: it must not keep a result from the standard output.
    """
    harmless = (shown(part) if isinstance(part, str) else (shown(part[0]), part[1]) for part in parts)
    try:
        console(stderr=stderr).print(Text.assemble(*harmless), soft_wrap=True)
    except OSError:
        if not stderr:
            raise


def print_finding(where: str, task: str, severity: Severity, message: str) -> None:
    """Print a finding as compilers do: its place, then its message. An empty id of a task is left out."""
    of = f"{shown(task, longest=100)}: " if task else ""
    say(f"{shown(where)}: {of}", (severity, _SEVERITIES[severity]), f": {shown(message)}")


class _EscapedTable(Table):
    """A table that escapes the control characters in its cells."""

    def add_row(self, *cells: RenderableType | None, **style: Any) -> None:
        super().add_row(*(Text(shown(each)) if isinstance(each, str) else each for each in cells), **style)


def table(*columns: str) -> Table:
    """Return an empty table whose columns have these titles. Cells that are too wide are wrapped, never cut off."""
    made = _EscapedTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for title in columns:
        made.add_column(title, overflow="fold")
    return made


def print_json(document: Any) -> None:
    """Print an indented JSON document."""
    typer.echo(json.dumps(document, indent=2))


def print_json_line(document: Any) -> None:
    """Print a JSON document on one line."""
    typer.echo(json.dumps(document))


@contextmanager
def errors_explained(*, as_json: bool = False, task: str | None = None, command: str | None = None) -> Generator[None]:
    """Turn every expected error into a line on the standard error and an exit code, instead of a traceback.

    Args:
        as_json: also print an error as a JSON object on one line of the standard output, unless it is bad input.
        task: the id that the command line names, for that object.
        command: the command that the command line names, for that object.
    """
    try:
        yield
    except LifecycleError as error:
        if as_json and isinstance(error, _OUTCOMES + _FAILURES):
            print_json_line(error_document(error, task=task, command=command))
        fail(_with_notes(error), NOT_LEGAL if isinstance(error, _OUTCOMES) else BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort) as error:  # Abort: at a prompt
        message = str(error) or "interrupted"
        if as_json:
            print_json_line({"task": task, "command": command, "error": "interrupted", "message": message})
        if str(error):
            explain(message)
        raise
    except BrokenPipeError:
        raise typer.Exit(UNREAD) from None
    except OSError as error:
        fail(os_error_text(error), BAD_INPUT)


def os_error_text(error: OSError) -> str:
    """Return the message of an OSError, with its file if it names one."""
    is_shown = error.filename is not None and not may_contain_password(str(error.filename))
    where = f": {error.filename}" if is_shown else ""
    return shown(f"{error.strerror or error}{where}", longest=1_000)


def write_whole(path: Path, content: bytes, *, mode: Literal["wb", "xb"]) -> None:
    """Write a file, which must be new in the mode "xb".

    Raises OSError, which names the file, if not all can be written; then no file is left.
    """
    file = path.open(mode)
    try:
        with file:
            file.write(content)
    except OSError as error:
        if path.is_file():  # no device or pipe
            path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


OPTIONS = {
    "base_url": "--base-url",
    "fields": "--field",
    "idempotency_key": "--idempotency-key",
    "labels": "--label",
    "memory": "--memory",
    "parameters": "--parameter",
    "profiles": "--profile",
    "reason": "--reason",
    "streams": "--streams",
    "usd": "--stop-at-cost",
}
"""The option that gives an argument of the library, by the name that the library's errors call it."""


@contextmanager
def misuse_is_bad_input(**options: str) -> Generator[None]:
    """Turn a TypeError or ValueError that the library raises for an argument into a message and exit code 2.

    Args:
        options: further options, by the argument that each gives; see `OPTIONS`.
    """
    try:
        yield
    except LifecycleError:
        raise
    except (TypeError, ValueError) as error:
        option = {**OPTIONS, **options}.get(getattr(error, "argument", ""))
        fail(_with_notes(error, "" if option is None else f"; on the command line: {option}"), BAD_INPUT)


def _with_notes(error: Exception, hint: str = "") -> str:
    is_left = isinstance(error, CommandInFlight) and error.claimed_by is None
    hints = ["on the command line: lifecycle recover, or lifecycle recover --abandon-command TASK"] if is_left else []
    return "\n".join([f"{error}{hint}", *notes_of(error), *hints])


def not_empty(parameter: typer.CallbackParam, given: str | None) -> str | None:
    """Return an option's text. Raises BadParameter if it is empty, such as from a shell variable that is not set.

    The environment variable of the option may not be empty either: Click would take it for one that is not set.
    """
    if given == "":
        raise typer.BadParameter("it is empty; give a text, or leave the option out")
    variable = parameter.envvar
    if given is None and isinstance(variable, str) and os.environ.get(variable) == "":
        raise typer.BadParameter("the variable is empty; give it a text, or unset it")
    return given


def accepted_by(check: Callable[[float], object]) -> Callable[[typer.Context, float | None], float | None]:
    """Return the callback of an option whose number this check of the library accepts, so that the bounds are its own.

    The callback raises BadParameter with the check's message if the check raises ValueError.
    """

    def checked(ctx: typer.Context, given: float | None) -> float | None:
        if given is not None and not ctx.resilient_parsing:  # a shell that completes a word waits for no import
            try:
                check(given)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
        return given

    return checked


def finite_seconds(given: float) -> None:
    """Raise ValueError unless a time is finite, and 0 or more."""
    require_number(given, "seconds", at_least=0, less_than=float("inf"))


def fail(message: str, code: int) -> NoReturn:
    """Print what is wrong, one line for each line of the message, and end the command with an exit code."""
    explain(message)
    raise typer.Exit(code)


def explain(message: str) -> None:
    """Print what is wrong, one line for each line of the message."""
    first, *further = without_passwords(message).splitlines() or [""]  # an argument in it may be a URL with a password
    say(("lifecycle: ", "bold red"), shown(first), stderr=True)
    for line in further:
        say(shown(line), stderr=True)
