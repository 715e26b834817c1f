"""A bound object follows its lifecycle, by methods or by the machine; an impossible binding is refused at once."""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock, create_autospec

import pydantic
import pytest
import transitions
from transitions.extensions.asyncio import AsyncMachine

from lifecycle import (
    V1,
    V1_FULL,
    V2,
    Event,
    IllegalTransition,
    Lifecycle,
    Origin,
    State,
    Transition,
    UnknownName,
    V1Event,
    V1State,
    V2Event,
    get,
)
from lifecycle_adapters.machine import StateChange, bind, bind_async

E = V1Event
S = V1State

V1Change = StateChange[Any, V1State, V1Event]


class Task:
    """A user's object. The annotations announce methods that are attached; they do not exist before."""

    state: V1State | str | None
    pause: Callable[..., bool]
    resume: Callable[..., bool]
    stop: Callable[..., bool]
    trigger: Callable[..., bool]
    may_trigger: Callable[[str], bool]
    may_stop: Callable[[], bool]
    is_paused: Callable[[], bool]

    def __init__(self, state: V1State | str | None = None) -> None:
        self.state = state
        self.heard: list[str] = []


# --- what is attached ----------------------------------------------------------------------------


def test_only_documented_methods_are_attached() -> None:
    task = Task()
    bind(V1, task)
    assert vars(task).keys() - vars(Task()).keys() == {
        *("pause", "resume", "stop"),
        *("may_pause", "may_resume", "may_stop"),
        *("is_running", "is_paused", "is_stopped"),
        *("trigger", "may_trigger"),
        "__getstate__",
    }


def test_only_the_state_is_set_without_attaching() -> None:
    task = Task()
    machine = bind(V1, task, attach=False)
    assert machine.fire(E.PAUSE) is S.PAUSED
    assert vars(task) == {"state": S.PAUSED, "heard": []}


def test_bind_returns_a_machine_of_transitions() -> None:
    task = Task()
    machine = bind(V1, task)
    assert isinstance(machine, transitions.Machine)
    assert isinstance(bind_async(V1, Task()), AsyncMachine)
    assert machine.model is task
    assert list(machine.states) == ["running", "paused", "stopped"]
    assert [(row.source, row.dest) for row in machine.get_transitions("stop")] == [
        ("running", "stopped"),
        ("paused", "stopped"),
    ]
    assert machine.get_triggers("paused") == ["resume", "stop"]
    assert [state.name for state in machine.states.values() if state.final] == ["stopped"]


def test_events_are_fired_by_methods_by_name_and_by_the_machine() -> None:
    task = Task()
    machine = bind(V1, task)
    assert task.pause() is True
    assert task.is_paused()
    assert task.trigger("resume") is True
    assert machine.fire(E.PAUSE) is S.PAUSED
    assert machine.allowed() == (E.RESUME, E.STOP)
    assert (task.may_stop(), task.may_trigger("pause")) == (True, False)
    assert task.state is machine.state is S.PAUSED


def test_state_is_kept_in_the_named_attribute() -> None:
    task = SimpleNamespace(state="something else", phase="paused")
    machine = bind(V1, task, attribute="phase")
    assert task.is_phase_paused()
    assert machine.fire(E.RESUME) is task.phase is S.RUNNING
    assert task.state == "something else"


def test_two_machines_over_one_object() -> None:
    pair = SimpleNamespace()
    bind(V1, pair, attribute="v1_state", attach=False).fire(E.STOP)
    bind(V2, pair, attribute="v2_state", attach=False).fire(V2Event.START)
    assert vars(pair) == {"v1_state": "stopped", "v2_state": "started"}


# --- the state it has ----------------------------------------------------------------------------


@pytest.mark.parametrize("task", [Task(), SimpleNamespace()], ids=["None", "missing"])
def test_an_object_without_a_state_starts_in_the_initial_one(task: Any) -> None:
    bind(V1_FULL, task)
    assert task.state is S.CREATED


@pytest.mark.parametrize("state", [S.PAUSED, "paused"], ids=["a member", "plain text"])
def test_binding_keeps_the_state_and_calls_no_callback(state: V1State | str) -> None:
    received: list[V1Change] = []
    task = Task(state)
    bind(V1, task, on_enter={S.PAUSED: received.append}, on_leave={S.RUNNING: received.append})
    assert task.state is S.PAUSED
    assert received == []


def test_state_set_as_plain_text_is_accepted() -> None:
    task = Task()
    machine = bind(V1, task)
    task.state = "paused"  # as an object-relational mapper does when it reads a row again
    assert machine.state is S.PAUSED
    task.resume()
    assert task.state is S.RUNNING


