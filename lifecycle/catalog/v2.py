"""Browser Use Cloud v2: a task that runs once, inside a session with its own lifecycle.

Tables only. `V2` declares what the document of the update call states, `V2_FULL` adds the status that
the specification has had since 2026-03-28, `V2_SESSION` is the session around the task. `V2_2025` is the task as it
was until November 2025, when it could be paused.

Sources: "Update Task" (PATCH /api/v2/tasks/{task_id}); the OpenAPI specifications of 2026-02-21 and 2026-08-06 (the
later one has `failed`); "Update Session" for the session. For the API of 2025 the official Python SDK 1.0.2, which
quotes the specification's TaskStatus and TaskUpdateAction; 2.0.4 is the last one with a pause.
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.lifecycle import Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class V2State(StrEnum):
    """The states of a v2 task."""

    CREATED = "created"
    STARTED = "started"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


class V2Event(StrEnum):
    """The events of a v2 task."""

    STOP = "stop"
    STOP_TASK_AND_SESSION = "stop_task_and_session"
    START = "start"
    FINISH = "finish"
    FAIL = "fail"


class V2In2025State(StrEnum):
    """The states of a v2 task in the documents of 2025."""

    STARTED = "started"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"


class V2In2025Event(StrEnum):
    """The events of a v2 task in the documents of 2025."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    STOP_TASK_AND_SESSION = "stop_task_and_session"
    FINISH = "finish"


class V2SessionState(StrEnum):
    """The states of a v2 session."""

    ACTIVE = "active"
    STOPPED = "stopped"


class V2SessionEvent(StrEnum):
    """The events of a v2 session."""

    STOP = "stop"
    CLOSE = "close"


S = V2State
E = V2Event
OldS = V2In2025State
OldE = V2In2025Event

# fmt: off
V2: Lifecycle[V2State, V2Event] = Lifecycle(
    name="v2",
    citation="Browser Use Cloud API v2: Update Task",
    extended_by="v2-full",
    states=(
        State(S.CREATED,  "accepted, not yet started", initial=True),
        State(S.STARTED,  "the agent executes"),
        State(S.FINISHED, "the agent is done", final=True),
        State(S.STOPPED,  "stopped by the caller", final=True),
    ),
    events=(
        # Both are idempotent: no row leaves `stopped`, and the session runs one task at a time, so that a second
        # stop of this task can affect this task alone.
        Event(E.STOP,                  Origin.CALLER, "stop the task, keep its session"),
        # The task's state does not show whether the session stopped too: that must be read.
        Event(E.STOP_TASK_AND_SESSION, Origin.CALLER, "stop the task and its session", proved_by_state=False),
        Event(E.START,                 Origin.REMOTE, "the agent begins"),
        Event(E.FINISH,                Origin.REMOTE, "the agent is done"),
    ),
    transitions=(
        Transition(S.CREATED, E.STOP,                  S.STOPPED),
        Transition(S.STARTED, E.STOP,                  S.STOPPED),
        Transition(S.CREATED, E.STOP_TASK_AND_SESSION, S.STOPPED),
        Transition(S.STARTED, E.STOP_TASK_AND_SESSION, S.STOPPED),
        Transition(S.CREATED, E.START,                 S.STARTED),
        Transition(S.STARTED, E.FINISH,                S.FINISHED),
    ),
    invariants=(
        Invariant("stop is irreversible", Rule.IRREVERSIBLE, events=(E.STOP, E.STOP_TASK_AND_SESSION),
                  citation='TaskStatus: "STOPPED: Task execution has been manually stopped (cannot be resumed)."'),
        Invariant("both stop actions lead to stopped", Rule.LEADS_TO,
                  events=(E.STOP, E.STOP_TASK_AND_SESSION), states=(S.STOPPED,),
                  citation='TaskUpdateAction: "STOP_TASK_AND_SESSION: Stop both the task and its parent session"'),
        Invariant("a task that is not over can be stopped", Rule.ACCEPTED_UNTIL_FINAL,
                  events=(E.STOP, E.STOP_TASK_AND_SESSION),
                  citation='TaskUpdateAction: "STOP: Stop the current task execution"'),
        Invariant("finished and stopped are final", Rule.FINAL, states=(S.FINISHED, S.STOPPED),
                  citation='TaskStatus: "FINISHED: Task has finished and the agent has completed the task."'),
        Invariant("only a created task starts", Rule.ONLY_IN, events=(E.START,), states=(S.CREATED,),
                  citation='TaskStatus: "CREATED: Task has been created but not yet started."'),
        Invariant("start leads to started", Rule.LEADS_TO, events=(E.START,), states=(S.STARTED,),
                  citation='TaskStatus: "STARTED: Task has been started and is currently running."'),
        Invariant("only a started task finishes", Rule.ONLY_IN, events=(E.FINISH,), states=(S.STARTED,),
                  citation='TaskStatus: "STARTED: Task has been started and is currently running."'),
        Invariant("finish leads to finished", Rule.LEADS_TO, events=(E.FINISH,), states=(S.FINISHED,),
                  citation='TaskStatus: "FINISHED: Task has finished and the agent has completed the task."'),
    ),
)

