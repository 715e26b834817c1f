"""The services that clients know by name. Users register wire tables for services of their own."""

from __future__ import annotations

from typing import Any

from lifecycle.errors import UnknownName
from lifecycle_adapters.http.v1 import V1
from lifecycle_adapters.http.v2 import V2, V2_SESSION
from lifecycle_adapters.http.v3 import V3
from lifecycle_adapters.http.v4 import V4
from lifecycle_adapters.http.wire import Wire

_SERVICES: dict[str, Wire[Any, Any]] = {wire.name: wire for wire in (V1, V2, V2_SESSION, V3, V4)}


def register(wire: Wire[Any, Any]) -> None:
    """Make a service known by its name.

    Raises:
        ValueError: another service has that name.
    """
    if _SERVICES.setdefault(wire.name, wire) is not wire:
        raise ValueError(f"a service named {wire.name!r} is registered already")


def service(name: str) -> Wire[Any, Any]:
    """Return the service of that name, such as "v2". Raises UnknownName."""
    try:
        return _SERVICES[name]
    except KeyError:
        raise UnknownName("service", name, known=_SERVICES, where="services") from None


def services() -> tuple[str, ...]:
    """Return the names of all services, the built-in ones first."""
    return tuple(_SERVICES)
