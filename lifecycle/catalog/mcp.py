"""The task of the Model Context Protocol (MCP): a request, such as a tool call, that is worked on in the background.

Tables only. `MCP` declares the tasks of the core protocol, revision 2025-11-25; `MCP_EXTENSION` those of the extension
`io.modelcontextprotocol/tasks`, which replaced them in 2026 and has a separate request for an answer.

Sources: MCP specification 2025-11-25, Tasks ("Task Status Lifecycle", "Task Cancellation"); SEP-2663 and the draft
specification of the extension of 2026-08-21 ("Task Update Requests", "Task Cancellation"). Both name every legal
transition by its states alone; the text implies that a question of the server leads from `working` to
`input_required`.

The cancel of the extension is cooperative: the server acknowledges it and decides what to do. In the core protocol, the
task is `cancelled` before the response to the cancel. The table is the same, since in both only the state `cancelled`
proves the cancel.
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.lifecycle import Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class MCPState(StrEnum):
    """The states of an MCP task."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class MCPEvent(StrEnum):
    """The events of an MCP task."""

    CANCEL = "cancel"
    ANSWER = "answer"
    ASK = "ask"
    WORK = "work"
    COMPLETE = "complete"
    FAIL = "fail"


S = MCPState
E = MCPEvent

# fmt: off
MCP: Lifecycle[MCPState, MCPEvent] = Lifecycle(
    name="mcp",
    citation="Model Context Protocol, revision 2025-11-25: Tasks",
    extended_by="mcp-extension",
    states=(
        State(S.WORKING,        "the request is worked on", initial=True),
        State(S.INPUT_REQUIRED, "the server waits for an answer", interrupted=True),
        State(S.COMPLETED,      "done, its result can be read", final=True),
        State(S.FAILED,         "ended with an error", final=True),
        State(S.CANCELLED,      "cancelled before it was done", final=True),
    ),
    events=(
        Event(E.CANCEL,   Origin.CALLER, "cancel the task"),
        Event(E.ASK,      Origin.REMOTE, "the server needs input"),
        # The answer itself travels apart from the task: as the response to a request that the server sends.
        Event(E.WORK,     Origin.REMOTE, "the server goes on with the input"),
        Event(E.COMPLETE, Origin.REMOTE, "the request is done"),
        Event(E.FAIL,     Origin.REMOTE, "the request meets an error"),
    ),
    transitions=(
        Transition(S.WORKING,        E.CANCEL,   S.CANCELLED),
        Transition(S.INPUT_REQUIRED, E.CANCEL,   S.CANCELLED),
        Transition(S.WORKING,        E.ASK,      S.INPUT_REQUIRED),
        Transition(S.INPUT_REQUIRED, E.WORK,     S.WORKING),
        Transition(S.WORKING,        E.COMPLETE, S.COMPLETED),
        Transition(S.INPUT_REQUIRED, E.COMPLETE, S.COMPLETED),
        Transition(S.WORKING,        E.FAIL,     S.FAILED),
        Transition(S.INPUT_REQUIRED, E.FAIL,     S.FAILED),
    ),
    invariants=(
        Invariant("completed, failed and cancelled are final", Rule.FINAL, states=(S.COMPLETED, S.FAILED, S.CANCELLED),
                  citation='Task Status Lifecycle: "Tasks with a completed, failed, or cancelled status are in a '
                           'terminal state and MUST NOT transition to any other status"'),
        Invariant("a task that is over cannot be cancelled", Rule.NEVER_IN, events=(E.CANCEL,),
                  states=(S.COMPLETED, S.FAILED, S.CANCELLED),
                  citation='Task Cancellation: "Receivers MUST reject cancellation requests for tasks already in a '
                           'terminal status"'),
        Invariant("a task that is not over can be cancelled", Rule.ACCEPTED_UNTIL_FINAL, events=(E.CANCEL,),
                  citation='Task Status Lifecycle: "From working: may move to input_required, completed, failed, or '
                           'cancelled"; "From input_required: may move to working, completed, failed, or cancelled"'),
        Invariant("cancel leads to cancelled", Rule.LEADS_TO, events=(E.CANCEL,), states=(S.CANCELLED,),
                  citation='Task Cancellation: "MUST transition the task to cancelled status before sending the '
                           'response"'),
        Invariant("a task that is not over can complete or fail", Rule.ACCEPTED_UNTIL_FINAL,
                  events=(E.COMPLETE, E.FAIL),
                  citation='Task Status Lifecycle: "From working: may move to input_required, completed, failed, or '
                           'cancelled"; "From input_required: may move to working, completed, failed, or cancelled"'),
        Invariant("a completed request is completed", Rule.LEADS_TO, events=(E.COMPLETE,), states=(S.COMPLETED,),
                  citation='Task Status: "completed: The request completed successfully and results are available."'),
        Invariant("a failed request is failed", Rule.LEADS_TO, events=(E.FAIL,), states=(S.FAILED,),
                  citation='Task Status: "failed: The associated request did not complete successfully."'),
        Invariant("a task that needs input is input_required", Rule.LEADS_TO, events=(E.ASK,),
                  states=(S.INPUT_REQUIRED,),
                  citation='Task Status: "input_required: The receiver needs input from the requestor."'),
        Invariant("only a working task comes to need input", Rule.ONLY_IN, events=(E.ASK,), states=(S.WORKING,),
                  citation='Task Status Lifecycle: "From working: may move to input_required, ..."'),
        Invariant("only a task that needed input goes on", Rule.ONLY_IN, events=(E.WORK,), states=(S.INPUT_REQUIRED,),
                  citation='Input Required Status: "When the receiver receives all required input"'),
        Invariant("a task leaves input_required for working", Rule.LEADS_TO, events=(E.WORK,), states=(S.WORKING,),
                  citation='Input Required Status: "the task SHOULD transition out of input_required status (typically '
                           'back to working)"'),
    ),
)

MCP_EXTENSION: Lifecycle[MCPState, MCPEvent] = MCP.extend(
    name="mcp-extension",
    citation="MCP extension io.modelcontextprotocol/tasks (SEP-2663), draft of 2026-08-21",
    events=(
        # `working` proves nothing: another client may have answered. Nor does the acknowledgement say that all is
        # answered: "A server MAY accept a partial set of responses".
        Event(E.ANSWER, Origin.CALLER, "answer the server's questions", proved_by_state=False, idempotent=False),
    ),
    transitions=(
        Transition(S.INPUT_REQUIRED, E.ANSWER, S.WORKING),
    ),
    invariants=(
        Invariant("only a task that needs input takes an answer", Rule.ONLY_IN, events=(E.ANSWER,),
                  states=(S.INPUT_REQUIRED,),
                  citation='Task Update Requests: "A server SHOULD ignore any inputResponses responses mapped to a key '
                           'that is not currently outstanding for the task"'),
        Invariant("a task that needs input takes the answer", Rule.ACCEPTED_IN, events=(E.ANSWER,),
                  states=(S.INPUT_REQUIRED,),
                  citation='Task Update Requests: "When a task requires input from the client [...] The client '
                           'provides responses via the inputResponses field"'),
        Invariant("an answer takes the task back to working", Rule.LEADS_TO, events=(E.ANSWER,), states=(S.WORKING,),
                  citation='Example Message Flow: "the server processes the input and moves the task back into the '
                           'working status"'),
    ),
)
# fmt: on
