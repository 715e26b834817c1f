"""A `transitions` machine over an object that the user already has.

`bind` returns a configured machine of the `transitions` library for a declared lifecycle and any
object that can have a state attribute; `bind_async` returns the asynchronous machine. This is the
only module that imports that library. The declaration alone decides which event is legal.

An event is executed in five steps, the callbacks of each in the order given:

    before[event]   on_leave[source]   the state is set   on_enter[target]   after[event]

The caller of the event gets any error that a callback raises. If `before` or `on_leave` raises, the
object keeps its state; if `on_enter` or `after` does, its state has changed. A callback may fire
further events of its own object. If the state changes while `before` and `on_leave` callbacks still
run (one of them fired an event, or another task did), the event was overtaken and is refused, also if the new state
would accept it: it was judged, and its callbacks were called, for the old one. So the states of an object are always a
path of the lifecycle. An event that the state refuses calls no callback and changes nothing. Callbacks are arguments
only: an object with a method on_enter_STATE or on_exit_STATE, which `transitions` would call by its name, is refused
unless that state has a callback (or none, as `()`) of that kind.

The object gets its state (a member of the lifecycle's enumeration if that has one) and, unless
`attach=False`, the methods that `transitions` makes, and no others:

    EVENT()   may_EVENT()   is_STATE()   trigger("EVENT")   may_trigger("EVENT")

with `is_ATTRIBUTE_STATE()` if the attribute is not called `state`. Type checkers cannot see
them unless the user's class declares them (`pause: Callable[[], bool]`); the machine's own
`fire`, `state` and `allowed` are typed. Only callbacks use the arguments of EVENT(), trigger() and `fire`.
A method whose name the object has already is an error.
The library's own queries of the machine (`get_triggers`) accept states as plain text.

The asynchronous machine differs from the library's: callbacks run one after another, not together,
and a second event does not cancel the task of the first, so that only the user cancels tasks.

A machine is for one thread at a time, and its rows cannot be changed. An object with attached methods is pickled,
and copied by `copy.deepcopy`, together with its machine and callbacks. The methods of a shallow copy would change the
state of the original, so they raise TypeError until the copy is bound itself; for that the object also gets
`__getstate__`, and `__reduce__` if its class has one of its own. With `attach=False` copying and pickling are
unchanged.
"""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar, cast

from lifecycle.errors import IllegalTransition, MissingExtra, described, shortened, text_of
from lifecycle.lifecycle import Lifecycle, State, Transition
from lifecycle.table import E, S, quoted
from lifecycle_adapters.argument_checks import require, require_boolean, require_lifecycle

try:
    import transitions
    from transitions.extensions.asyncio import AsyncEvent, AsyncMachine, AsyncState
except ImportError:
    raise MissingExtra("machine", needed_by="lifecycle_adapters.machine") from None

__all__ = ["AsyncBoundMachine", "BoundMachine", "StateChange", "bind", "bind_async"]

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class StateChange(Generic[M, S, E]):
    """The argument of a callback; `args` and `kwargs` are the arguments of the call that fired the event."""

    model: M = field(repr=False)  # with attached methods it would be a page
    source: S
    event: E
    target: S
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


Callback = Callable[[StateChange[M, S, E]], object]
Callbacks = Callback[M, S, E] | Sequence[Callback[M, S, E]]


