"""Browser Use Cloud v1: a task that can be paused, resumed and stopped.

Tables only. `V1` declares what the documents of the three control calls state; `V1_FULL` adds the
statuses that the documents of the status call and the webhooks add.

Sources: "Pause Task", "Resume Task" and "Stop Task" (PUT /api/v1/pause-task, resume-task,
stop-task), revision of 2026-05-06; the status call GET /api/v1/task/{id}/status, whose
enumeration is created, running, paused, finished, stopped, failed; the webhooks of the v1 era.
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.conformance import Channel
from lifecycle.lifecycle import Alias, Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class V1State(StrEnum):
    """The states of a v1 task."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


class V1Event(StrEnum):
    """The events of a v1 task."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    START = "start"
    FINISH = "finish"
    FAIL = "fail"


S = V1State
E = V1Event

# fmt: off
V1: Lifecycle[V1State, V1Event] = Lifecycle(
    name="v1",
    citation="Browser Use Cloud API v1: Pause Task, Resume Task, Stop Task (2026-05-06)",
    extended_by="v1-full",
    states=(
        State(S.RUNNING, "the browser automation executes", initial=True),
        State(S.PAUSED,  "temporarily halted; can be resumed"),
        State(S.STOPPED, "terminated; a new task must be created", final=True),
    ),
    events=(
        # All three are idempotent. A second stop has no effect. Only a resume undoes a pause, and the reverse, and
        # only a caller sends them: if a caller outside of this journal does so between two attempts, the second
        # attempt undoes it.
        Event(E.PAUSE,  Origin.CALLER, "halt the execution for inspection"),
        Event(E.RESUME, Origin.CALLER, "continue from where it was paused"),
        Event(E.STOP,   Origin.CALLER, "terminate immediately and for good"),
    ),
    transitions=(
        Transition(S.RUNNING, E.PAUSE,  S.PAUSED),
        Transition(S.PAUSED,  E.RESUME, S.RUNNING),
        Transition(S.RUNNING, E.STOP,   S.STOPPED),
        Transition(S.PAUSED,  E.STOP,   S.STOPPED),
    ),
    invariants=(
        Invariant("stop is irreversible", Rule.IRREVERSIBLE, events=(E.STOP,),
                  citation='Stop Task: "Stopping a task is irreversible."'),
        Invariant("a stopped task cannot be resumed", Rule.NEVER_IN, events=(E.RESUME,), states=(S.STOPPED,),
                  citation='Resume Task: "You cannot resume a task that has been stopped."'),
        Invariant("only a paused task can be resumed", Rule.ONLY_IN, events=(E.RESUME,), states=(S.PAUSED,),
                  citation='Resume Task: "Only paused tasks can be resumed"'),
        Invariant("resume leads to running", Rule.LEADS_TO, events=(E.RESUME,), states=(S.RUNNING,),
                  citation='Resume Task: "The task status will change from "paused" to "running""'),
        Invariant("a paused task can be resumed", Rule.ACCEPTED_IN, events=(E.RESUME,), states=(S.PAUSED,),
                  citation='Pause Task: "The task can be resumed later using the `/resume-task` endpoint."'),
        Invariant("pause applies to a running task", Rule.ACCEPTED_IN, events=(E.PAUSE,), states=(S.RUNNING,),
                  citation='Pause Task: "Pauses execution of a running task."'),
        Invariant("pause leads to paused", Rule.LEADS_TO, events=(E.PAUSE,), states=(S.PAUSED,),
                  citation='Pause Task: "The task status will change to "paused""'),
        Invariant("stop leads to stopped", Rule.LEADS_TO, events=(E.STOP,), states=(S.STOPPED,),
                  citation='Stop Task: "The task status will change to "stopped""'),
        Invariant("a task that is not over can be stopped", Rule.ACCEPTED_UNTIL_FINAL, events=(E.STOP,),
                  citation='Stop Task: "Any ongoing browser automation will be immediately terminated"'),
        Invariant("stopped is final", Rule.FINAL, states=(S.STOPPED,),
                  citation='Resume Task: "Stopped tasks cannot be resumed - you must create a new task instead"'),
    ),
)

V1_FULL: Lifecycle[V1State, V1Event] = V1.extend(
    name="v1-full",
    citation="Browser Use Cloud API v1: Get Task Status; webhooks of the v1 era",
    states=(
        State(S.CREATED,  "accepted, not yet started", initial=True),
        State(S.FINISHED, "completed", final=True),
        State(S.FAILED,   "met an error and could not complete", final=True),
    ),
    events=(
        Event(E.START,  Origin.REMOTE, "the automation begins"),
        Event(E.FINISH, Origin.REMOTE, "the automation completes"),
        Event(E.FAIL,   Origin.REMOTE, "the automation meets an error"),
    ),
    transitions=(
        Transition(S.CREATED, E.STOP,   S.STOPPED),
        Transition(S.CREATED, E.START,  S.RUNNING),
        Transition(S.RUNNING, E.FINISH, S.FINISHED),
        Transition(S.CREATED, E.FAIL,   S.FAILED),
        Transition(S.RUNNING, E.FAIL,   S.FAILED),
        Transition(S.PAUSED,  E.FAIL,   S.FAILED),
    ),
    aliases=(
        Alias(Channel.WEBHOOK, "initializing", S.CREATED),
        Alias(Channel.WEBHOOK, "started",      S.RUNNING),
    ),
    invariants=(
        Invariant("finished and failed are final", Rule.FINAL, states=(S.FINISHED, S.FAILED),
                  citation='Get Task Status: "Task has completed successfully", "could not complete"'),
        Invariant("only a running task is paused", Rule.ONLY_IN, events=(E.PAUSE,), states=(S.RUNNING,),
                  citation='Pause Task: "Pauses execution of a running task."'),
        Invariant("only a created task starts", Rule.ONLY_IN, events=(E.START,), states=(S.CREATED,),
                  citation='Get Task Status: "created: Task is initialized but not yet started"'),
        Invariant("start leads to running", Rule.LEADS_TO, events=(E.START,), states=(S.RUNNING,),
                  citation='Get Task Status: "running: Task is currently executing"'),
        Invariant("only a running task finishes", Rule.ONLY_IN, events=(E.FINISH,), states=(S.RUNNING,),
                  citation='Pause Task: "Browser automation will be temporarily halted"'),
        Invariant("finish leads to finished", Rule.LEADS_TO, events=(E.FINISH,), states=(S.FINISHED,),
                  citation='Get Task Status: "finished: Task has completed successfully"'),
        Invariant("a running task can fail", Rule.ACCEPTED_IN, events=(E.FAIL,), states=(S.RUNNING,),
                  citation='Get Task Status: "failed: Task encountered an error and could not complete"'),
        Invariant("fail leads to failed", Rule.LEADS_TO, events=(E.FAIL,), states=(S.FAILED,),
                  citation='Get Task Status: "failed: Task encountered an error and could not complete"'),
    ),
)
# fmt: on
