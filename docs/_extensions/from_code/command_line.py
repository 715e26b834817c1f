"""The command line, from its Typer application: commands, exit codes, environment variables."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from from_code.markdown import code, prose, table
from lifecycle_adapters.cli.app import app
from lifecycle_adapters.cli.output import EXIT_CODES
from lifecycle_adapters.http import KeyVariable
from lifecycle_adapters.services import service, services

_ROOT: Any = typer.main.get_command(app)


def _all_commands() -> Iterator[tuple[str, Any]]:
    for name, command in _ROOT.commands.items():
        parts = getattr(command, "commands", None)
        yield from ((f"{name} {each}", part) for each, part in parts.items()) if parts else ((name, command),)


def commands() -> str:
    """Return a section for each command: its use, its help, its arguments and options."""
    return "".join(_section(name, command) for name, command in _all_commands())


def _section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    shown = "".join(f" {_argument(each)}" for each in arguments)
    usage = f"lifecycle {name}{shown}{' [OPTIONS]' if options else ''}"
    return (
        f"## lifecycle {name}\n\n```text\n{usage}\n```\n\n{prose(inspect.cleandoc(command.help or ''))}\n\n"
        + _parameters("argument", arguments)
        + _parameters("option", options)
    )


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    shown = f"{name}..." if parameter.nargs == -1 else name
    return shown if parameter.required else f"[{shown}]"


def _parameters(title: str, parameters: list[Any]) -> str:
    rows = ((_named(each), _meaning(each)) for each in parameters)
    return table((title, "meaning"), rows) if parameters else ""


def _named(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return code(_argument(parameter).strip("[]"))
    names = ", ".join(code(each) for each in (*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {code(_value(parameter))}"


def _value(parameter: Any) -> str:
    kind = parameter.type_descriptor
    if parameter.metavar:
        return str(parameter.metavar)
    return "|".join(map(str, kind.choices)) if kind.is_choice else str(kind.annotation.__name__).upper()


def _meaning(parameter: Any) -> str:
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    has_default = default is not None and not getattr(parameter, "is_flag", False)
    facts = (
        "required" if parameter.required and parameter.param_type_name == "option" else "",
        f"default {code(default)}" if has_default else "",
        f"or the environment variable {code(parameter.envvar)}" if parameter.envvar else "",
    )
    said = "; ".join(filter(None, facts))
    return f"{prose(parameter.help or '')}{f' ({said})' if said else ''}"


def exit_codes() -> str:
    """Return a table of the exit codes."""
    return table(("code", "meaning"), ((code(each), prose(meaning)) for each, meaning in EXIT_CODES.items()))


def environment() -> str:
    """Return a table of the variables that hold keys, and one of those that stand for options."""
    return table(("variable", "the key of", "sent to"), _keys()) + table(("variable", "option", "meaning"), _options())


def _keys() -> Iterator[tuple[str, str, str]]:
    variables: dict[KeyVariable, list[str]] = {}
    for name in services():
        if (variable := service(name).key_variable) is not None:
            variables.setdefault(variable, []).append(name)
    for variable, names in variables.items():
        yield code(variable.name), ", ".join(names), f"{code(variable.server)} and this machine, no other server"


def _options() -> Iterator[tuple[str, str, str]]:
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for name, command in _all_commands():
        for each in command.params:
            if each.envvar:
                found.setdefault((each.envvar, each.opts[0]), (each.help, []))[1].append(code(name))
    for (variable, option), (meaning, names) in found.items():
        yield code(variable), f"{code(option)} of {', '.join(names)}", prose(meaning)
