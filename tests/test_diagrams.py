"""The pictures in diagrams/ are those of the declared lifecycles, byte for byte."""

from __future__ import annotations

from pathlib import Path

from lifecycle_adapters.render import write_gallery

DIAGRAMS = Path(__file__).parent.parent / "diagrams"


def test_diagrams_are_up_to_date(tmp_path: Path) -> None:
    fresh = {path.name: path.read_bytes() for path in write_gallery(tmp_path)}
    kept = {path.name: path.read_bytes() for path in DIAGRAMS.iterdir()}

    differing = sorted(name for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))
    assert not differing, "run `make diagrams`"
