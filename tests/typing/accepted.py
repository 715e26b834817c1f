"""Code that a type checker must accept, with the types that it must infer. mypy and pyright read it; it never runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar, assert_type

from lifecycle import (
    V1,
    V1_FULL,
    V2,
    Event,
    Finding,
    Lifecycle,
    Observation,
    Origin,
    State,
    Transition,
    Transitions,
    V1Event,
    V1State,
    V2Event,
    V2In2025State,
    V2SessionEvent,
    V2SessionState,
    V2State,
    V3State,
    V4MessageState,
    V4State,
    Verdict,
    get,
)
from lifecycle.command import CommandResult
from lifecycle_adapters.http import AsyncClient, AsyncSession, AsyncTask, Client, HttpBinding, Session, Task, TaskResult

# The types of the results are those of the lifecycle.
assert_type(V1.target(V1State.RUNNING, V1Event.STOP), V1State | None)
assert_type(V1.step(V1State.RUNNING, V1Event.STOP), V1State)
assert_type(V1.judge(V1State.RUNNING, V1Event.STOP), Verdict[V1State, V1Event])
assert_type(V1.judge(V1State.RUNNING, V1Event.STOP).target, V1State | None)
assert_type(V1.allowed(V1State.RUNNING, origin=Origin.CALLER), tuple[V1Event, ...])
assert_type(V1.replay([V1Event.PAUSE], start=V1State.RUNNING), V1State)
assert_type(V1.path(V1State.RUNNING, V1State.STOPPED), tuple[V1Event, ...] | None)
assert_type(V1.covering_paths(), tuple[tuple[V1Event, ...], ...])
assert_type(V1.reachable(V1State.RUNNING), frozenset[V1State])
assert_type(V1.observe(V1State.RUNNING, "paused", channel="webhook"), Observation[V1State, V1Event])
assert_type(V1.check(["running", "paused"], mode="sampled"), tuple[Finding[V1State], ...])
assert_type(V1.state_of("paused"), V1State | None)
assert_type(V1.require_state_of("paused"), V1State)
assert_type(V1.initial, V1State)
assert_type(V1.final_states, tuple[V1State, ...])
assert_type(V1.commands, tuple[V1Event, ...])
assert_type(V1.state(V1State.PAUSED), State[V1State])
assert_type(V1.states[0].name, V1State)
assert_type(V2.initial, V2State)

# An extension keeps the types.
assert_type(V1_FULL, Lifecycle[V1State, V1Event])
assert_type(V1.extend(name="v1-same", citation=""), Lifecycle[V1State, V1Event])
assert_type(V1.replace(name="v9"), Lifecycle[V1State, V1Event])

# What is read is of plain text, unless its enumerations are named.
assert_type(get("v1"), Lifecycle[str, str])
assert_type(Lifecycle.from_file("door.yaml"), Lifecycle[str, str])
assert_type(Lifecycle.from_json("{}"), Lifecycle[str, str])
assert_type(get("v1").step("running", "stop"), str)
assert_type(Lifecycle.from_json("{}", states=V1State, events=V1Event), Lifecycle[V1State, V1Event])

# A lifecycle can be a key.
owners = {V1: "ops", V1_FULL: "research"}
assert_type(owners[V1], str)


# Lifecycles of one's own: with enumerations, or with plain text.
class DoorState(StrEnum):
    OPEN = "open"
    GONE = "gone"


class DoorEvent(StrEnum):
    ROT = "rot"


DOOR: Lifecycle[DoorState, DoorEvent] = Lifecycle(
    name="door",
    citation="the joiner's manual",
    states=(State(DoorState.OPEN, initial=True), State(DoorState.GONE, final=True)),
    events=(Event(DoorEvent.ROT, Origin.REMOTE),),
    transitions=(Transition(DoorState.OPEN, DoorEvent.ROT, DoorState.GONE),),
)
assert_type(DOOR.step(DoorState.OPEN, DoorEvent.ROT), DoorState)

PLAIN: Lifecycle[str, str] = Lifecycle(
    name="plain",
    citation="",
    states=(State("on", initial=True), State("off", final=True)),
    events=(Event("switch", Origin.CALLER),),
    transitions=(Transition("on", "switch", "off"),),
)
assert_type(PLAIN.step("on", "switch"), str)

# Rows of several sources.
several: Transitions[V1State, V1Event] = Transitions((V1State.RUNNING, V1State.PAUSED), V1Event.STOP, V1State.STOPPED)
every: Transitions[V1State, V1Event] = Transitions("*", V1Event.STOP, V1State.STOPPED)
assert_type(V1.extend(name="v1-more", citation="", transitions=(several, every)), Lifecycle[V1State, V1Event])
assert_type(V1.transitions, tuple[Transition[V1State, V1Event], ...])

# Functions over any lifecycle.
S = TypeVar("S", bound=str)
E = TypeVar("E", bound=str)


def last_words(lifecycle: Lifecycle[S, E]) -> tuple[S, ...]:
    return lifecycle.final_states


assert_type(last_words(V1), tuple[V1State, ...])
assert_type(last_words(get("v1")), tuple[str, ...])


# Clients know the service's states and commands, if its name or its binding is known here.
async def clients(api: str, binding: HttpBinding[DoorState, DoorEvent], client: Client, handle: Task) -> None:
    assert_type(Client("v1"), Client[V1State, V1Event])
    assert_type(Client("v1", lifecycle=V1, base_url="http://127.0.0.1:8000").task("t"), Task[V1State, V1Event])
    assert_type(Client("v1").task("t").pause(), CommandResult[V1State, V1Event])
    assert_type(Client("v1").task("t").send(V1Event.PAUSE).state, V1State)
    assert_type(Client("v1").task("t").allowed(), tuple[V1Event, ...])
    assert_type(Client("v1").task("t").wait(), TaskResult[V1State])
    assert_type(Client("v2").create("x").stop().state, V2State)
    assert_type(Client("v2").session("s").stop(), CommandResult[V2SessionState, V2SessionEvent])
    assert_type(Client("v2").task("t").session(), Task[V2SessionState, V2SessionEvent])
    assert_type(Client("v4").session("s"), Session)
    assert_type(Client("v4").task("r").session(), Session)
    assert_type(Client("v4").session("s").queue("x").cancel().state, V4MessageState)
    assert_type(Client("v4").session("s").latest(), Task[Any, Any])
    assert_type(await AsyncClient("v4").task("r").session(), AsyncSession)
    assert_type(await AsyncClient("v2").task("t").session(), AsyncTask[V2SessionState, V2SessionEvent])
    assert_type(Client("v2-session").task("s").stop().state, V2SessionState)
    assert_type(Client("v2-2025").task("t").pause().state, V2In2025State)
    assert_type(Client("v3").create("x").dispatch("y").state, V3State)
    assert_type(Client("v3").task("s").stop_task().state, V3State)
    assert_type(Client("v4").task("r").cancel().state, V4State)
    assert_type(Client("v4-message", parameters={"session_id": "s"}).task(7).cancel().state, V4MessageState)
    assert_type(AsyncClient("v2"), AsyncClient[V2State, V2Event])
    assert_type(await AsyncClient("v2").task("t").stop_task_and_session(), CommandResult[V2State, V2Event])
    assert_type(await AsyncClient("v2").task("t").known_state(), V2State | None)
    assert_type(await AsyncClient("v2").session("s").stop(), CommandResult[V2SessionState, V2SessionEvent])
    # One's own, with its enumerations.
    assert_type(Client(binding).task("t").send(DoorEvent.ROT), CommandResult[DoorState, DoorEvent])
    # Known only when the program runs: everything goes, as plain text.
    assert_type(Client(api), Client[str, str])
    assert_type(Client(api).task("t").send("pause").state, str)
    Client(api).task("t").pause()
    client.task("t").pause()
    client.task("t").send("pause")
    handle.cancel()
    client = Client("v1")