@pytest.mark.parametrize("attach", [True, False])
def test_an_undeclared_state_is_refused(attach: bool) -> None:
    task = Task("finished")
    with pytest.raises(UnknownName, match="unknown state 'finished'; 'v1-full' declares it"):
        bind(V1, task, attach=attach)
    assert vars(task) == vars(Task("finished"))


def test_an_undeclared_state_set_later_is_refused_when_it_is_met() -> None:
    task = Task()
    machine = bind(V1, task)
    task.state = "lost"
    for ask in (machine.allowed, task.stop, task.may_stop, lambda: machine.state):
        with pytest.raises(UnknownName, match="unknown state 'lost'"):
            ask()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("attribute", ["state", "phase"])
def test_a_state_deleted_later_is_refused_when_it_is_met(is_async: bool, attribute: str) -> None:
    task = type("Thing", (), {})()
    vars(task)[attribute] = "running"
    machine: Any = (bind_async if is_async else bind)(V1, task, attribute=attribute)
    del vars(task)[attribute]

    async def fire() -> None:
        await machine.fire("pause")

    asks = (machine.allowed, lambda: machine.state, lambda: asyncio.run(fire()) if is_async else machine.fire("pause"))
    for ask in asks:
        with pytest.raises(UnknownName, match="unknown state None"):
            ask()


def test_states_without_an_enumeration_are_texts() -> None:
    plain = Lifecycle.from_json(V1.to_json())
    task = Task()
    assert bind(plain, task).fire("pause") == "paused"
    assert type(task.state) is str


# --- refusals ------------------------------------------------------------------------------------


def test_a_refused_event_changes_nothing_and_calls_nothing() -> None:
    received: list[V1Change] = []
    task = Task(S.STOPPED)
    machine = bind(
        V1,
        task,
        on_enter={state.name: received.append for state in V1.states},
        on_leave={state.name: received.append for state in V1.states},
        before={event.name: received.append for event in V1.events},
        after={event.name: received.append for event in V1.events},
    )
    for fire in (task.resume, partial(task.trigger, "resume"), partial(machine.fire, E.RESUME)):
        with pytest.raises(
            IllegalTransition, match="v1: 'resume' is not allowed in 'stopped'; 'stopped' is final"
        ) as e:
            fire()
        refusal = e.value
        assert (refusal.lifecycle, refusal.state, refusal.event, refusal.allowed) == ("v1", "stopped", "resume", ())
    assert task.state is S.STOPPED
    assert received == []


def test_a_redundant_command_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="'pause' is not allowed in 'paused'; allowed: resume, stop"):
        bind(V1, Task(S.PAUSED)).fire(E.PAUSE)


def test_an_undeclared_event_is_refused_by_its_name() -> None:
    task = Task()
    machine = bind(get("v1"), task)
    for ask in (partial(task.trigger, "puase"), partial(task.may_trigger, "puase"), partial(machine.fire, "puase")):
        with pytest.raises(UnknownName, match=r"unknown event 'puase'; did you mean 'pause'\?"):
            ask()


# --- callbacks -----------------------------------------------------------------------------------


def test_callbacks_are_called_in_order_with_the_change() -> None:
    received: list[tuple[str, str | None, V1Change]] = []
    task = Task()

    def note(kind: str) -> Callable[[V1Change], None]:
        return lambda change: received.append((kind, change.model.state, change))

    bind(
        V1,
        task,
        before={E.PAUSE: [note("before"), note("before too")], E.STOP: note("not this one")},
        on_leave={S.RUNNING: note("leave")},
        on_enter={S.PAUSED: (note("enter"),), S.STOPPED: note("nor this one")},
        after={E.PAUSE: note("after")},
    )
    task.pause("now", reason="lunch")
    assert [(kind, state) for kind, state, _ in received] == [
        ("before", S.RUNNING),
        ("before too", S.RUNNING),
        ("leave", S.RUNNING),
        ("enter", S.PAUSED),
        ("after", S.PAUSED),
    ]
    expected = StateChange(task, S.RUNNING, E.PAUSE, S.PAUSED, args=("now",), kwargs={"reason": "lunch"})
    for _, _, change in received:
        assert change == expected
        assert (type(change.source), type(change.event), type(change.target)) == (S, E, S)


def test_callbacks_can_be_added_by_the_means_of_the_library() -> None:
    received: list[str] = []
    task = Task()
    machine = bind(V1, task, before={E.STOP: lambda _: received.append("ours")})

    def note(event_data: transitions.EventData) -> None:
        received.append(event_data.event.name)

    machine.events["stop"].add_callback("before", note)
    task.stop()
    assert received == ["ours", "stop"]


