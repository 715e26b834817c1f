"""The services that clients know by name. Users register bindings for services of their own.

One emulator can have all of `BUILT_IN`. Those in `FURTHER` are known by name, too, but emulated only if they are named:
v2 of 2025 has the paths of v2, and any server may speak A2A or MCP.
"""

from __future__ import annotations

from typing import Any

from lifecycle.errors import UnknownName, nearest
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.argument_checks import require, require_lifecycle
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.services.a2a import A2A
from lifecycle_adapters.services.a2a_jsonrpc import A2A_JSONRPC
from lifecycle_adapters.services.mcp import MCP
from lifecycle_adapters.services.mcp_extension import MCP_EXTENSION
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2, V2_2025, V2_SESSION
from lifecycle_adapters.services.v3 import V3
from lifecycle_adapters.services.v4 import V4, V4_MESSAGE

BUILT_IN: tuple[HttpBinding[Any, Any], ...] = (V1, V2, V2_SESSION, V3, V4, V4_MESSAGE)
FURTHER: tuple[HttpBinding[Any, Any], ...] = (V2_2025, A2A, A2A_JSONRPC, MCP, MCP_EXTENSION)

_SERVICES = {binding.name: binding for binding in (*BUILT_IN, *FURTHER)}


def register(binding: HttpBinding[Any, Any]) -> None:
    """Make a service known by its name.

    Raises:
        TypeError: it is not an HttpBinding.
        ValueError: another service has that name.
    """
    require(binding, HttpBinding, "`binding` must be an HttpBinding, such as HttpBinding(name='printer', ...)")
    if _SERVICES.setdefault(binding.name, binding) is not binding:
        raise ValueError(f"a service named {binding.name!r} is registered already")


def service(name: str) -> HttpBinding[Any, Any]:
    """Return the service of that name, such as "v2".

    Raises UnknownName if there is none; if it is the name of a lifecycle, the message proposes a service that has it.
    """
    try:
        return _SERVICES[name]
    except (KeyError, TypeError):  # the latter of what is unhashable
        meant, advice = _with_lifecycle(name)
        raise UnknownName("service", name, known=_SERVICES, where="services", meant=meant, advice=advice) from None


def _with_lifecycle(name: object) -> tuple[str | None, str]:
    """Return the service whose lifecycle has this name, or nearly this name and no service has; and a sentence."""
    by_lifecycle = {binding.lifecycle.name: binding.name for binding in reversed(_SERVICES.values())}
    lifecycle = nearest(name, by_lifecycle)
    if lifecycle is None or (lifecycle != name and nearest(name, _SERVICES) is not None):
        return None, ""
    return by_lifecycle[lifecycle], f"{lifecycle!r} is the lifecycle of the service {by_lifecycle[lifecycle]!r}"


def service_of(lifecycle: Lifecycle[Any, Any]) -> HttpBinding[Any, Any]:
    """Return the service whose tasks have this lifecycle, or one that extends it.

    Raises:
        UnknownName: there is no such service.
        TypeError: `lifecycle` is not a Lifecycle.
    """
    require_lifecycle(lifecycle)
    if (found := _service_of(lifecycle)) is not None:
        return found
    advice = "name one, or the file that declares one of your own"
    raise UnknownName("service for the lifecycle", lifecycle.name, known=_SERVICES, where="services", advice=advice)


def _service_of(lifecycle: Lifecycle[Any, Any]) -> HttpBinding[Any, Any] | None:
    names = (lifecycle.name, lifecycle.declaration.extended_by)
    return next((binding for binding in _SERVICES.values() if binding.lifecycle.name in names), None)


def governing(binding: HttpBinding[Any, Any], lifecycle: Lifecycle[Any, Any] | None) -> Lifecycle[Any, Any]:
    """Return the lifecycle that governs a service's tasks, as `HttpBinding.governed_by`, and raise what that raises.

    The message names the service whose lifecycle was given, if there is one.
    """
    try:
        return binding.governed_by(lifecycle)
    except ValueError as error:
        theirs = None if lifecycle is None else _service_of(lifecycle)
        if theirs is None or theirs.name == binding.name:
            raise
        raise ValueError(f"{error}; it is the lifecycle of the service {theirs.name!r}") from None


def services() -> tuple[str, ...]:
    """Return the names of all services, the built-in ones first."""
    return tuple(_SERVICES)
