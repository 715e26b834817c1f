"""The `transitions` library, given a declaration's rows, and the table agree on every path.

The library decides by its own rows and code what an event does; only the words of a refusal are
the table's. It is therefore an independent executor, in its synchronous and asynchronous forms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from lifecycle import IllegalTransition, Lifecycle
from lifecycle.testing import Executor, check_executor, event_paths, events, lifecycle_machine, lifecycles
from lifecycle_adapters.machine import bind, bind_async
from tests.support.profiles import examples

Start = Callable[[Lifecycle[str, str]], Executor[str, str]]


def by_the_machine(lifecycle: Lifecycle[str, str]) -> Executor[str, str]:
    machine = bind(lifecycle, SimpleNamespace(), attach=False)
    return Executor(state=lambda: machine.state, fire=machine.fire)


def by_attached_methods(lifecycle: Lifecycle[str, str]) -> Executor[str, str]:
    task = SimpleNamespace()
    bind(lifecycle, task)

    def fire(event: str) -> str:
        assert getattr(task, f"may_{event}")() is (event in lifecycle.allowed(task.state))
        getattr(task, event)()
        return str(task.state)

    return Executor(state=lambda: str(task.state), fire=fire)


def by_the_asynchronous_machine(lifecycle: Lifecycle[str, str]) -> Executor[str, str]:
    machine = bind_async(lifecycle, SimpleNamespace(), attach=False)
    runner = asyncio.Runner()
    return Executor(state=lambda: machine.state, fire=lambda event: runner.run(machine.fire(event)), close=runner.close)


EXECUTORS: dict[str, Start] = {
    "machine": by_the_machine,
    "methods": by_attached_methods,
    "asynchronous machine": by_the_asynchronous_machine,
}


@pytest.mark.parametrize("name", EXECUTORS)
def test_machine_agrees_on_every_pair_and_invariant(declared: Lifecycle[str, str], name: str) -> None:
    check_executor(declared, lambda: EXECUTORS[name](declared))


def agree(lifecycle: Lifecycle[str, str], executor: Executor[str, str], path: Iterable[str]) -> None:
    """Fire legal and illegal events; after each the executor must be in the table's state."""
    state = lifecycle.initial
    for event in path:
        target = lifecycle.target(state, event)
        try:
            assert executor.fire(event) == target
        except IllegalTransition:
            assert target is None
        state = target or state
        assert executor.state() == state
    executor.close()


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "length"), [("machine", 4), ("methods", 3), ("asynchronous machine", 3)])
def test_machine_agrees_on_every_sequence_of_events(declared: Lifecycle[str, str], name: str, length: int) -> None:
    names = [event.name for event in declared.events]
    for path in (*product(names, repeat=length), *declared.covering_paths()):
        agree(declared, EXECUTORS[name](declared), path)


@pytest.mark.hypothesis
def test_machine_and_table_agree_on_any_events(declared: Lifecycle[str, str]) -> None:
    machine = lifecycle_machine(declared, {name: partial(start, declared) for name, start in EXECUTORS.items()})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples(20)))


@pytest.mark.parametrize("start", [by_the_machine, by_the_asynchronous_machine])
@given(data=st.data())
def test_machine_agrees_with_any_drawn_lifecycle(data: st.DataObject, start: Start) -> None:
    drawn = data.draw(lifecycles())
    check_executor(drawn, lambda: start(drawn))
    agree(drawn, start(drawn), data.draw(event_paths(drawn)))
    if drawn.events:
        agree(drawn, start(drawn), data.draw(st.lists(events(drawn))))