class Hooked(Task):
    """Has the methods that `transitions` calls by their names, and others that it does not call."""

    def on_enter_paused(self) -> None:
        self.heard.append("on_enter_paused")

    def on_exit_running(self) -> None:
        self.heard.append("on_exit_running")

    def before_pause(self) -> None:
        self.heard.append("before_pause")

    on_enter_stopped = "no method"


def test_refused_method_names_are_those_that_transitions_calls() -> None:
    task = Hooked()
    rows = [["pause", "running", "paused"]]
    transitions.Machine(task, states=["running", "paused"], initial="running", transitions=rows)
    task.trigger("pause")
    assert task.heard == ["on_exit_running", "on_enter_paused"]


@pytest.mark.parametrize("binder", [bind, bind_async])
def test_callback_methods_found_by_name_are_refused(binder: Any) -> None:
    for attach in (True, False):
        task = Hooked()
        with pytest.raises(ValueError, match=r"^v1: an object of 'Hooked' has methods that are not called") as info:
            binder(V1, task, attach=attach)
        assert str(info.value).endswith(
            "pass their callbacks, or () for none: on_exit_running as on_leave={'running': ...}, "
            "on_enter_paused as on_enter={'paused': ...}"
        )
        assert vars(task) == vars(Hooked())


class OfClass(Task):
    @classmethod
    def on_enter_paused(cls) -> None:
        raise AssertionError("it is not called by its name")


class OfObject(Task):
    def __init__(self) -> None:
        super().__init__()
        self.on_enter_paused = self.heard.clear


class OfProperty(Task):
    @property
    def on_enter_paused(self) -> Callable[[], None]:
        return self.heard.clear


class OfProxy:
    """It has the attributes of another object."""

    def __init__(self) -> None:
        self._task = OfClass()

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_task"), name)


@pytest.mark.parametrize(
    "kind",
    [OfClass, OfObject, OfProperty, OfProxy, partial(create_autospec, OfClass, instance=True), partial(Mock, OfClass)],
    ids=["class", "object", "property", "proxy", "autospec", "spec"],
)
def test_callback_methods_of_any_kind_are_refused(kind: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"for none: on_enter_paused as on_enter=\{'paused': \.\.\.\}$"):
        bind(V1, kind())


def test_methods_are_called_if_they_are_given_and_only_then() -> None:
    task = Hooked()
    bind(V1, task, on_enter={S.PAUSED: lambda _: task.on_enter_paused()}, on_leave={S.RUNNING: ()})
    task.pause()
    assert task.heard == ["on_enter_paused"]


def test_object_that_has_every_attribute_is_bound() -> None:
    task = Mock()
    task.state = None
    assert bind(V1, task, attach=False).fire(E.PAUSE) is S.PAUSED


def test_method_of_an_object_that_cannot_be_read_is_a_type_error() -> None:
    class Broken(Task):
        @property
        def on_enter_paused(self) -> None:
            raise OSError("no network")

    class Remote:
        state = "running"

        def __getattr__(self, name: str) -> None:
            raise OSError("no network")

    with pytest.raises(TypeError, match=r"^an object of 'Broken': its 'on_enter_paused' raised OSError: no network$"):
        bind(V1, Broken())
    with pytest.raises(TypeError, match=r"^an object of 'Remote': its '[\w ]+' raised OSError: no network$"):
        bind(V1, Remote(), attach=False)


@pytest.mark.parametrize("kind", [Mock, MagicMock])
def test_mock_that_takes_no_further_attribute_is_a_type_error(kind: type[Mock]) -> None:
    with pytest.raises(TypeError, match=r"has no room for its state and methods \(attach=False leaves these out\)"):
        bind(V1, kind(spec=["state"], state="running"))


def test_object_that_refuses_one_method_keeps_none() -> None:
    class Picky:
        state = "running"

        def __setattr__(self, name: str, value: object) -> None:
            if name == "is_stopped":
                raise KeyError(name)
            super().__setattr__(name, value)

    task = Picky()
    with pytest.raises(TypeError, match=r"^an object of 'Picky' has no room for its state and methods .*'is_stopped'$"):
        bind(V1, task)
    assert vars(task) == {}


def test_mock_of_an_object_with_a_state_is_in_no_state() -> None:
    class Running:
        state = "running"

    with pytest.raises(UnknownName, match=r"^v1: unknown state <NonCallableMagicMock name='mock.state' spec='str'"):
        bind(V1, create_autospec(Running, instance=True))


def test_change_is_shown_without_its_object() -> None:
    shown: list[str] = []
    task = SimpleNamespace()
    bind(V1, task, after={E.PAUSE: lambda change: shown.append(repr(change))})
    task.pause("now")
    assert "namespace" not in shown[0]
    assert "'now'" in shown[0]


