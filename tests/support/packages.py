"""The two import packages: where each lies in this checkout, and the modules in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"lifecycle": ROOT / "lifecycle", "lifecycle_adapters": ROOT / "adapters" / "lifecycle_adapters"}


def _name_of(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_name_of(path, package): path for package in PACKAGES.values() for path in sorted(package.rglob("*.py"))}
"""The file of each module, by its full name."""


def belongs(module: str, package: str) -> bool:
    """Return whether a module is the package or lies in it."""
    return module == package or module.startswith(f"{package}.")
