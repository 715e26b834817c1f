"""The emulator's package names no API version: what a version has beyond its binding is a profile in services/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.packages import MODULES

PACKAGE = {name: path for name, path in MODULES.items() if name.startswith("lifecycle_adapters.emulator")}
VERSION = re.compile(r"(?i)(?<![a-z0-9])v[0-9]+(?![0-9])|browser.?use")


@pytest.mark.parametrize("path", PACKAGE.values(), ids=list(PACKAGE))
def test_no_file_of_the_emulator_names_a_version(path: Path) -> None:
    assert VERSION.findall(path.read_text(encoding="utf-8")) == []


def test_a_version_would_be_found() -> None:
    service = MODULES["lifecycle_adapters.services.v2_emulation"].read_text(encoding="utf-8")
    assert len(PACKAGE) > 10
    assert {"v2", "V2", "Browser Use"} <= set(VERSION.findall(service))