@pytest.mark.parametrize(
    ("kind", "key", "moved"),
    [
        ("before", E.PAUSE, False),
        ("on_leave", S.RUNNING, False),
        ("on_enter", S.PAUSED, True),
        ("after", E.PAUSE, True),
    ],
)
def test_an_error_of_a_callback_reaches_the_caller(kind: str, key: str, moved: bool) -> None:
    def fail(change: V1Change) -> None:
        raise ConnectionError(change.event)

    task = Task()
    callbacks: dict[str, Any] = {kind: {key: fail}}
    bind(V1, task, **callbacks)
    with pytest.raises(ConnectionError, match="pause"):
        task.pause()
    assert task.state is (S.PAUSED if moved else S.RUNNING)


def test_error_of_another_machine_is_raised_unchanged() -> None:
    other = transitions.Machine(states=["here", "there"], initial="here", transitions=[["leave", "there", "here"]])
    task = Task()
    bind(V1, task, before={E.PAUSE: lambda _: other.trigger("leave")})
    with pytest.raises(transitions.MachineError, match="Can't trigger event leave from state here"):
        task.pause()


def stop_when_pausing(change: V1Change) -> None:
    if change.event is E.PAUSE:
        change.model.stop()


@pytest.mark.parametrize(("kind", "key"), [("on_enter", S.PAUSED), ("after", E.PAUSE)])
def test_a_callback_may_fire_the_next_event_once_the_state_has_changed(kind: str, key: str) -> None:
    callbacks: dict[str, Any] = {kind: {key: stop_when_pausing}}
    assert bind(V1, Task(), **callbacks).fire(E.PAUSE) is S.STOPPED


@pytest.mark.parametrize(("kind", "key"), [("on_leave", S.RUNNING), ("before", E.PAUSE)])
def test_event_fired_by_a_before_callback_overtakes_the_first(kind: str, key: str) -> None:
    received: list[V1Change] = []
    task = Task()
    callbacks: dict[str, Any] = {kind: {key: stop_when_pausing}}
    bind(V1, task, on_enter={S.PAUSED: received.append}, after={E.PAUSE: received.append}, **callbacks)
    with pytest.raises(
        IllegalTransition, match="v1: 'pause' was overtaken, 'running' has become 'stopped' meanwhile"
    ) as caught:
        task.pause()
    refusal = caught.value
    assert (refusal.lifecycle, refusal.state, refusal.event, refusal.allowed) == ("v1", "stopped", "pause", ())
    assert task.state is S.STOPPED  # a stop is irreversible, also among callbacks
    assert received == []


def test_event_is_overtaken_also_if_its_state_was_left_and_entered_again() -> None:
    received: list[V1Change] = []
    task = Task()

    def pause_and_resume(change: V1Change) -> None:
        if change.source is S.RUNNING:
            task.pause()
            task.resume()

    bind(V1, task, before={E.STOP: pause_and_resume}, on_enter={S.STOPPED: received.append})
    with pytest.raises(IllegalTransition, match="v1: 'stop' was overtaken, 'running' was entered again meanwhile"):
        task.stop()

    assert (task.state, received) == (S.RUNNING, [])
    task.pause()
    task.stop()
    assert [(each.source, each.target) for each in received] == [(S.PAUSED, S.STOPPED)]


def test_awaited_event_is_overtaken_also_if_its_state_was_left_and_entered_again() -> None:
    async def save(_: V1Change) -> None:
        await asyncio.sleep(0)

    async def program() -> None:
        task = Task()
        machine = bind_async(V1, task, before={E.STOP: save})
        stopping = asyncio.create_task(machine.fire(E.STOP))
        await asyncio.sleep(0)
        await machine.fire(E.PAUSE)
        await machine.fire(E.RESUME)
        with pytest.raises(IllegalTransition, match="'running' was entered again"):
            await stopping
        assert machine.state is S.RUNNING
        assert await machine.fire(E.STOP) is S.STOPPED

    asyncio.run(program())


# --- what is refused when bound ------------------------------------------------------------------


async def coroutine(change: V1Change) -> None:
    change.model.heard.append(f"coroutine: {change.event}")


def generator(change: V1Change) -> Generator[V1Change]:
    yield change


class Caller:
    async def __call__(self, change: V1Change) -> None:
        await coroutine(change)


def nothing() -> None: ...


def two(one: object, other: object) -> None: ...


def keyword(*, change: object = None) -> None: ...


