"""Stable codes and the tree of errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from importlib import import_module

from from_code.docstrings import comments
from from_code.markdown import code, docstring_table, prose, table
from from_code.public_names import everything, summary
from lifecycle import LifecycleError, validation


def declaration_findings() -> str:
    """Return a table of the codes of findings about declarations."""
    rows = docstring_table(inspect.getdoc(validation) or "", "Their codes are stable:")
    return table(("code", "meaning"), ((code(name), prose(meaning)) for name, meaning in rows))


def members(full_name: str) -> str:
    """Return a table of an enumeration's values, with the comment beside each member."""
    module, _, name = full_name.rpartition(".")
    kind: type[Enum] = getattr(import_module(module), name)
    meanings = comments(kind)
    rows = ((code(each.value), prose(meanings.get(each.name, ""))) for each in kind)
    return table(("code", "meaning"), rows)


def errors() -> str:
    """Return the tree of exceptions as a nested list: each with its link and the first sentence about it."""
    return "".join(_branch(LifecycleError, 0))


def _branch(kind: type[BaseException], depth: int) -> Iterator[str]:
    public = {each.value: each.full_name for each in everything() if each.kind == "Exceptions"}
    named = f"{{py:obj}}`~{public[kind]}`" if kind in public else code(kind.__name__)
    builtin = [each.__name__ for each in kind.__bases__ if each.__module__ == "builtins" and each is not Exception]
    also = f" (also a {code(builtin[0])})" if builtin else ""
    yield f"{'  ' * depth}- {named}{also}: {prose(summary(kind))}\n"
    for each in kind.__subclasses__():
        if not each.__name__.startswith("_"):
            yield from _branch(each, depth + 1)