def bind(
    lifecycle: Lifecycle[S, E],
    model: M,
    *,
    attribute: str = "state",
    on_enter: Mapping[S, Callbacks[M, S, E]] | None = None,
    on_leave: Mapping[S, Callbacks[M, S, E]] | None = None,
    before: Mapping[E, Callbacks[M, S, E]] | None = None,
    after: Mapping[E, Callbacks[M, S, E]] | None = None,
    attach: bool = True,
) -> BoundMachine[S, E]:
    """Return a machine that changes the state of `model` by the events of `lifecycle`.

    If `model.<attribute>` is a state, it is kept, and no callback is called for it; if the attribute
    is missing or None, the object starts in the initial state.

    Args:
        lifecycle: the declared lifecycle.
        model: the object.
        attribute: the attribute in which the object has its state.
        on_enter, on_leave: by state, one callback or several, each called with a `StateChange`.
        before, after: by event, likewise.
        attach: whether the object gets the methods EVENT(), may_EVENT(), is_STATE(), trigger() and may_trigger().
            An object that cannot have them (slots, a pydantic model), or has a `__copy__` of its own, needs False.
    Raises:
        UnknownName: the object's state, or a key of the callbacks, is not declared.
        TypeError: an argument is of another type; a callback cannot be called with one `StateChange`, or is a coroutine
            function or a generator; or an attribute cannot be read, the state cannot be set, or the methods cannot be
            attached.
        ValueError: the object has an attribute with the name of a method to attach, or `attribute` is not a name; or
            the object has a method on_enter_STATE or on_exit_STATE, and `on_enter` or `on_leave` lacks that state.
    """
    hooks = _hooks(lifecycle, asynchronous=False, on_enter=on_enter, on_leave=on_leave, before=before, after=after)
    return BoundMachine(lifecycle, model, attribute=attribute, hooks=hooks, attach=attach)


def bind_async(
    lifecycle: Lifecycle[S, E],
    model: M,
    *,
    attribute: str = "state",
    on_enter: Mapping[S, Callbacks[M, S, E]] | None = None,
    on_leave: Mapping[S, Callbacks[M, S, E]] | None = None,
    before: Mapping[E, Callbacks[M, S, E]] | None = None,
    after: Mapping[E, Callbacks[M, S, E]] | None = None,
    attach: bool = True,
) -> AsyncBoundMachine[S, E]:
    """Return a machine that changes the state of `model` by the events of `lifecycle`, which are awaited.

    While one event awaits its `before` and `on_leave` callbacks, another task may fire a second event. The first that
    sets the state wins; the other was overtaken and raises IllegalTransition, also if the new state accepts it, and can
    be fired again then.

    If `model.<attribute>` is a state, it is kept, and no callback is called for it; if the attribute
    is missing or None, the object starts in the initial state.

    Args:
        lifecycle: the declared lifecycle.
        model: the object.
        attribute: the attribute in which the object has its state.
        on_enter, on_leave: by state, one callback or several, each called with a `StateChange`: coroutine functions,
            which are awaited one after another, or plain ones.
        before, after: by event, likewise.
        attach: whether the object gets the methods EVENT(), may_EVENT(), is_STATE(), trigger() and may_trigger(),
            of which all but is_STATE() are awaited. An object that cannot have them (slots, a pydantic model), or
            has a `__copy__` of its own, needs False.
    Raises:
        UnknownName: the object's state, or a key of the callbacks, is not declared.
        TypeError: an argument is of another type; a callback cannot be called with one `StateChange`, or is a
            generator; or an attribute cannot be read, the state cannot be set, or the methods cannot be attached.
        ValueError: the object has an attribute with the name of a method to attach, or `attribute` is not a name; or
            the object has a method on_enter_STATE or on_exit_STATE, and `on_enter` or `on_leave` lacks that state.
    """
    hooks = _hooks(lifecycle, asynchronous=True, on_enter=on_enter, on_leave=on_leave, before=before, after=after)
    return AsyncBoundMachine(lifecycle, model, attribute=attribute, hooks=hooks, attach=attach)


# --- states and events: subclasses of the library's, with this project's errors ------------------

_Hook = Callable[[transitions.EventData], Any]
_Hooks = defaultdict[tuple[str, str], list[_Hook]]  # by kind and name


class _BoundState(transitions.State):
    """A state whose name is the declared text; its value on the object is the declared member."""

    # The library would also call methods of the object that are named on_enter_STATE or on_exit_STATE.
    dynamic_methods: list[str] = []  # noqa: RUF012 (the library's attribute)

    @property
    def name(self) -> str:
        return str(self.value)


class _AsyncState(_BoundState, AsyncState):
    pass


class _BoundEvent(transitions.Event):
    def trigger(self, model: object, *args: Any, **kwargs: Any) -> bool:
        _require_row(self, model)
        return super().trigger(model, *args, **kwargs)


