"""The two import packages: their folders in this checkout, and their modules."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"lifecycle": ROOT / "lifecycle", "lifecycle_adapters": ROOT / "adapters" / "lifecycle_adapters"}


def _name_of(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_name_of(path, package): path for package in PACKAGES.values() for path in sorted(package.rglob("*.py"))}
"""The file of each module, by its full name."""


def belongs(module: str, package: str) -> bool:
    """Return whether a module is the package itself or a module of it."""
    return module == package or module.startswith(f"{package}.")
