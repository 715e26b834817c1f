"""The output of commands for programs: facts as JSON values, and errors that are outcomes as JSON objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from lifecycle.errors import LifecycleError
from lifecycle_adapters.cli.times import iso


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
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def outcome_document(error: LifecycleError, *, task: str | None, command: str | None) -> dict[str, Any]:
    """Return an error as a JSON object: what was tried, the error's kind and message, and the facts that it carries.

    Args:
        error: the outcome of a command or of a wait.
        task: the task that the command line named, if the error names none.
        command: the command that the command line named, if the error names none.
    """
    facts = {name: plain(value) for name, value in vars(error).items() if not name.startswith("_")}
    known = {"task": task, "command": command, "error": snake_case(type(error)), "message": str(error)}
    return {**known, **facts}
