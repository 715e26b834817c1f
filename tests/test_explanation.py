"""The pictures of the explanation are drawn from their sources in DOT, byte for byte.

`python -m tests.test_explanation` draws them again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle_adapters.render import dot_to_svg
from tests.support.packages import ROOT

SOURCES = sorted((ROOT / "docs" / "explanation").glob("*.dot"))


def drawn(source: Path) -> str:
    """Return the SVG of a picture in DOT, titled by its file's name."""
    return dot_to_svg(source.read_text(encoding="utf-8"), title=source.stem.replace("-", " "), dark={})


def test_pictures_are_found() -> None:
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_picture_is_up_to_date(source: Path) -> None:
    assert source.with_suffix(".svg").read_text(encoding="utf-8") == drawn(source), "python -m tests.test_explanation"


if __name__ == "__main__":
    for each in SOURCES:
        each.with_suffix(".svg").write_text(drawn(each), encoding="utf-8")
