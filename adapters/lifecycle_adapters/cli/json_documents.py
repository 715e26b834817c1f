"""The output of commands for programs: facts as JSON values, and errors as JSON objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from lifecycle.errors import LifecycleError
from lifecycle_adapters.cli.times import iso
from lifecycle_adapters.connection_strings import without_passwords


def plain(fact: Any) -> Any:
    """Return a fact as a JSON value: times in ISO 8601, sequences as lists, what JSON lacks as its text."""
    if fact is None or isinstance(fact, bool | int | float | str):
        return fact
    if isinstance(fact, datetime):
        return iso(fact)
    if isinstance(fact, Mapping):
        return {str(name): plain(value) for name, value in cast("Any", fact).items()}
    if isinstance(fact, tuple | list):
        return [plain(each) for each in cast("Any", fact)]
    return str(fact)


def snake_case(kind: type) -> str:
    """Return the name of a class as JSON documents write it, such as `command_refused`."""
    return re.sub("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


def notes_of(error: Exception) -> list[str]:
    """Return what is known in spite of an error, as sentences: that a task was created, or the state it has reached."""
    return list(getattr(error, "__notes__", ()))


def error_document(error: LifecycleError, *, task: str | None, command: str | None) -> dict[str, Any]:
    """Return an error as a JSON object: what was tried, the error's kind and message, and the facts that it carries.

    It contains no password of a URL.

    Args:
        error: an outcome, or the failure of what a command needs.
        task: the task that the command line named, if the error names none.
        command: the command that the command line named, if the error names none.
    """
    facts = {name: plain(value) for name, value in vars(error).items() if not name.startswith("_")}
    known = {"task": task, "command": command, "error": snake_case(type(error)), "message": str(error)}
    notes = {"notes": notes_of(error)} if notes_of(error) else {}
    document: dict[str, Any] = _without_passwords({**known, **facts, **notes})
    return document


def _without_passwords(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_passwords(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        items: list[Any] = cast("Any", value)
        return [*map(_without_passwords, items)]
    return without_passwords(value) if isinstance(value, str) else value
