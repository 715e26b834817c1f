"""The public names: the modules that users import, and the exports of each.

A module with `__all__` exports what that lists; the few without it, whatever they define whose name has no underscore.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import lifecycle
import lifecycle_adapters

# Modules whose names are exported by a package above them, or whose users are the project's own modules.
_INNER = {"lifecycle.catalog", "lifecycle.lifecycle", "lifecycle_adapters.cli", "lifecycle_adapters.logs.text"}
# Public without an `__all__`.
_WHOLE = {
    "lifecycle.effects",
    "lifecycle.journal",
    "lifecycle.reducers",
    "lifecycle_adapters.telemetry",
}


@dataclass(frozen=True)
class Public:
    """A public name: the module that exports it, and its value there."""

    module: str
    name: str
    value: Any

    @property
    def full_name(self) -> str:
        """The name with which users import it."""
        return f"{self.module}.{self.name}"

    @property
    def is_lifecycle(self) -> bool:
        """Return whether it is a declared lifecycle, whose citation describes it."""
        return isinstance(self.value, lifecycle.Lifecycle)

    @property
    def kind(self) -> str:
        """The heading that it stands under."""
        if inspect.isclass(self.value):
            if issubclass(self.value, BaseException):
                return "Warnings" if issubclass(self.value, Warning) else "Exceptions"
            return "Enumerations" if issubclass(self.value, Enum) else "Classes"
        return "Functions" if inspect.isroutine(self.value) else "Values"


def summary(value: Any) -> str:
    """Return the first paragraph of a docstring as one line; nothing if it is inherited, or made by `dataclass`."""
    own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    if not own or own.startswith(f"{getattr(value, '__name__', '')}("):
        return ""
    first, *_ = inspect.cleandoc(own).split("\n\n")
    return " ".join(first.split())


@cache
def module_files() -> dict[str, Path]:
    """Return the file of every module of both packages, by its full name; none is imported."""
    roots = [Path(str(package.__file__)).parent for package in (lifecycle, lifecycle_adapters)]
    return {_name_of(path, root): path for root in roots for path in sorted(root.rglob("*.py"))}


def _name_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(module: str) -> ast.Module:
    """Return the syntax tree of a module's source."""
    return ast.parse(module_files()[module].read_text(encoding="utf-8"))


@cache
def public_modules() -> tuple[str, ...]:
    """Return the modules that have a page."""
    return tuple(name for name in module_files() if name in _WHOLE or (_has_all(name) and name not in _INNER))


def _has_all(module: str) -> bool:
    targets = (node.targets for node in tree(module).body if isinstance(node, ast.Assign))
    return any(isinstance(each, ast.Name) and each.id == "__all__" for target in targets for each in target)


@cache
def public_names(module: str) -> tuple[Public, ...]:
    """Return what a module exports: in the order of its `__all__`, or of its source."""
    made = import_module(module)
    exported = getattr(made, "__all__", None) or [*_defined(made)]
    return tuple(Public(module, name, getattr(made, name)) for name in exported)


def _defined(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        is_own = (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
        if not name.startswith("_") and (is_own or name in documented_values(module.__name__)):
            yield name


@cache
def everything() -> tuple[Public, ...]:
    """Return every public name of every public module."""
    return tuple(each for module in public_modules() for each in public_names(module))


@cache
def documented_values(module: str) -> dict[str, str]:
    """Return the text below each assignment of a module, by the assigned name."""
    body = tree(module).body
    found: dict[str, str] = {}
    for node, after in pairwise(body):
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[target.id] = inspect.cleandoc(str(after.value.value))
    return found


def value_text(public: Public) -> str:
    """Return the text that stands below the assignment of a value, in whichever module that is."""
    for module in (public.module, *module_files()):
        text = documented_values(module).get(public.name)
        if text is not None and getattr(import_module(module), public.name, None) is public.value:
            return text
    return ""