class _AsyncEvent(AsyncEvent):
    async def trigger(  # type: ignore[override]  # as the library's own stub does
        self, model: object, *args: Any, **kwargs: Any
    ) -> bool:
        _require_row(self, model)
        return await super().trigger(model, *args, **kwargs)


def _require_row(event: transitions.Event, model: object) -> None:
    """Refuse an event as the declaration does, also if a user has added rows to the library's objects."""
    machine = event.machine
    machine.lifecycle.step(machine.get_model_state(model).value, event.name)


def _note_changes(event_data: Any) -> None:
    event_data.changes = event_data.machine.changes


def _require_unchanged(event_data: Any) -> None:
    """Refuse an event if its callbacks have changed the state in which it was judged."""
    machine, event, source = event_data.machine, event_data.event.name, event_data.transition.source
    state = machine.state
    if state != source or machine.changes != event_data.changes:
        what = f"has become {quoted(state)}" if state != source else "was entered again"
        raise IllegalTransition(
            f"{quoted(event)} was overtaken, {quoted(source)} {what} meanwhile",
            lifecycle=machine.lifecycle.name,
            state=state,
            event=event,
            allowed=machine.lifecycle.judge(state, event).allowed,
        )


# --- copies ------------------------------------------------------------------------------------


class _OfACopy:
    """An attached method in the copied state of an object.

    In a deep or pickled copy it becomes the method of the machine that was copied along. In a shallow copy it
    stays, and raises TypeError: it would change the state of the original.
    """

    def __init__(self, method: object) -> None:
        self._method = method

    def __call__(self, *_: object, **__: object) -> object:
        raise TypeError(
            "this object is a shallow copy of a bound one, and its methods would change the original; bind the copy too"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._method,)


def _itself(method: object) -> object:
    return method


def _copied(found: Any, names: frozenset[str]) -> Any:
    """Return the result of an object's `__getstate__` or `__reduce__`, with the attached methods marked."""
    match found:
        case {**state}:
            return {name: _OfACopy(value) if name in names else value for name, value in state.items()}
        case tuple():
            return tuple(_copied(each, names) for each in cast("Sequence[Any]", found))
        case _:
            return found


# --- the machines ------------------------------------------------------------------------------


