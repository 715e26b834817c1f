"""The description on PyPI is the README without the links that would lead nowhere there."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support.packages import ROOT


def test_the_description_has_no_link_into_the_repository() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "hatch_fancy_pypi_readme"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert made.stdout.startswith("# task-lifecycle\n")
    assert re.findall(r"^```.*?^```", made.stdout, re.DOTALL | re.MULTILINE) == re.findall(
        r"^```.*?^```", readme, re.DOTALL | re.MULTILINE
    )
    assert [link for link in re.findall(r"\]\(([^)]*)\)", made.stdout) if not link.startswith("https:")] == []
