"""Mistakes that a type checker must reject: an error on every marked line and on no other.

Read by mypy and pyright (test_typing.py), never run. They report a mistake of several
lines differently, so each mistake is one line.
"""

from __future__ import annotations

from lifecycle import (
    V1,
    Event,
    Invariant,
    Lifecycle,
    Rule,
    State,
    Transition,
    Transitions,
    V1Event,
    V1State,
    V2Event,
    V2State,
    get,
)
from lifecycle_adapters.http import AsyncClient, Client

# Misspelt names.
V1.target(V1State.RUNING, V1Event.STOP)  # error
V1.target(V1State.RUNNING, V1Event.HALT)  # error
misspelt = V1.judge(V1State.RUNNING, V1Event.STOP).targte  # error
V1.allow(V1State.RUNNING)  # error

# A state where an event belongs, and the other way round.
V1.target(V1Event.STOP, V1State.RUNNING)  # error
V1.step(V1State.RUNNING, V1State.STOPPED)  # error
V1.judge(V1State.RUNNING, V1State.STOPPED)  # error
V1.allowed(V1Event.STOP)  # error
V1.replay([V1State.PAUSED])  # error
V1.replay([], start=V1Event.PAUSE)  # error
V1.is_final(V1Event.STOP)  # error
V1.is_terminating(V1State.STOPPED)  # error
V1.state(V1Event.STOP)  # error
V1.event(V1State.STOPPED)  # error

# Another version's names.
V1.step(V1State.RUNNING, V2Event.STOP)  # error
V1.step(V2State.CREATED, V1Event.STOP)  # error
V1.replay([V1Event.PAUSE, V2Event.STOP])  # error
V1.path(V1State.RUNNING, V2State.STOPPED)  # error
V1.reachable(V2State.STOPPED)  # error
V1.observe(V2State.STARTED, "paused")  # error

# Text where the members are known.
V1.step("running", V1Event.STOP)  # error
V1.step(V1State.RUNNING, "stop")  # error
V1.observe("running", "paused")  # error
V1.allowed(V1State.RUNNING, origin="callr")  # error
V1.check(["running"], mode="strict")  # error

# Results taken for something else.
forgotten: V1State = V1.target(V1State.RUNNING, V1Event.STOP)  # error
other_version: V2State = V1.step(V1State.RUNNING, V1Event.STOP)  # error
events: tuple[V2Event, ...] = V1.allowed(V1State.RUNNING)  # error
len(V1.path(V1State.RUNNING, V1State.STOPPED))  # error

# Declarations.
swapped: Transition[V1State, V1Event] = Transition(V1Event.STOP, V1State.RUNNING, V1State.STOPPED)  # error
mixed: Transition[V1State, V1Event] = Transition(V1State.RUNNING, V2Event.STOP, V1State.STOPPED)  # error
several: Transitions[V1State, V1Event] = Transitions((V2State.STARTED,), V1Event.STOP, V1State.STOPPED)  # error
any_state: Transitions[V1State, V1Event] = Transitions("any", V1Event.STOP, V1State.STOPPED)  # error
by_place: State[V1State] = State(V1State.RUNNING, "the task executes", True)  # error
by_text: Event[V1Event] = Event(V1Event.STOP, "caller")  # error
uncited: Invariant[V1State, V1Event] = Invariant("stop is final", Rule.FINAL, states=(V1State.STOPPED,))  # error
unruled: Invariant[V1State, V1Event] = Invariant("stop is final", "final", citation="")  # error
V1.extend(name="v1-more", citation="", states=(State(V2State.FAILED, final=True),))  # error
nameless: Lifecycle[str, str] = Lifecycle(citation="", states=(), events=(), transitions=())  # error

# Nothing can be changed.
V1.name = "v9"  # error
V1.own = "v9"  # error
V1.states[0].final = True  # error
V1.judge(V1State.RUNNING, V1Event.STOP).target = V1State.PAUSED  # error

# Lifecycles of plain text.
get(1)  # error
get("v1").step("running", 1)  # error


# Commands that the service does not have.
def clients(v1: Client[V1State, V1Event], v2: Client[V2State, V2Event], other: AsyncClient[V2State, V2Event]) -> None:
    Client("v2").create("x").pause()  # error
    Client("v2").task("t").resume()  # error
    Client("v1").task("t").stop_task()  # error
    Client("v1").task("t").cancel()  # error
    Client("v3").task("s").pause()  # error
    Client("v4").task("r").stop()  # error
    Client("v4-message").task(7).stop()  # error
    Client("v2-session").task("s").stop_task_and_session()  # error
    v2.session("s").stop_task_and_session()  # error
    AsyncClient("v2").task("t").pause()  # error
    other.task("t").pause()  # error
    v1.task("t").send("paus")  # error
    v1.task("t").send(V2Event.STOP)  # error
    v2.task("t").send(V1Event.RESUME)  # error
    other.task("t").send("stop")  # error
    Client("v1", serveur="http://127.0.0.1:8000")  # error
    Client("v1", lifecycle="v1")  # error
    Client("v1", timing=5)  # error