V2_FULL: Lifecycle[V2State, V2Event] = V2.extend(
    name="v2-full",
    citation="Browser Use Cloud API v2: OpenAPI specification of 2026-08-06, TaskStatus",
    states=(
        State(S.FAILED, "met an error and could not complete", final=True),
    ),
    events=(
        Event(E.FAIL, Origin.REMOTE, "the task meets an error"),
    ),
    transitions=(
        Transition(S.CREATED, E.FAIL, S.FAILED),
        Transition(S.STARTED, E.FAIL, S.FAILED),
    ),
    invariants=(
        Invariant("failed is final", Rule.FINAL, states=(S.FAILED,),
                  citation='TaskStatus: "FAILED: Task execution failed due to an error."'),
        Invariant("a started task can fail", Rule.ACCEPTED_IN, events=(E.FAIL,), states=(S.STARTED,),
                  citation='TaskStatus: "FAILED: Task execution failed due to an error."'),
        Invariant("fail leads to failed", Rule.LEADS_TO, events=(E.FAIL,), states=(S.FAILED,),
                  citation='TaskStatus: "FAILED: Task execution failed due to an error."'),
    ),
)

V2_SESSION: Lifecycle[V2SessionState, V2SessionEvent] = Lifecycle(
    name="v2-session",
    citation="Browser Use Cloud API v2: OpenAPI specification of 2026-08-06, Update Session",
    states=(
        State(V2SessionState.ACTIVE,  "tasks can run in it, one at a time", initial=True),
        State(V2SessionState.STOPPED, "over, and its tasks with it", final=True),
    ),
    events=(
        # Idempotent: no row leaves `stopped`.
        Event(V2SessionEvent.STOP,  Origin.CALLER, "stop the session and its tasks"),
        Event(V2SessionEvent.CLOSE, Origin.REMOTE, "the session ends by itself"),
    ),
    transitions=(
        Transition(V2SessionState.ACTIVE, V2SessionEvent.STOP,  V2SessionState.STOPPED),
        Transition(V2SessionState.ACTIVE, V2SessionEvent.CLOSE, V2SessionState.STOPPED),
    ),
    invariants=(
        Invariant("stop is irreversible", Rule.IRREVERSIBLE, events=(V2SessionEvent.STOP,),
                  citation='SessionUpdateAction: "Stop the session and all its associated tasks (cannot be undone)"'),
        Invariant("an active session can be stopped", Rule.ACCEPTED_UNTIL_FINAL, events=(V2SessionEvent.STOP,),
                  citation='Update Session: "Stop a session and all its running tasks."'),
        Invariant("close leads to stopped", Rule.LEADS_TO,
                  events=(V2SessionEvent.CLOSE,), states=(V2SessionState.STOPPED,),
                  citation='keepAlive: "If False, the session is closed immediately after task completion."'),
        Invariant("stopped is final", Rule.FINAL, states=(V2SessionState.STOPPED,),
                  citation='SessionStatus: "STOPPED: Agent session has been stopped and is no longer active"'),
    ),
)

