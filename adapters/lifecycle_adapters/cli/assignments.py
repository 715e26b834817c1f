"""Options of the form NAME=VALUE that can be repeated: parsed, each name at most once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lifecycle_adapters.cli.output import BAD_INPUT, fail, shown

V = TypeVar("V")


def assignments(option: str, texts: Iterable[str] | None, parse: Callable[[str], tuple[str, V]]) -> dict[str, V]:
    """Return what a repeated option assigns, by name; end the command as bad input if a name is repeated.

    Args:
        option: its name, such as `--label`, for the message.
        texts: the option's values, None if it was not given.
        parse: returns the name and the value of one text, or ends the command.
    """
    values: dict[str, V] = {}
    for name, value in map(parse, texts or ()):
        if name in values:
            fail(f"{option} names {shown(name)!r} twice; give each name once", BAD_INPUT)
        values[name] = value
    return values


def text_assignment(text: str) -> tuple[str, str]:
    """Parse the `NAME=TEXT` of a label, or end the command as bad input."""
    return _text_assignment("a label", text)


def parameter_assignment(text: str) -> tuple[str, str]:
    """Parse the `NAME=TEXT` of a parameter, or end the command as bad input."""
    return _text_assignment("a parameter", text)


def _text_assignment(what: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        fail(f"{what} is NAME=TEXT, not {shown(text)!r}", BAD_INPUT)
    return name, value


def field_assignment(text: str) -> tuple[str, Any]:
    """Parse the `NAME=TEXT` or `NAME:=JSON` of a field, or end the command as bad input."""
    name, equals, value = text.partition("=")
    if not equals or not name.removesuffix(":"):
        fail(f"a field is NAME=TEXT or NAME:=JSON, not {shown(text)!r}", BAD_INPUT)
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except RecursionError:
        fail(f"the field {shown(name[:-1])!r} is not JSON: it is nested too deeply", BAD_INPUT)
    except ValueError as error:
        fail(f"the field {shown(name[:-1])!r} is not JSON: {error}", BAD_INPUT)


def adoption(text: str) -> tuple[str, str]:
    """Parse the `CREATE=TASK` of an adoption, or end the command as bad input."""
    create, equals, task = text.partition("=")
    if not equals or not create or not task:
        fail(f"an adoption is CREATE=TASK, not {shown(text)!r}", BAD_INPUT)
    return create, task
