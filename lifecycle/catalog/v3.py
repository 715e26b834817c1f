"""Browser Use Cloud v3: a session that runs task after task until it is stopped.

Tables only. `V3` declares what the document of the stop call states, with the transitions of a session
that the specification describes; `V3_FULL` adds the strategy that stops only the task.

Sources: "Stop Session" (POST /api/v3/sessions/{session_id}/stop); BuAgentSessionStatus and
StopStrategy in the OpenAPI specifications of 2026-02-25 and 2026-08-06 (the strategy has been there since
the evening of 2026-02-25, UTC-8, after the first of these revisions).
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.lifecycle import Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class V3State(StrEnum):
    """The states of a v3 session."""

    CREATED = "created"
    IDLE = "idle"
    RUNNING = "running"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    ERROR = "error"


class V3Event(StrEnum):
    """The events of a v3 session."""

    DISPATCH = "dispatch"
    STOP = "stop"
    STOP_TASK = "stop_task"
    READY = "ready"
    START = "start"
    COMPLETE = "complete"
    CLOSE = "close"
    TIME_OUT = "time_out"
    FAIL = "fail"


S = V3State
E = V3Event

# fmt: off
V3: Lifecycle[V3State, V3Event] = Lifecycle(
    name="v3",
    citation="Browser Use Cloud API v3: Stop Session; OpenAPI specification, BuAgentSessionStatus",
    extended_by="v3-full",
    states=(
        State(S.CREATED,   "the sandbox starts up", initial=True),
        State(S.IDLE,      "healthy and waiting for a task", settled=True),
        State(S.RUNNING,   "a task is executed"),
        State(S.STOPPED,   "stopped by call, or by itself after its task", final=True),
        State(S.TIMED_OUT, "cleaned up after inactivity", final=True),
        State(S.ERROR,     "the sandbox failed", final=True),
    ),
    events=(
        # A running session may run another caller's task, and a second dispatch runs a second one.
        Event(E.DISPATCH, Origin.CALLER, "give the idle session a task", proved_by_state=False, idempotent=False),
        # Idempotent: no row leaves `stopped`, so that a second stop has no effect.
        Event(E.STOP,     Origin.CALLER, "stop the session and destroy its sandbox"),
        Event(E.READY,    Origin.REMOTE, "the sandbox is up, without a task"),
        Event(E.START,    Origin.REMOTE, "the task given at creation begins"),
        Event(E.COMPLETE, Origin.REMOTE, "the task is done, the session is kept alive"),
        Event(E.CLOSE,    Origin.REMOTE, "the task is done, the session is not kept alive"),
        Event(E.TIME_OUT, Origin.REMOTE, "the session was unused for too long"),
        Event(E.FAIL,     Origin.REMOTE, "the sandbox meets an unrecoverable error"),
    ),
    transitions=(
        Transition(S.IDLE,    E.DISPATCH, S.RUNNING),
        Transition(S.CREATED, E.STOP,     S.STOPPED),
        Transition(S.IDLE,    E.STOP,     S.STOPPED),
        Transition(S.RUNNING, E.STOP,     S.STOPPED),
        Transition(S.CREATED, E.READY,    S.IDLE),
        Transition(S.CREATED, E.START,    S.RUNNING),
        Transition(S.IDLE,    E.START,    S.RUNNING),
        Transition(S.RUNNING, E.COMPLETE, S.IDLE),
        Transition(S.RUNNING, E.CLOSE,    S.STOPPED),
        Transition(S.IDLE,    E.TIME_OUT, S.TIMED_OUT),
        Transition(S.CREATED, E.FAIL,     S.ERROR),
        Transition(S.IDLE,    E.FAIL,     S.ERROR),
        Transition(S.RUNNING, E.FAIL,     S.ERROR),
    ),
    invariants=(
        Invariant("stop is irreversible", Rule.IRREVERSIBLE, events=(E.STOP,),
                  citation='StopStrategy: "The session cannot be reused after this."'),
        Invariant("a session that is not over can be stopped", Rule.ACCEPTED_UNTIL_FINAL, events=(E.STOP,),
                  citation='StopStrategy: "Stop the session entirely and destroy the sandbox."'),
        Invariant("stop leads to stopped", Rule.LEADS_TO, events=(E.STOP,), states=(S.STOPPED,),
                  citation='BuAgentSessionStatus: "Session was stopped - either explicitly via the stop endpoint, or"'),
        Invariant("only an idle session takes a task", Rule.ONLY_IN, events=(E.DISPATCH,), states=(S.IDLE,),
                  citation='BuAgentSessionStatus: "Sandbox is healthy and waiting for a task."'),
        Invariant("an idle session takes a task", Rule.ACCEPTED_IN, events=(E.DISPATCH,), states=(S.IDLE,),
                  citation='BuAgentSessionStatus: "You can dispatch a task or upload files."'),
        Invariant("a task makes the session running", Rule.LEADS_TO, events=(E.DISPATCH, E.START), states=(S.RUNNING,),
                  citation='BuAgentSessionStatus: "A task is currently being executed by the agent."'),
        Invariant("a created session starts its task", Rule.ACCEPTED_IN, events=(E.START,), states=(S.CREATED,),
                  citation='RunTaskRequest: "creates a new session and immediately runs the task"'),
        Invariant("an idle session starts its task", Rule.ACCEPTED_IN, events=(E.START,), states=(S.IDLE,),
                  citation='BuAgentSessionStatus: "Progresses through: created -> idle -> running"'),
        Invariant("a running session starts no task", Rule.NEVER_IN, events=(E.START,), states=(S.RUNNING,),
                  citation='Create Session: "dispatches the task to an existing idle session"'),
        Invariant("only a created session becomes ready", Rule.ONLY_IN, events=(E.READY,), states=(S.CREATED,),
                  citation='BuAgentSessionStatus: "The session is not yet ready to accept tasks."'),
        Invariant("a ready session is idle", Rule.LEADS_TO, events=(E.READY,), states=(S.IDLE,),
                  citation='Create Session: "Without session_id, without task: creates a new idle session"'),
        Invariant("only a running task ends", Rule.ONLY_IN, events=(E.COMPLETE, E.CLOSE), states=(S.RUNNING,),
                  citation='BuAgentSessionStatus: "A task is currently being executed by the agent."'),
        Invariant("a session that is kept alive becomes idle", Rule.LEADS_TO, events=(E.COMPLETE,), states=(S.IDLE,),
                  citation='Create Session: "If keep_alive is true, the session stays idle after the task"'),
        Invariant("any other session stops after its task", Rule.LEADS_TO, events=(E.CLOSE,), states=(S.STOPPED,),
                  citation='Create Session: "the session auto-stops when the task finishes"'),
        Invariant("a running session is not inactive", Rule.NEVER_IN, events=(E.TIME_OUT,), states=(S.RUNNING,),
                  citation='BuAgentSessionStatus: "Session was cleaned up due to inactivity timeout."'),
        Invariant("inactivity leads to timed_out", Rule.LEADS_TO, events=(E.TIME_OUT,), states=(S.TIMED_OUT,),
                  citation='BuAgentSessionStatus: "Session was cleaned up due to inactivity timeout."'),
        Invariant("a session can fail until it is over", Rule.ACCEPTED_UNTIL_FINAL, events=(E.FAIL,),
                  citation='BuAgentSessionStatus: "Sandbox failed to start or encountered an unrecoverable error."'),
        Invariant("a failure leads to error", Rule.LEADS_TO, events=(E.FAIL,), states=(S.ERROR,),
                  citation='BuAgentSessionStatus: "Sandbox failed to start or encountered an unrecoverable error."'),
        Invariant("stopped, timed_out and error are final", Rule.FINAL, states=(S.STOPPED, S.TIMED_OUT, S.ERROR),
                  citation='BuAgentSessionStatus: "... -> stopped / timed_out / error"'),
    ),
)

V3_FULL: Lifecycle[V3State, V3Event] = V3.extend(
    name="v3-full",
    citation="Browser Use Cloud API v3: OpenAPI specification of 2026-08-06, StopStrategy",
    events=(
        # Not idempotent: sent again, it stops the task that the session runs by then, which may be the next one.
        Event(E.STOP_TASK, Origin.CALLER, "stop the task, keep the session", idempotent=False),
    ),
    transitions=(
        Transition(S.RUNNING, E.STOP_TASK, S.IDLE),
    ),
    invariants=(
        Invariant("only a running task can be stopped", Rule.ONLY_IN, events=(E.STOP_TASK,), states=(S.RUNNING,),
                  citation='StopStrategy: "Stop the currently running task"'),
        Invariant("stopping the task keeps the session", Rule.LEADS_TO, events=(E.STOP_TASK,), states=(S.IDLE,),
                  citation='StopStrategy: "Stop the currently running task but keep the session alive in idle state."'),
    ),
)
# fmt: on