USELESS: list[tuple[object, str]] = [
    (None, "None is not callable"),
    ("log", "'log' is not callable"),
    ([print, "log"], "'log' is not callable"),
    (nothing, "cannot be called with one StateChange: too many positional arguments"),
    (two, "cannot be called with one StateChange: missing a required argument: 'other'"),
    (keyword, "cannot be called with one StateChange: too many positional arguments"),
    (generator, "is a generator; calling it does nothing"),
    (coroutine, "is a coroutine function; use bind_async"),
    (partial(coroutine), "is a coroutine function; use bind_async"),
    (Caller(), "is a coroutine function; use bind_async"),
]


@pytest.mark.parametrize(("callback", "why"), USELESS)
@pytest.mark.parametrize(
    ("kind", "key", "where"),
    [
        ("on_enter", S.PAUSED, "paused"),
        ("on_leave", S.PAUSED, "paused"),
        ("before", E.STOP, "stop"),
        ("after", E.STOP, "stop"),
    ],
)
def test_a_callback_that_cannot_work_is_refused(callback: Any, why: str, kind: str, key: str, where: str) -> None:
    task = Task()
    callbacks: dict[str, Any] = {kind: {key: callback}}
    with pytest.raises(TypeError) as caught:
        bind(V1, task, **callbacks)
    assert str(caught.value).startswith(f"{kind}['{where}']: ")
    assert why in str(caught.value)
    assert vars(task) == vars(Task())


@pytest.mark.parametrize("kind", ["on_enter", "on_leave", "before", "after"])
@pytest.mark.parametrize("given", [print, [print], "", 0])
def test_callbacks_are_given_by_name(kind: str, given: Any) -> None:
    callbacks: dict[str, Any] = {kind: given}
    with pytest.raises(TypeError, match=f"{kind} must be a mapping of an? (state|event) to its callbacks, not "):
        bind(V1, Task(), **callbacks)


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"attach": "no"}, "attach must be True or False"), ({"attribute": []}, "attribute must be the name of")],
)
def test_settings_of_another_type_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        bind(V1, Task(), **settings)


def test_a_callback_whose_signature_is_not_known_is_accepted() -> None:
    seen: set[str] = set()
    task = Task()
    bind(V1, task, before={E.PAUSE: [dir, lambda change: seen.add(change.target)]})
    task.pause()
    assert seen == {S.PAUSED}


def test_callbacks_of_undeclared_names_are_refused() -> None:
    with pytest.raises(UnknownName, match="v1: unknown state 'finished'; 'v1-full' declares it"):
        bind(V1, Task(), on_enter={S.FINISHED: print})
    with pytest.raises(UnknownName, match="v1: unknown event 'finish'"):
        bind(V1, Task(), after={E.FINISH: print})
    with pytest.raises(UnknownName, match=r"unknown state 'pause'; did you mean 'paused'\?"):
        bind(get("v1"), Task(), on_leave={"pause": print})


class Taken(Task):
    def stop(self) -> bool:
        return False

    may_pause = "a word of its own"


def test_names_that_the_object_has_are_not_hidden() -> None:
    task = Taken()
    with pytest.raises(ValueError, match="v1: an object of 'Taken' already has may_pause, stop; pass attach=False"):
        bind(V1, task)
    assert vars(task) == vars(Taken())
    assert bind(V1, task, attach=False).fire(E.STOP) is S.STOPPED


def test_an_object_is_attached_to_one_machine() -> None:
    task = Task()
    bind(V1, task)
    with pytest.raises(ValueError, match="has trigger, may_trigger, pause"):
        bind(V1, task)


def test_names_that_the_lifecycle_uses_twice_are_refused() -> None:
    def lifecycle(event: str) -> Lifecycle[str, str]:
        return Lifecycle(
            name="twice",
            citation="none",
            states=(State("a", initial=True), State("b", final=True)),
            events=(Event("go", Origin.CALLER), Event(event, Origin.CALLER)),
            transitions=(Transition("a", "go", "b"), Transition("a", event, "b")),
        )

    for event, names in {
        "trigger": "trigger, may_trigger",
        "may_go": "may_go",
        "is_a": "is_a",
        "state": "state",
    }.items():
        hint = "give the state another name with attribute=" if event == "state" else "pass attach=False"
        with pytest.raises(ValueError, match=f"twice: two methods or attributes would be named {names}; {hint}"):
            bind(lifecycle(event), Task())
    machine = bind(lifecycle("trigger"), Task(), attach=False)
    assert machine.fire("trigger") == "b"
    assert bind(lifecycle("state"), Task(), attribute="phase").fire("state") == "b"


# --- kinds of objects ----------------------------------------------------------------------------


@dataclass
class Record:
    state: V1State = S.RUNNING


@dataclass(slots=True)
class Slots:
    state: V1State = S.RUNNING


