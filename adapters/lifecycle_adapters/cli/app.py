"""The Typer application: all commands, in the order in which `--help` lists them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import metadata
from typing import Annotated, Any

from lifecycle.errors import MissingExtra

try:
    import rich as _rich
    import typer
except ImportError:
    raise MissingExtra("cli", needed_by="the command line") from None

from lifecycle_adapters.cli import journal_commands
from lifecycle_adapters.cli.declarations import diagrams, judge, list_
from lifecycle_adapters.cli.demo import demo
from lifecycle_adapters.cli.diff_command import diff_
from lifecycle_adapters.cli.drift_command import drift
from lifecycle_adapters.cli.import_command import import_
from lifecycle_adapters.cli.log_commands import check, report
from lifecycle_adapters.cli.output import errors_explained, say
from lifecycle_adapters.cli.serve_command import serve
from lifecycle_adapters.cli.show import show
from lifecycle_adapters.cli.signals import ended_in_order
from lifecycle_adapters.cli.task_commands import create, send, status, wait
from lifecycle_adapters.cli.usage import Command
from lifecycle_adapters.cli.watch_command import watch

del _rich

_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Lifecycles": {
        "list": list_,
        "show": show,
        "judge": judge,
        "diff": diff_,
        "drift": drift,
        "import": import_,
        "diagrams": diagrams,
    },
    "Logs": {"check": check, "report": report},
    "Tasks of a service": {"create": create, "status": status, "send": send, "wait": wait, "watch": watch},
    "The journal": {
        "tasks": journal_commands.tasks,
        "history": journal_commands.history,
        "recover": journal_commands.recover,
    },
    "Offline": {"serve": serve, "demo": demo},
}

_JOURNAL: dict[str, Callable[..., None]] = {
    "check": journal_commands.check,
    "export": journal_commands.export,
    "add-server": journal_commands.add_server,
    "forget": journal_commands.forget,
    "prune": journal_commands.prune,
}

app = typer.Typer(
    name="lifecycle",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A pretty traceback can show local variables, and one of them is the API key.
    pretty_exceptions_enable=False,
)


def _print_version(is_given: bool) -> None:
    if is_given:
        say(f"task-lifecycle {metadata.version('task-lifecycle')}")
        raise typer.Exit


@app.callback()
def _about(  # pyright: ignore[reportUnusedFunction]
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version)
    ] = False,
) -> None:
    """Declare, check and drive the lifecycles of remote tasks."""


def _explaining(function: Callable[..., None]) -> Callable[..., None]:
    """Return the command with its expected errors, and the signals that end it, turned into a line and an exit code."""

    @wraps(function)
    def run(**given: Any) -> None:
        explained = errors_explained(
            as_json=given.get("as_json", False), task=given.get("task_id"), command=given.get("command")
        )
        with ended_in_order(), explained:
            function(**given)

    return run


for _panel, _functions in _COMMANDS.items():
    for _name, _function in _functions.items():
        app.command(_name, cls=Command, rich_help_panel=_panel)(_explaining(_function))

_journal = typer.Typer(no_args_is_help=True, help="Check a journal, export its reports, or delete from it.")
for _name, _function in _JOURNAL.items():
    _journal.command(_name, cls=Command)(_explaining(_function))
app.add_typer(_journal, name="journal", rich_help_panel="The journal")
