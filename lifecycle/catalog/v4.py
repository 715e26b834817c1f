"""Browser Use Cloud v4: a run that is queued, dispatched, run, and can be cancelled until it ends.

Tables only. Source: the run's status and the call POST /api/v4/runs/{id}/cancel, which is
idempotent: a run in a final state is returned as it is.
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.lifecycle import Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class V4State(StrEnum):
    QUEUED = "queued"
    DISPATCHING = "dispatching"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class V4Event(StrEnum):
    CANCEL = "cancel"
    DISPATCH = "dispatch"
    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"


S = V4State
E = V4Event

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
        Invariant("completed, failed and cancelled are final", Rule.FINAL,
                  states=(S.COMPLETED, S.FAILED, S.CANCELLED),
                  citation="Cancel Run: a run in a final state is returned as it is"),
    ),
)
# fmt: on
