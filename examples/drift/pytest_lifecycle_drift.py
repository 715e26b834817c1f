"""A pytest plugin: each line of the setting `lifecycle_drift` is one test, which fails if there is drift.

    [tool.pytest.ini_options]
    addopts = "-p pytest_lifecycle_drift"
    lifecycle_drift = ["v4 openapi/v4.json", "./printer.yaml https://printer.invalid/openapi.json"]

A line names a lifecycle of the catalog, or the file that declares a service, and an OpenAPI document, a file or a URL.
Files are relative to pytest's root. The tests have the marker `lifecycle_drift`: `-m "not lifecycle_drift"` leaves them
out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lifecycle import CATALOG, Lifecycle, LifecycleError
from lifecycle_adapters.drift import Comparison, compare, load
from lifecycle_adapters.http import HttpBinding
from lifecycle_adapters.services import service_of

NAME = "lifecycle_drift"


class Drift(Exception):
    """A lifecycle differs from a document."""


class DriftTest(pytest.Item):
    """The comparison that one line of the setting asks for."""

    def runtest(self) -> None:
        """Compare. Raises Drift, or UsageError: the line is malformed."""
        lifecycle, _, document = self.name.partition(" ")
        if not document.strip():
            raise pytest.UsageError(f"{NAME}: a line is LIFECYCLE DOCUMENT, not {self.name!r}")
        found = self._compared(lifecycle, document.strip())
        if not found.is_same:
            lines = (f"{each.place}: {each.kind}: {each.message}" for each in found.differences)
            raise Drift("\n".join([found.summary, *lines]))

    def _compared(self, name: str, document: str) -> Comparison:
        root = self.config.rootpath
        lifecycle, binding = _declared(name, root)
        return compare(lifecycle, binding, load(document if "://" in document else root / document))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the differences, or what is wrong with a file, without a traceback."""
        if isinstance(excinfo.value, Drift | LifecycleError | OSError | pytest.UsageError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return what a report calls the test."""
        return self.config.rootpath, None, f"{NAME}: {self.name}"


def _declared(name: str, root: Path) -> tuple[Lifecycle[Any, Any], HttpBinding[Any, Any]]:
    if name in CATALOG:
        return CATALOG[name], service_of(CATALOG[name])
    binding = HttpBinding.from_file(root / name)
    return binding.lifecycle, binding


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting."""
    parser.addini(NAME, "lifecycles and the OpenAPI documents to compare them with", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", f"{NAME}: compares a lifecycle with an OpenAPI document")


@pytest.hookimpl(tryfirst=True)  # before others choose among the tests
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each line of the setting."""
    kind: Any = DriftTest
    for line in config.getini(NAME):
        test = kind.from_parent(session, name=line)
        test.add_marker(NAME)
        items.append(test)
