"""Browser Use Cloud v4: a run that is queued, dispatched, run, and can be cancelled until it ends.

Tables only. `V4` is the run, `V4_MESSAGE` a message that waits in a session until it becomes the next run. A session
has no lifecycle: the document shows its latest run's status as its own (SessionInfo: "Lightweight metadata for one V4
session (its most recent run)"), and no status of the session itself.

Sources: the OpenAPI specification of 2026-07-26: the run's status; POST /api/v4/runs/{id}/cancel, which is idempotent:
a run in a final state is returned as it is; QueuedMessage, Queue Session Message and Cancel Queued Message. It lists
the statuses of a message, and describes two of its rows; the others are marked as assumed. The events that end a run
are in the official Python SDK 3.12.1.
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.lifecycle import Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class V4State(StrEnum):
    """The states of a v4 run."""

    QUEUED = "queued"
    DISPATCHING = "dispatching"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class V4Event(StrEnum):
    """The events of a v4 run."""

    CANCEL = "cancel"
    DISPATCH = "dispatch"
    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"


class V4MessageState(StrEnum):
    """The states of a message to a v4 session."""

    PENDING = "pending"
    DISPATCHING = "dispatching"
    CONSUMED = "consumed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class V4MessageEvent(StrEnum):
    """The events of a message to a v4 session."""

    CANCEL = "cancel"
    CLAIM = "claim"
    CONSUME = "consume"
    SUPERSEDE = "supersede"
    FAIL = "fail"


S = V4State
E = V4Event
M = V4MessageState
ME = V4MessageEvent

# fmt: off
V4: Lifecycle[V4State, V4Event] = Lifecycle(
    name="v4",
    citation="Browser Use Cloud API v4: Get Run, Cancel Run",
    states=(
        State(S.QUEUED,      "accepted, waiting for a worker", initial=True),
        State(S.DISPATCHING, "being handed to a worker"),
        State(S.RUNNING,     "the agent executes"),
        State(S.COMPLETED,   "the agent is done", final=True),
        State(S.FAILED,      "met an error and could not complete", final=True),
        State(S.CANCELLED,   "cancelled by the caller", final=True),
    ),
    events=(
        # Idempotent: no row leaves `cancelled`, and the document calls the request idempotent.
        Event(E.CANCEL,   Origin.CALLER, "stop the run for good"),
        Event(E.DISPATCH, Origin.REMOTE, "a worker is chosen"),
        Event(E.START,    Origin.REMOTE, "the worker begins"),
        Event(E.COMPLETE, Origin.REMOTE, "the agent is done"),
        Event(E.FAIL,     Origin.REMOTE, "the run meets an error"),
    ),
    transitions=(
        Transition(S.QUEUED,      E.CANCEL,   S.CANCELLED),
        Transition(S.DISPATCHING, E.CANCEL,   S.CANCELLED),
        Transition(S.RUNNING,     E.CANCEL,   S.CANCELLED),
        Transition(S.QUEUED,      E.DISPATCH, S.DISPATCHING),
        Transition(S.DISPATCHING, E.START,    S.RUNNING),
        Transition(S.RUNNING,     E.COMPLETE, S.COMPLETED),
        Transition(S.QUEUED,      E.FAIL,     S.FAILED),
        Transition(S.DISPATCHING, E.FAIL,     S.FAILED),
        Transition(S.RUNNING,     E.FAIL,     S.FAILED),
    ),
    invariants=(
        Invariant("cancel is irreversible", Rule.IRREVERSIBLE, events=(E.CANCEL,),
                  citation="Cancel Run: a run in a final state is returned as it is"),
        Invariant("a run that is not over can be cancelled", Rule.ACCEPTED_UNTIL_FINAL, events=(E.CANCEL,),
                  citation="Cancel Run: idempotent, for a run in any state"),
        Invariant("cancel leads to cancelled", Rule.LEADS_TO, events=(E.CANCEL,), states=(S.CANCELLED,),
                  citation='Cancel Run: "Once cancelled, the gateway refuses every subsequent [call]"'),
        Invariant("complete and fail are irreversible", Rule.IRREVERSIBLE, events=(E.COMPLETE, E.FAIL),
                  citation='Cancel Run: "a run already in a terminal state (completed / failed / cancelled)"'),
        Invariant("complete leads to completed", Rule.LEADS_TO, events=(E.COMPLETE,), states=(S.COMPLETED,),
                  citation='Python SDK 3.12.1, events that end a run: "run.completed"'),
        Invariant("fail leads to failed", Rule.LEADS_TO, events=(E.FAIL,), states=(S.FAILED,),
                  citation='Python SDK 3.12.1, events that end a run: "run.failed", "run.dispatch_failed"'),
        Invariant("a run can fail in its dispatch and later", Rule.ACCEPTED_IN, events=(E.FAIL,),
                  states=(S.DISPATCHING, S.RUNNING),
                  citation='Python SDK 3.12.1, events that end a run: "run.dispatch_failed", "run.failed"'),
        Invariant("completed, failed and cancelled are final", Rule.FINAL,
                  states=(S.COMPLETED, S.FAILED, S.CANCELLED),
                  citation="Cancel Run: a run in a final state is returned as it is"),
    ),
)

V4_MESSAGE: Lifecycle[V4MessageState, V4MessageEvent] = Lifecycle(
    name="v4-message",
    citation="Browser Use Cloud API v4: OpenAPI specification of 2026-07-26, QueuedMessage, Cancel Queued Message",
    states=(
        State(M.PENDING,     "waits for the session to be idle", initial=True),
        State(M.DISPATCHING, "claimed, to become the next run"),
        State(M.CONSUMED,    "became a run", final=True),
        State(M.CANCELLED,   "removed before it was claimed", final=True),
        State(M.SUPERSEDED,  "another message took its place", final=True),
        State(M.FAILED,      "could not become a run", final=True),
    ),
    events=(
        # Idempotent: no row leaves `cancelled`.
        Event(ME.CANCEL,    Origin.CALLER, "remove it from the queue"),
        Event(ME.CLAIM,     Origin.REMOTE, "the idle session takes it"),
        Event(ME.CONSUME,   Origin.REMOTE, "its run begins"),
        Event(ME.SUPERSEDE, Origin.REMOTE, "another message takes its place"),
        Event(ME.FAIL,      Origin.REMOTE, "its run cannot begin"),
    ),
    transitions=(
        Transition(M.PENDING,     ME.CANCEL,    M.CANCELLED),
        Transition(M.PENDING,     ME.CLAIM,     M.DISPATCHING),
        Transition(M.DISPATCHING, ME.CONSUME,   M.CONSUMED),    # assumed: only the statuses are documented
        Transition(M.PENDING,     ME.SUPERSEDE, M.SUPERSEDED),  # assumed
        Transition(M.PENDING,     ME.FAIL,      M.FAILED),      # assumed
        Transition(M.DISPATCHING, ME.FAIL,      M.FAILED),      # assumed
    ),
    invariants=(
        Invariant("only a pending message can be cancelled", Rule.ONLY_IN, events=(ME.CANCEL,), states=(M.PENDING,),
                  citation='Cancel Queued Message: "Remove a still-pending queued message; 409 once the drain has '
                           'claimed it."'),
        Invariant("a pending message can be cancelled", Rule.ACCEPTED_IN, events=(ME.CANCEL,), states=(M.PENDING,),
                  citation='Cancel Queued Message: "Remove a still-pending queued message"'),
        Invariant("cancel is irreversible", Rule.IRREVERSIBLE, events=(ME.CANCEL,),
                  citation='Cancel Queued Message: 409 "The message is no longer pending and cannot be cancelled."'),
        Invariant("only a pending message is claimed", Rule.ONLY_IN, events=(ME.CLAIM,), states=(M.PENDING,),
                  citation='Cancel Queued Message: "still-pending", until "the drain has claimed it"'),
        Invariant("consumed, cancelled, superseded and failed are final", Rule.FINAL,
                  states=(M.CONSUMED, M.CANCELLED, M.SUPERSEDED, M.FAILED),
                  citation='Python SDK 3.12.1, get_message: "including terminal handoff states"'),
    ),
)
# fmt: on
