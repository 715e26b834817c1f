"""The lifecycle of one command in the journal, from its recorded intent to an outcome.

Tables only. Source: the procedure in lifecycle/command.py, which makes these transitions. The service's
response causes `confirm`, `refuse`, `end` and `outlive`, its absence causes `lose`; a caller can only abandon
the command.
"""

from __future__ import annotations

from enum import StrEnum

from lifecycle.lifecycle import Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import Origin


class CommandState(StrEnum):
    """The states of a command in a journal."""

    RECORDED = "recorded"
    UNCERTAIN = "uncertain"
    DONE = "done"
    REFUSED = "refused"
    ENDED_FIRST = "ended_first"
    MOOT = "moot"
    ABANDONED = "abandoned"


class CommandEvent(StrEnum):
    """The events of a command in a journal."""

    LOSE = "lose"
    CONFIRM = "confirm"
    REFUSE = "refuse"
    END = "end"
    OUTLIVE = "outlive"
    ABANDON = "abandon"


S = CommandState
E = CommandEvent

# fmt: off
COMMAND: Lifecycle[CommandState, CommandEvent] = Lifecycle(
    name="command",
    citation="the protocol of one command, lifecycle/command.py",
    states=(
        State(S.RECORDED,    "intended; it may or may not have been sent", initial=True),
        State(S.UNCERTAIN,   "sent, and no usable response arrived"),
        State(S.DONE,        "proved to have taken effect", final=True),
        State(S.REFUSED,     "the service refused it, or the task's state does for good", final=True),
        State(S.ENDED_FIRST, "the task is over, and it did not take effect", final=True),
        State(S.MOOT,        "the task is over, and whether it took effect before is not known", final=True),
        State(S.ABANDONED,   "abandoned by the caller", final=True),
    ),
    events=(
        Event(E.LOSE,    Origin.REMOTE, "no usable response arrived"),
        Event(E.CONFIRM, Origin.REMOTE, "a response or a read proved it"),
        Event(E.REFUSE,  Origin.REMOTE, "the service refused it, or the task's state does for good"),
        Event(E.END,     Origin.REMOTE, "the task ended without it"),
        Event(E.OUTLIVE, Origin.REMOTE, "the task ended, perhaps after it"),
        Event(E.ABANDON, Origin.CALLER, "the caller no longer wants it"),
    ),
    transitions=(
        Transition(S.RECORDED,  E.LOSE,    S.UNCERTAIN),
        Transition(S.RECORDED,  E.CONFIRM, S.DONE),
        Transition(S.UNCERTAIN, E.CONFIRM, S.DONE),
        Transition(S.RECORDED,  E.REFUSE,  S.REFUSED),
        Transition(S.UNCERTAIN, E.REFUSE,  S.REFUSED),
        Transition(S.RECORDED,  E.END,     S.ENDED_FIRST),
        Transition(S.UNCERTAIN, E.END,     S.ENDED_FIRST),
        Transition(S.RECORDED,  E.OUTLIVE, S.MOOT),
        Transition(S.UNCERTAIN, E.OUTLIVE, S.MOOT),
        Transition(S.RECORDED,  E.ABANDON, S.ABANDONED),
        Transition(S.UNCERTAIN, E.ABANDON, S.ABANDONED),
    ),
    invariants=(
        Invariant("an outcome is final", Rule.FINAL,
                  states=(S.DONE, S.REFUSED, S.ENDED_FIRST, S.MOOT, S.ABANDONED),
                  citation="lifecycle/command.py: an outcome is recorded once"),
        Invariant("a lost command is uncertain", Rule.LEADS_TO, events=(E.LOSE,), states=(S.UNCERTAIN,),
                  citation='lifecycle/command.py, step 7: "No usable response: uncertain"'),
        Invariant("a command becomes uncertain once", Rule.ONLY_IN, events=(E.LOSE,), states=(S.RECORDED,),
                  citation='lifecycle/command.py: "If it is uncertain already, this changes nothing"'),
        Invariant("every open command can be settled by a read", Rule.ACCEPTED_UNTIL_FINAL,
                  events=(E.CONFIRM, E.END, E.OUTLIVE),
                  citation='lifecycle/command.py, step 7: "uncertain until a read proves the effect, the end"'),
        Invariant("a proved command is done", Rule.LEADS_TO, events=(E.CONFIRM,), states=(S.DONE,),
                  citation='lifecycle/command.py, step 5: "done if proved"'),
        Invariant("the first attempt can be refused", Rule.ACCEPTED_IN, events=(E.REFUSE,), states=(S.RECORDED,),
                  citation='lifecycle/command.py, step 6: "Otherwise refused"'),
        Invariant("refuse leads to refused", Rule.LEADS_TO, events=(E.REFUSE,), states=(S.REFUSED,),
                  citation='lifecycle/command.py, step 6: "Otherwise refused"'),
        Invariant("end leads to ended_first", Rule.LEADS_TO, events=(E.END,), states=(S.ENDED_FIRST,),
                  citation='lifecycle/proof.py: "The command did not take effect (`ended_first`)"'),
        Invariant("outlive leads to moot", Rule.LEADS_TO, events=(E.OUTLIVE,), states=(S.MOOT,),
                  citation='lifecycle/proof.py: "Otherwise it cannot be known (`moot`)."'),
        Invariant("an open command can be abandoned", Rule.ACCEPTED_UNTIL_FINAL, events=(E.ABANDON,),
                  citation="lifecycle/command.py: a stop may abandon an uncertain command"),
        Invariant("abandon leads to abandoned", Rule.LEADS_TO, events=(E.ABANDON,), states=(S.ABANDONED,),
                  citation='lifecycle/command.py, step 3: "a stop abandons it"'),
    ),
)
# fmt: on
