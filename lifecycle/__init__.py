"""Declared lifecycles of remote tasks: state machines that are validated once and used everywhere.

The pure core of task-lifecycle: no I/O, clock, randomness or environment. Equal inputs, equal
outputs. All I/O is in the package `lifecycle_adapters`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lifecycle.catalog import (
    A2A,
    CATALOG,
    COMMAND,
    MCP,
    MCP_EXTENSION,
    V1,
    V1_FULL,
    V2,
    V2_2025,
    V2_FULL,
    V2_SESSION,
    V3,
    V3_FULL,
    V4,
    V4_MESSAGE,
    A2AEvent,
    A2AState,
    CommandEvent,
    CommandState,
    MCPEvent,
    MCPState,
    V1Event,
    V1State,
    V2Event,
    V2In2025Event,
    V2In2025State,
    V2SessionEvent,
    V2SessionState,
    V2State,
    V3Event,
    V3State,
    V4Event,
    V4MessageEvent,
    V4MessageState,
    V4State,
    get,
)
from lifecycle.conformance import Channel, Deviation, Finding, FindingCode, Observation, ObservationKind, Severity
from lifecycle.errors import (
    AdapterError,
    CommandAbandoned,
    CommandError,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    CreateContradicted,
    CreateError,
    CreateInFlight,
    CreateKeyReused,
    CreateUncertain,
    DefinitionError,
    DefinitionFinding,
    IllegalTransition,
    KeyReused,
    LifecycleError,
    MissingExtra,
    RecordMissing,
    TaskEndedFirst,
    UndeclaredState,
    UnknownName,
    UnknownStatus,
    UnreadableCreate,
    UnreadableRecord,
    WaitTimedOut,
)
from lifecycle.lifecycle import Alias, Declaration, Event, Invariant, Lifecycle, Rule, State, Transition, Transitions
from lifecycle.table import Origin, Verdict, VerdictKind

if TYPE_CHECKING:
    from lifecycle.command import CommandProcedure, CommandResult
    from lifecycle.compatibility import Audience, ChangeCode, LifecycleChange, LifecycleDiff, diff
    from lifecycle.create import CreateProcedure, CreateResult
    from lifecycle.effects import ProcedureRun
    from lifecycle.following import read_state
    from lifecycle.journal import Report
    from lifecycle.memory import MemoryJournal

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
    "AdapterError",
    "Alias",
    "Audience",
    "ChangeCode",
    "Channel",
    "CommandAbandoned",
    "CommandError",
    "CommandEvent",
    "CommandInFlight",
    "CommandProcedure",
    "CommandRefused",
    "CommandResult",
    "CommandState",
    "CommandUncertain",
    "CreateContradicted",
    "CreateError",
    "CreateInFlight",
    "CreateKeyReused",
    "CreateProcedure",
    "CreateResult",
    "CreateUncertain",
    "Declaration",
    "DefinitionError",
    "DefinitionFinding",
    "Deviation",
    "Event",
    "Finding",
    "FindingCode",
    "IllegalTransition",
    "Invariant",
    "KeyReused",
    "Lifecycle",
    "LifecycleChange",
    "LifecycleDiff",
    "LifecycleError",
    "MCPEvent",
    "MCPState",
    "MemoryJournal",
    "MissingExtra",
    "Observation",
    "ObservationKind",
    "Origin",
    "ProcedureRun",
    "RecordMissing",
    "Report",
    "Rule",
    "Severity",
    "State",
    "TaskEndedFirst",
    "Transition",
    "Transitions",
    "UndeclaredState",
    "UnknownName",
    "UnknownStatus",
    "UnreadableCreate",
    "UnreadableRecord",
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
    "Verdict",
    "VerdictKind",
    "WaitTimedOut",
    "diff",
    "get",
    "read_state",
]

# The modules for commands are imported on first use, so that programs that only judge and check start faster.
_LAZY = {
    "Audience": "compatibility",
    "ChangeCode": "compatibility",
    "CommandProcedure": "command",
    "CommandResult": "command",
    "CreateProcedure": "create",
    "CreateResult": "create",
    "LifecycleChange": "compatibility",
    "LifecycleDiff": "compatibility",
    "MemoryJournal": "memory",
    "ProcedureRun": "effects",
    "Report": "journal",
    "diff": "compatibility",
    "read_state": "following",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"lifecycle.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'lifecycle' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
