"""One step of a task: `target` and `step` beside a plain dict, and beside two libraries of state machines.

The libraries get the rows of `V1`, and nothing that would slow them down: no callbacks, no `to_*` triggers, no queue.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import statemachine
import transitions

from benchmarks.measure import Bound, Measure, Row, compare, statement
from lifecycle import V1, V1Event, V1State

# There and back, ten times, so that the cost of the timer's own loop is negligible.
_CYCLE = (("running", "pause"), ("paused", "resume")) * 10
_NAMES: dict[str, Any] = {
    "lifecycle": V1,
    "rows": {(row.source, row.event): row.target for row in V1.transitions},
    "running": V1State.RUNNING,
    "paused": V1State.PAUSED,
    "pause": V1Event.PAUSE,
    "resume": V1Event.RESUME,
}


def rows(*, pairs: int) -> list[Row]:
    """Measure every look-up."""
    target = _each("lifecycle.target({}, {})")
    step = _each("lifecycle.step({}, {})")
    look_up = _each("rows[{}, {}]")
    at_most = partial(compare, bound=Bound.AT_MOST, pairs=pairs)
    at_least = partial(compare, bound=Bound.AT_LEAST, pairs=pairs)
    model, machine = _methods(transitions_model()), _methods(statemachine_machine())
    return [
        at_most("V1.target(state, event)", target, "dict[state, event]", look_up, limit=1.8),
        at_most("V1.step(state, event)", step, "dict[state, event]", look_up, limit=1.9),
        at_least("V1.step(state, event)", step, "transitions, model.pause()", model, limit=40.0),
        at_least("V1.step(state, event)", step, "python-statemachine, sm.pause()", machine, limit=400.0),
    ]


class Model:
    """A user's object, to which `transitions` attaches its triggers."""


def transitions_model() -> Any:
    """Return a new object that a `transitions` machine of V1 drives."""
    model = Model()
    transitions.Machine(
        model,
        states=[str(state.name) for state in V1.states],
        transitions=[[str(row.event), str(row.source), str(row.target)] for row in V1.transitions],
        initial=str(V1.initial),
        auto_transitions=False,
    )
    return model


def statemachine_machine() -> Any:
    """Return a new machine of V1 of `python-statemachine`."""
    return _V1Machine()


def _declared() -> type[statemachine.StateMachine]:
    states = {str(state.name): statemachine.State(initial=state.initial, final=state.final) for state in V1.states}
    events: dict[str, Any] = {}
    for row in V1.transitions:
        transition: Any = states[str(row.source)].to(states[str(row.target)])
        name = str(row.event)
        events[name] = events[name] | transition if name in events else transition
    return type("V1Machine", (statemachine.StateMachine,), {**states, **events})


_V1Machine = _declared()


def _each(template: str) -> Measure:
    code = "\n".join(template.format(state, event) for state, event in _CYCLE)
    return statement(code, _NAMES, operations=len(_CYCLE))


def _methods(machine: Any) -> Measure:
    code = "\n".join(f"machine.{event}()" for _, event in _CYCLE)
    return statement(code, {"machine": machine}, operations=len(_CYCLE))