class Model(pydantic.BaseModel):
    state: V1State = S.RUNNING


class OpenModel(pydantic.BaseModel, extra="allow"):
    state: V1State = S.RUNNING


@dataclass(frozen=True)
class Frozen:
    state: V1State = S.RUNNING


class FrozenModel(pydantic.BaseModel, frozen=True):
    state: V1State = S.RUNNING


class ReadOnly:
    @property
    def state(self) -> V1State:
        return S.RUNNING


class Empty(Task):
    """False, as a container without contents is."""

    def __len__(self) -> int:
        return 0


class TaskSummary(list[str]):
    state = S.RUNNING


@pytest.mark.parametrize("kind", [Task, Record, Empty, SimpleNamespace])
def test_objects_that_accept_methods_are_bound(kind: type[Any]) -> None:
    model = kind()
    bind(V1, model)
    model.pause()
    assert model.state is S.PAUSED


@pytest.mark.parametrize("kind", [Slots, Model, OpenModel])
def test_objects_without_room_for_methods_are_refused(kind: type[Any]) -> None:
    model = kind()
    with pytest.raises(TypeError, match=rf"'{kind.__name__}' has no room for its state and methods \(attach=False"):
        bind(V1, model)
    assert model == kind()
    assert bind(V1, model, attach=False).fire(E.PAUSE) is S.PAUSED
    assert model == kind(state=S.PAUSED)


@pytest.mark.parametrize("kind", [Frozen, FrozenModel, ReadOnly])
def test_objects_whose_state_cannot_be_set(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match=f"'{kind.__name__}' has no room for its state: "):
        bind(V1, kind(), attach=False)


@pytest.mark.parametrize("attach", [True, False])
@pytest.mark.parametrize("model", [Task, TaskSummary(), (), None, 3, {}])
def test_a_model_must_be_one_object(model: object, attach: bool) -> None:
    with pytest.raises(TypeError, match="bind takes one object"):
        bind(V1, model, attach=attach)


@pytest.mark.parametrize("attribute", ["", "my state", "3", "a.b"])
def test_attribute_must_be_a_name(attribute: str) -> None:
    with pytest.raises(ValueError, match="attribute must be the name of an attribute, not "):
        bind(V1, Task(), attribute=attribute)


def test_method_is_refused_as_the_state_attribute() -> None:
    with pytest.raises(TypeError, match="an object of 'Lifecycle': its 'state' is a method; name another"):
        bind(V1, V1, attach=False)


def test_a_wildcard_of_the_library_is_a_name_like_others() -> None:
    """It is "="; the other, "*", is one here as well, and no state can have that name."""
    odd: Lifecycle[str, str] = Lifecycle(
        name="odd",
        citation="none",
        states=(State("first", initial=True), State("other"), State("=", final=True)),
        events=(Event("to =", Origin.CALLER), Event("on", Origin.CALLER, idempotent=False)),
        transitions=(
            Transition("first", "to =", "="),
            Transition("first", "on", "other"),
            Transition("other", "on", "="),
        ),
    )
    machine = bind(odd, Task())
    with pytest.raises(IllegalTransition):
        bind(odd, Task("other")).fire("to =")
    assert machine.fire("to =") == "="


def pickled(task: Task) -> Task:
    other: Task = pickle.loads(pickle.dumps(task))
    return other


@pytest.mark.parametrize("double", [copy.deepcopy, pickled])
def test_an_object_is_copied_with_its_machine(double: Callable[[Task], Task]) -> None:
    task = Task()
    bind(V1, task, after={E.STOP: stop_when_pausing})
    task.pause()
    other = double(task)
    other.stop()
    assert (task.state, other.state) == (S.PAUSED, S.STOPPED)
    assert task.may_stop()


class OwnState:
    """An object that says itself what is copied and pickled."""

    def __init__(self) -> None:
        self.state: Any = None

    def __getstate__(self) -> object:
        return {**self.__dict__, "own": True}


class Reduced(SimpleNamespace):
    """An object whose class has a `__reduce__` of its own."""


COPIED = [Task, SimpleNamespace, OwnState, Reduced]


@pytest.mark.parametrize("kind", COPIED)
def test_methods_of_a_shallow_copy_refuse_until_it_is_bound(kind: type[Any]) -> None:
    task = kind()
    bind(V1, task)
    other = copy.copy(task)
    for name in ("pause", "may_pause", "is_running", "trigger", "may_trigger"):
        with pytest.raises(TypeError, match="shallow copy of a bound one"):
            getattr(other, name)("pause")
    assert task.state == other.state == S.RUNNING
    bind(V1, other)
    other.pause()
    assert (task.state, other.state) == (S.RUNNING, S.PAUSED)
    task.stop()
    assert other.is_paused()


