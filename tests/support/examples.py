"""The services in examples/services: their bindings, and the profiles of those that the emulator cannot do without."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lifecycle_adapters.emulator import Profile
from lifecycle_adapters.http import HttpBinding
from tests.support.packages import ROOT

FOLDER = ROOT / "examples" / "services"
EXAMPLES: dict[str, HttpBinding[Any, Any]] = {
    path.stem: HttpBinding.from_file(path) for path in sorted(FOLDER.glob("*.yaml"))
}
"""By the name of the file, which is the service's. Parameters of paths are not filled in."""
PROFILES: dict[str, Profile] = {
    name: import_module(f"{name.replace('-', '_')}_emulation").PROFILE
    for name, binding in EXAMPLES.items()
    if binding.state_of is not None
}
PARAMETERS = {
    "github-run": {"owner": "acme", "repo": "web", "workflow": "build.yaml"},
    "google-operation": {"project": "123", "processor": "abc"},
    "kubernetes-job": {"namespace": "default"},
}


def filled(name: str) -> HttpBinding[Any, Any]:
    """Return the binding of that name, with parameters."""
    return EXAMPLES[name].with_parameters(PARAMETERS.get(name, {}))
