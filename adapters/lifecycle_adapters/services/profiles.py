"""The profiles of the built-in services by their names, and those of earlier versions by the names of lifecycles."""

from __future__ import annotations

from collections.abc import Mapping

from lifecycle.catalog import V3 as FIRST_V3
from lifecycle_adapters.emulator.profile import Profile
from lifecycle_adapters.services import (
    a2a_emulation,
    a2a_jsonrpc_emulation,
    mcp_emulation,
    mcp_extension_emulation,
    v1_emulation,
    v2_emulation,
    v3_emulation,
    v4_emulation,
)
from lifecycle_adapters.services.a2a import A2A
from lifecycle_adapters.services.a2a_jsonrpc import A2A_JSONRPC
from lifecycle_adapters.services.mcp import MCP
from lifecycle_adapters.services.mcp_extension import MCP_EXTENSION
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2, V2_2025, V2_SESSION
from lifecycle_adapters.services.v3 import V3
from lifecycle_adapters.services.v4 import V4, V4_MESSAGE

PROFILES: Mapping[str, Profile] = {
    V1.name: v1_emulation.PROFILE,
    V2.name: v2_emulation.TASK_PROFILE,
    V2_SESSION.name: v2_emulation.SESSION_PROFILE,
    V2_2025.name: v2_emulation.PROFILE_2025,
    V3.name: v3_emulation.PROFILE,
    V4.name: v4_emulation.RUN_PROFILE,
    V4_MESSAGE.name: v4_emulation.MESSAGE_PROFILE,
    A2A.name: a2a_emulation.PROFILE,
    A2A_JSONRPC.name: a2a_jsonrpc_emulation.PROFILE,
    MCP.name: mcp_emulation.PROFILE,
    MCP_EXTENSION.name: mcp_extension_emulation.PROFILE,
}

EARLIER_PROFILES: Mapping[str, Profile] = {FIRST_V3.name: v3_emulation.FIRST_PROFILE}