@pytest.mark.parametrize("kind", COPIED)
@pytest.mark.parametrize("double", [copy.deepcopy, pickled])
def test_a_copy_of_a_copy_changes_itself_or_refuses(kind: type[Any], double: Callable[[Any], Any]) -> None:
    task = kind()
    bind(V1, task)
    second = double(double(task))
    second.pause()
    assert (task.state, second.state) == (S.RUNNING, S.PAUSED)
    shallow = copy.copy(second)
    with pytest.raises(TypeError, match="shallow copy of a bound one"):
        shallow.resume()
    with pytest.raises(TypeError, match="shallow copy of a bound one"):
        double(shallow)
    assert second.state is S.PAUSED


def test_object_that_copies_itself_is_not_attached_to() -> None:
    class Copying:
        state: Any = None

        def __copy__(self) -> Copying:
            other = Copying()
            vars(other).update(vars(self))
            return other

    with pytest.raises(TypeError, match=r"__copy__.*|attach=False"):
        bind(V1, Copying())
    job = Copying()
    machine = bind(V1, job, attach=False)
    other = copy.copy(job)
    machine.fire(E.STOP)
    assert other.state is S.RUNNING


# --- only the declaration decides --------------------------------------------------


ADDED: dict[str, Callable[[Any], object]] = {
    "a transition": lambda machine: machine.add_transition("pause", "stopped", "running"),
    "several": lambda machine: machine.add_transitions([["pause", "stopped", "running"]]),
    "in order": lambda machine: machine.add_ordered_transitions(),
    "a state": lambda machine: machine.add_state("new"),
    "states": lambda machine: machine.add_states(["new"]),
    "less": lambda machine: machine.remove_transition("pause"),
}


@pytest.mark.parametrize("change", ADDED.values(), ids=ADDED)
@pytest.mark.parametrize("make", [bind, bind_async])
def test_the_rows_of_a_bound_machine_cannot_be_changed(make: Any, change: Callable[[Any], object]) -> None:
    machine = make(V1, Task())
    for each in (machine, copy.deepcopy(machine)):
        with pytest.raises(TypeError, match="rows that 'v1' declares"):
            change(each)
        assert list(each.states) == ["running", "paused", "stopped"]
        assert len(each.get_transitions()) == len(V1.transitions)


def test_rows_that_are_added_to_the_librarys_objects_are_refused_by_the_declaration() -> None:
    task = Task("stopped")
    machine = bind(V1, task)
    machine.events["pause"].add_transition(transitions.Transition("stopped", "running"))
    with pytest.raises(IllegalTransition):
        task.pause()
    assert task.state is S.STOPPED


def _raising(_: object) -> Any:
    raise AttributeError("no connection")


def _missing(_: object) -> Any:
    raise KeyError("row")


class Deaf:
    """An object whose state cannot be set, without an error."""

    def __setattr__(self, name: str, value: object) -> None:
        if name != "state":
            super().__setattr__(name, value)


@pytest.mark.parametrize("attach", [True, False])
def test_a_state_that_cannot_be_read_or_set_is_a_type_error(attach: bool) -> None:
    with pytest.raises(TypeError, match="'state' raised KeyError: 'row'"):
        bind(V1, type("Job", (), {"state": property(_missing)})(), attach=attach)
    with pytest.raises(TypeError, match="its 'state' is None after 'running' was set"):
        bind(V1, Deaf(), attach=attach)


@pytest.mark.parametrize("attach", [True, False])
@pytest.mark.parametrize("descriptor", [property(_raising), functools.cached_property(_raising)])
def test_a_state_that_raises_attribute_error_is_not_missing(descriptor: Any, attach: bool) -> None:
    kind = type("Job", (), {"state": descriptor})
    if isinstance(descriptor, functools.cached_property):
        descriptor.__set_name__(kind, "state")
    with pytest.raises(TypeError, match="'state' raised AttributeError: no connection"):
        bind(V1, kind(), attach=attach)


# --- the asynchronous form -----------------------------------------------------------------------


class AsyncTask(SimpleNamespace):
    """A user's object; what is attached to it is awaited."""


def test_events_are_awaited() -> None:
    async def main() -> None:
        task = AsyncTask()
        machine = bind_async(V1, task)
        assert await task.pause() is True
        assert task.is_paused()
        assert await task.may_stop()
        assert await task.trigger("resume") is True
        assert await machine.fire(E.STOP) is task.state is machine.state is S.STOPPED
        assert machine.allowed() == ()
        with pytest.raises(IllegalTransition, match="'pause' is not allowed in 'stopped'; 'stopped' is final"):
            await task.pause()
        with pytest.raises(UnknownName):
            await task.trigger("puase")

    asyncio.run(main())