V2_2025: Lifecycle[V2In2025State, V2In2025Event] = Lifecycle(
    name="v2-2025",
    citation="Browser Use Cloud API v2 until November 2025: Python SDK 1.0.2, TaskStatus, TaskUpdateAction",
    states=(
        State(OldS.STARTED,  "the agent executes", initial=True),
        State(OldS.PAUSED,   "halted; can be resumed"),
        State(OldS.FINISHED, "the agent is done", final=True),
        State(OldS.STOPPED,  "stopped by the caller", final=True),
    ),
    events=(
        # All four are idempotent, as those of v1 and v2.
        Event(OldE.PAUSE,                 Origin.CALLER, "halt the task"),
        Event(OldE.RESUME,                Origin.CALLER, "continue a paused task"),
        Event(OldE.STOP,                  Origin.CALLER, "stop the task, keep its session"),
        Event(OldE.STOP_TASK_AND_SESSION, Origin.CALLER, "stop the task and its session", proved_by_state=False),
        Event(OldE.FINISH,                Origin.REMOTE, "the agent is done"),
    ),
    transitions=(
        Transition(OldS.STARTED, OldE.PAUSE,                 OldS.PAUSED),
        Transition(OldS.PAUSED,  OldE.RESUME,                OldS.STARTED),
        Transition(OldS.STARTED, OldE.STOP,                  OldS.STOPPED),
        Transition(OldS.PAUSED,  OldE.STOP,                  OldS.STOPPED),
        Transition(OldS.STARTED, OldE.STOP_TASK_AND_SESSION, OldS.STOPPED),
        Transition(OldS.PAUSED,  OldE.STOP_TASK_AND_SESSION, OldS.STOPPED),
        Transition(OldS.STARTED, OldE.FINISH,                OldS.FINISHED),
    ),
    invariants=(
        Invariant("a task that is not over can be stopped", Rule.ACCEPTED_UNTIL_FINAL,
                  events=(OldE.STOP, OldE.STOP_TASK_AND_SESSION),
                  citation='Update Task: "Control task execution with stop, pause, resume, or stop task and session '
                           'actions."'),
        Invariant("stop is irreversible", Rule.IRREVERSIBLE, events=(OldE.STOP, OldE.STOP_TASK_AND_SESSION),
                  citation='TaskStatus: "STOPPED: Task execution has been manually stopped (cannot be resumed)."'),
        Invariant("both stop actions lead to stopped", Rule.LEADS_TO,
                  events=(OldE.STOP, OldE.STOP_TASK_AND_SESSION), states=(OldS.STOPPED,),
                  citation='TaskStatus: "STOPPED: Task execution has been manually stopped"'),
        Invariant("pause applies to a started task", Rule.ACCEPTED_IN, events=(OldE.PAUSE,), states=(OldS.STARTED,),
                  citation='TaskUpdateAction: "PAUSE: Pause the current task execution"'),
        Invariant("pause leads to paused", Rule.LEADS_TO, events=(OldE.PAUSE,), states=(OldS.PAUSED,),
                  citation='TaskStatus: "PAUSED: Task execution has been temporarily paused"'),
        Invariant("only a paused task is resumed", Rule.ONLY_IN, events=(OldE.RESUME,), states=(OldS.PAUSED,),
                  citation='TaskUpdateAction: "RESUME: Resume a paused task execution"'),
        Invariant("a paused task can be resumed", Rule.ACCEPTED_IN, events=(OldE.RESUME,), states=(OldS.PAUSED,),
                  citation='TaskStatus: "PAUSED: Task execution has been temporarily paused (can be resumed)"'),
        Invariant("resume leads to started", Rule.LEADS_TO, events=(OldE.RESUME,), states=(OldS.STARTED,),
                  citation='TaskStatus: "STARTED: Task has been started and is currently running."'),
        Invariant("only a started task finishes", Rule.ONLY_IN, events=(OldE.FINISH,), states=(OldS.STARTED,),
                  citation='TaskStatus: "PAUSED: Task execution has been temporarily paused"'),
        Invariant("finish leads to finished", Rule.LEADS_TO, events=(OldE.FINISH,), states=(OldS.FINISHED,),
                  citation='TaskStatus: "FINISHED: Task has finished and the agent has completed the task."'),
        Invariant("finished and stopped are final", Rule.FINAL, states=(OldS.FINISHED, OldS.STOPPED),
                  citation="Python SDK 2.0.4, TaskView: `finishedAt` is none if the task is still running"),
    ),
)
# fmt: on