class _Bound(transitions.Machine, Generic[S, E]):
    """The base of both machines: the rows of one declaration, and one object."""

    # The library reads "*" and "=" as wildcards. Here they are ordinary names; no name is empty.
    wildcard_all = wildcard_same = ""
    _is_declared = False  # whether every row was added; from then on rows cannot be added or removed

    def __init__(
        self, lifecycle: Lifecycle[S, E], model: object, *, attribute: str, hooks: _Hooks, attach: bool
    ) -> None:
        _require_free(lifecycle, model, attribute, attach=attach)
        _require_called(lifecycle, model, hooks)
        current = _found(model, attribute)
        if callable(current):
            raise TypeError(f"{_kind(model)}: its {attribute!r} is a method; name another with attribute=")
        start = lifecycle.initial if current is None else lifecycle.state(current).name
        self.lifecycle = lifecycle
        self._bound = model
        super().__init__(
            model=None,
            states=[self._state(state, hooks) for state in lifecycle.states],
            initial=str(lifecycle.initial),
            transitions=[_row(transition, hooks) for transition in lifecycle.transitions],
            send_event=True,
            auto_transitions=False,
            model_attribute=attribute,
            name=lifecycle.name,
            prepare_event=_note_changes,
        )
        self.changes = 0  # how many events have set the state: it may have changed and come back
        self._is_declared = True
        self._take(str(start), attach=attach)

    def set_state(self, *args: Any, **kwargs: Any) -> None:
        """Set the state, as the library does after the callbacks of an event, and count it."""
        super().set_state(*args, **kwargs)
        self.changes += 1

    def add_states(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: states are declared. Raises TypeError."""
        self._require_undeclared()
        super().add_states(*args, **kwargs)

    def add_transition(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: transitions are declared. Raises TypeError."""
        self._require_undeclared()
        super().add_transition(*args, **kwargs)

    def remove_transition(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: transitions are declared. Raises TypeError."""
        self._require_undeclared()
        super().remove_transition(*args, **kwargs)

    def _require_undeclared(self) -> None:
        if self._is_declared:
            raise TypeError(
                f"a bound machine has the rows that {self.lifecycle.name!r} declares; declare another lifecycle"
            )

    def _state(self, state: State[S], hooks: _Hooks) -> transitions.State:
        return self.state_cls(
            state.name,
            on_enter=[*hooks["on_enter", state.name]],
            on_exit=[*hooks["on_leave", state.name], _require_unchanged],  # last: next, the library sets the state
            final=state.final,
        )

    def _take(self, start: str, *, attach: bool) -> None:
        model = self._bound
        copying = ["__getstate__", *(["__reduce__"] if type(model).__reduce__ is not object.__reduce__ else [])]
        try:
            if attach:
                _require_room(model, (*_method_names(self.lifecycle, self.model_attribute), *copying))
            self.set_state(start, model)
            _require_kept(model, self.model_attribute, start)
        except Exception as error:
            needs = "its state and methods (attach=False leaves these out)" if attach else "its state"
            raise TypeError(f"{_kind(model)} has no room for {needs}: {error}") from error
        if attach:
            self.add_model(model, initial=start)
            for name in ("trigger", "may_trigger"):
                setattr(model, name, partial(self._by_name, getattr(model, name)))
            for name in copying:
                setattr(model, name, partial(self._copied, name))
        else:
            self.models.append(model)

    def _copied(self, name: str) -> Any:
        """Return the result of the object's own `__getstate__` or `__reduce__`, for a copy."""
        found = getattr(type(self._bound), name)(self._bound)
        methods = _method_names(self.lifecycle, self.model_attribute)
        return _copied(found, frozenset((*methods, "__getstate__", "__reduce__")))

    def _by_name(self, method: Callable[..., object], event: E, *args: Any, **kwargs: Any) -> object:
        """Call the library's `method` with a declared event; raise UnknownName for another, as the library does not."""
        return method(str(self.lifecycle.event(event).name), *args, **kwargs)

    @property
    def state(self) -> S:
        """Return the object's state. Raises UnknownName if other code has set an undeclared one, or deleted it."""
        state: S = self.get_model_state(self._bound).value
        return state

    def allowed(self) -> tuple[E, ...]:
        """Return the events that the object accepts now, in declared order.

        Raises UnknownName if other code has set an undeclared state, or deleted it.
        """
        return self.lifecycle.allowed(self.state)

    def get_model_state(self, model: object) -> Any:
        """Return the library's state of the object. Raises UnknownName if the object's state is not declared, or None.

        None counts for an attribute that is missing.
        """
        return self.get_state(_found(model, self.model_attribute))

    def get_state(self, state: Any) -> Any:
        """Return the library's state with this name, which is a member or plain text.

        The library would look up a member's name (RUNNING); and a state that was stored and read again
        may be plain text.
        """
        if str(state) not in self.states:
            self.lifecycle.state(state)  # raises UnknownName
        return super().get_state(str(state))


class BoundMachine(_Bound[S, E]):
    """A configured `transitions.Machine` over one object, with typed methods. Made by `bind`."""

    state_cls = _BoundState
    event_cls = _BoundEvent

    def fire(self, event: E, /, *args: Any, **kwargs: Any) -> S:
        """Execute `event`, and return the object's state after it and after all its callbacks.

        Raises:
            IllegalTransition: the state refuses it (a redundant command included), or it was overtaken: the state
                changed while its `before` or `on_leave` callbacks ran, perhaps to one that accepts it.
            UnknownName: an event that the lifecycle does not declare.
            Any error that a callback raises.
        """
        self.events[self.lifecycle.event(event).name].trigger(self._bound, *args, **kwargs)
        return self.state


class AsyncBoundMachine(_Bound[S, E], AsyncMachine):
    """A configured `transitions` `AsyncMachine` over one object, with typed methods. Made by `bind_async`."""

    # The stub asks for nested states here; the library's own class has plain ones, as this one.
    state_cls = _AsyncState  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    event_cls = _AsyncEvent

    async def fire(self, event: E, /, *args: Any, **kwargs: Any) -> S:
        """Execute `event`, and return the object's state after it and after all its callbacks.

        Raises:
            IllegalTransition: the state refuses it (a redundant command included), or it was overtaken: the state
                changed while its `before` or `on_leave` callbacks ran, perhaps to one that accepts it.
            UnknownName: an event that the lifecycle does not declare.
            Any error that a callback raises.
        """
        await self.events[self.lifecycle.event(event).name].trigger(self._bound, *args, **kwargs)
        return self.state

    async def process_context(self, func: Callable[[], Awaitable[Any]], model: object) -> bool:  # noqa: ARG002
        """Execute an event in the task that fired it.

        The library's own method registers the task, so that a second event cancels it, and turns every
        cancellation into False, the user's included: a time-out around an event would be lost.
        """
        return bool(await func())

    @staticmethod
    async def await_all(callables: Sequence[Callable[..., Awaitable[Any]]]) -> list[Any]:
        """Await the callables one after another, as the synchronous machine does; the library runs them together."""
        return [await each() for each in callables]


# --- checks of `bind` --------------------------------------------------------------------------


def _hooks(lifecycle: Lifecycle[Any, Any], *, asynchronous: bool, **given: Mapping[Any, Any] | None) -> _Hooks:
    """Return the checked callbacks by kind and name, in the form that the library calls."""
    require_lifecycle(lifecycle)
    hooks: _Hooks = defaultdict(list)
    for kind, by_name in given.items():
        require_declared = lifecycle.state if kind.startswith("on_") else lifecycle.event
        if by_name is None:
            continue
        what = "a state" if kind.startswith("on_") else "an event"
        require(by_name, Mapping, f"{kind} must be a mapping of {what} to its callbacks")
        for name, callbacks in by_name.items():
            require_declared(name)
            of_name = hooks[kind, name]  # empty if there are no callbacks
            for callback in _each(callbacks):
                _require_callback(f"{kind}[{quoted(name)}]", callback, asynchronous=asynchronous)
                of_name.append(partial(_call, lifecycle, callback))
    return hooks


def _each(callbacks: object) -> Sequence[object]:
    if isinstance(callbacks, Sequence) and not isinstance(callbacks, str):
        return cast("Sequence[object]", callbacks)
    return (callbacks,)


def _row(transition: Transition[S, E], hooks: _Hooks) -> Any:
    return {
        "trigger": str(transition.event),
        "source": str(transition.source),
        "dest": str(transition.target),
        "before": [*hooks["before", transition.event]],
        "after": [*hooks["after", transition.event]],
    }


def _call(lifecycle: Lifecycle[Any, Any], callback: Any, event_data: Any) -> object:
    row = event_data.transition
    return callback(
        StateChange(
            model=event_data.model,
            source=lifecycle.state(row.source).name,
            event=lifecycle.event(event_data.event.name).name,
            target=lifecycle.state(row.dest).name,
            args=event_data.args,
            kwargs=event_data.kwargs,
        )
    )


def _require_callback(where: str, callback: Any, *, asynchronous: bool) -> None:
    if not callable(callback):
        raise TypeError(f"{where}: {callback!r} is not callable")
    forms: tuple[Any, ...] = (callback, type(callback).__call__)
    if any(inspect.isgeneratorfunction(form) or inspect.isasyncgenfunction(form) for form in forms):
        raise TypeError(f"{where}: {callback!r} is a generator; calling it does nothing")
    if any(inspect.iscoroutinefunction(form) for form in forms) and not asynchronous:
        raise TypeError(f"{where}: {callback!r} is a coroutine function; use bind_async")
    try:
        signature = inspect.signature(forms[0])
    except ValueError:  # some built-in functions have none
        return
    try:
        signature.bind(StateChange)
    except TypeError as error:
        raise TypeError(f"{where}: {callback!r} cannot be called with one StateChange: {error}") from None


def _require_free(lifecycle: Lifecycle[S, E], model: Any, attribute: str, *, attach: bool) -> None:
    require(attribute, str, "attribute must be the name of an attribute")
    if not attribute.isidentifier():
        raise ValueError(f"attribute must be the name of an attribute, not {shortened(attribute)}")
    require_boolean(attach, "attach")
    if model is None or isinstance(model, list | tuple | type) or _has_no_room(model, attribute):
        given = cast("object", model)
        raise TypeError(f"bind takes one object that can have a state, not {described(given)}")
    methods = tuple(_method_names(lifecycle, attribute)) if attach else ()
    twice = [name for name, count in Counter((attribute, *methods)).items() if count > 1]
    if twice:
        hint = "give the state another name with attribute=" if attribute in twice else "pass attach=False"
        raise ValueError(f"{lifecycle.name}: two methods or attributes would be named {', '.join(twice)}; {hint}")
    for name, value in list(getattr(model, "__dict__", {}).items()):
        if isinstance(value, _OfACopy):
            delattr(model, name)
    taken = [name for name in methods if _found(model, name) is not None]
    if taken:
        raise ValueError(f"{lifecycle.name}: {_kind(model)} already has {', '.join(taken)}; pass attach=False")


def _require_called(lifecycle: Lifecycle[Any, Any], model: object, hooks: _Hooks) -> None:
    """Refuse an object that has callbacks by name, which the library would call, and which are not given."""
    silent = [
        f"{method} as {kind}={{{quoted(state.name)}: ...}}"
        for state in lifecycle.states
        for method, kind in ((f"on_enter_{state.name}", "on_enter"), (f"on_exit_{state.name}", "on_leave"))
        if (kind, state.name) not in hooks and _has_method(model, method)
    ]
    if silent:
        raise ValueError(
            f"{lifecycle.name}: {_kind(model)} has methods that are not called by their names; pass their callbacks, or"
            f" () for none: {', '.join(silent)}"
        )


def _has_method(model: object, name: str) -> bool:
    """Return whether an object has such a method, and does not make it when it is asked for any name, as mocks do."""
    is_declared = inspect.getattr_static(model, name, None) is not None
    return (is_declared or _found(model, "a name that nobody uses") is None) and callable(_found(model, name))


def _has_no_room(model: object, attribute: str) -> bool:
    """Return whether an object can have no such attribute, and none that is new, as a number or a dict."""
    is_plain = type(model).__setattr__ is object.__setattr__ and not hasattr(model, "__dict__")
    return is_plain and inspect.getattr_static(type(model), attribute, None) is None


def _method_names(lifecycle: Lifecycle[S, E], attribute: str) -> Iterator[str]:
    """Yield every name that the library gives to a method of the object."""
    yield from ("trigger", "may_trigger")
    for event in lifecycle.events:
        yield from (str(event.name), f"may_{event.name}")
    prefix = "is" if attribute == "state" else f"is_{attribute}"
    for state in lifecycle.states:
        yield f"{prefix}_{state.name}"


def _found(model: object, name: str) -> Any:
    """Return an attribute's value, None if it is missing. Raises TypeError if reading it fails."""
    try:
        return getattr(model, name)
    except Exception as error:
        if isinstance(error, AttributeError):
            declared = inspect.getattr_static(type(model), name, None)
            if declared is None or inspect.ismemberdescriptor(declared):  # a slot that is empty
                return None
        raise TypeError(f"{_kind(model)}: its {name!r} raised {type(error).__name__}: {text_of(error)}") from error


def _require_room(model: object, names: Iterable[str]) -> None:
    if hasattr(type(model), "__copy__"):
        raise TypeError("its own __copy__ would give a copy methods that change the original")
    for name in names:
        setattr(model, name, None)
        kept = name in vars(model)
        delattr(model, name)
        if not kept:  # for example a pydantic model with extras: methods would be stored and sent as data
            raise TypeError("it stores every attribute as data")


def _require_kept(model: object, attribute: str, state: str) -> None:
    kept = _found(model, attribute)
    if str(kept) != state:
        raise TypeError(f"its {attribute!r} is {shortened(kept)} after {state!r} was set")


def _kind(model: Any) -> str:
    return f"an object of {type(model).__name__!r}"