def test_both_kinds_of_callbacks_run_one_after_another() -> None:
    received: list[str] = []

    def slow(name: str) -> Callable[[V1Change], object]:
        async def callback(change: V1Change) -> None:
            received.append(f"{name} begins in {change.model.state}")
            await asyncio.sleep(0)
            received.append(f"{name} ends in {change.model.state}")

        return callback

    task = AsyncTask()
    machine = bind_async(
        V1,
        task,
        before={E.PAUSE: [slow("before"), lambda change: received.append(f"plain in {change.model.state}")]},
        on_leave={S.RUNNING: [slow("leave"), slow("leave too")]},
        on_enter={S.PAUSED: slow("enter")},
        after={E.PAUSE: slow("after")},
    )
    asyncio.run(machine.fire(E.PAUSE))
    assert received == [
        "before begins in running",
        "before ends in running",
        "plain in running",
        "leave begins in running",
        "leave ends in running",
        "leave too begins in running",
        "leave too ends in running",
        "enter begins in paused",
        "enter ends in paused",
        "after begins in paused",
        "after ends in paused",
    ]


@pytest.mark.parametrize("kind", ["before", "on_leave"])
def test_first_of_two_tasks_to_change_the_state_wins(kind: str) -> None:
    async def main() -> None:
        held = asyncio.Event()

        async def hold(change: V1Change) -> None:
            if change.event is E.PAUSE:
                await held.wait()

        task = AsyncTask()
        callbacks: dict[str, Any] = {kind: {E.PAUSE if kind == "before" else S.RUNNING: hold}}
        machine = bind_async(V1, task, **callbacks)
        pausing = asyncio.create_task(machine.fire(E.PAUSE))
        await asyncio.sleep(0)
        await machine.fire(E.STOP)
        held.set()
        with pytest.raises(IllegalTransition, match="'pause' was overtaken, 'running' has become 'stopped'"):
            await pausing
        assert task.state is S.STOPPED

    asyncio.run(main())


@pytest.mark.parametrize(("kind", "key", "state"), [("before", E.PAUSE, S.RUNNING), ("after", E.PAUSE, S.PAUSED)])
def test_a_time_out_around_an_event_is_not_lost(kind: str, key: str, state: V1State) -> None:
    async def forever(change: V1Change) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = AsyncTask()
        callbacks: dict[str, Any] = {kind: {key: forever}}
        machine = bind_async(V1, task, **callbacks)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await task.pause()
        assert task.state is state
        assert await machine.fire(E.STOP) is S.STOPPED  # nothing of the first event is left behind

    asyncio.run(main())


def test_a_second_event_does_not_cancel_the_callbacks_of_the_first() -> None:
    async def main() -> None:
        entered, received = asyncio.Event(), list[str]()

        async def enter(change: V1Change) -> None:
            entered.set()
            await asyncio.sleep(0.01)
            received.append(change.model.state)

        task = AsyncTask()
        machine = bind_async(V1, task, on_enter={S.PAUSED: enter})
        pausing = asyncio.create_task(machine.fire(E.PAUSE))
        await entered.wait()
        await machine.fire(E.STOP)
        assert await pausing is S.STOPPED  # the state after all its callbacks
        assert received == [S.STOPPED]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "key", "moved"),
    [
        ("before", E.PAUSE, False),
        ("on_leave", S.RUNNING, False),
        ("on_enter", S.PAUSED, True),
        ("after", E.PAUSE, True),
    ],
)
def test_an_error_of_a_coroutine_reaches_the_caller(kind: str, key: str, moved: bool) -> None:
    async def fail(change: V1Change) -> None:
        raise ConnectionError(change.event)

    task = AsyncTask()
    callbacks: dict[str, Any] = {kind: {key: fail}}
    machine = bind_async(V1, task, **callbacks)
    with pytest.raises(ConnectionError, match="pause"):
        asyncio.run(machine.fire(E.PAUSE))
    assert task.state is (S.PAUSED if moved else S.RUNNING)


def test_callbacks_are_checked_in_the_asynchronous_form_too() -> None:
    useless: dict[Any, Any] = {E.PAUSE: nothing}
    with pytest.raises(TypeError, match="cannot be called with one StateChange"):
        bind_async(V1, AsyncTask(), before=useless)
    with pytest.raises(UnknownName):
        bind_async(V1, AsyncTask(), before={E.FINISH: coroutine})
    bind_async(V1, AsyncTask(), before={E.PAUSE: [Caller(), partial(coroutine)]})
