"""The task of the Agent2Agent protocol (A2A), version 1.0: an agent works on it, and may ask for input.

Tables only. Sources: `TaskState` in specification/a2a.proto; the specification of the tags v1.0.0 and v1.0.1,
3.1.1 Send Message, 3.1.5 Cancel Task, 3.3.1 Idempotency and 7.6 In-Task Authorization; "Life of a Task".

Assumed: the legal transitions between states. No document has a table of them; the documents state only that a final
state is final, and that a task is submitted first. So a transition is declared from every state that is not final,
except back to `TASK_STATE_SUBMITTED`. Also assumed: an accepted message first returns a waiting task to work.

`TASK_STATE_UNSPECIFIED` ("unknown or indeterminate") is not a state of a task: a report of it says nothing.
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.lifecycle import Alias, Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class A2AState(StrEnum):
    """The states of an A2A task."""

    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"
    INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
    AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"
    COMPLETED = "TASK_STATE_COMPLETED"
    FAILED = "TASK_STATE_FAILED"
    CANCELED = "TASK_STATE_CANCELED"
    REJECTED = "TASK_STATE_REJECTED"


class A2AEvent(StrEnum):
    """The events of an A2A task."""

    CANCEL = "cancel"
    ANSWER = "answer"
    WORK = "work"
    ASK = "ask"
    ASK_AUTH = "ask_auth"
    COMPLETE = "complete"
    FAIL = "fail"
    REJECT = "reject"


S = A2AState
E = A2AEvent

OLDER_CHANNEL = "0.3"
"""The channel of agents that speak A2A 0.3, whose states have other names."""

# fmt: off
A2A: Lifecycle[A2AState, A2AEvent] = Lifecycle(
    name="a2a",
    citation="A2A specification 1.0: TaskState, Send Message, Cancel Task; Life of a Task",
    states=(
        State(S.SUBMITTED,      "accepted by the agent, work has not begun", initial=True),
        State(S.WORKING,        "the agent works on it"),
        State(S.INPUT_REQUIRED, "the agent waits for an answer", interrupted=True),
        State(S.AUTH_REQUIRED,  "the agent waits for an authorization", interrupted=True),
        State(S.COMPLETED,      "done", final=True),
        State(S.FAILED,         "ended with an error", final=True),
        State(S.CANCELED,       "canceled before it was done", final=True),
        State(S.REJECTED,       "the agent decided not to do it", final=True),
    ),
    events=(
        # Cooperative: an agent may accept a cancel and complete the task. So a response proves nothing; the state
        # does, as no other row leads to it.
        Event(E.CANCEL,   Origin.CALLER, "ask the agent to cancel the task"),
        # `working` proves nothing, because the agent may have gone on without this message. And a message that is sent
        # twice may count twice, for agents may know a repeated one by its id, and need not (3.3.1).
        Event(E.ANSWER,   Origin.CALLER, "send what the agent asks for", proved_by_state=False, idempotent=False),
        Event(E.WORK,     Origin.REMOTE, "the agent begins, or goes on with what it got elsewhere"),
        Event(E.ASK,      Origin.REMOTE, "the agent needs input"),
        Event(E.ASK_AUTH, Origin.REMOTE, "the agent needs an authorization"),
        Event(E.COMPLETE, Origin.REMOTE, "the agent is done"),
        Event(E.FAIL,     Origin.REMOTE, "the agent meets an error"),
        Event(E.REJECT,   Origin.REMOTE, "the agent will not do it"),
    ),
    transitions=(
        Transition(S.SUBMITTED,      E.CANCEL,   S.CANCELED),
        Transition(S.WORKING,        E.CANCEL,   S.CANCELED),
        Transition(S.INPUT_REQUIRED, E.CANCEL,   S.CANCELED),
        Transition(S.AUTH_REQUIRED,  E.CANCEL,   S.CANCELED),
        Transition(S.INPUT_REQUIRED, E.ANSWER,   S.WORKING),
        Transition(S.AUTH_REQUIRED,  E.ANSWER,   S.WORKING),
        Transition(S.SUBMITTED,      E.WORK,     S.WORKING),
        Transition(S.INPUT_REQUIRED, E.WORK,     S.WORKING),
        Transition(S.AUTH_REQUIRED,  E.WORK,     S.WORKING),
        Transition(S.SUBMITTED,      E.ASK,      S.INPUT_REQUIRED),
        Transition(S.WORKING,        E.ASK,      S.INPUT_REQUIRED),
        Transition(S.AUTH_REQUIRED,  E.ASK,      S.INPUT_REQUIRED),
        Transition(S.SUBMITTED,      E.ASK_AUTH, S.AUTH_REQUIRED),
        Transition(S.WORKING,        E.ASK_AUTH, S.AUTH_REQUIRED),
        Transition(S.INPUT_REQUIRED, E.ASK_AUTH, S.AUTH_REQUIRED),
        Transition(S.SUBMITTED,      E.COMPLETE, S.COMPLETED),
        Transition(S.WORKING,        E.COMPLETE, S.COMPLETED),
        Transition(S.INPUT_REQUIRED, E.COMPLETE, S.COMPLETED),
        Transition(S.AUTH_REQUIRED,  E.COMPLETE, S.COMPLETED),
        Transition(S.SUBMITTED,      E.FAIL,     S.FAILED),
        Transition(S.WORKING,        E.FAIL,     S.FAILED),
        Transition(S.INPUT_REQUIRED, E.FAIL,     S.FAILED),
        Transition(S.AUTH_REQUIRED,  E.FAIL,     S.FAILED),
        Transition(S.SUBMITTED,      E.REJECT,   S.REJECTED),
        Transition(S.WORKING,        E.REJECT,   S.REJECTED),
        Transition(S.INPUT_REQUIRED, E.REJECT,   S.REJECTED),
        Transition(S.AUTH_REQUIRED,  E.REJECT,   S.REJECTED),
    ),
    aliases=(
        Alias(OLDER_CHANNEL, "submitted",      S.SUBMITTED),
        Alias(OLDER_CHANNEL, "working",        S.WORKING),
        Alias(OLDER_CHANNEL, "input-required", S.INPUT_REQUIRED),
        Alias(OLDER_CHANNEL, "auth-required",  S.AUTH_REQUIRED),
        Alias(OLDER_CHANNEL, "completed",      S.COMPLETED),
        Alias(OLDER_CHANNEL, "failed",         S.FAILED),
        Alias(OLDER_CHANNEL, "canceled",       S.CANCELED),
        Alias(OLDER_CHANNEL, "rejected",       S.REJECTED),
    ),
    invariants=(
        Invariant("completed, failed, canceled and rejected are final", Rule.FINAL,
                  states=(S.COMPLETED, S.FAILED, S.CANCELED, S.REJECTED),
                  citation='Life of a Task: "Once a task reaches a terminal state (completed, canceled, rejected, or '
                           'failed), it cannot restart."'),
        Invariant("a task that is over takes no message", Rule.NEVER_IN, events=(E.ANSWER,),
                  states=(S.COMPLETED, S.FAILED, S.CANCELED, S.REJECTED),
                  citation='3.1.1 Send Message: "Messages sent to Tasks that are in a terminal state [...] cannot '
                           'accept further messages."'),
        Invariant("a task that is not over can be asked to cancel", Rule.ACCEPTED_UNTIL_FINAL, events=(E.CANCEL,),
                  citation='3.1.5 Cancel Task: "Requests the cancellation of an ongoing task."'),
        Invariant("a cancel that takes effect leads to canceled", Rule.LEADS_TO, events=(E.CANCEL,),
                  states=(S.CANCELED,),
                  citation='TASK_STATE_CANCELED: "Indicates that a task was canceled before completion."'),
        Invariant("a task that needs input or an authorization takes a message", Rule.ACCEPTED_IN, events=(E.ANSWER,),
                  states=(S.INPUT_REQUIRED, S.AUTH_REQUIRED),
                  citation='TASK_STATE_INPUT_REQUIRED: "the agent requires additional user input to proceed"; 7.6.1: '
                           '"Agents SHOULD support receiving messages directed to the Task while the Task remains in '
                           'TASK_STATE_AUTH_REQUIRED."'),
        Invariant("an agent that has the credential may go on without a message", Rule.ACCEPTED_IN, events=(E.WORK,),
                  states=(S.AUTH_REQUIRED,),
                  citation='7.6.1: "The agent MAY immediately continue Task processing after receiving the credential, '
                           'without a requirement that clients send a follow-up message."'),
        Invariant("an agent that works is working", Rule.LEADS_TO, events=(E.WORK,), states=(S.WORKING,),
                  citation='TASK_STATE_WORKING: "a task is actively being processed by the agent"'),
        Invariant("an agent that asks waits for input", Rule.LEADS_TO, events=(E.ASK,), states=(S.INPUT_REQUIRED,),
                  citation='TASK_STATE_INPUT_REQUIRED: "the agent requires additional user input to proceed"'),
        Invariant("an agent without a credential waits for it", Rule.LEADS_TO, events=(E.ASK_AUTH,),
                  states=(S.AUTH_REQUIRED,),
                  citation='TASK_STATE_AUTH_REQUIRED: "authentication is required to proceed"'),
        Invariant("a task that is done is completed", Rule.LEADS_TO, events=(E.COMPLETE,), states=(S.COMPLETED,),
                  citation='TASK_STATE_COMPLETED: "a task has finished successfully"'),
        Invariant("a task that met an error is failed", Rule.LEADS_TO, events=(E.FAIL,), states=(S.FAILED,),
                  citation='TASK_STATE_FAILED: "a task has finished with an error"'),
        Invariant("a task that the agent will not do is rejected", Rule.LEADS_TO, events=(E.REJECT,),
                  states=(S.REJECTED,),
                  citation='TASK_STATE_REJECTED: "the agent has decided not to perform the task"'),
        Invariant("a task may be rejected when it is created or later", Rule.ACCEPTED_IN, events=(E.REJECT,),
                  states=(S.SUBMITTED, S.WORKING),
                  citation='TASK_STATE_REJECTED: "This may be done during initial task creation or later"'),
    ),
)
# fmt: on
