"""The extras that a command line needs, as far as its arguments show, so that one message names all that are missing.

If the arguments do not show that an extra is needed, the adapter that needs it raises MissingExtra later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from lifecycle.documents import require_yaml
from lifecycle.errors import MissingExtra
from lifecycle_adapters.connection_strings import is_postgres

_OF_COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("logs",),
    "report": ("logs",),
    "create": ("http",),
    "status": ("http",),
    "send": ("http",),
    "wait": ("http",),
    "watch": ("watch",),
    "tasks": ("journal",),
    "history": ("journal",),
    "recover": ("http", "journal"),
    "journal": ("journal",),
    "serve": ("emulator",),
    "demo": ("emulator", "http", "journal"),
    "diagrams": ("render",),
    "drift": ("drift",),
    "import": ("drift",),
}
_LOGS = ("check", "report")
_RECORDING = ("create", "status", "send", "wait", "watch", "tasks", "history", "recover", "journal")
_OF_FORMATS = {"yaml": "yaml", "svg": "render", "png": "render"}
_HELP = frozenset({"--help", "-h", "--version"})


def require_extras(arguments: Sequence[str]) -> None:
    """Check that every extra which the command line needs is installed.

    Args:
        arguments: the arguments after the program's name.
    Raises:
        MissingExtra: at least one is missing; it names all of them.
    """
    missing = [extra for extra in dict.fromkeys(_needed(arguments)) if not _is_installed(extra)]
    if missing:
        raise MissingExtra(*missing, needed_by="this command")


def _needed(arguments: Sequence[str]) -> Iterator[str]:
    yield "cli"
    command = arguments[0] if arguments else ""
    if _HELP.intersection(arguments):
        return
    yield from _OF_COMMANDS.get(command, ())
    if command in _RECORDING:
        journal = _option_value(arguments, "--journal") or os.environ.get("LIFECYCLE_JOURNAL")
        if journal:
            yield "journal"
            if is_postgres(journal):
                yield "postgres"
    if command in _LOGS:
        if _option_value(arguments, "--engine") == "spark":
            yield "spark"
        if any(map(is_postgres, arguments[2:])):
            yield "postgres"
    named = {"show": 1, "judge": 1, "diff": 2, **dict.fromkeys(_LOGS, 1)}.get(command, 0)
    if any(Path(each).suffix.lower() in (".yaml", ".yml") for each in arguments[1 : 1 + named]):
        yield "yaml"
    if command == "show":
        chosen = _option_value(arguments, "--format", "-f")
        if chosen in _OF_FORMATS:
            yield _OF_FORMATS[chosen]


def _option_value(arguments: Sequence[str], *names: str) -> str | None:
    """Return the value of an option, None if it is not given."""
    for argument, following in zip(arguments, (*arguments[1:], None), strict=True):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else following
    return None


def _is_installed(extra: str) -> bool:
    try:
        _PROBES[extra]()
    except ImportError:  # MissingExtra is one
        return False
    return True


def _require_layout() -> None:
    from lifecycle_adapters.render import require_layout

    require_layout()


_PROBES: dict[str, Callable[[], object]] = {
    "cli": partial(import_module, "lifecycle_adapters.cli.app"),
    "http": partial(import_module, "lifecycle_adapters.http.client"),
    "watch": partial(import_module, "lifecycle_adapters.watch"),
    "emulator": partial(import_module, "lifecycle_adapters.emulator"),
    "journal": partial(import_module, "lifecycle_adapters.journal"),
    "postgres": partial(import_module, "psycopg"),
    "logs": partial(import_module, "lifecycle_adapters.logs"),
    "spark": partial(import_module, "pyspark"),
    "drift": partial(import_module, "lifecycle_adapters.drift"),
    "yaml": require_yaml,
    "render": _require_layout,
}
