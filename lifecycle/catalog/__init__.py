"""The declared lifecycles, by name. One file per API version or protocol holds the tables."""

from __future__ import annotations

from typing import Any, cast

from lifecycle.catalog.a2a import A2A, A2AEvent, A2AState
from lifecycle.catalog.command_lifecycle import COMMAND, CommandEvent, CommandState
from lifecycle.catalog.mcp import MCP, MCP_EXTENSION, MCPEvent, MCPState
from lifecycle.catalog.v1 import V1, V1_FULL, V1Event, V1State
from lifecycle.catalog.v2 import (
    V2,
    V2_2025,
    V2_FULL,
    V2_SESSION,
    V2Event,
    V2In2025Event,
    V2In2025State,
    V2SessionEvent,
    V2SessionState,
    V2State,
)
from lifecycle.catalog.v3 import V3, V3_FULL, V3Event, V3State
from lifecycle.catalog.v4 import V4, V4_MESSAGE, V4Event, V4MessageEvent, V4MessageState, V4State
from lifecycle.errors import UnknownName
from lifecycle.lifecycle import Lifecycle

__all__ = [
    "A2A",
    "CATALOG",
    "COMMAND",
    "MCP",
    "MCP_EXTENSION",
    "V1",
    "V1_FULL",
    "V2",
    "V2_2025",
    "V2_FULL",
    "V2_SESSION",
    "V3",
    "V3_FULL",
    "V4",
    "V4_MESSAGE",
    "A2AEvent",
    "A2AState",
    "CommandEvent",
    "CommandState",
    "MCPEvent",
    "MCPState",
    "V1Event",
    "V1State",
    "V2Event",
    "V2In2025Event",
    "V2In2025State",
    "V2SessionEvent",
    "V2SessionState",
    "V2State",
    "V3Event",
    "V3State",
    "V4Event",
    "V4MessageEvent",
    "V4MessageState",
    "V4State",
    "get",
]

_DECLARED: tuple[Lifecycle[Any, Any], ...] = (
    V1, V1_FULL, V2, V2_FULL, V2_SESSION, V2_2025, V3, V3_FULL, V4, V4_MESSAGE, A2A, MCP, MCP_EXTENSION, COMMAND,
)  # fmt: skip

CATALOG: dict[str, Lifecycle[str, str]] = {each.name: cast("Lifecycle[str, str]", each) for each in _DECLARED}
"""Every declared lifecycle by its name, in the order of the API's versions."""


def get(name: str) -> Lifecycle[str, str]:
    """Return the declared lifecycle of that name, such as "v1-full".

    Raises:
        UnknownName: no lifecycle has that name; the message proposes the nearest one.
    """
    try:
        return CATALOG[name]
    except (KeyError, TypeError):  # the latter of what is unhashable
        raise UnknownName("lifecycle", name, known=CATALOG, where="catalog") from None
