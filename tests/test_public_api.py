"""The public names: sorted, there, and documented; and the tree of exceptions as it is printed."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import traceback
from enum import Enum
from typing import Any

import pytest

import lifecycle
from lifecycle import CATALOG, Lifecycle, errors
from lifecycle_adapters.http import AsyncClient, Client
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.logs import Files
from tests.support.packages import MODULES

PUBLIC = [name for name, path in MODULES.items() if "\n__all__" in path.read_text(encoding="utf-8")]
# Spark is there with all tests only.
EXPORTING = [pytest.param(name, marks=pytest.mark.heavy) if "spark" in name else name for name in PUBLIC]


def in_order(name: str) -> tuple[int, list[str | int]]:
    """Constants, classes, functions; each in natural order (the linter's rule for `__all__`)."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("module", EXPORTING)
def test_exported_names_are_sorted_and_exist(module: str) -> None:
    exported: list[str] = importlib.import_module(module).__all__

    assert exported == sorted(exported, key=in_order)
    assert len(exported) == len(set(exported))
    for name in exported:
        assert hasattr(importlib.import_module(module), name)


def own_doc(value: Any) -> str:
    """A class's or function's own docstring: neither inherited nor made by `dataclass`."""
    doc = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    return "" if not doc or doc.startswith(f"{value.__name__}(") else str(doc)


def may_be_shown_half_made(kind: type[Any]) -> bool:
    """Return whether its constructor can raise before the parts of its repr are there, which an error report may show.

    A generated constructor of a dataclass sets all of them first.
    """
    if "__repr__" not in {name for base in kind.__mro__[:-1] for name in vars(base)} or issubclass(kind, BaseException):
        return False
    if not dataclasses.is_dataclass(kind):
        return True
    is_generated = kind.__init__.__code__.co_filename == "<string>"
    return not is_generated or any(field.repr and not field.init for field in dataclasses.fields(kind))


@pytest.mark.parametrize("module", EXPORTING)
def test_repr_of_an_uninitialised_object_does_not_raise(module: str) -> None:
    facade = importlib.import_module(module)
    for name in facade.__all__:
        kind = getattr(facade, name)
        if inspect.isclass(kind) and not issubclass(kind, Enum | tuple) and may_be_shown_half_made(kind):
            assert repr(kind.__new__(kind))


MISTAKES: list[tuple[Any, dict[str, Any]]] = [
    (Client, {"api": "v1", "timing": 5}), (AsyncClient, {"api": "v1", "timing": 5}), (Files, {}),
    (Lifecycle, {"name": "", "citation": "", "states": [], "events": [], "transitions": []}),
    (SqlJournal, {"url": "/absent/journal.db"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "given"), MISTAKES, ids=lambda each: getattr(each, "__name__", ""))
def test_an_error_report_that_shows_variables_shows_the_error(kind: Any, given: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r".") as raised:
        kind(**given)

    report = traceback.TracebackException.from_exception(raised.value, capture_locals=True)

    assert str(raised.value) in "".join(report.format())


@pytest.mark.parametrize("module", EXPORTING)
def test_exported_names_are_documented(module: str) -> None:
    facade = importlib.import_module(module)
    exported = {name: getattr(facade, name) for name in facade.__all__}

    silent = [
        name
        for name, value in exported.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not own_doc(value)
    ]

    assert silent == []
    assert facade.__doc__


def listed_attributes(text: str) -> set[str]:
    """The names before the colons in the section Attributes of a docstring."""
    _, _, section = inspect.cleandoc(text).partition("Attributes:\n")
    section, _, _ = section.partition("\n\n")
    lines = re.findall(r"^    ([a-z_0-9, ]+):", section, re.MULTILINE)
    return {name.strip() for line in lines for name in line.split(",")}


@pytest.mark.parametrize("module", EXPORTING)
def test_a_list_of_attributes_is_complete(module: str) -> None:
    facade = importlib.import_module(module)

    for value in filter(inspect.isclass, (getattr(facade, name) for name in facade.__all__)):
        if dataclasses.is_dataclass(value) and "Attributes:\n" in own_doc(value):
            public = {each.name for each in dataclasses.fields(value) if not each.name.startswith("_")}
            assert public <= listed_attributes(own_doc(value)), value


# --- the facade of the core --------------------------------------------------------------------


def exceptions() -> dict[str, type[BaseException]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == errors.__name__
    }


def test_the_core_exports_every_exception_and_every_declared_lifecycle() -> None:
    exported = set(lifecycle.__all__)

    assert set(exceptions()) <= exported
    assert {name.replace("-", "_").upper() for name in CATALOG} <= exported


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lifecycle' has no attribute 'Mashine'"):
        getattr(lifecycle, "Mashine")  # noqa: B009 (a type checker refuses it)


def test_importing_the_core_does_not_import_command_modules() -> None:
    program = "import lifecycle, sys; print([each for each in sys.modules if each.startswith('lifecycle.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "'lifecycle.table'" in done.stdout
    assert not any(f"'lifecycle.{each}'" in done.stdout for each in ("command", "effects", "create", "memory"))


def printed_tree() -> dict[str, tuple[str | None, str | None]]:
    """The tree atop errors.py: each class with its parent there, and the built-in one it is said to be as well."""
    found: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"^    (?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<rest>.*)$", line)
        if drawn:
            depth = len(drawn["branch"]) // 4
            above[depth:] = [drawn["name"]]
            also = re.search(r"\(an? (\w+)\)", drawn["rest"])
            found[drawn["name"]] = (above[depth - 1] if depth else None, also[1] if also else None)
    return found


def test_documented_exception_tree_equals_the_class_tree() -> None:
    printed = printed_tree()
    classes = exceptions()

    assert list(printed) == list(classes), "in the order of the file"
    for name, (parent, also) in printed.items():
        first, *others = (base.__name__ for base in classes[name].__bases__)
        assert first == (parent or "Exception")
        assert others == ([also] if also else [])
